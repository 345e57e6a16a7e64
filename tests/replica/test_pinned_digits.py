"""The numbers of every shipped replica at a seed, kept so that a change of structure cannot move a digit unseen."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from equipoise import Replica, load_record, load_scenario, replicate

PINNED = Path(__file__).parents[1] / "fixtures" / "pinned"
TOLERANCE = 1e-9  # relative; on the machine where they were kept they were equal to the bit


def _simulated(replica: Replica) -> dict[str, dict[str, list[float | None]]]:
    plain = replica.to_dict()
    return {
        "rows": {
            r["id"]: [r["simulated"], r["simulated_low"], r["simulated_high"], r["mc_error"], r["n_estimable"]]
            for r in plain["rows"]
        },
        "answers": {a["id"]: [a["probability"], a["mc_error"]] for a in plain["answers"]},
        "bands": {
            f"{b['analysis']} {b['analysis_set']} {b['arm']}": [b["mean"][-1], b["low"][-1], b["high"][-1]]
            for b in plain["bands"]
        },
        "mechanisms": {
            f"{m['mechanism']} {m['id']}": [m["mean"], m["low"], m["high"], m["at_least"]] for m in plain["mechanisms"]
        },
    }


def _same(found: float | None, kept: float | None) -> bool:
    if found is None or kept is None:
        return found is None and kept is None
    return math.isclose(found, kept, rel_tol=TOLERANCE, abs_tol=1e-12)


@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur"])
def test_property_a_replica_keeps_its_digits(name: str) -> None:
    kept = json.loads((PINNED / f"{name}.json").read_text(encoding="utf-8"))
    found = _simulated(
        replicate(load_record(name), load_scenario(name), replicates=kept["replicates"], seed=kept["seed"])
    )
    for part, numbers in found.items():
        missing = sorted(set(kept[part]) - set(numbers))
        assert not missing, f"{part}: gone are {missing}"
        moved = {
            key: (numbers[key], values)
            for key, values in kept[part].items()
            if not all(_same(a, b) for a, b in zip(numbers[key], values, strict=True))
        }
        assert not moved, f"{part}: {moved}"
