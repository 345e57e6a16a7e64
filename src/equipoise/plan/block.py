"""A plan on a block of virtual trials: arrays over trials and keys.

A method with a kernel does all trials at once, where it covers the section (:mod:`equipoise.plan.lowering`); any other
is done trial by trial, on the very data sets that a real trial would bring. So each method of a plan has operating
characteristics.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.errors import EquipoiseError, EstimationError
from equipoise.estimate.result import Estimate
from equipoise.plan.analysis_plan import Analysis, Plan
from equipoise.plan.groups import for_section, in_groups
from equipoise.plan.key import Key
from equipoise.plan.lowering import lower
from equipoise.plan.methods import REGISTRY
from equipoise.plan.prepared import prepare
from equipoise.plan.results import Block, Table
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.plan.trial_estimates import TrialEstimates
from equipoise.trial import Trials
from equipoise.trial.adam import AdamStudy, from_trial
from equipoise.types import CodeArray, FloatArray, Status

NUMBERS = ("estimate", "se", "df", "p", "low", "high")


@dataclass(frozen=True, eq=False)
class BlockEstimates:
    """Estimates of many trials.

    keys : what the columns are. estimate, se, df, p, low, high : (trial, key), NaN where not estimable; a ratio's
    standard error is that of its logarithm. status : (trial, key) codes of :class:`equipoise.types.Status`.
    """

    keys: tuple[Key, ...]
    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray
    status: CodeArray

    def __len__(self) -> int:
        return len(self.estimate)

    def column(self, key: Key, number: str = "estimate") -> FloatArray:
        """(trial,) one number of one key; raises KeyError where there is no such key."""
        if key not in self.keys:
            raise KeyError(key)
        values: FloatArray = getattr(self, number)[:, self.keys.index(key)]
        return values

    @classmethod
    def of(cls, found: Sequence[dict[Key, Estimate]]) -> BlockEstimates:
        """The estimates of single trials, one mapping a trial; a key that a trial lacks has status NO_DATA there."""
        keys = tuple(dict.fromkeys(key for one in found for key in one))
        arrays = {name: np.full((len(found), len(keys)), np.nan) for name in NUMBERS}
        status = np.full((len(found), len(keys)), int(Status.NO_DATA), np.int8)
        place = {key: k for k, key in enumerate(keys)}
        for i, one in enumerate(found):
            for key, estimate in one.items():
                k = place[key]
                status[i, k] = int(estimate.status)
                for name in NUMBERS:
                    arrays[name][i, k] = getattr(estimate, name)
        return cls(keys, **arrays, status=status)

    @classmethod
    def of_kernels(cls, found: Mapping[Key, TrialEstimates]) -> BlockEstimates:
        """The same from what kernels gave under each key."""
        arrays = {name: np.stack([e.number(name) for e in found.values()], axis=1) for name in NUMBERS}
        return cls(tuple(found), **arrays, status=np.stack([e.status for e in found.values()], axis=1))

    def beside(self, other: BlockEstimates) -> BlockEstimates:
        """These and others of the same trials."""
        arrays = {
            name: np.concatenate([getattr(self, name), getattr(other, name)], axis=1) for name in (*NUMBERS, "status")
        }
        return BlockEstimates(self.keys + other.keys, **arrays)


def study_of(trials: Trials, index: int) -> AdamStudy:
    """Trial ``index`` of a block as the ADaM study that a real trial would bring."""
    return AdamStudy({d.name: d for d in from_trial(trials[index])})


_ONE_AT_A_TIME = threading.Lock()
"""Methods take down what estimators warn of, and the filters of warnings are those of the whole process."""


def _needed(plan: Plan, analyses: Collection[str] | None) -> frozenset[str]:
    """The analyses asked for (None: all) and those that they refer to."""
    known = {a.id: a for a in plan.analyses}
    wanted, found = list(known if analyses is None else analyses), set[str]()
    while wanted:
        one = wanted.pop()
        if one in known and one not in found:
            found.add(one)
            wanted += [other.of for other in known[one].refers()]
    return frozenset(found)


def estimates(
    study: AdamStudy, plan: Plan, analyses: Collection[str] | None = None, *, strict: bool = False
) -> dict[Key, Estimate]:
    """Every number of a plan on one study; a section that cannot be done has none.

    analyses : the ids of those that are asked for; None: all. strict : a mistake in the plan is raised; what these data
    cannot tell is not.

    Raises
    ------
    DataError, ScenarioError : with ``strict``, the plan does not fit the data.
    """
    out: dict[Key, Estimate] = {}
    done: dict[str, Table] = {}
    needed = _needed(plan, analyses)
    for analysis in (a for a in plan.in_turn() if a.id in needed):
        try:
            context = prepare(study, plan, analysis, done)
            groups = tuple(in_groups(context))
        except EquipoiseError as error:
            if strict and not isinstance(error, EstimationError):
                raise
            continue
        blocks = []
        every = ((own, place, s) for own in groups for place, s in enumerate(analysis.sections, start=1))
        for own, place, section in every:
            numbers: dict[Key, Estimate] = {}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    numbers = REGISTRY[section.kind].numbers(for_section(own, section), section, place)
            except EquipoiseError as error:
                if strict and not isinstance(error, EstimationError):
                    raise
            out.update(numbers)
            blocks.append(Block(section.label, section.kind, analysis.dataset, None, (), numbers=numbers))
        done[analysis.id] = Table(analysis.id, analysis.title, analysis.population, "", context.columns, tuple(blocks))
    return out


def analyse(trials: Trials, plan: AnalysisPlan) -> dict[Key, TrialEstimates]:
    """Every analysis of ``plan`` that a kernel carries out, on every trial of a block: its numbers by key."""
    out: dict[Key, TrialEstimates] = {}
    for analysis, found in plan.lowered():
        kernel = REGISTRY[found.form.method].kernel
        assert kernel is not None
        out.update(kernel.block(trials, analysis, found))
    return out


def at_once(trials: Trials, analysis: Analysis) -> dict[Key, TrialEstimates]:
    """What the methods of an analysis give of all trials at once, by key; nothing where they have no kernel for it."""
    out: dict[Key, TrialEstimates] = {}
    found = lower(analysis)
    kernel = None if found is None else REGISTRY[found.form.method].kernel
    if found is not None and kernel is not None:
        out.update(kernel.block(trials, analysis, found))
    for place, section in enumerate(analysis.sections, start=1):
        own = REGISTRY[section.kind].block
        if own is not None:
            out.update(own(trials, analysis, place) or {})
    return out


def block(
    trials: Trials, plan: Plan, analyses: Collection[str] | None = None, keys: Iterable[Key] | None = None
) -> BlockEstimates:
    """Every number of a plan, or of some of its analyses, on every trial of a block.

    keys : the numbers that are wanted. An analysis whose kernel gives all of them that are its own is done by it; the
    numbers of all others, and without ``keys`` of all analyses, are found on one trial after the other.
    """
    wanted = set(keys or ())
    ids = [a.id for a in plan.analyses if analyses is None or a.id in analyses]
    made: dict[Key, TrialEstimates] = {}
    for analysis in (a for a in plan.analyses if a.id in ids and wanted):
        own = {key for key in wanted if key.analysis == analysis.id}
        given = at_once(trials, analysis) if own and len(trials.arms) == 2 else {}  # kernels compare two arms
        if own and own <= set(given):
            made |= {key: given[key] for key in own}
            ids.remove(analysis.id)
    if not ids:
        return BlockEstimates.of_kernels(made)
    with _ONE_AT_A_TIME:
        singly = BlockEstimates.of([estimates(study_of(trials, i), plan, ids) for i in range(len(trials))])
    return singly.beside(BlockEstimates.of_kernels(made)) if made else singly
