"""The store of replicates: a folder of Parquet parts, each there whole or not at all.

A part holds a run of replicates. It is written under a temporary name, flushed and renamed; its name says the first
replicate, how many there are and the hash of its bytes, so that a damaged one is seen. Nothing else is trusted: there
is no index that could be stale, and ``study.json`` is for a person who looks. Any number of processes may grow one
store; where two make the same replicates, both make the same numbers, and either file serves. A killed process loses
the parts it was at, no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import polars as pl

from equipoise import __version__
from equipoise.errors import EquipoiseError, OutputError
from equipoise.files import check_writable, read_bytes, write_bytes, write_text
from equipoise.files.reading import reason, shown
from equipoise.types import FloatArray

_PART = re.compile(r"^part-(\d{10})-(\d{6})-([0-9a-f]{16})\.parquet$")
_MOST_BYTES = 1 << 30
_DISK = "make room, or choose another folder with --store; what is done is kept"


class DamagedPart(UserWarning):
    """A file of a store was not what its name says; it was set aside, and its replicates are computed again."""


class Part(NamedTuple):
    """Replicates ``first`` to ``first + rows - 1``, one row each."""

    first: int
    rows: int
    path: Path

    @property
    def end(self) -> int:
        return self.first + self.rows


@dataclass(frozen=True)
class Store:
    """The folder of one study."""

    folder: Path
    temporary: bool
    columns: int

    @classmethod
    def open(cls, store: Path | None, key: str, measures: Sequence[str]) -> Self:
        """The folder ``store/key``, made where it is not there yet; a temporary one where ``store`` is None.

        Raises
        ------
        OutputError : it cannot be made.
        """
        try:
            if store is None:
                return cls(Path(tempfile.mkdtemp(prefix="equipoise-")), True, len(measures))
            folder = Path(store) / key
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                said = {"key": key, "version": __version__, "measures": list(measures)}
                write_text(folder / "study.json", json.dumps(said, indent=1) + "\n")
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{shown(store or tempfile.gettempdir())}: cannot be written ({reason(error)})",
                hint="choose a folder you may write to, e.g. --store runs",
            ) from None
        return cls(folder, False, len(measures))

    def check_writable(self) -> None:
        """Raise :class:`OutputError` where nothing can be written, before the work starts."""
        check_writable(self.folder / "part")

    def covering(self, replicates: int) -> list[Part]:
        """Sound parts that hold replicates from 0 up to ``replicates``, in order; what is between them is not there.

        Damaged files are told and set aside.
        """
        return list(self._covering(0, replicates))

    def covers(self, first: int, rows: int) -> Part | None:
        """A sound part that holds all of a run of replicates, if another process has made it meanwhile."""
        found = list(self._covering(first, first + rows))
        one = found[0] if len(found) == 1 else None
        return one if one is not None and one.first <= first and one.end >= first + rows else None

    def _covering(self, start: int, end: int) -> Iterator[Part]:
        at = start
        for part in () if self.temporary else listed(self.folder):
            if part.end <= at or part.first >= end:
                continue
            match = _PART.match(part.path.name)
            if match is not None and self._is_sound(part.path, match[3], part.rows):
                yield part
                at = part.end
            else:
                self._set_aside(part.path)

    def _is_sound(self, path: Path, digest: str, rows: int) -> bool:
        try:
            raw = read_bytes(path, max_bytes=_MOST_BYTES)
        except EquipoiseError:
            return False
        if hashlib.sha256(raw).hexdigest()[:16] != digest:
            return False
        try:
            schema = pl.read_parquet_schema(io.BytesIO(raw))
        except (pl.exceptions.PolarsError, OSError, ValueError):
            return False
        return list(schema) == _names(range(self.columns)) and rows > 0

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(path.name + ".damaged")
        with contextlib.suppress(OSError):
            os.replace(path, aside)
        size = aside.stat().st_size if aside.exists() else 0
        what = "is empty" if size == 0 and aside.exists() else "is damaged"
        warnings.warn(
            f"{shown(path)} {what}: set aside as {aside.name}, and its replicates are computed again",
            DamagedPart,
            stacklevel=2,
        )

    def write(self, first: int, values: FloatArray) -> Part:
        """Keep the (replicate, measure) values of replicates ``first`` on.

        Raises
        ------
        OutputError : it cannot be written; a full disk is one reason.
        """
        frame = pl.DataFrame({name: values[:, k] for k, name in enumerate(_names(range(self.columns)))})
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="uncompressed", statistics=False)
        raw = buffer.getvalue()
        digest = hashlib.sha256(raw).hexdigest()[:16]
        path = self.folder / f"part-{first:010d}-{len(values):06d}-{digest}.parquet"
        try:
            write_bytes(path, raw, durable=not self.temporary)
        except OutputError as error:
            raise OutputError(error.message, hint=_DISK) from None
        return Part(first, len(values), path)

    def close(self) -> None:
        """Remove the folder, if it is a temporary one."""
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


def listed(folder: Path) -> list[Part]:
    """Every part of a folder by its first replicate; of those that begin alike the longest first. None is read."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            match = _PART.match(entry.name)
            if match is not None:
                found.append(Part(int(match[1]), int(match[2]), folder / entry.name))
    return sorted(found, key=lambda p: (p.first, -p.rows))


def _names(columns: Sequence[int]) -> list[str]:
    return [str(k) for k in columns]


def read_part(path: Path, columns: Sequence[int]) -> FloatArray:
    """(replicate, column) values of some measures of a part.

    Raises
    ------
    OutputError : the file has gone, or was damaged since the study was opened.
    """
    try:
        frame = pl.read_parquet(io.BytesIO(read_bytes(path, max_bytes=_MOST_BYTES)), columns=_names(columns))
    except (EquipoiseError, pl.exceptions.PolarsError, OSError) as error:
        raise OutputError(f"{shown(path)}: cannot be read ({error})", hint="run the study again") from None
    return np.ascontiguousarray(frame.to_numpy())
