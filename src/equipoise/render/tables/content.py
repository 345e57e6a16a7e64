"""What a table of an analysis plan says, line by line, whatever it is written in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from equipoise.plan.methods import REGISTRY
from equipoise.plan.results import Block, Row, Table


def lines_of(table: Table) -> Iterator[tuple[str, Row]]:
    """Each line with the heading of its block, consecutive blocks of one heading taken together."""
    for block in table.blocks:
        for row in block.rows or _why_not(block):
            yield block.label, row


def _why_not(block: Block) -> tuple[Row, ...]:
    """The line of a section without lines: not estimable, and why."""
    return tuple(Row(note, {}, indent=1) for note in block.notes[-1:]) if block.failure else ()


def notes_of(table: Table) -> list[str]:
    """What stands below a table: its footnotes, how its sections were made, and what is said of them."""
    notes = list(table.footnotes)
    for block in table.blocks:
        if block.failure:
            notes += block.notes[:-1]
            continue
        if REGISTRY[block.method].noted:
            notes.append(f"{block.label}: {block.description}." if block.description else "")
        notes += block.notes
    return [n for n in dict.fromkeys(notes) if n]


def pages_of(table: Table) -> Iterator[tuple[str, Table]]:
    """The parts of a table that begin a page, each with what it is about: a group of records, or nothing.

    The notes of the whole table stand below each.
    """
    starts = [k for k, block in enumerate(table.blocks) if block.page and k]
    if not starts:
        yield "", table
        return
    for first, last in zip([0, *starts], [*starts, len(table.blocks)], strict=True):
        blocks = table.blocks[first:last]
        group = blocks[0].group or ""
        bare = tuple(replace(b, label=b.label.removeprefix(group).removeprefix(": ")) for b in blocks)
        yield group, replace(table, blocks=bare)


def titles_of(table: Table) -> tuple[str, str]:
    """The title, and whom the table counts."""
    title = f"Table {table.id}. {table.title}" if table.title else f"Table {table.id}"
    return title, f"Population: {table.population_label}"


def shares_of_width(table: Table) -> list[float]:
    """The share of the width that the labels and each column take, by the longest text in them."""
    lines = list(lines_of(table))
    first = max([len(row.label) + 2 * row.indent for _, row in lines] + [len(b) for b, _ in lines] + [12])
    sizes = [float(min(first, 48))]
    for column in table.columns:
        cells = [len(row.cells[column.name].text) for _, row in lines if column.name in row.cells]
        sizes.append(float(max([*cells, min(len(column.label), 16), 8])))
    total = sum(sizes)
    return [size / total for size in sizes]
