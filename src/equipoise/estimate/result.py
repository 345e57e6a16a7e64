"""The one result every estimator returns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from scipy import special

from equipoise.errors import EstimationError
from equipoise.types import REASONS, Status


def check_level(level: float) -> None:
    """Raise :class:`EstimationError` unless ``level`` is a coverage."""
    if not (isinstance(level, Real) and 0.0 < float(level) < 1.0):
        raise EstimationError(f"level = {level!r}", hint="give the coverage of the intervals, such as 0.95")


def is_time(value: object) -> bool:
    """Whether ``value`` is a finite number above 0."""
    return isinstance(value, Real) and 0.0 < float(value) < math.inf


def times_at(at: Any, what: str) -> list[float]:
    """One or more times above 0, at which ``what`` is asked for; raises :class:`EstimationError` for anything else."""
    given = list(at) if isinstance(at, Iterable) and not isinstance(at, str) else [at]
    if not given or not all(is_time(t) for t in given):
        raise EstimationError(f"{what} at {at!r}", hint="give times above 0, in the unit of the data")
    return [float(t) for t in given]


@dataclass(frozen=True)
class Estimate:
    """An estimate with its uncertainty, in the words of ICH E9(R1) where an estimand was named.

    ``estimate``, ``se``, ``low`` and ``high`` are NaN where ``status`` says that it is not estimable; ``reason``
    says why in a sentence. ``df`` is infinite for normal-theory inference. For a ratio, ``estimate``, ``low`` and
    ``high`` are ratios and ``se`` is the standard error of the natural logarithm.
    """

    name: str
    estimator: str
    estimate: float
    se: float
    df: float
    low: float
    high: float
    p: float
    n: int
    level: float = 0.95
    scale: str = "difference"
    estimand: str | None = None
    status: Status = Status.OK
    detail: str | None = None
    references: tuple[str, ...] = ()

    @classmethod
    def from_t(
        cls,
        name: str,
        estimator: str,
        estimate: float,
        se: float,
        df: float,
        n: int,
        *,
        level: float = 0.95,
        ratio: bool = False,
        scale: str | None = None,
        estimand: str | None = None,
        status: Status = Status.OK,
        detail: str | None = None,
        references: tuple[str, ...] = (),
    ) -> Estimate:
        """An estimate with the interval and two-sided p-value of Student's t on ``df`` (normal where infinite).

        With ``ratio``, ``estimate`` and ``se`` are on the log scale and the estimate and interval are exponentiated.

        Raises :class:`EstimationError` for a ``level`` that is no coverage.
        """
        check_level(level)
        low = high = p = math.nan
        if status is not Status.OK:
            estimate = se = df = math.nan
        else:
            half = float(special.stdtrit(df, 0.5 + 0.5 * level)) * se
            low, high = estimate - half, estimate + half
            if se > 0.0:
                p = 2.0 * float(special.stdtr(df, -abs(estimate) / se))
            elif estimate != 0.0:
                p = 0.0
        if ratio:
            estimate, low, high = (math.exp(v) if not v > 709.0 else math.inf for v in (estimate, low, high))
        return cls(
            name=name,
            estimator=estimator,
            estimate=estimate,
            se=se,
            df=df,
            low=low,
            high=high,
            p=p,
            n=n,
            level=level,
            scale=scale or ("ratio" if ratio else "difference"),
            estimand=estimand,
            status=status,
            detail=detail,
            references=references,
        )

    @property
    def reason(self) -> str:
        """Why the estimate is what it is: ``estimated``, or what stood in the way."""
        return self.detail or REASONS[self.status]

    @property
    def estimable(self) -> bool:
        return self.status is Status.OK

    def to_table(self) -> dict[str, object]:
        """One row of a results table."""
        return {
            "name": self.name,
            "estimate": self.estimate,
            "se": self.se,
            "df": self.df,
            "low": self.low,
            "high": self.high,
            "p": self.p,
            "n": self.n,
            "estimator": self.estimator,
            "status": self.status.name.lower(),
            "reason": self.reason,
        }

    def to_sentence(self) -> str:
        """The estimate as a person would say it."""
        if not self.estimable or math.isnan(self.estimate):
            return f"{self.name}: {self.reason} ({self.estimator}, n = {self.n})."
        p = "P < 0.0001" if self.p < 1e-4 else f"P = {self.p:.4f}"
        return (
            f"{self.name}: {self.scale} {self.estimate:.3g} "
            f"({100 * self.level:g} % CI {self.low:.3g} to {self.high:.3g}), {p} "
            f"({self.estimator}, n = {self.n})."
        )
