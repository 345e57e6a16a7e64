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
from pydantic import Field, ValidationError, field_validator, model_validator

from equipoise.errors import ScenarioError
from equipoise.plan.estimand import Estimand, contradictions
from equipoise.plan.methods import REGISTRY
from equipoise.plan.methods.other_tests import Picked
from equipoise.plan.parts import Gather, Population, Section, Show, Strict, Treatment, Where, check_where, condition

__all__ = ["Analysis", "Plan", "condition", "dump_plan", "parse_plan", "read_plan"]

MAX_PLAN_BYTES = 4 << 20
_STYLED = ("statistics", "lsmeans", "contrasts")

if TYPE_CHECKING:
    AnySection: TypeAlias = Section
else:
    AnySection = Annotated[Union[tuple(e.section for e in REGISTRY.values())], Field(discriminator="method")]  # noqa: UP007


class Analysis(Strict):
    """One table: whom it counts (population), what it reads (data set, parameter, records) and its sections.

    ``gather`` brings values of other data sets to the subjects: ``{DTHWK: {dataset: ADTTE, parameter: DEATH}}``.
    ``derive`` adds variables to the records, ``{LBASE: {log: BASE}}``; covariates then have their mean on that scale.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str
    population: str
    dataset: str = "ADSL"
    parameter: str | None = None
    where: Where = Field(default_factory=dict)
    gather: dict[str, Gather] = Field(default_factory=dict)
    derive: dict[str, dict[Literal["log", "log2", "log10", "sqrt"], str]] = Field(default_factory=dict)
    total: bool = False
    sections: tuple[AnySection, ...] = Field(min_length=1)
    footnotes: tuple[str, ...] = ()
    purpose: Literal["primary", "secondary", "exploratory"] = "secondary"
    reason: Literal[
        "SPECIFIED IN PROTOCOL", "SPECIFIED IN SAP", "DATA DRIVEN", "REQUESTED BY REGULATORY AGENCY"
    ] = "SPECIFIED IN SAP"  # fmt: skip
    estimand: Estimand | str | None = None

    _where = field_validator("where")(check_where)

    @field_validator("derive")
    @classmethod
    def _one_function(cls, derive: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for name, made in derive.items():
            if len(made) != 1 or not name.isidentifier():
                raise ValueError(f"derive {name}: one function of one variable is meant, {{LBASE: {{log: BASE}}}}")
        return derive

    @model_validator(mode="after")
    def _one_kind_of_columns(self) -> Analysis:
        first = self.sections[0].columns()
        other = next((s for s in self.sections[1:] if s.columns() != first), None)
        if other is not None:
            own = self.sections[0] if first is not None else other
            raise ValueError(f"a {own.kind} section has columns of its own: give it an analysis of its own")
        return self

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
            raise ValueError(
                f"{where}: the estimand is about population {asked.population!r}, the analysis about "
                f"{analysis.population!r}"
            )
        does = {**_left_out(asked, {**analysis.where, **section.where}), **section.does()}
        wrong = contradictions(asked, method, does=does, called=f"the {section.kind} section")
        if wrong:
            raise ValueError(f"{where} does not answer its estimand. " + " ".join(wrong))


class Plan(Strict):
    """The whole plan. ``populations`` are named by short keys (``ITT``), which the analyses use.

    ``styles`` names lists of lines, so that a section may say ``statistics: continuous`` for one of them.
    """

    study: str
    title: str = ""
    source: str | None = None
    treatment: Treatment
    populations: dict[str, Population] = Field(min_length=1)
    styles: dict[str, tuple[Show, ...]] = Field(default_factory=dict)
    analyses: tuple[Analysis, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _styled(cls, raw: Any) -> Any:
        """Sections with the lines of the style they name."""
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

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        ids = [a.id for a in self.analyses]
        if len(set(ids)) < len(ids):
            raise ValueError("two analyses have the same id")
        for analysis in self.analyses:
            if analysis.population not in self.populations:
                known = ", ".join(self.populations)
                raise ValueError(f"analysis {analysis.id}: unknown population {analysis.population!r}; known: {known}")
            for section in analysis.sections:
                for row in getattr(section, "rows", None) or ():
                    for arm in (row.arm, row.versus):
                        if arm is not None and arm not in self.treatment.arms:
                            raise ValueError(f"analysis {analysis.id}, {row.label!r}: unknown arm {arm!r}")
            _answers_what_it_asks(analysis)
        self._refers_to_what_is_there()
        return self

    def _refers_to_what_is_there(self) -> None:
        known = {a.id: a for a in self.analyses}
        for analysis in self.analyses:
            for one in analysis.refers():
                where = f"analysis {analysis.id}: of: {one.of}"
                if one.of not in known:
                    raise ValueError(f"{where}: there is no such analysis; there are {', '.join(known)}")
                if one.section > len(known[one.of].sections):
                    raise ValueError(f"{where} has {len(known[one.of].sections)} sections, no section {one.section}")
                if one.arm is not None and one.arm not in self.treatment.arms:
                    raise ValueError(f"{where}: unknown arm {one.arm!r}")
        try:
            self.in_turn()
        except CycleError as error:
            round_trip = " of ".join(reversed(error.args[1]))
            raise ValueError(f"analyses refer to each other in a circle: {round_trip}") from None

    def reads(self) -> dict[str, frozenset[str] | None]:
        """Data set -> the parameters that the plan reads, None for all; data sets not here are not read."""
        found: dict[str, frozenset[str] | None] = {}
        named = [(a.dataset, a.parameter) for a in self.analyses]
        named += [(g.dataset, g.parameter) for a in self.analyses for g in a.gather.values()]
        for dataset, parameter in named:
            name = dataset.upper()
            before = found.get(name, frozenset())
            found[name] = None if parameter is None or before is None else before | {parameter}
        return found

    def needs(self) -> frozenset[str]:
        """The data sets that the plan reads, with ADSL."""
        return frozenset({"ADSL", *self.reads()})

    def in_turn(self) -> tuple[Analysis, ...]:
        """The analyses in an order in which each comes after those that it refers to."""
        known = {a.id: a for a in self.analyses}
        graph = {a.id: [one.of for one in a.refers()] for a in self.analyses}
        return tuple(known[id] for id in TopologicalSorter(graph).static_order())


def read_plan(path: str | Path) -> Plan:
    """Read and check a plan.

    Raises
    ------
    ScenarioError : no such file, not YAML, or not a plan; each mistake is named with its place.
    """
    path = Path(path)
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name that no file system takes
        there = False
    if not there:
        raise ScenarioError(f"no plan {str(path)[:200]}", hint="equipoise analyse --init FOLDER writes one")
    if path.stat().st_size > MAX_PLAN_BYTES:
        raise ScenarioError(f"{path.name}: {path.stat().st_size} bytes", hint="a plan is a page or two of YAML")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{path.name}: not UTF-8 text", hint="save the plan as UTF-8") from None
    return parse_plan(text, path.name)


class _NoAlias(yaml.SafeLoader):
    """YAML without aliases (a plan needs none, and nested ones expand without bound); yes, no, on, off are text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way of configuring a loader
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)


def parse_plan(text: str, source: str = "plan") -> Plan:
    """A plan from YAML text; see :func:`read_plan`."""
    try:
        raw = yaml.load(text, Loader=_NoAlias)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ScenarioError(f"{source}: not YAML ({said[:200]})", hint="check indentation, colons and quotes") from None
    if not isinstance(raw, dict):
        raise ScenarioError(
            f"{source}: not a plan", hint="a plan is a mapping with study, treatment, populations, analyses"
        )
    try:
        return Plan.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(p) for p in e['loc']) or 'plan'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()[:8]
        ]
        raise ScenarioError(f"{source}: not a plan:\n  " + "\n  ".join(lines), hint="see docs/adam.md") from None


def dump_plan(plan: Plan) -> str:
    """The plan as YAML that :func:`parse_plan` reads back; defaults are left out."""
    data = plan.model_dump(mode="json", exclude_defaults=True)
    for analysis, kept in zip(plan.analyses, data["analyses"], strict=True):
        for section, entry in zip(analysis.sections, kept["sections"], strict=True):
            entry["method"] = section.kind
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return text
