"""One trial's answers, arms and strata: from a data frame, or a formula, to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.columns import codes_of, two_levels
from equipoise.estimate.formula import read
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.indicators import flags_of
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.estimate.survival.surv_formula import combined
from equipoise.types import FloatArray, IntArray

ARM = "TRT01P"
HINT = "write RESPONSE ~ TRT01P + strata(SITE), or leave the formula out and name response= and arm="


@dataclass(frozen=True, eq=False)
class Answers:
    """Who has an answer, an arm and a stratum.

    answer : (subject,) codes into ``answers`` (of yes or no: 1 for yes). arm, stratum : (subject,) codes into ``arms``
    (control first) and ``strata``. names : the columns of the strata.
    """

    answer: IntArray
    answers: tuple[Any, ...]
    arm: IntArray
    arms: tuple[Any, ...]
    stratum: IntArray
    strata: tuple[str, ...]
    names: tuple[str, ...]
    left_out: LeftOut
    backend: Any

    def table(self) -> FloatArray:
        """(stratum, arm, answer) counts."""
        shape = (max(len(self.strata), 1), len(self.arms), len(self.answers))
        out = np.zeros(shape)
        np.add.at(out, (self.stratum, self.arm, self.answer), 1.0)
        return out


def asked(
    formula: Any, data: Any, response: str | None, arm: str | None, strata: str | Sequence[str]
) -> tuple[Any, str, str, tuple[str, ...]]:
    """The data and the columns of response, arm and strata, however they were given.

    Raises :class:`EstimationError` where both ways are mixed, or something needed is not said.

    >>> asked("RESP ~ TRT01P + strata(SITE)", [1], None, None, ())[1:]
    ('RESP', 'TRT01P', ('SITE',))
    """
    if data is None and not isinstance(formula, str):
        formula, data = None, formula
    if data is None:
        raise EstimationError("no data", hint="give the formula, then the data; or the data and response=, arm=")
    named = (strata,) if isinstance(strata, str) else tuple(strata)
    if formula is None:
        if response is None:
            raise EstimationError("neither a formula nor response=", hint=HINT)
        return data, response, arm or ARM, named
    if response is not None or arm is not None or named:
        raise EstimationError("a formula and names of columns", hint="say it one way: in the formula")
    model = read(formula)
    model.refuse(
        covariance="this analysis takes one answer a patient",
        random="this analysis takes one answer a patient",
        cluster="this analysis takes one answer a patient",
        offset="this analysis takes no offset",
    )
    terms = [t for t in model.terms if t]
    plain = [t[0].name for t in terms if len(t) == 1 and not t[0].categorical]
    if len(terms) != 1 or len(plain) != 1 or plain[0] is None or model.target is None or model.target.name is None:
        raise EstimationError(f"cannot read the formula {formula!r}", hint=HINT)
    return data, model.target.name, plain[0], model.strata


def read_answers(
    data: Any, response: str, arm: str, strata: Sequence[str] = (), *, control: Any = None, binary: bool = True
) -> Answers:
    """Read one row a patient; rows that lack a value take no part.

    binary : the response is 0 and 1 (or truth values) and there are two arms; else both may have any levels.

    Raises
    ------
    DataError, EstimationError : a column is absent or holds what it should not, or there are not two arms.
    """
    frame = read_frame(data)
    require(frame, [response, arm, *strata])
    group, arms = codes_of(frame, arm)
    if binary:
        ordered = two_levels(arms, arm, len(group), control)
        group = np.array([*(ordered.index(a) for a in arms), -1], np.int64)[group]
        arms = list(ordered)
        flag = flags_of(frame, response)
        answer, answers = np.where(np.isnan(flag), -1, flag).astype(np.int64), [0, 1]
    else:
        if control is not None:
            if control not in arms:
                two_levels(arms, arm, len(group), control)  # says so
            arms = [control, *(a for a in arms if a != control)]
            group = np.array([*(arms.index(a) for a in codes_of(frame, arm)[1]), -1], np.int64)[group]
        answer, answers = codes_of(frame, response)
    stratum, called = combined(frame, strata)
    sieve = Sieve(len(frame))
    sieve.need(answer >= 0, f"without {response}")
    sieve.need(group >= 0, f"without {arm}")
    sieve.need(stratum >= 0, f"without {' or '.join(strata)}")
    keep = sieve.keep
    return Answers(
        answer[keep],
        tuple(answers),
        group[keep],
        tuple(arms),
        stratum[keep],
        called or ("",),
        tuple(strata),
        sieve.left_out,
        nw.get_native_namespace(frame),
    )
