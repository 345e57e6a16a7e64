"""CDISC Dataset-JSON 1.1: ``.json``, newline-delimited ``.ndjson`` and compressed ``.dsjc``, read and written.

Compressed files are a gzip or zlib stream of newline-delimited JSON: the header with its columns on the first line,
then one array a row. They are expanded as they are read, a line at a time, and refused beyond the limits. A row is
checked as it is met, so that an error can name data set, row and variable.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl

from equipoise.errors import DataError, OutputError
from equipoise.files import write_bytes
from equipoise.trial.adam.dataset import CDISC_TYPES, DEFAULT_LIMITS, Dataset, Limits, Variable, describe

VERSION = "1.1.0"
_CHUNK = 1 << 16
_BATCH = 20_000
_BATCH_BYTES = 32 << 20
_PERHAPS_HALF = re.compile(
    rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]|\0"
)  # of surrogates: escaped, in UTF-8, or UTF-16 and 32
_SUFFIXES = (".json", ".ndjson", ".dsjc")
_HEADER_KEYS = (
    "fileOID",
    "dbLastModifiedDateTime",
    "originator",
    "sourceSystem",
    "studyOID",
    "metaDataVersionOID",
    "metaDataRef",
    "itemGroupOID",
    "datasetJSONCreationDateTime",
)


class NotDatasetJson(DataError):
    """The file is JSON, but of another kind."""


def read_dataset_json(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> Dataset:
    """Read one Dataset-JSON 1.1 file of any of the three kinds (told apart by content, not by name).

    Raises
    ------
    DataError : not JSON, not Dataset-JSON 1.1, truncated, too deep, too large, or a value that contradicts its column.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise DataError(f"{path.name}: {size} bytes", hint=f"at most {limits.file_bytes} bytes are read")
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        zlib_stream = start[:1] == b"\x78" and len(start) == 2 and (start[0] * 256 + start[1]) % 31 == 0
        if start == b"\x1f\x8b" or zlib_stream:
            return _read_lines(_expand(file, path.name, size, limits), path.name, limits)
        if _is_ndjson(file, path, limits):
            return _read_lines(_plain_lines(file, path.name, limits), path.name, limits)
        if size > limits.json_bytes:
            raise DataError(
                f"{path.name}: {size} bytes of plain JSON, which must be held in memory as a whole",
                hint=f"at most {limits.json_bytes} bytes are read so; convert it to .ndjson or .dsjc",
            )
        return _read_whole(file.read(), path.name, limits)


def _is_ndjson(file: IO[bytes], path: Path, limits: Limits) -> bool:
    """Whether the first line is a JSON object by itself with no ``rows`` in it."""
    if path.suffix.lower() == ".ndjson":
        return True
    line = file.readline(min(limits.line_bytes, 1 << 20))
    rest = file.read(1)
    file.seek(0)
    if not line.endswith(b"\n") or not rest or not line.rstrip().endswith(b"}"):
        return False
    return b'"rows"' not in line


def _plain_lines(file: IO[bytes], source: str, limits: Limits) -> Iterator[bytes]:
    while True:
        line = file.readline(limits.line_bytes + 1)
        if not line:
            return
        if len(line) > limits.line_bytes:
            raise _long_line(source, limits)
        yield line


def _long_line(source: str, limits: Limits) -> DataError:
    return DataError(f"{source}: a line of more than {limits.line_bytes} bytes", hint="one record a line is meant")


def _expand(file: IO[bytes], source: str, size: int, limits: Limits) -> Iterator[bytes]:
    """Lines of a gzip or zlib stream, never holding more than a line and a chunk."""
    ceiling = min(limits.expanded_bytes, max(limits.floor_bytes, limits.expansion * size))
    engine = zlib.decompressobj(wbits=47)
    total, pending = 0, b""
    pieces: list[bytes] = []
    held = 0
    raw = file.read(_CHUNK)
    more = False
    while raw or pending or more:
        try:
            out = engine.decompress(pending or raw, _CHUNK)
        except zlib.error as error:
            raise DataError(f"{source}: the compressed stream is damaged ({error})", hint="copy it again") from None
        pending, more = engine.unconsumed_tail, len(out) == _CHUNK
        total += len(out)
        if total > ceiling:
            raise DataError(
                f"{source}: {size} compressed bytes expand to more than {ceiling}",
                hint=f"at most {limits.expansion} times and {limits.expanded_bytes} bytes are expanded",
            )
        lines = out.split(b"\n")
        for line in lines[:-1]:
            pieces.append(line)
            yield b"".join(pieces)
            pieces, held = [], 0
        pieces.append(lines[-1])
        held += len(lines[-1])
        if held > limits.line_bytes:
            raise _long_line(source, limits)
        if engine.eof:
            raw = engine.unused_data
            if not raw.strip(b"\0"):
                raw = file.read(_CHUNK).strip(b"\0")
                if not raw:
                    break
            engine, pending, more = zlib.decompressobj(wbits=47), b"", False
            continue
        if not pending:
            raw = file.read(_CHUNK)
    if not engine.eof:
        raise DataError(f"{source}: the compressed stream ends early", hint="the file is truncated; copy it again")
    if any(pieces):
        yield b"".join(pieces)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _parse(text: bytes, source: str, where: str) -> Any:
    try:
        made = json.loads(text, parse_constant=_no_constant)
        if _PERHAPS_HALF.search(text):
            json.dumps(made, ensure_ascii=False).encode()
        return made
    except RecursionError:
        raise DataError(f"{source}, {where}: nested too deeply", hint="Dataset-JSON is three levels deep") from None
    except UnicodeEncodeError:
        raise DataError(
            f"{source}, {where}: a text holds half a character (a surrogate by itself)",
            hint="its writer cut a text within a character; mend the text where it came from and write the file again",
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{source}, {where}: not JSON ({error})", hint="the file is damaged or truncated") from None


def _read_whole(text: bytes, source: str, limits: Limits) -> Dataset:
    whole = _parse(text, source, "the file")
    header, variables = _header(whole, source, limits)
    rows = whole.get("rows", [])
    if not isinstance(rows, list):
        raise DataError(f"{source}: rows is not a list", hint="rows are arrays of values, one a record")
    limits.check_table(source, len(rows), len(variables))
    table = _Table(header, variables, source)
    for row in rows:
        table.add(row)
    return table.finish()


def _read_lines(lines: Iterator[bytes], source: str, limits: Limits) -> Dataset:
    first = next(lines, b"")
    header, variables = _header(_parse(first, source, "line 1"), source, limits)
    if "rows" in header:
        raise DataError(f"{source}: rows inside the header line", hint="NDJSON has one array a line after the header")
    claimed = header.get("records")
    if isinstance(claimed, int):
        limits.check_table(source, claimed, len(variables))
    table = _Table(header, variables, source)
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        table.add(_parse(line, source, f"line {number}"), len(line))
        limits.check_table(source, table.rows, len(variables))
    return table.finish()


def _header(header: Any, source: str, limits: Limits) -> tuple[dict[str, Any], tuple[Variable, ...]]:
    if not isinstance(header, dict) or "datasetJSONVersion" not in header:
        raise NotDatasetJson(f"{source}: not Dataset-JSON (no datasetJSONVersion)", hint="Dataset-JSON 1.1 is read")
    version = header["datasetJSONVersion"]
    if not isinstance(version, str) or not version.startswith("1.1"):
        raise DataError(f"{source}: Dataset-JSON version {version!r}", hint="version 1.1 is read")
    columns, name = header.get("columns"), header.get("name")
    if not isinstance(columns, list) or not columns or not isinstance(name, str) or not name:
        raise DataError(f"{source}: the header lacks a name or its columns", hint="see the Dataset-JSON 1.1 schema")
    limits.check_table(source, 0, len(columns))
    variables = []
    for index, column in enumerate(columns, start=1):
        if not isinstance(column, dict) or not isinstance(column.get("name"), str) or not column["name"]:
            raise DataError(f"{source}: column {index} has no name", hint="see the Dataset-JSON 1.1 schema")
        type_ = column.get("dataType")
        if type_ not in CDISC_TYPES:
            raise DataError(f"{source}: column {column['name']}: dataType {type_!r}", hint=", ".join(CDISC_TYPES))
        length, key = column.get("length"), column.get("keySequence")
        variables.append(
            Variable(
                name=column["name"].upper(),
                label=str(column.get("label", "")),
                type=type_,
                length=length if isinstance(length, int) else None,
                format=str(column["displayFormat"]) if column.get("displayFormat") else None,
                target=str(column["targetDataType"]) if column.get("targetDataType") else None,
                key=key if isinstance(key, int) else None,
                oid=str(column["itemOID"]) if column.get("itemOID") else None,
            )
        )
    names = [v.name for v in variables]
    if len(set(names)) < len(names):
        raise DataError(f"{source}: a column name is given twice", hint="names are unique within a data set")
    return header, tuple(variables)


class _Table:
    """Rows gathered in batches, so that Python objects of one batch alone are held."""

    def __init__(self, header: dict[str, Any], variables: tuple[Variable, ...], source: str) -> None:
        self.header, self.variables, self.source = header, variables, source
        self.rows = 0
        self._batch: list[list[Any]] = []
        self._batch_bytes = 0
        self._frames: list[pl.DataFrame] = []
        self._offsets: dict[str, int] = {}

    def add(self, row: Any, size: int = 0) -> None:
        if not isinstance(row, list) or len(row) != len(self.variables):
            found = f"{len(row)} values" if isinstance(row, list) else type(row).__name__
            raise DataError(
                f"{self.source}, row {self.rows + 1}: {found}, {len(self.variables)} columns",
                hint="each row is an array with one value a column",
            )
        self._batch.append(row)
        self.rows += 1
        self._batch_bytes += size
        if len(self._batch) >= _BATCH or self._batch_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        first = self.rows - len(self._batch) + 1
        columns = list(zip(*self._batch, strict=True)) if self._batch else [()] * len(self.variables)
        self._frames.append(
            pl.DataFrame([self._column(v, list(c), first) for v, c in zip(self.variables, columns, strict=True)])
        )
        self._batch, self._batch_bytes = [], 0

    def _wrong(self, variable: Variable, row: int, value: Any) -> DataError:
        return DataError(
            f"{self.source}, row {row}, {variable.name}: {str(value)[:40]!r} is not {variable.type}",
            hint="the column's dataType says what its values are",
        )

    def _column(self, variable: Variable, values: list[Any], first: int) -> pl.Series:
        out: list[Any] = []
        convert, dtype = _CONVERTERS[_kind(variable)]
        turned = 0
        for offset, value in enumerate(values):
            if value is None or value == "":
                out.append(None)
                continue
            try:
                made = convert(value)
                if getattr(made, "tzinfo", None) is not None:
                    made = self._in_utc(made, variable, first + offset, value)
                    turned += 1
                out.append(made)
            except (TypeError, ValueError, OverflowError):
                raise self._wrong(variable, first + offset, value) from None
        if turned:
            self._offsets[variable.name] = self._offsets.get(variable.name, 0) + turned
        return pl.Series(variable.name, out, dtype=dtype)

    def _in_utc(self, made: Any, variable: Variable, row: int, value: Any) -> dt.datetime:
        """A date-time with an offset as the same instant in UTC; a time of day has no date to turn it by."""
        if isinstance(made, dt.time):
            raise DataError(
                f"{self.source}, row {row}, {variable.name}: {str(value)[:40]!r} is a time of day with an offset",
                hint="give the time without an offset, or a date-time",
            )
        turned: dt.datetime = made.astimezone(dt.UTC).replace(tzinfo=None)
        return turned

    def finish(self) -> Dataset:
        if self._batch or not self._frames:
            self._flush()
        claimed = self.header.get("records")
        if isinstance(claimed, int) and claimed != self.rows:
            raise DataError(
                f"{self.source}: the header claims {claimed} records, the file holds {self.rows}",
                hint="the file is truncated or was edited; ask for it again",
            )
        return Dataset(
            name=str(self.header["name"]).upper(),
            frame=pl.concat(self._frames).rechunk(),
            variables=self.variables,
            label=str(self.header.get("label", "")),
            attributes={k: self.header[k] for k in _HEADER_KEYS if k in self.header},
            notes=tuple(
                f"{name}: {n} of {self.rows} date-times have an offset from UTC and are kept as UTC"
                for name, n in self._offsets.items()
            ),
            source=self.source,
        )


def _kind(variable: Variable) -> str:
    if variable.type in ("date", "datetime", "time"):
        return variable.type if variable.target else "text"
    if variable.type in ("string", "URI"):
        return "text"
    return "boolean" if variable.type == "boolean" else "number"


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _as_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    return float(value)


def _as_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _as_date(value: Any) -> dt.date:
    return dt.date.fromisoformat(_as_text(value))


def _as_datetime(value: Any) -> dt.datetime:
    return dt.datetime.fromisoformat(_as_text(value))


def _as_time(value: Any) -> dt.time:
    return dt.time.fromisoformat(_as_text(value))


_CONVERTERS: dict[str, tuple[Any, Any]] = {
    "text": (_as_text, pl.String),
    "number": (_as_number, pl.Float64),
    "boolean": (_as_boolean, pl.Boolean),
    "date": (_as_date, pl.Date),
    "datetime": (_as_datetime, pl.Datetime("us")),
    "time": (_as_time, pl.Time),
}


def write_dataset_json(dataset: Dataset, path: str | Path, *, created: dt.datetime | None = None) -> None:
    """Write Dataset-JSON 1.1; the suffix chooses ``.json``, ``.ndjson`` or compressed ``.dsjc``.

    Valid against the CDISC schemas. The creation time is the one read with the data set, or ``created``, or
    1 January 1960, so that the same data give the same bytes.

    Raises
    ------
    OutputError : another suffix, a folder that cannot be written to, or an infinite number.
    """
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise OutputError(f"{path.name}: suffix {path.suffix!r}", hint=f"choose one of {', '.join(_SUFFIXES)}")
    header, rows = _to_json(dataset, created)
    if path.suffix.lower() == ".json":
        header["rows"] = list(rows)
        data = (_dump(header) + "\n").encode()
    else:
        data = b"".join((_dump(line) + "\n").encode() for line in [header, *rows])
        if path.suffix.lower() == ".dsjc":
            engine = zlib.compressobj(6, wbits=31)
            data = engine.compress(data) + engine.flush()
    write_bytes(path, data)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _to_json(dataset: Dataset, created: dt.datetime | None) -> tuple[dict[str, Any], Iterator[list[Any]]]:
    stamp = created.isoformat(timespec="seconds") if created else None
    kept = dataset.attributes
    group = str(kept.get("itemGroupOID", f"IG.{dataset.name}"))
    header: dict[str, Any] = {
        "datasetJSONCreationDateTime": stamp or str(kept.get("datasetJSONCreationDateTime", "1960-01-01T00:00:00")),
        "datasetJSONVersion": VERSION,
        **{k: kept[k] for k in _HEADER_KEYS[:-2] if k in kept},
        "itemGroupOID": group,
        "records": dataset.frame.height,
        "name": dataset.name,
        "label": dataset.label,
    }
    types = [_written_type(v, dataset.frame[v.name]) for v in dataset.variables]
    header["columns"] = [
        {
            "itemOID": v.oid or f"IT.{dataset.name}.{v.name}",
            "name": v.name,
            "label": v.label,
            "dataType": type_,
            **({"targetDataType": target} if target else {}),
            **({"length": v.length} if v.length and v.length > 0 else {}),
            **({"displayFormat": v.format} if v.format else {}),
            **({"keySequence": v.key} if v.key else {}),
        }
        for v, (type_, target) in zip(dataset.variables, types, strict=True)
    ]
    columns = [
        _written_values(dataset.frame[v.name], type_, dataset.name)
        for v, (type_, _) in zip(dataset.variables, types, strict=True)
    ]
    return header, (list(row) for row in zip(*columns, strict=True))


def _written_type(variable: Variable, series: pl.Series) -> tuple[str, str | None]:
    """The type to write: the one read if the values still have it, else the one the values have."""
    inferred, target, _ = describe(series)
    kind = {"string": "text", "integer": "number", "float": "number"}.get(inferred, inferred)
    fraction = inferred == "float" and series.null_count() < len(series)
    if variable.type == "integer" and fraction:
        return "float", None
    if kind == _kind(variable):
        return variable.type, variable.target
    return inferred, target


def _written_values(series: pl.Series, type_: str, dataset: str) -> list[Any]:
    if series.dtype == pl.String:
        return [v or "" for v in series.to_list()]
    if series.dtype == pl.Float64:
        infinite = series.is_infinite().arg_true()
        if len(infinite):
            where = f"{dataset} row {infinite[0] + 1}, {series.name}"
            raise OutputError(f"{where}: infinite", hint="JSON has finite numbers only")
        values = series.to_list()
        if type_ == "integer":
            return [None if v is None else int(v) for v in values]
        if type_ == "decimal":
            return [None if v is None else repr(v) for v in values]
        return values
    if series.dtype == pl.Boolean:
        return series.to_list()
    return [None if v is None else v.isoformat() for v in series.to_list()]
