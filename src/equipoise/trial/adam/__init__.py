"""The door: a real trial's CDISC ADaM files in, and a trial, virtual ones too, out as such files.

Read: SAS transport (XPT version 5 and 8), SAS7BDAT, Dataset-JSON 1.1 (plain, NDJSON, compressed), Parquet, CSV, with or
without Define-XML. Written: XPT version 5, Dataset-JSON 1.1, Parquet. See ``docs/adam.md``.
"""

from __future__ import annotations

from equipoise.trial.adam.checks import check, require
from equipoise.trial.adam.dataset import Dataset, Limits, Variable, from_frame
from equipoise.trial.adam.dataset_json import read_dataset_json, write_dataset_json
from equipoise.trial.adam.define import Define, read_define, write_define
from equipoise.trial.adam.folder import AdamStudy, DataProblem, read_adam, read_file, write_adam
from equipoise.trial.adam.mapping import from_trial, plain, to_trial
from equipoise.trial.adam.tabular import read_csv, read_parquet, read_sas7bdat, write_parquet
from equipoise.trial.adam.xpt import read_xpt, write_xpt

__all__ = [
    "AdamStudy",
    "DataProblem",
    "Dataset",
    "Define",
    "Limits",
    "Variable",
    "check",
    "from_frame",
    "from_trial",
    "plain",
    "read_adam",
    "read_csv",
    "read_dataset_json",
    "read_define",
    "read_file",
    "read_parquet",
    "read_sas7bdat",
    "read_xpt",
    "require",
    "to_trial",
    "write_adam",
    "write_dataset_json",
    "write_define",
    "write_parquet",
    "write_xpt",
]
