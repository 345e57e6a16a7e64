"""How well a joint model predicts: discrimination, error and calibration, at a landmark and a horizon, cross-validated.

Who is at risk at the landmark t has a value up to t. Of those, a case has the event (of the cause) by u, a control has
not; who is censored between counts by weights: the inverse of the chance to be uncensored (``ipcw``; Blanche et al.
2015, Biometrics 71:102), or by what the model predicts from the time of censoring on (``model``; Rizopoulos et al.
2017, Biometrical Journal 59:1261). Calibration is read from a smooth curve
(:mod:`equipoise.estimate.joint_model.calibration`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.joint_model.calibration import observed_risks
from equipoise.estimate.joint_model.likelihood import CategoryRows, JointLikelihood, Points, Rows
from equipoise.estimate.joint_model.optimise import maximise
from equipoise.estimate.joint_model.predict import Histories
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray, IntArray, Status

if TYPE_CHECKING:
    from equipoise.estimate.joint_model.fit import JointModelFit

WEIGHTS = ("ipcw", "model")


@dataclass(eq=False)
class Accuracy(Fit):
    """Discrimination, error and calibration of predictions at a landmark.

    auc, brier, integrated_brier; null_brier: of one risk for everyone. groups: of patients by predicted risk, the mean
    prediction, the observed risk and the number. at_risk, cases, censored: counts. risk (patient,): the predictions of
    who is at risk, and observed (patient,) the risk that a smooth curve of calibration has there. ici, e50, e90: the
    mean, the median and the 90 % quantile of the absolute distance of the two.
    """

    landmark: float
    horizon: float
    weights: str
    folds: int
    auc: float
    brier: float
    integrated_brier: float
    null_brier: float
    at_risk: int
    cases: int
    censored: int
    risk: FloatArray = field(repr=False)
    observed: FloatArray = field(repr=False)
    groups: tuple[tuple[float, float, int], ...]
    backend: Any = field(default=None, repr=False)

    @property
    def ici(self) -> float:
        """The integrated calibration index (Austin & Steyerberg 2019); NaN where there is no curve of calibration."""
        return float(np.abs(self.risk - self.observed).mean())

    @property
    def e50(self) -> float:
        return float(np.quantile(np.abs(self.risk - self.observed), 0.5))

    @property
    def e90(self) -> float:
        return float(np.quantile(np.abs(self.risk - self.observed), 0.9))

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The measures as estimates that describe."""
        made = {
            "AUC": self.auc,
            "Brier score": self.brier,
            "integrated Brier score": self.integrated_brier,
            "Brier score of one risk for all": self.null_brier,
            "ICI, mean distance of predicted and observed risk": self.ici,
            "E50, its median": self.e50,
            "E90, its 90 % quantile": self.e90,
        }
        return tuple(Estimate.of_count(name, v, self.at_risk, scale="measure") for name, v in made.items())

    def _title(self) -> str:
        how = f"{self.folds}-fold cross-validated" if self.folds > 1 else "in the data of the fit"
        return f"Predictions at {self.landmark:g} of the event by {self.horizon:g}, {how}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "at risk", f"{self.at_risk}: {self.cases} cases, {self.censored} censored before {self.horizon:g}"
        yield "censoring", "by inverse probability" if self.weights == "ipcw" else "by what the model predicts"
        for p, o, k in self.groups:
            yield "predicted, observed", f"{p:.3f}, {o:.3f} ({k})"


def subset(model: JointLikelihood, keep: BoolArray) -> JointLikelihood:
    """The likelihood of some of the patients."""
    units = keep[model.patient]
    place = np.cumsum(units) - 1
    who = np.cumsum(keep) - 1

    def some(points: Points) -> Points:
        own = units[points.unit]
        return Points(
            place[points.unit[own]], points.time[own], points.g[own], np.ascontiguousarray(points.xf[:, own]),
            np.ascontiguousarray(points.zf[:, own]), points.weight[own],
        )  # fmt: skip

    def sums(one: Rows) -> Rows:
        if isinstance(one, CategoryRows):
            own = units[one.unit]
            return replace(
                one, unit=place[one.unit[own]], x=one.x[own], z=one.z[own], code=one.code[own],
                n=one.n[units], xx=one.xx[units], zz=one.zz[units],
            )  # fmt: skip
        return replace(one, **{k: getattr(one, k)[units] for k in ("n", "yy", "xy", "zy", "xx", "zx", "zz")})

    made = JointLikelihood(
        model.layout,
        tuple(sums(one) for one in model.markers),
        some(model.risk),
        some(model.events),
        who[model.patient[units]],
        model.sign[units],
        int(keep.sum()),
        penalty=model.penalty,
    )
    made.mode[:] = model.mode[units]
    return made


def _censoring(time: FloatArray, censored: BoolArray, at: FloatArray) -> FloatArray:
    """Kaplan-Meier of censoring just before ``at``."""
    out = np.ones(len(at))
    when = np.unique(time[censored])
    risk = np.array([(time >= t).sum() for t in when], np.float64)
    lost = np.array([(censored & (time == t)).sum() for t in when], np.float64)
    curve = np.cumprod(1.0 - lost / np.maximum(risk, 1.0))
    for k, t in enumerate(at):
        j = int(np.searchsorted(when, t, side="left"))
        out[k] = curve[j - 1] if j else 1.0
    return out


def _shares(
    time: FloatArray, code: IntArray, cause: int, until: float, landmark: float, weights: str, later: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(patient,) weights as a case and as a control; ``later`` the predicted risk from the time of censoring on."""
    case = (time <= until) & (code == cause + 1)
    control = (time > until) | ((time <= until) & (code > 0) & (code != cause + 1))
    between = ~case & ~control
    if weights == "model":
        return case + between * later, control + between * (1.0 - later)
    g = np.maximum(_censoring(time, code == 0, np.minimum(time, np.nextafter(until, np.inf))), 1e-12)
    return case / g, control / g


def accuracy(
    fit: JointModelFit, *, landmark: float, horizon: float, cause: Any, weights: str, folds: int, seed: int, groups: int
) -> Accuracy:
    """See :meth:`equipoise.estimate.joint_model.fit.JointModelFit.accuracy`."""
    setup = fit.setup
    if not fit.converged:
        raise EstimationError(f"there is nothing to predict from: {fit.reason}", hint="see fit.status")
    if weights not in WEIGHTS:
        raise EstimationError(f"unknown weights {weights!r}", hint="choose one of " + ", ".join(WEIGHTS))
    if not 0.0 <= landmark < horizon:
        raise EstimationError(f"landmark {landmark:g}, horizon {horizon:g}", hint="0 <= landmark < horizon")
    if setup.n < len(setup.row_of):
        raise EstimationError("rows an interval", hint="accuracy is for one row of events a patient")
    which = 0 if cause is None else setup.causes.index(cause)
    order = np.argsort(setup.row_of)
    time, code = setup.surv.time[order], setup.code[order]
    seen = np.ones(setup.n, np.bool_)
    for m, marker in enumerate(setup.markers):
        earliest = np.full(len(marker.patients), np.inf)
        np.minimum.at(earliest, marker.who, marker.time)
        seen &= earliest[setup.own[m]] <= landmark
    there = seen & (time > landmark)
    case = there & (time <= horizon) & (code == which + 1)
    if case.sum() < 2 or (there & (time > horizon)).sum() < 2:
        raise EstimationError(
            f"{int(case.sum())} events between {landmark:g} and {horizon:g}", hint="take another landmark or horizon"
        )
    grid = np.linspace(landmark, horizon, 6)[1:]
    risk, later = np.full((setup.n, len(grid)), np.nan), np.zeros((setup.n, len(grid)))
    part = np.zeros(setup.n, np.int64)
    if folds > 1:
        part = np.random.default_rng(seed).permutation(setup.n) % folds
    for k in range(max(folds, 1)):
        theta = fit.theta
        if folds > 1:
            best = maximise(subset(fit.likelihood, part != k), fit.theta, free=fit.optimum.free, tolerance=1e-3)
            if best.status is not Status.OK:
                raise EstimationError(
                    f"without fold {k + 1} the model has no fit: {best.reason}", hint="take fewer folds"
                )
            theta = best.theta
        own = np.flatnonzero(there & (part == k))
        if not len(own):
            continue
        made = Histories(setup, order[own], own, landmark)
        risk[own] = made.risk(theta, np.full(len(own), landmark), grid, which)
        if weights == "model":
            between = own[(code[own] == 0) & (time[own] < horizon)]
            if len(between):
                after = Histories(setup, order[between], between, landmark)
                later[between] = after.risk(theta, time[between], grid, which)
    at = np.flatnonzero(there)
    scores = []
    for j, u in enumerate(grid):
        a, b = _shares(time[at], code[at], which, float(u), landmark, weights, later[at, j])
        p = risk[at, j]
        scores.append(float((a * (1.0 - p) ** 2 + b * p**2).sum() / len(at)))
    a, b = _shares(time[at], code[at], which, horizon, landmark, weights, later[at, -1])
    p = risk[at, -1]
    base = float(a.sum() / (a.sum() + b.sum()))
    null = float((a * (1.0 - base) ** 2 + b * base**2).sum() / len(at))
    above = (p[:, None] > p[None, :]) + 0.5 * (p[:, None] == p[None, :])
    pairs = a[:, None] * b[None, :]
    np.fill_diagonal(pairs, 0.0)
    auc = float((above * pairs).sum() / pairs.sum())
    steps = np.concatenate([[0.0], scores])
    whole = float(np.trapezoid(steps, np.concatenate([[landmark], grid])) / (horizon - landmark))
    ranked = np.array_split(np.argsort(p, kind="stable"), groups)
    shown = tuple((float(p[g].mean()), float(a[g].sum() / (a[g] + b[g]).sum()), len(g)) for g in ranked if len(g))
    lost = int(((time[at] <= horizon) & (code[at] == 0)).sum())
    return Accuracy(
        landmark,
        horizon,
        weights,
        folds,
        auc,
        scores[-1],
        whole,
        null,
        len(at),
        int(case.sum()),
        lost,
        p,
        observed_risks(p, time[at], code[at], which, horizon, len(setup.causes) > 1),
        shown,
        fit.backend,
    )
