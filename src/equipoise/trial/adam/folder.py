"""A folder of ADaM files as a study, and back.

Each data set is read from one file; where a folder holds the same data set in several formats, XPT is preferred, then
SAS7BDAT, Parquet, Dataset-JSON and CSV, and what was passed over is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from equipoise.errors import DataError, OutputError
from equipoise.files import exists, fill_folder
from equipoise.files.reading import check_encoding, shown
from equipoise.trial.adam.dataset import DEFAULT_LIMITS, Dataset, Limits
from equipoise.trial.adam.dataset_json import NotDatasetJson, read_dataset_json, write_dataset_json
from equipoise.trial.adam.define import Define, describe_with, read_define, write_define
from equipoise.trial.adam.tabular import read_csv, read_parquet, read_sas7bdat, write_parquet
from equipoise.trial.adam.xpt import read_xpt, write_xpt

FORMATS = (".xpt", ".sas7bdat", ".parquet", ".dsjc", ".ndjson", ".json", ".csv")
Severity = Literal["error", "warning", "note"]
Kind = Literal["subjects", "events", "adverse events", "measurements", "other"]


@dataclass(frozen=True)
class DataProblem:
    """Something wrong, or worth knowing, in the data: where it is and what it is.

    ``row`` counts from 1 in the data set; None where the whole data set or variable is meant. ``count`` is how many
    rows are like it. Errors stand in the way of an analysis; warnings may change one; notes are for the reader.
    """

    severity: Severity
    rule: str
    dataset: str
    message: str
    row: int | None = None
    variable: str | None = None
    count: int = 1

    def __str__(self) -> str:
        place = self.dataset
        if self.row is not None:
            place += f" row {self.row}"
        if self.variable:
            place += f", {self.variable}"
        more = f" ({self.count} rows like it)" if self.count > 1 else ""
        return f"{place}: {self.message}{more}"


@dataclass(frozen=True, eq=False)
class AdamStudy:
    """The data sets of one study by name, what its Define-XML says, and what was noticed on reading."""

    datasets: Mapping[str, Dataset]
    define: Define | None = None
    problems: tuple[DataProblem, ...] = ()
    folder: str = ""
    kinds: Mapping[str, Kind] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", {name: kind_of(d) for name, d in self.datasets.items()})

    def __getitem__(self, name: str) -> Dataset:
        try:
            return self.datasets[name.upper()]
        except KeyError:
            said = [p.message for p in self.problems if (p.rule, p.dataset) == ("reading", name.upper())]
            why = f" ({said[0]})" if said else ""
            raise DataError(
                f"no data set {name} in {self.folder or 'the study'}{why}",
                hint="there are " + (", ".join(self.datasets) or "none"),
            ) from None

    def of_kind(self, kind: Kind) -> list[Dataset]:
        return [d for name, d in self.datasets.items() if self.kinds[name] == kind]

    @property
    def study_id(self) -> str:
        """STUDYID of the data, else the name in Define-XML, else empty."""
        for dataset in self.datasets.values():
            if "STUDYID" in dataset.frame.columns and dataset.frame.height:
                values = dataset.frame["STUDYID"].drop_nulls()
                if len(values):
                    return str(values[0])
        return self.define.study if self.define else ""


def kind_of(dataset: Dataset) -> Kind:
    """What a data set holds, by its name and variables (ADaM Implementation Guide 1.1: ADSL, BDS, OCCDS)."""
    columns = set(dataset.frame.columns)
    if dataset.name == "ADSL":
        return "subjects"
    if {"PARAMCD", "CNSR"} <= columns:
        return "events"
    if dataset.name == "ADAE" or {"AEDECOD", "AETERM"} & columns:
        return "adverse events"
    if "PARAMCD" in columns and {"AVAL", "AVALC"} & columns:
        return "measurements"
    return "other"


def read_file(
    path: str | Path,
    *,
    encoding: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    types: Mapping[str, str] | None = None,
) -> list[Dataset]:
    """Read one file of any of the formats, chosen by its suffix.

    Raises
    ------
    DataError : no such file, an unknown suffix, or whatever the reader of that format finds wrong.
    """
    check_encoding(encoding)
    path = Path(path)
    if not exists(path) or not path.is_file():
        raise DataError(f"no file {shown(path)}", hint="give the path of a data set")
    suffix = path.suffix.lower()
    try:
        if suffix == ".xpt":
            return read_xpt(path, encoding=encoding, limits=limits)
        if suffix == ".sas7bdat":
            return [read_sas7bdat(path, encoding=encoding, limits=limits)]
        if suffix == ".parquet":
            return [read_parquet(path, limits=limits)]
        if suffix in (".json", ".ndjson", ".dsjc"):
            return [read_dataset_json(path, limits=limits)]
        if suffix == ".csv":
            return [read_csv(path, encoding=encoding, limits=limits, types=types)]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="is the file yours to read?") from None
    except MemoryError:
        raise DataError(f"{path.name}: does not fit in memory", hint="the file is damaged, or very large") from None
    raise DataError(f"{path.name}: unknown kind of file", hint="known are " + ", ".join(FORMATS))


def read_adam(
    folder: str | Path,
    *,
    encoding: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    needed: Collection[str] | None = None,
) -> AdamStudy:
    """Read every ADaM data set of a folder (not of the folders within it), and ``define.xml`` where there is one.

    ``needed`` : the data sets that have to be there; another file that cannot be read is then a warning among the
    problems of the study. None: every file is needed.

    Raises
    ------
    DataError : no such folder, nothing to read in it, or a file that is needed and cannot be read.
    """
    check_encoding(encoding)
    folder = Path(folder)
    if not exists(folder) or not folder.is_dir():
        raise DataError(f"no folder {shown(folder)}", hint="give a folder of ADaM files")
    problems: list[DataProblem] = []
    define = None
    try:
        entries = sorted(p for p in folder.iterdir() if p.is_file())
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}", hint="is the folder yours to read?") from None
    wanted = None if needed is None else {name.upper() for name in needed}
    for path in entries:
        if path.name.lower() == "define.xml":
            try:
                define = read_define(path)
            except DataError as error:
                if wanted is None:
                    raise
                problems.append(DataProblem("warning", "reading", "define.xml", f"not used: {error.message}"))
    files = [p for p in entries if p.suffix.lower() in FORMATS]
    files.sort(key=lambda p: (FORMATS.index(p.suffix.lower()), p.name.lower()))
    datasets: dict[str, Dataset] = {}
    for path in files:
        if path.stem.upper() in datasets:
            problems.append(_passed_over(path.stem.upper(), path.name, datasets))
            continue
        types = None
        if define is not None and path.stem.upper() in define.datasets:
            types = {v.name: v.type for v in define.datasets[path.stem.upper()].variables}
        try:
            found = read_file(path, encoding=encoding, limits=limits, types=types)
        except NotDatasetJson:
            problems.append(DataProblem("note", "reading", path.name, "passed over: JSON, but not Dataset-JSON"))
            continue
        except DataError as error:
            if wanted is None or path.stem.upper() in wanted:
                raise
            problems.append(DataProblem("warning", "reading", path.stem.upper(), f"cannot be read: {error.message}"))
            continue
        for dataset in found:
            if dataset.name in datasets:
                problems.append(_passed_over(dataset.name, path.name, datasets))
                continue
            if define is not None and dataset.name in define.datasets:
                dataset = describe_with(dataset, define.datasets[dataset.name])
            datasets[dataset.name] = dataset
            problems += [DataProblem("note", "reading", dataset.name, note) for note in dataset.notes]
    if not datasets:
        raise DataError(f"no ADaM file in {folder}", hint="known are " + ", ".join(FORMATS))
    ordered = dict(sorted(datasets.items(), key=lambda item: (item[0] != "ADSL", item[0])))
    return AdamStudy(ordered, define, tuple(problems), str(folder))


def _passed_over(name: str, file: str, datasets: Mapping[str, Dataset]) -> DataProblem:
    return DataProblem("note", "reading", name, f"{file} was passed over: {name} was read from {datasets[name].source}")


def write_adam(
    datasets: Iterable[Dataset], folder: str | Path, *, format: str = "xpt", study: str | None = None
) -> list[Path]:
    """Write data sets into a folder, one file each, with a short ``define.xml``; returns the paths written.

    All of them are written, or, where one cannot be or the program is interrupted, none.

    ``format`` is ``xpt``, ``json``, ``ndjson``, ``dsjc`` or ``parquet``.

    Raises
    ------
    OutputError : an unknown format, or data that the format cannot hold.
    """
    suffix = "." + format.lower().lstrip(".")
    if suffix not in (".xpt", ".json", ".ndjson", ".dsjc", ".parquet"):
        raise OutputError(f"cannot write {format!r}", hint="choose xpt, json, ndjson, dsjc or parquet")
    folder = Path(folder)
    many = list(datasets)
    names = []
    with fill_folder(folder) as staged:
        for dataset in many:
            path = staged / f"{dataset.name.lower()}{suffix}"
            if suffix == ".xpt":
                write_xpt(dataset, path)
            elif suffix == ".parquet":
                write_parquet(dataset, path)
            else:
                write_dataset_json(dataset, path)
            names.append(path.name)
        name = study or AdamStudy({d.name: d for d in many}).study_id or "STUDY"
        write_define(many, staged / "define.xml", study=name, suffix=suffix)
    return [folder / name for name in (*names, "define.xml")]


def flag(frame: pl.DataFrame, variable: str) -> pl.Series:
    """Whether a flag variable is ``Y``, row by row (missing is no)."""
    return (frame[variable] == "Y").fill_null(False)
