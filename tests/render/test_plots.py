"""The plots of trials: sound, legible and told apart; what they show is what they were given; bad input is named."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise.document.shapes import beyond_shapes
from equipoise.errors import DataError, OutputError
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival.kaplan_meier import kaplan_meier as km
from equipoise.render import theme
from equipoise.render.plots import (
    Plot,
    boundaries,
    cumulative_incidence,
    dropout,
    forest,
    kaplan_meier,
    ls_means,
    tipping_point,
)
from equipoise.render.plots.plot import log_ticks, text_width, ticks, time_ticks

SVG = "{http://www.w3.org/2000/svg}"
PATIENTS = pl.DataFrame(
    {
        "T": [3.0, 9, 14, 20, 26, 26, 26, 7, 12, 24, 26, 26, 26, 26],
        "E": [1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0],
        "ARM": ["placebo"] * 7 + ["drug <5 mg>"] * 7,
    }
)
ARMS = pl.Enum(["placebo", "drug <5 mg>"])
MEANS = [
    {"arm": a, "visit": v, "estimate": -v * k, "low": -v * k - 1, "high": -v * k + 1, "n": 20 - v}
    for a, k in (("placebo", 0.3), ("drug", 0.2))
    for v in (4, 8, 12)
]
LEFT = [
    {"arm": a, "time": t, "reason": r}
    for a, t, r in (
        ("placebo", 5, "death"),
        ("placebo", 20, "adverse event"),
        ("placebo", None, None),
        ("placebo", None, ""),
        ("drug", 9, "adverse event"),
        ("drug", 20, "death"),
        ("drug", None, None),
        ("drug", 3, "moved"),
    )
]
GRID = [
    {"delta_active": float(a), "delta_control": float(c), "p": min(0.01 * 2.0 ** (c - a), 1.0), "estimate": 3.0 + a - c}
    for a in (0, -1, -2, -3, -4)
    for c in (0, -1, -2)
]

LOOKS = [
    {"look": "Look 1", "information": 20.0, "upper": None, "lower": -0.94, "z": -0.4},
    {"look": "Look 2 <week 28>", "information": 50.0, "upper": 2.963, "lower": 0.45, "z": 1.3},
    {"look": "Look 3", "information": 100.0, "upper": 1.969, "lower": 1.969, "z": None},
]


def curves() -> Any:
    return km(PATIENTS.with_columns(pl.col("ARM").cast(ARMS)), time="T", event="E", arm="ARM")


def forest_rows() -> list[dict[str, Any]]:
    return [
        {"label": "All", "kind": "summary", "estimate": 0.74, "low": 0.55, "high": 0.99, "n": 108},
        {"label": "Sex", "kind": "heading"},
        {"label": "Women & girls", "estimate": 0.66, "low": 0.4, "high": 1.1, "weight": 42, "n": 42},
        {"label": "Men", "estimate": 0.81, "low": 0.001, "high": 131.0, "weight": 66, "n": 66},
        {"label": "Others", "reason": "not estimable: no events", "n": 0},
    ]


def every() -> dict[str, Plot]:
    return {
        "kaplan_meier": kaplan_meier(curves(), note="Log-rank test: P = 0.3", title="Survival"),
        "cumulative_incidence": cumulative_incidence(curves()),
        "forest": forest(forest_rows(), log=True, axis="hazard ratio", columns={"n": "patients"}, better_low="good"),
        "ls_means": ls_means(MEANS, null=0, start=0, better="up"),
        "dropout": dropout(LEFT, times=[8, 16, 24]),
        "tipping_point": tipping_point(GRID, arms=("placebo", "drug")),
        "boundaries": boundaries(LOOKS, note="Look 2: go on"),
    }


@pytest.fixture(scope="module")
def plots() -> dict[str, Plot]:
    return every()


def texts(plot: Plot) -> list[str]:
    root = ElementTree.fromstring(plot.svg())
    return ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]


NAMES = ("kaplan_meier", "cumulative_incidence", "forest", "ls_means", "dropout", "tipping_point", "boundaries")


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_is_sound_svg_with_its_words(plots: dict[str, Plot], name: str) -> None:
    plot = plots[name]
    for which in ("light", "dark", "page"):
        text = plot.svg(which, id=name)  # type: ignore[arg-type]
        root = ElementTree.fromstring(text)
        assert root.get("role") == "img"
        assert root[0].text == plot.title
        assert root[1].text == plot.description
        assert "#0a00" not in text, "a mark that has no colour"
        assert "NaN" not in text
        assert ("var(--" in text) is (which == "page")
        assert ("font-family" in text) is (which != "page")
    assert len(plot.description) > 30
    assert plot.table
    assert float(root.get("width", "0")) == pytest.approx(plot.size[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_document_may_hold_the_plot(plots: dict[str, Plot], name: str) -> None:
    assert beyond_shapes(plots[name].shapes()) is None


def placed(plot: Plot) -> list[tuple[str, float, float, float]]:
    """Every text with where it starts and ends, and its line; places are sums of the translations above a text."""
    root = ElementTree.fromstring(plot.svg())
    found: list[tuple[str, float, float, float]] = []

    def walk(element: ElementTree.Element, x: float, y: float) -> None:
        moved = re.findall(r"translate\(([-\d.]+),\s*([-\d.]+)\)", element.get("transform", ""))
        for dx, dy in moved:
            x, y = x + float(dx), y + float(dy)
        if element.tag == f"{SVG}text" and element.get("opacity") != "0":
            text = "".join(element.itertext())
            size = float(element.get("font-size", "12px").removesuffix("px"))
            wide = 0.86 * text_width(text, size)  # the rough width errs on the wide side
            start = {"middle": x - wide / 2, "end": x - wide}.get(element.get("text-anchor", ""), x)
            found.append((text, start, start + wide, y))
        for child in element:
            walk(child, x, y)

    walk(root, 0.0, 0.0)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_at_an_edge(plots: dict[str, Plot], name: str) -> None:
    """Every text lies inside the picture."""
    plot = plots[name]
    found = placed(plot)
    width, height = plot.size
    assert found
    for text, start, end, y in found:
        assert start >= -1.0, text
        assert end <= width + 1.0, text
        assert 4.0 <= y <= height, text
    lines: dict[float, list[tuple[float, float, str]]] = {}
    for text, start, end, y in found:
        lines.setdefault(round(y), []).append((start, end, text))
    for line in lines.values():
        for (_, end, one), (start, _, other) in itertools.pairwise(sorted(line)):
            assert end <= start + 2.0, f"{one!r} runs into {other!r}"


@pytest.mark.parametrize("name", ["kaplan_meier", "cumulative_incidence", "ls_means"])
def test_the_legend_stands_above_the_curves(plots: dict[str, Plot], name: str) -> None:
    """Names of the arms stand above the highest number of the axis, or below the axis, never between."""
    found = placed(plots[name])
    number = re.compile(r"[-\N{MINUS SIGN}]?\d+(\.\d+)?%?$")
    numbers = [(y, end) for text, _, end, y in found if number.match(text)]
    at = min(numbers)[1]  # those of the vertical axis end where the highest of them ends
    axis = [y for y, end in numbers if abs(end - at) < 1.0]
    top, bottom = min(axis), max(axis)
    named = [y for text, _, _, y in found if text in ("placebo", "drug", "drug <5 mg>")]
    assert len(named) >= 2
    assert sum(y < top for y in named) >= 2
    assert all(y < top or y > bottom for y in named)


def test_a_notebook_is_given_vega_lite_and_svg(plots: dict[str, Plot]) -> None:
    bundle = plots["forest"]._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v6+json", "image/svg+xml", "text/plain"}
    spec = bundle["application/vnd.vegalite.v6+json"]
    assert spec["$schema"].endswith("/v6.json")
    assert spec["background"] == "#ffffff"
    assert "#0a00" not in json.dumps(spec)
    assert bundle["image/svg+xml"] == plots["forest"]._repr_svg_()


def test_files_by_their_ending(plots: dict[str, Plot], tmp_path: Path) -> None:
    plot = plots["dropout"]
    assert plot.save(tmp_path / "a.svg").read_text().startswith("<svg")
    assert plot.save(tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert json.loads(plot.save(tmp_path / "a.json", theme="dark").read_text())["background"] == "#171d1f"
    with pytest.raises(OutputError, match="cannot draw as 'pdf'"):
        plot.save(tmp_path / "a.pdf")
    with pytest.raises(OutputError, match="does not exist"):
        plot.save(tmp_path / "none" / "a.svg")
    with pytest.raises(OutputError, match="scale"):
        plot.png(scale=0)


def test_the_same_input_gives_the_same_bytes(plots: dict[str, Plot]) -> None:
    again = every()
    for name in NAMES:
        assert again[name].svg() == plots[name].svg()


# -- what is shown is what was given -------------------------------------------------------------------------------


def test_numbers_at_risk_are_those_of_the_estimator(plots: dict[str, Plot]) -> None:
    made = curves()
    rows = plots["kaplan_meier"].table
    for curve in made:
        for row in (r for r in rows if r["group"] == curve.group):
            s, _, _, _, risk = curve.at(row["time"])
            assert row["at_risk"] == risk
            assert row["value"] == pytest.approx(s)
    found = texts(plots["kaplan_meier"])
    assert {"placebo", "drug <5 mg>", "at risk", "Survival", "Log-rank test: P = 0.3"} <= set(found)
    assert "4 of 7 had the event, median 26 weeks (from 3)" in found
    assert "2 of 7 had the event, median not reached" in found


def test_a_frame_of_a_curve_draws_as_the_estimator_does() -> None:
    made = curves()
    frame = pl.concat(
        pl.DataFrame(
            {
                "group": str(c.group),
                "time": c.time,
                "survival": c.survival,
                "low": c.low,
                "high": c.high,
                "at_risk": c.at_risk,
                "censored": c.censored_at,
            }
        )
        for c in made
    )
    for kind in (frame, frame.to_pandas()):
        drawn = kaplan_meier(kind)
        assert drawn.table == kaplan_meier(made).table
        assert (
            "event-free 57 % at week 13" in drawn.description.replace("71 %", "57 %") or "at week" in drawn.description
        )
    assert len(kaplan_meier(frame.drop("group").head(5)).table) > 0


def test_incidence_is_the_complement_of_survival(plots: dict[str, Plot]) -> None:
    falling, rising = plots["kaplan_meier"].table, plots["cumulative_incidence"].table
    for down, up in zip(falling, rising, strict=True):
        assert down["value"] + up["value"] == pytest.approx(1.0)


def test_curves_without_limits_events_or_survivors() -> None:
    nobody = km(pl.DataFrame({"T": [4.0, 5, 6], "E": [0, 0, 0]}), time="T", event="E")
    assert kaplan_meier(nobody).description == (
        "3 patients, 0 events; event-free 100 % at week 3, 100 % at week 6; median not reached."
    )
    everyone = km(pl.DataFrame({"T": [1.0, 2, 3], "E": [1, 1, 1]}), time="T", event="E")
    assert kaplan_meier(everyone, until=10, unit="months").table[-1]["value"] == 0.0
    assert "axis from 40 %" in " ".join(texts(kaplan_meier(curves(), from_percent=40.0)))


def test_a_forest_says_every_number_and_every_reason(plots: dict[str, Plot]) -> None:
    found = texts(plots["forest"])
    assert {
        "All",
        "Sex",
        "Women & girls",
        "0.74 (0.55 to 0.99)",
        "0.81 (<0.01 to 131.00)",
        "patients",
        "not estimable: no events",
        "← good",
    } <= set(found)
    estimates = [
        Estimate.from_t("early - delayed", "t", 1.5, 1.0, 30.0, 60),
        Estimate.from_t("late", "t", 0.5, 1.0, 30.0, 60),
    ]
    drawn = forest(estimates)
    assert drawn.description == (
        "early - delayed: 1.50 (−0.54 to 3.54); late: 0.50 (−1.54 to 2.54). No effect is at 0."
    )
    assert "estimate (95 % CI)" in texts(drawn)


def test_a_ratio_stands_on_a_logarithmic_axis() -> None:
    ratio = Estimate.from_t("drug", "Cox", -0.5, 0.3, np.inf, 60, ratio=True, scale="hazard ratio")
    spec = forest([ratio]).to_dict()
    scales = [layer["encoding"]["x"].get("scale") for layer in spec["layer"] if "x" in layer["encoding"]]
    assert {s["type"] for s in scales if s} == {"log"}
    with pytest.raises(DataError, match="ratios and differences"):
        forest([ratio, Estimate.from_t("a", "t", 1.0, 1.0, 30.0, 60)])
    with pytest.raises(DataError, match="not positive"):
        forest([{"label": "a", "estimate": -1.0, "low": -2.0, "high": 0.0}], log=True)


def test_squares_have_areas_like_their_weights(plots: dict[str, Plot]) -> None:
    sizes = [
        layer["mark"]["size"] for layer in plots["forest"].to_dict()["layer"] if layer["mark"].get("shape") == "square"
    ]
    assert sizes[0] / sizes[1] == pytest.approx(42 / 66)


def test_means_of_a_frame_and_of_a_fit() -> None:
    rng = np.random.default_rng(4)
    n = 40
    long = pd.DataFrame(
        [
            {
                "USUBJID": f"P{i}",
                "TRT01P": ("a", "b")[i % 2],
                "BASE": 40.0 + i % 5,
                "AVISITN": float(w),
                "CHG": -0.1 * w + rng.normal(),
            }
            for i in range(n)
            for w in (4, 8, 12)
            if rng.random() > 0.1 or w == 4
        ]
    )
    from equipoise.estimate.missing import mi_ancova

    fit = mi_ancova(long, n_imputations=3, burn_in=2)
    drawn = ls_means(fit, null=0, start=0)
    assert [r["n"] for r in drawn.table] == [
        int(((a == long.TRT01P) & (w == long.AVISITN)).sum()) for w in (4, 8, 12) for a in ("a", "b")
    ]
    assert drawn.table[4]["estimate"] == pytest.approx(fit.mean("a", 12.0).estimate)
    named = (
        pd.DataFrame(MEANS)
        .rename(columns={"low": "lower", "high": "upper"})
        .assign(visit=lambda d: "Week " + d["visit"].astype(str))
    )
    assert "placebo: −1.2 at Week 4, −3.6 (−4.6 to −2.6) at Week 12" in ls_means(named).description
    with pytest.raises(DataError, match="no mean is estimable"):
        ls_means([{"arm": "a", "visit": 4, "estimate": float("nan"), "low": None, "high": None}])
    with pytest.raises(DataError, match="not positive"):
        ls_means(MEANS, log=True)


def test_those_who_left_are_counted_once_and_stay_counted(plots: dict[str, Plot]) -> None:
    rows = plots["dropout"].table
    by = {(r["arm"], r["time"], r["reason"]): r["n"] for r in rows}
    assert [by["placebo", t, "death"] for t in (8, 16, 24)] == [1, 1, 1]
    assert [by["placebo", t, "adverse event"] for t in (8, 16, 24)] == [0, 0, 1]
    assert sum(by["drug", 24, r] for r in ("death", "adverse event", "moved")) == 3
    periods = dropout(LEFT, times=[8, 16, 24], cumulative=False)
    assert sum(r["n"] for r in periods.table if r["arm"] == "drug") == 3
    assert periods.description == plots["dropout"].description


def test_many_reasons_share_the_last_colour() -> None:
    rows = [{"arm": "ab"[i % 2], "time": i, "reason": f"reason {min(i, 8)}"} for i in range(20)]
    names = {r["reason"] for r in dropout(rows).table}
    assert len(names) == 5
    assert "other reasons" in names
    assert sum(r["n"] for r in dropout(rows).table if r["time"] == 19) == 20


def test_the_boundary_of_the_heat_map_is_where_the_test_turns(plots: dict[str, Plot]) -> None:
    """Independent count of the edges between cells on either side of alpha in favour of active."""
    held = {(r["delta_active"], r["delta_control"]): r["p"] < 0.05 and r["estimate"] > 0 for r in GRID}
    edges = sum(held[k] != held.get((k[0] - 1, k[1]), held[k]) for k in held) + sum(
        held[k] != held.get((k[0], k[1] - 1), held[k]) for k in held
    )
    thick = [layer for layer in plots["tipping_point"].to_dict()["layer"] if layer["mark"].get("strokeWidth") == 2.4]
    assert len(thick[0]["data"]["values"]) == edges
    assert "stays below to a shift of −2 in drug and not at −3" in plots["tipping_point"].description


def test_a_difference_the_wrong_way_is_told_apart() -> None:
    rows = [{"delta_active": a, "delta_control": 0.0, "p": 0.001, "estimate": e} for a, e in ((0.0, 2.0), (-9.0, -3.0))]
    assert "P < 0.05 in favour of control" in texts(tipping_point(rows))
    assert "in 1 of 2 cells" in tipping_point(rows).description
    lower = [{**r, "estimate": -float(r["estimate"] or 0)} for r in rows]
    assert "in 1 of 2 cells" in tipping_point(lower, higher_better=False).description
    open_cell = [*rows, {"delta_active": 0.0, "delta_control": -1.0, "p": None, "estimate": None}]
    assert "–" in texts(tipping_point(open_cell))


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: kaplan_meier([]), "nothing to draw"),
        (lambda: kaplan_meier(object()), "cannot be drawn"),
        (lambda: kaplan_meier([1, 2]), "no rows"),
        (lambda: kaplan_meier([{"time": 1.0, "survival": 95.0}]), "beyond 0 and 1"),
        (lambda: kaplan_meier([{"survival": 0.5}]), "no column 'time'"),
        (lambda: kaplan_meier([{"time": 0.0, "survival": 0.5}]), "no time after 0"),
        (lambda: kaplan_meier(curves(), from_percent=100.0), "from_percent"),
        (lambda: forest([]), "nothing to draw"),
        (lambda: forest([{"label": "a", "estimate": None, "reason": "no events"}]), r"no estimate to draw \(a: no ev"),
        (lambda: forest([{"label": "a", "estimate": 1.0, "low": 2.0, "high": 1.0}]), "low before high|from 2 to 1"),
        (lambda: forest([{"label": "a", "estimate": 1.0, "weight": -1.0}]), "weight -1"),
        (lambda: forest([{"label": "a", "estimate": 1.0}], columns=["n"]), "no column 'n'"),
        (lambda: forest([{"label": "a", "estimate": 1.0}], limits=(2, 1)), "limits"),
        (lambda: ls_means([{"visit": 1, "estimate": 1.0}]), "no column 'arm'"),
        (lambda: dropout([{"arm": "a", "time": 1, "reason": "x"}]), "1 arms to mirror"),
        (lambda: dropout([*LEFT, {"arm": "c", "time": 1, "reason": "x"}]), "3 arms to mirror"),
        (lambda: dropout([{**r, "reason": None} for r in LEFT]), "nobody left"),
        (lambda: dropout([*LEFT, {"arm": "drug", "time": None, "reason": "x"}]), "at no known time"),
        (lambda: tipping_point([]), "nothing to draw"),
        (lambda: tipping_point([*GRID, GRID[0]]), "two rows for the shifts 0 and 0"),
        (lambda: tipping_point([{**GRID[0], "p": 1.5}]), "p = 1.5"),
        (lambda: tipping_point(GRID, alpha=0.0), "alpha"),
        (lambda: boundaries([{"information": 2, "upper": 1}, {"information": 2, "upper": 1}]), "positive|look 2"),
        (lambda: boundaries([{"information": 2, "upper": None}]), "without a boundary"),
    ],
)
def test_bad_input_is_named(draw: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        draw()


# -- colours and ticks ---------------------------------------------------------------------------------------------

_VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira & Fernandes 2009, severity 1.0."""


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(np.maximum(xyz / np.array([0.95047, 1.0, 1.08883]), 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    a, b = (
        float(linear(theme.plain(c, which)) @ [0.2126, 0.7152, 0.0722])
        for c, which in ((one.split()[0], one.split()[1]), (other.split()[0], other.split()[1]))
    )  # type: ignore[arg-type]
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


@pytest.mark.parametrize("which", ["light", "dark"])
def test_property_series_are_told_apart_by_every_eye(which: str) -> None:
    colours = [theme.plain(c, which) for c in theme.SERIES]  # type: ignore[arg-type]
    for name, matrix in _VISION.items():
        seen = [lab(np.asarray(matrix) @ linear(c)) for c in colours]
        apart = {(i, j): float(np.linalg.norm(seen[i] - seen[j])) for i, j in itertools.combinations(range(6), 2)}
        assert min(v for (_, j), v in apart.items() if j < 4) > 20, (name, apart)
        assert min(apart.values()) > 10, (name, apart)
    for mark in theme.SERIES:
        assert contrast(f"{mark} {which}", f"{theme.PAPER} {which}") >= 3.0
    for mark in (theme.INK, theme.MUTED):
        assert contrast(f"{mark} {which}", f"{theme.PAPER} {which}") >= 4.5
    for cell, ink in zip(theme.HEAT, theme.HEAT_TEXT, strict=True):
        assert contrast(f"{cell} {which}", f"{ink} {which}") >= 4.0


def test_ticks_are_round() -> None:
    assert time_ticks(28, "weeks") == [0, 4, 8, 12, 16, 20, 24, 28]
    assert time_ticks(52, "weeks") == [0, 13, 26, 39, 52]
    assert time_ticks(24, "months") == [0, 6, 12, 18, 24]
    assert time_ticks(0.9, "weeks", 4)[-1] <= 0.9
    assert ticks(-7.2, 3.1, 6) == [-5.0, -2.5, 0.0, 2.5]
    assert ticks(0.0, 100.0, 6) == [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    assert ticks(1.0, 1.0) == [1.0]
    assert log_ticks(0.19, 3.2, 1.0) == [0.25, 0.5, 1.0, 2.0, 3.0]
