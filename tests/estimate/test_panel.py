"""Columns of a data frame as numbers."""

from __future__ import annotations

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise.errors import DataError
from equipoise.estimate.columns import numbers


@pytest.mark.parametrize(
    "data",
    [
        pl.DataFrame({"X": [None, None]}),
        pl.DataFrame({"X": [None, None]}, schema={"X": pl.String}),
        pd.DataFrame({"X": [None, None]}),
        pd.DataFrame({"X": [None, float("nan")]}, dtype=object),
    ],
)
def test_property_a_column_without_values_is_missing_throughout(data: object) -> None:
    values = numbers(nw.from_native(data, eager_only=True), "X")
    assert values.dtype == np.float64
    assert np.isnan(values).all()
    assert values.shape == (2,)


def test_property_text_is_not_a_number_and_infinity_is_named() -> None:
    frame = nw.from_native(pl.DataFrame({"X": ["1", None], "Y": [1.0, float("inf")], "B": [True, None]}))
    with pytest.raises(DataError, match="'X' is not a number but String"):
        numbers(frame, "X")
    with pytest.raises(DataError, match="'Y' is infinite in row 2"):
        numbers(frame, "Y")
    np.testing.assert_array_equal(numbers(frame, "B"), [1.0, np.nan])
