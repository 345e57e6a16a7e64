"""What is read off one trial: a number with an address, the same for a virtual trial and for a published one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
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
    "events_spared",  # events expected less observed on active, by the log-rank test
    "events_spared_wilcoxon",  # the same, weighted as the Wilcoxon test weighs them
    # of the trial itself
    "baseline",  # statistic of a baseline variable (ln geometric mean for geometric_mean)
    "event_share",  # share with the event by a week: death_or_ventilation, death, left
    "survival",  # Kaplan-Meier share without the event at a week
    "median_survival",  # Kaplan-Meier, in days, weeks or months as ``statistic`` says; infinite where not reached
    "observed_change",  # mean or sd of what was seen at a week, less baseline; without arm, the difference of means
    "observed_level",  # the same of the values themselves
    "observed_share",  # share whose outcome was observed at a week
    "correlation",  # of a baseline variable with the change of ALSFRS-R at a week, completers of an arm
    "no_loss_share",  # share without a loss of ALSFRS-R at a week
    "slope",  # mean least-squares slope of ALSFRS-R, points per month
    "adverse_event_share",
]


@dataclass(frozen=True)
class Measure:
    """The address of one number.

    ``analysis`` names an analysis of the plan; ``variable`` an outcome, a covariate, an event or an adverse event;
    ``statistic`` what is taken of it; ``arm`` is an arm label, None for a contrast or for all arms together.
    """

    kind: Kind
    analysis: str | None = None
    variable: str | None = None
    statistic: str | None = None
    set: str | None = None
    arm: str | None = None
    week: float | None = None

    @property
    def id(self) -> str:
        """A readable, unique name: ``arm_mean:alsfrs_f_w28:placebo:w4``."""
        parts = [self.analysis, self.variable, self.statistic, self.set, self.arm]
        week = [] if self.week is None else [f"w{self.week:g}"]
        return ":".join([self.kind, *(p for p in parts if p is not None), *week])
