"""The floating-point number nearest to a real number that is known to lie in a ball."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.certified.ball import Ball, UndecidedError, exact


def nearest(array: Array, dtype: Any) -> Array:
    """Every number correctly rounded: to the nearest, ties to the even one.

    All numbers of a ball round to the same if its two ends do.

    Args:
      array: [...], object; Balls, or ints.
      dtype: float32 or float64.

    Returns:
      [...] of that type; infinite where a number is too large for it. A zero's sign is not
      certified: it is +0 unless both ends are negative.

    Raises:
      UndecidedError: for a ball that holds numbers that round differently, or numbers that are not
        finite.
    """
    result = np.empty(array.shape, dtype)
    for index in np.ndindex(array.shape):
        result[index] = _nearest(exact(array[index]), result.dtype)
    return result


def _nearest(ball: Ball, dtype: Any) -> float:
    value = ball.value
    if not value.is_finite():
        raise UndecidedError(f"{value} is not known to be finite.")
    low, high = (rounded(int(mantissa), int(exponent), dtype) for mantissa, exponent in (
        value.lower().man_exp(), value.upper().man_exp()))
    if low != high:
        raise UndecidedError(f"{value} rounds to {low!r} or {high!r} in {dtype}.")
    return low if low else max(low, high, key=lambda end: math.copysign(1.0, end))


def rounded(mantissa: int, exponent: int, dtype: Any) -> float:
    """mantissa 2^exponent, rounded to the nearest number of a type; infinite if too large.

    A float of `digits` bits is q 2^u, |q| < 2^digits, with u no less than that of the subnormal
    numbers. So u is chosen, q is the mantissa without its last u - exponent bits, and these decide.
    Balls have exponents of any size, so a number that is far too large or too small for the type is
    told by its size alone: 2^exponent need not fit into memory.
    """
    kind = np.finfo(dtype)
    digits, least = kind.nmant + 1, int(kind.minexp) - kind.nmant
    size, sign = abs(mantissa), -1.0 if mantissa < 0 else 1.0
    end = exponent + size.bit_length()
    if not size or end < least:  # below half of the least number
        return sign * 0.0
    if end > int(kind.maxexp):
        return sign * math.inf
    unit = max(end - digits, least)
    lost = unit - exponent
    if lost <= 0:
        q = size << -lost
    else:
        q, rest = size >> lost, size & ((1 << lost) - 1)
        half = 1 << (lost - 1)
        q += rest > half or (rest == half and q % 2 == 1)
    if q and unit + q.bit_length() > int(kind.maxexp):
        return sign * math.inf
    return sign * math.ldexp(q, unit)
