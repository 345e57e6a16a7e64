"""Diagnostics of a fitted model beside its table: residuals, normal quantiles, influence and proportional hazards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from equipoise.errors import EstimationError
from equipoise.plan.results import Block, Figure


def diagnosed(block: Block, fit: Any, asked: bool, *, unit: str | None = None) -> Block:
    """``block`` with the figures and notes of the diagnostics of ``fit``, where a section asks for them.

    unit : of time, for the axis of hazards. Where a fit has none - exact ties, a penalised likelihood - a note says so.
    """
    if not asked or fit is None:
        return block
    try:
        told = fit.diagnostics()
    except EstimationError as error:
        return replace(block, notes=(*block.notes, f"No diagnostics: {error.message}."))
    drawn = [_residuals(block, told, "fitted", told.fitted)]
    if "visit" in told.rows:
        drawn.append(_residuals(block, told, "visit", "visit"))
    for of in (*(("residuals",) if told.normal else ()), *told.effects):
        title = told.kind if of == "residuals" else f"random {of}"
        drawn.append(_figure("qq", f"{block.label}, normal quantiles of {title}s", told.qq(of), {"y_title": title}))
    if told.own is not None:
        rows = told.own.to_frame()
        drawn.append(_figure("influence", f"{block.label}, influence of each {told.own.unit}", rows, {}))
    if told.scaled is not None:
        _, _, names, beta = told.scaled
        for name, b in zip(names, beta, strict=True):
            options = {"beta": float(b), "y_title": f"log hazard ratio of {name}", "unit": unit}
            drawn.append(_figure("proportional_hazards", f"{block.label}, {name} over time", told.drift(name), options))
    return replace(block, figures=(*block.figures, *drawn), notes=(*block.notes, *told.notes()))


def _residuals(block: Block, told: Any, against: str, called: str) -> Figure:
    """Residuals against a column of the diagnostics."""
    caption = f"{block.label}, {told.kind}s against the {called}"
    options = {"against": against, "x_title": called, "y_title": told.kind}
    names = ["unit", against, "residual"]
    rows = zip(*(told.rows[name] for name in names), strict=True)
    return Figure("residuals", caption, tuple(dict(zip(names, row, strict=True)) for row in rows), options)


def _figure(kind: str, caption: str, frame: Any, options: dict[str, Any]) -> Figure:
    import narwhals.stable.v2 as nw

    rows = nw.from_native(frame, eager_only=True).iter_rows(named=True)
    return Figure(kind, caption, tuple(dict(row) for row in rows), options)
