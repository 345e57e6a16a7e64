"""The trial data set, real or virtual: subjects, visits, events."""

from __future__ import annotations

from equipoise.trial.trials import EVENT_DEATH, EVENT_NONE, EVENT_VENTILATION, Trial, Trials

__all__ = ["EVENT_DEATH", "EVENT_NONE", "EVENT_VENTILATION", "Trial", "Trials"]
