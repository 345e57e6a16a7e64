"""The store of replicates: one Parquet file a block, each there whole or not at all.

A part is written under a temporary name, flushed and renamed. Its name says which block it is, how many replicates it
holds and the hash of its bytes, so that a damaged one is seen. Nothing else is trusted: there is no index that could be
stale, and ``study.json`` is for a person who looks. Two processes may grow one store; where both make the same block,
both make the same numbers, and either file serves. A killed process loses the blocks it was at, no more.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from equipoise import __version__
from equipoise.errors import EquipoiseError, OutputError
from equipoise.files import check_writable, read_bytes, write_bytes, write_text
from equipoise.files.reading import reason, shown
from equipoise.types import FloatArray

_PART = re.compile(r"^block-(\d{8})-(\d{3})-([0-9a-f]{16})\.parquet$")
_MOST_BYTES = 1 << 30
_DISK = "make room, or choose another folder with --store; blocks that are done are kept"


class DamagedPart(UserWarning):
    """A file of a store was not what its name says; it was set aside, and its block is computed again."""


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

    def sound(self, wanted: Sequence[int]) -> dict[int, Path]:
        """Block -> a file with at least the replicates that are wanted of it. Damaged files are told and set aside."""
        out = {}
        for number, rows in enumerate(wanted) if not self.temporary else ():
            found = self.find(number, rows)
            if found is not None:
                out[number] = found
        return out

    def find(self, number: int, rows: int) -> Path | None:
        """A sound file of a block with at least so many replicates; None if there is none."""
        if self.temporary:
            return None
        for path in sorted(self.folder.glob(f"block-{number:08d}-*.parquet"), reverse=True):
            match = _PART.match(path.name)
            if match is None or int(match[2]) < rows:
                continue
            if self._is_sound(path, match[3], int(match[2])):
                return path
            self._set_aside(path)
        return None

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
            f"{shown(path)} {what}: set aside as {aside.name}, and its block is computed again",
            DamagedPart,
            stacklevel=2,
        )

    def write(self, number: int, values: FloatArray) -> Path:
        """Keep the (replicate, measure) values of a block.

        Raises
        ------
        OutputError : it cannot be written; a full disk is one reason.
        """
        frame = pl.DataFrame({name: values[:, k] for k, name in enumerate(_names(range(self.columns)))})
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="uncompressed", statistics=False)
        raw = buffer.getvalue()
        digest = hashlib.sha256(raw).hexdigest()[:16]
        path = self.folder / f"block-{number:08d}-{len(values):03d}-{digest}.parquet"
        try:
            write_bytes(path, raw, durable=not self.temporary)
        except OutputError as error:
            raise OutputError(error.message, hint=_DISK) from None
        return path

    def close(self) -> None:
        """Remove the folder, if it is a temporary one."""
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


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
