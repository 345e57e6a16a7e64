"""The posterior of a block's parameters under each mechanism, and what the numbers say about the mechanisms.

For each mechanism: the covariance of the published statistics at the fit (:mod:`.likelihood`); Sobol points in a box;
the model at each; an emulator (:mod:`.emulator`) of the whitened statistics; a wave that throws out what is
implausible and shrinks the box (Vernon, Goldstein & Bower 2010, Bayesian Anal 5:619); then tempered particles and the
evidence on the emulator (:mod:`.sampling`); and at last the model itself at some of the draws, whose importance
weights correct what the emulator got wrong. The prior is uniform between the bounds of the fit plan.

The blocks before are held at the fit: their uncertainty is cut, a stated choice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp
from scipy.stats import qmc

from equipoise import __version__
from equipoise.calibrate.cohort import Predictor, cohort
from equipoise.calibrate.fitting import with_parameters
from equipoise.calibrate.plan import FitPlan, Free, load_plan
from equipoise.calibrate.posterior.emulator import Emulator, quadratic
from equipoise.calibrate.posterior.likelihood import (
    DISCREPANCY,
    Observed,
    Progress,
    Statistic,
    adjustments_of,
    observed,
    statistics_of,
)
from equipoise.calibrate.posterior.sampling import Drawn, Weights, smoothed_weights, tempered
from equipoise.calibrate.targets import targets
from equipoise.errors import ScenarioError
from equipoise.records.schema import Record
from equipoise.run.executors import Task, Threads
from equipoise.run.store import Store
from equipoise.run.study import grow, program, read_parts
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import Scenario
from equipoise.types import FloatArray

IMPLAUSIBLE = 3.0
"""A statistic further than this many standard deviations from every point of the box cannot be matched: at least 95 %
of any unimodal distribution lie within three (Pukelsheim 1994, Am Stat 48:88)."""

_REACH = 4.0  # half the side of the first box, in standard deviations of a linear posterior
_MARGIN = 0.25  # of the second box around the first posterior, as a share of its side


@dataclass(frozen=True)
class Sizes:
    """How much work is done: more is slower and surer.

    points : of the model in each of two waves and mechanism, half as many in a third at draws; a quadratic of d
        parameters has (d + 1)(d + 2) / 2 terms.
    copies : of the trial in the cohort that a prediction is read off. replicates : for the covariance.
    particles : of the tempered sampler, twice as many in the last wave.
    corrected : draws at which the model itself is run.
    """

    points: int = 384
    copies: int = 100
    replicates: int = 2000
    particles: int = 2000
    corrected: int = 400


@dataclass(frozen=True, eq=False)
class Model:
    """A block under one mechanism: its free parameters and what it predicts at any of their values."""

    scenario: Scenario
    mechanism: Mechanism
    free: tuple[Free, ...]
    observed: Observed
    copies: int
    seed: int
    dropout: bool
    later: bool

    @property
    def low(self) -> FloatArray:
        return np.array([f.low for f in self.free])

    @property
    def high(self) -> FloatArray:
        return np.array([f.high for f in self.free])

    def predicted(self, theta: FloatArray) -> FloatArray:
        """(statistic,) that the published ones are compared with, at one point (parameter,)."""
        at = with_parameters(self.scenario, self.mechanism, self.free, theta)
        people = cohort(
            at, self.mechanism, self.copies, self.seed, dropout=self.dropout, randomised_only=not self.later
        )
        return self.observed.combined(Predictor(at, people)(self.observed.keys)) + self.observed.shift


@dataclass(frozen=True, eq=False)
class _Evaluate:
    """The model at the points of a design, as a store asks for them."""

    model: Model
    design: FloatArray

    def __call__(self, first: int, rows: int) -> FloatArray:
        return np.stack([self.model.predicted(theta) for theta in self.design[first : first + rows]])


def _evaluated(
    model: Model, design: FloatArray, store: Path | None, told: Callable[[int, int], None] | None
) -> FloatArray:
    """(point, statistic) of the model at a design; kept in ``store``, and taken from there where it was done before."""
    labels = [s.label for s in model.observed.statistics]
    said = [
        program(),
        model.scenario.digest(),
        model.mechanism.value,
        *(f.place for f in model.free),
        *labels,
        f"{model.copies} {model.seed} {model.dropout} {model.later}",
        hashlib.sha256(np.ascontiguousarray(design).tobytes() + model.observed.shift.tobytes()).hexdigest(),
    ]
    key = hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
    kept = Store.open(store, key, labels)
    parts = grow([Task(_Evaluate(model, design), kept, program())], len(design), Threads(None), told)[0]
    values = read_parts(parts, range(len(labels)), len(design))
    kept.close()
    return values


@dataclass(frozen=True, eq=False)
class MechanismPosterior:
    """What the published numbers say of one mechanism's parameters.

    free : the parameters. draws : (draw, parameter), of weight ``weights.weights``: the model itself was run at them.
    log_evidence, bridge : by two methods, on the emulator. correction : log of the mean importance ratio, which is
    added to both. contraction : 1 - posterior variance / prior variance, of each parameter.
    unmatched : statistics that no point of the box comes near, each with the least distance.
    emulator_error : root mean square error of the emulated statistics, in standard deviations of the likelihood.
    groups : the recruitment groups, which a place for every group stands for.
    """

    mechanism: Mechanism
    free: tuple[Free, ...]
    observed: Observed
    fit: FloatArray
    draws: FloatArray
    weights: Weights
    sampler: Drawn
    correction: float
    prior_share: float
    contraction: dict[str, float]
    unmatched: dict[str, float]
    emulator_error: float
    groups: tuple[str, ...]
    predicted: FloatArray

    @property
    def log_evidence(self) -> float:
        return self.sampler.log_evidence + self.prior_share + self.correction

    @property
    def bridge(self) -> float:
        return self.sampler.bridge + self.prior_share + self.correction

    def of(self, place: str) -> FloatArray:
        """(draw,) values of one parameter."""
        return self.draws[:, [f.place for f in self.free].index(place)]

    def interval(self, values: FloatArray, level: float = 0.95) -> tuple[float, float, float]:
        """Weighted median and the equal-tailed interval of any (draw,) numbers."""
        return weighted_quantiles(values, self.weights.weights, (0.5, (1 - level) / 2, (1 + level) / 2))


def weighted_quantiles(values: FloatArray, weights: FloatArray, at: Sequence[float]) -> tuple[Any, ...]:
    """Quantiles of weighted draws, between the draws by interpolation.

    >>> weighted_quantiles(np.array([3.0, 1.0, 2.0]), np.full(3, 1 / 3), (0.5,))
    (2.0,)
    """
    order = np.argsort(values)
    middle = np.cumsum(weights[order]) - 0.5 * weights[order]
    return tuple(float(np.interp(q, middle, values[order])) for q in at)


def sobol(low: FloatArray, high: FloatArray, points: int, seed: int) -> FloatArray:
    """(point, parameter) of a scrambled Sobol sequence in the box; ``points`` a power of two is best balanced.

    >>> sobol(np.zeros(2), np.ones(2), 4, 1).shape
    (4, 2)
    """
    made = qmc.Sobol(len(low), scramble=True, rng=np.random.default_rng(seed))
    unit = made.random_base2(math.ceil(math.log2(points)))[:points]
    return np.asarray(low + (high - low) * unit)


def _likelihood(emulator: Emulator, seen: Observed) -> Callable[[FloatArray], FloatArray]:
    """Log likelihood with the emulator's own error added to each whitened statistic."""
    spread = 1.0 + emulator.error**2
    return lambda x: seen.log_density(emulator(x), spread)


def _first_box(model: Model, start: FloatArray, store: Path | None) -> tuple[FloatArray, FloatArray]:
    """Bounds of the first wave: the fit and several standard deviations of the linear posterior, within the prior."""
    side = model.high - model.low
    step = 0.05 * side
    up, down = np.minimum(start + step, model.high), np.maximum(start - step, model.low)
    d = len(start)
    design = np.repeat(start[None, :], 2 * d, axis=0)
    for k in range(d):
        design[2 * k, k], design[2 * k + 1, k] = up[k], down[k]
    z = model.observed.whitened(_evaluated(model, design, store, None))
    slope = np.stack([(z[2 * k] - z[2 * k + 1]) / (up[k] - down[k]) for k in range(d)], axis=1)
    sd = np.sqrt(np.diag(np.linalg.inv(slope.T @ slope + np.diag(12.0 / side**2))))
    reach = np.maximum(_REACH * sd, 0.02 * side)
    return np.maximum(start - reach, model.low), np.minimum(start + reach, model.high)


def posterior_of(
    model: Model,
    start: FloatArray,
    sizes: Sizes,
    *,
    seed: int,
    store: Path | None = None,
    progress: Progress | None = None,
) -> MechanismPosterior:
    """Waves, particles, evidence and correction of one mechanism.

    Parameters
    ----------
    start : (parameter,) where the fit ended. store : keeps the model's runs, to resume from.

    Raises
    ------
    ScenarioError : too few points for the parameters.
    """
    name = model.mechanism.value
    d = len(model.free)
    least = quadratic(np.zeros((1, d))).shape[1] + 1
    if sizes.points < least:
        raise ScenarioError(
            f"{sizes.points} points for {d} parameters",
            hint=f"take at least {least}, better {2 ** math.ceil(math.log2(2 * least))}",
        )

    def told(label: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda n, of: progress(f"{name}: {label}", n, of)

    low, high = _first_box(model, start, store)
    design = np.empty((0, d))
    values = np.empty((0, len(model.observed.statistics)))
    points = sobol(low, high, sizes.points, seed + 1)
    for wave in (1, 2, 3):
        made = _evaluated(model, points, store, told(f"wave {wave}"))
        # points of the wave before that lie within the new box serve again
        inside = ((design >= low) & (design <= high)).all(axis=1)
        design, values = np.vstack([points, design[inside]]), np.vstack([made, values[inside]])
        finite = np.isfinite(values).all(axis=1)
        design, values = design[finite], values[finite]
        emulator = Emulator.of(design, model.observed.whitened(values), low, high)
        likelihood = _likelihood(emulator, model.observed)
        particles = sizes.particles * (2 if wave == 3 else 1)
        drawn = tempered(likelihood, low, high, particles=particles, seed=seed + 10 + wave)
        if wave == 1:
            spread = np.ptp(drawn.draws, axis=0)
            low = np.maximum(drawn.draws.min(axis=0) - _MARGIN * spread, model.low)
            high = np.minimum(drawn.draws.max(axis=0) + _MARGIN * spread, model.high)
            points = sobol(low, high, sizes.points, seed + 2)
        else:  # the last wave asks where the posterior is
            points = _some(drawn.draws, sizes.points // 2)
    chosen = _some(drawn.draws, sizes.corrected)
    exact = _evaluated(model, chosen, store, told("the model at the draws"))
    ratio = model.observed.log_density(model.observed.whitened(exact)) - likelihood(chosen)
    weights = smoothed_weights(ratio)
    box = float(np.log((high - low) / (model.high - model.low)).sum())
    prior_variance = (model.high - model.low) ** 2 / 12
    mean = weights.weights @ chosen
    variance = weights.weights @ (chosen - mean) ** 2
    return MechanismPosterior(
        model.mechanism,
        model.free,
        model.observed,
        start,
        chosen,
        weights,
        drawn,
        float(logsumexp(ratio) - math.log(len(ratio))),
        box,
        {f.place: float(1 - v / p) for f, v, p in zip(model.free, variance, prior_variance, strict=True)},
        unmatched(model.observed, np.vstack([values, exact])),
        float(np.sqrt(np.mean(emulator.error**2))),
        tuple(model.scenario.protocol.groups),
        exact,
    )


def _some(draws: FloatArray, number: int) -> FloatArray:
    """So many of the draws, evenly spaced: particles that came from one stand side by side."""
    return np.asarray(draws[np.linspace(0, len(draws) - 1, number).astype(int)])


def unmatched(observed_: Observed, values: FloatArray) -> dict[str, float]:
    """Statistics that stay further than :data:`IMPLAUSIBLE` from what was published at every point that comes near.

    Near is a point whose other statistics fit: the best tenth by all statistics but this one.
    """
    sd = np.sqrt(np.diag(observed_.covariance))
    z = (values - observed_.value) / sd
    out = {}
    for k, s in enumerate(observed_.statistics):
        others = np.delete(np.arange(len(sd)), k)
        root = np.linalg.cholesky(observed_.covariance[np.ix_(others, others)])
        misfit = (np.linalg.solve(root, (values - observed_.value)[:, others].T) ** 2).sum(axis=0)
        near = z[np.argsort(misfit)[: max(10, len(z) // 10)], k]
        least = float(near[np.argmin(np.abs(near))])
        if abs(least) > IMPLAUSIBLE:
            out[s.label] = least
    return out


@dataclass(frozen=True, eq=False)
class Posterior:
    """The posterior of a trial: each mechanism's, and the weights of the mechanisms.

    prior : weights of the mechanisms before, adding to one. later : whether numbers after the randomised period count.
    """

    record: str
    block: str
    mechanisms: dict[Mechanism, MechanismPosterior]
    prior: dict[Mechanism, float]
    later: bool
    discrepancy: float
    sizes: Sizes
    seed: int

    def weights(self, *, bridge: bool = False) -> dict[Mechanism, float]:
        """Posterior weights of the mechanisms, by the evidence of the particles or by bridge sampling."""
        log = np.array(
            [(m.bridge if bridge else m.log_evidence) + math.log(self.prior[k]) for k, m in self.mechanisms.items()]
        )
        share = np.exp(log - logsumexp(log))
        return dict(zip(self.mechanisms, map(float, share), strict=True))

    def bayes_factor(self, one: Mechanism, other: Mechanism, *, bridge: bool = False) -> float:
        """Bayes factor of one mechanism against another."""
        a, b = self.mechanisms[one], self.mechanisms[other]
        return math.exp((a.bridge - b.bridge) if bridge else (a.log_evidence - b.log_evidence))

    def columns(self) -> dict[str, list[Any]]:
        """The draws of every mechanism as a design study reads them: mechanism, weight, and a column a parameter.

        A parameter that a mechanism has not got stands at the value of the fitted scenario, as null.
        """
        shares = self.weights()
        places = list(dict.fromkeys(p for m in self.mechanisms.values() for p in parameter_columns(m)))
        out: dict[str, list[Any]] = {"mechanism": [], "weight": [], **{p: [] for p in places}}
        for name, m in self.mechanisms.items():
            own = parameter_columns(m)
            out["mechanism"] += [name.value] * len(m.draws)
            out["weight"] += (shares[name] * m.weights.weights).tolist()
            for p in places:
                out[p] += own[p].tolist() if p in own else [None] * len(m.draws)
        return out


def parameter_columns(m: MechanismPosterior) -> dict[str, FloatArray]:
    """Column name -> (draw,): a place for every group is a column of each."""
    out: dict[str, FloatArray] = {}
    for k, f in enumerate(m.free):
        if f.place.startswith("groups.*."):
            out.update({f"groups.{g}.{f.place.removeprefix('groups.*.')}": m.draws[:, k] for g in m.groups})
        else:
            out[f.place] = m.draws[:, k]
    return out


def posterior(
    record: Record,
    scenario: Scenario,
    *,
    plan: FitPlan | None = None,
    block: str | None = None,
    mechanisms: Sequence[Mechanism | str] | None = None,
    prior: Mapping[str, float] | None = None,
    later: bool = False,
    discrepancy: float = DISCREPANCY,
    sizes: Sizes | None = None,
    seed: int = 20260101,
    store: Path | None = None,
    progress: Progress | None = None,
) -> Posterior:
    """The posterior of the parameters of a block, and of the mechanisms, given what was published.

    Parameters
    ----------
    record, scenario : the trial, and its scenario fitted to that record.
    plan : what is fitted to what; default the shipped one. Its bounds are the prior.
    block : of the plan; default that in which the effect of the drug is fitted. Those before it are held at the fit.
    mechanisms : of the scenario; default all. prior : their weights; default equal.
    later : count the arms' means after the randomised period too. By default they are held out.
    discrepancy : what the model does not explain, as a share of each statistic's standard deviation.
    store : a folder to keep every run in, and to resume from.

    Raises
    ------
    ScenarioError
        A mechanism, a block or a weight that is not there; too few points or replicates.
    """
    plan = load_plan(record.id) if plan is None else plan
    sizes = sizes or Sizes()
    if block is None:
        block = plan.effect_block
    if block not in plan.blocks:
        raise ScenarioError(f"no block {block!r} in the fit plan", hint=f"there are {', '.join(plan.blocks)}")
    if not discrepancy > 0:
        raise ScenarioError(f"discrepancy {discrepancy:g}", hint="a share above 0; 0.5 is the default")
    own = plan.blocks[block]
    chosen = _chosen(scenario, mechanisms)
    weight = _weights(chosen, prior)
    found = targets(record, scenario, plan)
    outcome = next(iter(scenario.outcomes), "")  # a trial of survival alone has none
    statistics: tuple[Statistic, ...] = (
        *statistics_of(found, block, later=later, outcome=outcome),
        *(adjustments_of(found, outcome, scenario.package.marker.outcome) if block == _function(plan, outcome) else ()),
    )
    if not statistics:
        raise ScenarioError(f"nothing published is fitted in the block {block!r}")
    out = {}
    for mechanism in chosen:
        effects = plan.effects.get(mechanism, ()) if own.effect else ()
        free = (*own.free, *effects)
        seen = observed(
            scenario,
            mechanism,
            statistics,
            dropout=own.dropout,
            later=later,
            replicates=sizes.replicates,
            copies=sizes.copies,
            seed=seed,
            discrepancy=discrepancy,
            store=store,
            progress=progress,
        )
        model = Model(scenario, mechanism, free, seen, sizes.copies, seed, own.dropout, later)
        start = fitted_values(scenario, mechanism, free)
        out[mechanism] = posterior_of(model, start, sizes, seed=seed, store=store, progress=progress)
    return Posterior(record.id, block, out, weight, later, discrepancy, sizes, seed)


def _function(plan: FitPlan, outcome: str) -> str | None:
    """The block in which the main outcome is fitted."""
    return next((rule.block for rule in plan.outcomes if rule.outcome == outcome), None)


def fitted_values(scenario: Scenario, mechanism: Mechanism, free: Sequence[Free]) -> FloatArray:
    """(parameter,) where the fitted scenario stands."""
    groups, disease, effect = scenario.under(mechanism)
    first = next(iter(scenario.protocol.groups))
    out = []
    for f in free:
        room, *rest = f.place.split(".")
        holder = {"effect": effect, "disease": disease}.get(room) or groups[first if rest[0] == "*" else rest[0]]
        value = float(getattr(holder, rest[-1]))
        inset = 1e-3 * (f.high - f.low)
        out.append(min(max(value, f.low + inset), f.high - inset))
    return np.array(out)


def _chosen(scenario: Scenario, mechanisms: Sequence[Mechanism | str] | None) -> tuple[Mechanism, ...]:
    if mechanisms is None:
        return tuple(scenario.mechanisms)
    out = []
    for m in mechanisms:
        if m not in [k.value for k in scenario.mechanisms] and m not in scenario.mechanisms:
            raise ScenarioError(
                f"no mechanism {str(m)!r} in scenario {scenario.name!r}",
                hint=f"there are {', '.join(k.value for k in scenario.mechanisms)}",
            )
        out.append(Mechanism(m))
    return tuple(dict.fromkeys(out))


def _weights(chosen: Sequence[Mechanism], prior: Mapping[str, float] | None) -> dict[Mechanism, float]:
    if prior is None:
        return {m: 1.0 / len(chosen) for m in chosen}
    own = {m.value: m for m in chosen}
    for name, value in prior.items():
        if name not in own:
            raise ScenarioError(f"prior: no mechanism {name!r}", hint=f"there are {', '.join(own)}")
        if not (math.isfinite(value) and value > 0):
            raise ScenarioError(f"prior: {name} = {value:g}", hint="give a weight above 0")
    missing = [n for n in own if n not in prior]
    if missing:
        raise ScenarioError(f"prior: nothing for {', '.join(missing)}", hint="give each mechanism a weight")
    total = sum(prior.values())
    return {m: prior[name] / total for name, m in own.items()}


def summary(made: Posterior) -> dict[str, Any]:
    """What was found, as plain data: for a page, and to be kept beside the draws."""
    first, second = made.weights(), made.weights(bridge=True)
    return {
        "record": made.record,
        "version": __version__,
        "block": made.block,
        "after_the_randomised_period": made.later,
        "discrepancy": made.discrepancy,
        "seed": made.seed,
        "sizes": vars(made.sizes),
        "mechanisms": {
            m.value: {
                "prior": made.prior[m],
                "weight": first[m],
                "weight_bridge": second[m],
                "log_evidence": p.log_evidence,
                "log_evidence_bridge": p.bridge,
                "parameters": {
                    f.place: {
                        "fit": float(p.fit[k]),
                        "median": mid,
                        "low": low,
                        "high": high,
                        "prior": [f.low, f.high],
                        "contraction": p.contraction[f.place],
                    }
                    for k, f in enumerate(p.free)
                    for mid, low, high in [p.interval(p.draws[:, k])]
                },
                "unmatched": p.unmatched,
                "left_out": list(p.observed.left_out),
                "statistics": len(p.observed.statistics),
                "effective_number": p.observed.effective(),
                "pareto_k": p.weights.pareto_k,
                "effective_draws": p.weights.effective,
                "draws": len(p.draws),
                "emulator_error": p.emulator_error,
                "predicted": {
                    s.label: {"published": s.value, "median": mid, "low": low, "high": high}
                    for k, s in enumerate(p.observed.statistics)
                    for mid, low, high in [p.interval(p.predicted[:, k])]
                },
            }
            for m, p in made.mechanisms.items()
        },
    }
