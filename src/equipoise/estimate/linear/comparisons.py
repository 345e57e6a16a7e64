"""Which means are compared with which: weights of contrasts, by name or as given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.types import FloatArray

NAMES = ("pairwise", "dunnett", "trend", "sequential", "effects")
#: What R's emmeans calls them.
ALIASES = {"trt.vs.ctrl": "dunnett", "polynomial": "trend", "poly": "trend", "consec": "sequential", "eff": "effects"}
_DEGREES = ("linear", "quadratic", "cubic", "quartic")

Weights = Mapping[str, Any] | Sequence[Sequence[float]] | FloatArray


def comparisons(method: str | Weights, levels: Sequence[str], against: Any = None) -> tuple[list[str], FloatArray]:
    """Names and weights (contrast, level) of contrasts of the means of ``levels``.

    Parameters
    ----------
    method : ``pairwise`` (every level minus every earlier one), ``dunnett`` (all others minus ``against``, default the
        first level), ``trend`` (orthogonal polynomials of equally spaced levels, in whole numbers), ``sequential``
        (each minus the one before), ``effects`` (each minus the mean of all); or a mapping of names to weights, in the
        order of the levels or by level; or a matrix (contrast, level).

    Raises
    ------
    EstimationError : an unknown name or level, or weights that do not fit.

    Examples
    --------
    >>> comparisons("trend", ["0", "5", "10"])[1].tolist()
    [[-1.0, 0.0, 1.0], [1.0, -2.0, 1.0]]
    """
    k = len(levels)
    control = _index(levels, against) if against is not None else 0
    if isinstance(method, str):
        name = ALIASES.get(method, method)
        if name not in NAMES:
            raise EstimationError(f"no comparison {method!r}", hint="choose one of " + ", ".join([*NAMES, *ALIASES]))
        eye = np.eye(k)
        if name == "pairwise":
            pairs = [(a, b) for a in range(k) for b in range(a)]
        elif name == "dunnett":
            pairs = [(a, control) for a in range(k) if a != control]
        elif name == "sequential":
            pairs = [(a, a - 1) for a in range(1, k)]
        elif name == "effects":
            return [f"{one} - mean" for one in levels], eye - 1.0 / k
        else:
            rows = _polynomials(k)
            return [_DEGREES[d] if d < len(_DEGREES) else f"degree {d + 1}" for d in range(len(rows))], rows
        return (
            [f"{levels[a]} - {levels[b]}" for a, b in pairs],
            np.array([eye[a] - eye[b] for a, b in pairs]).reshape(len(pairs), k),
        )
    if isinstance(method, Mapping):
        names = [str(name) for name in method]
        rows = np.array([_row(name, one, levels) for name, one in method.items()]).reshape(len(names), k)
    else:
        try:
            rows = np.atleast_2d(np.asarray(method, dtype=np.float64))
        except (TypeError, ValueError):
            raise EstimationError(
                "the matrix of contrasts is not one of numbers", hint="give (contrast, level) weights"
            ) from None
        if rows.ndim != 2 or rows.shape[1] != k:
            raise EstimationError(
                f"contrasts of shape {rows.shape}", hint=f"give one weight for each of {', '.join(levels)}"
            )
        names = [_said(row, levels) for row in rows]
    if not np.isfinite(rows).all():
        raise EstimationError("weights of contrasts that are no finite numbers", hint="give numbers")
    return names, rows


def _index(levels: Sequence[str], level: Any) -> int:
    if str(level) not in levels:
        raise EstimationError(f"{level!r} is not a level", hint="levels are " + ", ".join(levels))
    return list(levels).index(str(level))


def _row(name: Any, weights: Any, levels: Sequence[str]) -> FloatArray:
    row = np.zeros(len(levels))
    if isinstance(weights, Mapping):
        for level, weight in weights.items():
            row[_index(levels, level)] = weight
        return row
    try:
        given = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != row.shape:
        raise EstimationError(
            f"contrast {name!r} has weights {weights!r}", hint=f"give one number for each of {', '.join(levels)}"
        )
    return given


def _said(row: FloatArray, levels: Sequence[str]) -> str:
    """A contrast in symbols: ``c - 0.5 a - 0.5 b``."""
    parts: list[str] = []
    for weight, level in sorted(zip(row, levels, strict=True), key=lambda p: -p[0]):
        if weight:
            size = "" if abs(weight) == 1.0 else f"{abs(weight):g} "
            sign = (" - " if parts else "-") if weight < 0.0 else (" + " if parts else "")
            parts.append(f"{sign}{size}{level}")
    return "".join(parts) or "0"


def _polynomials(k: int) -> FloatArray:
    """(degree, level) orthogonal polynomials of 1..k in whole numbers without a common divisor, as R's emmeans."""
    basis: list[list[Fraction]] = []
    for degree in range(k):
        row = [Fraction(i) ** degree for i in range(1, k + 1)]
        for other in basis:
            share = Fraction(sum(a * b for a, b in zip(row, other, strict=True))) / Fraction(sum(b * b for b in other))
            row = [a - share * b for a, b in zip(row, other, strict=True)]
        basis.append(row)
    out = []
    for row in basis[1:]:
        scale = math.lcm(*(v.denominator for v in row))
        whole = [int(v * scale) for v in row]
        divisor = math.gcd(*whole)
        out.append([v / divisor for v in whole])
    return np.array(out, dtype=np.float64).reshape(len(out), k)
