"""Carry out an analysis plan on a study, and look at a study to write a plan to start from."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from equipoise.errors import EstimationError
from equipoise.run.analysis_methods import Context, categories, incidence, prepare, summary
from equipoise.run.analysis_models import ancova, mmrm
from equipoise.run.analysis_plan import Analysis, Plan
from equipoise.run.analysis_results import Block, Results, Table
from equipoise.run.analysis_survival import survival
from equipoise.trial.adam import Study, read_folder, require

METHODS: dict[str, Callable[[Context, Any], Block]] = {
    "summary": summary,
    "categories": categories,
    "incidence": incidence,
    "ancova": ancova,
    "mmrm": mmrm,
    "survival": survival,
}


def analyse(study: Study, plan: Plan, *, command: str = "") -> Results:
    """Carry out every analysis of ``plan`` on ``study``.

    A section that cannot be estimated is a block that says why, so that one analysis never hides the others.

    Raises
    ------
    DataError : the data sets that the plan reads have errors (they are named), or a table's population or records
        are not there.
    """
    problems = require(study, [analysis.dataset for analysis in plan.analyses])
    tables = tuple(_table(study, plan, analysis) for analysis in plan.analyses)
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


def _table(study: Study, plan: Plan, analysis: Analysis) -> Table:
    context = prepare(study, plan, analysis)
    blocks = []
    for section in analysis.sections:
        try:
            blocks.append(METHODS[section.method](context, section))
        except EstimationError as error:
            label = section.label or section.method
            blocks.append(
                Block(label, section.method, analysis.dataset, None, (), notes=(f"Not estimable: {error.message}.",))
            )
    return Table(
        id=analysis.id,
        title=analysis.title,
        population=analysis.population,
        population_label=plan.populations[analysis.population].label,
        columns=context.columns,
        blocks=tuple(blocks),
        footnotes=(
            *((f"Estimand: {analysis.estimand}",) if analysis.estimand else ()),
            *analysis.footnotes,
            *context.notes,
        ),
        purpose=analysis.purpose,
        reason=analysis.reason,
    )


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
