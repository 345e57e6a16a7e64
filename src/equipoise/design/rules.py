"""Rules of success: conditions that must all hold, tests under one error rate, go and no-go, one's own function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtri

from equipoise.decision import Graph
from equipoise.decision.fixed_order import closed_sequence_rejections
from equipoise.errors import ScenarioError
from equipoise.files import Frozen, PlaceError
from equipoise.types import BoolArray, FloatArray

Share = Annotated[float, Field(gt=0, lt=1)]


class Condition(Frozen):
    """One thing that must be found: a test of the plan, or a number of a section.

    test : ``ANALYSIS.TEST``, significant at ``alpha`` (two-sided) and, where ``favours`` says so, on the side of
    active; ``arm``: compared with control, where there are several. Or ``analysis``, ``quantity`` and, to tell it from
    others, ``section`` and ``visit``: the p-value of that number is below ``alpha`` as it is (a question of a delayed
    start is one-sided). at_least : the estimate, in favour of active, reaches it (points, ln hazard ratio); with
    ``level`` the lower limit of the interval of that level does. alpha null : nothing is asked of the p-value.
    """

    test: str | None = None
    arm: str | None = None
    analysis: str | None = None
    quantity: str | None = None
    section: Annotated[int, Field(ge=1)] = 1
    visit: str | None = None
    alpha: Share | None = 0.05
    favours: Literal["active", "either"] = "active"
    at_least: float | None = None
    level: Share | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        named = self.analysis is not None and self.quantity is not None
        if (self.test is None) == (not named):
            raise ValueError("give either test: ANALYSIS.TEST, or analysis: and quantity:")
        if self.alpha is None and self.at_least is None:
            raise PlaceError("without a level of the test, say what the estimate must reach (at_least)", "alpha")
        if self.level is not None and self.at_least is None:
            raise PlaceError("of an interval needs the value that its limit must reach (at_least)", "level")
        if self.at_least is not None and self.favours == "either":
            raise PlaceError("an estimate that must reach a value favours active; leave favours out", "favours")
        return self


class Passing(Frozen):
    """A graph of tests: shares of alpha, and to whom a share goes once its hypothesis is rejected.

    >>> Passing(weights={"a": 1.0, "b": 0.0}, transitions={"a": {"b": 1.0}}).graph().names
    ('a', 'b')
    """

    weights: dict[str, Annotated[float, Field(ge=0)]]
    transitions: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = Field(default_factory=dict)

    def graph(self) -> Graph:
        """The graph; raises ``ValueError`` where it is none."""
        try:
            return Graph.of(self.weights, self.transitions)
        except ScenarioError as error:
            raise ValueError(f"{error.message} ({error.hint})") from None


class Primary(Frozen):
    """A rule of success. ``needs_extension``: it asks of what comes after the randomised period.

    all : conditions that must all hold. Or tests, by names of their own, and one of: graph (shares of ``alpha`` and
    where they go, or ``holm``), order (closed testing in this order), function. success : which of the tests must be
    rejected, ``any``, ``all``, or names. alpha : two-sided, of all tests together. function :
    ``package.module:function``, given the numbers of the tests by name, each with ``p``, ``estimate``, ``favour`` (in
    favour of active) and ``se``, arrays (replicate,); it returns a truth for each replicate. stop : conditions under
    which the answer is no-go.
    """

    label: str
    all: tuple[Condition, ...] = ()
    tests: dict[str, Condition] = Field(default_factory=dict)
    graph: Literal["holm"] | Passing | None = None
    order: tuple[str, ...] = ()
    function: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    success: Literal["any", "all"] | tuple[str, ...] = "any"
    alpha: Share = 0.05
    stop: tuple[Condition, ...] = ()
    needs_extension: bool = False

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if bool(self.all) == bool(self.tests):
            raise PlaceError("give conditions that must all hold (all), or tests and a rule for them (tests)", "all")
        rules = [name for name in ("graph", "order", "function") if getattr(self, name)]
        if self.all and rules:
            raise PlaceError("is a rule for tests; name them under tests", rules[0])
        if self.tests and len(rules) != 1:
            found = ", ".join(rules) or "none"
            raise PlaceError(f"need one rule, graph, order or function; found {found}", "tests")
        named: dict[str, tuple[str, ...]] = {"order": self.order}
        if isinstance(self.success, tuple):
            named["success"] = self.success
        if isinstance(self.graph, Passing):
            named["graph"] = tuple(self.graph.weights)
            self.graph.graph()
            left_out = [name for name in self.tests if name not in self.graph.weights]
            if left_out:
                raise PlaceError(f"{left_out[0]!r} has no weight; write 0 where it has no share of alpha", "graph")
        for where, names in named.items():
            for name in names:
                if name not in self.tests:
                    known = ", ".join(self.tests) or "none"
                    raise PlaceError(f"{name!r} is none of tests: {known}", where)
        if self.order and len(set(self.order)) < len(self.order):
            raise PlaceError("a test stands twice", "order")
        return self

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All of them: those of ``all`` or of ``tests``, then those of ``stop``."""
        return (*self.all, *self.tests.values(), *self.stop)

    def places(self) -> list[tuple[str | int, ...]]:
        """Where each of :attr:`conditions` stands."""
        return [
            *(("all", k) for k in range(len(self.all))),
            *(("tests", name) for name in self.tests),
            *(("stop", k) for k in range(len(self.stop))),
        ]


@dataclass(frozen=True, eq=False)
class Found:
    """The numbers of one test in all replicates, arrays (replicate,), NaN where the analysis failed.

    p : as the condition has it. estimate : as it is reported; favour : positive in favour of active; se : of it.
    """

    p: FloatArray
    estimate: FloatArray
    favour: FloatArray
    se: FloatArray

    def met(self, condition: Condition, directed: bool) -> tuple[BoolArray, BoolArray]:
        """(replicate,) whether a condition holds, and whether its analysis failed. directed : active is favoured."""
        lost = ~np.isfinite(self.p)
        yes = ~lost
        if condition.alpha is not None:
            yes &= np.where(lost, 1.0, self.p) < condition.alpha
        favour = np.nan_to_num(self.favour)
        if directed:
            yes &= favour > 0.0
        if condition.at_least is not None:
            reach = self.favour
            if condition.level is not None:
                reach = reach - float(ndtri(0.5 + condition.level / 2.0)) * self.se
            lost = lost | ~np.isfinite(reach)
            yes &= np.nan_to_num(reach, nan=-np.inf) >= condition.at_least
        return yes & ~lost, lost

    def two_sided(self, directed: bool) -> FloatArray:
        """(replicate,) P values; 1 where control is favoured and active must be."""
        p = self.p if not directed else np.where(np.nan_to_num(self.favour) > 0.0, self.p, 1.0)
        return np.asarray(np.where(np.isfinite(self.p), p, np.nan))


Rule = Callable[[Mapping[str, Found]], Any]
"""A rule of one's own: numbers of the tests by name to a truth for each replicate."""


def succeeded(
    primary: Primary, found: list[Found], directed: list[bool], name: str, own: Rule | None
) -> tuple[BoolArray, BoolArray, float | None]:
    """(replicate,) success, and failure of an analysis; and the share of no-go, where the rule knows one.

    found, directed : in the order of :attr:`Primary.conditions`.

    Raises
    ------
    ScenarioError : the function fails, or returns no truth for each replicate.
    """
    n = len(found[0].p)
    each = [f.met(c, d) for f, c, d in zip(found, primary.conditions, directed, strict=True)]
    first, last = len(primary.all), len(primary.all) + len(primary.tests)
    failed = np.logical_or.reduce([lost for _, lost in each])
    if primary.all:
        success = np.logical_and.reduce([yes for yes, _ in each[:first]])
    elif primary.function is not None:
        success = _by_function(primary, dict(zip(primary.tests, found, strict=False)), name, own, n) & ~failed
    else:
        p = np.stack([found[k].two_sided(directed[k]) for k in range(first, last)], axis=1)
        rejected = _rejected(primary, p)
        reached = np.stack([yes for yes, _ in each[first:last]], axis=1)
        asks = [c.at_least is not None for c in primary.tests.values()]
        rejected &= reached | ~np.array(asks)
        names = list(primary.tests)
        wanted = names if primary.success in ("any", "all") else list(primary.success)
        mine = rejected[:, [names.index(w) for w in wanted]]
        success = mine.any(axis=1) if primary.success == "any" else mine.all(axis=1)
    stop = None
    if primary.stop:
        stop = float(np.logical_and.reduce([yes for yes, _ in each[last:]]).mean())
    return success, failed, stop


def _rejected(primary: Primary, p: FloatArray) -> BoolArray:
    names = list(primary.tests)
    if primary.order:
        at = [names.index(name) for name in primary.order]
        out = np.zeros(p.shape, np.bool_)
        out[:, at] = closed_sequence_rejections(p[:, at], primary.alpha)
        return out
    if isinstance(primary.graph, Passing):
        graph = primary.graph.graph()
        at = [names.index(name) for name in graph.names]
        out = np.zeros(p.shape, np.bool_)
        out[:, at] = graph.rejections(p[:, at], primary.alpha)
        return out
    return Graph.holm(names).rejections(p, primary.alpha)


def _by_function(primary: Primary, numbers: Mapping[str, Found], name: str, own: Rule | None, n: int) -> BoolArray:
    assert own is not None  # checked before anything is simulated
    place = f"primaries.{name}.function"
    try:
        made = np.asarray(own(numbers))
    except Exception as error:  # whatever a function of the user's does
        raise ScenarioError(
            f"{place}: {primary.function} failed: {type(error).__name__}: {error}",
            hint=f"it is given {', '.join(numbers)}, each with p, estimate, favour and se, arrays of {n} replicates",
        ) from error
    if made.shape != (n,) or made.dtype != np.bool_:
        raise ScenarioError(
            f"{place}: {primary.function} returned {made.dtype} of shape {made.shape}",
            hint=f"it must return a truth for each of {n} replicates, an array of bool",
        )
    return made


def rule_of(primary: Primary, name: str, rules: Mapping[str, Rule], code: bool) -> Rule | None:
    """The function of a primary: one given in Python, or the one that is named, where code may be run.

    Raises
    ------
    ScenarioError : code may not be run, or there is no such function.
    """
    if primary.function is None:
        return None
    if name in rules:
        return rules[name]
    place = f"primaries.{name}.function"
    if not code:
        raise ScenarioError(
            f"{place}: {primary.function} is Python code, and is not run unless that is asked for",
            hint="equipoise design runs it; in Python design(study, code=True), or rules={name: function}",
        )
    module, _, function = primary.function.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), function)
    except ImportError as error:
        raise ScenarioError(
            f"{place}: {module} cannot be imported: {error}", hint="write package.module:function, importable from here"
        ) from None
    except AttributeError:
        raise ScenarioError(f"{place}: {module} has no {function}", hint="write package.module:function") from None
    finally:
        if added:
            sys.path.remove(here)
    if not callable(found):
        raise ScenarioError(f"{place}: {primary.function} is no function", hint="write package.module:function")
    out: Rule = found
    return out
