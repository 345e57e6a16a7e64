"""A time to an event and its surrogate over many trials: margins joined by a copula, then effects with their errors.

The surrogate is a time to an event too (Burzykowski et al. 2001, J R Stat Soc C 50:405) or a measured value (Alonso et
al. 2016). The second stage is the bivariate random-effects model of :mod:`equipoise.surrogate.trials` on the trials'
effects and their joint covariance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from scipy import optimize, special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import labels, two_arms
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.estimate.ranks.win import Time, Value
from equipoise.estimate.result import Estimate, check_level
from equipoise.surrogate.endpoints import Measured, as_endpoint, read_endpoint
from equipoise.surrogate.kernels import copula as kernel
from equipoise.surrogate.trials import Rows, TrialSurrogacy, least_squares_line, of_rows
from equipoise.types import BoolArray, FloatArray, IntArray, Status

BURZYKOWSKI01 = "Burzykowski et al. 2001, J R Stat Soc C 50:405"
SCALE = "rank correlation"
ALONSO16 = "Alonso et al. 2016, Applied Surrogate Endpoint Evaluation Methods with SAS and R"
SHIH = "Shih & Louis 1995, Biometrics 51:1384"
FAMILIES = ("clayton", "plackett", "hougaard")
_BEGIN = {"clayton": (-6.0, 4.0), "plackett": (-6.0, 8.0), "hougaard": (-6.0, 1.5)}


def to_parameter(family: str, x: float) -> float:
    """The copula's parameter from its unbounded form: ``exp(x)``; of Hougaard ``exp(-exp(x))``, in (0, 1)."""
    return math.exp(-math.exp(x)) if family == "hougaard" else math.exp(x)


def kendall(family: str, theta: float) -> float:
    """Kendall's tau of a copula.

    >>> round(kendall("clayton", 2.0), 6), round(kendall("hougaard", 0.5), 6), round(kendall("plackett", 1.0), 6)
    (0.5, 0.5, 0.0)
    """
    if family == "clayton":
        return theta / (theta + 2.0)
    if family == "hougaard":
        return 1.0 - theta
    if abs(theta - 1.0) < 1e-9:
        return 0.0
    # 4 E C(U, V) - 1, by quadrature over the copula's density: tau = 1 - 4 int C_u C_v
    x, w = np.polynomial.legendre.leggauss(200)
    x, w = 0.5 * (x + 1.0), 0.5 * w
    u, v = x[:, None], x[None, :]
    q = 1.0 + (theta - 1.0) * (u + v)
    root = np.sqrt(q * q - 4.0 * theta * (theta - 1.0) * u * v)
    cu, cv = 0.5 * (1.0 - (q - 2.0 * theta * v) / root), 0.5 * (1.0 - (q - 2.0 * theta * u) / root)
    return float(1.0 - 4.0 * (w[:, None] * w[None, :] * cu * cv).sum())


def spearman(family: str, theta: float) -> float:
    """Spearman's rank correlation of a copula: ``12 E C(U, V) - 3`` over independent U and V.

    >>> round(spearman("plackett", 1.0), 6), round(spearman("plackett", 8.0), 6), round(spearman("hougaard", 0.5), 3)
    (0.0, 0.606713, 0.682)
    """
    if family == "plackett":
        if abs(theta - 1.0) < 1e-4:
            return (theta - 1.0) / 3.0
        return (theta + 1.0) / (theta - 1.0) - 2.0 * theta * math.log(theta) / (theta - 1.0) ** 2
    x, w = np.polynomial.legendre.leggauss(200)
    x, w = 0.5 * (x + 1.0), 0.5 * w
    u, v = x[:, None], x[None, :]
    if family == "clayton":
        both = np.logaddexp(-theta * np.log(u), -theta * np.log(v))
        joint = np.exp(-(both + np.log1p(-np.exp(-both))) / theta)
    else:
        joint = np.exp(-(((-np.log(u)) ** (1.0 / theta) + (-np.log(v)) ** (1.0 / theta)) ** theta))
    return float(12.0 * (w[:, None] * w[None, :] * joint).sum() - 3.0)


def normal(value: FloatArray, z: FloatArray) -> tuple[FloatArray, Status]:
    """Mean midway between the arms, log standard deviation and effect of a measured value of one trial."""
    up, down = z > 0.0, z <= 0.0
    if not up.any() or not down.any():
        return np.full(3, math.nan), Status.EMPTY_ARM
    means = float(value[down].mean()), float(value[up].mean())
    rest = value - np.where(up, means[1], means[0])
    if len(z) < 4 or not rest.std() > 1e-12 * max(1.0, float(np.abs(value).max())):
        return np.full(3, math.nan), Status.NO_VARIANCE
    return np.array([0.5 * sum(means), math.log(float(rest.std())), means[1] - means[0]]), Status.OK


def weibull(time: FloatArray, event: BoolArray, z: FloatArray) -> tuple[FloatArray, Status]:
    """Log scale, log shape and effect of a Weibull regression of one trial, by Newton's method."""
    d = event.astype(np.float64)
    if d.sum() == 0:
        return np.full(3, math.nan), Status.NO_EVENTS
    if d[z > z.mean()].sum() == 0 or d[z <= z.mean()].sum() == 0:
        return np.full(3, math.nan), Status.ONE_ARM_EVENTS
    log_t = np.log(time)
    par = np.array([math.log(d.sum() / time.sum()), 0.0, 0.0])

    def parts(p: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        rho = math.exp(min(p[1], 20.0))
        h = np.exp(np.minimum(p[0] + p[2] * z + rho * log_t, 300.0))  # a step too far is worse, not infinite
        value = float((d * (p[0] + p[2] * z + p[1] + (rho - 1.0) * log_t)).sum() - h.sum())
        rows = np.column_stack([np.ones(len(z)), rho * log_t, z])
        gradient = rows.T @ (d - h) + np.array([0.0, d.sum(), 0.0])
        hessian = -(rows * h[:, None]).T @ rows
        hessian[1, 1] += float((rho * log_t * (d - h)).sum())
        return value, gradient, hessian

    value, gradient, hessian = parts(par)
    for _ in range(100):
        eigen = np.linalg.eigvalsh(-hessian)[0]
        step = np.linalg.solve(-hessian + max(0.0, 1e-8 - eigen) * np.eye(3), gradient)
        size = 1.0
        while True:
            new = parts(par + size * step)
            if new[0] >= value - 1e-13 * abs(value) or size < 1e-10:
                break
            size *= 0.5
        par = par + size * step
        done = float(np.abs(size * step).max()) < 1e-11
        value, gradient, hessian = new
        if done:
            return par, Status.OK
    return par, Status.OK if float(np.abs(gradient).max()) < 1e-6 else Status.NOT_CONVERGED


@dataclass(frozen=True, eq=False)
class CopulaSurrogacy(Fit):
    """A time to an event and its surrogate over trials.

    theta : the copula's parameter, kendall_tau, spearman_rho : the association within trials. rows : effects of every
    trial (log hazard ratios; of a measured surrogate, differences) with their joint covariance. sizes : its patients.
    trials : the corrected picture. loglik : at the estimate.
    """

    family: str
    surrogate: str
    true: str
    theta: float
    kendall_tau: Estimate
    spearman_rho: Estimate
    rows: Rows
    sizes: IntArray
    loglik: float
    joint: bool
    n: int
    level: float
    left_out: LeftOut
    measured: bool = False
    backend: Any = field(default=None, repr=False)
    tau_at: Callable[..., Estimate] | None = field(default=None, repr=False)
    rho_at: Callable[..., Estimate] | None = field(default=None, repr=False)
    picture: ClassVar[str] = "trial_effects"

    @cached_property
    def trials(self) -> TrialSurrogacy:
        """The bivariate random-effects model of the trials' effects, and all that follows from it."""
        return of_rows(
            self.rows, self.surrogate, self.true, known=True, ratio=True, level=self.level, backend=self.backend
        )

    @property
    def verdict(self) -> str:
        """What may be said of the trial level; see ``trials.verdict``."""
        return self.trials.verdict.said

    @property
    def r2_unadjusted(self) -> float:
        """R squared of the effects by least squares, not corrected for estimation error."""
        return least_squares_line(self.rows.s, self.rows.t, np.ones(len(self.rows)))[2]

    @property
    def r2_weighted(self) -> float:
        """The same weighted by the trials' patients, as R's Surrogate has it."""
        return least_squares_line(self.rows.s, self.rows.t, self.sizes.astype(np.float64))[2]

    @property
    def r2_adjusted(self) -> float:
        """R squared of the bivariate model; see ``trials`` for its interval and whether it lies on the edge."""
        return self.trials.fit.rho**2

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        return (self.kendall_tau, self.spearman_rho, *self.trials.estimates)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        check_level(level)
        made = ((self.kendall_tau, self.tau_at), (self.spearman_rho, self.rho_at))
        tau, rho = (e.at_level(level)[0] if at is None else at(level=level) for e, at in made)
        return (tau, rho, *self.trials.at_level(level))

    def _title(self) -> str:
        how = "all parameters at once" if self.joint else "margins first"
        margins = "normal and Weibull margins" if self.measured else "Weibull margins"
        return f"Is {self.surrogate} a surrogate of {self.true}? {self.family.title()} copula, {margins}, {how}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "patients", str(self.n)
        yield "trials", str(len(self.rows))
        yield "verdict", self.verdict

    def _notes(self) -> Iterator[str]:
        yield (
            f"R squared by least squares {self.r2_unadjusted:.4g} ({self.r2_weighted:.4g} weighted by patients), not "
            "corrected for estimation error."
        )

    def _drawn(self) -> Any:
        return self.trials


def surrogacy_copula(
    data: Any,
    *,
    surrogate: Time | Value | str,
    true: Time,
    unit: str,
    arm: str = "TRT01P",
    control: Any = None,
    family: str = "clayton",
    joint: bool = True,
    theta: float | None = None,
    least_variance: float = 0.0,
    level: float = 0.95,
) -> CopulaSurrogacy:
    """The trial level of a time to an event and its surrogate, with a copula for their association within trials.

    Parameters
    ----------
    data : one row a patient; pandas, polars or pyarrow.
    surrogate : :class:`Time`, or a column of measured values (normal within arms). true : :class:`Time`. The copula
        joins the shares that lie above: a high value goes with a long time. Take the negative of a marker that is
        high where times are short; Clayton's and Hougaard's copulas know no negative association.
    unit : column of trials; those with events in one arm only take no part.
    family : ``clayton``, ``plackett`` or ``hougaard``. joint : all parameters at once by maximum likelihood, else the
        margins trial by trial and then the copula's parameter (Shih & Louis 1995). theta : the copula's parameter where
        it is given, not estimated.
    least_variance : floor of the effects' variances in the second stage, 0.01 in R's surrosurv.

    Raises
    ------
    DataError, EstimationError : a column is absent or of the wrong kind, a time is not above 0, an option means
    nothing.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(5); trial = np.repeat(np.arange(6), 120); z = np.tile([0.0, 1.0], 360)
    >>> effect = rng.normal(-0.4, 0.5, 6)[trial]
    >>> frail = rng.gamma(1.0, size=720)
    >>> risk = frail * np.exp(effect * z)
    >>> times = {name: rng.exponential(size=720) / (k * risk) for name, k in (("S", 1.0), ("T", 0.5))}
    >>> frame = pl.DataFrame({"TRIAL": trial, "ARM": z, **times, "E": np.ones(720)})
    >>> ends = {"surrogate": Time("S", event="E"), "true": Time("T", event="E")}
    >>> found = surrogacy_copula(frame, **ends, unit="TRIAL", arm="ARM", control=0.0)
    >>> len(found.rows), 0.15 < found.kendall_tau.estimate < 0.5
    (6, True)
    """
    check_level(level)
    if family not in FAMILIES:
        raise EstimationError(f"family = {family!r}", hint="choose one of " + ", ".join(FAMILIES))
    if theta is not None and not (theta > 0.0 and (family != "hougaard" or theta < 1.0)):
        raise EstimationError(f"theta = {theta!r}", hint="above 0; of Hougaard's copula below 1")
    ends = as_endpoint(surrogate, "surrogate"), as_endpoint(true, "true")
    measured = isinstance(ends[0], Value)
    if not isinstance(ends[1], Time):
        raise EstimationError("a true endpoint that is no time to an event", hint="Time('OS', event='DIED')")
    if not (measured or isinstance(ends[0], Time)):
        raise EstimationError(
            "a surrogate that is no time to an event and no measured value",
            hint="Time('PFS', event='PROGRESSED') or a column of measured values",
        )
    frame = read_frame(data)
    require(frame, [arm, unit])
    sieve = Sieve(len(frame))
    values, (_, high) = two_arms(frame, arm, control)
    sieve.need(np.array([v is not None for v in values], np.bool_), f"without {arm}")
    units, names = labels(frame, unit)
    sieve.need(np.array([v is not None for v in units], np.bool_), f"without {unit}")
    s, t = (read_endpoint(frame, e, sieve) for e in ends)
    keep = sieve.keep
    for one in (t,) if measured else (s, t):
        bad = np.flatnonzero(keep & (one.value <= 0.0))
        if len(bad):
            raise DataError(
                f"row {bad[0] + 1}: {one.name!r} is {one.value[bad[0]]:g}", hint="a Weibull time is above 0"
            )
    z = np.array([float(v == high) for v in values]) - 0.5
    place = {name: i for i, name in enumerate(names)}
    code = np.array([-1 if v is None else place[v] for v in units], np.int64)
    chosen, pars = [], []
    for i in range(len(names)):
        here = keep & (code == i)
        if not here.any():
            continue
        first = normal(s.value[here], z[here]) if measured else weibull(s.value[here], _events(s)[here], z[here])
        fits = [first, weibull(t.value[here], _events(t)[here], z[here])]
        if all(f[1] is Status.OK for f in fits):
            chosen.append(i)
            pars.append(np.concatenate([f[0] for f in fits]))
        else:
            why = "without an estimate in both arms" if measured else "without events in both arms"
            sieve.need(~(code == i), f"in a {unit} {why}")
    if not chosen:
        raise EstimationError(
            f"no {unit} has events{'' if measured else ' of both endpoints'} in both arms",
            hint="look at the events by trial",
        )
    packs = []
    for i in chosen:
        here = code == i
        here &= keep
        seen = np.ones(int(here.sum()), np.bool_) if measured else _events(s)[here]
        packs.append((s.value[here], seen, t.value[here], _events(t)[here], z[here], measured))
    par = np.array(pars)
    which = FAMILIES.index(family)

    def whole(x: float, p: FloatArray) -> float:
        value = to_parameter(family, x)
        return sum(float(kernel.trial_loglik(which, value, row, *pack)) for row, pack in zip(p, packs, strict=True))

    if theta is not None:
        x = math.log(-math.log(theta)) if family == "hougaard" else math.log(theta)
    else:
        x = float(
            optimize.minimize_scalar(
                lambda v: -whole(v, par), bounds=_BEGIN[family], method="bounded", options={"xatol": 1e-9}
            ).x
        )
    status = Status.OK
    if joint:
        x, par, status = _climb(which, family, x, par, packs, theta is None)
    blocks, cross, corner = _curvature(which, family, x, par, packs)
    inverse = [np.linalg.pinv(-b) for b in blocks]
    schur = -corner - sum(float(c @ i @ c) for c, i in zip(cross, inverse, strict=True))
    effects = np.array([2, 5])
    rows = []
    for b, c in zip(inverse, cross, strict=True):
        full = b + np.outer(b @ c, b @ c) / schur if schur > 0.0 else b
        rows.append(full[np.ix_(effects, effects)])
    v = np.array(rows)
    made = Rows(
        tuple(str(names[i]) for i in chosen),
        par[:, 2].copy(),
        par[:, 5].copy(),
        np.maximum(v[:, 0, 0], least_variance),
        np.maximum(v[:, 1, 1], least_variance),
        v[:, 0, 1].copy(),
    )
    value = to_parameter(family, x)
    sizes = np.array([len(p[0]) for p in packs], np.int64)
    n = int(sizes.sum())
    reference = ALONSO16 if measured else BURZYKOWSKI01
    how: dict[str, Any] = {"joint": joint, "given": theta is not None, "status": status, "reference": reference}
    tau_at, rho_at = (
        partial(_association, name, measure, family, x, schur, n, **how)
        for name, measure in (("Kendall's tau", kendall), ("Spearman's rho", spearman))
    )
    return CopulaSurrogacy(
        family,
        s.name,
        t.name,
        value,
        tau_at(level=level),
        rho_at(level=level),
        made,
        sizes,
        whole(x, par),
        joint,
        n,
        level,
        sieve.left_out,
        measured,
        frame.implementation,
        tau_at,
        rho_at,
    )


def _events(one: Measured) -> BoolArray:
    return one.event if one.event is not None else np.zeros(len(one.value), np.bool_)


def _association(
    what: str,
    measure: Callable[[str, float], float],
    family: str,
    x: float,
    schur: float,
    n: int,
    *,
    level: float,
    joint: bool,
    given: bool,
    status: Status,
    reference: str,
) -> Estimate:
    """A rank correlation with an interval from the unbounded parameter, of which it is a monotone function."""
    name, value = f"{what} within trials", measure(family, to_parameter(family, x))
    how = f"{family.title()} copula, " + ("maximum likelihood" if joint else "margins first")
    if given or not schur > 0.0 or status is not Status.OK or abs(x) > 5.9:
        why = "the copula's parameter was given" if given else "its parameter lies on the edge: no association is told"
        state = Status.NOT_IDENTIFIED if given else Status.BOUNDARY
        return Estimate.not_made(name, how, n, state, why, estimate=value, level=level, scale=SCALE, term=name)
    se = 1.0 / math.sqrt(schur)
    half = float(special.ndtri(0.5 + 0.5 * level)) * se
    ends = sorted(measure(family, to_parameter(family, x + k * half)) for k in (-1.0, 1.0))
    slope = (measure(family, to_parameter(family, x + 1e-4)) - measure(family, to_parameter(family, x - 1e-4))) / 2e-4
    return Estimate(
        name,
        how,
        value,
        abs(slope) * se,
        math.inf,
        ends[0],
        ends[1],
        math.nan,
        n,
        level=level,
        scale=SCALE,
        form="description",
        references=(reference, *(() if joint else (SHIH,))),
        term=name,
        detail=None if joint else "the error of the margins is not in its interval",
    )


def _curvature(
    which: int, family: str, x: float, par: FloatArray, packs: list[Any]
) -> tuple[list[FloatArray], list[FloatArray], float]:
    """Second derivatives by central differences: of every trial's six parameters (trial, 6, 6), with the copula's
    (trial, 6), and of the copula's alone. Trials share nothing else, so that the whole matrix is an arrow.
    """
    h = 1e-4
    blocks, cross, corner = [], [], 0.0
    for row, pack in zip(par, packs, strict=True):
        at = np.append(row, x)

        def value(p: FloatArray, pack: Any = pack) -> float:
            return float(kernel.trial_loglik(which, to_parameter(family, p[6]), p[:6], *pack))

        middle = value(at)
        step = h * np.maximum(1.0, np.abs(at))
        whole = np.empty((7, 7))
        for i in range(7):
            for j in range(i, 7):
                up, down, left, right = (at.copy() for _ in range(4))
                if i == j:
                    up[i] += step[i]
                    down[i] -= step[i]
                    whole[i, i] = (value(up) - 2.0 * middle + value(down)) / step[i] ** 2
                    continue
                for p, a, b in ((up, 1, 1), (down, -1, -1), (left, 1, -1), (right, -1, 1)):
                    p[i] += a * step[i]
                    p[j] += b * step[j]
                whole[i, j] = whole[j, i] = (value(up) + value(down) - value(left) - value(right)) / (
                    4 * step[i] * step[j]
                )
        blocks.append(whole[:6, :6])
        cross.append(whole[:6, 6])
        corner += float(whole[6, 6])
    return blocks, cross, corner


def _climb(
    which: int, family: str, x: float, par: FloatArray, packs: list[Any], free: bool
) -> tuple[float, FloatArray, Status]:
    """Newton's method over all parameters, by the arrow that their second derivatives form."""

    def value(u: float, p: FloatArray) -> FloatArray:
        return np.array(
            [kernel.trial_loglik(which, to_parameter(family, u), r, *k) for r, k in zip(p, packs, strict=True)]
        )

    now = value(x, par)
    for _ in range(40):
        gradient = np.empty((len(par), 7))
        for j in range(7):
            h = 1e-5
            if j < 6:
                up, down = par.copy(), par.copy()
                up[:, j] += h
                down[:, j] -= h
                gradient[:, j] = (value(x, up) - value(x, down)) / (2.0 * h)
            else:
                gradient[:, j] = (value(x + h, par) - value(x - h, par)) / (2.0 * h)
        if np.abs(gradient[:, :6]).max() < 1e-5 and (not free or abs(gradient[:, 6].sum()) < 1e-4):
            return x, par, Status.OK
        blocks, cross, corner = _curvature(which, family, x, par, packs)
        inverse = []
        for b in blocks:
            least = np.linalg.eigvalsh(-b)[0]
            inverse.append(np.linalg.inv(-b + max(0.0, 1e-3 - least) * np.eye(6)))
        move_x = 0.0
        if free:
            schur = -corner - sum(float(c @ i @ c) for c, i in zip(cross, inverse, strict=True))
            right = gradient[:, 6].sum() + sum(
                float(c @ i @ g) for c, i, g in zip(cross, inverse, gradient[:, :6], strict=True)
            )
            move_x = float(np.clip(right / max(schur, 1e-3), -0.5, 0.5))
        moves = np.array([i @ (g + c * move_x) for i, g, c in zip(inverse, gradient[:, :6], cross, strict=True)])
        size = 1.0
        while size > 1e-6:
            new = value(x + size * move_x, par + size * moves)
            if np.isfinite(new).all() and new.sum() >= now.sum() - 1e-10:
                break
            size *= 0.5
        x, par, now = x + size * move_x, par + size * moves, new
    return x, par, Status.NOT_CONVERGED
