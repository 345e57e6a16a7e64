"""The examples, run: a virtual VALOR by its commands, and the time-to-event table of CDISCPILOT01."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from equipoise.plan.analysis_plan import Plan, parse_plan, read_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.key import Key
from equipoise.plan.results import Results
from equipoise.render.tables.figures import drawn
from equipoise.render.tables.tables import write_results
from equipoise.simulate import Scenario, simulate
from equipoise.trial.adam import from_trial, read_adam, write_adam

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def virtual(valor: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual trial that the command of the examples writes."""
    folder = tmp_path_factory.mktemp("valor-adam")
    write_adam(from_trial(simulate(valor, 1, seed=5535)[0]), folder)
    return folder


@pytest.fixture(scope="module")
def tables(virtual: Path) -> Results:
    """The example on the virtual trial, as it stands: fewer imputations would give other P values than the command."""
    return analyse(virtual, read_plan(EXAMPLES / "valor.yaml"))


def test_the_virtual_valor_gives_every_table_and_figure(tables: Results, tmp_path: Path) -> None:
    for table in tables.tables:
        assert all(block.rows for block in table.blocks), table.id
        assert not [n for b in table.blocks for n in b.notes if n.startswith("Not estimable")], table.id
    kinds = [f.kind for t in tables.tables for b in t.blocks for f in b.figures]
    assert {"dropout", "ls_means", "tipping_point", "kaplan_meier", "forest"} <= set(kinds)
    assert all(f.plot is not None for f in drawn(tables))
    names = {p.name for p in write_results(tables, tmp_path)}
    assert {"tables.html", "figure-2-2.svg", "figure-3.svg", "figure-4.svg"} <= names


def test_everyone_randomised_is_counted(tables: Results) -> None:
    block = tables.table("2").blocks[0]
    for column in tables.table("2").columns:
        behind = [r.cells[column.name].values["n"] for r in block.rows if "week 52" in r.label and "LS" not in r.label]
        assert sum(n or 0.0 for n in behind) == column.n
    assert not any("no record here" in n for t in tables.tables for b in t.blocks for n in b.notes)


def test_the_estimands_stand_below_the_tables(tables: Results) -> None:
    notes = tables.table("2").footnotes
    assert "death: composite; withdrawal: treatment policy" in notes[0]
    own = [n for n in tables.table("2").blocks[1].notes if n.startswith("Estimand of As VALOR was analysed")]
    assert "death: hypothetical" in own[0]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "{death: hypothetical, withdrawal: hypothetical}",
            "{death: composite, withdrawal: hypothetical}",
            "imputes the values after it as if it had not happened, which is hypothetical",
        ),
        ("summary: difference in means", "summary: hazard ratio", "analyses values of a measurement"),
    ],
)
def test_the_refusals_that_the_readme_promises(old: str, new: str, reason: str) -> None:
    text = (EXAMPLES / "valor.yaml").read_text()
    assert old in text
    with pytest.raises(Exception, match=reason):
        parse_plan(text.replace(old, new))


def test_the_result_that_the_readme_promises(tables: Results) -> None:
    """Table 2 at week 52: P just above 0.05 with deaths scored 0, below it with scores imputed past death."""
    told = " ".join((EXAMPLES / "README.md").read_text().split())
    assert "has P just above 0.05" in told
    assert "imputed past death P is below it" in told
    found = [
        [r.cells["tofersen"].values["p"] or 0.0 for r in block.rows if r.label == "p-value"][-1]
        for block in tables.table("2").blocks[:2]
    ]
    assert 0.05 < found[0] < 0.055
    assert 0.04 < found[1] < 0.05  # 0.044 by the plan's 20 imputations


def test_independent_interim_look(virtual: Path) -> None:
    """The look of the example, from the printed difference and its standard error on."""
    made = analyse(virtual, read_plan(EXAMPLES / "interim.yaml"))
    assert all(block.rows for table in made.tables for block in table.blocks)
    model = made.table("1").blocks[0]
    difference = next(r for r in model.rows if r.label.startswith("Difference")).cells["tofersen"].values
    look = {r.label: r.cells for r in made.table("4").blocks[0].rows}
    z, information = stats.norm.isf(difference["p"] / 2), difference["se"] ** -2
    assert look["Z"]["Look 2"].values["z"] == pytest.approx(z, rel=1e-9)
    assert look["Information"]["Look 2"].values["information"] == pytest.approx(information, rel=1e-9)
    spent = 2 * stats.norm.sf(stats.norm.isf(0.0125) / np.sqrt(information / 0.32))  # Lan-DeMets, O'Brien-Fleming
    assert look["Alpha spent"]["Look 2"].values["spent"] == pytest.approx(spent, rel=1e-9)
    boundary = look["Boundary, efficacy"]["Look 3"].values["boundary"]
    needed = (boundary * np.sqrt(0.32) - z * np.sqrt(information)) / np.sqrt(0.32 - information)
    power = stats.norm.sf(needed - 6.0 * np.sqrt(0.32 - information))
    label = "Conditional power, % (as planned, 6)"
    assert look[label]["Look 2"].values["power"] == pytest.approx(100 * power, rel=1e-9)
    assert look["Decision"]["Look 2"].text == "go on"
    assert "boundaries" in {f.kind for b in made.table("4").blocks for f in b.figures}
    assert all(f.plot is not None for f in drawn(made))
    claims = {r.label: r.cells for r in made.table("5").blocks[0].rows}
    assert claims["function"]["adjusted"].values["adjusted"] == pytest.approx(difference["p"] / 0.8, rel=1e-9)


def test_every_plan_is_in_the_readme_with_its_command() -> None:
    said = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.glob("*.yaml"):
        assert isinstance(read_plan(path), Plan)
        assert f"equipoise analyse examples/{path.name} --data" in said
        assert f"equipoise analyse examples/{path.name} --data" in path.read_text()


# -- CDISCPILOT01 --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pilot() -> Path:
    root = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
    if not (root / "data" / "cdiscpilot01").is_dir():
        pytest.skip(f"the shared reference data are not at {root} (set EQUIPOISE_SHARED)")
    return root / "data" / "cdiscpilot01"


def step_by_step(times: np.ndarray, events: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """Kaplan-Meier by the definition: event times, survival and Greenwood's variance of log S after each."""
    at, survival, variance = [], [], []
    s = v = 0.0
    for t in sorted(set(times[events])):
        n, d = int((times >= t).sum()), int((times[events] == t).sum())
        s += np.log((n - d) / n) if n > d else -np.inf
        v += d / (n * (n - d)) if n > d else np.inf
        at.append(float(t))
        survival.append(float(np.exp(s)))
        variance.append(v)
    return at, survival, variance


def log_rank_by_hand(times: np.ndarray, events: np.ndarray, group: np.ndarray) -> float:
    """p-value of the log-rank test by its table at every event time."""
    k = int(group.max()) + 1
    score, information = np.zeros(k), np.zeros((k, k))
    for t in sorted(set(times[events])):
        at_risk = np.array([(times[group == g] >= t).sum() for g in range(k)], float)
        died = np.array([(times[(group == g) & events] == t).sum() for g in range(k)], float)
        n, d = at_risk.sum(), died.sum()
        score += died - at_risk * d / n
        if n > 1:
            share = at_risk / n
            information += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
    return float(stats.chi2.sf(score[1:] @ np.linalg.solve(information[1:, 1:], score[1:]), k - 1))


def test_independent_time_to_first_dermatologic_event(pilot: Path) -> None:
    study = read_adam(pilot / "adam")
    plan = read_plan(EXAMPLES / "cdiscpilot01_tte.yaml")
    made = analyse(study, plan).tables[0]
    block = made.blocks[0]
    cells = {re.sub(r" \(.*", "", r.label): r.cells for r in block.rows}
    frame = study["ADTTE"].frame.filter((pl.col("PARAMCD") == "TTDE") & (pl.col("SAFFL") == "Y"))
    arms = ("Placebo", "Xanomeline Low Dose", "Xanomeline High Dose")
    times, events = frame["AVAL"].to_numpy(), (frame["CNSR"] == 0).to_numpy()
    group = np.array([arms.index(a) for a in frame["TRTA"].to_list()])
    for k, arm in enumerate(arms):
        at, survival, variance = step_by_step(times[group == k], events[group == k])
        assert cells["Events, n"][arm].values["n"] == events[group == k].sum()
        for day in (28.0, 84.0, 168.0):
            i = max(j for j, t in enumerate(at) if t <= day)
            s, se = survival[i], np.sqrt(variance[i])
            half = 1.959963984540054 * se / abs(np.log(s))
            found = cells[f"Event-free at {day:g}, %"][arm].values
            assert found["estimate"] == pytest.approx(100 * s, rel=1e-9)
            assert found["low"] == pytest.approx(100 * s ** np.exp(half), rel=1e-6)
            assert found["high"] == pytest.approx(100 * s ** np.exp(-half), rel=1e-6)
        median = next((t for t, s in zip(at, survival, strict=True) if s <= 0.5), None)
        assert cells["Median"][arm].values["median"] == median
    assert cells["n"]["All arms"].values["p"] == pytest.approx(log_rank_by_hand(times, events, group), rel=1e-6)
    (figure,) = block.figures
    assert figure.options["unit"] == "days"
    at_start = {r["group"]: r["at_risk"] for r in reversed(figure.rows)}
    assert list(at_start.values()) == [84, 84, 86]


def test_independent_of_the_package_of_the_data(pilot: Path) -> None:
    """The original files of 2006 give the same table as those of the later package."""
    plan = read_plan(EXAMPLES / "cdiscpilot01_tte.yaml")
    old, new = (analyse(pilot / folder, plan).tables[0].blocks[0] for folder in ("adam_2006", "adam"))
    assert old.rows == new.rows


@pytest.mark.slow
def test_independent_the_whole_report_counts_as_polars_does(pilot: Path) -> None:
    """Every table is made; subjects, events and worst severities of each class and term are counted again by hand."""
    plan = read_plan(EXAMPLES / "cdiscpilot01_full.yaml")
    study = read_adam(pilot / "adam" / "datasetjson", needed=plan.needs())
    made = analyse(study, plan)
    for table in made.tables:
        assert all(block.rows for block in table.blocks), table.id
        assert not [n for b in table.blocks for n in b.notes if n.startswith("Not estimable")], table.id
    people = study["ADSL"].frame.filter(pl.col("SAFFL") == "Y").select("USUBJID", "TRT01P")
    events = study["ADAE"].frame.filter(pl.col("TRTEMFL") == "Y").join(people, on="USUBJID")
    size = {str(a): n for a, n in people.group_by("TRT01P").len().iter_rows()}
    checked = 0
    for variable in ("AEBODSYS", "AEDECOD"):
        for key, part in events.partition_by("TRT01P", variable, as_dict=True).items():
            place = {"analysis": "14-5.01", "arm": str(key[0]), "variable": variable, "level": str(key[1])}
            subjects = made.numbers[Key("patients", **place)]
            assert (subjects.estimate, subjects.n) == (part["USUBJID"].n_unique(), size[str(key[0])])
            assert made.numbers[Key("events", **place)].estimate == part.height
            checked += 2
    assert checked > 700
    order = {"MILD": 0, "MODERATE": 1, "SEVERE": 2}
    graded = events.with_columns(G=pl.col("AESEV").replace_strict(order))
    worst = graded.group_by("USUBJID", "TRT01P").agg(pl.col("G").max())
    for arm in size:
        for name, grade in order.items():
            key = Key("patients", analysis="AE-SEV", arm=arm, variable="AEDECOD", level=name)
            wanted = worst.filter((pl.col("TRT01P") == arm) & (pl.col("G") == grade)).height
            assert made.numbers[key].estimate == wanted
