"""Sections of a plan that a kernel for many trials covers, and that kernel's form; and forms written as sections.

A form is found where the sections say exactly what the kernel does; anything else about them (labels, notes, what is
shown) changes no number. Where a section asks for more, it is carried out trial by trial instead.

==================  ==================================================================================================
form                sections
==================  ==================================================================================================
Repeated            ``mi_ancova``, and ``joint_rank`` on the same imputations
CarriedForward      ``carried_forward``
MixedModel          ``mmrm`` with the formula ``CHG ~ TRT01P * AVISIT + BASE * AVISIT ...``; ``clda`` without covariates
Slopes              ``slope`` per month, all covariates by time
TimeToEvent         ``survival``: log-rank; Fleming-Harrington with rho 1 (Peto & Peto's Wilcoxon test); Cox where there
                    are no strata
==================  ==================================================================================================

Analyses of outcomes read ADEFF up to a week, ``where: {AVISITN: {le: 28}}``; times are cut by ``up_to``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from equipoise.plan import end_points
from equipoise.plan.analysis_plan import Analysis
from equipoise.plan.compiled import FORM_NAMES, AnyForm, CarriedForward, MixedModel, Repeated, Slopes, TimeToEvent
from equipoise.plan.parts import Section
from equipoise.types import WEEKS_PER_MONTH

DEATH = {
    "DTHWK": {"dataset": "ADTTE", "parameter": "DEATH"},
    "DTHCN": {"dataset": "ADTTE", "parameter": "DEATH", "variable": "CNSR"},
}
"""Time of death and its censoring brought to the subjects, as a joint rank test reads them."""

_SHOWN = (
    "method",
    "label",
    "note",
    "figure",
    "estimand",
    "handles",
    "level",
    "decimals",
    "unit",
    "axis_from",
    "scale",
    "lsmeans",
    "contrasts",
    "rows",
    "weeks",
    "visits",
    "at",
)
"""What a section says of its looks alone."""


class Lowered(NamedTuple):
    """A form and the sections (from 1) that it covers."""

    form: AnyForm
    sections: frozenset[int]


def lower(analysis: Analysis) -> Lowered | None:
    """The form that a kernel carries out of an analysis; None where its sections have none."""
    if analysis.dataset.upper() == "ADTTE":
        return _times(analysis)
    if analysis.dataset.upper() != "ADEFF" or analysis.parameter is None:
        return None
    for place, section in enumerate(analysis.sections, start=1):
        read = _READERS.get(section.kind)
        found = None if read is None or section.where else read(analysis, section)
        if found is None:
            continue
        try:
            form = TypeAdapter[AnyForm](AnyForm).validate_python({**_about(analysis), **found})
        except ValidationError:
            continue
        covered = {place}
        if isinstance(form, Repeated):
            also = next((k for k, s in enumerate(analysis.sections, start=1) if _ranks(analysis, form, s)), None)
            if also is not None:
                form, covered = form.model_copy(update={"joint_rank": True}), {place, also}
        return Lowered(form, frozenset(covered))
    return None


def _about(analysis: Analysis) -> dict[str, Any]:
    return {
        "id": analysis.id,
        "set": analysis.population,
        "variable": analysis.parameter,
        "prespecified": analysis.reason != "DATA DRIVEN",
    }


def _only(section: Section, *read: str) -> bool:
    """Whether a section says nothing beyond ``read`` and its looks."""
    fields = type(section).model_fields
    return all(
        getattr(section, name) == field.get_default(call_default_factory=True, validated_data={})
        for name, field in fields.items()
        if name not in _SHOWN and name not in read
    )


def _week(analysis: Analysis, *, after_baseline: bool = False) -> float | None:
    """The last week of the records; None where conditions say anything else."""
    bounds = analysis.where.get("AVISITN")
    if set(analysis.where) != {"AVISITN"} or not isinstance(bounds, Mapping) or "le" not in bounds:
        return None
    rest = {k: v for k, v in bounds.items() if k != "le"}
    week = bounds["le"]
    return float(week) if rest == ({"gt": 0} if after_baseline else {}) and isinstance(week, int | float) else None


def _own(analysis: Analysis, names: tuple[str, ...], log: bool) -> tuple[str, ...] | None:
    """Covariates as the kernel names them: LBASE, the logarithm of the baseline, is its BASE; None where one is not."""
    made = {"LBASE": {"log": "BASE"}}
    if {k: v for k, v in analysis.derive.items() if k in names} != ({k: made[k] for k in names if k in made}):
        return None
    if ("BASE" if log else "LBASE") in names:
        return None
    return tuple("BASE" if n == "LBASE" else n for n in names)


def _value(section: Any) -> bool:
    """Whether the values are the changes from baseline, or with ``log`` the values as they are."""
    return bool(section.value == ("AVAL" if section.log else "CHG"))


def _repeated(analysis: Analysis, section: Any) -> dict[str, Any] | None:
    read = ("value", "covariates", "impute_with", "log", "imputations", "burn_in")
    helpers = section.covariates if section.impute_with is None else section.impute_with
    covariates, helpers = (_own(analysis, names, section.log) for names in (section.covariates, helpers))
    week = _week(analysis)
    if not _only(section, *read) or not _value(section) or week is None or covariates is None or helpers is None:
        return None
    return {
        "kind": "repeated",
        "week": week,
        "covariates": covariates,
        "impute_with": helpers,
        "log": section.log,
        "imputations": section.imputations,
        "burn_in": section.burn_in,
    }


def _ranks(analysis: Analysis, form: Repeated, section: Any) -> bool:
    """Whether a section is the joint rank test on the imputations of ``form``."""
    if section.kind != "joint_rank" or section.where or form.log:
        return False
    read = ("week", "time", "censor", "covariates", "impute_with", "imputations", "burn_in")
    gathered = {k: g.model_dump(exclude_defaults=True) for k, g in analysis.gather.items()}
    helpers = section.covariates if section.impute_with is None else section.impute_with
    return (
        _only(section, *read)
        and (section.covariates, helpers) == (form.covariates, form.impute_with)
        and (section.imputations, section.burn_in, section.week) == (form.imputations, form.burn_in, form.week)
        and gathered.get(section.time) == DEATH["DTHWK"]
        and gathered.get(section.censor) == DEATH["DTHCN"]
    )


def _carried(analysis: Analysis, section: Any) -> dict[str, Any] | None:
    covariates, week = _own(analysis, section.covariates, section.log), _week(analysis)
    if not _only(section, "value", "covariates", "log", "observed_to") or not _value(section):
        return None
    if week is None or covariates is None:
        return None
    return {
        "kind": "carried_forward",
        "week": week,
        "covariates": covariates,
        "log": section.log,
        "observed_to": section.observed_to,
    }


_FORMULA = re.compile(r"^(CHG|log\(AVAL / BASE\)) ~ TRT01P \* AVISIT((?: \+ \S+ \* AVISIT)*)$")


def _mmrm(analysis: Analysis, section: Any) -> dict[str, Any] | None:
    match, week = _FORMULA.match(section.formula), _week(analysis, after_baseline=True)
    if match is None or week is None or len(section.covariance) != 1:
        return None
    if not _only(section, "formula", "covariance", "df", "exponentiate"):
        return None
    log = match[1] != "CHG"
    names = re.findall(r"\+ (\S+) \*", match[2])
    if ("BASE" in names) if log else ("log(BASE)" in names):
        return None
    covariates = tuple("BASE" if n == "log(BASE)" else n for n in names)
    return {
        "kind": "mmrm",
        "week": week,
        "log": log,
        "covariates": covariates,
        "structure": section.covariance[0],
        "df": section.df,
    }


def _clda(analysis: Analysis, section: Any) -> dict[str, Any] | None:
    week = _week(analysis)
    if week is None or section.formula not in ("AVAL ~ 1", "log(AVAL) ~ 1") or len(section.covariance) != 1:
        return None
    if section.baseline != "Week 0" or not _only(section, "formula", "baseline", "covariance", "df", "exponentiate"):
        return None
    return {
        "kind": "mmrm",
        "week": week,
        "log": section.formula != "AVAL ~ 1",
        "constrained": True,
        "structure": section.covariance[0],
        "df": section.df,
    }


def _slopes(analysis: Analysis, section: Any) -> dict[str, Any] | None:
    log = section.value == "LAVAL" and analysis.derive.get("LAVAL") == {"log": "AVAL"}
    week = _week(analysis)
    if week is None or not (log or section.value == "AVAL") or abs(section.per - WEEKS_PER_MONTH) > 1e-9:
        return None
    if not _only(section, "value", "per", "covariates_by_time", "shared_baseline", "df"):
        return None
    return {
        "kind": "slopes",
        "week": week,
        "log": log,
        "covariates": section.covariates_by_time,
        "shared_baseline": section.shared_baseline,
        "df": section.df,
    }


_READERS = {"mi_ancova": _repeated, "carried_forward": _carried, "mmrm": _mmrm, "clda": _clda, "slope": _slopes}


def kernel_test(section: Any) -> str | None:
    """The test of times that a survival section is in a kernel; None where it is none of them."""
    if section.kind != "survival" or section.where:
        return None
    if not _only(section, "strata", "covariates", "up_to", "test", "rho") or section.up_to is None:
        return None
    if section.test == "log-rank":
        return "log_rank"
    if section.test == "fleming-harrington":
        return "wilcoxon" if (section.rho, section.covariates) == (1.0, ()) else None
    return "cox" if section.test is None and not section.strata else None


def _times(analysis: Analysis) -> Lowered | None:
    event = end_points.name_of(analysis.parameter or "")
    if event not in end_points.known() or analysis.where:
        return None
    tests: dict[str, tuple[int, Any]] = {}
    for place, section in enumerate(analysis.sections, start=1):
        name = kernel_test(section)
        if name is not None:
            tests.setdefault(name, (place, section))
    if "log_rank" not in tests:
        return None
    first = tests["log_rank"][1]
    if "cox" not in tests and not first.strata:
        tests["cox"] = tests["log_rank"]
    if "cox" in tests and tests["cox"][1] is not first and first.covariates:
        return None
    if any(s.up_to != first.up_to for _, s in tests.values()):
        return None
    if "wilcoxon" in tests and tests["wilcoxon"][1].strata != first.strata:
        return None
    form = TimeToEvent.model_validate(
        {
            "id": analysis.id,
            "set": analysis.population,
            "prespecified": analysis.reason != "DATA DRIVEN",
            "week": first.up_to,
            "event": event,
            "strata": first.strata,
            "covariates": tests["cox"][1].covariates if "cox" in tests else (),
            "offers": tuple(t for t in TimeToEvent.TESTS if t in tests),
        }
    )
    return Lowered(form, frozenset(place for place, _ in tests.values()))


# --- the other way ----------------------------------------------------------------------------------------------------


def is_old(raw: Any) -> bool:
    """Whether an analysis is written as scenarios once wrote it, by ``kind``."""
    return isinstance(raw, Repeated | CarriedForward | MixedModel | Slopes | TimeToEvent) or (
        isinstance(raw, Mapping) and raw.get("kind") in FORM_NAMES
    )


def modern(raw: Any, imputations: int | None = None) -> dict[str, Any]:
    """An analysis of the old kind in the language of plans.

    ``imputations``: as the old plan gave them for all of its analyses.

    Raises
    ------
    pydantic.ValidationError : it is none. ValueError : the language has no words for it.
    """
    if isinstance(raw, Mapping):
        given = dict(raw)
        if given["kind"] == "repeated" and imputations is not None:
            given.setdefault("imputations", imputations)
        raw = TypeAdapter[AnyForm](AnyForm).validate_python(given)
    return written(raw)


def written(form: AnyForm) -> dict[str, Any]:
    """A form as an analysis of a plan, so that :func:`lower` finds it again.

    Raises
    ------
    ValueError : there is no section that says it.

    >>> from equipoise.plan.compiled import CarriedForward
    >>> made = written(CarriedForward(id="locf", set="ITT", week=24, variable="ALSFRS"))
    >>> made["where"], made["sections"]
    ({'AVISITN': {'le': 24.0}}, [{'method': 'carried_forward', 'covariates': []}])
    """
    head: dict[str, Any] = {"id": form.id, "population": form.set}
    tail: dict[str, Any] = {} if form.prespecified else {"reason": "DATA DRIVEN"}
    if isinstance(form, TimeToEvent):
        code = end_points.parameter_of(form.event)
        return {**head, "dataset": "ADTTE", "parameter": code, **tail, "sections": _survival(form)}
    bounds = {"le": form.week}
    if isinstance(form, MixedModel) and not form.constrained:
        bounds = {"gt": 0, **bounds}
    head |= {"dataset": "ADEFF", "parameter": form.variable, "where": {"AVISITN": bounds}}
    base = {"BASE": "LBASE"} if form.log else {}
    covariates = [base.get(c, c) for c in form.covariates]
    if isinstance(form, Repeated):
        helpers = [base.get(c, c) for c in form.impute_with]
        if "LBASE" in (*covariates, *helpers):
            head["derive"] = {"LBASE": {"log": "BASE"}}
        logged = {"value": "AVAL", "log": True} if form.log else {}
        how = {
            "covariates": covariates,
            "impute_with": helpers,
            "imputations": form.imputations,
            "burn_in": form.burn_in,
        }
        sections = [{"method": "mi_ancova", **logged, **how}]
        if form.joint_rank:
            if form.log:
                raise ValueError(f"{form.id}: the joint rank test is of changes alone; say log: false")
            head["gather"] = DEATH
            sections.append({"method": "joint_rank", "week": form.week, "time": "DTHWK", "censor": "DTHCN", **how})
        return {**head, **tail, "sections": sections}
    if isinstance(form, CarriedForward):
        if "LBASE" in covariates:
            head["derive"] = {"LBASE": {"log": "BASE"}}
        logged = {"value": "AVAL", "log": True} if form.log else {}
        seen = {"observed_to": form.observed_to} if form.observed_to else {}
        return {**head, **tail, "sections": [{"method": "carried_forward", **logged, "covariates": covariates, **seen}]}
    if isinstance(form, Slopes):
        value = {}
        if form.log:
            head["derive"], value = {"LAVAL": {"log": "AVAL"}}, {"value": "LAVAL"}
        section = {
            "method": "slope",
            **value,
            "per": WEEKS_PER_MONTH,
            "unit": "month",
            "covariates_by_time": covariates,
            "df": form.df,
            "shared_baseline": form.shared_baseline,
        }
        return {**head, **tail, "sections": [section]}
    how = {"covariance": [form.structure], "df": form.df, **({"exponentiate": True} if form.log else {})}
    if form.constrained:
        if covariates:
            raise ValueError(f"{form.id}: the constrained model has no covariates by visit: leave them out")
        formula = "log(AVAL) ~ 1" if form.log else "AVAL ~ 1"
        return {**head, **tail, "sections": [{"method": "clda", "formula": formula, "baseline": "Week 0", **how}]}
    names = ["log(BASE)" if c == "BASE" and form.log else c for c in form.covariates]
    formula = " + ".join(
        [f"{'log(AVAL / BASE)' if form.log else 'CHG'} ~ TRT01P * AVISIT", *(f"{n} * AVISIT" for n in names)]
    )
    return {**head, **tail, "sections": [{"method": "mmrm", "formula": formula, **how}]}


def _survival(form: TimeToEvent) -> list[dict[str, Any]]:
    strata = {"strata": list(form.strata)} if form.strata else {}
    covariates = {"covariates": list(form.covariates)} if form.covariates else {}
    together = "cox" in form.offers and not form.strata
    cut = {"up_to": form.week}
    sections: list[dict[str, Any]] = [{"method": "survival", **cut, **strata, **(covariates if together else {})}]
    if "wilcoxon" in form.offers:
        weighted = {"test": "fleming-harrington", "rho": 1, "figure": False}
        sections.append({"method": "survival", **cut, **strata, **weighted})
    if "cox" in form.offers and not together:
        sections.append({"method": "survival", **cut, **covariates, "test": None, "figure": False})
    return sections
