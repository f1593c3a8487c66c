"""Integer arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from refglow.kernels.ptx.decode import CARRY, Decoder, Modifiers, Step, elementwise
from refglow.kernels.ptx.syntax import Instruction, Integer
from refglow.kernels.ptx.types import NUMPY_TYPE, Column, Lanes

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave

_INTEGERS = ("u16", "s16", "u32", "s32", "u64", "s64")
_WIDER = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}


def multiply_high(a: Column, b: Column) -> Column:
    """The upper half of the exact product of two integers of one type."""
    dtype = np.result_type(a, b)
    if dtype.itemsize < 8:
        wide = np.dtype(f"{dtype.kind}{2 * dtype.itemsize}")
        shift = wide.type(8 * dtype.itemsize)
        product: Column = (a.astype(wide) * b.astype(wide)) >> shift
        return product.astype(dtype)
    # Schoolbook on 32-bit halves; the signed result corrects the unsigned one (two's complement:
    # a as unsigned is a + 2^64 where a < 0, which adds b to the upper half).
    u, v = (np.asarray(x).view(np.uint64) for x in (a, b))
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    u_low, u_high, v_low, v_high = u & low, u >> half, v & low, v >> half
    middle = u_high * v_low + ((u_low * v_low) >> half)
    other = u_low * v_high + (middle & low)
    high: Column = u_high * v_high + (middle >> half) + (other >> half)
    if dtype.kind == "i":
        zero = np.uint64(0)
        high = high - np.where(a < 0, v, zero) - np.where(b < 0, u, zero)
    return high.view(dtype)


def divide(a: Column, b: Column) -> Column:
    """a / b toward zero; where b is 0, all ones as NVIDIA's devices give (PTX leaves it open)."""
    safe = np.where(b == 0, b.dtype.type(1), b)
    quotient = (a - np.fmod(a, safe)) // safe
    return np.where(b == 0, ~a.dtype.type(0), quotient)


def remainder(a: Column, b: Column) -> Column:
    """The remainder with a's sign; where b is 0, a as NVIDIA's devices give."""
    return np.where(b == 0, a, np.fmod(a, np.where(b == 0, b.dtype.type(1), b)))


def saturated(function: Callable[..., Column]) -> Callable[..., Column]:
    """The int32 operation clamped to int32's range (.sat), computed in int64."""

    def clamp(*operands: Column) -> Column:
        wide = function(*(x.astype(np.int64) for x in operands))
        return np.clip(wide, -(2**31), 2**31 - 1).astype(np.int32)

    return clamp


def _add(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    if "cc" in instruction.modifiers or instruction.opcode in ("addc", "subc"):
        return _add_with_carry(decoder, instruction)
    function: Callable[..., Column] = np.add if instruction.opcode == "add" else np.subtract
    if modifiers.flag("sat"):
        function = saturated(function)
    return same_type(decoder, instruction, function, modifiers, _INTEGERS)


def same_type(
    decoder: Decoder,
    instruction: Instruction,
    function: Callable[..., Column],
    modifiers: Modifiers,
    allowed: tuple[str, ...],
) -> Step:
    """The step of a function whose operands and result all have the instruction's type."""
    type_name = modifiers.type(allowed)
    modifiers.end()
    target, *sources = instruction.operands
    readers = [decoder.reader(instruction, source, type_name) for source in sources]
    return elementwise(function, decoder.writer(instruction, target, type_name), *readers)


def _add_with_carry(decoder: Decoder, instruction: Instruction) -> Step:
    """add.cc, addc, sub.cc, subc: the carry (or borrow) out is bit 0 of CC."""
    modifiers = Modifiers(instruction)
    sets, uses = modifiers.flag("cc"), instruction.opcode in ("addc", "subc")
    type_name = modifiers.type(("u32", "s32", "u64", "s64"))
    modifiers.end()
    subtracts = instruction.opcode.startswith("sub")
    unsigned = "u" + type_name[1:]
    target, *sources = instruction.operands
    first, second = (decoder.reader(instruction, source, unsigned) for source in sources)
    write = decoder.writer(instruction, target, unsigned)
    read_carry = decoder.reader(instruction, CARRY if uses else Integer(0), "u32")
    write_carry = decoder.writer(instruction, CARRY, "u32")

    def step(wave: Wave, lanes: Lanes | None) -> None:
        a, b = first(wave, lanes), second(wave, lanes)
        carry = read_carry(wave, lanes).astype(NUMPY_TYPE[unsigned])
        if subtracts:
            half = a - b
            result = half - carry
            out = (a < b) | (half < carry)
        else:
            half = a + b
            result = half + carry
            out = (half < a) | (result < half)
        write(wave, lanes, result)
        if sets:
            write_carry(wave, lanes, np.asarray(out).astype(np.uint32))

    return step


def _multiply(decoder: Decoder, instruction: Instruction) -> Step:
    """mul and mad of integers: .lo, .hi, .wide; mad(c) with carries."""
    modifiers = Modifiers(instruction)
    part = modifiers.one_of(("lo", "hi", "wide"))
    sets, uses = modifiers.flag("cc"), instruction.opcode == "madc"
    saturates = modifiers.flag("sat")
    type_name = modifiers.type(_INTEGERS)
    modifiers.end()
    result_type = _WIDER[type_name] if part == "wide" else type_name
    target, *sources = instruction.operands
    a, b = (decoder.reader(instruction, source, type_name) for source in sources[:2])
    write = decoder.writer(instruction, target, result_type)
    wide = NUMPY_TYPE[result_type]

    def product(x: Column, y: Column) -> Column:
        if part == "hi":
            return multiply_high(x, y)
        return x.astype(wide) * y if part == "wide" else x * y

    if instruction.opcode == "mul":
        if saturates:
            raise instruction.error("modifier .sat is not known here")
        return elementwise(product, write, a, b)
    c = decoder.reader(instruction, sources[2], result_type)
    if not (sets or uses):
        add: Callable[..., Column] = saturated(np.add) if saturates else np.add
        return elementwise(lambda x, y, z: add(product(x, y), z), write, a, b, c)
    unsigned = "u" + result_type[1:]
    read_carry = decoder.reader(instruction, CARRY if uses else Integer(0), "u32")
    write_carry = decoder.writer(instruction, CARRY, "u32")

    def step(wave: Wave, lanes: Lanes | None) -> None:
        dtype = NUMPY_TYPE[unsigned]
        p = np.asarray(product(a(wave, lanes), b(wave, lanes))).view(dtype)
        half = p + c(wave, lanes).view(dtype)
        result = half + read_carry(wave, lanes).astype(dtype)
        write(wave, lanes, result)
        if sets:
            write_carry(wave, lanes, np.asarray((half < p) | (result < half)).astype(np.uint32))

    return step


def _divide(decoder: Decoder, instruction: Instruction) -> Step:
    function = divide if instruction.opcode == "div" else remainder
    return same_type(decoder, instruction, function, Modifiers(instruction), _INTEGERS)


def _signed(decoder: Decoder, instruction: Instruction) -> Step:
    functions: dict[str, Callable[..., Column]] = {
        "neg": np.negative,
        "abs": np.absolute,
        "min": np.minimum,
        "max": np.maximum,
        "sad": lambda a, b, c: np.where(a < b, b - a, a - b) + c,
    }
    function = functions[instruction.opcode]
    return same_type(decoder, instruction, function, Modifiers(instruction), _INTEGERS)


DECODERS: dict[str, Callable[[Decoder, Instruction], Step]] = {
    **dict.fromkeys(("add", "sub", "addc", "subc"), _add),
    **dict.fromkeys(("mul", "mad", "madc"), _multiply),
    **dict.fromkeys(("div", "rem"), _divide),
    **dict.fromkeys(("neg", "abs", "min", "max", "sad"), _signed),
}
