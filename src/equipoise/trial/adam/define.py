"""Define-XML 2.0 and 2.1: what a submission says about its data sets; read, and written in short form.

Read are the data sets (label, structure, keys), their variables (label, type, length, display format) and their code
lists. A document type declaration is refused, so that no entity is ever expanded.
"""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from equipoise.errors import DataError
from equipoise.files import read_bytes, write_bytes
from equipoise.trial.adam.dataset import Dataset, Variable

MAX_BYTES = 128 << 20
_TYPES = {
    "text": "string",
    "integer": "integer",
    "float": "float",
    "datetime": "datetime",
    "date": "date",
    "time": "time",
    "partialDate": "string",
    "partialTime": "string",
    "partialDatetime": "string",
    "incompleteDatetime": "string",
    "durationDatetime": "string",
    "intervalDatetime": "string",
    "hexBinary": "string",
    "URI": "URI",
}


@dataclass(frozen=True)
class DefinedDataset:
    """One ItemGroupDef: a data set, its variables in order (keys numbered), its code lists by variable."""

    name: str
    label: str
    structure: str
    variables: tuple[Variable, ...]
    codes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Define:
    """What a Define-XML says, by data set name."""

    study: str
    version: str
    datasets: dict[str, DefinedDataset]


def _local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def _get(element: ET.Element, name: str) -> str | None:
    """An attribute by local name, whatever its namespace."""
    for key, value in element.attrib.items():
        if _local(key) == name:
            return value
    return None


def _description(element: ET.Element) -> str:
    for child in element:
        if _local(child.tag) == "Description":
            for text in child:
                return " ".join((text.text or "").split())
    return _get(element, "Label") or ""


def read_define(path: str | Path) -> Define:
    """Read a Define-XML (version 1, 2.0 or 2.1: labels of version 1 stand in attributes).

    Raises
    ------
    DataError : not XML, not Define-XML, too large, or with a document type declaration.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name}: {path.stat().st_size} bytes of XML", hint=f"at most {MAX_BYTES} are read")
    raw = read_bytes(path, max_bytes=MAX_BYTES)
    plain = raw.replace(b"\0", b"")
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise DataError(f"{path.name}: has a document type declaration", hint="Define-XML needs none; remove it")
    try:
        root = ET.fromstring(raw)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise DataError(f"{path.name}: not XML ({error})", hint="the file is damaged") from None
    if _local(root.tag) != "ODM":
        raise DataError(f"{path.name}: not Define-XML (its root is {_local(root.tag)})", hint="the root should be ODM")
    metadata = next((e for e in root.iter() if _local(e.tag) == "MetaDataVersion"), None)
    if metadata is None:
        raise DataError(f"{path.name}: holds no MetaDataVersion", hint="is this a Define-XML?")
    items = {str(e.get("OID")): e for e in metadata if _local(e.tag) == "ItemDef"}
    lists = {str(e.get("OID")): _codes(e) for e in metadata if _local(e.tag) == "CodeList"}
    datasets = {}
    for group in metadata:
        if _local(group.tag) == "ItemGroupDef" and group.get("Name"):
            defined = _group(group, items, lists)
            datasets[defined.name] = defined
    study = next((e.text or "" for e in root.iter() if _local(e.tag) == "StudyName"), "")
    return Define(study=study.strip(), version=_get(metadata, "DefineVersion") or "", datasets=datasets)


def _codes(element: ET.Element) -> tuple[str, ...]:
    return tuple(
        str(e.get("CodedValue"))
        for e in element
        if _local(e.tag) in ("CodeListItem", "EnumeratedItem") and e.get("CodedValue")
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


def _group(group: ET.Element, items: dict[str, ET.Element], lists: dict[str, tuple[str, ...]]) -> DefinedDataset:
    found: list[tuple[int, Variable]] = []
    codes: dict[str, tuple[str, ...]] = {}
    for number, reference in enumerate((e for e in group if _local(e.tag) == "ItemRef"), start=1):
        item = items.get(str(reference.get("ItemOID")))
        if item is None or not item.get("Name"):
            continue
        name = str(item.get("Name")).upper()
        given = str(item.get("DataType", "text"))
        type_ = _TYPES.get(given, "string")
        format_ = _get(item, "DisplayFormat")
        numeric_date = type_ in ("date", "datetime", "time") and bool(format_) and not name.endswith("DTC")
        found.append(
            (
                _whole(reference.get("OrderNumber")) or number,
                Variable(
                    name=name,
                    label=_description(item),
                    type=type_,
                    length=_whole(item.get("Length")),
                    format=format_,
                    target="integer" if numeric_date else None,
                    key=_whole(reference.get("KeySequence")),
                    oid=item.get("OID"),
                ),
            )
        )
        for child in item:
            if _local(child.tag) == "CodeListRef" and lists.get(str(child.get("CodeListOID"))):
                codes[name] = lists[str(child.get("CodeListOID"))]
    found.sort(key=lambda pair: pair[0])
    return DefinedDataset(
        name=str(group.get("Name")).upper(),
        label=_description(group),
        structure=_get(group, "Structure") or "",
        variables=tuple(v for _, v in found),
        codes=codes,
    )


def describe_with(dataset: Dataset, defined: DefinedDataset) -> Dataset:
    """The data set with labels, formats and keys filled in from Define-XML where its own file said nothing."""
    known = {v.name: v for v in defined.variables}
    variables = []
    for variable in dataset.variables:
        more = known.get(variable.name)
        if more is not None:
            variable = replace(
                variable,
                label=variable.label or more.label,
                format=variable.format or more.format,
                key=variable.key if variable.key is not None else more.key,
                oid=variable.oid or more.oid,
            )
        variables.append(variable)
    return replace(dataset, variables=tuple(variables), label=dataset.label or defined.label)


def write_define(
    datasets: Iterable[Dataset], path: str | Path, *, study: str, suffix: str, created: dt.datetime | None = None
) -> None:
    """Write a short Define-XML 2.1 (data sets, variables, keys) that names the files beside it.

    It says what the files hold; origins, methods and code lists, which a submission needs, are for people to add.

    Raises
    ------
    OutputError : the folder cannot be written to.
    """
    namespaces = {
        "": "http://www.cdisc.org/ns/odm/v1.3",
        "def": "http://www.cdisc.org/ns/def/v2.1",
        "xlink": "http://www.w3.org/1999/xlink",
    }
    for prefix, uri in namespaces.items():
        ET.register_namespace(prefix, uri)
    odm, ns_def, xlink = (f"{{{namespaces[p]}}}" for p in ("", "def", "xlink"))
    stamp = (created or dt.datetime(1960, 1, 1)).isoformat(timespec="seconds")
    root = ET.Element(
        f"{odm}ODM",
        {
            "ODMVersion": "1.3.2",
            "FileType": "Snapshot",
            "FileOID": f"{study}.define",
            "CreationDateTime": stamp,
            f"{ns_def}Context": "Other",
        },
    )
    node = ET.SubElement(root, f"{odm}Study", {"OID": study})
    names = ET.SubElement(node, f"{odm}GlobalVariables")
    for tag in ("StudyName", "StudyDescription", "ProtocolName"):
        ET.SubElement(names, f"{odm}{tag}").text = study
    version = ET.SubElement(
        node,
        f"{odm}MetaDataVersion",
        {"OID": f"MDV.{study}", "Name": f"{study} data definitions", f"{ns_def}DefineVersion": "2.1.0"},
    )
    standards = ET.SubElement(version, f"{ns_def}Standards")
    ET.SubElement(
        standards,
        f"{ns_def}Standard",
        {"OID": "STD.1", "Name": "ADaMIG", "Type": "IG", "Version": "1.1", "Status": "Final"},
    )
    many = list(datasets)
    for dataset in many:
        group = ET.SubElement(
            version,
            f"{odm}ItemGroupDef",
            {
                "OID": f"IG.{dataset.name}",
                "Name": dataset.name,
                "SASDatasetName": dataset.name[:8],
                "Repeating": "No" if dataset.name == "ADSL" else "Yes",
                "IsReferenceData": "No",
                "Purpose": "Analysis",
                f"{ns_def}StandardOID": "STD.1",
                f"{ns_def}ArchiveLocationID": f"LF.{dataset.name}",
            },
        )
        _describe(group, dataset.label or dataset.name, odm)
        for number, variable in enumerate(dataset.variables, start=1):
            reference = {"ItemOID": f"IT.{dataset.name}.{variable.name}", "OrderNumber": str(number), "Mandatory": "No"}
            if variable.key is not None:
                reference |= {"KeySequence": str(variable.key), "Mandatory": "Yes"}
            ET.SubElement(group, f"{odm}ItemRef", reference)
        leaf = ET.SubElement(
            group, f"{ns_def}leaf", {"ID": f"LF.{dataset.name}", f"{xlink}href": f"{dataset.name.lower()}{suffix}"}
        )
        ET.SubElement(leaf, f"{ns_def}title").text = f"{dataset.name.lower()}{suffix}"
    back = {"string": "text", "double": "float", "decimal": "float", "boolean": "text"}
    for dataset in many:
        for variable in dataset.variables:
            item = {
                "OID": f"IT.{dataset.name}.{variable.name}",
                "Name": variable.name,
                "SASFieldName": variable.name[:8],
                "DataType": back.get(variable.type, variable.type),
            }
            if item["DataType"] in ("text", "integer", "float"):
                item["Length"] = str(variable.length or 8)
            if variable.format:
                item[f"{ns_def}DisplayFormat"] = variable.format
            element = ET.SubElement(version, f"{odm}ItemDef", item)
            _describe(element, variable.label or variable.name, odm)
    ET.indent(root)
    write_bytes(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _describe(element: ET.Element, text: str, odm: str) -> None:
    description = ET.SubElement(element, f"{odm}Description")
    translated = ET.SubElement(description, f"{odm}TranslatedText")
    translated.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    translated.text = text
