"""What is asked of an analysis of times to an event, as a formula or as names of columns.

Every function of this family takes both: ``Surv(AVAL, 1 - CNSR) ~ TRT01P + AGE + strata(RILFL)`` and the data, or the
data and ``time="AVAL", censor="CNSR", arm="TRT01P", covariates=["AGE"], strata=["RILFL"]``. One home reads either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.errors import EstimationError
from equipoise.estimate.formula import ModelFormula, quoted
from equipoise.estimate.indicators import one_indicator
from equipoise.estimate.survival.surv_formula import HINT, surv_model

_ARM = "TRT01P"


@dataclass(frozen=True)
class Named:
    """The columns of an analysis, whichever way they were given, and the data.

    event, censor : one of them (neither where ``cause`` says how follow-up ended). arm : None where there is none.
    """

    data: Any
    time: str
    event: str | None
    censor: str | None
    cause: str | None
    entry: str | None
    arm: str | None
    covariates: tuple[str, ...]
    strata: tuple[str, ...]


def tuple_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, as several."""
    return (names,) if isinstance(names, str) else tuple(names)


def _apart(formula: Any, data: Any, given: dict[str, Any]) -> tuple[Any, Any]:
    """The formula (None for names of columns) and the data."""
    if data is None and not isinstance(formula, str):
        formula, data = None, formula
    if data is None:
        raise EstimationError("no data", hint="give the formula, then the data; or the data and time=, event=, arm=")
    if formula is not None:
        twice = [name for name, value in given.items() if value is not None and value != ()]
        if twice:
            raise EstimationError(
                f"a formula and {', '.join(name + '=' for name in twice)}", hint="say it one way: in the formula"
            )
    elif given.get("time") is None:
        raise EstimationError(
            "neither a formula nor time=", hint='time="AVAL", censor="CNSR", arm="TRT01P", or a formula: ' + HINT
        )
    return formula, data


def as_formula(
    formula: Any,
    data: Any,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    cause: str | None = None,
    entry: str | None = None,
    arm: str | None = None,
    covariates: str | Sequence[str] = (),
    strata: str | Sequence[str] = (),
    default_arm: bool = True,
) -> tuple[str, Any]:
    """A formula and the data, however they were given.

    default_arm : without ``arm``, the arm is TRT01P; otherwise there may be none.

    Raises :class:`EstimationError` where both ways are mixed, or something needed is not said.

    Examples
    --------
    >>> as_formula([1], None, time="AVAL", censor="CNSR", strata="RILFL")[0]
    'Surv(AVAL, 1 - CNSR) ~ TRT01P + strata(RILFL)'
    """
    given = {
        "time": time,
        "event": event,
        "censor": censor,
        "cause": cause,
        "entry": entry,
        "arm": arm,
        "covariates": tuple_of(covariates),
        "strata": tuple_of(strata),
    }
    formula, data = _apart(formula, data, given)
    if formula is not None:
        return formula, data
    if cause is None:
        one_indicator(event, censor)
    last = quoted(cause or event or "") if censor is None else f"1 - {quoted(censor)}"
    inside = [*([quoted(entry)] if entry else []), quoted(str(time)), last]
    first = arm or (_ARM if default_arm else None)
    terms = [quoted(name) for name in (*((first,) if first else ()), *tuple_of(covariates))]
    terms += [f"strata({quoted(name)})" for name in tuple_of(strata)]
    return f"Surv({', '.join(inside)}) ~ {' + '.join(terms) or '1'}", data


def as_columns(
    formula: Any,
    data: Any,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    cause: str | None = None,
    entry: str | None = None,
    arm: str | None = None,
    covariates: str | Sequence[str] = (),
    strata: str | Sequence[str] = (),
    causes: bool = False,
    default_arm: bool = True,
    takes: Sequence[str] = (),
) -> Named:
    """The columns and the data, however they were given.

    causes : the second column of ``Surv()`` says how follow-up ended. default_arm : as in :func:`as_formula`.
    takes : which of ``entry``, ``covariates`` and ``strata`` this analysis knows.

    Raises :class:`EstimationError` where both ways are mixed, or the formula says what the analysis does not know.

    Examples
    --------
    >>> named = as_columns("Surv(AVAL, 1 - CNSR) ~ TRT01P + AGE", [1], takes=["covariates"])
    >>> named.time, named.censor, named.arm, named.covariates
    ('AVAL', 'CNSR', 'TRT01P', ('AGE',))
    """
    given = {
        "time": time,
        "event": event,
        "censor": censor,
        "cause": cause,
        "entry": entry,
        "arm": arm,
        "covariates": tuple_of(covariates),
        "strata": tuple_of(strata),
    }
    formula, data = _apart(formula, data, given)
    if formula is None:
        assert time is not None
        if causes and cause is None:
            raise EstimationError("no cause=", hint="name the column that says how follow-up ended")
        first = arm or (_ARM if default_arm else None)
        return Named(data, time, event, censor, cause, entry, first, tuple_of(covariates), tuple_of(strata))
    model = surv_model(formula)
    model.refuse(cluster="this analysis takes no clusters")
    assert model.survival is not None
    *late, when, flag = model.survival.columns
    flipped = model.survival.censoring
    names = _plain(model)
    if late and "entry" not in takes:
        raise EstimationError(
            f"late entry in {formula!r}", hint="this analysis is for patients seen from the start: Surv(time, event)"
        )
    if causes and flipped:
        raise EstimationError(f"cannot read the formula {formula!r}", hint="write Surv(time, cause) ~ arm")
    if not names and default_arm:
        raise EstimationError(f"no arm in {formula!r}", hint="put the column of the arm first on the right-hand side")
    if len(names) > 1 and "covariates" not in takes:
        raise EstimationError(f"{len(names)} terms in {formula!r}", hint="this analysis takes the arm alone")
    if model.strata and "strata" not in takes:
        raise EstimationError(f"strata in {formula!r}", hint="this analysis takes no strata")
    return Named(
        data,
        when,
        None if causes or flipped else flag,
        flag if flipped else None,
        flag if causes else None,
        late[0] if late else None,
        names[0] if names else None,
        names[1:],
        model.strata,
    )


def _plain(model: ModelFormula) -> tuple[str, ...]:
    """The terms, where each is a column."""
    names = []
    for term in model.terms:
        if not term:
            continue
        name = term[0].name if len(term) == 1 and not term[0].categorical else None
        if name is None:
            raise EstimationError(
                f"{':'.join(spec.expression for spec in term)!r} is no column",
                hint="this analysis takes columns alone: the arm, then covariates; make a column of anything else",
            )
        names.append(name)
    return tuple(names)
