"""Whether predicted risks are the risks that come true: a smooth curve of observed by predicted, and distances from it.

The observed risk by the horizon is that of a regression of the times after the landmark on a natural spline of
log(-log(1 - predicted)): Cox's (Austin, Harrell & van Klaveren 2020, Stat Med 39:2714), under competing risks Fine and
Gray's (Austin et al. 2022, Diagn Progn Res 6:2).
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from equipoise.errors import EquipoiseError
from equipoise.estimate.formula import Design, build, read
from equipoise.estimate.frames import read_frame
from equipoise.estimate.survival.cox import cox
from equipoise.estimate.survival.fine_gray import fine_gray
from equipoise.types import FloatArray, IntArray


def observed_risks(
    risk: FloatArray, time: FloatArray, code: IntArray, cause: int, horizon: float, several: bool
) -> FloatArray:
    """(patient,) the smooth observed risk by ``horizon`` at each predicted ``risk``; NaN where no curve can be had.

    time, code (patient,) : of the event, 0 for none, else the cause from 1; cause from 0. Fewer terms of the spline are
    taken where cases are few: one per ten.
    """
    p = np.clip(risk, 1e-6, 1.0 - 1e-6)
    x = np.log(-np.log1p(-p))
    # who is followed beyond the horizon tells nothing of the risk by then
    end = np.minimum(time, horizon)
    kind = np.where(time <= horizon, code, 0)
    cases = int((kind == cause + 1).sum())
    df = min(3, max(1, cases // 10), len(np.unique(x)) - 1)
    nothing = np.full(len(p), math.nan)
    if df < 1 or cases < 2:
        return nothing
    base = pl.DataFrame({"X": x})
    design: Design = build(read(f"~ ns(X, {df})" if df > 1 else "~ X"), read_frame(base), {})[0]
    columns = [i for i, name in enumerate(design.names) if name != "(Intercept)"]
    z = design.matrix()[:, columns]
    names = [f"Z{k}" for k in range(z.shape[1])]
    frame = pl.DataFrame({"T": end, "C": kind, **{n: z[:, k] for k, n in enumerate(names)}})
    try:
        if several:
            fit = fine_gray(f"Surv(T, C) ~ {' + '.join(names)}", frame, of=cause + 1, censored=0)
            return np.array([float(fit.incidence(row.tolist(), horizon)[0]) for row in z])
        own = cox(f"Surv(T, C) ~ {' + '.join(names)}", frame.with_columns(C=(pl.col("C") > 0).cast(int)))
        made = own.predict(frame, at=[horizon])
        return 1.0 - np.asarray(pl.DataFrame(made)["survival"].to_numpy(), np.float64)
    except EquipoiseError:
        return nothing
