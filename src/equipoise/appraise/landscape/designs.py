"""The trials of a field that measured the marker, as designs to simulate: sizes and lengths from their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from equipoise.errors import ScenarioError
from equipoise.records.schema import Record
from equipoise.simulate import Scenario, load_scenario
from equipoise.simulate.als.worlds import FUNCTION, MARKER, TrialDesign


def designs_of(
    records: Iterable[Record], scenarios: Callable[[str], Scenario] = load_scenario
) -> tuple[TrialDesign, ...]:
    """The trials of records that measured the marker, in number or in words: their sizes and lengths.

    Records without sizes of two arms or without a length are left out.
    """
    out = []
    for record in records:
        if not any(o.id in (MARKER, "CSFNFL", "PNFH", "CSFPNFH") for o in record.outcomes):
            continue
        active, control = (_patients(record, role) for role in ("active", "control"))
        weeks = _number(record.design.duration_weeks)
        if min(active, control) < 4 or weeks is None or not 4.0 <= float(weeks) <= 260.0:
            continue
        out.append(
            TrialDesign(record.acronym or record.id, active, control, float(weeks), _replica(record.id, scenarios))
        )
    return tuple(out)


def _number(given: Any) -> float | None:
    """A number of a record, bare or with its source; None where it may not be used."""
    if given is None or isinstance(given, (int, float)):
        return None if given is None else float(given)
    return float(given.value) if given.usable and given.value is not None else None


def _patients(record: Record, role: str) -> int:
    return sum(int(_number(a.n) or 0) for a in record.arms if a.role == role)


def _replica(id: str, scenarios: Callable[[str], Scenario]) -> str | None:
    try:
        scenario = scenarios(id)
    except ScenarioError:
        return None
    return id if MARKER in scenario.outcomes and FUNCTION in scenario.outcomes else None
