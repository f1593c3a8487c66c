"""mov, selp, slct and setp: values moved, chosen and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from refglow.kernels.ptx import halves
from refglow.kernels.ptx.decode import Decoder, Modifiers, Reader, Step, Writer, elementwise
from refglow.kernels.ptx.rounding import flush_subnormal
from refglow.kernels.ptx.syntax import Instruction, Operand, Pair, Symbol, Vector
from refglow.kernels.ptx.types import NUMPY_TYPE, Column, Lanes, is_float, size_of

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave

_COMPARE: dict[str, Callable[..., Column]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNSIGNED_COMPARE = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
_UNORDERED = {"equ": "ne", "neu": "eq", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}
_COMBINE: dict[str, Callable[..., Column]] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}
_COMPARABLE = tuple(name for name in NUMPY_TYPE if not name.endswith("x2") and name != "pred")


def compare(kind: str, a: Column, b: Column) -> Column:
    """One of setp's comparisons of numbers, where "ltu" and its like hold for NaN too."""
    if kind == "num":
        return ~(np.isnan(a) | np.isnan(b))
    if kind == "nan":
        return np.isnan(a) | np.isnan(b)
    if kind == "ne" and np.asarray(a).dtype.kind == "f":
        return np.not_equal(a, b) & ~(np.isnan(a) | np.isnan(b))
    if kind == "neu":
        return np.not_equal(a, b)
    if kind == "equ":
        return np.equal(a, b) | np.isnan(a) | np.isnan(b)
    if kind in _UNORDERED:
        return ~_COMPARE[_UNORDERED[kind]](a, b)
    return _COMPARE[_UNSIGNED_COMPARE.get(kind, kind)](a, b)


def _set_predicate(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    kind = modifiers.one_of((*_COMPARE, *_UNSIGNED_COMPARE, *_UNORDERED, "num", "nan"))
    combine = modifiers.one_of(_COMBINE, "")
    flushes = modifiers.flag("ftz")
    type_name = modifiers.type(_COMPARABLE)
    modifiers.end()
    if not is_float(type_name) and (kind in _UNORDERED or kind in ("num", "nan") or flushes):
        raise instruction.error("these modifiers do not go with this type")
    target, a, b, *third = instruction.operands
    half = type_name if type_name in halves.TYPES else ""
    readers = [decoder.reader(instruction, x, "b16" if half else type_name) for x in (a, b)]
    if bool(third) != bool(combine):
        raise instruction.error("a third operand goes with .and, .or or .xor")
    readers += [decoder.reader(instruction, x, "pred") for x in third]
    first, second = (target.first, target.second) if isinstance(target, Pair) else (target, None)
    write = decoder.writer(instruction, first, "pred")

    def compared(x: Column, y: Column) -> Column:
        if half:
            x, y = halves.widen(x, half), halves.widen(y, half)
        elif flushes:
            x, y = flush_subnormal(x), flush_subnormal(y)
        return compare(kind, x, y)

    if second is None and not third:
        return elementwise(compared, write, *readers)
    return _two_predicates(decoder, instruction, compared, combine, second, readers, write)


def _two_predicates(
    decoder: Decoder,
    instruction: Instruction,
    compared: Callable[..., Column],
    combine: str,
    second: Operand | None,
    readers: list[Reader],
    write: Writer,
) -> Step:
    """setp with a boolean operand, and with the complement's result beside it."""
    beside = decoder.writer(instruction, Symbol("_") if second is None else second, "pred")

    def step(wave: Wave, lanes: Lanes | None) -> None:
        x, y, *third = (reader(wave, lanes) for reader in readers)
        held = compared(x, y)
        merge = _COMBINE[combine] if third else (lambda value: value)
        write(wave, lanes, merge(held, *third))
        beside(wave, lanes, merge(~held, *third))

    return step


def _choose(a: Column, b: Column, predicate: Column) -> Column:
    return np.where(predicate, a, b)


def _select(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    type_name = modifiers.type()
    modifiers.end()
    target, a, b, chooser = instruction.operands
    readers = [decoder.reader(instruction, x, type_name) for x in (a, b)]
    readers.append(decoder.reader(instruction, chooser, "pred"))
    write = decoder.writer(instruction, target, type_name)
    return elementwise(_choose, write, *readers)


def _select_by_sign(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    flushes = modifiers.flag("ftz")
    type_name, sign_type = modifiers.type(), modifiers.type(("s32", "f32"))
    modifiers.end()
    target, a, b, chooser = instruction.operands
    readers = [decoder.reader(instruction, x, type_name) for x in (a, b)]
    readers.append(decoder.reader(instruction, chooser, sign_type))
    write = decoder.writer(instruction, target, type_name)

    def select(x: Column, y: Column, sign: Column) -> Column:
        if flushes:
            sign = flush_subnormal(sign)
        return np.where(sign >= 0, x, y)

    return elementwise(select, write, *readers)


def _move(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    type_name = modifiers.type()
    modifiers.end()
    target, source = instruction.operands
    if isinstance(target, Vector):
        return _unpack(decoder, instruction, target, source, type_name)
    if isinstance(source, Vector):
        return _pack(decoder, instruction, target, source, type_name)
    read = decoder.reader(instruction, source, type_name)
    # A copy, never the column itself: two registers must not share one column.
    return elementwise(np.copy, decoder.writer(instruction, target, type_name), read)


def _pack(
    decoder: Decoder, instruction: Instruction, target: Operand, source: Vector, type_name: str
) -> Step:
    """mov.b64 d, {a, b}: the first element is the lowest."""
    size = size_of(type_name) // len(source.items)
    part, whole = f"b{8 * size}", NUMPY_TYPE["b" + type_name[1:]]
    readers = [decoder.reader(instruction, item, part) for item in source.items]

    def pack(*items: Column) -> Column:
        result = whole.type(0)
        for place, item in enumerate(items):
            result = result | (item.astype(whole) << whole.type(8 * size * place))
        return np.asarray(result)

    return elementwise(pack, decoder.writer(instruction, target, "b" + type_name[1:]), *readers)


def _unpack(
    decoder: Decoder, instruction: Instruction, target: Vector, source: Operand, type_name: str
) -> Step:
    """mov.b64 {a, b}, d: the first element is the lowest."""
    size = size_of(type_name) // len(target.items)
    part, whole = f"b{8 * size}", NUMPY_TYPE["b" + type_name[1:]]
    read = decoder.reader(instruction, source, "b" + type_name[1:])
    writers = [decoder.writer(instruction, item, part) for item in target.items]

    def step(wave: Wave, lanes: Lanes | None) -> None:
        value = np.asarray(read(wave, lanes))
        for place, write in enumerate(writers):
            piece = value >> whole.type(8 * size * place)
            write(wave, lanes, piece.astype(NUMPY_TYPE[part]))

    return step


DECODERS: dict[str, Callable[[Decoder, Instruction], Step]] = {
    "mov": _move,
    "selp": _select,
    "slct": _select_by_sign,
    "setp": _set_predicate,
}
