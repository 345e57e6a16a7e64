"""What came of a plan: tables of cells, each cell a text with the numbers behind it. Immutable; renderers are apart."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from equipoise.plan.key import Key

if TYPE_CHECKING:
    import polars as pl

    from equipoise.estimate.result import Estimate

_SHOW = re.compile(r"\{([a-z_0-9]+)(?::([^}]*))?\}")


def rounded(value: float, decimals: int) -> str:
    """``value`` with ``decimals`` decimals, halves away from zero, as SAS prints.

    The number is first taken to 15 significant digits, so that 42.65 (42.6499999999999986 in binary) prints 42.7.
    Minus zero prints as zero.
    """
    if not math.isfinite(value):
        return "NE"
    quantum = Decimal(1).scaleb(-decimals)
    text = str(Decimal(f"{value:.15g}").quantize(quantum, rounding=ROUND_HALF_UP))
    return text.removeprefix("-") if float(text) == 0 else text


def p_text(value: float, decimals: int) -> str:
    """A p-value: below the last decimal as ``<0.0001``."""
    if not math.isfinite(value):
        return "NE"
    least = 10.0**-decimals
    return f"<{least:.{decimals}f}" if value < least else rounded(value, decimals)


def percent_text(count: float, of: float, decimals: int = 0) -> str:
    """``12 ( 14%)``; zero as ``0``, a percentage below 1 (or the last decimal) as ``<1``."""
    if count == 0 or of == 0:
        return f"{count:.0f}"
    percent = 100.0 * count / of
    least = 10.0**-decimals
    inner = f"<{rounded(least, decimals)}" if percent < least else rounded(percent, decimals)
    width = 3 if decimals == 0 else 4 + decimals
    return f"{count:.0f} ({inner:>{width}}%)"


def _written(value: float | None, form: str) -> str:
    if value is None or math.isnan(value):
        return "NE"
    if form.startswith("p"):
        return p_text(value, int(form[1:]))
    return rounded(value, int(form)) if form else f"{value:.0f}" if value == round(value) else f"{value:g}"


@dataclass(frozen=True)
class Cell:
    """A cell as printed, and the numbers behind it by name (``mean``, ``se``, ``p`` ...; None: not estimable).

    ``shown`` : the numbers that are in the text, each as it is printed there.
    """

    text: str
    values: Mapping[str, float | None] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)


def cell_of(template: str, statistics: Mapping[str, float | None]) -> Cell:
    """A cell from a template such as ``{mean:1} ({sd:2})``; ``NE`` (not estimable) for a missing number."""
    shown: dict[str, str] = {}

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        shown[name] = _written(statistics.get(name), match.group(2) or "")
        return shown[name]

    return Cell(_SHOW.sub(one, template), dict(statistics), shown)


def share_of(count: int, of: int, decimals: int = 0) -> Cell:
    """A cell of a count and its percentage."""
    text = percent_text(count, of, decimals)
    share = {"n": float(count), "denominator": float(of), "percent": 100.0 * count / of if of else None}
    number, _, inner = text.partition(" ")
    return Cell(text, share, {"n": number, **({"percent": inner} if inner else {})})


@dataclass(frozen=True)
class Row:
    """One line of a table. ``cells`` by column name; ``contrast`` says what a comparison compares."""

    label: str
    cells: Mapping[str, Cell]
    contrast: str | None = None
    indent: int = 0


@dataclass(frozen=True)
class Figure:
    """A figure: its kind (a function of :mod:`equipoise.render.plots`), caption, the rows it shows, and options."""

    kind: str
    caption: str
    rows: tuple[Mapping[str, Any], ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """The lines of one section of a plan, what was done for them, and the figures that go with them.

    ``numbers`` : the estimates under their keys. ``section`` : which of the plan's sections it is, from 1. ``group`` :
    the group of records that it is about, where its analysis has several; ``page`` : it begins a page. ``failure`` :
    why there are no lines, one of :data:`FAILURES`; None where there are.
    """

    label: str
    method: str
    dataset: str
    variable: str | None
    rows: tuple[Row, ...]
    description: str = ""
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    failure: str | None = None
    section: int = 1
    group: str | None = None
    page: bool = False
    numbers: Mapping[Key, Estimate] = field(default_factory=dict)


FAILURES = ("not estimable", "mistake", "fault")
"""Why a section has no lines: these data cannot tell; the plan does not fit the data; the program is at fault."""


@dataclass(frozen=True)
class Column:
    """A column: an arm (or the total, or the test), its heading, and its number of subjects (None for a test).

    ``text`` : it holds words, which stand at the left, rather than numbers.
    """

    name: str
    label: str
    n: int | None
    text: bool = False


@dataclass(frozen=True)
class Table:
    """One analysis of the plan."""

    id: str
    title: str
    population: str
    population_label: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    footnotes: tuple[str, ...] = ()
    purpose: str = "secondary"
    reason: str = "SPECIFIED IN SAP"

    def cell(self, block: str, row: str, column: str) -> Cell:
        """A cell by labels; raises KeyError where there is none."""
        for one in self.blocks:
            for line in one.rows:
                if (one.label, line.label) == (block, row) and column in line.cells:
                    return line.cells[column]
        raise KeyError((block, row, column))


@dataclass(frozen=True)
class Results:
    """All tables of a plan, with what is needed to know where they came from.

    ``sources`` : file -> SHA-256; ``problems`` : what the checks of the data said; ``command`` : how to make it again.
    """

    study: str
    title: str
    tables: tuple[Table, ...]
    plan: Mapping[str, Any]
    problems: tuple[Mapping[str, Any], ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""

    def table(self, id: str) -> Table:
        """A table by its id; raises KeyError where there is none."""
        for table in self.tables:
            if table.id == id:
                return table
        raise KeyError(id)

    @property
    def failed(self) -> tuple[tuple[str, int, Block], ...]:
        """Sections that are mistakes or faults: the id of the table, the number of the section, its block."""
        return tuple(
            (table.id, block.section, block)
            for table in self.tables
            for block in table.blocks
            if block.failure in ("mistake", "fault")
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole as plain data for JSON: numbers in full, None for those that are not estimable."""
        bare = replace(
            self, tables=tuple(replace(t, blocks=tuple(replace(b, numbers={}) for b in t.blocks)) for t in self.tables)
        )
        plain: dict[str, Any] = _plain(asdict(bare))
        for table, full in zip(plain["tables"], self.tables, strict=True):
            for block, found in zip(table["blocks"], full.blocks, strict=True):
                block["numbers"] = [_plain(_row(key, estimate)) for key, estimate in found.numbers.items()]
        return plain

    @property
    def numbers(self) -> dict[Key, Estimate]:
        """Every estimate of every analysis under its key, in the order of the tables."""
        return {k: e for table in self.tables for block in table.blocks for k, e in block.numbers.items()}

    def to_frame(self) -> pl.DataFrame:
        """Every number, one a row: where it stands, then the estimate with all that belongs to it.

        Where it stands: key, analysis, section, quantity, arm, versus (null: control), visit, variable, level. What it
        is: estimate, se (of the logarithm for a ratio), df (infinite for normal theory), statistic, p, sided, low and
        high at the confidence ``coverage``, n, scale, status and reason; null where there is no such number.
        """
        import polars as pl

        rows = [_row(key, estimate) for key, estimate in self.numbers.items()]
        return pl.DataFrame(rows, schema=_COLUMNS, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))


_COLUMNS: dict[str, Any] = {
    "key": str,
    "analysis": str,
    "section": int,
    "quantity": str,
    "arm": str,
    "versus": str,
    "visit": str,
    "variable": str,
    "level": str,
    "estimate": float,
    "se": float,
    "df": float,
    "statistic": float,
    "p": float,
    "sided": int,
    "low": float,
    "high": float,
    "coverage": float,
    "n": int,
    "scale": str,
    "status": str,
    "reason": str,
}
"""The columns of :meth:`Results.to_frame` and their types."""


def _row(key: Key, estimate: Estimate) -> dict[str, Any]:
    made = {
        "key": key.id,
        **vars(key),
        **estimate.to_row(),
        "reason": estimate.reason,
        "sided": estimate.sided,
        "coverage": estimate.level,
        "scale": estimate.scale,
    }
    return {name: made[name] for name in _COLUMNS}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)
