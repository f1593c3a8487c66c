"""Arithmetic on float16, bfloat16 and pairs of them.

Every sum and product of 16-bit numbers is exact in float64 or rounded there to odd, and then
rounded once to 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.kernels.ptx.decode import Decoder, Step, elementwise
from refglow.kernels.ptx.rounding import (
    Double,
    flush_subnormal,
    from_bfloat16,
    narrow,
    saturate,
    to_bfloat16,
    to_odd,
    two_sum,
)
from refglow.kernels.ptx.syntax import Instruction
from refglow.kernels.ptx.types import Column

TYPES = ("f16", "f16x2", "bf16", "bf16x2")
_CANONICAL_HALF = np.uint16(0x7FFF)


def widen(bits: Column, kind: str) -> Double:
    """16 bits of `kind` ("f16" or "bf16") as float64, exactly."""
    column = np.asarray(bits)
    if kind == "f16":
        return column.view(np.float16).astype(np.float64)
    return from_bfloat16(column).astype(np.float64)


def round_half(value: Double, kind: str, mode: str = "rn") -> Column:
    """A double rounded once to `kind`, as its 16 bits."""
    if kind == "bf16":
        return to_bfloat16(value, mode)
    rounded = narrow(value, np.float16, mode)
    return np.where(np.isnan(value), _CANONICAL_HALF, rounded.view(np.uint16))


def _per_half(function: Callable[..., Column], packed: bool) -> Callable[..., Column]:
    """`function` of 16-bit columns, applied to both halves of packed 32-bit columns."""
    if not packed:
        return function

    def both(*operands: Column) -> Column:
        low = function(*(x.astype(np.uint16) for x in operands))
        high = function(*((x >> np.uint32(16)).astype(np.uint16) for x in operands))
        return (high.astype(np.uint32) << np.uint32(16)) | low

    return both


def _build(
    decoder: Decoder, instruction: Instruction, type_name: str, function: Callable[..., Column]
) -> Step:
    packed = type_name.endswith("x2")
    bits = "b32" if packed else "b16"
    target, *sources = instruction.operands
    readers = [decoder.reader(instruction, source, bits) for source in sources]
    write = decoder.writer(instruction, target, bits)
    return elementwise(_per_half(function, packed), write, *readers)


def arithmetic(
    decoder: Decoder,
    instruction: Instruction,
    type_name: str,
    mode: str,
    flushes: bool,
    saturates: bool,
    relu: bool,
) -> Step:
    """add, sub, mul and fma of 16-bit types."""
    kind = type_name.removesuffix("x2")
    if mode != "rn" or (flushes and kind != "f16"):
        raise instruction.error("these modifiers do not go with this type")
    opcode = instruction.opcode

    def compute(*operands: Column) -> Column:
        a, b, *rest = (widen(x, kind) for x in operands)
        if flushes:
            a, b, *rest = (_flush_half(x) for x in (a, b, *rest))
        if opcode in ("add", "sub"):
            exact = to_odd(*two_sum(a, b if opcode == "add" else -b))
        else:
            exact = a * b  # at most 22 significant bits
            if rest:
                exact = to_odd(*two_sum(exact, rest[0]))
        if relu:
            exact = np.where(exact < 0, 0.0, exact)
        result = round_half(saturate(exact) if saturates else exact, kind)
        if flushes:
            result = flush_subnormal(result.view(np.float16)).view(np.uint16)
        return result

    return _build(decoder, instruction, type_name, compute)


def _flush_half(value: Double) -> Double:
    return np.where(np.abs(value) < 2.0**-14, np.copysign(0.0, value), value)


def exact(
    decoder: Decoder,
    instruction: Instruction,
    type_name: str,
    function: Callable[..., Column],
    flushes: bool,
) -> Step:
    """A function whose result is one of its operands (min, max)."""
    kind = type_name.removesuffix("x2")

    def compute(*operands: Column) -> Column:
        wide = [widen(x, kind) for x in operands]
        if flushes:
            wide = [_flush_half(x) for x in wide]
        return round_half(function(*wide), kind)

    return _build(decoder, instruction, type_name, compute)


def sign_bits(decoder: Decoder, instruction: Instruction, type_name: str, flushes: bool) -> Step:
    """neg and abs on the sign bits."""
    if flushes or instruction.opcode == "copysign":
        raise instruction.error("is not known for 16-bit types")
    if instruction.opcode == "neg":
        return _build(decoder, instruction, type_name, lambda a: a ^ np.uint16(0x8000))
    return _build(decoder, instruction, type_name, lambda a: a & np.uint16(0x7FFF))
