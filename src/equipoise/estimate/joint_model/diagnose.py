"""What there is to look at in a fitted joint model: patients' courses with their events, and residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.estimate.joint_model.fit import JointModelFit


def _which(fit: JointModelFit, marker: str | None) -> int:
    names = [m.name for m in fit.setup.markers]
    if marker is None:
        return 0
    if marker not in names:
        raise EstimationError(f"no marker {marker!r}", hint="markers are " + ", ".join(names))
    return names.index(marker)


def _effects(fit: JointModelFit, m: int) -> FloatArray:
    """(patient, d) expected random effects of one marker."""
    fit.likelihood.evaluate(fit.theta, fit.optimum.points, scores=False)
    return np.asarray(fit.likelihood.eb[: fit.n, fit.setup.columns_of(m)])


def courses(fit: JointModelFit, marker: str | None, most: int) -> dict[str, Any]:
    """See :meth:`equipoise.estimate.joint_model.fit.JointModelFit.courses`."""
    setup, m = fit.setup, _which(fit, marker)
    one, beta, b = setup.markers[m], fit.theta[setup.layout.beta(m)], _effects(fit, m)
    end = np.zeros(setup.n)
    np.maximum.at(end, setup.row_of, setup.surv.time)
    event = np.zeros(setup.n, np.bool_)
    np.logical_or.at(event, setup.row_of, setup.code > 0)
    arm = ["all"] * setup.n
    column = None if fit.arm is None else one.fixed.columns.get(fit.arm) or setup.hazard.columns.get(fit.arm)
    if fit.arm is not None and column is not None:
        inside = fit.arm in one.fixed.columns
        at = one.head[setup.own[m]] if inside else np.unique(setup.row_of, return_index=True)[1]
        if column.levels is not None:
            arm = [str(column.levels[v]) for v in column.values[at]]
        else:
            arm = [f"{fit.arm} {v:g}" for v in column.numbers[at]]
    drawn = np.sort(np.random.default_rng(0).permutation(setup.n)[:most])
    patients: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    for i in drawn:
        time = np.linspace(0.0, end[i], 12)
        x, z = one.at(np.full(12, setup.own[m][i]), time)
        y = x @ beta + z @ b[i]
        name = str(setup.patients[i])
        patients += [
            {"patient": name, "arm": arm[i], "x": float(t), "y": float(v)} for t, v in zip(time, y, strict=True)
        ]
        ends.append({"patient": name, "arm": arm[i], "x": float(end[i]), "y": float(y[-1]), "event": bool(event[i])})
    named = column.levels if column is not None else None
    order = sorted(set(arm)) if named is None else [str(v) for v in named]
    for label in (one for one in order if one in arm):
        own = np.array([k for k, a in enumerate(arm) if a == label])
        for t in np.linspace(0.0, float(end.max()), 25):
            x, _ = one.at(setup.own[m][own], np.full(len(own), t))
            means.append({"arm": label, "x": float(t), "y": float((x @ beta).mean())})
    return {"marker": one.name, "patients": patients, "ends": ends, "means": means}


def marker_residuals(fit: JointModelFit, marker: str | None) -> tuple[list[tuple[float, float]], str]:
    """See :meth:`equipoise.estimate.joint_model.fit.JointModelFit.marker_residuals`."""
    setup, m = fit.setup, _which(fit, marker)
    one = setup.markers[m]
    if one.categorical:
        raise EstimationError(f"{one.name} is a category", hint="it has no residual on a scale; see event_residuals")
    place = np.full(len(one.patients), -1, np.int64)
    place[setup.own[m]] = np.arange(setup.n)
    who = place[one.who]
    there = who >= 0
    b = _effects(fit, m)[who[there]]
    fitted = one.x[there] @ fit.theta[setup.layout.beta(m)] + (one.z[there] * b).sum(axis=1)
    residual = (one.y[there] - fitted) / fit.residual_sd[m]
    return [(float(t), float(r)) for t, r in zip(one.time[there], residual, strict=True)], one.name


def event_residuals(fit: JointModelFit) -> list[tuple[float, float]]:
    """See :meth:`equipoise.estimate.joint_model.fit.JointModelFit.event_residuals`."""
    setup, model = fit.setup, fit.likelihood
    model.evaluate(fit.theta, fit.optimum.points, scores=False)
    entry = np.zeros(setup.n)
    if setup.surv.entry is not None:
        entry[:] = np.inf
        np.minimum.at(entry, setup.row_of, setup.surv.entry)
    risk = model.risk
    own = risk.unit < setup.n
    own[own] = risk.time[own] > entry[risk.unit[own]]
    total = np.bincount(risk.unit[own], weights=model.eh[own], minlength=setup.n)
    event = np.bincount(setup.row_of, weights=(setup.code > 0).astype(np.float64), minlength=setup.n) > 0.0
    order = np.argsort(total, kind="stable")
    at_risk = np.arange(setup.n, 0, -1)
    hazard = np.cumsum(event[order] / at_risk)
    return [(float(total[i]), float(h)) for i, h in zip(order, hazard, strict=True) if event[i]]
