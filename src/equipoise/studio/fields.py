"""A text in YAML as the fields of a form, and what a form brings back put in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.errors import ScenarioError

AT = "at/"
"""What the name of a field of a plan begins with; the rest is where it stands."""


@dataclass(frozen=True)
class Field:
    """A field: its name in the form, the words beside it, what stands in it, and the answers it may have if few."""

    at: str
    label: str
    said: str
    answers: tuple[str, ...] = ()


def put(data: Any, path: Sequence[str], value: Any) -> None:
    """Set what stands at a place that the form itself named; anything else is not there to be set.

    A value takes the kind of what stood there.

    Raises
    ------
    ScenarioError : there stood a number, and this is none.
    """
    steps = [s for s in path if s]
    node = data
    for step in steps[:-1]:
        node = _inside(node, step)
    last = steps[-1] if steps else ""
    if isinstance(node, dict) and last in node and _simple(node[last]):
        node[last] = _like(node[last], str(value), "/".join(steps))


def _inside(node: Any, step: str) -> Any:
    if isinstance(node, list):
        return node[int(step)] if step.isdecimal() and len(step) < 6 and int(step) < len(node) else None
    return node.get(step) if isinstance(node, dict) else None


def _simple(value: Any) -> bool:
    """Whether a value can be written in a field: words, a number, yes or no, or a list of such without commas."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(v, str | int | float) and "," not in str(v) for v in value)
    return isinstance(value, str | int | float)


def _like(old: Any, text: str, where: str) -> Any:
    if isinstance(old, list):
        parts = [p.strip() for p in text.split(",") if p.strip()]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in old)
        return [_like(0.0, p, where) for p in parts] if numbers else parts
    if isinstance(old, bool):
        return text == "yes"
    if isinstance(old, int | float):
        try:
            found = float(text)
        except ValueError:
            raise ScenarioError(f"{where}: {text[:40]!r} is no number", hint="write digits, with a point") from None
        return int(found) if found.is_integer() and abs(found) < 2**53 else found
    return text


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def field(at: str, name: str, value: Any, answers: Sequence[str] = ()) -> Field:
    """A field of a value that can be written in one."""
    label = name.replace("_", " ")
    known = tuple(answers) or (("yes", "no") if isinstance(value, bool) else ())
    return Field(AT + at.lstrip("/"), label[:1].upper() + label[1:], _shown(value), known)


def fields(
    at: str, node: Any, *, but: Sequence[str] = (), answers: Mapping[str, Sequence[str]] | None = None
) -> list[Field]:
    """The fields of a mapping: what can be written in one, and what such mappings in it hold; lists of mappings not."""
    out: list[Field] = []
    if not isinstance(node, dict):
        return out
    for name, value in node.items():
        if not isinstance(name, str) or not name or "/" in name or name in but:
            continue
        if isinstance(value, dict):
            for inner in fields(f"{at}/{name}", value):
                words = f"{name.replace('_', ' ')}: {inner.label}"
                out.append(Field(inner.at, words[:1].upper() + words[1:], inner.said, inner.answers))
        elif _simple(value):
            out.append(field(f"{at}/{name}", name, value, (answers or {}).get(name, ())))
    return out


def groups_of_plan(plan: Any) -> list[tuple[str, list[Field]]]:
    """A plan as titled groups of fields: the study, its arms, its populations, then each analysis with its sections."""
    if not isinstance(plan, dict):
        return []
    treatment = plan.get("treatment")
    arms = [str(a) for a in treatment.get("arms") or ()] if isinstance(treatment, dict) else []
    populations = plan.get("populations")
    known = [str(p) for p in populations] if isinstance(populations, dict) else []
    out = [("The study", fields("", {k: v for k, v in plan.items() if k in ("study", "title")}))]
    if isinstance(treatment, dict):
        out.append(("Arms", fields("treatment", treatment, answers={"control": arms})))
    if isinstance(populations, dict):
        out.append(("Populations", fields("populations", populations)))
    for k, analysis in enumerate(plan.get("analyses") or ()):
        if not isinstance(analysis, dict):
            continue
        at = f"analyses/{k}"
        answers = {"population": known, "purpose": ("primary", "secondary", "exploratory")}
        rows = fields(at, analysis, but=("id", "sections"), answers=answers)
        for j, section in enumerate(analysis.get("sections") or ()):
            if isinstance(section, dict):
                called = f"Section {j + 1} ({section.get('method', '')})"
                rows += [
                    Field(f.at, f"{called}: {f.label}", f.said, f.answers)
                    for f in fields(f"{at}/sections/{j}", section, but=("method",))
                ]
        called = f"{analysis.get('id', k + 1)}"
        out.append((f"{called}: {analysis['title']}" if analysis.get("title") else called, rows))
    return [(title, rows) for title, rows in out if rows]
