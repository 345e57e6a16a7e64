"""`equipoise power`: power and sample size in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

app = typer.Typer(
    name="power",
    help="Power and sample size of a two-arm trial in closed form.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

N = typer.Option(None, "--n", help="Control patients: the power is printed.")
POWER = typer.Option(None, "--power", help="Power wanted, e.g. 0.8: the size is printed.")
RATIO = typer.Option(1.0, "--ratio", help="Active patients for each control patient.")
ALPHA = typer.Option(0.05, "--alpha", help="Level of the test.")
SIDES = typer.Option(2, "--sides", help="1 or 2.")
JSON = typer.Option(False, "--json", help="Print JSON.")
RETENTION = typer.Option(None, "--retention", help="Share still seen at each visit, e.g. 1,0.9,0.8.")
SD_INTERCEPT = typer.Option(None, "--sd-intercept", help="SD of patients' intercepts.")
SD_SLOPE = typer.Option(None, "--sd-slope", help="SD of patients' slopes, per unit of time.")
SD_RESIDUAL = typer.Option(None, "--sd-residual", help="SD of the residual at a visit.")
SD = typer.Option(None, "--sd", help="SD at every visit, or one a visit: 2,3,4.")
CORRELATION = typer.Option(0.0, "--correlation", help="Of intercept and slope, or of two visits with --sd.")
STRUCTURE = typer.Option("cs", "--structure", help="With --sd: cs (all visits alike) or ar1 (per unit of time).")


@app.command("ttest")
def ttest(
    difference: float = typer.Option(..., "--difference", help="Difference in means."),
    sd: float = typer.Option(..., "--sd", help="SD within an arm."),
    n: float | None = N,
    power: float | None = POWER,
    ratio: float = RATIO,
    alpha: float = ALPHA,
    sides: int = SIDES,
    json: bool = JSON,
) -> None:
    """Two means by the t test (noncentral t)."""
    from equipoise.decision import power_ttest

    _print(power_ttest, json, difference=difference, sd=sd, n=n, power=power, ratio=ratio, alpha=alpha, sides=sides)


@app.command("logrank")
def logrank(
    hazard_ratio: float = typer.Option(..., "--hazard-ratio", help="Active over control."),
    events: float | None = typer.Option(None, "--events", help="Events of both arms: the power is printed."),
    power: float | None = POWER,
    ratio: float = RATIO,
    alpha: float = ALPHA,
    sides: int = SIDES,
    control_rate: float | None = typer.Option(None, "--control-rate", help="Hazard on control, for patients."),
    accrual: float = typer.Option(0.0, "--accrual", help="Time of uniform accrual."),
    follow_up: float | None = typer.Option(None, "--follow-up", help="Follow-up of the last patient."),
    dropout_rate: float = typer.Option(0.0, "--dropout-rate", help="Hazard of loss to follow-up."),
    json: bool = JSON,
) -> None:
    """Log-rank or Cox test (Schoenfeld 1981): events, and patients where a hazard is given."""
    from equipoise.decision import power_logrank

    _print(
        power_logrank,
        json,
        hazard_ratio=hazard_ratio,
        events=events,
        power=power,
        ratio=ratio,
        alpha=alpha,
        sides=sides,
        control_rate=control_rate,
        accrual=accrual,
        follow_up=follow_up,
        dropout_rate=dropout_rate,
    )


@app.command("slope")
def slope(
    difference: float = typer.Option(..., "--difference", help="Difference in slopes, per unit of time."),
    times: str = typer.Option(..., "--times", help="Times of the visits, e.g. 0,4,8,12."),
    sd_intercept: float | None = SD_INTERCEPT,
    sd_slope: float | None = SD_SLOPE,
    sd_residual: float | None = SD_RESIDUAL,
    sd: str | None = SD,
    correlation: float = CORRELATION,
    structure: str = STRUCTURE,
    common_baseline: bool = typer.Option(False, "--common-baseline", help="One mean of both arms at the start."),
    retention: str | None = RETENTION,
    n: float | None = N,
    power: float | None = POWER,
    ratio: float = RATIO,
    alpha: float = ALPHA,
    sides: int = SIDES,
    json: bool = JSON,
) -> None:
    """Two slopes of a linear mixed model."""
    from equipoise.decision import power_slope

    at = _numbers(times, "--times")
    _print(
        power_slope,
        json,
        difference=difference,
        times=at,
        covariance=_covariance(at, sd_intercept, sd_slope, sd_residual, sd, correlation, structure),
        n=n,
        power=power,
        ratio=ratio,
        alpha=alpha,
        sides=sides,
        common_baseline=common_baseline,
        retention=_shares(retention, "--retention"),
    )


@app.command("mmrm")
def mmrm(
    difference: float = typer.Option(..., "--difference", help="Difference in means at the last visit."),
    times: str = typer.Option(..., "--times", help="Times of the visits, e.g. 4,8,12."),
    sd_intercept: float | None = SD_INTERCEPT,
    sd_slope: float | None = SD_SLOPE,
    sd_residual: float | None = SD_RESIDUAL,
    sd: str | None = SD,
    correlation: float = CORRELATION,
    structure: str = STRUCTURE,
    retention: str | None = RETENTION,
    retention_active: str | None = typer.Option(None, "--retention-active", help="The same for the active arm."),
    n: float | None = N,
    power: float | None = POWER,
    ratio: float = RATIO,
    alpha: float = ALPHA,
    sides: int = SIDES,
    json: bool = JSON,
) -> None:
    """Two means at the last visit by a mixed model for repeated measures, with losses."""
    from equipoise.decision import power_mmrm

    at = _numbers(times, "--times")
    _print(
        power_mmrm,
        json,
        difference=difference,
        covariance=_covariance(at, sd_intercept, sd_slope, sd_residual, sd, correlation, structure),
        n=n,
        power=power,
        ratio=ratio,
        alpha=alpha,
        sides=sides,
        retention=_shares(retention, "--retention"),
        retention_active=_shares(retention_active, "--retention-active"),
    )


@app.command("delayed-start")
def delayed_start(
    decline: float = typer.Option(..., "--decline", help="Points lost on control per unit of time."),
    slowing: float = typer.Option(0.0, "--slowing", help="Share of the decline that active saves, e.g. 0.3."),
    symptomatic: float = typer.Option(0.0, "--symptomatic", help="Points of relief while on active."),
    lag: float = typer.Option(0.0, "--lag", help="Time until the slowing begins."),
    stages: int | None = typer.Option(None, "--stages", help="Compartments of the lag; default a sharp one."),
    times: str = typer.Option(..., "--times", help="Times of the visits, e.g. 0,4,8,12."),
    period_end: float = typer.Option(..., "--period-end", help="When the delayed arm begins active."),
    sd_intercept: float | None = SD_INTERCEPT,
    sd_slope: float | None = SD_SLOPE,
    sd_residual: float | None = SD_RESIDUAL,
    sd: str | None = SD,
    correlation: float = CORRELATION,
    structure: str = STRUCTURE,
    retention: str | None = RETENTION,
    n: float | None = N,
    power: float | None = POWER,
    ratio: float = RATIO,
    alpha: float = typer.Option(0.025, "--alpha", help="One-sided level of the first two questions."),
    alpha_third: float = typer.Option(0.05, "--alpha-third", help="One-sided level of the third."),
    fraction: float = typer.Option(0.5, "--fraction", help="Share of the first difference to be kept."),
    json: bool = JSON,
) -> None:
    """Early against delayed start: the three questions of Liu-Seifert et al. (2015)."""
    from equipoise.decision import power_delayed_start

    at = _numbers(times, "--times")
    _print(
        power_delayed_start,
        json,
        decline=decline,
        slowing=slowing,
        symptomatic=symptomatic,
        lag=lag,
        stages=stages,
        visits=at,
        period_end=period_end,
        covariance=_covariance(at, sd_intercept, sd_slope, sd_residual, sd, correlation, structure),
        n=n,
        power=power,
        ratio=ratio,
        alpha=alpha,
        alpha_third=alpha_third,
        fraction=fraction,
        retention=_shares(retention, "--retention"),
    )


@app.command("assurance")
def assurance(
    mean: float = typer.Option(..., "--mean", help="Mean of the belief about the effect; larger is better."),
    sd: float = typer.Option(..., "--sd", help="SD of the belief."),
    se: float = typer.Option(..., "--se", help="Standard error of the trial's estimate."),
    alpha: float = typer.Option(0.025, "--alpha", help="One-sided level of the test."),
    threshold: float = typer.Option(0.0, "--threshold", help="An effect above it counts as working."),
    json: bool = JSON,
) -> None:
    """Success averaged over a normal belief about the effect, its bound and its parts (O'Hagan et al. 2005)."""
    from equipoise.decision import assurance

    _print(assurance, json, mean=mean, sd=sd, se=se, alpha=alpha, threshold=threshold)


@app.command("value-of-information")
def value_of_information(
    mean: float = typer.Option(..., "--mean", help="Mean of the belief about the effect; larger is better."),
    sd: float = typer.Option(..., "--sd", help="SD of the belief."),
    se: float | None = typer.Option(None, "--se", help="Standard error of a trial's estimate: its value is printed."),
    threshold: float = typer.Option(0.0, "--threshold", help="The effect from which on giving the drug is worth it."),
    json: bool = JSON,
) -> None:
    """What certainty, or a trial, adds to a decision whose gain is the effect above a threshold."""
    from equipoise.decision import value_of_information

    _print(value_of_information, json, mean=mean, sd=sd, se=se, threshold=threshold)


def _print(function: Callable[..., Any], as_json: bool, **given: Any) -> None:
    found = function(**given)
    if as_json:
        from json import dumps

        print(dumps(found.row(), indent=1))
    else:
        print(found)


def _numbers(text: str, option: str) -> list[float]:
    from equipoise.errors import ScenarioError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ScenarioError(
            f"{option} {text[:60]!r}: not numbers", hint=f"give them with commas: {option} 0,4,8"
        ) from None


def _shares(text: str | None, option: str) -> list[float] | None:
    return None if text is None else _numbers(text, option)


def _covariance(
    times: list[float],
    sd_intercept: float | None,
    sd_slope: float | None,
    sd_residual: float | None,
    sd: str | None,
    correlation: float,
    structure: str,
) -> Any:
    """The covariance of the visits that the options describe."""
    from equipoise.decision import random_slope_covariance, visit_covariance
    from equipoise.errors import ScenarioError

    if sd is not None:
        if sd_intercept is not None or sd_slope is not None or sd_residual is not None:
            raise ScenarioError("--sd beside --sd-intercept, --sd-slope or --sd-residual", hint="give one or the other")
        values = _numbers(sd, "--sd")
        return visit_covariance(
            times, sd=values[0] if len(values) == 1 else values, correlation=correlation, structure=structure
        )
    if sd_residual is None:
        raise ScenarioError(
            "no variance is given", hint="give --sd with --correlation, or --sd-intercept, --sd-slope and --sd-residual"
        )
    return random_slope_covariance(
        times,
        sd_intercept=sd_intercept or 0.0,
        sd_slope=sd_slope or 0.0,
        correlation=correlation,
        sd_residual=sd_residual,
    )
