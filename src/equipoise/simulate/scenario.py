"""A scenario: population, disease, mechanisms, protocol and analysis plan - all that is needed to simulate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from equipoise.errors import ScenarioError
from equipoise.files import Document, Frozen, PlaceError, parse_yaml, read_yaml, validate
from equipoise.files.tree import excerpt
from equipoise.library import shipped, shipped_file
from equipoise.plan.analysis_plan import Plan, analysis_data, plan_data
from equipoise.plan.compiled import TimeToEvent, TrialByTrial
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate.diseases import DEFAULT, DiseasePackage, disease, of_parts
from equipoise.simulate.external import ExternalTrial
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.parts import Part, of_disease, reading
from equipoise.simulate.protocol import Protocol

DIFFERENCES = ("ancova", "mmrm", "clda", "slope", "mi", "mi_ancova", "carried_forward")
"""Tests of a difference of means or slopes, as they are: which side is better, the outcome says."""


class Hypothesis(Frozen):
    """One mechanism with the natural history that goes with it.

    Each mechanism was fitted on its own to the same curves, so each may need another natural history; ``groups``
    and ``disease`` hold what differs from the scenario's common values, which are those of the default mechanism.
    """

    effect: Annotated[Any, Part("effect")]
    groups: dict[str, dict[str, Any]] = Field(default_factory=dict)
    disease: dict[str, Any] = Field(default_factory=dict)


class Scenario(Frozen):
    """All that is needed to simulate a trial. Frozen: change it with :meth:`with_plan` or ``model_copy``.

    ``disease`` says which disease it is (``model``, default ``als``); ``admission``, ``groups``, ``disease`` and the
    effects of the mechanisms are then what that disease describes them by.
    """

    name: str
    record: str | None = Field(default=None, description="the record this scenario rebuilds; none for a new design")
    default_mechanism: Mechanism
    protocol: Protocol
    outcomes: dict[str, str] = Field(
        description="what the trial measured, by the name its record uses -> what it is in the simulation"
    )
    admission: dict[str, Annotated[Any, Part("admission")]] = Field(default_factory=dict)
    groups: dict[str, Annotated[Any, Part("group")]]
    disease: Annotated[Any, Part("disease")]
    mechanisms: dict[Mechanism, Hypothesis]
    adverse_events: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="event -> arm -> probability of at least one in the randomised period"
    )
    plan: AnalysisPlan
    external: tuple[ExternalTrial, ...] = Field(default=(), description="other trials of the drug, foretold as checks")
    provenance: dict[str, str] = Field(default_factory=dict, description="parameter -> how it was obtained")
    fit: dict[str, Any] = Field(default_factory=dict, description="how and when the parameters were fitted")

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_disease(cls, raw: Any, handler: Callable[[Any], Self]) -> Self:
        if isinstance(raw, Scenario):
            return handler(raw)
        package, bare = of_disease(raw)
        with reading(package):
            return handler(bare)

    @field_validator("fit")
    @classmethod
    def _counted(cls, fit: dict[str, Any]) -> dict[str, Any]:
        within = fit.get("within_one_se") or {}
        for mechanism, counted in within.items() if isinstance(within, dict) else [("within_one_se", within)]:
            if not isinstance(counted, dict) or set(counted) != {"count", "of"}:
                raise ValueError(
                    f"within_one_se.{mechanism}: found {counted!r}; how many targets lie within one standard error, "
                    "and of how many, is written {count: 128, of: 152}"
                )
        return fit

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.protocol.groups:
            if name not in self.groups:
                raise ValueError(f"groups: the protocol recruits group {name!r}, which is not described")
        for name in self.admission:
            if name not in self.protocol.groups:
                raise ValueError(f"admission: the protocol recruits no group {name!r}")
        self._known_to_the_disease()
        if self.default_mechanism not in self.mechanisms:
            raise ValueError(f"default_mechanism: {self.default_mechanism.value!r} is not among the mechanisms")
        for mechanism, hypothesis in self.mechanisms.items():
            if hypothesis.effect.mechanism is not mechanism:
                raise ValueError(f"mechanisms.{mechanism.value}: its effect says {hypothesis.effect.mechanism.value!r}")
            for name, own in hypothesis.groups.items():
                if name not in self.groups:
                    raise ValueError(f"mechanisms.{mechanism.value}.groups: unknown group {name!r}")
                _checked(self.groups[name], own, f"mechanisms.{mechanism.value}.groups.{name}")
            _checked(self.disease, hypothesis.disease, f"mechanisms.{mechanism.value}.disease")
        if not self.plan.order:
            raise ValueError("plan.order: name the primary test first, ANALYSIS.TEST")
        self.__dict__["plan"] = self.plan.for_arms(self.protocol.arms)
        known = {*self.protocol.groups, "ITT", *self.plan.populations}
        for analysis in (self.plan.analysis(a.id) for a in self.plan.analyses):
            if analysis.set not in known:
                raise ValueError(
                    f"plan.analyses.{analysis.id}: unknown set {analysis.set!r}; sets are {', '.join(sorted(known))}"
                )
            if isinstance(analysis, TrialByTrial):
                if analysis.outcome is not None and analysis.outcome not in self.outcomes:
                    raise ValueError(
                        f"plan.analyses.{analysis.id}.parameter: {analysis.outcome!r} is not measured; "
                        f"outcomes are {', '.join(self.outcomes) or 'none'}"
                    )
                continue
            if isinstance(analysis, TimeToEvent):
                if analysis.week > self.protocol.last_week:
                    raise ValueError(
                        f"plan.analyses.{analysis.id}: week {analysis.week:g} lies after the end of follow-up"
                    )
                continue
            if analysis.variable not in self.outcomes:
                raise ValueError(
                    f"plan.analyses.{analysis.id}.parameter: {analysis.variable!r} is not measured; "
                    f"outcomes are {', '.join(self.outcomes) or 'none'}"
                )
            if analysis.week not in self.protocol.visits:
                raise ValueError(f"plan.analyses.{analysis.id}: no visit at week {analysis.week:g}")
        try:
            self.whole_plan()
        except ScenarioError as error:
            raise ValueError(f"plan: {error.message}") from None
        for event, rates in self.adverse_events.items():
            for arm, rate in rates.items():
                if arm not in self.protocol.arms:
                    raise ValueError(f"adverse_events.{event}: unknown arm {arm!r}")
                if not 0 <= rate <= 1:
                    raise ValueError(f"adverse_events.{event}.{arm}: {rate:g} is not a probability")
        return self

    def _known_to_the_disease(self) -> None:
        """What is measured, stratified by and believed of the drug is what the disease knows."""
        package = self.package
        for outcome, channel in self.outcomes.items():
            if channel not in package.channels:
                raise PlaceError(f"{channel!r} is none of {', '.join(package.channels)}", "outcomes", outcome)
        for mechanism in self.mechanisms:
            if mechanism not in package.mechanisms:
                known = ", ".join(m.value for m in Mechanism if m in package.mechanisms)
                raise PlaceError(
                    f"the disease {package.name!r} has no mechanism {mechanism.value!r}; it has {known}",
                    "mechanisms",
                    mechanism.value,
                )
        strata = package.strata([self.groups[name] for name in self.protocol.groups])
        for k, name in enumerate(self.protocol.strata):
            if name not in strata:
                known = " and ".join([", ".join(strata[:-1]), strata[-1]] if len(strata) > 1 else strata)
                raise PlaceError(
                    f"strata: besides the group, randomisation can be stratified by {known or 'nothing'}",
                    "protocol",
                    "strata",
                    k,
                )
        package.check(self)

    @property
    def package(self) -> DiseasePackage:
        """The disease."""
        return of_parts(self.disease)

    def better(self, outcome: str) -> int:
        """1 where a higher value of a measured outcome, by its name here, is better; -1 where worse; 0 unknown."""
        return self.package.better(self, self.outcomes[outcome])

    def favours(self, test: str) -> int:
        """The sign of an estimate that favours the active arm, for a test named as in ``plan.order``.

        Of a time to an event that of the ln hazard ratio. 0 where that is not known here: of values that are derived,
        and of methods that have a direction of their own (ranks, wins, delayed start).
        """
        key, _, name = test.partition(".")
        form, analysis = self.plan.analysis(key), next(a for a in self.plan.analyses if a.id == key)
        if isinstance(form, TimeToEvent):
            return -1
        outcome = form.outcome if isinstance(form, TrialByTrial) else form.variable
        turned = any("negative" in made for made in analysis.derive.values())
        if name not in DIFFERENCES or turned or outcome not in self.outcomes:
            return 0
        return self.better(outcome)

    @property
    def covariates(self) -> tuple[str, ...]:
        """The baseline covariates that the virtual patients of this scenario have."""
        groups = [self.groups[name] for name in self.protocol.groups]
        return self.package.covariates(groups, self.protocol.run_in is not None)

    def under(self, mechanism: Mechanism | str) -> tuple[dict[str, Any], Any, Any]:
        """Groups, disease and effect under one mechanism.

        Raises
        ------
        ScenarioError
            If the scenario does not hold that mechanism.
        """
        try:
            hypothesis = self.mechanisms[Mechanism(mechanism)]
        except (KeyError, ValueError):
            raise ScenarioError(
                f"scenario {self.name!r} has no mechanism {str(mechanism)!r}",
                hint="choose one of " + ", ".join(m.value for m in self.mechanisms),
            ) from None
        groups = {name: _with(group, hypothesis.groups.get(name, {})) for name, group in self.groups.items()}
        return groups, _with(self.disease, hypothesis.disease), hypothesis.effect

    def at(self, other: ExternalTrial) -> Scenario:
        """The scenario in the protocol of another trial, with the one analysis that is foretold there.

        Raises
        ------
        ScenarioError
            If the other protocol is impossible, or recruits a group that is not described.
        """
        try:
            protocol = other.protocol_from(self.protocol)
            return Scenario.model_validate(
                {**dict(self), "protocol": protocol, "plan": other.plan, "external": (), "name": other.id}
            )
        except ValidationError as error:
            raise ScenarioError(f"elsewhere {other.id!r}: {describe_problems(error)}") from None

    def with_plan(self, plan: AnalysisPlan) -> Scenario:
        """The scenario with another plan.

        Raises
        ------
        ScenarioError : the plan is about other arms, or names what is not there.
        """
        plan = plan.for_arms(self.protocol.arms)
        if plan.analyses:
            plan.complete(self.name, self.protocol.arms, tuple(self.protocol.groups))
        return self.model_copy(update={"plan": plan})

    @property
    def end_points(self) -> frozenset[str]:
        """The PARAMCD of times to events that the plan reads."""
        return frozenset(a.parameter for a in self.plan.analyses if a.parameter and a.dataset.upper() == "ADTTE")

    def whole_plan(self) -> Plan:
        """The plan with everything that the scenario implies, as ``equipoise analyse`` reads it."""
        return self.plan.complete(self.name, self.protocol.arms, tuple(self.protocol.groups))

    def said(self) -> dict[str, Any]:
        """What decides the virtual trials, as plain data; fields at their default are left out, so that what is kept
        under a hash of it outlives a field that is added later."""
        return self.model_dump(mode="json", exclude={"provenance", "fit"}, exclude_defaults=True)

    def digest(self) -> str:
        """A short hash of everything that decides what is simulated."""
        text = self.model_dump_json(exclude={"provenance", "fit"})
        if self.package.name != DEFAULT:
            text = self.package.name + text
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _with(common: BaseModel, own: dict[str, Any]) -> BaseModel:
    """The common description with what is different; of a part of it, what is not named stays."""
    return type(common).model_validate(_merged(common.model_dump(exclude_unset=True), own)) if own else common


def _merged(common: Any, own: dict[str, Any]) -> dict[str, Any]:
    out = dict(common)
    for key, value in own.items():
        inner = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merged(out[key], value) if inner else value
    return out


def _checked(common: BaseModel, own: dict[str, Any], where: str) -> None:
    """Refuse overrides that the common description would not take."""
    try:
        _with(common, own)
    except ValidationError as error:
        raise ValueError(f"{where}.{describe_problems(error)}") from None


def describe_problems(error: ValidationError) -> str:
    """Pydantic's problems, one a line: where, what was found, what was expected."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(p) for p in problem["loc"]) or "scenario"
        message = problem["msg"].removeprefix("Value error, ")
        found = problem.get("input")
        shown = "" if isinstance(found, (dict, BaseModel)) else f" (found {found!r})"
        lines.append(f"{where}: {message}{shown}")
    return "\n  ".join(lines)


def parse_scenario(text: str, origin: str) -> Scenario:
    """A scenario from YAML text; ``origin`` names it in errors.

    Raises
    ------
    ScenarioError
        With every problem, its place in the file and what was expected.
    """
    return _scenario(parse_yaml(text, origin, error=ScenarioError, infinite=True, hint=_EXAMPLE))


_EXAMPLE = "'equipoise fit valor --out FILE' writes a complete example"


def _scenario(document: Document) -> Scenario:
    what = "this scenario cannot be simulated"
    try:
        package, _ = of_disease(document.values)
    except PlaceError:
        package = disease(DEFAULT)  # told, with its place, when the scenario is read
    hint = f"mend the places named; {package.example or _EXAMPLE}"
    with reading(package):
        read = validate(Scenario, document, error=ScenarioError, what=what, hint=hint)
    try:
        read.protocol.check_as_randomised()
    except ValueError as error:
        raise ScenarioError(
            f"{document.place('protocol', 'as_randomised')}: {what}\n  protocol.{error}", hint=hint
        ) from None
    return read


def load_scenario(name: str) -> Scenario:
    """A shipped scenario by name, or one from a file by path.

    Raises
    ------
    ScenarioError
        If there is none, or it is malformed or impossible.
    """
    built_in = shipped_file(name, "scenario")
    if built_in is not None:
        return parse_scenario(built_in.read_text(encoding="utf-8"), f"scenario {name}")
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return _scenario(read_yaml(path, error=ScenarioError, what="a scenario", infinite=True, hint=_EXAMPLE))
    raise ScenarioError(
        f"no scenario called {excerpt(name)}", hint=f"shipped: {', '.join(shipped_scenarios())}; or give a .yaml file"
    )


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that come with the package."""
    return shipped("scenario")


class _OnALine(dict[str, Any]):
    """A mapping that is written on one line."""


_A_LINE = 116
_MAPPING = "tag:yaml.org,2002:map"


def _short(analysis: dict[str, Any]) -> dict[str, Any]:
    """An analysis with its conditions and sections a line each, and whole numbers without a point."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    told = plain(analysis)
    told["sections"] = [_OnALine(s) if len(str(s)) < _A_LINE else s for s in told["sections"]]
    return {k: _OnALine(v) if k in ("where", "gather", "derive") else v for k, v in told.items()}


def scenario_text(scenario: Scenario, header: str = "") -> str:
    """The scenario as YAML, to be read back by :func:`load_scenario`."""

    class Dumper(yaml.SafeDumper):
        pass

    def sequence(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
        flat = all(not isinstance(v, (dict, list)) for v in value)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flat)

    Dumper.add_representer(list, sequence)
    Dumper.add_representer(_OnALine, lambda dumper, value: dumper.represent_mapping(_MAPPING, value, flow_style=True))
    data = scenario.model_dump(mode="json", exclude_none=True)
    # what a trial has no use for stands at its default, and is left out
    data["groups"] = {k: g.model_dump(mode="json", exclude_defaults=True) for k, g in scenario.groups.items()}
    own = scenario.disease.model_dump(mode="json", exclude_defaults=True)
    data["disease"] = own if scenario.package.name == DEFAULT else {"model": scenario.package.name, **own}
    data["plan"] = {**plan_data(scenario.plan), "analyses": [_short(analysis_data(a)) for a in scenario.plan.analyses]}
    for other, given in zip(scenario.external, data["external"], strict=True):
        given["analysis"] = _short(analysis_data(other.analysis))
    for name, hypothesis in scenario.mechanisms.items():
        data["mechanisms"][name.value]["effect"] = hypothesis.effect.model_dump(mode="json", exclude_defaults=True)
    comment = "".join(f"# {line}\n" for line in header.splitlines())
    return comment + yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=116)
