"""What every patient does to a fit: leverage, Cook's distance, and how the coefficients move without the patient.

    dfbeta_i = b - b_(i)            change of the coefficients when unit i is left out
    D_i = dfbeta_i' V^-1 dfbeta_i / p      Cook's distance, V the covariance of the p coefficients by the model
    dfbetas_i = dfbeta_i / se       in standard errors

Without a refit b_(i) is exact for least squares (Belsley, Kuh & Welsch 1980, chapter 2), one Newton step for
generalised linear models (Pregibon 1981) and Cox models (Cain & Lange 1984), and exact with the covariance held for
mixed models (Christensen, Pearson & Johnson 1992), as SAS PROC MIXED's INFLUENCE without ITER. With a refit it is the
estimate of the fit without the unit, covariance, dispersion and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.estimate.fit import Fit, aligned, number
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray

COOK = "Cook 1977, Technometrics 19:15"
BELSLEY = "Belsley, Kuh & Welsch 1980, Regression Diagnostics"
PREGIBON = "Pregibon 1981, Ann Stat 9:705"
CAIN_LANGE = "Cain & Lange 1984, Biometrics 40:493"
CHRISTENSEN = "Christensen, Pearson & Johnson 1992, Technometrics 34:38"
EXACT, ONE_STEP, HELD, REFIT = "exact", "one step", "the covariance held", "refitted"
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Influence(Fit):
    """The influence of every unit, a patient or a row, on the coefficients of a fit.

    model, how : what was fitted, and how a unit was left out: ``exact``, ``one step``, ``the covariance held`` or
    ``refitted``. unit, units : the column that names the units, and their names. names : (p,) coefficients. leverage :
    (unit,) share of the coefficients that the unit pays for, NaN for Cox models. cook : (unit,) Cook's distance. dfbeta
    : (unit, p) coefficients less those without the unit; dfbetas : the same in standard errors (in least squares those
    without the unit, else those of the fit). A unit without which a coefficient is not estimable has NaN.
    """

    model: str
    how: str
    unit: str
    units: tuple[Any, ...]
    names: tuple[str, ...]
    leverage: FloatArray
    cook: FloatArray
    dfbeta: FloatArray
    dfbetas: FloatArray
    references: tuple[str, ...]
    backend: Any = None

    picture = "influence"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """None: influence estimates nothing."""
        return ()

    @property
    def mark(self) -> float:
        """4 / units, above which a Cook's distance is often looked at (Bollen & Jackman 1990); no test of anything."""
        return 4.0 / len(self.units)

    def largest(self, n: int = _SHOWN) -> tuple[tuple[Any, float], ...]:
        """The ``n`` units of largest Cook's distance with it, the largest first."""
        order = np.argsort(-np.nan_to_num(self.cook, nan=np.inf), kind="stable")[:n]
        return tuple((self.units[i], float(self.cook[i])) for i in order)

    def to_frame(self, *, level: float | None = None) -> Any:
        """One row a unit, as a frame of the kind that came in: its name, leverage, cook, and dfbetas by coefficient."""
        table: dict[str, list[Any]] = {self.unit: list(self.units)}
        table |= {"leverage": self.leverage.tolist(), "cook": self.cook.tolist()}
        table |= {f"dfbetas {name}": self.dfbetas[:, j].tolist() for j, name in enumerate(self.names)}
        return self._frame(table)

    def to_sentence(self) -> str:
        """The most influential units, in a sentence."""
        told = ", ".join(f"{unit} ({number(d, 2)})" for unit, d in self.largest(3))
        above = int((self.cook > self.mark).sum())
        return f"Largest Cook's distances ({self.how}): {told}; {above} of {len(self.units)} above 4 / n."

    def _title(self) -> str:
        return f"Influence on {self.model}"

    def _told(self) -> Iterable[str]:
        yield self._title()
        yield f"left out in turn  {len(self.units)} by {self.unit}, {self.how}"
        yield ""
        body = []
        for unit, cook in self.largest():
            at = self.units.index(unit)
            most = int(np.nanargmax(np.abs(self.dfbetas[at]))) if np.isfinite(self.dfbetas[at]).any() else 0
            moved = f"{self.names[most]}: {number(float(self.dfbetas[at, most]), 3)}"
            body.append([str(unit), number(float(self.leverage[at]), 3), number(cook, 3), moved])
        yield from aligned([self.unit, "leverage", "Cook's distance", "largest dfbetas"], body)
        yield ""
        yield self.to_sentence()
        if np.isnan(self.cook).any():
            yield f"Note: without {', '.join(map(str, self._alone()))} a coefficient is not estimable."

    def _alone(self) -> list[Any]:
        return [u for u, d in zip(self.units, self.cook, strict=True) if np.isnan(d)][:_SHOWN]

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"

    def _drawn(self) -> Any:
        return self


def made(
    model: str,
    how: str,
    unit: tuple[str, Sequence[Any]],
    names: Sequence[str],
    change: FloatArray,
    precision: FloatArray,
    references: tuple[str, ...],
    *,
    leverage: FloatArray | None = None,
    se: FloatArray | None = None,
    backend: Any = None,
) -> Influence:
    """The influence from the changes (unit, p) of the coefficients.

    precision : (p, p) inverse of their covariance by the model. se : (p,) or (unit, p) that dfbetas are counted in,
    default those of the model.
    """
    scale = np.sqrt(np.diag(np.linalg.inv(precision))) if se is None else se
    cook = np.einsum("ia,ab,ib->i", change, precision, change) / len(names)
    none = np.full(len(change), np.nan)
    return Influence(
        model,
        how,
        unit[0],
        tuple(unit[1]),
        tuple(names),
        none if leverage is None else leverage,
        cook,
        change,
        change / scale,
        (COOK, *references),
        backend,
    )


def refitted(beta: FloatArray, units: int, without: Callable[[int], FloatArray | None]) -> FloatArray:
    """(unit, p) ``beta`` less the coefficients that ``without`` gives for each unit left out; NaN where it has none."""
    out = np.full((units, len(beta)), np.nan)
    for i in range(units):
        found = without(i)
        if found is not None and len(found) == len(beta):
            out[i] = beta - found
    return out


def least_squares(
    x: FloatArray, residual: FloatArray, hat: FloatArray, unscaled: FloatArray, df: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of least squares: (row, p) changes, (row,) residual deviation without the row, and studentised residuals.

    x, residual : weighted rows (row, p) and residuals (row,). hat : (row,) leverage. unscaled : (p, p) inverse of X'X.
    df : residual degrees of freedom. NaN where the row determines a coefficient alone. ``lm.influence`` and
    ``rstudent`` of R.
    """
    left = np.where(hat > 1.0 - 1e-10, np.nan, 1.0 - hat)
    change = (x @ unscaled) * (residual / left)[:, None]
    rss = float(residual @ residual)
    if df < 2:
        sigma = np.full(len(residual), np.nan)
    else:
        sigma = np.sqrt(np.maximum(rss - residual**2 / left, 0.0) / (df - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = residual / (sigma * np.sqrt(left))
    return change, sigma, studentised


def held(blocks: Sequence[tuple[FloatArray, FloatArray]], precision: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of generalised least squares with the covariance held: (unit, p) changes, and (unit,) leverage.

    blocks : of every unit its rows of the design (row, p) and its residuals (row,), both divided by the Cholesky factor
    of the unit's covariance. precision : (p, p) the sum of their cross-products.

        b - b_(i) = (A - A_i)^-1 X_i' e_i,   A_i = X_i' X_i,   leverage_i = tr(A^-1 A_i)
    """
    p = len(precision)
    change, leverage = np.full((len(blocks), p), np.nan), np.empty(len(blocks))
    inverse = np.linalg.inv(precision)
    for i, (x, e) in enumerate(blocks):
        own = x.T @ x
        leverage[i] = float(np.trace(inverse @ own))
        # the largest share of any direction that the unit pays for; 1 where it determines one alone
        share = float(np.linalg.eigvalsh(x @ inverse @ x.T)[-1])
        if share < 1.0 - 1e-10:
            change[i] = np.linalg.solve(precision - own, x.T @ e)
    return change, leverage
