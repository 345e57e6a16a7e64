"""The model-based methods of a plan, each by an adapter to its estimator: analysis of covariance and MMRM.

An adapter fits the model on a frame and hands back an object with three methods, which is all that the tables need::

    lsmeans(specs, weights=..., level=...)                levels, estimate, se, df, t, p, lower, upper
    contrasts(specs, against=..., weights=..., level=...)    contrast, estimate, se, df, t, p, lower, upper
    coefficients                                          term, estimate, se, df, t, p

``lsmeans`` and ``contrasts`` take ``by=`` the visit where the model has visits; ``test(term)`` gives the F test of a
term with several coefficients.

A further estimator is one more entry in ``FITTERS``.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import polars as pl
from pydantic import Field, field_validator, model_validator

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import parse, quoted
from equipoise.estimate.formula.functions import nearest
from equipoise.files import Frozen
from equipoise.plan.methods.registry import entry
from equipoise.plan.ordering import visits_in_order
from equipoise.plan.parts import CONTRAST, MEANS, RATIO_CONTRAST, RATIO_MEANS, Section, Show, known_statistics
from equipoise.plan.prepared import Context, in_order
from equipoise.plan.results import Block, Cell, Figure, Row, cell_of
from equipoise.types import Status

_NAMES = {"lower": "low", "upper": "high", "f": "f"}


def readable_formula(text: str) -> str:
    """A formula of the fixed part of a model, read when the plan is read: nothing of it is ever executed.

    Raises :class:`ValueError` with the place and how to mend it.
    """
    try:
        parse(text, needs_covariance=False).refuse(
            covariance="leave it out: covariance: and visit: of the section say it",
            random="leave it out: the method says it",
        )
    except EstimationError as error:
        raise ValueError(str(error)) from None
    return text


_ESTIMATE = ("estimate", "se", "df", "t", "p", "low", "high", "null")
_TEST = (*_ESTIMATE, "num_df", "den_df", "f")


class ModelRow(Frozen):
    """One line of a model's block: LS means, a contrast of two arms, or the test of a term of the model.

    ``arm`` and ``versus`` make a contrast (its cell stands in the column of ``arm``); ``versus`` alone makes one for
    each other arm. ``term`` gives a term's test (with ``formula``, of another model), in the column of ``arm``.
    """

    label: str
    show: str
    arm: str | None = None
    versus: str | None = None
    term: str | None = None
    formula: str | None = None

    _formula = field_validator("formula")(lambda text: text if text is None else readable_formula(text))
    _show = field_validator("show")(Show.readable.__func__)  # type: ignore[attr-defined]

    @model_validator(mode="after")
    def _statistics(self) -> ModelRow:
        known_statistics([self], _TEST if self.term is not None else _ESTIMATE)
        return self


class _ModelSection(Section):
    """``exponentiate``: means and differences of logarithms are shown as geometric means and their ratios."""

    formula: str
    weights: Literal["observed", "equal", "proportional", "counterfactual"] = "equal"
    level: float = Field(default=0.95, gt=0, lt=1)
    exponentiate: bool = False
    lsmeans: tuple[Show, ...] = MEANS
    contrasts: tuple[Show, ...] = CONTRAST
    rows: tuple[ModelRow, ...] | None = None

    _formula = field_validator("formula")(readable_formula)

    @model_validator(mode="after")
    def _statistics(self) -> _ModelSection:
        known_statistics([*self.lsmeans, *self.contrasts], _ESTIMATE)
        return self


class AncovaSection(_ModelSection):
    """Analysis of covariance by least squares; ``vcov`` HC0 to HC3 for a heteroscedasticity-consistent covariance."""

    method: Literal["ancova"]
    ESTIMATES = "ancova"

    vcov: Literal["HC0", "HC1", "HC2", "HC3"] | None = None


class _VisitSection(_ModelSection):
    """``covariance`` is a ladder: each structure is tried until one converges."""

    visit: str = "AVISIT"
    visits: tuple[str, ...] | None = None
    order: str = "AVISITN"
    covariance: tuple[str, ...] = Field(default=("us",), min_length=1)
    df: Literal[
        "satterthwaite", "kenward-roger", "kenward-roger-linear", "between-within", "residual"
    ] = "kenward-roger-linear"  # fmt: skip
    reml: bool = True


class MmrmSection(_VisitSection):
    """Mixed model for repeated measures. ``covariance`` is a ladder: each structure is tried until one converges."""

    ESTIMATES = "mmrm"

    method: Literal["mmrm"]


class CldaSection(_VisitSection):
    """The constrained longitudinal model: baseline is a response, with one mean for all arms.

    ``formula`` has the response and further covariates alone, ``AVAL ~ 1`` or ``AVAL ~ SEX``; arm and visit come by
    themselves. ``baseline``: the visit that is the baseline, whose records are among those of the analysis.
    """

    ESTIMATES = "clda"

    method: Literal["clda"]
    baseline: str


class Fit(Protocol):
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


FITTERS: dict[str, Callable[[str, pl.DataFrame, Any, str], Fit]] = {
    "ancova": _fit_ancova, "mmrm": _fit_mmrm, "clda": _fit_clda,
}  # fmt: skip


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


def model_frame(context: Context, formula: str, frame: pl.DataFrame, more: Sequence[str] = ()) -> pl.DataFrame:
    """The complete records for a model: arms in the plan's order, control first; other text as sorted categories."""
    names = list(dict.fromkeys([*variables_of(formula, frame), *more]))
    data = frame.select(names).drop_nulls()
    if not data.height:
        raise EstimationError("no complete records")
    return in_order(context, data)


def _statistics(row: dict[str, Any]) -> dict[str, float | None]:
    out: dict[str, float | None] = {}
    for name, value in row.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            out[_NAMES.get(name, name)] = float(value)
    return out


def _rows_of(table: Any) -> list[dict[str, Any]]:
    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    return list(frame.iter_rows(named=True))


class _Model:
    """A fitted model of a section, asked for the lines of its block."""

    def __init__(self, kind: str, context: Context, section: _ModelSection) -> None:
        self.kind, self.context, self.section = kind, context, section
        self.frame = context.chosen(section.where)
        self.more: list[str] = []
        self.visit: str | None = None
        if isinstance(section, _VisitSection):
            self.visit = section.visit
            for name in ("USUBJID", section.visit):
                context.need(self.frame, name)
            self.more = ["USUBJID", section.visit, *([context.treatment] if kind == "clda" else [])]
        self.notes: tuple[str, ...] = ()
        self._fits: dict[str, Fit] = {}
        self._tables: dict[str | None, list[dict[str, Any]]] = {}
        self.data = self._data(section.formula)

    def _data(self, formula: str) -> pl.DataFrame:
        data = model_frame(self.context, formula, self.frame, self.more)
        if self.visit is not None:
            data = data.with_columns(pl.col(self.visit).cast(pl.Enum(self._visits(data))))
        return data

    def _visits(self, data: pl.DataFrame) -> list[str]:
        section = self.section
        if not isinstance(section, _VisitSection):
            return []
        present = set(data[section.visit].cast(pl.String).unique().to_list())
        ordered, note = visits_in_order(self.frame, section.visit, section.order)
        if note is not None and note not in self.notes:
            self.notes = (*self.notes, note)
        return [v for v in ordered if v in present]

    def fit(self, formula: str | None = None) -> Fit:
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
        visits = self._visits(self.data)
        wanted = self.section.visits if isinstance(self.section, _VisitSection) else None
        absent = [v for v in wanted or () if v not in visits]
        if absent:
            raise DataError(
                f"analysis {self.context.analysis.id}: no records at {absent[0]!r}", hint="visits: " + ", ".join(visits)
            )
        if wanted is None and isinstance(self.section, CldaSection):
            return [v for v in visits if v != self.section.baseline]
        return list(wanted or visits)

    def _by(self) -> dict[str, str]:
        return {} if self.visit is None else {"by": self.visit}

    def _asked(self, versus: str | None) -> list[dict[str, Any]]:
        """LS means, or contrasts against ``versus``, at every visit; asked for once."""
        if versus not in self._tables:
            section, fit = self.section, self.fit()
            ask: dict[str, Any] = {"weights": section.weights, "level": section.level}
            if self.visit is not None:
                ask["by"] = self.visit
            arm = self.context.treatment
            with self._listening():
                table = fit.lsmeans(arm, **ask) if versus is None else fit.contrasts(arm, against=versus, **ask)
            self._tables[versus] = _rows_of(table)
        return self._tables[versus]

    def _shown(self, row: dict[str, Any]) -> dict[str, float | None]:
        """The numbers of a row; on the ratio scale where the section asks for it (``se``: of the logarithm)."""
        out = {**_statistics(row), "null": float(self.section.exponentiate)}
        if self.section.exponentiate:
            out |= {k: math.exp(v) for k in ("estimate", "low", "high") if (v := out.get(k)) is not None}
        return out

    def _here(self, row: dict[str, Any], place: str | None) -> bool:
        return place is None or str(row[str(self.visit)]) == place

    def means(self, place: str | None) -> dict[str, dict[str, float | None]]:
        return {str(r[self.context.treatment]): self._shown(r) for r in self._asked(None) if self._here(r, place)}

    def contrast(self, one: str, versus: str, place: str | None) -> dict[str, float | None]:
        for row in self._asked(versus):
            if self._here(row, place) and row["contrast"] == f"{one} - {versus}":
                return self._shown(row)
        raise EstimationError(f"{one} and {versus} cannot be compared: an arm has no records")

    def term(self, name: str, formula: str | None) -> dict[str, float | None]:
        fit: Any = self.fit(formula)
        with self._listening():
            for row in _rows_of(fit.coefficients):
                if row["term"] == name:
                    return _statistics(row)
            if not hasattr(fit, "test"):
                raise EstimationError(f"{name} is no coefficient of the model, and {self.kind} has no test of terms")
            return _statistics(_rows_of(fit.test(name))[0])

    # --- lines of the block --------------------------------------------------------------------------------------

    def lines(self) -> list[Row]:
        out: list[Row] = []
        for place in self.places():
            if len(self.places()) > 1:
                out.append(Row(str(place), {}))
            indent = 1 if len(self.places()) > 1 else 0
            if self.section.rows is not None:
                out += [self._line(line, place, indent) for line in self.section.rows]
            else:
                out += self._standard(place, indent)
        return out

    def _lines_for(self, lines: tuple[Show, ...]) -> list[Show]:
        """The lines of the section; the usual ones suit the scale and the level."""
        section = self.section
        if lines not in (MEANS, CONTRAST):
            return list(lines)
        if section.exponentiate:
            lines = RATIO_MEANS if lines == MEANS else RATIO_CONTRAST
        level = f"{100 * section.level:g}%"
        return [Show(label=line.label.replace("95%", level), show=line.show) for line in lines]

    def _standard(self, place: str | None, indent: int) -> list[Row]:
        control = self.context.plan.treatment.reference
        means = self.means(place)
        out = [
            Row(show.label, {arm: _cell(show, means.get(arm)) for arm in self.context.arms}, None, indent)
            for show in self._lines_for(self.section.lsmeans)
        ]
        others = [a for a in self.context.arms if a != control and a in means]
        found = {arm: self.contrast(arm, control, place) for arm in others}
        out += [
            Row(show.label, {arm: _cell(show, s) for arm, s in found.items()}, f"against {control}", indent)
            for show in self._lines_for(self.section.contrasts)
        ]
        return out

    def _line(self, line: ModelRow, place: str | None, indent: int) -> Row:
        show = Show(label=line.label, show=line.show)
        if line.term is not None:
            column = line.arm or self.context.arms[-1]
            formula = line.formula or self.section.formula
            return Row(
                line.label,
                {column: _cell(show, self.term(line.term, line.formula))},
                f"{line.term} in {formula}",
                indent,
            )
        if line.versus is not None:
            arms = [line.arm] if line.arm else [a for a in self.context.arms if a != line.versus]
            cells = {a: _cell(show, self.contrast(a, line.versus, place)) for a in arms}
            return Row(line.label, cells, f"{' and '.join(arms)} against {line.versus}", indent)
        means = self.means(place)
        arms = [line.arm] if line.arm else list(self.context.arms)
        return Row(line.label, {a: _cell(show, means.get(a)) for a in arms}, None, indent)


def _means_figure(model: _Model, section: _VisitSection) -> tuple[Figure, ...]:
    """Means over visits, with the patients observed at each; nothing where there is one visit."""
    visits = model._visits(model.data)
    if not section.figure or len(visits) < 2:
        return ()
    arm, labels = model.context.treatment, model.context.plan.treatment.labels
    number = _visit_numbers(model, section)
    seen = model.data.group_by([arm, section.visit]).len()
    counts = {(str(r[arm]), str(r[section.visit])): r["len"] for r in seen.iter_rows(named=True)}
    rows = [
        {"arm": labels.get(one, one), "visit": number.get(visit, visit), "estimate": s.get("estimate"),
         "low": s.get("low"), "high": s.get("high"), "n": counts.get((one, visit), 0)}
        for one in model.context.arms
        for visit in visits
        if (s := model.means(visit).get(one)) is not None
    ]  # fmt: skip
    ratio = section.exponentiate
    response = _response(section)
    change = not ratio and response in ("CHG", "PCHG")
    what = "geometric mean" if ratio else "LS mean"
    title = f"{response}, {what} ({100 * section.level:g} % CI)"
    options = {"y_title": title, "log": ratio, "null": 0.0 if change else None,
               "start": 0.0 if change and number else None, "unit": "weeks"}  # fmt: skip
    return (Figure("ls_means", section.label or "Means over visits", tuple(rows), options),)


def _visit_numbers(model: _Model, section: _VisitSection) -> dict[str, float]:
    """Visit -> its number, where visits are called by the week that numbers them (Week 4 is 4)."""
    frame = model.frame
    if section.order not in frame.columns or not frame.schema[section.order].is_numeric():
        return {}
    pairs = frame.select(section.visit, section.order).drop_nulls().unique()
    number = {str(v): float(k) for v, k in pairs.iter_rows()}
    named = all(re.fullmatch(rf"weeks? 0*{k:g}", v, re.IGNORECASE) for v, k in number.items())
    return number if named and len(number) == pairs.height else {}


def _response(section: _ModelSection) -> str:
    """The response as the formula writes it."""
    return str(parse(section.formula, needs_covariance=False).response)


def _cell(show: Show, statistics: dict[str, float | None] | None) -> Cell:
    return cell_of(show.show, statistics or {})


def _ratio(section: _ModelSection) -> str:
    return "; exponentiated: geometric means and ratios, standard errors of logarithms" if section.exponentiate else ""


def ancova(context: Context, section: AncovaSection) -> Block:
    """Analysis of covariance by arm: LS means, contrasts, term tests (and whatever rows the section asks for)."""
    model = _Model("ancova", context, section)
    rows = model.lines()
    robust = f", {section.vcov} covariance" if section.vcov else ""
    return Block(
        section.label or "Analysis of covariance",
        "ancova",
        context.analysis.dataset,
        _response(section),
        tuple(rows),
        description=f"least squares, {section.formula}; LS means at {section.weights} weights{robust}{_ratio(section)}",
        notes=(*((section.note,) if section.note else ()), *model.notes),
        details={"formula": section.formula, "records": model.data.height},
    )


def mmrm(context: Context, section: MmrmSection) -> Block:
    """Mixed model for repeated measures: LS means and contrasts at the visits asked for."""
    return _over_visits("mmrm", "Mixed model for repeated measures", context, section, section.formula)


def clda(context: Context, section: CldaSection) -> Block:
    """Constrained longitudinal model: means and contrasts at the visits after baseline.

    Raises
    ------
    DataError : the formula names the arm or the visit, or there are no records at baseline.
    """
    what = f"analysis {context.analysis.id}"
    named = parse(section.formula, needs_covariance=False).without_response().variables
    for name in (context.treatment, section.visit):
        if name in named:
            raise DataError(f"{what}: {name} is in the formula {section.formula!r}",
                            hint="arm and visit come by themselves, AVAL ~ 1, say")  # fmt: skip
    frame = context.chosen(section.where)
    context.need(frame, section.visit)
    present = frame[section.visit].cast(pl.String).drop_nulls().unique(maintain_order=True).to_list()
    if section.baseline not in present:
        raise DataError(f"{what}: no records at baseline {section.baseline!r}", hint="visits: " + ", ".join(present))
    told = f"{section.formula}, visit, and arm by visit after {section.baseline}"
    return _over_visits("clda", "Constrained longitudinal model", context, section, told)


def _over_visits(kind: str, title: str, context: Context, section: MmrmSection | CldaSection, told: str) -> Block:
    model = _Model(kind, context, section)
    rows = model.lines()
    fit: Any = model.fit()
    method = "restricted maximum likelihood" if section.reml else "maximum likelihood"
    details = {
        "formula": section.formula,
        "records": fit.n_obs,
        "subjects": fit.n_subjects,
        "covariance": fit.structure,
        "attempts": [list(a) for a in fit.attempts],
        "converged": fit.converged,
        "gradient_norm": fit.gradient_norm,
        "minus_2_log_likelihood": -2.0 * fit.loglik,
        "aic": fit.aic,
        "bic": fit.bic,
    }
    return Block(
        section.label or title,
        kind,
        context.analysis.dataset,
        _response(section),
        tuple(rows),
        description=(
            f"{method}, {told}, covariance {fit.structure}, {section.df} degrees of freedom; "
            f"{fit.n_subjects} subjects, {fit.n_obs} records; -2 log-likelihood {-2.0 * fit.loglik:.4f}"
            + _ratio(section)
        ),
        notes=(*((section.note,) if section.note else ()), *model.notes),
        details=details,
        figures=_means_figure(model, section),
    )


METHODS = (
    entry("ancova", AncovaSection, ancova, "Analysis of covariance", noted=True),
    entry("mmrm", MmrmSection, mmrm, "Mixed model for repeated measures", noted=True),
    entry("clda", CldaSection, clda, "Constrained longitudinal model", noted=True),
)
