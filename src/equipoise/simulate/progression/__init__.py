"""A disease as data: an outcome that declines, with random effects, residual correlation, a marker and an event."""

from __future__ import annotations

from equipoise.simulate.progression.model import Disease, Effect, Group
from equipoise.simulate.progression.package import PACKAGE

__all__ = ["PACKAGE", "Disease", "Effect", "Group"]
