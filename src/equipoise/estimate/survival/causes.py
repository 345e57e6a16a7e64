"""How follow-up ended, from a data frame: censored, by the cause that is asked about, or by another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.formula import ModelFormula
from equipoise.estimate.frames import require
from equipoise.estimate.left_out import Sieve
from equipoise.estimate.survival.event_data import read_times
from equipoise.estimate.survival.surv_formula import surv_model
from equipoise.types import BoolArray, FloatArray, IntArray

_HINT = "write Surv(time, cause) ~ terms, cause a column with the cause of each event"


@dataclass(frozen=True, eq=False)
class Causes:
    """(row,) times (NaN where time or cause is missing) and codes: 0 censored, 1 .. for ``labels``."""

    time: FloatArray
    code: IntArray
    labels: tuple[Any, ...]
    sieve: Sieve

    @property
    def known(self) -> BoolArray:
        """(row,) which take part, as far as has been asked."""
        return self.sieve.keep

    def of(self, cause: Any) -> IntArray:
        """Codes with ``cause`` first: 0 censored, 1 that cause, 2 any other.

        A cause that nobody had is no mistake, but one in words where causes are numbers (or the reverse) is.
        """
        if self.labels and isinstance(cause, str) != isinstance(self.labels[0], str):
            raise DataError(f"no cause {cause!r}", hint="causes are " + ", ".join(map(repr, self.labels)))
        wanted = self.labels.index(cause) + 1 if cause in self.labels else -1
        return np.where(self.code == 0, 0, np.where(self.code == wanted, 1, 2))


def read_causes(frame: nw.DataFrame[Any], time: str, cause: str, censored: Any) -> Causes:
    """Times and causes of a frame; raises :class:`DataError` for a column that holds what it should not."""
    require(frame, [time, cause])
    times = read_times(frame, time)
    own, levels = codes_of(frame, cause)
    found = tuple(level for level in levels if level != censored)
    if isinstance(censored, str) != any(isinstance(level, str) for level in levels) and levels:
        raise DataError(
            f"censoring is {censored!r} but {cause!r} holds {', '.join(map(repr, levels[:6]))}",
            hint="say censored=... which value of the cause means that follow-up ended without an event",
        )
    index = {level: i + 1 for i, level in enumerate(found)} | {censored: 0}
    code = np.array([*(index[level] for level in levels), 0], np.int64)[own]
    sieve = Sieve(len(frame))
    sieve.need(~np.isnan(times), f"without {time}")
    sieve.need(own >= 0, f"without {cause}")
    return Causes(times, code, found, sieve)


def split_formula(formula: Any) -> tuple[str, str, ModelFormula]:
    """The columns of time and cause, and the model."""
    model = surv_model(formula)
    assert model.survival is not None
    if len(model.survival.columns) != 2 or model.survival.censoring:
        raise EstimationError(f"cannot read the formula {formula!r}", hint=_HINT)
    time, cause = model.survival.columns
    return time, cause, model


def check_variance(variance: str, known: Sequence[str]) -> None:
    """Raise :class:`EstimationError` for a variance that is not one of ``known``."""
    if variance not in known:
        raise EstimationError(f"unknown variance {variance!r}", hint="choose one of " + ", ".join(known))
