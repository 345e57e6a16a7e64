"""Rounding as numbers are written: halves go away from nought. Python's own formats send them to the even digit."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext


def rounded(x: float, places: int) -> Decimal:
    """``x`` as it is written, rounded half away from nought: 60.5 is 61, not the even 60, and 0.285 is 0.29.

    >>> rounded(60.5, 0), rounded(0.285, 2)
    (Decimal('61'), Decimal('0.29'))
    """
    with localcontext() as context:
        context.prec = 400  # the longest float written out
        return Decimal(repr(float(x))).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def of_hundred(part: float, whole: float, places: int = 1) -> str:
    """A share of a whole in per cent, without the sign.

    >>> of_hundred(49, 400), of_hundred(23, 40, 0)
    ('12.3', '58')
    """
    return f"{rounded(round(100.0 * part / whole, 9), places):f}"  # 57.5, and not what floats make of it
