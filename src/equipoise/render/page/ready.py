"""Tables of rows and drawings that are ready, as blocks of a document: a number leads to its command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from equipoise.document.document import Computed, Drawing, Figure, Inlines, Name, Row, Table, Text, bare_number

MOST = 200
"""Numbers of a drawing that are listed beside it."""


class Ready:
    """Blocks whose numbers all rest on one computation, and the names that its words need.

    computation : the id of the computation in the document. names : to be registered there (``Document.names``).

    Examples
    --------
    >>> ready = Ready("study")
    >>> ready.table("study-cells", "Success after 28 weeks", [{"design": "28 weeks", "success": 0.8123}]).id
    'study-cells'
    >>> ready.names
    ['28 weeks', 'Success after 28 weeks']
    """

    def __init__(self, computation: str) -> None:
        self.computation = computation
        self.names: list[str] = []

    def words(self, text: str) -> Inlines:
        """A title or a heading: words as they are, a name where they hold a digit."""
        if not bare_number(text):
            return (Text(text),)
        if any(c.isalpha() for c in text):
            self.names.append(text)
            return (Name(text),)
        return (Computed(text, self.computation, quiet=True),)

    def said(self, text: str) -> Inlines:
        """A sentence: its numbers rest on the command, without a link."""
        return (Computed(text, self.computation, quiet=True),) if bare_number(text) else (Text(text),)

    def cell(self, value: Any) -> Inlines:
        """A value of a table: a number rests on the command, nothing is a dash."""
        text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
        if not text.strip():
            return (Text("–"),)
        return (Computed(text, self.computation),) if bare_number(text) else (Text(text),)

    def table(self, id: str, caption: str, rows: Sequence[Mapping[str, Any]]) -> Table:
        """Rows with the same keys as a table."""
        columns = [str(c) for c in dict.fromkeys(c for row in rows for c in row)]
        values = [[row.get(c) for c in columns] for row in rows]
        numeric = tuple(all(_is_number(v[k]) for v in values) for k in range(len(columns)))
        return self.grid(id, caption, columns, values, numeric)

    def grid(
        self,
        id: str,
        caption: str,
        columns: Sequence[str],
        values: Iterable[Sequence[Any]],
        numeric: Sequence[bool] = (),
    ) -> Table:
        """Lines of values under columns as a table, each with its name first; a line of a name alone is a heading."""
        rows = []
        for line in values:
            heading = len(line) == 1 < len(columns)
            first = self.words("–" if line[0] is None else str(line[0]))
            rows.append(Row((first, *(() if heading else map(self.cell, line[1:]))), heading=heading))
        return Table(id, self.words(caption), tuple(map(self.words, columns)), tuple(rows), tuple(numeric))

    def figure(
        self, id: str, title: str, description: str, svg: str, rows: Sequence[Mapping[str, Any]], caption: str = ""
    ) -> Figure:
        """A drawing with its words and its numbers; ``svg`` in marks (:meth:`equipoise.render.plots.Plot.shapes`).

        Of very many numbers the first :data:`MOST` are listed, and the caption says so.
        """
        table = self.table(f"{id}-numbers", f"{title}: the numbers", rows[:MOST] or [{"shown": description}])
        told: Inlines = (*self.words(caption), Text(" ")) if caption else ()
        told += (Computed("The numbers", self.computation), Text(" of the drawing"))
        if len(rows) > MOST:
            told += (Text(": "), Computed(f"the first {MOST} of {len(rows)} are listed", self.computation, quiet=True))
        told += (Text("."),)
        return Figure(id, self.words(title), self.said(description or title), Drawing(svg), told, table)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
