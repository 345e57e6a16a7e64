"""What a method of a plan is to the rest of the program. A further method is one more module in this folder.

A method has one name everywhere and one module. ``estimates`` gives the numbers of one trial by their place; ``lines``
alone formats them. ``kernel`` gives those of many trials at once, where the method has one; without it, or where a
section asks for more than it does, trials are done one by one (:mod:`equipoise.plan.block`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from equipoise.plan.key import Key

if TYPE_CHECKING:
    from equipoise.estimate.result import Estimate
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.plan.compiled import AnyForm, Lowered
    from equipoise.plan.parts import Section
    from equipoise.plan.prepared import Prepared
    from equipoise.plan.results import Block
    from equipoise.plan.trial_estimates import TrialEstimates
    from equipoise.trial import Trials


class Place(NamedTuple):
    """Where a number stands within a section: what it is, of which arm, at which visit, as in the table.

    variable, level : of a number in a subgroup, of a category or of a term: ``SEX``, ``F``. versus : the arm compared
    with, where it is not the control.
    """

    quantity: str
    arm: str | None = None
    visit: str | None = None
    variable: str | None = None
    level: str | None = None
    versus: str | None = None


@dataclass(frozen=True)
class Found:
    """What a method found on one trial.

    numbers : the estimates by their place, in the order in which they are told. parts : what ``lines`` writes from,
    and nobody else reads.
    """

    numbers: Mapping[Place, Estimate] = field(default_factory=dict)
    parts: Any = None

    def by_arm(self, quantity: str, visit: str | None = None, variable: str | None = None) -> dict[str, Estimate]:
        """The numbers of one quantity by arm, in their order; of everyone, and against control."""
        return {
            place.arm: estimate
            for place, estimate in self.numbers.items()
            if place.arm is not None and place == Place(quantity, place.arm, visit, variable)
        }

    def keyed(self, analysis: str, section: int, group: str | None = None) -> dict[Key, Estimate]:
        """The numbers by the key that the whole plan knows them by; those of a ``group`` have it before the variable.

        >>> from equipoise.estimate.result import Estimate
        >>> [key.variable for key in Found({Place("mean", "A", variable="CHG"): Estimate.of_count("", 1, 1)}).keyed(
        ...     "1", 1, "ALT")]
        ['ALT.CHG']
        """
        out = {}
        for place, estimate in self.numbers.items():
            named = place._asdict()
            if group is not None:
                named["variable"] = f"{group}.{place.variable}" if place.variable is not None else group
            out[Key(analysis=analysis, section=section, **named)] = estimate
        return out


class Test(NamedTuple):
    """A test that other analyses of the plan may take up: interim looks, multiple testing.

    quantity : of the number that holds it. favours : whether values above that of no effect (``more``) or below it
    (``less``) favour the active arm where high values, or late events, are good; None: it has no direction. effect :
    whether the estimate is an effect, whose standard error is information; that of a log-rank test is a score.
    """

    quantity: str
    favours: Literal["more", "less"] | None
    effect: bool = True


class Names(NamedTuple):
    """The quantities under which a block gives the mean of an arm and the difference, and how it names a visit."""

    mean: str = "lsmean"
    difference: str = "difference"
    visit: str = "Week {:g}"


@dataclass(frozen=True)
class Kernel:
    """What carries a method out on many trials at once.

    form : an analysis and the place (from 1) of one of its sections -> what the kernel is to do; None where the
    analysis asks for more than it can. block : every trial of a block -> the numbers under the keys of ``estimates``,
    and under others where they are at hand. names : of a section. written : a form -> what it needs of its analysis,
    and its sections, so that ``form`` finds it again.
    """

    form: Callable[[Analysis, int], Lowered | None]
    block: Callable[[Trials, Analysis, Lowered], Mapping[Key, TrialEstimates]]
    names: Callable[[Any], Names]
    written: Callable[[AnyForm], tuple[dict[str, Any], list[dict[str, Any]]]]


@dataclass(frozen=True)
class Method:
    """A method: its name in plans, the model of its section, how its numbers come about and how they are written.

    estimates : one trial -> :class:`Found`. lines : what was found as lines of a table. noted : its description stands
    below the table. by_line : lines of its blocks are levels or terms, each a group of its own, rather than statistics.
    tests : what other analyses may take up, the default first. kernel : what carries it out on many trials at once,
    where sections have a form that records and targets know too. block : the same of a section by its place (from 1),
    for a method whose sections have none; None where the section asks for more than it can.
    """

    name: str
    section: type[Section]
    estimates: Callable[[Prepared, Any], Found]
    lines: Callable[[Prepared, Any, Found], Block]
    title: str
    noted: bool = False
    by_line: bool = False
    tests: tuple[Test, ...] = ()
    kernel: Kernel | None = None
    block: Callable[[Trials, Analysis, int], Mapping[Key, TrialEstimates] | None] | None = None

    def numbers(self, context: Prepared, section: Any, place: int = 1) -> dict[Key, Estimate]:
        """The numbers of a section of one trial under their keys; ``place``: which section, from 1."""
        own = _pairs_of(context, section)
        found = _of_pairs(own, self.estimates(own, section))
        return found.keyed(context.analysis.id, place, _group_of(context))

    def run(self, context: Prepared, section: Any, place: int = 1) -> Block:
        """The block of a section of one trial, its numbers under their keys; ``place``: which section, from 1."""
        own = _pairs_of(context, section)
        found = self.estimates(own, section)
        numbers = _of_pairs(own, found).keyed(context.analysis.id, place, _group_of(context))
        return replace(self.lines(own, section, found), numbers=numbers)


def _group_of(context: Prepared) -> str | None:
    return context.group.key if context.group is not None else None


def _pairs_of(context: Prepared, section: Any) -> Prepared:
    """The analysis as a section sees it that names the arms it compares."""
    from equipoise.plan.parts import ComparedSection

    return context.comparing(section.arm, section.versus) if isinstance(section, ComparedSection) else context


def _of_pairs(context: Prepared, found: Found) -> Found:
    """What was found, comparisons with another arm than the plan's control under ``versus``.

    A quantity that the arm compared with has as well is one of an arm, any other a comparison.
    """
    versus = context.plan.treatment.reference
    if versus == context.own_control:
        return found
    of_arms = {place.quantity for place in found.numbers if place.arm == versus}
    numbers = {
        place if place.arm is None or place.quantity in of_arms else place._replace(versus=versus): estimate
        for place, estimate in found.numbers.items()
    }
    return replace(found, numbers=numbers)
