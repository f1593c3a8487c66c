"""Correct rounding: error-free sums, round-to-odd, directed modes, narrowing to smaller formats.

Round-to-odd is what makes two roundings as good as one: if the exact value is not representable,
take the neighbour whose last significand bit is 1. That bit then remembers "something was lost",
and a second rounding to a format at least two bits shorter, in any mode, gives what one rounding
of the exact value would have given (Boldo and Melquiond, "Emulation of a FMA and correctly
rounded sums", IEEE Transactions on Computers 57(4), 2008).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.types import Column

Double = npt.NDArray[np.float64]

CANONICAL_NAN = np.uint32(0x7FFFFFFF).view(np.float32)
_LAST_BIT = np.uint64(1)


def two_sum(a: Double, b: Double) -> tuple[Double, Double]:
    """(s, e) with s = a + b rounded and s + e = a + b exactly (Knuth; no overflow)."""
    s = a + b
    b_part = s - a
    error = (a - (s - b_part)) + (b - b_part)
    return s, error


def to_odd(s: Double, error: Double) -> Double:
    """The sum s + error, |error| <= ulp(s)/2, rounded to odd."""
    bits = np.asarray(s).view(np.uint64)
    inexact = (error != 0) & np.isfinite(s) & np.isfinite(error)
    if not inexact.any():
        return s
    # The odd one of the two neighbours around the exact value: s itself, or the next double on
    # the error's side, whose last bit is the other one.
    move = inexact & ((bits & _LAST_BIT) == 0)
    toward = np.where(error > 0, np.inf, -np.inf)
    return np.where(move, np.nextafter(s, toward), s)


def directed(nearest: Column, error: Column, mode: str) -> Column:
    """The value that rounds as `mode` says, from the one that was rounded to nearest.

    Args:
        nearest: the exact value rounded to nearest; any float dtype.
        error: a number with the sign of (exact - nearest), NaN where there is none.
        mode: "rz", "rm" or "rp".
    """
    down = np.nextafter(nearest, nearest.dtype.type(-np.inf))
    up = np.nextafter(nearest, nearest.dtype.type(np.inf))
    below, above = error < 0, error > 0
    if mode == "rm":
        return np.where(below, down, nearest)
    if mode == "rp":
        return np.where(above, up, nearest)
    magnitude_up = np.signbit(nearest)
    return np.where(~magnitude_up & below, down, np.where(magnitude_up & above, up, nearest))


def narrow(value: Double, dtype: npt.DTypeLike, mode: str) -> Column:
    """A double rounded once to float32 or float16."""
    nearest = np.asarray(value).astype(dtype)
    if mode == "rn":
        return nearest
    return directed(nearest, sign_of_difference(value, nearest), mode)


def sign_of_difference(exact: Column, rounded: Column) -> Double:
    """The sign of exact - rounded for doubles; 0 where both are the same infinity or NaN."""
    wide = rounded.astype(np.float64)
    return np.where(exact > wide, 1.0, np.where(exact < wide, -1.0, 0.0))


def to_bfloat16(value: Double, mode: str) -> npt.NDArray[np.uint16]:
    """A double rounded once to bfloat16, as its 16 bits; `mode` is "rn" or "rz"."""
    single = narrow(value, np.float32, "rz")
    bits = single.view(np.uint32)
    # Truncation to float32 with a sticky last bit is round-to-odd, so the next rounding is exact.
    lost = (single.astype(np.float64) != value) & np.isfinite(value)
    bits = bits | lost.astype(np.uint32)
    if mode == "rn":
        bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    result = (bits >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(value), np.uint16(0x7FFF), result)


def from_bfloat16(bits: Column) -> npt.NDArray[np.float32]:
    """bfloat16's 16 bits as float32, exactly."""
    return (np.asarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def flush_subnormal(value: Column) -> Column:
    """Subnormal float32 or float16 numbers as zeros of their sign (.ftz)."""
    tiny = np.finfo(value.dtype).smallest_normal
    return np.where(np.abs(value) < tiny, np.copysign(value.dtype.type(0), value), value)


def saturate(value: Column) -> Column:
    """Clamped to [0, 1], NaN as +0 (.sat)."""
    kind = value.dtype.type
    clamped = np.clip(value, kind(0), kind(1))
    return np.where(np.isnan(value) | (clamped == 0), kind(0), clamped)


def canonical(value: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """float32 results with every NaN as PTX's canonical 0x7fffffff; changes `value` in place."""
    if np.isnan(np.min(value)):
        value = np.where(np.isnan(value), CANONICAL_NAN, value)
    return value


def exact_error(
    exact: Callable[..., Fraction], rounded: Column, *operands: Column
) -> Double:
    """The sign of exact(*operands) - rounded, lane by lane, by rational arithmetic.

    NaN where an operand is not finite. Slow, and only for float64 with directed rounding.
    """
    columns = np.broadcast_arrays(rounded, *operands)
    signs = np.full(columns[0].shape, np.nan)
    for lane in np.ndindex(columns[0].shape):
        values = [float(column[lane]) for column in columns]
        if not np.isfinite(values[1:]).all():
            continue
        if np.isinf(values[0]):
            signs[lane] = -np.sign(values[0])
        elif not np.isnan(values[0]):
            difference = exact(*map(Fraction, values[1:])) - Fraction(values[0])
            signs[lane] = (difference > 0) - (difference < 0)
    return signs


def nearest_double(value: Fraction) -> float:
    """A rational number rounded to the nearest double, ties to even, overflow to infinity."""
    try:
        return value.numerator / value.denominator  # CPython rounds int / int correctly
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
