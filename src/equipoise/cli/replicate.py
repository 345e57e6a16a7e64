"""`equipoise replicate`: a published trial beside thousands of virtual ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from equipoise.appraise import Replica


def replicate(
    record: str = typer.Argument(help="The trial, e.g. valor."),
    replicates: int = typer.Option(2000, "--replicates", "-n", help="Virtual trials in each study."),
    seed: int = typer.Option(1, "--seed", min=0, max=2**63 - 1, help="Replicate r depends on (seed, r) alone."),
    mechanism: str | None = typer.Option(
        None,
        "--mechanism",
        "-m",
        help="none, symptomatic, slowing, lagged, survival or waning, if the scenario has it; default its own.",
    ),
    json_out: Path | None = typer.Option(None, "--json", help="Write the whole replica here as JSON."),
    scenario_file: str | None = typer.Option(None, "--scenario", help="A scenario file, e.g. one written by fit."),
    plan: Path | None = typer.Option(None, "--plan", help="A fit plan of your own: what was fitted, what is a check."),
    store: Path | None = typer.Option(None, "--store", help="Keep finished blocks here, and resume from them."),
    threads: int | None = typer.Option(None, "--threads", min=1, help="Default: all processors."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    everything: bool = typer.Option(False, "--all", help="Print every row, not only those of the last weeks."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Rebuild a trial and hold it against what was published."""
    import json

    from equipoise.appraise import replicate as run_replica
    from equipoise.calibrate.plan import load_plan
    from equipoise.cli.common import check_writable, progress_bar, replicate_command, say, write_text
    from equipoise.errors import ScenarioError
    from equipoise.records import load_record
    from equipoise.simulate import load_scenario

    if replicates < 1:
        raise ScenarioError(f"--replicates {replicates}", hint="ask for at least 1; 2000 is a good number")
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
            command=replicate_command(record, replicates, seed, mechanism, scenario_file, records_dir, plan),
            plan=None if plan is None else load_plan(str(plan)),
        )
    weeks = {scenario.protocol.period_end, scenario.protocol.visits[-1], *(o.analysis.week for o in scenario.elsewhere)}
    _print(replica, None if everything else weeks)
    if json_out is not None:
        write_text(json_out, json.dumps(replica.to_dict(), indent=1, allow_nan=False, default=str) + "\n")
        say(f"wrote {json_out}")


def _print(replica: Replica, weeks: set[float] | None) -> None:
    """The table, every row or those of some weeks, and the answers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(
        title=f"{replica.record}: published, and {replica.replicates} virtual trials ({replica.mechanism})",
        caption="Simulated: mean (P values: median) and the 95 % range of single trials; MC: Monte Carlo error. Below: "
        "virtual trials below the published value. SE: distance in published standard errors.",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("quantity", ratio=3, overflow="fold")
    table.add_column("published", ratio=2, overflow="fold")
    table.add_column("simulated", ratio=2, overflow="fold")
    for name in ("MC", "below", "SE"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("used as")
    for row in replica.rows:
        if weeks is not None and (row.scale in ("se", "baseline") or row.week not in {None, *weeks}):
            continue
        percent = row.scale == "percent"
        where = [row.analysis_set, row.arm or "", "" if row.week is None else f"week {row.week:g}", row.method]
        published = _number(row.published, percent)
        if row.published_low is not None and row.published_high is not None:
            published += f" ({row.published_low:g}, {row.published_high:g})"
        if row.n_estimable:
            simulated = f"{_number(row.simulated, percent)} ({_number(row.simulated_low, percent)}, "
            simulated += f"{_number(row.simulated_high, percent)})"
        else:
            simulated = "not estimable in any"
        if 0 < row.n_estimable < replica.replicates:
            simulated += f"; estimable in {100 * row.n_estimable / replica.replicates:.0f} %"
        table.add_row(
            f"{row.quantity} [{', '.join(w for w in where if w)}]".replace("[", r"\["),
            published,
            simulated,
            _number(row.mc_error, percent),
            "" if math.isnan(row.position) else f"{100 * row.position:.0f} %",
            "" if row.z is None else f"{row.z:+.1f}",
            row.use,
        )
    console.print(table)
    for answer in replica.answers:
        console.print(f"- {answer.sentence} (Monte Carlo error {100 * answer.mc_error:.1f} points)")
    for note in replica.notes:
        console.print(f"- {note}")
    console.print(f"{replica.seconds:.0f} s; repeat with: {replica.command}")


def _number(value: float, percent: bool) -> str:
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "not reached"
    return f"{100 * value:.0f} %" if percent else f"{value:.3g}"
