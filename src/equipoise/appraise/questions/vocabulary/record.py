"""What the record holds, what it lacks, where it was read, and what came before and after."""

from __future__ import annotations

import re

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.findings import usable
from equipoise.appraise.handled import missing_told
from equipoise.appraise.open_verdict import own_words
from equipoise.appraise.phrases import paragraphs, within_margin
from equipoise.appraise.questions import conditions
from equipoise.appraise.questions.vocabulary.design import people
from equipoise.appraise.questions.vocabulary.harms import deaths, serious_told
from equipoise.appraise.questions.vocabulary.phrase import items, name, sentence
from equipoise.appraise.sections import coherence
from equipoise.appraise.sections.coherence import checked_sentence
from equipoise.appraise.sections.limitations import went_on_sentence
from equipoise.appraise.sections.related import decided
from equipoise.appraise.sections.significance import decision_sentence
from equipoise.document.document import Inlines, Link, Text
from equipoise.document.text import joined, upper
from equipoise.records.coherence import Note as CoherenceNote
from equipoise.records.coherence import checked, coherence_notes
from equipoise.records.schema import Sourced, Value

# -- what is missing -----------------------------------------------------------------------------------------------


def _result_gaps(ctx: Context) -> list[str]:
    f, out = ctx.findings, []
    if f.outcome is None:
        return ["which outcome was the primary one"]
    told = ctx.record.origin == "posted" and own_words(ctx)  # a registry has no field for it, but its text may say it
    if f.outcome.direction == "not_stated" and within_margin(ctx) is None and not told:
        out.append("which direction of the primary outcome is the better one")
    if f.rows:
        return [*out, "a single result of the primary outcome, which is posted in parts", "a test of it"]
    if f.primary is None:
        return [*out, "any result of the primary outcome"]
    if ctx.arms_pair(f.primary) is None:
        out.append("the primary result in each arm")
    if not usable(f.contrast) and not conditions.count_endpoint(ctx):
        out.append("an estimate of the primary difference between the arms")
    elif usable(f.contrast) and not conditions.primary_interval(ctx) and not conditions.count_endpoint(ctx):
        out.append("an interval of the primary difference")
    if f.test is None and within_margin(ctx) is None and not f.untested:
        out.append("a P value for the primary outcome")
    return out


def _design_gaps(ctx: Context) -> list[str]:
    d, f, out = ctx.record.design, ctx.findings, []
    if conditions.masking_unknown(ctx):
        out.append("who was masked")
    if d.randomised and not (d.allocation and d.usable) and ctx.item("reg_allocation") is None:
        out.append("the ratio in which people were allotted")
    if (d.n_planned is None or not d.n_planned.usable) and ctx.item("reg_sample_size") is None:
        out.append("how many people had been planned for, and on which assumptions")
    if (
        not any(
            v.usable
            for r in ctx.record.events
            if r.endpoint in ("WITHDREW", "NOT_COMPLETED")
            for arms in r.values.values()
            for v in arms.values()
        )
        and ctx.item("follow_up") is None
        and not went_on_sentence(ctx)
    ):
        out.append("how many left before the end, by arm")
    tests = () if f.primary is None else (f.method(p.method) for p in f.primary.p if p.usable)
    if f.primary is not None and f.planned(f.primary) is None and not any(m and m.prespecified for m in tests):
        out.append("whether the primary analysis was fixed before the data were seen")
    if not any(m.imputation for m in ctx.record.methods) and not missing_told(ctx):
        out.append("how missing values were handled")
    return out


def _people_gaps(ctx: Context) -> list[str]:
    out = []
    if not any(c.usable for c in ctx.record.eligibility):
        out.append("who could take part")
    if not people(ctx):
        out.append("age and sex of those who did")
    return out


def _harm_gaps(ctx: Context) -> list[str]:
    out = []
    if not conditions.has_harms(ctx):
        out.append("adverse events by arm")
    elif not serious_told(ctx) and not conditions.serious_neurologic(ctx):
        out.append("serious adverse events by arm")
    if ctx.findings.deaths() is None and not conditions.survival_result(ctx) and not conditions.time_to_event(ctx):
        out.append("deaths by arm")
    return out


def _value_gaps(ctx: Context) -> list[str]:
    out = []
    if not conditions.mcid_known(ctx) and not conditions.size_judged(ctx):
        out.append("the smallest change that patients notice")
    if not quality_of_life(ctx):
        out.append("any measure of quality of life")
    return out


def _listed(ctx: Context, gaps: list[str]) -> list[Inlines]:
    return [upper(ctx.writer.words(gap + ".")) for gap in gaps]


@items("Nothing on the usual list is missing.")
def gaps(ctx: Context) -> list[Inlines]:
    """Everything on the usual list that the record lacks."""
    found = (*_result_gaps(ctx), *_design_gaps(ctx), *_people_gaps(ctx), *_harm_gaps(ctx), *_value_gaps(ctx))
    return _listed(ctx, list(found))


@items("Nothing that a prescriber needs first is missing.")
def gaps_bedside(ctx: Context) -> list[Inlines]:
    """What is missing before one could prescribe."""
    return _listed(ctx, [*_people_gaps(ctx), *_harm_gaps(ctx), *_value_gaps(ctx)])


@items("Nothing that a reviewer asks for first is missing.")
def gaps_method(ctx: Context) -> list[Inlines]:
    """What is missing before one could judge the methods."""
    return _listed(ctx, [*_result_gaps(ctx), *_design_gaps(ctx)])


_LIFE = re.compile(
    r"\bquality[- ]of[- ]life\b|qol\b|\bqol|\balsaq|\beq-?5d"
    r"|\b(?:sf|short[- ]form)[- ]?(?:\(sf\)[- ]?)?(?:6d|8|12|36)\b"
    r"|\bpromis\b|\bqlq\b|\bqlq-|\bfact-[a-z]|\bkccq|\bkansas city cardiomyopathy|\bmlhfq|\bminnesota living with"
    r"|\bpdq-?(?:8|39)\b|\bsgrq\b|\bdlqi\b|\bnottingham health profile|\bsickness impact profile|\bhealth utilit",
    re.I,
)
"""Instruments of quality of life, by name; a questionnaire of another matter, or a word that holds one, is none."""


_FELT = re.compile(
    r"questionnaire|\bPHQ|barthel|daily living|\bpain\b|symptom|depress|anxiety|fatigue|\bsleep|functional|disability"
    r"|impression of|patient[- ](?:oriented|reported)|diary|rankin|walk|alsfrs|updrs",
    re.I,
)


def asks_people(ctx: Context) -> bool:
    """Whether an outcome of an entry tells how people felt or lived, though it is no measure of quality of life."""
    return ctx.record.origin == "posted" and any(_FELT.search(o.label) for o in ctx.record.outcomes)


def quality_of_life(ctx: Context) -> list[Inlines]:
    """Outcomes that ask the patient."""
    return [
        ctx.writer.label(ctx.outcome(o.id)) for o in ctx.record.outcomes if _LIFE.search(f"{o.label} {o.unit or ''}")
    ]


@items()
def critical_outcomes(ctx: Context) -> list[Inlines]:
    """What a committee would call critical, and what the record holds of it."""
    writer, f = ctx.writer, ctx.findings
    timed = [o for o in ctx.record.outcomes if _about_life(o.label) and "dverse" not in o.label]
    held = {r.outcome for r in ctx.record.results}
    died = deaths(ctx)
    lived = [writer.label(ctx.outcome(o.id)) for o in timed[:3] if o.id in held]
    rows = [
        ("What was to decide", [writer.label(ctx.outcome(f.outcome.id))] if f.outcome is not None else []),
        *([("Survival", lived)] if lived or not died else []),
        ("Quality of life", quality_of_life(ctx)[:3]),
    ]
    out = [
        (
            writer.strong(f"{head}:"),
            Text(" "),
            *(joined(found, "; ") if found else writer.words("nothing in the record")),
            Text("."),
        )
        for head, found in rows
    ]
    if died and not lived:
        out.insert(1, (writer.strong("Survival:"), Text(" "), *died))
    harm = serious_told(ctx)
    out.append(
        (writer.strong("Harm:"), Text(" "), *(harm or writer.words("no count of serious events in the record.")))
    )
    return [tuple(o) for o in out]


def _about_life(label: str) -> bool:
    low = label.lower()
    return any(word in low for word in ("death", "surviv", "alive", "mortality", "tracheostomy", "ventilation"))


@sentence("The record names one outcome only, so that nothing can be held against a list.")
def outcomes_without_result(ctx: Context) -> Inlines:
    """Outcomes that were named and have no result here."""
    writer = ctx.writer
    if len(ctx.record.outcomes) < 2:
        return ()
    held = {r.outcome for r in ctx.record.results} | {e.endpoint for e in ctx.record.events}
    held |= {o.id for o in ctx.record.outcomes if o.role == "safety"}
    bare = [writer.label(ctx.outcome(o.id)) for o in ctx.record.outcomes if o.id not in held]
    if not bare:
        return writer.words("Every outcome that the record names has a result in it.")
    more = writer.words(", and others") if len(bare) > 5 else ()
    return (*writer.words("Named, but without a result here: "), *joined(bare[:5], "; "), *more, Text("."))


@items()
def outcomes_by_role(ctx: Context) -> list[Inlines]:
    """Primary and secondary outcomes."""
    writer, out = ctx.writer, []
    for role in ("primary", "secondary"):
        names = [writer.label(ctx.outcome(o.id)) for o in ctx.record.outcomes if o.role == role]
        if names:
            more = writer.words("; and others") if len(names) > 6 else ()
            out.append((writer.strong(f"{role.capitalize()}:"), Text(" "), *joined(names[:6], "; "), *more, Text(".")))
    return out


# -- where it was read ---------------------------------------------------------------------------------------------


@items()
def sources(ctx: Context) -> list[Inlines]:
    """What was read."""
    writer, out = ctx.writer, []
    most = 8
    for key, source in list(ctx.record.sources.items())[:most]:
        said = writer.quote(source.title, key)
        kind = writer.quote(source.what, key) if source.what else None
        if said:
            shown = (
                said
                if any(type(run).__name__ == "Cited" for run in said)
                else (writer.cite(source.title, _sourced(key)),)
            )
            out.append((*shown, *(writer.say(", {k}", k=kind) if kind else ()), Text(".")))
    if len(ctx.record.sources) > most:
        out.append(writer.words("And others; all are listed at the end."))
    return out


def _sourced(key: str) -> Sourced:
    """A source as a whole."""
    return Sourced(source=key, confidence="seen")


@sentence()
def weak_sources(ctx: Context) -> Inlines:
    """Sources that were read in part, or that are somebody's release."""
    weak = ("abstract", "press release", "secondary", "slides", "news")
    found = [
        pen_key for pen_key, s in ctx.record.sources.items() if s.what is not None and any(w in s.what for w in weak)
    ]
    if not found:
        return ()
    writer = ctx.writer
    named = joined([(writer.cite(key, _sourced(key)),) for key in found[:10]], ", ")
    return writer.say(
        "Read only as an abstract, a release, slides or at second hand: {n}. What such a source leaves out, the record "
        "cannot hold.",
        n=named,
    )


@sentence()
def how_read(ctx: Context) -> Inlines:
    """How many facts were read as text, on slides, off curves, or derived."""
    writer = ctx.writer
    seen: dict[str, int] = {}
    for entry in writer.index.values():
        if entry.sourced.usable and entry.id in writer.index:
            seen[str(entry.sourced.confidence)] = seen.get(str(entry.sourced.confidence), 0) + 1
    words = {"seen": "as text", "slide": "printed on slides", "curve": "off curves", "derived": "by arithmetic"}
    head = f"from equipoise.records import load_record; r = load_record('{ctx.address}')"
    parts = []
    for kind, what in words.items():
        if not (n := seen.get(kind)):
            continue
        call = f"sum(e.confidence == '{kind}' for e in r.index().values())"
        shown = writer.by_command(
            numbers.number(n), f'python -c "{head}; print({call})"', f"facts of the record, seen {what}"
        )
        parts.append(writer.say("{n} " + what, n=shown))
    return (*writer.words("How the facts were read: "), *joined(parts), Text(".")) if parts else ()


def _telling(ctx: Context, note: CoherenceNote) -> tuple[bool, bool, bool]:
    """A note's place as an example: first one that changes a verdict, on the primary outcome, in a main analysis."""
    r = next((r for r in ctx.record.results if r.id == note.result), None)
    outcome = ctx.findings.outcome
    own = r is not None and outcome is not None and r.outcome == outcome.id
    return (not note.changes_verdict, not own, r is None or r.role != "main")


@sentence()
def checks(ctx: Context) -> Inlines:
    """How many notes the checks of coherence leave, and the first of them."""
    writer = ctx.writer
    notes = coherence_notes(ctx.record)
    if not notes:
        return paragraphs(
            checked_sentence(ctx),
            writer.words("No contradiction was found among them.") if checked(ctx.record).total else (),
        )
    head = (
        f"from equipoise.records import coherence_notes, load_record; n = coherence_notes(load_record('{ctx.address}'))"
    )
    count = writer.by_command(
        numbers.number(len(notes)), f'python -c "{head}; print(len(n))"', "notes of the checks on this record"
    )
    first = min(notes, key=lambda n: _telling(ctx, n))
    changes = sum(n.changes_verdict for n in notes)
    verdict = (
        writer.say(
            ", {v} of which would change a verdict",
            v=writer.by_command(
                numbers.number(changes),
                f'python -c "{head}; print(sum(x.changes_verdict for x in n))"',
                "notes in which two P values lie on different sides of the conventional level",
            ),
        )
        if changes
        else ()
    )
    return (
        *writer.say(
            "The checks leave {n} " + ("notes{v}, for instance: " if len(notes) > 1 else "note{v}: "),
            n=count,
            v=verdict,
        ),
        *coherence._own_words(ctx, first, first.what),
        Text(". More is under "),
        Link(writer.words("coherence notes"), "#coherence"),
        Text("."),
    )


@items()
def disagreements(ctx: Context) -> list[Inlines]:
    """Sources that disagree, side by side."""
    return coherence._conflicts(ctx)[:4]


@items()
def plan_history(ctx: Context) -> list[Inlines]:
    """When the plan was written and changed."""
    out = []
    for id in ("stat_sap_history", "stat_sap_v3", "stat_seen_before", "post_hoc_population"):
        item = ctx.item(id)
        if item is not None and item.text and item.usable:
            label, text = ctx.writer.quote(item.label, item), ctx.writer.told(item.text, item, stop=".")
            if label and text:
                out.append((ctx.writer.strong((*label, Text(":"))), Text(" "), *upper(text)))
    return out


@items()
def traps(ctx: Context) -> list[Inlines]:
    """What a reader is likely to get wrong, as the record names it."""
    writer, out = ctx.writer, []
    for trap in ctx.record.traps[:4]:
        title, text = writer.quote(trap.title, *trap.refs), writer.told(trap.text, *trap.refs, stop=".")
        if title and text:
            out.append((writer.strong((*title, Text("."))), Text(" "), *upper(text)))
    return out


@sentence("The record does not say who ran and paid for the trial.")
def sponsor(ctx: Context) -> Inlines:
    """Sponsor and collaborators."""
    writer, out = ctx.writer, []
    for id, head in (("reg_sponsor", "Sponsor"), ("reg_collaborators", "With")):
        item = ctx.item(id)
        if item is not None and item.text:
            out.append((*writer.words(f"{head}: "), writer.cite(item.text.rstrip("."), item), Text(".")))
    return joined(out, " ") if out else ()


# -- before, after, around -----------------------------------------------------------------------------------------


@items("The record names no related trial: look for one before leaning on this.")
def around(ctx: Context) -> list[Inlines]:
    """Related trials, what they found, and what came later."""
    writer, out = ctx.writer, []
    for t in sorted(ctx.record.related, key=lambda t: t.year):
        if not t.usable or not t.result.usable:
            continue
        said = writer.told(t.result.text, t.result, t, *(v for v in t.values.values() if v.usable))
        if not said:
            continue
        after = [q for fact in t.after if fact.usable and (q := writer.told(fact.text, fact))] + decided(ctx, t)
        tail = (*writer.words(" Later: "), *joined(after, "; "), Text(".")) if after else ()
        head = writer.strong(writer.say("{n} ({d}).", n=t.name, d=t.drug))
        out.append((head, Text(" "), *upper(said), Text("."), *tail))
    return out


_FIGURE = re.compile(r"\d+(?:\.\d+)?")
SPELT = {
    "hr": "hazard ratio",
    "rr": "risk ratio",
    "risk_ratio": "risk ratio",
    "odds_ratio": "odds ratio",
    "difference": "difference",
    "p": "P",
    "n": "people",
}
"""Keys of a record's values that a sentence can be made of; what else a text holds it has to say itself."""


@items()
def evidence(ctx: Context) -> list[Inlines]:
    """What the record tells of pooled evidence."""
    writer, out = ctx.writer, []
    for item in ctx.record.items:
        if item.section != "evidence" or not item.usable:
            continue
        label = writer.quote(item.label, item)
        values = [
            (*writer.label(SPELT[key]), Text(" "), writer.cite(_spread(v), v))
            for key, v in item.values.items()
            if v.usable and v.value is not None and key in SPELT and not _says(item.text, v)
        ]
        told = writer.told(item.text, item, *item.values.values(), stop=".") if item.text else None
        if label and (told or values):
            shown = (*upper(joined(values, ", ")), Text(".")) if values else ()
            body = paragraphs(upper(told) if told else (), shown)
            out.append((writer.strong((*label, Text("."))), Text(" "), *body))
    return out[:6]


def _says(text: str | None, v: Value) -> bool:
    """Whether a text names the number of a value itself."""
    return text is not None and v.value is not None and float(v.value) in map(float, _FIGURE.findall(text))


def _spread(v: Value) -> str:
    """A value with its interval, all with the same decimals, and its unit."""
    digits = max(numbers.decimals(x) for x in (v.value, v.low, v.high) if x is not None)
    return numbers.spread(v, digits) + (f" {v.unit}".replace(" %", f"{numbers.THIN}%") if v.unit else "")


@items()
def decisions(ctx: Context) -> list[Inlines]:
    """What regulators decided."""
    return [d for r in ctx.decisions if (d := decision_sentence(ctx, r))]


@sentence()
def pending(ctx: Context) -> Inlines:
    """Trials that a decision names and that are still to come."""
    writer, out = ctx.writer, []
    for r in ctx.decisions:
        if not r.usable or r.date is not None:
            continue
        said = writer.told(r.decision, r, *r.values.values())
        more = writer.quote(r.text, r, *r.values.values()) if r.text else None
        if said:
            out.append((*upper(said), *((Text(" ("), *more, Text(")")) if more else ()), Text(".")))
    return joined(out, " ") if out else ()


@sentence()
def mechanism(ctx: Context) -> Inlines:
    """How the treatment is meant to act."""
    return joined(list(ctx.writer.statements("mechanism")), " ")


@sentence()
def neurofilament_told(ctx: Context) -> Inlines:
    """What the record says that neurofilament tells."""
    found = [
        q
        for s in ctx.record.statements
        if s.section == "medical_student" and "eurofilament" in s.text and (q := ctx.writer.statement(s))
    ]
    return joined(found, " ") if found else ()


@name
def safety_link(ctx: Context) -> Inlines:
    """A link to the table of harms."""
    return (Link(ctx.writer.words("safety"), "#safety"),)


@sentence("The entry does not say who could take part.")
def who_entered(ctx: Context) -> Inlines:
    """Where the criteria of eligibility stand, where there are any."""
    if not any(c.usable for c in ctx.record.eligibility):
        return ()
    return ctx.writer.say("Who could take part is under {d}.", d=(Link(ctx.writer.words("design"), "#design"),))


@name
def results_link(ctx: Context) -> Inlines:
    """A link to the results."""
    return (Link(ctx.writer.words("results"), "#results"),)


@sentence()
def awaited(ctx: Context) -> Inlines:
    """What is still to come."""
    writer = ctx.writer
    waiting = [r for r in ctx.decisions if r.usable and r.date is None]
    parts = []
    for r in waiting:
        said = writer.told(r.decision, r, *r.values.values())
        more = writer.quote(r.text, r, *r.values.values()) if r.text else None
        if said:
            parts.append((*said, *((Text(" ("), *more, Text(")")) if more else ())))
    out: Inlines = (*upper(joined(parts, "; ")), Text(".")) if parts else ()
    return paragraphs(
        out,
        writer.words(
            ("Besides: trials" if out else "Trials")
            + " of the same kind of drug that report the effect on the marker and on function together, and individual "
            "data, on which the surrogate question can be asked properly."
        )
        if ctx.findings.biomarkers()
        else again(ctx),
    )


def again(ctx: Context) -> Inlines:
    """Which further trial would help: a second one, or, where that has been run, one that settles what they leave."""
    writer = ctx.writer
    if not conditions.tested_again(ctx):
        return writer.words("A second randomised trial with the same outcome.")
    found = {t.direction for t in ctx.record.related if t.usable and t.result.usable}
    names = [writer.label(t.name) for t in ctx.record.related if t.usable and t.result.usable]
    lead = writer.say("Other trials have been run ({n}).", n=joined(names, "; "))
    if found == {"no_benefit"} and ctx.findings.met is True:
        tail = "They did not find the benefit again; it would take a new and larger trial to restore it."
    elif len(names) > 1 or "mixed" in found:
        tail = (
            "An analysis of the placebo-controlled trials together, on individual patient data, would say more than "
            "one further trial."
        )
    else:
        tail = "Read them together; a further trial has to settle what they leave open."
    return paragraphs(lead, writer.words(tail))
