"""The one result every estimator returns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from equipoise.errors import EstimationError
from equipoise.estimate.fit import COLUMNS, Fit
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


#: What an estimate may bring. ``test``: all numbers. ``inverted``: an interval made by inverting a test, which may be
#: open at an end and then has no standard error. ``description``: no test and no standard error need exist.
#: ``p_only``: a test that estimates nothing, as of an interaction: a p-value, and the statistic and df that it is of.
FORMS = ("test", "inverted", "description", "p_only")


@dataclass(frozen=True)
class Estimate(Fit):
    """An estimate with its uncertainty, in the words of ICH E9(R1) where an estimand was named.

    The contract, which the constructor keeps whoever makes the estimate:

    - ``status`` OK: ``estimate``, ``se``, ``df``, ``statistic``, ``p``, ``low`` and ``high`` are numbers, the standard
      error above 0, p from 0 to 1, low <= high. ``df`` is infinite for normal-theory inference. An
      estimate that breaks this is not OK: its status becomes ``NO_VARIANCE`` or ``SINGULAR`` and ``reason`` says which
      number was at fault.
    - any other status: no test. ``se``, ``df``, ``statistic``, ``p``, ``low`` and ``high`` are NaN, and so is
      ``estimate`` unless it is known without them; ``reason`` says why in a sentence.

    ``form`` (:data:`FORMS`) names the exceptions: a quantile of time has no test, and an interval that comes from
    inverting a test may be open at an end, and a test of a term estimates nothing. ``sided``: 1 where ``p`` is that of
    a one-sided test. For a ratio (``ratio``), ``estimate``, ``low`` and ``high`` are ratios,
    ``se`` is the standard error of the natural logarithm and ``statistic`` is the logarithm over it. ``detail``: why
    there is no estimate, or with status OK what is to be said beside it.

    ``name`` is for people; ``term`` is what is estimated (a column, a coefficient, a quantity), by default the
    name, and ``contrast`` what is compared (``b - a``), empty where nothing is.

    Examples
    --------
    >>> import math
    >>> made = Estimate.from_t("b - a", "a test", 2.0, 0.0, 10.0, 20)
    >>> made.status.name, math.isnan(made.p), made.reason
    ('NO_VARIANCE', True, 'not estimable: the standard error is 0')
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
    ratio: bool = False
    form: str = "test"
    statistic: float = math.nan
    sided: int = 2
    term: str = ""
    contrast: str = ""

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise EstimationError(f"form = {self.form!r}", hint="choose one of " + ", ".join(FORMS))
        tested = self.form != "description"
        if tested and self.status is Status.OK and math.isnan(self.statistic) and self.se > 0.0:
            centre = self.estimate
            if self.ratio:
                centre = math.log(centre) if 0.0 < centre < math.inf else math.nan
            object.__setattr__(self, "statistic", centre / self.se)
        found = self._fault() if self.status is Status.OK else None
        if found is not None:
            object.__setattr__(self, "status", found[0])
            object.__setattr__(self, "detail", f"not estimable: {found[1]}")
        if self.status is not Status.OK:
            for field in ("se", "df", "low", "high", "p", "statistic"):
                object.__setattr__(self, field, math.nan)
            if not math.isfinite(self.estimate):
                object.__setattr__(self, "estimate", math.nan)

    def _fault(self) -> tuple[Status, str] | None:
        """What keeps the numbers from being those of an estimate, if anything does."""
        if not math.isfinite(self.estimate) and self.form != "p_only":
            return Status.SINGULAR, "there is no finite estimate"
        if self.form == "test":
            if math.isnan(self.se) or math.isinf(self.se):
                return Status.SINGULAR, "there is no finite standard error"
            if not self.se > 0.0:
                return Status.NO_VARIANCE, f"the standard error is {self.se:.3g}"
            if not self.df > 0.0:
                return Status.SINGULAR, "there are no degrees of freedom"
            if not (math.isfinite(self.low) and math.isfinite(self.high)):
                return Status.SINGULAR, "the confidence interval has no ends"
            if not math.isfinite(self.statistic):
                return Status.SINGULAR, "there is no finite test statistic"
        if self.form != "description" and not 0.0 <= self.p <= 1.0:
            return Status.SINGULAR, "there is no p-value"
        if self.low > self.high:
            return Status.SINGULAR, "the limits of the interval are the wrong way round"
        return None

    @classmethod
    def of_test(
        cls,
        name: str,
        estimator: str,
        p: float,
        n: int,
        *,
        statistic: float = math.nan,
        df: float = math.nan,
        sided: int = 2,
        detail: str | None = None,
        status: Status = Status.OK,
    ) -> Estimate:
        """A test without an estimate: its p-value, and the statistic and degrees of freedom (of F the denominator's).

        >>> Estimate.of_test("sex by arm", "F test on 1 and 57 df", 0.03, 60, statistic=4.9, df=57.0).to_sentence()
        'sex by arm: P = 0.0300 (F test on 1 and 57 df, n = 60).'
        """
        nan = math.nan
        return cls(
            name,
            estimator,
            nan,
            nan,
            df,
            nan,
            nan,
            p,
            n,
            scale="test",
            detail=detail,
            form="p_only",
            statistic=statistic,
            sided=sided,
            status=status,
        )

    @classmethod
    def not_made(
        cls,
        name: str,
        estimator: str,
        n: int,
        status: Status,
        detail: str | None,
        *,
        estimate: float = math.nan,
        level: float = 0.95,
        scale: str = "difference",
        term: str = "",
    ) -> Estimate:
        """What could not be estimated, and why; with ``estimate`` where it is known without a test of it.

        >>> Estimate.not_made("b - a", "a test", 9, Status.EMPTY_ARM, "nobody in a").to_sentence()
        'b - a: nobody in a (a test, n = 9).'
        """
        nan = math.nan
        numbers = (estimate, nan, nan, nan, nan, nan)
        return cls(name, estimator, *numbers, n, level, scale, status=status, detail=detail, term=term)

    @classmethod
    def of_count(cls, name: str, count: float, n: int, *, scale: str = "count") -> Estimate:
        """A number that describes the data: a count of ``n``, a mean, a share.

        >>> Estimate.of_count("deaths", 3, 40).to_sentence()
        'deaths: count 3, n = 40.'
        """
        nan = math.nan
        return cls(name, "description", float(count), nan, nan, nan, nan, nan, n, scale=scale, form="description")

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
        term: str = "",
        contrast: str = "",
    ) -> Estimate:
        """An estimate with the interval and two-sided p-value of Student's t on ``df`` (normal where infinite).

        With ``ratio``, ``estimate`` and ``se`` are on the log scale and the estimate and interval are exponentiated.

        Raises :class:`EstimationError` for a ``level`` that is no coverage.
        """
        check_level(level)
        low = high = p = statistic = math.nan
        if status is not Status.OK:
            estimate = se = df = math.nan
        else:
            from scipy import special

            half = float(special.stdtrit(df, 0.5 + 0.5 * level)) * se
            low, high = estimate - half, estimate + half
            if se > 0.0:
                statistic = estimate / se
                p = 2.0 * float(special.stdtr(df, -abs(statistic)))
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
            ratio=ratio,
            statistic=statistic,
            term=term,
            contrast=contrast,
        )

    @property
    def reason(self) -> str:
        """Why the estimate is what it is: ``estimated``, or what stood in the way."""
        if self.estimable and self.detail:
            return f"{REASONS[self.status]}; {self.detail}"
        return self.detail or REASONS[self.status]

    @property
    def null(self) -> float:
        """The value of no effect: 1 for a ratio or odds, else 0."""
        return float(self.ratio or "ratio" in self.scale or "odds" in self.scale)

    @property
    def estimable(self) -> bool:
        return self.status is Status.OK

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The estimate, as results of several give theirs."""
        return (self,)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimate with an interval of coverage ``level``; as it is where it has no interval.

        Raises :class:`EstimationError` for a ``level`` that is no coverage, and where the interval is not the estimate
        plus and minus a multiple of the standard error.
        """
        check_level(level)
        if level == self.level or not self.estimable or math.isnan(self.low):
            return (replace(self, level=level),)
        from scipy import special

        centre = math.log(self.estimate) if self.ratio and self.estimate > 0.0 else self.estimate
        ends = [math.log(v) if self.ratio and v > 0.0 else v for v in (self.low, self.high)]
        half = float(special.stdtrit(self.df, 0.5 + 0.5 * self.level)) * self.se
        if not all(
            math.isclose(end, centre + side * half, rel_tol=1e-6, abs_tol=1e-9)
            for end, side in zip(ends, (-1.0, 1.0), strict=True)
        ):
            raise EstimationError(
                f"the interval of {self.name} does not come from its standard error",
                hint=f"give level={level:g} to the function that made it",
            )
        half = float(special.stdtrit(self.df, 0.5 + 0.5 * level)) * self.se
        low, high = centre - half, centre + half
        if self.ratio:
            low, high = (math.exp(v) if not v > 709.0 else math.inf for v in (low, high))
        return (replace(self, level=level, low=low, high=high),)

    def to_row(self) -> dict[str, object]:
        """One row of a frame: :data:`equipoise.estimate.fit.COLUMNS`."""
        values = (
            self.term or self.name,
            self.contrast,
            self.estimate,
            self.se,
            self.df,
            self.statistic,
            self.p,
            self.low,
            self.high,
            self.n,
            self.status.name.lower(),
        )
        return dict(zip(COLUMNS, values, strict=True))

    def summary(self) -> str:
        """The estimate in a sentence, with what was said beside it."""
        words = self.to_sentence()
        if self.estimable and self.detail and self.detail not in words:
            words += f" Note: {self.detail}."
        return words

    def __repr__(self) -> str:
        return f"<Estimate {self.to_sentence().rstrip('.')}>"

    def to_sentence(self) -> str:
        """The estimate as a person would say it."""
        if not self.estimable:
            return f"{self.name}: {self.reason} ({self.estimator}, n = {self.n})."
        p = "" if math.isnan(self.p) else ", P < 0.0001" if self.p < 1e-4 else f", P = {self.p:.4f}"
        if self.form == "p_only":
            return f"{self.name}: {p.removeprefix(', ')} ({self.estimator}, n = {self.n})."
        if self.estimator == "description":
            return f"{self.name}: {self.scale} {self.estimate:.6g}, n = {self.n}."
        if math.isfinite(self.low) and math.isfinite(self.high):
            interval = f"{100 * self.level:g} % CI {self.low:.3g} to {self.high:.3g}"
        else:
            low = f"from {self.low:.3g}" if math.isfinite(self.low) else "no lower limit"
            high = f"to {self.high:.3g}" if math.isfinite(self.high) else "no upper limit"
            interval = f"{100 * self.level:g} % CI: {low}, {high}"
        return f"{self.name}: {self.scale} {self.estimate:.3g} ({interval}){p} ({self.estimator}, n = {self.n})."
