"""Findings, the replica, questions by reader: the page as an immutable document."""

from __future__ import annotations

from typing import Any

from equipoise.appraise.brief import in_brief
from equipoise.appraise.build import appraise
from equipoise.appraise.deck import in_slides
from equipoise.appraise.questions import question_set
from equipoise.document.document import Document, DocumentError, UncitedNumberError
from equipoise.document.readers import LEVELS, READERS, SPECIALTIES, STAGES, Reader
from equipoise.replica.replica import Answer, Band, MechanismRow, Replica, ReplicaRow
from equipoise.verb import make_verb

__all__ = [
    "LEVELS",
    "READERS",
    "SPECIALTIES",
    "STAGES",
    "Answer",
    "Band",
    "Document",
    "DocumentError",
    "MechanismRow",
    "Reader",
    "Replica",
    "ReplicaRow",
    "UncitedNumberError",
    "appraise",
    "in_brief",
    "in_slides",
    "question_set",
    "replicate",
]


def __getattr__(name: str) -> Any:
    # the simulation is heavy to import and a page without a replica does not need it
    if name == "replicate":
        from equipoise.replica.rebuild import replicate

        globals()["replicate"] = replicate
        return replicate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


make_verb(__name__)
