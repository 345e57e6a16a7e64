"""Planted slips are found and coherent records left alone: the rates of benchmarks/coherence.py, held to limits."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from equipoise.records import Contrast, PValue, coherence_notes
from equipoise.records.coherence import explanations

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coherence.py"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coherence_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["coherence_benchmark"] = module
    spec.loader.exec_module(module)
    return module


BENCH = _script()
# what arithmetic can find at all: a mean off by a hundredth, or a share off by 0.4, is sometimes that of another count
WEAK = {
    "mean no scores give": 0.5,
    "percentage no count gives": 0.6,
    "ratio's interval on its own scale": 0.55,
    "p one-sided, not said": 0.65,
}


def test_simulation_coherent_records_get_no_note() -> None:
    wrong, kinds, notes = BENCH.false_alarms(150, 20)
    assert wrong == 0, (kinds, [n.what for n in notes[:3]])


@pytest.mark.parametrize("name", sorted(BENCH.SLIPS))
def test_simulation_a_planted_slip_is_found(name: str) -> None:
    found = BENCH.detected(name, 20, 20)
    assert found >= 20 * WEAK.get(name, 0.8), f"{found} of 20"


@pytest.mark.slow
def test_simulation_false_alarms_stay_under_one_in_two_hundred() -> None:
    wrong, kinds, _ = BENCH.false_alarms(4000, 5)
    assert wrong <= 20, kinds


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCH.SLIPS))
def test_simulation_detection_rates(name: str) -> None:
    assert BENCH.detected(name, 300, 5) >= 300 * WEAK.get(name, 0.85)


@pytest.mark.parametrize("name", sorted(BENCH.SLIPS))
def test_a_note_says_what_why_and_how_sure(name: str) -> None:
    make, kinds, _ = BENCH.SLIPS[name]
    rng = np.random.default_rng(3)
    for _ in range(400):
        data = BENCH.coherent(rng)
        if not make(data, rng):
            continue
        record = BENCH.record_of(data)
        notes = [n for n in coherence_notes(record) if n.kind in kinds]
        if notes:
            break
    note = notes[0]
    assert len(note.what) > 20
    assert len(note.why) > 20
    assert note.certainty in ("certain", "likely", "possible")
    assert set(note.refs) <= {*record.index(), *record.blocks(), *record.sources}
    assert note.block in (*record.blocks(), "")


def contrast(kind: str, value: float, low: float, high: float, level: float = 0.95) -> Contrast:
    return Contrast(kind=kind, value=value, low=low, high=high, level=level, source="X", confidence="seen")


@pytest.mark.parametrize(
    ("c", "p", "words"),
    [
        (contrast("difference", 2.1, 0.14, 4.06), 0.018, "one-sided"),
        (contrast("difference", -2.1, -4.06, -0.14), 0.982, "other side"),
        (contrast("difference", 2.1, 0.1, 4.1), 0.084, "90 %"),
        (contrast("difference", 2.1, 0.1, 4.1), 0.29, "one standard error each side"),
        (contrast("ratio", 0.61, 0.36, 1.03), 0.0225, "not on its logarithm"),
        (contrast("difference", 0.6, 0.35, 1.03), 0.064, "tested against 1"),
        (contrast("difference", 2.1, 0.14, 4.06), 0.0036, "nought too many"),
    ],
)
def test_the_reading_that_would_explain_a_p_value_is_named(c: Contrast, p: float, words: str) -> None:
    found = explanations(c, PValue(method="m", value=p))
    assert any(words in f for f in found), found


def test_a_p_value_that_fits_needs_no_explanation() -> None:
    assert explanations(contrast("difference", 2.1, 0.14, 4.06), PValue(method="m", value=0.036)) == ()
    assert (
        explanations(contrast("difference", 2.1, 0.14, 4.06), PValue.model_validate({"method": "m", "value": "<0.05"}))
        == ()
    )
