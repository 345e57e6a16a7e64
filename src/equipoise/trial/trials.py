"""A batch of virtual trials as plain arrays, and one trial as data frames with ADaM names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from equipoise.errors import DataError
from equipoise.types import BoolArray, CodeArray, FloatArray

EVENT_NONE, EVENT_VENTILATION, EVENT_DEATH = 0, 1, 2
EVENT_LABELS = {EVENT_NONE: "censored", EVENT_VENTILATION: "permanent ventilation", EVENT_DEATH: "death"}


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
    event : (trial, subject) ``EVENT_NONE``, ``EVENT_VENTILATION`` or ``EVENT_DEATH``: the first of the two.
    event_week : (trial, subject) week of that event, or of censoring.
    death, death_week : (trial, subject) the same for death alone.
    last_week : (trial, subject) last week under observation (withdrawal, death or end of study).
    entered_extension : (trial, subject) whether the patient went on into the extension.
    adverse_events : name -> (trial, subject) whether it happened in the randomised period.
    hospital, hospital_week : (trial, subject) a first stay in hospital, and its week or that of censoring; None where
        the trial did not record it.
    crossover_week : (trial, subject) first week on active drug in the extension, infinite where there was none.
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
    event: CodeArray
    event_week: FloatArray
    death: BoolArray
    death_week: FloatArray
    last_week: FloatArray
    entered_extension: BoolArray
    adverse_events: Mapping[str, BoolArray]
    hospital: BoolArray | None = None
    hospital_week: FloatArray | None = None
    crossover_week: FloatArray | None = None

    def __len__(self) -> int:
        return int(self.arm.shape[0])

    @property
    def n_subjects(self) -> int:
        return int(self.arm.shape[1])

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
        """(trial, subject) membership of an analysis set: one of ``sets``, or ``ITT`` for everyone."""
        if analysis_set == "ITT":
            return np.ones(self.group.shape, dtype=np.bool_)
        if analysis_set not in self.sets:
            raise DataError(
                f"unknown analysis set {analysis_set!r}", hint=f"choose ITT or one of {', '.join(self.sets)}"
            )
        member: BoolArray = self.group == self.sets.index(analysis_set)
        return member

    def baseline(self, name: str) -> FloatArray:
        """(trial, subject) baseline values by the name a plan or a record uses.

        An outcome (``NFL``; ``ALSFRSBL`` and ``NFLBL`` are the same), ``LNNFLBL``, ``RILEDAFL`` (riluzole or
        edaravone), or a covariate. Raises :class:`DataError` for anything else.
        """
        if name.removesuffix("BL") in self.outcomes:
            return self.outcomes[name.removesuffix("BL")][:, :, 0]
        if name == "LNNFLBL" and "NFL" in self.outcomes:
            return np.log(self.outcomes["NFL"][:, :, 0])
        if name == "RILEDAFL" and {"RILFL", "EDAFL"} <= set(self.covariates):
            return np.maximum(self.covariates["RILFL"], self.covariates["EDAFL"])
        if name in self.covariates:
            return self.covariates[name]
        raise DataError(
            f"no baseline variable {name!r}", hint="there are " + ", ".join([*self.outcomes, *self.covariates])
        )

    def times_to(self, event: str) -> tuple[FloatArray, BoolArray]:
        """(trial, subject) weeks to an end point or to censoring, and whether it happened.

        ``death``; ``death_or_ventilation`` or ``death_or_tracheostomy`` (the first event, as the trial named it);
        ``hospitalisation``; ``key_event``, the first of all these. Raises :class:`DataError` for anything else.
        """
        first = self.event != EVENT_NONE
        if event == "death":
            return self.death_week, self.death
        if event in ("death_or_ventilation", "death_or_tracheostomy"):
            return self.event_week, first
        if event in ("hospitalisation", "key_event") and self.hospital is not None and self.hospital_week is not None:
            if event == "hospitalisation":
                return self.hospital_week, self.hospital
            return np.minimum(self.event_week, self.hospital_week), first | self.hospital
        raise DataError(
            f"unknown event {event!r}",
            hint="there are death, death_or_ventilation, death_or_tracheostomy and, where the trial recorded stays in "
            "hospital, hospitalisation and key_event",
        )

    def published_baseline(self, name: str) -> FloatArray:
        """:meth:`baseline` with the sign records print: the slope before the study is negative where function fell."""
        values = self.baseline(name)
        return -values if name == "PRESLOPE" else values

    def __getitem__(self, index: int) -> Trial:
        """Trial ``index`` of the batch as data frames."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"trial {index} of a batch of {len(self)}")
        i = index % len(self)
        n, n_visits = self.n_subjects, len(self.weeks)
        ids = np.array([f"{self.first_replicate + i:06d}-{j + 1:04d}" for j in range(n)])
        arm = np.array(self.arms)[self.arm[i]]
        subjects = pl.DataFrame(
            {
                "USUBJID": ids,
                "TRT01P": arm,
                "GROUP": np.array(self.sets)[self.group[i]],
                **{name: values[i] for name, values in self.covariates.items()},
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
        timed = {
            "DTHPV": (self.event_week[i], self.event[i] != EVENT_NONE, [EVENT_LABELS[int(e)] for e in self.event[i]]),
            "DEATH": (self.death_week[i], self.death[i], ["death" if d else "censored" for d in self.death[i]]),
        }
        if self.hospital is not None and self.hospital_week is not None:
            words = ["hospitalisation" if h else "censored" for h in self.hospital[i]]
            timed["HOSP"] = (self.hospital_week[i], self.hospital[i], words)
        events = pl.DataFrame(
            {
                "USUBJID": np.tile(ids, len(timed)),
                "TRT01P": np.tile(arm, len(timed)),
                "PARAMCD": np.repeat(list(timed), n),
                "AVAL": np.concatenate([weeks for weeks, _, _ in timed.values()]),
                "CNSR": (~np.concatenate([happened for _, happened, _ in timed.values()])).astype(np.int64),
                "EVNTDESC": [word for _, _, words in timed.values() for word in words],
            }
        )
        return Trial(
            subjects=subjects,
            visits=pl.concat(frames) if frames else _NO_VISITS,
            events=events,
            adverse_events=self._adverse_events(i, ids),
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
