"""Second trials, predicted from the first, as blocks of a page: each reading beside what happened.

The predictions are stored in the library (:func:`equipoise.appraise.landscape.second_trials.stored`); every number
leads to the command that makes them, which prints each with its source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.appraise import numbers
from equipoise.appraise.writer import Writer
from equipoise.document.document import Bar, Block, Computed, Inlines, Paragraph, Row, Table, Text
from equipoise.document.text import upper

READINGS = {
    "as it stands": "the estimate is the truth",
    "with its error": "the truth lies about the estimate, by its standard error",
    "as selected": "an estimate is looked at because it was high, and is lowered by what that does",
    "sceptically": "the estimate, and what other drugs of the field have done",
    "by draws": "what the numbers say that the replica of the first trial was fitted to, by its posterior",
}
"""What each reading of a first estimate takes to be true."""


def of_trial(found: Mapping[str, Any], record: str) -> list[Mapping[str, Any]]:
    """The stored pairs whose first trial this is.

    >>> of_trial({"trials": [{"first": {"record": "one"}}]}, "two")
    []
    """
    return [t for t in found["trials"] if t["first"]["record"] == record]


WHAT = "second trials, predicted from the first"
METHOD = "the first trial's estimate, the second one's precision, and effects of other drugs: see the methods page"
_SOURCE = re.compile(r" \[[^\]]*\]")


def told(writer: Writer, found: Mapping[str, Any], text: str) -> Computed:
    """A figure that the command of the predictions prints."""
    return writer.by_command(text, found["command"], WHAT, METHOD)


_HAZARDS = "log ratio of hazards"
"""The unit of a first estimate on survival: a hazard ratio below one is told as a number above zero."""

BACKWARDS = "An earlier trial, predicted backwards: it tests the carry-over, not the winner's curse."


def lead(writer: Writer, pairs: Sequence[Mapping[str, Any]]) -> Inlines:
    """Why a second trial disappoints, or, where the other trial came before, what predicting it tests."""
    if pairs and all(t["earlier"] for t in pairs):
        return writer.words(
            f"{BACKWARDS} Below, the same result is read in several ways, and each way predicts that trial. Nothing of "
            "it goes in but its precision."
        )
    return writer.words(
        "A second trial is usually run because the first one looked good, so the first was more often lucky than "
        "unlucky: the winner's curse. Below, the same first result is read in several ways, "
        "and each way predicts the second trial. Nothing of the second trial goes in but its precision."
    )


def pair(writer: Writer, found: Mapping[str, Any], t: Mapping[str, Any]) -> list[Block]:
    """One pair: a row a reading, and what happened."""

    def n(text: str) -> Computed:
        return told(writer, found, text)

    rows = []
    for r in t["readings"]:
        name = writer.say("{r}: {w}", r=r["reading"], w=writer.words(READINGS[r["reading"]]))
        effect = numbers.number(r["effect"], 2)
        if r["high"] - r["low"] > 0.005:  # a point otherwise
            effect = f"{effect} ({numbers.span(r['low'], r['high'], 2)})"
        bar = Bar(0.0, 1.0, None, r["success"], None, None)
        rows.append(Row((upper(name), (n(effect),), (n(numbers.percent(r["success"], 0)), bar))))
    caption = writer.say(
        "{l}: the first estimate, {e} {u} (standard error {s}), read in several ways, and the chance that the {o} "
        "trial succeeds; in brackets 95 % intervals of the effect. Above zero favours the drug.",
        l=writer.label(_known(writer, t["label"])),
        e=n(numbers.number(t["first"]["estimate"], 2)),
        u=writer.words(t["unit"] + (", the sign turned" if t["unit"] == _HAZARDS else "")),
        s=n(numbers.number(t["first"]["se"], 2)),
        o=writer.words("earlier" if t["earlier"] else "second"),
    )
    heads = writer.heads("Reading", "Effect", "Chance of success")
    table = Table(f"t-second-{t['id'].replace('_', '-')}", caption, heads, tuple(rows), (False, True, True))
    low, _, high = t["sensitivity"].values()
    sceptic = writer.say(
        "A sceptical reading takes {r} of the estimate for luck. The effects of other drugs come from {k} trials; "
        "with a prior of half or twice the width the chance of success is {a} or {b}.",
        r=n(numbers.percent(t["removed"], 0)),
        k=n(str(len(t["prior"]["drugs"]))),
        a=n(numbers.percent(low, 0)),
        b=n(numbers.percent(high, 0)),
    )
    return [table, Paragraph(sceptic), Paragraph(assumed(writer, found, t)), Paragraph(happened(writer, found, t))]


def assumed(writer: Writer, found: Mapping[str, Any], t: Mapping[str, Any]) -> Inlines:
    """What carries the first result over to the other trial; the command prints it."""
    return writer.quote_computed(f"Assumed: {t['assumed']}.", found["command"], WHAT, METHOD)


def happened(writer: Writer, found: Mapping[str, Any], t: Mapping[str, Any]) -> Inlines:
    """What the second trial showed, as far as it is known; the command prints it with its sources."""
    said = _SOURCE.sub("", t["outcome"])
    if t["observed"] is not None:
        estimate, se = (numbers.number(t["observed"][part], 2) for part in ("estimate", "se"))
        said = f"{said}; the estimate was {estimate} (standard error {se})"
    return writer.quote_computed(f"What happened: {said}.", found["command"], WHAT, METHOD)


def overview(writers: Mapping[str, Writer], found: Mapping[str, Any]) -> list[Block]:
    """Every pair of a field whose first trial is on the page, a row each; ``writers`` by the first trial's record."""
    rows = []
    shown: Sequence[str] = [
        name for name in READINGS if any(r["reading"] == name for t in found["trials"] for r in t["readings"])
    ]
    writer = next((writers[t["first"]["record"]] for t in found["trials"] if t["first"]["record"] in writers), None)
    if writer is None:
        return []
    for t in found["trials"]:
        own = writers.get(t["first"]["record"])
        if own is None:
            continue
        by_name = {r["reading"]: r["success"] for r in t["readings"]}
        cells = [
            (told(own, found, numbers.percent(by_name[name], 0)),) if name in by_name else (Text("–"),)
            for name in shown
        ]
        seen = "met" if t["met"] else "not met"
        if t["met"] is None:
            seen = "not known" if t["observed"] is None else "not stated"
        rows.append(Row((own.label(_known(own, t["label"])), *cells, own.words(seen))))
    told_assumed = [
        Paragraph(
            (
                *own.say("{l}. ", l=own.label(_known(own, t["label"]))),
                *(own.words(f"{BACKWARDS} ") if t["earlier"] else ()),
                *assumed(own, found, t),
            )
        )
        for t in found["trials"]
        if (own := writers.get(t["first"]["record"])) is not None
    ]
    caption = writer.words(
        "The chance that each second trial succeeds, by several readings of the first, and whether it did. A dash is a "
        "reading that this pair does not have."
    )
    heads = (*writer.heads("Second trial"), *(upper(writer.words(name)) for name in shown), *writer.heads("Seen"))
    numeric = (False, *(True for _ in shown), False)
    said = "; ".join(f"{name}, {READINGS[name]}" for name in shown)
    return [
        Paragraph(lead(writer, ())),
        Paragraph(writer.words(f"The readings: {said}.")),
        Table("t-second", caption, heads, tuple(rows), numeric),
        *told_assumed,
    ]


def _known(writer: Writer, label: str) -> str:
    """A label of a pair, whose names of trials hold digits."""
    writer.register(label)
    return label
