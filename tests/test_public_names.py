"""The public surface: every public name is there, documented, and quick to get at."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import equipoise


@pytest.mark.parametrize("name", [n for n in equipoise.__all__ if n != "__version__"])
def test_property_public_names_exist_and_are_documented(name: str) -> None:
    assert (getattr(equipoise, name).__doc__ or "").strip()


def test_property_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        equipoise.nonsense  # noqa: B018


def test_property_importing_is_light() -> None:
    """Help must be instant: the package and the command line import no numerics."""
    heavy = ("numpy", "scipy", "numba", "polars", "pandas", "pydantic", "formulaic")
    code = f"import sys, equipoise, equipoise.cli.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_property_the_surface_is_what_dir_shows() -> None:
    assert dir(equipoise) == sorted(equipoise.__all__)
    names = {name for part in equipoise.SURFACE.values() for name in part}
    assert set(equipoise.__all__) == {"__version__", "plot"} | names


def test_property_the_checker_of_types_sees_the_same_names() -> None:
    """What stands under TYPE_CHECKING is the table again, no more and no less."""
    tree = ast.parse(Path(equipoise.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {a.asname for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == set(equipoise.__all__) - {"__version__"}


@pytest.mark.parametrize("name", ["appraise", "simulate", "render"])
def test_property_rooms_that_are_verbs_are_called(name: str) -> None:
    assert callable(getattr(equipoise, name))


def test_independent_verbs_take_names() -> None:
    trials = equipoise.simulate("valor", 1)
    assert len(trials) == 1
    page = equipoise.appraise("riluzole1994")
    assert equipoise.render(page, "md").startswith("# ")


@pytest.mark.parametrize("module", ["equipoise", "equipoise.plot"])
def test_property_the_package_and_its_plots_load_no_page(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "page = ('equipoise.appraise', 'equipoise.document', 'equipoise.records', 'equipoise.render.page'); "
        "print([m for m in sys.modules if m.startswith(page)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
