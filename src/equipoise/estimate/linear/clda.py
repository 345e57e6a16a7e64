"""The constrained longitudinal model: baseline is a response, and arms share its mean.

    E[y_ij] = mu_j + x_i' gamma + delta_a(i)j,   delta_aj = 0 at baseline and for the control arm,

with one covariance over all visits, baseline among them (Liang & Zeger 2000, Sankhya B 62:134; Liu, Lu, Mogg, Mallick &
Mehrotra 2009, Stat Med 28:2509). Randomisation makes the constraint true. With complete data the treatment effects
are those of an ANCOVA; patients without baseline, or with baseline alone, still count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from equipoise.errors import EstimationError
from equipoise.estimate.formula import FactorSpec, parse
from equipoise.estimate.linear.mmrm.fit import fit_model
from equipoise.estimate.linear.mmrm.result import MmrmFit


def clda(
    formula: str,
    data: Any,
    *,
    arm: str,
    baseline: Any,
    reml: bool = True,
    df: str = "kenward-roger-linear",
    vcov: str | None = None,
    fallback: Sequence[str] = (),
) -> MmrmFit:
    """Fit the constrained longitudinal model.

    Parameters
    ----------
    formula : response, further covariates and the covariance, ``AVAL ~ STRATUM + us(AVISIT | USUBJID)``; a covariate
        may have an effect of its own at every visit, ``AGE:AVISIT``. The means of the visits and the effect of ``arm``
        at every visit but the baseline are added.
    data : one row a subject and visit, the baseline visit among them; pandas, polars or pyarrow.
    arm : the column of the arm; its first level is the control.
    baseline : the level of the visit that is the baseline.
    reml, df, vcov, fallback : as in :func:`equipoise.estimate.linear.mmrm.mmrm`.

    Returns
    -------
    MmrmFit. ``fit.contrasts(arm, by=visit)`` gives the effect at each visit (0 by construction at baseline), which is
    also the effect on the change from baseline.

    Raises
    ------
    EstimationError, DataError : as :func:`equipoise.estimate.linear.mmrm.mmrm`.

    Examples
    --------
    >>> import polars as pl
    >>> from equipoise.estimate.linear.clda import clda
    >>> rows = [(f"S{i}", v, "ab"[i % 2], (i * 7 + v * 5) % 11 + v * (1 + i % 2)) for i in range(40) for v in range(3)]
    >>> data = pl.DataFrame(rows, schema=["ID", "VISIT", "ARM", "Y"], orient="row")
    >>> fit = clda("Y ~ us(VISIT | ID)", data.with_columns(pl.col("VISIT").cast(str)), arm="ARM", baseline="0")
    >>> fit.names
    ('(Intercept)', 'VISIT[T.1]', 'VISIT[T.2]', 'VISIT[T.1]:ARM[T.b]', 'VISIT[T.2]:ARM[T.b]')
    """
    model = parse(formula)
    model.refuse(random="give one covariance of the visits")
    term = model.covariance
    if term is None or term.structure == "sp_exp":
        raise EstimationError(
            "the constrained model needs visits, not times", hint="use us(AVISIT | USUBJID) or another"
        )
    if term.visit == arm:
        raise EstimationError(f"{arm!r} is both the arm and the visit", hint="name the arm's column")
    for one in model.terms:
        named = {factor.name for factor in one}
        if arm in named or named == {term.visit}:
            raise EstimationError(
                f"{':'.join(f.expression for f in one)} is in the formula",
                hint="leave arm and visit out, they come by themselves; a covariate by visit may stay, AGE:AVISIT",
            )
    visit = FactorSpec.of_column(term.visit, categorical=_is_number(data, term.visit))
    by = FactorSpec.of_column(arm)
    terms = (*model.terms, (visit,), (visit, by))
    whole = replace(model, terms=tuple(sorted(terms, key=len)))
    return fit_model(
        formula,
        whole,
        data,
        reml=reml,
        df=df,
        vcov=vcov,
        weights=None,
        fallback=fallback,
        reduced=frozenset({frozenset({visit.expression, arm})}),
        first={term.visit: baseline},
    )


def _is_number(data: Any, column: str) -> bool:
    import narwhals.stable.v2 as nw

    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError:
        return False
    return column in frame.columns and frame.get_column(column).dtype.is_numeric()
