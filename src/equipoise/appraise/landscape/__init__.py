"""The trials of a field side by side."""

from __future__ import annotations

from equipoise.appraise.landscape.page import FIELDS, Field, landscape, year_of

__all__ = ["FIELDS", "Field", "landscape", "year_of"]
