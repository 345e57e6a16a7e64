"""Readers and writers: exact round trips, agreement with independent readers, and with the CDISC schemas."""

from __future__ import annotations

import datetime as dt
import json
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sas7bdat_writer import write_sas7bdat

from equipoise.errors import DataError, OutputError
from equipoise.trial.adam import (
    Dataset,
    Variable,
    from_frame,
    read_adam,
    read_csv,
    read_dataset_json,
    read_define,
    read_file,
    read_parquet,
    read_xpt,
    write_adam,
    write_dataset_json,
    write_parquet,
    write_xpt,
)
from equipoise.trial.adam.dataset import from_temporal, to_temporal
from equipoise.trial.adam.xpt import float_to_ibm, ibm_to_float

PILOT_XPT = ["adam/adsl", "adam/adadas", "adam/adae", "adam/adcibc", "adam/adnpix_total", "adam/adtte"]
PILOT_XPT += ["adam_2006/adsl", "adam_2006/adqscibc", "adam_2006/adtte", "sdtm/ts", "sdtm/dm", "sdtm/suppdm"]


def same_values(one: Dataset, other: Dataset) -> bool:
    return one.frame.equals(other.frame) and one.frame.schema == other.frame.schema


@pytest.mark.parametrize("format", ["xpt", "json", "ndjson", "dsjc", "parquet"])
def test_property_round_trip_is_exact(mixed: Dataset, tmp_path: Path, format: str) -> None:
    write_adam([mixed], tmp_path, format=format)
    again = read_adam(tmp_path)["ADX"]
    assert again.equals(mixed)
    assert again.keys == ("USUBJID",)
    assert again.frame["ADT"].dtype == pl.Date
    assert again.frame["ADTM"].dtype == pl.Datetime("us")
    assert again.frame["ATM"].dtype == pl.Time


@pytest.mark.parametrize("name", PILOT_XPT)
def test_independent_xpt_equals_pyreadstat(pilot: Path, name: str) -> None:
    pyreadstat = pytest.importorskip("pyreadstat")
    path = pilot / f"{name}.xpt"
    (ours,) = read_xpt(path)
    theirs, meta = pyreadstat.read_xport(
        str(path), disable_datetime_conversion=True, encoding="cp1252", output_format="polars"
    )
    assert ours.frame.columns == theirs.columns
    assert ours.frame.height == theirs.height > 0
    assert [v.label for v in ours.variables] == [label or "" for label in meta.column_labels]
    for variable in ours.variables:
        mine, other = from_temporal(ours.frame[variable.name]), theirs[variable.name]
        other = other.set(other == "", None) if mine.dtype == pl.String else other.cast(pl.Float64)
        assert mine.equals(other), variable.name
        if meta.readstat_variable_types[variable.name] == "string":
            assert variable.length == meta.variable_storage_width[variable.name]


@pytest.mark.parametrize("name", PILOT_XPT)
def test_reference_xpt_rewritten_reads_the_same(pilot: Path, tmp_path: Path, name: str) -> None:
    (original,) = read_xpt(pilot / f"{name}.xpt")
    write_xpt(original, tmp_path / "again.xpt")
    (again,) = read_xpt(tmp_path / "again.xpt")
    assert again.equals(original)
    pyreadstat = pytest.importorskip("pyreadstat")
    theirs, meta = pyreadstat.read_xport(str(tmp_path / "again.xpt"), output_format="polars")
    assert theirs.height == original.frame.height
    assert meta.table_name == original.name
    assert [label or "" for label in meta.column_labels] == [v.label for v in original.variables]


@pytest.mark.parametrize("name", [n for n in PILOT_XPT if n not in ("adam/adadas", "adam/adnpix_total")])
def test_reference_native_sas_files_come_back_byte_for_byte(pilot: Path, tmp_path: Path, name: str) -> None:
    """Variable descriptions and rows as SAS wrote them (ADADAS and ADNPIX are conversions, with another filling)."""
    raw = (pilot / f"{name}.xpt").read_bytes()
    (original,) = read_xpt(pilot / f"{name}.xpt")
    write_xpt(original, tmp_path / "again.xpt", encoding="cp1252" if name == "sdtm/ts" else "utf-8")
    again = (tmp_path / "again.xpt").read_bytes()
    start = raw.index(b"HEADER RECORD*******NAMESTR")
    assert again[start:] == raw[start:]


@pytest.mark.parametrize("name", ["adsl", "adae", "adcibc", "adtte"])
def test_reference_dataset_json_comes_back_as_it_was(pilot: Path, tmp_path: Path, name: str) -> None:
    path = pilot / "adam" / "datasetjson" / f"{name}.json"
    write_dataset_json(read_dataset_json(path), tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(path.read_text())


@pytest.mark.parametrize("name", ["adsl", "adae", "adcibc", "adtte", "adadas"])
def test_reference_dataset_json_equals_xpt(pilot: Path, name: str) -> None:
    (xpt,) = read_xpt(pilot / "adam" / f"{name}.xpt")
    for path in sorted((pilot / "adam" / "datasetjson").glob(f"{name}.*")):
        ours = read_dataset_json(path)
        assert same_values(ours, xpt), path.name
        assert ours.frame.height > 0


@pytest.mark.parametrize("name", ["adsl.json", "adtte.ndjson", "adae.dsjc"])
def test_reference_written_dataset_json_is_valid(shared: Path, tmp_path: Path, name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    standards = shared / "data" / "standards"
    original = read_dataset_json(shared / "data" / "cdiscpilot01" / "adam" / "datasetjson" / name)
    write_dataset_json(original, tmp_path / "o.json")
    write_dataset_json(original, tmp_path / "o.ndjson")
    whole = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(whole, json.loads((standards / "dataset-json-1.1.schema.json").read_text()))
    assert whole["records"] == len(whole["rows"]) == original.frame.height
    lines = (tmp_path / "o.ndjson").read_text().splitlines()
    header, rows = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
    schema = json.loads((standards / "dataset-ndjson-1.1.schema.json").read_text())
    metadata = schema["$defs"]["DatasetMetadata"]  # its inner definitions stand where the references do not look
    inner = metadata["properties"]["columns"]["items"] | metadata["properties"]["sourceSystem"]
    mended = json.loads(json.dumps(schema))
    mended["$defs"] |= {k: v for k, v in inner.items() if isinstance(v, dict)}
    jsonschema.validate(header, mended)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**header, "columns": [{"name": "A"}]}, mended)
    assert rows == whole["rows"]
    assert {k: v for k, v in whole.items() if k != "rows"} == header


def test_reference_written_mixed_dataset_json_is_valid(shared: Path, mixed: Dataset, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    write_dataset_json(mixed, tmp_path / "o.json")
    whole = json.loads((tmp_path / "o.json").read_text())
    schema = json.loads((shared / "data" / "standards" / "dataset-json-1.1.schema.json").read_text())
    jsonschema.validate(whole, schema)
    assert whole["rows"][0] == ["01-001", "plain", 1 / 3, 1, "2014-01-02", "2014-01-02T03:04:05", "23:59:59"]
    assert whole["rows"][1] == ["01-002", "", None, 2, None, None, None]


def test_independent_version_8_files_of_pyreadstat(tmp_path: Path) -> None:
    pyreadstat = pytest.importorskip("pyreadstat")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"SHORT": ["x", "yy", "zzz"], "A_RATHER_LONG_NAME": [1.5, float("nan"), -2.0]})
    for version in (5, 8):
        given = frame if version == 8 else frame.rename(columns={"A_RATHER_LONG_NAME": "LONG"})
        labels = ["a label" + " which is long" * 6 * (version == 8), "b"]
        pyreadstat.write_xport(
            given, str(tmp_path / "v.xpt"), column_labels=labels, table_name="TEST", file_format_version=version
        )
        (ours,) = read_xpt(tmp_path / "v.xpt")
        assert ours.name == "TEST"
        assert ours.frame.columns == list(given.columns)
        assert ours.frame.rows() == [("x", 1.5), ("yy", None), ("zzz", -2.0)]
        assert [v.label for v in ours.variables] == labels


def test_property_ibm_numbers_are_exact() -> None:
    generator = np.random.default_rng(1)
    values = np.concatenate(
        [
            generator.standard_normal(2000) * 10.0 ** generator.integers(-70, 70, 2000),
            np.arange(-300.0, 300.0),
            [0.0, 1 / 3, np.pi, 2.0**53, 16.0**-64, 7.2e75, np.nan],
        ]
    )
    cells, bad = float_to_ibm(values)
    assert not bad.any()
    back, special = ibm_to_float(cells)
    np.testing.assert_array_equal(back, values)
    assert special == 0
    assert float_to_ibm(np.array([1e76, -1e300, np.inf, 1e-80]))[1].all()


def test_reference_ibm_numbers_of_ts140() -> None:
    """Known patterns: 1 is 41 10 00 ..., -118.625 is C2 76 A0 00 ..., the missing value .A is 41 00 ..."""
    cells = np.array(
        [
            list(bytes.fromhex(h))
            for h in ("4110000000000000", "C276A00000000000", "4100000000000000", "2E00000000000000")
        ],
        dtype=np.uint8,
    )
    values, special = ibm_to_float(cells)
    np.testing.assert_array_equal(values, [1.0, -118.625, np.nan, np.nan])
    assert special == 1
    np.testing.assert_array_equal(float_to_ibm(np.array([1.0, -118.625]))[0], cells[:2])


def test_several_data_sets_in_one_library(mixed: Dataset, tmp_path: Path) -> None:
    other = from_frame(pl.DataFrame({"A": ["x"]}), "OTHER")
    write_xpt([mixed, other], tmp_path / "two.xpt")
    first, second = read_xpt(tmp_path / "two.xpt")
    assert first.equals(mixed)
    assert second.equals(other)


def test_reference_cp1252_is_recognised_and_said(pilot: Path) -> None:
    (ts,) = read_xpt(pilot / "sdtm" / "ts.xpt")
    assert any("cp1252" in note for note in ts.notes)
    text = " ".join(v for v in ts.frame["TSVAL"].to_list() if v)
    assert any(ord(c) > 127 for c in text)
    assert "\ufffd" not in text
    greek = Dataset("ADX", pl.DataFrame({"T": ["α"]}), (Variable("T"),))
    with pytest.raises(OutputError, match="ADX row 1, T: 'α' cannot be written as cp1252"):
        write_xpt(greek, Path("never.xpt"), encoding="cp1252")
    with pytest.raises(DataError, match=r"TS row \d+, TSVAL: .* is not utf-8"):
        read_xpt(pilot / "sdtm" / "ts.xpt", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "TOOLONGNAME"}, "variable name 'TOOLONGNAME'"),
        ({"label": "x" * 41}, "label"),
        ({"length": 2}, "ADX row 1, T: 5 bytes of text"),
    ],
)
def test_xpt_refuses_what_it_cannot_hold(tmp_path: Path, change: dict[str, object], message: str) -> None:
    variable = Variable(**{"name": "T", "label": "Text", "type": "string", "length": 20, **change})  # type: ignore[arg-type]
    dataset = Dataset("ADX", pl.DataFrame({variable.name: ["short"]}), (variable,))
    with pytest.raises(OutputError, match=message):
        write_xpt(dataset, tmp_path / "x.xpt")


def test_xpt_refuses_a_number_that_would_lose_digits(tmp_path: Path) -> None:
    dataset = Dataset("ADX", pl.DataFrame({"V": [1.0, 1 / 3]}), (Variable("V", "", "float", 3),))
    with pytest.raises(OutputError, match=r"ADX row 2, V: .* does not fit a number of 3 bytes"):
        write_xpt(dataset, tmp_path / "x.xpt")
    with pytest.raises(OutputError, match="ADX row 1, V"):
        write_xpt(from_frame(pl.DataFrame({"V": [1e80]}), "ADX"), tmp_path / "x.xpt")


def test_xpt_refuses_a_last_row_that_looks_like_padding(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="last row is wholly missing"):
        write_xpt(from_frame(pl.DataFrame({"A": ["x", None]}), "ADX"), tmp_path / "x.xpt")
    write_xpt(from_frame(pl.DataFrame({"A": [None, "x"]}), "ADX"), tmp_path / "x.xpt")
    assert read_xpt(tmp_path / "x.xpt")[0].frame["A"].to_list() == [None, "x"]


def test_dates_that_are_no_dates_stay_numbers(tmp_path: Path) -> None:
    variables = (Variable("D", "", "float", 8, "DATE9."), Variable("E", "", "date", 8, "DATE9.", "integer"))
    frame = pl.DataFrame({"D": [1.5, 2.0], "E": [dt.date(1960, 1, 2), None]})
    write_xpt(Dataset("ADX", frame, variables), tmp_path / "x.xpt")
    (again,) = read_xpt(tmp_path / "x.xpt")
    assert again.frame["D"].to_list() == [1.5, 2.0]
    assert again.frame["E"].to_list() == [dt.date(1960, 1, 2), None]


def test_csv_types_by_name_and_by_define(pilot: Path, tmp_path: Path) -> None:
    (adadas,) = read_xpt(pilot / "adam" / "adadas.xpt")
    adadas.frame.write_csv(tmp_path / "adadas.csv")
    assert read_csv(tmp_path / "adadas.csv").frame.equals(adadas.frame)
    (tmp_path / "odd.csv").write_bytes("USUBJID,SITEID,AVAL,TXT\n1,701,2.5,caf\xe9\n2,702,,x\n".encode("cp1252"))
    odd = read_csv(tmp_path / "odd.csv")
    assert odd.frame.rows() == [("1", "701", 2.5, "café"), ("2", "702", None, "x")]
    assert any("cp1252" in note for note in odd.notes)
    with pytest.raises(DataError, match=r"odd.csv row 1, TXT: 'caf.' is not a number"):
        read_csv(tmp_path / "odd.csv", types={"TXT": "float"})


def test_independent_sas7bdat_of_known_content(tmp_path: Path) -> None:
    """A file written byte by byte from the published layout, over several pages."""
    pytest.importorskip("pyreadstat")
    columns = [
        ("USUBJID", "Unique Subject Identifier", "", 8),
        ("AGE", "Age", "", 0),
        ("TRTSDT", "Date of First Exposure", "DATE", 0),
        ("NOTE", "", "", 12),
    ]
    rows = [("S-001", 63.0, 19725.0, "Größe"), ("S-002", None, None, None), ("S-003", 1 / 3, -1.0, "x")] * 300
    write_sas7bdat(tmp_path / "adsl.sas7bdat", "ADSL", columns, rows)
    dataset = read_adam(tmp_path)["ADSL"]
    assert dataset.frame.height == 900
    assert dataset.frame.rows()[:3] == [
        ("S-001", 63.0, dt.date(2014, 1, 2), "Größe"),
        ("S-002", None, None, None),
        ("S-003", 1 / 3, dt.date(1959, 12, 31), "x"),
    ]
    assert dataset.frame.rows()[897:] == dataset.frame.rows()[:3]
    assert [(v.name, v.label, v.format) for v in dataset.variables][1:3] == [
        ("AGE", "Age", None),
        ("TRTSDT", "Date of First Exposure", "DATE9."),
    ]
    write_xpt(dataset, tmp_path / "adsl.xpt")
    assert read_xpt(tmp_path / "adsl.xpt")[0].frame.equals(dataset.frame)


def test_parquet_without_our_metadata_is_read(tmp_path: Path) -> None:
    pl.DataFrame({"usubjid": ["a"], "aval": [1], "when": [dt.date(2020, 1, 1)]}).write_parquet(tmp_path / "adx.parquet")
    dataset = read_parquet(tmp_path / "adx.parquet")
    assert dataset.name == "ADX"
    assert dataset.frame.schema == {"USUBJID": pl.String, "AVAL": pl.Float64, "WHEN": pl.Date}
    pl.DataFrame({"A": [[1, 2]]}).write_parquet(tmp_path / "list.parquet")
    with pytest.raises(DataError, match=r"list.parquet: variable A holds List"):
        read_parquet(tmp_path / "list.parquet")


def test_same_data_give_the_same_bytes(mixed: Dataset, tmp_path: Path) -> None:
    for write, suffix in ((write_xpt, "xpt"), (write_dataset_json, "dsjc"), (write_parquet, "parquet")):
        write(mixed, tmp_path / f"a.{suffix}")
        write(mixed, tmp_path / f"b.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_reference_define_xml(pilot: Path, tmp_path: Path) -> None:
    define = read_define(pilot / "adam" / "define.xml")
    assert define.version == "2.1.0"
    assert len(define.datasets) == 12
    adsl = define.datasets["ADSL"]
    assert adsl.structure == "one record per subject"
    assert [v.name for v in adsl.variables][:3] == ["STUDYID", "USUBJID", "SUBJID"]
    assert next(v for v in adsl.variables if v.name == "USUBJID").key == 1
    assert define.datasets["ADADAS"].codes["AVISIT"] == ("Baseline", "Week 8", "Week 16", "Week 24")
    old = read_define(pilot / "adam_2006" / "define.xml")
    assert "ADQSADAS" in old.datasets
    study = read_adam(pilot / "adam")
    write_adam(study.datasets.values(), tmp_path)
    again = read_define(tmp_path / "define.xml")
    for name, dataset in study.datasets.items():
        assert [v.name for v in again.datasets[name].variables] == dataset.frame.columns
        assert [v.label for v in again.datasets[name].variables] == [v.label or v.name for v in dataset.variables]


def test_folder_prefers_xpt_and_says_so(mixed: Dataset, tmp_path: Path) -> None:
    write_adam([mixed], tmp_path, format="json")
    write_adam([mixed], tmp_path, format="xpt")
    (tmp_path / "results.json").write_text("{}")
    study = read_adam(tmp_path)
    assert study["adx"].source == "adx.xpt"
    said = [str(p) for p in study.problems]
    assert "ADX: adx.json was passed over: ADX was read from adx.xpt" in said
    assert any("results.json" in s for s in said)
    with pytest.raises(DataError, match="no data set ADSL"):
        study["ADSL"]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.xpt", tmp_path):
        with pytest.raises(DataError, match="no file"):
            read_file(path)
    with pytest.raises(DataError, match="no ADaM file"):
        read_adam(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        read_adam(tmp_path / "none")
    (tmp_path / "x.docx").write_text("")
    with pytest.raises(DataError, match="unknown kind of file"):
        read_file(tmp_path / "x.docx")


def test_independent_long_formats_of_version_9_sections(tmp_path: Path) -> None:
    """A LABELV9 section, built by hand from the layout, in the place of the LABELV8 one that pyreadstat writes."""
    pyreadstat = pytest.importorskip("pyreadstat")
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "v9.xpt"
    frame = pandas.DataFrame({"WHEN": [0.0, 366.0], "TXT": ["a", "b"]})
    pyreadstat.write_xport(frame, str(path), column_labels=["x" * 50, "t"], table_name="NINE", file_format_version=8)
    raw = path.read_bytes()
    start, stop = raw.index(b"HEADER RECORD*******LABELV8"), raw.index(b"HEADER RECORD*******OBSV8")
    label, form = b"A label of more than forty characters, for once", b"YYMMDD10."
    section = struct.pack(">5H", 1, 4, len(label), len(form), 0) + b"WHEN" + label + form
    header = b"HEADER RECORD*******LABELV9 HEADER RECORD!!!!!!!" + b"1".ljust(32)
    path.write_bytes(raw[:start] + header + section + b" " * (-len(section) % 80) + raw[stop:])
    (dataset,) = read_xpt(path)
    assert dataset.variables[0].label == label.decode()
    assert dataset.variables[0].format == "YYMMDD10."
    assert dataset.frame["WHEN"].to_list() == [dt.date(1960, 1, 1), dt.date(1961, 1, 1)]
    assert dataset.frame["TXT"].to_list() == ["a", "b"]


# --- what other readers read, with the same values


def version_8(rows: list[tuple[str, float, str, float]], *, claimed: dict[str, int] | None = None) -> bytes:
    """A version 8 file of four variables whose ``npos`` has numbers first, while rows stand in variable order."""

    def record(raw: bytes) -> bytes:
        return raw.ljust(80)

    def head(kind: bytes, tail: bytes) -> bytes:
        return record(b"HEADER RECORD*******" + kind.ljust(8) + b"HEADER RECORD!!!!!!!" + tail)

    names = [("USUBJID", 2), ("AGE", 1), ("TRT01P", 2), ("AVAL", 1)]
    places = claimed or {"AGE": 0, "AVAL": 8, "USUBJID": 16, "TRT01P": 24}
    stamp = b"28NOV26:12:00:00"
    out = head(b"LIBV8", b"0" * 30) + record(b"SAS     SAS     SASLIB  9.4     X64_10PR" + b" " * 24 + stamp)
    out += record(stamp) + head(b"MEMBV8", b"000000000000000001600000000140") + head(b"DSCPTV8", b"0" * 30)
    out += record(b"SAS     " + b"ADSL".ljust(32) + b"SASDATA 9.4     X64_10PR" + stamp)
    out += record(stamp + b" " * 16 + b"Subjects") + head(b"NAMSTV8", b"0000%06d" % len(names) + b"0" * 20)
    described = b""
    for number, (name, kind) in enumerate(names, 1):
        raw = struct.pack(">hhhh", kind, 0, 8, number) + name.encode().ljust(8) + b" " * 48
        raw += struct.pack(">hhh", 0, 0, 0) + b"\0\0" + b" " * 8 + struct.pack(">hh", 0, 0)
        described += (raw + struct.pack(">i", places[name]) + name.encode().ljust(32)).ljust(140, b"\0")
    out += described + b" " * (-len(described) % 80) + head(b"OBSV8", b"%15d" % len(rows))
    body = b""
    for row in rows:
        for (_, kind), value in zip(names, row, strict=True):
            body += float_to_ibm(np.array([value]))[0].tobytes() if kind == 1 else str(value).encode().ljust(8)
    return out + body + b" " * (-len(body) % 80)


def test_independent_version_8_rows_stand_in_the_order_of_the_variables(tmp_path: Path) -> None:
    """``npos`` may keep the place in the SAS data set; other readers go by the order of the variables."""
    pyreadstat = pytest.importorskip("pyreadstat")
    rows = [("S-001", 61.0, "Placebo", 1.5), ("S-002", 47.0, "Drug", -2.0), ("S-003", 55.0, "Placebo", 0.25)]
    (tmp_path / "adsl.xpt").write_bytes(version_8(rows))
    (ours,) = read_xpt(tmp_path / "adsl.xpt")
    assert ours.frame.rows() == rows
    assert any("USUBJID is said to stand at byte 16" in note for note in ours.notes)
    theirs, _ = pyreadstat.read_xport(str(tmp_path / "adsl.xpt"), output_format="polars")
    assert theirs.rows() == rows
    in_order = {"USUBJID": 0, "AGE": 8, "TRT01P": 16, "AVAL": 24}
    (tmp_path / "plain.xpt").write_bytes(version_8(rows, claimed=in_order))
    assert read_xpt(tmp_path / "plain.xpt")[0].notes == ()


def test_version_5_whose_variables_stand_elsewhere_is_refused(tmp_path: Path) -> None:
    two = from_frame(pl.DataFrame({"A": ["x" * 8] * 11, "B": [1.0] * 11}), "ADX")
    write_xpt(two, tmp_path / "x.xpt")
    raw = bytearray((tmp_path / "x.xpt").read_bytes())
    first = raw.index(b"NAMESTR ") - 20 + 80
    raw[first + 84 : first + 88] = struct.pack(">i", 8)
    raw[first + 140 + 84 : first + 140 + 88] = struct.pack(">i", 0)
    (tmp_path / "x.xpt").write_bytes(raw)
    with pytest.raises(DataError, match="variable A is said to stand at byte 8 of a row, at byte 0 by the order"):
        read_xpt(tmp_path / "x.xpt")
    raw[first + 84 : first + 88] = struct.pack(">i", 0)
    (tmp_path / "x.xpt").write_bytes(raw)
    (read,) = read_xpt(tmp_path / "x.xpt")
    assert read.frame.equals(two.frame)
    assert any("does not say where variables stand" in note for note in read.notes)


def test_independent_long_labels_as_older_writers_counted_them(tmp_path: Path) -> None:
    """haven up to 2.5.5 wrote the count right-aligned, and a second number behind it (tidyverse/haven issue 784)."""
    pyreadstat = pytest.importorskip("pyreadstat")
    pandas = pytest.importorskip("pandas")
    label = "Change from baseline in the total score of the scale, observed cases"
    pyreadstat.write_xport(
        pandas.DataFrame({"USUBJID": ["S1", "S2"], "AVAL": [1.5, 2.5]}),
        str(tmp_path / "x.xpt"),
        file_format_version=8,
        table_name="ADQS",
        column_labels=["Subject", label],
    )
    raw = (tmp_path / "x.xpt").read_bytes()
    at = raw.index(b"LABELV8") - 20
    (tmp_path / "x.xpt").write_bytes(raw[: at + 48] + b"%15d%15d  " % (1, 0) + raw[at + 80 :])
    (ours,) = read_xpt(tmp_path / "x.xpt")
    assert ours.frame.rows() == [("S1", 1.5), ("S2", 2.5)]
    assert [v.label for v in ours.variables] == ["Subject", label]


@pytest.mark.parametrize("format", ["xpt", "json", "dsjc", "parquet"])
def test_property_the_first_and_last_dates_there_are(tmp_path: Path, format: str) -> None:
    """31DEC9999 stands for no end; a column that holds it is one of dates."""
    frame = pl.DataFrame(
        {
            "USUBJID": ["a", "b", "c"],
            "ADT": [dt.date(9999, 12, 31), dt.date(2020, 2, 29), dt.date(1582, 1, 1)],
            "ADTM": [dt.datetime(9999, 12, 31, 23, 59, 59), dt.datetime(2020, 2, 29, 1, 2, 3), None],
        }
    )
    write_adam([from_frame(frame, "ADX")], tmp_path, format=format)
    assert read_adam(tmp_path)["ADX"].frame.equals(frame)
    assert from_temporal(pl.Series([dt.date(9999, 12, 31)])).to_list() == [2_936_547.0]  # SAS: '31DEC9999'd


def test_reference_31dec9999_as_sas_and_as_others_count_it() -> None:
    """SAS has no 29 February in 4000 and 8000: '31DEC9999'd is 2936547; a proleptic Gregorian calendar says 2936549."""
    for last in (2_936_547.0, 2_936_549.0):
        assert to_temporal(pl.Series([last, 0.0]), "date").to_list() == [dt.date(9999, 12, 31), dt.date(1960, 1, 1)]
        seconds = pl.Series([last * 86_400 + 86_399, None, 60.0])
        assert to_temporal(seconds, "datetime").to_list() == [
            dt.datetime(9999, 12, 31, 23, 59, 59),
            None,
            dt.datetime(1960, 1, 1, 0, 1),
        ]
    beyond = pl.Series([2_936_550.0])
    assert to_temporal(beyond, "date").equals(beyond)


def test_offsets_from_utc_are_kept_as_instants_and_said(tmp_path: Path) -> None:
    def written(values: list[str], type_: str = "datetime") -> Path:
        whole = {
            "datasetJSONVersion": "1.1.0",
            "datasetJSONCreationDateTime": "2026-01-01T00:00:00",
            "itemGroupOID": "IG.ADAE",
            "records": len(values),
            "name": "ADAE",
            "label": "AE",
            "columns": [{"itemOID": "I", "name": "ASTDTM", "dataType": type_, "targetDataType": "integer"}],
            "rows": [[v] for v in values],
        }
        (tmp_path / "adae.json").write_text(json.dumps(whole))
        return tmp_path / "adae.json"

    values = ["2020-05-01T10:00:00Z", "2020-05-01T10:00:00+02:00", "2020-05-01T10:00:00"]
    made = read_dataset_json(written(values))
    assert made.frame["ASTDTM"].to_list() == [dt.datetime(2020, 5, 1, h) for h in (10, 8, 10)]
    assert made.notes == ("ASTDTM: 2 of 3 date-times have an offset from UTC and are kept as UTC",)
    assert read_dataset_json(written(values[2:])).notes == ()
    with pytest.raises(DataError, match=r"row 1, ASTDTM: '0001-01-01T00:00:00\+02:00' is not datetime"):
        read_dataset_json(written(["0001-01-01T00:00:00+02:00"]))
    with pytest.raises(DataError, match=r"row 2, ASTDTM: '10:00:00\+02:00' is a time of day with an offset"):
        read_dataset_json(written(["10:00:00", "10:00:00+02:00"], "time"))

    zoned = (
        pl.Series("WHEN", [dt.datetime(2020, 5, 1, 8)]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    )
    pl.DataFrame([zoned]).write_parquet(tmp_path / "adx.parquet")
    parquet = read_parquet(tmp_path / "adx.parquet")
    assert parquet.frame["WHEN"].to_list() == [dt.datetime(2020, 5, 1, 8)]
    assert parquet.notes == ("WHEN: date-times of the zone Asia/Tokyo are kept as UTC",)


def test_compressed_kinds_are_decoded_where_the_program_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder runs the program and libraries of its parent, wherever found, and nothing of the working folder."""
    pl.DataFrame({"A": ["x"]}).write_parquet(tmp_path / "adx.parquet")
    (tmp_path / "polars.py").write_text("raise SystemExit('the library of the working folder')")
    (tmp_path / "equipoise.py").write_text("raise SystemExit('the program of the working folder')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read_parquet(tmp_path / "adx.parquet").frame.rows() == [("x",)]
