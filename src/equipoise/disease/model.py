"""The disease, the population and the drug as data: every parameter named, with its unit.

The classes here are frozen descriptions; :mod:`equipoise.kernels.course` integrates them. How each parameter was
obtained (fitted, published, assumed) is written in the scenario file that holds its value.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from equipoise.kernels import course

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(gt=-1, lt=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Mechanism(StrEnum):
    """One hypothesis of how the drug acts on function; the biomarker path is the same in all four."""

    NONE = "none"
    SYMPTOMATIC = "symptomatic"
    SLOWING = "slowing"
    LAGGED = "lagged"


_MECHANISM_CODE = {
    Mechanism.NONE: course.NONE,
    Mechanism.SYMPTOMATIC: course.SYMPTOMATIC,
    Mechanism.SLOWING: course.SLOWING,
    Mechanism.LAGGED: course.LAGGED,
}


class Group(_Frozen):
    """The joint distribution, at baseline and after, of one recruitment group (VALOR: F and S).

    The true rate of loss r (points/month) has a normal square root:
    ``sqrt(r) = root_rate_mean + root_rate_nfl z(ln NfL) + root_rate_preslope (ln preslope - centre) + N(0, sd^2)``,
    negative roots counting as no loss. The pre-randomisation slope is not drawn: it is
    ``(48 - baseline ALSFRS-R) / months since onset``, as the trial computed it, and decides who is admitted.
    """

    listed_variant: Share = Field(description="share of patients carrying a listed fast variant")
    riluzole: Share
    edaravone: Share
    ln_nfl_mean: float = Field(description="ln pg/mL, average over the arms")
    ln_nfl_sd: Positive
    ln_nfl_imbalance: float = Field(
        default=0.0, description="active minus control difference of mean ln NfL in the trial as it happened"
    )
    ln_onset_mean: float = Field(description="ln months since symptom onset")
    ln_onset_sd: Positive
    nfl_onset_corr: Correlation
    function_mean: Annotated[float, Field(ge=0, le=48)]
    function_sd: Positive
    function_max: Annotated[float, Field(ge=0, le=48)] = 48.0
    svc_mean: Positive = Field(description="% predicted")
    svc_sd: Positive
    svc_floor: NonNegative = 0.0
    ln_sod1_mean: float = Field(description="ln ng/mL, CSF")
    ln_sod1_sd: Positive
    hhd_mean: float = 0.0
    hhd_sd: Positive = 1.0
    root_rate_mean: float = Field(description="sqrt(points/month)")
    root_rate_nfl: float
    root_rate_preslope: float
    root_rate_sd: NonNegative
    ln_preslope_centre: float
    emax: Share = Field(description="largest share of SOD1 production that the drug can switch off")
    injury_delay: Positive = Field(description="weeks, mean delay of injury behind SOD1")
    injury_exponent: NonNegative = Field(description="injury = (SOD1 behind the transit delay) ** exponent")
    sod1_shift: float = Field(description="early shift of ln CSF SOD1 in both arms")
    sod1_drift: float = Field(description="ln units per week, both arms")
    sod1_wander: NonNegative = Field(description="SD per sqrt(week) of a person's ln random walk")
    nfl_drift: float
    nfl_wander: NonNegative
    function_noise: NonNegative = Field(description="SD of one ALSFRS-R total around the true score, points")
    early_gain: float = Field(description="points above a straight decline at the peak of the curvature, both arms")
    svc_per_point: NonNegative = Field(description="% predicted lost per ALSFRS-R point")
    hhd_per_point: NonNegative = Field(description="z lost per ALSFRS-R point")


class Disease(_Frozen):
    """Exposure, target, injury, biomarker, events: what all groups share."""

    volume: Positive = Field(description="apparent CSF volume, L")
    volume_sd: NonNegative
    elimination: Positive = Field(description="per week")
    elimination_sd: NonNegative
    ec50: Positive = Field(description="ng/mL")
    ke0: Positive = Field(description="rate from CSF to the site of action, per week")
    kout: Positive = Field(description="CSF SOD1 loss, per week")
    injury_exponent_sd: NonNegative = Field(description="SD of ln between patients")
    nfl_loss: Positive = Field(description="plasma NfL loss, per week")
    sod1_shift_rate: Positive = Field(description="per week")
    sod1_noise: NonNegative = Field(description="SD of ln, one sample")
    nfl_noise: NonNegative
    early_gain_week: Positive = Field(description="week of the peak of the on-study curvature, gone at twice it")
    svc_ratio_sd: NonNegative
    svc_noise: NonNegative
    hhd_ratio_sd: NonNegative
    hhd_noise: NonNegative
    event_hazard: NonNegative = Field(description="death or ventilation, per week, at ALSFRS-R 36")
    event_slope: float = Field(description="ln hazard per 10 points lost")
    event_rate: float = Field(description="ln hazard per point/month of current loss")
    event_death_share: Share
    withdrawal_hazard: NonNegative = Field(description="per week, unrelated to progression")
    withdrawal_progression: NonNegative = Field(description="withdrawal for progression per unit of event hazard")
    missed_visit: Share


class Effect(_Frozen):
    """How the drug acts on function under one mechanism.

    ``weight`` is the share of a person's loss that injury drives; ``lag`` (weeks) is how long function follows
    behind injury; ``gain`` (points, at full exposure) is the effect of a symptomatic drug, gone with the drug.
    """

    mechanism: Mechanism
    weight: Share = 0.0
    lag: NonNegative = 0.0
    gain: float = 0.0

    @model_validator(mode="after")
    def _only_what_applies(self) -> Effect:
        if self.mechanism in (Mechanism.NONE, Mechanism.SYMPTOMATIC) and (self.weight or self.lag):
            raise ValueError(f"mechanism {self.mechanism.value!r} has no weight and no lag; leave both out")
        if self.mechanism is not Mechanism.SYMPTOMATIC and self.gain:
            raise ValueError("only the symptomatic mechanism has a gain; leave it out")
        if self.mechanism is Mechanism.LAGGED and not self.lag:
            raise ValueError("the lagged mechanism needs a lag above 0 weeks (without one it is 'slowing')")
        return self

    def arrays(self) -> course.EffectArrays:
        """The effect as the kernel takes it."""
        return course.EffectArrays(
            _MECHANISM_CODE[self.mechanism], float(self.weight), float(self.lag), float(self.gain)
        )


class Admission(BaseModel):
    """The bounds (points/month) of the pre-randomisation slope that put a patient into a group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listed: tuple[float, float] = (-math.inf, math.inf)
    other: tuple[float, float] = (-math.inf, math.inf)

    @field_validator("listed", "other", mode="before")
    @classmethod
    def _open_ends(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and len(value) == 2:
            low, high = value
            return (-math.inf if low is None else low, math.inf if high is None else high)
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Admission:
        for name, (low, high) in (("listed", self.listed), ("other", self.other)):
            if low > high:
                raise ValueError(f"{name}: the lower bound {low:g} exceeds the upper bound {high:g}")
        return self


def population_arrays(
    groups: dict[str, Group],
    sizes: dict[str, int],
    admission: dict[str, Admission],
    shares: tuple[float, float],
    *,
    imbalance: bool,
) -> course.PopulationArrays:
    """The population as the kernel takes it.

    ``shares`` are the allocation shares of control and active; with ``imbalance`` the arms' mean ln NfL differ as
    they did in the trial, the mean over all patients unchanged.
    """
    ids = list(sizes)
    gs = [groups[i] for i in ids]

    def column(name: str) -> np.ndarray:
        return np.array([getattr(g, name) for g in gs], dtype=np.float64)

    difference = column("ln_nfl_imbalance") if imbalance else np.zeros(len(gs))
    offset = np.stack([-shares[1] * difference, shares[0] * difference], axis=1)
    bounds = [(admission[i].other, admission[i].listed) for i in ids]
    return course.PopulationArrays(
        size=np.array([sizes[i] for i in ids], dtype=np.int64),
        preslope_low=np.array([[b[0] for b in pair] for pair in bounds], dtype=np.float64),
        preslope_high=np.array([[b[1] for b in pair] for pair in bounds], dtype=np.float64),
        listed_variant=column("listed_variant"),
        riluzole=column("riluzole"),
        edaravone=column("edaravone"),
        ln_nfl_mean=column("ln_nfl_mean"),
        ln_nfl_offset=np.ascontiguousarray(offset),
        ln_nfl_sd=column("ln_nfl_sd"),
        ln_onset_mean=column("ln_onset_mean"),
        ln_onset_sd=column("ln_onset_sd"),
        nfl_onset_corr=column("nfl_onset_corr"),
        function_mean=column("function_mean"),
        function_sd=column("function_sd"),
        function_max=column("function_max"),
        svc_mean=column("svc_mean"),
        svc_sd=column("svc_sd"),
        svc_floor=column("svc_floor"),
        ln_sod1_mean=column("ln_sod1_mean"),
        ln_sod1_sd=column("ln_sod1_sd"),
        hhd_mean=column("hhd_mean"),
        hhd_sd=column("hhd_sd"),
        root_rate_mean=column("root_rate_mean"),
        root_rate_nfl=column("root_rate_nfl"),
        root_rate_preslope=column("root_rate_preslope"),
        root_rate_sd=column("root_rate_sd"),
        ln_preslope_centre=column("ln_preslope_centre"),
    )


def disease_arrays(disease: Disease, groups: list[Group]) -> course.DiseaseArrays:
    """The disease as the kernel takes it, groups in the order of recruitment."""

    def column(name: str) -> np.ndarray:
        return np.array([getattr(g, name) for g in groups], dtype=np.float64)

    d = disease
    return course.DiseaseArrays(
        volume=d.volume,
        volume_sd=d.volume_sd,
        elimination=d.elimination,
        elimination_sd=d.elimination_sd,
        emax=column("emax"),
        ec50=d.ec50,
        ke0=d.ke0,
        kout=d.kout,
        injury_delay=column("injury_delay"),
        gamma=column("injury_exponent"),
        gamma_sd=d.injury_exponent_sd,
        nfl_loss=d.nfl_loss,
        sod1_shift=column("sod1_shift"),
        sod1_shift_rate=d.sod1_shift_rate,
        sod1_drift=column("sod1_drift"),
        sod1_noise=d.sod1_noise,
        sod1_wander=column("sod1_wander"),
        nfl_drift=column("nfl_drift"),
        nfl_noise=d.nfl_noise,
        nfl_wander=column("nfl_wander"),
        function_noise=column("function_noise"),
        bump=column("early_gain"),
        bump_week=d.early_gain_week,
        svc_per_point=column("svc_per_point"),
        svc_ratio_sd=d.svc_ratio_sd,
        svc_noise=d.svc_noise,
        hhd_per_point=column("hhd_per_point"),
        hhd_ratio_sd=d.hhd_ratio_sd,
        hhd_noise=d.hhd_noise,
        event_hazard=d.event_hazard,
        event_slope=d.event_slope,
        event_rate=d.event_rate,
        event_death_share=d.event_death_share,
        withdrawal_hazard=d.withdrawal_hazard,
        withdrawal_progression=d.withdrawal_progression,
        missed_visit=d.missed_visit,
    )
