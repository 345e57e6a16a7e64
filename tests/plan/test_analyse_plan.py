"""Plans: what is read, what is refused and with which words; conditions; rounding as printed."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import DataError, ScenarioError
from equipoise.plan.analysis_plan import condition, dump_plan, parse_plan, read_plan
from equipoise.plan.results import cell_of, p_text, percent_text, rounded

MINIMAL = """
study: S
treatment: {arms: [Placebo, Drug]}
populations:
  ITT: {label: Everyone, where: {ITTFL: Y}}
styles:
  short: [{label: n, show: "{n}"}]
analyses:
  - id: T1
    title: Age
    population: ITT
    sections:
      - {method: summary, variable: AGE, statistics: short}
      - {method: ancova, formula: CHG ~ TRT01P + BASE, rows: [{label: d, show: "{estimate:1}", versus: Placebo}]}
"""


def test_a_plan_is_read_and_written_back() -> None:
    plan = parse_plan(MINIMAL)
    assert plan.treatment.reference == "Placebo"
    assert [s.method for s in plan.analyses[0].sections] == ["summary", "ancova"]
    assert plan.analyses[0].sections[0].statistics[0].show == "{n}"  # type: ignore[union-attr]
    assert parse_plan(dump_plan(plan)) == plan


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("population: ITT", "population: XXX", "analysis T1: unknown population 'XXX'; known: ITT"),
        ("method: summary", "method: sumary", "line 13, column 10: analyses[T1].sections[1].method: found 'sumary'"),
        ("statistics: short", "statistics: long", "statistics"),
        ("versus: Placebo", "versus: Placbo", "unknown arm 'Placbo'"),
        ("{estimate:1}", "estimate", "show names no statistic in braces"),
        ("{estimate:1}", "{estimate:.2f}", "'.2f' is no format"),
        ("arms: [Placebo, Drug]", "arms: [Placebo, Placebo]", "an arm is listed twice"),
        ("arms: [Placebo, Drug]", "arms: [Placebo, Drug], control: Sham", "control 'Sham' is not one of the arms"),
        ("{ITTFL: Y}", "{ITTFL: {like: Y}}", "unknown comparison"),
        ("title: Age", "title: Age\n    colour: red", "line 11, column 5: analyses[T1].colour: found the unknown"),
        ("id: T1", "id: ../../T1", "id"),
        ("study: S", "study: [", "cannot be read as YAML"),
        ("study: S", "study: &a S\nother: *a", "line 3, column 1: other: found the unknown key"),
    ],
)
def test_mistakes_are_named(old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    with pytest.raises(ScenarioError) as error:
        parse_plan(MINIMAL.replace(old, new), "plan.yaml")
    assert "plan.yaml" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "- a", "a: !!python/object/apply:os.system [echo]", "x: " + "[" * 5000, "\t"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        parse_plan(text)


def test_a_plan_that_is_not_there() -> None:
    with pytest.raises(ScenarioError, match="there is no file"):
        read_plan("/nowhere/plan.yaml")


FRAME = pl.DataFrame(
    {"T": ["a", "b", None], "N": [1.0, None, 3.0], "D": [dt.date(2020, 1, 1), None, dt.date(2021, 1, 1)]}
)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({}, [0, 1, 2]),
        ({"T": "a"}, [0]),
        ({"T": ["a", "b"]}, [0, 1]),
        ({"T": None}, [2]),
        ({"T": {"ne": "a"}}, [1, 2]),
        ({"T": {"not": None}}, [0, 1]),
        ({"T": {"not": ["a", None]}}, [1]),
        ({"T": ["a", None]}, [0, 2]),
        ({"N": 1}, [0]),
        ({"N": {"gt": 1}}, [2]),
        ({"N": {"ge": 1, "lt": 3}}, [0]),
        ({"N": {"le": 3}, "T": "a"}, [0]),
        ({"D": {"ge": dt.date(2020, 6, 1)}}, [2]),
    ],
)
def test_conditions(where: dict[str, object], rows: list[int]) -> None:
    found = FRAME.with_row_index().filter(condition(where, FRAME, "here"))["index"].to_list()
    assert found == rows


def test_conditions_that_make_no_sense() -> None:
    with pytest.raises(DataError, match="here: there is no variable Z"):
        condition({"Z": 1}, FRAME, "here")
    with pytest.raises(DataError, match="here: N is Float64, compared with 'x'"):
        condition({"N": "x"}, FRAME, "here")


def test_reference_halves_round_away_from_zero() -> None:
    """SAS prints 42.65 as 42.7 and -0.45 as -0.5, where Python's format gives 42.6 and -0.5."""
    assert rounded(42.65, 1) == "42.7"
    assert rounded(42.65 - 2e-15, 1) == "42.7"
    assert rounded(-2.5, 0) == "-3"
    assert rounded(2.675, 2) == "2.68"
    assert rounded(-0.04, 1) == "0.0"
    assert rounded(1234.5, 0) == "1235"
    assert rounded(float("nan"), 1) == "NE"
    assert p_text(0.00004, 4) == "<0.0001"
    assert p_text(0.0030400, 4) == "0.0030"
    assert percent_text(0, 86) == "0"
    assert percent_text(1, 254) == "1 ( <1%)"
    assert percent_text(79, 86) == "79 ( 92%)"
    assert percent_text(86, 86) == "86 (100%)"
    assert percent_text(3, 86, 1) == "3 (  3.5%)"


@given(st.floats(-1e9, 1e9), st.integers(0, 4))
def test_property_rounding_is_near_and_odd(value: float, decimals: int) -> None:
    text = rounded(value, decimals)
    assert abs(float(text) - value) <= 0.5 * 10.0**-decimals * (1 + 1e-9) + 1e-9 * abs(value)
    assert rounded(-value, decimals).lstrip("-") == text.lstrip("-")


def test_cells_keep_their_numbers() -> None:
    cell = cell_of("{mean:1} ({sd:2})", {"n": 3.0, "mean": 1.25, "sd": None})
    assert cell.text == "1.3 (NE)"
    assert cell.shown == {"mean": "1.3", "sd": "NE"}
    assert cell.values["n"] == 3.0
