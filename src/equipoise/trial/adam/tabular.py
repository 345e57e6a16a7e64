"""SAS7BDAT, Parquet and CSV.

SAS7BDAT and Parquet are decoded by compiled libraries, which a damaged or hostile file can make crash or ask for any
amount of memory. They therefore run in a separate process with a ceiling on its address space and its time; what it
hands back is a file that this program wrote itself.
"""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from equipoise.errors import DataError, needed
from equipoise.files import open_whole, read_bytes
from equipoise.trial.adam.dataset import (
    DEFAULT_LIMITS,
    Dataset,
    Limits,
    Variable,
    describe,
    longest,
    normalise,
    temporal_kind,
    to_temporal,
)

# The process finds this program and its libraries where its parent did (a user's site, a zip, PYTHONPATH), and neither
# in the working folder nor through the environment.
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from equipoise.trial.adam.decode import main; raise SystemExit(main())"
)
_SAS_MAGIC = bytes.fromhex("000000000000000000000000c2ea8160b31411cfbd92080009c7318c181f1011")
_PARQUET_KEY = "equipoise.adam"

# Text by the ADaM naming rules, even where every value looks like a number (site "701").
_TEXT_NAME = re.compile(r"(ID|FL|CD|GR\d|DTC|DT?F|U|SEX|RACE|TERM|DECOD|VISIT|PARAM|REASCD)$|^(STUDYID|ARM|TRT.*[PA])$")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?$")
_ISO_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")


def _guarded(path: Path, kind: str, limits: Limits, encoding: str | None = None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Decode ``path`` in a process of its own; raises :class:`DataError` for whatever becomes of it."""
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise DataError(f"{path.name}: {size} bytes", hint=f"at most {limits.file_bytes} bytes are read")
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        job = {
            "path": str(path.resolve()),
            "kind": kind,
            "out": folder,
            "encoding": encoding,
            "rows": limits.rows,
            "columns": limits.columns,
            "cells": limits.cells,
            "bytes": limits.process_bytes,
            "text": limits.expanded_bytes,
        }
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _CHILD, json.dumps(job), json.dumps([p for p in sys.path if p])],
                capture_output=True,
                timeout=limits.process_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DataError(
                f"{path.name}: not decoded within {limits.process_seconds} s", hint="the file is damaged, or very large"
            ) from None
        answer = Path(folder) / "answer.json"
        if not answer.exists():
            how = f"ended by signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
            raise DataError(
                f"{path.name}: the decoder of {kind} files gave up ({how})",
                hint="the file is damaged, or asks for more memory than it should; ask for it again",
            )
        said: dict[str, Any] = json.loads(answer.read_text())
        if "error" in said:
            raise DataError(f"{path.name}: {said['error']}", hint=said.get("hint"))
        return pl.read_ipc(io.BytesIO((Path(folder) / "frame.arrow").read_bytes())), said


def read_sas7bdat(path: str | Path, *, encoding: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Dataset:
    """Read a SAS7BDAT file (by pyreadstat, in a separate process).

    Raises
    ------
    DataError : the file is not SAS7BDAT, is truncated, or cannot be decoded within the limits; or pyreadstat, the extra
        ``sas``, is not installed.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(288)
    if head[:32] != _SAS_MAGIC:
        raise DataError(f"{path.name}: not a SAS7BDAT file", hint="its first 32 bytes are not the SAS signature")
    needed("sas", f"{path.name}: SAS7BDAT", error=DataError, besides="or save it as .xpt, .parquet or .csv")
    _check_sas_header(head, path)
    frame, said = _guarded(path, "SAS7BDAT", limits, encoding)
    variables, columns = [], []
    for column, entry in zip(frame.columns, said["variables"], strict=True):
        series = frame[column]
        format_ = entry["format"] or None
        if format_ is not None and "." not in format_:
            format_ += "."
        if series.dtype == pl.String:
            series = series.set(series == "", None)
            type_, target = "string", None
        else:
            series = series.cast(pl.Float64).fill_nan(None)
            kind = temporal_kind(format_)
            series = to_temporal(series, kind) if kind else series
            type_, target, _ = describe(series)
        columns.append(series.alias(column.upper()))
        variables.append(Variable(column.upper(), entry["label"] or "", type_, entry["length"], format_, target))
    return Dataset(
        name=(said["name"] or path.stem).upper(),
        frame=pl.DataFrame(columns),
        variables=tuple(variables),
        label=said["label"] or "",
        source=path.name,
    )


def _check_sas_header(head: bytes, path: Path) -> None:
    """Whether header and pages that the file claims are there."""
    if len(head) < 288:
        raise DataError(f"{path.name}: truncated in its header", hint="copy the file again")
    wide = 4 if head[32:33] == b"\x33" else 0
    order = "<" if head[37:38] == b"\x01" else ">"
    shift = 4 if head[35:36] == b"\x33" else 0
    header_size, page_size = struct.unpack(order + "ii", head[196 + shift : 204 + shift])
    at = 204 + shift
    pages = struct.unpack(order + ("q" if wide else "i"), head[at : at + (8 if wide else 4)])[0]
    size = path.stat().st_size
    if header_size < 288 or page_size <= 0 or pages < 0 or header_size + page_size * pages > size:
        raise DataError(
            f"{path.name}: claims {pages} pages of {page_size} bytes after {header_size}, holds {size} bytes",
            hint="the file is truncated or damaged; copy it again",
        )


def read_parquet(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> Dataset:
    """Read a Parquet file; labels, lengths and formats from the metadata that :func:`write_parquet` leaves.

    Raises
    ------
    DataError : the file is not Parquet, is damaged, or holds columns that have no place in ADaM.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0, 2)
        end = file.tell()
        file.seek(max(0, end - 8))
        tail = file.read(8)
    if head != b"PAR1" or tail[4:] != b"PAR1":
        raise DataError(f"{path.name}: not a Parquet file, or truncated", hint="it should begin and end with PAR1")
    if int.from_bytes(tail[:4], "little") + 12 > end:
        raise DataError(f"{path.name}: its footer is larger than the file", hint="the file is damaged")
    frame, said = _guarded(path, "Parquet", limits)
    notes = _time_notes(frame)
    try:
        frame = normalise(frame.rename({c: c.upper() for c in frame.columns}))
    except (pl.exceptions.PolarsError, DataError) as error:
        message = error.message if isinstance(error, DataError) else str(error)
        raise DataError(f"{path.name}: {message}", hint="ADaM tables are flat, with each name once") from None
    kept = _kept(said.get("metadata", {}).get(_PARQUET_KEY), frame)
    if kept is None:
        return Dataset(path.stem.upper(), frame, infer_variables(frame), notes=notes, source=path.name)
    return Dataset(
        name=str(kept["name"]),
        frame=frame,
        variables=tuple(Variable(**v) for v in kept["variables"]),
        label=str(kept["label"]),
        attributes=dict(kept["attributes"]),
        notes=notes,
        source=path.name,
    )


def _time_notes(frame: pl.DataFrame) -> tuple[str, ...]:
    """What becomes of date-times with a zone, or finer than microseconds."""
    out = []
    for column in frame.columns:
        dtype = frame[column].dtype
        if isinstance(dtype, pl.Datetime):
            if dtype.time_zone is not None:
                out.append(f"{column}: date-times of the zone {dtype.time_zone} are kept as UTC")
            if dtype.time_unit == "ns" and bool((frame[column].dt.timestamp("ns") % 1000 != 0).any()):
                out.append(f"{column}: date-times are cut to microseconds")
    return tuple(out)


def _kept(text: str | None, frame: pl.DataFrame) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        kept: dict[str, Any] = json.loads(text)
        good = [v["name"] for v in kept["variables"]] == frame.columns
        [Variable(**v) for v in kept["variables"]]
        good = good and isinstance(kept["attributes"], dict) and {"name", "label"} <= kept.keys()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return kept if good else None


def infer_variables(frame: pl.DataFrame) -> tuple[Variable, ...]:
    """Variables of a frame that came without descriptions."""
    out = []
    for column in frame.columns:
        type_, target, format_ = describe(frame[column])
        out.append(Variable(column, "", type_, longest(frame[column]), format_, target))
    return tuple(out)


def write_parquet(dataset: Dataset, path: str | Path) -> None:
    """Write Parquet with name, labels, lengths and formats in the file's metadata (key ``equipoise.adam``)."""
    kept = {
        "name": dataset.name,
        "label": dataset.label,
        "attributes": dataset.attributes,
        "variables": [{k: v for k, v in vars(variable).items() if v is not None} for variable in dataset.variables],
    }
    with open_whole(path) as file:
        dataset.frame.write_parquet(file, metadata={_PARQUET_KEY: json.dumps(kept)}, compression="zstd")


def read_csv(
    path: str | Path,
    *,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Dataset:
    """Read a CSV file with a header line of ADaM names.

    ``types`` (variable to Dataset-JSON type, from a Define-XML say) decides what is a number; without it a column is
    one where every value reads as a number and the ADaM naming rules do not make it text (``SITEID`` is text).

    Raises
    ------
    DataError : lines of different lengths, a name given twice, or text that is in no known encoding.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > min(limits.file_bytes, 2 << 30):
        raise DataError(f"{path.name}: {size} bytes of CSV", hint="convert it to Parquet or .dsjc")
    raw = read_bytes(path, max_bytes=min(limits.file_bytes, 2 << 30))
    if b"\0" in raw[: 1 << 20]:
        raise DataError(f"{path.name}: not CSV (it holds NUL bytes)", hint="is this another kind of file?")
    text, notes = _decode(raw, encoding, path.name)
    header = text.lstrip("\r\n").split("\n", 1)[0]
    limits.check_table(path.name, text.count("\n"), header.count(",") + 1)
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False)
    except (pl.exceptions.PolarsError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{path.name}: not CSV ({first})", hint="one record a line, separated by commas") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise DataError(f"{path.name}: not CSV", hint="one record a line, separated by commas") from None
    names = [c.strip().upper() for c in frame.columns]
    if len(set(names)) < len(names) or any("_DUPLICATED_" in n for n in names):
        raise DataError(f"{path.name}: a column name is given twice", hint="names are unique within a data set")
    frame.columns = names
    columns = [_csv_column(frame[c], (types or {}).get(c), path.name) for c in names]
    frame = normalise(pl.DataFrame(columns))
    return Dataset(path.stem.upper(), frame, infer_variables(frame), notes=tuple(notes), source=path.name)


def _decode(raw: bytes, encoding: str | None, source: str) -> tuple[str, list[str]]:
    try:
        return raw.decode(encoding or "utf-8-sig"), []
    except LookupError:
        raise DataError(f"unknown encoding {encoding!r}", hint="utf-8, cp1252 or latin-1, for example") from None
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n")
        if encoding is None:
            try:
                return raw.decode("cp1252"), [f"{source}: text is not UTF-8 and was read as Windows cp1252"]
            except UnicodeDecodeError as other:
                row = raw[: other.start].count(b"\n")
        known = encoding or "UTF-8 or cp1252"
        raise DataError(f"{source} row {row}: text is not {known}", hint="say which with encoding=") from None


def _csv_column(series: pl.Series, type_: str | None, source: str) -> pl.Series:
    values = series.drop_nulls()
    values = values.filter(values != "")
    numeric = values.str.contains(_NUMBER.pattern)
    if type_ in ("integer", "float", "double", "decimal"):
        if not bool(numeric.all()):
            row = int((series.is_not_null() & (series != "") & ~series.str.contains(_NUMBER.pattern)).arg_true()[0]) + 1
            raise DataError(
                f"{source} row {row}, {series.name}: {series[row - 1]!r} is not a number", hint=f"described as {type_}"
            )
    elif type_ is not None or not len(values) or not bool(numeric.all()) or _TEXT_NAME.search(series.name):
        dated = type_ in (None, "date") and series.name.endswith("DT") and len(values) > 0
        if dated and bool(values.str.contains(_ISO_DATE.pattern).all()):
            parsed = series.str.to_date("%Y-%m-%d", strict=False)
            return parsed if parsed.null_count() == len(series) - len(values) else series
        return series
    return series.set(series == "", None).str.replace("[dD]", "e").cast(pl.Float64, strict=False)
