"""Small dense linear algebra on preallocated arrays, for use inside kernels.

Explicit loops: at these sizes (a few to a few tens) they beat BLAS calls, and they release the GIL.
"""

from __future__ import annotations

import math

from numba import njit

_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}


@njit(**_OPTIONS)
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
        for i in range(j + 1, n):
            t = a[i, j]
            for k in range(j):
                t -= out[i, k] * out[j, k]
            out[i, j] = t / root
    return True


@njit(**_OPTIONS)
def solve_lower(chol, n, b):
    """Solve ``L x = b`` in place for a lower triangular ``L``."""
    for i in range(n):
        t = b[i]
        for k in range(i):
            t -= chol[i, k] * b[k]
        b[i] = t / chol[i, i]


@njit(**_OPTIONS)
def solve_lower_transposed(chol, n, b):
    """Solve ``L' x = b`` in place for a lower triangular ``L``."""
    for i in range(n - 1, -1, -1):
        t = b[i]
        for k in range(i + 1, n):
            t -= chol[k, i] * b[k]
        b[i] = t / chol[i, i]


@njit(**_OPTIONS)
def solve_cholesky(chol, n, b):
    """Solve ``L L' x = b`` in place."""
    solve_lower(chol, n, b)
    solve_lower_transposed(chol, n, b)
