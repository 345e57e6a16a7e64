"""Time to confirmed deterioration, derived from visits, with the reason for every patient.

A deterioration is a fall (or rise) from baseline by a threshold; one that the next visit does not bear out is noise of
the scale. What bears it out, and what is done with deaths and missed visits, changes the answer, so all of it is in one
rule that prints itself. The patients of the result have ADaM's names (AVAL, CNSR, EVNTDESC) and go into Kaplan-Meier or
Cox as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import numbers
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import one_row_a_patient, read_frame, require, values_of
from equipoise.estimate.left_out import NOBODY, LeftOut, Sieve
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival.kernels import deterioration as kernel
from equipoise.types import FloatArray, IntArray

_CHOICES = {
    "worse": ("lower", "higher"),
    "confirm": tuple(kernel.CONFIRM),
    "unconfirmed": ("censor", "event"),
    "date": ("onset", "confirmation"),
    "death": ("event", "competing", "censor"),
}


@dataclass(frozen=True)
class DeteriorationRule:
    """What counts as deterioration, what confirms it, and what else ends follow-up. Times in the unit of the visits.

    threshold : size of the change that counts, above 0, reached or exceeded; with ``relative`` as a share of baseline.
    worse : whether ``lower`` or ``higher`` values are worse.
    confirm : ``next``: the next visit at least ``min_gap`` later must be as bad, and within ``max_gap``; ``any``: some
        visit between the two gaps; ``sustained``: every later visit, one of them within the gaps; ``none``.
    unconfirmed : where no visit could confirm (it was the last, or none lies within the gaps) ``censor`` or count an
        ``event``; never if a later visit is less bad.
    date : whether the event is at its ``onset`` or at its ``confirmation``.
    death : ``event`` (death or deterioration, whichever first), ``competing``, or ``censor`` at the last visit.
    death_confirms : death within ``max_gap`` of a deterioration that no visit could confirm confirms it.
    max_missed : an event after a longer time without a visit is censored at the visit before.
    up_to : visits and deaths after it are not used.
    """

    threshold: float
    relative: bool = False
    worse: str = "lower"
    confirm: str = "next"
    min_gap: float = 0.0
    max_gap: float = math.inf
    unconfirmed: str = "censor"
    date: str = "onset"
    death: str = "event"
    death_confirms: bool = True
    max_missed: float = math.inf
    up_to: float = math.inf

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise EstimationError(f"{name} = {getattr(self, name)!r}", hint="choose one of " + ", ".join(known))
        if not (math.isfinite(self.threshold) and self.threshold > 0.0):
            raise EstimationError(
                f"threshold = {self.threshold!r}",
                hint="give the size of the worsening, above 0; worse= says its direction",
            )
        if not 0.0 <= self.min_gap <= self.max_gap:
            raise EstimationError(f"gaps from {self.min_gap!r} to {self.max_gap!r}", hint="0 <= min_gap <= max_gap")
        if not (self.max_missed > 0.0 and self.up_to > 0.0):
            raise EstimationError("max_missed and up_to are times above 0", hint="leave them out for no limit")

    def to_sentence(self, unit: str = "week") -> str:
        """The rule as a protocol would say it."""
        size = f"{100 * self.threshold:g} %" if self.relative else f"{self.threshold:g} points"
        gaps = []
        if self.min_gap > 0.0:
            gaps.append(f"at least {self.min_gap:g} {unit}s")
        if math.isfinite(self.max_gap):
            gaps.append(f"at most {self.max_gap:g} {unit}s")
        later = f" ({' and '.join(gaps)} later)" if gaps else ""
        said = {
            "none": "not confirmed",
            "next": f"confirmed at the next visit{later}",
            "any": f"confirmed at any later visit{later}",
            "sustained": f"sustained at every later visit, one or more of them{later or ' needed'}",
        }[self.confirm]
        parts = [f"{'A fall' if self.worse == 'lower' else 'A rise'} from baseline of {size} or more, {said}"]
        if self.confirm != "none":
            parts.append(
                "where no visit could confirm it, "
                + ("it counts" if self.unconfirmed == "event" else "it does not count")
                + (", unless death follows" if self.death_confirms and self.unconfirmed == "censor" else "")
            )
        parts.append(
            {
                "event": "death is an event",
                "competing": "death is a competing event",
                "censor": "death censors at the last visit",
            }[self.death]
        )
        if math.isfinite(self.max_missed):
            parts.append(
                f"an event after more than {self.max_missed:g} {unit}s without a visit is censored before them"
            )
        if math.isfinite(self.up_to):
            parts.append(f"up to {unit} {self.up_to:g}")
        return "; ".join(parts) + f". Dated at its {self.date}."


@dataclass(frozen=True, eq=False)
class Deterioration(Fit):
    """Time to confirmed deterioration of every patient, by a rule.

    patients : one row a patient with ADaM's names (AVAL, CNSR, EVNTDESC), which goes into Kaplan-Meier or Cox as it is.
    estimates : how many deteriorated, died first and were censored, by the first column that was kept (``by``, an arm
    as a rule). left_out : patients without a usable baseline.
    """

    rule: DeteriorationRule
    patients: Any
    estimates: tuple[Estimate, ...]
    by: str | None
    unit: str
    left_out: LeftOut = NOBODY
    backend: Any = None

    def _groups(self) -> list[Any]:
        return [] if self.by is None else sorted(set(values_of(self._read().get_column(self.by))), key=str)

    def _read(self) -> nw.DataFrame[Any]:
        return read_frame(self.patients)

    def _keys(self) -> Sequence[dict[str, Any]]:
        if self.by is None:
            return ()
        groups = self._groups()
        each = len(self.estimates) // max(len(groups), 1)
        return [{self.by: group} for group in groups for _ in range(each)]

    def _title(self) -> str:
        return "Time to confirmed deterioration"

    def _notes(self) -> Sequence[str]:
        return (self.rule.to_sentence(self.unit),)

    def plot(self, **options: Any) -> Any:
        """Kaplan-Meier curves of the times by group; where death competes, the curves of incidence."""
        from equipoise.estimate.survival.competing_risks import cumulative_incidence
        from equipoise.estimate.survival.kaplan_meier import kaplan_meier

        if self.rule.death == "competing":
            curves: Fit = cumulative_incidence(self.patients, time="AVAL", cause="CAUSE", arm=self.by)
        else:
            curves = kaplan_meier(self.patients, time="AVAL", censor="CNSR", arm=self.by)
        return curves.plot(**{"unit": f"{self.unit}s", **options})


def deterioration_times(
    change: Any, weeks: Any, rule: DeteriorationRule, *, death: Any = None, base: Any = None
) -> tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]:
    """The rule on a block of trials.

    change : (trial, subject, visit) change from baseline, NaN where missing. weeks : (visit,), (subject, visit) or
    (trial, subject, visit). death : (trial, subject) time of death, NaN or infinite for none. base : (trial, subject)
    baseline, for a relative threshold; patients whose baseline is 0 or missing have no usable visit.

    Returns
    -------
    time, cause (0 censored, 1 deterioration, 2 death), reason (codes of :mod:`kernels.deterioration`), onset
    and confirmation (NaN where there is none), all (trial, subject).

    Raises
    ------
    EstimationError : a relative threshold without ``base``.
    """
    worsening = np.asarray(change, dtype=np.float64) * (-1.0 if rule.worse == "lower" else 1.0)
    threshold = rule.threshold
    if rule.relative:
        if base is None:
            raise EstimationError("a relative threshold without a baseline", hint="give base")
        below = np.asarray(base, dtype=np.float64)
        worsening = worsening / np.where(np.abs(below) > 0.0, np.abs(below), np.nan)[..., None]
    made: tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray] = kernel.deterioration(
        worsening,
        weeks,
        death,
        threshold=threshold * (1.0 - 1e-12),
        confirm=rule.confirm,
        min_gap=rule.min_gap,
        max_gap=rule.max_gap,
        count_unconfirmed=rule.unconfirmed == "event",
        at_confirmation=rule.date == "confirmation",
        death_counts=rule.death != "censor",
        death_confirms=rule.death_confirms,
        max_missed=rule.max_missed,
        up_to=rule.up_to,
    )
    return made


def deterioration(
    data: Any,
    rule: DeteriorationRule,
    *,
    visit: str = "AVISITN",
    value: str = "CHG",
    base: str | None = None,
    subject: str = "USUBJID",
    death: str | None = None,
    keep: Sequence[str] = ("TRT01P",),
    unit: str = "week",
) -> Deterioration:
    """The time to confirmed deterioration of every patient, and the reason, from one row a patient and visit.

    Parameters
    ----------
    data : pandas, polars or pyarrow. A patient needs at least one row, such as that of baseline.
    visit : time of the visit (AVISITN in weeks, or ADY); those at or below 0 are baseline. value : change from
        baseline. base : baseline value, for a relative threshold. death : time of death, missing for none.
    keep : columns, the same in all rows of a patient, to carry over. unit : of the times, for the words.

    Returns
    -------
    Deterioration, whose ``patients`` is a frame of the kind that came in: ``subject``, ``keep``, AVAL the time, CNSR (0
    event, 1 censored, 2 death where it competes), CAUSE (0 censored, 1 deterioration, 2 death), EVNTDESC the reason in
    words, ONSET and CONFIRMED of the deterioration it speaks of. A patient whose baseline cannot be used has no AVAL,
    CNSR and CAUSE, and EVNTDESC says so.

    Raises
    ------
    DataError : a column is absent, two rows are of one visit, or a visit comes after death.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"USUBJID": ["A"] * 4 + ["B"] * 3, "TRT01P": ["x"] * 4 + ["y"] * 3,
    ...                       "AVISITN": [0, 4, 8, 12, 0, 4, 8], "CHG": [0, -1, -5, -6, 0, -4, -1]})
    >>> made = deterioration(frame, DeteriorationRule(threshold=4))
    >>> made.patients.select("USUBJID", "AVAL", "CNSR").rows()
    [('A', 8.0, 0), ('B', 8.0, 1)]
    >>> made.patients["EVNTDESC"].to_list()
    ['deterioration at week 8, confirmed at week 12', 'censored at week 8: last visit without confirmed deterioration']
    """
    frame = read_frame(data)
    if rule.relative and base is None:
        raise EstimationError("a relative threshold without a baseline", hint="name the column of baseline by base=")
    constant = [*keep, *(c for c in (death, base) if c)]
    require(frame, [subject, visit, value, *constant])
    first, subjects, _ = one_row_a_patient(frame, subject, constant)
    when, change = numbers(frame, visit), numbers(frame, value)
    row_of = {s: i for i, s in enumerate(subjects)}
    who = np.array([row_of[s] for s in values_of(frame.get_column(subject))], np.int64)
    used = (when > 0.0) & ~np.isnan(when) & ~np.isnan(change)
    order = np.flatnonzero(used)[np.lexsort((when[used], who[used]))]
    twice = np.flatnonzero((np.diff(who[order]) == 0) & (np.diff(when[order]) == 0.0))
    if len(twice):
        row = order[twice[0]]
        raise DataError(
            f"patient {subjects[who[row]]} has two rows at {unit} {when[row]:g}",
            hint="keep one row a patient and visit",
        )
    dead = numbers(first, death) if death else np.full(len(subjects), np.nan)
    if (dead < 0.0).any():
        raise DataError(f"{death!r} is negative", hint="the time of death, in the unit of the visits, missing for none")
    after = np.flatnonzero(when[order] > dead[who[order]])
    if len(after):
        row = order[after[0]]
        raise DataError(
            f"patient {subjects[who[row]]} has a visit at {unit} {when[row]:g}, after death at {dead[who[row]]:g}",
            hint="mend the visit or the death",
        )
    counts = np.bincount(who[order], minlength=len(subjects))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(subjects), max(int(counts.max(initial=0)), 1))
    weeks, grid = np.full(shape, np.nan), np.full(shape, np.nan)
    weeks[who[order], place], grid[who[order], place] = when[order], change[order]
    below = numbers(first, base) if base else np.ones(len(subjects))
    found = deterioration_times(
        grid[None], weeks[None], rule, death=dead[None], base=below[None] if rule.relative else None
    )
    time, cause, reason, onset, confirmed = (a[0] for a in found)
    usable = ~np.isnan(below) & (~np.isin(below, 0.0) if rule.relative else True)
    competing = 2 if rule.death == "competing" else 0
    table: dict[str, list[Any]] = {subject: subjects} | {c: values_of(first.get_column(c)) for c in keep}
    table["AVAL"] = [float(t) if u else None for t, u in zip(time, usable, strict=True)]
    table["CNSR"] = [({0: 1, 1: 0, 2: competing}[int(c)] if u else None) for c, u in zip(cause, usable, strict=True)]
    table["CAUSE"] = [int(c) if u else None for c, u in zip(cause, usable, strict=True)]
    table["EVNTDESC"] = [
        _words(int(r), t, o, c, d, w, rule, unit) if u else "left out: no usable baseline"
        for r, t, o, c, d, w, u in zip(reason, time, onset, confirmed, dead, weeks, usable, strict=True)
    ]
    table["ONSET"] = [float(o) if u and o == o else None for o, u in zip(onset, usable, strict=True)]
    table["CONFIRMED"] = [float(c) if u and c == c else None for c, u in zip(confirmed, usable, strict=True)]
    backend = nw.get_native_namespace(frame)
    sieve = Sieve(len(subjects))
    sieve.need(usable & np.ones(len(subjects), np.bool_), "without a usable baseline")
    return Deterioration(
        rule,
        nw.from_dict(table, backend=backend).to_native(),
        _counted(table["CAUSE"], table[keep[0]] if keep else [None] * len(subjects), keep[0] if keep else ""),
        keep[0] if keep else None,
        unit,
        sieve.left_out,
        backend,
    )


_CAUSES = {1: "deterioration", 2: "death", 0: "censored"}


def _counted(causes: Sequence[int | None], groups: Sequence[Any], by: str) -> tuple[Estimate, ...]:
    """How many had each end of follow-up, by group."""
    made = []
    for group in dict.fromkeys(sorted(set(groups), key=str)):
        own = [c for c, g in zip(causes, groups, strict=True) if g == group and c is not None]
        for cause, word in _CAUSES.items():
            if cause != 2 or 2 in causes:
                name = word if not by else f"{word}, {group}"
                made.append(replace(Estimate.of_count(name, own.count(cause), len(own)), term=word))
    return tuple(made)


def _words(
    reason: int,
    time: float,
    onset: float,
    confirmed: float,
    death: float,
    weeks: FloatArray,
    rule: DeteriorationRule,
    unit: str,
) -> str:
    at = f"{unit} {time:g}"
    began = f"deterioration at {unit} {onset:g}"
    if reason == kernel.CONFIRMED:
        return began if rule.confirm == "none" else f"{began}, confirmed at {unit} {confirmed:g}"
    if reason == kernel.UNCONFIRMED:
        return f"{began}, counted though no visit could confirm it"
    if reason == kernel.BY_DEATH:
        return f"{began}, confirmed by death at {unit} {confirmed:g}"
    if reason == kernel.DEATH:
        return f"death at {at}"
    if reason == kernel.LAST_VISIT:
        return f"censored at {at}: last visit without confirmed deterioration"
    if reason == kernel.PENDING:
        return f"censored at {at}: last visit, {began} that no visit could confirm"
    if reason == kernel.BEFORE_DEATH:
        return f"censored at {at}: last visit before death at {unit} {death:g}"
    if reason == kernel.GAP:
        what = began if onset > time else f"death at {unit} {death:g}"
        return f"censored at {at}: no visit for more than {rule.max_missed:g} {unit}s before {what}"
    return f"censored at {at}: no visit after baseline"
