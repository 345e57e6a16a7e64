"""Arms, ratio, strata, visits, dosing, extension and the analysis plan: the design as data."""

from __future__ import annotations

from equipoise.protocol.deciding import Deciding, deciding, of_test
from equipoise.protocol.design import Dosing, Extension, FollowUp, Intake, Protocol, RunIn
from equipoise.protocol.measure import Kind, Measure
from equipoise.protocol.plan import (
    Analysis,
    AnalysisPlan,
    CarriedForward,
    MixedModel,
    OutcomeAnalysis,
    Repeated,
    Slopes,
    TimeToEvent,
)

__all__ = [
    "Analysis",
    "AnalysisPlan",
    "CarriedForward",
    "Deciding",
    "Dosing",
    "Extension",
    "FollowUp",
    "Intake",
    "Kind",
    "Measure",
    "MixedModel",
    "OutcomeAnalysis",
    "Protocol",
    "Repeated",
    "RunIn",
    "Slopes",
    "TimeToEvent",
    "deciding",
    "of_test",
]
