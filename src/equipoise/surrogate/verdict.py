"""When a correlation of effects proves a surrogate, by the rules of IQWiG, and how many trials that takes.

IQWiG 2011, report A10-05: validity is proven where the lower 95 % limit of the correlation is at least 0.85, its lack
where the upper limit is at most 0.7; else it is unclear, and the surrogate threshold effect is asked. An 80 % interval
gives a hint in place of a proof.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from equipoise.errors import EstimationError

HIGH, LOW = 0.85, 0.70
LEAST_TRIALS = 5
"""Trials below which no verdict is given."""
IQWIG = "IQWiG 2011, report A10-05"


def by_correlation(low: float, high: float) -> str:
    """``proven``, ``lack proven`` or ``unclear`` from an interval of the correlation, whichever its sign.

    >>> by_correlation(0.86, 0.99), by_correlation(-0.6, -0.1), by_correlation(-1.0, -0.59)
    ('proven', 'lack proven', 'unclear')
    """
    if math.isnan(low) or math.isnan(high):
        return "unclear"
    nearest = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    if nearest >= HIGH:
        return "proven"
    return "lack proven" if max(abs(low), abs(high)) <= LOW else "unclear"


def trials_needed(correlation: float, *, power: float = 0.8, level: float = 0.95, target: float = HIGH) -> int | None:
    """Trials with error-free effects after which the lower limit reaches ``target`` with probability ``power``.

    None where the true correlation does not exceed the target. Fisher's z; effects with sampling errors need more.

    >>> [trials_needed(r) for r in (0.98, 0.95, 0.90, 0.85)]
    [11, 27, 172, None]
    """
    for name, value in (("power", power), ("level", level), ("target", target)):
        if not 0.0 < value < 1.0:
            raise EstimationError(f"{name} = {value!r}", hint="give a number between 0 and 1")
    if not -1.0 < correlation < 1.0:
        raise EstimationError(f"correlation = {correlation!r}", hint="give a number between -1 and 1")
    gap = math.atanh(abs(correlation)) - math.atanh(target)
    if gap <= 0.0:
        return None
    z = float(special.ndtri(0.5 + 0.5 * level)) + float(special.ndtri(power))
    return math.ceil((z / gap) ** 2 + 3.0 - 1e-12)


def correlation_needed(trials: int, *, level: float = 0.95, target: float = HIGH) -> float:
    """The correlation that has to be observed in ``trials`` error-free effects for its lower limit to reach ``target``.

    >>> [round(correlation_needed(k), 4) for k in (5, 10, 20)]
    [0.9899, 0.9638, 0.9392]
    """
    if trials <= 3:
        raise EstimationError(f"{trials} trials", hint="an interval of a correlation takes four or more")
    return math.tanh(math.atanh(target) + float(special.ndtri(0.5 + 0.5 * level)) / math.sqrt(trials - 3))


def too_few(k: int, what: str, of_them: str = "") -> str:
    """That so few trials, or units of one, tell nothing, and how many would."""
    own = what if k == 1 else f"{what}s"
    needed = needed_words(f"{what}s")
    return f"Cannot be told from {k} {own}{of_them}; a verdict takes {LEAST_TRIALS} or more, and {needed}."


def needed_words(what: str = "trials") -> str:
    """How many trials with both effects a proof by IQWiG's rule takes, for true correlations of 0.98, 0.95 and 0.90."""
    a, b, c = (trials_needed(r) for r in (0.98, 0.95, 0.90))
    return (
        f"by IQWiG's rule (lower 95 % limit of the correlation at least {HIGH:g}) a proof with 80 % power takes {a} "
        f"such {what} if the true correlation is 0.98, {b} if 0.95 and {c} if 0.90, and more as effects have errors"
    )


@dataclass(frozen=True)
class Verdict:
    """What may be said: ``said`` in a sentence; by the correlation and by the threshold, at 95 % and at 80 %.

    cannot_tell : fewer than five trials, or a correlation on the edge of what is possible.
    """

    trials: int
    correlation_95: str
    correlation_80: str
    threshold_95: str
    threshold_80: str
    cannot_tell: bool
    said: str


def judge(
    trials: int,
    interval_95: tuple[float, float],
    interval_80: tuple[float, float],
    threshold_95: str,
    threshold_80: str,
    boundary: bool,
    why: str = "the likelihood is largest at the edge of what is possible",
) -> Verdict:
    """The verdict on ``trials`` trials; intervals of the correlation, and what the threshold says."""
    if trials < LEAST_TRIALS:
        return Verdict(trials, "none", "none", "none", "none", True, too_few(trials, "trial", " with both effects"))
    proof, hint = by_correlation(*interval_95), by_correlation(*interval_80)
    if boundary and proof == "unclear":
        said = (
            f"Cannot be told from {trials} trials: {why}, and "
            f"correlations from {interval_95[0]:.2f} to {interval_95[1]:.2f} fit about as well; {needed_words()}."
        )
        return Verdict(trials, proof, hint, threshold_95, threshold_80, True, said)
    span = f"95 % interval of the correlation {interval_95[0]:.2f} to {interval_95[1]:.2f}"
    words = {
        "proven": f"Proven by the correlation of effects ({span}; IQWiG's limit is {HIGH:g}).",
        "lack proven": f"Not a surrogate: the correlation of effects is low ({span}; IQWiG's limit is {LOW:g}).",
    }
    said = words.get(proof, "")
    if not said:
        said = f"Unclear from {trials} trials ({span})"
        said += {"proven": "; a hint of validity at 80 %", "lack proven": "; a hint against it at 80 %"}.get(hint, "")
        said += f"; threshold: {threshold_95}; {needed_words()}."
    return Verdict(trials, proof, hint, threshold_95, threshold_80, False, said)
