"""Times in weeks, in words."""

from __future__ import annotations


def span_words(weeks: float) -> str:
    """A time in weeks as it was meant: ``week 28``, and of weeks that are no whole number ``3 years``, ``day 180``.

    >>> [span_words(w) for w in (28, 156.5, 52.2, 25.7, 26.1)]
    ['week 28', '3 years', '12 months', 'day 180', '6 months']
    """
    if float(weeks).is_integer():
        return f"week {float(weeks):g}"
    for unit, length, least in (("years", 365.25 / 7.0, 2), ("months", 30.4375 / 7.0, 1)):
        n = round(weeks / length)
        if n >= least and abs(weeks - n * length) <= 0.06:
            return f"{n} {unit}" if n > 1 else f"1 {unit[:-1]}"
    days = round(7.0 * weeks)
    return f"day {days}" if abs(7.0 * weeks - days) <= 0.4 else f"week {weeks:g}"
