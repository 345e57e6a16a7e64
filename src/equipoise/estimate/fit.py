"""What every estimator hands back: a result that prints, draws and tabulates itself the same way.

A class of results derives from :class:`Fit` and brings ``estimates``, a tuple of
:class:`equipoise.estimate.result.Estimate`. The rest - text, a table for notebooks, one frame with one set of columns,
a drawing - comes from here. Where a class can do better than the common way, it overrides one of the small methods
that begin with an underscore.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from equipoise.drawing import drawing
from equipoise.errors import EstimationError

if TYPE_CHECKING:
    from equipoise.estimate.left_out import LeftOut
    from equipoise.estimate.result import Estimate

COLUMNS = ("term", "contrast", "estimate", "se", "df", "statistic", "p", "low", "high", "n", "status")
"""The columns of every frame of estimates, in their order; a result's keys (arm, visit, week ...) stand before them."""
_NUMBERS = frozenset(("estimate", "se", "df", "statistic", "p", "low", "high"))


class Fit:
    """A result: readable as text and in a notebook, as a frame, as a drawing.

    A subclass brings ``estimates``; ``picture`` names its drawing in :mod:`equipoise.plot`. Printing shows
    :meth:`summary`; the ``repr`` is one line and never an array.
    """

    picture: ClassVar[str] = "forest"

    if TYPE_CHECKING:

        @property
        def estimates(self) -> tuple[Estimate, ...]:
            """What was estimated, at the level of the result."""
            ...

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:  # before @dataclass writes one that shows every array
            cls.__repr__ = Fit.__repr__  # type: ignore[method-assign]

    def _made(self) -> tuple[Estimate, ...]:
        return tuple(getattr(self, "estimates", ()))

    def __repr__(self) -> str:
        made = self._made()
        said = made[0].to_sentence().rstrip(".") if made else "no estimate"
        more = f" and {len(made) - 1} more" if len(made) > 1 else ""
        return f"<{type(self).__name__}: {said}{more}>"

    def __str__(self) -> str:
        return self.summary()

    # --- another level ------------------------------------------------------------------------------------------------

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``.

        Raises :class:`EstimationError` for a ``level`` that is no coverage, and where intervals are not made from a
        standard error, so that they have to be asked of the estimator.
        """
        return tuple(one.at_level(level)[0] for one in self._made())

    def confint(self, level: float | None = None) -> Any:
        """Confidence intervals of the estimates, as a frame: keys, term, contrast, low and high."""
        drop = set(COLUMNS) - {"term", "contrast", "low", "high"}
        rows = [{k: v for k, v in row.items() if k not in drop} for row in self._rows(level)]
        return self._frame(_columns(rows, ("term", "contrast", "low", "high")))

    # --- as a frame -----------------------------------------------------------------------------------------------

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        """What tells the estimates apart besides their names (arm, visit, week), one mapping an estimate, or none."""
        return ()

    def _rows(self, level: float | None = None) -> list[dict[str, Any]]:
        made = self._made() if level is None else self.at_level(level)
        keys = self._keys() or [{}] * len(made)
        return [{**key, **one.to_row()} for key, one in zip(keys, made, strict=True)]

    def to_frame(self, *, level: float | None = None) -> Any:
        """One row an estimate, as a frame of the kind that came in: the keys of the result, then :data:`COLUMNS`."""
        rows, backend = self._rows(level), self._backend()
        if rows and (backend is None or _is_polars(backend)):  # it takes rows quicker than columns
            import polars as pl

            return pl.DataFrame(rows, schema_overrides=dict.fromkeys(_NUMBERS, pl.Float64), infer_schema_length=None)
        return self._frame(_columns(rows, COLUMNS))

    def _frame(self, table: Mapping[str, Sequence[Any]]) -> Any:
        """``table`` as a frame of the kind that came in."""
        import narwhals.stable.v2 as nw

        backend = self._backend()
        return nw.from_dict(dict(table), backend="polars" if backend is None else backend).to_native()

    def _backend(self) -> Any:
        """The namespace of the data frame that came in (None: polars)."""
        return getattr(self, "backend", None)

    # --- as text --------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        """What the result is, in a few words; empty for none."""
        made = self._made()
        return made[0].estimator if made else type(self).__name__

    def _facts(self) -> Iterable[tuple[str, str]]:
        """Lines between title and table: what, and what it is."""
        return ()

    def _notes(self) -> Iterable[str]:
        """Sentences below the table, besides those of the estimates."""
        return ()

    def _told(self) -> Iterable[str]:
        """The lines of the summary, without the rows left out."""
        title, facts = self._title(), list(self._facts())
        if title:
            yield title
        width = max((len(what) for what, _ in facts), default=0)
        yield from (f"{what:<{width}}  {value}" for what, value in facts)
        made = self._made()
        if made:
            if title or facts:
                yield ""
            yield from table(made, self._keys())
        notes = [*notes_of(made), *self._notes()]
        if notes:
            yield ""
            yield from notes

    def summary(self) -> str:
        """The result as text: what was done, the estimates, and who was left out."""
        lines = list(self._told())
        left_out: LeftOut | None = getattr(self, "left_out", None)
        if left_out is not None and hasattr(left_out, "to_sentence"):
            lines.append(left_out.to_sentence())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """A table of the estimates, for notebooks."""
        made = self._made()
        if not made:
            return f"<pre>{escape(self.summary())}</pre>"
        head, body = _cells(made, self._keys())
        th = "".join(f"<th>{escape(h)}</th>" for h in head)
        rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in body)
        below = [*notes_of(made), *self._notes()]
        left_out: LeftOut | None = getattr(self, "left_out", None)
        if left_out:
            below.append(left_out.to_sentence())
        foot = "".join(f"<p>{escape(line)}</p>" for line in below)
        return (
            f"<table><caption>{escape(self._title())}</caption><thead><tr>{th}</tr></thead>"
            f"<tbody>{rows}</tbody></table>{foot}"
        )

    # --- as a drawing ---------------------------------------------------------------------------------------------

    def _drawn(self) -> Any:
        """What is handed to the drawing."""
        return self._made()

    def plot(self, **options: Any) -> Any:
        """The result drawn by the function of :mod:`equipoise.plot` that fits it; ``options`` are that function's.

        Raises :class:`EstimationError` for tests that estimate nothing, which there is nothing to draw of.
        """
        made = self._made()
        if self.picture == "forest" and made and all(one.form == "p_only" for one in made):
            raise EstimationError(f"{self._title()}: tests alone, nothing to draw", hint="print the result")
        return drawing(self.picture)(self._drawn(), **options)


def _is_polars(backend: Any) -> bool:
    import narwhals.stable.v2 as nw

    return nw.Implementation.from_backend(backend).is_polars()


class MadeAgain(Fit):
    """A result whose intervals are no multiple of a standard error: at another level it is made again, by
    ``_again``."""

    if TYPE_CHECKING:
        _again: Any

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        from equipoise.estimate.result import check_level

        check_level(level)
        made: Fit = self._again(level)
        return made._made()


def _columns(rows: Sequence[Mapping[str, Any]], least: Sequence[str]) -> dict[str, Any]:
    """Columns of ``rows``; those of ``least`` where there is no row."""
    import numpy as np  # here, not above: to draw a result needs no numerical library

    return {
        key: np.array([row[key] for row in rows], np.float64)
        if rows and key in _NUMBERS
        else [row[key] for row in rows]
        for key in (rows[0] if rows else least)
    }


def notes_of(estimates: Iterable[Estimate]) -> Iterator[str]:
    """What has to be said beside estimates: why there is none, or what was said of one; each once, with whose it is."""
    said: dict[str, list[str]] = {}
    for one in estimates:
        if not one.estimable:
            said.setdefault(one.reason, []).append(one.name)
        elif one.detail:
            said.setdefault(one.detail, []).append(one.name)
    for what, names in said.items():
        whose = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"Note: {whose}: {what}."


def number(value: float, digits: int = 4) -> str:
    """A number for people: ``digits`` significant figures, empty for NaN."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = f"{value:.{digits}g}"
    return text if "e" in text else f"{value:.{max(0, digits - 1 - _magnitude(value))}f}"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def limits(low: float, high: float) -> str:
    """An interval for people, empty where there is none; an end that is not there is left out.

    >>> limits(1.0, 2.5), limits(5.5, math.inf), limits(-math.inf, 2.5)
    ('1.000 to 2.500', 'from 5.500', 'up to 2.500')
    """
    ends = math.isfinite(low), math.isfinite(high)
    if all(ends):
        return f"{number(low)} to {number(high)}"
    if any(ends):
        return f"from {number(low)}" if ends[0] else f"up to {number(high)}"
    return "" if math.isnan(low) and math.isnan(high) else "no limits"


def p_value(p: float) -> str:
    """A p-value for people."""
    return "" if math.isnan(p) else "<0.0001" if p < 1e-4 else f"{p:.4f}"


def _cells(made: Sequence[Estimate], keys: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the table of estimates; columns in which nothing stands are left out."""
    level = {f"{100 * one.level:g} %" for one in made if one.estimable}
    interval = f"{level.pop()} CI" if len(level) == 1 else "CI"
    scales = {one.scale for one in made}
    head = ["", "estimate", "std. error", "df", "statistic", "p", interval, "n"]
    body = []
    for one in made:
        body.append(
            [
                one.name,
                number(one.estimate),
                number(one.se),
                number(one.df),
                number(one.statistic),
                p_value(one.p),
                limits(one.low, one.high),
                str(one.n),
            ]
        )
    if len(scales) > 1:
        head.insert(1, "scale")
        for row, one in zip(body, made, strict=True):
            row.insert(1, one.scale)
    elif scales - {"difference"}:
        head[1] = scales.pop()
    del keys  # the names say them
    if all(math.isinf(one.df) for one in made if not math.isnan(one.df)):  # normal theory: z, and no df to show
        at = head.index("df")
        head[at + 1] = "z"
        for row in body:
            row[at] = ""
    used = [i for i in range(len(head)) if i == 0 or any(row[i] for row in body)]
    return [head[i] for i in used], [[row[i] for i in used] for row in body]


def aligned(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table of text: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in [head, *body]
    ]


def table(made: Sequence[Estimate], keys: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Estimates as lines of an aligned table."""
    return aligned(*_cells(made, keys))
