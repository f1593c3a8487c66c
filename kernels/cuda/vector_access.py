"""Reads and writes of 16 bytes at once: 4 float32, 2 float64, 8 float16 or bfloat16.

Numba's CUDA dialect has no such access, so these are LLVM vector loads and stores with a stated
alignment of 16 bytes; in PTX they are `ld.global.v4.f32` and its like. The numbers pass through a
small local array, which the compiler keeps in registers as long as every loop over it has a
constant length (`lanes_of` is one) and is unrolled:

    registers = cuda.local.array(MOST_LANES, log_dets.dtype)    # the computing type
    load_vector(x, i, registers, 0)                             # x[i : i + lanes_of(x)]
    for lane in range(lanes_of(x)):
        registers[lane] = ...
    store_vector(y, i, registers, 0)

Where the local array has the computing type and the array in memory is float16 or bfloat16, the
numbers are converted as `storage` says; where both have the same type they are moved unchanged.
`i` and the array's start must be aligned to 16 bytes; the host sees to it (layout.py).

In the simulator, which has no intrinsics, the same names are plain Python functions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, cuda
from numba.cuda import types
from numba.cuda.extending import intrinsic

from refglow.kernels.cuda.storage import (
    load_simulated,
    narrowed,
    pointer_to,
    store_simulated,
    widened,
)

VECTOR_BYTES = 16
MOST_LANES = 8  # of the smallest type, 2 bytes
# cuda.shared.array(count, dtype, SHARED_ALIGNMENT) can be read and written 16 bytes at a time. (The
# simulator, where arrays are aligned as it is, refuses to be asked.)
SHARED_ALIGNMENT = None if config.ENABLE_CUDASIM else VECTOR_BYTES
_INT16, _INT32, _INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _lanes(dtype: Any) -> int:
    return 8 * VECTOR_BYTES // int(dtype.bitwidth)


def _lanes_of(typing_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _INT64(_lanes(array.dtype))
    return types.int64(array), generate


# A vector of eight 16-bit numbers would be read in two halves of 8 bytes. As four 32-bit words it
# is read at once, so 16-bit numbers travel in pairs, the one with the lower address in the lower
# half of its word.


def _vector_pointer(context: Any, builder: Any, array_type: Any, array: Any, index_type: Any,
                    index: Any) -> Any:
    pointer = pointer_to(context, builder, array_type, array, index_type, index)
    paired = _lanes(array_type.dtype) == MOST_LANES
    word = _INT32 if paired else pointer.type.pointee
    words = MOST_LANES // 2 if paired else _lanes(array_type.dtype)
    return builder.bitcast(pointer, ir.PointerType(ir.VectorType(word, words)))


def _lanes_from(builder: Any, vector: Any) -> list[Any]:
    """The numbers in a vector that was read."""
    words = [builder.extract_element(vector, _INT32(i)) for i in range(vector.type.count)]
    if vector.type.element != _INT32:
        return words
    halves = [(word, builder.lshr(word, _INT32(16))) for word in words]
    return [builder.trunc(half, _INT16) for pair in halves for half in pair]


def _vector_from(builder: Any, lanes: list[Any], vector_type: Any) -> Any:
    """The vector to write these numbers as."""
    if vector_type.element == _INT32:
        wide = [builder.zext(lane, _INT32) for lane in lanes]
        lanes = [builder.or_(lower, builder.shl(upper, _INT32(16)))
                 for lower, upper in zip(wide[::2], wide[1::2], strict=True)]
    vector = ir.Constant(vector_type, ir.Undefined)
    for i, lane in enumerate(lanes):
        vector = builder.insert_element(vector, lane, _INT32(i))
    return vector


def _load_vector(typing_context: Any, array: Any, index: Any, registers: Any, first: Any) -> Any:
    raw = array.dtype == registers.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _vector_pointer(context, builder, array, arguments[0], index, arguments[1])
        target = pointer_to(context, builder, registers, arguments[2], first, arguments[3])
        vector = builder.load(pointer)
        vector.align = VECTOR_BYTES
        for lane, value in enumerate(_lanes_from(builder, vector)):
            number = value if raw else widened(builder, value, array.dtype)
            builder.store(number, builder.gep(target, [_INT64(lane)]))
        return context.get_dummy_value()
    return types.void(array, index, registers, first), generate


def _store_vector(typing_context: Any, array: Any, index: Any, registers: Any, first: Any) -> Any:
    raw = array.dtype == registers.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _vector_pointer(context, builder, array, arguments[0], index, arguments[1])
        source = pointer_to(context, builder, registers, arguments[2], first, arguments[3])
        numbers = [builder.load(builder.gep(source, [_INT64(lane)]))
                   for lane in range(_lanes(array.dtype))]
        lanes = numbers if raw else [narrowed(builder, n, array.dtype) for n in numbers]
        vector = _vector_from(builder, lanes, pointer.type.pointee)
        builder.store(vector, pointer).align = VECTOR_BYTES
        return context.get_dummy_value()
    return types.void(array, index, registers, first), generate


def _lanes_of_simulated(array: Any) -> int:
    return VECTOR_BYTES // int(array.dtype.itemsize)


def _load_vector_simulated(array: Any, index: int, registers: Any, first: int) -> None:
    for lane in range(_lanes_of_checked(array, index)):
        if array.dtype == registers.dtype:
            registers[first + lane] = array[index + lane]
        else:
            registers[first + lane] = load_simulated(array, index + lane)


def _store_vector_simulated(array: Any, index: int, registers: Any, first: int) -> None:
    for lane in range(_lanes_of_checked(array, index)):
        if array.dtype == registers.dtype:
            array[index + lane] = registers[first + lane]
        else:
            store_simulated(array, index + lane, registers[first + lane])


def _lanes_of_checked(array: Any, index: int) -> int:
    lanes = _lanes_of_simulated(array)
    if index % lanes:
        raise IndexError(f"a vector of {lanes} elements starts at element {index}, which is not "
                         f"aligned to {VECTOR_BYTES} bytes.")
    return lanes


# lanes_of(array): how many of its elements are 16 bytes; a constant to the compiler.
lanes_of: Any = _lanes_of_simulated if config.ENABLE_CUDASIM else intrinsic(_lanes_of)
# load_vector(array, index, registers, first): 16 bytes from array[index] on into registers[first:].
load_vector: Any = _load_vector_simulated if config.ENABLE_CUDASIM else intrinsic(_load_vector)
# store_vector(array, index, registers, first): the other way round.
store_vector: Any = _store_vector_simulated if config.ENABLE_CUDASIM else intrinsic(_store_vector)


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def copy_vector(source: Any, source_at: int, target: Any, target_at: int) -> None:
    """16 bytes of `source`, from element `source_at` on, to the same type's `target`, unchanged."""
    registers = cuda.local.array(MOST_LANES, source.dtype)
    load_vector(source, source_at, registers, 0)
    store_vector(target, target_at, registers, 0)


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def copy_by_block(source: Any, source_at: int, target: Any, target_at: int, count: int) -> None:
    """target[target_at : + count] = source[source_at : + count], 16 bytes a thread at a time."""
    lanes = lanes_of(source)
    i = cuda.threadIdx.x * lanes
    while i < count:
        copy_vector(source, source_at + i, target, target_at + i)
        i += cuda.blockDim.x * lanes
