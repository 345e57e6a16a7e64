"""From formulas and data frames to the arrays of the likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.formula import Design, ModelFormula, build, quoted, read, with_intercept
from equipoise.estimate.frames import kept_rows, read_frame, require
from equipoise.estimate.joint_model.association import Association, read_associations, rows_of
from equipoise.estimate.joint_model.hazard import Baseline, baseline_of, nodes
from equipoise.estimate.joint_model.likelihood import CategoryRows, JointLikelihood, Layout, MarkerSums, Points, Rows
from equipoise.estimate.joint_model.trajectory import FAMILIES, NOTHING, Instead, Marker, design_at, read_marker
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.survival.causes import read_causes
from equipoise.estimate.survival.surv_formula import SurvData, read_surv, surv_model
from equipoise.types import FloatArray, IntArray

MOST_EFFECTS = 12
"""Random effects of a model, all markers together."""
_ANY = "ANY_EVENT__"


@dataclass(frozen=True, eq=False)
class Linked:
    """One association of one cause as a parameter.

    by, column : the design, and its column, that it is multiplied by.
    """

    name: str
    one: Association
    marker: int
    effect: int
    cause: int
    by: Design | None
    column: int


@dataclass(frozen=True, eq=False)
class Setup:
    """The data of a joint model.

    patients : their labels; ``row_of`` (event row,) the patient of each row of the events, of which ``surv`` has the
    times. own : of each marker (patient,) their places in it. code (event row,) : 0 no event, else the cause from 1.
    w (event row, q) : columns of the hazard. links : what the hazards depend on. baselines : one a cause. names : of
    all parameters. points : nodes of time in an interval.
    """

    markers: tuple[Marker, ...]
    own: tuple[IntArray, ...]
    patients: tuple[Any, ...]
    surv: SurvData
    row_of: IntArray
    code: IntArray
    causes: tuple[Any, ...]
    hazard: Design
    w: FloatArray
    w_columns: IntArray
    w_names: tuple[str, ...]
    links: tuple[Linked, ...]
    baselines: tuple[Baseline, ...]
    layout: Layout
    names: tuple[str, ...]
    left_out: LeftOut
    backend: Any
    points: int

    @property
    def d(self) -> int:
        return self.layout.d

    @property
    def n(self) -> int:
        return len(self.patients)

    @cached_property
    def walks(self) -> bool:
        """Whether a covariate of the hazard changes with time itself, so that it has a value at every moment."""
        clock = self.markers[0].time_name
        return any(clock in f.variables for f in self.hazard.factors.values())

    def covariates(self, at: IntArray, time: FloatArray, instead: Instead = NOTHING) -> FloatArray:
        """(row, q) the covariates of the hazard of the event rows ``at`` at ``time`` (row,)."""
        if not instead and not self.walks:
            return np.asarray(self.w[at])
        clock = self.markers[0].time_name if self.walks else None
        return design_at(self.hazard, clock, at, time, instead)[:, self.w_columns]

    @property
    def n_strata(self) -> int:
        return max(len(self.surv.stratum_labels), 1)

    def columns_of(self, m: int) -> slice:
        start = sum(mk.z.shape[1] for mk in self.markers[:m])
        return slice(start, start + self.markers[m].z.shape[1])

    def rows(
        self, at: IntArray, time: FloatArray, cause: int, instead: Instead = NOTHING, course: Instead | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Columns of gamma and psi (row, m), of beta (form, row, p) and of b (form, row, d) of the hazard of ``cause``
        (from 0) of the event rows ``at`` (row,) at ``time`` (row,).

        instead : columns of the hazard that have another value, as a counterfactual arm; course : those of the marker,
        by default the same.
        """
        course = instead if course is None else course
        n, lay = len(at), self.layout
        k, q, strata = len(self.causes), self.w.shape[1], self.n_strata
        g = np.zeros((n, lay.gamma + lay.psi))
        g[:, cause * q : (cause + 1) * q] = self.covariates(at, time, instead)
        start = k * q
        for c, baseline in enumerate(self.baselines):
            if c == cause:
                basis = baseline.basis(time)
                for s in range(strata):
                    mine = self.surv.stratum[at] == s
                    g[mine, start + s * baseline.width : start + (s + 1) * baseline.width] = basis[mine]
            start += strata * baseline.width
        p = sum(mk.x.shape[1] for mk in self.markers)
        xf, zf = np.zeros((lay.alpha, n, p)), np.zeros((lay.alpha, n, lay.d))
        known: dict[tuple[Association, int], list[tuple[FloatArray, FloatArray]]] = {}
        for f, link in enumerate(self.links):
            if link.cause != cause:
                continue
            plain = replace(link.one, by=None, marker=None)
            key = (plain, link.marker)
            if key not in known:
                known[key] = rows_of(
                    plain, self.markers[link.marker], self.own[link.marker][self.row_of[at]], time, course
                )
            x, z = known[key][link.effect]
            first = sum(mk.x.shape[1] for mk in self.markers[: link.marker])
            by = 1.0 if link.by is None else design_at(link.by, None, at, None, instead)[:, link.column, None]
            xf[f][:, first : first + x.shape[1]] = x * by
            zf[f][:, self.columns_of(link.marker)] = z * by
        return g, xf, zf

    def at_risk(self, unit: IntArray, at: IntArray, begin: FloatArray, end: FloatArray, points: int) -> Points:
        """Nodes of the cumulative hazards of all causes of event rows ``at``, at risk in (begin, end], of ``unit``."""
        lags = [link.one.length for link in self.links if link.one.length is not None]
        parts = []
        for c, baseline in enumerate(self.baselines):
            breaks = np.concatenate([baseline.knots, lags, _spread(baseline, end)])
            graded = baseline.kind == "weibull"
            own, time, weight = nodes(begin, end, breaks, points + (5 if graded else 0), graded)
            g, xf, zf = self.rows(at[own], time, c)
            parts.append((unit[own], time, g, xf, zf, weight))
        order = np.argsort(np.concatenate([p[0] for p in parts]), kind="stable")
        return Points(
            np.concatenate([p[0] for p in parts])[order],
            np.concatenate([p[1] for p in parts])[order],
            np.concatenate([p[2] for p in parts])[order],
            np.ascontiguousarray(np.concatenate([p[3] for p in parts], axis=1)[:, order]),
            np.ascontiguousarray(np.concatenate([p[4] for p in parts], axis=1)[:, order]),
            np.concatenate([p[5] for p in parts])[order],
        )

    def likelihood(self, points: int | None = None) -> JointLikelihood:
        """The likelihood of these data; ``points`` nodes of time in an interval."""
        points = self.points if points is None else points
        surv = self.surv
        begin = np.zeros(len(surv.time)) if surv.entry is None else surv.entry
        first = np.full(self.n, np.inf)
        np.minimum.at(first, self.row_of, begin)
        late = np.flatnonzero(first > 0.0)
        # of a patient who entered late the hazard runs from 0, with what is known at entry, and the chance of getting
        # there is divided out
        unit = np.arange(self.n)
        at = np.arange(len(surv.time))
        risk = [(self.row_of, at, begin, surv.time)]
        if len(late):
            lead = np.full(self.n, -1, np.int64)
            order = np.argsort(begin, kind="stable")[::-1]
            lead[self.row_of[order]] = order
            risk.append((late, lead[late], np.zeros(len(late)), first[late]))
            risk.append((self.n + np.arange(len(late)), lead[late], np.zeros(len(late)), first[late]))
        who, rows, low, high = (np.concatenate(part) for part in zip(*risk, strict=True))
        joined = self.at_risk(who, rows, low, high, points)
        seen = []
        for c in range(len(self.causes)):
            own = np.flatnonzero(self.code == c + 1)
            g, xf, zf = self.rows(own, surv.time[own], c)
            seen.append((self.row_of[own], surv.time[own], g, xf, zf))
        events = Points(
            np.concatenate([s[0] for s in seen]),
            np.concatenate([s[1] for s in seen]),
            np.concatenate([s[2] for s in seen]),
            np.concatenate([s[3] for s in seen], axis=1),
            np.concatenate([s[4] for s in seen], axis=1),
            np.zeros(sum(len(s[0]) for s in seen)),
        )
        n_units = self.n + len(late)
        return JointLikelihood(
            self.layout,
            tuple(self._sums(m, n_units) for m in range(len(self.markers))),
            joined,
            events,
            np.concatenate([unit, late]).astype(np.int64),
            np.concatenate([np.ones(self.n), -np.ones(len(late))]),
            self.n,
        )

    def _sums(self, m: int, n_units: int) -> Rows:
        return self.rows_of(m, np.arange(self.n), n_units)

    def rows_of(self, m: int, patients: IntArray, n_units: int, until: float = np.inf) -> Rows:
        """Marker ``m`` of the ``patients`` (unit,), up to the time ``until``; further units have no value."""
        marker = self.markers[m]
        place = np.full(len(marker.patients), -1, np.int64)
        place[self.own[m][patients]] = np.arange(len(patients))
        who = place[marker.who]
        there = (who >= 0) & (marker.time <= until)
        own = who[there], marker.y[there], marker.x[there], marker.z[there]
        if marker.levels is None:
            return sums_of(*own, n_units, self.columns_of(m))
        return categories_of(*own, n_units, self.columns_of(m), len(marker.levels))


def sums_of(who: IntArray, y: FloatArray, x: FloatArray, z: FloatArray, n: int, columns: slice) -> MarkerSums:
    """Sums over the rows of each of ``n`` units of one marker."""

    def summed(values: FloatArray) -> FloatArray:
        out = np.zeros((n, *values.shape[1:]))
        np.add.at(out, who, values)
        return out

    return MarkerSums(
        columns,
        np.bincount(who, minlength=n).astype(np.float64),
        np.asarray(np.bincount(who, weights=y * y, minlength=n), np.float64),
        summed(x * y[:, None]),
        summed(z * y[:, None]),
        summed(x[:, :, None] * x[:, None, :]),
        summed(z[:, :, None] * x[:, None, :]),
        summed(z[:, :, None] * z[:, None, :]),
    )


def categories_of(
    who: IntArray, y: FloatArray, x: FloatArray, z: FloatArray, n: int, columns: slice, categories: int
) -> CategoryRows:
    """Rows of a binary or ordinal marker of each of ``n`` units; ``y`` (row,) the place of the category."""
    order = np.argsort(who, kind="stable")
    made = sums_of(who, y, x, z, n, columns)
    return CategoryRows(
        columns, who[order], x[order], z[order], y[order].astype(np.int64), categories, made.n, made.xx, made.zz
    )


def _spread(baseline: Baseline, end: FloatArray) -> FloatArray:
    """Further breaks where the baseline has no knots: quarters of follow-up."""
    if baseline.kind == "piecewise" and len(baseline.knots) > 2:
        return np.zeros(0)
    return np.asarray(float(end.max()) * np.array([0.25, 0.5, 0.75])) if len(end) else np.zeros(0)


def set_up(
    marker: str | Sequence[str],
    events: str,
    data: Any,
    event_data: Any,
    *,
    association: str | Sequence[str] | None,
    baseline: str | Mapping[Any, str],
    knots: int | Sequence[float] | None,
    time: str | None,
    censored: Any,
    points: int | None,
    family: str | Sequence[str] = "gaussian",
) -> Setup:
    """Read everything; raises as :func:`equipoise.estimate.joint_model.joint_model` says."""
    formulas = [marker] if isinstance(marker, str) else list(marker)
    if not formulas:
        raise EstimationError("no marker", hint='"AVAL ~ week * arm + (week | id)"')
    families = [family] * len(formulas) if isinstance(family, str) else list(family)
    unknown = [one for one in families if one not in FAMILIES]
    if unknown or len(families) != len(formulas):
        found = f"unknown family {unknown[0]!r}" if unknown else f"{len(families)} families of {len(formulas)} markers"
        raise EstimationError(found, hint="one of each marker, in their order: " + ", ".join(FAMILIES))
    frame = read_frame(data)
    backend = nw.get_native_namespace(frame)
    markers = [read_marker(text, frame, time, one) for text, one in zip(formulas, families, strict=True)]
    subject = markers[0].subject
    if any(m.subject != subject for m in markers):
        raise EstimationError("markers of different patients", hint="name one column of patients after every |")
    lost: dict[str, int] = {}
    for m in markers:
        for why, count in m.left_out.items():
            lost[why] = lost.get(why, 0) + count
    surv, code, causes = _events(
        events,
        frame if event_data is None else read_frame(event_data),
        subject,
        censored,
        event_data is None,
        markers[0].time_name,
    )
    lost = {**lost, **{why: lost.get(why, 0) + n for why, n in surv.left_out.reasons.items()}}
    column, levels = codes_of(surv.frame, subject)
    known = [{p: k for k, p in enumerate(m.patients)} for m in markers]
    seen = np.array([*(all(level in k for k in known) for level in levels), False], np.bool_)
    keep = np.asarray(seen[column])
    if (~keep).any():
        lost["of the events without a value of the marker"] = int((~keep).sum())
    # the columns of the hazard, on the rows that have them
    specs = [term for term in surv.model.terms if term]
    extra = [a.by for a in read_associations(association) if a.by]
    model = replace(surv.model.without_response(), terms=with_intercept(specs), strata=())
    rows = kept_rows(surv.frame, keep)
    if not keep.any():
        raise DataError(
            "no patient has both a value of the marker and a time", hint=f"both frames name patients in {subject!r}"
        )
    require(rows, extra)
    design, _ = build(model, rows, dict.fromkeys(extra, False))
    clock = markers[0].time_name
    if any(f.column is not None and clock in f.variables for f in design.factors.values()):
        raise EstimationError(
            f"{clock!r} is time, and has no categories in the hazard", hint=f"write {clock}, or ns({clock}, 2)"
        )
    if not design.keep.all():
        for why, count in design.left_out.items():
            lost[why] = lost.get(why, 0) + count
    kept = np.flatnonzero(keep)[design.keep]
    surv = _taken(surv, kept, rows if design.keep.all() else kept_rows(rows, design.keep))
    code = code[kept]
    column, levels = codes_of(surv.frame, subject)
    used, row_of = np.unique(column, return_inverse=True)
    patients = tuple(levels[u] for u in used)
    if surv.entry is None and len(patients) < len(row_of):
        twice = patients[int(np.argmax(np.bincount(row_of)))]
        raise DataError(
            f"patient {twice!r} has several rows of events",
            hint="give one row a patient, or intervals: Surv(start, stop, event)",
        )
    own = tuple(np.array([k[p] for p in patients], np.int64) for k in known)
    missing = sum(int((~np.isin(m.who, o)).sum()) for m, o in zip(markers, own, strict=True))
    if missing:
        lost["of the marker without a time of the patient"] = missing
    w = design.matrix()[:, [i for i, name in enumerate(design.names) if name != "(Intercept)"]]
    w_names = tuple(name for name in design.names if name != "(Intercept)")
    links = _links(association, markers, surv, design, len(causes), causes)
    top = float(surv.time.max())
    kinds = _kinds(baseline, causes)
    baselines = tuple(
        baseline_of(kind, surv.time, code == c + 1, surv.stratum, knots, top) for c, kind in enumerate(kinds)
    )
    d = sum(m.z.shape[1] for m in markers)
    if d > MOST_EFFECTS:
        raise EstimationError(f"{d} random effects", hint=f"at most {MOST_EFFECTS} in all")
    strata = max(len(surv.stratum_labels), 1)
    layout = Layout(
        tuple(m.x.shape[1] for m in markers),
        d,
        len(causes) * len(w_names),
        len(links),
        strata * sum(b.width for b in baselines),
        tuple(1 if m.levels is None else max(len(m.levels) - 2, 0) for m in markers),
    )
    clocks = {f.spec.expression for f in design.factors.values() if clock in f.variables}
    linear = all(set(_numeric(m)) <= {m.time_name} for m in markers) and clocks <= {clock}
    return Setup(
        tuple(markers),
        own,
        patients,
        surv,
        row_of.astype(np.int64),
        code,
        causes,
        design,
        w,
        np.array([i for i, name in enumerate(design.names) if name != "(Intercept)"], np.int64),
        w_names,
        links,
        baselines,
        layout,
        _names(markers, d, causes, w_names, links, surv, baselines),
        LeftOut(lost),
        backend,
        points or (5 if linear else 8),
    )


def _kinds(baseline: str | Mapping[Any, str], causes: tuple[Any, ...]) -> list[str]:
    """The kind of baseline hazard of each cause."""
    if isinstance(baseline, str):
        return [baseline] * len(causes)
    wrong = [c for c in baseline if c not in causes] + [c for c in causes if c not in baseline]
    if wrong:
        raise EstimationError(
            f"baseline hazard of {wrong[0]!r}", hint="name the causes, each once: " + ", ".join(map(str, causes))
        )
    return [baseline[c] for c in causes]


def _numeric(marker: Marker) -> list[str]:
    """Expressions of time in the formula."""
    found = (*marker.fixed.factors.values(), *marker.random.factors.values())
    return [f.spec.expression for f in found if marker.time_name in f.variables]


def _taken(surv: SurvData, rows: IntArray, frame: nw.DataFrame[Any]) -> SurvData:
    return replace(
        surv,
        entry=None if surv.entry is None else surv.entry[rows],
        time=surv.time[rows],
        event=surv.event[rows],
        stratum=surv.stratum[rows],
        row=surv.row[rows],
        frame=frame,
    )


def _events(
    formula: str, frame: nw.DataFrame[Any], subject: str, censored: Any, from_marker: bool, clock: str
) -> tuple[SurvData, IntArray, tuple[Any, ...]]:
    """Times, codes of causes (0 none) and the causes.

    from_marker : the frame is that of the marker; one row a patient is taken. clock : the marker's column of time; as a
    term of the hazard it is the time at which the hazard stands, and the frame gets it as the time of the row's end.
    """
    model = surv_model(formula)
    model.refuse(cluster="patients are named in the random part")
    require(frame, [subject])
    assert model.survival is not None
    walks = clock in _right_hand(model) and clock not in model.survival.columns
    if from_marker:
        frame = _first_rows(frame, subject, [name for name in model.variables if not (walks and name == clock)])
    if walks:
        require(frame, [model.survival.columns[-2]])
        frame = frame.with_columns(nw.col(model.survival.columns[-2]).alias(clock))
    if censored is None:
        surv = read_surv(formula, frame.to_native())
        return surv, surv.event.astype(np.int64), ("event",)
    *times, cause = model.survival.columns
    read_ = read_causes(frame, times[-1], cause, censored)
    flag = [float(c > 0) if k else None for c, k in zip(read_.code, read_.known, strict=True)]
    own = nw.new_series(_ANY, flag, nw.Float64, backend=nw.get_native_namespace(frame))
    text = f"Surv({', '.join(map(quoted, times))}, {_ANY}) ~ {model.right}"
    surv = read_surv(text, frame.with_columns(own).to_native())
    if not read_.labels:
        return surv, np.zeros(len(surv.time), np.int64), ("event",)
    return surv, read_.code[surv.row], read_.labels


def _right_hand(model: ModelFormula) -> set[str]:
    """The columns of the terms."""
    return {name for term in model.terms for spec in term for name in (spec.variables or (spec.name,)) if name}


def _first_rows(frame: nw.DataFrame[Any], subject: str, names: Sequence[str]) -> nw.DataFrame[Any]:
    """One row a patient; raises where what the events need differs between rows of a patient."""
    require(frame, list(names))
    code, levels = codes_of(frame, subject)
    first = np.full(len(levels), -1, np.int64)
    first[code[::-1][code[::-1] >= 0]] = np.flatnonzero(code >= 0)[::-1]
    for name in names:
        own, _ = codes_of(frame, name)
        bad = (code >= 0) & (own != own[first[np.maximum(code, 0)]])
        if bad.any():
            raise DataError(
                f"{name!r} differs between rows of patient {levels[code[np.flatnonzero(bad)[0]]]!r}",
                hint="give the events as a frame of their own, one row a patient",
            )
    keep = np.zeros(len(code), np.bool_)
    keep[first[first >= 0]] = True
    return kept_rows(frame, keep)


def _links(
    asked: str | Sequence[str] | None,
    markers: Sequence[Marker],
    surv: SurvData,
    design: Design,
    n_causes: int,
    causes: tuple[Any, ...],
) -> tuple[Linked, ...]:
    made: list[Linked] = []
    names = [m.name for m in markers]
    for one in read_associations(asked):
        if one.marker is not None and one.marker not in names:
            raise EstimationError(f"no marker {one.marker!r} in {one.label}", hint="markers are " + ", ".join(names))
        columns: list[tuple[str, Design | None, int]] = [("", None, 0)]
        if one.by:
            own, _ = build(read(f"~ {quoted(one.by)}"), surv.frame, {})
            columns = [(f":{name}", own, k) for k, name in enumerate(own.names) if name != "(Intercept)"]
        for cause in range(n_causes):
            for m, marker in enumerate(markers):
                if one.marker is not None and marker.name != one.marker:
                    continue
                effects = marker.z.shape[1] if one.form == "effects" else 1
                for effect in range(effects):
                    several = len(markers) > 1
                    label = replace(one, marker=marker.name if several else None).label
                    if one.form == "effects":
                        label = f"effect of {marker.random.names[effect]}" + (f" of {marker.name}" if several else "")
                    head = f"{causes[cause]}: " if n_causes > 1 else ""
                    made += [Linked(head + label + tail, one, m, effect, cause, by, k) for tail, by, k in columns]
    return tuple(made)


def _names(
    markers: Sequence[Marker],
    d: int,
    causes: tuple[Any, ...],
    w_names: tuple[str, ...],
    links: tuple[Linked, ...],
    surv: SurvData,
    baselines: tuple[Baseline, ...],
) -> tuple[str, ...]:
    names: list[str] = []
    several = len(markers) > 1
    for m in markers:
        head = f"{m.name}: " if several else ""
        names += [head + name for name in m.names]
        if m.levels is None:
            names.append(head + "log sigma")
        else:
            names += [f"{head}log step to {level}" for level in m.levels[2:]]
    for r in range(d):
        names += [f"log L{r + 1}{s + 1}" if r == s else f"L{r + 1}{s + 1}" for s in range(r + 1)]
    heads = [f"{c}: " if len(causes) > 1 else "" for c in causes]
    names += [f"{h}hazard: {name}" for h in heads for name in w_names]
    names += [link.name for link in links]
    for h, baseline in zip(heads, baselines, strict=True):
        for stratum in surv.stratum_labels or ("",):
            names += [f"{h}{name}" + (f" [{stratum}]" if stratum else "") for name in baseline.names]
    return tuple(names)
