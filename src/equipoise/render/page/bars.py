"""Bars inside table cells: an estimate and its interval on an axis that the rows of a table share.

Written by hand: a page has dozens of them, and each is a line and a mark. Colours are the page's CSS classes.
"""

from __future__ import annotations

import math

from equipoise.document.document import Bar

WIDTH, HEIGHT = 220.0, 22.0
_EDGE = 6.0


def bar_svg(bar: Bar) -> str:
    """The bar as SVG, hidden from screen readers: its numbers stand in words in the same row."""
    middle = HEIGHT / 2
    parts = [f'<path class="bar-axis" d="M0 {middle:g}H{WIDTH:g}"/>']
    if bar.null is not None:
        at = _place(bar, bar.null)
        parts.append(f'<path class="bar-null" d="M{at:.1f} 0V{HEIGHT:g}"/>')
    if bar.low is not None and bar.high is not None:
        low, high = _place(bar, bar.low), _place(bar, bar.high)
        parts.append(f'<path class="bar-interval" d="M{low:.1f} {middle:g}H{high:.1f}"/>')
        for x, beyond, turn in ((low, bar.low < bar.low_end, 1), (high, bar.high > bar.high_end, -1)):
            if beyond:
                parts.append(f'<path class="f-ink" d="M{x:.1f} {middle:g}l{5 * turn} -4v8z"/>')
    x = _place(bar, bar.estimate)
    parts.append(_mark(bar.tone, x, middle))
    return (
        f'<svg class="bar" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" height="{HEIGHT:g}" '
        f'aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def _mark(tone: str, x: float, y: float) -> str:
    """The estimate: shapes and colours go together, so that neither carries the meaning alone."""
    if tone == "good":
        return f'<circle class="f-good" cx="{x:.1f}" cy="{y:g}" r="4.6"/>'
    if tone == "bad":
        return f'<rect class="f-accent" x="{x - 4:.1f}" y="{y - 4:g}" width="8" height="8"/>'
    return f'<path class="f-ink" d="M{x:.1f} {y - 5.5:g}l5.5 5.5 -5.5 5.5 -5.5 -5.5z"/>'


def _place(bar: Bar, value: float) -> float:
    """Where a value lies, kept inside the drawing."""
    if bar.log:
        share = math.log(max(value, 1e-9) / bar.low_end) / math.log(bar.high_end / bar.low_end)
    else:
        share = (value - bar.low_end) / (bar.high_end - bar.low_end)
    return _EDGE + (WIDTH - 2 * _EDGE) * min(1.0, max(0.0, share))
