"""Questions by reader: the bank is sound, answers come from the record, order follows the reader."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from written_numbers import written

from equipoise.appraise import appraise, question_set
from equipoise.appraise.build import draft
from equipoise.appraise.context import Context
from equipoise.appraise.questions import applicable, bank
from equipoise.appraise.questions.asking import Answerer, rank
from equipoise.appraise.questions.bank import BankError, read_entry
from equipoise.appraise.questions.conditions import CONDITIONS
from equipoise.appraise.questions.vocabulary import VOCABULARY
from equipoise.appraise.questions.vocabulary.everyday import everyday
from equipoise.document.document import (
    Cited,
    Code,
    Computed,
    Document,
    Listing,
    Name,
    Paragraph,
    Question,
    Section,
    Table,
    Text,
    bare_number,
    plain,
    walk,
)
from equipoise.document.readers import LEVELS, READERS, SPECIALTIES, STAGES, Reader
from equipoise.errors import RecordError
from equipoise.records import Record, list_records, load_record
from equipoise.replica.replica import Replica

SHIPPED = tuple(info.name for info in list_records())
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "ctgov"
ENTRIES = tuple(sorted(p.name for p in SHARED.glob("NCT*.json"))) if SHARED.is_dir() else ()
EVERY = [*SHIPPED, *ENTRIES]


@cache
def record_of(name: str) -> Record:
    if not name.endswith(".json"):
        return load_record(name)
    from equipoise.records.registry import read_study

    return read_study(str(SHARED / name)).record


@cache
def asked(name: str) -> Document:
    return question_set(record_of(name))


@cache
def valor_context() -> Context:
    return draft(load_record("valor"))


def questions(document: Document) -> list[Question]:
    return [n for n in walk(document.sections) if isinstance(n, Question)]


def words(node: Any) -> str:
    text = "".join(n.text for n in walk(node) if isinstance(n, Text | Name | Cited | Computed | Code))
    return re.sub(r"\s", " ", text)


def answer(document: Document, id: str) -> str:
    return words(next(q for q in questions(document) if q.id == f"q-{id}").answer)


# -- the bank ------------------------------------------------------------------------------------------------------


def test_the_bank_is_large_enough_and_covers_every_reader_specialty_stage_and_level() -> None:
    entries = bank()
    assert len(entries) >= 50
    assert len({e.id for e in entries}) == len(entries)
    assert {e.home for e in entries} == set(READERS)
    assert {s for e in entries for s in e.specialties} == set(SPECIALTIES)
    assert {e.stage for e in entries} == set(STAGES)
    assert {e.level for e in entries} == set(LEVELS)


def test_every_condition_and_phrase_is_used_and_explained() -> None:
    used: set[str] = set()
    phrases: set[str] = set()

    def conditions(node: Any) -> None:
        if isinstance(node, str):
            (phrases if node.startswith("says ") else used).add(node.removeprefix("says "))
        elif isinstance(node, tuple):
            for each in node:
                conditions(each)
        elif hasattr(node, "of"):
            conditions(node.of)

    for entry in bank():
        conditions(entry.when)
        for part in (*entry.ask, *entry.answer, *entry.also):
            conditions(part.when)
            for item in getattr(part, "items", ()):
                conditions(item.when)
            phrases.update(filter(None, (getattr(part, "from_", None), getattr(part, "name", None))))
        for template in entry.templates():
            phrases.update(re.findall(r"\{(\w+)", template))
    assert used == set(CONDITIONS)
    assert phrases == set(VOCABULARY)
    for function in (*CONDITIONS.values(), *(p.make for p in VOCABULARY.values())):
        assert function.__doc__


GOOD = {"id": "q", "roles": ["resident"], "stage": "decision", "level": "basic", "ask": "Why?", "answer": ["{primary}"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roles": ["astronaut"]}, "no role 'astronaut'"),
        ({"roles": []}, "nobody asks"),
        ({"stage": "bedtime"}, "no stage"),
        ({"level": "expert"}, "no level"),
        ({"specialties": ["astrology"]}, "no specialty"),
        ({"when": "moon_is_full"}, "no condition 'moon_is_full'"),
        ({"when": "says nothing_known"}, "no 'nothing_known'"),
        ({"answer": []}, "no answer"),
        ({"answer": ["{unheard_of}"]}, "no 'unheard_of'"),
        ({"answer": ["{primary:loud}"]}, "is not understood"),
        ({"answer": ["It was 0.97."]}, "'0' is a number"),
        ({"answer": ["Twelve patients."]}, "'Twelve' is a number"),
        ({"answer": [{"say": "x", "wen": "randomised"}]}, "unknown keys"),
        ({"asks": "x"}, "unknown keys"),
        ({"id": "Q 1"}, "cannot be an id"),
    ],
)
def test_a_malformed_question_is_refused(change: dict[str, Any], message: str) -> None:
    assert read_entry(GOOD).id == "q"
    with pytest.raises(BankError, match=re.escape(message)):
        read_entry({**GOOD, **change})


def test_no_number_stands_in_the_words_of_the_bank() -> None:
    for entry in bank():
        for template in entry.templates():
            assert bare_number(re.sub(r"\{[^}]*\}", "", template)) is None


# -- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_every_question_whose_condition_holds_is_answered_from_the_record(name: str) -> None:
    document = asked(name)
    answerer = Answerer(draft(record_of(name)))
    shown = {q.id.removeprefix("q-") for q in questions(document)}
    for entry in bank():
        assert (entry.id in shown) == answerer.applies(entry.when), entry.id
    for q in questions(document):
        assert plain(q.question).endswith("?") or "Write its estimand" in plain(q.question) or q.id == "q-people_counts"
        assert q.answer
        text = words(q.answer)
        assert len(text) > 20, q.id
        assert not re.search(r"\{|\}|  +[,.;]|\.\.(?!\.)| [,;]|\bNone\b(?! in )|\bnan\b", text), (q.id, text)


@pytest.mark.parametrize("name", EVERY)
def test_every_reader_has_enough_questions_on_every_record(name: str) -> None:
    asking = Counter(role for q in questions(asked(name)) for role in q.roles)
    assert {role for role in READERS if asking[role] < 5} == set()


@pytest.mark.parametrize("name", EVERY)
def test_every_number_in_an_answer_is_cited_or_computed(name: str) -> None:
    document = asked(name)
    citations = {c.id for c in document.citations}
    computations = {c.id for c in document.computations}
    for node in walk(document.sections):
        if isinstance(node, Text):
            assert bare_number(node.text) is None
        elif isinstance(node, Name):
            assert node.text in document.names
        elif isinstance(node, Cited):
            assert set(node.refs) <= citations
        elif isinstance(node, Computed):
            assert node.computation in computations


@cache
def printed(command: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(command, {})
    return out.getvalue()


def check_commands(document: Document) -> int:
    shown: dict[str, set[str]] = {}
    for node in walk(document.sections):
        if isinstance(node, Computed):
            shown.setdefault(node.computation, set()).add(node.text)
    tried = 0
    for computation in document.computations:
        match = re.fullmatch(r'python -c "(.+)"', computation.command)
        assert match is not None, computation.command
        output = printed(match.group(1))
        numbers = [float(x) for x in re.findall(r"(?:(?<!\d)-)?\d+(?:\.\d+)?(?:e[-+]?\d+)?", output)]
        for text in shown.get(computation.id, ()):
            for figure in re.findall(r"[−+]?\d[\d,]*(?:\.\d+)?", text):
                value = figure.replace("−", "-").replace(",", "")
                digits = len(value.partition(".")[2])
                found = {w for v in numbers for k in (1, 100) for w in written(v * k, digits)}
                assert f"{float(value):.{digits}f}" in found, (computation.command, text, output)
                tried += 1
    return tried


@pytest.mark.parametrize(
    ("name", "least"),
    [("valor", 4), ("centaur", 4), ("edaravone2017", 4), ("riluzole1994", 4), ("mirocals", 3), ("healey_cnmau8", 4)],
)
def test_every_computed_number_in_an_answer_is_what_its_command_prints(name: str, least: int) -> None:
    assert check_commands(asked(name)) >= least


@pytest.mark.skipif(not ENTRIES, reason="the shared registry entries are not here (EQUIPOISE_SHARED)")
@pytest.mark.parametrize("name", ["NCT02623699.json", "NCT06597084.json"])
def test_computed_numbers_of_an_imported_record_are_what_their_commands_print(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user would have it: the file that the import writes lies in the working folder."""
    from equipoise.records.registry import read_study, record_yaml

    found = read_study(str(SHARED / name))
    (tmp_path / f"{found.record.id.lower()}.yaml").write_text(record_yaml(found.document), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert check_commands(asked(name)) > 10


def test_an_answer_that_draws_nothing_from_the_record_is_not_shown() -> None:
    answerer = Answerer(valor_context())
    empty = read_entry({**GOOD, "answer": ["Trials are hard."]})
    assert answerer.answer(empty) is None
    assert answerer.answer(read_entry(GOOD)) is not None


def test_what_is_missing_is_said() -> None:
    page = asked("alspire")
    assert "holds no result of the primary outcome" in answer(page, "verdict")
    assert "What was read does not say who was masked" in answer(page, "masking_unknown")
    assert "Adverse events by arm" in answer(page, "add")
    assert "no adverse events by arm" in answer(page, "harm_numbers")
    assert "holds no result for the main question" in answer(page, "plain_work")


# -- the evidence --------------------------------------------------------------------------------------------------


BEST = {
    "mechanism": ("heteroduplex", "RNase H cuts the RNA", "barrier between blood and brain", "67 % lower"),
    "testing": ("C9orf72 with sequencing of SOD1, FUS and TARDBP", "about 40 people tested", "unknown significance"),
    "explain": ("keeps everyday abilities", "one in fifteen", "chosen after earlier results"),
    "apart": ("week 16", "Reserve", "31 % more neurofilament", "80 % power only for a true difference of 6.2 points"),
    "begin": ("one every 28 days", "of 147 people", "10 had a serious neurologic event", "4 myelitis", "2.7 points"),
    "stop": ("No rule for stopping", "half-life of about 4 weeks", "three of the 12"),
    "next_trial": ("add weeks before people", "delayed start", "joint model", "−0.59"),
    "surrogate": ("almost none exist", "CNM-Au8", "BIIB105"),
    "strength": ("conditional recommendation", "10 of 147", "certainty very low", "about 40 people tested"),
}
"""The questions of the starting page, one or two of each reader, and what their answers must hold."""


@pytest.mark.parametrize("id", BEST)
def test_valor_answers_the_questions_of_the_starting_page(id: str) -> None:
    """In under 150 words, with the trial's own numbers and where they were read."""
    page = asked("valor")
    for held in BEST[id]:
        assert held in answer(page, id), held
    question = next(q for q in questions(page) if q.id == f"q-{id}")
    prose = tuple(b for b in question.answer if not isinstance(b, Table))
    said = " ".join(plain(n.content) for n in walk(prose) if isinstance(n, Paragraph))
    said += " ".join(plain(item) for b in prose if isinstance(b, Listing) for item in b.items)
    assert len(re.sub(r"\[[^\]]*\]", "", said).split()) < 150
    assert any(isinstance(n, Cited) for n in walk(prose))


def test_power_is_told_by_size_weeks_lag_and_delayed_start() -> None:
    question = next(q for q in questions(asked("valor")) if q.id == "q-next_trial")
    table = next(b for b in question.answer if isinstance(b, Table))
    heads = [plain(c) for c in table.columns]
    assert heads[1:] == [
        "To week 28, effect from the first day",
        "To week 28, effect from week 16 on",
        "To week 52, effect from week 16 on",
        "Early against delayed start, to week 52",
    ]
    rows = [[float(plain(c).replace(",", "")) for c in row.cells] for row in table.rows]
    for saved, now, lagged, longer, delayed in rows:
        # two-sided 5 % and 80 % power from a standard error of 2.22 with 60 people, by hand
        by_hand = 60 * ((1.959964 + 0.841621) * 2.22 / saved) ** 2
        assert now == pytest.approx(by_hand, rel=0.07)  # the points saved are shown with one decimal
        assert lagged / now == pytest.approx((28 / 12) ** 2, rel=0.01)
        assert longer / now == pytest.approx((52 / 36) ** 2, rel=0.01)
        assert delayed / now == pytest.approx((52 / 28) ** 2, rel=0.01)


def test_an_answer_of_a_record_names_a_question_of_the_bank() -> None:
    known = {entry.id for entry in bank()}
    for info in list_records():
        for statement in load_record(info.name).statements:
            assert statement.question is None or statement.question in known, (info.name, statement.id)


def test_a_difference_against_the_drug_is_told_as_one() -> None:
    page = asked("courage_als")
    plain = answer(page, "plain_work")
    assert "People with reldesemtiv did worse than people with placebo" in plain
    assert "anywhere from 0.1 to 2.2 points in favour of placebo" in plain
    assert "not proof" not in plain
    assert "The difference favours placebo" in answer(page, "verdict")
    assert "all of them in favour of placebo" in answer(page, "verdict")
    assert "A large one" not in answer(page, "p_value")
    assert "none for it: the difference favours placebo" in answer(page, "strength")


def test_a_missed_endpoint_that_a_source_tells_in_words_is_missed() -> None:
    for name in ("healey_cnmau8", "himalaya", "tudca_als"):
        assert "missed its primary endpoint" in answer(asked(name), "verdict")
    assert "leans" not in answer(asked("healey_cnmau8"), "plain_work")


def test_a_trial_without_benefit_earns_no_recommendation() -> None:
    text = answer(asked("phoenix"), "strength")
    assert "no benefit was shown" in text
    assert "conditional" not in text


def test_patients_read_on_how_many_a_result_rests_and_what_the_score_is() -> None:
    page = asked("valor")
    assert "This result comes from 39 people with tofersen and 21 with placebo" in answer(page, "plain_work")
    assert "to speak, to swallow" in answer(page, "plain_what")
    assert "This is about" not in answer(asked("courage_als"), "plain_work")


def test_events_are_not_measured_in_standard_deviations_nor_one_by_one() -> None:
    page = asked("riluzole1994")
    assert "standard deviations" not in answer(page, "resolution")
    assert "the course of one person cannot show" in answer(page, "stop")
    assert "depends on the source and its test" in answer(page, "verdict")
    assert "hr 0.83" not in answer(page, "plain_since")
    assert "Whether people lived longer" not in answer(asked("lacomblez1996"), "plain_cannot")


def test_survival_is_death_before_hospital_and_says_when() -> None:
    text = answer(asked("centaur"), "survival")
    assert "For death or tracheostomy the hazard ratio was 0.63 (0.11 to 3.92)" in text
    assert "early against delayed start" in text
    assert "called hazard ratio" not in text


def test_valor_is_not_oversold_to_patients() -> None:
    page = asked("valor")
    text = answer(page, "plain_work")
    assert "fell by 6.98 points on average with tofersen. With placebo it fell by 8.14 points." in text
    assert "did not show that tofersen works better than placebo" in text
    assert "That is not proof that it does nothing" in text
    assert "from 5.5 points better with tofersen to 3.2 points worse" in text
    assert "It is not proof." in answer(page, "plain_later")
    assert "4 of 72 people with tofersen and 0 of 36" in answer(page, "plain_harm")
    assert "about 6 in 100 people against 0 in 100" in answer(page, "plain_harm")
    for q in (q for q in questions(page) if "patient" in q.roles):
        assert not re.search(r"promising|breakthrough|hope for|cure|exciting", words(q.answer))


def test_later_failures_are_told_of_trials_that_succeeded() -> None:
    for name, failure in (("centaur", "PHOENIX"), ("edaravone2017", "ADORE")):
        for id in ("since", "exaggerated", "plain_since"):
            assert failure in answer(asked(name), id)
        assert "One trial can still mislead" in answer(asked(name), "plain_work")


def test_riluzole_tests_disagree_and_the_pooled_evidence_is_beside() -> None:
    page = asked("riluzole1994")
    assert "P = 0.046" in answer(page, "hazards")
    assert "P = 0.12 by log-rank, which its source takes as the one that decides" in answer(page, "hazards")
    assert "0.83 (0.70 to 1.00)" in answer(page, "since")


def test_shares_without_counts_are_told_as_such() -> None:
    page = asked("edaravone2017")
    assert "16 % with edaravone and 24 % with placebo; counts are not given" in answer(page, "harm_numbers")
    assert "harm_unknown" not in {q.id.removeprefix("q-") for q in questions(page)}


@pytest.mark.skipif("NCT00360568.json" not in ENTRIES, reason="the shared registry entries are not here")
def test_without_randomisation_no_effect_is_claimed() -> None:
    page = asked("NCT00360568.json")
    ids = {q.id.removeprefix("q-") for q in questions(page)}
    assert {"no_chance", "unmasked"} <= ids
    assert not {"chance", "control", "masked"} & ids
    assert "Chance did not decide" in answer(page, "plain_fair")
    assert "it does not show an effect" in answer(page, "no_chance")


def test_the_replica_speaks_where_there_is_one(valor: Record, replica: Replica) -> None:
    with_replica = question_set(valor, replica)
    assert "q-rebuilt" in {q.id for q in questions(with_replica)}
    assert "q-rebuilt" not in {q.id for q in questions(asked("valor"))}
    assert any(replica.command in c.command for c in with_replica.computations)


# -- plain words ---------------------------------------------------------------------------------------------------


def syllables(word: str) -> int:
    groups = re.findall(r"[aeiouy]+", re.sub(r"e$", "", word.lower()))
    return max(1, len(groups))


def grade(text: str) -> float:
    """Flesch-Kincaid grade (Kincaid 1975): 0.39 words per sentence + 11.8 syllables per word - 15.59."""
    sentences = [s for s in re.split(r"[.?!:]+\s*", text) if re.search(r"\w", s)]
    found = re.findall(r"[A-Za-z']+", text)
    return 0.39 * len(found) / len(sentences) + 11.8 * sum(map(syllables, found)) / len(found) - 15.59


def test_the_measure_of_reading_knows_easy_from_hard() -> None:
    assert grade("The cat sat on the mat. It was a good cat.") < 2
    assert grade("Heterogeneous covariate specifications necessitate preregistered sensitivity analyses.") > 15


def test_patients_are_spoken_to_in_plain_words() -> None:
    """Our own words for patients, the names of drug and disease left out, are of grade 8 at most, each and together."""
    together = []
    for entry in bank():
        if entry.home != "patient":
            continue
        own = " ".join(re.sub(r"\{[^}]*\}", "it", t) for t in entry.templates() if not re.fullmatch(r"\{[^}]*\}", t))
        together.append(own)
        assert grade(own) <= 8.5, (entry.id, grade(own))
        assert max(len(s.split()) for s in re.split(r"[.?!:]", own)) <= 30, entry.id
    assert grade(" ".join(together)) <= 7
    assert {e.level for e in bank() if "patient" in e.roles} == {"basic"}


def test_what_is_told_to_patients_of_valor_is_plain_too() -> None:
    page = question_set(load_record("valor"), reader=Reader(role="patient"))
    own = [q for q in questions(page) if q.id not in ("q-plain_since", "q-plain_approved")]
    text = " ".join(words(q.answer) for q in own)
    assert grade(text) <= 8


@pytest.mark.parametrize("name", ["valor", "centaur", "edaravone2017", "riluzole1994", "phoenix", "mirocals"])
def test_patients_are_spared_the_names_of_methods(name: str) -> None:
    page = question_set(load_record(name), reader=Reader(role="patient"))
    text = " ".join(words(q.answer) for q in questions(page)).lower()
    for jargon in ("wilcoxon", "hazard ratio", "covariance", "log-rank", "standard error", "nominal", "p value"):
        assert jargon not in text, jargon


def test_terms_of_medicine_are_put_in_everyday_words_for_patients() -> None:
    assert everyday("Serious neurologic event").startswith("serious trouble in or around the brain")
    assert everyday("Plasma neurofilament light chain") == "neurofilament in the blood"
    assert everyday("amyotrophic lateral sclerosis with a pathogenic SOD1 variant") == (
        "ALS due to a harmful change in the SOD1 gene"
    )
    assert everyday("Back pain") == "Back pain"  # what is plain stays as it is


@pytest.mark.parametrize("name", ["valor", "centaur", "edaravone2017", "riluzole1994", "phoenix", "courage_als"])
def test_answers_to_patients_hold_no_term_of_medicine_and_no_interval_in_brackets(name: str) -> None:
    page = question_set(load_record(name), reader=Reader(role="patient"))
    text = " ".join(words(q.answer) for q in questions(page))
    for term in ("(SD", "CSF", "pathogenic", "(laboratory)", "neurologic event", "double-blind", "light chain"):
        assert term not in text, term
    assert re.search(r"\([−\d.]+ to [−\d.]+\)", text) is None


def test_patients_of_valor_hear_who_took_part_in_sentences() -> None:
    page = question_set(load_record("valor"), reader=Reader(role="patient"))
    like = answer(page, "plain_like_me")
    assert "average age was 48 years with tofersen and 51 years with placebo" in like
    assert "43 of 72 people with tofersen and 19 of 36 with placebo were men" in like
    approved = answer(page, "plain_approved")
    assert "The proof is still to come." in approved


# -- choice and order ----------------------------------------------------------------------------------------------


def test_role_stage_and_level_choose() -> None:
    record = load_record("valor")
    everything = {q.id: q for q in questions(asked("valor"))}
    for reader in (
        Reader(role="fellow"),
        Reader(stage="journal_club"),
        Reader(level="advanced"),
        Reader("phd", None, "critical_reading", "advanced"),
    ):
        got = {q.id for q in questions(question_set(record, reader=reader))}
        wanted = {
            id
            for id, q in everything.items()
            if (reader.role is None or reader.role in q.roles)
            and (reader.stage is None or q.stage == reader.stage)
            and (reader.level is None or q.level == reader.level)
        }
        assert got == wanted
        assert got


def test_specialty_orders_and_leaves_nothing_out() -> None:
    ctx = valor_context()
    usual = [e.id for e, _ in applicable(ctx, Reader(role="fellow"))]
    for specialty in SPECIALTIES:
        found = [e for e, _ in applicable(ctx, Reader(role="fellow", specialty=specialty))]
        assert sorted(e.id for e in found) == sorted(usual)
        kinds = [-1 if specialty in e.specialties else 1 if e.specialties else 0 for e in found]
        assert kinds == sorted(kinds)
    genetics = [e.id for e, _ in applicable(ctx, Reader(role="resident", specialty="genetics"))]
    assert set(genetics[:2]) == {"eligible", "testing"}


def test_the_usual_order_goes_by_stage_then_level() -> None:
    stages, levels = list(STAGES), list(LEVELS)
    for role in READERS:
        found = [e for e, _ in applicable(valor_context(), Reader(role=role))]
        keys = [(stages.index(e.stage), levels.index(e.level), e.position) for e in found]
        assert keys == sorted(keys)
        assert [rank(e, Reader())[1:] for e in found] == keys


def test_an_unknown_choice_is_refused() -> None:
    for choice in ({"role": "x"}, {"specialty": "x"}, {"stage": "x"}, {"level": "x"}):
        with pytest.raises(RecordError, match="'x'"):
            Reader(**choice)
    assert Reader("fellow", "genetics", "decision", "basic").options == (
        " --role fellow --specialty genetics --stage decision --level basic"
    )


def test_the_page_of_one_role_names_its_options_and_holds_the_same_questions(valor: Record) -> None:
    page = appraise(valor, role="phd", specialty="statistics", stage="critical_reading")
    assert "--role phd --specialty statistics --stage critical_reading" in words(page.section("made"))
    alone = question_set(valor, reader=Reader("phd", "statistics", "critical_reading"))
    assert [q.id for q in questions(page)] == [q.id for q in questions(alone)]
    assert [s.id for s in walk(page.section("questions")) if isinstance(s, Section)] == ["questions", "for-phd"]


def test_on_the_whole_page_each_question_stands_once_at_home(page: Document) -> None:
    found = questions(page)
    assert len({q.id for q in found}) == len(found) >= 70
    for role in READERS:
        assert {n.roles[0] for n in walk(page.section(f"for-{role}")) if isinstance(n, Question)} == {role}
