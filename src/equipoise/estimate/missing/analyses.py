"""What is done with each completed data set: ANCOVA, repeated measures, joint rank, responders, win ratio, your own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.ancova import REFERENCES as ANCOVA
from equipoise.estimate.linear.mmrm.batch import fit_batch
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.panel import Panel
from equipoise.estimate.ranks.kernels import win as win_kernel
from equipoise.estimate.ranks.survival_data import BERRY, survival_of
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray, IntArray

DIFFERENCE, MEAN, OTHER = "difference", "mean", "other"


def arms_asked(n_arms: int) -> list[tuple[int, int | None]]:
    """What is estimated of arms (indices, control 0): each against control, the means (None), and any other pair.

    >>> arms_asked(2), len(arms_asked(3))
    ([(1, 0), (0, None), (1, None)], 9)
    """
    against = [(a, 0) for a in range(1, n_arms)]
    means: list[tuple[int, int | None]] = [(a, None) for a in range(n_arms)]
    pairs = [(a, b) for b in range(n_arms) for a in range(n_arms) if a != b] if n_arms > 2 else []
    return [*against, *means, *(pair for pair in pairs if pair not in against)]


def arm_contrasts(n_arms: int) -> FloatArray:
    """(asked, arm) weights of the intercept and of the effect of each arm but control, in the order of
    :func:`arms_asked`."""
    effect = np.eye(n_arms)
    effect[0] = 0.0
    mean = effect.copy()
    mean[:, 0] = 1.0
    return np.array([mean[a] if b is None else effect[a] - effect[b] for a, b in arms_asked(n_arms)])


@dataclass(frozen=True)
class Quantity:
    """What is estimated: ``kind`` difference (of ``arm`` and ``versus``), mean (of ``arm``) or other, at ``week`` (NaN
    for none). ``listed``: it stands among the estimates, others are made when asked for."""

    name: str
    week: float
    kind: str
    scale: str
    arm: Any = None
    ratio: bool = False
    versus: Any = None
    listed: bool = True


@dataclass(frozen=True, eq=False)
class CompletedBlock:
    """Completed data sets side by side.

    y : (sample, row, visit). who : (sample, row) patients; member : (sample, row) which rows count. frame : makes the
    long frame of one sample.
    """

    panel: Panel
    y: FloatArray
    who: IntArray
    member: BoolArray
    frame: Callable[[int], Any]

    def rows(self, columns: FloatArray) -> FloatArray:
        """(sample, row, column) of what is known per patient; zeros in rows that do not count."""
        return np.where(self.member[:, :, None], columns[self.who], 0.0)


CompletedResults = tuple[FloatArray, FloatArray, FloatArray]
"""(sample, quantity) estimates, standard errors and degrees of freedom; NaN where a sample has none."""


class Analysis(Protocol):
    """An analysis of completed data sets."""

    @property
    def label(self) -> str: ...

    @property
    def references(self) -> tuple[str, ...]: ...

    def quantities(self, panel: Panel) -> list[Quantity]:
        """What is estimated; raises where the trial cannot be analysed so."""
        ...

    def run(self, block: CompletedBlock) -> CompletedResults: ...

    def reason(self) -> str:
        """Why a sample may have no estimate."""
        ...


def _weeks(panel: Panel, weeks: Sequence[float] | float | None) -> list[int]:
    if weeks is None:
        return list(range(len(panel.weeks)))
    if isinstance(weeks, int | float):
        weeks = [weeks]
    return [panel.at(float(w)) for w in weeks]


def _by_visit(panel: Panel, visits: Sequence[int], scale: tuple[str, str]) -> list[Quantity]:
    made = []
    for v in visits:
        week, at = float(panel.weeks[v]), f"at week {panel.weeks[v]:g}"
        for a, b in arms_asked(len(panel.arms)):
            arm = panel.arms[a]
            if b is None:
                made.append(Quantity(f"{arm} {at}", week, MEAN, scale[1], arm))
            else:
                versus = panel.arms[b]
                name = f"{arm} - {versus} {at}"
                made.append(Quantity(name, week, DIFFERENCE, scale[0], arm, versus=versus, listed=b == 0))
    return made


def least_squares(
    outcome: FloatArray, arm: FloatArray, columns: FloatArray, who: IntArray, member: BoolArray
) -> CompletedResults:
    """Least squares of ``outcome`` (sample, row, k) on intercept, arms and centred ``columns`` (subject, covariate).

    arm : (subject,) 1 for active, or (subject, arm) indicators of all arms but control. who : (sample, row) patients;
    member : (sample, row) which rows count. Per outcome what :func:`arms_asked` lists, of two arms the difference, the
    mean of control and that of active at the sample's covariate means; a covariate that depends linearly on those
    before it is left out.
    """
    s, _, k = outcome.shape
    inside = member[:, :, None]
    n = member.sum(axis=1)
    design = np.column_stack([np.ones(len(arm)), arm, columns])
    a = design.shape[1] - columns.shape[1]  # intercept and arms
    x = np.where(inside, design[who], 0.0)
    x[..., a:] -= x[..., a:].sum(axis=1, keepdims=True) / n[:, None, None]
    x = np.where(inside, x, 0.0)
    turned = np.swapaxes(x, 1, 2)
    inverse, rank = repeated.generalised_inverse(turned @ x)
    y = np.where(inside, outcome, 0.0)
    centre = y.sum(axis=1, keepdims=True) / n[:, None, None]
    y = np.where(inside, y - centre, 0.0)
    beta = inverse @ (turned @ y)
    df = (n - rank).astype(np.float64)
    usable = (df > 0.0) & (np.diagonal(inverse, axis1=1, axis2=2)[:, :a] > 0.0).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(usable[:, None], ((y - x @ beta) ** 2).sum(axis=1) / df[:, None], np.nan)
    weights = arm_contrasts(a)
    estimate, error = np.empty((s, k, len(weights))), np.empty((s, k, len(weights)))
    for j, c in enumerate(weights):
        own = [c[i] * (beta[:, i] + (centre[:, 0] if i == 0 else 0.0)) for i in range(a)]
        estimate[:, :, j] = sum(own[1:], start=own[0])
        factor = np.zeros(s)
        for i in np.flatnonzero(c):
            for h in (h for h in np.flatnonzero(c) if h >= i):
                factor = factor + (1.0 if i == h else 2.0) * c[i] * c[h] * inverse[:, i, h]
        error[:, :, j] = np.sqrt(variance * factor[:, None])
    estimate[~usable] = np.nan
    return (
        estimate.reshape(s, -1),
        error.reshape(s, -1),
        np.repeat(np.where(usable, df, np.nan)[:, None], len(weights) * k, axis=1),
    )


@dataclass(frozen=True)
class Ancova:
    """ANCOVA at every visit, or at ``weeks``: outcome on arm and ``covariates``, means at the covariates' means."""

    covariates: Sequence[str] = ("BASE",)
    weeks: Sequence[float] | float | None = None
    label = "ANCOVA"
    references = (ANCOVA["ancova"],)

    def quantities(self, panel: Panel) -> list[Quantity]:
        panel.columns(self.covariates)
        return _by_visit(panel, _weeks(panel, self.weeks), ("difference", "mean"))

    def run(self, block: CompletedBlock) -> CompletedResults:
        columns, _ = block.panel.columns(self.covariates)
        visits = _weeks(block.panel, self.weeks)
        outcome = block.y if visits == list(range(block.y.shape[2])) else block.y[:, :, visits]
        return least_squares(outcome, block.panel.indicators, columns, block.who, block.member)

    def reason(self) -> str:
        return "an arm is empty or there are fewer patients than coefficients"


@dataclass(frozen=True)
class Mmrm:
    """A repeated-measures model of all visits, each covariate with a coefficient a visit; differences and means.

    structure : covariance. df : ``satterthwaite``, ``kenward-roger-linear`` or ``kenward-roger``. Degrees of freedom
    differ a little between completed data sets; their mean is what pooling takes.

    Nothing is missing in a completed data set. An unstructured model with a coefficient a visit is then a multivariate
    regression: its restricted likelihood has its optimum at least squares of each visit (Anderson 2003, An
    Introduction to Multivariate Statistical Analysis, 8.2), and standard errors and df at a visit are those of ANCOVA
    there, exactly. So it is computed, without iteration; other structures are fitted.
    """

    covariates: Sequence[str] = ("BASE",)
    weeks: Sequence[float] | float | None = None
    structure: str = "us"
    df: str = "satterthwaite"
    references = ("Mallinckrodt et al. 2008, Drug Inf J 42:303",)

    @property
    def label(self) -> str:
        return f"MMRM ({self.structure})"

    def quantities(self, panel: Panel) -> list[Quantity]:
        panel.columns(self.covariates)
        return _by_visit(panel, _weeks(panel, self.weeks), ("difference", "mean"))

    def run(self, block: CompletedBlock) -> CompletedResults:
        columns, _ = block.panel.columns(self.covariates)
        if self.structure == "us" and self.df != "kenward-roger" and np.isfinite(block.y[block.member]).all():
            return Ancova(self.covariates, self.weeks).run(block)
        m = block.y.shape[2]
        n = block.member.sum(axis=1)
        a = len(block.panel.arms)
        x = block.rows(np.column_stack([np.ones(block.panel.n), block.panel.indicators, columns]))
        x[..., a:] -= x[..., a:].sum(axis=1, keepdims=True) / n[:, None, None]
        visits = _weeks(block.panel, self.weeks)
        weights = arm_contrasts(a)
        contrasts = np.zeros((len(visits) * len(weights), m, x.shape[2]))
        for i, v in enumerate(visits):
            contrasts[i * len(weights) : (i + 1) * len(weights), v, :a] = weights
        y = np.where(block.member[:, :, None], block.y, np.nan)
        made = fit_batch(y, x, contrasts, structure=self.structure, df=self.df)
        lost = ~made.converged[:, None]
        estimate, error, df = (np.where(lost, np.nan, a) for a in (made.estimate, made.se, made.df))
        return estimate, error, df

    def reason(self) -> str:
        return "the repeated-measures model did not converge"


@dataclass(frozen=True, eq=False)
class JointRank:
    """Joint rank of death and function at ``week``: deaths below everyone, in order of time, then the outcome; ANCOVA
    on the scores. survival : one row a patient, as in :func:`equipoise.estimate.ranks.joint_rank.joint_rank`.
    """

    survival: Any
    week: float
    covariates: Sequence[str] = ("BASE",)
    subject: str = "USUBJID"
    time: str = "AVAL"
    censor: str | None = "CNSR"
    event: str | None = None
    references = (BERRY,)
    label = "joint rank test"

    def quantities(self, panel: Panel) -> list[Quantity]:
        panel.columns(self.covariates)
        self._deaths(panel)
        scales = ("difference in mean joint rank score", "mean joint rank score")
        return _by_visit(panel, [panel.at(self.week)], scales)

    def _deaths(self, panel: Panel) -> FloatArray:
        times, died = survival_of(panel, self.survival, self.subject, self.time, self.censor, self.event)
        return np.where(died & (times <= self.week), times, np.inf)

    def run(self, block: CompletedBlock) -> CompletedResults:
        columns, _ = block.panel.columns(self.covariates)
        death = self._deaths(block.panel)[block.who]
        value = block.y[:, :, block.panel.at(self.week)]
        dead = np.isfinite(death)
        # one key in the order of doing better: deaths by time, below every value; rows that do not count on top
        floor = np.where(block.member, value, np.inf).min(axis=1, keepdims=True)
        latest = np.where(dead, death, 0.0).max(axis=1, keepdims=True)
        key = np.where(dead, floor - 1.0 - (latest - np.where(dead, death, latest)), value)
        key = np.where(block.member, key, np.inf)
        from scipy import stats

        score = 2.0 * stats.rankdata(key, axis=1) - (block.member.sum(axis=1, keepdims=True) + 1.0)
        outcome = np.where(block.member, score, 0.0)[:, :, None]
        return least_squares(outcome, block.panel.indicators, columns, block.who, block.member)

    def reason(self) -> str:
        return "an arm is empty or there are fewer patients than coefficients"


@dataclass(frozen=True)
class Responder:
    """Difference in the proportion whose outcome at ``week`` is at least ``threshold`` (``at_most``: at most)."""

    week: float
    threshold: float
    at_most: bool = False
    references = ("Newcombe 1998, Stat Med 17:873 (method 1)",)

    @property
    def label(self) -> str:
        return f"responders ({'<=' if self.at_most else '>='} {self.threshold:g})"

    def quantities(self, panel: Panel) -> list[Quantity]:
        return _by_visit(panel, [panel.at(self.week)], ("difference in proportions", "proportion"))

    def run(self, block: CompletedBlock) -> CompletedResults:
        value = block.y[:, :, block.panel.at(self.week)]
        yes = (value <= self.threshold) if self.at_most else (value >= self.threshold)
        arm, k = block.panel.arm[block.who], len(block.panel.arms)
        share, variance = np.empty((len(value), k)), np.empty((len(value), k))
        for a in range(k):
            mine = block.member & (arm == a)
            n = mine.sum(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                share[:, a] = (yes & mine).sum(axis=1) / n
                variance[:, a] = share[:, a] * (1.0 - share[:, a]) / n
        asked = arms_asked(k)
        estimate = np.column_stack([share[:, a] - (0.0 if b is None else share[:, b]) for a, b in asked])
        error = np.sqrt(np.column_stack([variance[:, a] + (0.0 if b is None else variance[:, b]) for a, b in asked]))
        none = error == 0.0
        estimate[none] = np.nan
        error[none] = np.nan
        return estimate, error, np.full_like(estimate, np.inf)

    def reason(self) -> str:
        return "everyone or no one responds, which gives no variance"


@dataclass(frozen=True, eq=False)
class WinRatio:
    """Win ratio, win odds and net benefit: first death, if ``survival`` is given, then the outcome at ``week``.

    margin : by how much an outcome must be higher to win. survival : one row a patient with ``time`` and ``censor`` or
    ``event``.
    """

    week: float
    survival: Any = None
    margin: float = 0.0
    subject: str = "USUBJID"
    time: str = "AVAL"
    censor: str | None = "CNSR"
    event: str | None = None
    references = ("Pocock et al. 2012, Eur Heart J 33:176", "Bebu & Lachin 2016, Biostatistics 17:178")
    label = "win ratio"

    def quantities(self, panel: Panel) -> list[Quantity]:
        week = float(panel.weeks[panel.at(self.week)])
        if not (math.isfinite(self.margin) and self.margin >= 0.0):
            raise EstimationError(f"margin {self.margin!r}", hint="a margin is 0 or more, in the unit of the outcome")
        if self.survival is not None:
            survival_of(panel, self.survival, self.subject, self.time, self.censor, self.event)
        made = []
        for a, b in self._compared(panel):
            name = f"{panel.arms[a]} against {panel.arms[b]} at week {week:g}"
            pair: dict[str, Any] = {"arm": panel.arms[a], "versus": panel.arms[b], "listed": b == 0}
            made += [
                Quantity(name, week, DIFFERENCE, "win ratio", ratio=True, **pair),
                Quantity(name, week, OTHER, "win odds", ratio=True, **pair),
                Quantity(name, week, OTHER, "net benefit", **pair),
            ]
        return made

    def _compared(self, panel: Panel) -> list[tuple[int, int]]:
        """Pairs of arms; each is compared by itself, as patients of other arms tell nothing of its pairs."""
        return [(a, b) for a, b in arms_asked(len(panel.arms)) if b is not None]

    def run(self, block: CompletedBlock) -> CompletedResults:
        at = block.panel.at(self.week)
        value, event = block.y[:, :, [at]], np.ones((*block.y.shape[:2], 1), np.bool_)
        kinds, margins = [win_kernel.VALUE], [self.margin]
        if self.survival is not None:
            times, died = survival_of(block.panel, self.survival, self.subject, self.time, self.censor, self.event)
            value = np.concatenate([times[block.who][:, :, None], value], axis=2)
            event = np.concatenate([died[block.who][:, :, None], event], axis=2)
            kinds, margins = [win_kernel.TIME, *kinds], [0.0, *margins]
        found, arm = [], block.panel.arm[block.who]
        for a, b in self._compared(block.panel):
            shares, covariance, *_ = win_kernel.win_statistics(
                value,
                arm == a,
                kinds=np.array(kinds),
                event=event,
                margins=np.array(margins),
                include=block.member & ((arm == a) | (arm == b)),
                scores=False,
            )
            found.append(win_kernel.ratios(shares, covariance, None))
        estimate, error = (np.concatenate([pair[i] for pair in found], axis=1) for i in (0, 1))
        lost = ~(np.isfinite(estimate) & np.isfinite(error))
        estimate, error = np.where(lost, np.nan, estimate), np.where(lost, np.nan, error)
        return estimate, error, np.full_like(estimate, np.inf)

    def reason(self) -> str:
        return "every pair is won, lost or tied"


@dataclass(frozen=True, eq=False)
class Own:
    """Your own analysis: a function of one completed frame.

    function : takes the long frame (of the kind that came in; patients drawn twice into a bootstrap sample appear as
    two) and returns a mapping of names to an :class:`Estimate`, or to (estimate, standard error) or (estimate,
    standard error, df); the standard error may be None with methods that resample.
    """

    function: Callable[[Any], Mapping[str, Any]]
    label: str = "own analysis"
    scale: str = "estimate"
    references: tuple[str, ...] = ()
    _names: list[str] = field(default_factory=list)

    def quantities(self, panel: Panel) -> list[Quantity]:
        return []

    def run(self, block: CompletedBlock) -> CompletedResults:
        rows: list[list[tuple[float, float, float]]] = []
        for s in range(len(block.y)):
            made = self.function(block.frame(s))
            if not isinstance(made, Mapping) or not made:
                raise EstimationError(
                    f"the analysis returned {type(made).__name__}", hint="return a dict of names to (estimate, se, df)"
                )
            if not self._names:
                self._names.extend(made)
            if list(made) != self._names:
                raise EstimationError(
                    f"the analysis returned {', '.join(made)} for one data set and {', '.join(self._names)} for "
                    "another",
                    hint="return the same names for every data set",
                )
            rows.append([_triple(v) for v in made.values()])
        table = np.array(rows, dtype=np.float64)
        return table[:, :, 0], table[:, :, 1], table[:, :, 2]

    def named(self) -> list[Quantity]:
        """The quantities, known once a data set was analysed."""
        return [Quantity(name, math.nan, OTHER, self.scale) for name in self._names]

    def reason(self) -> str:
        return "the analysis gave none"


def _triple(value: Any) -> tuple[float, float, float]:
    if isinstance(value, Estimate):
        estimate = value.estimate
        if value.estimable and value.scale in ("ratio",) and estimate > 0.0:
            raise EstimationError("ratios cannot be pooled as they are", hint="return the logarithm and its error")
        return estimate, value.se, value.df
    try:
        parts = [math.nan if x is None else float(x) for x in value]
    except TypeError as error:
        raise DataError(
            f"the analysis returned {value!r}", hint="return (estimate, se) or (estimate, se, df)"
        ) from error
    if len(parts) not in (2, 3):
        raise DataError(
            f"the analysis returned {len(parts)} numbers", hint="return (estimate, se) or (estimate, se, df)"
        )
    return parts[0], parts[1], parts[2] if len(parts) == 3 else math.inf
