"""ALS as a disease of scenarios: its parts, what must go together in them, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from equipoise.files import PlaceError
from equipoise.simulate.als.model import CHANNELS, STRATA, Admission, Disease, Effect, Group, covariates_of
from equipoise.simulate.diseases import DiseasePackage, Marker
from equipoise.simulate.mechanism import ON_FUNCTION, Mechanism
from equipoise.simulate.protocol import Intake

if TYPE_CHECKING:
    from equipoise.simulate.scenario import Scenario


def _check(scenario: Scenario) -> None:
    """Everything measured, and every path in use, is described in every group."""
    disease, protocol = scenario.disease, scenario.protocol
    for name in protocol.groups:
        group = scenario.groups[name]
        for outcome, channel in scenario.outcomes.items():
            if not group.has(CHANNELS[channel]):
                raise ValueError(f"groups.{name}: {CHANNELS[channel]} is measured ({outcome}) but not described")
        if not disease.direct and not group.has("target"):
            raise ValueError(f"groups.{name}: the drug has a target path, but emax and injury are not described")
        if protocol.run_in and not group.has("function"):
            raise ValueError(f"groups.{name}: a run-in needs the function that decides about admission")
        if any(m in ON_FUNCTION for m in scenario.mechanisms) and not group.has("function"):
            raise ValueError(f"groups.{name}: a mechanism acts on function, which is not described")
    if disease.direct != isinstance(protocol.dosing, Intake):
        raise ValueError(
            "protocol.dosing: a drug with a target path is given in doses, one without it as an intake "
            "(regimen, arms that take it)"
        )
    if isinstance(protocol.dosing, Intake) and protocol.dosing.doses is not None:
        raise PlaceError(
            "an intake has no doses here: the disease 'als' knows how much by a target path alone; leave them out",
            "protocol",
            "dosing",
            "doses",
        )
    if isinstance(protocol.dosing, Intake) and protocol.dosing.periods:
        raise PlaceError(
            "an intake is taken throughout a period here: the disease 'als' knows on and off by weeks of doses alone",
            "protocol",
            "dosing",
            "periods",
        )


def _unlike(groups: Sequence[Any]) -> bool:
    return any(g.ln_nfl_imbalance for g in groups)


PACKAGE = DiseasePackage(
    name="als",
    title="ALS: dose, exposure, target, injury, neurofilament, ALSFRS-R, ventilation and death",
    group=Group,
    disease=Disease,
    effect=Effect,
    admission=Admission,
    mechanisms=frozenset(Mechanism) - {Mechanism.HARM},
    channels=CHANNELS,
    strata=lambda groups: STRATA,
    covariates=covariates_of,
    better=lambda scenario, channel: 1 if channel in ("ALSFRS", "SVC", "HHD") else -1,
    check=_check,
    simulator="equipoise.simulate.als.engine:AlsSimulator",
    typical_course="equipoise.simulate.als.engine:typical_course",
    undisturbed={
        "withdrawal_hazard": 0.0,
        "withdrawal_progression": 0.0,
        "missed_visit": 0.0,
        "event_death_share": 0.0,
    },
    unlike=_unlike,
    marker=Marker("NfL", "neurofilament", "NFL", frozenset({"NFLBL", "LNNFLBL"})),
    covariate_words={
        "BULBFL": "site of onset",
        "RILEDAFL": "riluzole or edaravone",
        "RILFL": "riluzole",
        "EDAFL": "edaravone",
    },
)
