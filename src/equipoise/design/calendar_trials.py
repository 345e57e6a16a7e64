"""Virtual trials by the calendar: patients come in, looks are held, decisions follow, and the trial ends when it does.

A block is simulated once, with as many patients as the trial may need; who of them is enrolled, and when, follows from
accrual and from the decisions (:mod:`equipoise.design.accrual`). What is known at a look is the same trial with less in
it (:mod:`equipoise.trial.seen`), analysed by the code of the final analysis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from equipoise.decision import ClosedCombination, GroupSequentialDesign, stage_statistics
from equipoise.design.accrual import Accrual, Enrolment
from equipoise.design.adaptation import Adaptation
from equipoise.plan.compiled import TimeToEvent
from equipoise.plan.key import Key
from equipoise.run.study import measured, study_key
from equipoise.simulate import Scenario, Simulator
from equipoise.trial import Trials
from equipoise.trial.seen import compared, known_after, of_those
from equipoise.types import WEEKS_PER_MONTH, BoolArray, FloatArray, IntArray

GO_ON, EFFICACY, FUTILITY, GATE = range(4)
"""Why a trial stopped at a look; ``GO_ON``: it did not."""

REASONS = ("no", "efficacy", "futility", "another test")


@dataclass(frozen=True)
class Reading:
    """One test of two arms: where its numbers stand. sign : of an estimate that favours active; week : it goes to."""

    scenario: Scenario
    p: Key
    estimate: Key
    se: Key | None
    sign: int
    week: float
    event: str | None

    @classmethod
    def of(cls, scenario: Scenario, p: Key, estimate: Key, se: Key | None, sign: int) -> Reading:
        """The reading of a test of a scenario with two arms."""
        form = scenario.plan.analysis(str(p.analysis))
        event = form.event if isinstance(form, TimeToEvent) else None
        return cls(scenario, p, estimate, se, sign, float(form.week or 0.0), event)

    def __call__(self, trials: Trials) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(trial,) Z in favour of active, estimate and standard error; NaN where there is none."""
        keys = [k for k in (self.p, self.estimate, self.se) if k is not None]
        found = measured(trials, self.scenario, keys)
        p, estimate = found[:, 0], found[:, 1]
        se = found[:, 2] if self.se is not None else np.full(len(trials), np.nan)
        ok = np.isfinite(p) & np.isfinite(estimate)
        z = np.where(ok, self.sign * np.sign(estimate) * -special.ndtri(np.clip(p, 1e-300, 1.0) / 2.0), np.nan)
        return z, np.where(ok, estimate, np.nan), np.where(ok, se, np.nan)


@dataclass(frozen=True)
class Window:
    """When an arm is recruited to: weeks since the first site opened, and patients at most (0: no limit)."""

    opens: float = 0.0
    closes: float = math.inf
    patients: int = 0


@dataclass(frozen=True)
class CalendarMaker:
    """The numbers of the virtual trials of one design in one world.

    patients : planned; the simulator has as many as may be needed. end : week of a patient's last visit. narrowed : the
    index of each group of ``enrich``. concurrent : controls are those who could have been given the arm.
    """

    simulator: Simulator
    seed: int
    adaptation: Adaptation
    accrual: Accrual
    patients: int
    end: float
    test: Reading
    gates: tuple[Reading, ...] = ()
    windows: tuple[Window, ...] = ()
    narrowed: tuple[int, ...] = ()
    concurrent: bool = True
    separate: bool = False
    """Each arm at the full level, as platforms do, rather than in a closed test."""

    @cached_property
    def hypotheses(self) -> tuple[tuple[int, bool], ...]:
        """Each an arm, and whether it is about the narrowed population alone."""
        arms = range(1, len(self.simulator.scenario.protocol.arms))
        every = tuple((a, False) for a in arms)
        return (*every, *((a, True) for a in arms)) if self.narrowed else every

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the numbers of a trial."""
        looks = range(1, len(self.adaptation.looks) + 2)
        each = [f"{what}@{h + 1}" for what in ("rejected_at", "kept") for h in range(len(self.hypotheses))]
        at = [f"{what}@{k}" for what in ("z", "information", "month", "enrolled") for k in looks]
        own = ("success", "regardless", "failed", "stage", "reason", "chosen", "estimate", "se", "patients", "months")
        return (*own, *at, *each, "patient_weeks", "control_weeks", "deaths")

    @cached_property
    def key(self) -> str:
        """What decides the numbers, as a short hash: the name of their folder."""
        keys = [r.p for r in (self.test, *self.gates)]
        said = (
            self.adaptation.model_dump_json(exclude={"label"}),
            self.accrual.model_dump_json(),
            repr((self.patients, self.end, self.windows, self.narrowed, self.concurrent, self.separate)),
        )
        return study_key(self.simulator, keys, self.seed, counted=(*said, *self.columns))

    def __call__(self, first: int, rows: int) -> FloatArray:
        """(replicate, column) of replicates ``first`` on."""
        return _Course.of(self, self.simulator.block(self.seed, first, rows)).row()

    @cached_property
    def design(self) -> GroupSequentialDesign:
        return self.adaptation.design()

    @cached_property
    def closed(self) -> ClosedCombination:
        return self.adaptation.closed(1 if self.separate else len(self.hypotheses))

    @cached_property
    def _bounds(self) -> dict[tuple[float, ...], tuple[float, float]]:
        return {}

    def bounds(self, information: tuple[float, ...], final: bool) -> tuple[float, float]:
        """Upper and lower boundary of the last of the looks at these fractions of full information."""
        rounded = tuple(round(t, 3) for t in information)
        said = (*rounded, float(final))
        if said not in self._bounds:
            made = self.design.at(rounded, 1.0, final=final)
            self._bounds[said] = float(made.upper[-1]), float(made.lower[-1])
        return self._bounds[said]


@dataclass(eq=False)
class _Course:
    """A block of trials on its way: (trial, stage, hypothesis) what the looks have shown so far."""

    of_what: CalendarMaker
    trials: Trials
    enrolment: Enrolment
    z: FloatArray
    estimate: FloatArray
    se: FloatArray
    own: FloatArray
    """Z of the stage's own patients, or its increment."""
    gained: FloatArray
    """Information so far: events, or the inverse squared standard error."""
    ratio: FloatArray
    going: BoolArray
    at: FloatArray
    """(trial, stage) week of the calendar; infinite at the end, NaN for a look that was not held."""
    information: FloatArray
    enrolled: FloatArray
    spent: BoolArray
    """(trial, subject) whose data a stage before has had."""
    gated: IntArray
    futile: IntArray
    """(trial,) first stage at which a gate, or a futility boundary, stopped the trial; 0 for none."""

    @classmethod
    def of(cls, maker: CalendarMaker, trials: Trials) -> _Course:
        windows = maker.windows or tuple(Window() for _ in trials.arms)
        enrolment = Enrolment.of(
            trials,
            maker.accrual,
            maker.patients,
            np.array([w.opens for w in windows]),
            np.array([w.closes for w in windows]),
            np.array([w.patients or 1 << 40 for w in windows], dtype=np.int64),
        )
        n, stages, tests = len(trials), len(maker.adaptation.looks) + 1, len(maker.hypotheses)

        def empty(*shape: int) -> FloatArray:
            return np.full((n, stages, *shape), np.nan)

        made = cls(
            of_what=maker,
            trials=trials,
            enrolment=enrolment,
            z=empty(tests),
            estimate=empty(tests),
            se=empty(tests),
            own=empty(tests),
            gained=empty(tests),
            ratio=np.ones((n, stages, tests)),
            going=np.ones((n, stages, tests), np.bool_),
            at=empty(),
            information=empty(),
            enrolled=empty(),
            spent=np.zeros(trials.arm.shape, np.bool_),
            gated=np.zeros(n, np.int64),
            futile=np.zeros(n, np.int64),
        )
        for k in range(stages):
            made.look(k)
        return made

    # -- one look ----------------------------------------------------------------------------------------------------

    @property
    def stages(self) -> int:
        return int(self.z.shape[1])

    @property
    def reached_at(self) -> FloatArray:
        """(trial, subject) week of the calendar at which the patient has reached the visit of the test."""
        return self.enrolment.entry + self.of_what.test.week

    def look(self, k: int) -> None:
        """Hold look ``k`` (from 0): what is seen, and what is decided from it."""
        maker, final = self.of_what, k + 1 == self.stages
        week = np.full(len(self.trials), np.inf) if final else self._week(maker, k)
        self.at[:, k] = week
        self.enrolled[:, k] = self.enrolment.counted(week)
        entry = self.enrolment.entry
        inside = np.isfinite(entry)
        now = np.minimum(np.nan_to_num(week, nan=-1.0), 1e9)[:, None]
        known = known_after(self.trials, np.where(inside, now - np.where(inside, entry, 0.0), -1.0))
        reached = inside if final else inside & (self.reached_at <= now)
        event = maker.test.event
        data = maker.adaptation.data or ("all" if event is not None else "reached")
        whole = known if data == "all" or final else of_those(known, reached)
        for h, (arm, narrow) in enumerate(maker.hypotheses):
            one = self._of(whole, arm, narrow)
            self.z[:, k, h], self.estimate[:, k, h], self.se[:, k, h] = maker.test(one)
            self._own(k, h, one, self._of(of_those(known, reached & ~self.spent), arm, narrow))
        self.information[:, k] = self._information(k, known, reached)
        self.spent |= reached
        self._decide(k, known, reached, week)

    def _of(self, trials: Trials, arm: int, narrow: bool) -> Trials:
        """The two arms of a hypothesis, with the controls that it may use."""
        maker = self.of_what
        out = compared(trials, arm)
        if maker.windows and maker.concurrent:
            entry = self.enrolment.entry
            mine = np.where((self.trials.arm == arm) & np.isfinite(entry), entry, -np.inf)
            out = of_those(out, (entry >= maker.windows[arm].opens) & (entry <= mine.max(axis=1)[:, None]))
        if narrow:
            out = of_those(out, np.isin(self.trials.group, maker.narrowed))
        return out

    def _own(self, k: int, h: int, whole: Trials, own: Trials) -> None:
        """Z of what is new in this stage, and the sizes of its arms."""
        maker = self.of_what
        event = maker.test.event
        by_increments = (maker.adaptation.stages or ("increments" if event else "patients")) == "increments"
        self.gained[:, k, h] = self.se[:, k, h] ** -2.0
        if event is not None:
            self.gained[:, k, h] = (whole.times_to(event)[1] & whole.members("ITT")).sum(axis=1)
        if maker.adaptation.combination is None or k == 0:
            self.own[:, k, h] = self.z[:, k, h]
        elif by_increments:
            for i in range(len(self.trials)):
                info, z = self.gained[i, : k + 1, h], self.z[i, : k + 1, h]
                fine = np.isfinite(info).all() and (np.diff(info, prepend=0.0) > 0).all() and np.isfinite(z).all()
                self.own[i, k, h] = stage_statistics(z, info)[-1] if fine else np.nan
        else:
            self.own[:, k, h] = maker.test(own)[0]
        counted = whole if by_increments else own
        here = counted.members("ITT")
        control, active = ((here & (counted.arm == a)).sum(axis=1) for a in (0, 1))
        self.ratio[:, k, h] = np.maximum(active, 1) / np.maximum(control, 1)

    def _week(self, maker: CalendarMaker, k: int) -> FloatArray:
        """(trial,) week of the calendar at which a look is due; NaN where everything is known by then."""
        look, entry, planned = maker.adaptation.looks[k], self.enrolment.entry, maker.patients
        if look.kind == "month":
            week = np.full(len(self.trials), look.value * WEEKS_PER_MONTH)
        elif look.kind == "events":
            event = maker.test.event or "death"
            time, happened = self.trials.times_to(event)
            week = _nth(np.where(happened & np.isfinite(entry), entry + time, np.inf), int(look.value))
        else:
            times = self.reached_at if look.kind == "share" else entry
            week = _nth(times, math.ceil(look.value * planned - 1e-9))
        last = np.where(np.isfinite(entry), entry + maker.end, -np.inf).max(axis=1)
        before = self.at[:, :k].max(axis=1, initial=-1.0)
        return np.where((week < last) & (week > np.nan_to_num(before, nan=-1.0)), week, np.nan)

    def _information(self, k: int, known: Trials, reached: BoolArray) -> FloatArray:
        """(trial,) share of full information."""
        maker, rule = self.of_what, self.of_what.adaptation
        if rule.information == "variance":
            return self.se[:, k, 0] ** -2.0 / float(rule.maximum or 1.0)
        if maker.test.event is not None:
            happened = known.times_to(maker.test.event)[1] & known.members("ITT")
            full = rule.maximum
            if full is None:
                return np.full(len(self.trials), rule.planned[k])
            return np.asarray(happened.sum(axis=1) / full)
        return np.asarray(reached.sum(axis=1) / float(rule.maximum or maker.patients))

    # -- what follows ------------------------------------------------------------------------------------------------

    def _limits(self, k: int) -> tuple[FloatArray, FloatArray]:
        """(trial,) upper and lower boundary at a look; NaN where it was not held."""
        maker, final = self.of_what, k + 1 == self.stages
        n = len(self.trials)
        held = final | ~np.isnan(self.at[:, k])
        if maker.adaptation.combination is not None or maker.adaptation.information == "planned":
            upper, lower = maker.design.upper[k], maker.design.lower[k]
            return np.where(held, upper, np.nan), np.where(held, lower if not final else -np.inf, np.nan)
        out = np.full((2, n), np.nan)
        for i in np.flatnonzero(held):
            info = self.information[i, : k + 1][~np.isnan(self.at[i, : k + 1])]
            if not np.isfinite(info).all() or (np.diff(info, prepend=0.0) <= 0.002).any():
                continue
            out[:, i] = maker.bounds(tuple(info), bool(final))
        return out[0], np.where(final, -np.inf, out[1])

    def _decide(self, k: int, known: Trials, reached: BoolArray, week: FloatArray) -> None:
        rule = self.of_what.adaptation
        if k + 1 == self.stages:
            return
        after = np.where(np.isnan(week), np.inf, week + rule.decision_weeks)
        self._gate(k, known, reached, after)
        _, lower = self._limits(k)
        best = np.nan_to_num(np.where(self.going[:, k], self._tested(k), -np.inf), nan=np.inf).max(axis=1)
        with np.errstate(invalid="ignore"):
            futile = (best < lower) & np.isfinite(lower)
        self.futile = np.where(futile & (self.futile == 0), k + 1, self.futile)
        if rule.select is not None and rule.select.at == k + 1:
            self._select(k, after)
        if rule.enrich is not None and rule.enrich.at == k + 1:
            self._enrich(k, after)
        if rule.reestimate is not None and rule.reestimate.at == k + 1:
            self._resize(k, week, after, reached)
        self.enrolment.enrol()

    def _tested(self, k: int) -> FloatArray:
        """(trial, hypothesis) the statistic that boundaries are for: combined, where there is a combination."""
        if self.of_what.adaptation.combination is None or k == 0:
            return self.z[:, k]
        own = np.moveaxis(self.own[:, : k + 1], 1, 2)
        return np.asarray(self.of_what.closed.test.combine_z(own)[..., -1])

    def _drop(self, k: int, dropped: BoolArray, after: FloatArray) -> None:
        """Hypotheses (trial, hypothesis) that the stages after ``k`` do not test."""
        self.going[:, k + 1 :] &= ~dropped[:, None]
        arms = np.zeros((len(self.trials), len(self.trials.arms)), np.bool_)
        for h, (arm, narrow) in enumerate(self.of_what.hypotheses):
            if not narrow:
                arms[:, arm] |= dropped[:, h]
        self.enrolment.close(after, arms)

    def _gate(self, k: int, known: Trials, reached: BoolArray, after: FloatArray) -> None:
        maker, rule = self.of_what, self.of_what.adaptation
        for gate, reading in zip(rule.gates, maker.gates, strict=True):
            if k + 1 not in gate.at:
                continue
            # with a combination, only those whose data this stage has had: others must not decide about later stages
            since = np.isfinite(self.enrolment.entry) & (
                self.enrolment.entry + reading.week <= np.nan_to_num(self.at[:, k], nan=-1.0)[:, None]
            )
            seen = of_those(known, (reached if rule.combination is not None else since) & since)
            weak = np.zeros(self.going[:, k].shape, np.bool_)
            for h, (arm, narrow) in enumerate(maker.hypotheses):
                z = reading(self._of(seen, arm, narrow))[0]
                with np.errstate(invalid="ignore"):
                    weak[:, h] = special.ndtr(-z) > gate.p_above
            weak &= np.isfinite(after)[:, None]
            left = self.going[:, k + 1] & ~weak
            stop = np.asarray(~left.any(axis=1) & weak.any(axis=1))
            self.gated = np.where(stop & (self.gated == 0), k + 1, self.gated)
            some = weak & ~stop[:, None]
            if some.any():
                self._drop(k, some, after)

    def _select(self, k: int, after: FloatArray) -> None:
        rule = self.of_what.adaptation.select
        assert rule is not None
        z = np.where(self.going[:, k + 1] & np.isfinite(self._tested(k)), self._tested(k), -np.inf)
        rank = (-z).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        dropped = rank >= rule.keep
        if rule.floor is not None:
            weak = z < rule.floor
            stop = (weak | dropped).all(axis=1) & np.isfinite(after)
            self.futile = np.where(stop & (self.futile == 0), k + 1, self.futile)
            dropped |= weak & ~stop[:, None]
        self._drop(k, dropped & np.isfinite(after)[:, None], after)

    def _enrich(self, k: int, after: FloatArray) -> None:
        maker, rule = self.of_what, self.of_what.adaptation.enrich
        assert rule is not None
        half = len(maker.hypotheses) // 2
        full, narrow = self._tested(k)[:, :half].max(axis=1), self._tested(k)[:, half:].max(axis=1)
        with np.errstate(invalid="ignore"):
            yes = (full < rule.full_below) & (narrow >= rule.groups_above) & np.isfinite(after)
        dropped = np.zeros(self.going[:, k].shape, np.bool_)
        dropped[:, :half] = yes[:, None]
        self.going[:, k + 1 :] &= ~dropped[:, None]
        others = np.array([g not in maker.narrowed for g in range(len(self.trials.sets))])
        self.enrolment.shut(after, yes[:, None] & others)

    def _resize(self, k: int, week: FloatArray, after: FloatArray, reached: BoolArray) -> None:
        """The patients of the last stage, for a conditional power."""
        maker, rule = self.of_what, self.of_what.adaptation.reestimate
        assert rule is not None
        test, planned = maker.closed.test, maker.patients
        size = np.full(len(self.trials), planned, np.int64)
        tested = np.where(self.going[:, k + 1], self._tested(k), -np.inf)
        for i in np.flatnonzero(np.isfinite(after)):
            h = int(np.nanargmax(np.where(np.isnan(tested[i]), -np.inf, tested[i])))
            z, se = tested[i, h], self.se[i, k, h]
            seen = int(reached[i].sum())
            if not (np.isfinite(z) and np.isfinite(se)) or seen == 0:
                continue
            one = se**-2.0 / seen  # information of a patient
            effect = maker.test.sign * self.estimate[i, k, h] if rule.effect == "seen" else float(rule.effect)
            least = max(rule.least * planned, float(self.enrolment.counted(after)[i])) - seen
            most = max(rule.most * planned - seen, least)
            if least <= 0.0:
                continue
            if rule.zone is not None:
                power = test.conditional_power(z, k + 1, (planned - seen) * one, effect)
                if not rule.zone[0] <= power <= rule.zone[1]:
                    continue
            wanted = test.reestimate(z, k + 1, effect=effect, minimum=least * one, maximum=most * one, power=rule.power)
            size[i] = seen + math.ceil(wanted.stage / one - 1e-9)
        self.enrolment.limit(np.where(np.isfinite(after), after, np.inf), size)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _rejected(self) -> tuple[IntArray, FloatArray]:
        """(trial, hypothesis) stage at which it is rejected, 0 for never; and (trial, stage) the statistic shown."""
        maker = self.of_what
        tested = [np.where(self.going[:, k], self._tested(k), -np.inf).max(axis=1) for k in range(self.stages)]
        shown = np.stack(tested, axis=1)
        if maker.adaptation.combination is None and self.stages > 1:
            out = np.zeros(self.z[:, 0].shape, np.int64)
            for k in range(self.stages):
                upper, _ = self._limits(k)
                with np.errstate(invalid="ignore"):
                    out = np.where((self.z[:, k] >= upper[:, None]) & (out == 0), k + 1, out)
            return out, shown
        if not maker.separate:
            return maker.closed.rejected(self.own, self.going, self.ratio), shown
        every = range(self.z.shape[2])
        alone = [maker.closed.rejected(self.own[:, :, [h]], self.going[:, :, [h]]) for h in every]
        return np.concatenate(alone, axis=1), shown

    def row(self) -> FloatArray:
        """(trial, column), see :attr:`CalendarMaker.columns`."""
        maker, rule, n = self.of_what, self.of_what.adaptation, len(self.trials)
        rejected, shown = self._rejected()
        never = self.stages + 1
        when = np.where(rejected == 0, never, rejected)
        left = self.going  # those that a stage tests
        if rule.stop == "any":
            proven = when.min(axis=1)
        else:
            all_by = [
                np.where(left[:, k], when <= k + 1, True).all(axis=1) & (when <= k + 1).any(axis=1)
                for k in range(self.stages)
            ]
            by = np.stack(all_by, axis=1)
            proven = np.where(by.any(axis=1), by.argmax(axis=1) + 1, never)
        stops = [np.where(s == 0, never, s) for s in (self.futile, self.gated)]
        stage = np.minimum.reduce([proven, *stops, np.full(n, self.stages)])
        reason = np.select(
            [proven <= stage, (stops[0] == stage) & (stage < self.stages), (stops[1] == stage) & (stage < self.stages)],
            [EFFICACY, FUTILITY, GATE],
            GO_ON,
        )
        by_then = (when <= stage[:, None]).any(axis=1)
        regardless = (when <= self.stages).any(axis=1)
        rows = np.arange(n)
        last = stage - 1
        z = np.where(self.going[rows, last], self.z[rows, last], -np.inf)
        chosen = np.nan_to_num(z, nan=-np.inf).argmax(axis=1)
        estimate, se = self.estimate[rows, last, chosen], self.se[rows, last, chosen]
        # the calendar
        week = np.where(stage < self.stages, self.at[rows, last] + rule.decision_weeks, np.inf)
        entry = self.enrolment.entry
        inside = np.isfinite(entry) & (entry <= week[:, None])
        ends = np.where(inside, entry + maker.end, -np.inf).max(axis=1)
        over = np.minimum(week, ends)
        until = week[:, None] - np.where(inside, entry, 0.0)
        spent = np.where(inside, np.minimum(self.trials.last_week, until), 0.0)
        crossed = self.trials.crossover_week
        off = spent if crossed is None else np.minimum(spent, np.where(inside, crossed, 0.0))
        control = np.where(self.trials.arm == 0, off, 0.0)
        died_at, died = self.trials.times_to("death")
        deaths = (died & inside & (died_at <= until)).sum(axis=1)
        at = np.where(np.isinf(self.at), ends[:, None], self.at) / WEEKS_PER_MONTH
        failed = np.isnan(self.z[rows, last]).all(axis=1)
        own = [
            by_then,
            regardless,
            failed,
            stage,
            reason,
            chosen,
            estimate,
            se,
            inside.sum(axis=1),
            over / WEEKS_PER_MONTH,
        ]
        each = [*np.where(when <= stage[:, None], when, 0).T, *self.going[:, -1].T]
        parts = [*own, *shown.T, *self.information.T, *at.T, *self.enrolled.T, *each]
        parts += [spent.sum(axis=1), control.sum(axis=1), deaths]
        return np.stack([np.asarray(p, dtype=np.float64) for p in parts], axis=1)


def _nth(times: FloatArray, k: int) -> FloatArray:
    """(trial,) the k-th smallest of (trial, subject)."""
    if k > times.shape[1]:
        return np.full(len(times), np.inf)
    return np.asarray(np.partition(times, k - 1, axis=1)[:, k - 1])
