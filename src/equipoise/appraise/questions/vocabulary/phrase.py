"""The register of phrases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from equipoise.appraise.context import Context
from equipoise.document.document import Block, Inlines

F = TypeVar("F", bound=Callable[[Context], Any])


@dataclass(frozen=True, slots=True)
class Phrase:
    """One entry of the vocabulary.

    ``kind``: a ``name`` stands inside a sentence and is never empty; a ``sentence`` stands by itself and is empty where
    the record has nothing to say; ``items`` are the items of a list; a ``block`` is one or more whole blocks.
    ``missing`` is what is said in place of an empty sentence or list where the answer asks for it; its template may
    hold names.
    """

    kind: Literal["name", "sentence", "items", "block"]
    make: Callable[[Context], Any]
    missing: str | None = None


VOCABULARY: dict[str, Phrase] = {}


def name(function: Callable[[Context], Inlines]) -> Callable[[Context], Inlines]:
    """Register a name under that of its function."""
    VOCABULARY[function.__name__] = Phrase("name", function)
    return function


def sentence(missing: str | None = None) -> Callable[[Callable[[Context], Inlines]], Callable[[Context], Inlines]]:
    """Register a sentence, and what to say where there is none."""

    def keep(function: Callable[[Context], Inlines]) -> Callable[[Context], Inlines]:
        VOCABULARY[function.__name__] = Phrase("sentence", function, missing)
        return function

    return keep


def items(
    missing: str | None = None,
) -> Callable[[Callable[[Context], list[Inlines]]], Callable[[Context], list[Inlines]]]:
    """Register a list, and what to say where it is empty."""

    def keep(function: Callable[[Context], list[Inlines]]) -> Callable[[Context], list[Inlines]]:
        VOCABULARY[function.__name__] = Phrase("items", function, missing)
        return function

    return keep


def block(function: Callable[[Context], list[Block]]) -> Callable[[Context], list[Block]]:
    """Register whole blocks."""
    VOCABULARY[function.__name__] = Phrase("block", function)
    return function
