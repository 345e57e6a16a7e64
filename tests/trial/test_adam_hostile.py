"""Damaged and hostile files end in a DataError, within bounded memory; the readers are fuzzed."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sas7bdat_writer import write_sas7bdat

from equipoise.errors import DataError
from equipoise.trial.adam import (
    Dataset,
    Limits,
    Variable,
    from_frame,
    read_csv,
    read_dataset_json,
    read_define,
    read_file,
    read_parquet,
    read_sas7bdat,
    read_xpt,
    write_dataset_json,
    write_xpt,
)
from equipoise.trial.adam.xpt import parse_xpt

FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = from_frame(
    pl.DataFrame({"USUBJID": [f"S-{i:03d}" for i in range(12)], "AVAL": [float(i) / 3 for i in range(12)]}), "ADX"
)


@pytest.fixture(scope="module")
def xpt_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "x.xpt"
    write_xpt(SMALL, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def json_bytes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    out = {}
    for suffix in ("json", "ndjson", "dsjc"):
        write_dataset_json(SMALL, folder / f"x.{suffix}")
        out[suffix] = (folder / f"x.{suffix}").read_bytes()
    return out


def header(records: int, columns: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "datasetJSONVersion": "1.1.0",
        "datasetJSONCreationDateTime": "2020-01-01T00:00:00",
        "itemGroupOID": "IG.X",
        "records": records,
        "name": "X",
        "label": "X",
        "columns": [{"itemOID": f"I{i}", "name": f"V{i}", "label": "", "dataType": "integer"} for i in range(columns)],
        **more,
    }


def peak_of(function: Any, *arguments: Any, **keywords: Any) -> int:
    """Peak bytes allocated by Python while ``function`` raises DataError."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            function(*arguments, **keywords)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def tried(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """What ``function`` gives, or the words of the DataError it raises; anything else it raises fails the test."""
    try:
        return function(*arguments), ""
    except DataError as error:
        return None, str(error)


# --- XPT


@FUZZ
@given(data=st.data())
def test_property_xpt_truncated_anywhere(xpt_bytes: bytes, data: st.DataObject) -> None:
    """A file cut short raises, or (cut between two rows, which version 5 cannot show) gives the first rows."""
    cut = data.draw(st.integers(0, len(xpt_bytes) - 1))
    try:
        (dataset,) = parse_xpt(xpt_bytes[:cut], "x.xpt")
    except DataError:
        return
    assert cut % 80 == 0
    assert dataset.frame.equals(SMALL.frame.head(dataset.frame.height))


@FUZZ
@given(data=st.data())
def test_property_xpt_with_bytes_changed(xpt_bytes: bytes, data: st.DataObject) -> None:
    raw = bytearray(xpt_bytes)
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    found, said = tried(parse_xpt, bytes(raw), "x.xpt")
    if found is None:
        assert "x.xpt" in said or "row" in said
    else:
        assert all(isinstance(dataset, Dataset) for dataset in found)


@FUZZ
@given(raw=st.binary(max_size=2000))
@example(raw=b"")
@example(raw=b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!" + b"0" * 32)
def test_property_xpt_of_noise(raw: bytes) -> None:
    with pytest.raises(DataError):
        parse_xpt(raw, "x.xpt")


def test_xpt_claims_are_checked_before_memory_is_asked_for(xpt_bytes: bytes, tmp_path: Path) -> None:
    at = xpt_bytes.index(b"NAMESTR ")
    many = bytearray(xpt_bytes)
    many[at - 20 + 54 : at - 20 + 58] = b"9999"
    (tmp_path / "many.xpt").write_bytes(many)
    assert peak_of(read_xpt, tmp_path / "many.xpt") < 1 << 20
    long = bytearray(xpt_bytes)
    first = at - 20 + 80
    long[first + 4 : first + 6] = struct.pack(">h", 32767)
    (tmp_path / "long.xpt").write_bytes(long)
    assert peak_of(read_xpt, tmp_path / "long.xpt") < 1 << 20


def test_limits_apply(xpt_bytes: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="12 rows"):
        parse_xpt(xpt_bytes, "x.xpt", limits=Limits(rows=5))
    (tmp_path / "x.xpt").write_bytes(xpt_bytes)
    with pytest.raises(DataError, match="bytes"):
        read_xpt(tmp_path / "x.xpt", limits=Limits(file_bytes=100))


def test_wrong_kind_of_file_under_each_suffix(tmp_path: Path, xpt_bytes: bytes) -> None:
    for suffix in ("xpt", "sas7bdat", "json", "ndjson", "dsjc", "parquet", "csv"):
        for content in (b"", b"PK\x03\x04 a zip file", b"\x00" * 300, b"<html></html>", b"[1, 2]", b"null"):
            if suffix == "csv" and content and b"\x00" not in content:
                continue
            path = tmp_path / f"x.{suffix}"
            path.write_bytes(content)
            with pytest.raises(DataError):
                read_file(path)
    (tmp_path / "x.json").write_bytes(xpt_bytes)
    with pytest.raises(DataError, match="not JSON"):
        read_file(tmp_path / "x.json")


# --- Dataset-JSON


@FUZZ
@given(data=st.data(), suffix=st.sampled_from(["json", "ndjson", "dsjc"]))
def test_property_dataset_json_truncated_anywhere(
    json_bytes: dict[str, bytes], tmp_path: Path, data: st.DataObject, suffix: str
) -> None:
    raw = json_bytes[suffix]
    (tmp_path / f"t.{suffix}").write_bytes(raw[: data.draw(st.integers(0, len(raw) - 3))])
    with pytest.raises(DataError):
        read_dataset_json(tmp_path / f"t.{suffix}")


@FUZZ
@given(data=st.data(), suffix=st.sampled_from(["json", "ndjson", "dsjc"]))
def test_property_dataset_json_with_bytes_changed(
    json_bytes: dict[str, bytes], tmp_path: Path, data: st.DataObject, suffix: str
) -> None:
    raw = bytearray(json_bytes[suffix])
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / f"t.{suffix}").write_bytes(raw)
    dataset, said = tried(read_dataset_json, tmp_path / f"t.{suffix}")
    assert said if dataset is None else dataset.frame.height == 12


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@FUZZ
@given(
    changed=st.sampled_from(["columns", "records", "name", "label", "rows", "datasetJSONVersion", "studyOID"]),
    value=JSON,
)
@example(changed="columns", value=[{"name": "A", "dataType": "integer"}])
@example(changed="rows", value=[[1], [True], ["x"]])
def test_property_dataset_json_with_parts_replaced(tmp_path: Path, changed: str, value: Any) -> None:
    whole = {**header(2), "rows": [[1], [2]], changed: value}
    (tmp_path / "p.json").write_text(json.dumps(whole))
    try:
        dataset = read_dataset_json(tmp_path / "p.json")
    except DataError:
        return
    assert dataset.frame.height == len(whole["rows"])


def test_deep_json_is_refused(tmp_path: Path) -> None:
    for name, text in (
        ("a.json", '{"datasetJSONVersion":"1.1.0","rows":' + "[" * 200_000),
        ("b.json", "[" * 500_000 + "]" * 500_000),
        ("c.ndjson", json.dumps(header(1)) + "\n" + "[" * 200_000 + "\n"),
    ):
        (tmp_path / name).write_text(text)
        assert peak_of(read_dataset_json, tmp_path / name) < 32 << 20


def test_bomb_is_refused_within_bounded_memory(tmp_path: Path) -> None:
    """200 MB of zeros, or of one endless line, in about 200 kB; and a small bomb under small limits."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        file.write(json.dumps(header(10**9)).encode() + b"\n")
        for _ in range(200):
            file.write(b"0" * (1 << 20))
    (tmp_path / "bomb.dsjc").write_bytes(buffer.getvalue())
    assert peak_of(read_dataset_json, tmp_path / "bomb.dsjc", limits=Limits(rows=10**10, cells=10**11)) < 64 << 20

    rows = (json.dumps(header(300_000)) + "\n").encode() + b"[1]\n" * 300_000
    (tmp_path / "rows.dsjc").write_bytes(zlib.compress(rows, 9))
    with pytest.raises(DataError, match="expand to more than"):
        read_dataset_json(tmp_path / "rows.dsjc", limits=Limits(expansion=20, floor_bytes=1000))
    assert read_dataset_json(tmp_path / "rows.dsjc", limits=Limits(expansion=2000)).frame.height == 300_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", r"x.ndjson, row 2: 2 values, 1 columns"),
        ('{"a": 1}', r"x.ndjson, row 2: dict"),
        ('["abc"]', r"x.ndjson, row 2, V0: 'abc' is not integer"),
        ("[NaN]", r"x.ndjson, line 3: not JSON"),
        ("[1", r"x.ndjson, line 3: not JSON"),
        ("[" + "9" * 5000 + "]", r"x.ndjson, line 3: not JSON"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "x.ndjson").write_text(json.dumps(header(2)) + "\n[1]\n" + line + "\n")
    with pytest.raises(DataError, match=message):
        read_dataset_json(tmp_path / "x.ndjson")


@pytest.mark.parametrize("text", [b'"a\\ud800b"', b'"\xed\xa0\x80"', b'"\\uDE00"'])
def test_half_a_character_is_refused(tmp_path: Path, text: bytes) -> None:
    whole = {**header(1), "columns": [{**header(1)["columns"][0], "dataType": "string"}]}
    for name, raw in (
        ("x.ndjson", json.dumps(whole).encode() + b"\n[" + text + b"]\n"),
        ("y.json", json.dumps({**whole, "rows": [["@"]]}).encode().replace(b'"@"', text)),
        ("z.json", json.dumps({**whole, "label": "@", "rows": [["a"]]}).encode().replace(b'"@"', text)),
    ):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(DataError, match="half a character"):
            read_dataset_json(tmp_path / name)
    kept = json.dumps({**whole, "rows": [["\U0001f40c"]]})  # written as two halves that belong together
    (tmp_path / "w.json").write_text(kept)
    assert read_dataset_json(tmp_path / "w.json").frame.rows() == [("\U0001f40c",)]


def test_records_claimed_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.ndjson").write_text(json.dumps(header(3)) + "\n[1]\n[2]\n")
    with pytest.raises(DataError, match="claims 3 records, the file holds 2"):
        read_dataset_json(tmp_path / "x.ndjson")
    (tmp_path / "x.ndjson").write_text(json.dumps(header(10**15)) + "\n[1]\n")
    with pytest.raises(DataError, match="1000000000000000 rows"):
        read_dataset_json(tmp_path / "x.ndjson")


# --- Parquet, SAS7BDAT, CSV, Define-XML


@pytest.mark.parametrize("dtype", [pl.Date(), pl.Datetime("ms"), pl.Datetime("us", "UTC")])
@pytest.mark.parametrize("days", [-719_163, 2_932_897])
def test_years_that_nothing_can_write_are_refused(tmp_path: Path, dtype: pl.DataType, days: int) -> None:
    """The day before the year 1 and the day after 9999: no date of Python, ISO 8601 or SAS. Those within are kept."""
    unit = 1 if dtype == pl.Date else 86_400 * (1000 if dtype == pl.Datetime("ms") else 10**6)
    for shift, sound in ((0, False), (1 if days < 0 else -1, True)):
        counts = pl.Series("ADT", [0, (days + shift) * unit], dtype=pl.Int64)
        series = (counts.cast(pl.Int32) if dtype == pl.Date else counts).cast(dtype)
        series.to_frame().write_parquet(tmp_path / "x.parquet")
        if sound:
            assert read_file(tmp_path / "x.parquet")[0].frame.height == 2
            continue
        with pytest.raises(DataError, match="variable ADT: 1 date is not of the years 1 to 9999"):
            read_file(tmp_path / "x.parquet")
        with pytest.raises(DataError, match="ADT"):
            from_frame(series.to_frame(), "ADX")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_property_parquet_with_bytes_changed(tmp_path: Path, data: st.DataObject) -> None:
    SMALL.frame.write_parquet(tmp_path / "x.parquet")
    raw = bytearray((tmp_path / "x.parquet").read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        raw[data.draw(st.integers(4, len(raw) - 5))] = data.draw(st.integers(0, 255))
    (tmp_path / "x.parquet").write_bytes(raw)
    dataset, said = tried(read_parquet, tmp_path / "x.parquet")
    assert "x.parquet" in said if dataset is None else isinstance(dataset, Dataset)


def test_parquet_that_asks_for_too_much_memory(tmp_path: Path) -> None:
    """A column of one repeated long text: small on disk, 400 MB as text."""
    frame = pl.DataFrame({"A": ["x" * 20_000]}).select(pl.col("A").repeat_by(20_000).explode())
    frame.write_parquet(tmp_path / "big.parquet", compression="zstd")
    assert (tmp_path / "big.parquet").stat().st_size < 4 << 20
    with pytest.raises(DataError, match=r"big.parquet"):
        read_parquet(tmp_path / "big.parquet", limits=Limits(rows=1000))
    with pytest.raises(DataError, match=r"big.parquet"):
        read_parquet(tmp_path / "big.parquet", limits=Limits(expanded_bytes=100 << 20))
    with pytest.raises(DataError, match=r"gave up|memory"):
        read_parquet(tmp_path / "big.parquet", limits=Limits(process_bytes=200 << 20))


SAS_MAGIC = bytes.fromhex("000000000000000000000000c2ea8160b31411cfbd92080009c7318c181f1011")


def sas_header(pages: int, page_size: int = 4096) -> bytes:
    head = bytearray(1024)
    head[:32] = SAS_MAGIC
    head[32], head[35], head[37] = 0x22, 0x22, 0x01
    head[196:208] = struct.pack("<iii", 1024, page_size, pages)
    return bytes(head)


def test_sas7bdat_claims_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.sas7bdat"
    path.write_bytes(sas_header(1_000_000) + b"\0" * 4096)
    with pytest.raises(DataError, match="claims 1000000 pages of 4096 bytes"):
        read_sas7bdat(path)
    path.write_bytes(sas_header(1)[:200])
    with pytest.raises(DataError, match="truncated in its header"):
        read_sas7bdat(path)
    path.write_bytes(b"x" * 500)
    with pytest.raises(DataError, match="not a SAS7BDAT file"):
        read_sas7bdat(path)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_property_sas7bdat_with_bytes_changed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.sas7bdat"
    write_sas7bdat(path, "ADX", [("A", "a", "", 4), ("N", "n", "DATE", 0)], [("x", 1.0), ("y", None)] * 20)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        raw[data.draw(st.integers(190, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    dataset, said = tried(read_sas7bdat, path)
    assert "x.sas7bdat" in said if dataset is None else isinstance(dataset, Dataset)


def test_sas7bdat_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "x.sas7bdat"
    write_sas7bdat(path, "ADX", [("A", "a", "", 4)], [("x",)] * 20)
    raw = path.read_bytes()
    for size in (len(raw) - 1, len(raw) - 4096, 1500, 600):
        path.write_bytes(raw[:size])
        with pytest.raises(DataError, match="truncated"):
            read_sas7bdat(path)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_property_sas7bdat_of_noise(tmp_path: Path, seed: int) -> None:
    page = random.Random(seed).randbytes(4096)
    (tmp_path / "x.sas7bdat").write_bytes(sas_header(1) + page)
    dataset, said = tried(read_sas7bdat, tmp_path / "x.sas7bdat")
    assert "x.sas7bdat" in said if dataset is None else isinstance(dataset, Dataset)


@FUZZ
@given(raw=st.binary(max_size=400))
@example(raw=b"A,B\n1,2,3\n")
@example(raw=b"A,A\n1,2\n")
@example(raw=b'A\n"unclosed\n')
def test_property_csv_of_noise(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(raw)
    dataset, said = tried(read_csv, tmp_path / "x.csv")
    assert said if dataset is None else dataset.frame.columns == [v.name for v in dataset.variables]


def test_define_xml_never_expands_entities(tmp_path: Path) -> None:
    laughs = '<?xml version="1.0"?><!DOCTYPE ODM [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><ODM>&b;</ODM>'
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "define.xml").write_bytes(laughs.replace("1.0", "1.0", 1).encode(encoding))
        with pytest.raises(DataError, match="document type declaration"):
            read_define(tmp_path / "define.xml")
    for text in ("", "<ODM>", "<html/>", "<ODM/>", "<a>" * 20_000):
        (tmp_path / "define.xml").write_text(text)
        with pytest.raises(DataError):
            read_define(tmp_path / "define.xml")


def test_metadata_in_parquet_is_not_trusted(tmp_path: Path) -> None:
    for kept in ("[" * 100_000, "{}", '{"variables": [{"name": "A", "nonsense": 1}]}', '{"variables": 3}'):
        SMALL.frame.write_parquet(tmp_path / "x.parquet", metadata={"equipoise.adam": kept})
        dataset = read_parquet(tmp_path / "x.parquet")
        assert dataset.variables[0] == Variable("USUBJID", "", "string", 5)
