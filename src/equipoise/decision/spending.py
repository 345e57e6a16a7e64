"""How the error probabilities of a group sequential test are spread over its looks.

A spending function gives the part of the error that may be used up to information fraction ``t`` (Lan & DeMets 1983);
a classical rule gives the shape of the boundary itself, and its height follows from the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from equipoise.errors import ScenarioError
from equipoise.types import FloatArray

LAN_DEMETS = "Lan & DeMets 1983, Biometrika 70:659"
HWANG = "Hwang, Shih & DeCani 1990, Stat Med 9:1439"
KIM = "Kim & DeMets 1987, Biometrika 74:149"
OBRIEN = "O'Brien & Fleming 1979, Biometrics 35:549"
POCOCK = "Pocock 1977, Biometrika 64:191"
WANG = "Wang & Tsiatis 1987, Biometrics 43:193"
HAYBITTLE = "Haybittle 1971, Br J Radiol 44:793; Peto et al. 1976, Br J Cancer 34:585"


class Spending(Protocol):
    """A spending function: ``spent(t, total)`` rises from 0 at ``t = 0`` to ``total`` at ``t >= 1``."""

    @property
    def name(self) -> str: ...

    @property
    def reference(self) -> str: ...

    def spent(self, fraction: FloatArray, total: float) -> FloatArray: ...


def _fraction(fraction: FloatArray) -> FloatArray:
    t = np.minimum(np.asarray(fraction, dtype=np.float64), 1.0)
    if not (t >= 0.0).all():
        raise ScenarioError(f"information fraction {np.min(t):g}", hint="fractions are 0 or more")
    return t


@dataclass(frozen=True)
class OBrienFlemingSpending:
    """Lan-DeMets spending that resembles O'Brien and Fleming: ``2 - 2 Phi(z(1 - total / 2) / sqrt(t))``."""

    name: str = "Lan-DeMets O'Brien-Fleming spending"
    reference: str = LAN_DEMETS

    def spent(self, fraction: FloatArray, total: float) -> FloatArray:
        """Error spent up to the fraction of information; ``total`` is that of one side."""
        t = _fraction(fraction)
        with np.errstate(divide="ignore"):
            value = 2.0 * special.ndtr(special.ndtri(0.5 * total) / np.sqrt(t))
        return np.where(t >= 1.0, total, value)


@dataclass(frozen=True)
class PocockSpending:
    """Lan-DeMets spending that resembles Pocock: ``total log(1 + (e - 1) t)``."""

    name: str = "Lan-DeMets Pocock spending"
    reference: str = LAN_DEMETS

    def spent(self, fraction: FloatArray, total: float) -> FloatArray:
        """Error spent up to the fraction of information."""
        t = _fraction(fraction)
        return np.where(t >= 1.0, total, total * np.log1p((math.e - 1.0) * t))


@dataclass(frozen=True)
class HwangShihDeCani:
    """``total (1 - exp(-gamma t)) / (1 - exp(-gamma))``; -4 is near O'Brien-Fleming, 1 near Pocock, 0 linear."""

    gamma: float = -4.0
    name: str = "Hwang-Shih-DeCani spending"
    reference: str = HWANG

    def __post_init__(self) -> None:
        if not -40.0 <= self.gamma <= 40.0:
            raise ScenarioError(f"gamma = {self.gamma:g}", hint="gamma lies between -40 and 40; usual are -4 to 1")

    def spent(self, fraction: FloatArray, total: float) -> FloatArray:
        """Error spent up to the fraction of information."""
        t = _fraction(fraction)
        if self.gamma == 0.0:
            return total * t
        return np.where(t >= 1.0, total, total * np.expm1(-self.gamma * t) / math.expm1(-self.gamma))


@dataclass(frozen=True)
class PowerSpending:
    """Kim-DeMets spending ``total t ** rho``."""

    rho: float = 3.0
    name: str = "Kim-DeMets power spending"
    reference: str = KIM

    def __post_init__(self) -> None:
        if not 0.0 < self.rho <= 50.0:
            raise ScenarioError(f"rho = {self.rho:g}", hint="rho is positive; 1 spends evenly, 3 saves for the end")

    def spent(self, fraction: FloatArray, total: float) -> FloatArray:
        """Error spent up to the fraction of information."""
        return total * _fraction(fraction) ** self.rho


@dataclass(frozen=True)
class WangTsiatis:
    """Critical values ``c t ** (delta - 1 / 2)``; 0 is O'Brien-Fleming, 1/2 is Pocock."""

    delta: float = 0.0

    def __post_init__(self) -> None:
        if not -2.0 <= self.delta <= 1.0:
            raise ScenarioError(f"delta = {self.delta:g}", hint="delta lies between 0 and 1/2 in use")

    @property
    def name(self) -> str:
        """O'Brien-Fleming, Pocock or Wang-Tsiatis."""
        return {0.0: "O'Brien-Fleming", 0.5: "Pocock"}.get(self.delta, f"Wang-Tsiatis ({self.delta:g})")

    @property
    def reference(self) -> str:
        """Who proposed it."""
        return {0.0: OBRIEN, 0.5: POCOCK}.get(self.delta, WANG)


@dataclass(frozen=True)
class HaybittlePeto:
    """Critical value ``z`` at every interim look; the last look gets what is left of the error."""

    z: float = 3.0
    name: str = "Haybittle-Peto"
    reference: str = HAYBITTLE

    def __post_init__(self) -> None:
        if not 0.0 < self.z < 30.0:
            raise ScenarioError(f"z = {self.z:g}", hint="an interim critical value is positive, usually 3 or 3.29")


@dataclass(frozen=True)
class FixedFutility:
    """Futility boundaries laid down as z values, one an interim look; the last look decides by efficacy alone."""

    z: tuple[float, ...]
    name: str = "fixed futility boundaries"
    reference: str = "Jennison & Turnbull 2000, Group Sequential Methods, ch. 4"


Efficacy = OBrienFlemingSpending | PocockSpending | HwangShihDeCani | PowerSpending | WangTsiatis | HaybittlePeto
Futility = OBrienFlemingSpending | PocockSpending | HwangShihDeCani | PowerSpending | FixedFutility
