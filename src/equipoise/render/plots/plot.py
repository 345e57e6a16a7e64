"""A drawing as an object: the same in a notebook, in a page and in a file.

A :class:`Plot` holds one Vega-Lite specification, written in the marks of :mod:`equipoise.render.theme`, its title and
its description in words. A notebook shows it by itself; ``save`` writes it; ``svg(theme="page")`` is for a page.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.errors import OutputError
from equipoise.files import write_bytes
from equipoise.render.theme import CONFIG, FONT, INK, MUTED, PAPER, Theme, plain, themed
from equipoise.render.vega import to_svg

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FORMATS = ("svg", "png", "json")
_TITLE, _HEAD = 14.0, 30.0
"""The letters of a title that is drawn, and the room that it takes above the plot."""


@dataclass(frozen=True, eq=False)
class Plot:
    """A drawing.

    title, description : what it is and, in sentences, what it shows (its alternative text).
    drawing : the Vega-Lite specification, in marks; :meth:`to_dict` gives it in colours.
    table : the numbers that it shows, one mapping a row, for those who want to read rather than look.
    size : (width, height) in pixels.
    """

    title: str
    description: str
    drawing: Mapping[str, Any]
    table: tuple[Mapping[str, Any], ...]
    size: tuple[float, float]

    def to_dict(self, theme: Theme = "light") -> dict[str, Any]:
        """The Vega-Lite specification in the colours of ``light`` or ``dark``."""
        made: dict[str, Any] = json.loads(plain(json.dumps(self.drawing), theme))
        return made

    def svg(self, theme: Theme = "light", *, id: str = "plot") -> str:
        """The drawing as SVG with its title and description inside.

        theme : ``light`` or ``dark`` with a ground of its own; ``page`` has none and takes its colours from the CSS
            variables of the page. id : prefix of the ids inside, to be unique in a page.
        """
        return themed(self._raw(theme), id, self.title, self.description, theme=theme)

    def shapes(self) -> str:
        """The drawing as SVG with marks for colours, as a document keeps it: on no ground, and without its title, which
        a document sets above it."""
        return to_svg({**self._untitled(), "background": None})

    def _untitled(self) -> dict[str, Any]:
        """The specification without the words of the title above the plot, and without the room they take."""
        spec = dict(self.drawing)
        layers = [layer for layer in spec.get("layer", ()) if not _is_title(layer, self.title)]
        if len(layers) < len(spec.get("layer", ())):
            spec |= {"layer": layers, "padding": {**spec["padding"], "top": spec["padding"]["top"] - _HEAD}}
        return spec

    def png(self, *, scale: float = 2.0, theme: Theme = "light") -> bytes:
        """The drawing as PNG, ``scale`` pixels to a pixel of the SVG."""
        import vl_convert

        if not 0.1 <= scale <= 20.0:
            raise OutputError(f"scale {scale!r}", hint="give the enlargement, such as 2")
        made: bytes = vl_convert.svg_to_png(self.svg("dark" if theme == "dark" else "light"), scale=scale)
        return made

    def save(self, path: str | Path, *, theme: Theme = "light", scale: float = 2.0) -> Path:
        """Write the drawing; the name's ending (``.svg``, ``.png`` or ``.json`` for Vega-Lite) says as what.

        Raises
        ------
        OutputError : another ending, or a place that cannot be written to.
        """
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in FORMATS:
            raise OutputError(f"{path.name}: cannot draw as {kind or 'nothing'!r}", hint="end in .svg, .png or .json")
        if kind == "png":
            content = self.png(scale=scale, theme=theme)
        elif kind == "svg":
            content = self.svg(theme, id=path.stem or "plot").encode()
        else:
            content = (json.dumps(self.to_dict(theme), ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()
        write_bytes(path, content)
        return path

    def _raw(self, theme: Theme) -> str:
        return to_svg({**self.drawing, "background": None} if theme == "page" else self.drawing)

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            "application/vnd.vegalite.v6+json": self.to_dict(),
            "image/svg+xml": self.svg(),
            "text/plain": f"{self.title}. {self.description}",
        }

    def __repr__(self) -> str:
        return f"Plot({self.title!r}, {self.size[0]:.0f} x {self.size[1]:.0f})"


class Canvas:
    """A plot of ``width`` by ``height`` pixels being drawn, layer upon layer, with words and lines set in pixels."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.layers: list[dict[str, Any]] = []
        self._words: dict[tuple[str, str, bool, float], list[dict[str, Any]]] = {}

    def layer(self, values: Sequence[Mapping[str, Any]], mark: Mapping[str, Any], **encoding: Any) -> None:
        """Marks on the scales of the plot."""
        if values:
            self.layers.append(
                {"data": {"values": [dict(v) for v in values]}, "mark": dict(mark), "encoding": encoding}
            )

    def words(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "left",
        colour: str = INK,
        bold: bool = False,
        size: float = 12.0,
    ) -> None:
        """Words at a place in pixels from the corner of the plot, on their middle line."""
        self._words.setdefault((anchor, colour, bold, size), []).append({"x": x, "y": y, "t": text})

    def rules(
        self,
        lines: Sequence[tuple[float, float, float, float]],
        colour: str,
        width: float = 1.0,
        dash: Sequence[int] = (1, 0),
    ) -> None:
        """Straight lines (x, y, to x, to y) in pixels."""
        self.layer(
            [{"x": x, "y": y, "x2": u, "y2": v} for x, y, u, v in lines],
            {"type": "rule", "color": colour, "strokeWidth": width, "strokeDash": list(dash), "opacity": 1},
            x=pixels("x"),
            y=pixels("y"),
            x2={"field": "x2"},
            y2={"field": "y2"},
        )

    def boxes(self, boxes: Sequence[tuple[float, float, float, float]], colour: str, opacity: float = 1.0) -> None:
        """Filled rectangles (left, top, right, bottom) in pixels."""
        self.layer(
            [{"x": x, "y": y, "x2": u, "y2": v} for x, y, u, v in boxes],
            {"type": "rect", "color": colour, "opacity": opacity},
            x=pixels("x"),
            y=pixels("y"),
            x2={"field": "x2"},
            y2={"field": "y2"},
        )

    def points(self, places: Sequence[tuple[float, float]], colour: str, shape: str, size: float = 50.0) -> None:
        """Filled points in pixels."""
        self.layer(
            [{"x": x, "y": y} for x, y in places],
            {"type": "point", "shape": shape, "filled": True, "size": size, "color": colour, "opacity": 1},
            x=pixels("x"),
            y=pixels("y"),
        )

    def plot(
        self,
        title: str | None,
        description: str,
        table: Sequence[Mapping[str, Any]],
        margin: tuple[float, float, float, float],
        *,
        name: str,
    ) -> Plot:
        """The finished drawing, with ``margin`` (left, top, right, bottom) around the plot.

        A title that is given is drawn above; else the drawing is called ``name``.
        """
        left, top, right, bottom = margin
        if title:
            self.words(8 - left, -top - 12, title, bold=True, size=_TITLE)
            top += _HEAD
        title = title or name
        for (anchor, colour, bold, size), places in self._words.items():
            self.layer(
                places,
                {
                    "type": "text",
                    "align": anchor,
                    "baseline": "middle",
                    "color": colour,
                    "fontSize": size,
                    "fontWeight": "bold" if bold else "normal",
                    "opacity": 1,
                },
                x=pixels("x"),
                y=pixels("y"),
                text={"field": "t"},
            )
        self._words = {}
        spec = {
            "$schema": SCHEMA,
            "title": None,
            "description": f"{title}. {description}",
            "width": self.width,
            "height": self.height,
            "autosize": {"type": "none"},
            "padding": {"left": left, "top": top, "right": right, "bottom": bottom},
            "background": PAPER,
            "config": {**CONFIG, "background": PAPER, "font": FONT},
            "layer": self.layers,
        }
        whole = (left + self.width + right, top + self.height + bottom)
        return Plot(title, description, spec, tuple(table), whole)


def _is_title(layer: Mapping[str, Any], title: str) -> bool:
    mark, values = layer.get("mark", {}), layer.get("data", {}).get("values", ())
    return mark.get("fontSize") == _TITLE and [v.get("t") for v in values] == [title]


def pixels(field: str) -> dict[str, Any]:
    """An encoding by a field that holds places in pixels from the corner of the plot."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def q(field: str, scale: Mapping[str, Any], axis: Mapping[str, Any] | None, **rest: Any) -> dict[str, Any]:
    """A quantitative encoding on a scale."""
    return {
        "field": field,
        "type": "quantitative",
        "scale": dict(scale),
        "axis": None if axis is None else dict(axis),
        **rest,
    }


def text_width(text: str, size: float = 12.0, bold: bool = False) -> float:
    """Roughly how wide a text is in a sans-serif face, in pixels; errs on the wide side."""
    em = 0.0
    for letter in text:
        if letter in "ijlI.,;:'|!()[] ft-":
            em += 0.34
        elif letter in "mwMW%@":
            em += 0.9
        elif letter.isupper():
            em += 0.72
        else:
            em += 0.57
    return em * size * (1.06 if bold else 1.0)


PLAIN = "replace('' + datum.value, '-', '\N{MINUS SIGN}')"
"""Labels of an axis as the numbers are, with a true minus sign."""

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_WEEKS = (1, 2, 4, 8, 12, 13, 26, 52, 104, 156, 208, 260, 520)
_MONTHS = (1, 2, 3, 6, 12, 24, 36, 60, 120)
_DAYS = (1, 2, 7, 14, 28, 30, 60, 91, 182, 365, 730, 1825)


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers from ``low`` to ``high``, ``most`` of them at the most."""
    if not high > low:
        return [low]
    raw = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in _STEPS if s * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(last: float, unit: str, most: int = 8) -> list[float]:
    """Ticks from 0 to ``last`` that suit the unit of time: weeks by 4, 12, 26 ..., months by 3, 6, 12 ..."""
    steps = {"weeks": _WEEKS, "months": _MONTHS, "days": _DAYS}.get(unit.strip().lower())
    if steps is None or last <= 0:
        return ticks(0.0, last, most)
    fits = [s for s in steps if last / s <= most - 1]
    if not fits or last / fits[0] < 2:
        return ticks(0.0, last, most)
    step = next((s for s in fits if last % s == 0 and last / s >= 4), fits[0])
    return [float(i * step) for i in range(int(last / step + 1e-9) + 1)]


_NICE_LOG = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.25,
    0.33,
    0.5,
    0.7,
    0.8,
    1.0,
    1.25,
    1.5,
    2.0,
    3.0,
    4.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
)


def log_ticks(low: float, high: float, null: float, most: int = 7) -> list[float]:
    """Round numbers on a logarithmic axis, the null among them, none closer than the axis allows."""
    gap = math.log(high / low) / most
    kept = [null] if low <= null <= high else []
    for t in sorted(_NICE_LOG, key=lambda v: (abs(math.log2(v)) % 1 > 1e-9, abs(math.log(v)))):
        if low <= t <= high and all(abs(math.log(t / k)) >= gap for k in kept):
            kept.append(t)
    return sorted(kept)


def written(value: float | None, digits: int = 3) -> str:
    """A number in words and tables: ``digits`` significant, a true minus sign; ``not estimable`` where none."""
    if value is None or not math.isfinite(value):
        return "not estimable"
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def muted(canvas: Canvas, x: float, y: float, text: str, anchor: str = "left") -> None:
    """Words of an axis or a note."""
    canvas.words(x, y, text, anchor=anchor, colour=MUTED, size=11.5)
