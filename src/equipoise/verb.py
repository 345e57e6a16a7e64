"""A room that is also a verb: ``equipoise.appraise`` holds the room, ``equipoise.appraise(record)`` does the work."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class Verb(ModuleType):
    """A module that is called as its function of the same name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **options)


def make_verb(module: str) -> None:
    """Let ``module`` be called as its function of the same name.

    >>> import equipoise
    >>> callable(equipoise.appraise)
    True
    """
    sys.modules[module].__class__ = Verb
