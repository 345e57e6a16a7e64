"""Rules between rooms that import-linter cannot see: words, names and the source of kernels."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import equipoise

ROOT = Path(equipoise.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
WORDS = re.compile(r"(?i:ALSFRS|SOD1|ventilat|tracheost|neurofilament|riluzole|edaravone)|\bN[Ff]L\b")
DISEASE = ("appraise", "library", "simulate/als")
"""Where the words of the disease belong."""
READABLE = ("records", "calibrate/targets")
"""Where published names are read: what a trial called its outcomes, and sentences about it."""


def code_words(path: Path) -> list[str]:
    """Strings and names of the code that hold a word of the disease; docstrings and comments are examples."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    docs |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        text = None
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            text = node.value
        elif isinstance(node, ast.Name):
            text = node.id
        elif isinstance(node, ast.Attribute):
            text = node.attr
        if text is not None and WORDS.search(text):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {text[:60]}")
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_property_the_words_of_a_disease_stay_in_their_rooms() -> None:
    found = [w for p in SOURCES if not room(p).startswith((*DISEASE, *READABLE)) for w in code_words(p)]
    assert found == []


def test_property_kernels_are_plain_arrays() -> None:
    """Kernels import numerics, types, their own kind and the compiler: no frames, no models."""
    allowed = re.compile(
        r"(__future__|math|typing|numpy|numba|scipy|equipoise\.(numerics|types)|equipoise\.[\w.]*kernels)"
    )
    wrong = []
    for path in SOURCES:
        if "/kernels/" not in path.as_posix():
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            wrong += [f"{room(path)}: {name}" for name in names if not allowed.match(name)]
    assert wrong == []


def test_property_no_private_name_crosses_a_module() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("equipoise"):
                wrong += [f"{room(path)}: {a.name}" for a in node.names if re.match(r"_[a-z]", a.name)]
    assert wrong == []


def test_property_every_module_of_estimators_may_be_the_first_to_be_imported() -> None:
    """No circle that only works in one order: each module in a process that knows nothing of the package yet."""
    names = [
        ".".join(("equipoise", *path.relative_to(ROOT).with_suffix("").parts))
        for path in SOURCES
        if room(path).startswith("estimate/") and "kernels" not in path.parts and path.name != "__init__.py"
    ]
    script = """
import importlib, sys
for name in sys.argv[1:]:
    for known in [m for m in sys.modules if m.split(".")[0] == "equipoise"]:
        del sys.modules[known]
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error)
"""
    done = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_property_the_tour_tells_of_every_room() -> None:
    tour = (Path(__file__).parents[1] / "docs" / "tour.md").read_text(encoding="utf-8")
    rooms = sorted(p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").is_file())
    assert [r for r in rooms if f"| `{r}/` |" not in tour] == []
