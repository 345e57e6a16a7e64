"""CDISCPILOT01 against its study report, cell by cell: writes docs/cdisc-pilot.md.

    python benchmarks/cdisc_pilot.py [--data FOLDER] [--check]

The plan is examples/cdiscpilot01_full.yaml; the data are read where they lie (default: the shared folder, see
CONTRIBUTING.md). Printed values: ``published.json`` beside the data (Tables 14-1.01, 14-2.01 and 14-3.01, parsed from
the report) and tests/reference/cdiscpilot01_report.csv (the other tables). ``--check`` writes nothing and ends with 1
where the page is not what it would write.

A cell counts as equal where it is printed as the report prints it. Spaces, ``0`` for ``0 ( 0%)``, minus zero, and the
zero before the point of a p-value are no difference; p-values of adverse events have three decimals and a star below
0.15, as there.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from equipoise.plan.analysis_plan import read_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.results import Cell, Results, Table, rounded
from equipoise.trial.adam import read_adam

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cdisc-pilot.md"
VALUES = ROOT / "tests" / "reference" / "cdiscpilot01_report.csv"
PLAN = ROOT / "examples" / "cdiscpilot01_full.yaml"
HIGH_LOW = ", High - Low"


@dataclass(frozen=True)
class Printed:
    """A cell of the report: where it stands and what is printed there."""

    table: str
    page: str
    section: str
    row: str
    column: str
    value: str


@dataclass(frozen=True)
class Compared:
    """A cell of the report beside ours, None where there is none; ``exact`` : our number behind it."""

    printed: Printed
    ours: str | None
    exact: str = ""

    @property
    def equal(self) -> bool:
        """Whether both print the same."""
        return self.ours is not None and plain(self.ours) == plain(self.printed.value)


def plain(text: str) -> str:
    """A cell without what is no difference: spaces, the 0 % of nobody, the zero before a point, minus zero."""
    text = re.sub(r"\s+", "", text)
    text = re.sub(r"^0\(0%\)$", "0", text)
    text = re.sub(r"(?<![\d.])-(0\.?0*)(?!\d)(?!\.)", r"\1", text)
    return re.sub(r"^([<>]?)0\.", r"\1.", text)


def data_folder(given: str | None = None) -> Path:
    """The folder with the pilot's data."""
    shared = Path(os.environ.get("EQUIPOISE_SHARED", ROOT.parent / "shared"))
    return Path(given) if given else shared / "data" / "cdiscpilot01"


def printed_values(folder: Path) -> list[Printed]:
    """Every cell of the report that is at hand."""
    out = []
    for v in json.loads((folder / "published.json").read_text(encoding="utf-8"))["values"]:
        if v["section"] == "Header":  # "N 74" under Placebo, the number of another arm
            continue
        high_low = str(v.get("contrast", "")).endswith("High Dose - Xanomeline Low Dose") and "p-value" not in v["row"]
        row = v["row"] + (HIGH_LOW if high_low else "")
        out.append(Printed(v["table"], str(v["csr_page"]), v["section"], row, v["column"], v["value"]))
    with VALUES.open(encoding="utf-8", newline="") as file:
        out += [Printed(**row) for row in csv.DictReader(line for line in file if not line.startswith("#"))]
    return out


Place = tuple[str, str, str, str]


def our_cells(results: Results) -> dict[Place, list[tuple[str, str]]]:
    """The cells of our tables under the report's words for their place, in order where several have the same: each as
    it is printed, and the number behind it.
    """
    out: dict[Place, list[tuple[str, str]]] = defaultdict(list)
    for table in results.tables:
        for section, row, column, cell, text in _cells(table):
            exact = ", ".join(f"{cell.values[k]:.6g}" for k in cell.shown if cell.values.get(k) is not None)
            out[table.id, section, row, column].append((text, exact))
    return out


def _cells(table: Table) -> Iterator[tuple[str, str, str, Cell, str]]:
    for block in table.blocks:
        heading, visit = "", ""
        for row in block.rows:
            if not row.cells:
                visit = row.label
            if block.method == "incidence":
                heading = row.label if row.indent < 2 else heading
            label = row.label if not visit or not row.indent else f"{visit}: {row.label}"
            if block.method == "summary" and block.label == "End of Treatment":
                label = f"End of Treatment: {row.label}"
            if row.contrast and row.contrast.endswith("against Xanomeline Low Dose") and "p-value" not in row.label:
                label += HIGH_LOW
            for column, cell in row.cells.items():
                if block.method == "incidence":
                    yield _event(heading, row.label, row.indent, column, cell)
                    continue
                section, own = _section(block.label, block.group, label)
                own = "p-value" if column == "All arms" else own
                yield section, own, column, cell, cell.text


def _section(label: str, group: str | None, row: str) -> tuple[str, str]:
    """The report's heading: groups stand there, and the end of treatment is a visit."""
    if group is not None:
        return group, row if ": " in row else (f"End of Treatment: {row}" if "End of Treatment" in label else row)
    if label.endswith(", End of Treatment"):
        return label.removesuffix(", End of Treatment"), f"End of Treatment: {row}"
    return label, row


def _event(heading: str, label: str, indent: int, column: str, cell: Cell) -> tuple[str, str, str, Cell, str]:
    """A cell of adverse events: subjects and events, or Fisher's p-value as the report writes it."""
    row = "" if indent < 2 else label
    if column.startswith("p: "):
        p = cell.values.get("p")
        text = "" if p is None else ">0.99" if p > 0.99 else _p(p)
        return heading, row, f"p-value {column.removeprefix('p: ')}", cell, text
    n, events = cell.values.get("n") or 0.0, cell.values.get("events") or 0.0
    return heading, row, column, cell, f"{n:.0f} [{events:.0f}]" if n else "0"


def _p(p: float) -> str:
    text = rounded(p, 3)
    text = text if text == "0.000" else text.rstrip("0")
    return text + ("*" if p < 0.15 else "")


def compare(folder: Path) -> list[Compared]:
    """Every printed cell beside ours."""
    study = read_adam(folder / "adam" / "datasetjson", needed=read_plan(PLAN).needs())
    ours = our_cells(analyse(study, read_plan(PLAN)))
    out, seen = [], Counter[Place]()
    for cell in printed_values(folder):
        place = (cell.table, cell.section, cell.row, cell.column)
        found = ours.get(place, [])
        text, exact = found[seen[place]] if seen[place] < len(found) else (None, "")
        seen[place] += 1
        out.append(Compared(cell, text, exact))
    return out


WHY = {
    "14-1.02": "fewer than one in a hundred is `<1%` here, a rounded percentage in the report",
    "14-5.01": "subjects are equal; Fisher's exact p-value of these counts lies below the half that is rounded up",
    "14-7.03": "the median is a half, which is rounded away from zero here",
}
"""Why cells of a table differ, where it is known. A difference in any other table is told as unexplained."""

NOT_HELD = {
    "14-6.01": "laboratory values by visit",
    "14-6.02": "normal and abnormal values",
    "14-6.04": "shifts by visit",
    "14-6.05": "shifts",
    "14-6.06": "Hy's law",
}
NOT_MADE = {
    "14-1.03": "subjects by site: neither efficacy nor safety",
    "14-6.03": "clinically significant changes: the data sets ADLBCPV and ADLBHPV are not at hand",
    "14-7.04": "concomitant medication: the data set CM is not at hand",
}


_HEAD = """\
| table | line | column | report | here | number behind it | why |
| --- | --- | --- | --- | --- | --- | --- |"""

_TEXT = """\
# The CDISC pilot, cell by cell

Written by `python benchmarks/cdisc_pilot.py`; `tests/plan/test_pilot_agreement.py` checks that it is current.

`examples/cdiscpilot01_full.yaml` on the data of CDISCPILOT01 (254 patients with Alzheimer's disease), beside what the
clinical study report of 27 June 2006 prints, computed there in SAS. A cell is equal where it is printed as the report
prints it: same digits, same rounding. Spaces, and `0` for `0 (0%)`, are no difference. Of adverse events a cell is
subjects and number of events (the percentage follows from them), or Fisher's p-value.

**{equal:,} of {all:,} cells are equal, {different:,} are not.**

| table | cells compared | equal | different |
| --- | ---: | ---: | ---: |
{rows}
| all | {all:,} | {equal:,} | {different:,} |

## Cells that differ

{apart}

## What it takes to agree

- 14-3.11 prints means over weeks 8, 16 and 24 under the title of week 24 (`average`). SAS's `DDFM=KR` of an
  unstructured covariance is `kenward-roger-linear` here and in R's mmrm; with the full correction five cells differ in
  their last digit.
- 14-3.12 is the mean of every score in the windows of weeks 4 to 24 (`gather` with `take: mean`). The parameter NPTOTMN
  of the data has fewer subjects.
- 14-3.13 says Pearson's chi-square in its footnote; its p-values are Cochran, Mantel and Haenszel's of row mean scores.
- 14-7.01 to 14-7.03: the end of treatment is the last assessment up to week 24 (`pick`), not the data's own record of
  that name, which fewer subjects have.

## Tables that are made and not compared

Their printed values are not at hand:

{not_held}

## Tables that are not made

{not_made}

## Where the printed values are from

Tables 14-1.01, 14-2.01 and 14-3.01 were parsed from the report. The others were copied to
`tests/reference/cdiscpilot01_report.csv`, with their pages in the report, from the transcriptions of
[open.csr](https://github.com/jwildfire/open.csr) (`quality/data`), most of which were extracted by program and checked
there against the report's text; the report itself was not read again for them. Data and report are CDISC's.
"""


def page(made: list[Compared]) -> str:
    """The page."""
    tables = sorted({c.printed.table for c in made})
    counts = {t: Counter(c.equal for c in made if c.printed.table == t) for t in tables}
    total = Counter(c.equal for c in made)
    rows = [f"| {t} | {n[True] + n[False]:,} | {n[True]:,} | {n[False]:,} |" for t, n in counts.items()]
    apart = [
        f"| {c.printed.table} | {c.printed.section}{': ' + c.printed.row if c.printed.row else ''} "
        f"| {c.printed.column} | {c.printed.value} | {c.ours or 'none'} | {c.exact} "
        f"| {WHY.get(c.printed.table, 'unexplained')} |"
        for c in made
        if not c.equal
    ]
    return _TEXT.format(
        equal=total[True],
        all=total[True] + total[False],
        different=total[False],
        rows="\n".join(rows),
        apart="\n".join([_HEAD, *apart]) if apart else "None.",
        not_held="\n".join(f"- {table}, {what}." for table, what in NOT_HELD.items()),
        not_made="\n".join(f"- {table}, {what}." for table, what in NOT_MADE.items()),
    )


def main() -> int:
    """Write the page, or look whether it is as it would be written."""
    parser = argparse.ArgumentParser(description="CDISCPILOT01 against its study report, cell by cell")
    parser.add_argument("--data", help="the folder cdiscpilot01 (default: in the shared folder)")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where the page would change")
    given = parser.parse_args()
    made = compare(data_folder(given.data))
    text = page(made)
    if given.check:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    equal = sum(c.equal for c in made)
    print(f"{PAGE.relative_to(ROOT)}: {equal:,} of {len(made):,} cells equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
