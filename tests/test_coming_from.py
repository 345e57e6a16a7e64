"""The pages for those who come from R and SAS: their examples run, and every number that both sides have is R's."""

from __future__ import annotations

import doctest
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from equipoise.estimate.categorical.gee import gee

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "coming-from"
REFERENCE = ROOT / "tests" / "reference"
R: dict[str, Any] = json.loads((REFERENCE / "coming_from.json").read_text(encoding="utf-8"))


@cache
def left(page: str) -> dict[str, Any]:
    """The names that the examples of a page leave, and what was printed is as shown."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    test = doctest.DocTestParser().get_doctest(text, names, page, page, 0)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0
    return test.globs


def same(found: Any, wanted: Any, what: str, rel: float = 1e-6) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(wanted, float), rtol=rel, atol=1e-9, err_msg=what)


def same_table(found: Any, wanted: dict[str, list[float]], what: str) -> None:
    for name, values in wanted.items():
        same([getattr(e, name) for e in found.estimates], np.atleast_1d(values), f"{what}: {name}")


@pytest.mark.parametrize(("page", "key"), [("emmeans", "emmeans"), ("survival", "survival"), ("sas-procedures", "sas")])
def test_property_what_a_page_shows_is_what_ran(page: str, key: str) -> None:
    """Its R code is the code that gave the figures; its data are the file's."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    shown = [
        line
        for block in re.findall(r"^```r\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert shown == R[key]["code"], "run: Rscript tests/reference/coming_from.R"
    trial, kept = left(page)["trial"], pl.read_csv(REFERENCE / "small_trial.csv")
    for name in trial.columns:
        assert trial[name].cast(kept.schema[name]).to_list() == kept[name].to_list(), name


def test_reference_emmeans() -> None:
    ours, theirs = left("emmeans"), R["emmeans"]
    for name in ("means", "proportional", "young", "plain", "holm", "by_site", "both", "slopes"):
        same_table(ours[name], theirs[name], name)
    same_table(ours["tukey"], {k: v for k, v in theirs["tukey"].items() if k != "p"}, "tukey")
    same([e.p for e in ours["tukey"].estimates], theirs["tukey"]["p"], "tukey: p", 1e-4)
    same([e.low for e in ours["tukey"].estimates], theirs["tukey_low"], "tukey: low", 1e-4)
    same_table(ours["dunnett"], theirs["dunnett"], "dunnett")
    # R integrates by simulation
    np.testing.assert_allclose([e.p for e in ours["dunnett"].estimates], theirs["dunnett_p"], atol=1e-3)
    joint = {row["terms"]: row for row in ours["joint"].iter_rows(named=True)}
    for term, f, p in zip(theirs["joint"]["terms"], theirs["joint"]["f"], theirs["joint"]["p"], strict=True):
        assert joint[term]["f"] == pytest.approx(f, abs=5e-4)  # R rounds them for print
        assert joint[term]["p"] == pytest.approx(p, abs=5e-4)
    assert len(joint) == len(theirs["joint"]["terms"])


def test_reference_survival() -> None:
    ours, theirs = left("survival"), R["survival"]
    for name, values in theirs["at24"].items():
        same(ours["at24"][name].to_list(), values, f"at24: {name}")
    same([e.estimate for e in ours["curves"].estimates], theirs["medians"], "medians")
    for name in ("plain", "peto"):
        same(ours[name].estimates[0].statistic, theirs[name]["statistic"], name)
        same(ours[name].estimates[0].p, theirs[name]["p"], name)
    same(ours["by_site"].estimates[0].statistic, theirs["by_site"]["statistic"], "by_site")
    same(ours["late"].estimates[0].statistic, theirs["late"], "late")
    for name in ("fit", "breslow", "exact", "robust"):
        same(ours[name].beta, theirs[name]["beta"], f"{name}: beta")
        same([e.se for e in ours[name].estimates], theirs[name]["se"], f"{name}: se")
    zph = ours["zph"].to_frame()["statistic"].to_list()
    same(zph, theirs["zph"], "zph", 1e-5)
    same([arm.mean for arm in ours["means"].arms], theirs["rmean"], "rmean")
    same([arm.se for arm in ours["means"].arms], theirs["rmean_se"], "rmean: se")


def test_reference_sas() -> None:
    ours, theirs = left("sas-procedures"), R["sas"]
    same(ours["fisher"].p, theirs["fisher"], "fisher")
    same(ours["general"].estimates[-1].statistic, theirs["general"]["statistic"], "general")
    same(ours["general"].estimates[-1].p, theirs["general"]["p"], "general: p")
    same(ours["share"].estimates[0].p, theirs["share"], "share")
    for name in ("fit", "sums", "counts", "poisson"):
        same([np.log(e.estimate) for e in ours[name].estimates], theirs[name]["beta"], f"{name}: beta", 1e-5)
        same([e.se for e in ours[name].estimates], theirs[name]["se"], f"{name}: se", 1e-5)
    same([(e.low, e.high) for e in ours["profile"].estimates], theirs["profile"], "profile", 1e-3)
    same([e.estimate for e in ours["discrete"].estimates], np.exp(theirs["discrete"]["beta"]), "discrete")
    same([e.estimate for e in ours["breslow"].estimates], np.exp(theirs["breslow"]["beta"]), "breslow")


def test_reference_gtsummary() -> None:
    """What gtsummary and tern print is what base R gives them."""
    numbers, theirs = left("gtsummary-and-tern")["results"].numbers, R["gtsummary"]
    found = {(k.quantity, k.arm): v for k, v in numbers.items() if k.variable == "BASE"}
    for name in ("mean", "sd", "median", "q1", "q3"):
        same([found[name, arm].estimate for arm in ("placebo", "low", "high")], theirs[name], name)
    same(found["kruskal_wallis", None].p, theirs["kruskal"], "kruskal")
    tests = [v.p for k, v in numbers.items() if k.variable == "RESP" and "chi" in k.quantity]
    same(tests, [theirs["chisq"]], "chisq")
    shown = left("gtsummary-and-tern")["results"].table("1").blocks[1].rows[0]
    assert [shown.cells[arm].text.split()[0] for arm in ("placebo", "low", "high")] == [
        str(n) for n in theirs["responders"]
    ]


def test_property_words_of_the_tables_are_words_of_the_calls() -> None:
    """What the tables of the pages name and no example runs."""
    of, fit = left("survival"), left("emmeans")["fit"]
    cox, curves = of["fit"], of["kaplan_meier"]
    assert cox.residuals("martingale").shape == (30,)
    assert 0.5 < cox.concordance[0] < 1
    assert callable(cox.baseline)
    assert callable(cox.predict)
    for options in ({"scale": "log"}, {"estimator": "nelson-aalen"}):
        assert curves("Surv(AVAL, 1 - CNSR) ~ ARM", of["trial"], **options).estimates
    for method in ("trend", "sequential", "effects"):
        assert fit.contrasts("ARM", method=method).estimates
    for adjust in ("holm", "bonferroni", "sidak"):
        assert fit.contrasts("ARM", adjust=adjust).estimates
    assert fit.lsmeans("ARM", weights="observed").estimates
    assert fit.lsmeans("ARM").confint(0.9) is not None
    visits = pl.read_csv(REFERENCE / "visits.csv")
    for correlation in ("independence", "exchangeable", "ar1", "unstructured"):
        assert gee("YES ~ ARM", visits, subject="ID", visit="VISIT", correlation=correlation).estimates
