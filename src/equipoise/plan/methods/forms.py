"""Reading the form of a kernel off the sections of an analysis: what all methods with a kernel ask in the same way.

A form is found where the sections say exactly what the kernel does; anything else about them (labels, notes, what is
shown) changes no number. Analyses of outcomes read ADEFF up to a week, ``where: {AVISITN: {le: 28}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from equipoise.plan.compiled import AnyForm, Lowered

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.plan.parts import Section

DEATH = {
    "DTHWK": {"dataset": "ADTTE", "parameter": "DEATH"},
    "DTHCN": {"dataset": "ADTTE", "parameter": "DEATH", "variable": "CNSR"},
}
"""Time of death and its censoring brought to the subjects, as a joint rank test reads them."""

_SHOWN = (
    "method",
    "label",
    "note",
    "figure",
    "diagnostics",
    "estimand",
    "handles",
    "level",
    "decimals",
    "unit",
    "axis_from",
    "scale",
    "lsmeans",
    "contrasts",
    "rows",
    "weeks",
    "visits",
    "at",
)
"""What a section says of its looks alone."""


def only(section: Section, *read: str) -> bool:
    """Whether a section says nothing beyond ``read`` and its looks."""
    fields = type(section).model_fields
    return not section.where and all(
        getattr(section, name) == field.get_default(call_default_factory=True, validated_data={})
        for name, field in fields.items()
        if name not in _SHOWN and name not in read
    )


def of_outcome(analysis: Analysis, *, after_baseline: bool = False) -> dict[str, Any] | None:
    """What all forms of an outcome have in common; None where the analysis is not of one up to a week alone."""
    bounds = analysis.where.get("AVISITN")
    if analysis.dataset.upper() != "ADEFF" or analysis.parameter is None:
        return None
    if set(analysis.where) != {"AVISITN"} or not isinstance(bounds, Mapping) or "le" not in bounds:
        return None
    rest, week = {k: v for k, v in bounds.items() if k != "le"}, bounds["le"]
    if rest != ({"gt": 0} if after_baseline else {}) or not isinstance(week, int | float):
        return None
    return {"variable": analysis.parameter, "week": float(week)}


def covariates(analysis: Analysis, names: tuple[str, ...], log: bool) -> tuple[str, ...] | None:
    """Covariates as a kernel names them: LBASE, the logarithm of the baseline, is its BASE; None where one is not."""
    made = {"LBASE": {"log": "BASE"}}
    if {k: v for k, v in analysis.derive.items() if k in names} != ({k: made[k] for k in names if k in made}):
        return None
    if ("BASE" if log else "LBASE") in names:
        return None
    return tuple("BASE" if n == "LBASE" else n for n in names)


def plain_value(section: Any) -> bool:
    """Whether the values are the changes from baseline, or with ``log`` the values as they are."""
    return bool(section.value == ("AVAL" if section.log else "CHG"))


def lowered(analysis: Analysis, found: Mapping[str, Any], places: Mapping[str, int]) -> Lowered | None:
    """The form with what every form says; None where it is none after all."""
    about = {"id": analysis.id, "set": analysis.population, "prespecified": analysis.reason != "DATA DRIVEN"}
    try:
        form = TypeAdapter[AnyForm](AnyForm).validate_python({**about, **found})
    except ValidationError:
        return None
    return Lowered(form, dict(places))


def written_covariates(names: tuple[str, ...], log: bool) -> list[str]:
    """Covariates of a form as a section names them; the logarithm of the baseline is LBASE."""
    return ["LBASE" if log and name == "BASE" else name for name in names]


LOG_BASELINE: dict[str, Any] = {"derive": {"LBASE": {"log": "BASE"}}}
"""What an analysis needs whose sections name LBASE."""
