"""Early against delayed start: everyone on active, one arm from the first day, the other after a placebo period.

The published week-52 analysis of VALOR and its extension: ANCOVA on multiply imputed change from baseline, early
minus delayed, once with the covariates planned for week 28 and once adjusted for baseline neurofilament.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.missing import BURN_IN, MiAncova, mi_ancova
from equipoise.estimate.result import Estimate

LEBER = "Leber 1997, Alzheimer Dis Assoc Disord 11(suppl 5):S10"


@dataclass(frozen=True, eq=False)
class DelayedStart(Fit):
    """Early minus delayed start by several models.

    named : name of the model -> difference at ``week``. fits : name -> the whole analysis, all visits.
    """

    week: float
    named: Mapping[str, Estimate]
    fits: Mapping[str, MiAncova]

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The difference by every model, in the order of ``named``."""
        return tuple(self.named.values())

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return [{"model": name} for name in self.named]

    def _backend(self) -> Any:
        return next(iter(self.fits.values())).panel.backend


def compare(
    data: Any,
    models: Mapping[str, Sequence[str]],
    *,
    at: float,
    impute_with: Mapping[str, Sequence[str]] | None = None,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    log: bool = False,
    baseline: str = "BASE",
    n_imputations: int = 20,
    burn_in: int = BURN_IN,
    seed: int = 0,
    level: float = 0.95,
) -> DelayedStart:
    """Compare early with delayed start ``at`` a week by ANCOVA and multiple imputation.

    Parameters
    ----------
    data : long frame of both periods, ``arm`` as randomised (delayed start is the control arm).
    models : name -> covariates, for instance ``{"planned": ["BASE", "ONSETMO", "RILEDAFL"], "NfL-adjusted": ["BASE",
        "NFLBL", "RILEDAFL"]}``.
    impute_with : name -> predictors of imputation besides the arm; default the covariates of the model.
    The rest as in :func:`equipoise.estimate.missing.mi_ancova`.

    Raises
    ------
    DataError, EstimationError : no model, or as :func:`equipoise.estimate.missing.mi_ancova`.

    Notes
    -----
    A lasting difference is what a slowing of the disease predicts and a purely symptomatic effect does not (Leber
    1997), provided that those who entered the extension resemble those who did not and that raters stayed masked.
    """
    if not models:
        raise EstimationError("no model to compare by", hint="give at least one, as {'planned': ['BASE', ...]}")
    fits: dict[str, MiAncova] = {}
    estimates: dict[str, Estimate] = {}
    for name, covariates in models.items():
        fits[name] = mi_ancova(
            data,
            value=value,
            subject=subject,
            visit=visit,
            arm=arm,
            control=control,
            covariates=covariates,
            impute_with=None if impute_with is None else impute_with.get(name),
            log=log,
            baseline=baseline,
            up_to=at,
            n_imputations=n_imputations,
            burn_in=burn_in,
            seed=seed,
        )
        made = fits[name].difference(at, level=level)
        estimates[name] = replace(
            made, name=f"early - delayed start at week {at:g}, {name}", references=(*made.references, LEBER)
        )
    return DelayedStart(at, estimates, fits)
