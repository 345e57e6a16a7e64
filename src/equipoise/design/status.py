"""How far a study is, told from its folder alone: any machine that sees it may ask."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from equipoise.design.carry_out import TRIALS, prepare
from equipoise.design.study import DesignStudy
from equipoise.errors import ScenarioError
from equipoise.files import parse_json, read_bytes
from equipoise.run.store import Part, listed
from equipoise.run.study import gaps
from equipoise.simulate import load_scenario


@dataclass(frozen=True)
class Status:
    """Cells of a study and the replicates that each has; ``rate``: replicates made a second over the last minutes."""

    name: str
    cells: int
    replicates: tuple[int, ...]
    asked: int
    rate: float | None

    @property
    def done(self) -> int:
        """Replicates that are there, of those asked for."""
        return sum(self.replicates)

    def __str__(self) -> str:
        total = self.asked * self.cells
        begun = sum(n > 0 for n in self.replicates)
        text = f"{self.name}: {self.done} of {total} replicates, {begun} of {self.cells} cells begun"
        if self.done >= total:
            return f"{text}: finished"
        if self.rate:
            return f"{text}; {self.rate:.0f} a second lately, about {_time((total - self.done) / self.rate)} left"
        return f"{text}; nothing lately"


def status(folder: Path) -> Status:
    """How far the study in a folder is.

    Raises
    ------
    ScenarioError : no study was begun there.
    """
    own = folder / "design.json"
    if not own.is_file():
        raise ScenarioError(f"{folder}: no design study was begun here", hint="equipoise design STUDY --out FOLDER")
    said = parse_json(read_bytes(own, max_bytes=4_000_000), str(own), error=ScenarioError)
    try:
        study, asked = DesignStudy.model_validate(said["study"]), int(said["replicates"])
    except (KeyError, TypeError, ValueError):
        raise ScenarioError(f"{own}: is not what a design study writes", hint="--out FOLDER makes it") from None
    prepared = prepare(study, load_scenario(study.base))
    parts = [listed(folder / TRIALS / p.maker.key) for p in prepared]
    counts = tuple(asked - sum(end - first for first, end in gaps(found, asked)) for found in parts)
    return Status(study.name, len(prepared), counts, asked, _rate(p for found in parts for p in found))


def _rate(parts: Iterable[Part], window: float = 300.0) -> float | None:
    now = time.time()
    made = [(p.path.stat().st_mtime, p.rows) for p in parts if p.path.exists()]
    lately = [(t, n) for t, n in made if now - t < window]
    if len(lately) < 2:
        return None
    return sum(n for _, n in lately) / max(now - min(t for t, _ in lately), 1.0)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
