"""What is fitted to what, as data: one fit plan per record.

A fit plan says which published numbers are fitted in which block, which parameters a block frees and where the search
starts, and which numbers are copied or held as checks. It lies beside the code as ``plans/NAME.yaml``, NAME being the
record's id, so that another trial is fitted by writing a plan, not a program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from equipoise.errors import ScenarioError
from equipoise.files import Frozen, parse_yaml, read_yaml, validate
from equipoise.files.tree import excerpt
from equipoise.library import shipped, shipped_file
from equipoise.plan.key import Quantity
from equipoise.simulate.mechanism import Mechanism


class Published(Frozen):
    """A start read off the record: a baseline value, averaged over the arms by their shares, or its contrast.

    ``ln``: of the value's natural logarithm; ``plus`` is added; ``ratio``: the ln of active over control instead.
    """

    variable: str
    statistic: str | None = None
    ln: bool = False
    plus: float = 0.0
    ratio: bool = False


class Free(Frozen):
    """A free parameter: where it lives, where the search starts, and its bounds.

    ``place`` is ``groups.G.NAME`` (``groups.*.NAME`` ties the groups), ``disease.NAME`` or ``effect.NAME``.
    """

    place: str
    start: float | Published
    low: float
    high: float


class FitBlock(Frozen):
    """A set of parameters fitted together to the targets that name this block.

    mechanism : fitted for each mechanism on its own; otherwise once, for all.
    effect : the free parameters of the mechanism's effect are fitted here too.
    dropout : predictions are read off a cohort that leaves and misses visits as patients do.
    robust : distances beyond half a standard error count linearly (numbers read off curves).
    """

    free: tuple[Free, ...]
    mechanism: bool = False
    effect: bool = False
    dropout: bool = False
    robust: bool = False


class BaselineRule(Frozen, populate_by_name=True):
    """What a baseline variable of the record is in the simulation.

    name : as :meth:`equipoise.trial.Trials.baseline` knows it; default the record's own name.
    times : the published value times this is in the simulation's unit.
    fit : the statistics that are fitted; None for all, empty for none.
    copy_to : the field of a group that takes a published share as it is.
    block : the block it is fitted in.
    """

    name: str | None = Field(default=None, alias="as")
    times: float = 1.0
    fit: tuple[str, ...] | None = None
    copy_to: str | None = Field(default=None, alias="copy")
    block: str = "baseline"


class OutcomeRule(Frozen):
    """Which numbers of an outcome a block is fitted to; what no rule names is a check, or restates what was fitted.

    ``methods``, ``arms``, ``kinds``: of these alone; None for all. Where arms are named, the others are checks.
    """

    outcome: str
    block: str
    methods: tuple[str, ...] | None = None
    arms: tuple[str, ...] | None = None
    kinds: tuple[Quantity, ...] | None = None


class EndpointRule(Frozen):
    """What an end point of the record (of its events and time-to-event results) is in the simulation.

    ``arms``: the block is fitted to these alone, and the others are checks. ``complement``: the record counts those
    free of the event. ``restates``: whether numbers of the randomised period that are not fitted say again what was.
    """

    event: str
    kind: Quantity = "event_share"
    block: str | None = None
    arms: tuple[str, ...] | None = None
    complement: bool = False
    restates: bool = True


class ItemRule(Frozen):
    """A number of a free item of the record: where it stands, and the measure it is.

    ``weight`` is what the fit divides by where nothing published gives a standard error.
    """

    item: str
    key: str
    kind: Quantity
    variable: str
    statistic: str | None = None
    set: str = "ITT"
    arm: str | None = None
    week: float | None = None
    quantity: str
    block: str | None = None
    weight: float | None = None


class Background(Frozen):
    """Drugs taken by a share of all patients: an item of the record, its keys, and the covariates they are."""

    item: str
    keys: dict[str, str]


class Imbalance(Frozen):
    """A variable whose geometric means in the arms at baseline are held as far apart as published.

    parameter : of a group, the active arm's mean logarithm less control's.
    """

    variable: str
    parameter: str


class FitPlan(Frozen):
    """How a scenario is fitted to its record.

    steps : the blocks in order; ``exposure`` (apparent volume from the trough, in closed form), ``shares``
        (counts copied) and ``imbalance`` (the arms' marker at baseline as far apart as it was) are steps of their own.
    effects : the free parameters of each mechanism's effect.
    sets : an analysis set of the record -> the set of the simulation that stands for it.
    methods : a method of the record -> the kind of analysis of the plan that carries it out.
    tests : a method of the record -> the P value it gives.
    """

    steps: tuple[str, ...]
    blocks: dict[str, FitBlock]
    effects: dict[Mechanism, tuple[Free, ...]]
    baseline: dict[str, BaselineRule] = Field(default_factory=dict)
    baseline_sets: tuple[str, ...] = ()
    """Analysis sets whose baseline is read; empty: those of the record."""
    outcomes: tuple[OutcomeRule, ...] = ()
    endpoints: dict[str, EndpointRule] = Field(default_factory=dict)
    items: tuple[ItemRule, ...] = ()
    sets: dict[str, str] = Field(default_factory=dict)
    methods: dict[str, Literal["repeated", "carried_forward", "mmrm", "slopes"]] = Field(default_factory=dict)
    tests: dict[str, Quantity] = Field(default_factory=dict)
    background: Background | None = None
    imbalance: Imbalance | None = None
    entrants: str | None = Field(
        default="shares", description="block of the numbers that went on into the extension; None: a check"
    )
    lags: tuple[float, ...] = Field(default=(), description="weeks at which the lag is held and all else fitted anew")
    held: tuple[str, ...] = Field(default=(), description="in words: what was kept out of the fit, and why")

    @property
    def effect_block(self) -> str:
        """The name of the block in which the effect is found."""
        return next(name for name, block in self.blocks.items() if block.effect)


def fit_plans() -> list[str]:
    """The records that have a fit plan."""
    return shipped("fit")


def load_plan(record: str) -> FitPlan:
    """The fit plan of a record by its id, or from a ``.yaml`` file by path.

    Raises
    ------
    ScenarioError
        If there is none, or it is malformed.
    """
    built_in = shipped_file(record, "fit")
    hint = "see docs/methods/calibration.md"
    if built_in is not None:
        document = parse_yaml(built_in.read_bytes(), f"fit plan {record}", error=ScenarioError)
    elif Path(record).suffix in (".yaml", ".yml"):
        document = read_yaml(record, error=ScenarioError, what="a fit plan", hint=hint)
    else:
        raise ScenarioError(
            f"no fit plan for the record {excerpt(record)}",
            hint=f"there are plans for {', '.join(fit_plans())}; {hint}",
        )
    return validate(FitPlan, document, error=ScenarioError, what="not a fit plan", hint=hint)
