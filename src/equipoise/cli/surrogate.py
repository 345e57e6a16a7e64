"""`equipoise surrogate`: is a marker a surrogate, by the trials of a field?"""

from __future__ import annotations

import json
from pathlib import Path

import typer


def surrogate(
    field: str = typer.Argument(help="The field: als."),
    marker: str | None = typer.Option(None, "--marker", help="The marker; default the field's."),
    endpoint: str | None = typer.Option(None, "--endpoint", help="The true endpoint; default the field's."),
    operating_characteristics: bool = typer.Option(
        False, "--operating-characteristics", help="Also simulate how often each criterion would be fooled."
    ),
    every: bool = typer.Option(
        False, "--every-trial", help="Simulate every trial of the field with known sizes, as if each had measured it."
    ),
    literatures: int = typer.Option(200, "--literatures", min=1, help="Literatures simulated in each world."),
    seed: int = typer.Option(1, "--seed", min=0, help="Seed of the simulation."),
    threads: int = typer.Option(2, "--threads", min=1, max=256, help="Threads."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Write the simulated shares as CSV."),
    store: Path | None = typer.Option(None, "--store", help="Write all of it as JSON, as pages read it."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
) -> None:
    """Tell which trials enter a trial-level regression, which cannot and why, and what may be said."""
    from equipoise.appraise.landscape.page import FIELDS
    from equipoise.appraise.landscape.pairs import ENDPOINTS, MARKERS, pair_of, snapshot, trial_level, written
    from equipoise.cli.common import check_writable, progress_bar, say, write_text
    from equipoise.errors import RecordError
    from equipoise.records import list_records

    marker = next(iter(MARKERS)) if marker is None else marker
    endpoint = next(iter(ENDPOINTS)) if endpoint is None else endpoint
    for given, known, what in (
        (field, FIELDS, "field"),
        (marker, MARKERS, "marker"),
        (endpoint, ENDPOINTS, "endpoint"),
    ):
        if given not in known:
            raise RecordError(f"there is no {what} {given!r}", hint="choose one of: " + ", ".join(known))
    if out is not None:
        if not operating_characteristics:
            raise RecordError(
                "--out without --operating-characteristics", hint="there are no simulated shares to write"
            )
        check_writable(out)
    if every and not operating_characteristics:
        raise RecordError("--every-trial without --operating-characteristics", hint="nothing is simulated")
    if store is not None:
        check_writable(store)
    known_records = [i.record for i in list_records(records_dir=records_dir) if i.record is not None]
    chosen = [r for r in known_records if FIELDS[field].holds(r) and len(r.arms) >= 2]
    if not chosen:
        raise RecordError(f"no record is of the field {field!r}", hint="'equipoise records' lists them")
    pairs = sorted((pair_of(r) for r in chosen), key=lambda p: p.name.lower())
    entered = [p for p in pairs if p.enters]
    print(f"{len(entered)} of {len(pairs)} trials enter.\n")
    for p in entered:
        for what, half in (("ln ratio of the marker", p.marker), ("function, points a month", p.function)):
            if half is None:
                continue
            ratio = half is p.marker
            said = f"{'ratio' if ratio else 'that is'} {written(half, ratio)}"
            source = _source(p.record, half.sourced)
            print(f"  {p.name}: {what} {half.estimate:.3f} (SE {half.se:.3f}), {said}, {source}")
            if half.effect.caution:
                print(f"    caution: {half.effect.caution}")
    print("\nCannot enter, and why:")
    for p in pairs:
        if not p.enters:
            print(f"  {p.name}: {'; '.join(p.reasons)}")
    print()
    print(trial_level(pairs).summary())
    if not operating_characteristics:
        if store is not None:
            write_text(store, json.dumps(snapshot(pairs, None), indent=1, ensure_ascii=False) + "\n")
            say(f"wrote {store}")
        return
    from equipoise.appraise.landscape.designs import designs_of, not_designed
    from equipoise.replica.validation import operating_characteristics as characteristics

    designs = designs_of(chosen, every=every)
    if not designs:
        raise RecordError("no trial of the field has known sizes and a length", hint="'equipoise records' lists them")
    with progress_bar(quiet) as report:
        found = characteristics(designs, literatures=literatures, seed=seed, threads=threads, report=report)
    print()
    print("Trials simulated, with drug and analysis of function:")
    for design in designs:
        print(f"  {design.to_sentence()}")
    for name, why in not_designed(chosen, every=every).items():
        print(f"  not simulated: {name}, {why}")
    print()
    print(found.summary())
    if store is not None:
        write_text(store, json.dumps(snapshot(pairs, found), indent=1, ensure_ascii=False) + "\n")
        say(f"wrote {store}")
    if out is not None:
        write_text(out, found.table().write_csv())
        say(f"wrote {out}")


def _source(record: object, sourced: object) -> str:
    """Where a number was read: the key, the place and the title of its source."""
    key, place = getattr(sourced, "source", None), getattr(sourced, "place", None)
    found = getattr(record, "sources", {}).get(key)
    title = getattr(found, "title", "") if found is not None else ""
    return f"[{key}{' ' + place if place else ''}: {title}]"
