"""`equipoise posterior`: what a trial's published numbers say of its mechanisms, as draws and a summary."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from equipoise.calibrate.posterior import Posterior


def posterior(
    record: str = typer.Argument(help="The trial, e.g. valor; its record and fitted scenario have that name."),
    out: Path = typer.Option(
        Path("posterior.csv"), "--out", "-o", help="The draws, .csv or .parquet; the summary beside it as .json."
    ),
    resume: bool = typer.Option(False, "--resume", help="Go on from what an earlier run kept beside --out."),
    block: str | None = typer.Option(
        None, "--block", help="The block of the fit plan, by default that of the effect; those before it are held."
    ),
    mechanism: list[str] | None = typer.Option(None, "--mechanism", help="Only this one; may be given several times."),
    prior: list[str] | None = typer.Option(
        None, "--prior", help="Weight of a mechanism before, as lagged=0.4; equal by default."
    ),
    later: bool = typer.Option(
        False, "--include-later", help="Count the means after the randomised period; held out by default."
    ),
    discrepancy: float = typer.Option(
        0.5, "--discrepancy", help="What the model does not explain, as a share of each number's standard deviation."
    ),
    points: int = typer.Option(384, "--points", min=8, help="Points of the design in each of two waves."),
    particles: int = typer.Option(2000, "--particles", min=100, help="Of the sampler; twice as many in the last wave."),
    copies: int = typer.Option(100, "--copies", min=4, help="Copies of the trial that a prediction is read off."),
    replicates: int = typer.Option(2000, "--replicates", min=20, help="Simulated trials for the covariance."),
    draws: int = typer.Option(400, "--draws", min=20, help="Draws of each mechanism that the model itself corrects."),
    seed: int = typer.Option(20260101, "--seed", min=0, max=2**62, help="Seed of everything drawn."),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    scenario_file: str | None = typer.Option(None, "--scenario", help="A scenario file of your own."),
    plan: Path | None = typer.Option(None, "--fit-plan", help="A fit plan of your own: its bounds are the prior."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """What the published numbers say of how the drug works: draws, weights of the mechanisms, and how sure they are.

    Every run of the model is kept in a folder beside the draws until the end; --resume goes on from there.
    """
    import json

    from equipoise.calibrate.plan import load_plan
    from equipoise.calibrate.posterior import Sizes, summary
    from equipoise.calibrate.posterior import posterior as found_by
    from equipoise.calibrate.posterior.likelihood import DISCREPANCY
    from equipoise.cli.common import check_writable, command_of, compile_once, progress_bar, say, write_text
    from equipoise.errors import ScenarioError
    from equipoise.records import load_record
    from equipoise.simulate import load_scenario

    if out.suffix not in (".csv", ".parquet"):
        raise ScenarioError(f"--out {out}: draws are written as .csv or .parquet", hint="e.g. --out posterior.csv")
    check_writable(out)
    published = load_record(record, records_dir=records_dir)
    scenario = load_scenario(scenario_file or published.id)
    kept = out.with_suffix(".runs")
    if not resume:
        _clear(kept)
    with progress_bar(quiet) as report:
        compile_once(report)
        made = found_by(
            published,
            scenario,
            plan=None if plan is None else load_plan(str(plan)),
            block=block,
            mechanisms=mechanism or None,
            prior=_weights(prior),
            later=later,
            discrepancy=discrepancy,
            sizes=Sizes(points, copies, replicates, particles, draws),
            seed=seed,
            store=kept,
            progress=report,
        )
    _write(made, out)
    options = (
        ("--block", block),
        ("--mechanism", mechanism),
        ("--prior", prior),
        ("--include-later", later),
        ("--discrepancy", None if discrepancy == DISCREPANCY else f"{discrepancy:g}"),
        ("--points", points),
        ("--particles", particles),
        ("--copies", copies),
        ("--replicates", replicates),
        ("--draws", draws),
        ("--seed", seed),
        ("--records", records_dir),
        ("--scenario", scenario_file),
        ("--fit-plan", plan),
    )
    told = {"command": command_of(("posterior", record), options), **summary(made)}
    write_text(out.with_suffix(".json"), json.dumps(told, indent=1) + "\n")
    _clear(kept)
    print(_table(made))
    say(f"wrote {out} and {out.with_suffix('.json')}")


def _weights(given: list[str] | None) -> dict[str, float] | None:
    from equipoise.errors import ScenarioError

    if not given:
        return None
    out = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            out[name] = float(value)
        except ValueError:
            raise ScenarioError(f"--prior {text}: no weight", hint="as --prior lagged=0.4") from None
    return out


def _clear(runs: Path) -> None:
    """Take away what the runs kept, and nothing else that may lie there."""
    import shutil

    for study in list(runs.glob("*/study.json")):
        shutil.rmtree(study.parent, ignore_errors=True)
    with contextlib.suppress(OSError):  # it is not there, or not empty
        runs.rmdir()


def _write(made: Posterior, out: Path) -> None:
    import polars as pl

    from equipoise.cli.common import write_text

    table = pl.DataFrame(made.columns())
    if out.suffix == ".csv":
        write_text(out, table.with_columns(pl.col(pl.Float64).round_sig_figs(6)).write_csv())
    else:
        table.write_parquet(out)


def _table(made: Posterior) -> str:
    """What a reader looks for first: the mechanisms, then each parameter with its interval."""
    first, second = made.weights(), made.weights(bridge=True)
    lines = [
        f"{made.record}: mechanisms, given {'all' if made.later else 'the randomised period of'} what was published",
        f"{'':14}{'prior':>8}{'weight':>9}{'(bridge)':>10}{'log evidence':>14}{'(bridge)':>10}"
        f"{'Pareto k':>10}{'draws worth':>13}",
    ]
    for name, m in made.mechanisms.items():
        lines.append(
            f"{name.value:14}{made.prior[name]:8.2f}{first[name]:9.2f}{second[name]:10.2f}{m.log_evidence:14.2f}"
            f"{m.bridge:10.2f}{m.weights.pareto_k:10.2f}{m.weights.effective:8.0f} of {len(m.draws)}"
        )
    for name, m in made.mechanisms.items():
        whole = m.observed.effective()["all"]
        lines += [
            "",
            f"{name.value}: {len(m.observed.statistics)} published numbers, worth {whole:.1f} independent ones",
            f"{'':32}{'median':>9}{'95 % interval':>20}{'prior':>16}{'learnt':>9}",
        ]
        for k, f in enumerate(m.free):
            mid, low, high = m.interval(m.draws[:, k])
            lines.append(
                f"{f.place:32}{mid:9.3g}{f'{low:.3g} to {high:.3g}':>20}{f'{f.low:g} to {f.high:g}':>16}"
                f"{100 * m.contraction[f.place]:7.0f} %"
            )
        lines += [f"cannot be matched: {label}, {z:+.1f} standard deviations off" for label, z in m.unmatched.items()]
        lines += [f"left out: {reason}" for reason in m.observed.left_out]
        lines += _warnings(m)
    return "\n".join(lines)


def _warnings(m: Any) -> list[str]:
    from equipoise.calibrate.posterior.sampling import AGREE, PARETO_GOOD

    out = []
    if not m.weights.reliable:
        out.append(
            f"not reached: the importance weights have Pareto k {m.weights.pareto_k:.2f}, above {PARETO_GOOD:g}; "
            "take more --points or --copies"
        )
    if abs(m.log_evidence - m.bridge) > AGREE:
        out.append(
            f"not reached: the two methods differ by {abs(m.log_evidence - m.bridge):.2f} in log evidence; "
            "take more --particles"
        )
    return out
