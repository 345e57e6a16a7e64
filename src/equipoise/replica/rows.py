"""One row of the replica's table: a published number beside what the simulated trials give."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from equipoise.calibrate.targets import Target
from equipoise.records.schema import Record
from equipoise.replica.replica import ReplicaRow
from equipoise.types import FloatArray


def row_of(record: Record, t: Target, values: FloatArray) -> ReplicaRow:
    """A target beside the (replicate,) values of its measure."""
    use = values[~np.isnan(values)]
    n = len(use)
    show: Callable[[float], float] = math.exp if t.ln else float
    # of p-values, and of medians that not every trial reaches, the middle one stands for all
    middle = t.scale in ("p", "median")
    if n == 0:
        mean = low = high = error = position = math.nan
    else:
        quantiles = _steps if t.scale == "median" else between
        low, mean, high = quantiles(use, (0.025, 0.5, 0.975))
        error = _error_of_median(use, quantiles) if middle else error_of_mean(use)
        mean = mean if middle else float(np.mean(use))
        position = float(np.mean(use < t.value) + 0.5 * np.mean(use == t.value))
    return ReplicaRow(
        id=t.id,
        quantity=t.quantity,
        outcome=t.outcome,
        analysis_set=_set_of(record, t),
        arm=t.key.arm,
        week=t.key.week,
        method=t.method,
        unit=t.unit,
        scale=t.scale,
        published=show(t.value),
        published_low=t.low,
        published_high=t.high,
        published_se=t.se,
        source=t.where.source,
        place=t.where.place,
        confidence=t.where.confidence,
        result=t.result,
        simulated=show(mean),
        simulated_low=show(low),
        simulated_high=show(high),
        mc_error=error * (show(mean) if t.ln else 1.0),
        n_estimable=n,
        used_in_fit=t.used,
        use=t.use,
        position=position,
        key=t.key,
        external=t.external,
        z=None if t.se is None or n == 0 or not math.isfinite(mean) else (mean - t.value) / t.se,
    )


def between(values: FloatArray, at: Sequence[float]) -> tuple[float, ...]:
    """Quantiles, interpolated."""
    return tuple(float(q) for q in np.quantile(values, at))


def _steps(values: FloatArray, at: Sequence[float]) -> tuple[float, ...]:
    """Quantiles that are values themselves: one that was not reached is infinite, and cannot be interpolated."""
    return tuple(float(q) for q in np.quantile(values, np.array(at), method="inverted_cdf"))


def error_of_mean(values: FloatArray) -> float:
    """Monte Carlo error of a mean; NaN of a single value."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _error_of_median(
    values: FloatArray, quantiles: Callable[[FloatArray, Sequence[float]], tuple[float, ...]] = between
) -> float:
    """Half the distance between the order statistics one binomial standard error either side of the median."""
    step = 0.5 / math.sqrt(len(values))
    low, high = quantiles(values, (max(0.5 - step, 0.0), min(0.5 + step, 1.0)))
    return (high - low) / 2 if math.isfinite(low) else math.nan


def _set_of(record: Record, t: Target) -> str:
    if t.key.set is not None:
        return t.key.set
    sets = {r.id: r.set for r in record.results} | {c.id: c.set for c in record.curves}
    return sets.get(str(t.result), "ITT")
