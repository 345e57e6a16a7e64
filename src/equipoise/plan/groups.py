"""The groups of records of an analysis: each parameter, or each value of variables, on which its sections are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from equipoise.errors import DataError
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Group, Prepared


def in_groups(context: Prepared) -> Iterator[Prepared]:
    """The analysis made ready for each of its groups, in their order; as it is where it has none.

    Parameters come as the plan lists them, by PARAMN without a list; values of ``by`` in their own order, the first
    variable slowest. A combination without records is no group.

    Raises
    ------
    DataError : the records have no such variable, or there are none.
    """
    analysis = context.analysis
    if not analysis.grouped:
        yield context
        return
    names = list(analysis.by)
    if analysis.parameters is not None and not {"PARAM", "PARAMCD"} & set(names):
        names.insert(0, "PARAMCD")
    for name in names:
        context.need(context.records, name)
    if not context.records.height:
        raise DataError(f"analysis {analysis.id}: there are no records to be grouped", hint="see where:")
    yield from _split(context, names, (), ())


def for_section(context: Prepared, section: Section) -> Prepared:
    """The analysis made ready with the records that a section picks, one a subject (and parameter).

    Raises
    ------
    DataError : the records have no such variable.
    """
    pick = section.pick
    if pick is None:
        return context
    frame = context.chosen(section.where)
    context.need(frame, pick.by)
    several = "PARAMCD" in frame.columns and frame["PARAMCD"].n_unique() > 1
    keys = ["USUBJID", *(["PARAMCD"] if several else [])]
    up = pick.take in ("last", "max")
    ordered = frame.drop_nulls(pick.by).sort(pick.by, descending=not up, maintain_order=True)
    return replace(context, records=ordered.unique(keys, keep="last", maintain_order=True))


def _split(context: Prepared, names: list[str], keys: tuple[str, ...], labels: tuple[str, ...]) -> Iterator[Prepared]:
    if not names:
        yield replace(context, group=Group(", ".join(keys), ", ".join(labels)))
        return
    first, *rest = names
    for value in _values(context, first):
        part = context.records.filter(pl.col(first) == value)
        if part.height:
            own = replace(context, records=part)
            text = f"{value:g}" if isinstance(value, float) else str(value)
            yield from _split(own, rest, (*keys, text), (*labels, _label(part, first, text)))


def _values(context: Prepared, name: str) -> list[object]:
    """The values of a variable in the order in which groups come."""
    records, listed = context.records, context.analysis.parameters
    if name == "PARAMCD" and isinstance(listed, tuple):
        return list(listed)
    if name == "PARAMCD" and "PARAMN" in records.columns:
        ordered = records.drop_nulls(name).sort("PARAMN", maintain_order=True, nulls_last=True)
        return list(ordered[name].unique(maintain_order=True))
    return levels_in_order(records, name)


def _label(part: pl.DataFrame, name: str, text: str) -> str:
    """How a group is named: a parameter by its description."""
    if name == "PARAMCD" and "PARAM" in part.columns and part["PARAM"].null_count() < part.height:
        return str(part["PARAM"].drop_nulls()[0])
    return text
