"""What the benchmarks print: times above zero, ratios with their spread, and where there is no R."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import measure


def test_property_a_time_that_is_not_above_zero_is_no_measurement() -> None:
    for runs in ((), (0.0, 1.0), (-0.0036,)):
        with pytest.raises(ValueError, match="not a measurement"):
            measure.Spread(runs)


def test_property_quick_calls_are_repeated_until_the_clock_sees_them() -> None:
    ticks = iter(range(10**6))
    calls = []
    # a clock of one second a tick that stands still for the first three runs
    clock = iter([0.0] * 6 + [float(t) for t in ticks])
    taken = measure.measure(lambda: calls.append(1), 3, lambda: next(clock))
    assert len(taken.runs) == 3
    assert min(taken.runs) > 0.0
    assert len(calls) > 3 + 4


def test_property_ratios_carry_their_spread() -> None:
    ours, r = measure.Spread((1.0, 2.0, 4.0)), measure.Spread((10.0, 20.0, 30.0))
    assert r.over(ours) == (2.5, 10.0, 30.0)
    line = measure.Line("what", ours, 1.5, r)
    assert line.missed
    assert "MISSED (under 1.5)" in str(line)
    assert "10 times (2.5 to 30)" in str(line)
    assert not measure.Line("what", ours, 2.0).missed


def test_property_it_is_said_where_there_is_no_r(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    why = measure.r_beside(["survival"], "", {"a": "1"}, {"d": pl.DataFrame({"x": [1]})})
    assert isinstance(why, str)
    assert "Rscript is not here" in str(measure.Line("what", measure.Spread((1.0,)), None, measure.beside(why, "a")))
