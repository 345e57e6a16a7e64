"""Mutated YAML through every reader: an answer or one of our errors, never anything else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.appraise.certainty.judgements import parse_judgements
from equipoise.calibrate.plan import load_plan
from equipoise.errors import EquipoiseError
from equipoise.files.tree import BrokenDocument, data, read
from equipoise.library import shipped, shipped_file
from equipoise.plan.analysis_plan import parse_plan
from equipoise.records.load import parse_record
from equipoise.simulate.scenario import parse_scenario

EXAMPLES = Path(__file__).parents[2] / "examples"
PIECES = (
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "&a ",
    "*a",
    "!!python/name:os.system ",
    "<<: ",
    "'",
    '"',
    "\t",
    "\n",
    "\x00",
    "\u2028",
    ".inf",
    ".nan",
    "1e999",
    "-1",
    "9" * 400,
    "null",
    "~",
    "yes",
    "? ",
    "|\n",
    ">-\n",
    "#",
    "%YAML 9",
    "---\n",
    "...\n",
    "[" * 60,
    "{a: " * 60,
    "\ud800",
    "\U0001f40c",
    "2021-07-16",
    "é",
    "__proto__",
    "",
    " ",
)


def mutated(text: str, chance: random.Random) -> str:
    """The text with one to four changes: a piece put in or taken out, a line doubled or moved, a value replaced."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + chance.randint(1, 20) :]
        elif kind == 2:
            lines = text.split("\n")
            lines.insert(chance.randrange(len(lines)), chance.choice(lines))
            text = "\n".join(lines)
        elif kind == 3:
            lines = text.split("\n")
            i = chance.randrange(len(lines))
            name, colon, _ = lines[i].partition(": ")
            lines[i] = f"{name}: {chance.choice(PIECES)}" if colon else chance.choice(PIECES) + lines[i]
            text = "\n".join(lines)
        else:
            text = text[:at]
    return text


def texts(part: str) -> list[str]:
    found = (shipped_file(name, part) for name in shipped(part))  # type: ignore[arg-type]
    return sorted((f.read_text(encoding="utf-8") for f in found if f is not None), key=len)[:6]


def tree(text: str, _: Path) -> None:
    problem = None
    try:
        data(read(text.encode("utf-8", "surrogatepass")), infinite=True)
    except BrokenDocument as broken:
        problem = broken.problem
    if problem is not None:
        assert problem.line >= 1
        assert problem.column >= 1
        assert len(str(problem)) < 500


def record(text: str, _: Path) -> None:
    parse_record(text.encode("utf-8", "surrogatepass"))


def fit_plan(text: str, folder: Path) -> None:
    file = folder / "fit.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    load_plan(str(file))


READERS: dict[str, tuple[Callable[[str, Path], object], list[str]]] = {
    "tree": (tree, texts("fit")),
    "record": (record, texts("record")),
    "scenario": (lambda text, _: parse_scenario(text, "here"), texts("scenario")[:2]),
    "fit plan": (fit_plan, texts("fit")),
    "judgements": (lambda text, _: parse_judgements(text, "here"), texts("judgements")),
    "plan": (lambda text, _: parse_plan(text, "here"), [p.read_text() for p in sorted(EXAMPLES.glob("*.yaml"))]),
}


def fuzz(cases: int, seed: int, folder: Path) -> int:
    chance = random.Random(seed)
    refused = 0
    for number in range(cases):
        name = list(READERS)[number % len(READERS)]
        reader, originals = READERS[name]
        text = mutated(chance.choice(originals), chance)
        try:
            reader(text, folder)
        except EquipoiseError as error:
            refused += bool(error.message)
        except Exception as error:
            raise AssertionError(f"case {number} of seed {seed}, {name}: {error!r}\n{text[:2000]}") from error
    return refused


def test_property_mutated_yaml_ends_in_an_answer_or_our_error(tmp_path: Path) -> None:
    assert fuzz(300, seed=9, folder=tmp_path) > 50


@pytest.mark.slow
def test_property_ten_thousand_mutated_documents(tmp_path: Path) -> None:
    assert fuzz(10_000, seed=2026, folder=tmp_path) > 1_000
