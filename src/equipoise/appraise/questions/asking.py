"""Asking: which questions apply to a record and a reader, in which order, and their answers as blocks of the page."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.questions.bank import AnyOf, BankQuestion, Condition, Items, Made, Not, Part, bank
from equipoise.appraise.questions.conditions import CONDITIONS
from equipoise.appraise.questions.vocabulary import VOCABULARY
from equipoise.document.document import (
    Block,
    Document,
    Inline,
    Inlines,
    Link,
    Listing,
    Paragraph,
    Question,
    Section,
    Text,
    walk,
)
from equipoise.document.readers import LEVELS, STAGES, Reader
from equipoise.records.schema import Record
from equipoise.replica.replica import Replica

_STAGE = {stage: i for i, stage in enumerate(STAGES)}
_LEVEL = {level: i for i, level in enumerate(LEVELS)}


@dataclass
class Answerer:
    """Answers questions about one record; conditions and phrases are worked out once."""

    ctx: Context
    _held: dict[str, bool] = field(default_factory=dict)
    _said: dict[str, Any] = field(default_factory=dict)
    drawn: bool = False
    """Whether anything since it was last set to False came from the record, or was missing from it."""

    # -- conditions -------------------------------------------------------------------------------------------------

    def applies(self, condition: Condition) -> bool:
        """Whether a condition holds for the record."""
        if isinstance(condition, Not):
            return not self.applies(condition.of)
        if isinstance(condition, AnyOf):
            return any(self.applies(c) for c in condition.of)
        if isinstance(condition, tuple):
            return all(self.applies(c) for c in condition)
        if condition.startswith("says "):
            return bool(self.phrase(condition.removeprefix("says ")))
        if condition not in self._held:
            self._held[condition] = CONDITIONS[condition](self.ctx)
        return self._held[condition]

    # -- phrases ----------------------------------------------------------------------------------------------------

    def phrase(self, name: str) -> Any:
        """What a phrase of the vocabulary gives for the record."""
        if name not in self._said:
            self._said[name] = VOCABULARY[name].make(self.ctx)
        return self._said[name]

    def fill(self, template: str) -> Inlines:
        """A template with its names and phrases filled in.

        A template all of whose sentences are empty, and that names nothing, is empty as a whole: its own words only
        lead to them.
        """
        writer = self.ctx.writer
        done: list[Inlines] = []
        run: tuple[Inline, ...] = ()
        sentences = told = named = 0
        for literal, key, mode, _ in string.Formatter().parse(template):
            run = (*run, *(writer.words(literal) if literal else ()))
            if key is None:
                continue
            phrase = VOCABULARY[key]
            if phrase.kind == "name":
                run = (*run, *self.phrase(key))
                named += 1
                continue
            sentences += 1
            said: Inlines = self.phrase(key)
            if not said and mode == "or":
                said = self.missing(key)
            done.append(_strip(run))
            run = ()
            if said:
                told += 1
                self.drawn = True
                done.append(said)
        if sentences and not told and not named:
            return ()
        self.drawn = self.drawn or bool(named or told)
        done.append(_strip(run))
        return paragraphs(*done)

    def missing(self, name: str) -> Inlines:
        """What is said where a phrase has nothing to say."""
        text = VOCABULARY[name].missing
        return self.fill(text) if text else ()

    def items(self, part: Items) -> list[Inlines]:
        """The items of a list that hold and are not empty."""
        if part.from_ is not None:
            found: list[Inlines] = list(self.phrase(part.from_))
            if not found and (said := self.missing(part.from_)):
                found = [said]
            self.drawn = self.drawn or bool(found)
            return found
        told = (self.fill(item.template) for item in part.items if self.applies(item.when))
        return [t for t in told if t]

    def part(self, part: Part) -> Iterator[Block]:
        """One part of an answer as blocks; nothing where its condition fails or it has nothing to say."""
        if not self.applies(part.when):
            return
        if isinstance(part, Made):
            blocks = self.phrase(part.name)
            self.drawn = self.drawn or bool(blocks)
            yield from blocks
        elif isinstance(part, Items):
            found = self.items(part)
            if len(found) == 1 and not part.ordered:
                yield Paragraph(found[0])
            elif found:
                yield Listing(tuple(found), part.ordered)
        elif said := self.fill(part.template):
            yield Paragraph(said)

    def own(self, id: str) -> tuple[Block, ...]:
        """The record's own answer to a question, a paragraph for each statement; it stands in place of the bank's."""
        said = (self.ctx.writer.statement(s) for s in self.ctx.record.statements if s.question == id)
        return tuple(Paragraph(s) for s in said if s)

    def answer(self, entry: BankQuestion) -> Question | None:
        """A question with its answer; None where it does not apply or its answer draws nothing from the record."""
        if not self.applies(entry.when):
            return None
        asked = next((say for say in entry.ask if self.applies(say.when)), None)
        if asked is None:
            return None
        question = self.fill(asked.template)
        own = self.own(entry.id)
        self.drawn = bool(own)
        parts = entry.also if own else (*entry.answer, *entry.also)
        blocks = (*own, *(b for part in parts for b in self.part(part)))
        if not blocks or not self.drawn:
            return None
        return Question(
            f"q-{entry.id}", question, blocks, entry.roles, entry.specialties, entry.stage, entry.level, entry.position
        )


def _strip(run: Inlines) -> Inlines:
    """Runs without blanks at either end."""
    out = list(run)
    if out and isinstance(out[0], Text):
        out[0] = Text(out[0].text.lstrip())
    if out and isinstance(out[-1], Text):
        out[-1] = Text(out[-1].text.rstrip())
    return tuple(r for r in out if not (isinstance(r, Text) and not r.text))


def rank(entry: BankQuestion, reader: Reader) -> tuple[int, int, int, int]:
    """The place of a question for a reader: the specialty's own first, then by stage, by level, as in the bank.

    Of those that are marked for specialties, the ones marked for others only come after the unmarked.
    """
    fit = 0
    if reader.specialty is not None and entry.specialties:
        fit = -1 if reader.specialty in entry.specialties else 1
    return fit, _STAGE[entry.stage], _LEVEL[entry.level], entry.position


def applicable(ctx: Context, reader: Reader | None = None) -> Iterator[tuple[BankQuestion, Question]]:
    """The questions that apply to the record and that the reader chose, answered, in the reader's order."""
    reader = reader or Reader()
    answerer = Answerer(ctx)
    chosen = [
        e
        for e in bank()
        if (reader.role is None or reader.role in e.roles)
        and (reader.stage is None or e.stage == reader.stage)
        and (reader.level is None or e.level == reader.level)
    ]
    for entry in sorted(chosen, key=lambda e: rank(e, reader)):
        if (question := answerer.answer(entry)) is not None:
            yield entry, question


def by_reader(ctx: Context, reader: Reader | None = None) -> dict[str, list[Question]]:
    """The questions by the role in whose part they stand: the role asked for, else each question's home."""
    out: dict[str, list[Question]] = {}
    for entry, question in applicable(ctx, reader):
        role = reader.role if reader is not None and reader.role is not None else entry.home
        out.setdefault(role, []).append(question)
    return out


def question_set(record: Record, replica: Replica | None = None, reader: Reader | None = None) -> Document:
    """The questions of a record for a reader as a document of their own, every number still with its source.

    Raises :class:`RecordError` as :func:`equipoise.appraise.appraise` does.
    """
    from equipoise.appraise.build import draft

    ctx = draft(record, replica, reader)
    from equipoise.appraise.build import finish
    from equipoise.appraise.sections import questions

    section = questions.build(ctx)
    inside = {node.id for node in walk(section) if getattr(node, "id", None)} if section is not None else set()
    kept: tuple[Section, ...] = () if section is None else (_unlinked(section, inside),)
    return finish(ctx, kept)


def _unlinked(node: Any, inside: Iterable[str]) -> Any:
    """The same with links to parts that are not there as plain words."""
    if isinstance(node, tuple):
        out: list[Any] = []
        for child in node:
            if isinstance(child, Link) and child.target.startswith("#") and child.target[1:] not in inside:
                out.extend(child.content)
            else:
                out.append(_unlinked(child, inside))
        return tuple(out)
    if is_dataclass(node) and not isinstance(node, type):
        changes = {f.name: _unlinked(getattr(node, f.name), inside) for f in fields(node)}
        return replace(node, **changes)
    return node
