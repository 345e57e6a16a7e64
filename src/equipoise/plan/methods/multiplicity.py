"""Several hypotheses in a plan, one family-wise error: graphs, gates and sequences over tests of other analyses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from equipoise.errors import EquipoiseError, EstimationError, ScenarioError
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.described import described
from equipoise.plan.methods.other_tests import OtherTest, Picked, pick, place
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block, Cell, Column, Row, cell_of

if TYPE_CHECKING:
    from equipoise.decision import Graph, GraphResult
_COLUMNS = (
    Column("p", "p-value", None),
    Column("share", "Share of alpha", None),
    Column("adjusted", "Adjusted p-value", None),
    Column("decision", "Decision", None),
)
_FAMILIES = ("parallel gatekeeping", "serial gatekeeping")


class MultiplicitySection(Section):
    """``hypotheses``: name -> the test of an analysis, ``{of: "2", visit: Week 28}``, in their order.

    ``procedure``: ``graph`` with ``weights`` (shares of alpha) and ``transitions`` (name -> to whom its share goes);
    ``holm``; ``closed sequence`` (each at full alpha, in order, until the first that is not rejected); ``fallback``
    with ``weights``; ``parallel gatekeeping`` or ``serial gatekeeping`` with ``families``. ``sided`` 1 takes one-sided
    p-values in favour of the active arm, with ``alpha`` to match.
    """

    method: Literal["multiplicity"]
    hypotheses: dict[str, Picked] = Field(min_length=1)
    procedure: Literal["graph", "holm", "closed sequence", "fallback", "parallel gatekeeping", "serial gatekeeping"] = (
        "closed sequence"
    )
    weights: dict[str, float] = Field(default_factory=dict)
    transitions: dict[str, dict[str, float]] = Field(default_factory=dict)
    families: tuple[tuple[str, ...], ...] = ()
    alpha: float = Field(default=0.05, gt=0, lt=1)
    sided: Literal[1, 2] = 2

    @model_validator(mode="after")
    def _complete(self) -> MultiplicitySection:
        for name, given, used_by in (
            ("weights", self.weights, ("graph", "fallback")),
            ("transitions", self.transitions, ("graph",)),
            ("families", self.families, _FAMILIES),
        ):
            if given and self.procedure not in used_by:
                raise ValueError(f"{name} are for procedure: {' or '.join(used_by)}")
        if self.procedure in ("graph", "fallback") and set(self.weights) != set(self.hypotheses):
            raise ValueError(f"weights: one for each of {', '.join(self.hypotheses)}")
        listed = [name for family in self.families for name in family]
        if self.procedure in _FAMILIES and sorted(listed) != sorted(self.hypotheses):
            raise ValueError(f"families: each of {', '.join(self.hypotheses)} in one of them")
        try:
            self.graph()
        except ScenarioError as error:
            raise ValueError(f"{error.message} ({error.hint})") from None
        return self

    def refers(self) -> tuple[Picked, ...]:
        """The tests of the hypotheses."""
        return tuple(self.hypotheses.values())

    def columns(self) -> tuple[Column, ...]:
        """p-value, share of alpha, adjusted p-value, decision."""
        return _COLUMNS

    def graph(self) -> Graph | None:
        """The procedure as a graph; None for serial gatekeeping, which is a chain of Holm's tests."""
        from equipoise.decision import Graph

        names = list(self.hypotheses)
        if self.procedure == "graph":
            return Graph.of({n: self.weights[n] for n in names}, self.transitions)
        if self.procedure == "holm":
            return Graph.holm(names)
        if self.procedure == "closed sequence":
            return Graph.fixed_sequence(names)
        if self.procedure == "fallback":
            return Graph.fallback(names, [self.weights[n] for n in names])
        if self.procedure == "parallel gatekeeping":
            return Graph.parallel_gatekeeping(self.families)
        return None


def _p(section: MultiplicitySection, name: str, found: OtherTest) -> float:
    """The p-value as the procedure wants it; NaN where not estimable."""
    if found.p is None:
        return math.nan
    if section.sided == found.sided:
        return found.p
    if section.sided == 2:
        raise ScenarioError(
            f"hypotheses: {name}: its p-value is one-sided",
            hint="choose another quantity:, or say sided: 1 and halve alpha",
        )
    if math.isnan(found.z):
        raise ScenarioError(
            f"hypotheses: {name}: its test has no direction", hint="choose another quantity:, or say sided: 2"
        )
    return 0.5 * found.p if found.z > 0.0 else 1.0 - 0.5 * found.p


@dataclass(frozen=True)
class _Made:
    """p-values, shares of alpha and what the procedure makes of them; notes on p-values that are not there."""

    p: Mapping[str, float]
    shares: Mapping[str, float]
    result: GraphResult
    notes: tuple[str, ...]


def estimates(context: Prepared, section: MultiplicitySection) -> Found:
    """p-values, shares of alpha, adjusted p-values and what may be claimed.

    A test that could not be done counts as a p-value of 1.
    """
    from equipoise.decision import serial_gatekeeping

    p: dict[str, float] = {}
    people: dict[str, int] = {}
    notes = []
    for name, named in section.hypotheses.items():
        try:
            found = pick(context, named)
            people[name], p[name] = sum(found.people), _p(section, name, found)
        except EstimationError as error:
            p[name] = math.nan
            notes.append(f"{name}: {error.message}.")
        except ScenarioError as error:
            raise ScenarioError(f"analysis {context.analysis.id}: {error.message}", hint=error.hint) from None
        if math.isnan(p[name]):
            notes.append(f"{name}: no p-value, which counts as 1.")
    graph = section.graph()
    shares: dict[str, float] = {}
    try:
        if graph is None:
            result: GraphResult = serial_gatekeeping([{n: p[n] for n in f} for f in section.families], section.alpha)
        else:
            result = graph.test({n: p[n] for n in graph.names}, section.alpha)
            shares = dict(zip(graph.names, map(float, graph.weights), strict=True))
    except EquipoiseError as error:
        raise ScenarioError(f"analysis {context.analysis.id}: {error.message}", hint=error.hint) from None
    numbers: dict[Place, Estimate] = {}
    for name in section.hypotheses:
        n = people.get(name, 0)
        numbers[Place("hypothesis", variable=name)] = Estimate.of_test(
            name, "as the procedure takes it", p[name], n, sided=section.sided
        )
        for quantity, value in (
            ("adjusted_p", result.adjusted[name]),
            ("rejected", float(name in result.rejected)),
            *((("alpha_share", shares[name]),) if name in shares else ()),
        ):
            numbers[Place(quantity, variable=name)] = described(
                f"{quantity}, {name}", section.procedure, [value], n, scale=quantity
            )
    return Found(numbers, _Made(p, shares, result, tuple(notes)))


def lines(context: Prepared, section: MultiplicitySection, found: Found) -> Block:
    """p-values, shares of alpha, adjusted p-values and what may be claimed."""
    made: _Made = found.parts
    rows = [_row(section, made, name) for name in section.hypotheses]
    sided = "one" if section.sided == 1 else "two"
    places = "; ".join(f"{name}: {place(named)}" for name, named in section.hypotheses.items())
    return Block(
        section.label or "Multiple testing",
        "multiplicity",
        context.analysis.dataset,
        None,
        tuple(rows),
        description=(
            f"{_named(section)}, {sided}-sided p-values, family-wise error {100 * section.alpha:g}%; tests: {places}"
        ),
        notes=(*((section.note,) if section.note else ()), *made.notes, made.result.to_sentence()),
        details={"rejected": list(made.result.rejected)},
    )


def _named(section: MultiplicitySection) -> str:
    if section.procedure == "graph":
        passed = "; ".join(
            f"{a} to " + ", ".join(f"{b} {part:g}" for b, part in row.items()) for a, row in section.transitions.items()
        )
        return f"graphical procedure of Bretz and Maurer ({passed or 'no transitions'})"
    families = " then ".join(f"({', '.join(f)})" for f in section.families)
    return {
        "holm": "Bonferroni-Holm procedure",
        "closed sequence": "closed testing in a fixed order",
        "fallback": "fallback procedure",
    }.get(section.procedure, f"{section.procedure}, {families}")


def _row(section: MultiplicitySection, made: _Made, name: str) -> Row:
    raw = None if math.isnan(made.p[name]) else made.p[name]
    cells: dict[str, Any] = {
        "p": cell_of("{p:p4}", {"p": raw}),
        "adjusted": cell_of("{adjusted:p4}", {"adjusted": made.result.adjusted[name]}),
        "decision": Cell(_decision(section, made.result, name)),
    }
    if name in made.shares:
        cells["share"] = cell_of("{percent:1}%", {"percent": 100.0 * made.shares[name]})
    return Row(name, cells)


def _decision(section: MultiplicitySection, made: GraphResult, name: str) -> str:
    if name in made.rejected:
        return "rejected"
    names = list(section.hypotheses)
    before = names[: names.index(name)]
    if section.procedure == "closed sequence" and any(n not in made.rejected for n in before):
        return "nominal, not tested"
    return "not rejected" if made.levels.get(name, 0.0) > 0.0 else "not tested"


METHODS = (
    Method(
        "multiplicity", MultiplicitySection, estimates, lines, "Multiple testing procedure", noted=True, by_line=True
    ),
)
