"""The public surface: every public name is there, documented, and quick to get at."""

from __future__ import annotations

import subprocess
import sys

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
