"""What a trial asks of a joint model: the treatment's way through function, its direct way, both together, in all.

The difference of trajectories and the direct effect on the hazard are parameters. The total effect on survival, or on
the cumulative incidence of a cause, at a time is standardised over the patients' covariates and over the random effects
(g-computation; Robins 1986, Math Modelling 7:1393): with arm a in the hazard and arm c in the course,

    S(t; a, c) = mean over i of E_b exp(-H_i(t; a, c, b)).

Total is S(t; 1, 1) - S(t; 0, 0); direct S(t; 1, 0) - S(t; 0, 0); through the course S(t; 1, 1) - S(t; 1, 0). The last
two are effects only where nothing else confounds course and hazard. Standard errors are by the delta method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.joint_model.hazard import nodes
from equipoise.estimate.joint_model.optimise import covariance_of
from equipoise.estimate.joint_model.setup import Setup
from equipoise.estimate.result import Estimate, times_at
from equipoise.types import FloatArray, IntArray, Status

if TYPE_CHECKING:
    from equipoise.estimate.joint_model.fit import JointModelFit

ESTIMATOR = "joint model, maximum likelihood"
REFERENCES = (
    "Wulfsohn MS, Tsiatis AA. Biometrics 1997;53:330-339",
    "Henderson R, Diggle P, Dobson A. Biostatistics 2000;1:465-480",
)
PAIRS = 2048
"""Pairs of a patient's covariates and random effects that a standardised probability is the mean of."""


@dataclass(eq=False)
class JointAnswer(Fit):
    """Estimates that answer one question; ``keys`` tell them apart."""

    question: str
    estimates: tuple[Estimate, ...]
    keys: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    backend: Any = field(default=None, repr=False)

    def _title(self) -> str:
        return self.question

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return self.keys

    def _notes(self) -> Sequence[str]:
        return self.notes


# --- arms -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arms:
    """The two arms that are compared: their values in the designs and how they are called."""

    column: str
    control: float
    active: float
    names: tuple[str, str]

    @property
    def contrast(self) -> str:
        return f"{self.names[1]} - {self.names[0]}"


def arms_of(fit: JointModelFit, between: tuple[Any, Any] | None) -> Arms:
    """The arms; raises :class:`EstimationError` where there is no arm or there are more than two and none was named."""
    if fit.arm is None:
        raise EstimationError("the model has no arm", hint='name the column: joint_model(..., arm="TRT01P")')
    designs = [fit.setup.hazard, *(m.fixed for m in fit.setup.markers)]
    column = next((d.columns[fit.arm] for d in designs if fit.arm in d.columns), None)
    if column is None:
        raise EstimationError(f"{fit.arm!r} is no column of the model", hint="name the column of the arm")
    levels = list(column.levels) if column.levels is not None else sorted(set(column.numbers.tolist()))
    if between is None:
        if len(levels) != 2:
            raise EstimationError(
                f"{fit.arm!r} has {len(levels)} values", hint="say which two: between=(control, active)"
            )
        between = (levels[0], levels[1])
    for one in between:
        if one not in levels:
            raise EstimationError(f"no arm {one!r}", hint="arms are " + ", ".join(map(str, levels)))
    if column.levels is not None:
        places = [float(levels.index(one)) for one in between]
        return Arms(fit.arm, places[0], places[1], (str(between[0]), str(between[1])))
    called = (f"{fit.arm} {between[0]:g}", f"{fit.arm} {between[1]:g}")
    return Arms(fit.arm, float(between[0]), float(between[1]), called)


def course_weights(setup: Setup, arms: Arms, at: float, m: int) -> FloatArray:
    """Weights of all parameters in the difference of the mean courses of marker ``m`` at one time."""
    marker = setup.markers[m]
    who = setup.own[m]
    time = np.full(len(who), at)
    apart = marker.at(who, time, {arms.column: arms.active})[0] - marker.at(who, time, {arms.column: arms.control})[0]
    weights = np.zeros(setup.layout.size)
    weights[setup.layout.beta(m)] = apart.mean(axis=0)
    return weights


def _place(fit: JointModelFit, marker: str | None) -> int:
    names = [m.name for m in fit.setup.markers]
    if marker is None:
        if len(names) > 1:
            raise EstimationError("which marker?", hint="marker= one of " + ", ".join(names))
        return 0
    if marker not in names:
        raise EstimationError(f"no marker {marker!r}", hint="markers are " + ", ".join(names))
    return names.index(marker)


def slope_difference(
    fit: JointModelFit, *, per: float, up_to: float | None, between: tuple[Any, Any] | None, marker: str | None
) -> Estimate:
    """The difference of mean slopes from time 0 to ``up_to`` (of straight lines: everywhere), ``per`` units of time."""
    arms, m = arms_of(fit, between), _place(fit, marker)
    end = float(fit.setup.markers[m].time.max()) if up_to is None else times_at(up_to, "the slope")[0]
    weights = (course_weights(fit.setup, arms, end, m) - course_weights(fit.setup, arms, 0.0, m)) * per / end
    if not weights.any():
        raise EstimationError(
            f"the slope of {fit.setup.markers[m].name} is the same in both arms", hint="write week * arm in the formula"
        )
    made = fit.combination(f"slope difference, {arms.contrast}", weights, scale="difference of slopes")
    return _with_contrast(made, arms)


def course_difference(
    fit: JointModelFit, *, at: Any, between: tuple[Any, Any] | None, marker: str | None
) -> JointAnswer:
    """The difference of mean courses at times."""
    arms, m = arms_of(fit, between), _place(fit, marker)
    times = times_at(at, "the course")
    made = [
        _with_contrast(fit.combination(f"{arms.contrast} at {t:g}", course_weights(fit.setup, arms, t, m)), arms)
        for t in times
    ]
    name = fit.setup.markers[m].name
    return JointAnswer(f"Difference of mean {name}", tuple(made), tuple({"time": t} for t in times), (), fit.backend)


def direct_effect(
    fit: JointModelFit, *, between: tuple[Any, Any] | None, cause: Any, at: float | None = None
) -> Estimate:
    """The hazard ratio of the arm at the same course of the marker; ``at`` a time, where the ratio changes with it."""
    arms = arms_of(fit, between)
    c = _cause(fit, cause)
    lay = fit.setup.layout
    times = [0.0, float(fit.setup.surv.time.max())] if at is None else times_at(at, "the direct effect")[:1]
    apart = []
    for t in times:
        row, time = np.zeros(1, np.int64), np.full(1, t)
        one, two = (fit.setup.rows(row, time, c, {arms.column: v}, {})[0][0] for v in (arms.control, arms.active))
        apart.append((two - one)[: lay.gamma])
    if not np.any(apart):
        raise EstimationError("the hazard has no arm of its own", hint="put the arm on the right of Surv() ~")
    if not np.allclose(apart[0], apart[-1]):
        clock = fit.setup.markers[0].time_name
        raise EstimationError(
            f"the hazard ratio of {arms.column!r} changes with {clock!r}", hint="name a time: direct_effect(at=26)"
        )
    weights = np.zeros(lay.size)
    weights[lay.gammas] = apart[0]
    name = f"direct effect, {arms.contrast}" + (f", on {fit.setup.causes[c]}" if len(fit.setup.causes) > 1 else "")
    name += f", at {times[0]:g}" if at is not None else ""
    return _with_contrast(fit.combination(name, weights, ratio=True, scale="hazard ratio"), arms)


def of_arm(fit: JointModelFit, arm: str) -> tuple[list[str], list[str]]:
    """Names of the parameters by which the arm changes the course over time, and the hazard itself."""
    setup = fit.setup
    course: list[str] = []
    for m, marker in enumerate(setup.markers):
        own = setup.layout.beta(m)
        for term in marker.fixed.terms:
            inside = {v for f in term.factors for v in f.variables}
            if arm in inside and marker.time_name in inside:
                course += setup.names[own][term.columns]
    hazard: list[str] = []
    q = len(setup.w_names)
    names = setup.names[setup.layout.gammas]
    for term in setup.hazard.terms:
        if arm in {v for f in term.factors for v in f.variables}:
            places = [setup.w_names.index(n) for n in term.names]
            hazard += [names[c * q + k] for c in range(len(setup.causes)) for k in places]
    return course, hazard


def joint_test(fit: JointModelFit) -> Estimate:
    """The likelihood ratio test that the arm changes neither the course nor the hazard."""
    if fit.arm is None:
        raise EstimationError("the model has no arm", hint='name the column: joint_model(..., arm="TRT01P")')
    course, hazard = of_arm(fit, fit.arm)
    links = [link.name for link in fit.setup.links if link.one.by == fit.arm]
    if not course or not hazard:
        what = "slope" if not course else "hazard"
        raise EstimationError(f"the arm has no place in the {what}", hint="write week * arm, and Surv() ~ arm")
    return fit.likelihood_ratio_test([*course, *hazard, *links], f"{fit.arm}: neither course nor hazard differs")


# --- the total effect -----------------------------------------------------------------------------------------------


def _cause(fit: JointModelFit, cause: Any) -> int:
    causes = fit.setup.causes
    if cause is None:
        return 0
    if cause not in causes:
        raise EstimationError(f"no cause {cause!r}", hint="causes are " + ", ".join(map(str, causes)))
    return causes.index(cause)


@dataclass(frozen=True, eq=False)
class Standard:
    """Standardised probabilities of event-free survival and of causes at ``times``, as functions of the parameters."""

    setup: Setup
    times: FloatArray
    at: IntArray
    share: FloatArray
    z: FloatArray
    grid: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, setup: Setup, times: FloatArray, points: int = 6) -> Standard:
        first = np.unique(setup.row_of, return_index=True)[1]
        own = [setup.own[m] for m in range(len(setup.markers))]
        # patients alike but for the arm count as one
        ends = (float(times.max()), 0.0) if setup.walks else (0.0,)
        parts = [setup.covariates(first, np.full(len(first), t)) for t in ends]
        parts.append(np.asarray(setup.surv.stratum[first][:, None], np.float64))
        for m, marker in enumerate(setup.markers):
            for t in (0.0, float(times.max())):
                parts += list(marker.at(own[m], np.full(len(first), t)))
        _, pick, count = np.unique(np.round(np.column_stack(parts), 12), axis=0, return_index=True, return_counts=True)
        draws = 2 ** max(4, math.ceil(math.log2(PAIRS / len(pick))))
        sobol = qmc.Sobol(setup.d, scramble=True, seed=1).random(draws)
        turn = np.random.default_rng(2).random((len(pick), 1, setup.d))
        z = ndtri(np.clip((sobol[None] + turn) % 1.0, 1e-9, 1.0 - 1e-9))
        breaks = np.unique(np.concatenate([*(b.knots for b in setup.baselines), times, _lengths(setup)]))
        top = float(times.max())
        graded = any(b.kind == "weibull" for b in setup.baselines)
        fine = np.concatenate([breaks[breaks < top], np.linspace(0.0, top, 9)])
        _, grid, weight = nodes(np.zeros(1), np.array([top]), fine, points, graded)
        return cls(setup, times, first[pick], count / count.sum(), z, grid, np.exp(weight))

    def hazards(self, theta: FloatArray, instead: Mapping[str, float], course: Mapping[str, float]) -> list[FloatArray]:
        """Of each cause (patient, draw, node) hazards."""
        lay = self.setup.layout
        low = lay.factor(theta)
        b = self.z @ low.T
        phi = np.concatenate([theta[lay.gammas], theta[lay.psis]])
        alpha, betas = theta[lay.alphas], theta[lay.betas]
        n, j = len(self.at), len(self.grid)
        out = []
        for c in range(len(self.setup.causes)):
            g, xf, zf = self.setup.rows(np.repeat(self.at, j), np.tile(self.grid, n), c, instead, course)
            e0 = (g @ phi).reshape(n, j)
            ze = np.zeros((n, j, lay.d))
            for f in range(lay.alpha):
                e0 = e0 + alpha[f] * (xf[f] @ betas).reshape(n, j)
                ze = ze + alpha[f] * zf[f].reshape(n, j, lay.d)
            out.append(np.exp(np.minimum(e0[:, None, :] + np.einsum("nrd,njd->nrj", b, ze), 600.0)))
        return out

    def probabilities(
        self, theta: FloatArray, instead: Mapping[str, float], course: Mapping[str, float], cause: int | None
    ) -> FloatArray:
        """(time,) survival, or with ``cause`` its cumulative incidence."""
        made = self.hazards(theta, instead, course)
        whole = np.sum(made, axis=0)
        step = whole * self.weight
        inside = np.cumsum(step, axis=2)
        out = np.empty(len(self.times))
        for k, t in enumerate(self.times):
            last = int(np.searchsorted(self.grid, t))
            if cause is None:
                value = np.exp(-inside[:, :, last - 1])
            else:  # the hazard before a node is that of the nodes before, and half its own
                before = np.exp(-(inside[:, :, :last] - 0.5 * step[:, :, :last]))
                value = (made[cause] * self.weight)[:, :, :last]
                value = (value * before).sum(axis=2)
            out[k] = float(self.share @ value.mean(axis=1))
        return out


def _lengths(setup: Setup) -> FloatArray:
    return np.array([link.one.length for link in setup.links if link.one.length is not None], np.float64)


def total_effect(
    fit: JointModelFit, *, at: Any, between: tuple[Any, Any] | None, cause: Any, quantity: str | None
) -> JointAnswer:
    """Survival (or the cumulative incidence of a cause) in both arms at times, their difference, and its parts."""
    arms = arms_of(fit, between)
    times = np.array(times_at(at, "the effect"))
    several = len(fit.setup.causes) > 1
    quantity = quantity or ("cumulative incidence" if several or cause is not None else "survival")
    if quantity not in ("survival", "cumulative incidence"):
        raise EstimationError(f"unknown quantity {quantity!r}", hint="survival or cumulative incidence")
    which = None if quantity == "survival" else _cause(fit, cause)
    top = float(fit.setup.surv.time.max())
    if times.max() > top:
        raise EstimationError(f"{quantity} at {times.max():g}", hint=f"nobody was seen after {top:g}")
    what = quantity if which is None or not several else f"{quantity} of {fit.setup.causes[which]}"
    names = ("control", "active", "total", "direct", "through the course")
    keys = tuple({"time": float(t), "effect": name} for t in times for name in names)
    labels = {
        "control": f"{what}, {arms.names[0]}",
        "active": f"{what}, {arms.names[1]}",
        "total": f"total, {arms.contrast}",
        "direct": "direct",
        "through the course": "through the course",
    }
    if fit.converged:
        standard = Standard.of(fit.setup, np.sort(times))
        order = np.argsort(np.argsort(times))
        worlds = [(arms.control, arms.control), (arms.active, arms.active), (arms.active, arms.control)]

        def answer(theta: FloatArray) -> FloatArray:
            c, a, d = (
                standard.probabilities(theta, {arms.column: h}, {arms.column: m}, which)[order] for h, m in worlds
            )
            return np.column_stack([c, a, a - c, d - c, a - d]).ravel()

        value = answer(fit.theta)
        gradient = _gradient(answer, fit)
        se = np.sqrt(np.maximum(np.einsum("kp,pq,kq->k", gradient, fit.vcov, gradient), 0.0))
    else:
        value = se = np.full(len(keys), math.nan)
    made = []
    for key, v, s in zip(keys, value, se, strict=True):
        effect = str(key["effect"])
        if effect in ("control", "active"):
            one = _probability(fit, f"{labels[effect]} at {key['time']:g}", v, s, what)
        else:
            one = _difference(fit, f"{labels[effect]} at {key['time']:g}", v, s, arms)
        made.append(one)
    notes = ("Direct and through the course are effects only where nothing else drives both course and hazard.",)
    return JointAnswer(f"Effect on {what}, standardised over patients", tuple(made), keys, notes, fit.backend)


def _gradient(answer: Any, fit: JointModelFit) -> FloatArray:
    se = fit.se
    size = len(answer(fit.theta))
    columns: list[FloatArray] = []
    for j in range(len(fit.theta)):
        if not se[j] > 0.0:
            columns.append(np.zeros(size))
            continue
        h = 1e-3 * se[j]
        up, down = fit.theta.copy(), fit.theta.copy()
        up[j] += h
        down[j] -= h
        columns.append((answer(up) - answer(down)) / (2.0 * h))
    return np.column_stack(columns)


def _probability(fit: JointModelFit, name: str, value: float, se: float, what: str) -> Estimate:
    status, detail = fit.status, None if fit.converged else fit.reason
    low = high = math.nan
    if fit.converged and 0.0 < value < 1.0:
        # on the complementary log-log scale, within 0 and 1
        z = float(ndtri(0.5 + 0.5 * fit.level)) * se / abs(value * math.log(value))
        low, high = value ** math.exp(z), value ** math.exp(-z)
    return Estimate(
        name, ESTIMATOR, value, se, math.inf, low, high, math.nan, fit.n, fit.level, scale=what, status=status,
        detail=detail, form="description", references=REFERENCES,
    )  # fmt: skip


def _difference(fit: JointModelFit, name: str, value: float, se: float, arms: Arms) -> Estimate:
    made = Estimate.from_t(
        name,
        ESTIMATOR,
        value,
        se,
        math.inf,
        fit.n,
        level=fit.level,
        status=fit.status,
        detail=None if fit.converged else fit.reason,
        references=REFERENCES,
    )
    return _with_contrast(made, arms)


def _with_contrast(made: Estimate, arms: Arms) -> Estimate:
    return replace(made, contrast=arms.contrast)


# --- sensitivity ----------------------------------------------------------------------------------------------------


def sensitivity(
    fit: JointModelFit, *, multiples: Sequence[float], name: str | None, between: tuple[Any, Any] | None
) -> JointAnswer:
    """The difference of slopes with the association held at multiples of its estimate: 0 is dropout that the observed
    values explain (missing at random), 1 the model as fitted, more is dropout that tells more than was seen.
    """
    links = [link.name for link in fit.setup.links]
    if not links:
        raise EstimationError("the hazard depends on nothing of the marker", hint='association="value", say')
    names = [name] if name else links
    made, keys = [], []
    for k in multiples:
        held = {link: float(k) * float(fit.theta[fit.place(link)]) for link in names}
        key = {"multiple": float(k)}
        if fit.converged:
            best = fit.refit(held)
            own = replace(fit, optimum=best, vcov=covariance_of(best, fit.robust))
        else:
            own = fit
        one = slope_difference(own, per=1.0, up_to=None, between=between, marker=fit.setup.markers[0].name)
        loss = "" if own.status is not Status.OK else f", log-likelihood {own.loglik - fit.loglik:+.2f}"
        made.append(replace(one, name=f"association x {k:g}{loss}", term="slope difference"))
        keys.append(key)
    notes = ("The data speak against multiples by the fall of the log-likelihood, as far as the model is right.",)
    question = "Difference of slopes by how strongly dropout depends on the course"
    return JointAnswer(question, tuple(made), tuple(keys), notes, fit.backend)
