"""Which lag between marker and hazard the data speak for: the likelihood over lags.

With the value ``c`` earlier in the hazard, log h(t) = ... + alpha m(t - c), c is no parameter that a search can follow
(the likelihood has a corner wherever a patient's t is c), so that it is laid out over lags. Where courses are straight,
c shows in how strongly the hazard depends on the patients' slopes; where these hardly differ, no trial can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.joint_model.fit import JointModelFit
from equipoise.estimate.joint_model.model import joint_model
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray


@dataclass(eq=False)
class LagProfile(Fit):
    """Joint models at several lags: ``lags`` and ``loglik`` (lag,), and the ``fits``."""

    lags: FloatArray
    loglik: FloatArray
    fits: tuple[JointModelFit, ...] = field(repr=False)
    level: float = 0.95

    @property
    def best(self) -> float:
        """The lag with the highest likelihood; raises where no model has a fit."""
        if not np.isfinite(self.loglik).any():
            raise EstimationError(f"no lag has a fit: {self.fits[0].reason}", hint="see fits")
        return float(self.lags[int(np.nanargmax(self.loglik))])

    @property
    def supported(self) -> tuple[float, ...]:
        """The lags that a likelihood ratio test on 1 df does not reject."""
        limit = 0.5 * float(stats.chi2.ppf(self.level, 1))
        least = np.nanmax(self.loglik) - limit
        return tuple(float(c) for c, v in zip(self.lags, self.loglik, strict=True) if v >= least)

    @property
    def identified(self) -> bool:
        """Whether the data reject both the shortest and the longest of the lags."""
        return bool(len(self.supported)) and self.lags[0] < self.supported[0] and self.supported[-1] < self.lags[-1]

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The association at each lag."""
        made = []
        for c, fit in zip(self.lags, self.fits, strict=True):
            one = next(e for e in fit.estimates if e.scale == "hazard ratio a unit")
            fall = f", log-likelihood {fit.loglik - np.nanmax(self.loglik):+.2f}" if fit.converged else ""
            made.append(replace(one, name=f"lag {c:g}{fall}"))
        return tuple(made)

    @property
    def backend(self) -> Any:
        return self.fits[0].backend

    def _title(self) -> str:
        return "The hazard by the marker's value some time before"

    def _facts(self) -> Iterable[tuple[str, str]]:
        if not np.isfinite(self.loglik).any():
            yield "status", self.fits[0].reason
            return
        yield "best lag", f"{self.best:g}"
        yield f"not rejected at {100 * self.level:g} %", ", ".join(f"{c:g}" for c in self.supported)
        yield "identified", "yes" if self.identified else "no: an end of the lags is not rejected"


def lag_profile(
    marker: str,
    events: str,
    data: Any,
    event_data: Any = None,
    *,
    lags: Sequence[float],
    level: float = 0.95,
    **options: Any,
) -> LagProfile:
    """Joint models with the value at each of ``lags`` before in the hazard (0 is the current value).

    marker, events, data, event_data, ``options`` : as of :func:`equipoise.estimate.joint_model.joint_model`.

    Raises :class:`EstimationError` for lags that are not increasing from 0 on.
    """
    at = np.asarray(list(lags), np.float64)
    if len(at) < 2 or not np.isfinite(at).all() or at[0] < 0.0 or (np.diff(at) <= 0.0).any():
        raise EstimationError(f"lags {list(lags)!r}", hint="give two or more increasing times, such as 0, 4, 8, 13, 26")
    if "association" in options:
        raise EstimationError("association=", hint="leave it out: it is the value at each lag")
    fits = tuple(
        joint_model(
            marker, events, data, event_data, association=f"lag({c:g})" if c else "value", level=level, **options
        )
        for c in at
    )
    return LagProfile(at, np.array([fit.loglik if fit.converged else np.nan for fit in fits]), fits, level)
