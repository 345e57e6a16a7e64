"""The door: a marker over time and times to an event, in one likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.joint_model.fit import JointModelFit
from equipoise.estimate.joint_model.likelihood import CategoryRows, JointLikelihood
from equipoise.estimate.joint_model.optimise import Optimum, covariance_of, failed, maximise, start
from equipoise.estimate.joint_model.setup import Setup, set_up
from equipoise.estimate.result import check_level
from equipoise.types import Status


def joint_model(
    marker: str | Sequence[str],
    events: str,
    data: Any,
    event_data: Any = None,
    *,
    association: str | Sequence[str] | None = "value",
    family: str | Sequence[str] = "gaussian",
    baseline: str | Mapping[Any, str] = "piecewise",
    knots: int | Sequence[float] | None = None,
    time: str | None = None,
    arm: str | None = None,
    censored: Any = None,
    robust: bool = False,
    level: float = 0.95,
    estimand: str | None = None,
    held: dict[str, float] | None = None,
    correlated: bool = True,
    independent: Sequence[str] = (),
    penalised: bool = False,
) -> JointModelFit:
    """A joint model of one or more markers and the time to an event, by exact maximum likelihood.

    Parameters
    ----------
    marker : ``ALSFRS ~ week * arm + (week | id)``, or several such formulas. The random part may be ``(1 | id)`` or
        have several terms: ``(ns(week, 2) | id)``. Covariates other than time are one value a patient.
    events : ``Surv(time, event) ~ arm + age + strata(site)``; ``Surv(start, stop, event)`` for late entry and for
        covariates of the hazard that change, with a row an interval. Time is in the unit of the marker's. The marker's
        column of time among the terms is the time at which the hazard stands: ``arm * week`` is a hazard ratio that
        changes, and ``I(dose + rate * week)`` a covariate that walks from where a row has it.
    data : a row a measurement; event_data : a row a patient (or interval), by default the first rows of ``data``.
        pandas, polars or pyarrow.
    association : what the hazard depends on: ``value`` m(t), ``slope`` m'(t), ``area`` (the mean since time 0;
        ``area(26)`` over the last 26), ``lag(8)`` m(t - 8), ``deviation`` (of the patient's own course from the mean
        one), ``effects`` (the random effects); several with ``+``,
        ``value * arm`` for one that differs by arm, ``value(NFL) + slope(ALSFRS)`` of several markers; None for none.
    family : of each marker, ``gaussian``, ``binary`` or ``ordinal`` (a proportional odds model; categories in the order
        of the column). Of the last two the course m(t) is the logit of a higher category.
    baseline : ``piecewise`` (constant between quantiles of the times of events), ``weibull`` or ``bspline`` (cubic, of
        the logarithm), or one each by cause, ``{"death": "bspline", "transplant": "weibull"}``. knots : how many inner
        knots (piecewise: 6, fewer where events are few), or where they are.
    time : the column of time, where the formula leaves it open. arm : the column of the arm, by default the first term
        of the events.
    censored : the value of no event, where the second column of ``Surv()`` names causes: competing risks, each with
        hazard, coefficients and associations of its own.
    robust : the sandwich variance. held : parameters held at a value. correlated : whether the random effects of
        different markers are. independent : markers whose own random effects are independent of each other (``||`` of
        lme4, ``pdDiag`` of nlme); with those of other markers they stay correlated.
    penalised : whether half the logarithm of the determinant of the random effects' covariance is added to the
        likelihood, which keeps it off the boundary where the data alone would not (Chung et al. 2015).

    Returns
    -------
    JointModelFit. Where the model cannot be estimated its ``status`` and ``reason`` say why, and its estimates are NaN.

    Raises
    ------
    EstimationError, DataError : a formula or a column cannot be used.

    Notes
    -----
    Wulfsohn & Tsiatis (1997), Biometrics 53:330; Henderson, Diggle & Dobson (2000), Biostatistics 1:465; Rizopoulos
    (2012). The integral over the random effects is adaptive Gauss-Hermite quadrature about the mode given all data of a
    patient, with more and more nodes until the log-likelihood moves by less than 1e-7; beyond four random effects it is
    Laplace's approximation, whose score is exact.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> g = np.random.default_rng(7)
    >>> long, people = [], []
    >>> for i in range(120):
    ...     a, b0, b1 = i % 2, g.normal(), 0.1 * g.normal()
    ...     t, end = 0.0, 24.0
    ...     while t < 24.0:  # the hazard depends on the value
    ...         t += 0.1
    ...         if g.uniform() < 0.1 * 0.02 * np.exp(0.5 * (b0 + (b1 - 0.05 * a) * t)):
    ...             end = t
    ...             break
    ...     people.append((f"P{i}", end, float(end < 24.0), "ab"[a]))
    ...     for t in range(0, int(end) + 1, 4):
    ...         long.append((f"P{i}", t, "ab"[a], b0 + (b1 - 0.05 * a) * t + 0.5 * g.normal()))
    >>> marker = pl.DataFrame(long, schema=["id", "week", "arm", "y"], orient="row")
    >>> events = pl.DataFrame(people, schema=["id", "time", "event", "arm"], orient="row")
    >>> fit = joint_model("y ~ week * arm + (week | id)", "Surv(time, event) ~ arm", marker, events)
    >>> fit.converged, fit.n_events, fit.optimum.gradient < 1e-3
    (True, 38, True)
    """
    check_level(level)
    setup = set_up(
        marker,
        events,
        data,
        event_data,
        association=association,
        baseline=baseline,
        knots=knots,
        time=time,
        censored=censored,
        points=None,
        family=family,
    )
    formulas = (marker,) if isinstance(marker, str) else tuple(marker)
    zeros = _within(setup, independent)
    setup = replace(setup, layout=replace(setup.layout, zeros=zeros))
    model = setup.likelihood()
    model.penalty = float(penalised)
    if not correlated:
        held = {**dict.fromkeys(_between(setup), 0.0), **(held or {})}
    if zeros:
        held = {**dict.fromkeys([f"L{r + 1}{c + 1}" for r, c in zeros], 0.0), **(held or {})}
    chosen = _arm(setup, arm)
    optimum = fit_setup(setup, model, chosen, held)
    vcov = covariance_of(optimum, robust)
    return JointModelFit(formulas, events, setup, model, optimum, vcov, robust, chosen, level, estimand)


def _within(setup: Setup, markers: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Places below the diagonal of the covariance of the random effects of one marker, for each that is named."""
    named = [markers] if isinstance(markers, str) else list(markers)
    known = [m.name for m in setup.markers]
    made: list[tuple[int, int]] = []
    for name in named:
        if name not in known:
            raise EstimationError(f"no marker {name!r} in independent=", hint="markers are " + ", ".join(known))
        own = setup.columns_of(known.index(name))
        made += [(r, c) for r in range(own.start, own.stop) for c in range(own.start, r)]
    return tuple(made)


def _between(setup: Setup) -> list[str]:
    """Parameters of the covariance of random effects of different markers."""
    own = np.repeat(np.arange(len(setup.markers)), [m.z.shape[1] for m in setup.markers])
    rows, columns = setup.layout.lower
    names = setup.names[setup.layout.covariance]
    return [name for name, r, s in zip(names, rows, columns, strict=True) if own[r] != own[s]]


def fit_setup(setup: Setup, model: JointLikelihood, arm: str | None, held: dict[str, float] | None = None) -> Optimum:
    """The maximum for data that were read; where there can be none, the reason."""
    free = np.ones(setup.layout.size, np.bool_)
    for name in held or {}:
        if name not in setup.names:
            raise EstimationError(f"no parameter {name!r}", hint="parameters are " + ", ".join(setup.names))
        free[setup.names.index(name)] = False
    wrong = check_data(setup, model, arm, free)
    if wrong is not None:
        return failed(setup.layout.size, *wrong, free)
    begin = start(model)
    for name, value in (held or {}).items():
        begin[setup.names.index(name)] = value
    found = maximise(model, begin, free=free)
    if found.status is Status.SINGULAR:
        scale = np.sqrt(np.maximum(np.abs(np.diag(found.information)), 1e-300))
        vector = np.linalg.eigh(found.information / scale / scale[:, None])[1][:, 0]
        names = [n for n, f in zip(setup.names, free, strict=True) if f]
        told = ", ".join(n for n, v in zip(names, vector, strict=True) if abs(v) > 0.05)
        return replace(found, reason=f"not estimable: the data cannot tell apart {told}")
    return found


def _arm(setup: Setup, asked: str | None) -> str | None:
    """The column of the arm: as asked, or the first term of the hazard where it is a column of two values."""
    terms = [t for t in setup.hazard.terms if t.name != "(Intercept)"]
    if asked is None:
        first = terms[0] if terms else None
        if first is None or len(first.factors) != 1 or len(first.factors[0].variables) != 1:
            return None
        name = first.factors[0].variables[0]
        column = setup.hazard.columns.get(name)
        if column is None or len(np.unique(column.values if column.levels is not None else column.numbers)) > 2:
            return None
        return name
    there = {v for t in terms for f in t.factors for v in f.variables}
    there |= {v for m in setup.markers for t in m.fixed.terms for f in t.factors for v in f.variables}
    if asked not in there:
        raise EstimationError(f"arm={asked!r} is in neither formula", hint="columns are " + ", ".join(sorted(there)))
    return asked


def check_data(
    setup: Setup, model: JointLikelihood, arm: str | None, free: Any, shared: bool = False
) -> tuple[Status, str] | None:
    """Why the model cannot be estimated, where that can be told from the data alone.

    shared : the arm's place in the hazard is told by the marker too, so that no event of an arm is needed.
    """
    lay = setup.layout
    for design in (setup.hazard, *(m.fixed for m in setup.markers)):
        for factor in design.factors.values():
            if factor.column is not None and len(factor.column.levels or ()) < 2:
                only = (factor.column.levels or ("nothing",))[0]
                return Status.EMPTY_ARM, f"not estimable: everyone has {factor.variables[0]} {only}"
    for m, sums in enumerate(model.markers):
        marker = setup.markers[m]
        if not (sums.n > 1.0).any():
            return Status.NOT_IDENTIFIED, f"not estimable: no patient has two values of {marker.name}"
        xx = sums.xx.sum(axis=0)
        size = np.sqrt(np.maximum(np.diag(xx), 1e-300))
        values, vectors = np.linalg.eigh(xx / size / size[:, None])
        if values[0] < 1e-12 * values[-1]:
            told = [n for n, v in zip(marker.names, vectors[:, 0], strict=True) if abs(v) > 1e-3]
            return Status.ALIASED, "not estimable: columns of the marker tell the same: " + ", ".join(told)
        if isinstance(sums, CategoryRows):
            counts = np.bincount(sums.code, minlength=sums.categories)
            if len(counts) < 2 or not counts.all():
                absent = (
                    "there is one category"
                    if len(counts) < 2
                    else (f"nobody with a time has {(marker.levels or ())[int(np.argmin(counts))]}")
                )
                return Status.NO_VARIANCE, f"not estimable: of {marker.name} {absent}"
            continue
        total = sums.yy.sum()
        beta = np.linalg.solve(xx, sums.xy.sum(axis=0))
        if total - beta @ sums.xy.sum(axis=0) <= 1e-12 * total:
            return Status.NO_VARIANCE, f"not estimable: every value of {marker.name} lies on the mean course"
    g = model.events.g
    k, q = len(setup.causes), len(setup.w_names)
    if not len(g):
        return Status.NO_EVENTS, "not estimable: no events"
    for c, baseline in enumerate(setup.baselines):
        own = int((setup.code == c + 1).sum())
        needs = int(free[lay.gammas][c * q : (c + 1) * q].sum()) + baseline.width * setup.n_strata
        needs -= int(shared)
        needs += sum(int(free[lay.alphas.start + f]) for f, link in enumerate(setup.links) if link.cause == c)
        what = f" of {setup.causes[c]}" if k > 1 else ""
        if own < needs:
            return (
                Status.NOT_IDENTIFIED,
                f"not estimable: {own} event{'s' if own != 1 else ''}{what} for {needs} parameters of the hazard",
            )
        empty = _no_event(setup, c)
        if empty:
            return Status.NOT_IDENTIFIED, f"not estimable: no event{what} {empty}"
        lopsided = None if shared else _lopsided(setup, c, arm)
        if lopsided:
            return Status.ONE_ARM_EVENTS, lopsided
    return None


def _no_event(setup: Setup, cause: int) -> str | None:
    """Where a hazard of its own has no event: a stratum, or an interval of a piecewise constant baseline."""
    baseline, surv = setup.baselines[cause], setup.surv
    own = setup.code == cause + 1
    for s in range(setup.n_strata):
        name = f" of stratum {surv.stratum_labels[s]}" if setup.n_strata > 1 else ""
        times = surv.time[own & (surv.stratum == s)]
        if not len(times):
            return f"in{name.removeprefix(' of')}"
        if baseline.kind == "piecewise":
            counts = np.bincount(np.searchsorted(baseline.knots, times, side="left"), minlength=baseline.width)
            if not counts.all():
                interval = baseline.names[int(np.argmin(counts))].removeprefix("log hazard ")
                return f"in the interval {interval}{name}; give fewer knots"
    return None


def _lopsided(setup: Setup, cause: int, arm: str | None) -> str | None:
    """What is said where a level of the arm has no event of a cause."""
    if arm is None or not setup.w_names:
        return None
    column = setup.hazard.columns.get(arm)
    if column is None:
        return None
    values = column.values if column.levels is not None else column.numbers
    levels = np.unique(values)
    if len(levels) > 2:
        return None
    said = []
    for level in levels:
        label = column.levels[int(level)] if column.levels is not None else f"{level:g}"
        own = values == level
        said.append((int((setup.code[own] == cause + 1).sum()), int(own.sum()), label))
    if all(events for events, _, _ in said):
        return None
    counts = ", ".join(f"{e}/{n} {label}" for e, n, label in said)
    return f"not estimable: all events in one arm (events {counts})"
