"""Forests of any effect: interactions over all arms, trends over levels, effects of other methods; against R."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_plan_methods import plan

from equipoise.errors import DataError, ScenarioError
from equipoise.estimate.result import Estimate
from equipoise.plan.carry_out import analyse
from equipoise.plan.key import Key
from equipoise.plan.prepared import TEST
from equipoise.plan.results import Block
from equipoise.render.tables.figures import drawn
from equipoise.trial.adam import AdamStudy, from_frame

REFERENCE = Path(__file__).parent.parent / "reference"
R: dict[str, Any] = json.loads((REFERENCE / "subgroups.json").read_text())
ARMS = ("placebo", "low", "high")


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    read = pl.read_csv(REFERENCE / "three_arms.csv").with_columns(
        K=1.0 + (pl.col("BASE") > 38) + (pl.col("BASE") > 42), ITTFL=pl.lit("Y"), CHG=pl.col("FULL")
    )
    people = read.filter(pl.col("AVISITN") == 12)
    frames = {
        "ADSL": people.select("USUBJID", "TRT01P", "ITTFL", "K", SEX=pl.lit("F")),
        "ADEFF": read.select("USUBJID", "AVISITN", "BASE", "CHG", PARAMCD=pl.lit("TOT")),
        "ADTTE": people.select("USUBJID", AVAL="TIME", CNSR="CNSR", PARAMCD=pl.lit("DEATH")),
    }
    return AdamStudy({k: from_frame(v, k) for k, v in frames.items()})


def block(study: AdamStudy, section: str, **options: Any) -> Block:
    made = plan(section, arms="[placebo, low, high]", gather="", **options)
    text: Block = analyse(study, made, strict=True).tables[0].blocks[0]
    return text


@pytest.fixture(autouse=True)
def _labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan of the helper labels an arm that is not here."""
    import test_plan_methods

    own = test_plan_methods.parse_plan
    monkeypatch.setattr(
        test_plan_methods, "parse_plan", lambda text: own(text.replace(", labels: {Placebo: Placebo arm}", ""))
    )


def number(found: Block, quantity: str, arm: str | None = None, **place: Any) -> Estimate:
    return found.numbers[Key(quantity, analysis="A1", section=1, arm=arm, **place)]


@pytest.mark.parametrize("of", ["difference", "hazard_ratio"])
def test_reference_interactions_over_all_arms_and_trends(study: AdamStudy, of: str) -> None:
    data: dict[str, Any] = {"more": "where: {AVISITN: 12}"}
    if of == "hazard_ratio":
        data = {"dataset": "ADTTE", "parameter": "DEATH"}
    section = f"method: subgroups, of: {of.replace('_', ' ')}, by: [K], ordered: [K], interaction: all arms"
    found = block(study, f"{{{section}}}", **data)
    for kind, arm, more in (("all", None, "_all_arms"), ("high", "high", "")):
        for test, quantity in (("interaction", "interaction"), ("trend", "interaction_trend")):
            wanted = R[kind][of][test]
            made = number(found, quantity + more, arm, variable="K")
            assert made.statistic == pytest.approx(wanted["statistic"], rel=1e-6)
            assert made.p == pytest.approx(wanted["p"], rel=1e-6)
    rows = {r.label: r for r in found.rows}
    assert set(rows["p-value (interaction)"].cells) == {"low", "high", TEST}
    assert set(rows["p-value (trend over the levels)"].cells) == {"low", "high", TEST}
    plain = block(study, f"{{method: subgroups, of: {of.replace('_', ' ')}, by: [K]}}", **data)
    assert {k: e.p for k, e in plain.numbers.items()}.items() <= {k: e.p for k, e in found.numbers.items()}.items()
    assert "p-value (trend over the levels)" not in {r.label for r in plain.rows}


def test_reference_effects_of_another_method(study: AdamStudy) -> None:
    inner = "{method: binary, response: {CHG: {gt: -2}}, interval: wald}"
    section = f"{{method: subgroups, of: {inner}, by: [K], ordered: [K]}}"
    found = block(study, section, more="where: {AVISITN: 12}")
    for k in range(3):
        made = number(found, "risk_difference", "high", variable="K", level=str(k + 1))
        assert made.estimate == pytest.approx(R["binary"]["difference"][k], rel=1e-9)
        assert made.se == pytest.approx(R["binary"]["variance"][k] ** 0.5, rel=1e-6)
    for quantity, name in (("interaction", "q"), ("interaction_trend", "trend")):
        made = number(found, quantity, "high", variable="K")
        assert made.statistic == pytest.approx(R["binary"][name], rel=1e-6)
        assert made.p == pytest.approx(R["binary"][f"{name}_p"], rel=1e-6)
    whole = block(study, inner, more="where: {AVISITN: 12}")
    assert number(found, "risk_difference", "low").estimate == number(whole, "risk_difference", "low").estimate
    assert len(found.figures) == 2
    assert "risk difference, low against placebo" in json.dumps(found.figures[0].options)
    made = analyse(study, plan(section, arms="[placebo, low, high]", gather="", more="where: {AVISITN: 12}"))
    assert len(drawn(made)) == 2


def test_independent_effects_of_other_kinds(study: AdamStudy) -> None:
    """Each level is the method on the patients of the level alone."""
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "rmst_difference": ("{method: rmst, tau: 8}", {"dataset": "ADTTE", "parameter": "DEATH"}),
        "difference": ("{method: mi_ancova, imputations: 3, burn_in: 5}", {}),
        "win_ratio": ("{method: win, hierarchy: [{value: CHG}]}", {"more": "where: {AVISITN: 12}"}),
    }
    for quantity, (inner, data) in cases.items():
        found = block(study, f"{{method: subgroups, of: {inner}, by: [K]}}", **data)
        again = {**data}
        before = again.pop("more", "where: {}").replace("}", "")
        again["more"] = f"{before}{', ' if before != 'where: {' else ''}K: 2}}"
        alone = block(study, inner, **again)
        visit = "Week 12" if quantity == "difference" else None
        for arm in ("low", "high"):
            one, other = (
                number(found, quantity, arm, variable="K", level="2"),
                number(alone, quantity, arm, visit=visit),
            )
            assert (one.estimate, one.se, one.p) == (other.estimate, other.se, other.p)
            q = number(found, "interaction", arm, variable="K")
            assert 0.0 < q.p <= 1.0
    early = block(
        study, "{method: subgroups, of: {method: mi_ancova, imputations: 2, weeks: [4, 12]}, by: [K], visit: Week 4}"
    )
    assert "week 4" in str(number(early, "difference", "low")).lower()


def test_property_levels_without_an_estimate_are_left_out_and_said(study: AdamStudy) -> None:
    frame = study["ADSL"].frame.with_columns(
        K=pl.when((pl.col("K") == 3) & (pl.col("TRT01P") == "high")).then(2.0).otherwise("K")
    )
    few = AdamStudy({**study.datasets, "ADSL": from_frame(frame, "ADSL")})
    inner = "{method: binary, response: {CHG: {gt: -2}}, interval: wald}"
    found = block(few, f"{{method: subgroups, of: {inner}, by: [K]}}", more="where: {AVISITN: 12}")
    assert not number(found, "risk_difference", "high", variable="K", level="3").estimable
    assert "without 1 level" in (number(found, "interaction", "high", variable="K").detail or "")
    alone = block(few, f"{{method: subgroups, of: {inner}, by: [SEX]}}", more="where: {AVISITN: 12}")
    assert "fewer than two levels" in (number(alone, "interaction", "high", variable="SEX").detail or "")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{method: subgroups, of: {method: nothing}, by: [K]}", "is no method with an effect"),
        ("{method: subgroups, of: {method: summary, variable: AGE}, by: [K]}", "is no method with an effect"),
        ("{method: subgroups, of: {method: rmst, tau: -1}, by: [K]}", "a number above 0"),
        ("{method: subgroups, of: {method: rmst, versus: low}, by: [K]}", "leave out versus"),
        ("{method: subgroups, of: difference, by: [K], ordered: [SEX]}", "ordered: SEX is not one of by"),
        ("{method: subgroups, of: difference, by: [K], quantity: lsmean}", "write its section in of"),
        ("{method: subgroups, of: {method: rmst}, by: [K], interaction: all arms}", "which one model estimates"),
    ],
)
def test_property_sections_that_cannot_be_are_refused(section: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        plan(section, arms="[placebo, low, high]")


def test_property_an_unknown_quantity_is_named(study: AdamStudy) -> None:
    with pytest.raises(DataError, match="no rmst_difference at Week 9 of low in rmst"):
        block(
            study, "{method: subgroups, of: {method: rmst}, by: [K], visit: Week 9}", dataset="ADTTE", parameter="DEATH"
        )
