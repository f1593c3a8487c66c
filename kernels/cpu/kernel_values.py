"""The values of a convolution's kernel along an axis, for its products by interpolation.

Three numbers along an axis, g0, g1, g2, are the polynomial g0 + g1 z + g2 z^2. A product with
another polynomial follows from the values of both at a few points; here 0, 1, -1 and infinity, the
two in the middle halved:

    at 0: g0      at 1: (g0 + g1 + g2) / 2      at -1: (g0 - g1 + g2) / 2      at infinity: g2

Used by: block_convolution.py along both axes, pair_convolution.py along one.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cpu.addresses import load, store
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.memory import copy_run

POINTS = 4

# Numbers of a kernel's that are taken at a time: with both axes' values, 16 times as many, they fit
# the first-level cache.
AT_A_TIME = 256


@compiled
def values_of(g: int, tap: int, count: int, values: int, step: int, one: Any) -> None:
    """The values of `count` kernels that lie side by side.

    Args:
      g, tap: address of all g0; g1 and g2 are `tap` and 2 tap bytes from there.
      count: how many.
      values, step: address of all values at 0; those at 1, -1 and infinity follow, `step` bytes
        from one to the next.
      one: 1 in the number type.
    """
    copy_run(g, count, values, one)
    copy_run(g + tap, count, values + step, one)
    copy_run(g + 2 * tap, count, values + 3 * step, one)
    values_in_place(values, step, count, one)


@compiled
def values_in_place(g0: int, step: int, count: int, one: Any) -> None:
    """The same where g0, g1 and g2 are in the places of the values at 0, 1 and infinity."""
    g1, other, g2 = g0 + step, g0 + 2 * step, g0 + 3 * step
    half = one / (one + one)
    for i in range(count):
        ends, middle = load(g0, i, one) + load(g2, i, one), load(g1, i, one)
        store(g1, i, (ends + middle) * half)
        store(other, i, (ends - middle) * half)
