"""Results of an analysis plan as a reporting event of the CDISC Analysis Results Standard (ARS) version 1.0, JSON.

Each table is an output, each of its blocks an analysis; populations are analysis sets, the records of a table a data
subset, arms a grouping; lines, visits and contrasts are data-driven groupings. Every number that a table shows is an
operation result with its raw value (17 significant digits at most, so that it reads back exactly) and its formatted
value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.plan.methods import REGISTRY
from equipoise.plan.prepared import AGAINST, TEST, TOTAL
from equipoise.plan.results import Block, Results, Row, Table

_ID = re.compile(r"[^A-Za-z0-9]+")
_OPERATIONS = {
    "n": "Number",
    "missing": "Number missing",
    "mean": "Mean",
    "sd": "Standard deviation",
    "se": "Standard error",
    "median": "Median",
    "q1": "First quartile",
    "q3": "Third quartile",
    "min": "Minimum",
    "max": "Maximum",
    "percent": "Percentage",
    "estimate": "Estimate",
    "low": "Lower confidence limit",
    "high": "Upper confidence limit",
    "p": "P-value",
    "df": "Degrees of freedom",
    "t": "t statistic",
    "f": "F statistic",
    "statistic": "Test statistic",
    "events": "Number of events",
    "hr": "Hazard ratio",
    "information": "Information",
    "z": "Z statistic",
    "boundary": "Boundary",
    "level": "Nominal level",
    "spent": "Alpha spent",
    "power": "Power",
    "adjusted": "Adjusted p-value",
}
_COMPARATORS = {"eq": "EQ", "ne": "NE", "not": "NE", "gt": "GT", "ge": "GE", "lt": "LT", "le": "LE", "in": "IN"}
_SVG = {"id": "ST_SVG", "submissionValue": "svg", "description": "Scalable Vector Graphics"}
_PURPOSE = {
    "primary": "PRIMARY OUTCOME MEASURE",
    "secondary": "SECONDARY OUTCOME MEASURE",
    "exploratory": "EXPLORATORY OUTCOME MEASURE",
}


def to_ars(results: Results, figures: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """The reporting event as plain data, valid against the ARS 1.0 JSON schema.

    figures : the files of the figures by the id of their table.
    """
    figures = figures or {}
    plan = results.plan
    groups = _treatment_groups(plan["treatment"], "AG_TRT")
    methods: dict[str, dict[str, int]] = {}
    analyses, outputs, items = [], [], []
    subsets: list[dict[str, Any]] = []
    groupings: list[dict[str, Any]] = [groups]
    planned = {a["id"]: a for a in plan["analyses"]}
    for number, table in enumerate(results.tables, start=1):
        given = planned.get(table.id, {})  # the tests in order are no analysis of the plan: they have no records
        subset = _subset(table, given)
        if subset is not None:
            subsets.append({**subset, "level": 1, "order": len(subsets) + 1})
        own_groups, treatment = groups, plan["treatment"]
        if given.get("treatment"):
            treatment = {**treatment, **given["treatment"]}
            own_groups = _treatment_groups(treatment, _id("AG_TRT", table.id))
            groupings.append(own_groups)
        control = treatment.get("control") or treatment["arms"][0]
        sublist = []
        for place, block in enumerate(table.blocks, start=1):
            analysis, own = _analysis(table, block, place, own_groups, control, methods, subset)
            analyses.append(analysis)
            groupings += own
            sublist.append({"name": analysis["name"], "level": 2, "order": place, "analysisId": analysis["id"]})
        output = _output(table, figures.get(table.id, ()))
        outputs.append(output)
        items.append(
            {
                "name": output["name"],
                "level": 1,
                "order": number,
                "outputId": output["id"],
                "sublist": {"listItems": sublist},
            }
        )
    event: dict[str, Any] = {
        "id": _id("RE", results.study),
        "name": results.study,
        "version": 1,
        "mainListOfContents": {"name": "Analyses of the plan", "label": "LOPA", "contentsList": {"listItems": items}},
        "otherListsOfContents": [
            {
                "name": "Outputs of the plan",
                "label": "LOPO",
                "contentsList": {"listItems": [{k: v for k, v in i.items() if k != "sublist"} for i in items]},
            }
        ],
        "analysisSets": [
            _where_entry(f"AS_{key}", value["label"], value.get("where", {}), "ADSL", order)
            for order, (key, value) in enumerate(plan["populations"].items(), start=1)
        ],
        "dataSubsets": subsets,
        "analysisGroupings": groupings,
        "methods": [_method(name, operations) for name, operations in methods.items()],
        "analyses": analyses,
        "outputs": outputs,
    }
    if figures:
        event["terminologyExtensions"] = [
            {"id": "TE_FILES", "enumeration": "OutputFileTypeEnum", "sponsorTerms": [_SVG]}
        ]
    if results.title:
        event["description"] = results.title
    if plan.get("source"):
        event["referenceDocuments"] = [{"id": "RD_PLAN", "name": str(plan["source"])}]
        for analysis in analyses:
            analysis["documentRefs"] = [{"referenceDocumentId": "RD_PLAN"}]
    return event


def _id(prefix: str, *parts: object) -> str:
    return "_".join([prefix, *(_ID.sub("_", str(p)).strip("_") or "X" for p in parts)])


def _value(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return ["" if v is None else f"{v:g}" if isinstance(v, float) else str(v) for v in values]


def _conditions(where: Mapping[str, Any], dataset: str) -> list[dict[str, Any]]:
    out = []
    for variable, wanted in where.items():
        tests = wanted if isinstance(wanted, dict) else {"in": wanted} if isinstance(wanted, list) else {"eq": wanted}
        for comparison, value in tests.items():
            comparator = _COMPARATORS[comparison]
            if isinstance(value, list):
                comparator = "NOTIN" if comparator == "NE" else "IN"
            out.append({"dataset": dataset, "variable": variable, "comparator": comparator, "value": _value(value)})
    return out


def _where_entry(id: str, name: str, where: Mapping[str, Any], dataset: str, order: int) -> dict[str, Any]:
    conditions = _conditions(where, dataset)
    entry: dict[str, Any] = {"id": id, "name": name, "level": 1, "order": order}
    if len(conditions) == 1:
        entry["condition"] = conditions[0]
    elif conditions:
        clauses = [{"level": 2, "order": i, "condition": c} for i, c in enumerate(conditions, start=1)]
        entry["compoundExpression"] = {"logicalOperator": "AND", "whereClauses": clauses}
    return entry


def _treatment_groups(treatment: Mapping[str, Any], id: str) -> dict[str, Any]:
    """The arms of a treatment variable; arms that are pooled are values of one group."""
    variable, pool = treatment.get("variable", "TRT01P"), treatment.get("pool", {})
    groups = []
    for i, arm in enumerate(treatment["arms"], start=1):
        values = list(pool.get(arm, [arm]))
        comparator = "IN" if len(values) > 1 else "EQ"
        condition = {"dataset": "ADSL", "variable": variable, "comparator": comparator, "value": values}
        groups.append({"id": f"{id}_{i}", "name": arm, "level": 1, "order": i, "condition": condition})
    return {
        "id": id,
        "name": "Treatment",
        "dataDriven": False,
        "groupingDataset": "ADSL",
        "groupingVariable": variable,
        "groups": groups,
    }


def _subset(table: Table, given: Mapping[str, Any]) -> dict[str, Any] | None:
    where = dict(given.get("where", {}))
    several = given.get("parameters")
    if given.get("parameter") or isinstance(several, list | tuple):
        where = {"PARAMCD": given.get("parameter") or list(several or ()), **where}
    if not where:
        return None
    return _where_entry(_id("DS", table.id), f"Records of {table.id}", where, given.get("dataset", "ADSL"), 1)


def _operation(method: str, name: str) -> str:
    return f"{_id('M', method.upper())}_{_id('OP', name.upper())}"


def _analysis(
    table: Table,
    block: Block,
    place: int,
    groups: dict[str, Any],
    control: str,
    methods: dict[str, dict[str, int]],
    subset: dict[str, Any] | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    id = _id("A", table.id, place)
    arms = {g["name"]: g["id"] for g in groups["groups"]}
    by_line, by_contrast, by_column = f"{id}_LINE", f"{id}_CONTRAST", f"{id}_COLUMN"
    headings = {c.name: c.label for c in table.columns}
    results: dict[tuple[Any, ...], dict[str, Any]] = {}
    used: set[str] = set()
    operations = methods.setdefault(block.method, {})
    heading = ""
    for row in block.rows:
        if not row.cells:
            heading = row.label
            continue
        line = _line_of(block, row, heading if row.indent else "")
        for column, cell in row.cells.items():
            for name, text in cell.shown.items():
                operations.setdefault(name, len(operations) + 1)
                where = []
                arm = column.removeprefix(AGAINST)
                if arm in arms:
                    where.append({"groupingId": groups["id"], "groupId": arms[arm]})
                elif column not in (TOTAL, TEST):
                    where.append({"groupingId": by_column, "groupValue": headings[column]})
                if line is not None and column != TEST:
                    where.append({"groupingId": by_line, "groupValue": line})
                if row.contrast is not None and column not in (TOTAL, TEST):
                    where.append({"groupingId": by_contrast, "groupValue": _contrast_of(row.contrast, column)})
                elif column.startswith(AGAINST):
                    where.append({"groupingId": by_contrast, "groupValue": f"{arm} against {control}"})
                key = (name, *((w["groupingId"], w.get("groupId"), w.get("groupValue")) for w in where))
                used.update(w["groupingId"] for w in where)
                value = cell.values.get(name)
                result: dict[str, Any] = {"operationId": _operation(block.method, name)}
                if where:
                    result["resultGroups"] = where
                result["rawValue"] = "" if value is None else repr(float(value))
                result["formattedValue"] = text
                results.setdefault(key, result)
    own = [
        {"id": g, "name": f"{n} of {id}", "dataDriven": True}
        for g, n in ((by_column, "Columns"), (by_line, "Lines"), (by_contrast, "Contrasts"))
        if g in used
    ]
    order = [g for g in (groups["id"], by_column, by_line, by_contrast) if g in used]
    entry: dict[str, Any] = {
        "id": id,
        "name": f"{table.id}: {block.label}" if block.label else table.id,
        "description": block.description or REGISTRY[block.method].title,
        "reason": {"controlledTerm": table.reason},
        "purpose": {"controlledTerm": _PURPOSE[table.purpose]},
        "version": 1,
        "methodId": _id("M", block.method.upper()),
        "analysisSetId": f"AS_{table.population}",
        "dataset": block.dataset,
        "orderedGroupings": [
            {"order": i, "groupingId": g, "resultsByGroup": True} for i, g in enumerate(order, start=1)
        ],
        "results": list(results.values()),
    }
    if block.variable:
        entry["variable"] = block.variable
    if subset is not None:
        entry["dataSubsetId"] = subset["id"]
    return entry, own


def _line_of(block: Block, row: Row, heading: str) -> str | None:
    """What tells this line's numbers from another's: a level, a term, or a visit; None for summary statistics."""
    if REGISTRY[block.method].by_line:
        return f"{heading}: {row.label}" if heading else row.label
    return heading or None


def _contrast_of(contrast: str, column: str) -> str:
    _, against, other = contrast.partition("against ")
    return f"{column} against {other}" if against else contrast


def _method(name: str, operations: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": _id("M", name.upper()),
        "name": REGISTRY[name].title,
        "operations": [
            {"id": _operation(name, o), "name": _OPERATIONS.get(o, o), "label": o, "order": order}
            for o, order in operations.items()
        ],
    }


def _output(table: Table, figures: Sequence[str]) -> dict[str, Any]:
    id = _id("O", table.id)
    texts = [("Title", [table.title]), ("Footnote", [*table.footnotes, *(n for b in table.blocks for n in b.notes)])]
    sections = [
        {
            "sectionType": kind,
            "orderedSubSections": [
                {"order": i, "subSection": {"id": f"{id}_{kind}_{i}", "text": t}} for i, t in enumerate(lines, start=1)
            ],
        }
        for kind, lines in texts
        if lines
    ]
    name = f"Table {table.id}. {table.title}"
    display = {"id": f"{id}_D", "name": f"Table {table.id}", "version": 1, "displayTitle": name}
    return {
        "id": id,
        "name": name,
        "version": 1,
        "displays": [{"order": 1, "display": {**display, "displaySections": sections}}],
        "fileSpecifications": [
            {"name": "tables.txt", "fileType": {"controlledTerm": "txt"}, "location": "./tables.txt"},
            *({"name": f, "fileType": {"sponsorTermId": _SVG["id"]}, "location": f"./{f}"} for f in figures),
        ],
    }
