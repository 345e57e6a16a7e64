"""What a design study found: one row for each design in each world, and what designs differ by."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl

from equipoise.design.belief import Belief, Lesson, Worth, beliefs, lessons, worths
from equipoise.design.examples import Example
from equipoise.design.looks import Seen
from equipoise.design.study import CLAIM, Design, DesignStudy
from equipoise.errors import EstimationError
from equipoise.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Cell:
    """A design in a world.

    success : share of trials that met the primary rule; a trial whose analysis failed has not. mc_error : its Monte
    Carlo error, sqrt(p (1 - p) / replicates), not below that of half a trial. failures : trials whose analysis failed.
    effect : mean estimate; true_effect : what the drug does to those on it, nobody leaving; bias and its error; sd : of
    the estimates; mean_se : of their standard errors; coverage : of the 95 % intervals. named_rightly : share in which
    the delayed-start rule names the world's kind. patient_weeks under observation, control_weeks without active drug,
    deaths : means a trial; months : recruitment and the last patient's trial. seen : what happened at looks, where the
    design has some. no_go : share of trials that met the primary's conditions to stop. examples : single trials worth
    looking at. numbers : (replicate, number) estimates of the primary's conditions and of the delayed-start rule:
    what tells worlds apart.
    """

    design: Design
    world: str
    replicates: int
    success: float
    mc_error: float
    failures: int
    no_effect: bool
    effect: float | None
    true_effect: float | None
    bias: float | None
    bias_error: float | None
    sd: float | None
    mean_se: float | None
    coverage: float | None
    named_rightly: float | None
    patient_weeks: float
    control_weeks: float
    deaths: float
    months: float
    successes: BoolArray
    seen: Seen | None = None
    no_go: float | None = None
    examples: tuple[Example, ...] = ()
    numbers: FloatArray | None = None

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        own = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("design", "successes", "no_effect", "seen", "no_go", "examples", "numbers")
        }
        claim = None
        if self.no_effect:
            claim = "type I error" if self.replicates >= CLAIM else "error rate, explored"
        stop = {} if self.no_go is None else {"no_go": self.no_go}
        looks = {} if self.seen is None else self.seen.row()
        return {**self.design.levels(), **own, "reads_as": claim or "power", **stop, **looks}


@dataclass(frozen=True)
class Difference:
    """Success of one design minus that of another in one world, on the same virtual patients."""

    world: str
    first: Design
    second: Design
    difference: float
    mc_error: float
    replicates: int

    def to_sentence(self) -> str:
        """In words."""
        return (
            f"{self.world}: {self.first.label} against {self.second.label}: {100 * self.difference:+.1f} points "
            f"(Monte Carlo error {100 * self.mc_error:.1f})"
        )


@dataclass(frozen=True, eq=False)
class DesignResult:
    """The cells of a study, in the order of its designs and worlds."""

    study: DesignStudy
    cells: tuple[Cell, ...]
    version: str

    def to_frame(self) -> pl.DataFrame:
        """One row a design and world."""
        rows = [c.row() | ({} if self.study.cost is None else {"cost": self.cost(c)}) for c in self.cells]
        return pl.DataFrame(rows, infer_schema_length=None)

    def of(self, world: str, **levels: Any) -> tuple[Cell, ...]:
        """The cells of a world whose design has these levels of factors."""
        return tuple(
            c for c in self.cells if c.world == world and all(getattr(c.design, k) == v for k, v in levels.items())
        )

    def one(self, world: str, **levels: Any) -> Cell:
        """The one cell of a world with these levels.

        Raises
        ------
        KeyError : there is none, or more than one.
        """
        found = self.of(world, **levels)
        if len(found) != 1:
            raise KeyError(f"{len(found)} designs are {levels} in {world}")
        return found[0]

    def difference(self, first: Cell, second: Cell) -> Difference:
        """Success of ``first`` minus ``second``; its error from the pairs of replicates that share their patients.

        Raises
        ------
        EstimationError : they are of two worlds.
        """
        if first.world != second.world:
            raise EstimationError(
                f"designs in two worlds, {first.world} and {second.world}", hint="compare designs in one world"
            )
        n = min(first.replicates, second.replicates)
        pairs = first.successes[:n].astype(np.float64) - second.successes[:n]
        spread = float(pairs.std(ddof=1)) if n > 1 else math.nan
        error = max(spread, 1.0 / math.sqrt(n)) / math.sqrt(n) if n > 1 else math.nan
        return Difference(first.world, first.design, second.design, float(pairs.mean()), error, n)

    def type_one_error(self, cell: Cell) -> tuple[float, float]:
        """The type I error of a design, with its Monte Carlo error.

        Raises
        ------
        EstimationError : the drug works in that world, or there are fewer than 100,000 replicates.
        """
        if not cell.no_effect:
            raise EstimationError(f"{cell.world}: success is no error there", hint="take a world with no_effect: true")
        if cell.replicates < CLAIM:
            raise EstimationError(
                f"{cell.replicates} replicates are too few to claim a type I error",
                hint=f"ask for --replicates {CLAIM}; what there is reads as an error rate that was explored",
            )
        return cell.success, cell.mc_error

    def smallest(
        self, world: str, target: float | None = None, cost: Callable[[Cell], float] | None = None, **levels: Any
    ) -> Cell | None:
        """The cheapest design that reaches a target in a world: by ``cost`` or the study's, else by patients and weeks.

        It must reach it by more than its own Monte Carlo error; None where none does.
        """
        wanted = self.study.target if target is None else target
        price = cost or self.cost
        reach = [c for c in self.of(world, **levels) if c.success - c.mc_error >= wanted]
        return min(reach, key=price, default=None)

    def cost(self, cell: Cell) -> float:
        """What a design costs on average by the study's own ``cost``; without one, patients and then weeks count."""
        own = self.study.cost
        if own is None:
            return cell.design.patients + 1e-3 * cell.design.end
        patients = cell.design.patients if cell.seen is None else cell.seen.patients
        return own.patient * patients + own.patient_week * cell.patient_weeks + own.month * cell.months

    def frontier(self, world: str, price: str = "patient_weeks", **levels: Any) -> tuple[Cell, ...]:
        """Designs of a world that no other beats in success at the same or a lower price, cheapest first."""
        out: list[Cell] = []
        for cell in sorted(self.of(world, **levels), key=lambda c: (getattr(c, price), -c.success)):
            if not out or cell.success > out[-1].success:
                out.append(cell)
        return tuple(out)

    def averaged(self) -> pl.DataFrame:
        """Success of each design averaged over the worlds with their weights, and its Monte Carlo error."""
        found = self.assurance()
        return pl.DataFrame(
            [{**b.design.levels(), "success": b.assurance.value, "mc_error": b.assurance.mc_error} for b in found]
        )

    def assurance(self) -> tuple[Belief, ...]:
        """Every design under the weights of the worlds: success, its bound, and what success then means."""
        return beliefs(self)

    def teaches(self) -> tuple[Lesson, ...]:
        """What each design would teach about the mechanism: expected weights after it, and expected Bayes factors."""
        return lessons(self)

    def worth(self) -> tuple[Worth, ...]:
        """What each design is worth under the stakes that the study states.

        Raises
        ------
        ScenarioError : the study states none.
        """
        return worths(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the study, and a row a cell without the single replicates."""
        rows = [{k: _finite(v) for k, v in c.row().items()} for c in self.cells]
        out = {"version": self.version, "study": self.study.model_dump(mode="json", exclude_none=True), "cells": rows}
        if self.study.weighed:
            out["assurance"] = [_finites(b.row()) for b in self.assurance()]
            out["teaches"] = [_finites(row) for lesson in self.teaches() for row in lesson.rows()]
        if self.study.stakes is not None:
            out["worth"] = [_finites(w.row()) for w in self.worth()]
        return out

    def to_json(self) -> str:
        """:meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    def summary(self) -> str:
        """The answer in a few lines, world by world."""
        lines = [f"{self.study.name}: {self.study.question}"]
        for name, world in self.study.worlds.items():
            cells = self.of(name)
            if world.no_effect:
                worst = max(cells, key=lambda c: c.success)
                lines.append(
                    f"  {world.label}: at most {_share(worst)} of trials succeed by error ({worst.design.label}; "
                    f"{'claimed' if worst.replicates >= CLAIM else 'explored'} from {worst.replicates} replicates)"
                )
                continue
            best = self.smallest(name)
            top = max(cells, key=lambda c: c.success)
            lines.append(
                f"  {world.label}: {_share(top)} at most ({top.design.label})"
                if best is None
                else f"  {world.label}: {_share(best)} with {best.design.label}, the smallest that reaches "
                f"{100 * self.study.target:g} %"
            )
        if self.study.weighed:
            sure = max(self.assurance(), key=lambda b: b.assurance.value)
            lines.append(f"  Over all worlds by their weights, {sure.to_sentence()}")
        if self.study.stakes is not None:
            lines.append(f"  Under the stakes of the study, {max(self.worth(), key=lambda w: w.net).to_sentence()}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()


def _share(cell: Cell) -> str:
    return f"{100 * cell.success:.1f} % (± {100 * cell.mc_error:.1f})"


def _finites(row: dict[str, Any]) -> dict[str, Any]:
    return {k: _finite(v) for k, v in row.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def share_error(share: float, n: int) -> float:
    """Monte Carlo error of a share of ``n``, not below that of half a trial.

    >>> round(share_error(0.8, 1000), 5), share_error(0.0, 100)
    (0.01265, 0.005)
    """
    return math.sqrt(max(share * (1.0 - share), 0.25 / n) / n)
