"""The example of docs/methods/replicas.md, executed as it stands there, with fewer replicates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "methods" / "replicas.md"


def test_property_the_documented_plan_has_operating_characteristics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (plan,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (code,) = re.findall(r"```python\n(from equipoise import load_scenario\n.*?)```", text, re.DOTALL)
    (tmp_path / "win.yaml").write_text(plan, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    here: dict[str, object] = {}
    exec(code.replace("replicates=200", "replicates=4"), here)
    made = here["made"]
    assert made.replicates == 4  # type: ignore[attr-defined]
    assert made.of("win_ratio").failed == 0  # type: ignore[attr-defined]
