"""Logistic regression: maximum and Firth's penalised likelihood, Wald's and profile limits, standardised effects."""

from __future__ import annotations

from typing import Any

from equipoise.errors import EstimationError
from equipoise.estimate.categorical import glm
from equipoise.estimate.categorical.glm import Problem
from equipoise.estimate.categorical.regression import Regression, made, read_model
from equipoise.estimate.result import check_level

FIRTH = "Firth 1993, Biometrika 80:27"
HEINZE = "Heinze & Schemper 2002, Stat Med 21:2409"
VCOV = ("model", "HC0", "HC1", "HC2", "HC3")


def logistic(
    formula: Any,
    data: Any,
    *,
    interval: str | None = None,
    firth: bool = False,
    vcov: str = "model",
    level: float = 0.95,
    estimand: str | None = None,
) -> Regression:
    """Logistic regression.

    Parameters
    ----------
    formula : ``RESP ~ TRT01P + BASE``, as R writes it; text columns and categories are factors, ``offset(...)`` is
        understood. data : one row a patient; rows that lack a column take no part.
    interval : ``wald`` or ``profile`` (of the likelihood ratio); default ``wald``, with ``firth`` ``profile``.
    firth : penalise the likelihood, for a finite estimate where a group has no responders, or nobody else.
    vcov : ``model``, or HC0 to HC3 for a variance that is robust; not with ``firth`` or profile limits.

    Returns
    -------
    Regression, whose ``estimates`` are odds ratios, and whose ``marginal`` gives standardised shares and their
    differences. Where the likelihood rises for ever its status says so.

    Raises
    ------
    DataError, EstimationError : the formula, a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"R": [0, 0, 1, 0, 1, 1, 0, 1, 1, 0], "X": [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    ...                       "ARM": list("ababababab")})
    >>> fit = logistic("R ~ ARM + X", frame, interval="profile")
    >>> one = fit.coefficient("X")
    >>> [round(v, 3) for v in (one.estimate, one.low, one.high, one.p)]
    [1.246, 0.787, 2.208, 0.355]
    """
    check_level(level)
    interval = interval or ("profile" if firth else "wald")
    if interval not in ("wald", "profile"):
        raise EstimationError(f"unknown interval {interval!r}", hint="choose wald or profile")
    if vcov not in VCOV:
        raise EstimationError(f"unknown vcov {vcov!r}", hint="choose one of " + ", ".join(VCOV))
    if vcov != "model" and (firth or interval == "profile"):
        raise EstimationError(f"{vcov} with {'firth' if firth else 'profile limits'}", hint="leave one of them out")
    read = read_model(formula, data, kind="yes")
    problem = Problem(read.x, read.y, read.offset, "binomial", firth=firth)
    best = glm.fit(problem)
    title = (
        "logistic regression"
        + (", Firth's penalty" if firth else "")
        + (f", {vcov} covariance" if vcov != "model" else "")
    )
    return made(
        read,
        problem,
        best,
        title=title,
        kind="odds ratio",
        vcov=vcov,
        interval=interval,
        level=level,
        estimand=estimand,
        references=(FIRTH, HEINZE) if firth else (),
    )
