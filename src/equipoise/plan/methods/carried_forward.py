"""The last observation carried forward, then an analysis of variance or covariance at each visit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan.compiled import AnyForm, CarriedForward, Lowered
from equipoise.plan.key import Key
from equipoise.plan.methods import forms
from equipoise.plan.methods.estimates import P, against, by_arm, counts, reasons
from equipoise.plan.methods.registry import Found, Kernel, Method, Names, Place, Test
from equipoise.plan.outcome_arrays import change_from_baseline, columns
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, in_order, others
from equipoise.plan.results import Block, Row
from equipoise.plan.trial_estimates import TrialEstimates, of_arms
from equipoise.types import Status

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials

_LAST = "LAST__"
"""The last value seen after baseline, up to a visit."""


class CarriedForwardSection(Section):
    """ANOVA, or with ``covariates`` ANCOVA, of the last value after baseline, at every visit or the ``weeks`` given.

    Who has no value after baseline takes no part. ``observed_to``: only who was seen at a visit in that week or later,
    as in a trial that analyses those who completed a first part. ``log``: ``value`` is in natural units and its ratio
    to ``baseline`` is analysed. ``weeks`` are shown, default the last.
    """

    ESTIMATES = "carried_forward"

    method: Literal["carried_forward"]
    value: str = "CHG"
    visit: str = "AVISITN"
    covariates: tuple[str, ...] = ()
    observed_to: float = Field(default=0.0, ge=0)
    weeks: tuple[float, ...] | None = None
    log: bool = False
    baseline: str = "BASE"
    level: float = Field(default=0.95, gt=0, lt=1)


def _records(context: Prepared, section: CarriedForwardSection) -> pl.DataFrame:
    """One row a patient and visit after baseline at which there is a value, of who was seen long enough."""
    frame = context.chosen(section.where)
    needed = [section.value, section.visit, *([section.baseline] if section.log else [])]
    for name in needed:
        context.need(frame, name, numeric=True)
    for name in ("USUBJID", *section.covariates):
        context.need(frame, name)
    names = dict.fromkeys(["USUBJID", context.treatment, *needed, *section.covariates])
    seen = frame.select(list(names)).drop_nulls(needed).filter(pl.col(section.visit) > 0)
    doubled = seen.filter(pl.struct("USUBJID", section.visit).is_duplicated())
    if doubled.height:
        raise DataError(
            f"analysis {context.analysis.id}: {doubled['USUBJID'][0]} has more than one record at "
            f"{section.visit} {doubled[section.visit][0]:g}",
            hint="see where: in the plan",
        )
    if section.log:
        low = seen.filter((pl.col(section.value) <= 0) | (pl.col(section.baseline) <= 0))
        if low.height:
            raise DataError(
                f"analysis {context.analysis.id}: {low['USUBJID'][0]} has a value or baseline that is not positive",
                hint="log: true needs positive numbers",
            )
        seen = seen.with_columns((pl.col(section.value) / pl.col(section.baseline)).log().alias(section.value))
    stayed = seen.filter(pl.col(section.visit) >= section.observed_to)["USUBJID"].unique()
    return seen.filter(pl.col("USUBJID").is_in(stayed.to_list()))


def _weeks(context: Prepared, section: CarriedForwardSection, seen: pl.DataFrame) -> list[float]:
    visits = seen[section.visit].cast(pl.Float64).unique().sort().to_list()
    if not visits:
        raise EstimationError("nobody has a value after baseline")
    absent = [w for w in section.weeks or () if w not in visits]
    if absent:
        raise DataError(
            f"analysis {context.analysis.id}: no visit at week {absent[0]:g}",
            hint="visits are at weeks " + ", ".join(f"{v:g}" for v in visits),
        )
    return list(section.weeks or visits[-1:])


def estimates(context: Prepared, section: CarriedForwardSection) -> Found:
    """LS means of the arms and their differences from control at each week, and how many took part.

    Raises
    ------
    DataError : a variable is not there or no number, a visit is not there, or a patient has two records at one.
    """
    seen = _records(context, section)
    numbers: dict[Place, Estimate] = {}
    for week in _weeks(context, section, seen):
        last = (
            seen.filter(pl.col(section.visit) <= week)
            .sort(section.visit, maintain_order=True)
            .group_by("USUBJID", maintain_order=True)
            .last()
            .rename({section.value: _LAST})
            .drop_nulls(list(section.covariates))
        )
        numbers |= _at(context, section, in_order(context, last), week)
    return Found(numbers)


def _at(context: Prepared, section: CarriedForwardSection, last: pl.DataFrame, week: float) -> dict[Place, Estimate]:
    from equipoise.estimate.linear.ancova import ancova

    arm, visit = context.treatment, f"Week {week:g}"
    people = {a: last.filter(pl.col(arm) == a).height for a in context.arms}
    out = {Place("patients", a, visit): Estimate.of_count(f"patients, {a}", n, n) for a, n in people.items()}
    present, control = [a for a, n in people.items() if n], context.plan.treatment.reference
    if control not in present or len(present) < 2:
        raise EstimationError(f"fewer than two arms have values up to week {week:g}")
    try:
        fit = ancova(" + ".join([f"{_LAST} ~ {quoted(arm)}", *map(quoted, section.covariates)]), last)
    except DataError as error:
        raise EstimationError(error.message, hint=error.hint) from None
    estimator = "ANCOVA" if section.covariates else "ANOVA"
    mean, difference, _ = names(section)
    scale = "geometric mean ratio to baseline" if section.log else "mean change"
    for row in fit.lsmeans(arm, level=section.level).to_frame().iter_rows(named=True):
        ok = fit.status is Status.OK
        out[Place(mean, str(row[arm]), visit)] = Estimate.from_t(
            f"{row[arm]} at week {week:g}",
            f"{estimator}, last observation carried forward",
            row["estimate"],
            row["se"] if ok else float("nan"),
            float(fit.df),
            fit.n,
            level=section.level,
            ratio=section.log,
            scale=scale,
            status=fit.status,
            detail=None if ok else fit.reason,
        )
    compared = fit.contrasts(arm, against=control, level=section.level, ratio=section.log)
    found = {e.name: e for e in compared.estimates}
    for one in others(context):
        named = f"{one} / {control}" if section.log else f"{one} - {control}"
        if named in found:
            out[Place(difference, one, visit)] = found[named]
    return out


def lines(context: Prepared, section: CarriedForwardSection, found: Found) -> Block:
    """Patients, LS means, differences and p-values at each week."""
    numbers, log = found.numbers, section.log
    visits = list(dict.fromkeys(p.visit for p in numbers))
    percent, rows = f"{100 * section.level:g}%", []
    named: list[tuple[str, Estimate]] = []
    mean, difference, _ = names(section)
    form = "{estimate:2} ({low:2}; {high:2})" if log else "{estimate:2} ({se:2})"
    spread = f"({percent} CI)" if log else "(SE)"

    def at(quantity: str, visit: str | None) -> dict[str, Any]:
        return {str(p.arm): e for p, e in numbers.items() if (p.quantity, p.visit) == (quantity, visit)}

    for visit in visits:
        several = len(visits) > 1
        if several:
            rows.append(Row(str(visit), {}))
        where = "" if several else f", {str(visit).lower()}"
        compared = at(difference, visit)
        made = [
            counts(f"Patients{where}", {a: int(e.estimate) for a, e in at("patients", visit).items()}),
            by_arm(f"{'Geometric mean ratio' if log else 'LS mean'} {spread}", at(mean, visit), form),
            against(context, f"{'Ratio' if log else 'Difference of LS means'} {spread}", compared, form),
            *([] if log else [against(context, f"{percent} CI", compared, "{low:2}; {high:2}")]),
            against(context, "p-value", compared, P),
        ]
        rows += [Row(r.label, r.cells, r.contrast, int(several)) for r in made]
        named += [(f"{arm} at {str(visit).lower()}", e) for arm, e in compared.items()]
    seen = f"; seen in week {section.observed_to:g} or later" if section.observed_to else ""
    with_ = f"ANCOVA with {', '.join(section.covariates)}" if section.covariates else "ANOVA"
    ratio = "; ratios of geometric means to baseline" if log else ""
    return Block(
        section.label or "Last observation carried forward",
        "carried_forward",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=f"the last value after baseline carried forward{seen}; {with_}{ratio}",
        notes=(*((section.note,) if section.note else ()), *reasons(named)),
    )


def names(section: CarriedForwardSection) -> Names:
    """The quantities of a section."""
    return Names("geometric_mean_ratio", "ratio") if section.log else Names()


# --- many trials ----------------------------------------------------------------------------------------------------


def form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernel does of a section."""
    section: Any = analysis.sections[place - 1]
    of, own = forms.of_outcome(analysis), forms.covariates(analysis, section.covariates, section.log)
    if of is None or own is None or not forms.plain_value(section):
        return None
    if not forms.only(section, "value", "covariates", "log", "observed_to"):
        return None
    how = {"covariates": own, "log": section.log, "observed_to": section.observed_to}
    return forms.lowered(analysis, {"kind": "carried_forward", **of, **how}, {"ancova": place})


def block(trials: Trials, analysis: Analysis, found: Lowered) -> dict[Key, TrialEstimates]:
    """Least squares at every visit on the last value seen after baseline, on every trial of a block."""
    from equipoise.estimate.missing.kernels import mi_ancova as kernel

    asked, place = found.form, found.places["ancova"]
    assert isinstance(asked, CarriedForward)
    section: Any = analysis.sections[place - 1]
    weeks, y = change_from_baseline(trials, asked.variable, asked.week, log=asked.log)
    seen = ~np.isnan(y)
    who = trials.members(asked.set) & (seen & (weeks >= asked.observed_to)).any(axis=2)
    x = columns(trials, asked.covariates, asked.variable, asked.log)
    last = np.maximum.accumulate(np.where(seen, np.arange(len(weeks)), -1), axis=2)
    filled = np.take_along_axis(y, np.maximum(last, 0), axis=2)
    filled[last < 0] = np.nan
    out: dict[Key, TrialEstimates] = {}
    for v, week in enumerate(weeks):
        one, took_part = filled[:, :, v : v + 1], who & (last[:, :, v] >= 0)
        # nothing is missing, so that nothing is imputed
        made, _, code, _, _ = kernel.mi_ancova(one, took_part, x[:, :, :1], x, n_imputations=2)
        key = Key("", analysis=analysis.id, section=place, visit=f"Week {week:g}")
        out |= of_arms(trials, made[:, 0, 0], code[:, 0, 0], key, names(section), ratio=asked.log, level=section.level)
        for a, arm in enumerate(trials.arms):
            n = (took_part & (trials.arm == a)).sum(axis=1)
            out[replace(key, quantity="patients", arm=arm)] = TrialEstimates.of_count(n)
    return out


def written(asked: AnyForm) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A form as a section."""
    assert isinstance(asked, CarriedForward)
    own = forms.written_covariates(asked.covariates, asked.log)
    logged = {"value": "AVAL", "log": True} if asked.log else {}
    seen = {"observed_to": asked.observed_to} if asked.observed_to else {}
    head = dict(forms.LOG_BASELINE) if "LBASE" in own else {}
    return head, [{"method": "carried_forward", **logged, "covariates": own, **seen}]


METHODS = (
    Method(
        "carried_forward",
        CarriedForwardSection,
        estimates,
        lines,
        "Analysis of the last observation carried forward",
        noted=True,
        tests=(Test("difference", "more"), Test("ratio", "more")),
        kernel=Kernel(form, block, names, written),
    ),
)
