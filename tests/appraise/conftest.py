"""Fixtures: VALOR, a record with next to nothing in it, a made-up replica, and the documents made from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from synthetic_replica import synthetic_replica

from equipoise.appraise import appraise
from equipoise.document.document import Document
from equipoise.records import Record, load_record
from equipoise.replica.replica import Replica


def minimal_data() -> dict[str, Any]:
    """The least that the schema takes: two arms, one set, one outcome, no result."""
    return {
        "id": "tiny",
        "title": "A tiny trial",
        "condition": "an ailment",
        "citations": [{"id": "paper", "text": "Nobody A. A tiny trial. J Nowhere."}],
        "sources": {"P": {"title": "The paper"}},
        "design": {
            "source": "P",
            "confidence": "seen",
            "phase": "exploratory",
            "type": "parallel groups",
            "masking": "open",
            "allocation": {"drug": 1, "none": 1},
            "n_actual": 20,
        },
        "arms": [
            {
                "id": "drug",
                "label": "Drug",
                "role": "active",
                "n": 10,
                "drug": "a drug",
                "source": "P",
                "confidence": "seen",
            },
            {
                "id": "none",
                "label": "Nothing",
                "role": "control",
                "n": 10,
                "drug": "nothing",
                "source": "P",
                "confidence": "seen",
            },
        ],
        "sets": [
            {
                "id": "ALL",
                "label": "All",
                "definition": "everyone",
                "n": {"drug": 10, "none": 10},
                "source": "P",
                "confidence": "seen",
            }
        ],
        "outcomes": [
            {
                "id": "SCORE",
                "label": "Score",
                "scale": "linear",
                "direction": "higher_better",
                "role": "primary",
                "source": "P",
                "confidence": "seen",
            }
        ],
        "methods": [],
    }


@pytest.fixture(scope="session")
def valor() -> Record:
    return load_record("valor")


@pytest.fixture(scope="session")
def tiny() -> Record:
    return Record.model_validate(minimal_data())


@pytest.fixture(scope="session")
def replica(valor: Record) -> Replica:
    return synthetic_replica(valor)


@pytest.fixture(scope="session")
def page(valor: Record) -> Document:
    return appraise(valor)


@pytest.fixture(scope="session")
def full_page(valor: Record, replica: Replica) -> Document:
    return appraise(valor, replica)
