"""The two effects that a trial gives to the trial-level question of a surrogate, or why it gives none.

A row takes the marker's ratio of geometric means, as a logarithm, and function in points a month, each with a standard
error from its interval. What is told in words has none, and is shown as missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.appraise.landscape.effects import MARKERS as MARKER_OUTCOMES
from equipoise.appraise.landscape.effects import Effect, Missing, effects, months
from equipoise.appraise.numbers import number
from equipoise.numerics.rounding import rounded
from equipoise.records.schema import Record, Value

if TYPE_CHECKING:  # a page reads the stored picture alone, and waits for no compiler
    from equipoise.replica.validation import OperatingCharacteristics
    from equipoise.surrogate.trials import TrialSurrogacy

MARKERS = {"nfl": "neurofilament"}
ENDPOINTS = {"alsfrs": "function"}
NOT_MEASURED = "not measured, or not told in what was read"


@dataclass(frozen=True)
class Half:
    """One effect of a trial: estimate and standard error on the scale of the regression, and the value it comes
    from."""

    estimate: float
    se: float
    effect: Effect

    @property
    def sourced(self) -> Value:
        return self.effect.sourced


@dataclass(frozen=True)
class Pair:
    """A trial with both effects, or with the reasons why it cannot enter."""

    record: Record
    marker: Half | None
    function: Half | None
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.record.acronym or self.record.id

    @property
    def enters(self) -> bool:
        return self.marker is not None and self.function is not None

    @property
    def population(self) -> str | None:
        """The analysis set that both effects are of, in the record's words; None where the sources do not tell."""
        found = [
            None if h is None or h.effect.result is None else h.effect.result.set for h in (self.marker, self.function)
        ]
        return next((s.label for s in self.record.sets if found == [s.id, s.id]), None)

    @property
    def analytes(self) -> tuple[str, ...]:
        """Which marker it was, of which fluid, in the record's words: that of the effect, else those that were told."""
        result = None if self.marker is None else self.marker.effect.result
        told = {r.outcome for r in self.record.results} if result is None else {result.outcome}
        return tuple(o.label for o in self.record.outcomes if o.id in MARKER_OUTCOMES and o.id in told)

    @property
    def measured(self) -> bool:
        """Whether the record tells anything of the marker."""
        return self.marker is not None or not any(NOT_MEASURED in r for r in self.reasons)


def pair_of(record: Record) -> Pair:
    """What a record gives: the first usable effect on the marker and on function."""
    found = list(effects(record))
    reasons = []
    marker, why = _half(found, "neurofilament")
    if marker is None:
        reasons.append(f"neurofilament: {why or NOT_MEASURED}")
    function, why = _half(found, "function")
    if function is None:
        if any(isinstance(e, Effect) and e.scale == "rate_ratio" for e in found):
            why = "a ratio of rates, without a difference"
        reasons.append(f"function: {why or 'not told'}")
    results = [h.effect.result for h in (marker, function) if h is not None]
    if len({r.set for r in results if r is not None}) == 2:
        marker = None
        reasons.append("neurofilament: told only of other people than function")
    return Pair(record, marker, function, tuple(reasons))


def _half(found: Iterable[Effect | Missing], scale: str) -> tuple[Half | None, str | None]:
    why = None
    for e in found:
        if e.scale != scale:
            continue
        if isinstance(e, Missing):
            why = e.reason
            continue
        made = scaled(e)
        if made is not None:
            return made, None
        why = "no standard error and no interval"
    return None, why


def scaled(e: Effect) -> Half | None:
    """An effect with its standard error on the scale of the regression; None where it has none."""
    v = e.sourced
    if v.value is None:
        return None
    centre, se = float(v.value), None if v.se is None else float(v.se)
    low, high = (None if x is None else float(x) for x in (v.low, v.high))
    if e.kind == "ratio":
        if centre <= 0.0 or low is None or high is None or low <= 0.0:
            return None
        centre, low, high, se = math.log(centre), math.log(low), math.log(high), None
    if low is not None and high is not None:
        se = (high - low) / (2.0 * NormalDist().inv_cdf(0.5 + v.level / 2.0))
    if se is None or se <= 0.0:
        return None
    if e.weeks is not None and e.kind == "difference":
        centre, se = centre / months(e.weeks), se / months(e.weeks)
    return Half(centre, se, e)


def trial_level(pairs: Iterable[Pair]) -> TrialSurrogacy:
    """The picture over the trials that enter; with fewer than five its verdict is that it cannot be told."""
    from equipoise.surrogate.trials import Rows, of_rows

    rows = [(p.name, p.marker, p.function) for p in pairs if p.marker is not None and p.function is not None]
    made = np.array([[m.estimate, f.estimate, m.se**2, f.se**2] for _, m, f in rows], dtype=np.float64).reshape(-1, 4)
    s, t, vs, vt = (np.ascontiguousarray(made[:, j]) for j in range(4))
    names = tuple(n for n, _, _ in rows)
    return of_rows(
        Rows(names, s, t, vs, vt, np.zeros(len(names))), "ln neurofilament ratio", "points a month", known=False
    )


STORED = "surrogacy_als.json"
"""The stored picture of the field, in the library: what enters, what does not, and how often it would be fooled."""


def written(half: Half, log: bool) -> str:
    """An effect with its limits as pages show it: the printed ones where they are of 95 %, else those of its error."""
    v, z = half.sourced, NormalDist().inv_cdf(0.975)
    derived = half.effect.weeks is not None and not log
    ends = [half.estimate + k * z * half.se for k in (0.0, -1.0, 1.0)]
    told = (v.value, v.low, v.high)
    per = months(half.effect.weeks) if derived and half.effect.weeks is not None else 1.0
    if not derived or v.level == 0.95:  # the printed bounds, as the landscape shows them; else those of the error
        ends = [float(x) / per if x is not None else e for x, e in zip(told, ends, strict=True)]
    return f"{number(ends[0], 2)} ({number(ends[1], 2)} to {number(ends[2], 2)})"


def _stored_half(record: Record, half: Half | None, log: bool) -> dict[str, Any] | None:
    if half is None:
        return None
    v = half.sourced
    derived = half.effect.weeks is not None and not log
    source = record.sources[v.source or ""]
    return {
        "shown": written(half, log),
        "source": v.source,
        "place": v.place,
        "confidence": "derived" if derived else str(v.confidence),
        "title": source.title,
        "address": source.address,
        "what": source.what,
        "note": v.note,
    }


def snapshot(pairs: Iterable[Pair], found: OperatingCharacteristics | None) -> dict[str, Any]:
    """What the page of a trial needs of the whole field, so that it need not read every record or simulate again."""
    pairs = list(pairs)
    rows = [
        {
            "name": p.name,
            "set": p.population,
            "analytes": list(p.analytes),
            "marker": _stored_half(p.record, p.marker, True),
            "function": _stored_half(p.record, p.function, False),
            "reasons": list(p.reasons),
            "cautions": [h.effect.caution for h in (p.marker, p.function) if h is not None and h.effect.caution],
        }
        for p in pairs
        if p.measured
    ]
    made: dict[str, Any] = {"trials": len(pairs), "rows": rows, "verdict": trial_level(pairs).verdict.said}
    if found is not None:
        made["fooled"] = {
            "literatures": found.literatures,
            "seed": found.seed,
            "lost": found.lost,
            "designs": [asdict(d) for d in found.designs],
            "worlds": [{"name": w.name, "says": w.says, "surrogate": w.surrogate} for w in found.worlds],
            "cells": [asdict(c) for c in found.cells],
        }
    return made


def stored() -> dict[str, Any]:
    """The stored picture; made by ``equipoise surrogate als --operating-characteristics --store FILE``."""
    read: dict[str, Any] = json.loads((resources.files("equipoise.library") / STORED).read_text(encoding="utf-8"))
    return read


_PYTHON = 'python -c "from equipoise.appraise.landscape.pairs import {name}; print({name}())"'
VERDICT = _PYTHON.format(name="field_verdict")
FOOLED = _PYTHON.format(name="field_fooled")
"""Commands that print what a page shows of the stored picture."""


def most_fooled(fooled: dict[str, Any]) -> tuple[float, float]:
    """Per cent of literatures: that the most generous criterion validates where the marker is a surrogate, and that the
    most easily fooled validates where it is none."""
    truth = {w["name"]: w["surrogate"] for w in fooled["worlds"]}
    best, worst = (
        max(100 * float(c["validated"]) for c in fooled["cells"] if truth[c["world"]] is right)
        for right in (True, False)
    )
    return best, worst


def field_verdict() -> dict[str, Any]:
    """How many trials the field has, how many measured the marker and enter, and what may be said of them."""
    found = stored()
    enter = sum(row["marker"] is not None and row["function"] is not None for row in found["rows"])
    return {"trials": found["trials"], "measured": len(found["rows"]), "enter": enter, "verdict": found["verdict"]}


def field_fooled() -> dict[str, Any]:
    """How often each criterion is fooled: shares of literatures, and their Monte Carlo errors."""
    kept = stored()
    found = kept["fooled"]
    cells = [{**c, "error": math.sqrt(c["validated"] * (1.0 - c["validated"]) / c["n"])} for c in found["cells"]]
    best, worst = most_fooled(found)
    return {
        **found,
        "cells": cells,
        "number_of_worlds": len(found["worlds"]),
        "measured": len(kept["rows"]),
        "most_generous_per_cent": int(rounded(best, 0)),
        "most_fooled_per_cent": int(rounded(worst, 0)),
    }
