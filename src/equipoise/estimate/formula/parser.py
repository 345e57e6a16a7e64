"""Text to tree: R's grammar of formulas, read by recursive descent.

From the loosest to the tightest, as in R (``?Syntax``)::

    ~    |    + -    * /    %in%    :    signs    ^ **    ( )  function( )  names  numbers

Every character is looked at once. What is not of this grammar is an error that shows the place.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from equipoise.estimate.formula.tree import (
    DEEPEST,
    LONGEST,
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
)

_SHAPE = "write response ~ terms, as in CHG ~ BASE + TRT01P * AVISIT"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d](?:[\w.])*|\.(?:[^\W\d]|\.)[\w.]*|\.(?![0-9]))"
    r"|`(?P<quoted>[^`]*)`"
    r"|(?P<text>\"[^\"\\]*\"|'[^'\\]*')"
    r"|(?P<op>%in%|\*\*|[-+*/:^()|~,=]))"
)
_ODD = {
    "[": "brackets take a part of a column; a formula names whole columns: compute the part as a column",
    "]": "brackets take a part of a column; a formula names whole columns: compute the part as a column",
    "$": "name the column alone: AVAL, not data$AVAL",
    "@": "a formula does no attribute access: name columns alone",
    ".": "a formula does no attribute access: name columns alone, and functions as in R: log(x)",
    "%": "the only operator in percent signs is %in%",
    "\\": "a formula has no escapes: write the letters themselves",
    "<": "a formula has no comparisons: compute the flag as a column",
    ">": "a formula has no comparisons: compute the flag as a column",
    "!": "a formula has no comparisons: compute the flag as a column",
    "&": "a formula has no logical operators: compute the flag as a column",
    "`": "a name in backticks ends with a backtick",
    '"': "text in quotes ends with the same quote and holds no backslash",
    "'": "text in quotes ends with the same quote and holds no backslash",
    ";": "a formula is one expression, with no statements",
    "{": "a formula is one expression, with no statements",
    "}": "a formula is one expression, with no statements",
}
_RANKS: tuple[frozenset[str], ...] = tuple(
    frozenset(ops) for ops in (("|",), ("+", "-"), ("*", "/"), ("%in%",), (":",))
)
_SIGNS = len(_RANKS)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    at: int


def tokens_of(formula: str) -> list[Token]:
    """The words of a formula, and an ``end``.

    Raises :class:`FormulaError` at a character that has no meaning there.
    """
    if len(formula) > LONGEST:
        raise FormulaError(
            f"it has {len(formula):,} characters", formula, LONGEST, hint=f"at most {LONGEST:,} are read"
        )
    out: list[Token] = []
    at, end = 0, len(formula.rstrip())
    while at < end:
        found = _TOKEN.match(formula, at)
        if found is None:
            while formula[at].isspace():
                at += 1
            raise _odd(formula, at)
        kind = str(found.lastgroup)
        start = found.start(kind)
        text = found.group(kind)
        if kind == "name" and not text.isascii():
            _check_letters(formula, text, start)
        if kind == "quoted":
            _check_quoted(formula, text, start)
        if kind == "number" and found.end() < end and (formula[found.end()].isalnum() or formula[found.end()] in "_."):
            raise FormulaError(
                "a name cannot begin with a digit", formula, start, hint="put the name of the column in `backticks`"
            )
        if kind == "text":
            text = text[1:-1]
            _check_quoted(formula, text, start + 1)
        out.append(Token(kind, text, start - 1 if kind == "quoted" else start))
        at = found.end()
    out.append(Token("end", "", end))
    return out


def _check_letters(formula: str, text: str, start: int) -> None:
    """Names outside backticks are letters that have one spelling only."""
    for i, letter in enumerate(text):
        usual = unicodedata.normalize("NFKC", letter)
        if usual != letter or unicodedata.combining(letter):
            what = f"{letter!r} is another form of {usual!r}" if usual != letter else f"{letter!r} is no letter"
            raise FormulaError(
                what,
                formula,
                start + i,
                hint="write the ordinary letter; a column that is really called so goes in `backticks`",
            )


def _check_quoted(formula: str, text: str, start: int) -> None:
    if not text:
        raise FormulaError("an empty name", formula, max(start - 1, 0), hint="write a name between the quotes")
    for i, letter in enumerate(text):
        if not letter.isprintable():
            raise FormulaError(
                f"{letter!r} does not print", formula, start + i, hint="rename the column (or level) without it"
            )


def _odd(formula: str, at: int) -> FormulaError:
    letter = formula[at]
    usual = unicodedata.normalize("NFKC", letter)
    hint = _ODD.get(letter)
    if hint is None and usual != letter and usual.isprintable():
        hint = f"write {usual!r}"
    if hint is None and letter in "−–—":
        hint = "write the minus sign of the keyboard, -"
    if hint is None and letter in "‘’“”„‚«»":
        hint = "write straight quotes"
    return FormulaError(
        f"{letter!r} has no meaning in a formula",
        formula,
        at,
        hint=hint or "a column with such a name goes in `backticks`",
    )


class _Reader:
    """One pass over the tokens. ``depth`` counts what is within what, so that no formula can exhaust the stack."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = tokens_of(formula)
        self.place = 0
        self.depth = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.place]

    def is_op(self, text: str) -> bool:
        token = self.tokens[self.place]
        return token.kind == "op" and token.text == text

    def fail(self, reason: str, at: int, hint: str = _SHAPE) -> FormulaError:
        return FormulaError(reason, self.formula, at, hint=hint)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail(f"more than {DEEPEST} levels of nesting", self.here.at, "write it flatter")

    def whole(self) -> tuple[Node | None, Node, int]:
        left = None if self.is_op("~") else self.chain(0)
        if not self.is_op("~"):
            raise self.unexpected("the '~' between response and terms")
        at = self.here.at
        self.place += 1
        right = self.chain(0)
        if self.here.kind != "end":
            if self.is_op("~"):
                raise self.fail("a second '~'", self.here.at)
            raise self.unexpected("an operator or the end")
        return left, right, at

    def unexpected(self, wanted: str) -> FormulaError:
        token = self.here
        if token.kind == "end":
            return self.fail(f"it ends where {wanted} should be", token.at)
        if token.kind == "op" and token.text == ")" and not self.depth:
            return self.fail("a ')' without its '('", token.at)
        return self.fail(f"{token.text!r} where {wanted} should be", token.at)

    def chain(self, rank: int) -> Node:
        """Operators of ``rank`` and all that bind more tightly."""
        if rank == _SIGNS:
            return self.signed()
        first = self.chain(rank + 1)
        token = self.tokens[self.place]
        ranked = _RANKS[rank]
        if token.kind != "op" or token.text not in ranked:
            return first
        parts, ops = [first], []
        while token.kind == "op" and token.text in ranked:
            ops.append(token.text)
            self.place += 1
            parts.append(self.chain(rank + 1))
            token = self.tokens[self.place]
        return Chain(tuple(parts), tuple(ops), first.at)

    def signed(self) -> Node:
        token = self.here
        if token.kind == "op" and token.text in ("-", "+"):
            self.place += 1
            self.deeper()
            operand = self.signed()
            self.depth -= 1
            return Signed(token.text, operand, token.at)
        base = self.primary()
        token = self.here
        if token.kind == "op" and token.text in ("^", "**"):
            self.place += 1
            self.deeper()
            exponent = self.signed()
            self.depth -= 1
            return Power(base, exponent, token.text, token.at)
        return base

    def primary(self) -> Node:
        token = self.here
        if token.kind == "number":
            self.place += 1
            value = float(token.text)
            if value > 1e100:
                raise self.fail(f"{token.text} is too large to compute with", token.at, "give a smaller number")
            return Number(value, token.text, token.at)
        if token.kind == "text":
            self.place += 1
            return Text(token.text, token.at)
        if token.kind == "quoted":
            self.place += 1
            if self.is_op("("):
                raise self.fail(
                    "a name in backticks is a column, not a function",
                    self.here.at,
                    "write the function without backticks",
                )
            return Name(token.text, token.at, True)
        if token.kind == "name":
            self.place += 1
            if self.is_op("("):
                return self.call(token)
            return Name(token.text, token.at)
        if self.is_op("("):
            self.place += 1
            self.deeper()
            inside = self.chain(0)
            self.depth -= 1
            self.close(token)
            return Group(inside, token.at)
        raise self.unexpected("a column")

    def close(self, opened: Token) -> None:
        if not self.is_op(")"):
            if self.here.kind == "end":
                raise self.fail("a '(' without its ')'", opened.at)
            raise self.unexpected("')'")
        self.place += 1

    def call(self, function: Token) -> Node:
        opened = self.here
        self.place += 1
        self.deeper()
        arguments: list[tuple[str | None, Node]] = []
        while not self.is_op(")"):
            key = None
            following = self.tokens[min(self.place + 1, len(self.tokens) - 1)]
            if self.here.kind == "name" and following.kind == "op" and following.text == "=":
                key = self.here.text
                self.place += 2
                if self.is_op("="):
                    raise self.fail(
                        "'==' is no operator of a formula",
                        following.at,
                        "a formula has no comparisons: compute the flag as a column",
                    )
            if any(k == key for k, _ in arguments) and key is not None:
                raise self.fail(f"{key!r} is given twice", following.at, "give it once")
            arguments.append((key, self.chain(0)))
            if self.is_op(","):
                self.place += 1
                if self.is_op(")"):
                    raise self.unexpected("an argument")
            elif not self.is_op(")"):
                break
        self.depth -= 1
        self.close(opened)
        return Call(function.text, tuple(arguments), function.at)


def parse_tree(formula: str) -> tuple[Node | None, Node, int]:
    """Left side (None where there is none), right side, and the place of the ``~``.

    >>> left, right, at = parse_tree("CHG ~ BASE + TRT01P")
    >>> left, at
    (Name(text='CHG', at=0, quoted=False), 4)

    Raises
    ------
    FormulaError : it is no formula; with the place and how to mend it.
    """
    return _Reader(formula).whole()
