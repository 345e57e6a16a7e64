"""Studies: the same numbers whatever the threads, resumable, and readable measure by measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import OutputError, ScenarioError
from equipoise.plan.block_analyses import analyse
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read
from equipoise.run import run_study
from equipoise.simulate import Scenario, Simulator

MEASURES = (
    Key("contrast", analysis="alsfrs_f_w28", week=28),
    Key("p_joint_rank", analysis="alsfrs_f_w28"),
    Key("contrast", analysis="dthpv_itt_w28"),
    Key("p_log_rank", analysis="dthpv_itt_w28"),
    Key("baseline", variable="NFL", statistic="geometric_mean", set="F", arm="placebo"),
    Key("event_share", variable="left", set="ITT", week=28),
    Key("correlation", variable="NFL", statistic="spearman", set="ITT", arm="placebo", week=28),
    Key("slope", variable="ALSFRS", set="F", arm="placebo", week=28),
)


@pytest.fixture(scope="module")
def simulator(valor: Scenario) -> Simulator:
    return Simulator.of(valor.with_plan(valor.plan.only("alsfrs_f_w28", "dthpv_itt_w28")))


def values(simulator: Simulator, replicates: int, **options: object) -> np.ndarray:
    with run_study(simulator, MEASURES, replicates, **options) as study:  # type: ignore[arg-type]
        return np.stack([v for _, v in study.columns()], axis=1)


def test_property_threads_and_order_change_nothing(simulator: Simulator) -> None:
    one = values(simulator, 45, seed=5, threads=1)
    three = values(simulator, 45, seed=5, threads=3)
    np.testing.assert_array_equal(one, three)
    assert not np.isnan(one[:, 0]).any()


def test_property_more_replicates_keep_the_first(simulator: Simulator) -> None:
    np.testing.assert_array_equal(values(simulator, 23, seed=5), values(simulator, 45, seed=5)[:23])


def test_property_other_analyses_do_not_matter(valor: Scenario, simulator: Simulator) -> None:
    whole = Simulator.of(valor.with_plan(valor.plan.only("alsfrs_f_w28", "svc_f_w28", "dthpv_itt_w28")))
    np.testing.assert_array_equal(values(simulator, 8, seed=2), values(whole, 8, seed=2))


def test_property_interrupted_study_goes_on(simulator: Simulator, tmp_path: Path) -> None:
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(simulator, MEASURES, 60, seed=5, threads=1, store=tmp_path, progress=stop)
    assert max(seen) < 60
    first: list[int] = []
    with run_study(
        simulator, MEASURES, 60, seed=5, store=tmp_path, progress=lambda done, total: first.append(done)
    ) as study:
        resumed = np.stack([v for _, v in study.columns()], axis=1)
    assert first[0] >= 20
    np.testing.assert_array_equal(resumed, values(simulator, 60, seed=5))


def test_property_store_must_be_writable(simulator: Simulator, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        run_study(simulator, MEASURES, 2, store=blocked)


def test_property_damaged_store_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    with run_study(simulator, MEASURES, 3, seed=5, store=tmp_path) as study:
        (study.folder / "values.npy").write_bytes(b"junk")
    with pytest.raises(OutputError, match="damaged"):
        run_study(simulator, MEASURES, 3, seed=5, store=tmp_path)


def test_property_no_replicates_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ScenarioError, match="0 replicates"):
        run_study(simulator, MEASURES, 0)


def test_independent_measures_by_hand(simulator: Simulator) -> None:
    trials = simulator.block(9, 0, 3)
    table = read(trials, analyse(trials, simulator.scenario.plan), MEASURES)
    i = 1
    who = (trials.group[i] == 0) & (trials.arm[i] == 0)
    nfl = trials.outcomes["NFL"][i, who, 0]
    assert table[i, 4] == pytest.approx(np.log(nfl).mean())
    assert table[i, 5] == pytest.approx(np.mean(trials.last_week[i] < 28))
    score = trials.outcomes["ALSFRS"][i][:, :9]
    slopes = []
    for row in score[who]:
        seen = ~np.isnan(row)
        if seen.sum() > 1:
            slopes.append(np.polyfit(trials.weeks[:9][seen] / (30.4375 / 7), row[seen], 1)[0])
    assert table[i, 7] == pytest.approx(np.mean(slopes))


def test_property_unknown_measure_is_refused(simulator: Simulator) -> None:
    trials = simulator.block(1, 0, 1)
    with pytest.raises(ScenarioError, match="no analysis 'svc_f_w28'"):
        read(trials, {}, [Key("contrast", analysis="svc_f_w28")])
