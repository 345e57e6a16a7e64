"""Joint models beside the planned test, on the same virtual trials."""

from __future__ import annotations

import pytest

from equipoise.appraise import joint_power
from equipoise.replica.function_and_survival import function_and_survival, key_of, main
from equipoise.simulate import Scenario, load_scenario


def test_property_a_row_a_test_week_and_mechanism(valor: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    made = function_and_survival(valor, replicates=3, mechanisms=["lagged"])
    assert [(r.week, r.test) for r in made.rows[:2]] == [(28.0, "planned (joint_rank)"), (28.0, "joint model, 2 df")]
    assert {r.week for r in made.rows} == {28.0, 52.0}
    assert len(made.rows) == 8
    assert all(0.0 <= r.significant <= r.estimable <= 1.0 for r in made.rows)
    planned = [r for r in made.rows if r.test.startswith("planned")]
    assert all(r.estimable == 1.0 for r in planned)
    assert made.rows[0].events < made.rows[4].events
    main(["valor", "--replicates", "2", "--mechanism", "none"])
    assert "significant" in capsys.readouterr().out


def test_property_the_stored_table_is_of_the_scenario_as_it_is() -> None:
    """A scenario fitted anew asks for: python -m equipoise.replica.function_and_survival valor --store FILE."""
    assert joint_power.stored("valor")["made_from"] == key_of(load_scenario("valor"))
