"""Shares of subjects by arm, each other arm against control: what every safety method that counts subjects has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from equipoise.estimate.categorical.proportions import compare
from equipoise.estimate.categorical.two_by_two import Counts
from equipoise.estimate.result import Estimate
from equipoise.plan.parts import Section, Show, known_statistics
from equipoise.plan.prepared import Prepared, others

FISHER = "Fisher's exact test"


class ArmShares(Section):
    """A section that counts subjects. test : of each other arm against control; difference : limits of the difference
    in risk, each in a column; level : of those limits."""

    decimals: int = Field(default=1, ge=0, le=4)
    test: Literal["fisher"] | None = None
    test_show: str = "{p:p4}"
    difference: Literal["miettinen-nurminen", "newcombe", "wald"] | None = None
    level: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        known_statistics([Show(label="test_show", show=self.test_show)], ("p",))
        return self

    def tests_arms(self) -> bool:
        return False

    def tests_each(self) -> bool:
        return self.test is not None

    def differs_each(self) -> bool:
        """Whether it has a difference of each arm against control, each in a column."""
        return self.difference is not None

    def told(self, control: str) -> str:
        """The end of a description: what stands in the columns against control."""
        told = f"; p-values: against {control}, {FISHER}" if self.test else ""
        if self.difference is not None:
            told += f"; differences: percentage points against {control}, {self.difference} limits"
        return told


def against_control(
    context: Prepared, section: ArmShares, counts: Mapping[str, int], size: Mapping[str, int]
) -> tuple[dict[str, float], dict[str, Estimate]]:
    """Fisher's p-value and the difference in risk of each other arm, as the section asks; ``size`` the denominators."""
    from scipy import stats

    control = context.plan.treatment.reference
    p, differences = dict[str, float](), dict[str, Estimate]()
    for arm in others(context):
        if section.test:
            table = np.array([[counts[a], size[a] - counts[a]] for a in (arm, control)])
            p[arm] = float(stats.fisher_exact(table).pvalue)
        if section.difference is not None and size[arm] and size[control]:
            of = Counts(*(np.array([float(v)]) for v in (counts[arm], size[arm], counts[control], size[control])))
            made = compare(
                of, (control, arm), interval=section.difference, weights="mantel-haenszel", level=section.level
            )
            differences[arm] = made["difference"]
    return p, differences
