"""Scenario files: round trip, and every way of being malformed ends in one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import ScenarioError
from equipoise.simulate import Scenario, load_scenario, scenario_text, shipped_scenarios
from equipoise.simulate.scenario import parse_scenario


def test_property_round_trip(valor: Scenario) -> None:
    again = parse_scenario(scenario_text(valor, "a comment"), "text")
    assert again == valor
    assert again.digest() == valor.digest()


def test_property_shipped_scenarios_load() -> None:
    assert "valor" in shipped_scenarios()
    for name in shipped_scenarios():
        assert load_scenario(name).name == name


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("protocol", "ratio"), [0, 2], "ratio"),
        (("protocol", "visits"), [0, 8, 4, 28], "weeks must increase"),
        (("protocol", "groups"), {"F": 60, "S": 0}, "S: 0 patients"),
        (("default_mechanism",), "magic", "default_mechanism"),
        (("groups", "F", "ln_nfl_sd"), -1, "groups.F.ln_nfl_sd"),
        (("groups", "F", "emax"), 1.5, "groups.F.emax"),
        (("disease", "unheard_of"), 1, "unheard_of"),
        (("mechanisms", "lagged", "effect"), {"mechanism": "slowing"}, "mechanisms.lagged"),
        (("mechanisms", "none", "effect"), {"mechanism": "none", "lag": 3}, "no lag"),
        (("adverse_events",), {"headache": {"placebo": 1.2}}, "not a probability"),
        (("adverse_events",), {"headache": {"aspirin": 0.2}}, "unknown arm 'aspirin'"),
        (("admission", "F"), {"other": [2, 1]}, "lower bound 2 exceeds"),
        (("plan", "alpha"), 2, "plan.alpha"),
        (("plan", "order"), [], "name the primary test first"),
        (("plan", "analyses"), [], "plan.analyses"),
        (("mechanisms", "none", "groups"), {"Q": {}}, "unknown group 'Q'"),
        (("mechanisms", "none", "groups"), {"F": {"root_rate_maen": 2}}, "root_rate_maen"),
        (("mechanisms", "none", "disease"), {"kout": -1}, "kout"),
        (("disease", "event_hazard"), float("inf"), "disease.event_hazard"),
        (("protocol", "strata"), ["SITE"], "EDAFL and BULBFL"),
    ],
)
def test_property_bad_fields_are_named(valor: Scenario, path: tuple[str, ...], value: object, message: str) -> None:
    data = yaml.safe_load(scenario_text(valor))
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(ScenarioError, match=message):
        parse_scenario(yaml.safe_dump(data), "bad.yaml")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "", "\t", "name: valor"])
def test_property_unreadable_files_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"bad\.yaml"):
        parse_scenario(text, "bad.yaml")


def test_property_missing_files_and_names(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no file"):
        load_scenario(str(tmp_path / "none.yaml"))
    with pytest.raises(ScenarioError, match="no scenario called 'nothing'"):
        load_scenario("nothing")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(str(binary))


def test_property_mechanism_must_exist(valor: Scenario) -> None:
    with pytest.raises(ScenarioError, match="no mechanism 'homeopathy'"):
        valor.under("homeopathy")


@settings(max_examples=60)
@given(
    junk=st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda c: st.dictionaries(st.text(max_size=4), c, max_size=3)
    )
)
def test_property_junk_never_gets_through(junk: object) -> None:
    with pytest.raises(ScenarioError):
        parse_scenario(yaml.safe_dump(junk), "junk.yaml")


def test_property_misspelt_outcome_is_refused(valor: Scenario) -> None:
    text = scenario_text(valor).replace("parameter: ALSFRS", "parameter: ALSFSR", 1)
    with pytest.raises(ScenarioError, match="ALSFSR"):
        parse_scenario(text, "bad.yaml")


def test_property_declared_strategies_are_those_carried_out(valor: Scenario) -> None:
    text = scenario_text(valor).replace("strategy: composite", "strategy: hypothetical")
    with pytest.raises(ScenarioError, match="death in the joint_rank"):
        parse_scenario(text, "bad.yaml")


def test_property_how_many_targets_lie_near_is_numbers(valor: Scenario) -> None:
    assert valor.fit["within_one_se"]["lagged"] == {"count": 137, "of": 153}
    text = scenario_text(valor).replace("count: 137", "of: 137")
    with pytest.raises(ScenarioError):
        parse_scenario(text, "bad.yaml")
    data = yaml.safe_load(scenario_text(valor))
    data["fit"]["within_one_se"]["lagged"] = "138 of 152"
    with pytest.raises(ScenarioError, match=r"found '138 of 152'.*\{count: 128, of: 152\}"):
        parse_scenario(yaml.safe_dump(data), "bad.yaml")
