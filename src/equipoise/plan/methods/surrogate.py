"""Surrogates in a plan: the criteria of one trial, and the trial level over its units or over rows of other trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import DIFFERENCE, P, against, reasons
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, compared, others
from equipoise.plan.results import Block, Row

if TYPE_CHECKING:
    from equipoise.surrogate.endpoints import Endpoint
    from equipoise.surrogate.single import Surrogacy

Kind = Literal["continuous", "binary", "ordinal", "time"]
_PRENTICE = ("effect_on_surrogate", "effect_on_true", "association", "effect_given_surrogate")
_MEASURES = ("proportion_explained", "relative_effect", "adjusted_association", "likelihood_reduction")


class SurrogateSection(Section):
    """Prentice's criteria, proportion explained, relative effect, adjusted association, likelihood reduction factor.

    One record a patient. ``surrogate`` and ``endpoint``: variables; their kinds; ``censor`` and ``surrogate_censor``:
    of times to an event, 0 for an event. ``least``: standard errors that the effect on the true endpoint has to be away
    from none for a proportion explained.
    """

    method: Literal["surrogate"]
    surrogate: str
    endpoint: str = "AVAL"
    endpoint_kind: Kind = "continuous"
    surrogate_kind: Kind = "continuous"
    censor: str | None = None
    surrogate_censor: str | None = None
    covariates: tuple[str, ...] = ()
    alpha: float = Field(default=0.05, gt=0, lt=1)
    least: float = Field(default=4.0, ge=0)
    level: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _complete(self) -> SurrogateSection:
        for kind, censor, name in (
            (self.endpoint_kind, self.censor, "censor"),
            (self.surrogate_kind, self.surrogate_censor, "surrogate_censor"),
        ):
            if (kind == "time") != (censor is not None):
                raise ValueError(f"{name}: is for a time to an event, and needed there")
        if self.surrogate == self.endpoint:
            raise ValueError("surrogate and endpoint are the same variable")
        return self


class SurrogateTrialsSection(Section):
    """The trial level: over the units of this study (``unit``: a variable such as SITEID), or over trials in a data set
    with one row each (``rows``: its name; effects and standard errors in the variables named).
    """

    method: Literal["surrogate_trials"]
    surrogate: str
    endpoint: str = "AVAL"
    unit: str | None = None
    rows: str | None = None
    surrogate_se: str | None = None
    endpoint_se: str | None = None
    within: float | str | None = None
    model: Literal["full", "semi-reduced", "reduced"] = "full"
    effects: Literal["fixed", "mixed"] = "fixed"
    weighted: bool = True
    level: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_of(self) -> SurrogateTrialsSection:
        if (self.unit is None) == (self.rows is None):
            raise ValueError("give unit: (a variable of this study) or rows: (a data set with one row a trial)")
        if (self.rows is not None) != (self.surrogate_se is not None and self.endpoint_se is not None):
            raise ValueError("surrogate_se: and endpoint_se: go with rows:, and are needed there")
        return self


def _endpoint(variable: str, kind: Kind, censor: str | None) -> Endpoint:
    from equipoise.surrogate import Binary, Ordinal, Time, Value

    if kind == "time":
        return Time(variable, censor=censor)
    if kind == "binary":
        return Binary(variable)
    return Ordinal(variable) if kind == "ordinal" else Value(variable)


def estimates(context: Prepared, section: SurrogateSection) -> Found:
    """The tests of Prentice's criteria and the measures of one trial, against control."""
    from equipoise.surrogate import surrogacy

    data = context.chosen(section.where)
    for name in (section.surrogate, section.endpoint, *section.covariates):
        context.need(data, name)
    made: dict[str, Surrogacy] = compared(
        context,
        _one_each(data),
        lambda part: surrogacy(
            part,
            surrogate=_endpoint(section.surrogate, section.surrogate_kind, section.surrogate_censor),
            true=_endpoint(section.endpoint, section.endpoint_kind, section.censor),
            arm=context.treatment,
            control=context.plan.treatment.reference,
            covariates=section.covariates,
            mediation=False,
            causal=False,
            alpha=section.alpha,
            least=section.least,
            level=section.level,
        ),
    )
    numbers: dict[Place, Estimate] = {}
    for arm, m in made.items():
        tests = (c.test for c in m.prentice)
        numbers |= {Place(name, arm): e for name, e in zip(_PRENTICE, tests, strict=True)}
        measures = (m.proportion, m.relative, m.association, m.reduction)
        numbers |= {Place(name, arm): e for name, e in zip(_MEASURES, measures, strict=True)}
    return Found(numbers, made)


def _one_each(data: pl.DataFrame) -> pl.DataFrame:
    """The records; raises :class:`DataError` where a patient has several."""
    if data["USUBJID"].is_duplicated().any():
        raise DataError("a patient has several records", hint="choose one by where:, such as {AVISITN: 28}")
    return data


def lines(context: Prepared, section: SurrogateSection, found: Found) -> Block:
    """The criteria with what came of them, then the measures."""
    made: Mapping[str, Surrogacy] = found.parts
    percent = f"{100 * section.level:g}% CI"
    labels = (
        f"Effect on {section.surrogate} ({percent})",
        f"Effect on {section.endpoint} ({percent})",
        f"{section.endpoint} with {section.surrogate} ({percent})",
        f"Effect on {section.endpoint} given {section.surrogate} ({percent})",
        f"Proportion explained ({percent})",
        f"Relative effect ({percent})",
        f"Adjusted association ({percent})",
        f"Likelihood reduction factor ({percent})",
    )
    rows: list[Row] = []
    named = []
    for label, name in zip(labels, (*_PRENTICE, *_MEASURES), strict=True):
        by_arm = found.by_arm(name)
        tested = {a: e for a, e in by_arm.items() if e.form == "p_only"}
        rows.append(against(context, label, by_arm, P if tested else DIFFERENCE))
        if name in _PRENTICE and not tested:
            rows.append(against(context, "p-value", by_arm, P))
        named += [(label.split(" (")[0], e) for e in by_arm.values()]
    said = tuple(f"{arm}: {c.to_sentence()}" for arm, m in made.items() for c in m.prentice)
    verdicts = tuple(f"{arm}: {m.verdict}" for arm, m in made.items())
    return Block(
        section.label or "Criteria for a surrogate",
        "surrogate",
        context.analysis.dataset,
        section.endpoint,
        tuple(rows),
        description=f"{section.surrogate} as surrogate of {section.endpoint}; "
        f"against {context.plan.treatment.reference}",
        notes=(*((section.note,) if section.note else ()), *said, *verdicts, *reasons(named)),
    )


_TRIALS = (
    "r2_trial",
    "r_trial",
    "r2_individual",
    "r_individual",
    "between_trial_correlation",
    "between_trial_r2",
    "slope",
)


def trial_estimates(context: Prepared, section: SurrogateTrialsSection) -> Found:
    """R squared of the two levels, not corrected; and correlation, R squared and slope of the bivariate model."""
    from equipoise.surrogate import surrogacy_trials, surrogacy_units

    made: dict[str, tuple[dict[str, Estimate], str]] = {}
    if section.rows is not None:
        found = surrogacy_trials(
            context.study[section.rows].frame,
            surrogate=section.surrogate,
            surrogate_se=section.surrogate_se or "",
            true=section.endpoint,
            true_se=section.endpoint_se or "",
            within=section.within,
            level=section.level,
        )
        corrected = dict(zip(_TRIALS[4:], found.estimates[2:5], strict=True))
        made = {others(context)[0]: (corrected, found.verdict.said)}
    else:
        data = context.chosen(section.where)
        for name in (section.surrogate, section.endpoint, section.unit or ""):
            context.need(data, name)
        fits = compared(
            context,
            _one_each(data),
            lambda part: surrogacy_units(
                part,
                surrogate=section.surrogate,
                true=section.endpoint,
                unit=section.unit or "",
                arm=context.treatment,
                control=context.plan.treatment.reference,
                model=section.model,
                effects=section.effects,
                weighted=section.weighted,
                level=section.level,
            ),
        )
        for arm, fit in fits.items():
            numbers = dict(zip(_TRIALS[:4], fit.estimates, strict=True))
            if fit.trials is not None:
                numbers |= dict(zip(_TRIALS[4:], fit.trials.estimates[2:5], strict=True))
            made[arm] = (numbers, fit.verdict)
    return Found({Place(name, arm): e for arm, (numbers, _) in made.items() for name, e in numbers.items()}, made)


def trial_lines(context: Prepared, section: SurrogateTrialsSection, found: Found) -> Block:
    """One line a number, and the verdict below."""
    percent = f"{100 * section.level:g}% CI"
    labels = {
        "r2_trial": f"R squared, trial level, not corrected ({percent})",
        "r_trial": f"Correlation, trial level, not corrected ({percent})",
        "r2_individual": f"R squared, individual level ({percent})",
        "r_individual": f"Correlation, individual level ({percent})",
        "between_trial_correlation": f"Correlation of true effects, corrected ({percent})",
        "between_trial_r2": f"R squared of true effects, corrected ({percent})",
        "slope": f"Slope of true effects, corrected ({percent})",
    }
    rows, named = [], []
    for name, label in labels.items():
        by_arm = found.by_arm(name)
        if by_arm:
            rows.append(against(context, label, by_arm, DIFFERENCE))
            named += [(label.split(" (")[0], e) for e in by_arm.values()]
    said = tuple(f"{arm}: {verdict}" for arm, (_, verdict) in found.parts.items())
    return Block(
        section.label or "Surrogate, trial level",
        "surrogate_trials",
        section.rows or context.analysis.dataset,
        section.endpoint,
        tuple(rows),
        description=f"{section.surrogate} as surrogate of {section.endpoint}, over "
        + (f"the rows of {section.rows}" if section.rows else f"units of {section.unit}"),
        notes=(*((section.note,) if section.note else ()), *said, *reasons(named)),
    )


METHODS = (
    Method("surrogate", SurrogateSection, estimates, lines, "Criteria for a surrogate", noted=True),
    Method(
        "surrogate_trials", SurrogateTrialsSection, trial_estimates, trial_lines, "Surrogate, trial level", noted=True
    ),
)
