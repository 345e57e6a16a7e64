"""`equipoise landscape`: the trials of a field side by side."""

from __future__ import annotations

from pathlib import Path

import typer


def landscape(
    field: str = typer.Argument(help="The field: als."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Where to write; default FIELD.html (or .md, .json)."),
    format: str | None = typer.Option(None, "--format", "-f", help="html, md or json; default by the file's name."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
) -> None:
    """Write the trials of a field side by side: function, survival, neurofilament, a timeline."""
    from equipoise.appraise.landscape import landscape as build
    from equipoise.cli.common import check_writable, say, write_text
    from equipoise.errors import RecordError
    from equipoise.records import list_records
    from equipoise.render import FORMATS, render

    kind = format or (out.suffix.lstrip(".") if out is not None else "html")
    if kind not in FORMATS:
        raise RecordError(f"there is no format {kind!r}", hint="choose one of: " + ", ".join(FORMATS))
    path = out or Path(f"{field}.{kind}")
    check_writable(path)
    known = [info.record for info in list_records(records_dir=records_dir) if info.record is not None]
    write_text(path, render(build(field, known), kind))
    say(f"wrote {path}")
