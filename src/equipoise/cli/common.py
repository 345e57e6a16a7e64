"""What commands share: output files written whole or not at all, a progress bar, and the compiling."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from equipoise.files import check_writable as check_writable
from equipoise.files import write_text as write_text


@contextmanager
def progress_bar(quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error; yields ``report(what, done, total)``."""
    if quiet:
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield report


def compile_once(report: Callable[[str, int, int], None], job: str = "replicate") -> None:
    """Before the first replica on a machine: its kernels, compiled side by side; a line where they cannot be kept.

    job : one of :mod:`equipoise.numerics.first_use`.
    """
    from equipoise.numerics import first_use

    first_use.compile_ahead(job, lambda done, total: report("compiling once", done, total))
    first_use.tell_if_not_kept()


def replicate_command(
    record: str,
    replicates: int,
    seed: int,
    mechanism: str | None = None,
    scenario: str | None = None,
    records: Path | None = None,
    plan: Path | None = None,
) -> str:
    """The command that repeats a replica, as printed beside its numbers."""
    return command_of(
        ("replicate", record, "--replicates", str(replicates), "--seed", str(seed)),
        (("--mechanism", mechanism), ("--scenario", scenario), ("--records", records), ("--fit-plan", plan)),
    )


def command_of(words: Sequence[str], options: Sequence[tuple[str, object]]) -> str:
    """A command as it is typed: an option of None or False is left out, of True stands alone, of a list is repeated."""
    parts = ["equipoise", *words]
    for option, value in options:
        if value is True:
            parts.append(option)
        elif value is not None and value is not False:
            for one in value if isinstance(value, list) else [value]:
                parts += [option, str(one)]
    return shlex.join(parts)


def say(text: str) -> None:
    """A line for the person at the terminal, apart from what the command outputs."""
    print(text, file=sys.stderr)
