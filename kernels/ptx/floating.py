"""Floating-point arithmetic: add, sub, mul, fma, div, sqrt, rcp, min, max, neg, abs, copysign.

float32 and float64 results are rounded once, in the mode the instruction names; add, sub and mul
without a mode round to nearest. (PTX lets an optimizing assembler fuse those without a mode into
fma. Compilers that want fused results write fma themselves, so what is written is what runs here.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.kernels.ptx import approximate, halves
from refglow.kernels.ptx.decode import Decoder, Modifiers, Step, elementwise
from refglow.kernels.ptx.fused import directed_zero, fma32, fma64
from refglow.kernels.ptx.rounding import (
    canonical,
    directed,
    exact_error,
    flush_subnormal,
    saturate,
    sign_of_difference,
    two_sum,
)
from refglow.kernels.ptx.syntax import Instruction
from refglow.kernels.ptx.types import NUMPY_TYPE, Column

MODES = ("rn", "rz", "rm", "rp")
Arithmetic = Callable[..., Column]


def add(a: Column, b: Column, mode: str) -> Column:
    """a + b rounded as `mode` says."""
    nearest = np.asarray(a + b)
    if mode == "rn":
        return nearest
    if nearest.dtype == np.float64:
        error = exact_error(lambda x, y: x + y, nearest, a, b)
    else:
        total, lost = two_sum(np.asarray(a, np.float64), np.asarray(b, np.float64))
        # total + lost is exact; total - nearest is exact in float64, so its sign decides, and
        # `lost` does where the two agree.
        difference = sign_of_difference(total, nearest)
        error = np.where(difference == 0, lost, difference)
    return directed_zero(directed(nearest, error, mode), a, b, mode)


def multiply(a: Column, b: Column, mode: str) -> Column:
    """a * b rounded as `mode` says."""
    nearest = np.asarray(a * b)
    if mode == "rn":
        return nearest
    if nearest.dtype == np.float64:
        error = exact_error(lambda x, y: x * y, nearest, a, b)
    else:
        error = sign_of_difference(np.multiply(a, b, dtype=np.float64), nearest)
    return directed(nearest, error, mode)


def divide(a: Column, b: Column, mode: str) -> Column:
    """a / b rounded as `mode` says."""
    nearest = np.asarray(a / b)
    if mode == "rn":
        return nearest
    if nearest.dtype == np.float64:
        divisor = np.where(b == 0, np.nan, b)  # x / 0 is exact
        error = exact_error(lambda x, y: x / y, nearest, a, divisor)
    else:
        # nearest * b is exact in float64, so a is on the side of it that the quotient is.
        wide = np.asarray(a, np.float64)
        product = np.where(np.isfinite(nearest), np.multiply(nearest, b, dtype=np.float64), wide)
        error = np.sign(wide - product) * np.sign(b)
        overflowed = np.isinf(nearest) & np.isfinite(a) & (b != 0)
        error = np.where(overflowed, -np.sign(nearest), error)
    return directed(nearest, error, mode)


def square_root(a: Column, mode: str) -> Column:
    """The square root of a rounded as `mode` says."""
    nearest = np.asarray(np.sqrt(a))
    if mode == "rn":
        return nearest
    if nearest.dtype == np.float64:
        # The sign of sqrt(a) - r is that of a - r^2, and of r + (a - r^2) - r.
        error = exact_error(lambda x, r: x - r * r + r, nearest, a, nearest)
    else:
        square = np.multiply(nearest, nearest, dtype=np.float64)
        error = np.sign(np.asarray(a, np.float64) - square)
    return directed(nearest, error, mode)


def minimum(a: Column, b: Column, propagates_nan: bool) -> Column:
    """min by PTX: -0 below +0; a NaN gives the other operand unless it is to propagate."""
    lower = np.fmin(a, b)
    # Where the operands are equal the only difference can be the sign of zero.
    equal = (a == b) & (a == 0)
    if np.any(equal):
        lower = np.where(equal & (np.signbit(a) | np.signbit(b)), -np.abs(lower), lower)
    return _propagate(lower, a, b) if propagates_nan else lower


def maximum(a: Column, b: Column, propagates_nan: bool) -> Column:
    """max by PTX: +0 above -0; a NaN gives the other operand unless it is to propagate."""
    upper = np.fmax(a, b)
    equal = (a == b) & (a == 0)
    if np.any(equal):
        upper = np.where(equal & ~(np.signbit(a) & np.signbit(b)), np.abs(upper), upper)
    return _propagate(upper, a, b) if propagates_nan else upper


def _propagate(value: Column, a: Column, b: Column) -> Column:
    return np.where(np.isnan(a) | np.isnan(b), value.dtype.type(np.nan), value)


def build(
    decoder: Decoder,
    instruction: Instruction,
    function: Arithmetic,
    type_name: str,
    flushes: bool = False,
    saturates: bool = False,
) -> Step:
    """The step of a float32 or float64 function of all operands, flushed and saturated."""

    def finished(*operands: Column) -> Column:
        if flushes:
            operands = tuple(flush_subnormal(x) for x in operands)
        result = np.asarray(function(*operands))
        if flushes:
            result = flush_subnormal(result)
        if saturates:
            result = saturate(result)
        return canonical(result) if type_name == "f32" else result

    target, *sources = instruction.operands
    readers = [decoder.reader(instruction, source, type_name) for source in sources]
    return elementwise(finished, decoder.writer(instruction, target, type_name), *readers)


def _rounded(decoder: Decoder, instruction: Instruction) -> Step:
    """add, sub, mul, fma, mad."""
    modifiers = Modifiers(instruction)
    mode = modifiers.one_of(MODES, "rn")
    flushes, saturates = modifiers.flag("ftz"), modifiers.flag("sat")
    relu = modifiers.flag("relu")
    type_name = modifiers.type(("f32", "f64", *halves.TYPES))
    modifiers.end()
    if type_name in halves.TYPES:
        return halves.arithmetic(decoder, instruction, type_name, mode, flushes, saturates, relu)
    if relu or (type_name == "f64" and (flushes or saturates)):
        raise instruction.error("these modifiers do not go with this type")
    fused = fma32 if type_name == "f32" else fma64
    functions: dict[str, Arithmetic] = {
        "add": np.add if mode == "rn" else lambda a, b: add(a, b, mode),
        "sub": np.subtract if mode == "rn" else lambda a, b: add(a, -b, mode),
        "mul": np.multiply if mode == "rn" else lambda a, b: multiply(a, b, mode),
        "fma": lambda a, b, c: fused(a, b, c, mode),
        "mad": lambda a, b, c: fused(a, b, c, mode),
    }
    function = functions[instruction.opcode]
    return build(decoder, instruction, function, type_name, flushes, saturates)


def _divided(decoder: Decoder, instruction: Instruction) -> Step:
    """div, sqrt and rcp, rounded or approximate."""
    modifiers = Modifiers(instruction)
    mode = modifiers.one_of((*MODES, "approx", "full"))
    flushes = modifiers.flag("ftz")
    type_name = modifiers.type(("f32", "f64"))
    modifiers.end()
    if mode in ("approx", "full"):
        function = approximate.function(instruction, mode, type_name, flushes)
        return build(decoder, instruction, function, type_name, flushes and type_name == "f32")
    one = NUMPY_TYPE[type_name].type(1)
    functions: dict[str, Arithmetic] = {
        "div": lambda a, b: divide(a, b, mode),
        "rcp": lambda a: divide(one, a, mode),
        "sqrt": lambda a: square_root(a, mode),
    }
    return build(decoder, instruction, functions[instruction.opcode], type_name, flushes)


def _approximate(decoder: Decoder, instruction: Instruction) -> Step:
    """ex2, lg2, sin, cos, tanh, rsqrt."""
    modifiers = Modifiers(instruction)
    mode = modifiers.one_of(("approx",))
    flushes = modifiers.flag("ftz")
    type_name = modifiers.type(("f32", "f64"))
    modifiers.end()
    function = approximate.function(instruction, mode, type_name, flushes)
    return build(decoder, instruction, function, type_name, flushes and type_name == "f32")


def _extremum(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    flushes, propagates = modifiers.flag("ftz"), modifiers.flag("NaN")
    type_name = modifiers.type(("f32", "f64", *halves.TYPES))
    modifiers.end()
    function = minimum if instruction.opcode == "min" else maximum
    if type_name in halves.TYPES:
        return halves.exact(
            decoder, instruction, type_name, lambda a, b: function(a, b, propagates), flushes
        )
    return build(
        decoder, instruction, lambda a, b: function(a, b, propagates), type_name, flushes
    )


def _sign(decoder: Decoder, instruction: Instruction) -> Step:
    """neg, abs, copysign: bits are changed, so NaN payloads stay (PTX leaves them open)."""
    modifiers = Modifiers(instruction)
    flushes = instruction.opcode != "copysign" and modifiers.flag("ftz")
    type_name = modifiers.type(("f32", "f64", *halves.TYPES))
    modifiers.end()
    if type_name in halves.TYPES:
        return halves.sign_bits(decoder, instruction, type_name, flushes)
    functions: dict[str, Arithmetic] = {
        "neg": np.negative,
        "abs": np.abs,
        "copysign": lambda a, b: np.copysign(b, a),  # PTX: the sign of a, the rest of b
    }
    function = functions[instruction.opcode]
    target, *sources = instruction.operands
    readers = [decoder.reader(instruction, source, type_name) for source in sources]
    finished = (lambda a: function(flush_subnormal(a))) if flushes else function
    return elementwise(finished, decoder.writer(instruction, target, type_name), *readers)


def _testp(decoder: Decoder, instruction: Instruction) -> Step:
    tests: dict[str, Arithmetic] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda a: ~np.isnan(a),
        "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= np.finfo(a.dtype).smallest_normal),
        "subnormal": lambda a: (a != 0) & (np.abs(a) < np.finfo(a.dtype).smallest_normal),
    }
    modifiers = Modifiers(instruction)
    test = tests[modifiers.one_of(tests)]
    type_name = modifiers.type(("f32", "f64"))
    modifiers.end()
    target, source = instruction.operands
    read = decoder.reader(instruction, source, type_name)
    return elementwise(test, decoder.writer(instruction, target, "pred"), read)


DECODERS: dict[str, Callable[[Decoder, Instruction], Step]] = {
    **dict.fromkeys(("add", "sub", "mul", "fma", "mad"), _rounded),
    **dict.fromkeys(("div", "sqrt", "rcp"), _divided),
    **dict.fromkeys(("ex2", "lg2", "sin", "cos", "tanh", "rsqrt"), _approximate),
    **dict.fromkeys(("min", "max"), _extremum),
    **dict.fromkeys(("neg", "abs", "copysign"), _sign),
    "testp": _testp,
}
