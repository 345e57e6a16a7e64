"""Counter-based random numbers: Philox4x64-10 and the draws built on it.

A stream is named by ``(seed, replicate, purpose, unit)`` and by nothing else, so what a patient or an imputation
draws does not depend on the batch, the number of threads or the order of work.

Philox: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 4. The output
equals that of ``numpy.random.Philox`` for the same key and counter. Normal draws invert the distribution function
(Wichura 1988, algorithm AS 241, PPND16), one uniform each, so that common random numbers stay common when a
parameter moves. Gamma draws: Marsaglia & Tsang 2000.

A stream is a ``uint64[11]``: counter (4), key (2), buffer (4), number of buffered words left (1).
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from equipoise.numerics.compiler import inlined, kernel

STREAM_WORDS = 11

# Purposes: one number per use, so that two uses never share a stream.
PATIENT = 1  # unit = subject
ALLOCATION = 2  # unit = stratum
IMPUTATION = 3  # unit = analysis
RESAMPLE = 4
ADVERSE_EVENT = 5
EXTRA = 6  # unit = subject: what only some trials draw (a run-in, hospital, follow-up)

_M0 = np.uint64(0xD2E7470EE14C6C93)
_M1 = np.uint64(0xCA5A826395121157)
_W0 = np.uint64(0x9E3779B97F4A7C15)
_W1 = np.uint64(0xBB67AE8584CAA73B)
_11 = np.uint64(11)
_ONE = np.uint64(1)
_FOUR = np.uint64(4)
_TEN = np.uint64(10)


@intrinsic
def _mulhi(_context, a, b):
    """High 64 bits of a 64 x 64 bit product: one instruction of the processor."""

    def generate(_, builder, signature, args):
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@kernel
def open_stream(seed, replicate, purpose, unit):
    """The stream of ``(seed, replicate, purpose, unit)``, at its start. All four are non-negative integers."""
    s = np.zeros(STREAM_WORDS, np.uint64)
    restart_stream(s, seed, replicate, purpose, unit)
    return s


@kernel
def restart_stream(s, seed, replicate, purpose, unit):
    """Set an existing stream to the start of ``(seed, replicate, purpose, unit)``."""
    s[0] = np.uint64(0)
    s[1] = np.uint64(0)
    s[2] = np.uint64(unit)
    s[3] = np.uint64(replicate)
    s[4] = np.uint64(seed)
    s[5] = np.uint64(purpose)
    s[10] = np.uint64(0)


@inlined
def next_word(s):
    """The next 64 random bits: from the buffer, which a new block of four fills when it is empty.

    The block is made here and not in a function of its own: a call that passes ``s`` on costs more than the draw.
    """
    left = s[10]
    if left == 0:
        s[0] += _ONE
        if s[0] == 0:
            s[1] += _ONE
        c0, c1, c2, c3 = s[0], s[1], s[2], s[3]
        k0, k1 = s[4], s[5]
        for _ in range(10):
            hi0 = _mulhi(_M0, c0)
            lo0 = _M0 * c0
            hi1 = _mulhi(_M1, c2)
            lo1 = _M1 * c2
            c0 = hi1 ^ c1 ^ k0
            c1 = lo1
            c2 = hi0 ^ c3 ^ k1
            c3 = lo0
            k0 += _W0
            k1 += _W1
        s[6], s[7], s[8], s[9] = c0, c1, c2, c3
        left = _FOUR
    s[10] = left - _ONE
    return s[_TEN - left]


@kernel
def uniform(s):
    """Uniform on the open interval (0, 1), 53 bits."""
    return (np.float64(next_word(s) >> _11) + 0.5) * (1.0 / 9007199254740992.0)


@kernel
def normal_quantile(p):
    """Standard normal quantile of ``p`` in (0, 1), relative accuracy about 1e-16 (AS 241, PPND16)."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        num = (
            (
                (
                    (
                        ((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r
                        + 4.5921953931549871457e4
                    )
                    * r
                    + 1.3731693765509461125e4
                )
                * r
                + 1.9715909503065514427e3
            )
            * r
            + 1.3314166789178437745e2
        ) * r + 3.3871328727963666080e0
        den = (
            (
                (
                    (
                        ((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4) * r
                        + 2.1213794301586595867e4
                    )
                    * r
                    + 5.3941960214247511077e3
                )
                * r
                + 6.8718700749205790830e2
            )
            * r
            + 4.2313330701600911252e1
        ) * r + 1.0
        return q * num / den
    r = p if q < 0.0 else 1.0 - p
    r = math.sqrt(-math.log(r))
    if r <= 5.0:
        r -= 1.6
        num = (
            (
                (
                    (
                        ((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1)
                        * r
                        + 1.27045825245236838258e0
                    )
                    * r
                    + 3.64784832476320460504e0
                )
                * r
                + 5.76949722146069140550e0
            )
            * r
            + 4.63033784615654529590e0
        ) * r + 1.42343711074968357734e0
        den = (
            (
                (
                    (
                        ((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2)
                        * r
                        + 1.48103976427480074590e-1
                    )
                    * r
                    + 6.89767334985100004550e-1
                )
                * r
                + 1.67638483018380384940e0
            )
            * r
            + 2.05319162663775882187e0
        ) * r + 1.0
    else:
        r -= 5.0
        num = (
            (
                (
                    (
                        ((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3)
                        * r
                        + 2.65321895265761230930e-2
                    )
                    * r
                    + 2.96560571828504891230e-1
                )
                * r
                + 1.78482653991729133580e0
            )
            * r
            + 5.46378491116411436990e0
        ) * r + 6.65790464350110377720e0
        den = (
            (
                (
                    (
                        ((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5)
                        * r
                        + 7.86869131145613259100e-4
                    )
                    * r
                    + 1.48753612908506148525e-2
                )
                * r
                + 1.36929880922735805310e-1
            )
            * r
            + 5.99832206555887937690e-1
        ) * r + 1.0
    x = num / den
    return -x if q < 0.0 else x


@kernel
def normal(s):
    """Standard normal draw."""
    return normal_quantile(uniform(s))


@kernel
def exponential(s):
    """Standard exponential draw."""
    return -math.log(uniform(s))


@kernel
def gamma(s, shape):
    """Gamma draw with scale 1; ``shape`` > 0."""
    if shape < 1.0:
        return gamma(s, shape + 1.0) * uniform(s) ** (1.0 / shape)
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(s)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = uniform(s)
        if math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v


@kernel
def chi_square(s, df):
    """Chi-square draw on ``df`` > 0 degrees of freedom."""
    return 2.0 * gamma(s, 0.5 * df)
