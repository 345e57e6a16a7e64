"""The printed summary of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.estimate.fit import aligned, p_value
from equipoise.estimate.linear.mmrm.covariance import LABELS

if TYPE_CHECKING:
    from equipoise.estimate.linear.mmrm.result import MmrmFit


def _number(value: float, digits: int = 4) -> str:
    return "NA" if np.isnan(value) else f"{value:.{digits}f}"


def render(fit: MmrmFit) -> str:
    """Formula, data, criteria, coefficients and covariance in plain text, at most 120 characters wide."""
    lines = ["Mixed model for repeated measures", "", f"Formula:     {fit.formula}"]
    groups = f", one for each {fit.term.group}" if fit.groups is not None else ""
    lines.append(f"Covariance:  {fit.structure} ({LABELS[fit.structure]}{groups}), {fit.n_parameters} parameters")
    lines.append(f"Data:        {fit.n_obs} observations, {fit.n_subjects} subjects, {len(fit.visits)} visits")
    for why, count in fit.left_out.reasons.items():
        lines.append(f"Left out:    {count} row{'s' if count > 1 else ''} {why}")
    lines.append(
        f"Method:      {'REML' if fit.reml else 'ML'}; degrees of freedom {fit.df_method}; "
        f"covariance of coefficients {fit.vcov_method}"
    )
    state = "converged" if fit.converged else "NOT CONVERGED"
    lines.append(f"Optimum:     {state} in {fit.steps} steps, largest gradient {fit.gradient_norm:.1e}")
    for structure, what in fit.attempts[:-1]:
        lines.append(f"             tried {structure} before: {what}")
    criteria = f"AIC {fit.aic:.4f}   BIC {fit.bic:.4f} (counting {fit.n_parameters} parameters)"
    lines += ["", f"Log-likelihood {fit.loglik:.4f}   {criteria}", "", "Coefficients:"]
    table = fit.linear(np.eye(len(fit.names)))
    lost = set(fit.aliased)
    rows = []
    for i, name in enumerate(fit.names):
        if name in lost:
            rows.append([name, "aliased", "", "", "", ""])
        else:
            rows.append(
                [
                    name,
                    _number(table["estimate"][i]),
                    _number(table["se"][i]),
                    _number(table["df"][i], 2),
                    _number(table["statistic"][i], 3),
                    p_value(table["p"][i]),
                ]
            )
    lines += aligned(["", "Estimate", "Std. error", "df", "t", "Pr(>|t|)"], rows)
    covariance = fit.covariance
    for label, matrix in covariance.items() if isinstance(covariance, dict) else [(None, covariance)]:
        lines += ["", "Covariance matrix:" if label is None else f"Covariance matrix, {fit.term.group} {label}:"]
        cells = [[str(v), *(_number(x) for x in row)] for v, row in zip(fit.visits, matrix, strict=True)]
        lines += aligned(["", *map(str, fit.visits)], cells)
    for message in fit.messages:
        lines += ["", f"Note: {message}"]
    return "\n".join(lines)
