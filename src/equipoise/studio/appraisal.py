"""The page of a trial, live: for one reader, with a user's own judgements, with the trial rebuilt."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from equipoise.document.document import Document
from equipoise.document.readers import LEVELS, READERS, SPECIALTIES, STAGES
from equipoise.errors import RecordError
from equipoise.files import write_text
from equipoise.files.tree import LOADER
from equipoise.library import shipped
from equipoise.studio.fields import put
from equipoise.studio.items import items_of
from equipoise.studio.jobs import Jobs, State
from equipoise.studio.library import catalogue, designable
from equipoise.studio.settings import Settings, named
from equipoise.studio.web import Form, download, page, see, settings_of

if TYPE_CHECKING:
    from equipoise.appraise.certainty import Judgements
    from equipoise.records import Record

router = APIRouter()
_locks = tuple(threading.Lock() for _ in range(64))
"""A page that is being made holds up those who ask for it, and hardly anyone else."""

FACETS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "role": ("Reader", READERS),
    "specialty": ("Specialty", SPECIALTIES),
    "stage": ("Stage", STAGES),
    "level": ("Level", LEVELS),
}
FORMATS = {
    "html": ("The page, one file", "text/html", "html"),
    "docx": ("The page, Word", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    "md": ("The page, Markdown", "text/markdown", "md"),
    "json": ("The page, JSON", "application/json", "json"),
    "brief.html": ("One-page brief", "text/html", "html"),
    "brief.pdf": ("One-page brief, PDF", "application/pdf", "pdf"),
    "slides.html": ("Journal-club deck", "text/html", "html"),
    "slides.pptx": (
        "Journal-club deck, PowerPoint",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
    ),
}
"""What can be downloaded: label, media type, format."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

READER = "a reader, in the studio"
"""Who judges where a reader has changed what others judged, and has not said who it is."""

CONCERNS = ("none", "serious", "very serious")
BIASES = ("low", "some concerns", "high")


def _chosen(role: str = "", specialty: str = "", stage: str = "", level: str = "") -> dict[str, str]:
    return {"role": role, "specialty": specialty, "stage": stage, "level": level}


Chosen = Annotated[dict[str, str], Depends(_chosen)]
"""The reader, from the address."""


@router.get("/trial/{record}")
def trial(request: Request, record: str, chosen: Chosen, judgements: str = "") -> Response:
    """The page for a reader; the reader is in the address."""
    settings = settings_of(request)
    body, items = body_of(settings, record, chosen, judgements)
    state = _replica(request, record)
    command = " ".join(
        [f"equipoise appraise {record}"]
        + (["--records " + shlex.quote(str(settings.records_folder))] if _own(settings, record) is not None else [])
        + [f"--{k} {v}" for k, v in chosen.items() if v]
        + (["--judgements FILE"] if judgements else [])
        + (["--replicates 500"] if state is not None and state.status == "done" else ["--no-replica"])
    )
    return page(
        request,
        "trial.html.j2",
        record=record,
        called=_called(settings, record),
        body=body,
        items=items,
        facets=FACETS,
        chosen=chosen,
        judgements=judgements,
        formats=FORMATS,
        command_line=command,
        rebuilds=_rebuilds(record),
        designable=record in designable(),
        replica=state,
    )


@router.get("/trial/{record}/download/{what}")
def keep(request: Request, record: str, what: str, chosen: Chosen, judgements: str = "") -> Response:
    """The page, the brief or the deck as a file."""
    from equipoise.appraise import in_brief, in_slides
    from equipoise.render.page import to_bytes

    if what not in FORMATS:
        raise RecordError(f"there is no download {what[:40]!r}", hint="there are: " + ", ".join(FORMATS))
    settings = settings_of(request)
    _, kind, format = FORMATS[what]
    published, judged, replica = _parts(settings, record, judgements)
    if what.startswith("brief"):
        made = in_brief(published, replica, judgements=judged)
    elif what.startswith("slides"):
        made = in_slides(published, replica, judgements=judged)
    else:
        made = document(settings, record, chosen, judgements)
    name = f"{published.id}-{what}" if "." in what else f"{published.id}.{what}"
    return download(to_bytes(made, format), name, kind)


@router.post("/trial/{record}/replica")
def rebuild(request: Request, record: str, form: Form) -> Response:
    """Rebuild the trial in the background, or stop."""
    jobs: Jobs = request.app.state.jobs
    if not _rebuilds(record):
        raise RecordError(f"no scenario rebuilds {record[:60]!r}", hint="the page shows what was published")
    key = jobs.ask("replica", replica_of(settings_of(request), record))
    jobs.stop(key) if form.get("stop") else jobs.resume(key)
    return see(f"/trial/{record}")


@router.get("/trial/{record}/judgements")
def judge(request: Request, record: str, judgements: str = "") -> Response:
    """The judgements as a form."""
    return _form_of(request, record, judgements_text(settings_of(request), record, judgements), judgements, None)


@router.post("/trial/{record}/judgements")
def judged(request: Request, record: str, form: Form) -> Response:
    """What follows from the judgements in the form; sound ones are kept under a name that they alone decide."""
    from equipoise.appraise.certainty import parse_judgements
    from equipoise.appraise.certainty.judgements import OPEN

    settings = settings_of(request)
    before = str(form.get("judgements", ""))
    data = yaml.load(judgements_text(settings, record, before), Loader=LOADER)
    for name, value in form.items():
        if isinstance(value, str) and "/" in name:
            put(data, name.split("/"), value.replace("\r\n", "\n").strip())
    shipped = yaml.load(judgements_text(settings, record, ""), Loader=LOADER)
    if data != shipped and data["judged_by"] == shipped["judged_by"] != OPEN:
        data["judged_by"] = READER  # what a reader has changed is no longer what others judged
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    try:
        published = published_as(settings, record)
        parse_judgements(text, "these judgements").against(published, "these judgements")
    except RecordError as error:
        return _form_of(request, record, text, before, error)
    key = named(text)
    write_text(settings.folder("judgements") / f"{key}.yaml", text)
    if request.headers.get("hx-request") == "true":
        answer = _form_of(request, record, text, key, None)
        answer.headers["HX-Push-Url"] = f"/trial/{record}/judgements?judgements={key}"
        return answer
    return see(f"/trial/{record}/judgements", judgements=key)


@router.get("/trial/{record}/judgements.yaml")
def judgements_file(request: Request, record: str, judgements: str = "") -> Response:
    """The judgements as the file that ``equipoise appraise --judgements`` reads."""
    return download(
        judgements_text(settings_of(request), record, judgements), f"{record}-judgements.yaml", "application/yaml"
    )


def published_as(settings: Settings, record: str) -> Record:
    """A record of the library by its name; a name is no path.

    Raises
    ------
    RecordError : the library has none of that name.
    """
    from equipoise.records import load_record

    if not _NAME.fullmatch(record):
        raise RecordError(f"no record is called {record[:60]!r}", hint="see the library")
    return load_record(record, settings.records_folder)


def document(settings: Settings, record: str, reader: Mapping[str, str], judgements: str) -> Document:
    """The page of a trial as a document."""
    from equipoise.appraise import appraise

    published, judged, replica = _parts(settings, record, judgements)
    return appraise(published, replica, judgements=judged, **{k: v or None for k, v in reader.items()})


def _parts(settings: Settings, record: str, judgements: str) -> tuple[Record, Judgements | None, Any]:
    from equipoise.appraise.certainty import parse_judgements

    published = published_as(settings, record)
    judged = None
    if judgements:
        judged = parse_judgements(judgements_text(settings, record, judgements), "judgements").against(
            published, "judgements"
        )
    jobs = Jobs(settings.folder("jobs"), {})
    key = jobs.found("replica", replica_of(settings, record))
    stored = None if key is None else jobs.result(key)
    if stored is None:
        return published, judged, None
    from equipoise.replica.replica import Replica

    return published, judged, Replica.from_dict(stored)


def body_of(
    settings: Settings, record: str, reader: Mapping[str, str], judgements: str
) -> tuple[str, list[tuple[str, str, str]]]:
    """The page of a trial for a reader, and (id, kind, title) of its figures and tables; made again where the record,
    the judgements or the replica changed."""
    stamp = _stamp(settings, record)
    asked = (settings, record, tuple((k, reader.get(k, "")) for k in FACETS), judgements, stamp)
    with _locks[hash(asked) % len(_locks)]:  # made once, however many ask
        return _made(*asked)


def replica_of(settings: Settings, record: str) -> dict[str, str]:
    """What a replica is asked for by: a record of the user's own by its text, too, so that a changed one has none."""
    own = _own(settings, record)
    return {"record": record} if own is None else {"record": record, "text": named(own)}


def _own(settings: Settings, record: str) -> str | None:
    """The text of a record of the user's own."""
    if not _NAME.fullmatch(record):
        return None
    paths = (settings.records_folder / f"{record}{suffix}" for suffix in (".yaml", ".yml"))
    return next((p.read_text(encoding="utf-8", errors="replace") for p in paths if p.is_file()), None)


def _stamp(settings: Settings, record: str) -> tuple[str, bool]:
    """What a page of a trial depends on beside its address: the record as it is now, and whether it is rebuilt."""
    jobs = Jobs(settings.folder("jobs"), {})
    key = jobs.found("replica", replica_of(settings, record))
    return named(_own(settings, record) or ""), key is not None and jobs.finished(key) > 0


@lru_cache(maxsize=64)
def _made(
    settings: Settings, record: str, reader: tuple[tuple[str, str], ...], judgements: str, stamp: Any
) -> tuple[str, list[tuple[str, str, str]]]:
    from equipoise.render.page.html import to_body

    made = document(settings, record, dict(reader), judgements)
    return to_body(made), items_of(made)


def _called(settings: Settings, record: str) -> str:
    """What people call a trial."""
    return next((c.name for c in catalogue(settings)[0] if c.id == record), record)


def _rebuilds(record: str) -> bool:
    return record in shipped("scenario")


def _replica(request: Request, record: str) -> State | None:
    """How far the rebuilding of a trial is; None where nobody has asked for it."""
    jobs: Jobs = request.app.state.jobs
    key = jobs.found("replica", replica_of(settings_of(request), record))
    return None if key is None else jobs.state(key)


# -- judgements ----------------------------------------------------------------------------------------------------


def judgements_text(settings: Settings, record: str, judgements: str) -> str:
    """Judgements as the file that the command line reads: those kept under a name, or those that a trial begins with.

    Raises
    ------
    RecordError : no such trial, or no such judgements.
    """
    from equipoise.appraise.certainty import form, shipped_text

    published = published_as(settings, record)
    if judgements:
        path = settings.folder("judgements") / f"{judgements}.yaml"
        if not judgements.isalnum() or not path.is_file():
            raise RecordError("those judgements are not in this workspace", hint="begin again from the form")
        return path.read_text(encoding="utf-8")
    own = shipped_text(published.id) if published.origin == "written" else None
    return own or form(published)


def _form_of(request: Request, record: str, text: str, judgements: str, error: RecordError | None) -> Response:
    from equipoise.appraise.certainty.judgements import OPEN

    settings, judged = settings_of(request), yaml.load(text, Loader=LOADER)
    consequences: str | None = None
    items: tuple[tuple[str, str, str], ...] = ()
    if error is None and OPEN not in text:
        consequences, items = _certainty(settings, record, judgements, _stamp(settings, record))
    return page(
        request,
        "judgements.html.j2",
        status=200 if error is None else 400,
        record=record,
        called=_called(settings, record),
        judgements=judgements,
        live=request.headers.get("hx-request") == "true",
        groups=_groups(judged, _results(settings, record, _stamp(settings, record))),
        reader=READER if judged["judged_by"] == READER else None,
        open_word=OPEN,
        error=error,
        consequences=consequences,
        items=items,
    )


@lru_cache(maxsize=32)
def _certainty(
    settings: Settings, record: str, judgements: str, stamp: Any
) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    from dataclasses import replace

    from equipoise.appraise.brief import register_cut, standing_alone
    from equipoise.render.page.html import to_sections

    made = document(settings, record, {}, judgements)
    section = replace(standing_alone(made.section("certainty")), open=True)
    part = register_cut(replace(made, sections=(section,), kind="brief"))
    return to_sections(part), tuple(items_of(part))


@lru_cache(maxsize=64)
def _results(settings: Settings, record: str, stamp: Any) -> Callable[[str], str]:
    """What a page calls a result of a record, by its id."""
    from equipoise.appraise.build import draft
    from equipoise.appraise.sections.certainty import result_name
    from equipoise.document.document import plain

    ctx = draft(published_as(settings, record))
    return lru_cache(maxsize=256)(lambda id: plain(result_name(ctx, id)))


def _groups(data: Mapping[str, Any], called: Callable[[str], str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Titled groups of what is judged: where it stands, its question, the answers it may have, what was answered."""
    from equipoise.appraise.certainty.judgements import CRITERIA, DOMAINS

    out: list[tuple[str, list[dict[str, Any]]]] = [
        ("Who judges", [_asked("/judged_by", "Judged by", (), data["judged_by"])])
    ]
    for i, bias in enumerate(data.get("risk_of_bias") or ()):
        rows = []
        for name, said in bias["domains"].items():
            at = f"risk_of_bias/{i}/domains/{name}"
            rows.append(_asked(f"{at}/judgement", DOMAINS.get(name, name), BIASES, said["judgement"]))
            rows.append(_asked(f"{at}/reason", "Why", (), said["reason"]))
        out.append((f"Risk of bias: {called(bias['result'])}", rows))
    for i, outcome in enumerate(data.get("outcomes") or ()):
        at = f"outcomes/{i}"
        rows = [
            _asked(
                f"{at}/importance", "How important?", ("critical", "important", "less important"), outcome["importance"]
            )
        ]
        for name in ("risk_of_bias", "inconsistency", "indirectness", "publication_bias", "imprecision"):
            if name in outcome:
                said = outcome[name]
                rows.append(
                    _asked(f"{at}/{name}/concern", name.replace("_", " ").capitalize(), CONCERNS, said["concern"])
                )
                rows.append(_asked(f"{at}/{name}/reason", "Why", (), said["reason"]))
        out.append((f"Certainty: {outcome['label']}", rows))
    decision = data.get("decision")
    if decision:
        rows = [_asked("decision/question", "The question", (), decision["question"])]
        for name, said in decision["criteria"].items():
            question, answers = CRITERIA.get(name, (name, ()))
            rows.append(_asked(f"decision/criteria/{name}/judgement", question, answers, said["judgement"]))
            rows.append(_asked(f"decision/criteria/{name}/reason", "Why", (), said["reason"]))
        out.append(("From evidence to decision", rows))
    return out


def _asked(at: str, question: str, answers: tuple[str, ...], said: Any) -> dict[str, Any]:
    return {"at": at, "question": question, "answers": answers, "said": "" if said is None else str(said)}
