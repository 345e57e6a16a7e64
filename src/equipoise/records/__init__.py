"""Published trials: the schema, one YAML file per trial with a source on every number, and the coherence checks."""

from __future__ import annotations

from equipoise.records.schema import Record, Result, Value

__all__ = ["Record", "Result", "Value"]
