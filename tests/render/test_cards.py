"""Questions as cards: the deck that Anki imports, plain data, a quiz in Markdown, and the switch on the page."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt
from reading import Page

from equipoise.appraise import appraise, question_set
from equipoise.document.document import Cited, Computed, Document, Question, plain, walk
from equipoise.document.readers import LEVELS, READERS, SPECIALTIES, STAGES, Reader
from equipoise.records import Record
from equipoise.render import to_anki, to_data, to_html, to_markdown
from equipoise.render.page.html import about, facets, place

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>\"' \t| # *"


@pytest.fixture(scope="module")
def asked(valor: Record) -> Document:
    return question_set(valor)


@pytest.fixture(scope="module")
def evil(valor: Record) -> Document:
    """A record whose names and sources are hostile."""
    data = valor.model_dump(mode="json", exclude_defaults=True)
    data["condition"] = data["title"] = EVIL
    for arm in data["arms"]:
        arm["label"] = arm["drug"] = f"{arm['label']} {EVIL}"
    for source in data["sources"].values():
        source["title"] = EVIL
    for event in data["adverse_events"]:
        event["term"] = f"{event['term']}\t{EVIL}"
    return question_set(Record.model_validate(data))


def deck(text: str) -> tuple[dict[str, str], list[list[str]]]:
    """Header and rows, read as Anki reads them: leading lines with # are the header, then quoted fields."""
    lines = text.split("\n")
    head = [line for line in lines if line.startswith("#")]
    assert lines[: len(head)] == head, "the header comes first"
    keys = dict(line[1:].split(":", 1) for line in head)
    body = "\n".join(lines[len(head) :])
    assert keys["separator"] == "tab"
    return keys, list(csv.reader(io.StringIO(body), delimiter="\t", strict=True))


class Tags(HTMLParser):
    """Tags and attributes of a fragment; text outside of tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "hr":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


# -- Anki ----------------------------------------------------------------------------------------------------------


def test_the_deck_parses_and_holds_every_question_once(asked: Document) -> None:
    keys, rows = deck(to_anki(asked))
    assert keys == {
        "separator": "tab",
        "html": "true",
        "deck": "Equipoise::valor",
        "notetype": "Basic",
        "columns": "guid\tFront\tBack\ttags",
        "guid column": "1",
        "tags column": "4",
    }
    found = [n for n in walk(asked.sections) if isinstance(n, Question)]
    assert len(rows) == len(found)
    assert len({row[0] for row in rows}) == len(rows)
    for row, q in zip(rows, found, strict=True):
        assert len(row) == 4
        guid, front, back, tags = row
        assert guid == f"equipoise-valor-{q.id}"
        assert plain(q.question).split("\N{NARROW NO-BREAK SPACE}")[0] in Tags(front).text
        assert Tags(back).text.strip()
        assert not Tags(front).open + Tags(back).open
        assert set(tags.split(" ")) == {"equipoise", "valor", *q.roles, *q.specialties, q.stage, q.level}
        assert "\n" not in back
        assert "\t" not in back


def test_every_number_on_a_card_has_its_source_on_the_card(asked: Document) -> None:
    _, rows = deck(to_anki(asked))
    found = [n for n in walk(asked.sections) if isinstance(n, Question)]
    for row, q in zip(rows, found, strict=True):
        numbers = [n for n in walk(q.answer) if isinstance(n, Cited | Computed)]
        marks = re.findall(r"<sup>(\d+)</sup>", row[2])
        assert len(marks) == len(numbers)
        listed = re.search(r"<hr><small><ol>(.*)</ol></small>$", row[2])
        assert bool(listed) == bool(numbers)
        if listed:
            assert {int(m) for m in marks} == set(range(1, listed.group(1).count("<li>") + 1))


def test_a_deck_made_again_has_the_same_ids(asked: Document, valor: Record) -> None:
    again = question_set(valor, reader=Reader(role="fellow"))
    ids = {row[0] for row in deck(to_anki(asked))[1]}
    assert {row[0] for row in deck(to_anki(again))[1]} <= ids


TAGS = frozenset(("p", "ul", "ol", "li", "b", "i", "sup", "small", "hr", "code", "table", "caption", "tr", "th", "td"))
"""What an answer may be made of."""


def test_hostile_words_on_a_card_stay_words(evil: Document) -> None:
    text = to_anki(evil)
    keys, rows = deck(text)
    assert "<" not in keys["deck"]
    assert any("<script>" in Tags(row[2]).text for row in rows)
    for row in rows:
        assert len(row) == 4
        for side in row[1:3]:
            for tag, attrs in Tags(side).tags:
                assert tag in TAGS
                assert not attrs


# -- plain data and Markdown ---------------------------------------------------------------------------------------


def test_data_says_for_every_number_where_it_is_from(asked: Document) -> None:
    data: dict[str, Any] = json.loads(to_data(asked))
    assert data["record"] == "valor"
    found = [n for n in walk(asked.sections) if isinstance(n, Question)]
    assert [q["id"] for q in data["questions"]] == [q.id.removeprefix("q-") for q in found]
    numbers = [n for q in data["questions"] for n in q["numbers"]]
    assert {n["kind"] for n in numbers} == {"cited", "computed"}
    for q in data["questions"]:
        assert set(q["roles"]) <= set(READERS)
        assert set(q["specialties"]) <= set(SPECIALTIES)
        assert q["stage"] in STAGES
        assert q["level"] in LEVELS
        text = " ".join(q["answer"])
        for n in q["numbers"]:
            assert n["text"] in text
            if n["kind"] == "cited":
                assert all(s["title"] and s["confidence"] != "recall" for s in n["sources"])
            else:
                assert n["command"]


def test_hostile_words_in_data_and_markdown_stay_words(evil: Document) -> None:
    assert EVIL in json.loads(to_data(evil))["title"]
    for text in (to_markdown(evil), to_markdown(evil, answers_last=True)):
        page = Page(MarkdownIt("commonmark", {"html": True}).render(text))
        for element in page.elements:
            assert element.tag not in ("script", "img", "iframe", "style"), element.tag
            assert not [name for name in element.attrs if name.startswith("on")]


def test_the_quiz_asks_first_and_answers_after(asked: Document) -> None:
    text = to_markdown(asked, answers_last=True)
    questions, answers = text.split("## Answers")
    found = [n for n in walk(asked.sections) if isinstance(n, Question)]
    page = Page(MarkdownIt("commonmark", {"html": False}).render(questions))
    assert len(page.all("li")) == len(found)
    assert "P = 0.97" not in questions.replace("\N{NO-BREAK SPACE}", " ")
    assert "P = 0.97" in answers.replace("\N{NO-BREAK SPACE}", " ")
    assert answers.count("\n### ") == len(found)
    assert "## Sources" in answers


# -- the switch on the page ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read(page: Document) -> Page:
    return Page(to_html(page))


def test_every_question_carries_what_the_switch_needs(read: Page, page: Document) -> None:
    found = {n.id: n for n in walk(page.sections) if isinstance(n, Question)}
    shown = read.all("details", class_="qa")
    assert {d.attrs["id"] for d in shown} == set(found)
    for d in shown:
        q = found[d.attrs["id"]]
        assert d.attrs["data-roles"].split() == list(q.roles)
        assert d.attrs["data-specialties"].split() == list(q.specialties)
        assert (d.attrs["data-stage"], d.attrs["data-level"]) == (q.stage, q.level)
        assert int(d.attrs["data-rank"]) == place(q)
        assert "open" not in d.attrs
        assert "hidden" not in d.attrs
        assert d.children[0].tag == "summary"
        assert about(q) in d.children[0].text
        assert LEVELS[q.level or ""] in d.children[0].text
        section = next(p for p in reversed(d.parents) if p.tag == "section")
        assert section.attrs["data-reader"] == q.roles[0]


def test_the_bar_offers_every_reader_specialty_stage_and_level(read: Page) -> None:
    (bar,) = read.all("div", class_="controls")
    assert "hidden" in bar.attrs, "without a script there is nothing to press"
    group = next(e for e in bar.children if e.attrs.get("role") == "group")
    assert group.attrs["aria-label"]
    buttons = [(b.attrs["data-role"], b.attrs["aria-pressed"]) for b in group.children]
    assert buttons == [*((role, "false") for role in READERS), ("", "true")]
    assert all(b.attrs["type"] == "button" for b in group.children)
    for select in read.all("select"):
        assert select.parents[-1].tag == "label", "a select has a label around it"
    options = {s.attrs["data-facet"]: [o.attrs["value"] for o in s.children] for s in read.all("select")}
    assert options == {"specialty": ["", *SPECIALTIES], "stage": ["", *STAGES], "level": ["", *LEVELS]}
    (count,) = read.all("p", class_="count")
    assert count.attrs["role"] == "status"
    assert count.attrs["aria-live"] == "polite"


def test_the_script_knows_the_attributes_of_the_page(read: Page) -> None:
    script = read.all("script")[0].text
    used = set(re.findall(r"data-[a-z]+", script))
    assert {
        "data-roles",
        "data-specialties",
        "data-stage",
        "data-level",
        "data-rank",
        "data-role",
        "data-facet",
        "data-reader",
    } <= used
    present = {name for e in read.elements for name in e.attrs if name.startswith("data-")}
    assert used - present <= {"data-tags", "data-group"}, "the two of the filters of a landscape"
    assert "replaceState" in script
    assert "hashchange" in script
    assert "innerHTML" not in script
    assert "eval(" not in script


def test_a_choice_made_beforehand_leaves_only_what_can_still_be_chosen(valor: Record) -> None:
    one = appraise(valor, role="patient")
    section = one.section("questions")
    assert {key for key, _, _ in facets(section)} == {"specialty", "stage"}
    narrow = question_set(valor, reader=Reader("editor", None, "critical_reading", "advanced"))
    assert {key for key, _, _ in facets(narrow.section("questions"))} == {"specialty"}


def test_the_order_of_a_specialty_stays_on_the_page(valor: Record) -> None:
    page = Page(to_html(question_set(valor, reader=Reader("resident", "genetics"))))
    ranks = [int(d.attrs["data-rank"]) for d in page.all("details", class_="qa")]
    assert ranks == sorted(ranks)
    assert [d.attrs["id"] for d in page.all("details", class_="qa")][:2] == ["q-eligible", "q-testing"]


def test_a_page_with_the_questions_stays_small(page: Document, full_page: Document) -> None:
    assert len(to_html(full_page).encode()) < 2_000_000
    assert len(to_html(page).encode()) < 1_500_000


def test_unknown_keys_of_a_question_do_not_break_the_page(page: Document) -> None:
    q = next(n for n in walk(page.sections) if isinstance(n, Question))
    strange = replace(q, id="q-strange", stage="later", level="none", roles=("nobody",))
    assert about(strange) == ""
    assert place(strange) == q.position
