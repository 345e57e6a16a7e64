"""Linear functions of the coefficients of a linear model as results: LS means, contrasts of them, adjusted together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.estimate.fit import Fit
from equipoise.estimate.linear import adjust as several
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import FloatArray, Status

if TYPE_CHECKING:
    from equipoise.estimate.linear.fitted import LinearFit


@dataclass(frozen=True, eq=False)
class LinearFunctions(Fit):
    """LS means or contrasts of a fitted linear model.

    model : the fit. names : what each is called; keys : what else tells them apart (arm, visit). rows : (function, p)
    weights of the coefficients, ``spread`` (function, function) what is added to their covariance. ``adjust``: how
    p-values and limits are adjusted within each family (``family`` (function,), its number). ``ratio``: the response
    was a logarithm; ``estimates`` are ratios of geometric means. ``over``: the number whose slopes they are, if any.
    ``shift`` (function,) what is added, the offset of a model with one.
    """

    model: LinearFit
    term: str
    names: tuple[str, ...]
    contrasts: tuple[str, ...]
    keys: tuple[Mapping[str, Any], ...]
    rows: FloatArray = field(repr=False)
    spread: FloatArray | None = field(default=None, repr=False)
    level: float = 0.95
    adjust: str = "none"
    family: tuple[int, ...] = ()
    means: int = 2
    ratio: bool = False
    scale: str = "difference"
    estimand: str | None = None
    over: str = ""
    shift: FloatArray | None = field(default=None, repr=False)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The functions at the level that was asked for."""
        return self.at_level(self.level)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The functions with intervals (adjusted where asked) of coverage ``level``."""
        check_level(level)
        table, covariance = self.model.functions(self.rows, self.spread)
        if self.shift is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                moved = table["estimate"] + self.shift
                table = {**table, "estimate": moved, "statistic": moved / table["se"]}
        states = [self.model.state_of(there, se) for there, se in zip(table["estimable"], table["se"], strict=True)]
        estimator, references = self.model.words
        if self.adjust == "none":
            p, factor = several.adjusted("none", table["statistic"], table["df"], covariance, level, self.means)
        else:
            p, factor = self._adjusted(table, covariance, [status is Status.OK for status, _ in states], level)
            if len(self.names) > 1:
                estimator += f", {self.adjust} adjustment"
                references = (*references, several.REFERENCES[self.adjust])
        middle, half = table["estimate"], factor * table["se"]
        shown = [middle, middle - half, middle + half]
        if self.ratio:
            with np.errstate(over="ignore"):
                shown = [np.exp(one) for one in shown]
        value, low, high = (one.tolist() for one in shown)
        se, df, statistic = (table[name].tolist() for name in ("se", "df", "statistic"))
        people, tested = self.model.n_patients, p.tolist()
        return tuple(
            Estimate(
                name=name,
                estimator=estimator,
                estimate=value[i],
                se=se[i],
                df=df[i],
                low=low[i],
                high=high[i],
                p=tested[i],
                n=people,
                level=level,
                scale=self.scale,
                estimand=self.estimand,
                status=states[i][0],
                detail=states[i][1],
                references=references,
                ratio=self.ratio,
                statistic=statistic[i],
                term=self.term,
                contrast=self.contrasts[i],
            )
            for i, name in enumerate(self.names)
        )

    def _adjusted(
        self, table: Mapping[str, FloatArray], covariance: FloatArray, good: Sequence[bool], level: float
    ) -> tuple[FloatArray, FloatArray]:
        """P-values and multiples of the standard error, adjusted within each family; NaN where not ``good``."""
        p, factor = np.full(len(good), np.nan), np.full(len(good), np.nan)
        family = self.family or (0,) * len(good)
        for one in dict.fromkeys(family):
            mine = [i for i, ok in enumerate(good) if ok and family[i] == one]
            if mine:
                se = table["se"][mine]
                correlation = covariance[np.ix_(mine, mine)] / np.outer(se, se)
                p[mine], factor[mine] = several.adjusted(
                    self.adjust, table["statistic"][mine], table["df"][mine], correlation, level, self.means
                )
        return p, factor

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return self.keys

    def _backend(self) -> Any:
        return self.model._backend()

    def _title(self) -> str:
        what = "Contrasts of" if any(self.contrasts) else "Least-squares means of"
        if self.over:
            what = f"{'Contrasts of slopes' if any(self.contrasts) else 'Slopes'} over {self.over} by"
        made = self.model.words[0]
        more = f", {self.adjust} adjustment" if self.adjust != "none" else ""
        return f"{what} {self.term} ({made}{more})"

    def __len__(self) -> int:
        return len(self.names)
