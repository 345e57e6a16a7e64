"""Targets about who entered: baseline tables, shares copied into the scenario, entry into the extension."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from equipoise.calibrate.plan import FitPlan
from equipoise.calibrate.targets.target import Target, arm_n, fit_sets, share, simulated_set, where
from equipoise.plan.key import Key
from equipoise.records.schema import BaselineRow, Record, Value
from equipoise.simulate.scenario import Scenario

_LABELS = {
    "mean": "mean",
    "sd": "SD",
    "median": "median",
    "geometric_mean": "geometric mean",
    "log_sd": "SD of the logarithm",
}


def baseline_targets(record: Record, scenario: Scenario, plan: FitPlan) -> Iterator[Target]:
    """Means, SDs, medians and geometric means of the baseline variables the plan names."""
    for row in record.baseline:
        rule = plan.baseline.get(row.variable)
        if rule is None or row.statistic == "n_percent":
            continue
        for group, by_arm in _read(plan, row):
            simulated = simulated_set(plan, group)
            for arm, value in by_arm.items():
                if value.value is None or arm not in scenario.protocol.arms:
                    continue
                n = arm_n(record, group, arm)
                for statistic, number, se in _statistics(record, row, value, rule.times, n, group, arm):
                    in_fit = simulated in fit_sets(scenario) and (rule.fit is None or statistic in rule.fit)
                    name = rule.name or row.variable
                    yield Target(
                        key=Key("baseline", variable=name, statistic=statistic, set=simulated, arm=arm),
                        quantity=f"{row.label}, baseline {_LABELS[statistic]}",
                        outcome=name,
                        method="descriptive",
                        unit=(row.unit or "") if rule.times == 1 else "",
                        scale="ratio" if statistic == "geometric_mean" else "baseline",
                        value=number,
                        se=se,
                        fit_se=_rough_se(value, number, n) if se is None else se,
                        ln=statistic == "geometric_mean",
                        result=row.id,
                        block=rule.block if in_fit else None,
                        where=where(value),
                    )


def _read(plan: FitPlan, row: BaselineRow) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """The analysis sets of a baseline row that the plan takes, with their values by arm."""
    return ((group, by_arm) for group, by_arm in row.values.items() if group in (plan.baseline_sets or row.values))


def _statistics(
    record: Record, row: BaselineRow, value: Value, times: float, n: int, group: str, arm: str
) -> Iterator[tuple[str, float, float | None]]:
    """Statistic, value and standard error of what one cell of a baseline table says."""
    number = float(value.value or 0) * times
    sd = None if value.sd is None else float(value.sd) * times
    if row.variable == "PRESLOPE" and number > 0:
        number = -number  # printed as points lost
    if row.statistic in ("mean_sd", "mean"):
        yield "mean", number, sd / math.sqrt(n) if sd else None
        if sd:
            yield "sd", sd, sd / math.sqrt(2 * (n - 1))
    elif row.statistic == "median_range":
        yield "median", number, None
    elif row.statistic == "log_sd":
        yield "log_sd", number, number / math.sqrt(2 * (n - 1))
    elif row.statistic == "geometric_mean":
        spread = _log_sd(record, row.variable, group, arm)
        yield "geometric_mean", math.log(number), spread and spread / math.sqrt(n)


def _rough_se(value: Value, number: float, n: int) -> float:
    """A weight for a number printed without a spread: from its range, a quarter of which is about one SD."""
    if value.range is not None:
        return 1.2533 * (value.range[1] - value.range[0]) / 4 / math.sqrt(n)
    return 0.5 * abs(number) / math.sqrt(n)


def _log_sd(record: Record, variable: str, group: str, arm: str) -> float | None:
    for row in record.baseline:
        if row.variable == variable and row.statistic == "log_sd":
            value = row.values.get(group, {}).get(arm)
            if value is not None and value.value is not None:
                return float(value.value)
    return None


def share_targets(record: Record, scenario: Scenario, plan: FitPlan) -> Iterator[Target]:
    """Counts at baseline, background drugs, and entry into the extension."""
    for row in record.baseline:
        rule = plan.baseline.get(row.variable)
        if rule is None or row.statistic != "n_percent":
            continue
        name = rule.name or row.variable
        for group, by_arm in _read(plan, row):
            simulated = simulated_set(plan, group)
            for arm, value in by_arm.items():
                if value.value is not None and value.total and arm in scenario.protocol.arms:
                    measure = Key("baseline", variable=name, statistic="mean", set=simulated, arm=arm)
                    block = "shares" if rule.copy_to else rule.block
                    yield share(measure, row.label, name, value, float(value.value), int(value.total), row.id, block)
    background = next((i for i in record.items if plan.background and i.id == plan.background.item), None)
    if background is not None and plan.background is not None:
        n = scenario.protocol.n
        for key, name in plan.background.keys.items():
            value = background.values[key]
            if value.percent is not None:
                measure = Key("baseline", variable=name, statistic="mean", set="ITT")
                label = f"{key.capitalize()} at baseline"
                yield share(measure, label, name, value, n * float(value.percent) / 100, n, background.id, "shares")
    if record.extension is not None:
        for group, by_arm in record.extension.entrants.items():
            simulated = simulated_set(plan, group)
            for arm, value in by_arm.items():
                if value.value is not None and value.total and arm in scenario.protocol.arms:
                    week = scenario.protocol.period_end
                    measure = Key("event_share", variable="entered", set=simulated, arm=arm, week=week)
                    entrants = plan.entrants if simulated == "ITT" else None
                    count, total = float(value.value), int(value.total)
                    label = "Went on into the extension"
                    yield share(measure, label, "ENTERED", value, count, total, "extension", entrants)
