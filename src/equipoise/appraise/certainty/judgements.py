"""The judgements behind a certainty rating, as a file that a reader can change.

Nothing here is inferred: risk of bias, indirectness, what matters to patients are judgements of people, each with its
reason and what it rests on (``refs``: addresses and keys of the record, or values and sources of the file itself).
What can be computed (imprecision, the level that is left, the strength of the recommendation) is computed from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from equipoise.appraise.certainty.rating import Bias, Concern, balances, overall_bias
from equipoise.errors import RecordError
from equipoise.files import Document, parse_yaml, read_yaml, validate
from equipoise.library import shipped, shipped_file
from equipoise.records.blocks import Source
from equipoise.records.schema import Record
from equipoise.records.values import Id, Model, Text, Value

Domain = Literal["randomisation", "deviations", "missing", "measurement", "selection"]
DOMAINS: Mapping[Domain, str] = {
    "randomisation": "Randomisation process",
    "deviations": "Deviations from the intended interventions",
    "missing": "Missing outcome data",
    "measurement": "Measurement of the outcome",
    "selection": "Selection of the reported result",
}
"""The five domains of RoB 2 (Sterne 2019)."""

_YES = ("yes", "probably yes", "probably no", "no", "varies", "unknown")
_BALANCE = (
    "favours the intervention",
    "probably favours the intervention",
    "neither",
    "probably favours the comparison",
    "favours the comparison",
    "varies",
    "unknown",
)
CRITERIA: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "problem": ("Is the problem a priority?", _YES),
    "desirable": (
        "How large are the desirable effects?",
        ("trivial", "small", "moderate", "large", "varies", "unknown"),
    ),
    "undesirable": (
        "How large are the undesirable effects?",
        ("trivial", "small", "moderate", "large", "varies", "unknown"),
    ),
    "values": (
        "Do people differ in how they value the main outcomes?",
        (
            "important variability",
            "possibly important variability",
            "probably little variability",
            "little variability",
        ),
    ),
    "balance": ("Which way does the balance lean?", _BALANCE),
    "resources": (
        "How large are the costs?",
        ("large costs", "moderate costs", "negligible", "moderate savings", "large savings", "varies", "unknown"),
    ),
    "cost_effectiveness": ("Is it worth its cost?", (*_BALANCE, "no studies read")),
    "equity": (
        "What happens to equity?",
        ("reduced", "probably reduced", "probably no impact", "probably increased", "increased", "varies", "unknown"),
    ),
    "acceptability": ("Is it acceptable to those concerned?", _YES),
    "feasibility": ("Can it be done?", _YES),
}
"""The criteria of a GRADE evidence-to-decision frame with the answers each may have; certainty is computed."""


OPEN = "TO JUDGE"
"""What a form holds where an answer is wanted."""


class Judged(Model):
    """A reason in words and what it rests on."""

    reason: Text
    refs: tuple[Text, ...] = ()


class DomainJudgement(Judged):
    """RoB 2 in one domain."""

    judgement: Bias


class RiskOfBias(Model):
    """RoB 2 of one result. ``overall`` may only be worse than what the domains give (several concerns add up)."""

    result: Text
    effect: Literal["assignment", "adherence"] = "assignment"
    domains: Mapping[Domain, DomainJudgement]
    overall: DomainJudgement | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [d for d in DOMAINS if d not in self.domains]
        if missing:
            raise ValueError(f"risk of bias of {self.result}: no judgement on {', '.join(missing)}")
        order: tuple[Bias, ...] = ("low", "some concerns", "high")
        if self.overall is not None and order.index(self.overall.judgement) < order.index(self.by_domains):
            raise ValueError(f"risk of bias of {self.result}: overall is better than the worst domain")
        return self

    @property
    def by_domains(self) -> Bias:
        """What the domains alone give."""
        return overall_bias(d.judgement for d in self.domains.values())

    @property
    def judgement(self) -> Bias:
        """The overall judgement."""
        return self.by_domains if self.overall is None else self.overall.judgement


class Threshold(Judged):
    """The smallest effect that matters, in the unit of the estimate (a ratio for a ratio, a fraction for a risk), or
    as a share of the change in the control arm: ``share`` is the address of that share in percent."""

    value: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    share: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.share is None):
            raise ValueError("a threshold is either a value or a share of the control arm's change")
        return self


class Rating(Judged):
    """One GRADE domain."""

    concern: Concern


class Graded(Model):
    """One outcome to be rated.

    ``estimate`` is the address of a contrast or value with an interval, ``counts`` those of two counts (active and
    control; their difference in risk is computed). ``better`` says which direction favours the treatment where the
    record does not.
    """

    id: Id
    label: Text
    importance: Literal["critical", "important", "less important"]
    estimate: str | None = None
    counts: Mapping[Literal["active", "control"], str] | None = None
    kind: Literal["difference", "ratio", "hazard_ratio"] | None = None
    better: Literal["higher", "lower"]
    control: str | None = None
    """Address of the control arm's value, for the absolute effect."""
    active: str | None = None
    surrogate_for: str | None = None
    start: Literal["high", "low"] = "high"
    threshold: Threshold | None = None
    risk_of_bias: Rating
    inconsistency: Rating
    indirectness: Rating
    publication_bias: Rating
    imprecision: Rating | None = None
    """Only to overrule what is computed, with the reason."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.estimate is None) == (self.counts is None):
            raise ValueError(f"outcome {self.id}: give an estimate or two counts")
        if self.counts is not None and set(self.counts) != {"active", "control"}:
            raise ValueError(f"outcome {self.id}: counts are those of active and control")
        return self


class CriterionJudgement(Judged):
    """One criterion of the evidence-to-decision frame."""

    judgement: Text


class Decision(Model):
    """The question, and the judgements the recommendation follows from."""

    question: Text
    criteria: Mapping[str, CriterionJudgement]

    @model_validator(mode="after")
    def _known(self) -> Self:
        for key, given in self.criteria.items():
            if key not in CRITERIA:
                raise ValueError(f"decision: unknown criterion {key!r}; known are {', '.join(CRITERIA)}")
            if given.judgement not in CRITERIA[key][1]:
                raise ValueError(f"decision: {key}: {given.judgement!r} is not one of {', '.join(CRITERIA[key][1])}")
        if missing := [k for k in CRITERIA if k not in self.criteria]:
            raise ValueError(f"decision: no judgement on {', '.join(missing)}")
        sizes = [self.criteria[k].judgement for k in ("desirable", "undesirable")]
        balance = self.criteria["balance"].judgement
        if balance not in balances(*sizes):
            raise ValueError(
                f"decision: balance: {balance!r} does not follow from desirable effects that are {sizes[0]!r} and "
                f"undesirable ones that are {sizes[1]!r}; it may be: {', '.join(sorted(balances(*sizes)))}"
            )
        return self


class TestingScenario(Model):
    """One set of frequencies (addresses of values in percent) for the yield of genetic testing."""

    label: Text
    familial_share: str
    in_familial: str
    in_sporadic: str


class Testing(Model):
    """Testing everyone for a variant."""

    variant: Text
    scenarios: Annotated[tuple[TestingScenario, ...], Field(min_length=1)]
    guidance: Judged | None = None


class Judgements(Model):
    """All judgements on one record."""

    schema_version: Literal[1] = 1
    record: Id
    judged_by: Text
    sources: Mapping[str, Source] = Field(default_factory=dict)
    values: Mapping[Id, Value] = Field(default_factory=dict)
    risk_of_bias: tuple[RiskOfBias, ...] = ()
    outcomes: tuple[Graded, ...] = ()
    decision: Decision | None = None
    testing: Testing | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        for key, value in self.values.items():
            if value.source not in self.sources or value.confidence in (None, "recall"):
                raise ValueError(f"values.{key}: a source of this file and a confidence other than recall are needed")
        if len({o.id for o in self.outcomes}) < len(self.outcomes):
            raise ValueError("two outcomes have the same id")
        return self

    def against(self, record: Record, origin: str) -> Judgements:
        """Check that every reference leads somewhere in ``record`` or in this file.

        Raises
        ------
        RecordError : the file is of another record, or a reference leads nowhere.
        """
        if self.record != record.id:
            raise RecordError(f"{origin}: these judgements are on {self.record!r}, not on {record.id!r}")
        known = {*record.index(recall=True), *record.blocks(), *record.sources, *self.values, *self.sources}
        lost = sorted({r for r in _references(self) if r not in known})
        results = {r.id for r in record.results} | {e.id for e in record.events} | {i.id for i in record.items}
        lost += sorted(b.result for b in self.risk_of_bias if b.result not in results)
        if lost:
            raise RecordError(
                f"{origin}: nothing in the record is called {', '.join(lost[:8])}",
                hint=f"'equipoise records show {record.id}' lists the addresses",
            )
        return self


def _references(node: Any) -> list[str]:
    if isinstance(node, Judged):
        return [*node.refs, *([node.share] if isinstance(node, Threshold) and node.share else [])]
    if isinstance(node, Graded):
        own = [a for a in (node.estimate, node.control, node.active, *(node.counts or {}).values()) if a]
        return own + [r for name in type(node).model_fields for r in _references(getattr(node, name))]
    if isinstance(node, TestingScenario):
        return [node.familial_share, node.in_familial, node.in_sporadic]
    if isinstance(node, Value | Source):
        return []
    if isinstance(node, Model):
        return [r for name in type(node).model_fields for r in _references(getattr(node, name))]
    if isinstance(node, Mapping):
        return [r for v in node.values() for r in _references(v)]
    if isinstance(node, tuple):
        return [r for v in node for r in _references(v)]
    return []


def _unanswered(data: Any, path: str = "") -> list[str]:
    if isinstance(data, dict):
        return [p for k, v in data.items() for p in _unanswered(v, f"{path}.{k}" if path else str(k))]
    if isinstance(data, list):
        return [p for i, v in enumerate(data) for p in _unanswered(v, f"{path}.{i + 1}")]
    return [path] if data == OPEN else []


def parse_judgements(text: str, origin: str) -> Judgements:
    """Judgements from YAML text; ``origin`` names it in errors. Raises :class:`RecordError` with every problem."""
    return _judgements(parse_yaml(text, origin, error=RecordError, hint=_EXAMPLE))


_EXAMPLE = "'equipoise judgements NAME' writes a complete example"


def _judgements(document: Document) -> Judgements:
    if left := _unanswered(document.values):
        raise RecordError(
            f"{document.origin}: still to judge: {', '.join(left[:6])}" + (" ..." if len(left) > 6 else ""),
            hint="answer them all; nothing is judged by default",
        )
    return validate(Judgements, document, error=RecordError, what="these judgements cannot be used", hint=_EXAMPLE)


def load_judgements(record: Record, path: str | Path | None = None) -> Judgements | None:
    """The judgements on a record: from a file, or those that come with the package; None if there are none.

    Raises
    ------
    RecordError : the file cannot be read, or does not fit the record.
    """
    if path is not None:
        document = read_yaml(path, error=RecordError, what="judgements", hint=_EXAMPLE)
        return _judgements(document).against(record, document.origin)
    shipped = shipped_text(record.id)
    if shipped is None or record.origin != "written":
        return None
    return parse_judgements(shipped, f"judgements on {record.id}").against(record, f"judgements on {record.id}")


def shipped_text(id: str) -> str | None:
    """The file that comes with the package, as text; None if there is none."""
    file = shipped_file(id, "judgements")
    return file.read_text(encoding="utf-8") if file is not None else None


def shipped_judgements() -> tuple[str, ...]:
    """Ids of the records whose judgements come with the package."""
    return tuple(shipped("judgements"))
