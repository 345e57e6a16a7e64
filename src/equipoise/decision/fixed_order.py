"""Closed testing in a fixed order: what may be claimed, and which p-values are only nominal.

Hypotheses are tested in the order laid down beforehand, each at the full level, as long as all before it were
rejected; the first that is not ends the sequence, and every later p-value is nominal: it describes the data and tests
nothing. The family-wise error is at most ``alpha`` (Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen 2001).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from numbers import Real
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit, aligned, p_value
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray, Status

REFERENCES = (
    "Maurer, Hothorn & Lehmacher 1995, Biometrie in der chemisch-pharmazeutischen Industrie 6:3",
    "Westfall & Krishen 2001, J Stat Plan Inference 99:25",
)


class Verdict(StrEnum):
    """What a step of the sequence allows to be said."""

    SIGNIFICANT = "significant"
    NOT_SIGNIFICANT = "not significant"
    NOMINAL = "nominal"


@dataclass(frozen=True)
class Step:
    """One test of the sequence. ``p`` is NaN where the test could not be done, which ends the sequence too."""

    name: str
    p: float
    verdict: Verdict

    def to_sentence(self) -> str:
        """The step in words."""
        p = "no p-value" if math.isnan(self.p) else "P < 0.0001" if self.p < 1e-4 else f"P = {self.p:.4f}"
        if self.verdict is Verdict.NOMINAL:
            return f"{self.name}: {p}, nominal, since an earlier test in the order was not significant."
        return f"{self.name}: {p}, {self.verdict.value}."


@dataclass(frozen=True, eq=False)
class ClosedSequence(Fit, Sequence[Step]):
    """A sequence carried out: goes through its steps in order.

    steps : what each test allows to be said. alpha : level, two-sided. estimates : the tests, as they were given; of a
    name and a p-value the test alone, with ``n`` 0 for not known.
    """

    steps: tuple[Step, ...]
    alpha: float
    estimates: tuple[Estimate, ...]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, place: Any) -> Any:
        """A step by its place or its name; raises :class:`EstimationError` for a name that is not there."""
        if not isinstance(place, str):
            return self.steps[place]
        for step in self.steps:
            if step.name == place:
                return step
        raise EstimationError(f"no test {place!r}", hint="tests are " + ", ".join(s.name for s in self.steps))

    @property
    def significant(self) -> tuple[str, ...]:
        """The tests that may be claimed, in order."""
        return tuple(s.name for s in self.steps if s.verdict is Verdict.SIGNIFICANT)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"step": k, "verdict": str(s.verdict)} for k, s in enumerate(self.steps, start=1)]

    def _rows(self, level: float | None = None) -> list[dict[str, Any]]:
        return [{**row, "n": row["n"] or None} for row in super()._rows(level)]

    def __repr__(self) -> str:
        return f"<ClosedSequence: {', '.join(f'{s.name} {s.verdict}' for s in self.steps)}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.summary())}</pre>"

    def _title(self) -> str:
        return f"Closed testing in a fixed order at two-sided {100 * self.alpha:g} %"

    def _told(self) -> Iterator[str]:
        yield self._title()
        yield from aligned(("", "p", "verdict"), [(s.name, p_value(s.p), str(s.verdict)) for s in self.steps])


def closed_sequence(tests: Iterable[Estimate | tuple[str, float | None]], alpha: float = 0.05) -> ClosedSequence:
    """Test in the given order at two-sided level ``alpha``; everything after the first failure is nominal.

    ``tests``: estimates, or pairs of a name and a p-value; None or NaN, a test that could not be done, ends the
    sequence as a failure does.

    Raises :class:`EstimationError` for a p-value that is no number between 0 and 1.

    Examples
    --------
    >>> made = closed_sequence([("primary", 0.97), ("CSF SOD1", 1e-6)])
    >>> [str(s.verdict) for s in made], made.significant
    (['not significant', 'nominal'], ())
    >>> print(made)
    Closed testing in a fixed order at two-sided 5 %
                    p          verdict
    primary    0.9700  not significant
    CSF SOD1  <0.0001          nominal
    """
    if not 0.0 < alpha < 1.0:
        raise EstimationError(f"alpha = {alpha!r}", hint="give a level between 0 and 1, such as 0.05")
    steps: list[Step] = []
    made: list[Estimate] = []
    standing = True
    for test in tests:
        name, p = (test.name, test.p) if isinstance(test, Estimate) else test
        if p is None:
            p = math.nan
        if isinstance(p, bool) or not isinstance(p, Real):
            raise EstimationError(f"{name}: p-value {p!r}", hint="give a number between 0 and 1, or None for no test")
        p = float(p)
        if p < 0.0 or p > 1.0:
            raise EstimationError(f"{name}: p-value {p!r}", hint="p-values lie between 0 and 1")
        if not standing:
            verdict = Verdict.NOMINAL
        elif p <= alpha:
            verdict = Verdict.SIGNIFICANT
        else:
            verdict, standing = Verdict.NOT_SIGNIFICANT, False
        steps.append(Step(name, float(p), verdict))
        if isinstance(test, Estimate):
            made.append(test)
        else:
            there = not math.isnan(p)
            status, why = (Status.OK, None) if there else (Status.NO_DATA, "not estimable: there is no p-value")
            made.append(Estimate.of_test(name, "test in a fixed order", p, 0, status=status, detail=why))
    return ClosedSequence(tuple(steps), float(alpha), tuple(made))


def closed_sequence_rejections(p: FloatArray, alpha: float = 0.05) -> BoolArray:
    """The same for many trials at once: (trial, test) p-values in order to (trial, test) rejections.

    NaN, a test that could not be done, is not a rejection.
    """
    rejected: BoolArray = np.logical_and.accumulate(np.asarray(p) <= alpha, axis=1)
    return rejected
