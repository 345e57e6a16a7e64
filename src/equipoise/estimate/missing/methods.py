"""How missing visits are drawn and what follows for the variance: the four methods of reference-based imputation."""

from __future__ import annotations

from dataclasses import dataclass

from equipoise.errors import EstimationError

SCHAFER = "Schafer 1997, Analysis of Incomplete Multivariate Data, section 5.4"
LITTLE_RUBIN = "Little & Rubin 2002, Statistical Analysis with Missing Data, 2nd ed., section 10.2.3"
WOLBERS = "Wolbers et al. 2022, Pharm Stat 21:1246"
VON_HIPPEL = "von Hippel & Bartlett 2021, Stat Sci 36:400"

PRIORS = ("inverse-wishart", "jeffreys")


def _at_least(value: int, least: int, what: str) -> None:
    if value < least:
        raise EstimationError(f"{what} = {value}", hint=f"give {least} or more")


def _share(threshold: float) -> None:
    if not 0.0 <= threshold < 1.0:
        raise EstimationError(f"threshold = {threshold!r}", hint="give the share of fits that may fail, such as 0.01")


@dataclass(frozen=True)
class Bayes:
    """Proper multiple imputation from the posterior of the imputation model, pooled by Rubin's rules.

    n_imputations : data sets. burn_in, thin : cycles of the Gibbs sampler before the first and between draws. prior :
    of the covariance, with that of the coefficients flat: ``inverse-wishart`` with visits + 2 degrees of freedom,
    centred at the restricted maximum-likelihood estimate (the default of R's rbmi), or ``jeffreys``.
    """

    n_imputations: int = 100
    burn_in: int = 200
    thin: int = 10
    prior: str = "inverse-wishart"

    def __post_init__(self) -> None:
        _at_least(self.n_imputations, 2, "n_imputations")
        _at_least(self.burn_in, 0, "burn_in")
        _at_least(self.thin, 1, "thin")
        if self.prior not in PRIORS:
            raise EstimationError(f"unknown prior {self.prior!r}", hint="choose one of " + ", ".join(PRIORS))

    reference = SCHAFER
    label = "Bayesian multiple imputation"


@dataclass(frozen=True)
class ApproxBayes:
    """Multiple imputation with the parameters of bootstrap samples in place of posterior draws; Rubin's rules.

    threshold : share of bootstrap samples whose fit may fail and be drawn anew.
    """

    n_imputations: int = 100
    threshold: float = 0.01

    def __post_init__(self) -> None:
        _at_least(self.n_imputations, 2, "n_imputations")
        _share(self.threshold)

    reference = LITTLE_RUBIN
    label = "approximate Bayesian multiple imputation"


@dataclass(frozen=True)
class ConditionalMean:
    """Missing visits set to their conditional mean at the (restricted) maximum-likelihood estimate; deterministic.

    resample : ``jackknife`` leaves out one patient after the other, ``bootstrap`` draws ``n_samples`` samples. interval
    : of the bootstrap, ``percentile`` or ``normal``.
    """

    resample: str = "jackknife"
    n_samples: int = 1000
    interval: str = "percentile"
    threshold: float = 0.01

    def __post_init__(self) -> None:
        if self.resample not in ("jackknife", "bootstrap"):
            raise EstimationError(f"resample = {self.resample!r}", hint="choose jackknife or bootstrap")
        if self.interval not in ("percentile", "normal"):
            raise EstimationError(f"interval {self.interval!r}", hint="choose percentile or normal")
        _at_least(self.n_samples, 2, "n_samples")
        _share(self.threshold)

    reference = WOLBERS
    label = "conditional mean imputation"


@dataclass(frozen=True)
class Bmlmi:
    """Bootstrapped maximum-likelihood multiple imputation: ``n_each`` imputations of each of ``n_samples`` bootstrap
    samples, pooled by the rule of von Hippel & Bartlett.
    """

    n_samples: int = 200
    n_each: int = 2
    threshold: float = 0.01

    def __post_init__(self) -> None:
        _at_least(self.n_samples, 2, "n_samples")
        _at_least(self.n_each, 2, "n_each")
        _share(self.threshold)

    reference = VON_HIPPEL
    label = "bootstrapped multiple imputation"


Method = Bayes | ApproxBayes | ConditionalMean | Bmlmi
