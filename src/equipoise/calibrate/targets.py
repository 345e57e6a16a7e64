"""The published numbers a scenario is fitted to and checked against, each with its measure and its standard error.

A target of a block (``baseline``, ``biomarker``, ``function``, ``clinical``, ``events``) is used in the fit; one
without a block is held as a check and never enters it. Everything after the randomised period is a check.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from equipoise.errors import RecordError
from equipoise.protocol import Kind, Measure, Repeated, TimeToEvent
from equipoise.records.schema import Contrast, CurvePoint, Record, Result, Value
from equipoise.simulate.scenario import Scenario

Z95 = 1.959963984540054  # normal quantile of 0.975


Use = Literal["fit", "set", "same period", "check"]
SET_BLOCKS = ("shares", "adverse events")
"""Blocks whose numbers are copied into the scenario, not fitted."""


class Where(NamedTuple):
    """The source key, the place in it, and how the number was obtained from it."""

    source: str
    place: str
    confidence: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """One published number.

    ``value`` and ``se`` are on the scale of the comparison: natural logs for ratios (``ln`` True), shares for
    percentages. ``se`` is the published standard error, or follows from the published interval, SD and n, or count
    by arithmetic; None where nothing published gives one. ``fit_se`` is what the fit divides by.
    """

    measure: Measure
    quantity: str
    outcome: str
    method: str
    unit: str
    scale: str
    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None
    fit_se: float | None = None
    ln: bool = False
    where: Where
    result: str | None
    block: str | None = None
    use: Use = "check"
    """``fit``; ``set`` (a count copied into the scenario); ``same period`` (not fitted, but it restates what was);
    ``check`` (after the randomised period, never seen by the fit)."""

    @property
    def id(self) -> str:
        return self.measure.id

    @property
    def used(self) -> bool:
        """Whether the fit minimises the distance to this number."""
        return self.use == "fit"


def targets(record: Record, scenario: Scenario) -> tuple[Target, ...]:
    """Every published number of ``record`` that ``scenario`` can speak to, those used in the fit first.

    Raises
    ------
    RecordError
        If the record holds nothing to fit to.
    """
    end = scenario.protocol.period_end
    found = [
        replace(t, use=_use(t, end))
        for t in _all(record, scenario)
        if t.where.confidence != "recall"
        and (t.measure.set is None or t.measure.set in {*scenario.protocol.groups, "ITT"})
    ]
    unique = {t.id: t for t in reversed(found)}
    ordered = [t for t in found if unique[t.id] is t]
    if not any(t.used for t in ordered):
        raise RecordError(f"record {record.id!r} holds no number that scenario {scenario.name!r} could be fitted to")
    return tuple(sorted(ordered, key=lambda t: not t.used))


def _use(t: Target, end: float) -> Use:
    if t.block is not None:
        return "set" if t.block in SET_BLOCKS else "fit"
    week = t.measure.week
    late = week > end if week is not None else "_w52" in (t.measure.analysis or "")
    return "check" if late else "same period"


def _all(record: Record, scenario: Scenario) -> Iterator[Target]:
    yield from _baseline(record, scenario)
    yield from _curves(record, scenario)
    yield from _results(record, scenario)
    yield from _events(record, scenario)
    yield from _prognosis(record, scenario)
    yield from _shares(record, scenario)
    yield from _adverse_events(record, scenario)


def _where(leaf: Value | CurvePoint) -> Where:
    return Where(leaf.source or "", leaf.place or "", str(leaf.confidence or ""))


# -- baseline ----------------------------------------------------------------------------------------------------

_BASELINE = {"ALSFRS", "SVC", "NFL", "SOD1", "ONSETMO", "PRESLOPE"}
_LABELS = {
    "mean": "mean",
    "sd": "SD",
    "median": "median",
    "geometric_mean": "geometric mean",
    "log_sd": "SD of the logarithm",
}


def _baseline(record: Record, scenario: Scenario) -> Iterator[Target]:
    for row in record.baseline:
        if row.variable not in _BASELINE:
            continue
        for group, by_arm in row.values.items():
            for arm, value in by_arm.items():
                n = _arm_n(record, group, arm)
                wanted: list[tuple[str, float, float | None]] = []
                if value.value is None or arm not in scenario.protocol.arms:
                    continue
                if row.statistic in ("mean_sd", "mean"):
                    se = value.sd / math.sqrt(n) if value.sd else None
                    wanted.append(("mean", float(value.value), se))
                    if value.sd:
                        wanted.append(("sd", float(value.sd), float(value.sd) / math.sqrt(2 * (n - 1))))
                elif row.statistic == "median_range":
                    wanted.append(("median", float(value.value), None))
                elif row.statistic == "log_sd":
                    wanted.append(("log_sd", float(value.value), float(value.value) / math.sqrt(2 * (n - 1))))
                elif row.statistic == "geometric_mean":
                    spread = _log_sd(record, row.variable, group, arm)
                    wanted.append(("geometric_mean", math.log(value.value), spread and spread / math.sqrt(n)))
                for statistic, number, se in wanted:
                    # the arithmetic mean and SD of NfL say the same as its geometric mean and log SD, less robustly
                    in_fit = group != "ITT" and not (row.variable == "NFL" and statistic in ("mean", "sd"))
                    rough = _rough_se(value, number, n) if se is None else se
                    yield Target(
                        measure=Measure("baseline", variable=row.variable, statistic=statistic, set=group, arm=arm),
                        quantity=f"{row.label}, baseline {_LABELS[statistic]}",
                        outcome=row.variable,
                        method="descriptive",
                        unit=row.unit or "",
                        scale="ratio" if statistic == "geometric_mean" else "baseline",
                        value=number,
                        se=se,
                        fit_se=rough,
                        ln=statistic == "geometric_mean",
                        result=row.id,
                        block="baseline" if in_fit else None,
                        where=_where(value),
                    )


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


def _arm_n(record: Record, group: str, arm: str) -> int:
    value = record.analysis_set(group).n[arm].value
    if value is None:
        raise RecordError(f"{record.id}: set {group}, arm {arm}: the number of patients is missing")
    return int(value)


# -- curves and results ------------------------------------------------------------------------------------------


def _repeated(
    scenario: Scenario, outcome: str, group: str, week: float, *, adjusted: bool, early_delayed: bool
) -> Repeated | None:
    """The plan's analysis of an outcome in a set that covers ``week``: planned or NfL-adjusted."""
    end = scenario.protocol.period_end
    for analysis in scenario.plan.analyses:
        if (
            isinstance(analysis, Repeated)
            and (analysis.variable, analysis.set) == (outcome, group)
            and (analysis.week > end) == early_delayed
            and week <= analysis.week
            and any("NFL" in c for c in analysis.covariates) == (adjusted and outcome != "NFL")
        ):
            return analysis
    return None


def _block_of(outcome: str, *, adjusted: bool, early_delayed: bool, group: str) -> str | None:
    if adjusted or early_delayed or group == "ITT":
        return None
    return {"ALSFRS": "function", "NFL": "biomarker", "SOD1": "biomarker", "SVC": "clinical", "HHD": "clinical"}[
        outcome
    ]


def _curves(record: Record, scenario: Scenario) -> Iterator[Target]:
    for curve in record.curves:
        if (
            curve.measure not in ("adjusted_mean_change", "geometric_mean_ratio")
            or curve.arm not in scenario.protocol.arms
        ):
            continue
        early_delayed = curve.comparison == "early_delayed"
        adjusted = "nfl" in curve.method
        ln = curve.measure == "geometric_mean_ratio"
        label = record.outcome(curve.outcome).label
        typical = [s for p in curve.points() if (s := _point_se(p.value, p.se, p.low, p.high, ln)) is not None]
        for point in curve.points():
            if point.week == 0 or point.week not in scenario.protocol.visits:
                continue
            analysis = _repeated(
                scenario, curve.outcome, curve.set, point.week, adjusted=adjusted, early_delayed=early_delayed
            )
            if analysis is None:
                continue
            se = _point_se(point.value, point.se, point.low, point.high, ln)
            yield Target(
                measure=Measure("arm_mean", analysis=analysis.id, arm=curve.arm, week=point.week),
                quantity=f"{label}, " + ("ratio to baseline" if ln else "change"),
                outcome=curve.outcome,
                method=curve.method,
                unit="" if ln else (record.outcome(curve.outcome).unit or ""),
                scale="gmr" if ln else "mean",
                value=math.log(point.value) if ln else point.value,
                low=point.low,
                high=point.high,
                se=se,
                fit_se=se if se is not None else (typical[0] if typical else None),
                ln=ln,
                where=_where(point),
                result=curve.id,
                block=_block_of(curve.outcome, adjusted=adjusted, early_delayed=early_delayed, group=curve.set),
            )


def _point_se(value: float, se: float | None, low: float | None, high: float | None, ln: bool) -> float | None:
    if se is not None:
        return se
    f = math.log if ln else float
    if low is not None and high is not None:
        return (f(high) - f(low)) / (2 * Z95)
    if low is not None:
        return (f(value) - f(low)) / Z95
    if high is not None:
        return (f(high) - f(value)) / Z95
    return None


def _results(record: Record, scenario: Scenario) -> Iterator[Target]:
    for result in record.results:
        if result.week is None:
            continue
        if result.outcome in ("DTHPV", "DEATH"):
            yield from _times(record, scenario, result)
            continue
        if result.role != "main" or result.subset is not None:
            continue
        if result.outcome not in ("ALSFRS", "SVC", "HHD", "NFL", "SOD1"):
            continue
        if result.week not in scenario.protocol.visits or result.method not in ("ancova_mi", "ancova_mi_nfl"):
            continue
        early_delayed = result.comparison == "early_delayed"
        adjusted = result.method.endswith("_nfl")
        analysis = _repeated(
            scenario, result.outcome, result.set, result.week, adjusted=adjusted, early_delayed=early_delayed
        )
        if analysis is None:
            continue
        ln = result.measure == "geometric_mean_ratio"
        outcome = record.outcome(result.outcome)
        block = _block_of(result.outcome, adjusted=adjusted, early_delayed=early_delayed, group=result.set)
        unit = "" if ln else (outcome.unit or "")
        for arm, value in result.arms.items():
            if arm not in scenario.protocol.arms or value.value is None:
                continue
            se = _point_se(float(value.value), value.se, value.low, value.high, ln)
            yield Target(
                measure=Measure("arm_mean", analysis=analysis.id, arm=arm, week=result.week),
                quantity=f"{outcome.label}, " + ("ratio to baseline" if ln else "change"),
                unit=unit,
                scale="gmr" if ln else "mean",
                value=math.log(value.value) if ln else float(value.value),
                low=value.low,
                high=value.high,
                se=se,
                fit_se=se if se is not None else _borrowed_se(record, result, ln),
                block=block,
                outcome=result.outcome,
                method=result.method,
                result=result.id,
                ln=ln,
                where=_where(value),
            )
        if result.contrast is not None and result.contrast.value is not None:
            yield from _contrast(result, result.contrast, analysis.id, outcome.label, unit, block)
        for p in result.p:
            test: Kind | None = "p_ancova" if p.method == result.method else None
            if p.method in ("joint_rank_mi", "joint_rank_mi_nfl"):
                test = "p_joint_rank"
            if p.relation != "=":
                continue  # "P < 0.0001" is a bound, no value to compare with
            if test is None or p.value is None or (test == "p_joint_rank" and not analysis.joint_rank):
                continue
            yield Target(
                measure=Measure(test, analysis=analysis.id, week=result.week if test == "p_ancova" else None),
                quantity=f"{outcome.label}, P value",
                unit="",
                scale="p",
                value=float(p.value),
                outcome=result.outcome,
                method=p.method,
                result=result.id,
                where=_where(p),
            )


def _contrast(
    result: Result,
    contrast: Contrast,
    analysis: str,
    label: str,
    unit: str,
    block: str | None,
) -> Iterator[Target]:
    ln = contrast.kind != "difference"
    value = math.log(contrast.value) if ln else float(contrast.value)  # type: ignore[arg-type]
    se = _point_se(float(contrast.value), contrast.se, contrast.low, contrast.high, ln)  # type: ignore[arg-type]
    yield Target(
        measure=Measure("contrast", analysis=analysis, week=result.week),
        quantity=f"{label}, " + ("ratio of the arms" if ln else "difference between the arms"),
        unit=unit,
        scale="ratio" if ln else "difference",
        value=value,
        low=contrast.low,
        high=contrast.high,
        se=se,
        fit_se=se,
        block=block,
        outcome=result.outcome,
        method=result.method,
        result=result.id,
        ln=ln,
        where=_where(contrast),
    )
    if se is not None:
        # the sampling SD of a standard error on about n - 5 df
        relative = 1 / math.sqrt(2 * 40)
        yield Target(
            measure=Measure("contrast_se", analysis=analysis, week=result.week),
            quantity=f"{label}, standard error of the difference",
            unit="ln units" if ln else unit,
            scale="se",
            value=se,
            fit_se=se * relative,
            block=block,
            outcome=result.outcome,
            method=result.method,
            result=result.id,
            where=_where(contrast),
        )


def _borrowed_se(record: Record, result: Result, ln: bool) -> float | None:
    """For an arm printed without a standard error: the contrast's, shared out over two arms."""
    c = result.contrast
    if c is None or c.value is None:
        return None
    se = _point_se(float(c.value), c.se, c.low, c.high, ln)
    return None if se is None else se * math.sqrt(0.5)


# -- events ------------------------------------------------------------------------------------------------------


def _times(record: Record, scenario: Scenario, result: Result) -> Iterator[Target]:
    event = {"DTHPV": "death_or_ventilation", "DEATH": "death"}[result.outcome]
    label = record.outcome(result.outcome).label
    if result.week in scenario.protocol.visits and result.comparison == "early_delayed":
        for arm, value in result.arms.items():
            if value.value is not None and value.total and arm in scenario.protocol.arms:
                measure = Measure("event_share", variable=event, set=result.set, arm=arm, week=result.week)
                count, total = float(value.value), int(value.total)
                yield _share(measure, label, result.outcome, value, count, total, result.id, None)
    c = result.contrast
    if c is None or c.value is None or c.kind != "hazard_ratio":
        return
    for analysis in scenario.plan.analyses:
        if (
            isinstance(analysis, TimeToEvent)
            and (analysis.event, analysis.set, analysis.week) == (event, result.set, result.week)
            and any("NFL" in x for x in analysis.covariates) == result.method.endswith("_nfl")
        ):
            yield Target(
                measure=Measure("contrast", analysis=analysis.id),
                quantity=f"{label}, hazard ratio",
                outcome=result.outcome,
                method=result.method,
                unit="",
                scale="hazard_ratio",
                value=math.log(c.value),
                low=c.low,
                high=c.high,
                se=_point_se(float(c.value), c.se, c.low, c.high, True),
                ln=True,
                result=result.id,
                where=_where(c),
            )


_EVENT: dict[str, tuple[Kind, str, str | None]] = {
    "DTHPV": ("event_share", "death_or_ventilation", "events"),
    "DEATH": ("event_share", "death", "events"),
    "WITHDREW": ("event_share", "left", "events"),
    "NO_LOSS": ("no_loss_share", "ALSFRS", "function"),
    "OBSERVED_ALSFRS": ("observed_share", "ALSFRS", None),
}


def _events(record: Record, scenario: Scenario) -> Iterator[Target]:
    end = scenario.protocol.period_end
    for row in record.events:
        if row.week is None or row.week > scenario.protocol.visits[-1]:
            continue
        if row.endpoint not in _EVENT:
            continue
        kind, name, block = _EVENT[row.endpoint]
        for group, by_arm in row.values.items():
            for arm, value in by_arm.items():
                if arm not in scenario.protocol.arms or value.value is None or not value.usable:
                    continue
                total = value.total or _arm_n(record, group, arm)
                measure = Measure(kind, variable=name, set=group, arm=arm, week=row.week)
                used = block if row.week <= end and group != "ITT" else None
                yield _share(measure, row.label, row.endpoint, value, float(value.value), int(total), row.id, used)


# -- prognosis ---------------------------------------------------------------------------------------------------


class _Prognosis(NamedTuple):
    """Where a prognostic number stands in the record, and which measure it is."""

    item: str
    key: str
    kind: Kind
    variable: str
    statistic: str | None
    group: str
    quantity: str
    block: str | None


_WITH_CHANGE = "correlation of change with "
_PROGNOSIS = (
    _Prognosis("prog_nfl", "pearson", "correlation", "NFL", "pearson", "ITT", _WITH_CHANGE + "NfL", "function"),
    _Prognosis(
        "prog_nfl", "pearson_log", "correlation", "LNNFLBL", "pearson", "ITT", _WITH_CHANGE + "ln NfL", "function"
    ),
    _Prognosis(
        "prog_slope",
        "spearman",
        "correlation",
        "PRESLOPE",
        "spearman",
        "ITT",
        _WITH_CHANGE + "earlier slope",
        "function",
    ),
    _Prognosis("prog_other", "SVC", "correlation", "SVC", "pearson", "ITT", _WITH_CHANGE + "vital capacity", None),
    _Prognosis(
        "prog_other", "ONSETMO", "correlation", "ONSETMO", "pearson", "ITT", _WITH_CHANGE + "time since onset", None
    ),
    _Prognosis("slope_f_placebo", "during", "slope", "ALSFRS", None, "F", "slope in the study", "function"),
    _Prognosis("slope_itt_placebo", "during", "slope", "ALSFRS", None, "ITT", "slope in the study", None),
)


def _prognosis(record: Record, scenario: Scenario) -> Iterator[Target]:
    """Correlations with the 28-week change, and in-study slopes, in the control arm."""
    control = scenario.protocol.arms[0]
    end = scenario.protocol.period_end
    for item_id, key, kind, variable, statistic, group, quantity, block in _PROGNOSIS:
        item = next((i for i in record.items if i.id == item_id), None)
        value = item.values.get(key) if item is not None else None
        if value is None or not value.usable:
            continue
        if value.value is None:
            continue
        number, se = float(value.value), value.se
        if kind == "correlation":
            se = (1 - number**2) / math.sqrt((value.n or 33) - 1)
        yield Target(
            measure=Measure(kind, variable=variable, statistic=statistic, set=group, arm=control, week=end),
            quantity=f"ALSFRS-R: {quantity}",
            outcome="ALSFRS",
            method="descriptive",
            unit="" if kind == "correlation" else "points/month",
            scale="correlation" if kind == "correlation" else "mean",
            value=number,
            se=se,
            fit_se=se,
            result=item_id,
            block=block,
            where=_where(value),
        )


# -- shares ------------------------------------------------------------------------------------------------------


def _share(
    measure: Measure, quantity: str, outcome: str, leaf: Value, count: float, total: int, result: str, block: str | None
) -> Target:
    """A proportion; its standard error by Jeffreys' rule, finite where the count is 0."""
    rough = (count + 0.5) / (total + 1)
    se = math.sqrt(rough * (1 - rough) / total)
    return Target(
        measure=measure,
        quantity=quantity,
        outcome=outcome,
        method="count",
        unit="share",
        scale="percent",
        value=count / total,
        se=se,
        fit_se=se,
        where=_where(leaf),
        result=result,
        block=block,
    )


def _shares(record: Record, scenario: Scenario) -> Iterator[Target]:
    """Listed variants among the faster-progressing, background drugs, and entry into the extension."""
    for row in record.baseline:
        if row.variable != "RULE_A":
            continue
        for group, by_arm in row.values.items():
            for arm, value in by_arm.items():
                if value.value is not None and value.total:
                    measure = Measure("baseline", variable="LISTEDFL", statistic="mean", set=group, arm=arm)
                    yield _share(
                        measure, row.label, "LISTEDFL", value, float(value.value), int(value.total), row.id, "baseline"
                    )
    background = next((i for i in record.items if i.id == "concomitant"), None)
    if background is not None:
        n = scenario.protocol.n
        for key, name in (("riluzole", "RILFL"), ("edaravone", "EDAFL")):
            value = background.values[key]
            if value.percent is not None:
                measure = Measure("baseline", variable=name, statistic="mean", set="ITT")
                label = f"{key.capitalize()} at baseline"
                yield _share(measure, label, name, value, n * float(value.percent) / 100, n, background.id, "shares")
    if record.extension is not None:
        for group, by_arm in record.extension.entrants.items():
            for arm, value in by_arm.items():
                if value.value is not None and value.total and arm in scenario.protocol.arms:
                    measure = Measure(
                        "event_share", variable="entered", set=group, arm=arm, week=scenario.protocol.period_end
                    )
                    yield _share(
                        measure,
                        "Went on into the extension",
                        "ENTERED",
                        value,
                        float(value.value),
                        int(value.total),
                        "extension",
                        "shares" if group == "ITT" else None,
                    )


SIMULATED_EVENTS = ("procedure", "symptom", "csf", "neurologic")
"""Categories of adverse events that virtual patients have; summaries and laboratory shifts follow from others."""


def _adverse_events(record: Record, scenario: Scenario) -> Iterator[Target]:
    for event in record.adverse_events:
        if event.category not in SIMULATED_EVENTS or event.id not in scenario.adverse_events:
            continue
        for arm, value in event.arms.items():
            if value.value is None or not value.total or arm not in scenario.protocol.arms:
                continue
            measure = Measure("adverse_event_share", variable=event.id, set="ITT", arm=arm)
            yield _share(
                measure, event.term, "AE", value, float(value.value), int(value.total), event.id, "adverse events"
            )
