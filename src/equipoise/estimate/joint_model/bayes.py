"""The disease rate ratio with a prior: its posterior by the No-U-Turn sampler of numpyro.

The likelihood is that of :mod:`equipoise.estimate.joint_model.rate_ratio`, in which the random effects are integrated
out in closed form. The logarithm of the ratio has a normal prior with mean 0; all other parameters have flat ones, as
the model is written (logarithms of standard deviations and of hazards). The sampler (Hoffman & Gelman 2014, JMLR
15:1593) works on parameters scaled by the maximum and its covariance, so that it has hardly anything to adapt to. This
is the idea of the HEALEY platform trial's analysis (Quintana et al. 2023, Ann Neurol 94:547) for one regimen; its
sharing of controls between regimens is not here.

numpyro and jax are the extra ``bayes``; nothing else of Equipoise needs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import EstimationError, needed
from equipoise.estimate.fit import Fit
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.estimate.joint_model.rate_ratio import RateRatioFit, RatioLikelihood


@dataclass(eq=False)
class RatePosterior(Fit):
    """Draws of the logarithm of a disease rate ratio from its posterior.

    log_ratio (chain, draw); prior_sd of the logarithm; rhat and ess, the split R-hat and the effective number of draws;
    divergences, the draws whose path was lost.
    """

    log_ratio: FloatArray = field(repr=False)
    prior_sd: float
    rhat: float
    ess: float
    divergences: int
    arms: tuple[str, str]
    n: int
    level: float = 0.95
    backend: Any = field(default=None, repr=False)

    def probability_below(self, ratio: float = 1.0) -> float:
        """The posterior probability that the ratio is below ``ratio``."""
        return float((self.log_ratio < math.log(ratio)).mean())

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The posterior median, with the interval between quantiles."""
        draws = self.log_ratio.ravel()
        low, middle, high = np.quantile(draws, [0.5 - 0.5 * self.level, 0.5, 0.5 + 0.5 * self.level])
        made = Estimate.from_t(
            f"disease rate ratio, {self.arms[1]} / {self.arms[0]}",
            "shared disease rate ratio, posterior median",
            float(middle),
            float(draws.std(ddof=1)),
            math.inf,
            self.n,
            level=self.level,
            ratio=True,
            scale="disease rate ratio",
        )
        return (replace(made, low=math.exp(low), high=math.exp(high), p=math.nan, statistic=math.nan),)

    def _title(self) -> str:
        return "Disease rate ratio, posterior"

    def _facts(self) -> Iterable[tuple[str, str]]:
        chains, draws = self.log_ratio.shape
        yield "prior of the logarithm", f"normal, mean 0, SD {self.prior_sd:g}"
        yield "draws", f"{chains} chains of {draws}, {self.ess:.0f} effective, R-hat {self.rhat:.3f}"
        yield "divergences", str(self.divergences)
        yield "probability of a ratio below 1", f"{self.probability_below():.4f}"

    def _notes(self) -> Iterable[str]:
        if not (self.rhat < 1.01 and self.ess > 400.0 and self.divergences == 0):
            yield "The chains have not mixed well: take more draws, and do not trust the tails."


def sampler_packages() -> tuple[Any, Any]:
    """jax and numpyro; raises :class:`EstimationError` with the command that installs them."""
    besides = "disease_rate_ratio itself is the likelihood form and needs nothing"
    jax, numpyro = (
        needed("bayes", "the Bayesian form", module, error=EstimationError, besides=besides)
        for module in ("jax", "numpyro")
    )
    jax.config.update("jax_enable_x64", True)
    return jax, numpyro


def log_likelihood(model: RatioLikelihood, jax: Any) -> Callable[[Any], Any]:
    """The log-likelihood of all parameters but the last, as a function that jax can differentiate."""
    jnp = jax.numpy
    lay, sums = model.layout, model.plain
    d, real = lay.d, model.sign > 0.0
    if not real.all():
        raise EstimationError("late entry in the Bayesian form", hint="use the likelihood form")
    own = {k: jnp.asarray(getattr(sums, k)) for k in ("n", "yy", "xy", "zy", "xx", "zx", "zz")}
    active, by_time, z_by_time = (jnp.asarray(v) for v in (model.active, model.by_time, model.z_by_time))
    risk_g, risk_w = jnp.asarray(model.risk.g), jnp.asarray(model.risk.weight)
    seen = jnp.asarray(model.events.g.sum(axis=0))
    rows, columns = lay.lower

    def value(theta: Any) -> Any:
        ratio = jnp.exp(theta[lay.gammas.start] * active)
        sx = jnp.where(by_time, ratio[:, None], 1.0)
        sz = jnp.where(z_by_time, ratio[:, None], 1.0)
        beta, log_sigma = theta[lay.beta(0)], theta[lay.log_sigma(0)]
        s2 = jnp.exp(2.0 * log_sigma)
        scaled = sx * beta
        zr = sz * (own["zy"] - jnp.einsum("ndp,np->nd", own["zx"], scaled))
        rr = own["yy"] - 2.0 * (own["xy"] * scaled).sum(axis=1)
        rr = rr + jnp.einsum("npq,np,nq->n", own["xx"], scaled, scaled)
        low = jnp.zeros((d, d)).at[rows, columns].set(theta[lay.covariance])
        on = jnp.arange(d)
        logs = low[on, on]
        low = low.at[on, on].set(jnp.exp(logs))
        inverse = jax.scipy.linalg.solve_triangular(low, jnp.eye(d), lower=True)
        a = own["zz"] * sz[:, :, None] * sz[:, None, :] / s2 + inverse.T @ inverse
        root = jnp.linalg.cholesky(a)
        half = jax.scipy.linalg.solve_triangular(root, (zr / s2)[:, :, None], lower=True)[:, :, 0]
        by_patient = -0.5 * (own["n"] * (jnp.log(2.0 * jnp.pi) + 2.0 * log_sigma) + rr / s2) - logs.sum()
        by_patient = by_patient + 0.5 * (half**2).sum(axis=1)
        by_patient = by_patient - jnp.log(jnp.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
        phi = jnp.concatenate([theta[lay.gammas], theta[lay.psis]])
        return by_patient.sum() + seen @ phi - jnp.exp(risk_g @ phi + risk_w).sum()

    return value


def posterior(
    fit: RateRatioFit, *, prior_sd: float, draws: int, warmup: int, chains: int, seed: int, level: float
) -> RatePosterior:
    """See :meth:`equipoise.estimate.joint_model.rate_ratio.RateRatioFit.posterior`."""
    if not fit.converged:
        raise EstimationError(f"there is nothing to begin from: {fit.reason}", hint="see fit.status")
    if not 0.0 < prior_sd < math.inf:
        raise EstimationError(f"prior_sd {prior_sd!r}", hint="give the standard deviation of log ratio, such as 1")
    jax, numpyro = sampler_packages()
    free = fit.optimum.free
    centre = jax.numpy.asarray(fit.theta[free])
    root = jax.numpy.asarray(np.linalg.cholesky(fit.vcov[np.ix_(free, free)]))
    value = log_likelihood(fit.likelihood, jax)
    place = fit.likelihood.layout.gammas.start

    def model() -> None:
        flat = numpyro.distributions.ImproperUniform(numpyro.distributions.constraints.real, (), (int(free.sum()),))
        z = numpyro.sample("z", flat)
        theta = centre + root @ z
        numpyro.factor("likelihood", value(theta))
        ratio = numpyro.deterministic("log_ratio", theta[place])
        numpyro.factor("prior", -0.5 * (ratio / prior_sd) ** 2)

    kernel = numpyro.infer.NUTS(model, init_strategy=numpyro.infer.init_to_value(values={"z": 0.0 * centre}))
    sampler = numpyro.infer.MCMC(
        kernel, num_warmup=warmup, num_samples=draws, num_chains=chains, chain_method="sequential", progress_bar=False
    )
    sampler.run(jax.random.PRNGKey(seed), extra_fields=("diverging",))
    found = np.asarray(sampler.get_samples(group_by_chain=True)["log_ratio"], np.float64)
    told = numpyro.diagnostics
    return RatePosterior(
        found,
        prior_sd,
        float(told.split_gelman_rubin(found)),
        float(told.effective_sample_size(found)),
        int(np.asarray(sampler.get_extra_fields()["diverging"]).sum()),
        fit.arms,
        fit.n,
        level,
        fit.backend,
    )
