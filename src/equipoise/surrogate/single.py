"""Is a marker a surrogate, as far as one trial can tell? Equations and sources in ``docs/methods/surrogacy.md``.

One trial can contradict a surrogate; it cannot validate one. The words of a result keep to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.columns import numbers, two_arms
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import NOBODY, LeftOut, Sieve
from equipoise.estimate.result import Estimate, check_level
from equipoise.surrogate.causal import CausalAssociation, causal_association
from equipoise.surrogate.endpoints import Endpoint, Measured, Regression, as_endpoint, read_endpoint, regress
from equipoise.surrogate.mediation import Mediation, mediate
from equipoise.surrogate.ratios import FIELLER, KENT, RatioSet, explained, fieller, of_correlation, ratio_se
from equipoise.types import BoolArray, FloatArray, Status

PRENTICE = "Prentice 1989, Stat Med 8:431"
FREEDMAN = "Freedman, Graubard & Schatzkin 1992, Stat Med 11:167"
BUYSE98 = "Buyse & Molenberghs 1998, Biometrics 54:1014"
ALONSO07 = "Alonso & Molenberghs 2007, Biometrics 63:180"
LIN97 = "Lin, Fleming & De Gruttola 1997, Stat Med 16:1515"

LEAST = 4.0
"""Standard errors that the effect on the true endpoint has to be away from none for a proportion explained."""


@dataclass(frozen=True)
class Criterion:
    """One of Prentice's criteria: what it says, its test, and what came of it at ``alpha``.

    The first three hold where their test rejects no effect. The fourth holds where an effect is absent, which no test
    shows: it is ``not rejected``, never passed.
    """

    number: int
    says: str
    test: Estimate
    alpha: float

    @property
    def outcome(self) -> str:
        """``shown``, ``not shown``, ``rejected``, ``not rejected`` or ``cannot be said``."""
        if not self.test.estimable:
            return "cannot be said"
        small = self.test.p < self.alpha
        if self.number == 4:
            return "rejected" if small else "not rejected"
        return "shown" if small else "not shown"

    def to_sentence(self) -> str:
        """The criterion and what came of it."""
        if not self.test.estimable:
            return f"{self.number}. {self.says}: cannot be said, {self.test.reason}."
        return f"{self.number}. {self.says}: {self.outcome} (P {p_words(self.test.p)})."


def p_words(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}"


@dataclass(frozen=True, eq=False)
class Surrogacy(Fit):
    """What one trial tells of a surrogate.

    prentice : the four criteria. proportion : explained, with the delta method's interval; fieller : its set by
    Fieller's theorem. relative : effect on the true endpoint over that on the surrogate, and its Fieller set.
    association : of surrogate and true endpoint within arms. reduction : the likelihood reduction factor. causal : the
    individual causal association, where both endpoints are measured values or both yes or no. mediation : the split
    into natural effects.
    """

    surrogate: Endpoint
    true: Endpoint
    arm: str
    arms: tuple[str, str]
    n: int
    prentice: tuple[Criterion, ...]
    proportion: Estimate
    proportion_fieller: RatioSet | None
    relative: Estimate
    relative_fieller: RatioSet | None
    association: Estimate
    reduction: Estimate
    causal: CausalAssociation | None
    mediation: Mediation | None
    alpha: float = 0.05
    level: float = 0.95
    left_out: LeftOut = NOBODY
    backend: Any = field(default=None, repr=False)
    again: Callable[..., Surrogacy] | None = field(default=None, repr=False)
    picture: ClassVar[str] = "forest"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The effects that Prentice's criteria test, then the measures, in the order of the summary."""
        tests = tuple(c.test for c in self.prentice)
        measures = (self.proportion, self.relative, self.association, self.reduction)
        return (*tests, *measures, *(self.mediation.estimates if self.mediation else ()))

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        check_level(level)
        return super().at_level(level) if self.again is None else self.again(level=level).estimates

    @property
    def paradox(self) -> bool:
        """Whether the treatment moves the surrogate one way and the true endpoint against what the surrogate foretells.

        Both effects have to be shown, and the association within arms too (Chen, Geng & Jia 2007, J R Stat Soc B
        69:919).
        """
        on_s, on_t, with_s, _ = (c.test for c in self.prentice)
        if not all(c.outcome == "shown" for c in self.prentice[:3]):
            return False
        sign = [math.log(e.estimate) if e.ratio else e.estimate for e in (on_s, on_t, self.association, with_s)]
        within = sign[2] if self.association.estimable else sign[3]
        return sign[0] * within * sign[1] < 0.0

    @property
    def verdict(self) -> str:
        """What one trial allows to be said, in a sentence."""
        one, two, three, four = (c.outcome for c in self.prentice)
        if self.paradox:
            return (
                "Contradicted: the treatment moved the surrogate one way and the true endpoint against what the "
                "surrogate "
                "foretells (the surrogate paradox)."
            )
        if four == "rejected":
            return "Contradicted: with the surrogate known, the treatment still matters for the true endpoint."
        if "cannot be said" in (one, two, three, four):
            return "Cannot be told: a criterion cannot be tested in these data."
        absent = [
            words
            for outcome, words in (
                (one, "an effect on the surrogate"),
                (two, "an effect on the true endpoint"),
                (three, "an association of the two"),
            )
            if outcome == "not shown"
        ]
        if absent:
            return (
                f"Cannot be told from this trial: {' and '.join(absent)} "
                f"{'is' if len(absent) == 1 else 'are'} not shown, so that capture has nothing to be tested on."
            )
        return (
            "Not contradicted: no criterion was rejected. One trial cannot show that a marker is a surrogate; "
            "that the fourth criterion was not rejected is no proof of it."
        )

    def _title(self) -> str:
        whose = f"Is {self.surrogate.column} a surrogate of {self.true.column}?"
        return f"{whose} One trial, {self.arms[1]} against {self.arms[0]}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "patients", str(self.n)
        yield "verdict", self.verdict

    def _drawn(self) -> tuple[Estimate, ...]:
        """The shares and the correlation, which one axis holds."""
        return tuple(
            e for e in (self.proportion, self.association, self.reduction) if e.scale in ("share", "correlation")
        )

    def _notes(self) -> Iterator[str]:
        yield from (c.to_sentence() for c in self.prentice)
        for what, found in (
            ("Proportion explained", self.proportion_fieller),
            ("Relative effect", self.relative_fieller),
        ):
            if found is not None:
                yield f"{what}, Fieller's {100 * self.level:g} % set: {found.to_sentence()}."
        if self.causal is not None:
            yield self.causal.to_sentence()
        if self.mediation is not None:
            yield from self.mediation.assumptions
            yield self.mediation.sensitivity


def surrogacy(
    data: Any,
    *,
    surrogate: Any,
    true: Any,
    arm: str = "TRT01P",
    control: Any = None,
    covariates: tuple[str, ...] | list[str] = (),
    mediation: bool = True,
    causal: bool = True,
    alpha: float = 0.05,
    least: float = LEAST,
    level: float = 0.95,
) -> Surrogacy:
    """The criteria for a surrogate in one randomised trial.

    Parameters
    ----------
    data : one row a patient; pandas, polars or pyarrow. Patients without one of the endpoints take no part, and are
        counted; see :func:`equipoise.surrogate.completed` for imputed values.
    surrogate, true : the endpoints: a column of measured values, or :class:`Value`, :class:`Binary`,
        :class:`Ordinal` or :class:`Time`. A time to an event as surrogate needs one as true endpoint; it enters the
        model of the true endpoint as whether it has happened yet. Of a marker measured over time, take a value,
        slope or area first (:func:`equipoise.surrogate.per_patient`).
    arm, control : column of the two arms, and the level compared with (default the first).
    covariates : columns of numbers, known before randomisation, of every model. mediation : also split the effect.
        causal : also tell the range of the individual causal association.
    alpha : two-sided level of Prentice's tests. least : standard errors that the effect on the true endpoint has to be
        away from none for a proportion explained.

    Returns
    -------
    Surrogacy. What cannot be estimated is there with a status and a reason.

    Raises
    ------
    DataError, EstimationError : a column is absent or of the wrong kind; there are not two arms; an option is
    impossible.

    References
    ----------
    Prentice 1989; Freedman, Graubard & Schatzkin 1992; Buyse & Molenberghs 1998; Alonso & Molenberghs 2007.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(1)
    >>> z, u, e = np.repeat([0.0, 1.0], 400), rng.normal(size=800), rng.normal(size=800)
    >>> marker = z + u  # the marker moves with treatment and with an unseen cause of the outcome; the outcome does not
    >>> frame = pl.DataFrame({"ARM": np.where(z > 0, "drug", "placebo"), "S": marker, "T": u - 0.5 * z + 0.33 * e})
    >>> found = surrogacy(frame, surrogate="S", true="T", arm="ARM", control="placebo", mediation=False)
    >>> found.paradox, found.prentice[3].outcome, round(found.proportion.estimate)
    (True, 'rejected', -2)
    """
    check_level(level)
    if not 0.0 < alpha < 1.0:
        raise EstimationError(f"alpha = {alpha!r}", hint="give a two-sided level, such as 0.05")
    s_end, t_end = as_endpoint(surrogate, "surrogate"), as_endpoint(true, "true")
    frame = read_frame(data)
    require(frame, [arm, *covariates])
    sieve = Sieve(len(frame))
    values, (low, high) = two_arms(frame, arm, control)
    sieve.need(np.array([v is not None for v in values], np.bool_), f"without {arm}")
    s, t = read_endpoint(frame, s_end, sieve), read_endpoint(frame, t_end, sieve)
    extra = np.column_stack([numbers(frame, c) for c in covariates]) if covariates else np.zeros((len(frame), 0))
    for k, name in enumerate(covariates):
        sieve.need(~np.isnan(extra[:, k]), f"without {name}")
    keep = sieve.keep
    z = np.array([v == high for v in values], np.float64)[keep]
    return of_arrays(
        s.of(keep),
        t.of(keep),
        z,
        extra[keep],
        (str(low), str(high)),
        arm,
        alpha=alpha,
        least=least,
        level=level,
        mediation=mediation,
        causal=causal,
        left_out=sieve.left_out,
        backend=frame.implementation,
    )


def of_arrays(
    s: Measured,
    t: Measured,
    z: FloatArray,
    extra: FloatArray,
    arms: tuple[str, str],
    arm: str,
    *,
    alpha: float,
    least: float,
    level: float,
    mediation: bool,
    causal: bool,
    left_out: LeftOut,
    backend: Any,
) -> Surrogacy:
    """:func:`surrogacy` of arrays (patient,): endpoints, arm as 0 and 1, covariates (patient, k)."""
    n = len(z)
    contrast = f"{arms[1]} - {arms[0]}"
    base = np.column_stack([z, extra])
    if n == 0 or z.sum() in (0, n):
        status = Status.NO_DATA if n == 0 else Status.EMPTY_ARM
        said = "nobody has both endpoints" if n == 0 else f"everyone with both endpoints is in {arms[int(z.sum() > 0)]}"
        return _nothing(s, t, arms, arm, n, status, said, alpha, level, left_out, backend)
    by_time = s.kind == "time to event"
    if by_time and t.kind != "time to event":
        raise EstimationError(
            f"{s.name!r} is a time to an event, {t.name!r} is not",
            hint="name a time to an event as true endpoint, or whether it happened by a visit as Binary surrogate",
        )
    during = (s.value, s.event if s.event is not None else np.zeros(n, np.bool_)) if by_time else None
    s_cols = np.zeros((n, 0)) if by_time else s.columns()
    one, two = regress(s, base), regress(t, base)
    three = regress(t, np.column_stack([s_cols, extra]), during)
    four = regress(t, np.column_stack([z, s_cols, extra]), during)
    k = s_cols.shape[1] + by_time  # coefficients of the surrogate
    on = len(four.beta) - 1 if by_time else 1  # where the first of them stands with the arm in the model
    alone = len(three.beta) - 1 if by_time else 0
    tests = (
        _effect(one, 0, s, f"effect on {s.name}", contrast, level),
        _effect(two, 0, t, f"effect on {t.name}", contrast, level),
        _joint(three, alone, k, t, f"{t.name} with {s.name}", level),
        _effect(four, 0, t, f"effect on {t.name} given {s.name}", contrast, level),
    )
    says = (
        f"the treatment changes {s.name}",
        f"the treatment changes {t.name}",
        f"{s.name} goes with {t.name}",
        f"given {s.name}, the treatment no longer matters for {t.name}",
    )
    prentice = tuple(Criterion(i + 1, w, e, alpha) for i, (w, e) in enumerate(zip(says, tests, strict=True)))
    proportion, p_set = _proportion(two, four, t, n, least, level)
    relative, r_set = _relative(one, two, s, t, n, level)
    whole = two.loglik, four.loglik
    reduction = _reduction(whole, k, four.information, t, s, n, level)
    association = _association(one, two, four, on, s, t, n, base.shape[1], level)
    split = mediate(s, t, z, extra, contrast, level) if mediation else None
    over = None
    if causal and s.kind == t.kind and s.kind in ("continuous", "binary"):
        over = _causal(s, t, z)
    return Surrogacy(
        s.endpoint,
        t.endpoint,
        arm,
        arms,
        n,
        prentice,
        proportion,
        p_set,
        relative,
        r_set,
        association,
        reduction,
        over,
        split,
        alpha,
        level,
        left_out,
        backend,
        partial(
            of_arrays,
            s,
            t,
            z,
            extra,
            arms,
            arm,
            alpha=alpha,
            least=least,
            mediation=mediation,
            causal=causal,
            left_out=left_out,
            backend=backend,
        ),
    )


_SCALES = {"continuous": "difference", "binary": "odds ratio", "ordinal": "odds ratio", "time to event": "hazard ratio"}
_MODELS = {
    "continuous": "least squares",
    "binary": "logistic regression",
    "ordinal": "proportional odds",
    "time to event": "Cox regression, Efron's ties",
}


def _effect(fit: Regression, at: int, outcome: Measured, name: str, contrast: str, level: float) -> Estimate:
    ratio = outcome.kind != "continuous"
    return Estimate.from_t(
        name,
        _MODELS[outcome.kind],
        float(fit.beta[at]) if len(fit.beta) > at else math.nan,
        math.sqrt(fit.vcov[at, at]) if fit.status is Status.OK else math.nan,
        fit.df,
        len(outcome.value),
        level=level,
        ratio=ratio,
        scale=_SCALES[outcome.kind],
        status=fit.status,
        detail=fit.detail,
        references=(PRENTICE,),
        term=name,
        contrast=contrast,
    )


def _joint(fit: Regression, at: int, k: int, outcome: Measured, name: str, level: float) -> Estimate:
    """The surrogate's coefficient; of several, their joint test."""
    if k == 1 or fit.status is not Status.OK:
        return _effect(fit, at, outcome, name, "", level)
    b, v = fit.beta[at : at + k], fit.vcov[at : at + k, at : at + k]
    chi = float(b @ np.linalg.solve(v, b))
    return Estimate.of_test(
        name,
        f"Wald test on {k} df, {_MODELS[outcome.kind]}",
        float(special.chdtrc(k, chi)),
        len(outcome.value),
        statistic=chi,
        df=float(k),
    )


def _refused(name: str, estimator: str, n: int, level: float, status: Status, why: str) -> Estimate:
    return Estimate.not_made(name, estimator, n, status, why, level=level, scale="share", term=name)


def _proportion(
    two: Regression, four: Regression, t: Measured, n: int, least: float, level: float
) -> tuple[Estimate, RatioSet | None]:
    """Freedman's proportion explained, ``1 - b_S / b``, its delta interval and Fieller's set."""
    name = "proportion explained"
    for fit in (two, four):
        if fit.status is not Status.OK:
            return _refused(name, "delta method", n, level, fit.status, str(fit.detail)), None
    b, given = float(two.beta[0]), float(four.beta[0])
    away = abs(b) / math.sqrt(two.vcov[0, 0])
    if away < least:
        why = (
            f"refused: the effect on {t.name} is {away:.2g} standard errors from none, and a share of it means nothing "
            f"below {least:g}"
        )
        return _refused(name, "delta method", n, level, Status.NOT_IDENTIFIED, why), None
    pair = np.column_stack([four.influence[:, 0], two.influence[:, 0]])
    cov = pair.T @ pair
    share = 1.0 - given / b
    found = fieller(given, b, cov, float(special.ndtri(0.5 + 0.5 * level)))
    made = Estimate.from_t(
        name,
        "delta method, joint covariance of both models",
        share,
        ratio_se(given, b, cov),
        math.inf,
        n,
        level=level,
        scale="share",
        references=(FREEDMAN, FIELLER, *((LIN97,) if t.kind == "time to event" else ())),
        term=name,
        detail=None if 0.0 <= share <= 1.0 else "it lies outside 0 to 1: it is no proportion of anything",
    )
    if found.kind == "inside":
        found = RatioSet("inside", 1.0 - found.high, 1.0 - found.low)
    elif found.kind == "outside":
        found = RatioSet("outside", 1.0 - found.high, 1.0 - found.low)
    return made, found


def _relative(
    one: Regression, two: Regression, s: Measured, t: Measured, n: int, level: float
) -> tuple[Estimate, RatioSet | None]:
    """Effect on the true endpoint over effect on the surrogate (log ratios of endpoints that are none of measured
    values)."""
    name = "relative effect"
    for fit in (one, two):
        if fit.status is not Status.OK:
            return _refused(name, "delta method", n, level, fit.status, str(fit.detail)), None
    a, b = float(one.beta[0]), float(two.beta[0])
    if one.residuals is not None and two.residuals is not None:  # one multivariate regression, as in R
        share = float(one.residuals @ two.residuals) / float(one.residuals @ one.residuals)
        cov = np.array([[two.vcov[0, 0], share * one.vcov[0, 0]], [share * one.vcov[0, 0], one.vcov[0, 0]]])
    else:
        pair = np.column_stack([two.influence[:, 0], one.influence[:, 0]])
        cov = pair.T @ pair
    if a == 0.0:
        return _refused(name, "delta method", n, level, Status.NOT_IDENTIFIED, f"there is no effect on {s.name}"), None
    found = fieller(b, a, cov, float(special.ndtri(0.5 + 0.5 * level)))
    made = Estimate.from_t(
        name,
        "delta method",
        b / a,
        ratio_se(b, a, cov),
        math.inf,
        n,
        level=level,
        scale="effect per effect",
        references=(BUYSE98, FIELLER),
        term=name,
        detail=None
        if found.kind == "inside"
        else (
            f"the effect on {s.name} may be none, so that the ratio has no finite interval: the delta method's "
            f"is too narrow"
        ),
    )
    return made, found


def _association(
    one: Regression, two: Regression, four: Regression, on: int, s: Measured, t: Measured, n: int, p: int, level: float
) -> Estimate:
    """Within arms: the correlation of two measured values, else the coefficient of the surrogate beside the arm."""
    name = "adjusted association"
    if s.kind == t.kind == "continuous" and one.residuals is not None and two.residuals is not None:
        r = float(np.corrcoef(one.residuals, two.residuals)[0, 1])
        return of_correlation(name, "correlation within arms, Fisher's z", r, n, level, term=name)
    if s.kind == t.kind == "continuous":
        bad = one if one.status is not Status.OK else two
        return _refused(name, "correlation within arms", n, level, bad.status, str(bad.detail))
    del p
    k = len(s.levels) - 1 if s.kind == "ordinal" else 1
    return _joint(four, on, k, t, name, level)


def _reduction(
    whole: tuple[float, float], k: int, information: int, t: Measured, s: Measured, n: int, level: float
) -> Estimate:
    """The likelihood reduction factor, ``1 - exp(-G2 / n)``; of a time to an event, n is the number of events."""
    name = "likelihood reduction factor"
    if not all(math.isfinite(v) for v in whole) or k == 0:
        return _refused(
            name, "likelihood ratio", n, level, Status.NOT_IDENTIFIED, f"{s.name} cannot be added to the model"
        )
    share, low, high, p = explained(2.0 * (whole[1] - whole[0]), k, information, level)
    return Estimate(
        name,
        f"likelihood ratio over {information} {'events' if t.kind == 'time to event' else 'patients'}",
        share,
        math.nan,
        math.nan,
        low,
        high,
        p,
        n,
        level=level,
        scale="share",
        form="inverted",
        references=(ALONSO07, KENT),
        term=name,
    )


def _causal(s: Measured, t: Measured, z: FloatArray) -> CausalAssociation | None:
    if min((z == 0).sum(), (z == 1).sum()) < 4:
        return None
    groups: list[BoolArray] = [z == 0, z == 1]
    if s.kind == "binary":
        return causal_association(
            binary=[np.bincount((2 * s.value[g] + t.value[g]).astype(int), minlength=4) for g in groups]
        )
    if any(v[g].std() == 0.0 for v in (s.value, t.value) for g in groups):
        return None
    within = [float(np.corrcoef(t.value[g], s.value[g])[0, 1]) for g in groups]
    if max(abs(r) for r in within) >= 1.0 - 1e-9:
        return None
    return causal_association(
        t0s0=within[0],
        t1s1=within[1],
        variances=tuple(float(v[g].var(ddof=1)) for v in (t.value, s.value) for g in groups),
    )


def _nothing(
    s: Measured,
    t: Measured,
    arms: tuple[str, str],
    arm: str,
    n: int,
    status: Status,
    why: str,
    alpha: float,
    level: float,
    left_out: LeftOut,
    backend: Any,
) -> Surrogacy:
    def no(name: str) -> Estimate:
        return _refused(name, "none", n, level, status, why)

    says = ("effect on the surrogate", "effect on the true endpoint", "association", "effect given the surrogate")
    prentice = tuple(Criterion(i + 1, w, no(w), alpha) for i, w in enumerate(says))
    return Surrogacy(
        s.endpoint,
        t.endpoint,
        arm,
        arms,
        n,
        prentice,
        no("proportion explained"),
        None,
        no("relative effect"),
        None,
        no("adjusted association"),
        no("likelihood reduction factor"),
        None,
        None,
        alpha,
        level,
        left_out,
        backend,
    )
