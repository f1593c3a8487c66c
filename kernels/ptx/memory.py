"""ld, st, atom and red: addresses checked, counted, and carried out on the simulated memories."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from refglow.kernels.ptx.atomics import atomic_update
from refglow.kernels.ptx.decode import Decoder, Modifiers, Reader, Step, Writer
from refglow.kernels.ptx.syntax import Address, Instruction, Integer, Operand, Symbol, Vector
from refglow.kernels.ptx.traffic import Access
from refglow.kernels.ptx.types import NUMPY_TYPE, UNSIGNED, Column, Lanes, size_of

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave

_SPACES = ("global", "shared", "local", "const", "param")
_CACHE = ("ca", "cg", "cs", "lu", "cv", "wb", "wt")
_EVICTION = tuple(
    f"{level}::evict_{how}"
    for level in ("L1", "L2")
    for how in ("normal", "unchanged", "first", "last")
) + ("L1::no_allocate", "L2::64B", "L2::128B", "L2::256B")
_ORDER = ("volatile", "relaxed", "acquire", "release", "acq_rel")
_SCOPE = ("cta", "cluster", "gpu", "sys")
_ATOMIC_TYPES = {
    "add": ("u32", "s32", "u64", "s64", "f16", "bf16", "f16x2", "bf16x2", "f32", "f64"),
    **dict.fromkeys(("min", "max"), ("u32", "s32", "u64", "s64")),
    **dict.fromkeys(("and", "or", "xor"), ("b32", "b64")),
    "exch": ("b32", "b64"),
    "cas": ("b16", "b32", "b64"),
    **dict.fromkeys(("inc", "dec"), ("u32",)),
}
_LOADABLE = tuple(name for name in NUMPY_TYPE if name not in ("pred", "bf16", "f16x2", "bf16x2"))


def address_reader(decoder: Decoder, instruction: Instruction, operand: Operand) -> Reader:
    """Reads base + offset as uint64, one address per active lane."""
    if not isinstance(operand, Address):
        raise instruction.error("needs an address in brackets")
    offset = np.uint64(operand.offset & (2**64 - 1))
    base = operand.base
    wide = isinstance(base, Integer | Symbol) or size_of(base.type) == 8
    read = decoder.reader(instruction, base, "u64" if wide else "u32")

    def address(wave: Wave, lanes: Lanes | None) -> Column:
        column = read(wave, lanes)
        if not wide:
            column = column.astype(np.uint64)
        if offset or not column.ndim:
            column = column + offset
        count = wave.size if lanes is None else lanes.size
        return column if column.ndim else np.broadcast_to(column, count)

    return address


def _access(instruction: Instruction, pc: int, kind: str) -> tuple[Access, str, Modifiers]:
    """What an ld or st accesses, its element type, and the modifiers that are left."""
    modifiers = Modifiers(instruction)
    order = modifiers.one_of(_ORDER, "")
    modifiers.flag("weak")
    modifiers.flag(*_SCOPE)
    modifiers.one_of(("shared::cta",), "")
    space = modifiers.one_of(_SPACES, "generic")
    if kind == "load":
        modifiers.flag("nc")
    modifiers.flag(*_CACHE)
    while modifiers.flag(*_EVICTION):
        pass
    count = int(modifiers.one_of(("v2", "v4"), "v1")[1:])
    type_name = modifiers.type(_LOADABLE)
    modifiers.end()
    size = size_of(type_name)
    if size * count > 16:
        raise instruction.error("accesses of more than 16 bytes are not interpreted")
    return Access(pc, instruction, space, kind, size, count, bool(order)), type_name, modifiers


def _elements(instruction: Instruction, operand: Operand, count: int) -> tuple[Operand, ...]:
    items = operand.items if isinstance(operand, Vector) else (operand,)
    if len(items) != count:
        raise instruction.error(f"names {len(items)} registers for {count} elements")
    return items


def decode_load(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    """ld in every space."""
    access, type_name, _ = _access(instruction, pc, "load")
    target, source = instruction.operands
    items = _elements(instruction, target, access.count)
    writers = [decoder.writer(instruction, item, type_name) for item in items]
    dtype = NUMPY_TYPE[type_name]
    if access.space == "param":
        return _parameter_load(instruction, source, writers, type_name)
    read = address_reader(decoder, instruction, source)
    size, count = access.size, access.count
    shift = np.int64(size.bit_length() - 1)

    def step(wave: Wave, lanes: Lanes | None) -> None:
        address = read(wave, lanes)
        values = None
        for part in wave.memory.parts(wave, lanes, address, access):
            place = part.offset >> shift
            found = [part.space.views[size].take(place + k if k else place) for k in range(count)]
            if part.select is None:
                values = found
                break
            if values is None:
                values = [np.zeros(address.size, UNSIGNED[size]) for _ in range(count)]
            for value, some in zip(values, found, strict=True):
                value[part.select] = some
        if values is None:
            values = [np.zeros(address.size, UNSIGNED[size])] * count
        for write, value in zip(writers, values, strict=True):
            write(wave, lanes, value.view(dtype))

    return step


def _parameter_load(
    instruction: Instruction, source: Operand, writers: list[Writer], type_name: str
) -> Step:
    if not isinstance(source, Address) or not isinstance(source.base, Symbol):
        raise instruction.error("a kernel's parameter is read by name only")
    name, offset, dtype = source.base.name, source.offset, NUMPY_TYPE[type_name]

    def step(wave: Wave, lanes: Lanes | None) -> None:
        content = wave.memory.parameters.get(name)
        end = offset + len(writers) * dtype.itemsize
        if content is None or end > len(content):
            raise instruction.error(f"the kernel has no parameter {name} of {end} bytes")
        values = np.frombuffer(content, dtype, len(writers), offset)
        for write, value in zip(writers, values, strict=True):
            write(wave, lanes, value)

    return step


def decode_store(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    """st in every space."""
    access, type_name, _ = _access(instruction, pc, "store")
    if access.space in ("param", "const"):
        raise instruction.error("cannot store there")
    target, source = instruction.operands
    items = _elements(instruction, source, access.count)
    bits = f"b{8 * access.size}"
    readers = [
        decoder.reader(instruction, item, type_name if isinstance(item, Integer) else bits)
        for item in items
    ]
    read = address_reader(decoder, instruction, target)
    size = access.size
    shift, unsigned = np.int64(size.bit_length() - 1), UNSIGNED[size]

    def step(wave: Wave, lanes: Lanes | None) -> None:
        address = read(wave, lanes)
        values = [np.asarray(reader(wave, lanes)).view(unsigned) for reader in readers]
        for part in wave.memory.parts(wave, lanes, address, access):
            view = part.space.views[size]
            place = part.offset >> shift
            for k, value in enumerate(values):
                if part.select is not None and value.ndim:
                    value = value[part.select]
                view[place + k if k else place] = value

    return step


def decode_atomic(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    """atom and red."""
    modifiers = Modifiers(instruction)
    modifiers.flag(*_ORDER)
    modifiers.flag(*_SCOPE)
    modifiers.one_of(("shared::cta",), "")
    space = modifiers.one_of(("global", "shared"), "generic")
    operation = modifiers.one_of(_ATOMIC_TYPES)
    modifiers.flag("noftz")
    while modifiers.flag(*_EVICTION):
        pass
    type_name = modifiers.type(_ATOMIC_TYPES[operation])
    modifiers.end()
    size = size_of(type_name)
    access = Access(pc, instruction, space, "atomic", size, 1, True)
    operands = list(instruction.operands)
    bits = f"b{8 * size}"
    target: Operand = Symbol("_") if instruction.opcode == "red" else operands.pop(0)
    write = decoder.writer(instruction, target, bits)
    location, *values = operands
    read = address_reader(decoder, instruction, location)
    readers = [decoder.reader(instruction, value, type_name) for value in values]
    shift = np.int64(size.bit_length() - 1)

    def step(wave: Wave, lanes: Lanes | None) -> None:
        address = read(wave, lanes)
        given = [np.broadcast_to(reader(wave, lanes), address.size) for reader in readers]
        old = np.zeros(address.size, UNSIGNED[size])
        for part in wave.memory.parts(wave, lanes, address, access):
            chosen = slice(None) if part.select is None else part.select
            view = part.space.views[size]
            old[chosen] = atomic_update(
                view,
                part.offset >> shift,
                operation,
                type_name,
                [value[chosen] for value in given],
                flushes=part.space.name == "global",
            )
        write(wave, lanes, old)

    return step


DECODERS: dict[str, Callable[[Decoder, Instruction, int], Step]] = {
    "ld": decode_load,
    "ldu": decode_load,
    "st": decode_store,
    "atom": decode_atomic,
    "red": decode_atomic,
}
