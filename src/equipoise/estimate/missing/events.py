"""Intercurrent events: which visits each affects, and by which strategy those visits are imputed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import numbers
from equipoise.estimate.frames import read_frame, require, values_of
from equipoise.estimate.missing.kernels.imputation_strategy import CIR, CR, JR, LMCF, MAR
from equipoise.estimate.panel import Panel
from equipoise.types import FloatArray, IntArray

CARPENTER = "Carpenter, Roger & Kenward 2013, J Biopharm Stat 23:1352"


@dataclass(frozen=True)
class Strategy:
    """name, what it does, the kernel's code, whether the imputation model sees the visits from the event on, and what
    the analysis takes from there: what was observed (``kept``), nothing (``dropped``) or a value (``fixed``).
    """

    name: str
    words: str
    code: int
    modelled: bool
    after: str


STRATEGIES: dict[str, Strategy] = {
    s.name: s
    for s in (
        Strategy("MAR", "missing at random; data after the event are kept", MAR, True, "kept"),
        Strategy("HYPOTHETICAL", "data after the event are dropped and imputed at random", MAR, False, "dropped"),
        Strategy("JR", "jump to reference", JR, False, "kept"),
        Strategy("CR", "copy reference", CR, False, "kept"),
        Strategy("CIR", "copy increments in reference", CIR, False, "kept"),
        Strategy("LMCF", "last mean carried forward", LMCF, False, "kept"),
        Strategy("COMPOSITE", "a value given from the event on", MAR, False, "fixed"),
    )
}
ALIASES = {"J2R": "JR", "NONE": "MAR", "TREATMENT POLICY": "MAR"}


def strategy_named(name: Any) -> Strategy:
    """The strategy of that name, in any case; raises :class:`DataError` where there is none."""
    key = str(name).strip().upper().replace("_", " ")
    key = ALIASES.get(key, key)
    if key not in STRATEGIES:
        raise DataError(
            f"unknown strategy {name!r}",
            hint="; ".join(f"{s.name}: {s.words}" for s in STRATEGIES.values()) + "; J2R is JR",
        )
    return STRATEGIES[key]


@dataclass(frozen=True)
class Composite:
    """The value that stands for the visits from an event on, under the strategy ``COMPOSITE``.

    Give one: ``value`` on the scale of the outcome; ``score``, from which ``baseline`` (a column) is taken off where
    the outcome is a change (0 for a death on a score); or ``worst``, the lowest value of anyone else at that visit in
    the same completed data set (where higher is worse, turn the sign of the outcome first).
    """

    value: float | None = None
    score: float | None = None
    baseline: str = "BASE"
    worst: bool = False

    def __post_init__(self) -> None:
        given = (self.value is not None) + (self.score is not None) + bool(self.worst)
        if given != 1:
            raise EstimationError(f"a composite with {given} values", hint="give one of value, score, worst=True")

    def values(self, panel: Panel) -> FloatArray:
        """(subject,) what is put in; minus infinity stands for the worst."""
        if self.worst:
            return np.full(panel.n, -np.inf)
        if self.value is not None:
            return np.full(panel.n, float(self.value))
        columns, _ = panel.columns([self.baseline])
        return np.asarray(float(self.score or 0.0) - columns[:, 0], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Events:
    """(subject,) first visit affected (the number of visits for none), and strategies by name."""

    ice: IntArray
    names: tuple[str, ...]

    @property
    def codes(self) -> IntArray:
        return np.array([STRATEGIES[s].code for s in self.names], dtype=np.int64)


def read_events(panel: Panel, ice: Any, subject: str, visit: str, strategy: str) -> Events:
    """Read the frame of intercurrent events: one row a patient, the first visit affected and the strategy.

    ``strategy`` names a column, or is itself a strategy for everyone. A visit between two of the trial counts as the
    next; one after the last affects nothing.
    """
    n, n_visits = panel.n, len(panel.weeks)
    first = np.full(n, n_visits, np.int64)
    names = ["MAR"] * n
    if ice is None:
        return Events(first, tuple(names))
    frame = read_frame(ice)
    by_column = strategy in frame.columns
    if not by_column:
        try:
            strategy_named(strategy)
        except DataError:
            require(frame, [subject, visit, strategy])
    require(frame, [subject, visit])
    index = {s: i for i, s in enumerate(panel.subjects)}
    weeks = numbers(frame, visit)
    given = values_of(frame.get_column(strategy)) if by_column else [strategy] * len(frame)
    seen: set[Any] = set()
    for row, (who, week, what) in enumerate(zip(values_of(frame.get_column(subject)), weeks, given, strict=True)):
        if who not in index:
            raise DataError(
                f"an intercurrent event of patient {who!r} (row {row + 1}), who is not in the data",
                hint=f"the two frames are matched by {subject!r}; patients are named like "
                + ", ".join(repr(s) for s in panel.subjects[:3]),
            )
        if who in seen:
            raise DataError(
                f"patient {who!r} has two intercurrent events", hint="keep the first that changes how data are handled"
            )
        seen.add(who)
        if np.isnan(week):
            raise DataError(f"the event of patient {who!r} has no {visit!r}", hint="give the first visit affected")
        if what is None or what != what:
            raise DataError(f"the event of patient {who!r} has no strategy", hint="fill in " + repr(strategy))
        chosen = strategy_named(what)
        i = index[who]
        at = int(np.searchsorted(panel.weeks, week - 1e-9))
        if chosen.code == LMCF and at == 0:
            raise DataError(
                f"LMCF for patient {who!r}, whose event comes before the first visit",
                hint="last mean carried forward needs a visit before the event: use JR, CR or MAR there",
            )
        first[i], names[i] = at, chosen.name
    _some_match(panel, first, [index[who] for who in seen], names, weeks, visit)
    return Events(first, tuple(names))


def _some_match(panel: Panel, first: IntArray, had: list[int], names: list[str], weeks: FloatArray, visit: str) -> None:
    """Events that all come after the last visit change nothing: refused where they seem to explain what is missing."""
    acting = [i for i in had if names[i] != "MAR"]
    if not acting or any(first[i] < len(panel.weeks) for i in acting):
        return
    last = float(panel.weeks[-1])
    found = (
        f"all {len(acting)} intercurrent events come after the last visit ({visit} {last:g}): "
        if len(acting) > 1
        else f"the intercurrent event comes after the last visit ({visit} {last:g}): "
    )
    found += f"they are at {np.nanmin(weeks):g} to {np.nanmax(weeks):g}" if len(acting) > 1 else f"{np.nanmin(weeks):g}"
    listed = ", ".join(f"{w:g}" for w in panel.weeks)
    if len(acting) > 1 and all(np.isnan(panel.y[i, -1]) for i in acting):
        raise DataError(
            f"{found}, though each of these patients has no value there",
            hint=f"give their times in the unit of the visits ({listed}): days for weeks?",
        )
    warnings.warn(f"{found}; visits are at {listed}. Their strategies change nothing.", stacklevel=4)


def changed(events: Events, panel: Panel, strategy: str | Mapping[Any, str]) -> Events:
    """``events`` with another strategy for every patient with an event, or for those named."""
    names = list(events.names)
    if isinstance(strategy, str):
        new = strategy_named(strategy).name
        for i in map(int, np.flatnonzero(events.ice < len(panel.weeks))):
            names[i] = new
    else:
        index = {s: i for i, s in enumerate(panel.subjects)}
        for who, what in strategy.items():
            if who not in index:
                raise DataError(f"no patient {who!r} in the data", hint="name patients as the data do")
            names[index[who]] = strategy_named(what).name
            if events.ice[index[who]] == len(panel.weeks) and strategy_named(what).name != "MAR":
                raise DataError(
                    f"patient {who!r} has no intercurrent event", hint="events and their visits come with the draws"
                )
    for i, name in enumerate(names):
        if STRATEGIES[name].code == LMCF and events.ice[i] == 0:
            raise DataError(
                f"LMCF for patient {panel.subjects[i]!r}, whose event comes before the first visit",
                hint="last mean carried forward needs a visit before the event: use JR, CR or MAR there",
            )
    return Events(events.ice, tuple(names))


def model_view(panel: Panel, events: Events) -> FloatArray:
    """(subject, visit) what the imputation model sees: nothing after an event of another strategy than MAR."""
    after = np.arange(len(panel.weeks)) >= events.ice[:, None]
    hidden = np.array([not STRATEGIES[s].modelled for s in events.names])
    return np.where(after & hidden[:, None], np.nan, panel.y)


def analysis_view(panel: Panel, events: Events, composite: Composite | None) -> tuple[FloatArray, FloatArray]:
    """(subject, visit) what completed data sets keep, NaN to be imputed; and the values put in afterwards."""
    after = np.arange(len(panel.weeks)) >= events.ice[:, None]
    kind = np.array([STRATEGIES[s].after for s in events.names])
    y = np.where(after & (kind != "kept")[:, None], np.nan, panel.y)
    fixed = np.full(y.shape, np.nan)
    mine = after & (kind == "fixed")[:, None]
    if mine.any():
        if composite is None:
            raise EstimationError(
                "the strategy COMPOSITE without a value",
                hint="give composite=Composite(score=0.0), Composite(value=...) or Composite(worst=True)",
            )
        fixed = np.where(mine, composite.values(panel)[:, None], np.nan)
    return y, fixed


def reference_of(panel: Panel, reference: Any) -> IntArray:
    """(arm,) index of the reference arm of each arm."""
    arms = list(panel.arms)
    if reference is None:
        return np.zeros(len(arms), np.int64)
    if isinstance(reference, Mapping):
        given: dict[Any, Any] = {**dict.fromkeys(arms, arms[0]), **reference}
    else:
        given = dict.fromkeys(arms, reference)
    known: Sequence[Any] = [*given, *given.values()]
    for arm in known:
        if arm not in arms:
            raise DataError(f"reference arm {arm!r} is not in the data", hint="arms are " + ", ".join(map(str, arms)))
    return np.array([arms.index(given[arm]) for arm in arms], dtype=np.int64)
