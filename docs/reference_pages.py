"""The pages of the API reference, from the table of public names and the docstrings behind it.

``python docs/reference_pages.py`` writes them to ``docs/reference/`` (``docs/conf.py`` does so too): one page a heading
of ``equipoise.SURFACE`` with what each function gives back, one for ``equipoise.plot``, one for the command line.

Docstrings have one style: sections underlined as NumPy's, and in them ``name : what it is``, going on indented; several
names may share a line. The type stands in the signature.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import equipoise

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises", "Notes", "References", "Examples")
UNDERLINE = re.compile(r"-{3,}")


def slug(heading: str) -> str:
    """The file of a heading: ``Ranks and wins`` -> ``ranks-and-wins``."""
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


def public(name: str) -> Any:
    """The function or class behind a public name; of a room that is also a verb, the function."""
    for names in equipoise.SURFACE.values():
        if name in names:
            module, there = names[name]
            return getattr(import_module(module), there)
    raise KeyError(name)


def put_in_place() -> None:
    """Let every public name of the package stand for its function or class, verbs too, for Sphinx to find."""
    for names in equipoise.SURFACE.values():
        for name in names:
            setattr(equipoise, name, public(name))


# -- what functions give back ------------------------------------------------------------------------------------------


def _names_in(module: Any) -> dict[str, Any]:
    """What names mean in a module, those imported for the checker of types included."""
    known = dict(vars(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    for alias in line.names:
                        known.setdefault(
                            alias.asname or alias.name, getattr(import_module(line.module), alias.name, None)
                        )
    return known


def _classes(annotation: Any, module: str) -> Iterator[type]:
    """The classes of this package that an annotation speaks of."""
    if not isinstance(annotation, str):
        annotation = getattr(annotation, "__name__", "") if isinstance(annotation, type) else str(annotation)
    known = _names_in(sys.modules[module])
    for word in re.findall(r"[A-Za-z_]\w*", annotation):
        found = known.get(word)
        if inspect.isclass(found) and found.__module__.startswith("equipoise.") and not word.startswith("_"):
            yield found


def given_back(thing: Any) -> Iterator[type]:
    """The classes of the results of a function; of a class, those of its methods and properties and what it holds."""
    if inspect.isfunction(thing):
        yield from _classes(thing.__annotations__.get("return", ""), thing.__module__)
    elif inspect.isclass(thing):
        for name, member in vars(thing).items():
            if isinstance(member, property):
                member = member.fget
            elif isinstance(member, classmethod | staticmethod):
                member = member.__func__
            elif hasattr(member, "func"):
                member = member.func
            if inspect.isfunction(member) and not name.startswith("_"):
                yield from given_back(member)
        if dataclasses.is_dataclass(thing):
            for field in dataclasses.fields(thing):
                if not field.name.startswith("_"):
                    yield from _classes(field.type, thing.__module__)


def contents() -> dict[str, tuple[list[str], list[type]]]:
    """Heading -> its public names, and the classes of results to be told on its page; each class once.

    A class stands on the page of the first function that gives it back; what is reached through it goes along.
    """
    named = {id(public(name)) for names in equipoise.SURFACE.values() for name in names}
    told: set[int] = set()
    pages: dict[str, tuple[list[str], list[type]]] = {}
    for heading, names in equipoise.SURFACE.items():
        results: list[type] = []
        left = [public(name) for name in names]
        while left:
            for found in given_back(left.pop(0)):
                if id(found) in named or id(found) in told or found.__module__ in ("equipoise.types",):
                    continue
                told.add(id(found))
                results.append(found)
                left.append(found)
        pages[heading] = (list(names), results)
    return pages


# -- pages -------------------------------------------------------------------------------------------------------------


def _title(text: str, mark: str = "=") -> str:
    return f"{text}\n{mark * len(text)}\n"


def _entry(module: str, name: str, thing: Any) -> str:
    if not inspect.isclass(thing):
        return f".. autofunction:: {module}.{name}\n"
    options = ["   :members:", "   :inherited-members: BaseModel, tuple, int, str, dict, Exception, Enum"]
    return "\n".join([f".. autoclass:: {module}.{name}", *options]) + "\n"


def page(heading: str, names: list[str], results: list[type]) -> str:
    """One page of the reference, as reStructuredText."""
    parts = [_title(heading), ".. currentmodule:: equipoise\n"]
    parts += [_entry("equipoise", name, public(name)) for name in names]
    if results:
        parts.append(_title("What they give back", "-"))
        parts += [_entry(c.__module__, c.__qualname__, c) for c in results]
    return "\n".join(parts)


def plots() -> str:
    """The page of ``equipoise.plot``."""
    plot = equipoise.plot
    parts = [_title("Plots"), inspect.getdoc(plot) or "", "\n.. currentmodule:: equipoise.plot\n"]
    parts += [_entry("equipoise.plot", name, getattr(plot, name)) for name in plot.__all__]
    return "\n".join(parts)


def command_line() -> str:
    """The page of the command line, from Typer."""
    import typer

    from equipoise.cli.main import app

    lines = [_title("The command line"), "Every command explains itself: ``equipoise COMMAND --help``.\n"]

    def tell(command: Any, path: str, parent: Any) -> None:
        context = type(parent)(command, info_name=path.rpartition(" ")[2], parent=parent) if parent else None
        context = context or command.make_context("equipoise", [], resilient_parsing=True)
        help_text = command.get_help(context)
        if path != "equipoise":
            lines.append(_title(f"``{path}``", "-"))
        lines.append("::\n")
        lines.extend(f"   {line}".rstrip() for line in help_text.splitlines())
        lines.append("")
        for name, below in getattr(command, "commands", {}).items():
            tell(below, f"{path} {name}", context)

    tell(typer.main.get_command(app), "equipoise", None)
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """File name -> text of every page of the reference."""
    told = {slug(heading): page(heading, *parts) for heading, parts in contents().items()}
    told["plot"], told["command-line"] = plots(), command_line()
    lead = "Every public name, by what it is for; ``from equipoise import NAME`` gets it."
    index = [_title("Reference"), lead, "", ".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in told)]
    return {**{f"{name}.rst": text for name, text in told.items()}, "index.rst": "\n".join(index) + "\n"}


def write(folder: Path) -> None:
    """Write the pages to a folder that holds nothing else; a page that says the same stays as it is."""
    wanted = pages()
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink() if path.is_file() else shutil.rmtree(path)
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# -- docstrings --------------------------------------------------------------------------------------------------------


def sections(text: str) -> list[tuple[str, list[str]]]:
    """A docstring by its sections; what stands before them has the name ``""``."""
    out: list[tuple[str, list[str]]] = [("", [])]
    lines = text.splitlines()
    skip = False
    for i, line in enumerate(lines):
        if skip:
            skip = False
            continue
        if line and i + 1 < len(lines) and UNDERLINE.fullmatch(lines[i + 1].strip()) and lines[i + 1].strip() != line:
            out.append((line.strip(), []))
            skip = True
        else:
            out[-1][1].append(line)
    return out


_ITEM = re.compile(r"(\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}[A-Za-z_][\w.]*)*) : (.*)")


def items(lines: list[str], known: set[str]) -> list[tuple[str, str]]:
    """``name : what it is``, in order. A name that is known may also begin within a line, after a full stop."""
    out: list[list[str]] = []
    for line in lines:
        found = _ITEM.fullmatch(line) if line[:1].strip() else None
        if found:
            out.append([found[1], found[2]])
        elif line.strip():
            if not out:
                out.append(["", line.strip()])
            else:
                out[-1][1] += " " + line.strip()
    split: list[tuple[str, str]] = []
    for name, text in out:
        while found := re.search(r"[.)] ([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*) : ", text):
            if not set(found[1].split(", ")) <= known:
                break
            split.append((name, text[: found.start() + 1]))
            name, text = found[1], text[found.end() :]
        split.append((name, text))
    return split


def _written(found: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for names, text in found:
        yield f"**{names.replace('*', chr(92) + '*')}**: " if names else "", text


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """A docstring in our style as the field lists of Sphinx."""
    parts = sections("\n".join(lines))
    try:
        known = set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        known = set()
    out: list[str] = []
    for paragraph in "\n".join(parts[0][1]).split("\n\n"):
        told = paragraph.splitlines()
        if told and _ITEM.fullmatch(told[0]):  # what a class holds
            told = [f"- {names}{text}" for names, text in _written(items(told, known))]
        out += [*told, ""]
    for title, body in parts[1:]:
        if title not in SECTIONS:
            from sphinx.util import logging

            logging.getLogger(__name__).warning("%s: the section %r of its docstring is unknown", name, title)
        out.append("")
        if title in ("Parameters", "Raises", "Attributes"):
            out += [f":{title}:", *(f"   - {names}{text}" for names, text in _written(items(body, known)))]
        elif title == "Returns":
            out.append(":returns: " + " ".join(line.strip() for line in body if line.strip()))
        else:
            out += [f".. rubric:: {title}", "", *body]
        out.append("")
    lines[:] = out


if __name__ == "__main__":
    write(Path(__file__).parent / "reference")
    print("docs/reference/")
