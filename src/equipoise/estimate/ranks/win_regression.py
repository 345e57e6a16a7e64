"""Regression of wins: the proportional win-fractions model of Mao & Wang (2021).

Of two patients, the odds that the first wins - given that the hierarchy of outcomes decides between them - are
``exp(beta'(z_1 - z_2))``: ``exp(beta)`` is the win ratio a unit of a covariate, the others held. Equations and
sources in ``docs/methods/win.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.columns import coded
from equipoise.estimate.fit import Fit, number, p_value
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.estimate.ranks.kernels import win_regression as kernel
from equipoise.estimate.ranks.win import Layer, read_layers
from equipoise.estimate.result import Estimate, check_level
from equipoise.estimate.survival.surv_formula import combined
from equipoise.types import REASONS, FloatArray, Status

MAO = "Mao & Wang 2021, Biometrics 77:1272"
WANG = "Wang & Mao 2022, Stat Med 41:5305"

_DETAIL = {
    Status.NO_DATA: "not estimable: no patient has an outcome and all covariates",
    Status.NO_EVENTS: "not estimable: every pair is tied",
    Status.SINGULAR: "not estimable: the covariates do not vary, determine each other, or outnumber the patients",
    Status.BOUNDARY: "not estimable: the covariates separate those who win from those who lose",
}


@dataclass(frozen=True, eq=False)
class WinRegression(Fit):
    """A fitted proportional win-fractions model.

    covariates : (p,) names, a category as an indicator for each level but the first. estimates : (p,) win ratio a
    unit of
    each. beta : (p,) their logarithms; vcov : (p, p) covariance of them. n : patients. decided, tied : pairs of all
    patients, of one stratum where there are strata.
    layers : pairs that each outcome decided, by name. left_out : rows that take no part, by reason.
    """

    covariates: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    beta: FloatArray
    vcov: FloatArray
    n: int
    decided: int
    tied: int
    layers: dict[str, int]
    status: Status
    backend: Any
    left_out: LeftOut

    def __getitem__(self, name: str) -> Estimate:
        if name not in self.covariates:
            raise EstimationError(f"no covariate {name!r}", hint="covariates are " + ", ".join(self.covariates))
        return self.estimates[self.covariates.index(name)]

    def test(self, names: Sequence[str] | None = None) -> tuple[float, int, float]:
        """Wald test that the covariates named (all of them by default) do not matter: chi-square, df and p-value."""
        for name in names or ():
            self[name]  # raises for one that is not there
        chosen = [k for k, name in enumerate(self.covariates) if names is None or name in names]
        if self.status is not Status.OK:
            return math.nan, len(chosen), math.nan
        b = self.beta[chosen]
        statistic = float(b @ np.linalg.solve(self.vcov[np.ix_(chosen, chosen)], b))
        return statistic, len(chosen), float(special.chdtrc(len(chosen), statistic))

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "patients", str(self.n)
        yield "pairs", f"{self.decided} decided, {self.tied} tied"
        yield "decided by", ", ".join(f"{name} {count}" for name, count in self.layers.items())
        chi_square, df, p = self.test()
        if self.status is Status.OK:
            yield "Wald", f"chi-square {number(chi_square)} on {df} df, p {p_value(p)}"


def win_regression(
    data: Any,
    hierarchy: Sequence[Layer],
    covariates: Sequence[str],
    *,
    strata: str | Sequence[str] = (),
    level: float = 0.95,
    estimand: str | None = None,
) -> WinRegression:
    """Fit the proportional win-fractions model.

    Parameters
    ----------
    data : one row a patient; pandas, polars or pyarrow. A patient without any outcome, or without a covariate, takes no
        part.
    hierarchy : outcomes, the most important first, as in :func:`win_statistics`. All pairs of
        patients are compared, also those of one arm.
    covariates : columns, the arm among them. strata : columns; pairs of one stratum alone are compared, and a stratum
        of n patients weighs its pairs by 1 / (n - 1).

    Returns
    -------
    WinRegression. What cannot be estimated says why.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Notes
    -----
    The model says that win ratios do not depend on how long patients are compared. Ties take no part. Standard errors
    are those of a U-statistic, as a pair of patients is not independent of another that shares one with it.

    Examples
    --------
    >>> import polars as pl
    >>> from equipoise.estimate.ranks.win import Time, Value
    >>> frame = pl.DataFrame({"T": [9, 4, 9, 9, 6, 9, 2, 9] * 3, "D": [0, 1, 0, 0, 1, 0, 1, 0] * 3,
    ...                       "CHG": [-2, -9, -4, -3, -5, -4, -9, -6] * 3, "ARM": list("aaaapppp") * 3,
    ...                       "AGE": list(range(40, 64))})
    >>> fit = win_regression(frame, [Time("T", event="D"), Value("CHG")], ["ARM", "AGE"])
    >>> fit.covariates, fit.n, fit.decided, fit.tied
    (('ARM[p]', 'AGE'), 24, 243, 33)
    """
    if isinstance(hierarchy, Layer | str):
        raise EstimationError(f"{hierarchy!r} is no hierarchy", hint="give a list of outcomes")
    if not hierarchy:
        raise EstimationError("a hierarchy without outcomes", hint="give at least one, the most important first")
    if not covariates:
        raise EstimationError("a regression without covariates", hint="name at least one, such as the arm")
    check_level(level)
    frame = read_frame(data)
    read = read_layers(frame, hierarchy)
    z, names, _ = coded(frame, covariates)
    sieve = Sieve(len(frame))
    sieve.need(read.known, "without any outcome")
    sieve.need(~np.asarray(np.isnan(z).any(axis=1), np.bool_), f"without {' or '.join(covariates)}")
    within = (strata,) if isinstance(strata, str) else tuple(strata)
    require(frame, within)
    stratum, _ = combined(frame, within)
    sieve.need(stratum >= 0, f"without {' or '.join(within)}")
    include = read.known & (stratum >= 0)
    beta, vcov, layers, n, code = kernel.win_regression(
        read.value[None],
        z[None],
        kinds=read.kinds,
        event=read.event[None],
        margins=read.margins,
        signs=read.signs,
        include=include[None],
        recurrent=read.recurrent[None],
        stratum=np.maximum(stratum, 0)[None] if within else None,
    )
    status, people = Status(int(code[0])), int(n[0])
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.diagonal(vcov[0]))
    estimates = tuple(
        Estimate.from_t(
            f"{name} a unit",
            "proportional win-fractions regression" + (f", stratified by {', '.join(within)}" if within else ""),
            float(beta[0, k]),
            float(se[k]),
            math.inf,
            people,
            level=level,
            ratio=True,
            scale="win ratio",
            estimand=estimand,
            status=status,
            detail=None if status is Status.OK else _DETAIL.get(status, REASONS[status]),
            references=(MAO, WANG) if within else (MAO,),
            term=name,
        )
        for k, name in enumerate(names)
    )
    decided = int(layers[0].sum())
    size = np.bincount(stratum[sieve.keep]) if sieve.keep.any() else np.zeros(0, np.int64)
    pairs = int((size * (size - 1) // 2).sum())
    return WinRegression(
        names,
        estimates,
        beta[0],
        vcov[0],
        people,
        decided,
        pairs - decided,
        {name: int(count) for name, count in zip(read.names, layers[0], strict=True)},
        status,
        nw.get_native_namespace(frame),
        sieve.left_out,
    )
