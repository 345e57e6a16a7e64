"""Questions by reader: data in ``bank/*.yaml``, answers assembled from the record, the analyses and the replica.

A question says who asks it, for which specialties it matters more, at which stage and level, when it applies, and how
its answer is put together. Its text is ours and holds no number: what is specific comes from a vocabulary of conditions
(:mod:`~equipoise.appraise.questions.conditions`) and of phrases (:mod:`~equipoise.appraise.questions.vocabulary`),
which read the record through the same writer as the rest of the page, so that every number keeps its source or command.
An answer that draws nothing from the record is not shown.
"""

from __future__ import annotations

from equipoise.appraise.questions.asking import applicable, by_reader, question_set
from equipoise.appraise.questions.bank import BankQuestion, bank

__all__ = ["BankQuestion", "applicable", "bank", "by_reader", "question_set"]
