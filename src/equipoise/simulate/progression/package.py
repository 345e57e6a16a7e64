"""The progression model as a disease of scenarios: what must go together in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from equipoise.files import PlaceError
from equipoise.simulate.diseases import DiseasePackage
from equipoise.simulate.progression.model import MECHANISMS, Admission, Disease, Effect, Group
from equipoise.simulate.protocol import Intake

if TYPE_CHECKING:
    from equipoise.simulate.scenario import Scenario

CHANNELS = {"OUTCOME": "the outcome", "MARKER": "the marker"}


def _factors(groups: Sequence[Any]) -> tuple[str, ...]:
    return tuple(groups[0].factors) if groups else ()


def _better(scenario: Scenario, channel: str) -> int:
    return int(-scenario.disease.outcome.way) if channel == "OUTCOME" else 0


def _check(scenario: Scenario) -> None:
    protocol, disease = scenario.protocol, scenario.disease
    if not isinstance(protocol.dosing, Intake):
        raise PlaceError(
            "this disease has no exposure: give the drug as an intake (regimen, and the arms that take it)",
            "protocol",
            "dosing",
        )
    channels = list(scenario.outcomes.values())
    if channels.count("OUTCOME") != 1:
        raise PlaceError("say once what the outcome is called: NAME: OUTCOME", "outcomes")
    if channels.count("MARKER") > 1:
        raise PlaceError("there is one marker; it has one name", "outcomes")
    recruited = [scenario.groups[name] for name in protocol.groups]
    for name, group in zip(protocol.groups, recruited, strict=True):
        if tuple(group.factors) != _factors(recruited):
            raise PlaceError("all groups have the same factors, in the same order (a share may be 0)", "groups", name)
        if "MARKER" in channels and (group.marker is None or disease.marker is None):
            missing = "groups" if group.marker is None else "disease"
            raise PlaceError(
                f"the marker is measured but not described: give 'marker' in {missing}",
                *(("groups", name) if group.marker is None else ("disease",)),
            )
    for mechanism, hypothesis in scenario.mechanisms.items():
        doses = hypothesis.effect.by_dose
        if doses is None:
            if hypothesis.effect.ed50 is not None and protocol.dosing.doses is None:
                raise PlaceError(
                    "an effect by dose needs the doses of the arms (protocol.dosing.doses)",
                    "mechanisms",
                    mechanism.value,
                    "effect",
                    "ed50",
                )
            continue
        for arm, dose in (protocol.dosing.doses or {}).items():
            if dose not in doses:
                raise PlaceError(
                    f"no effect at the dose {dose:g} of the arm {arm!r}",
                    "mechanisms",
                    mechanism.value,
                    "effect",
                    "by_dose",
                )
        if protocol.dosing.doses is None:
            raise PlaceError(
                "an effect by dose needs the doses of the arms (protocol.dosing.doses)",
                "mechanisms",
                mechanism.value,
                "effect",
                "by_dose",
            )


PACKAGE = DiseasePackage(
    name="progression",
    title="any outcome that declines, as data: course, random effects, residual correlation, marker, event",
    group=Group,
    disease=Disease,
    effect=Effect,
    admission=Admission,
    mechanisms=MECHANISMS,
    channels=CHANNELS,
    strata=_factors,
    covariates=lambda groups, run_in: (*_factors(groups), *(("PRERUNIN", "RUNINCHG") if run_in else ())),
    better=_better,
    check=_check,
    simulator="equipoise.simulate.progression.engine:ProgressionSimulator",
    typical_course="equipoise.simulate.progression.engine:typical_course",
    example="docs/methods/progression.md explains every key, and the scenario clarity_ad is a complete example",
    undisturbed={"dropout": None, "missed_visit": 0.0},
)
