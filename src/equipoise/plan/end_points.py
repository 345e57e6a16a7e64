"""End points in time: PARAMCD of ADTTE, the name by which keys and fits know it, and the events that it counts.

Death is known here; what else there is, a disease declares when it is loaded (:func:`declare`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EndPoint:
    """An end point: its name, and the intercurrent events that are an event of it."""

    name: str
    counts: tuple[str, ...] = ()


_KNOWN: dict[str, EndPoint] = {"DEATH": EndPoint("death", ("death",))}


def declare(**points: EndPoint) -> None:
    """Make end points known by their PARAMCD."""
    _KNOWN.update(points)


def name_of(parameter: str) -> str:
    """The name of an end point; the PARAMCD itself where none is declared.

    >>> name_of("DEATH")
    'death'
    """
    return _KNOWN[parameter].name if parameter in _KNOWN else parameter


def parameter_of(name: str) -> str:
    """The PARAMCD of an end point by its name.

    >>> parameter_of("death")
    'DEATH'
    """
    return next((code for code, point in _KNOWN.items() if point.name == name), name)


def known() -> tuple[str, ...]:
    """The names of all end points."""
    return tuple(point.name for point in _KNOWN.values())


def counted(name: str) -> tuple[str, ...]:
    """The intercurrent events that are an event of an end point."""
    return next((point.counts for point in _KNOWN.values() if point.name == name), ())


def intercurrent_events() -> tuple[str, ...]:
    """The events that plans of scenarios speak of: death, what else an end point counts, and withdrawal."""
    others = (event for point in _KNOWN.values() for event in point.counts if event != "death")
    return ("death", *dict.fromkeys(others), "withdrawal")
