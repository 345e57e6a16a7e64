"""What comes with the package, data only: one folder a trial.

``record.yaml`` what was published, ``scenario.yaml`` the trial rebuilt, ``fit.yaml`` how its scenario is fitted,
``judgements.yaml`` risk of bias, certainty and the way from evidence to decision. A trial is added by adding a
folder. A trial that is still to be designed has ``study.yaml``, a design study, and ``study.json``, its stored results.
"""

from __future__ import annotations

import csv
import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

Part = Literal["record", "scenario", "fit", "judgements", "study"]


def shipped(part: Part) -> list[str]:
    """Names of the trials that have this part, in order.

    >>> "valor" in shipped("scenario")
    True
    """
    folders = resources.files(__name__).iterdir()
    return sorted(f.name for f in folders if f.is_dir() and (f / f"{part}.yaml").is_file())


def shipped_file(trial: str, part: Part) -> Traversable | None:
    """The file of a trial's part; None where it does not come with the package.

    >>> shipped_file("valor", "record").name
    'record.yaml'
    >>> shipped_file("../valor", "record") is None
    True
    """
    file = resources.files(__name__) / trial / f"{part}.yaml"
    return file if trial.isidentifier() and file.is_file() else None


def stored_table(trial: str, name: str) -> dict[str, Any] | None:
    """Stored results of a trial, the JSON file ``name`` in its folder; None where they do not come with the package.

    >>> stored_table("valor", "posterior.json")["record"]
    'valor'
    >>> stored_table("../valor", "posterior.json") is None
    True
    """
    file = resources.files(__name__) / trial / name
    if not (trial.isidentifier() and file.is_file()):
        return None
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return read


def stored_rows(trial: str, name: str) -> list[dict[str, str]] | None:
    """Rows of a stored table of a trial, the CSV file ``name`` in its folder; None where it is not there.

    >>> stored_rows("valor", "posterior.csv")[0]["mechanism"]
    'none'
    >>> stored_rows("../valor", "posterior.csv") is None
    True
    """
    file = resources.files(__name__) / trial / name
    if not (trial.isidentifier() and file.is_file()):
        return None
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
