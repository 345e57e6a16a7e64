"""What the ALS model measures, records and counts, by the names that records and plans use."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from equipoise.simulate.als import course
from equipoise.simulate.protocol import Intake, Protocol, Weeks
from equipoise.trial import EventTimes
from equipoise.types import FloatArray

OUTCOMES = {"ALSFRS": course.ALSFRS, "SVC": course.SVC, "HHD": course.HHD, "NFL": course.NFL, "SOD1": course.SOD1}
"""What can be measured -> its place in the kernel's output."""

MAIN_OUTCOME = "ALSFRS"
"""The outcome that a slope, a loss or a correlation without a name is of."""

COVARIATES = {
    "ONSETMO": course.ONSETMO,
    "PRESLOPE": course.PRESLOPE,
    "RILFL": course.RILFL,
    "EDAFL": course.EDAFL,
    "LISTEDFL": course.LISTED,
    "BULBFL": course.BULBAR,
    "AGE": course.AGE,
    "FRSPRE": course.BEFORE_RUN_IN,
    "RUNINCHG": course.RUN_IN_FALL,
}
"""Baseline covariates; a trial has those its scenario describes. ``FRSPRE`` is the score before a run-in and
``RUNINCHG`` the points lost in it. Names have at most 8 characters, as ADaM asks."""

FALLING = frozenset({"PRESLOPE"})
"""Covariates that records print with the other sign: a slope is negative where function fell."""

STATES = {
    "FUNCTION": course.FUNCTION,
    "CSF": course.CSF,
    "BIOPHASE": course.BIOPHASE,
    "SOD1": course.TARGET,
    "INJURY": course.INJURY,
    "NFL": course.BIOMARKER,
    "LAGGED_INJURY": course.LAGGED_INJURY,
    "LOSS": course.LOSS,
}
"""What a typical course shows -> its place in the state."""

_FIRST = ("censored", "permanent ventilation", "death")
_WORD = {"death": ("censored", "death"), "hospitalisation": ("censored", "hospitalisation")}


def derived_baseline(outcomes: Mapping[str, FloatArray], covariates: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Baseline variables made from others: the logarithm of neurofilament, and riluzole or edaravone."""
    out = {}
    if "NFL" in outcomes:
        out["LNNFLBL"] = np.log(outcomes["NFL"][:, :, 0])
    if {"RILFL", "EDAFL"} <= set(covariates):
        out["RILEDAFL"] = np.maximum(covariates["RILFL"], covariates["EDAFL"])
    return out


def event_times(times: FloatArray, *, hospital: bool, named: Collection[str] = ()) -> dict[str, EventTimes]:
    """The events of a block from the kernel's (trial, time, subject) table.

    Death or permanent ventilation is also called death or tracheostomy, as the trial named it. A key event is that or
    a stay in hospital, where stays are recorded. ``named``: the PARAMCD that a plan reads; these two are written for a
    plan that reads them.
    """
    first, week = times[:, 1].astype(np.int8), times[:, 0]
    fatal = times[:, 3] > 0.5
    out = {
        "death_or_ventilation": EventTimes(week, first > 0, parameter="DTHPV", cause=first, words=_FIRST),
        "death": EventTimes(times[:, 2], fatal, parameter="DEATH", words=_WORD["death"]),
    }
    if hospital:
        stay = times[:, 7] > 0.5
        out["hospitalisation"] = EventTimes(times[:, 6], stay, parameter="HOSP", words=_WORD["hospitalisation"])
        code = "KEYEVT" if "KEYEVT" in named else None
        out["key_event"] = EventTimes(np.minimum(week, times[:, 6]), (first > 0) | stay, parameter=code)
    code = "DTHTR" if "DTHTR" in named else None
    out["death_or_tracheostomy"] = EventTimes(week, first > 0, parameter=code, cause=first, words=_FIRST)
    return out


def schedule_of(
    protocol: Protocol,
    steps_per_week: int,
    outcomes: Collection[str] = tuple(OUTCOMES),
    *,
    as_it_happened: bool = False,
) -> course.ScheduleArrays:
    """A protocol as the kernel takes it; ``outcomes``: what is read, by the names of :data:`OUTCOMES`.

    ``as_it_happened``: the arms have the sizes of the published trial, where the protocol states them. Such a group
    is one block: strata within it are not kept.
    """
    blocks = protocol.blocks(as_it_happened=as_it_happened)
    strata = protocol.strata if set(blocks) == {protocol.ratio} else ()
    arms, dosing = protocol.arms, protocol.dosing
    taken = np.zeros((len(arms), 2))
    per_arm: list[Weeks] = [()] * len(arms)
    dose = np.zeros(len(arms))
    if isinstance(dosing, Intake):
        for a, arm in enumerate(arms):
            taken[a] = arm in dosing.randomised, arm in dosing.extension
    else:
        dose = np.array([dosing.of(arm) for arm in arms])
        per_arm = [(*dosing.randomised.get(arm, ()), *dosing.extension.get(arm, ())) for arm in arms]
    width = max(1, *(len(p) for p in per_arm))
    dose_weeks = np.full((len(arms), width), -1.0)
    for a, weeks in enumerate(per_arm):
        # pad at the end with a week after the trial, so that due doses stay in order
        dose_weeks[a] = [*weeks, *([protocol.last_week + 1.0] * (width - len(weeks)))]
    return course.ScheduleArrays(
        weeks=np.array(protocol.visits, dtype=np.float64),
        dose=dose,
        dose_weeks=dose_weeks,
        taken=taken,
        period_end=float(protocol.period_end),
        follow_first=float(protocol.follow_up.first) if protocol.follow_up else 0.0,
        follow_last=float(protocol.follow_up.last) if protocol.follow_up else 0.0,
        extension_entry=float(protocol.extension.entry) if protocol.extension else 0.0,
        block=np.array(blocks, dtype=np.int64),
        by_riluzole=int("RILFL" in strata),
        by_edaravone=int("EDAFL" in strata),
        by_bulbar=int("BULBFL" in strata),
        steps_per_week=steps_per_week,
        seen=np.array([name in outcomes for name in OUTCOMES]),
    )
