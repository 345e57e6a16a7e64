"""What a trial's published numbers say of how its drug works: the stored summary of a posterior, read for a page.

Made by ``equipoise posterior TRIAL --out posterior.csv``, which writes the summary beside the draws, and kept in the
library as ``posterior.json``, so that a page need not find it again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from equipoise.library import stored_table

STORED = "posterior.json"

AGREE = 0.2
"""Two methods of finding a log evidence that lie further apart have not found it."""

PARETO_GOOD = 0.7
"""As :mod:`equipoise.calibrate.posterior.sampling` has it; said again here, since a page need not load a simulator."""

LEAST, MOST = 0.01, 0.99
"""A weight below the first or above the second is told as a bound."""

POSITIVE, STRONG = 3.0, 20.0
"""A Bayes factor below the first is not worth more than a mention, above the second it is strong (Kass & Raftery
1995, J Am Stat Assoc 90:773)."""


@dataclass(frozen=True)
class Parameter:
    """One parameter after the numbers were seen: median and 95 % interval, in the unit of the scenario.

    prior : the ends of its uniform prior. contraction : 1 - variance after / variance before; 0 is nothing learnt.
    """

    place: str
    median: float
    low: float
    high: float
    prior: tuple[float, float]
    contraction: float


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
    return None if found is None else read(found)


def printed(trial: str) -> str:
    """Every number of the stored summary that a page may tell, a line a mechanism and a parameter; empty without one.

    Finding them again takes minutes, by the command that the summary names; this only reads.
    """
    found = stored(trial)
    if found is None:
        return ""
    best = max(found.mechanisms, key=lambda m: m.log_evidence)
    told = [
        f"made by: {found.command}",
        f"discrepancy {found.discrepancy}; shares beyond {LEAST} and {MOST} are bounds",
    ]
    for m in found.mechanisms:
        told.append(
            f"{m.mechanism}: weight before {m.prior}, after {m.weight} (by bridge {m.weight_bridge}), of all others "
            f"{1 - m.prior} and {1 - m.weight}; Bayes factor against {best.mechanism} {found.against(m, best)}; log "
            f"evidence apart {abs(m.log_evidence - m.log_evidence_bridge)}; Pareto k {m.pareto_k}; "
            f"draws {m.draws}, effective {m.effective_draws}; {m.statistics} numbers, worth {m.effective_number['all']}"
        )
        told += [
            f"  {p.place}: {p.median} ({p.low} to {p.high}), before {p.prior[0]} to {p.prior[1]}; {p.contraction}"
            for p in m.parameters
        ]
        told += [f"  {label}: {z} standard deviations off" for label, z in m.unmatched.items()]
    return "\n".join(told)


def read(found: dict[str, Any]) -> Beliefs:
    """A summary as :func:`equipoise.calibrate.posterior.summary` writes it, with the command beside it."""
    return Beliefs(
        found["command"],
        found["after_the_randomised_period"],
        found["discrepancy"],
        tuple(_belief(name, m) for name, m in found["mechanisms"].items()),
    )


def _belief(name: str, m: dict[str, Any]) -> Belief:
    parameters = tuple(
        Parameter(place, p["median"], p["low"], p["high"], (p["prior"][0], p["prior"][1]), p["contraction"])
        for place, p in m["parameters"].items()
    )
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
