"""The reference cases of joint ranks (CAFS) and win statistics: how to run one here, every number compared."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import parity
from equipoise.estimate.ranks.joint_rank import Cafs, cafs
from equipoise.estimate.ranks.kernels import win_regression as kernel
from equipoise.estimate.ranks.win import Layer, Recurrent, Time, Value, WinStatistics, win_statistics
from equipoise.estimate.ranks.win_regression import WinRegression, win_regression
from equipoise.estimate.result import Estimate
from equipoise.types import Status
from parity import Comparison, Section, block

CAFS = ("sim_als_week36", "sim_als_week24")
DEATH_FIRST, CONTINUOUS = "pairwise_hfaction_death_then_first_hosp", "pairwise_WINS_continuous_Y1_Y2_Y3"
PAIRWISE: dict[str, list[Layer]] = {
    DEATH_FIRST: [Time("T", event="D"), Time("H", event="DH")],
    CONTINUOUS: [Value(f"Y_{k}") for k in (1, 2, 3)],
}
WINS: dict[str, list[Layer]] = {
    "wins_continuous": [Value(f"Y_{k}") for k in (1, 2, 3)],
    "wins_tte": [Time(f"Y_{k}", event=f"Delta_{k}") for k in (1, 2, 3)],
}
RECURRENT = ("WRrec_hfaction", "WRrec_hfaction_age60_strata")
FORMS = {"naive": ("", ".naive"), "first": ("first", ".FI"), "last": ("last", "")}
COVARIATES = [
    "trt_ab",
    "age",
    "sex",
    "Black.vs.White",
    "Other.vs.White",
    "bmi",
    "bipllvef",
    "hyperten",
    "COPD",
    "diabetes",
    "acei",
    "betab",
    "smokecurr",
]


def cases(name: str) -> dict[str, Any]:
    found: dict[str, Any] = parity.reference(name)["cases"]
    return found


# ---- joint ranks ----


@cache
def run_cafs(case: str, *, stratified: bool = False) -> Cafs:
    subjects = pd.read_csv(parity.data_file("sim_als_subject.csv"))
    visits = pd.read_csv(parity.data_file("sim_als_long.csv"))
    return cafs(
        visits,
        subjects,
        up_to=cases("joint_rank")[case]["horizon_weeks"],
        control="PLACEBO",
        covariates=["BASE"],
        visit="WEEK",
        arm="TRT",
        time="TIME_WEEKS",
        censor=None,
        event="DEATH",
        strata=["BULBAR"] if stratified else [],
    )


@cache
def compare_cafs(case: str) -> tuple[Comparison, ...]:
    """Every value of the reference: scores and ranks exactly, the rest (R's lm, coin, the permutation variance) at
    1e-8.
    """
    return tuple(_cafs(case))


def _cafs(case: str) -> Iterator[Comparison]:
    expected, tol = cases("joint_rank")[case], 1e-8
    made, stratified = run_cafs(case), run_cafs(case, stratified=True)
    order = {s: i for i, s in enumerate(made.panel.subjects)}
    index = [order[s] for s in expected["scores"]["USUBJID"]]
    yield block(case, "", "scores", made.scores[index], expected["scores"]["score"], 0.0)
    yield block(case, "", "ranks", made.ranks[index], expected["scores"]["rank"], 0.0)
    counts = [sum(made.deaths), made.panel.n]
    yield block(case, "", "deaths and patients", counts, [expected["deaths"], expected["n"]], 0.0)
    for what, values in (("rank", made.ranks), ("score", made.scores)):
        ours = [values[made.panel.arm == arm].mean() for arm in (0, 1)]
        theirs = [expected[f"mean_{what}"][arm] for arm in ("PLACEBO", "ACTIVE")]
        yield block(case, "", f"mean {what} by arm", ours, theirs, tol)
    for fit, key, name in (
        (made, "ancova_on_ranks", "ANCOVA on ranks"),
        (stratified, "ancova_on_ranks_stratified", "ANCOVA on ranks, strata"),
    ):
        rows = expected[key]["coefficients"]["values"]
        ours = [fit.ancova.estimate, fit.ancova.se, fit.ancova.estimate / fit.ancova.se, fit.ancova.p]
        yield block(case, name, "difference, error, t, p-value", ours, rows[1], tol)
        table = fit.fit.coefficients[["estimate", "se", "statistic", "p"]].to_numpy()
        # our order: intercept, arm, BASE, stratum; R's: intercept, arm, stratum, BASE
        theirs = rows if len(rows) == 3 else [rows[0], rows[1], rows[3], rows[2]]
        yield block(case, name, "all coefficients, errors, t, p-values", table, theirs, tol)
    yield block(case, "ANCOVA on ranks", "residual error", made.fit.sigma, expected["ancova_on_ranks"]["sigma"], tol)
    for ours, estimate, key, name in (
        (stratified.rank_sums["wilcoxon"], stratified.wilcoxon, "wilcoxon_on_scores", "Wilcoxon"),
        (
            stratified.rank_sums["stratified_wilcoxon"],
            stratified.stratified_wilcoxon,
            "stratified_rank_sum_unweighted",
            "stratified rank sum",
        ),
        (stratified.rank_sums["van_elteren"], stratified.van_elteren, "van_elteren", "van Elteren"),
    ):
        reference = expected[key]
        z = [-reference["z"]] * 2  # R's sum is of the first arm, placebo
        yield block(case, name, "z", [ours.z, estimate.estimate / estimate.se], z, tol)
        yield block(case, name, "p-value", estimate.p, reference["p"], tol)
        yield block(case, name, "variance", ours.variance, reference["variance"], tol)
        strata = pd.Series(stratified.panel.baseline.get_column("BULBAR").to_list())
        whole = 0.0
        for _, who in strata.groupby(strata if key != "wilcoxon_on_scores" else np.zeros(len(strata))):
            n = len(who)
            whole += n * (n + 1) / 2 / (n + 1 if key == "van_elteren" else 1)
        sums = [whole - ours.expectation, whole - ours.statistic]
        yield block(
            case, name, "sum and its expectation", sums, [reference["expectation"], reference["linear_statistic"]], tol
        )
    fs, total = made.finkelstein_schoenfeld, made.rank_sums["finkelstein_schoenfeld"]
    reference = expected["finkelstein_schoenfeld"]
    ours = [total.statistic, total.variance, total.z, fs.estimate / fs.se, fs.p]
    theirs = [reference[k] for k in ("T", "variance", "z", "z", "p")]
    yield block(case, "Finkelstein-Schoenfeld", "sum, variance, z, p-value", ours, theirs, tol)
    pairs = expected["pairwise"]
    counts = [made.wins, made.losses, made.ties]
    yield block(case, "pairs", "wins, losses, ties", counts, [pairs[k] for k in ("wins", "losses", "ties")], 0.0)
    ours = [made.win_ratio.estimate, made.net_benefit.estimate]
    yield block(case, "pairs", "win ratio, net benefit", ours, [pairs["win_ratio"], pairs["net_benefit"]], tol)


# ---- win statistics ----


@cache
def hfaction() -> pd.DataFrame:
    """One row a patient: death or last follow-up, and up to as many hospitalisations as anybody had."""
    rows = pd.read_csv(parity.data_file("hfaction_cpx9.csv"))
    out = []
    for _, own in rows.groupby("patid", sort=False):
        end = own[own.status != 2].iloc[0]
        admitted = np.sort(own[own.status == 2].time.to_numpy())
        first = {"H": admitted[0] if len(admitted) else end.time, "DH": int(len(admitted) > 0)}
        times = {f"H{i + 1}": t for i, t in enumerate(admitted)}
        out.append(
            {
                "T": end.time,
                "D": int(end.status == 1),
                "trt": own.trt_ab.iloc[0],
                "age60": own.age60.iloc[0],
                **first,
                **times,
            }
        )
    return pd.DataFrame(out)


def z_of(e: Estimate) -> float:
    value = e.estimate if e.scale.startswith(("net", "wins")) else np.log(e.estimate)
    return float(value / e.se)


@cache
def run_pairwise(case: str) -> WinStatistics:
    if case == DEATH_FIRST:
        return win_statistics(hfaction(), PAIRWISE[case], arm="trt")
    data = pd.read_csv(parity.data_file("WINS_data_continuous.csv"))
    return win_statistics(data, PAIRWISE[case], arm="arm", control="B")


@cache
def compare_pairwise(case: str) -> tuple[Comparison, ...]:
    """The brute-force script: counts exactly, estimates and tests at relative 1e-10."""
    made, expected = run_pairwise(case), cases("winratio")[case]
    fs, s, tol = expected["finkelstein_schoenfeld"], made.strata[0], 1e-10
    ratio, net, odds, test = made.win_ratio, made.net_benefit, made.win_odds, made.finkelstein_schoenfeld
    counts = ("wins", "losses", "ties", "n1", "n0")
    return (
        block(
            case,
            "",
            "wins, losses, ties, patients",
            [made.wins, made.losses, made.ties, s.active, s.control],
            [expected[k] for k in counts],
            0.0,
        ),
        block(
            case,
            "",
            "win ratio, its log, its error and z",
            [ratio.estimate, np.log(ratio.estimate), ratio.se, z_of(ratio)],
            [expected[k] for k in ("win_ratio", "log_win_ratio", "se_log_win_ratio", "z_win_ratio")],
            tol,
        ),
        block(
            case,
            "",
            "net benefit and its error",
            [net.estimate, net.se],
            [expected["net_benefit"], expected["se_net_benefit"]],
            tol,
        ),
        block(
            case,
            "",
            "win odds and its error",
            [odds.estimate, odds.se],
            [expected["win_odds"], expected["se_log_win_odds"]],
            tol,
        ),
        block(
            case,
            "",
            "Finkelstein-Schoenfeld: sum, variance, z, p-value",
            [test.estimate, test.se**2, z_of(test), test.p],
            [fs[k] for k in ("T", "variance", "z", "p_two_sided")],
            tol,
        ),
    )


@cache
def compare_wins(case: str) -> tuple[Comparison, ...]:
    """WINS: estimates, limits, z and P with the variance under equality, relative 1e-9."""
    expected = cases("winratio")[case]
    data = pd.read_csv(parity.data_file(f"{'WINS_data_tte' if case == 'wins_tte' else 'WINS_data_continuous'}.csv"))
    made = win_statistics(data, WINS[case], arm="arm", control="B", variance="null")
    pairs = made.wins + made.losses + made.ties
    shares = [expected["win_prop"][k] for k in ("P_trt", "P_con")]
    out = [block(case, "", "shares won and lost", [made.wins / pairs, made.losses / pairs], shares, 1e-12)]
    for e, key, short in (
        (made.win_ratio, "Win_Ratio", "WR"),
        (made.net_benefit, "Net_Benefit", "NB"),
        (made.win_odds, "Win_Odds", "WO"),
    ):
        name = key.replace("_", " ").lower()
        theirs = expected["win_statistic"][key]
        out.append(block(case, name, "estimate and limits", [e.estimate, e.low, e.high], theirs, 1e-9))
        out.append(block(case, name, "z", z_of(e), expected["z"][f"zstat_{short}"], 1e-9))
        # WINS takes 1 - Phi(z), which has an absolute accuracy only: 1e-12, as 1e-7 of 1e-5
        out.append(block(case, name, "p-value", e.p, expected["p"][f"pvalue_{short}"], 1e-7, 1e-5))
    return tuple(out)


@cache
def run_recurrent(case: str, form: str) -> WinStatistics:
    data = hfaction()
    times = tuple(c for c in data.columns if c.startswith("H") and c != "H")
    hierarchy = [Time("T", event="D", censored_after=True), Recurrent("T", times, FORMS[form][0])]
    strata = ["age60"] if case.endswith("strata") else []
    return win_statistics(data, hierarchy, arm="trt", strata=strata, weights="size")


@cache
def compare_recurrent(case: str, form: str) -> tuple[Comparison, ...]:
    """WRrec: death, then hospitalisations, relative 1e-9. Its conventions: a death at the end of the other's follow-up
    counts, and strata weigh by size.
    """
    expected, made, suffix = cases("winratio")[case], run_recurrent(case, form), FORMS[form][1]
    size = np.array([s.control + s.active for s in made.strata], float)
    won, lost = (
        np.array([getattr(s, k) / (s.control * s.active) for s in made.strata]) @ size / size.sum()
        for k in ("wins", "losses")
    )
    ratio = made.win_ratio
    out = [
        block(case, form, "shares won and lost", [won, lost], expected["theta" + suffix], 1e-9),
        block(case, form, "log win ratio", np.log(ratio.estimate), expected["log.WR" + suffix], 1e-9),
        block(case, form, "its standard error", ratio.se, expected["se" + suffix], 1e-9),
    ]
    if not suffix:
        out.append(block(case, form, "p-value", ratio.p, expected["pval"], 1e-8))
    return tuple(out)


# ---- proportional win-fractions regression ----

PWREG, RULE = "pwreg_non_ischemic", "published rule"


@cache
def non_ischemic() -> pd.DataFrame:
    """One row a patient: death or last follow-up, and the first hospitalisation or the end of follow-up."""
    rows = pd.read_csv(parity.data_file("non_ischemic.csv"))
    out = []
    for _, own in rows.groupby("ID", sort=False):
        end, admitted = own[own.status != 2].iloc[0], own[own.status == 2].time
        out.append(
            {
                **own.iloc[0][COVARIATES],
                "T": end.time,
                "D": int(end.status == 1),
                "DH": int(len(admitted) > 0),
                "H": admitted.min() if len(admitted) else end.time,
            }
        )
    return pd.DataFrame(out).assign(sex=lambda d: d.sex - 1)


@cache
def wr_pairs() -> np.ndarray:
    """The pairs as WR 1.0 decides them.

    Its rule differs from the one published where both patients have the same time of first hospitalisation, or
    neither has one: a death then counts even after the end of the other's follow-up.
    """
    d = non_ischemic()
    never = d["T"].max() + 1
    death, censored = np.where(d.D == 1, d["T"], never), np.where(d.D == 1, never, d["T"])
    admitted = np.where(d.DH == 1, d.H, never)
    di, dj = death[:, None], death[None, :]
    hi, hj = admitted[:, None], admitted[None, :]
    ci = censored[:, None]
    by_admission = (hj < np.minimum(np.minimum(hi, di), dj)) & (hj <= ci)
    by_death = ~by_admission & ((dj <= np.minimum(np.minimum(hi, hj), ci)) | (hi == hj)) & (dj < di)
    ahead = by_admission | by_death
    overturned = by_admission & (di < dj) & (di <= censored[None, :]) & (di < d["T"].max())
    win = (ahead & ~overturned) | overturned.T
    return win.astype(np.int8) - win.T.astype(np.int8)


@cache
def regression() -> WinRegression:
    """The door's fit, on the published rule."""
    hierarchy = [Time("T", event="D", censored_after=True), Time("H", event="DH", censored_after=True)]
    return win_regression(non_ischemic(), hierarchy, COVARIATES)


@cache
def published_pairs() -> tuple[np.ndarray, list[int]]:
    """The pairs on the published rule, and how many each outcome decides."""
    d = non_ischemic()
    n = len(d)
    ours, layer = np.empty((n, n), np.int8), np.empty(2, np.int64)
    value = np.column_stack([np.nextafter(d["T"], np.inf), np.nextafter(d.H, np.inf)])
    event = d[["D", "DH"]].to_numpy() == 1
    value[event] = d[["T", "H"]].to_numpy(float)[event]
    kernel.compare_all(
        0,
        np.ones((1, n), bool),
        np.zeros((1, n), np.int64),
        value[None],
        event[None],
        np.empty((1, n, 0)),
        np.ones(2, np.int64),
        np.zeros(2),
        np.ones(2, np.int64),
        ours,
        layer,
    )
    return ours, layer.tolist()


@cache
def compare_regression() -> tuple[Comparison, ...]:
    """WR 1.0: coefficients and covariance at relative 1e-9 on the pairs as WR decides them (`wr_pairs`); on the
    published rule, which the door follows, 0.22 % of the pairs differ, and coefficients by less than 5 % of a standard
    error.
    """
    expected, data, theirs = cases("winratio")[PWREG], non_ischemic(), wr_pairs()
    z = data[COVARIATES].to_numpy(float)
    n, p = z.shape
    beta, vcov = np.empty(p), np.empty((p, p))
    assert kernel.fit_pairs(theirs, z, np.ones(n, bool), np.ones(n), beta, vcov) == Status.OK
    fit, se = regression(), np.array(expected["se"])
    differ = np.triu(published_pairs()[0] != theirs, 1).sum() / (n * (n - 1) / 2)
    wr, rule = "WR's pairs", RULE
    return (
        block(PWREG, wr, "coefficients", beta, expected["beta"], 1e-9),
        block(PWREG, wr, "covariance", vcov, expected["vcov"], 1e-9),
        block(PWREG, wr, "standard errors", np.sqrt(np.diag(vcov)), se, 1e-10),
        block(PWREG, rule, "pairs decided otherwise", differ, 0.0, 0.0023, scale=1.0, unit="of all pairs"),
        block(PWREG, rule, "coefficients", fit.beta, expected["beta"], 0.05, scale=se, unit="standard errors"),
        block(PWREG, rule, "standard errors", [e.se for e in fit.estimates], se, 0.01),
    )


# ---- the page ----


def public_page() -> str:
    """The page docs/parity/ranks-and-wins.md."""
    sections = (
        Section(
            "Joint ranks (CAFS)",
            "No R package does this end to end: the reference scores every pair by explicit loops, then uses lm and "
            "coin. coin's sums are those of the first arm, placebo, and are turned round. Scores, ranks and counts are "
            "equal exactly.",
            tuple(c for case in CAFS for c in compare_cafs(case)),
        ),
        Section(
            "Win statistics by brute force",
            "An R script of its own, all pairs by loops, variance by U-statistics; its point estimates are WINS's. Not "
            "compared: the covariance of the shares won and lost and the scores of the first ten patients, which we do "
            "not hand out (the standard errors and the test are made from them).",
            tuple(c for case in PAIRWISE for c in compare_pairwise(case)),
        ),
        Section(
            "Win statistics: WINS",
            'With `variance="null"`: WINS\'s variance is the one under equality, so that its limits differ from those '
            "by U-statistics, our default. Its p-values are 1 - Phi(z), in which small ones lose "
            "digits: their differences are relative to the p-value or 1e-5, whichever is larger. The reference "
            "has no stratified analysis of WINS.",
            tuple(c for case in WINS for c in compare_wins(case)),
        ),
        Section(
            "Recurrent events: WR's WRrec",
            "Death, then hospitalisations, in three forms (naive, first and last event break ties). With "
            '`censored_after=True` and `weights="size"`, which are WRrec\'s conventions. Not compared: its descriptive '
            "counts.",
            tuple(c for case in RECURRENT for form in FORMS for c in compare_recurrent(case, form)),
        ),
        Section(
            "Regression: WR's pwreg on its own pairs",
            "Our fit of the pairs as pwreg decides them.",
            tuple(c for c in compare_regression() if c.method != RULE),
        ),
        Section(
            "Regression: WR's pwreg and the published rule",
            "**pwreg does not follow its own published rule of pairs.** Where neither patient was admitted to "
            "hospital, or both at the same time, it counts a death even after the end of the other's follow-up. Fed "
            "with its pairs our fit is its fit (above); on the published rule, which our door follows, numbers "
            "differ, as the table shows. `tests/estimate/test_win_regression.py` "
            "checks that every pair decided otherwise is of that kind.",
            tuple(c for c in compare_regression() if c.method == RULE),
        ),
    )
    prose = f"""
Every case of the references: joint ranks of function and survival ({parity.versions("joint_rank")}; simulated
trial of our own), win statistics and their regression ({parity.versions("winratio")}; data sets of these packages).

Win statistics with other strata and weights are checked by brute force only (`tests/estimate/test_win.py`).
"""
    return parity.page("ranks-and-wins", "Joint ranks and win statistics: our numbers beside R's", prose, sections)
