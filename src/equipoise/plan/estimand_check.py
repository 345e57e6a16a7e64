"""Whether the data carry out what an estimand says of a time to an event: what the plan alone cannot show."""

from __future__ import annotations

import polars as pl

from equipoise.errors import ScenarioError
from equipoise.plan.estimand import PROCEDURES, Estimand
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared

_READS_EVENTS = ("survival", "rmst", "landmark")


def check_data(context: Prepared, section: Section) -> None:
    """Hold an estimand against the records of a time to an event, by their descriptions (EVNTDESC).

    Records that end by an intercurrent event either count as the event (CNSR 0), which is composite, or are censored
    there, which is hypothetical.

    Raises
    ------
    ScenarioError : the estimand says the one and the data do the other.
    """
    asked = section.estimand or context.analysis.estimand
    if section.kind not in _READS_EVENTS or not isinstance(asked, Estimand):
        return
    records = context.chosen(section.where)
    censor = str(getattr(section, "censor", "CNSR"))
    if "EVNTDESC" not in records.columns or censor not in records.columns:
        return
    for item in asked.intercurrent_events:
        named = records.filter(pl.col("EVNTDESC").str.to_lowercase().str.contains(item.event.lower(), literal=True))
        for procedure, part in (
            ("counted", named.filter(pl.col(censor) == 0)),
            ("censored", named.filter(pl.col(censor) != 0)),
        ):
            against = {"composite": "censored", "hypothetical": "counted"}.get(item.strategy)
            if part.height and procedure == against and not item.in_data:
                done = PROCEDURES[procedure]
                raise ScenarioError(
                    f"analysis {context.analysis.id}: the estimand says {item.strategy} at {item.event}, but the data "
                    f"{'count' if procedure == 'counted' else 'censor'} {part.height} records that end by it "
                    f"({part['EVNTDESC'][0]!r}), which is {done.strategies[0]}",
                    hint=f"change the estimand, or choose a parameter whose {censor} does what it says",
                )
