"""Function and survival in one likelihood: joint models, and one disease rate ratio for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import P, against, counts, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, compared
from equipoise.plan.results import Block


class _BothSection(Section):
    """``visit`` is the time of a value, ``time`` and ``censor`` (0 for an event) are variables of the subjects, brought
    by ``gather`` as a rule, in the same unit. ``per``: units of time in a unit of the slope, which is called ``unit``.
    """

    value: str = "AVAL"
    visit: str = "AVISITN"
    time: str
    censor: str
    covariates: tuple[str, ...] = ()
    knots: int | tuple[float, ...] | None = None
    level: float = Field(default=0.95, gt=0, lt=1)


class JointModelSection(_BothSection):
    """A joint model: the arms' slopes of ``value``, and the hazard given the course, by one likelihood.

    ``association``: what the hazard depends on, ``value``, ``slope``, ``area``, ``lag(8)``, ``effects``, several by +.
    ``shared_baseline``: arms have one mean at time 0. ``covariates``: of the course's level and of the hazard. ``at``:
    times at which the total effect on survival is asked for.
    """

    ESTIMATES = "joint_model"

    method: Literal["joint_model"]
    association: str = "value"
    baseline: Literal["piecewise", "weibull", "bspline"] = "piecewise"
    shared_baseline: bool = False
    per: float = Field(default=1.0, gt=0)
    unit: str | None = None
    at: tuple[float, ...] = ()
    decimals: int = Field(default=3, ge=0, le=8)


class RateRatioSection(_BothSection):
    """One ratio by which treatment multiplies the slope of ``value`` and the hazard.

    ``rates``: the ``mean`` slope, or each patient's own (``patients``). ``robust``: the sandwich variance.
    """

    ESTIMATES = "disease_rate_ratio"

    method: Literal["disease_rate_ratio"]
    rates: Literal["mean", "patients"] = "mean"
    robust: bool = False


def _frames(context: Prepared, section: _BothSection) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The long records and the subjects' times."""
    frame = context.chosen(section.where)
    for name in (section.value, section.visit):
        context.need(frame, name, numeric=True)
    for name in (*section.covariates, "USUBJID"):
        context.need(frame, name)
    for name in (section.time, section.censor, *section.covariates):
        if name not in context.population.columns:
            raise DataError(
                f"analysis {context.analysis.id}: subjects have no {name}",
                hint="bring it by gather:, {DTHWK: {dataset: ADTTE, parameter: DEATH}, DTHCN: {..., variable: CNSR}}",
            )
    names = dict.fromkeys(["USUBJID", context.treatment, section.value, section.visit, *section.covariates])
    people = dict.fromkeys(["USUBJID", context.treatment, section.time, section.censor, *section.covariates])
    return frame.select(list(names)).drop_nulls(), context.population.select(list(people)).drop_nulls()


def _events(
    context: Prepared, section: _BothSection, people: pl.DataFrame, data: pl.DataFrame
) -> tuple[str, pl.DataFrame]:
    """The formula of the hazard, and the subjects of the two arms that ``data`` has."""
    arm = context.treatment
    kind = data.schema[arm]
    assert isinstance(kind, pl.Enum)
    own = people.filter(pl.col(arm).is_in(kind.categories.to_list())).with_columns(pl.col(arm).cast(kind))
    terms = " + ".join(map(quoted, (arm, *section.covariates)))
    return f"Surv({quoted(section.time)}, 1 - {quoted(section.censor)}) ~ {terms}", own


def _people(made: dict[str, Any], frame: pl.DataFrame, context: Prepared) -> dict[Place, Estimate]:
    arms = [context.plan.treatment.reference, *made]
    seen = frame.group_by(context.treatment).agg(pl.col("USUBJID").n_unique().alias("n"))
    counted = {str(a): int(n) for a, n in seen.iter_rows()}
    return {
        Place("patients", a): Estimate.of_count(f"patients, {a}", counted.get(a, 0), counted.get(a, 0)) for a in arms
    }


def joint_model(context: Prepared, section: JointModelSection) -> Found:
    """Differences of slopes, direct hazard ratios, associations, joint tests and total effects, against control.

    Raises
    ------
    DataError : a variable is not there, or is no number.
    """
    from equipoise.estimate.joint_model import joint_model as estimate

    frame, people = _frames(context, section)
    arm, week = quoted(context.treatment), quoted(section.visit)
    terms = [*([] if section.shared_baseline else [arm]), week, f"{arm}:{week}", *map(quoted, section.covariates)]
    marker = f"{quoted(section.value)} ~ {' + '.join(terms)} + ({week} | USUBJID)"

    def fit(data: pl.DataFrame) -> Any:
        events, own = _events(context, section, people, data)
        return estimate(
            marker,
            events,
            data,
            own,
            association=section.association,
            baseline=section.baseline,
            knots=section.knots,
            time=section.visit,
            arm=context.treatment,
            level=section.level,
        )

    made = compared(context, frame, fit)
    numbers = _people(made, frame, context)
    for one, found in made.items():
        numbers[Place("slope_difference", one)] = found.slope_difference(per=section.per)
        numbers[Place("direct_hazard_ratio", one)] = found.direct_effect()
        numbers[Place("joint_test", one)] = found.joint_test()
        by_name = {e.name: e for e in found.estimates}
        for link in found.setup.links:
            numbers[Place("association", one, variable=link.name)] = by_name[link.name]
        if section.at:
            answer = found.total_effect(list(section.at))
            for key, estimate_ in zip(answer.keys, answer.estimates, strict=True):
                if key["effect"] == "total":
                    numbers[Place("total_effect", one, f"{key['time']:g}")] = estimate_
    return Found(numbers, (made, marker))


_RATIO = "{estimate:2} ({low:2}; {high:2})"


def _told(
    context: Prepared,
    section: _BothSection,
    found: Found,
    called: tuple[str, str],
    lines: Sequence[tuple[str, str, str, tuple[str | None, ...]]],
    description: str,
    details: Mapping[str, Any] | None = None,
) -> Block:
    """The block of a method: patients, then ``lines`` of a label, a form, a quantity and where it stands.

    called : the method in a table, and the quantity that says why there is none.
    """
    percent = f"{100 * section.level:g}%"
    rows = [counts("Patients", {a: int(e.estimate) for a, e in found.by_arm("patients").items()})]
    for label, form, quantity, where in lines:
        rows.append(against(context, label.format(ci=f"({percent} CI)"), found.by_arm(quantity, *where), form))
    return Block(
        section.label or called[0],
        str(section.ESTIMATES),
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=description,
        notes=(
            *((section.note,) if section.note else ()),
            *reasons((called[0], e) for e in found.by_arm(called[1]).values()),
        ),
        details=details or {},
    )


def _joint_lines(context: Prepared, section: JointModelSection, found: Found) -> Block:
    made, marker = found.parts
    k = section.decimals
    unit = f" a {section.unit}" if section.unit else ""
    links = dict.fromkeys(p.variable for p in found.numbers if p.quantity == "association")
    lines: list[tuple[str, str, str, tuple[str | None, ...]]] = [
        (
            f"Difference of slopes{_plain(unit)} {{ci}}",
            f"{{estimate:{k}}} ({{low:{k}}}; {{high:{k}}})",
            "slope_difference",
            (),
        ),
        ("Hazard ratio at the same course {ci}", _RATIO, "direct_hazard_ratio", ()),
        *((f"Hazard ratio a unit, {_plain(name)} {{ci}}", _RATIO, "association", (None, name)) for name in links),
        ("p-value, slope and hazard jointly", P, "joint_test", ()),
    ]
    for t in section.at:
        form = "{estimate:3} ({low:3}; {high:3})"
        lines.append((f"Difference in survival at {t:g} {{ci}}", form, "total_effect", (f"{t:g}",)))
    arms = {
        a: {
            "status": f.status.name.lower(),
            "loglik": f.loglik,
            "gradient": f.optimum.gradient,
            "quadrature": f.optimum.quadrature,
        }
        for a, f in made.items()
    }
    return _told(
        context,
        section,
        found,
        ("Joint model", "joint_test"),
        lines,
        f"Joint model by maximum likelihood: {marker}; hazard of {section.time} depends on {section.association}; "
        f"baseline {section.baseline}",
        {"arms": arms},
    )


def _plain(name: str | None) -> str:
    """A name as it stands in a label that is formatted."""
    return str(name).replace("{", "{{").replace("}", "}}")


def disease_rate_ratio(context: Prepared, section: RateRatioSection) -> Found:
    """Disease rate ratios against control: shared, of function and survival alone, and whether one does for both.

    Raises
    ------
    DataError : a variable is not there, or is no number.
    """
    from equipoise.estimate.joint_model import disease_rate_ratio as estimate

    frame, people = _frames(context, section)
    week = quoted(section.visit)
    terms = " + ".join([week, *map(quoted, section.covariates)])
    marker = f"{quoted(section.value)} ~ {terms} + ({week} | USUBJID)"

    def fit(data: pl.DataFrame) -> Any:
        events, own = _events(context, section, people, data)
        return estimate(
            marker,
            events,
            data,
            own,
            knots=section.knots,
            time=section.visit,
            rates=section.rates,
            robust=section.robust,
            level=section.level,
        )

    made = compared(context, frame, fit)
    numbers = _people(made, frame, context)
    for one, found in made.items():
        names = ("rate_ratio", "rate_ratio_function", "rate_ratio_survival")
        numbers |= {Place(name, one): e for name, e in zip(names, found.estimates, strict=True)}
        numbers[Place("homogeneity", one)] = found.homogeneity()
    return Found(numbers, (made, marker))


def _ratio_lines(context: Prepared, section: RateRatioSection, found: Found) -> Block:
    lines: list[tuple[str, str, str, tuple[str | None, ...]]] = [
        ("Disease rate ratio {ci}", _RATIO, "rate_ratio", ()),
        ("p-value", P, "rate_ratio", ()),
        ("Of function alone {ci}", _RATIO, "rate_ratio_function", ()),
        ("Of survival alone {ci}", _RATIO, "rate_ratio_survival", ()),
        ("p-value, one ratio for both", P, "homogeneity", ()),
    ]
    return _told(
        context,
        section,
        found,
        ("Disease rate ratio", "rate_ratio"),
        lines,
        f"One ratio for slope and hazard by maximum likelihood: {found.parts[1]}; hazard of {section.time}",
    )


METHODS = (
    Method(
        "joint_model",
        JointModelSection,
        joint_model,
        _joint_lines,
        "Joint model",
        noted=True,
        tests=(Test("joint_test", None), Test("slope_difference", "more"), Test("direct_hazard_ratio", "less")),
    ),
    Method(
        "disease_rate_ratio",
        RateRatioSection,
        disease_rate_ratio,
        _ratio_lines,
        "Disease rate ratio",
        noted=True,
        tests=(Test("rate_ratio", "less"),),
    ),
)
