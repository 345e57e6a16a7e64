"""What the charts of a document show, as numbers: forest plots, curves, dots, densities; and ready drawings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Interval:
    """One line of a forest plot. ``tone``: ``primary``, ``main``, ``check`` (planned but not tested), ``post_hoc``."""

    label: str
    shown: str
    estimate: float
    low: float | None
    high: float | None
    tone: str = "main"


@dataclass(frozen=True, slots=True)
class ForestPanel:
    """Intervals on one scale; ``null`` is the value of no effect, ``log`` whether the axis is logarithmic."""

    title: str
    axis: str
    null: float
    log: bool
    better_low: str
    better_high: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Forest:
    """A forest plot of several panels."""

    panels: tuple[ForestPanel, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One arm over time: published points with their spread, or a simulated mean with its band."""

    label: str
    kind: Literal["published", "simulated"]
    arm: Literal["active", "control"]
    weeks: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class CurvePanel:
    """One outcome in one set; ``null`` is the value of no change.

    span : least and most of the scale, where panels are read against each other; None: as far as the numbers go.
    """

    title: str
    axis: str
    null: float
    log: bool
    series: tuple[Series, ...]
    span: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Curves:
    """Small multiples of curves, with the arms' labels for the legend."""

    panels: tuple[CurvePanel, ...]
    active: str
    control: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One quantity of the replica in published standard errors: simulated mean and range of single replicates."""

    label: str
    z: float
    low: float
    high: float
    used_in_fit: bool


@dataclass(frozen=True, slots=True)
class DotPanel:
    """Dots of one outcome."""

    title: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Dots:
    """The replica against what was published, standardised."""

    panels: tuple[DotPanel, ...]


@dataclass(frozen=True, slots=True)
class DensityPanel:
    """What is known of one number, before and after: the height of a density at ``at``, the median and its interval.

    ``null`` is the value of no effect, None where there is none; ``flat`` the height of the density before.
    """

    title: str
    axis: str
    null: float | None
    at: tuple[float, ...]
    height: tuple[float, ...]
    flat: float
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Densities:
    """Small multiples of densities, each between the ends of what was thought possible before."""

    panels: tuple[DensityPanel, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing that is ready: shapes and words as SVG, colours as the marks that every theme of a page knows.

    A document that holds one checks it (:func:`equipoise.document.document.check`): no script, no address, no style.
    """

    svg: str


Chart: TypeAlias = Forest | Curves | Dots | Densities | Drawing
