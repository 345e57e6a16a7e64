"""What a trial's published numbers say of how its drug works: the stored summary of a posterior, read for a page.

Made by ``equipoise posterior TRIAL --out posterior.csv``, which writes the summary beside the draws, and kept in the
library as ``posterior.json``, so that a page need not find it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.library import stored_rows, stored_table

STORED, DRAWS = "posterior.json", "posterior.csv"
LATER = "posterior_later.json"
"""The summary with ``--include-later``: what later numbers add, beside the one that holds them out."""

AGREE = 0.2
"""Two methods of finding a log evidence that lie further apart have not found it."""

PARETO_GOOD = 0.7
"""As :mod:`equipoise.calibrate.posterior.sampling` has it; said again here, since a page need not load a simulator."""

LEAST, MOST = 0.01, 0.99
"""A weight below the first or above the second is told as a bound."""

POSITIVE, STRONG = 3.0, 20.0
"""A Bayes factor below the first is not worth more than a mention, above the second it is strong (Kass & Raftery
1995, J Am Stat Assoc 90:773)."""


AT_BOUND = 0.025
"""An interval that ends nearer to the prior's bound than this share of the prior's width is ended by the bound: one
that learnt nothing ends just there."""

_POINTS = 121  # of a density that is drawn


@dataclass(frozen=True)
class Density:
    """The density of draws between the ends of a uniform prior, as a multiple of the prior's.

    at : (point,) values, from end to end. height : (point,) of the density.
    """

    at: tuple[float, ...]
    height: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], weights: Sequence[float], prior: tuple[float, float]) -> Density:
        """Of weighted draws: normal kernels, mirrored at the bounds (Silverman 1986, *Density Estimation*, sections
        2.10 and 3.4: width 0.9 SD n^(-1/5), with n the effective number of draws).

        >>> made = Density.of([0.5] * 50 + [0.4, 0.6] * 25, [1.0] * 100, (0.0, 1.0))
        >>> made.at[60], made.height[60] > 5, made.height[0] < 1e-6
        (0.5, True, True)
        """
        low, high = prior
        total = math.fsum(weights)
        share = [w / total for w in weights]
        mean = math.fsum(w * x for w, x in zip(share, values, strict=True))
        sd = math.sqrt(math.fsum(w * (x - mean) ** 2 for w, x in zip(share, values, strict=True)))
        width = max(0.9 * sd * math.fsum(w * w for w in share) ** 0.2, 1e-3 * (high - low))
        centres = [(c, w) for x, w in zip(values, share, strict=True) for c in (x, 2 * low - x, 2 * high - x)]
        at = tuple(low + (high - low) * k / (_POINTS - 1) for k in range(_POINTS))
        scale = (high - low) / (width * math.sqrt(2 * math.pi))
        height = tuple(
            scale * math.fsum(w * math.exp(-0.5 * ((a - c) / width) ** 2) for c, w in centres if abs(a - c) < 6 * width)
            for a in at
        )
        return cls(at, height)


@dataclass(frozen=True)
class Parameter:
    """One parameter after the numbers were seen: median and 95 % interval, in the unit of the scenario.

    prior : the ends of its uniform prior. contraction : 1 - variance after / variance before; 0 is nothing learnt.
    density : of its draws, where they are kept. fit : its value in the scenario, the one that fits best.
    """

    place: str
    median: float
    low: float
    high: float
    prior: tuple[float, float]
    contraction: float
    density: Density | None = None
    fit: float | None = None

    @property
    def at_bound(self) -> tuple[bool, bool]:
        """Whether the lower and the upper end of the interval are those of the prior, and not of the numbers."""
        first, last = self.prior
        near = AT_BOUND * (last - first)
        return self.low - first <= near, last - self.high <= near


@dataclass(frozen=True)
class Belief:
    """One mechanism: its weight before and after, by two methods, and how well it was found.

    effective_number : how many independent observations the statistics are worth. unmatched : statistics that no value
    of the parameters comes near, each with its distance in standard deviations.
    """

    mechanism: str
    prior: float
    weight: float
    weight_bridge: float
    log_evidence: float
    log_evidence_bridge: float
    parameters: tuple[Parameter, ...]
    unmatched: dict[str, float]
    statistics: int
    effective_number: dict[str, float]
    pareto_k: float
    effective_draws: float
    draws: int

    @property
    def reached(self) -> bool:
        """Whether both checks of the computation hold: the tail of the weights, and the two methods' agreement."""
        return self.pareto_k < PARETO_GOOD and abs(self.log_evidence - self.log_evidence_bridge) <= AGREE

    @property
    def effects(self) -> tuple[Parameter, ...]:
        """The parameters of the drug's effect, without those of the patients and their disease."""
        return tuple(p for p in self.parameters if p.place.startswith("effect."))


@dataclass(frozen=True)
class Beliefs:
    """What is stored of a trial. later : whether numbers after the randomised period count."""

    command: str
    later: bool
    discrepancy: float
    mechanisms: tuple[Belief, ...]

    @property
    def reached(self) -> bool:
        return all(m.reached for m in self.mechanisms)

    @property
    def of_events(self) -> bool:
        """Whether the effect is one on a hazard, not on function."""
        return any(p.place == "effect.hazard_ratio" for m in self.mechanisms for p in m.effects)

    def against(self, one: Belief, other: Belief) -> float:
        """Bayes factor of one mechanism against another."""
        return math.exp(min(one.log_evidence - other.log_evidence, 700.0))

    def ranks(self) -> tuple[tuple[Belief, ...], tuple[Belief, ...], tuple[Belief, ...]]:
        """The mechanisms that the numbers do not tell from the best, those they speak against, and those strongly.

        By the Bayes factor of the best against each, whatever the weights before were.
        """
        best = max(self.mechanisms, key=lambda m: m.log_evidence)
        factor = [(self.against(best, m), m) for m in self.mechanisms]
        return (
            tuple(m for f, m in factor if f < POSITIVE),
            tuple(m for f, m in factor if POSITIVE <= f < STRONG),
            tuple(m for f, m in factor if f >= STRONG),
        )


def stored(trial: str) -> Beliefs | None:
    """The stored summary of a trial of the library, None where there is none.

    >>> stored("no_such_trial") is None
    True
    """
    found = stored_table(trial, STORED)
    return None if found is None else read(found, stored_rows(trial, DRAWS))


def stored_later(trial: str) -> Beliefs | None:
    """The same with the numbers after the randomised period, None where it does not come with the package.

    >>> stored_later("no_such_trial") is None
    True
    """
    found = stored_table(trial, LATER)
    return None if found is None else read(found)


def printed(trial: str) -> str:
    """Every number of the stored summary that a page may tell, a line a mechanism and a parameter; empty without one.

    Finding them again takes minutes, by the command that the summary names; this only reads. What later numbers add
    stands below, where that is stored.
    """
    return "\n".join(
        line for found in (stored(trial), stored_later(trial)) if found is not None for line in told(found)
    )


def told(found: Beliefs) -> list[str]:
    """A summary in lines."""
    best = max(found.mechanisms, key=lambda m: m.log_evidence)
    out = [f"made by: {found.command}", f"discrepancy {found.discrepancy}; shares beyond {LEAST} and {MOST} are bounds"]
    for m in found.mechanisms:
        out.append(
            f"{m.mechanism}: weight before {m.prior}, after {m.weight} (by bridge {m.weight_bridge}), of all others "
            f"{1 - m.prior} and {1 - m.weight}; Bayes factor against {best.mechanism} {found.against(m, best)}; log "
            f"evidence apart {abs(m.log_evidence - m.log_evidence_bridge)}; Pareto k {m.pareto_k}; "
            f"draws {m.draws}, effective {m.effective_draws}; {m.statistics} numbers, worth {m.effective_number['all']}"
        )
        for p in m.parameters:
            ends = [end for end, there in zip(("lower", "upper"), p.at_bound, strict=True) if there]
            cut = f"; at the prior's {' and '.join(ends)} bound" if ends else ""
            out.append(
                f"  {p.place}: {p.median} ({p.low} to {p.high}), before {p.prior[0]} to {p.prior[1]}; "
                f"{p.contraction}{cut}{'' if p.fit is None else f'; best fit {p.fit}'}"
            )
        out += [f"  {label}: {z} standard deviations off" for label, z in m.unmatched.items()]
    return out


def read(found: Mapping[str, Any], draws: Sequence[Mapping[str, str]] | None = None) -> Beliefs:
    """A summary as :func:`equipoise.calibrate.posterior.summary` writes it, with the command beside it.

    draws : the rows of the draws that lie beside it, for the densities of the effect.
    """
    return Beliefs(
        found["command"],
        found["after_the_randomised_period"],
        found["discrepancy"],
        tuple(
            _belief(name, m, [r for r in draws or () if r["mechanism"] == name])
            for name, m in found["mechanisms"].items()
        ),
    )


def _parameter(place: str, p: Mapping[str, Any], draws: Sequence[Mapping[str, str]]) -> Parameter:
    """With its density, of a parameter of the effect whose draws are there: it is what is drawn."""
    prior = (p["prior"][0], p["prior"][1])
    density = None
    if place.startswith("effect.") and draws and place in draws[0]:
        density = Density.of([float(r[place]) for r in draws], [float(r["weight"]) for r in draws], prior)
    return Parameter(place, p["median"], p["low"], p["high"], prior, p["contraction"], density, p.get("fit"))


def _belief(name: str, m: Mapping[str, Any], draws: Sequence[Mapping[str, str]]) -> Belief:
    parameters = tuple(_parameter(place, p, draws) for place, p in m["parameters"].items())
    return Belief(
        name,
        m["prior"],
        m["weight"],
        m["weight_bridge"],
        m["log_evidence"],
        m["log_evidence_bridge"],
        parameters,
        dict(m["unmatched"]),
        m["statistics"],
        dict(m["effective_number"]),
        m["pareto_k"],
        m["effective_draws"],
        m["draws"],
    )
