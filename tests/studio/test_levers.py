"""Levers as a design study: what the form says is what the command line reads."""

from __future__ import annotations

from typing import Any

import pytest

from equipoise.design.carry_out import prepare
from equipoise.design.study import parse_study
from equipoise.errors import ScenarioError
from equipoise.simulate import load_scenario
from equipoise.studio.levers import Levers, as_yaml, bases, defaults, study_of


@pytest.mark.parametrize("base", bases())
def test_property_every_scenario_has_levers_that_can_be_carried_out(base: str) -> None:
    study = study_of(Levers(base, ({},), (defaults(base)["mechanism"],)))
    assert prepare(study, load_scenario(base))
    (design,) = study.designs()
    assert design.weeks == load_scenario(base).protocol.period_end
    assert design.patients == load_scenario(base).protocol.n


def test_property_the_file_is_the_study() -> None:
    designs = ({"weeks": 52.0, "extension": 24.0, "primary": "delayed_start"}, {"weeks": 28.0, "patients": 216})
    study = study_of(Levers("valor", designs, ("lagged", "slowing"), strength=150.0, lag=13.0, seed=7))
    again = parse_study(as_yaml(study), "study")
    assert again == study
    assert [d.weeks for d in study.designs()] == [52, 28]
    assert list(study.worlds) == ["none", "lagged", "slowing"]
    assert study.worlds["lagged"].effect["lag"] == 13.0
    fitted = {m.value: h.effect.weight for m, h in load_scenario("valor").mechanisms.items()}
    assert study.worlds["slowing"].effect["weight"] == pytest.approx(1.5 * fitted["slowing"])


def test_property_looks_are_a_lever() -> None:
    study = study_of(Levers("valor", ({"adaptation": "one-look", "primary": "mmrm"}, {}), ("lagged",)))
    assert [d.adaptation for d in study.designs()] == ["one-look", "fixed"]
    assert parse_study(as_yaml(study), "study") == study
    assert prepare(study, load_scenario("valor"))


@pytest.mark.parametrize(
    ("design", "levers", "words"),
    [
        ({"weeks": 2.0}, {}, "weeks"),
        ({"patients": 3}, {}, "3 patients"),
        ({"primary": "magic"}, {}, "primary 'magic'"),
        ({"enrichment": "rich"}, {}, "enrichment 'rich'"),
        ({"primary": "delayed_start"}, {}, "needs an extension"),
        ({"adaptation": "many"}, {}, "looks 'many'"),
        ({"ratio": "1:0"}, {}, "no ratio"),
        ({"size": 3}, {}, "no lever"),
        ({}, {"mechanisms": ("magic",)}, "no mechanism 'magic'"),
    ],
)
def test_property_a_lever_out_of_its_range_is_told(design: dict[str, Any], levers: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        study_of(Levers(**{"base": "valor", "designs": (design,), "mechanisms": ("lagged",), **levers}))
