"""Another trial of the same drug, foretold from this one: a check that no number of either fit has seen."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from equipoise.files import Frozen
from equipoise.plan.analysis_plan import Analysis
from equipoise.plan.compiled import AnyForm, Test
from equipoise.plan.lowering import is_old, lower, modern
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate.protocol import Protocol


class ExternalTrial(Frozen):
    """A second trial, with the patients, the disease and the drug of the scenario and a protocol of its own.

    ``protocol`` holds what differs from the scenario's. ``item`` is where the record of this scenario keeps the second
    trial's numbers (an item or a related trial), ``free_of_event`` (arm -> key), ``contrast`` and ``p`` (test -> key)
    which of them are compared. ``assumed`` says in words what had to be taken over from this trial.
    """

    id: str
    label: str
    assumed: str
    protocol: dict[str, Any]
    analysis: Analysis
    test: Test
    item: str
    free_of_event: dict[str, str] = Field(default_factory=dict)
    contrast: str | None = None
    p: dict[Test, str] = Field(default_factory=dict)

    @field_validator("analysis", mode="before")
    @classmethod
    def _in_one_language(cls, given: Any) -> Any:
        return modern(given) if is_old(given) else given

    @model_validator(mode="after")
    def _compiled(self) -> Self:
        if lower(self.analysis) is None:
            raise ValueError(f"analysis {self.analysis.id}: no kernel carries it out; it cannot be foretold here")
        return self

    @property
    def form(self) -> AnyForm:
        """The analysis as a kernel carries it out."""
        found = lower(self.analysis)
        assert found is not None  # checked when it was read
        return found.form

    def protocol_from(self, own: Protocol) -> Protocol:
        """The second trial's protocol."""
        return Protocol.model_validate({**own.model_dump(), **self.protocol})

    @property
    def plan(self) -> AnalysisPlan:
        """The one analysis that is foretold."""
        return AnalysisPlan(analyses=(self.analysis,), order=(f"{self.analysis.id}.{self.test}",))
