"""Exit probabilities of a group sequential test by recursive numerical integration.

With information ``I`` at a look and effect ``theta``, the score ``S = Z sqrt(I)`` has independent increments
``N(theta dI, dI)``. The sub-density of the trials still going on after look ``k`` is the convolution of that after look
``k - 1`` with the increment, cut to the continuation region (Armitage, McPherson & Rowe 1969; Jennison & Turnbull 2000,
section 19.2). The integral is taken over the range of Jennison and Turnbull, mean plus and minus ten standard
deviations, by Gauss-Legendre panels no wider than the narrower of the two increments that meet in the integrand; their
grid with Simpson's rule needs several times the nodes for the same accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from equipoise.errors import ScenarioError
from equipoise.types import FloatArray

REFERENCES = (
    "Armitage, McPherson & Rowe 1969, J R Stat Soc A 132:235",
    "Jennison & Turnbull 2000, Group Sequential Methods with Applications to Clinical Trials, ch. 19",
)

_RANGE = 10.0  # standard deviations either side of the mean
_PANEL = 2.0  # widest panel, in standard deviations of the narrower increment
_MOST = 8000
_ABSCISSAE, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_ROOT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Going:
    """The trials that have not stopped: points on the score scale with their probability mass.

    theta : effect; information : at which the points live; points, mass : (node,).
    """

    theta: float
    information: float
    points: FloatArray
    mass: FloatArray

    def above(self, information: float, z: float) -> float:
        """Probability of going on so far and of ``Z >= z`` at ``information``."""
        gain = information - self.information
        reach = (self.points + self.theta * gain - z * math.sqrt(information)) / math.sqrt(gain)
        return float(np.sum(self.mass * special.ndtr(reach)))

    def below(self, information: float, z: float) -> float:
        """Probability of going on so far and of ``Z < z`` at ``information``."""
        gain = information - self.information
        reach = (z * math.sqrt(information) - self.points - self.theta * gain) / math.sqrt(gain)
        return float(np.sum(self.mass * special.ndtr(reach)))

    def after(self, information: float, low: float, high: float, following: float) -> Going:
        """The trials with ``low <= Z < high`` at a look at ``information``, ready for a look at ``following``."""
        root, gain = math.sqrt(information), information - self.information
        mean = self.theta * information
        a = max(low * root, mean - _RANGE * root)
        b = min(high * root, mean + _RANGE * root)
        if not b > a:
            return Going(self.theta, information, np.zeros(0), np.zeros(0))
        narrow = math.sqrt(min(gain, following - information))
        panels = math.ceil((b - a) / (_PANEL * narrow))
        if panels * _ABSCISSAE.size > _MOST:
            raise ScenarioError(
                f"looks at information {information:.6g} and {following:.6g} (or the one before) are too close",
                hint="let information grow by at least 0.1 % between looks",
            )
        half = 0.5 * (b - a) / panels
        centres = a + half * (2.0 * np.arange(panels) + 1.0)
        points = (centres[:, None] + half * _ABSCISSAE).ravel()
        weights = np.tile(half * _WEIGHTS, panels)
        apart = (points[:, None] - self.points - self.theta * gain) / math.sqrt(gain)
        density = np.exp(-0.5 * apart * apart) @ self.mass / (_ROOT_2PI * math.sqrt(gain))
        return Going(self.theta, information, points, weights * density)


def start(theta: float) -> Going:
    """All trials, before the first look."""
    return Going(float(theta), 0.0, np.zeros(1), np.ones(1))


def checked_information(information: Sequence[float] | FloatArray) -> FloatArray:
    """(look,) information as an array; raises :class:`ScenarioError` unless positive and increasing."""
    try:
        info = np.asarray(information, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"information {information!r}", hint="give one positive number a look") from error
    if info.ndim != 1 or info.size == 0 or not np.isfinite(info).all() or info[0] <= 0.0:
        raise ScenarioError(f"information {info.tolist()}", hint="give one positive number a look")
    if (np.diff(info) <= 0.0).any():
        k = int(np.flatnonzero(np.diff(info) <= 0.0)[0])
        raise ScenarioError(
            f"information {info[k + 1]:g} at look {k + 2} follows {info[k]:g}",
            hint="information grows from look to look",
        )
    return info


def exit_probabilities(
    information: Sequence[float] | FloatArray,
    upper: Sequence[float] | FloatArray,
    lower: Sequence[float] | FloatArray | None = None,
    theta: float = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """(look,) probabilities of first crossing the upper and the lower boundary at each look.

    Parameters
    ----------
    information : (look,) positive, increasing. upper, lower : (look,) boundaries for ``Z``; infinite where there is
    none. theta : effect on the scale of which ``information`` is the inverse variance.

    Examples
    --------
    Pocock's two looks at two-sided 5 %:

    >>> up, down = exit_probabilities([1, 2], [2.178, 2.178], [-2.178, -2.178])
    >>> round(float(up.sum() + down.sum()), 4)
    0.05
    """
    info = checked_information(information)
    b = np.asarray(upper, dtype=np.float64)
    a = np.full(info.size, -np.inf) if lower is None else np.asarray(lower, dtype=np.float64)
    if a.shape != info.shape or b.shape != info.shape or np.isnan(a).any() or np.isnan(b).any():
        raise ScenarioError(
            f"{info.size} looks with {b.size} upper and {a.size} lower boundaries", hint="give one of each a look"
        )
    if (a > b).any():
        raise ScenarioError("a lower boundary lies above the upper one", hint="they may meet at the last look")
    going = start(theta)
    up, down = np.zeros(info.size), np.zeros(info.size)
    for k in range(info.size):
        up[k] = going.above(info[k], b[k])
        down[k] = going.below(info[k], a[k])
        if k + 1 < info.size:
            going = going.after(info[k], a[k], b[k], info[k + 1])
    return up, down
