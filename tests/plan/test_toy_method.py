"""One module's method works on ADaM data, in a scenario, in a table and in a figure, and needs nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_property_a_further_method_is_one_module() -> None:
    """A process of its own: the sections of plans are those of the methods that are there when plans are loaded."""
    there = os.pathsep.join([str(HERE), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])])
    done = subprocess.run(
        [sys.executable, str(HERE / "toy_at_work.py")],
        env={**os.environ, "PYTHONPATH": there},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "all of it works"
