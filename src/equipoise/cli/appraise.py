"""`equipoise appraise`: the page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from equipoise.appraise import Replica


class Format(StrEnum):
    """What the page is written as."""

    html = "html"
    md = "md"
    json = "json"


def appraise(
    record: str = typer.Argument(help="The trial, e.g. valor."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Where to write; default RECORD.html (or .md, .json)."),
    format: Format = typer.Option(Format.html, "--format", "-f", help="Format of the page."),
    replicates: int = typer.Option(500, "--replicates", "-n", help="Virtual trials in each study behind the page."),
    seed: int = typer.Option(1, "--seed", min=0, max=2**63 - 1, help="Replicate r depends on (seed, r) alone."),
    mechanism: str | None = typer.Option(None, "--mechanism", "-m", help="none, symptomatic, slowing or lagged."),
    audience: str | None = typer.Option(
        None,
        "--audience",
        "-a",
        help="Put one reader's questions first: medical_student, resident, fellow, attending, phd, editor, guideline.",
    ),
    replica: Path | None = typer.Option(None, "--replica", help="Use a replica saved by 'replicate --json'."),
    no_replica: bool = typer.Option(False, "--no-replica", help="Only what was published; no simulation."),
    scenario_file: str | None = typer.Option(None, "--scenario", help="A scenario file, e.g. one written by fit."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Write the page: every number cited or computed."""
    from equipoise.appraise import READERS
    from equipoise.appraise import appraise as build
    from equipoise.cli.common import check_writable, progress_bar, replicate_command, say, write_text
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
    if audience is not None and audience not in READERS:
        raise ScenarioError(f"--audience {audience}: unknown reader", hint=f"choose one of {', '.join(READERS)}")
    published = load_record(record, records_dir=records_dir)
    path = out or Path(f"{published.id}.{format.value}")
    check_writable(path)
    rebuilt = None
    if replica is not None:
        rebuilt = _saved(replica)
    elif not no_replica:
        from equipoise.appraise import replicate
        from equipoise.simulate import load_scenario, shipped_scenarios

        if scenario_file is not None or published.id in shipped_scenarios():
            with progress_bar(quiet) as report:
                rebuilt = replicate(
                    published,
                    load_scenario(scenario_file or published.id),
                    mechanism=mechanism,
                    replicates=replicates,
                    seed=seed,
                    progress=report,
                    command=replicate_command(record, replicates, seed, mechanism, scenario_file, records_dir),
                )
        else:
            say(f"no scenario for {published.id!r}: the page shows what was published only")
    write_text(path, render(build(published, rebuilt, audience=audience), format.value))
    say(f"wrote {path}")


def _saved(path: Path) -> Replica:
    import json

    from equipoise.appraise import Replica
    from equipoise.errors import DataError

    try:
        return Replica.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: is not a replica ({error})", hint="write one with: equipoise replicate NAME --json FILE"
        ) from None
