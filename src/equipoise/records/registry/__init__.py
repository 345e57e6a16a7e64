"""The registry door: a ClinicalTrials.gov entry becomes a record, and nothing of it is lost without being named."""

from __future__ import annotations

from equipoise.records.registry.fetch import REGISTRY, fetch_study, is_number
from equipoise.records.registry.importer import import_study, read_study, record_yaml
from equipoise.records.registry.report import Assumed, Import, Unmapped

__all__ = [
    "REGISTRY",
    "Assumed",
    "Import",
    "Unmapped",
    "fetch_study",
    "import_study",
    "is_number",
    "read_study",
    "record_yaml",
]
