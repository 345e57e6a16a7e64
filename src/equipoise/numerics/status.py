"""The status codes as compiled code takes them: plain integers, made from :class:`equipoise.types.Status` once."""

from __future__ import annotations

from equipoise.types import Status

OK = int(Status.OK)
NOT_CONVERGED = int(Status.NOT_CONVERGED)
BOUNDARY = int(Status.BOUNDARY)
NO_EVENTS = int(Status.NO_EVENTS)
ONE_ARM_EVENTS = int(Status.ONE_ARM_EVENTS)
EMPTY_ARM = int(Status.EMPTY_ARM)
SINGULAR = int(Status.SINGULAR)
NO_DATA = int(Status.NO_DATA)
NO_VARIANCE = int(Status.NO_VARIANCE)
ALIASED = int(Status.ALIASED)
NOT_IDENTIFIED = int(Status.NOT_IDENTIFIED)
