"""From a long data frame (one row a patient and visit) to the arrays of the kernels, one trial at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError, NoVisitError
from equipoise.estimate.columns import arms_of, coded, numbers
from equipoise.estimate.frames import one_row_a_patient, read_frame, require, values_of
from equipoise.estimate.indicators import tied_times
from equipoise.estimate.left_out import NOBODY, LeftOut
from equipoise.types import FloatArray


@dataclass(frozen=True, eq=False)
class Panel:
    """One trial in arrays.

    subjects : (subject,) identifiers, in order of first appearance. weeks : (visit,) sorted visits. y : (subject,
    visit), NaN where missing. arms : labels, control first. arm : (subject,) index of the arm in ``arms``: 0 for
    control, 1 for active or the first of several. backend : the data-frame
    library that came in. baseline : the frame reduced to one row a patient. left_out : rows that take no part because
    they have no visit; a visit without a value is a missing one.
    """

    subjects: list[Any]
    weeks: FloatArray
    y: FloatArray
    arms: tuple[Any, ...]
    arm: FloatArray
    baseline: nw.DataFrame[Any]
    backend: Any
    left_out: LeftOut = NOBODY

    @property
    def n(self) -> int:
        return len(self.subjects)

    @property
    def indicators(self) -> FloatArray:
        """(subject, arm) 1 for who is in an arm, of all arms but control: what tells arms apart in a design."""
        return np.asarray(self.arm[:, None] == np.arange(1, len(self.arms)), dtype=np.float64)

    def place_of(self, arm: Any = None, versus: Any = None) -> tuple[int, int]:
        """Indices of an arm and of the one it is compared with; default the only other arm, and control.

        Raises :class:`EstimationError` for an arm that is not there, and where ``arm`` is left open among several.
        """
        known = "arms are " + ", ".join(map(str, self.arms))
        if arm is None:
            others = [a for a in self.arms if a != (self.arms[0] if versus is None else versus)]
            if len(others) != 1:
                raise EstimationError("which arm is compared?", hint=f"give arm=; {known}")
            arm = others[0]
        for one in (arm, versus):
            if one is not None and one not in self.arms:
                raise EstimationError(f"no arm {one!r}", hint=known)
        first, second = self.arms.index(arm), 0 if versus is None else self.arms.index(versus)
        if first == second:
            raise EstimationError(f"{arm!r} compared with itself", hint=f"give versus=; {known}")
        return first, second

    def at(self, week: float) -> int:
        """Index of a visit; raises :class:`NoVisitError` where there is none."""
        hit = np.flatnonzero(np.isclose(self.weeks, week)) if isinstance(week, Real) else np.empty(0, np.int64)
        if hit.size == 0:
            raise NoVisitError(
                f"no visit at week {week:g}" if isinstance(week, Real) else f"no visit at {week!r}",
                hint="visits are at weeks " + ", ".join(f"{w:g}" for w in self.weeks),
            )
        return int(hit[0])

    def unseen(self, v: int) -> str:
        """That an arm has nobody seen at visit ``v`` (index), in words; empty where all have."""
        for a, arm in enumerate(self.arms):
            if np.isnan(self.y[self.arm == a, v]).all():
                return f"no observed values of {arm} at week {self.weeks[v]:g}"
        return ""

    def columns(self, names: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
        """(subject, column) covariates: numbers as they are, categories as indicators of all levels but the first.

        Raises :class:`DataError` for patients without one.
        """
        matrix, called, alone = coded(self.baseline, names)
        matrix, called = matrix[:, ~alone], tuple(c for c, single in zip(called, alone, strict=True) if not single)
        lost = np.isnan(matrix).any(axis=1)
        if lost.any():
            who = [str(self.subjects[i]) for i in np.flatnonzero(lost)[:5]]
            bad = [called[j] for j in np.flatnonzero(np.isnan(matrix).any(axis=0))]
            raise DataError(
                f"{int(lost.sum())} patients have no {', '.join(bad)} (such as {', '.join(who)})",
                hint="covariates and imputation predictors must be known for everyone: fill them in or leave them out",
            )
        return matrix, called

    def native(self, table: dict[str, list[Any]]) -> Any:
        """A frame of the kind that came in."""
        return nw.from_dict(table, backend=self.backend).to_native()


def read_panel(
    data: Any,
    *,
    value: str,
    subject: str,
    visit: str,
    arm: str,
    control: Any = None,
    covariates: Sequence[str] = (),
    baseline_value: str | None = None,
    log: bool = False,
    up_to: float | None = None,
    several: bool = False,
) -> Panel:
    """Read a long frame. Post-baseline visits are those with ``visit`` above 0; rows without a visit take no part, and
    visits whose times differ by rounding alone are one.

    value : the change from baseline; or, with ``log``, the value in natural units, whose log ratio to
    ``baseline_value`` is formed. control : the level of ``arm`` to compare with; default the first.
    up_to : the last visit to take. several : there may be more than two arms.
    """
    frame = read_frame(data)
    names = [value, subject, visit, arm, *covariates, *([baseline_value] if log and baseline_value else [])]
    require(frame, names)
    base, subjects, _ = one_row_a_patient(frame, subject, [arm, *covariates])
    named, levels = arms_of(base, arm, control, several=several)
    if None in named:
        raise DataError(
            f"{arm!r} has missing values (patient {subjects[named.index(None)]})",
            hint="every patient needs an arm: filter the rows",
        )
    (week,) = tied_times(numbers(frame, visit))
    y_long = numbers(frame, value)
    if log:
        reference = numbers(frame, baseline_value or "")
        with np.errstate(divide="ignore", invalid="ignore"):
            bad = (y_long <= 0.0) | (reference <= 0.0)
            y_long = np.where(bad, np.nan, np.log(y_long) - np.log(reference))
        if bad.any():
            raise DataError(
                f"{value!r} or {baseline_value!r} is not positive in row {int(np.flatnonzero(bad)[0]) + 1}",
                hint="logarithms need positive values: use half the limit of quantification for values below it",
            )
    after = np.unique(week[week > 0.0])
    listed = "visits are at " + ", ".join(f"{w:g}" for w in after[:40])
    if up_to is not None and not (isinstance(up_to, Real) and not np.isnan(float(up_to))):
        raise EstimationError(f"the last visit is to be {up_to!r}", hint=f"give a number: {listed}")
    take = (week > 0.0) & (week <= (np.inf if up_to is None else float(up_to)))
    weeks = np.unique(week[take])
    if weeks.size == 0 and after.size:
        raise NoVisitError(f"no visit of {visit!r} is up to {up_to:g}", hint=listed)
    if weeks.size == 0:
        raise DataError(f"no post-baseline visit in {visit!r}", hint="visits are weeks from first dose, above 0")
    y = np.full((len(subjects), weeks.size), np.nan)
    row_of = {s: i for i, s in enumerate(subjects)}
    ids = values_of(frame.get_column(subject))
    filled = np.zeros(y.shape, np.bool_)
    for row in map(int, np.flatnonzero(take)):
        i, v = row_of[ids[row]], int(np.searchsorted(weeks, week[row]))
        if filled[i, v]:
            raise DataError(
                f"patient {ids[row]} has two rows at week {week[row]:g}", hint="keep one row a patient and visit"
            )
        filled[i, v] = True
        y[i, v] = y_long[row]
    return Panel(
        subjects,
        weeks,
        y,
        levels,
        np.array([float(levels.index(a)) for a in named]),
        base,
        nw.get_native_namespace(frame),
        LeftOut({f"without {visit}": int(np.isnan(week).sum())}),
    )
