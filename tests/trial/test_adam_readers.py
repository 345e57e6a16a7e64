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
    read_csv,
    read_dataset_json,
    read_define,
    read_file,
    read_folder,
    read_parquet,
    read_xpt,
    write_dataset_json,
    write_folder,
    write_parquet,
    write_xpt,
)
from equipoise.trial.adam.dataset import from_temporal
from equipoise.trial.adam.xpt import float_to_ibm, ibm_to_float

PILOT_XPT = ["adam/adsl", "adam/adadas", "adam/adae", "adam/adcibc", "adam/adnpix_total", "adam/adtte"]
PILOT_XPT += ["adam_2006/adsl", "adam_2006/adqscibc", "adam_2006/adtte", "sdtm/ts", "sdtm/dm", "sdtm/suppdm"]


def same_values(one: Dataset, other: Dataset) -> bool:
    return one.frame.equals(other.frame) and one.frame.schema == other.frame.schema


@pytest.mark.parametrize("format", ["xpt", "json", "ndjson", "dsjc", "parquet"])
def test_property_round_trip_is_exact(mixed: Dataset, tmp_path: Path, format: str) -> None:
    write_folder([mixed], tmp_path, format=format)
    again = read_folder(tmp_path)["ADX"]
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
    assert whole["rows"][0] == [
        "01-001", "plain", 1 / 3, 1, "2014-01-02", "2014-01-02T03:04:05", "23:59:59",
    ]  # fmt: skip
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
    dataset = read_folder(tmp_path)["ADSL"]
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
    study = read_folder(pilot / "adam")
    write_folder(study.datasets.values(), tmp_path)
    again = read_define(tmp_path / "define.xml")
    for name, dataset in study.datasets.items():
        assert [v.name for v in again.datasets[name].variables] == dataset.frame.columns
        assert [v.label for v in again.datasets[name].variables] == [v.label or v.name for v in dataset.variables]


def test_folder_prefers_xpt_and_says_so(mixed: Dataset, tmp_path: Path) -> None:
    write_folder([mixed], tmp_path, format="json")
    write_folder([mixed], tmp_path, format="xpt")
    (tmp_path / "results.json").write_text("{}")
    study = read_folder(tmp_path)
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
        read_folder(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        read_folder(tmp_path / "none")
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
