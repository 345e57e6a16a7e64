"""The trial data set, real or virtual: subjects, visits, events."""

from __future__ import annotations

from equipoise.trial.trials import EventTimes, Trial, Trials

__all__ = ["EventTimes", "Trial", "Trials"]
