"""A batch of virtual trials as plain arrays, and one trial as data frames with ADaM names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from equipoise.errors import DataError
from equipoise.types import BoolArray, CodeArray, FloatArray

_NO_VISITS = pl.DataFrame(
    schema={
        "USUBJID": pl.String(),
        "TRT01P": pl.String(),
        "PARAMCD": pl.String(),
        "AVISITN": pl.Float64(),
        "AVISIT": pl.String(),
        "AVAL": pl.Float64(),
        "BASE": pl.Float64(),
        "CHG": pl.Float64(),
    }
)
"""The visits of a trial that measured nothing but events."""


@dataclass(frozen=True, eq=False)
class EventTimes:
    """The times to one end point.

    week : (trial, subject) week of the event, or of censoring. happened : (trial, subject) whether it was the event.
    parameter : its PARAMCD; None for another name of an event, which is not written. cause : (trial, subject) codes
    into ``words``, which describe what happened (0 for censored); default 0 and 1 as ``happened``.
    """

    week: FloatArray
    happened: BoolArray
    parameter: str | None = None
    cause: CodeArray | None = None
    words: tuple[str, ...] = ("censored", "event")

    @property
    def code(self) -> CodeArray:
        """(trial, subject) what happened, as a code into ``words``."""
        return self.happened.astype(np.int8) if self.cause is None else self.cause


def _pooled(held: Any) -> Any:
    """Arrays of (trial, subject, ...) with one trial, wherever they are held; anything else as it is."""
    if isinstance(held, np.ndarray):
        return held.reshape(1, -1, *held.shape[2:])
    if isinstance(held, Mapping):
        return {name: _pooled(one) for name, one in held.items()}
    if isinstance(held, EventTimes):
        return replace(held, week=_pooled(held.week), happened=_pooled(held.happened), cause=_pooled(held.cause))
    return held


@dataclass(frozen=True, eq=False)
class Trials:
    """A batch of trials of one protocol.

    Attributes
    ----------
    arms : arm labels; index 0 is the control arm.
    sets : labels of the disjoint groups patients were recruited into (VALOR: ``S``, ``F``); ``ITT`` is everyone.
    weeks : (visit,) weeks from first dose, the first one 0.
    seed, first_replicate : replicate ``first_replicate + i`` is trial ``i`` of the batch.
    arm, group : (trial, subject) codes into ``arms`` and ``sets``.
    covariates : name -> (trial, subject) baseline covariates that are not outcomes (``ONSETMO``, ``RILFL`` ...).
    outcomes : PARAMCD -> (trial, subject, visit) values in natural units; NaN where nothing was observed.
    events : name -> :class:`EventTimes`; ``death`` is among them.
    last_week : (trial, subject) last week under observation (withdrawal, death or end of study).
    entered_extension : (trial, subject) whether the patient went on into the extension.
    adverse_events : name -> (trial, subject) whether it happened in the randomised period.
    derived : name -> (trial, subject) baseline variables made from outcomes and covariates.
    falling : covariates that records print with the other sign.
    main_outcome : the outcome that a slope or a loss without a name is of.
    crossover_week : (trial, subject) first week on active drug in the extension, infinite where there was none.
    present : (trial, subject) who is in the trial at all; None: everyone. :mod:`equipoise.trial.seen` makes trials in
    which some are not: those who have not come in yet, or whose arm is not compared.
    """

    arms: tuple[str, ...]
    sets: tuple[str, ...]
    weeks: FloatArray
    seed: int
    first_replicate: int
    arm: CodeArray
    group: CodeArray
    covariates: Mapping[str, FloatArray]
    outcomes: Mapping[str, FloatArray]
    events: Mapping[str, EventTimes]
    last_week: FloatArray
    entered_extension: BoolArray
    adverse_events: Mapping[str, BoolArray]
    derived: Mapping[str, FloatArray] = field(default_factory=dict)
    falling: frozenset[str] = frozenset()
    main_outcome: str | None = None
    crossover_week: FloatArray | None = None
    present: BoolArray | None = None

    def __len__(self) -> int:
        return int(self.arm.shape[0])

    @property
    def n_subjects(self) -> int:
        return int(self.arm.shape[1])

    def pooled(self) -> Trials:
        """All trials as one, their subjects one after the other: a large cohort."""
        return replace(self, **{f.name: _pooled(getattr(self, f.name)) for f in fields(self) if f.name != "weeks"})

    def visit_index(self, week: float) -> int:
        """Index of the visit at ``week``; raises :class:`DataError` where no visit was scheduled."""
        hit = np.flatnonzero(np.isclose(self.weeks, week))
        if hit.size == 0:
            raise DataError(
                f"no visit at week {week:g}",
                hint="visits are scheduled at weeks " + ", ".join(f"{w:g}" for w in self.weeks),
            )
        return int(hit[0])

    def members(self, analysis_set: str) -> BoolArray:
        """(trial, subject) membership of an analysis set: one of ``sets``, or ``ITT`` for everyone who is present."""
        if analysis_set == "ITT":
            return np.ones(self.group.shape, dtype=np.bool_) if self.present is None else self.present
        if analysis_set not in self.sets:
            raise DataError(
                f"unknown analysis set {analysis_set!r}", hint=f"choose ITT or one of {', '.join(self.sets)}"
            )
        member: BoolArray = self.group == self.sets.index(analysis_set)
        return member if self.present is None else member & self.present

    def baseline(self, name: str) -> FloatArray:
        """(trial, subject) baseline values by the name a plan or a record uses.

        An outcome (with or without ``BL`` after it), a covariate, or a variable made from them. Raises
        :class:`DataError` for anything else.
        """
        if name.removesuffix("BL") in self.outcomes:
            return self.outcomes[name.removesuffix("BL")][:, :, 0]
        for known in (self.derived, self.covariates):
            if name in known:
                return known[name]
        raise DataError(
            f"no baseline variable {name!r}",
            hint="there are " + ", ".join([*self.outcomes, *self.covariates, *self.derived]),
        )

    def times_to(self, event: str) -> tuple[FloatArray, BoolArray]:
        """(trial, subject) weeks to an end point or to censoring, and whether it happened.

        Raises :class:`DataError` for an event that the trials did not record.
        """
        if event not in self.events:
            raise DataError(f"unknown event {event!r}", hint="there are " + (", ".join(self.events) or "none"))
        return self.events[event].week, self.events[event].happened

    @property
    def function(self) -> FloatArray:
        """(trial, subject, visit) the main outcome; raises :class:`DataError` where the trials have none."""
        if self.main_outcome is None or self.main_outcome not in self.outcomes:
            raise DataError("the trials did not measure function", hint="measured: " + ", ".join(self.outcomes))
        return self.outcomes[self.main_outcome]

    def published_baseline(self, name: str) -> FloatArray:
        """:meth:`baseline` with the sign that records print."""
        values = self.baseline(name)
        return -values if name in self.falling else values

    def __getitem__(self, index: int) -> Trial:
        """Trial ``index`` of the batch as data frames."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"trial {index} of a batch of {len(self)}")
        i = index % len(self)
        if self.present is not None and not self.present[i].all():
            return self._of_those(i, np.flatnonzero(self.present[i]))[0]
        n, n_visits = self.n_subjects, len(self.weeks)
        ids = np.array([f"{self.first_replicate + i:06d}-{j + 1:04d}" for j in range(n)])
        arm = np.array(self.arms)[self.arm[i]]
        subjects = pl.DataFrame(
            {
                "USUBJID": ids,
                "TRT01P": arm,
                "GROUP": np.array(self.sets)[self.group[i]],
                **{name: values[i] for name, values in self.covariates.items()},
                **{name: values[i] for name, values in self._baseline_variables().items()},
                "LASTWK": self.last_week[i],
                "OLEFL": np.where(self.entered_extension[i], "Y", "N"),
            }
        )
        frames = []
        for code, values in self.outcomes.items():
            aval = values[i]
            base = np.repeat(aval[:, 0], n_visits)
            frames.append(
                pl.DataFrame(
                    {
                        "USUBJID": np.repeat(ids, n_visits),
                        "TRT01P": np.repeat(arm, n_visits),
                        "PARAMCD": np.full(n * n_visits, code),
                        "AVISITN": np.tile(self.weeks, n),
                        "AVISIT": np.tile([f"Week {w:g}" for w in self.weeks], n),
                        "AVAL": aval.ravel(),
                        "BASE": base,
                        "CHG": aval.ravel() - base,
                    }
                ).filter(pl.col("AVAL").is_not_nan())
            )
        timed = {e.parameter: e for e in self.events.values() if e.parameter is not None}
        events = pl.DataFrame(
            {
                "USUBJID": np.tile(ids, len(timed)),
                "TRT01P": np.tile(arm, len(timed)),
                "PARAMCD": np.repeat(list(timed), n),
                "AVAL": np.concatenate([e.week[i] for e in timed.values()]),
                "CNSR": (~np.concatenate([e.happened[i] for e in timed.values()])).astype(np.int64),
                "EVNTDESC": [e.words[int(c)] for e in timed.values() for c in e.code[i]],
            }
        )
        return Trial(
            subjects=subjects,
            visits=pl.concat(frames) if frames else _NO_VISITS,
            events=events,
            adverse_events=self._adverse_events(i, ids),
        )

    def _of_those(self, index: int, who: npt.NDArray[np.intp]) -> Trials:
        """One trial of the batch with some of its patients, who keep their numbers' order."""

        def those(held: Any) -> Any:
            if isinstance(held, np.ndarray):
                return held[index : index + 1, who]
            if isinstance(held, Mapping):
                return {name: those(one) for name, one in held.items()}
            if isinstance(held, EventTimes):
                return replace(held, week=those(held.week), happened=those(held.happened), cause=those(held.cause))
            return held

        changed = {f.name: those(getattr(self, f.name)) for f in fields(self) if f.name not in ("weeks", "present")}
        return replace(self, **{**changed, "first_replicate": self.first_replicate + index, "present": None})

    def _baseline_variables(self) -> dict[str, FloatArray]:
        """Baselines of the outcomes (``NFLBL``) and variables made from them, by names that ADaM can hold."""
        made = {f"{code}BL": values[:, :, 0] for code, values in self.outcomes.items() if len(code) <= 6}
        return {k: v for k, v in {**made, **self.derived}.items() if k not in self.covariates}

    @classmethod
    def joined(cls, parts: Sequence[Trials]) -> Trials:
        """Blocks of one protocol as one, without their adverse events."""
        first = parts[0]

        def table(name: str) -> dict[str, FloatArray]:
            return {k: np.concatenate([getattr(p, name)[k] for p in parts]) for k in getattr(first, name)}

        def event(name: str) -> EventTimes:
            every = [p.events[name] for p in parts]
            cause = None if every[0].cause is None else np.concatenate([e.code for e in every])
            return replace(
                every[0],
                week=np.concatenate([e.week for e in every]),
                happened=np.concatenate([e.happened for e in every]),
                cause=cause,
            )

        crossover = None
        if first.crossover_week is not None:
            crossover = np.concatenate([p.crossover_week for p in parts if p.crossover_week is not None])
        return replace(
            first,
            arm=np.concatenate([p.arm for p in parts]),
            group=np.concatenate([p.group for p in parts]),
            last_week=np.concatenate([p.last_week for p in parts]),
            entered_extension=np.concatenate([p.entered_extension for p in parts]),
            covariates=table("covariates"),
            outcomes=table("outcomes"),
            derived=table("derived"),
            events={name: event(name) for name in first.events},
            adverse_events={},
            crossover_week=crossover,
            present=None if first.present is None else np.concatenate([p.members("ITT") for p in parts]),
        )

    def _adverse_events(self, i: int, ids: npt.NDArray[np.str_]) -> pl.DataFrame:
        """One row per patient and adverse event of trial ``i``, in the order of the patients."""
        names = sorted(self.adverse_events)
        had = [(str(ids[j]), name) for j in range(len(ids)) for name in names if self.adverse_events[name][i, j]]
        frame = pl.DataFrame(had, schema={"USUBJID": pl.String(), "AEDECOD": pl.String()}, orient="row")
        return frame.select(
            "USUBJID",
            pl.int_range(1, pl.len() + 1).over("USUBJID").cast(pl.Float64).alias("AESEQ"),
            "AEDECOD",
            pl.lit("Y").alias("TRTEMFL"),
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial, real or virtual, as four frames with ADaM names.

    subjects : one row a patient (USUBJID, TRT01P, covariates).
    visits : one row per patient, parameter and visit observed (PARAMCD, AVISITN in weeks, AVAL, BASE, CHG).
    events : one row per patient and time-to-event parameter (PARAMCD, AVAL in weeks, CNSR 0 = event).
    adverse_events : one row per patient and adverse event (USUBJID, AEDECOD ...); empty where none were brought.
    """

    subjects: pl.DataFrame
    visits: pl.DataFrame
    events: pl.DataFrame
    adverse_events: pl.DataFrame
