"""Every criterion put to one literature of trials: 1 where it validates, -1 where it rejects, 0 where it cannot
tell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import special

from equipoise.surrogate.daniels import Prior, posterior
from equipoise.surrogate.kernels import bivariate as kernel
from equipoise.surrogate.ratios import of_correlation
from equipoise.surrogate.trials import Rows, bivariate_line, fit_rows, least_squares_line
from equipoise.surrogate.verdict import HIGH, LEAST_TRIALS, LOW, by_correlation
from equipoise.types import FloatArray, Status

PRENTICE = "Prentice's criteria in a majority of trials"
ASSOCIATION = "marker and function go together within arms, in a majority of trials"
PROPORTION = "proportion explained, lower limit above 0.5, in a majority of trials"
SLOPE = "regression of effects, slope at P < 0.05"
R2 = "R squared of effects 0.75 or more, not corrected"
FISHER = "IQWiG, correlation of effects not corrected"
PROFILE = "IQWiG, bivariate model, 95 %"
HINT = "IQWiG, bivariate model, 80 % (a hint)"
DANIELS = "Daniels & Hughes, a slope and no intercept"
THRESHOLD = "threshold that a trial lies beyond, Knapp-Hartung"
CORRECTED = "threshold that a trial lies beyond, bivariate model"
CRITERIA = (PRENTICE, ASSOCIATION, PROPORTION, SLOPE, R2, FISHER, PROFILE, HINT, DANIELS, THRESHOLD, CORRECTED)
_SAID = {"proven": 1, "lack proven": -1, "unclear": 0}


def judged(rows: Rows, tests: FloatArray) -> Mapping[str, int]:
    """What each criterion says of a literature.

    tests : (trial, 5) P values of Prentice's first, third and fourth tests, and the limits of the proportion explained,
    NaN where it is refused. Criteria of the trial level say nothing below five trials. The likelihood reduction factor
    and the causal association have no accepted limit, and are not among the criteria.

    >>> import numpy as np
    >>> none = np.empty(0)
    >>> sorted(set(judged(Rows((), none, none, none, none, none), np.empty((0, 5))).values()))
    [0]
    """
    said = dict.fromkeys(CRITERIA, 0)
    k = len(rows)
    if k:
        passed = (tests[:, 0] < 0.05) & (tests[:, 1] < 0.05) & (tests[:, 2] >= 0.05)
        contradicted = (tests[:, 0] < 0.05) & (tests[:, 2] < 0.05)
        said[PRENTICE] = 1 if passed.sum() > k / 2 else -1 if contradicted.sum() > k / 2 else 0
        said[ASSOCIATION] = 1 if (tests[:, 1] < 0.05).sum() > k / 2 else 0
        shares = (tests[:, 3] > 0.5).sum() > k / 2, (tests[:, 4] < 0.5).sum() > k / 2
        said[PROPORTION] = 1 if shares[0] else -1 if shares[1] else 0
    if k < LEAST_TRIALS:
        return said
    fit = fit_rows(rows)
    if fit.status in (Status.NO_VARIANCE, Status.NO_DATA, Status.NOT_CONVERGED):
        return said
    _, slope, r2 = least_squares_line(rows.s, rows.t, np.ones(k))
    r = math.copysign(math.sqrt(r2), slope)
    statistic = abs(r) * math.sqrt((k - 2) / max(1.0 - r2, 1e-12))
    if 2.0 * float(special.stdtr(k - 2, -statistic)) < 0.05 and slope < 0.0:
        said[SLOPE] = 1
    said[R2] = 1 if r2 >= 0.75 and slope < 0.0 else -1 if r2 < 0.25 else 0
    interval = of_correlation("r", "", r, k, 0.95)
    said[FISHER] = _signed(interval.low, interval.high)
    for name, level in ((PROFILE, 0.95), (HINT, 0.80)):
        said[name] = (
            _profile(rows, fit.rho, fit.sd, fit.loglik, level) if fit.status is not Status.NOT_IDENTIFIED else 0
        )
    said[DANIELS] = _daniels(rows)
    line = bivariate_line(rows, fit) if fit.status is Status.OK else None
    if line is not None and line.slope < 0.0:
        near = rows.s + 1.96 * np.sqrt(rows.vs)
        said[CORRECTED] = 1 if any(x < 0.0 and line.interval(float(x), 0.95)[0] > 0.0 for x in near) else 0
    out, cov = np.empty(4), np.empty((2, 2))
    kernel.meta_regression(rows.s, rows.t, rows.vt, out, cov)
    if out[1] < 0.0:
        half = float(special.stdtrit(k - 2, 0.975))
        x = rows.s + 1.96 * np.sqrt(rows.vs)  # the end of the interval that is nearer to none
        spread = cov[0, 0] + 2.0 * x * cov[0, 1] + x * x * cov[1, 1]
        low = out[0] + out[1] * x - half * np.sqrt(np.maximum(spread * max(1.0, float(out[3])) + out[2], 0.0))
        said[THRESHOLD] = 1 if ((low > 0.0) & (x < 0.0)).any() else 0
    return said


def _daniels(rows: Rows) -> int:
    """Their conditions: the slope's interval excludes none and the intercept's holds it; an intercept away from none
    says that effects come by another path."""
    found = posterior(*rows.arrays, Prior("half-normal", float(rows.t.std(ddof=1))), points=(121, 24))
    mean, sd = found.intercept
    if abs(mean) > 1.96 * sd:
        return -1
    return 1 if found.slope_quantile(0.975) < 0.0 else 0


def _signed(low: float, high: float) -> int:
    """IQWiG's rule; a correlation with the wrong sign (less marker, worse function) validates nothing."""
    found = _SAID[by_correlation(low, high)]
    return 0 if found == 1 and low > 0.0 else found


def _profile(rows: Rows, rho: float, sd: tuple[float, float], top: float, level: float) -> int:
    """IQWiG's rule on the profile-likelihood interval, which need not be found: only where its ends lie is asked."""
    drop = 0.5 * float(special.chdtri(1, 1.0 - level))
    begin = np.array(sd)

    def outside(at: float) -> bool:
        return top - float(kernel.profile(at, *rows.arrays, True, begin)) > drop

    if rho < -HIGH and outside(-HIGH):
        return 1
    if abs(rho) < LOW and outside(-LOW) and outside(LOW):
        return -1
    return 0
