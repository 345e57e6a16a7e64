"""Formulas: never executed (by construction), matrices against formulaic and by hand, errors that show the place."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import equipoise
from equipoise.errors import DataError, EquipoiseError, EstimationError
from equipoise.estimate.formula import CovarianceTerm, FormulaError, build, parse, quoted, read
from equipoise.estimate.formula.functions import FACTOR, NUMERIC
from equipoise.estimate.linear.ancova import ancova
from equipoise.estimate.linear.mmrm import mmrm
from equipoise.estimate.linear.slope import slope
from equipoise.estimate.survival import cox, log_rank

SOURCE = Path(equipoise.__file__).parent


def data(n: int = 60, seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=n),
        "z": rng.uniform(1, 3, n),
        "A": rng.choice(list("abc"), n).tolist(),
        "B": rng.choice(["u", "v"], n).tolist(),
        "K": rng.integers(1, 4, n),
        "Y": rng.normal(size=n),
        "T": rng.exponential(10, n),
        "E": rng.integers(0, 2, n),
        "my col": rng.normal(size=n),
    }


def design(right: str, frame: Any = None) -> tuple[tuple[str, ...], np.ndarray]:
    made, _ = build(read(f"~ {right}"), nw.from_native(pd.DataFrame(data()) if frame is None else frame), {})
    return made.names, made.matrix()


def terms(text: str) -> list[str]:
    return [":".join(s.expression for s in term) or "1" for term in read(text).terms]


# --- nothing is executed ---------------------------------------------------------------------------------------------


def test_property_no_source_can_execute_a_formula() -> None:
    """By construction: the whole package calls nothing that turns text into code, and imports nothing that does."""
    forbidden = {"eval", "exec", "compile", "__import__"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Name):
                assert node.id not in forbidden, where
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            assert not {n.split(".")[0] for n in names} & {"formulaic", "patsy", "code", "codeop", "pickle"}, where


def test_property_the_room_looks_names_up_in_tables_alone() -> None:
    """Neither ``getattr`` nor ``globals`` nor modules by name: a name of a formula can reach its tables and no more."""
    forbidden = {"getattr", "setattr", "globals", "locals", "vars", "open", "importlib", "operator", "builtins"}
    for path in (SOURCE / "estimate" / "formula").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                assert node.id not in forbidden, path
            if isinstance(node, ast.Attribute):
                allowed = node.attr in ("__name__", "__init__") or not node.attr.startswith("__")
                assert allowed, (path, node.attr)
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = node.names[0].name if isinstance(node, ast.Import) else str(node.module)
                assert module.split(".")[0] not in {"os", "sys", "subprocess", "importlib", "operator"}, path


@pytest.mark.parametrize(
    "text",
    [
        'exp(0*x + ｅｖａｌ("\\137"))',
        "eval('1')",
        "__import__('os').system('id')",
        "x.__class__",
        "().__class__",
        "np.linalg.norm(x)",
        "x[0]",
        "lambda: 0",
        "{x}",
        "x if x else z",
        "log(x); z",
        "open('f')",
        "`x`('a')",
        "f'{x}'",
        "exec",
        "I(x := 1)",
        "log(__builtins__)",
        "C(x, eval)",
        "C(A, contr.eval('1'))",
        "x @ z",
        "$x",
        "I(x.real)",
        "log(x)(z)",
        "getattr(x, 'y')",
        "\u202ex",
        "x\x00",
        "ｘ",
        "x‑z",
        "А",
        "e\u0301",
    ],
)
def test_property_what_is_no_formula_is_refused(text: str) -> None:
    for door, formula in ((ancova, f"Y ~ {text}"), (cox, f"Surv(T, E) ~ {text}")):
        with pytest.raises(EquipoiseError) as caught:
            door(formula, pl.DataFrame(data()))
        assert caught.value.hint


def test_property_deep_and_long_formulas_are_refused() -> None:
    for text in (
        "(" * 5000 + "x" + ")" * 5000,
        "-" * 5000 + "x",
        "log(" * 900 + "x" + ")" * 900,
        " + ".join(f"x{i}" for i in range(4000)),
        "^".join(["x"] * 900),
        "*".join(f"x{i}" for i in range(60)),
        "(" + "+".join(f"x{i}" for i in range(300)) + ")^9",
    ):
        with pytest.raises(FormulaError) as caught:
            read(f"Y ~ {text}")
        assert len(caught.value.message) < 500


# --- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ a * b", ["1", "a", "b", "a:b"]),
        ("y ~ a / b", ["1", "a", "a:b"]),
        ("y ~ (a + b) / c", ["1", "a", "b", "a:b:c"]),
        ("y ~ a + b %in% a", ["1", "a", "a:b"]),
        ("y ~ (a + b + c)^2", ["1", "a", "b", "c", "a:b", "a:c", "b:c"]),
        ("y ~ (a + b + c)^2 - a:b", ["1", "a", "b", "c", "a:c", "b:c"]),
        ("y ~ 0 + a", ["a"]),
        ("y ~ a - 1", ["a"]),
        ("y ~ a + 0 + 1", ["1", "a"]),
        ("y ~ a*b*c - a:b:c", ["1", "a", "b", "c", "a:b", "a:c", "b:c"]),
        ("y ~ a:b + a", ["1", "a", "a:b"]),
        ("y ~ a + a + a:a", ["1", "a"]),
        ("y ~ x.1 + _z + größe + `my col`", ["1", "x.1", "_z", "größe", "my col"]),
        ("y ~ log( a+1 ) + I(x ^2)", ["1", "log(a + 1)", "I(x^2)"]),
        ("y ~ 1", ["1"]),
        ("y ~ a +\n  b", ["1", "a", "b"]),
    ],
)
def test_reference_terms_expand_as_in_r(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_property_what_stands_beside_the_terms() -> None:
    model = read("CHG ~ BASE*AVISIT + us( AVISIT | TRT01P / USUBJID ) + TRT01P + offset(log(z)) + strata(S, `t u`)")
    assert model.covariance == CovarianceTerm("us", "AVISIT", "USUBJID", "TRT01P")
    assert str(model.covariance) == "us(AVISIT | TRT01P / USUBJID)"
    assert model.strata == ("S", "t u")
    assert [o.expression for o in model.offsets] == ["log(z)"]
    assert model.variables == ("CHG", "BASE", "AVISIT", "TRT01P", "z", "S", "t u", "USUBJID")
    assert parse("CHG ~ us(AVISIT | USUBJID) + BASE").terms == parse("CHG ~ BASE + us(AVISIT | USUBJID)").terms
    surv = read("Surv(START, STOP, 1 - CNSR) ~ A + cluster(ID)")
    assert surv.survival is not None
    assert surv.survival.columns == ("START", "STOP", "CNSR")
    assert surv.survival.censoring
    assert read("y ~ t + (1 + t | id)").random == read("y ~ t + (t | id)").random


@pytest.mark.parametrize(
    ("text", "at", "message", "mend"),
    [
        ("y ~ A", None, "no covariance term", "us(AVISIT"),
        ("y ~ A + un(V | S)", 8, "unknown covariance structure 'un'", "us"),
        ("y ~ A + us(V | S) + cs(V | S)", 20, "2 covariance terms", "us(AVISIT"),
        ("y ~ A + us(V | G / H / S)", 8, "cannot read", "us(AVISIT"),
        ("y ~ A + us(V, W | S)", 8, "cannot read", "us(AVISIT"),
        ("y ~ A + (B + us(V | S)", 8, "'\\(' without its", "~"),
        ("y ~ 0 + us(V | S)", None, "no fixed part", "intercept"),
        ("y A", 2, "'A' where the '~'", "~"),
        ("y ~ A +", 7, "ends where a column", "~"),
        ("y ~ A ~ B", 6, "second '~'", "~"),
        ("y ~ lgo(A)", 4, "no function 'lgo'", "did you mean log"),
        ("y ~ np.log(A)", 4, "no function 'np.log'", "write log"),
        ("y ~ A$B", 5, "'\\$' has no meaning", "name the column alone"),
        ("y ~ A > 3", 6, "'>' has no meaning", "compute the flag"),
        ("y ~ x^2", 5, "as a term is x alone", "I\\(x\\^2\\)"),
        ("y ~ 2*x", 4, "number as a factor", "I\\("),
        ("y ~ .", 4, "no column", "one by one"),
        ("y ~ C(A, contr.sums)", 9, "no coding 'sums'", "did you mean contr.sum"),
        ("y ~ C(A, contr.sum, base = 2)", 27, "contr.sum has no base", "contr.treatment"),
        ("y ~ A - B", 8, "not among the terms", "before it"),
        ("y ~ A*strata(B)", 6, "within a term", "stands alone"),
        ("a + b ~ c", 0, "one response", "I(a + b)"),
        ("y ~ A − 1", 6, "has no meaning", "write"),
        ("y ~ 4weeks", 4, "begin with a digit", "backticks"),
    ],
)
def test_property_errors_show_the_place_and_the_mend(text: str, at: int | None, message: str, mend: str) -> None:
    with pytest.raises(EstimationError, match=message) as caught:
        parse(text)
    assert caught.value.hint is not None
    assert mend.replace("\\", "") in caught.value.hint
    if at is not None:
        assert isinstance(caught.value, FormulaError)
        assert caught.value.at == at
        line, caret = caught.value.message.split("\n")[-2:]
        assert caret.index("^") == line.index(text[0]) + at


def test_property_a_column_that_is_not_there_is_named_with_the_nearest() -> None:
    for door, formula in ((ancova, "Y ~ B + mycol"), (cox, "Surv(T, E) ~ B + mycol")):
        with pytest.raises(DataError, match="no column 'mycol'") as caught:
            door(formula, pl.DataFrame(data()))
        assert str(caught.value.hint).startswith("did you mean my col? columns are x, z, A")


def test_property_quoted_names_are_read_back() -> None:
    for name in ("AVAL", "my col", "1st", "a:b", "x|y", "TRUE", "x.1", "größe", "a~b", "'", "C(x)", "ｘ"):
        assert read(f"~ {quoted(name)}").terms[1][0].name == name
    with pytest.raises(EstimationError, match="cannot name"):
        quoted("a`b")


# --- matrices --------------------------------------------------------------------------------------------------------

SAME = [
    "x + A",
    "0 + A",
    "A - 1",
    "A*B",
    "A/B",
    "x:A",
    "x*A",
    "x*z + A*B - A:B",
    "(A + B + x)**2",
    "(A+B)*x",
    "log(z) + x",
    "poly(x, 3)",
    "scale(x) + center(z)",
    "I(x**2)",
    "C(K)",
    "C(K)*x",
    "C(A, contr.sum)",
    "C(A, contr.helmert)*B",
    "C(A, contr.poly)",
    "C(A, contr.treatment('b')) + x",
    "C(A, contr.treatment(base='c'))*B",
    "C(A, contr.SAS)",
    "A*B*x",
    "0 + A:B",
    "B:A + B",
    "log10(z) + log2(z)",
    "I(x/z)",
    "I(2*x - z**2)",
    "A + A:x",
    "`my col` + x",
    "exp(x):A",
    "C(A, contr.sum)*C(B, contr.sum)",
]


@pytest.mark.parametrize("right", SAME)
def test_independent_matrices_agree_with_formulaic(right: str) -> None:
    formulaic = pytest.importorskip("formulaic", reason="formulaic is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = formulaic.model_matrix(right, pd.DataFrame(data()))
    columns = [str(c).replace("Intercept", "(Intercept)") for c in expected.columns]
    names, matrix = design(right)
    assert set(names) == set(columns)
    np.testing.assert_allclose(
        matrix[:, [names.index(c) for c in columns]], expected.to_numpy(dtype=float), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("right", ["x*A + K", "C(K)*B + log(z)", "C(A, contr.sum)"])
def test_property_every_data_frame_gives_the_same_matrix(right: str) -> None:
    columns, long = data(), data(2000)
    for one in (columns, long):
        names, expected = design(right, pd.DataFrame(one))
        for frame in (
            pl.DataFrame(one),
            pa.table(one),
            pl.DataFrame(one).with_columns(pl.col("A").cast(pl.Categorical)),
        ):
            again, matrix = design(right, frame)
            assert again == names
            np.testing.assert_array_equal(matrix, expected)


def test_property_order_of_categories_is_kept_and_levels_that_do_not_occur_are_left_out() -> None:
    for frame in (
        pd.DataFrame({"A": pd.Categorical(["b", "c", "b", None], categories=["c", "q", "b"])}),
        pl.DataFrame({"A": pl.Series(["b", "c", "b", None], dtype=pl.Enum(["c", "q", "b"]))}),
    ):
        names, matrix = design("A", frame)
        assert names == ("(Intercept)", "A[T.b]")
        np.testing.assert_array_equal(matrix[:, 1], [1.0, 0.0, 1.0])


def test_reference_codings_of_r() -> None:
    # R: contr.sum(3), contr.helmert(3), contr.poly(3), contr.treatment(3, base = 2)
    frame = pd.DataFrame({"A": list("abc")})
    root = np.sqrt(0.5)
    for coding, expected in (
        ("contr.sum", [[1, 0], [0, 1], [-1, -1]]),
        ("contr.helmert", [[-1, -1], [1, -1], [0, 2]]),
        ("contr.poly", [[-root, 1 / np.sqrt(6)], [0, -2 / np.sqrt(6)], [root, 1 / np.sqrt(6)]]),
        ("contr.treatment, base = 2", [[1, 0], [0, 0], [0, 1]]),
        ("contr.treatment(base = 'b')", [[1, 0], [0, 0], [0, 1]]),
    ):
        np.testing.assert_allclose(design(f"C(A, {coding})", frame)[1][:, 1:], expected, atol=1e-15)
    with pytest.raises(EstimationError, match="no level 'd'"):
        design("C(A, contr.treatment(base = 'd'))", frame)


def test_property_raw_polynomials_are_powers() -> None:
    names, matrix = design("poly(x, 3, raw = TRUE)")
    assert names[1:] == tuple(f"poly(x, 3, raw=TRUE)[{i}]" for i in (1, 2, 3))
    np.testing.assert_allclose(matrix[:, 1:], np.power.outer(data()["x"], [1, 2, 3]), rtol=1e-14)


def test_property_codings_change_coefficients_and_nothing_else() -> None:
    frame = pl.DataFrame(data())
    plain = ancova("Y ~ x + A", frame)
    for coding in ("contr.sum", "contr.helmert", "contr.poly", "contr.SAS"):
        fit = ancova(f"Y ~ x + C(A, {coding})", frame)
        np.testing.assert_allclose(fit.sigma, plain.sigma, rtol=1e-12)
        assert fit.names != plain.names
        np.testing.assert_allclose(
            fit.lsmeans("A").to_frame()["estimate"], plain.lsmeans("A").to_frame()["estimate"], rtol=1e-10
        )
    sums = ancova("Y ~ C(A, contr.sum)", frame)
    means = ancova("Y ~ A", frame).lsmeans("A").to_frame()["estimate"].to_numpy()
    np.testing.assert_allclose(sums.beta, [means.mean(), *(means[:2] - means.mean())], rtol=1e-10)


def test_property_functions_that_learn_keep_what_they_learned() -> None:
    frame = pl.DataFrame(data())
    raw, learned = cox("Surv(T, E) ~ x + I(x^2)", frame), cox("Surv(T, E) ~ poly(x, 2)", frame)
    np.testing.assert_allclose(learned.loglik, raw.loglik, rtol=1e-12)
    new = frame.head(3)
    np.testing.assert_allclose(learned.predict(new)["survival"], raw.predict(new)["survival"], rtol=1e-8)


def test_property_a_value_that_is_no_number_names_its_row() -> None:
    frame = pl.DataFrame({"Y": [1.0, 2.0, 3.0, 4.0], "x": [None, 1.0, 0.0, 2.0]})
    with pytest.raises(DataError, match=r"log\(x\) is no finite number in row 3 \(x = 0\)"):
        ancova("Y ~ log(x)", frame)
    with pytest.raises(DataError, match="'A' is not a number"):
        ancova("Y ~ log(A)", pl.DataFrame(data()))


@pytest.mark.parametrize(
    ("door", "formula", "kind"),
    [
        (ancova, "Y ~ x + strata(A)", "strata"),
        (ancova, "Y ~ x + (1 | B)", "random part"),
        (ancova, "Y ~ x + us(A | B)", "covariance term"),
        (mmrm, "Y ~ x + us(K | A) + (1 | B)", "random part"),
        (slope, "Y ~ x + (x | A) + us(K | A)", "covariance term"),
        (cox, "Surv(T, E) ~ x + offset(z)", "offset"),
        (cox, "Surv(T, E) ~ x + (1 | A)", "random part"),
        (log_rank, "Surv(T, E) ~ A + us(K | B)", "covariance term"),
    ],
)
def test_property_what_an_analysis_does_not_take_is_refused(door: Any, formula: str, kind: str) -> None:
    with pytest.raises(FormulaError, match=kind) as caught:
        door(formula, pl.DataFrame(data()))
    assert caught.value.hint


def test_property_offsets_are_read_for_the_models_that_take_them() -> None:
    made, _ = build(read("Y ~ x + offset(log(z)) + offset(K)"), nw.from_native(pl.DataFrame(data())), {})
    np.testing.assert_allclose(made.offset, np.log(data()["z"]) + data()["K"], rtol=1e-15)


def test_property_tables_of_functions_are_told_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formulas.md").read_text(encoding="utf-8")
    for name in (*NUMERIC, *FACTOR):
        assert f"`{name}(" in text, name
