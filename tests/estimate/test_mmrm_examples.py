"""The examples in docstrings run, and what the pages name exists."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

from equipoise.estimate.formula import STRUCTURES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["mmrm.fit", "slope", "clda"])
def test_property_docstring_examples_run(name: str) -> None:
    module = import_module(f"equipoise.estimate.linear.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_property_pages_name_what_exists() -> None:
    import equipoise

    page = (DOCS / "methods" / "mmrm.md").read_text()
    for structure in STRUCTURES:
        assert f"`{structure}`" in page
    for name in re.findall(r"`equipoise\.([\w.]+)`", page):
        import_module(f"equipoise.{name}")
    code = re.findall(r"```python\n(.*?)```", (DOCS / "from-r-and-sas.md").read_text(), re.DOTALL)
    assert code
    for block in code:
        compile(doctest.script_from_examples(block), "from-r-and-sas.md", "exec")
        for name in re.findall(r"from equipoise import (\w+)", block):
            assert hasattr(equipoise, name)
