"""Finding, reading and checking records: those that come with the package and those in a user's folder."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from equipoise.errors import RecordError
from equipoise.files import BrokenDocument, Node, problems_of, read_bytes
from equipoise.files import Problem as RecordProblem
from equipoise.files.reading import exists, reason, shown
from equipoise.files.tree import MAX_BYTES, Path, data, locate, read, show_path
from equipoise.library import shipped, shipped_file
from equipoise.records.check import contradictions
from equipoise.records.schema import Record

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class RecordInfo:
    """One line of the list of records. ``record`` is None where the file has ``problems``."""

    name: str
    origin: str
    """``built in``, or the path of the file."""
    record: Record | None
    problems: tuple[RecordProblem, ...] = ()


def load_record(name_or_path: str | FilePath, records_dir: str | FilePath | None = None) -> Record:
    """Load a record by name (``"valor"``) or by the path of a YAML file.

    A name is looked up in ``records_dir`` first, then among the records that come with the package.

    Raises
    ------
    RecordError : there is no such record, it cannot be read, or it has problems (the first few are named).
    """
    raw, shown = _fetch(name_or_path, records_dir)
    record, problems = parse_record(raw)
    if record is None or problems:
        lines = "\n".join(f"  {p}" for p in problems[:3])
        more = f"\n  and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise RecordError(
            f"{shown} is not a sound record:\n{lines}{more}", hint=f"see them all: equipoise records check {shown}"
        )
    return record


def check_record(path: str | FilePath) -> list[RecordProblem]:
    """Every problem of the record in a file, in the order of its lines; empty if it is sound.

    Raises
    ------
    RecordError : the file is not there or cannot be opened.
    """
    return parse_record(_read_file(FilePath(path)))[1]


def list_records(records_dir: str | FilePath | None = None) -> list[RecordInfo]:
    """The records in ``records_dir`` and those of the package, by name; a user's record hides a built-in namesake.

    A file that is not sound is listed with its problems.
    """
    files: dict[str, tuple[bytes, str]] = {name: (raw, "built in") for name, raw in _built_in().items()}
    if records_dir is not None:
        for path in _folder(records_dir):
            files[path.stem] = (_read_file(path), str(path))
    out = []
    for name in sorted(files):
        raw, origin = files[name]
        record, problems = parse_record(raw)
        out.append(RecordInfo(name, origin, None if problems else record, tuple(problems)))
    return out


def record_files(records_dir: str | FilePath) -> list[FilePath]:
    """The record files in a folder, by name. Raises :class:`RecordError` if it is no folder."""
    return _folder(records_dir)


def resolve_file(name_or_path: str | FilePath, records_dir: str | FilePath | None = None) -> FilePath:
    """The file that a path or a record's name means: the path itself, else in ``records_dir``, else built in.

    A path that does not exist is handed back as it is, for the reader to say so.
    """
    text = str(name_or_path)
    path = FilePath(name_or_path)
    if exists(path) or text.endswith(SUFFIXES) or "/" in text or "\\" in text:
        return path
    if records_dir is not None:
        for own in _folder(records_dir):
            if own.stem == text:
                return own
    built_in = shipped_file(text, "record")
    if built_in is not None:
        return FilePath(str(built_in))
    return path


def parse_record(raw: bytes) -> tuple[Record | None, list[RecordProblem]]:
    """Read a record from the bytes of a YAML file; the record (if its shape is sound) and all problems found."""
    record, problems = _parsed(raw)
    return record, list(problems)


@lru_cache(maxsize=64)
def _parsed(raw: bytes) -> tuple[Record | None, tuple[RecordProblem, ...]]:
    """The same, kept: a page reads the records of the trials beside its own many times, and a record is frozen."""
    try:
        root = read(raw)
    except BrokenDocument as broken:
        return None, (broken.problem,)
    if root.kind != "mapping":
        return None, (
            RecordProblem(root.line, "", f"a {root.kind}", "a mapping with the keys of a record", column=root.column),
        )
    values, problems = data(root)
    record, shape, left_out = _shape(root, values)
    problems.extend(shape)
    if record is not None:
        for path, found, expected, hint in contradictions(record, dropped=left_out.ids):
            path = left_out.original(path)
            node = locate(root, path)
            problems.append(RecordProblem(node.line, show_path(root, path), found, expected, hint, node.column))
    problems.sort(key=lambda p: (p.line, p.column))
    return record, tuple(dict.fromkeys(problems))


# -- files ------------------------------------------------------------------------------------------------------------


def _built_in() -> dict[str, bytes]:
    found = ((name, shipped_file(name, "record")) for name in shipped("record"))
    return {name: file.read_bytes() for name, file in found if file is not None}


def _folder(records_dir: str | FilePath) -> list[FilePath]:
    folder = FilePath(records_dir)
    try:
        if not folder.is_dir():
            raise RecordError(
                f"{shown(folder)} is not a folder", hint="--records wants a folder with one YAML file per trial"
            )
        return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())
    except (OSError, ValueError) as error:
        raise RecordError(f"the folder {shown(folder)} cannot be read: {reason(error)}") from None


def _read_file(path: FilePath) -> bytes:
    return read_bytes(path, max_bytes=MAX_BYTES, error=RecordError, hint="give the path of a record's YAML file")


def _fetch(name_or_path: str | FilePath, records_dir: str | FilePath | None) -> tuple[bytes, str]:
    text = str(name_or_path)
    if isinstance(name_or_path, FilePath) or text.endswith(SUFFIXES) or "/" in text or "\\" in text:
        return _read_file(FilePath(name_or_path)), text
    own = {p.stem: p for p in _folder(records_dir)} if records_dir is not None else {}
    if text in own:
        return _read_file(own[text]), str(own[text])
    built_in = _built_in()
    if text in built_in:
        return built_in[text], text
    known = sorted({*own, *built_in})
    close = difflib.get_close_matches(text, known, n=1)
    raise RecordError(
        f"there is no record {text!r}",
        hint=(f"did you mean {close[0]!r}? " if close else "")
        + f"records are: {', '.join(known)}; your own: --records DIR, or the path of a file",
    )


# -- shape ------------------------------------------------------------------------------------------------------------

_PATTERNS = {
    "^[A-Za-z]": "a name of letters, digits and underscores that begins with a letter",
    r"^\d{4}": "a date such as 2021-07-16, 2021-07 or 2021",
    r"^10\.": "a DOI such as 10.1056/NEJMoa2204705",
}


@dataclass
class _LeftOut:
    """What was left out because its shape is wrong: ids with their section; by section, the indices that remain."""

    ids: dict[str, str]
    kept: dict[str, list[int]]

    def original(self, path: Path) -> Path:
        """A path in the pruned record as a path in the document."""
        if len(path) > 1 and isinstance(path[1], int) and path[0] in self.kept:
            return (path[0], self.kept[str(path[0])][path[1]], *path[2:])
        return path


def _shape(root: Node, values: Any) -> tuple[Record | None, list[RecordProblem], _LeftOut]:
    """Validate against the models. Blocks that do not fit are left out, so that the rest can still be checked."""
    problems: list[RecordProblem] = []
    dropped = _LeftOut({}, {})
    for attempt in range(3):
        try:
            return Record.model_validate(values), problems, dropped
        except ValidationError as error:
            errors = error.errors(include_url=False)
        if attempt == 0:
            problems = problems_of(errors, root, Record, skip=_wrong_branch, patterns=_PATTERNS)
        if not _prune(values, errors, dropped):
            break
    return None, problems, dropped


def _prune(values: Any, errors: Iterable[Any], left_out: _LeftOut) -> bool:
    """Take out what does not fit: an unknown key, or a whole block of a list. False if that cannot be done."""
    blocks: set[tuple[str, int | str]] = set()
    for error in errors:
        loc = error["loc"]
        if error["type"] == "extra_forbidden":
            node: Any = values
            for part in loc[:-1]:
                try:
                    node = node[part]
                except (KeyError, IndexError, TypeError):
                    continue
            if isinstance(node, dict) and loc[-1] in node:
                del node[loc[-1]]
                continue
        if len(loc) >= 2 and isinstance(values, dict) and isinstance(values.get(loc[0]), list | dict):
            section = values[loc[0]]
            if isinstance(section, list) and isinstance(loc[1], int) and loc[1] < len(section):
                blocks.add((loc[0], loc[1]))
                continue
            if loc[0] in ("sources",) and loc[1] in section:
                blocks.add((loc[0], loc[1]))
                continue
        return False
    for name, key in sorted(blocks, key=lambda b: (b[0], str(b[1]).zfill(9)), reverse=True):
        section = values[name]
        block = section[key]
        id = block.get("id") if isinstance(block, dict) and name != "sources" else key
        if isinstance(id, str):
            left_out.ids[id] = name
        if isinstance(section, list) and isinstance(key, int):
            kept = left_out.kept.setdefault(name, list(range(len(section))))
            del kept[key]
        del section[key]
    return True


def _wrong_branch(loc: tuple[Any, ...], node: Node) -> bool:
    """Whether an error comes from the member of a union (number or text fact) that was not meant."""
    if "Fact" in loc:
        return node.kind != "mapping" or node.get("text") is None
    return "Value" in loc and node.kind == "mapping" and node.get("text") is not None
