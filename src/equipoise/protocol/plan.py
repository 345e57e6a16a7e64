"""The analysis plan as data: which analyses, on whom, with which covariates, tested in which order."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Covariate = Literal["BASE", "ONSETMO", "RILEDAFL", "ALSFRSBL", "NFLBL", "LNNFLBL", "PRESLOPE"]


class Repeated(_Frozen):
    """ANCOVA after multiple imputation at every visit up to ``week``, and the joint rank test at ``week``.

    ``covariates`` enter the ANCOVA beside treatment; ``impute_with`` enter the imputation model beside treatment
    and all earlier visits. ``BASE`` is the outcome's own baseline (its log when ``log``).
    """

    kind: Literal["repeated"] = "repeated"
    id: str
    variable: str
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


class AnalysisPlan(_Frozen):
    """All analyses of a trial, and the order in which they are tested.

    ``order`` names p-values as ``ANALYSIS.TEST`` with TEST one of ``ancova``, ``joint_rank``, ``log_rank``. The
    first is the primary test; everything after a failed one is nominal (fixed-sequence testing).
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    imputations: Annotated[int, Field(ge=2)] = 20
    analyses: tuple[Analysis, ...]
    order: tuple[str, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
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
        """The p-value that decides, as ``ANALYSIS.TEST``."""
        return self.order[0]

    def analysis(self, key: str) -> Repeated | TimeToEvent:
        return next(a for a in self.analyses if a.id == key)

    def only(self, *ids: str) -> AnalysisPlan:
        """The same plan reduced to some analyses; the order keeps what is left of it."""
        keep = tuple(a for a in self.analyses if a.id in ids)
        return AnalysisPlan(
            alpha=self.alpha,
            imputations=self.imputations,
            analyses=keep,
            order=tuple(o for o in self.order if o.partition(".")[0] in ids),
        )
