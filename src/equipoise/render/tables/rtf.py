"""Tables of an analysis plan as RTF (1.9.1), one a page, as study reports take them.

Titles and column headings repeat on every page of a table, lines are not broken over pages, numbers stand on their
decimal points, footnotes below. ASCII throughout: other letters are written by their code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from equipoise.plan.results import Results, Table
from equipoise.render.tables.content import lines_of, notes_of, pages_of, shares_of_width, titles_of

_ACROSS, _DOWN, _MARGIN = 15840, 12240, 1080
"""A letter page on its side, in twentieths of a point."""
_WIDTH = _ACROSS - 2 * _MARGIN
_RULE = r"\brdrs\brdrw10"


def to_rtf(results: Results) -> str:
    r"""Every table on pages of its own.

    >>> from equipoise.plan.results import Column
    >>> table = Table("1", "Scores", "ITT", "All", (Column("a", "Drug", 3),), ())
    >>> made = to_rtf(Results("S", "", (table,), plan={}))
    >>> made.startswith(r"{\rtf1\ansi"), "Table 1. Scores" in made, made.rstrip().endswith("}")
    (True, True, True)
    """
    head = (
        r"{\rtf1\ansi\ansicpg1252\deff0\uc1{\fonttbl{\f0\fmodern\fcharset0 Courier New;}{\f1\froman\fcharset0 "
        r"Times New Roman;}}"
        "\n"
        rf"\paperw{_ACROSS}\paperh{_DOWN}\landscape\margl{_MARGIN}\margr{_MARGIN}\margt{_MARGIN}\margb{_MARGIN}"
        "\n"
        rf"{{\footer\pard\qr\f1\fs16 {escaped(results.study)}, page {{\field{{\*\fldinst PAGE}}}}\par}}"
        "\n"
    )
    pages = ["".join(_page(part, group)) for table in results.tables for group, part in pages_of(table)]
    return head + "\\page\n".join(pages) + "}\n"


def escaped(text: str) -> str:
    r"""Text as RTF: control signs escaped, other letters by their code.

    >>> print(escaped("a{b} 5\u20136"))
    a\{b\} 5\u8211?6
    """
    out = []
    for sign in text:
        if sign in "\\{}":
            out.append("\\" + sign)
        elif sign == "\n":
            out.append(r"\line ")
        elif " " <= sign <= "~":
            out.append(sign)
        else:
            units = sign.encode("utf-16-le")
            for k in range(0, len(units), 2):
                code = int.from_bytes(units[k : k + 2], "little")
                out.append(rf"\u{code - 65536 if code > 32767 else code}?")
    return "".join(out)


def _page(table: Table, group: str) -> Iterator[str]:
    shares = shares_of_width(table)
    edges = [round(_WIDTH * sum(shares[: k + 1])) for k in range(len(shares))]
    title, people = titles_of(table)
    for text, bold in ((title, r"\b"), (people, ""), *(((group, ""),) if group else ())):
        yield _row([rf"\pard\intbl\qc\f1\fs20{bold} {escaped(text)}\cell"], [edges[-1]], head=True)
    heads = [r"\pard\intbl\cell"]
    for column in table.columns:
        n = rf"\line (N={column.n})" if column.n is not None else ""
        heads.append(rf"\pard\intbl\qc\f1\fs18 {escaped(column.label)}{n}\cell")
    yield _row(heads, edges, head=True, above=True, below=True)
    shown: str | None = None
    lines = list(lines_of(table))
    for k, (block, row) in enumerate(lines):
        if block and block != shown:
            yield _row([rf"\pard\intbl\keepn\f1\fs18\b {escaped(block)}\b0\cell"], [edges[-1]])
        shown = block
        last = k == len(lines) - 1
        cells = [rf"\pard\intbl\li{200 * (1 + row.indent)}\f1\fs18 {escaped(row.label)}\cell"]
        for at, column in enumerate(table.columns):
            text = row.cells[column.name].text if column.name in row.cells else ""
            stop = round((edges[at + 1] - edges[at]) * 0.45)
            placed = r"\ql" if column.text else rf"\tqdec\tx{stop}"
            cells.append(rf"\pard\intbl{placed}\f1\fs18 {escaped(text)}\cell")
        yield _row(cells, edges, below=last)
    for note in notes_of(table):
        yield rf"\pard\sb40\f1\fs16 {escaped(note)}\par" + "\n"


def _row(
    cells: Sequence[str], edges: Sequence[int], *, head: bool = False, above: bool = False, below: bool = False
) -> str:
    """One row of a table; ``head`` rows repeat on every page, and no row is broken over pages."""
    line = r"\trowd\trgaph60\trkeep" + (r"\trhdr" if head else "")
    for edge in edges:
        line += (rf"\clbrdrt{_RULE}" if above else "") + (rf"\clbrdrb{_RULE}" if below else "") + rf"\cellx{edge}"
    return line + "\n" + "".join(cells) + r"\row" + "\n"
