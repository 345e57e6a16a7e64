"""The reading of a record: what was primary, whether it was met, what hangs on it."""

from __future__ import annotations

from typing import Any

import pytest

from equipoise.appraise.findings import excludes_null, read, significant
from equipoise.records import Record
from equipoise.records.schema import Contrast, PValue


def changed(record: Record, **primary: Any) -> Record:
    """The record with its primary result changed."""
    data = record.model_dump(mode="json", exclude_defaults=True)
    for result in data["results"]:
        if result["id"] == record.primary_result:
            result.update(primary)
    data.pop("traps", None)
    return Record.model_validate(data)


def p(value: float, **more: Any) -> PValue:
    return PValue.model_validate({"method": "m", "value": value, **more})


def test_valor_missed_its_primary_endpoint(valor: Record) -> None:
    f = read(valor)
    assert f.met is False
    assert f.primary is not None
    assert f.primary.id == "alsfrs_f_w28"
    assert f.test is not None
    assert (f.test.method, f.test.value) == ("joint_rank_mi", 0.9689)
    assert f.estimate_p is not None
    assert f.estimate_p.value == 0.5998
    assert f.split
    assert (f.week, f.set) == (28.0, "F")
    assert (f.active.id, f.control.id) == ("tofersen", "placebo")


def test_companions_are_those_of_the_test_sequence_in_order(valor: Record) -> None:
    f = read(valor)
    assert [r.id for r in f.biomarkers()] == ["sod1_f_w28", "nfl_f_w28"]
    assert [r.id for r in f.clinical()][:2] == ["svc_f_w28", "hhd_f_w28"]
    assert {r.id for r in f.others()} == {"alsfrs_s_w28", "alsfrs_itt_w28", "alsfrs_itt_w28_nfl"}


def test_the_later_pair_is_planned_beside_published(valor: Record) -> None:
    f = read(valor)
    planned, unplanned = f.later_pair()
    assert planned is not None
    assert unplanned is not None
    assert (planned.id, unplanned.id) == ("alsfrs_itt_w52", "alsfrs_itt_w52_nfl")
    assert f.planned(planned) is True
    assert f.planned(unplanned) is False


def test_direction_follows_the_outcome(valor: Record) -> None:
    f = read(valor)
    expected = {
        "alsfrs_f_w28": True,
        "nfl_f_w28": True,
        "alsaq5_f_w28": True,
        "dthpv_f_jan2022": False,
        "dthpv_itt_jan2022_nfl": True,
    }
    assert {id: f.favourable(valor.result(id)) for id in expected} == expected


def test_a_met_endpoint_is_read_as_met(valor: Record) -> None:
    good = changed(valor, p=[{"method": "joint_rank_mi", "value": 0.01, "status": "formal"}])
    assert read(good).met is True


def test_a_significant_harm_is_not_met(valor: Record) -> None:
    harm = changed(
        valor,
        contrast={"kind": "difference", "value": -4.0, "low": -7.0, "high": -1.0},
        p=[{"method": "joint_rank_mi", "value": 0.01, "status": "formal"}],
    )
    assert read(harm).met is False


def test_without_p_the_interval_decides_and_without_either_nothing(valor: Record, tiny: Record) -> None:
    apart = changed(valor, contrast={"kind": "difference", "value": 4.0, "low": 1.0, "high": 7.0}, p=[])
    assert read(apart).met is True
    assert read(tiny).met is None
    assert read(tiny).primary is None


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (p(0.049), True),
        (p(0.05), False),
        (p(0.9), False),
        (p(0.0001, relation="<"), True),
        (p(0.05, relation="<"), True),
        (p(0.1, relation=">"), False),
        (p(0.01, relation=">"), None),
    ],
)
def test_the_conventional_level(value: PValue, verdict: bool | None) -> None:
    assert significant(value) is verdict


@pytest.mark.parametrize(
    ("kind", "low", "high", "apart"),
    [
        ("difference", -1.0, 2.0, False),
        ("difference", 0.1, 2.0, True),
        ("ratio", 0.3, 0.9, True),
        ("ratio", 0.3, 1.1, False),
        ("hazard_ratio", 1.1, 3.0, True),
        ("difference", None, None, None),
    ],
)
def test_whether_an_interval_leaves_out_no_effect(
    kind: str, low: float | None, high: float | None, apart: bool | None
) -> None:
    contrast = Contrast.model_validate({"kind": kind, "value": 1.0, "low": low, "high": high})
    assert excludes_null(contrast) is apart
