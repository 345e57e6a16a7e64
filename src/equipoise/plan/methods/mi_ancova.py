"""Analysis of covariance after multiple imputation at random; of many virtual trials by one kernel."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from equipoise.plan.compiled import AnyForm, Lowered, Repeated
from equipoise.plan.key import Key
from equipoise.plan.methods import forms
from equipoise.plan.methods.estimates import reasons
from equipoise.plan.methods.imputed import (
    TESTS,
    ImputedSection,
    Parts,
    lines_of,
    numbers_of,
    over_visits,
    quantities,
    records,
    seen,
    shown_weeks,
)
from equipoise.plan.methods.registry import Found, Kernel, Method, Names
from equipoise.plan.outcome_arrays import change_from_baseline, columns
from equipoise.plan.prepared import Prepared, others, together, without_records
from equipoise.plan.results import Block
from equipoise.plan.trial_estimates import TrialEstimates, of_arms

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials


class MiAncovaSection(ImputedSection):
    """ANCOVA at every visit after multiple imputation at random: chained by visit, pooled by Rubin's rules.

    ``impute_with``: predictors of imputation besides the arm, default the covariates. ``log``: ratios to baseline.
    ``weeks`` are shown, default the last.
    """

    ESTIMATES = "mi_ancova"

    method: Literal["mi_ancova"]
    impute_with: tuple[str, ...] | None = None
    imputations: int = Field(default=20, ge=2, le=10_000)
    burn_in: int = Field(default=100, ge=1)


def mi_ancova(context: Prepared, section: MiAncovaSection) -> Found:
    """LS means and differences at the weeks asked for, pooled over imputations."""
    from equipoise.estimate.missing import mi_ancova as estimate

    frame = records(context, section, (*(section.impute_with or ()), *((section.baseline,) if section.log else ())))
    made = together(
        context,
        frame,
        lambda data: estimate(
            data,
            value=section.value,
            visit=section.visit,
            arm=context.treatment,
            control=context.plan.treatment.reference,
            covariates=section.covariates,
            impute_with=section.impute_with,
            log=section.log,
            baseline=section.baseline,
            n_imputations=section.imputations,
            burn_in=section.burn_in,
            seed=section.seed,
        ),
    )
    visits = [float(w) for w in made.panel.weeks]
    level = section.level
    parts = Parts(
        frame,
        visits,
        shown_weeks(context, section, visits),
        mean=lambda one, week: made.mean(one, week, level=level),
        seen=lambda one, k: seen(made.panel, one, k),
    )
    difference = {a: lambda week, a=a: made.difference(week, arm=a, level=level) for a in others(context)}
    return Found(numbers_of(context, section, parts, difference), parts)


def _mi_ancova_lines(context: Prepared, section: MiAncovaSection, found: Found) -> Block:
    parts: Parts = found.parts
    rows, named = lines_of(context, section, found)
    helpers = section.covariates if section.impute_with is None else section.impute_with
    return Block(
        section.label or "ANCOVA after multiple imputation",
        "mi_ancova",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=(
            f"{section.imputations} imputations at random given arm, {', '.join(helpers) or 'nothing else'} and all "
            f"visits, seed {section.seed}; ANCOVA with {', '.join(section.covariates) or 'no covariates'}; "
            "Rubin's rules" + ("; ratios of geometric means to baseline" if section.log else "")
        ),
        notes=(*((section.note,) if section.note else ()), *reasons(named), *without_records(context, parts.frame)),
        details={"imputations": section.imputations, "seed": section.seed},
        figures=over_visits(context, section, parts),
    )


# --- many trials ----------------------------------------------------------------------------------------------------


def form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernel does of a section, and of a joint rank test beside it on the same imputations."""
    section: Any = analysis.sections[place - 1]
    of = forms.of_outcome(analysis)
    read = ("value", "covariates", "impute_with", "log", "imputations", "burn_in")
    if of is None or not forms.only(section, *read) or not forms.plain_value(section):
        return None
    asked = asked_of(analysis, section)
    if asked is None:
        return None
    places = {"ancova": place}
    for k, other in enumerate(analysis.sections, start=1):
        if "joint_rank" not in places and other.kind == "joint_rank":
            from equipoise.plan.methods.ranks import imputes_like

            if imputes_like(analysis, other, {**of, **asked}):
                places["joint_rank"] = k
    return forms.lowered(analysis, {"kind": "repeated", **of, **asked, "joint_rank": "joint_rank" in places}, places)


def asked_of(analysis: Analysis, section: Any) -> dict[str, Any] | None:
    """How a section imputes and what it adjusts for, as the form says it; None where a covariate is none of those."""
    helpers = section.covariates if section.impute_with is None else section.impute_with
    own, predictors = (forms.covariates(analysis, names, section.log) for names in (section.covariates, helpers))
    if own is None or predictors is None:
        return None
    return {
        "covariates": own,
        "impute_with": predictors,
        "log": section.log,
        "imputations": section.imputations,
        "burn_in": section.burn_in,
    }


def block(trials: Trials, analysis: Analysis, found: Lowered) -> dict[Key, TrialEstimates]:
    """The ANCOVA at every visit, and the joint rank test where it is asked for, on every trial of a block.

    The random numbers of the imputation follow from the analysis's id, so that leaving other analyses out of the
    plan changes nothing here.
    """
    from equipoise.estimate.missing.kernels import mi_ancova as kernel

    asked = found.form
    assert isinstance(asked, Repeated)
    weeks, y = change_from_baseline(trials, asked.variable, asked.week, log=asked.log)
    rank = asked.joint_rank
    week, died = trials.times_to("death")
    visits, ranks, status, rank_status, _ = kernel.mi_ancova(
        y,
        trials.members(asked.set),
        columns(trials, asked.impute_with, asked.variable, asked.log),
        columns(trials, asked.covariates, asked.variable, asked.log),
        death_week=np.where(died & (week <= asked.week), week, np.inf),
        rank_week=asked.week if rank else float("nan"),
        rank_visit=len(weeks) - 1 if rank else -1,
        n_imputations=asked.imputations,
        burn_in=asked.burn_in,
        seed=trials.seed,
        first_replicate=trials.first_replicate,
        unit=zlib.crc32(analysis.id.encode()),
    )
    out: dict[Key, TrialEstimates] = {}
    if "ancova" in found.places:
        place = found.places["ancova"]
        section: Any = analysis.sections[place - 1]
        for v, at in enumerate(weeks):
            key = Key("", analysis=analysis.id, section=place, visit=f"Week {at:g}")
            out |= of_arms(
                trials, visits[:, 0, v], status[:, 0, v], key, names(section), ratio=asked.log, level=section.level
            )
    if rank:
        place = found.places["joint_rank"]
        section = analysis.sections[place - 1]
        key = Key("", analysis=analysis.id, section=place)
        called = ("mean_rank_score", "rank_difference")
        out |= of_arms(trials, ranks[:, 0], rank_status[:, 0], key, called, level=section.level)
        dead = died & (week <= asked.week) & trials.members(asked.set)
        for a, arm in enumerate(trials.arms):
            deaths = (dead & (trials.arm == a)).sum(axis=1)
            out[Key("deaths", analysis=analysis.id, section=place, arm=arm)] = TrialEstimates.of_count(deaths)
    return out


def names(section: Any) -> Names:
    """The quantities of a section."""
    return Names(*quantities(section))


def written(asked: AnyForm) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A form as sections."""
    assert isinstance(asked, Repeated)
    helpers, own = (forms.written_covariates(c, asked.log) for c in (asked.impute_with, asked.covariates))
    how = {"covariates": own, "impute_with": helpers, "imputations": asked.imputations, "burn_in": asked.burn_in}
    logged = {"value": "AVAL", "log": True} if asked.log else {}
    head = {} if "LBASE" not in (*own, *helpers) else dict(forms.LOG_BASELINE)
    sections = [{"method": "mi_ancova", **logged, **how}] if asked.ancova else []
    if asked.joint_rank:
        head["gather"] = forms.DEATH
        times = {"week": asked.week, "time": "DTHWK", "censor": "DTHCN"}
        sections.append({"method": "joint_rank", **logged, **times, **how})
    return head, sections


KERNEL = Kernel(form, block, names, written)
METHODS = (
    Method(
        "mi_ancova",
        MiAncovaSection,
        mi_ancova,
        _mi_ancova_lines,
        "Analysis of covariance after multiple imputation",
        noted=True,
        tests=TESTS,
        kernel=KERNEL,
    ),
)
