"""Win ratio, win odds, net benefit and the test of Finkelstein and Schoenfeld on a hierarchy of outcomes.

Every patient on active treatment is compared with every control of the same stratum, on the most important outcome
first and on the next only where they tie. Equations and sources in ``docs/methods/win.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import labels, numbers, two_arms
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.indicators import events_of, flags_of, one_indicator, times_of
from equipoise.estimate.left_out import LeftOut, Sieve, of_one_arm
from equipoise.estimate.ranks.kernels import win as kernel
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

POCOCK = "Pocock et al. 2012, Eur Heart J 33:176"
BUYSE = "Buyse 2010, Stat Med 29:3245"
ODDS = "Dong et al. 2020, Stat Biopharm Res 12:99"
BEBU = "Bebu & Lachin 2016, Biostatistics 17:178"
DONG = "Dong et al. 2016, Pharm Stat 15:430"
STRATIFIED = "Dong et al. 2018, J Biopharm Stat 28:778"
FINKELSTEIN = "Finkelstein & Schoenfeld 1999, Stat Med 18:1341"
RECURRENT = "Mao, Kim & Li 2022, Stat Methods Med Res 31:1120"

INVERSE = "inverse-variance"
VARIANCES = {"u-statistic": BEBU, "null": DONG}


def _margin(margin: float, column: str) -> None:
    if not (math.isfinite(margin) and margin >= 0.0):
        raise EstimationError(
            f"{column!r}: margin {margin!r}", hint="a margin is 0 or more, in the unit of the outcome"
        )


@dataclass(frozen=True)
class Value:
    """A measured outcome: the higher value wins if it is higher by more than ``margin``; with ``lower_better`` the
    lower one.
    """

    column: str
    margin: float = 0.0
    lower_better: bool = False

    def __post_init__(self) -> None:
        _margin(self.margin, self.column)


@dataclass(frozen=True)
class Binary:
    """A yes-or-no outcome, 1 or True for yes: yes wins, or no with ``yes_better`` False."""

    column: str
    yes_better: bool = True


@dataclass(frozen=True)
class Time:
    """A time to an event: the patient known to go without it for longer, by more than ``margin``, wins.

    Name the indicator by ``event`` (1 for an event) or ``censor`` (0 for an event, as in ADaM). early_better : for an
    event that is wanted, the earlier wins. censored_after : count a patient whose follow-up ends at the very time of
    the other's event as having gone without it until then, as the risk sets of survival analysis do; otherwise the two
    tie.
    """

    column: str
    event: str | None = None
    censor: str | None = None
    margin: float = 0.0
    early_better: bool = False
    censored_after: bool = False

    def __post_init__(self) -> None:
        _margin(self.margin, self.column)
        one_indicator(self.event, self.censor, f"{self.column!r}: ")


@dataclass(frozen=True)
class Recurrent:
    """Recurrent events: fewer up to the shorter follow-up of the two wins.

    follow_up : column with the end of follow-up (death included). times : columns with the times of the first, second,
    ... event, missing where there is none. ties : ``""`` leaves equal numbers tied, ``"first"`` or ``"last"`` gives
    them to the patient whose first or last event is later.
    """

    follow_up: str
    times: tuple[str, ...]
    ties: str = ""

    def __post_init__(self) -> None:
        if self.ties not in ("", "first", "last"):
            raise EstimationError(f"ties of recurrent events {self.ties!r}", hint="'', 'first' or 'last'")
        if not self.times:
            raise EstimationError("recurrent events without columns of their times", hint="name one column an event")


Layer = Value | Binary | Time | Recurrent


@dataclass(frozen=True, eq=False)
class Layers:
    """The hierarchy in arrays: value, event (subject, layer); kinds, margins, signs (layer,); names."""

    value: FloatArray
    event: BoolArray
    kinds: IntArray
    margins: FloatArray
    signs: IntArray
    recurrent: FloatArray
    names: tuple[str, ...]
    known: BoolArray


def read_layers(frame: nw.DataFrame[Any], hierarchy: Sequence[Layer]) -> Layers:
    """The hierarchy of a frame in arrays; raises for what cannot be used."""
    n = len(frame)
    values: list[FloatArray] = []
    events: list[BoolArray] = []
    codes: list[tuple[int, float, int]] = []
    names: list[str] = []
    times = np.full((n, 0), np.inf)
    for layer in hierarchy:
        event = np.ones(n, np.bool_)
        if isinstance(layer, Value):
            require(frame, [layer.column])
            values.append(numbers(frame, layer.column))
            codes.append((kernel.VALUE, layer.margin, -1 if layer.lower_better else 1))
            names.append(layer.column)
        elif isinstance(layer, Binary):
            require(frame, [layer.column])
            values.append(flags_of(frame, layer.column))
            codes.append((kernel.VALUE, 0.0, 1 if layer.yes_better else -1))
            names.append(layer.column)
        elif isinstance(layer, Time):
            require(frame, [layer.column])
            time = times_of(frame, layer.column)
            flag = events_of(frame, layer.event, layer.censor, ~np.isnan(time))
            time = np.where(np.isnan(flag), np.nan, time)
            event = np.asarray(flag == 1.0, dtype=np.bool_)
            if layer.censored_after:
                time = np.where(event, time, np.nextafter(time, np.inf))
            values.append(time)
            codes.append((kernel.TIME, layer.margin, -1 if layer.early_better else 1))
            names.append(layer.column)
        elif not isinstance(layer, Recurrent):
            raise EstimationError(
                f"{layer!r} is no outcome of a hierarchy", hint="wrap columns in Time, Value, Binary or Recurrent"
            )
        else:
            if times.shape[1]:
                raise EstimationError("two layers of recurrent events", hint="only one is supported")
            require(frame, [layer.follow_up, *layer.times])
            times = np.column_stack([times_of(frame, c) for c in layer.times])
            times = np.sort(np.where(np.isnan(times), np.inf, times), axis=1)
            end = times_of(frame, layer.follow_up)
            late = (np.isfinite(times) & (times > end[:, None])).any(axis=1)
            if late.any():
                raise DataError(
                    f"row {int(np.flatnonzero(late)[0]) + 1} has an event after its follow-up in {layer.follow_up!r}",
                    hint="follow-up ends with or after the last event",
                )
            values.append(end)
            codes.append((kernel.COUNT, 0.0, 1))
            names.append(f"number of events in {layer.follow_up}")
            if layer.ties:
                events.append(event)
                values.append(end)
                codes.append((kernel.FIRST if layer.ties == "first" else kernel.LAST, 0.0, 1))
                names.append(f"time of the {layer.ties} event in {layer.follow_up}")
        events.append(event)
    value = np.column_stack(values)
    kinds, margins, signs = zip(*codes, strict=True)
    return Layers(
        value,
        np.column_stack(events),
        np.array(kinds, np.int64),
        np.array(margins, np.float64),
        np.array(signs, np.int64),
        times,
        tuple(names),
        np.asarray(~np.isnan(value).all(axis=1), dtype=np.bool_),
    )


@dataclass(frozen=True)
class LayerCount:
    """Pairs that one layer of the hierarchy decided."""

    name: str
    wins: int
    losses: int


@dataclass(frozen=True)
class StratumCount:
    """One stratum: patients of each arm, pairs won and lost by active."""

    name: str
    control: int
    active: int
    wins: int
    losses: int


@dataclass(frozen=True, eq=False)
class WinStatistics(Fit):
    """Win statistics of one trial, active against control.

    arms : control, active. wins, losses, ties : pairs, all strata together. win_ratio : share won over share lost.
    win_odds : the same with half of the ties given to each side. net_benefit : share won minus share lost.
    finkelstein_schoenfeld : the test on wins minus losses against all patients of the stratum, permutation variance.
    layers : pairs decided by each outcome. strata : those compared; strata_left_out : those with one arm, which
    take no part. left_out : rows that take no part, those of such strata among them, by reason; the ``n`` of the
    estimates is that of the others.
    """

    arms: tuple[Any, Any]
    wins: int
    losses: int
    ties: int
    win_ratio: Estimate
    win_odds: Estimate
    net_benefit: Estimate
    finkelstein_schoenfeld: Estimate
    layers: tuple[LayerCount, ...]
    strata: tuple[StratumCount, ...]
    strata_left_out: tuple[str, ...]
    left_out: LeftOut
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Win ratio, win odds, net benefit, test."""
        return (self.win_ratio, self.win_odds, self.net_benefit, self.finkelstein_schoenfeld)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"scale": e.scale} for e in self.estimates]

    def _title(self) -> str:
        return self.win_ratio.estimator[0].upper() + self.win_ratio.estimator[1:]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "pairs", self.to_sentence()
        for s in self.strata if len(self.strata) > 1 else ():
            yield s.name, f"{s.active} against {s.control} patients, {s.wins} won, {s.losses} lost"

    def _drawn(self) -> Any:
        """The ratios; the net benefit and the test are on other axes."""
        return (self.win_ratio, self.win_odds)

    def to_sentence(self) -> str:
        """The pairs in words, outcome by outcome."""
        total = self.wins + self.losses + self.ties
        if total == 0:
            return f"No pairs to compare: {self.win_ratio.reason}."
        parts = "; ".join(f"{c.name}: {c.wins} won, {c.losses} lost" for c in self.layers)
        return (
            f"Of {total} pairs, {self.arms[1]} won {self.wins} ({100 * self.wins / total:.1f} %), lost {self.losses} "
            f"({100 * self.losses / total:.1f} %) and tied in {self.ties} ({100 * self.ties / total:.1f} %) ({parts})."
        )


def _strata(frame: nw.DataFrame[Any], names: Sequence[str]) -> tuple[IntArray, list[str], BoolArray]:
    """(subject,) codes, labels of the codes, and who has all strata."""
    require(frame, names)
    code = np.zeros(len(frame), np.int64)
    called = [""]
    known = np.ones(len(frame), np.bool_)
    for name in names:
        values, levels = labels(frame, name)
        index = {level: i for i, level in enumerate(levels)}
        known &= np.array([v is not None for v in values], np.bool_)
        code = code * max(len(levels), 1) + np.array([index.get(v, 0) for v in values], np.int64)
        called = [", ".join(filter(None, (c, f"{name} {level}"))) for c in called for level in levels]
    return code, called, known


def win_statistics(
    data: Any,
    hierarchy: Sequence[Layer],
    *,
    arm: str = "TRT01P",
    control: Any = None,
    strata: str | Sequence[str] = (),
    weights: str = "mantel-haenszel",
    variance: str = "u-statistic",
    level: float = 0.95,
    estimand: str | None = None,
) -> WinStatistics:
    """Compare all pairs of patients on a hierarchy of outcomes.

    Parameters
    ----------
    data : one row a patient; pandas, polars or pyarrow. A patient with no outcome at all, no arm or no stratum takes no
        part; a missing outcome ties with every other in its layer.
    hierarchy : outcomes, the most important first: :class:`Time`, :class:`Value`, :class:`Binary`, :class:`Recurrent`.
    control : level of ``arm`` to compare with; default the first.
    strata : columns; only patients of one stratum are compared, and strata combined by ``weights``:
        ``mantel-haenszel`` (n1 n0 / n), ``size`` (n), ``pairs`` (n1 n0) or ``equal`` weights of the shares of pairs
        won and lost; or ``inverse-variance``, by which each statistic is averaged over strata on its own (log) scale.
    variance : ``u-statistic`` (Bebu & Lachin 2016), or ``null``, under equality of the arms (Dong et al. 2016).

    Returns
    -------
    WinStatistics. Where there is nothing to compare, everything ties, or one arm wins every pair, the estimates that do
    not exist say so and are NaN.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [9, 4, 9, 9, 6, 9, 2, 9], "D": [0, 1, 0, 0, 1, 0, 1, 0],
    ...                       "CHG": [-2, -9, -4, -3, -5, -4, -9, -6], "TRT01P": list("aaaapppp")})
    >>> made = win_statistics(frame, [Time("T", event="D"), Value("CHG")], control="p")
    >>> print(made.to_sentence())
    Of 16 pairs, a won 12 (75.0 %), lost 3 (18.8 %) and tied in 1 (6.2 %) (T: 7 won, 3 lost; CHG: 5 won, 0 lost).
    """
    if isinstance(hierarchy, Layer | str):
        raise EstimationError(f"{hierarchy!r} is no hierarchy", hint="give a list of outcomes")
    if not hierarchy:
        raise EstimationError("a hierarchy without outcomes", hint="give at least one, the most important first")
    if weights not in (*kernel.WEIGHTS, INVERSE):
        known = ", ".join((*kernel.WEIGHTS, INVERSE))
        raise EstimationError(f"unknown weights {weights!r}", hint=f"choose one of {known}")
    if variance not in VARIANCES:
        raise EstimationError(f"unknown variance {variance!r}", hint="choose one of " + ", ".join(VARIANCES))
    check_level(level)
    strata = (strata,) if isinstance(strata, str) else tuple(strata)
    frame = read_frame(data)
    read = read_layers(frame, hierarchy)
    named, levels = two_arms(frame, arm, control)
    code, called, stratified = _strata(frame, strata)
    active = np.array([a == levels[1] for a in named], np.bool_)
    sieve = Sieve(len(frame))
    sieve.need(read.known, "without any outcome")
    sieve.need(np.array([a is not None for a in named], np.bool_), f"without {arm}")
    sieve.need(stratified, f"without {' or '.join(strata)}")
    include = sieve.keep
    rows, counts, moments, layers, test = kernel.count(
        read.value[None],
        active[None],
        kinds=read.kinds,
        event=read.event[None],
        margins=read.margins,
        signs=read.signs,
        include=include[None],
        stratum=code[None],
        recurrent=read.recurrent[None],
    )
    shares, covariance, null, status = kernel.combine(
        rows, counts, moments, "mantel-haenszel" if weights == INVERSE else weights
    )
    present = np.unique(code[include]) if include.any() else np.zeros(0, np.int64)
    made = [StratumCount(called[int(c)], *(int(v) for v in counts[0, h])) for h, c in enumerate(present)]
    used = tuple(s for s in made if s.control and s.active)
    wins, losses = sum(s.wins for s in used), sum(s.losses for s in used)
    ties = sum(s.control * s.active for s in used) - wins - losses
    by = f", stratified by {', '.join(strata)} ({weights} weights)" if strata else ""
    state = Status(int(status[0]))
    lonely = {s.name or "the trial": s.control + s.active for s in made if not (s.control and s.active)}
    left_out = sieve.left_out.and_then(of_one_arm(lonely))
    n = len(frame) - left_out
    own = _estimates(
        shares,
        covariance,
        null if variance == "null" else None,
        state,
        name=f"{levels[1]} against {levels[0]}",
        estimator="pairwise comparison" + by,
        n=n,
        level=level,
        estimand=estimand,
        references=(
            VARIANCES[variance],
            *((STRATIFIED,) if strata else ()),
            *((RECURRENT,) if any(isinstance(x, Recurrent) for x in hierarchy) else ()),
        ),
        lonely=[s.name or "the trial" for s in used if min(s.control, s.active) == 1],
    )
    if weights == INVERSE and state is Status.OK:
        present_names = [s.name or "the trial" for s in made]
        own = _by_precision(
            own,
            kernel.inverse_variance(counts, moments, null=variance == "null"),
            present_names,
            {s.name or "the trial" for s in used},
        )
    statistic, spread = float(test[0, 0]), float(test[0, 1])
    silent = state in (Status.NO_DATA, Status.EMPTY_ARM, Status.NO_EVENTS) or not spread > 0.0
    fs_status = Status.OK if not silent else (state if state is not Status.OK else Status.SINGULAR)
    fs = Estimate.from_t(
        f"{levels[1]} against {levels[0]}",
        "Finkelstein-Schoenfeld test" + (f", stratified by {', '.join(strata)}" if strata else ""),
        statistic,
        math.sqrt(spread) if spread > 0.0 else math.nan,
        math.inf,
        n,
        level=level,
        scale="wins minus losses against everyone",
        estimand=estimand,
        status=fs_status,
        detail=_reason(fs_status) if fs_status is not Status.OK else None,
        references=(FINKELSTEIN,),
        term="wins minus losses",
        contrast=f"{levels[1]} against {levels[0]}",
    )
    return WinStatistics(
        levels,
        wins,
        losses,
        ties,
        *own,
        fs,
        tuple(LayerCount(name, int(w), int(x)) for name, (w, x) in zip(read.names, layers[0], strict=True)),
        used,
        tuple(s.name for s in made if not (s.control and s.active)),
        left_out,
        nw.get_native_namespace(frame),
    )


def _reason(status: Status) -> str:
    return {
        Status.NO_DATA: "not estimable: no patient has an outcome, an arm and a stratum",
        Status.EMPTY_ARM: "not estimable: no stratum has patients of both arms",
        Status.NO_EVENTS: "not estimable: every pair is tied",
        Status.SINGULAR: "not estimable: one patient in an arm gives no variance",
    }.get(status, REASONS[status])


def _estimates(
    shares: FloatArray,
    covariance: FloatArray,
    null: FloatArray | None,
    status: Status,
    *,
    name: str,
    estimator: str,
    n: int,
    level: float,
    estimand: str | None,
    references: tuple[str, ...],
    lonely: Sequence[str],
) -> tuple[Estimate, Estimate, Estimate]:
    """Win ratio, win odds and net benefit of one trial from the shares of pairs won and lost."""
    values, errors = kernel.ratios(shares, covariance, null)
    won, lost = shares[0]
    made = []
    for i, (scale, source) in enumerate((("win ratio", POCOCK), ("win odds", ODDS), ("net benefit", BUYSE))):
        state, detail = status, None
        if status is Status.BOUNDARY:
            detail = f"not estimable: every pair was {'won' if won > lost else 'lost'}"
        elif status is not Status.OK:
            detail = _reason(status)
        elif math.isnan(values[0, i]):
            state = Status.BOUNDARY
            detail = "not estimable: " + (
                "no pair was lost, the ratio is infinite" if lost == 0.0 else "no pair was won, the ratio is 0"
            )
        elif math.isnan(errors[0, i]):
            state, detail = Status.SINGULAR, "not estimable: the pairs give no variance"
            if lonely:
                detail = f"not estimable: one patient in an arm of {', '.join(lonely)} gives no variance"
        elif lonely:
            detail = f"one patient in an arm of {', '.join(lonely)}: that arm adds nothing to the variance"
        made.append(
            Estimate.from_t(
                name,
                estimator,
                float(values[0, i]),
                float(errors[0, i]),
                math.inf,
                n,
                level=level,
                ratio=i < 2,
                scale=scale,
                estimand=estimand,
                status=state,
                detail=detail,
                references=(source, *references),
                term=scale,
                contrast=name,
            )
        )
    return made[0], made[1], made[2]


def _by_precision(
    own: tuple[Estimate, Estimate, Estimate],
    pooled: tuple[FloatArray, FloatArray, BoolArray],
    names: Sequence[str],
    usable: set[str],
) -> tuple[Estimate, Estimate, Estimate]:
    """The estimates with strata weighted by precision; strata without a variance are named in the reason."""
    values, errors, took = pooled
    made = []
    for i, e in enumerate(own):
        without = [n for h, n in enumerate(names) if n in usable and not took[0, h, i]]
        found = bool(np.isfinite(values[0, i]))
        detail = None
        if not found:
            detail = "not estimable: in no stratum do the statistic and its variance exist"
        elif without:
            detail = f"without {', '.join(without)}, where the statistic or its variance does not exist"
        made.append(
            Estimate.from_t(
                e.name,
                e.estimator,
                float(values[0, i]),
                float(errors[0, i]),
                math.inf,
                e.n,
                level=e.level,
                ratio=i < 2,
                scale=e.scale,
                estimand=e.estimand,
                status=Status.OK if found else Status.SINGULAR,
                detail=detail,
                references=e.references,
                term=e.term,
                contrast=e.contrast,
            )
        )
    return made[0], made[1], made[2]


def of_pairs(
    pairs: FloatArray, *, name: str, estimator: str, level: float = 0.95, estimand: str | None = None
) -> tuple[Estimate, Estimate, Estimate]:
    """Win ratio, win odds and net benefit of pairs compared elsewhere, with the U-statistic variance.

    pairs : (active, control) 1 where the active patient did better, -1 worse, 0 tied.
    """
    n1, n0 = pairs.shape
    rows = np.array([n1 + n0])
    won, lost = pairs > 0, pairs < 0
    active = np.r_[np.zeros(n0, np.bool_), np.ones(n1, np.bool_)][None]
    wins = np.r_[lost.sum(axis=0), won.sum(axis=1)].astype(np.float64)[None]
    losses = np.r_[won.sum(axis=0), lost.sum(axis=1)].astype(np.float64)[None]
    shares, covariance, _, status = kernel.from_counts(rows, active, wins, losses)
    return _estimates(
        shares,
        covariance,
        None,
        Status(int(status[0])),
        name=name,
        estimator=estimator,
        n=n1 + n0,
        level=level,
        estimand=estimand,
        references=(BEBU,),
        lonely=["the trial"] if min(n1, n0) == 1 else [],
    )
