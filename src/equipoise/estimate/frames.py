"""Data frames as they come in, of whatever library: what is a frame, which rows, which columns there must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from narwhals.exceptions import DuplicateError

from equipoise.errors import DataError
from equipoise.types import BoolArray


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


def refuse(bad: BoolArray, text: str, hint: str) -> None:
    """Raise :class:`DataError` with the first row (row,) that is ``bad``."""
    if bad.any():
        raise DataError(f"row {int(np.flatnonzero(bad)[0]) + 1}: {text}", hint=hint)


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
