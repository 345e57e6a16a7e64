"""Registry entries and ADaM files, damaged at random: a record or data set, or one of our errors; nothing else.

Every case is made from (seed, number) alone, so that one that fails can be made again: ``case(number)``. The small
samples run with the suite; the ten thousand of each kind with ``pytest -m slow tests/fuzz``.
"""

from __future__ import annotations

import copy
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from registry_study import study
from sas7bdat_writer import write_sas7bdat

from equipoise.errors import EquipoiseError
from equipoise.records import coherence_notes
from equipoise.records.load import parse_record
from equipoise.records.registry import import_study, record_yaml
from equipoise.records.registry.importer import parse_json
from equipoise.trial.adam import Limits, from_frame, read_file, write_dataset_json, write_parquet, write_xpt

SEED = 20261128
MEMORY = 256 << 20
LIMITS = Limits(process_seconds=60)
TEXTS = (
    "",
    " ",
    "NA",
    "-",
    "1e999",
    "-0",
    "0.05",
    "<0.0001",
    "Week 52",
    "aged 65 years",
    "12 mg",
    "1.2 mg",
    "Placebo",
    "x" * 30_000,
    "\ud800",
    "\x00",
    "\u202e",
    "'; --",
    "- no: yes",
    "${x}",
    "=1+1",
    "<b>",
    "٣",
    "1,000",
    "∞",
    "\n\n",
    "{{7*7}}",
)
VALUES: tuple[Any, ...] = (
    *TEXTS,
    None,
    True,
    False,
    0,
    -1,
    1,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    [{}],
    {"id": "OG000"},
)


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found, stack = [], [value]
    while stack:
        at = stack.pop()
        if isinstance(at, dict | list):
            for key in list(at) if isinstance(at, dict) else range(len(at)):
                found.append((at, key))
                stack.append(at[key])
    return found


def damaged_entry(number: int) -> Any:
    """A registry entry with one to six parts replaced, removed, doubled or swapped."""
    return damaged(study(), random.Random(f"{SEED} entry {number}"))


def damaged(document: Any, chance: random.Random) -> Any:
    """A document with one to six parts replaced, removed, doubled or swapped."""
    for _ in range(chance.randint(1, 6)):
        places = nodes(document)
        if not places:
            break
        owner, key = chance.choice(places)
        kind = chance.randrange(5)
        if kind == 0:
            owner[key] = chance.choice(VALUES)
        elif kind == 1:
            del owner[key]
        elif kind == 2 and isinstance(owner, list):
            owner.insert(chance.randint(0, len(owner)), copy.deepcopy(owner[key]))
        elif kind == 3:
            other, at = chance.choice(places)
            owner[key] = copy.deepcopy(other[at])
        elif isinstance(owner[key], str):
            owner[key] = spoilt_text(owner[key], chance)
    return document


def spoilt_text(text: str, chance: random.Random) -> str:
    """A text with a piece cut, doubled or replaced."""
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(TEXTS)[:50] + text[at + chance.randint(0, 3) :]


def spoilt_bytes(raw: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut, doubled, filled or swapped for those of elsewhere; half keep their length, to be read on."""
    if chance.random() < 0.5:
        return same_length(raw, chance)
    out = bytearray(raw)
    for _ in range(chance.randint(1, 8)):
        at, size = chance.randrange(len(out) or 1), chance.choice((1, 1, 2, 4, 8, 80))
        kind = chance.randrange(6)
        if kind <= 1 and out:
            out[at] = chance.randrange(256)
        elif kind == 2:
            out[at : at + size] = chance.choice((b"\0", b"\xff", b" ", b"9", b"\x7f")) * size
        elif kind == 3:
            del out[at : at + size]
        elif kind == 4:
            other = chance.randrange(len(out) or 1)
            out[at : at + size] = out[other : other + size]
        else:
            out[at:at] = out[at : at + size]
    return bytes(out[: chance.randint(0, len(out))] if chance.random() < 0.2 else out)


def same_length(raw: bytes, chance: random.Random) -> bytes:
    """Bytes of which one to four pieces were overwritten."""
    out = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        size = min(chance.choice((1, 1, 2, 4, 8)), len(out))
        at, other = chance.randint(0, len(out) - size), chance.randint(0, len(out) - size)
        fill = chance.choice((b"\0", b"\xff", b" ", b"9", b"\x7f", bytes([chance.randrange(256)]))) * size
        out[at : at + size] = chance.choice((out[other : other + size], fill))
    return bytes(out)


def spoilt_file(suffix: str, sound: bytes, chance: random.Random) -> bytes:
    """A damaged file: half of the JSON kinds are damaged in what they say, and are JSON still."""
    if suffix not in (".json", ".ndjson", ".dsjc") or chance.random() < 0.5:
        return spoilt_bytes(sound, chance)
    raw = zlib.decompress(sound, wbits=47) if suffix == ".dsjc" else sound
    if suffix == ".json":
        whole = damaged(json.loads(raw), chance)
        if isinstance(whole.get("rows"), list):
            whole["records"] = len(whole["rows"])  # which would refuse most
        return json.dumps(whole).encode()
    lines = damaged([json.loads(line) for line in raw.splitlines() if line], chance)
    if lines and isinstance(lines[0], dict):
        lines[0]["records"] = len(lines) - 1
    out = "\n".join(map(json.dumps, lines)).encode()
    return zlib.compress(out) if suffix == ".dsjc" else out


def only_ours(make: Callable[[], Any], what: str) -> Any:
    """What ``make`` gives, or None for one of our errors; any other is the failure of the case named."""
    try:
        return make()
    except EquipoiseError:
        return None
    except BaseException as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error


def check_entry(number: int) -> None:
    """One damaged entry: no record, or a sound one that is written, read back and looked through."""
    what = f"damaged_entry({number})"
    entry = damaged_entry(number)
    done = only_ours(lambda: import_study(entry), what)
    if done is None:
        return
    assert done.mapped + sum(u.count for u in done.unmapped) == done.values, what
    ids = [*(a.id for a in done.record.arms), *(g.id for g in done.record.groups)]
    assert len(set(ids)) == len(ids), what
    if number % 20 == 0:  # reading YAML takes most of the time
        record, problems = parse_record(record_yaml(done.document).encode())
        assert (record, problems) == (done.record, []), what
    only_ours(lambda: coherence_notes(done.record), what)


def check_json(number: int) -> None:
    """One damaged file of an entry, as bytes."""
    chance = random.Random(f"{SEED} json {number}")
    raw = spoilt_bytes(json.dumps(study()).encode(), chance)
    only_ours(lambda: import_study(parse_json(raw, "x.json")), f"check_json({number})")


FRAME = pl.DataFrame(
    {
        "USUBJID": [f"S-{i:03d}" for i in range(12)],
        "AVAL": [float(i) / 3 if i % 4 else None for i in range(12)],
        "ADT": pl.Series([14_610 + i for i in range(12)], dtype=pl.Int32).cast(pl.Date),
        "ADTM": pl.Series([1_577_934_245_000_000 + i for i in range(12)]).cast(pl.Datetime("us")),
    }
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A sound file of every kind."""
    folder = tmp_path_factory.mktemp("sound")
    data = from_frame(FRAME, "ADX")
    write_xpt(data, folder / "x.xpt")
    write_parquet(data, folder / "x.parquet")
    for suffix in ("json", "ndjson", "dsjc"):
        write_dataset_json(data, folder / f"x.{suffix}")
    FRAME.write_csv(folder / "x.csv")
    write_sas7bdat(
        folder / "x.sas7bdat", "ADX", [("A", "a", "", 4), ("N", "n", "DATE", 0)], [("x", 1.0), ("y", None)] * 9
    )
    return {path.suffix: path.read_bytes() for path in sorted(folder.iterdir())}


def check_file(number: int, suffix: str, sound: bytes, folder: Path) -> None:
    """One damaged file: data whose columns are its variables, or one of our errors."""
    path = folder / f"x{suffix}"
    path.write_bytes(spoilt_file(suffix, sound, random.Random(f"{SEED} {suffix} {number}")))
    what = f"check_file({number}, {suffix!r})"
    found = only_ours(lambda: read_file(path, limits=LIMITS), what)
    for dataset in found or ():
        assert dataset.frame.columns == [v.name for v in dataset.variables], what
        again = from_frame(dataset.frame, "ADX")
        only_ours(lambda: write_dataset_json(again, folder / "out.ndjson"), what)  # noqa: B023
        only_ours(lambda: write_xpt(again, folder / "out.xpt"), what)  # noqa: B023


def within_memory(run: Callable[[], None]) -> None:
    """Run, and hold the peak of what Python allocates against a bound that does not grow with the cases."""
    tracemalloc.start()
    try:
        run()
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def every(check: Callable[[int], None], cases: range) -> None:
    for number in cases:
        check(number)


IN_PROCESS = (".xpt", ".json", ".ndjson", ".dsjc", ".csv")
APART = (".parquet", ".sas7bdat")


def test_property_damaged_entries() -> None:
    within_memory(lambda: every(check_entry, range(60)))
    within_memory(lambda: every(check_json, range(60)))


@pytest.mark.parametrize("suffix", [*IN_PROCESS, *APART])
def test_property_damaged_files(files: dict[str, bytes], tmp_path: Path, suffix: str) -> None:
    cases = range(60) if suffix in IN_PROCESS else range(3)
    within_memory(lambda: every(lambda n: check_file(n, suffix, files[suffix], tmp_path), cases))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_property_ten_thousand_damaged_entries(part: int) -> None:
    cases = range(1000 * part, 1000 * (part + 1))
    every(check_entry, cases)
    every(check_json, cases)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [*IN_PROCESS, *APART])
def test_property_ten_thousand_damaged_files(files: dict[str, bytes], tmp_path: Path, suffix: str) -> None:
    """Two thousand of each kind that is read in this process; those decoded apart cost a process each."""
    cases = range(2000) if suffix in IN_PROCESS else range(100)
    every(lambda n: check_file(n, suffix, files[suffix], tmp_path), cases)
