"""The section on the next trial says what the stored study found, and is on the page of its scenario's trial alone."""

from __future__ import annotations

import re

import equipoise
from equipoise.design import stored
from equipoise.document.charts import Curves
from equipoise.document.document import Figure, walk


def section(name: str) -> str:
    page = equipoise.render(equipoise.appraise(name), "md")
    start = page.find("## How should the next trial be designed?")
    return "" if start < 0 else re.sub(r"\]\([^)]*\)", "]", page[start : page.find("\n## ", start + 5)])


def test_property_the_section_is_on_the_page_of_its_trial_alone() -> None:
    assert "gain more than twice the patients" in section("valor")
    assert not section("riluzole1994")


def test_independent_the_answer_is_that_of_the_stored_study() -> None:
    levels = {"patients": 108, "enrichment": "all", "primary": "ancova"}
    shares = [100 * stored.cell("next-als", "lag13", weeks=w, **levels)["success"] for w in (28, 52, 76)]
    text = section("valor").replace("[", "").replace("]", "").replace("\N{NARROW NO-BREAK SPACE}", " ")
    lead = re.sub(r"k-\d+", "", text.split("\n\n")[1])
    assert [f"{s:.0f} %" for s in shares] == re.findall(r"\d+ %", lead)[:3]
    for world in ("none", "harm"):
        worst = max(c["success"] for c in stored.cells("next-als", world))
        assert f"in no more than {100 * worst:.1f} %" in text or f"in more than {100 * worst:.1f} %" in text
    assert "explored, not proven" in text
    assert "overstate" in text


def test_independent_weeks_are_said_to_beat_people_only_from_the_lag_where_they_do() -> None:
    """Twice the patients at 28 weeks against the same at 52, lag by lag, with 1.96 errors of two binomial shares."""

    def share(world: str, weeks: int, patients: int) -> tuple[float, int]:
        levels = {"enrichment": "all", "primary": "ancova", "weeks": weeks, "patients": patients}
        return stored.cell("next-als", world, **levels)["success"], stored.stored("next-als")["replicates"]

    weeks_win = {}
    for lag in (0, 4, 8, 13, 26):
        (p, n), (q, m) = share(f"lag{lag}", 52, 108), share(f"lag{lag}", 28, 216)
        weeks_win[lag] = p - q > 1.96 * (p * (1 - p) / n + q * (1 - q) / m) ** 0.5
    first = min(lag for lag, wins in weeks_win.items() if wins)
    assert first > 0, "without a lag people gain more, and the page must not say otherwise"
    assert all(wins == (lag >= first) for lag, wins in weeks_win.items())
    assert f"only after {first} weeks or more" in section("valor").replace("\N{NO-BREAK SPACE}", " ")


def test_property_the_drawing_shows_every_truth_and_claims_nothing_published() -> None:
    page = equipoise.appraise("valor")
    (figure,) = [n for n in walk(page) if isinstance(n, Figure) and n.id == "fig-next-weeks"]
    assert isinstance(figure.chart, Curves)
    assert {p.title for p in figure.chart.panels} == set(stored.stored("next-als")["worlds"].values())
    assert {s.kind for p in figure.chart.panels for s in p.series} == {"simulated"}
    assert {p.span for p in figure.chart.panels} == {(0.0, 100.0)}  # truths are read against each other
    html = equipoise.render(page, "html")
    assert "216 patients, published" not in html
    assert "216 patients, simulated" in html


def test_property_readers_ask_whether_the_trial_was_too_short() -> None:
    page = equipoise.render(equipoise.appraise("valor"), "md")
    assert "Was the trial too short to show what the drug does?" in page
    assert "Was the trial too short" not in equipoise.render(equipoise.appraise("centaur"), "md")
