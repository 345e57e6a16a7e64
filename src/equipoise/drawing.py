"""Where drawings come from: named here, so that a result draws itself and yet knows nothing of the room of pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from equipoise.errors import EquipoiseError

_load: Callable[[], Any] | None = None


def draw_with(load: Callable[[], Any]) -> None:
    """Say where drawings come from: ``load`` gives the module with one function a kind of picture, when first asked."""
    global _load
    _load = load


def drawing(kind: str) -> Callable[..., Any]:
    """The function that draws pictures of ``kind``; raises :class:`EquipoiseError` where there is nothing to draw with.

    Examples
    --------
    >>> import equipoise
    >>> drawing("forest").__name__
    'forest'
    """
    if _load is None:
        raise EquipoiseError("there is nothing to draw with", hint="import equipoise")
    found: Callable[..., Any] = getattr(_load(), kind)
    return found
