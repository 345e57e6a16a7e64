"""`equipoise replicate`: a published trial beside thousands of virtual ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from equipoise.appraise import Replica


def replicate(
    record: str = typer.Argument(help="The trial, e.g. valor."),
    replicates: int = typer.Option(2000, "--replicates", "-n", help="Virtual trials in each study."),
    seed: int = typer.Option(1, "--seed", help="Replicate r depends on (seed, r) alone."),
    mechanism: str | None = typer.Option(
        None, "--mechanism", "-m", help="none, symptomatic, slowing or lagged; default the scenario's own."
    ),
    json_out: Path | None = typer.Option(None, "--json", help="Write the whole replica here as JSON."),
    scenario_file: str | None = typer.Option(None, "--scenario", help="A scenario file, e.g. one written by fit."),
    store: Path | None = typer.Option(None, "--store", help="Keep finished blocks here, and resume from them."),
    threads: int | None = typer.Option(None, "--threads", min=1, help="Default: all processors."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    everything: bool = typer.Option(False, "--all", help="Print every row, not only those of week 28 and 52."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Rebuild a trial and hold it against what was published."""
    import json

    from equipoise.appraise import replicate as run_replica
    from equipoise.cli.common import check_writable, progress_bar, say, write_text
    from equipoise.errors import ScenarioError
    from equipoise.records import load_record
    from equipoise.simulate import load_scenario

    if replicates < 1:
        raise ScenarioError(f"--replicates {replicates}", hint="ask for at least 1; 2000 is a good number")
    if seed < 0:
        raise ScenarioError(f"--seed {seed}", hint="seeds are whole numbers from 0 up")
    if json_out is not None:
        check_writable(json_out)
    published = load_record(record, records_dir=records_dir)
    scenario = load_scenario(scenario_file or published.id)
    with progress_bar(quiet) as report:
        replica = run_replica(
            published,
            scenario,
            mechanism=mechanism,
            replicates=replicates,
            seed=seed,
            threads=threads,
            store=store,
            progress=report,
        )
    _print(replica, everything)
    if json_out is not None:
        write_text(json_out, json.dumps(replica.to_dict(), indent=1, allow_nan=False, default=str) + "\n")
        say(f"wrote {json_out}")


def _print(replica: Replica, everything: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(title=f"{replica.record}: published, and {replica.replicates} virtual trials ({replica.mechanism})")
    for name in ("quantity", "set", "arm", "week", "method", "published", "simulated mean", "95 % of single trials"):
        table.add_column(name, justify="left" if name in ("quantity", "arm", "method") else "right")
    table.add_column("MC error", justify="right")
    table.add_column("used as")
    table.add_column("distance (SE)", justify="right")
    table.add_column("published lies at", justify="right")
    for row in replica.rows:
        if not everything and (row.scale in ("se", "baseline") or (row.week is not None and row.week not in (28, 52))):
            continue
        interval = ""
        if row.published_low is not None and row.published_high is not None:
            interval = f" ({row.published_low:g}, {row.published_high:g})"
        percent = row.scale == "percent"
        table.add_row(
            row.quantity,
            row.analysis_set,
            row.arm or "",
            "" if row.week is None else f"{row.week:g}",
            row.method,
            _number(row.published, percent) + interval,
            _number(row.simulated, percent),
            f"{_number(row.simulated_low, percent)} to {_number(row.simulated_high, percent)}",
            f"{row.mc_error:.2g}",
            "fit" if row.used_in_fit else "check",
            "" if row.z is None else f"{row.z:+.1f}",
            f"{100 * row.position:.0f} %",
        )
    console.print(table)
    for answer in replica.answers:
        console.print(f"- {answer.sentence} (Monte Carlo error {100 * answer.mc_error:.1f} points)")
    for note in replica.notes:
        console.print(f"- {note}")
    console.print(f"{replica.seconds:.0f} s; repeat with: {replica.command}")


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.0f} %" if percent else f"{value:.3g}"
