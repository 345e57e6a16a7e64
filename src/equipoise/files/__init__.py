"""Files as strangers write them and as we write them: bounded reading with line and column, whole-or-nothing writing.

``tree``     one YAML document as nodes with their places, bounded before anything is built of it
``model``    the one base of our data models, and their complaints at the line and column of the document
``reading``  a file, a text or JSON of bounded size, from regular files and ``-`` alone
``writing``  a file or a folder that is there whole or not at all
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equipoise.files.reading import exists, parse_json, read_bytes, read_text
from equipoise.files.writing import check_writable, fill_folder, open_whole, write_bytes, write_text

if TYPE_CHECKING:
    from equipoise.files.model import Document, Frozen, PlaceError, parse_yaml, problems_of, read_yaml, validate
    from equipoise.files.tree import BrokenDocument, Node, Problem

__all__ = [
    "BrokenDocument",
    "Document",
    "Frozen",
    "Node",
    "PlaceError",
    "Problem",
    "check_writable",
    "exists",
    "fill_folder",
    "open_whole",
    "parse_json",
    "parse_yaml",
    "problems_of",
    "read_bytes",
    "read_text",
    "read_yaml",
    "validate",
    "write_bytes",
    "write_text",
]

_TREE = ("BrokenDocument", "Node", "Problem")


def __getattr__(name: str) -> Any:
    """Models and YAML are loaded when they are asked for: a picture is written without pydantic."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("equipoise.files.tree" if name in _TREE else "equipoise.files.model"), name)
