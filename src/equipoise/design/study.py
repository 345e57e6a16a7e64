"""A design study as data: designs (every combination of factors) judged in worlds, from one YAML file.

Analyses are written once, in the language of plans; ``"{weeks}"`` (the end of the randomised period) and ``"{end}"``
(the end of the trial) stand for what a design has there.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from equipoise.design.accrual import Accrual
from equipoise.design.adaptation import Adaptation
from equipoise.design.minimisation import Allocation
from equipoise.design.rules import Condition, Primary
from equipoise.design.treatments import Treatments, checked_ratio
from equipoise.design.worlds import World, drawn_worlds, expanded
from equipoise.errors import ScenarioError
from equipoise.files import Document, Frozen, parse_yaml, read_yaml, validate
from equipoise.files.model import PlaceError
from equipoise.library import shipped, shipped_file
from equipoise.plan.scenario_plan import IntercurrentEvent
from equipoise.simulate import load_scenario
from equipoise.simulate.scenario import describe_problems

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]

EXPLORE, DECIDE, CLAIM = 1_000, 10_000, 100_000
"""Replicates to look around, to choose a design, and to claim a type I error."""

BASE, FIXED = "base", "fixed"
"""The arms of the scenario, and a trial without looks: names that every study has."""

HINT = "equipoise design --init valor writes an example with comments"


class Factors(Frozen):
    """What a design may differ in; every combination is a design.

    weeks : randomised. patients : all arms together. ratio : control to active, ``"1:2"``. extension : weeks after the
    randomised period in which every arm has active drug, 0 for none. enrichment, primary, treatments, adaptation :
    names of the study's own; ``base`` are the arms of the scenario, and ``fixed`` is a trial without looks.
    """

    weeks: tuple[Positive, ...] = Field(min_length=1)
    patients: tuple[Annotated[int, Field(ge=4)], ...] = Field(min_length=1)
    ratio: tuple[str, ...] = ()
    extension: tuple[Annotated[float, Field(ge=0)], ...] = (0.0,)
    enrichment: tuple[str, ...] = ("all",)
    primary: tuple[str, ...] = Field(min_length=1)
    treatments: tuple[str, ...] = Field(default=(BASE,), min_length=1)
    adaptation: tuple[str, ...] = Field(default=(FIXED,), min_length=1)

    @field_validator("weeks", "patients", "ratio", "extension", "enrichment", "primary", "treatments", "adaptation")
    @classmethod
    def _once(cls, levels: tuple[Any, ...]) -> tuple[Any, ...]:
        twice = {v for v in levels if levels.count(v) > 1}
        if twice:
            raise ValueError(f"{sorted(map(str, twice))[0]} stands twice: every combination is a design")
        return levels

    @field_validator("ratio")
    @classmethod
    def _ratios(cls, ratios: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_ratio(ratio) for ratio in ratios)


class Enrichment(Frozen):
    """Who is recruited: some of the scenario's groups (default all), in the proportions that it has them.

    shares : of the groups instead. admission : of a group, what differs from who is admitted to it in the scenario.
    admitted : the share of those who come that is let in, as far as groups do not tell; it slows recruitment.
    """

    label: str
    groups: tuple[str, ...] | None = None
    shares: dict[str, Positive] | None = None
    admission: dict[str, dict[str, Any]] = Field(default_factory=dict)
    admitted: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.groups is not None and self.shares is not None:
            raise PlaceError("gives the groups too; leave groups out", "shares")
        return self


class Cost(Frozen):
    """What a trial costs, in any unit: by patient, by patient-week under observation, by month of the calendar."""

    patient: Annotated[float, Field(ge=0)] = 0.0
    patient_week: Annotated[float, Field(ge=0)] = 0.0
    month: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.patient or self.patient_week or self.month):
            raise ValueError("give patient, patient_week or month above 0")
        return self


class Stakes(Frozen):
    """What a decision after the trial gains: to give the drug, against not giving it (0), for each one it concerns.

    unit : in words, for instance ``points of function a patient``. works, nothing : the gain of giving a drug in a
    world in which it works, and in one in which it does not (a loss is negative); or per_point, burden : the gain is
    ``per_point`` times the true effect of the world, less ``burden``. people : how many the decision concerns. Where
    the study has a ``cost`` too, both are in one unit.
    """

    unit: Annotated[str, Field(min_length=1, max_length=80)]
    works: float | None = None
    nothing: float | None = None
    per_point: float | None = None
    burden: float = 0.0
    people: Positive = 1.0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_world = self.works is not None and self.nothing is not None
        if by_world == (self.per_point is not None) or (self.works is None) != (self.nothing is None):
            raise ValueError("give works and nothing, or per_point (with a burden)")
        return self

    def gain(self, works: bool, effect: float | None, world: str) -> float:
        """Of giving the drug in a world whose true effect this is.

        Raises
        ------
        ScenarioError : the gain is by the point, and the world has no true effect.
        """
        if self.works is not None and self.nothing is not None:
            return self.works if works else self.nothing
        if effect is None:
            raise ScenarioError(
                f"stakes: per_point needs the true effect in the world {world!r}, and the study asks for none",
                hint="say what nobody leaves under in undisturbed, or give works and nothing",
            )
        return float(self.per_point or 0.0) * effect - self.burden


class DesignStudy(Frozen):
    """Designs x worlds. Frozen: change it with ``model_copy`` or :meth:`with_`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
    question: str
    base: str = Field(description="the scenario: a shipped one by name, or a file")
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1
    replicates: Annotated[int, Field(ge=2, le=10_000_000)] = EXPLORE
    visits: tuple[Positive, ...] = Field(min_length=1, description="weeks of visits, as far as a trial goes")
    allocation: Allocation | None = Field(default=None, description="in place of the scenario's permuted blocks")
    imbalance: bool = Field(
        default=False, description="the arms differ at baseline as they did in the scenario's trial"
    )
    recruited_a_month: Positive | None = Field(
        default=None, description="patients of all comers; enrichment slows recruitment"
    )
    accrual: Accrual | None = Field(default=None, description="the same by the calendar: rates, ramp, arrivals")
    target: Share = 0.8
    cost: Cost | None = Field(default=None, description="by which the cheapest design is sought")
    stakes: Stakes | None = Field(default=None, description="what a decision after the trial gains; none by default")
    factors: Factors
    only: tuple[dict[str, float | int | str], ...] = Field(
        default=(), description="some of the combinations of factors, each by its levels; default all"
    )
    enrichments: dict[str, Enrichment] = Field(default_factory=lambda: {"all": Enrichment(label="all")})
    primaries: dict[str, Primary]
    treatments: dict[str, Treatments] = Field(default_factory=dict)
    adaptations: dict[str, Adaptation] = Field(default_factory=dict)
    worlds: dict[str, World] = Field(min_length=1)
    analyses: tuple[dict[str, Any], ...] = Field(min_length=1)
    intercurrent_events: tuple[IntercurrentEvent, ...] = ()
    rule: tuple[Condition, ...] = Field(default=(), description="the three questions of a delayed start, in order")
    engine: dict[str, Any] = Field(
        default_factory=dict, description="options of the disease's engine, such as steps_per_week of als"
    )
    undisturbed: dict[str, Any] = Field(
        default_factory=dict, description="numbers of the disease under which nobody leaves or dies: the true effect"
    )

    @model_validator(mode="before")
    @classmethod
    def _worlds_one_by_one(cls, raw: Any) -> Any:
        return {**raw, "worlds": expanded(raw["worlds"])} if isinstance(raw, dict) and "worlds" in raw else raw

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.factors.enrichment:
            if name not in self.enrichments:
                raise PlaceError(
                    f"{name!r} is none of enrichments: {', '.join(self.enrichments)}", "factors", "enrichment"
                )
        for name in self.factors.primary:
            if name not in self.primaries:
                raise PlaceError(f"{name!r} is none of primaries: {', '.join(self.primaries)}", "factors", "primary")
        if (self.recruited_a_month is None) == (self.accrual is None):
            raise PlaceError("give recruited_a_month (a number), or accrual (rates by the calendar)", "accrual")
        self._known_parts()
        if list(self.visits) != sorted(set(self.visits)):
            raise PlaceError("weeks must rise, each once", "visits")
        if self.rule and len(self.rule) != 3:
            raise PlaceError(f"{len(self.rule)} conditions; a delayed-start rule asks three questions", "rule")
        for k, levels in enumerate(self.only):
            unknown = [name for name in levels if name not in Design.model_fields]
            if unknown:
                raise PlaceError(f"{unknown[0]!r} is no factor: {', '.join(Design.model_fields)}", "only", k)
            if not any(one.has(levels) for one in self._combinations()):
                raise PlaceError("no combination of the factors has these levels", "only", k)
        ids = [a.get("id") for a in self.analyses]
        for where, condition in self._conditions():
            named = (condition.test or "").partition(".")[0] or condition.analysis
            if named not in ids:
                raise PlaceError(f"{named!r} is no analysis; there are {', '.join(map(str, ids))}", *where)
        if not any(True for _ in self.designs()):
            raise PlaceError("no design is left: each primary that needs an extension has none", "factors")
        return self

    def _known_parts(self) -> None:
        for what, own, always in (("treatments", self.treatments, BASE), ("adaptation", self.adaptations, FIXED)):
            section = "adaptations" if what == "adaptation" else what
            if always in own:
                raise PlaceError(f"{always!r} is the name of what every study has; give it another", section, always)
            for name in getattr(self.factors, what):
                if name != always and name not in own:
                    known = ", ".join((always, *own))
                    raise PlaceError(f"{name!r} is none of {section}: {known}", "factors", what)
        ids = [str(a.get("id")) for a in self.analyses]
        for name, adaptation in self.adaptations.items():
            for k, gate in enumerate(adaptation.gates):
                if gate.test.partition(".")[0] not in ids:
                    raise PlaceError(
                        f"{gate.test!r} is no test of an analysis; there are {', '.join(ids)}",
                        "adaptations",
                        name,
                        "gates",
                        k,
                        "test",
                    )
        if any(name != FIXED for name in self.factors.adaptation):
            for name in self.factors.primary:
                conditions = self.primaries[name].conditions
                alone = len(conditions) == 1 and conditions[0].test is not None and conditions[0].at_least is None
                if not alone or conditions[0].favours != "active" or not self.primaries[name].all:
                    raise PlaceError(
                        "looks are held on one test in favour of active: one condition, with test:",
                        "primaries",
                        name,
                        "all",
                    )

    def accruing(self, conduct: Conduct, groups: Mapping[str, int]) -> Accrual:
        """Accrual to a design: that of all comers, slowed by who is recruited. groups : those of the scenario."""
        who = self.enrichments[conduct.enrichment]
        chosen = tuple(who.shares or who.groups or groups)
        share = sum(groups[g] for g in chosen) / sum(groups.values()) * who.admitted
        whole = self.accrual or Accrual.steady(float(self.recruited_a_month or 1.0))
        return whole.model_copy(update={"rates": tuple((month, rate * share) for month, rate in whole.rates)})

    def by_calendar(self, design: Design) -> bool:
        """Whether a design has looks, arms that come and go, or several arms that share one closed test."""
        arms = self.treatments.get(design.treatments)
        several = arms is not None and len(arms.arms) > 2
        whole = several and all(c.test is not None and c.arm is None for c in self.primaries[design.primary].conditions)
        return design.adaptation != FIXED or whole or (arms is not None and arms.by_calendar)

    def _conditions(self) -> Iterator[tuple[tuple[str | int, ...], Condition]]:
        for name, primary in self.primaries.items():
            for place, condition in zip(primary.places(), primary.conditions, strict=True):
                yield ("primaries", name, *place), condition
        for k, condition in enumerate(self.rule):
            yield ("rule", k), condition

    def designs(self) -> Iterator[Design]:
        """Every combination of factors, or those of ``only``; a primary that needs an extension only where there is
        one."""
        for one in self._combinations():
            if not self.only or any(one.has(levels) for levels in self.only):
                yield one

    def _combinations(self) -> Iterator[Design]:
        f = self.factors
        ratios: tuple[str | None, ...] = f.ratio or (None,)
        made = itertools.product(
            f.weeks, f.patients, ratios, f.extension, f.enrichment, f.treatments, f.adaptation, f.primary
        )
        for weeks, patients, ratio, extension, enrichment, treatments, adaptation, primary in made:
            if extension == 0.0 and self.primaries[primary].needs_extension:
                continue
            yield Design(
                weeks=weeks,
                patients=patients,
                ratio=ratio,
                extension=extension,
                enrichment=enrichment,
                primary=primary,
                treatments=treatments,
                adaptation=adaptation,
            )

    def deciding(self) -> str:
        """All that decides the numbers, as text."""
        return self.model_dump_json(exclude={"replicates", "question", "target", "cost", "stakes"})

    @property
    def weighed(self) -> bool:
        """Whether the worlds are a belief: some are draws, or their weights differ."""
        weights = {w.weight for w in self.worlds.values()}
        return len(weights) > 1 or any(w.draws is not None for w in self.worlds.values())

    def under(self, draws: str | Path, label: str = "posterior") -> DesignStudy:
        """The same designs in the worlds that a file of draws holds, one a mechanism where it names several.

        Raises
        ------
        ScenarioError : the file cannot be read, or its columns are no parameters.
        """
        path = Path(draws)
        try:
            return self.with_(worlds=drawn_worlds(path, label, self.worlds))
        except ValidationError as error:
            raise ScenarioError(
                f"{path}: {describe_problems(error)}", hint="columns: mechanism, weight, paths"
            ) from None

    def with_(self, **changes: Any) -> DesignStudy:
        """The study with other values, checked as when it was read."""
        return DesignStudy.model_validate({**self.model_dump(), **changes})


class Conduct(Frozen):
    """How a trial is conducted: what of a design decides what its patients go through."""

    weeks: float
    patients: int
    ratio: str | None
    extension: float
    enrichment: str
    treatments: str = BASE
    adaptation: str = FIXED

    @property
    def end(self) -> float:
        """The last week."""
        return self.weeks + self.extension


class Design(Conduct):
    """One combination of factors."""

    primary: str

    def has(self, levels: Mapping[str, float | int | str]) -> bool:
        """Whether the design has these levels of factors."""
        return all(getattr(self, name) == level for name, level in levels.items())

    @property
    def conduct(self) -> Conduct:
        """All but the primary analysis: designs that share it share their virtual trials."""
        return Conduct(**self.model_dump(exclude={"primary"}))

    @property
    def label(self) -> str:
        """In words."""
        ratio = "" if self.ratio is None else f", {self.ratio}"
        after = f" + {self.extension:g}" if self.extension else ""
        own = [name for name, always in ((self.treatments, BASE), (self.adaptation, FIXED)) if name != always]
        parts = [
            f"{self.weeks:g}{after} weeks",
            f"{self.patients} patients{ratio}",
            self.enrichment,
            self.primary,
            *own,
        ]
        return ", ".join(parts)

    def levels(self) -> dict[str, Any]:
        """Factor -> level; arms and adaptation only where the design has its own."""
        every = self.model_dump()
        return {k: v for k, v in every.items() if (k, v) not in (("treatments", BASE), ("adaptation", FIXED))}


_PLACEHOLDER = re.compile(r"\{(weeks|end)\}")


def filled(value: Any, conduct: Conduct) -> Any:
    """A part of the study with ``"{weeks}"`` and ``"{end}"`` replaced; alone in a string they become numbers.

    >>> filled({"le": "{weeks}", "visit": "Week {weeks}"},
    ...     Conduct(weeks=28, patients=9, ratio=None, extension=24, enrichment="all"))
    {'le': 28, 'visit': 'Week 28'}
    """
    if isinstance(value, dict):
        return {k: filled(v, conduct) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [filled(v, conduct) for v in value]
    if not isinstance(value, str):
        return value
    numbers = {"weeks": conduct.weeks, "end": conduct.end}
    alone = _PLACEHOLDER.fullmatch(value)
    if alone:
        number = numbers[alone[1]]
        return int(number) if float(number).is_integer() else number
    return _PLACEHOLDER.sub(lambda m: f"{numbers[m[1]]:g}", value)


def parse_study(text: str, origin: str = "study") -> DesignStudy:
    """A study from YAML text; ``origin`` names it in errors.

    Raises
    ------
    ScenarioError : with every problem, its line and what was expected.
    """
    return _study(parse_yaml(text, origin, error=ScenarioError, hint=HINT))


def load_study(name: str | Path) -> DesignStudy:
    """A shipped study by name (``next-als``), or one from a file.

    Raises
    ------
    ScenarioError : there is none, or it is malformed.
    """
    built_in = shipped_file(str(name).replace("-", "_"), "study")
    if built_in is not None:
        return parse_study(built_in.read_text(encoding="utf-8"), f"study {name}")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = ", ".join(n.replace("_", "-") for n in shipped("study"))
        raise ScenarioError(
            f"no design study called {str(name)[:80]!r}", hint=f"shipped: {known}; or give a .yaml file"
        )
    document = read_yaml(path, error=ScenarioError, what="a design study", hint=HINT)
    _beside(document.values, path.parent)
    return _study(document)


def _beside(values: Any, folder: Path) -> None:
    """Files of draws that lie beside the study are found there, wherever the study is read from."""
    worlds = values.get("worlds") if isinstance(values, dict) else None
    for world in worlds.values() if isinstance(worlds, dict) else ():
        draws = world.get("draws") if isinstance(world, dict) else None
        if isinstance(draws, dict) and isinstance(draws.get("file"), str) and (folder / draws["file"]).is_file():
            draws["file"] = str(folder / draws["file"])


def _study(document: Document) -> DesignStudy:
    return validate(DesignStudy, document, error=ScenarioError, what="not a design study", hint=HINT)


def starter(scenario: str) -> str:
    """A commented study for a scenario, to be changed by hand: its lengths and sizes, and every mechanism it has.

    Raises
    ------
    ScenarioError : there is no such scenario, or it measures nothing.

    Examples
    --------
    >>> parse_study(starter("centaur")).base
    'centaur'
    """
    base = load_scenario(scenario)
    if not base.outcomes:
        raise ScenarioError(f"{scenario}: measures no outcome", hint="a study needs one, or a time to an event")
    protocol = base.protocol
    weeks = sorted({protocol.period_end, _even(1.5 * protocol.period_end), _even(2 * protocol.period_end)})
    end = weeks[-1] + 24
    visits = sorted({*(v for v in protocol.visits if 0 < v < end), *range(12, int(end), 12)})
    outcome = next(iter(base.outcomes))
    kinds = {"none": "none", "symptomatic": "symptomatic", "harm": "none"}
    worlds = []
    for mechanism in base.mechanisms:
        kind = kinds.get(mechanism.value, "disease-modifying")
        no_effect = ", no_effect: true" if kind == "none" else ""
        worlds.append(
            f"  {mechanism.value}: {{label: {mechanism.value}, mechanism: {mechanism.value}, kind: {kind}{no_effect}}}"
        )
    return _STARTER.format(
        name=re.sub(r"[^a-z0-9-]+", "-", f"next-{base.name}".lower()),
        base=scenario,
        visits=", ".join(f"{v:g}" for v in visits),
        weeks=", ".join(f"{w:g}" for w in weeks),
        patients=f"{protocol.n}, {2 * protocol.n}",
        outcome=outcome,
        worlds="\n".join(worlds),
    )


def _even(weeks: float) -> float:
    return 4.0 * round(weeks / 4.0)


_STARTER = """\
# A design study: designs (every combination of factors) judged in worlds (truths).
#   equipoise design THIS-FILE --out FOLDER
name: {name}
question: How long and how large must the next trial be?
base: {base}             # the scenario: patients, disease and drug; shipped, or a file
seed: 1                  # replicate r has the same patients in every design
replicates: 1000         # 1,000 to explore, 10,000 to decide, 100,000 to claim a type I error
target: 0.8              # success wanted where the drug works
recruited_a_month: 10.0  # an assumption: change it
visits: [{visits}]

factors:
  weeks: [{weeks}]             # randomised
  patients: [{patients}]
  # ratio: ["1:1", "1:2"]      # control:active; default the scenario's
  extension: [0]               # weeks after, everyone on active: [0, 24]
  enrichment: [all]            # names of enrichments, below
  primary: [ancova]            # names of primaries, below

enrichments:
  all: {{label: everyone}}
  # some: {{label: some groups, groups: [GROUP]}}

primaries:                     # rules of success: all conditions; a test is ANALYSIS.TEST, two-sided
  ancova:
    label: ANCOVA of the last randomised visit, after multiple imputation
    all: [{{test: outcome.ancova}}]

worlds:                        # mechanisms of the scenario; effect:, disease: and groups: change their numbers
{worlds}

analyses:                      # in the language of analysis plans; "{{weeks}}" and "{{end}}" are those of the design
- id: outcome
  population: ITT
  dataset: ADEFF
  parameter: {outcome}
  where: {{AVISITN: {{le: "{{weeks}}"}}}}
  sections:
  - {{method: mi_ancova, covariates: [BASE], burn_in: 3}}
"""
