"""The posterior of VALOR's function block, small: what it is made of, what is refused, and that it can be resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from equipoise.calibrate import targets
from equipoise.calibrate.cohort import Predictor, cohort
from equipoise.calibrate.fitting import with_parameters
from equipoise.calibrate.plan import load_plan
from equipoise.calibrate.posterior import Posterior, Sizes, posterior, summary
from equipoise.calibrate.posterior.effects import as_effect, effect_draws, effect_keys
from equipoise.calibrate.posterior.emulator import Emulator
from equipoise.calibrate.posterior.likelihood import adjustments_of, combination, keys_of, observed, statistics_of
from equipoise.calibrate.posterior.mechanisms import Model, fitted_values, sobol
from equipoise.calibrate.posterior.sampling import AGREE, PARETO_GOOD, tempered
from equipoise.calibrate.posterior.uncut import linear_covariance, uncut
from equipoise.cli.posterior import _clear
from equipoise.errors import ScenarioError
from equipoise.plan.key import Key
from equipoise.records import load_record
from equipoise.run import run_study
from equipoise.simulate import Simulator, load_scenario
from equipoise.simulate.mechanism import Mechanism

SMALL = Sizes(points=100, copies=6, replicates=120, particles=400, corrected=40)


@pytest.fixture(scope="module")
def small() -> Posterior:
    return posterior(load_record("valor"), load_scenario("valor"), mechanisms=["none", "slowing"], sizes=SMALL)


def test_property_no_number_counts_twice() -> None:
    """A difference whose two means are there is left out, and every standard error that was published."""
    record, scenario = load_record("valor"), load_scenario("valor")
    found = targets(record, scenario, load_plan("valor"))
    labels = [s.label for s in statistics_of(found, "function")]
    assert len(labels) == len(set(labels))
    assert not any(label.startswith(("contrast:", "contrast_se:")) for label in labels)
    held_out = statistics_of(found, "function", later=True, outcome="ALSFRS")
    after = {s.label for s in held_out} - set(labels)
    assert after
    assert all(label.endswith(":w52") for label in after)


def test_property_later_numbers_are_predicted_of_everyone() -> None:
    """Not all go on into the extension; the cohort without dropout has them all, so that week 52 has a value."""
    record, scenario = load_record("valor"), load_scenario("valor")
    assert scenario.protocol.extension is not None
    assert scenario.protocol.extension.entry < 1.0
    found = statistics_of(targets(record, scenario, load_plan("valor")), "function", later=True, outcome="ALSFRS")
    people = cohort(scenario, Mechanism.LAGGED, 2, 1, dropout=False, randomised_only=False)
    after = Predictor(scenario, people)([k for k in keys_of(found) if k.week == 52])
    assert len(after) > 1
    assert np.isfinite(after).all()


def test_reference_what_adjusting_for_neurofilament_did() -> None:
    """1.4 points without and 2.1 with baseline neurofilament among the covariates, at week 28 (EMA p.64)."""
    found = targets(load_record("valor"), load_scenario("valor"), load_plan("valor"))
    (adjusting,) = adjustments_of(found, "ALSFRS", "NFL")
    assert adjusting.value == pytest.approx(0.7)
    assert sorted(times for _, times in adjusting.terms) == [-1.0, 1.0]


def test_property_posterior_lies_in_the_prior_and_both_methods_agree(small: Posterior) -> None:
    for m in small.mechanisms.values():
        low, high = np.array([f.low for f in m.free]), np.array([f.high for f in m.free])
        assert ((m.draws >= low) & (m.draws <= high)).all()
        assert m.weights.weights.sum() == pytest.approx(1.0)
        assert abs(m.log_evidence - m.bridge) < 0.5
        assert all(c <= 1 for c in m.contraction.values())
        assert 4 < m.observed.effective()["all"] < len(m.observed.statistics)
        curve = m.observed.effective()["alsfrs_f_w28, tofersen"]
        assert 1 < curve < 4  # eight points that share their patients
    assert sum(small.weights().values()) == pytest.approx(1.0)
    one = small.bayes_factor(Mechanism.NONE, Mechanism.SLOWING)
    assert small.weights()[Mechanism.NONE] == pytest.approx(one / (1 + one))


def test_property_draws_are_as_a_design_study_reads_them(small: Posterior) -> None:
    table = pl.DataFrame(small.columns())
    assert set(table["mechanism"]) == {"none", "slowing"}
    assert float(table["weight"].sum()) == pytest.approx(1.0)
    assert {"effect.weight", "groups.F.root_rate_mean", "groups.S.root_rate_nfl", "groups.F.root_rate_nfl"} <= set(
        table.columns
    )
    none = table.filter(pl.col("mechanism") == "none")
    assert none["effect.weight"].null_count() == len(none)
    json.dumps(summary(small), allow_nan=False)


def test_property_fitted_values_are_those_of_the_scenario() -> None:
    scenario, plan = load_scenario("valor"), load_plan("valor")
    free = (*plan.blocks["function"].free, *plan.effects[Mechanism.SLOWING])
    values = fitted_values(scenario, Mechanism.SLOWING, free)
    groups, _, effect = scenario.under(Mechanism.SLOWING)
    by_place = dict(zip([f.place for f in free], values, strict=True))
    assert by_place["effect.weight"] == pytest.approx(effect.weight)
    assert by_place["groups.S.root_rate_sd"] == pytest.approx(groups["S"].root_rate_sd)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mechanisms": ["magic"]}, "no mechanism 'magic'"),
        ({"block": "nerves"}, "no block 'nerves'"),
        ({"prior": {"none": 1.0}}, "nothing for"),
        ({"prior": {"none": -1.0, "symptomatic": 1, "slowing": 1, "lagged": 1}}, "none = -1"),
        ({"discrepancy": 0.0}, "discrepancy 0"),
        ({"mechanisms": ["none"], "sizes": Sizes(points=20, copies=4, replicates=100)}, "20 points for 10 parameters"),
        ({"mechanisms": ["none"], "sizes": Sizes(points=100, copies=4, replicates=30)}, "30 replicates for"),
    ],
)
def test_property_what_cannot_be_is_refused(options: dict, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        posterior(load_record("valor"), load_scenario("valor"), **options)


def test_property_a_run_cut_short_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    record, scenario = load_record("valor"), load_scenario("valor")
    tiny = Sizes(points=80, copies=4, replicates=90, particles=200, corrected=20)

    class Cut(Exception):
        pass

    def cut(label: str, done: int, of: int) -> None:
        if "wave 2" in label and done > 20:
            raise Cut

    options = {"mechanisms": ["none"], "sizes": tiny}
    whole = posterior(record, scenario, **options)
    with pytest.raises(Cut):
        posterior(record, scenario, **options, store=tmp_path / "runs", progress=cut)
    kept = len(list((tmp_path / "runs").rglob("*.parquet")))
    assert kept > 1
    again = posterior(record, scenario, **options, store=tmp_path / "runs")
    assert summary(again) == summary(whole)


def test_property_command_writes_draws_and_summary(tmp_path: Path) -> None:
    sizes = ["--points", "80", "--copies", "4", "--replicates", "90", "--draws", "20", "--quiet"]
    command = [sys.executable, "-m", "equipoise", "posterior", "valor", "--mechanism", "none", *sizes]
    done = subprocess.run([*command, "--out", "draws.csv"], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "worth" in done.stdout
    told = json.loads((tmp_path / "draws.json").read_text())
    assert told["command"].startswith("equipoise posterior valor --mechanism none --points 80")
    assert pl.read_csv(tmp_path / "draws.csv")["weight"].sum() == pytest.approx(1.0, abs=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["draws.csv", "draws.json"]
    for wrong, problem in ((["--out", "draws.txt"], ".csv or .parquet"), (["--prior", "none"], "no weight")):
        refused = subprocess.run([*command, *wrong], cwd=tmp_path, capture_output=True, text=True, timeout=900)
        assert refused.returncode == 2
        assert problem in refused.stderr


def test_property_sobol_points_fill_the_box_evenly() -> None:
    x = sobol(np.zeros(3), np.ones(3), 256, 4)
    assert x.shape == (256, 3)
    assert np.abs(x.mean(axis=0) - 0.5).max() < 0.005


@dataclass(frozen=True)
class Block:
    """Three parameters of VALOR's function block, with the emulator of what it predicts between ``low`` and ``high``.

    Nothing is read off a curve, so the discrepancy is next to nothing.
    """

    model: Model
    truth: np.ndarray
    low: np.ndarray
    high: np.ndarray
    emulator: Emulator

    def papers(self, theta: np.ndarray, replicates: int, seed: int) -> np.ndarray:
        """(paper, statistic) of trials simulated at ``theta``, whitened as the published ones are."""
        model = self.model
        at = with_parameters(model.scenario, model.mechanism, model.free, theta)
        seen = model.observed
        keys = keys_of(seen.statistics)
        with run_study(Simulator.of(at, model.mechanism), keys, replicates, seed=seed) as study:
            values = np.stack([study.values(k) for k in keys], axis=1) @ combination(seen.statistics).T
        return np.linalg.solve(np.linalg.cholesky(seen.covariance), (values - seen.value).T).T

    def draws(
        self, paper: np.ndarray, seed: int, covariance: np.ndarray | None = None, shift: float | np.ndarray = 0.0
    ) -> np.ndarray:
        """(draw, parameter) of the posterior given one paper; covariance, shift : elsewhere than at the fit."""
        whole = (np.eye(len(paper)) if covariance is None else covariance) + np.diag(self.emulator.error**2)
        root = np.linalg.cholesky(whole)

        def likelihood(x: np.ndarray) -> np.ndarray:
            return np.asarray(-0.5 * (np.linalg.solve(root, (self.emulator(x) + shift - paper).T) ** 2).sum(axis=0))

        return tempered(likelihood, self.low, self.high, particles=400, seed=seed).draws


@pytest.fixture(scope="module")
def block() -> Block:
    record, scenario, plan = load_record("valor"), load_scenario("valor"), load_plan("valor")
    mechanism = Mechanism.SLOWING
    free = tuple(
        f for f in plan.blocks["function"].free if f.place in ("groups.F.root_rate_mean", "groups.*.root_rate_nfl")
    )
    free = (*free, *plan.effects[mechanism])
    statistics = [
        replace(s, reading=0.0)
        for s in statistics_of(targets(record, scenario, plan), "function")
        if s.curve is not None
    ]
    seen = observed(
        scenario,
        mechanism,
        statistics,
        dropout=False,
        later=False,
        replicates=1500,
        copies=80,
        seed=5,
        discrepancy=0.05,
    )
    model = Model(scenario, mechanism, free, seen, 80, 5, False, False)
    truth = fitted_values(scenario, mechanism, free)
    low = np.maximum(truth - np.array([0.6, 0.6, 0.9]), model.low)
    high = np.minimum(truth + np.array([0.6, 0.6, 0.9]), model.high)
    design = sobol(low, high, 128, 3)
    emulator = Emulator.of(design, seen.whitened(np.stack([model.predicted(t) for t in design])), low, high)
    return Block(model, truth, low, high, emulator)


@pytest.mark.slow
def test_simulation_intervals_cover_the_truth_behind_a_simulated_paper(block: Block) -> None:
    """D7: simulated trials stand for the published one; 90 % intervals hold the truth 85 to 95 times in 100.

    The mechanism is right. 400 papers; the Monte Carlo error of the coverage is 1.5 points.
    """
    inside = []
    for number, paper in enumerate(block.papers(block.truth, 400, seed=77)):
        edge = np.quantile(block.draws(paper, number), (0.05, 0.95), axis=0)
        inside.append((block.truth >= edge[0]) & (block.truth <= edge[1]))
    covered = np.mean(inside, axis=0)
    assert ((covered > 0.85) & (covered < 0.95)).all(), covered


@pytest.mark.slow
def test_simulation_based_calibration_of_a_block_of_the_simulator(block: Block) -> None:
    """150 truths from the prior, a paper simulated at each: where a truth lies among the draws of its posterior is
    uniform (Talts et al. 2018, arXiv:1804.06788; chi-square over ten tenths, P > 0.003 for each of three parameters,
    1 in 100 for all).

    As for a published paper, the covariance of the numbers is that of trials simulated where the paper comes from.
    With that of one place for all truths the ranks are not uniform: half a prior away it no longer holds.
    """
    rng = np.random.default_rng(20261129)
    truths = rng.uniform(block.low, block.high, (150, len(block.low)))
    ranks = []
    for number, truth in enumerate(truths):
        paper, *others = block.papers(truth, 401, seed=1000 + number)
        there = np.array(others)
        # the inverse of a covariance of n replicates is too large by this factor (Hartlap et al. 2007)
        n, m = there.shape
        covariance = np.cov(there.T) * (n - 1) / (n - m - 2)
        shift = there.mean(axis=0) - block.emulator(truth[None])[0]
        made = block.draws(paper, number, covariance, shift)
        ranks.append((made[::2] < truth).mean(axis=0))  # every other: resampled twins stand side by side
    counts = [np.histogram([r[k] for r in ranks], bins=10, range=(0, 1.0000001))[0] for k in range(truths.shape[1])]
    p = [float(stats.chisquare(c).pvalue) for c in counts]
    assert min(p) > 0.003, (p, counts)


@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur"])
def test_property_shipped_draws_were_reached_and_fit_their_summary(name: str) -> None:
    folder = resources.files("equipoise.library") / name
    told = json.loads((folder / "posterior.json").read_text(encoding="utf-8"))
    table = pl.read_csv(folder.joinpath("posterior.csv").read_bytes(), infer_schema_length=None)
    scenario = load_scenario(name)
    assert set(told["mechanisms"]) == {m.value for m in scenario.mechanisms}
    for mechanism, m in told["mechanisms"].items():
        assert m["pareto_k"] < PARETO_GOOD, mechanism
        assert abs(m["log_evidence"] - m["log_evidence_bridge"]) < AGREE, mechanism
        own = table.filter(pl.col("mechanism") == mechanism)
        assert len(own) == m["draws"]
        assert float(own["weight"].sum()) == pytest.approx(m["weight"], abs=1e-4)
        for place, parameter in m["parameters"].items():
            column = own[place.replace("*", next(iter(scenario.protocol.groups)))]
            assert parameter["low"] <= float(column.median()) <= parameter["high"]


def test_property_what_later_numbers_add_was_reached() -> None:
    """VALOR's week 52 counted too: both methods agree, and no weights run off."""
    folder = resources.files("equipoise.library") / "valor"
    told, alone = (
        json.loads((folder / f).read_text(encoding="utf-8")) for f in ("posterior_later.json", "posterior.json")
    )
    assert told["after_the_randomised_period"]
    assert not alone["after_the_randomised_period"]
    for mechanism, m in told["mechanisms"].items():
        assert m["pareto_k"] < PARETO_GOOD, mechanism
        assert abs(m["log_evidence"] - m["log_evidence_bridge"]) < AGREE, mechanism
    assert sum(m["weight"] for m in told["mechanisms"].values()) == pytest.approx(1.0, abs=1e-3)


def test_property_what_else_lies_beside_the_runs_stays(tmp_path: Path) -> None:
    runs = tmp_path / "draws.runs"
    (runs / "abc").mkdir(parents=True)
    (runs / "abc" / "study.json").write_text("{}")
    (runs / "notes.txt").write_text("mine")
    _clear(runs)
    assert [p.name for p in runs.iterdir()] == ["notes.txt"]
    (runs / "notes.txt").unlink()
    _clear(runs)
    assert not runs.exists()


def test_independent_the_effect_of_a_draw_is_its_ratio_of_hazards() -> None:
    """A hazard that is lower by one factor: minus its logarithm is the effect, but for chance in a large cohort."""
    record, scenario = load_record("riluzole1994"), load_scenario("riluzole1994")
    folder = resources.files("equipoise.library") / "riluzole1994"
    draws = pl.read_csv(folder.joinpath("posterior.csv").read_bytes(), infer_schema_length=None)
    some = pl.concat([draws.filter(pl.col("mechanism") == m).head(2) for m in ("none", "survival")])
    made = effect_draws(record, scenario, some, "surv_itt_w52")
    assert made["mechanism"].to_list() == some["mechanism"].to_list()
    assert made["effect"].to_list()[:2] == [0.0, 0.0]
    ratios = some["effect.hazard_ratio"].to_list()[2:]
    assert made["effect"].to_list()[2:] == pytest.approx([-np.log(float(r)) for r in ratios], abs=0.12)
    kept = pl.read_csv(folder.joinpath("effect_on_surv_itt_end.csv").read_bytes(), infer_schema_length=None)
    assert kept["weight"].to_list() == draws["weight"].to_list()
    with pytest.raises(ScenarioError, match="no effect on the result"):
        effect_keys(record, scenario, load_plan("riluzole1994"), "bulbar_function")
    with pytest.raises(ScenarioError, match="no column"):
        effect_draws(record, scenario, some.drop("disease.event_hazard"), "surv_itt_w52")


def test_independent_an_effect_that_wanes_is_smaller_by_the_end() -> None:
    """Riluzole's waning draws: over 91 weeks less of the hazard is saved than over the randomised 52."""
    record, scenario = load_record("riluzole1994"), load_scenario("riluzole1994")
    folder = resources.files("equipoise.library") / "riluzole1994"
    table = pl.read_csv(folder.joinpath("posterior.csv").read_bytes(), infer_schema_length=None)
    draws = table.filter(pl.col("mechanism") == "waning").head(3)
    early, end = (effect_draws(record, scenario, draws, r)["effect"] for r in ("surv_itt_w52", "surv_itt_end"))
    assert (end < 0.95 * early).all()


def test_property_no_number_is_predicted_beyond_the_cohort() -> None:
    scenario = load_scenario("riluzole1994")
    people = cohort(scenario, Mechanism.WANING, 2, 1, dropout=False)
    late = Key("event_share", variable="death_or_tracheostomy", set="ITT", arm="placebo", week=91)
    with pytest.raises(ScenarioError, match="beyond week 52"):
        Predictor(scenario, people)([late])


def test_reference_an_effect_on_function_is_a_month_of_it() -> None:
    key = effect_keys(
        load_record("edaravone2017"), load_scenario("edaravone2017"), load_plan("edaravone2017"), "alsfrs_fas_w24"
    )
    assert [k.quantity for k in key] == ["contrast"]
    assert as_effect(key, np.array([[2.49]]), 24.0) == pytest.approx(2.49 / (24 * 7 / 30.4375))


def test_reference_a_nuisance_that_is_let_free_widens_what_it_is_confused_with() -> None:
    """y1 = a + b, y2 = b, errors of 1: the variance of a is 1 with b held, 2 with b free."""
    wide = np.full(2, 1e6)
    slope = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert linear_covariance(slope, np.eye(2), wide)[0, 0] == pytest.approx(2.0, rel=1e-6)
    assert linear_covariance(slope[:1, :1], np.eye(1), wide[:1])[0, 0] == pytest.approx(1.0, rel=1e-6)


def test_property_a_block_that_is_not_there_cannot_be_let_free() -> None:
    with pytest.raises(ScenarioError, match="no block 'nerves'"):
        uncut(load_record("centaur"), load_scenario("centaur"), "slowing", free="nerves")


@pytest.mark.slow
def test_property_the_cut_is_told_for_a_block_that_is_there() -> None:
    record, scenario = load_record("centaur"), load_scenario("centaur")
    found = uncut(record, scenario, "slowing", free="baseline", copies=4, replicates=60)
    assert [u.place for u in found] == ["groups.*.root_rate_mean", "groups.*.root_rate_sd", "effect.weight"]
    assert all(0.0 < u.held < 1.0 and u.wider > 0.5 for u in found)
