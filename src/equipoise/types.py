"""Shape names, units and status codes, in one place.

A name such as ``TrialSubjectVisit`` is an ordinary float64 array; the name says its axes in order.

Units: time in weeks from first dose; slopes in points per month of 30.4375 days; NfL in pg/mL; CSF SOD1 and
tofersen in ng/mL; ALSFRS-R 0-48, higher better.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
CodeArray: TypeAlias = npt.NDArray[np.int8]

TrialSubjectVisit: TypeAlias = FloatArray

DAYS_PER_WEEK = 7.0
DAYS_PER_MONTH = 30.4375
WEEKS_PER_MONTH = DAYS_PER_MONTH / DAYS_PER_WEEK


class Status(IntEnum):
    """What became of an estimate. Anything but ``OK`` comes with a reason in words."""

    OK = 0
    NOT_CONVERGED = 1
    BOUNDARY = 2
    NO_EVENTS = 3
    ONE_ARM_EVENTS = 4
    EMPTY_ARM = 5
    SINGULAR = 6
    NO_DATA = 7
    NO_VARIANCE = 8
    ALIASED = 9
    NOT_IDENTIFIED = 10


REASONS: dict[Status, str] = {
    Status.OK: "estimated",
    Status.NOT_CONVERGED: "the optimiser did not converge",
    Status.BOUNDARY: "the estimate lies on the boundary of the parameter space",
    Status.NO_EVENTS: "not estimable: no events",
    Status.ONE_ARM_EVENTS: "not estimable: all events in one arm",
    Status.EMPTY_ARM: "not estimable: an arm has no patients",
    Status.SINGULAR: "not estimable: the design matrix is singular",
    Status.NO_DATA: "not estimable: no observed values",
    Status.NO_VARIANCE: "not estimable: no residual variance is left (the model fits the outcome exactly)",
    Status.ALIASED: "not estimable: it cannot be told apart from other terms of the model (aliased)",
    Status.NOT_IDENTIFIED: "not estimable: the data hold nothing on a parameter of the model",
}
