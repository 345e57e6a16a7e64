"""What is read off one trial: a number with an address, the same for a virtual trial and for a published one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "arm_mean",  # LS mean of an arm in a repeated analysis (ln ratio when the analysis is on the log scale)
    "contrast",  # active minus control in a repeated analysis, or ln hazard ratio in a time-to-event one
    "arm_se",
    "contrast_se",
    "p_ancova",
    "p_joint_rank",
    "rank_difference",  # active minus control of the mean joint rank score
    "p_log_rank",
    "p_cox",
    "baseline",  # statistic of a baseline variable (ln geometric mean for geometric_mean)
    "event_share",  # share with the event by a week: death_or_ventilation, death, left
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
