"""The posterior of mechanisms and their parameters, given what a trial published."""

from __future__ import annotations

from equipoise.calibrate.posterior.mechanisms import Posterior, Sizes, posterior, summary

__all__ = ["Posterior", "Sizes", "posterior", "summary"]
