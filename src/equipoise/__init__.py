"""Equipoise: the appraisal of a clinical trial, made executable.

The names below are imported when first used, so that ``import equipoise`` and the command line stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Estimate": "equipoise.estimate.result",
    "Record": "equipoise.records",
    "Replica": "equipoise.appraise",
    "Scenario": "equipoise.simulate",
    "Trial": "equipoise.trial",
    "Trials": "equipoise.trial",
    "ancova": "equipoise.estimate.ancova",
    "clda": "equipoise.estimate.clda",
    "closed_sequence": "equipoise.estimate.multiplicity",
    "cox": "equipoise.estimate.survival",
    "joint_rank": "equipoise.estimate.joint_rank",
    "load_record": "equipoise.records",
    "load_scenario": "equipoise.simulate",
    "log_rank": "equipoise.estimate.survival",
    "mi_ancova": "equipoise.estimate.imputation",
    "mmrm": "equipoise.estimate.mmrm",
    "replicate": "equipoise.appraise",
    "slope": "equipoise.estimate.slope",
}

if TYPE_CHECKING:
    from equipoise.appraise import Replica as Replica
    from equipoise.appraise.rebuild import replicate as replicate
    from equipoise.estimate.ancova import ancova as ancova
    from equipoise.estimate.clda import clda as clda
    from equipoise.estimate.imputation import mi_ancova as mi_ancova
    from equipoise.estimate.joint_rank import joint_rank as joint_rank
    from equipoise.estimate.mmrm import mmrm as mmrm
    from equipoise.estimate.multiplicity import closed_sequence as closed_sequence
    from equipoise.estimate.result import Estimate as Estimate
    from equipoise.estimate.slope import slope as slope
    from equipoise.estimate.survival import cox as cox
    from equipoise.estimate.survival import log_rank as log_rank
    from equipoise.records import Record as Record
    from equipoise.records import load_record as load_record
    from equipoise.simulate import Scenario as Scenario
    from equipoise.simulate import load_scenario as load_scenario
    from equipoise.trial import Trial as Trial
    from equipoise.trial import Trials as Trials

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'equipoise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
