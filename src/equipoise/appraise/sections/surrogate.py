"""Is the marker a surrogate here? The criteria on this trial, the field's trials, other diseases, and how often such an
evidence base would have been fooled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from equipoise.appraise.context import Context
from equipoise.appraise.numbers import in_percent, number
from equipoise.appraise.questions.vocabulary.reviews import stands, surrogacy_table
from equipoise.document.document import Block, Fold, Inlines, Listing, Paragraph, Row, Section, Table, Text
from equipoise.document.text import lower, upper
from equipoise.records.schema import Source as RecordSource
from equipoise.records.schema import Value

_DASH: Inlines = (Text("–"),)
_ITEMS = ("surr_ms", "surr_kidney", "surr_fda_table")
_GAPS = (
    "CONSORT-Surrogate asks a trial that rests on a surrogate to justify it. Two things were not stated: how large an "
    "effect on the marker promises a benefit, and how well such effects have predicted effects on function before."
)


def build(ctx: Context) -> Section | None:
    """The section, for a trial of the field that measured neurofilament."""
    from equipoise.appraise.landscape.pairs import VERDICT, stored  # loads numpy: only when asked

    if not stands(ctx):
        return None
    writer, found = ctx.writer, stored()
    blocks: list[Block] = [
        Paragraph(
            writer.words(
                "One trial can contradict a surrogate; it cannot establish one. That takes many trials in which a "
                "larger effect on the marker went with a larger effect on patients."
            ),
            lead=True,
        ),
        Fold(
            "f-surrogate-trial",
            writer.words("This trial, condition by condition"),
            tuple(
                replace(b, id="t-surrogate-trial", caption=writer.words("The conditions, as this trial answers them."))
                for b in surrogacy_table(ctx)
                if isinstance(b, Table)
            ),
        ),
        Fold(
            "f-surrogate-field", writer.words("The trials of the field, one by one"), (_landscape(ctx, found, VERDICT),)
        ),
        Paragraph(_computed(ctx, found["verdict"], VERDICT, "the trial level of the field")),
    ]
    told = [_item(ctx, id) for id in _ITEMS]
    there = tuple(t for t in told if t)
    if there:
        blocks.append(Fold("f-elsewhere", writer.words("Elsewhere, and by the regulator"), (Listing(there),)))
    level = (
        "In the terms of BEST, the glossary of FDA and NIH, it is a reasonably likely surrogate for this kind of drug "
        "in this kind of patient, not a validated one."
        if ctx.item("surr_fda_table") is not None
        else "In the terms of BEST, the glossary of FDA and NIH, it is a marker of response here; nothing in the "
        "record makes it a surrogate."
    )
    blocks += [Paragraph(writer.words(level)), Paragraph(writer.words(_GAPS))]
    if "fooled" in found:
        blocks.append(
            Fold(
                "f-fooled", writer.words("How often would such an evidence base be fooled?"), tuple(_fooled(ctx, found))
            )
        )
    return Section("surrogate", writer.words("Is neurofilament a surrogate here?"), tuple(blocks))


def _computed(ctx: Context, text: str, command: str, what: str) -> Inlines:
    return ctx.writer.quote_computed(text, command, what, "see docs/methods/surrogacy.md")


def _item(ctx: Context, id: str) -> Inlines | None:
    item = ctx.item(id)
    if item is None or not item.text or not item.usable:
        return None
    text = ctx.writer.told(item.text, item, *item.values.values(), stop=".")
    return None if text is None else (*ctx.writer.label(item.label), Text(": "), *text)


def _landscape(ctx: Context, found: dict[str, Any], command: str) -> Table:
    writer = ctx.writer
    rows = []
    for row in found["rows"]:
        writer.register(row["name"])
        cells = [_half(ctx, row, key) for key in ("marker", "function")]
        enters = row["marker"] is not None and row["function"] is not None
        why = "; ".join(row["cautions"] if enters else row["reasons"])
        said = ("enters" if enters else "cannot enter") + (f" ({why})" if why else "")
        people = f", {lower(row['set'])}" if row["set"] else ""
        which = writer.label("; ".join(row["analytes"]))
        rows.append(Row((writer.label(row["name"] + people), which, *cells, upper(writer.label(said)))))
    caption = writer.say(
        "The {m} trials that measured neurofilament, of {n} on record, and which neurofilament it was: light and heavy "
        "chain are taken together. A result given only in words is shown as missing, since a regression has to leave "
        "it out.",
        m=_computed(ctx, str(len(found["rows"])), command, "trials that measured the marker"),
        n=_computed(ctx, str(found["trials"]), command, "trials of the field"),
    )
    heads = ("Trial", "Marker", "Its ratio, drug to control", "Function, points a month", "In the regression")
    return Table("t-surrogate-field", caption, writer.heads(*heads), tuple(rows), (False, False, True, True, False))


def _half(ctx: Context, row: dict[str, Any], key: str) -> Inlines:
    """One effect of a trial, linked to where it was read: a place of this record, or of that trial's own.

    A difference that was published over weeks is made one a month here: it leads to the command that prints it.
    """
    half = row[key]
    if half is None:
        return _DASH
    source = half["source"]
    if key == "function" and half["confidence"] == "derived":
        what = f"difference of {row['name']} over its weeks, as points a month, from {source} {half['place']}"
        return (ctx.writer.by_command(half["shown"], "equipoise surrogate als", what),)
    if source not in ctx.record.sources or ctx.record.sources[source].title != half["title"]:
        source = f"{row['name']}: {source}"
        read = RecordSource(title=half["title"], address=half["address"], what=half["what"])
        ctx.writer.adopt("", "", "", {source: read}, {})
    value = Value(source=source, place=half["place"], confidence=half["confidence"], note=half["note"])
    return (ctx.writer.cite(half["shown"], value),)


def _fooled(ctx: Context, found: dict[str, Any]) -> list[Block]:
    from equipoise.appraise.landscape.pairs import FOOLED, most_fooled

    writer, fooled, command = ctx.writer, found["fooled"], FOOLED
    what = "shares of simulated literatures, as equipoise surrogate als --operating-characteristics gives them"
    names = [d["name"] for d in fooled["designs"]]
    for name in names:
        writer.register(name)
    blocks: list[Block] = [
        Paragraph(
            _computed(
                ctx,
                f"Those of the {len(found['rows'])} trials whose two arms and length are on record "
                f"({', '.join(names[:-1])} and {names[-1]}) were simulated {fooled['literatures']} times over in each "
                f"of {len(fooled['worlds'])} worlds, at these sizes and lengths, with drugs given as theirs and "
                f"each trial's own analysis where one was read; what drugs do differs from trial to trial.",
                command,
                what,
            )
        ),
        Listing(tuple(_computed(ctx, f"{w['name']}: {w['says']}", command, what) for w in fooled["worlds"])),
    ]
    best, worst = (number(x, 0) for x in most_fooled(fooled))
    said = (
        f"Where the marker is a surrogate, the most generous criterion finds it in {best} per cent of such "
        f"literatures; where it is not, the most easily fooled is fooled in {worst} per cent. So few trials can "
        f"neither establish nor refute it."
    )
    blocks.insert(0, Paragraph(_computed(ctx, said, command, what)))
    for i, published in enumerate(dict.fromkeys(c["published"] for c in fooled["cells"])):
        cells = [c for c in fooled["cells"] if c["published"] == published]
        rows = []
        for criterion in dict.fromkeys(c["criterion"] for c in cells):
            by_world = {c["world"]: c for c in cells if c["criterion"] == criterion}
            rows.append(
                Row(
                    (
                        _computed(ctx, criterion, command, what),
                        *(_share(ctx, by_world[w["name"]], command, what) for w in fooled["worlds"]),
                    )
                )
            )
        heads = tuple(writer.label(w["name"] + (" (surrogate)" if w["surrogate"] else "")) for w in fooled["worlds"])
        caption = writer.say(
            "Per cent of literatures that a criterion validates, with the Monte Carlo error; {p}. In the first world "
            "that is right, in the others it is a false validation.",
            p=published,
        )
        columns = (writer.words("Criterion"), *heads)
        blocks.append(Table(f"t-fooled-{i + 1}", caption, columns, tuple(rows), (False, *(True for _ in heads))))
    return blocks


def _share(ctx: Context, cell: dict[str, Any], command: str, what: str) -> Inlines:
    share, n = float(cell["validated"]), int(cell["n"])
    error = (share * (1.0 - share) / n) ** 0.5
    return _computed(ctx, f"{in_percent(share)} ({in_percent(error, 1)})", command, what)
