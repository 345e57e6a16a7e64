"""A marker measured over time as one number a patient, and the criteria on data whose missing values were imputed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.columns import numbers
from equipoise.estimate.frames import read_frame, require, values_of
from equipoise.surrogate.single import surrogacy

SUMMARIES = ("value", "slope", "area")


def per_patient(
    data: Any,
    *,
    value: str,
    summary: str = "slope",
    at: float | None = None,
    up_to: float | None = None,
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    keep: tuple[str, ...] | list[str] = (),
    name: str | None = None,
) -> Any:
    """One row a patient of a marker measured at visits.

    Parameters
    ----------
    data : one row a patient and visit; pandas, polars or pyarrow. value : the marker.
    summary : its ``value`` at visit ``at``; its ``slope`` over the visits (least squares, a unit of ``visit``; missing
        below two); or the ``area`` under it by trapezoids, divided by the time between first and last (missing below
        two). up_to : last visit that counts.
    keep : columns of the patient to bring along, taken from the first row. name : of the new column, default ``value``.

    Raises
    ------
    DataError : a column is absent or of the wrong kind. EstimationError : an option means nothing.

    Examples
    --------
    >>> import polars as pl
    >>> long = pl.DataFrame({"USUBJID": ["a"] * 3 + ["b"], "AVISITN": [0, 4, 8, 0], "LNNFL": [4.0, 3.8, 3.6, 5.0]})
    >>> per_patient(long, value="LNNFL")["LNNFL"].round(3).to_list()
    [-0.05, None]
    """
    if summary not in SUMMARIES:
        raise EstimationError(f"summary = {summary!r}", hint="choose one of " + ", ".join(SUMMARIES))
    if summary == "value" and at is None:
        raise EstimationError("the value at no visit", hint="give at=, such as at=16")
    frame = read_frame(data)
    require(frame, [subject, visit, value, *keep])
    when, level = numbers(frame, visit), numbers(frame, value)
    who = values_of(frame.get_column(subject))
    rows: dict[Any, list[int]] = {}
    for i, one in enumerate(who):
        if one is not None:
            rows.setdefault(one, []).append(i)
    made: list[float | None] = []
    for mine in rows.values():
        t, y = when[mine], level[mine]
        use = ~(np.isnan(t) | np.isnan(y))
        if up_to is not None:
            use &= t <= up_to
        order = np.argsort(t[use], kind="stable")
        t, y = t[use][order], y[use][order]
        if summary == "value":
            found = y[t == at]
            made.append(float(found[-1]) if len(found) else None)
        elif len(t) < 2 or t[0] == t[-1]:
            made.append(None)
        elif summary == "slope":
            made.append(float(((t - t.mean()) @ (y - y.mean())) / ((t - t.mean()) @ (t - t.mean()))))
        else:
            made.append(float(np.trapezoid(y, t) / (t[-1] - t[0])))
    table: dict[str, list[Any]] = {subject: list(rows)}
    for column in keep:
        values = values_of(frame.get_column(column))
        table[column] = [values[mine[0]] for mine in rows.values()]
    table[name or value] = made
    return nw.from_dict(table, backend=frame.implementation).to_native()


def completed(summarise: Callable[[Any], Any] | None = None, **options: Any) -> Callable[[Any], Mapping[str, Any]]:
    """An analysis for :meth:`equipoise.estimate.missing.completed.Completed.analyse`: the criteria on each completed
    data set, pooled by the rule of the method of imputation.

    summarise : from a completed long frame to one row a patient (:func:`per_patient`, for instance). options : those of
    :func:`surrogacy`. What is pooled are the effects, the adjusted association (Fisher's z) and, where every completed
    data set has them, proportion explained and relative effect; a likelihood reduction factor is not, having no
    standard error.
    """

    def run(frame: Any) -> Mapping[str, Any]:
        found = surrogacy(frame if summarise is None else summarise(frame), mediation=False, causal=False, **options)
        out: dict[str, Any] = {}
        for one in (*(c.test for c in found.prentice), found.proportion, found.relative):
            if not one.estimable:
                if one in (found.proportion, found.relative):
                    continue
                raise EstimationError(f"{one.name}: {one.reason}", hint="look at the completed data sets")
            if one.form == "test":
                centre = math.log(one.estimate) if one.ratio else one.estimate
                out[one.term] = (centre, one.se, one.df)
        r = found.association
        if r.estimable and r.scale == "correlation":
            out["adjusted association, Fisher's z"] = (
                math.atanh(r.estimate),
                1.0 / math.sqrt(max(r.n - 3, 1)),
                math.inf,
            )
        return out

    return run
