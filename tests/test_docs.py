"""What the documentation shows is run: ``>>>`` of every module, every page, walk-throughs in a copy of the house."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import equipoise

ROOT = Path(__file__).parents[1]
PACKAGE = Path(equipoise.__file__).parent
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if ">>>" in p.read_text(encoding="utf-8"))
WALKS = sorted((ROOT / "docs" / "walkthroughs").glob("*.md"))
PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if p not in WALKS]
PAGES = [p for p in PAGES if ">>>" in p.read_text(encoding="utf-8")]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# src/equipoise/(\S+)\n")


def name_of(path: Path) -> str:
    return ".".join(("equipoise", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """The module that writes the pages of the reference."""
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs" / "reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_independent_examples_of_docstrings_run(path: Path) -> None:
    done = doctest.testmod(import_module(name_of(path)))
    assert done.attempted
    assert not done.failed


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_independent_examples_of_pages_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not doctest.testfile(str(path), module_relative=False, encoding="utf-8").failed


def test_property_a_page_shows_no_python_that_is_not_run() -> None:
    silent = []
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for language, text in BLOCK.findall(path.read_text(encoding="utf-8")):
            if language in ("python", "py") and ">>>" not in text and not (path in WALKS and FILE.match(text)):
                silent.append(f"{path.relative_to(ROOT)}: {text[:60]!r}")
    assert silent == []


def copied(folder: Path, new: dict[str, str]) -> Path:
    """The package by links, with new files of its own."""

    def fill(there: Path, source: Path, below: dict[str, str]) -> None:
        there.mkdir(parents=True)
        entered = {name.partition("/")[0] for name in below if "/" in name}
        for entry in source.iterdir() if source.is_dir() else ():
            if entry.name not in entered and entry.name not in below and entry.name != "__pycache__":
                (there / entry.name).symlink_to(entry)
        for name in entered:
            inner = {k.partition("/")[2]: v for k, v in below.items() if k.startswith(f"{name}/")}
            fill(there / name, source / name, inner)
        for name, text in below.items():
            if "/" not in name:
                (there / name).write_text(text, encoding="utf-8")

    fill(folder / "equipoise", PACKAGE, new)
    return folder


@pytest.mark.parametrize("path", WALKS, ids=lambda p: p.stem)
def test_independent_walkthroughs_run(path: Path, tmp_path: Path) -> None:
    """Its files are put where it says, then its ``>>>`` lines run in a process of their own."""
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    new = {found[1]: text for _, text in blocks if (found := FILE.match(text))}
    assert new
    house = copied(tmp_path / "house", new)
    code = "import doctest, sys; sys.exit(bool(doctest.testfile(sys.argv[1], module_relative=False).failed))"
    environment = {**os.environ, "PYTHONPATH": str(house)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_property_every_public_name_has_its_entry(pages: ModuleType) -> None:
    written = "\n".join(pages.pages().values())
    entries = set(re.findall(r"^\.\. auto(?:function|class):: (\S+)$", written, re.MULTILINE))
    wanted = {f"equipoise.{n}" for n in equipoise.__all__ if n not in ("__version__", "plot")}
    wanted |= {f"equipoise.plot.{n}" for n in equipoise.plot.__all__}
    assert wanted - entries == set()


def test_property_docstrings_have_one_style(pages: ModuleType) -> None:
    """Sections underlined, of known names; their parameters are those of the signature; none in another style."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if found := re.search(
            r"^ +(Args|Arguments|Raises|Returns|Yields|Example|Examples):\s*$|:param \w+:", text, re.M
        ):
            wrong.append(f"{path.relative_to(PACKAGE)}: {found[0].strip()}")
    for names in equipoise.SURFACE.values():
        for name in names:
            thing = pages.public(name)
            for title, body in pages.sections(inspect.getdoc(thing) or "")[1:]:
                if title not in pages.SECTIONS:
                    wrong.append(f"{name}: section {title!r}")
                if title == "Parameters":
                    known = set(inspect.signature(thing).parameters)
                    told = {n.strip("* ") for given, _ in pages.items(body, known) for n in given.split(",")} - {""}
                    wrong += [f"{name}: there is no parameter {n!r}" for n in sorted(told - known)]
    assert wrong == []
