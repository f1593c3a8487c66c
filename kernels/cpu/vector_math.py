"""exp and what Glow's couplings make of it, as plain arithmetic that the compiler vectorizes.

The C library's exp and log1p are calls that take one number at a time; a loop with a call in it is
not vectorized. Here exp is multiplications and additions, most of them fused, and the logarithms of
a whole run of numbers are taken by one call. All of it is float64.

Source: Cody & Waite 1980, "Software Manual for the Elementary Functions", for the reduction; Muller
2016, "Elementary Functions", for the polynomial and the errors.
"""

from __future__ import annotations

import math

import numpy as np

from refglow.kernels.cpu.addresses import Number, load, size_of, store
from refglow.kernels.cpu.compiled import compiled, inlined
from refglow.kernels.cpu.fused import fma

# Sums and products run in so many lanes side by side, each in the order of its elements, and the
# lanes are joined in a fixed order: the compiler may put them into vectors of any width.
LANES = 32

# Below the first exp is 0, above the second infinite, in float64.
_UNDERFLOW, _OVERFLOW = -746.0, 710.0

# ln 2 = HIGH + LOW. HIGH has 41 bits, so that its product with an integer below 2^12 is exact.
_LOG2_E = 1.4426950408889634
_LN_2_HIGH, _LN_2_LOW = 0.693147180559663, 2.8235290563031577e-13

# Adding it to |a| < 2^51 rounds a to an integer, which then is in the last bits of the sum.
_ROUNDER = 1.5 * 2.0**52

# The polynomial of degree 9 that interpolates (e^r - 1 - r - r^2 / 2) / r^3 at Chebyshev's points
# of |r| <= ln 2 / 2; e^r is then right to 4e-19 of its value before rounding.
EXP_COEFFICIENTS = (0.16666666666666669, 0.041666666666666664, 0.008333333333330062,
                    0.0013888888888886552, 0.00019841269863053618, 2.4801587317144498e-05,
                    2.7557268459997064e-06, 2.755728296954995e-07, 2.510038549551032e-08,
                    2.0911236630261545e-09)
_C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12 = EXP_COEFFICIENTS

# Below it exp is nothing in float32, also times the largest number, but still normal in float64.
_NOTHING = -700.0

# So many factors of at most 2 have a product that does not overflow.
MOST_FACTORS = 16 * LANES


# e^x = 2^n e^r with n = round(x / ln 2) and r = x - n ln 2, |r| <= ln 2 / 2.
#
# r is formed in two steps, x - n HIGH exactly, then - n LOW. e^r = 1 + (r + r^2 (1/2 + r q(r)))
# adds the small terms first, so the error is that of the last addition and little more. 2^n is
# built from its exponent's bits, as two factors: for n = 1024, or where the result is subnormal,
# one would not exist. The bounds keep n in range; comparisons with NaN are false, so NaN passes.


@inlined
def exp(x: float) -> float:
    """e^x for float64 x, to 1 unit in the last place; inf, 0 and NaN as the C library's."""
    lower = _UNDERFLOW if x < _UNDERFLOW else x
    bounded = _OVERFLOW if lower > _OVERFLOW else lower
    shifted = fma(bounded, _LOG2_E, _ROUNDER)
    power = _exp_of_remainder(bounded, shifted - _ROUNDER)
    bits = np.float64(shifted).view(np.int64)
    exponent = bits - np.float64(_ROUNDER).view(np.int64)
    half = exponent >> 1
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((exponent - half + 1023) << 52).view(np.float64)
    return power * first * second


@inlined
def _exp_of_remainder(x: float, n: float) -> float:
    """e^r, r = x - n ln 2."""
    r = fma(-n, _LN_2_LOW, fma(-n, _LN_2_HIGH, x))
    r2 = r * r
    r4 = r2 * r2
    low = fma(r2, fma(_C6, r, _C5), fma(_C4, r, _C3))
    high = fma(r2, fma(_C10, r, _C9), fma(_C8, r, _C7))
    q = fma(r4, fma(r4, fma(_C12, r, _C11), high), low)
    power: float = 1.0 + fma(r2, fma(r, q, 0.5), r)
    return power


@inlined
def decay(x: float, one: Number) -> float:
    """e = exp(-|x|), from which sigmoid(x), sigmoid(-x) and log sigmoid(x) all follow.

    With e <= 1 neither overflows nor subtracts:

        sigmoid(x) = 1 / (1 + e) for x >= 0, e / (1 + e) for x < 0
        log sigmoid(x) = min(x, 0) - log1p(e)

    Args:
      x: float64; for float32 results, the sum of a float32 and a constant.
      one: 1 in the number type of the results. For float32 what is below e^-700 is taken for that:
        times any float32 it is nothing in float32, and its log1p nothing beside x.
    """
    negative = -abs(x)
    if size_of(one) == 4:
        # One factor 2^n does, added to the exponent's bits: the last bits of the sum are n. (A NaN
        # made of a float32 has zeros there, and stays NaN.)
        bounded = _NOTHING if negative < _NOTHING else negative
        shifted = fma(bounded, _LOG2_E, _ROUNDER)
        power = _exp_of_remainder(bounded, shifted - _ROUNDER)
        bits = np.float64(power).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)
        return np.int64(bits).view(np.float64)
    return exp(negative)


@inlined
def sigmoid_numerator(x: float, e: float) -> float:
    """What sigmoid(x) is over 1 + e, for e = decay(x)."""
    return e if x < 0 else 1.0


@inlined
def below_zero(x: float) -> float:
    """min(x, 0); NaN for NaN."""
    return 0.0 if x > 0 else x


# sum_i log1p(e_i) = log1p(u) with 1 + u = prod_i (1 + e_i): one logarithm for all. u, not 1 + u,
# is what is kept, by
#     1 + u' = (1 + u) (1 + e)     so    u' = u + e + u e
# As no term is negative, every step adds at most two roundings to u's relative error, and log1p
# passes on a relative error of u at most as large: (u / (1 + u)) / log1p(u) <= 1. With LANES
# products of 16 factors, joined pairwise, that is (16 + 5) * 2 roundings at most.


@inlined
def joined(u: float, e: float) -> float:
    """(1 + u) (1 + e) - 1."""
    product: float = u + fma(u, e, e)
    return product


@compiled
def log_sigmoid_sum(x: int, offset: float, e: int, count: int, lanes: int, one: Number) -> float:
    """sum of log sigmoid(x[i] + offset) = min(x[i] + offset, 0) - log1p(e[i]), in nats.

    Args:
      x: address of `count` numbers, a multiple of LANES.
      offset: see above.
      e: address of decay(x[i] + offset), float64.
      count: how many.
      lanes: address of 2 * LANES float64 numbers, which are overwritten.
      one: 1 in the number type of x.
    """
    total, product = 0.0, lanes + LANES * 8
    for lane in range(LANES):
        store(lanes, lane, 0.0)
    for start in range(0, count, MOST_FACTORS):
        for lane in range(LANES):
            store(product, lane, 0.0)
        for row in range(start, min(start + MOST_FACTORS, count), LANES):
            for lane in range(LANES):
                low = below_zero(np.float64(load(x, row + lane, one)) + offset)
                store(lanes, lane, load(lanes, lane, 1.0) + low)
                store(product, lane, joined(load(product, lane, 1.0), load(e, row + lane, 1.0)))
        total -= math.log1p(_joined_lanes(product))
    return total + lane_sum(lanes)


@compiled
def _joined_lanes(lanes: int) -> float:
    for half in (16, 8, 4, 2, 1):
        for lane in range(half):
            store(lanes, lane, joined(load(lanes, lane, 1.0), load(lanes, lane + half, 1.0)))
    total: float = load(lanes, 0, 1.0)
    return total


@compiled
def lane_sum(lanes: int) -> float:
    """The sum of LANES float64 numbers, by address, in a fixed order; they are overwritten."""
    for half in (16, 8, 4, 2, 1):
        for lane in range(half):
            store(lanes, lane, load(lanes, lane, 1.0) + load(lanes, lane + half, 1.0))
    total: float = load(lanes, 0, 1.0)
    return total
