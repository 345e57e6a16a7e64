"""From a long data frame (one row a patient and visit) to the arrays of the kernels, one trial at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from narwhals.exceptions import DuplicateError

from equipoise.errors import DataError, EstimationError, NoVisitError
from equipoise.estimate.left_out import NOBODY, LeftOut
from equipoise.estimate.ordering import text_in_order
from equipoise.types import BoolArray, FloatArray, IntArray

LARGEST = 1e100
"""Numbers beyond it are refused: sums of their squares and cross products would overflow."""


def read_frame(data: Any) -> nw.DataFrame[Any]:
    """``data`` as a narwhals frame; raises :class:`DataError` for anything but pandas, polars or pyarrow, and for two
    columns of one name.
    """
    try:
        return nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise DataError(f"{type(data).__name__} is not a data frame", hint="bring pandas, polars or pyarrow") from error
    except DuplicateError as error:
        found = [str(c) for c in getattr(data, "columns", ())]
        twice = ", ".join(repr(c) for c in dict.fromkeys(found) if found.count(c) > 1)
        raise DataError(f"two columns are called {twice or 'the same'}", hint="rename or drop one of them") from error


def values_of(series: nw.Series[Any]) -> list[Any]:
    """The values of a column, None wherever the library that it came from says missing (null, NaN, NA, NaT)."""
    gone = series.is_null().to_list()
    return [None if lost or v != v else v for v, lost in zip(series.to_list(), gone, strict=True)]


def kept_rows(frame: nw.DataFrame[Any], keep: BoolArray) -> nw.DataFrame[Any]:
    """The rows of ``frame`` where ``keep`` (row,) holds; also of a frame without rows."""
    return frame.filter(keep.tolist()) if len(keep) else frame


def ordered(found: set[Any], name: str) -> list[Any]:
    """Levels sorted, text by the numbers in it (:func:`equipoise.estimate.ordering.text_in_order`); raises
    :class:`DataError` where a column mixes kinds that have no order.
    """
    try:
        return text_in_order(found) if all(isinstance(v, str) for v in found) else sorted(found)
    except TypeError as error:
        kinds = ", ".join(sorted({type(v).__name__ for v in found}))
        raise DataError(f"column {name!r} mixes {kinds}", hint="make all values of one kind") from error


def require(frame: nw.DataFrame[Any], names: Sequence[str]) -> None:
    """Raise :class:`DataError` where a column is absent, or one name was given where a list of them is needed."""
    if isinstance(names, str):
        raise DataError(f"{names!r} in place of a list of columns", hint=f"write [{names!r}]")
    absent = [name for name in names if name not in frame.columns]
    if len(absent) > 1 and all(isinstance(name, str) and len(name) == 1 for name in absent):
        word = "".join(absent)
        raise DataError(f"no column {', '.join(map(repr, absent))}", hint=f"where a list is needed, write [{word!r}]")
    if absent:
        raise DataError(
            "no column " + ", ".join(repr(n) for n in absent), hint="columns are " + ", ".join(frame.columns[:40])
        )


def numbers(frame: nw.DataFrame[Any], name: str) -> FloatArray:
    """Column ``name`` as float64, missing values as NaN. A column without any value has no type to object to.

    Raises :class:`DataError` for what is no number, is infinite, or beyond :data:`LARGEST`.
    """
    series = frame.get_column(name)
    if series.dtype.is_numeric():
        values = np.array(series.to_numpy(), dtype=np.float64)
    else:
        found = values_of(series)
        if series.dtype != nw.Boolean and any(v is not None for v in found):
            what = f"column {name!r} is not a number but {series.dtype}"
            raise DataError(what, hint="convert it before the analysis")
        values = np.array([np.nan if v is None else float(v) for v in found], dtype=np.float64)
    check_size(values, name)
    return values


def check_size(values: FloatArray, name: str) -> None:
    """Raise :class:`DataError` where a column holds infinity or numbers too large to compute with."""
    with np.errstate(invalid="ignore"):
        bad = np.abs(values) > LARGEST
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        if np.isinf(values[row]):
            raise DataError(f"column {name!r} is infinite in row {row + 1}", hint="mend it or make it missing")
        raise DataError(
            f"column {name!r} is {values[row]:g} in row {row + 1}, too large to compute with",
            hint="mend it, or give the column in a larger unit",
        )


def _gone(value: Any) -> bool:
    """Whether ``value`` means missing: None, NaN, NaT or NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # pandas' NA has no truth value
        return True


def codes_of(frame: nw.DataFrame[Any], name: str) -> tuple[IntArray, list[Any]]:
    """(row,) codes of a column taken as categories, -1 where missing, and its levels, as :func:`labels` gives them.

    Raises :class:`DataError` as :func:`labels` does.
    """
    series = frame.get_column(name)
    values = series.to_list()
    try:
        found = set(values)
    except TypeError as error:
        raise DataError(
            f"column {name!r} holds {series.dtype}, which are no categories", hint="use numbers, text or categories"
        ) from error
    gone = [v for v in found if _gone(v)]
    levels = _ordered_levels(series, found.difference(gone), name)
    code: dict[Any, int] = dict.fromkeys(gone, -1)
    code.update((level, i) for i, level in enumerate(levels))
    return np.fromiter(map(code.__getitem__, values), np.int64, len(values)), levels


def present(frame: nw.DataFrame[Any], name: str) -> BoolArray:
    """(row,) where column ``name`` has a value."""
    series = frame.get_column(name)
    if series.dtype.is_numeric():
        values = series.to_numpy()
        if values.dtype.kind in "iufb":
            return np.asarray(values == values, np.bool_)
    return codes_of(frame, name)[0] >= 0


def _ordered_levels(series: nw.Series[Any], found: set[Any], name: str) -> list[Any]:
    """The levels ``found`` in the order of an enum or a category where there is one, sorted otherwise."""
    order: list[Any] = []
    dtype = series.dtype
    if isinstance(dtype, nw.Enum):
        order = list(dtype.categories)
    elif dtype in (nw.Categorical, nw.Enum):
        native = series.to_native()
        if hasattr(native, "cat") and hasattr(native.cat, "categories"):
            order = list(native.cat.categories)
    if not found <= set(order):
        order = ordered(found, name)
    return [level for level in order if level in found]


def labels(frame: nw.DataFrame[Any], name: str) -> tuple[list[Any], list[Any]]:
    """Values of a column taken as categories, and its levels in order: the order of an enum or an ordered or plain
    pandas category where there is one, sorted otherwise. Missing values are None.

    Raises :class:`DataError` for lists and other values that are no categories, or have no order among each other.
    """
    series = frame.get_column(name)
    values = values_of(series)
    try:
        found = set(values) - {None}
    except TypeError as error:
        raise DataError(
            f"column {name!r} holds {series.dtype}, which are no categories", hint="use numbers, text or categories"
        ) from error
    return values, _ordered_levels(series, found, name)


def refuse(bad: BoolArray, text: str, hint: str) -> None:
    """Raise :class:`DataError` with the first row (row,) that is ``bad``."""
    if bad.any():
        raise DataError(f"row {int(np.flatnonzero(bad)[0]) + 1}: {text}", hint=hint)


def times_of(frame: nw.DataFrame[Any], name: str) -> FloatArray:
    """Column ``name`` as times, missing ones NaN; raises :class:`DataError` for a negative one."""
    values = numbers(frame, name)
    refuse(values < 0.0, f"{name!r} is negative", "times count from randomisation or first dose")
    return values


def flags_of(frame: nw.DataFrame[Any], name: str, where: BoolArray | None = None) -> FloatArray:
    """Column ``name`` as 0 and 1, missing ones NaN; raises :class:`DataError` for anything else (in the rows
    ``where``).
    """
    values = numbers(frame, name)
    bad = ~np.isnan(values) & (values != 0.0) & (values != 1.0)
    refuse(
        bad if where is None else bad & where,
        f"{name!r} holds values other than 0 and 1",
        "code yes or an event as 1 (or True), no or censoring as 0",
    )
    return values


_EVENT_HINTS = (
    "code yes or an event as 1 (or True), no or censoring as 0",
    "as in ADaM, 0 is an event and 1, 2 ... are reasons of censoring",
)


def read_flags(values: FloatArray, censor: bool) -> tuple[FloatArray, BoolArray, str]:
    """The one reading of an indicator (row,): 1 for an event, 0 for censoring, NaN where missing; which rows cannot be
    read; and how to mend them.

    An event indicator is 1 or 0. A censoring flag (``censor``) is that of ADaM: 0 for an event and any whole number
    above it, a reason of censoring, for no event.
    """
    missing = np.isnan(values)
    if censor:
        flag = (values == 0.0).astype(np.float64)
        bad = ~missing & ((values < 0.0) | (values != np.floor(values)))
    else:
        flag = (values == 1.0).astype(np.float64)
        bad = ~missing & (values != 0.0) & (values != 1.0)
    flag[missing] = np.nan
    return flag, bad, _EVENT_HINTS[censor]


def one_indicator(event: str | None, censor: str | None, what: str = "") -> str:
    """The column that says who had the event; raises :class:`EstimationError` unless one of the two is named."""
    if (event is None) == (censor is None):
        raise EstimationError(
            what + "give either event or censor",
            hint="censor names a column with 0 for an event, as in ADaM, event one with 1",
        )
    return event or censor or ""


def events_of(
    frame: nw.DataFrame[Any], event: str | None, censor: str | None, where: BoolArray | None = None
) -> FloatArray:
    """1 for an event, 0 for censoring, NaN for unknown, from column ``event`` or column ``censor``, of which one is
    named (see :func:`read_flags`).

    Raises
    ------
    DataError : no such column, or (in the rows ``where``) it holds something else. EstimationError : both or neither
    are named.
    """
    name = one_indicator(event, censor)
    require(frame, [name])
    flag, bad, hint = read_flags(numbers(frame, name), censor is not None)
    what = f"{name!r} is not a censoring flag" if censor else f"{name!r} holds values other than 0 and 1"
    refuse(bad if where is None else bad & where, what, hint)
    return flag


def tied_times(*times: FloatArray) -> tuple[FloatArray, ...]:
    """``times`` with those made equal that differ by rounding alone: by less than 1.5e-8, absolutely or relative to
    the mean time, as R's ``aeqSurv`` does.
    """
    distinct = np.unique(np.concatenate(times))
    distinct = distinct[~np.isnan(distinct)]
    if len(distinct) < 2:
        return times
    tolerance = np.sqrt(np.finfo(np.float64).eps)
    near = np.diff(distinct) <= tolerance * max(1.0, float(np.mean(np.abs(distinct))))
    if not near.any():
        return times
    kept = distinct[np.concatenate([[True], ~near])]
    return tuple(np.where(np.isnan(t), t, kept[np.searchsorted(kept, t, side="right") - 1]) for t in times)


def two_arms(frame: nw.DataFrame[Any], name: str, control: Any = None) -> tuple[list[Any], tuple[Any, Any]]:
    """(row,) arms, None where missing, and the two labels, control (default the first) first.

    Raises :class:`DataError` unless there are two, ``control`` among them.
    """
    require(frame, [name])
    values, levels = labels(frame, name)
    return values, two_levels(levels, name, len(values), control)


def two_levels(levels: list[Any], name: str, rows: int, control: Any = None) -> tuple[Any, Any]:
    """The two ``levels`` of column ``name``, control (default the first) first; raises as :func:`two_arms` does."""
    if not levels:
        raise DataError(f"{name!r} has no values in {rows} rows", hint="this analysis compares two arms")
    if control is not None:
        if control not in levels:
            raise DataError(f"{control!r} is not a level of {name!r}", hint="levels are " + ", ".join(map(str, levels)))
        levels = [control, *[level for level in levels if level != control]]
    if len(levels) != 2:
        raise DataError(
            f"{name!r} has {len(levels)} level{'s' if len(levels) > 1 else ''} ({', '.join(map(str, levels))})",
            hint="this analysis compares two arms: filter the rows",
        )
    return levels[0], levels[1]


def coded(frame: nw.DataFrame[Any], names: Sequence[str]) -> tuple[FloatArray, tuple[str, ...], BoolArray]:
    """(row, column) covariates, NaN where missing, what they are called, and which are of one category alone.

    Numbers and truth values enter as they are, categories as indicators of all levels but the first; a category with
    one level is a column of zeros, a column without values one of NaN.
    """
    require(frame, names)
    out: list[FloatArray] = []
    called: list[str] = []
    alone: list[bool] = []
    for name in names:
        dtype = frame.get_column(name).dtype
        if dtype.is_numeric() or dtype == nw.Boolean:
            made = [(numbers(frame, name), name, False)]
        elif dtype.is_temporal():
            raise DataError(
                f"column {name!r} is of type {dtype}, no covariate", hint="make a number of it, such as days or years"
            )
        else:
            values, levels = labels(frame, name)
            made = [
                (np.array([np.nan if v is None else float(v == level) for v in values]), f"{name}[{level}]", False)
                for level in levels[1:]
            ]
            if len(levels) < 2:
                made = [(np.array([np.nan if v is None else 0.0 for v in values]), name, len(levels) == 1)]
        for column, label, single in made:
            out.append(column)
            called.append(label)
            alone.append(single)
    return np.column_stack(out) if out else np.zeros((len(frame), 0)), tuple(called), np.array(alone, np.bool_)


@dataclass(frozen=True, eq=False)
class Panel:
    """One trial in arrays.

    subjects : (subject,) identifiers, in order of first appearance. weeks : (visit,) sorted visits. y : (subject,
    visit), NaN where missing. arms : labels, control first. arm : (subject,) 1 for active. backend : the data-frame
    library that came in. baseline : the frame reduced to one row a patient. left_out : rows that take no part because
    they have no visit; a visit without a value is a missing one.
    """

    subjects: list[Any]
    weeks: FloatArray
    y: FloatArray
    arms: tuple[Any, Any]
    arm: FloatArray
    baseline: nw.DataFrame[Any]
    backend: Any
    left_out: LeftOut = NOBODY

    @property
    def n(self) -> int:
        return len(self.subjects)

    def at(self, week: float) -> int:
        """Index of a visit; raises :class:`NoVisitError` where there is none."""
        hit = np.flatnonzero(np.isclose(self.weeks, week)) if isinstance(week, Real) else np.empty(0, np.int64)
        if hit.size == 0:
            raise NoVisitError(
                f"no visit at week {week:g}" if isinstance(week, Real) else f"no visit at {week!r}",
                hint="visits are at weeks " + ", ".join(f"{w:g}" for w in self.weeks),
            )
        return int(hit[0])

    def unseen(self, v: int) -> str:
        """That an arm has nobody seen at visit ``v`` (index), in words; empty where both have."""
        for a, arm in enumerate(self.arms):
            if np.isnan(self.y[self.arm == a, v]).all():
                return f"no observed values of {arm} at week {self.weeks[v]:g}"
        return ""

    def columns(self, names: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
        """(subject, column) covariates: numbers as they are, categories as indicators of all levels but the first.

        Raises :class:`DataError` for patients without one.
        """
        matrix, called, alone = coded(self.baseline, names)
        matrix, called = matrix[:, ~alone], tuple(c for c, single in zip(called, alone, strict=True) if not single)
        lost = np.isnan(matrix).any(axis=1)
        if lost.any():
            who = [str(self.subjects[i]) for i in np.flatnonzero(lost)[:5]]
            bad = [called[j] for j in np.flatnonzero(np.isnan(matrix).any(axis=0))]
            raise DataError(
                f"{int(lost.sum())} patients have no {', '.join(bad)} (such as {', '.join(who)})",
                hint="covariates and imputation predictors must be known for everyone: fill them in or leave them out",
            )
        return matrix, called

    def native(self, table: dict[str, list[Any]]) -> Any:
        """A frame of the kind that came in."""
        return nw.from_dict(table, backend=self.backend).to_native()


def one_row_a_patient(
    frame: nw.DataFrame[Any], subject: str, constant: Sequence[str]
) -> tuple[nw.DataFrame[Any], list[Any], BoolArray]:
    """The first row of each patient, the patients, and which rows of ``frame`` those are.

    Raises :class:`DataError` where a patient is missing or a column of ``constant`` changes within a patient.
    """
    ids = values_of(frame.get_column(subject))
    if None in ids:
        row = ids.index(None) + 1
        raise DataError(f"column {subject!r} has missing values (row {row})", hint="every row needs its patient")
    first: dict[Any, int] = {}
    for row, i in enumerate(ids):
        first.setdefault(i, row)
    mask = np.zeros(len(ids), np.bool_)
    mask[list(first.values())] = True
    for name in constant:
        values = values_of(frame.get_column(name))
        for row, i in enumerate(ids):
            a, b = values[row], values[first[i]]
            if a != b:
                raise DataError(
                    f"{name!r} changes within patient {i}: {b} and {a}",
                    hint="covariates must be the same in every row of a patient",
                )
    return kept_rows(frame, mask), list(first), mask


def read_panel(
    data: Any,
    *,
    value: str,
    subject: str,
    visit: str,
    arm: str,
    control: Any = None,
    covariates: Sequence[str] = (),
    baseline_value: str | None = None,
    log: bool = False,
    up_to: float | None = None,
) -> Panel:
    """Read a long frame. Post-baseline visits are those with ``visit`` above 0; rows without a visit take no part, and
    visits whose times differ by rounding alone are one.

    value : the change from baseline; or, with ``log``, the value in natural units, whose log ratio to
    ``baseline_value`` is formed. control : the level of ``arm`` to compare with; default the first.
    up_to : the last visit to take.
    """
    frame = read_frame(data)
    names = [value, subject, visit, arm, *covariates, *([baseline_value] if log and baseline_value else [])]
    require(frame, names)
    base, subjects, _ = one_row_a_patient(frame, subject, [arm, *covariates])
    named, levels = two_arms(base, arm, control)
    if None in named:
        raise DataError(
            f"{arm!r} has missing values (patient {subjects[named.index(None)]})",
            hint="this analysis compares two arms: filter the rows",
        )
    (week,) = tied_times(numbers(frame, visit))
    y_long = numbers(frame, value)
    if log:
        reference = numbers(frame, baseline_value or "")
        with np.errstate(divide="ignore", invalid="ignore"):
            bad = (y_long <= 0.0) | (reference <= 0.0)
            y_long = np.where(bad, np.nan, np.log(y_long) - np.log(reference))
        if bad.any():
            raise DataError(
                f"{value!r} or {baseline_value!r} is not positive in row {int(np.flatnonzero(bad)[0]) + 1}",
                hint="logarithms need positive values: use half the limit of quantification for values below it",
            )
    after = np.unique(week[week > 0.0])
    listed = "visits are at " + ", ".join(f"{w:g}" for w in after[:40])
    if up_to is not None and not (isinstance(up_to, Real) and not np.isnan(float(up_to))):
        raise EstimationError(f"the last visit is to be {up_to!r}", hint=f"give a number: {listed}")
    take = (week > 0.0) & (week <= (np.inf if up_to is None else float(up_to)))
    weeks = np.unique(week[take])
    if weeks.size == 0 and after.size:
        raise NoVisitError(f"no visit of {visit!r} is up to {up_to:g}", hint=listed)
    if weeks.size == 0:
        raise DataError(f"no post-baseline visit in {visit!r}", hint="visits are weeks from first dose, above 0")
    y = np.full((len(subjects), weeks.size), np.nan)
    row_of = {s: i for i, s in enumerate(subjects)}
    ids = values_of(frame.get_column(subject))
    filled = np.zeros(y.shape, np.bool_)
    for row in map(int, np.flatnonzero(take)):
        i, v = row_of[ids[row]], int(np.searchsorted(weeks, week[row]))
        if filled[i, v]:
            raise DataError(
                f"patient {ids[row]} has two rows at week {week[row]:g}", hint="keep one row a patient and visit"
            )
        filled[i, v] = True
        y[i, v] = y_long[row]
    return Panel(
        subjects,
        weeks,
        y,
        levels,
        np.array([float(a == levels[1]) for a in named]),
        base,
        nw.get_native_namespace(frame),
        LeftOut({f"without {visit}": int(np.isnan(week).sum())}),
    )
