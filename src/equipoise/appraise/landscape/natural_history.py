"""Natural history from the records of a field: what control patients did, as a robust prior for the next trial.

Of each placebo-controlled record one value a quantity: the loss of function on placebo, its spread between patients,
how often an event befell them. Each keeps its source, place and confidence; a value that was only recalled enters
nothing, and a trial that gives none is told with the reason. Values are combined by a random-effects meta-analysis
(:mod:`equipoise.estimate.meta_analysis`); the predictive distribution for a new trial, with a share of a vague
component, is the prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.appraise.landscape.effects import months
from equipoise.appraise.landscape.page import FIELDS
from equipoise.errors import RecordError
from equipoise.records import list_records
from equipoise.records.schema import Record, Result, Value

if TYPE_CHECKING:
    from equipoise.estimate.meta_analysis import MetaAnalysis
    from equipoise.estimate.mixture import NormalMixture
    from equipoise.render.plots import Plot

_CHANGES = ("adjusted_mean_change", "mean_change")
_FATAL = ("DTHPV", "DTHTR")
VAGUE = 0.2
"""Share of the vague component."""


@dataclass(frozen=True)
class Control:
    """What one trial's control patients did: ``value`` and ``se`` on the scale of the analysis, its logarithm for a
    quantity that has one. confidence : ``derived`` where the number was worked out here from printed ones."""

    record: Record
    value: float
    se: float
    sourced: Value
    confidence: str
    how: str
    caution: str | None = None

    @property
    def name(self) -> str:
        return self.record.acronym or self.record.id

    @property
    def source(self) -> tuple[str, str]:
        """Title and address, with the place."""
        source = self.record.sources[self.sourced.source or ""]
        place = f", {self.sourced.place}" if self.sourced.place else ""
        return f"{source.title}{place}", source.address or ""


@dataclass(frozen=True)
class Left:
    """A trial that gives nothing to a quantity, and why."""

    record: Record
    reason: str

    @property
    def name(self) -> str:
        return self.record.acronym or self.record.id


@dataclass(frozen=True)
class Quantity:
    """One number of natural history.

    log : whether the analysis is of its logarithm. tau_scale : of the half-normal prior of the spread between trials.
    vague_sd : of the vague component, that of one patient's value or one event; None: the spread between patients.
    """

    id: str
    label: str
    unit: str
    log: bool
    tau_scale: float
    vague_sd: float | None
    read: Callable[[Record], Control | str]
    digits: int = 2

    def shown(self, x: float) -> float:
        """On the scale that people read."""
        return math.exp(x) if self.log else x


@dataclass(frozen=True, eq=False)
class History:
    """One quantity over the records of a field, with the prior for a new trial.

    prior : the robust predictive prior on the scale of the analysis.
    """

    field: str
    quantity: Quantity
    controls: tuple[Control, ...]
    left: tuple[Left, ...]
    found: MetaAnalysis
    prior: NormalMixture
    share: float
    vague_sd: float

    def summary(self) -> str:
        """The trials with their sources, the prior, and who is left out."""
        q = self.quantity
        lines = [f"{q.label} ({q.unit}): {len(self.controls)} trials"]
        for c in self.controls:
            low, high = (q.shown(c.value + k * 1.959964 * c.se) for k in (-1, 1))
            title, address = c.source
            lines.append(
                f"  {c.name}: {q.shown(c.value):.{q.digits}f} ({low:.{q.digits}f} to {high:.{q.digits}f}), {c.how}; "
                f"{c.confidence} [{title}{f' <{address}>' if address else ''}]"
            )
            if c.caution:
                lines.append(f"    caution: {c.caution}")
        low, high = (q.shown(x) for x in self.found.mean.interval())
        lines.append(
            f"  mean over trials {q.shown(self.found.mean.quantile(0.5)):.{q.digits}f} "
            f"({low:.{q.digits}f} to {high:.{q.digits}f}); SD between trials {self.found.tau:.3f}"
            f"{' of the logarithm' if q.log else ''} (prior: half-normal, scale {q.tau_scale:g})"
        )
        low, high = (q.shown(x) for x in self.found.predictive.interval())
        lines.append(
            f"  a new trial {q.shown(self.found.predictive.quantile(0.5)):.{q.digits}f} "
            f"({low:.{q.digits}f} to {high:.{q.digits}f})"
        )
        low, high = (q.shown(x) for x in self.prior.interval())
        lines.append(
            f"  robust prior, {100 * self.share:g} % vague (SD {self.vague_sd:.3g}"
            f"{' of the logarithm' if q.log else ''}): {q.shown(self.prior.quantile(0.5)):.{q.digits}f} "
            f"({low:.{q.digits}f} to {high:.{q.digits}f})"
        )
        told = [x for x in self.left if "not told" not in x.reason]
        lines += [f"  cannot enter: {x.name}, {x.reason}" for x in told]
        rest = len(self.left) - len(told)
        if rest:
            lines.append(f"  and {rest} more that do not tell it in what was read")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the trials with their sources, the posterior, and the prior as a mixture of few normals."""
        q = self.quantity
        few = coarse(self.prior)
        return {
            "quantity": q.id,
            "label": q.label,
            "unit": q.unit,
            "scale": "logarithm" if q.log else "as it is",
            "trials": [
                {
                    "record": c.record.id,
                    "name": c.name,
                    "value": c.value,
                    "se": c.se,
                    "how": c.how,
                    "confidence": c.confidence,
                    "source": c.sourced.source,
                    "place": c.sourced.place,
                    "title": c.source[0],
                    "address": c.source[1],
                    "caution": c.caution,
                }
                for c in self.controls
            ],
            "left_out": [{"record": x.record.id, "name": x.name, "reason": x.reason} for x in self.left],
            "tau_scale": q.tau_scale,
            "tau": self.found.tau,
            "mean": [self.found.mean.mean, *self.found.mean.interval()],
            "new_trial": [self.found.predictive.mean, *self.found.predictive.interval()],
            "robust": [self.prior.mean, *self.prior.interval()],
            "vague_share": self.share,
            "vague_sd": self.vague_sd,
            "mixture": {"weights": few.weights.tolist(), "means": few.means.tolist(), "sds": few.sds.tolist()},
        }

    def plot(self) -> Plot:
        """A forest: each trial's control patients, the mean, a new trial, and the robust prior."""
        from equipoise.render.plots import forest

        q = self.quantity

        def row(label: str, centre: float, ends: tuple[float, float], kind: str, source: str) -> dict[str, Any]:
            low, high = (q.shown(x) for x in ends)
            return {"label": label, "estimate": q.shown(centre), "low": low, "high": high, "kind": kind, "how": source}

        rows = [
            row(c.name, c.value, (c.value - 1.959964 * c.se, c.value + 1.959964 * c.se), "", c.confidence)
            for c in self.controls
        ]
        found = self.found
        for label, belief, kind in (
            ("Mean over trials", found.mean, "summary"),
            ("A new trial", found.predictive, "primary"),
            (f"Robust, {100 * self.share:g} % vague", self.prior, "primary"),
        ):
            rows.append(row(label, belief.quantile(0.5), belief.interval(), kind, ""))
        return forest(
            rows,
            log=q.log,
            null=q.shown(found.mean.quantile(0.5)),
            null_words="The median of the mean over trials",
            axis=f"{q.label} ({q.unit})",
            columns={"how": "number"},
            digits=q.digits,
            interval="median (95 % interval)",
            title=f"On placebo: {q.label}",
        )


def natural_history(
    field: str = "als",
    quantity: str | None = None,
    *,
    records: Iterable[Record] | None = None,
    records_dir: str | Path | None = None,
    tau_scale: float | None = None,
    share: float = VAGUE,
    vague_sd: float | None = None,
    without: Iterable[str] = (),
) -> tuple[History, ...]:
    """What control patients of a field's trials did, and the robust prior for the next trial's.

    Parameters
    ----------
    field : ``als``. quantity : one of :data:`QUANTITIES` by name; default all that two trials or more tell. records :
    the records; default those of the package, with those of ``records_dir``. tau_scale, vague_sd : in place of the
    quantity's own. share : of the vague component. without : ids of records to leave out, such as the one that the
    prior is for.

    Raises
    ------
    RecordError : no such field or quantity, a share that is none, or no trial tells the quantity.

    Examples
    --------
    >>> made = natural_history("als", "slope")[0]
    >>> made.prior.mean < 0
    True
    """
    if field not in FIELDS:
        raise RecordError(f"there is no field {field!r}", hint="choose one of: " + ", ".join(FIELDS))
    if quantity is not None and quantity not in QUANTITIES:
        raise RecordError(f"there is no quantity {quantity!r}", hint="choose one of: " + ", ".join(QUANTITIES))
    if not 0.0 <= share <= 1.0:
        raise RecordError(f"vague share {share!r}", hint="give one from 0 to 1, e.g. 0.2")
    for what, x in (("tau_scale", tau_scale), ("vague_sd", vague_sd)):
        if x is not None and not (math.isfinite(x) and x > 0.0):
            raise RecordError(f"{what} {x!r}", hint="give a number above 0")
    every = (
        list(records)
        if records is not None
        else [i.record for i in list_records(records_dir=records_dir) if i.record is not None]
    )
    gone = set(without)
    unknown = gone - {r.id for r in every}
    if unknown:
        raise RecordError(f"no record {sorted(unknown)[0]!r} to leave out", hint="'equipoise records' lists them")
    chosen = [r for r in every if FIELDS[field].holds(r) and len(r.arms) >= 2 and r.id not in gone]
    out = []
    for name, one in QUANTITIES.items():
        if quantity is not None and name != quantity:
            continue
        asked = one if tau_scale is None else replace(one, tau_scale=tau_scale)
        controls, left = _sorted(chosen, asked)
        if len(controls) < 2 and quantity is None:
            continue
        if not controls:
            raise RecordError(f"no trial tells {asked.label}", hint="'equipoise records' lists the trials")
        out.append(_history(field, asked, controls, left, share, vague_sd, chosen))
    return tuple(out)


def _sorted(chosen: Iterable[Record], quantity: Quantity) -> tuple[list[Control], list[Left]]:
    controls: list[Control] = []
    left: list[Left] = []
    for record in sorted(chosen, key=lambda r: (r.acronym or r.id).lower()):
        found = placebo_reason(record) or quantity.read(record)
        if isinstance(found, str):
            left.append(Left(record, found))
        else:
            controls.append(found)
    return controls, left


def _history(
    field: str,
    quantity: Quantity,
    controls: list[Control],
    left: list[Left],
    share: float,
    vague_sd: float | None,
    chosen: list[Record],
) -> History:
    from equipoise.estimate.meta_analysis import meta_analysis

    found = meta_analysis(
        [c.value for c in controls],
        [c.se for c in controls],
        tau_scale=quantity.tau_scale,
        names=[c.name for c in controls],
    )
    spread = vague_sd if vague_sd is not None else quantity.vague_sd
    if spread is None:
        spread = _between_patients(chosen)
    prior = found.robust(sd=spread, share=share)
    return History(field, quantity, tuple(controls), tuple(left), found, prior, share, spread)


def _between_patients(chosen: list[Record]) -> float:
    """The spread between patients of the loss a month, as the records tell it: one patient's worth of information."""
    found = [c.value for c in _sorted(chosen, QUANTITIES["spread"])[0]]
    if not found:
        raise RecordError("no trial tells the spread between patients", hint="give the SD of the vague component")
    return math.exp(sum(found) / len(found))


def coarse(belief: NormalMixture, components: int = 6) -> NormalMixture:
    """The mixture with few components, for programs that read one: neighbours by spread joined, mean and SD kept."""
    import numpy as np

    from equipoise.estimate.mixture import NormalMixture

    order = np.argsort(belief.sds, kind="stable")
    total = np.cumsum(belief.weights[order])
    group = np.minimum((total - 0.5 * belief.weights[order]) * components, components - 1e-9).astype(int)
    w, m, s = [], [], []
    for g in range(components):
        chosen = order[group == g]
        if len(chosen):
            part = NormalMixture.of(belief.weights[chosen], belief.means[chosen], belief.sds[chosen])
            w.append(float(belief.weights[chosen].sum()))
            m.append(part.mean)
            s.append(part.sd)
    return NormalMixture.of(w, m, s)


# -- what a record tells -----------------------------------------------------------------------------------------------


def placebo_reason(record: Record) -> str | None:
    """Why a record's control arm is no natural history, if so."""
    control = [a for a in record.arms if a.role == "control"]
    if not control:
        return "no control arm"
    words = " ".join(f"{a.id} {a.drug} {a.label}" for a in control).lower()
    return None if "placebo" in words else "its control is no placebo"


def _control(record: Record) -> str:
    return next(a.id for a in record.arms if a.role == "control")


def _parts(record: Record) -> set[str]:
    """Sets that are part of another: a whole population is asked for first."""
    return {p for s in record.sets for p in s.parts}


def _people(record: Record, r: Result, arm: str, value: Value | None) -> int | None:
    """How many people a value of an arm rests on: told beside it, by its set, or by the arm."""
    if value is not None and value.n is not None:
        return int(value.n)
    chosen = next((s for s in record.sets if s.id == r.set), None)
    told = None if chosen is None else chosen.n.get(arm)
    if told is None or not told.usable or told.value is None:
        told = next((a.n for a in record.arms if a.id == arm), None) if r.set == "ITT" else None
    return None if told is None or not told.usable or told.value is None else int(told.value)


@dataclass(frozen=True)
class _Change:
    """A control arm's loss a month: mean, standard error, SD between patients with its degrees of freedom."""

    mean: float
    se: float
    sd: float | None
    df: int
    sourced: Value
    derived: bool
    how: str
    spread: str
    caution: str | None


def _changes(record: Record) -> Iterator[_Change | str]:
    arm, parts = _control(record), _parts(record)
    methods = {m.id: m for m in record.methods}
    seen = [r for r in record.results if r.outcome == "ALSFRS" and r.comparison == "randomised" and r.role == "main"]
    seen = [r for r in seen if not methods[r.method].adjusts_nfl]
    seen.sort(key=lambda r: (r.set in parts, r.id != record.primary_result))
    for r in seen:
        value = r.arms.get(arm)
        rate = r.measure == "rate_of_change"
        if value is None or value.value is None or not value.usable or not (rate or (r.measure in _CHANGES and r.week)):
            continue
        per = 1.0 if rate else months(float(r.week or 0))
        n = _people(record, r, arm, value)
        label = "slope" if rate else f"change to {record.when(float(r.week or 0))}, by the month"
        imputed = str(methods[r.method].imputation or "").lower()
        caution = "the last value was carried forward: loss is understated" if "last observation" in imputed else None
        sd, df, spread_from = _between(record, r, arm, n, value)
        if value.se is not None:
            se, how = float(value.se), "printed standard error"
        elif sd is not None and n is not None:
            se, how = sd / math.sqrt(n), f"standard error from the {spread_from}"
        else:
            yield "a mean on placebo without a standard error, or without the sizes to work one out"
            continue
        yield _Change(
            mean=float(value.value) / per,
            se=se / per,
            sd=None if sd is None else sd / per,
            df=df,
            sourced=value,
            derived=not rate or value.se is None,
            how=f"{label}, {how}" + (f", n = {n}" if n else ""),
            spread=f"{label}, SD from the {spread_from}" + (f", n = {n}" if n else ""),
            caution=caution,
        )


def _between(record: Record, r: Result, arm: str, n: int | None, value: Value) -> tuple[float | None, int, str]:
    """The SD between patients, its degrees of freedom, and whence: the printed SD, the contrast, or the arm's error.

    A contrast of adjusted means has variance ``SD^2 (1 / n + 1 / m)``; the error of one adjusted mean holds that of the
    covariates' means too, and comes last.
    """
    from equipoise.appraise.findings import standard_error

    if value.sd is not None and n is not None:
        return float(value.sd), n - 1, "printed SD"
    se = standard_error(r.contrast) if r.contrast is not None and r.contrast.usable else None
    others = [a.id for a in record.arms if a.id != arm and a.id in r.arms]
    active = _people(record, r, others[0], r.arms[others[0]]) if len(others) == 1 else None
    if se is not None and n is not None and active is not None:
        return float(se) / math.sqrt(1.0 / n + 1.0 / active), n + active - 2, "error of the difference"
    if value.se is not None and n is not None:
        return float(value.se) * math.sqrt(n), n - 1, "standard error"
    return None, 0, ""


def _confidence(change: _Change) -> str:
    return "derived" if change.derived else str(change.sourced.confidence)


def _slope(record: Record) -> Control | str:
    reason = "loss of function on placebo not told"
    for change in _changes(record):
        if isinstance(change, str):
            reason = change
            continue
        c = change
        return Control(record, c.mean, c.se, c.sourced, _confidence(c), c.how, c.caution)
    return reason


def _spread(record: Record) -> Control | str:
    reason = "spread between patients not told"
    for change in _changes(record):
        if isinstance(change, str) or change.sd is None or change.df < 2:
            continue
        # ln SD of a normal sample has variance 1 / (2 df), nearly
        adjusted = change.sourced.sd is None
        return Control(
            record,
            math.log(change.sd),
            1.0 / math.sqrt(2.0 * change.df),
            change.sourced,
            "derived",
            change.spread,
            "about adjusted means: a little less than the spread of raw changes" if adjusted else None,
        )
    return reason


def _rate(record: Record, events: float, total: float, week: float, value: Value, how: str) -> Control:
    """Events a month from a count in people all followed for so many weeks: constant hazard, by the delta method."""
    caution = None
    if events == 0.0:
        events, total = 0.5, total + 1.0
        caution = "no event: half of one added"
    share = events / total
    hazard = -math.log1p(-share) / months(week)
    se = math.sqrt(share / (total * (1.0 - share))) / -math.log1p(-share)
    return Control(record, math.log(hazard), se, value, "derived", how, caution)


def _counted(record: Record, endpoints: tuple[str, ...]) -> tuple[int, int, float, Value] | None:
    """Events and people on placebo at the first week of the randomised period: of everyone, or of parts that make them
    up."""
    arm = _control(record)
    last = record.design.duration_weeks
    end = math.inf if last is None or last.value is None else float(last.value)
    whole = next((s for s in record.sets if s.parts), None)
    rows = [e for e in record.events if e.endpoint in endpoints and e.week is not None and float(e.week) <= end]
    for e in sorted(rows, key=lambda e: (endpoints.index(e.endpoint), float(e.week or 0))):
        only = record.sets[0].id if len(record.sets) == 1 else "ITT"
        sets = [e.values[only]] if only in e.values else []
        if not sets and whole is not None and all(p in e.values for p in whole.parts):
            sets = [e.values[p] for p in whole.parts]
        got = [s[arm] for s in sets if arm in s and s[arm].usable and s[arm].total]
        if sets and len(got) == len(sets):
            return sum(int(v.value or 0) for v in got), sum(int(v.total or 0) for v in got), float(e.week or 0), got[0]
    return None


def _fatal(record: Record) -> Control | str:
    arm = _control(record)
    found = _counted(record, _FATAL)
    if found is not None:
        k, n, week, value = found
        return _rate(record, k, n, week, value, f"{k} of {n} by {record.when(week)}")
    weeks = {o.id: o.week for o in record.outcomes}
    for r in record.results:
        v, told = r.arms.get(arm), r.week or weeks.get(r.outcome)
        if r.comparison != "randomised" or r.role != "main" or v is None or not v.usable or not told:
            continue
        week = float(told)
        if r.outcome == "ALIVE" and v.total and v.value is not None and _tracheostomy(record, r):
            k = int(v.total) - int(v.value)
            return _rate(record, k, int(v.total), week, v, f"{k} of {v.total} by {record.when(week)}")
        if r.outcome in _FATAL and v.unit == "%" and v.value and v.se:
            share, se = float(v.value) / 100.0, float(v.se) / 100.0
            hazard = -math.log1p(-share)
            return Control(
                record,
                math.log(hazard / months(week)),
                se / (1.0 - share) / hazard,
                v,
                "derived",
                f"{float(v.value):g} % (SE {float(v.se):g}) by {record.when(week)}",
            )
    return "death, tracheostomy or permanent ventilation on placebo not told"


def _tracheostomy(record: Record, r: Result) -> bool:
    return "tracheostomy" in record.outcome(r.outcome).label.lower()


def _leaving(record: Record) -> Control | str:
    found = _counted(record, ("COMPLETED",))
    if found is None:
        return "who completed on placebo not told"
    k, n, week, value = found
    return _rate(record, n - k, n, week, value, f"{n - k} of {n} did not complete {record.when(week)}")


_INFORMATION = 1.0 / math.sqrt(2.0)

QUANTITIES: dict[str, Quantity] = {
    "slope": Quantity("slope", "change of function", "points a month", False, 0.5, None, _slope),
    "spread": Quantity(
        "spread", "SD between patients of the change of function", "points a month", True, 0.25, _INFORMATION, _spread
    ),
    "events": Quantity("events", "death, tracheostomy or permanent ventilation", "a month", True, 0.5, 1.0, _fatal, 4),
    "leaving": Quantity("leaving", "not completing the trial", "a month", True, 0.5, 1.0, _leaving, 4),
}
"""By name. Priors of tau: half a point a month, a quarter and a half of the logarithm (moderate heterogeneity). The
vague component is worth one patient (their spread), the logarithm of an SD with one degree of freedom, or one event."""
