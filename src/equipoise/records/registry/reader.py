"""Reading a registry entry while keeping count: what was taken, and by that what was not.

Every part of the entry is read through a :class:`Node`. What no one asks for stays untaken, and the report lists it:
nothing is lost without being named, whether this importer knows it or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]

LONGEST = 20_000
"""Characters of one text that are kept; what is longer is cut, and the cut is reported."""

LARGEST = 1e15
"""What is larger is no number that a trial posts: it is refused, and reported."""

_ESCAPED = re.compile(r"\\([-!#()*+.<>\[\]_`{|}~])")
"""The registry's texts are Markdown: ``\\>=`` stands for ``>=``."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u2028\u2029]")


@dataclass
class Ledger:
    """What was taken from an entry, what had to be changed to keep it, and what had to be assumed."""

    taken: set[Path] = field(default_factory=set)
    changed: list[tuple[Path, str]] = field(default_factory=list)
    assumed: list[tuple[Path, str]] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)
    """Parts that were looked at and could not be used, with the reason."""

    def assume(self, path: Path, what: str) -> None:
        """Write down something that the entry does not say and the record needs."""
        self.assumed.append((path, what))


@dataclass(frozen=True)
class Node:
    """One node of the entry. Missing parts are nodes too, with the value None, so that reading needs no tests."""

    value: Any
    path: Path
    ledger: Ledger

    def __getitem__(self, key: str) -> Node:
        child = self.value.get(key) if isinstance(self.value, dict) else None
        return Node(child, (*self.path, key), self.ledger)

    def __bool__(self) -> bool:
        return self.value is not None and self.value != {} and self.value != []

    def items(self, key: str) -> list[Node]:
        """The members of a list; empty where there is none or it is no list."""
        child = self[key]
        if not isinstance(child.value, list):
            return []
        return [Node(v, (*child.path, i), self.ledger) for i, v in enumerate(child.value)]

    def text(self, key: str | None = None) -> str | None:
        """The text here (or under ``key``), cleaned of control characters and cut to :data:`LONGEST`; taken by that."""
        node = self if key is None else self[key]
        if isinstance(node.value, bool) or not isinstance(node.value, str | int | float):
            return None
        self.ledger.taken.add(node.path)
        raw = str(node.value)
        clean = _ESCAPED.sub(r"\1", _CONTROL.sub("\ufffd", raw))
        if _CONTROL.search(raw):
            self.ledger.changed.append((node.path, "characters that no text should hold were replaced"))
        clean = clean.strip()
        if len(clean) > LONGEST:
            self.ledger.changed.append((node.path, f"cut to {LONGEST:,} of {len(clean):,} characters"))
            clean = clean[:LONGEST] + " [cut]"
        return clean or None

    def flag(self, key: str) -> bool | None:
        """A truth value; taken by that."""
        child = self[key]
        if not isinstance(child.value, bool):
            return None
        self.ledger.taken.add(child.path)
        return child.value

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        return [t for node in self.items(key) if (t := node.text())]

    def number(self, key: str) -> tuple[int | float, int] | None:
        """A number and the decimals printed; None where there is none (then ``refused`` tells why)."""
        raw = self.text(key)
        if raw is None:
            return None
        found = parse_number(raw)
        if found is None:
            self.ledger.refused[(*self.path, key)] = f"not a number: {raw[:40]!r}"
        return found

    def count(self, key: str) -> int | None:
        """A whole number that is not negative."""
        found = self.number(key)
        if found is None:
            return None
        if (isinstance(found[0], float) and not found[0].is_integer()) or found[0] < 0:
            self.ledger.refused[(*self.path, key)] = f"not a count: {found[0]}"
            return None
        return int(found[0])

    def drop(self, why: str) -> None:
        """Say why a part that was looked at cannot be used."""
        self.ledger.refused[self.path] = why


_NUMBER = re.compile(r"^[-+−–]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][-+]?\d{1,3})?$")


def parse_number(raw: str) -> tuple[int | float, int] | None:
    """A posted number and its printed decimals: ``"1,234"``, ``"-8.10"``, ``".05"``; None for ``"NA"`` and the like."""
    text = raw.strip().rstrip("%").strip().replace("−", "-").replace("–", "-")
    if not text or len(text) > 40 or not _NUMBER.match(text) or not re.search(r"\d", text):
        return None
    text = text.replace(",", "")
    try:
        value = float(text)
    except ValueError:
        return None
    if not abs(value) <= LARGEST:
        return None
    mantissa = re.split("[eE]", text)[0]
    digits = min(len(mantissa.partition(".")[2]), 12)
    if "." not in text and "e" not in text.lower():
        return int(text), 0
    return value, digits


def values(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every sourced value of a JSON document with its path; empty containers and nulls are not values."""
    stack: list[tuple[Path, Any]] = [(path, value)]
    while stack:
        at, node = stack.pop()
        if isinstance(node, dict):
            stack.extend(((*at, str(k)), v) for k, v in reversed(list(node.items())))
        elif isinstance(node, list):
            stack.extend(((*at, i), v) for i, v in reversed(list(enumerate(node))))
        elif node is not None:
            yield at, node


def pattern(path: Path) -> str:
    """A path with the numbers of list members left out: ``a.b[].c``."""
    out = ""
    for part in path:
        out += "[]" if isinstance(part, int) else (f".{part}" if out else part)
    return out


def exact(path: Path) -> str:
    """A path with the numbers of list members, counted from 0 as JSON does: ``a.b[3].c``."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else (f".{part}" if out else part)
    return out
