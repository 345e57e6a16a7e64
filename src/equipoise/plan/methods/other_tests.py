"""The test of another analysis of the plan, by its key: ``{of: "2", quantity: hazard_ratio, visit: Week 28}``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.files import Frozen
from equipoise.plan.prepared import Prepared, others

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.estimate.result import Estimate
    from equipoise.plan.key import Key
    from equipoise.plan.methods.registry import Method, Test
    from equipoise.plan.results import Block, Table

_LEAST = 1e-300  # a smaller p-value would have no finite Z


class Picked(Frozen):
    """A test of another analysis: ``of`` its id, ``section`` counted from 1, and the key of its number.

    ``quantity``: what is tested, such as ``hazard_ratio``; where it is not given, the method's own test of arms
    (``log_rank`` of ``survival``). ``visit`` is needed where there are several, ``arm`` where several are compared
    with control, ``variable`` and ``level`` for a subgroup, a term or a category. ``higher_better``: high values, or
    late events, are good.
    """

    of: str
    section: int = Field(default=1, ge=1)
    quantity: str | None = None
    arm: str | None = None
    visit: str | None = None
    variable: str | None = None
    level: str | None = None
    higher_better: bool = True


@dataclass(frozen=True)
class OtherTest:
    """A test that was picked.

    key : of its number. arm : compared with control. p : its p-value, None where not estimable; sided : 1 or 2.
    z : the statistic with that p-value, positive in favour of ``arm``; NaN without a direction. turned : whether
    effects below none favour ``arm``. se : standard error of the effect (of the logarithm for a ratio), None where
    the number is no effect. ratio : whether the effect is one, without effect 1. events : of ``arm`` and control,
    None where none are counted. people : of control and ``arm``.
    """

    key: Key
    arm: str
    p: float | None
    sided: int
    z: float
    turned: bool
    se: float | None
    ratio: bool
    events: float | None
    people: tuple[int, int]
    method: str


def place(named: Picked) -> str:
    """Where it is, in words."""
    section = f", section {named.section}" if named.section > 1 else ""
    more = [v for v in (named.quantity, named.variable, named.level, named.visit) if v is not None]
    return f"analysis {named.of}{section}" + "".join(f", {v}" for v in more)


def pick(context: Prepared, named: Picked) -> OtherTest:
    """The test that is meant.

    Raises
    ------
    DataError : there is no such test, or several. EstimationError : the analysis itself has no result.
    """
    from equipoise.plan.methods import REGISTRY

    table: Table = context.done[named.of]
    block = table.blocks[named.section - 1]
    if not block.numbers:
        raise EstimationError(f"{place(named)} has no result ({' '.join(block.notes) or 'no numbers'})")
    what = f"analysis {context.analysis.id}: {place(named)}"
    test, keys = _tested(what, REGISTRY[block.method], block, named.quantity)
    control = context.plan.treatment.reference
    keys = [key for key in keys if key.versus in (None, control)]
    if not keys:
        raise DataError(f"{what} compares with another arm than {control}", hint="name a section without versus:")
    for name in ("variable", "level", "visit"):
        meant = _one(what, name, [getattr(key, name) for key in keys], getattr(named, name))
        keys = [key for key in keys if getattr(key, name) == meant]
    active, arms = others(context), [key.arm for key in keys]
    if None not in arms:
        arm = _one(what, "arm", arms, named.arm)
        key = next(key for key in keys if key.arm == arm)
    elif len(active) == 1 and named.arm in (None, active[0]):
        arm, key = active[0], keys[arms.index(None)]
    else:
        raise DataError(f"{what}: its test compares more than two arms", hint="choose another quantity:, of one arm")
    return _read(context, table, block, test, key, str(arm), named.higher_better)


def _tested(what: str, method: Method, block: Block, asked: str | None) -> tuple[Test, list[Key]]:
    """The test of a method that is meant, and the keys of its numbers."""
    there = {t: [key for key in block.numbers if key.quantity == t.quantity] for t in method.tests}
    there = {t: keys for t, keys in there.items() if keys}
    if not there:
        raise DataError(f"{what}: {method.name} has no p-value of a comparison here", hint="see of: and section:")
    test = next((t for t in there if asked in (None, t.quantity)), None)
    if test is None:
        known = ", ".join(t.quantity for t in there)
        raise DataError(f"{what}: no quantity {asked!r} with a p-value", hint=f"there are {known}")
    return test, there[test]


def _one(what: str, name: str, kinds: Sequence[str | None], given: str | None) -> str | None:
    """The one meant of ``kinds``, that of the whole where there is one and none is given; raises :class:`DataError`
    where it is not there, or is not the only one."""
    known = list(dict.fromkeys(kinds))
    if given is None and None in known:
        return None
    listed = ", ".join(k for k in known if k is not None)
    if given is not None and given not in known:
        raise DataError(f"{what}: there is no {name} {given!r}", hint=f"there are {listed or 'none'}")
    if given is None and len(known) > 1:
        raise DataError(f"{what}: which {name}?", hint=f"give {name}: one of {listed}")
    return given if given is not None else known[0]


def _read(
    context: Prepared, table: Table, block: Block, test: Test, key: Key, arm: str, higher_better: bool
) -> OtherTest:
    estimate, control = block.numbers[key], context.plan.treatment.reference
    p = None if math.isnan(estimate.p) else estimate.p
    turned = (test.favours == "less") == higher_better
    people = {c.name: c.n or 0 for c in table.columns}
    return OtherTest(
        key=key,
        arm=arm,
        p=p,
        sided=estimate.sided,
        z=math.nan if p is None else _z(estimate, p, test, turned),
        turned=turned,
        se=estimate.se if test.effect and not math.isnan(estimate.se) else None,
        ratio=estimate.null == 1.0 or (test.favours == "less" and not test.effect),
        events=_events(block, key, (control, arm)),
        people=(people.get(control, 0), people.get(arm, 0)),
        method=block.method,
    )


def _z(estimate: Estimate, p: float, test: Test, turned: bool) -> float:
    """The standard normal value with the p-value of the test, positive in favour of the active arm."""
    if estimate.sided == 1:
        return -float(special.ndtri(max(p, _LEAST)))
    beyond = estimate.estimate - estimate.null
    if test.favours is None or math.isnan(beyond):
        return math.nan
    return math.copysign(-float(special.ndtri(0.5 * max(p, _LEAST))), -beyond if turned else beyond)


def _events(block: Block, key: Key, arms: tuple[str, str]) -> float | None:
    """The events of both arms in the section, where it counts them."""
    from equipoise.plan.key import Key

    found = [block.numbers.get(Key("events", analysis=key.analysis, section=key.section, arm=arm)) for arm in arms]
    return float(sum(e.estimate for e in found if e is not None)) if None not in found else None
