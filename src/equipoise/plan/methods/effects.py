"""The effect of any method in everyone and in the levels of a variable, and how it differs between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.result import Estimate
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.parts import ComparedSection, Section, Where
from equipoise.plan.prepared import Prepared, others
from equipoise.types import Status

COCHRAN = "Cochran 1954, Biometrics 10:101"


def section_of(written: dict[str, Any]) -> Section:
    """The section of another method as it is written; raises ``ValueError`` where it is none, or has no effect."""
    from equipoise.plan.methods import REGISTRY

    name = written.get("method")
    method = REGISTRY.get(str(name))
    if method is None or not any(test.effect for test in method.tests) or name == "subgroups":
        known = ", ".join(k for k, m in REGISTRY.items() if any(t.effect for t in m.tests) and k != "subgroups")
        raise ValueError(f"of: {name!r} is no method with an effect; there are {known}")
    section = method.section.model_validate(written)
    if isinstance(section, ComparedSection) and section.versus is not None:
        raise ValueError("of: subgroups compare with control: leave out versus")
    return section


@dataclass(frozen=True)
class Effects:
    """The effects of a section. asked : a quantity, None for the method's first test; visit : None for the last."""

    context: Prepared
    section: Section
    where: Where
    asked: str | None
    visit: str | None

    @property
    def quantity(self) -> str:
        """What is shown."""
        from equipoise.plan.methods import REGISTRY

        return self.asked or next(t.quantity for t in REGISTRY[self.section.kind].tests if t.effect)

    @property
    def words(self) -> str:
        """How it is made."""
        from equipoise.plan.methods import REGISTRY

        title = REGISTRY[self.section.kind].title
        return (title[0].lower() + title[1:]) + (f", {self.visit}" if self.visit else "")

    def levels(self, name: str) -> list[Any]:
        """The levels of a variable that records have, in their order."""
        frame = self.context.chosen(self.where)
        self.context.need(frame, name)
        present = set(frame[name].drop_nulls().to_list())
        return [level for level in levels_in_order(frame, name) if level in present]

    def of(self, name: str | None, level: Any) -> dict[str, Estimate]:
        """The effect of each arm against control in one level; in everyone where ``name`` is None.

        Raises :class:`DataError` where the method has no such quantity or visit in everyone.
        """
        from equipoise.plan.methods import REGISTRY

        part, arms = self._part(name, level), others(self.context)
        n = part.records["USUBJID"].n_unique() if "USUBJID" in part.records.columns else part.records.height
        try:
            numbers = REGISTRY[self.section.kind].estimates(part, self.section).numbers
        except (DataError, EstimationError) as error:
            if name is None:
                raise
            return {arm: self._none(n, error.message) for arm in arms}
        out = {}
        for arm in arms:
            mine = [
                e
                for place, e in numbers.items()
                if place.quantity == self.quantity and place.arm == arm and self.visit in (None, place.visit)
            ]
            if not mine and name is None:
                there = ", ".join(dict.fromkeys(p.quantity + (f" at {p.visit}" if p.visit else "") for p in numbers))
                raise DataError(
                    f"analysis {self.context.analysis.id}: no {self.quantity}"
                    + (f" at {self.visit}" if self.visit else "")
                    + f" of {arm} in {self.section.kind}",
                    hint=f"give quantity: and visit: of {there}",
                )
            out[arm] = mine[-1] if mine else self._none(n, "there is none in these patients")
        return out

    def _part(self, name: str | None, level: Any) -> Prepared:
        context = self.context
        records, people = context.chosen(self.where), context.population
        if name is not None:
            records = records.filter(pl.col(name) == level)
            keep = people[name] == level if name in people.columns else pl.lit(True)
            people = people.filter(keep)
            if name not in context.population.columns:
                people = people.join(records.select("USUBJID").unique(), on="USUBJID", how="semi")
        sizes = {a: int((people[context.treatment] == a).sum()) for a in context.arms}
        columns = tuple(replace(c, n=sizes[c.name]) if c.name in sizes else c for c in context.columns)
        return replace(context, records=records, population=people, columns=columns)

    def _none(self, n: int, why: str) -> Estimate:
        said = f"not estimable: {why}"
        return Estimate.not_made(self.quantity, self.section.kind, n, Status.EMPTY_ARM, said, level=0.95)


def _known(made: Sequence[Estimate]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the levels with an effect and a standard error, effects (logarithms of ratios) and their weights."""
    at = [k for k, e in enumerate(made) if e.estimable and e.se > 0.0 and math.isfinite(e.se)]
    values = np.array([math.log(made[k].estimate) if made[k].ratio else made[k].estimate for k in at])
    return np.array(at, dtype=np.float64), values, np.array([made[k].se ** -2.0 for k in at])


def heterogeneity(called: str, made: Sequence[Estimate]) -> Estimate:
    """Cochran's Q of the effects in the levels, which are of different patients: chi-square on one less than levels."""
    at, values, weight = _known(made)
    n = sum(e.n for e in made)
    if len(at) < 2:
        return _not_told(called, n)
    q = float((weight * (values - np.average(values, weights=weight)) ** 2).sum())
    df = len(at) - 1
    told = f"Cochran's Q on {df} degree{'s' if df > 1 else ''} of freedom"
    return _tested(called, told, q, df, n, len(made) - len(at))


def trend(called: str, made: Sequence[Estimate]) -> Estimate:
    """Weighted regression of the effects on the number of the level: chi-square on one degree of freedom."""
    at, values, weight = _known(made)
    n = sum(e.n for e in made)
    if len(at) < 2:
        return _not_told(called, n)
    centred = at - np.average(at, weights=weight)
    slope = float((weight * centred * values).sum() / (weight * centred**2).sum())
    return _tested(
        called,
        "trend of the effects over the levels",
        slope**2 * float((weight * centred**2).sum()),
        1,
        n,
        len(made) - len(at),
    )


def _tested(called: str, told: str, statistic: float, df: int, n: int, lost: int) -> Estimate:
    p = float(special.chdtrc(df, statistic))
    made = Estimate.of_test(called, told, p, n, statistic=statistic, df=float(df))
    made = replace(made, references=(COCHRAN,))
    said = f"without {lost} level{'s' if lost > 1 else ''} that have no estimate"
    return replace(made, detail=said) if lost else made


def _not_told(called: str, n: int) -> Estimate:
    why = "not estimable: fewer than two levels have an estimate and its standard error"
    return replace(Estimate.of_test(called, "interaction", math.nan, n), detail=why)
