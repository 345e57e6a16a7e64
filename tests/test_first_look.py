"""What a first look costs: drawing loads no numerical library."""

from __future__ import annotations

import subprocess
import sys


def test_property_plots_load_no_numerical_library() -> None:
    """Where this fails: an import at the top of a module that ``equipoise.plot`` needs; make it where it is used."""
    heavy = ("numpy", "scipy", "polars", "pyarrow", "narwhals", "pydantic", "numba", "pandas")
    code = f"import sys, equipoise.plot; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
