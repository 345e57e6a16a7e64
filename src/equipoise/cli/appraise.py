"""`equipoise appraise`: the page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

if TYPE_CHECKING:
    from equipoise.document.document import Document
    from equipoise.replica.replica import Replica


class Format(StrEnum):
    """What the page is written as."""

    html = "html"
    md = "md"
    json = "json"
    brief = "brief"
    slides = "slides"
    docx = "docx"


class _Output(NamedTuple):
    """A file to write: as what, and whether it was asked for by name (else it is left out where it cannot be had)."""

    path: Path
    kind: str
    asked: bool


_MADE = {
    Format.brief: ("-brief", ("html", "pdf"), {".html": "html", ".pdf": "pdf", ".md": "md", ".json": "json"}),
    Format.slides: ("-slides", ("html", "pptx"), {".html": "html", ".pptx": "pptx", ".pdf": "pdf", ".json": "json"}),
}
"""Formats that are files of several kinds: what their names end in, what is written unasked, kinds by ending."""


def appraise(
    record: str = typer.Argument(help="The trial, e.g. valor."),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Where to write; default RECORD.html (or .md, .json, .docx); see --format."
    ),
    format: Format = typer.Option(
        Format.html,
        "--format",
        "-f",
        help="html, md, json or docx (Word): the page; brief: one printed side of it, RECORD-brief.html and .pdf; "
        "slides: a deck for a journal club, RECORD-slides.html and .pptx. A name given with --out says which one.",
    ),
    replicates: int = typer.Option(500, "--replicates", "-n", help="Virtual trials in each study behind the page."),
    seed: int = typer.Option(1, "--seed", min=0, max=2**63 - 1, help="Replicate r depends on (seed, r) alone."),
    mechanism: str | None = typer.Option(
        None, "--mechanism", "-m", help="How the drug acts; default the scenario's own."
    ),
    role: str | None = typer.Option(
        None,
        "--role",
        "--audience",
        "-a",
        help="One reader's questions alone: patient, medical_student, resident, fellow, attending, phd, editor, "
        "guideline.",
    ),
    specialty: str | None = typer.Option(None, "--specialty", help="Put a specialty's questions first."),
    stage: str | None = typer.Option(None, "--stage", help="first_look, critical_reading, journal_club or decision."),
    level: str | None = typer.Option(None, "--level", help="basic, intermediate or advanced."),
    replica: Path | None = typer.Option(None, "--replica", help="Use a replica saved by 'replicate --json'."),
    no_replica: bool = typer.Option(False, "--no-replica", help="Only what was published; no simulation."),
    scenario_file: str | None = typer.Option(None, "--scenario", help="A scenario file, e.g. one written by fit."),
    plan: Path | None = typer.Option(None, "--fit-plan", help="A fit plan of your own, with --scenario."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    judgements: Path | None = typer.Option(
        None, "--judgements", help="Your own judgements on risk of bias and certainty; see 'equipoise judgements'."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Write the page: every number cited or computed."""
    from equipoise.appraise import appraise as build
    from equipoise.appraise import in_brief, in_slides
    from equipoise.appraise.certainty import load_judgements
    from equipoise.cli.common import check_writable, compile_once, progress_bar, replicate_command, say
    from equipoise.document.readers import Reader
    from equipoise.errors import ScenarioError
    from equipoise.records import load_record

    if replicates < 1:
        raise ScenarioError(f"--replicates {replicates}", hint="ask for at least 1; or use --no-replica")
    if replica is not None and (no_replica or mechanism or scenario_file):
        raise ScenarioError(
            "--replica goes without --no-replica, --mechanism and --scenario",
            hint="the saved replica has its own; leave the others out",
        )
    Reader(role, specialty, stage, level)  # an unknown one is refused before the work starts
    published = load_record(record, records_dir=records_dir)
    judged = None if judgements is None else load_judgements(published, judgements)
    outputs = _outputs(published.id, format, out)
    for output in outputs:
        check_writable(output.path)
    reader = role or specialty or stage or level
    if format is Format.brief:
        if mechanism or scenario_file or plan is not None or reader:
            raise ScenarioError(
                "--format brief goes without a reader, --mechanism, --scenario and --fit-plan",
                hint="it runs no simulation and is the same for every reader; leave the others out, or give --replica "
                "with a file saved by 'equipoise replicate --json'",
            )
        rebuilt = None if replica is None else saved_replica(replica)
        _write(in_brief(published, rebuilt, judgements=judged), outputs)
        return
    if format is Format.slides and reader:
        raise ScenarioError(
            "--format slides goes without a reader", hint="a journal club has readers of all kinds; leave it out"
        )
    rebuilt = None
    if replica is not None:
        rebuilt = saved_replica(replica)
    elif not no_replica:
        from equipoise.calibrate.plan import load_plan
        from equipoise.replica.rebuild import replicate
        from equipoise.simulate import load_scenario, shipped_scenarios

        if scenario_file is not None or published.id in shipped_scenarios():
            with progress_bar(quiet) as report:
                compile_once(report)
                rebuilt = replicate(
                    published,
                    load_scenario(scenario_file or published.id),
                    mechanism=mechanism,
                    replicates=replicates,
                    seed=seed,
                    progress=report,
                    command=replicate_command(record, replicates, seed, mechanism, scenario_file, records_dir, plan),
                    plan=None if plan is None else load_plan(str(plan)),
                )
        else:
            say(f"no scenario for {published.id!r}: the page shows what was published only")
    if format is Format.slides:
        _write(in_slides(published, rebuilt, judgements=judged), outputs)
        return
    page = build(published, rebuilt, role=role, specialty=specialty, stage=stage, level=level, judgements=judged)
    _write(page, outputs)


def _outputs(id: str, format: Format, out: Path | None) -> list[_Output]:
    """The files that a format is written to; those that were not asked for by name come after the one that always is.

    Raises :class:`OutputError` for a name whose ending is none of the format's.
    """
    from equipoise.errors import OutputError, needed
    from equipoise.files.reading import shown

    if format is Format.html and out is not None and out.suffix.lower() in (".md", ".json", ".docx"):
        format = Format(out.suffix.lower()[1:])
    if format not in _MADE:
        if format is Format.docx:  # before the simulation, not after it
            needed("office", "a Word file", "docx")
        return [_Output(out or Path(f"{id}.{format.value}"), format.value, True)]
    tail, unasked, kinds = _MADE[format]
    if out is None:
        return [_Output(Path(f"{id}{tail}.{kind}"), kind, kind == "html") for kind in unasked]
    kind = kinds.get(out.suffix.lower())
    if kind is None and out.suffix and not out.exists():
        raise OutputError(
            f"{shown(out)}: --format {format.value} cannot be written as {out.suffix}",
            hint=f"end the name in {', '.join(kinds)}",
        )
    if kind == "pptx":
        needed("office", "a PowerPoint file", "pptx")
    return [_Output(out, kind or "html", True)]


def _write(document: Document, outputs: list[_Output]) -> None:
    """Write a document to each of its files; one that was not asked for and cannot be made is told, with what helps."""
    from equipoise.cli.common import say
    from equipoise.errors import OutputError
    from equipoise.files import write_bytes
    from equipoise.render.page import to_bytes

    for path, kind, asked in outputs:
        try:
            content = to_bytes(document, kind)
        except OutputError as error:
            if asked:
                raise
            say(f"left out {path}: {error.message}; {error.hint}")
            continue
        write_bytes(path, content)
        say(f"wrote {path}")


def saved_replica(path: Path) -> Replica:
    """A replica as ``replicate --json`` wrote it; :class:`DataError` for any other file."""
    from equipoise.errors import DataError
    from equipoise.files import parse_json, read_bytes
    from equipoise.files.reading import shown
    from equipoise.replica.replica import Replica

    hint = "write one with: equipoise replicate NAME --json FILE"
    raw = read_bytes(path, max_bytes=50_000_000, error=DataError, hint=hint)
    plain = parse_json(raw, shown(path), error=DataError, hint=hint)
    try:
        return Replica.from_dict(plain)
    except ValueError as error:
        raise DataError(f"{shown(path)}: is not a replica: {error}", hint=hint) from None
