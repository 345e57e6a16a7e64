"""Files of draws of parameters that a reader may choose as a world: those in the folders that may be read."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from equipoise.errors import DataError, ScenarioError
from equipoise.studio.analysis import allowed, files_in, is_within
from equipoise.studio.settings import UPLOAD_LIMIT, Settings, named

WEIGHTS = ("weight", "weights")
"""Columns that are taken for weights where a reader names none."""

MOST_DRAWS = 1_000_000
"""Rows of a compressed file of draws."""


@dataclass(frozen=True)
class DrawsFile:
    """A file with a row a draw: its name in addresses, where it is, and its columns."""

    name: str
    path: Path
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its name and its folder."""
        return f"{self.path.name} ({self.path.parent.name})"

    def weights(self, asked: str) -> str | None:
        """The column of weights: the one that is asked for, else one that is called so.

        Raises
        ------
        ScenarioError : it has no such column.
        """
        if asked and asked not in self.columns:
            raise ScenarioError(
                f"{self.path.name} has no column {asked[:40]!r}", hint="columns are: " + ", ".join(self.columns)[:400]
            )
        return asked or next((w for w in WEIGHTS if w in self.columns), None)


def draws_files(settings: Settings) -> list[DrawsFile]:
    """The files of draws in the folders that may be read; a link that leads out of its folder is none."""
    found = []
    for folder in allowed(settings):
        for path in files_in(folder):
            with contextlib.suppress(OSError):  # a link that leads nowhere, a file that may not be read
                about = path.stat()
                if path.suffix in (".csv", ".parquet") and is_within(path, folder):
                    columns = _columns(path, about.st_mtime_ns, about.st_size)
                    found += [DrawsFile(named(str(path)), path, columns)] if columns else []
    return found


def draws_file(settings: Settings, name: str) -> DrawsFile:
    """A file of draws by its name in addresses.

    Raises
    ------
    ScenarioError : no folder that may be read holds it, or it is damaged or expands beyond measure.
    """
    for file in draws_files(settings):
        if file.name == name:
            about = file.path.stat()
            _bounded(file.path, about.st_mtime_ns, about.st_size)
            return file
    raise ScenarioError("no such file of draws", hint="start the studio with --data FOLDER, or bring it under Analyse")


@lru_cache(maxsize=64)
def _bounded(path: Path, changed: int, size: int) -> None:
    """Decode a compressed file once where it can do no harm, before it is read here.

    Raises
    ------
    ScenarioError : it is damaged, or larger than draws are.
    """
    from equipoise.trial.adam import Limits, read_parquet

    if path.suffix == ".parquet":
        try:
            read_parquet(path, limits=Limits(rows=MOST_DRAWS, cells=50 * MOST_DRAWS, process_bytes=4 << 30))
        except DataError as error:
            raise ScenarioError(error.message, hint=error.hint) from None


@lru_cache(maxsize=512)
def _columns(path: Path, changed: int, size: int) -> tuple[str, ...]:
    """The columns of a file of draws; none where it is something else."""
    import polars as pl

    from equipoise.design.worlds import PARTS

    if size > UPLOAD_LIMIT:
        return ()
    try:
        columns = tuple(pl.read_parquet_schema(path) if path.suffix == ".parquet" else _head(path))
    except (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return ()
    return columns if any(c.partition(".")[0] in PARTS and "." in c for c in columns) else ()


def _head(path: Path) -> list[str]:
    import csv

    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return next(csv.reader([file.readline(100_000)]), [])
