"""exp and what Glow's couplings make of it, as plain arithmetic that the compiler vectorizes.

The C library's exp is a call that takes one number at a time; a loop with a call in it is not
vectorized. Here exp is multiplications and additions, most of them fused, in the number type of the
result: float32 ones (single_exp.py) are twice as many in a vector.

Source: Cody & Waite 1980, "Software Manual for the Elementary Functions", for the reduction; Muller
2016, "Elementary Functions", for the polynomial and the errors.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.addresses import Number, as_number, size_of
from refglow.kernels.cpu.compiled import inlined
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.single_exp import single_exp

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


# e^x = 2^n e^r with n = round(x / ln 2) and r = x - n ln 2, |r| <= ln 2 / 2.
#
# r is the sum of x - n HIGH, which is exact, and of low - n LOW, which is small. In
# e^r = 1 + (r + r^2 (1/2 + r q(r))) the small terms are added first, so the error is that of the
# last addition and little more. 2^n is built from its exponent's bits, as two factors: for n =
# 1024, or where the result is subnormal, one would not exist. The bounds keep n in range;
# comparisons with NaN are false, so NaN passes.


@inlined
def double_exp(x: float, low: float) -> float:
    """e^(x + low), float64; see `exp`."""
    lower = _UNDERFLOW if x < _UNDERFLOW else x
    bounded = _OVERFLOW if lower > _OVERFLOW else lower
    shifted = fma(bounded, _LOG2_E, _ROUNDER)
    n = shifted - _ROUNDER
    r = fma(-n, _LN_2_HIGH, bounded) + fma(-n, _LN_2_LOW, low)
    r2 = r * r
    r4 = r2 * r2
    low = fma(r2, fma(_C6, r, _C5), fma(_C4, r, _C3))
    high = fma(r2, fma(_C10, r, _C9), fma(_C8, r, _C7))
    q = fma(r4, fma(r4, fma(_C12, r, _C11), high), low)
    power = 1.0 + fma(r2, fma(r, q, 0.5), r)
    bits = np.float64(shifted).view(np.int64)
    exponent = bits - np.float64(_ROUNDER).view(np.int64)
    half = exponent >> 1
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((exponent - half + 1023) << 52).view(np.float64)
    result: float = power * first * second
    return result


@inlined
def exp(x: Number, low: Number, one: Number) -> Number:
    """e^(x + low) to 1 unit in the last place; inf, 0 and NaN as the C library's.

    Args:
      x: a number.
      low: of its type, at most a rounding of x, and finite: what x has lost in a sum.
      one: 1 in their type.
    """
    if size_of(one) == 4:
        return as_number(single_exp(np.float32(x), np.float32(low)), one)
    return as_number(double_exp(np.float64(x), np.float64(low)), one)


@inlined
def decay(x: Number, low: Number, one: Number) -> Number:
    """e = exp(-|x + low|), from which sigmoid(x), sigmoid(-x) and log sigmoid(x) all follow.

    With e <= 1 neither overflows nor subtracts:

        sigmoid(x) = 1 / (1 + e) for x >= 0, e / (1 + e) for x < 0
        log sigmoid(x) = min(x, 0) - log1p(e)

    Args: as for `exp`.
    """
    # (A choice between low and -low would keep the compiler from making vectors.)
    return exp(-abs(x), low * (one if x < 0 else -one), one)


@inlined
def sigmoid_numerator(x: Number, e: Number, one: Number) -> Number:
    """What sigmoid(x) is over 1 + e, for e = decay(x)."""
    return e if x < 0 else one
