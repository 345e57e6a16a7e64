"""The next trial: designs judged in worlds, on virtual trials of a scenario.

A study (:class:`DesignStudy`, one YAML file) names factors, worlds and analyses; ``equipoise.design(study)`` carries it
out and gives a :class:`DesignResult`. The names are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equipoise.verb import make_verb

if TYPE_CHECKING:
    from equipoise.design.carry_out import design as design
    from equipoise.design.result import DesignResult as DesignResult
    from equipoise.design.study import DesignStudy as DesignStudy
    from equipoise.design.study import load_study as load_study
    from equipoise.design.study import parse_study as parse_study

_PLACES = {
    "DesignResult": "result",
    "DesignStudy": "study",
    "design": "carry_out",
    "load_study": "study",
    "parse_study": "study",
}
__all__ = ["DesignResult", "DesignStudy", "design", "load_study", "parse_study"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"equipoise.design.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


make_verb(__name__)
