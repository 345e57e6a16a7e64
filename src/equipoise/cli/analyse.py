"""`equipoise analyse`: carry out an analysis plan on a folder of ADaM files, or write a plan to start from."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equipoise.errors import OutputError, ScenarioError
from equipoise.files import exists, fill_folder, write_text

if TYPE_CHECKING:
    from equipoise.plan.results import Block

_FEW, _LISTED = 3, 20


def analyse(
    plan: Annotated[Path | None, typer.Argument(help="The plan (YAML).", metavar="PLAN.yaml")] = None,
    data: Annotated[Path | None, typer.Option(help="The folder of ADaM files.", metavar="FOLDER")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write tables.html, tables.txt, tables.rtf, results.json, results.csv, ars.json and figures here.",
            metavar="DIR",
        ),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Look at FOLDER and write plan.yaml there (or in --out).", metavar="FOLDER")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --init: write over a plan that is there.")] = False,
    warnings: Annotated[
        bool, typer.Option("--warnings", help="List every warning about the data, instead of how many there are.")
    ] = False,
    word: Annotated[bool, typer.Option("--word", help="With --out: write tables.docx, too.")] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="With --out: print tables.pdf, too, by Chromium or Chrome.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of text in XPT, SAS7BDAT and CSV files, if not UTF-8 or cp1252.")
    ] = None,
) -> None:
    """Analyse a trial's CDISC ADaM data by a plan.

    equipoise analyse PLAN.yaml --data FOLDER [--out DIR]

    equipoise analyse --init FOLDER

    A section that cannot be made says why in its place. Exit code: 0, all were made or these data cannot tell; 2, a
    section or the plan does not fit the data; 1, a section met a fault of the program.
    """
    if init is not None:
        if plan is not None or data is not None:
            raise ScenarioError("--init goes without a plan and --data", hint="equipoise analyse --init FOLDER")
        _start(init, out, force, encoding)
        return
    if plan is None or data is None:
        raise ScenarioError(
            "what is to be analysed?",
            hint="equipoise analyse PLAN.yaml --data FOLDER, or equipoise analyse --init FOLDER",
        )
    for asked, option in ((word, "--word"), (pdf, "--pdf")):
        if asked and out is None:
            raise ScenarioError(f"{option} without a folder", hint="name one: --out DIR")
    _run(plan, data, out, encoding, warnings, word, pdf)


def _start(folder: Path, out: Path | None, force: bool, encoding: str | None) -> None:
    from equipoise.plan.starter import start_text
    from equipoise.trial.adam import check, read_adam

    study = read_adam(folder, encoding=encoding, needed=("ADSL",))
    target = (out or folder) / "plan.yaml"
    if exists(target) and not force:
        raise OutputError(f"{target} is there already", hint="give --force to write over it, or --out another folder")
    text = start_text(study)
    with fill_folder(target.parent) as staged:
        write_text(staged / target.name, text)
    for text in [str(p) for p in check(study) if p.severity == "error"][:_LISTED]:
        typer.echo(f"error: {text}", err=True)
    _say_warnings(
        [{"dataset": p.dataset, "text": str(p)} for p in study.problems if p.severity == "warning"], listed=True
    )
    command = shlex.join(["equipoise", "analyse", str(target), "--data", str(folder)])
    typer.echo(f"wrote {target}: read it, then run: {command}")


def _run(
    plan_path: Path,
    folder: Path,
    out: Path | None,
    encoding: str | None,
    listed: bool,
    word: bool = False,
    pdf: bool = False,
) -> None:
    from equipoise.plan.analysis_plan import read_plan
    from equipoise.plan.carry_out import analyse as run_plan
    from equipoise.render.tables.tables import to_text, write_results
    from equipoise.trial.adam import read_adam

    plan = read_plan(plan_path)
    study = read_adam(folder, encoding=encoding, needed=plan.needs())
    given = ["equipoise", "analyse", str(plan_path), "--data", str(folder)]
    results = run_plan(study, plan, command=shlex.join(given))
    _say_warnings([p for p in results.problems if p["severity"] == "warning"], listed=listed)
    width = min(max(os.get_terminal_size().columns, 80), 140) if sys.stdout.isatty() else 110
    typer.echo(to_text(results, width))
    if out is not None:
        for path in write_results(results, out, word=word, pdf=pdf):
            typer.echo(f"wrote {path}", err=True)
    for id, number, block in results.failed:
        where = f"{block.details['place']}: " if "place" in block.details else ""
        group = f", {block.group}" if block.group is not None else ""
        said = said_of(block)
        typer.echo(f"error: {where}analysis {id}, section {number} ({block.method}){group}: {said}", err=True)
        if "hint" in block.details:
            typer.echo(f"  hint: {block.details['hint']}", err=True)
    if results.failed:
        raise typer.Exit(1 if any(block.failure == "fault" for _, _, block in results.failed) else 2)


def said_of(block: Block) -> str:
    """Why a section has no lines."""
    return block.notes[-1].removeprefix("Not estimable: ")


def _say_warnings(problems: Sequence[Mapping[str, Any]], *, listed: bool) -> None:
    """Warnings about the data: a few as they are, many as one line that says how many and how to see them."""
    texts = [str(p["text"]) for p in problems]
    if len(texts) <= _FEW or listed:
        for text in texts:
            typer.echo(f"warning: {text}", err=True)
        return
    counted = Counter(str(p["dataset"]) for p in problems)
    where = ", ".join(f"{n} in {name}" for name, n in counted.items())
    typer.echo(
        f"warning: {len(texts)} warnings about the data ({where}): see them with --warnings, or with --out DIR "
        "at the end of tables.html",
        err=True,
    )
