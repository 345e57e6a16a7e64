"""Formulas made at random: each is read or refused with one of our errors, within bounds, and reaches no interpreter.

Every case is made from (seed, number) alone. The small sample runs with the suite; the ten thousand with
``pytest -m slow tests/fuzz``. An audit hook hears whatever the interpreter compiles, executes or imports meanwhile.
"""

from __future__ import annotations

import random
import sys

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl
import pytest

from equipoise.errors import EquipoiseError
from equipoise.estimate.formula import build, read

SEED = 20261129
ATOMS = [
    "x",
    "z",
    "A",
    "B",
    "`my col`",
    "1",
    "0",
    "2",
    "0.5",
    "TRUE",
    ".",
    "y",
    "ＡＢ",
    "__class__",
    "x.real",
    "'a'",
    '"',
]
CALLS = [
    "log",
    "exp",
    "sqrt",
    "I",
    "C",
    "factor",
    "poly",
    "scale",
    "center",
    "strata",
    "cluster",
    "offset",
    "us",
    "ar1",
    "Surv",
    "eval",
    "exec",
    "__import__",
    "open",
    "getattr",
    "np.log",
    "lambda",
    "ｅｖａｌ",
    "C.__init__",
]
OPS = ["+", "-", "*", ":", "/", "^", "**", "%in%", "|", "~", ",", "=", ">", ";", " ", "@", "$", "[", "\\137"]
JUNK = "()[]{}~|+-*/^:%,=`'\"\\.;@$!?#&<>0123456789abcXYZ_ \t\n\x00\x1b\u202e\u0301ｅé−“Ａ٣😀"
FRAME = nw.from_native(
    pl.DataFrame(
        {
            "x": [0.5, 1.0, 2.0, 3.5, 4.0, 6.0],
            "z": [1.0, 3.0, 2.0, 5.0, 4.0, 7.0],
            "A": list("abcabc"),
            "B": list("uvvuuv"),
            "my col": [1.0, 0.0, 1.0, 2.0, 3.0, 1.0],
            "y": [0.0, 1.0, 2.0, 1.0, 3.0, 2.0],
        }
    ),
    eager_only=True,
)
heard: list[str] = []
listening = False


def _hook(event: str, arguments: object) -> None:
    if listening and event in ("compile", "exec", "os.system", "subprocess.Popen", "open", "os.exec", "socket.connect"):
        heard.append(event)


def _expression(rng: random.Random, depth: int) -> str:
    """Anything: known and unknown words, in any order."""
    if depth <= 0 or rng.random() < 0.3:
        return rng.choice(ATOMS)
    kind = rng.random()
    if kind < 0.55:
        op = rng.choice(OPS[:6] if rng.random() < 0.8 else OPS)
        return f"{_expression(rng, depth - 1)} {op} {_expression(rng, depth - 1)}"
    if kind < 0.8:
        inside = ", ".join(_expression(rng, depth - 2) for _ in range(rng.choice((1, 1, 1, 2, 3))))
        return f"{rng.choice(CALLS)}({inside})"
    return f"({_expression(rng, depth - 1)})"


def _arithmetic(rng: random.Random, depth: int) -> str:
    if depth <= 0 or rng.random() < 0.4:
        return rng.choice(("x", "z", "`my col`", "2"))
    if rng.random() < 0.3:
        return f"{rng.choice(('exp', 'sqrt', 'abs', 'log1p'))}({_arithmetic(rng, depth - 1)})"
    return f"({_arithmetic(rng, depth - 1)} {rng.choice('+-*/^')} {_arithmetic(rng, depth - 1)})"


def _terms(rng: random.Random, depth: int) -> str:
    """What R would read, though the data may not bear it."""
    if depth <= 0 or rng.random() < 0.3:
        if rng.random() < 0.3:
            return f"I(x + {_arithmetic(rng, 3)})"
        return rng.choice(("x", "z", "A", "B", "`my col`", "C(A, contr.sum)", "factor(x)", "poly(x, 2)", "scale(z)"))
    if rng.random() < 0.2:
        return f"({_terms(rng, depth - 1)})"
    return f"{_terms(rng, depth - 1)} {rng.choice(('+', '+', '*', ':', '/', '%in%'))} {_terms(rng, depth - 1)}"


def case(number: int) -> str:
    """The formula of a number."""
    rng = random.Random(f"{SEED}:{number}")
    kind = rng.random()
    if kind < 0.15:
        return "".join(rng.choice(JUNK) for _ in range(rng.randrange(60)))
    made = _terms if kind < 0.5 else _expression
    text = f"{rng.choice(('y', 'log(y + 1)', 'Surv(x, y)', ''))} ~ {made(rng, rng.randrange(1, 7))}"
    if kind < 0.4 or 0.5 < kind < 0.8:
        return text
    characters = list(text)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(characters) + 1)
        change = rng.random()
        if change < 0.4:
            characters[at:at] = rng.choice(JUNK)
        elif change < 0.7:
            del characters[at : at + 1]
        else:
            characters[at : at + 1] = rng.choice(JUNK) * rng.choice((1, 1, 1, 300))
    return "".join(characters)


def run(numbers: range) -> int:
    """Read and build them all; how many were understood."""
    global listening
    understood = 0
    build(read("y ~ x * A + log(z) + C(B, contr.sum)"), FRAME, {})  # imports what it needs before anyone listens
    heard.clear()
    for number in numbers:
        text = case(number)
        listening = True
        try:
            model = read(text)
            design, response = build(model, FRAME, {})
            matrix = design.matrix()
        except EquipoiseError as error:
            refused = error
        else:
            refused = None
        finally:
            listening = False
        if refused is not None:
            assert refused.message, (number, text)
            assert refused.hint, (number, text)
            assert len(str(refused)) < 2000, (number, text)
            continue
        understood += 1
        assert matrix.shape == (design.n_rows, len(design.names)) == (6, len(design.names)), (number, text)
        assert np.isfinite(matrix).all(), (number, text)
        assert len(response) == 6
        used = [spec for term in model.terms for spec in term]
        assert {v for spec in used for v in spec.variables} <= set(FRAME.columns), (number, text)
    assert not heard, heard
    return understood


@pytest.fixture(scope="module", autouse=True)
def _listener() -> None:
    sys.addaudithook(_hook)


def test_property_formulas_are_read_or_refused() -> None:
    assert 50 < run(range(600)) < 550


@pytest.mark.slow
def test_property_ten_thousand_formulas_are_read_or_refused() -> None:
    assert run(range(10_000)) > 1000
