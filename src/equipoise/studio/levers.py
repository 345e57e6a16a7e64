"""What a reader moves, as a design study: the same text runs on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from equipoise.design.study import FIXED, DesignStudy, load_study, parse_study, starter
from equipoise.design.worlds import KINDS
from equipoise.errors import ScenarioError
from equipoise.library import shipped
from equipoise.simulate import Scenario, load_scenario
from equipoise.studio.library import designable

MOST = 4
"""Designs side by side."""

_STRENGTHS = ("weight", "gain", "slowing", "worsening")
"""The numbers of an effect that say how strong it is; how the drug acts decides which of them there is."""


@dataclass(frozen=True)
class Levers:
    """What can be moved. designs : levels of factors, one mapping a design. mechanisms : truths, by name.

    strength : of the effect, in percent of the fitted one. lag : weeks, under a lagged mechanism.
    imbalance : the arms differ at baseline as they did in the trial. draws : a file of draws of parameters, as a world
    more (as many as it has mechanisms, where its column ``mechanism`` names them). weights : its column of weights.
    """

    base: str
    designs: tuple[Mapping[str, Any], ...]
    mechanisms: tuple[str, ...]
    strength: float = 100.0
    lag: float | None = None
    imbalance: bool = False
    seed: int = 1
    draws: Path | None = None
    weights: str | None = None


LEVERS = ("weeks", "patients", "ratio", "extension", "enrichment", "adaptation", "primary")
"""Factors of a design that can be moved."""

LOOKS: Mapping[str, Mapping[str, Any]] = {
    "one-look": {"label": "one look, at half of the patients", "looks": [{"share": 0.5}]},
    "two-looks": {"label": "two looks, at a third and two thirds", "looks": [{"share": 0.33}, {"share": 0.67}]},
}
"""Looks before the end (O'Brien-Fleming, one-sided 2.5 %), beside those that a study has of its own."""


def bases() -> tuple[str, ...]:
    """The scenarios from which a next trial can be designed: those that measure something."""
    return designable()


@lru_cache(maxsize=64)
def scenario_of(base: str) -> Scenario:
    """A shipped scenario, read once: it does not change while a studio runs."""
    return load_scenario(base)


@lru_cache(maxsize=64)
def template(base: str) -> DesignStudy:
    """The study that levers of this scenario start from: a shipped one if there is one, else the starter."""
    for name in shipped("study"):
        study = load_study(name.replace("_", "-"))
        if study.base == base:
            return study
    return parse_study(starter(base))


def defaults(base: str) -> dict[str, Any]:
    """The trial as it was, in levers: where the form begins."""
    study, scenario = template(base), scenario_of(base)
    protocol = scenario.protocol
    return {
        "weeks": protocol.period_end,
        "patients": protocol.n,
        "ratio": ":".join(str(r) for r in protocol.ratio) if len(protocol.ratio) == 2 else "1:1",
        "extension": 0.0,
        "enrichment": next(iter(study.enrichments)),
        "adaptation": FIXED,
        "primary": study.factors.primary[0],
        "mechanism": scenario.default_mechanism.value,
    }


def study_of(levers: Levers) -> DesignStudy:
    """The design study that these levers are.

    Raises
    ------
    ScenarioError : a lever is where the scenario, the template or the language of studies has nothing.
    """
    study, scenario = template(levers.base), scenario_of(levers.base)
    if not 1 <= len(levers.designs) <= MOST:
        raise ScenarioError(f"{len(levers.designs)} designs", hint=f"put 1 to {MOST} side by side")
    designs = [_design(d, study, scenario) for d in levers.designs]
    factors = {name: list(dict.fromkeys(d[name] for d in designs)) for name in LEVERS}
    end = max(d["weeks"] + d["extension"] for d in designs)
    visits = sorted({*study.visits, *(d["weeks"] for d in designs), *(d["weeks"] + d["extension"] for d in designs)})
    try:
        return study.with_(
            name=f"next-{levers.base.replace('_', '-')}",
            question="What if the trial had been like this?",
            seed=levers.seed,
            imbalance=levers.imbalance,
            replicates=200,
            visits=[v for v in visits if v <= end],
            factors=factors,
            adaptations={n: a for n, a in {**LOOKS, **study.adaptations}.items() if n in factors["adaptation"]},
            only=designs if len(list(_product(factors))) > len(designs) else [],
            worlds={m: _world(m, levers, study, scenario) for m in dict.fromkeys(("none", *levers.mechanisms))}
            | _drawn(levers, scenario),
            rule=study.rule if any(d["extension"] for d in designs) else (),
        )
    except ValueError as error:
        first = str(error.errors()[0]["msg"]) if hasattr(error, "errors") else str(error)
        first = first.removeprefix("Value error, ")
        raise ScenarioError(f"these levers make no study: {first}", hint="move them back, one at a time") from None


def as_yaml(study: DesignStudy) -> str:
    """The study as a file for ``equipoise design``."""
    data = study.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    return "# equipoise design THIS-FILE --out FOLDER\n" + text


def _product(factors: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    import itertools

    return list(itertools.product(*factors.values()))


def _design(asked: Mapping[str, Any], study: DesignStudy, scenario: Scenario) -> dict[str, Any]:
    known = defaults(study.base)
    unknown = set(asked) - set(known)
    if unknown:
        raise ScenarioError(f"{sorted(unknown)[0]!r} is no lever", hint="levers: " + ", ".join(known))
    out = {**known, **asked}
    out.pop("mechanism")
    if out["enrichment"] not in study.enrichments:
        raise ScenarioError(f"enrichment {out['enrichment']!r}", hint="choose one of " + ", ".join(study.enrichments))
    if out["primary"] not in study.primaries:
        raise ScenarioError(f"primary {out['primary']!r}", hint="choose one of " + ", ".join(study.primaries))
    if out["adaptation"] not in (FIXED, *LOOKS, *study.adaptations):
        raise ScenarioError(f"looks {out['adaptation']!r}", hint="choose one of " + ", ".join((FIXED, *LOOKS)))
    if study.primaries[out["primary"]].needs_extension and not out["extension"]:
        raise ScenarioError(
            "a delayed-start question needs an extension", hint="let everyone have active drug for some weeks after"
        )
    if not 4 <= out["weeks"] <= 260 or not 0 <= out["extension"] <= 260:
        raise ScenarioError(f"{out['weeks']:g} + {out['extension']:g} weeks", hint="4 to 260, extension 0 to 260")
    if not 8 <= out["patients"] <= 5_000:
        raise ScenarioError(f"{out['patients']} patients", hint="8 to 5,000, both arms together")
    return out


def _drawn(levers: Levers, scenario: Scenario) -> dict[str, Any]:
    """The world of a file of draws; its rows name their mechanism, or it is the first one that is chosen."""
    if levers.draws is None:
        return {}
    draws = {"file": str(levers.draws)} | ({"weights": levers.weights} if levers.weights else {})
    world: dict[str, Any] = {"label": f"draws of {levers.draws.name}", "draws": draws}
    if not _names_mechanisms(levers.draws):
        named = [m for m in levers.mechanisms if m != "none"] or [scenario.default_mechanism.value]
        world |= {"mechanism": named[0], "kind": KINDS.get(named[0], "disease-modifying")}
    return {"draws": world}


def _names_mechanisms(path: Path) -> bool:
    import polars as pl

    try:
        return (
            "mechanism" in (pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path)).collect_schema()
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ScenarioError(
            f"{path.name} cannot be read ({type(error).__name__})", hint="choose another file"
        ) from None


def _world(mechanism: str, levers: Levers, study: DesignStudy, scenario: Scenario) -> dict[str, Any]:
    found = {m.value: h for m, h in scenario.mechanisms.items()}
    if mechanism not in found:
        raise ScenarioError(f"{levers.base} has no mechanism {mechanism!r}", hint="choose one of " + ", ".join(found))
    effect: dict[str, Any] = {}
    if mechanism != "none":
        own = found[mechanism].effect
        if levers.strength != 100.0:
            strong = {n: getattr(own, n) for n in _STRENGTHS if getattr(own, n, 0.0)}
            if not strong:
                raise ScenarioError(
                    f"the strength of {mechanism!r} cannot be moved: its effect is on events", hint="leave it at 100 %"
                )
            effect |= {n: value * levers.strength / 100.0 for n, value in strong.items()}
        if levers.lag is not None and mechanism == "lagged":
            effect["lag"] = max(levers.lag, 0.01)
    kind = {"none": "none", "symptomatic": "symptomatic", "harm": "none"}.get(mechanism, "disease-modifying")
    label = {"none": "the drug does nothing", "symptomatic": "relief of symptoms, gone with the drug"}.get(
        mechanism, mechanism
    )
    if mechanism == "lagged":
        label = f"slowing after {effect.get('lag', found[mechanism].effect.lag):.3g} weeks"
    world = {"label": label, "mechanism": mechanism, "kind": kind, "effect": effect}
    return {**world, "no_effect": True} if mechanism in ("none", "harm") else world
