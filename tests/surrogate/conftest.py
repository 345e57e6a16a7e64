"""Data of Daniels & Hughes 1997, Stat Med 16:1965: 15 comparisons of HIV drugs."""

from __future__ import annotations

import polars as pl
import pytest

TRUE = (0.048, -1.035, -0.235, -1.313, -0.598, -0.447, 0.267, 0.096, 0.180, 0.112, -0.035, -0.102, -0.348, 0.148, 0.211)
TRUE_VAR = (
    0.008464,
    0.1369,
    0.079524,
    0.423801,
    0.499849,
    0.535824,
    0.014641,
    0.024336,
    0.0169,
    0.014641,
    0.1156,
    0.014641,
    0.040804,
    0.268324,
    0.066564,
)
CD4 = (-9.2, 56.0, 28.8, 67.1, 32.2, -4.7, -9.1, 11.8, 15.9, -8.9, 12.8, 27.5, 36.1, 7.3, 25.8)
CD4_VAR = (81.0, 139.24, 121.0, 282.24, 324.0, 37.21, 31.36, 70.56, 28.09, 33.64, 90.25, 17.64, 42.25, 104.04, 53.29)


def daniels_hughes() -> pl.DataFrame:
    return pl.DataFrame(
        {"cd4": CD4, "cd4_se": [v**0.5 for v in CD4_VAR], "log_hr": TRUE, "log_hr_se": [v**0.5 for v in TRUE_VAR]}
    )


@pytest.fixture
def hiv() -> pl.DataFrame:
    return daniels_hughes()
