"""How often the coherence notes find a planted slip, and how often they speak where nothing is wrong.

    python benchmarks/coherence.py [--records 2000] [--slips 200] [--seed 1]

Trials are drawn, analysed and printed as papers print them: means of whole-number scores, t and log-scale intervals,
chi-squared and t tests, percentages, everything rounded to a random number of places. Such a record is coherent, and
every note on it is a false alarm. Then one slip of a known kind is made in a fresh record, and it counts as found if a
note of the kind that belongs to it is about that place. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from equipoise.records.coherence import Note, coherence_notes
from equipoise.records.schema import Record

Data = dict[str, Any]
HERE = {"source": "S", "confidence": "seen"}


def printed(x: float, places: int) -> float:
    """A number as a paper prints it: rounded half away from zero."""
    scaled = abs(x) * 10.0**places
    return math.copysign(math.floor(scaled + 0.5) / 10.0**places, x)


def printed_p(p: float, places: int) -> float | str:
    """A p-value as a paper prints it: a bound where rounding would leave nothing."""
    least = 10.0**-places
    return f"<{least:.{places}f}" if p < least else min(printed(p, places), 1.0)


def coherent(rng: np.random.Generator) -> Data:
    """One coherent record as plain data, with the true numbers beside it under ``_truth``."""
    n = {"drug": int(rng.integers(20, 250)), "control": int(rng.integers(20, 250))}
    places = int(rng.integers(1, 3))
    p_places = int(rng.integers(2, 5))
    truth: Data = {"n": n, "places": places, "p_places": p_places}

    # whole-number scores at baseline
    scores = {a: np.clip(np.round(rng.normal(36, 6, n[a])), 0, 48) for a in n}
    ages = {a: np.round(rng.normal(60, 10, n[a])) for a in n}
    male = {a: int(rng.binomial(n[a], 0.6)) for a in n}
    bulbar = {a: int(rng.binomial(n[a], 0.25)) for a in n}
    per_place = int(rng.integers(0, 2))

    def mean_sd(x: np.ndarray) -> Data:
        return {
            "value": printed(float(x.mean()), places),
            "sd": printed(float(x.std(ddof=1)), places),
            "n": len(x),
            "digits": places,
        }

    # a least-squares difference with a t interval and its own test
    sd = float(rng.uniform(4, 9))
    se = sd * math.sqrt(1 / n["drug"] + 1 / n["control"])
    df = n["drug"] + n["control"] - 4
    control = float(rng.normal(-7, 1.5))
    effect = float(rng.normal(1.0, 2.5)) * se
    q = stats.t.ppf(0.975, df)
    truth["score"] = (effect, se, df)
    score = {
        "arms": {
            "drug": {
                "value": printed(control + effect, places),
                "se": printed(sd / math.sqrt(n["drug"]), 2),
                "n": n["drug"],
            },
            "control": {
                "value": printed(control, places),
                "se": printed(sd / math.sqrt(n["control"]), 2),
                "n": n["control"],
            },
        },
        "contrast": {
            "kind": "difference",
            "value": printed(effect, places),
            "low": printed(effect - q * se, places),
            "high": printed(effect + q * se, places),
        },
        "p": [
            {"method": "mmrm", "value": printed_p(2 * stats.t.sf(abs(effect) / se, df), p_places), "status": "formal"}
        ],
    }

    # a geometric mean ratio on the log scale
    sl = float(rng.uniform(0.25, 0.6)) * math.sqrt(1 / n["drug"] + 1 / n["control"])
    base, log_ratio = float(rng.normal(0.1, 0.1)), float(rng.normal(-0.2, 0.3))
    truth["marker"] = (log_ratio, sl)
    marker = {
        "arms": {
            "drug": {"value": printed(math.exp(base + log_ratio), 2)},
            "control": {"value": printed(math.exp(base), 2)},
        },
        "contrast": {
            "kind": "ratio",
            "label": "geometric mean ratio",
            **{k: printed(math.exp(log_ratio + s * q * sl), 2) for k, s in (("value", 0), ("low", -1), ("high", 1))},
        },
        "p": [{"method": "mmrm", "value": printed_p(2 * stats.t.sf(abs(log_ratio) / sl, df), p_places)}],
    }

    # a hazard ratio
    events = int(rng.integers(20, 120))
    sh, log_hr = 2 / math.sqrt(events), float(rng.normal(-0.2, 0.35))
    truth["hr"] = (log_hr, sh)
    hazard = {
        "contrast": {
            "kind": "hazard_ratio",
            **{
                k: printed(math.exp(log_hr + s * 1.959964 * sh), 2) for k, s in (("value", 0), ("low", -1), ("high", 1))
            },
        },
        "p": [{"method": "cox", "value": printed_p(2 * stats.norm.sf(abs(log_hr) / sh), p_places)}],
    }

    # a rank test with its Hodges-Lehmann estimate: the interval is that of the walk over pairs, not even around it
    shift = {"drug": rng.gamma(2.0, 3.0, n["drug"]), "control": rng.gamma(2.0, 3.5, n["control"])}
    pairs = np.sort((shift["drug"][:, None] - shift["control"][None, :]).ravel())
    half = 1.959964 * math.sqrt(n["drug"] * n["control"] * (n["drug"] + n["control"] + 1) / 12.0)
    rank = max(0, math.floor(len(pairs) / 2 - half))
    hodges = {
        "arms": {a: {"value": printed(float(np.mean(shift[a])), places)} for a in n},
        "contrast": {
            "kind": "difference",
            "label": "Median Difference (Final Values)",
            "value": printed(float(np.median(pairs)), places),
            "low": printed(float(pairs[rank]), places),
            "high": printed(float(pairs[-rank - 1]), places),
        },
        "p": [
            {
                "method": "hl",
                "value": printed_p(float(stats.mannwhitneyu(shift["drug"], shift["control"]).pvalue), p_places),
            }
        ],
    }

    # a ratio told as a percent change: even around the estimate on the logarithm alone
    percent = {
        "contrast": {
            "kind": "difference",
            "unit": "%",
            "label": "Percent Change, from geometric means",
            **{
                k: printed(100 * (math.exp(log_ratio + s * q * sl) - 1), 1)
                for k, s in (("value", 0), ("low", -1), ("high", 1))
            },
        },
        "p": [{"method": "mmrm_log", "value": printed_p(2 * stats.t.sf(abs(log_ratio) / sl, df), p_places)}],
    }

    # one-sided limits, as registries post them: one at 97.5 %, both at 95 % (which cover 90 % together)
    gap, gap_se = float(rng.normal(0.0, 2.0)), float(rng.uniform(0.5, 2.0))
    one_sided = {
        "contrast": {
            "kind": "difference",
            "value": printed(gap, 2),
            "low": printed(gap - 1.959964 * gap_se, 2),
            "level": 0.975,
            "note": "one-sided interval",
        },
        "p": [{"method": "margin", "value": printed_p(float(stats.norm.sf((gap + 3.0) / gap_se)), p_places)}],
    }
    two_limits = {
        "contrast": {
            "kind": "difference",
            "value": printed(gap, 2),
            "low": printed(gap - 1.644854 * gap_se, 2),
            "high": printed(gap + 1.644854 * gap_se, 2),
            "level": 0.9,
            "note": "one-sided interval; each limit of 95 %",
        },
        "p": [{"method": "model", "value": printed_p(float(2 * stats.norm.sf(abs(gap) / gap_se)), p_places)}],
    }

    # a median survival whose upper limit could not be estimated, and one arm tested against its own start
    median = float(rng.uniform(10.0, 20.0))
    medians = {
        "arms": {
            "drug": {"value": printed(1.4 * median, 1), "low": printed(median, 1), "note": "upper limit not estimable"},
            "control": {"value": printed(median, 1), "low": printed(0.7 * median, 1), "high": printed(1.6 * median, 1)},
        }
    }
    own = rng.normal(-1.0, 4.0, n["drug"])
    alone = {
        "arms": {"drug": mean_sd(own)},
        "p": [{"method": "paired", "value": printed_p(float(stats.ttest_1samp(own, 0.0).pvalue), p_places)}],
    }

    # more than one answer to one question: the categories hold more answers than there are people
    chosen = {c: {a: int(rng.binomial(n[a], 0.6)) for a in n} for c in ("A", "B", "C")}

    # responders with a chi-squared test
    k = {
        a: int(rng.binomial(n[a], r)) for a, r in (("drug", rng.uniform(0.2, 0.6)), ("control", rng.uniform(0.2, 0.5)))
    }
    k = {a: min(max(v, 1), n[a] - 1) for a, v in k.items()}
    table = [[k[a], n[a] - k[a]] for a in n]
    chi = float(stats.chi2_contingency(table, correction=bool(rng.integers(0, 2)))[1])
    responders = {
        "arms": {a: {"value": k[a], "total": n[a], "percent": printed(100 * k[a] / n[a], per_place)} for a in n},
        "p": [{"method": "chi", "value": printed_p(chi, p_places)}],
    }

    # raw changes with a t test
    raw = {a: rng.normal(-5 + (a == "drug") * rng.normal(0, 1), rng.uniform(4, 6), n[a]) for a in n}
    t = float(stats.ttest_ind(raw["drug"], raw["control"], equal_var=bool(rng.integers(0, 2)))[1])
    change = {
        "arms": {
            a: {"value": printed(float(raw[a].mean()), 2), "sd": printed(float(raw[a].std(ddof=1)), 2), "n": n[a]}
            for a in n
        },
        "p": [{"method": "t", "value": printed_p(t, p_places)}],
    }

    def result(id: str, outcome: str, method: str, measure: str, body: Data) -> Data:
        return {
            "id": id,
            "outcome": outcome,
            "set": "ITT",
            "week": 24,
            "method": method,
            "measure": measure,
            **body,
            "prespecified": {"verdict": "yes", "fixed": {"date": "2020-03-01"}},
            **HERE,
        }

    def row(id: str, variable: str, statistic: str, values: Data, **more: Any) -> Data:
        return {
            "id": id,
            "variable": variable,
            "label": variable.lower(),
            "statistic": statistic,
            "values": {"ITT": values},
            **more,
            **HERE,
        }

    def method(id: str, label: str, family: str, gives: list[str]) -> Data:
        return {
            "id": id,
            "label": label,
            "family": family,
            "gives": gives,
            "description": label,
            "prespecified": "yes",
            **HERE,
        }

    def outcome(id: str, scale: str, role: str, **more: Any) -> Data:
        return {
            "id": id,
            "label": id.lower(),
            "scale": scale,
            "direction": "higher_better",
            "role": role,
            "week": 24,
            "set": "ITT",
            **more,
            **HERE,
        }

    bounds = {"bounds": [0, 48], "whole_numbers": True}
    return {
        "id": "drawn",
        "origin": "posted",
        "title": "drawn",
        "condition": "none",
        "primary_result": "r_score",
        "citations": [],
        "sources": {"S": {"title": "drawn"}},
        "design": {
            "phase": "3",
            "type": "parallel",
            "masking": "double",
            "allocation": {"drug": 1, "control": 1},
            "n_actual": sum(n.values()),
            "database_lock": {"date": "2020-06-01"},
            **HERE,
        },
        "arms": [
            {"id": a, "label": a, "role": "active" if a == "drug" else "control", "n": n[a], "drug": a, **HERE}
            for a in n
        ],
        "sets": [{"id": "ITT", "label": "all", "definition": "all", "n": n, **HERE}],
        "outcomes": [
            outcome("SCORE", "linear", "primary", test_order=1, **bounds),
            outcome("MARKER", "log", "secondary"),
            outcome("DEATH", "time_to_event", "secondary"),
            outcome("RESP", "count", "secondary"),
            outcome("RAW", "linear", "secondary"),
            outcome("MEDIAN", "linear", "secondary"),
        ],
        "methods": [
            method("mmrm", "Mixed model", "mmrm", ["estimate", "p"]),
            method("cox", "Cox regression", "cox", ["estimate", "p"]),
            method("chi", "Chi-squared test", "other", ["p"]),
            method("t", "t-test, 2 sided", "other", ["p"]),
            method("hl", "Wilcoxon rank-sum test with its Hodges-Lehmann estimate", "other", ["estimate", "p"]),
            method("mmrm_log", "Mixed model on logarithms, told as percent change", "mmrm", ["estimate", "p"]),
            method("margin", "Test of non-inferiority against a margin, one-sided", "other", ["estimate", "p"]),
            method("model", "Model", "mmrm", ["estimate", "p"]),
            method("paired", "Paired t-test, 2 sided", "other", ["p"]),
            method("descriptive", "Descriptive", "descriptive", ["estimate"]),
        ],
        "baseline": [
            row("bl_score", "SCORE", "mean_sd", {a: mean_sd(scores[a]) for a in n}),
            row("bl_age", "AGE", "mean_sd", {a: mean_sd(ages[a]) for a in n}),
            row(
                "bl_male",
                "MALE",
                "n_percent",
                {a: {"value": male[a], "total": n[a], "percent": printed(100 * male[a] / n[a], per_place)} for a in n},
            ),
            row("bl_bulbar", "BULBAR", "n_percent", {a: {"percent": printed(100 * bulbar[a] / n[a], 1)} for a in n}),
            *(
                row(
                    f"bl_past_{c.lower()}",
                    "PAST",
                    "n_percent",
                    {a: {"value": k, "total": n[a]} for a, k in held.items()},
                    label=f"Earlier treatment (all that apply): {c}",
                )
                for c, held in chosen.items()
            ),
        ],
        "results": [
            result("r_score", "SCORE", "mmrm", "adjusted_mean_change", score),
            result("r_marker", "MARKER", "mmrm", "geometric_mean_ratio", marker),
            result("r_hr", "DEATH", "cox", "time_to_event", hazard),
            result("r_hl", "RAW", "hl", "mean_change", hodges),
            result("r_percent", "MARKER", "mmrm_log", "percent_change", percent),
            result("r_one_sided", "RAW", "margin", "mean_change", one_sided),
            result("r_two_limits", "RAW", "model", "mean_change", two_limits),
            result("r_median", "MEDIAN", "descriptive", "median", medians),
            result("r_alone", "RAW", "descriptive", "mean_change", alone),
            result("r_resp", "RESP", "descriptive", "responders", responders),
            result("r_raw", "RAW", "descriptive", "mean_change", change),
        ],
        "adverse_events": [
            {
                "id": "ae_any",
                "term": "any",
                "category": "summary",
                "arms": {a: {"value": male[a], "total": n[a]} for a in n},
                **HERE,
            }
        ],
        "_truth": truth,
    }


def record_of(data: Data) -> Record:
    """The record of a drawn trial."""
    return Record.model_validate({k: v for k, v in data.items() if not k.startswith("_")})


# -- slips ------------------------------------------------------------------------------------------------------------

Slip = Callable[[Data, np.random.Generator], bool]
"""Makes a slip in the data; False where this trial does not lend itself to it (then another is drawn)."""


def _r(d: Data, id: str) -> Data:
    return next(r for r in d["results"] if r["id"] == id)


def _p_digit(d: Data, rng: np.random.Generator) -> bool:
    p = _r(d, "r_score")["p"][0]
    if isinstance(p["value"], str) or p["value"] < 0.011:
        return False
    p["value"] = round(p["value"] / 10, 6)
    return True


def _p_one_sided(d: Data, rng: np.random.Generator) -> bool:
    effect, se, df = d["_truth"]["score"]
    two = 2 * stats.t.sf(abs(effect) / se, df)
    if not 0.002 < two < 0.6:
        return False
    _r(d, "r_score")["p"][0]["value"] = printed(1 - two / 2 if rng.random() < 0.5 else two / 2, 4)
    return True


def _p_other_test(d: Data, rng: np.random.Generator) -> bool:
    p = _r(d, "r_hr")["p"][0]
    other = float(rng.uniform(0.2, 0.99))
    log_hr, sh = d["_truth"]["hr"]
    if 2 * stats.norm.sf(abs(log_hr) / sh) > 0.05:
        return False
    p["value"] = printed(other, 3)
    return True


def _level(d: Data, rng: np.random.Generator) -> bool:
    effect, se, df = d["_truth"]["score"]
    if abs(effect / se) < 1.0:
        return False
    c, q, places = _r(d, "r_score")["contrast"], stats.t.ppf(0.95, df), d["_truth"]["places"]
    c |= {"low": printed(effect - q * se, places), "high": printed(effect + q * se, places), "se": printed(se, 2)}
    return True


def _sign(d: Data, rng: np.random.Generator) -> bool:
    c = _r(d, "r_score")["contrast"]
    if abs(c["value"]) < 0.5:
        return False
    c |= {"value": -c["value"], "low": -c["high"], "high": -c["low"]}
    return True


def _limit(d: Data, rng: np.random.Generator) -> bool:
    c = _r(d, "r_score")["contrast"]
    if not c["low"] < -0.6 or -c["low"] > c["value"]:
        return False
    c["low"] = -c["low"]
    return c["low"] < c["high"]


def _one_limit(d: Data, rng: np.random.Generator) -> bool:
    _r(d, "r_score")["contrast"].pop("high" if rng.random() < 0.5 else "low")
    return True


def _linear_ratio(d: Data, rng: np.random.Generator) -> bool:
    log_hr, sh = d["_truth"]["hr"]
    hr = math.exp(log_hr)
    low, high = hr - 1.959964 * sh * hr, hr + 1.959964 * sh * hr
    if low < 0.05:
        return False
    _r(d, "r_hr")["contrast"] |= {"low": printed(low, 2), "high": printed(high, 2)}
    return True


def _ratio_label(d: Data, rng: np.random.Generator) -> bool:
    _r(d, "r_marker")["contrast"]["label"] = "Difference in LS geometric mean ratio"
    return True


def _ratio_as_difference(d: Data, rng: np.random.Generator) -> bool:
    r = _r(d, "r_marker")
    r["contrast"]["kind"] = "difference"
    r["contrast"].pop("label")
    a, b, c = r["arms"]["drug"]["value"], r["arms"]["control"]["value"], r["contrast"]["value"]
    return abs(abs(a - b) - c) > 0.05


def _copied(d: Data, rng: np.random.Generator) -> bool:
    r, (_, sl) = _r(d, "r_marker"), d["_truth"]["marker"]
    other = d["_truth"]["marker"][0] + float(rng.choice([-1, 1])) * float(rng.uniform(2, 5)) * sl
    r["contrast"] |= {
        k: printed(math.exp(other + s * 1.97 * sl), 2) for k, s in (("value", 0), ("low", -1), ("high", 1))
    }
    r["p"] = []
    return True


def _percent(d: Data, rng: np.random.Generator) -> bool:
    v = d["baseline"][2]["values"]["ITT"]["drug"]
    v["percent"] = round(v["percent"] + float(rng.choice([-3, 3, 5])), 1)
    return 0 <= v["percent"] <= 100


def _percent_alone(d: Data, rng: np.random.Generator) -> bool:
    v = d["baseline"][3]["values"]["ITT"]["drug"]
    v["percent"] = round(v["percent"] + 0.4, 1)
    return d["_truth"]["n"]["drug"] < 90


def _grim(d: Data, rng: np.random.Generator) -> bool:
    v, n = d["baseline"][0]["values"]["ITT"]["drug"], d["_truth"]["n"]["drug"]
    if n > (60 if d["_truth"]["places"] == 2 else 6):
        return False
    v["value"] = round(v["value"] + float(rng.choice([-2, -1, 1, 2])) * 10.0 ** -d["_truth"]["places"], 2)
    return True


def _sd_too_large(d: Data, rng: np.random.Generator) -> bool:
    d["baseline"][0]["values"]["ITT"]["control"]["sd"] = float(round(rng.uniform(26, 60), 1))
    return True


def _sd_as_se(d: Data, rng: np.random.Generator) -> bool:
    for v in _r(d, "r_score")["arms"].values():
        v["se"] = printed(v["se"] * math.sqrt(v["n"]), 2)
    return True


def _chi(d: Data, rng: np.random.Generator) -> bool:
    p = _r(d, "r_resp")["p"][0]
    if isinstance(p["value"], str) or not 0.01 <= p["value"] < 0.4:
        return False
    p["value"] = printed(p["value"] * 2.2 if rng.random() < 0.5 else p["value"] / 3, 4)
    return True


def _t(d: Data, rng: np.random.Generator) -> bool:
    p = _r(d, "r_raw")["p"][0]
    if isinstance(p["value"], str) or not 0.01 <= p["value"] < 0.4:
        return False
    p["value"] = printed(p["value"] * 2.2 if rng.random() < 0.5 else p["value"] / 3, 4)
    return True


def _arm_total(d: Data, rng: np.random.Generator) -> bool:
    d["design"]["n_actual"] += int(rng.integers(1, 20))
    return True


def _ae_total(d: Data, rng: np.random.Generator) -> bool:
    d["adverse_events"][0]["arms"]["drug"]["total"] += int(rng.integers(1, 20))
    return True


def _gate(d: Data, rng: np.random.Generator) -> bool:
    first, second = _r(d, "r_score")["p"][0]["value"], _r(d, "r_marker")["p"][0]["value"]
    small = isinstance(second, str) or second < 0.05
    d["outcomes"][1]["test_order"] = 2
    return not isinstance(first, str) and first >= 0.05 and small


def _late(d: Data, rng: np.random.Generator) -> bool:
    _r(d, "r_score")["prespecified"]["fixed"]["date"] = "2020-09-15"
    return True


SLIPS: dict[str, tuple[Slip, tuple[str, ...], str]] = {
    "a digit of p": (_p_digit, ("p_and_interval",), "r_score"),
    "p one-sided, not said": (_p_one_sided, ("p_and_interval",), "r_score"),
    "p of another test": (_p_other_test, ("p_and_interval",), "r_hr"),
    "interval of 90 % as 95 %": (_level, ("se_and_interval", "p_and_interval"), "r_score"),
    "contrast the wrong way round": (_sign, ("contrast_and_arms",), "r_score"),
    "sign of a limit": (_limit, ("interval_and_estimate",), "r_score"),
    "one limit left out": (_one_limit, ("one_sided_interval",), "r_score"),
    "ratio's interval on its own scale": (_linear_ratio, ("interval_scale", "interval_and_estimate"), "r_hr"),
    "ratio named a difference": (_ratio_label, ("ratio_called_difference",), "r_marker"),
    "ratio entered as a difference": (
        _ratio_as_difference,
        ("ratio_called_difference", "contrast_and_arms"),
        "r_marker",
    ),
    "contrast of other arms": (_copied, ("contrast_and_arms",), "r_marker"),
    "percentage off by 3 or 5": (_percent, ("percent_and_count",), "bl_male"),
    "percentage no count gives": (_percent_alone, ("impossible_percent",), "bl_bulbar"),
    "mean no scores give": (_grim, ("impossible_mean",), "bl_score"),
    "deviation too large": (_sd_too_large, ("impossible_sd",), "bl_score"),
    "deviations called errors": (_sd_as_se, ("sd_or_se",), "r_score"),
    "p not that of the counts": (_chi, ("p_and_counts",), "r_resp"),
    "p not that of the means": (_t, ("p_and_means",), "r_raw"),
    "arms against total": (_arm_total, ("arm_and_total",), ""),
    "adverse events above the arm": (_ae_total, ("arm_and_total",), "ae_any"),
    "after a failed gatekeeper": (_gate, ("after_failed_gatekeeper",), "r_marker"),
    "planned after unblinding": (_late, ("prespecified_after_unblinding",), "r_score"),
}


# -- rates ------------------------------------------------------------------------------------------------------------


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    z = 1.959964
    p, d = k / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    centre = (p + z * z / (2 * n)) / d
    return max(centre - half, 0.0), min(centre + half, 1.0)


def false_alarms(records: int, seed: int) -> tuple[int, Counter[str], list[Note]]:
    """Coherent records with any note; notes by kind; the notes."""
    rng = np.random.default_rng(seed)
    wrong, kinds, all_notes = 0, Counter[str](), []
    for _ in range(records):
        notes = coherence_notes(record_of(coherent(rng)))
        wrong += bool(notes)
        kinds.update(note.kind for note in notes)
        all_notes += notes
    return wrong, kinds, all_notes


def detected(name: str, slips: int, seed: int) -> int:
    """How many of so many slips of a kind are found."""
    make, kinds, block = SLIPS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    found = done = 0
    while done < slips:
        data = copy.deepcopy(coherent(rng))
        if not make(data, rng):
            continue
        done += 1
        notes = coherence_notes(record_of(data))
        found += any(n.kind in kinds and block in (n.block, "") for n in notes)
    return found


def main() -> None:
    """Print both rates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=2000, help="coherent records to draw")
    parser.add_argument("--slips", type=int, default=200, help="slips of each kind to plant")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{'planted slip':36} found     of     rate   95 % interval")
    total = 0
    for name in SLIPS:
        k = detected(name, options.slips, options.seed)
        total += k
        low, high = wilson(k, options.slips)
        print(
            f"{name:36} {k:5} {options.slips:6}  {100 * k / options.slips:5.1f} %  {100 * low:.1f} to {100 * high:.1f}"
        )
    n = len(SLIPS) * options.slips
    low, high = wilson(total, n)
    print(f"{'all':36} {total:5} {n:6}  {100 * total / n:5.1f} %  {100 * low:.1f} to {100 * high:.1f}")
    wrong, kinds, _ = false_alarms(options.records, options.seed)
    low, high = wilson(wrong, options.records)
    rate = f"{100 * wrong / options.records:.2f} %; {100 * low:.2f} to {100 * high:.2f}"
    print(f"\ncoherent records with any note: {wrong} of {options.records} ({rate})")
    for kind, count in kinds.most_common():
        print(f"  {kind}: {count}")


if __name__ == "__main__":
    main()
