"""Checks of a study on the way in: the mistakes that change an analysis, each with data set, row and variable.

They follow the ADaM Implementation Guide 1.1 and the basic structure for time-to-event analyses (ADTTE) 1.0 where those
say what a variable may hold. Nothing is mended here: what is wrong is said, and people decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import polars as pl

from equipoise.errors import DataError
from equipoise.trial.adam.dataset import Dataset
from equipoise.trial.adam.folder import AdamStudy, DataProblem, Severity, flag

_SHOWN = 5
_ROW = "__row__"
_CENSORED_WORDS = re.compile(
    r"censor|complet|end of study|last (known|contact|visit)|lost to|withdr|alive", re.IGNORECASE
)
_DATASET_CHECKS: list[Callable[[AdamStudy, Dataset], Iterator[DataProblem]]] = []


def check(study: AdamStudy) -> list[DataProblem]:
    """Every problem of a study, errors first, then by data set and row; what was said on reading comes along."""
    problems = list(study.problems)
    problems.extend(_subjects(study))
    for dataset in study.datasets.values():
        for rule in _DATASET_CHECKS:
            problems.extend(rule(study, dataset))
    order = {"error": 0, "warning": 1, "note": 2}
    names = list(study.datasets)
    return sorted(
        problems,
        key=lambda p: (order[p.severity], names.index(p.dataset) if p.dataset in names else -1, p.rule, p.row or 0),
    )


def require(
    study: AdamStudy, datasets: Collection[str] | Mapping[str, Collection[str] | None] | None = None
) -> list[DataProblem]:
    """The problems of a study that do not stand in the way of an analysis.

    One policy for all plans: what an analysis reads is checked and has to be right; what it does not read is not looked
    at, and what was said on reading it is a note. ``datasets`` : names of the data sets that are read (with ADSL), or a
    mapping of them to the parameters (PARAMCD) that are, None for all of a data set.

    Raises
    ------
    DataError : the study, or what is read of it, has errors; the first ten are named.
    """
    problems = check(study if datasets is None else _read_part(study, datasets))
    if datasets is not None:
        read = {"ADSL", *(name.upper() for name in datasets)}
        problems = [replace(p, severity="note") if p.dataset not in read else p for p in problems]
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        more = f"\n  and {len(errors) - 10} more" if len(errors) > 10 else ""
        listed = "\n  ".join(str(p) for p in errors[:10])
        raise DataError(
            f"the data cannot be analysed as they are:\n  {listed}{more}", hint="mend the data, or ask for them again"
        )
    return problems


@dataclass(frozen=True)
class _Part(Dataset):
    """The rows of a data set that are read; ``numbers``: where each stands in the whole, from 1."""

    numbers: tuple[int, ...] = ()


def _read_part(study: AdamStudy, datasets: Collection[str] | Mapping[str, Collection[str] | None]) -> AdamStudy:
    read: dict[str, Collection[str] | None] = {"ADSL": None}
    for name in datasets:
        read[name.upper()] = datasets[name] if isinstance(datasets, Mapping) else None
    parts: dict[str, Dataset] = {}
    for name, dataset in study.datasets.items():
        if name not in read:
            continue
        parameters, frame = read[name], dataset.frame
        if parameters is not None and "PARAMCD" in frame.columns and frame["PARAMCD"].dtype == pl.String:
            kept = frame["PARAMCD"].is_in(list(parameters)) | frame["PARAMCD"].is_null()
            given = {f.name: getattr(dataset, f.name) for f in fields(dataset)}
            numbers = (kept.arg_true() + 1).to_list()
            parts[name] = _Part(**{**given, "frame": frame.filter(kept)}, numbers=tuple(numbers))
        else:
            parts[name] = dataset
    return replace(study, datasets=parts)


def _rule(
    function: Callable[[AdamStudy, Dataset], Iterator[DataProblem]],
) -> Callable[[AdamStudy, Dataset], Iterator[DataProblem]]:
    _DATASET_CHECKS.append(function)
    return function


def _rows(dataset: Dataset) -> pl.DataFrame:
    """The rows with their numbers, from 1."""
    if isinstance(dataset, _Part):
        numbers = pl.Series(_ROW, dataset.numbers, dtype=pl.UInt32)
        return dataset.frame.select(numbers, *dataset.frame.columns)
    return dataset.frame.with_row_index(_ROW, offset=1)


def _saying(template: str) -> Callable[[dict[str, object]], str]:
    """A sentence about a row, its values filled into ``template`` by variable name."""
    return lambda row: template.format_map(row)


def _each(
    dataset: Dataset,
    bad: pl.DataFrame,
    severity: Severity,
    rule: str,
    variable: str | None,
    say: Callable[[dict[str, object]], str],
) -> Iterator[DataProblem]:
    """A problem for each of the first few bad rows (with their row numbers), the last one counting the rest."""
    total = bad.height
    for number, row in enumerate(bad.head(_SHOWN).iter_rows(named=True), start=1):
        rest = total - _SHOWN + 1 if number == _SHOWN and total > _SHOWN else 1
        yield DataProblem(severity, rule, dataset.name, say(row), row=int(row[_ROW]), variable=variable, count=rest)


def _subjects(study: AdamStudy) -> Iterator[DataProblem]:
    if "ADSL" not in study.datasets:
        yield DataProblem("error", "required", "ADSL", "there is no subject-level data set")
        return
    adsl = study["ADSL"]
    columns = adsl.frame.columns
    if "USUBJID" not in columns:
        yield DataProblem("error", "required", "ADSL", "the variable is not there", variable="USUBJID")
    arms = [v for v in ("TRT01P", "TRT01A", "ARM") if v in columns]
    if not arms:
        yield DataProblem("error", "required", "ADSL", "there is no treatment variable", variable="TRT01P")
    rows = _rows(adsl)
    for name in arms[:1]:
        bad = rows.filter(pl.col(name).is_null())
        yield from _each(adsl, bad, "error", "arms", name, lambda r: f"subject {r.get('USUBJID')} has no arm")


@_rule
def _required(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    needs = {
        "subjects": (),
        "measurements": ("USUBJID", "PARAMCD"),
        "events": ("USUBJID", "PARAMCD", "AVAL", "CNSR"),
        "adverse events": ("USUBJID",),
        "other": (),
    }[study.kinds[dataset.name]]
    rows = _rows(dataset)
    for name in needs:
        if name not in dataset.frame.columns:
            yield DataProblem("error", "required", dataset.name, "the variable is not there", variable=name)
        elif name in ("USUBJID", "PARAMCD"):
            bad = rows.filter(pl.col(name).is_null())
            yield from _each(dataset, bad, "error", "required", name, lambda r: "missing")
    for name in ("AVAL", "BASE", "CHG", "CNSR", "AVISITN"):
        if name in dataset.frame.columns and dataset.frame[name].dtype != pl.Float64:
            found = "text" if dataset.frame[name].dtype == pl.String else "not a number"
            if dataset.frame[name].null_count() < dataset.frame.height:
                yield DataProblem("error", "types", dataset.name, f"is {found}", variable=name)


def _numeric(dataset: Dataset, *names: str) -> bool:
    return all(n in dataset.frame.columns and dataset.frame[n].dtype == pl.Float64 for n in names)


def _has(dataset: Dataset, *names: str) -> bool:
    return all(n in dataset.frame.columns for n in names)


@_rule
def _keys(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    kind = study.kinds[dataset.name]
    described = [k for k in dataset.keys if k in dataset.frame.columns]
    if kind == "subjects":
        keys, severity = ["USUBJID"], "error"
    elif described and len(described) == len(dataset.keys):
        keys, severity = described, "warning"
    elif kind == "events":
        keys, severity = ["USUBJID", "PARAMCD"], "error"
    elif kind == "adverse events" and _has(dataset, "AESEQ"):
        keys, severity = ["USUBJID", "AESEQ"], "warning"
    else:
        return
    if not _has(dataset, *keys):
        return
    rows = _rows(dataset)
    if kind == "events":
        rows = rows.filter(_a_time(dataset))
    doubled = rows.filter(pl.struct(keys).is_duplicated())
    first = doubled.group_by(keys, maintain_order=True).agg(pl.col(_ROW).first().alias("first"))
    again = doubled.join(first, on=keys, how="left", nulls_equal=True, maintain_order="left").filter(
        pl.col(_ROW) != pl.col("first")
    )
    yield from _each(
        dataset,
        again,
        "error" if severity == "error" else "warning",
        "keys",
        "+".join(keys),
        lambda r: f"repeats the key of row {r['first']} ({', '.join(str(r[k]) for k in keys)})",
    )


@_rule
def _in_adsl(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    if dataset.name == "ADSL" or "ADSL" not in study.datasets or not _has(dataset, "USUBJID"):
        return
    adsl = study["ADSL"].frame
    if "USUBJID" not in adsl.columns:
        return
    known = set(adsl["USUBJID"].drop_nulls().to_list())
    strange = _rows(dataset).filter(pl.col("USUBJID").is_not_null() & ~pl.col("USUBJID").is_in(list(known)))
    first = strange.unique("USUBJID", keep="first", maintain_order=True)
    yield from _each(dataset, first, "error", "subjects", "USUBJID", lambda r: f"{r['USUBJID']} is not in ADSL")


@_rule
def _arms(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    if "ADSL" not in study.datasets:
        return
    adsl = study["ADSL"].frame
    for name, origin in (("TRT01P", "TRT01P"), ("TRTP", "TRT01P"), ("TRT01A", "TRT01A"), ("TRTA", "TRT01A")):
        if origin not in adsl.columns or name not in dataset.frame.columns or "USUBJID" not in adsl.columns:
            continue
        rows = _rows(dataset)
        known = adsl[origin].drop_nulls().unique().to_list()
        if dataset.name != "ADSL":
            bad = rows.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(known))
            yield from _each(dataset, bad, "error", "arms", name, _saying(f"unknown arm {{{name}!r}}"))
            if "USUBJID" in dataset.frame.columns:
                planned = adsl.select("USUBJID", pl.col(origin).alias("__planned__")).unique("USUBJID", keep="first")
                joined = rows.join(planned, on="USUBJID", how="left", maintain_order="left")
                bad = joined.filter((pl.col(name) != pl.col("__planned__")) & pl.col(name).is_in(known))
                yield from _each(
                    dataset,
                    bad,
                    "warning",
                    "arms",
                    name,
                    _saying(f"{{{name}!r}}, but ADSL.{origin} of {{USUBJID}} is {{__planned__!r}}"),
                )
        yield from _paired(dataset, name, name + "N", "arms")
    if dataset.name == "ADSL" and "TRT01P" in adsl.columns:
        arms = adsl["TRT01P"].drop_nulls()
        folded: dict[str, str] = {}
        for arm in arms.unique(maintain_order=True).to_list():
            key = " ".join(str(arm).split()).lower()
            if key in folded:
                row = int((adsl["TRT01P"] == arm).arg_true()[0]) + 1
                text = f"{arm!r} and {folded[key]!r} differ in case or blanks alone"
                yield DataProblem("error", "arms", "ADSL", text, row=row, variable="TRT01P")
            folded.setdefault(key, str(arm))
        if len(folded) < 2:
            yield DataProblem("note", "arms", "ADSL", "there is one arm", variable="TRT01P")


def _paired(dataset: Dataset, text: str, number: str, rule: str, within: str | None = None) -> Iterator[DataProblem]:
    """Whether a variable and its numeric twin go together one to one."""
    if not _has(dataset, text, number):
        return
    group = [within] if within and _has(dataset, within) else []
    pairs = _rows(dataset).filter(pl.col(text).is_not_null() & pl.col(number).is_not_null())
    pairs = pairs.unique([*group, text, number], keep="first", maintain_order=True)
    for one, other in ((text, number), (number, text)):
        bad = pairs.filter(pl.struct([*group, one]).is_duplicated() & ~pl.struct([*group, one]).is_first_distinct())
        yield from _each(
            dataset,
            bad,
            "warning",
            rule,
            other,
            _saying(f"{one} {{{one}!r}} goes with more than one {other} ({{{other}!r}} here)"),
        )


@_rule
def _parameters(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    yield from _paired(dataset, "PARAMCD", "PARAM", "parameters")
    yield from _paired(dataset, "AVISIT", "AVISITN", "visits", within="PARAMCD")
    if _has(dataset, "PARAMCD") and dataset.frame["PARAMCD"].dtype == pl.String:
        bad = _rows(dataset).filter(pl.col("PARAMCD").str.len_chars() > 8).unique("PARAMCD", maintain_order=True)
        yield from _each(
            dataset, bad, "warning", "parameters", "PARAMCD", lambda r: f"{r['PARAMCD']!r} is over 8 characters"
        )


@_rule
def _flags(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    for name in dataset.frame.columns:
        if name.endswith("FL") and dataset.frame[name].dtype == pl.String:
            bad = _rows(dataset).filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(["Y", "N"]))
            yield from _each(dataset, bad, "warning", "flags", name, _saying(f"{{{name}!r}}, where Y or N is meant"))


def _a_time(dataset: Dataset) -> pl.Expr:
    """Whether the parameter of a row is a time to an event: it has CNSR somewhere (counts beside times have none)."""
    if not _has(dataset, "CNSR", "PARAMCD"):
        return pl.lit(True)
    return pl.col("CNSR").is_not_null().any().over("PARAMCD")


@_rule
def _censoring(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    if study.kinds[dataset.name] != "events" or not _numeric(dataset, "CNSR"):
        return
    rows = _rows(dataset)
    cnsr = pl.col("CNSR")
    times = rows.filter(_a_time(dataset))
    for other in sorted(set(rows["PARAMCD"].drop_nulls().to_list()) - set(times["PARAMCD"].to_list())):
        text = f"{other} has no CNSR throughout: it is read as no time to an event"
        yield DataProblem("note", "censoring", dataset.name, text, variable="CNSR")
    rows = times
    bad = rows.filter(cnsr.is_null())
    yield from _each(dataset, bad, "error", "censoring", "CNSR", lambda r: "missing: event or censored?")
    bad = rows.filter(cnsr.is_not_null() & ((cnsr < 0) | (cnsr != cnsr.round(0))))
    yield from _each(
        dataset, bad, "error", "censoring", "CNSR", lambda r: f"{r['CNSR']}, where 0 is an event and 1, 2 ... censored"
    )
    if _numeric(dataset, "AVAL"):
        bad = rows.filter(cnsr.is_not_null() & pl.col("AVAL").is_null())
        yield from _each(dataset, bad, "error", "censoring", "AVAL", lambda r: "no time to event or censoring")
        bad = rows.filter(pl.col("AVAL") < 0)
        yield from _each(dataset, bad, "error", "censoring", "AVAL", lambda r: f"time {r['AVAL']} is before the origin")
    if _has(dataset, "EVNTDESC") and dataset.frame["EVNTDESC"].dtype == pl.String:
        words = pl.col("EVNTDESC").fill_null("").str.contains(f"(?i){_CENSORED_WORDS.pattern}")
        for parameter in dataset.frame["PARAMCD"].drop_nulls().unique(maintain_order=True).to_list():
            part = rows.filter(pl.col("PARAMCD") == parameter)
            wrong, right = part.filter((cnsr == 0) & words), part.filter((cnsr > 0) & words)
            if wrong.height > right.height:
                yield from _each(
                    dataset,
                    wrong,
                    "warning",
                    "censoring",
                    "CNSR",
                    lambda r: f"0 (an event), described as {r['EVNTDESC']!r}: is the coding turned round?",
                )


@_rule
def _analysis_records(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    """One analysis record per subject, parameter and visit; imputed records beside observed ones."""
    if study.kinds[dataset.name] != "measurements" or not _has(dataset, "USUBJID", "PARAMCD"):
        return
    visit = "AVISITN" if _has(dataset, "AVISITN") else "AVISIT"
    if not _has(dataset, visit):
        return
    rows = _rows(dataset).filter(pl.col(visit).is_not_null())
    flagged = _has(dataset, "ANL01FL")
    if flagged:
        rows = rows.filter(pl.col("ANL01FL") == "Y")
    keys = ["USUBJID", "PARAMCD", visit, *[k for k in ("APERIOD", "ATPT", "ATPTN") if _has(dataset, k)]]
    doubled = rows.filter(pl.struct(keys).is_duplicated())
    first = doubled.group_by(keys, maintain_order=True).agg(pl.col(_ROW).first().alias("first"))
    joined = doubled.join(first, on=keys, how="left", nulls_equal=True, maintain_order="left")
    again = joined.filter(pl.col(_ROW) != pl.col("first"))
    mixed = "DTYPE" in dataset.frame.columns
    yield from _each(
        dataset,
        again,
        "error" if flagged else "warning",
        "analysis records",
        "ANL01FL" if flagged else visit,
        lambda r: (
            f"a second analysis record of {r['USUBJID']}, {r['PARAMCD']} at {visit} {r[visit]}, beside row {r['first']}"
            + (f" (DTYPE {r['DTYPE']})" if mixed and r["DTYPE"] else "")
        ),
    )
    if mixed and dataset.frame["DTYPE"].dtype == pl.String:
        derived = _rows(dataset).filter(pl.col("DTYPE").is_not_null())
        for kind, part in sorted(derived.partition_by("DTYPE", as_dict=True).items(), key=str):
            yield DataProblem(
                "note",
                "analysis records",
                dataset.name,
                f"DTYPE {kind[0]}: derived records beside observed ones; an analysis of observed data leaves them out",
                row=int(part[_ROW][0]),
                variable="DTYPE",
                count=part.height,
            )


@_rule
def _baseline(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    if study.kinds[dataset.name] != "measurements" or not _numeric(dataset, "AVAL"):
        return
    rows = _rows(dataset)
    if _numeric(dataset, "BASE", "CHG"):
        off = (pl.col("CHG") - (pl.col("AVAL") - pl.col("BASE"))).abs()
        scale = pl.max_horizontal(pl.col("AVAL").abs(), pl.col("BASE").abs(), pl.lit(1.0))
        bad = rows.filter(off > 1e-8 * scale)
        yield from _each(
            dataset,
            bad,
            "error",
            "baseline",
            "CHG",
            lambda r: f"{r['CHG']:g} is not AVAL - BASE ({r['AVAL']:g} - {r['BASE']:g})",
        )
        bad = rows.filter(pl.col("CHG").is_not_null() & pl.col("BASE").is_null())
        yield from _each(
            dataset, bad, "error", "baseline", "BASE", lambda r: "missing, though there is a change from it"
        )
    if _has(dataset, "ABLFL", "USUBJID", "PARAMCD"):
        keys = ["USUBJID", "PARAMCD"] + (["BASETYPE"] if _has(dataset, "BASETYPE") else [])
        base = rows.filter(flag(rows, "ABLFL"))
        bad = base.filter(pl.struct(keys).is_duplicated() & ~pl.struct(keys).is_first_distinct())
        yield from _each(
            dataset, bad, "error", "baseline", "ABLFL", lambda r: f"a second baseline of {r['USUBJID']}, {r['PARAMCD']}"
        )
        if _numeric(dataset, "BASE"):
            one = base.unique(keys, keep="first").select(*keys, pl.col("AVAL").alias("__base__"))
            joined = rows.join(one, on=keys, how="left", nulls_equal=True, maintain_order="left")
            bad = joined.filter(
                (pl.col("BASE") - pl.col("__base__")).abs() > 1e-8 * pl.max_horizontal(pl.col("BASE").abs(), 1.0)
            )
            yield from _each(
                dataset,
                bad,
                "error",
                "baseline",
                "BASE",
                lambda r: f"{r['BASE']:g}, but the baseline record has {r['__base__']:g}",
            )
    if _numeric(dataset, "BASE") and _has(dataset, "USUBJID", "PARAMCD"):
        used = rows.filter(pl.col("AVAL").is_not_null())
        with_base = used.filter(pl.col("BASE").is_not_null()).select("PARAMCD").unique()
        missing = used.join(with_base, on="PARAMCD", how="semi").filter(pl.col("BASE").is_null())
        first = missing.unique(["USUBJID", "PARAMCD"], keep="first", maintain_order=True)
        yield from _each(
            dataset,
            first.sort(_ROW),
            "warning",
            "baseline",
            "BASE",
            lambda r: f"{r['USUBJID']} has no baseline of {r['PARAMCD']} and falls out of analyses of change",
        )


@_rule
def _text(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    """Characters that show a text was read in the wrong code page."""
    for name in dataset.frame.columns:
        if dataset.frame[name].dtype == pl.String:
            broken = pl.col(name).str.contains("[\u0080-\u009f\ufffd]|\u00c3[\u0080-\u00bf]|\u00e2\u20ac")
            bad = _rows(dataset).filter(broken.fill_null(False))
            yield from _each(
                dataset, bad, "warning", "encoding", name, _saying(f"{{{name}!r:.42}} looks read in the wrong encoding")
            )


@_rule
def _as_defined(study: AdamStudy, dataset: Dataset) -> Iterator[DataProblem]:
    if study.define is None:
        return
    defined = study.define.datasets.get(dataset.name)
    if defined is None:
        yield DataProblem("note", "define", dataset.name, "not described in define.xml")
        return
    known = {v.name: v for v in defined.variables}
    for name in dataset.frame.columns:
        if name not in known:
            yield DataProblem("warning", "define", dataset.name, "not described in define.xml", variable=name)
        elif known[name].is_text != (dataset.frame[name].dtype == pl.String) and dataset.frame[name].dtype == pl.String:
            yield DataProblem(
                "warning", "define", dataset.name, f"text, but define.xml says {known[name].type}", variable=name
            )
    for name in known.keys() - set(dataset.frame.columns):
        yield DataProblem("warning", "define", dataset.name, "described in define.xml but not there", variable=name)
    for name, codes in defined.codes.items():
        if name in dataset.frame.columns and dataset.frame[name].dtype == pl.String:
            bad = _rows(dataset).filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(list(codes)))
            bad = bad.unique(name, keep="first", maintain_order=True)
            yield from _each(
                dataset, bad, "note", "define", name, _saying(f"{{{name}!r}} is not in the code list of define.xml")
            )
