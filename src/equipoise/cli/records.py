"""`equipoise records`: list, show and check records of published trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(help="List, show and check records of published trials.", invoke_without_command=True)

RecordsDir = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this at run time
    typer.Option("--records", metavar="DIR", help="A folder with records of your own, one YAML file per trial."),
]


def _folder(context: typer.Context, records: Path | None) -> Path | None:
    """The folder given to this command, else the one given before it."""
    return records if records is not None else context.obj


@app.callback()
def main(context: typer.Context, records: RecordsDir = None) -> None:
    """List, show and check records of published trials. Without a command: list them."""
    context.obj = records
    if context.invoked_subcommand is None:
        _list(records)


@app.command("show")
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A record's name, or the path of its file.")],
    records: RecordsDir = None,
    section: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--section", "-s", help="Only this section (may be repeated); 'help' names them."),
    ] = None,
) -> None:
    """Print a record readably: design, baseline, results with their sources, events, harms, narrative, notes."""
    from equipoise.cli.record_view import SECTIONS, console, print_record
    from equipoise.errors import EquipoiseError
    from equipoise.records import load_record

    wanted = tuple(section or ())
    if "help" in wanted:
        typer.echo("\n".join(SECTIONS))
        return
    for one in wanted:
        if one not in SECTIONS:
            raise EquipoiseError(f"there is no section {one!r}", hint="sections are: " + ", ".join(SECTIONS))
    print_record(console(), load_record(name, _folder(context, records)), wanted or SECTIONS)


@app.command("check")
def check(
    context: typer.Context,
    files: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="FILE...", help="Files (or names of records) to check."),
    ] = None,
    records: RecordsDir = None,
) -> None:
    """Check records: every problem with its line, path and what was expected. Exit code 2 if there is any."""
    from equipoise.errors import RecordError
    from equipoise.records.load import check_record, record_files, resolve_file

    folder = _folder(context, records)
    paths: list[Path] = [resolve_file(f, folder) for f in files or ()]
    if not files and folder is not None:
        paths = record_files(folder)
        if not paths:
            raise RecordError(f"there are no records in {folder}", hint="a record is a file NAME.yaml")
    if not paths:
        raise RecordError("no file to check", hint="equipoise records check FILE..., or --records DIR for a folder")
    bad = 0
    for path in paths:
        problems = check_record(path)
        for p in problems:
            where = f"{p.path}: " if p.path else ""
            typer.echo(f"{path}:{p.line}:{p.column}: {where}{p.said}")
            if p.hint:
                typer.echo(f"    hint: {p.hint}")
        if problems:
            bad += 1
            typer.echo(f"{path}: {len(problems)} problem{'s' if len(problems) != 1 else ''}")
        else:
            typer.echo(f"{path}: OK{_size(path)}")
    if bad:
        raise typer.Exit(2)


def _size(path: Path) -> str:
    from equipoise.records import load_record

    record = load_record(path)
    index: dict[str, Any] = record.index(recall=True)
    recalled = sum(1 for entry in index.values() if entry.confidence == "recall")
    held = f", {recalled} of them recalled and never used" if recalled else ""
    return f" ({record.acronym or record.id}: {len(index):,} facts from {len(record.sources)} sources{held})"


def _list(records: Path | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from equipoise.cli.record_view import clean, console
    from equipoise.records import list_records

    table = Table(
        title="Records of published trials", title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for column in ("name", "trial", "condition", "n", "published", "facts", "where"):
        table.add_column(column, justify="right" if column in ("n", "facts") else "left")
    broken = 0
    for info in list_records(records):
        if info.record is None:
            broken += 1
            told = f"does not load: {len(info.problems)} problem{'s' if len(info.problems) != 1 else ''}"
            table.add_row(info.name, Text(told, style="red"), "", "", "", "", Text(info.origin))
            continue
        r = info.record
        first = clean(r.citations[0].text) if r.citations else ""
        table.add_row(
            Text(info.name, style="bold"),
            Text(clean(r.acronym or r.title)),
            Text(clean(r.condition)),
            f"{r.design.n_actual.value}",
            Text(first if len(first) <= 48 else first[:47].rstrip() + "…"),
            f"{len(r.index()):,}",
            Text(info.origin),
        )
    out = console()
    out.print(table)
    out.print("\nequipoise records show NAME prints one; equipoise records check FILE checks your own.", style="dim")
    if broken:
        out.print("To see what is wrong: equipoise records check FILE", style="dim")
