"""Joint models of a marker (or of function) and times to an event, in one likelihood.

trajectory.py   the course of a marker and its design at any time
hazard.py       the baseline hazard and the nodes of time
association.py  what the hazard depends on
setup.py        formulas and frames to arrays
likelihood.py   the likelihood and its score
optimise.py     the search for its maximum
model.py        the door
fit.py          the result
"""

from __future__ import annotations

from equipoise.estimate.joint_model.fit import JointModelFit
from equipoise.estimate.joint_model.model import joint_model
from equipoise.estimate.joint_model.rate_ratio import RateRatioFit, disease_rate_ratio

__all__ = ["JointModelFit", "RateRatioFit", "disease_rate_ratio", "joint_model"]
