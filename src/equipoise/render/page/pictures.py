"""Charts of a document as pictures that stand alone, for programs that show no SVG."""

from __future__ import annotations

import re
from dataclasses import dataclass

from equipoise.document.document import Figure, plain
from equipoise.render.page.charts import svgs


@dataclass(frozen=True, slots=True)
class Picture:
    """One panel as PNG: its title, what it shows in words, and its size in pixels at the scale of the page."""

    title: str
    words: str
    png: bytes
    width: float
    height: float


def pictures(figure: Figure, *, scale: float = 3.0) -> tuple[Picture, ...]:
    """Each panel of a figure, drawn in the light colours at ``scale`` times its size on the page."""
    import vl_convert

    out = []
    for title, svg in _drawn(figure):
        width, height = (float(x) for x in re.findall(r'\b(?:width|height)="([\d.]+)"', svg.split(">", 1)[0])[:2])
        # on paper of its own: what lies over nothing loses its colour, and a dark slide would swallow dark letters
        paper = svg.replace(">", f'><rect width="{width:g}" height="{height:g}" fill="#ffffff"/>', 1)
        out.append(Picture(title, _said(svg), vl_convert.svg_to_png(paper, scale=scale), width, height))
    return tuple(out)


def described(figure: Figure) -> tuple[tuple[str, str], ...]:
    """The title of each panel of a figure, and in words what it shows."""
    return tuple((title, _said(svg)) for title, svg in _drawn(figure))


def _drawn(figure: Figure) -> tuple[tuple[str, str], ...]:
    return svgs(figure.chart, figure.id, plain(figure.title), plain(figure.description), "light")


def _said(svg: str) -> str:
    said = re.search(r"<desc[^>]*>(.*?)</desc>", svg, re.DOTALL)
    return _unescaped(" ".join((said[1] if said else "").split()))


def _unescaped(text: str) -> str:
    from html import unescape

    return unescape(text)
