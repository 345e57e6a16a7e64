"""The files that views load: style sheets and scripts, all from this machine."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files

from equipoise.errors import OutputError, install
from equipoise.render.page.html import page_assets

_HTMX = ("htmx-2.min.js", "htmx.min.js")


def assets() -> dict[str, tuple[str, str]]:
    """Name -> (content, media type).

    Raises
    ------
    OutputError : HTMX is not installed.
    """
    own = files("equipoise.studio").joinpath("static")
    out = {name: own.joinpath(name).read_text(encoding="utf-8") for name in ("studio.css", "studio.js")}
    out |= page_assets() | {"htmx.js": _htmx()}
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
    return {name: (text, kinds[name.rpartition(".")[2]]) for name, text in out.items()}


def _htmx() -> str:
    """HTMX as the package django-htmx carries it: a file, read without Django."""
    try:
        carried = distribution("django-htmx").files or []
    except PackageNotFoundError:
        carried = []
    for wanted in _HTMX:
        for file in carried:
            if file.name == wanted:
                return file.read_text(encoding="utf-8")
    raise OutputError("HTMX is not installed", hint=install("studio"))
