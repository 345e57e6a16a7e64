"""The basket: figures and tables a reader has put aside, as one report. What is in it stands in the reader's cookie."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from equipoise import __version__
from equipoise.document.document import (
    Block,
    Citation,
    Cited,
    Code,
    Computation,
    Computed,
    Document,
    Figure,
    Inlines,
    Name,
    Paragraph,
    Section,
    Source,
    Table,
    Text,
    bare_number,
    walk,
)
from equipoise.errors import EquipoiseError, RecordError, ScenarioError
from equipoise.render.page.ready import Ready
from equipoise.studio import analysis, appraisal, library
from equipoise.studio.jobs import Jobs
from equipoise.studio.settings import Settings
from equipoise.studio.web import BASKET, Form, Refused, cookie, download, page, see, settings_of
from equipoise.studio.workbench import design_study, virtual_trial

if TYPE_CHECKING:
    from equipoise.design.study import DesignStudy
    from equipoise.render.plots import Plot

router = APIRouter()

_ID = re.compile(r"[A-Za-z0-9._-]+")

MOST = 40
"""Items."""

LONGEST = 3_800
"""Characters: a browser throws a longer cookie away without a word."""

_KINDS = {
    "html": "text/html",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pdf": "application/pdf",
}


@router.get("/basket")
def basket(request: Request) -> Response:
    """What is in the basket."""
    return page(request, "basket.html.j2", items=_named(request), kinds=tuple(_KINDS))


@router.post("/basket")
def change(request: Request, form: Form) -> Response:
    """Put something in, take something out, or empty it."""
    held = _held(request)
    if item := str(form.get("add", "")):
        _checked(item)
        held = [*held, item] if item not in held else held
        if len(held) > MOST or len("~".join(held)) > LONGEST:
            raise Refused(
                400,
                f"the basket is full with {len(held) - 1} things",
                hint="take some out, or keep the report and begin again",
            )
    elif item := str(form.get("remove", "")):
        held = [h for h in held if h != item]
    elif form.get("empty"):
        held = []
    back = str(form.get("back", "/basket"))
    parts = urlsplit(back)
    answer = see(back if back.startswith("/") and not back.startswith("//") and not parts.netloc else "/basket")
    answer.set_cookie(BASKET, "~".join(held), **cookie(request))
    return answer


@router.get("/basket/report.{kind}")
def report(request: Request, kind: str) -> Response:
    """Everything in the basket as one file, each thing with what it rests on."""
    from equipoise.render.page import to_bytes

    if kind not in _KINDS:
        raise RecordError(f"no report as {kind[:20]!r}", hint="html, docx or pdf")
    if not _held(request):
        raise RecordError("the basket is empty", hint="'Add to report' stands by every figure and table")
    return download(to_bytes(gathered(request), kind), f"report.{kind}", _KINDS[kind])


@dataclass(frozen=True)
class _File:
    """A file that a command of the report reads: its name, its text and that command."""

    name: str
    text: str
    command: str


@dataclass(frozen=True)
class _Part:
    """A section of the report, with what its numbers rest on and the names that its words need."""

    section: Section
    sources: tuple[Source, ...] = ()
    citations: tuple[Citation, ...] = ()
    computations: tuple[Computation, ...] = ()
    names: tuple[str, ...] = ()
    files: tuple[_File, ...] = ()


_GONE = Paragraph((Text("One thing that was put here is no longer on the page it came from."),))


def gathered(request: Request) -> Document:
    """The report as a document: a section a trial, a study or an analysis, with sources and commands of its own; at the
    end the files that the commands read."""
    settings, jobs = settings_of(request), request.app.state.jobs
    groups: dict[tuple[str, str], list[str]] = {}
    for item in _held(request):
        kind, whose, what = item.split(":", 2)
        groups.setdefault((kind, whose), []).append(what)
    made = [_PARTS[kind](settings, jobs, whose, wanted) for (kind, whose), wanted in groups.items()]
    kept = _appendix(tuple(f for m in made for f in m.files))
    return Document(
        title=(Text("Report"),),
        subtitle=(Text("Figures and tables put together by a reader, each with its sources and commands."),),
        record=", ".join(dict.fromkeys(_FROM.get(kind) or whose.partition(".")[0] for kind, whose in groups)),
        version=__version__,
        audience=None,
        sections=(*(m.section for m in made), *((kept,) if kept.sections else ())),
        sources=tuple(s for m in made for s in m.sources),
        citations=tuple(c for m in made for c in m.citations),
        computations=tuple(c for m in made for c in m.computations),
        names=tuple(dict.fromkeys(n for m in made for n in (*m.names, *(f.name for f in m.files)))),
        kind="brief",
    )


def _appendix(files: tuple[_File, ...]) -> Section:
    """The files, whole: who has the report needs nothing of the studio to compute its numbers again."""
    lead = (Text("Saved under its name, each is what its command reads."),)
    parts = tuple(
        Section(
            f"file-{k}",
            (Name(f.name) if bare_number(f.name) else Text(f.name),),
            (Paragraph((Code(f.command),)), Paragraph((Code(f.text),))),
        )
        for k, f in enumerate(files)
    )
    return Section("files", (Text("Files that the commands read"),), (Paragraph(lead),), parts)


def _of_trial(settings: Settings, jobs: Jobs, whose: str, wanted: list[str]) -> _Part:
    record, _, judgements = whose.partition(".")
    document = appraisal.document(settings, record, {}, judgements)
    if not judgements:
        return _taken(document, document.title, f"of-{whose}", wanted)
    name = f"{record}-judgements-{judgements[:8]}.yaml"
    text = appraisal.judgements_text(settings, record, judgements)
    title = (*document.title, Text(", under judgements of the reader's own"))
    file = _File(name, text, f"equipoise appraise {record} --judgements {name}")
    return replace(_taken(document, title, f"of-{whose}", wanted), files=(file,))


def _of_landscape(settings: Settings, jobs: Jobs, field: str, wanted: list[str]) -> _Part:
    document = library.landscape_document(settings, field)
    return _taken(document, document.title, f"landscape-{field}", wanted)


def _of_analysis(settings: Settings, jobs: Jobs, key: str, wanted: list[str]) -> _Part:
    document, name = analysis.report_of(jobs, key), f"plan-{key[:8]}.yaml"
    told = tuple(
        replace(c, method=f"{c.method}; {name} is in this report", command=c.command.replace("plan.yaml", name))
        for c in document.computations
    )
    document = replace(document, computations=told)
    file = _File(name, str(jobs.request(key)["plan"]), told[0].command)
    return replace(_taken(document, document.title, f"analysis-{key}", wanted), files=(file,))


def _taken(document: Document, title: Inlines, own: str, wanted: list[str]) -> _Part:
    """Figures, tables and sections of a document that stand alone, and what their numbers rest on."""
    from equipoise.appraise.brief import standing_alone

    found = {n.id: n for n in walk(document.sections) if isinstance(n, Figure | Table | Section)}
    blocks: list[Block] = []
    for name in wanted:
        node = found.get(name)
        inside = node.blocks if isinstance(node, Section) else (_GONE,) if node is None else (node,)
        blocks += standing_alone(inside)
    nodes = list(walk(tuple(blocks)))
    refs = {ref for n in nodes if isinstance(n, Cited) for ref in n.refs}
    used = {n.computation for n in nodes if isinstance(n, Computed)}
    citations = tuple(c for c in document.citations if c.id in refs)
    keys = {c.source for c in citations}
    before = f"{own}."
    return _Part(
        Section(own, title, _prefixed(tuple(blocks), before)),
        sources=tuple(replace(s, key=before + s.key) for s in document.sources if s.key in keys),
        citations=tuple(replace(c, id=before + c.id, source=before + c.source) for c in citations),
        computations=tuple(replace(c, id=before + c.id) for c in document.computations if c.id in used),
        names=document.names,
    )


def _prefixed(node: Any, own: str) -> Any:
    """The same blocks with ids and references that no other trial's have."""
    if isinstance(node, tuple):
        return tuple(_prefixed(child, own) for child in node)
    if isinstance(node, Cited):
        return replace(node, refs=tuple(own + r for r in node.refs))
    if isinstance(node, Computed):
        return replace(node, computation=own + node.computation)
    if is_dataclass(node) and not isinstance(node, type):
        changed = {f.name: _prefixed(getattr(node, f.name), own) for f in fields(node)}
        if "id" in changed:
            changed["id"] = own + changed["id"]
        return replace(node, **changed)
    return node


def _of_study(jobs: Jobs, key: str, wanted: list[str]) -> _Part:
    """Tables, drawings and virtual trials of a design study."""
    from equipoise.studio.levers import as_yaml

    study, result = design_study(jobs, key), jobs.result(key) or {}
    name = f"{study.name}-{key[:8]}.yaml"
    command = f"equipoise design {name} --replicates {result.get('replicates', 0)} --seed {study.seed}"
    own = f"study-{key[:8]}"
    ready = Ready(f"{own}-command")
    blocks: list[Block] = []
    for what in wanted:
        id, held = f"{own}-{what}", _held_by(result, what)
        if what.startswith(EXAMPLE):
            plot, rows = example_of(study, what.removeprefix(EXAMPLE))
            blocks.append(ready.figure(id, plot.title, plot.description, plot.shapes(), rows))
        elif isinstance(held, list) and held:
            blocks.append(ready.table(id, STUDY_TABLES[what], held))
        elif isinstance(held, dict) and held.get("shapes"):
            blocks.append(ready.figure(id, held["title"], held["description"], held["shapes"], held["table"]))
        else:
            blocks.append(_GONE)
    method = f"virtual trials of each design in each world, seed {study.seed}; {name} is in this report"
    return _Part(
        Section(own, ready.words(f"Design study {study.name}"), tuple(blocks)),
        computations=(Computation(ready.computation, f"design study {study.name}", method, command),),
        names=tuple(ready.names),
        files=(_File(name, as_yaml(study), command),),
    )


STUDY_TABLES = {
    "cells": "Success of each design in each world",
    "differences": "Differences from the first design, on the same virtual patients",
}
"""Tables of a design study, and what they are called."""

EXAMPLE = "patients."
"""What the name of a virtual trial begins with: world, replicate and design follow, with points between."""


def example_of(study: DesignStudy, name: str) -> tuple[Plot, list[dict[str, Any]]]:
    """A virtual trial by its name (``slowing.3.0``: world, replicate, design): its drawing, and a row a patient.

    Raises
    ------
    ScenarioError : there is no such trial.
    """
    world, replicate, design = name.rsplit(".", 2) if name.count(".") >= 2 else ("", "", "")
    if not (replicate.isdecimal() and design.isdecimal() and len(replicate) < 8 and len(design) < 4):
        raise ScenarioError(f"no virtual trial {name[:60]!r}", hint="choose one from the page of the study")
    plot, rows = virtual_trial(study, world, int(replicate), int(design))
    plain = [
        {k: v for k, v in row.items() if k not in ("weeks", "values", "died")}
        | {"values": ", ".join(f"{v:.1f}" for v in row["values"]), "end": "died" if row["died"] else ""}
        for row in rows
    ]
    return plot, plain


def _held_by(result: Mapping[str, Any], name: str) -> Any:
    """A table of a study as rows, or a drawing; None where there is none of that name."""
    if name == "cells":
        return [
            {
                "design": c["label"],
                "world": c["world"],
                "success": f"{100 * c['success']:.1f} %",
                "Monte Carlo error": f"{100 * c['mc_error']:.1f}",
                "replicates": c["replicates"],
            }
            for c in result.get("cells", ())
        ]
    if name == "differences":
        return [
            {
                "design": d["design"],
                "world": d["world"],
                "against": d["against"],
                "difference, points": f"{100 * d['difference']:+.1f}",
                "Monte Carlo error": f"{100 * d['mc_error']:.1f}",
            }
            for d in result.get("differences", ())
        ]
    return next((d for d in (*result.get("drawings", ()), *result.get("courses", ())) if d["name"] == name), None)


def _held(request: Request) -> list[str]:
    out = []
    for item in request.cookies.get(BASKET, "").split("~")[: MOST + 1]:
        try:
            out += [_checked(item)] if item else []
        except EquipoiseError:
            continue  # a cookie from elsewhere puts nothing in
    return out


def _checked(item: str) -> str:
    parts = item.split(":", 2)
    sound = len(parts) == 3 and parts[0] in _PARTS and all(_ID.fullmatch(p) for p in parts[1:])
    if not sound or len(item) > 160:
        raise Refused(400, "that cannot be put in the basket", hint="'Add to report' stands by every figure and table")
    return item


def _named(request: Request) -> list[tuple[str, str, str]]:
    """(item, where it is from, what it is)."""
    out = []
    for item in _held(request):
        kind, whose, what = item.split(":", 2)
        try:
            source, title = _told(request, kind, whose, what)
        except EquipoiseError:
            source, title = "no longer there", what
        out.append((item, source, title))
    return out


def _told(request: Request, kind: str, whose: str, what: str) -> tuple[str, str]:
    """Where a thing is from, and what it is called."""
    settings, jobs = settings_of(request), request.app.state.jobs
    if kind == "d":
        study, found = design_study(jobs, whose), _held_by(jobs.result(whose) or {}, what)
        if what.startswith(EXAMPLE):
            title = example_of(study, what.removeprefix(EXAMPLE))[0].title
        else:
            title = STUDY_TABLES.get(what) or (found or {}).get("title", what)
        return f"design study {study.name}", title
    if kind == "a":
        return "an analysis", next((t for i, _, t in (jobs.result(whose) or {}).get("items", ()) if i == what), what)
    if kind == "l":
        return f"landscape {whose}", next(
            (t for i, _, t in library.landscape_of(settings, whose)[1] if i == what), what
        )
    record, _, judgements = whose.partition(".")
    source = record + (", your own judgements" if judgements else "")
    return source, next((t for i, _, t in appraisal.body_of(settings, record, {}, judgements)[1] if i == what), what)


_PARTS: Mapping[str, Callable[[Settings, Jobs, str, list[str]], _Part]] = {
    "t": _of_trial,
    "l": _of_landscape,
    "a": _of_analysis,
    "d": lambda settings, jobs, key, wanted: _of_study(jobs, key, wanted),
}
_FROM = {"l": "the records of a field", "a": "an analysis", "d": "a design study"}
"""What each kind of thing is from: a trial is named by its record."""
