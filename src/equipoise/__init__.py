"""Equipoise: the appraisal of a clinical trial, made executable.

The names below are imported when first used, so that ``import equipoise`` and the command line stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "DeteriorationRule": "equipoise.estimate.survival.deterioration",
    "Estimate": "equipoise.estimate.result",
    "Record": "equipoise.records",
    "Replica": "equipoise.appraise",
    "Scenario": "equipoise.simulate",
    "Trial": "equipoise.trial",
    "Trials": "equipoise.trial",
    "ancova": "equipoise.estimate.linear.ancova",
    "cafs": "equipoise.estimate.ranks.joint_rank",
    "cause_specific": "equipoise.estimate.survival.competing_risks",
    "clda": "equipoise.estimate.linear.clda",
    "closed_sequence": "equipoise.decision.fixed_order",
    "cox": "equipoise.estimate.survival",
    "cumulative_incidence": "equipoise.estimate.survival.competing_risks",
    "deterioration": "equipoise.estimate.survival.deterioration",
    "fine_gray": "equipoise.estimate.survival.competing_risks",
    "gray_test": "equipoise.estimate.survival.competing_risks",
    "imputation_draws": "equipoise.estimate.missing",
    "incidence_difference": "equipoise.estimate.survival.competing_risks",
    "joint_rank": "equipoise.estimate.ranks.joint_rank",
    "kaplan_meier": "equipoise.estimate.survival.kaplan_meier",
    "landmark": "equipoise.estimate.survival.landmark",
    "landscape": "equipoise.appraise.landscape",
    "load_record": "equipoise.records",
    "load_scenario": "equipoise.simulate",
    "log_rank": "equipoise.estimate.survival",
    "max_combo": "equipoise.estimate.survival",
    "mi_analysis": "equipoise.estimate.missing",
    "mi_ancova": "equipoise.estimate.missing",
    "mmrm": "equipoise.estimate.linear.mmrm",
    "replicate": "equipoise.appraise",
    "rmst": "equipoise.estimate.survival.rmst",
    "rpsftm": "equipoise.estimate.survival.switching",
    "slope": "equipoise.estimate.linear.slope",
    "tipping_point": "equipoise.estimate.missing",
    "trimmed_mean": "equipoise.estimate.missing",
    "win_regression": "equipoise.estimate.ranks.win_regression",
    "win_statistics": "equipoise.estimate.ranks.win",
}

if TYPE_CHECKING:
    from equipoise import plot as plot
    from equipoise.appraise.landscape import landscape as landscape
    from equipoise.decision.fixed_order import closed_sequence as closed_sequence
    from equipoise.estimate.linear.ancova import ancova as ancova
    from equipoise.estimate.linear.clda import clda as clda
    from equipoise.estimate.linear.mmrm import mmrm as mmrm
    from equipoise.estimate.linear.slope import slope as slope
    from equipoise.estimate.missing import imputation_draws as imputation_draws
    from equipoise.estimate.missing import mi_analysis as mi_analysis
    from equipoise.estimate.missing import mi_ancova as mi_ancova
    from equipoise.estimate.missing import tipping_point as tipping_point
    from equipoise.estimate.missing import trimmed_mean as trimmed_mean
    from equipoise.estimate.ranks.joint_rank import cafs as cafs
    from equipoise.estimate.ranks.joint_rank import joint_rank as joint_rank
    from equipoise.estimate.ranks.win import win_statistics as win_statistics
    from equipoise.estimate.ranks.win_regression import win_regression as win_regression
    from equipoise.estimate.result import Estimate as Estimate
    from equipoise.estimate.survival import cox as cox
    from equipoise.estimate.survival import log_rank as log_rank
    from equipoise.estimate.survival import max_combo as max_combo
    from equipoise.estimate.survival.competing_risks import cause_specific as cause_specific
    from equipoise.estimate.survival.competing_risks import cumulative_incidence as cumulative_incidence
    from equipoise.estimate.survival.competing_risks import fine_gray as fine_gray
    from equipoise.estimate.survival.competing_risks import gray_test as gray_test
    from equipoise.estimate.survival.competing_risks import incidence_difference as incidence_difference
    from equipoise.estimate.survival.deterioration import DeteriorationRule as DeteriorationRule
    from equipoise.estimate.survival.deterioration import deterioration as deterioration
    from equipoise.estimate.survival.kaplan_meier import kaplan_meier as kaplan_meier
    from equipoise.estimate.survival.landmark import landmark as landmark
    from equipoise.estimate.survival.rmst import rmst as rmst
    from equipoise.estimate.survival.switching import rpsftm as rpsftm
    from equipoise.records import Record as Record
    from equipoise.records import load_record as load_record
    from equipoise.replica.rebuild import replicate as replicate
    from equipoise.replica.replica import Replica as Replica
    from equipoise.simulate import Scenario as Scenario
    from equipoise.simulate import load_scenario as load_scenario
    from equipoise.trial import Trial as Trial
    from equipoise.trial import Trials as Trials
__all__ = ["__version__", "plot", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "plot":
        return import_module("equipoise.plot")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'equipoise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "plot", *_HOME})
