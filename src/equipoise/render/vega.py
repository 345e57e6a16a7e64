"""Vega-Lite to SVG: one version of the language, and each drawing made once in a process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

VERSION = "6.1"


def to_svg(spec: Mapping[str, Any]) -> str:
    """The SVG of a Vega-Lite specification; that of the same specification is kept, for to draw is slow."""
    return _drawn(json.dumps(spec))


@lru_cache(maxsize=128)
def _drawn(spec: str) -> str:
    import vl_convert

    made: str = vl_convert.vegalite_to_svg(spec, vl_version=VERSION)
    return made
