"""What a kernel for many trials carries out: six forms of analysis, as data.

Nobody writes these. A method with a kernel finds its form in a section (``Kernel.form`` in its module of
``plan/methods/``), and its block then runs on many trials at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from equipoise.files import Frozen
from equipoise.plan import end_points

Test = Literal["ancova", "joint_rank", "mmrm", "slope", "delayed_start", "log_rank", "wilcoxon", "cox"]


Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""An outcome as the scenario's ``outcomes`` name it."""

Covariate = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""A baseline variable as :meth:`equipoise.trial.Trials.baseline` knows it; ``BASE`` is the outcome's own baseline."""

Observed = Annotated[float, Field(ge=0)]
Df = Literal["satterthwaite", "kenward-roger", "kenward-roger-linear"]


class _Form(Frozen):
    """What all forms share: a name, whom they are about, and how far they go."""

    id: str
    set: str
    week: Annotated[float, Field(gt=0)]
    prespecified: bool = True

    @property
    def tests(self) -> tuple[Test, ...]:
        """The tests it offers, as in ``order``."""
        raise NotImplementedError

    @property
    def method(self) -> str:
        """The method of a plan whose kernel carries it out."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """What it is about, in a word or two: an outcome or an event."""
        raise NotImplementedError


class _OfOutcome(_Form):
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
    ancova: bool = True
    joint_rank: bool = False
    imputations: Annotated[int, Field(ge=2)] = 20
    burn_in: Annotated[int, Field(ge=1)] = 3

    @property
    def tests(self) -> tuple[Test, ...]:
        return (*(("ancova",) if self.ancova else ()), *(("joint_rank",) if self.joint_rank else ()))

    @property
    def method(self) -> str:
        return "mi_ancova" if self.ancova else "joint_rank"

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.tests:
            raise ValueError(f"{self.id}: neither the ANCOVA nor the joint rank test is asked for")
        return self


class CarriedForward(_OfOutcome):
    """ANOVA, or with ``covariates`` ANCOVA, of the change from baseline with the last observation carried forward.

    At every visit up to ``week`` each patient has the last value seen after baseline; who has none takes no part.
    ``observed_to`` (weeks): only patients seen at a visit in that week or later, as in a trial that analyses those who
    completed a first part.
    """

    kind: Literal["carried_forward"] = "carried_forward"
    observed_to: Observed = 0.0

    @property
    def method(self) -> str:
        return "carried_forward"

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
    df: Df = "kenward-roger-linear"

    @property
    def tests(self) -> tuple[Test, ...]:
        return ("mmrm",)

    @property
    def method(self) -> str:
        return "clda" if self.constrained else "mmrm"

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
    df: Df = "kenward-roger-linear"

    @property
    def tests(self) -> tuple[Test, ...]:
        return ("slope",)

    @property
    def method(self) -> str:
        return "slope"

    @model_validator(mode="after")
    def _baseline_once(self) -> Self:
        if "BASE" in self.covariates:
            raise ValueError(f"{self.id}: the baseline is a response of this model; leave BASE out")
        return self


class TimeToEvent(_Form):
    """Log-rank and Wilcoxon tests within ``strata``, and Cox regression on ``covariates``, up to ``week``.

    Arms are those of the randomisation, whatever was taken later. The Wilcoxon test weighs an event by the
    Kaplan-Meier estimate before it (Peto & Peto), so that early events count more. ``offers``: the tests it is asked
    for.
    """

    kind: Literal["time_to_event"] = "time_to_event"
    event: str
    covariates: tuple[Covariate, ...] = ()
    strata: tuple[Covariate, ...] = ()

    TESTS: ClassVar[tuple[Test, ...]] = ("log_rank", "wilcoxon", "cox")
    offers: tuple[Test, ...] = TESTS

    @field_validator("event")
    @classmethod
    def _known(cls, event: str) -> str:
        if event not in end_points.known():
            raise ValueError(f"{event!r} is no end point; there are {', '.join(end_points.known())}")
        return event

    @property
    def tests(self) -> tuple[Test, ...]:
        return self.offers

    @property
    def method(self) -> str:
        return "survival"

    @property
    def subject(self) -> str:
        return self.event.replace("_", " ")


class DelayedStart(_OfOutcome):
    """One repeated-measures model over both periods, and the three questions of a delayed start.

    ``week`` is the end of period 2. The rest as in the section of the method.
    """

    kind: Literal["delayed_start"] = "delayed_start"
    period_end: Annotated[float, Field(gt=0)]
    third: Literal["preserved", "difference"] = "preserved"
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    margin: float | None = None
    structure: Literal["us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh"] = "us"
    df: Df = "kenward-roger-linear"

    @property
    def tests(self) -> tuple[Test, ...]:
        return ("delayed_start",)

    @property
    def method(self) -> str:
        return "delayed_start"


OutcomeForm = Repeated | CarriedForward | MixedModel | Slopes
"""The forms about a measured outcome, which have means of the arms at visits."""

AnyForm = OutcomeForm | DelayedStart | TimeToEvent


class Lowered(NamedTuple):
    """A form, and the section (from 1) of the analysis behind each of its tests."""

    form: AnyForm
    places: Mapping[str, int]

    @property
    def sections(self) -> frozenset[int]:
        """The sections that it covers."""
        return frozenset(self.places.values())


FORM_NAMES = ("repeated", "carried_forward", "mmrm", "slopes", "delayed_start", "time_to_event")
"""Their ``kind``, by which scenarios once named them."""


def method_of(form: AnyForm, test: str) -> str:
    """The method behind a test, as :data:`equipoise.plan.estimand.METHODS` calls it."""
    return form.method if test == "ancova" else test


def does_of(form: AnyForm) -> dict[str, str]:
    """What a time to event does at intercurrent events: counted as the event, or the end of the time to another."""
    if not isinstance(form, TimeToEvent):
        return {}
    counted = end_points.counted(form.event)
    events = (e for e in end_points.intercurrent_events() if e != "withdrawal")
    return {e: "counted" if e in counted else "censored" if e == "death" else "kept" for e in events}


class TrialByTrial(Frozen):
    """What is known of an analysis that no kernel covers, so that it is carried out on one trial after the other.

    ``week``: how far it goes, None where its sections do not say. ``about``: its parameter or data set; ``outcome``:
    the measured outcome, where it is about one. ``methods`` name its tests.
    """

    id: str
    set: str
    about: str
    methods: tuple[str, ...]
    outcome: str | None = None
    week: float | None = None
    prespecified: bool = True

    @property
    def tests(self) -> tuple[str, ...]:
        """Its methods, by which ``order`` names its tests."""
        return self.methods

    @property
    def subject(self) -> str:
        """What it is about, in a word: a parameter or a data set."""
        return self.about
