"""The course of virtual patients through a trial: baseline, allocation, drug, biomarkers, function, events.

One kernel simulates a block of trials. Per patient it integrates with a fixed step and exponential updates, exact for
an input that is linear over the step, so the scheme is of second order and not troubled by fast rates:

    exposure     C' = -K C, plus dose / V at each dose                                   ng/mL
    biophase     E' = ke0 (C - E)                                                        ng/mL
    target       S' = kout (1 - Emax E / (EC50 + E) - S)                                 CSF SOD1, 1 = untreated
    injury       transit compartments of mean delay D behind S; J = (the last) ** gamma   1 = untreated
    biomarker    N' = kN (J - N)                                                         plasma NfL, 1 = untreated
    lag          transit compartments of mean delay L behind J                      lagged injury
    function     loss' = r M,  M = 1 - w (1 - J)  or  M = 1 - w (1 - J lagged)           ALSFRS-R points
    event        h = h0 (t) exp(points lost, pace of loss, onset, frailty, ln HR X 2^(-t/half-life))   per week

X is the exposure as a share of its largest effect, E / (EC50 + E). A drug without a molecular target that was measured
(``direct``) skips the first five: X' = ke0 (on - X) with on = 1 while it is taken, and J = 1 - X.

The effect compartment is that of Sheiner et al. 1979; the indirect response is model I of Dayneka, Garg & Jusko 1993
(inhibition of production); transit compartments as in Savic et al. 2007. See docs/methods/mechanism.md for every
parameter, its unit and its source.
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
    next_word,
    normal,
    restart_stream,
    uniform,
)
from equipoise.simulate.kernels.allocation import allocate
from equipoise.types import WEEKS_PER_MONTH

# Outcomes, in the order of the last axis but one of the output.
ALSFRS, SVC, HHD, NFL, SOD1 = range(5)
N_OUTCOMES = 5

# Covariates, in the order of the output.
ONSETMO, PRESLOPE, RILFL, EDAFL, LISTED, BULBAR, AGE, BEFORE_RUN_IN, RUN_IN_FALL = range(9)
N_COVARIATES = 9

# Times of a patient, in the order of the output: event week, event code, death week, died, last week under
# observation, went on into the extension, hospital week, was in hospital, week of the first active dose in the
# extension (infinite where none).
N_TIMES = 9

# True states of a patient, in the order of a path.
FUNCTION, CSF, BIOPHASE, TARGET, INJURY, BIOMARKER, LAGGED_INJURY, LOSS = range(8)
N_STATES = 8

NONE, SYMPTOMATIC, SLOWING, LAGGED, SURVIVAL, WANING = range(6)

SHAPE_WEEK = 52.0
"""Week at which a hazard that rises or falls with time has the same cumulative value as the constant one."""

N_TRANSIT = 5
N_LAG = 4
_MAX_TRIES = 10_000


class PopulationArrays(NamedTuple):
    """Who enters: arrays over recruitment groups."""

    size: np.ndarray  # (group,) patients, int64
    preslope_low: np.ndarray  # (group, 2) lower bound, points/month: [other variants, listed variants]
    preslope_high: np.ndarray  # (group, 2) upper bound
    listed_variant: np.ndarray  # (group,) share with a listed fast variant
    riluzole: np.ndarray  # (group,)
    edaravone: np.ndarray  # (group,)
    ln_nfl_mean: np.ndarray  # (group,) ln pg/mL
    ln_nfl_offset: np.ndarray  # (group, arm) what an arm's mean differs by, 0 on average over the patients
    ln_nfl_sd: np.ndarray
    ln_onset_mean: np.ndarray  # ln months
    ln_onset_sd: np.ndarray
    nfl_onset_corr: np.ndarray
    function_mean: np.ndarray  # ALSFRS-R points
    function_sd: np.ndarray
    function_min: np.ndarray  # lowest and highest observed score admitted (before the run-in, where there is one)
    function_max: np.ndarray
    svc_mean: np.ndarray  # % predicted
    svc_sd: np.ndarray
    svc_floor: np.ndarray
    ln_sod1_mean: np.ndarray  # ln ng/mL
    ln_sod1_sd: np.ndarray
    hhd_mean: np.ndarray  # z score
    hhd_sd: np.ndarray
    root_rate_mean: np.ndarray  # sqrt(points/month)
    root_rate_nfl: np.ndarray  # per SD of ln NfL
    root_rate_preslope: np.ndarray  # per SD-like unit of centred ln pre-randomisation slope
    root_rate_sd: np.ndarray
    ln_preslope_centre: np.ndarray
    function_onset_corr: np.ndarray
    onset_max: np.ndarray  # months, longest time since onset admitted
    bulbar: np.ndarray  # share with bulbar onset
    root_rate_bulbar: np.ndarray  # added to the root rate in bulbar onset
    root_rate_svc: np.ndarray  # per 10 points of % predicted above the group's mean vital capacity
    age_mean: np.ndarray  # years
    age_sd: np.ndarray
    run_in: float  # weeks of observation before baseline, 0 = none
    run_in_pace: float  # true loss in the run-in, as a multiple of the rate afterwards
    fall_low: float  # observed fall over the run-in that admits, points
    fall_high: float


class DiseaseArrays(NamedTuple):
    """How the disease and the drug act: numbers, and arrays over recruitment groups where marked."""

    volume: float  # L, apparent
    volume_sd: float  # SD of ln
    elimination: float  # per week
    elimination_sd: float  # SD of ln
    emax: np.ndarray  # (group,) largest share of SOD1 production switched off
    ec50: float  # ng/mL
    ke0: float  # per week, CSF to the site of action
    kout: float  # per week
    injury_delay: np.ndarray  # (group,) weeks
    gamma: np.ndarray  # (group,)
    gamma_sd: float  # SD of ln
    nfl_loss: float  # per week
    sod1_shift: np.ndarray  # (group,) ln units, both arms
    sod1_shift_rate: float  # per week
    sod1_drift: np.ndarray  # (group,) ln units per week
    sod1_noise: float
    sod1_wander: np.ndarray  # (group,) SD of the ln random walk per sqrt(week)
    nfl_drift: np.ndarray
    nfl_noise: float
    nfl_wander: np.ndarray
    function_noise: np.ndarray  # (group,) points
    bump: np.ndarray  # (group,) points, early gain in both arms at its peak: half a sine wave
    bump_week: float  # week of the peak; gone at twice that week
    svc_per_point: np.ndarray  # (group,) % predicted per point lost
    svc_ratio_sd: float  # SD of ln
    svc_noise: float
    hhd_per_point: np.ndarray  # (group,)
    hhd_ratio_sd: float
    hhd_noise: float
    event_hazard: float  # per week at 12 points below 48
    event_slope: float  # ln hazard per 10 points lost below 36
    event_rate: float  # ln hazard per point/month of current loss
    event_death_share: float  # share of first events that are deaths
    withdrawal_hazard: float  # per week, unrelated to progression
    withdrawal_progression: float  # withdrawal for progression, as a multiple of the event hazard
    missed_visit: float  # probability that a single visit is missed
    ln_hazard: np.ndarray  # (group,) ln hazard beside the common one
    hazard_effect: np.ndarray  # (group,) multiple of the drug's ln hazard ratio
    event_bulbar: float  # ln hazard ratio of bulbar against limb onset
    event_shape: float  # Weibull shape of the hazard over time since first dose, 1 = constant
    frailty_sd: float  # SD of ln hazard between patients
    leaves_later: int  # 1 if patients leave after the randomised period too
    withdrawal_slope: float  # ln withdrawal hazard per 10 points lost in the study
    hospital_hazard: float  # first stay in hospital, per week, at 12 points below 48
    hospital_slope: float  # ln hazard per 10 points lost below 36
    direct: int  # 1 for a drug without target path


class EffectArrays(NamedTuple):
    """How the drug acts on function."""

    mechanism: int
    weight: float  # share of the loss that injury drives
    lag: float  # weeks
    gain: float  # points at full exposure (symptomatic)
    ln_hazard_ratio: float  # of events, at full exposure
    waning: float  # halvings of the ln hazard ratio per week on the drug


class ScheduleArrays(NamedTuple):
    """When things happen, in weeks from first dose."""

    weeks: np.ndarray  # (visit,)
    dose: np.ndarray  # (arm,) mg
    dose_weeks: np.ndarray  # (arm, dose); negative = none
    taken: np.ndarray  # (arm, period) 1 where a drug without target path is taken: randomised, extension
    period_end: float  # end of the randomised period
    follow_first: float  # life and hospital known to a week drawn between these two, whatever became of the visits
    follow_last: float  # 0 = only while under observation
    extension_entry: float  # probability of going on, of those still under observation
    block: np.ndarray  # (group, arm) patients per permuted block, int64
    by_riluzole: int  # 1 if randomisation is stratified by riluzole use
    by_edaravone: int
    by_bulbar: int
    steps_per_week: int
    seen: np.ndarray  # (outcome,) whether anyone reads it; the others stay NaN, and their draws are passed over


@inner
def _normal_if(s, wanted):
    """A standard normal draw, or 0 where nobody reads it: the stream moves on by as much."""
    if wanted:
        return normal(s)
    next_word(s)
    return 0.0


@inner
def _baseline(s, x, g, arm, riluzole, bulbar, pop, disease, out_cov, out_state):
    """Draw one admitted patient. out_state: true function, rate, svc, hhd, ln NfL, ln SOD1, observed score.

    ``s`` is the stream of what every trial draws, ``x`` that of what only some do (age, the end of a run-in).
    """
    for _ in range(_MAX_TRIES):
        z_nfl = normal(s)
        z_onset = pop.nfl_onset_corr[g] * z_nfl + math.sqrt(1.0 - pop.nfl_onset_corr[g] ** 2) * normal(s)
        tie = pop.function_onset_corr[g]
        function = pop.function_mean[g] + pop.function_sd[g] * (tie * z_onset + math.sqrt(1.0 - tie**2) * normal(s))
        observed = np.rint(function + disease.function_noise[g] * normal(s))
        svc = pop.svc_mean[g] + pop.svc_sd[g] * normal(s)
        z_sod1 = normal(s)
        z_rate = normal(s)
        hhd = pop.hhd_mean[g] + pop.hhd_sd[g] * normal(s)
        listed = uniform(s) < pop.listed_variant[g]
        shift = pop.ln_nfl_offset[g, arm] / pop.ln_nfl_sd[g]
        z_onset += pop.nfl_onset_corr[g] * shift
        onset = math.exp(pop.ln_onset_mean[g] + pop.ln_onset_sd[g] * z_onset)
        preslope = (48.0 - observed) / onset
        kind = 1 if listed else 0
        admitted = (
            observed >= pop.function_min[g]
            and observed <= pop.function_max[g]
            and onset <= pop.onset_max[g]
            and function <= 48.0
            and svc >= pop.svc_floor[g]
            and preslope >= pop.preslope_low[g, kind]
            and preslope < pop.preslope_high[g, kind]
        )
        if admitted:
            root = (
                pop.root_rate_mean[g]
                + pop.root_rate_nfl[g] * (z_nfl + shift)
                + pop.root_rate_preslope[g] * (math.log(max(preslope, 0.02)) - pop.ln_preslope_centre[g])
                + pop.root_rate_sd[g] * z_rate
                + pop.root_rate_bulbar[g] * bulbar
                + pop.root_rate_svc[g] * (svc - pop.svc_mean[g]) / 10.0
            )
            root = max(root, 0.0)
            out_cov[BEFORE_RUN_IN] = observed
            if pop.run_in > 0.0:
                function -= pop.run_in_pace * root * root * pop.run_in / WEEKS_PER_MONTH
                before = observed
                observed = np.rint(function + disease.function_noise[g] * normal(x))
                fall = before - observed
                if fall < pop.fall_low or fall > pop.fall_high or observed < 0.0:
                    continue
                onset += pop.run_in / WEEKS_PER_MONTH
                preslope = (48.0 - observed) / onset
            out_cov[RUN_IN_FALL] = out_cov[BEFORE_RUN_IN] - observed
            out_cov[ONSETMO] = onset
            out_cov[PRESLOPE] = preslope
            out_cov[RILFL] = riluzole
            out_cov[LISTED] = 1.0 if listed else 0.0
            out_cov[BULBAR] = bulbar
            out_cov[AGE] = pop.age_mean[g] + pop.age_sd[g] * normal(x)
            out_state[0] = function
            out_state[1] = root * root
            out_state[2] = svc
            out_state[3] = hhd
            out_state[4] = pop.ln_nfl_mean[g] + pop.ln_nfl_offset[g, arm] + pop.ln_nfl_sd[g] * z_nfl
            out_state[5] = pop.ln_sod1_mean[g] + pop.ln_sod1_sd[g] * z_sod1
            out_state[6] = observed
            return True
    return False


@inner
def _weights(kh):
    """Weights (old state, input at the start, input at the end) of y' = k (u - y) over a step, exact for linear u."""
    e = math.exp(-kh)
    mean = -math.expm1(-kh) / kh
    return e, mean - e, 1.0 - mean


@inner
def _course(s, x, g, arm, bulbar, state, disease, effect, schedule, transit, behind, path, out, times):
    """Integrate one patient.

    ``s`` and ``x`` are streams as in :func:`_baseline`; ``transit`` and ``behind`` are scratch for the two chains.
    ``path`` (visit, N_STATES): the true states at each visit. ``out`` (outcome, visit): what was observed, NaN where
    nothing was. ``times``: see ``N_TIMES``.
    """
    n_visits = schedule.weeks.shape[0]
    spw = schedule.steps_per_week
    n_steps = round(max(schedule.weeks[n_visits - 1], schedule.follow_last) * spw)
    period_step = round(schedule.period_end * spw)
    h = 1.0 / spw

    volume = disease.volume * math.exp(disease.volume_sd * normal(s))
    elimination = disease.elimination * math.exp(disease.elimination_sd * normal(s))
    gamma = disease.gamma[g] * math.exp(disease.gamma_sd * normal(s))
    svc_ratio = disease.svc_per_point[g] * math.exp(disease.svc_ratio_sd * normal(s))
    hhd_ratio = disease.hhd_per_point[g] * math.exp(disease.hhd_ratio_sd * normal(s))
    event_at = exponential(s)
    withdrawal_at = exponential(s)
    progression_at = exponential(s)
    is_death = uniform(s) < disease.event_death_share
    goes_on = uniform(s) < schedule.extension_entry
    frailty = normal(x)
    hospital_at = exponential(x)
    known_to = schedule.follow_first + (schedule.follow_last - schedule.follow_first) * uniform(x)
    followed = schedule.follow_last > 0.0
    own_hazard = disease.event_hazard * math.exp(
        disease.ln_hazard[g] + disease.event_bulbar * bulbar + disease.frailty_sd * frailty
    )
    ln_ratio = effect.ln_hazard_ratio * disease.hazard_effect[g]
    shape = disease.event_shape

    e_c = math.exp(-elimination * h)
    e_k, a_k, b_k = _weights(disease.ke0 * h)
    e_s, a_s, b_s = _weights(disease.kout * h)
    e_t, a_t, b_t = _weights(N_TRANSIT / disease.injury_delay[g] * h)
    e_n, a_n, b_n = _weights(disease.nfl_loss * h)
    e_l, a_l, b_l = _weights(N_LAG / max(effect.lag, 1e-6) * h)
    per_dose = schedule.dose[arm] * 1000.0 / volume  # mg per L = 1000 ng/mL
    rate = state[1] * h / WEEKS_PER_MONTH

    c = 0.0
    biophase = 0.0
    sod1 = 1.0
    transit[:] = 1.0
    behind[:] = 1.0
    nfl = 1.0
    injury = 1.0
    loss = 0.0
    exposed = 0.0
    hazard_sum = 0.0
    hospital_sum = 0.0
    withdrawal_sum = 0.0
    weeks_on = 0.0
    event_week, death_week, withdrawal_week, hospital_week = np.inf, np.inf, np.inf, np.inf
    crossed = np.inf
    event = 0
    visit = 0
    next_dose = 0
    n_doses = schedule.dose_weeks.shape[1]
    dosed = False
    extension = False
    direct = disease.direct == 1
    seen = schedule.seen
    marker = seen[NFL]

    for step in range(n_steps + 1):
        week = step * h
        if step == period_step:
            extension = goes_on and week < death_week and week < withdrawal_week
        if visit < n_visits and step == round(schedule.weeks[visit] * spw):
            function = state[0] - loss
            if week < 2.0 * disease.bump_week:
                function += disease.bump[g] * math.sin(0.5 * math.pi * week / disease.bump_week)
            if effect.mechanism == SYMPTOMATIC:
                function += effect.gain * exposed
            path[visit, FUNCTION] = function
            path[visit, CSF] = c
            path[visit, BIOPHASE] = biophase
            path[visit, TARGET] = sod1
            path[visit, INJURY] = injury
            path[visit, BIOMARKER] = nfl
            path[visit, LAGGED_INJURY] = behind[N_LAG - 1]
            path[visit, LOSS] = loss
            visit += 1
        # what happens later cannot be seen
        gone = week >= death_week or (week >= withdrawal_week and not followed)
        if gone or step == n_steps or (followed and visit == n_visits and week >= known_to):
            break
        while next_dose < n_doses and step >= round(schedule.dose_weeks[arm, next_dose] * spw):
            due = schedule.dose_weeks[arm, next_dose]
            if due >= 0.0 and week < death_week and week < withdrawal_week and (due < schedule.period_end or extension):
                c += per_dose
                dosed = True
                if extension and crossed == np.inf:
                    crossed = week
            next_dose += 1
        multiplier = 1.0
        if direct:
            on = 0.0
            if week < withdrawal_week and (step < period_step or extension):
                on = schedule.taken[arm, 0 if step < period_step else 1]
            if on > 0.0:
                dosed = True
                if extension and crossed == np.inf:
                    crossed = week
            if dosed:
                exposed = e_k * exposed + (a_k + b_k) * on
                u0 = injury
                injury = 1.0 - exposed
                u1 = injury
        elif dosed:
            c_end = c * e_c
            before = biophase
            biophase = e_k * before + a_k * c + b_k * c_end
            c = c_end
            target = 1.0 - disease.emax[g] * exposed
            exposed = biophase / (disease.ec50 + biophase)
            u0 = sod1
            sod1 = e_s * u0 + a_s * target + b_s * (1.0 - disease.emax[g] * exposed)
            u1 = sod1
            for k in range(N_TRANSIT):
                before = transit[k]
                transit[k] = e_t * before + a_t * u0 + b_t * u1
                u0, u1 = before, transit[k]
            u0 = injury
            injury = math.exp(gamma * math.log(u1))
            u1 = injury
            if marker:
                nfl = e_n * nfl + a_n * u0 + b_n * u1
        if dosed:
            weeks_on += h
            if effect.mechanism == SLOWING:
                multiplier = 1.0 - effect.weight * (1.0 - 0.5 * (u0 + u1))
            elif effect.mechanism == LAGGED:
                for k in range(N_LAG):
                    before = behind[k]
                    behind[k] = e_l * before + a_l * u0 + b_l * u1
                    u0, u1 = before, behind[k]
                multiplier = 1.0 - effect.weight * (1.0 - 0.5 * (u0 + u1))
        loss += rate * multiplier
        lost = 36.0 - (state[0] - loss)
        pace = disease.event_rate * min(state[1] * multiplier, 5.0)
        hazard = own_hazard * math.exp(disease.event_slope * 0.1 * min(lost, 36.0) + pace)
        if shape != 1.0:
            hazard *= shape * ((week + 0.5 * h) / SHAPE_WEEK) ** (shape - 1.0)
        if ln_ratio != 0.0 and dosed:
            hazard *= math.exp(ln_ratio * exposed * 2.0 ** (-effect.waning * weeks_on))
        hazard_before = hazard_sum
        hazard_sum += hazard * h
        if event == 0 and hazard_sum >= event_at:
            event_week = week + h * (event_at - hazard_before) / (hazard_sum - hazard_before)
            event = 2 if is_death else 1
            if is_death:
                death_week = event_week
        if disease.hospital_hazard > 0.0 and hospital_week == np.inf:
            hospital_before = hospital_sum
            rise = disease.hospital_hazard * math.exp(disease.hospital_slope * 0.1 * min(lost, 36.0)) * h
            hospital_sum += rise
            if hospital_sum >= hospital_at:
                hospital_week = week + h * (hospital_at - hospital_before) / rise
        if withdrawal_week == np.inf and (step < period_step or disease.leaves_later == 1):
            other = disease.withdrawal_hazard * (week + h)
            if disease.withdrawal_slope != 0.0:
                withdrawal_sum += disease.withdrawal_hazard * math.exp(disease.withdrawal_slope * 0.1 * loss) * h
                other = withdrawal_sum
            if other >= withdrawal_at or disease.withdrawal_progression * hazard_sum >= progression_at:
                withdrawal_week = week + h

    end = schedule.weeks[n_visits - 1]
    if end > schedule.period_end and not extension:
        end = schedule.period_end
    last = min(end, death_week, withdrawal_week)
    alive_to = min(known_to, death_week) if followed else last
    if followed and death_week > known_to:
        last = min(last, known_to)
    if event_week > alive_to:
        event = 0
        event_week = alive_to
    died = death_week <= alive_to
    times[0] = event_week
    times[1] = event
    times[2] = death_week if died else alive_to
    times[3] = 1.0 if died else 0.0
    times[4] = last
    times[5] = 1.0 if extension else 0.0
    stayed = hospital_week <= alive_to
    times[6] = hospital_week if stayed else alive_to
    times[7] = 1.0 if stayed else 0.0
    times[8] = crossed

    walk_nfl = 0.0
    walk_sod1 = 0.0
    for k in range(N_OUTCOMES):
        for v in range(n_visits):
            out[k, v] = np.nan
    for v in range(n_visits):
        week = schedule.weeks[v]
        if v > 0 and week > last:  # weeks rise, and nothing is drawn from the stream after them
            break
        if v > 0:
            root = math.sqrt(week - schedule.weeks[v - 1])
            walk_nfl += disease.nfl_wander[g] * root * _normal_if(s, seen[NFL])
            walk_sod1 += disease.sod1_wander[g] * root * _normal_if(s, seen[SOD1])
        z0, z1, z2 = _normal_if(s, v > 0 and seen[ALSFRS]), _normal_if(s, seen[SVC]), _normal_if(s, seen[HHD])
        z3, z4 = _normal_if(s, seen[NFL]), _normal_if(s, seen[SOD1])
        if uniform(s) < disease.missed_visit and v > 0:
            continue
        if v == 0:
            out[ALSFRS, v] = state[6]
        else:
            out[ALSFRS, v] = min(max(np.rint(path[v, FUNCTION] + disease.function_noise[g] * z0), 0.0), 48.0)
        if seen[SVC]:
            out[SVC, v] = max(state[2] - svc_ratio * path[v, LOSS] + disease.svc_noise * z1, 0.0)
        if seen[HHD]:
            out[HHD, v] = state[3] - hhd_ratio * path[v, LOSS] + disease.hhd_noise * z2
        if seen[NFL]:
            ln_nfl = state[4] + math.log(path[v, BIOMARKER]) + disease.nfl_drift[g] * week
            out[NFL, v] = math.exp(ln_nfl + walk_nfl + disease.nfl_noise * z3)
        if seen[SOD1]:
            shift = disease.sod1_shift[g] * (1.0 - math.exp(-disease.sod1_shift_rate * week))
            ln_sod1 = state[5] + math.log(path[v, TARGET]) + shift + disease.sod1_drift[g] * week
            out[SOD1, v] = math.exp(ln_sod1 + walk_sod1 + disease.sod1_noise * z4)


@kernel
def simulate_block(seed, first, n_trials, pop, disease, effect, schedule, out, cov, arm_out, group_out, times):
    """Simulate ``n_trials`` trials, replicates ``first`` on.

    out (trial, outcome, subject, visit), cov (trial, covariate, subject), arm_out and group_out (trial, subject),
    times (trial, N_TIMES, subject). Returns False if a population's admission rules can hardly be met.
    """
    n_groups = pop.size.shape[0]
    n_visits = schedule.weeks.shape[0]
    s = np.zeros(STREAM_WORDS, np.uint64)
    x = np.zeros(STREAM_WORDS, np.uint64)
    allocation = np.zeros(STREAM_WORDS, np.uint64)
    left = np.zeros((8 * n_groups, schedule.block.shape[1]), np.int64)
    state = np.zeros(7)
    transit = np.zeros(N_TRANSIT)
    behind = np.zeros(N_LAG)
    path = np.zeros((n_visits, N_STATES))
    one_cov = np.zeros(N_COVARIATES)
    one_out = np.zeros((N_OUTCOMES, n_visits))
    one_times = np.zeros(N_TIMES)
    for i in range(n_trials):
        replicate = first + i
        restart_stream(allocation, seed, replicate, ALLOCATION, 0)
        left[:] = 0
        j = 0
        for g in range(n_groups):
            for _ in range(pop.size[g]):
                restart_stream(s, seed, replicate, PATIENT, 2 * j)
                riluzole = 1.0 if uniform(s) < pop.riluzole[g] else 0.0
                edaravone = 1.0 if uniform(s) < pop.edaravone[g] else 0.0
                restart_stream(x, seed, replicate, EXTRA, 2 * j)
                bulbar = 1.0 if uniform(x) < pop.bulbar[g] else 0.0
                stratum = 8 * g + 2 * int(riluzole) * schedule.by_riluzole + int(edaravone) * schedule.by_edaravone
                stratum += 4 * int(bulbar) * schedule.by_bulbar
                arm = allocate(allocation, stratum, schedule.block[g], left)
                if not _baseline(s, x, g, arm, riluzole, bulbar, pop, disease, one_cov, state):
                    return False
                one_cov[EDAFL] = edaravone
                restart_stream(s, seed, replicate, PATIENT, 2 * j + 1)
                restart_stream(x, seed, replicate, EXTRA, 2 * j + 1)
                _course(
                    s, x, g, arm, bulbar, state, disease, effect, schedule, transit, behind, path, one_out, one_times
                )
                arm_out[i, j] = arm
                group_out[i, j] = g
                for k in range(N_COVARIATES):
                    cov[i, k, j] = one_cov[k]
                for k in range(N_TIMES):
                    times[i, k, j] = one_times[k]
                for k in range(N_OUTCOMES):
                    for v in range(n_visits):
                        out[i, k, j, v] = one_out[k, v]
                j += 1
    return True


@kernel
def trace(seed, g, arm, state, disease, effect, schedule):
    """The true states (visit, N_STATES) of one patient of group ``g`` from a given ``state``; see :func:`_course`."""
    s = np.zeros(STREAM_WORDS, np.uint64)
    restart_stream(s, seed, 0, PATIENT, 0)
    x = np.zeros(STREAM_WORDS, np.uint64)
    restart_stream(x, seed, 0, EXTRA, 0)
    path = np.zeros((schedule.weeks.shape[0], N_STATES))
    out = np.zeros((N_OUTCOMES, schedule.weeks.shape[0]))
    chains = np.zeros(N_TRANSIT), np.zeros(N_LAG)
    _course(s, x, g, arm, 0.0, state, disease, effect, schedule, chains[0], chains[1], path, out, np.zeros(N_TIMES))
    return path
