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


def test_property_a_fit_does_not_load_the_distributions_of_scipy() -> None:
    """``scipy.stats`` takes as long to load as all the rest of a first fit: a function that needs it imports it."""
    code = (
        "import sys\n"
        "from equipoise import ancova, cafs, clda, cox, kaplan_meier, log_rank, mi_ancova, mmrm, rmst, slope\n"
        "print([m for m in ('scipy.stats', 'scipy.optimize', 'pyarrow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
