"""What is known of virtual trials before their end, or of some of their patients: the same trials with less in them.

Every analysis of a plan takes the result, by kernel or trial by trial, so that an interim look is analysed by the very
code of the final analysis.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from equipoise.trial.trials import EventTimes, Trials
from equipoise.types import BoolArray, FloatArray, IntArray


def known_after(trials: Trials, weeks: FloatArray) -> Trials:
    """Trials as they are known when a patient has been in for so many weeks.

    weeks : (trial, subject) since first dose; below 0 (or NaN) the patient has not come in yet. Visits after that are
    not observed, events after that are censored there.
    """
    weeks = np.where(np.isnan(weeks), -1.0, weeks)
    here = trials.members("ITT") & (weeks >= 0.0)
    until = np.maximum(weeks, 0.0)
    visits = trials.weeks <= until[:, :, None] + 1e-9

    def event(one: EventTimes) -> EventTimes:
        happened = one.happened & (one.week <= until)
        cause = None if one.cause is None else np.where(happened, one.cause, 0).astype(np.int8)
        return replace(one, week=np.minimum(one.week, until), happened=happened, cause=cause)

    crossed = trials.crossover_week
    return replace(
        trials,
        present=here,
        outcomes={name: np.where(visits, values, np.nan) for name, values in trials.outcomes.items()},
        events={name: event(one) for name, one in trials.events.items()},
        last_week=np.minimum(trials.last_week, until),
        crossover_week=None if crossed is None else np.where(crossed <= until, crossed, np.inf),
    )


def of_those(trials: Trials, who: BoolArray) -> Trials:
    """Trials with those patients alone who are present and in ``who`` (trial, subject)."""
    return replace(trials, present=trials.members("ITT") & who)


def compared(trials: Trials, arm: int | IntArray) -> Trials:
    """Two arms of a trial of several: control, and one other (its index, or one a trial).

    The arms of the result are the control's name and that of the other; where the index differs between trials,
    ``active``.
    """
    other = np.broadcast_to(np.asarray(arm), (len(trials),))
    name = trials.arms[int(other[0])] if len(set(other.tolist())) == 1 else "active"
    mine = trials.arm == other[:, None]
    return replace(
        trials,
        arms=(trials.arms[0], name),
        arm=mine.astype(np.int8),
        present=trials.members("ITT") & (mine | (trials.arm == 0)),
    )
