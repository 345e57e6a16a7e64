"""What commands share: output files written whole or not at all, a progress bar, and a compile notice."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from equipoise.errors import OutputError


def check_writable(path: Path) -> None:
    """Refuse an output path before the work starts, not after.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, or the path is a folder.
    """
    folder = path.parent
    if path.is_dir():
        raise OutputError(f"{path}: is a folder", hint=f"name a file in it, e.g. {path / 'result'}")
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist", hint=f"make it first: mkdir -p {folder}")
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=".equipoise-")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error})", hint="choose a folder you may write to"
        ) from None
    os.close(handle)
    os.unlink(name)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step: an interrupted run leaves the old file or none, never half of one."""
    check_writable(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".equipoise-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        if os.path.exists(name):
            os.unlink(name)


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
        task = bar.add_task("compiling on first use", total=None)

        def report(what: str, done: int, total: int) -> None:
            # before the first block is done the kernels may be compiling
            label = what if done else f"{what} (first use compiles, about 20 s)"
            bar.update(task, description=label, completed=done, total=total or None)

        yield report


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
    parts = ["equipoise", "replicate", record, "--replicates", str(replicates), "--seed", str(seed)]
    options = (("--mechanism", mechanism), ("--scenario", scenario), ("--records", records), ("--plan", plan))
    for option, value in options:
        if value is not None:
            parts += [option, str(value)]
    return shlex.join(parts)


def say(text: str) -> None:
    """A line for the person at the terminal, apart from what the command outputs."""
    print(text, file=sys.stderr)
