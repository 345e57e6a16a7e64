"""The course of virtual patients under the progression model: baseline, allocation, loss, marker, event, dropout.

Everything that does not depend on the person is in tables made beforehand: the mean loss, the loss that the drug takes
away, its symptomatic gain and its effect on the marker, at every node (the weeks and the visits). A person then costs a
few draws a visit:

    true level   m(t) = B + way (f(t) + s t - share (A(t) + s T(t))) - way gain G(t)
    observed     y(t) = m(t) + e(t), rounded to the grid and kept in the range
    residual     e(t_v) = c_v e(t_(v-1)) + sqrt(1 - c_v^2) sd z
    marker       ln M(t) = l + d t + D(t) + e_M(t)
    event        h(t) = h0 W'(t) exp(beta (m(t) - reference) way + ln HR X(t) + factors)
    dropout      h exp(beta (way (y_last - y_0))) between visits

``way`` is 1 where higher is worse and -1 where it is better. See docs/methods/progression.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.random import (
    ALLOCATION,
    EXTRA,
    PATIENT,
    STREAM_WORDS,
    exponential,
    normal,
    restart_stream,
    uniform,
)
from equipoise.simulate.kernels.allocation import allocate

OUTCOME, MARKER = range(2)
N_CHANNELS = 2

# Times of a patient, in the order of the output: event week, happened, last week under observation, went on into the
# extension, week of the first dose in the extension (infinite where none).
N_TIMES = 5

_MAX_TRIES = 10_000


class PeopleArrays(NamedTuple):
    """Who enters: arrays over recruitment groups."""

    size: np.ndarray  # (group,) patients, int64
    mean: np.ndarray  # true level at week 0
    spread: np.ndarray  # (group, 3, 3) lower factor of the covariance of level, rate of loss and ln marker
    rate_sd: np.ndarray  # of the rate of loss, points per week
    marker_mean: np.ndarray  # ln
    low: np.ndarray  # lowest and highest observed level admitted
    high: np.ndarray
    factor_share: np.ndarray  # (group, factor)
    factor_level: np.ndarray  # (group, factor) added to the level at week 0
    factor_rate: np.ndarray  # (group, factor) points per week added to the loss
    factor_marker: np.ndarray  # (group, factor) ln
    factor_hazard: np.ndarray  # (group, factor) ln hazard ratio
    ln_hazard: np.ndarray  # (group,) ln hazard beside the common one
    run_in: float  # weeks of observation before week 0; 0: none
    run_in_keep: float  # correlation of the residuals at its ends
    run_in_pace: np.ndarray  # (group,) mean loss per week in it
    fall_low: float  # observed points lost in it that admit
    fall_high: float


class CourseArrays(NamedTuple):
    """What all share, and the tables over nodes; ``path`` 0 is the randomised period alone, 1 goes on after it."""

    way: float  # 1: higher is worse
    lowest: float
    highest: float
    grid: float  # 0: continuous
    residual_sd: float
    keep: np.ndarray  # (visit,) correlation of the residual with that of the visit before
    marker_sd: float
    marker_keep: np.ndarray  # (visit,)
    marker_loss: float  # ln per point of true loss
    weeks: np.ndarray  # (node,)
    at_visit: np.ndarray  # (visit,) node, int64
    loss: np.ndarray  # (group, node) mean loss without drug
    saved: np.ndarray  # (group, arm, node) of it, what the drug takes away (negative: adds)
    saved_time: np.ndarray  # (arm, node) weeks of loss that it takes away
    gain: np.ndarray  # (arm, node) symptomatic points
    marker: np.ndarray  # (arm, node) ln ratio, drift and drug together
    ln_hazard: np.ndarray  # (arm, node) the drug's own effect on the event, over the interval that begins at the node
    hazard: float  # per week; 0: no event
    shape: float
    hazard_value: float  # ln hazard per point worse than the reference
    hazard_reference: float
    fatal: int
    dropout: float  # per week
    dropout_value: float  # ln hazard per point lost since baseline, as last observed
    missed: float
    period_node: int
    entry: float  # probability of going on into the extension
    extension: int  # 1 if there is one
    crossover: np.ndarray  # (arm,) 1 where the arm takes drug in the extension
    follow_first: float  # events known to a week drawn between these two, whatever became of the visits
    follow_last: float  # 0: only while under observation
    block: np.ndarray  # (arm,) patients per permuted block, int64
    stratified: np.ndarray  # (factor,) 1 where randomisation is stratified by it, int64


@inner
def _seen(true, noise, course):
    """An observation: with noise, on the grid, in the range."""
    y = true + noise
    if course.grid > 0.0:
        y = np.rint(y / course.grid) * course.grid
    return min(max(y, course.lowest), course.highest)


@inner
def _cumulative(week, shape):
    """Weibull: weeks of a constant hazard that are worth the weeks so far; equal at week 52."""
    if shape == 1.0 or week <= 0.0:
        return max(week, 0.0)
    return 52.0 * (week / 52.0) ** shape


@inner
def _event_week(bound, draw, level, rate, arm, g, extra, stop, course):
    """Week of the event, infinite beyond ``bound``. ``draw``: the cumulative hazard at which it happens; ``extra``: its
    own ln hazard. From the week ``stop`` on the drug acts no more: what it saved stays saved."""
    total = 0.0
    n = course.weeks.shape[0]
    before = level
    frozen = -1
    for k in range(n - 1):
        week, following = course.weeks[k], course.weeks[k + 1]
        if week >= bound:
            break
        if frozen < 0 and week >= stop:
            frozen = k
        j = k + 1 if frozen < 0 else frozen
        saved = course.saved[g, arm, j] + rate * course.saved_time[arm, j]
        lifted = course.gain[arm, j] if frozen < 0 else 0.0
        after = level + course.way * (course.loss[g, k + 1] + rate * following - saved - lifted)
        a = course.hazard_value * course.way * (before - course.hazard_reference)
        b = course.hazard_value * course.way * (after - course.hazard_reference)
        # mean of exp over an interval on which the exponent is linear
        mean = math.exp(a)
        if abs(b - a) > 1e-9:
            mean *= math.expm1(b - a) / (b - a)
        drug = course.ln_hazard[arm, k] if frozen < 0 else 0.0
        pace = course.hazard * mean * math.exp(extra + drug)
        w0 = _cumulative(week, course.shape)
        w1 = _cumulative(following, course.shape)
        if total + pace * (w1 - w0) >= draw:
            w = w0 + (draw - total) / pace
            found = w if course.shape == 1.0 else 52.0 * (w / 52.0) ** (1.0 / course.shape)
            return found if found < bound else np.inf
        total += pace * (w1 - w0)
        before = after
    return np.inf


@kernel
def simulate_block(seed, first, n_trials, people, course, out, cov, arm_out, group_out, times):
    """Simulate ``n_trials`` trials, replicates ``first`` on.

    out (trial, channel, subject, visit), cov (trial, factor, subject) and after a run-in the value before it and the
    points lost in it, arm_out and group_out (trial, subject), times
    (trial, N_TIMES, subject). Returns False if the admission rules can hardly be met.
    """
    n_groups = people.size.shape[0]
    n_factors = people.factor_share.shape[1]
    n_visits = course.at_visit.shape[0]
    n_arms = course.block.shape[0]
    has_marker = out.shape[1] > 1
    end = course.weeks[course.at_visit[n_visits - 1]]
    period = course.weeks[course.period_node]
    followed = course.follow_last > 0.0
    s = np.zeros(STREAM_WORDS, np.uint64)
    x = np.zeros(STREAM_WORDS, np.uint64)
    m = np.zeros(STREAM_WORDS, np.uint64)
    allocation = np.zeros(STREAM_WORDS, np.uint64)
    left = np.zeros((n_groups << n_factors, n_arms), np.int64)
    has = np.zeros(n_factors)
    for i in range(n_trials):
        replicate = first + i
        restart_stream(allocation, seed, replicate, ALLOCATION, 0)
        left[:] = 0
        j = 0
        for g in range(n_groups):
            for _ in range(people.size[g]):
                restart_stream(s, seed, replicate, PATIENT, j)
                restart_stream(x, seed, replicate, EXTRA, 2 * j)
                restart_stream(m, seed, replicate, EXTRA, 2 * j + 1)
                stratum = g
                more_level, more_rate, more_marker, more_hazard = 0.0, 0.0, 0.0, people.ln_hazard[g]
                for f in range(n_factors):
                    has[f] = 1.0 if uniform(x) < people.factor_share[g, f] else 0.0
                    more_level += has[f] * people.factor_level[g, f]
                    more_rate += has[f] * people.factor_rate[g, f]
                    more_marker += has[f] * people.factor_marker[g, f]
                    more_hazard += has[f] * people.factor_hazard[g, f]
                    stratum = 2 * stratum + int(has[f]) * course.stratified[f]
                    cov[i, f, j] = has[f]
                arm = allocate(allocation, stratum, course.block, left)
                admitted = False
                level, rate, ln_marker, residual, y0 = 0.0, 0.0, 0.0, 0.0, 0.0
                for _try in range(_MAX_TRIES):
                    z0, z1 = normal(s), normal(s)
                    level = people.mean[g] + more_level + people.spread[g, 0, 0] * z0
                    rate = more_rate + people.spread[g, 1, 0] * z0 + people.spread[g, 1, 1] * z1
                    if has_marker:
                        z2 = normal(m)
                        ln_marker = people.marker_mean[g] + more_marker + people.spread[g, 2, 0] * z0
                        ln_marker += people.spread[g, 2, 1] * z1 + people.spread[g, 2, 2] * z2
                    residual = course.residual_sd * normal(s)
                    fell = True
                    if people.run_in > 0.0:
                        earlier = course.residual_sd * normal(m)
                        c = people.run_in_keep
                        residual = c * earlier + math.sqrt(1.0 - c * c) * residual
                        back = course.way * (people.run_in_pace[g] + rate) * people.run_in
                        before = _seen(level - back, earlier, course)
                        fall = course.way * (_seen(level, residual, course) - before)
                        fell = fall >= people.fall_low and fall <= people.fall_high
                        cov[i, n_factors, j] = before
                        cov[i, n_factors + 1, j] = fall
                    y0 = _seen(level, residual, course)
                    if fell and y0 >= people.low[g] and y0 <= people.high[g]:
                        admitted = True
                        break
                if not admitted:
                    return False
                goes_on = course.extension == 1 and uniform(x) < course.entry
                known_to = course.follow_first + (course.follow_last - course.follow_first) * uniform(x)
                event_at = exponential(x)
                leaves_at = exponential(x)
                # visits: what is observed, until the patient leaves
                leaving = np.inf
                event_week = np.inf
                hazards = 0.0
                last_seen = y0
                if course.hazard > 0.0 and course.fatal == 1:
                    bound = max(end, known_to)
                    event_week = _event_week(bound, event_at, level, rate, arm, g, more_hazard, np.inf, course)
                out_of_sight = end if goes_on or end <= period else period
                marker_residual = 0.0
                for v in range(n_visits):
                    k = course.at_visit[v]
                    week = course.weeks[k]
                    if v > 0:
                        residual = course.keep[v] * residual + course.residual_sd * math.sqrt(
                            1.0 - course.keep[v] * course.keep[v]
                        ) * normal(s)
                        since = course.weeks[course.at_visit[v - 1]]
                        if leaving == np.inf and course.dropout > 0.0:
                            pace = course.dropout * math.exp(course.dropout_value * course.way * (last_seen - y0))
                            if hazards + pace * (week - since) >= leaves_at:
                                leaving = since + (leaves_at - hazards) / pace
                            hazards += pace * (week - since)
                    missed = v > 0 and course.missed > 0.0 and uniform(x) < course.missed
                    gone = week > out_of_sight or week > leaving or week > event_week
                    if has_marker:
                        z = normal(m)
                        if v == 0:
                            marker_residual = course.marker_sd * z
                        else:
                            c = course.marker_keep[v]
                            marker_residual = c * marker_residual + course.marker_sd * math.sqrt(1.0 - c * c) * z
                    if v == 0:
                        out[i, OUTCOME, j, 0] = y0
                        if has_marker:
                            out[i, MARKER, j, 0] = math.exp(ln_marker + marker_residual)
                        continue
                    if missed or gone:
                        out[i, OUTCOME, j, v] = np.nan
                        if has_marker:
                            out[i, MARKER, j, v] = np.nan
                        continue
                    saved = course.saved[g, arm, k] + rate * course.saved_time[arm, k]
                    lost = course.loss[g, k] + rate * week - saved
                    true = level + course.way * (lost - course.gain[arm, k])
                    y = _seen(true, residual, course)
                    out[i, OUTCOME, j, v] = y
                    last_seen = y
                    if has_marker:
                        ln = ln_marker + course.marker[arm, k] + course.marker_loss * lost
                        out[i, MARKER, j, v] = math.exp(ln + marker_residual)
                # who leaves takes no drug any more: the event of those who are followed beyond
                stop = min(leaving, out_of_sight) if followed else np.inf
                bound = known_to if followed else min(out_of_sight, leaving)
                if course.hazard > 0.0 and (course.fatal == 0 or stop < np.inf):
                    again = _event_week(max(end, known_to), event_at, level, rate, arm, g, more_hazard, stop, course)
                    if course.fatal == 0 or again > stop:
                        event_week = again
                happened = event_week <= bound
                fatal_here = happened and course.fatal == 1
                last = min(out_of_sight, leaving)
                if fatal_here:
                    last = min(last, event_week)
                if followed:
                    last = min(last, known_to) if course.fatal == 1 else last
                times[i, 0, j] = event_week if happened else bound
                times[i, 1, j] = 1.0 if happened else 0.0
                times[i, 2, j] = last
                entered = goes_on and leaving > period and not (fatal_here and event_week <= period)
                times[i, 3, j] = 1.0 if entered else 0.0
                times[i, 4, j] = period if entered and course.crossover[arm] == 1 else np.inf
                arm_out[i, j] = arm
                group_out[i, j] = g
                j += 1
    return True
