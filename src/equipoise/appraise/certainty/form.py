"""A form of judgements for a record that nobody has judged: every answer is left open, none is suggested."""

from __future__ import annotations

import json

from equipoise.appraise.certainty.judgements import CRITERIA, DOMAINS, OPEN
from equipoise.appraise.findings import Findings, read
from equipoise.records.schema import Record


def form(record: Record) -> str:
    """The form as YAML; it is refused until every ``TO JUDGE`` is answered."""
    f = read(record)
    lines = [
        f"# Judgements on {record.id}. Answer every '{OPEN}', then: equipoise appraise RECORD --judgements THIS_FILE",
        "# A number in a reason rests on what refs names: addresses and block ids of the record, or values below.",
        "schema_version: 1",
        f"record: {record.id}",
        f"judged_by: {OPEN}",
        "sources: {}",
        "values: {}",
    ]
    if f.primary is not None:
        lines += ["risk_of_bias:", f"  - result: {f.primary.id}", "    domains:"]
        for key, title in DOMAINS.items():
            lines += [
                f"      {key}:  # {title}",
                f"        judgement: {OPEN}  # low, some concerns, high",
                f"        reason: {OPEN}",
                "        refs: []",
            ]
    outcomes, c = [], f.contrast
    if f.primary is not None and c is not None and c.low is not None and c.high is not None:
        better = {"higher_better": "higher", "lower_better": "lower"}.get(
            record.outcome(f.primary.outcome).direction, OPEN
        )
        label = json.dumps(record.outcome(f.primary.outcome).label)
        outcomes += [
            "  - id: primary",
            f"    label: {label}",
            "    importance: critical  # critical, important, less important",
            f"    estimate: {f.primary.id}.contrast",
            f"    better: {'lower' if c.kind == 'hazard_ratio' else better}  # which direction favours the treatment",
            "    # threshold: {value: NUMBER, reason: why this is the smallest effect that matters}",
            *_concerns(),
        ]
    outcomes += _deaths(f)
    lines += ["outcomes:", *outcomes] if outcomes else []
    lines += ["decision:", f"  question: {OPEN}", "  criteria:"]
    for criterion, (question, answers) in CRITERIA.items():
        lines += [
            f"    {criterion}:  # {question}",
            f"      judgement: {OPEN}  # {', '.join(answers)}",
            f"      reason: {OPEN}",
        ]
    return "\n".join(lines) + "\n"


def _deaths(f: Findings) -> list[str]:
    """Deaths are critical wherever they were counted by arm, whatever the primary outcome was."""
    counts = f.deaths(alone=True)
    if counts is None:
        return []
    lines = [
        "  - id: deaths",
        "    label: Deaths",
        "    importance: critical  # critical, important, less important",
        f"    counts: {{active: {counts.address(f.active.id)}, control: {counts.address(f.control.id)}}}",
        "    better: lower",
    ]
    return lines + _concerns()


def _concerns() -> list[str]:
    out = []
    for name in ("risk_of_bias", "inconsistency", "indirectness", "publication_bias"):
        out += [f"    {name}:", f"      concern: {OPEN}  # none, serious, very serious", f"      reason: {OPEN}"]
    return out
