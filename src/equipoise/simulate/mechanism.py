"""The hypotheses of how a drug acts, by the names that every disease uses for them."""

from __future__ import annotations

from enum import StrEnum


class Mechanism(StrEnum):
    """One hypothesis of how the drug acts; what it does to a biomarker is the same in all.

    ``none`` does nothing for the outcome; ``symptomatic`` lifts it and leaves the rate of loss as it was; ``slowing``
    takes away a share of the loss, ``lagged`` does so after a delay; ``harm`` speeds the loss up. ``survival`` and
    ``waning`` leave the outcome alone and act on the hazard of events: by a constant ratio, or by one that fades with
    time on the drug. A disease says which of them it knows (:class:`equipoise.simulate.diseases.DiseasePackage`).
    """

    NONE = "none"
    SYMPTOMATIC = "symptomatic"
    SLOWING = "slowing"
    LAGGED = "lagged"
    SURVIVAL = "survival"
    WANING = "waning"
    HARM = "harm"


ON_FUNCTION = (Mechanism.SYMPTOMATIC, Mechanism.SLOWING, Mechanism.LAGGED, Mechanism.HARM)
"""Those that act on the main outcome."""

ON_HAZARD = (Mechanism.SURVIVAL, Mechanism.WANING)
"""Those that act on the hazard of events alone."""
