"""Fitting a scenario to what was published."""

from __future__ import annotations

from equipoise.calibrate.fitting import Calibration, Misfit, fit, misfit_table
from equipoise.calibrate.targets import Target, targets

__all__ = ["Calibration", "Misfit", "Target", "fit", "misfit_table", "targets"]
