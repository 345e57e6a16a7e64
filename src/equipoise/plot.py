"""Drawings of a trial, for notebooks, pages and files: ``equipoise.plot.kaplan_meier(curves)``."""

from __future__ import annotations

from equipoise.render.plots import *  # noqa: F403
from equipoise.render.plots import __all__ as __all__
