"""Equipoise: the appraisal of a clinical trial, made executable."""

from __future__ import annotations

__version__ = "0.1.0"
