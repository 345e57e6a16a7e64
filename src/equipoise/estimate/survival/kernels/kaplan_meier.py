"""The Kaplan-Meier estimator over a block of trials: survival at given times, and quantiles.

With events placed before censorings at one time, the product over single patients of ``1 - event / at risk`` equals
the product over distinct times of ``1 - d / n`` (Kaplan & Meier 1958): ``(1 - 1/n)(1 - 1/(n-1)) = (n - 2)/n``.
"""

from __future__ import annotations

import numpy as np

_TOLERANCE = 1e-9


def _curve(time, event, include):
    """Sorted (trial, subject) times, infinite for those who do not count; events; survival after each; rows."""
    time = np.where(include, np.asarray(time, dtype=np.float64), np.inf)
    event = np.asarray(event, dtype=np.bool_) & include
    order = np.lexsort((~event, time), axis=-1)
    time, event = (np.take_along_axis(a, order, axis=1) for a in (time, event))
    rows = include.sum(axis=1)
    at_risk = np.maximum(rows[:, None] - np.arange(time.shape[1]), 1)
    return time, event, np.cumprod(1.0 - event / at_risk, axis=1), rows


def survival_at(time, event, include, when):
    """(trial, len(when)) survival at the times ``when``.

    time, event, include : (trial, subject). NaN beyond the last time under observation, unless everyone has had the
    event by then, and where nobody counts.
    """
    time, _, survival, rows = _curve(time, event, np.asarray(include, dtype=np.bool_))
    when = np.asarray(when, dtype=np.float64)
    passed = (time[:, :, None] <= when).sum(axis=1)  # (trial, when)
    padded = np.concatenate([np.ones((len(time), 1)), survival], axis=1)
    out = np.take_along_axis(padded, passed, axis=1)
    beyond = (passed == rows[:, None]) & (out > 0.0)
    last = np.take_along_axis(time, np.maximum(rows - 1, 0)[:, None], axis=1)
    return np.where((rows == 0)[:, None] | (beyond & (when > last)), np.nan, out)


def quantile(time, event, include, p=0.5):
    """(trial,) time by which a share ``p`` has had the event; infinite where the curve does not get there.

    Where survival equals ``1 - p`` over an interval, its middle (Brookmeyer & Crowley 1982). NaN where nobody counts.
    """
    time, event, survival, rows = _curve(time, event, np.asarray(include, dtype=np.bool_))
    target = 1.0 - p
    out = np.full(len(time), np.inf)
    for t in range(len(time)):
        if rows[t] == 0:
            out[t] = np.nan
            continue
        # the curve at the end of each distinct event time
        drops = np.flatnonzero(event[t])
        last = np.append(time[t, drops[1:]] != time[t, drops[:-1]], True) if len(drops) else np.zeros(0, np.bool_)
        at, values = time[t, drops[last]], survival[t, drops[last]]
        below = np.flatnonzero(values < target + _TOLERANCE)
        if not len(below):
            continue
        i = int(below[0])
        if abs(values[i] - target) < _TOLERANCE:
            later = np.flatnonzero(values[i:] < target - _TOLERANCE)
            end = at[i + int(later[0])] if len(later) else time[t, rows[t] - 1]
            out[t] = 0.5 * (at[i] + end)
        else:
            out[t] = at[i]
    return out
