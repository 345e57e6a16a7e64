"""Reading formulas: the covariance term, and the quick reader against formulaic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import EstimationError
from equipoise.estimate.linear.mmrm.formula import CovarianceTerm, _formulaic, parse, quick_parse, split_covariance

names = st.sampled_from(["A", "B", "BASE", "AVISIT", "x_1", "C(B)"])
pieces = st.one_of(
    st.just("1"),
    st.lists(names, min_size=1, max_size=3, unique=True).flatmap(
        lambda parts: st.sampled_from(["*", " * ", ":"]).map(lambda op: op.join(parts))
    ),
)


@given(st.lists(pieces, min_size=1, max_size=5))
def test_independent_quick_reader_agrees_with_formulaic(parts: list[str]) -> None:
    text = "y ~ " + " + ".join(parts)
    quick = quick_parse(text)
    assert quick is not None
    response, terms = quick
    other, reference = _formulaic(text)
    assert response == other
    assert [frozenset(t) for t in terms] == [frozenset(t) for t in reference]


@pytest.mark.parametrize("text", ["y ~ A - 1", "y ~ 0 + A", "y ~ (A + B)**2", "y ~ log(A)", "log(y) ~ A", "y ~ A*B:x"])
def test_independent_quick_reader_leaves_the_rest_to_formulaic(text: str) -> None:
    assert quick_parse(text) is None


def test_property_covariance_term_is_taken_out() -> None:
    fixed, term = split_covariance("CHG ~ BASE*AVISIT + us( AVISIT | TRT01P / USUBJID ) + TRT01P")
    assert term == CovarianceTerm("us", "AVISIT", "USUBJID", "TRT01P")
    assert quick_parse(fixed) == quick_parse("CHG ~ BASE*AVISIT + TRT01P")
    assert parse("CHG ~ us(AVISIT | USUBJID) + BASE").terms == parse("CHG ~ BASE + us(AVISIT | USUBJID)").terms
    assert str(term) == "us(AVISIT | TRT01P / USUBJID)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ A", "no covariance term"),
        ("y ~ A + un(V | S)", "unknown covariance structure 'un'"),
        ("y ~ A + us(V | S) + cs(V | S)", "2 covariance terms"),
        ("y ~ A + us(V | G / H / S)", "cannot read"),
        ("y ~ A + us(V, W | S)", "cannot read"),
        ("y ~ A + (B + us(V | S)", "cannot read the formula"),
        ("y ~ 0 + us(V | S)", "no fixed part"),
    ],
)
def test_property_errors_name_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(EstimationError, match=message) as caught:
        parse(text)
    assert caught.value.hint
