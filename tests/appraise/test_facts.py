"""What the pages say of the published trials: each test holds a fact, not a wording, against its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

import pytest

from equipoise.appraise import appraise, risk
from equipoise.document.document import (
    Bar,
    Cited,
    Code,
    Computed,
    Document,
    Emphasis,
    Inlines,
    Link,
    Name,
    Strong,
    Text,
    plain,
    walk,
)
from equipoise.records import Record
from equipoise.render import to_html

INLINE = (Text, Name, Cited, Computed, Code, Strong, Emphasis, Link, Bar)


def texts(page: Document, *sections: str) -> list[str]:
    """Every sentence run of these sections (all of them, if none is named)."""
    return [plain(runs) for s in page.sections if not sections or s.id in sections for runs in runs_of(s)]


def runs_of(node: Any) -> Iterator[Inlines]:
    """Every run of words below a node, each paragraph, item, cell or answer by itself."""
    if isinstance(node, tuple):
        if node and all(isinstance(part, INLINE) for part in node):
            yield node
        else:
            for child in node:
                yield from runs_of(child)
    elif is_dataclass(node) and not isinstance(node, type):
        for f in fields(node):
            yield from runs_of(getattr(node, f.name))


def item(record: Record, id: str) -> dict[str, float]:
    found = next(i for i in record.items if i.id == id)
    return {key: float(v.value) for key, v in found.values.items() if v.value is not None}


# -- 1 and 2: what VALOR was planned for --------------------------------------------------------------------------


def test_independent_the_planned_spread_is_one_of_slopes(valor: Record) -> None:
    """FDA review p.244 and p.56: only as points a month does 3.166 give a power near the 84 % that is stated."""
    plan = item(valor, "sample_size")
    over_weeks = risk.power_of_means(plan["decline_placebo"] - plan["decline_tofersen"], plan["sd"], 40, 20)
    monthly = risk.power_of_means(plan["slope_placebo"] - plan["slope_tofersen"], plan["sd"], 40, 20)
    assert over_weeks > 0.999999
    assert 0.8 < monthly < 0.97
    sd = next(i for i in valor.items if i.id == "sample_size").values["sd"]
    assert sd.unit == "points/month"
    months = 28 * 7 / 30.4375
    assert item(valor, "implied_sd")["placebo"] < plan["sd"] * months / 2


def test_placebo_lost_a_third_of_what_was_planned_and_varied_no_more(page: Document, valor: Record) -> None:
    seen = abs(float(valor.result("alsfrs_f_w28").arms["placebo"].value or 0))
    assert seen / item(valor, "sample_size")["decline_placebo"] == pytest.approx(0.33, abs=0.01)
    said = " ".join(texts(page, "limitations"))
    assert "33" in said
    assert not re.search(r"varied (far )?more than", said)


def test_independent_the_published_error_needs_nothing_like_twelve_thousand(page: Document, valor: Record) -> None:
    """60 people gave a standard error of 2.22; 80 % power at 1.1 points needs 60 x ((1.96 + 0.84) 2.22 / 1.1)^2."""
    needed = risk.people_needed(1.1, 2.22, 60)
    assert needed == pytest.approx(60 * ((1.959964 + 0.841621) * 2.22 / 1.1) ** 2, rel=1e-5)
    assert 1800 < needed < 2000
    with_sum = [t for t in texts(page) if "12,000" in t]
    assert with_sum
    assert all("1,918" in t or "far fewer" in t for t in with_sum), "the FDA's sum never stands alone"


# -- 17: findings are linked, words that are numbers are not, and all are traced -----------------------------------


def test_property_every_figure_is_traced_and_few_are_links(full_page: Document) -> None:
    html = to_html(full_page)
    ids = set(re.findall(r'\bid="([^"]+)"', html))
    linked = re.findall(r'<a class="[nk]" href="#([^"]+)"', html)
    quiet = re.findall(r'<span data-to="([^"]+)"', html)
    assert set(linked) | set(quiet) <= ids, "whatever is traced leads somewhere on the page"
    whole = [
        n for n in walk((full_page.title, full_page.subtitle, full_page.sections)) if isinstance(n, Cited | Computed)
    ]
    assert len(linked) + len(quiet) >= len(whole), "no figure lost its trace"
    assert len(linked) < len(whole) / 2
    assert set(quiet) <= set(linked), "a figure without a link has one to the same place elsewhere"


def test_words_that_are_numbers_are_no_links(valor: Record) -> None:
    """The weeks of a trial, its phase and the level of an interval: traced, not linked, when a text holds them."""
    page = appraise(valor)
    statement = next(s for s in valor.statements if s.id == "st_key_52")
    assert "28 weeks" in statement.text
    for id in ("findings", "limitations", "bottom-line"):
        for runs in runs_of(page.section(id)):
            for run, after in pairwise(runs):
                if isinstance(run, Cited) and re.fullmatch(r"\d{1,2}|three|[Tt]wenty-eight", run.text):
                    assert run.quiet or not re.match(r" (?:weeks|months)\b", plain((after,))), plain(runs)
    phase = plain(page.section("design").blocks[0].items[0][1])  # type: ignore[union-attr]
    assert "1/2/3" in phase
    assert not any(
        isinstance(n, Cited) and n.text == "1/2/3" and not n.quiet for n in walk(page.section("design").blocks[0])
    )


def test_a_finding_in_a_text_stays_a_link(valor: Record) -> None:
    page = appraise(valor)
    found = [n for n in walk(page.section("findings")) if isinstance(n, Cited) and n.text == "0.60"]
    assert found
    assert not any(n.quiet for n in found)
