"""How often would a validation be fooled? A literature of trials simulated under worlds whose truth is known.

Each trial of a landscape is simulated at its size and length, with a drug given as its own, and analysed as it planned:
by its replica where that has function (which gets the marker where it has none), else by a scenario that is generic for
the disease. A world says what a drug does. Each simulated literature is put to every
criterion, and what they say is counted: validated where there is no surrogate, rejected where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import special, stats

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit, aligned
from equipoise.estimate.result import Estimate, check_level
from equipoise.plan.compiled import Slopes
from equipoise.plan.key import Key
from equipoise.run.study import measured
from equipoise.simulate import Simulator
from equipoise.simulate.als.worlds import FUNCTION, MARKER, STRENGTHS, TrialDesign, World, scenario_of, worlds
from equipoise.surrogate.criteria import CRITERIA, judged
from equipoise.surrogate.ratios import fieller
from equipoise.surrogate.trials import Rows
from equipoise.types import WEEKS_PER_MONTH, BoolArray, FloatArray

LEAST = 4.0
"""Standard errors that the effect on function has to be away from none for a proportion explained."""


def effects(trials: Any, early: float = 16.0, function: FloatArray | None = None) -> FloatArray:
    """(trial, 10) of a batch: effect on the log marker early and on function, their variances and the covariance of
    their errors; P values of Prentice's first, third and fourth tests; limits of the proportion explained.

    The marker, Prentice's tests and the proportion (Fieller's limits; NaN where the effect on function is under four
    standard errors) are by analysis of covariance of patients with both at the end. function : (trial, 2) effect and
    standard error by the analysis that the trial planned, in points a month; without it that of the same covariance
    analysis. The correlation of errors is that of the residuals of patients with both.
    """
    weeks = np.asarray(trials.weeks)
    at = int(np.argmin(np.abs(weeks - min(early, weeks[-1]))))
    months = float(weeks[-1]) / WEEKS_PER_MONTH
    with np.errstate(divide="ignore", invalid="ignore"):
        marker = np.log(trials.outcomes[MARKER])
    scores = trials.outcomes[FUNCTION]
    out = np.full((len(trials), 10), math.nan)
    for i in range(len(trials)):
        z = (trials.arm[i] > 0).astype(np.float64)
        s0, s1 = marker[i, :, 0], marker[i, :, at]
        t0, t1 = scores[i, :, 0], scores[i, :, -1]
        keep = np.isfinite(s0) & np.isfinite(s1) & np.isfinite(t0) & np.isfinite(t1)
        z, s0, t0 = z[keep], s0[keep], t0[keep]
        s, t = s1[keep] - s0, (t1[keep] - t0) / months
        n = len(z)
        if n < 10 or min(z.sum(), n - z.sum()) < 3:
            continue
        base = np.column_stack([np.ones(n), z, s0, t0])
        full = np.column_stack([base, s])
        inverse_b, inverse_f = np.linalg.pinv(base.T @ base), np.linalg.pinv(full.T @ full)
        a, va, ra = _ols(base, s, inverse_b)
        b, vb, rb = _ols(base, t, inverse_b)
        f, vf, rf = _ols(full, t, inverse_f)
        if min(va[1, 1], vb[1, 1], vf[1, 1]) <= 0.0:
            continue
        r = float(ra @ rb) / math.sqrt(float(ra @ ra) * float(rb @ rb))
        tests = (
            a[1] / math.sqrt(va[1, 1]),
            b[1] / math.sqrt(vb[1, 1]),
            f[4] / math.sqrt(vf[4, 4]),
            f[1] / math.sqrt(vf[1, 1]),
        )
        p = [2.0 * float(special.stdtr(n - 5, -abs(x))) for x in tests]
        limits = (math.nan, math.nan)
        if abs(tests[1]) >= LEAST:  # both models' influence functions give the joint covariance of their effects
            pair = np.column_stack([rf * (full @ inverse_f[:, 1]), rb * (base @ inverse_b[:, 1])])
            found = fieller(f[1], b[1], pair.T @ pair, 1.959964)
            if found.kind == "inside":
                limits = (1.0 - found.high, 1.0 - found.low)
        effect, variance = (b[1], vb[1, 1]) if function is None else (function[i, 0], function[i, 1] ** 2)
        out[i] = (a[1], effect, va[1, 1], variance, r * math.sqrt(va[1, 1] * variance), p[0], p[2], p[3], *limits)
    return out


def _ols(x: FloatArray, y: FloatArray, inverse: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coefficients, covariance and residuals of least squares; inverse : of ``x' x``."""
    beta = inverse @ (x.T @ y)
    rest = y - x @ beta
    return beta, inverse * float(rest @ rest) / max(len(y) - x.shape[1], 1), rest


def by_plan(simulator: Simulator, trials: Any) -> FloatArray:
    """(trial, 2) the effect on function and its standard error by the one analysis of the scenario's plan, in points a
    month."""
    (form,) = simulator.scenario.plan.compiled
    if isinstance(form, Slopes):
        names, months = ("slope_difference", "slope_difference_se"), 1.0
    else:
        names, months = ("contrast", "contrast_se"), form.week / WEEKS_PER_MONTH
    week = None if isinstance(form, Slopes) else form.week
    return measured(trials, simulator.scenario, [Key(n, analysis=form.id, week=week) for n in names]) / months


@dataclass(frozen=True)
class Cell:
    """What a criterion said of the literatures of a world: shares that it validated and that it rejected, of ``n``."""

    world: str
    criterion: str
    published: str
    validated: float
    rejected: float
    cannot_tell: float
    n: int

    @staticmethod
    def error(share: float, n: int) -> float:
        """Monte Carlo standard error of a share."""
        return math.sqrt(max(share * (1.0 - share), 0.0) / n)


@dataclass(frozen=True, eq=False)
class OperatingCharacteristics(Fit):
    """How often each criterion would be fooled by such a literature.

    worlds, designs : what was simulated. cells : one a world, criterion and rule of publication. seed : with it, the
    same literatures. In a world with a surrogate, ``validated`` is right and ``rejected`` a false rejection; in one
    without, ``validated`` is a false validation.
    """

    worlds: tuple[World, ...]
    designs: tuple[TrialDesign, ...]
    cells: tuple[Cell, ...]
    literatures: int
    seed: int
    lost: float
    level: float = 0.95
    backend: Any = field(default=None, repr=False)
    picture: ClassVar[str] = "forest"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The share of literatures that each criterion validated, with a Monte Carlo interval."""
        return self.at_level(self.level)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The shares with Wilson's score intervals of coverage ``level``."""
        check_level(level)
        made = []
        for c in self.cells:
            ends = stats.binomtest(round(c.validated * c.n), c.n).proportion_ci(level, "wilson")
            kind = "power" if self._truth(c.world) else "false validation"
            made.append(
                Estimate(
                    f"{c.world}: {c.criterion}, {c.published}",
                    f"simulation of {c.n} literatures",
                    c.validated,
                    Cell.error(c.validated, c.n),
                    math.inf,
                    float(ends.low),
                    float(ends.high),
                    math.nan,
                    c.n,
                    level=level,
                    scale=kind,
                    form="description",
                    term=c.criterion,
                    contrast=c.world,
                )
            )
        return tuple(made)

    def _truth(self, world: str) -> bool:
        return next(w.surrogate for w in self.worlds if w.name == world)

    def table(self) -> Any:
        """One row a world, criterion and rule of publication: shares with their Monte Carlo errors, as a frame."""
        rows: dict[str, list[Any]] = {
            k: []
            for k in (
                "world",
                "surrogate",
                "criterion",
                "published",
                "validated",
                "validated_mcse",
                "rejected",
                "rejected_mcse",
                "cannot_tell",
                "literatures",
            )
        }
        for c in self.cells:
            values = (
                c.world,
                self._truth(c.world),
                c.criterion,
                c.published,
                c.validated,
                Cell.error(c.validated, c.n),
                c.rejected,
                Cell.error(c.rejected, c.n),
                c.cannot_tell,
                c.n,
            )
            for key, value in zip(rows, values, strict=True):
                rows[key].append(value)
        return self._frame(rows)

    def _title(self) -> str:
        return f"How often would it be fooled? {self.literatures} literatures of {len(self.designs)} trials"

    def _told(self) -> Iterator[str]:
        yield self._title()
        for w in self.worlds:
            yield f"{w.name}: {w.says}{' (a surrogate)' if w.surrogate else ''}"
        yield ""
        head = ["percent validated (Monte Carlo error)", *(w.name for w in self.worlds)]
        for published in dict.fromkeys(c.published for c in self.cells):
            yield published
            body = []
            for criterion in dict.fromkeys(c.criterion for c in self.cells if c.published == published):
                row = [criterion]
                for w in self.worlds:
                    found = next(
                        (
                            c
                            for c in self.cells
                            if (c.world, c.criterion, c.published) == (w.name, criterion, published)
                        ),
                        None,
                    )
                    row.append(
                        ""
                        if found is None
                        else f"{100 * found.validated:.1f} ({100 * Cell.error(found.validated, found.n):.1f})"
                    )
                body.append(row)
            yield from aligned(head, body)
            yield ""


EVERYTHING, SELECTED = "everything published", "a negative marker result lost"


def operating_characteristics(
    trials: Sequence[TrialDesign],
    worlds: Sequence[World] = worlds(),
    *,
    literatures: int = 200,
    lost: float = 0.8,
    seed: int = 1,
    threads: int = 2,
    report: Callable[[str, int, int], None] | None = None,
) -> OperatingCharacteristics:
    """How often each criterion would validate, or reject, a surrogate from literatures of such trials.

    Parameters
    ----------
    trials : sizes and lengths, as :func:`designs_of` reads them from records. worlds : what drugs do.
    literatures : simulated in every world; 1,000 for figures to be cited.
    lost : the probability that a trial whose marker did not fall significantly tells it in words, and is lost to a
        meta-regression; each criterion is put to the whole literature and to what is left.
    seed : with it, the same literatures, whatever the threads. report : (what, done, total), for a progress bar.

    Raises
    ------
    EstimationError : no trials, no worlds, or an option out of range.
    """
    if not trials or not worlds:
        raise EstimationError(f"{len(trials)} trials, {len(worlds)} worlds", hint="one or more of each")
    if literatures < 1 or not 0.0 <= lost <= 1.0 or threads < 1:
        raise EstimationError(
            f"literatures = {literatures}, lost = {lost}, threads = {threads}",
            hint="counts of 1 or more, a probability",
        )
    cells: list[Cell] = []
    for w, world in enumerate(worlds):
        rng = np.random.Generator(np.random.Philox(key=[seed, 1000 + w]))
        whole = _simulated(trials, world, literatures, seed + 7919 * w, rng, threads)
        told = whole[:, :, 5] < 0.05
        told &= whole[:, :, 0] < 0.0
        kept = told | (rng.random(told.shape) >= lost)
        for published, mask in ((EVERYTHING, np.ones_like(kept)), (SELECTED, kept)):
            cells += _counted(world, published, whole, mask, threads)
        if report is not None:
            report(f"world: {world.name}", w + 1, len(worlds))
    return OperatingCharacteristics(tuple(worlds), tuple(trials), tuple(cells), literatures, seed, lost)


def _simulated(
    trials: Sequence[TrialDesign], world: World, literatures: int, seed: int, rng: np.random.Generator, threads: int
) -> FloatArray:
    """(literature, trial, 10) of :func:`effects`: trials with the same drug are simulated in one block, each once."""
    shape = (literatures, len(trials))
    strength = rng.integers(0, len(STRENGTHS), shape)
    gain = rng.integers(0, len(world.gains), shape)
    path = rng.random(shape) < world.on_path
    if not world.engaged:
        strength[~path] = 0  # the target is left alone: drugs of all strengths are one
    out = np.full((*shape, 10), math.nan)
    jobs = []
    for k, design in enumerate(trials):
        codes = strength[:, k] + 100 * gain[:, k] + 10000 * path[:, k]
        for code in np.unique(codes):
            jobs.append((k, design, int(code), np.flatnonzero(codes == code)))

    def run(job: tuple[int, TrialDesign, int, Any]) -> tuple[int, Any, FloatArray]:
        k, design, code, rows = job
        on_path = code >= 10000
        scenario = scenario_of(design, world, on_path, STRENGTHS[code % 100], world.gains[(code % 10000) // 100])
        simulator = Simulator.of(scenario, imbalance=False)
        made = []
        for first in range(0, len(rows), 64):
            block = simulator.block(seed + 104729 * k, 1000 * code + first, min(64, len(rows) - first))
            made.append(effects(block, function=by_plan(simulator, block)))
        return k, rows, np.concatenate(made)

    with ThreadPoolExecutor(threads) as pool:
        for k, rows, made in pool.map(run, jobs):
            out[rows, k] = made
    return out


def _counted(world: World, published: str, whole: FloatArray, mask: BoolArray, threads: int) -> list[Cell]:
    """The cells of one world and rule: every criterion on every literature."""

    def one(i: int) -> Mapping[str, int]:
        use = mask[i] & np.isfinite(whole[i, :, :8]).all(axis=1) & (whole[i, :, 3] > 0.0)
        s, t, vs, vt, c = (np.ascontiguousarray(whole[i, use, j]) for j in range(5))
        return judged(Rows(tuple(map(str, range(len(s)))), s, t, vs, vt, c), whole[i, use, 5:])

    with ThreadPoolExecutor(threads) as pool:
        said = list(pool.map(one, range(len(whole))))
    n = len(said)
    cells = []
    for name in CRITERIA:
        yes, no, untold = (sum(row[name] == code for row in said) / n for code in (1, -1, 0))
        cells.append(Cell(world.name, name, published, yes, no, untold, n))
    return cells
