"""One posted analysis as a result: the groups compared, the contrast and which way round it is, the p-value."""

from __future__ import annotations

import math
import re
from typing import Any

from equipoise.records.check import half_unit
from equipoise.records.keys import names
from equipoise.records.registry.protocol import words
from equipoise.records.registry.reader import Node, parse_number
from equipoise.records.registry.tables import HERE, Tables
from equipoise.records.registry.words import contrast_kind, level_stated, parse_p

_RANKS = re.compile(r"wilcoxon|mann|van elteren|rank[- ]sum|signed[- ]rank", re.I)
_SHIFT = re.compile(r"hodges|lehmann|median (of )?(the )?diff|median difference", re.I)
_NOT_A_MODELS = re.compile(r"hodges|lehmann|median|odds|hazard|risk|win ratio", re.I)
_ONE_SIDED = re.compile(r"\b(one|1)[- ](sided|tailed)", re.I)
_MARGIN = re.compile(
    r"margin\s*(?:\([^)]*\)\s*)?(?:of|was|is|:|=|set at|defined as|equal to)*\s*([-−–]?\s?\d+(?:\.\d+)?)\s*"
    r"(%|[A-Za-zµ]+(?:/[A-Za-z0-9²]+)?)?",
    re.I,
)


class Analyses(Tables):
    """Reads the analyses of an outcome."""

    def _place(
        self, analysis: Node, cells: list[tuple[str, dict[str, Any]]], known: dict[str, str], total: int, number: int
    ) -> int:
        """The row of the table an analysis belongs to, or -1 where that cannot be told."""
        if len(cells) == 1:
            return 0
        pair = [known.get(str(g.value), "") for g in analysis.items("groupIds")]
        found = analysis["paramValue"].value
        comment = " ".join(
            str(analysis[k].value or "")
            for k in ("groupDescription", "estimateComment", "statisticalComment", "pValueComment")
        )
        named = [c for c, (row, _) in enumerate(cells) if len(row) > 2 and names(comment, row)]
        if len(named) == 1:
            return named[0]
        fits = []
        if len(pair) == 2 and isinstance(found, str):
            for c, (_, values) in enumerate(cells):
                a, b = (values.get(p, {}).get("value") for p in pair)
                if a is None or b is None:
                    continue
                try:
                    x = float(found)
                except ValueError:
                    break
                slack = half_unit(x) + half_unit(float(a)) + half_unit(float(b)) + 1e-9
                near = abs(abs(a - b) - abs(x)) <= slack
                if not near and min(a, b) > 0 and x > 0:
                    near = abs(math.log(a / b) - math.log(x)) <= 0.02 or abs(math.log(b / a) - math.log(x)) <= 0.02
                if near:
                    fits.append(c)
        if len(fits) == 1:
            self.ledger.assume(
                analysis.path, f"belongs to the row {cells[fits[0]][0]!r}, whose values give its estimate"
            )
            return fits[0]
        if total == len(cells):
            self.ledger.assume(analysis.path, f"belongs to the row {cells[number][0]!r}, by its place in the list")
            return number
        self.ledger.assume(analysis.path, "which row of the table it belongs to is not said: kept without a row")
        return -1

    def _analysis(
        self,
        node: Node,
        id: str,
        base: dict[str, Any],
        values: dict[str, Any],
        known: dict[str, str],
        method: str,
        model: bool,
    ) -> dict[str, Any] | None:
        """One posted analysis as a result: the groups compared, the contrast, the p-value with its test."""
        pair = [g for n in node.items("groupIds") if (g := known.get(n.text() or ""))]
        test = node.text("statisticalMethod")
        label, estimate = node.text("paramType"), node.number("paramValue")
        told = [
            node.text(k)
            for k in (
                "groupDescription",
                "statisticalComment",
                "pValueComment",
                "estimateComment",
                "nonInferiorityComment",
                "otherAnalysisDescription",
            )
        ]
        kind_of_test = words(node.text("nonInferiorityType"))
        planned_ni = node.flag("testedNonInferiority")
        comments = " ".join(t for t in (label, *told) if t)
        ranked = bool(test and _RANKS.search(test) and _SHIFT.search(comments))
        p_method = (
            self._method(f"{test}, with Hodges-Lehmann estimate", None, ("estimate", "p"), "other")
            if ranked
            else self._method(test or "Test not named in the registry")
        )
        interval = self._interval(node)
        kind = contrast_kind(label)
        if kind is None and estimate is not None and label is None and interval.get("low") is not None:
            kind = "difference"
            self.ledger.assume(node.path, "an estimate with an interval and no name is taken as a difference")
        result: dict[str, Any] = {"id": id, **base}
        chosen = {g: values[g] for g in pair if g in values}
        arms, others = self.groups.split(chosen)
        if arms:
            result["arms"] = arms
        if others:
            result["groups"] = others
        notes = [t for t in told if t]
        if kind_of_test and kind_of_test not in ("superiority", "superiority or other", "superiority or other legacy"):
            notes.insert(0, kind_of_test)
        if planned_ni:
            notes.insert(0, "tested for non-inferiority")
        self._question(id, base["outcome"], kind_of_test, planned_ni, node["nonInferiorityComment"].text())
        if not chosen and pair:
            notes.append(f"compares {' and '.join(pair)}")
        if kind is not None and estimate is not None:
            contrast: dict[str, Any] = {"kind": kind, "value": estimate[0], "label": label, **interval}
            if isinstance(estimate[0], float) and estimate[1] != len(repr(estimate[0]).partition(".")[2]):
                contrast["digits"] = estimate[1]
            if kind != "difference" and any(
                contrast.get(k) is not None and contrast[k] <= 0 for k in ("value", "low", "high")
            ):
                contrast["kind"] = kind = "difference"
                self.ledger.assume(
                    (*node.path, "paramType"), f"{label!r} with a value or limit not above 0 is kept as a difference"
                )
            self._turn(node, contrast, pair, values, notes, model)
            result["contrast"] = contrast
        elif estimate is not None or interval:
            shown: dict[str, Any] = {"value": estimate[0]} if estimate is not None else {}
            limits = {k: v for k, v in interval.items() if k in ("low", "high", "level", "se", "sd", "note")}
            self.items.append(
                {
                    "id": f"stat_{id}",
                    "section": "registry",
                    "label": label or "Posted statistic",
                    "text": f"belongs to {base['outcome']}: {test or 'test not named'}",
                    "values": {"statistic": {**shown, **limits}},
                    **HERE,
                    "place": "analyses",
                }
            )
        elif label:
            notes.append(f"parameter named {label!r}, without a value")
        raw = node.text("pValue")
        if raw is not None:
            found = parse_p(raw)
            if found is None:
                notes.append(f"p-value posted as {raw!r}")
            else:
                p: dict[str, Any] = {
                    "method": p_method,
                    "value": f"<{found[1]!r}" if found[0] == "<" else f">{found[1]!r}" if found[0] == ">" else found[1],
                }
                comments = " ".join(notes).lower()
                p["status"] = "nominal" if "nominal" in comments else "not_stated"
                if re.search(
                    r"(one|1)[- ](sided|tailed) (p|test)|p-?value.{0,30}(one|1)[- ](sided|tailed)", comments
                ) or any(_ONE_SIDED.search(t or "") for t in (test, node["pValueComment"].text())):
                    p["sides"] = "one"
                alpha = level_stated(comments)
                if alpha is not None and (p.get("sides") == "one" or not _ONE_SIDED.search(comments)):
                    p["alpha"] = alpha
                result["p"] = [p]
        own = method
        if "contrast" in result:
            # the analysis says what its estimate is; the parameter of the arms says only what theirs is
            if "estimate" in self.methods[p_method]["gives"] and (test or not model):
                own = p_method
            elif not model or (label is not None and _NOT_A_MODELS.search(label)):
                own = self._method(
                    f"Estimate posted beside: {label or 'contrast'}",
                    "how it was estimated is told in the notes, if at all",
                    ("estimate",),
                    "other",
                )
        result["method"] = own
        if notes:
            result["note"] = "; ".join(dict.fromkeys(notes))
        result |= {**HERE, "place": "outcomes"}
        return result

    def _question(self, id: str, outcome: str, kind: str, planned: bool | None, comment: str | None) -> None:
        """The question an analysis asks, where it is not superiority, with its margin where one number is named."""
        if kind == "superiority" and not planned:
            self.items.append(
                {
                    "id": f"asked_{id}",
                    "section": "statistics",
                    "label": f"Question of {outcome}: superiority",
                    "text": "tested for superiority",
                    **HERE,
                    "place": "analyses",
                }
            )
        if not planned and not kind.startswith(("non inferiority", "equivalence")):
            return
        said = kind if kind.startswith(("non inferiority", "equivalence")) else "non inferiority"
        item: dict[str, Any] = {
            "id": f"question_{id}",
            "section": "statistics",
            "label": f"Question of {outcome}: {said.split(' or ')[0].replace('non ', 'non-')}",
            "text": comment or f"tested for {said}",
        }
        found = {(m.group(1), m.group(2)) for m in _MARGIN.finditer(comment or "")}
        if len(found) == 1:
            ((raw, unit),) = found
            number = parse_number(raw.replace(" ", ""))
            if number is not None:
                units = {"unit": unit} if unit and unit.lower() not in ("in", "for", "on", "and", "with", "or") else {}
                item["values"] = {"margin": {"value": number[0], **units}}
        self.items.append(item | {**HERE, "place": "analyses"})

    def _interval(self, node: Node) -> dict[str, Any]:
        """Limits, level, standard error of an analysis; a limit that is no number stays in the note."""
        out: dict[str, Any] = {}
        notes = []
        for name, key in (("low", "ciLowerLimit"), ("high", "ciUpperLimit"), ("dispersion", "dispersionValue")):
            raw = node[key].value
            found = node.number(key)
            if found is not None:
                out[name] = found[0]
            elif isinstance(raw, str) and raw.strip():
                self.ledger.refused.pop((*node.path, key), None)
                notes.append(f"{words(name)} posted as {node.text(key)!r}")
        level, sides = node.number("ciPctValue"), node.text("ciNumSides")
        kind = node.text("dispersionType")
        dispersion = out.pop("dispersion", None)
        if dispersion is not None:
            if dispersion >= 0 and kind in ("STANDARD_ERROR_OF_MEAN", "STANDARD_DEVIATION"):
                out["se" if kind == "STANDARD_ERROR_OF_MEAN" else "sd"] = dispersion
            else:
                notes.append(f"{words(kind) or 'dispersion'} {dispersion}")
        if level is not None and 0 < level[0] < 100 and level[0] != 95 and ("low" in out or "high" in out):
            out["level"] = level[0] / 100
        if sides == "ONE_SIDED":
            notes.append("one-sided interval")
            share = out.get("level", 0.95)
            if "low" in out and "high" in out and share > 0.5:
                # two one-sided limits: together they cover less than each is said to
                out["level"] = round(2.0 * share - 1.0, 6)
                notes.append(f"each limit of {100 * share:g} %")
        for key in ("ciLowerLimitComment", "ciUpperLimitComment"):
            if text := node.text(key):
                notes.append(text)
        if notes:
            out["note"] = "; ".join(notes)
        return out

    def _turn(
        self,
        node: Node,
        contrast: dict[str, Any],
        pair: list[str],
        values: dict[str, Any],
        notes: list[str],
        model: bool,
    ) -> None:
        """See which way round a contrast is; turn it to active against control where its own arms show the other."""
        both = [p for p in pair if values.get(p, {}).get("value") is not None]
        if len(both) != 2:
            return
        control = next((p for p in both if self.groups.arms.get(p, {}).get("role") == "control"), None)
        if control is None:
            control = next(
                (p for p in both if re.search("placebo|control|usual", p)),
                both[0] if not self.groups.is_arm(both[0]) else both[1],
            )
        active = both[1] if control == both[0] else both[0]
        a, b = float(values[active]["value"]), float(values[control]["value"])
        x = float(contrast["value"])
        if contrast["kind"] == "difference":
            slack = half_unit(x) + half_unit(a) + half_unit(b) + 1e-9
            forward, back = abs(a - b - x), abs(b - a - x)
        elif min(a, b, x) > 0:
            slack, forward, back = 0.02, abs(math.log(a / b) - math.log(x)), abs(math.log(b / a) - math.log(x))
        else:
            return
        if not (back <= slack < forward) or (contrast["kind"] != "difference" and not model):
            return
        low, high = contrast.get("low"), contrast.get("high")
        posted = f"{contrast['value']}" + (f" ({low} to {high})" if low is not None and high is not None else "")
        if contrast["kind"] == "difference":
            turned = {
                "value": -contrast["value"],
                "low": None if high is None else -high,
                "high": None if low is None else -low,
            }
        else:
            turned = {
                k: None if v is None else round(1.0 / v, 4)
                for k, v in (("value", contrast["value"]), ("low", high), ("high", low))
            }
        for key, value in turned.items():
            contrast.pop(key, None)
            if value is not None:
                contrast[key] = value
        contrast |= {"confidence": "derived", "turned": True}
        said = f"posted as {posted}, control against active; turned round here"
        contrast["note"] = "; ".join(t for t in (contrast.get("note"), said) if t)
        self.ledger.assume((*node.path, "paramValue"), said)
