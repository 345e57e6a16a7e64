"""The test of another analysis of the plan, by its place in the tables: ``{of: "2", visit: Week 28}``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.files import Frozen
from equipoise.plan.prepared import AGAINST, TEST, TOTAL, Context, others
from equipoise.plan.results import Block, Cell, Table

HAZARDS = ("survival", "deterioration", "competing_risks")
"""Methods whose statistics are of hazards, where less is better."""
_NO_DIRECTION = ("rpsft", "subgroups")
_LEAST = 1e-300  # a smaller p-value would have no finite Z


class Picked(Frozen):
    """A test of another analysis: ``of`` its id, ``section`` counted from 1, ``visit``, ``line`` and ``arm``.

    Where no ``line`` is given (the beginning of its label), the first line that compares arms is meant. ``visit`` is
    needed where there are several, ``arm`` where several are compared with control. ``higher_better``: high values, or
    late events, are good.
    """

    of: str
    section: int = Field(default=1, ge=1)
    visit: str | None = None
    line: str | None = None
    arm: str | None = None
    higher_better: bool = True


@dataclass(frozen=True)
class Found:
    """A test that was picked.

    p : its p-value, None where not estimable; sided : 1 or 2. z : the statistic with that p-value, positive in favour
    of ``arm``; NaN without a direction. se : standard error (of the logarithm for a ratio). ratio : whether the effect
    is one, without effect 1. events : of ``arm`` and control. people : of control and ``arm``.
    """

    arm: str
    p: float | None
    sided: int
    z: float
    se: float | None
    ratio: bool
    hazards: bool
    events: float | None
    people: tuple[int, int]
    method: str


def _lines(block: Block) -> Iterator[tuple[str, str, str, Cell]]:
    """Visit, label, column and cell of everything that compares arms."""
    heading = ""
    for row in block.rows:
        if not row.cells:
            heading = row.label
        for column, cell in row.cells.items():
            compares = row.contrast is not None or column == TEST or column.startswith(AGAINST)
            if compares and "p" in cell.values:
                yield heading if row.indent else "", row.label, column, cell


def _one(what: str, name: str, kinds: list[str], given: str | None) -> str:
    """The one meant of ``kinds``; raises :class:`DataError` where it is not there, or is not the only one."""
    kinds = list(dict.fromkeys(kinds))
    if given is not None and given not in kinds:
        raise DataError(f"{what}: there is no {name} {given!r}", hint=f"there are {', '.join(kinds) or 'none'}")
    if given is None and len(kinds) > 1:
        raise DataError(f"{what}: which {name}?", hint=f"give {name}: one of {', '.join(kinds)}")
    return given if given is not None else kinds[0]


def pick(context: Context, named: Picked) -> Found:
    """The test that is meant.

    Raises
    ------
    DataError : there is no such test, or several. EstimationError : the analysis itself has no result.
    """
    table: Table = context.done[named.of]
    block = table.blocks[named.section - 1]
    what = f"analysis {context.analysis.id}: {place(named)}"
    if not block.rows:
        raise EstimationError(f"{place(named)} has no result ({' '.join(block.notes) or 'no lines'})")
    lines = list(_lines(block))
    if named.line is not None:
        known = ", ".join(repr(label) for label in dict.fromkeys(label for _, label, _, _ in lines))
        lines = [found for found in lines if found[1].startswith(named.line)]
        if not lines:
            raise DataError(f"{what}: no line {named.line!r} with a p-value", hint=f"there are {known or 'none'}")
    if not lines:
        raise DataError(f"{what}: {block.method} has no p-value of a comparison here", hint="see line: and section:")
    visits, only = [found[0] for found in lines], _only_visit(context, named)
    asked = None if not any(visits) and named.visit == only else named.visit
    visit = _one(what, "visit", visits, asked) if any(visits) or asked else ""
    lines = [found for found in lines if found[0] == visit]
    lines = [found for found in lines if found[1] == lines[0][1]]
    active, columns = others(context), {found[2]: found[3] for found in lines}
    arms = {c.removeprefix(AGAINST): cell for c, cell in columns.items() if c not in (TEST, TOTAL)}
    if arms:
        arm = _one(what, "arm", list(arms), named.arm)
        cell = arms[arm]
    elif len(active) == 1:
        arm, cell = active[0], columns[TEST]
    else:
        raise DataError(f"{what}: its test compares more than two arms", hint="choose another line:, of one arm")
    return _read(context, table, block, named, arm, cell)


def _only_visit(context: Context, named: Picked) -> str | None:
    """The visit of a section that shows one alone, which then has no heading."""
    section = next(a for a in context.plan.analyses if a.id == named.of).sections[named.section - 1]
    visits: list[str] = list(getattr(section, "visits", None) or ())
    return visits[0] if len(visits) == 1 else None


def place(named: Picked) -> str:
    """Where it is, in words."""
    section = f", section {named.section}" if named.section > 1 else ""
    return f"analysis {named.of}{section}" + (f", {named.visit}" if named.visit else "")


def _read(context: Context, table: Table, block: Block, named: Picked, arm: str, cell: Cell) -> Found:
    values, control = cell.values, context.plan.treatment.reference
    p, sided, null = values.get("p"), int(values.get("sided") or 2), values.get("null")
    estimate, z = values.get("estimate"), math.nan
    hazards = block.method in HAZARDS
    if p is not None and sided == 1:
        z = -float(special.ndtri(max(p, _LEAST)))
    elif p is not None and block.method not in _NO_DIRECTION:
        size = -float(special.ndtri(0.5 * max(p, _LEAST)))
        sign = values.get("z")
        if sign is None and estimate is not None and null is not None:
            sign = estimate - null
        if sign is not None:
            turned = hazards != (not named.higher_better)
            z = math.copysign(size, -sign if turned else sign)
    people = {c.name: c.n or 0 for c in table.columns}
    events = block.details.get("events_by")
    return Found(
        arm, p, sided, z, values.get("se"), hazards or null == 1.0, hazards,
        float(events[control] + events[arm]) if events else None, (people.get(control, 0), people.get(arm, 0)),
        block.method,
    )  # fmt: skip
