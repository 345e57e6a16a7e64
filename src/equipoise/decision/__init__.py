"""Interim looks, adaptation and multiplicity: what a protocol lays down to keep its error rates.

Group sequential designs (:func:`group_sequential`), conditional and predictive power, information, the inverse-normal
combination test (:class:`InverseNormal`), and several hypotheses (:class:`Graph`). Equations, sources and the figures
against R in ``docs/methods/sequential.md``.
"""

from __future__ import annotations

from equipoise.decision.combination import InverseNormal, Reestimate, stage_statistics
from equipoise.decision.design import Boundaries, GroupSequentialDesign, group_sequential
from equipoise.decision.interim import (
    StagewiseEstimate,
    conditional_power,
    events_from_information,
    information_from_events,
    information_from_se,
    information_from_visits,
    predictive_power,
    stagewise_estimate,
)
from equipoise.decision.multiplicity import Graph, GraphResult, serial_gatekeeping
from equipoise.decision.recursion import exit_probabilities
from equipoise.decision.spending import (
    FixedFutility,
    HaybittlePeto,
    HwangShihDeCani,
    OBrienFlemingSpending,
    PocockSpending,
    PowerSpending,
    WangTsiatis,
)

__all__ = [
    "Boundaries",
    "FixedFutility",
    "Graph",
    "GraphResult",
    "GroupSequentialDesign",
    "HaybittlePeto",
    "HwangShihDeCani",
    "InverseNormal",
    "OBrienFlemingSpending",
    "PocockSpending",
    "PowerSpending",
    "Reestimate",
    "StagewiseEstimate",
    "WangTsiatis",
    "conditional_power",
    "events_from_information",
    "exit_probabilities",
    "group_sequential",
    "information_from_events",
    "information_from_se",
    "information_from_visits",
    "predictive_power",
    "serial_gatekeeping",
    "stage_statistics",
    "stagewise_estimate",
]
