"""Two numbers as one place in the plane, for a covariance that falls with the distance."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.estimate.columns import numbers
from equipoise.estimate.formula import CovarianceTerm
from equipoise.estimate.frames import require


def in_the_plane(frame: nw.DataFrame[Any], term: CovarianceTerm) -> tuple[nw.DataFrame[Any], dict[str, complex]]:
    """``frame`` with the column ``term.visit``, the place of each row in words (missing where a coordinate is), and
    where each place is, as a complex number: the kernels take the absolute value of a difference for the distance.

    Raises :class:`DataError` for a column that is absent or no number.
    """
    require(frame, term.coordinates)
    x, y = (numbers(frame, name) for name in term.coordinates)
    words = [None if np.isnan(a + b) else f"{a:.17g}, {b:.17g}" for a, b in zip(x, y, strict=True)]
    places = {w: complex(a, b) for w, a, b in zip(words, x, y, strict=True) if w is not None}
    column = nw.new_series(term.visit, words, nw.String, backend=nw.get_native_namespace(frame))
    return frame.with_columns(column), places
