"""A folder of ADaM files as a Trial, and a Trial as such a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from equipoise.errors import DataError
from equipoise.trial import EventTimes, Trial, Trials
from equipoise.trial.adam import AdamStudy, from_frame, from_trial, plain, read_adam, require, to_trial, write_adam


def virtual(seed: int = 1, n: int = 20) -> Trial:
    generator = np.random.default_rng(seed)
    shape = (1, n)
    weeks = np.array([0.0, 4.0, 12.0, 28.0])
    aval = 38 - generator.standard_normal((1, n, 4)).cumsum(axis=2) ** 2
    aval[0, 3:6, 2:] = np.nan
    event = generator.integers(0, 3, shape).astype(np.int8)
    trials = Trials(
        arms=("Placebo", "Tofersen 100 mg"),
        sets=("S", "F"),
        weeks=weeks,
        seed=seed,
        first_replicate=7,
        arm=generator.integers(0, 2, shape).astype(np.int8),
        group=generator.integers(0, 2, shape).astype(np.int8),
        covariates={"ONSETMO": generator.gamma(2, 6, shape), "RILFL": generator.integers(0, 2, shape) * 1.0},
        outcomes={"ALSFRSR": aval, "NFL": np.exp(aval / 10)},
        events={
            "first": EventTimes(generator.uniform(1, 28, shape), event > 0, "DTHPV", event, ("none", "one", "two")),
            "death": EventTimes(generator.uniform(1, 28, shape), event == 2, "DEATH"),
        },
        last_week=generator.uniform(1, 28, shape),
        entered_extension=generator.integers(0, 2, shape).astype(np.bool_),
        adverse_events={
            "headache": generator.integers(0, 2, shape).astype(np.bool_),
            "never": np.zeros(shape, np.bool_),
        },
    )
    return trials[0]


def frames(trial: Trial) -> list[pl.DataFrame]:
    return [trial.subjects, trial.visits, trial.events, trial.adverse_events]


@pytest.mark.parametrize("format", ["xpt", "json", "ndjson", "dsjc", "parquet"])
def test_property_virtual_trial_round_trips_exactly(tmp_path: Path, format: str) -> None:
    original = virtual()
    datasets = from_trial(original, study="VALOR", parameters={"ALSFRSR": "ALSFRS-R total score"})
    write_adam(datasets, tmp_path, format=format)
    study = read_adam(tmp_path)
    assert [p for p in require(study) if p.severity != "note"] == []
    assert study.study_id == "VALOR"
    again = to_trial(study)
    for mine, theirs in zip(frames(plain(again)), frames(original), strict=True):
        assert mine.equals(theirs)
        assert mine.schema == theirs.schema
    assert again.adverse_events.height > 0
    assert set(again.adverse_events["AEDECOD"]) == {"headache"}


def test_property_second_round_trip_gives_what_the_first_gave(tmp_path: Path) -> None:
    write_adam(from_trial(virtual()), tmp_path / "one")
    first = to_trial(read_adam(tmp_path / "one"))
    write_adam(from_trial(first), tmp_path / "two")
    second = to_trial(read_adam(tmp_path / "two"))
    for mine, theirs in zip(frames(second), frames(first), strict=True):
        assert mine.equals(theirs)
    assert [p.name for p in sorted((tmp_path / "one").iterdir())] == [
        "adae.xpt",
        "adeff.xpt",
        "adsl.xpt",
        "adtte.xpt",
        "define.xml",
    ]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_reference_pilot_as_a_trial_and_back(pilot: Path, tmp_path: Path) -> None:
    study = read_adam(pilot / "adam")
    trial = to_trial(study)
    assert trial.subjects.height == 254
    assert trial.subjects["TRT01P"].value_counts().sort("TRT01P").rows() == [
        ("Placebo", 86),
        ("Xanomeline High Dose", 84),
        ("Xanomeline Low Dose", 84),
    ]
    assert trial.visits.height == 12_463 + 730 + 2_828
    assert trial.adverse_events.height == 1_191
    assert trial.events.height == 254
    assert trial.events["CNSR"].dtype == pl.Int64
    days = study["ADTTE"].frame["AVAL"]
    assert trial.events["AVAL"].equals(days / 7)
    write_adam(from_trial(trial, study="CDISCPILOT01"), tmp_path)
    again = to_trial(read_adam(tmp_path))
    for mine, theirs in zip(frames(again), frames(trial), strict=True):
        assert mine.select(theirs.columns).equals(theirs)


def test_time_units_are_said(tmp_path: Path) -> None:
    adsl = pl.DataFrame({"USUBJID": ["A", "B"], "TRT01P": ["P", "D"]})
    events = pl.DataFrame(
        {
            "USUBJID": ["A", "B"],
            "PARAMCD": ["OS", "OS"],
            "AVAL": [2.0, 14.0],
            "CNSR": [0, 1],
            "AVALU": ["WEEKS", "DAYS"],
        }
    )
    study = AdamStudy({"ADSL": from_frame(adsl, "ADSL"), "ADTTE": from_frame(events, "ADTTE")})
    assert to_trial(study).events["AVAL"].to_list() == [2.0, 2.0]
    strange = events.with_columns(pl.lit("FORTNIGHTS").alias("AVALU"))
    with pytest.raises(DataError, match="FORTNIGHT"):
        to_trial(AdamStudy({**study.datasets, "ADTTE": from_frame(strange, "ADTTE")}))


def test_names_that_xpt_cannot_hold_are_refused() -> None:
    trial = virtual()
    with pytest.raises(DataError, match="BIOMARKER_AT_BASELINE"):
        from_trial(replace(trial, subjects=trial.subjects.with_columns(pl.lit(1.0).alias("BIOMARKER_AT_BASELINE"))))


def test_two_types_of_one_variable_are_refused() -> None:
    adsl = from_frame(pl.DataFrame({"USUBJID": ["A"], "TRT01P": ["P"]}), "ADSL")
    one = from_frame(pl.DataFrame({"USUBJID": ["A"], "PARAMCD": ["X"], "AVAL": [1.0], "SITE": ["1"]}), "ADQS")
    other = from_frame(pl.DataFrame({"USUBJID": ["A"], "PARAMCD": ["Y"], "AVAL": [1.0], "SITE": [1.0]}), "ADLB")
    with pytest.raises(DataError, match="SITE is Float64 in ADLB and String in ADQS"):
        to_trial(AdamStudy({"ADSL": adsl, "ADQS": one, "ADLB": other}))
