"""Tables of an analysis plan for people: text, HTML by great_tables, RTF, Word; the results as JSON."""

from __future__ import annotations

import html
import json
import re
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
from equipoise.render.tables.rtf import to_rtf
from equipoise.render.tables.word import to_word
from equipoise.render.theme import css_variables

_NARROW = 26
_HELD = {ord(sign): chr(0xE000 + i) for i, sign in enumerate("&<>\"'")}
_ESCAPED = {private: html.escape(chr(sign)) for sign, private in ((k, ord(v)) for k, v in _HELD.items())}
# Releases of great_tables differ in whether cells are escaped: signs that need it pass as private characters and are
# escaped once, afterwards.


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


_STYLE = """
:root { %s --ground: #ffffff; --line: #d3d3d3; --soft: #f4f6f5; }
@media screen and (prefers-color-scheme: dark) {
  :root { %s --ground: #101516; --line: #354043; --soft: #1b2628; }
}
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: var(--ink);
  background: var(--ground); line-height: 1.5; }
code { overflow-wrap: anywhere; }
td, th { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 2rem 0 1rem; }
.gt_table.gt_table { margin: 0 auto; }
.gt_table.gt_table, .gt_table .gt_title.gt_title, .gt_table .gt_subtitle.gt_subtitle,
.gt_table .gt_col_heading.gt_col_heading, .gt_table .gt_group_heading.gt_group_heading, .gt_table .gt_stub.gt_stub,
.gt_table .gt_row.gt_row, .gt_table .gt_sourcenote.gt_sourcenote, .gt_table .gt_heading.gt_heading,
.gt_table .gt_col_headings.gt_col_headings, .gt_table .gt_sourcenotes.gt_sourcenotes {
  color: var(--ink) !important; background-color: var(--ground) !important; border-color: var(--line) !important; }
figure { margin: 1rem 0 3rem; }
figcaption { font-weight: 600; margin-bottom: .6rem; }
svg.chart { display: block; width: 100%%; height: auto; }
svg.chart text { font-family: system-ui, sans-serif; font-variant-numeric: tabular-nums; }
details { font-size: .9rem; margin-top: .6rem; }
summary { cursor: pointer; }
.files { border-collapse: collapse; }
.files td, .files th { text-align: left; padding: .2rem 1rem .2rem 0; }
@page { size: letter landscape; margin: 1.5cm; }
@media print {
  body { max-width: none; margin: 0; padding: 0; }
  .scroll { overflow: visible; break-before: page; margin: 0; }
  h1 + p + .scroll { break-before: auto; }
  .gt_table thead { display: table-header-group; }
  .gt_table tr, figure { break-inside: avoid; }
}
"""


def to_html(results: Results, figures: tuple[Drawn, ...] | None = None) -> str:
    """One self-contained page with every table (great_tables) and figure, notes, and where the numbers came from."""
    figures = drawn(results) if figures is None else figures
    body, looks = [], dict[str, None]()
    for table in results.tables:
        for page, (group, part) in enumerate(pages_of(table), start=1):
            look, made = _without_style(_gt(part, group, page).as_raw_html(inline_css=False))
            looks |= dict.fromkeys(look)
            body.append(f'<div class="scroll tables">{made.translate(_ESCAPED)}</div>')
        body += [_figure(f) for f in figures if f.table == table.id]
    problems = [str(p["text"]) for p in results.problems if p.get("severity") != "note"]
    listed = "".join(f"<li>{html.escape(p)}</li>" for p in problems)
    checks = f"<h2>Said by the checks of the data</h2><ul>{listed}</ul>" if problems else ""
    sources = "".join(
        f"<tr><td>{html.escape(name)}</td><td><code>{html.escape(digest)}</code></td></tr>"
        for name, digest in results.sources.items()
    )
    versions = ", ".join(f"{html.escape(k)} {html.escape(v)}" for k, v in results.versions.items())
    command = f"<p>Made by <code>{html.escape(results.command)}</code></p>" if results.command else ""
    style = "\n".join([*looks, _STYLE % (css_variables("light"), css_variables("dark"))])
    tables = "\n".join(body)
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(results.study)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{style}</style></head>'
        f"<body><h1>{html.escape(results.study)}</h1><p>{html.escape(results.title)}</p>\n{tables}\n{checks}"
        f"<h2>Where the numbers come from</h2>{command}<p>{versions}</p>"
        f'<table class="files"><thead><tr><th scope="col">File</th><th scope="col">SHA-256</th></tr></thead>'
        f"<tbody>{sources}</tbody></table>"
        "</body></html>\n"
    )


_LOOK = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def _without_style(made: str) -> tuple[list[str], str]:
    """The style of a table, for every table of the page alike, and the table without it.

    great_tables writes the same rules again for each table, by its id; with a hundred tables a browser takes minutes.
    """
    looks = [re.sub(r"#[A-Za-z][\w-]* ", ".tables ", text) for text in _LOOK.findall(made)]
    return looks, _LOOK.sub("", made)


def _figure(figure: Drawn) -> str:
    caption = html.escape(figure.caption)
    if figure.plot is None:
        return f"<p>{caption}: {html.escape(figure.reason)}.</p>"
    svg = figure.plot.svg("page", id=re.sub(r"[^A-Za-z0-9]+", "-", figure.name))
    told = f"<details><summary>In words</summary><p>{html.escape(figure.plot.description)}</p></details>"
    width = f"max-width:{figure.plot.size[0]:.0f}px"
    return f'<figure><figcaption>{caption}</figcaption><div style="{width}">{svg}</div>{told}</figure>'


def _gt(table: Table, about: str = "", page: int = 1) -> Any:
    import great_tables as gt
    import polars as pl

    names = [f"c{i}" for i in range(len(table.columns))]
    rows: dict[str, list[str]] = {"block": [], "label": [], **{n: [] for n in names}}
    group, previous = 0, None
    for block, row in lines_of(table):
        group += block != previous
        previous = block
        rows["block"].append("\u200b" * group + block)  # a heading that comes twice stays two groups
        rows["label"].append("\u2003" * row.indent + row.label)
        for name, column in zip(names, table.columns, strict=True):
            rows[name].append(row.cells[column.name].text if column.name in row.cells else "")
    held = {k: [v.translate(_HELD) for v in values] for k, values in rows.items()}
    anchor = f"t{table.id.replace('.', '-')}" + (f"-{page}" if page > 1 else "")
    made = gt.GT(pl.DataFrame(held), rowname_col="label", groupname_col="block", id=anchor)
    labels: Any = {
        name: gt.html(html.escape(c.label) + (f"<br>(N={c.n})" if c.n is not None else ""))
        for name, c in zip(names, table.columns, strict=True)
    }
    made = made.tab_header(
        title=gt.html(html.escape(f"Table {table.id}. {table.title}")),
        subtitle=gt.html(html.escape(f"Population: {table.population_label}" + (f"; {about}" if about else ""))),
    )
    words = [name for name, column in zip(names, table.columns, strict=True) if column.text]
    made = made.cols_label(cases=labels).cols_align("right", columns=names)
    made = made.cols_align("left", columns=words) if words else made
    for note in notes_of(table):
        made = made.tab_source_note(gt.html(html.escape(note)))
    return made


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
