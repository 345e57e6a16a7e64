"""`equipoise winners-curse`: second trials predicted from the first ones, beside what happened."""

from __future__ import annotations

import json
from pathlib import Path

import typer


def winners_curse(
    field: str = typer.Argument(help="The field: als."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Write it as JSON, as pages read it."),
    table: Path | None = typer.Option(None, "--table", help="Write the table as Markdown."),
    plot: Path | None = typer.Option(None, "--plot", help="Draw it: .svg, .png or .json."),
    draws: list[str] = typer.Option(
        [], "--draws", help="A pair's effect as draws: PAIR=FILE with a column effect; may be repeated."
    ),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
) -> None:
    """Predict second trials of a drug from the first: as it stands, with its error, as selected, and sceptically."""
    from equipoise.appraise.landscape.second_trials import second_trials
    from equipoise.cli.common import check_writable, say, write_text
    from equipoise.errors import RecordError

    for path in (out, table, plot):
        if path is not None:
            check_writable(path)
    files = {}
    for given in draws:
        pair, equals, file = given.partition("=")
        if not (pair and equals and file):
            raise RecordError(f"--draws {given[:80]!r}", hint="name the pair and the file: --draws phoenix=draws.csv")
        files[pair] = file
    made = second_trials(field, records_dir=records_dir, draws=files)
    print(made)
    if out is not None:
        write_text(out, json.dumps(made.to_dict(), indent=1, ensure_ascii=False) + "\n")
        say(f"wrote {out}")
    if table is not None:
        write_text(table, made.table() + "\n")
        say(f"wrote {table}")
    if plot is not None:
        say(f"wrote {made.plot().save(plot)}")
