"""Comparisons with reference results: the worst entry of a block of numbers, and the public tables made from them.

The reference results and their data lie in EQUIPOISE_SHARED; a topic's module (``mmrm_cases`` and the like) runs its
cases here and yields one `Comparison` a block. The test of a case and the page in docs/parity are both made from these.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[2] / "shared"))
MONTE_CARLO = "Monte Carlo errors"


@dataclass(frozen=True)
class Comparison:
    """One block of numbers: the entry with the largest difference, what it is in units of, and how many there are.

    The difference is relative to max(|reference|, floor), or in the unit that is named. Tolerance None: shown, and not
    held to anything, for the reason that the page gives.
    """

    case: str
    method: str
    quantity: str
    ours: float
    reference: float
    difference: float
    tolerance: float | None
    size: int = 1
    unit: str = ""

    @property
    def passed(self) -> bool:
        return self.tolerance is None or bool(self.difference <= self.tolerance)


def block(
    case: str,
    method: str,
    quantity: str,
    ours: object,
    reference: object,
    tolerance: float | None,
    floor: object = 0.0,
    *,
    missing: bool = False,
    unit: str = "",
    scale: object = None,
) -> Comparison:
    """The worst entry of a block, by its difference relative to max(|reference|, floor), or in units of `scale`.

    An entry that is 0 in the reference must be 0 here unless there is a floor or a scale. With `missing` an entry may
    be no number, here and in the reference alike.
    """
    a, b = (np.asarray(_values(x), float).ravel() for x in (ours, reference))
    assert a.shape == b.shape, (case, method, quantity, a.shape, b.shape)
    assert a.size, (case, method, quantity)
    assert missing or not np.isnan(b).any(), (case, method, quantity)
    if scale is None:
        scale = np.maximum(np.abs(b), np.broadcast_to(np.asarray(floor, float).ravel(), b.shape))
    scale = np.broadcast_to(np.asarray(scale, float).ravel(), b.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b) / scale)
    difference = np.where(np.isnan(difference), np.inf, difference)
    worst = int(np.argmax(np.where(np.isnan(b) & (difference == 0.0), -1.0, difference)))
    return Comparison(
        case, method, quantity, float(a[worst]), float(b[worst]), float(difference[worst]), tolerance, a.size, unit
    )


def _values(x: object) -> object:
    return x["values"] if isinstance(x, dict) else x


def check(compared: Sequence[Comparison], at_least: int = 1) -> None:
    """Fail with every block that is out of its tolerance."""
    wrong = [c for c in compared if not c.passed]
    assert not wrong, "\n".join(
        f"{c.case} {c.method} {c.quantity}: {c.ours!r} here, {c.reference!r} in the reference, "
        f"difference {c.difference:.2e} > {c.tolerance:.0e} {c.unit}"
        for c in wrong
    )
    assert len(compared) >= at_least


@cache
def reference(name: str) -> dict[str, Any]:
    """The reference results of a file of EQUIPOISE_SHARED/reference; skips the test where it is absent."""
    path = SHARED / "reference" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the shared reference results are not at {path} (set EQUIPOISE_SHARED)")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def data_file(name: str) -> Path:
    """A data set of EQUIPOISE_SHARED/data; skips the test where it is absent."""
    path = SHARED / "data" / name
    if not path.is_file():
        pytest.skip(f"the shared data are not at {path} (set EQUIPOISE_SHARED)")
    return path


def versions(name: str) -> str:
    """'R 4.2.2, survival 3.5.3' from the reference file itself."""
    return ", ".join(f"{package} {version}" for package, version in reference(name)["versions"].items())


@dataclass(frozen=True)
class Section:
    """A heading of a page, its prose, and the comparisons below it."""

    title: str
    prose: str
    compared: tuple[Comparison, ...]


HEAD = "| case | numbers | how many | here | reference | difference | tolerance |"


def row(c: Comparison) -> str:
    """A row of a table: the worst entry of one block."""
    what = f"{c.method}: {c.quantity}" if c.method else c.quantity
    unit = f" {c.unit}" if c.unit else ""
    far = f"{c.difference:.2f}" if c.unit == MONTE_CARLO else f"{c.difference:.1e}"
    held = "shown only" if c.tolerance is None else f"{c.tolerance:.3g}{unit}"
    return f"| {c.case} | {what} | {c.size} | {c.ours:.10g} | {c.reference:.10g} | {far}{unit} | {held} |"


def _overview(sections: Iterable[Section]) -> list[str]:
    out = ["| part | cases | blocks | numbers | largest difference |", "|---|---:|---:|---:|---|"]
    for s in sections:
        largest = []
        for unit in dict.fromkeys(c.unit for c in s.compared):
            held = [c for c in s.compared if c.unit == unit and c.tolerance is not None]
            if held:
                worst = max(c.difference for c in held)
                figure = f"{worst:.1f}" if unit == MONTE_CARLO else f"{worst:.1e}"
                largest.append(f"{figure} {unit or 'relative'}")
        out.append(
            f"| {s.title} | {len({c.case for c in s.compared})} | {len(s.compared)} "
            f"| {sum(c.size for c in s.compared)} | {'; '.join(largest) or 'shown only'} |"
        )
    return out


def _wrapped(prose: str) -> str:
    """Paragraphs of 120 columns."""
    wrap = textwrap.TextWrapper(width=120, break_on_hyphens=False, break_long_words=False)
    return "\n\n".join(wrap.fill(" ".join(paragraph.split())) for paragraph in prose.strip().split("\n\n"))


READING = """One row a block of numbers (all coefficients of a fit, say): how many they are, the entry with the largest
difference here and in the reference, that difference (relative to the reference, unless a unit stands beside it), and
the tolerance that the test holds the whole block to."""


def page(name: str, title: str, prose: str, sections: Sequence[Section]) -> str:
    """The whole page as Markdown."""
    lines = [
        f"# {title}",
        "",
        _wrapped(prose),
        "",
        _wrapped(READING),
        "",
        f"This page is written by `python tests/parity_pages.py {name}` and checked by `tests/test_parity_pages.py`.",
        "",
        *_overview(sections),
    ]
    for s in sections:
        lines += ["", f"## {s.title}", ""]
        if s.prose:
            lines += [_wrapped(s.prose), ""]
        lines += [HEAD, "|---|---|---:|---:|---:|---:|---:|", *map(row, s.compared)]
    return "\n".join(lines) + "\n"
