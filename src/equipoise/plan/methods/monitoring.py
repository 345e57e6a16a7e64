"""Interim looks in a plan: a test of another analysis held against the boundaries of a group sequential design."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator
from scipy import special

from equipoise.errors import EstimationError, ScenarioError
from equipoise.estimate.result import Estimate
from equipoise.files import Frozen
from equipoise.plan.methods.described import described
from equipoise.plan.methods.estimates import finite
from equipoise.plan.methods.other_tests import OtherTest, Picked, pick, place
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block, Cell, Column, Figure, Row, cell_of
from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.decision import Boundaries, GroupSequentialDesign
_RULES = {
    "obrien-fleming": "OBrienFlemingSpending",
    "pocock": "PocockSpending",
    "hwang-shih-decani": "HwangShihDeCani",
    "power": "PowerSpending",
    "haybittle-peto": "HaybittlePeto",
    "wang-tsiatis": "WangTsiatis",
}
_FUTILITY = ("obrien-fleming", "pocock", "hwang-shih-decani", "power", "fixed")
_WITHOUT = ("obrien-fleming", "pocock")


def _rule(given: str | dict[str, Any], names: tuple[str, ...], what: str) -> Any:
    """A boundary rule from ``pocock`` or ``{power: 2}``; raises ``ValueError`` for what is none."""
    from equipoise import decision as sequential

    name, number = (given, None) if isinstance(given, str) else next(iter(given.items()), ("", None))
    if name not in names or (isinstance(given, dict) and len(given) != 1):
        raise ValueError(f"{what}: {given!r} is no rule; there are {', '.join(names)}")
    if name == "fixed":
        if not isinstance(number, list | tuple) or not all(isinstance(z, int | float) for z in number):
            raise ValueError("futility: fixed takes a Z for each interim look, {fixed: [0, 0.5]}")
        return sequential.FixedFutility(tuple(float(z) for z in number))
    if number is None:
        return getattr(sequential, _RULES[name])()
    if name in _WITHOUT or not isinstance(number, int | float):
        raise ValueError(f"{what}: {name} takes {'no number' if name in _WITHOUT else 'one number'}, not {number!r}")
    return getattr(sequential, _RULES[name])(float(number))


class Look(Frozen):
    """A look held before: its Z, positive in favour of the active arm, the information there was, and when (``time``,
    where error is spent on calendar time)."""

    z: float
    information: float = Field(gt=0)
    time: float | None = Field(default=None, gt=0)


class GroupSequentialSection(Section, Picked):
    """The look that is held now: the test ``of`` another analysis, against the boundaries of the design.

    ``planned``: information at each look - numbers of events for a ``survival`` analysis, the inverse squared standard
    error for others; or ``fractions`` and ``maximum``. ``looks``: those held before, with Z and information.
    ``efficacy``: ``obrien-fleming`` or ``pocock`` (spending functions), ``{hwang-shih-decani: -4}``, ``{power: 3}``,
    ``{haybittle-peto: 3}``, ``{wang-tsiatis: 0.25}``; ``futility`` the spending functions or ``{fixed: [0, 0.5]}``,
    not ``binding`` unless said. ``efficacy_at``, ``futility_at``: whether each look has such a boundary. ``final``:
    whether this look ends the trial; the last one planned does, and one with all the information.
    ``times``: when each planned look is, in months, say, from the start: error is then spent on calendar time, not
    on information; ``time``: when this look is, and each of ``looks`` says its own.
    ``effects``: name -> effect (a hazard ratio in ``survival``) under which conditional power is told, besides the
    effect as seen. ``prior``: mean and standard deviation, for predictive power (logarithms for a ratio).
    ``combination``: weights of the stages of an inverse-normal combination test, laid down before the first look; the
    boundaries are then for the combined Z. ``labels``: of the looks. Z is the standard normal value with the
    p-value of the test.
    """

    method: Literal["group_sequential"]
    planned: tuple[float, ...] = ()
    fractions: tuple[float, ...] = ()
    maximum: float | None = Field(default=None, gt=0)
    information: Literal["events", "variance"] | float | None = None
    alpha: float = Field(default=0.025, gt=0, lt=1)
    sided: Literal[1, 2] = 1
    power: float = Field(default=0.9, gt=0, lt=1)
    efficacy: str | dict[str, Any] = "obrien-fleming"
    futility: str | dict[str, Any] | None = None
    binding: bool = False
    efficacy_at: tuple[bool, ...] | None = None
    futility_at: tuple[bool, ...] | None = None
    looks: tuple[Look, ...] = ()
    times: tuple[float, ...] = ()
    time: float | None = Field(default=None, gt=0)
    final: bool | None = None
    effects: dict[str, float] = Field(default_factory=dict)
    prior: tuple[float, float] | None = None
    combination: tuple[float, ...] | None = None
    labels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> GroupSequentialSection:
        if bool(self.planned) == bool(self.fractions) or bool(self.fractions) != (self.maximum is not None):
            raise ValueError("give planned: (information at each look), or fractions: and maximum:")
        held = [*(look.time for look in self.looks), self.time]
        if self.times:
            if len(self.times) != len(self.information_planned()):
                raise ValueError(f"times: one for each of the {len(self.information_planned())} looks that are planned")
            if any(t is None for t in held):
                raise ValueError("times: error is spent on calendar time: say time: of this look and of each before")
            if self.combination is not None:
                raise ValueError("times: a combination test spends by its weights: leave one of them out")
        elif any(t is not None for t in held):
            raise ValueError("time: says when a look was held; give times: of the looks that are planned")
        if isinstance(self.information, float) and not 0.0 < self.information < math.inf:
            raise ValueError("information: a positive number, or events or variance")
        try:
            self.design()
        except ScenarioError as error:
            raise ValueError(f"{error.message} ({error.hint})") from None
        if self.combination is not None:
            if len(self.combination) != len(self.information_planned()):
                raise ValueError("combination: one weight a look that is planned")
            if len(self.looks) >= len(self.combination):
                raise ValueError("combination: there is no weight for a look beyond the plan")
        if self.labels and len(self.labels) < self._n():
            raise ValueError(f"labels: one for each of the {self._n()} looks")
        return self

    def _n(self) -> int:
        return max(len(self.information_planned()), len(self.looks) + 1 + (self.final is False))

    def refers(self) -> tuple[Picked, ...]:
        """The test that is monitored."""
        return (self,)

    def columns(self) -> tuple[Column, ...]:
        """A column a look."""
        labels = (*self.labels, *[""] * self._n())
        return tuple(
            Column(f"Look {k}", f"Look {k}" + (f": {labels[k - 1]}" if labels[k - 1] else ""), None)
            for k in range(1, self._n() + 1)
        )

    def information_planned(self) -> tuple[float, ...]:
        """Information at each look as planned."""
        return self.planned or tuple(f * float(self.maximum or 1.0) for f in self.fractions)

    def design(self) -> GroupSequentialDesign:
        """The design; with ``combination`` its information fractions are the cumulated weights."""
        from equipoise.decision import group_sequential

        if self.combination is None:
            fractions = np.array(self.fractions or self.planned)
            if self.planned:
                fractions = fractions / fractions[-1]
        else:
            fractions = np.cumsum(self.combination)
            if abs(fractions[-1] - 1.0) > 1e-9:
                raise ValueError(f"combination: the weights sum to {fractions[-1]:g}, not to 1")
            fractions[-1] = 1.0
        return group_sequential(
            fractions,
            alpha=self.alpha,
            power=self.power,
            sided=self.sided,
            efficacy=_rule(self.efficacy, tuple(_RULES), "efficacy"),
            futility=None if self.futility is None else _rule(self.futility, _FUTILITY, "futility"),
            binding=self.binding,
            efficacy_at=self.efficacy_at,
            futility_at=self.futility_at,
            spending_time=[t / self.times[-1] for t in self.times] if self.times else None,
        )


@dataclass(frozen=True)
class _Scale:
    """From an effect as people say it to the effect whose inverse variance information is, and back."""

    sign: float
    ratio: bool
    root: float

    def drift(self, effect: float, name: str) -> float:
        if self.ratio and not effect > 0.0:
            raise ScenarioError(f"effects: {name}: a ratio of {effect:g}", hint="a ratio is a positive number")
        return self.sign * (math.log(effect) if self.ratio else effect) * self.root

    def effect(self, drift: float) -> float:
        value = self.sign * drift / self.root
        return math.exp(value) if self.ratio else value


def _information(section: GroupSequentialSection, found: OtherTest, what: str) -> tuple[float, bool]:
    """Information now, and whether it is in events."""
    if isinstance(section.information, float):
        return section.information, False
    kind = section.information or ("events" if found.method == "survival" else "variance")
    if kind == "events":
        if found.events is None:
            raise ScenarioError(
                f"{what}: events are counted in a survival section, not in {found.method}",
                hint="say information: variance, or give it as a number",
            )
        if not found.events:
            raise EstimationError("there are no events, and so no information")
        return found.events, True
    if not found.se:
        raise ScenarioError(
            f"{what}: {found.key.quantity} has no standard error of an effect",
            hint="choose another quantity:, or give information: as a number",
        )
    return found.se**-2.0, False


@dataclass(frozen=True, eq=False)
class _Monitored:
    """Everything at the looks held (``now`` the last, from 0) and those planned."""

    information: FloatArray
    z: FloatArray
    combined: FloatArray
    bounds: Boundaries
    now: int
    final: bool


def _monitored(section: GroupSequentialSection, found: OtherTest, information: float) -> _Monitored:
    from equipoise.decision import Boundaries, InverseNormal, stage_statistics

    planned, design = np.array(section.information_planned()), section.design()
    held = np.array([*(look.information for look in section.looks), information])
    now = len(held) - 1
    final = section.final
    times = np.array([t for t in (*(look.time for look in section.looks), section.time) if t is not None])
    when = np.array(section.times)
    if final is None:
        over = times[-1] >= when[-1] * (1.0 - 1e-9) if when.size else held[-1] >= planned[-1] * (1.0 - 1e-9)
        final = bool(len(held) >= len(planned) or over)
    ahead, later = planned[len(held) :], when[len(held) :]
    if when.size:
        to_come = (ahead > held[-1]) & (later > times[-1])
        ahead, later = ahead[to_come], later[to_come]
    ahead = np.array([]) if final else ahead[ahead > held[-1]]
    if not final and not ahead.size and held[-1] < planned[-1]:
        ahead, later = planned[-1:], when[-1:]
    z = np.array([*(look.z for look in section.looks), found.z])
    info = np.concatenate([held, ahead])
    if section.combination is None:
        spent_at = np.concatenate([times, later[: ahead.size]]) / when[-1] if when.size else None
        bounds = design.at(info, planned[-1], final=True if ahead.size else final, spending_time=spent_at)
        return _Monitored(info, z, z, bounds, now, final)
    weights = np.array(section.combination)
    combined = InverseNormal(weights, design.upper).combine_z(stage_statistics(z, held))
    cumulated = np.cumsum(weights)[: len(held)]
    last = design.at(cumulated, 1.0, final=True) if final else design.boundaries
    n = len(held) if final else len(weights)
    part = Boundaries(last.information[:n], last.upper[:n], last.lower[:n], last.spent[:n])
    return _Monitored(np.concatenate([held, planned[len(held) : n]]), z, combined, part, now, final)


def _crossed(section: GroupSequentialSection, seen: _Monitored, k: int) -> Literal["efficacy", "other"] | None:
    """Which boundary a look that was held has crossed; ``other``: of harm, or of futility before the last look."""
    z, upper, lower = seen.combined[k], seen.bounds.upper[k], seen.bounds.lower[k]
    if z >= upper:
        return "efficacy"
    if section.sided == 2:
        return "other" if z <= lower else None
    return "other" if z < lower and not (seen.final and k == seen.now) else None


def _stops(section: GroupSequentialSection, seen: _Monitored, k: int) -> bool:
    """Whether the trial is to stop at a look that was held, by the boundaries that bind."""
    crossed = _crossed(section, seen, k)
    return crossed == "efficacy" or (crossed == "other" and (section.sided == 2 or section.binding))


def _decision(section: GroupSequentialSection, seen: _Monitored, k: int) -> str:
    if k > seen.now:
        return "planned"
    last, crossed = seen.final and k == seen.now, _crossed(section, seen, k)
    if crossed == "efficacy":
        return "efficacy shown" if last else "stop: efficacy shown"
    if crossed == "other" and section.sided == 2:
        return "harm shown" if last else "stop: harm shown"
    if last:
        return "not shown"
    if crossed == "other":
        return "stop: futility" if section.binding else "futility (not binding)"
    return "go on"


def _nominal(section: GroupSequentialSection, z: float) -> float:
    """The p-value of a look, one- or two-sided as the design is."""
    return float(2.0 * special.ndtr(-abs(z)) if section.sided == 2 else special.ndtr(-z))


def _bound(value: float) -> Cell:
    return cell_of("{boundary:3}", {"boundary": value}) if math.isfinite(value) else Cell("none")


def _futile(section: GroupSequentialSection) -> bool:
    return section.futility is not None or section.sided == 2


def _look_rows(section: GroupSequentialSection, seen: _Monitored, maximum: float, events: bool) -> list[Row]:
    names = [c.name for c in section.columns()][: len(seen.bounds.upper)]
    held = range(seen.now + 1)
    sided = f"{'Two' if section.sided == 2 else 'One'}-sided"
    combined = section.combination is not None

    def row(label: str, cells: dict[int, Cell]) -> Row:
        return Row(label, {names[k]: cell for k, cell in cells.items()})

    info, bounds = seen.information, seen.bounds
    digits = ":0" if events else ":4"
    every = range(len(names))

    rows = [
        row(
            "Events" if events else "Information",
            {k: cell_of(f"{{information{digits}}}", {"information": float(info[k])}) for k in every},
        ),
        row(
            "Share of full information, %",
            {k: cell_of("{percent:1}", {"percent": float(100.0 * info[k] / maximum)}) for k in every},
        ),
        row("Z", {k: cell_of("{z:3}", {"z": float(seen.z[k])}) for k in held}),
    ]
    if combined:
        rows.append(row("Combined Z", {k: cell_of("{z:3}", {"z": float(seen.combined[k])}) for k in held}))
    rows.append(row("Boundary, efficacy", {k: _bound(float(bounds.upper[k])) for k in every}))
    if _futile(section):
        label = "harm" if section.sided == 2 else f"futility ({'' if section.binding else 'not '}binding)"
        rows.append(row(f"Boundary, {label}", {k: _bound(float(bounds.lower[k])) for k in every}))
    rows += [
        row(
            f"{sided} p-value", {k: cell_of("{p:p4}", {"p": _nominal(section, float(seen.combined[k]))}) for k in held}
        ),
        row(
            "Nominal level",
            {k: cell_of("{level:p4}", {"level": section.sided * float(bounds.nominal_p[k])}) for k in every},
        ),
        row(
            "Alpha spent", {k: cell_of("{spent:p4}", {"spent": section.sided * float(bounds.spent[k])}) for k in every}
        ),
        row("Decision", {k: Cell(_decision(section, seen, k)) for k in every}),
    ]
    return rows


class _Power(NamedTuple):
    """A power that is told of the looks to come: what it is, under which effect, its label and value (0 to 1)."""

    quantity: str
    effect: str | None
    label: str
    power: float


def _power(section: GroupSequentialSection, seen: _Monitored, scale: _Scale) -> list[_Power]:
    """Conditional and predictive power at the looks to come."""
    from equipoise.decision import InverseNormal, conditional_power, predictive_power

    k = seen.now
    if k + 1 >= len(seen.bounds.upper):
        return []
    z, info, ahead = float(seen.z[k]), float(seen.information[k]), seen.information[k + 1 :]
    as_seen = z / math.sqrt(info)
    asked = [("as seen", f"effect as seen, {scale.effect(as_seen):.3g}", as_seen)]
    asked += [(name, f"{name}, {value:g}", scale.drift(value, name)) for name, value in section.effects.items()]
    upper = seen.bounds.upper[k + 1 :]
    stops = section.binding or section.sided == 2
    lower = seen.bounds.lower[k + 1 :] if stops else None
    out = []
    if section.combination is not None:
        test = InverseNormal(np.array(section.combination), _padded(seen.bounds.upper, len(section.combination)))
        gain = float(ahead[0] - info)
        for name, told, drift in asked:
            power = test.conditional_power(float(seen.combined[k]), k + 1, gain, drift)
            label = f"Conditional power at the next look, % ({told})"
            out.append(_Power("conditional_power_next_look", name, label, power))
        return out
    for name, told, drift in asked:
        power = conditional_power(z, info, ahead, upper, lower=lower, effect=drift)
        out.append(_Power("conditional_power", name, f"Conditional power, % ({told})", power))
    told = "" if section.prior is None else f" (prior {section.prior[0]:g}, sd {section.prior[1]:g})"
    prior = None
    if section.prior is not None:
        mean, sd = section.prior
        prior = (scale.sign * mean * scale.root, sd * scale.root)
    power = predictive_power(z, info, ahead, upper, lower=lower, prior=prior)
    return [*out, _Power("predictive_power", None, f"Predictive power, %{told}", power)]


def _padded(upper: FloatArray, n: int) -> FloatArray:
    return np.concatenate([upper, np.full(n - len(upper), np.inf)])


def _effect(section: GroupSequentialSection, seen: _Monitored, scale: _Scale, test: OtherTest) -> Estimate | None:
    """The estimate with the looks taken into account, once the trial has its answer."""
    from equipoise.decision import stagewise_estimate

    k = seen.now
    crossed = seen.z[k] >= seen.bounds.upper[k] or (section.sided == 2 and seen.z[k] <= seen.bounds.lower[k])
    if section.combination is not None or not (seen.final or crossed):
        return None
    bounds = seen.bounds
    lower = bounds.lower[: k + 1] if section.binding or section.sided == 2 else None
    made = stagewise_estimate(seen.information[: k + 1], bounds.upper[: k + 1], float(seen.z[k]), lower=lower)
    low, high = sorted((scale.effect(made.low), scale.effect(made.high)))
    return Estimate(
        f"{test.arm}, looks accounted for",
        "stagewise ordering of a group sequential design",
        scale.effect(made.estimate),
        math.nan,
        math.inf,
        low,
        high,
        made.p,
        sum(test.people),
        scale="ratio" if test.ratio else "difference",
        ratio=test.ratio,
        form="inverted",
        sided=1,
        statistic=float(seen.z[k]),
    )


@dataclass(frozen=True)
class _Held:
    """A look that was held: the test that is monitored, its information (``events``: in events), and what came of it.

    power : what is told of the looks to come, by its label. effect : with the looks accounted for, once there is one.
    """

    test: OtherTest
    information: float
    events: bool
    seen: _Monitored
    power: tuple[_Power, ...]
    effect: Estimate | None


def estimates(context: Prepared, section: GroupSequentialSection) -> Found:
    """Looks with boundaries, Z, levels and decisions; conditional and predictive power; the estimate at the end.

    Raises
    ------
    ScenarioError : information does not grow from look to look, or cannot be had from that analysis.
    """
    from equipoise.decision import information_from_events

    what = f"analysis {context.analysis.id}"
    found = pick(context, section)
    if math.isnan(found.z):
        why = "is not estimable" if found.p is None else "has no direction"
        raise EstimationError(f"the test of {place(section)} {why}")
    try:
        information, events = _information(section, found, what)
        share = float(information_from_events(1.0, found.people)) if events else 1.0
        scale = _Scale(-1.0 if found.turned else 1.0, found.ratio, math.sqrt(share))
        seen = _monitored(section, found, information)
        power = _power(section, seen, scale)
        effect = _effect(section, seen, scale, found)
    except ScenarioError as error:
        said = error.message if error.message.startswith(what) else f"{what}: {error.message}"
        raise ScenarioError(said, hint=error.hint) from None
    held = _Held(found, information, events, seen, tuple(power), effect)
    return Found(_numbers(section, held), held)


def _numbers(section: GroupSequentialSection, held: _Held) -> dict[Place, Estimate]:
    """The numbers of each look under ``Look 1``, ``Look 2`` ... as visits; decisions are 0 or 1."""
    seen, out = held.seen, {}
    n = sum(held.test.people)

    def put(quantity: str, k: int, value: float, variable: str | None = None) -> None:
        place = Place(quantity, visit=f"Look {k + 1}", variable=variable)
        out[place] = described(f"{quantity}, look {k + 1}", "group sequential design", [value], n, scale=quantity)

    other = "harm_boundary" if section.sided == 2 else "futility_boundary"
    for k in range(len(seen.bounds.upper)):
        put("information", k, float(seen.information[k]))
        put("efficacy_boundary", k, float(seen.bounds.upper[k]))
        if _futile(section):
            put(other, k, float(seen.bounds.lower[k]))
        put("nominal_level", k, section.sided * float(seen.bounds.nominal_p[k]))
        put("alpha_spent", k, section.sided * float(seen.bounds.spent[k]))
        if k <= seen.now:
            put("z", k, float(seen.z[k]))
            if section.combination is not None:
                put("combined_z", k, float(seen.combined[k]))
            out[Place("look", visit=f"Look {k + 1}")] = Estimate.of_test(
                f"look {k + 1}",
                "group sequential design",
                _nominal(section, float(seen.combined[k])),
                n,
                statistic=float(seen.combined[k]),
                sided=section.sided,
            )
            crossed = _crossed(section, seen, k)
            put("efficacy_shown", k, float(crossed == "efficacy"))
            put("stop", k, float(_stops(section, seen, k)))
            if _futile(section):
                put("harm_shown" if section.sided == 2 else "futility_shown", k, float(crossed == "other"))
    for one in held.power:
        put(one.quantity, seen.now, one.power, one.effect)
    if held.effect is not None:
        out[Place("effect", held.test.arm, f"Look {seen.now + 1}")] = held.effect
    return out


def lines(context: Prepared, section: GroupSequentialSection, found: Found) -> Block:
    """Looks with boundaries, Z, levels and decisions; conditional and predictive power; the estimate at the end."""
    held: _Held = found.parts
    seen, name = held.seen, f"Look {held.seen.now + 1}"
    rows = _look_rows(section, seen, section.information_planned()[-1], held.events)
    rows += [Row(p.label, {name: cell_of("{power:1}", {"power": 100.0 * p.power})}) for p in held.power]
    if held.effect is not None:
        values = {k: finite(getattr(held.effect, k)) for k in ("estimate", "low", "high", "p")}
        for label, show in (
            ("Effect, looks accounted for (95% CI)", "{estimate:3} ({low:3}; {high:3})"),
            ("One-sided p-value, looks accounted for", "{p:p4}"),
        ):
            rows.append(Row(label, {name: cell_of(show, values)}))
    early = [k + 1 for k in range(seen.now) if _stops(section, seen, k)]
    notes = [section.note] if section.note else []
    if early:
        notes.append(f"A boundary had been crossed at look {early[0]} already: the trial was to stop there.")
    return Block(
        section.label or "Interim look" if not seen.final else section.label or "Final look",
        "group_sequential",
        context.analysis.dataset,
        None,
        tuple(rows),
        description=_description(context, section, section.design(), held.test, held.events),
        notes=tuple(notes),
        details={
            "look": seen.now + 1,
            "final": seen.final,
            "z": float(seen.combined[seen.now]),
            "information": held.information,
            "decision": _decision(section, seen, seen.now),
        },
        figures=(_figure(section, seen, held.events),) if section.figure else (),
    )


def _description(
    context: Prepared, section: GroupSequentialSection, design: GroupSequentialDesign, found: OtherTest, events: bool
) -> str:
    kind = "events" if events else "as given" if isinstance(section.information, float) else "inverse squared SE"
    parts = [
        f"test of {place(section)}, {found.arm} against {context.plan.treatment.reference}; information: {kind}",
        f"{design.efficacy.name}, {'two' if section.sided == 2 else 'one'}-sided {100 * section.alpha:g}%",
    ]
    if design.futility is not None:
        parts.append(f"{'binding' if section.binding else 'non-binding'} futility, {design.futility.name}")
    if section.combination is not None:
        parts.append(
            "inverse-normal combination of the stages, weights " + ", ".join(f"{w:g}" for w in section.combination)
        )
    parts.append("Z is positive in favour of the active arm; boundaries at the information reached, then as planned")
    return "; ".join(parts)


def _figure(section: GroupSequentialSection, seen: _Monitored, events: bool) -> Figure:
    maximum = section.information_planned()[-1]
    columns = section.columns()
    rows = tuple(
        {
            "look": columns[k].label,
            "information": float(seen.information[k] if events else 100.0 * seen.information[k] / maximum),
            "upper": finite(float(seen.bounds.upper[k])),
            "lower": finite(float(seen.bounds.lower[k])) if _futile(section) else None,
            "z": float(seen.combined[k]) if k <= seen.now else None,
        }
        for k in range(len(seen.bounds.upper))
    )
    told = _decision(section, seen, seen.now)
    options = {
        "unit": "events" if events else "% of full information",
        "lower": "harm" if section.sided == 2 else "futility",
        "z": "combined Z" if section.combination is not None else "Z",
        "note": f"Look {seen.now + 1}: {told}",
    }
    return Figure("boundaries", section.label or "Boundaries and the path of Z", rows, options)


METHODS = (
    Method(
        "group_sequential", GroupSequentialSection, estimates, lines, "Group sequential test", noted=True, by_line=True
    ),
)
