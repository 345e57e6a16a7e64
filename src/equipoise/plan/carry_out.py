"""Carry out an analysis plan on a study, and look at a study to write a plan to start from."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from equipoise.errors import EstimationError
from equipoise.plan.analysis_plan import Analysis, Plan
from equipoise.plan.estimand import Estimand
from equipoise.plan.estimand_check import check_data
from equipoise.plan.methods import REGISTRY
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Context, prepare
from equipoise.plan.results import Block, Results, Table
from equipoise.trial.adam import Study, read_folder, require


def analyse(study: Study, plan: Plan, *, command: str = "") -> Results:
    """Carry out every analysis of ``plan`` on ``study``.

    A section that cannot be estimated is a block that says why, so that one analysis never hides the others.

    Raises
    ------
    DataError : the data sets that the plan reads have errors (they are named), or a table's population or records
        are not there.
    ScenarioError : the data do not carry out what an estimand says.
    """
    study = _with_intervals(study, plan)
    problems = require(study, [analysis.dataset for analysis in plan.analyses])
    done: dict[str, Table] = {}
    for analysis in plan.in_turn():
        done[analysis.id] = _table(study, plan, analysis, done)
    tables = tuple(done[analysis.id] for analysis in plan.analyses)
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


def analyse_folder(folder: str | Path, plan: Plan, *, command: str = "") -> Results:
    """:func:`analyse` on the study in a folder of ADaM files."""
    return analyse(read_folder(folder), plan, command=command)


def _with_intervals(study: Study, plan: Plan) -> Study:
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


def _table(study: Study, plan: Plan, analysis: Analysis, done: Mapping[str, Table]) -> Table:
    context = prepare(study, plan, analysis, done)
    blocks = tuple(_block(context, section) for section in analysis.sections)
    asked = _said(analysis.estimand)
    return Table(
        id=analysis.id,
        title=analysis.title,
        population=analysis.population,
        population_label=plan.populations[analysis.population].label,
        columns=context.columns,
        blocks=blocks,
        footnotes=(*((f"Estimand: {asked}",) if asked else ()), *analysis.footnotes, *context.notes),
        purpose=analysis.purpose,
        reason=analysis.reason,
    )


def _block(context: Context, section: Section) -> Block:
    label = section.label or section.kind
    check_data(context, section)
    try:
        block = REGISTRY[section.kind].run(context, section)
    except EstimationError as error:
        said = f"Not estimable: {error.message}."
        block = Block(label, section.kind, context.analysis.dataset, None, (), notes=(said,))
    asked = _said(section.estimand)
    return replace(block, notes=(f"Estimand of {label}: {asked}", *block.notes)) if asked else block


def _said(estimand: Estimand | str | None) -> str:
    return estimand.sentence() if isinstance(estimand, Estimand) else estimand or ""


def _sources(study: Study) -> dict[str, str]:
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
