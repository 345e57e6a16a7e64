"""Tables of an analysis plan as one self-contained page of HTML, with its figures."""

from __future__ import annotations

import html
import re
from itertools import groupby

from equipoise.plan.results import Results, Table
from equipoise.render.tables.content import lines_of, notes_of, pages_of, titles_of
from equipoise.render.tables.figures import Drawn, drawn
from equipoise.render.theme import css_variables

_STYLE = """
:root { %s --ground: #ffffff; --line: #d3d3d3; }
@media screen and (prefers-color-scheme: dark) {
  :root { %s --ground: #101516; --line: #354043; }
}
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: var(--ink);
  background: var(--ground); line-height: 1.5; }
code { overflow-wrap: anywhere; }
td, th { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 2rem 0 1rem; }
.result { border-collapse: collapse; margin: 0 auto; border-block: 2px solid var(--line); }
.result th, .result td { padding: .45rem .6rem; text-align: left; vertical-align: baseline; }
.result tr > * { border-bottom: 1px solid var(--line); }
.result tr.title > * { border: 0; padding-block: .2rem; text-align: center; font-weight: 400; }
.result tr.title:first-child > * { font-size: 1.15rem; padding-top: .6rem; }
.result tr.columns > * { border-block: 2px solid var(--line); vertical-align: bottom; font-weight: 400; }
.result tr.block > * { border-block: 2px solid var(--line); font-weight: 400; }
.result tbody th[scope="row"] { font-weight: 400; border-right: 2px solid var(--line); }
.result .number.number { text-align: right; }
.notes { font-size: .9rem; padding-inline: .6rem; }
.notes p { margin: .2rem 0; }
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
  .result thead { display: table-header-group; }
  .result tr, figure { break-inside: avoid; }
}
"""


def to_html(results: Results, figures: tuple[Drawn, ...] | None = None) -> str:
    """One self-contained page with every table and figure, notes, and where the numbers came from."""
    figures = drawn(results) if figures is None else figures
    body = []
    for table in results.tables:
        for page, (group, part) in enumerate(pages_of(table), start=1):
            body.append(_table(part, group, page))
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
    style = _STYLE % (css_variables("light"), css_variables("dark"))
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


def _table(table: Table, about: str, page: int) -> str:
    """A table with its notes: titles and headings of columns repeat where a page breaks, as rows of its head."""
    anchor = f"t{table.id.replace('.', '-')}" + (f"-{page}" if page > 1 else "")
    title, counted = titles_of(table)
    across = f' colspan="{len(table.columns) + 1}"'
    sides = ["" if column.text else ' class="number"' for column in table.columns]
    headings = "".join(
        f'<th scope="col"{side}>{html.escape(c.label)}{"" if c.n is None else f"<br>(N={c.n})"}</th>'
        for c, side in zip(table.columns, sides, strict=True)
    )
    out = [
        f'<div class="scroll"><table class="result" id="{html.escape(anchor)}"><thead>',
        f'<tr class="title"><th{across}>{html.escape(title)}</th></tr>',
        f'<tr class="title"><td{across}>{html.escape(counted + (f"; {about}" if about else ""))}</td></tr>',
        f'<tr class="columns"><td></td>{headings}</tr></thead>',
    ]
    for block, rows in groupby(lines_of(table), key=lambda line: line[0]):
        heading = f'<tr class="block"><th scope="rowgroup"{across}>{html.escape(block)}</th></tr>' if block else ""
        out.append(f"<tbody>{heading}")
        for _, row in rows:
            texts = [row.cells[c.name].text if c.name in row.cells else "" for c in table.columns]
            cells = "".join(f"<td{side}>{html.escape(text)}</td>" for text, side in zip(texts, sides, strict=True))
            label = "\u2003" * row.indent + row.label
            out.append(f'<tr><th scope="row">{html.escape(label)}</th>{cells}</tr>')
        out.append("</tbody>")
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in notes_of(table))
    return "\n".join(out) + f'</table><div class="notes">{notes}</div></div>'


def _figure(figure: Drawn) -> str:
    caption = html.escape(figure.caption)
    if figure.plot is None:
        return f"<p>{caption}: {html.escape(figure.reason)}.</p>"
    svg = figure.plot.svg("page", id=re.sub(r"[^A-Za-z0-9]+", "-", figure.name))
    told = f"<details><summary>In words</summary><p>{html.escape(figure.plot.description)}</p></details>"
    width = f"max-width:{figure.plot.size[0]:.0f}px"
    return f'<figure><figcaption>{caption}</figcaption><div style="{width}">{svg}</div>{told}</figure>'
