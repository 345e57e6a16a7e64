"""The checker on damaged records: each damage is found, on its line."""

from __future__ import annotations

import random
import re

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.files.model import keys_at
from equipoise.files.tree import Node, Path, read
from equipoise.records.load import load_record, parse_record, record_files, resolve_file
from equipoise.records.schema import Record

VALOR = resolve_file("valor").read_text(encoding="utf-8")
SLOW = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def problems_of(text: str) -> list:
    return parse_record(text.encode())[1]


def nodes(node: Node, path: Path = ()) -> list[tuple[Path, Node]]:
    out = [(path, node)]
    for i, child in enumerate(node.items):
        out += nodes(child, (*path, i))
    for key, child in node.pairs:
        out += nodes(child, (*path, key.text))
    return out


def keys(node: Node, path: Path = ()) -> list[tuple[Path, Node]]:
    out = []
    for i, child in enumerate(node.items):
        out += keys(child, (*path, i))
    for key, child in node.pairs:
        out += [((*path, key.text), key), *keys(child, (*path, key.text))]
    return out


def put(text: str, node: Node, new: str) -> str:
    """The text with a plain scalar replaced, in place."""
    lines = text.split("\n")
    line = lines[node.line - 1]
    start = node.column - 1
    assert line[start : start + len(node.text)] == node.text
    lines[node.line - 1] = line[:start] + new + line[start + len(node.text) :]
    return "\n".join(lines)


def numbers(text: str) -> list[tuple[Path, Node]]:
    numeric = re.compile(r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$")
    return [(p, n) for p, n in nodes(read(text.encode())) if n.plain and numeric.match(n.text)]


VALOR_NUMBERS = numbers(VALOR)
VALOR_KEYS = [(p, k) for p, k in keys(read(VALOR.encode())) if keys_at(Record, p[:-1])]


def test_the_records_are_sound(small: str) -> None:
    assert problems_of(small) == []
    assert problems_of(VALOR) == []


# -- shape ------------------------------------------------------------------------------------------------------------


def test_property_every_number_of_the_small_record_must_be_a_number(small: str) -> None:
    checked = 0
    for path, node in numbers(small):
        if path[0] in ("curves", "visits", "dosing") or node.text in ("1",):
            continue
        found = [p for p in problems_of(put(small, node, "'twelve'")) if p.line == node.line]
        assert found, path
        checked += 1
    assert checked > 20


def test_property_every_misspelt_key_of_the_small_record_is_found(small: str) -> None:
    checked = 0
    for path, key in keys(read(small.encode())):
        if keys_at(Record, path[:-1]):
            found = problems_of(put(small, key, key.text + "x"))
            assert any(p.line == key.line and p.path.endswith(f"{key.text}x") for p in found), path
            checked += 1
    assert checked > 150


@given(st.sampled_from(VALOR_NUMBERS))
@SLOW
def test_property_a_word_for_a_number_in_valor(number: tuple[Path, Node]) -> None:
    _, node = number
    assert any(p.line == node.line for p in problems_of(put(VALOR, node, "several")))


@given(st.sampled_from(VALOR_KEYS))
@SLOW
def test_property_a_misspelt_key_in_valor(key: tuple[Path, Node]) -> None:
    _, node = key
    found = [p for p in problems_of(put(VALOR, node, "q" + node.text)) if p.line == node.line]
    assert any(p.path.endswith("q" + node.text) and p.expected.startswith("one of") for p in found)


@given(st.sampled_from([n for p, n in nodes(read(VALOR.encode())) if p[-1:] == ("source",)]))
@SLOW
def test_property_an_unknown_source_in_valor(node: Node) -> None:
    found = problems_of(put(VALOR, node, "NOWHERE"))
    assert any(p.line == node.line and "NOWHERE" in p.found for p in found)


@given(st.sampled_from([(p, n) for p, n in VALOR_NUMBERS if p[-1] == "low" and "contrast" in p]))
@SLOW
def test_property_an_interval_without_its_estimate_in_valor(number: tuple[Path, Node]) -> None:
    path, node = number
    found = problems_of(put(VALOR, node, "999"))
    assert any(p.line == node.line and "contrast.low" in p.path for p in found)
    assert path[0] == "results"


@given(st.sampled_from([n for _, n in nodes(read(VALOR.encode())) if re.match(r"^\d+/\d+$", n.text) and not n.plain]))
@SLOW
def test_property_a_count_above_its_total_in_valor(node: Node) -> None:
    lines = VALOR.split("\n")
    line = lines[node.line - 1]
    at = line.index(f'"{node.text}"', node.column - 1)
    lines[node.line - 1] = line[:at] + f'"5000/{node.text.split("/")[1]}"' + line[at + len(node.text) + 2 :]
    found = problems_of("\n".join(lines))
    assert any(p.line == node.line and "5000" in p.found for p in found)


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_property_random_damage_never_raises(small: str, data: st.DataObject) -> None:
    tree = yaml.safe_load(small)
    rng = random.Random(data.draw(st.integers(0, 10**9)))
    junk = [None, True, -1, 0, 10**30, 1e308, -1e-308, "", "x", "9/0", [], {}, [[]], {"id": {}}, "ITT", [1, 2, 3]]
    for _ in range(rng.randint(1, 4)):
        node = tree
        while True:
            choices = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not choices:
                break
            key = rng.choice(choices)
            if isinstance(node[key], dict | list) and rng.random() < 0.8:
                node = node[key]
                continue
            if rng.random() < 0.2:
                del node[key]
            else:
                node[key] = rng.choice(junk)
            break
    record, problems = parse_record(yaml.safe_dump(tree).encode())
    if record is not None and not problems:
        record.index(recall=True)


# -- contradictions ---------------------------------------------------------------------------------------------------

DAMAGE = [
    ("n: 60,", "n: 61,", "n_actual", "91, the sum"),
    ("n: {drug: 60, control: 30}", "n: {drug: 70, control: 30}", "sets[ITT].n.drug", "at most 60"),
    ("allocation: {drug: 2, control: 1}", "allocation: {drug: 2}", "design.allocation", "share"),
    ("allocation: {drug: 2,", "allocation: {drug: 0,", "design.allocation.drug", "1"),
    ("weeks: [0, 12, 24]", "weeks: [0, 24, 12]", "visits[visits_all].weeks[3]", "increasing"),
    ("weeks: [12, 24], values", "weeks: [24, 24], values", "curves[curve_drug].weeks[2]", "increasing"),
    ("values: [-2.1, -4.0]", "values: [-2.1]", "curves[curve_drug].values", "2, one for each week"),
    ("exceptions: [{week: 24", "exceptions: [{week: 25", "curves[curve_drug].exceptions[1].week", "week of the curve"),
    ('drug: "2/60"', 'drug: "62/60"', "values.ITT.drug", "between 0 and the total"),
    ('drug: "2/60"', 'drug: "2/61"', "values.ITT.drug", "at most 60"),
    ('drug: "51/60"', 'drug: "51/66"', "arms.drug", "at most 60"),
    ("percent: 66.7", "percent: 76.7", "arms.control.percent", "66.7"),
    ("low: 0.1", "low: 2.2", "contrast.low", "estimate"),
    ("high: 4.1", "high: 2.0", "contrast.high", "estimate"),
    ("low: 0.1, high: 4.1", "low: 4.1, high: 0.1", "contrast.low", "lower limit first"),
    ("value: 2.1,", "value: -2.1, ", "contrast", "estimate"),
    ("drug: {value: -4.0, se", "drug: {value: 4.0, se", "contrast.value", "the arms give"),
    ("se: 0.6}", "se: -0.6}", "arms.drug.se", "a number of at least 0"),
    ("value: 0.04", "value: 1.04", "p[1].value", "between 0 and 1"),
    ("method: mmrm\n", "method: ranks\n", "results[score_w24].method", "method of the estimate"),
    ("{method: ranks,", "{method: rank,", "p[2].method", "ranks"),
    ("outcome: SCORE", "outcome: SCOR", "results[score_w24].outcome", "SCORE"),
    ("arm: drug", "arm: drgu", "curves[curve_drug].arm", "drug"),
    ("set: ITT, arm", "set: FAS, arm", "curves[curve_drug].set", "ITT"),
    ("primary_result: score_w24", "primary_result: score_w42", "primary_result", "score_w24"),
    ("refs: [score_w24.contrast", "refs: [score_w24.contrst", "statements[st_bottom].refs[1]", "address"),
    ("id: ae_any", "id: ev_death", "adverse_events[ev_death].id", "id of its own"),
    ("source: REG}", "source: RGE}", "p[2].source", "REG"),
    ("test_order: 1", "test_order: 2", "outcomes", "without gaps"),
    ("role: active", "role: control", "arms", "at least one active"),
    ("value: 36.0", "value: 63.0", "values.ITT.drug", "between 0 and 48"),
    ("statistic: mean_sd", "statistic: n_percent", "values.ITT.drug", "count"),
    ("confidence: curve", "note: none", "curves[curve_drug]", "confidence"),
    ("id: example", "id: 9lives", "id", "begins with a letter"),
    ("condition: ", "conditon: ", "conditon", "condition"),
    ("role: primary", "role: main", "outcomes[SCORE].role", "primary"),
    ("n_actual: 90", "n_actual: ninety", "design.n_actual", "mapping"),
]


# damage whose problem shows on another line than the one that was changed
ELSEWHERE = {"n: 61,", "drug: {value: 4.0, se", "statistic: n_percent", "test_order: 2", "role: control", "note: none"}


@pytest.mark.parametrize(("old", "new", "path", "word"), DAMAGE, ids=[d[1].strip()[:40] for d in DAMAGE])
def test_contradictions_are_found_on_their_line(small: str, old: str, new: str, path: str, word: str) -> None:
    damaged = small.replace(old, new, 1)
    assert damaged != small
    problems = problems_of(damaged)
    found = [p for p in problems if path in p.path and word in f"{p.expected} {p.hint} {p.found}"]
    assert found, [str(p) for p in problems]
    if new not in ELSEWHERE:
        changed = next(
            i for i, (x, y) in enumerate(zip(small.split("\n"), damaged.split("\n"), strict=False), 1) if x != y
        )
        assert changed in [p.line for p in found]


def test_a_rank_test_is_credited_with_an_estimate(small: str) -> None:
    found = problems_of(small.replace("method: mmrm\n", "method: ranks\n", 1))
    assert [p.path for p in found] == ["results[score_w24].method"]
    assert found[0].hint is not None
    assert "p-value only" in found[0].hint


def test_all_problems_are_reported_at_once_shape_and_content(small: str) -> None:
    damaged = (
        small.replace("role: primary", "role: main", 1)  # shape: the outcome cannot be read
        .replace("n_actual: 90", "n_actual: 91", 1)  # content
        .replace("low: 0.1", "low: 3.1", 1)
        .replace("values: [-2.1, -4.0]", "values: [-2.1]", 1)
    )
    found = [p.path for p in problems_of(damaged)]
    assert found == [
        "design.n_actual",
        "outcomes[SCORE].role",
        "results[score_w24].contrast.low",
        "curves[curve_drug].values",
    ]


def test_lines_are_right_after_a_block_was_left_out(small: str) -> None:
    """A block that cannot be read must not shift the places of the blocks after it."""
    damaged = small.replace("id: drug, label: Drug, role: active", "id: drug, label: Drug, role: activ", 1).replace(
        "{id: control, label: Placebo, role: control, n: 30, drug: placebo, source: PAPER",
        "{id: control, label: Placebo, role: control, n: 30, drug: placebo, source: PAPR",
        1,
    )
    by_path = {p.path: p for p in problems_of(damaged)}
    line = damaged[: damaged.index("PAPR")].count("\n") + 1
    assert by_path["arms[control].source"].line == line
    assert by_path["arms[drug].role"].line == line - 1


def test_a_conflict_excuses_what_the_source_really_prints(small: str) -> None:
    damaged = small.replace("drug: {value: -4.0, se", "drug: {value: 4.0, se", 1)
    assert len(problems_of(damaged)) == 1
    excused = damaged.replace(
        "    prespecified: yes\n    source: PAPER\n",
        "    prespecified: yes\n    conflicts: [{what: sign, values: [4.0, -4.0], reading: a lost minus}]\n"
        "    source: PAPER\n",
        1,
    )
    assert problems_of(excused) == []


def test_a_statement_may_not_rest_on_a_recalled_number(small: str) -> None:
    damaged = small.replace(
        "place: table 3, confidence: seen}\nadverse", "place: table 3, confidence: recall}\nadverse", 1
    ).replace("refs: [score_w24.contrast", "refs: [ev_death.ITT.drug", 1)
    found = problems_of(damaged)
    assert [p.path for p in found] == ["statements[st_bottom].refs[1]"]
    assert "recalled" in found[0].found


def test_dates_must_exist_and_be_in_order(small: str) -> None:
    with_dates = small.replace(
        "  n_actual: 90\n", "  n_actual: 90\n  first_dose: 2020-02-30\n  last_visit: 2019-12\n", 1
    )
    assert sorted(p.path for p in problems_of(with_dates)) == ["design.first_dose", "design.last_visit"]


# -- files ------------------------------------------------------------------------------------------------------------


def test_loading_by_name_path_and_folder(small: str, tmp_path) -> None:
    from equipoise.records import list_records

    (tmp_path / "mine.yaml").write_text(small, encoding="utf-8")
    (tmp_path / "valor.yml").write_text(small, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(small.replace("role: primary", "role: main"), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a record", encoding="utf-8")
    assert load_record("mine", tmp_path).id == "example"
    assert load_record(tmp_path / "mine.yaml").id == "example"
    assert load_record("valor", tmp_path).id == "example", "a user's record hides the built-in one"
    assert load_record("valor").id == "valor"
    listed = {i.name: i for i in list_records(tmp_path)}
    assert {n for n, i in listed.items() if i.origin != "built in"} == {"mine", "valor", "broken"}
    assert {"valor", "centaur", "edaravone2017", "riluzole1994"} <= set(listed)
    assert listed["broken"].record is None
    assert len(listed["broken"].problems) == 1
    assert [p.name for p in record_files(tmp_path)] == ["broken.yaml", "mine.yaml", "valor.yml"]


def test_what_cannot_be_loaded_says_why(small: str, tmp_path) -> None:
    from equipoise.errors import RecordError

    (tmp_path / "broken.yaml").write_text(small.replace("role: primary", "role: main"), encoding="utf-8")
    with pytest.raises(RecordError, match="there is no record 'valro'") as unknown:
        load_record("valro")
    assert "did you mean 'valor'" in str(unknown.value.hint)
    with pytest.raises(RecordError, match="not a sound record") as broken:
        load_record("broken", tmp_path)
    assert "role" in broken.value.message
    with pytest.raises(RecordError, match="there is no file"):
        load_record(tmp_path / "absent.yaml")
    with pytest.raises(RecordError, match="is not a folder"):
        load_record("valor", tmp_path / "absent")
    with pytest.raises(RecordError, match="is a folder"):
        load_record(tmp_path)
