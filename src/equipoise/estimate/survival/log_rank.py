"""Log-rank tests of one trial: weighted, stratified, of two or more groups, and the best of several weights.

``Surv(AVAL, 1 - CNSR) ~ TRT01P + strata(RILFL)``. Equations and sources in ``docs/methods/survival.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.fit import Fit, p_value
from equipoise.estimate.frames import require
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival.asked import as_formula
from equipoise.estimate.survival.kernels import log_rank as kernel
from equipoise.estimate.survival.kernels import max_combo as max_combo_kernel
from equipoise.estimate.survival.surv_formula import HINT, SurvData, read_surv
from equipoise.numerics import normal
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

MANTEL = "Mantel 1966, Cancer Chemother Rep 50:163"
PETO = "Peto & Peto 1972, J R Stat Soc A 135:185"
HARRINGTON = "Harrington & Fleming 1982, Biometrika 69:553"
FLEMING = "Fleming & Harrington 1991, Counting Processes and Survival Analysis, section 7.2"
TARONE = "Tarone 1981, Biometrics 37:79"
LEE = "Lee 1996, Biometrics 52:721"
COMBINATION = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
ALTERNATIVES = ("two-sided", "benefit", "harm")


@dataclass(frozen=True, eq=False)
class LogRank(Fit):
    """A log-rank test.

    groups : levels; n, observed, expected : (group,) patients, (weighted) events and events expected if the hazards
    were equal; variance : (group, group) of observed minus expected. chi_square on df. observed_by, expected_by :
    (group, stratum) the same in every stratum of ``stratum_labels``. left_out : rows that take no part.
    status says whether the test exists.
    """

    groups: tuple[Any, ...]
    n: IntArray
    observed: FloatArray
    expected: FloatArray
    variance: FloatArray
    chi_square: float
    df: int
    p: float
    rho: float
    gamma: float
    strata: tuple[str, ...]
    stratum_labels: tuple[str, ...]
    observed_by: FloatArray
    expected_by: FloatArray
    left_out: LeftOut
    status: Status
    backend: Any = None

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """For two groups events observed minus expected; else the test alone."""
        if len(self.groups) == 2:
            return (self.estimate(),)
        return (
            Estimate.of_test(
                "all groups",
                self._title(),
                self.p,
                int(self.n.sum()),
                statistic=self.chi_square,
                df=float(self.df),
                detail=None if self.status is Status.OK else self.reason,
                status=self.status,
            ),
        )

    @property
    def reason(self) -> str:
        """What became of the test, in words, with the events behind it."""
        if self.status is Status.OK:
            return REASONS[self.status]
        counts = f"events {_counts(self.groups, self.observed, self.n)}" if self.groups else "nobody"
        return f"{_why(self.status)} ({counts})"

    def _title(self) -> str:
        kind = f"{_kind(self.rho, self.gamma)}{_by(self.strata)}"
        return f"{kind[0].upper()}{kind[1:]}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        for group, n, o, e in zip(self.groups, self.n, self.observed, self.expected, strict=True):
            yield str(group), f"{n} patients, {o:g} events, {e:.4g} expected"
        if self.status is Status.OK:
            yield "test", f"chi-square {self.chi_square:.4g} on {self.df} df, p {p_value(self.p)}"

    @property
    def z(self) -> float:
        """For two groups: the signed root of chi-square, negative where the second has fewer events than expected."""
        if self.status is not Status.OK or len(self.groups) != 2:
            return math.nan
        return float(self.observed[1] - self.expected[1]) / math.sqrt(float(self.variance[1, 1]))

    def estimate(self, *, level: float = 0.95, estimand: str | None = None) -> Estimate:
        """For two groups: events observed minus expected in the second, with the p-value of the test."""
        if len(self.groups) > 2:
            raise EstimationError(f"{len(self.groups)} groups have no single difference", hint="use chi_square and p")
        there = len(self.groups) == 2
        return Estimate.from_t(
            f"{self.groups[1]} against {self.groups[0]}" if there else "log-rank test",
            f"{_kind(self.rho, self.gamma)}{_by(self.strata)}",
            float(self.observed[1] - self.expected[1]) if there else math.nan,
            math.sqrt(max(float(self.variance[1, 1]), 0.0)) if there else math.nan,
            math.inf,
            int(self.n.sum()),
            level=level,
            scale="events observed minus expected",
            estimand=estimand,
            status=self.status,
            detail=None if self.status is Status.OK else self.reason,
            references=_references(self.rho, self.gamma),
            term="hazard",
            contrast=f"{self.groups[1]} - {self.groups[0]}" if there else "",
        )


def _references(rho: float, gamma: float) -> tuple[str, ...]:
    if gamma:
        return (FLEMING,)
    return (PETO, HARRINGTON) if rho else (MANTEL, PETO)


def _kind(rho: float, gamma: float) -> str:
    return f"log-rank test, Fleming-Harrington weights ({rho:g}, {gamma:g})" if rho or gamma else "log-rank test"


def _by(strata: tuple[str, ...]) -> str:
    return f" stratified by {', '.join(strata)}" if strata else ""


def _why(status: Status) -> str:
    if status is Status.SINGULAR:
        return "not estimable: no event while both groups were at risk"
    return REASONS[status]


def _counts(groups: tuple[Any, ...], events: FloatArray, n: IntArray) -> str:
    return ", ".join(f"{e:g}/{m} {g}" for e, m, g in zip(events, n, groups, strict=True))


def _group(read: SurvData) -> str:
    """The one column of the right-hand side."""
    terms = [term for term in read.model.terms if term]
    name = terms[0][0].name if len(terms) == 1 and len(terms[0]) == 1 else None
    if name is None:
        raise EstimationError(
            f"the log-rank test compares the levels of one column, not {read.model.right!r}", hint=HINT
        )
    require(read.everything, [name])
    return name


def _groups(formula: str, data: Any, *, late: bool = False) -> tuple[SurvData, list[Any], IntArray, BoolArray, LeftOut]:
    """The rows, the levels of the one grouping column, each row's code, which rows have one, and who is left out.

    late : patients may come under observation after time 0.
    """
    read = read_surv(formula, data)
    if read.entry is not None and not late:
        raise EstimationError(
            "this test is for patients seen from the start", hint="with late entry use log_rank(), with rho and gamma"
        )
    if read.cluster:
        raise EstimationError("the log-rank test takes no clusters", hint="use cox(...).robust_score_test")
    name = _group(read)
    code, levels = codes_of(read.frame, name)
    keep = code >= 0
    left_out = read.left_out.and_then({f"without {name}": int((~keep).sum())})
    return read, levels, np.maximum(code, 0), keep, left_out


def between(score: FloatArray, variance: FloatArray) -> tuple[float, int, float]:
    """Chi-square, df and p-value of ``score`` (group,), which sums to 0 over the groups that are compared.

    The groups fall into components, within which they meet while someone of theirs has an event; ``variance`` is 0
    between components and has one redundant row in each. The df is what is left: the rank of the variance, decided by
    who meets whom rather than by rounding. The first group of each component is left out of the quadratic form.
    """
    size = np.sqrt(np.outer(np.diag(variance), np.diag(variance)))
    meet = (np.abs(variance) > 1e-12 * size) & (size > 0.0)
    component = np.arange(len(score))
    for i, j in np.argwhere(np.triu(meet, 1)):
        component[component == component[j]] = component[i]
    chi_square, df = 0.0, 0
    for part in np.unique(component):
        use = np.flatnonzero(component == part)[1:]
        if len(use):
            chi_square += float(score[use] @ np.linalg.solve(variance[np.ix_(use, use)], score[use]))
            df += len(use)
    return (chi_square, df, float(special.chdtrc(df, chi_square))) if df else (math.nan, 0, math.nan)


def late_sums(
    entry: FloatArray, time: FloatArray, event: BoolArray, group: IntArray, k: int, rho: float, gamma: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(group,) weighted events observed and expected and their (group, group) variance, of one stratum whose rows are
    at risk in (entry, time].

    >>> import numpy as np
    >>> t, e, g = np.array([3.0, 5, 2, 9]), np.array([True, True, True, False]), np.array([0, 0, 1, 1])
    >>> late_sums(np.array([0.0, 0, 1, 2]), t, e, g, 2, 0.0, 0.0)[1].round(3).tolist()
    [1.833, 1.167]
    """
    observed, expected, variance = np.zeros(k), np.zeros(k), np.zeros((k, k))
    survival = 1.0
    for at in np.unique(time[event]):
        risk = (entry < at) & (time >= at)
        dead = risk & event & (time == at)
        n_g, d_g = (np.bincount(group[who], minlength=k).astype(np.float64) for who in (risk, dead))
        n, d = float(n_g.sum()), float(d_g.sum())
        w = survival**rho * (1.0 - survival) ** gamma
        share = n_g / n
        observed += w * d_g
        expected += w * d * share
        if n > 1.0:
            variance += w * w * d * (n - d) / (n - 1.0) * (np.diag(share) - np.outer(share, share))
        survival *= (n - d) / n
    return observed, expected, variance


def log_rank(
    formula: Any = None,
    data: Any = None,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    entry: str | None = None,
    arm: str | None = None,
    strata: str | Sequence[str] = (),
    rho: float = 0.0,
    gamma: float = 0.0,
) -> LogRank:
    """Log-rank test of the groups on the right-hand side, within strata.

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P + strata(RILFL)``; one grouping column. Or leave it out, give the data
        first and name the columns. ``Surv(START, AVAL, 1 - CNSR)`` where patients come under observation at START:
        they are at risk after it.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a column take no part.
    time, event or censor, entry, arm, strata : in place of a formula; ``event`` is 1 for an event, ``censor`` 0 (ADaM's
        CNSR), ``entry`` the time of late entry, ``arm`` the grouping column (TRT01P where it is not given).
    rho, gamma : weights ``S(t-)^rho (1 - S(t-))^gamma`` with the pooled Kaplan-Meier estimate of the stratum: 0, 0 for
        the log-rank test, 1, 0 for that of Peto and Peto (early differences), 0, 1 for late differences.

    Raises
    ------
    EstimationError, DataError : the formula or a column cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "E": [1, 1, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> test = log_rank("Surv(T, E) ~ ARM", frame)
    >>> round(test.chi_square, 4), test.df
    (0.2162, 1)
    """
    if not (0.0 <= rho < math.inf and 0.0 <= gamma < math.inf):
        raise EstimationError(f"weights rho = {rho!r}, gamma = {gamma!r}", hint="give numbers of zero or more")
    formula, data = as_formula(
        formula, data, time=time, event=event, censor=censor, entry=entry, arm=arm, strata=strata
    )
    read, levels, code, keep, left_out = _groups(formula, data, late=True)
    k, every = max(len(levels), 2), range(max(len(read.stratum_labels), 1))
    members = [np.flatnonzero(keep & (read.stratum == s)) for s in every]
    place = np.zeros((len(members), max(1, *(len(m) for m in members))), np.int64)
    within = np.zeros(place.shape, np.bool_)
    for s, rows in enumerate(members):
        place[s, : len(rows)], within[s, : len(rows)] = rows, True
    observed, expected, variance = np.zeros((1, k)), np.zeros((1, k)), np.zeros((1, k, k))
    if keep.any() and read.entry is not None:
        sums = [late_sums(read.entry[m], read.time[m], read.event[m], code[m], k, rho, gamma) for m in members]
        observed, expected, variance = (np.stack([s[i] for s in sums]) for i in range(3))
    elif keep.any():
        observed, expected, variance, _ = kernel.log_rank(
            read.time[place], read.event[place], code[place], include=within, rho=rho, gamma=gamma, n_groups=k
        )
    o, e, v = observed.sum(axis=0), expected.sum(axis=0), variance.sum(axis=0)
    counts = np.bincount(code[keep], minlength=k)
    chi_square, df, p = between(o - e, v)
    status = Status.OK
    if not keep.any():
        status = Status.NO_DATA
    elif len(levels) < 2:
        status = Status.EMPTY_ARM
    elif not read.event[keep].any():
        status = Status.NO_EVENTS
    elif df == 0:
        status = Status.SINGULAR
    if status is not Status.OK:
        chi_square, df, p = math.nan, 0, math.nan
    m = len(levels)
    return LogRank(
        tuple(levels),
        counts[:m],
        o[:m],
        e[:m],
        v[:m, :m],
        chi_square,
        df,
        p,
        rho,
        gamma,
        read.strata,
        read.stratum_labels,
        observed[:, :m].T,
        expected[:, :m].T,
        left_out,
        status,
        nw.get_native_namespace(read.frame),
    )


@dataclass(frozen=True, eq=False)
class MaxCombo(Fit):
    """The largest of several weighted log-rank tests of two groups.

    weights : (rho, gamma) of each test; z : (test,) its statistic, negative where the second group has fewer events
    than expected; correlation : (test, test) of them; p_each : (test,) their own p-values. statistic : the largest one
    in the direction of ``alternative``, best its weights, p its p-value with an integration error of about p_error.
    """

    groups: tuple[Any, ...]
    n: IntArray
    events: IntArray
    weights: tuple[tuple[float, float], ...]
    z: FloatArray
    correlation: FloatArray
    p_each: FloatArray
    statistic: float
    best: tuple[float, float] | None
    p: float
    p_error: float
    alternative: str
    strata: tuple[str, ...]
    left_out: LeftOut
    status: Status
    references: tuple[str, ...] = (TARONE, LEE, FLEMING)
    backend: Any = None

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The test: the largest statistic and its p-value; nothing is estimated."""
        return (
            Estimate.of_test(
                f"{self.groups[1]} against {self.groups[0]}" if len(self.groups) == 2 else "max-combo test",
                self._title(),
                self.p,
                int(self.n.sum()),
                statistic=self.statistic,
                df=math.inf,
                sided=2 if self.alternative == "two-sided" else 1,
                detail=None if self.status is Status.OK else self.reason,
                status=self.status,
            ),
        )

    @property
    def reason(self) -> str:
        """What became of the test, in words, with the events behind it."""
        if self.status is Status.OK:
            return REASONS[self.status]
        counts = f"events {_counts(self.groups, self.events.astype(np.float64), self.n)}" if self.groups else "nobody"
        if self.status is Status.SINGULAR:
            where = "while both groups were at risk there was no event, or none after the first event time"
            return f"not estimable: a weighted statistic has no variance, {where} ({counts})"
        return f"{_why(self.status)} ({counts})"

    def _title(self) -> str:
        return f"Max-combo test{_by(self.strata)}, {self.alternative}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        for group, n, e in zip(self.groups, self.n, self.events, strict=True):
            yield str(group), f"{n} patients, {e} events"
        for (rho, gamma), z, p in zip(self.weights, self.z, self.p_each, strict=True):
            if not math.isnan(z):
                chosen = " (the largest)" if (rho, gamma) == self.best else ""
                yield f"weights ({rho:g}, {gamma:g})", f"z {z:.3f}, p {p_value(float(p))}{chosen}"

    def to_sentence(self) -> str:
        """The result as a person would say it."""
        kind = f"Max-combo test{_by(self.strata)}"
        if self.status is not Status.OK:
            return f"{kind}: {self.reason}."
        rho, gamma = self.best or (0.0, 0.0)
        p = "P < 0.0001" if self.p < 1e-4 else f"P = {self.p:.4f}"
        return f"{kind} ({self.alternative}): {self.statistic:.3f}, from weights ({rho:g}, {gamma:g}), {p}."


def max_combo(
    formula: Any = None,
    data: Any = None,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    arm: str | None = None,
    strata: str | Sequence[str] = (),
    weights: Sequence[tuple[float, float]] = COMBINATION,
    alternative: str = "two-sided",
    tolerance: float = 1e-5,
) -> MaxCombo:
    """The largest of several weighted log-rank tests of two groups, with the p-value of that largest.

    Parameters
    ----------
    formula, data, time, event or censor, arm, strata : as for :func:`log_rank`, two groups.
    weights : (rho, gamma) of each test; default the log-rank test and Fleming and Harrington's (0, 1), (1, 0), (1, 1).
    alternative : ``two-sided``; ``benefit``, fewer events in the second group; or ``harm``, more.
    tolerance : relative error of the p-value; points of integration are added until it is met or there are 524,288.

    The statistics are jointly normal with the correlations of their hypergeometric variances; the p-value is exact for
    that law and so adjusted for choosing the best.

    Raises
    ------
    EstimationError, DataError : the formula, a column or the weights cannot be used; or there are not two groups.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "E": [1, 1, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> test = max_combo("Surv(T, E) ~ ARM", frame)
    >>> [round(float(z), 3) for z in test.z], round(test.p, 3)
    ([-0.465, -1.257, -0.229, -1.279], 0.324)
    """
    if alternative not in ALTERNATIVES:
        raise EstimationError(f"unknown alternative {alternative!r}", hint="choose one of " + ", ".join(ALTERNATIVES))
    wrong = EstimationError(f"weights {weights!r}", hint=f"give 1 to {normal.LARGEST} pairs of zero or more")
    try:
        chosen = tuple((float(r), float(g)) for r, g in weights)
    except (TypeError, ValueError) as found:
        raise wrong from found
    if not 0 < len(chosen) <= normal.LARGEST or not all(0.0 <= w < math.inf for pair in chosen for w in pair):
        raise wrong
    formula, data = as_formula(formula, data, time=time, event=event, censor=censor, arm=arm, strata=strata)
    read, levels, code, keep, left_out = _groups(formula, data)
    if len(levels) > 2:
        raise DataError(
            f"{_group(read)!r} has {len(levels)} levels ({', '.join(map(str, levels))})", hint="compare two groups"
        )
    z, correlation, largest, _, made = max_combo_kernel.max_combo(
        read.time[None],
        read.event[None],
        code[None],
        chosen,
        include=keep[None],
        stratum=read.stratum[None],
        alternative=alternative,
        tolerance=1.0,
    )
    status = Status(int(made[0]))
    z, correlation, statistic = z[0], correlation[0], float(largest[0])
    side = {"two-sided": np.abs(z), "benefit": -z, "harm": z}[alternative]
    p, error, best, both = math.nan, math.nan, None, alternative == "two-sided"
    if status is Status.OK:
        best = chosen[int(np.argmax(side))]
        p, error = normal.tail_of_largest(statistic, np.ascontiguousarray(correlation), both, tolerance)
    each = np.asarray(special.ndtr(-side) * (2.0 if both else 1.0), dtype=np.float64)
    m = len(levels)
    return MaxCombo(
        tuple(levels),
        np.bincount(code[keep], minlength=m)[:m],
        np.bincount(code[keep & read.event], minlength=m)[:m],
        chosen,
        z,
        correlation,
        each,
        statistic,
        best,
        float(p),
        float(error),
        alternative,
        read.strata,
        left_out,
        status,
        backend=nw.get_native_namespace(read.frame),
    )
