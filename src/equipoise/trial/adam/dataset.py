"""One ADaM data set in memory: a polars frame and what CDISC says about its variables.

Values live in the frame in one way whatever the file they came from:

* text is ``pl.String``; an empty string is a missing value (XPT knows no other);
* numbers are ``pl.Float64``, whole or not; NaN becomes a missing value;
* numeric dates, date-times and times (SAS counts from 1 January 1960) are ``pl.Date``, ``pl.Datetime("us")`` and
  ``pl.Time`` where every value converts without loss; text dates (``--DTC``) stay text;
* Dataset-JSON booleans are ``pl.Boolean``.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field, replace

import polars as pl

from equipoise.errors import DataError

SAS_EPOCH = dt.date(1960, 1, 1)

_DATE_FORMATS = (
    "DATE",
    "YYMMDD",
    "YYMMDDN",
    "YYMMDDD",
    "YYMMDDS",
    "YYMMDDP",
    "MMDDYY",
    "MMDDYYS",
    "MMDDYYD",
    "DDMMYY",
    "DDMMYYS",
    "DDMMYYD",
    "DDMMYYP",
    "E8601DA",
    "IS8601DA",
    "B8601DA",
    "WORDDATE",
    "WEEKDATE",
    "DAY",
    "MONYY",
    "YYMM",
    "YYMON",
    "JULIAN",
    "YEAR",
)
_DATETIME_FORMATS = ("DATETIME", "E8601DT", "IS8601DT", "B8601DT", "DATEAMPM", "MDYAMPM", "DTDATE", "E8601DN")
_TIME_FORMATS = ("TIME", "E8601TM", "IS8601TM", "B8601TM", "HHMM", "TIMEAMPM", "TOD")

_FORMAT = re.compile(r"^(\$?[A-Za-z_]*(?:8601[A-Za-z]*)?)(\d*)\.?(\d*)$")

CDISC_TYPES = ("string", "integer", "decimal", "float", "double", "boolean", "datetime", "date", "time", "URI")


@dataclass(frozen=True)
class Limits:
    """How much a file may ask for before it is refused; the defaults suit a large trial on a laptop.

    Attributes
    ----------
    file_bytes : size of the file on disk.
    json_bytes : size of a plain ``.json`` data set, which has to be held in memory as a whole.
    expanded_bytes : size of a compressed file once expanded.
    expansion : expanded size over compressed size; real data sets stay below 40.
    floor_bytes : the expanded size that is always allowed, whatever the ratio.
    rows, columns, cells : size of the table.
    line_bytes : length of one record of NDJSON.
    process_bytes : address space of the separate process that decodes SAS7BDAT and Parquet files.
    process_seconds : the time it may take.
    """

    file_bytes: int = 4 << 30
    json_bytes: int = 512 << 20
    expanded_bytes: int = 4 << 30
    expansion: int = 400
    floor_bytes: int = 8 << 20
    rows: int = 50_000_000
    columns: int = 10_000
    cells: int = 400_000_000
    line_bytes: int = 16 << 20
    process_bytes: int = 8 << 30
    process_seconds: int = 600

    def check_table(self, where: str, rows: int, columns: int) -> None:
        """Raise :class:`DataError` where a table of that size is beyond the limits."""
        if columns > self.columns:
            raise DataError(f"{where}: {columns} variables claimed", hint=f"at most {self.columns} are read")
        if rows > self.rows or rows * columns > self.cells:
            raise DataError(
                f"{where}: {rows} rows of {columns} variables claimed",
                hint=f"at most {self.rows} rows and {self.cells} cells are read; raise Limits(...) if this is meant",
            )


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Variable:
    """What is known of one variable.

    ``type`` is a Dataset-JSON 1.1 type; ``target`` is ``integer`` (or ``decimal``) for dates held as numbers.
    ``length`` counts bytes (XPT) or characters; None where unknown. ``format`` is a SAS format such as ``DATE9.``.
    """

    name: str
    label: str = ""
    type: str = "string"
    length: int | None = None
    format: str | None = None
    target: str | None = None
    key: int | None = None
    oid: str | None = None
    informat: str | None = None

    @property
    def is_text(self) -> bool:
        return self.type in ("string", "URI") or (self.type in ("date", "datetime", "time") and self.target is None)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set: its frame, its variables in order, and anything worth saying about how it was read.

    ``attributes`` keeps what the file said about itself beyond that (Dataset-JSON header, for one); ``notes`` are
    sentences for the reader (encoding guessed, special missing values).
    """

    name: str
    frame: pl.DataFrame
    variables: tuple[Variable, ...]
    label: str = ""
    attributes: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        names = [v.name for v in self.variables]
        if names != self.frame.columns:
            raise DataError(
                f"{self.name}: variables described ({len(names)}) are not the columns of the frame",
                hint="give one Variable per column, in order",
            )

    @property
    def by_name(self) -> dict[str, Variable]:
        return {v.name: v for v in self.variables}

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key variables in key order, empty where the file does not say."""
        keyed = sorted((v.key, v.name) for v in self.variables if v.key is not None)
        return tuple(name for _, name in keyed)

    def with_notes(self, *notes: str) -> Dataset:
        return replace(self, notes=self.notes + notes)

    def equals(self, other: Dataset) -> bool:
        """Whether values, dtypes, labels, lengths and formats are the same."""
        return (
            self.name == other.name
            and self.label == other.label
            and self.frame.equals(other.frame)
            and self.frame.schema == other.frame.schema
            and [(v.name, v.label, v.length, v.format) for v in self.variables]
            == [(v.name, v.label, v.length, v.format) for v in other.variables]
        )


def from_frame(
    frame: pl.DataFrame, name: str, *, label: str = "", labels: dict[str, str] | None = None, keys: tuple[str, ...] = ()
) -> Dataset:
    """Describe a frame as an ADaM data set: types from the columns, labels as given or standard, lengths as needed."""
    frame = normalise(frame)
    known = {**STANDARD_LABELS, **(labels or {})}
    variables = []
    for column in frame.columns:
        series = frame[column]
        type_, target, format_ = describe(series)
        length = longest(series)
        variables.append(
            Variable(
                name=column,
                label=known.get(column, column),
                type=type_,
                length=length,
                format=format_,
                target=target,
                key=keys.index(column) + 1 if column in keys else None,
            )
        )
    return Dataset(name=name.upper(), frame=frame, variables=tuple(variables), label=label)


def longest(series: pl.Series) -> int | None:
    """Bytes of the longest text of a column, at least 1; None for a column that is not text."""
    if series.dtype != pl.String:
        return None
    lengths: list[int] = series.str.len_bytes().drop_nulls().to_list()
    return max([1, *lengths])


def normalise(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the dtypes of this module; raises :class:`DataError` for a column that has no place in ADaM."""
    out = []
    for column in frame.columns:
        series = frame[column]
        dtype = series.dtype
        if dtype == pl.String or dtype in (pl.Categorical, pl.Enum):
            text = series.cast(pl.String)
            out.append(text.set(text == "", None))
        elif dtype == pl.Null:
            out.append(series.cast(pl.String))
        elif dtype == pl.Boolean or dtype == pl.Time:
            out.append(series)
        elif dtype == pl.Date:
            _within_years(series, 1)
            out.append(series)
        elif dtype.is_numeric():
            out.append(series.cast(pl.Float64).fill_nan(None))
        elif dtype == pl.Datetime:
            _within_years(series, {"ms": 86_400_000, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}[dtype.time_unit])  # type: ignore[attr-defined]
            # an instant is kept as the instant it is, in UTC; without a zone the clock time stays
            zone = getattr(dtype, "time_zone", None)
            utc = series if zone is None else series.dt.convert_time_zone("UTC")
            out.append(utc.dt.replace_time_zone(None).cast(pl.Datetime("us")))
        else:
            raise DataError(
                f"variable {column} holds {dtype}", hint="ADaM variables are text, numbers, dates, times or booleans"
            )
    return pl.DataFrame(out)


def _within_years(series: pl.Series, unit: int) -> None:
    """Raise for a date of a year that neither ISO 8601 with four digits nor SAS can write. unit : counts in a day."""
    epoch = dt.date(1970, 1, 1)
    low, high = ((day - epoch).days for day in (dt.date.min, dt.date.max))
    days = series.to_physical() // unit
    wrong = int(((days < low) | (days > high)).sum())
    if wrong:
        raise DataError(
            f"variable {series.name}: {wrong} date{'s are' if wrong > 1 else ' is'} not of the years 1 to 9999",
            hint="mend them where they came from, or make them missing",
        )


def describe(series: pl.Series) -> tuple[str, str | None, str | None]:
    """Dataset-JSON type, target type and SAS format that suit a column."""
    if series.dtype == pl.Date:
        return "date", "integer", "DATE9."
    if series.dtype == pl.Datetime:
        return "datetime", "integer", "DATETIME20."
    if series.dtype == pl.Time:
        return "time", "integer", "TIME8."
    if series.dtype == pl.Boolean:
        return "boolean", None, None
    if series.dtype == pl.Float64:
        whole = series.drop_nulls()
        if len(whole) and bool(((whole == whole.round(0)) & (whole.abs() < 2**53)).all()):
            return "integer", None, None
        return "float", None, None
    return "string", None, None


def split_format(text: str | None) -> tuple[str, int, int]:
    """``DATE9.`` as (``DATE``, 9, 0); an unreadable or absent format as (``""``, 0, 0)."""
    match = _FORMAT.match((text or "").strip())
    if not match:
        return "", 0, 0
    return match.group(1).upper(), int(match.group(2) or 0), int(match.group(3) or 0)


def join_format(name: str, width: int, decimals: int) -> str | None:
    """The inverse of :func:`split_format`; None for no format."""
    if not name and not width:
        return None
    return f"{name}{width or ''}.{decimals or ''}"


def temporal_kind(format_: str | None) -> str | None:
    """``date``, ``datetime`` or ``time`` where the SAS format shows a number as one, else None."""
    name = split_format(format_)[0]
    if name in _DATE_FORMATS:
        return "date"
    if name in _DATETIME_FORMATS:
        return "datetime"
    if name in _TIME_FORMATS:
        return "time"
    return None


def to_temporal(series: pl.Series, kind: str) -> pl.Series:
    """SAS counts (days or seconds from 1960, seconds from midnight) as dates; unchanged where a value would be lost."""
    values = series.drop_nulls()
    if not len(values):
        dtype = {"date": pl.Date(), "datetime": pl.Datetime("us"), "time": pl.Time()}[kind]
        return pl.Series(series.name, [None] * len(series), dtype=dtype)
    first, last = (float((day - SAS_EPOCH).days) for day in (dt.date.min, dt.date.max))
    scale, low, high = {
        "date": (1, first, last),
        "datetime": (10**6, first * 86_400, last * 86_400 + 86_399.999999),
        "time": (10**6, 0.0, 86_399.999999),
    }[kind]
    scaled = values * scale
    if not bool(((values >= low) & (values <= high) & (scaled == scaled.round(0))).all()):
        return series
    days = (SAS_EPOCH - dt.date(1970, 1, 1)).days
    if kind == "date":
        out = (_turn_calendar(series, 1) + days).cast(pl.Int32).cast(pl.Date)
    elif kind == "datetime":
        counted = _turn_calendar(series, 86_400)
        out = ((counted * 1e6).round(0).cast(pl.Int64) + days * 86_400 * 10**6).cast(pl.Datetime("us"))
        if not (out.cast(pl.Int64) / 1e6 - days * 86_400).equals(counted.cast(pl.Float64)):
            return series
    else:
        out = ((series * 1e6).round(0).cast(pl.Int64) * 1000).cast(pl.Time)
        if not from_temporal(out).equals(series):
            return series
    return out


_LEAP = tuple((dt.date(year, 2, 29) - SAS_EPOCH).days for year in (4000, 8000))
_LAST_OF_SAS = (dt.date.max - SAS_EPOCH).days - len(_LEAP)


def _turn_calendar(series: pl.Series, unit: int) -> pl.Series:
    """SAS counts as counts of the Gregorian calendar, which alone has a 29 February in the years 4000 and 8000.

    31DEC9999 is day 2,936,547 to SAS and day 2,936,549 to everyone else. A column with a day beyond the first was
    written by a program that counts as everyone else does, and is left as it is.
    """
    largest = series.max()
    if not isinstance(largest, float) or largest < _LEAP[0] * unit or largest >= (_LAST_OF_SAS + 1) * unit:
        return series
    later = (series >= _LEAP[0] * unit).cast(pl.Float64) + (series >= (_LEAP[1] - 1) * unit).cast(pl.Float64)
    return series + later * unit


def from_temporal(series: pl.Series) -> pl.Series:
    """Dates, date-times and times as SAS counts (float64); other columns unchanged."""
    days = (SAS_EPOCH - dt.date(1970, 1, 1)).days
    if series.dtype == pl.Date:
        counted = series.cast(pl.Int32).cast(pl.Float64) - days
        return counted - _later(counted, 1)
    if series.dtype == pl.Datetime:
        micro = series.cast(pl.Datetime("us")).cast(pl.Int64) - days * 86_400 * 10**6
        counted = micro.cast(pl.Float64) / 1e6
        return counted - _later(counted, 86_400)
    if series.dtype == pl.Time:
        return (series.cast(pl.Int64) // 1000).cast(pl.Float64) / 1e6
    return series


def _later(counted: pl.Series, unit: int) -> pl.Series:
    return sum((counted >= (day + 1) * unit).cast(pl.Float64) * unit for day in _LEAP)  # type: ignore[return-value]


STANDARD_LABELS: dict[str, str] = {
    "STUDYID": "Study Identifier",
    "USUBJID": "Unique Subject Identifier",
    "SUBJID": "Subject Identifier for the Study",
    "SITEID": "Study Site Identifier",
    "ARM": "Description of Planned Arm",
    "TRT01P": "Planned Treatment for Period 01",
    "TRT01A": "Actual Treatment for Period 01",
    "TRTP": "Planned Treatment",
    "TRTA": "Actual Treatment",
    "ITTFL": "Intent-To-Treat Population Flag",
    "SAFFL": "Safety Population Flag",
    "EFFFL": "Efficacy Population Flag",
    "PARAMCD": "Parameter Code",
    "PARAM": "Parameter",
    "AVISIT": "Analysis Visit",
    "AVISITN": "Analysis Visit (N)",
    "AVAL": "Analysis Value",
    "AVALU": "Analysis Value Unit",
    "BASE": "Baseline Value",
    "CHG": "Change from Baseline",
    "ABLFL": "Baseline Record Flag",
    "ANL01FL": "Analysis Flag 01",
    "DTYPE": "Derivation Type",
    "CNSR": "Censor",
    "EVNTDESC": "Event or Censoring Description",
    "AEDECOD": "Dictionary-Derived Term",
    "AETERM": "Reported Term for the Adverse Event",
    "AESEQ": "Sequence Number",
    "TRTEMFL": "Treatment Emergent Analysis Flag",
    "GROUP": "Analysis Group",
    "LASTWK": "Last Week Under Observation",
    "OLEFL": "Entered the Open-Label Extension",
}
