"""The results of a shipped study as they come with the package: what pages and commands read without simulating.

``library/NAME/study.json`` holds a row a design and world, the outcome of every replicate as a bit, and a key: a hash
of all that the study, its scenario and its disease say. Where the key differs, the results are of an earlier text
(:func:`is_current`). Reading loads neither the engine nor the compiler.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.errors import ScenarioError
from equipoise.files import write_text
from equipoise.library import stored_table

if TYPE_CHECKING:
    from equipoise.design.result import DesignResult
    from equipoise.design.study import DesignStudy

NAME = "study.json"
_DIGITS = 6
_NOT_STORED = ("design", "world", "successes", "seen", "no_effect", "no_go", "examples", "numbers")


@cache
def stored(name: str) -> dict[str, Any]:
    """What is stored of a shipped study: ``key``, ``replicates``, ``seed``, ``target``, ``worlds``, ``cells``...

    Raises
    ------
    ScenarioError : no results of such a study come with the package.

    Examples
    --------
    >>> stored("next-als")["worlds"]["lag13"]
    'slowing after 13 weeks'
    """
    made = stored_table(name.replace("-", "_"), NAME)
    if made is None:
        raise ScenarioError(f"no results of a study {name[:80]!r} are stored", hint=f"equipoise design {name[:80]}")
    made["cells"] = [dict(zip(made["columns"], row, strict=True)) for row in made["cells"]]
    return made


def cells(name: str, world: str | None = None, **levels: Any) -> list[dict[str, Any]]:
    """The stored cells of a world whose designs have these levels of factors, in the order of the study."""
    wanted = {**levels, **({} if world is None else {"world": world})}
    return [c for c in stored(name)["cells"] if all(c.get(k) == v for k, v in wanted.items())]


def printed(name: str, world: str | None = None, **levels: Any) -> list[dict[str, Any]]:
    """As :func:`cells`, without the single replicates: what the commands of a page print."""
    return [{k: v for k, v in c.items() if k != "bits" and v is not None} for c in cells(name, world, **levels)]


def cell(name: str, world: str, **levels: Any) -> dict[str, Any]:
    """The one stored cell of a world with these levels, without the single replicates.

    Raises
    ------
    ScenarioError : there is none, or more than one.

    Examples
    --------
    >>> short = cell("next-als", "lag13", weeks=28, patients=108, enrichment="all", primary="ancova")
    >>> long = cell("next-als", "lag13", weeks=76, patients=108, enrichment="all", primary="ancova")
    >>> short["success"] < long["success"]
    True
    """
    found = cells(name, world, **levels)
    if len(found) != 1:
        raise ScenarioError(f"{len(found)} stored cells are {levels} in {world}", hint="name every factor")
    return {k: v for k, v in found[0].items() if k != "bits"}


def gap(name: str, world: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, float]:
    """Success of a design minus that of another in a world, and its Monte Carlo error, from shared replicates.

    first, second : levels that name one cell each.
    """
    import numpy as np

    pair = []
    for levels in (first, second):
        found = cells(name, world, **levels)
        if len(found) != 1:
            raise ScenarioError(f"{len(found)} stored cells are {dict(levels)} in {world}", hint="name every factor")
        pair.append(found[0])
    n = min(int(c["replicates"]) for c in pair)
    met = [np.array(_unpacked(c["bits"])[:n], dtype=np.float64) for c in pair]
    apart = met[0] - met[1]
    error = max(float(apart.std(ddof=1)), 1.0 / math.sqrt(n)) / math.sqrt(n)
    return {"difference": float(apart.mean()), "mc_error": error, "replicates": float(n)}


def smallest(name: str, world: str, target: float | None = None, **levels: Any) -> dict[str, Any] | None:
    """The stored design of fewest patients, then weeks, that reaches a target in a world by more than its error."""
    wanted = stored(name)["target"] if target is None else target
    reach = [c for c in cells(name, world, **levels) if c["success"] - c["mc_error"] >= wanted]
    best = min(reach, key=lambda c: (c["patients"], c["weeks"], -c["success"]), default=None)
    return None if best is None else {k: v for k, v in best.items() if k != "bits"}


def key_of(study: DesignStudy) -> str:
    """All that decides the results of a study and is said in it or its scenario, as a short hash."""
    from equipoise.simulate import load_scenario

    own = study.model_dump(mode="json", exclude={"replicates", "question", "target", "stakes"}, exclude_defaults=True)
    base = load_scenario(study.base).said()
    return hashlib.sha256(json.dumps([own, base], sort_keys=True).encode()).hexdigest()[:16]


def is_current(name: str) -> bool:
    """Whether the stored results are of the study and the scenario as they are now."""
    from equipoise.design.study import load_study

    return bool(stored(name)["key"] == key_of(load_study(name)))


def store(made: DesignResult, path: Path) -> None:
    """Write the results of a study as :func:`stored` reads them."""
    own = [f.name for f in fields(made.cells[0]) if f.name not in _NOT_STORED]
    factors = list(made.cells[0].design.levels())
    rows = [
        [*c.design.levels().values(), c.world, *(_short(getattr(c, name)) for name in own), _packed(c.successes)]
        for c in made.cells
    ]
    study = made.study
    head = {
        "study": study.name,
        "base": study.base,
        "question": study.question,
        "key": key_of(study),
        "version": made.version,
        "replicates": max(c.replicates for c in made.cells),
        "seed": study.seed,
        "target": study.target,
        "command": f"equipoise design {study.name} --replicates {max(c.replicates for c in made.cells)}",
        "worlds": {name: w.label for name, w in study.worlds.items()},
        "no_effect": [name for name, w in study.worlds.items() if w.no_effect],
        "primaries": {name: p.label for name, p in study.primaries.items()},
        "enrichments": {name: e.label for name, e in study.enrichments.items()},
        "columns": [*factors, "world", *own, "bits"],
    }
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    text = json.dumps(head, ensure_ascii=False, indent=1)
    write_text(path, f'{text[:-2]},\n "cells": [\n{lines}\n]\n}}\n')


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return None if not math.isfinite(value) else float(f"{value:.{_DIGITS}g}")
    return value


def _packed(successes: Iterable[bool]) -> str:
    """Whether each replicate succeeded, eight to a byte, as text."""
    flags = [bool(s) for s in successes]
    raw = bytes(sum(flag << k for k, flag in enumerate(flags[i : i + 8])) for i in range(0, len(flags), 8))
    return base64.b64encode(raw).decode()


def _unpacked(text: str) -> list[bool]:
    return [bool(byte >> k & 1) for byte in base64.b64decode(text) for k in range(8)]
