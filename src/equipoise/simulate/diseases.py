"""The registry of diseases: what a disease is, which there are, and how another one is added.

A disease is a package of its own that hands over one :class:`DiseasePackage`. Scenarios, fits and replicas ask it for
everything that depends on the disease; nothing outside the package, ``library/`` and the words of ``appraise/`` knows
what it measures. A scenario names its disease by ``model`` in its section ``disease``; without one it is ``als``.

Three ways to be found: an entry in the table here (those that come with Equipoise), the entry point group
``equipoise.diseases`` of an installed package, or :func:`register_disease`, which lasts as long as the process. Other
processes (a cluster) know a disease by the first two alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from equipoise.errors import ScenarioError
from equipoise.files.tree import excerpt
from equipoise.simulate.mechanism import Mechanism

if TYPE_CHECKING:
    from equipoise.simulate.scenario import Scenario
    from equipoise.simulate.simulator import Simulator

DEFAULT = "als"
"""The disease of a scenario that names none."""

ENTRY_POINTS = "equipoise.diseases"
"""The group of entry points under which installed packages offer diseases: ``NAME = "module:PACKAGE"``."""


@dataclass(frozen=True)
class Marker:
    """The biomarker of a disease, as sentences and plans speak of it.

    short, long : its names in sentences. outcome : its name among the outcomes of a record. covariates : the baseline
    variables that are made from it.
    """

    short: str = "marker"
    long: str = "the marker"
    outcome: str | None = None
    covariates: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class DiseasePackage:
    """What a disease provides.

    Parameters
    ----------
    name : as ``disease: {model: NAME}`` of a scenario says it.
    title : one line on what it is.
    group, disease, effect, admission : the models (pydantic) that the sections of a scenario are read as: a recruitment
        group, what all groups share, how the drug acts under a mechanism, and who is admitted to a group. ``effect``
        has a field ``mechanism``.
    mechanisms : those that its effects know; ``none`` is among them.
    channels : what can be measured -> the part of a description that it needs, in words. ``outcomes`` of a scenario
        map the names of its record onto these.
    strata : groups (models) -> the names by which randomisation can be stratified besides the group.
    covariates : (groups, with a run-in or not) -> the baseline covariates that patients have.
    better : (scenario, channel) -> 1 where a higher value is better, -1 where it is worse, 0 where that is not known.
    check : raises ``ValueError`` (or :class:`equipoise.files.PlaceError`) for a scenario whose parts do not fit.
    simulator : ``module:class`` of the :class:`~equipoise.simulate.simulator.Simulator`; imported when first used.
    typical_course : ``module:function`` that gives the true states of a typical patient, if there is one.
    undisturbed : the values of ``disease`` at which everyone is observed at every visit, as a fit wants it.
    unlike : groups -> whether the arms begin as unlike as they happened to be in a published trial.
    marker : its biomarker in words.
    example : where a complete scenario is, as the end of a hint.
    covariate_words : covariate -> how a sentence names it.

    Examples
    --------
    >>> disease("als").mechanisms == frozenset(Mechanism) - {Mechanism.HARM}
    True
    """

    name: str
    title: str
    group: type[BaseModel]
    disease: type[BaseModel]
    effect: type[BaseModel]
    admission: type[BaseModel]
    mechanisms: frozenset[Mechanism]
    channels: Mapping[str, str]
    strata: Callable[[Sequence[Any]], tuple[str, ...]]
    covariates: Callable[[Sequence[Any], bool], tuple[str, ...]]
    better: Callable[[Scenario, str], int]
    check: Callable[[Scenario], None]
    simulator: str
    typical_course: str | None = None
    undisturbed: Mapping[str, Any] = field(default_factory=dict)
    unlike: Callable[[Sequence[Any]], bool] = lambda groups: False
    marker: Marker = Marker()
    example: str = ""
    covariate_words: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if Mechanism.NONE not in self.mechanisms:
            raise ValueError(f"disease {self.name!r}: the mechanism 'none' must be among its mechanisms")

    def engine(self) -> type[Simulator]:
        """The simulator's class, compiled code and all."""
        found: type[Simulator] = _imported(self.simulator)
        return found

    def course(self) -> Callable[..., Any]:
        """The function that gives a typical course.

        Raises
        ------
        ScenarioError : the disease has none.
        """
        if self.typical_course is None:
            raise ScenarioError(f"the disease {self.name!r} draws no typical course")
        found: Callable[..., Any] = _imported(self.typical_course)
        return found


_TABLE = {"als": "equipoise.simulate.als:PACKAGE", "progression": "equipoise.simulate.progression:PACKAGE"}
"""The diseases that come with Equipoise."""

_REGISTERED: dict[str, DiseasePackage] = {}
_LOCK = threading.Lock()


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@cache
def _installed() -> dict[str, Any]:
    """The entry points of other packages, by the name of the disease."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def register_disease(package: DiseasePackage) -> None:
    """Make a disease known to this process; the same one may be registered again.

    Raises
    ------
    ScenarioError : another disease has that name, or its class of ``disease``.
    """
    with _LOCK:
        taken = package.name in _TABLE or _REGISTERED.get(package.name, package) is not package
        if taken:
            raise ScenarioError(f"there is a disease {package.name!r} already", hint="give the new one another name")
        for other in _REGISTERED.values():
            if other is not package and other.disease is package.disease:
                raise ScenarioError(
                    f"the class {package.disease.__name__} belongs to the disease {other.name!r}",
                    hint="make a subclass of it for the new one",
                )
        _REGISTERED[package.name] = package


def disease_names() -> tuple[str, ...]:
    """The names of all diseases.

    >>> "als" in disease_names()
    True
    """
    return tuple(dict.fromkeys((*_TABLE, *_REGISTERED, *_installed())))


def disease(name: str) -> DiseasePackage:
    """A disease by its name.

    Raises
    ------
    ScenarioError : there is none of that name, or an installed package offers something else under it.
    """
    if name in _TABLE:
        found: Any = _imported(_TABLE[name])
    elif name in _REGISTERED:
        found = _REGISTERED[name]
    elif name in _installed():
        try:
            found = _installed()[name].load()
        except Exception as error:  # whatever another package does wrong on import
            raise ScenarioError(f"the disease {name!r} cannot be loaded from its package: {error}") from error
    else:
        known = ", ".join(disease_names())
        raise ScenarioError(f"there is no disease {excerpt(name)}; there are {known}", hint=f"choose one of {known}")
    if not isinstance(found, DiseasePackage) or found.name != name:
        raise ScenarioError(
            f"the entry point {name!r} of {ENTRY_POINTS} is no disease of that name",
            hint="it must name a DiseasePackage",
        )
    return found


def of_parts(parts: BaseModel) -> DiseasePackage:
    """The disease whose section ``disease`` is of this type.

    Raises
    ------
    ScenarioError : none is.
    """
    for names in (lambda: tuple(_TABLE), lambda: tuple(_REGISTERED), lambda: tuple(_installed())):
        for name in names():
            package = disease(name)
            if package.disease is type(parts):
                return package
    raise ScenarioError(f"{type(parts).__name__} is the description of no disease", hint="register its disease")
