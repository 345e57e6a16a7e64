"""The plots that people expect of a trial: each takes the results of an estimator or a plain data frame.

Every function gives a :class:`Plot`, which a notebook shows by itself, ``save("x.svg")`` writes (also ``.png``, and
``.json`` for Vega-Lite) and a page takes in. Colours are told apart by the colour-blind and never mean anything alone;
every plot has a description in words and the table of its numbers.
"""

from __future__ import annotations

from equipoise.render.plots.assurance import assurance_parts
from equipoise.render.plots.boundaries import boundaries
from equipoise.render.plots.design import frontier, success_curves, success_table
from equipoise.render.plots.diagnostics import influence, proportional_hazards, qq, residuals
from equipoise.render.plots.dropout import dropout
from equipoise.render.plots.forest import forest
from equipoise.render.plots.joint import effect_parts, joint_residuals, trajectories
from equipoise.render.plots.means import ls_means
from equipoise.render.plots.patients import patients
from equipoise.render.plots.plot import Plot
from equipoise.render.plots.prediction import prediction
from equipoise.render.plots.steps import cumulative_incidence, kaplan_meier
from equipoise.render.plots.tipping import tipping_point
from equipoise.render.plots.trial_effects import trial_effects

__all__ = [
    "Plot",
    "assurance_parts",
    "boundaries",
    "cumulative_incidence",
    "dropout",
    "effect_parts",
    "forest",
    "frontier",
    "influence",
    "joint_residuals",
    "kaplan_meier",
    "ls_means",
    "patients",
    "prediction",
    "proportional_hazards",
    "qq",
    "residuals",
    "success_curves",
    "success_table",
    "tipping_point",
    "trajectories",
    "trial_effects",
]
