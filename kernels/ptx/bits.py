"""Logic, shifts and bit operations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.kernels.ptx.decode import Decoder, Modifiers, Step, elementwise
from refglow.kernels.ptx.integer import same_type
from refglow.kernels.ptx.syntax import Instruction, Integer
from refglow.kernels.ptx.types import NUMPY_TYPE, UNSIGNED, Column, is_signed, size_of

_INTEGERS = ("u16", "s16", "u32", "s32", "u64", "s64")
_BITS = ("b16", "b32", "b64")


def shift_left(a: Column, amount: Column) -> Column:
    """a << amount, amounts above the width clamped to it."""
    width = 8 * a.dtype.itemsize
    shifted: Column = a << np.minimum(amount, np.uint32(width - 1)).astype(a.dtype)
    return np.where(amount >= width, a.dtype.type(0), shifted)


def shift_right(a: Column, amount: Column) -> Column:
    """a >> amount, arithmetic for signed types, amounts above the width clamped to it."""
    width = 8 * a.dtype.itemsize
    shifted: Column = a >> np.minimum(amount, np.uint32(width - 1)).astype(a.dtype)
    if a.dtype.kind == "i":
        return shifted
    return np.where(amount >= width, a.dtype.type(0), shifted)


def _logic(decoder: Decoder, instruction: Instruction) -> Step:
    functions: dict[str, Callable[..., Column]] = {
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "not": np.invert,
        "cnot": lambda a: (a == 0).astype(a.dtype),
    }
    allowed = (*_BITS, "pred")
    function = functions[instruction.opcode]
    return same_type(decoder, instruction, function, Modifiers(instruction), allowed)


def _shift(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    type_name = modifiers.type((*_BITS, *_INTEGERS))
    modifiers.end()
    function = shift_left if instruction.opcode == "shl" else shift_right
    target, value, amount = instruction.operands
    read_value = decoder.reader(instruction, value, type_name)
    if isinstance(amount, Integer) and 0 <= amount.value < 8 * size_of(type_name):
        # A constant amount within the width, the usual case, needs no clamping.
        constant = NUMPY_TYPE[type_name].type(amount.value)
        plain = np.left_shift if instruction.opcode == "shl" else np.right_shift
        write = decoder.writer(instruction, target, type_name)
        return elementwise(lambda a: plain(a, constant), write, read_value)
    return elementwise(
        function,
        decoder.writer(instruction, target, type_name),
        read_value,
        decoder.reader(instruction, amount, "u32"),
    )


def _funnel_shift(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    side, wraps = modifiers.one_of(("l", "r")), modifiers.one_of(("wrap", "clamp")) == "wrap"
    modifiers.type(("b32",))
    modifiers.end()

    def shift(low: Column, high: Column, amount: Column) -> Column:
        both = (high.astype(np.uint64) << np.uint64(32)) | low
        n = (amount & np.uint32(31) if wraps else np.minimum(amount, np.uint32(32))).astype(
            np.uint64
        )
        if side == "r":
            return (both >> n).astype(np.uint32)
        return ((both << n) >> np.uint64(32)).astype(np.uint32)

    target, *sources = instruction.operands
    readers = [decoder.reader(instruction, source, "u32") for source in sources]
    return elementwise(shift, decoder.writer(instruction, target, "u32"), *readers)


def leading_zeros(a: Column) -> Column:
    """The number of zeros above the highest set bit, as uint32."""
    width = 8 * a.dtype.itemsize
    filled = a
    shift = 1
    while shift < width:
        filled = filled | (filled >> a.dtype.type(shift))
        shift *= 2
    return (width - np.bitwise_count(filled).astype(np.int32)).astype(np.uint32)


def reverse_bits(a: Column) -> Column:
    """The bits in opposite order."""
    width, dtype = 8 * a.dtype.itemsize, a.dtype
    ones = (1 << width) - 1
    shift = width // 2
    while shift:
        mask = dtype.type(ones // ((1 << shift) + 1))  # blocks of `shift` ones, every other one
        a = ((a >> dtype.type(shift)) & mask) | ((a & mask) << dtype.type(shift))
        shift //= 2
    return a


def _count_bits(decoder: Decoder, instruction: Instruction) -> Step:
    functions: dict[str, Callable[..., Column]] = {
        "popc": lambda a: np.bitwise_count(a).astype(np.uint32),
        "clz": leading_zeros,
        "brev": reverse_bits,
    }
    modifiers = Modifiers(instruction)
    type_name = modifiers.type(("b32", "b64"))
    modifiers.end()
    target, source = instruction.operands
    result = type_name if instruction.opcode == "brev" else "u32"
    return elementwise(
        functions[instruction.opcode],
        decoder.writer(instruction, target, result),
        decoder.reader(instruction, source, type_name),
    )


def _bfind(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    shift_amount = modifiers.flag("shiftamt")
    type_name = modifiers.type(("u32", "s32", "u64", "s64"))
    modifiers.end()
    width = 8 * size_of(type_name)

    def find(a: Column) -> Column:
        if is_signed(type_name):
            a = np.where(a < 0, ~a, a)
        zeros = leading_zeros(a.view(UNSIGNED[width // 8]))
        position = zeros if shift_amount else np.uint32(width - 1) - zeros
        return np.where(zeros == width, np.uint32(0xFFFFFFFF), position)

    target, source = instruction.operands
    read = decoder.reader(instruction, source, type_name)
    return elementwise(find, decoder.writer(instruction, target, "u32"), read)


def _bit_field(decoder: Decoder, instruction: Instruction) -> Step:
    """bfe and bfi; position and length are taken modulo 256."""
    inserts = instruction.opcode == "bfi"
    modifiers = Modifiers(instruction)
    type_name = modifiers.type(("b32", "b64") if inserts else ("u32", "s32", "u64", "s64"))
    modifiers.end()
    width = 8 * size_of(type_name)
    unsigned = UNSIGNED[width // 8]

    def ones(length: Column) -> Column:
        all_ones = ~unsigned.type(0)
        return ~shift_left(np.broadcast_to(all_ones, np.shape(length)), length)

    def extract(a: Column, position: Column, length: Column) -> Column:
        position, length = position & np.uint32(255), length & np.uint32(255)
        field = shift_right(a.view(unsigned), position) & ones(length)
        if not is_signed(type_name):
            return field
        top = np.minimum(position.astype(np.int64) + length - 1, width - 1).astype(np.uint32)
        negative = ((shift_right(a.view(unsigned), top) & unsigned.type(1)) != 0) & (length != 0)
        return np.where(negative, field | ~ones(length), field).view(a.dtype)

    def insert(a: Column, b: Column, position: Column, length: Column) -> Column:
        position, length = position & np.uint32(255), length & np.uint32(255)
        mask = shift_left(ones(length), position)
        a = np.broadcast_to(a, np.broadcast_shapes(np.shape(a), np.shape(mask)))
        return (shift_left(a, position) & mask) | (b & ~mask)

    target, *sources = instruction.operands
    values, fields = sources[:-2], sources[-2:]
    readers = [decoder.reader(instruction, value, type_name) for value in values]
    readers += [decoder.reader(instruction, value, "u32") for value in fields]
    write = decoder.writer(instruction, target, type_name)
    return elementwise(insert if inserts else extract, write, *readers)


def _permute(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    modifiers.type(("b32",))
    modifiers.end()  # the modes .f4e, .b4e, .rc8, .ecl, .ecr, .rc16 are refused here

    def permute(a: Column, b: Column, selector: Column) -> Column:
        both = a.astype(np.uint64) | (b.astype(np.uint64) << np.uint64(32))
        result: Column = np.array(0, np.uint64)
        for byte in range(4):
            choice = (selector >> np.uint32(4 * byte)) & np.uint32(15)
            shift = ((choice & np.uint32(7)) << np.uint32(3)).astype(np.uint64)
            value = (both >> shift) & np.uint64(255)
            sign = np.where(value >= 128, np.uint64(255), np.uint64(0))
            value = np.where(choice >= 8, sign, value)
            result = result | (value << np.uint64(8 * byte))
        return np.asarray(result).astype(np.uint32)

    target, *sources = instruction.operands
    readers = [decoder.reader(instruction, source, "u32") for source in sources]
    return elementwise(permute, decoder.writer(instruction, target, "u32"), *readers)


def _lop3(decoder: Decoder, instruction: Instruction) -> Step:
    modifiers = Modifiers(instruction)
    modifiers.type(("b32",))
    modifiers.end()
    target, *sources, table = instruction.operands
    if not isinstance(table, Integer) or len(sources) != 3:
        raise instruction.error("needs three sources and an immediate truth table")
    truth = table.value

    def combine(a: Column, b: Column, c: Column) -> Column:
        result: Column = np.array(0, np.uint32)
        for row in range(8):
            if truth >> row & 1:
                result = result | (
                    (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
                )
        return np.asarray(result)

    readers = [decoder.reader(instruction, source, "u32") for source in sources]
    return elementwise(combine, decoder.writer(instruction, target, "u32"), *readers)


DECODERS: dict[str, Callable[[Decoder, Instruction], Step]] = {
    **dict.fromkeys(("and", "or", "xor", "not", "cnot"), _logic),
    **dict.fromkeys(("shl", "shr"), _shift),
    **dict.fromkeys(("popc", "clz", "brev"), _count_bits),
    **dict.fromkeys(("bfe", "bfi"), _bit_field),
    "shf": _funnel_shift,
    "bfind": _bfind,
    "prmt": _permute,
    "lop3": _lop3,
}
