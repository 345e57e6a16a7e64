"""The doors to reference-based imputation: :func:`imputation_draws`, and :func:`mi_analysis` in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from equipoise.errors import EstimationError
from equipoise.estimate.missing.analyses import Analysis
from equipoise.estimate.missing.completed import Draws, MiAnalysis, Names
from equipoise.estimate.missing.events import Composite, read_events
from equipoise.estimate.missing.methods import Bayes, Method
from equipoise.estimate.missing.model import build_model
from equipoise.estimate.missing.samples import draw
from equipoise.estimate.panel import read_panel
from equipoise.numerics import first_use


def imputation_draws(
    data: Any,
    ice: Any = None,
    *,
    method: Method | None = None,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    reference: Any = None,
    covariates: Sequence[str] = ("BASE",),
    by_visit: bool | Sequence[str] = True,
    keep: Sequence[str] = (),
    ice_visit: str | None = None,
    strategy: str = "STRATEGY",
    composite: Composite | None = None,
    same_covariance: bool = True,
    structure: str = "us",
    reml: bool = True,
    strata: Sequence[str] = (),
    log: bool = False,
    baseline: str = "BASE",
    up_to: float | None = None,
    seed: int = 0,
) -> Draws:
    """Fit the imputation model of one trial and draw its parameters.

    The model is a repeated-measures model of the visits on arm by visit and covariates, fitted to everything observed
    except after an intercurrent event whose strategy is not MAR. Of more than two arms all are in one model.

    Parameters
    ----------
    data : long frame, one row a patient and visit, every randomised patient at least once; pandas, polars or pyarrow.
        Rows with ``visit`` of 0 or below are baseline.
    ice : intercurrent events, at most one row a patient: ``subject``, ``ice_visit`` (default the name of ``visit``) the
        first visit affected, and the column ``strategy``: MAR (or none), HYPOTHETICAL, JR (or J2R), CR, CIR, LMCF,
        COMPOSITE. ``strategy`` may instead be one of these, for all. Visits missing without an event are MAR.
    method : :class:`Bayes` (default), :class:`ApproxBayes`, :class:`ConditionalMean` or :class:`Bmlmi`.
    control : level of ``arm`` to compare with. reference : the arm that reference-based strategies copy, default
        the control; or a mapping of each arm to its reference.
    covariates : of the imputation model, known for everyone. by_visit : with a coefficient at every visit (True), with
        one for all visits (False), or which of them at every visit.
    keep : further columns of a patient that analyses of the completed data need.
    composite : the value that stands for visits under COMPOSITE.
    same_covariance : one covariance matrix for all arms, else one each. structure : us, cs, csh, ar1, ar1h, toep,
        toeph, ad or adh (unstructured only for Bayes). reml : restricted maximum likelihood, else maximum likelihood.
    strata : columns of categories within which, besides the arm, bootstrap samples are drawn.
    log : analyse ln(value / baseline). up_to : last visit that takes part. seed : with it, draws are the same anywhere.

    Raises
    ------
    DataError : a column is absent or not known for everyone; a strategy or reference arm is unknown; an event belongs
        to nobody; an arm has no data at a visit.
    EstimationError : an option means nothing, or the model cannot be fitted.
    """
    method = Bayes() if method is None else method
    if not isinstance(method, Method):
        raise EstimationError(f"{method!r} is no method", hint="Bayes(), ApproxBayes(), ConditionalMean() or Bmlmi()")
    if isinstance(method, Bayes) and structure != "us":
        raise EstimationError(
            f"Bayes with covariance {structure!r}", hint="the prior is on an unstructured covariance: use ApproxBayes"
        )
    if seed < 0:
        raise EstimationError(f"seed = {seed}", hint="a seed is a whole number from 0 on")
    known = tuple(dict.fromkeys([*covariates, *strata, *keep]))
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        arm=arm,
        control=control,
        covariates=known,
        baseline_value=baseline,
        log=log,
        up_to=up_to,
        several=True,
    )
    first_use.once("imputation")
    events = read_events(panel, ice, subject, ice_visit or visit, strategy)
    model = build_model(
        panel,
        events,
        covariates=covariates,
        by_visit=by_visit,
        reference=reference,
        same_covariance=same_covariance,
        structure=structure,
        reml=reml,
        composite=composite,
        strata=strata,
    )
    return Draws(
        panel,
        events,
        draw(model, method, seed=seed),
        Names(value, subject, visit, arm, tuple(dict.fromkeys([arm, *known]))),
        composite,
    )


def mi_analysis(
    data: Any,
    ice: Any = None,
    *,
    analysis: Analysis | Callable[[Any], Mapping[str, Any]] | None = None,
    delta: Any = None,
    level: float = 0.95,
    estimand: str | None = None,
    no_missing: str = "analysis",
    **options: Any,
) -> MiAnalysis:
    """Impute, analyse every completed data set and pool, in one call.

    ``options`` are those of :func:`imputation_draws`; ``analysis``, ``delta``, ``level``, ``estimand`` and
    ``no_missing`` those of :meth:`equipoise.estimate.missing.completed.Completed.analyse`.

    Raises
    ------
    DataError, EstimationError : as :func:`imputation_draws`.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> from equipoise.estimate.missing import Ancova, ConditionalMean, mi_analysis
    >>> g = np.random.default_rng(1)
    >>> rows = [(f"S{i}", v, "ab"[i % 2], 0.0, float(g.normal(i % 2, 1))) for i in range(40) for v in (4, 8, 12)]
    >>> data = pl.DataFrame(rows, schema=["USUBJID", "AVISITN", "TRT01P", "BASE", "CHG"], orient="row")
    >>> stopped = pl.col("USUBJID").is_in(["S3", "S8", "S9"]) & (pl.col("AVISITN") > 4)
    >>> data = data.with_columns(CHG=pl.when(stopped).then(None).otherwise("CHG"))
    >>> ice = pl.DataFrame({"USUBJID": ["S3", "S8", "S9"], "AVISITN": [8, 8, 8]})
    >>> fit = mi_analysis(data, ice, strategy="J2R", covariates=(), method=ConditionalMean(), analysis=Ancova(()))
    >>> print(fit.difference(12).to_sentence()[:75])
    b - a at week 12: difference 0.801 (95 % CI 0.274 to 1.33), P = 0.0029 (ANC
    """
    completed = imputation_draws(data, ice, **options).impute()
    return completed.analyse(analysis, delta=delta, level=level, estimand=estimand, no_missing=no_missing)
