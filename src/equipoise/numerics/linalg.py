"""Small dense linear algebra on preallocated arrays, for use inside kernels.

Explicit loops: at these sizes (a few to a few tens) they beat BLAS calls, and they release the GIL.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel

#: A spread below this share of the size of the numbers that were subtracted to get it is rounding, not variance.
ROUNDING = 1e-11


@kernel
def is_rounding(squares, n, scale):
    """Whether a sum of ``n`` squared residuals is no more than the rounding of numbers of size ``scale``.

    The one test of every linear estimator for "no residual variance is left". Subtracting numbers of size s leaves
    errors of about 1e-16 s, which solving for coefficients inflates by the condition of the design (columns are kept
    down to 1e-7 of their length); no measurement has eleven digits. Scalars or arrays, elementwise; NaN is not
    rounding.
    """
    return squares <= n * (ROUNDING * scale) * (ROUNDING * scale)


@kernel
def is_cancelled(squares, total):
    """:func:`is_rounding` for residual squares found as a small difference of sums of squares as large as ``total``,
    which keeps half the digits.
    """
    return squares <= 1e-12 * total


@kernel
def cholesky(a, n, out):
    """Lower Cholesky factor of the leading ``n x n`` block of ``a`` into ``out``; False if not positive definite.

    A pivot below 1e-12 of its diagonal entry counts as singular.
    """
    for j in range(n):
        d = a[j, j]
        for k in range(j):
            d -= out[j, k] * out[j, k]
        if not d > 1e-12 * a[j, j] or not a[j, j] > 0.0:
            return False
        root = math.sqrt(d)
        out[j, j] = root
        whole = n - (n - j - 1) % 4
        for i in range(j + 1, whole, 4):  # four rows at a time: one sum waits for itself, four run side by side
            t0, t1, t2, t3 = a[i, j], a[i + 1, j], a[i + 2, j], a[i + 3, j]
            for k in range(j):
                v = out[j, k]
                t0 -= out[i, k] * v
                t1 -= out[i + 1, k] * v
                t2 -= out[i + 2, k] * v
                t3 -= out[i + 3, k] * v
            out[i, j] = t0 / root
            out[i + 1, j] = t1 / root
            out[i + 2, j] = t2 / root
            out[i + 3, j] = t3 / root
        for i in range(whole, n):
            t = a[i, j]
            for k in range(j):
                t -= out[i, k] * out[j, k]
            out[i, j] = t / root
    return True


@inner
def solve_lower(chol, n, b):
    """Solve ``L x = b`` in place for a lower triangular ``L``."""
    for i in range(n):
        t = b[i]
        for k in range(i):
            t -= chol[i, k] * b[k]
        b[i] = t / chol[i, i]


@inner
def solve_lower_transposed(chol, n, b):
    """Solve ``L' x = b`` in place for a lower triangular ``L``."""
    for i in range(n - 1, -1, -1):
        t = b[i]
        for k in range(i + 1, n):
            t -= chol[k, i] * b[k]
        b[i] = t / chol[i, i]


@inner
def solve_cholesky(chol, n, b):
    """Solve ``L L' x = b`` in place."""
    solve_lower(chol, n, b)
    solve_lower_transposed(chol, n, b)


@inner
def newton_step(curvature, gradient, n, chol, step):
    """``step`` = curvature^-1 gradient, leading ``n``, from the lower triangle, whose factor comes into ``chol``.

    Returns the decrement, gradient' step; NaN where the curvature is not positive definite.
    """
    if not cholesky(curvature, n, chol):
        return np.nan
    for r in range(n):
        step[r] = gradient[r]
    solve_cholesky(chol, n, step)
    decrement = 0.0
    for r in range(n):
        decrement += step[r] * gradient[r]
    return decrement
