"""The basket: figures and tables a reader has put aside, as one report. What is in it stands in the reader's cookie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from equipoise import __version__
from equipoise.document.document import (
    Block,
    Cited,
    Computation,
    Computed,
    Document,
    Figure,
    Name,
    Row,
    Section,
    Table,
    Text,
    walk,
)
from equipoise.errors import EquipoiseError, RecordError
from equipoise.studio import appraisal
from equipoise.studio.jobs import Jobs
from equipoise.studio.settings import Settings
from equipoise.studio.web import BASKET, Form, Refused, download, page, see, settings_of

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
    answer.set_cookie(BASKET, "~".join(held), httponly=True, samesite="strict")
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


def gathered(request: Request) -> Document:
    """The report as a document: a section a trial or a design study, with sources, commands and names of its own."""
    settings, jobs = settings_of(request), request.app.state.jobs
    groups: dict[tuple[str, str], list[str]] = {}
    for item in _held(request):
        kind, whose, what = item.split(":", 2)
        groups.setdefault((kind, whose), []).append(what)
    made = [
        _of_trial(settings, whose, wanted) if kind == "t" else _of_study(jobs, whose, wanted)
        for (kind, whose), wanted in groups.items()
    ]
    return Document(
        title=(Text("Report"),),
        subtitle=(Text("Figures and tables put together by a reader, each with its sources and commands."),),
        record=", ".join(
            dict.fromkeys(whose.partition(".")[0] if kind == "t" else "a design study" for kind, whose in groups)
        ),
        version=__version__,
        audience=None,
        sections=tuple(m["section"] for m in made),
        sources=tuple(s for m in made for s in m["sources"]),
        citations=tuple(c for m in made for c in m["citations"]),
        computations=tuple(c for m in made for c in m["computations"]),
        names=tuple(dict.fromkeys(n for m in made for n in m["names"])),
        kind="brief",
    )


def _of_trial(settings: Settings, whose: str, wanted: list[str]) -> dict[str, Any]:
    from equipoise.appraise.brief import standing_alone

    record, _, judgements = whose.partition(".")
    document = appraisal.document(settings, record, {}, judgements)
    found = {n.id: n for n in walk(document.sections) if isinstance(n, Figure | Table)}
    blocks = tuple(standing_alone(found[w]) for w in wanted if w in found)
    nodes = list(walk(blocks))
    refs = {ref for n in nodes if isinstance(n, Cited) for ref in n.refs}
    used = {n.computation for n in nodes if isinstance(n, Computed)}
    citations = tuple(c for c in document.citations if c.id in refs)
    keys = {c.source for c in citations}
    own = f"{whose}."
    title = document.title + ((Text(", under judgements of the reader's own"),) if judgements else ())
    return {
        "section": _prefixed(Section(f"of-{whose}", title, blocks), own),
        "sources": tuple(replace(s, key=own + s.key) for s in document.sources if s.key in keys),
        "citations": tuple(replace(c, id=own + c.id, source=own + c.source) for c in citations),
        "computations": tuple(replace(c, id=own + c.id) for c in document.computations if c.id in used),
        "names": document.names,
    }


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
        if isinstance(node, Table | Figure | Section):
            changed["id"] = own + node.id
        return replace(node, **changed)
    return node


def _of_study(jobs: Jobs, key: str, wanted: list[str]) -> dict[str, Any]:
    from equipoise.design.study import DesignStudy

    if jobs.request(key)["kind"] != "design":
        raise Refused(400, f"{key[:8]} is no design study", hint="take it out of the report")
    study, result = DesignStudy.model_validate(jobs.request(key)["study"]), jobs.result(key) or {}
    command = f"equipoise design {study.name}.yaml --replicates {result.get('replicates', 0)} --seed {study.seed}"
    own = f"study-{key[:8]}"
    computation = Computation(own, f"design study {study.name}", "virtual trials of each design in each world", command)
    names: list[str] = [study.name]
    drawn = {d["name"]: d for d in (*result.get("drawings", ()), *result.get("courses", ()))}
    blocks: list[Block] = []
    for name in wanted:
        rows = _cells(result) if name == "cells" else drawn[name]["table"] if name in drawn else []
        if not rows:
            continue
        title = "Success of each design in each world" if name == "cells" else str(drawn[name]["title"])
        columns = list(rows[0])
        names += [title, *columns]
        blocks.append(
            Table(
                f"{own}-{name}",
                (_label(title, names),),
                tuple((_label(c, names),) for c in columns),
                tuple(
                    Row(
                        tuple(
                            (_label(str(v), names),) if isinstance(v, str) or v is None else (Computed(_told(v), own),)
                            for v in row.values()
                        )
                    )
                    for row in rows
                ),
                numeric=tuple(not isinstance(v, str) for v in rows[0].values()),
            )
        )
    return {
        "section": Section(own, (_label(f"Design study {study.name}", names),), tuple(blocks)),
        "sources": (),
        "citations": (),
        "computations": (computation,),
        "names": tuple(dict.fromkeys(n for n in names if any(c.isalpha() for c in n))),
    }


def _cells(result: Mapping[str, Any]) -> list[dict[str, Any]]:
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


def _label(text: str, names: list[str]) -> Any:
    """Words of a design as a name: digits in it are levels of factors, not findings."""
    if not any(c.isalpha() for c in text):
        text = f"{text} (level)" if text.strip("- ") else "none"
    names.append(text)
    return Name(text)


def _told(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
    sound = len(parts) == 3 and parts[0] in ("t", "d") and all(_ID.fullmatch(p) for p in parts[1:])
    if not sound or len(item) > 160:
        raise Refused(400, "that cannot be put in the basket", hint="'Add to report' stands by every figure and table")
    return item


def _named(request: Request) -> list[tuple[str, str, str]]:
    """(item, where it is from, what it is)."""
    settings = settings_of(request)
    out = []
    for item in _held(request):
        kind, whose, what = item.split(":", 2)
        title, source = what, f"design study {whose[:8]}"
        if kind == "t":
            record, _, judgements = whose.partition(".")
            source = record + (", your own judgements" if judgements else "")
            try:
                found = {i: t for i, _, t in appraisal.body_of(settings, record, {}, judgements)[1]}
            except EquipoiseError:
                found = {}
            title = found.get(what, what)
        out.append((item, source, title))
    return out
