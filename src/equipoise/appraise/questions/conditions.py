"""When a question applies: named conditions on the record, its reading and the replica."""

from __future__ import annotations

import re
from collections.abc import Callable

from equipoise.appraise.context import Context
from equipoise.appraise.estimates import by_pairs
from equipoise.appraise.findings import excludes_null, usable
from equipoise.appraise.phrases import within_margin
from equipoise.records.schema import Method

CONDITIONS: dict[str, Callable[[Context], bool]] = {}
"""Every condition by name; a question's ``when`` combines them (all of a list, ``any``, ``not``)."""

_GENE = re.compile(
    r"\b(?:pathogenic|gene|genetic) variant|\bvariants? in (?:the )?\w+|\bmutations?\b|\bmutated\b|\bgenetic(?:ally)?\b"
    r"|\b(?:repeat|hexanucleotide|C9orf72) expansion|\bSOD1\b|C9orf72",
    re.IGNORECASE,
)
_SKIN = re.compile(
    r"intrathecal|puncture|inject|infus|subcutan|intraven|intramus|intravit|intracoronary|gastrostomy|through a tube",
    re.IGNORECASE,
)
_LOSS = re.compile(r"lateral sclerosis|parkinson|alzheimer|huntington|dementia|dystroph|ataxia|muscular atrophy", re.I)
_MOTOR = re.compile(r"lateral sclerosis|motor neuron|\bALS\b|spinal muscular atrophy", re.I)
_TUMOUR = re.compile(r"carcinom|cancer|tumou?r|leuk|lymphom|melanom|sarcom|myelom|blastom|neoplas|glioma", re.I)
_WHO = re.compile(r"\([^)]*(?:participant|investigator|assessor|provider|rater)")
_CARRIED = re.compile(r"\bLOCF\b|last observation|carr(?:y|ied|ying)[^.;]{0,20} forward|last value", re.IGNORECASE)
_SHARE = re.compile(
    r"\b(?:percent(?:age)?|proportion|number|count)s? of (?:participants|patients|subjects|people)"
    r"|\b(?:participants|patients|subjects|people|events)\b$",
    re.IGNORECASE,
)
_UNTREATED = re.compile(r"placebo|sham|vehicle|no (?:treatment|intervention)|untreated", re.I)
_RANKS = re.compile(r"rank|wilcoxon|mann|van elteren|kruskal", re.IGNORECASE)
_BAYES = re.compile(r"bayes|credible|posterior", re.IGNORECASE)


def condition(function: Callable[[Context], bool]) -> Callable[[Context], bool]:
    """Register a condition under the name of its function."""
    CONDITIONS[function.__name__] = function
    return function


# -- the verdict ---------------------------------------------------------------------------------------------------


@condition
def primary_missed(ctx: Context) -> bool:
    """The primary endpoint was not met."""
    return ctx.findings.met is False


@condition
def primary_met(ctx: Context) -> bool:
    """The primary endpoint was met."""
    return ctx.findings.met is True


@condition
def worse(ctx: Context) -> bool:
    """The primary result favours the control by more than chance easily gives."""
    return ctx.findings.worse


@condition
def margin_stated(ctx: Context) -> bool:
    """The question was one of non-inferiority, and its margin is on record."""
    return ctx.findings.met is None and within_margin(ctx) is not None


@condition
def untested(ctx: Context) -> bool:
    """The primary outcome was described and not tested."""
    return ctx.findings.met is None and ctx.findings.untested is not None


@condition
def disputed(ctx: Context) -> bool:
    """The sources differ on whether it was met."""
    return bool(ctx.findings.disputed)


@condition
def verdict_open(ctx: Context) -> bool:
    """The record does not let one say whether it was met, nor whether a stated margin was kept."""
    return ctx.findings.met is None and not margin_stated(ctx)


@condition
def effect_judged(ctx: Context) -> bool:
    """The trial asked whether the treatment works, and its record lets one answer or tells who disagrees."""
    f = ctx.findings
    return ctx.record.origin == "written" or f.met is not None or bool(f.disputed) or margin_stated(ctx)


@condition
def primary_outcome(ctx: Context) -> bool:
    """The record names a primary outcome."""
    return ctx.findings.outcome is not None


@condition
def primary_result(ctx: Context) -> bool:
    """It holds a result of the primary outcome."""
    return ctx.findings.primary is not None


@condition
def primary_interval(ctx: Context) -> bool:
    """It holds an interval of the primary contrast."""
    c = ctx.findings.contrast
    return c is not None and excludes_null(c) is not None


@condition
def primary_test(ctx: Context) -> bool:
    """It holds a P value for the primary outcome."""
    return ctx.findings.test is not None


@condition
def leans_to_active(ctx: Context) -> bool:
    """The primary estimate favours the active arm."""
    f = ctx.findings
    return f.primary is not None and f.favourable(f.primary) is True


# -- kinds of endpoint ---------------------------------------------------------------------------------------------


@condition
def ratio_endpoint(ctx: Context) -> bool:
    """The primary contrast is a ratio or a hazard ratio."""
    c = ctx.findings.contrast
    return usable(c) and c is not None and c.kind != "difference"


@condition
def count_endpoint(ctx: Context) -> bool:
    """The primary result is a count of people in each arm."""
    f = ctx.findings
    pair = None if f.primary is None else ctx.arms_pair(f.primary)
    return pair is not None and bool(pair[0].total and pair[1].total)


@condition
def time_to_event(ctx: Context) -> bool:
    """The primary outcome is a time to an event."""
    f = ctx.findings
    timed = f.primary is not None and f.primary.measure == "time_to_event"
    return timed or (f.outcome is not None and f.outcome.scale == "time_to_event" and ctx.record.origin == "written")


@condition
def event_counts(ctx: Context) -> bool:
    """The primary outcome is an event or its absence, counted, and survival is what it is about."""
    o = ctx.findings.outcome
    words = ("alive", "surviv", "death")
    counted = o is not None and o.scale == "count" and ctx.record.origin == "written"
    return counted and o is not None and any(w in o.label.lower() for w in words)


@condition
def person_scored(ctx: Context) -> bool:
    """The primary outcome is a score or a measurement that one person's course can be read from.

    A share of people or a rank among all of them is none, nor is an outcome by which no treatment was judged. The
    outcomes of a record that was written by hand are told there by name.
    """
    if ctx.record.origin == "written":
        return True
    f = ctx.findings
    return effect_judged(ctx) and f.primary is not None and not grouped_endpoint(ctx)


def grouped_endpoint(ctx: Context) -> bool:
    """The primary result is a count, a share of people, or a test on ranks that gives no size in units."""
    f = ctx.findings
    o = f.outcome
    share = o is not None and bool(_SHARE.search(f"{o.label} {o.unit or ''}"))
    if f.primary is None:
        return share
    unsized = ranks_tested(ctx) and not usable(f.contrast)
    return count_endpoint(ctx) or f.primary.measure in ("percent", "responders") or share or unsized


def ranks_tested(ctx: Context) -> bool:
    """The test that was to decide compares ranks."""
    f = ctx.findings
    method = None if f.test is None else f.method(f.test.method)
    return method is not None and bool(_RANKS.search(f"{method.family} {method.label}"))


@condition
def slope_endpoint(ctx: Context) -> bool:
    """The primary result is a rate of change."""
    return ctx.findings.primary is not None and ctx.findings.primary.measure == "rate_of_change"


@condition
def rank_endpoint(ctx: Context) -> bool:
    """The primary test compares ranks of function and survival together."""
    f = ctx.findings
    method = None if f.test is None else f.method(f.test.method)
    return method is not None and method.family == "joint_rank"


@condition
def ranks_alone(ctx: Context) -> bool:
    """The primary test compares ranks, and no order of deaths and scores was named with it."""
    return ranks_tested(ctx) and not rank_endpoint(ctx) and not time_to_event(ctx) and not _log_rank(ctx)


def _log_rank(ctx: Context) -> bool:
    f = ctx.findings
    method = None if f.test is None else f.method(f.test.method)
    return method is not None and method.family == "log_rank"


@condition
def shift_estimated(ctx: Context) -> bool:
    """The primary difference is a Hodges-Lehmann estimate."""
    primary = ctx.findings.primary
    return primary is not None and by_pairs(ctx, primary)


@condition
def untreated_control(ctx: Context) -> bool:
    """The control group had placebo, sham or nothing, as its name says."""
    return bool(_UNTREATED.search(f"{ctx.findings.control.label} {ctx.findings.control.drug}"))


@condition
def fixed_time(ctx: Context) -> bool:
    """The primary outcome is read at a fixed week."""
    f = ctx.findings
    return f.primary is not None and f.week is not None and f.primary.measure != "time_to_event"


# -- markers, subgroups, later comparisons -------------------------------------------------------------------------


@condition
def marker_measured(ctx: Context) -> bool:
    """A laboratory marker stands beside the primary outcome."""
    return bool(ctx.findings.biomarkers())


@condition
def marker_moved(ctx: Context) -> bool:
    """The interval of such a marker leaves out no effect."""
    return any(r.contrast is not None and excludes_null(r.contrast) for r in ctx.findings.biomarkers())


@condition
def marker_without_benefit(ctx: Context) -> bool:
    """A marker moved, and benefit on the primary outcome was not shown."""
    f = ctx.findings
    shown = f.met is True
    return not shown and f.primary is not None and marker_moved(ctx)


@condition
def neurofilament(ctx: Context) -> bool:
    """Neurofilament is among the outcomes."""
    return any("eurofilament" in o.label for o in ctx.record.outcomes)


@condition
def several_sets(ctx: Context) -> bool:
    """The primary outcome was also analysed in other sets of patients at the same time."""
    return any(ctx.findings.planned(r) is not False and r.contrast is not None for r in ctx.findings.others())


@condition
def has_extension(ctx: Context) -> bool:
    """An extension followed the randomised period."""
    return ctx.record.extension is not None


@condition
def early_delayed(ctx: Context) -> bool:
    """Early and delayed start were compared later on."""
    return any(r is not None for r in ctx.findings.later_pair())


@condition
def unplanned_success(ctx: Context) -> bool:
    """A main result leaves out no effect and was not fixed in advance."""
    f = ctx.findings
    return any(
        r.role == "main"
        and f.planned(r) is False
        and usable(r.contrast)
        and r.contrast is not None
        and excludes_null(r.contrast)
        for r in ctx.record.results
    )


@condition
def survival_result(ctx: Context) -> bool:
    """There is a hazard ratio for a time to an event."""
    return bool(ctx.findings.survival())


# -- design --------------------------------------------------------------------------------------------------------


@condition
def randomised(ctx: Context) -> bool:
    """Chance decided who received what."""
    return ctx.record.design.randomised


@condition
def not_by_chance(ctx: Context) -> bool:
    """Something else than chance decided who received what."""
    return not ctx.record.design.randomised and not ctx.chance_unknown


@condition
def masked(ctx: Context) -> bool:
    """Somebody was masked."""
    text = _masking(ctx)
    return "blind" in text or "mask" in text


@condition
def open_label(ctx: Context) -> bool:
    """Nobody was masked."""
    return _masking(ctx).startswith("open")


@condition
def masking_unknown(ctx: Context) -> bool:
    """The record does not say who was masked."""
    return not _masking(ctx)


def _masking(ctx: Context) -> str:
    fact = ctx.record.design.masking
    text = fact.text.lower() if fact.usable else ""
    return "" if text.startswith(("not stated", "not found", "not named")) else text


@condition
def several_active(ctx: Context) -> bool:
    """More than one active arm beside a control."""
    return controlled(ctx) and sum(a.role == "active" for a in ctx.record.arms) > 1


@condition
def controlled(ctx: Context) -> bool:
    """One of the arms is a control."""
    return any(a.role == "control" for a in ctx.record.arms)


def participants_masked(ctx: Context) -> bool:
    """The people treated did not know what they received."""
    text = _masking(ctx)
    listed = bool(_WHO.search(text))
    return "participant" in text or "patient" in text or (not listed and text.startswith(("double", "triple", "quad")))


@condition
def degenerative(ctx: Context) -> bool:
    """The condition is one in which nerve or muscle is lost for good."""
    return bool(_LOSS.search(ctx.record.condition))


@condition
def nerve_cells_lost(ctx: Context) -> bool:
    """The condition kills motor neurons, and function follows them."""
    return bool(_MOTOR.search(ctx.record.condition))


@condition
def higher_better(ctx: Context) -> bool:
    """Higher values of the primary outcome are the better ones."""
    return ctx.findings.outcome is not None and ctx.findings.outcome.direction == "higher_better"


@condition
def platform(ctx: Context) -> bool:
    """The control group is shared with other regimens of a platform."""
    return any("shared" in t or "platform" in t for t in (ctx.record.design.type.text, ctx.record.design.phase.text))


@condition
def bayesian(ctx: Context) -> bool:
    """The primary analysis is Bayesian."""
    f = ctx.findings
    method = None if f.primary is None else f.method(f.primary.method)
    return method is not None and bool(_BAYES.search(f"{method.label} {method.description}"))


@condition
def carried_forward(ctx: Context) -> bool:
    """Missing scores were filled with the last one seen (LOCF)."""

    def words(m: Method) -> str:
        return f"{m.label} {m.description} {m.imputation or ''}"

    items = " ".join(i.text or "" for i in ctx.record.items if i.section == "statistics" and i.usable)
    return any(_CARRIED.search(words(m)) for m in ctx.record.methods) or bool(_CARRIED.search(items))


@condition
def imputed(ctx: Context) -> bool:
    """Missing scores were imputed."""
    return any(m.imputation for m in ctx.record.methods)


@condition
def death_imputed(ctx: Context) -> bool:
    """Scores after death were imputed."""
    return ctx.item("stat_death_imputation") is not None


@condition
def late_comparison(ctx: Context) -> bool:
    """Something was compared between those who started early and those who started late."""
    return any(r.comparison == "early_delayed" and usable(r.contrast) for r in ctx.record.results)


def tested_again(ctx: Context) -> bool:
    """Another randomised trial of the treatment is on record with its result."""
    return any(t.usable and t.result.usable and t.direction != "unknown" for t in ctx.record.related)


@condition
def genetic(ctx: Context) -> bool:
    """The condition is defined by a gene."""
    own = ctx.record.condition  # a title also names what was tested for, a part of the study, a virus
    text = own if ctx.record.origin == "posted" else f"{own} {ctx.record.title}"
    return bool(_GENE.search(text)) and not _TUMOUR.search(own)


@condition
def invasive(ctx: Context) -> bool:
    """Treatment goes through the skin."""
    dosing = ctx.record.dosing
    if ctx.record.origin == "posted":  # the entry's other texts tell of the comparator, too
        own = ctx.findings.active
        return bool(_SKIN.search(own.route or own.note or own.label))
    routes = [a.route or "" for a in ctx.record.arms] + [dosing.route.text if dosing is not None else ""]
    texts = [i.text or "" for i in ctx.record.items if i.section == "design" and i.usable]
    return any(_SKIN.search(t) for t in (*routes, *texts))


@condition
def posted(ctx: Context) -> bool:
    """The record was copied from a registry by program."""
    return ctx.record.origin == "posted"


# -- what else the record holds ------------------------------------------------------------------------------------


@condition
def has_harms(ctx: Context) -> bool:
    """It tells at least one adverse event in both arms."""
    f = ctx.findings
    return any(
        all(
            (v := e.arms.get(a.id)) is not None and v.usable and (v.value is not None or v.percent is not None)
            for a in (f.active, f.control)
        )
        for e in ctx.record.adverse_events
    )


@condition
def harm_counts(ctx: Context) -> bool:
    """It counts at least one adverse event in both arms, in people."""
    return any(ctx.findings.counts(e) is not None for e in ctx.record.adverse_events)


@condition
def serious_neurologic(ctx: Context) -> bool:
    """It counts serious neurologic events."""
    return ctx.findings.serious_neurologic() is not None


@condition
def confirmatory_awaited(ctx: Context) -> bool:
    """A decision names a trial that is still to come."""
    return any(r.usable and r.date is None for r in ctx.decisions)


@condition
def has_related(ctx: Context) -> bool:
    """It names related trials."""
    return any(t.usable for t in ctx.record.related)


def mcid_known(ctx: Context) -> bool:
    """It holds the smallest change that patients notice."""
    return ctx.item_value("mcid", "change") is not None


def size_judged(ctx: Context) -> bool:
    """The judgements state how large an effect has to be to matter."""
    return ctx.judgements is not None and any(o.threshold is not None for o in ctx.judgements.outcomes)


@condition
def assumptions_known(ctx: Context) -> bool:
    """It holds what the sample size was built on."""
    f = ctx.findings
    return ctx.item_value("sample_size", f"decline_{f.control.id}") is not None


@condition
def several_p(ctx: Context) -> bool:
    """It holds at least five P values."""
    return sum(p.usable for r in ctx.record.results for p in r.p) >= 5


@condition
def sponsor_named(ctx: Context) -> bool:
    """It names the sponsor."""
    item = ctx.item("reg_sponsor")
    return item is not None and bool(item.text)
