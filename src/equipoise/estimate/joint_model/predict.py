"""What becomes of a patient, given the values so far: survival, the incidence of a cause, and the course.

Of a patient alive at the landmark t with history y,

    P(T > u | T > t, y) = E_b[exp(-H(u)) | y] / E_b[exp(-H(t)) | y],

a ratio of two integrals of the likelihood's kind (Rizopoulos 2011, Biometrics 67:819). The uncertainty of the
parameters comes by draws from their normal approximation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.formula import Design, read_column, renewed
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.joint_model.likelihood import Categories, CategoryRows, Rows, integrals
from equipoise.estimate.joint_model.setup import Setup
from equipoise.estimate.joint_model.trajectory import Marker, coded
from equipoise.estimate.result import times_at
from equipoise.types import FloatArray, IntArray

if TYPE_CHECKING:
    from equipoise.estimate.joint_model.fit import JointModelFit

NODES = 15
"""Nodes a random effect."""
_TINY = -60.0
"""Logarithm of the weight of a node that is only looked at."""


@dataclass(eq=False)
class Prediction:
    """Predictions of patients at times, as a frame by ``to_frame``.

    patients; landmark; at (time,); risk (patient, time), the probability of the event (of ``cause``) by then; low, high
    with the uncertainty of the parameters; course, course_sd (patient, time): of each marker, the expected course and
    the standard deviation of the patient's own; value_sd that of a value to be measured. Of a binary or ordinal marker
    the course is the logit of a higher category, and there is no value_sd.
    """

    subject: str
    patients: tuple[Any, ...]
    landmark: float
    at: FloatArray
    risk: FloatArray
    low: FloatArray
    high: FloatArray
    course: dict[str, FloatArray]
    course_sd: dict[str, FloatArray]
    value_sd: dict[str, FloatArray]
    level: float
    history: dict[str, list[tuple[Any, float, float]]] = field(repr=False)
    backend: Any = field(default=None, repr=False)

    @property
    def survival(self) -> FloatArray:
        """(patient, time) one less the risk."""
        return np.asarray(1.0 - self.risk)

    def to_frame(self) -> Any:
        """A row a patient and time: risk with its interval, and the course of each marker."""
        table: dict[str, Any] = {self.subject: [p for p in self.patients for _ in self.at]}
        table["time"] = np.tile(self.at, len(self.patients)).tolist()
        table |= {
            "risk": self.risk.ravel().tolist(),
            "low": self.low.ravel().tolist(),
            "high": self.high.ravel().tolist(),
        }
        for name in self.course:
            table[name] = self.course[name].ravel().tolist()
            table[f"SD of {name}"] = self.course_sd[name].ravel().tolist()
        return nw.from_dict(table, backend="polars" if self.backend is None else self.backend).to_native()

    def __repr__(self) -> str:
        return f"<Prediction: {len(self.patients)} patients at {len(self.at)} times after {self.landmark:g}>"

    def plot(self, **options: Any) -> Any:
        """The risk of each patient over time; see :func:`equipoise.plot.prediction`."""
        from equipoise.drawing import drawing

        return drawing("prediction")(self, **options)


def renewed_design(design: Design, frame: nw.DataFrame[Any]) -> Design:
    """``design`` on the rows of another frame; raises :class:`DataError` where they do not fit."""
    factors = {name: renewed(factor, frame) for name, factor in design.factors.items()}
    terms = tuple(replace(t, factors=tuple(factors[f.spec.expression] for f in t.factors)) for t in design.terms)
    columns = {}
    for name, column in design.columns.items():
        plain = name.strip("|")
        if column.levels is None and plain in frame.columns:
            columns[name] = read_column(frame, plain)
    return replace(design, factors=factors, terms=terms, columns=columns, n_rows=len(frame), frame=frame)


def new_setup(fit: JointModelFit, data: Any, event_data: Any, landmark: float) -> Setup:
    """The arrays of new patients whose history ends at ``landmark``; raises :class:`DataError` as the model does."""
    setup = fit.setup
    frame = read_frame(data)
    subject = setup.markers[0].subject
    require(frame, [subject])
    people_frame = frame if event_data is None else read_frame(event_data)
    require(people_frame, [subject])
    code, labels = codes_of(people_frame, subject)
    first = np.unique(code[code >= 0], return_index=True)[1]
    keep = np.zeros(len(code), np.bool_)
    keep[np.flatnonzero(code >= 0)[first]] = True
    people = people_frame.filter(keep.tolist())
    code, labels = codes_of(people, subject)
    wanted = [labels[c] for c in code]
    markers: list[Marker] = []
    own: list[IntArray] = []
    for marker in setup.markers:
        require(frame, [marker.time_name])
        time = read_column(frame, marker.time_name).numbers
        there = np.isfinite(time) & (time <= landmark)
        variables = dict.fromkeys(v for f in marker.fixed.factors.values() for v in f.variables)
        response = list(_response(fit, marker))
        require(frame, [*variables, *response])
        for name in (*variables, *response):
            there &= ~read_column(frame, name).missing
        rows = frame.filter(there.tolist())
        if marker.levels is not None:
            rows = coded(rows, response[0], marker.levels)
        who, known = codes_of(rows, subject)
        order = {p: k for k, p in enumerate(known)}
        absent = [p for p in wanted if p not in order]
        if absent:
            raise DataError(
                f"patient {absent[0]!r} has no value of {marker.name} up to {landmark:g}",
                hint="leave the patient out, or take a later landmark",
            )
        fixed, random = renewed_design(marker.fixed, rows), renewed_design(marker.random, rows)
        head = np.full(len(known), -1, np.int64)
        head[who[::-1]] = np.arange(len(who))[::-1]
        y = _values(fit, marker, rows)
        x, z = marker.fixed.matrix_of(rows), marker.random.matrix_of(rows)
        when = read_column(rows, marker.time_name).numbers
        markers.append(
            replace(
                marker, fixed=fixed, random=random, patients=tuple(known), who=who, y=y, x=x, z=z, time=when, head=head
            )
        )
        own.append(np.array([order[p] for p in wanted], np.int64))
    if setup.walks:  # the time itself is a covariate: what it is now matters, not what the rows have
        now = nw.lit(float(landmark)).alias(setup.markers[0].time_name)
        people = people.with_columns(now)
    hazard = renewed_design(setup.hazard, people)
    links = tuple(replace(k, by=None if k.by is None else renewed_design(k.by, people)) for k in setup.links)
    n = len(wanted)
    stratum = np.zeros(n, np.int64)
    if setup.surv.strata:
        called = list(setup.surv.stratum_labels)
        parts = [people.get_column(s).to_list() for s in setup.surv.strata]
        names = [
            ", ".join(f"{s}={v}" for s, v in zip(setup.surv.strata, row, strict=True))
            for row in zip(*parts, strict=True)
        ]
        unknown = next((name for name in names if name not in called), None)
        if unknown is not None:
            raise DataError(f"stratum {unknown} is new", hint="strata are " + "; ".join(called))
        stratum = np.array([called.index(name) for name in names], np.int64)
    surv = replace(
        setup.surv,
        entry=None,
        time=np.full(n, landmark),
        event=np.zeros(n, np.bool_),
        stratum=stratum,
        row=np.arange(n),
        frame=people,
    )
    w = hazard.matrix_of(people)[:, setup.w_columns]
    return replace(
        setup,
        markers=tuple(markers),
        own=tuple(own),
        patients=tuple(wanted),
        surv=surv,
        row_of=np.arange(n),
        code=np.zeros(n, np.int64),
        hazard=hazard,
        w=w,
        links=links,
    )


def _response(fit: JointModelFit, marker: Marker) -> tuple[str, ...]:
    from equipoise.estimate.formula import read

    target = read(marker.formula).target
    assert target is not None
    return target.variables


def _values(fit: JointModelFit, marker: Marker, rows: nw.DataFrame[Any]) -> FloatArray:
    from equipoise.estimate.formula import read
    from equipoise.estimate.formula.functions import evaluate

    target = read(marker.formula).target
    assert target is not None
    values = {name: read_column(rows, name).numbers for name in target.variables}
    y = values[target.variables[0]] if target.node is None else evaluate(target.node, values, {}, marker.formula)
    if not np.isfinite(y).all():
        raise DataError(f"{marker.name} is no finite number in some row", hint="mend the value or leave the row out")
    return np.asarray(y, np.float64)


@dataclass(frozen=True, eq=False)
class Histories:
    """Patients with what was seen of them up to the landmark; ``rows`` (patient,) their rows of the events.

    ``low`` (patient,) : from when on they are known to be alive, the landmark or later.
    """

    setup: Setup
    rows: IntArray
    patients: IntArray
    landmark: float

    def sums(self) -> list[Rows]:
        """Of each marker, what was seen up to the landmark."""
        n = len(self.patients)
        return [self.setup.rows_of(m, self.patients, n, self.landmark) for m in range(len(self.setup.markers))]

    def solve(
        self, theta: FloatArray, sums: Sequence[Rows], end: FloatArray, look: int | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """(patient,) log integrals with the hazards up to ``end`` (patient,), means (patient, d), second moments, and
        with ``look`` the expected hazard of that cause at ``end`` (patient,).
        """
        setup, lay = self.setup, self.setup.layout
        n, d = len(self.patients), lay.d
        a, c = np.zeros((n, d, d)), np.zeros((n, d))
        for m, one in enumerate(sums):
            if isinstance(one, CategoryRows):
                continue
            s2 = math.exp(2.0 * theta[lay.log_sigma(m)])
            a[:, one.columns, one.columns] += one.zz / s2
            c[:, one.columns] += (one.zy - one.zx @ theta[lay.beta(m)]) / s2
        unit = np.arange(n)
        risk = setup.at_risk(unit, self.rows, np.zeros(n), end, max(setup.points, 5))
        parts = [(risk.unit, risk.g, risk.xf, risk.zf, risk.weight)]
        if look is not None:
            g, xf, zf = setup.rows(self.rows, end, look)
            parts.append((unit, g, xf, zf, np.full(n, _TINY)))
        who = np.concatenate([p[0] for p in parts])
        phi = np.concatenate([theta[lay.gammas], theta[lay.psis]])
        alpha, betas = theta[lay.alphas], theta[lay.betas]
        e0, ze = [], []
        for _, g, xf, zf, weight in parts:
            e = g @ phi + weight
            z = np.zeros((len(e), d))
            for f in range(lay.alpha):
                e = e + alpha[f] * (xf[f] @ betas)
                z = z + alpha[f] * zf[f]
            e0.append(e)
            ze.append(z)
        order = np.argsort(who, kind="stable")
        first = np.searchsorted(who[order], np.arange(n + 1)).astype(np.int64)
        low = lay.factor(theta)
        inverse = np.linalg.solve(low, np.eye(d))
        k = NODES if d <= 2 else 7 if d == 3 else 3 if d == 4 else 1
        joined, joined_z = np.concatenate(e0)[order], np.ascontiguousarray(np.concatenate(ze)[order])
        ll, eb, ebb, eh, _, _ = integrals(
            a,
            c,
            first,
            np.minimum(joined, 650.0),
            joined_z,
            inverse.T @ inverse,
            np.zeros((n, d)),
            k,
            theta,
            lay,
            Categories.of(tuple(sums), n, lay),
        )
        hazard = np.empty(0)
        if look is not None:
            back = np.empty(len(who))
            back[order] = eh
            hazard = back[-n:] * math.exp(-_TINY)
        return ll, eb, ebb, hazard

    def risk(self, theta: FloatArray, begin: FloatArray, at: FloatArray, cause: int | None) -> FloatArray:
        """(patient, time) probability of the event, or of ``cause``, in (begin, t] of who lives at ``begin``."""
        sums = self.sums()
        base = self.solve(theta, sums, np.maximum(begin, 1e-9))[0]
        out = np.empty((len(self.patients), len(at)))
        several = len(self.setup.causes) > 1
        x, w = np.polynomial.legendre.leggauss(8)
        before, done = begin.copy(), np.zeros(len(begin))
        for k, t in enumerate(at):
            end = np.maximum(np.full(len(begin), t), begin)
            if cause is None or not several:
                out[:, k] = 1.0 - np.exp(self.solve(theta, sums, end)[0] - base)
                continue
            for u, weight in zip(x, w, strict=True):
                s = before + (end - before) * 0.5 * (1.0 + u)
                ll, _, _, hazard = self.solve(theta, sums, s, cause)
                done = done + 0.5 * weight * (end - before) * np.exp(ll - base) * hazard
            before = end
            out[:, k] = done
        return np.clip(out, 0.0, 1.0)


def predict(
    fit: JointModelFit,
    data: Any,
    event_data: Any,
    *,
    landmark: float,
    at: Any,
    cause: Any,
    draws: int,
    seed: int,
    level: float,
) -> Prediction:
    """See :meth:`equipoise.estimate.joint_model.fit.JointModelFit.predict`."""
    if not fit.converged:
        raise EstimationError(f"there is nothing to predict from: {fit.reason}", hint="see fit.status")
    times = np.sort(np.array(times_at(at, "a prediction")))
    if times[0] <= landmark:
        raise EstimationError(f"a prediction at {times[0]:g}", hint=f"give times after the landmark, {landmark:g}")
    setup = new_setup(fit, data, event_data, landmark)
    n = setup.n
    own = Histories(setup, np.arange(n), np.arange(n), landmark)
    which = None if cause is None and len(setup.causes) == 1 else 0 if cause is None else setup.causes.index(cause)
    begin = np.full(n, float(landmark))
    risk = own.risk(fit.theta, begin, times, which)
    low, high = np.full_like(risk, math.nan), np.full_like(risk, math.nan)
    if draws:
        g = np.random.default_rng(seed)
        at_ = np.flatnonzero(np.diag(fit.vcov) > 0.0)
        root = np.linalg.cholesky(fit.vcov[np.ix_(at_, at_)])
        many = np.empty((draws, *risk.shape))
        for r in range(draws):
            theta = fit.theta.copy()
            theta[at_] += root @ g.normal(size=len(at_))
            many[r] = own.risk(theta, begin, times, which)
        low, high = np.nanquantile(many, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0)
    _, eb, ebb, _ = own.solve(fit.theta, own.sums(), np.maximum(begin, 1e-9))
    spread = ebb - eb[:, :, None] * eb[:, None, :]
    course: dict[str, FloatArray] = {}
    sd: dict[str, FloatArray] = {}
    value: dict[str, FloatArray] = {}
    history: dict[str, list[tuple[Any, float, float]]] = {}
    for m, marker in enumerate(setup.markers):
        beta, columns = fit.theta[setup.layout.beta(m)], setup.columns_of(m)
        mean, own_sd = np.empty((n, len(times))), np.empty((n, len(times)))
        for k, t in enumerate(times):
            x, z = marker.at(setup.own[m], np.full(n, t))
            mean[:, k] = x @ beta + (z * eb[:, columns]).sum(axis=1)
            own_sd[:, k] = np.sqrt(np.maximum(np.einsum("nr,nrs,ns->n", z, spread[:, columns, columns], z), 0.0))
        course[marker.name], sd[marker.name] = mean, own_sd
        value[marker.name] = (
            np.sqrt(own_sd**2 + fit.residual_sd[m] ** 2) if marker.levels is None else own_sd * math.nan
        )
        history[marker.name] = [
            (marker.patients[w], float(t), float(v)) for w, t, v in zip(marker.who, marker.time, marker.y, strict=True)
        ]
    return Prediction(
        setup.markers[0].subject,
        setup.patients,
        float(landmark),
        times,
        risk,
        low,
        high,
        course,
        sd,
        value,
        level,
        history,
        fit.backend,
    )
