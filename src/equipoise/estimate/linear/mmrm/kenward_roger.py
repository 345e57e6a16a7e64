"""Kenward-Roger: the adjusted covariance and the F statistic with its scale and denominator df.

Kenward & Roger 1997, Biometrics 53:983-997. With Theta = L' (L Phi L')^-1 L and P_t = -X' V^-1 (dV/dtheta_t) V^-1 X,

    A1 = sum_tu W_tu tr(Theta Phi P_t Phi) tr(Theta Phi P_u Phi),
    A2 = sum_tu W_tu tr(Theta Phi P_t Phi Theta Phi P_u Phi),

the rest as in section 3 of the paper. One contrast gets the Satterthwaite df and scale 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtrc

from equipoise.estimate.linear.kernels.mmrm_design import form
from equipoise.estimate.linear.kernels.mmrm_inference import adjusted_covariance
from equipoise.estimate.linear.kernels.mmrm_times import adjusted_times
from equipoise.estimate.linear.mmrm.covariance import CODES
from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.estimate.linear.mmrm.engine import Fitted


def adjust(fitted: Fitted, w: FloatArray, second: bool) -> FloatArray | None:
    """Phi_A (p, p); ``second`` includes the second-derivative term. None where W is not positive definite."""
    p = len(fitted.beta)
    out = np.empty((p, p))
    own = fitted.own_times
    if own is not None:
        ok = adjusted_times(
            CODES[fitted.structure],
            fitted.theta,
            own.x,
            own.times,
            own.first,
            fitted.linv,
            fitted.packed,
            w,
            second,
            out,
        )
        return 0.5 * (out + out.T) if ok else None
    ok = adjusted_covariance(
        fitted.data,
        form(fitted.data),
        CODES[fitted.structure],
        fitted.theta,
        fitted.coords,
        fitted.n_groups,
        fitted.sigma,
        fitted.inverse,
        fitted.linv,
        fitted.packed,
        w,
        True if second else None,
        out,
    )
    return 0.5 * (out + out.T) if ok else None


def unpack(packed: FloatArray, p: int) -> FloatArray:
    """(t, p, p) symmetric matrices from the packed derivatives (p (p + 1) / 2, t)."""
    rows, cols = np.tril_indices(p)
    out = np.empty((packed.shape[1], p, p))
    values = packed.T * np.where(rows == cols, 1.0, 1.0 / np.sqrt(2.0))
    out[:, rows, cols] = values
    out[:, cols, rows] = values
    return out


def joint_test(
    contrasts: FloatArray, beta: FloatArray, adjusted: FloatArray, linv: FloatArray, packed: FloatArray, w: FloatArray
) -> tuple[float, float, float, float]:
    """(numerator df, denominator df, scaled F, p) of all rows of ``contrasts`` (row, p) being zero."""
    # rows of full rank, in the frame where Phi is the identity
    rotated = contrasts @ linv.T
    u, s, vt = np.linalg.svd(rotated, full_matrices=False)
    keep = s > 1e-10 * s.max()
    q = int(keep.sum())
    basis = vt[keep]
    rows = (u[:, keep] / s[keep]).T @ contrasts
    effect = rows @ beta
    middle = rows @ adjusted @ rows.T
    f = float(effect @ np.linalg.solve(middle, effect)) / q
    matrices = basis @ unpack(packed, len(beta)) @ basis.T
    traces = np.einsum("tii->t", matrices)
    a1 = float(traces @ w @ traces)
    flat = matrices.reshape(len(matrices), -1)
    a2 = float(np.sum(w * (flat @ flat.T)))
    b = (a1 + 6.0 * a2) / (2.0 * q)
    if q == 1:
        scale, den = 1.0, 2.0 / a1
    else:
        g = ((q + 1.0) * a1 - (q + 4.0) * a2) / ((q + 2.0) * a2)
        denominator = 3.0 * q + 2.0 * (1.0 - g)
        c1, c2, c3 = g / denominator, (q - g) / denominator, (q + 2.0 - g) / denominator
        e = 1.0 / (1.0 - a2 / q)
        v = 2.0 / q * (1.0 + c1 * b) / ((1.0 - c2 * b) ** 2 * (1.0 - c3 * b))
        rho = v / (2.0 * e * e)
        den = 4.0 + (q + 2.0) / (q * rho - 1.0)
        scale = den / (e * (den - 2.0))
    f *= scale
    return float(q), float(den), f, float(fdtrc(q, den, f))
