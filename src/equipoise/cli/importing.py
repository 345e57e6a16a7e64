"""`equipoise import`: a ClinicalTrials.gov entry as a record, with the account of what could not be mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def import_study(
    study: Annotated[
        str,
        typer.Argument(metavar="FILE.json|NCT01234567", help="A study record (JSON of API v2), or the number of one."),
    ],
    out: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this at run time
        typer.Option("--out", "-o", metavar="FILE.yaml", help="Where to write the record; else NUMBER.yaml here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the first line of the account.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the registry.")] = 15.0,
    retries: Annotated[int, typer.Option("--retries", help="How often to try again when it is busy.")] = 3,
    registry: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--registry", metavar="URL", help="Address of the registry's API v2, for a mirror."),
    ] = None,
) -> None:
    """Make a record of a trial from its registry entry, and list every part that could not be mapped."""
    from equipoise.cli.common import check_writable, write_text
    from equipoise.cli.record_view import clean
    from equipoise.errors import OutputError, RecordError
    from equipoise.files import exists
    from equipoise.records.registry import REGISTRY, fetch_study, is_number, read_study, record_yaml

    if timeout <= 0 or retries < 0:
        raise RecordError("--timeout must be above 0 and --retries not below 0", hint="leave them out for 15 s and 3")
    if out is not None:
        check_writable(out)
        if out.is_file() and not force:
            raise OutputError(f"{out} is there already", hint="--force writes over it, --out names another file")
    if is_number(study) and not exists(study):
        found = fetch_study(study, registry=registry or REGISTRY, timeout=timeout, retries=retries)
    else:
        found = read_study(study)
    target = out if out is not None else Path(f"{found.record.id.lower()}.yaml")
    if out is None:
        check_writable(target)
        if target.is_file() and not force:
            raise OutputError(f"{target} is there already", hint="--force writes over it, --out names another file")
    write_text(target, record_yaml(found.document))
    lines = [clean(line).replace("\n", " ") for line in found.lines()]
    typer.echo("\n".join(lines[:1] if quiet else lines))
    typer.echo(f"written: {target}")
    typer.echo(f"read it: equipoise records show {target}")
