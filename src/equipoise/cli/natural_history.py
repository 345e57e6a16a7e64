"""`equipoise natural-history`: what control patients of a field did, as a prior for the next trial."""

from __future__ import annotations

import json
from pathlib import Path

import typer


def natural_history(
    field: str = typer.Argument(help="The field: als."),
    quantity: str | None = typer.Option(None, "--quantity", help="slope, spread, events or leaving; default all."),
    tau_scale: float | None = typer.Option(
        None, "--tau-scale", help="Scale of the half-normal prior of the spread between trials; default the quantity's."
    ),
    vague: float = typer.Option(0.2, "--vague", min=0, max=1, help="Share of the vague component."),
    vague_sd: float | None = typer.Option(None, "--vague-sd", help="Its SD; default one patient's worth."),
    without: list[str] = typer.Option([], "--without", help="Leave out this record; may be repeated."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Write it as JSON, the priors as mixtures of normals."),
    plot: Path | None = typer.Option(None, "--plot", help="Draw it: .svg, .png or .json; with --quantity."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
) -> None:
    """Tell what patients on placebo did in the trials of a field, each number with its source, and the robust prior."""
    from equipoise.appraise.landscape.natural_history import natural_history as build
    from equipoise.cli.common import check_writable, say, write_text
    from equipoise.errors import RecordError

    if plot is not None and quantity is None:
        raise RecordError("--plot without --quantity", hint="one drawing shows one quantity: --quantity slope")
    for path in (out, plot):
        if path is not None:
            check_writable(path)
    made = build(
        field, quantity, records_dir=records_dir, tau_scale=tau_scale, share=vague, vague_sd=vague_sd, without=without
    )
    print("\n\n".join(map(str, made)))
    if out is not None:
        write_text(out, json.dumps([h.to_dict() for h in made], indent=1, ensure_ascii=False) + "\n")
        say(f"wrote {out}")
    if plot is not None:
        say(f"wrote {made[0].plot().save(plot)}")
