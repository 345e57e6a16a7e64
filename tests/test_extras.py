"""What an installation weighs: the core asks for what the page and the estimators need; the rest are extras by name."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import equipoise
from equipoise.errors import EXTRAS, DataError, EquipoiseError, OutputError, RecordError, ScenarioError, install, needed

ROOT = Path(__file__).parents[1]
PACKAGE = Path(equipoise.__file__).parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FOR_DEVELOPERS = {"test", "lint", "docs", "dev"}
ACCIDENTS = ("pandas", "pyarrow", "altair", "matplotlib", "scikit-learn", "duckdb", "great-tables", "statsmodels")
"""Large packages that nothing asks for; most come as somebody else's dependency."""


def named(requirements: list[str]) -> set[str]:
    """Packages that requirements name, those of this package's own extras in their place."""
    out: set[str] = set()
    for text in requirements:
        wanted = Requirement(text)
        if wanted.name == "equipoise":
            for extra in wanted.extras:
                out |= named(PROJECT["optional-dependencies"][extra])
        else:
            out.add(canonicalize_name(wanted.name))
    return out


def brought(names: set[str]) -> set[str]:
    """Every package that an installation of these brings, by the metadata of what is installed here."""
    out, left = set[str](), [(name, frozenset[str]()) for name in names]
    while left:
        name, extras = left.pop()
        if name in out and not extras:
            continue
        out.add(name)
        try:
            asked = requires(name) or []
        except PackageNotFoundError:
            continue  # of an extra that is not installed here
        for text in asked:
            wanted = Requirement(text)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": e}) for e in {"", *extras}):
                left.append((canonicalize_name(wanted.name), frozenset(wanted.extras)))
    return out


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Make packages look as if they were not installed."""
    for module in modules:
        for loaded in [m for m in sys.modules if m.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_property_nothing_large_comes_by_accident(extra: str) -> None:
    asked = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = brought(named(asked))
    assert named(asked) <= found
    assert found.isdisjoint(ACCIDENTS)


def test_property_an_accident_would_be_found() -> None:
    assert "pytz" not in brought({"rich"})
    assert {"python-dateutil", "numpy"} <= brought({"pandas"})


def test_property_the_extras_that_messages_name_are_those_of_the_project() -> None:
    optional = {k: named(v) for k, v in PROJECT["optional-dependencies"].items() if k not in FOR_DEVELOPERS}
    assert {extra: set(modules.values()) for extra, modules in EXTRAS.items()} == optional
    assert named(["equipoise[test]"]) >= set().union(*(v for k, v in optional.items() if k != "bayes"))


def test_property_the_readme_says_what_each_brings() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\d+) \|$", README, re.MULTILINE)
    said = {canonicalize_name(name) for _, packages, _, _ in rows for name in re.findall(r"`([\w.-]+)`", packages)}
    assert said == named(PROJECT["dependencies"]) | {p for modules in EXTRAS.values() for p in modules.values()}
    extras = {extra for first, *_ in rows for extra in re.findall(r"`\[(\w+)\]`", first)}
    assert extras == set(EXTRAS)
    assert all(int(size) > 0 for *_, size in rows)


def test_property_a_missing_extra_is_told_in_one_place() -> None:
    """No module has a message of its own for a missing package, nor imports one of an extra when it is loaded."""
    optional = {module for modules in EXTRAS.values() for module in modules}
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).as_posix()
        text = path.read_text(encoding="utf-8")
        if room != "errors.py" and re.search(r"pip install", text):
            wrong.append(f"{room}: names a command of pip")
        for node in ast.parse(text).body:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if not room.startswith("studio/"):
                wrong += [f"{room}: imports {n} when loaded" for n in names if n.partition(".")[0] in optional]
    assert wrong == []


@pytest.mark.parametrize(("extra", "module"), [(e, m) for e, modules in EXTRAS.items() for m in modules])
def test_property_what_is_missing_is_named_with_its_command(
    extra: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(OutputError) as raised:
        needed(extra, "this", module)
    assert raised.value.message == f"this needs the package {EXTRAS[extra][module]}, which is not installed"
    assert raised.value.hint == f"python -m pip install 'equipoise[{extra}]'" == install(extra)


def test_property_a_package_that_lacks_its_own_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "httpx.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "httpx", raising=False)
    with pytest.raises(RecordError, match="httpx, which cannot be loaded without no_such_package_at_all") as raised:
        needed("registry", "fetching", error=RecordError, besides="or by hand")
    assert str(raised.value.hint).endswith("; or by hand")


def sas(folder: Path) -> None:
    """Read a SAS7BDAT file, as far as what is missing allows."""
    from equipoise.trial.adam import tabular

    path = folder / "adsl.sas7bdat"
    path.write_bytes(tabular._SAS_MAGIC + bytes(256))
    tabular.read_sas7bdat(path)


def registry(folder: Path) -> None:
    """Ask the registry."""
    from equipoise.records.registry.fetch import fetch_study

    fetch_study("NCT02623699", registry="http://127.0.0.1:9/none", retries=0)


def scheduler(folder: Path) -> None:
    """Ask for a scheduler."""
    from equipoise.run.executors import _client

    _client("tcp://127.0.0.1:9")


def word(folder: Path) -> None:
    """Write the tables of an empty plan as a Word file."""
    from equipoise.plan.results import Results
    from equipoise.render.tables.word import to_word

    to_word(Results(study="S", title="T", tables=(), plan={}))


def studio(folder: Path) -> None:
    """Open the studio."""
    from equipoise.cli.studio import studio as command

    command(workspace=folder)


DOORS = [
    (sas, "pyreadstat", DataError, "sas"),
    (registry, "httpx", RecordError, "registry"),
    (scheduler, "distributed", ScenarioError, "cluster"),
    (word, "docx", OutputError, "office"),
    (studio, "uvicorn", OutputError, "studio"),
]


@pytest.mark.parametrize(("door", "module", "error", "extra"), DOORS, ids=[d[0].__name__ for d in DOORS])
def test_property_every_door_names_its_extra(
    door: Any, module: str, error: type[EquipoiseError], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(error) as raised:
        door(tmp_path)
    assert EXTRAS[extra][module] in raised.value.message
    assert str(raised.value.hint).startswith(install(extra))
