"""Several arms in estimators of two: each arm against control, or the pairs that are named."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import labels
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.result import Estimate


@dataclass(frozen=True, eq=False)
class Pairwise(Fit):
    """Comparisons of pairs of arms, each by the same estimator.

    fits : (arm, the arm it is compared with) -> what the estimator gave of the two.
    """

    fits: Mapping[tuple[Any, Any], Any]
    backend: Any

    def __getitem__(self, pair: tuple[Any, Any]) -> Any:
        if pair not in self.fits:
            known = ", ".join(f"{a} against {b}" for a, b in self.fits)
            raise EstimationError(f"no comparison {pair!r}", hint=f"there are {known}")
        return self.fits[pair]

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Those of every pair, one pair after the other."""
        return tuple(one for fit in self.fits.values() for one in fit.estimates)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        return tuple(one for fit in self.fits.values() for one in fit.at_level(level))

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        rows: list[dict[str, Any]] = []
        for (arm, versus), fit in self.fits.items():
            own = fit._keys() or [{}] * len(fit.estimates)
            rows += [{"compared": str(arm), "versus": str(versus), **key} for key in own]
        return rows

    def _title(self) -> str:
        first = next(iter(self.fits.values()))
        return f"{first._title()}, {len(self.fits)} pairs of arms"

    def _told(self) -> Iterator[str]:
        for k, ((arm, versus), fit) in enumerate(self.fits.items()):
            if k:
                yield ""
            yield f"--- {arm} against {versus} ---"
            yield from fit.summary().splitlines()

    def _drawn(self) -> Any:
        """What each pair would draw, with the pair in its name where the estimate does not say it."""
        made: list[Estimate] = []
        for (arm, versus), fit in self.fits.items():
            own = fit._drawn()
            whose = own if isinstance(own, list | tuple) else fit.estimates
            pair = f"{arm} against {versus}"
            made += [one if str(arm) in one.name else replace(one, name=f"{one.name}, {pair}") for one in whose]
        return tuple(made)


def pairwise(
    function: Callable[..., Any],
    data: Any,
    *args: Any,
    arm: str = "TRT01P",
    control: Any = None,
    pairs: Sequence[tuple[Any, Any]] | None = None,
    **options: Any,
) -> Pairwise:
    """Let an estimator of two arms compare each arm of several with control, or the pairs that are named.

    Each pair is analysed with its own patients alone, as two-arm tests are (a Wilcoxon test of two arms does not ask
    how a third did). An estimator that models all arms together (:func:`equipoise.joint_rank`: the imputation model)
    is given everyone, and the pair by ``active=``. No p-value is adjusted for how many there are.

    Parameters
    ----------
    function : the estimator, such as :func:`equipoise.rmst`; it takes ``data``, ``arm=`` and ``control=``.
    data : pandas, polars or pyarrow. args, options : what else the function is given.
    control : level of ``arm`` that the others are compared with; default the first.
    pairs : (arm, the one it is compared with), in place of each against control.

    Raises
    ------
    DataError, EstimationError : an arm or control that is not there, fewer than two arms; and as ``function`` does.

    Examples
    --------
    >>> import polars as pl
    >>> from equipoise import pairwise, rmst
    >>> data = pl.DataFrame({"AVAL": [2, 4, 5, 7, 9, 3, 5, 8, 9, 9, 5, 6, 9, 9, 9],
    ...                      "CNSR": [0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1],
    ...                      "TRT01P": ["placebo"] * 5 + ["low"] * 5 + ["high"] * 5})
    >>> made = pairwise(rmst, data, control="placebo", time="AVAL", censor="CNSR", tau=9)
    >>> [(pair, round(fit.difference.estimate, 2)) for pair, fit in made.fits.items()]
    [(('high', 'placebo'), 2.2), (('low', 'placebo'), 1.4)]
    >>> pairwise(rmst, data, pairs=[("high", "low")], time="AVAL", censor="CNSR", tau=9)["high", "low"].arms[0].arm
    'low'
    """
    frame = read_frame(data)
    require(frame, [arm])
    _, levels = labels(frame, arm)
    known = "arms are " + ", ".join(map(str, levels))
    if control is not None and control not in levels:
        raise DataError(f"{control!r} is not a level of {arm!r}", hint=known)
    first = levels[0] if control is None and levels else control
    asked = [(one, first) for one in levels if one != first] if pairs is None else [tuple(pair) for pair in pairs]
    if not asked:
        raise DataError(f"{arm!r} has {len(levels)} level{'s' if len(levels) != 1 else ''}", hint="nothing to compare")
    for pair in asked:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(levels):
            raise EstimationError(f"{pair!r} is no pair of arms", hint=known)
    takes = inspect.signature(function).parameters
    together, by_name = "active" in takes, next(iter(takes), "") != "data"
    fits: dict[tuple[Any, Any], Any] = {}
    for active, versus in asked:
        mine = frame if together else frame.filter(nw.col(arm).is_in([versus, active]))
        native = mine.to_native()
        own = {"arm": arm, "control": versus, **({"active": active} if together else {}), **options}
        fits[active, versus] = function(*args, data=native, **own) if by_name else function(native, *args, **own)
    return Pairwise(fits, nw.get_native_namespace(frame))
