"""`equipoise simulate`: one virtual trial as a folder of CDISC ADaM files."""

from __future__ import annotations

from pathlib import Path

import typer


def simulate(
    scenario: str = typer.Argument(help="A shipped scenario, e.g. valor, or a scenario file."),
    adam: Path = typer.Option(..., "--adam", help="Folder to write the ADaM data sets to."),
    seed: int = typer.Option(1, "--seed", min=0, max=2**63 - 1, help="Seed of the trial."),
    replicate: int = typer.Option(0, "--replicate", min=0, max=2**63 - 1, help="Which replicate of that seed."),
    mechanism: str | None = typer.Option(
        None, "--mechanism", "-m", help="How the drug acts, e.g. none or slowing; default the scenario's own."
    ),
    imbalance: bool = typer.Option(
        True, "--as-it-happened/--randomised", help="Baseline unlike in the arms as it was, or freshly randomised."
    ),
) -> None:
    """Write one virtual trial as CDISC ADaM files, and its analysis plan.

    plan.yaml is the scenario's own: equipoise analyse FOLDER/plan.yaml --data FOLDER carries it out.
    """
    from equipoise.cli.common import say, write_text
    from equipoise.plan.analysis_plan import dump_plan
    from equipoise.simulate import load_scenario
    from equipoise.simulate import simulate as run
    from equipoise.trial.adam import from_trial, write_adam

    chosen = load_scenario(scenario)
    trials = run(chosen, 1, seed=seed, first=replicate, mechanism=mechanism, imbalance=imbalance)
    for path in write_adam(from_trial(trials[0]), adam):
        say(f"wrote {path}")
    write_text(adam / "plan.yaml", dump_plan(chosen.whole_plan()))
    say(f"wrote {adam / 'plan.yaml'}")
