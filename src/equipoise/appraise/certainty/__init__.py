"""Certainty of the evidence: judgements of people kept as data, and what is computed from them."""

from __future__ import annotations

from equipoise.appraise.certainty.form import form
from equipoise.appraise.certainty.judgements import (
    Judgements,
    load_judgements,
    parse_judgements,
    shipped_judgements,
    shipped_text,
)
from equipoise.appraise.certainty.rating import certainty, imprecision, overall_bias, recommendation

__all__ = [
    "Judgements",
    "certainty",
    "form",
    "imprecision",
    "load_judgements",
    "overall_bias",
    "parse_judgements",
    "recommendation",
    "shipped_judgements",
    "shipped_text",
]
