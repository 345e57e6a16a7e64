"""The values of a record: a number, a short text, a date, each with its provenance; p-values and contrasts."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AllowInfNan, Field, Strict, model_validator

from equipoise.files import Frozen

Confidence = Literal["seen", "slide", "curve", "derived", "recall"]
"""seen: read as text in the source. slide: printed on a slide image. curve: read off a plot. derived: computed here
from numbers of the other kinds. recall: from memory, unverified; never shown as fact, never used to calibrate."""

Verdict = Literal["yes", "no", "disputed"]
Number = Annotated[int, Strict()] | Annotated[float, Strict(), AllowInfNan(False)]
Count = Annotated[int, Strict(), Field(ge=0)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Date = Annotated[str, Field(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]
"""ISO date, to the day, month or year."""
Text = Annotated[str, Field(min_length=1)]

ALPHA = 0.05
"""The conventional two-sided level of a test, where a source states none."""

_FRACTION = re.compile(r"^\s*(\d+)\s*/\s*(\d+)\s*$")
_BOUND = re.compile(r"^\s*([<>])\s*([0-9.eE+-]+)\s*$")
_SPAN = re.compile(r"^\s*([0-9.]+)\s*-\s*([0-9.]+)\s*$")
_ALSO = re.compile(r"^\s*(\S+)(?:\s+(.*\S))?\s*$")


class Model(Frozen, str_strip_whitespace=True):
    """A part of a record: :class:`equipoise.files.Frozen`, text without spaces around it."""


class Sourced(Model):
    """Anything with provenance. What is left out is inherited from the enclosing block when the record is built."""

    source: str | None = None
    place: str | None = None
    confidence: Confidence | None = None
    also: tuple[Text, ...] = ()
    """Further sources that say the same, each ``"KEY place"``, for instance ``"EMA p.64"``."""
    note: str | None = None

    @property
    def usable(self) -> bool:
        """Whether this may be shown as fact and calibrated on: it has a confidence, and that is not ``recall``."""
        return self.confidence is not None and self.confidence != "recall"

    @property
    def citations(self) -> tuple[tuple[str, str | None], ...]:
        """(source key, place) of the main source and of every further one."""
        main = ((self.source, self.place),) if self.source is not None else ()
        return main + tuple(split_also(text) for text in self.also)


def split_also(text: str) -> tuple[str, str | None]:
    """Split ``"EMA p.64"`` into the source key and the place."""
    match = _ALSO.match(text)
    return (match.group(1), match.group(2)) if match else (text, None)


class Value(Sourced):
    """One published number, with the spread printed beside it.

    In YAML a bare number means ``value``; ``[1.2, -3.19, 5.53]`` means value, low, high; ``"41/72"`` means a count of
    41 out of ``total`` 72.
    """

    value: Number | None = None
    unit: str | None = None
    low: Number | None = None
    high: Number | None = None
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage of (low, high)."""
    se: Annotated[Number, Field(ge=0)] | None = None
    sd: Annotated[Number, Field(ge=0)] | None = None
    range: tuple[Number, Number] | None = None
    """Minimum and maximum observed."""
    iqr: tuple[Number, Number] | None = None
    """25th and 75th percentile."""
    n: Count | None = None
    """Number of people the value rests on."""
    total: Count | None = None
    """Denominator, where ``value`` is a count."""
    percent: Number | None = None
    """Percentage as printed, where ``value`` is a count or is not given."""
    digits: Annotated[int, Strict(), Field(ge=0, le=12)] | None = None
    """Decimal places of ``value`` as printed, where trailing zeros were printed too; else they are counted."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"value": data}
        if isinstance(data, list | tuple) and len(data) == 3:
            return dict(zip(("value", "low", "high"), data, strict=True))
        if isinstance(data, str) and (match := _FRACTION.match(data)):
            return {"value": int(match.group(1)), "total": int(match.group(2))}
        return data

    @property
    def proportion(self) -> float | None:
        """``value / total`` where both are there, else the printed percentage / 100, else None."""
        if self.value is not None and self.total:
            return float(self.value) / self.total
        return None if self.percent is None else float(self.percent) / 100.0


class Fact(Sourced):
    """A short text fact; in YAML a bare string."""

    text: Text

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data


class DateFact(Sourced):
    """A date (ISO, to the day, month or year); in YAML a bare date."""

    date: Date

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"date": data}
        return {"date": str(data)} if isinstance(data, int) and not isinstance(data, bool) else data


class PValue(Value):
    """A p-value and the test it came from, which need not be the method of the estimate beside it.

    ``value`` may be written ``"<0.0001"`` (``relation`` becomes ``<``) or ``"0.55-0.57"`` (``low``, ``high``).
    """

    method: Id
    relation: Literal["=", "<", ">"] = "="
    status: Literal["formal", "nominal", "not_stated"] = "nominal"
    """formal: part of the confirmatory test sequence. nominal: outside it, or after a failed step."""
    sides: Literal["two", "one"] = "two"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """The level to which the source holds the test, where it states one."""

    @property
    def held_to(self) -> float:
        """The level of the test: as stated, else the conventional one."""
        return ALPHA if self.alpha is None else self.alpha

    @model_validator(mode="before")
    @classmethod
    def _relation(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(text := data.get("value"), str):
            try:
                if match := _BOUND.match(text):
                    return {**data, "relation": match.group(1), "value": float(match.group(2))}
                if match := _SPAN.match(text):
                    return {**data, "value": None, "low": float(match.group(1)), "high": float(match.group(2))}
            except ValueError:
                return data
        return data


class Contrast(Value):
    """Active against control: ``value`` (also ``estimate``), its interval and standard error."""

    kind: Literal["difference", "ratio", "hazard_ratio"]
    label: str | None = None
    """What the source calls it, for instance ``Difference in LS geometric mean ratio``."""
    turned: bool = False
    """Posted as control against active, and turned round here: a margin posted beside it is that of the other order."""

    @property
    def estimate(self) -> Number | None:
        """The point estimate."""
        return self.value

    @property
    def null(self) -> float:
        """The value that means no effect: 0 for a difference, 1 for a ratio."""
        return 0.0 if self.kind == "difference" else 1.0
