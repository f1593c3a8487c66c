"""exp of float32 numbers, in float32: plain arithmetic that the compiler vectorizes.

A vector has twice as many float32 numbers as float64 ones, and a kernel is faster by as much where
its arithmetic, not memory, is the limit.

Source: as for vector_math.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from refglow.kernels.cpu.compiled import inlined
from refglow.kernels.cpu.fused import fma

# Below the first exp is 0, above the second infinite, in float32.
_UNDERFLOW, _OVERFLOW = np.float32(-104.0), np.float32(89.0)

# ln 2 = HIGH + LOW. HIGH has 16 bits, so that its product with an integer below 2^8 is exact.
_LOG2_E = np.float32(1.4426950408889634)
_LN_2_HIGH, _LN_2_LOW = np.float32(0.693145751953125), np.float32(1.428606765330187e-06)

# Adding it to |a| < 2^22 rounds a to an integer.
_ROUNDER = np.float32(1.5 * 2.0**23)

# The polynomial of degree 4 that interpolates (e^r - 1 - r - r^2 / 2) / r^3 at Chebyshev's points
# of |r| <= ln 2 / 2; e^r is then right to 4e-10 of its value before rounding.
EXP_COEFFICIENTS = (0.1666666716337204, 0.041666556149721146, 0.00833332072943449,
                    0.0013926184037700295, 0.0001988269796129316)
_C3, _C4, _C5, _C6, _C7 = (np.float32(c) for c in EXP_COEFFICIENTS)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@inlined
def single_exp(x: np.float32, low: np.float32) -> np.float32:
    """e^(x + low), float32; see `exp` in vector_math.py. 2^n, again, as two factors."""
    lower = _UNDERFLOW if x < _UNDERFLOW else x
    bounded = _OVERFLOW if lower > _OVERFLOW else lower
    shifted = fma(bounded, _LOG2_E, _ROUNDER)
    n = shifted - _ROUNDER
    r = fma(-n, _LN_2_HIGH, bounded) + fma(-n, _LN_2_LOW, low)
    r2 = r * r
    q = fma(r2, fma(r, fma(r, _C7, _C6), _C5), fma(r, _C4, _C3))
    power = _ONE + fma(r2, fma(r, q, _HALF), r)
    shifted_half = fma(n, _HALF, _ROUNDER)
    shifted_rest = n - (shifted_half - _ROUNDER) + _ROUNDER
    result: np.float32 = power * _power_of_two(shifted_half) * _power_of_two(shifted_rest)
    return result


@intrinsic  # type: ignore[untyped-decorator]
def _power_of_two(typing_context: Any, shifted: Any) -> Any:
    """2^n, float32, from n + ROUNDER, -126 <= n <= 127: the last bits of the sum are the exponent.

    Numba's own integers become 64 bits wide when computed with, and vectors of them half as long.
    """
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        integer = ir.IntType(32)
        bits = builder.bitcast(args[0], integer)
        exponent = builder.sub(bits, integer(int(_ROUNDER.view(np.int32)) - 127))
        return builder.bitcast(builder.shl(exponent, integer(23)), ir.FloatType())
    return types.float32(types.float32), generate
