"""`equipoise design`: designs of the next trial judged in worlds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from equipoise.design import DesignResult


def design(
    study: str = typer.Argument(None, help="A shipped study (next-als), a file, or `status` with a folder."),
    folder: Path | None = typer.Argument(None, help="With status: the folder of a study."),
    init: str | None = typer.Option(None, "--init", help="Write a commented study for this scenario, e.g. valor."),
    replicates: int | None = typer.Option(
        None, "--replicates", "-n", help="Virtual trials a cell: 1000 to explore, 10000 to decide, 100000 to claim."
    ),
    up_to: int | None = typer.Option(None, "--up-to", help="Up to so many where a cell is near the target."),
    seed: int | None = typer.Option(None, "--seed", min=0, max=2**63 - 1, help="Default the study's own."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Folder for results, and to go on from."),
    executor: str | None = typer.Option(None, "--executor", help="threads (default) or processes."),
    scheduler: str | None = typer.Option(None, "--scheduler", help="Address of a Dask scheduler: tcp://host:8786."),
    workers: int | None = typer.Option(None, "--workers", help="Threads or processes; default all processors."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Judge designs of the next trial: success, errors, bias, size, weeks, in every world."""
    from equipoise.errors import ScenarioError

    if init is not None:
        _init(init, out)
        return
    if study is None:
        raise ScenarioError("no study is named", hint="equipoise design next-als, or --init valor for a file")
    if study == "status":
        _status(folder)
        return
    if folder is not None:
        raise ScenarioError(f"{folder}: a second name", hint="name the folder with --out")
    from equipoise.cli.common import compile_once, progress_bar, say
    from equipoise.design import design as carry_out
    from equipoise.run.executors import executor_named

    if executor is not None and scheduler is not None:
        raise ScenarioError("--executor beside --scheduler", hint="give one of them")
    hands = executor_named(scheduler or executor, workers)
    with progress_bar(quiet) as report:
        compile_once(report)
        made = carry_out(
            study, replicates=replicates, up_to=up_to, seed=seed, executor=hands, out=out, progress=report, code=True
        )
    print(made.summary())
    if out is not None:
        for path in _write(made, out):
            say(f"wrote {path}")


def _write(made: DesignResult, out: Path) -> list[Path]:
    """Tables, drawings and the report of a study."""
    from equipoise.cli.common import write_text
    from equipoise.design.report import drawings, report_html, report_markdown

    paths = [out / "cells.csv", out / "result.json", out / "report.html", out / "report.md"]
    write_text(paths[0], made.to_frame().write_csv())
    write_text(paths[1], made.to_json())
    write_text(paths[2], report_html(made))
    write_text(paths[3], report_markdown(made))
    for name, plot in drawings(made).items():
        paths.append(plot.save(out / f"{name}.svg"))
    return paths


def _init(scenario: str, out: Path | None) -> None:
    from equipoise.cli.common import check_writable, say, write_text
    from equipoise.design.study import starter

    text = starter(scenario)
    path = out or Path(f"next-{scenario}.yaml")
    if path.exists():
        from equipoise.errors import OutputError

        raise OutputError(f"{path}: is there already", hint="name another file with --out")
    check_writable(path)
    write_text(path, text)
    say(f"wrote {path}; carry it out with: equipoise design {path}")


def _status(folder: Path | None) -> None:
    from equipoise.design.status import status
    from equipoise.errors import ScenarioError

    if folder is None:
        raise ScenarioError("status of what?", hint="equipoise design status FOLDER")
    print(status(folder))
