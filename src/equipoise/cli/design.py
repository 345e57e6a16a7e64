"""`equipoise design`: designs of the next trial judged in worlds."""

from __future__ import annotations

from importlib.util import find_spec
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
    stored: bool = typer.Option(False, "--stored", help="Print the results that come with the package; no simulation."),
    store: Path | None = typer.Option(None, "--store", help="Write the results as a package keeps them (study.json)."),
    replay: int | None = typer.Option(None, "--replay", min=0, help="Write this one replicate as ADaM and as a page."),
    world: str | None = typer.Option(None, "--world", help="With --replay or --stored: the truth."),
    levels: str = typer.Option("", "--design", help="With --replay or --stored: weeks=52,patients=216,..."),
    draws: Path | None = typer.Option(
        None, "--draws", help="Judge the designs in the worlds of this file of draws (of a posterior): assurance."
    ),
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
    if draws is not None and (stored or replay is not None):
        raise ScenarioError("--draws beside --stored or --replay", hint="write the draws into the study's worlds")
    if stored:
        _stored(study, world, levels)
        return
    if replay is not None:
        _replay(study, replay, world, levels, out, seed)
        return
    if world is not None or levels:
        raise ScenarioError("--world and --design go with --replay or --stored", hint="see equipoise design --help")
    from equipoise.cli.common import compile_once, progress_bar, say
    from equipoise.design import design as carry_out
    from equipoise.design.study import load_study
    from equipoise.run.executors import executor_named

    chosen = load_study(study)
    if draws is not None:
        chosen = chosen.under(draws)
    if executor is not None and scheduler is not None:
        raise ScenarioError("--executor beside --scheduler", hint="give one of them")
    hands = executor_named(scheduler or executor, workers)
    with progress_bar(quiet) as report:
        methods = {str(section.get("method")) for a in chosen.analyses for section in a.get("sections", ())}
        compile_once(report, "design" if methods & {"mmrm", "delayed_start"} else "replicate")
        made = carry_out(
            chosen, replicates=replicates, up_to=up_to, seed=seed, executor=hands, out=out, progress=report, code=True
        )
    print(made.summary())
    if store is not None:
        from equipoise.design.stored import store as keep

        keep(made, store)
        say(f"wrote {store}")
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
    if find_spec("docx") is not None:
        from equipoise.design.report_word import report_docx
        from equipoise.files import write_bytes

        paths.append(out / "report.docx")
        write_bytes(paths[-1], report_docx(made))
    return paths


def _stored(study: str, world: str | None, levels: str) -> None:
    """The stored cells of a shipped study, a line each."""
    from equipoise.cli.common import say
    from equipoise.design import stored
    from equipoise.design.examples import design_named
    from equipoise.design.study import load_study
    from equipoise.errors import ScenarioError

    own = stored.stored(study)
    chosen = load_study(study)
    if not stored.is_current(study):
        say(f"warning: these results are of an earlier text of {study}; make them again: {own['command']}")
    named = {part.partition("=")[0].strip() for part in levels.split(",")}
    wanted = {k: v for k, v in design_named(chosen, levels).levels().items() if k in named}
    found = stored.cells(study, world, **wanted)
    print(
        f"{own['study']}, {own['replicates']:,} virtual trials a cell, seed {own['seed']}, equipoise {own['version']}"
    )
    for c in found:
        after = f" + {c['extension']:g}" if c["extension"] else ""
        place = f"{c['weeks']:g}{after} weeks, {c['patients']} patients, {c['enrichment']}, {c['primary']}"
        print(f"  {c['world']:<12} {place:<52} {100 * c['success']:5.1f} % (± {100 * c['mc_error']:.1f})")
    if not found:
        raise ScenarioError(f"no stored cell of the world {world!r}", hint=f"worlds are {', '.join(own['worlds'])}")


def _replay(study: str, replicate: int, world: str | None, levels: str, out: Path | None, seed: int | None) -> None:
    from equipoise.cli.common import say
    from equipoise.design.examples import design_named, replay
    from equipoise.design.study import load_study
    from equipoise.errors import ScenarioError

    chosen = load_study(study)
    if seed is not None:
        chosen = chosen.with_(seed=seed)
    if world not in chosen.worlds:
        raise ScenarioError(f"--world {world}: no such world", hint=f"worlds are {', '.join(chosen.worlds)}")
    if out is None:
        raise ScenarioError("--replay writes a folder", hint="name it with --out")
    for path in replay(chosen, design_named(chosen, levels), str(world), replicate, out):
        say(f"wrote {path}")


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
