"""Least-squares means: the linear functions of the coefficients behind them.

``equal``: factors that are averaged over count equally at every level, covariates are at their mean (SAS LSMEANS,
emmeans). ``proportional``: combinations of those factors weigh as often as they occur among the analysed records
(emmeans ``weights = "proportional"``). ``observed``: the same with all records whose covariates are complete, whether
or not the response was observed (SAS ``OM``). ``counterfactual``: every subject keeps its own covariates and factors,
only the factors asked for are set (g-computation); its variance has a second part, the sampling of the covariates.
Searle, Speed & Milliken 1980, Am Stat 34:216; Lenth, emmeans, vignette "basics".
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.formula import Column, Design, Factor, products
from equipoise.types import FloatArray

WEIGHTS = ("equal", "proportional", "observed", "counterfactual")


@dataclass
class Grid:
    """Targets of the means: ``labels`` (variable -> value per row), ``rows`` (row, p) in all columns of the design.

    ``spread`` (row, row) is the part of the covariance due to the sampling of the subjects, for g-computation.
    ``shift`` (row,) is the offset there, of a model with one.
    """

    labels: dict[str, list[Any]]
    rows: FloatArray
    spread: FloatArray | None = None
    shift: FloatArray | None = None


def _target_columns(design: Design, names: Sequence[str]) -> dict[str, Column]:
    found = {}
    for name in names:
        for key in (name, f"C({name})", f"|{name}"):
            column = design.columns.get(key)
            if column is not None and column.levels is not None:
                found[name] = column
                break
        else:
            known = [k for k, c in design.columns.items() if c.levels is not None and not k.startswith(("|", "C("))]
            raise EstimationError(f"{name!r} is not a factor of the model", hint="factors are " + ", ".join(known))
    return found


def _mean(column: Column, at: Mapping[str, Any], weights: FloatArray | None) -> Any:
    if column.name in at:
        return at[column.name]
    if column.levels is None:
        return float(np.average(column.values, weights=weights))
    counts = np.bincount(column.values, weights=weights, minlength=len(column.levels))
    return column.levels[int(counts.argmax())]


def _fixed(
    factor: Factor,
    full: bool,
    design: Design,
    target: Mapping[str, Any],
    at: Mapping[str, Any],
    weights: FloatArray | None,
) -> FloatArray:
    """(k,) value of a factor all of whose variables are targets, given in ``at`` or numeric."""
    if factor.column is not None:
        assert factor.column.levels is not None
        value = target.get(factor.variables[0], at.get(factor.variables[0]))
        if value not in factor.column.levels:
            raise EstimationError(
                f"{factor.variables[0]} has no level {value!r}",
                hint="levels are " + ", ".join(map(str, factor.column.levels)),
            )
        return np.asarray(factor.coding(full)[0][factor.column.levels.index(value)])
    values = {v: target[v] if v in target else _mean(design.columns[v], at, weights) for v in factor.variables}
    return factor.at(values)


def _mean_offset(design: Design, at: Mapping[str, Any]) -> float:
    """The mean of the offset over the records, where ``at`` says so with everybody at its values."""
    total = 0.0
    for factor in design.offsets:
        own = {v: np.asarray(design.columns[v].numbers, np.float64) for v in factor.variables}
        own |= {v: np.full(design.n_rows, float(at[v])) for v in factor.variables if v in at}
        total += float(factor.of(own).mean())
    return total


def grid(
    design: Design,
    specs: Sequence[str],
    weights: str,
    at: Mapping[str, Any],
    subject_weights: FloatArray,
    beta: FloatArray,
    observed: Design | None = None,
) -> Grid:
    """Rows of the design for every combination of the levels of ``specs``, the first one varying fastest.

    ``subject_weights`` (row,) makes every subject count once and ``beta`` (p,) gives its predictions: both are for
    ``counterfactual``. ``observed`` is the design on all records with complete covariates.
    """
    if weights not in WEIGHTS:
        raise EstimationError(f"unknown weights {weights!r}", hint="choose one of " + ", ".join(WEIGHTS))
    targets = _target_columns(design, specs)
    if design.offsets and weights == "counterfactual":
        raise EstimationError("counterfactual means of a model with an offset", hint="use equal or proportional")
    known = dict.fromkeys(v for t in design.terms for f in t.factors for v in f.variables)
    known |= dict.fromkeys(v for f in design.offsets for v in f.variables)
    unknown = [name for name in at if name not in known]
    if unknown:
        raise EstimationError(f"at: {unknown[0]!r} is no variable of the model", hint="there are " + ", ".join(known))
    numeric = {v for t in design.terms for f in t.factors if not f.categorical for v in f.variables}
    numeric |= {v for f in design.offsets for v in f.variables}
    for name, value in at.items():
        if name in numeric and not (isinstance(value, Real) and np.isfinite(float(value))):
            raise EstimationError(f"at: {name} = {value!r}", hint=f"{name} is a number: give one")
    both = [name for name in at if name in targets]
    if both:
        raise EstimationError(f"{both[0]!r} is both fixed by at and asked for", hint="leave it out of one of them")
    levels = [column.levels or () for column in targets.values()]
    combos = [tuple(reversed(c)) for c in itertools.product(*reversed(levels))]
    labels = {name: [c[i] for c in combos] for i, name in enumerate(targets)}
    source = observed if weights == "observed" and observed is not None else design
    p = len(design.names)
    rows = np.empty((len(combos), p))
    record_weights = subject_weights if weights == "counterfactual" else None
    predicted = np.zeros((len(combos), source.n_rows)) if weights == "counterfactual" else None
    fixed: dict[tuple[str, bool], FloatArray] = {}
    for term in source.terms:
        # per factor: its value for each target (target, k), or None where it is averaged over records
        values: list[FloatArray | None] = []
        for factor, full in zip(term.factors, term.full, strict=True):
            key = (factor.spec.expression, full)
            if all(v in targets or v in at for v in factor.variables) or (
                not factor.categorical and weights != "counterfactual"
            ):
                if key not in fixed:
                    moving = [v for v in factor.variables if v in targets]
                    if not moving:
                        one = _fixed(factor, full, source, {}, at, record_weights)
                        fixed[key] = np.broadcast_to(one, (len(combos), len(one)))
                    elif factor.column is not None and factor.column.levels == targets[moving[0]].levels:
                        index = {level: i for i, level in enumerate(factor.column.levels or ())}
                        fixed[key] = factor.coding(full)[0][[index[v] for v in labels[moving[0]]]]
                    else:
                        fixed[key] = np.array(
                            [
                                _fixed(factor, full, source, dict(zip(targets, c, strict=True)), at, record_weights)
                                for c in combos
                            ]
                        )
                values.append(fixed[key])
            elif weights == "equal":
                mean = factor.coding(full)[0].mean(axis=0)
                values.append(np.broadcast_to(mean, (len(combos), len(mean))))
            else:
                mixed = [v for v in factor.variables if v in targets]
                if mixed:
                    raise EstimationError(
                        f"{factor.spec.expression!r} mixes {mixed[0]} with other columns",
                        hint="compute it as a column, or ask for weights='equal'",
                    )
                values.append(None)
        set_values = [v for v in values if v is not None]
        if len(set_values) == len(values):
            rows[:, term.columns] = products(set_values, len(combos))
            if predicted is not None:
                predicted += (rows[:, term.columns] @ beta[term.columns])[:, None]
            continue
        own = [
            (f.coding(full)[0][f.column.values] if f.column is not None else f.numeric) if v is None else None
            for f, full, v in zip(term.factors, term.full, values, strict=True)
        ]
        for r in range(len(combos)):
            blocks = []
            for v, o in zip(values, own, strict=True):
                if v is not None:
                    blocks.append(np.broadcast_to(v[r], (source.n_rows, v.shape[1])))
                else:
                    assert o is not None
                    blocks.append(o)
            value = products(blocks, source.n_rows)
            rows[r, term.columns] = np.average(value, axis=0, weights=record_weights)
            if predicted is not None:
                predicted[r] += value @ beta[term.columns]
    out = Grid(labels, rows)
    if source.offsets:
        out.shift = np.full(len(combos), _mean_offset(source, at))
    if predicted is not None:
        share = subject_weights / subject_weights.sum()
        n_subjects = float(subject_weights.sum())
        centred = predicted - (predicted @ share)[:, None]
        out.spread = (centred * share) @ centred.T / max(n_subjects - 1.0, 1.0)
    return out
