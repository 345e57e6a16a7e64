"""Survival, ranks, wins, imputation, delayed start and fixed order on degenerate data: no traceback, one contract.

Case ``k`` depends on ``k`` alone: ``run(k)`` repeats it. A case draws a small frame in which columns may be constant,
missing, tied, separating, of one level, huge or tiny, and a function with options; what comes back is an estimate that
keeps the contract, or an error of ours.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise import (
    cafs,
    cause_specific,
    cox,
    cumulative_incidence,
    fine_gray,
    gray_test,
    incidence_difference,
    joint_rank,
    kaplan_meier,
    landmark,
    log_rank,
    rmst,
    win_regression,
    win_statistics,
)
from equipoise.decision.fixed_order import closed_sequence
from equipoise.errors import EquipoiseError
from equipoise.estimate.delayed_start import delayed_start, delayed_start_slopes
from equipoise.estimate.fit import Fit
from equipoise.estimate.linear.mmrm.fit import MmrmWarning
from equipoise.estimate.missing import ApproxBayes, Bayes, mi_analysis, mi_ancova, trimmed_mean
from equipoise.estimate.ranks.win import Binary, Recurrent, Time, Value
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival.deterioration import DeteriorationRule, deterioration
from equipoise.estimate.survival.log_rank import max_combo
from equipoise.estimate.survival.switching import rpsftm
from equipoise.types import Status

Draw = np.random.Generator
CASES = 10_000
SAMPLE = 400


def numbers(g: Draw, n: int) -> Any:
    kind = g.integers(0, 9)
    if kind == 0:
        return np.full(n, g.choice([0.0, 1.0, 5.0]))
    if kind == 1:
        return g.integers(0, 3, n).astype(float)
    if kind == 2:
        return g.normal(size=n) * 10.0 ** float(g.choice([-150, -8, 6, 60]))
    if kind == 3:
        return 1e8 + g.normal(size=n)
    if kind == 4:
        return np.full(n, np.nan)
    values = g.normal(size=n).round(int(g.integers(0, 6)))
    if kind == 5:
        values[g.random(n) < 0.3] = np.nan
    return values


def times(g: Draw, n: int) -> Any:
    kind = g.integers(0, 6)
    if kind == 0:
        return np.full(n, 5.0)
    if kind == 1:
        return g.integers(0, 4, n).astype(float)
    values = g.exponential(8.0, n).round(int(g.integers(0, 4))) * 10.0 ** float(g.choice([0, 0, 0, -6, 6]))
    if kind == 2:
        values[g.random(n) < 0.2] = np.nan
    return values


def flags(g: Draw, n: int, wrong: bool = True) -> Any:
    kind = g.integers(0, 6)
    values = (g.random(n) < g.choice([0.0, 0.2, 0.6, 1.0])).astype(float)
    if kind == 0:
        values[g.random(n) < 0.2] = np.nan
    if kind == 1 and wrong and n:
        values[0] = g.choice([2.0, -1.0, 0.5])
    return values


def levels(g: Draw, n: int, names: list[Any]) -> list[Any]:
    k = int(g.choice([1, 2, 2, 2, 2, 3]))
    values: list[Any] = [names[i] for i in g.integers(0, k, n)]
    return [None if lost else v for v, lost in zip(values, g.random(n) < g.choice([0, 0, 0, 0.2]), strict=True)]


def frame_of(g: Draw) -> dict[str, Any]:
    n = int(g.choice([0, 1, 2, 3, 4, 6, 8, 12, 20, 30], p=[0.03, 0.04, 0.06, 0.07, 0.1, 0.14, 0.16, 0.16, 0.14, 0.1]))
    data = {
        "ID": [f"S{i}" for i in range(n)],
        "T": times(g, n),
        "E": flags(g, n),
        "CNSR": g.integers(0, int(g.choice([1, 2, 4])), n).astype(float),
        "HOW": g.integers(0, int(g.integers(1, 4)), n),
        "ARM": levels(g, n, ["a", "b", "c"]),
        "SITE": levels(g, n, ["x", "y", "z"]),
        "X": numbers(g, n),
        "CHG": numbers(g, n),
        "YES": flags(g, n, False),
        "BASE": numbers(g, n),
    }
    data["START"] = data["T"] * g.choice([0.0, 0.5, 0.9])
    data["ON"] = data["T"] * (g.random(n) < 0.5)
    data["R1"], data["END"] = data["T"] * 0.5, data["T"]
    if g.random() < 0.2:  # the arm decides who has the event, or when
        data["E"] = np.array([float(a == "a") for a in data["ARM"]])
    if g.random() < 0.1:
        data["X"] = np.array([float(a == "a") for a in data["ARM"]])
    return data


def long_of(g: Draw, data: dict[str, Any]) -> dict[str, Any]:
    weeks = [4.0, 8.0, 12.0][: int(g.integers(1, 4))]
    n, v = len(data["ID"]), len(weeks)
    arm = [a or "a" for a in data["ARM"]]
    base = np.nan_to_num(data["BASE"])
    out: dict[str, Any] = {
        "ID": np.repeat(data["ID"], v).tolist(),
        "ARM": np.repeat(np.array(arm, dtype=object), v).tolist(),
        "SITE": np.repeat(np.array([s or "x" for s in data["SITE"]], dtype=object), v).tolist(),
        "BASE": np.repeat(base, v),
        "WEEK": np.tile(weeks, n),
        "CHG": numbers(g, n * v),
    }
    if g.random() < 0.1:
        out["CHG"] = np.tile(np.arange(v, dtype=float), n)
    return out


def native(g: Draw, data: dict[str, Any]) -> Any:
    plain = {k: [None if v is None or v != v else v for v in list(c)] for k, c in data.items()}
    text = {"ID", "ARM", "SITE"}
    made = pl.DataFrame(
        {k: pl.Series(k, v, pl.String if k in text else pl.Float64, strict=False) for k, v in plain.items()}
    )
    kind = g.integers(0, 4)
    if kind == 0:
        return pd.DataFrame({k: pd.Series(c, dtype=object if k in text else float) for k, c in data.items()})
    if kind == 1:
        return made.to_arrow()
    if kind == 2 and len(plain["ARM"]):
        return made.with_columns(pl.col("ARM").cast(pl.Enum(["c", "b", "a"])))
    return made


def named(g: Draw) -> dict[str, Any]:
    return {"time": "T", **({"event": "E"} if g.random() < 0.6 else {"censor": "CNSR"})}


def deaths(g: Draw) -> dict[str, Any]:
    return {
        "time": "T",
        "event": None,
        "censor": None,
        str(g.choice(["event", "censor"])): str(g.choice(["E", "CNSR"])),
    }


def formula(g: Draw) -> str:
    left = str(g.choice(["Surv(T, E)", "Surv(T, 1 - CNSR)", "Surv(START, T, E)"], p=[0.5, 0.3, 0.2]))
    right = str(g.choice(["ARM", "ARM + X", "X", "ARM + SITE", "ARM * X", "ARM + strata(SITE)", "X + BASE"]))
    return f"{left} ~ {right}"


def grouping(g: Draw) -> str:
    left = str(g.choice(["Surv(T, E)", "Surv(T, 1 - CNSR)"]))
    return left + str(g.choice([" ~ ARM", " ~ SITE", " ~ ARM + strata(SITE)"]))


def hierarchy(g: Draw) -> list[Any]:
    every = [
        Time("T", event="E"),
        Time("T", censor="CNSR", margin=1.0),
        Value("CHG"),
        Value("X", lower_better=True),
        Binary("YES"),
        Recurrent("END", ("R1",), ties="last"),
    ]
    return [every[i] for i in g.permutation(len(every))[: int(g.integers(1, 4))]]


def strata(g: Draw) -> list[str]:
    return ["SITE"] if g.random() < 0.4 else []


def covariates(g: Draw) -> list[str]:
    return [c for c in ("X", "SITE", "BASE") if g.random() < 0.3]


def at(g: Draw) -> list[float]:
    return [float(t) for t in g.choice([0.5, 2.0, 5.0, 10.0, 1e6], 2)]


def _cox(g: Draw, d: Any) -> Iterator[Any]:
    options: dict[str, Any] = {"ties": str(g.choice(["efron", "breslow", "exact"]))}
    if g.random() < 0.2:
        options = {"firth": True}
    elif g.random() < 0.2:
        options = {"cluster": "SITE"}
    elif g.random() < 0.2:
        options = {"weights": "BASE"}
    fit = cox(formula(g), d, **options)
    yield fit
    if fit.status is Status.OK and fit.ties != "exact" and g.random() < 0.3:
        fit.residuals("martingale")
        yield fit.proportionality("identity")


def _closed(g: Draw, d: Any) -> Iterator[Any]:
    values = [None, float("nan"), 0.01, 0.2, 1.0, 0.0]
    steps = closed_sequence([(str(i), values[j]) for i, j in enumerate(g.integers(0, len(values), 4))])
    assert all(step.to_sentence() for step in steps)
    yield from ()


def _all_of(curves: Any) -> Iterator[Any]:
    yield curves
    yield from curves


ONE_ROW: dict[str, Callable[[Draw, Any], Iterator[Any]]] = {
    "cox": _cox,
    "log_rank": lambda g, d: iter(
        [log_rank(grouping(g), d, rho=float(g.choice([0, 1])), gamma=float(g.choice([0, 1])))]
    ),
    "max_combo": lambda g, d: iter([max_combo(grouping(g), d, tolerance=0.05)]),
    "kaplan_meier": lambda g, d: _all_of(
        kaplan_meier(d, **named(g), arm=g.choice(["ARM", None]), entry=g.choice(["START", None]))
    ),
    "rmst": lambda g, d: iter(
        [rmst(d, **named(g), arm="ARM", tau=g.choice([None, 2.0, 5.0]), covariates=covariates(g))]
    ),
    "landmark": lambda g, d: iter(
        [
            landmark(
                d,
                **named(g),
                arm="ARM",
                at=at(g),
                strata=strata(g),
                scale=str(g.choice(["plain", "log-log"])),
                weights=str(g.choice(["size", "mantel-haenszel", "inverse-variance"])),
            )
        ]
    ),
    "cumulative_incidence": lambda g, d: _all_of(
        cumulative_incidence(d, time="T", cause="HOW", arm=g.choice(["ARM", None]))
    ),
    "incidence_difference": lambda g, d: iter(
        [incidence_difference(d, time="T", cause="HOW", of=1, at=at(g), arm="ARM")]
    ),
    "gray_test": lambda g, d: iter([gray_test(d, time="T", cause="HOW", of=1, arm="ARM", strata=strata(g))]),
    "cause_specific": lambda g, d: iter([cause_specific("Surv(T, HOW) ~ ARM + X", d, of=1)]),
    "fine_gray": lambda g, d: iter([fine_gray(f"Surv(T, HOW) ~ {g.choice(['ARM', 'ARM + X', 'X'])}", d, of=1)]),
    "rpsftm": lambda g, d: iter(
        [
            rpsftm(
                d,
                **named(g),
                arm="ARM",
                on="ON",
                recensor=False,
                points=11,
                strata=strata(g),
                test=str(g.choice(["log-rank", "wilcoxon"])),
            )
        ]
    ),
    "win_statistics": lambda g, d: iter(
        [
            win_statistics(
                d,
                hierarchy(g),
                arm="ARM",
                strata=strata(g),
                variance=str(g.choice(["u-statistic", "null"])),
                weights=str(g.choice(["mantel-haenszel", "size", "equal", "inverse-variance"])),
            )
        ]
    ),
    "win_regression": lambda g, d: iter([win_regression(d, hierarchy(g), ["ARM", *covariates(g)])]),
    "closed_sequence": _closed,
}
NAMES = {"subject": "ID", "visit": "WEEK", "arm": "ARM", "value": "CHG"}


def _imputed(visits: Any) -> Iterator[Any]:
    made = mi_ancova(visits, n_imputations=2, burn_in=2, **NAMES)
    assert made.left_out == sum(made.left_out.reasons.values())
    yield made.difference(4.0)


LONG: dict[str, Callable[[Draw, Any, Any], Iterator[Any]]] = {
    "joint_rank": lambda g, v, d: iter(
        [
            joint_rank(
                v,
                d,
                at=float(g.choice([4.0, 8.0])),
                **deaths(g),
                n_imputations=2,
                burn_in=2,
                strata=strata(g),
                method=str(g.choice(["ancova", "wilcoxon", "van-elteren", "quade", "rank-ancova"])),
                **NAMES,
            )
        ]
    ),
    "cafs": lambda g, v, d: iter([cafs(v, d, up_to=12.0, **deaths(g), strata=strata(g), **NAMES)]),
    "mi_ancova": lambda g, v, d: _imputed(v),
    "mi_analysis": lambda g, v, d: iter(
        [
            mi_analysis(
                v, method=g.choice([Bayes(n_imputations=2, burn_in=2, thin=1), ApproxBayes(n_imputations=2)]), **NAMES
            )
        ]
    ),
    "trimmed_mean": lambda g, v, d: iter(
        [trimmed_mean(v, at=float(g.choice([4.0, 8.0])), n_permutations=99, n_samples=99, **NAMES)]
    ),
    "delayed_start": lambda g, v, d: iter([delayed_start(v, period_end=4.0, at=8.0, df="satterthwaite", **NAMES)]),
    "delayed_start_slopes": lambda g, v, d: iter(
        [
            delayed_start_slopes(
                v,
                period_end=4.0,
                at=12.0,
                first_window=(4.0, 8.0),
                second_window=(8.0, 12.0),
                margin=0.1,
                df="satterthwaite",
                **NAMES,
            )
        ]
    ),
    "deterioration": lambda g, v, d: iter(
        [deterioration(v, DeteriorationRule(threshold=1.0), subject="ID", visit="WEEK", keep=["ARM"])]
    ),
}


def keeps_the_contract(estimate: Estimate) -> None:
    if estimate.status is Status.OK:
        assert math.isfinite(estimate.estimate) or estimate.form == "p_only", estimate
        assert math.isnan(estimate.p) or 0.0 <= estimate.p <= 1.0, estimate
        assert estimate.form != "test" or (math.isfinite(estimate.se) and not math.isnan(estimate.p)), estimate
    else:
        assert math.isnan(estimate.p), estimate
        assert math.isnan(estimate.se), estimate
        assert estimate.reason, estimate
        assert estimate.reason != "estimated", estimate
    words = estimate.to_sentence()
    assert not {"nan", "inf", "-inf"} & set(re.split(r"[ ,.;:()=]+", words)), words


def check(result: Any) -> None:
    if isinstance(result, Estimate):
        keeps_the_contract(result)
        return
    found = getattr(result, "estimates", ())
    for estimate in found.values() if isinstance(found, Mapping) else found:
        keeps_the_contract(estimate)
    if hasattr(result, "time_by"):
        keeps_the_contract(result.time_by())
    if hasattr(result, "chi_square"):
        assert (result.status is Status.OK) == (math.isfinite(result.p) and result.df > 0), result
        assert (result.status is Status.OK) == math.isfinite(result.chi_square), result
        assert result.reason
    if isinstance(result, Fit) and not isinstance(found, Mapping):
        assert len(result.to_frame()) == len(result.estimates), result
        assert str(result)
        assert "object at" not in repr(result)
        assert result._repr_html_()
    if hasattr(result, "left_out"):
        assert int(result.left_out) == sum(result.left_out.reasons.values())
        assert result.left_out.to_sentence() in result.summary()


def run(case: int) -> str:
    """One case: the function, and what became of it."""
    g = np.random.default_rng([9, case])
    data = frame_of(g)
    name = str(g.choice([*ONE_ROW, *LONG]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)
        warnings.simplefilter("error", category=RuntimeWarning)
        warnings.simplefilter("ignore", category=MmrmWarning)  # says in words what the status of the result says
        try:
            if name in ONE_ROW:
                made = ONE_ROW[name](g, native(g, data))
            else:
                whole = {**data, "T": np.nan_to_num(data["T"]), "E": np.nan_to_num(data["E"])}
                made = LONG[name](g, native(g, long_of(g, data)), native(g, whole))
            for result in made:
                check(result)
        except EquipoiseError:
            return f"{name}: refused"
    return f"{name}: answered"


def told(cases: range) -> dict[str, int]:
    counts: dict[str, int] = {}
    for case in cases:
        try:
            said = run(case)
        except Exception as error:
            raise AssertionError(f"case {case}: {type(error).__name__}: {error}") from error
        counts[said] = counts.get(said, 0) + 1
    return counts


def test_property_degenerate_data_keep_the_contract_in_a_sample() -> None:
    counts = told(range(SAMPLE))
    for name in (*ONE_ROW, *LONG):
        assert counts.get(f"{name}: answered", 0) > 0, counts


@pytest.mark.slow
def test_property_degenerate_data_keep_the_contract() -> None:
    assert sum(told(range(SAMPLE, CASES)).values()) == CASES - SAMPLE


def test_property_columns_of_one_name_are_refused() -> None:
    g = np.random.default_rng(5)
    data = pd.DataFrame({k: list(v) for k, v in frame_of(g).items()})
    twice = pd.concat([data, data[["ARM"]]], axis=1)
    for name, door in ONE_ROW.items():
        if name != "closed_sequence":
            with pytest.raises(EquipoiseError, match="'ARM'"):
                list(door(g, twice))
