"""The analysis plan as data: which analyses, on whom, with which covariates, tested in which order."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from equipoise.files import Frozen
from equipoise.plan.estimand import METHODS, Estimand, EventStrategy, Strategy, carried_out, contradictions

Test = Literal["ancova", "joint_rank", "mmrm", "slope", "log_rank", "wilcoxon", "cox"]


Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""An outcome as the scenario's ``outcomes`` name it."""

Covariate = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""A baseline variable as :meth:`equipoise.trial.Trials.baseline` knows it; ``BASE`` is the outcome's own baseline."""

Event = Literal["death_or_ventilation", "death_or_tracheostomy", "death", "hospitalisation", "key_event"]
"""An end point in time, as :meth:`equipoise.trial.Trials.times_to` knows it. The first two are both the first event of
a virtual patient, named as the trial named it; a key event is that or a stay in hospital."""

Observed = Annotated[float, Field(ge=0)]


class _Analysis(Frozen):
    """What all analyses share: a name, whom they are about, and how far they go."""

    id: str
    set: str
    week: Annotated[float, Field(gt=0)]
    prespecified: bool = True

    @property
    def tests(self) -> tuple[Test, ...]:
        """The tests it offers, as in ``order``."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """What it is about, in a word or two: an outcome or an event."""
        raise NotImplementedError


class _OfOutcome(_Analysis):
    variable: Variable
    covariates: tuple[Covariate, ...] = ()
    log: bool = False

    @property
    def subject(self) -> str:
        return self.variable


class Repeated(_OfOutcome):
    """ANCOVA after multiple imputation at every visit up to ``week``, and the joint rank test at ``week``.

    ``covariates`` enter the ANCOVA beside treatment; ``impute_with`` enter the imputation model beside treatment
    and all earlier visits. ``BASE`` is the outcome's own baseline (its log when ``log``).
    """

    kind: Literal["repeated"] = "repeated"
    covariates: tuple[Covariate, ...]
    impute_with: tuple[Covariate, ...]
    joint_rank: bool = False

    @property
    def tests(self) -> tuple[Test, ...]:
        return ("ancova", "joint_rank") if self.joint_rank else ("ancova",)


class CarriedForward(_OfOutcome):
    """ANOVA, or with ``covariates`` ANCOVA, of the change from baseline with the last observation carried forward.

    At every visit up to ``week`` each patient has the last value seen after baseline; who has none takes no part.
    ``observed_to`` (weeks): only patients seen at a visit in that week or later, as in a trial that analyses those who
    completed a first part.
    """

    kind: Literal["carried_forward"] = "carried_forward"
    observed_to: Observed = 0.0

    @property
    def tests(self) -> tuple[Test, ...]:
        return ("ancova",)


class MixedModel(_OfOutcome):
    """MMRM of the change from baseline: arm and every covariate by visit, one covariance over the visits, REML.

    With ``constrained`` the baseline is a response whose mean the arms share (cLDA), and the covariates do not hold
    ``BASE``. ``df``: as in :func:`equipoise.estimate.linear.mmrm.mmrm`.
    """

    kind: Literal["mmrm"] = "mmrm"
    constrained: bool = False
    structure: Literal["us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh"] = "us"
    df: Literal["satterthwaite", "kenward-roger", "kenward-roger-linear"] = "kenward-roger-linear"

    @property
    def tests(self) -> tuple[Test, ...]:
        return ("mmrm",)

    @model_validator(mode="after")
    def _baseline_once(self) -> Self:
        if self.constrained and "BASE" in self.covariates:
            raise ValueError(f"{self.id}: the baseline is a response of the constrained model; leave BASE out")
        return self


class Slopes(_OfOutcome):
    """Random intercept and slope: the outcome on time, arm by time and ``covariates``, each also by time, to ``week``.

    With ``shared_baseline`` the arms have one mean at baseline. Slopes are per month; the means at a week are levels.
    """

    kind: Literal["slopes"] = "slopes"
    shared_baseline: bool = True
    df: Literal["satterthwaite", "kenward-roger", "kenward-roger-linear"] = "kenward-roger-linear"

    @property
    def tests(self) -> tuple[Test, ...]:
        return ("slope",)

    @model_validator(mode="after")
    def _baseline_once(self) -> Self:
        if "BASE" in self.covariates:
            raise ValueError(f"{self.id}: the baseline is a response of this model; leave BASE out")
        return self


class TimeToEvent(_Analysis):
    """Log-rank and Wilcoxon tests within ``strata``, and Cox regression on ``covariates``, up to ``week``.

    Arms are those of the randomisation, whatever was taken later. The Wilcoxon test weighs an event by the
    Kaplan-Meier estimate before it (Peto & Peto), so that early events count more.
    """

    kind: Literal["time_to_event"] = "time_to_event"
    event: Event
    covariates: tuple[Covariate, ...] = ()
    strata: tuple[Covariate, ...] = ()

    TESTS: ClassVar[tuple[Test, ...]] = ("log_rank", "wilcoxon", "cox")

    @property
    def tests(self) -> tuple[Test, ...]:
        return self.TESTS

    @property
    def subject(self) -> str:
        return self.event.replace("_", " ")


Analysis = Annotated[Repeated | CarriedForward | MixedModel | Slopes | TimeToEvent, Field(discriminator="kind")]
OutcomeAnalysis = Repeated | CarriedForward | MixedModel | Slopes
"""The analyses of a measured outcome, which have means of the arms at visits."""

_FIRST = ("death_or_ventilation", "death_or_tracheostomy", "key_event")


def method_of(analysis: OutcomeAnalysis | TimeToEvent, test: str) -> str:
    """The method behind a test, as :data:`equipoise.plan.estimand.METHODS` calls it."""
    if isinstance(analysis, Repeated) and test == "ancova":
        return "mi_ancova"
    return "carried_forward" if isinstance(analysis, CarriedForward) else test


def _does(analysis: OutcomeAnalysis | TimeToEvent) -> dict[str, str]:
    """What a time to event does at death and ventilation: whether they are the event, or end the time to another."""
    if not isinstance(analysis, TimeToEvent):
        return {}
    death = "counted" if analysis.event in (*_FIRST, "death") else "censored"
    return {"death": death, "ventilation": "counted" if analysis.event in _FIRST else "kept"}


class IntercurrentEvent(Frozen):
    """An intercurrent event and the strategy that the analyses with a test follow at it (ICH E9(R1), A.3.2)."""

    event: Literal["death", "ventilation", "withdrawal"]
    analysis: Test
    strategy: Strategy


class StatedEstimand(Estimand):
    """The estimand that a plan states for one of its tests, named as in ``order``."""

    of: str


class AnalysisPlan(Frozen):
    """All analyses of a trial, and the order in which they are tested.

    ``order`` names p-values as ``ANALYSIS.TEST`` with TEST one of those the analysis offers (``tests``). The
    first is the primary test; everything after a failed one is nominal (fixed-sequence testing).
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    imputations: Annotated[int, Field(ge=2)] = 20
    intercurrent_events: tuple[IntercurrentEvent, ...] = ()
    estimands: tuple[StatedEstimand, ...] = ()
    analyses: Annotated[tuple[Analysis, ...], Field(min_length=1)]
    order: tuple[str, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: dict[str, OutcomeAnalysis | TimeToEvent] = {}
        for analysis in self.analyses:
            if analysis.id in seen:
                raise ValueError(f"analyses: the id {analysis.id!r} is used twice")
            seen[analysis.id] = analysis
        for name in self.order:
            key, _, test = name.partition(".")
            if key not in seen:
                raise ValueError(f"order: {name!r} names no analysis of this plan")
            if test not in seen[key].tests:
                raise ValueError(f"order: {name!r}: analysis {key!r} offers {', '.join(seen[key].tests)}")
        self._answer_what_they_ask()
        return self

    def _answer_what_they_ask(self) -> None:
        """Raise ``ValueError`` where a strategy or an estimand is not what the analysis carries out."""
        for item in self.intercurrent_events:
            for analysis in (a for a in self.analyses if item.analysis in a.tests):
                done = carried_out(method_of(analysis, item.analysis), item.event, _does(analysis))
                if done != item.strategy:
                    raise ValueError(
                        f"intercurrent_events: {item.event} in the {item.analysis}: {item.strategy!r} is not what "
                        f"analysis {analysis.id!r} does; it does {done!r}"
                    )
        for stated in self.estimands:
            key, _, test = stated.of.partition(".")
            found = next((a for a in self.analyses if a.id == key and test in a.tests), None)
            if found is None:
                raise ValueError(f"estimands: {stated.of!r} names no test of this plan")
            if stated.population != found.set:
                raise ValueError(f"estimands: {stated.of}: population {stated.population!r}, analysed in {found.set!r}")
            wrong = contradictions(stated, method_of(found, test), does=_does(found), called=stated.of)
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
        found = next((a for a in self.analyses if a.id == key and test in a.tests), None)
        if found is None:
            raise ValueError(f"{name!r} names no test of this plan")
        method, events = method_of(found, test), []
        for event in ("death", "ventilation", "withdrawal"):
            strategy = carried_out(method, event, _does(found))
            if strategy is not None and not (isinstance(found, TimeToEvent) and strategy == "composite"
                                             and found.event == event):  # fmt: skip
                events.append(EventStrategy(event=event, strategy=strategy))
        summary = METHODS[method].summaries[0]
        if isinstance(found, TimeToEvent):
            variable = f"time to {found.subject} up to week {found.week:g}"
        elif found.log:
            variable = f"ratio of {found.variable} to baseline at week {found.week:g}"
            summary = "ratio of geometric means" if summary == "difference in means" else summary
        else:
            variable = f"change of {found.variable} from baseline to week {found.week:g}"
        return Estimand(treatment=treatment, population=found.set, variable=variable,
                        intercurrent_events=tuple(events), summary=summary)  # fmt: skip

    @property
    def primary(self) -> str:
        """The p-value that decides, as ``ANALYSIS.TEST``; raises ``ValueError`` where no order is given."""
        if not self.order:
            raise ValueError("order: name the primary test first, e.g. alsfrs_f_w28.joint_rank")
        return self.order[0]

    @property
    def imputes(self) -> bool:
        """Whether any analysis imputes missing values."""
        return any(isinstance(a, Repeated) for a in self.analyses)

    def analysis(self, key: str) -> OutcomeAnalysis | TimeToEvent:
        return next(a for a in self.analyses if a.id == key)

    def only(self, *ids: str) -> AnalysisPlan:
        """The same plan reduced to some analyses; the order keeps what is left of it."""
        keep = tuple(a for a in self.analyses if a.id in ids)
        order = tuple(o for o in self.order if o.partition(".")[0] in ids)
        left = tuple(e for e in self.estimands if e.of.partition(".")[0] in ids)
        return self.model_copy(update={"analyses": keep, "order": order, "estimands": left})
