"""The questions that the replica answers, and the answers in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from equipoise.calibrate.targets import Target
from equipoise.plan.compiled import AnyForm, Repeated, TimeToEvent, TrialByTrial
from equipoise.records.schema import Record
from equipoise.replica.replica import Answer, AnswerKind, MechanismRow, share_places
from equipoise.simulate.mechanism import ON_FUNCTION, Mechanism
from equipoise.simulate.scenario import Scenario
from equipoise.types import FloatArray

IN_WORDS = {
    Mechanism.NONE: "no effect on function",
    Mechanism.SYMPTOMATIC: "a lift that leaves the rate of loss as it was",
    Mechanism.SLOWING: "slower loss",
    Mechanism.LAGGED: "slower loss after a delay",
    Mechanism.SURVIVAL: "a lower hazard of the event, by the same factor throughout",
    Mechanism.WANING: "a lower hazard of the event, by a factor that fades",
    Mechanism.HARM: "faster loss",
}
"""What each mechanism is, as the end of a sentence that begins with the drug."""

TEST_NAMES = {
    "ancova": "analysis of covariance",
    "joint_rank": "joint rank test",
    "mmrm": "mixed model for repeated measures",
    "slope": "difference of the slopes",
    "log_rank": "log-rank test",
    "wilcoxon": "Wilcoxon test",
    "cox": "Cox regression",
}
"""The tests of a plan, inside a sentence."""


@dataclass(frozen=True)
class Asked:
    """Of which trial, under which mechanism, over how many replicates, repeated by which command."""

    record: Record
    scenario: Scenario
    mechanism: Mechanism
    replicates: int
    command: str

    @property
    def works(self) -> str:
        """The condition that the drug does what was fitted."""
        return f"if the drug works as fitted ({IN_WORDS[self.mechanism]})"

    @property
    def nothing(self) -> str:
        """What the drug does if it does nothing: a drug that moves a biomarker may still do nothing for function."""
        return "does nothing for function" if acts_on_function(self.scenario) else "does nothing"

    def answer(
        self, id: str, kind: AnswerKind, question: str, hits: FloatArray, sentence: str, short: str | None = None
    ) -> Answer:
        """The share of ``hits`` as an answer; ``{times}`` in the sentence becomes it in words."""
        share, error = proportion(hits)
        told = sentence.replace("{times}", times(share, self.replicates))
        return Answer(id, kind, question, share, error, self.replicates, told, self.command, short)


def acts_on_function(scenario: Scenario) -> bool:
    """Whether any mechanism of the scenario is about function."""
    return any(m in ON_FUNCTION for m in scenario.mechanisms)


def met(p: FloatArray, favour: FloatArray, alpha: float) -> FloatArray:
    """Significant, and in favour of the drug; a trial whose test is not estimable did not meet its endpoint."""
    with np.errstate(invalid="ignore"):
        return ((p < alpha) & (favour > 0)).astype(np.float64)


def proportion(hits: FloatArray) -> tuple[float, float]:
    """A share and its Monte Carlo error, not below that of half a hit."""
    share = float(hits.mean())
    return share, math.sqrt(max(share * (1 - share), 0.25 / len(hits)) / len(hits))


def times(share: float, replicates: int) -> str:
    """A probability as a person would say it, no finer than the number of replicates allows."""
    if replicates < 1000:
        return f"in {round(share * replicates)} of {replicates} repeats"
    if share < 0.005:
        return "almost never (fewer than 1 in 200)"
    if share > 0.995:
        return "almost always"
    error = math.sqrt(max(share * (1 - share), 0.25 / replicates) / replicates)
    return f"in {100 * share:.{share_places(share, error)}f} of 100 repeats"


def primary_answers(
    ask: Asked,
    *,
    as_it_happened: FloatArray | None,
    works: FloatArray | None,
    nothing: FloatArray | None,
    weeks: float | None,
    longer_works: FloatArray | None,
    longer_nothing: FloatArray | None,
) -> list[Answer]:
    """How often the primary endpoint is met: as it happened, in a fresh trial, and in a longer one."""
    n = ask.scenario.protocol.n
    analysis = ask.scenario.plan.analysis(ask.scenario.plan.primary.partition(".")[0])
    in_time = isinstance(analysis, TimeToEvent)
    marker = ask.scenario.package.marker.long
    length = f"followed for up to {analysis.week:g} weeks" if in_time else f"{ask.scenario.protocol.period_end:g} weeks"
    out = []
    if as_it_happened is not None:
        out.append(
            ask.answer(
                "primary_as_it_happened",
                "as it happened",
                f"How often would this trial, with the arms as unlike at baseline as they were, have met its primary "
                f"endpoint {ask.works}?",
                as_it_happened,
                f"With the imbalance of baseline {marker} that this trial happened to have, it would have met its "
                f"primary endpoint {{times}} {ask.works}.",
                "with the arms as unlike at baseline as they were, if the drug works as fitted",
            )
        )
    if works is not None:
        out.append(
            ask.answer(
                "primary_if_it_works",
                "works",
                f"How often would a trial like this meet its primary endpoint {ask.works}?",
                works,
                f"A fresh trial of the same design ({n} patients, {length}) would meet its primary endpoint "
                f"{{times}} {ask.works}.",
                ask.works,
            )
        )
    if nothing is not None:
        out.append(
            ask.answer(
                "primary_if_nothing",
                "nothing",
                f"How often would it meet its primary endpoint if the drug {ask.nothing}?",
                nothing,
                f"If the drug {ask.nothing}, the same trial would meet its primary endpoint in the drug's "
                "favour {times}.",
                f"if the drug {ask.nothing}",
            )
        )
    if weeks is not None and longer_works is not None:
        out.append(
            ask.answer(
                f"primary_{weeks:g}_weeks",
                "longer works",
                f"And if its randomised period ran {weeks:g} weeks, {ask.works}?",
                longer_works,
                f"A fresh trial of such patients, randomised for {weeks:g} weeks and with the primary analysis at the "
                f"end, would meet its endpoint {{times}} {ask.works}.",
                f"randomised for {weeks:g} weeks, if the drug works as fitted",
            )
        )
    if weeks is not None and longer_nothing is not None:
        out.append(
            ask.answer(
                f"primary_{weeks:g}_weeks_if_nothing",
                "longer nothing",
                f"And over {weeks:g} weeks if the drug {ask.nothing}?",
                longer_nothing,
                f"Over {weeks:g} weeks, a drug that {ask.nothing} would meet it in its favour {{times}}.",
                f"randomised for {weeks:g} weeks, if the drug {ask.nothing}",
            )
        )
    return out


def null_answer(ask: Asked, row: MechanismRow, target: Target) -> Answer:
    """How often a drug that does nothing would show at least what was published."""
    m = target.key
    analysis = None if m.analysis is None else ask.scenario.plan.analysis(m.analysis)
    if isinstance(analysis, Repeated) and target.scale == "difference":
        own = next((r.method for r in ask.record.results if r.id == row.result), None)
        by_marker = own is not None and ask.record.method(own).adjusts_nfl
        adjusted = f", adjusted for baseline {ask.scenario.package.marker.long}," if by_marker else ""
        what, as_large = f"difference at {ask.record.when(float(m.week or 0))}{adjusted}", "at least as large as"
        question = f"a {what} at least as large as the published one"
    else:
        known = next((r for r in ask.record.results if r.id == row.result), None)
        week = m.week if m.week is not None or known is None else known.week
        where = "" if week is None else f" at {ask.record.when(week)}"
        who = "" if target.key.set in (None, "ITT") else f" in {target.key.set}"
        label = _lower(target.quantity)
        if target.scale == "difference" or m.statistic == "difference":
            label = f"difference in {_lower(target.subject)}"
        elif target.scale == "hazard_ratio":
            label = f"hazard ratio of {_lower(target.subject)}"
        what, as_large = f"{label}{who}{where}", "at least as far in the drug's favour as"
        question = f"a {what} at least as far in its favour as the published one"
    return Answer(
        id=f"null:{row.id}",
        kind="null",
        question=f"How often would a drug that {ask.nothing} show {question}?",
        probability=row.at_least,
        mc_error=row.at_least_mc_error,
        replicates=row.replicates,
        sentence=f"If the drug {ask.nothing}, the {what} is {as_large} published "
        f"{times(row.at_least, row.replicates)}.",
        command=ask.command,
        short=question,
    )


def test_answers(ask: Asked, by_test: dict[str, FloatArray]) -> list[Answer]:
    """Which test would have called the primary end point significant, and how often two of them disagree."""
    out: list[Answer] = []
    if not by_test:
        return out
    plan = ask.scenario.plan
    grouped: dict[str, dict[str, FloatArray]] = {}
    for name, hits in by_test.items():
        key, _, test = name.partition(".")
        grouped.setdefault(key, {})[test] = hits
    for key, tests in grouped.items():
        analysis = plan.analysis(key)
        assert isinstance(analysis, TimeToEvent)
        until = f"up to {ask.record.when(analysis.week)}"
        for test, hits in tests.items():
            named = f"{TEST_NAMES[test]} {until}{_within(analysis, ask.scenario.package.covariate_words)}"
            label = f"the {named}"
            out.append(
                ask.answer(
                    f"test:{key}.{test}",
                    "test",
                    f"How often would {label} be significant in the drug's favour, {ask.works}?",
                    hits,
                    f"{label[:1].upper()}{label[1:]} would be significant in the drug's favour {{times}} {ask.works}.",
                    named,
                )
            )
    primary, _, _ = plan.primary.partition(".")
    both = grouped.get(primary, {})
    first = plan.analysis(primary)
    assert isinstance(first, TimeToEvent)
    until = f"up to {ask.record.when(first.week)}"
    for one, other in (("wilcoxon", "log_rank"), ("log_rank", "wilcoxon")):
        if one in both and other in both:
            out.append(
                ask.answer(
                    f"tests_differ:{primary}.{one}",
                    "tests differ",
                    f"How often would the {TEST_NAMES[one]} {until} be significant and the {TEST_NAMES[other]} not, "
                    f"{ask.works}?",
                    both[one] * (1.0 - both[other]),
                    f"{until[:1].upper()}{until[1:]} the {TEST_NAMES[one]} would be significant and the "
                    f"{TEST_NAMES[other]} not {{times}} {ask.works}.",
                    f"{TEST_NAMES[one]} {until} significant and the {TEST_NAMES[other]} not",
                )
            )
    for key, tests in grouped.items():
        earlier = plan.analysis(key)
        assert isinstance(earlier, TimeToEvent)
        before = f"up to {ask.record.when(earlier.week)}"
        if earlier.week < first.week and earlier.strata == first.strata and "log_rank" in tests and "log_rank" in both:
            out.append(
                ask.answer(
                    f"tests_differ:{key}.then",
                    "tests differ",
                    f"How often would the log-rank test be significant {before} and no longer {until}, {ask.works}?",
                    tests["log_rank"] * (1.0 - both["log_rank"]),
                    f"The log-rank test would be significant {before} and no longer {until} {{times}} {ask.works}.",
                    f"log-rank test significant {before} and no longer {until}",
                )
            )
    return out


def _within(analysis: TimeToEvent, names: Mapping[str, str]) -> str:
    return ", stratified by " + " and ".join(names.get(s, s) for s in analysis.strata) if analysis.strata else ""


def formal_answers(
    ask: Asked, formal: dict[str, FloatArray], published: Mapping[str, str], *, imbalanced: bool = False
) -> list[Answer]:
    """The test order carried out: after a failed step everything is nominal.

    ``published``: the set that each analysis counts in print, where a number of it was read; a rebuilt trial may count
    everyone in its place. ``imbalanced``: the arms begin as unlike as they happened to be, so that the first step is
    met as often as there, on either side taken together.
    """
    out = []
    here = ", with the arms as unlike at baseline as they were" if imbalanced else ""
    for name, hits in formal.items():
        key, _, test = name.partition(".")
        analysis = ask.scenario.plan.analysis(key)
        label = _label(analysis, published.get(key, analysis.set), test)
        out.append(
            ask.answer(
                f"formal:{name}",
                "formal",
                f"How often would the test of {label}, and every test before it in the planned order, be significant "
                f"on either side{here}?",
                hits,
                f"In the planned order of tests{here}, that of {label} would be formally significant on either side "
                "{times}; otherwise its P value is nominal.",
                label + (", arms as unlike at baseline as they were" if imbalanced else ""),
            )
        )
    return out


def _label(analysis: AnyForm | TrialByTrial, of: str, test: str) -> str:
    name = TEST_NAMES.get(test, test.replace("_", " "))
    who = "everyone randomised" if of == "ITT" else f"set {of}"
    return f"{analysis.subject} in {who} ({name})"


def _lower(text: str) -> str:
    """A label inside a sentence: its first letter small, unless the word is an abbreviation."""
    first = text.split(" ", 1)[0]
    return text if any(c.isupper() for c in first[1:]) else text[:1].lower() + text[1:]
