"""Estimands (ICH E9(R1), 2019): the question an analysis answers, as data, and whether the analysis answers it.

An estimand has five attributes: treatment, population, variable, intercurrent events with the strategy at each, and the
summary measure over the population. What an analysis *does* about an intercurrent event is a fact of its method, kept
once, in :data:`PROCEDURES` (what may be done, and the strategies that this amounts to) and :data:`METHODS` (what each
method does). :func:`contradictions` compares an estimand with a method; a plan with any is refused.

Three facts decide most cases. After death there are no values, so that no analysis of measured values can follow
treatment policy at death. A value that is imputed as if the event had not happened answers the hypothetical question.
An event is part of the variable (composite) only where it is given a value, a rank or the place of an event itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from equipoise.files import Frozen

Strategy = Literal[
    "treatment policy", "hypothetical", "composite", "while alive", "while on treatment", "principal stratum"
]
"""The strategies of ICH E9(R1), A.3.2; ``while alive`` is while on treatment where the event is death."""

Summary = Literal[
    "difference in means",
    "ratio of geometric means",
    "difference in slopes",
    "disease rate ratio",
    "difference in mean ranks",
    "difference in proportions",
    "ratio of proportions",
    "odds ratio",
    "rate ratio",
    "difference in rates",
    "win ratio",
    "win odds",
    "net benefit",
    "hazard ratio",
    "cause-specific hazard ratio",
    "subdistribution hazard ratio",
    "difference in survival",
    "difference in cumulative incidence",
    "difference in restricted mean survival time",
    "ratio of restricted mean survival times",
    "ratio of survival times",
]

Kind = Literal["death", "withdrawal", "other"]
"""What an event means for data: none can exist after ``death``, none exist after ``withdrawal`` from the trial, and
after any ``other`` (stopping treatment, rescue, ventilation, crossover) they can."""

_TERMINAL = ("death", "died", "dead")
_LEFT = ("withdrawal", "withdrawal from the trial", "loss to follow-up", "lost to follow-up", "missing")


def kind_of(event: str) -> Kind:
    """What an event means for data, by its name."""
    name = event.strip().lower()
    return "death" if name in _TERMINAL else "withdrawal" if name in _LEFT else "other"


@dataclass(frozen=True)
class Procedure:
    """What an analysis does about values at and after an event: in words, and the strategies that this amounts to."""

    does: str
    strategies: tuple[Strategy, ...]


PROCEDURES: dict[str, Procedure] = {
    "kept": Procedure("uses the values after it as they were measured", ("treatment policy",)),
    "dropped": Procedure("leaves the values after it out, as if missing at random", ("hypothetical",)),
    "absent": Procedure("leaves out who has no value, as if missing at random given the covariates", ("hypothetical",)),
    "modelled": Procedure(
        "has no values after it and models the others as if these were missing at random", ("hypothetical",)
    ),
    "imputed": Procedure("imputes the values after it as if it had not happened", ("hypothetical",)),
    "reference": Procedure(
        "imputes the values after it like those of the reference arm", ("treatment policy", "hypothetical")
    ),
    "last mean": Procedure("imputes the values after it at the level reached before it", ("hypothetical",)),
    "carried forward": Procedure("carries the last value before it forward", ("while alive", "while on treatment")),
    "last common visit": Procedure(
        "compares two patients at the last visit at which both were seen", ("while alive", "while on treatment")
    ),
    "fixed": Procedure("gives a fixed value from it on", ("composite",)),
    "ranked": Procedure("ranks it below every patient without it", ("composite",)),
    "counted": Procedure("counts it as the event", ("composite",)),
    "censored": Procedure("censors the time at it, as if the event could still come", ("hypothetical",)),
    "competing": Procedure(
        "counts the event up to it, which then can no longer happen", ("while alive", "while on treatment")
    ),
    "untreated": Procedure("estimates the times that there would have been without it", ("hypothetical",)),
    "tied": Procedure("calls two patients tied in what is missing", ("while alive", "while on treatment")),
}
"""What may be done about values at and after an event. Every word of a strategy in a plan is checked against this."""


@dataclass(frozen=True)
class Method:
    """What a method analyses, the summary measures that it gives, and by kind of event what it does.

    Where a method may do one of several things (a time to death *or* ventilation counts both), all are listed.
    """

    analyses: str
    summaries: tuple[Summary, ...]
    death: tuple[str, ...]
    withdrawal: tuple[str, ...]
    other: tuple[str, ...]

    def at(self, kind: Kind) -> tuple[str, ...]:
        """Names of :data:`PROCEDURES` at an event of a kind."""
        found: tuple[str, ...] = getattr(self, kind)
        return found


_MEANS: tuple[Summary, ...] = ("difference in means", "ratio of geometric means")
_WINS: tuple[Summary, ...] = ("win ratio", "win odds", "net benefit")
_SCORES, _TIMES, _RANKS = "values of a measurement", "times to an event", "comparisons of pairs of patients"

_EVENTS = "numbers of events"
_AT_DEATH, _GONE, _AFTER = ("counted", "censored"), ("censored",), ("kept", "counted", "censored")

METHODS: dict[str, Method] = {
    "ancova": Method(_SCORES, _MEANS, ("absent",), ("absent",), ("kept", "dropped")),
    "mmrm": Method(_SCORES, _MEANS, ("modelled",), ("modelled",), ("kept", "dropped")),
    "clda": Method(_SCORES, _MEANS, ("modelled",), ("modelled",), ("kept", "dropped")),
    "slope": Method(_SCORES, ("difference in slopes", *_MEANS), ("modelled",), ("modelled",), ("kept", "dropped")),
    "joint_model": Method(
        "values of a measurement and times to an event",
        ("difference in slopes", "hazard ratio", "difference in survival"),
        ("modelled", "counted"),
        ("modelled", "censored"),
        ("kept", "dropped"),
    ),
    "disease_rate_ratio": Method(
        "values of a measurement and times to an event",
        ("disease rate ratio",),
        ("modelled", "counted"),
        ("modelled", "censored"),
        ("kept", "dropped"),
    ),
    "mi_ancova": Method(_SCORES, _MEANS, ("imputed",), ("imputed",), ("kept", "dropped")),
    "mi": Method(_SCORES, _MEANS, ("imputed",), ("imputed",), ("kept",)),
    "carried_forward": Method(_SCORES, _MEANS, ("carried forward",), ("carried forward",), ("kept", "carried forward")),
    "joint_rank": Method(_RANKS, ("difference in mean ranks",), ("ranked",), ("imputed",), ("kept", "dropped")),
    "cafs": Method(_RANKS, ("difference in mean ranks",), ("ranked",), ("last common visit",), ("kept", "dropped")),
    "win": Method(_RANKS, _WINS, ("tied",), ("tied",), ("kept", "dropped")),
    "win_regression": Method(_RANKS, ("win ratio",), ("tied",), ("tied",), ("kept", "dropped")),
    "delayed_start": Method(
        _SCORES,
        ("difference in means", "difference in slopes"),
        ("imputed", "modelled"),
        ("imputed", "modelled"),
        ("kept",),
    ),
    "log_rank": Method(_TIMES, ("hazard ratio",), _AT_DEATH, _GONE, _AFTER),
    "wilcoxon": Method(_TIMES, ("hazard ratio",), _AT_DEATH, _GONE, _AFTER),
    "cox": Method(_TIMES, ("hazard ratio",), _AT_DEATH, _GONE, _AFTER),
    "survival": Method(_TIMES, ("hazard ratio", "difference in survival"), _AT_DEATH, _GONE, _AFTER),
    "rmst": Method(
        _TIMES,
        ("difference in restricted mean survival time", "ratio of restricted mean survival times"),
        _AT_DEATH,
        _GONE,
        _AFTER,
    ),
    "landmark": Method(_TIMES, ("difference in survival",), _AT_DEATH, _GONE, _AFTER),
    "competing_risks": Method(
        _TIMES,
        ("difference in cumulative incidence", "subdistribution hazard ratio", "cause-specific hazard ratio"),
        ("competing", "counted"),
        ("censored",),
        ("kept", "counted", "competing", "censored"),
    ),
    "deterioration": Method(_TIMES, ("hazard ratio",), ("counted", "censored", "competing"), ("censored",), _AFTER),
    "rpsft": Method(
        _TIMES,
        ("ratio of survival times", "hazard ratio"),
        ("counted", "censored"),
        ("censored",),
        ("kept", "counted", "untreated", "censored"),
    ),
    "binary": Method(
        "answers of yes or no",
        ("difference in proportions", "ratio of proportions", "odds ratio"),
        ("absent", "fixed", "counted"),
        ("absent", "fixed"),
        ("kept", "dropped", "fixed", "counted"),
    ),
    "logistic": Method(
        "answers of yes or no",
        ("odds ratio", "difference in proportions", "ratio of proportions"),
        ("absent", "fixed", "counted"),
        ("absent", "fixed"),
        ("kept", "dropped", "fixed", "counted"),
    ),
    "proportional_odds": Method(
        "answers in order", ("odds ratio",), ("absent", "fixed", "counted"), ("absent",), ("kept", "dropped", "fixed")
    ),
    "gee": Method(
        "repeated answers",
        ("odds ratio", "rate ratio", "difference in means"),
        ("absent", "fixed", "counted"),
        ("absent",),
        ("kept", "dropped", "fixed"),
    ),
    "count_regression": Method(
        _EVENTS,
        ("rate ratio", "difference in rates"),
        ("competing", "counted"),
        ("censored",),
        ("kept", "dropped", "counted"),
    ),
    "rates": Method(
        _EVENTS,
        ("rate ratio", "difference in rates"),
        ("competing", "counted"),
        ("censored",),
        ("kept", "dropped", "counted"),
    ),
    "recurrent": Method(
        _EVENTS, ("rate ratio",), ("competing", "counted"), ("censored",), ("kept", "dropped", "counted")
    ),
    "cmh": Method(
        "answers in categories",
        ("difference in proportions", "odds ratio"),
        ("absent", "fixed", "counted"),
        ("absent",),
        ("kept", "dropped", "fixed", "counted"),
    ),
    "categories": Method(
        "shares of patients",
        ("difference in proportions", "odds ratio"),
        ("counted", "absent"),
        ("absent",),
        ("kept", "counted"),
    ),
}
"""What each method does at each kind of event, unless the plan has it do something else, which is then checked."""


class EventStrategy(Frozen):
    """An intercurrent event and the strategy at it; ``reason`` for the reader.

    ``in_data`` : the strategy is carried out in the data that the analysis reads (a score of 0 assigned after death,
    say), so that what the method does on its own is not held against it.
    """

    event: str = Field(min_length=1)
    strategy: Strategy
    in_data: bool = False
    reason: str | None = None


class Estimand(Frozen):
    """The five attributes of an estimand.

    ``intercurrent_events`` may be written as a mapping, ``{death: composite, stopping treatment: treatment policy}``.
    """

    label: str | None = None
    treatment: str
    population: str
    variable: str
    intercurrent_events: tuple[EventStrategy, ...] = ()
    summary: Summary

    @field_validator("intercurrent_events", mode="before")
    @classmethod
    def _mapped(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return [
            {"event": event, **(to if isinstance(to, Mapping) else {"strategy": to})} for event, to in given.items()
        ]

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [e.event.strip().lower() for e in self.intercurrent_events]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"intercurrent_events: {name!r} has more than one strategy")
        return self

    def strategy(self, event: str) -> Strategy | None:
        """The strategy at an event; None where the estimand is silent about it."""
        name = event.strip().lower()
        return next((e.strategy for e in self.intercurrent_events if e.event.strip().lower() == name), None)

    def sentence(self) -> str:
        """The estimand in one sentence."""
        events = "; ".join(f"{e.event}: {e.strategy}" for e in self.intercurrent_events)
        told = f"; {events}" if events else ""
        name = f"{self.label}: " if self.label else ""
        return f"{name}{self.summary} of {self.variable}, {self.treatment}, in {self.population}{told}"


def _either(words: Sequence[str]) -> str:
    return " or ".join(words)


def contradictions(
    estimand: Estimand, method: str, *, does: Mapping[str, str] | None = None, called: str | None = None
) -> tuple[str, ...]:
    """Why ``method`` does not estimate ``estimand``, one sentence a reason; none where it does.

    Parameters
    ----------
    method : a name of :data:`METHODS`; one that is not there has nothing held against it.
    does : event -> a name of :data:`PROCEDURES`, where the plan has the method do something at that event.
    called : the method as it is called in the sentences.

    Examples
    --------
    >>> asked = Estimand(treatment="drug against placebo", population="all randomised", variable="change in ALSFRS-R",
    ...                  intercurrent_events={"death": "composite"}, summary="difference in means")
    >>> print(*contradictions(asked, "mi_ancova"))
    death: the estimand says composite, but mi_ancova imputes the values after it as if it had not happened, which is \
hypothetical.
    """
    if method not in METHODS:
        return ()
    entry, name, own = METHODS[method], called or method, {k.strip().lower(): v for k, v in (does or {}).items()}
    out = []
    if estimand.summary not in entry.summaries:
        out.append(
            f"summary: the estimand says {estimand.summary}, but {name} analyses {entry.analyses} and gives a "
            f"{_either(entry.summaries)}."
        )
    for item in estimand.intercurrent_events:
        kind = kind_of(item.event)
        if item.strategy == "principal stratum":
            out.append(
                f"{item.event}: the estimand says principal stratum, but {name} compares everyone in its population; "
                "who would have the event under either treatment is not observed."
            )
            continue
        if kind == "death" and item.strategy == "treatment policy" and entry.analyses == _SCORES:
            out.append(
                f"{item.event}: the estimand says treatment policy, but after it there are no values to analyse."
            )
            continue
        if item.in_data:
            continue
        key = item.event.strip().lower()
        done = (own[key],) if key in own else entry.at(kind)
        meant = list(dict.fromkeys(s for p in done for s in PROCEDURES[p].strategies))
        if item.strategy not in meant:
            said = _either([PROCEDURES[p].does for p in done])
            out.append(
                f"{item.event}: the estimand says {item.strategy}, but {name} {said}, which is {_either(meant)}."
            )
    for event, procedure in own.items():
        if estimand.strategy(event) is None and procedure != "kept":
            out.append(
                f"{event}: {name} {PROCEDURES[procedure].does}, but the estimand does not say how it is handled."
            )
    return tuple(out)


def carried_out(method: str, event: str, does: Mapping[str, str] | None = None) -> Strategy | None:
    """The strategy that a method follows at an event, where it (or ``does``) leaves no choice; else None.

    Where values after an event may be there, a method that reads what was measured follows treatment policy.
    """
    own = (does or {}).get(event)
    if method not in METHODS:
        return None
    found = (own,) if own is not None else METHODS[method].at(kind_of(event))
    return PROCEDURES[found[0]].strategies[0] if len(found) == 1 or found[0] == "kept" else None


STRATEGIES: tuple[str, ...] = get_args(Strategy)
SUMMARIES: tuple[str, ...] = get_args(Summary)
