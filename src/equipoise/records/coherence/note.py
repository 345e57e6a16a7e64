"""A computed note, and the words and numbers that all checks share."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from equipoise.records.check import decimals
from equipoise.records.schema import PValue, Record, Result, Value

NoteKind = Literal[
    "p_and_interval",
    "p_and_se",
    "p_and_counts",
    "p_and_means",
    "interval_and_estimate",
    "interval_scale",
    "se_and_interval",
    "sd_or_se",
    "one_sided_interval",
    "one_sided_p",
    "ratio_called_difference",
    "contrast_and_arms",
    "percent_and_count",
    "arm_and_total",
    "impossible_mean",
    "impossible_percent",
    "impossible_sd",
    "not_prespecified",
    "prespecified_after_unblinding",
    "after_failed_gatekeeper",
    "numbers",
]

Certainty = Literal["certain", "likely", "possible"]
"""How sure a note is. certain: arithmetic leaves no other reading. likely: another reading would be unusual. possible:
an ordinary reason could explain it (another model, a rounding habit, people who left), and a reader should look."""


@dataclass(frozen=True)
class Note:
    """One computed note: what was found, why it matters to a reader, how sure it is, and the addresses it rests on."""

    id: str
    kind: NoteKind
    what: str
    why: str
    refs: tuple[str, ...]
    result: str
    """Id of the result it is about; empty where it is about another block."""
    primary: bool = False
    """Whether that is the result of the primary outcome."""
    changes_verdict: bool = False
    """Whether the two p-values lie on different sides of 0.05."""
    certainty: Certainty = "likely"
    explained: str | None = None
    """What would explain it: the test, level, scale or slip under which the numbers agree; None if none was found."""
    block: str = ""
    """Id of the block it is about: a result, a row, an item."""


# -- words and numbers ------------------------------------------------------------------------------------------------


def name_of(record: Record, result: Result, *, method: bool = True) -> str:
    """A result in words: outcome, set, week, subset, model."""
    cut = next((c.label for c in record.cuts if c.id == result.cut), None)
    when = f", {record.when(result.week)}" if result.week is not None else f", {cut}" if cut else ""
    subset = f", {result.subset}" if result.subset else ""
    row = f", {result.row}" if result.row else ""
    by = f" ({next((m.label for m in record.methods if m.id == result.method), result.method)})" if method else ""
    return f"{record.outcome(result.outcome).label}, {_set_name(record, result.set)}{when}{subset}{row}{by}"


def _set_name(record: Record, id: str) -> str:
    """An analysis set by its label, without what stands in brackets; its id where a label is long or none is given."""
    label = next((s.label for s in record.sets if s.id == id), id)
    name = re.sub(r"\s*\([^)]*\)", "", label).strip()
    if not name or name.endswith((".", "…")) or len(name) > 60:
        return id
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def shown_p(p: PValue) -> str:
    """A p-value as printed: ``p = 0.03``, ``p < 0.0001``, a span; one of a one-sided test says so."""
    side = "one-sided " if p.sides == "one" else ""
    if p.value is None:
        return f"{side}p = {p.low:g} to {p.high:g}"
    return f"{side}p {p.relation} {p.value:g}"


def rounded_p(p: float) -> str:
    """A computed p-value in two figures."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def two_sided(z: float) -> float:
    """Two-sided p-value of a standard normal deviate."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def logit(p: float) -> float:
    """Log odds of a probability, kept finite."""
    p = min(max(p, 1e-300), 1.0 - 1e-12)
    return math.log(p) - math.log1p(-p)


def normal_quantile(p: float) -> float:
    """Quantile of the standard normal distribution."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)


def unit_of(value: Value) -> float:
    """Half a unit of the last printed place of a value: what rounding can have moved it by."""
    places = value.digits if value.digits is not None else decimals(float(value.value or 0))
    return 0.5 * 10.0**-places
