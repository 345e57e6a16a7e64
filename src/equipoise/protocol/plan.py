"""The analysis plan as data: which analyses, on whom, with which covariates, tested in which order."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Variable = Literal["ALSFRS", "SVC", "HHD", "NFL", "SOD1"]
Covariate = Literal["BASE", "ONSETMO", "RILEDAFL", "ALSFRSBL", "NFLBL", "LNNFLBL", "PRESLOPE"]


class Repeated(_Frozen):
    """ANCOVA after multiple imputation at every visit up to ``week``, and the joint rank test at ``week``.

    ``covariates`` enter the ANCOVA beside treatment; ``impute_with`` enter the imputation model beside treatment
    and all earlier visits. ``BASE`` is the outcome's own baseline (its log when ``log``).
    """

    kind: Literal["repeated"] = "repeated"
    id: str
    variable: Variable
    set: str
    week: Annotated[float, Field(gt=0)]
    covariates: tuple[Covariate, ...]
    impute_with: tuple[Covariate, ...]
    log: bool = False
    joint_rank: bool = False
    prespecified: bool = True


class TimeToEvent(_Frozen):
    """Log-rank test, stratified by riluzole or edaravone use, and Cox regression, up to ``week``."""

    kind: Literal["time_to_event"] = "time_to_event"
    id: str
    event: Literal["death_or_ventilation", "death"]
    set: str
    week: Annotated[float, Field(gt=0)]
    covariates: tuple[Covariate, ...]
    prespecified: bool = True


Analysis = Annotated[Repeated | TimeToEvent, Field(discriminator="kind")]


Strategy = Literal["treatment policy", "hypothetical", "composite", "while alive"]

CARRIED_OUT: dict[tuple[str, str], Strategy] = {
    ("death", "ancova"): "hypothetical",
    ("death", "joint_rank"): "composite",
    ("ventilation", "ancova"): "treatment policy",
    ("ventilation", "joint_rank"): "treatment policy",
    ("withdrawal", "ancova"): "hypothetical",
    ("withdrawal", "joint_rank"): "hypothetical",
}
"""What the analyses do at each intercurrent event, in the strategies of ICH E9(R1): scores after death or withdrawal
are imputed as if missing at random, except that the joint rank test ranks deaths below all survivors."""


class IntercurrentEvent(_Frozen):
    """An intercurrent event and the strategy an analysis follows at it (ICH E9(R1), A.3.2)."""

    event: Literal["death", "ventilation", "withdrawal"]
    analysis: Literal["ancova", "joint_rank"]
    strategy: Strategy


class AnalysisPlan(_Frozen):
    """All analyses of a trial, and the order in which they are tested.

    ``order`` names p-values as ``ANALYSIS.TEST`` with TEST one of ``ancova``, ``joint_rank``, ``log_rank``. The
    first is the primary test; everything after a failed one is nominal (fixed-sequence testing).
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    imputations: Annotated[int, Field(ge=2)] = 20
    intercurrent_events: tuple[IntercurrentEvent, ...] = ()
    analyses: Annotated[tuple[Analysis, ...], Field(min_length=1)]
    order: tuple[str, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for item in self.intercurrent_events:
            if CARRIED_OUT[item.event, item.analysis] != item.strategy:
                raise ValueError(
                    f"intercurrent_events: {item.event} in the {item.analysis}: {item.strategy!r} is not what the "
                    f"analysis does; it does {CARRIED_OUT[item.event, item.analysis]!r}"
                )
        seen: dict[str, Repeated | TimeToEvent] = {}
        for analysis in self.analyses:
            if analysis.id in seen:
                raise ValueError(f"analyses: the id {analysis.id!r} is used twice")
            seen[analysis.id] = analysis
        for name in self.order:
            key, _, test = name.partition(".")
            if key not in seen:
                raise ValueError(f"order: {name!r} names no analysis of this plan")
            found = seen[key]
            offered = (
                ["log_rank"]
                if isinstance(found, TimeToEvent)
                else ["ancova", *(["joint_rank"] if found.joint_rank else [])]
            )
            if test not in offered:
                raise ValueError(f"order: {name!r}: analysis {key!r} offers {', '.join(offered)}")
        return self

    @property
    def primary(self) -> str:
        """The p-value that decides, as ``ANALYSIS.TEST``; raises ``ValueError`` where no order is given."""
        if not self.order:
            raise ValueError("order: name the primary test first, e.g. alsfrs_f_w28.joint_rank")
        return self.order[0]

    def analysis(self, key: str) -> Repeated | TimeToEvent:
        return next(a for a in self.analyses if a.id == key)

    def only(self, *ids: str) -> AnalysisPlan:
        """The same plan reduced to some analyses; the order keeps what is left of it."""
        keep = tuple(a for a in self.analyses if a.id in ids)
        order = tuple(o for o in self.order if o.partition(".")[0] in ids)
        return self.model_copy(update={"analyses": keep, "order": order})
