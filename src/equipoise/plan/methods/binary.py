"""Shares of responders compared: differences, ratios and odds ratios, in strata, with a margin where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import EquipoiseError
from equipoise.estimate.categorical import two_by_two as counts
from equipoise.estimate.categorical.cmh import cmh, tested
from equipoise.estimate.categorical.proportions import Proportions, null_of, proportions
from equipoise.estimate.result import Estimate
from equipoise.plan.key import Key
from equipoise.plan.methods.answers import RESPONSE, ResponseSection, answered, flagged, said, unknown
from equipoise.plan.methods.described import counted
from equipoise.plan.methods.estimates import P, against, forest, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import ComparedSection
from equipoise.plan.prepared import Prepared, compared
from equipoise.plan.results import Block, Row, share_of
from equipoise.plan.trial_estimates import TrialEstimates
from equipoise.types import FloatArray, Status

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials

_QUANTITIES = {"difference": "risk_difference", "ratio": "risk_ratio", "odds_ratio": "odds_ratio"}
_LABELS = {"difference": "Difference in proportions", "ratio": "Ratio of proportions", "odds_ratio": "Odds ratio"}


class BinarySection(ResponseSection, ComparedSection):
    """Responders by arm, and each arm against control, or another pair by ``arm`` and ``versus``.

    interval : ``miettinen-nurminen``, ``newcombe``, ``wald`` or ``exact``. strata, weights : as in
    :func:`equipoise.proportions`. margin : the largest loss that is accepted, of ``margin_of``, which gives a one-sided
    test of non-inferiority; ``higher_better: false`` where a response is bad. test : one more test of the table.
    """

    ESTIMATES = "binary"

    method: Literal["binary"]
    interval: Literal["miettinen-nurminen", "newcombe", "wald", "exact"] = "miettinen-nurminen"
    measures: tuple[Literal["difference", "ratio", "odds_ratio"], ...] = Field(
        default=("difference", "ratio", "odds_ratio"), min_length=1
    )
    strata: tuple[str, ...] = ()
    weights: Literal["mantel-haenszel", "size"] = "mantel-haenszel"
    margin: float | None = None
    margin_of: Literal["difference", "ratio", "odds_ratio"] = "difference"
    higher_better: bool = True
    compare_by: Literal["chi-square", "fisher", "barnard", "boschloo", "cmh"] | None = None
    decimals: int = Field(default=3, ge=0, le=6)

    @model_validator(mode="after")
    def _can_be(self) -> BinarySection:
        try:
            null_of(self.margin, self.margin_of, self.higher_better)
        except EquipoiseError as error:
            raise ValueError(f"margin: {error.message}; {error.hint}") from None
        if self.interval == "exact" and self.strata:
            raise ValueError("interval: exact takes no strata")
        if self.strata and self.compare_by not in (None, "cmh"):
            raise ValueError(f"compare_by: {self.compare_by} takes no strata; cmh does")
        return self


@dataclass(frozen=True)
class _Parts:
    made: Mapping[str, Proportions]
    tests: Mapping[str, Estimate]
    notes: tuple[str, ...]


def estimates(context: Prepared, section: BinarySection) -> Found:
    """Responders by arm, the measures and tests of each other arm against control.

    Raises
    ------
    DataError : a variable is not there, or a patient has more than one record.
    """
    data = answered(context, section, section.strata)
    control, arm = context.plan.treatment.reference, context.treatment

    def fit(part: pl.DataFrame) -> Proportions:
        return proportions(
            part,
            response=RESPONSE,
            arm=arm,
            control=control,
            strata=section.strata,
            interval=section.interval,
            weights=section.weights,
            margin=section.margin,
            margin_of=section.margin_of,
            higher_better=section.higher_better,
            level=section.level,
        )

    def test(part: pl.DataFrame) -> Estimate:
        if section.compare_by == "cmh":
            return cmh(part, response=RESPONSE, arm=arm, control=control, strata=section.strata).general
        known = part.drop_nulls([RESPONSE, arm])
        table = [
            [((known[arm] == a) & (known[RESPONSE] == v)).sum() for v in (0.0, 1.0)]
            for a in cast(pl.Enum, part.schema[arm]).categories
        ]
        return tested(np.array(table, np.float64), str(section.compare_by))

    made = compared(context, data, fit)
    first = next(iter(made.values()))
    shares = {control: first.arms[0], **{a: m.arms[1] for a, m in made.items()}}
    seen = {a: s.n for a, s in shares.items()}
    out = {Place("patients", a): Estimate.of_count(f"patients, {a}", n, n) for a, n in seen.items()}
    out |= counted("responders", {a: s.responders for a, s in shares.items()}, seen)
    for measure in section.measures:
        out |= {Place(_QUANTITIES[measure], a): getattr(m, measure) for a, m in made.items()}
    out |= {Place("non_inferiority", a): m.non_inferiority for a, m in made.items() if m.non_inferiority is not None}
    tests = compared(context, data, test) if section.compare_by else {}
    out |= {Place(str(section.compare_by).replace("-", "_"), a): e for a, e in tests.items()}
    return Found(out, _Parts(made, tests, unknown(context, data, section.missing)))


def lines(context: Prepared, section: BinarySection, found: Found) -> Block:
    """Responders by arm, then measures and p-values in the column of the arm."""
    parts: _Parts = found.parts
    control, percent = context.plan.treatment.reference, f"{100 * section.level:g}%"
    first = next(iter(parts.made.values()))
    shares = {control: first.arms[0], **{a: m.arms[1] for a, m in parts.made.items()}}
    rows = [Row("Responders", {a: share_of(s.responders, s.n, 1) for a, s in shares.items()})]
    shown = f"{{estimate:{section.decimals}}} ({{low:{section.decimals}}}; {{high:{section.decimals}}})"
    named: list[tuple[str, Estimate]] = []
    for measure in section.measures:
        each = found.by_arm(_QUANTITIES[measure])
        rows.append(against(context, f"{_LABELS[measure]} ({percent} CI)", each, shown))
        rows.append(against(context, f"p-value ({_LABELS[measure].lower()})", each, P))
        named += [(_LABELS[measure], e) for e in each.values()]
    margin = found.by_arm("non_inferiority")
    if margin:
        null = null_of(section.margin, section.margin_of, section.higher_better)
        rows.append(against(context, f"One-sided p-value, margin {null:g}", margin, P))
        named += [("margin", e) for e in margin.values()]
    if parts.tests:
        rows.append(against(context, f"p-value ({section.compare_by})", parts.tests, P))
        named += [(str(section.compare_by), e) for e in parts.tests.values()]
    by = f", stratified by {', '.join(section.strata)} ({section.weights} weights)" if section.strata else ""
    counts_as = ", missing as no response" if section.missing == "no response" else ""
    left = [
        f"Strata of one arm take no part: {', '.join(m.strata_left_out)}."
        for m in parts.made.values()
        if m.strata_left_out
    ]
    drawn = [(a, m.difference) for a, m in parts.made.items()]
    return Block(
        section.label or "Responders",
        "binary",
        context.analysis.dataset,
        next(iter(section.response)),
        tuple(rows),
        description=f"response: {said(section.response)}{counts_as}; {section.interval} limits{by}; against {control}",
        notes=(*((section.note,) if section.note else ()), *reasons(named), *parts.notes, *dict.fromkeys(left)),
        figures=forest(
            drawn,
            caption="Difference in proportions",
            ratio=False,
            axis="difference in proportions",
            higher_better=section.higher_better,
            names=(control, drawn[0][0] if len(drawn) == 1 else "the other arm"),
        )
        if section.figure
        else (),
    )


# --- many trials ------------------------------------------------------------------------------------------------------


def table_of(trials: Trials, analysis: Analysis, section: Any) -> counts.Counts | None:
    """(trial, 1) counts where a response is a rule about an outcome at one visit, ``where: {AVISITN: 28}``."""
    week = analysis.where.get("AVISITN")
    if set(analysis.where) != {"AVISITN"} or not isinstance(week, int | float) or week not in trials.weeks:
        return None
    if analysis.dataset.upper() != "ADEFF" or analysis.parameter not in trials.outcomes or section.where:
        return None
    if analysis.population not in (*trials.sets, "ITT") or set(section.response) - {"AVAL", "CHG", "BASE"}:
        return None
    if {*analysis.gather, *analysis.derive} & {"AVAL", "CHG", "BASE"} or len(trials.arms) != 2:
        return None
    values = trials.outcomes[str(analysis.parameter)]
    now, base = values[:, :, trials.visit_index(float(week))], values[:, :, 0]
    flat = {"AVAL": now, "BASE": base, "CHG": now - base}
    frame = pl.DataFrame({k: v.ravel() for k, v in flat.items()}).fill_nan(None)
    # without a value at the visit there is no record
    frame = frame.with_columns(pl.when(pl.col("AVAL").is_not_null()).then(pl.col(k)).alias(k) for k in flat)
    flag = (
        flagged(frame, section.response, section.missing, f"analysis {analysis.id}")[RESPONSE]
        .to_numpy()
        .reshape(now.shape)
    )
    who = trials.members(analysis.population) & ~np.isnan(flag)
    return counts.Counts(
        *((np.where(who & (trials.arm == a), what, 0.0)).sum(axis=1)[:, None] for a in (1, 0) for what in (flag, 1.0))
    )


def block(trials: Trials, analysis: Analysis, place: int) -> dict[Key, TrialEstimates] | None:
    """Every trial of a block at once, for a rule about an outcome at one visit, without strata and exact limits."""
    section: Any = analysis.sections[place - 1]
    if section.strata or section.interval == "exact" or section.compare_by or section.arm or section.versus:
        return None
    c = table_of(trials, analysis, section)
    if c is None:
        return None
    out: dict[Key, TrialEstimates] = {}
    w, (control, active) = c.weights, trials.arms[:2]

    def key(quantity: str, arm: str) -> Key:
        return Key(quantity, analysis=analysis.id, section=place, arm=arm)

    for arm, x, n in ((control, c.x0, c.n0), (active, c.x1, c.n1)):
        out[key("patients", arm)] = TrialEstimates.of_count(n[:, 0])
        out[key("responders", arm)] = TrialEstimates.of_count(x[:, 0])
        with np.errstate(invalid="ignore"):
            share = TrialEstimates.of_count(x[:, 0] / n[:, 0])
        out[key("responders_share", arm)] = share
    empty = (c.n1[:, 0] == 0) | (c.n0[:, 0] == 0)
    for measure in section.measures:
        out[key(_QUANTITIES[measure], active)] = _measured(c, measure, section, empty, w)
    if section.margin is not None:
        null = null_of(section.margin, section.margin_of, section.higher_better)
        z = _z(c, section.margin_of, section.interval, null, w)
        z = np.where(empty, np.nan, z)
        from scipy import special

        none = np.full(len(z), np.nan)
        status = np.where(np.isnan(z), int(Status.SINGULAR), 0).astype(np.int8)
        p = np.asarray(special.ndtr(-z if section.higher_better else z))
        df = np.where(status == 0, np.inf, np.nan)
        out[key("non_inferiority", active)] = TrialEstimates(none, none, df, status, p=p)
    return out


def _z(c: counts.Counts, measure: Any, interval: str, null: Any, w: FloatArray) -> FloatArray:
    """(trial,) the test that goes with an interval."""
    if interval == "wald" or (interval == "newcombe" and measure != "difference"):
        with np.errstate(divide="ignore", invalid="ignore"):
            value, se = counts.estimate(c, measure, w), counts.error(c, measure, w)
            return np.asarray(((value - null) if measure == "difference" else np.log(value) - np.log(null)) / se)
    return counts.score(c, measure, null, w)


def _measured(c: counts.Counts, measure: Any, section: Any, empty: Any, w: FloatArray) -> TrialEstimates:
    from scipy import special

    ratio = measure != "difference"
    with np.errstate(divide="ignore", invalid="ignore"):
        plain, se = counts.estimate(c, measure, w), counts.error(c, measure, w)
        value = np.log(plain) if ratio else plain
    wald = section.interval == "wald" or (section.interval == "newcombe" and ratio)
    status = np.zeros(len(value), np.int8)
    nobody = (c.x1 + c.x0)[:, 0] == 0
    status[~np.isfinite(plain)] = int(Status.ONE_ARM_EVENTS)
    status[~np.isfinite(plain) & nobody] = int(Status.NO_EVENTS)
    if wald and ratio:
        status[plain == 0.0] = int(Status.ONE_ARM_EVENTS)
    if wald:
        status[(status == 0) & np.isnan(se)] = int(Status.SINGULAR)
        status[(status == 0) & ~(se > 0.0)] = int(Status.NO_VARIANCE)
    status[empty] = int(Status.EMPTY_ARM)
    z = _z(c, measure, section.interval, 1.0 if ratio else 0.0, w)
    if section.interval == "newcombe" and not ratio:
        n = (c.n1 + c.n0)[:, 0]
        z = z * np.sqrt(n / np.maximum(n - 1.0, 1.0))
    low, high = counts.limits(c, measure, section.interval, section.level, w)
    ok = status == 0
    se = np.where(np.isfinite(se) & (se > 0.0), se, np.nan)
    keep = np.isfinite(plain) & ~empty & (ok | (not ratio))
    made = [np.where(ok, v, np.nan) for v in (se, 2.0 * special.ndtr(-np.abs(z)), low, high)]
    return TrialEstimates(
        np.where(keep, value, np.nan),
        made[0],
        np.where(ok, np.inf, np.nan),
        status,
        p=made[1],
        ratio=ratio,
        level=section.level,
        limits=(made[2], made[3]),
    )


METHODS = (
    Method(
        "binary",
        BinarySection,
        estimates,
        lines,
        "Responders compared",
        noted=True,
        by_line=True,
        tests=(
            Test("risk_difference", "more"),
            Test("risk_ratio", "more"),
            Test("odds_ratio", "more"),
            Test("non_inferiority", "more"),
            *(Test(name, None) for name in ("chi_square", "fisher", "barnard", "boschloo", "cmh")),
        ),
        block=block,
    ),
)
