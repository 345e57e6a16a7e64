"""Published trials: the schema, one YAML file per trial with a source on every number, and the coherence checks."""

from __future__ import annotations

from equipoise.files import Problem as RecordProblem
from equipoise.records.coherence import Note, coherence_notes
from equipoise.records.load import RecordInfo, check_record, list_records, load_record
from equipoise.records.schema import Contrast, Curve, Entry, Fact, PValue, Record, Result, Source, Value

__all__ = [
    "Contrast",
    "Curve",
    "Entry",
    "Fact",
    "Note",
    "PValue",
    "Record",
    "RecordInfo",
    "RecordProblem",
    "Result",
    "Source",
    "Value",
    "check_record",
    "coherence_notes",
    "list_records",
    "load_record",
]
