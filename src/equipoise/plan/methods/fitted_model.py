"""A model fitted for a section of a plan, and its numbers, by an adapter to its estimator.

An adapter fits the model on a frame and hands back an object with three methods, which is all that the numbers need::

    lsmeans(specs, weights=..., level=...)                levels, estimate, se, df, t, p, lower, upper
    contrasts(specs, against=..., weights=..., level=...)    contrast, estimate, se, df, t, p, lower, upper
    coefficients                                          term, estimate, se, df, t, p

``lsmeans`` and ``contrasts`` take ``by=`` the visit where the model has visits; ``test(term)`` gives the F test of a
term with several coefficients.

A further estimator is one more entry in ``FITTERS``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

import polars as pl

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import parse, quoted
from equipoise.estimate.formula.functions import nearest
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import finite, from_row, values_of
from equipoise.plan.methods.model_sections import (
    AncovaSection,
    CldaSection,
    MmrmSection,
    ModelRow,
    ModelSection,
    VisitSection,
)
from equipoise.plan.methods.registry import Place
from equipoise.plan.ordering import visits_in_order
from equipoise.plan.prepared import Prepared, in_order
from equipoise.types import Status

_ESTIMATORS = {"ancova": "analysis of covariance", "mmrm": "MMRM", "clda": "constrained longitudinal model"}


class LinearFit(Protocol):
    """What an adapter hands back."""

    @property
    def coefficients(self) -> Any: ...

    def lsmeans(self, specs: str, **options: Any) -> Any: ...

    def contrasts(self, specs: str, **options: Any) -> Any: ...


def _fit_ancova(formula: str, frame: pl.DataFrame, section: AncovaSection, arm: str) -> Any:
    from equipoise.estimate.linear.ancova import ancova as fit_ancova

    fit: Any = fit_ancova(formula, frame, vcov=section.vcov or "model")
    if not fit.status == Status.OK:
        raise EstimationError(fit.reason)
    return fit


def _fit_mmrm(formula: str, frame: pl.DataFrame, section: MmrmSection, arm: str) -> Any:
    from equipoise.estimate.linear.mmrm import mmrm as fit_mmrm

    first, *rest = section.covariance
    whole = f"{formula} + {first}({quoted(section.visit)} | USUBJID)"
    fit: Any = fit_mmrm(whole, frame, reml=section.reml, df=section.df, fallback=tuple(rest))
    return fit


def _fit_clda(formula: str, frame: pl.DataFrame, section: CldaSection, arm: str) -> Any:
    from equipoise.estimate.linear.clda import clda as fit_clda

    first, *rest = section.covariance
    whole = f"{formula} + {first}({quoted(section.visit)} | USUBJID)"
    fit: Any = fit_clda(
        whole, frame, arm=arm, baseline=section.baseline, reml=section.reml, df=section.df, fallback=tuple(rest)
    )
    return fit


FITTERS: dict[str, Callable[[str, pl.DataFrame, Any, str], LinearFit]] = {
    "ancova": _fit_ancova,
    "mmrm": _fit_mmrm,
    "clda": _fit_clda,
}


def variables_of(formula: str, frame: pl.DataFrame) -> list[str]:
    """The variables of ``frame`` that a formula names; raises :class:`DataError` for a name that is not there."""
    names = list(parse(formula, needs_covariance=False).variables)
    unknown = [n for n in names if n not in frame.columns]
    if unknown:
        close = nearest(unknown[0], frame.columns)
        raise DataError(
            f"formula {formula!r}: there is no variable {unknown[0]}",
            hint=f"{close}there are {', '.join(frame.columns[:60])}",
        )
    return names


def model_frame(context: Prepared, formula: str, frame: pl.DataFrame, more: Sequence[str] = ()) -> pl.DataFrame:
    """The complete records for a model: arms in the plan's order, control first; other text as sorted categories."""
    names = list(dict.fromkeys([*variables_of(formula, frame), *more]))
    data = frame.select(names).drop_nulls()
    if not data.height:
        raise EstimationError("no complete records")
    return in_order(context, data)


def _rows_of(table: Any) -> list[dict[str, Any]]:
    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    return list(frame.iter_rows(named=True))


class FittedModel:
    """A fitted model of a section, asked for its numbers."""

    def __init__(self, kind: str, context: Prepared, section: ModelSection) -> None:
        self.kind, self.context, self.section = kind, context, section
        self.frame = context.chosen(section.where)
        self.more: list[str] = []
        self.visit: str | None = None
        if isinstance(section, VisitSection):
            self.visit = section.visit
            for name in ("USUBJID", section.visit):
                context.need(self.frame, name)
            self.more = ["USUBJID", section.visit, *([context.treatment] if kind == "clda" else [])]
        elif section.diagnostics and "USUBJID" in self.frame.columns:
            self.more = ["USUBJID"]
        self.notes: tuple[str, ...] = ()
        self._fits: dict[str, LinearFit] = {}
        self._tables: dict[tuple[str | None, bool], list[dict[str, Any]]] = {}
        self.tests: dict[Place, dict[str, float | None]] = {}
        self.data = self._data(section.formula)

    def _data(self, formula: str) -> pl.DataFrame:
        data = model_frame(self.context, formula, self.frame, self.more)
        if self.visit is not None:
            data = data.with_columns(pl.col(self.visit).cast(pl.Enum(self.visits(data))))
        return data

    def visits(self, data: pl.DataFrame) -> list[str]:
        section = self.section
        if not isinstance(section, VisitSection):
            return []
        present = set(data[section.visit].cast(pl.String).unique().to_list())
        ordered, note = visits_in_order(self.frame, section.visit, section.order)
        if note is not None and note not in self.notes:
            self.notes = (*self.notes, note)
        return [v for v in ordered if v in present]

    def fit(self, formula: str | None = None) -> LinearFit:
        text = formula or self.section.formula
        if text not in self._fits:
            data = self.data if formula is None else self._data(text)
            try:
                with self._listening():
                    self._fits[text] = FITTERS[self.kind](text, data, self.section, self.context.treatment)
            except DataError as error:
                raise EstimationError(error.message, hint=error.hint) from None
        return self._fits[text]

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """What an estimator warns of becomes a note for the reader."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield
        for warning in said:
            text = str(warning.message)
            if issubclass(warning.category, UserWarning) and text not in self.notes:
                self.notes = (*self.notes, text)

    def places(self) -> list[str | None]:
        """The visits to be shown; one place without a name for a model without visits."""
        if self.visit is None:
            return [None]
        visits = self.visits(self.data)
        wanted = self.section.visits if isinstance(self.section, VisitSection) else None
        absent = [v for v in wanted or () if v not in visits]
        if absent:
            raise DataError(
                f"analysis {self.context.analysis.id}: no records at {absent[0]!r}", hint="visits: " + ", ".join(visits)
            )
        average = self.average
        if average is not None:
            if average in visits:
                what = f"analysis {self.context.analysis.id}"
                raise DataError(
                    f"{what}: average: {average!r} is a visit", hint="give the mean over visits another name"
                )
            return [*(wanted or ()), average]
        if wanted is None and isinstance(self.section, CldaSection):
            return [v for v in visits if v != self.section.baseline]
        return list(wanted or visits)

    @property
    def average(self) -> str | None:
        """How the mean over the visits is named, where the section asks for it."""
        return self.section.average if isinstance(self.section, MmrmSection) else None

    def _over_all(self, place: str | None) -> bool:
        """Whether a place is the mean over the visits."""
        return place is not None and place == self.average

    def _asked(self, versus: str | None, whole: bool) -> list[dict[str, Any]]:
        """LS means, or contrasts against ``versus``, at every visit or over all (``whole``); asked for once."""
        if (versus, whole) not in self._tables:
            section, fit = self.section, self.fit()
            ask: dict[str, Any] = {"weights": section.weights, "level": section.level}
            if self.visit is not None and not whole:
                ask["by"] = self.visit
            arm = self.context.treatment
            with self._listening():
                made = fit.lsmeans(arm, **ask) if versus is None else fit.contrasts(arm, against=versus, **ask)
                table = made.to_frame()
            self._tables[versus, whole] = _rows_of(table)
        return self._tables[versus, whole]

    def _here(self, row: dict[str, Any], place: str | None) -> bool:
        return place is None or self._over_all(place) or str(row[str(self.visit)]) == place

    @cached_property
    def _records(self) -> dict[tuple[str, str | None], int]:
        """Records of each arm, at each visit where there are visits."""
        columns = [self.context.treatment, *([self.visit] if self.visit is not None else [])]
        seen = self.data.group_by(columns).len()
        out = {(str(r[0]), str(r[1]) if self.visit is not None else None): int(r[-1]) for r in seen.iter_rows()}
        if self.average is not None:
            for arm in {arm for arm, _ in out}:
                out[arm, self.average] = sum(n for (one, _), n in out.items() if one == arm)
        return out

    def _people(self, formula: str | None = None) -> int:
        fit: Any = self.fit(formula)
        return int(fit.n if self.visit is None else fit.n_subjects)

    @cached_property
    def _estimator(self) -> str:
        name = _ESTIMATORS[self.kind]
        if not isinstance(self.section, VisitSection):
            return name
        fit: Any = self.fit()
        return f"{name}, {fit.structure} covariance, {self.section.df} degrees of freedom"

    def _estimate(self, name: str, row: dict[str, Any], place: str | None, n: int, scale: str) -> Estimate:
        """A row of a table of the estimator as an estimate; a ratio where the section asks (``se``: of the ln)."""
        return from_row(
            row,
            name=name if place is None else f"{name} at {place}",
            estimator=self._estimator,
            n=n,
            level=self.section.level,
            scale=scale,
            ratio=self.section.exponentiate,
        )

    def means(self, place: str | None) -> dict[str, Estimate]:
        """LS means by arm; geometric means where the section asks."""
        name = "geometric mean" if self.section.exponentiate else "LS mean"
        rows = {
            str(r[self.context.treatment]): r for r in self._asked(None, self._over_all(place)) if self._here(r, place)
        }
        return {
            arm: self._estimate(f"{name}, {arm}", row, place, self._records.get((arm, place), 0), name)
            for arm, row in rows.items()
        }

    def contrast(self, one: str, versus: str, place: str | None) -> Estimate:
        """Difference of two arms; their ratio where the section asks."""
        name = f"{one} {'/' if self.section.exponentiate else '-'} {versus}"
        for row in self._asked(versus, self._over_all(place)):
            if self._here(row, place) and row["contrast"] == f"{one} - {versus}":
                scale = "ratio" if self.section.exponentiate else "difference"
                return self._estimate(name, row, place, self._people(), scale)
        raise EstimationError(f"{one} and {versus} cannot be compared: an arm has no records")

    def term(self, name: str, formula: str | None) -> tuple[Place, Estimate]:
        """A coefficient, or the F test of a term; ``tests`` has the numbers of it that a line may show."""
        fit: Any = self.fit(formula)
        where, n = name if formula is None else f"{name} in {formula}", self._people(formula)
        with self._listening():
            for row in _rows_of(fit.coefficients):
                if row["term"] == name:
                    made = from_row(row, name=name, estimator=self._estimator, n=n, level=0.95, scale="coefficient")
                    place = Place("coefficient", variable=where)
                    self.tests[place] = shown_values(made)
                    return place, made
            if not hasattr(fit, "test"):
                raise EstimationError(f"{name} is no coefficient of the model, and {self.kind} has no test of terms")
            row = _rows_of(fit.test(name))[0]
        test = f"F test on {row['num_df']:g} and {row['den_df']:.4g} degrees of freedom"
        place = Place("term_test", variable=where)
        self.tests[place] = {k: finite(row[k]) for k in ("num_df", "den_df", "f", "p")}
        return place, Estimate.of_test(name, test, row["p"], n, statistic=row["f"], df=row["den_df"])

    # --- the numbers of the section ------------------------------------------------------------------------------

    def at_mean(self, arm: str, place: str | None) -> Place:
        return Place("geometric_mean" if self.section.exponentiate else "lsmean", arm, place)

    def at_contrast(self, arm: str, versus: str, place: str | None) -> Place:
        away = None if versus == self.context.plan.treatment.reference else versus
        return Place("ratio" if self.section.exponentiate else "difference", arm, place, versus=away)

    def arms_of(self, line: ModelRow) -> list[str]:
        return [line.arm] if line.arm else [a for a in self.context.arms if a != line.versus]

    def numbers(self) -> dict[Place, Estimate]:
        """The numbers of the section by their place: the usual ones, or those that its rows ask for."""
        out: dict[Place, Estimate] = {}
        for place in self.places():
            if self.section.rows is None:
                means, control = self.means(place), self.context.plan.treatment.reference
                out |= {self.at_mean(arm, place): e for arm, e in means.items()}
                active = [a for a in self.context.arms if a != control and a in means]
                out |= {self.at_contrast(a, control, place): self.contrast(a, control, place) for a in active}
            for line in self.section.rows or ():
                if line.term is not None:
                    where, made = self.term(line.term, line.formula)
                    out[where] = made
                elif line.versus is not None:
                    arms = self.arms_of(line)
                    out |= {self.at_contrast(a, line.versus, place): self.contrast(a, line.versus, place) for a in arms}
                else:
                    means = self.means(place)
                    out |= {self.at_mean(a, place): means[a] for a in self.arms_of(line) if a in means}
        return out


def shown_values(estimate: Estimate) -> dict[str, float | None]:
    """The numbers of an estimate that a line may show."""
    return {**values_of(estimate), "t": finite(estimate.statistic)}
