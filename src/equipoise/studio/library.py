"""The library: records as cards, the landscape, and registry entries brought in."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from fastapi import APIRouter, Request
from fastapi.responses import Response

from equipoise.errors import OutputError, RecordError
from equipoise.files import write_text
from equipoise.files.reading import parse_json
from equipoise.files.tree import LOADER
from equipoise.library import shipped, shipped_file
from equipoise.studio.items import items_of
from equipoise.studio.settings import Settings
from equipoise.studio.web import Form, Refused, page, see, settings_of, uploaded

if TYPE_CHECKING:
    from equipoise.document.document import Document

router = APIRouter()
_lock, _landscape_lock = threading.Lock(), threading.Lock()


@dataclass(frozen=True)
class Card:
    """A trial in the library."""

    id: str
    name: str
    title: str
    condition: str
    drug: str
    patients: str
    year: int | None
    verdict: str
    marker: bool
    own: bool
    replica: bool


@router.get("/")
def library(
    request: Request, q: str = "", field: str = "", verdict: str = "", marker: str = "", year: str = "", said: str = ""
) -> Response:
    """All records, filtered."""
    cards, broken = catalogue(settings_of(request))
    fields = sorted({c.condition for c in cards})
    words = q.lower().split()
    shown = [
        c
        for c in cards
        if all(w in f"{c.name} {c.title} {c.drug} {c.condition} {c.id}".lower() for w in words)
        and field in ("", c.condition)
        and verdict in ("", c.verdict)
        and marker in ("", "yes" if c.marker else "no")
        and (not year.isdecimal() or (c.year is not None and c.year >= int(year)))
    ]
    chosen = {"q": q, "field": field, "verdict": verdict, "marker": marker, "year": year}
    return page(
        request,
        "library.html.j2",
        cards=shown,
        total=len(cards),
        fields=fields,
        verdicts=("met", "missed", "disputed", "not stated"),
        years=sorted({c.year for c in cards if c.year is not None}),
        chosen=chosen,
        broken=broken,
        said=said,
    )


@router.get("/landscape/{field}")
def landscape(request: Request, field: str) -> Response:
    """The trials of a field side by side."""
    body, items = landscape_of(settings_of(request), field)
    return page(
        request,
        "document.html.j2",
        title="Landscape",
        body=body,
        items=items,
        of=f"l:{field}",
        command_line=f"equipoise landscape {field}",
        kind="landscape",
    )


@router.get("/import")
def ask_import(request: Request) -> Response:
    """The form for an entry."""
    return page(request, "import.html.j2", lines=None, record=None)


@router.post("/import")
def bring_in(request: Request, form: Form) -> Response:
    """A registry entry as a record, with the account of what could not be mapped."""
    from equipoise.records.registry import REGISTRY, fetch_study, import_study, is_number, record_yaml

    settings = settings_of(request)
    number, upload = str(form.get("number", "")).strip(), form.get("entry")
    name = getattr(upload, "filename", "") or ""
    if name:
        made = import_study(
            parse_json(
                uploaded(form, "entry"), name[:80], error=RecordError, hint="an entry is the JSON of the registry"
            )
        )
    elif is_number(number):
        made = fetch_study(number, registry=settings.registry or REGISTRY, timeout=15.0, retries=1)
    else:
        raise RecordError("neither a file nor a number", hint="drop a JSON file, or write NCT and eight digits")
    target = settings.records_folder / f"{made.record.id.lower()}.yaml"
    if target.exists() and not form.get("again"):
        raise OutputError(f"{target.name} is there already", hint="tick 'write over' to replace it")
    write_text(target, record_yaml(made.document))
    lines = [str(line).replace("\n", " ") for line in made.lines()]
    return page(
        request, "import.html.j2", lines=lines, record=made.record.id.lower(), removable=settings.records is None
    )


@router.post("/forget")
def forget(request: Request, form: Form) -> Response:
    """Take an imported record out of the workspace; records of a folder of the user's own are left alone."""
    settings = settings_of(request)
    record = str(form.get("record", ""))
    path = settings.records_folder / f"{record}.yaml"
    if settings.records is not None or not record.replace("_", "").isalnum() or not path.is_file():
        raise Refused(404, "no such imported record", hint="records of your own folder are yours to remove")
    path.unlink()
    return see("/", said=f"{record} is out of the library")


def catalogue(settings: Settings) -> tuple[tuple[Card, ...], tuple[str, ...]]:
    """Cards of all sound records, and what is wrong with the others; read again where a file has changed."""
    with _lock:  # read once, however many ask
        return _catalogue(settings.records_folder, _stamp(settings.records_folder))


@cache
def designable() -> tuple[str, ...]:
    """The shipped scenarios that measure something, from which a next trial can be designed; no estimator is loaded."""
    found = []
    for name in shipped("scenario"):
        file = shipped_file(name, "scenario")
        text = "" if file is None else file.read_text(encoding="utf-8")
        if yaml.load(text, Loader=LOADER).get("outcomes"):
            found.append(name)
    return tuple(found)


def _stamp(folder: Path) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((p.name, p.stat().st_mtime_ns) for p in folder.glob("*.y*ml")))


@lru_cache(maxsize=4)
def _catalogue(folder: Path, stamp: Any) -> tuple[tuple[Card, ...], tuple[str, ...]]:
    from equipoise.appraise.findings import read
    from equipoise.appraise.landscape import year_of
    from equipoise.appraise.landscape.effects import measures_marker
    from equipoise.records import list_records

    rebuilt = set(shipped("scenario"))
    cards, broken = [], []
    for info in list_records(records_dir=folder):
        record = info.record
        if record is None:
            broken.append(f"{info.name}: {info.problems[0] if info.problems else 'cannot be read'}")
            continue
        patients, dated = record.design.n_actual, year_of(record)
        cards.append(
            Card(
                id=record.id if info.origin == "built in" else info.name,
                name=record.acronym or record.id,
                title=record.title,
                condition=record.condition,
                drug=", ".join(a.label for a in record.arms if a.role == "active"),
                patients=f"{patients.value:g}" if patients.usable and patients.value is not None else "",
                year=None if dated is None else dated[0],
                verdict=found.verdict if (found := read(record)).compared else "not stated",
                marker=measures_marker(record),
                own=info.origin != "built in",
                replica=record.id in rebuilt,
            )
        )
    cards.sort(key=lambda c: (c.condition, -(c.year or 0), c.name.lower()))
    return tuple(cards), tuple(broken)


def landscape_of(settings: Settings, field: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The landscape of a field as a page holds it, and (id, kind, title) of its figures and tables."""
    with _landscape_lock:  # made once, however many ask
        return _landscape(settings, field, _stamp(settings.records_folder))


def landscape_document(settings: Settings, field: str) -> Document:
    """The landscape of a field as a document."""
    from equipoise.appraise.landscape import landscape as build
    from equipoise.records import list_records

    known = [i.record for i in list_records(records_dir=settings.records_folder) if i.record is not None]
    return build(field, known)


@lru_cache(maxsize=4)
def _landscape(settings: Settings, field: str, stamp: Any) -> tuple[str, list[tuple[str, str, str]]]:
    from equipoise.render.page.html import to_body

    made = landscape_document(settings, field)
    return to_body(made), items_of(made)
