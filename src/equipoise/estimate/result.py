"""The one result every estimator returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from equipoise.types import REASONS, Status


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
        """
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
