"""Joint models of a marker (or of function) and times to an event, in one likelihood.

``trajectory`` has the course of a marker and its design at any time, ``hazard`` the baseline hazard and the nodes of
time, ``association`` what the hazard depends on; ``setup`` makes arrays of formulas and frames. ``likelihood`` is the
likelihood and its score, ``optimise`` the search for its maximum, ``model`` the door, ``fit`` the result, ``effects``
what a trial asks of it. ``predict`` and ``accuracy`` are of patients to come, ``lag`` is the likelihood over lags,
``rate_ratio`` one ratio for slope and hazard, ``batch`` many trials at once.
"""

from __future__ import annotations

from equipoise.estimate.joint_model.fit import JointModelFit
from equipoise.estimate.joint_model.lag import LagProfile, lag_profile
from equipoise.estimate.joint_model.model import joint_model
from equipoise.estimate.joint_model.rate_ratio import RateRatioFit, disease_rate_ratio

__all__ = ["JointModelFit", "LagProfile", "RateRatioFit", "disease_rate_ratio", "joint_model", "lag_profile"]
