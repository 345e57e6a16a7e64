"""Guided discussion: questions with hidden answers for the medical student, resident, fellow and attending."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.appraise.context import READERS, TAUGHT, Context
from equipoise.appraise.document import Block, Inlines, Listing, Note, Paragraph, Question, Section, Text
from equipoise.appraise.pen import joined, upper
from equipoise.appraise.phrases import (
    biomarker_sentence,
    detectable_sentence,
    interval_sentence,
    later_sentence,
    neuro_sentence,
    nominal_sentence,
    paragraphs,
    primary_sentence,
    replica_sentence,
    survival_sentence,
)
from equipoise.appraise.sections.design import criterion
from equipoise.appraise.sections.limitations import _balance, _delays, _exploratory, _extension
from equipoise.appraise.sections.replica import main_answers, reading

Answer = list[Block]


def build(ctx: Context) -> Section | None:
    """One part per reader; with an audience, that reader's part alone."""
    readers = [r for r in TAUGHT if ctx.audience in (None, r)]
    if not readers:
        return None
    pen = ctx.pen
    parts = tuple(_part(ctx, reader) for reader in readers)
    intro = Paragraph(
        pen.words(
            "Questions to think through before opening the answer. Each set is written for one reader; the others may "
            "borrow."
        )
    )
    return Section("discussion", pen.words("Guided discussion"), (intro,), parts)


def _part(ctx: Context, reader: str) -> Section:
    pen = ctx.pen
    questions: dict[str, Callable[[Context], list[tuple[str, Answer]]]] = {
        "medical_student": _student,
        "resident": _resident,
        "fellow": _fellow,
        "attending": _attending,
    }
    blocks: list[Block] = []
    for i, (question, answer) in enumerate(questions[reader](ctx), start=1):
        if answer:
            blocks.append(Question(f"q-{reader}-{i}", pen.say(question), tuple(answer)))
    blocks.extend(takeaways(ctx, reader))
    return Section(f"for-{reader}", pen.words(READERS[reader]), tuple(blocks), reader=reader)


def takeaways(ctx: Context, reader: str) -> list[Block]:
    """The record's statements for a reader, as what to take away."""
    said = ctx.pen.statements(reader)
    if not said:
        return []
    body: Block = Listing(said) if len(said) > 1 else Paragraph(said[0])
    return [Note("key", ctx.pen.words("To take away"), (body,))]


def answer(*parts: Inlines) -> Answer:
    """Paragraphs of an answer; empty ones are left out."""
    return [Paragraph(p) for p in parts if p]


# -- medical student -----------------------------------------------------------------------------------------------


def _student(ctx: Context) -> list[tuple[str, Answer]]:
    pen, f = ctx.pen, ctx.findings
    met = f.met is True
    why_not = paragraphs(
        primary_sentence(ctx),
        pen.words(
            "A difference seen in a sample is part effect and part chance. The test asks how often chance alone "
            "would give something at least as extreme; the interval shows which true differences the data do not "
            "contradict."
        ),
        interval_sentence(ctx),
    )
    leaning = f.favourable(f.primary) if f.primary is not None else None
    question = "The trial met its primary endpoint. What exactly has been shown?" if met else (
        "The estimate leans towards the drug, yet the trial counts as negative. Why?"
        if leaning
        else "The trial counts as negative. What exactly has not been shown?"
    )  # fmt: skip
    if f.met is None:
        question = "What does the primary comparison show, and what not?"
    marker = paragraphs(
        pen.words(
            "A marker answers sooner and with less noise than a person's function, so it can show within weeks that "
            "a drug acts. But nobody feels a concentration. The marker may lie beside the path from disease to "
            "disability, or the path may be long, or the damage already done."
        ),
    )
    return [
        (
            "What was the drug meant to do, and how could one see that it did?",
            answer(*pen.statements("mechanism"), biomarker_sentence(ctx)),
        ),
        (question, answer(why_not) if primary_sentence(ctx) else []),
        (
            "Why measure a marker at all, and why is a better marker not the same as a better patient?",
            answer(marker) if f.biomarkers() else [],
        ),
        (
            "What did chance decide in this trial, and what was done to keep the rest fair?",
            answer(_fairness(ctx)) if ctx.record.design.randomised else [],
        ),
    ]


def _fairness(ctx: Context) -> Inlines:
    pen, d = ctx.pen, ctx.record.design
    shares = [d.allocation.get(a.id) for a in (ctx.findings.active, ctx.findings.control)]
    out: Inlines = ()
    if d.usable and all(shares):
        ratio = pen.cite(":".join(str(s) for s in shares), d)
        out = pen.say(
            "Chance decided who received {a} and who {c}, {r}, so that the groups differ at the start by chance alone.",
            a=ctx.active,
            c=ctx.control,
            r=ratio,
        )
    if masking := ctx.fact(d.masking):
        out = paragraphs(out, (*pen.words("Masking: "), *masking, Text(".")))
    strata = [q for s in d.strata if s.usable and (q := pen.quote(s.label, s))]
    if strata:
        out = paragraphs(
            out,
            pen.say(
                "The draw was made apart within groups (strata), so that each was split alike: {s}.",
                s=joined(strata, "; "),
            ),
        )
    return paragraphs(
        out,
        pen.words("Chance balances on average, not in every trial, and the smaller the trial the less."),
        _balance(ctx),
    )


# -- resident ------------------------------------------------------------------------------------------------------


def _resident(ctx: Context) -> list[tuple[str, Answer]]:
    pen, f = ctx.pen, ctx.findings
    criteria = [q for c in ctx.record.eligibility if c.usable and c.kind != "set_rule" and (q := criterion(ctx, c))]
    condition = pen.say(
        "Whether this is the disease that was studied: {c}. Nobody else was in the trial."
        + (" Then whether this person would have been let in:" if criteria else ""),
        c=ctx.record.condition,
    )
    first: Answer = [Paragraph(condition)]
    if criteria:
        first.append(Listing(tuple(criteria)))
    counsel: Answer = []
    rest = paragraphs(biomarker_sentence(ctx), later_sentence(ctx))
    if primary_sentence(ctx):
        counsel = answer(
            pen.words("In this order: what was asked, what was found, how sure it is, and what is not known."),
            primary_sentence(ctx),
            interval_sentence(ctx),
            paragraphs(pen.words("Then the rest, with its weight."), rest) if rest else (),
            pen.words(
                "Plain words help: over the weeks of the trial the drug was not shown to slow the loss of function; "
                "a sign of nerve damage in the blood fell; whether the one leads to the other later is not settled."
            )
            if f.met is False and any(r.outcome == "NFL" for r in f.biomarkers())
            else (),
        )  # fmt: skip
    harm = answer(
        neuro_sentence(ctx),
        pen.words(
            "Ask at every visit about new weakness, numbness or trouble with bladder or bowel, and about headache, "
            "neck stiffness, fever and vision; each would call for examination before the next dose."
        )
        if f.serious_neurologic() is not None
        else (),
        pen.say("The whole table is under {l}.", l=pen.to("safety", "safety")) if ctx.record.adverse_events else (),
    )
    return [
        ("A patient asks for this drug. What do you establish first?", first),
        ("How do you explain the primary result to a family?", counsel),
        ("What do you watch for under treatment?", harm if ctx.record.adverse_events else []),
        (
            "Which of the trial's small P values would you quote on a ward round?",
            answer(nominal_sentence(ctx), _exploratory(ctx)),
        ),
    ]


# -- fellow --------------------------------------------------------------------------------------------------------


def _fellow(ctx: Context) -> list[tuple[str, Answer]]:
    pen, f = ctx.pen, ctx.findings
    apart: Answer = []
    if f.biomarkers() and f.met is False:
        apart = answer(pen.words("Reasons that no single trial can tell apart:"))
        apart.append(
            Listing(
                tuple(
                    i
                    for i in (
                        paragraphs(
                            pen.words(
                                "Lag: the marker follows the drug late, and function follows the marker later still."
                            ),
                            _delays(ctx),
                        ),
                        paragraphs(
                            pen.words("Noise: the effect is there and the trial could not see it."),
                            detectable_sentence(ctx),
                        ),
                        pen.words(
                            "Reserve: what is already lost does not return, so that less damage from now on shows "
                            "only as a slower fall."
                        ),
                        pen.words(
                            "Path: the marker is not on the way, or not the only way, from disease to disability."
                        ),
                    )
                )
            )
        )
        if ctx.replica is not None and ctx.replica.answers:
            told = [replica_sentence(ctx, a.sentence, a.command, a.question) for a in main_answers(ctx.replica)[:2]]
            more = (*pen.words("More is under "), pen.to("replica", "what the replica says"), Text("."))
            apart.extend(
                answer(paragraphs(pen.words("The rebuilt trial speaks to the noise."), *told, reading(ctx), more))
            )
    later = answer(
        later_sentence(ctx),
        _extension(ctx),
        pen.words(
            "Early against delayed start keeps the randomisation, which is its strength. But people leave, scores "
            "after death or withdrawal are imputed, and the choice of covariates was open."
            if any(m.imputation for m in ctx.record.methods)
            else "Early against delayed start keeps the randomisation, which is its strength. But people leave."
        )
        if later_sentence(ctx)
        else (),
    )
    sets = answer(_by_set(ctx))
    return [
        ("Marker and function part ways. What could explain it?", apart),
        ("What can the comparison of early and delayed start carry?", later if later_sentence(ctx) else []),
        ("Does the effect differ between the analysis sets?", sets),
        ("The groups were not alike at the start. Does adjusting mend it?", answer(_adjusting(ctx))),
    ]


def _by_set(ctx: Context) -> Inlines:
    f, pen = ctx.findings, ctx.pen
    others = [r for r in f.others() if f.planned(r) is not False and r.contrast is not None]
    if f.contrast is None or f.primary is None or not others:
        return ()
    parts = [pen.say("{s} {d}", s=pen.label(ctx.set_phrase(r.set)), d=ctx.contrast(r.contrast)) for r in others
             if r.contrast is not None]  # fmt: skip
    out = pen.say("In {s} {d}; in ", s=pen.label(ctx.set_phrase(f.primary.set)), d=ctx.contrast(f.contrast))
    return (
        *out,
        *joined(parts, "; in "),
        *pen.words(
            ". To say that sets differ one needs a test of interaction, not a "
            "small P value in one and a large one in the other; none is in the record."
        ),
    )


def _adjusting(ctx: Context) -> Inlines:
    pen = ctx.pen
    balance = _balance(ctx)
    item = ctx.item("surr_adjustment")
    if item is None or not item.text or not item.usable:
        return balance
    said = pen.told(item.text, item, stop=".")
    if not said:
        return balance
    return paragraphs(
        balance,
        pen.words("Adjusting for a marker of prognosis is sound, and gains precision, when it is planned:"),
        upper(said),
        pen.words(
            "Chosen after the data are seen, the same adjustment is one of many that could have been chosen, and the "
            "interval no longer keeps its promise."
        ),
    )


# -- attending -----------------------------------------------------------------------------------------------------


def _attending(ctx: Context) -> list[tuple[str, Answer]]:
    pen, f = ctx.pen, ctx.findings
    weigh: Answer = answer(
        pen.words(
            "With what is known on both sides of the table, in numbers the patient can picture, and with the promise "
            "to look again."
        )
    )
    points = [
        i
        for i in (
            paragraphs((pen.strong("For the primary outcome:"),), primary_sentence(ctx))
            if primary_sentence(ctx)
            else (),
            paragraphs((pen.strong("For the marker:"),), biomarker_sentence(ctx)) if f.biomarkers() else (),
            paragraphs((pen.strong("Later:"),), later_sentence(ctx)) if later_sentence(ctx) else (),
            paragraphs((pen.strong("For survival:"),), survival_sentence(ctx)) if survival_sentence(ctx) else (),
            paragraphs((pen.strong("Harm:"),), neuro_sentence(ctx)) if neuro_sentence(ctx) else (),
            paragraphs((pen.strong("Burden:"),), _burden(ctx)) if _burden(ctx) else (),
        )
        if i
    ]
    if points:
        weigh.append(Listing(tuple(points)))
    stop = answer(
        pen.words(
            "Agree on it before the first dose: what will be measured, how often, and which course would mean that "
            "the drug has failed. A marker that falls while the person declines as before is the hard case, and it "
            "is better named beforehand."
        ),
        pen.words(
            "Serious harm is the other reason: inflammation of cord, root or meninges, or raised pressure, calls for a "
            "decision at once and not at the next visit."
        )
        if neuro_sentence(ctx)
        else (),
    )
    approval = _approval(ctx)
    return [
        ("How do you decide with a patient whether to begin?", weigh),
        ("When would you stop?", stop if f.biomarkers() else []),
        ("What does a conditional approval oblige you to tell?", approval),
    ]


def _burden(ctx: Context) -> Inlines:
    pen, dosing = ctx.pen, ctx.record.dosing
    if dosing is None or not dosing.usable or not dosing.route.usable:
        return ()
    route = pen.quote(dosing.route.text, dosing.route)
    n = pen.cite(str(len(dosing.days)), dosing)
    return pen.say("{n} doses in the trial ({r}), and more for as long as treatment lasts.", n=n, r=route or ())


def _approval(ctx: Context) -> Answer:
    pen = ctx.pen
    parts: list[Inlines] = []
    for r in ctx.record.regulatory:
        said = pen.quote(r.decision, r, *r.values.values()) if r.usable else None
        if said:
            parts.append(((pen.strong(pen.label(r.authority))), Text(": "), *said, Text(".")))
    if not parts:
        return []
    out = answer(
        pen.words(
            "That the drug may be sold on a promise, that the promise is a marker, and that the trial meant to "
            "redeem it is still running or still to be read. A patient who begins now begins before the answer."
        )
        if ctx.findings.met is False
        else (),
        pen.words("What was decided:"),
    )
    return [*out, Listing(tuple(parts))]
