"""The one base of our data models, and what they refuse told at its line and column of the YAML document."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from equipoise.errors import EquipoiseError
from equipoise.files.reading import read_bytes, shown
from equipoise.files.tree import MAX_BYTES, BrokenDocument, Node, Path, Problem, data, excerpt, locate, read, show_path

_LINES = 8

_TYPES = {
    "int_type": "a number",
    "float_type": "a number",
    "int_parsing": "a number",
    "float_parsing": "a number",
    "int_from_float": "a whole number",
    "finite_number": "a finite number",
    "string_type": "text (put it in quotes)",
    "string_too_short": "text that is not empty",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}

_LIMITS = {
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} entries at most",
    "string_too_long": "at most {max_length} characters",
    "greater_than": "a number above {gt:.15g}",
    "greater_than_equal": "a number of at least {ge:.15g}",
    "less_than": "a number below {lt:.15g}",
    "less_than_equal": "a number of at most {le:.15g}",
}


class Frozen(BaseModel):
    """The base of every model that is read from a file or states what is wanted: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlaceError(ValueError):
    """What a model's own check finds wrong, with the place below that model (keys, and indices from 0).

    >>> PlaceError("an arm is listed twice", "arms", 1).place
    ('arms', 1)
    """

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class Document:
    """One YAML document: what it is called in messages, its tree, and its content as Python data."""

    origin: str
    root: Node
    values: Any

    def place(self, *path: str | int) -> str:
        """Where a path of keys and indices is: ``plan.yaml, line 12``."""
        return f"{self.origin}, line {locate(self.root, path).line}"


Model = TypeVar("Model", bound=BaseModel)


def read_yaml(
    path: str | FilePath, *, error: type[EquipoiseError], what: str, infinite: bool = False, hint: str | None = None
) -> Document:
    """Read a YAML file; see :func:`parse_yaml` and :func:`equipoise.files.read_bytes`."""
    raw = read_bytes(path, max_bytes=MAX_BYTES, error=error, hint=f"give the path of {what}")
    return parse_yaml(raw, shown(path), error=error, infinite=infinite, hint=hint)


def parse_yaml(
    text: str | bytes, origin: str, *, error: type[EquipoiseError], infinite: bool = False, hint: str | None = None
) -> Document:
    """One YAML document.

    Parameters
    ----------
    origin : what it is called in messages.
    error : what is raised.
    infinite : whether ``.inf`` is a number here.

    Raises
    ------
    EquipoiseError : (``error``) with line and column of every problem.

    >>> from equipoise.errors import DataError
    >>> parse_yaml("a: [1, no]", "here", error=DataError).values
    {'a': [1, 'no']}
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        root = read(raw)
    except BrokenDocument as broken:
        raise error(f"{origin}: cannot be read as YAML\n  {broken.problem}", hint=hint) from None
    values, problems = data(root, infinite=infinite)
    if problems:
        raise error(f"{origin}: cannot be read\n  {listed(problems)}", hint=hint)
    return Document(origin, root, values)


def listed(problems: list[Problem]) -> str:
    """The first few problems, one a line."""
    more = [f"and {len(problems) - _LINES} more"] if len(problems) > _LINES else []
    return "\n  ".join([*map(str, problems[:_LINES]), *more])


def validate(
    model: type[Model], document: Document, *, error: type[EquipoiseError], what: str, hint: str | None = None
) -> Model:
    """The document as a model; what does not fit is told with its line and column.

    Raises
    ------
    EquipoiseError : (``error``) ``ORIGIN: WHAT`` and every problem.
    """
    if not isinstance(document.values, dict):
        raise error(f"{document.origin}: {what}\n  found {excerpt(document.values)}; expected a mapping", hint=hint)
    try:
        return model.model_validate(document.values)
    except ValidationError as refused:
        problems = problems_of(refused.errors(include_url=False), document.root, model)
    raise error(f"{document.origin}: {what}\n  {listed(problems)}", hint=hint) from None


def problems_of(
    errors: Iterable[Any],
    root: Node,
    model: type[BaseModel],
    *,
    skip: Callable[[tuple[Any, ...], Node], bool] | None = None,
    patterns: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Pydantic's errors as problems of a document.

    Parameters
    ----------
    skip : says of a location and the node there that the error is of a branch of a union that was not meant.
    patterns : beginning of a regular expression -> what it asks for, in words.
    """
    found: dict[tuple[Path, str], Problem] = {}
    places: set[Path] = set()
    errors = list(errors)
    for error in errors:
        if error["type"] == "too_short" and any(len(e["loc"]) > len(error["loc"]) for e in errors):
            continue  # it is short of what was refused inside it
        kind, ctx = error["type"], error.get("ctx", {})
        own = ctx.get("error")
        loc = (*error["loc"], *own.place) if isinstance(own, PlaceError) else error["loc"]
        path, node = _resolve(root, loc)
        if skip is not None and skip(loc, node):
            continue
        where = locate(root, path)
        hint = None
        if kind == "missing":
            name = str(loc[-1])
            found[path, name] = Problem(
                where.line, show_path(root, path), f"no {name!r}", f"the key {name!r}", column=where.column
            )
            continue
        if kind == "extra_forbidden":
            name = str(loc[-1])
            allowed = keys_at(model, loc[:-1])
            close = difflib.get_close_matches(name, allowed, n=1)
            expected = "one of: " + ", ".join(allowed) if allowed else "a known key"
            said = f"the unknown key {excerpt(name)}"
            hint = f"did you mean {close[0]!r}?" if close else None
        elif kind in ("value_error", "assertion_error"):
            said, expected = str(error["msg"]).removeprefix("Value error, "), ""
        else:
            if path in places:
                continue  # the other branches of a union say the same
            places.add(path)
            said = excerpt(error["input"])
            if kind in ("literal_error", "enum", "union_tag_invalid"):
                choices = str(ctx.get("expected") or ctx.get("expected_tags", ""))
                expected = f"one of: {choices}"
                given = str(ctx.get("tag", error["input"]))
                said = repr(given) if kind == "union_tag_invalid" else said
                names = choices.replace(" or ", ", ").replace("'", "").split(", ")
                close = difflib.get_close_matches(given, names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else None
                if kind == "union_tag_invalid" and node.key(str(ctx.get("discriminator", "")).strip("'")) is not None:
                    path = (*path, str(ctx["discriminator"]).strip("'"))
                    where = locate(root, path)
            elif kind == "union_tag_not_found":
                name = str(ctx.get("discriminator", "")).strip("'")
                said, expected = f"no {name!r}", f"the key {name!r}"
            elif kind == "string_pattern_mismatch":
                pattern = str(ctx.get("pattern", ""))
                words = (patterns or {}).items()
                expected = next((text for start, text in words if pattern.startswith(start)), f"text like {pattern}")
            else:
                expected = expected_of(error)
            if kind in ("int_type", "float_type") and isinstance(error["input"], str):
                hint = "without quotes, a point as decimal mark"
        found[path, said] = Problem(where.line, show_path(root, path), said, expected, hint, where.column)
    return list(found.values())


def expected_of(error: Mapping[str, Any]) -> str:
    """What one of Pydantic's errors asks for, in words; its own message where there are none.

    >>> expected_of({"type": "too_short", "ctx": {"min_length": 1}, "msg": "Tuple should have at least 1 item"})
    '1 or more entries'
    """
    kind = str(error["type"])
    if kind in _LIMITS:
        return _LIMITS[kind].format(**error.get("ctx", {}))
    return _TYPES.get(kind, str(error["msg"]))


def _resolve(root: Node, loc: tuple[Any, ...]) -> tuple[Path, Node]:
    """The part of a validation location that exists in the document (union tags and missing keys are left out)."""
    path: list[str | int] = []
    node = root
    for part in loc:
        child = node.get(part) if isinstance(part, str | int) else None
        if child is not None:
            path.append(part)
            node = child
    return tuple(path), node


def keys_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The keys that the model at a validation location allows; tags of unions choose among its members."""
    kinds: list[Any] = [model]
    for part in loc:
        following: list[Any] = []
        for kind in kinds:
            if _is_model(kind):
                info = _field(kind, str(part))
                if info is not None:
                    following.extend(_standing(info.metadata) or _alternatives(info.annotation))
            elif typing.get_origin(kind) in (tuple, list) and isinstance(part, int):
                following.extend(_alternatives(typing.get_args(kind)[0]))
            elif isinstance(origin := typing.get_origin(kind), type) and issubclass(origin, Mapping):
                following.extend(_alternatives(typing.get_args(kind)[1]))
        kinds = following or [k for k in kinds if _is_model(k) and _meant(k, str(part))] or kinds
    models = [k for k in kinds if _is_model(k)]
    return list(dict.fromkeys(info.alias or name for m in models for name, info in m.model_fields.items()))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _field(kind: type[BaseModel], key: str) -> Any:
    return kind.model_fields.get(key) or next((f for f in kind.model_fields.values() if f.alias == key), None)


def _meant(kind: type[BaseModel], tag: str) -> bool:
    """Whether a member of a union is the one that a tag of a location means."""
    literals = (f.annotation for f in kind.model_fields.values() if typing.get_origin(f.annotation) is typing.Literal)
    return kind.__name__ == tag or any(tag in typing.get_args(one) for one in literals)


def _standing(metadata: Iterable[Any]) -> list[Any]:
    """The model that an annotation says to read a value as, where it is known only while a file is read."""
    return [found.stands_for() for found in metadata if hasattr(found, "stands_for")]


def _alternatives(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        bare, *metadata = typing.get_args(annotation)
        return _standing(metadata) or _alternatives(bare)
    if origin in (typing.Union, types.UnionType):
        return [a for member in typing.get_args(annotation) for a in _alternatives(member)]
    return [annotation]
