"""The models: short forms, inheritance of provenance, addresses, recalled numbers kept apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from equipoise.errors import RecordError
from equipoise.records import Fact, PValue, Record, Value, load_record
from equipoise.records.load import parse_record


def record_of(text: str) -> Record:
    record, problems = parse_record(text.encode())
    assert not problems, [str(p) for p in problems]
    assert record is not None
    return record


def test_numbers_may_be_written_short() -> None:
    assert Value.model_validate(-8.14).value == -8.14
    assert Value.model_validate("41/72").proportion == pytest.approx(41 / 72)
    triple = Value.model_validate([0.62, 0.49, 0.78])
    assert (triple.value, triple.low, triple.high) == (0.62, 0.49, 0.78)
    assert Value.model_validate({"percent": 42}).proportion == 0.42
    assert Value.model_validate({"value": 3, "total": 0}).proportion is None
    assert Fact.model_validate("text").text == "text"


def test_p_values_keep_bounds_and_spans() -> None:
    bound = PValue.model_validate({"method": "m", "value": "<0.0001"})
    assert (bound.value, bound.relation) == (0.0001, "<")
    span = PValue.model_validate({"method": "m", "value": "0.55-0.57"})
    assert (span.value, span.low, span.high) == (None, 0.55, 0.57)


@pytest.mark.parametrize("bad", [True, "12", float("nan"), float("inf"), {"value": "1"}, {"value": True}, [1, 2], None])
def test_what_is_not_a_number_is_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        Value.model_validate(bad)


def test_models_are_frozen_and_closed() -> None:
    value = Value.model_validate(1.0)
    with pytest.raises(ValidationError):
        value.value = 2.0
    with pytest.raises(ValidationError):
        Value.model_validate({"value": 1.0, "vlaue": 2.0})


def test_provenance_is_inherited_but_not_the_place_of_another_source(small: str) -> None:
    record = record_of(small)
    result = record.result("score_w24")
    assert (result.contrast.source, result.contrast.place, result.contrast.confidence) == ("PAPER", "table 2", "seen")
    other = result.p_value("ranks")
    assert (other.source, other.place, other.confidence) == ("REG", None, "seen")
    points = record.curve("SCORE", set="ITT", arm="drug").points()
    assert [(p.week, p.place, p.confidence) for p in points] == [(12, "figure 1", "curve"), (24, "table 2", "seen")]


def test_every_fact_has_an_address_that_leads_to_it(small: str) -> None:
    index = record_of(small).index()
    assert index["score_w24.contrast"].sourced.value == 2.1
    assert index["score_w24.drug"].sourced.se == 0.6
    assert index["score_w24.p.mmrm"].sourced.value == 0.04
    assert index["bl_score.ITT.control"].sourced.sd == 4.9
    assert index["curve_drug.w12"].sourced.value == -2.1
    assert index["ev_death.ITT.drug"].sourced.total == 60
    assert index["ae_any.control"].sourced.percent == 66.7
    assert index["design.n_actual"].sourced.value == 90
    assert index["drug.n"].sourced.value == 60
    assert index["ITT.n.drug"].sourced.value == 60
    assert all(entry.source is not None and entry.id == address for address, entry in index.items())


def test_recalled_numbers_are_stored_but_held_back(small: str) -> None:
    recalled = record_of(
        small.replace("place: table 1\n    confidence: seen", "place: table 1\n    confidence: recall", 1)
    )
    assert "bl_score.ITT.drug" not in recalled.index()
    entry = recalled.index(recall=True)["bl_score.ITT.drug"]
    assert not entry.sourced.usable
    with pytest.raises(RecordError, match="no baseline value"):
        recalled.baseline_value("SCORE", set="ITT", arm="drug")
    assert recalled.baseline_value("SCORE", set="ITT", arm="drug", recall=True).value == 36.0


def test_a_recalled_curve_is_no_curve(small: str) -> None:
    recalled = record_of(small.replace("confidence: curve", "confidence: recall", 1))
    with pytest.raises(RecordError, match="no randomised curve"):
        recalled.curve("SCORE", set="ITT", arm="drug")
    assert "curve_drug.w12" not in recalled.index()
    assert "curve_drug.w24" in recalled.index(), "the printed point stays"


def test_what_is_not_there_is_named_with_what_is(small: str) -> None:
    record = record_of(small)
    for call in (
        lambda: record.result("nope"),
        lambda: record.arm("nope"),
        lambda: record.outcome("nope"),
        lambda: record.analysis_set("nope"),
        lambda: record.method("nope"),
        lambda: record.item("nope"),
        lambda: record.adverse_event("nope"),
        lambda: record.event("DEATH", set="ITT", arm="nope"),
        lambda: record.curve("SCORE", set="ITT", arm="control"),
        lambda: record.baseline_value("SCORE", set="ITT", arm="drug", statistic="median_range"),
    ):
        with pytest.raises(RecordError) as error:
            call()
        assert error.value.hint


@given(st.sampled_from(sorted(load_record("valor").index(recall=True))))
def test_property_addresses_are_stable_under_a_round_trip(address: str) -> None:
    record = VALOR
    again = VALOR_AGAIN
    assert record.index(recall=True)[address] == again.index(recall=True)[address]


VALOR = load_record("valor")
VALOR_AGAIN = Record.model_validate(VALOR.model_dump(mode="json"))
