"""Numbered references: what a text rests on, numbered where it is first used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from equipoise.document.document import Citation, Cited, Computation, Computed, Document, Inlines, Source, Text, walk


class References:
    """Numbers the sources and commands of a document in the order in which they are asked for."""

    def __init__(self, document: Document) -> None:
        self._citations: dict[str, Citation] = {c.id: c for c in document.citations}
        self._sources: dict[str, Source] = {s.key: s for s in document.sources}
        self._computations: dict[str, Computation] = {c.id: c for c in document.computations}
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, run: Cited | Computed) -> int:
        """The number of what a figure rests on: its main source, or the command that gives it."""
        if isinstance(run, Computed):
            key = ("command", self._computations[run.computation].command)
        else:
            key = ("source", self._citations[run.refs[0]].source)
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def numbers(self, run: Cited) -> list[int]:
        """The numbers of all sources that a run cites, in order, each once."""
        return sorted({self.number(Cited(run.text, (ref,))) for ref in run.refs})

    def parted(self, runs: Inlines) -> Iterator[Inlines | Cited]:
        """Runs in order, with the keys of sources that follow a text as parts of their own, without their brackets."""
        return parted(runs, frozenset(self._sources))

    def listed(self) -> list[tuple[int, str, str | None]]:
        """(number, text, address) of every one that was asked for, in order."""
        commands = {c.command: c for c in self._computations.values()}
        out: list[tuple[int, str, str | None]] = []
        for (kind, key), n in self._numbers.items():
            if kind == "command":
                made = commands[key]
                what = f"{made.what[:1].upper()}{made.what[1:].rstrip('.')}. " if made.what else ""
                out.append((n, f"Computed. {what}{key}", None))
            else:
                source = self._sources[key]
                out.append((n, f"{source.title.rstrip('.')}.", source.address))
        return out


def sources_of(document: Document, *nodes: Any) -> list[str]:
    """What the numbers below some nodes rest on, one line each: source and places, or command."""
    citations = {c.id: c for c in document.citations}
    titles = {s.key: s.title.rstrip(".") for s in document.sources}
    commands = {c.id: c for c in document.computations}
    places: dict[str, dict[str, None]] = {}
    made: dict[str, None] = {}
    for node in walk(tuple(nodes)):
        if isinstance(node, Cited):
            for ref in node.refs:
                found = citations[ref]
                places.setdefault(found.source, {})[f"{found.place or 'as a whole'} ({found.confidence})"] = None
        elif isinstance(node, Computed):
            made[commands[node.computation].command] = None
    lines = [f"{titles[key]}: {'; '.join(where)}." for key, where in places.items()]
    return [*lines, *(f"Computed: {command}" for command in made)]


def without_keys(document: Document, node: Any) -> Any:
    """The same without the keys of sources in brackets that follow a text, for where its sources stand beside it."""
    keys = frozenset(source.key for source in document.sources)

    def walked(here: Any) -> Any:
        if isinstance(here, tuple):
            inner = tuple(map(walked, here))
            return tuple(run for part in parted(inner, keys) if isinstance(part, tuple) for run in part)
        if is_dataclass(here) and not isinstance(here, type):
            return replace(here, **{f.name: walked(getattr(here, f.name)) for f in fields(here)})
        return here

    return walked(node)


def parted(runs: Inlines, keys: frozenset[str]) -> Iterator[Inlines | Cited]:
    """Runs in order; where the keys of sources follow a text in brackets, the run of the keys comes by itself."""
    held: list[Any] = []
    i = 0
    while i < len(runs):
        before, key, after = (*runs[i : i + 3], None, None)[:3]
        named = isinstance(key, Cited) and all(part in keys for part in key.text.split(", "))
        opens = isinstance(before, Text) and before.text.endswith(" [")
        closes = isinstance(after, Text) and after.text.startswith("]")
        if not (named and opens and closes):
            held.append(before)
            i += 1
            continue
        assert isinstance(before, Text) and isinstance(key, Cited) and isinstance(after, Text)  # noqa: PT018
        if before.text[:-2]:
            held.append(Text(before.text[:-2]))
        yield tuple(held)
        yield key
        held = []
        # what follows the bracket may open the next one
        runs = (
            (*runs[: i + 2], Text(after.text[1:]), *runs[i + 3 :])
            if after.text[1:]
            else (*runs[: i + 2], *runs[i + 3 :])
        )
        i += 2
    yield tuple(held)
