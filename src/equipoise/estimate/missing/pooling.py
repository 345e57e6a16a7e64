"""From the analyses of completed data sets to one estimate: Rubin's rules, jackknife, bootstrap, bootstrapped MI.

Equations and what R's rbmi and SAS do in ``docs/methods/imputation.md``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from equipoise.errors import EstimationError
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray

RUBIN = "Rubin 1987, Multiple Imputation for Nonresponse in Surveys, section 3.3"
BARNARD_RUBIN = "Barnard & Rubin 1999, Biometrika 86:948"
EFRON = "Efron & Tibshirani 1994, An Introduction to the Bootstrap, chapters 11 and 13"
VON_HIPPEL = "von Hippel & Bartlett 2021, Stat Sci 36:400"

NO_MISSING = ("analysis", "formula")


def pool(
    estimates: npt.ArrayLike,
    standard_errors: npt.ArrayLike,
    df: float = np.inf,
    *,
    name: str = "pooled estimate",
    n: int = 0,
    level: float = 0.95,
    ratio: bool = False,
    scale: str | None = None,
    estimand: str | None = None,
    no_missing: str = "analysis",
) -> Estimate:
    """Combine the analyses of completed data sets by Rubin's rules.

    Parameters
    ----------
    estimates, standard_errors : (imputation,) from the analysis of each completed data set.
    df : degrees of freedom that the analysis of complete data would have; infinite gives Rubin's (1987) own.
    n : patients analysed. ratio : the estimates are logarithms of ratios.
    no_missing : degrees of freedom where the imputations do not differ at all: those of the ``analysis`` (nu), or what
        Barnard & Rubin's ``formula`` gives then, nu (nu + 1) / (nu + 3), which R's rbmi reports.

    Examples
    --------
    >>> est = pool([1, 2, 3, 4, 5], [2 ** 0.5] * 5, df=20)
    >>> round(est.estimate, 3), round(est.se, 3), round(est.df, 3)
    (3.0, 2.236, 4.407)
    """
    if no_missing not in NO_MISSING:
        raise EstimationError(f"no_missing = {no_missing!r}", hint="choose one of " + ", ".join(NO_MISSING))
    q = np.asarray(estimates, dtype=np.float64)
    s = np.asarray(standard_errors, dtype=np.float64)
    if q.ndim != 1 or q.shape != s.shape or q.size < 2:
        raise EstimationError(
            f"{q.size} estimates and {s.size} standard errors", hint="give one of each per imputation, two or more"
        )
    if not (np.isfinite(q).all() and np.isfinite(s).all() and (s >= 0.0).all()):
        raise EstimationError("an imputation has no estimate or standard error", hint="look at it before pooling")
    # analyses that differ by rounding alone did not differ
    spread = ((q - q.mean()) ** 2).sum()
    if q.max() - q.min() <= 1e-12 * max(1e-300, np.abs(q).max(), s.max()):
        spread = 0.0
    se, pooled_df = repeated.pool(spread, (s * s).mean(), float(q.size), df)
    if no_missing == "formula" and spread == 0.0 and math.isfinite(df):
        pooled_df = df * (df + 1.0) / (df + 3.0)
    return Estimate.from_t(
        name,
        f"Rubin's rules, {q.size} imputations",
        float(q.mean()),
        float(se),
        float(pooled_df),
        n,
        level=level,
        ratio=ratio,
        scale=scale,
        estimand=estimand,
        references=(RUBIN, BARNARD_RUBIN),
    )


def _replicates(values: npt.ArrayLike, full: float, least: int) -> FloatArray:
    q = np.asarray(values, dtype=np.float64)
    if q.ndim != 1 or q.size < least:
        raise EstimationError(f"{q.size} replicates", hint=f"give a list of {least} or more")
    if not (np.isfinite(q).all() and math.isfinite(full)):
        raise EstimationError("a replicate has no estimate", hint="look at it before pooling")
    return q


def pool_jackknife(
    full: float, replicates: npt.ArrayLike, *, name: str = "pooled estimate", **options: Any
) -> Estimate:
    """The estimate of all data, with the variance of leaving out one patient after the other.

    ``V = (n - 1) / n * sum (Q_i - mean Q)^2``, normal distribution. replicates : (patient,) estimates without each.
    Further options (n, level, ratio, scale, estimand) as in :func:`pool`.

    Examples
    --------
    >>> round(pool_jackknife(2.0, [1.5, 2.5, 2.0]).se, 4)
    0.5774
    """
    q = _replicates(replicates, full, 2)
    se = math.sqrt((q.size - 1) / q.size * float(((q - q.mean()) ** 2).sum()))
    options.setdefault("n", q.size)
    n = options.pop("n")
    return Estimate.from_t(
        name, f"jackknife, {q.size} refits", float(full), se, math.inf, n, references=(EFRON,), **options
    )


def pool_bootstrap(
    full: float,
    replicates: npt.ArrayLike,
    *,
    interval: str = "percentile",
    name: str = "pooled estimate",
    n: int = 0,
    level: float = 0.95,
    ratio: bool = False,
    scale: str | None = None,
    estimand: str | None = None,
) -> Estimate:
    """The estimate of all data, with limits from bootstrap samples of patients.

    Parameters
    ----------
    replicates : (sample,) estimates of the bootstrap samples.
    interval : ``percentile`` gives the quantiles of the replicates at k / (B + 1) (Hyndman & Fan's type 6), and p as
        twice the smaller of (1 + replicates below 0) / (B + 1) and the same above; ``normal`` the estimate plus and
        minus the normal quantile of their standard deviation, which is the standard error in both.

    Examples
    --------
    >>> made = pool_bootstrap(1.0, [0.0, 0.5, 1.0, 1.5, 2.0] * 20)
    >>> made.low, made.high
    (0.0, 2.0)
    """
    if interval not in ("percentile", "normal"):
        raise EstimationError(f"interval {interval!r}", hint="choose percentile or normal")
    q = _replicates(replicates, full, 2)
    options: dict[str, Any] = {"level": level, "ratio": ratio, "scale": scale, "estimand": estimand}
    made = Estimate.from_t(
        name,
        f"bootstrap ({interval}), {q.size} samples",
        float(full),
        float(q.std(ddof=1)),
        math.inf,
        n,
        references=(EFRON,),
        **options,
    )
    if interval == "normal":
        return made
    low, high = (float(v) for v in np.quantile(q, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], method="weibull"))
    p = min(1.0, 2.0 * (1 + min(int((q < 0.0).sum()), int((q > 0.0).sum()))) / (q.size + 1))
    if ratio:
        low, high = math.exp(low), math.exp(high)
    return Estimate(
        made.name,
        made.estimator,
        made.estimate,
        made.se,
        made.df,
        low,
        high,
        p,
        n,
        level,
        made.scale,
        estimand,
        references=made.references,
        ratio=ratio,
        statistic=made.statistic,
    )


def pool_bmlmi(estimates: npt.ArrayLike, *, name: str = "pooled estimate", **options: Any) -> Estimate:
    """Combine ``estimates`` (bootstrap sample, imputation) of bootstrapped maximum-likelihood MI.

    A one-way analysis of variance between and within bootstrap samples (von Hippel & Bartlett 2021, section 4). With B
    samples of D imputations, mean squares MSB and MSW: ``V = (1 + 1/B) (MSB - MSW) / D + MSW / (B D)``; degrees of
    freedom by Satterthwaite, at least 3. Further options as in :func:`pool`.

    Examples
    --------
    >>> made = pool_bmlmi([[1.0, 1.2], [2.0, 1.8], [3.0, 3.1], [1.4, 1.5]])
    >>> round(made.estimate, 3), round(made.se, 3)
    (1.875, 0.946)
    """
    q = np.asarray(estimates, dtype=np.float64)
    if q.ndim != 2 or min(q.shape) < 2:
        raise EstimationError(
            f"estimates of shape {q.shape}", hint="give (bootstrap sample, imputation), 2 or more each"
        )
    if not np.isfinite(q).all():
        raise EstimationError("an imputation has no estimate", hint="look at it before pooling")
    b, d = q.shape
    within = float(((q - q.mean(axis=1, keepdims=True)) ** 2).sum()) / (b * (d - 1))
    between = d * float(((q.mean(axis=1) - q.mean()) ** 2).sum()) / (b - 1)
    variance = (1 + 1 / b) * (between - within) / d + within / (b * d)
    n = options.pop("n", 0)
    label = f"bootstrapped MI, {b} samples of {d} imputations"
    if not variance > 0.0:
        if between == 0.0 and within == 0.0:
            variance = 0.0
        else:
            raise EstimationError(
                "imputations differ more within than between bootstrap samples: no variance can be estimated",
                hint="take more bootstrap samples",
            )
    spread = ((b + 1) / (b * d)) ** 2 * between**2 / (b - 1) + within**2 / (b * d * d * (d - 1))
    df = max(3.0, variance**2 / spread) if spread > 0.0 else math.inf
    return Estimate.from_t(
        name, label, float(q.mean()), math.sqrt(variance), df, n, references=(VON_HIPPEL,), **options
    )
