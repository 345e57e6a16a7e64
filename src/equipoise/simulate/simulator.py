"""The engine of a scenario, whatever its disease: virtual trials, a block at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.numerics.random import ADVERSE_EVENT
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import Scenario, load_scenario
from equipoise.trial import Trials
from equipoise.types import BoolArray, CodeArray, FloatArray


@dataclass(frozen=True, eq=False)
class Simulator(ABC):
    """A scenario under one mechanism, ready to simulate; ``Simulator.of`` gives that of the scenario's disease.

    With ``imbalance`` the arms differ at baseline as they did in the trial, where the disease knows that; without, they
    are drawn alike, as in a fresh trial of the same design.
    """

    scenario: Scenario
    mechanism: Mechanism
    imbalance: bool

    @classmethod
    def of(
        cls, scenario: Scenario, mechanism: Mechanism | str | None = None, *, imbalance: bool = True, **options: Any
    ) -> Simulator:
        """Prepare ``scenario``; ``mechanism`` defaults to the scenario's own. ``options`` are the disease's own.

        Raises
        ------
        ScenarioError : the scenario has no such mechanism.
        """
        chosen = scenario.default_mechanism if mechanism is None else mechanism
        scenario.under(chosen)  # raises with the list of what there is
        return scenario.package.engine().prepared(scenario, Mechanism(chosen), imbalance=imbalance, **options)

    @classmethod
    @abstractmethod
    def prepared(cls, scenario: Scenario, mechanism: Mechanism, *, imbalance: bool, **options: Any) -> Self:
        """What a disease implements: everything that all blocks share, made once."""

    @abstractmethod
    def block(self, seed: int, first: int, n_trials: int) -> Trials:
        """Replicates ``first`` to ``first + n_trials - 1``; what replicate r holds depends on ``(seed, r)`` alone."""

    def settings(self) -> tuple[str, ...]:
        """What decides the numbers beside scenario, mechanism and imbalance: the options of the disease."""
        return ()

    def adverse_events(self, seed: int, first: int, arm: CodeArray) -> dict[str, BoolArray]:
        """Event -> (trial, subject) whether it happened, by the rates of the scenario. ``arm`` : (trial, subject)."""
        events = self.scenario.adverse_events
        if not events:
            return {}
        rates = np.array([[rate.get(a, 0.0) for a in self.scenario.protocol.arms] for rate in events.values()])
        happened = np.empty((len(events), *arm.shape), dtype=np.bool_)
        for i in range(arm.shape[0]):
            draw = np.random.Generator(np.random.Philox(key=[seed, ADVERSE_EVENT], counter=[0, 0, 0, first + i]))
            happened[:, i] = draw.random((len(events), arm.shape[1])) < rates[:, arm[i]]
        return dict(zip(events, happened, strict=True))


def simulate(
    scenario: Scenario | str,
    replicates: int,
    *,
    seed: int = 1,
    first: int = 0,
    mechanism: Mechanism | str | None = None,
    imbalance: bool = True,
) -> Trials:
    """``replicates`` virtual trials of ``scenario``, or of the shipped one of that name, in one batch.

    Raises
    ------
    ScenarioError
        If ``replicates`` is below 1 or the scenario cannot be simulated.

    Examples
    --------
    >>> trials = simulate("valor", 2, seed=1)
    >>> trials.arm.shape
    (2, 108)
    """
    if replicates < 1:
        raise ScenarioError(f"{replicates} replicates", hint="ask for at least 1")
    scenario = load_scenario(scenario) if isinstance(scenario, str) else scenario
    return Simulator.of(scenario, mechanism, imbalance=imbalance).block(seed, first, replicates)


def typical_course(
    scenario: Scenario,
    group: str,
    arm: str,
    *,
    mechanism: Mechanism | str | None = None,
    weeks: Sequence[float] | None = None,
    **own: Any,
) -> dict[str, FloatArray]:
    """The true states over time of the typical patient of a group and arm: no chance, no events, no withdrawal.

    Parameters
    ----------
    group, arm : recruitment group and arm, by name.
    weeks : when; whole days, increasing from 0. Default: every week to the last visit.
    own : what the disease asks beside (for ``als``: ``baseline`` in points, ``rate`` in points per month).

    Returns
    -------
    dict
        ``weeks`` and each state at them; which states there are, the disease says.

    Raises
    ------
    ScenarioError : the disease draws no typical course, or there is no such mechanism.
    """
    path: dict[str, FloatArray] = scenario.package.course()(
        scenario, group, arm, mechanism=mechanism, weeks=weeks, **own
    )
    return path
