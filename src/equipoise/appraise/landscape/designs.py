"""The trials of a field that measured the marker, as designs to simulate: sizes and lengths from their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from equipoise.errors import ScenarioError
from equipoise.records.schema import Record
from equipoise.simulate import Scenario, load_scenario
from equipoise.simulate.als.worlds import BY_MOUTH, FUNCTION, INTRATHECAL, MARKER, TrialDesign

_OF_MARKER = (MARKER, "CSFNFL", "PNFH", "CSFPNFH")


def designs_of(
    records: Iterable[Record], scenarios: Callable[[str], Scenario] = load_scenario, *, every: bool = False
) -> tuple[TrialDesign, ...]:
    """The trials of records that measured the marker, in number or in words: sizes, lengths, drugs and analyses.

    Records without sizes of two arms or without a length are left out. every : of all records, as if each had measured
    the marker.
    """
    made = (_design(record, scenarios, every) for record in records)
    return tuple(d for d in made if isinstance(d, TrialDesign))


def not_designed(records: Iterable[Record], *, every: bool = False) -> dict[str, str]:
    """Name -> why :func:`designs_of` leaves out a trial that measured the marker (or, with ``every``, any)."""
    made = ((r.acronym or r.id, _design(r, load_scenario, every)) for r in records)
    return {name: d for name, d in made if isinstance(d, str) and d}


def _design(record: Record, scenarios: Callable[[str], Scenario], every: bool) -> TrialDesign | str:
    """The design, or why there is none; no word for a trial that did not measure the marker."""
    if not every and not any(o.id in _OF_MARKER for o in record.outcomes):
        return ""
    active, control = (_patients(record, role) for role in ("active", "control"))
    weeks = _number(record.design.duration_weeks)
    if min(active, control) < 4:
        return "no sizes of an active and a control arm in what was read"
    if weeks is None or not 4.0 <= float(weeks) <= 260.0:
        return "no length in what was read"
    analysis = _analysis(record)
    told = [record.title, *(w for a in record.arms if a.role == "active" for w in (a.route, a.drug, a.label))]
    route = INTRATHECAL if any(w and ("intrathecal" in str(w) or "antisense" in str(w)) for w in told) else BY_MOUTH
    replica = _replica(record.id, scenarios)
    return TrialDesign(
        record.acronym or record.id,
        active,
        control,
        round(float(weeks) * 7.0) / 7.0,
        replica,
        analysis or "slope",
        route,
        analysis is None and replica is None,
    )


def _analysis(record: Record) -> str | None:
    """The analysis behind the first result on function, as its method is described; None where that cannot be told."""
    methods = {m.id: m for m in record.methods}
    for result in record.results:
        method = methods.get(result.method or "")
        if result.outcome != FUNCTION or method is None:
            continue
        words = " ".join(str(w) for w in (method.id, method.family, method.label, method.description)).lower()
        imputed = str(method.imputation or "").lower()
        if "mmrm" in words or "repeated measures" in words:
            return "mmrm"
        if "last observation" in imputed or "locf" in words:
            return "carried_forward"
        if "multiple imputation" in imputed or "multiple imputation" in words:
            return "mi_ancova"
        if "slope" in words or "rate of" in words or "random" in words:
            return "slope"
    return None


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
    return id if FUNCTION in scenario.outcomes else None
