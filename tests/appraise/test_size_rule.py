"""The size of desirable effects follows one rule in every set of judgements that comes with the package."""

from __future__ import annotations

import pytest

from equipoise.appraise.build import draft
from equipoise.appraise.certainty import shipped_judgements
from equipoise.appraise.certainty.rating import size
from equipoise.appraise.sections.certainty import _rated, benefits
from equipoise.records import load_record


@pytest.mark.parametrize("name", shipped_judgements())
def test_desirable_effects_have_the_size_that_the_rule_gives(name: str) -> None:
    ctx = draft(load_record(name))
    judged = ctx.judgements
    assert judged is not None
    assert judged.decision is not None
    sizes = {size(r.multiple or 0.0) for r in benefits(_rated(ctx, judged))}
    given = judged.decision.criteria["desirable"].judgement
    assert sizes
    assert given in (sizes if len(sizes) == 1 else {"varies"}), (name, given, sizes)


@pytest.mark.parametrize("name", shipped_judgements())
def test_survival_has_one_threshold_in_every_trial(name: str) -> None:
    judged = draft(load_record(name)).judgements
    assert judged is not None
    ratios = [
        o.threshold.value
        for o in judged.outcomes
        if o.threshold is not None and o.threshold.value is not None and "survival" in o.id
    ]
    assert set(ratios) <= {0.9}


def test_sizes_are_multiples_of_the_smallest_effect_that_matters() -> None:
    assert [size(x) for x in (0.0, 0.99, 1.0, 1.99, 2.0, 4.0)] == [
        "trivial",
        "trivial",
        "small",
        "small",
        "moderate",
        "large",
    ]
