"""The files of an analysis plan: its tables as text, HTML, RTF and Word, its figures, its results as JSON."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from equipoise.errors import OutputError
from equipoise.files import fill_folder, write_text
from equipoise.plan.results import Column, Results, Table
from equipoise.render.page.pdf import to_pdf
from equipoise.render.tables.ars import to_ars
from equipoise.render.tables.content import lines_of, notes_of, pages_of
from equipoise.render.tables.figures import Drawn, drawn
from equipoise.render.tables.html import to_html
from equipoise.render.tables.rtf import to_rtf
from equipoise.render.tables.word import to_word

_NARROW = 26


def to_text(results: Results, width: int = 110) -> str:
    """Every table as plain text of at most ``width`` columns where its cells allow."""
    parts = [_text_table(part, group, width) for table in results.tables for group, part in pages_of(table)]
    return "\n\n".join(parts) + "\n"


def _text_table(table: Table, group: str, width: int) -> str:
    columns = table.columns
    lines = list(lines_of(table))
    body = [[row.cells[c.name].text if c.name in row.cells else "" for c in columns] for _, row in lines]
    headings = [_heading(c.label, c.n) for c in columns]
    sizes = [max([len(h) for h in heading] + [len(cells[i]) for cells in body]) for i, heading in enumerate(headings)]
    labels = ["  " * (1 + row.indent) + row.label for _, row in lines]
    blocks = [block for block, _ in lines]
    first = min(max([len(t) for t in labels + blocks] + [12]), max(_NARROW, width - sum(sizes) - 2 * len(sizes)))
    total = first + sum(s + 2 for s in sizes)
    out = [*textwrap.wrap(f"Table {table.id}. {table.title}", max(total, 40))]
    out += [f"Population: {table.population_label}", *([group] if group else []), "─" * total]
    depth = max(len(h) for h in headings)
    for level in range(depth):
        cells = [h[level - depth + len(h)] if level - depth + len(h) >= 0 else "" for h in headings]
        out.append(" " * first + _across(cells, sizes, columns))
    out.append("─" * total)
    shown: str | None = None
    for (block, _), label, cells in zip(lines, labels, body, strict=True):
        if block and block != shown:
            out += textwrap.wrap(block, first) if not any(cells) or len(block) > first else [block]
        shown = block
        room = first if any(cells) else total  # a line without cells may run on under the columns
        wrapped = textwrap.wrap(label, room, subsequent_indent="    ", drop_whitespace=False) or [""]
        out += wrapped[:-1]
        out.append(f"{wrapped[-1]:<{first}}" + _across(cells, sizes, columns))
    out.append("─" * total)
    for note in notes_of(table):
        out += textwrap.wrap(note, max(total, 60), subsequent_indent="  ")
    return "\n".join(line.rstrip() for line in out)


def _across(cells: list[str], sizes: list[int], columns: tuple[Column, ...]) -> str:
    """Cells in their columns: numbers at the right, words at the left."""
    every = zip(cells, sizes, columns, strict=True)
    return "".join(f"  {text:<{size}}" if column.text else f"  {text:>{size}}" for text, size, column in every)


def _heading(label: str, n: int | None) -> list[str]:
    lines = textwrap.wrap(label, 16) or [""]
    return [*lines, f"(N={n})"] if n is not None else lines


def write_results(results: Results, folder: str | Path, *, word: bool = False, pdf: bool = False) -> list[Path]:
    """Write ``tables.html``, ``.txt`` and ``.rtf``, ``results.json``, ``ars.json``, ``results.csv``, an SVG a figure.

    word : ``tables.docx``, too, for which python-docx is needed. pdf : ``tables.pdf``, the page as the browser that is
    installed prints it. Returns their paths.
    ``results.csv`` has one row a number (:meth:`equipoise.plan.results.Results.to_frame`).

    Raises
    ------
    OutputError : the folder cannot be made or written to, or there is no python-docx; or no browser prints the PDF,
        in which case the other files are written.
    """
    folder = Path(folder)
    figures = drawn(results)
    files = {
        "tables.txt": to_text(results),
        "tables.html": to_html(results, figures),
        "results.json": _json(results.to_dict()),
        "ars.json": _json(to_ars(results, _files(figures))),
        "results.csv": results.to_frame().write_csv(),
        "tables.rtf": to_rtf(results),
        **{f.file: f.plot.svg(id="plot") + "\n" for f in figures if f.plot is not None},
    }
    further = {"tables.docx": to_word(results)} if word else {}
    failed: OutputError | None = None
    if pdf:
        try:
            further["tables.pdf"] = to_pdf(files["tables.html"])
        except OutputError as error:
            failed = error  # the other files are of use
    with fill_folder(folder) as staged:
        for name, text in files.items():
            write_text(staged / name, text)
        for name, content in further.items():
            (staged / name).write_bytes(content)
    if failed is not None:
        raise OutputError(f"{failed.message}; the other files are in {folder}", hint=failed.hint) from None
    return [folder / name for name in (*files, *further)]


def _files(figures: tuple[Drawn, ...]) -> dict[str, list[str]]:
    """Files of figures by their table."""
    out: dict[str, list[str]] = {}
    for figure in figures:
        if figure.plot is not None:
            out.setdefault(figure.table, []).append(figure.file)
    return out


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
