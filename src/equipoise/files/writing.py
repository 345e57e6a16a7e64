"""Writing a file or a folder whole or not at all.

A regular file is written under a temporary name in the same folder, flushed to the disk and then renamed: whoever
looks sees the old file or the new one. A device, a pipe and ``/dev/stdout`` are written to and never replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from equipoise.errors import OutputError
from equipoise.files.reading import reason, shown

PREFIX = ".equipoise-"
"""Temporary names begin with this; what is left of one after a power cut may be removed."""

_DESCRIPTOR = re.compile(r"^/(?:dev|proc/self)/(?:fd/(\d+)|(stdin|stdout|stderr))$")
_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


def _descriptor(path: Path) -> int | None:
    """The open descriptor that a path means (``/dev/stdout``, ``/dev/fd/3``), through links; else None."""
    name = os.path.abspath(path)
    for _ in range(20):
        if match := _DESCRIPTOR.match(name):
            return int(match[1]) if match[1] else _NUMBERS[match[2]]
        if not os.path.islink(name):
            return None
        name = os.path.normpath(os.path.join(os.path.dirname(name), os.readlink(name)))
    return None


def _refused(path: Path, error: OSError | ValueError) -> OutputError:
    return OutputError(f"{shown(path)}: cannot be written ({reason(error)})", hint="choose another place")


def _target(path: Path) -> tuple[Path, bool]:
    """(where to write, whether it is to be replaced as a whole). Raises :class:`OutputError` where it cannot be."""
    try:
        if _descriptor(path) is not None:
            return path, False
        found = os.stat(path) if os.path.lexists(path) and os.path.exists(path) else None
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise OutputError(f"{shown(path)}: is a folder", hint=f"name a file in it, e.g. {shown(path / 'result')}")
        if found is not None and not stat.S_ISREG(found.st_mode):
            return path, False
        real = Path(os.path.realpath(path))
        if len(os.fsencode(real.name)) > 255:
            raise OutputError(f"{shown(path)}: cannot be written (its name is too long)", hint="choose a shorter name")
        folder = real.parent
        if not folder.is_dir():
            raise OutputError(
                f"{shown(path)}: the folder {shown(folder)} does not exist",
                hint=f"make it first: mkdir -p {shown(folder)}",
            )
        if found is not None and not os.access(real, os.W_OK):
            raise OutputError(f"{shown(path)}: cannot be written (permission denied)", hint="choose another name")
    except (OSError, ValueError) as error:
        raise _refused(path, error) from None
    return real, True


def check_writable(path: str | Path) -> None:
    """Refuse an output path before the work starts, not after.

    Raises
    ------
    OutputError : the folder is missing or not to be written to, or the path is a folder.
    """
    real, whole = _target(Path(path))
    if not whole:
        return
    try:
        handle, name = _temporary(real.parent)
        os.close(handle)
        os.unlink(name)
    except OSError as error:
        raise OutputError(
            f"{shown(path)}: cannot be written ({reason(error)})", hint="choose a folder you may write to"
        ) from None


def _temporary(folder: Path) -> tuple[int, Path]:
    """A new file in a folder, open for writing, with the permissions of any new file."""
    while True:
        name = folder / f"{PREFIX}{secrets.token_hex(8)}"
        with contextlib.suppress(FileExistsError):
            return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666), name


@contextmanager
def open_whole(path: str | Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A binary file to write to, that takes its place when the block ends without an error; else nothing changes.

    ``durable``: wait until it is on the disk, so that a power cut leaves the old file or the new one.

    Raises
    ------
    OutputError : it cannot be written; a full disk among the reasons.
    """
    path = Path(path)
    real, whole = _target(path)
    if not whole:
        with _passed_on(path) as stream:
            yield stream
        return
    try:
        handle, name = _temporary(real.parent)
    except OSError as error:
        raise _refused(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            os.chmod(name, stat.S_IMODE(os.stat(real).st_mode))
        os.replace(name, real)
        if durable:
            _sync_folder(real.parent)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


@contextmanager
def _passed_on(path: Path) -> Iterator[IO[bytes]]:
    """A device, pipe or open descriptor, written to as it is."""
    number = _descriptor(path)
    try:
        if number == 1 and sys.stdout is not None:
            sys.stdout.flush()
        handle = os.dup(number) if number is not None else os.open(path, os.O_WRONLY)
        with os.fdopen(handle, "wb") as stream:
            yield stream
    except BrokenPipeError:
        raise  # the reader went away: no fault of ours or of the user
    except OSError as error:
        raise _refused(path, error) from None


def _sync_folder(folder: Path) -> None:
    """Put the names of a folder on the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: str | Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all; see :func:`open_whole`."""
    with open_whole(path, durable=durable) as file:
        file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all; see :func:`open_whole`."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def fill_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder whose files move to ``folder`` when the block ends without an error; else nothing changes.

    A folder that is not there yet appears with all its files at once. In one that is there, files of the same names
    are replaced; others stay. Ctrl-C waits for the moves, and where one of them fails those before it are undone.

    Raises
    ------
    OutputError : the folder cannot be made or written to.
    """
    folder = Path(folder)
    try:
        real = Path(os.path.realpath(folder))
        if real.exists() and not real.is_dir():
            raise OutputError(f"{shown(folder)}: is no folder", hint="choose another name")
        new = not real.exists()
        if new:
            if len(os.fsencode(real.name)) > 255:
                raise OutputError(f"{shown(folder)}: cannot be made (its name is too long)", hint="choose another name")
            real.parent.mkdir(parents=True, exist_ok=True)
        staged = (real.parent if new else real) / f"{PREFIX}{secrets.token_hex(8)}"
        staged.mkdir()
    except (OSError, ValueError) as error:
        raise _refused(folder, error) from None
    try:
        yield staged
        with _undisturbed():
            try:
                if new:
                    os.rename(staged, real)
                else:
                    _move_in(staged, real)
                _sync_folder(real.parent if new else real)
            except OSError as error:
                raise _refused(folder, error) from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _move_in(staged: Path, real: Path) -> None:
    """Move every file of ``staged`` to ``real``, or, where one cannot be moved, none."""
    kept = staged / "before"
    made = sorted(staged.iterdir())
    kept.mkdir()
    done: list[str] = []
    try:
        for one in made:
            target = real / one.name
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{shown(target)} is a folder")
            if os.path.lexists(target):
                try:
                    os.link(target, kept / one.name, follow_symlinks=False)
                except OSError:  # a file system without links
                    os.replace(target, kept / one.name)
                    done.append(one.name)
            os.replace(one, target)
            done.append(one.name)
    except OSError:
        for name in reversed(list(dict.fromkeys(done))):
            with contextlib.suppress(OSError):
                if os.path.lexists(kept / name):
                    os.replace(kept / name, real / name)
                else:
                    os.unlink(real / name)
        raise


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the block has ended (in the main thread; others never see them)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    kept: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        kept[number] = signal.signal(number, lambda got, _: caught.append(got))
    try:
        yield
    finally:
        for sent, handler in kept.items():
            signal.signal(sent, handler)
        for sent in caught:
            signal.raise_signal(sent)
