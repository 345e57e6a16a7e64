"""A study as a :class:`~equipoise.trial.Trial`, and a trial as ADaM data sets.

==============  =======================================================================================================
Trial           ADaM
==============  =======================================================================================================
subjects        ADSL, one row a patient.
visits          ADEFF, a basic data structure with every PARAMCD; on reading, every data set of that kind, stacked.
events          ADTTE, AVAL in weeks (AVALU says so). On reading, days are divided by 7 unless AVALU says otherwise.
adverse events  ADAE, one row an event.
==============  =======================================================================================================
"""

from __future__ import annotations

import polars as pl

from equipoise.errors import DataError
from equipoise.trial.adam.checks import require
from equipoise.trial.adam.dataset import Dataset, from_frame
from equipoise.trial.adam.folder import AdamStudy
from equipoise.trial.trials import Trial
from equipoise.types import DAYS_PER_MONTH, DAYS_PER_WEEK

_PER_WEEK = {"WEEK": 1.0, "DAY": DAYS_PER_WEEK, "MONTH": DAYS_PER_WEEK / DAYS_PER_MONTH, "YEAR": DAYS_PER_WEEK / 365.25}


def to_trial(study: AdamStudy, *, checked: bool = True) -> Trial:
    """The trial in a study: subjects from ADSL, visits from BDS data sets, events from ADTTE, adverse events from ADAE.

    Every variable is kept; data sets of one kind are stacked (a variable that one of them lacks is missing there).
    CNSR becomes a whole number and times weeks; nothing else is changed, and no record is chosen or left out: which
    records an analysis uses (ANL01FL, DTYPE) is for its plan to say.

    Raises
    ------
    DataError : ``checked`` and the study has errors; or it has no ADSL; or two data sets disagree about a variable.
    """
    if checked:
        require(study)
    subjects = study["ADSL"].frame
    visits = _stack(study.of_kind("measurements"), ("USUBJID", "PARAMCD", "AVISITN", "AVAL"))
    events = _stack(study.of_kind("events"), ("USUBJID", "PARAMCD", "AVAL", "CNSR"))
    if "CNSR" in events.columns and events["CNSR"].dtype == pl.Float64:
        events = events.with_columns(pl.col("CNSR").cast(pl.Int64))
    return Trial(
        subjects=subjects,
        visits=visits,
        events=_in_weeks(events),
        adverse_events=_stack(study.of_kind("adverse events"), ("USUBJID", "AEDECOD")),
    )


def _stack(datasets: list[Dataset], least: tuple[str, ...]) -> pl.DataFrame:
    if not datasets:
        text = ("USUBJID", "PARAMCD", "AEDECOD")
        return pl.DataFrame(schema={n: pl.String() if n in text else pl.Float64() for n in least})
    dtypes: dict[str, tuple[pl.DataType, str]] = {}
    for dataset in datasets:
        for name, dtype in dataset.frame.schema.items():
            known, where = dtypes.setdefault(name, (dtype, dataset.name))
            empty = dataset.frame[name].null_count() == dataset.frame.height
            if known != dtype and not empty:
                raise DataError(
                    f"{name} is {dtype} in {dataset.name} and {known} in {where}",
                    hint="one variable has one type throughout a study",
                )
    frames = [d.frame.with_columns([pl.col(n).cast(dtypes[n][0]) for n in d.frame.columns]) for d in datasets]
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal").rechunk()


def _in_weeks(events: pl.DataFrame) -> pl.DataFrame:
    if not {"AVAL", "CNSR"} <= set(events.columns) or not events.height:
        return events
    if "AVALU" not in events.columns:
        return events.with_columns(pl.col("AVAL") / DAYS_PER_WEEK)
    units = pl.col("AVALU").fill_null("DAY").str.to_uppercase().str.strip_chars().str.strip_suffix("S")
    unknown = events.filter(~units.is_in(list(_PER_WEEK)))
    if unknown.height:
        raise DataError(f"time unit {unknown['AVALU'][0]!r} in AVALU", hint="days, weeks, months or years are known")
    known = units.replace_strict(_PER_WEEK, return_dtype=pl.Float64)
    return events.with_columns(
        pl.when(known == 1.0).then(pl.col("AVAL")).otherwise(pl.col("AVAL") / known), pl.lit("WEEKS").alias("AVALU")
    )


def from_trial(
    trial: Trial,
    *,
    study: str = "EQUIPOISE",
    parameters: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
) -> list[Dataset]:
    """A trial, virtual ones too, as ADaM data sets ADSL, ADEFF, ADTTE and ADAE, ready to be written.

    What a virtual trial does not say and ADaM wants is added: STUDYID, TRT01A, ITTFL, SAFFL in ADSL;
    PARAM, ABLFL, ANL01FL, TRTP in ADEFF; PARAM and AVALU in ADTTE. :func:`to_trial` leaves them there, so a second
    round trip gives exactly what the first gave; :func:`plain` takes the added variables away again.

    Parameters
    ----------
    parameters : PARAMCD -> PARAM; the code itself where not given.

    Raises
    ------
    DataError : a name that XPT cannot hold.
    """
    names = parameters or {}
    subjects = _first(trial.subjects, STUDYID=study)
    long = [c for c in subjects.columns if len(c) > 8]
    if long:
        raise DataError(f"variable {long[0]} of the subjects has over 8 characters", hint="ADaM names have at most 8")
    added: dict[str, pl.Expr] = {}
    arm = "TRT01P" if "TRT01P" in subjects.columns else None
    for name, value in (("TRT01A", pl.col(arm) if arm else None), ("ITTFL", pl.lit("Y")), ("SAFFL", pl.lit("Y"))):
        if name not in subjects.columns and value is not None:
            added[name] = value
    adsl = from_frame(
        subjects.with_columns(**added), "ADSL", label="Subject-Level Analysis Dataset", labels=labels, keys=("USUBJID",)
    )
    out = [adsl, _measurements(trial, study, names, labels), _events(trial, study, names, labels)]
    adverse = trial.adverse_events
    out.append(
        from_frame(
            _first(adverse, STUDYID=study),
            "ADAE",
            label="Adverse Events Analysis Dataset",
            labels=labels,
            keys=("USUBJID", "AESEQ") if "AESEQ" in adverse.columns else (),
        )
    )
    return [d for d in out if d.frame.height or d.name in ("ADSL", "ADEFF")]


def _first(frame: pl.DataFrame, **values: str) -> pl.DataFrame:
    new = [pl.lit(v).alias(k) for k, v in values.items() if k not in frame.columns]
    return frame.select(*new, pl.all()) if new else frame


def _measurements(trial: Trial, study: str, names: dict[str, str], labels: dict[str, str] | None) -> Dataset:
    visits = _first(trial.visits, STUDYID=study)
    added: dict[str, pl.Expr] = {}
    columns = set(visits.columns)
    if "PARAM" not in columns and "PARAMCD" in columns:
        added["PARAM"] = pl.col("PARAMCD").replace(names)
    if "TRTP" not in columns and "TRT01P" in columns:
        added["TRTP"] = pl.col("TRT01P")
    if "ABLFL" not in columns and "AVISITN" in columns:
        added["ABLFL"] = pl.when(pl.col("AVISITN") == 0).then(pl.lit("Y"))
    if "ANL01FL" not in columns:
        added["ANL01FL"] = pl.lit("Y")
    frame = visits.with_columns(**added)
    keys = tuple(k for k in ("USUBJID", "PARAMCD", "AVISITN") if k in columns)
    unique = len(keys) == 3 and not bool(frame.select(pl.struct(keys).is_duplicated().any()).item())
    return from_frame(frame, "ADEFF", label="Efficacy Analysis Dataset", labels=labels, keys=keys if unique else ())


def _events(trial: Trial, study: str, names: dict[str, str], labels: dict[str, str] | None) -> Dataset:
    events = _first(trial.events, STUDYID=study)
    added: dict[str, pl.Expr] = {}
    columns = set(events.columns)
    if "PARAM" not in columns and "PARAMCD" in columns:
        added["PARAM"] = pl.col("PARAMCD").replace(names)
    if "TRTP" not in columns and "TRT01P" in columns:
        added["TRTP"] = pl.col("TRT01P")
    if "AVALU" not in columns:
        added["AVALU"] = pl.lit("WEEKS")
    return from_frame(
        events.with_columns(**added),
        "ADTTE",
        label="Time-to-Event Analysis Dataset",
        labels=labels,
        keys=tuple(k for k in ("USUBJID", "PARAMCD") if k in columns),
    )


_ADDED = {
    "subjects": ("STUDYID", "TRT01A", "ITTFL", "SAFFL"),
    "visits": ("STUDYID", "PARAM", "TRTP", "ABLFL", "ANL01FL"),
    "events": ("STUDYID", "PARAM", "TRTP", "AVALU"),
    "adverse_events": ("STUDYID",),
}


def plain(trial: Trial) -> Trial:
    """The trial without the variables that :func:`from_trial` adds: a virtual trial as it was before it was written."""
    return Trial(
        subjects=trial.subjects.drop(_ADDED["subjects"], strict=False),
        visits=trial.visits.drop(_ADDED["visits"], strict=False),
        events=trial.events.drop(_ADDED["events"], strict=False),
        adverse_events=trial.adverse_events.drop(_ADDED["adverse_events"], strict=False),
    )
