"""The course of a marker as the formula says it: its rows, and its design at any time, with slope and area.

    m_i(t) = x_i(t)' beta + z_i(t)' b_i,   y_ij = m_i(t_ij) + e_ij

(Wulfsohn & Tsiatis 1997, Biometrics 53:330). What a hazard depends on is linear in (beta, b): the value m(t), its slope
m'(t), its mean over time, an earlier value m(t - c). So every one of them is a row for beta and a row for b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.formula import Design, FormulaError, ModelFormula, NoCompleteRow, build, products, read
from equipoise.estimate.formula.terms import RANDOM_HINT
from equipoise.estimate.frames import require
from equipoise.types import FloatArray, IntArray

Instead = Mapping[str, float]
NOTHING: Instead = {}
_X, _W = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True, eq=False)
class Marker:
    """One marker's rows, sorted by patient.

    name : of the response. who (row,) the patient's place in ``patients``; y (row,); x (row, p); z (row, d);
    time (row,). head (patient,) a row of each patient, from which covariates that do not change are taken. levels :
    of a binary or ordinal marker its categories, of which y are the places.
    """

    name: str
    formula: str
    subject: str
    time_name: str
    fixed: Design
    random: Design
    patients: tuple[Any, ...]
    who: IntArray
    y: FloatArray
    x: FloatArray
    z: FloatArray
    time: FloatArray
    head: IntArray
    left_out: dict[str, int]
    levels: tuple[Any, ...] | None = None

    @property
    def categorical(self) -> bool:
        return self.levels is not None

    @property
    def names(self) -> tuple[str, ...]:
        return self.fixed.names

    def at(self, who: IntArray, time: FloatArray, instead: Instead = NOTHING) -> tuple[FloatArray, FloatArray]:
        """(row, p) and (row, d) designs of the patients ``who`` (row,) at ``time`` (row,).

        instead : columns of which every patient has the value given, as a counterfactual arm.
        """
        head = self.head[who]
        return design_at(self.fixed, self.time_name, head, time, instead), design_at(
            self.random, self.time_name, head, time, instead
        )

    def slope_at(self, who: IntArray, time: FloatArray, instead: Instead = NOTHING) -> tuple[FloatArray, FloatArray]:
        """Derivatives of both designs: central differences, extrapolated, which is exact for cubics and splines."""
        top = float(self.time.max()) if len(self.time) else 1.0
        h = 1e-3 * (top if top > 0.0 else 1.0)
        apart = []
        for k in (1.0, 2.0):
            sides = zip(self.at(who, time + k * h, instead), self.at(who, time - k * h, instead), strict=True)
            apart.append(tuple((u - v) / (2.0 * k * h) for u, v in sides))
        x, z = ((4.0 * one - two) / 3.0 for one, two in zip(*apart, strict=True))
        for made in (x, z):
            if not np.isfinite(made).all():
                raise EstimationError(
                    f"the slope of {self.name} is not finite at every time",
                    hint="a function of time in the formula has no derivative at 0: sqrt(t + 1) in place of sqrt(t)",
                )
        return x, z

    def mean_over(
        self, who: IntArray, time: FloatArray, window: float | None, instead: Instead = NOTHING
    ) -> tuple[FloatArray, FloatArray]:
        """Designs of the mean over [0, t], or over the last ``window``; at t = 0 the value there."""
        begin = np.zeros_like(time) if window is None else np.maximum(time - window, 0.0)
        x, z = np.zeros((len(who), self.x.shape[1])), np.zeros((len(who), self.z.shape[1]))
        for u, w in zip(_X, _W, strict=True):
            one, two = self.at(who, begin + (time - begin) * 0.5 * (1.0 + u), instead)
            x += 0.5 * w * one
            z += 0.5 * w * two
        return x, z


def design_at(
    design: Design, time_name: str | None, head: IntArray, time: FloatArray | None, instead: Instead = NOTHING
) -> FloatArray:
    """(row, k) the design of the rows ``head`` of its frame at another ``time``.

    instead : a column -> the value (the place of the level, where it is a factor) that it has in all rows.
    """
    if not len(head):
        return np.zeros((0, len(design.names)))
    if (head < 0).any():
        raise EstimationError("a patient without a value of the marker has no course", hint="leave the patient out")
    blocks: dict[str, FloatArray] = {}

    def block(factor: Any, full: bool) -> FloatArray:
        key = f"{factor.spec.expression}|{full}"
        if key not in blocks:
            if factor.column is not None:
                name = factor.variables[0]
                codes = np.full(len(head), int(instead[name])) if name in instead else factor.column.values[head]
                blocks[key] = factor.coding(full)[0][codes]
            else:
                values = {}
                for name in factor.variables:
                    if name in instead:
                        values[name] = np.full(len(head), float(instead[name]))
                    elif name == time_name and time is not None:
                        values[name] = time
                    else:
                        values[name] = design.columns[name].numbers[head]
                blocks[key] = factor.of(values)
        return blocks[key]

    x = np.empty((len(head), len(design.names)))
    for term in design.terms:
        parts = [block(f, full) for f, full in zip(term.factors, term.full, strict=True)]
        x[:, term.columns] = products(parts, len(head))
    return x


def _time_of(model: ModelFormula, design: Design, who: IntArray, asked: str | None) -> str:
    """The column that is time: named, or the one of the random part, or the one that changes within patients."""
    assert model.random is not None
    if asked is not None:
        return asked
    inside = dict.fromkeys(v for term in model.random.terms for s in term for v in s.variables)
    numeric = [v for v in inside if v in design.columns and design.columns[v].levels is None]
    changing = [v for v in numeric if _changes(design.columns[v].numbers, who)]
    if len(changing) == 1:
        return changing[0]
    if not changing:
        fixed = dict.fromkeys(v for term in model.terms for s in term for v in s.variables)
        changing = [
            v
            for v in fixed
            if v in design.columns and design.columns[v].levels is None and _changes(design.columns[v].numbers, who)
        ]
        if len(changing) == 1:
            return changing[0]
        if not changing and len(numeric) == 1:
            return numeric[0]
    found = f"{len(changing)} columns change within patients ({', '.join(changing)})" if changing else "no column does"
    raise EstimationError(f"which column of {model.text!r} is time? {found}", hint='name it: time="week"')


def _changes(values: FloatArray, who: IntArray) -> bool:
    order = np.argsort(who, kind="stable")
    same = np.diff(who[order]) == 0
    return bool((same & (np.diff(values[order]) != 0.0)).any())


FAMILIES = ("gaussian", "binary", "ordinal")


def coded(frame: nw.DataFrame[Any], name: str, levels: Sequence[Any]) -> nw.DataFrame[Any]:
    """The frame with the categories of a column as places in ``levels``; raises :class:`DataError` for a new one."""
    code, found = codes_of(frame, name)
    places = {level: k for k, level in enumerate(levels)}
    unknown = [level for level in found if level not in places]
    if unknown:
        raise DataError(f"{name!r} is {unknown[0]!r} in some row", hint="values are " + ", ".join(map(str, levels)))
    place = [float(places[found[c]]) if c >= 0 else None for c in code]
    return frame.with_columns(nw.new_series(name, place, nw.Float64, backend=nw.get_native_namespace(frame)))


def _categories(model: ModelFormula, frame: nw.DataFrame[Any], family: str) -> tuple[Any, ...]:
    """The categories of a binary or ordinal response, in order."""
    assert model.target is not None
    if model.target.name is None:
        raise EstimationError(f"{model.text!r}: a function of a marker of categories", hint="write the column itself")
    require(frame, [model.target.name])
    levels = codes_of(frame, model.target.name)[1]
    if family == "binary" and len(levels) > 2:
        raise DataError(
            f"the binary marker {model.target.name!r} has {len(levels)} values", hint='family="ordinal" takes more'
        )
    if len(levels) > 20:
        raise DataError(f"{model.target.name!r} has {len(levels)} values", hint="at most 20 are taken as categories")
    return tuple(levels)


def read_marker(formula: str, frame: nw.DataFrame[Any], time: str | None, family: str = "gaussian") -> Marker:
    """The rows of a marker and its designs, of the patients that have a row.

    family : of :data:`FAMILIES`; of a binary or ordinal marker the course is the logit of a higher category.

    Raises
    ------
    FormulaError, EstimationError : there is no response or no random part, or which column is time cannot be told.
    DataError : a column is absent or of a wrong type, or a covariate other than time changes within a patient.
    """
    model = read(formula)
    if model.target is None:
        raise FormulaError("no marker on the left", model.text, 0, hint="write AVAL ~ week * arm + (week | id)")
    if model.random is None:
        raise EstimationError("the formula of the marker has no random part", hint=RANDOM_HINT)
    model.refuse(
        covariance="the random part says the covariance: (week | id)",
        strata="strata are of the hazard: put strata() in the second formula",
        cluster="patients are named in the random part",
        offset="subtract it from the response",
    )
    levels = None
    if family != "gaussian":
        levels = _categories(model, frame, family)
        assert model.target is not None
        assert model.target.name is not None
        frame = coded(frame, model.target.name, levels)
    subject = model.random.subject
    named = [v for term in model.random.terms for s in term for v in s.variables]
    extra = {subject: True, **({time: False} if time else {})}
    used = replace(model, random=None, terms=tuple(dict.fromkeys((*model.terms, *model.random.terms))))
    whole, _ = build(used, frame, extra)  # the rows that have everything, one set for both designs
    rows = frame if whole.keep.all() else frame.filter(whole.keep.tolist())
    fixed, y = build(replace(model, random=None), rows, extra)
    random, _ = build(replace(model, random=None, terms=model.random.terms), rows, extra)
    column = fixed.columns[f"|{subject}"]
    patients, who = column.levels or (), column.codes
    for name in named:
        if name not in fixed.columns:
            fixed.columns[name] = random.columns[name]
    time_name = _time_of(model, fixed, who, time)
    if time_name not in fixed.columns:
        fixed.columns[time_name] = fixed.columns[f"|{time_name}"] if time else random.columns[time_name]
    if time_name not in random.columns:
        random.columns[time_name] = fixed.columns[time_name]
    if fixed.columns[time_name].levels is not None:
        raise DataError(f"the time {time_name!r} is text", hint="use a number, such as weeks since baseline")
    head = np.full(len(patients), -1, np.int64)
    head[who[::-1]] = np.arange(len(who))[::-1]
    for design in (fixed, random):
        for name, one in design.columns.items():
            if name.strip("|") in (subject, time_name):
                continue
            values = one.values if one.levels is not None else one.numbers
            if (values != values[head[who]]).any():
                k = int(np.flatnonzero(values != values[head[who]])[0])
                raise DataError(
                    f"{name!r} changes within patient {patients[who[k]]!r}",
                    hint="a covariate of the marker is one value a patient: its course between visits is not known",
                )
    return Marker(
        model.response or "",
        model.text,
        subject,
        time_name,
        fixed,
        random,
        patients,
        who,
        y,
        fixed.matrix(),
        random.matrix(),
        fixed.columns[time_name].numbers,
        head,
        whole.left_out,
        levels,
    )


__all__ = ["FAMILIES", "Marker", "NoCompleteRow", "coded", "read_marker"]
