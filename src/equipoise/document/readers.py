"""Who reads: roles, specialties, stages of reading and levels, and the choice a reader makes among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from equipoise.errors import RecordError

READERS: dict[str, str] = {
    "patient": "Patient or caregiver",
    "medical_student": "Medical student",
    "resident": "Resident",
    "fellow": "Fellow",
    "attending": "Attending",
    "phd": "PhD methodologist",
    "editor": "Journal editor",
    "guideline": "Guideline committee",
}
"""Roles, from who is treated to who reviews."""

SPECIALTIES: dict[str, str] = {
    "neuromuscular": "Neuromuscular medicine",
    "general_neurology": "General neurology",
    "genetics": "Genetics",
    "palliative_care": "Palliative care",
    "pharmacy": "Pharmacy",
    "statistics": "Statistics",
    "regulatory": "Regulatory affairs",
}
"""Specialties order the questions: those that matter more for one come first, none is left out."""

STAGES: dict[str, str] = {
    "first_look": "First look",
    "critical_reading": "Critical reading",
    "journal_club": "Journal club",
    "decision": "Decision",
}
"""Stages of reading. First look: what was asked, of whom, with what result. Critical reading: whether to believe it.
Journal club: what can be argued either way. Decision: what follows - for a patient, a protocol or a guideline."""

LEVELS: dict[str, str] = {"basic": "Basic", "intermediate": "Intermediate", "advanced": "Advanced"}
"""How much is taken for granted. Basic: no statistics. Intermediate: intervals, P values and absolute risks. Advanced:
estimands, missing data, surrogacy."""


@dataclass(frozen=True)
class Reader:
    """A choice of questions: ``role``, ``stage`` and ``level`` choose, ``specialty`` orders; None leaves it open.

    Raises :class:`RecordError` on a word that is not in :data:`READERS`, :data:`SPECIALTIES`, :data:`STAGES` or
    :data:`LEVELS`.
    """

    role: str | None = None
    specialty: str | None = None
    stage: str | None = None
    level: str | None = None

    def __post_init__(self) -> None:
        for what, value, known in (
            ("reader", self.role, READERS),
            ("specialty", self.specialty, SPECIALTIES),
            ("stage", self.stage, STAGES),
            ("level", self.level, LEVELS),
        ):
            _known(what, value, known)

    @property
    def options(self) -> str:
        """The choice as options of a command: `` --role resident --stage decision``; empty if all is open."""
        pairs = (("role", self.role), ("specialty", self.specialty), ("stage", self.stage), ("level", self.level))
        return "".join(f" --{name} {value}" for name, value in pairs if value is not None)


def _known(what: str, value: str | None, known: Mapping[str, str]) -> None:
    if value is not None and value not in known:
        raise RecordError(f"there is no {what} {value!r}", hint="choose one of: " + ", ".join(known))
