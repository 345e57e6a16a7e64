"""Permuted blocks: the next arm of a stratum, inside the kernel of any disease."""

from __future__ import annotations

from equipoise.numerics.compiler import inner
from equipoise.numerics.random import uniform


@inner
def allocate(s, stratum, block, left):
    """Next arm of a stratum by permuted blocks; ``left`` (stratum, arm) holds what remains of the open block."""
    total = 0
    for a in range(block.shape[0]):
        total += left[stratum, a]
    if total == 0:
        for a in range(block.shape[0]):
            left[stratum, a] = block[a]
            total += block[a]
    u = uniform(s) * total
    a = 0
    while a < block.shape[0] - 1 and u >= left[stratum, a]:
        u -= left[stratum, a]
        a += 1
    left[stratum, a] -= 1
    return a
