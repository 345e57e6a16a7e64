"""The order of a plan's tests: which number each entry means, and the closed sequence as an analysis of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.plan.parts import Section

_METHODS = {"ancova": ("mi_ancova", "carried_forward", "ancova"), "mmrm": ("mmrm", "clda")}
"""Tests that several methods offer; any other name is that of a method."""

_OF_TIMES = {
    "log_rank": ("log_rank", "log-rank"),
    "wilcoxon": ("fleming_harrington", "fleming-harrington"),
    "cox": ("hazard_ratio", None),
}
"""Tests of ``survival``: the quantity, and the ``test`` of its section (of a hazard ratio, if there is one: none)."""


def picked(analysis: Analysis, test: str) -> dict[str, Any] | None:
    """The number that ``ANALYSIS.TEST`` means, as a section refers to a test; None where there is none.

    Of several visits the last one is meant.
    """
    if test in _OF_TIMES:
        quantity, named = _OF_TIMES[test]
        places = [k for k, s in enumerate(analysis.sections, 1) if s.kind == "survival"]
        fitting = [k for k in places if getattr(analysis.sections[k - 1], "test", None) == named]
        chosen = fitting or (places if test == "cox" else [])
        return {"of": analysis.id, "section": chosen[0], "quantity": quantity} if chosen else None
    kinds = _METHODS.get(test, (test,))
    place = next((k for k, s in enumerate(analysis.sections, 1) if s.kind in kinds), None)
    if place is None:
        return None
    visit = _last_visit(analysis, analysis.sections[place - 1])
    return {"of": analysis.id, "section": place, **({"visit": visit} if visit else {})}


def _last_visit(analysis: Analysis, section: Section) -> str | None:
    """The last visit that a section shows, where it may show several."""
    weeks, visits = getattr(section, "weeks", None), getattr(section, "visits", None)
    if weeks:
        return f"Week {max(weeks):g}"
    if visits:
        return str(visits[-1])
    bounds = analysis.where.get("AVISITN")
    if section.kind in ("mmrm", "clda") and isinstance(bounds, dict) and "le" in bounds:
        return f"Week {bounds['le']:g}"
    return None


def in_order(analyses: Sequence[Analysis], order: Sequence[str], alpha: float) -> dict[str, Any]:
    """The tests in their order, each at ``alpha`` until the first that is not significant, as an analysis.

    Raises
    ------
    ValueError : an entry names no analysis, or a test that the analysis does not have.
    """
    known = {a.id: a for a in analyses}
    hypotheses = {}
    for name in order:
        key, _, test = name.rpartition(".")
        found = picked(known[key], test) if key in known else None
        if found is None:
            methods = ", ".join(dict.fromkeys(s.kind for s in known[key].sections)) if key in known else ""
            wrong = f"analysis {key!r} has {methods}" if key in known else f"there are {', '.join(known)}"
            raise ValueError(f"order: {name!r} is no ANALYSIS.METHOD of this plan; {wrong}")
        hypotheses[name] = found
    own = {"method": "multiplicity", "procedure": "closed sequence", "alpha": alpha, "hypotheses": hypotheses}
    return {
        "id": "order" if "order" not in known else "order_of_tests",
        "title": "Tests in order",
        "population": analyses[0].population,
        "sections": [{**own, "label": f"Each at {alpha:g}, in order, until the first that is not significant"}],
    }
