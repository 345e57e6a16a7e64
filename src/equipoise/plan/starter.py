"""A plan to start from: look at a study, propose the tables that its data sets allow, and leave the rest to people."""

from __future__ import annotations

import math
import re
from typing import Any

import polars as pl

from equipoise.errors import DataError
from equipoise.plan.analysis_plan import Plan, dump_plan
from equipoise.plan.parts import condition
from equipoise.trial.adam import AdamStudy, Dataset

_FLAGS = {
    "ITTFL": ("ITT", "Intent-to-treat"),
    "FASFL": ("FAS", "Full analysis set"),
    "EFFFL": ("EFF", "Efficacy"),
    "SAFFL": ("SAF", "Safety"),
    "PPROTFL": ("PP", "Per protocol"),
    "RANDFL": ("RND", "Randomised"),
    "ENRLFL": ("ENR", "Enrolled"),
    "COMPLFL": ("CMP", "Completers"),
}
_CONTROL = re.compile(r"placebo|sham|vehicle|control|standard of care|no treatment", re.IGNORECASE)
_BASELINE = ("AGE", "WEIGHTBL", "HEIGHTBL", "BMIBL")
_CLASSES = ("SEX", "RACE", "ETHNIC", "REGION1", "AGEGR1", "GROUP", "STRATUM")
_LATER = re.compile(
    r"(N|DT|DTM|TM|DY|DUR|DURD|DOSE|DD|SEQ|NUM|EN)$|^(LASTWK|TRTDUR|TR\d\d|AVGDD|CUMDOSE|VISNUM)|^(AE\d\d)",
    re.IGNORECASE,
)
MAX_PARAMETERS = 12
_SAFETY = re.compile(r"AD(LB|VS|EG)", re.IGNORECASE)
"""Data sets of laboratory values, vital signs and electrocardiograms, by their names in ADaM."""


def start_plan(study: AdamStudy) -> Plan:
    """A plan with populations, baseline, change at the last visit, repeated measures, time to event, adverse
    events, laboratory values and vital signs by visit and beyond their limits.

    Raises
    ------
    DataError : no ADSL, or no treatment variable in it with at least one arm.
    """
    adsl = study["ADSL"].frame
    variable = next((v for v in ("TRT01P", "TRT01A", "ARM") if v in adsl.columns), None)
    if variable is None or not len(adsl[variable].drop_nulls()):
        raise DataError("ADSL has no treatment variable", hint="TRT01P, TRT01A or ARM is looked for")
    arms = _arms(adsl, variable)
    populations: dict[str, Any] = {"ALL": {"label": "All subjects"}}
    for flag, (key, label) in _FLAGS.items():
        if flag in adsl.columns and bool((adsl[flag] == "Y").any()):
            populations[key] = {"label": label, "where": {flag: "Y"}}
    main = next((k for k in ("EFF", "FAS", "ITT") if k in populations), "ALL")
    safety = "SAF" if "SAF" in populations else main
    baseline = next((k for k in ("ITT", "FAS") if k in populations), main)
    analyses = [*_populations(populations), *_baseline(adsl, baseline)]
    for dataset in study.of_kind("measurements"):
        safe = _SAFETY.match(dataset.name) is not None
        analyses += _values(dataset, safety) if safe else _measurements(dataset, main, variable)
    for dataset in study.of_kind("events"):
        analyses += _events(dataset, main)
    for dataset in study.of_kind("adverse events"):
        analyses += _adverse(dataset, safety)
    return Plan.model_validate(
        {
            "study": study.study_id or "STUDY",
            "title": "A plan to start from: read it against the statistical analysis plan before it is used",
            "treatment": {"variable": variable, "arms": arms, "control": arms[0]},
            "populations": populations,
            "analyses": analyses,
        }
    )


def start_text(study: AdamStudy) -> str:
    """:func:`start_plan` as YAML, with a word on what to look at first."""
    problems = "".join(f"#   {' '.join(str(p).split())}\n" for p in study.problems[:20])
    return (
        "# A plan to start from, made by `equipoise analyse --init` from what is in the data. It is no\n"
        "# statistical analysis plan: populations, records (where:), models, contrasts and arms are guesses to check.\n"
        "# The first arm is the control. See docs/adam.md for every word that can stand here.\n"
        + (f"# Said on reading:\n{problems}" if problems else "")
        + dump_plan(start_plan(study))
    )


def _arms(adsl: pl.DataFrame, variable: str) -> list[str]:
    """Arms with the control first, then by their number (TRT01PN) or name."""
    number = f"{variable}N"
    by = [number, variable] if number in adsl.columns else [variable]
    arms: list[str] = adsl.sort(by)[variable].drop_nulls().unique(maintain_order=True).to_list()
    return sorted(arms, key=lambda arm: not _CONTROL.search(arm))


def _populations(populations: dict[str, Any]) -> list[dict[str, Any]]:
    levels = [{"label": p["label"], "where": p["where"]} for p in populations.values() if "where" in p]
    if not levels:
        return []
    return [
        {
            "id": "T1",
            "title": "Populations",
            "population": "ALL",
            "total": True,
            "sections": [{"method": "categories", "label": "Population", "levels": levels}],
        }
    ]


def _baseline(adsl: pl.DataFrame, population: str) -> list[dict[str, Any]]:
    sections: list[dict[str, Any]] = []
    for name in adsl.columns:
        numeric = adsl.schema[name] == pl.Float64 and adsl[name].n_unique() > 1
        if numeric and adsl[name].n_unique() == 2 and not _LATER.search(name):
            sections.append({"method": "categories", "label": name, "variable": name})
        elif numeric and (name in _BASELINE or not _LATER.search(name)):
            sections.append({"method": "summary", "label": name, "variable": name, **_lines(adsl[name])})
        elif name in _CLASSES and adsl[name].dtype == pl.String and adsl[name].n_unique() > 1:
            sections.append({"method": "categories", "label": name, "variable": name})
    if not sections:
        return []
    return [
        {
            "id": "T2",
            "title": "Demographic and baseline characteristics",
            "population": population,
            "total": True,
            "sections": sections,
        }
    ]


def _skewed(part: pl.DataFrame) -> bool:
    """Whether values are positive and long-tailed, as concentrations are."""
    base, aval = part["BASE"].drop_nulls(), part["AVAL"].drop_nulls()
    if not len(base) or not len(aval) or float(base.min()) <= 0 or float(aval.min()) <= 0:  # type: ignore[arg-type]
        return False
    return float(base.max()) > 4 * float(base.median())  # type: ignore[arg-type]


def _lines(values: pl.Series) -> dict[str, Any]:
    """Lines with the decimals that the spread of the values calls for; none where the usual ones do."""
    spread = values.std()
    if not isinstance(spread, float) or spread <= 0 or spread >= 1:
        return {}
    digits = min(1 - math.floor(math.log10(spread)), 4)
    return {
        "statistics": [
            {"label": "n", "show": "{n}"},
            {"label": "Mean (SD)", "show": f"{{mean:{digits}}} ({{sd:{digits + 1}}})"},
            {"label": "Median", "show": f"{{median:{digits}}}"},
            {"label": "Min; max", "show": f"{{min:{digits}}}; {{max:{digits}}}"},
        ]
    }


def _records(frame: pl.DataFrame) -> dict[str, Any]:
    """Conditions that choose the observed analysis records."""
    where: dict[str, Any] = {}
    if "ANL01FL" in frame.columns and bool((frame["ANL01FL"] == "Y").any()):
        where["ANL01FL"] = "Y"
    if "DTYPE" in frame.columns and frame["DTYPE"].null_count() < frame.height:
        where["DTYPE"] = None
    return where


def _measurements(dataset: Dataset, population: str, arm: str) -> list[dict[str, Any]]:
    frame = dataset.frame
    if not {"CHG", "BASE", "AVISIT", "AVISITN", "USUBJID"} <= set(frame.columns):
        return []
    out: list[dict[str, Any]] = []
    parameters = frame["PARAMCD"].drop_nulls().unique(maintain_order=True).to_list()
    parameters.sort(key=lambda code: "TOT" not in code)  # totals before their items
    for parameter in parameters[:MAX_PARAMETERS]:
        part = frame.filter((pl.col("PARAMCD") == parameter) & pl.col("CHG").is_not_null() & (pl.col("AVISITN") > 0))
        observed = _records(frame.filter(pl.col("PARAMCD") == parameter))
        if not part.height:
            continue
        visits = part.select("AVISITN", "AVISIT").drop_nulls().unique().sort("AVISITN")
        if not visits.height:
            continue
        last = float(visits["AVISITN"][-1])
        skewed = _skewed(part)
        y, x = ("LAVAL", "LBASE") if skewed else ("CHG", "BASE")
        ratio = {"exponentiate": True, "note": "Positive and skewed: analysed as logarithms."} if skewed else {}
        derive = {"derive": {"LAVAL": {"log": "AVAL"}, "LBASE": {"log": "BASE"}}} if skewed else {}
        common = {"population": population, "dataset": dataset.name, "parameter": parameter, **derive}
        summaries = [
            {"method": "summary", "label": label, "variable": name, **_lines(part[name])}
            for name, label in (("BASE", "Baseline"), ("AVAL", f"{visits['AVISIT'][-1]}"), ("CHG", "Change"))
        ]
        model = {"method": "ancova", "label": "ANCOVA", "formula": f"{y} ~ {arm} + {x}", **ratio}
        out.append(
            {
                "id": f"{dataset.name}.{parameter}.ANCOVA",
                "title": f"{parameter}: change at {visits['AVISIT'][-1]}",
                **common,
                "where": {**observed, "AVISITN": last},
                "sections": [*summaries, model],
            }
        )
        if visits.height > 1:
            formula = f"{y} ~ {arm} * AVISIT + {x} * AVISIT"
            model = {
                "method": "mmrm",
                "label": "MMRM",
                "formula": formula,
                "covariance": ["us", "toeph", "csh"],
                **ratio,
            }
            out.append(
                {
                    "id": f"{dataset.name}.{parameter}.MMRM",
                    "title": f"{parameter}: change by visit",
                    **common,
                    "where": {**observed, "AVISITN": {"gt": 0}},
                    "sections": [model],
                }
            )
    return out


def _values(dataset: Dataset, population: str) -> list[dict[str, Any]]:
    """Values of safety by visit, and subjects beyond the reference range where the data have one."""
    frame = dataset.frame
    if not {"AVAL", "AVISIT", "USUBJID", "PARAMCD"} <= set(frame.columns):
        return []
    where = _records(frame)
    observed = frame.filter(condition(where, frame, dataset.name)).drop_nulls(["AVAL", "AVISIT"])
    by = ["ATPT"] if "ATPT" in frame.columns and observed["ATPT"].n_unique() > 1 else []
    common = {"population": population, "dataset": dataset.name, "parameters": "all", "by": by}
    once = not observed.select(pl.struct(["USUBJID", "PARAMCD", "AVISIT", *by]).is_duplicated().any()).item()
    out: list[dict[str, Any]] = []
    if observed.height and once:
        change = "CHG" if "CHG" in frame.columns and frame.schema["CHG"].is_numeric() else None
        section = {"method": "by_visit", **({} if change else {"change": None})}
        table = {"id": f"{dataset.name}.VISITS", "title": f"{dataset.name}: values by visit", "pages": True}
        out.append({**table, **common, "where": {**where, "AVAL": {"not": None}}, "sections": [section]})
    limits = [v for v in ("A1LO", "A1HI") if v in frame.columns and frame.schema[v].is_numeric()]
    if limits and "ABLFL" in frame.columns:
        words = {"A1LO": ("Below the reference range", "below"), "A1HI": ("Above the reference range", "above")}
        rules = [{"label": words[v][0], words[v][1]: {v: 1.0}} for v in limits]
        table = {"id": f"{dataset.name}.LIMITS", "title": f"{dataset.name}: values beyond the reference range"}
        out.append({**table, **common, "sections": [{"method": "outliers", "emergent": True, "rules": rules}]})
    return out


def _events(dataset: Dataset, population: str) -> list[dict[str, Any]]:
    """A time to event for each parameter with CNSR; for one without (a count beside the times) a summary."""
    frame = dataset.frame
    parameters = frame["PARAMCD"].drop_nulls().unique(maintain_order=True).to_list()[:MAX_PARAMETERS]
    out: list[dict[str, Any]] = []
    for parameter in parameters:
        part = frame.filter(pl.col("PARAMCD") == parameter)
        common = {
            "id": f"{dataset.name}.{parameter}",
            "population": population,
            "dataset": dataset.name,
            "parameter": parameter,
        }
        if part["CNSR"].null_count() < part.height:
            section: dict[str, Any] = {"method": "survival", "label": "Time to event"}
            out.append({**common, "title": f"{parameter}: time to event", "sections": [section]})
        elif "AVAL" in part.columns and part.schema["AVAL"].is_numeric() and part["AVAL"].null_count() < part.height:
            section = {"method": "summary", "label": parameter, "variable": "AVAL", **_lines(part["AVAL"])}
            out.append({**common, "title": parameter, "sections": [section]})
    return out


def _adverse(dataset: Dataset, population: str) -> list[dict[str, Any]]:
    frame = dataset.frame
    term = next((v for v in ("AEDECOD", "AETERM") if v in frame.columns), None)
    if term is None:
        return []
    emergent = "TRTEMFL" in frame.columns and bool((frame["TRTEMFL"] == "Y").any())
    return [
        {
            "id": dataset.name,
            "title": "Adverse events",
            "population": population,
            "dataset": dataset.name,
            **({"where": {"TRTEMFL": "Y"}} if emergent else {}),
            "sections": [{"method": "incidence", "label": "Adverse events", "variable": term}],
        }
    ]
