"""The .approx functions, each computed in float64 and rounded once to the result's type.

A device's own results differ from these within the error that the PTX document allows; none of
them is promised to the last bit. The largest errors it documents, for float32:

    rcp.approx      1 ulp                       sqrt.approx    2^-23 relative
    div.approx      2 ulp, |b| in [2^-126, 2^126]   rsqrt.approx  2^-22.9 relative
    div.full        2 ulp                       ex2.approx     2 ulp (2^-22.5 relative)
    lg2.approx      2^-22 absolute for a in (0.5, 2), 2^-22 relative elsewhere
    sin.approx, cos.approx   2^-20.5 absolute in [-pi, pi]; outside, the argument's reduction adds
    tanh.approx     2^-11 relative

For float64: rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 read and write the upper 32 bits only, to
about 2^-20; rsqrt.approx.f64 is emulated to 2 ulp.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.kernels.ptx.syntax import Instruction
from refglow.kernels.ptx.types import Column

_UPPER_HALF = np.uint64(0xFFFFFFFF00000000)
_EXPONENT = np.uint64(0x7FF0000000000000)


def _through_double(function: Callable[..., Column]) -> Callable[..., Column]:
    return lambda *operands: function(*(x.astype(np.float64) for x in operands)).astype(np.float32)


def _upper_half(function: Callable[[Column], Column]) -> Callable[[Column], Column]:
    def truncated(a: Column) -> Column:
        bits = np.asarray(a).view(np.uint64)
        upper = np.where(np.isnan(a), bits, bits & _UPPER_HALF)
        subnormal = (bits & _EXPONENT) == 0
        sign = bits & np.uint64(1 << 63)
        value = function(np.where(subnormal, sign, upper).view(np.float64))
        result = value.view(np.uint64)
        flushed = np.where((result & _EXPONENT) == 0, result & np.uint64(1 << 63), result)
        return np.where(np.isnan(value), value, (flushed & _UPPER_HALF).view(np.float64))

    return truncated


def _divide_approximately(a: Column, b: Column) -> Column:
    """a / b; for 2^126 < |b| < 2^128, zero, or NaN if a is infinite, as documented."""
    large = (np.abs(b) > 2.0**126) & np.isfinite(b)
    zero = np.copysign(np.float64(0), a) * np.sign(b)
    return np.where(large, np.where(np.isinf(a), np.nan, zero), a / b)


def _rsqrt(a: Column) -> Column:
    return 1.0 / np.sqrt(a)


_SINGLE: dict[tuple[str, str], Callable[..., Column]] = {
    ("rcp", "approx"): lambda a: 1.0 / a,
    ("sqrt", "approx"): np.sqrt,
    ("rsqrt", "approx"): _rsqrt,
    ("div", "approx"): _divide_approximately,
    ("div", "full"): np.divide,
    ("ex2", "approx"): np.exp2,
    ("lg2", "approx"): np.log2,
    ("sin", "approx"): np.sin,
    ("cos", "approx"): np.cos,
    ("tanh", "approx"): np.tanh,
}
_DOUBLE: dict[tuple[str, bool], Callable[..., Column]] = {
    ("rcp", True): _upper_half(lambda a: 1.0 / a),
    ("rsqrt", True): _upper_half(_rsqrt),
    ("rsqrt", False): _rsqrt,
}


def function(
    instruction: Instruction, mode: str, type_name: str, flushes: bool
) -> Callable[..., Column]:
    """The approximate function that an instruction names.

    Raises:
        PtxError: the instruction has no such form for this type.
    """
    if type_name == "f32" and (instruction.opcode, mode) in _SINGLE:
        return _through_double(_SINGLE[instruction.opcode, mode])
    if type_name == "f64" and (instruction.opcode, flushes) in _DOUBLE:
        return _DOUBLE[instruction.opcode, flushes]
    raise instruction.error(f"there is no such form for .{type_name}")
