"""The synthetic trial of the fixtures as ADaM data sets, as CSV files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

FIXTURES = Path(__file__).parents[1] / "fixtures"


def write_trial(folder: Path) -> Path:
    """ADSL, ADEFF and ADTTE of the trial with 120 patients."""
    folder.mkdir(parents=True, exist_ok=True)
    subjects, visits = (pl.read_csv(FIXTURES / f"trial_{name}.csv") for name in ("subjects", "visits"))
    same = [pl.lit("EQP").alias("STUDYID")]
    one = subjects.rename({"BASE": "ALSFRSBL"}).drop("TTEWK", "EVENT")
    one = one.with_columns(*same, pl.lit("Y").alias("ITTFL"), pl.lit("Y").alias("SAFFL"))
    change = visits.select(
        "USUBJID", "TRT01P", "AVISITN", "AVISIT", "BASE", "AVAL", "CHG", "RILFL", "ONSETMO", *same,
        pl.lit("ALSFRS").alias("PARAMCD"), pl.lit("ALSFRS-R total").alias("PARAM"), pl.lit("Y").alias("ANL01FL"),
    )  # fmt: skip
    event = subjects.select(
        "USUBJID", "TRT01P", *same, pl.lit("DEATH").alias("PARAMCD"), pl.lit("Death (weeks)").alias("PARAM"),
        pl.col("TTEWK").alias("AVAL"), (1 - pl.col("EVENT")).alias("CNSR"),
    )  # fmt: skip
    for name, frame in (("adsl", one), ("adeff", change), ("adtte", event)):
        frame.write_csv(folder / f"{name}.csv")
    return folder
