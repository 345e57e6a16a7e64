"""The public pages of our numbers beside R's are those that the comparisons give now."""

from __future__ import annotations

import pytest

import parity
import parity_pages


def parts(text: str) -> tuple[list[str], list[list[str]]]:
    """Prose, headings and the counts of the overview; and the cells of the tables of blocks."""
    prose, rows, within = [], [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            within = False
            if "largest difference of all" not in line:
                prose.append(line)
        elif "tolerance" in line:
            within = True
            prose.append(line)
        elif not line.startswith("|-"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if within:
                rows.append(cells)
            else:
                prose.append(" | ".join(cells[:-1]))  # an overview: all but its largest difference
    return prose, rows


@pytest.mark.parametrize("name", parity_pages.PAGES)
def test_reference_public_page_is_current(name: str) -> None:
    """Prose, cases, blocks and tolerances are today's, and every difference on the page is within its tolerance.

    The figures themselves may differ in the last digits between machines, so that they are not compared as text.
    """
    if not (parity.SHARED / "reference").is_dir():
        pytest.skip(f"no reference results in {parity.SHARED}: set EQUIPOISE_SHARED")
    path = parity_pages.FOLDER / f"{name}.md"
    written, now = parts(path.read_text(encoding="utf-8")), parts(parity_pages.text(name))
    hint = f"run: python tests/parity_pages.py {name}"
    assert written[0] == now[0], hint
    steady = slice(0, -4)  # case, block, how many: not the two numbers and their difference
    assert [(r[steady], r[-1]) for r in written[1]] == [(r[steady], r[-1]) for r in now[1]], hint
    assert len(now[1]) >= 10
    for row in written[1]:
        if row[-1] != "shown only":
            assert float(row[-2].split()[0]) <= float(row[-1].split()[0]), row


def test_page_lists_every_page() -> None:
    """The index names every page, and there is no page that nothing writes."""
    index = (parity_pages.FOLDER / "README.md").read_text(encoding="utf-8")
    files = {p.stem for p in parity_pages.FOLDER.glob("*.md")} - {"README"}
    assert files == set(parity_pages.PAGES)
    assert all(f"({name}.md)" in index for name in files)


@pytest.mark.parametrize(
    ("ours", "theirs", "options", "passed"),
    [
        ([1.0, 2.0 + 1e-9], [1.0, 2.0], {}, True),
        ([1.0, 2.0 + 1e-6], [1.0, 2.0], {}, False),
        ([0.0, 1e-12], [0.0, 0.0], {}, False),
        ([0.0, 1e-12], [0.0, 0.0], {"floor": 1.0}, True),
        ([1e3 + 1e-6], [1e3], {"scale": 1.0}, False),
        ([float("nan")], [1.0], {}, False),
        ([float("nan"), 1.0], [None, 1.0], {"missing": True}, True),
        ([1.0, 1.0], [None, 1.0], {"missing": True}, False),
        ([float("inf")], [1.0], {}, False),
    ],
)
def test_block_holds_every_entry(ours: object, theirs: object, options: dict[str, object], passed: bool) -> None:
    made = parity.block("case", "", "numbers", ours, theirs, 1e-8, **options)
    assert made.passed is passed
