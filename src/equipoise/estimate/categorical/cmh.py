"""Tests of arm and answer in strata: Cochran-Mantel-Haenszel (three of them), Breslow-Day, McNemar, exact tests.

Equations, and what SAS and R call things, in ``docs/methods/binary.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special, stats

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.categorical import two_by_two as counts
from equipoise.estimate.categorical.answers import asked, read_answers
from equipoise.estimate.categorical.exact import DRAWN, fisher_freeman_halton, fisher_monte_carlo
from equipoise.estimate.categorical.two_by_two import Counts
from equipoise.estimate.fit import Fit, MadeAgain
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.indicators import flags_of
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import FloatArray, Status

MANTEL = "Mantel & Haenszel 1959, J Natl Cancer Inst 22:719"
TARONE = "Tarone 1985, Biometrika 72:91"
SCORES = ("table", "rank", "modridit")
TESTS = ("chi-square", "fisher", "barnard", "boschloo")


@dataclass(frozen=True, eq=False)
class CmhTests(Fit):
    """Cochran-Mantel-Haenszel tests of arm and answer in strata.

    correlation : both in order (1 df). row_means : the answers in order (arms - 1 df). general : neither in order.
    odds_ratio : of two arms and two answers, Mantel & Haenszel's, with Robins, Breslow & Greenland's limits;
    breslow_day, tarone : that it is the same in all strata. All None where they do not apply. table : (stratum, arm,
    answer) counts.
    """

    correlation: Estimate
    row_means: Estimate
    general: Estimate
    odds_ratio: Estimate | None
    breslow_day: Estimate | None
    tarone: Estimate | None
    arms: tuple[Any, ...]
    answers: tuple[Any, ...]
    strata: tuple[str, ...]
    table: FloatArray
    left_out: LeftOut
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The three tests; of two arms and two answers the odds ratio and the tests that it is common."""
        more = (self.odds_ratio, self.breslow_day, self.tarone)
        return (self.correlation, self.row_means, self.general, *(e for e in more if e is not None))

    def _title(self) -> str:
        return "Cochran-Mantel-Haenszel tests"

    def _drawn(self) -> Any:
        """The odds ratio; tests estimate nothing."""
        if self.odds_ratio is None:
            raise EstimationError(f"{self._title()}: tests alone, nothing to draw", hint="print the result")
        return (self.odds_ratio,)

    def _facts(self) -> Iterator[tuple[str, str]]:
        for g, arm in enumerate(self.arms):
            own = self.table[:, g].sum(axis=0)
            yield str(arm), ", ".join(f"{int(n)} {a}" for a, n in zip(self.answers, own, strict=True))


def cmh(
    formula: Any = None,
    data: Any = None,
    *,
    response: str | None = None,
    arm: str | None = None,
    control: Any = None,
    strata: str | Sequence[str] = (),
    scores: str | Mapping[Any, float] = "table",
    level: float = 0.95,
) -> CmhTests:
    """Cochran-Mantel-Haenszel tests of any number of arms and answers.

    Parameters
    ----------
    formula : ``RESP ~ TRT01P + strata(SITE)``; or leave it out, give the data first and name the columns.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a value take no part.
    response : categories or numbers, in their order. arm : TRT01P where it is not given; its levels in their order.
    strata : columns.
    scores : of the answers: ``table`` (numbers as they are, categories 1, 2, ...), ``rank`` (mean ranks in a stratum),
        ``modridit`` (those over N + 1: van Elteren's test), or a score for each answer. Arms have ``table`` scores.

    Returns
    -------
    CmhTests. A test without degrees of freedom, or without any variation, says so.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> cells = {("f", "b", 1): 16, ("f", "b", 0): 11, ("f", "a", 1): 5, ("f", "a", 0): 20,
    ...          ("m", "b", 1): 12, ("m", "b", 0): 16, ("m", "a", 1): 7, ("m", "a", 0): 19}
    >>> rows = [key for key, n in cells.items() for _ in range(n)]
    >>> made = cmh("RESP ~ ARM + strata(SEX)", pl.DataFrame(rows, schema=["SEX", "ARM", "RESP"], orient="row"))
    >>> round(made.general.statistic, 4), round(made.odds_ratio.estimate, 4), round(made.breslow_day.statistic, 4)
    (8.3052, 3.3132, 1.4929)
    """
    check_level(level)
    data, response, arm, names = asked(formula, data, response, arm, strata)
    read = read_answers(data, response, arm, names, control=control, binary=False)
    table = read.table()
    columns = _scores(read.answers, scores)
    rows = _numbers(read.arms)
    by = f", stratified by {', '.join(names)}" if names else ""
    n = int(table.sum())
    tests = {}
    for name, kind in (
        ("nonzero correlation", "correlation"),
        ("row means differ", "means"),
        ("general association", "general"),
    ):
        q, df = statistic(table, kind, rows, columns if isinstance(columns, np.ndarray) else str(scores))
        tests[kind] = _chi_square(name, f"Cochran-Mantel-Haenszel{by}, {df} df", q, df, n)
    ratio = breslow = tarone = None
    if table.shape[1:] == (2, 2):
        c = Counts(table[:, 1, 1], table[:, 1].sum(axis=1), table[:, 0, 1], table[:, 0].sum(axis=1))
        ratio = _odds_ratio(c, tuple(map(str, read.arms)), level, by)
        if len(table) > 1:
            breslow, tarone = _homogeneity(c, ratio, n)
    return CmhTests(
        tests["correlation"],
        tests["means"],
        tests["general"],
        ratio,
        breslow,
        tarone,
        read.arms,
        read.answers,
        names,
        table,
        read.left_out,
        read.backend,
    )


def _chi_square(name: str, how: str, q: float, df: int, n: int) -> Estimate:
    there = df > 0 and math.isfinite(q)
    p = float(special.chdtrc(df, q)) if there else math.nan
    return Estimate.of_test(
        name,
        how,
        p,
        n,
        statistic=q if there else math.nan,
        df=float(df),
        detail=None if there else "not estimable: one arm, one answer, or no stratum in which both vary",
        status=Status.OK if there else Status.SINGULAR if n else Status.NO_DATA,
    )


def _numbers(levels: Sequence[Any]) -> FloatArray:
    """Scores of levels: numbers as they are, others 1, 2, ..."""
    if levels and all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels):
        return np.array(levels, np.float64)
    return np.arange(1.0, len(levels) + 1.0)


def _scores(answers: Sequence[Any], scores: str | Mapping[Any, float]) -> FloatArray | None:
    """The scores of the answers, None where they depend on the stratum."""
    if isinstance(scores, Mapping):
        absent = [a for a in answers if a not in scores]
        if absent:
            raise EstimationError(f"no score for {absent[0]!r}", hint="answers are " + ", ".join(map(str, answers)))
        return np.array([float(scores[a]) for a in answers])
    if scores not in SCORES:
        raise EstimationError(f"unknown scores {scores!r}", hint="choose one of " + ", ".join(SCORES))
    return _numbers(answers) if scores == "table" else None


def statistic(table: FloatArray, kind: str, rows: FloatArray, columns: FloatArray | str) -> tuple[float, int]:
    """Chi-square and degrees of freedom of (stratum, arm, answer) counts (Landis, Heyman & Koch 1978).

    kind : ``correlation``, ``means`` or ``general``. rows : (arm,) scores. columns : (answer,) scores, or ``rank`` or
    ``modridit``.
    """
    r, k = table.shape[1:]
    here = table.sum(axis=0)
    used_rows, used_columns = here.sum(axis=1) > 0, here.sum(axis=0) > 0
    table, rows = table[:, used_rows][:, :, used_columns], rows[used_rows]
    columns = columns[used_columns] if isinstance(columns, np.ndarray) else columns
    r, k = table.shape[1:]
    if r < 2 or k < 2:
        return math.nan, 0
    size = {"correlation": 1, "means": r - 1, "general": (r - 1) * (k - 1)}[kind]
    top, spread = np.zeros(size), np.zeros((size, size))
    for one in table:
        n = one.sum()
        if n < 2.0:
            continue
        row, column = one.sum(axis=1), one.sum(axis=0)
        expected = np.outer(row, column) / n
        between, within = np.diag(row) * n - np.outer(row, row), np.diag(column) * n - np.outer(column, column)
        if isinstance(columns, np.ndarray):
            score = columns
        else:
            score = np.cumsum(column) - column / 2.0 + 0.5
            score = score / (n + 1.0) if columns == "modridit" else score
        a = rows[None] if kind == "correlation" else np.eye(r)[: r - 1]
        b = np.eye(k)[: k - 1] if kind == "general" else score[None]
        both = np.kron(a, b)
        top += both @ (one - expected).ravel()
        spread += both @ np.kron(between, within) @ both.T / (n**2 * (n - 1.0))
    rank = int(np.linalg.matrix_rank(spread)) if spread.any() else 0
    if rank == 0:
        return math.nan, 0
    return float(top @ np.linalg.pinv(spread) @ top), rank


def _odds_ratio(c: Counts, arms: tuple[str, ...], level: float, by: str) -> Estimate:
    w = c.weights
    value, se = float(counts.estimate(c, "odds_ratio", w)), float(counts.error(c, "odds_ratio", w))
    name = f"{arms[1]} / {arms[0]}"
    there = math.isfinite(value) and value > 0.0
    return Estimate.from_t(
        name,
        "Mantel-Haenszel" + by,
        math.log(value) if there else math.nan,
        se,
        math.inf,
        int(c.n1.sum() + c.n0.sum()),
        level=level,
        ratio=True,
        scale="odds ratio",
        status=Status.OK if there else Status.ONE_ARM_EVENTS,
        detail=None if there else "not estimable: the common odds ratio is 0 or infinite",
        references=(MANTEL, "Robins, Breslow & Greenland 1986, Biometrics 42:311"),
        term="odds ratio",
        contrast=name,
    )


def _homogeneity(c: Counts, ratio: Estimate, n: int) -> tuple[Estimate, Estimate]:
    """Breslow & Day's chi-square (1980, Statistical Methods in Cancer Research I, section 4.4) at the common odds ratio
    of Mantel and Haenszel, and Tarone's correction."""
    x = c.x1 + c.x0
    use = (c.n1 > 0) & (c.n0 > 0) & (x > 0) & (x < c.n1 + c.n0)
    df = int(use.sum()) - 1
    q = t = math.nan
    if ratio.estimable and df > 0:
        psi = ratio.estimate
        x1, n1, n0, m = c.x1[use], c.n1[use], c.n0[use], x[use]
        a = 1.0 - psi
        b = n0 - m + psi * (n1 + m)
        k = -psi * n1 * m
        root = np.sqrt(b * b - 4.0 * a * k)
        e = 2.0 * -k / (b + root)  # the root between the bounds, also as psi nears 1
        v = 1.0 / (1 / e + 1 / (n1 - e) + 1 / (m - e) + 1 / (n0 - m + e))
        q = float(((x1 - e) ** 2 / v).sum())
        t = q - float((x1 - e).sum()) ** 2 / float(v.sum())
    made = (
        _chi_square(name, f"{how}, {df} df", value, df, n)
        for name, how, value in (
            ("odds ratio the same in all strata", "Breslow-Day", q),
            ("odds ratio the same in all strata (Tarone)", "Breslow-Day with Tarone's correction", t),
        )
    )
    first, second = made
    return first, second


# -- a table without strata ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TableTest(Fit):
    """The test of a table of arms by answers. table : (arm, answer) counts; ``p`` its p-value."""

    estimate: Estimate
    table: FloatArray
    arms: tuple[Any, ...]
    answers: tuple[Any, ...]
    left_out: LeftOut
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The test."""
        return (self.estimate,)

    @property
    def p(self) -> float:
        return self.estimate.p

    def _facts(self) -> Iterator[tuple[str, str]]:
        for arm, own in zip(self.arms, self.table, strict=True):
            yield str(arm), ", ".join(f"{int(n)} {a}" for a, n in zip(self.answers, own, strict=True))


def table_test(
    formula: Any = None, data: Any = None, *, response: str | None = None, arm: str | None = None, test: str = "fisher"
) -> TableTest:
    """Test a table of arms by answers, without strata.

    Parameters
    ----------
    formula : ``RESP ~ TRT01P``; or leave it out, give the data first and name ``response`` and ``arm``.
    test : ``chi-square`` (Pearson, uncorrected), ``fisher`` (of any size: Freeman & Halton; too large to count, from
        100,000 tables drawn with its margins), or of two by two ``barnard`` (unpooled variance) or ``boschloo``, exact
        without fixing the answers' margin.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"RESP": [1] * 7 + [0] * 8 + [1] * 12 + [0] * 3, "ARM": ["a"] * 15 + ["b"] * 15})
    >>> [round(table_test("RESP ~ ARM", frame, test=t).p, 4) for t in ("chi-square", "fisher", "barnard", "boschloo")]
    [0.0582, 0.1281, 0.0682, 0.0682]
    """
    if test not in TESTS:
        raise EstimationError(f"unknown test {test!r}", hint="choose one of " + ", ".join(TESTS))
    data, response, arm, names = asked(formula, data, response, arm, ())
    if names:
        raise EstimationError("strata in the test of one table", hint="use cmh()")
    read = read_answers(data, response, arm, binary=False)
    table = read.table()[0]
    return TableTest(tested(table, test), table, read.arms, read.answers, read.left_out, read.backend)


_NAMED = {
    "chi-square": "Pearson's chi-square test",
    "fisher": "Fisher's exact test",
    "barnard": "Barnard's exact test",
    "boschloo": "Boschloo's exact test",
}


def tested(table: FloatArray, test: str) -> Estimate:
    """The test of a table (row, column) of counts; rows and columns without anybody take no part.

    Raises :class:`EstimationError` for Barnard's and Boschloo's of more than two rows or columns.
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    n, how, detail = int(table.sum()), _NAMED[test], None
    if test in ("barnard", "boschloo") and max(table.shape) > 2:
        raise EstimationError(f"{how} of {table.shape[0]} by {table.shape[1]}", hint="it is of two by two; use fisher")
    p = value = df = math.nan
    if min(table.shape) < 2:
        detail = "not estimable: the table has one level, or one arm, with subjects"
    elif test == "chi-square":
        found = stats.chi2_contingency(table, correction=False)
        p, value, df = float(found.pvalue), float(found.statistic), float(found.dof)
        how += f", {int(df)} df"
    elif test == "fisher":
        exact = float(stats.fisher_exact(table.astype(np.int64)).pvalue) if table.shape == (2, 2) else None
        exact = fisher_freeman_halton(table.astype(np.int64)) if exact is None else exact
        if exact is None:
            exact, se = fisher_monte_carlo(table.astype(np.int64))
            detail = f"from {DRAWN:,} tables drawn with its margins (standard error {se:.2g})"
        p = exact
    elif test == "barnard":
        made = stats.barnard_exact(table.astype(np.int64).T, pooled=False)  # SciPy's columns are the samples
        p, value = float(made.pvalue), float(made.statistic)
    else:
        p = float(stats.boschloo_exact(table.astype(np.int64).T).pvalue)
    status = Status.OK if not math.isnan(p) else Status.SINGULAR if n else Status.NO_DATA
    return Estimate.of_test("arm and answer", how, p, n, statistic=value, df=df, detail=detail, status=status)


# -- pairs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PairedProportions(MadeAgain):
    """Yes or no twice in the same patients: the change of the share, the odds ratio, McNemar's tests.

    table : (2, 2) counts, first answer by second. difference : second minus first, with the limits of Newcombe (1998b,
    method 10). odds_ratio : of those who changed, with exact limits. test : McNemar's chi-square, without correction;
    exact : the binomial test of those who changed.
    """

    difference: Estimate
    odds_ratio: Estimate
    test: Estimate
    exact: Estimate
    table: FloatArray
    left_out: LeftOut
    backend: Any
    _again: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Difference, odds ratio and the two tests."""
        return (self.difference, self.odds_ratio, self.test, self.exact)

    def _title(self) -> str:
        return "Paired proportions"

    def _drawn(self) -> Any:
        """The difference; the odds ratio is on another axis."""
        return (self.difference,)

    def _facts(self) -> Iterator[tuple[str, str]]:
        (a, b), (c, d) = self.table.astype(int)
        yield "No to yes, yes to no", f"{b}, {c}"
        yield "Twice yes, twice no", f"{d}, {a}"


def mcnemar(data: Any, first: str, second: str, *, level: float = 0.95) -> PairedProportions:
    """Compare two answers of the same patients.

    Parameters
    ----------
    data : one row a patient; pandas, polars or pyarrow. first, second : columns of 1 and 0; rows without both take no
        part.

    Raises
    ------
    DataError : a column is absent or holds something else.

    Examples
    --------
    >>> import polars as pl
    >>> made = mcnemar(pl.DataFrame({"A": [1] * 10 + [0] * 20, "B": [1] * 8 + [0] * 2 + [1] * 9 + [0] * 11}), "A", "B")
    >>> round(made.difference.estimate, 4), round(made.test.p, 4), round(made.exact.p, 4)
    (0.2333, 0.0348, 0.0654)
    """
    check_level(level)
    frame = read_frame(data)
    require(frame, [first, second])
    if first == second:
        raise DataError(f"{first!r} twice", hint="name two columns")
    a, b = flags_of(frame, first), flags_of(frame, second)
    sieve = Sieve(len(frame))
    sieve.need(~np.isnan(a), f"without {first}")
    sieve.need(~np.isnan(b), f"without {second}")
    table = np.zeros((2, 2))
    np.add.at(table, (a[sieve.keep].astype(np.int64), b[sieve.keep].astype(np.int64)), 1.0)

    def again(asked_level: float) -> PairedProportions:
        made = paired(table, f"{second} - {first}", asked_level)
        return PairedProportions(*made, table, sieve.left_out, nw.get_native_namespace(frame), again)

    return again(level)


def paired(table: FloatArray, name: str, level: float) -> tuple[Estimate, Estimate, Estimate, Estimate]:
    """Difference, odds ratio, McNemar's test and the exact one of (first, second) counts."""
    nan, n = math.nan, float(table.sum())
    neither, gained, lost, both = (float(v) for v in table.ravel())
    changed = gained + lost
    z = (gained - lost) / math.sqrt(changed) if changed else nan
    p = 2.0 * float(special.ndtr(-abs(z))) if changed else nan
    exact = float(stats.binomtest(int(gained), int(changed)).pvalue) if changed else nan
    status, why = (Status.OK, None) if changed else (Status.NO_EVENTS, "not estimable: nobody changed")
    how: dict[str, Any] = {"n": int(n), "level": level, "df": math.inf if changed else nan}
    low = high = value = nan
    if changed:
        z_level = counts.quantile(level)
        first, second = (lost + both) / n, (gained + both) / n
        value = second - first
        (l1, u1), (l0, u0) = (
            tuple(float(v) for v in counts.wilson(np.array(x), np.array(n), z_level))
            for x in (gained + both, lost + both)
        )
        margins = (gained + both) * (lost + neither) * (lost + both) * (gained + neither)
        phi = 0.0
        if margins > 0.0:
            top = both * neither - gained * lost
            top = max(top - n / 2.0, 0.0) if top > 0.0 else top
            phi = top / math.sqrt(margins)
        below = (second - l1) ** 2 - 2 * phi * (second - l1) * (u0 - first) + (u0 - first) ** 2
        above = (u1 - second) ** 2 - 2 * phi * (u1 - second) * (first - l0) + (first - l0) ** 2
        low, high = value - math.sqrt(max(below, 0.0)), value + math.sqrt(max(above, 0.0))
    difference = Estimate(
        name,
        "Newcombe, pairs",
        value,
        math.sqrt(max(changed / n**2 - value**2 / n, 0.0)) or nan if changed else nan,
        low=low,
        high=high,
        p=p,
        scale="difference in proportions",
        status=status,
        detail=why,
        form="inverted",
        statistic=z,
        references=("Newcombe 1998, Stat Med 17:2635",),
        term="difference in proportions",
        contrast=name,
        **how,
    )
    odds, ends = (gained / lost if lost else math.inf, (nan, nan)) if changed else (nan, (nan, nan))
    if changed:
        share = counts.clopper_pearson(np.array(gained), np.array(changed), level)
        with np.errstate(divide="ignore"):
            ends = tuple(float(np.divide(s, 1.0 - s)) for s in share)  # type: ignore[assignment]
    there = changed and lost
    ratio = Estimate(
        name.replace(" - ", " / "),
        "conditional, exact limits",
        odds,
        math.sqrt(1 / gained + 1 / lost) if gained and lost else nan,
        low=ends[0],
        high=ends[1],
        p=exact,
        scale="odds ratio",
        ratio=True,
        status=Status.OK if there else Status.NO_EVENTS if not changed else Status.ONE_ARM_EVENTS,
        detail=None if there else why or "not estimable: nobody changed from yes to no",
        form="inverted",
        statistic=z,
        term="odds ratio",
        contrast=name.replace(" - ", " / "),
        **how,
    )
    test = Estimate.of_test(
        "change", "McNemar's test, 1 df", p, int(n), statistic=z * z, df=1.0, detail=why, status=status
    )
    binomial = Estimate.of_test("change (exact)", "binomial test", exact, int(n), detail=why, status=status)
    return difference, ratio, test, binomial
