"""How kernels are compiled, once: the two decorators, and a cache on disk that notices every change.

Numba keeps compiled code on disk, under the time stamp of the file a function is written in. A kernel holds copies of
what it calls, so that a change in another file would go unnoticed. Here the stamp is a digest of the file and of
every file of the package it imports from, directly or not: whatever changes, the code is compiled anew, and a file
that is only touched or copied is not.

The cache lies in ``NUMBA_CACHE_DIR`` where that is set, else beside the sources, else in the user's cache folder. Where
none of them can be written, kernels are compiled in every process, and :func:`kept` says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

try:
    import fcntl
except ImportError:  # Windows has none: there numba's own order of writing has to do
    fcntl = None  # type: ignore[assignment]

PACKAGE = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(r"^\s*from\s+(equipoise[\w.]*)\s+import\s+(\([^)]*\)|[^\n#]*)", re.MULTILINE)
_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


@cache
def _source(file: Path) -> tuple[bytes, tuple[Path, ...]]:
    """The digest of one file, and the files of the package that it imports from."""
    text = file.read_text(encoding="utf-8")
    found = set()
    for module, names in _IMPORT.findall(text):
        place = PACKAGE.joinpath(*module.split(".")[1:])
        for path in (place, *(place / name for name in re.findall(r"\w+", names))):
            found |= {p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()}
    return hashlib.sha256(text.encode()).digest(), tuple(sorted(found))


@cache
def stamp(file: Path) -> str:
    """A digest of ``file`` and of every file of the package it imports from, directly or not."""
    seen, left = set(), [file]
    while left:
        path = left.pop()
        if path not in seen:
            seen.add(path)
            left += _source(path)[1]
    whole = hashlib.sha256()
    for path in sorted(seen):
        whole.update(path.name.encode() + b"\0" + _source(path)[0])
    return whole.hexdigest()


@contextlib.contextmanager
def _locked(folder: str, name: str) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    with open(os.path.join(folder, f".{name}"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function, under the digest of its sources; a full disk costs the cache, not the run."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)  # RuntimeError where there is no place for it
        self._cache_file._source_stamp = stamp(Path(function.__code__.co_filename).resolve())

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if there is room.

        One writer at a time: two at once could leave one signature's code under another's.
        """
        with contextlib.suppress(OSError), _locked(self.cache_path, "compiling"):
            super().save_overload(sig, data)

    def holds(self, types: tuple[Any, ...]) -> bool:
        """Whether there is code for arguments of these types."""
        return any(key[0] == types for key in self._cache_file._load_index())


_kept = True


def kept() -> bool:
    """Whether compiled code can be kept on disk; if not, every process compiles what it uses."""
    return _kept


def holds(function: Any, types: tuple[Any, ...]) -> bool:
    """Whether the cache has the code of a kernel for arguments of these Numba types."""
    return isinstance(function._cache, _Cache) and function._cache.holds(types)


def alone(function: Any, name: str) -> contextlib.AbstractContextManager[None]:
    """One process at a time, where ``function`` has its cache."""
    return _locked(function._cache.cache_path, name)


def _cached(function: Any) -> Any:
    global _kept
    try:
        function._cache = _Cache(function.py_func)
    except (RuntimeError, OSError):
        _kept = False
    return function


def kernel(function: Any) -> Any:
    """Compile a function that Python calls: releases the lock of the interpreter, kept on disk, never parallel."""
    return _cached(njit(**_OPTIONS)(function))


def inner(function: Any) -> Any:
    """Compile a helper that only kernels call: no entry from Python, which is a third less to compile."""
    return _cached(njit(no_cpython_wrapper=True, **_OPTIONS)(function))


def inlined(function: Any) -> Any:
    """A few lines that are copied into every kernel that calls them, before it is compiled."""
    return njit(inline="always", **_OPTIONS)(function)
