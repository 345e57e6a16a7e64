"""What a scenario predicts for each measure in a very large trial, without imputation or resampling.

The fit needs the expectation of every target at every trial step of the optimiser. Simulating whole trials with
their multiple imputation would give it, slowly; a large cohort followed without dropout gives the same expectation
directly: the least-squares means of the ANCOVA over the cohort, and standard errors scaled to the trial's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.plan.compiled import CarriedForward, Repeated, Slopes
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read
from equipoise.simulate import Simulator
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import Scenario
from equipoise.trial import Trials
from equipoise.types import WEEKS_PER_MONTH, BoolArray, FloatArray

BLOCKS = 2


def cohort(
    scenario: Scenario, mechanism: Mechanism, trials: int, seed: int, *, dropout: bool, randomised_only: bool = True
) -> Trials:
    """``trials`` copies of the trial as one cohort; without ``dropout`` everyone is observed at every visit."""
    if not dropout:
        still = dict(scenario.package.undisturbed)
        scenario = scenario.model_copy(update={"disease": scenario.disease.model_copy(update=still)})
        held = {
            m: h.model_copy(update={"disease": {k: v for k, v in h.disease.items() if k not in still}})
            for m, h in scenario.mechanisms.items()
        }
        scenario = scenario.model_copy(update={"mechanisms": held})
        extension = scenario.protocol.extension
        if extension is not None:  # everyone goes on, so that everyone is observed after the randomised period, too
            everyone = extension.model_copy(update={"entry": 1.0})
            protocol = scenario.protocol.model_copy(update={"extension": everyone})
            scenario = scenario.model_copy(update={"protocol": protocol})
    if randomised_only:
        protocol = scenario.protocol
        scenario = scenario.model_copy(update={"protocol": protocol.prolonged(protocol.period_end)})
    simulator = Simulator.of(scenario, mechanism)
    per_block = -(-trials // BLOCKS)
    with ThreadPoolExecutor(BLOCKS) as pool:
        parts = list(pool.map(lambda b: simulator.block(seed, b * per_block, per_block), range(BLOCKS)))
    return Trials.joined(parts)


def _carried(values: FloatArray) -> FloatArray:
    """(subject, visit) with the last value seen after baseline carried forward; baseline itself is not."""
    out = values.copy()
    for v in range(2, values.shape[1]):
        gone = np.isnan(out[:, v])
        out[gone, v] = out[gone, v - 1]
    return out


class Predictor:
    """Predictions of one cohort; regressions are done once per analysis and week."""

    def __init__(self, scenario: Scenario, trials: Trials) -> None:
        self.scenario = scenario
        self.trials = trials
        self._pooled = trials.pooled()
        self._fits: dict[str, dict[str, FloatArray]] = {}

    def __call__(self, measures: Sequence[Key]) -> FloatArray:
        """One value per measure, on the measure's own scale."""
        return np.array([self._one(m) for m in measures])

    def _one(self, m: Key) -> float:
        if m.analysis is not None:
            analysis = self.scenario.plan.analysis(m.analysis)
            if isinstance(analysis, Slopes):
                return self._slopes(analysis, m)
            if not isinstance(analysis, Repeated | CarriedForward):
                raise ScenarioError(f"measure {m.id} has no large-cohort prediction")
            fit = self._fit(analysis)
            v = self.trials.visit_index(float(m.week or analysis.week)) - 1
            arm = "active" if m.arm == self.trials.arms[1] else "control"
            key = {"arm_mean": arm, "contrast": "difference", "contrast_se": "difference_se", "arm_se": f"{arm}_se"}
            return float(fit[key[m.quantity]][v])
        return self._descriptive(m)

    def _slopes(self, analysis: Slopes, m: Key) -> float:
        """The random-slope model on complete data, in closed form from each person's least-squares line.

        With one mean at baseline, a slope is the arm's mean slope less what its mean intercept owes to chance; the
        cohort is followed without dropout, whose expectation is the same where values are missing at random.
        """
        if analysis.covariates or not analysis.shared_baseline:
            raise ScenarioError(
                f"measure {m.id} has no large-cohort prediction: it has covariates or no shared baseline"
            )
        if analysis.id not in self._fits:
            t = self.trials
            who = t.members(analysis.set)
            last = t.visit_index(analysis.week)
            values = t.outcomes[analysis.variable][who][:, : last + 1]
            values = np.log(values) if analysis.log else values
            months = t.weeks[: last + 1] / WEEKS_PER_MONTH
            lines = np.linalg.lstsq(np.column_stack([np.ones_like(months), months]), values.T, rcond=None)[0].T
            arm = t.arm[who]
            means = np.array([lines[arm == a].mean(axis=0) for a in (0, 1)])
            spread = lines - means[arm]
            omega = spread.T @ spread / (len(lines) - 2)
            tie = omega[0, 1] / omega[0, 0]
            level = lines[:, 0].mean()
            slope = means[:, 1] - tie * (means[:, 0] - level)
            n = np.array([np.sum(arm == a) for a in (0, 1)]) / len(t)  # patients of one trial
            own = omega[1, 1] - omega[0, 1] * tie
            self._fits[analysis.id] = {
                "slope": slope,
                "slope_se": np.sqrt(own / n + tie**2 * omega[0, 0] / n.sum()),
                "difference_se": np.sqrt(np.atleast_1d(own * (1 / n).sum())),
                "level": np.atleast_1d(level),
            }
        fit = self._fits[analysis.id]
        a = 1 if m.arm == self.trials.arms[1] else 0
        elapsed = float(m.week or analysis.week) / WEEKS_PER_MONTH
        difference = float(fit["slope"][1] - fit["slope"][0])
        values_of = {
            "arm_slope": float(fit["slope"][a]),
            "arm_slope_se": float(fit["slope_se"][a]),
            "slope_difference": difference,
            "slope_difference_se": float(fit["difference_se"][0]),
            "arm_mean": float(fit["level"][0] + fit["slope"][a] * elapsed),
            "contrast": difference * elapsed,
            "contrast_se": float(fit["difference_se"][0]) * elapsed,
        }
        if m.quantity not in values_of:
            raise ScenarioError(f"measure {m.id} has no large-cohort prediction")
        return values_of[m.quantity]

    def _fit(self, analysis: Repeated | CarriedForward) -> dict[str, FloatArray]:
        if analysis.id in self._fits:
            return self._fits[analysis.id]
        t = self.trials
        who = t.members(analysis.set)
        if isinstance(analysis, CarriedForward):
            seen = ~np.isnan(t.outcomes[analysis.variable][:, :, 1 : t.visit_index(analysis.week) + 1])
            weeks = t.weeks[1 : t.visit_index(analysis.week) + 1]
            who = who & (seen & (weeks >= analysis.observed_to)).any(axis=2)
        values = t.outcomes[analysis.variable][who]
        if isinstance(analysis, CarriedForward):
            values = _carried(values[:, : len(weeks) + 1])
        if analysis.log:
            values = np.log(values)
        y = values[:, 1:] - values[:, :1]
        columns = [np.ones(len(y)), t.arm[who].astype(np.float64)]
        for name in analysis.covariates:
            columns.append(self._covariate(name, analysis, who))
        x = np.stack(columns, axis=1)
        x[:, 2:] -= x[:, 2:].mean(axis=0)
        gram = np.linalg.inv(x.T @ x)
        beta = gram @ (x.T @ y)
        sigma = np.sqrt(((y - x @ beta) ** 2).sum(axis=0) / (len(y) - x.shape[1]))
        scale = np.sqrt(len(t))  # the cohort is len(t) trials; standard errors are those of one
        active = np.zeros(x.shape[1])
        active[:2] = 1.0
        fit = {
            "control": beta[0],
            "active": beta[0] + beta[1],
            "difference": beta[1],
            "control_se": sigma * np.sqrt(gram[0, 0]) * scale,
            "active_se": sigma * np.sqrt(active @ gram @ active) * scale,
            "difference_se": sigma * np.sqrt(gram[1, 1]) * scale,
        }
        self._fits[analysis.id] = fit
        return fit

    def _covariate(self, name: str, analysis: Repeated | CarriedForward, who: BoolArray) -> FloatArray:
        values = self.trials.baseline(analysis.variable if name == "BASE" else name)[who]
        return np.log(values) if name == "BASE" and analysis.log else values

    def _descriptive(self, m: Key) -> float:
        """What the cohort shows, taken as one trial; what the scenario sets outright is taken from there."""
        if m.quantity == "adverse_event_share":
            return self.scenario.adverse_events[str(m.variable)][str(m.arm)]
        if m.quantity == "event_share" and m.variable == "entered":
            extension = self.scenario.protocol.extension
            left = self._descriptive(replace(m, variable="left"))
            return (1.0 - left) * (extension.entry if extension is not None else 0.0)
        end = float(self.trials.weeks[-1])
        if m.quantity == "event_share" and m.week is not None and m.week > end:
            raise ScenarioError(f"measure {m.id} lies beyond week {end:g}, the end of the cohort")
        return float(read(self._pooled, [m])[0, 0])
