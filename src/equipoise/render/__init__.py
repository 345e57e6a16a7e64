"""Something to look at: ``plots/``, ``tables/`` (results of plans), ``page/`` (documents, loaded when asked for).

``equipoise.render(document, "html")`` writes a document.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equipoise.verb import make_verb

if TYPE_CHECKING:
    from equipoise.render.page import FORMATS as FORMATS
    from equipoise.render.page import from_json as from_json
    from equipoise.render.page import render as render
    from equipoise.render.page import to_anki as to_anki
    from equipoise.render.page import to_bytes as to_bytes
    from equipoise.render.page import to_data as to_data
    from equipoise.render.page import to_html as to_html
    from equipoise.render.page import to_json as to_json
    from equipoise.render.page import to_markdown as to_markdown

__all__ = ["FORMATS", "from_json", "render", "to_anki", "to_bytes", "to_data", "to_html", "to_json", "to_markdown"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("equipoise.render.page"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


make_verb(__name__)
