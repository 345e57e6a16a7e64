"""Natural history read from the records: every number from its source, none recalled, the arithmetic by hand."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise import load_record, natural_history
from equipoise.appraise.landscape.natural_history import QUANTITIES, coarse
from equipoise.errors import RecordError
from equipoise.types import DAYS_PER_MONTH

MONTHS_24 = 24 * 7 / DAYS_PER_MONTH


def controls(quantity: str) -> dict[str, tuple[float, float]]:
    made = natural_history("als", quantity)[0]
    return {c.record.id: (c.value, c.se) for c in made.controls}


def test_independent_slopes_are_the_printed_ones() -> None:
    found = controls("slope")
    assert found["centaur"] == pytest.approx((-1.66, 0.16))  # printed by the month
    assert found["edaravone2017"] == pytest.approx((-7.50 / MONTHS_24, 0.66 / MONTHS_24))
    assert found["mci186_16"] == pytest.approx((-6.35 / MONTHS_24, 0.84 / MONTHS_24))
    # VALOR, everyone: -5.8 points at week 28, difference 1.4 (-1.3 to 4.1), 36 and 72 people
    se = (4.1 + 1.3) / 2 / 1.959964 / math.sqrt(1 / 36 + 1 / 72) / math.sqrt(36)
    assert found["valor"] == pytest.approx((-5.8 / MONTHS_24 * 24 / 28, se / MONTHS_24 * 24 / 28), rel=1e-4)


def test_independent_spreads_and_rates_by_hand() -> None:
    spread = controls("spread")
    sd = 0.78 / math.sqrt(1 / 99 + 1 / 99) / MONTHS_24
    people = load_record("mci186_16").analysis_set("FAS").n
    n, m = (int(people[a].value or 0) for a in ("placebo", "edaravone"))
    sd = 0.78 / math.sqrt(1 / n + 1 / m) / MONTHS_24
    assert spread["mci186_16"] == pytest.approx((math.log(sd), 1 / math.sqrt(2 * (n + m - 2))))
    events = controls("events")
    months = 52 * 7 / DAYS_PER_MONTH
    share = 33 / 78
    cumulative = -math.log(1 - share)
    assert events["riluzole1994"][0] == pytest.approx(math.log(cumulative / months))
    assert events["riluzole1994"][1] == pytest.approx(math.sqrt(share / (78 * (1 - share))) / cumulative)
    # VALOR tells its two sets apart: 2 of 21 and 0 of 15
    assert events["valor"][0] == pytest.approx(math.log(-math.log(1 - 2 / 36) / (28 * 7 / DAYS_PER_MONTH)))
    assert "4 of 42" in str(natural_history("als", "leaving")[0])


def test_property_every_number_has_a_source_and_none_is_recalled() -> None:
    for history in natural_history("als"):
        assert len(history.controls) >= 2
        for c in history.controls:
            assert c.sourced.usable
            assert c.confidence in ("seen", "slide", "curve", "derived")
            title, _ = c.source
            assert title
            assert title in history.summary()
        # riluzole's withdrawals stand in its record from memory
        assert history.quantity.id != "leaving" or "riluzole1994" not in {c.record.id for c in history.controls}
        reasons = {x.record.id: x.reason for x in history.left}
        assert reasons["mt1186_a02"] == "its control is no placebo"
        assert not {c.record.id for c in history.controls} & set(reasons)


def test_property_a_trial_left_out_moves_its_own_prior() -> None:
    whole, without = natural_history("als", "slope")[0], natural_history("als", "slope", without=["valor"])[0]
    assert {c.record.id for c in whole.controls} - {c.record.id for c in without.controls} == {"valor"}
    assert without.prior.mean < whole.prior.mean  # VALOR lost least
    wide = natural_history("als", "slope", tau_scale=2.0)[0]
    assert wide.found.predictive.sd > whole.found.predictive.sd
    plain = natural_history("als", "slope", share=0.0)[0]
    assert plain.prior.sd == pytest.approx(plain.found.predictive.sd)
    assert whole.prior.sd > plain.prior.sd


def test_property_few_components_keep_mean_and_spread() -> None:
    prior = natural_history("als", "slope")[0].prior
    few = coarse(prior)
    assert len(few.weights) <= 6
    assert (few.mean, few.sd) == pytest.approx((prior.mean, prior.sd))
    for q in (0.025, 0.25, 0.75, 0.975):
        assert few.quantile(q) == pytest.approx(prior.quantile(q), abs=0.06)


def test_property_the_forest_draws_what_is_told() -> None:
    made = natural_history("als", "events")[0]
    said = made.plot().description
    for c in made.controls:
        assert c.name in said
    assert "No effect" not in said
    assert "A new trial" in said


def test_independent_the_command_line_writes_both(tmp_path: Path) -> None:
    out, plot = tmp_path / "h.json", tmp_path / "h.svg"
    words = ["natural-history", "als", "--quantity", "slope", "--out", str(out), "--plot", str(plot)]
    done = subprocess.run([sys.executable, "-m", "equipoise", *words], capture_output=True, text=True, check=True)
    assert "CENTAUR: -1.66" in done.stdout
    told = json.loads(out.read_text(encoding="utf-8"))[0]
    assert sum(told["mixture"]["weights"]) == pytest.approx(1.0)
    assert all(t["title"] for t in told["trials"])
    assert plot.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    ("field", "options", "words"),
    [
        ("nonsense", {}, "no field"),
        ("als", {"quantity": "height"}, "no quantity"),
        ("als", {"share": 1.5}, "vague share"),
        ("als", {"tau_scale": -1.0}, "tau_scale"),
        ("als", {"without": ["nobody"]}, "nobody"),
    ],
)
def test_property_what_is_not_there_is_refused(field: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        natural_history(field, **options)  # type: ignore[arg-type]


def test_property_quantities_are_named_once() -> None:
    assert [q.id for q in QUANTITIES.values()] == list(QUANTITIES)
