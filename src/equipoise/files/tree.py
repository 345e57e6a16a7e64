"""Reading YAML that a stranger wrote: bounded, without YAML 1.1's surprises, every node with its line and column.

PyYAML's parser supplies the events; the tree is built here, without recursion, so that size, depth and aliases are
bounded before anything is expanded. Scalars follow the YAML 1.2 core schema: ``no``, ``on`` and ``2021-07-16`` stay
text, ``1:30`` is not sexagesimal. Refused, with their place: duplicate keys, keys that are not text, tags, merge keys,
NaN and infinity, aliases to an enclosing node, more than one document. The words of a refusal are ours, whatever
version of the parser is installed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

MAX_BYTES = 4_000_000
MAX_NODES = 200_000
"""After expansion of aliases."""
MAX_DEPTH = 40
MAX_DIGITS = 40

_INT = re.compile(r"^[-+]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_INFINITE = re.compile(r"^[-+]?\.(inf|Inf|INF)$")
_NAN = re.compile(r"^\.(nan|NaN|NAN)$")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]
"""Keys and indices (from 0) that lead to a place in a document."""

# What YAML does not allow in a text (YAML 1.2.2, section 5.1)
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document: where (1-based line and column, path), what was found, what was expected.

    Where ``expected`` is empty, ``found`` is the whole sentence.
    """

    line: int
    path: str
    found: str
    expected: str
    hint: str | None = None
    column: int = 1

    @property
    def said(self) -> str:
        """What was found and what was expected, as one phrase."""
        return f"found {self.found}; expected {self.expected}" if self.expected else self.found

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        tail = f" ({self.hint})" if self.hint else ""
        return f"line {self.line}, column {self.column}: {where}{self.said}{tail}"


class BrokenDocument(Exception):
    """The text cannot be read as YAML at all; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class Node:
    """One node; ``pairs`` of a mapping keep the key nodes, ``size`` and ``height`` count expanded aliases."""

    kind: Literal["scalar", "list", "mapping"]
    line: int
    column: int
    text: str = ""
    plain: bool = False
    items: list[Node] = field(default_factory=list)
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    size: int = 1
    height: int = 1
    closed: bool = False

    def get(self, key: str | int) -> Node | None:
        """The child under a key or at an index, or None."""
        if self.kind == "mapping":
            return next((v for k, v in self.pairs if k.text == key), None)
        if self.kind == "list" and isinstance(key, int) and 0 <= key < len(self.items):
            return self.items[key]
        return None

    def key(self, key: str | int) -> Node | None:
        """The node of a key itself, or None."""
        return next((k for k, _ in self.pairs if k.text == key), None) if self.kind == "mapping" else None


def _stop(line: int, column: int, found: str, expected: str, hint: str | None = None) -> BrokenDocument:
    return BrokenDocument(Problem(line, "", found, expected, hint, column))


def read(raw: bytes, *, max_bytes: int = MAX_BYTES) -> Node:
    """Build the tree of one YAML document.

    Raises :class:`BrokenDocument` where the text is too large, not UTF-8, not YAML, too deep, or expands too far.
    """
    if len(raw) > max_bytes:
        raise _stop(1, 1, f"more than {max_bytes:,} bytes", f"at most {max_bytes:,} bytes", "is this the right file?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _stop(line, 1, f"byte 0x{raw[error.start]:02x}", "UTF-8 text", "save the file as UTF-8") from None
    if bad := _CONTROL.search(text):
        line, column = _position(text, bad.start())
        found = f"the control character U+{ord(bad.group()):04X}"
        raise _stop(line, column, found, "YAML", "remove it") from None
    try:
        return _build(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        raise _unreadable(text, mark.line if mark else 0, mark.column if mark else 0) from None


def _position(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of an index of a text."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _unreadable(text: str, line: int, column: int) -> BrokenDocument:
    """What the parser could not read at a line and column (from 0), in our own words."""
    lines = text.splitlines()
    if _flow_depth(text) > MAX_DEPTH:
        return _stop(line + 1, column + 1, "a structure that is nested too deeply", f"at most {MAX_DEPTH} levels")
    here = lines[line] if line < len(lines) else ""
    rest = here[column:].strip()
    if "\t" in here[: len(here) - len(here.lstrip())]:
        return _stop(line + 1, column + 1, "a tab as indentation", "YAML", "indent with spaces")
    if not rest:
        hint = "a quote or a bracket that was opened is not closed" if line + 1 >= len(lines) else None
        return _stop(line + 1, column + 1, "a line that ends too early", "YAML", hint)
    found = repr(rest if len(rest) <= 40 else rest[:37] + "...")
    return _stop(line + 1, column + 1, found, "YAML", "check indentation, colons, quotes and brackets")


def _flow_depth(text: str) -> int:
    """The deepest nesting of brackets in a text, those in quotes and comments counted too."""
    depth = deepest = 0
    for match in re.finditer(r"[\[\]{}]", text):
        depth = depth + 1 if match.group() in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _build(text: str) -> Node:
    loader = LOADER(text)
    stack: list[tuple[Node, Node | None]] = []  # open containers, each with its pending key
    anchors: dict[str, Node] = {}
    root: Node | None = None
    count = 0

    def attach(node: Node) -> None:
        nonlocal root
        if not stack:
            root = node
            return
        parent, key = stack[-1]
        if parent.kind == "list":
            parent.items.append(node)
        elif key is None:
            stack[-1] = (parent, node)
            return
        else:
            parent.pairs.append((key, node))
            stack[-1] = (parent, None)
        parent.size += node.size + 1
        parent.height = max(parent.height, node.height + 1)
        if parent.size > MAX_NODES:
            raise _stop(node.line, node.column, "too many nodes, aliases expanded", f"at most {MAX_NODES:,}")
        if len(stack) + node.height > MAX_DEPTH:
            raise _stop(node.line, node.column, "a structure that is nested too deeply", f"at most {MAX_DEPTH} levels")

    try:
        while loader.check_event():
            event = loader.get_event()
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise _stop(line, column, "a second document", "one document a file", "remove the line '---'")
            if isinstance(event, yaml.AliasEvent):
                target = anchors.get(str(event.anchor))
                if target is None:
                    raise _stop(line, column, f"*{event.anchor}", "an anchor defined before it")
                if not target.closed:
                    raise _stop(line, column, f"*{event.anchor} inside its own anchor", "an alias to a finished node")
                attach(target)
                continue
            if isinstance(event, yaml.NodeEvent):
                count += 1
                if count > MAX_NODES:
                    raise _stop(line, column, f"more than {MAX_NODES:,} nodes", "a smaller file")
                tag = getattr(event, "tag", None)
                if tag is not None and tag != "!":
                    raise _stop(line, column, f"the tag {tag}", "plain YAML without tags")
                if isinstance(event, yaml.ScalarEvent):
                    node = Node("scalar", line, column, event.value, bool(event.implicit[0]), closed=True)
                    if event.anchor:
                        anchors[event.anchor] = node
                    attach(node)
                    continue
                node = Node("list" if isinstance(event, yaml.SequenceStartEvent) else "mapping", line, column)
                if event.anchor:
                    anchors[event.anchor] = node
                if len(stack) >= MAX_DEPTH:
                    raise _stop(line, column, "a structure that is nested too deeply", f"at most {MAX_DEPTH} levels")
                stack.append((node, None))
            elif isinstance(event, yaml.CollectionEndEvent):
                node, _ = stack.pop()
                node.closed = True
                attach(node)
    finally:
        loader.dispose()
    if root is None:
        raise _stop(1, 1, "an empty file", "a YAML document")
    return root


def data(node: Node, *, infinite: bool = False) -> tuple[Any, list[Problem]]:
    """The document as Python data, and what is wrong with single nodes (duplicate keys, NaN, keys that are neither
    text nor numbers; a number is the key that it is written as).

    ``infinite``: whether ``.inf`` and ``-.inf`` are numbers here (bounds of an interval that is open).
    """
    problems: list[Problem] = []
    return _data(node, (), node, problems, infinite), problems


def _names(value: Any) -> bool:
    """Whether a plain scalar can be a key: text, or a number as it is written (``levels: {1: Mild}``)."""
    if isinstance(value, str):
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _data(node: Node, path: Path, root: Node, problems: list[Problem], infinite: bool) -> Any:
    if node.kind == "list":
        return [_data(child, (*path, i), root, problems, infinite) for i, child in enumerate(node.items)]
    if node.kind == "mapping":
        out: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, child in node.pairs:
            if key.kind != "scalar" or (key.plain and not _names(_scalar(key))):
                shown = key.text if key.kind == "scalar" else f"a {key.kind}"
                problems.append(
                    _at(key, path, root, f"the key {shown}", "a key that is text or a number", "put it in quotes")
                )
            elif key.text == "<<" and key.plain:
                problems.append(_at(key, path, root, "a merge key <<", "keys written out", "aliases of values work"))
            elif key.text in out:
                problems.append(
                    _at(key, path, root, f"the key {key.text!r} again", f"it once (first on line {first[key.text]})")
                )
            else:
                first[key.text] = key.line
                out[key.text] = _data(child, (*path, key.text), root, problems, infinite)
        return out
    value = _scalar(node) if node.plain else node.text
    if isinstance(value, float) and not math.isfinite(value):
        if infinite and _INFINITE.match(node.text):
            return value
        problems.append(
            _at(node, path, root, node.text, "a finite number", "leave the key out where nothing was published")
        )
        return 0.0
    return value


def _scalar(node: Node) -> Any:
    """A plain scalar by the YAML 1.2 core schema."""
    text = node.text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if len(text) <= MAX_DIGITS:
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text) and not re.match(r"^[-+]?0[0-9]", text):
            return float(text)
        if _INFINITE.match(text):
            return -math.inf if text[0] == "-" else math.inf
        if _NAN.match(text):
            return math.nan
    return text


def _at(node: Node, path: Path, root: Node, found: str, expected: str, hint: str | None = None) -> Problem:
    return Problem(node.line, show_path(root, path), found, expected, hint, node.column)


def locate(root: Node, path: Path) -> Node:
    """The deepest node that ``path`` leads to; for the last key of a mapping, the key itself."""
    node = root
    mark = root
    for part in path:
        child = node.get(part)
        if child is None:
            break
        mark = node.key(part) or child
        node = child
    return mark


def show_path(root: Node, path: Path) -> str:
    """The part of a path that exists, list items by id where they have one: ``results[alsfrs_f_w28].contrast.low``."""
    out = ""
    node = root
    for part in path:
        child = node.get(part)
        if child is None:
            break  # the rest is inside a number or a list written in short
        node = child
        if isinstance(part, int):
            name = node.get("id") if node.kind == "mapping" else None
            out += f"[{_visible(name.text) if name is not None and name.kind == 'scalar' else part + 1}]"
        else:
            out += f".{_visible(part)}" if out else _visible(part)
    return out


def _visible(text: str) -> str:
    """Text of a file as it may be printed to a terminal: nothing but printable characters, not too many."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def excerpt(value: Any) -> str:
    """A value as a short phrase for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
