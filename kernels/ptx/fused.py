"""a*b + c rounded once, for float32 and float64."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.rounding import (
    Double,
    directed,
    exact_error,
    narrow,
    nearest_double,
    to_odd,
    two_sum,
)
from refglow.kernels.ptx.types import Column

_LOW_BITS = np.uint64(0x1FFFFFFF)  # of a double, what a float32 has no room for
_MIDPOINT = np.uint64(0x10000000)
_NEAR_SUBNORMAL = np.uint32(0x02000000)  # bits of float32's 2^-125, shifted left by one
_SMALL, _LARGE = 2.0**-900, 2.0**1000
_SPLITTER = float(2**27 + 1)
_CHUNK = 4096  # lanes; intermediate columns then stay in the processor's first cache


def fma32(a: Column, b: Column, c: Column, mode: str) -> npt.NDArray[np.float32]:
    """a*b + c in float32, rounded once as `mode` says ("rn", "rz", "rm", "rp").

    The product of two float32 is exact in float64. Its sum with c is rounded to 53 bits, and then
    to 24. Rounding twice differs from rounding once only where the first result lies exactly half
    way between two float32: its low 29 bits are 1 followed by zeros; or where the result is
    subnormal, with the half way elsewhere. Those lanes alone take the round-to-odd path.
    """
    total = np.multiply(a, b, dtype=np.float64)
    if mode != "rn":
        return _fma32_directed(total, c, mode)
    total = np.add(total, c, dtype=np.float64)
    result: npt.NDArray[np.float32] = total.astype(np.float32)
    suspect = (total.view(np.uint64) & _LOW_BITS) == _MIDPOINT
    if (result.view(np.uint32) << np.uint32(1)).min() < _NEAR_SUBNORMAL:
        suspect |= (np.abs(total) < 2.0**-125) & (total != 0)
    if suspect.any():
        a, b, c = (x[suspect].astype(np.float64) for x in np.broadcast_arrays(a, b, c))
        result = np.array(result)
        result[suspect] = to_odd(*two_sum(a * b, c)).astype(np.float32)
    return result


def _fma32_directed(product: Double, c: Column, mode: str) -> npt.NDArray[np.float32]:
    wide = np.asarray(c, dtype=np.float64)
    result = narrow(to_odd(*two_sum(product, wide)), np.float32, mode)
    return directed_zero(result, product, wide, mode)


def directed_zero(result: Column, a: Column, b: Column, mode: str) -> Column:
    """A sum a + b with its exact zeros signed: rounding down, x - x is -0."""
    if mode != "rm":
        return result
    cancelled = (result == 0) & (a == -b) & (np.signbit(a) != np.signbit(b))
    return np.where(cancelled, -np.abs(result), result)


def _split(x: Double) -> tuple[Double, Double]:
    """Veltkamp: x = high + low, both of at most 26 bits; |x| < 2^990."""
    scaled = _SPLITTER * x
    high = scaled - (scaled - x)
    return high, x - high


def two_product(a: Double, b: Double) -> tuple[Double, Double]:
    """(p, e) with p = a*b rounded and p + e = a*b exactly (Dekker), away from the range's ends."""
    p = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return p, error


def fma64(a: Column, b: Column, c: Column, mode: str) -> Double:
    """a*b + c in float64, rounded once as `mode` says.

    Lanes whose product is so small that its error is not a double, or whose numbers are so large
    that splitting them overflows, are computed with rational numbers.
    """
    a, b, c = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (a, b, c)))
    product = a * b
    result = np.empty(product.shape)
    for start in range(0, product.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _fma64_regular(a[part], b[part], c[part])
    if not _all_regular(a, b, c, product):
        _replace_irregular(result, a, b, c, product)
    if mode != "rn":
        error = exact_error(lambda x, y, z: x * y + z, result, a, b, c)
        result = directed_zero(directed(result, error, mode), product, c, mode)
    return result


def _all_regular(a: Double, b: Double, c: Double, product: Double) -> bool:
    """Whether no lane needs a second look; a NaN anywhere makes every comparison false."""
    sizes = [float(np.abs(x).max()) for x in (a, b, c, product)]
    limits = (2.0**900, 2.0**900, _LARGE, _LARGE)
    within = all(size < limit for size, limit in zip(sizes, limits, strict=True))
    return within and float(np.abs(product).min()) > _SMALL


def _replace_irregular(
    result: Double, a: Double, b: Double, c: Double, product: Double
) -> None:
    """Put right the lanes to which the error-free algorithm does not apply."""
    regular = (np.abs(product) > _SMALL) & (np.abs(product) < _LARGE) & (np.abs(c) < _LARGE)
    regular &= (np.abs(a) < 2.0**900) & (np.abs(b) < 2.0**900)
    # Zero, infinite and NaN factors: there plain arithmetic is exact. And a finite product, however
    # large, does not change an infinite addend.
    plain = ~(np.isfinite(a) & np.isfinite(b)) | (a == 0) | (b == 0)
    infinite = ~plain & ~np.isfinite(c)
    result[plain] = (product + c)[plain]
    result[infinite] = c[infinite]
    for lane in np.flatnonzero(~(regular | plain | infinite)):
        result[lane] = _fma64_exact(a[lane], b[lane], c[lane])


def _fma64_regular(a: Double, b: Double, c: Double) -> Double:
    """a*b + c rounded to nearest, where no intermediate result leaves the range of doubles.

    Boldo and Melquiond: with a*b = u + v, c + v = t + t', u + t = w + w' exactly, the result is
    w + odd(w' + t'), where `odd` rounds to odd and the last sum to nearest. With e = w' + t'
    rounded to nearest instead, w + e is the result too unless e is inexact and w + e lies exactly
    half way between two doubles: w and e are multiples of ulp(e), and so is every half-way point
    (an inexact e means that u + t did not cancel, so e is below 2 ulp(w)); the exact value is less
    than ulp(e) away from w + e, so no other half-way point can lie between them.
    """
    u, v = two_product(a, b)
    t, t_error = two_sum(c, v)
    w, w_error = two_sum(u, t)
    e, e_error = two_sum(w_error, t_error)
    result = w + e
    # Twice what the last sum lost: a step to a neighbouring double exactly at a half-way point.
    step = 2.0 * (e - (result - w))
    suspect = (((result + step) - result) == step) & (step != 0) & (e_error != 0)
    if suspect.any():
        odd = to_odd(e[suspect], e_error[suspect])
        result[suspect] = w[suspect] + odd
    return result


def _fma64_exact(a: Any, b: Any, c: Any) -> float:
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:
        # The product is not zero here, so the sum cancelled: +0 when rounding to nearest.
        return 0.0
    result = nearest_double(exact)
    return result if result else float(np.copysign(0.0, 1 if exact > 0 else -1))
