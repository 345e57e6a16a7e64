"""The curves of one analysis, one a group: what those of survival and those of incidence have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.left_out import NOBODY, LeftOut

if TYPE_CHECKING:
    from equipoise.estimate.result import Estimate

Curve = TypeVar("Curve")


@dataclass(frozen=True, eq=False)
class Curves(Fit, Sequence[Curve], Generic[Curve]):
    """The curves of one analysis, one a group: goes through them in order, and takes a place or a group's label.

    curves : in the order of the groups. left_out : rows that take no part in any curve.
    """

    curves: tuple[Curve, ...]
    left_out: LeftOut = NOBODY
    backend: Any = None

    def _each(self) -> tuple[Any, ...]:
        return self.curves

    def __len__(self) -> int:
        return len(self.curves)

    def __iter__(self) -> Iterator[Curve]:
        return iter(self.curves)

    def __getitem__(self, which: Any) -> Any:
        """A curve by the label of its group, or by its place; raises :class:`EstimationError` for neither."""
        for curve in self._each():
            if curve.group is not None and curve.group == which:
                return curve
        if isinstance(which, int | slice) and not isinstance(which, bool):
            return self.curves[which]
        raise EstimationError(f"no curve of {which!r}", hint="groups are " + ", ".join(map(repr, self.groups)))

    @property
    def groups(self) -> tuple[Any, ...]:
        """The labels of the groups; None for everyone."""
        return tuple(c.group for c in self._each())

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Those of every curve."""
        return tuple(e for c in self._each() for e in c.estimates)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with limits of coverage ``level``."""
        return tuple(e for c in self._each() for e in c.at_level(level))

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [key for c in self._each() for key in c._keys()]

    def _facts(self) -> Iterator[tuple[str, str]]:
        for c in self._each():
            yield from c._facts()

    def _drawn(self) -> Any:
        return self.curves
