"""The plan of a scenario: the language of analysis plans, with what the scenario implies left out.

Study, arms and the populations ITT and one for each recruitment group follow from the scenario;
:meth:`AnalysisPlan.complete` writes them out, and what it gives is what ``equipoise analyse`` reads.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from equipoise.errors import ScenarioError
from equipoise.files import Frozen, parse_yaml, read_yaml, validate
from equipoise.plan import end_points
from equipoise.plan.analysis_plan import Analysis, Plan, styled
from equipoise.plan.compiled import AnyForm, Lowered, Repeated, Test, TimeToEvent, TrialByTrial, does_of, method_of
from equipoise.plan.estimand import METHODS, Estimand, EventStrategy, Strategy, carried_out, contradictions
from equipoise.plan.lowering import is_old, lower, modern
from equipoise.plan.parts import Population, Show, Treatment

TEST_OF_METHOD: dict[str, str] = {"mi_ancova": "ancova", "carried_forward": "ancova", "clda": "mmrm"}
"""Methods whose test has a name of its own."""


def trial_by_trial(analysis: Analysis) -> TrialByTrial:
    """What is known of an analysis that no kernel covers: whom it is about, how far it goes, its methods."""
    bounds = analysis.where.get("AVISITN")
    weeks = [bounds["le"]] if isinstance(bounds, dict) and "le" in bounds else []
    named = (getattr(s, name, None) for s in analysis.sections for name in ("up_to", "week", "tau"))
    weeks += [w for w in named if isinstance(w, float)]
    return TrialByTrial(
        id=analysis.id,
        set=analysis.population,
        prespecified=analysis.reason != "DATA DRIVEN",
        week=max((float(w) for w in weeks if w > 0), default=None),
        about=analysis.parameter or analysis.dataset,
        outcome=analysis.parameter if analysis.dataset.upper() == "ADEFF" else None,
        methods=tuple(dict.fromkeys(s.kind for s in analysis.sections)),
    )


def _form(analysis: Analysis) -> AnyForm | TrialByTrial:
    found = lower(analysis)
    return trial_by_trial(analysis) if found is None else found.form


class IntercurrentEvent(Frozen):
    """An intercurrent event and the strategy that the analyses with a test follow at it (ICH E9(R1), A.3.2)."""

    event: str
    analysis: Test
    strategy: Strategy

    @field_validator("event")
    @classmethod
    def _known(cls, event: str) -> str:
        known = end_points.intercurrent_events()
        if event not in known:
            raise ValueError(f"{event!r} is no event of a virtual patient; there are {', '.join(known)}")
        return event


class StatedEstimand(Estimand):
    """The estimand that a plan states for one of its tests, named as in ``order``."""

    of: str


class AnalysisPlan(Frozen):
    """All analyses of a trial, and the order in which they are tested.

    ``order`` names p-values as ``ANALYSIS.TEST`` with TEST one of those the analysis offers (``tests``). The
    first is the primary test; everything after a failed one is nominal (fixed-sequence testing).
    """

    study: str | None = None
    title: str = ""
    source: str | None = None
    treatment: Treatment | None = None
    populations: dict[str, Population] = Field(default_factory=dict)
    styles: dict[str, tuple[Show, ...]] = Field(default_factory=dict)
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    intercurrent_events: tuple[IntercurrentEvent, ...] = ()
    estimands: tuple[StatedEstimand, ...] = ()
    analyses: Annotated[tuple[Analysis, ...], Field(min_length=1)]
    order: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _in_one_language(cls, raw: Any) -> Any:
        """The five old kinds of analysis, and ``imputations`` of them all, in the language of plans."""
        if not isinstance(raw, dict) or not isinstance(raw.get("analyses"), list | tuple):
            return raw
        given = {k: v for k, v in raw.items() if k != "imputations"}
        return styled(
            {**given, "analyses": [modern(a, raw.get("imputations")) if is_old(a) else a for a in raw["analyses"]]}
        )

    @field_validator("order")
    @classmethod
    def _by_test(cls, order: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Tests under the names that keys give them: ``ancova`` for an analysis by ``mi_ancova``."""
        treatment = info.data.get("treatment")
        several = treatment is not None and len(treatment.arms) > 2
        forms = {a.id: trial_by_trial(a) if several else _form(a) for a in info.data.get("analyses", ())}
        out = []
        for name in order:
            key, _, test = name.partition(".")
            other = TEST_OF_METHOD.get(test, test)
            offered = forms[key].tests if key in forms else ()
            others = (other, *(m for m, t in TEST_OF_METHOD.items() if t == test))
            found = next((o for o in others if o in offered), test)
            out.append(name if test in offered or found == test else f"{key}.{found}")
        return tuple(out)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        forms: dict[str, AnyForm | TrialByTrial] = {}
        for analysis in self.analyses:
            if analysis.id in forms:
                raise ValueError(f"analyses: the id {analysis.id!r} is used twice")
            forms[analysis.id] = self.analysis(analysis.id)
        for name in self.order:
            key, _, test = name.partition(".")
            if key not in forms:
                raise ValueError(f"order: {name!r} names no analysis of this plan")
            if test not in self.tests(key):
                raise ValueError(f"order: {name!r}: analysis {key!r} offers {', '.join(self.tests(key))}")
        self._answer_what_they_ask()
        return self

    def for_arms(self, arms: Sequence[str]) -> AnalysisPlan:
        """The plan of a trial with these arms, control first: where there are more than two, it names them."""
        if len(arms) == 2 or self.treatment is not None:
            return self
        return AnalysisPlan.model_validate({**dict(self), "treatment": Treatment(arms=tuple(arms))})

    def _lowered(self) -> dict[str, Lowered | None]:
        """Analysis -> the form that a kernel carries out of it, found once for these very analyses.

        The forms compare two arms; with more of them every analysis is carried out trial by trial.
        """
        if self.treatment is not None and len(self.treatment.arms) > 2:
            return dict.fromkeys(a.id for a in self.analyses)
        kept = self.__dict__.get("_lowered_of")
        if kept is None or kept[0] is not self.analyses:
            kept = (self.analyses, {a.id: lower(a) for a in self.analyses})
            self.__dict__["_lowered_of"] = kept
        found: dict[str, Lowered | None] = kept[1]
        return found

    def lowered(self) -> Iterator[tuple[Analysis, Lowered]]:
        """The analyses that kernels carry out, each with its form."""
        found = self._lowered()
        return ((a, made) for a in self.analyses if (made := found[a.id]) is not None)

    @property
    def compiled(self) -> tuple[AnyForm, ...]:
        """The forms that kernels carry out, in the order of the plan."""
        return tuple(found.form for found in self._lowered().values() if found is not None)

    @property
    def imputations(self) -> int:
        """How many imputations its analyses take, the most of any; 0 where none imputes."""
        return max((f.imputations for f in self.compiled if isinstance(f, Repeated)), default=0)

    def complete(self, study: str, arms: Sequence[str], groups: Sequence[str]) -> Plan:
        """The whole plan, as ``equipoise analyse`` reads it: with study, arms (control first) and populations.

        Raises
        ------
        ScenarioError : it is about other arms, or an analysis names a population or a test that is not there.
        """
        if self.treatment is not None and set(self.treatment.arms) != set(arms):
            raise ScenarioError(
                f"the plan is about the arms {', '.join(self.treatment.arms)}; the trial has {', '.join(arms)}",
                hint="leave treatment: out of a plan for a scenario",
            )
        populations = {"ITT": Population(label="All randomised")}
        populations |= {g: Population(label=f"Group {g}", where={"GROUP": g}) for g in groups}
        whole = {
            "study": self.study or study,
            "title": self.title,
            "source": self.source,
            "treatment": self.treatment or Treatment(arms=tuple(arms)),
            "populations": {**populations, **self.populations},
            "alpha": self.alpha,
            "analyses": self._with_estimands(f"{arms[1]} against {arms[0]}"),
            "order": self.order,
        }
        try:
            return Plan.model_validate(whole)
        except ValidationError as error:
            said = [p["msg"].removeprefix("Value error, ") for p in error.errors()]
            raise ScenarioError("the plan cannot be carried out: " + "; ".join(said), hint="see docs/adam.md") from None

    def _with_estimands(self, treatment: str) -> tuple[Analysis, ...]:
        """The analyses, each section with the estimand that the plan states of its test, in the language of plans."""
        stated = {e.of: Estimand.model_validate(e.model_dump(exclude={"of"})) for e in self.estimands}
        named = {item.analysis for item in self.intercurrent_events}
        out = {analysis.id: analysis for analysis in self.analyses}
        for analysis, found in self.lowered():
            sections = list(analysis.sections)
            for test, place in found.places.items():
                name, section = f"{analysis.id}.{test}", sections[place - 1]
                own = section.estimand is not None or analysis.estimand is not None
                if own or not (name in stated or test in named):
                    continue
                asked = stated[name] if name in stated else self.estimand(name, treatment)
                said = {e.event for e in asked.intercurrent_events}
                does = {event: done for event, done in does_of(found.form).items() if event in said}
                sections[place - 1] = section.model_copy(
                    update={"estimand": asked, "handles": {**does, **section.handles}}
                )
            out[analysis.id] = analysis.model_copy(update={"sections": tuple(sections)})
        return tuple(out.values())

    def tests(self, key: str) -> tuple[str, ...]:
        """The tests of an analysis, as in ``order``: those of its kernel, then the methods of its other sections."""
        found, analysis = self._lowered()[key], next(a for a in self.analyses if a.id == key)
        if found is None:
            return self.analysis(key).tests
        others = (s.kind for k, s in enumerate(analysis.sections, start=1) if k not in found.sections)
        return tuple(dict.fromkeys((*found.form.tests, *others)))

    def offered(self, ids: Container[str] | None = None) -> tuple[str, ...]:
        """The tests of these analyses, or of all, for which an intercurrent event can have a strategy; of several arms,
        of a pair.
        """
        found = self.model_copy(update={"treatment": None})._lowered()
        made = [m for key, m in found.items() if m is not None and (ids is None or key in ids)]
        return tuple(dict.fromkeys(test for m in made for test in m.form.tests))

    def _answer_what_they_ask(self) -> None:
        """Raise ``ValueError`` where a strategy or an estimand is not what the analysis carries out."""
        forms = self.compiled
        offered = self.offered() if self.intercurrent_events else ()
        for item in self.intercurrent_events:
            if item.analysis not in offered:
                raise ValueError(
                    f"intercurrent_events: {item.event} in the {item.analysis}: no analysis of this plan offers "
                    f"{item.analysis!r}; they offer {', '.join(offered)}"
                )
            for analysis in (a for a in forms if item.analysis in a.tests):
                done = carried_out(method_of(analysis, item.analysis), item.event, does_of(analysis))
                if done != item.strategy:
                    raise ValueError(
                        f"intercurrent_events: {item.event} in the {item.analysis}: {item.strategy!r} is not what "
                        f"analysis {analysis.id!r} does; it does {done!r}"
                    )
        for stated in self.estimands:
            key, _, test = stated.of.partition(".")
            found = next((a for a in self.compiled if a.id == key and test in a.tests), None)
            if found is None:
                raise ValueError(f"estimands: {stated.of!r} names no test of this plan")
            if stated.population != found.set:
                raise ValueError(f"estimands: {stated.of}: population {stated.population!r}, analysed in {found.set!r}")
            wrong = contradictions(stated, method_of(found, test), does=does_of(found), called=stated.of)
            if wrong:
                raise ValueError("estimands: " + " ".join(wrong))

    def estimand(self, name: str, treatment: str = "active against control") -> Estimand:
        """The estimand of a test, ``ANALYSIS.TEST``: the one stated, else what the analysis carries out.

        Raises ``ValueError`` for a test that is not in the plan.
        """
        for stated in self.estimands:
            if stated.of == name:
                return stated
        key, _, test = name.partition(".")
        found = next((a for a in self.compiled if a.id == key and test in a.tests), None)
        if found is None:
            raise ValueError(f"{name!r} names no test of this plan")
        method, events = method_of(found, test), []
        for event in end_points.intercurrent_events():
            strategy = carried_out(method, event, does_of(found))
            if strategy is not None and not (
                isinstance(found, TimeToEvent) and strategy == "composite" and found.event == event
            ):
                events.append(EventStrategy(event=event, strategy=strategy))
        summary = METHODS[method].summaries[0]
        if isinstance(found, TimeToEvent):
            variable = f"time to {found.subject} up to week {found.week:g}"
        elif found.log:
            variable = f"ratio of {found.variable} to baseline at week {found.week:g}"
            summary = "ratio of geometric means" if summary == "difference in means" else summary
        else:
            variable = f"change of {found.variable} from baseline to week {found.week:g}"
        return Estimand(
            treatment=treatment,
            population=found.set,
            variable=variable,
            intercurrent_events=tuple(events),
            summary=summary,
        )

    @property
    def primary(self) -> str:
        """The p-value that decides, as ``ANALYSIS.TEST``; raises ``ValueError`` where no order is given."""
        if not self.order:
            raise ValueError("order: name the primary test first, ANALYSIS.TEST")
        return self.order[0]

    @property
    def imputes(self) -> bool:
        """Whether any analysis imputes missing values."""
        return self.imputations > 0

    def analysis(self, key: str) -> AnyForm | TrialByTrial:
        """What is known of an analysis: the form that a kernel carries out, or that of one done trial by trial.

        Raises ``ValueError`` for an analysis that is not in the plan.
        """
        found = next((a for a in self.analyses if a.id == key), None)
        if found is None:
            raise ValueError(f"the plan has no analysis {key!r}; it has {', '.join(a.id for a in self.analyses)}")
        lowered = self._lowered()[key]
        return trial_by_trial(found) if lowered is None else lowered.form

    def only(self, *ids: str) -> AnalysisPlan:
        """The same plan reduced to some analyses; the order keeps what is left of it."""
        keep = tuple(a for a in self.analyses if a.id in ids)
        order = tuple(o for o in self.order if o.partition(".")[0] in ids)
        left = tuple(e for e in self.estimands if e.of.partition(".")[0] in ids)
        events = self.intercurrent_events
        if events:
            offered = self.offered(ids)
            events = tuple(e for e in events if e.analysis in offered)
        own = {"analyses": keep, "order": order, "estimands": left, "intercurrent_events": events}
        return self.model_copy(update=own)


_HELP = "it is an analysis plan (docs/adam.md) without study, arms and populations, which the scenario implies"


def read_scenario_plan(path: str | Path) -> AnalysisPlan:
    """Read and check a plan for a scenario; a whole plan, as ``equipoise analyse`` reads it, is one too.

    Raises
    ------
    ScenarioError : no such file, not YAML, or not a plan; each mistake is named with its place.
    """
    document = read_yaml(path, error=ScenarioError, what="an analysis plan", hint=_HELP)
    return validate(AnalysisPlan, document, error=ScenarioError, what="not a plan", hint=_HELP)


def parse_scenario_plan(text: str, source: str = "plan") -> AnalysisPlan:
    """A plan for a scenario from YAML text; see :func:`read_scenario_plan`."""
    document = parse_yaml(text, source, error=ScenarioError, hint=_HELP)
    return validate(AnalysisPlan, document, error=ScenarioError, what="not a plan", hint=_HELP)
