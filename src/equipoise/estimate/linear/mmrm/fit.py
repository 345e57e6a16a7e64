"""``mmrm``: a formula and a data frame in, a fitted model out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import STRUCTURES, Design, ModelFormula, build, parse, read_column
from equipoise.estimate.frames import kept_rows, read_frame
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.linear.kernels.mmrm_inference import SINGULAR_PIVOT
from equipoise.estimate.linear.mmrm.engine import (
    Fitted,
    Rows,
    check_rows,
    groups_of_subjects,
    inform,
    prepare,
    run,
    run_times,
    unfitted,
    unfitted_times,
)
from equipoise.estimate.linear.mmrm.identified import (
    HETEROGENEOUS,
    columns_at,
    in_words,
    least_squares,
    may_fit,
    plainly_varies,
    silent_visits,
    unidentified,
)
from equipoise.estimate.linear.mmrm.places import in_the_plane
from equipoise.estimate.linear.mmrm.result import MmrmFit
from equipoise.estimate.linear.mmrm.sandwich import KINDS
from equipoise.numerics import first_use
from equipoise.types import REASONS, FloatArray, Status

#: With more different times than this, ``sp_exp`` is fitted subject by subject instead of by pattern.
MAX_COMMON_TIMES = 24

DF_METHODS = ("satterthwaite", "kenward-roger", "kenward-roger-linear", "between-within", "residual")


class MmrmWarning(UserWarning):
    """A fit that did not go as asked: another structure was used, columns were aliased, no optimum was reached."""


def check_methods(df: str, vcov: str | None, reml: bool) -> str:
    """The covariance method meant by ``df`` and ``vcov``; raises for what does not go together."""
    if df not in DF_METHODS:
        raise EstimationError(f"unknown df method {df!r}", hint="choose one of " + ", ".join(DF_METHODS))
    kenward_roger = df.startswith("kenward-roger")
    if kenward_roger and not reml:
        raise EstimationError("Kenward-Roger needs REML", hint="use df='satterthwaite' with reml=False")
    if vcov is None:
        return df if kenward_roger else "model"
    if vcov == "model":
        if kenward_roger:
            raise EstimationError(f"df={df!r} brings its own covariance", hint="leave vcov out, or df='satterthwaite'")
        return vcov
    if vcov not in KINDS:
        raise EstimationError(f"unknown vcov {vcov!r}", hint="choose one of model, " + ", ".join(KINDS))
    if kenward_roger:
        raise EstimationError(
            f"df={df!r} does not go with an {vcov} covariance",
            hint="use df='satterthwaite', 'between-within' or 'residual'",
        )
    return vcov


def _weights(weights: Any, frame: nw.DataFrame[Any], keep: Any) -> FloatArray | None:
    if weights is None:
        return None
    if isinstance(weights, str):
        if weights not in frame.columns:
            raise DataError(
                f"no column {weights!r} for the weights", hint="columns are " + ", ".join(frame.columns[:40])
            )
        weights = frame.get_column(weights).to_numpy()
    values: FloatArray = np.asarray(weights, dtype=np.float64)
    if values.shape != keep.shape:
        raise DataError(f"{values.size} weights for {keep.size} rows", hint="give one weight a row, or a column name")
    values = values[keep]
    if not (np.isfinite(values).all() and (values > 0.0).all()):
        raise DataError("weights must be positive and finite", hint="drop rows of weight 0 or without a weight")
    return values


def describe(fitted: Fitted) -> str:
    """What became of an attempt, in words."""
    if fitted.status is Status.OK:
        return "converged"
    if fitted.status is Status.NOT_IDENTIFIED:
        return REASONS[fitted.status].removeprefix("not estimable: ")
    if fitted.steps == 0:
        return "the covariance matrix is singular at the start"
    if not np.isfinite(fitted.smallest_pivot) or fitted.smallest_pivot < 1e-4:
        return (
            f"the covariance matrix tends to a singular one ({fitted.steps} steps): visits that "
            "determine each other, or too few subjects for it"
        )
    return f"{REASONS[Status.NOT_CONVERGED]} in {fitted.steps} steps (largest gradient {fitted.gradient_norm:.2g})"


def mmrm(
    formula: str,
    data: Any,
    *,
    reml: bool = True,
    df: str = "kenward-roger-linear",
    vcov: str | None = None,
    weights: Any = None,
    fallback: Sequence[str] = (),
) -> MmrmFit:
    """Fit a mixed model for repeated measures.

    The responses of subject i at the visits it was seen at are normal, with mean ``X_i beta`` and the rows and
    columns of one covariance matrix for those visits (divided by the weights' square roots on both sides, if
    given). Rows without response or covariates take no part: the analysis is valid when data are missing at random.

    Parameters
    ----------
    formula : as in R's mmrm: ``CHG ~ BASE * AVISIT + TRT01P * AVISIT + us(AVISIT | USUBJID)``. The covariance term is
        ``us``, ``cs``, ``csh``, ``ar1``, ``ar1h``, ``toep``, ``toeph``, ``ad``, ``adh`` or ``sp_exp``, of
        ``(visit | subject)`` or, one matrix a group, ``(visit | group / subject)``. The visit of ``sp_exp``
        is a number.
    data : one row a subject and visit; pandas, polars or pyarrow. Tables come back in the same kind. Visits that are
        text come in the order of the numbers in their names (``Week 2`` before ``Week 10``), those of ``AVISIT`` in
        that of ``AVISITN`` where the data have it; an ordered category keeps its order.
    reml : restricted maximum likelihood, else maximum likelihood.
    df : ``kenward-roger-linear`` (without the second-derivative term, so that it does not depend on the
        parametrisation; SAS gives this one for ``TYPE=UN``), ``kenward-roger`` (with it, the default of R's mmrm; its
        standard errors are too small in small trials), ``satterthwaite``, ``between-within`` or ``residual``.
    vcov : None for the one of ``df``, else ``model``, ``empirical`` (CR0), ``empirical-bias-reduced`` (CR2) or
        ``empirical-jackknife`` (CR3).
    weights : column name, or one positive number a row: the variance of a row is divided by it.
    fallback : structures to try in this order if the one in the formula does not converge, for example
        ``("adh", "toeph", "csh")``. What was used is ``fit.structure``.

    Returns
    -------
    MmrmFit. Where no structure converged ``fit.converged`` is False, standard errors are NaN, and a
    :class:`MmrmWarning` says what was tried.

    Raises
    ------
    EstimationError : the formula or the options cannot be used.
    DataError : a column is absent or of the wrong type, or a visit occurs twice within a subject.

    References
    ----------
    Mallinckrodt et al. 2008, Drug Inf J 42:303; Kenward & Roger 1997, Biometrics 53:983.

    Examples
    --------
    >>> import polars as pl
    >>> from equipoise.estimate.linear.mmrm import mmrm
    >>> rows = [(f"S{i}", v, "ab"[i % 2], (i * 7 + v * 5) % 11 + v) for i in range(40) for v in (1, 2, 3)]
    >>> data = pl.DataFrame(rows, schema=["ID", "VISIT", "ARM", "Y"], orient="row")
    >>> fit = mmrm("Y ~ ARM * C(VISIT) + us(VISIT | ID)", data)
    >>> fit.contrasts("ARM", by="VISIT").to_frame().columns
    ['VISIT', 'term', 'contrast', 'estimate', 'se', 'df', 'statistic', 'p', 'low', 'high', 'n', 'status']
    """
    model = parse(formula)
    model.refuse(random="give one covariance of the visits, or use slope() for a random part")
    return fit_model(formula, model, data, reml=reml, df=df, vcov=vcov, weights=weights, fallback=fallback)


def fit_model(
    formula: str,
    model: ModelFormula,
    data: Any,
    *,
    reml: bool,
    df: str,
    vcov: str | None,
    weights: Any,
    fallback: Sequence[str],
    reduced: frozenset[frozenset[str]] = frozenset(),
    first: dict[str, Any] | None = None,
) -> MmrmFit:
    """Fit a parsed formula; ``reduced`` and ``first`` as in :func:`equipoise.estimate.formula.build`."""
    first_use.once("mmrm")
    vcov_method = check_methods(df, vcov, reml)
    term = model.covariance
    assert term is not None
    for name in fallback:
        if name not in STRUCTURES or name == "sp_exp":
            raise EstimationError(
                f"cannot fall back to {name!r}", hint="choose from " + ", ".join(s for s in STRUCTURES if s != "sp_exp")
            )
    frame, placed = read_frame(data), dict[str, complex]()
    if term.coordinates:
        frame, placed = in_the_plane(frame, term)
    extra = {term.visit: True, term.subject: True}
    if term.group is not None:
        extra[term.group] = True
    design, y = build(model, frame, extra, reduced, first)
    y = design.less_offset(y)
    visit, subject = design.columns[f"|{term.visit}"], design.columns[f"|{term.subject}"]
    visits, subjects = visit.levels or (), subject.levels or ()
    n_subjects, m = len(subjects), len(visits)
    every = () if placed else read_column(frame, term.visit, categorical=True).levels or ()
    absent = [str(v) for v in every if v not in set(visits)]
    groups: tuple[Any, ...] | None = None
    subject_group = np.zeros(n_subjects, np.int64)
    if term.group is not None:
        group = design.columns[f"|{term.group}"]
        groups = group.levels
        subject_group = groups_of_subjects(subject.codes, group.codes, n_subjects, (term.subject, term.group))
    messages: list[str] = []
    if absent:
        messages.append(f"no record of {term.visit} {', '.join(absent)} can be analysed; left out")
    rows = Rows(
        subject.codes,
        visit.codes,
        subject_group,
        n_subjects,
        m,
        len(groups) if groups else 1,
        _weights(weights, frame, design.keep),
    )
    check_rows(rows, subjects, visits, (term.subject, term.visit))
    coords: Any = np.arange(m, dtype=np.float64)
    if placed:
        coords = np.array([placed[v] for v in visits])
    elif term.structure == "sp_exp":
        if not all(isinstance(v, int | float) for v in visits):
            raise DataError(
                f"sp_exp needs a number for the visit; {term.visit!r} is text",
                hint="use a column such as AVISITN or ADY",
            )
        coords = np.array([float(v) for v in visits])
    elif m == 1 and term.structure != "us":
        raise DataError(
            f"there is one visit only ({visits[0]}), so {term.structure} cannot be estimated",
            hint="use us(), or ancova()",
        )
    own_times = term.structure == "sp_exp" and m > MAX_COMMON_TIMES
    if own_times and (fallback or groups is not None):
        raise EstimationError(
            f"sp_exp at {m} different times takes neither a fallback nor groups",
            hint="use planned times, such as AVISITN",
        )
    prepared = None if own_times else prepare(design, y, rows)
    x, weighted = design.matrix(), y
    if rows.weights is not None:
        root = np.sqrt(rows.weights)
        x, weighted = x * root[:, None], y * root
    served = None if prepared is None else columns_at(x, rows)
    # the exact questions are asked only where the quick one has no answer: they take longer than the fit
    found = None if served and plainly_varies(x, weighted, rows, served) else least_squares(x, weighted)
    exact = found is not None and found.exact()
    wanted = list(dict.fromkeys([term.structure, *fallback]))
    silent: dict[int, str] = {}
    if found is not None and prepared is not None and term.structure in HETEROGENEOUS and not exact:
        silent = silent_visits(x, found, rows, visits, term.visit)
        if first and first.get(term.visit) in {visits[v] for v in silent}:
            silent = {}
    if silent and len(silent) < m:
        return _without_visits(
            silent,
            rows,
            formula,
            model,
            frame,
            design,
            reml=reml,
            df=df,
            vcov=vcov,
            weights=weights,
            fallback=fallback,
            reduced=reduced,
            first=first,
        )
    attempts: list[tuple[str, str]] = []
    best: Fitted | None = None
    kept = np.arange(0)
    nulls: list[FloatArray] = []
    if prepared is not None and not exact and len(y) > len(prepared.kept) > 0:
        nulls = [unidentified(x, rows, reml, g, served) for g in range(rows.n_groups)]
    unknown = [g for g, null in enumerate(nulls) if null.shape[1]]
    nothing_on = "; ".join(dict.fromkeys(in_words(nulls[g], rows, g, visits, term.visit) for g in unknown))
    for structure in wanted:
        if found is not None and exact:
            if prepared is None:
                fitted, kept = unfitted_times(design, y, rows, structure, coords, Status.NO_VARIANCE)
            else:
                kept = prepared.kept
                fitted = unfitted(prepared, structure, coords, rows.n_groups, Status.NO_VARIANCE)
            attempts.append((structure, f"{found.why()}, which leaves no residual variance"))
            best = best or fitted
            continue
        if prepared is None:
            fitted, kept = run_times(design.matrix(), y, rows, coords, structure, reml, False)
        else:
            kept = prepared.kept
            if len(kept) == 0 or len(y) <= len(kept):
                raise DataError(
                    f"{len(y)} observations cannot estimate {len(kept)} coefficients", hint="simplify the fixed part"
                )
            if unknown and not may_fit(structure, nulls, m, coords):
                fitted = unfitted(prepared, structure, coords, rows.n_groups, Status.NOT_IDENTIFIED)
                attempts.append((structure, nothing_on))
                best = best or fitted
                continue
            fitted = run(prepared, structure, reml, coords, rows.n_groups)
            if unknown and structure == "us":
                inform(fitted, nulls)
        if fitted.status is Status.OK and _degenerate(fitted):
            fitted.status = Status.NOT_CONVERGED
        attempts.append((structure, describe(fitted)))
        if best is None or fitted.status is Status.OK:
            best = fitted
        if fitted.status is Status.OK:
            break
    assert best is not None
    fit = MmrmFit(
        formula,
        model,
        replace(term, structure=best.structure),
        reml,
        df,
        vcov_method,
        design,
        rows,
        best,
        kept,
        y,
        visits,
        groups,
        subjects,
        tuple(attempts),
        (),
    )
    if fit.aliased:
        messages.append("the design is rank deficient; left out as aliased: " + ", ".join(fit.aliased))
    if fit.converged and unknown and fit.structure == "us":
        messages.append(f"{nothing_on}: no number on the covariance there; what does not depend on it is estimated")
        for g in unknown:
            fit.unknown[g] = np.abs(nulls[g]).max(axis=1) > 1e-6 * np.abs(nulls[g]).max()
    if not fit.converged:
        tried = "; ".join(f"{s}: {w}" for s, w in attempts)
    if fit.status is Status.NO_VARIANCE:
        messages.append(f"{attempts[0][1]}. Standard errors are not given")
    elif not fit.converged:
        messages.append(
            f"no covariance structure converged ({tried}). Standard errors are not given. "
            "Try a simpler structure, or look for visits with few subjects"
        )
    elif len(attempts) > 1:
        messages.append(f"{attempts[0][0]} was not used ({attempts[0][1]}); fitted {best.structure} instead")
    if fit.converged and vcov_method.startswith("kenward-roger") and not (np.diag(fit._vcov) > 0.0).all():
        messages.append(
            "Kenward-Roger's adjusted variance is not positive in a trial this small, and not given; "
            "use df='kenward-roger-linear' or 'satterthwaite'"
        )
    fit.left_out = LeftOut(design.left_out)
    fit.messages = tuple(messages)
    for message in messages:
        warnings.warn(message, MmrmWarning, stacklevel=3)
    return fit


def _without_visits(
    silent: dict[int, str],
    rows: Rows,
    formula: str,
    model: ModelFormula,
    frame: nw.DataFrame[Any],
    design: Design,
    **options: Any,
) -> MmrmFit:
    """The fit without visits at which no residual variance is left; their coefficients serve no other visit."""
    gone = np.isin(rows.visit, list(silent))
    keep = np.ones(len(design.keep), dtype=np.bool_)
    keep[np.flatnonzero(design.keep)[gone]] = False
    weights = options["weights"]
    if weights is not None and not isinstance(weights, str):
        options["weights"] = np.asarray(weights)[keep]
    said = "; ".join(silent.values())
    warnings.warn(f"{said}: nothing can be estimated there, left out", MmrmWarning, stacklevel=4)
    fit = fit_model(formula, model, kept_rows(frame, keep).to_native(), **options)
    fit.messages = (f"{said}: nothing can be estimated there, left out", *fit.messages)
    more = {f"because {why}": int((rows.visit == v).sum()) for v, why in silent.items()}
    fit.left_out = LeftOut({**fit.left_out.reasons, **more})
    return fit


def _degenerate(fitted: Fitted) -> bool:
    """Whether the optimum is a covariance matrix that is singular to working precision."""
    return not fitted.smallest_pivot > SINGULAR_PIVOT
