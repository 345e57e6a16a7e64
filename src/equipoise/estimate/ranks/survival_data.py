"""The survival data that the joint rank test, CAFS and analyses after imputation read beside a panel of visits."""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.errors import DataError
from equipoise.estimate.columns import numbers
from equipoise.estimate.frames import one_row_a_patient, read_frame, require
from equipoise.estimate.indicators import one_indicator, read_flags
from equipoise.estimate.panel import Panel
from equipoise.types import BoolArray, FloatArray

BERRY = "Berry et al. 2013, Amyotroph Lateral Scler Frontotemporal Degener 14:162"


def survival_of(
    panel: Panel, data: Any, subject: str, time: str, censor: str | None, event: str | None
) -> tuple[FloatArray, BoolArray]:
    """(subject,) times and death indicators of the panel's patients."""
    indicator = one_indicator(event, censor)
    frame = read_frame(data)
    require(frame, [subject, time, indicator])
    rows, subjects, _ = one_row_a_patient(frame, subject, [time, indicator])
    times, (flags, unread, mend) = numbers(rows, time), read_flags(numbers(rows, indicator), censor is not None)
    everyone = "every patient needs a time, of death or of last follow-up, and an indicator"
    for bad, what, hint in (
        (np.isnan(times), f"{time!r} is missing", everyone),
        (np.isnan(flags), f"{indicator!r} is missing", everyone),
        (unread, f"{indicator!r} is no indicator", mend),
        (times < 0.0, f"{time!r} is negative", "times count from randomisation or first dose"),
    ):
        if bad.any():
            raise DataError(f"{what} for patient {subjects[int(np.flatnonzero(bad)[0])]}", hint=hint)
    index = {s: i for i, s in enumerate(subjects)}
    absent = [str(s) for s in panel.subjects if s not in index]
    if absent:
        raise DataError(
            f"{len(absent)} patients have no survival time (such as {', '.join(absent[:5])})",
            hint="every patient of the analysis needs a row in the survival data",
        )
    order = [index[s] for s in panel.subjects]
    died = flags[order] == 1.0
    return times[order], died
