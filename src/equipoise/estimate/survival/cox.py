"""Cox regression of one trial, with R's formulas.

``Surv(AVAL, EVENT) ~ TRT01P + ONSETMO + strata(RILFL)``; for an ADaM censoring flag write ``Surv(AVAL, 1 - CNSR)``, for
late entry and covariates that change ``Surv(START, STOP, EVENT)``, one row an interval. Where there are no events, or
events in one arm only, that is the result: an estimate with a status and a reason, not a number. Equations and sources
in ``docs/methods/survival.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of, numbers, ordered
from equipoise.estimate.formula import Design, FactorSpec, NoCompleteRow, build, with_intercept
from equipoise.estimate.frames import kept_rows, require, values_of
from equipoise.estimate.left_out import Sieve
from equipoise.estimate.result import check_level
from equipoise.estimate.survival import cox_marginal, cox_path
from equipoise.estimate.survival.asked import as_formula
from equipoise.estimate.survival.cox_fit import TIES, CoxFit
from equipoise.estimate.survival.cox_path import CoxData
from equipoise.estimate.survival.kernels import cox as kernel
from equipoise.estimate.survival.kernels import cox_firth
from equipoise.estimate.survival.surv_formula import HINT, SurvData, combined, read_surv
from equipoise.types import BoolArray, FloatArray, IntArray, Status


def cox(
    formula: Any = None,
    data: Any = None,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    entry: str | None = None,
    arm: str | None = None,
    covariates: str | Sequence[str] = (),
    strata: str | Sequence[str] = (),
    ties: str = "efron",
    robust: bool | None = None,
    cluster: str | None = None,
    weights: str | None = None,
    firth: bool = False,
    level: float = 0.95,
    estimand: str | None = None,
) -> CoxFit:
    """Cox proportional-hazards regression.

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P + ONSETMO + strata(RILFL)``, or ``Surv(START, STOP, EVENT) ~ ...`` with a
        row for every interval ``(START, STOP]``. Text columns and categories are factors (treatment contrasts, first
        level the reference). ``cluster(column)`` is the same as ``cluster``.
    time, event or censor, entry, arm, covariates, strata : in place of a formula, with the data first: columns of the
        time, of the event (1) or of censoring (ADaM's CNSR, 0 for an event), of coming under observation, and terms.
    data : one row a patient (or interval); pandas, polars or pyarrow. Rows that lack a column take no part.
    ties : ``efron``, ``breslow``, ``exact`` (the discrete-time likelihood, R's ``exact``, SAS's ``TIES=DISCRETE``) or
        ``marginal`` (continuous time, over all orders of the tied events: SAS's ``TIES=EXACT``, Stata's ``exactm``);
        the last two without residuals and weights.
    robust : the sandwich variance of Lin & Wei; the default with clusters, or with weights that are not whole numbers.
    cluster : column of patients or centres whose rows belong together. weights : column of case weights.
    firth : penalise the likelihood, for a finite estimate where an arm has no events; intervals and p-values are then
        those of the profile of the penalised likelihood. Not with weights, clusters or exact ties.
    level : coverage of the intervals.

    Returns
    -------
    CoxFit. Where there are no events, events at one level of a two-level factor only, one level only, or an infinite
    estimate, its status says so and its estimates are NaN with a reason.

    Raises
    ------
    EstimationError, DataError : the formula or a column cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "E": [0, 0, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> print(cox("Surv(T, E) ~ ARM", frame).estimates[0].to_sentence())
    ARM[T.b]: not estimable: all events in one arm (events 0/3 a, 2/3 b) (Cox regression, Efron's ties, n = 6).
    >>> ratio = cox("Surv(T, E) ~ ARM", frame, firth=True).hazard_ratio("ARM")
    >>> [round(v, 3) for v in (ratio.estimate, ratio.low, ratio.high, ratio.p)]
    [3.0, 0.16, 437.761, 0.469]
    """
    check_level(level)
    formula, data = as_formula(
        formula,
        data,
        time=time,
        event=event,
        censor=censor,
        entry=entry,
        arm=arm,
        covariates=covariates,
        strata=strata,
        default_arm=not covariates,
    )
    if ties not in TIES:
        raise EstimationError(f"unknown ties {ties!r}", hint="choose one of " + ", ".join(TIES))
    read = read_surv(formula, data)
    if not any(read.model.terms):
        raise EstimationError("the formula has no terms", hint=HINT)
    together = (*read.cluster, *((cluster,) if cluster else ()))
    for clash, wrong in ((firth, "Firth's penalty"), (ties in ("exact", "marginal"), "exact ties")):
        if clash and (together or weights or robust):
            raise EstimationError(f"{wrong} with weights, clusters or a robust variance", hint="leave one of them out")
    if firth and ties in ("exact", "marginal"):
        raise EstimationError("Firth's penalty with exact ties", hint="use Efron's or Breslow's ties")
    read, weight, codes = _rows(read, weights, together)
    if robust is None:
        robust = bool(together) or (weight is not None and bool((weight != np.round(weight)).any()))
    design, keep, specs = _design(read)
    lost: dict[str, int] = dict(design.left_out) if design is not None else {}
    if design is None and len(read.time):
        lost = {f"without {' or '.join(dict.fromkeys(s.expression for term in specs for s in term))}": len(read.time)}
    left_out = read.left_out.and_then(lost)
    names, columns, terms, absent = _columns(design, specs, read)
    x = design.matrix()[:, columns] if design is not None and not absent else np.zeros((len(keep), len(names)))
    rows = CoxData(
        read.time[keep],
        read.event[keep],
        np.ascontiguousarray(x),
        read.stratum[keep],
        read.stratum_labels,
        None if read.entry is None else read.entry[keep],
        None if weight is None else weight[keep],
        None if codes is None else np.unique(codes[keep], return_inverse=True)[1],
        read.row[keep],
    )
    events_by, first = _arms(design, columns, rows.event)
    common: dict[str, Any] = {
        "formula": formula,
        "names": names,
        "ties": ties,
        "strata": read.strata,
        "n": rows.n,
        "events": int(rows.event.sum()),
        "events_by": events_by,
        "frame": read.frame if design is None else design.frame,
        "data": rows,
        "term_columns": terms,
        "robust": robust,
        "firth": firth,
        "cluster": together,
        "left_out": left_out,
        "design": design,
        "level": level,
        "estimand": estimand,
    }
    if rows.n == 0 or absent:
        status, detail = Status.EMPTY_ARM if rows.n else Status.NO_DATA, absent or None
        p, nothing = len(names), np.full((len(names), len(names)), np.nan)
        return CoxFit(
            beta=np.full(p, np.nan),
            vcov=nothing,
            naive=nothing,
            loglik=(math.nan, math.nan),
            score=math.nan,
            iterations=0,
            status=status,
            detail=detail,
            **common,
        )
    return _fit(rows, ties, robust, firth, first, common)


def _fit(rows: CoxData, ties: str, robust: bool, firth: bool, arm: int, common: dict[str, Any]) -> CoxFit:
    options = {"entry": rows.entry, "stratum": rows.stratum}
    block = {k: None if v is None else v[None] for k, v in options.items()}
    if ties == "marginal":
        return _marginal(rows, arm, common)
    arrays = (rows.time[None], rows.event[None], rows.x[None])
    weight = None if rows.weight is None else rows.weight[None]
    first = kernel.fit(
        *arrays, weight=weight, ties=ties, arm=-1 if firth else arm, **block, max_iterations=0 if firth else 50
    )
    status = Status(int(first.status[0]))
    beta, naive = first.beta[0], first.covariance[0]
    loglik = (float(first.loglik[0, 0]), float(first.loglik[0, 1]))
    iterations = int(first.iterations[0])
    if status is Status.OK:  # the covariance at the estimate, not at the step before
        again = kernel.fit(*arrays, weight=weight, ties=ties, arm=-1, start=beta[None], max_iterations=1, **block)
        naive = again.covariance[0] if again.status[0] == Status.OK else naive
    if firth and status not in (Status.NO_EVENTS, Status.NO_DATA):
        b, v, penalised, steps, made = cox_firth.firth(*arrays, ties=ties, **block)
        beta, naive, iterations, status = b[0], v[0], int(steps[0]), Status(int(made[0]))
        start = loglik[0]
        if status is Status.OK:
            zero = cox_path.path(rows, np.zeros(rows.x.shape[1]), ties)
            start += 0.5 * float(np.linalg.slogdet(zero.information.sum(axis=0))[1])
        loglik = (start, float(penalised[0, 1]))
    vcov = naive
    if status is Status.OK and robust:
        vcov = cox_path.robust_covariance(cox_path.path(rows, beta, ties), naive)
    return CoxFit(
        beta=beta,
        vcov=vcov,
        naive=naive,
        loglik=loglik,
        score=float(first.score[0]),
        iterations=iterations,
        status=status,
        detail=_detail(status, common["names"], first.drift[0], arm, firth),
        **common,
    )


def _marginal(rows: CoxData, arm: int, common: dict[str, Any]) -> CoxFit:
    """The fit with ties by all their orders, from that with Efron's, which tells what cannot be fitted."""
    near = _fit(rows, "efron", False, False, arm, {**common, "ties": "efron"})
    if near.status is not Status.OK:
        return replace(near, ties="marginal")
    used = np.asarray(np.diag(near.naive) > 0.0, dtype=np.bool_)
    beta, naive, loglik, score, iterations, status = cox_marginal.fit(rows, near.beta, used)
    made: dict[str, Any] = {"beta": beta, "vcov": naive, "naive": naive, "loglik": loglik, "score": score}
    return replace(near, ties="marginal", iterations=iterations, status=status, **made)


def _detail(status: Status, names: tuple[str, ...], drift: FloatArray, arm: int, firth: bool) -> str | None:
    """What stood in the way, where a plain word for the status would not tell."""
    if status is Status.BOUNDARY:
        away = [n for n, d in zip(names, drift, strict=True) if d > 1e-2] or list(names)
        return f"not estimable: the likelihood rises for ever as the coefficient of {', '.join(away)} grows"
    if status is Status.SINGULAR:
        if firth:
            return "not estimable: a term is constant among patients at risk, or a linear combination of others"
        return f"not estimable: {names[arm]} is determined by the strata or by other terms"
    return None


def _rows(
    read: SurvData, weights: str | None, together: tuple[str, ...]
) -> tuple[SurvData, FloatArray | None, IntArray | None]:
    """The rows that have a weight (above zero) and a cluster, with both."""
    require(read.frame, [name for name in (weights, *together) if name])
    weight: FloatArray | None = None
    codes: IntArray | None = None
    sieve = Sieve(len(read.time))
    if weights:
        weight = numbers(read.frame, weights)
        if (weight < 0.0).any():
            row = int(read.row[np.flatnonzero(weight < 0.0)[0]])
            raise DataError(f"row {row + 1}: {weights!r} is negative", hint="case weights are zero or more")
        sieve.need(~np.isnan(weight), f"without {weights}")
        sieve.need(weight > 0.0, f"with a weight of 0 in {weights}")
    if together:
        codes = combined(read.frame, together)[0]
        sieve.need(codes >= 0, f"without {' or '.join(together)}")
    keep = sieve.keep
    if keep.all():
        return read, weight, codes
    kept = SurvData(
        None if read.entry is None else read.entry[keep],
        read.time[keep],
        read.event[keep],
        read.stratum[keep],
        read.strata,
        read.stratum_labels,
        read.cluster,
        read.model,
        read.row[keep],
        read.left_out.and_then(sieve.left_out.reasons),
        kept_rows(read.frame, keep),
        read.everything,
    )
    return kept, None if weight is None else weight[keep], None if codes is None else codes[keep]


def _design(read: SurvData) -> tuple[Design | None, IntArray, list[tuple[FactorSpec, ...]]]:
    """The design on the rows that have every covariate (None where there are none), these rows, and the terms."""
    specs = [term for term in read.model.terms if term]
    model = replace(read.model.without_response(), terms=with_intercept(specs))
    try:
        design, _ = build(model, read.frame, {})
    except NoCompleteRow:
        return None, np.zeros(0, np.int64), specs
    return design, np.flatnonzero(design.keep), specs


def _columns(
    design: Design | None, specs: list[tuple[FactorSpec, ...]], read: SurvData
) -> tuple[tuple[str, ...], list[int], dict[str, list[int]], str]:
    """Names of the coefficients, their columns in the design, columns of every term; and what is wrong where a factor
    has one level only, whose coefficients are then named by the levels that do not occur.
    """
    names: list[str] = []
    columns: list[int] = []
    terms: dict[str, list[int]] = {}
    absent = ""
    for i, parts in enumerate(specs):
        term = None if design is None else [t for t in design.terms if t.name != "(Intercept)"][i]
        made = list(term.names) if term is not None else []
        if not made:
            made = [":".join(spec.expression for spec in parts)]
            spec = parts[0]
            if len(parts) == 1 and spec.name is not None:
                series = read.everything.get_column(spec.name)
                every = _declared(series)
                made = [f"{spec.expression}[T.{level}]" for level in every[1:]] or made
                only = codes_of(read.frame, spec.name)[1]
                if term is not None and not absent:
                    absent = f"not estimable: an arm has no patients (everyone has {spec.name} {only[0]})"
        elif term is not None:
            columns += range(term.columns.start, term.columns.stop)
        terms[":".join(spec.expression for spec in parts)] = list(range(len(names), len(names) + len(made)))
        names += made
    return tuple(names), columns, terms, absent


def _declared(series: nw.Series[Any]) -> list[Any]:
    """Levels of a factor, declared or found; none for numbers."""
    if series.dtype.is_numeric():
        return []
    if isinstance(series.dtype, nw.Enum):
        return list(series.dtype.categories)
    native = series.to_native()
    if series.dtype == nw.Categorical and hasattr(native, "cat") and hasattr(native.cat, "categories"):
        return list(native.cat.categories)
    return ordered(set(values_of(series)) - {None}, series.name)


def _arms(design: Design | None, columns: list[int], event: BoolArray) -> tuple[dict[str, tuple[int, int]], int]:
    """Events and patients at both levels of the first two-level factor, or of one without events at a level; and its
    coefficient (-1 where there is none).
    """
    events_by: dict[str, tuple[int, int]] = {}
    arm = -1
    for term in design.terms if design is not None else ():
        factor = term.factors[0] if len(term.factors) == 1 else None
        if factor is None or factor.column is None or len(factor.column.levels or ()) > 2:
            continue
        code = factor.column.values
        own = {
            str(v): (int(event[code == k].sum()), int((code == k).sum()))
            for k, v in enumerate(factor.column.levels or ())
        }
        if len(own) < 2:
            return own, -1
        lopsided = bool(event.any()) and 0 in [e for e, _ in own.values()]
        if arm < 0 or lopsided:
            arm, events_by = columns.index(term.columns.stop - 1), own
            if lopsided:
                break
    return events_by, arm
