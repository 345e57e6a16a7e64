"""`equipoise fit`: fit a scenario to the published record and write it with its misfit table."""

from __future__ import annotations

from pathlib import Path

import typer


def fit(
    record: str = typer.Argument(help="The trial, e.g. valor; its record and scenario have that name."),
    out: Path = typer.Option(Path("fitted.yaml"), "--out", "-o", help="Where to write the fitted scenario."),
    seed: int = typer.Option(
        20260101, "--seed", min=0, max=2**63 - 1, help="Seed of the cohort that predictions are read off."
    ),
    trials: int = typer.Option(120, "--trials", min=10, help="Copies of the trial in that cohort."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    scenario_file: str | None = typer.Option(None, "--scenario", help="A scenario file of your own, to be fitted."),
    plan: Path | None = typer.Option(None, "--fit-plan", help="A fit plan of your own: what is fitted to what."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Fit the disease and the drug to what was published.

    The fit plan says which numbers are used; what came later is not: it is the check. Each mechanism of action is
    fitted on its own.
    """
    from equipoise.calibrate import fit as run_fit
    from equipoise.calibrate import misfit_table
    from equipoise.calibrate.plan import load_plan
    from equipoise.cli.common import check_writable, command_of, progress_bar, say, write_text
    from equipoise.records import load_record
    from equipoise.simulate import load_scenario, scenario_text

    check_writable(out)
    published = load_record(record, records_dir=records_dir)
    scenario = load_scenario(scenario_file or published.id)
    with progress_bar(quiet) as report:
        fitted = run_fit(
            published,
            scenario,
            plan=None if plan is None else load_plan(str(plan)),
            trials=trials,
            seed=seed,
            progress=lambda block, n, free: report(f"fitting {block}: {free} parameters, evaluation {n}", n, 0),
        )
    table = misfit_table(fitted)
    own = (("--records", records_dir), ("--scenario", scenario_file), ("--fit-plan", plan))
    command = command_of(("fit", record, "--seed", str(seed), "--trials", str(trials)), own)
    header = f"Scenario fitted to the record {published.id!r} by: {command}\n"
    write_text(out, scenario_text(fitted.scenario, header + "\n" + table))
    print(table)
    say(f"wrote {out}")
