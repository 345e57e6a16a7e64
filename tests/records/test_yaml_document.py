"""Hostile and merely unlucky YAML: always a problem with its place, never an exception, never long."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.files.tree import MAX_BYTES, BrokenDocument, data, locate, read, show_path
from equipoise.records.load import parse_record

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)

HOSTILE = {
    "empty": (b"", 1, "empty"),
    "comment only": (b"# nothing\n", 1, "empty"),
    "alias bomb": (BOMB.encode(), 4, "aliases expanded"),
    "deep list": (b"a: " + b"[" * 100_000, 1, "expected"),  # libyaml may come first
    "deep mapping": ("".join("  " * i + f"k{i}:\n" for i in range(200)).encode(), 41, "nested too deeply"),
    "alias in its own anchor": (b"a: &a\n  b: *a\n", 2, "inside its own anchor"),
    "unknown alias": (b"a: *nobody\n", 1, "nobody"),
    "python tag": (b"id: x\na: !!python/object/apply:os.system [ls]\n", 2, "tag"),
    "set tag": (b"a: !!set {x, y}\n", 1, "tag"),
    "second document": (b"a: 1\n---\nb: 2\n", 2, "second document"),
    "not UTF-8": (b"a: 1\nb: \xff\xfe\n", 2, "0xff"),
    "control character": (b"a: 1\nb: \x07\n", 2, "control"),
    "unclosed quote": (b'a: "never closed\n', 2, "YAML"),
    "tab as indentation": (b"a:\n\tb: 1\n", 2, "YAML"),
    "too large": (b"#" * (MAX_BYTES + 1), 1, "bytes"),
    "too many nodes": (b"a: [" + b"1," * 300_000 + b"]", 1, "too many nodes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused_with_their_place(name: str) -> None:
    raw, line, word = HOSTILE[name]
    record, problems = parse_record(raw)
    assert record is None
    assert len(problems) == 1
    assert problems[0].line == line
    assert word in str(problems[0])


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "first on line 1"),
        ("a: 1\nb: .nan\n", 2, "finite"),
        ("a: -.inf\n", 1, "finite"),
        ("a: 1e999\n", 1, "finite"),
        ("true: a\n", 1, "text"),
        ("null: a\n", 1, "text"),
        ("1: a\n'1': b\n", 2, "once"),
        ("yes: a\n~: b\n", 2, "text"),
        ("? [x, y]\n: b\n", 1, "text"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n", 3, "merge"),
    ],
)
def test_single_nodes_are_refused_with_their_line(text: str, line: int, word: str) -> None:
    _, problems = data(read(text.encode()))
    assert [p.line for p in problems] == [line]
    assert word in str(problems[0])


def test_scalars_follow_yaml_1_2() -> None:
    text = (
        "a: no\nb: 2021-07-16\nc: 1:30\nd: 0o17\ne: 012\nf: 1_000\ng: on\nh: true\ni: null\nj: ~\nk: 1e3\nl: .5\n"
        "m: -7\nn: '7'\no: 0x1F\np: +3.0\nq:\nr: " + "9" * 5000 + "\ns: nan\n"
    )
    values, problems = data(read(text.encode()))
    assert not problems
    assert values == {
        "a": "no",
        "b": "2021-07-16",
        "c": "1:30",
        "d": "0o17",
        "e": "012",
        "f": "1_000",
        "g": "on",
        "h": True,
        "i": None,
        "j": None,
        "k": 1000.0,
        "l": 0.5,
        "m": -7,
        "n": "7",
        "o": "0x1F",
        "p": 3.0,
        "q": None,
        "r": "9" * 5000,
        "s": "nan",
    }


def test_a_path_is_shown_by_ids_and_never_prints_control_characters() -> None:
    root = read(b'results:\n  - {id: one, p: [1, 2]}\n  - "x\\e[31m": 1\n')
    assert show_path(root, ("results", 0, "p", 1)) == "results[one].p[2]"
    assert "\x1b" not in show_path(root, ("results", 1, "x\x1b[31m"))
    assert locate(root, ("results", 0, "p", 1)).column == 22


def test_an_alias_may_be_used_again() -> None:
    values, problems = data(read(b"a: &x {b: 1}\nc: [*x, *x]\n"))
    assert not problems
    assert values == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_property_any_bytes_end_in_problems(raw: bytes) -> None:
    record, problems = parse_record(raw)
    assert record is None
    assert problems
    assert all(p.line >= 1 and p.column >= 1 for p in problems)


plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
trees = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)


@given(trees)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_property_any_tree_ends_in_problems(tree: object) -> None:
    record, problems = parse_record(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))
    assert record is None
    assert problems


@given(trees)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_independent_the_tree_is_pyyamls(tree: object) -> None:
    """On JSON-like documents with quoted keys our builder and PyYAML's safe loader agree."""
    import json

    text = json.dumps(tree)
    try:
        values, problems = data(read(text.encode()))
    except BrokenDocument:
        return  # PyYAML's scanner refuses some escapes, and we pass that on
    if not problems:
        assert values == json.loads(text)


def test_numbers_are_keys_as_they_are_written() -> None:
    assert data(read(b"1: a\n2.50: b\n-3: c\n'4': d\n")) == ({"1": "a", "2.50": "b", "-3": "c", "4": "d"}, [])
