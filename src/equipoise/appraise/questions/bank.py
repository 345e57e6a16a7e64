"""The bank: the YAML files beside this module as checked, immutable entries."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from equipoise.document.document import bare_number
from equipoise.document.readers import LEVELS, READERS, SPECIALTIES, STAGES
from equipoise.errors import RecordError
from equipoise.files import parse_yaml

Condition: TypeAlias = "str | tuple[Condition, ...] | Not | AnyOf"
_KEYS = {"id", "roles", "specialties", "stage", "level", "when", "ask", "answer", "also"}
_ID = re.compile(r"^[a-z][a-z0-9_]*$")


@dataclass(frozen=True, slots=True)
class Not:
    """A condition that must not hold."""

    of: Condition


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions of which one must hold; a plain tuple means all of them."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """One paragraph or list item: a template whose ``{names}`` and ``{phrases}`` the vocabulary fills."""

    template: str
    when: Condition = ()


@dataclass(frozen=True, slots=True)
class Items:
    """A list: templates, or the items that a phrase of the vocabulary gives (``from_``)."""

    items: tuple[Say, ...]
    from_: str | None = None
    when: Condition = ()
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A block that the vocabulary makes whole (facts, a table)."""

    name: str
    when: Condition = ()


Part: TypeAlias = Say | Items | Made


@dataclass(frozen=True, slots=True)
class BankQuestion:
    """One question of the bank.

    ``roles`` are who asks it, the first its home; ``specialties`` those for which it matters more; ``ask`` holds
    templates with conditions, of which the first that holds is asked; ``also`` follows the answer, be it the bank's or
    a record's own; ``position`` is its place in the bank.
    """

    id: str
    roles: tuple[str, ...]
    specialties: tuple[str, ...]
    stage: str
    level: str
    when: Condition
    ask: tuple[Say, ...]
    answer: tuple[Part, ...]
    also: tuple[Part, ...]
    position: int

    @property
    def home(self) -> str:
        """The role whose set the question belongs to."""
        return self.roles[0]

    def templates(self) -> Iterator[str]:
        """Every template of the question and its answer."""
        for part in (*self.ask, *self.answer, *self.also):
            if isinstance(part, Say):
                yield part.template
            elif isinstance(part, Items):
                yield from (item.template for item in part.items)


class BankError(ValueError):
    """A question of the bank is malformed: it names the question and what is wrong."""


@cache
def bank() -> tuple[BankQuestion, ...]:
    """Every question, in the order of the roles and of their files; read and checked once."""
    out: list[BankQuestion] = []
    folder = files("equipoise.appraise.questions").joinpath("bank")
    for role in READERS:
        file = folder.joinpath(f"{role}.yaml")
        for data in parse_yaml(file.read_bytes(), file.name, error=RecordError).values:
            out.append(read_entry(data, len(out)))
    ids = [entry.id for entry in out]
    for id in ids:
        if ids.count(id) > 1:
            raise BankError(f"{id}: asked twice")
    return tuple(out)


def read_entry(data: Any, position: int = 0) -> BankQuestion:
    """One entry from plain data; raises :class:`BankError` on anything that is not in the format of the bank."""
    id = str(data.get("id"))
    if unknown := set(data) - _KEYS:
        raise BankError(f"{id}: unknown keys {sorted(unknown)}")
    if not _ID.match(id):
        raise BankError(f"{id!r} cannot be an id")
    roles, specialties = tuple(data.get("roles", ())), tuple(data.get("specialties", ()))
    for what, given, known in (
        ("role", roles, READERS),
        ("specialty", specialties, SPECIALTIES),
        ("stage", (data.get("stage"),), STAGES),
        ("level", (data.get("level"),), LEVELS),
    ):
        for each in given:
            if each not in known:
                raise BankError(f"{id}: no {what} {each!r}")
    if not roles:
        raise BankError(f"{id}: nobody asks it")
    ask = data.get("ask")
    asked = tuple(_say(id, each, "ask") for each in (ask if isinstance(ask, list) else [ask]))
    answer = tuple(_part(id, part) for part in data.get("answer") or ())
    if not answer:
        raise BankError(f"{id}: no answer")
    also = tuple(_part(id, part) for part in data.get("also") or ())
    when = _condition(id, data.get("when", ()))
    stage, level = str(data["stage"]), str(data["level"])
    return BankQuestion(id, roles, specialties, stage, level, when, asked, answer, also, position)


def _part(id: str, data: Any) -> Part:
    if isinstance(data, str) or (isinstance(data, dict) and "say" in data):
        return _say(id, data, "say")
    if not isinstance(data, dict):
        raise BankError(f"{id}: {data!r} is no part of an answer")
    when = _condition(id, data.get("when", ()))
    if "block" in data:
        _only(id, data, {"block", "when"})
        _phrase(id, str(data["block"]))
        return Made(str(data["block"]), when)
    if "list" in data:
        _only(id, data, {"list", "when", "ordered"})
        ordered = bool(data.get("ordered", False))
        if isinstance(data["list"], str):
            _phrase(id, data["list"])
            return Items((), data["list"], when, ordered)
        return Items(tuple(_say(id, each, "say") for each in data["list"]), None, when, ordered)
    raise BankError(f"{id}: {sorted(data)} is no part of an answer")


def _say(id: str, data: Any, key: str) -> Say:
    when: Condition = ()
    if isinstance(data, str):
        template = data
    elif isinstance(data, dict) and isinstance(data.get(key), str):
        _only(id, data, {key, "when"})
        template = data[key]
        when = _condition(id, data.get("when", ()))
    else:
        raise BankError(f"{id}: {data!r} says nothing")
    template = " ".join(template.split())
    for literal, name, mode, _ in string.Formatter().parse(template):
        if found := bare_number(literal):
            raise BankError(f"{id}: {found!r} is a number in the bank's own words: {literal!r}")
        if name is not None:
            _phrase(id, name)
            if mode not in ("", "or"):
                raise BankError(f"{id}: {{{name}:{mode}}} is not understood; the only mode is 'or'")
    return Say(template, when)


def _only(id: str, data: dict[str, Any], keys: set[str]) -> None:
    if unknown := set(data) - keys:
        raise BankError(f"{id}: unknown keys {sorted(unknown)} in {data!r}")


def _phrase(id: str, name: str) -> None:
    from equipoise.appraise.questions.vocabulary import VOCABULARY

    if name not in VOCABULARY:
        raise BankError(f"{id}: the vocabulary has no {name!r}")


def _condition(id: str, data: Any) -> Condition:
    from equipoise.appraise.questions.conditions import CONDITIONS

    if isinstance(data, str):
        words = data.split()
        if words[0] == "not":
            return Not(_condition(id, " ".join(words[1:])))
        if words[0] == "says" and len(words) == 2:
            _phrase(id, words[1])
            return data
        if data not in CONDITIONS:
            raise BankError(f"{id}: no condition {data!r}")
        return data
    if isinstance(data, list | tuple):
        return tuple(_condition(id, each) for each in data)
    if isinstance(data, dict) and set(data) == {"any"}:
        return AnyOf(tuple(_condition(id, each) for each in data["any"]))
    if isinstance(data, dict) and set(data) == {"not"}:
        return Not(_condition(id, data["not"]))
    raise BankError(f"{id}: {data!r} is no condition")
