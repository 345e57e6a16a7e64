"""Formulas as in R, read to a syntax tree and built into designs; nothing of a formula is ever executed.

``read`` (text to model), ``build`` (model and data frame to design). What is understood: ``docs/formulas.md``.

    tree.py         the syntax tree, its text, the error with its caret
    parser.py       text to tree
    functions.py    the functions and codings that a formula may use
    terms.py        tree to model: terms, covariance, random part, Surv(), strata, clusters, offsets
    columns.py      columns of a data frame
    design.py       model and columns to the matrix
"""

from __future__ import annotations

from equipoise.estimate.formula.columns import Column, no_column, read_column
from equipoise.estimate.formula.design import Design, Factor, NoCompleteRow, Term, build, products, renewed, sum_coded
from equipoise.estimate.formula.terms import (
    STRUCTURES,
    CovarianceTerm,
    FactorSpec,
    ModelFormula,
    RandomTerm,
    Survival,
    parse,
    read,
    with_intercept,
)
from equipoise.estimate.formula.tree import FormulaError, quoted

__all__ = [
    "STRUCTURES",
    "Column",
    "CovarianceTerm",
    "Design",
    "Factor",
    "FactorSpec",
    "FormulaError",
    "ModelFormula",
    "NoCompleteRow",
    "RandomTerm",
    "Survival",
    "Term",
    "build",
    "no_column",
    "parse",
    "products",
    "quoted",
    "read",
    "read_column",
    "renewed",
    "sum_coded",
    "with_intercept",
]
