"""The key of a number of a trial: one address for real, virtual and published trials alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Quantity = Literal[
    # of an analysis of an outcome at a week (the last one where none is given)
    "arm_mean",  # LS mean of an arm: change (ln ratio on the log scale); of a slope model the level
    "contrast",  # active minus control; of a time-to-event analysis the ln hazard ratio
    "arm_se",
    "contrast_se",
    "p_ancova",
    "p_joint_rank",
    "p_mmrm",
    "rank_difference",  # active minus control of the mean joint rank score
    # of a slope model, per month
    "arm_slope",
    "arm_slope_se",
    "slope_difference",
    "slope_difference_se",
    "p_slope",
    # of a time-to-event analysis
    "p_log_rank",
    "p_wilcoxon",
    "p_cox",
    "observed_minus_expected",  # events observed less expected on active, by the log-rank test
    "observed_minus_expected_wilcoxon",  # the same, weighted as the Wilcoxon test weighs them
    # of the trial itself
    "baseline",  # statistic of a baseline variable (ln geometric mean for geometric_mean)
    "event_share",  # share with the event by a week
    "survival",  # Kaplan-Meier share without the event at a week
    "median_survival",  # Kaplan-Meier, in days, weeks or months as ``statistic`` says; infinite where not reached
    "observed_change",  # mean or sd of what was seen at a week, less baseline; without arm, the difference of means
    "observed_level",  # the same of the values themselves
    "observed_share",  # share whose outcome was observed at a week
    "correlation",  # of a baseline variable with the change of the outcome at a week, completers of an arm
    "no_loss_share",  # share without a loss of the outcome at a week
    "slope",  # mean least-squares slope of the outcome, points per month
    "adverse_event_share",
]
"""The numbers that a compiled analysis or a description of a block gives."""


OF_SECTIONS = ("estimate", "se", "df", "p", "low", "high", "status")
"""What may be taken of a number of a section."""


@dataclass(frozen=True)
class Key:
    """The key of one number.

    quantity : what it is (:data:`Quantity`; of a section of a plan, any name that its method gives: ``win_ratio``).
    analysis : an analysis of the plan, None for a number of the trial itself.
    variable : an outcome, a covariate, an event or an adverse event; ``statistic`` what is taken of it: of a number
    of a section ``estimate`` (the default), ``se``, ``df``, ``p``, ``low``, ``high`` or ``status``.
    set : the analysis set, where no analysis says so. arm : an arm; None for a contrast or for all arms together.
    week : of the visit. section : which section of the analysis, from 1. visit : the visit by its name, where the data
    have names for them. level : of ``variable``, of a number in a subgroup or of a category. versus : the arm compared
    with, where it is not the control.

    >>> Key("arm_mean", analysis="alsfrs_f_w28", arm="placebo", week=4.0).id
    'arm_mean:alsfrs_f_w28:placebo:w4'
    """

    quantity: str
    analysis: str | None = None
    variable: str | None = None
    statistic: str | None = None
    set: str | None = None
    arm: str | None = None
    week: float | None = None
    section: int = 1
    visit: str | None = None
    level: str | None = None
    versus: str | None = None

    @property
    def of_section(self) -> bool:
        """Whether it is a number of a section, rather than of a compiled analysis or of the trial itself."""
        named = self.statistic in OF_SECTIONS or self.quantity not in get_args(Quantity)
        return self.analysis is not None and named

    @property
    def id(self) -> str:
        """A readable, unique name."""
        section = [] if self.section == 1 else [f"s{self.section}"]
        versus = [] if self.versus is None else [f"against {self.versus}"]
        parts = [
            self.analysis,
            *section,
            self.variable,
            self.level,
            self.statistic,
            self.set,
            self.arm,
            *versus,
            self.visit,
        ]
        week = [] if self.week is None else [f"w{self.week:g}"]
        return ":".join([self.quantity, *(p for p in parts if p is not None), *week])
