"""The errors Equipoise raises, each with a hint.

::

    EquipoiseError
    ├── RecordError        a published-trial record cannot be read or contradicts itself
    ├── ScenarioError      a scenario, protocol or analysis plan is impossible
    ├── DataError          trial data (frames, arrays, ADaM files) are not usable
    │   └── NoVisitError   a visit that was asked for is not in them
    ├── EstimationError    a single-trial analysis was asked for that cannot be done
    └── OutputError        a result cannot be written where it was asked for

Every message says what was found; ``hint`` says what was expected and how to mend it. The command line prints
both and exits with ``exit_code``; it never shows a traceback for one of these.

Batched code does not raise: it returns a status per trial (see :mod:`equipoise.types`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

EXTRAS: dict[str, dict[str, str]] = {
    "bayes": {"jax": "jax", "numpyro": "numpyro"},
    "cluster": {"distributed": "distributed"},
    "office": {"docx": "python-docx", "pptx": "python-pptx"},
    "registry": {"httpx": "httpx"},
    "sas": {"pyreadstat": "pyreadstat"},
    "studio": {
        "fastapi": "fastapi",
        "uvicorn": "uvicorn",
        "multipart": "python-multipart",
        "django_htmx": "django-htmx",
        "httpx": "httpx",
    },
}
"""The extras of the package that a user installs: what each imports -> the package that holds it."""


class EquipoiseError(Exception):
    """Base of all errors a user can cause or mend."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class RecordError(EquipoiseError):
    """A record of a published trial cannot be read, is malformed or contradicts itself."""


class ScenarioError(EquipoiseError):
    """A scenario (population, mechanism, protocol, analysis plan) is malformed or impossible."""


class DataError(EquipoiseError):
    """Trial data cannot be used as they are: a column, row, subject or visit is wrong."""


class NoVisitError(DataError):
    """A visit that was asked for is not in the data: a mistake of who asks, not of the data."""


class EstimationError(EquipoiseError):
    """An analysis of one trial cannot be done as asked."""


class OutputError(EquipoiseError):
    """A result cannot be written where it was asked for."""


def at(error: Exception, place: str) -> Exception:
    """The error with the place in a file that it is about, ``plan.yaml, line 12``, before its message.

    >>> str(at(DataError("no subject is in arm 'B'"), "plan.yaml, line 3"))
    "plan.yaml, line 3: no subject is in arm 'B'"
    """
    if place and isinstance(error, EquipoiseError) and not error.message.startswith(place):
        error.message = f"{place}: {error.message}"
        error.args = (error.message,)
    return error


def install(extra: str) -> str:
    """The command that installs an extra.

    >>> install("office")
    "python -m pip install 'equipoise[office]'"
    """
    return f"python -m pip install 'equipoise[{extra}]'"


def needed(extra: str, what: str, *modules: str, error: type[EquipoiseError] = OutputError, besides: str = "") -> Any:
    """The first of the ``modules`` of an extra (all that it has, where none is named).

    what : what needs them, as the message begins. besides : another way, said after the command.

    Raises
    ------
    OutputError : one of them is not installed, or needs what is not; the hint is the command that installs the extra.
        ``error`` is raised in its place where it is named.
    """
    found = []
    for module in modules or EXTRAS[extra]:
        package = EXTRAS[extra][module.partition(".")[0]]
        try:
            found.append(import_module(module))
        except ImportError as missing:
            why = f"{package}, which is not installed"
            if missing.name and missing.name.partition(".")[0] != module.partition(".")[0]:
                why = f"{package}, which cannot be loaded without {missing.name}"
            hint = install(extra) + (f"; {besides}" if besides else "")
            raise error(f"{what} needs the package {why}", hint=hint) from None
    return found[0]
