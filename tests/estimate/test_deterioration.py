"""Time to confirmed deterioration: rule by rule on paper, against a re-derivation in plain Python, and onwards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.survival import cox
from equipoise.estimate.survival.competing_risks import cumulative_incidence
from equipoise.estimate.survival.deterioration import DeteriorationRule, deterioration, deterioration_times
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.kernels import deterioration as kernel


def patient(changes: dict[float, float | None], died: float | None, rule: dict[str, Any]) -> tuple[Any, Any, str]:
    """AVAL, CNSR and EVNTDESC of one patient: change by week, under a rule with threshold 4."""
    frame = pl.DataFrame(
        {"USUBJID": "A", "AVISITN": [0.0, *changes], "CHG": [0.0, *changes.values()], "DTH": died, "BASE": 40.0},
        strict=False,
    ).with_columns(pl.col("DTH").cast(pl.Float64))
    made = deterioration(
        frame, DeteriorationRule(**{"threshold": 4, **rule}), death="DTH", base="BASE", keep=()
    ).patients
    return tuple(made.select("AVAL", "CNSR", "EVNTDESC").row(0))  # type: ignore[return-value]


CASES = [
    # confirmation
    ({4: -1, 8: -5, 12: -6}, None, {}, (8, 0, "deterioration at week 8, confirmed at week 12")),
    ({4: -1, 8: -5, 12: -3}, None, {}, (12, 1, "censored at week 12: last visit without confirmed deterioration")),
    ({4: -5, 8: -3, 12: -4, 16: -7}, None, {}, (12, 0, "deterioration at week 12, confirmed at week 16")),
    ({4: -5, 8: -3}, None, {"confirm": "none"}, (4, 0, "deterioration at week 4")),
    ({4: -5, 8: None, 12: -5}, None, {}, (4, 0, "deterioration at week 4, confirmed at week 12")),
    ({4: -5, 8: -3, 12: -6}, None, {"confirm": "any"}, (4, 0, "deterioration at week 4, confirmed at week 12")),
    (
        {4: -5, 8: -6, 12: -3, 16: -5, 20: -5},
        None,
        {"confirm": "sustained"},
        (16, 0, "deterioration at week 16, confirmed at week 20"),
    ),
    ({4: -5, 8: -6}, None, {"date": "confirmation"}, (8, 0, "deterioration at week 4, confirmed at week 8")),
    # windows
    ({4: -5, 5: -3, 12: -6}, None, {"min_gap": 4}, (4, 0, "deterioration at week 4, confirmed at week 12")),
    (
        {4: -5, 5: -3, 8: -2, 12: -6},
        None,
        {"min_gap": 4},
        (12, 1, "censored at week 12: last visit, deterioration at week 12 that no visit could confirm"),
    ),
    (
        {4: -5, 20: -6},
        None,
        {"max_gap": 8},
        (20, 1, "censored at week 20: last visit, deterioration at week 4 that no visit could confirm"),
    ),
    ({4: -5, 20: -6, 24: -6}, None, {"max_gap": 8}, (20, 0, "deterioration at week 20, confirmed at week 24")),
    (
        {4: -5, 20: -6},
        None,
        {"max_gap": 8, "unconfirmed": "event"},
        (4, 0, "deterioration at week 4, counted though no visit could confirm it"),
    ),
    (
        {4: -5, 20: -1},
        None,
        {"max_gap": 8, "unconfirmed": "event"},
        (20, 1, "censored at week 20: last visit without confirmed deterioration"),
    ),
    # the last visit
    (
        {4: -1, 8: -5},
        None,
        {},
        (8, 1, "censored at week 8: last visit, deterioration at week 8 that no visit could confirm"),
    ),
    (
        {4: -1, 8: -5},
        None,
        {"unconfirmed": "event"},
        (8, 0, "deterioration at week 8, counted though no visit could confirm it"),
    ),
    # death
    ({4: -1, 8: -1}, 10, {}, (10, 0, "death at week 10")),
    ({4: -1, 8: -1}, 10, {"death": "competing"}, (10, 2, "death at week 10")),
    ({4: -1, 8: -1}, 10, {"death": "censor"}, (8, 1, "censored at week 8: last visit before death at week 10")),
    ({4: -1, 8: -5}, 10, {}, (8, 0, "deterioration at week 8, confirmed by death at week 10")),
    ({4: -1, 8: -5}, 10, {"death": "censor"}, (8, 0, "deterioration at week 8, confirmed by death at week 10")),
    ({4: -1, 8: -5}, 10, {"death_confirms": False}, (10, 0, "death at week 10")),
    ({4: -1, 8: -5}, 30, {"max_gap": 8}, (30, 0, "death at week 30")),
    ({4: -5, 8: -3}, 10, {}, (10, 0, "death at week 10")),
    ({4: -5, 8: -6}, 10, {}, (4, 0, "deterioration at week 4, confirmed at week 8")),
    (
        {4: -5, 8: -6},
        10,
        {"date": "confirmation", "confirm": "any"},
        (8, 0, "deterioration at week 4, confirmed at week 8"),
    ),
    ({}, 10, {}, (10, 0, "death at week 10")),
    ({}, None, {}, (0, 1, "censored at week 0: no visit after baseline")),
    # gaps and the end of the period
    (
        {4: -1, 28: -5, 32: -6},
        None,
        {"max_missed": 12},
        (4, 1, "censored at week 4: no visit for more than 12 weeks before deterioration at week 28"),
    ),
    (
        {4: -1},
        40,
        {"max_missed": 12},
        (4, 1, "censored at week 4: no visit for more than 12 weeks before death at week 40"),
    ),
    (
        {4: -1, 8: -5, 12: -6},
        40,
        {"up_to": 8},
        (8, 1, "censored at week 8: last visit, deterioration at week 8 that no visit could confirm"),
    ),
    # relative and rising
    (
        {4: -8, 8: -9},
        None,
        {"threshold": 0.2, "relative": True},
        (4, 0, "deterioration at week 4, confirmed at week 8"),
    ),
    ({4: 4, 8: 5}, None, {"worse": "higher"}, (4, 0, "deterioration at week 4, confirmed at week 8")),
    ({4: 4, 8: 5}, None, {}, (8, 1, "censored at week 8: last visit without confirmed deterioration")),
]


@pytest.mark.parametrize(("changes", "death", "rule", "expected"), CASES)
def test_independent_by_hand(changes: Any, death: Any, rule: Any, expected: Any) -> None:
    assert patient(changes, death, rule) == expected


def plainly(visits: list[tuple[float, bool]], death: float, rule: DeteriorationRule) -> tuple[float, int]:
    """Time and cause by the words of the rule; visits : (week, whether as bad as the threshold), in order."""
    death = death if death <= rule.up_to else math.inf
    seen = [(w, b) for w, b in visits if w <= rule.up_to and w <= death]
    for k, (w, bad) in enumerate(seen):
        if not bad:
            continue
        later = seen[k + 1 :]
        fit = [(u, b) for u, b in later if rule.min_gap <= u - w <= rule.max_gap]
        soon = [(u, b) for u, b in later if u - w >= rule.min_gap]
        if rule.confirm == "none":
            good, at = True, w
        elif rule.confirm == "next":
            known = bool(soon) and soon[0][0] - w <= rule.max_gap
            good, at = (soon[0][1], soon[0][0]) if known else (None, math.nan)
        elif rule.confirm == "any":
            hits = [u for u, b in fit if b]
            good, at = (True, hits[0]) if hits else (False if fit else None, math.nan)
        elif not all(b for _, b in later):
            good, at = False, math.nan
        else:
            good, at = (True, fit[0][0]) if fit else (None, math.nan)
        if good is None and all(b for _, b in later):
            if rule.death_confirms and death < math.inf and death - w <= rule.max_gap:
                good, at = True, death
            elif rule.unconfirmed == "event":
                good = True
        if good:
            before = seen[k - 1][0] if k else 0.0
            if w - before > rule.max_missed:
                return before, 0
            return (w if rule.date == "onset" or math.isnan(at) else at), 1
    last = seen[-1][0] if seen else 0.0
    if death < math.inf and rule.death != "censor" and death - last <= rule.max_missed:
        return death, 2
    return last, 0


RULES = st.builds(
    DeteriorationRule,
    threshold=st.just(4.0),
    confirm=st.sampled_from(["none", "next", "any", "sustained"]),
    min_gap=st.sampled_from([0.0, 5.0, 8.0]),
    max_gap=st.sampled_from([8.0, 12.0, math.inf]),
    unconfirmed=st.sampled_from(["censor", "event"]),
    date=st.sampled_from(["onset", "confirmation"]),
    death=st.sampled_from(["event", "competing", "censor"]),
    death_confirms=st.booleans(),
    max_missed=st.sampled_from([9.0, math.inf]),
    up_to=st.sampled_from([16.0, math.inf]),
)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from([math.nan, 0.0, -4.0]), st.integers(1, 5)), max_size=7),
    st.one_of(st.none(), st.integers(1, 40)),
    RULES,
)
def test_independent_any_rule_any_patient(
    visits: list[tuple[float, int]], death: int | None, rule: DeteriorationRule
) -> None:
    """Random visits, deaths and rules: the kernel gives what the words of the rule give, and says why."""
    weeks = np.cumsum([float(g) for _, g in visits])
    keep = [(float(w), c == -4.0) for w, (c, _) in zip(weeks, visits, strict=True) if not math.isnan(c)]
    dead = math.inf if death is None else float(death)
    change = np.array([c for c, _ in visits]).reshape(1, 1, -1)
    time, cause, reason, onset, confirmed = deterioration_times(
        change, weeks[None, None], rule, death=np.array([[dead]])
    )
    assert (time[0, 0], cause[0, 0]) == plainly(keep, dead, rule)
    events = {kernel.CONFIRMED: 1, kernel.UNCONFIRMED: 1, kernel.BY_DEATH: 1, kernel.DEATH: 2}
    assert events.get(int(reason[0, 0]), 0) == cause[0, 0]
    if cause[0, 0] == 1:
        assert onset[0, 0] <= time[0, 0]
        assert math.isnan(confirmed[0, 0]) or onset[0, 0] <= confirmed[0, 0]


def batch(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    weeks = np.arange(1, 9) * 4.0
    change = -np.cumsum(np.abs(g.normal(0.6, 1.0, (3, 50, 8))), axis=2) + g.normal(0, 1.5, (3, 50, 8))
    change[g.random(change.shape) < 0.15] = np.nan
    death = np.where(g.random((3, 50)) < 0.2, g.uniform(0, 40, (3, 50)), np.nan)
    change[weeks[None, None] > np.where(np.isnan(death), np.inf, death)[:, :, None]] = np.nan
    return change, weeks, death


def long(change: np.ndarray, weeks: np.ndarray, death: np.ndarray) -> pl.DataFrame:
    n, v = change.shape
    return pl.DataFrame(
        {
            "USUBJID": np.repeat([f"P{i:02d}" for i in range(n)], v + 1),
            "TRT01P": np.repeat(np.where(np.arange(n) % 2, "Active", "Placebo"), v + 1),
            "AVISITN": np.tile(np.concatenate([[0.0], weeks]), n),
            "CHG": np.concatenate([np.zeros((n, 1)), change], axis=1).ravel(),
            "DTHWK": np.repeat(death, v + 1),
            "BASE": 40.0,
        }
    ).with_columns(pl.col("CHG", "DTHWK").fill_nan(None))


def test_property_door_and_block_agree_and_flow_on() -> None:
    """A block gives what the door gives trial by trial; its frame goes into Kaplan-Meier, Cox and Aalen-Johansen."""
    change, weeks, death = batch()
    rule = DeteriorationRule(threshold=4, max_gap=8, max_missed=16)
    time, cause, *_ = deterioration_times(change, weeks, rule, death=death)
    for t in range(3):
        frame = long(change[t], weeks, death[t])
        made = deterioration(frame, rule, death="DTHWK").patients
        np.testing.assert_array_equal(made["AVAL"].to_numpy(), time[t])
        np.testing.assert_array_equal(made["CNSR"].to_numpy() == 0, cause[t] > 0)
        again = deterioration(frame.to_pandas().sample(frac=1.0, random_state=1), rule, death="DTHWK").patients
        assert isinstance(again, pd.DataFrame)
        np.testing.assert_array_equal(again.sort_values("USUBJID")["AVAL"], time[t])
    curves = kaplan_meier(made.with_columns(E=1 - pl.col("CNSR")), time="AVAL", event="E", arm="TRT01P")
    assert sum(c.n for c in curves) == 50
    assert cox("Surv(AVAL, 1 - CNSR) ~ TRT01P", made).n == 50
    apart = deterioration(frame, DeteriorationRule(threshold=4, death="competing"), death="DTHWK").patients
    (incidence,) = cumulative_incidence(apart, time="AVAL", cause="CAUSE")
    assert incidence.events.tolist() == [(apart["CNSR"] == 0).sum(), (apart["CNSR"] == 2).sum()]


def test_property_stricter_rules_are_later() -> None:
    """A larger threshold, and confirmation, never bring the deterioration forward."""
    change, weeks, _ = batch(3)

    def onset(**rule: Any) -> np.ndarray:
        time, cause, *_ = deterioration_times(change, weeks, DeteriorationRule(**rule))
        return np.where(cause == 1, time, np.inf)

    base = onset(threshold=4)
    assert (onset(threshold=5) >= base).all()
    assert (onset(threshold=4, confirm="none") <= onset(threshold=4, confirm="any")).all()
    assert (onset(threshold=4, confirm="any") <= base).all()
    assert (base <= onset(threshold=4, confirm="sustained")).all()
    assert (onset(threshold=4, date="confirmation") >= base).all()
    assert np.isfinite(base).any()


def test_property_rule_says_itself() -> None:
    assert DeteriorationRule(threshold=4, max_gap=8, max_missed=12).to_sentence() == (
        "A fall from baseline of 4 points or more, confirmed at the next visit (at most 8 weeks later); where no visit "
        "could confirm it, it does not count, unless death follows; death is an event; an event after more than 12 "
        "weeks without a visit is censored before them. Dated at its onset."
    )
    text = DeteriorationRule(
        threshold=0.2,
        relative=True,
        worse="higher",
        confirm="sustained",
        min_gap=4,
        up_to=28,
        death="competing",
        unconfirmed="event",
    ).to_sentence()
    assert text.startswith(
        "A rise from baseline of 20 % or more, sustained at every later visit, one or more of them (at least 4"
    )
    assert "up to week 28" in text


def test_property_unusable_baseline_and_bad_input_are_named() -> None:
    frame = pl.DataFrame(
        {
            "USUBJID": list("AABB"),
            "AVISITN": [0, 4, 0, 4],
            "CHG": [0, -9, 0, -9],
            "BASE": [0, 0, None, None],
            "DTH": [None, None, 2.0, 2.0],
        }
    )
    rule = DeteriorationRule(threshold=0.2, relative=True)
    made = deterioration(frame, rule, base="BASE", keep=()).patients
    assert made["AVAL"].to_list() == [None, None]
    assert made["CNSR"].to_list() == [None, None]
    assert set(made["EVNTDESC"]) == {"left out: no usable baseline"}
    plain = DeteriorationRule(threshold=4)
    with pytest.raises(EstimationError, match="without a baseline"):
        deterioration(frame, rule, keep=())
    with pytest.raises(DataError, match="patient B has a visit at week 4, after death at 2"):
        deterioration(frame, plain, death="DTH", keep=())
    with pytest.raises(DataError, match="two rows at week 4"):
        deterioration(pl.concat([frame, frame[1:2]]), plain, keep=())
    with pytest.raises(DataError, match="TRT01P"):
        deterioration(frame, plain)
    with pytest.raises(DataError, match="changes within patient A"):
        deterioration(frame.with_columns(DTH=pl.col("AVISITN")), plain, death="DTH", keep=())
    for bad, words in (
        ({"threshold": -4}, "threshold = -4"),
        ({"threshold": 4, "confirm": "twice"}, "confirm = 'twice'"),
        ({"threshold": 4, "min_gap": 9, "max_gap": 8}, "gaps from 9 to 8"),
        ({"threshold": 4, "max_missed": 0}, "times above 0"),
    ):
        with pytest.raises(EstimationError, match=words):
            DeteriorationRule(**bad)
    with pytest.raises(EstimationError, match="without a baseline"):
        deterioration_times(np.zeros((1, 1, 1)), [4.0], rule)
