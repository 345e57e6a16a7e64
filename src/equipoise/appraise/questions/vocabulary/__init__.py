"""What a question's answer can draw on: names, sentences, lists and blocks, each read from the record at hand."""

from __future__ import annotations

from equipoise.appraise.questions.vocabulary import design, harms, joint, plain, record, results, reviews, shared
from equipoise.appraise.questions.vocabulary.phrase import VOCABULARY, Phrase

__all__ = ["VOCABULARY", "Phrase", "design", "harms", "joint", "plain", "record", "results", "reviews", "shared"]
