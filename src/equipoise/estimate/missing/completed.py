"""Draws of the imputation model, the data sets completed with them, and their analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import values_of
from equipoise.estimate.missing.analyses import Analysis, Ancova, CompletedBlock, Own, Quantity
from equipoise.estimate.missing.delta import read_delta, template_columns
from equipoise.estimate.missing.events import (
    CARPENTER,
    STRATEGIES,
    Composite,
    Events,
    analysis_view,
    changed,
    model_view,
)
from equipoise.estimate.missing.methods import ApproxBayes, Bayes, Bmlmi, ConditionalMean
from equipoise.estimate.missing.pooling import pool, pool_bmlmi, pool_bootstrap, pool_jackknife
from equipoise.estimate.missing.samples import Samples
from equipoise.estimate.panel import Panel
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import BoolArray, FloatArray, Status


@dataclass(frozen=True)
class Names:
    """Columns of the data; ``known`` those that are the same in all rows of a patient, the arm first."""

    value: str
    subject: str
    visit: str
    arm: str
    known: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Draws:
    """The imputation model of one trial, fitted and drawn from; :meth:`impute` completes the data.

    events : what befell whom, by which strategy. samples : parameters and the patients of every sample. composite : the
    value of the strategy COMPOSITE.
    """

    panel: Panel
    events: Events
    samples: Samples
    names: Names
    composite: Composite | None

    def impute(self, strategy: str | Mapping[Any, str] | None = None) -> Completed:
        """Complete the data, with another ``strategy`` for all events or for patients named, where it needs no refit.

        Raises :class:`DataError` where the strategy would change which data the imputation model sees.
        """
        if strategy is None:
            return Completed(self)
        events = changed(self.events, self.panel, strategy)
        before, after = model_view(self.panel, self.events), model_view(self.panel, events)
        differ = (np.isnan(before) != np.isnan(after)).any(axis=1)
        if differ.any():
            who = ", ".join(str(self.panel.subjects[i]) for i in np.flatnonzero(differ)[:5])
            raise DataError(
                f"with that strategy the imputation model would see other data of {int(differ.sum())} patients (such "
                f"as {who}), who were observed after their events",
                hint="draw anew with the new strategy: MAR uses data after the event, the others do not",
            )
        y, fixed = analysis_view(self.panel, events, self.composite)
        model = replace(self.samples.model, strategy=events.codes, y=y, fixed=fixed, worst=bool(np.isinf(fixed).any()))
        return Completed(replace(self, events=events, samples=replace(self.samples, model=model)))


@dataclass(frozen=True, eq=False)
class Completed:
    """Completed data sets, made when asked for and the same each time."""

    draws: Draws
    _kept: dict[int, FloatArray] = field(default_factory=dict)

    @property
    def panel(self) -> Panel:
        return self.draws.panel

    @property
    def n_samples(self) -> int:
        return self.draws.samples.n_samples

    @cached_property
    def missing(self) -> BoolArray:
        """(subject, visit) what is imputed."""
        model = self.draws.samples.model
        return np.asarray(np.isnan(model.y) & np.isnan(model.fixed), dtype=np.bool_)

    def blocks(self, delta: FloatArray | None = None) -> Iterator[CompletedBlock]:
        """The completed data sets in blocks, with ``delta`` (subject, visit) added."""
        samples = self.draws.samples
        step = samples.block_size
        for start in range(0, samples.n_samples, step):
            stop = min(start + step, samples.n_samples)
            y = self._kept.get(start)
            if y is None:
                y = samples.complete(start, stop)
                if start == 0:
                    self._kept[0] = y
            who, member = samples.who[start:stop], samples.member(start, stop)
            if delta is not None:
                y = np.where(member[:, :, None], y + delta[who], y)
            yield CompletedBlock(self.panel, y, who, member, self._framer(y, who, member))

    def _framer(self, y: FloatArray, who: Any, member: BoolArray) -> Callable[[int], Any]:
        def frame(s: int) -> Any:
            rows = np.flatnonzero(member[s])
            people = who[s, rows]
            copies: dict[int, int] = {}
            ids: list[Any] = []
            for i in people:
                copies[int(i)] = copies.get(int(i), 0) + 1
                name = self.panel.subjects[int(i)]
                ids.append(name if copies[int(i)] == 1 else f"{name}#{copies[int(i)]}")
            if len(copies) < len(people):
                ids = [str(i) for i in ids]
            n_visits = y.shape[2]
            names = self.draws.names
            base = self.panel.baseline
            table: dict[str, list[Any]] = {
                names.subject: [i for i in ids for _ in range(n_visits)],
                names.visit: np.tile(self.panel.weeks, len(rows)).tolist(),
                names.value: y[s, rows].ravel().tolist(),
                "IMPUTED": self.missing[people].ravel().tolist(),
            }
            for column in names.known:
                values = values_of(base.get_column(column))
                table[column] = [values[i] for i in people for _ in range(n_visits)]
            return nw.from_dict(table, backend=self.panel.backend).to_native()

        return frame

    def to_frame(self, number: int = 1) -> Any:
        """Completed data set ``number`` (from 1) as a long frame of the kind that came in.

        Columns: patient, visit, value, IMPUTED, arm, covariates, strata and what ``keep`` named.
        With methods that resample, the first is that of all patients.
        """
        if not 1 <= number <= self.n_samples:
            raise EstimationError(f"no data set {number}", hint=f"there are {self.n_samples}, counted from 1")
        index = number - 1
        for block in self.blocks():
            if index < len(block.y):
                return block.frame(index)
            index -= len(block.y)
        raise AssertionError("unreachable")

    def counts(self) -> Any:
        """What stands behind each arm and visit: patients, observed, imputed by strategy, dropped, values put in."""
        panel, events, model = self.panel, self.draws.events, self.draws.samples.model
        made: dict[str, list[Any]] = {}
        after = np.arange(len(panel.weeks)) >= events.ice[:, None]
        named = np.array(events.names)
        for a, arm in enumerate(panel.arms):
            mine = panel.arm == a
            for v, week in enumerate(panel.weeks):
                row: dict[str, Any] = {
                    "arm": arm,
                    "week": float(week),
                    "n": int(mine.sum()),
                    "observed": int(np.isfinite(model.y[mine, v]).sum()),
                    "imputed": int(self.missing[mine, v].sum()),
                    "put_in": int((~np.isnan(model.fixed[mine, v])).sum()),
                    "dropped": int((np.isfinite(panel.y[mine, v]) & np.isnan(model.y[mine, v])).sum()),
                }
                for name in STRATEGIES:
                    if name != "COMPOSITE":
                        by = self.missing[:, v] & np.where(after[:, v], named == name, name == "MAR")
                        row[f"imputed_{name.lower()}"] = int((by & mine).sum())
                for key, value in row.items():
                    made.setdefault(key, []).append(value)
        return panel.native(made)

    def delta_template(
        self, delta: Sequence[float] | None = None, lag: Sequence[float] | None = None, *, missing_only: bool = True
    ) -> Any:
        """A frame to edit and give to :meth:`analyse`: one row a patient and visit.

        delta, lag : see :func:`equipoise.estimate.missing.delta.lag_scale`; ``lag`` of (1, 0, 0, ...), the default,
        adds the delta of the first visit affected throughout; (1, 1, 1, ...) lets it grow. missing_only : nothing is
        added to observed values. Columns: patient, visit, arm, is_mar, is_missing, is_post_ice, strategy, delta.
        """
        panel, names = self.panel, self.draws.names
        made, after, mar = template_columns(panel, self.draws.events, self.missing, delta, lag, missing_only)
        n_visits = len(panel.weeks)
        labels = np.where(mar, "MAR", np.array(self.draws.events.names)[:, None])
        return panel.native(
            {
                names.subject: [s for s in panel.subjects for _ in range(n_visits)],
                names.visit: np.tile(panel.weeks, panel.n).tolist(),
                names.arm: [panel.arms[int(a)] for a in panel.arm for _ in range(n_visits)],
                "is_mar": mar.ravel().tolist(),
                "is_missing": self.missing.ravel().tolist(),
                "is_post_ice": after.ravel().tolist(),
                "strategy": [
                    str(x) if gone else None for x, gone in zip(labels.ravel(), self.missing.ravel(), strict=True)
                ],
                "delta": made.ravel().tolist(),
            }
        )

    def analyse(
        self,
        analysis: Analysis | Callable[[Any], Mapping[str, Any]] | None = None,
        *,
        delta: Any = None,
        level: float = 0.95,
        estimand: str | None = None,
        no_missing: str = "analysis",
    ) -> MiAnalysis:
        """Analyse every completed data set and pool.

        Parameters
        ----------
        analysis : default :class:`Ancova` with the covariate BASE; or a function of a completed frame (:class:`Own`).
        delta : added to the completed values before: a frame as :meth:`delta_template` gives, or (subject, visit).
        no_missing : see :func:`pool`.
        """
        check_level(level)
        chosen: Analysis = Ancova() if analysis is None else analysis  # type: ignore[assignment]
        if not hasattr(chosen, "quantities"):
            if not callable(chosen):
                raise EstimationError(f"{analysis!r} is no analysis", hint="give Ancova(...), Mmrm(...) or a function")
            chosen = Own(chosen)
        if isinstance(chosen, Own):
            chosen = replace(chosen, _names=[])
        quantities = chosen.quantities(self.panel)
        shift = None
        if delta is not None:
            shift = read_delta(self.panel, delta, self.draws.names.subject, self.draws.names.visit)
        parts = [chosen.run(block) for block in self.blocks(shift)]
        if isinstance(chosen, Own):
            quantities = chosen.named()
        estimates, errors, df = (np.concatenate([p[i] for p in parts]) for i in range(3))
        return MiAnalysis(
            self, chosen, tuple(quantities), estimates, errors, df, level, estimand, no_missing, shift is not None
        )


@dataclass(frozen=True, eq=False)
class MiAnalysis(Fit):
    """An analysis of completed data sets, pooled by the rule of the method.

    quantities : what was estimated. samples, errors, df : (sample, quantity) results of each completed data set.
    """

    completed: Completed
    analysis: Analysis
    quantities: tuple[Quantity, ...]
    samples: FloatArray
    errors: FloatArray
    df: FloatArray
    level: float
    estimand: str | None
    no_missing: str
    adjusted: bool

    @cached_property
    def estimates(self) -> tuple[Estimate, ...]:
        """The pooled estimates, arms against control; one that a completed data set lacks is not estimable."""
        return tuple(self._pooled(j) for j, q in enumerate(self.quantities) if q.listed)

    @property
    def label(self) -> str:
        """The estimator in words."""
        method = self.completed.draws.samples.method
        return f"{self.analysis.label}, {method.label}"

    def _pooled(self, j: int) -> Estimate:
        wanted = self.quantities[j]
        samples = self.completed.draws.samples
        method = samples.method
        values, errors = self.samples[:, j], self.errors[:, j]
        by_rubin = isinstance(method, Bayes | ApproxBayes)
        options: dict[str, Any] = {
            "name": wanted.name,
            "n": self.completed.panel.n,
            "level": self.level,
            "ratio": wanted.ratio,
            "scale": wanted.scale,
            "estimand": self.estimand,
        }
        references = (*self.analysis.references, method.reference, CARPENTER)
        lost = ~np.isfinite(values) | (by_rubin & ~np.isfinite(errors))

        def without(status: Status, why: str) -> Estimate:
            return Estimate.from_t(
                wanted.name,
                self.label,
                0.0,
                0.0,
                0.0,
                self.completed.panel.n,
                level=self.level,
                ratio=wanted.ratio,
                scale=wanted.scale,
                estimand=self.estimand,
                status=status,
                detail=f"not estimable: {why}",
                references=references,
            )

        if lost.any():
            count = f"{int(lost.sum())} of {len(values)} completed data sets have no estimate"
            return without(Status.NO_DATA, f"{count} ({self.analysis.reason()})")
        if isinstance(method, ConditionalMean):
            if method.resample == "jackknife":
                made = pool_jackknife(float(values[0]), values[1:], **options)
            else:
                made = pool_bootstrap(float(values[0]), values[1:], interval=method.interval, **options)
        elif isinstance(method, Bmlmi):
            try:
                made = pool_bmlmi(values.reshape(method.n_samples, method.n_each), **options)
            except EstimationError as error:
                return without(Status.BOUNDARY, f"{error.message}; {error.hint}")
        else:
            df = float(self.df[:, j].mean())
            made = pool(values, errors, df, no_missing=self.no_missing, **options)
        note = ", delta-adjusted" if self.adjusted else ""
        return replace(
            made,
            estimator=f"{self.analysis.label}{note}, {method.label} ({made.estimator})",
            references=(*references, *made.references),
        )

    def _find(self, week: float | None, kind: str, arm: Any = None, versus: Any = None) -> Estimate:
        hits = [
            j
            for j, q in enumerate(self.quantities)
            if q.kind == kind
            and (arm is None or q.arm == arm)
            and (versus is None or q.versus == versus)
            and (week is None or np.isclose(q.week, week))
        ]
        if not hits:
            known = ", ".join(dict.fromkeys(f"{q.week:g}" for q in self.quantities if q.kind == kind))
            raise EstimationError(
                f"no {kind} at week {week}" if week is not None else f"no {kind}",
                hint=f"there are {kind}s at weeks {known}" if known else "see .estimates",
            )
        return self._pooled(hits[-1])

    def difference(self, at: float | None = None, *, arm: Any = None, versus: Any = None) -> Estimate:
        """An arm against another ``at`` a week, default the last: the only other arm, and control, where not named."""
        panel = self.completed.panel
        if len(panel.arms) == 2 and arm in (None, panel.arms[1]) and versus in (None, panel.arms[0]):
            return self._find(at, "difference")
        first, second = panel.place_of(arm, versus)
        return self._find(at, "difference", panel.arms[first], panel.arms[second])

    def mean(self, arm: Any, at: float | None = None) -> Estimate:
        """The mean (or proportion) of an arm ``at`` a week, default the last."""
        if arm not in self.completed.panel.arms:
            raise EstimationError(f"no arm {arm!r}", hint="arms are " + ", ".join(map(str, self.completed.panel.arms)))
        return self._find(at, "mean", arm)

    @property
    def monte_carlo_error(self) -> FloatArray:
        """(quantity,) standard error of the pooled estimate that is due to the number of imputations or samples.

        Zero for the conditional mean, whose estimate is deterministic. For bootstrapped MI, that of the bootstrap.
        """
        method = self.completed.draws.samples.method
        if isinstance(method, ConditionalMean):
            return np.zeros(self.samples.shape[1])
        values = self.samples
        if isinstance(method, Bmlmi):
            values = values.reshape(method.n_samples, method.n_each, -1).mean(axis=1)
        return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)), dtype=np.float64)

    def counts(self) -> Any:
        """What stands behind each arm and visit; see :meth:`Completed.counts`."""
        return self.completed.counts()

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The pooled estimates with intervals of coverage ``level``; pooled anew, not computed anew."""
        check_level(level)
        return replace(self, level=level).estimates

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return [{"week": q.week} for q in self.quantities if q.listed]

    def _backend(self) -> Any:
        return self.completed.panel.backend

    def _title(self) -> str:
        return self.label
