"""Mutated plans on a small virtual trial: a plan that parses never ends in a traceback, and nothing is passed over.

Seeded. A few hundred plans in every run, ten thousand with ``-m slow``.
"""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from equipoise.errors import EquipoiseError, ScenarioError
from equipoise.plan.analysis_plan import parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.results import FAILURES
from equipoise.plan.starter import start_plan
from equipoise.render.tables.tables import to_text
from equipoise.trial.adam import AdamStudy, from_frame

WORDS = (
    "CHG",
    "AVAL",
    "BASE",
    "TRT01P",
    "AVISIT",
    "AVISITN",
    "USUBJID",
    "SEX",
    "SITE",
    "CNSR",
    "PARAMCD",
    "EMPTY",
    "NOT",
    "Placebo",
    "Drug",
    "Week 2",
    "ITT",
    "ADQS",
    "ADTTE",
    "ADSL",
    "SCORE",
    "DEATH",
    "us",
    "ar1",
    "fisher",
    "CHG ~ TRT01P",
    "CHG ~ TRT01P + BASE",
    "CHG ~ SEX * TRT01P",
    "AVAL ~ 1",
    "CHG ~ TRT01P + EMPTY",
    "~",
    "",
    "{n}",
    "{mean:1}",
    "{p:p4}",
)
NUMBERS = (0, 1, 2, -1, 10, 0.5, 1e9, float("nan"), float("inf"))
SECTIONS: tuple[dict[str, Any], ...] = (
    {"method": "summary", "variable": "CHG", "test": "anova"},
    {"method": "categories", "variable": "SEX", "test": "fisher"},
    {"method": "categories", "variable": "SITE", "levels": {1: "One", 2: "Two"}, "test": "chi-square"},
    {"method": "incidence", "variable": "SEX"},
    {"method": "ancova", "formula": "CHG ~ TRT01P + BASE"},
    {"method": "subgroups", "of": "difference", "by": ["SEX", "SITE"], "figure": False},
    {"method": "mmrm", "formula": "CHG ~ TRT01P * AVISIT + BASE", "covariance": ["cs"], "figure": False},
    {"method": "slope", "value": "CHG"},
    {"method": "joint_rank", "week": 4, "time": "DTHDY", "censor": "DTHCN"},
    {"method": "win", "hierarchy": [{"value": "CHG"}], "figure": False},
    {"method": "disposition", "time": "DTHDY"},
    {"method": "mi_ancova", "imputations": 2, "burn_in": 1, "figure": False},
)
EVENTS: tuple[dict[str, Any], ...] = (
    {"method": "survival", "at": [10], "figure": False},
    {"method": "rmst", "tau": 20, "figure": False},
    {"method": "landmark", "at": [10]},
    {"method": "subgroups", "of": "hazard ratio", "by": ["SEX"], "figure": False},
    {"method": "categories", "variable": "CNSR", "levels": {0: "Event", 1: "Censored"}},
)


def study() -> AdamStudy:
    g = random.Random(11)
    people = [f"S{i:02d}" for i in range(16)]
    arm = {who: ("Drug" if i % 2 else "Placebo") for i, who in enumerate(people)}
    adsl = pl.DataFrame(
        {
            "USUBJID": people,
            "TRT01P": [arm[p] for p in people],
            "ITTFL": ["Y"] * 16,
            "SEX": [g.choice("FM") for _ in people],
            "SITE": [float(g.randint(1, 3)) for _ in people],
            "DTHDY": [float(g.randint(1, 60)) for _ in people],
            "DTHCN": [float(g.randint(0, 2)) for _ in people],
            "EMPTY": pl.Series([None] * 16, dtype=pl.Float64),
        }
    )
    rows = []
    for who in people:
        base, own = g.randint(30, 45), g.gauss(0, 3)
        for week in (0, 2, 4, 12):
            if week and g.random() < 0.1:
                continue
            change = 0.0 if week == 0 else float(round(own - week / 4 + g.gauss(0, 1)))
            rows.append((who, "SCORE", f"Week {week}", float(week), float(base), base + change, change))
    adqs = pl.DataFrame(rows, schema=["USUBJID", "PARAMCD", "AVISIT", "AVISITN", "BASE", "AVAL", "CHG"], orient="row")
    adtte = pl.DataFrame(
        {
            "USUBJID": people,
            "PARAMCD": ["DEATH"] * 16,
            "AVAL": [float(g.randint(1, 40)) for _ in people],
            "CNSR": [float(g.choice((0, 0, 1, 3))) for _ in people],
        }
    )
    return AdamStudy({n: from_frame(f, n) for n, f in (("ADSL", adsl), ("ADQS", adqs), ("ADTTE", adtte))})


def drawn(g: random.Random) -> dict[str, Any]:
    analyses: list[dict[str, Any]] = []
    for number in range(g.randint(1, 2)):
        events = g.random() < 0.3
        sections = [copy.deepcopy(g.choice(EVENTS if events else SECTIONS)) for _ in range(g.randint(1, 2))]
        analyses.append(
            {
                "id": str(number),
                "title": "x",
                "population": "ITT",
                "dataset": "ADTTE" if events else "ADQS",
                "parameter": "DEATH" if events else "SCORE",
                "total": g.random() < 0.3,
                "where": {} if events else {"AVISITN": g.choice([4, {"gt": 0}, [2, 4], 12, 99])},
                "sections": sections,
            }
        )
    return {
        "study": "X",
        "treatment": {"arms": ["Placebo", "Drug"]},
        "populations": {"ITT": {"label": "All", "where": {"ITTFL": "Y"}}},
        "analyses": analyses,
    }


def places(part: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a plan."""
    found: list[tuple[Any, Any]] = []
    for key, value in list(part.items() if isinstance(part, dict) else enumerate(part)):
        found.append((part, key))
        if isinstance(value, dict | list):
            found += places(value)
    return found


def mutated(g: random.Random, plan: dict[str, Any]) -> dict[str, Any]:
    for _ in range(g.choice((0, 1, 1, 2, 3))):
        part, key = g.choice(places(plan))
        kind = g.randrange(6)
        if kind == 0:
            part[key] = g.choice(WORDS)
        elif kind == 1:
            part[key] = g.choice(NUMBERS)
        elif kind == 2:
            part[key] = g.choice((None, True, [], {}, [g.choice(WORDS)], {g.choice(WORDS): g.choice(NUMBERS)}))
        elif kind == 3:
            del part[key]
        elif kind == 4 and isinstance(part, dict):
            part[
                g.choice(WORDS)
                if g.random() < 0.3
                else g.choice(
                    (
                        "where",
                        "covariates",
                        "level",
                        "at",
                        "by",
                        "test",
                        "variable",
                        "strata",
                        "weeks",
                        "visits",
                        "ties",
                        "rows",
                        "gather",
                        "derive",
                    )
                )
            ] = g.choice((*WORDS, *NUMBERS, [g.choice(WORDS)], [g.choice(NUMBERS)], {g.choice(WORDS): g.choice(WORDS)}))
        elif isinstance(part[key], list) and part[key]:
            part[key].append(copy.deepcopy(g.choice(part[key])))
    return plan


def go(cases: int, seed: int) -> dict[str, int]:
    data, seen = study(), {"refused": 0, "stopped": 0, "made": 0, **dict.fromkeys(FAILURES, 0)}
    for case in range(cases):
        g = random.Random(seed * 1_000_003 + case)
        text = yaml.safe_dump(mutated(g, drawn(g)), sort_keys=False)
        try:
            plan = parse_plan(text)
        except ScenarioError:
            seen["refused"] += 1
            continue
        try:
            results = analyse(data, plan)
        except EquipoiseError:
            seen["stopped"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"case {case}: {type(error).__name__}: {error}\n{text}") from error
        printed = to_text(results)
        assert "nan" not in printed.replace("nanmin", ""), f"case {case}\n{text}\n{printed}"
        assert len(results.tables) == len(plan.analyses)
        for table in results.tables:
            for block in table.blocks:
                if block.failure is None:
                    seen["made"] += 1
                    continue
                seen[block.failure] += 1
                assert block.failure != "fault", f"case {case}: {block.notes}\n{text}"
                assert block.notes[-1].startswith("Not estimable: "), f"case {case}\n{text}"
    return seen


@pytest.mark.filterwarnings("ignore")
def test_property_mutated_plans_sample() -> None:
    seen = go(150, 1)
    assert min(seen["refused"], seen["made"], seen["mistake"]) > 0, seen


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_property_mutated_plans() -> None:
    seen = go(10_000, 2)
    assert seen["fault"] == 0
    assert min(seen[k] for k in ("refused", "made", "mistake", "not estimable")) > 50, seen


def test_the_plan_that_init_writes_runs_on_the_small_trial(tmp_path: Path) -> None:
    data = study()
    results = analyse(data, start_plan(data))
    assert [b.failure for t in results.tables for b in t.blocks if b.failure not in (None, "not estimable")] == []
