"""What a method of a plan is to the rest of the program. A further method is one more module in this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.plan.parts import Section
    from equipoise.plan.prepared import Context
    from equipoise.plan.results import Block


@dataclass(frozen=True)
class Entry:
    """A method: its name in plans, the model of its section, what carries it out, and its name in a reporting event.

    noted : its description stands below the table. by_line : lines of its blocks are levels or terms, each a group of
    its own, rather than statistics.
    """

    name: str
    section: type[Section]
    run: Callable[[Context, Any], Block]
    title: str
    noted: bool = False
    by_line: bool = False
