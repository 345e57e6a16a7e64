"""Analyse your trial: a folder of ADaM files, its plan as a form, tables and figures; nothing leaves the machine."""

from __future__ import annotations

import contextlib
import io
import secrets
import shlex
import zipfile
from pathlib import Path, PurePath
from typing import Any

import yaml
from fastapi import APIRouter, Request
from fastapi.responses import Response

from equipoise.errors import DataError, ScenarioError
from equipoise.files import parse_yaml, write_bytes, write_text
from equipoise.files.reading import read_text
from equipoise.studio.guard import FRAMED
from equipoise.studio.settings import Settings, named
from equipoise.studio.web import Form, download, page, see, settings_of

router = APIRouter()

KINDS = (".xpt", ".sas7bdat", ".csv", ".parquet", ".json", ".ndjson", ".xml")
MAX_PLAN = 2_000_000
"""Bytes of a plan."""

FILES = {
    "tables.html": "text/html; charset=utf-8",
    "tables.txt": "text/plain; charset=utf-8",
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
    from equipoise.trial.adam import check, read_adam

    data = _folder(settings_of(request), folder)
    study = read_adam(data, needed=("ADSL",))
    own = data / "plan.yaml"
    text = read_text(own, max_bytes=MAX_PLAN) if own.is_file() else start_text(study)
    problems = [str(p) for p in (*study.problems, *check(study))]
    return _plan(request, folder, text, list(dict.fromkeys(problems)))


@router.post("/analyse/{folder}")
def carry_out(request: Request, folder: str, form: Form) -> Response:
    """Carry out the plan."""
    from equipoise.plan.analysis_plan import parse_plan
    from equipoise.plan.carry_out import analyse
    from equipoise.render.tables.tables import write_results
    from equipoise.trial.adam import read_adam

    settings = settings_of(request)
    data = _folder(settings, folder)
    text = str(form.get("plan", "")).replace("\r\n", "\n")
    try:
        kept = form.getlist("analysis")  # type: ignore[attr-defined]
        parse_plan(text, "plan")  # bounded, before anything is built of it
        if form.get("chosen"):
            text = _only(text, set(kept))
        parsed = parse_plan(text, "plan")
    except ScenarioError as error:
        return _plan(request, folder, text, [], error)
    key = named(f"{data}\n{text}")
    out = settings.folder("analyses") / key
    study = read_adam(data, needed=parsed.needs())
    given = shlex.join(["equipoise", "analyse", "plan.yaml", "--data", str(data)])
    results = analyse(study, parsed, command=given)
    write_results(results, out)
    write_text(out / "plan.yaml", text)
    write_text(out / "command.txt", given + "\n")
    return see(f"/analysis/{key}")


@router.get("/analysis/{key}")
def shown(request: Request, key: str) -> Response:
    """Tables and figures of an analysis that was carried out."""
    out = _analysis(settings_of(request), key)
    return page(
        request,
        "analysis.html.j2",
        key=key,
        command_line=(out / "command.txt").read_text(encoding="utf-8").strip(),
        files=sorted(p.name for p in out.iterdir() if p.suffix != ".txt" or p.name == "tables.txt"),
    )


@router.get("/analysis/{key}/tables")
def tables(request: Request, key: str) -> Response:
    """The tables as a page within the page; no script runs in it."""
    text = (_analysis(settings_of(request), key) / "tables.html").read_text(encoding="utf-8")
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": FRAMED})


@router.get("/analysis/{key}/file/{name}")
def file(request: Request, key: str, name: str) -> Response:
    """One file of an analysis, or all of them as a zip."""
    out = _analysis(settings_of(request), key)
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


def _folders(settings: Settings) -> list[tuple[str, str, int]]:
    """(name in addresses, path, files) of each folder that may be analysed: those given and those directly in them."""
    found = []
    for path in _allowed(settings):
        held = 0
        with contextlib.suppress(OSError):  # a folder that may not be read is not offered
            held = sum(1 for p in path.iterdir() if p.suffix.lower() in KINDS)
        if held:
            found.append((_name(settings, path), str(path), held))
    return found


def _allowed(settings: Settings) -> list[Path]:
    roots = [p.resolve() for p in settings.data if p.is_dir()]
    inside = [q for p in roots for q in sorted(p.iterdir()) if q.is_dir() and q.resolve().is_relative_to(p)]
    uploads = [p for p in sorted(settings.folder("uploads").iterdir()) if p.is_dir()]
    return [*roots, *inside, *uploads]


def _name(settings: Settings, path: Path) -> str:
    return path.name if path.parent == settings.folder("uploads") else named(str(path))


def _folder(settings: Settings, name: str) -> Path:
    for path in _allowed(settings):
        if _name(settings, path) == name:
            return path
    raise DataError("no such folder", hint="start the studio with --data FOLDER, or bring the files")


def _analysis(settings: Settings, key: str) -> Path:
    out = settings.folder("analyses") / key
    if not key.isalnum() or not (out / "tables.html").is_file():
        raise DataError("no such analysis", hint="carry out a plan first")
    return out


def _plan(
    request: Request, folder: str, text: str, problems: list[str], error: ScenarioError | None = None
) -> Response:
    try:
        data = parse_yaml(text, "plan", error=ScenarioError, hint="").values
        analyses = [a for a in data.get("analyses", ()) if isinstance(a, dict)]
    except (ScenarioError, AttributeError, TypeError):
        analyses = []
    rows = [
        {
            "id": str(a.get("id", "")),
            "title": str(a.get("title", a.get("id", ""))),
            "dataset": str(a.get("dataset", "")),
            "population": str(a.get("population", "")),
            "methods": ", ".join(str(s.get("method", "")) for s in a.get("sections", ()) if isinstance(s, dict)),
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
        problems=problems,
        error=error,
    )


def _only(text: str, kept: set[str]) -> str:
    """The plan with the analyses that were ticked; as it is where all were."""
    data: Any = yaml.safe_load(text)
    if not isinstance(data, dict) or not isinstance(data.get("analyses"), list):
        return text
    chosen = [a for a in data["analyses"] if not isinstance(a, dict) or str(a.get("id", "")) in kept]
    if len(chosen) == len(data["analyses"]):
        return text
    if not chosen:
        raise ScenarioError("no analysis is ticked", hint="tick at least one")
    out: str = yaml.safe_dump({**data, "analyses": chosen}, sort_keys=False, allow_unicode=True, width=110)
    return out
