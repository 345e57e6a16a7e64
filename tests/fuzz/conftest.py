"""Helpers of the other rooms' tests that the fuzzers start from: a small registry entry, a writer of SAS7BDAT."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / room) for room in ("records", "trial")]
