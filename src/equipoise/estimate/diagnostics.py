"""A fit looked at: residuals, normal quantiles, influence, proportional hazards and random effects, in one result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.drawing import drawing
from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.influence import Influence
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.estimate.formula import Design

SUBJECT = "USUBJID"
PLOTS = ("residuals", "qq", "influence", "proportional_hazards")


@dataclass(frozen=True, eq=False)
class Diagnostics(Fit):
    """What a fit looks like from the side of the data.

    model, kind : what was fitted, and which residuals these are. unit : the column that names the units. rows : columns
    of the residual plot, ``unit``, ``fitted``, ``residual`` and, of repeated measures, ``visit``. own : the influence
    of the units. fitted : what ``fitted`` is. normal : whether the residuals ought to be normal. effects : predicted
    random effects by name. proportional, scaled : of a Cox model the test of proportional hazards, and times of events,
    scaled Schoenfeld residuals (event, p), names and coefficients.
    """

    model: str
    kind: str
    unit: str
    rows: Mapping[str, list[Any]]
    own: Influence | None
    fitted: str = "fitted mean"
    normal: bool = True
    effects: Mapping[str, FloatArray] = field(default_factory=dict)
    proportional: Any = None
    scaled: tuple[FloatArray, FloatArray, tuple[str, ...], FloatArray] | None = None
    backend: Any = None

    picture = "residuals"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The tests of proportional hazards of a Cox model; else none."""
        return () if self.proportional is None else tuple(self.proportional.estimates)

    def to_frame(self, *, level: float | None = None) -> Any:
        """One row a residual, as a frame of the kind that came in."""
        return self._frame({self.unit if k == "unit" else k: v for k, v in self.rows.items()})

    def qq(self, of: str = "residuals") -> Any:
        """Sample against normal quantiles, as a frame: what names the value (of residuals), ``normal``, ``value``.

        of : ``residuals``, or the name of a random effect. As R's ``qqnorm``: quantiles at ``ppoints``.

        Raises :class:`EstimationError` for what follows no normal distribution even if the model holds.
        """
        value = self._values(of)
        there = np.flatnonzero(np.isfinite(value))
        order = there[np.argsort(value[there], kind="stable")]
        normal = normal_quantiles(len(order))
        named: dict[str, list[Any]] = {}
        if of == "residuals":
            named = {self.unit: [self.rows["unit"][i] for i in order]}
        return self._frame({**named, "normal": normal.tolist(), "value": value[order].tolist()})

    def _values(self, of: str) -> FloatArray:
        if of in self.effects:
            return self.effects[of]
        if of != "residuals":
            raise EstimationError(f"no random effect {of!r}", hint="there are " + ", ".join(self.effects or ["none"]))
        if not self.normal:
            raise EstimationError(
                f"a Q-Q plot of {self.kind}s of {self.model}: they follow no normal distribution",
                hint="look at the residuals against the linear predictor, and at the influence",
            )
        return np.asarray(self.rows["residual"], np.float64)

    def straightness(self, of: str = "residuals") -> float:
        """The squared correlation of the Q-Q plot, 1 for a straight line (Shapiro & Francia 1972's W', with R's
        ``ppoints``)."""
        frame = nw.from_native(self.qq(of))
        a, b = frame["normal"].to_numpy(), frame["value"].to_numpy()
        return float(np.corrcoef(a, b)[0, 1] ** 2) if len(a) > 2 and np.ptp(b) > 0.0 else float("nan")

    def drift(self, term: str | None = None, *, level: float = 0.95) -> Any:
        """Of a Cox model, how a coefficient moves over time: a frame of ``time`` of every event, scaled Schoenfeld
        ``residual``, and their mean over time with ``low`` and ``high``, by a natural spline on 4 df (Grambsch &
        Therneau 1994).

        term : a coefficient; default the first. Raises :class:`EstimationError` for another, or another model.
        """
        if self.scaled is None:
            raise EstimationError(f"no hazards in {self.model}", hint="ask a Cox model")
        from equipoise.estimate.linear.ancova import ancova

        time, residual, names, _ = self.scaled
        term = names[0] if term is None else term
        if term not in names:
            raise EstimationError(f"no coefficient {term!r}", hint="there are " + ", ".join(names))
        table: dict[str, list[Any]] = {"time": time.tolist(), "residual": residual[:, names.index(term)].tolist()}
        if len(np.unique(time)) > 5 and np.ptp(table["residual"]) > 0.0:
            frame = nw.from_dict(table, backend="polars").to_native()
            mean = nw.from_native(ancova("residual ~ ns(time, 3)", frame).predict(level=level))
            table |= {"mean": mean["estimate"].to_list()} | {k: mean[k].to_list() for k in ("low", "high")}
        return self._frame(table)

    def _title(self) -> str:
        return f"Diagnostics of {self.model}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        r = np.asarray(self.rows["residual"], np.float64)
        r = r[np.isfinite(r)]
        yield self.kind + "s", f"{len(r)}, from {number(float(r.min()))} to {number(float(r.max()))}"
        at = int(np.nanargmax(np.abs(np.asarray(self.rows["residual"], np.float64))))
        where = f" at {self.rows['visit'][at]}" if "visit" in self.rows else ""
        yield "farthest from 0", f"{self.unit} {self.rows['unit'][at]}{where}"
        if self.normal:
            if self.kind.startswith(("normal", "pearson", "student")):
                beyond = [float(np.mean(np.abs(r) > z)) for z in (1.96, 3.0)]
                yield "beyond 1.96, beyond 3", f"{100 * beyond[0]:.1f} %, {100 * beyond[1]:.1f} %"
            yield "normal Q-Q", f"squared correlation {number(self.straightness())}"
        for name in self.effects:
            yield f"Q-Q of random {name}", f"squared correlation {number(self.straightness(name))}"

    def notes(self) -> Iterator[str]:
        """Sentences for below a table: the most influential units, and the test of proportional hazards."""
        if self.own is not None:
            yield self.own.to_sentence()
        if self.proportional is not None:
            yield self.proportional.to_sentence()

    def _notes(self) -> Iterator[str]:
        return self.notes()

    def _drawn(self) -> Any:
        return self

    def plot(self, which: str = "residuals", **options: Any) -> Any:
        """``residuals``, ``qq``, ``influence`` or ``proportional_hazards`` drawn; ``options`` are that function's.

        Raises :class:`EstimationError` for another name, and for what the model has not.
        """
        if which not in PLOTS:
            raise EstimationError(f"no plot {which!r}", hint="choose one of " + ", ".join(PLOTS))
        return drawing(which)(self, **options)


def normal_quantiles(n: int) -> FloatArray:
    """Normal quantiles of ``n`` ordered values, at (i - a) / (n + 1 - 2 a), a = 3/8 up to 10 values, else 1/2.

    Examples
    --------
    >>> [round(float(q), 4) for q in normal_quantiles(3)]
    [-0.8694, 0.0, 0.8694]
    """
    a = 0.375 if n <= 10 else 0.5
    return np.asarray(special.ndtri((np.arange(1, n + 1) - a) / (n + 1 - 2 * a)))


def row_names(design: Design, rows: Sequence[int]) -> tuple[str, Sequence[Any]]:
    """What names the rows analysed: the column USUBJID where it names each of them, else their number from 1."""
    if SUBJECT in design.frame.columns:
        names = design.frame.filter(design.keep.tolist())[SUBJECT].to_list()
        if len(set(names)) == len(names) == len(rows):
            return SUBJECT, names
    return "row", rows
