"""Bad input through every data-frame door of the estimators.

A door may refuse (an error of ours, with a hint, that names what is wrong) or answer that something is not estimable,
with its reason. It never fails otherwise, never gives NaN without a word, and never drops a column in silence.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from equipoise.errors import DataError, EquipoiseError, EstimationError
from equipoise.estimate.delayed_start import compare, delayed_start, delayed_start_slopes
from equipoise.estimate.fit import Fit
from equipoise.estimate.linear.ancova import ancova
from equipoise.estimate.linear.mmrm.fit import MmrmWarning
from equipoise.estimate.missing import Bayes, ConditionalMean, mi_analysis, mi_ancova, multiple_imputation, trimmed_mean
from equipoise.estimate.ranks.joint_rank import cafs, joint_rank
from equipoise.estimate.ranks.win import Binary, Time, Value, win_statistics
from equipoise.estimate.ranks.win_regression import win_regression
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival import cox, log_rank, max_combo
from equipoise.estimate.survival.competing_risks import cause_specific, cumulative_incidence, incidence_difference
from equipoise.estimate.survival.deterioration import DeteriorationRule, deterioration
from equipoise.estimate.survival.fine_gray import fine_gray
from equipoise.estimate.survival.gray import gray_test
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.landmark import landmark
from equipoise.estimate.survival.rmst import rmst
from equipoise.estimate.survival.switching import psi_of_trials, rpsftm
from equipoise.types import Status

N = 24
Columns = dict[str, list[Any]]


def patients() -> Columns:
    """One row a patient."""
    g = np.random.default_rng(3)
    time = np.round(g.uniform(1, 20, N), 1)
    event = (g.uniform(size=N) < 0.7).astype(int)
    arm = ["Placebo", "Active"] * (N // 2)
    return {
        "ID": [f"S{i:02d}" for i in range(N)],
        "T": time.tolist(),
        "E": event.tolist(),
        "HOW": np.where(event == 1, g.integers(1, 3, N), 0).tolist(),
        "ARM": arm,
        "SITE": ["a", "a", "b", "b"] * (N // 4),
        "AGE": g.normal(60, 9, N).round(1).tolist(),
        "CHG": g.normal(-5, 4, N).round(0).tolist(),
        "YES": g.integers(0, 2, N).tolist(),
        "ON": [t if a == "Active" else t / 2 * (i % 3 == 0) for i, (t, a) in enumerate(zip(time, arm, strict=True))],
        "START": [0.0] * N,
    }


def visits() -> Columns:
    """One row a patient and visit."""
    g = np.random.default_rng(5)
    out: Columns = {k: [] for k in ("ID", "WEEK", "ARM", "SITE", "BASE", "CHG")}
    for i in range(N):
        base, own = round(float(g.normal(38, 5)), 1), g.normal(0, 2)
        for w in (0, 4, 8, 12):
            gone = (w == 12 and i % 7 == 0) or (w == 8 and i == 7)
            value = None if gone else round(-0.3 * w + own + 0.1 * w * (i % 2) + float(g.normal()), 2) * (w > 0)
            row = (f"S{i:02d}", w, "Active" if i % 2 else "Placebo", "ab"[(i // 2) % 2], base, value)
            for column, v in zip(out.values(), row, strict=True):
                column.append(v)
    return out


def cox_and_all(frame: Any) -> Any:
    fit = cox("Surv(T, E) ~ ARM + AGE + strata(SITE)", frame)
    if fit.status is Status.OK:
        assert np.isfinite(fit.residuals("deviance")).all()
        fit.proportionality()
        words_of(fit.baseline)
    return fit


BY_PATIENT: dict[str, Callable[[Any], Any]] = {
    "cox": cox_and_all,
    "cox, Firth": lambda f: cox("Surv(T, E) ~ ARM", f, firth=True),
    "cox, clusters": lambda f: cox("Surv(START, T, E) ~ ARM", f, cluster="SITE"),
    "log_rank": lambda f: log_rank("Surv(T, E) ~ ARM + strata(SITE)", f),
    "max_combo": lambda f: max_combo("Surv(T, E) ~ ARM + strata(SITE)", f, tolerance=0.01),
    "kaplan_meier": lambda f: [k.time_by(0.5) for k in kaplan_meier(f, time="T", event="E", arm="ARM")],
    "rmst": lambda f: rmst(f, time="T", event="E", arm="ARM", control="Placebo"),
    "rmst, adjusted": lambda f: rmst(f, time="T", event="E", arm="ARM", tau=10.0, covariates=["AGE"]),
    "landmark": lambda f: landmark(f, time="T", event="E", arm="ARM", at=[6.0], strata="SITE"),
    "landmark, log-log": lambda f: landmark(f, time="T", event="E", arm="ARM", at=6.0, scale="log-log"),
    "cumulative_incidence": lambda f: cumulative_incidence(f, time="T", cause="HOW", arm="ARM"),
    "incidence_difference": lambda f: incidence_difference(f, time="T", cause="HOW", of=1, at=6.0, arm="ARM"),
    "gray_test": lambda f: gray_test(f, time="T", cause="HOW", of=1, arm="ARM", strata="SITE"),
    "cause_specific": lambda f: cause_specific("Surv(T, HOW) ~ ARM + AGE", f, of=1),
    "fine_gray": lambda f: fine_gray("Surv(T, HOW) ~ ARM + AGE", f, of=1),
    "rpsftm": lambda f: rpsftm(
        f, time="T", event="E", arm="ARM", control="Placebo", on="ON", censor_time=30.0, points=21
    ),
    "win_statistics": lambda f: win_statistics(
        f, [Time("T", event="E"), Value("CHG"), Binary("YES")], arm="ARM", control="Placebo", strata="SITE"
    ),
    "win_regression": lambda f: win_regression(f, [Time("T", event="E"), Value("CHG")], ["ARM", "AGE"]),
}
NAMES = {"value": "CHG", "subject": "ID", "visit": "WEEK", "arm": "ARM"}
FEW = {"n_imputations": 2, "burn_in": 2, **NAMES}
BY_VISIT: dict[str, Callable[[Any, Any], Any]] = {
    "joint_rank": lambda f, s: joint_rank(f, s, at=12, time="T", censor=None, event="E", strata=["SITE"], **FEW),
    "joint_rank, Wilcoxon": lambda f, s: joint_rank(
        f, s, at=12, time="T", censor=None, event="E", method="wilcoxon", **FEW
    ),
    "cafs": lambda f, s: cafs(f, s, up_to=12, time="T", censor=None, event="E", strata=["SITE"], **NAMES),
    "mi_ancova": lambda f, _: [mi_ancova(f, **FEW).difference(w) for w in (4, 12)],
    "multiple_imputation": lambda f, _: multiple_imputation(f, **FEW),
    "mi_analysis, Bayes": lambda f, _: mi_analysis(f, method=Bayes(n_imputations=2, burn_in=2, thin=1), **NAMES),
    "mi_analysis, conditional mean": lambda f, _: mi_analysis(f, method=ConditionalMean(), **NAMES),
    "trimmed_mean": lambda f, _: trimmed_mean(f, at=12, n_permutations=99, n_samples=99, **NAMES),
    "delayed_start": lambda f, _: delayed_start(f, period_end=4, at=12, df="satterthwaite", **NAMES),
    "delayed_start_slopes": lambda f, _: delayed_start_slopes(
        f, period_end=4, at=12, first_window=(4, 8), second_window=(8, 12), margin=0.1, df="satterthwaite", **NAMES
    ),
    "compare": lambda f, _: compare(f, {"planned": ["BASE"]}, at=12, **FEW),
    "deterioration": lambda f, _: deterioration(
        f, DeteriorationRule(threshold=3), visit="WEEK", value="CHG", subject="ID", keep=["ARM"]
    ),
}


def estimates_in(found: Any, depth: int = 0) -> Iterator[Estimate]:
    if isinstance(found, Estimate):
        yield found
    elif isinstance(found, list | tuple):
        for item in found:
            yield from estimates_in(item, depth)
    elif isinstance(found, dict):
        yield from estimates_in(list(found.values()), depth)
    elif dataclasses.is_dataclass(found) and depth < 3:
        given = getattr(found, "estimates", None)
        if given is not None:
            given = given() if callable(given) else given
            yield from estimates_in(dict(given) if isinstance(given, Mapping) else list(given), depth + 1)
        elif callable(getattr(found, "estimate", None)) and len(found.groups) == 2:
            yield found.estimate()
        for field in dataclasses.fields(found):
            value = getattr(found, field.name)
            if isinstance(value, Estimate | tuple):
                yield from estimates_in(value, depth + 1)


NO_NUMBER = re.compile(r"(?i)\bnan\b|\bnone\b %|[-\u2212]?\binf\b (to|per)|(to|from|= ) ?[-\u2212]?inf\b")


def prints_of(found: Any, depth: int = 0) -> Iterator[str]:
    """Everything that a result shows to people: as text, in a sentence, in a notebook."""
    if depth > 3:
        return
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, list | tuple):
        for item in found:
            yield from prints_of(item, depth + 1)
        return
    if isinstance(found, Fit):
        yield str(found)
        yield repr(found)
        yield re.sub(r"<[^>]*>", " ", found._repr_html_())
    for name in ("to_sentence", "summary"):
        if callable(getattr(found, name, None)):
            yield str(getattr(found, name)())
    if isinstance(found, Fit):
        for one in found.estimates:
            yield one.to_sentence()
            yield str(one)


def words_of(call: Callable[[], Any]) -> str:
    """What a door says of its input: its error, or the reasons of what it could not estimate ("" if nothing)."""
    refused = found = None
    try:
        found = call()
    except EquipoiseError as error:
        refused = error
    if refused is not None:
        assert refused.message
        assert refused.hint, refused.message
        return f"refused: {refused}"
    for text in prints_of(found):
        assert not NO_NUMBER.search(text), text
    said = []
    for made in estimates_in(found):
        if made.estimable:
            test_alone = made.form == "p_only"
            assert math.isnan(made.estimate) == test_alone, made
            limits = not (math.isnan(made.low) or math.isnan(made.high))
            assert test_alone or limits or made.form == "description" or made.detail, made  # a count has none
            assert not math.isnan(made.p) or made.form == "description" or made.detail, made
        else:
            assert math.isnan(made.se), made  # an estimate may stand where its error does not exist
            assert math.isnan(made.p), made
            assert made.reason.startswith(("not estimable: ", "not reached: ")), made.reason
            said.append(made.reason)
    if isinstance(getattr(found, "p", None), float):  # tests without an estimate
        assert math.isnan(found.p) == (found.status is not Status.OK)
        if found.status is not Status.OK:
            assert found.reason.startswith("not estimable: ")
            said.append(found.reason)
    return "; ".join(said)


def each(column: str, change: Callable[[int, Any], Any]) -> Callable[[Columns], Columns]:
    return lambda d: {**d, column: [change(i, v) for i, v in enumerate(d[column])]}


def rows(keep: Callable[[Columns, int], bool]) -> Callable[[Columns], Columns]:
    def change(d: Columns) -> Columns:
        chosen = [i for i in range(len(d["ID"])) if keep(d, i)]
        return {k: [v[i] for i in chosen] for k, v in d.items()}

    return change


def one(value: Any, at: int = 3) -> Callable[[int, Any], Any]:
    return lambda i, v: value if i == at else v


def ended(how: Callable[[int, int], int]) -> Callable[[Columns], Columns]:
    """Events and causes by a rule."""
    return lambda d: {
        **d,
        "E": [how(i, v) for i, v in enumerate(d["E"])],
        "HOW": [c * how(i, 1) for i, c in enumerate(d["HOW"])],
    }


START = dt.datetime(2020, 1, 1)
ANY = ""
# what is done to the data, and what every door that uses the column must say ("" where it may go on)
PATIENT_CASES: dict[str, tuple[Callable[[Columns], Columns], str]] = {
    "negative time": (each("T", lambda i, v: -v if i == 3 else v), "'T' is negative"),
    "missing time": (each("T", one(None)), ANY),
    "NaN time": (each("T", one(math.nan)), ANY),
    "no time": (each("T", lambda i, v: None), ANY),
    "infinite time": (each("T", one(math.inf)), "'T' is infinite in row 4"),
    "all at zero": (each("T", lambda i, v: 0.0), ANY),
    "all tied": (each("T", lambda i, v: 5.0), ANY),
    "huge times": (each("T", lambda i, v: v * 1e300), "too large to compute with"),
    "tiny times": (each("T", lambda i, v: v * 1e-300), ANY),
    "text for times": (each("T", lambda i, v: str(v)), "'T' is not a number"),
    "dates for times": (each("T", lambda i, v: (START + dt.timedelta(v)).date()), "'T' is not a number"),
    "times of day with a zone": (
        each("T", lambda i, v: (START + dt.timedelta(v)).replace(tzinfo=dt.UTC)),
        "'T' is not a number",
    ),
    "durations": (each("T", lambda i, v: dt.timedelta(v)), "'T' is not a number"),
    "decimals": (each("T", lambda i, v: decimal.Decimal(str(v))), ANY),
    "no events": (ended(lambda i, v: 0), ANY),
    "all events": (ended(lambda i, v: 1), ANY),
    "one event": (ended(lambda i, v: int(i == 5)), ANY),
    "events in one arm": (ended(lambda i, v: v * (i % 2)), ANY),
    "truth values": (each("E", lambda i, v: bool(v)), ANY),
    "event of 2": (each("E", one(2)), ANY),
    "cause in words": (each("HOW", lambda i, v: ["none", "death", "PAV"][v]), ANY),
    "cause missing": (each("HOW", one(None)), ANY),
    "no cause": (each("HOW", lambda i, v: None), ANY),
    "one arm": (each("ARM", lambda i, v: "Active"), ANY),
    "three arms": (each("ARM", lambda i, v: "Third" if i < 4 else v), ANY),
    "arm missing": (each("ARM", one(None)), ANY),
    "no arm": (each("ARM", lambda i, v: None), ANY),
    "arm in numbers": (each("ARM", lambda i, v: int(v == "Active")), ANY),
    "arms in lists": (each("ARM", lambda i, v: [v]), "use numbers, text or categories"),
    "one patient in an arm": (rows(lambda d, i: d["ARM"][i] == "Placebo" or i == 1), ANY),
    "an arm without times": (each("T", lambda i, v: None if i % 2 else v), ANY),
    "one stratum": (each("SITE", lambda i, v: "a"), ANY),
    "strata of one arm": (each("SITE", lambda i, v: "ab"[i % 2]), ANY),
    "stratum missing": (each("SITE", one(None)), ANY),
    "no stratum": (each("SITE", lambda i, v: None), ANY),
    "a stratum each": (each("SITE", lambda i, v: i), ANY),
    "constant covariate": (each("AGE", lambda i, v: 60.0), ANY),
    "covariate of the arm": (each("AGE", lambda i, v: float(i % 2)), ANY),
    "no covariate": (each("AGE", lambda i, v: None), ANY),
    "infinite covariate": (each("AGE", one(-math.inf)), ANY),
    "huge covariate": (each("AGE", lambda i, v: v * 1e200), ANY),
    "covariate far from zero": (each("AGE", lambda i, v: v + 1e9), ANY),
    "dates for a covariate": (each("AGE", lambda i, v: (START + dt.timedelta(v)).date()), ANY),
    "no outcome": (each("CHG", lambda i, v: None), ANY),
    "everything tied": (lambda d: {**d, "CHG": [0.0] * N, "T": [5.0] * N, "YES": [1] * N}, ANY),
    "treated longer than seen": (each("ON", lambda i, v: 99.0), ANY),
    "nobody treated": (each("ON", lambda i, v: 0.0), ANY),
    "no rows": (rows(lambda d, i: False), ANY),
    "one row": (rows(lambda d, i: i == 0), ANY),
    "two rows": (rows(lambda d, i: i < 2), ANY),
    "a column absent": (lambda d: {k: v for k, v in d.items() if k not in ("T", "ARM")}, "no column 'T'"),
}
VISIT_CASES: dict[str, tuple[Callable[[Columns], Columns], str]] = {
    "a row twice": (lambda d: {k: [*v, v[5]] for k, v in d.items()}, "patient S01 has two rows at week 4"),
    "patient missing": (each("ID", one(None)), r"'ID' has missing values (row 4)"),
    "visit missing": (each("WEEK", one(None, 5)), ANY),
    "no visit": (each("WEEK", lambda i, v: None), ANY),
    "negative visits": (each("WEEK", lambda i, v: -v), ANY),
    "visits in words": (each("WEEK", lambda i, v: f"Week {v}"), "'WEEK' is not a number"),
    "dates for visits": (each("WEEK", lambda i, v: START + dt.timedelta(v)), "'WEEK' is not a number"),
    "infinite visit": (each("WEEK", lambda i, v: math.inf if i == 7 else float(v)), "'WEEK' is infinite in row 8"),
    "no outcome": (each("CHG", lambda i, v: None), ANY),
    "infinite outcome": (each("CHG", one(math.inf)), "'CHG' is infinite in row 4"),
    "outcome in words": (each("CHG", lambda i, v: str(v)), "'CHG' is not a number"),
    "constant outcome": (each("CHG", lambda i, v: None if v is None else 1.0), ANY),
    "huge outcome": (each("CHG", lambda i, v: None if v is None else v * 1e300), "too large to compute with"),
    "nobody of an arm at the end": (
        lambda d: {
            **d,
            "CHG": [
                None if w == 12 and a == "Active" else v for w, a, v in zip(d["WEEK"], d["ARM"], d["CHG"], strict=True)
            ],
        },
        ANY,
    ),
    "nobody of an arm at the start": (
        lambda d: {
            **d,
            "CHG": [
                None if w == 4 and a == "Active" else v for w, a, v in zip(d["WEEK"], d["ARM"], d["CHG"], strict=True)
            ],
        },
        ANY,
    ),
    "nobody of an arm ever": (
        lambda d: {
            **d,
            "CHG": [None if w and a == "Active" else v for w, a, v in zip(d["WEEK"], d["ARM"], d["CHG"], strict=True)],
        },
        ANY,
    ),
    "one arm": (each("ARM", lambda i, v: "Active"), ANY),
    "three arms": (each("ARM", lambda i, v: "Third" if i < 8 else v), ANY),
    "arm missing": (each("ARM", lambda i, v: None if i < 4 else v), ANY),
    "arm changes": (each("ARM", one("Active", 2)), "'ARM' changes within patient S00"),
    "one patient in an arm": (rows(lambda d, i: d["ARM"][i] == "Placebo" or d["ID"][i] == "S01"), ANY),
    "covariate missing": (each("BASE", lambda i, v: None if i < 4 else v), ANY),
    "no covariate": (each("BASE", lambda i, v: None), ANY),
    "constant covariate": (each("BASE", lambda i, v: 40.0), ANY),
    "covariate of the arm": (lambda d: {**d, "BASE": [float(a == "Active") for a in d["ARM"]]}, ANY),
    "huge covariate": (each("BASE", lambda i, v: v * 1e200), ANY),
    "covariate changes": (each("BASE", lambda i, v: v + (i == 2)), ANY),
    "a stratum each": (lambda d: {**d, "SITE": d["ID"]}, ANY),
    "strata of one arm": (lambda d: {**d, "SITE": d["ARM"]}, ANY),
    "baseline alone": (rows(lambda d, i: d["WEEK"][i] == 0), ANY),
    "no rows": (rows(lambda d, i: False), ANY),
    "one row": (rows(lambda d, i: i == 3), ANY),
    "three patients": (rows(lambda d, i: d["ID"][i] < "S03"), ANY),
    "a column absent": (lambda d: {k: v for k, v in d.items() if k != "WEEK"}, "no column 'WEEK'"),
}
SEVERAL_ARMS = {"multiple_imputation", "mi_analysis, Bayes", "mi_analysis, conditional mean"}
"""They model all arms together; a comparison asked of one that leaves the arm open is refused."""
SPARED = {"win_statistics", "win_regression"}  # a missing time ties; the arm is one covariate of several


@pytest.fixture(autouse=True)
def _doors_may_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MmrmWarning)
        yield


@pytest.mark.parametrize("door", BY_PATIENT)
def test_property_bad_patients_are_named_or_not_estimable(door: str) -> None:
    call = BY_PATIENT[door]
    assert words_of(lambda: call(pl.DataFrame(patients()))) == "", "the data as they are can be analysed"
    for case, (change, expected) in PATIENT_CASES.items():
        said = words_of(lambda change=change: call(pl.DataFrame(change(patients()), strict=False)))
        assert expected in said, (door, case, said)
    if door not in SPARED:
        for case in ("no time", "one arm", "no arm", "an arm without times", "no rows", "one row"):
            said = words_of(lambda case=case: call(pl.DataFrame(PATIENT_CASES[case][0](patients()), strict=False)))
            assert said or door in ("cumulative_incidence", "kaplan_meier"), (door, case)


@pytest.mark.parametrize("door", BY_VISIT)
def test_property_bad_visits_are_named_or_not_estimable(door: str) -> None:
    call, survival = BY_VISIT[door], pl.DataFrame(patients())
    assert words_of(lambda: call(pl.DataFrame(visits(), strict=False), survival)) == ""
    for case, (change, expected) in VISIT_CASES.items():
        said = words_of(lambda change=change: call(pl.DataFrame(change(visits()), strict=False), survival))
        assert expected in said, (door, case, said)
        alone = case in ("nobody of an arm ever", "one arm", "three arms", "arm missing", "no rows", "one row")
        if case == "three arms" and door in SEVERAL_ARMS:
            continue
        if alone and door != "deterioration" and not (door == "cafs" and case.startswith("nobody")):
            assert said, (door, case)


TYPED: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(patients()),
    "pandas, nullable": lambda: pd.DataFrame(patients()).reindex(range(N + 1)).convert_dtypes(),
    "pandas, arrow": lambda: pd.DataFrame(patients()).reindex(range(N + 1)).convert_dtypes(dtype_backend="pyarrow"),
    "pandas, NaN": lambda: pd.DataFrame(patients()).reindex(range(N + 1)),
    "pandas, categories": lambda: pd.DataFrame(patients()).astype({"ARM": "category", "SITE": "category"}),
    "pandas, boolean": lambda: pd.DataFrame(patients()).astype({"E": "boolean"}),
    "pandas, one index for all": lambda: pd.DataFrame(patients()).set_axis([0] * N),
    "polars, null at the end": lambda: pl.concat(
        [pl.DataFrame(patients()), pl.DataFrame({"ID": [None]})], how="diagonal_relaxed"
    ),
    "polars, categories": lambda: pl.DataFrame(patients()).cast({"ARM": pl.Categorical, "SITE": pl.Categorical}),
    "polars, single precision": lambda: pl.DataFrame(patients()).cast({"T": pl.Float32}),
    "polars, decimal": lambda: pl.DataFrame(patients()).cast({"T": pl.Decimal(10, 2), "AGE": pl.Decimal(10, 2)}),
    "polars, bytes": lambda: pl.DataFrame(patients()).cast({"E": pl.UInt8, "HOW": pl.UInt8}),
    "pyarrow": lambda: pa.table(patients()),
    "pyarrow, dictionary": lambda: (lambda t: t.set_column(4, "ARM", t["ARM"].dictionary_encode()))(
        pa.table(patients())
    ),
}


@pytest.mark.parametrize("kind", TYPED)
def test_property_one_answer_for_every_type_of_column(kind: str) -> None:
    plain, frame = pl.DataFrame(patients()), TYPED[kind]()
    for door, call in BY_PATIENT.items():
        expected, found = (list(estimates_in(call(f))) for f in (plain, frame))
        assert [e.name for e in found] == [e.name for e in expected], door
        np.testing.assert_allclose(
            [(e.estimate, e.low, e.p) for e in found],
            [(e.estimate, e.low, e.p) for e in expected],
            rtol=1e-6 if "single" in kind else 1e-12,
            err_msg=door,
        )


@pytest.mark.parametrize("column", ["T", "E", "HOW", "ARM", "SITE", "AGE"])
def test_property_a_column_of_type_null_is_a_column_without_values(column: str) -> None:
    """As polars makes them: the same words as for a typed column without values, and never less of a model."""
    frame = pl.DataFrame(patients())
    typed = frame.with_columns(pl.lit(None, frame.schema[column]).alias(column))
    for door, call in BY_PATIENT.items():
        untyped = words_of(lambda call=call: call(frame.with_columns(pl.lit(None).alias(column))))
        assert untyped == words_of(lambda call=call: call(typed)), door


def test_property_frames_that_are_none() -> None:
    doubled = pd.concat([pd.DataFrame(patients()), pd.DataFrame(patients())[["T"]]], axis=1)
    for door, call in BY_PATIENT.items():
        assert "two columns are called 'T'" in words_of(lambda call=call: call(doubled)), door
        assert "is not a data frame" in words_of(lambda call=call: call(pl.DataFrame(patients()).lazy())), door
        assert "no column" in words_of(lambda call=call: call(pl.DataFrame())), door
    mixed = pd.DataFrame(patients())
    mixed["ARM"] = ["Placebo", 1] * (N // 2)
    objects = pd.DataFrame(patients()).astype({"AGE": object})
    with pytest.raises(DataError, match="column 'ARM' mixes int, str"):
        rmst(mixed, time="T", event="E", arm="ARM")
    with pytest.raises(DataError, match="column 'AGE' holds float as objects"):
        cox("Surv(T, E) ~ AGE", objects)


def test_property_what_stood_in_the_way_is_the_reason() -> None:
    frame = pl.DataFrame(patients())
    alone = frame.with_columns(ARM=pl.lit("Active"))
    assert "an arm has no patients (everyone has ARM Active)" in words_of(lambda: BY_PATIENT["fine_gray"](alone))
    assert "do not vary" in words_of(lambda: BY_PATIENT["win_regression"](alone))
    tied = frame.with_columns(T=5.0)
    assert "a weighted statistic has no variance" in max_combo("Surv(T, E) ~ ARM", tied).reason
    assert (
        "time lost of 0"
        in rmst(
            frame.with_columns(E=pl.col("E") * (pl.col("ARM") == "Active")),
            time="T",
            event="E",
            arm="ARM",
            tau=10.0,
            covariates=["AGE"],
        ).lost_ratio.reason
    )
    with pytest.raises(DataError, match="no cause '1'"):
        cause_specific("Surv(T, HOW) ~ ARM", frame, of="1")
    with pytest.raises(DataError, match=r"row 4"):
        rpsftm(
            frame.with_columns(ON=pl.when(pl.col("ID") == "S03").then(99.0).otherwise("ON")),
            time="T",
            event="E",
            arm="ARM",
            on="ON",
            censor_time=30.0,
        )
    nobody = pl.DataFrame(VISIT_CASES["nobody of an arm at the end"][0](visits()), strict=False)
    fit = mi_ancova(nobody, **FEW)
    assert fit.difference(4).estimable
    assert fit.difference(12).reason == "not estimable: no observed values of Active at week 12"
    late = pl.DataFrame(VISIT_CASES["nobody of an arm at the start"][0](visits()), strict=False)
    made = delayed_start(late, period_end=4, at=12, df="satterthwaite", **NAMES)
    assert not made.named["delta1"].estimable
    assert "an arm has nobody at week 4" in made.named["delta1"].reason


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95, math.nan, "0.95", None])
def test_property_no_interval_at_a_level_that_is_none(level: Any) -> None:
    f, v = pl.DataFrame(patients()), pl.DataFrame(visits(), strict=False)
    times = {"time": "T", "event": "E"}
    for call in (
        lambda: kaplan_meier(f, **times, level=level),
        lambda: rmst(f, **times, arm="ARM", level=level),
        lambda: landmark(f, **times, arm="ARM", at=5, level=level),
        lambda: cox("Surv(T, E) ~ ARM", f).at_level(level),
        lambda: log_rank("Surv(T, E) ~ ARM", f).estimate(level=level),
        lambda: cumulative_incidence(f, time="T", cause="HOW", level=level),
        lambda: fine_gray("Surv(T, HOW) ~ ARM", f, of=1).at_level(level),
        lambda: win_statistics(f, [Value("CHG")], arm="ARM", level=level),
        lambda: win_regression(f, [Value("CHG")], ["ARM"], level=level),
        lambda: mi_ancova(v, **FEW).difference(12, level=level),
        lambda: cafs(v, f, up_to=12, time="T", censor=None, event="E", level=level, **NAMES),
        lambda: trimmed_mean(v, at=12, level=level, n_permutations=99, n_samples=99, **NAMES),
    ):
        with pytest.raises(EstimationError, match="level"):
            call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: rmst(f, time="T", event="E", arm="ARM", tau="8"), "tau = '8'"),
        (lambda f: landmark(f, time="T", event="E", arm="ARM", at="x"), "landmarks at 'x'"),
        (lambda f: incidence_difference(f, time="T", cause="HOW", of=1, at=[], arm="ARM"), r"incidence at \[\]"),
        (lambda f: gray_test(f, time="T", cause="HOW", of=1, arm="ARM", rho=-1.0), "rho = -1"),
        (lambda f: log_rank("Surv(T, E) ~ ARM", f, rho=math.inf), "rho = inf"),
        (lambda f: max_combo("Surv(T, E) ~ ARM", f, weights=[1, 2]), r"weights \[1, 2\]"),
        (lambda f: rpsftm(f, time="T", event="E", arm="ARM", on="ON", censor_time=math.nan), "censor_time = nan"),
        (lambda f: rpsftm(f, time="T", event="E", arm="ARM", on="ON", censor_time=30, tolerance=-1), "tolerance = -1"),
        (lambda f: win_statistics(f, Value("CHG"), arm="ARM"), "no hierarchy"),
        (lambda f: win_regression(f, [Value("CHG")], "ARM"), "in place of a list"),
        (lambda f: cox(None, f), "neither a formula nor time="),
        (lambda f: mi_ancova(f, n_imputations=2.5), "n_imputations = 2.5"),
    ],
)
def test_property_options_that_mean_nothing_are_named(call: Any, words: str) -> None:
    with pytest.raises(EquipoiseError, match=words):
        call(pl.DataFrame(patients()))


def test_property_names_of_columns_do_not_matter() -> None:
    frame = pl.DataFrame(patients())
    odd = frame.rename(
        {
            "T": "time, in weeks",
            "E": "the event",
            "HOW": "how it ended",
            "ARM": "TRT 01 P",
            "AGE": "class",
            "SITE": "a+b",
        }
    )
    surv = "Surv(`time, in weeks`, `the event`)".replace("time, in weeks", "t i m e")
    odd = odd.rename({"time, in weeks": "t i m e"})
    pairs = (
        (
            cox("Surv(T, E) ~ ARM + AGE + strata(SITE)", frame).beta,
            cox(f"{surv} ~ `TRT 01 P` + `class` + strata(`a+b`)", odd).beta,
        ),
        (log_rank("Surv(T, E) ~ ARM", frame).chi_square, log_rank(f"{surv} ~ `TRT 01 P`", odd).chi_square),
        (
            cause_specific("Surv(T, HOW) ~ ARM", frame, of=1).beta,
            cause_specific("Surv(`t i m e`, `how it ended`) ~ `TRT 01 P`", odd, of=1).beta,
        ),
        (
            fine_gray("Surv(T, HOW) ~ ARM", frame, of=1).beta,
            fine_gray("Surv(`t i m e`, `how it ended`) ~ `TRT 01 P`", odd, of=1).beta,
        ),
        (
            rmst(frame, time="T", event="E", arm="ARM", covariates=["AGE", "SITE"]).difference.estimate,
            rmst(
                odd, time="t i m e", event="the event", arm="TRT 01 P", covariates=["class", "a+b"]
            ).difference.estimate,
        ),
    )
    for one_way, other in pairs:
        np.testing.assert_allclose(one_way, other, rtol=1e-12)


def test_property_a_block_with_missing_times_ends() -> None:
    """Rank statistics over psi skip patients without a time; they once never came back from one."""
    time = np.array([[3.0, math.nan, 8.0, 9.0, 4.0, 9.0, math.inf, 7.0]])
    event, arm = np.ones((1, 8), np.bool_), np.array([[0, 0, 0, 0, 1, 1, 1, 1]])
    made = psi_of_trials(time, event, arm, np.where(arm == 1, time, 0.0), points=21)
    kept = np.isfinite(time)
    same = psi_of_trials(
        time[kept][None], event[kept][None], arm[kept][None], np.where(arm == 1, time, 0.0)[kept][None], points=21
    )
    np.testing.assert_array_equal(made.psi, same.psi)


TIMES_ASKED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "joint_rank": lambda f, s, at: joint_rank(f, s, at=at, time="T", censor=None, event="E", **FEW),
    "cafs": lambda f, s, at: cafs(f, s, up_to=at, time="T", censor=None, event="E", **NAMES),
    "mi_ancova": lambda f, _, at: mi_ancova(f, up_to=at, **FEW),
    "mi_ancova, a difference": lambda f, _, at: mi_ancova(f, **FEW).difference(at),
    "mi_analysis": lambda f, _, at: mi_analysis(f, up_to=at, method=ConditionalMean(), **NAMES),
    "trimmed_mean": lambda f, _, at: trimmed_mean(f, at=at, n_permutations=99, n_samples=99, **NAMES),
    "delayed_start": lambda f, _, at: delayed_start(f, period_end=4, at=at, df="satterthwaite", **NAMES),
    "delayed_start, period 1": lambda f, _, at: delayed_start(f, period_end=at, at=12, df="satterthwaite", **NAMES),
    "compare": lambda f, _, at: compare(f, {"planned": ["BASE"]}, at=at, **FEW),
}


@pytest.mark.parametrize("at", ["Week 12", 1.0, math.nan])
@pytest.mark.parametrize("door", TIMES_ASKED)
def test_property_a_time_without_a_visit_is_an_error_that_lists_the_visits(door: str, at: Any) -> None:
    frame, deaths = pl.DataFrame(visits()), pl.DataFrame(patients()).select("ID", "T", "E")
    with pytest.raises(EquipoiseError) as caught:
        TIMES_ASKED[door](frame, deaths, at)
    assert "4, 8, 12" in str(caught.value)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ({"AGEE": 60}, "there are ARM, AGE"),
        ({"AGE": "old"}, "AGE is a number"),
        ({"AGE": math.nan}, "AGE is a number"),
        ({"SITE": "c"}, "there are|levels are"),
    ],
)
def test_property_an_unknown_name_or_value_of_at_is_named(at: dict[str, Any], words: str) -> None:
    fit = ancova("CHG ~ ARM + AGE" + (" + SITE" if "SITE" in at else ""), pl.DataFrame(patients()))
    for asked in (lambda: fit.lsmeans("ARM", at=at), lambda: fit.contrasts("ARM", at=at)):
        with pytest.raises(EquipoiseError, match=words):
            asked()
