"""A belief over worlds carried through a design: assurance and its parts, what a trial teaches, what it is worth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from plain_study import SD, study
from scipy import integrate, stats

from equipoise.decision import assurance
from equipoise.design import DesignResult, design
from equipoise.design.belief import covariance
from equipoise.errors import ScenarioError
from equipoise.run.executors import Threads

N = 120
SE = SD * math.sqrt(4.0 / N)
"""Of the difference of two arms of 60 each."""

LIFTS = {"label": "lifts", "mechanism": "symptomatic", "weight": 0.3}
NOTHING = {"label": "nothing", "mechanism": "none", "no_effect": True, "weight": 0.7}


def judged(folder: Path, worlds: dict[str, Any], replicates: int = 2000, **more: Any) -> DesignResult:
    own = study(folder, worlds=worlds, factors={"patients": [N]}, **more)
    return design(own, replicates=replicates, executor=Threads(1))


def power_of(gain: float) -> float:
    return assurance(mean=gain, sd=0.0, se=SE).power


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> DesignResult:
    return judged(
        tmp_path_factory.mktemp("two"),
        {"none": NOTHING, "lifts": LIFTS},
        stakes={"unit": "points", "works": 3.0, "nothing": -1.0},
    )


def test_simulation_assurance_and_its_parts_are_the_closed_form(two: DesignResult) -> None:
    made = two.assurance()[0]
    power = power_of(3.0)
    assert made.works == pytest.approx(0.3)
    for share, expected in (
        (made.assurance, 0.3 * power + 0.7 * 0.025),
        (made.works_and_shown, 0.3 * power),
        (made.works_and_missed, 0.3 * (1 - power)),
        (made.nothing_and_shown, 0.7 * 0.025),
        (made.nothing_and_not_shown, 0.7 * 0.975),
        (made.works_if_shown, 0.3 * power / (0.3 * power + 0.7 * 0.025)),
        (made.success_if_works, power),
    ):
        # the t test of 118 degrees of freedom has a little less power than the normal one
        assert share.value == pytest.approx(expected, abs=4 * share.mc_error + 0.004)
    parts = (made.works_and_shown, made.works_and_missed, made.nothing_and_shown, made.nothing_and_not_shown)
    assert sum(p.value for p in parts) == pytest.approx(1.0, abs=1e-12)


def test_independent_errors_count_the_patients_that_worlds_share(two: DesignResult) -> None:
    none, lifts = two.cells
    both = 0.7 * none.successes + 0.3 * lifts.successes
    made = two.assurance()[0]
    assert made.assurance.mc_error == pytest.approx(both.std(ddof=1) / math.sqrt(len(both)), rel=1e-3)
    assert two.averaged()["mc_error"][0] == made.assurance.mc_error
    # by resampling: the ratio, whose error is the delta method's
    rng = np.random.default_rng(2)
    rows = rng.integers(0, len(both), (800, len(both)))
    a, b = 0.3 * lifts.successes[rows].mean(axis=1), 0.7 * none.successes[rows].mean(axis=1)
    assert made.works_if_shown.mc_error == pytest.approx(float((a / (a + b)).std()), rel=0.1)
    assert covariance(two.cells)[0, 1] > 0.0


def test_simulation_draws_are_averaged_over(tmp_path: Path) -> None:
    """Draws of a belief about the gain: success is the mean of their powers, not the power of their mean."""
    gains = np.random.default_rng(9).gamma(1.0, 4.0, 4000)
    file = tmp_path / "draws.csv"
    table = pl.DataFrame({"mechanism": ["symptomatic"] * 4000, "weight": np.ones(4000), "effect.gain": gains})
    table.write_csv(file)
    own = study(tmp_path, factors={"patients": [N]}).under(file)
    assert list(own.worlds) == ["posterior-symptomatic"]
    assert own.weighed
    made = design(own, replicates=2000, executor=Threads(1)).assurance()[0]
    expected = float(np.mean([power_of(float(g)) for g in gains]))
    assert made.assurance.value == pytest.approx(expected, abs=4 * made.assurance.mc_error + 0.004)
    assert abs(power_of(float(gains.mean())) - expected) > 0.03


def test_property_a_world_of_another_kind_is_not_counted_with_its_mechanism(tmp_path: Path) -> None:
    own = {"label": "too little", "mechanism": "symptomatic", "kind": "none", "no_effect": True, "weight": 0.2}
    worlds = {"none": {**NOTHING, "weight": 0.5}, "little": {**own, "effect": {"gain": 0.5}}, "lifts": LIFTS}
    (lesson,) = judged(tmp_path, worlds, replicates=400).teaches()
    assert lesson.mechanisms == ("none", "too little", "symptomatic")
    assert lesson.before == pytest.approx([0.5, 0.2, 0.3])


def test_property_draws_of_two_mechanisms_are_weighed_by_their_column(tmp_path: Path) -> None:
    file = tmp_path / "draws.csv"
    file.write_text(
        "mechanism,weight,effect.gain,disease.residual.sd\nnone,3,,5\nnone,3,,5\nsymptomatic,2,3,5\nsymptomatic,2,3,5\n"
    )
    own = study(tmp_path, factors={"patients": [N]}).under(file)
    made = design(own, replicates=200, executor=Threads(1)).assurance()[0]
    assert made.works == pytest.approx(0.4)
    # a mechanism that has no parameter of its own is as the scenario has it
    file.write_text("mechanism,weight,effect.gain\nnone,3,\nsymptomatic,2,3\n")
    bare = study(tmp_path, factors={"patients": [N]}).under(file)
    assert bare.worlds["posterior-none"].draws is None
    again = design(bare, replicates=200, executor=Threads(1)).assurance()[0]
    assert again.works == pytest.approx(0.4)
    with pytest.raises(ScenarioError, match=r"nothing\.csv"):
        own.under(tmp_path / "nothing.csv")
    (tmp_path / "plain.csv").write_text("weight,disease.residual.sd\n1,5\n")
    assert study(tmp_path).under(tmp_path / "plain.csv").worlds["posterior"].mechanism == "symptomatic"


def _expected_weight(prior: float, gap: float) -> tuple[float, float, float]:
    """Expected weight of the lift if it is true, expected log Bayes factor, and bits, of one normal estimate."""

    def post(x: float) -> float:
        a, b = prior * stats.norm.pdf(x, gap), (1 - prior) * stats.norm.pdf(x)
        return float(a / (a + b))

    after = integrate.quad(lambda x: post(x) * stats.norm.pdf(x, gap), -8, gap + 8)[0]
    bits = integrate.quad(
        lambda x: (
            prior * stats.norm.pdf(x, gap) * math.log2(post(x) / prior)
            + (1 - prior) * stats.norm.pdf(x) * math.log2((1 - post(x)) / (1 - prior))
        ),
        -7,
        gap + 7,
    )[0]
    return after, gap * gap / 2.0, bits


def test_simulation_what_a_trial_teaches_is_bayes_theorem(two: DesignResult) -> None:
    made = two.teaches()[0]
    assert made.mechanisms == ("none", "symptomatic")
    assert made.on == "estimates"
    after, factor, bits = _expected_weight(0.3, 3.0 / SE)
    assert made.after[1, 1] == pytest.approx(after, abs=4 * made.after_error[1, 1] + 0.003)
    assert made.log_bayes_factor[1, 0] == pytest.approx(factor, rel=0.05)
    assert made.bits == pytest.approx(bits, abs=4 * made.bits_error + 0.005)
    assert made.bits < made.entropy
    # weights after the trial are, on average over what is believed, those before it
    np.testing.assert_allclose(made.before @ made.after, made.before, atol=0.02)
    np.testing.assert_allclose(made.after.sum(axis=1), 1.0, atol=1e-12)


def test_property_a_trial_of_one_truth_teaches_nothing(tmp_path: Path) -> None:
    """Two mechanisms that are one and the same: the weights stay, and no information is claimed."""
    same = judged(
        tmp_path,
        {"none": {**NOTHING, "mechanism": "symptomatic", "effect": {"gain": 1e-9}, "weight": 0.5}, "lifts": NOTHING},
        replicates=800,
    )
    made = same.teaches()[0]
    np.testing.assert_allclose(np.diag(made.after), made.before, atol=0.02)
    assert made.bits == pytest.approx(0.0, abs=4 * made.bits_error + 0.002)


def test_property_two_analyses_of_one_quantity_count_once() -> None:
    """A second analysis that differs by rounding, in one world more than in the other, is no second witness."""
    from equipoise.design.belief import _basis, _densities

    rng = np.random.default_rng(3)
    first = [rng.normal(m, 1.0, (600, 1)) for m in (0.0, 1.0)]
    both = [np.hstack([x, x + (k + 1) * 1e-3 * rng.normal(size=x.shape)]) for k, x in enumerate(first)]
    basis = _basis(both)
    assert basis is not None
    assert basis.shape == (2, 1)
    one, two = _densities(first), _densities(both)
    assert one is not None
    assert two is not None
    gaps = [[d[:, 1] - d[:, 0] for d in side] for side in (one, two)]
    np.testing.assert_allclose(gaps[0], gaps[1], atol=0.05)


def test_property_with_few_replicates_success_alone_teaches(tmp_path: Path) -> None:
    made = judged(tmp_path, {"none": NOTHING, "lifts": LIFTS}, replicates=30).teaches()[0]
    assert made.on == "success"
    assert 0.0 <= made.bits < made.entropy


def test_simulation_the_worth_of_a_trial(two: DesignResult) -> None:
    """Gains 3 and -1 at weights 0.3 and 0.7: now 0.2, certainty 0.9; a trial between."""
    made = two.worth()[0]
    assert made.give
    assert (made.now, made.evpi) == pytest.approx((0.2, 0.7))
    power = power_of(3.0)
    assert made.by_rule == pytest.approx(0.9 * power - 0.7 * 0.025 - 0.2, abs=4 * made.by_rule_error + 0.01)

    # the drug is given where the likelihood ratio is above 0.7 / 0.9
    gap = 3.0 / SE
    cut = math.log(0.7 / 0.9) / gap + gap / 2.0
    best = 0.9 * stats.norm.sf(cut - gap) - 0.7 * stats.norm.sf(cut) - 0.2
    assert made.evsi == pytest.approx(best, abs=4 * made.evsi_error + 0.005)
    assert made.by_rule <= made.evsi + 1e-9 <= made.evpi + 2e-9
    assert "points" in made.to_sentence()


def test_simulation_the_worth_by_the_point_is_an_integral(tmp_path: Path) -> None:
    """A grid of gains with weights, and a burden: EVPI is a sum, EVSI one integral over the estimate."""
    grid = np.linspace(0.0, 5.0, 6)
    weight = np.array([4.0, 3.0, 3.0, 2.0, 1.0, 1.0]) / 14.0
    worlds = {
        f"w{k}": {"label": f"{g:g}", "mechanism": "symptomatic", "effect": {"gain": float(g)}, "weight": float(w)}
        for k, (g, w) in enumerate(zip(grid, weight, strict=True))
    }
    stakes = {"unit": "points", "per_point": 2.0, "burden": 3.0, "people": 10}
    made = judged(tmp_path, worlds, replicates=600, stakes=stakes).worth()[0]
    gain = 10 * (2.0 * grid - 3.0)
    now = max(float(weight @ gain), 0.0)
    x = np.linspace(-8.0, 13.0, 20001)
    scored = (weight * gain) @ stats.norm.pdf(x, grid[:, None], SE)
    evsi = float(np.maximum(scored, 0.0).sum() * (x[1] - x[0])) - now
    assert made.now == pytest.approx(now, abs=0.05)
    assert made.evpi == pytest.approx(float(weight @ np.maximum(gain, 0.0)) - now, abs=0.05)
    assert made.evsi == pytest.approx(evsi, abs=4 * made.evsi_error)
    assert made.evsi_error < 0.25 * evsi


def test_property_reports_tell_it_where_worlds_are_weighed(two: DesignResult, tmp_path: Path) -> None:
    from equipoise.design.report import drawings, report_html, report_markdown

    said = report_markdown(two)
    for heading in ("Assurance: success over all worlds", "What the trial would teach", "What the trial is worth"):
        assert heading in said
        assert heading in report_html(two)
    assert "Over all worlds" in two.summary()
    belief = two.assurance()[0]
    drawn = drawings(two)["assurance"].description
    assert f"works and shown {100 * belief.works_and_shown.value:.0f} %" in drawn
    assert f"does nothing and not shown {100 * belief.nothing_and_not_shown.value:.0f} %" in drawn
    assert {"assurance", "teaches", "worth"} <= set(two.to_dict())
    alike = judged(tmp_path, {"none": {**NOTHING, "weight": 1}, "lifts": {**LIFTS, "weight": 1}}, replicates=20)
    assert "Over all worlds" not in alike.summary()
    assert "assurance" not in alike.to_dict()
    with pytest.raises(ScenarioError, match="no stakes"):
        alike.worth()


@pytest.mark.parametrize(
    "stakes", [{"unit": "x"}, {"unit": "x", "works": 1}, {"unit": "x", "works": 1, "nothing": 0, "per_point": 1}]
)
def test_property_stakes_are_said_one_way(tmp_path: Path, stakes: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError, match="works and nothing"):
        study(tmp_path, stakes=stakes)


def test_property_parts_that_do_not_add_up_are_not_drawn() -> None:
    from equipoise.errors import DataError
    from equipoise.plot import assurance_parts

    row = {"design": "d", "works_and_shown": 0.3, "works_and_missed": 0.3, "nothing_and_shown": 0.1}
    with pytest.raises(DataError, match="add up"):
        assurance_parts([{**row, "nothing_and_not_shown": 0.2}])
    assert assurance_parts([{**row, "nothing_and_not_shown": 0.3}]).description.startswith("d: works and shown 30 %")
