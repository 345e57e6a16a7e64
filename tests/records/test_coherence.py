"""The computed notes: they find what does not fit, and leave alone what does."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from equipoise.records import Contrast, coherence_notes, load_record
from equipoise.records.coherence import implied_p, p_notes
from equipoise.records.load import parse_record

VALOR = load_record("valor")
DOCS = Path(__file__).parents[2] / "docs" / "records.md"
SMALL = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]


def contrast(kind: str, value: float, low: float, high: float, level: float = 0.95) -> Contrast:
    return Contrast(kind=kind, value=value, low=low, high=high, level=level, source="X", confidence="seen")


def test_reference_altman_and_bland() -> None:
    """Altman and Bland, BMJ 2011;343:d2304: 0.81 (0.70 to 0.94) gives z = 2.80 and P = 0.005."""
    implied = implied_p(contrast("ratio", 0.81, 0.70, 0.94))
    assert implied is not None
    assert implied.p == pytest.approx(0.005, abs=5e-4)


@given(st.floats(-50, 50), st.floats(0.1, 20), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_property_the_implied_p_is_the_normal_p(estimate: float, se: float, level: float) -> None:
    q = norm.ppf(0.5 + level / 2)
    implied = implied_p(contrast("difference", estimate, estimate - q * se, estimate + q * se, level))
    assert implied is not None
    assert implied.p == pytest.approx(2 * norm.sf(abs(estimate) / se), rel=1e-6, abs=1e-12)
    assert implied.low <= implied.p * (1 + 1e-9)
    assert implied.p <= implied.high * (1 + 1e-9)


@given(st.floats(-3, 3), st.floats(0.05, 2))
def test_property_ratios_are_read_on_the_log_scale(log_ratio: float, se: float) -> None:
    q = norm.ppf(0.975)
    value, low, high = (math.exp(log_ratio + k * q * se) for k in (0, -1, 1))
    implied = implied_p(contrast("hazard_ratio", value, low, high))
    assert implied is not None
    assert implied.p == pytest.approx(2 * norm.sf(abs(log_ratio) / se), rel=1e-5, abs=1e-12)


def test_no_interval_no_implied_p() -> None:
    assert implied_p(Contrast(kind="difference", value=1.0, source="X", confidence="seen")) is None
    assert implied_p(contrast("ratio", 0.5, -0.1, 1.0)) is None
    recalled = Contrast(kind="difference", value=1.0, low=0.0, high=2.0, source="X", confidence="recall")
    assert implied_p(recalled) is None


@given(st.floats(-6, 6), st.integers(20, 400), st.integers(1, 3))
def test_property_a_t_test_reported_with_rounding_is_never_flagged(z: float, df: int, places: int) -> None:
    """An honest analysis (t interval, t test, everything rounded as papers do) gives no note."""
    se = 2.0
    q = t.ppf(0.975, df)
    value, low, high = (round(z * se + k * q * se, places) for k in (0, -1, 1))
    p = 2 * t.sf(abs(z), df)
    text = "'<0.0001'" if p < 1e-4 else f"{p:.4f}"
    notes = p_notes(with_result(value, low, high, text))
    assert notes == ()


def with_result(value: float, low: float, high: float, p: str):
    text = SMALL.replace("value: 2.1, low: 0.1, high: 4.1", f"value: {value}, low: {low}, high: {high}")
    text = text.replace(
        "arms: {drug: {value: -4.0, se: 0.6}, control: {value: -6.1, se: 0.8}}\n    contrast", "contrast"
    )
    text = text.replace("{method: mmrm, value: 0.04, status: formal}", f"{{method: mmrm, value: {p}, status: formal}}")
    text = text.replace('      - {method: ranks, value: "<0.05", source: REG}\n', "")
    record, problems = parse_record(text.encode())
    assert not problems, [str(x) for x in problems]
    return record


def test_a_misprinted_p_of_the_own_method_is_flagged() -> None:
    notes = p_notes(with_result(2.1, 0.1, 4.1, "0.4"))
    assert [n.id for n in notes] == ["p_score_w24_mmrm"]
    assert notes[0].changes_verdict
    assert notes[0].primary
    assert "0.04" in notes[0].what


@pytest.mark.parametrize(
    ("p", "flagged"), [("'<0.05'", False), ("'<0.0001'", True), ("'>0.2'", True), ("'>0.03'", False), ("0.3-0.4", True)]
)
def test_bounds_and_spans_are_compared_as_such(p: str, flagged: bool) -> None:
    assert bool(p_notes(with_result(2.1, 0.1, 4.1, p))) is flagged


def test_valor_the_primary_p_does_not_belong_to_the_interval() -> None:
    first = coherence_notes(VALOR)[0]
    assert first.kind == "p_and_interval"
    assert first.primary
    assert first.refs == ("alsfrs_f_w28.contrast", "alsfrs_f_w28.p.joint_rank_mi")
    assert "0.9689" in first.what
    assert "0.59" in first.what
    assert "0.5998" in first.what


def test_valor_no_p_of_the_method_of_the_interval_is_flagged() -> None:
    """Every published p-value agrees with its own interval: the record was copied without slips, at least in these."""
    own = [(r.id, p.method) for r in VALOR.results for p in r.p if p.method == r.method and r.contrast is not None]
    assert len(own) > 50
    flagged = {(n.result, n.refs[1].split(".p.")[1]) for n in p_notes(VALOR)}
    assert not flagged & set(own)
    assert all("rank" in method for _, method in flagged), "only rank tests (joint rank, log-rank) stand apart"


def test_valor_the_52_week_analyses_are_marked_and_the_planned_ones_not() -> None:
    marked = {n.result for n in coherence_notes(VALOR) if n.kind == "not_prespecified"}
    assert {"alsfrs_itt_w52_nfl", "svc_itt_w52_nfl", "hhd_itt_w52_nfl", "dthpv_itt_jan2022_nfl"} <= marked
    assert not marked & {"alsfrs_f_w28", "alsfrs_itt_w52", "alsfrs_f_w52", "dthpv_itt_jan2022"}
    note = next(n for n in coherence_notes(VALOR) if n.id == "prespecified_alsfrs_itt_w52_nfl")
    assert "FDA, EMA" in note.what


def test_valor_what_came_after_the_failed_primary_is_nominal() -> None:
    gate = [n for n in coherence_notes(VALOR) if n.kind == "after_failed_gatekeeper"]
    assert [n.result for n in gate] == ["sod1_f_w28", "nfl_f_w28"]


def test_a_primary_that_was_met_leaves_the_later_steps_alone() -> None:
    assert coherence_notes(with_result(2.1, 0.1, 4.1, "0.04")) == ()


def test_all_notes_rest_on_addresses_that_exist() -> None:
    known = {*VALOR.index(), *VALOR.blocks(), *VALOR.sources}
    notes = coherence_notes(VALOR)
    assert len({n.id for n in notes}) == len(notes)
    assert all(set(n.refs) <= known for n in notes)
