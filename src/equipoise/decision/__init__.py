"""Interim looks, adaptation and multiplicity: what a protocol lays down to keep its error rates.

Group sequential designs (:func:`group_sequential`), power in closed form (:func:`power_mmrm` and its like), conditional
and predictive power, information, the inverse-normal combination test (:class:`InverseNormal`), and several hypotheses
(:class:`Graph`). Equations, sources and the figures against R in ``docs/methods/sequential.md`` and ``power.md``.
"""

from __future__ import annotations

from equipoise.decision.assurance import Assurance, ValueOfInformation, assurance, value_of_information
from equipoise.decision.closed_combination import ClosedCombination, dunnett_p
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
from equipoise.decision.power import (
    Power,
    power_delayed_start,
    power_logrank,
    power_mmrm,
    power_slope,
    power_ttest,
    random_slope_covariance,
    share_of_slowing,
    visit_covariance,
)
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
    "Assurance",
    "Boundaries",
    "ClosedCombination",
    "FixedFutility",
    "Graph",
    "GraphResult",
    "GroupSequentialDesign",
    "HaybittlePeto",
    "HwangShihDeCani",
    "InverseNormal",
    "OBrienFlemingSpending",
    "PocockSpending",
    "Power",
    "PowerSpending",
    "Reestimate",
    "StagewiseEstimate",
    "ValueOfInformation",
    "WangTsiatis",
    "assurance",
    "conditional_power",
    "dunnett_p",
    "events_from_information",
    "exit_probabilities",
    "group_sequential",
    "information_from_events",
    "information_from_se",
    "information_from_visits",
    "power_delayed_start",
    "power_logrank",
    "power_mmrm",
    "power_slope",
    "power_ttest",
    "predictive_power",
    "random_slope_covariance",
    "serial_gatekeeping",
    "share_of_slowing",
    "stage_statistics",
    "stagewise_estimate",
    "value_of_information",
    "visit_covariance",
]
