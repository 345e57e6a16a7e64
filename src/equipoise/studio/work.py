"""What jobs do: the calls behind ``design``, ``replicate`` and ``analyse``, and what the pages show of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.studio import analysis
from equipoise.studio.jobs import FIRST, Progress, Work
from equipoise.studio.settings import Settings

if TYPE_CHECKING:
    from equipoise.design import DesignResult, DesignStudy
    from equipoise.render.plots import Plot


def working(settings: Settings) -> dict[str, Work]:
    """The work of each kind of job, with the records and the folders of a studio."""
    records = settings.records_folder
    return {"design": _design, "replica": lambda *a: _replica(records, *a), "analysis": analysis.working(settings)}


def warm() -> None:
    """Load what is compiled, and what draws, so that the first reader does not wait for it."""
    from tempfile import TemporaryDirectory

    from equipoise.studio.levers import Levers, study_of

    study = study_of(Levers("valor", ({},), ("lagged",)))
    with TemporaryDirectory() as folder:
        _design({"study": study.model_dump(mode="json")}, 4, Path(folder), lambda what, done, total: None)


def _first(study: DesignStudy) -> DesignStudy:
    return study.with_(rule=(), undisturbed={})


def _design(request: Mapping[str, Any], replicates: int, folder: Path, progress: Progress) -> Mapping[str, Any]:
    from equipoise.design import DesignStudy, design

    whole = DesignStudy.model_validate(request["study"])
    first = replicates <= FIRST
    study = _first(whole) if first else whole
    made = design(study, replicates=replicates, out=folder / ("first" if first else "runs"), progress=progress)
    return {
        "replicates": replicates,
        "version": made.version,
        "cells": [{k: _plain(v) for k, v in c.row().items()} | {"label": c.design.label} for c in made.cells],
        "differences": _differences(made),
        "drawings": [_shown(name, plot) for name, plot in _drawings(made).items()],
        "courses": [_shown(name, plot) for name, plot in _courses(made).items()],
    }


def _replica(
    records: Path | None, request: Mapping[str, Any], replicates: int, folder: Path, progress: Progress
) -> Mapping[str, Any]:
    from equipoise.records import load_record
    from equipoise.replica.rebuild import replicate
    from equipoise.simulate import load_scenario

    name = str(request["record"])
    made = replicate(
        load_record(name, records_dir=records),
        load_scenario(name),
        replicates=replicates,
        seed=1,
        store=folder / "runs",
        progress=progress,
        command=f"equipoise replicate {name} --replicates {replicates} --seed 1",
    )
    out: dict[str, Any] = made.to_dict()
    return out


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(name: str, plot: Plot) -> dict[str, Any]:
    """A drawing as pages and reports take it in; ``plain`` for a file, with its title."""
    from equipoise.render.theme import themed

    return {
        "name": name,
        "title": plot.title,
        "description": plot.description,
        "shapes": (shapes := plot.shapes()),
        "svg": themed(shapes, f"plot-{name}", plot.title, plot.description),
        "plain": plot.svg("light", id=f"plot-{name}"),
        "table": [{str(k): _plain(v) for k, v in row.items()} for row in plot.table],
    }


def _differences(made: DesignResult) -> list[dict[str, Any]]:
    """Each design against the first one, world by world, on the same virtual patients."""
    out = []
    for world in made.study.worlds:
        cells = made.of(world)
        for other in cells[1:]:
            found = made.difference(other, cells[0])
            out.append(
                {
                    "world": world,
                    "design": other.design.label,
                    "against": cells[0].design.label,
                    "difference": found.difference,
                    "mc_error": found.mc_error,
                    "replicates": found.replicates,
                }
            )
    return out


def _drawings(made: DesignResult) -> dict[str, Plot]:
    from equipoise.design.report import everywhere, prices
    from equipoise.render.plots import success_curves

    study = made.study
    out = {"success": everywhere(made)}
    weeks = [d.weeks for d in dict.fromkeys(c.design for c in made.cells)]
    if len(set(weeks)) == len(weeks) > 1:
        curves = [
            {
                "weeks": c.design.weeks,
                "world": study.worlds[c.world].label,
                "success": c.success,
                "mc_error": c.mc_error,
            }
            for c in made.cells
        ]
        out["weeks"] = success_curves(curves, target=study.target, title="Success by weeks randomised")
    return out | prices(made)


def _courses(made: DesignResult) -> dict[str, Plot]:
    from equipoise.design.course import mean_course
    from equipoise.render.plots import ls_means

    study = made.study
    first = made.cells[0].design
    return {
        f"course-{name}": ls_means(
            [
                {**row, "n": round(row["n"])}
                for row in mean_course(study, first, name, trials=100)
                if row["visit"] > 0.0
            ],
            unit="weeks",
            start=0.0,
            band=True,
            y_title="Mean change (95 % range of single trials)",
            title=f"Mean change, {world.label}: {first.weeks:g} weeks randomised",
        )
        for name, world in study.worlds.items()
    }
