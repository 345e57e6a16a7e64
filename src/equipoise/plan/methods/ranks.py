"""Death and function in one rank: the joint rank test after imputation, and CAFS without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.estimate.result import Estimate
from equipoise.plan.compiled import Lowered
from equipoise.plan.methods import forms, mi_ancova
from equipoise.plan.methods.estimates import P, against, by_arm, counts, reasons
from equipoise.plan.methods.registry import Found, Kernel, Method, Names, Place, Test
from equipoise.plan.parts import ComparedSection
from equipoise.plan.prepared import Prepared, compared, others, together, without_records
from equipoise.plan.results import Block, Row

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis


class _RankSection(ComparedSection):
    """``time`` and ``censor`` (0 for a death) are variables of the subjects, brought by ``gather`` as a rule."""

    value: str = "CHG"
    visit: str = "AVISITN"
    time: str
    censor: str
    covariates: tuple[str, ...] = ("BASE",)
    strata: tuple[str, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)


class JointRankSection(_RankSection):
    """The joint rank test at ``week``: missing visits imputed, deaths ranked below survivors, earlier ones lower.

    ``by``: ``ancova`` on the scores, ``wilcoxon``, ``van-elteren``, ``quade`` or ``rank-ancova``. ``log``: ``value`` is
    in natural units, and the logarithm of its ratio to ``baseline`` is imputed and ranked.
    """

    ESTIMATES = "joint_rank"

    method: Literal["joint_rank"]
    week: float = Field(gt=0)
    by: Literal["ancova", "wilcoxon", "van-elteren", "quade", "rank-ancova"] = "ancova"
    impute_with: tuple[str, ...] | None = None
    rank_covariates: bool = False
    log: bool = False
    baseline: str = "BASE"
    imputations: int = Field(default=20, ge=2, le=10_000)
    burn_in: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0)


class CafsSection(_RankSection):
    """The combined assessment of function and survival up to ``week``: survival, then the last common visit."""

    ESTIMATES = "cafs"

    method: Literal["cafs"]
    week: float = Field(gt=0)


def _frames(context: Prepared, section: _RankSection, more: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The long records and the subjects' times."""
    frame = context.chosen(section.where)
    for name in (section.value, section.visit):
        context.need(frame, name, numeric=True)
    for name in (*section.covariates, *section.strata, *more, "USUBJID"):
        context.need(frame, name)
    for name in (section.time, section.censor):
        if name not in context.population.columns:
            raise DataError(
                f"analysis {context.analysis.id}: subjects have no {name}",
                hint="bring it by gather:, {DTHWK: {dataset: ADTTE, parameter: DEATH}, DTHCN: {..., variable: CNSR}}",
            )
    return frame, context.population.select("USUBJID", section.time, section.censor)


def _columns(context: Prepared, section: _RankSection) -> dict[str, Any]:
    """The columns and the level, as both estimators take them."""
    same = ("value", "visit", "time", "censor", "covariates", "strata", "level")
    arms = {"arm": context.treatment, "control": context.plan.treatment.reference}
    return {**{name: getattr(section, name) for name in same}, **arms}


def _log_ratios(context: Prepared, section: JointRankSection, frame: pl.DataFrame) -> pl.DataFrame:
    """The records, ``value`` being the logarithm of its ratio to baseline."""
    context.need(frame, section.baseline, numeric=True)
    low = frame.filter((pl.col(section.value) <= 0) | (pl.col(section.baseline) <= 0))
    if low.height:
        raise DataError(
            f"analysis {context.analysis.id}: {low['USUBJID'][0]} has a {section.value} or {section.baseline} that is "
            "not positive",
            hint="log: true needs positive numbers in natural units, value: AVAL",
        )
    return frame.with_columns((pl.col(section.value) / pl.col(section.baseline)).log().alias(section.value))


def _deaths(context: Prepared, made: Mapping[str, Any]) -> dict[Place, Estimate]:
    """Deaths by arm; those of control as the first comparison counts them."""
    control, first = context.plan.treatment.reference, next(iter(made.values()))
    deaths = {control: first.deaths[0], **{arm: m.deaths[1] for arm, m in made.items()}}
    people = {c.name: c.n or 0 for c in context.columns}
    return {Place("deaths", a): Estimate.of_count(f"deaths, {a}", n, people.get(a, 0)) for a, n in deaths.items()}


def _counts(label: str, found: Found, quantity: str) -> Row:
    """A line of counts by arm."""
    return counts(label, {a: int(e.estimate) for a, e in found.by_arm(quantity).items()})


def joint_rank(context: Prepared, section: JointRankSection) -> Found:
    """Deaths, mean scores by arm, and their difference against control."""
    from equipoise.estimate.ranks.joint_rank import joint_rank as estimate

    frame, survival = _frames(context, section, section.impute_with or ())
    if section.log:
        frame = _log_ratios(context, section, frame)
    control = context.plan.treatment.reference
    made = {
        one: together(
            context,
            frame,
            lambda data, one=one: estimate(  # type: ignore[misc]
                data,
                survival,
                at=section.week,
                **_columns(context, section),
                active=one,
                method=section.by,
                impute_with=section.impute_with,
                rank_covariates=section.rank_covariates,
                n_imputations=section.imputations,
                burn_in=section.burn_in,
                seed=section.seed,
            ),
        )
        for one in others(context)
    }
    first = next(iter(made.values()))
    numbers = _deaths(context, made)
    means = {control: first.means[0], **{arm: m.means[1] for arm, m in made.items()}}
    numbers |= {Place("mean_rank_score", arm): e for arm, e in means.items()}
    numbers |= {Place("rank_difference", arm): m.difference for arm, m in made.items()}
    return Found(numbers, frame)


def _joint_rank_lines(context: Prepared, section: JointRankSection, found: Found) -> Block:
    control, means, difference = (
        context.plan.treatment.reference,
        found.by_arm("mean_rank_score"),
        found.by_arm("rank_difference"),
    )
    estimator = next(iter(difference.values())).estimator
    percent = f"{100 * section.level:g}%"
    rows: list[Row] = [_counts(f"Deaths to week {section.week:g}", found, "deaths")]
    if any(e.estimable for e in means.values()):
        rows.append(by_arm("Mean joint rank score (SE)", means, "{estimate:1} ({se:1})"))
    rows += [
        against(context, f"Difference ({percent} CI)", difference, "{estimate:1} ({low:1}; {high:1})"),
        against(context, "p-value", difference, P),
    ]
    return Block(
        section.label or "Joint rank test",
        "joint_rank",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=(
            f"{estimator}; {f'ratio of {section.value} to {section.baseline}' if section.log else section.value} at "
            f"week {section.week:g}, deaths ranked below survivors; "
            f"covariates {', '.join(section.covariates) or 'none'}"
            + (f", strata {', '.join(section.strata)}" if section.strata else "")
            + f"; seed {section.seed}; against {control}"
        ),
        notes=(
            *((section.note,) if section.note else ()),
            *reasons(("Joint rank test", e) for e in difference.values()),
            *without_records(context, found.parts),
        ),
        details={"imputations": section.imputations, "seed": section.seed},
    )


# --- many trials ----------------------------------------------------------------------------------------------------


def imputes_like(analysis: Analysis, section: Any, asked: dict[str, Any]) -> bool:
    """Whether a section is the joint rank test at the end of what a kernel was ``asked``, on the same imputations."""
    gathered = {k: g.model_dump(exclude_defaults=True) for k, g in analysis.gather.items()}
    own = mi_ancova.asked_of(analysis, section)
    read = ("value", "log", "week", "time", "censor", "covariates", "impute_with", "imputations", "burn_in")
    return (
        forms.only(section, *read)
        and forms.plain_value(section)
        and own is not None
        and own == {k: asked[k] for k in own}
        and section.week == asked["week"]
        and gathered.get(section.time) == forms.DEATH["DTHWK"]
        and gathered.get(section.censor) == forms.DEATH["DTHCN"]
    )


def joint_rank_form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernel does of a section by itself."""
    section: Any = analysis.sections[place - 1]
    if any(other.kind == "mi_ancova" for other in analysis.sections):
        return None  # its kernel takes the test with it, where the imputations are the same
    of, asked = forms.of_outcome(analysis), mi_ancova.asked_of(analysis, section)
    if of is None or asked is None or not imputes_like(analysis, section, {**of, **asked}):
        return None
    how = {"kind": "repeated", **of, **asked, "ancova": False, "joint_rank": True}
    return forms.lowered(analysis, how, {"joint_rank": place})


def _tests(section: CafsSection) -> list[tuple[str, str, str]]:
    """The tests of a table: label, attribute of the estimator, and quantity."""
    tests = [
        ("ANCOVA on ranks", "ancova", "rank_difference"),
        ("Wilcoxon", "wilcoxon", "wilcoxon"),
        ("Finkelstein-Schoenfeld", "finkelstein_schoenfeld", "finkelstein_schoenfeld"),
    ]
    if section.strata:
        tests += [
            ("van Elteren", "van_elteren", "van_elteren"),
            ("stratified rank ANCOVA", "rank_ancova", "rank_ancova"),
        ]
    return tests


def cafs(context: Prepared, section: CafsSection) -> Found:
    """Deaths, pairs won, lost and tied, and the tests of the ranks against control."""
    from equipoise.estimate.ranks.joint_rank_cafs import cafs as estimate

    frame, survival = _frames(context, section, ())
    made = compared(
        context, frame, lambda data: estimate(data, survival, up_to=section.week, **_columns(context, section))
    )
    numbers = _deaths(context, made)
    for arm, m in made.items():
        for quantity, n in (("pairs_won", m.wins), ("pairs_lost", m.losses), ("pairs_tied", m.ties)):
            numbers[Place(quantity, arm)] = Estimate.of_count(
                f"{quantity.replace('_', ' ')}, {arm}", n, m.wins + m.losses + m.ties
            )
        numbers |= {Place(quantity, arm): getattr(m, name) for _, name, quantity in _tests(section)}
        numbers |= {Place(name, arm): getattr(m, name) for name in ("win_ratio", "win_odds", "net_benefit")}
    return Found(numbers, frame)


def _cafs_lines(context: Prepared, section: CafsSection, found: Found) -> Block:
    control = context.plan.treatment.reference
    percent = f"{100 * section.level:g}%"
    rows = [_counts(f"Deaths to week {section.week:g}", found, "deaths")]
    for label, quantity in (("Pairs won", "pairs_won"), ("Pairs lost", "pairs_lost"), ("Pairs tied", "pairs_tied")):
        rows.append(_counts(label, found, quantity))
    rows.append(
        against(
            context,
            f"Difference in mean rank ({percent} CI)",
            found.by_arm("rank_difference"),
            "{estimate:1} ({low:1}; {high:1})",
        )
    )
    named: list[tuple[str, Estimate]] = []
    for label, _, quantity in _tests(section):
        rows.append(against(context, f"p-value ({label})", found.by_arm(quantity), P))
        named += [(label, e) for e in found.by_arm(quantity).values()]
    return Block(
        section.label or "Combined assessment of function and survival",
        "cafs",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=(
            f"pairs compared on survival to week {section.week:g}, then {section.value} at the last visit of both; "
            f"covariates {', '.join(section.covariates) or 'none'}"
            + (f", strata {', '.join(section.strata)}" if section.strata else "")
            + f"; against {control}"
        ),
        notes=(*((section.note,) if section.note else ()), *reasons(named), *without_records(context, found.parts)),
    )


_NAMES = Names("mean_rank_score", "rank_difference")
_CAFS = (
    Test("rank_difference", "more"),
    Test("wilcoxon", "more", effect=False),
    Test("finkelstein_schoenfeld", "more", effect=False),
    Test("van_elteren", "more", effect=False),
    Test("rank_ancova", "more", effect=False),
    Test("win_ratio", "more"),
    Test("win_odds", "more"),
    Test("net_benefit", "more"),
)
METHODS = (
    Method(
        "joint_rank",
        JointRankSection,
        joint_rank,
        _joint_rank_lines,
        "Joint rank test",
        noted=True,
        by_line=True,
        tests=(Test("rank_difference", "more"),),
        kernel=Kernel(joint_rank_form, mi_ancova.block, lambda section: _NAMES, mi_ancova.written),
    ),
    Method(
        "cafs",
        CafsSection,
        cafs,
        _cafs_lines,
        "Combined assessment of function and survival",
        noted=True,
        by_line=True,
        tests=_CAFS,
    ),
)
