"""`equipoise appraise`: the page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from equipoise.replica.replica import Replica


class Format(StrEnum):
    """What the page is written as."""

    html = "html"
    md = "md"
    json = "json"
    brief = "brief"


def appraise(
    record: str = typer.Argument(help="The trial, e.g. valor."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Where to write; default RECORD.html (or .md, .json)."),
    format: Format = typer.Option(
        Format.html, "--format", "-f", help="html, md or json: the page; brief: one printed side of it."
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
    from equipoise.appraise import in_brief
    from equipoise.appraise.certainty import load_judgements
    from equipoise.cli.common import check_writable, compile_once, progress_bar, replicate_command, say, write_text
    from equipoise.document.readers import Reader
    from equipoise.errors import ScenarioError
    from equipoise.records import load_record
    from equipoise.render import render

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
    if format is Format.brief:
        if mechanism or scenario_file or plan is not None or role or specialty or stage or level:
            raise ScenarioError(
                "--format brief goes without a reader, --mechanism, --scenario and --fit-plan",
                hint="it runs no simulation and is the same for every reader; leave the others out, or give --replica "
                "with a file saved by 'equipoise replicate --json'",
            )
        path = out or Path(f"{published.id}-brief.html")
        check_writable(path)
        kind = {".md": "md", ".json": "json"}.get(path.suffix.lower(), "html")
        rebuilt = None if replica is None else saved_replica(replica)
        write_text(path, render(in_brief(published, rebuilt, judgements=judged), kind))
        say(f"wrote {path}")
        return
    path = out or Path(f"{published.id}.{format.value}")
    check_writable(path)
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
    page = build(published, rebuilt, role=role, specialty=specialty, stage=stage, level=level, judgements=judged)
    write_text(path, render(page, format.value))
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
