"""Sample size re-estimation that keeps the level: the inverse-normal combination test.

Stage-wise P values, each from the patients (or events) of its own stage, are combined with weights laid down before
the first look; whatever was seen may then decide how large the next stage is (Bauer & Köhne 1994; Lehmacher & Wassmer
1999; Cui, Hung & Wang 1999).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from equipoise.decision.recursion import checked_information
from equipoise.errors import ScenarioError
from equipoise.types import FloatArray

REFERENCES = ("Lehmacher & Wassmer 1999, Biometrics 55:1286", "Cui, Hung & Wang 1999, Biometrics 55:853")

_FURTHEST = 38.0  # the statistic of a P value of 0, or of 1 with its sign turned


def stage_statistics(z: FloatArray | Sequence[float], information: FloatArray | Sequence[float]) -> FloatArray:
    """(..., stage) independent increments, standard normal without effect, of cumulative statistics ``z`` (..., look)
    at ``information`` (look,).
    """
    info = checked_information(information)
    statistic = np.asarray(z, dtype=np.float64)
    if statistic.shape[-1:] != info.shape:
        raise ScenarioError(f"{statistic.shape[-1:]} statistics for {info.size} looks", hint="give one a look")
    score = statistic * np.sqrt(info)
    gain = np.diff(info, prepend=0.0)
    return np.diff(score, axis=-1, prepend=0.0) / np.sqrt(gain)


@dataclass(frozen=True)
class Reestimate:
    """The information of the next stage.

    stage : information to be gathered in it. conditional_power : with that information at the effect assumed.
    limited : ``""``, or ``"minimum"`` or ``"maximum"`` where a limit decided rather than the power wanted.
    """

    stage: float
    conditional_power: float
    limited: str

    def to_sentence(self) -> str:
        """The result in words."""
        why = f" (held at the {self.limited})" if self.limited else ""
        return f"next stage: information {self.stage:.4g}{why}, conditional power {100 * self.conditional_power:.1f} %."


@dataclass(frozen=True, eq=False)
class InverseNormal:
    """An inverse-normal combination test.

    weights : (stage,) squared weights that sum to 1, the planned share of information of each stage. upper : (stage,)
    boundaries for the combined statistic, from a design with the cumulated weights as information fractions.
    """

    weights: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        w, b = np.asarray(self.weights, dtype=np.float64), np.asarray(self.upper, dtype=np.float64)
        if w.ndim != 1 or not (w > 0.0).all() or abs(w.sum() - 1.0) > 1e-9:
            raise ScenarioError(f"weights {w.tolist()}", hint="give the planned share of information of each stage")
        if b.shape != w.shape:
            raise ScenarioError(f"{b.size} boundaries for {w.size} stages", hint="give one a stage")
        object.__setattr__(self, "weights", w)
        object.__setattr__(self, "upper", b)

    @classmethod
    def of_design(cls, fractions: FloatArray, upper: FloatArray) -> InverseNormal:
        """The test of a group sequential design with these information fractions and efficacy boundaries."""
        return cls(np.diff(np.asarray(fractions, dtype=np.float64), prepend=0.0), upper)

    def combine(self, p: FloatArray | Sequence[float]) -> FloatArray:
        """(..., stage) combined statistics after each stage from one-sided stage-wise P values (..., stage), which may
        cover the first stages only. Standard normal without effect, with the correlation of the planned looks. A
        missing P value leaves NaN from its stage on, which rejects nothing.
        """
        values = np.asarray(p, dtype=np.float64)
        k = values.shape[-1]
        if k > self.weights.size or ((values < 0.0) | (values > 1.0)).any():
            raise ScenarioError(
                f"P values of shape {values.shape} for {self.weights.size} stages",
                hint="give one-sided P values between 0 and 1, one a stage",
            )
        return self.combine_z(np.clip(-special.ndtri(values), -_FURTHEST, _FURTHEST))

    def combine_z(self, z: FloatArray | Sequence[float]) -> FloatArray:
        """The same from the stage-wise standard normal statistics."""
        statistic = np.asarray(z, dtype=np.float64)
        w = self.weights[: statistic.shape[-1]]
        return np.cumsum(np.sqrt(w) * statistic, axis=-1) / np.sqrt(np.cumsum(w))

    def rejects(self, p: FloatArray | Sequence[float]) -> FloatArray:
        """(...) the stage (from 1) at which the test rejects; 0 where it does not."""
        crossed = self.combine(p) >= self.upper[: np.asarray(p).shape[-1]]
        return np.where(crossed.any(axis=-1), crossed.argmax(axis=-1) + 1, 0)

    def conditional_power(self, combined: float, stage: int, information: float, effect: float) -> float:
        """Probability of rejecting at the end of the next stage, the last to come.

        combined : statistic after ``stage`` stages. information : that the next stage alone will bring. effect : on
        the scale of that information.
        """
        return float(special.ndtr(effect * math.sqrt(information) - self._needed(combined, stage)))

    def _needed(self, combined: float, stage: int) -> float:
        """What the next stage's own statistic has to reach."""
        if not 1 <= stage < self.weights.size:
            raise ScenarioError(
                f"stage {stage} of {self.weights.size}", hint="a next stage must be left, stages count from 1"
            )
        before = float(self.weights[:stage].sum())
        w = float(self.weights[stage])
        return (float(self.upper[stage]) * math.sqrt(before + w) - combined * math.sqrt(before)) / math.sqrt(w)

    def reestimate(
        self,
        combined: float,
        stage: int,
        *,
        effect: float,
        minimum: float,
        maximum: float = math.inf,
        power: float = 0.9,
    ) -> Reestimate:
        """Information the next stage needs for a conditional power, within limits.

        Parameters
        ----------
        combined : statistic after ``stage`` stages. effect : assumed from now on; where it is not positive no
        information gives the power and the minimum is taken.
        minimum, maximum : of the information of the next stage, above 0; the protocol lays them down.
        """
        if not 0.0 < power < 1.0 or not 0.0 < minimum <= maximum or math.isnan(effect):
            raise ScenarioError(
                f"power {power:g}, information between {minimum:g} and {maximum:g}, effect {effect:g}",
                hint="power lies between 0 and 1 and 0 < minimum <= maximum",
            )
        needed = self._needed(combined, stage) + float(special.ndtri(power))
        limited = ""
        if effect <= 0.0:
            wanted, limited = minimum, "minimum"
        else:
            wanted = (max(needed, 0.0) / effect) ** 2
            if wanted > maximum:
                wanted, limited = maximum, "maximum"
            elif wanted < minimum:
                wanted, limited = minimum, "minimum"
        return Reestimate(wanted, self.conditional_power(combined, stage, wanted, effect), limited)
