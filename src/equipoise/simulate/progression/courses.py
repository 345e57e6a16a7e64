"""The mean loss of the outcome over time, without drug: a line, an exponential, or a natural cubic spline."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.interpolate import CubicSpline

from equipoise.files import Frozen
from equipoise.types import WEEKS_PER_MONTH, FloatArray

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Linear(Frozen):
    """The same loss every month: ``rate`` points (negative: an improvement).

    >>> Linear(form="linear", rate=1.0).loss(np.array([0.0, 4.348214285714286]))
    array([0., 1.])
    """

    form: Literal["linear"]
    rate: Finite

    def loss(self, weeks: FloatArray) -> FloatArray:
        """(week,) points lost by each week."""
        return self.rate * weeks / WEEKS_PER_MONTH

    def pace(self, weeks: FloatArray) -> FloatArray:
        """(week,) points lost per week at each week."""
        return np.full_like(weeks, self.rate / WEEKS_PER_MONTH)


class Exponential(Frozen):
    """A loss whose pace begins at ``rate`` points a month and halves every ``half_life`` or doubles every ``doubling``.

    f(t) = rate (1 - exp(-k t)) / k, k = ln 2 / half_life or -ln 2 / doubling.
    """

    form: Literal["exponential"]
    rate: Finite
    half_life: Positive | None = None
    doubling: Positive | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.half_life is None) == (self.doubling is None):
            raise ValueError(
                "give half_life (weeks in which the pace halves) or doubling (in which it doubles), not both"
            )
        return self

    @property
    def k(self) -> float:
        """Per week."""
        return (
            math.log(2.0) / self.half_life if self.half_life is not None else -math.log(2.0) / float(self.doubling or 1)
        )

    def loss(self, weeks: FloatArray) -> FloatArray:
        """(week,) points lost by each week."""
        return self.rate / WEEKS_PER_MONTH * -np.expm1(-self.k * weeks) / self.k

    def pace(self, weeks: FloatArray) -> FloatArray:
        """(week,) points lost per week at each week."""
        return self.rate / WEEKS_PER_MONTH * np.exp(-self.k * weeks)


class Spline(Frozen):
    """A natural cubic spline through ``loss`` points lost at ``weeks``, the first 0 at week 0; straight after the last.

    With two knots it is a line.
    """

    form: Literal["spline"]
    weeks: Annotated[tuple[Finite, ...], Field(min_length=2)]
    points: Annotated[tuple[Finite, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _knots(self) -> Self:
        if len(self.weeks) != len(self.points):
            raise ValueError(f"points: {len(self.points)} for {len(self.weeks)} weeks; give one a knot")
        if (self.weeks[0], self.points[0]) != (0, 0):
            raise ValueError("weeks: the first knot is week 0, where 0 points are lost")
        for a, b in zip(self.weeks, self.weeks[1:], strict=False):
            if b <= a:
                raise ValueError(f"weeks: week {b:g} follows week {a:g}; knots must increase")
        return self

    def _evaluated(self, weeks: FloatArray, derivative: int) -> FloatArray:
        spline = CubicSpline(self.weeks, self.points, bc_type="natural")
        last = self.weeks[-1]
        inside = spline(np.minimum(weeks, last), derivative)
        beyond = float(spline(last, 1)) * np.maximum(weeks - last, 0.0) if derivative == 0 else 0.0
        return np.asarray(inside + beyond, dtype=np.float64)

    def loss(self, weeks: FloatArray) -> FloatArray:
        """(week,) points lost by each week."""
        return self._evaluated(weeks, 0)

    def pace(self, weeks: FloatArray) -> FloatArray:
        """(week,) points lost per week at each week."""
        return self._evaluated(weeks, 1)


Course = Annotated[Linear | Exponential | Spline, Field(discriminator="form")]
"""The mean loss over time, chosen by ``form``."""
