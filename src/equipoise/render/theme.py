"""The look that every drawing shares: colours as marks, the Vega configuration, and an SVG made part of a page.

A drawing is written in *marks*, colours that mean something (``ACTIVE``, ``GRID``, the first of ``SERIES``). They
become CSS variables where the drawing stands in a page, so that light, dark and print follow from the style sheet, and
plain colours (``light`` or ``dark``) where it stands alone, in a notebook or a file.

The colours of series are told apart by people with protan, deutan and tritan vision as well (Machado, Oliveira &
Fernandes 2009, IEEE Trans Vis Comput Graph 15:1291), and never carry a meaning alone: dashes, shapes or words go along.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

Theme = Literal["light", "dark", "page"]

# mark -> (CSS variable, light, dark)
_MARKS: dict[str, tuple[str, str, str]] = {
    "#0a0001": ("--active", "#0b6b70", "#5cc8c3"),
    "#0a0002": ("--control", "#8a5710", "#dfae66"),
    "#0a0003": ("--ink", "#1c2427", "#e8e6df"),
    "#0a0004": ("--muted", "#566064", "#a5afb0"),
    "#0a0005": ("--grid", "#e3e2dc", "#2a3437"),
    "#0a0006": ("--paper", "#ffffff", "#171d1f"),
    "#0a0007": ("--zone", "#e3ede6", "#22332d"),
    "#0a0008": ("--accent", "#9a3412", "#f2986f"),
    "#0a0011": ("--series-3", "#31208f", "#8a6cf0"),
    "#0a0012": ("--series-4", "#cf4fd6", "#e0406f"),
    "#0a0013": ("--series-5", "#3a0f12", "#c8ea4a"),
    "#0a0014": ("--series-6", "#4f8ce6", "#4f8fc4"),
    "#0a0021": ("--heat-1", "#0b6b70", "#7fded9"),
    "#0a0022": ("--heat-2", "#2f8085", "#3f9793"),
    "#0a0023": ("--heat-3", "#a9d3d2", "#255c5b"),
    "#0a0024": ("--heat-4", "#f3e4cd", "#3d3324"),
    "#0a0025": ("--heat-5", "#e6c598", "#6b5330"),
    "#0a0026": ("--heat-6", "#d3a263", "#866735"),
    "#0a0027": ("--heat-7", "#7c2a55", "#e58db8"),
    "#0a0031": ("--on-dark", "#ffffff", "#10191a"),
    "#0a0032": ("--on-light", "#1c2427", "#f2f0ea"),
}
ACTIVE, CONTROL, INK, MUTED, GRID, PAPER, ZONE, ACCENT = list(_MARKS)[:8]
SERIES: tuple[str, ...] = (CONTROL, ACTIVE, *list(_MARKS)[8:12])
"""Colours of arms or other series, control first."""
HEAT: tuple[str, ...] = tuple(list(_MARKS)[12:19])
"""Cells of a heat map: three below the threshold (strongest first), three above it, one on the wrong side of null."""
HEAT_TEXT: tuple[str, ...] = ("#0a0031", "#0a0031", "#0a0032", "#0a0032", "#0a0032", "#0a0032", "#0a0031")
"""The ink that is legible on each colour of :data:`HEAT`."""
DASHES: tuple[tuple[int, ...], ...] = ((5, 3), (1, 0), (2, 2), (8, 3, 2, 3), (10, 4), (1, 3))
"""Dashes of lines, in the order of :data:`SERIES`."""
SHAPES: tuple[str, ...] = ("square", "circle", "diamond", "triangle-up", "triangle-down", "cross")
"""Shapes of points, in the order of :data:`SERIES`."""
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

CONFIG: dict[str, Any] = {
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "gridColor": GRID,
        "tickColor": GRID,
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 11.5,
        "titleFontSize": 11.5,
        "titleFontWeight": "normal",
        "labelPadding": 6,
        "titlePadding": 8,
    },
}
"""Configuration of every Vega-Lite specification."""

_SVG = "http://www.w3.org/2000/svg"
_MARK = re.compile("|".join(_MARKS), re.IGNORECASE)


def plain(text: str, theme: Theme) -> str:
    """``text`` (a specification or an SVG) with its marks as the colours of a theme."""
    place = 2 if theme == "dark" else 1
    return _MARK.sub(lambda m: _MARKS[m.group(0).lower()][place], text)


def css_variables(theme: Literal["light", "dark"]) -> str:
    """The colours as declarations of CSS variables, for a page that has none of its own."""
    place = 2 if theme == "dark" else 1
    return " ".join(f"{entry[0]}: {entry[place]};" for entry in _MARKS.values())


@dataclass(frozen=True, slots=True)
class Words:
    """Words at a place of the plot, in pixels; set by us, since measuring text is what costs most in Vega."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    colour: str = INK
    bold: bool = False
    size: float = 12.0


def themed(
    svg: str,
    id: str,
    title: str,
    description: str,
    words: Sequence[Words] = (),
    origin: tuple[float, float] = (0.0, 0.0),
    theme: Theme = "page",
) -> str:
    """An SVG by Vega with a title and a description of our own, unique ids and the colours of ``theme``.

    In a page (``theme="page"``) colours are CSS variables and fonts the page's. ``words`` are set from ``origin``, the
    corner of the plot; everything is escaped by the XML writer.
    """
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)
    given = [str(e.get("id")) for e in root.iter() if e.get("id")]
    # Vega numbers its ids through the life of a process; the same drawing is to give the same bytes
    ids = {name: f"{id}-{name.rstrip('0123456789')}{k}" for k, name in enumerate(given)}
    unwanted = {"role", "pointer-events", "class", *(("font-family", "version") if theme == "page" else ())}

    def own(match: re.Match[str]) -> str:
        return f"url(#{ids.get(match.group(1), match.group(1))})"

    for element in root.iter():
        style = []
        for name in list(element.attrib):
            value = element.attrib[name]
            if name in ("fill", "stroke") and value.lower() in _MARKS:
                if theme == "page":
                    style.append(f"{name}:{_variable(value.lower())}")
                    del element.attrib[name]
                else:
                    element.set(name, plain(value, theme))
            elif name.startswith("aria-") or name in unwanted:
                del element.attrib[name]
            elif name == "id":
                element.set("id", ids[value])
            elif "url(#" in value:
                element.set(name, re.sub(r"url\(#([^)]+)\)", own, value))
        if style:
            element.set("style", ";".join(style))
    for key, value in (("role", "img"), ("aria-labelledby", f"{id}-t {id}-d"), ("class", "chart")):
        root.set(key, value)
    if words:
        group = ElementTree.SubElement(root, f"{{{_SVG}}}g", {"transform": f"translate({origin[0]:g},{origin[1]:g})"})
        for word in words:
            attributes = {
                "x": f"{word.x:g}",
                "y": f"{word.y:g}",
                "dy": ".35em",
                "text-anchor": word.anchor,
                "font-size": f"{word.size:g}",
            }
            if theme == "page":
                attributes["style"] = f"fill:{_variable(word.colour)}"
            else:
                attributes.update({"fill": plain(word.colour, theme), "font-family": FONT})
            if word.bold:
                attributes["font-weight"] = "700"
            ElementTree.SubElement(group, f"{{{_SVG}}}text", attributes).text = word.text
    for tag, text in (("desc", description), ("title", title)):
        child = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{id}-{tag[0]}"})
        child.text = text
        root.insert(0, child)
    return ElementTree.tostring(root, encoding="unicode")


def _variable(mark: str) -> str:
    name, light, _ = _MARKS[mark]
    return f"var({name},{light})"
