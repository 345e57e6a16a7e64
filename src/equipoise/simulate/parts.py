"""The sections of a scenario whose type depends on the disease."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel
from pydantic_core import core_schema

from equipoise.errors import ScenarioError
from equipoise.files import PlaceError
from equipoise.simulate.diseases import DEFAULT, DiseasePackage, disease, disease_names, of_parts

_CURRENT: ContextVar[DiseasePackage | None] = ContextVar("disease", default=None)


@contextlib.contextmanager
def reading(package: DiseasePackage) -> Iterator[None]:
    """Sections that are read inside are those of this disease."""
    token = _CURRENT.set(package)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class Part:
    """The type of a section that the disease gives: ``Annotated[Any, Part("group")]``.

    Outside a scenario an instance is taken as it is, and data are those of the default disease.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def stands_for(self) -> type[BaseModel]:
        """The model of the disease that is being read."""
        found: type[BaseModel] = getattr(_CURRENT.get() or disease(DEFAULT), self.name)
        return found

    def _read(self, given: Any) -> Any:
        if _CURRENT.get() is None and isinstance(given, BaseModel):
            return given
        return self.stands_for().model_validate(given)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)


def of_disease(raw: Any) -> tuple[DiseasePackage, Any]:
    """The disease of a scenario as given, and the scenario without that name.

    ``disease: {model: NAME, ...}``, or ``disease: NAME`` where nothing else needs to be said of it.

    Raises
    ------
    PlaceError : there is no such disease; the message lists those that there are.
    """
    if not isinstance(raw, Mapping):
        return disease(DEFAULT), raw
    section = raw.get("disease")
    place: tuple[str, ...] = ("disease",)
    if isinstance(section, BaseModel):
        return of_parts(section), raw
    if isinstance(section, str):
        name, rest = section, {}
    elif isinstance(section, Mapping):
        given = section.get("model", DEFAULT)
        if "model" in section:
            place = ("disease", "model")
        if not isinstance(given, str):
            raise PlaceError(f"a disease is named by a word; there are {', '.join(disease_names())}", *place)
        name, rest = given, {k: v for k, v in section.items() if k != "model"}
    else:
        return disease(DEFAULT), raw
    try:
        package = disease(name)
    except ScenarioError as error:
        raise PlaceError(error.message, *place) from None
    return package, {**raw, "disease": rest}
