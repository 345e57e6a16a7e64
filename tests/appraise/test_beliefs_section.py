"""The page's part on what the numbers say about how a drug works, from summaries that are made up."""

from __future__ import annotations

import copy
import json
import math
import re
from importlib import resources
from typing import Any

import pytest
from synthetic_replica import synthetic_replica

import equipoise
from equipoise.appraise import posterior
from equipoise.appraise.posterior import Beliefs, read, stored
from equipoise.appraise.sections import replica as section
from equipoise.appraise.sections.replica.beliefs import TITLE
from equipoise.appraise.sections.replica.parameters import EFFECTS, OTHERS
from equipoise.document.document import Bar, Computed, walk
from equipoise.library import shipped
from equipoise.records import load_record
from equipoise.simulate import load_scenario

COMMAND = "equipoise posterior valor --points 64 --copies 50 --replicates 200 --draws 100 --seed 5"
PRINTED = "python -c \"from equipoise.appraise.posterior import printed; print(printed('valor'))\""
EFFECT = {
    "none": {},
    "symptomatic": {"effect.gain": (1.4, -0.3, 3.2, -5.0, 15.0, 0.92)},
    "slowing": {"effect.weight": (0.31, 0.05, 0.62, 0.0, 1.0, 0.68)},
    "lagged": {"effect.lag": (17.0, 2.0, 48.0, 0.5, 60.0, 0.27)},
}


def made(evidence: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A summary as it is written, with the given log evidences and a weight each in keeping with them."""
    total = sum(math.exp(v) for v in evidence.values())
    out: dict[str, Any] = {
        "command": COMMAND,
        "record": "valor",
        "after_the_randomised_period": False,
        "discrepancy": 0.5,
        "mechanisms": {},
    }
    for name, value in evidence.items():
        shared = {"groups.F.root_rate_sd": (0.41, 0.3, 0.55, 0.02, 2.0, 0.98)}
        out["mechanisms"][name] = {
            "prior": 1 / len(evidence),
            "weight": math.exp(value) / total,
            "weight_bridge": math.exp(value) / total,
            "log_evidence": value,
            "log_evidence_bridge": value + 0.05,
            "parameters": {
                place: {
                    "fit": p[0],
                    "median": p[0],
                    "low": p[1],
                    "high": p[2],
                    "prior": [p[3], p[4]],
                    "contraction": p[5],
                }
                for place, p in {**shared, **EFFECT[name]}.items()
            },
            "unmatched": {},
            "statistics": 41,
            "effective_number": {"all": 9.6},
            "pareto_k": 0.31,
            "effective_draws": 83.4,
            "draws": 100,
        } | changes
    return out


def told(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], *, replica: bool = False, later: Beliefs | None = None
) -> str:
    """The page's part as Markdown, without what follows it."""
    page = page_of(monkeypatch, found, replica=replica, later=later)
    text = equipoise.render(page, "md")
    start = text.index(TITLE)
    return " ".join(
        text[start : text.index("To find it again", start) + 200].replace("\N{NARROW NO-BREAK SPACE}", " ").split()
    )


def page_of(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], *, replica: bool = False, later: Beliefs | None = None
) -> Any:
    read_back: Beliefs = read(json.loads(json.dumps(found)))
    monkeypatch.setattr(section, "stored", lambda _: read_back)
    monkeypatch.setattr(section, "stored_later", lambda _: later)
    record = load_record("valor")
    return equipoise.appraise(record, replica=synthetic_replica(record) if replica else None)


@pytest.mark.parametrize("replica", [False, True])
def test_property_a_lag_that_stays_open_is_said_to_be_open(monkeypatch: pytest.MonkeyPatch, replica: bool) -> None:
    text = told(
        monkeypatch, made({"none": -60.0, "symptomatic": -59.5, "slowing": -59.2, "lagged": -59.4}), replica=replica
    )
    assert "do not tell" in text
    assert "speak against" not in text
    assert "They cannot settle it; another trial may." in text
    assert "That is little: plan for the whole range." in text
    assert COMMAND in text
    assert "Not reached" not in text


def test_property_the_words_follow_the_bayes_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kass & Raftery 1995: from 3 on positive, from 20 on strong; the best alone is favoured."""
    text = told(monkeypatch, made({"none": -64.0, "symptomatic": -62.0, "slowing": -60.0, "lagged": -62.0}))
    assert "numbers favour *slowing*" in text
    assert "They speak against *symptomatic* and *lagged*" in text
    assert "They speak strongly against *none*" in text
    assert "do not tell" not in text
    one = read(made({"none": -64.0, "symptomatic": -62.0, "slowing": -60.0, "lagged": -60.9}))
    assert [[m.mechanism for m in group] for group in one.ranks()] == [["slowing", "lagged"], ["symptomatic"], ["none"]]


def test_property_the_words_do_not_follow_the_weights_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made({"none": -60.0, "slowing": -60.0})
    found["mechanisms"]["none"] |= {"prior": 0.99, "weight": 0.99}
    text = told(monkeypatch, found)
    assert "do not tell *none* and *slowing* apart" in text


def test_property_what_was_not_reached_gives_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad tail of the weights, or two methods that differ: named, and nothing concluded."""
    for change in ({"pareto_k": 0.93}, {"log_evidence_bridge": -58.0}, {"pareto_k": float("inf")}):
        found = made({"none": -60.0, "lagged": -55.0})
        found["mechanisms"]["lagged"] |= change
        text = told(monkeypatch, found)
        assert "Not reached" in text
        assert "for *lagged*" in text
        assert "favour" not in text
        assert "For the clinician" not in text
        assert "plans the next trial" not in text


def test_property_a_number_that_cannot_be_matched_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made({"none": -60.0, "lagged": -59.0})
    found["mechanisms"]["none"]["unmatched"] = {"correlation:SVC": 3.4}
    assert "`correlation:SVC` cannot be matched by *none*: the nearest lies" in told(monkeypatch, found)
    both = copy.deepcopy(found)
    both["mechanisms"]["lagged"]["unmatched"] = {"correlation:SVC": -3.9}
    assert "cannot be matched by any mechanism" in told(monkeypatch, both)


def test_property_every_figure_leads_to_the_command_and_every_drawing_stands_with_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = page_of(monkeypatch, made({"none": -60.0, "symptomatic": -59.5, "slowing": -59.2, "lagged": -59.4}))
    known = {c.id for c in page.computations if c.command == PRINTED}
    assert len(known) == 1
    assert all(COMMAND in c.method for c in page.computations if c.id in known)
    assert COMMAND in equipoise.render(page, "md")
    runs = list(walk(page))
    own = [r for r in runs if isinstance(r, Computed) and r.computation in known]
    assert {"41", "10", "83"} <= {r.text for r in own}
    bars = [r for r in runs if isinstance(r, Bar)]
    assert [(b.low_end, b.high_end, b.estimate) for b in bars if b.high_end == 60.0] == [(0.5, 60.0, 17.0)]
    assert sum(b.null == 0.25 for b in bars) == 4


def test_property_shipped_draws_are_drawn_and_every_parameter_has_words() -> None:
    """A density for each effect, which holds 95 % within its interval; no path of a scenario on the page."""
    for name in shipped("scenario"):
        found = stored(name)
        if found is None:
            continue
        effects = [p for m in found.mechanisms for p in m.effects]
        assert effects, name
        for p in effects:
            assert p.density is not None, f"{name}: {p.place}"
            at, height = p.density.at, p.density.height
            assert (at[0], at[-1]) == p.prior
            # in units of the prior's density: the mean height is 1
            assert sum(height[1:-1]) + (height[0] + height[-1]) / 2 == pytest.approx(len(at) - 1, rel=0.02)
            inside = sum(h for a, h in zip(at, height, strict=True) if p.low <= a <= p.high)
            assert inside / sum(height) == pytest.approx(0.95, abs=0.05)
        for m in found.mechanisms:
            for p in m.parameters:
                place = p.place
                assert place in EFFECTS or place.split(".")[-1] in OTHERS, f"{name}: {place}"


def test_property_an_interval_that_the_prior_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made({"none": -60.0, "lagged": -60.0})
    lag = found["mechanisms"]["lagged"]["parameters"]["effect.lag"]
    lag |= {"low": 30.0, "high": 59.5}
    (told_lag,) = [p for m in read(found).mechanisms for p in m.effects]
    assert told_lag.at_bound == (False, True)
    text = equipoise.render(page_of(monkeypatch, found), "md")
    text = text[text.index("**Each parameter**") :]
    assert "lag of function behind the injury" in text
    assert "| upper |" in text
    lag |= {"low": 3.0, "high": 40.0}
    text = equipoise.render(page_of(monkeypatch, found), "md")
    start = text.index("**Each parameter**")
    assert "| upper |" not in text[start : start + 3000]


def test_property_what_later_results_add_stands_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    later = read(made({"none": -64.0, "slowing": -60.0, "lagged": -60.1}) | {"after_the_randomised_period": True})
    text = told(monkeypatch, made({"none": -60.0, "slowing": -60.0, "lagged": -60.0}), later=later)
    assert "What later results add" in text
    assert "With later results the numbers fit *slowing* and *lagged* best." in text
    assert "They speak strongly against *none*" in text


def test_property_ends_of_a_prior_and_small_weights_are_written_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    text = told(monkeypatch, made({"none": -70.0, "slowing": -60.2, "lagged": -60.0}))
    assert "17 (2 to 48) weeks | 0.5 to 60 weeks" in text
    assert re.search(r"does something for function is \[?\\?> 99 %", text)
    assert "1.0 %" not in text


def test_property_the_bound_of_the_tail_is_that_of_the_weights() -> None:
    from equipoise.calibrate.posterior import sampling

    assert sampling.PARETO_GOOD == posterior.PARETO_GOOD
    assert sampling.AGREE == posterior.AGREE


def test_property_a_page_without_a_stored_posterior_has_no_such_part() -> None:
    assert stored("atlas") is None
    assert stored("../valor") is None
    assert TITLE not in equipoise.render(equipoise.appraise("riluzole1994"), "md") or stored("riluzole1994") is not None


def test_property_what_is_stored_was_found_at_the_scenario_as_it_is() -> None:
    """A posterior of a scenario that was fitted anew since is stale."""
    kept = [name for name in shipped("scenario") if stored(name) is not None]
    if not kept:
        pytest.skip("no posterior comes with the package")
    for name in kept:
        raw = json.loads((resources.files("equipoise.library") / name / "posterior.json").read_text(encoding="utf-8"))
        scenario = load_scenario(name)
        for mechanism, m in raw["mechanisms"].items():
            effect = scenario.under(next(k for k in scenario.mechanisms if k.value == mechanism))[2]
            for place, p in m["parameters"].items():
                if place.startswith("effect."):
                    at = min(max(getattr(effect, place.removeprefix("effect.")), p["prior"][0]), p["prior"][1])
                    assert p["fit"] == pytest.approx(at, abs=2e-3 * (p["prior"][1] - p["prior"][0])), f"{name}: {place}"
