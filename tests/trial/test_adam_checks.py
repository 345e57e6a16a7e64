"""The checks on the way in: each mistake is named with data set, row and variable; sound data give none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from equipoise.errors import DataError
from equipoise.trial.adam import AdamStudy, DataProblem, check, from_frame, read_adam, require

ADSL = pl.DataFrame(
    {
        "STUDYID": ["S"] * 4,
        "USUBJID": ["A", "B", "C", "D"],
        "TRT01P": ["Placebo", "Drug", "Placebo", "Drug"],
        "TRT01PN": [0.0, 1.0, 0.0, 1.0],
        "ITTFL": ["Y"] * 4,
    }
)
ADQS = pl.DataFrame(
    {
        "USUBJID": ["A", "A", "B", "B", "C", "C"],
        "TRTP": ["Placebo", "Placebo", "Drug", "Drug", "Placebo", "Placebo"],
        "PARAMCD": ["TOT"] * 6,
        "PARAM": ["Total"] * 6,
        "AVISIT": ["Baseline", "Week 4"] * 3,
        "AVISITN": [0.0, 4.0] * 3,
        "AVAL": [10.0, 12.0, 9.0, 9.0, 8.0, 11.0],
        "BASE": [10.0, 10.0, 9.0, 9.0, 8.0, 8.0],
        "CHG": [None, 2.0, None, 0.0, None, 3.0],
        "ABLFL": ["Y", None] * 3,
        "ANL01FL": ["Y"] * 6,
        "DTYPE": pl.Series([None] * 6, dtype=pl.String),
    }
)
ADTTE = pl.DataFrame(
    {
        "USUBJID": ["A", "B", "C", "D"],
        "PARAMCD": ["OS"] * 4,
        "AVAL": [10.0, 20.0, 30.0, 40.0],
        "CNSR": [0.0, 1.0, 1.0, 0.0],
        "EVNTDESC": ["Death", "Completed study", "Lost to follow-up", "Death"],
    }
)
ADAE = pl.DataFrame({"USUBJID": ["A", "A"], "AESEQ": [1.0, 2.0], "AEDECOD": ["Headache", "Nausea"]})


def study(**frames: pl.DataFrame | None) -> AdamStudy:
    given = {"ADSL": ADSL, "ADQS": ADQS, "ADTTE": ADTTE, "ADAE": ADAE, **frames}
    return AdamStudy({n: from_frame(f, n) for n, f in given.items() if f is not None})


def put(frame: pl.DataFrame, row: int, **values: object) -> pl.DataFrame:
    """The frame with the values of one row (from 1) changed."""
    columns = []
    for name in frame.columns:
        series = frame[name].to_list()
        if name in values:
            series[row - 1] = values[name]
        columns.append(pl.Series(name, series, dtype=frame.schema[name]))
    return pl.DataFrame(columns)


def found(problems: list[DataProblem], severity: str) -> list[tuple[str, str, int | None, str | None]]:
    return [(p.rule, p.dataset, p.row, p.variable) for p in problems if p.severity == severity]


def test_sound_data_give_no_problem() -> None:
    assert check(study()) == []
    assert require(study()) == []


CASES: dict[str, tuple[Callable[[], AdamStudy], str, tuple[str, str, int | None, str | None]]] = {
    "subject twice": (lambda: study(ADSL=pl.concat([ADSL, ADSL.head(1)])), "error", ("keys", "ADSL", 5, "USUBJID")),
    "event twice": (
        lambda: study(ADTTE=pl.concat([ADTTE, ADTTE.tail(1)])),
        "error",
        ("keys", "ADTTE", 5, "USUBJID+PARAMCD"),
    ),
    "adverse event twice": (
        lambda: study(ADAE=put(ADAE, 2, AESEQ=1.0)),
        "warning",
        ("keys", "ADAE", 2, "USUBJID+AESEQ"),
    ),
    "subject not in ADSL": (lambda: study(ADAE=put(ADAE, 2, USUBJID="Z")), "error", ("subjects", "ADAE", 2, "USUBJID")),
    "no ADSL": (lambda: study(ADSL=None), "error", ("required", "ADSL", None, None)),
    "no arm": (lambda: study(ADSL=put(ADSL, 3, TRT01P=None)), "error", ("arms", "ADSL", 3, "TRT01P")),
    "unknown arm": (lambda: study(ADQS=put(ADQS, 4, TRTP="Durg")), "error", ("arms", "ADQS", 4, "TRTP")),
    "another arm": (lambda: study(ADQS=put(ADQS, 4, TRTP="Placebo")), "warning", ("arms", "ADQS", 4, "TRTP")),
    "arm in two spellings": (
        lambda: study(ADSL=put(ADSL, 3, TRT01P="PLACEBO")),
        "error",
        ("arms", "ADSL", 3, "TRT01P"),
    ),
    "arm with two numbers": (lambda: study(ADSL=put(ADSL, 3, TRT01PN=7.0)), "warning", ("arms", "ADSL", 3, "TRT01PN")),
    "CNSR missing": (lambda: study(ADTTE=put(ADTTE, 2, CNSR=None)), "error", ("censoring", "ADTTE", 2, "CNSR")),
    "CNSR negative": (lambda: study(ADTTE=put(ADTTE, 2, CNSR=-1.0)), "error", ("censoring", "ADTTE", 2, "CNSR")),
    "CNSR a fraction": (lambda: study(ADTTE=put(ADTTE, 2, CNSR=0.5)), "error", ("censoring", "ADTTE", 2, "CNSR")),
    "CNSR turned round": (
        lambda: study(ADTTE=ADTTE.with_columns(CNSR=1 - pl.col("CNSR"))),
        "warning",
        ("censoring", "ADTTE", 2, "CNSR"),
    ),
    "time before the origin": (
        lambda: study(ADTTE=put(ADTTE, 4, AVAL=-1.0)),
        "error",
        ("censoring", "ADTTE", 4, "AVAL"),
    ),
    "no time": (lambda: study(ADTTE=put(ADTTE, 4, AVAL=None)), "error", ("censoring", "ADTTE", 4, "AVAL")),
    "two analysis records": (
        lambda: study(ADQS=pl.concat([ADQS, put(ADQS, 6, DTYPE="LOCF").tail(1)])),
        "error",
        ("analysis records", "ADQS", 7, "ANL01FL"),
    ),
    "two records, unflagged": (
        lambda: study(ADQS=pl.concat([ADQS, ADQS.tail(1)]).drop("ANL01FL")),
        "warning",
        ("analysis records", "ADQS", 7, "AVISITN"),
    ),
    "LOCF beside observed": (
        lambda: study(ADQS=put(ADQS, 6, DTYPE="LOCF")),
        "note",
        ("analysis records", "ADQS", 6, "DTYPE"),
    ),
    "change is not the difference": (
        lambda: study(ADQS=put(ADQS, 4, CHG=1.0)),
        "error",
        ("baseline", "ADQS", 4, "CHG"),
    ),
    "change without baseline": (lambda: study(ADQS=put(ADQS, 4, BASE=None)), "error", ("baseline", "ADQS", 4, "BASE")),
    "two baselines": (
        lambda: study(ADQS=put(ADQS, 2, ABLFL="Y", AVAL=10.0, CHG=0.0)),
        "error",
        ("baseline", "ADQS", 2, "ABLFL"),
    ),
    "baseline is another value": (
        lambda: study(ADQS=put(ADQS, 2, BASE=9.0, CHG=3.0)),
        "error",
        ("baseline", "ADQS", 2, "BASE"),
    ),
    "no baseline": (
        lambda: study(ADQS=put(put(ADQS, 5, BASE=None, ABLFL=None), 6, BASE=None, CHG=None)),
        "warning",
        ("baseline", "ADQS", 5, "BASE"),
    ),
    "a flag of another value": (lambda: study(ADSL=put(ADSL, 2, ITTFL="X")), "warning", ("flags", "ADSL", 2, "ITTFL")),
    "visit with two numbers": (
        lambda: study(ADQS=put(ADQS, 6, AVISITN=5.0)),
        "warning",
        ("visits", "ADQS", 6, "AVISITN"),
    ),
    "parameter with two texts": (
        lambda: study(ADQS=put(ADQS, 6, PARAM="Sum")),
        "warning",
        ("parameters", "ADQS", 6, "PARAM"),
    ),
    "wrong code page": (
        lambda: study(ADSL=put(ADSL, 2, STUDYID="Gr\u00c3\u00b6\u00c3\u009fe")),
        "warning",
        ("encoding", "ADSL", 2, "STUDYID"),
    ),
    "text where numbers are": (
        lambda: study(ADQS=ADQS.with_columns(pl.col("AVAL").cast(pl.String))),
        "error",
        ("types", "ADQS", None, "AVAL"),
    ),
    "a variable is not there": (lambda: study(ADTTE=ADTTE.drop("AVAL")), "error", ("required", "ADTTE", None, "AVAL")),
}


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_is_named(case: str) -> None:
    make, severity, expected = CASES[case]
    problems = check(make())
    assert expected in found(problems, severity)
    if severity == "error":
        with pytest.raises(DataError, match=expected[1]):
            require(make())
    else:
        assert found(problems, "error") == []


def test_errors_elsewhere_do_not_stand_in_the_way() -> None:
    wrong = study(ADAE=put(ADAE, 2, USUBJID="Z"))
    assert require(wrong, ["ADQS", "ADTTE"]) == []  # what is not read is not looked at
    with pytest.raises(DataError, match="ADAE row 2, USUBJID: Z is not in ADSL"):
        require(wrong, ["adae"])
    with pytest.raises(DataError, match="ADSL row 3, TRT01P: subject C has no arm"):
        require(study(ADSL=put(ADSL, 3, TRT01P=None)), ["ADQS"])


def test_many_rows_alike_are_counted_not_listed() -> None:
    many = pl.concat([ADAE.with_columns(pl.lit(f"Z{i}").alias("USUBJID")) for i in range(40)])
    problems = [p for p in check(study(ADAE=many)) if p.rule == "subjects"]
    assert len(problems) == 5
    assert sum(p.count for p in problems) == 40
    assert str(problems[-1]) == "ADAE row 9, USUBJID: Z4 is not in ADSL (36 rows like it)"


def test_reference_pilot_has_known_problems_and_no_errors(pilot: Path) -> None:
    problems = check(read_adam(pilot / "adam"))
    assert found(problems, "error") == []
    assert ("keys", "ADNPIX", 1369, "USUBJID+PARAMCD+AVISIT+ADT") in found(problems, "warning")
    locf = [p for p in problems if p.variable == "DTYPE" and p.dataset == "ADADAS"]
    assert [p.count for p in locf] == [241]
    assert {p.dataset for p in problems if p.rule == "baseline"} == {"ADADAS"}
