"""Early against delayed start: everyone on active in the end, one arm from the first day, the other after a control
period.

A treatment that relieves symptoms lets the late starters catch up; one that slows the disease leaves a gap. Three
questions follow, the last two only where the ones before were answered yes: is the early start better at the end of
period 1 (Q1), at the end of period 2 (Q2), and is the gap not closing (Q3)?

:func:`delayed_start` asks them of one repeated-measures model over both periods (Liu-Seifert et al. 2015), or of
completed data where those who did not enter period 2 are imputed by a stated strategy. :func:`delayed_start_slopes`
is the slope form of ADAGIO. :func:`compare` is the ANCOVA on imputed data of VALOR. :func:`delayed_start_batch` and
:func:`delayed_start_slopes_batch` take blocks of trials.
"""

from __future__ import annotations

from equipoise.estimate.delayed_start.batch import DelayedStartBatch, delayed_start_batch, delayed_start_slopes_batch
from equipoise.estimate.delayed_start.imputed import DelayedStart, compare
from equipoise.estimate.delayed_start.one_model import DelayedStartTest, delayed_start
from equipoise.estimate.delayed_start.questions import Question
from equipoise.estimate.delayed_start.slopes import delayed_start_slopes

__all__ = [
    "DelayedStart",
    "DelayedStartBatch",
    "DelayedStartTest",
    "Question",
    "compare",
    "delayed_start",
    "delayed_start_batch",
    "delayed_start_slopes",
    "delayed_start_slopes_batch",
]
