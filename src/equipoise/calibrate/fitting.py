"""Fitting a scenario to the published record, block by block.

The disease is a chain, so it is fitted along the chain; the fit plan (:mod:`equipoise.calibrate.plan`) says in which
blocks. Each block minimises a sum of squared distances, in published standard errors, between what a large cohort
gives and what was published, over that block's own parameters; where the numbers were read off curves the sum is
robust (soft L1). From function on, every mechanism is fitted on its own. Common random numbers make the distance
smooth in the parameters.

Only numbers of the randomised period enter. What came after is the check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise import __version__
from equipoise.calibrate.cohort import Predictor, cohort
from equipoise.calibrate.plan import FitPlan, Free, Published, load_plan
from equipoise.calibrate.targets import SIMULATED_EVENTS, Target, targets
from equipoise.errors import ScenarioError
from equipoise.records.schema import Record
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.protocol import Intake
from equipoise.simulate.scenario import Hypothesis, Scenario
from equipoise.types import FloatArray

Progress = Callable[[str, int, int], None]

# The search runs over (parameter - start) / scale + _ORIGIN, so that the optimiser's relative step is _STEP scales
# everywhere: wide enough to see past the rounding of scores to whole points, also where a parameter starts at zero.
_ORIGIN = 100.0
_STEP = 0.08

# In robust blocks distances beyond half a standard error count linearly, not squared: a point misread, or a week where
# both arms jump together, must not bend the curve. Printed numbers count squared.
_ROBUST = 0.5

# Passes in which the arms' difference at baseline is found: each leaves about a tenth of what was missing.
_SOLVED_AFTER = 4


def _scale(free: Free, start: float) -> float:
    return max(abs(start), 0.05 * (free.high - free.low))


def start_of(free: Free, record: Record, scenario: Scenario) -> float:
    """Where the search starts: the number given, or what the record says, averaged over the arms by their shares."""
    if not isinstance(free.start, Published):
        return free.start
    wanted, arms = free.start, scenario.protocol.arms
    group = free.place.split(".")[1]
    values = [
        float(record.baseline_value(wanted.variable, set=group, arm=a, statistic=wanted.statistic).value or 0)
        for a in arms
    ]
    if wanted.ratio:
        return math.log(values[1] / values[0])
    mean = sum(w * v for w, v in zip(scenario.protocol.shares, values, strict=True))
    return (math.log(mean) if wanted.ln else mean) + wanted.plus


def with_parameters(
    scenario: Scenario, mechanism: Mechanism | None, free: Sequence[Free], values: Iterable[float]
) -> Scenario:
    """The scenario with the free parameters at ``values``: common ones, or those of one mechanism."""
    groups = {k: v.model_dump() for k, v in scenario.groups.items()}
    disease: dict[str, Any] = scenario.disease.model_dump()
    hypothesis = None if mechanism is None else scenario.mechanisms[mechanism]
    own_groups = {} if hypothesis is None else {k: dict(v) for k, v in hypothesis.groups.items()}
    own_disease = {} if hypothesis is None else dict(hypothesis.disease)
    effect: dict[str, Any] = {} if hypothesis is None else hypothesis.effect.model_dump()
    for parameter, value in zip(free, values, strict=True):
        room, *rest = parameter.place.split(".")
        number = float(f"{value:.6g}")
        if room == "effect":
            effect[rest[0]] = number
        elif room == "disease":
            (disease if hypothesis is None else own_disease)[rest[0]] = number
        else:
            for g in scenario.protocol.groups if rest[0] == "*" else (rest[0],):
                (groups[g] if hypothesis is None else own_groups.setdefault(g, {}))[rest[1]] = number
    update: dict[str, Any] = {
        "groups": {k: type(scenario.groups[k]).model_validate(v) for k, v in groups.items()},
        "disease": type(scenario.disease).model_validate(disease),
    }
    if hypothesis is not None and mechanism is not None:
        replaced = Hypothesis(
            effect=scenario.package.effect.model_validate(effect), groups=own_groups, disease=own_disease
        )
        update["mechanisms"] = {**scenario.mechanisms, mechanism: replaced}
    return scenario.model_copy(update=update)


@dataclass(frozen=True)
class Misfit:
    """One target after the fit: published and predicted, and the distance in published standard errors."""

    target: Target
    predicted: float

    @property
    def z(self) -> float | None:
        return None if self.target.se is None else (self.predicted - self.target.value) / self.target.se


@dataclass(frozen=True)
class Calibration:
    """A fitted scenario, and per mechanism the misfit of every target used and the objective reached."""

    scenario: Scenario
    misfits: dict[Mechanism, tuple[Misfit, ...]]
    objective: dict[Mechanism, float]


class _Fitter:
    def __init__(
        self,
        record: Record,
        scenario: Scenario,
        trials: int,
        seed: int,
        progress: Progress | None,
        plan: FitPlan | None = None,
    ) -> None:
        self.record, self.trials, self.seed, self.progress = record, trials, seed, progress
        self.plan = load_plan(record.id) if plan is None else plan
        self.targets = targets(record, scenario, self.plan)
        self.at_bounds: dict[str, list[str]] = {}

    def imbalance(self, scenario: Scenario) -> Scenario:
        """The arms as far apart in the marker at baseline as they were: solved, as it is a fact of the trial.

        What a fit would weigh against a standard error of the arms' means is known here without error: the ratio of
        the arms' geometric means. Admission bends what a group's own parameter says, so the difference is found by
        adding what is still missing.
        """
        apart = self.plan.imbalance
        if apart is None:
            raise ScenarioError("the fit plan has a step 'imbalance' and does not say of what", hint="imbalance: {...}")
        means = {
            (t.key.set, t.key.arm): t
            for t in self.targets
            if (t.key.quantity, t.key.variable, t.key.statistic) == ("baseline", apart.variable, "geometric_mean")
        }
        control, active = scenario.protocol.arms[:2]
        pairs = {g: (means[g, control], means[g, active]) for g in scenario.groups if (g, control) in means}
        for _ in range(_SOLVED_AFTER):
            people = cohort(scenario, Mechanism.NONE, self.trials, self.seed, dropout=False)
            predict = Predictor(scenario, people)
            groups = dict(scenario.groups)
            for name, (one, two) in pairs.items():
                seen = predict([one.key, two.key])
                missing = (two.value - one.value) - float(seen[1] - seen[0])
                value = float(f"{getattr(groups[name], apart.parameter) + missing:.6g}")
                groups[name] = groups[name].model_copy(update={apart.parameter: value})
            scenario = scenario.model_copy(update={"groups": groups})
        return scenario

    def block(
        self, name: str, scenario: Scenario, mechanism: Mechanism | None, free: Sequence[Free] | None = None
    ) -> Scenario:
        """Fit one block, for all mechanisms (None) or for one; ``free`` as the plan says unless given."""
        block = self.plan.blocks[name]
        if free is None:
            own = self.plan.effects.get(mechanism, ()) if block.effect and mechanism is not None else ()
            free = (*block.free, *own)
        wanted = [t for t in self.targets if t.block == name and t.fit_se]
        measures = [t.key for t in wanted]
        value = np.array([t.value for t in wanted])
        se = np.array([t.fit_se for t in wanted], dtype=np.float64)
        start = np.array([start_of(f, self.record, scenario) for f in free])
        scale = np.array([_scale(f, v) for f, v in zip(free, start, strict=True)])
        low, high = np.array([f.low for f in free]), np.array([f.high for f in free])
        calls = 0

        def distance(x: FloatArray) -> FloatArray:
            nonlocal calls
            calls += 1
            if self.progress is not None:
                label = name if mechanism is None else f"{name}, {mechanism.value}"
                self.progress(label, calls, len(free))
            at = with_parameters(scenario, mechanism, free, start + (x - _ORIGIN) * scale)
            people = cohort(at, mechanism or Mechanism.NONE, self.trials, self.seed, dropout=block.dropout)
            return np.asarray((Predictor(at, people)(measures) - value) / se)

        from scipy.optimize import least_squares  # here, not above: slow to load

        found = least_squares(
            distance,
            np.full(len(free), _ORIGIN),
            bounds=(_ORIGIN + (low - start) / scale, _ORIGIN + (high - start) / scale),
            loss="soft_l1" if block.robust else "linear",
            f_scale=_ROBUST,
            diff_step=_STEP / _ORIGIN,
            xtol=1e-5,
            ftol=1e-4,
            max_nfev=40,
        )
        values = start + (found.x - _ORIGIN) * scale
        label = "all mechanisms" if mechanism is None else mechanism.value
        for f, v in zip(free, values, strict=True):
            if min(v - f.low, f.high - v) < 0.01 * (f.high - f.low):
                self.at_bounds.setdefault(label, []).append(f"{f.place} = {v:.3g}")
        return with_parameters(scenario, mechanism, free, values)


def fit(
    record: Record,
    scenario: Scenario,
    *,
    plan: FitPlan | None = None,
    trials: int = 200,
    seed: int = 20260101,
    progress: Progress | None = None,
) -> Calibration:
    """Fit every free parameter of ``scenario`` to ``record``.

    Parameters
    ----------
    record : the published trial. Values from recall never enter.
    scenario : its protocol, plan, admission rules and assumed parameters are kept; fitted ones start afresh, so the
        result does not depend on what it held before.
    plan : what is fitted to what; default the shipped one of that record.
    trials : copies of the trial that make up the cohort predictions are read off.
    seed : of the cohort.
    progress : called with the block, the evaluation and the number of free parameters.

    Returns
    -------
    Calibration
        The scenario with fitted values, the misfit of every target used, and the objective per mechanism.
    """
    fitter = _Fitter(record, scenario, trials, seed, progress, plan)
    plan = fitter.plan
    blank = {
        m: Hypothesis(
            effect=scenario.package.effect.model_validate({"mechanism": m, **_fresh_effect(fitter, scenario, m, h)})
        )
        for m, h in scenario.mechanisms.items()
    }
    at = scenario.model_copy(update={"mechanisms": blank})
    every = [f for block in plan.blocks.values() for f in block.free]
    at = with_parameters(at, None, every, [start_of(f, record, scenario) for f in every])
    for step in plan.steps:
        if step == "exposure":
            at = fit_exposure(record, at)
        elif step == "shares":
            at = _set_shares(record, at, plan)
        elif step == "imbalance":
            at = fitter.imbalance(at)
        elif not plan.blocks[step].mechanism:
            at = fitter.block(step, at, None)
    for mechanism in scenario.mechanisms:
        for step in plan.steps:
            if step in plan.blocks and plan.blocks[step].mechanism:
                at = fitter.block(step, at, mechanism)
    at_bounds = {k: tuple(v) for k, v in fitter.at_bounds.items()}
    profile = _lag_profile(fitter, at)
    fitter.targets = targets(record, at, plan)  # now with the adverse events
    misfits = {m: _misfits(fitter, at, m) for m in scenario.mechanisms}
    objective = {m: sum(x.z**2 for x in rows if x.z is not None) for m, rows in misfits.items()}
    summary = {
        "command": f"equipoise fit {record.id}",
        "version": __version__,
        "seed": seed,
        "cohort_trials": trials,
        "targets_used": sum(t.used for t in fitter.targets),
        "sum_of_squared_z": {m.value: round(v, 2) for m, v in objective.items()},
        "within_one_se": {
            m.value: {
                "count": sum(abs(x.z) <= 1 for x in rows if x.z is not None),
                "of": sum(x.z is not None for x in rows),
            }
            for m, rows in misfits.items()
        },
        "lag_profile": profile,
        "at_bounds": {k: list(v) for k, v in at_bounds.items()},
    }
    return Calibration(_folded(at).model_copy(update={"fit": summary}), misfits, objective)


def _folded(at: Scenario) -> Scenario:
    """The default mechanism's natural history as the common one, so that what is edited there takes effect."""
    default = at.mechanisms[at.default_mechanism]
    groups = {k: g.model_copy(update=default.groups.get(k, {})) for k, g in at.groups.items()}
    disease = at.disease.model_copy(update=default.disease)
    bare = default.model_copy(update={"groups": {}, "disease": {}})
    return at.model_copy(
        update={"groups": groups, "disease": disease, "mechanisms": {**at.mechanisms, at.default_mechanism: bare}}
    )


def _fresh_effect(
    fitter: _Fitter, scenario: Scenario, mechanism: Mechanism, hypothesis: Hypothesis
) -> dict[str, float]:
    """Free effect parameters at their starts, assumed ones (the weight of the lagged mechanism) as they are."""
    free = {
        f.place.removeprefix("effect."): start_of(f, fitter.record, scenario)
        for f in fitter.plan.effects.get(mechanism, ())
    }
    given = hypothesis.effect.model_dump(exclude={"mechanism"}, exclude_defaults=True)
    kept = {k: v for k, v in given.items() if k not in free}
    return {**kept, **free}


def _lag_profile(fitter: _Fitter, at: Scenario) -> dict[str, float]:
    """Sum of squared distances of the effect's block with the lag held at each of the plan's, all else fitted anew."""
    if Mechanism.LAGGED not in at.mechanisms:
        return {}
    name = fitter.plan.effect_block
    block = fitter.plan.blocks[name]
    out = {}
    for lag in fitter.plan.lags:
        hypothesis = at.mechanisms[Mechanism.LAGGED]
        held = hypothesis.model_copy(update={"effect": hypothesis.effect.model_copy(update={"lag": lag})})
        scenario = at.model_copy(update={"mechanisms": {**at.mechanisms, Mechanism.LAGGED: held}})
        scenario = fitter.block(name, scenario, Mechanism.LAGGED, block.free)
        rows = _misfits(fitter, scenario, Mechanism.LAGGED)
        out[f"{lag:g}"] = round(sum(x.z**2 for x in rows if x.z is not None and x.target.block == name), 2)
    return out


def _set_shares(record: Record, scenario: Scenario, plan: FitPlan) -> Scenario:
    """What needs no search, as counted: shares at baseline, adverse events per arm, and entry into the extension."""
    arms = scenario.protocol.arms
    shares: dict[str, dict[str, float]] = {g: {} for g in scenario.groups}
    if plan.background is not None:
        background = record.item(plan.background.item).values
        for own in shares.values():
            own.update({key: float(background[key].percent or 0) / 100 for key in plan.background.keys})
    for row in record.baseline:
        rule = plan.baseline.get(row.variable)
        if rule is None or rule.copy_to is None:
            continue
        for group, by_arm in row.values.items():
            counted = [v for a, v in by_arm.items() if a in arms and v.usable and v.value is not None and v.total]
            if counted:
                share = sum(float(v.value or 0) for v in counted) / sum(int(v.total or 0) for v in counted)
                for name in scenario.groups if group not in scenario.groups else (group,):
                    shares[name][rule.copy_to] = round(share, 4)
    events = {
        e.id: {a: round(float(e.arms[a].value or 0) / e.arms[a].total, 4) for a in arms}  # type: ignore[operator]
        for e in record.adverse_events
        if e.category in SIMULATED_EVENTS and all(a in e.arms and e.arms[a].total for a in arms)
    }
    update: dict[str, Any] = {
        "groups": {k: g.model_copy(update=shares[k]) for k, g in scenario.groups.items()},
        "adverse_events": events,
    }
    extension = scenario.protocol.extension
    entrants = record.extension.entrants.get("ITT") if record.extension is not None else None
    if extension is not None and entrants and plan.entrants == "shares":
        end = scenario.protocol.period_end
        left = sum(
            float(value.value or 0)
            for row in record.events
            if row.endpoint == "WITHDREW" and row.week == end
            for group, by_arm in row.values.items()
            if group in scenario.protocol.groups
            for value in by_arm.values()
        )
        entered = sum(float(v.value or 0) for v in entrants.values())
        entry = round(entered / (scenario.protocol.n - left), 4)
        protocol = scenario.protocol.model_copy(update={"extension": extension.model_copy(update={"entry": entry})})
        update["protocol"] = protocol
    return scenario.model_copy(update=update)


def fit_exposure(record: Record, scenario: Scenario) -> Scenario:
    """Set the apparent volume and its spread so that the steady-state trough has the published mean and SD."""
    trough = record.item("pk_csf_trough").values["trough"]
    mean, sd = float(trough.value or 0), float(trough.sd or 0)
    doses = scenario.protocol.dosing
    if isinstance(doses, Intake) or scenario.disease.elimination is None:
        raise ScenarioError(f"scenario {scenario.name!r}: the step 'exposure' is for a drug given in doses")
    interval = max(np.diff(doses.randomised[scenario.protocol.arms[1]]))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    k = scenario.disease.elimination * np.exp(scenario.disease.elimination_sd * nodes)
    factor = np.exp(-k * interval) / -np.expm1(-k * interval) * doses.dose * 1000.0
    m1, m2 = np.average(factor, weights=weights), np.average(factor**2, weights=weights)
    # trough = factor / V with V lognormal: E = m1 e^{-mu + s2/2}, E2 = m2 e^{-2 mu + 2 s2}
    s2 = math.log((sd**2 + mean**2) / mean**2 * m1**2 / m2)
    volume = m1 / mean * math.exp(s2 / 2)
    disease = scenario.disease.model_copy(
        update={"volume": float(f"{volume:.6g}"), "volume_sd": float(f"{math.sqrt(max(s2, 0)):.6g}")}
    )
    return scenario.model_copy(update={"disease": disease})


def _misfits(fitter: _Fitter, at: Scenario, mechanism: Mechanism) -> tuple[Misfit, ...]:
    # judged on other and many more patients than it was fitted on
    trials, seed = 4 * fitter.trials, fitter.seed + 1
    whole = Predictor(at, cohort(at, mechanism, trials, seed, dropout=False))
    leaving = Predictor(at, cohort(at, mechanism, trials, seed, dropout=True))
    rows = []
    for target in fitter.targets:
        if target.used:
            predictor = leaving if fitter.plan.blocks[str(target.block)].dropout else whole
            rows.append(Misfit(target, float(predictor([target.key])[0])))
    return tuple(rows)


def misfit_table(fitted: Calibration) -> str:
    """The misfit of every target, as fixed-width text: published, predicted per mechanism, distance in SE."""
    mechanisms = list(fitted.misfits)
    head = f"{'target':58s} {'published':>10s} {'SE':>8s}" + "".join(f" {m.value:>18s}" for m in mechanisms)
    lines = [head, "-" * len(head)]
    for rows in zip(*(fitted.misfits[m] for m in mechanisms), strict=True):
        t = rows[0].target
        se = "-" if t.se is None else f"{t.se:.3g}"
        cells = "".join(f" {x.predicted:10.3f} " + ("      -" if x.z is None else f"({x.z:+5.1f})") for x in rows)
        lines.append(f"{t.id:58s} {t.value:10.3f} {se:>8s}{cells}")
    lines.append("-" * len(head))
    for m in mechanisms:
        z = [x.z for x in fitted.misfits[m] if x.z is not None]
        lines.append(
            f"{m.value}: {sum(abs(v) <= 1 for v in z)} of {len(z)} targets within one published standard error; "
            f"sum of squared distances {fitted.objective[m]:.1f}"
        )
    lines.append("Values of ratios are natural logarithms; '-' where nothing published gives a standard error.")
    return "\n".join(lines)
