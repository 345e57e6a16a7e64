"""The synthetic trial of the tests as a folder of ADaM files: python prepare.py FIXTURES FOLDER

FIXTURES holds trial_subjects.csv and trial_visits.csv (tests/fixtures). The patients are made up, and so is the upper
limit of the reference range of neurofilament.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from equipoise.trial.adam import from_frame, write_adam

fixtures, folder = map(Path, sys.argv[1:])
subjects = pl.read_csv(fixtures / "trial_subjects.csv")
visits = pl.read_csv(fixtures / "trial_visits.csv")

who = subjects.select("USUBJID", "TRT01P", pl.col("TRT01P").alias("TRT01A"), "STRATUM", "RILFL", "AGE", "ONSETMO")
adsl = who.with_columns(STUDYID=pl.lit("SYNTHETIC"), ITTFL=pl.lit("Y"), SAFFL=pl.lit("Y"))

seen = visits.select(
    "USUBJID",
    PARAMCD=pl.lit("ALSFRS"),
    PARAM=pl.lit("ALSFRS-R total score"),
    AVISIT=pl.format("Week {}", "AVISITN"),
    AVISITN=pl.col("AVISITN").cast(pl.Float64),
    AVAL="AVAL",
    BASE="BASE",
    CHG=pl.when(pl.col("AVISITN") > 0).then(pl.col("CHG")),
    ABLFL=pl.when(pl.col("AVISITN") == 0).then(pl.lit("Y")),
    ANL01FL=pl.lit("Y"),
)
blood = seen.with_columns(
    PARAMCD=pl.lit("NFL"),
    PARAM=pl.lit("Neurofilament light (pg/mL)"),
    AVAL=visits["LOGNFL"].exp(),
    BASE=visits["LOGNFLBL"].exp(),
    A1HI=pl.lit(40.0),
).with_columns(CHG=pl.when(pl.col("AVISITN") > 0).then(pl.col("AVAL") - pl.col("BASE")))
times = subjects.select(
    "USUBJID",
    PARAMCD=pl.lit("DTHPV"),
    PARAM=pl.lit("Death or permanent ventilation"),
    AVAL="TTEWK",
    AVALU=pl.lit("WEEKS"),
    CNSR=1.0 - pl.col("EVENT"),
)
frames = {"ADSL": adsl, "ADEFF": seen, "ADLB": blood, "ADTTE": times}
written = write_adam([from_frame(frame, name) for name, frame in frames.items()], folder)
print("\n".join(sorted(f"wrote {path.name}" for path in written)))
