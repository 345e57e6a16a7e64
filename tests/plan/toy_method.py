"""A method of plans as one module: means of the arms and a z test of their difference."""

from __future__ import annotations

import math
from typing import Literal

from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import against, by_arm, forest
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, others
from equipoise.plan.results import Block


class ToySection(Section):
    """The mean of ``value`` in each arm, and its difference from control by a z test."""

    method: Literal["toy_mean"]
    value: str


def estimates(context: Prepared, section: ToySection) -> Found:
    frame, numbers = context.chosen(section.where), {}
    context.need(frame, section.value, numeric=True)
    parts = {}
    for arm in context.arms:
        x = context.of(frame, arm)[section.value].drop_nulls().to_numpy()
        parts[arm] = (float(x.mean()), float(x.var(ddof=1) / len(x)), len(x))
        numbers[Place("mean", arm)] = Estimate.of_count(f"mean, {arm}", parts[arm][0], len(x))
    mean, variance, n = parts[context.plan.treatment.reference]
    for arm in others(context):
        one = parts[arm]
        numbers[Place("difference", arm)] = Estimate.from_t(
            f"{arm} - control",
            "z test",
            one[0] - mean,
            float(math.sqrt(one[1] + variance)),
            math.inf,
            one[2] + n,
            scale="difference",
        )
    return Found(numbers)


def lines(context: Prepared, section: ToySection, found: Found) -> Block:
    differences = found.by_arm("difference")
    names = (context.plan.treatment.reference, others(context)[0])
    return Block(
        section.label or "Means",
        "toy_mean",
        context.analysis.dataset,
        section.value,
        (by_arm("Mean", found.by_arm("mean"), "{estimate:1}"), against(context, "Difference (95% CI)", differences)),
        figures=forest(
            list(differences.items()),
            caption="Differences",
            ratio=False,
            axis="difference",
            higher_better=True,
            names=names,
        ),
    )


METHODS = (Method("toy_mean", ToySection, estimates, lines, "Means and a z test", tests=(Test("difference", "more"),)),)
