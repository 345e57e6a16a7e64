"""The disease, the population and the drug as data: every parameter named, with its unit.

The classes here are frozen descriptions; :mod:`equipoise.simulate.als.course` integrates them. How each parameter was
obtained (fitted, published, assumed) is written in the scenario file that holds its value.

Not every trial needs every part: one without a molecular target leaves out the target path, one that measured no
neurofilament leaves that out, and one of survival alone has no function. A part is given whole or not at all
(``GROUP_PARTS``, ``DISEASE_PARTS``); what is left out is neutral and never seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, field_validator, model_validator

from equipoise.files import Frozen
from equipoise.plan.end_points import EndPoint, declare
from equipoise.simulate.als import course
from equipoise.simulate.mechanism import Mechanism

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(gt=-1, lt=1)]


declare(
    DTHPV=EndPoint("death_or_ventilation", ("death", "ventilation")),
    DTHTR=EndPoint("death_or_tracheostomy", ("death", "ventilation")),
    HOSP=EndPoint("hospitalisation"),
    KEYEVT=EndPoint("key_event", ("death", "ventilation")),
)


class _Finite(Frozen, allow_inf_nan=False):
    """Numbers alone that are finite."""


_MECHANISM_CODE = {
    Mechanism.NONE: course.NONE,
    Mechanism.SYMPTOMATIC: course.SYMPTOMATIC,
    Mechanism.SLOWING: course.SLOWING,
    Mechanism.LAGGED: course.LAGGED,
    Mechanism.SURVIVAL: course.SURVIVAL,
    Mechanism.WANING: course.WANING,
}


class Group(_Finite):
    """The joint distribution, at baseline and after, of one recruitment group (VALOR: F and S).

    The true rate of loss r (points/month) has a normal square root:
    ``sqrt(r) = root_rate_mean + root_rate_nfl z(ln NfL) + root_rate_preslope (ln preslope - centre)
    + root_rate_svc (SVC - mean) / 10 + N(0, sd^2)``,
    negative roots counting as no loss. The pre-randomisation slope is not drawn: it is
    ``(48 - baseline ALSFRS-R) / months since onset``, as the trial computed it, and decides who is admitted.
    """

    listed_variant: Share | None = Field(default=None, description="share of patients carrying a listed fast variant")
    riluzole: Share | None = None
    edaravone: Share | None = None
    bulbar: Share | None = Field(default=None, description="share with bulbar onset")
    age_mean: Positive | None = Field(default=None, description="years")
    age_sd: NonNegative = 0.0
    ln_nfl_mean: float | None = Field(default=None, description="ln pg/mL, average over the arms")
    ln_nfl_sd: Positive | None = None
    ln_nfl_imbalance: float = Field(
        default=0.0, description="active minus control difference of mean ln NfL in the trial as it happened"
    )
    ln_onset_mean: float | None = Field(default=None, description="ln months since symptom onset, at entry")
    ln_onset_sd: Positive | None = None
    onset_max: Positive | None = Field(default=None, description="longest time since onset admitted, months")
    nfl_onset_corr: Correlation = 0.0
    function_mean: Annotated[float, Field(ge=0, le=48)] | None = None
    function_sd: Positive | None = None
    function_onset_corr: Correlation = Field(default=0.0, description="of the true score with ln time since onset")
    function_min: Annotated[float, Field(ge=0, le=48)] = 0.0
    function_max: Annotated[float, Field(ge=0, le=48)] = 48.0
    svc_mean: Positive | None = Field(default=None, description="% predicted")
    svc_sd: Positive | None = None
    svc_floor: NonNegative = 0.0
    ln_sod1_mean: float | None = Field(default=None, description="ln ng/mL, CSF")
    ln_sod1_sd: Positive | None = None
    hhd_mean: float | None = None
    hhd_sd: Positive | None = None
    root_rate_mean: float | None = Field(default=None, description="sqrt(points/month)")
    root_rate_nfl: float = 0.0
    root_rate_preslope: float = 0.0
    root_rate_bulbar: float = Field(default=0.0, description="added in bulbar onset")
    root_rate_svc: float = Field(default=0.0, description="per 10 points of vital capacity above the group's mean")
    root_rate_sd: NonNegative | None = None
    ln_preslope_centre: float = 0.0
    emax: Share | None = Field(default=None, description="largest share of SOD1 production the drug can switch off")
    injury_delay: Positive | None = Field(default=None, description="weeks, mean delay of injury behind SOD1")
    injury_exponent: NonNegative | None = Field(
        default=None, description="injury = (SOD1 behind the transit delay) ** exponent"
    )
    sod1_shift: float = Field(default=0.0, description="early shift of ln CSF SOD1 in both arms")
    sod1_drift: float = Field(default=0.0, description="ln units per week, both arms")
    sod1_wander: NonNegative = Field(default=0.0, description="SD per sqrt(week) of a person's ln random walk")
    nfl_drift: float = 0.0
    nfl_wander: NonNegative = 0.0
    function_noise: NonNegative | None = Field(
        default=None, description="SD of one ALSFRS-R total around the true score, points"
    )
    early_gain: float = Field(
        default=0.0, description="points above a straight decline at the peak of the curvature, both arms"
    )
    svc_per_point: NonNegative | None = Field(default=None, description="% predicted lost per ALSFRS-R point")
    hhd_per_point: NonNegative | None = Field(default=None, description="strength lost per ALSFRS-R point")
    ln_hazard: float = Field(default=0.0, description="ln hazard of events beside the common one")
    hazard_effect: NonNegative = Field(default=1.0, description="multiple of the drug's ln hazard ratio in this group")

    @model_validator(mode="after")
    def _whole_parts(self) -> Group:
        _whole(self, GROUP_PARTS)
        return self

    def has(self, part: str) -> bool:
        """Whether a part of ``GROUP_PARTS`` is given."""
        return getattr(self, GROUP_PARTS[part][0]) is not None


GROUP_PARTS = {
    "function": ("function_mean", "function_sd", "function_noise", "root_rate_mean", "root_rate_sd"),
    "onset": ("ln_onset_mean", "ln_onset_sd"),
    "neurofilament": ("ln_nfl_mean", "ln_nfl_sd"),
    "SOD1": ("ln_sod1_mean", "ln_sod1_sd"),
    "breathing": ("svc_mean", "svc_sd", "svc_per_point"),
    "strength": ("hhd_mean", "hhd_sd", "hhd_per_point"),
    "target": ("emax", "injury_delay", "injury_exponent"),
}
"""What belongs together in a group: given whole or left out."""


def _whole(model: BaseModel, parts: Mapping[str, tuple[str, ...]]) -> None:
    for part, names in parts.items():
        missing = [n for n in names if getattr(model, n) is None]
        if missing and len(missing) < len(names):
            given = ", ".join(n for n in names if n not in missing)
            raise ValueError(f"{part}: {', '.join(missing)} is missing beside {given}; give all or none")


# What stands in an array for a part left out. Function: nobody loses a point, and the hazard is the common one.
_LEFT_OUT = {
    "ln_onset_mean": 0.0,
    "ln_onset_sd": 1.0,
    "onset_max": math.inf,
    "ln_nfl_mean": 0.0,
    "ln_nfl_sd": 1.0,
    "function_mean": 36.0,
    "function_sd": 0.0,
    "function_noise": 0.0,
    "root_rate_mean": 0.0,
    "root_rate_sd": 0.0,
    "svc_mean": 100.0,
    "svc_sd": 0.0,
    "svc_per_point": 0.0,
    "hhd_mean": 0.0,
    "hhd_sd": 0.0,
    "hhd_per_point": 0.0,
    "ln_sod1_mean": 0.0,
    "ln_sod1_sd": 0.0,
    "emax": 0.0,
    "injury_delay": 1.0,
    "injury_exponent": 0.0,
    "listed_variant": 0.0,
    "riluzole": 0.0,
    "edaravone": 0.0,
    "bulbar": 0.0,
    "age_mean": 0.0,
    "volume": 1.0,
    "elimination": 1.0,
    "ec50": 1.0,
    "kout": 1.0,
    "nfl_loss": 1.0,
}


class Disease(_Finite):
    """Exposure, target, injury, biomarker, events: what all groups share.

    Without ``volume`` the drug has no target path: its effect builds up at ``ke0`` while it is taken and fades at the
    same rate afterwards.
    """

    volume: Positive | None = Field(default=None, description="apparent CSF volume, L")
    volume_sd: NonNegative = 0.0
    elimination: Positive | None = Field(default=None, description="per week")
    elimination_sd: NonNegative = 0.0
    ec50: Positive | None = Field(default=None, description="ng/mL")
    ke0: Positive = Field(description="rate from CSF, or from intake, to the site of action, per week")
    kout: Positive | None = Field(default=None, description="CSF SOD1 loss, per week")
    injury_exponent_sd: NonNegative = Field(default=0.0, description="SD of ln between patients")
    nfl_loss: Positive | None = Field(default=None, description="plasma NfL loss, per week")
    sod1_shift_rate: Positive = Field(default=1.0, description="per week")
    sod1_noise: NonNegative = Field(default=0.0, description="SD of ln, one sample")
    nfl_noise: NonNegative = 0.0
    early_gain_week: Positive = Field(
        default=1.0, description="week of the peak of the on-study curvature, gone at twice it"
    )
    run_in_pace: NonNegative = Field(default=1.0, description="true loss in a run-in, as a multiple of the later rate")
    svc_ratio_sd: NonNegative = 0.0
    svc_noise: NonNegative = 0.0
    hhd_ratio_sd: NonNegative = 0.0
    hhd_noise: NonNegative = 0.0
    event_hazard: NonNegative = Field(description="death or ventilation, per week, at ALSFRS-R 36")
    event_slope: float = Field(default=0.0, description="ln hazard per 10 points lost")
    event_rate: float = Field(default=0.0, description="ln hazard per point/month of current loss")
    event_bulbar: float = Field(default=0.0, description="ln hazard ratio of bulbar against limb onset")
    event_shape: Positive = Field(
        default=1.0, description="Weibull shape of the hazard over time since first dose; 1 = constant"
    )
    frailty_sd: NonNegative = Field(default=0.0, description="SD of ln hazard between patients")
    event_death_share: Share
    withdrawal_hazard: NonNegative = Field(description="per week, unrelated to events")
    withdrawal_slope: float = Field(default=0.0, description="ln withdrawal hazard per 10 points lost in the study")
    leaves_later: bool = Field(default=True, description="whether patients also leave after the randomised period")
    withdrawal_progression: NonNegative = Field(
        default=0.0, description="withdrawal for progression per unit of event hazard"
    )
    hospital_hazard: NonNegative = Field(default=0.0, description="first stay in hospital, per week, at ALSFRS-R 36")
    hospital_slope: float = Field(default=0.0, description="ln hazard of it per 10 points lost")
    missed_visit: Share

    @model_validator(mode="after")
    def _whole_parts(self) -> Disease:
        _whole(self, DISEASE_PARTS)
        return self

    @property
    def direct(self) -> bool:
        """Whether the drug acts without a target path."""
        return self.volume is None


DISEASE_PARTS = {"target": ("volume", "elimination", "ec50", "kout", "nfl_loss")}
"""What belongs together in the disease: given whole or left out."""


class Effect(_Finite):
    """How the drug acts under one mechanism.

    ``weight`` is the share of a person's loss that injury drives; ``lag`` (weeks) is how long function follows
    behind injury; ``gain`` (points, at full exposure) is the effect of a symptomatic drug, gone with the drug.
    ``hazard_ratio`` (of events, at full exposure) is the drug's own effect on them, beside what follows from function;
    its logarithm halves every ``half_life`` weeks on the drug under the waning mechanism.
    """

    mechanism: Mechanism
    weight: Share = 0.0
    lag: NonNegative = 0.0
    gain: float = 0.0
    hazard_ratio: Positive = 1.0
    half_life: NonNegative = 0.0

    @model_validator(mode="after")
    def _only_what_applies(self) -> Effect:
        if self.mechanism not in (Mechanism.SLOWING, Mechanism.LAGGED) and (self.weight or self.lag):
            raise ValueError(f"mechanism {self.mechanism.value!r} has no weight and no lag; leave both out")
        if self.mechanism is not Mechanism.SYMPTOMATIC and self.gain:
            raise ValueError("only the symptomatic mechanism has a gain; leave it out")
        if self.mechanism is Mechanism.LAGGED and not self.lag:
            raise ValueError("the lagged mechanism needs a lag above 0 weeks (without one it is 'slowing')")
        if self.mechanism is Mechanism.NONE and self.hazard_ratio != 1.0:
            raise ValueError("mechanism 'none' has no hazard ratio; leave it out")
        if self.mechanism is Mechanism.WANING and not self.half_life:
            raise ValueError("the waning mechanism needs a half-life above 0 weeks (without one it is 'survival')")
        if self.mechanism is not Mechanism.WANING and self.half_life:
            raise ValueError("only the waning mechanism has a half-life; leave it out")
        return self

    def arrays(self) -> course.EffectArrays:
        """The effect as the kernel takes it."""
        return course.EffectArrays(
            mechanism=_MECHANISM_CODE[self.mechanism],
            weight=float(self.weight),
            lag=float(self.lag),
            gain=float(self.gain),
            ln_hazard_ratio=math.log(self.hazard_ratio),
            waning=1.0 / self.half_life if self.half_life else 0.0,
        )


class Admission(Frozen):
    """The bounds (points/month) of the pre-randomisation slope that put a patient into a group."""

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
    blocks: Sequence[Sequence[int]],
    *,
    imbalance: bool,
    run_in: tuple[float, float, float] = (0.0, -math.inf, math.inf),
    run_in_pace: float = 1.0,
) -> course.PopulationArrays:
    """The population as the kernel takes it; ``run_in`` is its weeks and the falls of the score that admit.

    ``blocks`` are the patients of each group's permuted block by arm, control first; with ``imbalance`` the mean ln
    NfL of the active arms and of control differ as they did in the trial, the mean over all patients unchanged.
    """
    ids = list(sizes)
    gs = [groups[i] for i in ids]

    def column(name: str) -> np.ndarray:
        return _column(gs, name)

    difference = column("ln_nfl_imbalance") if imbalance else np.zeros(len(gs))
    shares = np.array([[n / sum(block) for n in block] for block in blocks])
    offset = np.repeat((shares[:, 0] * difference)[:, None], shares.shape[1], axis=1)
    offset[:, 0] = [-sum(share[1:]) * d for share, d in zip(shares, difference, strict=True)]
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
        function_min=column("function_min"),
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
        function_onset_corr=column("function_onset_corr"),
        onset_max=column("onset_max"),
        bulbar=column("bulbar"),
        root_rate_bulbar=column("root_rate_bulbar"),
        root_rate_svc=column("root_rate_svc"),
        age_mean=column("age_mean"),
        age_sd=column("age_sd"),
        run_in=float(run_in[0]),
        run_in_pace=float(run_in_pace),
        fall_low=float(run_in[1]),
        fall_high=float(run_in[2]),
    )


def _column(models: list[Group], name: str) -> np.ndarray:
    """(group,) values of one field, what is left out at its neutral value."""
    values = [getattr(m, name) for m in models]
    return np.array([_LEFT_OUT[name] if v is None else v for v in values], dtype=np.float64)


def disease_arrays(disease: Disease, groups: list[Group]) -> course.DiseaseArrays:
    """The disease as the kernel takes it, groups in the order of recruitment."""

    def column(name: str) -> np.ndarray:
        return _column(groups, name)

    def number(name: str) -> float:
        value = getattr(disease, name)
        return float(_LEFT_OUT[name] if value is None else value)

    return course.DiseaseArrays(
        volume=number("volume"),
        volume_sd=number("volume_sd"),
        elimination=number("elimination"),
        elimination_sd=number("elimination_sd"),
        emax=column("emax"),
        ec50=number("ec50"),
        ke0=number("ke0"),
        kout=number("kout"),
        injury_delay=column("injury_delay"),
        gamma=column("injury_exponent"),
        gamma_sd=number("injury_exponent_sd"),
        nfl_loss=number("nfl_loss"),
        sod1_shift=column("sod1_shift"),
        sod1_shift_rate=number("sod1_shift_rate"),
        sod1_drift=column("sod1_drift"),
        sod1_noise=number("sod1_noise"),
        sod1_wander=column("sod1_wander"),
        nfl_drift=column("nfl_drift"),
        nfl_noise=number("nfl_noise"),
        nfl_wander=column("nfl_wander"),
        function_noise=column("function_noise"),
        bump=column("early_gain"),
        bump_week=number("early_gain_week"),
        svc_per_point=column("svc_per_point"),
        svc_ratio_sd=number("svc_ratio_sd"),
        svc_noise=number("svc_noise"),
        hhd_per_point=column("hhd_per_point"),
        hhd_ratio_sd=number("hhd_ratio_sd"),
        hhd_noise=number("hhd_noise"),
        event_hazard=number("event_hazard"),
        event_slope=number("event_slope"),
        event_rate=number("event_rate"),
        event_death_share=number("event_death_share"),
        withdrawal_hazard=number("withdrawal_hazard"),
        withdrawal_progression=number("withdrawal_progression"),
        missed_visit=number("missed_visit"),
        ln_hazard=column("ln_hazard"),
        hazard_effect=column("hazard_effect"),
        event_bulbar=number("event_bulbar"),
        event_shape=number("event_shape"),
        frailty_sd=number("frailty_sd"),
        leaves_later=int(disease.leaves_later),
        withdrawal_slope=number("withdrawal_slope"),
        hospital_hazard=number("hospital_hazard"),
        hospital_slope=number("hospital_slope"),
        direct=int(disease.direct),
    )


CHANNELS = {"ALSFRS": "function", "SVC": "breathing", "HHD": "strength", "NFL": "neurofilament", "SOD1": "SOD1"}
"""What the simulation can measure, and the part of a group that each needs."""

STRATA = ("RILFL", "EDAFL", "BULBFL")
"""What randomisation can be stratified by, besides the group."""


def covariates_of(groups: Sequence[Group], run_in: bool) -> tuple[str, ...]:
    """The baseline covariates that patients of these groups have."""
    have = {
        "ONSETMO": all(g.has("onset") for g in groups),
        "PRESLOPE": all(g.has("onset") and g.has("function") for g in groups),
        "RILFL": all(g.riluzole is not None for g in groups),
        "EDAFL": all(g.edaravone is not None for g in groups),
        "LISTEDFL": all(g.listed_variant is not None for g in groups),
        "BULBFL": all(g.bulbar is not None for g in groups),
        "AGE": all(g.age_mean is not None for g in groups),
        "FRSPRE": run_in,
        "RUNINCHG": run_in,
    }
    return tuple(name for name, here in have.items() if here)
