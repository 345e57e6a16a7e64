"""Names of a plan are known or refused; orders are those of a person; exact tests of larger tables."""

from __future__ import annotations

from itertools import product
from math import factorial, prod

import numpy as np
import polars as pl
import pytest
from test_plan_failures import frames, study

import equipoise as eq
from equipoise.errors import DataError, EstimationError, ScenarioError
from equipoise.estimate.categorical.exact import fisher_freeman_halton, fisher_monte_carlo
from equipoise.plan.analysis_plan import dump_plan, parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.methods.descriptive import _compare_counts
from equipoise.plan.ordering import in_natural_order

HEAD = """
study: X1
treatment: {arms: [Placebo, Drug]}
populations: {ITT: {label: All, where: {ITTFL: Y}}}
analyses:
"""


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{method: summary, variable: AGE, statistics: [{label: M, show: '{average:1}'}]}", "no statistic 'average'"),
        ("{method: summary, variable: AGE, test: anova, test_show: '{pvalue:p4}'}", "no statistic 'pvalue'"),
        ("{method: categories, variable: SEX, test: fisher, test_show: '{pp:p4}'}", "no statistic 'pp'"),
        ("{method: ancova, formula: Y ~ X, lsmeans: [{label: M, show: '{mean:2}'}]}", "no statistic 'mean'"),
        ("{method: ancova, formula: Y ~ X, rows: [{label: M, show: '{est:2}'}]}", "no statistic 'est'"),
        ("{method: incidence, test_show: '{x:p4}'}", "no statistic 'x'"),
    ],
)
def test_a_misspelt_statistic_is_named_with_those_there_are(section: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said) as error:
        parse_plan(f"{HEAD}  - {{id: a, title: t, population: ITT, sections: [{section}]}}\n")
    assert "there are " in str(error.value)


def test_a_misspelt_covariate_of_at_is_named() -> None:
    data = frames()["ADQS"].join(frames()["ADSL"], on="USUBJID")
    fit = eq.ancova("CHG ~ TRT01P + BASE", data)
    assert (
        fit.lsmeans("TRT01P", at={"BASE": 30}).to_frame()["estimate"][0]
        != fit.lsmeans("TRT01P").to_frame()["estimate"][0]
    )
    for ask in (
        lambda: fit.lsmeans("TRT01P", at={"BSAE": 30}).to_frame(),
        lambda: fit.contrasts("TRT01P", at={"BSAE": 30}).to_frame(),
    ):
        with pytest.raises(EstimationError, match="'BSAE' is no variable of the model") as error:
            ask()
        assert "BASE" in str(error.value)
    with pytest.raises(EstimationError, match="both fixed"):
        fit.lsmeans("TRT01P", at={"TRT01P": "Drug"}).to_frame()


def test_visits_without_numbers_come_in_the_order_of_their_names() -> None:
    g = np.random.default_rng(3)
    parts = [
        frames()["ADQS"].with_columns(AVISIT=pl.lit(f"Week {w}"), CHG=pl.Series(g.normal(size=24)) - w / 4)
        for w in (2, 10, 12, 4)
    ]
    adqs = pl.concat(parts).drop("AVISITN").with_columns(AVAL=pl.col("BASE") + pl.col("CHG"))
    text = (
        f"{HEAD}  - {{id: a, title: t, population: ITT, dataset: ADQS, parameter: SCORE, sections: "
        "[{method: mmrm, formula: CHG ~ TRT01P * AVISIT, covariance: [cs]}]}\n"
    )
    block = analyse(study(ADQS=adqs), parse_plan(text)).tables[0].blocks[0]
    assert [r.label for r in block.rows if not r.cells] == ["Week 2", "Week 4", "Week 10", "Week 12"]
    assert [r["visit"] for r in block.figures[0].rows][:4] == ["Week 2", "Week 4", "Week 10", "Week 12"]
    assert any("AVISITN is not there" in n and "Week 2, Week 4, Week 10" in n for n in block.notes)


def test_levels_are_named_by_numbers_and_ordered_by_them() -> None:
    adsl = frames()["ADSL"].with_columns(
        STAGE=(pl.int_range(24) % 3).cast(pl.Float64) * 5 + 1,
        AGEGR=pl.Series(["<65", ">80", "65-80", "9-64"] * 6),
        DOSE=pl.Series(["10 mg", "2 mg"] * 12).sort(),
    )
    text = HEAD + (
        "  - id: a\n    title: t\n    population: ITT\n    sections:\n"
        "      - {method: categories, variable: STAGE, levels: {1: One, 6: Six, '11': Eleven}}\n"
        "      - {method: categories, variable: AGEGR}\n"
        "      - {method: categories, variable: DOSE}\n"
        "      - {method: subgroups, of: difference, variable: AGE, by: [DOSE], figure: false}\n"
    )
    plan = parse_plan(text)
    for one in (plan, parse_plan(dump_plan(plan))):
        table = analyse(study(ADSL=adsl), one, strict=True).tables[0]
        assert [(r.label, r.cells["Drug"].values["n"]) for r in table.blocks[0].rows] == [
            ("One", 4.0),
            ("Six", 4.0),
            ("Eleven", 4.0),
        ]
        assert [r.label for r in table.blocks[1].rows] == ["9-64", "<65", "65-80", ">80"]
        assert [r.label for r in table.blocks[2].rows] == ["2 mg", "10 mg"]
        assert [r.label for r in table.blocks[3].rows if r.label.endswith("mg")] == ["2 mg", "10 mg"]


def test_natural_order() -> None:
    assert in_natural_order(["Week 12", "Week 2", "Week 10"]) == ["Week 2", "Week 10", "Week 12"]
    assert in_natural_order([10.0, 2.0, 1.5]) == [1.5, 2.0, 10.0]
    assert in_natural_order(["Male", "Female"]) == ["Female", "Male"]


@pytest.mark.parametrize(
    ("table", "p"),
    [
        ([[3, 1, 0], [0, 2, 4]], 0.03333333333),
        ([[10, 20, 30], [12, 15, 40]], 0.4120302365),
        ([[40, 20, 10, 5, 3, 2], [38, 22, 11, 6, 5, 1]], 0.9664256542),
        ([[5, 3, 2], [1, 4, 6], [2, 2, 7]], 0.1796184678),
    ],
)
def test_reference_fisher_freeman_halton(table: list[list[int]], p: float) -> None:
    """R 4 fisher.test, to its 10 digits."""
    assert fisher_freeman_halton(np.array(table)) == pytest.approx(p, abs=1e-9)
    assert fisher_freeman_halton(np.array(table).T) == pytest.approx(p, abs=1e-9)


def test_independent_fisher_by_listing_all_tables() -> None:
    table = np.array([[3, 1, 1], [0, 2, 2]])
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    ways = [first for first in product(*(range(c + 1) for c in columns)) if sum(first) == rows[0]]
    weigh = {w: 1 / prod(factorial(v) for v in (*w, *(columns - np.array(w)).tolist())) for w in ways}
    seen = weigh[tuple(table[0].tolist())]
    right = sum(v for v in weigh.values() if v <= seen * (1 + 1e-7)) / sum(weigh.values())
    assert fisher_freeman_halton(table) == pytest.approx(right, rel=1e-10)


def test_a_table_too_large_for_an_exact_test_says_so() -> None:
    assert fisher_freeman_halton(np.full((4, 6), 40)) is None


def test_events_in_another_unit_than_the_visits_are_refused() -> None:
    from equipoise.estimate.missing import ConditionalMean, imputation_draws

    g = np.random.default_rng(4)
    rows = []
    for i in range(40):
        drop, base = g.integers(1, 7), 30.0 + g.normal()
        rows += [
            (f"S{i:02d}", "drug" if i % 2 else "pbo", base, w, None if k + 1 >= drop else -0.3 * w + g.normal())
            for k, w in enumerate((4, 8, 12))
        ]
    data = pl.DataFrame(rows, schema=["USUBJID", "TRT01P", "BASE", "AVISITN", "CHG"], orient="row")
    gone = data.filter(pl.col("CHG").is_null()).group_by("USUBJID", maintain_order=True).agg(pl.col("AVISITN").min())
    ice = gone.with_columns(STRATEGY=pl.lit("J2R"))
    options = {"control": "pbo", "method": ConditionalMean()}
    imputation_draws(data, ice, **options)
    with pytest.raises(DataError, match=r"intercurrent events come after the last visit \(AVISITN 12\)") as error:
        imputation_draws(data, ice.with_columns(AVISITN=pl.col("AVISITN") * 7), **options)
    assert "4, 8, 12" in str(error.value)
    with pytest.warns(UserWarning, match="comes after the last visit"):
        imputation_draws(data, ice.head(1).with_columns(AVISITN=pl.lit(40)), **options)


def test_property_a_table_too_large_to_count_is_drawn() -> None:
    """The drawn p-value agrees with the counted one, and a section with such a table has a p-value and says how."""
    for table in ([[10, 20, 30], [12, 15, 40]], [[5, 3, 2], [1, 4, 6], [2, 2, 7]]):
        p, se = fisher_monte_carlo(np.array(table))
        assert p == pytest.approx(fisher_freeman_halton(np.array(table)), abs=4.5 * se)
        assert fisher_monte_carlo(np.array(table)) == (p, se)
    large = np.random.default_rng(4).integers(20, 60, (6, 6)).astype(np.float64)
    assert fisher_freeman_halton(large.astype(np.int64)) is None
    found, said = _compare_counts(large, "fisher")
    assert 0.0 < (found["p"] or 0.0) <= 1.0
    assert said is not None
    assert "6 by 6" in said
    assert "100,000 tables" in said
