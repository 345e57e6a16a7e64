"""How numbers are written: minus signs, intervals, p-values, percentages. Sources are the writer's matter."""

from __future__ import annotations

import math
from decimal import Decimal

from equipoise.numerics.rounding import rounded
from equipoise.records.schema import Contrast, PValue, Value

MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"
THIN = "\N{NARROW NO-BREAK SPACE}"


def decimals(x: float) -> int:
    """Decimal places in the shortest writing of ``x``: 0 for 3, 1 for 2.0, 2 for 0.27."""
    if isinstance(x, int):
        return 0
    return max(0, -int(Decimal(repr(float(x))).as_tuple().exponent))


def number(x: float, digits: int | None = None, *, plus: bool = False) -> str:
    """``x`` with a true minus sign and commas between thousands; ``digits`` None keeps it as published."""
    places = decimals(x) if digits is None else digits
    if digits is None and isinstance(x, float) and x == int(x) and abs(x) >= 100:
        places = 0
    text = f"{rounded(abs(x), places):,f}" if math.isfinite(x) else f"{abs(x)}"
    negative = x < 0 and float(text.replace(",", "")) != 0
    return (MINUS if negative else "+" if plus and x > 0 else "") + text


def in_percent(fraction: float, digits: int = 0) -> str:
    """A fraction in per cent without the sign; halves go away from nought, as in every number that is written.

    >>> in_percent(0.125), in_percent(0.285), in_percent(0.00125, 2)
    ('13', '29', '0.13')
    """
    return number(round(100.0 * fraction, 9), digits)  # 0.285 is 28.5 %, and not what floats make of it


def percent(fraction: float, digits: int | None = None) -> str:
    """A fraction as a percentage; by default no decimals from 10 % up, one below."""
    value = round(100.0 * fraction, 9)  # 0.285 is 28.5 %, and not what floats make of it
    places = digits if digits is not None else (1 if 0 < abs(value) < 10 or 99 < value < 100 else 0)
    return f"{number(value, places)}{THIN}%"


def in_hundred(people: float) -> str:
    """``18 in 100``, with more decimals the smaller it is: nobody is half a person, but nought would be wrong."""
    places = next((d for bound, d in ((1, 0), (0.1, 1), (0.01, 2)) if people >= bound), 3)
    return f"{number(people, 0 if people == 0 else places)} in 100"


def span(low: float, high: float, digits: int | None = None) -> str:
    """``low to high``."""
    return f"{number(low, digits)} to {number(high, digits)}"


def p_value(p: PValue, *, exact: bool = False) -> str:
    """``P = 0.97``; two significant decimals in prose, as published where ``exact``."""
    if p.sides == "one":
        return f"one-sided {p_value(p.model_copy(update={'sides': 'two'}), exact=exact)}"
    if p.value is None:
        return f"P{NBSP}={NBSP}{span(p.low or 0.0, p.high or 0.0)}"
    value = float(p.value)
    if exact or p.relation != "=":
        text = number(value, max(2, decimals(value)) if value < 1 else None)  # a trailing zero is lost when stored
    elif value >= 0.1:
        text = number(value, 2)
    elif value >= 0.001:
        text = number(value, min(3, max(2, decimals(value))))  # 0.03 as printed, not 0.030
    else:
        text = number(value, 4)
    return f"P{NBSP}{p.relation}{NBSP}{text}"


def contrast_digits(c: Contrast) -> int:
    """Decimals to show a contrast with: as its estimate, but at least one for differences and two for ratios."""
    floor = 1 if c.kind == "difference" else 2
    if c.low is not None and c.high is not None and c.high - c.low < 1.5:
        floor = 2  # a trailing zero is lost when a number is stored: 0.20 with an interval of 0.06 to 0.33
    return max(floor, 0 if c.value is None else decimals(c.value))


def level(c: Contrast) -> str:
    """``; 90 % interval``: the level of an interval that is not the usual one; else nothing."""
    return "" if abs(c.level - 0.95) < 1e-9 else f"; {100 * c.level:g}{THIN}% interval"


def contrast(c: Contrast, *, exact: bool = False) -> str:
    """``1.2 (−3.2 to 5.5)``; the interval as published where ``exact``."""
    digits = contrast_digits(c)
    bounds = ""
    if c.low is not None and c.high is not None:
        each = [max(digits, decimals(b)) if exact else digits for b in (c.low, c.high)]
        bounds = f"({number(c.low, each[0])} to {number(c.high, each[1])}{level(c)})"
    elif c.low is None and c.high is None and c.se is not None:
        bounds = f"(SE {number(c.se, max(digits, decimals(c.se)))})"
    elif (limit := c.low if c.low is not None else c.high) is not None:
        side = "lower" if c.low is not None else "upper"
        bounds = f"({side} limit {number(limit, max(digits, decimals(limit)) if exact else digits)}{level(c)})"
    if c.value is None:
        return bounds or "not estimable"
    text = number(c.value, digits)
    return f"{text} {bounds}" if bounds else text


def spread(v: Value, floor: int = 0, sd_floor: int = 0) -> str:
    """A value with whatever spread is printed beside it: SE, SD, interval, range or quartiles.

    ``floor`` and ``sd_floor`` are the fewest decimals of the value (and its interval) and of a standard deviation or
    error: a trailing zero is lost when a number is stored.
    """
    if v.value is not None and v.total:
        share = f" ({number(v.percent)}{THIN}%)" if v.percent is not None else ""
        return f"{number(v.value)}/{number(v.total)}{share}"
    if v.value is None:
        parts = []
        if v.percent is not None:
            parts.append(f"{number(v.percent)}{THIN}%")
        if v.low is not None and v.high is not None:
            parts.append(span(v.low, v.high))
        parts.extend(_bounds(b) for b in (v.range, v.iqr) if b is not None)
        return " ".join(parts) or "not stated"
    text = number(v.value, max(floor, decimals(v.value)))
    if v.percent is not None:
        text += f" ({number(v.percent)}{THIN}%)"
    if v.sd is not None:
        text += f" (SD {number(v.sd, max(sd_floor, decimals(v.sd)))})"
    if v.se is not None:
        text += f" (SE {number(v.se, max(sd_floor, decimals(v.se)))})"
    if v.low is not None and v.high is not None:
        text += f" ({number(v.low, max(floor, decimals(v.low)))} to {number(v.high, max(floor, decimals(v.high)))})"
    for bounds in (v.range, v.iqr):
        if bounds is not None:
            text += f" ({_bounds(bounds)})"
    return text


def _bounds(bounds: tuple[float, float]) -> str:
    """``−8.30 to −0.39``: both with the same decimals, but whole numbers as they are."""
    digits = max(map(decimals, bounds))
    low, high = (number(b, 0 if isinstance(b, int) else digits) for b in bounds)
    return f"{low} to {high}"


_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def date_text(date: str) -> str:
    """``2019-03-27`` as ``27 March 2019``, to whatever precision it has."""
    parts = [int(p) for p in date.split("-")]
    if len(parts) == 1:
        return date
    month = _MONTHS[parts[1] - 1]
    return f"{month} {parts[0]}" if len(parts) == 2 else f"{parts[2]} {month} {parts[0]}"
