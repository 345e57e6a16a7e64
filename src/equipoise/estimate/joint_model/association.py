"""What the hazard depends on: read from words, and made into rows for beta and for b.

``value``, ``slope``, ``area`` (the mean since time 0), ``area(26)`` (over the last 26), ``lag(8)`` (the value 8
earlier, before that the value at 0), ``deviation`` (of the patient's own course from the mean one, z(t)'b: Henderson et
al. 2000), ``effects`` (the random effects themselves). ``value + slope`` has both;
``value * arm`` lets the association differ by a column of the events; of several markers, one each:
``value(NFL) + slope(ALSFRS)``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.joint_model.trajectory import NOTHING, Instead, Marker
from equipoise.types import FloatArray, IntArray

FORMS = ("value", "slope", "area", "lag", "deviation", "effects")
_PART = re.compile(r"^(?P<form>[a-z]+)\s*(?:\((?P<inside>[^()]*)\))?$")
HINT = "value, slope, area, area(window), lag(c), deviation, effects; joined by +; value * column for an interaction"


@dataclass(frozen=True)
class Association:
    """One thing that the hazard depends on: ``form`` of ``marker`` (None: every one), ``length`` of lag or window, and
    the column ``by`` whose product with it is meant.
    """

    form: str
    marker: str | None = None
    length: float | None = None
    by: str | None = None

    @property
    def label(self) -> str:
        inside = ", ".join([*([self.marker] if self.marker else []), *([f"{self.length:g}"] if self.length else [])])
        return self.form + (f"({inside})" if inside else "")


def _one(text: str) -> Association:
    found = _PART.match(text.strip())
    if found is None or found["form"] not in FORMS:
        raise EstimationError(f"unknown association {text.strip()!r}", hint=HINT)
    marker, length = None, None
    for part in filter(None, (p.strip() for p in (found["inside"] or "").split(","))):
        try:
            length = float(part)
        except ValueError:
            marker = part
    form = found["form"]
    if form == "lag" and length is None:
        raise EstimationError("lag without its length", hint="write lag(8): the value 8 units of time earlier")
    if length is not None and (form not in ("lag", "area") or not 0.0 < length < np.inf):
        raise EstimationError(f"{text.strip()!r}: the length", hint="lag(c) and area(window) take a number above 0")
    return Association(form, marker, length)


def read_associations(asked: str | Sequence[str] | None) -> tuple[Association, ...]:
    """What was asked for, in order, each once; nothing for None or ``none``.

    Raises :class:`EstimationError` for what is not understood.

    >>> [a.label for a in read_associations("value * arm + lag(8)")]
    ['value', 'value', 'lag(8)']
    """
    if asked is None or asked == "none":
        return ()
    parts = [asked] if isinstance(asked, str) else list(asked)
    made: list[Association] = []
    for text in (piece for part in parts for piece in str(part).split("+")):
        for sign, both in (("*", True), (":", False)):
            if sign in text:
                left, _, by = text.partition(sign)
                one = _one(left)
                made += [one] if both else []
                made.append(Association(one.form, one.marker, one.length, by.strip().strip("`")))
                break
        else:
            made.append(_one(text))
    return tuple(dict.fromkeys(made))


def rows_of(
    one: Association, marker: Marker, who: IntArray, time: FloatArray, instead: Instead = NOTHING
) -> list[tuple[FloatArray, FloatArray]]:
    """Rows for beta (row, p) and b (row, d) of one form of one marker: one pair, of the effects one each."""
    if one.form == "effects":
        d = marker.z.shape[1]
        zero = np.zeros((len(who), marker.x.shape[1]))
        unit = np.eye(d)
        return [(zero, np.tile(unit[k], (len(who), 1))) for k in range(d)]
    if one.form == "deviation":
        x, z = marker.at(who, time, instead)
        x = np.zeros_like(x)
    elif one.form == "value":
        x, z = marker.at(who, time, instead)
    elif one.form == "slope":
        x, z = marker.slope_at(who, time, instead)
    elif one.form == "lag":
        assert one.length is not None
        x, z = marker.at(who, np.maximum(time - one.length, 0.0), instead)
    else:
        x, z = marker.mean_over(who, time, one.length, instead)
    return [(x, z)]
