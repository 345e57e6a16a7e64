"""Designs under a belief over worlds: assurance and its parts, what a trial would teach, what it would be worth.

The belief is the weights of the study's worlds, for instance draws of a posterior split by mechanism
(:mod:`equipoise.design.worlds`). With world ``k`` of weight ``w_k`` (adding up to 1) and success ``p_k``:

- assurance ``sum w_k p_k`` (O'Hagan, Stevens & Campbell 2005, Pharm Stat 4:187), split by whether the drug works in the
  world; its bound is the weight of the worlds in which it does;
- what a trial teaches is the change from ``w`` to the weights after it, by Bayes' theorem on the trial's estimates. The
  density of the estimates in a world is a normal one, fitted to one half of its replicates and asked on the other, so
  that the information told is never above what the estimates hold on average (Barber & Agakov 2003): a poor density
  teaches less, not more;
- what it is worth is the gain of the decision after it, less that of the best decision now (Raiffa & Schlaifer 1961),
  under stakes that the study states. Nobody's stakes are assumed.

Replicate r has the same patients in every world, so Monte Carlo errors count the covariance between worlds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from equipoise.design.study import Design, DesignStudy
from equipoise.errors import EstimationError, ScenarioError
from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.design.result import Cell, DesignResult

FEWEST = 20
"""Replicates of a world, in each half and for each number of a trial, from which a density is fitted."""

ALIKE = 1e-3
"""Two analyses of one quantity differ by less than this share of the largest variance (of standardised numbers): their
difference tells worlds apart by how a model is computed, and is not looked at."""


@dataclass(frozen=True)
class Share:
    """A probability and its Monte Carlo error."""

    value: float
    mc_error: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} ± {100 * self.mc_error:.1f} %"


@dataclass(frozen=True)
class Belief:
    """One design under the weights of the worlds.

    works : weight of the worlds in which the drug works, the bound of the assurance. The four parts add up to 1.
    works_if_shown : that the drug works, after a success; success_if_works : success, averaged over the worlds in which
    it works. NaN where there is nothing to divide by.
    """

    design: Design
    assurance: Share
    works: float
    works_and_shown: Share
    works_and_missed: Share
    nothing_and_shown: Share
    nothing_and_not_shown: Share
    works_if_shown: Share
    success_if_works: Share

    def row(self) -> dict[str, Any]:
        """As a row of a table: levels of the design, probabilities, and their errors."""
        out: dict[str, Any] = {**self.design.levels(), "works": self.works}
        for name, share in self.__dict__.items():
            if isinstance(share, Share):
                out |= {name: share.value, f"{name}_error": share.mc_error}
        return out

    def to_sentence(self) -> str:
        """In words."""
        return (
            f"{self.design.label}: assurance {self.assurance} (at most {100 * self.works:.1f} %); works and shown "
            f"{self.works_and_shown}, works and missed {self.works_and_missed}, does nothing and shown "
            f"{self.nothing_and_shown}"
        )


def beliefs(made: DesignResult) -> tuple[Belief, ...]:
    """Every design of a result under the weights of its worlds.

    Raises
    ------
    EstimationError : all weights are 0.
    """
    return tuple(_belief(made.study, design, cells) for design, cells in _by_design(made))


def _by_design(made: DesignResult) -> list[tuple[Design, list[Cell]]]:
    out: dict[Design, list[Cell]] = {}
    for cell in made.cells:
        out.setdefault(cell.design, []).append(cell)
    return list(out.items())


def _weights(study: DesignStudy, cells: Sequence[Cell]) -> FloatArray:
    w = np.array([study.worlds[c.world].weight for c in cells])
    if w.sum() <= 0.0:
        raise EstimationError("all worlds have weight 0", hint="give worlds of the study a weight above 0")
    return np.asarray(w / w.sum())


def covariance(cells: Sequence[Cell]) -> FloatArray:
    """(world, world) Monte Carlo covariance of the shares of success, whose replicates share their patients."""
    out = np.diag([c.mc_error**2 for c in cells])
    for j, a in enumerate(cells):
        for k, b in enumerate(cells[:j]):
            n = min(a.replicates, b.replicates)
            if n > 1:
                both = np.cov(a.successes[:n].astype(np.float64), b.successes[:n].astype(np.float64))[0, 1]
                out[j, k] = out[k, j] = both / max(a.replicates, b.replicates)
    return out


def _belief(study: DesignStudy, design: Design, cells: Sequence[Cell]) -> Belief:
    w, p = _weights(study, cells), np.array([c.success for c in cells])
    works = np.array([not c.no_effect for c in cells])
    spread = covariance(cells)

    def share(value: float, gradient: FloatArray) -> Share:
        return Share(value, math.sqrt(max(float(gradient @ spread @ gradient), 0.0)))

    bound = float(w[works].sum())
    whole, shown, false = w * 1.0, np.where(works, w, 0.0), np.where(works, 0.0, w)
    total, right = float(w @ p), float(shown @ p)
    wrong = total - right
    nan = math.nan
    return Belief(
        design=design,
        assurance=share(total, whole),
        works=bound,
        works_and_shown=share(right, shown),
        works_and_missed=share(bound - right, shown),
        nothing_and_shown=share(wrong, false),
        nothing_and_not_shown=share(1.0 - bound - wrong, false),
        works_if_shown=share(right / total, (shown * wrong - false * right) / total**2)
        if total > 0
        else Share(nan, nan),
        success_if_works=share(right / bound, shown / bound) if bound > 0 else Share(nan, nan),
    )


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a design would teach about the mechanism.

    mechanisms : their names; before : their weights. after : (truth, mechanism) expected weights after the trial, if
    the truth is the row; its errors. log_bayes_factor : (truth, mechanism) expected natural log of the Bayes factor of
    the truth against the mechanism. bits : expected information about the mechanism, of the ``entropy`` that there is.
    on : what was looked at, ``estimates`` or, with too few replicates for a density, ``success``.
    """

    design: Design
    mechanisms: tuple[str, ...]
    before: FloatArray
    after: FloatArray
    after_error: FloatArray
    log_bayes_factor: FloatArray
    bits: float
    bits_error: float
    entropy: float
    on: str

    def rows(self) -> list[dict[str, Any]]:
        """A row a truth and mechanism."""
        names = self.mechanisms
        return [
            {
                **self.design.levels(),
                "truth": t,
                "mechanism": m,
                "before": float(self.before[k]),
                "after": float(self.after[j, k]),
                "after_error": float(self.after_error[j, k]),
                "log_bayes_factor": float(self.log_bayes_factor[j, k]),
                "bits": self.bits,
                "bits_error": self.bits_error,
                "on": self.on,
            }
            for j, t in enumerate(names)
            for k, m in enumerate(names)
        ]

    def to_sentence(self) -> str:
        """In words."""
        own = "; ".join(
            f"if {m} is true its weight goes from {100 * self.before[k]:.0f} to {100 * self.after[k, k]:.0f} %"
            for k, m in enumerate(self.mechanisms)
        )
        return (
            f"{self.design.label}: on average {own} ({self.bits:.2f} ± {self.bits_error:.2f} of "
            f"{self.entropy:.2f} bits)"
        )


@dataclass(frozen=True, eq=False)
class _Read:
    """A design's worlds: weights, and for each the weights after each of its replicates (replicate, world)."""

    w: FloatArray
    after: list[FloatArray]
    log_density: list[FloatArray]
    on: str


def _read(study: DesignStudy, cells: Sequence[Cell]) -> _Read:
    w = _weights(study, cells)
    numbers = [c.numbers for c in cells]
    n = min(c.replicates for c in cells)
    if all(x is not None for x in numbers):
        found = _densities([np.asarray(x)[:n] for x in numbers if x is not None])
        if found is not None:
            return _Read(w, [_after(w, d) for d in found], found, "estimates")
    p = np.array([(c.successes[:n].sum() + 0.5) / (n + 1.0) for c in cells])
    lines = np.stack([np.log1p(-p), np.log(p)])  # (not shown or shown, world)
    density = [lines[c.successes[:n].astype(np.int64)] for c in cells]
    return _Read(w, [_after(w, d) for d in density], density, "success")


def _after(w: FloatArray, log_density: FloatArray) -> FloatArray:
    """(replicate, world) weights after the trial, of log densities (replicate, world)."""
    with np.errstate(divide="ignore"):
        score = log_density + np.log(w)
    score -= score.max(axis=1, keepdims=True)
    out = np.exp(score)
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def _densities(numbers: list[FloatArray]) -> list[FloatArray] | None:
    """For each world (replicate, world) log densities of its trials' numbers under each, fitted on the other half.

    A trial without some number tells nothing here: its densities are alike. None where too few trials are left.
    """
    whole = [np.isfinite(x).all(axis=1) for x in numbers]
    n = len(numbers[0])
    half = np.arange(n) % 2 == 1
    basis = _basis([x[ok] for x, ok in zip(numbers, whole, strict=True)])
    if basis is None:
        return None
    moved = [np.nan_to_num(x) @ basis for x in numbers]
    d = basis.shape[1]
    out = [np.zeros((n, len(numbers))) for _ in numbers]
    for part in (half, ~half):
        for k, (x, ok) in enumerate(zip(moved, whole, strict=True)):
            own = x[ok & ~part]
            if len(own) < FEWEST * d:
                return None
            mean = own.mean(axis=0)
            spread = np.atleast_2d(np.cov(own, rowvar=False))
            try:
                root = np.linalg.cholesky(spread)
            except np.linalg.LinAlgError:
                return None
            log_det = 2.0 * np.log(np.diag(root)).sum()
            for j, y in enumerate(moved):
                z = np.linalg.solve(root, (y[part] - mean).T)
                out[j][part, k] = -0.5 * (np.einsum("ij,ij->j", z, z) + log_det)
    for x, ok in zip(out, whole, strict=True):
        x[~ok] = 0.0
    return out


def _basis(numbers: list[FloatArray]) -> FloatArray | None:
    """Directions in which the numbers vary within a world: numbers that repeat each other count once."""
    if min(len(x) for x in numbers) < 2:
        return None
    within = np.mean([np.atleast_2d(np.cov(x, rowvar=False)) for x in numbers], axis=0)
    scale = np.sqrt(np.diag(within))
    if not (scale > 0.0).any():
        return None
    used = scale > 0.0
    values, vectors = np.linalg.eigh(within[np.ix_(used, used)] / np.outer(scale[used], scale[used]))
    kept = values > ALIKE * values[-1]
    out = np.zeros((len(scale), int(kept.sum())))
    out[used] = vectors[:, kept] / np.sqrt(values[kept]) / scale[used, None]
    return out


def lessons(made: DesignResult) -> tuple[Lesson, ...]:
    """What each design would teach about the mechanism."""
    return tuple(_lesson(made.study, design, cells) for design, cells in _by_design(made))


def _lesson(study: DesignStudy, design: Design, cells: Sequence[Cell]) -> Lesson:
    read = _read(study, cells)
    w = read.w
    of = [study.worlds[c.world].truth for c in cells]
    names = tuple(m for m in dict.fromkeys(of) if sum(x for x, o in zip(w, of, strict=True) if o == m) > 0.0)
    member = np.array([[o == m for m in names] for o in of], dtype=np.float64)  # (world, mechanism)
    before = w @ member
    n = len(read.after[0])
    size = len(names)
    post, factor = np.zeros((n, size, size)), np.zeros((n, size, size))
    bits = np.zeros(n)
    for k, (after, density) in enumerate(zip(read.after, read.log_density, strict=True)):
        if w[k] == 0.0:
            continue
        j = names.index(of[k])
        own = after @ member  # (replicate, mechanism)
        share = w[k] / before[j]
        post[:, j] += share * own
        # the density of a mechanism is that of its worlds, weighed
        top = density.max(axis=1, keepdims=True)
        mixed = np.log(np.maximum(np.exp(density - top) @ (w[:, None] * member / before), 1e-300))
        factor[:, j] += share * (mixed[:, [j]] - mixed)
        bits += w[k] * np.log2(np.maximum(own[:, j], 1e-300) / before[j])
    mean = post.mean(axis=0)
    error = post.std(axis=0, ddof=1) / math.sqrt(n)
    entropy = -float(before @ np.log2(before))
    return Lesson(
        design=design,
        mechanisms=names,
        before=before,
        after=mean,
        after_error=error,
        log_bayes_factor=factor.mean(axis=0),
        bits=float(bits.mean()),
        bits_error=float(bits.std(ddof=1)) / math.sqrt(n),
        entropy=entropy,
        on=read.on,
    )


@dataclass(frozen=True)
class Worth:
    """What a design is worth under the study's stakes, in their unit.

    now : the gain of the best decision without it, ``give`` or not. evpi : what certainty of the world would add.
    evsi : what the trial adds if the decision follows from its estimates as well as it can; by_rule : if the drug is
    given after a success and not otherwise, which can be worse than deciding now. cost : of the design by the study's
    ``cost``, 0 without one; net : evsi less cost.
    """

    design: Design
    unit: str
    now: float
    give: bool
    evpi: float
    evsi: float
    evsi_error: float
    by_rule: float
    by_rule_error: float
    cost: float

    @property
    def net(self) -> float:
        return self.evsi - self.cost

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        own = {k: v for k, v in self.__dict__.items() if k != "design"}
        return {**self.design.levels(), **own, "net": self.net}

    def to_sentence(self) -> str:
        """In words."""
        return (
            f"{self.design.label}: adds {self.evsi:.4g} ± {self.evsi_error:.2g} {self.unit} "
            f"({self.by_rule:.4g} ± {self.by_rule_error:.2g} if the drug is given after a success alone); certainty "
            f"would add {self.evpi:.4g}"
        )


def worths(made: DesignResult) -> tuple[Worth, ...]:
    """What each design is worth under the study's ``stakes``.

    Raises
    ------
    ScenarioError : the study states none, or its stakes need true effects that it did not ask for.
    """
    stakes = made.study.stakes
    if stakes is None:
        raise ScenarioError(
            "the study states no stakes", hint="stakes: {unit: ..., works: 1, nothing: -0.5} says what a decision gains"
        )
    out = []
    for design, cells in _by_design(made):
        gains = np.array([stakes.gain(not c.no_effect, c.true_effect, c.world) for c in cells]) * stakes.people
        read = _read(made.study, cells)
        w = read.w
        now = max(float(w @ gains), 0.0)
        n = len(read.after[0])
        value, rule = np.zeros(n), np.zeros(n)
        for k, (after, cell) in enumerate(zip(read.after, cells, strict=True)):
            value += w[k] * gains[k] * (after @ gains > 0.0)
            rule += w[k] * gains[k] * cell.successes[:n]
        cost = float(w @ np.array([made.cost(c) for c in cells])) if made.study.cost is not None else 0.0
        error = math.sqrt(n)
        out.append(
            Worth(
                design=design,
                unit=stakes.unit,
                now=now,
                give=float(w @ gains) > 0.0,
                evpi=float(w @ np.maximum(gains, 0.0)) - now,
                evsi=max(float(value.mean()) - now, 0.0),
                evsi_error=float(value.std(ddof=1)) / error,
                by_rule=float(rule.mean()) - now,
                by_rule_error=float(rule.std(ddof=1)) / error,
                cost=cost,
            )
        )
    return tuple(out)


def frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame."""
    return pl.DataFrame(list(rows), infer_schema_length=None)
