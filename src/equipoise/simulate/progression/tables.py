"""What does not depend on the person, over the nodes: mean loss, what the drug saves of it, its gain, the marker."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammainc

from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.progression.courses import Exponential, Linear, Spline
from equipoise.simulate.progression.model import Disease, Effect, Group
from equipoise.simulate.protocol import Intake, Protocol
from equipoise.types import WEEKS_PER_MONTH, FloatArray

_ABSCISSAE, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class Taken:
    """When an arm takes the drug and what share of the full effect it has; ``stop`` is infinite where it goes on."""

    start: float
    stop: float
    share: float


def taken(protocol: Protocol, arm: str, effect: Effect) -> tuple[Taken, ...]:
    """When an arm that goes on into the extension takes the drug; empty where it never has any."""
    dosing = protocol.dosing
    assert isinstance(dosing, Intake)  # checked with the scenario
    share = 0.0 if arm not in dosing.takers else effect.at_dose(None if dosing.doses is None else dosing.doses[arm])
    if arm in dosing.periods:
        return tuple(Taken(first, last, share) for first, last in dosing.periods[arm])
    first, then = arm in dosing.randomised, arm in dosing.extension
    if not first and not then:
        return ()
    end = math.inf if then or protocol.extension is None else protocol.period_end
    return (Taken(0.0 if first else protocol.period_end, end, share),)


def built_up(since: FloatArray, onset: float) -> FloatArray:
    """(...) first-order build-up with time constant ``onset``; at once where that is 0, and nothing at the start."""
    if onset <= 0.0:
        return (since > 0.0).astype(np.float64)
    return -np.expm1(-np.maximum(since, 0.0) / onset)


def pulse(weeks: FloatArray, when: Taken, onset: float) -> FloatArray:
    """(week,) what is built up of an effect while the drug is taken, and fades as it came."""
    off = built_up(weeks - when.stop, onset) if math.isfinite(when.stop) else 0.0
    return np.asarray(built_up(weeks - when.start, onset) - off)


def transit(since: FloatArray, lag: float, stages: int) -> FloatArray:
    """(...) share of a step that has come through a chain of transit stages of mean delay ``lag``.

    The distribution function of an Erlang delay (Savic et al. 2007).
    """
    return np.asarray(gammainc(stages, stages / lag * np.maximum(since, 0.0)))


Curve = Linear | Exponential | Spline


def _since(course: Curve | None, weeks: FloatArray, start: float, lag: float, stages: int) -> FloatArray:
    """(week,) integral from ``start`` of the pace of loss times what has come through the lag; None: a pace of 1."""

    def loss(t: FloatArray) -> FloatArray:
        return t if course is None else course.loss(t)

    if stages == 0:
        begin = start + lag
        return np.where(weeks > begin, loss(np.maximum(weeks, begin)) - loss(np.full_like(weeks, begin)), 0.0)
    # pieces between the nodes after the start, Gauss-Legendre on each
    edges = np.concatenate([[start], weeks[weeks > start]])
    half = 0.5 * np.diff(edges)[:, None]
    at = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * _ABSCISSAE
    pace = np.ones_like(at) if course is None else course.pace(at.ravel()).reshape(at.shape)
    pieces = (half * _WEIGHTS * pace * transit(at - start, lag, stages)).sum(axis=1)
    out = np.zeros_like(weeks)
    out[weeks > start] = np.cumsum(pieces)
    return out


def saved(course: Curve | None, weeks: FloatArray, when: Taken, effect: Effect) -> FloatArray:
    """(week,) of the mean loss, what the drug has taken away by each week (negative: added).

    course : the mean loss; None for a constant pace of one point a week, so that the result is in weeks of loss.

    >>> from equipoise.simulate.progression.courses import Linear
    >>> effect = Effect(mechanism="lagged", slowing=1.0, lag=13, stages=4)
    >>> weeks = np.arange(0.0, 53.0)
    >>> round(float(saved(None, weeks, Taken(0.0, math.inf, 1.0), effect)[28]) / 28, 6)
    0.540147
    """
    share = effect.slowing - effect.worsening
    if share == 0.0:
        return np.zeros_like(weeks)
    out = _since(course, weeks, when.start, effect.lag, effect.stages)
    if math.isfinite(when.stop):
        out = out - _since(course, weeks, when.stop, effect.lag, effect.stages)
    return share * when.share * out


@dataclass(frozen=True)
class Tables:
    """See :class:`equipoise.simulate.progression.kernels.course.CourseArrays`.

    weeks : (node,). loss : (group, node). saved : (group, arm, node). The others : (arm, node).
    """

    weeks: FloatArray
    loss: FloatArray
    saved: FloatArray
    saved_time: FloatArray
    gain: FloatArray
    marker: FloatArray
    ln_hazard: FloatArray


def nodes(protocol: Protocol) -> FloatArray:
    """(node,) every week to the last, and every visit."""
    every = np.arange(math.floor(protocol.last_week) + 1.0)
    turns = [w for own in getattr(protocol.dosing, "periods", {}).values() for part in own for w in part]
    inside = [w for w in turns if w <= protocol.last_week]
    return np.unique(np.concatenate([every, protocol.visits, inside, [protocol.period_end, protocol.last_week]]))


def tables(
    protocol: Protocol, groups: dict[str, Group], disease: Disease, effect: Effect, weeks: FloatArray | None = None
) -> Tables:
    """The tables of a scenario under one mechanism, at the nodes or at ``weeks``."""
    weeks = nodes(protocol) if weeks is None else weeks
    when = [taken(protocol, arm, effect) for arm in protocol.arms]
    courses = [groups[name].course for name in protocol.groups]

    def by_arm(one: Callable[[Taken], Any]) -> FloatArray:
        return np.array([sum((one(w) for w in own), np.zeros_like(weeks)) for own in when])

    def all_saved(course: Curve | None, own: tuple[Taken, ...]) -> FloatArray:
        # what was saved in one period stays saved: periods add up
        return np.asarray(sum((saved(course, weeks, w, effect) for w in own), np.zeros_like(weeks)))

    def on(w: Taken) -> FloatArray:
        return ((weeks >= w.start) & (weeks < w.stop)).astype(np.float64)

    marker = np.zeros((len(when), len(weeks)))
    if disease.marker is not None:
        own = disease.marker
        marker = by_arm(lambda w: math.log(own.ratio) * w.share * pulse(weeks, w, own.onset))
        marker = marker + own.drift * weeks / WEEKS_PER_MONTH
    ratio = math.log(effect.hazard_ratio) if effect.mechanism is not Mechanism.NONE else 0.0
    return Tables(
        weeks=weeks,
        loss=np.array([c.loss(weeks) for c in courses]),
        saved=np.array([[all_saved(c, own) for own in when] for c in courses]),
        saved_time=np.array([all_saved(None, own) for own in when]),
        gain=by_arm(lambda w: effect.gain * w.share * pulse(weeks, w, effect.onset)),
        marker=marker,
        ln_hazard=by_arm(lambda w: ratio * w.share * on(w)),
    )
