"""How this page was made: versions, commands, and what its numbers are."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import equipoise
from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.document.document import Block, Facts, Fold, Inlines, Paragraph, Section

_PACKAGES = ("numpy", "scipy", "numba", "pydantic", "jinja2", "vl-convert-python")


def build(ctx: Context) -> Section:
    """The commands that make the page and its parts, and the versions they ran with."""
    writer, record = ctx.writer, ctx.record
    command = f"equipoise appraise {ctx.address}"
    command += ctx.reader.options
    if ctx.own_judgements:
        command += " --judgements FILE"
    items: list[tuple[Inlines, Inlines]] = [
        (writer.words("The page"), (writer.code(command),)),
        (writer.words("The record"), (writer.code(f"equipoise records show {ctx.address}"),)),
    ]
    if record.origin == "posted":
        items.append((writer.words("Where the record is from"), (writer.code(f"equipoise import {record.id}"),)))
    if ctx.replica is not None:
        r = ctx.replica
        items.append((writer.words("The replica"), (writer.code(r.command),)))
        made = f"scenario {r.scenario}, mechanism {r.mechanism}, seed {r.seed}, {r.replicates} replicates"
        items.append((writer.words("Replica settings"), (writer.code(f"{made}, version {r.version}"),)))
    versions = [f"equipoise {equipoise.__version__}", f"python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    items.append((writer.words("Versions"), (writer.code(", ".join(versions)),)))
    seen = sum(entry.sourced.usable for entry in writer.index.values())
    count = f"r = load_record('{ctx.address}'); print(len(r.index()), len(r.sources))"
    holds = f'python -c "from equipoise.records import load_record; {count}"'
    what = "sourced facts in the record, and sources"
    facts, sources = (writer.by_command(numbers.number(n), holds, what) for n in (seen, len(record.sources)))
    items.append((writer.words("The record holds"), writer.say("{f} sourced facts; sources: {s}", f=facts, s=sources)))
    blocks: list[Block] = [
        Paragraph(
            writer.words(
                "Every number here is either published, and then links to the place where it was read, or computed, "
                "and then links to the command that prints it. Prose is ours; sentences follow what the record says, "
                "and a number that is only remembered is never shown. Intervals are 95 % intervals unless a source "
                "says otherwise. The page is written by program from the record, so that a mended record mends the "
                "page."
            )
        ),
        Fold("made-by", writer.words("Commands and versions"), (Facts(tuple(items)),)),
    ]
    return Section("made", writer.words("How this page was made"), tuple(blocks))
