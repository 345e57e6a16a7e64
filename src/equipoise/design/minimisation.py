"""Allocation by minimisation, of any disease: each patient goes, as a rule, to the arm that balances the traits best.

A patient's course is simulated under every arm (patients draw from streams of their own, so that it is the same
patient), and allocation, in the order in which patients come, chooses among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from equipoise.design.accrual import arriving
from equipoise.errors import ScenarioError
from equipoise.files import Frozen
from equipoise.simulate import Scenario, Simulator
from equipoise.trial import Trials
from equipoise.trial.trials import EventTimes
from equipoise.types import CodeArray, IntArray

ALLOCATION = 9
"""The purpose of the streams of random numbers, beside those of :mod:`equipoise.numerics.random`."""

GROUP = "group"
"""The recruitment group, among the traits to balance."""


class Allocation(Frozen):
    """How patients are allocated, in place of permuted blocks by the strata of the scenario.

    method : ``minimisation`` (Pocock & Simon 1975): for each arm, the sum over traits of the range of the numbers of
    like patients, were the patient given it; the arm with the least is given with probability ``p``, each other one
    with an equal part of the rest, and ties are drawn. by : traits, those that the scenario can stratify by, and
    ``group``.
    """

    method: Literal["minimisation"]
    by: tuple[str, ...] = Field(min_length=1)
    p: Annotated[float, Field(gt=0, le=1)] = 0.8


def minimised(levels: Sequence[IntArray], order: IntArray, arms: int, p: float, draws: np.ndarray) -> CodeArray:
    """(trial, subject) arms by minimisation.

    levels : of each trait, (trial, subject) codes from 0. order : (trial, subject) subjects as they come. draws :
    (trial, subject, 2) uniform.

    With p = 1 and one trait of one level, the arms stay within one patient of each other:

    >>> order = np.arange(7)[None]
    >>> made = minimised([np.zeros((1, 7), np.int64)], order, 2, 1.0, np.full((1, 7, 2), 0.4))
    >>> np.bincount(made[0]).tolist() in ([4, 3], [3, 4])
    True
    """
    trials, n = order.shape
    row = np.arange(trials)
    counts = [np.zeros((trials, int(level.max(initial=0)) + 1, arms), np.int64) for level in levels]
    out = np.zeros((trials, n), np.int8)
    for k in range(n):
        j = order[:, k]
        like = [c[row, level[row, j]] for c, level in zip(counts, levels, strict=True)]  # (trial, arm) each
        score = np.zeros((trials, arms))
        for one in like:
            for a in range(arms):
                after = one.copy()
                after[:, a] += 1
                score[:, a] += after.max(axis=1) - after.min(axis=1)
        # ties are broken at random, by one draw: the arms in turn from a random one on
        turn = (np.arange(arms) + (draws[row, j, 0] * arms).astype(np.int64)[:, None]) % arms
        best = turn[row, np.take_along_axis(score, turn, axis=1).argmin(axis=1)]
        u = draws[row, j, 1]
        others = np.floor((u - p) / max(1.0 - p, 1e-12) * (arms - 1)).astype(np.int64)
        chosen = np.where(u < p, best, (best + 1 + np.clip(others, 0, max(arms - 2, 0))) % arms)
        out[row, j] = chosen
        for c, level in zip(counts, levels, strict=True):
            c[row, level[row, j], chosen] += 1
    return out


def _chosen(held: Sequence[Any], arm: CodeArray) -> Any:
    """Of what each arm would bring, what the patient's own brings."""
    first = held[0]
    if isinstance(first, np.ndarray):
        out = first.copy()
        for a, one in enumerate(held[1:], start=1):
            out[arm == a] = one[arm == a]
        return out
    if isinstance(first, Mapping):
        return {name: _chosen([one[name] for one in held], arm) for name in first}
    if isinstance(first, EventTimes):
        cause = None if first.cause is None else _chosen([one.cause for one in held], arm)
        week, happened = (_chosen([getattr(one, k) for one in held], arm) for k in ("week", "happened"))
        return replace(first, week=week, happened=happened, cause=cause)
    return first


@dataclass(frozen=True, eq=False)
class MinimisedSimulator(Simulator):
    """A scenario whose patients are allocated by minimisation. ``options`` : of the disease's engine."""

    allocation: Allocation
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def prepared(cls, scenario: Scenario, mechanism: Any, *, imbalance: bool, **options: Any) -> Self:
        """As :meth:`Simulator.prepared`; ``allocation``, and ``options`` of the engine, are its options.

        Raises
        ------
        ScenarioError : the traits are not known, or the arms are not to be equal.
        """
        made = cls(scenario, mechanism, imbalance, **options)
        groups = [scenario.groups[name] for name in scenario.protocol.groups]
        known = (GROUP, *scenario.package.strata(groups))
        for name in made.allocation.by:
            if name not in known:
                raise ScenarioError(
                    f"allocation.by: {name!r} is no trait to balance", hint=f"choose of {', '.join(known)}"
                )
        if len(set(scenario.protocol.ratio)) > 1:
            ratio = ":".join(map(str, scenario.protocol.ratio))
            raise ScenarioError(
                f"allocation: minimisation of arms of unequal size ({ratio})", hint="arms of one size, or blocks"
            )
        if imbalance:
            raise ScenarioError(
                "allocation: arms that are as unlike as in the scenario's trial are not minimised",
                hint="leave imbalance out",
            )
        return made

    def settings(self) -> tuple[str, ...]:
        """How patients are allocated, and the engine's own."""
        return (self.allocation.model_dump_json(), *self._each[0].settings())

    @cached_property
    def _each(self) -> tuple[Simulator, ...]:
        """The engine with every patient in one arm, arm by arm."""
        protocol, out = self.scenario.protocol, []
        for a in range(len(protocol.arms)):
            only = tuple(int(b == a) for b in range(len(protocol.arms)))
            own = self.scenario.model_copy(update={"protocol": protocol.model_copy(update={"ratio": only})})
            out.append(Simulator.of(own, self.mechanism, imbalance=False, **self.options))
        return tuple(out)

    def block(self, seed: int, first: int, n_trials: int) -> Trials:
        """Replicates ``first`` to ``first + n_trials - 1``."""
        each = [simulator.block(seed, first, n_trials) for simulator in self._each]
        one = each[0]
        levels = []
        for name in self.allocation.by:
            values = one.group if name == GROUP else one.covariates[name]
            levels.append(np.unique(values, return_inverse=True)[1].reshape(one.arm.shape))
        draws = np.stack(
            [
                np.random.Generator(np.random.Philox(key=[seed, ALLOCATION], counter=[0, 0, 0, first + i])).random(
                    (one.n_subjects, 2)
                )
                for i in range(n_trials)
            ]
        )
        arm = minimised(levels, arriving(one), len(one.arms), self.allocation.p, draws)
        names = [f.name for f in fields(one) if f.name not in ("weeks", "arm", "adverse_events", "present")]
        made = replace(one, arm=arm, **{k: _chosen([getattr(t, k) for t in each], arm) for k in names})
        return replace(made, adverse_events=self.adverse_events(seed, first, arm))
