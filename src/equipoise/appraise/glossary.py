"""The words of the page, explained once: those that the record at hand needs."""

from __future__ import annotations

import re

from equipoise.appraise.context import Context, without_covariates
from equipoise.appraise.estimates import by_pairs
from equipoise.document.document import Inlines


def glossary(ctx: Context) -> tuple[tuple[Inlines, Inlines], ...]:
    """(term, meaning) for every term that the record, its methods or its replica brings onto the page."""
    writer, f, record = ctx.writer, ctx.findings, ctx.record
    out: list[tuple[Inlines, Inlines]] = []

    def add(term: str, meaning: str, when: bool = True, **parts: Inlines) -> None:
        if when:
            out.append((writer.label(term), writer.say(meaning, **parts)))

    labels = " ".join((*(o.label for o in record.outcomes), record.condition, *(b.label for b in record.baseline)))
    families = {m.family for m in record.methods}
    alsfrs = next((o for o in record.outcomes if "ALSFRS-R" in o.label), None)
    if alsfrs is not None and alsfrs.usable and alsfrs.bounds is not None:
        add(
            "ALSFRS-R",
            "the revised functional rating scale of ALS: everyday abilities such as speaking, swallowing, walking and "
            "breathing, added up to at most {top} points, which is normal; it falls as the disease goes on",
            top=(writer.cite(f"{alsfrs.bounds[1]:g}", alsfrs),),
        )
    add("SOD1", "superoxide dismutase, gene or protein; variants of the gene can cause ALS", "SOD1" in labels)
    add(
        "Neurofilament",
        "a building block of nerve fibres (its light chain is NfL, its heavy chain pNfH) that leaks out as they break; "
        "a marker of damage going on now",
        "eurofilament" in labels or "NfL" in labels,
    )
    add(
        "CSF",
        "cerebrospinal fluid, the fluid around brain and spinal cord, reached by lumbar puncture",
        "CSF" in labels,
    )
    add(
        "Slow vital capacity",
        "the air breathed out slowly after a full breath, against what is normal for the "
        "person: the strength of breathing",
        "low vital capacity" in labels,
    )
    add(
        "Handheld dynamometry megascore",
        "the strength of many muscles, measured with a meter held in the hand and put on one scale on which zero is "
        "the average",
        "dynamometry" in labels,
    )
    if f.set is not None and not ctx.is_all(f.set) and record.origin == "written":
        ruled = any(c.kind == "set_rule" and c.set == f.set for c in record.eligibility)
        add(
            f"{ctx.set_name(f.set).capitalize()} set",
            "the part of the patients in whom the primary endpoint was tested"
            + (", chosen by a rule before randomisation" if ruled else ""),
        )
    add(
        "Intention to treat",
        "everyone randomised, in the group that chance gave them, whatever they took",
        any("ntention" in s.label for s in record.sets),
    )
    add("Interval", "the 95 % interval unless said otherwise: the true differences that the data do not contradict")
    add(
        "P value",
        "how often chance would give a result at least as far from no effect if there were none; small "
        "values speak against chance, large ones do not prove that there is no effect",
    )
    add(
        "Nominal",
        "of a P value: worked out, but not part of the plan by which the trial could declare success, and so without "
        "its protection against false alarms",
        record.origin == "written" or any(p.status == "nominal" for r in record.results for p in r.p),
    )
    add(
        "Joint rank test",
        "every patient is compared with every other: death counts as worst, the earlier the worse, then the score; the "
        "ranks are compared, not the points",
        "joint_rank" in families,
    )
    add(
        "Rank test (Wilcoxon, van Elteren)",
        "puts all values in order and asks whether those of one arm tend to lie higher; it compares neither means nor "
        "medians",
        any(
            re.search(r"wilcoxon|mann[- ]whitney|van elteren|rank[- ]sum|kruskal", m.label, re.I)
            and "survival" not in m.label.lower()
            for m in record.methods
        ),
    )
    add(
        "Wilcoxon test of survival",
        "compares two courses of survival and weighs early events more than late ones, where the log-rank test weighs "
        "all alike",
        any("wilcoxon" in m.label.lower() and "survival" in m.label.lower() for m in record.methods),
    )
    add(
        "Hodges-Lehmann estimate",
        "the median of the differences between pairs of people, one of each arm; no difference of means, and as a rule "
        "not that of the two medians",
        any(by_pairs(ctx, r) for r in record.results),
    )
    add(
        "Analysis of covariance (ANCOVA)",
        "compares the mean change of the arms after allowing for differences at the start",
        any(m.family == "ancova" and not without_covariates(m) for m in record.methods),
    )
    handled = " ".join(f"{m.label} {m.imputation or ''}".lower() for m in record.methods)
    add(
        "Imputation",
        "missing scores are filled in many times from what is known of the patient and of others, and the spread "
        "between the fillings is carried into the interval",
        "imput" in handled,
    )
    add(
        "Last observation carried forward (LOCF)",
        "a patient who left counts with the last score seen, as if nothing had been lost since",
        "carried forward" in handled or "locf" in handled,
    )
    add(
        "Hazard ratio",
        "how fast events come in one arm relative to the other; below one, more slowly",
        bool(families & {"cox"}),
    )
    add(
        "Surrogate",
        "a marker that may stand in for benefit, because effects on it have been shown to predict effects on what "
        "patients feel or how long they live",
        bool(f.biomarkers()),
    )
    if ctx.replica is not None:
        add("Replica", "the trial rebuilt on the computer and repeated many times, to see what such a trial can show")
        add("Monte Carlo error", "how much a simulated figure would move if the simulation were run again")
    return tuple(out)
