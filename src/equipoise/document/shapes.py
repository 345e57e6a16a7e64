"""What a ready drawing may hold: shapes and words, nothing that runs, loads or leads anywhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

MOST = 4_000_000
"""Characters of a drawing."""

_SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset(
    re.findall(
        r"\w+",
        """svg g path rect line circle ellipse polygon polyline text tspan defs clipPath linearGradient radialGradient
        stop title desc""",
    )
)
_ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        """class clip-path cx cy d display dominant-baseline dx dy fill fill-opacity font-family font-size font-style
        font-weight gradientUnits height id offset opacity pointer-events points r role rx ry stop-color stop-opacity
        stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity
        stroke-width text-anchor transform version viewBox width x x1 x2 y y1 y2""",
    )
)
_WITHIN = re.compile(r"url\(#[\w-]+\)")


def beyond_shapes(svg: str) -> str | None:
    """The first thing in an SVG that is neither a shape nor words; None where there is nothing else.

    Examples
    --------
    >>> beyond_shapes('<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h9"/></svg>') is None
    True
    >>> beyond_shapes('<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>')
    "the attribute 'onload'"
    """
    if len(svg) > MOST:
        return f"more than {MOST:,} characters"
    if "<!" in svg or "<?" in svg:
        return "a declaration"
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        return f"no SVG ({error})"
    if root.tag != f"{_SVG}svg":
        return "no SVG"
    for element in root.iter():
        name = str(element.tag).removeprefix(_SVG)
        if name not in _ELEMENTS:
            return f"the element {name[:40]!r}"
        for key, value in element.attrib.items():
            if key not in _ATTRIBUTES and not key.startswith("aria-"):
                return f"the attribute {key[:40]!r}"
            if "url" in value.lower() and not _WITHIN.fullmatch(value) and not key.startswith("aria-"):
                return f"an address in {key!r}"
    return None
