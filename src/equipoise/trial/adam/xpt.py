"""SAS transport files (XPT): version 5 read and written, version 8 read.

Written from the SAS Institute's technical notes TS-140 ("The Record Layout of a Data Set in SAS Transport (XPORT)
Format") and its extension for versions 8 and 9. Numbers are IBM System/360 floating point: a sign, a base-16 exponent
(excess 64) and a 56-bit fraction, so that every IEEE double within 16**-65 to 16**63 has an exact counterpart
and a double survives writing and reading unchanged.

A version 5 file does not say how many rows it has: the last record is padded with blanks to 80 bytes. A last row made
of blanks alone therefore cannot be told from padding where a row is shorter than 80 bytes; the writer refuses it.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from equipoise.errors import DataError, OutputError
from equipoise.files import read_bytes, write_bytes
from equipoise.trial.adam.dataset import (
    DEFAULT_LIMITS,
    Dataset,
    Limits,
    Variable,
    describe,
    from_temporal,
    join_format,
    split_format,
    temporal_kind,
    to_temporal,
)

_RECORD = 80
_HEADER = re.compile(rb"HEADER RECORD\*{7}([A-Z0-9 ]{8})HEADER RECORD!{7}(.{30})", re.DOTALL)
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,7}$")
_MISSING_CODES = frozenset(b"._ABCDEFGHIJKLMNOPQRSTUVWXYZ")
Bytes = npt.NDArray[np.uint8]


def read_xpt(path: str | Path, *, encoding: str | None = None, limits: Limits = DEFAULT_LIMITS) -> list[Dataset]:
    """Read every data set of a transport file.

    Parameters
    ----------
    encoding : the code page of text; where None, UTF-8 is tried and then Windows cp1252 (said in ``notes``).

    Raises
    ------
    DataError : the file is not a transport file, is truncated, or claims what it does not hold.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise DataError(f"{path.name}: {size} bytes", hint=f"at most {limits.file_bytes} bytes are read")
    raw = read_bytes(path, max_bytes=limits.file_bytes)
    return parse_xpt(raw, path.name, encoding=encoding, limits=limits)


def parse_xpt(
    data: bytes, source: str, *, encoding: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> list[Dataset]:
    """The data sets in the bytes of a transport file; see :func:`read_xpt`."""
    kind, _ = _header(data, 0, source)
    if kind not in ("LIBRARY", "LIBV8"):
        raise DataError(f"{source}: not a SAS transport file", hint="the first 80 bytes should be the LIBRARY header")
    version = 8 if kind == "LIBV8" else 5
    if len(data) % _RECORD:
        raise DataError(
            f"{source}: truncated: {len(data)} bytes are not whole records of {_RECORD}",
            hint="copy the file again (binary mode, no line-end conversion)",
        )
    position = 3 * _RECORD
    datasets = []
    while position < len(data):
        dataset, position = _member(data, position, version, source, encoding, limits)
        datasets.append(dataset)
    if not datasets:
        raise DataError(f"{source}: holds no data set", hint="the file ends after its library header")
    return datasets


def _header(data: bytes, position: int, source: str) -> tuple[str, bytes]:
    record = data[position : position + _RECORD]
    match = _HEADER.match(record)
    if match is None:
        what = "truncated" if len(record) < _RECORD else "not a SAS transport file"
        raise DataError(
            f"{source}: {what}: no header record at byte {position}",
            hint="XPT files begin with 'HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!'",
        )
    return match.group(1).decode("ascii").strip(), match.group(2)


def _number(text: bytes, what: str, source: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{source}: {what} is {text!r}, not a number", hint="the header is damaged") from None


def _unexpected(source: str, kind: str, wanted: str, position: int) -> DataError:
    return DataError(f"{source}: {kind} header where {wanted} should be, at byte {position}", hint="damaged file")


def _member(
    data: bytes, position: int, version: int, source: str, encoding: str | None, limits: Limits
) -> tuple[Dataset, int]:
    kind, tail = _header(data, position, source)
    if kind not in ("MEMBER", "MEMBV8"):
        raise _unexpected(source, kind, "a data set", position)
    namestr_size = _number(tail[27:30], "the size of a variable description", source)
    if namestr_size not in (136, 140):
        raise DataError(f"{source}: variable descriptions of {namestr_size} bytes", hint="136 or 140 are known")
    position += _RECORD
    kind, _ = _header(data, position, source)
    if kind not in ("DSCRPTR", "DSCPTV8"):
        raise _unexpected(source, kind, "a descriptor", position)
    position += _RECORD
    if position + 2 * _RECORD > len(data):
        raise DataError(f"{source}: truncated in the descriptor", hint="copy the file again")
    name_length = 32 if version == 8 else 8
    name = data[position + 8 : position + 8 + name_length].decode("ascii", "replace").strip(" \0").upper()
    label_bytes = data[position + _RECORD + 32 : position + _RECORD + 72].rstrip(b" \0")
    position += 2 * _RECORD
    kind, tail = _header(data, position, source)
    if kind not in ("NAMESTR", "NAMSTV8"):
        raise _unexpected(source, kind, "variables", position)
    count = _number(tail[6:10] if version == 5 else tail[4:10], "the number of variables", source)
    limits.check_table(source, 0, count)
    position += _RECORD
    end = position + count * namestr_size
    if end > len(data):
        raise DataError(f"{source}: claims {count} variables but ends before their descriptions", hint="truncated file")
    raw = [_namestr(data[position + i * namestr_size :][:namestr_size], version, source, i) for i in range(count)]
    told = _lay_out(raw, version, source)
    position = end + (-end) % _RECORD
    rows_claimed: int | None = None
    if version == 8:
        position = _long_labels(data, position, raw, source)
        kind, tail = _header(data, position, source)
        if kind not in ("OBSV8", "OBS"):
            raise _unexpected(source, kind, "rows", position)
        claimed = tail[:15].strip(b" 0\0")
        rows_claimed = _number(tail[:15], "the number of rows", source) if claimed else None
    else:
        kind, _ = _header(data, position, source)
        if kind != "OBS":
            raise _unexpected(source, kind, "rows", position)
    position += _RECORD
    stop = _next_member(data, position)
    block = memoryview(data)[position:stop]
    return _table(block, raw, name, label_bytes, source, encoding, limits, rows_claimed).with_notes(*told), stop


def _lay_out(raw: list[dict[str, Any]], version: int, source: str) -> list[str]:
    """Put the values of a row where they stand: in the order of the variables. What is worth saying comes back.

    In version 5 the field ``npos`` says where a value stands, and every writer puts values in the order of the
    variables; where the two disagree the file means one of two things, and it is refused. In version 8 ``npos`` may
    keep the place in the SAS data set (numbers first), while the row holds the values in the order of the variables.
    """
    claimed = [entry["offset"] for entry in raw]
    at = 0
    for entry in raw:
        entry["offset"] = at
        at += entry["length"]
    places = [entry["offset"] for entry in raw]
    if claimed == places:
        return []
    first = next(i for i, (a, b) in enumerate(zip(claimed, places, strict=True)) if a != b)
    what = f"{source}: variable {raw[first]['name']} is said to stand at byte {claimed[first]} of a row"
    if version == 8:
        return [f"{what}; read at byte {places[first]}, in the order of the variables, as version 8 keeps rows"]
    if not any(claimed):
        return [f"{source}: does not say where variables stand in a row; read in the order of the variables"]
    raise DataError(
        f"{what}, at byte {places[first]} by the order of the variables",
        hint="readers would differ on its values; write the file again, or give Dataset-JSON",
    )


def _next_member(data: bytes, position: int) -> int:
    at = position
    while True:
        at = data.find(b"HEADER RECORD*******MEMB", at)
        if at < 0:
            return len(data)
        if (at - position) % _RECORD == 0 and _HEADER.match(data[at : at + _RECORD]):
            return at
        at += 1


def _namestr(raw: bytes, version: int, source: str, index: int) -> dict[str, Any]:
    ntype, _, length, _ = struct.unpack(">hhhh", raw[:8])
    nfl, nfd, _ = struct.unpack(">hhh", raw[64:70])
    nifl, nifd = struct.unpack(">hh", raw[80:84])
    (offset,) = struct.unpack(">i", raw[84:88])
    name = raw[8:16]
    if version == 8:
        long_name = raw[88:120].rstrip(b" \0")
        name = long_name or name
    text = name.decode("ascii", "replace").strip(" \0")
    if ntype not in (1, 2) or not text:
        raise DataError(f"{source}: variable {index + 1} has no type or no name", hint="the file is damaged")
    if not 0 < length <= (8 if ntype == 1 else 32_767) or (ntype == 1 and length < 2) or offset < 0:
        raise DataError(f"{source}: variable {text} claims {length} bytes at {offset}", hint="the file is damaged")
    return {
        "name": text,
        "number": ntype == 1,
        "length": length,
        "offset": offset,
        "label": raw[16:56].rstrip(b" \0"),
        "format": join_format(raw[56:64].decode("ascii", "replace").strip(" \0"), max(nfl, 0), max(nfd, 0)),
        "informat": join_format(raw[72:80].decode("ascii", "replace").strip(" \0"), max(nifl, 0), max(nifd, 0)),
    }


def _long_labels(data: bytes, position: int, raw: list[dict[str, Any]], source: str) -> int:
    """Long labels and formats of version 8 (LABELV8, LABELV9 sections), where there are any."""
    kind, tail = _header(data, position, source)
    if kind not in ("LABELV8", "LABELV9"):
        return position
    # some writers put a second number behind the count (haven up to 2.5.5)
    count = _number(next(iter(tail.strip(b" \0").split()), b"0"), "the number of long labels", source)
    fields = 3 if kind == "LABELV8" else 5
    at = position + _RECORD
    for _ in range(count):
        if at + 2 * fields > len(data):
            raise DataError(f"{source}: truncated in the long labels", hint="copy the file again")
        numbers = struct.unpack(f">{fields}H", data[at : at + 2 * fields])
        at += 2 * fields
        parts = []
        for length in numbers[1:]:
            parts.append(data[at : at + length])
            at += length
        if not 1 <= numbers[0] <= len(raw) or at > len(data):
            raise DataError(f"{source}: a long label for variable {numbers[0]} of {len(raw)}", hint="damaged file")
        entry = raw[numbers[0] - 1]
        entry["label"] = parts[1].rstrip(b" \0")
        if fields == 5:
            for key, part in (("format", parts[2]), ("informat", parts[3])):
                text = part.decode("ascii", "replace").strip(" \0")
                entry[key] = text or entry[key]
    return at + (-at) % _RECORD


def _table(
    block: memoryview,
    raw: list[dict[str, Any]],
    name: str,
    label: bytes,
    source: str,
    encoding: str | None,
    limits: Limits,
    rows_claimed: int | None,
) -> Dataset:
    names = [entry["name"].upper() for entry in raw]
    doubled = {n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else set()
    if doubled:
        raise DataError(f"{source}: variable {min(doubled)} is described twice", hint="the file is damaged")
    width = sum(entry["length"] for entry in raw)
    if width == 0:
        rows = 0
    elif rows_claimed is not None:
        rows = rows_claimed
        if rows * width > len(block):
            raise DataError(
                f"{source}: claims {rows} rows of {width} bytes, holds {len(block)} bytes", hint="truncated file"
            )
    else:
        rows, rest = divmod(len(block), width)
        if bytes(block[rows * width :]).strip(b" ") or rest >= _RECORD:
            raise DataError(
                f"{source}: ends within row {rows + 1} of {name}", hint="the file was truncated; copy it again"
            )
        while (
            rows
            and width < _RECORD
            and len(block) - rows * width + width < _RECORD
            and not bytes(block[(rows - 1) * width : rows * width]).strip(b" ")
        ):
            rows -= 1
    limits.check_table(source, rows, len(raw))
    table = np.frombuffer(block, dtype=np.uint8, count=rows * width).reshape(rows, width)
    coding, notes = _choose_encoding(table, raw, label, encoding, source)
    columns, variables = [], []
    for entry in raw:
        cell = np.ascontiguousarray(table[:, entry["offset"] : entry["offset"] + entry["length"]])
        if entry["number"]:
            values, special = ibm_to_float(cell)
            if special:
                notes.append(f"{name}.{entry['name']}: {special} special missing values (.A to .Z, ._) read as missing")
            series = pl.Series(entry["name"], values).fill_nan(None)
            kind = temporal_kind(entry["format"])
            if kind is not None:
                series = to_temporal(series, kind)
            type_, target, _ = describe(series)
        else:
            series = pl.Series(entry["name"], _text(cell, coding, name, entry["name"]), dtype=pl.String)
            type_, target = "string", None
        columns.append(series)
        variables.append(
            Variable(
                name=entry["name"],
                label=entry["label"].decode(coding, "replace").strip(),
                type=type_,
                length=entry["length"],
                format=entry["format"],
                target=target,
                informat=entry["informat"],
            )
        )
    return Dataset(
        name=name,
        frame=pl.DataFrame(columns),
        variables=tuple(variables),
        label=label.decode(coding, "replace").strip(),
        notes=tuple(notes),
        source=source,
    )


def _choose_encoding(
    table: Bytes, raw: list[dict[str, Any]], label: bytes, encoding: str | None, source: str
) -> tuple[str, list[str]]:
    if encoding is not None:
        try:
            b"".decode(encoding)
        except LookupError:
            raise DataError(f"unknown encoding {encoding!r}", hint="utf-8, cp1252 or latin-1, for example") from None
        return encoding, []
    wide = [label, *(entry["label"] for entry in raw)]
    for entry in raw:
        if not entry["number"]:
            cell = table[:, entry["offset"] : entry["offset"] + entry["length"]]
            high = (cell >= 0x80).any(axis=1)
            wide.extend(row.tobytes() for row in cell[high])
    try:
        for text in wide:
            text.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252", [f"{source}: text is not UTF-8 and was read as Windows cp1252"]
    return "utf-8", []


def _text(cell: Bytes, coding: str, dataset: str, variable: str) -> list[str | None]:
    width = cell.shape[1]
    flat = cell.reshape(-1).view(f"S{width}") if cell.size else np.empty(0, dtype=f"S{width}")
    unique, inverse = np.unique(flat, return_inverse=True)
    decoded: list[str | None] = []
    for raw in unique.tolist():
        try:
            decoded.append(raw.decode(coding).rstrip(" \0") or None)
        except UnicodeDecodeError:
            row = int(np.flatnonzero(flat == raw)[0]) + 1
            raise DataError(
                f"{dataset} row {row}, {variable}: text {raw[:20]!r} is not {coding}",
                hint="give the encoding the file was written in, for example encoding='latin-1'",
            ) from None
    return [decoded[i] for i in inverse.tolist()]


def ibm_to_float(cell: Bytes) -> tuple[npt.NDArray[np.float64], int]:
    """IBM floating point (row, 2..8 bytes) as float64 with NaN for missing, and how many missing were special."""
    rows, width = cell.shape
    padded = np.zeros((rows, 8), dtype=np.uint8)
    padded[:, :width] = cell
    bits = padded.reshape(-1).view(">u8").astype(np.uint64)
    fraction = bits & np.uint64((1 << 56) - 1)
    exponent = ((bits >> np.uint64(56)) & np.uint64(0x7F)).astype(np.int64)
    values = np.ldexp(fraction.astype(np.float64), 4 * (exponent - 64) - 56)
    values = np.where(bits >> np.uint64(63), -values, values)
    first = padded[:, 0] if rows else np.empty(0, dtype=np.uint8)
    missing = (fraction == 0) & np.isin(first, np.frombuffer(bytes(_MISSING_CODES), dtype=np.uint8))
    values[missing] = np.nan
    return values, int((missing & (first != ord("."))).sum())


def float_to_ibm(values: npt.NDArray[np.float64]) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """float64 as IBM floating point (row, 8 bytes), NaN as the SAS missing value; and which do not fit."""
    finite = np.isfinite(values)
    mantissa, exponent = np.frexp(np.where(finite, values, 0.0))
    hexponent = -((-exponent.astype(np.int64)) // 4)
    shift = (4 * hexponent - exponent).astype(np.uint64)
    fraction = np.abs(np.ldexp(mantissa, 53)).astype(np.uint64) << np.uint64(3)
    fraction >>= shift
    biased = hexponent + 64
    zero = fraction == 0
    bad = np.isinf(values) | (finite & ~zero & ((biased < 0) | (biased > 127)))
    bits = fraction | (np.clip(biased, 0, 127).astype(np.uint64) << np.uint64(56))
    bits |= (np.signbit(values) & ~zero).astype(np.uint64) << np.uint64(63)
    bits[zero] = 0
    bits[np.isnan(values)] = np.uint64(0x2E) << np.uint64(56)
    out: Bytes = bits.astype(">u8").view(np.uint8).reshape(-1, 8)
    return out, bad


def write_xpt(
    datasets: Dataset | list[Dataset], path: str | Path, *, created: dt.datetime | None = None, encoding: str = "utf-8"
) -> None:
    """Write one data set (or several into one library) as a version 5 transport file.

    Labels, lengths and formats are kept; the same data give the same bytes (``created``: 1 January 1960 unless given).

    Text is written as UTF-8 unless ``encoding`` says otherwise (``cp1252``); the file does not say which.

    Raises
    ------
    OutputError : a name, label, text or number does not fit version 5 (names of 8, labels of 40, text of 200 bytes).
    """
    many = [datasets] if isinstance(datasets, Dataset) else list(datasets)
    stamp = (created or dt.datetime(1960, 1, 1)).strftime("%d%b%y:%H:%M:%S").upper().encode()
    parts = [
        b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!" + b"0" * 30 + b"  ",
        b"SAS     SAS     SASLIB  9.4     " + b"EQUIPOIS" + b" " * 24 + stamp,
        stamp.ljust(_RECORD),
    ]
    for dataset in many:
        parts.extend(_member_bytes(dataset, stamp, encoding))
    write_bytes(path, b"".join(parts))


def _encoded(text: str, encoding: str, what: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise OutputError(f"{what}: {text!r} cannot be written as {encoding}", hint="write UTF-8") from None
    except LookupError:
        raise OutputError(f"unknown encoding {encoding!r}", hint="utf-8, cp1252 or latin-1, for example") from None


def _ascii(text: str, width: int, what: str, encoding: str = "utf-8") -> bytes:
    raw = _encoded(text, encoding, what)
    if len(raw) > width:
        raise OutputError(f"{what} {text!r} takes {len(raw)} bytes", hint=f"XPT version 5 allows {width}")
    return raw.ljust(width)


def _member_bytes(dataset: Dataset, stamp: bytes, encoding: str) -> list[bytes]:
    if not _NAME.match(dataset.name):
        raise OutputError(f"data set name {dataset.name!r}", hint="XPT version 5 allows 8 letters, digits, underscores")
    frame, rows = dataset.frame, dataset.frame.height
    cells, namestrs, offset = [], [], 0
    for number, variable in enumerate(dataset.variables, start=1):
        if not _NAME.match(variable.name):
            raise OutputError(
                f"{dataset.name}: variable name {variable.name!r}",
                hint="XPT version 5 allows 8 letters, digits, underscores; rename it or write Dataset-JSON",
            )
        series = frame[variable.name]
        text = series.dtype == pl.String
        cell = (
            _text_cell(series, variable, dataset.name, encoding)
            if text
            else _number_cell(series, variable, dataset.name)
        )
        format_ = variable.format or (None if text else describe(series)[2])
        nform, nfl, nfd = split_format(format_)
        iform, nifl, nifd = split_format(variable.informat)
        namestr = struct.pack(">hhhh", 2 if text else 1, 0, cell.shape[1], number)
        namestr += _ascii(variable.name, 8, "variable name")
        namestr += _ascii(variable.label, 40, f"{dataset.name}.{variable.name}: label", encoding)
        namestr += _ascii(nform, 8, "format") + struct.pack(">hhh", nfl, nfd, 0) + b"\0\0"
        namestr += _ascii(iform, 8, "informat") + struct.pack(">hh", nifl, nifd) + struct.pack(">i", offset)
        namestrs.append(namestr.ljust(140, b"\0"))
        cells.append(cell)
        offset += cell.shape[1]
    table = np.concatenate(cells, axis=1) if cells else np.zeros((rows, 0), dtype=np.uint8)
    if 0 < table.shape[1] < _RECORD and rows and bool((table[-1] == 0x20).all()):
        raise OutputError(
            f"{dataset.name}: the last row is wholly missing and would be lost in an XPT version 5 file",
            hint="drop the row, or write Dataset-JSON",
        )
    described = b"".join(namestrs)
    body = table.tobytes()
    return [
        b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!" + b"0" * 17 + b"160000000" + b"0140  ",
        b"HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!" + b"0" * 30 + b"  ",
        b"SAS     " + _ascii(dataset.name, 8, "name") + b"SASDATA 9.4     " + b"EQUIPOIS" + b" " * 24 + stamp,
        stamp + b" " * 16 + _ascii(dataset.label, 40, f"{dataset.name}: label", encoding) + b" " * 8,
        b"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!" + b"000000%04d" % len(namestrs) + b"0" * 20 + b"  ",
        described + b" " * (-len(described) % _RECORD),
        b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!" + b"0" * 30 + b"  ",
        body + b" " * (-len(body) % _RECORD),
    ]


def _text_cell(series: pl.Series, variable: Variable, dataset: str, encoding: str) -> Bytes:
    values = [
        _encoded(v or "", encoding, f"{dataset} row {i}, {variable.name}").rstrip(b" ")
        for i, v in enumerate(series.to_list(), start=1)
    ]
    longest = max((len(v) for v in values), default=0)
    width = variable.length or max(longest, 1)
    if longest > width or width > 200:
        row = next((i for i, v in enumerate(values) if len(v) > min(width, 200)), 0) + 1
        raise OutputError(
            f"{dataset} row {row}, {variable.name}: {max(longest, width)} bytes of text, variable of {width}",
            hint="XPT version 5 allows 200 bytes; lengthen the variable, or write Dataset-JSON",
        )
    joined = b"".join(v.ljust(width) for v in values)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(values), width)


def _number_cell(series: pl.Series, variable: Variable, dataset: str) -> Bytes:
    if series.dtype == pl.Boolean:
        raise OutputError(f"{dataset}: {variable.name} is boolean", hint="XPT knows text and numbers; use Y and N")
    values = from_temporal(series).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    cell, bad = float_to_ibm(values)
    width = variable.length if variable.length is not None and 3 <= variable.length <= 8 else 8
    bad = bad | (cell[:, width:] != 0).any(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise OutputError(
            f"{dataset} row {row + 1}, {variable.name}: {values[row]!r} does not fit a number of {width} bytes",
            hint="XPT holds 5.4e-79 to 7.2e75; give the variable length 8, or write Dataset-JSON",
        )
    return np.ascontiguousarray(cell[:, :width])
