"""Tree to model: the response, the terms and what stands beside them (covariance, random part, strata, offset ...).

Terms are expanded as in R: ``a * b`` is ``a + b + a:b``, ``a / b`` is ``a + a:b``, ``b %in% a`` is ``a:b``,
``(a + b)^2`` all terms up to two at a time, ``- a`` takes a term out, ``0 +`` or ``- 1`` the intercept. They are
ordered by the number of their factors, and within that as written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from equipoise.errors import EstimationError
from equipoise.estimate.formula.functions import (
    FACTOR,
    NUMERIC,
    SEVERAL,
    Coding,
    check_arithmetic,
    nearest,
    read_factor,
    unknown_function,
)
from equipoise.estimate.formula.parser import parse_tree
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
    names_in,
    written,
)

STRUCTURES = ("us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh", "sp_exp")
MOST_TERMS = 500
"""Terms of a formula."""
COVARIANCE_HINT = (
    "write the covariance as in us(AVISIT | USUBJID) or, one matrix a group, us(AVISIT | TRT01P / USUBJID)"
)
RANDOM_HINT = "write the random part as in AVAL ~ TRT01P * MONTH + (MONTH | USUBJID), or (1 | USUBJID)"
SURV_HINT = (
    "write Surv(time, event) ~ terms + strata(column), Surv(AVAL, 1 - CNSR) for an ADaM censoring flag, "
    "or Surv(start, stop, event) for late entry"
)
_ALONE = ("strata", "cluster", "offset")
_EVERY = (*FACTOR, *NUMERIC, *_ALONE, *STRUCTURES, "Surv")


@dataclass(frozen=True)
class CovarianceTerm:
    """``structure(visit | group / subject)``; ``group`` is None where all subjects share one covariance.

    coordinates : the two columns of ``sp_exp(X, Y | subject)``, whose distance is that in the plane; ``visit`` is then
    what the two together are called.
    """

    structure: str
    visit: str
    subject: str
    group: str | None = None
    coordinates: tuple[str, ...] = ()

    def __str__(self) -> str:
        by = f"{self.group} / {self.subject}" if self.group else self.subject
        return f"{self.structure}({self.visit} | {by})"


@dataclass(frozen=True)
class RandomTerm:
    """``(time | subject)``, a random intercept and slope; ``time`` is None for ``(1 | subject)``, and where the random
    part is more than a column, as in ``(ns(week, 2) | id)``: ``terms`` has all of it, the intercept first.
    """

    time: str | None
    subject: str
    terms: tuple[TermSpec, ...] = field(default=((),), compare=False)

    @property
    def simple(self) -> bool:
        """Whether it is an intercept, or an intercept and one column."""
        return len(self.terms) == (1 if self.time is None else 2)


@dataclass(frozen=True)
class Survival:
    """``Surv(...)``: (time, event) or (start, stop, event); ``censoring`` where the flag is written ``1 - flag``."""

    columns: tuple[str, ...]
    censoring: bool


@dataclass(frozen=True)
class FactorSpec:
    """One factor of a term: a column (``name``), a column to be taken as categorical (``coding`` may say how), or an
    expression (``node``, of ``variables``).
    """

    expression: str
    name: str | None
    categorical: bool
    coding: Coding = field(default=Coding(), compare=False)
    node: Node | None = field(default=None, compare=False, repr=False)
    variables: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of_column(cls, name: str, categorical: bool = False) -> FactorSpec:
        """The factor that a column is; ``categorical``: numbers too are levels."""
        return cls(f"C({name})" if categorical else name, name, categorical, variables=(name,))


TermSpec = tuple[FactorSpec, ...]


@dataclass(frozen=True)
class ModelFormula:
    """A formula that was read. ``terms`` are tuples of factors; the intercept is the empty tuple.

    response : as written, None where there is none (or a ``Surv(...)``, which is ``survival``); ``right`` is the text
    after the ``~``. covariance, random : of the mixed models. strata, cluster : columns named so. offsets : what is
    added with a coefficient of 1.
    """

    text: str
    response: str | None
    terms: tuple[TermSpec, ...]
    covariance: CovarianceTerm | None = None
    target: FactorSpec | None = None
    survival: Survival | None = None
    random: RandomTerm | None = None
    strata: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    offsets: tuple[FactorSpec, ...] = ()
    right: str = field(default="", compare=False)
    places: tuple[tuple[str, int], ...] = field(default=(), compare=False, repr=False)

    @property
    def variables(self) -> tuple[str, ...]:
        """The columns that the formula names, in order: response, terms, offsets, strata, clusters, covariance."""
        specs = [*((self.target,) if self.target else ()), *(s for t in self.terms for s in t), *self.offsets]
        names = [*(self.survival.columns if self.survival else ()), *(v for s in specs for v in s.variables)]
        names += [*self.strata, *self.cluster]
        if self.covariance:
            when = self.covariance.coordinates or (self.covariance.visit,)
            names += [n for n in (*when, self.covariance.group, self.covariance.subject) if n]
        if self.random:
            names += [v for term in self.random.terms for spec in term for v in spec.variables] + [self.random.subject]
        return tuple(dict.fromkeys(names))

    def without_response(self) -> ModelFormula:
        """The same right-hand side."""
        return replace(self, response=None, target=None, survival=None)

    def refuse(self, **hints: str) -> None:
        """Raise :class:`FormulaError` for a special term that the analysis does not take: its kind -> what to do."""
        for kind, at in self.places:
            if kind in hints:
                called = {"covariance": "a covariance term", "random": "a random part"}.get(kind, f"{kind}()")
                raise FormulaError(f"{called} has no place in this analysis", self.text, at, hint=hints[kind])


class _Model:
    """The terms of one tree as they are collected."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.terms: dict[frozenset[str], TermSpec] = {}
        self.intercept = True
        self.places: list[tuple[str, int]] = []
        self.covariance: CovarianceTerm | None = None
        self.random: RandomTerm | None = None
        self.strata: list[str] = []
        self.cluster: list[str] = []
        self.offsets: list[FactorSpec] = []

    def fail(self, reason: str, at: int, hint: str) -> FormulaError:
        return FormulaError(reason, self.formula, at, hint=hint)

    # --- the sum ------------------------------------------------------------------------------------------------------

    def add(self, node: Node, minus: bool = False) -> None:
        """Add (or take out) what stands between the ``+`` and ``-`` of the right-hand side."""
        if isinstance(node, Group):
            inside = bare(node)
            if isinstance(inside, Chain) and inside.ops[0] == "|":
                self._special("random", inside, minus)
            else:
                self.add(inside, minus)
        elif isinstance(node, Signed):
            self.add(node.operand, minus != (node.sign == "-"))
        elif isinstance(node, Chain) and node.ops[0] in "+-":
            self.add(node.parts[0], minus)
            for op, part in zip(node.ops, node.parts[1:], strict=True):
                self.add(part, minus != (op == "-"))
        elif isinstance(node, Number):
            self._intercept(node, minus)
        elif isinstance(node, Call) and (kind := _kind(node)):
            self._special(kind, node, minus)
        else:
            made = self.expand(node)
            if not minus:
                for key, term in made.items():
                    self.terms.setdefault(key, term)
                self._count(len(self.terms), node.at)
                return
            for key, term in made.items():
                if key not in self.terms:
                    name = ":".join(s.expression for s in term)
                    raise self.fail(
                        f"{name} is not among the terms before, so it cannot be taken out",
                        node.at,
                        "a '-' takes out a term that stands before it",
                    )
                del self.terms[key]

    def _intercept(self, node: Number, minus: bool) -> None:
        if node.value not in (0.0, 1.0):
            raise self.fail(
                f"the formula has a number as a term: {node.text}",
                node.at,
                "the only numbers among terms are 1 (intercept) and 0 (none)",
            )
        self.intercept = (node.value == 1.0) != minus

    def _count(self, terms: int, at: int) -> None:
        if terms > MOST_TERMS:
            raise self.fail(f"more than {MOST_TERMS} terms", at, "interact fewer columns")

    # --- terms --------------------------------------------------------------------------------------------------------

    def expand(self, node: Node) -> dict[frozenset[str], TermSpec]:
        """The terms that ``node`` stands for."""
        if isinstance(node, Group):
            return self.expand(bare(node))
        if isinstance(node, Name | Call):
            spec = self.factor(node)
            return {frozenset((spec.expression,)): (spec,)}
        if isinstance(node, Power):
            return self._power(node)
        if isinstance(node, Chain):
            out = self.expand(node.parts[0])
            for op, part in zip(node.ops, node.parts[1:], strict=True):
                out = self._joined(op, out, self.expand(part), node.at)
            return out
        if isinstance(node, Number):
            raise self.fail(
                f"the formula has a number as a factor: {node.text}",
                node.at,
                "remove it, or write arithmetic within I(), as in I(2 * x)",
            )
        if isinstance(node, Text):
            raise self.fail("text in quotes is no column", node.at, "write the name alone, or in `backticks`")
        raise self.fail("a sign within a term", node.at, "write arithmetic within I(), as in I(-x)")

    def _joined(
        self, op: str, left: dict[frozenset[str], TermSpec], right: dict[frozenset[str], TermSpec], at: int
    ) -> dict[frozenset[str], TermSpec]:
        if op == "|":
            raise self.fail("a '|' outside of parentheses", at, RANDOM_HINT)
        if op == "+":
            return {**left, **{k: v for k, v in right.items() if k not in left}}
        if op == "-":
            for key, term in right.items():
                if key not in left:
                    raise self.fail(
                        f"{':'.join(s.expression for s in term)} is not among the terms before",
                        at,
                        "a '-' takes out a term that stands before it",
                    )
            return {k: v for k, v in left.items() if k not in right}
        if op == "%in%":
            left, right = right, left
        if op == "/":
            every: TermSpec = tuple(dict.fromkeys(s for term in left.values() for s in term))
            return {**left, **self._product({frozenset(s.expression for s in every): every}, right, at)}
        product = self._product(left, right, at)
        if op != "*":
            return product
        out = {**left}
        for more in (right, product):
            for key, term in more.items():
                out.setdefault(key, term)
        return out

    def _product(
        self, left: dict[frozenset[str], TermSpec], right: dict[frozenset[str], TermSpec], at: int
    ) -> dict[frozenset[str], TermSpec]:
        self._count(max(len(left), len(right)), at)
        out: dict[frozenset[str], TermSpec] = {}
        for a, one in left.items():
            for b, other in right.items():
                out.setdefault(a | b, tuple(dict.fromkeys((*one, *other))))
        self._count(len(out), at)
        return out

    def _power(self, node: Power) -> dict[frozenset[str], TermSpec]:
        exponent = bare(node.exponent)
        if not isinstance(exponent, Number) or exponent.value != int(exponent.value) or not 1 <= exponent.value <= 20:
            raise self.fail(
                "a power among terms is a whole number from 1",
                exponent.at,
                "write (a + b)^2 for all terms up to two at a time, I(x^2) for a square",
            )
        if isinstance(bare(node.base), Name) and exponent.value > 1:
            raise self.fail(
                f"{written(node)} as a term is {written(node.base)} alone",
                node.at,
                f"write I({written(node.base)}^{exponent.text}) for the power",
            )
        base = self.expand(node.base)
        out = base
        for _ in range(int(exponent.value) - 1):
            more = self._product(out, base, node.at)
            out = {**out, **{k: v for k, v in more.items() if k not in out}}
            self._count(len(out), node.at)
        return out

    def factor(self, node: Name | Call) -> FactorSpec:
        """The factor that a column or a function is."""
        if isinstance(node, Name):
            self._column(node)
            return FactorSpec(node.text, node.text, False, variables=(node.text,))
        if node.function in FACTOR:
            column, coding = read_factor(node, self.formula)
            self._column(column)
            return FactorSpec(written(node), column.text, True, coding, None, (column.text,))
        if _kind(node):
            raise self.fail(f"{node.function}() within a term", node.at, f"it stands alone: + {written(node)}")
        if node.function == "Surv":
            raise self.fail("Surv() on the right-hand side", node.at, SURV_HINT)
        if node.function not in NUMERIC:
            inside = [bare(value) for _, value in node.arguments]
            if any(isinstance(one, Chain) and "|" in one.ops for one in inside):
                hint = f"{nearest(node.function, STRUCTURES)}choose one of {', '.join(STRUCTURES)}"
                raise self.fail(f"unknown covariance structure {node.function!r}", node.at, hint)
            raise unknown_function(node, self.formula, _EVERY)
        return self.expression(node)

    def expression(self, node: Node) -> FactorSpec:
        """The factor that arithmetic is."""
        check_arithmetic(node, self.formula)
        names = [n for n in names_in(node) if n.quoted or n.text not in RESERVED]
        for name in names:
            self._column(name)
        if not names:
            raise self.fail(f"{written(node)} uses no column of the data", node.at, "name a column in it")
        return FactorSpec(written(node), None, False, Coding(), node, tuple(dict.fromkeys(n.text for n in names)))

    def _column(self, name: Name) -> str:
        if not name.quoted and (name.text in RESERVED or name.text == "." or name.text.startswith("...")):
            hint = (
                "name the columns one by one" if "." in name.text else "a column really called so goes in `backticks`"
            )
            raise self.fail(f"{name.text!r} is no column", name.at, hint)
        return name.text

    # --- what stands beside the terms ---------------------------------------------------------------------------------

    def _special(self, kind: str, node: Call | Chain, minus: bool) -> None:
        if minus:
            raise self.fail("a '-' before what is no term", node.at, "write it with a '+', or leave it out")
        if kind in ("covariance", "random"):
            before = [at for k, at in self.places if k == kind]
            if before:
                what = "covariance terms" if kind == "covariance" else "random parts"
                raise self.fail(
                    f"the formula has 2 {what}", node.at, COVARIANCE_HINT if kind == "covariance" else RANDOM_HINT
                )
        self.places.append((kind, node.at))
        if kind == "random":
            assert isinstance(node, Chain)
            self.random = self._random(node)
        elif kind == "covariance":
            assert isinstance(node, Call)
            self.covariance = self._covariance(node)
        else:
            assert isinstance(node, Call)
            self._columns_of(kind, node)

    def _columns_of(self, kind: str, node: Call) -> None:
        if kind == "offset":
            if len(node.arguments) != 1 or node.arguments[0][0] is not None:
                raise self.fail("offset() takes one thing", node.at, "write offset(log(TIME)), say")
            value = node.arguments[0][1]
            inner = bare(value)
            self.offsets.append(self.factor(inner) if isinstance(inner, Name) else self.expression(inner))
            return
        names = []
        for key, value in node.arguments:
            inner = bare(value)
            if key is not None or not isinstance(inner, Name):
                raise self.fail(f"{kind}() takes columns", inner.at, f"write {kind}(A, B)")
            names.append(self._column(inner))
        if not names:
            raise self.fail(f"{kind}() names no column", node.at, f"write {kind}(A)")
        (self.strata if kind == "strata" else self.cluster).extend(names)

    def _random(self, node: Chain) -> RandomTerm:
        subject = bare(node.parts[-1])
        left = bare(node.parts[0])
        if isinstance(left, Chain) and left.ops == ("+",) and isinstance(one := bare(left.parts[0]), Number):
            if one.value != 1.0:
                raise self.fail("a random part without an intercept", one.at, RANDOM_HINT)
            left = bare(left.parts[1])
        if len(node.parts) != 2 or not isinstance(subject, Name):
            raise self.fail(f"cannot read the random part ({written(node)})", node.at, RANDOM_HINT)
        if isinstance(left, Number):
            if left.value != 1.0:
                raise self.fail(f"cannot read the random part ({written(node)})", node.at, RANDOM_HINT)
            return RandomTerm(None, self._column(subject))
        inside = _Model(self.formula)
        inside.add(left)
        if not inside.intercept or inside.places or not inside.terms:
            raise self.fail(f"cannot read the random part ({written(node)})", node.at, RANDOM_HINT)
        terms = tuple(sorted(inside.terms.values(), key=len))
        time = None
        if len(terms) == 1 and len(terms[0]) == 1 and not terms[0][0].categorical:
            time = terms[0][0].name
        return RandomTerm(time, self._column(subject), ((), *terms))

    def _covariance(self, node: Call) -> CovarianceTerm:
        wrong = self.fail(f"cannot read the covariance term {written(node)!r}", node.at, COVARIANCE_HINT)
        if not node.arguments or any(key is not None for key, _ in node.arguments):
            raise wrong
        *before, (_, last) = node.arguments
        places = [bare(value) for _, value in before]
        if len(places) > (node.function == "sp_exp") or not all(isinstance(p, Name) for p in places):
            raise wrong
        inside = bare(last)
        if not isinstance(inside, Chain) or inside.ops != ("|",):
            raise wrong
        visit, outer = bare(inside.parts[0]), bare(inside.parts[1])
        parts = [bare(p) for p in outer.parts] if isinstance(outer, Chain) and outer.ops == ("/",) else [outer]
        if not all(isinstance(p, Name) for p in (visit, *parts)):
            raise wrong
        names = [self._column(p) for p in (visit, *parts) if isinstance(p, Name)]
        group = names[1] if len(names) == 3 else None
        if places:
            both = (*(self._column(p) for p in places if isinstance(p, Name)), names[0])
            return CovarianceTerm(node.function, ", ".join(both), names[-1], group, both)
        return CovarianceTerm(node.function, names[0], names[-1], group)


def _kind(node: Call) -> str | None:
    """Whether a call is no term but stands beside the terms: its kind."""
    if node.function in _ALONE:
        return node.function
    return "covariance" if node.function in STRUCTURES else None


def _survival(call: Call, formula: str) -> Survival:
    columns: list[str] = []
    censoring = False
    for i, (key, value) in enumerate(call.arguments):
        node = bare(value)
        last = i == len(call.arguments) - 1
        if last and isinstance(node, Chain) and node.ops == ("-",) and isinstance(one := node.parts[0], Number):
            if one.value != 1.0:
                raise FormulaError("an event flag is a column or 1 less a column", formula, one.at, hint=SURV_HINT)
            node, censoring = bare(node.parts[1]), True
        if key is not None or not isinstance(node, Name) or (node.text in RESERVED and not node.quoted):
            raise FormulaError("Surv() takes columns", formula, value.at, hint=SURV_HINT)
        columns.append(node.text)
    if len(columns) not in (2, 3):
        raise FormulaError(f"Surv() of {len(columns)} columns", formula, call.at, hint=SURV_HINT)
    return Survival(tuple(columns), censoring)


@lru_cache(maxsize=512)
def _read(text: str) -> ModelFormula:
    left, right, tilde = parse_tree(text)
    model = _Model(text)
    model.add(right)
    target, survival = None, None
    if left is not None:
        inner = bare(left)
        if isinstance(inner, Call) and inner.function == "Surv":
            survival = _survival(inner, text)
        elif isinstance(inner, Chain) and any(op not in "+-*/" for op in inner.ops):
            raise FormulaError("the left-hand side must be one response", text, inner.at, hint="write CHG ~ ...")
        elif isinstance(inner, Chain):
            raise FormulaError(
                "the left-hand side must be one response",
                text,
                inner.at,
                hint=f"write I({written(inner)}) ~ ... if a sum or difference is meant",
            )
        elif isinstance(inner, Name):
            target = model.factor(inner)
        elif isinstance(inner, Call) and inner.function in (*FACTOR, *SEVERAL):
            raise FormulaError(f"{inner.function}() is no response", text, inner.at, hint="the response is a number")
        else:
            target = model.expression(inner)
    terms = sorted(model.terms.values(), key=len)
    return ModelFormula(
        text,
        written(left) if survival is not None and left is not None else target.expression if target else None,
        ((), *terms) if model.intercept else tuple(terms),
        model.covariance,
        target,
        survival,
        model.random,
        tuple(dict.fromkeys(model.strata)),
        tuple(dict.fromkeys(model.cluster)),
        tuple(model.offsets),
        text[tilde + 1 :].strip(),
        tuple(model.places),
    )


def read(formula: Any) -> ModelFormula:
    """Read a formula, whatever stands in it.

    >>> model = read("CHG ~ BASE + TRT01P * AVISIT + us(AVISIT | USUBJID)")
    >>> [":".join(s.expression for s in term) or "1" for term in model.terms]
    ['1', 'BASE', 'TRT01P', 'AVISIT', 'TRT01P:AVISIT']
    >>> str(model.covariance)
    'us(AVISIT | USUBJID)'

    Raises
    ------
    FormulaError : it cannot be read; the message shows the place, the hint how to mend it. EstimationError : no text.
    """
    if not isinstance(formula, str):
        raise EstimationError(f"cannot read the formula {formula!r:.200}", hint="give text: 'CHG ~ BASE + TRT01P'")
    return _read(formula)


def parse(text: Any, needs_covariance: bool = True) -> ModelFormula:
    """Read the formula of a model with one numeric response; raises :class:`EstimationError` where there is none.

    ``needs_covariance``: a covariance term must be there. Terms beside the covariance are refused.
    """
    model = read(text)
    if model.target is None:
        what = "Surv()" if model.survival else "no response"
        raise FormulaError(f"{what} where a number should be", model.text, 0, hint="write CHG ~ BASE + TRT01P, say")
    model.refuse(
        strata="use it as a term, or analyse the strata one by one",
        cluster="patients are named in the covariance term of mmrm; ancova has vcov='HC3'",
    )
    if model.covariance is None and needs_covariance:
        model.refuse(random="write us(AVISIT | USUBJID), or use slope() for a random part")
        raise EstimationError("the formula has no covariance term", hint=COVARIANCE_HINT)
    if not model.terms:
        raise EstimationError("the formula has no fixed part", hint="write at least an intercept: y ~ 1")
    return model


def with_intercept(terms: Iterable[TermSpec]) -> tuple[TermSpec, ...]:
    """``terms`` with the intercept, which a model of hazards has whatever its formula says."""
    rest = [t for t in terms if t]
    return ((), *rest)
