"""Interim looks in a plan: a test of another analysis held against the boundaries of a group sequential design."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from equipoise.errors import EstimationError, ScenarioError
from equipoise.files import Frozen
from equipoise.plan.methods.estimates import finite
from equipoise.plan.methods.other_tests import Found, Picked, pick, place
from equipoise.plan.methods.registry import entry
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Context
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
    """A look held before: its Z, positive in favour of the active arm, and the information there was."""

    z: float
    information: float = Field(gt=0)


class GroupSequentialSection(Section, Picked):
    """The look that is held now: the test ``of`` another analysis, against the boundaries of the design.

    ``planned``: information at each look - numbers of events for a ``survival`` analysis, the inverse squared standard
    error for others; or ``fractions`` and ``maximum``. ``looks``: those held before, with Z and information.
    ``efficacy``: ``obrien-fleming`` or ``pocock`` (spending functions), ``{hwang-shih-decani: -4}``, ``{power: 3}``,
    ``{haybittle-peto: 3}``, ``{wang-tsiatis: 0.25}``; ``futility`` the spending functions or ``{fixed: [0, 0.5]}``,
    not ``binding`` unless said. ``efficacy_at``, ``futility_at``: whether each look has such a boundary. ``final``:
    whether this look ends the trial; the last one planned does, and one with all the information.
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
    final: bool | None = None
    effects: dict[str, float] = Field(default_factory=dict)
    prior: tuple[float, float] | None = None
    combination: tuple[float, ...] | None = None
    labels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> GroupSequentialSection:
        if bool(self.planned) == bool(self.fractions) or bool(self.fractions) != (self.maximum is not None):
            raise ValueError("give planned: (information at each look), or fractions: and maximum:")
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
            fractions, alpha=self.alpha, power=self.power, sided=self.sided,
            efficacy=_rule(self.efficacy, tuple(_RULES), "efficacy"),
            futility=None if self.futility is None else _rule(self.futility, _FUTILITY, "futility"),
            binding=self.binding, efficacy_at=self.efficacy_at, futility_at=self.futility_at,
        )  # fmt: skip


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


def _information(section: GroupSequentialSection, found: Found, what: str) -> tuple[float, bool]:
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
            f"{what}: the line has no standard error", hint="choose another line:, or give information: as a number"
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


def _monitored(section: GroupSequentialSection, found: Found, information: float) -> _Monitored:
    from equipoise.decision import Boundaries, InverseNormal, stage_statistics

    planned, design = np.array(section.information_planned()), section.design()
    held = np.array([*(look.information for look in section.looks), information])
    now = len(held) - 1
    final = section.final
    if final is None:
        final = bool(len(held) >= len(planned) or held[-1] >= planned[-1] * (1.0 - 1e-9))
    ahead = planned[len(held) :]
    ahead = np.array([]) if final else ahead[ahead > held[-1]]
    if not final and not ahead.size and held[-1] < planned[-1]:
        ahead = planned[-1:]
    z = np.array([*(look.z for look in section.looks), found.z])
    info = np.concatenate([held, ahead])
    if section.combination is None:
        bounds = design.at(info, planned[-1], final=True if ahead.size else final)
        return _Monitored(info, z, z, bounds, now, final)
    weights = np.array(section.combination)
    combined = InverseNormal(weights, design.upper).combine_z(stage_statistics(z, held))
    cumulated = np.cumsum(weights)[: len(held)]
    last = design.at(cumulated, 1.0, final=True) if final else design.boundaries
    n = len(held) if final else len(weights)
    part = Boundaries(last.information[:n], last.upper[:n], last.lower[:n], last.spent[:n])
    return _Monitored(np.concatenate([held, planned[len(held) : n]]), z, combined, part, now, final)


def _decision(section: GroupSequentialSection, seen: _Monitored, k: int) -> str:
    if k > seen.now:
        return "planned"
    last = seen.final and k == seen.now
    z, upper, lower = seen.combined[k], seen.bounds.upper[k], seen.bounds.lower[k]
    if z >= upper:
        return "efficacy shown" if last else "stop: efficacy shown"
    if section.sided == 2 and z <= lower:
        return "harm shown" if last else "stop: harm shown"
    if last:
        return "not shown"
    if z < lower:
        return "stop: futility" if section.binding else "futility (not binding)"
    return "go on"


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

    def nominal(z: float) -> float:
        from scipy import special

        return float(2.0 * special.ndtr(-abs(z)) if section.sided == 2 else special.ndtr(-z))

    rows = [
        row("Events" if events else "Information",
            {k: cell_of(f"{{information{digits}}}", {"information": float(info[k])}) for k in every}),
        row("Share of full information, %",
            {k: cell_of("{percent:1}", {"percent": float(100.0 * info[k] / maximum)}) for k in every}),
        row("Z", {k: cell_of("{z:3}", {"z": float(seen.z[k])}) for k in held}),
    ]  # fmt: skip
    if combined:
        rows.append(row("Combined Z", {k: cell_of("{z:3}", {"z": float(seen.combined[k])}) for k in held}))
    rows.append(row("Boundary, efficacy", {k: _bound(float(bounds.upper[k])) for k in every}))
    if _futile(section):
        label = "harm" if section.sided == 2 else f"futility ({'' if section.binding else 'not '}binding)"
        rows.append(row(f"Boundary, {label}", {k: _bound(float(bounds.lower[k])) for k in every}))
    rows += [
        row(f"{sided} p-value", {k: cell_of("{p:p4}", {"p": nominal(float(seen.combined[k]))}) for k in held}),
        row("Nominal level", {k: cell_of("{level:p4}", {"level": section.sided * float(bounds.nominal_p[k])})
                              for k in every}),
        row("Alpha spent", {k: cell_of("{spent:p4}", {"spent": section.sided * float(bounds.spent[k])})
                            for k in every}),
        row("Decision", {k: Cell(_decision(section, seen, k)) for k in every}),
    ]  # fmt: skip
    return rows


def _power_rows(section: GroupSequentialSection, seen: _Monitored, scale: _Scale) -> list[Row]:
    """Conditional and predictive power at the looks to come, in the column of the look that is held."""
    from equipoise.decision import InverseNormal, conditional_power, predictive_power

    k, name = seen.now, f"Look {seen.now + 1}"
    if k + 1 >= len(seen.bounds.upper):
        return []
    z, info, ahead = float(seen.z[k]), float(seen.information[k]), seen.information[k + 1 :]
    as_seen = z / math.sqrt(info)
    asked = {f"effect as seen, {scale.effect(as_seen):.3g}": as_seen}
    asked |= {f"{label}, {value:g}": scale.drift(value, label) for label, value in section.effects.items()}
    upper = seen.bounds.upper[k + 1 :]
    stops = section.binding or section.sided == 2
    lower = seen.bounds.lower[k + 1 :] if stops else None
    rows = []
    if section.combination is not None:
        test = InverseNormal(np.array(section.combination), _padded(seen.bounds.upper, len(section.combination)))
        gain = float(ahead[0] - info)
        for label, drift in asked.items():
            power = test.conditional_power(float(seen.combined[k]), k + 1, gain, drift)
            rows.append(_percent(f"Conditional power at the next look, % ({label})", name, power))
        return rows
    for label, drift in asked.items():
        power = conditional_power(z, info, ahead, upper, lower=lower, effect=drift)
        rows.append(_percent(f"Conditional power, % ({label})", name, power))
    told = "" if section.prior is None else f" (prior {section.prior[0]:g}, sd {section.prior[1]:g})"
    prior = None
    if section.prior is not None:
        mean, sd = section.prior
        prior = (scale.sign * mean * scale.root, sd * scale.root)
    power = predictive_power(z, info, ahead, upper, lower=lower, prior=prior)
    return [*rows, _percent(f"Predictive power, %{told}", name, power)]


def _padded(upper: FloatArray, n: int) -> FloatArray:
    return np.concatenate([upper, np.full(n - len(upper), np.inf)])


def _percent(label: str, column: str, power: float) -> Row:
    return Row(label, {column: cell_of("{power:1}", {"power": 100.0 * power})})


def _estimate_rows(section: GroupSequentialSection, seen: _Monitored, scale: _Scale) -> list[Row]:
    """The estimate with the looks taken into account, once the trial has its answer."""
    from equipoise.decision import stagewise_estimate

    k = seen.now
    crossed = seen.z[k] >= seen.bounds.upper[k] or (section.sided == 2 and seen.z[k] <= seen.bounds.lower[k])
    if section.combination is not None or not (seen.final or crossed):
        return []
    bounds = seen.bounds
    lower = bounds.lower[: k + 1] if section.binding or section.sided == 2 else None
    made = stagewise_estimate(seen.information[: k + 1], bounds.upper[: k + 1], float(seen.z[k]), lower=lower)
    ends = sorted((scale.effect(made.low), scale.effect(made.high)))
    values = {"estimate": finite(scale.effect(made.estimate)), "low": ends[0], "high": ends[1], "p": made.p}
    name = f"Look {k + 1}"
    return [
        Row("Effect, looks accounted for (95% CI)", {name: cell_of("{estimate:3} ({low:3}; {high:3})", values)}),
        Row("One-sided p-value, looks accounted for", {name: cell_of("{p:p4}", values)}),
    ]


def monitored(context: Context, section: GroupSequentialSection) -> Block:
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
        control, active = found.people
        share = float(information_from_events(1.0, (control, active))) if events else 1.0
        turned = found.hazards != (not section.higher_better)
        scale = _Scale(-1.0 if turned else 1.0, found.ratio, math.sqrt(share))
        seen = _monitored(section, found, information)
        rows = [
            *_look_rows(section, seen, section.information_planned()[-1], events),
            *_power_rows(section, seen, scale),
            *_estimate_rows(section, seen, scale),
        ]
    except ScenarioError as error:
        said = error.message if error.message.startswith(what) else f"{what}: {error.message}"
        raise ScenarioError(said, hint=error.hint) from None
    early = [k + 1 for k in range(seen.now) if _decision(section, seen, k).startswith("stop")]
    notes = [section.note] if section.note else []
    if early:
        notes.append(f"A boundary had been crossed at look {early[0]} already: the trial was to stop there.")
    design = section.design()
    return Block(
        section.label or "Interim look" if not seen.final else section.label or "Final look",
        "group_sequential",
        context.analysis.dataset,
        None,
        tuple(rows),
        description=_description(context, section, design, found, events),
        notes=tuple(notes),
        details={
            "look": seen.now + 1, "final": seen.final, "z": float(seen.combined[seen.now]),
            "information": information, "decision": _decision(section, seen, seen.now),
        },
        figures=(_figure(section, seen, events),) if section.figure else (),
    )  # fmt: skip


def _description(
    context: Context, section: GroupSequentialSection, design: GroupSequentialDesign, found: Found, events: bool
) -> str:
    kind = "events" if events else "as given" if isinstance(section.information, float) else "inverse squared SE"
    parts = [
        f"test of {place(section)}, {found.arm} against {context.plan.treatment.reference}; information: {kind}",
        f"{design.efficacy.name}, {'two' if section.sided == 2 else 'one'}-sided {100 * section.alpha:g}%",
    ]
    if design.futility is not None:
        parts.append(f"{'binding' if section.binding else 'non-binding'} futility, {design.futility.name}")
    if section.combination is not None:
        parts.append("inverse-normal combination of the stages, weights " + ", ".join(
            f"{w:g}" for w in section.combination))  # fmt: skip
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
    entry("group_sequential", GroupSequentialSection, monitored, "Group sequential test", noted=True, by_line=True),
)
