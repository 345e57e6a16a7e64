"""Analyse your trial: a folder of ADaM files, its plan as a form, tables and figures; nothing leaves the machine."""

from __future__ import annotations

import contextlib
import io
import secrets
import shlex
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import yaml
from fastapi import APIRouter, Request
from fastapi.responses import Response

from equipoise import __version__
from equipoise.errors import DataError, ScenarioError
from equipoise.files import parse_yaml, write_bytes, write_text
from equipoise.files.reading import read_text
from equipoise.studio.fields import AT, groups_of_plan, put
from equipoise.studio.guard import FRAMED
from equipoise.studio.jobs import Jobs, Progress, Work
from equipoise.studio.settings import Settings, named
from equipoise.studio.web import Form, download, job_page, page, see, settings_of

if TYPE_CHECKING:
    from equipoise.document.document import Document
    from equipoise.trial.adam import AdamStudy

router = APIRouter()

KINDS = (".xpt", ".sas7bdat", ".csv", ".parquet", ".json", ".ndjson", ".xml")
MAX_PLAN = 2_000_000
"""Bytes of a plan."""

WAIT = 2.5
"""Seconds that tables are waited for before the page comes without them."""

_OUT, _REPORT = "tables", "report.json"

FILES = {
    "tables.html": "text/html; charset=utf-8",
    "tables.txt": "text/plain; charset=utf-8",
    "tables.pdf": "application/pdf",
    "tables.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "results.json": "application/json",
    "results.csv": "text/csv; charset=utf-8",
    "ars.json": "application/json",
}


@router.get("/analyse")
def choose(request: Request) -> Response:
    """The folders that may be analysed, and the form to bring files."""
    return page(request, "analyse.html.j2", folders=_folders(settings_of(request)), kinds=KINDS)


@router.post("/analyse")
def bring(request: Request, form: Form) -> Response:
    """Files of a browser into a folder of the workspace."""
    settings = settings_of(request)
    uploads = [u for u in form.getlist("files") if getattr(u, "filename", "")]  # type: ignore[attr-defined]
    if not uploads:
        raise DataError("no file was chosen", hint="choose ADSL and the data sets that the analyses need")
    names = [PurePath(upload.filename.replace("\\", "/")).name for upload in uploads]
    for k, name in enumerate(names):  # all of them, before any is kept
        if not name.lower().endswith(KINDS) or name.startswith(".") or not name.isprintable() or len(name) > 120:
            raise DataError(f"{name[:80]}: no data set", hint="files end in " + ", ".join(KINDS))
        if name in names[:k]:
            raise DataError(f"{name}: brought twice", hint="choose one of the two")
    folder = settings.folder("uploads") / f"u{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    for name, upload in zip(names, uploads, strict=True):
        write_bytes(folder / name, upload.file.read())
    return see(f"/analyse/{folder.name}")


@router.get("/analyse/{folder}")
def plan(request: Request, folder: str) -> Response:
    """A plan to start from, as a form, with what is wrong with the data."""
    from equipoise.plan.starter import start_text
    from equipoise.trial.adam import read_adam

    data = folder_of(settings_of(request), folder)
    study, own = read_adam(data, needed=("ADSL",)), data / "plan.yaml"
    text = read_text(own, max_bytes=MAX_PLAN) if own.is_file() else start_text(study)
    return _plan(request, folder, text, study=study)


@router.post("/analyse/{folder}")
def carry_out(request: Request, folder: str, form: Form) -> Response:
    """Carry out the plan as a job; or show it as a form again, or give it as a file."""
    from equipoise.plan.analysis_plan import parse_plan

    settings = settings_of(request)
    data = folder_of(settings, folder)
    text = str(form.get("plan", "")).replace("\r\n", "\n")
    if len(text.encode()) > MAX_PLAN:
        raise ScenarioError(f"a plan of more than {MAX_PLAN:,} bytes", hint="run it on the command line")
    try:
        parse_plan(text, "plan")  # bounded, before anything is built of it
        text = _filled(text, form)
        parse_plan(text, "plan")
    except ScenarioError as error:
        return _plan(request, folder, text, error)
    if form.get("show"):
        return _plan(request, folder, text)
    if form.get("keep"):
        return download(text, "plan.yaml", "application/yaml")
    asked = {"folder": folder, "data": str(data), "stamp": _stamp(data), "plan": text}
    jobs: Jobs = request.app.state.jobs
    key = jobs.ask("analysis", asked)
    jobs.wait(key, WAIT)
    return see(f"/analysis/{key}")


@router.get("/analysis/{key}")
def shown(request: Request, key: str, seen: str = "") -> Response:
    """How far an analysis is; its tables and figures when it is done.

    ``seen`` : the status that a page shows which asks again; while that is so, it is told the progress alone.
    """
    found = _analysis(request, key)
    if seen and seen == found["state"].status and found["state"].open:
        return page(request, "progress.html.j2", state=found["state"])
    return job_page(request, "analysis.html.j2", again=bool(seen), **found)


@router.post("/analysis/{key}")
def change(request: Request, key: str, form: Form) -> Response:
    """Stop an analysis, or go on with it."""
    _analysis(request, key)
    jobs: Jobs = request.app.state.jobs
    jobs.stop(key) if form.get("stop") else jobs.resume(key)
    if request.headers.get("hx-request") == "true":
        return page(request, "analysis.html.j2", **_analysis(request, key))
    return see(f"/analysis/{key}")


@router.get("/analysis/{key}/tables")
def tables(request: Request, key: str) -> Response:
    """The tables as a page within the page; no script runs in it."""
    text = (_made(request, key) / "tables.html").read_text(encoding="utf-8")
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": FRAMED})


@router.get("/analysis/{key}/file/{name}")
def file(request: Request, key: str, name: str) -> Response:
    """One file of an analysis, or all of them as a zip."""
    out = _made(request, key)
    if name == "all.zip":
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(out.iterdir()):
                archive.write(path, path.name)
        return download(held.getvalue(), "analysis.zip", "application/zip")
    names = {p.name for p in out.iterdir()}
    if name not in names:
        raise DataError(f"no file {name[:60]!r} in this analysis", hint="there are: " + ", ".join(sorted(names)))
    kind = FILES.get(name, "image/svg+xml" if name.endswith(".svg") else "application/octet-stream")
    return download((out / name).read_bytes(), name, kind)


def working(settings: Settings) -> Work:
    """What a job of this kind does: carry out a plan on a folder that may be read, section by section."""

    def work(request: Mapping[str, Any], replicates: int, folder: Path, progress: Progress) -> Mapping[str, Any]:
        return _work(settings, request, folder, progress)

    return work


def report_of(jobs: Jobs, key: str) -> Document:
    """Tables and figures of an analysis that was carried out, as a document.

    Raises
    ------
    ScenarioError, DataError : there is no such analysis, or it is not done.
    """
    from equipoise.render.page import from_json

    if jobs.request(key)["kind"] != "analysis" or not jobs.finished(key):
        raise DataError("no such analysis, or it is not done", hint="carry out its plan first")
    return from_json((jobs.folder / key / _REPORT).read_text(encoding="utf-8"))


def _work(settings: Settings, request: Mapping[str, Any], folder: Path, progress: Progress) -> dict[str, Any]:
    from equipoise.document.document import plain
    from equipoise.plan.analysis_plan import parse_plan
    from equipoise.plan.carry_out import analyse
    from equipoise.render.page import to_bytes
    from equipoise.render.page.pdf import browser
    from equipoise.render.tables.report import to_document
    from equipoise.render.tables.tables import write_results
    from equipoise.trial.adam import read_adam

    data = folder_of(settings, str(request["folder"]))
    if str(data) != request["data"] or _stamp(data) != request["stamp"]:
        raise DataError(f"{data}: the files have changed since this was asked", hint="carry out the plan again")
    progress("reading the data", 0, 1)
    parsed = parse_plan(str(request["plan"]), "plan")
    results = analyse(
        read_adam(data, needed=parsed.needs()), parsed, command=_command(request["data"]), progress=progress
    )
    progress("writing tables and figures", 99, 100)
    out = folder / _OUT
    write_results(results, out, word=find_spec("docx") is not None, pdf=browser() is not None)
    write_text(out / "plan.yaml", str(request["plan"]))
    made = to_document(results, __version__)
    write_bytes(folder / _REPORT, to_bytes(made, "json"))
    return {
        "replicates": 1,
        "failed": [f"{id}, section {n}: {block.notes[-1]}" for id, n, block in results.failed],
        "items": [[s.id, "table" if s.id.startswith("table-") else "figure", plain(s.title)] for s in made.sections],
    }


def _command(data: str) -> str:
    return shlex.join(["equipoise", "analyse", "plan.yaml", "--data", data])


def _stamp(data: Path) -> str:
    """A word for the files as they are: their names, sizes and times."""
    held = [p for p in sorted(data.iterdir()) if p.suffix.lower() in KINDS]
    return named("\n".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in held))


def _folders(settings: Settings) -> list[tuple[str, str, int]]:
    """(name in addresses, path, files) of each folder that may be analysed: those given and those directly in them."""
    found = []
    for path in allowed(settings):
        held = sum(1 for p in files_in(path) if p.suffix.lower() in KINDS)
        if held:
            found.append((_name(settings, path), str(path), held))
    return found


def allowed(settings: Settings) -> list[Path]:
    """The folders that may be read: those that were named, those directly in them, and those that were brought."""
    roots = [p.resolve() for p in settings.data if p.is_dir()]
    inside = [q for p in roots for q in files_in(p) if q.is_dir() and is_within(q, p)]
    uploads = [p for p in sorted(settings.folder("uploads").iterdir()) if p.is_dir()]
    return [*roots, *inside, *uploads]


def files_in(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing where it may not be read."""
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path is what it says: a link may lead elsewhere in its folder, and not out of it."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a link that leads to itself
        return False


def _name(settings: Settings, path: Path) -> str:
    return path.name if path.parent == settings.folder("uploads") else named(str(path))


def folder_of(settings: Settings, name: str) -> Path:
    """A folder that may be analysed, by its name in addresses.

    Raises
    ------
    DataError : none is called that.
    """
    for path in allowed(settings):
        if _name(settings, path) == name:
            for file in files_in(path):
                if not is_within(file, path):
                    raise DataError(f"{file.name} in {path} leads out of it", hint="put the file itself there")
            return path
    raise DataError("no such folder", hint="start the studio with --data FOLDER, or bring the files")


def _analysis(request: Request, key: str) -> dict[str, Any]:
    jobs: Jobs = request.app.state.jobs
    asked = jobs.request(key)
    if asked["kind"] != "analysis":
        raise DataError("no such analysis", hint="carry out a plan first")
    state = jobs.state(key)
    done = state.status == "done"
    return {
        "key": key,
        "state": state,
        "result": jobs.result(key) if done else None,
        "folder": asked["folder"],
        "command_line": _command(asked["data"]),
        "files": sorted(p.name for p in (jobs.folder / key / _OUT).iterdir()) if done else [],
    }


def _made(request: Request, key: str) -> Path:
    """The folder with the files of an analysis that is done."""
    if _analysis(request, key)["result"] is None:
        raise DataError("this analysis is not done", hint="wait for it, or go on with it")
    jobs: Jobs = request.app.state.jobs
    return jobs.folder / key / _OUT


def _plan(
    request: Request, folder: str, text: str, error: ScenarioError | None = None, study: AdamStudy | None = None
) -> Response:
    from equipoise.trial.adam import check, read_adam

    study = study or read_adam(folder_of(settings_of(request), folder), needed=("ADSL",))
    problems = list(dict.fromkeys(str(p) for p in (*study.problems, *check(study))))
    try:
        data = parse_yaml(text, "plan", error=ScenarioError, hint="").values
        analyses = [a for a in data.get("analyses", ()) if isinstance(a, dict)]
        groups = groups_of_plan(data)
    except (ScenarioError, AttributeError, TypeError):
        analyses, groups = [], []
    rows = [
        {
            "id": str(a.get("id", "")),
            "title": str(a.get("title", a.get("id", ""))),
            "dataset": str(a.get("dataset", "")),
            "population": str(a.get("population", "")),
            "methods": ", ".join(
                dict.fromkeys(str(s.get("method", "")) for s in a.get("sections") or () if isinstance(s, dict))
            ),
        }
        for a in analyses
    ]
    return page(
        request,
        "plan.html.j2",
        status=200 if error is None else 400,
        folder=folder,
        text=text,
        analyses=rows,
        groups=groups,
        problems=problems,
        error=error,
        shown=request.method == "POST",
    )


def _filled(text: str, form: Mapping[str, Any]) -> str:
    """The plan with what the fields say, without the analyses that are not ticked; as it is where nothing changed."""
    data: Any = yaml.safe_load(text)
    before = yaml.safe_dump(data)
    for name, value in form.items():
        if name.startswith(AT) and isinstance(value, str):
            put(data, name.removeprefix(AT).split("/"), value.replace("\r\n", "\n").strip())
    if form.get("chosen"):
        kept = set(form.getlist("analysis"))  # type: ignore[attr-defined]
        data["analyses"] = [a for a in data["analyses"] if str(a.get("id", "")) in kept]
        if not data["analyses"]:
            raise ScenarioError("no analysis is ticked", hint="tick at least one")
    if yaml.safe_dump(data) == before:
        return text
    out: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    return out
