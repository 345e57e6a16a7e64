"""What if, and the next trial: levers in the address, a first answer at once, more replicates in the background."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from equipoise.errors import ScenarioError
from equipoise.studio.drawn import draws_file, draws_files
from equipoise.studio.jobs import FIRST, STAGES, Jobs
from equipoise.studio.library import catalogue
from equipoise.studio.web import Form, download, job_page, page, see, settings_of, uploaded

if TYPE_CHECKING:
    from equipoise.design import DesignStudy
    from equipoise.render.plots import Plot

router = APIRouter()

WAIT = 2.5
"""Seconds that a first answer is waited for before the page comes without it."""

MOST_WORLDS = 64
"""Worlds of a study that a browser brings."""

_REACHES = ("draws", "file", "function")
"""Keys of a study that read a file or call a program."""

_NUMBERS = {"weeks": float, "patients": int, "extension": float}


@router.get("/what-if/{base}")
def what_if(request: Request, base: str) -> Response:
    """One design, moved by levers, beside the trial as it was."""
    return _view(request, base, single=True)


@router.get("/design")
def workbench(request: Request, base: str = "valor") -> Response:
    """Up to four designs side by side."""
    return _view(request, base, single=False)


@router.get("/job/{key}")
def job(request: Request, key: str, seen: str = "", status: str = "") -> Response:
    """A design study by its name: progress, results and what to do with it.

    ``seen`` and ``status`` : what a page that asks again shows; while that is so, it is told the progress alone.
    """
    found = _job(request, key)
    state, result = found["state"], found["result"]
    if seen and state.open and state.status == status and seen == str(result["replicates"] if result else 0):
        return page(request, "progress.html.j2", state=state)  # the figures stay as they are, with what is open in them
    return job_page(request, "job.html.j2", again=bool(seen), **found)


@router.post("/job/{key}")
def change(request: Request, key: str, form: Form) -> Response:
    """Stop a job, or go on with it."""
    jobs: Jobs = request.app.state.jobs
    jobs.stop(key) if form.get("stop") else jobs.resume(key)
    if request.headers.get("hx-request") == "true":
        return page(request, "job.html.j2", **_job(request, key))
    back = str(form.get("back", ""))
    return see(back if back.startswith(("/what-if/", "/design", "/job/")) else f"/job/{key}")


@router.get("/job/{key}/study.yaml")
def study_file(request: Request, key: str) -> Response:
    """The study as the file that ``equipoise design`` reads."""
    from equipoise.studio.levers import as_yaml

    study = _study(request, key)
    return download(as_yaml(study), f"{study.name}.yaml", "application/yaml")


@router.get("/job/{key}/{name}.csv")
def numbers(request: Request, key: str, name: str) -> Response:
    """Its numbers: ``cells``, a row a design and world; ``differences``; or those of a drawing."""
    import polars as pl

    found = _result(request, key)
    drawn = {d["name"]: d["table"] for d in (*found["drawings"], *found["courses"])}
    rows = {**drawn, "cells": found["cells"], "differences": found["differences"]}.get(name)
    if not rows:
        raise ScenarioError(f"no numbers {name[:60]!r}", hint="see the page of the job")
    return download(pl.DataFrame(rows, infer_schema_length=None).write_csv(), f"{name}.csv", "text/csv")


@router.get("/job/{key}/{name}.svg")
def drawing(request: Request, key: str, name: str) -> Response:
    """A drawing as a file."""
    for drawn in (*_result(request, key)["drawings"], *_result(request, key)["courses"]):
        if drawn["name"] == name:
            return download(drawn["plain"], f"{name}.svg", "image/svg+xml")
    raise ScenarioError(f"no drawing {name[:60]!r}", hint="see the page of the job")


@router.get("/job/{key}/report.html")
def report(request: Request, key: str) -> Response:
    """The report of a simulation study, from the numbers that are kept."""
    from equipoise.design import design
    from equipoise.design.report import report_html

    jobs: Jobs = request.app.state.jobs
    study, state = _study(request, key), jobs.state(key)
    if state.replicates <= FIRST:
        raise ScenarioError("the report needs more replicates than a first answer", hint="wait for the next stage")
    made = design(study, replicates=state.replicates, out=jobs.folder / key / "runs")
    return download(report_html(made), f"{study.name}-report.html", "text/html")


@router.get("/job/{key}/example/{world}/{replicate}")
def example(request: Request, key: str, world: str, replicate: int, design: int = 0) -> Response:
    """One virtual trial, patient by patient."""
    from equipoise.render.theme import themed

    study = _study(request, key)
    designs = list(study.designs())
    plot, rows = virtual_trial(study, world, replicate, design)
    return page(
        request,
        "example.html.j2",
        key=key,
        world=world,
        replicate=replicate,
        design=design,
        designs=[d.label for d in designs],
        study=study,
        svg=themed(plot.shapes(), "patients", plot.title, plot.description),
        description=plot.description,
        rows=rows,
    )


@router.post("/design/open")
def open_file(request: Request, form: Form) -> Response:
    """A study from a file of the command line."""
    from equipoise.design import parse_study
    from equipoise.files import parse_yaml

    text = uploaded(form, "study").decode("utf-8", "replace")
    data = parse_yaml(text, "study", error=ScenarioError, hint="equipoise design --init valor").values
    _without_reach(data)
    _few_worlds(data)
    study = parse_study(text, "study")
    jobs: Jobs = request.app.state.jobs
    hint = "run it on the command line: equipoise design FILE"
    factors = study.factors.model_dump(mode="json")
    if math.prod(max(len(levels or ()), 1) for levels in factors.values()) > 4_096 or len(list(study.designs())) > 64:
        raise ScenarioError("more than 64 designs", hint=hint)
    if max(study.factors.patients) > 5_000:
        raise ScenarioError(f"{max(study.factors.patients):,} patients, where 5,000 is most here", hint=hint)
    return see(f"/job/{jobs.ask('design', {'study': study.model_dump(mode='json')})}")


def _without_reach(data: Any) -> None:
    """A study that a browser brings names no file and no program of this machine.

    Raises
    ------
    ScenarioError : it does.
    """
    from equipoise.studio.levers import bases

    hint = "run it on the command line: equipoise design FILE"
    if isinstance(data, dict) and data.get("base") not in bases():
        raise ScenarioError("base: a study that is opened here starts from a shipped scenario", hint=hint)

    def look(node: Any) -> None:
        if isinstance(node, dict):
            for name, value in node.items():
                if name in _REACHES:
                    raise ScenarioError(f"{name}: a study that is opened here names no file and no program", hint=hint)
                look(value)
        elif isinstance(node, list):
            for value in node:
                look(value)

    look(data)


def _few_worlds(data: Any) -> None:
    """Worlds of a study, those of a grid counted, before any is made.

    Raises
    ------
    ScenarioError : more than are judged here.
    """
    worlds = data.get("worlds") if isinstance(data, dict) else None
    count = 0
    for world in worlds.values() if isinstance(worlds, dict) else ():
        grid = world.get("grid") if isinstance(world, dict) else None
        levels = [len(v) for v in grid.values() if isinstance(v, list)] if isinstance(grid, dict) else []
        count += math.prod(levels)
    if count > MOST_WORLDS:
        raise ScenarioError(
            f"{count:,} worlds, where {MOST_WORLDS} is most here",
            hint="run it on the command line: equipoise design FILE",
        )


def _view(request: Request, base: str, *, single: bool) -> Response:
    from equipoise.design.study import FIXED
    from equipoise.studio.levers import LOOKS, MOST, Levers, bases, defaults, scenario_of, study_of, template

    if base not in bases():
        raise ScenarioError(
            f"no next trial can be designed from {base[:60]!r}", hint="choose one of " + ", ".join(bases())
        )
    query = request.query_params
    begun = {**defaults(base)}
    mechanism = begun.pop("mechanism")
    columns = [1] if single else list(range(1, MOST + 1))
    given = [{n: query.get(f"{n}{k}", query.get(n) if single else None) for n in begun} for k in columns]
    asked = [d for d in given if any(v not in (None, "") for v in d.values())]
    mechanisms = tuple(query.getlist("mechanism")) or (mechanism,)
    context: dict[str, Any] = {
        "base": base,
        "bases": bases(),
        "called": {b: b.replace("_", " ").upper() for b in bases()}
        | {c.id: c.name for c in catalogue(settings_of(request))[0]},
        "single": single,
        "columns": columns,
        "given": given,
        "begun": begun,
        "offers": template(base),
        "looks": [(FIXED, "none"), *((name, look["label"]) for name, look in LOOKS.items())],
        "mechanisms": [m.value for m in scenario_of(base).mechanisms if m.value != "none"],
        "chosen": mechanisms,
        "strength": query.get("strength", "100"),
        "lag": query.get("lag", ""),
        "seed": query.get("seed", "1"),
        "imbalance": bool(query.get("imbalance")),
        "draws": query.get("draws", ""),
        "weights": query.get("weights", ""),
        "files": draws_files(settings_of(request)),
        "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "error": None,
        "job": None,
    }
    if query.get("go"):
        try:
            designs = tuple(_levels(d) for d in asked) or ({},)
            drawn = draws_file(settings_of(request), context["draws"]) if context["draws"] else None
            study = study_of(
                Levers(
                    base,
                    designs,
                    tuple(m for m in mechanisms if m != "none"),
                    strength=_number("strength", context["strength"], 0.0, 1_000.0),
                    lag=_number("lag", context["lag"], 0.0, 260.0) if context["lag"] else None,
                    imbalance=context["imbalance"],
                    seed=int(_number("seed", context["seed"], 0, 2**53)),
                    draws=None if drawn is None else drawn.path,
                    weights=None if drawn is None else drawn.weights(context["weights"]),
                )
            )
            jobs: Jobs = request.app.state.jobs
            key = jobs.ask("design", {"study": study.model_dump(mode="json")})
            jobs.wait(key, WAIT)
            context["job"] = _job(request, key)
        except ScenarioError as error:
            context["error"] = error
    return page(request, "design.html.j2", status=400 if context["error"] else 200, **context)


def _levels(given: dict[str, str | None]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, text in given.items():
        if text not in (None, ""):
            number = _NUMBERS.get(name)
            out[name] = text if number is None else number(_number(name, str(text), 0.0, 100_000.0))
    return out


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ScenarioError(f"{name}: {text[:40]!r} is no number", hint="write digits, with a point") from None
    if not low <= value <= high:
        raise ScenarioError(f"{name}: {text[:40]}", hint=f"{low:g} to {high:g}")
    return value


def virtual_trial(study: DesignStudy, world: str, replicate: int, design: int) -> tuple[Plot, list[dict[str, Any]]]:
    """A virtual trial of a design in a world: its drawing, and a row a patient.

    Raises
    ------
    ScenarioError : there is no such trial.
    """
    from equipoise.design.course import patients
    from equipoise.render.plots import patients as draw_patients

    designs = list(study.designs())
    if not 0 <= design < len(designs) or not 0 <= replicate < 10_000_000 or world not in study.worlds:
        raise ScenarioError("no such virtual trial", hint="choose one from the page of the job")
    rows = patients(study, designs[design], world, replicate)
    title = f"Virtual trial {replicate + 1}: {study.worlds[world].label}"
    return draw_patients(rows, title=title, label="Main outcome"), rows


def _study(request: Request, key: str) -> DesignStudy:
    return design_study(request.app.state.jobs, key)


def design_study(jobs: Jobs, key: str) -> DesignStudy:
    """The design study of a job.

    Raises
    ------
    ScenarioError : there is no such job, or it is another kind of job.
    """
    from equipoise.design import DesignStudy

    asked = jobs.request(key)
    if asked["kind"] != "design":
        raise ScenarioError("that job is no design study", hint="see the library")
    try:
        return DesignStudy.model_validate(asked["study"])
    except ValueError as error:
        said = str(error.errors()[0]["msg"]) if hasattr(error, "errors") else str(error)
        said = said.removeprefix("Value error, ")
        raise ScenarioError(f"this study can no longer be read: {said}", hint="ask for it again") from None


def _result(request: Request, key: str) -> dict[str, Any]:
    jobs: Jobs = request.app.state.jobs
    _study(request, key)
    found = jobs.result(key)
    if found is None:
        raise ScenarioError("there is no result yet", hint="wait for the first stage")
    return found


def _job(request: Request, key: str) -> dict[str, Any]:
    jobs: Jobs = request.app.state.jobs
    study = _study(request, key)
    state, result = jobs.state(key), jobs.result(key)
    shown = FIRST if result is None else result["replicates"]
    command = f"equipoise design {study.name}.yaml --replicates {shown} --out runs"
    return {
        "key": key,
        "study": study,
        "state": state,
        "result": result,
        "stages": STAGES["design"],
        "first": FIRST,
        "command_line": command,
    }
