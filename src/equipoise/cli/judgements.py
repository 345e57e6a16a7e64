"""`equipoise judgements`: the judgements behind a page's certainty, as a file to change."""

from __future__ import annotations

from pathlib import Path

import typer


def judgements(
    record: str = typer.Argument(help="The trial, e.g. valor, or a record file."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Where to write; default: to the screen."),
    blank: bool = typer.Option(False, "--blank", help="A form to fill in, even where judgements come with the trial."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
) -> None:
    """Write the judgements on a trial, or a form to fill in: risk of bias, GRADE, evidence to decision."""
    from equipoise.appraise.certainty import form, shipped_text
    from equipoise.cli.common import check_writable, say, write_text
    from equipoise.records import load_record

    published = load_record(record, records_dir=records_dir)
    text = None if blank or published.origin != "written" else shipped_text(published.id)
    text = text or form(published)
    if out is None:
        print(text, end="")
        return
    check_writable(out)
    write_text(out, text)
    say(f"wrote {out}; see what follows with: equipoise appraise {record} --judgements {out}")
