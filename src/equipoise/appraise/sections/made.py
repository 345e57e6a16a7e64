"""How this page was made: versions, commands, and what its numbers are."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import equipoise
from equipoise.appraise import show
from equipoise.appraise.context import Context
from equipoise.document.document import Block, Facts, Inlines, Paragraph, Section

_PACKAGES = ("numpy", "scipy", "numba", "pydantic", "jinja2", "vl-convert-python")


def build(ctx: Context) -> Section:
    """The commands that make the page and its parts, and the versions they ran with."""
    pen, record = ctx.pen, ctx.record
    command = f"equipoise appraise {ctx.address}"
    command += ctx.reader.options
    if ctx.own_judgements:
        command += " --judgements FILE"
    items: list[tuple[Inlines, Inlines]] = [
        (pen.words("The page"), (pen.code(command),)),
        (pen.words("The record"), (pen.code(f"equipoise records show {ctx.address}"),)),
    ]
    if record.origin == "posted":
        items.append((pen.words("Where the record is from"), (pen.code(f"equipoise import {record.id}"),)))
    if ctx.replica is not None:
        r = ctx.replica
        items.append((pen.words("The replica"), (pen.code(r.command),)))
        made = f"scenario {r.scenario}, mechanism {r.mechanism}, seed {r.seed}, {r.replicates} replicates"
        items.append((pen.words("Replica settings"), (pen.code(f"{made}, version {r.version}"),)))
    versions = [f"equipoise {equipoise.__version__}", f"python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    items.append((pen.words("Versions"), (pen.code(", ".join(versions)),)))
    seen = sum(entry.leaf.usable for entry in pen.index.values())
    count = f"r = load_record('{ctx.address}'); print(len(r.index()), len(r.sources))"
    holds = f'python -c "from equipoise.records import load_record; {count}"'
    what = "sourced facts in the record, and sources"
    facts, sources = (pen.by_command(show.number(n), holds, what) for n in (seen, len(record.sources)))
    items.append((pen.words("The record holds"), pen.say("{f} sourced facts from {s} sources", f=facts, s=sources)))
    blocks: list[Block] = [
        Paragraph(
            pen.words(
                "Every number here is either published, and then links to the place where it was read, or computed, "
                "and then links to the command that prints it. Prose is ours; sentences follow what the record says, "
                "and a number that is only remembered is never shown. Intervals are 95 % intervals unless a source "
                "says otherwise. The page is written by program from the record, so that a mended record mends the "
                "page."
            )
        ),
        Facts(tuple(items)),
    ]
    return Section("made", pen.words("How this page was made"), tuple(blocks))
