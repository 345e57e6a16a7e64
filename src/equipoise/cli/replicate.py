"""`equipoise replicate`: a published trial beside thousands of virtual ones."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from equipoise.replica.replica import Replica, ReplicaRow


def replicate(
    record: str = typer.Argument(help="The trial, e.g. valor; or a scenario without a record, e.g. clarity_ad."),
    replicates: int = typer.Option(2000, "--replicates", "-n", help="Virtual trials in each study."),
    seed: int = typer.Option(1, "--seed", min=0, max=2**63 - 1, help="Replicate r depends on (seed, r) alone."),
    mechanism: str | None = typer.Option(
        None,
        "--mechanism",
        "-m",
        help="none, symptomatic, slowing, lagged, survival, waning or harm, if the scenario has it; default its own.",
    ),
    json_out: Path | None = typer.Option(None, "--json", help="Write the whole replica here as JSON."),
    scenario_file: str | None = typer.Option(None, "--scenario", help="A scenario file, e.g. one written by fit."),
    fit_plan: Path | None = typer.Option(
        None, "--fit-plan", help="A fit plan of your own: what was fitted, what is a check."
    ),
    plan: Path | None = typer.Option(
        None, "--plan", help="An analysis plan: what its numbers do over the virtual trials, in place of the replica."
    ),
    store: Path | None = typer.Option(None, "--store", help="Keep finished blocks here, and resume from them."),
    threads: int | None = typer.Option(None, "--threads", min=1, help="Default: all processors."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    everything: bool = typer.Option(False, "--all", help="Print every row, not only those of the last weeks."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Rebuild a trial and hold it against what was published.

    Of a scenario without a record, which rebuilds nothing: what its own plan does over the virtual trials.
    """
    import json

    from equipoise.calibrate.plan import load_plan
    from equipoise.cli.common import check_writable, compile_once, progress_bar, replicate_command, say, write_text
    from equipoise.errors import ScenarioError
    from equipoise.records import load_record
    from equipoise.replica.rebuild import replicate as run_replica
    from equipoise.simulate import load_scenario

    if replicates < 1:
        raise ScenarioError(f"--replicates {replicates}", hint="ask for at least 1; 2000 is a good number")
    if json_out is not None:
        check_writable(json_out)
    if plan is not None or _rebuilds_nothing(scenario_file or record):
        _operating(record, scenario_file, plan, mechanism, replicates, seed, threads, store, json_out, quiet)
        return
    published = load_record(record, records_dir=records_dir)
    scenario = load_scenario(scenario_file or published.id)
    with progress_bar(quiet) as report:
        compile_once(report)
        replica = run_replica(
            published,
            scenario,
            mechanism=mechanism,
            replicates=replicates,
            seed=seed,
            threads=threads,
            store=store,
            progress=report,
            command=replicate_command(record, replicates, seed, mechanism, scenario_file, records_dir, fit_plan),
            plan=None if fit_plan is None else load_plan(str(fit_plan)),
        )
    weeks = {scenario.protocol.period_end, scenario.protocol.visits[-1], *(o.form.week for o in scenario.external)}
    _print(replica, None if everything else weeks)
    if json_out is not None:
        write_text(json_out, json.dumps(replica.to_dict(), indent=1, allow_nan=False, default=str) + "\n")
        say(f"wrote {json_out}")


def _rebuilds_nothing(name: str) -> bool:
    """Whether this is a scenario that has no record."""
    from equipoise.simulate import load_scenario, shipped_scenarios

    known = name in shipped_scenarios() or Path(name).suffix in (".yaml", ".yml")
    return known and load_scenario(name).record is None


def _operating(
    name: str,
    scenario_file: str | None,
    plan: Path | None,
    mechanism: str | None,
    replicates: int,
    seed: int,
    threads: int | None,
    store: Path | None,
    json_out: Path | None,
    quiet: bool,
) -> None:
    """The numbers of a further plan, or of the scenario's own, over virtual trials, as a table."""
    import json

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from equipoise.cli.common import progress_bar, say, write_text
    from equipoise.plan.scenario_plan import read_scenario_plan
    from equipoise.run import operating_characteristics
    from equipoise.simulate import load_scenario

    scenario = load_scenario(scenario_file or name)  # first: a plan may name an end point that it declares
    asked = None if plan is None else read_scenario_plan(plan)
    with progress_bar(quiet) as report:
        made = operating_characteristics(
            scenario,
            asked,
            mechanism=mechanism,
            replicates=replicates,
            seed=seed,
            threads=threads,
            store=store,
            tested=True,
            progress=lambda done, total: report("virtual trials", done, total),
        )
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _FILE
    console.print(f"[bold]{escape(made.scenario)}: {made.replicates} virtual trials ({made.mechanism})[/bold]")
    console.print(
        f"Significant: share of all trials with p below {made.alpha:g}; SD: of the estimates over trials; SE: mean of "
        "those that the trials gave (of a ratio's logarithm); MC: Monte Carlo error; failed: not estimable.\n"
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("number", overflow="fold")
    for head in ("significant", "MC", "mean", "MC", "SD", "SE", "failed"):
        table.add_column(head, justify="right", no_wrap=True)
    for n in made.numbers:
        share, error = n.significant or 0.0, n.mc_error_significant or 0.0
        table.add_row(
            escape(n.key.id),
            f"{100 * share:.1f} %",
            f"{100 * error:.1f} %",
            _number(n.mean, False),
            _number(n.mc_error_mean, False),
            _number(n.sd, False),
            _number(n.mean_se, False),
            str(n.failed),
        )
    console.print(table)
    if json_out is not None:
        write_text(json_out, json.dumps(made.to_dict(), indent=1, allow_nan=False) + "\n")
        say(f"wrote {json_out}")


_ROOM = 48
"""Columns that a name needs beside its numbers; with fewer, a quantity gets two lines: its name, then its numbers."""
_FILE = 160
"""Columns where the output is no terminal: one line for each quantity, to search and to compare."""


def _print(replica: Replica, weeks: set[float] | None) -> None:
    """The table, every row or those of some weeks, and the answers."""
    import textwrap

    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _FILE
    rows = [
        row
        for row in replica.rows
        if weeks is None or (row.scale not in ("se", "baseline") and row.week in {None, *weeks})
    ]
    title = f"{replica.record}: published, and {replica.replicates} virtual trials ({replica.mechanism})"
    key = (
        "Simulated: mean (P values: median) and the 95 % range of single trials; MC: Monte Carlo error; below: virtual "
        "trials below the published value; SE: distance in published standard errors."
    )
    console.print(f"[bold]{title}[/bold]\n{key}\n")
    cells = [_cells(row, replica.replicates) for row in rows]
    widths = _widths(cells)
    beside = sum(widths) + 3 * len(widths) + max((len(use) for _, _, use in cells), default=0)
    if console.width - beside < _ROOM:
        _narrow(console, cells, widths)
    else:
        _wide(console, cells)
    console.print()
    said = [f"{a.sentence} (Monte Carlo error {100 * a.mc_error:.1f} points)" for a in replica.answers]
    for line in (*said, replica.tally, *replica.notes):
        text = textwrap.fill(line, console.width, initial_indent="- ", subsequent_indent="  ")
        console.print(text, markup=False, soft_wrap=True)
    console.print(f"\n{replica.seconds:.0f} s; repeat with:")
    console.print(f"  {replica.command}", markup=False, soft_wrap=True)


_HEADS = ("published", "simulated", "MC", "below", "SE")


def _cells(row: ReplicaRow, replicates: int) -> tuple[str, tuple[str, ...], str]:
    """(what it is, its numbers as under the heads, what it was used as)."""
    percent = row.scale == "percent"
    where = [row.analysis_set, row.arm or "", "" if row.week is None else f"week {row.week:g}", row.method]
    name = f"{row.quantity} [{', '.join(w for w in where if w)}]"
    published = _number(row.published, percent)
    if row.published_low is not None and row.published_high is not None:
        published += f" ({row.published_low:g}, {row.published_high:g})"
    simulated = "not estimable"
    if row.n_estimable:
        low, high = _number(row.simulated_low, percent), _number(row.simulated_high, percent)
        simulated = f"{_number(row.simulated, percent)} ({low}, {high})"
        if row.n_estimable < replicates:
            name += f", estimable in {100 * row.n_estimable / replicates:.0f} %"
    below = "" if math.isnan(row.position) else f"{100 * row.position:.0f} %"
    far = "" if row.z is None else f"{row.z:+.1f}"
    error = f"{100 * row.mc_error:.1f} %" if percent and math.isfinite(row.mc_error) else _number(row.mc_error, False)
    return name, (published, simulated, error, below, far), row.use


def _widths(rows: list[tuple[str, tuple[str, ...], str]]) -> list[int]:
    """The columns that the numbers need."""
    return [max(len(numbers[i]) for numbers in (_HEADS, *(n for _, n, _ in rows))) for i in range(len(_HEADS))]


def _wide(console: Console, rows: list[tuple[str, tuple[str, ...], str]]) -> None:
    """One line for each quantity; only its name is broken where the columns do not suffice."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("quantity", overflow="fold")
    for i, head in enumerate(_HEADS):
        table.add_column(head, justify="left" if i < 2 else "right", no_wrap=True)
    table.add_column("used as", no_wrap=True)
    for name, numbers, use in rows:
        table.add_row(escape(name), *numbers, use)
    console.print(table)


def _narrow(console: Console, rows: list[tuple[str, tuple[str, ...], str]], widths: list[int]) -> None:
    """Two lines for each quantity, the numbers under their heads."""
    from rich.markup import escape

    def line(numbers: tuple[str, ...]) -> str:
        padded = (t.ljust(w) if i < 2 else t.rjust(w) for i, (t, w) in enumerate(zip(numbers, widths, strict=True)))
        return "  " + "  ".join(padded).rstrip()

    head = line(_HEADS)
    console.print(f"[bold]{head}[/bold]\n  {'─' * (len(head) - 2)}", soft_wrap=True)
    for name, numbers, use in rows:
        console.print(f"[bold]{escape(name)}[/bold]" + (f" – {use}" if use else ""))
        console.print(line(numbers), soft_wrap=True)


def _number(value: float, percent: bool) -> str:
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "not reached"
    return f"{100 * value:.0f} %" if percent else f"{value:.3g}"
