"""cvt between integers and floats of every size, and cvta between address spaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.kernels.ptx import halves
from refglow.kernels.ptx.decode import Decoder, Modifiers, Step, elementwise
from refglow.kernels.ptx.layout import LOCAL_WINDOW, SHARED_WINDOW
from refglow.kernels.ptx.rounding import (
    Double,
    canonical,
    directed,
    flush_subnormal,
    narrow,
    saturate,
)
from refglow.kernels.ptx.syntax import Instruction
from refglow.kernels.ptx.types import NUMPY_TYPE, UNSIGNED, Column, is_float, size_of

_TO_INTEGER: dict[str, Callable[[Column], Column]] = {
    "rni": np.rint,
    "rzi": np.trunc,
    "rmi": np.floor,
    "rpi": np.ceil,
}
_MODES = ("rn", "rz", "rm", "rp")
Conversion = Callable[[Column], Column]


def float_to_integer(value: Column, rounding: str, target: str, source: str) -> Column:
    """A float rounded to an integer and clamped to the target's range.

    NaN gives 0, except that a float64 or a 64-bit target gives the top bit alone.
    """
    dtype = NUMPY_TYPE[target]
    info = np.iinfo(dtype)
    whole = _TO_INTEGER[rounding](value.astype(np.float64))
    too_high = whole >= 2.0 ** (info.bits - (dtype.kind == "i"))
    too_low = whole < float(info.min)
    lost = too_high | too_low | np.isnan(whole)
    result = np.where(lost, 0.0, whole).astype(dtype)
    result = np.where(too_high, dtype.type(info.max), result)
    result = np.where(too_low, dtype.type(info.min), result)
    if source == "f64" or info.bits == 64:
        top = UNSIGNED[dtype.itemsize].type(1 << (info.bits - 1)).view(dtype)
        result = np.where(np.isnan(whole), top, result)
    return result


def integer_to_float(value: Column, target: str, mode: str) -> Column:
    """An integer rounded once to float16, float32 or float64."""
    dtype = NUMPY_TYPE[target]
    nearest = np.asarray(value).astype(dtype)
    if mode == "rn":
        return nearest
    rounded = nearest.astype(np.float64)
    error = np.array(
        [
            (x > y) - (x < y) if np.isfinite(y) else -np.sign(y)
            for x, y in zip(np.ravel(value).tolist(), np.ravel(rounded).tolist(), strict=True)
        ],
        dtype=np.float64,
    )
    return directed(nearest, error.reshape(nearest.shape), mode)


def integer_to_integer(value: Column, target: str, saturates: bool) -> Column:
    """Truncated or extended; clamped to the target's range if it saturates."""
    dtype = NUMPY_TYPE[target]
    if not saturates:
        return np.asarray(value).astype(dtype)
    info, own = np.iinfo(dtype), np.iinfo(value.dtype)
    low, high = max(info.min, own.min), min(info.max, own.max)
    return np.clip(value, low, high).astype(dtype)


def _widened(value: Column, source: str) -> Double:
    if source in ("f16", "bf16"):
        return halves.widen(value, source)
    return np.asarray(value).astype(np.float64)


def float_to_float(source: str, target: str, mode: str, whole: str) -> Conversion:
    """The conversion from one float type to another (bfloat16 and float16 as 16 bits)."""
    if target in ("f16", "bf16"):
        if (source, target, mode, whole) == ("f32", "f16", "rn", ""):
            return lambda a: _half_from_single(a)
        if whole:
            return lambda a: halves.round_half(_TO_INTEGER[whole](_widened(a, source)), target)
        return lambda a: halves.round_half(_widened(a, source), target, mode)
    dtype = NUMPY_TYPE[target]
    if whole:
        return lambda a: _TO_INTEGER[whole](_widened(a, source)).astype(dtype)
    if mode == "rn" and source in ("f32", "f64"):
        return lambda a: np.asarray(a).astype(dtype)
    return lambda a: narrow(_widened(a, source), dtype, mode)


def _half_from_single(value: Column) -> Column:
    half = np.asarray(value).astype(np.float16)
    return np.where(np.isnan(half), np.uint16(0x7FFF), half.view(np.uint16))


def _convert(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    whole = modifiers.one_of(_TO_INTEGER, "")
    mode = modifiers.one_of(_MODES, "")
    flushes, saturates = modifiers.flag("ftz"), modifiers.flag("sat")
    target, source = modifiers.type(), modifiers.type()
    modifiers.end()
    if target in ("f16x2", "bf16x2"):
        return _convert_pair(decoder, instruction, target, source, mode, flushes or saturates)
    if target[0] == "b" and target != "bf16":
        raise instruction.error("needs numeric types")
    function = _conversion(instruction, target, source, mode, whole, saturates)
    single = "f32" in (target, source)

    def finished(a: Column) -> Column:
        if flushes and source == "f32":
            a = flush_subnormal(a)
        result = function(a)
        if saturates and target in ("f32", "f64"):
            result = saturate(result)
        if flushes and target == "f32":
            result = flush_subnormal(result)
        return canonical(result) if target == "f32" else result

    if flushes and not single:
        raise instruction.error("modifier .ftz is not known here")
    destination, operand = instruction.operands
    write_type = "b16" if target in ("f16", "bf16") else target
    read_type = "b16" if source in ("f16", "bf16") else source
    read = decoder.reader(instruction, operand, read_type)
    return elementwise(finished, decoder.writer(instruction, destination, write_type), read)


def _conversion(
    instruction: Instruction, target: str, source: str, mode: str, whole: str, saturates: bool
) -> Conversion:
    if not is_float(target) and not is_float(source):
        return lambda a: integer_to_integer(a, target, saturates)
    if not is_float(target):
        if not whole:
            raise instruction.error("needs .rni, .rzi, .rmi or .rpi")
        if source in ("f16", "bf16"):
            return lambda a: float_to_integer(halves.widen(a, source), whole, target, source)
        return lambda a: float_to_integer(a, whole, target, source)
    if not is_float(source):
        if target == "bf16":
            raise instruction.error("is not known: convert through .f32")
        if not mode:
            raise instruction.error("needs .rn, .rz, .rm or .rp")
        if target == "f16":
            return lambda a: integer_to_float(a, target, mode).view(np.uint16)
        return lambda a: integer_to_float(a, target, mode)
    if saturates and target in ("f16", "bf16"):
        raise instruction.error("modifier .sat is not known here")
    if size_of(target) < size_of(source) and not (mode or whole):
        raise instruction.error("needs a rounding mode")
    return float_to_float(source, target, mode or "rn", whole)


def _convert_pair(
    decoder: Decoder, instruction: Instruction, target: str, source: str, mode: str, other: bool
) -> Step:
    """cvt.f16x2.f32 d, a, b and its like: a goes to the upper half."""
    if source != "f32" or mode not in ("rn", "rz") or other:
        raise instruction.error("this form is not known")
    kind = target.removesuffix("x2")

    def pack(high: Column, low: Column) -> Column:
        upper = halves.round_half(high.astype(np.float64), kind, mode).astype(np.uint32)
        return (upper << np.uint32(16)) | halves.round_half(low.astype(np.float64), kind, mode)

    destination, *operands = instruction.operands
    readers = [decoder.reader(instruction, operand, "f32") for operand in operands]
    return elementwise(pack, decoder.writer(instruction, destination, "b32"), *readers)


def _convert_address(decoder: Decoder, instruction: Instruction) -> Step:
    """Between generic addresses and those of one space: windows are at fixed distances."""
    modifiers = Modifiers(instruction)
    to_space = modifiers.flag("to")
    space = modifiers.one_of(("global", "const", "param", "shared", "local"))
    modifiers.type(("u64",))
    modifiers.end()
    window = np.uint64({"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}.get(space, 0))
    target, source = instruction.operands
    shift = np.subtract if to_space else np.add
    read = decoder.reader(instruction, source, "u64")
    write = decoder.writer(instruction, target, "u64")
    return elementwise(lambda a: shift(a, window), write, read)


DECODERS: dict[str, Callable[[Decoder, Instruction], Step]] = {
    "cvt": _convert,
    "cvta": _convert_address,
}
