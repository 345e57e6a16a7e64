"""The progression model as data: every number named, with its unit. Nothing here is written in Python by a user.

Loss counts in points of the outcome in its worse direction, whichever that is: one description serves a score that
falls and one that rises. Times are weeks, rates are points per month of 30.4375 days.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from equipoise.files import Frozen, PlaceError
from equipoise.plan.end_points import EndPoint, declare
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.progression.courses import Course, Finite, Positive
from equipoise.types import FloatArray

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]
Code = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,7}$")]
"""A name that ADaM can hold: capitals and digits, at most 8."""

MECHANISMS = frozenset(Mechanism) - {Mechanism.WANING}


class Outcome(Frozen):
    """What the outcome is: its range, which end of it is worse, and the steps that it is measured in.

    ``grid``: 1 for whole points, 0.5 for halves, 0 for a continuous measure.
    """

    label: str = ""
    direction: Literal["higher_better", "lower_better"]
    low: Finite | None = None
    high: Finite | None = None
    grid: NonNegative = 0.0

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise PlaceError(f"the lowest value, {self.low:g}, does not lie below the highest, {self.high:g}", "low")
        return self

    @property
    def way(self) -> float:
        """1 where higher is worse, -1 where higher is better."""
        return 1.0 if self.direction == "lower_better" else -1.0


class Residual(Frozen):
    """What one visit departs from the person's own course, and how like its neighbours it is.

    ``correlation`` is that of two visits ``weeks`` apart (continuous in time: c ** (distance / weeks)); without
    ``weeks`` that of each visit with the one before it, however far apart (AR(1)).
    """

    sd: NonNegative
    correlation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weeks: Positive | None = None

    def keep(self, visits: FloatArray) -> FloatArray:
        """(visit,) correlation with the visit before; 0 at the first.

        >>> Residual(sd=1, correlation=0.5, weeks=4).keep(np.array([0.0, 4.0, 12.0]))
        array([0.  , 0.5 , 0.25])
        """
        out = np.zeros(len(visits))
        if self.weeks is None:
            out[1:] = self.correlation
        elif self.correlation > 0.0:
            out[1:] = self.correlation ** (np.diff(visits) / self.weeks)
        return out

    def covariance(self, visits: FloatArray) -> FloatArray:
        """(visit, visit) covariance."""
        run = np.cumsum(np.log(np.maximum(self.keep(visits)[1:], 1e-300)))
        at = np.concatenate([[0.0], run])
        return np.asarray(self.sd**2 * np.exp(-np.abs(at[:, None] - at[None, :])), dtype=np.float64)


class MarkerModel(Frozen):
    """A biomarker, by its natural logarithm: drift without drug, the drug's effect, and the residual of one sample.

    ``drift`` ln units a month; ``per_point`` ln units for each point of true loss; ``ratio`` what the drug multiplies
    it by at full effect, reached with the time constant ``onset`` (weeks). It is the same under every mechanism.
    """

    residual: Residual
    drift: Finite = 0.0
    per_point: Finite = 0.0
    ratio: Positive = 1.0
    onset: NonNegative = 0.0


class Event(Frozen):
    """An event with a hazard: constant, or Weibull in the weeks since first dose, and moved by the current true value.

    ``parameter`` is its PARAMCD and ``name`` what keys and tables call it; DEATH is fatal, and nothing else is unless
    it is said. ``hazard`` per week at ``reference``; ``per_point`` ln hazard for each point worse than that; ``shape``
    of the Weibull hazard, whose cumulative value is that of the constant one at week 52.
    """

    parameter: Code = "DEATH"
    name: str = ""
    hazard: Positive
    shape: Positive = 1.0
    per_point: Finite = 0.0
    reference: Finite | None = None
    fatal: bool | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.parameter == "DEATH" and self.fatal is False:
            raise PlaceError("death is fatal; leave it out, or give the event another parameter", "fatal")
        if self.per_point and self.reference is None:
            raise PlaceError(
                "the hazard depends on the value; say at which value (reference) it is 'hazard'", "per_point"
            )
        if self.parameter != "DEATH":
            declare(**{self.parameter: EndPoint(self.key, ("death",) if self.is_fatal else ())})
        return self

    @property
    def is_fatal(self) -> bool:
        """Whether it ends the patient's course."""
        return self.parameter == "DEATH" if self.fatal is None else self.fatal

    @property
    def key(self) -> str:
        """Its name in keys and in the trials."""
        if self.parameter == "DEATH":
            return "death"
        return self.name.strip().replace(" ", "_") or self.parameter.lower()


class Dropout(Frozen):
    """Who leaves: a hazard per week, and its logarithm for each point lost since baseline, as last observed."""

    hazard: Positive
    per_point: Finite = 0.0


class Disease(Frozen):
    """What all groups share."""

    outcome: Outcome
    residual: Residual
    marker: MarkerModel | None = None
    event: Event | None = None
    dropout: Dropout | None = None
    missed_visit: Share = 0.0


class Factor(Frozen):
    """A binary trait that a share of patients has, and what it adds: to level, rate (a month), ln marker, ln hazard."""

    share: Share
    level: Finite = 0.0
    rate: Finite = 0.0
    marker: Finite = 0.0
    ln_hazard: Finite = 0.0


class GroupMarker(Frozen):
    """The marker at week 0, ln: mean, SD, and its correlation with the true level and with the rate of loss."""

    mean: Finite
    sd: NonNegative
    level_corr: Correlation = 0.0
    rate_corr: Correlation = 0.0


class Group(Frozen):
    """The patients of a recruitment group.

    ``mean`` and ``sd`` of the true level at week 0 (the observed SD is sqrt(sd^2 + residual^2)); ``course`` the mean
    loss; ``rate_sd`` the SD between patients of a constant rate added to it, points a month, and ``rate_corr`` its
    correlation with the level. ``ln_hazard``: of the event, beside the common one. ``factors``: binary traits by their
    names, which randomisation can be stratified by.
    """

    mean: Finite
    sd: NonNegative
    course: Course
    rate_sd: NonNegative = 0.0
    rate_corr: Correlation = 0.0
    marker: GroupMarker | None = None
    factors: dict[Code, Factor] = Field(default_factory=dict)
    ln_hazard: Finite = 0.0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if float(np.linalg.eigvalsh(self.correlation)[0]) < -1e-9:
            raise ValueError(
                "rate_corr, marker.level_corr and marker.rate_corr contradict each other: nothing is so correlated"
            )
        return self

    @property
    def correlation(self) -> FloatArray:
        """(3, 3) of level, rate and ln marker."""
        level, rate = (self.marker.level_corr, self.marker.rate_corr) if self.marker is not None else (0.0, 0.0)
        return np.array([[1.0, self.rate_corr, level], [self.rate_corr, 1.0, rate], [level, rate, 1.0]])


class Effect(Frozen):
    """How the drug acts under one mechanism.

    ``slowing`` (slowing, lagged): the share of the loss that it takes away at full effect. ``lag`` (lagged): weeks
    until it does; ``stages`` 0 for a sharp lag, n for a chain of n transit stages with that mean. ``gain``
    (symptomatic): points at full effect, reached with the time constant ``onset`` (weeks; 0: at once), gone as it came
    when the drug stops. ``worsening`` (harm): the share by which loss is faster; harm may also have a negative
    ``gain``. ``hazard_ratio``: of the event, on the drug, beside what follows from the value.

    Doses: ``by_dose`` gives the share of the effect at each dose of the protocol, or ``ed50`` (and ``hill``) the dose
    with half of it: d^h / (d^h + ed50^h). Without either every dose has the full effect.
    """

    mechanism: Mechanism
    slowing: Annotated[float, Field(ge=-1, le=1)] = 0.0
    lag: NonNegative = 0.0
    stages: Annotated[int, Field(ge=0, le=20)] = 0
    gain: Finite = 0.0
    onset: NonNegative = 0.0
    worsening: NonNegative = 0.0
    hazard_ratio: Positive = 1.0
    by_dose: dict[float, Finite] | None = None
    ed50: Positive | None = None
    hill: Positive = 1.0

    @model_validator(mode="after")
    def _only_what_applies(self) -> Self:
        m, name = self.mechanism, self.mechanism.value
        slows = m in (Mechanism.SLOWING, Mechanism.LAGGED)
        if self.slowing and not slows:
            raise PlaceError(f"mechanism {name!r} slows nothing; leave it out", "slowing")
        if self.slowing < 0:
            raise PlaceError("a drug that speeds the loss up has the mechanism 'harm' and a 'worsening'", "slowing")
        if (self.lag or self.stages) and m is not Mechanism.LAGGED:
            raise PlaceError(
                "only the mechanism 'lagged' has a lag and stages; leave both out", "lag" if self.lag else "stages"
            )
        if m is Mechanism.LAGGED and not self.lag:
            raise PlaceError(
                "the mechanism 'lagged' needs a lag above 0 weeks (without one it is 'slowing')", "mechanism"
            )
        if (self.gain or self.onset) and m not in (Mechanism.SYMPTOMATIC, Mechanism.HARM):
            raise PlaceError("only 'symptomatic' and 'harm' move the level; leave gain and onset out", "gain")
        if m is Mechanism.HARM and self.gain > 0:
            raise PlaceError("a drug that harms has no gain above 0", "gain")
        if m is Mechanism.SYMPTOMATIC and self.gain < 0:
            raise PlaceError("a drug that lowers the level has the mechanism 'harm'", "gain")
        if self.worsening and m is not Mechanism.HARM:
            raise PlaceError("only the mechanism 'harm' has a worsening; leave it out", "worsening")
        if m is Mechanism.NONE and self.hazard_ratio != 1.0:
            raise PlaceError("mechanism 'none' has no hazard ratio; leave it out", "hazard_ratio")
        if self.by_dose is not None and self.ed50 is not None:
            raise PlaceError("give by_dose or ed50, not both", "by_dose")
        return self

    def at_dose(self, dose: float | None) -> float:
        """The share of the full effect at a dose; all of it where the protocol gives no doses.

        >>> Effect(mechanism="slowing", slowing=0.3, ed50=10).at_dose(10)
        0.5
        """
        if dose is None or (self.by_dose is None and self.ed50 is None):
            return 1.0
        if self.by_dose is not None:
            return self.by_dose[dose]
        return float(dose**self.hill / (dose**self.hill + float(self.ed50 or 0) ** self.hill))


class Admission(Frozen):
    """The range of the observed value at week 0 that admits to a group."""

    low: Finite | None = None
    high: Finite | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise PlaceError(f"the lowest value admitted, {self.low:g}, exceeds the highest, {self.high:g}", "low")
        return self
