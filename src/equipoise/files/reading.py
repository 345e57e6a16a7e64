"""Reading a file that a person named: regular files and ``-`` (standard input) alone, no more than a stated size."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path
from typing import IO, Any, NoReturn

from equipoise.errors import DataError, EquipoiseError

STDIN = "-"
_CHUNK = 1 << 16

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def shown(path: str | Path) -> str:
    """A path as it may be printed: printable, and not longer than 120 characters."""
    text = str(path)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 120 else f"{text[:80]}...{text[-30:]}"


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be opened, read or written, in a few words.

    >>> reason(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full'
    """
    number = getattr(error, "errno", None)
    own = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.ENAMETOOLONG: "its name is too long",
        errno.ELOOP: "its links go round in a circle",
        errno.EACCES: "permission denied",
        errno.EROFS: "the file system is read-only",
    }
    if number in own:
        return own[number]
    return str(getattr(error, "strerror", None) or error)


def exists(path: str | Path) -> bool:
    """Whether there is something at a path; False also for a path that cannot be one (too long, a NUL in it)."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def read_bytes(
    path: str | Path,
    *,
    max_bytes: int,
    error: type[EquipoiseError] = DataError,
    hint: str | None = None,
    stdin: bool = False,
) -> bytes:
    """The bytes of a regular file.

    Parameters
    ----------
    max_bytes : more than this is refused, after that many bytes have been read at most.
    error : what is raised.
    hint : said where there is no such file.
    stdin : whether ``-`` means standard input.

    Raises
    ------
    EquipoiseError : (``error``) no such file, a folder, device or pipe, too large, or not to be read.
    """
    if stdin and str(path) == STDIN:
        raw = _bounded(sys.stdin.buffer, max_bytes) if sys.stdin is not None else b""
        if len(raw) > max_bytes:
            _too_large("standard input", max_bytes, error)
        return raw
    name = shown(path)
    try:
        found = os.stat(path)
        for is_kind, kind in _KINDS:
            if is_kind(found.st_mode):
                advice = f"give a file in it, or the folder where one is asked for: {name}"
                raise error(f"{name} is {kind}", hint=advice if kind == "a folder" else "give a regular file")
        if found.st_size > max_bytes:
            _too_large(name, max_bytes, error)
        with open(path, "rb") as file:
            raw = _bounded(file, max_bytes)
    except FileNotFoundError:
        raise error(f"there is no file {name}", hint=hint) from None
    except (OSError, ValueError) as problem:
        raise error(f"{name} cannot be read: {reason(problem)}") from None
    if len(raw) > max_bytes:
        _too_large(name, max_bytes, error)
    return raw


def _bounded(file: IO[bytes], max_bytes: int) -> bytes:
    """At most ``max_bytes`` and one more; no more memory is asked for than there is to read."""
    out = bytearray()
    while len(out) <= max_bytes and (more := file.read(min(_CHUNK, max_bytes + 1 - len(out)))):
        out += more
    return bytes(out)


def _too_large(name: str, max_bytes: int, error: type[EquipoiseError]) -> NoReturn:
    raise error(f"{name} has more than {max_bytes:,} bytes", hint="is this the right file?")


def read_text(
    path: str | Path,
    *,
    max_bytes: int,
    encoding: str = "utf-8-sig",
    error: type[EquipoiseError] = DataError,
    hint: str | None = None,
    stdin: bool = False,
) -> str:
    """The text of a regular file; see :func:`read_bytes`. Raises also for text in another encoding."""
    raw = read_bytes(path, max_bytes=max_bytes, error=error, hint=hint, stdin=stdin)
    return decoded(raw, shown(path), encoding=encoding, error=error)


def decoded(raw: bytes, name: str, *, encoding: str = "utf-8-sig", error: type[EquipoiseError] = DataError) -> str:
    """Bytes as text.

    >>> decoded(b"caf\\xe9", "menu", encoding="latin-1")
    'café'
    """
    check_encoding(encoding, error=error)
    known = "UTF-8" if encoding == "utf-8-sig" else encoding
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise error(
            f"{name}, line {line}: byte 0x{raw[problem.start]:02x} is not {known} text", hint=f"save it as {known}"
        ) from None


def check_encoding(encoding: str | None, *, error: type[EquipoiseError] = DataError) -> None:
    """Raise ``error`` for an encoding of text that is not known; None passes.

    >>> check_encoding("cp1252")
    """
    if encoding is None:
        return
    try:
        b"".decode(encoding)
        "".encode(encoding)
    except (LookupError, ValueError, UnicodeError):
        name = encoding if encoding.isprintable() and len(encoding) <= 40 else repr(encoding)[:40]
        raise error(f"unknown encoding {name!r}", hint="utf-8, cp1252 or latin-1, for example") from None


def parse_json(raw: bytes, name: str, *, error: type[EquipoiseError] = DataError, hint: str | None = None) -> Any:
    """JSON as Python data. NaN and Infinity, which are no JSON, are refused.

    Raises
    ------
    EquipoiseError : (``error``) not UTF-8, not JSON, or nested beyond reason; with the line where one is known.
    """
    text = decoded(raw, name, error=error)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise error(f"{name} is no JSON: {where}: {_rest(text, problem.pos)}", hint=hint) from None
    except _Constant as problem:
        raise error(f"{name} is no JSON: {problem} is no number there", hint=hint) from None
    except (RecursionError, ValueError):
        raise error(f"{name} cannot be read: nested too deeply, or a number too long", hint=hint) from None


class _Constant(Exception):
    """A word such as NaN among JSON."""


def _no_constant(text: str) -> NoReturn:
    raise _Constant(text)


def _rest(text: str, position: int) -> str:
    rest = text[position : position + 30].splitlines()
    return f"found {rest[0]!r}" if rest and rest[0] else "the text ends too early"
