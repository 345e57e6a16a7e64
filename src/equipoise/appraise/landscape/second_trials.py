"""Second trials of one drug, predicted from the first: how much a sceptical reading removes, beside what happened.

Which trials are paired stands in the library (``second_trials_als.yaml``); every number is read from a record, with its
source. The prior of effects is that of the field's other drugs, combined by a random-effects meta-analysis about no
effect with a share of a vague component; effects that were only told in words do not enter it. The arithmetic is in
:mod:`equipoise.decision.replication`.

Effects are benefits: points a month for function, minus the logarithm of the ratio of hazards for survival.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from equipoise.appraise.findings import read
from equipoise.appraise.landscape.effects import Effect, effects
from equipoise.appraise.landscape.natural_history import placebo_reason
from equipoise.appraise.landscape.page import FIELDS
from equipoise.appraise.landscape.pairs import scaled
from equipoise.appraise.numbers import in_percent
from equipoise.errors import RecordError
from equipoise.files import Frozen, parse_yaml, validate
from equipoise.library import stored_rows
from equipoise.numerics.rounding import rounded
from equipoise.records import list_records
from equipoise.records.schema import Item, PValue, Record, Regulatory, Result, Sourced, Value

if TYPE_CHECKING:
    from equipoise.decision.replication import Reading, Selection
    from equipoise.estimate.meta_analysis import MetaAnalysis
    from equipoise.estimate.mixture import NormalMixture
    from equipoise.render.plots import Plot

Scale = Literal["function", "survival"]
Z = 1.959964
LEVEL = 0.025
"""One-sided level of a second trial."""


class First(Frozen):
    """The result that looked good."""

    record: str
    result: str


class Second(Frozen):
    """How precise the second trial is: as it was (``result``), by its ``patients``, or by its ``events``.

    ratio : control to active. item : of the record, that holds the number named in ``events``.
    """

    record: str
    result: str | None = None
    item: str | None = None
    patients: Annotated[int, Field(ge=4)] | None = None
    events: str | None = None
    ratio: tuple[int, int] = (1, 1)


class Outcome(Frozen):
    """Where it is told what happened; ``also``: another analysis of the same, whose verdict may differ."""

    record: str
    result: str | None = None
    item: str | None = None
    also: str | None = None


class SecondTrial(Frozen):
    """A pair of trials of one drug, as the library names it."""

    id: str
    label: str
    scale: Scale
    first: First
    second: Second
    outcome: Outcome
    without: tuple[str, ...]
    assumed: str
    earlier: bool = False
    """Whether the trial that is predicted came before the one whose result is read."""


class _Trials(Frozen):
    trials: tuple[SecondTrial, ...]


@dataclass(frozen=True)
class Setting:
    """What the prior of effects is made of, on one scale.

    tau_scale : of the half-normal prior of the spread between drugs. mean_sd : SD of the prior of their mean, about no
    effect. vague_sd : SD of the vague component.
    """

    unit: str
    tau_scale: float
    mean_sd: float
    vague_sd: float

    def times(self, factor: float) -> Setting:
        """All of it wider or narrower."""
        return Setting(self.unit, self.tau_scale * factor, self.mean_sd * factor, self.vague_sd * factor)


SETTINGS: Mapping[Scale, Setting] = {
    "function": Setting("points a month", 0.2, 0.2, 0.5),
    "survival": Setting("log ratio of hazards", 0.2, 0.2, 0.5),
}
VAGUE = 0.2
FACTORS = (0.5, 1.0, 2.0)
"""Widths of the prior at which a prediction is told again."""


@dataclass(frozen=True)
class Number:
    """An effect with its standard error, as a benefit, and where it was read."""

    estimate: float
    se: float
    record: Record
    sourced: Sourced
    derived: bool
    how: str

    @property
    def source(self) -> dict[str, Any]:
        """Key, place, title, address and confidence."""
        s = self.sourced
        found = self.record.sources.get(s.source or "")
        return {
            "record": self.record.id,
            "source": s.source,
            "place": s.place,
            "title": None if found is None else found.title,
            "address": None if found is None else found.address,
            "confidence": "derived" if self.derived else s.confidence,
            "how": self.how,
        }


@dataclass(frozen=True, eq=False)
class Predicted:
    """One second trial: what was seen first, the readings, and what happened.

    next_se : of the second trial, and ``precision``, whence. observed : its estimate where one was published. met :
    whether it met its endpoint; None where that is not known. said : the outcome in words. wider : sceptical success at
    other widths of the prior (:data:`FACTORS`).
    """

    trial: SecondTrial
    first: Number
    next_se: float
    precision: str
    field: MetaAnalysis
    others: tuple[Number, ...]
    prior: NormalMixture
    readings: tuple[Reading, ...]
    chosen: Selection
    observed: Number | None
    met: bool | None
    ended: str
    planned: str
    """What a trial under way is planned as, with its source; else empty."""
    wider: tuple[float, ...]

    def reading(self, name: str) -> Reading | None:
        """One reading by its name."""
        return next((r for r in self.readings if r.name == name), None)

    @property
    def said(self) -> str:
        """What is known of the outcome, or planned."""
        return f"{self.ended}: {self.planned}" if self.planned else self.ended

    @property
    def sceptical(self) -> Reading:
        """The reading by the prior of effects."""
        from equipoise.decision.replication import READINGS

        return next(r for r in self.readings if r.name == READINGS[-1])

    @property
    def removed(self) -> float:
        """The part of the first estimate that a sceptical reading removes."""
        return 1.0 - self.sceptical.effect.mean / self.first.estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain data, every published number with its source."""
        return {
            "id": self.trial.id,
            "label": self.trial.label,
            "scale": self.trial.scale,
            "unit": SETTINGS[self.trial.scale].unit,
            "first": {"estimate": self.first.estimate, "se": self.first.se, **self.first.source},
            "second_se": self.next_se,
            "precision": self.precision,
            "assumed": self.trial.assumed,
            "earlier": self.trial.earlier,
            "prior": {
                "mean": self.prior.mean,
                "sd": self.prior.sd,
                "tau": self.field.tau,
                "drugs": [{"estimate": n.estimate, "se": n.se, **n.source} for n in self.others],
            },
            "readings": [r.row() for r in self.readings],
            "removed": self.removed,
            "sensitivity": dict(zip(map(str, FACTORS), self.wider, strict=True)),
            "selected": {**self.chosen.__dict__, "removed": self.chosen.removed},
            "observed": None
            if self.observed is None
            else {"estimate": self.observed.estimate, "se": self.observed.se, **self.observed.source},
            "met": self.met,
            "outcome": self.ended,
            "planned": self.planned,
        }

    def summary(self) -> str:
        """In lines, with sources."""
        unit = SETTINGS[self.trial.scale].unit
        lines = [f"{self.trial.label} ({unit}, positive favours the drug)"]
        lines.append(f"  first: {_pm(self.first)}, {_cited(self.first)}")
        lines.append(f"  second: standard error {self.next_se:.3f}, {self.precision}")
        lines.append(
            f"  effects of other drugs: {_interval(self.prior)} from {len(self.others)} trials, {100 * VAGUE:g} % vague"
        )
        for r in self.readings:
            lines.append(
                f"  {r.name}: effect {_interval(r.effect)}, success {in_percent(r.success, 1)} %, second estimate "
                f"{_interval(r.second)}"
            )
        low, _, high = self.wider
        lines.append(
            f"  a sceptical reading removes {in_percent(self.removed)} % of the estimate (with a prior half as wide "
            f"success is {in_percent(low)} %, twice as wide {in_percent(high)} %)"
        )
        lines.append(f"  what happened: {self.said}")
        if self.observed is not None:
            lines.append(f"    estimate {_pm(self.observed)}, {_cited(self.observed)}")
        lines.append(f"  assumed: {self.trial.assumed}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()


@dataclass(frozen=True, eq=False)
class SecondTrials:
    """The second trials of a field."""

    field: str
    trials: tuple[Predicted, ...]

    def table(self) -> str:
        """A Markdown table: success by each reading, and what happened."""
        from equipoise.decision.replication import BY_DRAWS, READINGS

        drawn = (BY_DRAWS,) if any(t.reading(BY_DRAWS) is not None for t in self.trials) else ()
        head = ("second trial", "first estimate", *READINGS, *drawn, "seen")
        rows = [head, ("---",) * len(head)]
        for t in self.trials:
            shares = []
            for name in (*READINGS, *drawn):
                found = t.reading(name)
                shares.append("–" if found is None else f"{in_percent(found.success)} %")
            rows.append((t.trial.label, _pm(t.first), *shares, t.said))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    def outcomes(self) -> dict[str, float]:
        """By reading, how likely the outcomes that are known were, all of them together: a product over trials."""
        from equipoise.decision.replication import READINGS

        known = [t for t in self.trials if t.met is not None]
        out = {}
        for name in READINGS:
            found = [(t.met, r.success) for t in known if (r := t.reading(name)) is not None]
            if known and len(found) == len(known):
                out[name] = math.prod(p if met else 1.0 - p for met, p in found)
        return out

    def summary(self) -> str:
        """Every trial in lines, and how likely all that is known was."""
        together = ", ".join(f"{name} {p:.2g}" for name, p in self.outcomes().items())
        return "\n\n".join([*map(str, self.trials), f"All outcomes that are known, together: {together}"])

    def __str__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "field": self.field,
            "level": LEVEL,
            "vague_share": VAGUE,
            "settings": {k: vars(v) for k, v in SETTINGS.items()},
            "command": f"equipoise winners-curse {self.field}",
            "outcomes": self.outcomes(),
            "trials": [t.to_dict() for t in self.trials],
        }

    def plot(self) -> Plot:
        """What each reading says of the second estimate, in its standard errors, beside what was seen."""
        from equipoise.render.plots import forest

        rows: list[dict[str, Any]] = []
        for t in self.trials:
            rows.append({"label": t.trial.label, "estimate": None, "low": None, "high": None, "kind": "heading"})
            for r in t.readings:
                low, high = r.second.interval()
                ends = {"estimate": r.second.mean, "low": low, "high": high}
                scaled_ends = {k: v / t.next_se for k, v in ends.items()}
                kind = "primary" if r is t.sceptical else ""
                rows.append(
                    {"label": f"  {r.name}", **scaled_ends, "kind": kind, "success": f"{in_percent(r.success)} %"}
                )
            if t.observed is not None:
                z, half = t.observed.estimate / t.next_se, Z * t.observed.se / t.next_se
                seen = {"estimate": z, "low": z - half, "high": z + half}
                rows.append(
                    {
                        "label": "seen",
                        **seen,
                        "kind": "summary",
                        "success": {True: "met", False: "not met", None: "not stated"}[t.met],
                    }
                )
        return forest(
            rows,
            null=Z,
            null_words="A success begins",
            axis="estimate of the second trial, in its standard errors",
            columns={"success": "success"},
            digits=1,
            interval="mean (95 % interval)",
            title="Second trials, predicted from the first",
        )


def second_trials(
    field: str = "als",
    *,
    records: Iterable[Record] | None = None,
    records_dir: str | Path | None = None,
    draws: Mapping[str, str | Path] | None = None,
) -> SecondTrials:
    """The second trials of a field, each predicted from the first one's published result alone.

    Nothing is fitted to a second trial: the first one's estimate, the precision of the second, and the effects of other
    drugs go in. records : default those of the package, with those of ``records_dir``. draws : of a pair's effect, by
    the pair's id, for a reading more: a .parquet or .csv file with a column ``effect`` (a benefit, in the pair's unit)
    and perhaps ``weight``, such as draws of a posterior of the first trial.

    Raises
    ------
    RecordError : no such field or pair, or a record lacks a number that the library names. DataError : a file of draws
    that cannot be used.

    Examples
    --------
    >>> found = second_trials("als").trials[0]
    >>> found.trial.label, found.met
    ('PHOENIX, after CENTAUR', False)
    """
    if field not in FIELDS:
        raise RecordError(f"there is no field {field!r}", hint="choose one of: " + ", ".join(FIELDS))
    every = (
        list(records)
        if records is not None
        else [i.record for i in list_records(records_dir=records_dir) if i.record is not None]
    )
    known = {r.id: r for r in every}
    pairs = paired(field)
    files = dict(draws or {})
    if unknown := set(files) - {t.id for t in pairs}:
        raise RecordError(
            f"there is no pair {sorted(unknown)[0]!r}", hint="choose one of: " + ", ".join(t.id for t in pairs)
        )
    beliefs = {t.id: belief for t in pairs if (belief := _shipped(t.first)) is not None}
    beliefs |= {id: _drawn(Path(file)) for id, file in files.items()}
    return SecondTrials(field, tuple(_predicted(t, known, FIELDS[field].holds, beliefs.get(t.id)) for t in pairs))


def _shipped(first: First) -> NormalMixture | None:
    """The belief of the posterior of the first trial's replica, where its draws come with the package.

    Made by ``python -m equipoise.calibrate.posterior.effects``.
    """
    from equipoise.estimate.mixture import NormalMixture

    rows = stored_rows(first.record, f"effect_on_{first.result}.csv")
    if rows is None:
        return None
    return NormalMixture.of([float(r["weight"]) for r in rows], [float(r["effect"]) for r in rows], 0.0)


def _drawn(path: Path) -> NormalMixture:
    """The belief that a file of draws is."""
    import polars as pl

    from equipoise.errors import DataError, EstimationError
    from equipoise.estimate.mixture import NormalMixture

    hint = "a .parquet or .csv file with a column effect, a number a row, and perhaps weight"
    try:
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
        effect = table["effect"].cast(pl.Float64).to_numpy()
        weight = table["weight"].cast(pl.Float64).to_numpy() if "weight" in table.columns else 1.0
        return NormalMixture.of(weight, effect, 0.0)
    except (OSError, pl.exceptions.PolarsError, EstimationError) as error:
        raise DataError(f"{path}: no draws of an effect ({str(error).splitlines()[0][:120]})", hint=hint) from None


def paired(field: str) -> tuple[SecondTrial, ...]:
    """The pairs of a field, as the library names them."""
    name = f"second_trials_{field}.yaml"
    text = (resources.files("equipoise.library") / name).read_text(encoding="utf-8")
    return validate(_Trials, parse_yaml(text, name, error=RecordError), error=RecordError, what="not pairs").trials


STORED = "second_trials_als.json"
"""The stored predictions of the field, in the library, as pages read them."""


def stored() -> dict[str, Any]:
    """The stored predictions; made by ``equipoise winners-curse als --out FILE``."""
    read: dict[str, Any] = json.loads((resources.files("equipoise.library") / STORED).read_text(encoding="utf-8"))
    return read


# -- one pair ----------------------------------------------------------------------------------------------------------


def _predicted(
    t: SecondTrial, known: Mapping[str, Record], holds: Any, belief: NormalMixture | None = None
) -> Predicted:
    from equipoise.decision.replication import BY_DRAWS, reading_of, readings, selection

    first = _result_number(t, _record(known, t, t.first.record), t.first.result)
    next_se, precision = _precision(t, known, first)
    others = tuple(
        n
        for r in sorted(known.values(), key=lambda r: r.id)
        if holds(r) and r.id not in t.without and placebo_reason(r) is None and (n := _effect(r, t.scale)) is not None
    )
    found, prior = _prior(SETTINGS[t.scale], others)
    wider = [_prior(SETTINGS[t.scale].times(f), others)[1] for f in FACTORS]
    given = readings(first.estimate, first.se, next_se=next_se, prior=prior, alpha=LEVEL)
    if belief is not None:
        given = (*given, reading_of(BY_DRAWS, belief, next_se=next_se, alpha=LEVEL))
    observed, met, ended, planned = _outcome(t, known)
    return Predicted(
        trial=t,
        first=first,
        next_se=next_se,
        precision=precision,
        field=found,
        others=others,
        prior=prior,
        readings=given,
        chosen=selection(prior, first.se, next_se=next_se, alpha=LEVEL),
        observed=observed,
        met=met,
        ended=ended,
        planned=planned,
        wider=tuple(
            readings(first.estimate, first.se, next_se=next_se, prior=p, alpha=LEVEL)[-1].success for p in wider
        ),
    )


def _prior(setting: Setting, others: tuple[Number, ...]) -> tuple[MetaAnalysis, NormalMixture]:
    from equipoise.estimate.meta_analysis import meta_analysis

    found = meta_analysis(
        [n.estimate for n in others],
        [n.se for n in others],
        tau_scale=setting.tau_scale,
        mean_prior=(0.0, setting.mean_sd),
        names=[n.record.acronym or n.record.id for n in others],
    )
    return found, found.robust(sd=setting.vague_sd, share=VAGUE, mean=0.0)


def _record(known: Mapping[str, Record], t: SecondTrial, id: str) -> Record:
    if id not in known:
        raise RecordError(f"second trial {t.id}: there is no record {id!r}", hint="'equipoise records' lists them")
    return known[id]


def _result_number(t: SecondTrial, record: Record, result: str) -> Number:
    found = _number(record, record.result(result), t.scale)
    if found is None:
        raise RecordError(
            f"second trial {t.id}: {record.id} {result} gives no effect with a standard error",
            hint="name a result with an interval, or with counts of two arms",
        )
    return found


def _number(record: Record, r: Result, scale: Scale) -> Number | None:
    """The effect of a result as a benefit: its contrast with its error, or a ratio of cumulative hazards."""
    c = r.contrast
    if scale == "function" and c is not None and c.usable and c.kind == "difference":
        weeks = None if r.measure == "rate_of_change" else float(r.week or 0)
        half = scaled(Effect(record, "function", c, "difference", r, weeks))
        if half is None:
            return None
        return Number(half.estimate, half.se, record, c, weeks is not None, _how(record, r, "the month"))
    if scale == "survival" and c is not None and c.usable and c.kind == "hazard_ratio":
        got = _of_ratio(c)
        return None if got is None else Number(*got, record, c, True, _how(record, r, "minus log hazard ratio"))
    if scale == "survival" and r.measure == "responders" and "alive" in record.outcome(r.outcome).label.lower():
        return _of_counts(record, r)
    return None


def _how(record: Record, r: Result, scale: str) -> str:
    return f"{r.set}, {'' if r.week is None else f'{record.when(r.week)}, '}{scale}"


def _of_ratio(c: Value) -> tuple[float, float] | None:
    if c.value is None or c.low is None or c.high is None or float(c.low) <= 0.0:
        return None
    from statistics import NormalDist

    half = NormalDist().inv_cdf(0.5 + c.level / 2.0)
    return -math.log(float(c.value)), (math.log(float(c.high)) - math.log(float(c.low))) / (2.0 * half)


def _of_counts(record: Record, r: Result) -> Number | None:
    """Minus the log of the ratio of cumulative hazards ``-ln S``, from those alive in two arms; delta method."""
    control = next((a.id for a in record.arms if a.role == "control"), None)
    active = next((a.id for a in record.arms if a.role == "active" and a.id in r.arms), None)
    made = []
    for arm in (active, control):
        v = r.arms.get(arm or "")
        if v is None or not v.usable or not v.total or v.value is None or not 0 < v.value < v.total:
            return None
        alive, n = float(v.value) / v.total, v.total
        hazard = -math.log(alive)
        made.append((math.log(hazard), math.sqrt((1.0 - alive) / (alive * n)) / hazard, v))
    (a, sa, value), (b, sb, _) = made
    return Number(
        b - a, math.hypot(sa, sb), record, value, True, _how(record, r, "minus log ratio of cumulative hazards, counts")
    )


def _effect(record: Record, scale: Scale) -> Number | None:
    """What a record gives to the prior of effects on a scale."""
    for e in effects(record):
        if not isinstance(e, Effect) or e.scale != scale or e.late or e.result is None:
            continue
        found = _number(record, e.result, scale)
        if found is not None:
            return found
    if scale == "survival":
        counts = [r for r in record.results if r.comparison == "randomised" and r.role == "main"]
        counts.sort(key=lambda r: r.id != record.primary_result)
        for r in counts:
            if r.measure == "responders" and (found := _number(record, r, scale)) is not None:
                return found
    return None


def _precision(t: SecondTrial, known: Mapping[str, Record], first: Number) -> tuple[float, str]:
    s = t.second
    record = _record(known, t, s.record)
    if s.result is not None:
        made = _result_number(t, record, s.result)
        return made.se, f"as it was, {_cited(made)}"
    control, active = (part / sum(s.ratio) for part in s.ratio)
    if s.events is not None:
        value = _described(record, s.item or "").values.get(s.events)
        if value is None or not value.usable or not value.value:
            raise RecordError(f"second trial {t.id}: {s.record} {s.item} holds no number {s.events!r}", hint="name one")
        events = float(value.value)
        se = 1.0 / math.sqrt(events * control * active)
        return se, f"{events:g} events, {s.ratio[0]} to {s.ratio[1]} [{value.source} {value.place or ''}]".replace(
            " ]", "]"
        )
    if s.patients is None:
        raise RecordError(f"second trial {t.id}: no precision", hint="give result, patients or events")
    result = first.record.result(t.first.result)
    sizes = _sizes(first.record, result)
    if len(sizes) != 2:
        raise RecordError(f"second trial {t.id}: the first trial's arms have no sizes", hint="give a result instead")
    sd = first.se / math.sqrt(sum(1.0 / n for n in sizes))
    se = sd * math.sqrt(1.0 / (s.patients * control) + 1.0 / (s.patients * active))
    return se, f"{s.patients} patients, {s.ratio[0]} to {s.ratio[1]}, with the spread of the first trial"


def _sizes(record: Record, r: Result) -> list[int]:
    chosen = record.analysis_set(r.set)
    values = [chosen.n.get(a.id) or a.n for a in record.arms]
    return [int(v.value) for v in values if v.usable and v.value]


def _outcome(t: SecondTrial, known: Mapping[str, Record]) -> tuple[Number | None, bool | None, str, str]:
    """The estimate, whether it was met, what is said of that, and what a trial without a result is planned as."""
    o = t.outcome
    record = _record(known, t, o.record)
    if o.result is None:
        return None, None, "not known", _words_of(record, o.item or "")
    r = record.result(o.result)
    observed = _number(record, r, t.scale)
    if observed is None and t.second.result is not None:
        observed = _number(record, record.result(t.second.result), t.scale)
    p = next((x for x in r.p if x.usable and x.value is not None), None)
    if p is None:
        return observed, None, "told without a P value", ""
    met: bool | None = float(p.value or 1.0) < 2.0 * LEVEL and (observed is None or observed.estimate > 0.0)
    if r.id == record.primary_result and read(record).met is None:
        met = None  # analyses that disagree, of which none is told to be the one that decides
    words = "not stated which analysis decides" if met is None else "met" if met else "not met"
    said = f"{words} ({_p(p)}) [{p.source}]"
    if o.also is not None:
        for other in (x for x in record.result(o.also).p if x.usable and x.value is not None):
            said += f"; {record.method(other.method).label[:1].lower()}{record.method(other.method).label[1:]}, "
            said += f"{_p(other)} [{other.source}]"
    return observed, met, said, ""


def _p(p: PValue) -> str:
    return f"{'one-sided ' if p.sides == 'one' else ''}P = {float(p.value or 0):g}"


def _words_of(record: Record, id: str) -> str:
    part = _described(record, id)
    text = getattr(part, "text", None)
    said = getattr(text, "text", text)
    return f"{said} [{part.source}{f' {part.place}' if part.place else ''}]"


def _described(record: Record, id: str) -> Item | Regulatory:
    """An item of a record, or what a regulator did."""
    parts: tuple[Item | Regulatory, ...] = (*record.items, *record.regulatory)
    found = next((part for part in parts if part.id == id), None)
    if found is None:
        raise RecordError(f"{record.id}: no item {id!r}", hint="name one of its items or decisions")
    return found


def _cited(n: Number) -> str:
    s = n.source
    return f"{s['how']}; {s['confidence']} [{s['source']}{' ' + s['place'] if s['place'] else ''}: {s['title']}]"


def _pm(n: Number) -> str:
    return f"{rounded(n.estimate, 2):f} (SE {rounded(n.se, 2):f})"


def _interval(belief: NormalMixture) -> str:
    low, high = belief.interval()
    if high - low < 0.005:  # a point
        return f"{rounded(belief.mean, 2):f}"
    return f"{rounded(belief.mean, 2):f} ({rounded(low, 2):f} to {rounded(high, 2):f})"
