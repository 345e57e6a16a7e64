"""Replicates of a scenario with all its analyses: blocks over threads, kept on disk, resumable."""

from __future__ import annotations

from equipoise.run.study import Study, run_study

__all__ = ["Study", "run_study"]
