"""Carry out an analysis plan on a study, and look at a study to write a plan to start from."""

from __future__ import annotations

import hashlib
import platform
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError, EstimationError, at
from equipoise.plan.analysis_plan import Analysis, Plan, read_plan
from equipoise.plan.estimand import Estimand
from equipoise.plan.estimand_check import check_data
from equipoise.plan.groups import for_section, in_groups
from equipoise.plan.methods import REGISTRY
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, arms_of, prepare
from equipoise.plan.results import Block, Column, Results, Table
from equipoise.trial.adam import AdamStudy, read_adam, require


def analyse(
    study: AdamStudy | str | Path,
    plan: Plan | str | Path,
    *,
    command: str = "",
    strict: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Results:
    """Carry out every analysis of ``plan`` on ``study``: what was read, or the folder and the file to read.

    A section that cannot be made says why in its place, so that one never hides the others: ``failure`` of its block
    tells why (:data:`equipoise.plan.results.FAILURES`), ``Results.failed`` lists those that are mistakes of
    the plan, the data or the program rather than something that these data cannot tell. ``strict``: the first mistake
    is raised instead. ``progress`` : told what comes next, how many sections are done, and of how many, before each.

    Raises
    ------
    DataError : data sets that the plan reads have errors (they are named), or the arms of the plan are not in ADSL;
        with ``strict`` also what a section finds wrong.
    ScenarioError : with ``strict``, the data do not carry out what an estimand says.
    """
    plan = plan if isinstance(plan, Plan) else read_plan(plan)
    study = study if isinstance(study, AdamStudy) else read_adam(study, needed=plan.needs())
    study = _with_intervals(study, plan)
    problems = require(study, plan.reads())
    arms_of(study, plan)
    done: dict[str, Table] = {}
    order = plan.tested_in_order()
    told = _Told(progress, sum(len(a.sections) for a in (*plan.analyses, *((order,) if order is not None else ()))))
    for analysis in plan.in_turn():
        done[analysis.id] = _table(study, plan, analysis, done, strict, told)
    tables = tuple(done[analysis.id] for analysis in plan.analyses)
    if order is not None:
        tables = (*tables, _table(study, plan, order, done, strict, told))
    return Results(
        study=plan.study,
        title=plan.title,
        tables=tables,
        plan=plan.model_dump(mode="json", exclude_defaults=True),
        problems=tuple({**vars(p), "text": str(p)} for p in problems),
        sources=_sources(study),
        versions=_versions(),
        command=command,
    )


class _Told:
    """How many sections of a plan are done, told before each; an analysis by groups has its sections once a group."""

    def __init__(self, progress: Callable[[str, int, int], None] | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def more(self, sections: int) -> None:
        self._total += sections

    def next(self, what: str) -> None:
        if self._progress is not None:
            self._progress(what, self._done, self._total)
        self._done += 1


def _with_intervals(study: AdamStudy, plan: Plan) -> AdamStudy:
    """The study with the start of an interval as a key, where a section reads several records a patient by it."""
    datasets = dict(study.datasets)
    for analysis in plan.analyses:
        name = analysis.dataset.upper()
        for start in (getattr(section, "start", None) for section in analysis.sections):
            if start is not None and name in datasets and not datasets[name].keys:
                order = {"USUBJID": 1, "PARAMCD": 2, start: 3}
                keyed = tuple(replace(v, key=order.get(v.name)) for v in datasets[name].variables)
                datasets[name] = replace(datasets[name], variables=keyed)
    return replace(study, datasets=datasets)


def _table(
    study: AdamStudy, plan: Plan, analysis: Analysis, done: Mapping[str, Table], strict: bool, told: _Told
) -> Table:
    try:
        context = prepare(study, plan, analysis, done)
        groups = tuple(in_groups(context))
    except Exception as error:
        if strict:
            raise at(error, plan.place_of(analysis)) from None
        treatment = plan.treatment_of(analysis)
        columns = tuple(Column(arm, treatment.labels.get(arm, arm), None) for arm in treatment.arms)
        place = plan.place_of(analysis)
        blocks = tuple(
            replace(_failed(analysis, section, error, place), section=k)
            for k, section in enumerate(analysis.sections, start=1)
        )
        notes: tuple[str, ...] = ()
    else:
        columns, notes = context.columns, context.notes
        told.more(sum(len(g.analysis.sections) for g in groups[1:]))
        blocks = tuple(_blocks(groups, strict, told))
    asked = _said(analysis.estimand)
    return Table(
        id=analysis.id,
        title=analysis.title or analysis.id,
        population=analysis.population,
        population_label=plan.populations[analysis.population].label,
        columns=columns,
        blocks=blocks,
        footnotes=(*((f"Estimand: {asked}",) if asked else ()), *analysis.footnotes, *notes),
        purpose=analysis.purpose,
        reason=analysis.reason,
    )


def _blocks(groups: Sequence[Prepared], strict: bool, told: _Told) -> Iterator[Block]:
    """The blocks of every section, and of each for every group; the first of a page says so."""
    before = None
    for own in groups:
        for place, section in enumerate(own.analysis.sections, start=1):
            told.next(f"{own.analysis.title or own.analysis.id}, {section.label or section.kind}")
            block = _block(own, place, section, strict)
            if own.group is not None:
                label = f"{own.group.label}: {section.label}" if section.label else own.group.label
                block = replace(block, label=label, group=own.group.label)
            new = own.group is None or own.group != before
            yield replace(block, section=place, page=own.analysis.pages and new)
            before = own.group


def _block(context: Prepared, place: int, section: Section, strict: bool) -> Block:
    label = section.label or section.kind
    try:
        check_data(context, section)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            block = REGISTRY[section.kind].run(for_section(context, section), section, place)
        heard = dict.fromkeys(str(w.message) for w in said if w.category is UserWarning)
        block = replace(block, notes=(*block.notes, *(text for text in heard if text not in block.notes)))
    except Exception as error:
        where = context.plan.place_of(context.analysis, place - 1)
        if strict and not isinstance(error, EstimationError):
            raise at(error, where) from None
        block = _failed(context.analysis, section, error, where)
    asked = _said(section.estimand)
    return replace(block, notes=(f"Estimand of {label}: {asked}", *block.notes)) if asked else block


def _failed(analysis: Analysis, section: Section, error: Exception, asked: str) -> Block:
    """The block of a section that could not be made: what stands in its place, what kind of failure it is, and
    (``asked``) where in the plan it was asked for.
    """
    details: dict[str, Any] = {}
    if isinstance(error, EquipoiseError):
        kind = "not estimable" if isinstance(error, EstimationError) else "mistake"
        said = error.message.removeprefix(f"analysis {analysis.id}: ")
        details = {"hint": error.hint} if error.hint else {}
    else:  # never the end of the other tables, and never silent
        kind, where = "fault", traceback.extract_tb(error.__traceback__)
        place = f" at {Path(where[-1].filename).name}:{where[-1].lineno}" if where else ""
        first = " ".join(str(error).split())[:200]
        said = f"a fault of the program ({type(error).__name__}: {first}{place}); please report it with the plan"
    if asked and kind != "not estimable":
        details["place"] = asked
    said = f"Not estimable: {said.rstrip('.')}."
    return Block(
        section.label or section.kind,
        section.kind,
        analysis.dataset,
        None,
        (),
        notes=(said,),
        details=details,
        failure=kind,
    )


def _said(estimand: Estimand | str | None) -> str:
    return estimand.sentence() if isinstance(estimand, Estimand) else estimand or ""


def _sources(study: AdamStudy) -> dict[str, str]:
    """SHA-256 of each file that was read."""
    out = {}
    for dataset in study.datasets.values():
        path = Path(study.folder) / dataset.source
        if study.folder and dataset.source and path.is_file():
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            out[dataset.source] = digest.hexdigest()
    return out


def _versions() -> dict[str, str]:
    out = {"python": platform.python_version()}
    for package in ("equipoise", "numpy", "scipy", "polars"):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            continue
    return out
