"""The analysis plan of a real (or virtual) trial, as read from YAML: which records, which model, which contrasts.

A plan names a study, its treatment variable and arms, its populations, and a list of analyses. Each analysis is one
table: a population, a data set, the records it uses (``where``), the estimand it is about, and its sections, each with
a ``method`` of :data:`equipoise.plan.methods.REGISTRY` (``docs/adam.md`` lists them).

Conditions (``where``) are mappings of a variable to a value, a list of values, ``null`` for missing, or comparisons
such as ``{ge: 18, lt: 65}`` or ``{not: LOCF}``; all of them have to hold. Nothing in a plan is ever executed.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

import yaml
from pydantic import Field, field_validator, model_validator

from equipoise.errors import ScenarioError
from equipoise.files import Document, Frozen, PlaceError, parse_yaml, read_yaml, validate
from equipoise.plan.estimand import Estimand, contradictions
from equipoise.plan.methods import REGISTRY
from equipoise.plan.methods.other_tests import Picked
from equipoise.plan.parts import (
    ComparedSection,
    Gather,
    OwnTreatment,
    Population,
    Section,
    Show,
    Treatment,
    Where,
    condition,
)
from equipoise.plan.tests_in_order import in_order

__all__ = ["Analysis", "Plan", "analysis_data", "condition", "dump_plan", "parse_plan", "plan_data", "read_plan"]

_STYLED = ("statistics", "lsmeans", "contrasts")

if TYPE_CHECKING:
    AnySection: TypeAlias = Section
else:
    AnySection = Annotated[Union[tuple(e.section for e in REGISTRY.values())], Field(discriminator="method")]  # noqa: UP007


Function = Literal["log", "log2", "log10", "sqrt", "negative", "difference", "ratio", "percent_change"]
OF_TWO = ("difference", "ratio", "percent_change")


class Analysis(Frozen):
    """One table: whom it counts (population), what it reads (data set, parameter, records) and its sections.

    ``gather`` brings values of other data sets to the subjects: ``{DTHWK: {dataset: ADTTE, parameter: DEATH}}``.
    ``derive`` adds variables to the records, ``{LBASE: {log: BASE}}``; covariates then have their mean on that scale.
    ``{GAIN: {negative: CHG}}`` is for methods that want higher values to be better. Of two variables there are
    ``difference``, ``ratio`` and ``percent_change`` (from the second): ``{PCHG: {percent_change: [AVAL, BASE]}}``.
    ``treatment`` says what is another here than in the plan: the actual treatment, other arms, arms pooled. ``by``:
    every section is carried out for each value of these variables of the records, in their order; ``parameters``
    names several parameters, or ``all``, each such a group. ``pages``: each group, or without groups each section,
    begins a page.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    population: str
    dataset: str = "ADSL"
    parameter: str | None = None
    parameters: tuple[str, ...] | Literal["all"] | None = None
    by: tuple[str, ...] = ()
    pages: bool = False
    treatment: OwnTreatment | None = None
    where: Where = Field(default_factory=dict)
    gather: dict[str, Gather] = Field(default_factory=dict)
    derive: dict[str, dict[Function, str | tuple[str, str]]] = Field(default_factory=dict)
    total: bool = False
    sections: tuple[AnySection, ...] = Field(min_length=1)
    footnotes: tuple[str, ...] = ()
    purpose: Literal["primary", "secondary", "exploratory"] = "secondary"
    reason: Literal["SPECIFIED IN PROTOCOL", "SPECIFIED IN SAP", "DATA DRIVEN", "REQUESTED BY REGULATORY AGENCY"] = (
        "SPECIFIED IN SAP"
    )
    estimand: Estimand | str | None = None

    @field_validator("derive")
    @classmethod
    def _one_function(cls, derive: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, made in derive.items():
            if len(made) != 1 or not name.isidentifier():
                raise ValueError(f"derive {name}: one function of one variable is meant, {{LBASE: {{log: BASE}}}}")
            ((function, of),) = made.items()
            if (function in OF_TWO) == isinstance(of, str):
                meant = "two variables, [AVAL, BASE]" if function in OF_TWO else "one variable"
                raise ValueError(f"derive {name}: {function} is of {meant}")
        return derive

    @model_validator(mode="after")
    def _one_kind_of_columns(self) -> Analysis:
        first = self.sections[0].columns()
        other = next((s for s in self.sections[1:] if s.columns() != first), None)
        if other is not None:
            own = self.sections[0] if first is not None else other
            raise ValueError(f"a {own.kind} section has columns of its own: give it an analysis of its own")
        return self

    @model_validator(mode="after")
    def _one_way_to_parameters(self) -> Analysis:
        if self.parameter is not None and self.parameters is not None:
            raise ValueError("parameter is one and parameters are several: give one of the two")
        if self.grouped and self.sections[0].columns() is not None and not self.sections[0].READS_ALL:
            raise ValueError(f"a {self.sections[0].kind} section has columns of its own and goes without groups (by:)")
        return self

    @property
    def reads_all(self) -> bool:
        """Whether its sections read records of every parameter together (listings do), or group them themselves."""
        return "PARAMCD" in self.by or "PARAM" in self.by or all(s.READS_ALL for s in self.sections)

    @property
    def grouped(self) -> bool:
        """Whether its sections are carried out for each of several groups of records."""
        return bool(self.by) or self.parameters is not None

    def refers(self) -> tuple[Picked, ...]:
        """The tests of other analyses that its sections take up."""
        return tuple(one for section in self.sections for one in section.refers())


_STOPPED = re.compile(r"discontinu|(stop|end|withdraw)\w* .*(treatment|drug|dose|therapy)", re.IGNORECASE)


def _left_out(asked: Estimand, where: Where) -> dict[str, str]:
    """Stopping treatment -> dropped, where conditions keep records on treatment (ADaM's ONTRTFL) alone."""
    if where.get("ONTRTFL") not in ("Y", ["Y"], {"eq": "Y"}):
        return {}
    return {e.event: "dropped" for e in asked.intercurrent_events if _STOPPED.search(e.event)}


def _answers_what_it_asks(analysis: Analysis) -> None:
    """Raise ``ValueError`` where a section does not estimate the estimand that is stated for it."""
    for number, section in enumerate(analysis.sections, start=1):
        asked, method = section.estimand or analysis.estimand, section.estimates()
        if not isinstance(asked, Estimand) or method is None:
            continue
        where = f"analysis {analysis.id}, section {number} ({section.kind})"
        if asked.population != analysis.population:
            raise PlaceError(
                f"{where}: the estimand is about population {asked.population!r}, the analysis about "
                f"{analysis.population!r}",
                *("sections", number - 1),
            )
        does = {**_left_out(asked, {**analysis.where, **section.where}), **section.does()}
        wrong = contradictions(asked, method, does=does, called=f"the {section.kind} section")
        if wrong:
            raise PlaceError(f"{where} does not answer its estimand. " + " ".join(wrong), "sections", number - 1)


def styled(raw: Any) -> Any:
    """A plan as plain data, its sections with the lines of the style they name."""
    if not isinstance(raw, dict) or not isinstance(raw.get("styles"), dict):
        return raw
    styles, analyses = raw["styles"], []
    for analysis in raw.get("analyses") or ():
        if isinstance(analysis, dict) and isinstance(analysis.get("sections"), list):
            sections = [
                {k: styles.get(v, v) if k in _STYLED and isinstance(v, str) else v for k, v in section.items()}
                if isinstance(section, dict)
                else section
                for section in analysis["sections"]
            ]
            analysis = {**analysis, "sections": sections}
        analyses.append(analysis)
    return {**raw, "analyses": analyses}


class Plan(Frozen):
    """The whole plan. ``populations`` are named by short keys (``ITT``), which the analyses use.

    ``styles`` names lists of lines, so that a section may say ``statistics: continuous`` for one of them. ``order``:
    the tests in the order in which they are made, each at ``alpha`` and formal only where all before it were
    significant; an entry is ``ANALYSIS.METHOD``. ``levels``: the order of the levels of variables, ``{AESEV: [MILD,
    MODERATE, SEVERE]}``, for every table, model and condition (``{AESEV: {ge: MODERATE}}``).
    """

    study: str
    title: str = ""
    source: str | None = None
    treatment: Treatment
    populations: dict[str, Population] = Field(min_length=1)
    styles: dict[str, tuple[Show, ...]] = Field(default_factory=dict)
    gather: dict[str, Gather] = Field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    analyses: tuple[Analysis, ...] = Field(min_length=1)
    order: tuple[str, ...] = ()

    _styled = model_validator(mode="before")(lambda raw: styled(raw))

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        ids: set[str] = set()
        doubled = next((name for name, given in self.levels.items() if len(set(given)) < len(given)), None)
        if doubled is not None:
            raise PlaceError(f"levels {doubled}: a level is listed twice", "levels", doubled)
        taken = next((name for name in self.gather if name in ("AVAL", "BASE", "CHG")), None)
        if taken is not None:
            raise PlaceError(f"gather {taken}: records have a variable of that name: choose another", "gather")
        for number, analysis in enumerate(self.analyses):
            twice = [name for name in analysis.gather if name in self.gather]
            if twice:
                where = f"analysis {analysis.id}: gather {twice[0]} is one of the plan already"
                raise PlaceError(f"{where}: choose another name", "analyses", number, "gather")
        for number, analysis in enumerate(self.analyses):
            here = ("analyses", number)
            if analysis.id in ids:
                raise PlaceError(f"two analyses have the same id, {analysis.id}", *here, "id")
            ids.add(analysis.id)
            if analysis.population not in self.populations:
                known = ", ".join(self.populations)
                raise PlaceError(
                    f"analysis {analysis.id}: unknown population {analysis.population!r}; known: {known}",
                    *here,
                    "population",
                )
            try:
                arms = self.treatment_of(analysis).arms
            except ValueError as error:
                said = re.sub(r"^.*?Value error, | \[type=.*$", "", str(error), flags=re.DOTALL)
                raise PlaceError(f"analysis {analysis.id}: treatment: {said}", *here, "treatment") from None
            for place, section in enumerate(analysis.sections):
                for key in ("arm", "versus") if isinstance(section, ComparedSection) else ():
                    arm = getattr(section, key)
                    if arm is not None and arm not in arms:
                        raise PlaceError(
                            f"analysis {analysis.id}, section {place + 1}: unknown arm {arm!r}; arms are "
                            + ", ".join(arms),
                            *here,
                            *("sections", place, key),
                        )
                for line, row in enumerate(getattr(section, "rows", None) or ()):
                    for key in ("arm", "versus"):
                        arm = getattr(row, key)
                        if arm is not None and arm not in arms:
                            raise PlaceError(
                                f"analysis {analysis.id}, {row.label!r}: unknown arm {arm!r}",
                                *here,
                                *("sections", place, "rows", line, key),
                            )
            try:
                _answers_what_it_asks(analysis)
            except PlaceError as error:
                raise PlaceError(str(error), *here, *error.place) from None
        self._refers_to_what_is_there()
        try:
            self.tested_in_order()
        except ValueError as error:
            raise PlaceError(str(error), "order") from None
        return self

    def _refers_to_what_is_there(self) -> None:
        known = {a.id: a for a in self.analyses}
        for number, analysis in enumerate(self.analyses):
            for one in analysis.refers():
                where = f"analysis {analysis.id}: of: {one.of}"
                wrong = None
                if one.of not in known:
                    wrong = f"{where}: there is no such analysis; there are {', '.join(known)}"
                elif one.section > len(known[one.of].sections):
                    wrong = f"{where} has {len(known[one.of].sections)} sections, no section {one.section}"
                elif known[one.of].grouped:
                    wrong = f"{where} has several groups (by: or parameters:); a test of one is meant"
                elif one.arm is not None and one.arm not in self.treatment_of(known[one.of]).arms:
                    wrong = f"{where}: unknown arm {one.arm!r}"
                if wrong is not None:
                    raise PlaceError(wrong, "analyses", number)
        try:
            self.in_turn()
        except CycleError as error:
            round_trip = " of ".join(reversed(error.args[1]))
            raise ValueError(f"analyses refer to each other in a circle: {round_trip}") from None

    def treatment_of(self, analysis: Analysis) -> Treatment:
        """The treatment variable and arms of an analysis."""
        return self.treatment.changed(analysis.treatment)

    def tested_in_order(self) -> Analysis | None:
        """The order of its tests as an analysis; None where the plan has none."""
        return Analysis.model_validate(in_order(self.analyses, self.order, self.alpha)) if self.order else None

    def reads(self) -> dict[str, frozenset[str] | None]:
        """Data set -> the parameters that the plan reads, None for all; data sets not here are not read."""
        found: dict[str, frozenset[str] | None] = {}
        named = [(a.dataset, p) for a in self.analyses for p in _parameters(a)]
        every = [*self.gather.values(), *(g for a in self.analyses for g in a.gather.values())]
        named += [(g.dataset, g.parameter) for g in every]
        for dataset, parameter in named:
            name = dataset.upper()
            before = found.get(name, frozenset())
            found[name] = None if parameter is None or before is None else before | {parameter}
        return found

    def needs(self) -> frozenset[str]:
        """The data sets that the plan reads, with ADSL."""
        return frozenset({"ADSL", *self.reads()})

    def place(self, *path: str | int) -> str:
        """Where a part of the plan is, ``plan.yaml, line 12``; empty for a plan that was not read from text."""
        document = self.__dict__.get("_document")  # beside the fields: where it was read is no part of what it says
        return document.place(*path) if isinstance(document, Document) else ""

    def place_of(self, analysis: Analysis, section: int | None = None) -> str:
        """Where an analysis, or one of its sections (from 0), is; the order of tests counts as an analysis."""
        number = next((k for k, one in enumerate(self.analyses) if one is analysis), None)
        if number is None:
            return self.place("order") if self.order else ""
        return self.place("analyses", number, *(() if section is None else ("sections", section)))

    def in_turn(self) -> tuple[Analysis, ...]:
        """The analyses in an order in which each comes after those that it refers to."""
        known = {a.id: a for a in self.analyses}
        graph = {a.id: [one.of for one in a.refers()] for a in self.analyses}
        return tuple(known[id] for id in TopologicalSorter(graph).static_order())


def _parameters(analysis: Analysis) -> tuple[str | None, ...]:
    """The parameters that an analysis reads, None for all."""
    several = analysis.parameters
    return several if isinstance(several, tuple) else (None if several == "all" else analysis.parameter,)


def read_plan(path: str | Path) -> Plan:
    """Read and check a plan.

    Raises
    ------
    ScenarioError : no such file, not YAML, or not a plan; each mistake is named with its place.
    """
    return _plan(read_yaml(path, error=ScenarioError, what="a plan", hint=_HELP))


_HELP = "see docs/adam.md; equipoise analyse --init FOLDER writes one to start from"


def parse_plan(text: str, source: str = "plan") -> Plan:
    """A plan from YAML text; see :func:`read_plan`."""
    return _plan(parse_yaml(text, source, error=ScenarioError, hint=_HELP))


def _plan(document: Document) -> Plan:
    plan = validate(Plan, document, error=ScenarioError, what="not a plan", hint=_HELP)
    plan.__dict__["_document"] = document
    return plan


def analysis_data(analysis: Analysis) -> dict[str, Any]:
    """An analysis as plain data that reads back as the same; defaults are left out."""
    data = analysis.model_dump(mode="json", exclude_defaults=True)
    data["sections"] = [
        {"method": section.kind, **section.model_dump(mode="json", exclude_defaults=True)}
        for section in analysis.sections
    ]
    return data


def plan_data(plan: Any) -> dict[str, Any]:
    """A plan, or that of a scenario, as plain data that reads back as the same; defaults are left out."""
    data: dict[str, Any] = plan.model_dump(mode="json", exclude_defaults=True)
    return {**data, "analyses": [analysis_data(a) for a in plan.analyses]}


def dump_plan(plan: Plan) -> str:
    """The plan as YAML that :func:`parse_plan` reads back; defaults are left out."""
    text: str = yaml.safe_dump(plan_data(plan), sort_keys=False, allow_unicode=True, width=100)
    return text
