"""The model formula: the covariance term is ours, the fixed part is parsed by formulaic.

Formulas of columns joined by ``+``, ``*`` and ``:`` alone are read here with the same result (a test compares the two),
because importing formulaic costs more than a second in a new process.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache

from equipoise.errors import EstimationError

STRUCTURES = ("us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh", "sp_exp")
_TERM = re.compile(r"(?:\+\s*)?\b([A-Za-z_]\w*)\s*\(([^()|]*)\|([^()]*)\)")
_HINT = "write the covariance as in us(AVISIT | USUBJID) or, one matrix a group, us(AVISIT | TRT01P / USUBJID)"


@dataclass(frozen=True)
class CovarianceTerm:
    """``structure(visit | group / subject)``; ``group`` is None where all subjects share one covariance."""

    structure: str
    visit: str
    subject: str
    group: str | None = None

    def __str__(self) -> str:
        by = f"{self.group} / {self.subject}" if self.group else self.subject
        return f"{self.structure}({self.visit} | {by})"


@dataclass(frozen=True)
class FactorSpec:
    """One factor of a term: a column (``name``), a column to be taken as categorical, or an expression."""

    expression: str
    name: str | None
    categorical: bool


@dataclass(frozen=True)
class ModelFormula:
    """A parsed formula. ``terms`` are tuples of factors; the intercept is the empty tuple."""

    text: str
    response: str
    terms: tuple[tuple[FactorSpec, ...], ...]
    covariance: CovarianceTerm | None


def _clean(name: str) -> str:
    return name.strip().strip("`").strip()


def split_covariance(text: str) -> tuple[str, CovarianceTerm | None]:
    """The fixed part and the covariance term of ``text``."""
    found = list(_TERM.finditer(text))
    if not found:
        return text, None
    if len(found) > 1:
        raise EstimationError(
            f"the formula has {len(found)} covariance terms: {', '.join(m.group(0).lstrip('+ ') for m in found)}",
            hint=_HINT,
        )
    match = found[0]
    structure, inner, outer = match.group(1), match.group(2), match.group(3)
    if structure not in STRUCTURES:
        raise EstimationError(
            f"unknown covariance structure {structure!r}", hint="choose one of " + ", ".join(STRUCTURES)
        )
    parts = [_clean(s) for s in outer.split("/")]
    if len(parts) > 2 or not all(parts) or not _clean(inner) or "," in inner:
        raise EstimationError(f"cannot read the covariance term {match.group(0).lstrip('+ ')!r}", hint=_HINT)
    term = CovarianceTerm(structure, _clean(inner), parts[-1], parts[0] if len(parts) == 2 else None)
    fixed = text[: match.start()] + " " + text[match.end() :]
    fixed = re.sub(r"~\s*\+", "~", fixed).strip()
    if fixed.endswith("~"):
        fixed += " 1"
    return fixed, term


def _factor(expression: str, lookup: bool) -> FactorSpec:
    if lookup:
        return FactorSpec(expression, _clean(expression), False)
    match = re.fullmatch(r"C\(\s*(`[^`]+`|\w+)\s*\)", expression)
    if match:
        return FactorSpec(expression, _clean(match.group(1)), True)
    return FactorSpec(expression, None, False)


_NAME = r"[A-Za-z_]\w*"
_PIECE = re.compile(rf"(?:{_NAME}|C\(\s*{_NAME}\s*\))(?:\s*[*:]\s*(?:{_NAME}|C\(\s*{_NAME}\s*\)))*")


def quick_parse(fixed: str) -> tuple[str, tuple[tuple[FactorSpec, ...], ...]] | None:
    """Response and terms of a formula of columns, ``C(column)``, ``+``, ``*``, ``:`` and ``1``; None for any other."""
    left, tilde, right = fixed.partition("~")
    if not tilde or not re.fullmatch(_NAME, left.strip()):
        return None
    terms: list[tuple[str, ...]] = [()]
    for piece in (p.strip() for p in right.split("+")):
        if piece == "1":
            continue
        if not _PIECE.fullmatch(piece) or ("*" in piece and ":" in piece):
            return None
        names = [re.sub(r"\s+", "", n) for n in re.split(r"[*:]", piece)]
        if ":" in piece:
            terms.append(tuple(dict.fromkeys(names)))
        else:
            for size in range(1, len(names) + 1):
                terms.extend(tuple(dict.fromkeys(c)) for c in itertools.combinations(names, size))
    unique = {frozenset(t): t for t in reversed(terms)}
    ordered = sorted(dict.fromkeys(unique[frozenset(t)] for t in terms), key=len)
    return left.strip(), tuple(tuple(_factor(n, "(" not in n) for n in t) for t in ordered)


def _formulaic(fixed: str) -> tuple[str, tuple[tuple[FactorSpec, ...], ...]]:
    """Response and terms as formulaic reads them."""
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        formula = Formula(fixed)
        left, right = formula.lhs, formula.rhs
    except (FormulaicError, AttributeError, SyntaxError) as error:
        raise EstimationError(
            f"cannot read the formula {fixed!r}: {error}", hint="write response ~ terms, as in R"
        ) from error
    if len(left) != 1 or len(left[0].factors) != 1:
        raise EstimationError(f"the left-hand side of {fixed!r} must be one response", hint="write CHG ~ ...")
    terms = []
    for one in right:
        specs = []
        for factor in one.factors:
            kind = factor.eval_method.value
            if kind == "literal":
                if factor.expr == "1" and len(one.factors) == 1:
                    continue
                raise EstimationError(f"the formula has a number as a factor: {factor.expr}", hint="remove it")
            specs.append(_factor(factor.expr, kind == "lookup"))
        terms.append(tuple(specs))
    return str(left[0].factors[0].expr), tuple(terms)


@lru_cache(maxsize=256)
def parse(text: str, needs_covariance: bool = True) -> ModelFormula:
    """Parse ``text``; raises :class:`EstimationError` where it cannot be read."""
    fixed, term = split_covariance(text)
    if term is None and needs_covariance:
        raise EstimationError("the formula has no covariance term", hint=_HINT)
    simple = quick_parse(fixed)
    response, terms = simple if simple is not None else _formulaic(fixed)
    if not terms:
        raise EstimationError("the formula has no fixed part", hint="write at least an intercept: y ~ 1 + us(...)")
    return ModelFormula(text, response, terms, term)
