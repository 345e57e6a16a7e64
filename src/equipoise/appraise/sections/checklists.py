"""Reporting checklists filled from the record: CONSORT 2025 and the estimand of ICH E9(R1). Gaps are shown as gaps.

The wording of the items is ours. Sources: S. Hopewell et al., CONSORT 2025, PLOS Med 2025;22(4):e1004587, Table 1
(items); ICH E9(R1), 2019 (the five attributes). A gap says that the record does not hold it, which can also mean that
it was printed where nobody who made the record looked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.estimates import summary
from equipoise.appraise.findings import known
from equipoise.appraise.handled import events_told, missing_told
from equipoise.appraise.sections.design import date_named, distinct_sets, set_title
from equipoise.document.document import Fold, Inlines, Paragraph, Row, Section, Table
from equipoise.document.text import joined
from equipoise.records.registry.tables import COUNTED
from equipoise.records.schema import Outcome, Result, Sourced

State = Literal["held", "in part", "gap", "needs the paper"]
Answered = tuple[State, Inlines]
GAP: Answered = ("gap", ())
PAPER: Answered = ("needs the paper", ())
_TOLD_APART = "planned and unplanned ones told apart under Results"
_DELIVERY = ("exposure", "time_on_study", "deviations")


@dataclass(frozen=True)
class Item:
    """One item: its number in the list, what it asks for, and how the record is asked for it."""

    number: str
    asks: str
    find: Callable[[Context], Answered]


def build(ctx: Context) -> Section:
    """Both checklists, folded."""
    writer = ctx.writer
    randomised = ctx.record.design.randomised
    folds = [_estimand(ctx)]
    if randomised:
        folds.append(_consort(ctx))
    return Section("checklists", writer.words("Checklists"), tuple(folds))


# -- CONSORT -------------------------------------------------------------------------------------------------------


def _consort(ctx: Context) -> Fold:
    writer = ctx.writer
    rows: list[Row] = []
    for heading, items in CONSORT.items():
        rows.append(Row((writer.words(heading),), heading=True))
        for item in items:
            writer.register(f"item {item.number}")
            state, said = item.find(ctx)
            rows.append(
                Row(
                    (
                        writer.say("{n}: {a}", n=f"item {item.number}", a=writer.words(item.asks)),
                        writer.words(state),
                        said,
                    )
                )
            )
    table = Table(
        "t-consort",
        writer.words("CONSORT 2025, filled from the record. A gap is one of the record, not always of the paper."),
        writer.heads("Item", "State", "What the record holds"),
        tuple(rows),
    )
    return Fold("f-consort", writer.words("CONSORT 2025: what the record holds and what it lacks"), (table,))


def _quote(ctx: Context, text: str, sourced: Sourced | str) -> Inlines:
    return ctx.writer.quote(text, sourced) or ()


def _fact(name: str, state: State = "held") -> Callable[[Context], Answered]:
    """A fact of the design."""

    def find(ctx: Context) -> Answered:
        said = ctx.fact(getattr(ctx.record.design, name))
        return (state, said) if said else GAP

    return find


def _items(ids: tuple[str, ...] = (), sections: tuple[str, ...] = (), state: State = "held") -> Callable[..., Answered]:
    """Labels of the record's items, by id or section."""

    def find(ctx: Context) -> Answered:
        chosen = [
            i for i in ctx.record.items if (i.id in ids or i.section in sections) and i.usable and i.source is not None
        ]
        said = [_quote(ctx, i.label, i) for i in chosen]
        said = [s for s in said if s][:4]
        return (state, joined(said, "; ")) if said else GAP

    return find


def _sample_size(ctx: Context) -> Answered:
    """An entry tells the number at most, in its own words; what it was built on needs the paper."""
    return _items(sections=("sample_size",), state="held" if ctx.record.origin == "written" else "in part")(ctx)


def _funding(ctx: Context) -> Answered:
    """The sponsor and what it did; where the money came from is told in the paper alone."""
    item = ctx.item("reg_sponsor")
    said = ctx.writer.told(item.text, item) if item is not None and item.text else None
    return ("in part", said) if said else GAP


def _gap(_: Context) -> Answered:
    return GAP


def _paper(_: Context) -> Answered:
    return PAPER


def _title(ctx: Context) -> Answered:
    if "random" in ctx.record.title.lower():
        return "held", ctx.writer.words("said in the title")
    return "gap", ctx.writer.words("not said in the title")


def _registration(ctx: Context) -> Answered:
    found = ctx.record.registrations
    if not found:
        return GAP
    return "in part", ctx.writer.say("{n}; date not held", n=", ".join(f"{r.registry} {r.number}" for r in found))


def _plan(ctx: Context) -> Answered:
    held = _items(("stat_sap_history",))(ctx)
    protocol = ctx.fact(ctx.record.design.protocol)
    said = [s for s in (held[1], protocol) if s]
    return ("in part", joined(said, "; ")) if said else GAP


def _objective(ctx: Context) -> Answered:
    outcome = ctx.findings.outcome
    if outcome is None or not outcome.usable or not outcome.definition:
        return GAP
    said = _quote(ctx, outcome.definition, outcome)
    return ("in part", said) if said else GAP


def _design(ctx: Context) -> Answered:
    record, writer = ctx.record, ctx.writer
    said = ctx.fact(record.design.type)
    ratio = record.design.allocation
    if ratio and said and record.design.usable:
        text = ":".join(str(n) for n in ratio.values())
        said = writer.say("{t}; {r}", t=said, r=_quote(ctx, f"allocation {text}", record.design))
    told = ctx.item("reg_allocation")
    if said and not ratio and told is not None and told.text and (quoted := _quote(ctx, told.text.rstrip("."), told)):
        return "held", writer.say("{t}; {r}", t=said, r=quoted)
    return ("held" if ratio else "in part", said) if said else GAP


def _changes(ctx: Context) -> Answered:
    items = _items(("stat_sap_v3", "stat_sap_history", "stat_seen_before"))(ctx)[1]
    late = [m for m in ctx.record.methods if m.prespecified in ("no", "disputed") and m.usable]
    added = [s for m in late[:3] if (s := ctx.writer.quote(m.label, m))]
    said = [items] if items else []
    if added:
        said.append(ctx.writer.say("analyses added later: {a}", a=joined(added, "; ")))
    return ("held" if items else "in part", joined(said, "; ")) if said else GAP


def _eligibility(ctx: Context) -> Answered:
    chosen = [c for c in ctx.record.eligibility if c.kind in ("inclusion", "exclusion") and c.usable]
    said = [q for c in chosen[:2] if (q := ctx.writer.quote(c.text if len(c.text) < 160 else c.text[:157] + "...", c))]
    if not said:
        return GAP
    return "held", (*joined(said, "; "), *ctx.writer.words("; and further criteria" if len(chosen) > 2 else ""))


def _intervention(ctx: Context) -> Answered:
    parts = [ctx.regimen(ctx.findings.active), ctx.regimen(ctx.findings.control)]
    return "held" if ctx.record.dosing is not None else "in part", joined([p for p in parts if p], "; against ")


def _outcomes(ctx: Context) -> Answered:
    primary = [o for o in ctx.record.outcomes if o.role == "primary"]
    if not primary:
        return GAP
    defined = all(o.definition and o.week is not None for o in primary)
    names = joined([ctx.writer.label(o.label) for o in primary[:3]], "; ")
    return "held" if defined else "in part", names


def _harms_how(ctx: Context) -> Answered:
    told = next((e for e in ctx.record.adverse_events if e.assessment and e.usable), None)
    if told is not None and told.assessment:
        said = _quote(ctx, f"assessment: {told.assessment}", told)
        return ("in part", said) if said else GAP
    return _items(("reg_ae",), state="in part")(ctx)


def _strata(ctx: Context) -> Answered:
    strata = [s for s in ctx.record.design.strata if s.usable]
    if not strata:
        return GAP
    said = [q for s in strata if (q := ctx.writer.quote(s.label, s))]
    return "in part", ctx.writer.say("stratified by {s}", s=joined(said)) if said else ()


def _similar(ctx: Context) -> Answered:
    said = ctx.fact(ctx.record.design.control)
    return ("in part", ctx.writer.say("control: {c}", c=said)) if said else GAP


def _methods(ctx: Context) -> Answered:
    primary = ctx.findings.primary
    if primary is None:
        return GAP
    ids = dict.fromkeys([primary.method, *(p.method for p in primary.p if p.usable)])
    return "held" if ctx.record.origin == "written" else "in part", joined([ctx.method(i) for i in ids], "; ")


def _sets(ctx: Context) -> Answered:
    named = distinct_sets(ctx)
    said = [q for s in named[:4] if (q := set_title(ctx, s))]
    return ("held", joined(said, "; ")) if said else GAP


def _missing(ctx: Context) -> Answered:
    primary = ctx.findings.primary
    if told := missing_told(ctx):
        return "in part", told
    method = None if primary is None else ctx.findings.method(primary.method)
    if method is None or not method.imputation or not method.usable:
        return GAP
    said = _quote(ctx, method.imputation, method)
    return ("held", said) if said else GAP


def _other_analyses(said: str) -> Callable[[Context], Answered]:
    """Sensitivity analyses and subgroups, and where the page shows them."""

    def find(ctx: Context) -> Answered:
        if any(r.role in ("sensitivity", "subgroup") for r in ctx.record.results):
            return "held", ctx.writer.words(said)
        late = [m for m in ctx.record.methods if m.prespecified in ("no", "disputed") and m.usable]
        told = [s for m in late[:3] if (s := ctx.writer.quote(m.label, m))]
        return ("in part", joined(told, "; ")) if told else GAP

    return find


_FLOW = {"written": "randomised", "posted": "started"}
"""What the sizes of the arms count: a registry's flow counts those who started."""


def _flow(ctx: Context) -> Answered:
    writer, f = ctx.writer, ctx.findings
    arms = [a for a in (f.active, f.control) if known(a.n)]
    if len(arms) < 2:
        return GAP
    said = joined(
        [
            writer.say("{a} {n}", a=writer.label(a.label), n=writer.cite(numbers.number(a.n.value or 0), a.n))
            for a in arms
        ]
    )
    counts = next((s for s in ctx.record.sets if s.id == f.set), None)
    return ("held" if counts is not None and counts.n else "in part"), writer.say(
        _FLOW[ctx.record.origin] + ": {s}", s=said
    )


def _losses(ctx: Context) -> Answered:
    ends = ("WITHDREW", "COMPLETED", "DISCONTINUED") if ctx.record.origin == "written" else ("NOT_COMPLETED", "LEFT_")
    rows = [e for e in ctx.events if e.endpoint.startswith(ends)]
    shown = [q for e in rows if e.usable and (q := ctx.writer.quote(e.label, e))]
    if shown:
        return "held", joined(shown[:3], "; ")
    return _items(sections=("disposition",), state="in part")(ctx)


def _dates(ctx: Context) -> Answered:
    writer, d = ctx.writer, ctx.record.design
    pairs = [("first dose", d.first_dose), ("last visit", d.last_visit)]
    said = [
        writer.say("{n} {d}", n=date_named(ctx, name, sourced), d=writer.cite(numbers.date_text(sourced.date), sourced))
        for name, sourced in pairs
        if sourced is not None and sourced.usable
    ]
    whole = len(said) == 2 and ctx.record.origin == "written"
    return ("held" if whole else "in part", joined(said, "; ")) if said else GAP


def _background(ctx: Context) -> Answered:
    rows = [b for b in ctx.record.baseline if b.variable in ("RILUZOLE", "EDARAVONE", "RILEDAFL") and b.usable]
    said = [q for b in rows[:2] if (q := ctx.writer.told(b.label, b))]
    if not said and ctx.record.origin == "written":
        chosen = [c for c in ctx.record.eligibility if c.kind == "background" and c.usable]
        said = [q for c in chosen[:1] if (q := ctx.writer.told(c.text, c))]
    return ("in part", joined(said, "; ")) if said else GAP


def _baseline(ctx: Context) -> Answered:
    if not any(b.usable for b in ctx.record.baseline):
        return GAP
    by_arm = any(b.usable and b.values for b in ctx.record.baseline)
    said = ctx.writer.words("by arm, in the table under Design" if by_arm else "for both arms together")
    return ("held" if by_arm else "in part"), said


def _results(ctx: Context) -> Answered:
    f = ctx.findings
    if f.rows:
        return "in part", ctx.writer.words("the primary outcome in parts, untested, in the table under Results")
    if f.primary is None:
        return GAP
    if f.contrast is not None and f.contrast.low is not None:
        return "held", ctx.writer.say("primary: {c}", c=ctx.contrast(f.contrast))
    return "in part", ctx.writer.words("without an effect with its interval for the primary outcome")


def _harms(ctx: Context) -> Answered:
    if any(ctx.findings.counts(e) for e in ctx.record.adverse_events):
        return "held", ctx.writer.words("counts by arm, in the table under Safety")
    if ctx.record.adverse_events:
        return "in part", ctx.writer.words("percentages or words, not counts by arm")
    return _items(sections=("safety",), state="in part")(ctx)


def _limitations(ctx: Context) -> Answered:
    if any(s.section == "limitations" for s in ctx.record.statements):
        return "in part", ctx.writer.words("those this page names; the authors' own need the paper")
    return PAPER


CONSORT: dict[str, tuple[Item, ...]] = {
    "Title and abstract": (
        Item("1a", "the title says that the trial is randomised", _title),
        Item("1b", "a structured summary", _paper),
    ),
    "Open science": (
        Item("2", "registry, number, address and date of registration", _registration),
        Item("3", "where protocol and analysis plan can be read", _plan),
        Item("4", "where data and code can be had", _gap),
        Item("5a", "funding, and what the funder did", _funding),
        Item("5b", "conflicts of interest", _gap),
    ),
    "Introduction": (
        Item("6", "background and rationale", _paper),
        Item("7", "objectives on benefits and harms", _objective),
    ),
    "Methods": (
        Item("8", "part that patients and the public had", _gap),
        Item("9", "type of design, allocation ratio, framework", _design),
        Item("10", "changes after the start, with reasons", _changes),
        Item("11", "setting and places", _fact("setting")),
        Item("12a", "who could take part", _eligibility),
        Item("12b", "which sites and which people could deliver the treatment", _gap),
        Item("13", "intervention and comparator, so that they can be repeated", _intervention),
        Item("14", "outcomes: variable, metric, summary, time", _outcomes),
        Item("15", "how harms were defined and looked for", _harms_how),
        Item("16a", "how the sample size came about, with all assumptions", _sample_size),
        Item("16b", "interim looks and stopping rules", _items(("interim", "stat_interim"))),
    ),
    "Randomisation and blinding": (
        Item("17a", "who made the sequence, and how", _gap),
        Item("17b", "type of randomisation and its restrictions", _strata),
        Item("18", "how the allocation was concealed", _gap),
        Item("19", "whether those who enrolled and assigned could see the sequence", _gap),
        Item("20a", "who was blinded", _fact("masking")),
        Item("20b", "how, and how alike the treatments were", _similar),
    ),
    "Statistical methods": (
        Item("21a", "methods for primary and secondary outcomes and harms", _methods),
        Item("21b", "who is in each analysis, and in which group", _sets),
        Item("21c", "how missing data were handled", _missing),
        Item("21d", "additional analyses, planned ones told from later ones", _other_analyses(_TOLD_APART)),
    ),
    "Results": (
        Item("22a", "numbers assigned, treated and analysed", _flow),
        Item("22b", "losses and exclusions, with reasons", _losses),
        Item("23a", "dates of recruitment and follow-up", _dates),
        Item("23b", "why the trial ended or was stopped", _items(("stopped", "ended"))),
        Item("24a", "treatment as it was delivered", _items(_DELIVERY, state="in part")),
        Item("24b", "other care during the trial", _background),
        Item("25", "baseline characteristics by group", _baseline),
        Item("26", "each outcome: numbers, result by group, effect and precision", _results),
        Item("27", "harms by group", _harms),
        Item("28", "other analyses", _other_analyses("in the tables under Results")),
    ),
    "Discussion": (
        Item("29", "interpretation that fits the results and other evidence", _paper),
        Item("30", "limitations", _limitations),
    ),
}


# -- estimand ------------------------------------------------------------------------------------------------------


def _estimand(ctx: Context) -> Fold:
    writer = ctx.writer
    note = Paragraph(
        writer.words(
            "An estimand names the question; a table that has to be pieced together from methods shows that it was "
            "not stated as one."
        )
    )
    apart = [Paragraph(said) for said in _apart(ctx)]
    heading = writer.words("The estimand of the primary analysis")
    return Fold("f-estimand", heading, (note, estimand_table(ctx), *apart))


def estimand_table(ctx: Context, id: str = "t-estimand") -> Table:
    """The attributes of the estimand as far as the record tells them, gaps shown."""
    writer, f = ctx.writer, ctx.findings
    rows = [
        _attribute(ctx, "Treatment", _treatment(ctx)),
        _attribute(ctx, "Population", _population(ctx)),
        _attribute(ctx, "Variable", _variable(ctx, f.outcome)),
        _attribute(ctx, "Intercurrent events and how each is handled", _intercurrent(ctx)),
        _attribute(ctx, "Summary over the population", _measure(ctx, f.primary)),
    ]
    # the checklist and the question each have the table: two captions, so that a list of tables tells them apart
    caption = (
        "The estimand of the primary analysis by its attributes (ICH E9(R1)), as far as the record goes."
        if id == "t-estimand"
        else "The attributes of the estimand (ICH E9(R1)), each as the record answers it."
    )
    return Table(id, writer.words(caption), writer.heads("Attribute", "State", "What the record holds"), tuple(rows))


_METHODS = {"joint_rank": "joint_rank", "mmrm": "mmrm", "cox": "cox", "log_rank": "log_rank"}


def _method(ctx: Context, id: str | None) -> str | None:
    """The method behind an analysis of the record, as the table of estimands calls it."""
    found = ctx.findings.method(id) if id is not None else None
    if found is None:
        return None
    if found.family == "ancova":
        return "mi_ancova" if found.imputation else "ancova"
    return _METHODS.get(found.family)


def _apart(ctx: Context) -> list[Inlines]:
    """What tells the question of the test from that of the estimate, where they handle death differently."""
    from equipoise.plan.estimand import METHODS, PROCEDURES, carried_out  # loads numpy: only when asked

    f = ctx.findings
    if not f.split or f.test is None or f.primary is None:
        return []
    test, estimate = _method(ctx, f.test.method), _method(ctx, f.primary.method)
    if test is None or estimate is None:
        return []
    first, second = carried_out(test, "death"), carried_out(estimate, "death")
    if first is None or second is None or first == second:
        return []
    text = (
        "The test that decides ({t}) and the analysis behind the printed difference ({e}) part at death: the first is "
        "{a}, the second {b}, since it {does}. They answer different questions; one estimand stated for both would "
        "contradict one of them."
    )
    return [
        ctx.writer.say(
            text,
            t=ctx.test_name(f.test.method),
            e=ctx.test_name(f.primary.method),
            a=first,
            b=second,
            does=PROCEDURES[METHODS[estimate].death[0]].does,
        )
    ]


def _attribute(ctx: Context, name: str, found: Answered) -> Row:
    state, said = found
    return Row((ctx.writer.words(name), ctx.writer.words(state), said))


def _treatment(ctx: Context) -> Answered:
    writer = ctx.writer
    if not ctx.findings.compared:
        return "in part", joined([ctx.arm_text(a) for a in ctx.findings.arms], "; ")
    active, control = ctx.arm_text(ctx.findings.active), ctx.arm_text(ctx.findings.control)
    return "held", writer.say("{a}, against {c}", a=active, c=control)


def _population(ctx: Context) -> Answered:
    chosen = next((s for s in ctx.record.sets if s.id == ctx.findings.set and s.usable), None)
    posted = ctx.record.origin == "posted"
    if chosen is not None and posted and (chosen.label == COUNTED or chosen.id == "ALL"):
        if ctx.analysed is None:
            return GAP
        a, c = map(ctx.number, ctx.analysed)
        return "in part", ctx.say("who they were is not stated; {a} and {c} people were counted", a=a, c=c)
    said = None if chosen is None else ctx.writer.quote(chosen.definition, chosen)
    return ("held", said) if said else GAP


def _variable(ctx: Context, outcome: Outcome | None) -> Answered:
    if outcome is None:
        return GAP
    if outcome.definition and outcome.usable and (said := ctx.writer.quote(outcome.definition, outcome)):
        return "held", ctx.writer.say("{o}: {d}", o=outcome.label, d=said)
    return "in part", ctx.writer.label(outcome.label)


def _intercurrent(ctx: Context) -> Answered:
    said = [
        text
        for id in ("stat_estimand", "stat_estimate", "stat_death_imputation")
        if (item := ctx.item(id)) is not None and item.text and (text := ctx.writer.told(item.text, item))
    ]
    if said:
        return "in part", joined(said, "; ")
    told = events_told(ctx)
    return ("in part", told) if told else GAP


def _measure(ctx: Context, primary: Result | None) -> Answered:
    if primary is None:
        return GAP
    if primary.contrast is None and not primary.p:
        return GAP
    words = "by the test alone"
    if primary.contrast is not None:
        known_as = summary(ctx, primary)
        if known_as is None:
            label = primary.contrast.label or primary.contrast.kind.replace("_", " ")
            return "in part", ctx.writer.quote(label, primary.contrast) or ctx.writer.label(label)
        words = known_as
    elif any(v.total for v in primary.arms.values()):
        words = "people with the outcome in each arm"
    if ctx.findings.split:
        return "in part", ctx.writer.say(
            "{w}; the test that decides summarises otherwise ({m})",
            w=ctx.writer.words(words),
            m=ctx.analysis(ctx.findings.test.method, article=False),  # type: ignore[union-attr]
        )
    return "held", ctx.writer.words(words)
