"""The form that kernels carry out of an analysis, and analyses as scenarios once wrote them.

Which sections a kernel covers is said in the module of their method; where they ask for more, trials are done one by
one.

==================  ==================================================================================================
form                sections
==================  ==================================================================================================
Repeated            ``mi_ancova``, ``joint_rank`` on the same imputations, or that alone
CarriedForward      ``carried_forward``
MixedModel          ``mmrm`` with the formula ``CHG ~ TRT01P * AVISIT + BASE * AVISIT ...``; ``clda`` the same
Slopes              ``slope`` per month, all covariates by time
DelayedStart        ``delayed_start`` in one model, nothing imputed
TimeToEvent         ``survival``: log-rank; Fleming-Harrington with rho 1 (Peto & Peto's Wilcoxon test); Cox where there
                    are no strata
==================  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from equipoise.plan import end_points
from equipoise.plan.analysis_plan import Analysis
from equipoise.plan.compiled import (
    FORM_NAMES,
    AnyForm,
    CarriedForward,
    DelayedStart,
    Lowered,
    MixedModel,
    Repeated,
    Slopes,
    TimeToEvent,
)
from equipoise.plan.methods import REGISTRY


def lower(analysis: Analysis) -> Lowered | None:
    """The form that a kernel carries out of an analysis; None where its sections have none."""
    picks = any(section.pick is not None for section in analysis.sections)
    if analysis.grouped or picks or analysis.treatment is not None:  # trial by trial
        return None
    for place, section in enumerate(analysis.sections, start=1):
        kernel = REGISTRY[section.kind].kernel
        found = None if kernel is None else kernel.form(analysis, place)
        if found is not None:
            return found
    return None


def is_old(raw: Any) -> bool:
    """Whether an analysis is written as scenarios once wrote it, by ``kind``."""
    return isinstance(raw, Repeated | CarriedForward | MixedModel | Slopes | DelayedStart | TimeToEvent) or (
        isinstance(raw, Mapping) and raw.get("kind") in FORM_NAMES
    )


def modern(raw: Any, imputations: int | None = None) -> dict[str, Any]:
    """An analysis of the old kind in the language of plans.

    ``imputations``: as the old plan gave them for all of its analyses.

    Raises
    ------
    pydantic.ValidationError : it is none.
    """
    if isinstance(raw, Mapping):
        given = dict(raw)
        if given["kind"] == "repeated" and imputations is not None:
            given.setdefault("imputations", imputations)
        raw = TypeAdapter[AnyForm](AnyForm).validate_python(given)
    return written(raw)


def written(form: AnyForm) -> dict[str, Any]:
    """A form as an analysis of a plan, so that :func:`lower` finds it again.

    >>> from equipoise.plan.compiled import CarriedForward
    >>> made = written(CarriedForward(id="locf", set="ITT", week=24, variable="ALSFRS"))
    >>> made["where"], made["sections"]
    ({'AVISITN': {'le': 24.0}}, [{'method': 'carried_forward', 'covariates': []}])
    """
    kernel = REGISTRY[form.method].kernel
    assert kernel is not None  # every form is that of a method with one
    more, sections = kernel.written(form)
    about: dict[str, Any] = {"dataset": "ADTTE"}
    if isinstance(form, TimeToEvent):
        about["parameter"] = end_points.parameter_of(form.event)
    else:
        about = {"dataset": "ADEFF", "parameter": form.variable, "where": {"AVISITN": {"le": form.week}}}
    reason = {} if form.prespecified else {"reason": "DATA DRIVEN"}
    return {"id": form.id, "population": form.set, **about, **more, **reason, "sections": sections}
