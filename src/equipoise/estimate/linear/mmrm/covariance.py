"""The covariance structures by name: kernel codes, numbers of parameters, and what each assumes."""

from __future__ import annotations

from equipoise.estimate.linear.kernels import mmrm_covariance as kernel

CODES: dict[str, int | None] = {
    "us": kernel.US,
    "cs": kernel.CS,
    "csh": kernel.CSH,
    "ar1": kernel.AR1,
    "ar1h": kernel.AR1H,
    "toep": kernel.TOEP,
    "toeph": kernel.TOEPH,
    "ad": kernel.AD,
    "adh": kernel.ADH,
    "sp_exp": kernel.SP_EXP,
    "slope": kernel.SLOPE,
    "intercept": kernel.INTERCEPT,
}

LABELS: dict[str, str] = {
    "us": "unstructured",
    "cs": "compound symmetry",
    "csh": "heterogeneous compound symmetry",
    "ar1": "first-order autoregressive",
    "ar1h": "heterogeneous first-order autoregressive",
    "toep": "Toeplitz",
    "toeph": "heterogeneous Toeplitz",
    "ad": "ante-dependence",
    "adh": "heterogeneous ante-dependence",
    "sp_exp": "spatial exponential",
    "slope": "random intercept and slope",
    "intercept": "random intercept",
}

#: Structures that depend on the order of the visits.
ORDERED = frozenset({"ar1", "ar1h", "toep", "toeph", "ad", "adh"})


def n_covariance_parameters(structure: str, visits: int) -> int:
    """Covariance parameters of one group with ``visits`` visits."""
    return int(kernel.n_parameters(CODES[structure], visits))
