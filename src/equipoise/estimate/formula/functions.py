"""What a formula may compute: arithmetic, the functions of one table, and the codings of factors.

Nothing outside these tables can be called from a formula; a name is looked up in a dictionary and never in a module.
Functions that learn from the data (``scale``, ``center``, ``poly``, ``ns``) keep what they learned in ``state``: a
value elsewhere is taken on the same scale.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.formula.tree import (
    RESERVED,
    Call,
    Chain,
    FormulaError,
    Group,
    Name,
    Node,
    Number,
    Power,
    Signed,
    Text,
    bare,
    written,
)
from equipoise.types import FloatArray

State = dict[str, Any]
PLAIN: Mapping[str, Callable[..., FloatArray]] = {
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "floor": np.floor,
    "ceiling": np.ceil,
}
"""Functions of one number."""
LEARNING = ("scale", "center", "poly", "ns")
SEVERAL = ("poly", "ns")
"""Functions that make several columns."""
NUMERIC = ("log", *PLAIN, *LEARNING, "I")
"""Functions that make numbers of numbers."""
FACTOR = ("C", "factor", "as.factor")
"""What makes a factor of a column."""
CODINGS = ("contr.treatment", "contr.SAS", "contr.sum", "contr.helmert", "contr.poly")
_INSTEAD = {
    "relevel": "write C(x, contr.treatment(base = 'level'))",
    "Treatment": "write C(x, contr.treatment(base = 'level'))",
    "Sum": "write C(x, contr.sum)",
    "Helmert": "write C(x, contr.helmert)",
    "Poly": "write C(x, contr.poly)",
    "ordered": "give the column as an ordered category, and write C(x, contr.poly) for polynomial contrasts",
    "np.log": "write log(x)",
    "np.exp": "write exp(x)",
    "np.sqrt": "write sqrt(x)",
    "ln": "log(x) is the natural logarithm",
    "round": "compute it as a column of the data",
    "ifelse": "compute it as a column of the data",
    "cut": "compute it as a column of the data",
    "bs": "write ns(x, df) for a natural spline, or compute the columns of another in the data",
    "s": "smooth terms are not offered",
    "te": "smooth terms are not offered",
    "cbind": "one response is taken",
    "frailty": "frailty terms are not offered; cluster(x) gives a robust variance",
    "tt": "time transforms are not offered; give one row an interval, with Surv(start, stop, event)",
    "pspline": "splines are not offered: compute their columns in the data",
}
_ARITHMETIC = "+-*/"


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean ...? `` where a name is close to a known one, else nothing.

    >>> nearest("TRTO1P", ["TRT01P", "BASE"])
    'did you mean TRT01P? '
    """
    names = list(dict.fromkeys(known))
    folded = {n.casefold(): n for n in reversed(names)}
    close = difflib.get_close_matches(name.casefold()[:200], list(folded), n=1)
    return f"did you mean {folded[close[0]]}? " if close else ""


def unknown_function(call: Call, formula: str, known: Iterable[str]) -> FormulaError:
    """The error for a function that is not in the tables."""
    names = list(known)
    hint = _INSTEAD.get(call.function) or f"{nearest(call.function, names)}functions are {', '.join(names)}"
    return FormulaError(f"there is no function {call.function!r}", formula, call.at, hint=hint)


# --- arithmetic -----------------------------------------------------------------------------------------------------


def check_arithmetic(node: Node, formula: str, outermost: bool = True) -> None:
    """Raise :class:`FormulaError` unless ``node`` is arithmetic of columns, numbers and known functions."""
    if isinstance(node, Name) and node.text in RESERVED and not node.quoted:
        raise FormulaError(
            f"{node.text!r} is no column", formula, node.at, hint="a column really called so goes in `backticks`"
        )
    if isinstance(node, Name | Number):
        return
    if isinstance(node, Group):
        check_arithmetic(node.inside, formula, False)
    elif isinstance(node, Signed):
        check_arithmetic(node.operand, formula, False)
    elif isinstance(node, Power):
        check_arithmetic(node.base, formula, False)
        check_arithmetic(node.exponent, formula, False)
    elif isinstance(node, Chain):
        odd = next((op for op in node.ops if op not in _ARITHMETIC), None)
        if odd is not None:
            raise FormulaError(f"{odd!r} is no arithmetic", formula, node.at, hint="use + - * / ^ within a function")
        for part in node.parts:
            check_arithmetic(part, formula, False)
    elif isinstance(node, Text):
        raise FormulaError("text where a number should be", formula, node.at, hint="name a column of numbers")
    elif node.function in NUMERIC:
        _check_call(node, formula, outermost)
    else:
        raise unknown_function(node, formula, NUMERIC)


def _check_call(call: Call, formula: str, outermost: bool) -> None:
    names = _SIGNATURES.get(call.function, ("x",))
    given = _arguments(call, names, formula)
    if "x" not in given:
        raise FormulaError(
            f"{call.function}() has nothing to work on",
            formula,
            call.at,
            hint=f"write {call.function}({', '.join(names)})",
        )
    check_arithmetic(given["x"], formula, call.function == "I" and outermost)
    if call.function in SEVERAL and not outermost:
        raise FormulaError(
            f"{call.function}() makes several columns, so it stands alone",
            formula,
            call.at,
            hint=f"write it as a term: + {call.function}(x, 2)",
        )
    for key in given:
        if key != "x":
            _constant(call, key, given[key], formula)


_SIGNATURES = {"log": ("x", "base"), "poly": ("x", "degree", "raw"), "ns": ("x", "df")}


def _arguments(call: Call, names: tuple[str, ...], formula: str) -> dict[str, Node]:
    """Arguments by name; those without a key take the names not given, in order, as in R."""
    given = {key: value for key, value in call.arguments if key is not None}
    for key, value in given.items():
        if key not in names:
            raise FormulaError(
                f"{call.function}() has no argument {key!r}",
                formula,
                value.at,
                hint=f"{nearest(key, names)}arguments are {', '.join(names)}",
            )
    free = [name for name in names if name not in given]
    rest = [value for key, value in call.arguments if key is None]
    if len(rest) > len(free):
        raise FormulaError(
            f"{call.function}() takes {len(names)} argument{'s' if len(names) > 1 else ''}",
            formula,
            rest[len(free)].at,
            hint=f"write {call.function}({', '.join(names)})",
        )
    return {**dict(zip(free, rest, strict=False)), **given}


def _constant(call: Call, key: str, node: Node, formula: str) -> float | bool:
    node = bare(node)
    if call.function == "poly" and key == "raw":
        if isinstance(node, Name) and not node.quoted and node.text in ("TRUE", "FALSE", "True", "False"):
            return node.text.upper() == "TRUE"
        raise FormulaError("raw is TRUE or FALSE", formula, node.at, hint="write poly(x, 2, raw = TRUE)")
    if isinstance(node, Number):
        if key in ("degree", "df"):
            if node.value != int(node.value) or not 1 <= node.value <= 12:
                raise FormulaError(f"{key} {node.text}", formula, node.at, hint=f"{key} is 1 to 12")
            return node.value
        if node.value > 0.0 and node.value != 1.0:
            return node.value
    wanted = "a number" if key in ("degree", "df") else "a positive number other than 1"
    raise FormulaError(f"{key} is {wanted}", formula, node.at, hint=f"write {call.function}(x, 2), say")


def evaluate(node: Node, values: Mapping[str, FloatArray], state: State, formula: str) -> FloatArray:
    """(row,) or, of ``poly`` and ``ns``, (row, k) value of checked arithmetic; ``values`` of the columns (row,).

    ``state`` is filled where it is empty, and used where it is not.
    """
    with np.errstate(all="ignore"):
        return _value(node, values, state, formula)


def _value(node: Node, values: Mapping[str, FloatArray], state: State, formula: str) -> FloatArray:
    if isinstance(node, Name):
        return values[node.text]
    if isinstance(node, Number):
        return np.asarray(node.value)
    if isinstance(node, Group):
        return _value(node.inside, values, state, formula)
    if isinstance(node, Signed):
        inside = _value(node.operand, values, state, formula)
        return -inside if node.sign == "-" else inside
    if isinstance(node, Power):
        base, exponent = _value(node.base, values, state, formula), _value(node.exponent, values, state, formula)
        return np.asarray(np.power(base, exponent), np.float64)
    if isinstance(node, Chain):
        out = _value(node.parts[0], values, state, formula)
        for op, part in zip(node.ops, node.parts[1:], strict=True):
            other = _value(part, values, state, formula)
            out = out + other if op == "+" else out - other if op == "-" else out * other if op == "*" else out / other
        return out
    assert isinstance(node, Call)
    given = _arguments(node, _SIGNATURES.get(node.function, ("x",)), formula)
    x = _value(given["x"], values, state, formula)
    if node.function == "I":
        return x
    if node.function == "log":
        return np.log(x) / math.log(_constant(node, "base", given["base"], formula)) if "base" in given else np.log(x)
    if node.function in PLAIN:
        return np.asarray(PLAIN[node.function](x), np.float64)
    return _learned(node, given, np.asarray(x, np.float64), state, formula)


def _learned(call: Call, given: Mapping[str, Node], x: FloatArray, state: State, formula: str) -> FloatArray:
    key = written(call)
    if call.function == "poly":
        degree = int(_constant(call, "degree", given["degree"], formula)) if "degree" in given else 1
        if "raw" in given and _constant(call, "raw", given["raw"], formula):
            return np.power.outer(x, np.arange(1, degree + 1)).astype(np.float64)
        if key not in state:
            if len(np.unique(x)) <= degree:
                raise FormulaError(
                    f"{key} of {len(np.unique(x))} different values",
                    formula,
                    call.at,
                    hint="a polynomial has fewer degrees than there are values",
                )
            state[key] = _polynomial(x, degree)
        return _polynomials(x, *state[key])
    if call.function == "ns":
        if key not in state:
            df = int(_constant(call, "df", given["df"], formula)) if "df" in given else 1
            if len(np.unique(x)) <= df:
                raise FormulaError(
                    f"{key} of {len(np.unique(x))} different values",
                    formula,
                    call.at,
                    hint="a natural spline has fewer degrees of freedom than there are values",
                )
            state[key] = _spline_knots(x, df)
        return _natural_spline(x, state[key])
    if key not in state:
        spread = float(np.std(x, ddof=1)) if x.size > 1 else math.nan
        if call.function == "scale" and not spread > 0.0:
            raise FormulaError(f"{key} does not vary", formula, call.at, hint="leave it out")
        state[key] = (float(np.mean(x)), spread if call.function == "scale" else 1.0)
    mean, spread = state[key]
    return np.asarray((x - mean) / spread, np.float64)


def _polynomial(x: FloatArray, degree: int) -> tuple[FloatArray, FloatArray]:
    """The recurrence of the polynomials orthogonal over ``x`` (R's ``poly``; Kennedy & Gentle 1980, pp. 343-4)."""
    mean = float(np.mean(x))
    q, r = np.linalg.qr(np.power.outer(x - mean, np.arange(degree + 1)))
    raw = q * np.diag(r)
    norm = (raw**2).sum(axis=0)
    alpha = (x @ (raw**2)) / norm
    return alpha[:degree], np.concatenate([[1.0], norm])


def _polynomials(x: FloatArray, alpha: FloatArray, norm: FloatArray) -> FloatArray:
    z = [np.ones_like(x)]
    for i in range(len(alpha)):
        z.append((x - alpha[i]) * z[i] - (norm[i + 1] / norm[i] * z[i - 1] if i else 0.0))
    return np.column_stack([column / math.sqrt(n) for column, n in zip(z[1:], norm[2:], strict=True)])


def _spline_knots(x: FloatArray, df: int) -> FloatArray:
    """Ends and inner knots, at quantiles, of a natural cubic spline with ``df`` columns beside the intercept."""
    knots: FloatArray = np.unique(np.quantile(x, np.linspace(0.0, 1.0, df + 1)))
    return knots


def _natural_spline(x: FloatArray, knots: FloatArray) -> FloatArray:
    """The basis of R's ``splines::ns``: cubic, straight beyond the outermost knots, without the constant."""
    from scipy.interpolate import BSpline  # few formulas have a spline

    low, high = float(knots[0]), float(knots[-1])
    every = np.concatenate([[low] * 3, knots, [high] * 3])
    spline = BSpline(every, np.eye(len(every) - 4), 3)
    bent = spline.derivative(2)(np.array([low, high]))[:, 1:]
    free = np.linalg.qr(bent.T, mode="complete")[0][:, 2:]
    inside = np.clip(x, low, high)
    made = spline(inside)[:, 1:]
    beyond = x != inside
    if beyond.any():
        made[beyond] += (x - inside)[beyond, None] * spline.derivative()(inside[beyond])[:, 1:]
    return np.asarray(made @ free, np.float64)


# --- codings of factors ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coding:
    """How a factor is coded by contrasts: one of :data:`CODINGS`, and the reference level of ``contr.treatment``.

    ``base`` is a level by name (text) or by place, from 1 (a number); None for the first.
    """

    kind: str = "contr.treatment"
    base: str | int | None = None

    def contrasts(self, levels: tuple[Any, ...], what: str) -> tuple[FloatArray, tuple[str, ...]]:
        """(level, level - 1) contrasts and what their columns are called.

        Raises :class:`EstimationError` for a reference level that does not occur.
        """
        n, eye = len(levels), np.eye(len(levels))
        if self.kind in ("contr.treatment", "contr.SAS"):
            at = n - 1 if self.kind == "contr.SAS" else self._reference(levels, what)
            rest = [i for i in range(n) if i != at]
            return eye[:, rest], tuple(f"[T.{levels[i]}]" for i in rest)
        if n < 2:
            return np.zeros((n, 0)), ()
        if self.kind == "contr.sum":
            return np.vstack([np.eye(n - 1), -np.ones((1, n - 1))]), tuple(f"[S.{lv}]" for lv in levels[:-1])
        if self.kind == "contr.helmert":
            made = np.triu(-np.ones((n, n)), 1)[:, 1:]
            made[np.arange(1, n), np.arange(n - 1)] = np.arange(1, n)
            return made, tuple(f"[H.{lv}]" for lv in levels[1:])
        scores = np.arange(1.0, n + 1.0)
        made = _polynomials(scores, *_polynomial(scores, n - 1))
        return made, tuple(f"[{('.L', '.Q', '.C')[i] if i < 3 else f'^{i + 1}'}]" for i in range(n - 1))

    def _reference(self, levels: tuple[Any, ...], what: str) -> int:
        if self.base is None:
            return 0
        if isinstance(self.base, int):
            if self.base <= len(levels):
                return self.base - 1
        else:
            for i, level in enumerate(levels):
                if str(level) == self.base:
                    return i
        raise EstimationError(
            f"{what}: no level {self.base!r}" + (f" of {len(levels)}" if isinstance(self.base, int) else ""),
            hint=f"{nearest(str(self.base), map(str, levels))}levels are " + ", ".join(map(str, levels[:40])),
        )


def read_factor(call: Call, formula: str) -> tuple[Name, Coding]:
    """The column and the coding of ``C(x, contr.sum)`` and its like.

    Raises
    ------
    FormulaError : not a column, an unknown coding, or an argument that the coding does not take.
    """
    how = "write C(x), C(x, contr.sum) or C(x, contr.treatment(base = 'level')); codings are " + ", ".join(CODINGS)
    names = ("x", "contr", "base") if call.function == "C" else ("x",)
    given = _arguments(call, names, formula)
    column = bare(given["x"]) if "x" in given else None
    if not isinstance(column, Name):
        raise FormulaError(
            f"{call.function}() takes a column",
            formula,
            column.at if column else call.at,
            hint=how if call.function == "C" else f"write {call.function}(x)",
        )
    node, base = given.get("contr"), given.get("base")
    if node is None and base is None:
        return column, Coding()
    word = Name("contr.treatment", call.at) if node is None else bare(node)
    kind = word.function if isinstance(word, Call) else word.text if isinstance(word, Name) else _word(word)
    kind = kind if kind.startswith("contr.") else f"contr.{kind}"
    if kind not in CODINGS:
        raise FormulaError(
            f"there is no coding {kind.removeprefix('contr.')!r}", formula, word.at, hint=nearest(kind, CODINGS) + how
        )
    if isinstance(word, Call):
        if kind != "contr.treatment" and word.arguments:
            raise FormulaError(f"{kind} takes no argument here", formula, word.at, hint=how)
        inner = _arguments(word, ("base",), formula)
        base = inner.get("base", base)
    if base is None:
        return column, Coding(kind)
    if kind != "contr.treatment":
        raise FormulaError(f"{kind} has no base", formula, base.at, hint=how)
    value = bare(base)
    if isinstance(value, Text):
        return column, Coding(kind, value.value)
    if isinstance(value, Number) and value.value >= 1 and value.value == int(value.value):
        return column, Coding(kind, int(value.value))
    raise FormulaError(
        "a base is a level in quotes, or its place from 1",
        formula,
        base.at,
        hint="write C(x, contr.treatment(base = 'level'))",
    )


def _word(node: Node) -> str:
    return node.value if isinstance(node, Text) else written(node)
