"""Moving numbers between large arrays and the small tiles, in the first cache, that are worked on.

Two things here are said to the compiler directly, because a loop cannot say them: that eight
numbers move as one vector, and that a vector goes to memory past the caches. Arrays are read and
written by address (addresses.py): a slice for every tile would cost more than what moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from refglow.kernels.cpu.addresses import load, size_of, store
from refglow.kernels.cpu.compiled import compiled, inlined
from refglow.kernels.cpu.layout import LINE_BYTES, Array

# Numbers that move as one: a run of a row's channels is copied in groups of so many.
GROUP = 8

# Results of at least so many bytes are stored past the caches. An ordinary store reads the line
# first that it is going to write, a third stream of memory beside the input and the output of a
# copy. A smaller result stays in the cache for whoever reads it next.
STREAMED_BYTES = 1 << 23


def is_streamed(result: Array) -> bool:
    """Whether a kernel should store this array past the caches."""
    return result.nbytes >= STREAMED_BYTES


def instruction(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Numba's `intrinsic`, typed as it is called: without the typing context.

    Args:
      generator: from the typing context and the arguments' types to (signature, code).
    """
    made: Callable[..., Any] = intrinsic(generator)
    return made


def _moves_vector(one: Any, lanes: int, past_caches: bool) -> Any:
    """(signature, code) of: target[:lanes] = source[:lanes], numbers of one's type, by address.

    Past the caches, the target must begin a cache line.
    """
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(context.get_data_type(one), lanes).as_pointer()
        to, origin = (builder.inttoptr(address, vector) for address in arguments[:2])
        number_bytes = one.bitwidth // 8
        numbers = builder.load(origin, align=number_bytes)
        stored = builder.store(numbers, to, align=LINE_BYTES if past_caches else number_bytes)
        if past_caches:
            mark = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
            stored.set_metadata("nontemporal", mark)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, one), generate


@instruction
def _copy_group(typing_context: Any, target: Any, source: Any, one: Any) -> Any:
    return _moves_vector(one, GROUP, past_caches=False)


@instruction
def _stream_line(typing_context: Any, target: Any, source: Any, one: Any) -> Any:
    return _moves_vector(one, LINE_BYTES * 8 // one.bitwidth, past_caches=True)


@instruction
def address_of(typing_context: Any, array: Any) -> Any:
    """Where the array's first number is, in bytes. See `hold`."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate


@inlined
def from_number(array: Array, start: int | np.int64) -> int:
    """The address of array[start]."""
    address: int = address_of(array) + start * size_of(one_of(array))
    return address


@inlined
def line_from(address: int) -> int:
    """The address of the first whole cache line from there on."""
    return (address + LINE_BYTES - 1) & -LINE_BYTES


@instruction
def hold(typing_context: Any, array: Any) -> Any:
    """Nothing; but the array lives until here, and what is read and written by address with it."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), generate


@instruction
def one_of(typing_context: Any, array: Any) -> Any:
    """1 in the array's number type."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_data_type(array.dtype), 1.0)

    return array.dtype(array), generate


@instruction
def order_stores(typing_context: Any) -> Any:
    """What was stored past the caches is seen by others before what this thread does next.

    A kernel calls it at the end of a chunk.
    """
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@compiled
def put(tile: Array, count: int, target: Array, start: int, streamed: bool) -> None:
    """target[start:start + count] = tile[:count], past the caches if `streamed`."""
    put_at(address_of(tile), count, address_of(target), start, streamed, one_of(target))
    hold(tile)
    hold(target)


@compiled
def put_at(tile: int, count: int, target: int, start: int, streamed: bool, one: Any) -> None:
    """The same, with the arrays given by address."""
    size, done = size_of(one), 0
    to = target + start * size
    if streamed:
        line = LINE_BYTES // size
        done = min(-to % LINE_BYTES // size, count)
        copy_run(tile, done, to, one)
        for _ in range((count - done) // line):
            _stream_line(to + done * size, tile + done * size, one)
            done += line
    copy_run(tile + done * size, count - done, to + done * size, one)


@inlined
def copy_run(source: int, count: int, target: int, one: Any) -> None:
    """target[:count] = source[:count], by address."""
    for i in range(count):
        store(target, i, load(source, i, one))


@inlined
def _copy_groups(source: int, groups: int, target: int, one: Any) -> None:
    for group in range(groups):
        _copy_group(target + group * GROUP * size_of(one), source + group * GROUP * size_of(one),
                    one)


@compiled
def take_columns(source: int, size: int, width: int, first: int, count: int, rows: int,
                 target: int, one: Any) -> None:
    """target[k count + j] = source[k width + first + j] for every row k and all j < count.

    Args:
      source: address of [rows, width].
      size: how many numbers there are from that address on, in these rows and after them.
      width, first, count, rows: which of them to take.
      target: address of [rows, count], with GROUP numbers to spare, which may be overwritten.
      one: 1 in the number type.
    """
    groups, number = (count + GROUP - 1) // GROUP, size_of(one)
    whole = _rows_of_groups(size, width, first, groups, rows)
    if groups == 1:  # a loop for it would cost as much as what it does
        for k in range(whole):
            _copy_group(target + k * count * number, source + (k * width + first) * number, one)
    else:
        for k in range(whole):
            _copy_groups(source + (k * width + first) * number, groups,
                         target + k * count * number, one)
    for k in range(whole, rows):
        copy_run(source + (k * width + first) * number, count, target + k * count * number, one)


@compiled
def join_columns(left: int, size: int, left_width: int, left_count: int, right: int,
                 right_count: int, rows: int, target: int, one: Any) -> None:
    """Row k of target: the first left_count numbers of row k of left, then row k of right.

    A group may reach beyond its run, into places that are written later: rows go in order.

    Args:
      left: address of [rows, left_width].
      size: how many numbers there are from that address on, in these rows and after them.
      left_width, left_count: of which rows, and how many numbers of each.
      right, right_count: address of [rows, right_count], with GROUP numbers to spare.
      rows: how many.
      target: address of [rows, left_count + right_count], with GROUP numbers to spare.
      one: 1 in the number type.
    """
    width, number = left_count + right_count, size_of(one)
    left_groups, right_groups = ((left_count + GROUP - 1) // GROUP,
                                 (right_count + GROUP - 1) // GROUP)
    whole = _rows_of_groups(size, left_width, 0, left_groups, rows)
    behind = target + left_count * number
    if left_groups == 1 and right_groups == 1:
        for k in range(whole):
            _copy_group(target + k * width * number, left + k * left_width * number, one)
            _copy_group(behind + k * width * number, right + k * right_count * number, one)
    else:
        for k in range(whole):
            _copy_groups(left + k * left_width * number, left_groups, target + k * width * number,
                         one)
            _copy_groups(right + k * right_count * number, right_groups,
                         behind + k * width * number, one)
    for k in range(whole, rows):
        copy_run(left + k * left_width * number, left_count, target + k * width * number, one)
        copy_run(right + k * right_count * number, right_count, behind + k * width * number, one)


@inlined
def _rows_of_groups(size: int, width: int, first: int, groups: int, rows: int) -> int:
    """In how many rows the run from column `first` can be read in groups without leaving them."""
    fits = (size - first - groups * GROUP) // max(1, width) + 1
    return min(max(fits, 0), rows)
