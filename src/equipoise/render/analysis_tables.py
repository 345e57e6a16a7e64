"""Tables of an analysis plan for people: plain text for the terminal, HTML by great_tables, and the results as JSON."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from equipoise.errors import OutputError
from equipoise.render.ars import to_ars
from equipoise.run.analysis_results import Results, Row, Table
from equipoise.run.methods import REGISTRY

_NARROW = 26


def _lines(table: Table) -> Iterator[tuple[str, Row]]:
    """Each line with the heading of its block, consecutive blocks of one heading taken together."""
    for block in table.blocks:
        for row in block.rows:
            yield block.label, row


def to_text(results: Results, width: int = 110) -> str:
    """Every table as plain text of at most ``width`` columns where its cells allow."""
    parts = [_text_table(table, width) for table in results.tables]
    return "\n\n".join(parts) + "\n"


def _text_table(table: Table, width: int) -> str:
    columns = table.columns
    lines = list(_lines(table))
    body = [[row.cells[c.name].text if c.name in row.cells else "" for c in columns] for _, row in lines]
    headings = [_heading(c.label, c.n) for c in columns]
    sizes = [max([len(h) for h in heading] + [len(cells[i]) for cells in body]) for i, heading in enumerate(headings)]
    labels = ["  " * (1 + row.indent) + row.label for _, row in lines]
    blocks = [block for block, _ in lines]
    first = min(max([len(t) for t in labels + blocks] + [12]), max(_NARROW, width - sum(sizes) - 2 * len(sizes)))
    total = first + sum(s + 2 for s in sizes)
    out = [*textwrap.wrap(f"Table {table.id}. {table.title}", max(total, 40))]
    out += [f"Population: {table.population_label}", "─" * total]
    depth = max(len(h) for h in headings)
    for level in range(depth):
        cells = [h[level - depth + len(h)] if level - depth + len(h) >= 0 else "" for h in headings]
        out.append(" " * first + "".join(f"  {c:>{s}}" for c, s in zip(cells, sizes, strict=True)))
    out.append("─" * total)
    shown: str | None = None
    for (block, _), label, cells in zip(lines, labels, body, strict=True):
        if block and block != shown:
            out += textwrap.wrap(block, first) if not any(cells) or len(block) > first else [block]
        shown = block
        wrapped = textwrap.wrap(label, first, subsequent_indent="    ", drop_whitespace=False) or [""]
        out += wrapped[:-1]
        out.append(f"{wrapped[-1]:<{first}}" + "".join(f"  {c:>{s}}" for c, s in zip(cells, sizes, strict=True)))
    out.append("─" * total)
    for note in _notes(table):
        out += textwrap.wrap(note, max(total, 60), subsequent_indent="  ")
    return "\n".join(line.rstrip() for line in out)


def _heading(label: str, n: int | None) -> list[str]:
    lines = textwrap.wrap(label, 16) or [""]
    return [*lines, f"(N={n})"] if n is not None else lines


def _notes(table: Table) -> list[str]:
    notes = list(table.footnotes)
    for block in table.blocks:
        if REGISTRY[block.method].noted:
            notes.append(f"{block.label}: {block.description}." if block.description else "")
        notes += block.notes
    return [n for n in dict.fromkeys(notes) if n]


def to_html(results: Results) -> str:
    """One self-contained page with every table (great_tables), its notes, and where the numbers came from."""
    tables = "\n".join(_gt(table).as_raw_html(inline_css=False) for table in results.tables)
    problems = [str(p["text"]) for p in results.problems if p.get("severity") != "note"]
    listed = "".join(f"<li>{html.escape(p)}</li>" for p in problems)
    checks = f"<h2>Said by the checks of the data</h2><ul>{listed}</ul>" if problems else ""
    sources = "".join(
        f"<tr><td>{html.escape(name)}</td><td><code>{html.escape(digest)}</code></td></tr>"
        for name, digest in results.sources.items()
    )
    versions = ", ".join(f"{html.escape(k)} {html.escape(v)}" for k, v in results.versions.items())
    command = f"<p>Made by <code>{html.escape(results.command)}</code></p>" if results.command else ""
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(results.study)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>body{font-family:system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;"
        "color:#1a1a1a;background:#fff}.gt_table{margin:2rem 0 3rem}code{overflow-wrap:anywhere}"
        "td,th{font-variant-numeric:tabular-nums}</style></head>"
        f"<body><h1>{html.escape(results.study)}</h1><p>{html.escape(results.title)}</p>\n{tables}\n{checks}"
        f"<h2>Where the numbers come from</h2>{command}<p>{versions}</p>"
        f"<table><thead><tr><th>File</th><th>SHA-256</th></tr></thead><tbody>{sources}</tbody></table>"
        "</body></html>\n"
    )


def _gt(table: Table) -> Any:
    import great_tables as gt
    import polars as pl

    names = [f"c{i}" for i in range(len(table.columns))]
    rows: dict[str, list[str]] = {"block": [], "label": [], **{n: [] for n in names}}
    group, previous = 0, None
    for block, row in _lines(table):
        group += block != previous
        previous = block
        rows["block"].append("\u200b" * group + block)  # a heading that comes twice stays two groups
        rows["label"].append("\u2003" * row.indent + row.label)
        for name, column in zip(names, table.columns, strict=True):
            rows[name].append(row.cells[column.name].text if column.name in row.cells else "")
    escaped = {k: [html.escape(v) for v in values] for k, values in rows.items()}
    made = gt.GT(pl.DataFrame(escaped), rowname_col="label", groupname_col="block", id=f"t{table.id.replace('.', '-')}")
    labels: Any = {
        name: gt.html(html.escape(c.label) + (f"<br>(N={c.n})" if c.n is not None else ""))
        for name, c in zip(names, table.columns, strict=True)
    }
    made = made.tab_header(
        title=gt.html(html.escape(f"Table {table.id}. {table.title}")),
        subtitle=gt.html(html.escape(f"Population: {table.population_label}")),
    )
    made = made.cols_label(cases=labels).cols_align("right", columns=names)
    for note in _notes(table):
        made = made.tab_source_note(gt.html(html.escape(note)))
    return made


def write_results(results: Results, folder: str | Path) -> list[Path]:
    """Write ``tables.html``, ``tables.txt``, ``results.json`` and ``ars.json``; returns their paths.

    Raises
    ------
    OutputError : the folder cannot be made or written to.
    """
    folder = Path(folder)
    files = {
        "tables.txt": to_text(results),
        "tables.html": to_html(results),
        "results.json": _json(results.to_dict()),
        "ars.json": _json(to_ars(results)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}", hint="choose another folder") from None
    return [folder / name for name in files]


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
