"""Sentences of the page that answers use as they stand, each under its name in the vocabulary."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.appraise import phrases
from equipoise.appraise.context import Context
from equipoise.appraise.questions.vocabulary.phrase import VOCABULARY, Phrase
from equipoise.appraise.sections import certainty, limitations, next_trial, replica
from equipoise.document.document import Inlines


def _interval(ctx: Context) -> Inlines:
    """What the interval of the primary contrast leaves open; else that of the difference between counts."""
    return phrases.interval_sentence(ctx) or phrases.counted_interval(ctx)


SHARED: dict[str, tuple[Callable[[Context], Inlines], str | None]] = {
    "primary": (phrases.primary_sentence, "The record holds no result of the primary outcome."),
    "interval": (
        _interval,
        "The source gives no interval, and so does not tell which true effects the data leave open.",
    ),
    "detectable": (
        phrases.detectable_sentence,
        "The record gives no standard error and no interval from which to tell what the trial could have found.",
    ),
    "assumptions": (limitations.assumptions_sentence, "The record does not say what the sample size was built on."),
    "split": (phrases.split_sentence, None),
    "markers": (phrases.biomarker_sentence, None),
    "nominal": (phrases.nominal_sentence, None),
    "later": (phrases.later_sentence, None),
    "survival": (phrases.survival_sentence, None),
    "neurologic": (phrases.neuro_sentence, None),
    "balance": (limitations.balance_sentence, None),
    "conduct": (limitations.conduct_sentence, None),
    "delays": (limitations.delays_sentence, None),
    "entered_extension": (limitations.extension_sentence, None),
    "exploratory": (limitations.exploratory_sentence, None),
    "own_gaps": (limitations.gaps_sentence, None),
    "planned_spread": (limitations.planned_spread, None),
    "testing_yield": (certainty.testing_sentence, None),
    "chance_by_weeks": (replica.chance_by_weeks, None),
    "longer_or_larger": (next_trial.longer_or_larger, None),
    "smallest_designs": (next_trial.smallest_designs, None),
    "designs_in_error": (next_trial.designs_in_error, None),
}
"""Name, the sentence, and what is said in its place where it is empty and the answer asks for it."""

for _name, (_make, _missing) in SHARED.items():
    VOCABULARY[_name] = Phrase("sentence", _make, _missing)
VOCABULARY["certainties"] = Phrase("items", certainty.levels)
