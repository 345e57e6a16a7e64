"""`equipoise questions`: the questions of a trial, for one reader, as Markdown, an Anki deck or JSON."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class Format(StrEnum):
    """What the questions are written as."""

    markdown = "markdown"
    anki = "anki"
    json = "json"


def questions(
    record: str = typer.Argument(help="The trial, e.g. valor, or the file of a record."),
    role: str | None = typer.Option(
        None,
        "--role",
        "-r",
        help="patient, medical_student, resident, fellow, attending, phd, editor or guideline; else everyone.",
    ),
    specialty: str | None = typer.Option(
        None,
        "--specialty",
        "-s",
        help="Put first: neuromuscular, general_neurology, genetics, palliative_care, pharmacy, statistics or "
        "regulatory.",
    ),
    stage: str | None = typer.Option(None, "--stage", help="first_look, critical_reading, journal_club or decision."),
    level: str | None = typer.Option(None, "--level", help="basic, intermediate or advanced."),
    format: Format = typer.Option(Format.markdown, "--format", "-f", help="Format of the questions."),
    self_test: bool = typer.Option(False, "--self-test", help="Markdown with the questions first, answers after."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Where to write; else to standard output."),
    replica: Path | None = typer.Option(None, "--replica", help="Use a replica saved by 'replicate --json'."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
) -> None:
    """Write the questions that apply to a trial, with answers from its record, every number with its source."""
    from equipoise.appraise import question_set
    from equipoise.cli.appraise import saved_replica
    from equipoise.cli.common import check_writable, say, write_text
    from equipoise.document.readers import Reader
    from equipoise.errors import OutputError, RecordError
    from equipoise.records import load_record
    from equipoise.render import to_anki, to_data, to_markdown

    if self_test and format is not Format.markdown:
        raise OutputError(
            f"--self-test goes with --format markdown, not {format.value}",
            hint="an Anki card hides its answer anyway; in JSON question and answer are apart",
        )
    reader = Reader(role, specialty, stage, level)
    published = load_record(record, records_dir=records_dir)
    if out is not None:
        check_writable(out)
    document = question_set(published, None if replica is None else saved_replica(replica), reader)
    if not document.sections:
        raise RecordError(
            f"no question for {published.id} fits{reader.options}", hint="leave out --stage or --level, or change them"
        )
    if format is Format.anki:
        text = to_anki(document)
    elif format is Format.json:
        text = to_data(document)
    else:
        text = to_markdown(document, answers_last=self_test)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
        say(f"wrote {out}")
