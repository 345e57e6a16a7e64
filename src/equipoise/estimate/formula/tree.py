"""The syntax tree of a formula: what :mod:`equipoise.estimate.formula.parser` reads, and nothing else.

A tree is data. It is walked by code of this room and never handed to the interpreter. ``at`` is the place (from 0) in
the text of the formula, for messages.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from equipoise.errors import EstimationError

LONGEST = 10_000
"""Characters of a formula."""
DEEPEST = 40
"""Levels of parentheses, powers and signs within one another."""
_WINDOW = 60


class FormulaError(EstimationError):
    """A formula that cannot be read; ``reason`` alone, and ``at`` the place in ``formula`` (from 0)."""

    def __init__(self, reason: str, formula: str, at: int, *, hint: str | None = None) -> None:
        self.reason, self.formula, self.at = reason, formula, at
        super().__init__(f"cannot read the formula, character {at + 1}: {reason}\n{pointer(formula, at)}", hint=hint)


def pointer(formula: str, at: int) -> str:
    """Two lines: the formula around place ``at``, and a caret under it."""
    start = 0 if len(formula) <= 2 * _WINDOW else max(0, min(at - _WINDOW, len(formula) - 2 * _WINDOW))
    shown = [plain(c) for c in formula[start : start + 2 * _WINDOW]]
    before = "… " if start else ""
    after = " …" if start + 2 * _WINDOW < len(formula) else ""
    wide = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown[: at - start])
    return f"    {before}{''.join(shown)}{after}\n    {' ' * (len(before) + wide)}^"


def plain(character: str) -> str:
    """A character that may be printed on a terminal: white space as a blank, others that do not show as ``?``."""
    if character.isspace():
        return " "
    return character if character.isprintable() and not unicodedata.combining(character) else "?"


@dataclass(frozen=True)
class Name:
    """A column (or a word that means something in an argument, such as ``TRUE`` or ``contr.sum``)."""

    text: str
    at: int
    quoted: bool = False


@dataclass(frozen=True)
class Number:
    """A number, and how it was written."""

    value: float
    text: str
    at: int


@dataclass(frozen=True)
class Text:
    """Text in quotes: a level."""

    value: str
    at: int


@dataclass(frozen=True)
class Call:
    """``function(argument, key = argument)``; the key is None for an argument without one."""

    function: str
    arguments: tuple[tuple[str | None, Node], ...]
    at: int


@dataclass(frozen=True)
class Signed:
    """``-x`` or ``+x``."""

    sign: str
    operand: Node
    at: int


@dataclass(frozen=True)
class Chain:
    """Operators of one rank, carried out from the left: ``parts[0] ops[0] parts[1] ops[1] ...``."""

    parts: tuple[Node, ...]
    ops: tuple[str, ...]
    at: int


@dataclass(frozen=True)
class Power:
    """``base ^ exponent``; ``op`` is ``^`` or ``**``."""

    base: Node
    exponent: Node
    op: str
    at: int


@dataclass(frozen=True)
class Group:
    """What stands in parentheses."""

    inside: Node
    at: int


Node = Name | Number | Text | Call | Signed | Chain | Power | Group


def bare(node: Node) -> Node:
    """``node`` without the parentheses around it."""
    while isinstance(node, Group):
        node = node.inside
    return node


def is_plain(name: str) -> bool:
    """Whether a column called ``name`` needs no backticks."""
    rest = name.replace(".", "").replace("_", "")
    return (
        bool(name)
        and not name[0].isdigit()
        and not (name[0] == "." and name[1:2].isdigit())
        and (not rest or rest.isalnum())
        and unicodedata.normalize("NFKC", name) == name
        and name not in RESERVED
        and name != "."
    )


RESERVED = frozenset({"TRUE", "FALSE", "True", "False", "NULL", "NA", "Inf", "NaN"})
"""Words that name no column unless they stand in backticks."""


def quoted(name: str) -> str:
    """``name`` as it is written in a formula: in backticks where it needs them.

    >>> quoted("AVAL"), quoted("TRT 01")
    ('AVAL', '`TRT 01`')

    Raises
    ------
    EstimationError : the name holds a backtick or a character that does not print, so no formula can name it.
    """
    if is_plain(name):
        return name
    if not name or "`" in name or not name.isprintable():
        raise EstimationError(f"a formula cannot name the column {name!r}", hint="rename it")
    return f"`{name}`"


def written(node: Node) -> str:
    """The tree as text, spaced in one way: ``log(A+1)`` becomes ``log(A + 1)``."""
    if isinstance(node, Name):
        return f"`{node.text}`" if node.quoted and not is_plain(node.text) else node.text
    if isinstance(node, Number):
        return node.text
    if isinstance(node, Text):
        return f"'{node.value}'" if "'" not in node.value else f'"{node.value}"'
    if isinstance(node, Group):
        return f"({written(node.inside)})"
    if isinstance(node, Signed):
        return f"{node.sign}{written(node.operand)}"
    if isinstance(node, Power):
        between = " ** " if node.op == "**" else "^"
        return f"{written(node.base)}{between}{written(node.exponent)}"
    if isinstance(node, Call):
        inside = [f"{key}={written(value)}" if key else written(value) for key, value in node.arguments]
        return f"{node.function}({', '.join(inside)})"
    out = written(node.parts[0])
    for op, part in zip(node.ops, node.parts[1:], strict=True):
        out += f":{written(part)}" if op == ":" else f" {op} {written(part)}"
    return out


def names_in(node: Node) -> Iterator[Name]:
    """The names of a tree, from the left; not those of functions."""
    if isinstance(node, Name):
        yield node
    elif isinstance(node, Group):
        yield from names_in(node.inside)
    elif isinstance(node, Signed):
        yield from names_in(node.operand)
    elif isinstance(node, Power):
        yield from names_in(node.base)
        yield from names_in(node.exponent)
    elif isinstance(node, Chain):
        for part in node.parts:
            yield from names_in(part)
    elif isinstance(node, Call):
        for key, value in node.arguments:
            if key in (None, "x"):
                yield from names_in(value)
