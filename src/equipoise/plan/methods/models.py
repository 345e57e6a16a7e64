"""The model-based methods of a plan: analysis of covariance, MMRM and the constrained longitudinal model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from equipoise.errors import DataError
from equipoise.estimate.formula import parse
from equipoise.estimate.result import Estimate
from equipoise.plan.compiled import AnyForm, Lowered, MixedModel
from equipoise.plan.key import Key
from equipoise.plan.methods import forms
from equipoise.plan.methods.diagnosed import diagnosed
from equipoise.plan.methods.estimates import finite
from equipoise.plan.methods.fitted_model import FittedModel, shown_values
from equipoise.plan.methods.model_sections import (
    AncovaSection,
    CldaSection,
    MmrmSection,
    ModelRow,
    ModelSection,
    VisitSection,
)
from equipoise.plan.methods.registry import Found, Kernel, Method, Names, Test
from equipoise.plan.outcome_arrays import by_profile, centred, change_from_baseline, columns, levels
from equipoise.plan.outcome_arrays import of_arms as contrasts_of_arms
from equipoise.plan.parts import CONTRAST, MEANS, RATIO_CONTRAST, RATIO_MEANS, Show
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block, Cell, Figure, Row, cell_of
from equipoise.plan.trial_estimates import TrialEstimates, of_arms

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials


class _Lines:
    """The lines of a section from its numbers."""

    def __init__(self, model: FittedModel, found: Found) -> None:
        self.model, self.section, self.context, self.numbers = model, model.section, model.context, found.numbers

    def rows(self) -> list[Row]:
        out: list[Row] = []
        places = self.model.places()
        indent = 1 if len(places) > 1 else 0
        for place in places:
            if indent:
                out.append(Row(str(place), {}))
            if self.section.rows is not None:
                out += [self._line(line, place, indent) for line in self.section.rows]
            else:
                out += self._standard(place, indent)
        return out

    def _usual(self, lines: tuple[Show, ...]) -> list[Show]:
        """The lines of the section; the usual ones suit the scale and the level."""
        section = self.section
        if lines not in (MEANS, CONTRAST):
            return list(lines)
        if section.exponentiate:
            lines = RATIO_MEANS if lines == MEANS else RATIO_CONTRAST
        level = f"{100 * section.level:g}%"
        return [Show(label=line.label.replace("95%", level), show=line.show) for line in lines]

    def _standard(self, place: str | None, indent: int) -> list[Row]:
        control, arms, model = self.context.plan.treatment.reference, self.context.arms, self.model
        means = {arm: self.numbers.get(model.at_mean(arm, place)) for arm in arms}
        found = {a: e for a in arms if (e := self.numbers.get(model.at_contrast(a, control, place))) is not None}
        out = [
            Row(show.label, {arm: _cell(show.show, e) for arm, e in means.items()}, None, indent)
            for show in self._usual(self.section.lsmeans)
        ]
        out += [
            Row(show.label, {arm: _cell(show.show, e) for arm, e in found.items()}, f"against {control}", indent)
            for show in self._usual(self.section.contrasts)
        ]
        return out

    def _line(self, line: ModelRow, place: str | None, indent: int) -> Row:
        model, arms = self.model, self.model.arms_of(line)
        if line.term is not None:
            formula = line.formula or self.section.formula
            where = line.term if line.formula is None else f"{line.term} in {line.formula}"
            shown = next(v for k, v in model.tests.items() if k.variable == where)
            column = line.arm or self.context.arms[-1]
            return Row(line.label, {column: cell_of(line.show, shown)}, f"{line.term} in {formula}", indent)
        if line.versus is not None:
            cells = {a: _cell(line.show, self.numbers[model.at_contrast(a, line.versus, place)]) for a in arms}
            return Row(line.label, cells, f"{' and '.join(arms)} against {line.versus}", indent)
        means = {a: self.numbers.get(model.at_mean(a, place)) for a in arms}
        return Row(line.label, {a: _cell(line.show, e) for a, e in means.items()}, None, indent)


def _means_figure(model: FittedModel, section: VisitSection) -> tuple[Figure, ...]:
    """Means over visits, with the patients observed at each; nothing where there is one visit."""
    visits = model.visits(model.data)
    if not section.figure or len(visits) < 2:
        return ()
    labels = model.context.plan.treatment.labels
    number = _visit_numbers(model, section)
    means = {visit: model.means(visit) for visit in visits}
    rows = [
        {
            "arm": labels.get(one, one),
            "visit": number.get(visit, visit),
            "n": e.n,
            "estimate": finite(e.estimate),
            "low": finite(e.low),
            "high": finite(e.high),
        }
        for one in model.context.arms
        for visit in visits
        if (e := means[visit].get(one)) is not None
    ]
    ratio = section.exponentiate
    response = _response(section)
    change = not ratio and response in ("CHG", "PCHG")
    what = "geometric mean" if ratio else "LS mean"
    title = f"{response}, {what} ({100 * section.level:g} % CI)"
    options = {
        "y_title": title,
        "log": ratio,
        "null": 0.0 if change else None,
        "start": 0.0 if change and number else None,
        "unit": "weeks",
    }
    return (Figure("ls_means", section.label or "Means over visits", tuple(rows), options),)


def _visit_numbers(model: FittedModel, section: VisitSection) -> dict[str, float]:
    """Visit -> its number, where visits are called by the week that numbers them (Week 4 is 4)."""
    frame = model.frame
    if section.order not in frame.columns or not frame.schema[section.order].is_numeric():
        return {}
    pairs = frame.select(section.visit, section.order).drop_nulls().unique()
    number = {str(v): float(k) for v, k in pairs.iter_rows()}
    named = all(re.fullmatch(rf"weeks? 0*{k:g}", v, re.IGNORECASE) for v, k in number.items())
    return number if named and len(number) == pairs.height else {}


def _response(section: ModelSection) -> str:
    """The response as the formula writes it."""
    return str(parse(section.formula, needs_covariance=False).response)


def _cell(show: str, estimate: Estimate | None) -> Cell:
    return cell_of(show, {} if estimate is None else shown_values(estimate))


def _ratio(section: ModelSection) -> str:
    return "; exponentiated: geometric means and ratios, standard errors of logarithms" if section.exponentiate else ""


def _fitted(kind: str, context: Prepared, section: ModelSection) -> Found:
    model = FittedModel(kind, context, section)
    return Found(model.numbers(), model)


def ancova(context: Prepared, section: AncovaSection) -> Found:
    """LS means and contrasts by arm of an analysis of covariance, and tests of the terms that the rows ask for."""
    return _fitted("ancova", context, section)


def mmrm(context: Prepared, section: MmrmSection) -> Found:
    """LS means and contrasts of a mixed model for repeated measures at the visits asked for."""
    return _fitted("mmrm", context, section)


def clda(context: Prepared, section: CldaSection) -> Found:
    """Means and contrasts of a constrained longitudinal model at the visits after baseline.

    Raises
    ------
    DataError : the formula names the arm, or the visit by itself, or there are no records at baseline.
    """
    what = f"analysis {context.analysis.id}"
    for term in parse(section.formula, needs_covariance=False).without_response().terms:
        named = {factor.name for factor in term}
        alone = context.treatment if context.treatment in named else section.visit if named == {section.visit} else None
        if alone is not None:
            raise DataError(
                f"{what}: {alone} is in the formula {section.formula!r}",
                hint=f"arm and visit come by themselves: AVAL ~ 1, AVAL ~ AGE, or AVAL ~ AGE:{section.visit}",
            )
    frame = context.chosen(section.where)
    context.need(frame, section.visit)
    present = frame[section.visit].cast(pl.String).drop_nulls().unique(maintain_order=True).to_list()
    if section.baseline not in present:
        raise DataError(f"{what}: no records at baseline {section.baseline!r}", hint="visits: " + ", ".join(present))
    return _fitted("clda", context, section)


def _ancova_lines(context: Prepared, section: AncovaSection, found: Found) -> Block:
    model: FittedModel = found.parts
    rows = _Lines(model, found).rows()
    robust = f", {section.vcov} covariance" if section.vcov else ""
    made = Block(
        section.label or "Analysis of covariance",
        "ancova",
        context.analysis.dataset,
        _response(section),
        tuple(rows),
        description=f"least squares, {section.formula}; LS means at {section.weights} weights{robust}{_ratio(section)}",
        notes=(*((section.note,) if section.note else ()), *model.notes),
        details={"formula": section.formula, "records": model.data.height},
    )
    return diagnosed(made, model.fit(), section.diagnostics)


def _mmrm_lines(context: Prepared, section: MmrmSection, found: Found) -> Block:
    return _over_visits("Mixed model for repeated measures", context, section, found, section.formula)


def _clda_lines(context: Prepared, section: CldaSection, found: Found) -> Block:
    told = f"{section.formula}, visit, and arm by visit after {section.baseline}"
    return _over_visits("Constrained longitudinal model", context, section, found, told)


def _over_visits(title: str, context: Prepared, section: MmrmSection | CldaSection, found: Found, told: str) -> Block:
    model: FittedModel = found.parts
    rows = _Lines(model, found).rows()
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
    made = Block(
        section.label or title,
        model.kind,
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
    return diagnosed(made, fit, section.diagnostics)


# --- many trials ----------------------------------------------------------------------------------------------------

_FORMULA = re.compile(r"^(CHG|log\(AVAL / BASE\)) ~ TRT01P \* AVISIT((?: \+ \S+ \* AVISIT)*)$")
_CONSTRAINED = re.compile(r"^(AVAL|log\(AVAL\)) ~ (1|\S+:AVISIT(?: \+ \S+:AVISIT)*)$")
CHANGE = "change_from_baseline"
"""In a constrained model: the mean of an arm less the common one at baseline."""


def mmrm_form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernel does of ``CHG ~ TRT01P * AVISIT + BASE * AVISIT ...``: every covariate by visit."""
    section: Any = analysis.sections[place - 1]
    match, of = _FORMULA.match(section.formula), forms.of_outcome(analysis, after_baseline=True)
    if match is None or of is None or len(section.covariance) != 1:
        return None
    if not forms.only(section, "formula", "covariance", "df", "exponentiate"):
        return None
    log, names = match[1] != "CHG", re.findall(r"\+ (\S+) \*", match[2])
    if ("BASE" in names) if log else ("log(BASE)" in names):
        return None
    own = tuple("BASE" if n == "log(BASE)" else n for n in names)
    how = {"log": log, "covariates": own, "structure": section.covariance[0], "df": section.df}
    return forms.lowered(analysis, {"kind": "mmrm", **of, **how}, {"mmrm": place})


def clda_form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernel does of ``AVAL ~ 1``, or ``AVAL ~ AGE:AVISIT ...``: every covariate by visit."""
    section: Any = analysis.sections[place - 1]
    match, of = _CONSTRAINED.match(section.formula), forms.of_outcome(analysis)
    if match is None or of is None or len(section.covariance) != 1 or section.baseline != "Week 0":
        return None
    if not forms.only(section, "formula", "baseline", "covariance", "df", "exponentiate"):
        return None
    own = tuple(re.findall(r"(\S+):AVISIT", match[2]))
    how = {"log": match[1] != "AVAL", "covariates": own, "structure": section.covariance[0], "df": section.df}
    return forms.lowered(analysis, {"kind": "mmrm", **of, **how, "constrained": True}, {"mmrm": place})


_AT_A_VISIT = re.compile(r"^(CHG|AVAL) ~ TRT01P((?: \+ [A-Z][A-Z0-9_]*)*)$")


def ancova_block(trials: Trials, analysis: Analysis, place: int) -> dict[Key, TrialEstimates] | None:
    """Least squares at one visit on every trial of a block, ``CHG ~ TRT01P + BASE``, of ``where: {AVISITN: 28}``."""
    section: Any = analysis.sections[place - 1]
    match, week = _AT_A_VISIT.match(section.formula), analysis.where.get("AVISITN")
    if match is None or set(analysis.where) != {"AVISITN"} or not isinstance(week, int | float):
        return None
    if analysis.dataset.upper() != "ADEFF" or analysis.parameter not in trials.outcomes or week not in trials.weeks:
        return None
    if section.rows is not None or section.exponentiate or analysis.population not in (*trials.sets, "ITT"):
        return None
    names = tuple(re.findall(r"\w+", match[2]))
    known = {"BASE", *trials.covariates, *trials.derived, *(f"{outcome}BL" for outcome in trials.outcomes)}
    if not forms.only(section, "formula") or set(names) - known:
        return None
    from equipoise.estimate.missing.kernels import mi_ancova as kernel

    values = levels(trials, str(analysis.parameter), float(week), log=False)
    y = values[:, :, -1:] - (values[:, :, :1] if match[1] == "CHG" else 0.0)
    x = columns(trials, names, str(analysis.parameter), False)
    who = trials.members(analysis.population) & ~np.isnan(y[:, :, 0]) & ~np.isnan(x).any(axis=2)
    # nothing is missing, so that nothing is imputed
    made, _, status, _, _ = kernel.mi_ancova(y, who, x[:, :, :1], x, n_imputations=2)
    key = Key("", analysis=analysis.id, section=place)
    return of_arms(trials, made[:, 0, 0], status[:, 0, 0], key, Names(), level=section.level)


def block(trials: Trials, analysis: Analysis, found: Lowered) -> dict[Key, TrialEstimates]:
    """MMRM, or the constrained model, on every trial of a block.

    Of the constrained model there are also the means of the arms as changes from the common baseline.
    """
    from equipoise.estimate.linear.mmrm.batch import fit_batch

    asked, place = found.form, found.places["mmrm"]
    assert isinstance(asked, MixedModel)
    section: Any = analysis.sections[place - 1]
    weeks, y = change_from_baseline(trials, asked.variable, asked.week, log=asked.log)
    if asked.constrained:
        y = levels(trials, asked.variable, asked.week, log=asked.log)
    y = np.where(trials.members(asked.set)[:, :, None], y, np.nan)
    x = columns(trials, asked.covariates, asked.variable, asked.log)
    x = centred(x, (~np.isnan(y)).sum(axis=2).astype(np.float64))
    n_visits, q = y.shape[2], x.shape[2]
    at = np.eye(n_visits)
    active = np.ones((n_visits, q), np.bool_)
    if asked.constrained:
        active[0, 1] = False
        at = np.concatenate([at[1:] - at[:1], at[1:]])
    contrasts = contrasts_of_arms(at, q)
    fit = fit_batch(y, x, contrasts, structure=asked.structure, df=asked.df, active=active)
    stats, status = by_profile(fit, len(at)), fit.status.astype(np.int8)
    own = _names(section)
    out: dict[Key, TrialEstimates] = {}
    for v, week in enumerate(weeks):
        key = Key("", analysis=analysis.id, section=place, visit=f"Week {week:g}")
        told = {"ratio": section.exponentiate, "level": section.level}
        out |= of_arms(trials, stats[:, v], status, key, own, **told)
        if asked.constrained:
            shown = of_arms(trials, stats[:, len(weeks) + v], status, key, _shown(section), **told)
            out |= {k: e for k, e in shown.items() if k not in out}
    return out


def _shown(section: Any) -> Names:
    """The quantities of a section as its table has them."""
    return Names("geometric_mean", "ratio") if section.exponentiate else Names()


def _names(section: Any) -> Names:
    """The same, the means of a constrained model as changes."""
    own = _shown(section)
    return own._replace(mean=CHANGE) if isinstance(section, CldaSection) else own


def written(asked: AnyForm) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A form as a section."""
    assert isinstance(asked, MixedModel)
    how = {"covariance": [asked.structure], "df": asked.df, **({"exponentiate": True} if asked.log else {})}
    if asked.constrained:
        terms = " + ".join(f"{n}:AVISIT" for n in asked.covariates) or "1"
        formula = f"{'log(AVAL)' if asked.log else 'AVAL'} ~ {terms}"
        return {}, [{"method": "clda", "formula": formula, "baseline": "Week 0", **how}]
    names = ["log(BASE)" if c == "BASE" and asked.log else c for c in asked.covariates]
    response = "log(AVAL / BASE)" if asked.log else "CHG"
    formula = " + ".join([f"{response} ~ TRT01P * AVISIT", *(f"{n} * AVISIT" for n in names)])
    head = {"where": {"AVISITN": {"gt": 0, "le": asked.week}}}
    return head, [{"method": "mmrm", "formula": formula, **how}]


_TESTS = (Test("difference", "more"), Test("ratio", "more"), Test("coefficient", None), Test("term_test", None))
_ALIKE: dict[str, Any] = {"noted": True, "tests": _TESTS}


def _kernel(form: Callable[[Analysis, int], Lowered | None]) -> Kernel:
    return Kernel(form, block, _names, written)


METHODS = (
    Method("ancova", AncovaSection, ancova, _ancova_lines, "Analysis of covariance", **_ALIKE, block=ancova_block),
    Method(
        "mmrm", MmrmSection, mmrm, _mmrm_lines, "Mixed model for repeated measures", **_ALIKE, kernel=_kernel(mmrm_form)
    ),
    Method(
        "clda", CldaSection, clda, _clda_lines, "Constrained longitudinal model", **_ALIKE, kernel=_kernel(clda_form)
    ),
)
