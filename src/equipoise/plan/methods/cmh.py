"""Cochran-Mantel-Haenszel tests of arm and answer in strata, over all arms at once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equipoise.estimate.categorical.cmh import CmhTests
from equipoise.estimate.categorical.cmh import cmh as test_all
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.answers import one_record
from equipoise.plan.methods.described import counted
from equipoise.plan.methods.estimates import P, against, cell, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import Section
from equipoise.plan.prepared import TEST, Prepared
from equipoise.plan.results import Block, Row, share_of

_TESTS = {
    "row_means": "CMH, row means differ",
    "general_association": "CMH, general association",
    "correlation": "CMH, nonzero correlation",
    "breslow_day": "Odds ratio the same in all strata (Breslow-Day)",
    "tarone": "The same, Tarone's correction",
}


class CmhSection(Section):
    """Tests of the arms and the answers in ``variable``, in ``strata``; ``scores`` of the answers, by name or one each.

    ``show``: which tests stand in the table; all are among the numbers.
    """

    ESTIMATES = "cmh"

    method: Literal["cmh"]
    variable: str
    strata: tuple[str, ...] = ()
    scores: Literal["table", "rank", "modridit"] | dict[str, float] = "table"
    show: tuple[Literal["row_means", "general_association", "correlation", "breslow_day", "tarone"], ...] = Field(
        default=("row_means", "general_association"), min_length=1
    )
    decimals: int = Field(default=0, ge=0, le=4)
    level: float = Field(default=0.95, gt=0, lt=1)

    def tests_arms(self) -> bool:
        """Its p-values are over all arms."""
        return True


def estimates(context: Prepared, section: CmhSection) -> Found:
    """Patients by arm and answer, the tests over all arms, and of two arms and two answers the common odds ratio.

    Raises
    ------
    DataError : a variable is not there, or a patient has more than one record.
    """
    data = one_record(context, section.where, [section.variable], section.strata)
    scores = section.scores
    if isinstance(scores, dict):
        known = data[section.variable].drop_nulls().unique().to_list()
        scores = {v: scores[str(v)] for v in known if str(v) in scores}
    made: CmhTests = test_all(
        data,
        response=section.variable,
        arm=context.treatment,
        control=context.plan.treatment.reference,
        strata=section.strata,
        scores=scores,
        level=section.level,
    )
    table = made.table.sum(axis=0)
    size = {str(a): int(n) for a, n in zip(made.arms, table.sum(axis=1), strict=True)}
    out = {Place("patients", a): Estimate.of_count(f"patients, {a}", n, n) for a, n in size.items()}
    for k, answer in enumerate(made.answers):
        own = {str(a): int(table[g, k]) for g, a in enumerate(made.arms)}
        out |= counted("patients", own, size, section.variable, _called(answer))
    out |= {
        Place("correlation"): made.correlation,
        Place("row_means"): made.row_means,
        Place("general_association"): made.general,
    }
    if made.odds_ratio is not None:
        out[Place("common_odds_ratio", str(made.arms[1]))] = made.odds_ratio
    out |= {Place(k): e for k, e in (("breslow_day", made.breslow_day), ("tarone", made.tarone)) if e is not None}
    return Found(out, made)


def _called(answer: object) -> str:
    return f"{answer:g}" if isinstance(answer, float) else str(answer)


def lines(context: Prepared, section: CmhSection, found: Found) -> Block:
    """Patients by answer and arm, then the tests in the column over all arms."""
    made: CmhTests = found.parts
    table = made.table.sum(axis=0)
    rows = [
        Row(
            _called(answer),
            {
                str(a): share_of(int(table[g, k]), int(table[g].sum()), section.decimals)
                for g, a in enumerate(made.arms)
            },
        )
        for k, answer in enumerate(made.answers)
    ]
    shown = [(name, found.numbers[Place(name)]) for name in section.show if Place(name) in found.numbers]
    rows += [Row(_TESTS[name], {TEST: cell(e, P)}) for name, e in shown]
    named = [(_TESTS[name], e) for name, e in shown]
    if made.odds_ratio is not None:
        ratio = {str(made.arms[1]): made.odds_ratio}
        label = f"Common odds ratio ({100 * section.level:g}% CI)"
        rows.append(against(context, label, ratio, "{estimate:2} ({low:2}; {high:2})"))
        named.append(("common odds ratio", made.odds_ratio))
    by = f", stratified by {', '.join(section.strata)}" if section.strata else ""
    told = f", {section.scores} scores" if isinstance(section.scores, str) else ", scores given"
    return Block(
        section.label or section.variable,
        "cmh",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=f"Cochran-Mantel-Haenszel tests over all arms{by}{told}",
        notes=(
            *((section.note,) if section.note else ()),
            *reasons(named),
            *((made.left_out.to_sentence("subject"),) if made.left_out else ()),
        ),
    )


METHODS = (
    Method(
        "cmh",
        CmhSection,
        estimates,
        lines,
        "Cochran-Mantel-Haenszel tests",
        noted=True,
        by_line=True,
        tests=(
            Test("row_means", None),
            Test("general_association", None),
            Test("correlation", None),
            Test("common_odds_ratio", "more"),
        ),
    ),
)
