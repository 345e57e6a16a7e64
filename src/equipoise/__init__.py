"""Equipoise: the appraisal of a clinical trial, made executable.

The names below are imported when first used, so that ``import equipoise`` and the command line stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equipoise.drawing import draw_with

__version__ = "0.1.0"

draw_with(lambda: import_module("equipoise.plot"))

#: The public surface: heading -> name -> (module, name there). The API reference is made from this table.
SURFACE: dict[str, dict[str, tuple[str, str]]] = {
    "The page": {
        "appraise": ("equipoise.appraise", "appraise"),
        "landscape": ("equipoise.appraise.landscape", "landscape"),
        "natural_history": ("equipoise.appraise.landscape.natural_history", "natural_history"),
        "second_trials": ("equipoise.appraise.landscape.second_trials", "second_trials"),
        "question_set": ("equipoise.appraise.questions", "question_set"),
        "Reader": ("equipoise.document.readers", "Reader"),
        "Document": ("equipoise.document.document", "Document"),
        "render": ("equipoise.render", "render"),
    },
    "Records and the trial rebuilt": {
        "Record": ("equipoise.records", "Record"),
        "load_record": ("equipoise.records", "load_record"),
        "coherence_notes": ("equipoise.records", "coherence_notes"),
        "replicate": ("equipoise.replica.rebuild", "replicate"),
        "Replica": ("equipoise.replica.replica", "Replica"),
    },
    "Virtual trials": {
        "simulate": ("equipoise.simulate", "simulate"),
        "load_scenario": ("equipoise.simulate", "load_scenario"),
        "Scenario": ("equipoise.simulate", "Scenario"),
        "DiseasePackage": ("equipoise.simulate.diseases", "DiseasePackage"),
        "register_disease": ("equipoise.simulate.diseases", "register_disease"),
        "Trial": ("equipoise.trial", "Trial"),
        "Trials": ("equipoise.trial", "Trials"),
        "run_study": ("equipoise.run", "run_study"),
        "fit": ("equipoise.calibrate", "fit"),
        "posterior": ("equipoise.calibrate.posterior", "posterior"),
    },
    "Plans and files": {
        "read_adam": ("equipoise.trial.adam", "read_adam"),
        "write_adam": ("equipoise.trial.adam", "write_adam"),
        "from_trial": ("equipoise.trial.adam", "from_trial"),
        "read_plan": ("equipoise.plan.analysis_plan", "read_plan"),
        "Plan": ("equipoise.plan.analysis_plan", "Plan"),
        "analyse": ("equipoise.plan.carry_out", "analyse"),
    },
    "Linear models": {
        "ancova": ("equipoise.estimate.linear.ancova", "ancova"),
        "mmrm": ("equipoise.estimate.linear.mmrm", "mmrm"),
        "clda": ("equipoise.estimate.linear.clda", "clda"),
        "slope": ("equipoise.estimate.linear.slope", "slope"),
        "compare_fits": ("equipoise.estimate.compare_fits", "compare_fits"),
    },
    "Yes or no, ordered answers, counts": {
        "proportions": ("equipoise.estimate.categorical.proportions", "proportions"),
        "cmh": ("equipoise.estimate.categorical.cmh", "cmh"),
        "table_test": ("equipoise.estimate.categorical.cmh", "table_test"),
        "mcnemar": ("equipoise.estimate.categorical.cmh", "mcnemar"),
        "logistic": ("equipoise.estimate.categorical.logistic", "logistic"),
        "proportional_odds": ("equipoise.estimate.categorical.ordinal", "proportional_odds"),
        "count_regression": ("equipoise.estimate.categorical.counts", "count_regression"),
        "rates": ("equipoise.estimate.categorical.counts", "rates"),
        "gee": ("equipoise.estimate.categorical.gee", "gee"),
    },
    "Joint models": {
        "joint_model": ("equipoise.estimate.joint_model", "joint_model"),
        "disease_rate_ratio": ("equipoise.estimate.joint_model", "disease_rate_ratio"),
    },
    "Published estimates combined": {
        "meta_analysis": ("equipoise.estimate.meta_analysis", "meta_analysis"),
        "NormalMixture": ("equipoise.estimate.mixture", "NormalMixture"),
    },
    "Times to an event": {
        "kaplan_meier": ("equipoise.estimate.survival.kaplan_meier", "kaplan_meier"),
        "log_rank": ("equipoise.estimate.survival", "log_rank"),
        "max_combo": ("equipoise.estimate.survival", "max_combo"),
        "cox": ("equipoise.estimate.survival", "cox"),
        "rmst": ("equipoise.estimate.survival.rmst", "rmst"),
        "landmark": ("equipoise.estimate.survival.landmark", "landmark"),
        "cumulative_incidence": ("equipoise.estimate.survival.competing_risks", "cumulative_incidence"),
        "incidence_difference": ("equipoise.estimate.survival.competing_risks", "incidence_difference"),
        "gray_test": ("equipoise.estimate.survival.gray", "gray_test"),
        "cause_specific": ("equipoise.estimate.survival.competing_risks", "cause_specific"),
        "fine_gray": ("equipoise.estimate.survival.fine_gray", "fine_gray"),
        "deterioration": ("equipoise.estimate.survival.deterioration", "deterioration"),
        "DeteriorationRule": ("equipoise.estimate.survival.deterioration", "DeteriorationRule"),
        "recurrent": ("equipoise.estimate.survival.recurrent", "recurrent"),
        "rpsftm": ("equipoise.estimate.survival.switching", "rpsftm"),
    },
    "Ranks and wins": {
        "joint_rank": ("equipoise.estimate.ranks.joint_rank", "joint_rank"),
        "cafs": ("equipoise.estimate.ranks.joint_rank_cafs", "cafs"),
        "win_statistics": ("equipoise.estimate.ranks.win", "win_statistics"),
        "win_regression": ("equipoise.estimate.ranks.win_regression", "win_regression"),
        "Time": ("equipoise.estimate.ranks.win", "Time"),
        "Value": ("equipoise.estimate.ranks.win", "Value"),
        "Binary": ("equipoise.estimate.ranks.win", "Binary"),
    },
    "Several arms": {"pairwise": ("equipoise.estimate.pairwise", "pairwise")},
    "Missing values": {
        "mi_ancova": ("equipoise.estimate.missing", "mi_ancova"),
        "mi_analysis": ("equipoise.estimate.missing", "mi_analysis"),
        "imputation_draws": ("equipoise.estimate.missing", "imputation_draws"),
        "tipping_point": ("equipoise.estimate.missing", "tipping_point"),
        "trimmed_mean": ("equipoise.estimate.missing", "trimmed_mean"),
        "Bayes": ("equipoise.estimate.missing", "Bayes"),
        "ApproxBayes": ("equipoise.estimate.missing", "ApproxBayes"),
        "Bmlmi": ("equipoise.estimate.missing", "Bmlmi"),
        "ConditionalMean": ("equipoise.estimate.missing", "ConditionalMean"),
        "Ancova": ("equipoise.estimate.missing", "Ancova"),
        "Mmrm": ("equipoise.estimate.missing", "Mmrm"),
        "JointRank": ("equipoise.estimate.missing", "JointRank"),
        "WinRatio": ("equipoise.estimate.missing", "WinRatio"),
        "Responder": ("equipoise.estimate.missing", "Responder"),
        "Composite": ("equipoise.estimate.missing", "Composite"),
    },
    "Delayed start": {
        "delayed_start": ("equipoise.estimate.delayed_start", "delayed_start"),
        "delayed_start_slopes": ("equipoise.estimate.delayed_start", "delayed_start_slopes"),
    },
    "Decisions": {
        "group_sequential": ("equipoise.decision", "group_sequential"),
        "HaybittlePeto": ("equipoise.decision", "HaybittlePeto"),
        "HwangShihDeCani": ("equipoise.decision", "HwangShihDeCani"),
        "OBrienFlemingSpending": ("equipoise.decision", "OBrienFlemingSpending"),
        "PocockSpending": ("equipoise.decision", "PocockSpending"),
        "PowerSpending": ("equipoise.decision", "PowerSpending"),
        "WangTsiatis": ("equipoise.decision", "WangTsiatis"),
        "FixedFutility": ("equipoise.decision", "FixedFutility"),
        "conditional_power": ("equipoise.decision", "conditional_power"),
        "predictive_power": ("equipoise.decision", "predictive_power"),
        "InverseNormal": ("equipoise.decision", "InverseNormal"),
        "Graph": ("equipoise.decision", "Graph"),
        "serial_gatekeeping": ("equipoise.decision", "serial_gatekeeping"),
        "closed_sequence": ("equipoise.decision.fixed_order", "closed_sequence"),
    },
    "The next trial": {
        "design": ("equipoise.design", "design"),
        "load_study": ("equipoise.design", "load_study"),
        "DesignStudy": ("equipoise.design", "DesignStudy"),
        "DesignResult": ("equipoise.design", "DesignResult"),
    },
    "Power and sample size": {
        "assurance": ("equipoise.decision", "assurance"),
        "power_delayed_start": ("equipoise.decision", "power_delayed_start"),
        "power_logrank": ("equipoise.decision", "power_logrank"),
        "power_mmrm": ("equipoise.decision", "power_mmrm"),
        "power_slope": ("equipoise.decision", "power_slope"),
        "power_ttest": ("equipoise.decision", "power_ttest"),
        "random_slope_covariance": ("equipoise.decision", "random_slope_covariance"),
        "share_of_slowing": ("equipoise.decision", "share_of_slowing"),
        "value_of_information": ("equipoise.decision", "value_of_information"),
        "visit_covariance": ("equipoise.decision", "visit_covariance"),
    },
    "Surrogates": {
        "surrogacy": ("equipoise.surrogate", "surrogacy"),
        "surrogacy_units": ("equipoise.surrogate", "surrogacy_units"),
        "surrogacy_copula": ("equipoise.surrogate", "surrogacy_copula"),
        "surrogacy_trials": ("equipoise.surrogate", "surrogacy_trials"),
        "surrogacy_operating_characteristics": ("equipoise.replica.validation", "operating_characteristics"),
        "causal_association": ("equipoise.surrogate", "causal_association"),
        "per_patient": ("equipoise.surrogate", "per_patient"),
        "trials_needed": ("equipoise.surrogate", "trials_needed"),
        "Ordinal": ("equipoise.surrogate", "Ordinal"),
        "Prior": ("equipoise.surrogate", "Prior"),
    },
    "What they give back": {"Estimate": ("equipoise.estimate.result", "Estimate")},
}

_HOME = {name: home for names in SURFACE.values() for name, home in names.items()}

if TYPE_CHECKING:
    from equipoise import plot as plot
    from equipoise.appraise.build import appraise as appraise
    from equipoise.appraise.landscape import landscape as landscape
    from equipoise.appraise.landscape.natural_history import natural_history as natural_history
    from equipoise.appraise.landscape.second_trials import second_trials as second_trials
    from equipoise.appraise.questions import question_set as question_set
    from equipoise.calibrate import fit as fit
    from equipoise.calibrate.posterior import posterior as posterior
    from equipoise.decision import FixedFutility as FixedFutility
    from equipoise.decision import Graph as Graph
    from equipoise.decision import HaybittlePeto as HaybittlePeto
    from equipoise.decision import HwangShihDeCani as HwangShihDeCani
    from equipoise.decision import InverseNormal as InverseNormal
    from equipoise.decision import OBrienFlemingSpending as OBrienFlemingSpending
    from equipoise.decision import PocockSpending as PocockSpending
    from equipoise.decision import PowerSpending as PowerSpending
    from equipoise.decision import WangTsiatis as WangTsiatis
    from equipoise.decision import assurance as assurance
    from equipoise.decision import conditional_power as conditional_power
    from equipoise.decision import group_sequential as group_sequential
    from equipoise.decision import power_delayed_start as power_delayed_start
    from equipoise.decision import power_logrank as power_logrank
    from equipoise.decision import power_mmrm as power_mmrm
    from equipoise.decision import power_slope as power_slope
    from equipoise.decision import power_ttest as power_ttest
    from equipoise.decision import predictive_power as predictive_power
    from equipoise.decision import random_slope_covariance as random_slope_covariance
    from equipoise.decision import serial_gatekeeping as serial_gatekeeping
    from equipoise.decision import share_of_slowing as share_of_slowing
    from equipoise.decision import value_of_information as value_of_information
    from equipoise.decision import visit_covariance as visit_covariance
    from equipoise.decision.fixed_order import closed_sequence as closed_sequence
    from equipoise.design import DesignResult as DesignResult
    from equipoise.design import DesignStudy as DesignStudy
    from equipoise.design import design as design
    from equipoise.design import load_study as load_study
    from equipoise.document.document import Document as Document
    from equipoise.document.readers import Reader as Reader
    from equipoise.estimate.categorical.cmh import cmh as cmh
    from equipoise.estimate.categorical.cmh import mcnemar as mcnemar
    from equipoise.estimate.categorical.cmh import table_test as table_test
    from equipoise.estimate.categorical.counts import count_regression as count_regression
    from equipoise.estimate.categorical.counts import rates as rates
    from equipoise.estimate.categorical.gee import gee as gee
    from equipoise.estimate.categorical.logistic import logistic as logistic
    from equipoise.estimate.categorical.ordinal import proportional_odds as proportional_odds
    from equipoise.estimate.categorical.proportions import proportions as proportions
    from equipoise.estimate.compare_fits import compare_fits as compare_fits
    from equipoise.estimate.delayed_start import delayed_start as delayed_start
    from equipoise.estimate.delayed_start import delayed_start_slopes as delayed_start_slopes
    from equipoise.estimate.joint_model import disease_rate_ratio as disease_rate_ratio
    from equipoise.estimate.joint_model import joint_model as joint_model
    from equipoise.estimate.linear.ancova import ancova as ancova
    from equipoise.estimate.linear.clda import clda as clda
    from equipoise.estimate.linear.mmrm import mmrm as mmrm
    from equipoise.estimate.linear.slope import slope as slope
    from equipoise.estimate.meta_analysis import meta_analysis as meta_analysis
    from equipoise.estimate.missing import Ancova as Ancova
    from equipoise.estimate.missing import ApproxBayes as ApproxBayes
    from equipoise.estimate.missing import Bayes as Bayes
    from equipoise.estimate.missing import Bmlmi as Bmlmi
    from equipoise.estimate.missing import Composite as Composite
    from equipoise.estimate.missing import ConditionalMean as ConditionalMean
    from equipoise.estimate.missing import JointRank as JointRank
    from equipoise.estimate.missing import Mmrm as Mmrm
    from equipoise.estimate.missing import Responder as Responder
    from equipoise.estimate.missing import WinRatio as WinRatio
    from equipoise.estimate.missing import imputation_draws as imputation_draws
    from equipoise.estimate.missing import mi_analysis as mi_analysis
    from equipoise.estimate.missing import mi_ancova as mi_ancova
    from equipoise.estimate.missing import tipping_point as tipping_point
    from equipoise.estimate.missing import trimmed_mean as trimmed_mean
    from equipoise.estimate.mixture import NormalMixture as NormalMixture
    from equipoise.estimate.pairwise import pairwise as pairwise
    from equipoise.estimate.ranks.joint_rank import joint_rank as joint_rank
    from equipoise.estimate.ranks.joint_rank_cafs import cafs as cafs
    from equipoise.estimate.ranks.win import Binary as Binary
    from equipoise.estimate.ranks.win import Time as Time
    from equipoise.estimate.ranks.win import Value as Value
    from equipoise.estimate.ranks.win import win_statistics as win_statistics
    from equipoise.estimate.ranks.win_regression import win_regression as win_regression
    from equipoise.estimate.result import Estimate as Estimate
    from equipoise.estimate.survival import cox as cox
    from equipoise.estimate.survival import log_rank as log_rank
    from equipoise.estimate.survival import max_combo as max_combo
    from equipoise.estimate.survival.competing_risks import cause_specific as cause_specific
    from equipoise.estimate.survival.competing_risks import cumulative_incidence as cumulative_incidence
    from equipoise.estimate.survival.competing_risks import incidence_difference as incidence_difference
    from equipoise.estimate.survival.deterioration import DeteriorationRule as DeteriorationRule
    from equipoise.estimate.survival.deterioration import deterioration as deterioration
    from equipoise.estimate.survival.fine_gray import fine_gray as fine_gray
    from equipoise.estimate.survival.gray import gray_test as gray_test
    from equipoise.estimate.survival.kaplan_meier import kaplan_meier as kaplan_meier
    from equipoise.estimate.survival.landmark import landmark as landmark
    from equipoise.estimate.survival.recurrent import recurrent as recurrent
    from equipoise.estimate.survival.rmst import rmst as rmst
    from equipoise.estimate.survival.switching import rpsftm as rpsftm
    from equipoise.plan.analysis_plan import Plan as Plan
    from equipoise.plan.analysis_plan import read_plan as read_plan
    from equipoise.plan.carry_out import analyse as analyse
    from equipoise.records import Record as Record
    from equipoise.records import coherence_notes as coherence_notes
    from equipoise.records import load_record as load_record
    from equipoise.render import render as render
    from equipoise.replica.rebuild import replicate as replicate
    from equipoise.replica.replica import Replica as Replica
    from equipoise.replica.validation import operating_characteristics as surrogacy_operating_characteristics  # noqa: F401
    from equipoise.run import run_study as run_study
    from equipoise.simulate import Scenario as Scenario
    from equipoise.simulate import load_scenario as load_scenario
    from equipoise.simulate.diseases import DiseasePackage as DiseasePackage
    from equipoise.simulate.diseases import register_disease as register_disease
    from equipoise.simulate.simulator import simulate as simulate
    from equipoise.surrogate import Ordinal as Ordinal
    from equipoise.surrogate import Prior as Prior
    from equipoise.surrogate import causal_association as causal_association
    from equipoise.surrogate import per_patient as per_patient
    from equipoise.surrogate import surrogacy as surrogacy
    from equipoise.surrogate import surrogacy_copula as surrogacy_copula
    from equipoise.surrogate import surrogacy_trials as surrogacy_trials
    from equipoise.surrogate import surrogacy_units as surrogacy_units
    from equipoise.surrogate import trials_needed as trials_needed
    from equipoise.trial import Trial as Trial
    from equipoise.trial import Trials as Trials
    from equipoise.trial.adam import from_trial as from_trial
    from equipoise.trial.adam import read_adam as read_adam
    from equipoise.trial.adam import write_adam as write_adam

__all__ = ["__version__", "plot", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "plot":
        return import_module("equipoise.plot")
    if name in _HOME:
        module, there = _HOME[name]
        found = import_module(module)
        # a room that is also a verb is handed on as it is: equipoise.appraise.Reader, equipoise.appraise(record)
        value = found if module == f"equipoise.{name}" else getattr(found, there)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'equipoise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
