"""The sections of the model-based methods: analysis of covariance, MMRM and the constrained longitudinal model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from equipoise.errors import EstimationError
from equipoise.estimate.formula import parse
from equipoise.files import Frozen
from equipoise.plan.parts import CONTRAST, MEANS, Section, Show, known_statistics


def readable_formula(text: str) -> str:
    """A formula of the fixed part of a model, read when the plan is read: nothing of it is ever executed.

    Raises :class:`ValueError` with the place and how to mend it.
    """
    try:
        parse(text, needs_covariance=False).refuse(
            covariance="leave it out: covariance: and visit: of the section say it",
            random="leave it out: the method says it",
        )
    except EstimationError as error:
        raise ValueError(str(error)) from None
    return text


_ESTIMATE = ("estimate", "se", "df", "t", "p", "low", "high", "null")
_TEST = (*_ESTIMATE, "num_df", "den_df", "f")


class ModelRow(Frozen):
    """One line of a model's block: LS means, a contrast of two arms, or the test of a term of the model.

    ``arm`` and ``versus`` make a contrast (its cell stands in the column of ``arm``); ``versus`` alone makes one for
    each other arm. ``term`` gives a term's test (with ``formula``, of another model), in the column of ``arm``.
    """

    label: str
    show: str
    arm: str | None = None
    versus: str | None = None
    term: str | None = None
    formula: str | None = None

    _formula = field_validator("formula")(lambda text: text if text is None else readable_formula(text))
    _show = field_validator("show")(Show.readable.__func__)  # type: ignore[attr-defined]

    @model_validator(mode="after")
    def _statistics(self) -> ModelRow:
        known_statistics([self], _TEST if self.term is not None else _ESTIMATE)
        return self


class ModelSection(Section):
    """``exponentiate``: means and differences of logarithms are shown as geometric means and their ratios.

    ``diagnostics``: figures of residuals, normal quantiles and the influence of each subject beside the table.
    """

    formula: str
    weights: Literal["observed", "equal", "proportional", "counterfactual"] = "equal"
    level: float = Field(default=0.95, gt=0, lt=1)
    exponentiate: bool = False
    diagnostics: bool = False
    lsmeans: tuple[Show, ...] = MEANS
    contrasts: tuple[Show, ...] = CONTRAST
    rows: tuple[ModelRow, ...] | None = None

    _formula = field_validator("formula")(readable_formula)

    @model_validator(mode="after")
    def _statistics(self) -> ModelSection:
        known_statistics([*self.lsmeans, *self.contrasts], _ESTIMATE)
        return self


class AncovaSection(ModelSection):
    """Analysis of covariance by least squares; ``vcov`` HC0 to HC3 for a heteroscedasticity-consistent covariance."""

    method: Literal["ancova"]
    ESTIMATES = "ancova"

    vcov: Literal["HC0", "HC1", "HC2", "HC3"] | None = None


class VisitSection(ModelSection):
    """``covariance`` is a ladder: each structure is tried until one converges."""

    visit: str = "AVISIT"
    visits: tuple[str, ...] | None = None
    order: str = "AVISITN"
    covariance: tuple[str, ...] = Field(default=("us",), min_length=1)
    df: Literal["satterthwaite", "kenward-roger", "kenward-roger-linear", "between-within", "residual"] = (
        "kenward-roger-linear"
    )
    reml: bool = True


class MmrmSection(VisitSection):
    """Mixed model for repeated measures. ``covariance`` is a ladder: each structure is tried until one converges.

    ``average`` names the mean over all visits of the model, each with the same weight (SAS's LSMEANS of the arm by
    itself), which is then shown alone, or after the ``visits`` that are asked for.
    """

    ESTIMATES = "mmrm"

    method: Literal["mmrm"]
    average: str | None = None


class CldaSection(VisitSection):
    """The constrained longitudinal model: baseline is a response, with one mean for all arms.

    ``formula`` has the response and further covariates alone, ``AVAL ~ 1`` or ``AVAL ~ SEX``, or ``AVAL ~ AGE:AVISIT``
    where a covariate has an effect of its own at every visit; arm and visit come by themselves. ``baseline``: the visit
    that is the baseline, whose records are among those of the analysis.
    """

    ESTIMATES = "clda"

    method: Literal["clda"]
    baseline: str
