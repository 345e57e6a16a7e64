"""A made-up replica for tests: no simulation, only numbers near the published ones. It is never shipped."""

from __future__ import annotations

import math
import random

from equipoise.plan.key import Key
from equipoise.records.schema import Record
from equipoise.replica.replica import Answer, Band, Replica, ReplicaRow

COMMAND = "equipoise replicate {id} --replicates 2000 --seed 1 --mechanism lagged"


def synthetic_replica(record: Record, seed: int = 7) -> Replica:
    """Rows for every contrast with an interval and for printed arm values, bands for every randomised curve."""
    rng = random.Random(seed)
    rows: list[ReplicaRow] = []
    for result in record.results:
        c = result.contrast
        if c is None or c.value is None or c.low is None or c.high is None or result.role != "main":
            continue
        log = c.kind != "difference"
        value, low, high = float(c.value), float(c.low), float(c.high)
        se = (math.log(high / low) if log else high - low) / 3.92
        shift = rng.uniform(-0.8, 0.8)
        centre = value * math.exp(shift * se) if log else value + shift * se
        half = 1.9 * se
        bounds = (centre * math.exp(-half), centre * math.exp(half)) if log else (centre - half, centre + half)
        rows.append(
            ReplicaRow(
                id=result.id,
                quantity=f"{result.outcome} {result.set}",
                outcome=result.outcome,
                analysis_set=result.set,
                arm=None,
                week=None if result.week is None else float(result.week),
                method=result.method,
                unit="",
                scale=c.kind,
                published=value,
                published_low=low,
                published_high=high,
                published_se=se,
                source=str(c.source),
                place=c.place or "",
                confidence=str(c.confidence),
                result=result.id,
                simulated=centre,
                simulated_low=bounds[0],
                simulated_high=bounds[1],
                mc_error=0.01 * se,
                n_estimable=2000,
                used_in_fit=result.comparison == "randomised",
                use="fit" if result.comparison == "randomised" else "check",
                position=0.5 - 0.3 * shift,
                z=shift,
                key=Key("contrast", analysis=result.id),
            )
        )
    bands: list[Band] = []
    for curve in record.curves:
        if curve.comparison != "randomised" or curve.measure == "survival":
            continue
        points = curve.points()
        ratio = curve.measure == "geometric_mean_ratio"
        mean = [p.value * 1.02 if ratio else p.value + 0.1 for p in points]
        low = [m * 0.8 if ratio else m - 0.4 - 0.08 * p.week for m, p in zip(mean, points, strict=True)]
        high = [m * 1.25 if ratio else m + 0.4 + 0.08 * p.week for m, p in zip(mean, points, strict=True)]
        weeks = tuple(p.week for p in points)
        bands.append(
            Band(curve.outcome, "synthetic", curve.set, curve.arm, weeks, tuple(mean), tuple(low), tuple(high))
        )
    command = COMMAND.format(id=record.id)
    answers = tuple(
        Answer(id, "formal", question, p, 0.008, 2000, sentence, command)
        for id, question, p, sentence in (
            (
                "works",
                "Met, if the drug works as fitted",
                0.143,
                "If the drug works as fitted, a trial like this would "
                "have met its primary endpoint in 14.3 % of repeats (synthetic).",
            ),
            ("none", "Met, if the drug does nothing", 0.049, "If it does nothing, in 4.9 % (synthetic)."),
            ("longer", "Met, had it run 52 weeks", 0.402, "Had it run 52 weeks, in 40.2 % (synthetic)."),
        )
    )
    return Replica(
        record=record.id,
        scenario=record.id,
        mechanism="lagged",
        seed=1,
        replicates=2000,
        imputations=20,
        version="0.1.0",
        command=command,
        seconds=1.0,
        rows=tuple(rows),
        answers=answers,
        bands=tuple(bands),
        notes=("Synthetic numbers for a test, made with seed 7.",),
    )
