"""The analysis plan of a real (or virtual) trial, as read from YAML: which records, which model, which contrasts.

A plan names a study, its treatment variable and arms, its populations, and a list of analyses. Each analysis is one
table: a population, a data set, the records it uses (``where``) and its sections, each with a ``method``:

==============  ======================================================================================================
``summary``     n, mean, SD, median ... of a numeric variable by arm, with an optional test over the arms
``categories``  counts and percentages of the levels of a variable (or of conditions), with an optional test
``incidence``   subjects with at least one event, by term, against the control arm by Fisher's exact test
``ancova``      analysis of covariance: LS means, contrasts, the test of a term
``mmrm``        mixed model for repeated measures: LS means and contrasts by visit
``survival``    Kaplan-Meier, log-rank test and Cox model
==============  ======================================================================================================

Conditions (``where``) are mappings of a variable to a value, a list of values, ``null`` for missing, or comparisons
such as ``{ge: 18, lt: 65}`` or ``{not: LOCF}``; all of them have to hold. Nothing in a plan is ever executed.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from equipoise.errors import DataError, ScenarioError

Scalar: TypeAlias = bool | int | float | str | dt.date | None
Where: TypeAlias = dict[str, Any]
_COMPARISONS = ("eq", "ne", "not", "gt", "ge", "lt", "le", "in")
_SHOW = re.compile(r"\{([a-z_0-9]+)(?::([^}]*))?\}")
MAX_PLAN_BYTES = 4 << 20
_STYLED = ("statistics", "lsmeans", "contrasts")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_where(where: Where) -> Where:
    for variable, condition in where.items():
        if isinstance(condition, dict):
            unknown = sorted(set(condition) - set(_COMPARISONS))
            if unknown or not condition:
                raise ValueError(f"{variable}: unknown comparison {unknown}; known are {', '.join(_COMPARISONS)}")
    return where


class Show(_Strict):
    """One line of a block: its label and how its cells are written.

    ``show`` holds names of statistics in braces, each with its decimals: ``{mean:1} ({sd:2})``. ``p4`` writes a
    p-value with four decimals, smaller ones as ``<0.0001``.
    """

    label: str
    show: str

    @field_validator("show")
    @classmethod
    def _readable(cls, text: str) -> str:
        if not _SHOW.search(text):
            raise ValueError("show names no statistic in braces, such as {mean:1}")
        for _, form in _SHOW.findall(text):
            if form and not re.fullmatch(r"p?\d", form):
                raise ValueError(f"{form!r} is no format; give decimals (1) or a p-value's (p4)")
        return text


class Treatment(_Strict):
    """The treatment variable in ADSL and its arms, control first unless ``control`` says otherwise."""

    variable: str = "TRT01P"
    arms: tuple[str, ...] = Field(min_length=1)
    control: str | None = None
    labels: dict[str, str] = {}

    @model_validator(mode="after")
    def _known(self) -> Treatment:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("an arm is listed twice")
        if self.control is not None and self.control not in self.arms:
            raise ValueError(f"control {self.control!r} is not one of the arms")
        return self

    @property
    def reference(self) -> str:
        return self.control or self.arms[0]


class Population(_Strict):
    """An analysis population: a label and conditions on ADSL (a population flag, as a rule)."""

    label: str
    where: Where = {}

    _where = field_validator("where")(_check_where)


class _Section(_Strict):
    label: str = ""
    where: Where = {}
    note: str | None = None

    _where = field_validator("where")(_check_where)


_SUMMARY = (
    Show(label="n", show="{n}"),
    Show(label="Mean (SD)", show="{mean:1} ({sd:2})"),
    Show(label="Median", show="{median:1}"),
    Show(label="Min; max", show="{min:1}; {max:1}"),
)
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


class SummarySection(_Section):
    """Summary statistics of a numeric variable: n, missing, mean, sd, se, median, q1, q3, min, max."""

    method: Literal["summary"]
    variable: str
    statistics: tuple[Show, ...] = _SUMMARY
    test: Literal["anova", "kruskal-wallis"] | None = None
    test_show: str = "{p:p4}"


class Level(_Strict):
    """A level of a categorical block: its label, and the conditions under which a record belongs to it."""

    label: str
    where: Where

    _where = field_validator("where")(_check_where)


class CategoriesSection(_Section):
    """Counts and percentages of levels. ``denominator``: the subjects of the column, or those with the variable."""

    method: Literal["categories"]
    variable: str | None = None
    levels: tuple[Level, ...] | dict[str, str] | None = None
    show_n: bool = False
    denominator: Literal["population", "observed"] = "population"
    decimals: int = Field(default=0, ge=0, le=4)
    test: Literal["chi-square", "fisher"] | None = None
    test_show: str = "{p:p4}"

    @model_validator(mode="after")
    def _complete(self) -> CategoriesSection:
        if self.variable is None and not isinstance(self.levels, tuple):
            raise ValueError("categories need a variable, or levels with conditions")
        return self


class IncidenceSection(_Section):
    """Subjects with at least one event by term (ADAE), the commonest first, those below ``at_least`` % left out."""

    method: Literal["incidence"]
    variable: str = "AEDECOD"
    any_label: str | None = "Any adverse event"
    at_least: float = Field(default=5.0, ge=0, le=100)
    decimals: int = Field(default=1, ge=0, le=4)
    test: Literal["fisher"] | None = "fisher"
    test_show: str = "{p:p4}"


class ModelRow(_Strict):
    """One line of a model's block: LS means, a contrast of two arms, or the test of a term of the model.

    ``arm`` and ``versus`` make a contrast (its cell stands in the column of ``arm``); ``versus`` alone makes one for
    each other arm. ``term`` gives a term's test (with ``formula``, of another model), in the column of ``arm``.
    """

    label: str
    show: str
    arm: str | None = None
    versus: str | None = None
    term: str | None = None
    formula: str | None = None

    _show = field_validator("show")(Show._readable.__func__)  # type: ignore[attr-defined]


class _ModelSection(_Section):
    """``exponentiate``: means and differences of logarithms are shown as geometric means and their ratios."""

    formula: str
    weights: Literal["observed", "equal", "proportional", "counterfactual"] = "equal"
    level: float = Field(default=0.95, gt=0, lt=1)
    exponentiate: bool = False
    lsmeans: tuple[Show, ...] = MEANS
    contrasts: tuple[Show, ...] = CONTRAST
    rows: tuple[ModelRow, ...] | None = None


class AncovaSection(_ModelSection):
    """Analysis of covariance by least squares; ``vcov`` HC0 to HC3 for a heteroscedasticity-consistent covariance."""

    method: Literal["ancova"]
    vcov: Literal["HC0", "HC1", "HC2", "HC3"] | None = None


class MmrmSection(_ModelSection):
    """Mixed model for repeated measures. ``covariance`` is a ladder: each structure is tried until one converges."""

    method: Literal["mmrm"]
    visit: str = "AVISIT"
    visits: tuple[str, ...] | None = None
    order: str = "AVISITN"
    covariance: tuple[str, ...] = ("us",)
    df: Literal[
        "satterthwaite", "kenward-roger", "kenward-roger-linear", "between-within", "residual"
    ] = "kenward-roger"  # fmt: skip
    reml: bool = True


class SurvivalSection(_Section):
    """Kaplan-Meier by arm, log-rank test and Cox model against the control arm; CNSR 0 is an event."""

    method: Literal["survival"]
    time: str = "AVAL"
    censor: str = "CNSR"
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)
    at: tuple[float, ...] = ()
    ties: Literal["efron", "breslow"] = "efron"
    test: Literal["log-rank"] | None = "log-rank"
    decimals: int = Field(default=1, ge=0, le=6)


Section: TypeAlias = Annotated[
    SummarySection | CategoriesSection | IncidenceSection | AncovaSection | MmrmSection | SurvivalSection,
    Field(discriminator="method"),
]


class Analysis(_Strict):
    """One table: whom it counts (population), what it reads (data set, parameter, records) and its sections.

    ``derive`` adds variables to the records, ``{LBASE: {log: BASE}}``; covariates then have their mean on that scale.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str
    population: str
    dataset: str = "ADSL"
    parameter: str | None = None
    where: Where = {}
    derive: dict[str, dict[Literal["log", "log2", "log10", "sqrt"], str]] = {}
    total: bool = False
    sections: tuple[Section, ...] = Field(min_length=1)
    footnotes: tuple[str, ...] = ()
    purpose: Literal["primary", "secondary", "exploratory"] = "secondary"
    reason: Literal[
        "SPECIFIED IN PROTOCOL", "SPECIFIED IN SAP", "DATA DRIVEN", "REQUESTED BY REGULATORY AGENCY"
    ] = "SPECIFIED IN SAP"  # fmt: skip
    estimand: str | None = None

    _where = field_validator("where")(_check_where)

    @field_validator("derive")
    @classmethod
    def _one_function(cls, derive: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for name, made in derive.items():
            if len(made) != 1 or not name.isidentifier():
                raise ValueError(f"derive {name}: one function of one variable is meant, {{LBASE: {{log: BASE}}}}")
        return derive


class Plan(_Strict):
    """The whole plan. ``populations`` are named by short keys (``ITT``), which the analyses use.

    ``styles`` names lists of lines, so that a section may say ``statistics: continuous`` for one of them.
    """

    study: str
    title: str = ""
    source: str | None = None
    treatment: Treatment
    populations: dict[str, Population] = Field(min_length=1)
    styles: dict[str, tuple[Show, ...]] = {}
    analyses: tuple[Analysis, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _styled(cls, raw: Any) -> Any:
        """Sections with the lines of the style they name."""
        if not isinstance(raw, dict) or not isinstance(raw.get("styles"), dict):
            return raw
        styles, analyses = raw["styles"], []
        for analysis in raw.get("analyses") or ():
            if isinstance(analysis, dict) and isinstance(analysis.get("sections"), list):
                sections = [
                    {k: styles.get(v, v) if k in _STYLED and isinstance(v, str) else v for k, v in section.items()}
                    if isinstance(section, dict)
                    else section
                    for section in analysis["sections"]
                ]
                analysis = {**analysis, "sections": sections}
            analyses.append(analysis)
        return {**raw, "analyses": analyses}

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        ids = [a.id for a in self.analyses]
        if len(set(ids)) < len(ids):
            raise ValueError("two analyses have the same id")
        for analysis in self.analyses:
            if analysis.population not in self.populations:
                known = ", ".join(self.populations)
                raise ValueError(f"analysis {analysis.id}: unknown population {analysis.population!r}; known: {known}")
            for section in analysis.sections:
                for row in getattr(section, "rows", None) or ():
                    for arm in (row.arm, row.versus):
                        if arm is not None and arm not in self.treatment.arms:
                            raise ValueError(f"analysis {analysis.id}, {row.label!r}: unknown arm {arm!r}")
        return self


def read_plan(path: str | Path) -> Plan:
    """Read and check a plan.

    Raises
    ------
    ScenarioError : no such file, not YAML, or not a plan; each mistake is named with its place.
    """
    path = Path(path)
    if not path.is_file():
        raise ScenarioError(f"no plan {path}", hint="equipoise analyse --init FOLDER writes one to start from")
    if path.stat().st_size > MAX_PLAN_BYTES:
        raise ScenarioError(f"{path.name}: {path.stat().st_size} bytes", hint="a plan is a page or two of YAML")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{path.name}: not UTF-8 text", hint="save the plan as UTF-8") from None
    return parse_plan(text, path.name)


class _NoAlias(yaml.SafeLoader):
    """YAML without aliases (a plan needs none, and nested ones expand without bound); yes, no, on, off are text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way of configuring a loader
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)


def parse_plan(text: str, source: str = "plan") -> Plan:
    """A plan from YAML text; see :func:`read_plan`."""
    try:
        raw = yaml.load(text, Loader=_NoAlias)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ScenarioError(f"{source}: not YAML ({said[:200]})", hint="check indentation, colons and quotes") from None
    if not isinstance(raw, dict):
        raise ScenarioError(
            f"{source}: not a plan", hint="a plan is a mapping with study, treatment, populations, analyses"
        )
    try:
        return Plan.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(p) for p in e['loc']) or 'plan'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()[:8]
        ]
        raise ScenarioError(f"{source}: not a plan:\n  " + "\n  ".join(lines), hint="see docs/adam.md") from None


def dump_plan(plan: Plan) -> str:
    """The plan as YAML that :func:`parse_plan` reads back; defaults are left out."""
    data = plan.model_dump(mode="json", exclude_defaults=True)
    for analysis, kept in zip(plan.analyses, data["analyses"], strict=True):
        for section, entry in zip(analysis.sections, kept["sections"], strict=True):
            entry["method"] = section.method
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return text


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
    given = pl.lit(_typed(value, dtype, variable, what))
    if comparison == "eq":
        return (column == given).fill_null(False)
    if comparison in ("ne", "not"):
        return (column != given).fill_null(True)
    ordered = {"gt": column > given, "ge": column >= given, "lt": column < given, "le": column <= given}
    return ordered[comparison].fill_null(False)


def _typed(value: Scalar, dtype: pl.DataType, variable: str, what: str) -> Scalar:
    if dtype == pl.String and not isinstance(value, bool):
        return str(value)
    if dtype.is_numeric() and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if dtype == pl.Date and isinstance(value, dt.date):
        return value
    if dtype == pl.Boolean and isinstance(value, bool):
        return value
    raise DataError(f"{what}: {variable} is {dtype}, compared with {value!r}", hint="quote text, leave numbers bare")
