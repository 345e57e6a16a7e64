"""The parts that plans are made of: lines of cells, the treatment, populations, conditions, and what a section is."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, TypeAlias

import polars as pl
from pydantic import AfterValidator, Field, field_validator, model_validator

from equipoise.errors import DataError
from equipoise.files import Frozen
from equipoise.plan.estimand import PROCEDURES, Estimand
from equipoise.plan.results import Column

if TYPE_CHECKING:
    from equipoise.plan.methods.other_tests import Picked
Scalar: TypeAlias = bool | int | float | str | dt.date | None
_COMPARISONS = ("eq", "ne", "not", "gt", "ge", "lt", "le", "in")
_SHOW = re.compile(r"\{([a-z_0-9]+)(?::([^}]*))?\}")


def _checked(where: dict[str, Any]) -> dict[str, Any]:
    """Raise ``ValueError`` for a comparison that is not known."""
    for variable, condition in where.items():
        if isinstance(condition, dict):
            unknown = sorted(set(condition) - set(_COMPARISONS))
            if unknown or not condition:
                raise ValueError(f"{variable}: unknown comparison {unknown}; known are {', '.join(_COMPARISONS)}")
    return where


Where: TypeAlias = Annotated[dict[str, Any], AfterValidator(_checked)]
"""Conditions on variables, ``{AVISITN: {le: 24}}``; a comparison that is not known is refused wherever they stand."""


class Show(Frozen):
    """One line of a block: its label and how its cells are written.

    ``show`` holds names of statistics in braces, each with its decimals: ``{mean:1} ({sd:2})``. ``p4`` writes a
    p-value with four decimals, smaller ones as ``<0.0001``.
    """

    label: str
    show: str

    @field_validator("show")
    @classmethod
    def readable(cls, text: str) -> str:
        """The text, if it names statistics with formats that are known."""
        if not _SHOW.search(text):
            raise ValueError("show names no statistic in braces, such as {mean:1}")
        for _, form in _SHOW.findall(text):
            if form and not re.fullmatch(r"p?\d", form):
                raise ValueError(f"{form!r} is no format; give decimals (1) or a p-value's (p4)")
        return text


class _Line(Protocol):
    @property
    def label(self) -> str: ...
    @property
    def show(self) -> str: ...


def known_statistics(lines: Iterable[_Line], known: Sequence[str]) -> None:
    """Raise ``ValueError`` for a line that shows a statistic which its method does not have."""
    for line in lines:
        unknown = [name for name, _ in _SHOW.findall(line.show) if name not in known]
        if unknown:
            raise ValueError(f"{line.label!r}: there is no statistic {unknown[0]!r}; there are {', '.join(known)}")


class Treatment(Frozen):
    """The treatment variable in ADSL and its arms, control first unless ``control`` says otherwise.

    pool : a name for several arms of the data together. One that is among ``arms`` stands for them in every analysis;
    any other is a further column, beside those of its arms, where subjects are counted or described.
    """

    variable: str = "TRT01P"
    arms: tuple[str, ...] = Field(min_length=1)
    control: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    pool: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Treatment:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("an arm is listed twice")
        if self.control is not None and self.control not in self.arms:
            raise ValueError(f"control {self.control!r} is not one of the arms")
        for name, members in self.pool.items():
            among, twice = [m for m in members if m in self.arms], len(set(members)) < len(members)
            if not members or twice or name in members:
                raise ValueError(f"pool {name}: name several arms of the data, each once")
            if name in self.arms and among:
                raise ValueError(f"pool {name}: {among[0]!r} is an arm of its own; take one of the two out of arms")
            if name not in self.arms and len(among) < len(members):
                absent = next(m for m in members if m not in self.arms)
                raise ValueError(f"pool {name}: {absent!r} is not one of the arms; name {name} in arms to pool them")
        inside = [m for name, members in self.pool.items() if name in self.arms for m in members]
        if len(set(inside)) < len(inside):
            raise ValueError(f"pool: {next(m for m in inside if inside.count(m) > 1)!r} is in two pooled arms")
        return self

    def changed(self, own: OwnTreatment | None) -> Treatment:
        """This, with what an analysis says for itself."""
        return self if own is None else Treatment(**{**self.model_dump(), **own.model_dump(exclude_unset=True)})

    @property
    def pooled(self) -> dict[str, str]:
        """Arm of the data -> the pooled arm that stands for it."""
        return {m: name for name, members in self.pool.items() if name in self.arms for m in members}

    @property
    def beside(self) -> dict[str, tuple[str, ...]]:
        """Further columns: name -> the arms that they take together."""
        return {name: members for name, members in self.pool.items() if name not in self.arms}

    @property
    def reference(self) -> str:
        return self.control or self.arms[0]


class OwnTreatment(Frozen):
    """What one analysis says of the treatment: actual (``TRT01A``) for planned, other arms, arms pooled.

    What is not said is as in the plan.
    """

    variable: str = "TRT01P"
    arms: tuple[str, ...] = Field(default=(), min_length=1)
    control: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    pool: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Population(Frozen):
    """An analysis population: a label and conditions on ADSL (a population flag, as a rule)."""

    label: str
    where: Where = Field(default_factory=dict)


class Gather(Frozen):
    """A value for every subject from records (``parameter``, ``where``) of another data set, of one variable.

    take : ``only`` (there is one record), ``first`` or ``last`` in the order of ``by``, ``mean``, ``median``, ``min``,
    ``max`` or ``sum``; ``count`` of the records, 0 for who has none; with a ``rule``, ``any``: 1 for who has
    a record that meets them, 0 for who has others alone. So a mean over visits, the worst value, a response by rule and
    the time of the first of something are variables of subjects.
    """

    dataset: str
    parameter: str | None = None
    variable: str = "AVAL"
    where: Where = Field(default_factory=dict)
    take: Literal["only", "first", "last", "mean", "median", "min", "max", "sum", "count", "any"] = "only"
    by: str = "AVISITN"
    rule: Where | None = None

    @model_validator(mode="after")
    def _together(self) -> Gather:
        if (self.take == "any") != (self.rule is not None):
            raise ValueError("take: any and rule:, the conditions that are to be met, go together")
        return self


class Pick(Frozen):
    """One record of each subject: the ``first`` or ``last`` in the order of ``by``, or that of its ``max`` or ``min``.

    So the value at the end of treatment is ``{take: last, by: ADY}`` of the records on treatment, and the worst value
    ``{take: max, by: AVAL}``. Of records that tie the later one in the data is taken.
    """

    take: Literal["first", "last", "max", "min"]
    by: str = "AVISITN"


class Section(Frozen):
    """What every section has: a label, conditions of its own, a note, and whether its figure is drawn.

    ``pick``: of each subject's records that meet the conditions one alone is read.

    A subclass names its ``method``. ``estimand`` states the section's own, where it differs from the analysis'.
    ``handles`` says what is done at an intercurrent event where the method leaves a choice: event -> one of
    :data:`equipoise.plan.estimand.PROCEDURES`, such as ``{stopping treatment: dropped}``.
    """

    label: str = ""
    where: Where = Field(default_factory=dict)
    note: str | None = None
    pick: Pick | None = None
    figure: bool = True
    estimand: Estimand | str | None = None
    handles: dict[str, str] = Field(default_factory=dict)

    ESTIMATES: ClassVar[str | None] = None
    """The method in :data:`equipoise.plan.estimand.METHODS`; None where no treatment effect is estimated."""

    READS_ALL: ClassVar[bool] = False
    """Whether it reads records of every parameter of a data set together."""

    @model_validator(mode="after")
    def _places_once(self) -> Section:
        for name in ("at", "weeks", "visits"):
            places = getattr(self, name, None)
            if not isinstance(places, tuple):
                continue
            if len(set(places)) < len(places):
                raise ValueError(f"{name}: {next(p for p in places if places.count(p) > 1)} is listed twice")
            if any(isinstance(p, float) and not math.isfinite(p) for p in places):
                raise ValueError(f"{name}: a finite number is meant")
        return self

    @model_validator(mode="after")
    def _columns_once(self) -> Section:
        """One variable cannot be two of these at a time."""
        roles = ("value", "visit", "start", "time", "censor", "cause")
        named: dict[str, str] = {}
        for role in roles:
            variable = getattr(self, role, None)
            if isinstance(variable, str) and variable in named:
                raise ValueError(f"{named[variable]} and {role} are the same variable, {variable}")
            if isinstance(variable, str):
                named[variable] = role
        return self

    @field_validator("handles")
    @classmethod
    def _procedures(cls, handles: dict[str, str]) -> dict[str, str]:
        unknown = [name for name in handles.values() if name not in PROCEDURES]
        if unknown:
            raise ValueError(f"handles: {unknown[0]!r} is no procedure; there are {', '.join(PROCEDURES)}")
        return handles

    @property
    def kind(self) -> str:
        """Its method."""
        return str(getattr(self, "method", ""))

    def estimates(self) -> str | None:
        """The method that its estimand is held against; see ``ESTIMATES``."""
        return self.ESTIMATES

    def does(self) -> dict[str, str]:
        """Event -> what the section does at it (a name of :data:`equipoise.plan.estimand.PROCEDURES`)."""
        return dict(self.handles)

    def tests_arms(self) -> bool:
        """Whether it has a p-value over all arms, which needs a column."""
        return bool(getattr(self, "test", None))

    def tests_each(self) -> bool:
        """Whether it has p-values of each arm against control, each in a column."""
        return False

    def differs_each(self) -> bool:
        """Whether it has differences of each arm against control, each in a column."""
        return False

    def refers(self) -> tuple[Picked, ...]:
        """The tests of other analyses that it takes up."""
        return ()

    def columns(self) -> tuple[Column, ...] | None:
        """Its own columns, where it has others than the arms."""
        return None


class ComparedSection(Section):
    """A section that compares arms two at a time: each with control, or with ``versus``, or ``arm`` alone with it."""

    arm: str | None = None
    versus: str | None = None

    @model_validator(mode="after")
    def _two_arms(self) -> ComparedSection:
        if self.arm is not None and self.arm == self.versus:
            raise ValueError(f"arm and versus are the same, {self.arm}")
        return self


RATIO_MEANS = (Show(label="Geometric mean (95% CI)", show="{estimate:2} ({low:2}; {high:2})"),)
RATIO_CONTRAST = (
    Show(label="p-value", show="{p:p4}"),
    Show(label="Ratio (95% CI)", show="{estimate:2} ({low:2}; {high:2})"),
)
CONTRAST = (
    Show(label="p-value", show="{p:p4}"),
    Show(label="Difference of LS means (SE)", show="{estimate:2} ({se:2})"),
    Show(label="95% CI", show="{low:2}; {high:2}"),
)
MEANS = (Show(label="LS mean (SE)", show="{estimate:2} ({se:2})"),)


def condition(where: Where, frame: pl.DataFrame, what: str) -> pl.Expr:
    """The conditions as one polars expression over ``frame``.

    Raises
    ------
    DataError : a variable that is not there, or a comparison of text with a number.
    """
    out = pl.lit(True)
    for variable, wanted in where.items():
        if variable not in frame.columns:
            raise DataError(
                f"{what}: there is no variable {variable}", hint="there are " + ", ".join(frame.columns[:60])
            )
        tests = wanted if isinstance(wanted, dict) else {"in": wanted} if isinstance(wanted, list) else {"eq": wanted}
        for comparison, value in tests.items():
            out = out & _compare(variable, comparison, value, frame.schema[variable], what)
    return out


def _compare(variable: str, comparison: str, value: Any, dtype: pl.DataType, what: str) -> pl.Expr:
    column = pl.col(variable)
    if comparison in ("in",) or isinstance(value, list):
        values = value if isinstance(value, list) else [value]
        typed = [_typed(v, dtype, variable, what) for v in values if v is not None]
        inside = column.is_in(typed).fill_null(False)
        inside = inside | column.is_null() if None in values else inside
        return ~inside if comparison in ("ne", "not") else inside
    if value is None:
        return column.is_not_null() if comparison in ("ne", "not") else column.is_null()
    typed_value = _typed(value, dtype, variable, what)
    given = pl.lit(typed_value, dtype=dtype) if dtype == pl.Enum else pl.lit(typed_value)
    if comparison == "eq":
        return (column == given).fill_null(False)
    if comparison in ("ne", "not"):
        return (column != given).fill_null(True)
    ordered = {"gt": column > given, "ge": column >= given, "lt": column < given, "le": column <= given}
    return ordered[comparison].fill_null(False)


def _typed(value: Scalar, dtype: pl.DataType, variable: str, what: str) -> Scalar:
    if dtype in (pl.String, pl.Enum) and not isinstance(value, bool):
        if isinstance(dtype, pl.Enum) and str(value) not in dtype.categories.to_list():
            known = ", ".join(dtype.categories.to_list())
            raise DataError(f"{what}: {variable} has no level {value!r}", hint=f"levels: of the plan has {known}")
        return str(value)
    if dtype.is_numeric() and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if dtype == pl.Date and isinstance(value, dt.date):
        return value
    if dtype == pl.Date and isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    if dtype == pl.Boolean and isinstance(value, bool):
        return value
    raise DataError(f"{what}: {variable} is {dtype}, compared with {value!r}", hint="quote text, leave numbers bare")
