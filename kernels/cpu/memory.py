"""Moving numbers between large arrays and the small tiles, in the first cache, that are worked on.

Two things here are said to the compiler directly, because a loop cannot say them: that eight
numbers move as one vector, and that a vector goes to memory past the caches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from refglow.kernels.cpu.compiled import compiled, inlined
from refglow.kernels.cpu.layout import Array

# Numbers that move as one: a run of a row's channels is copied in groups of so many.
GROUP = 8

_LINE_BYTES = 64

# Results of at least so many bytes are stored past the caches. An ordinary store reads the line
# first that it is going to write, a third stream of memory beside the input and the output of a
# copy. A smaller result stays in the cache for whoever reads it next.
STREAMED_BYTES = 1 << 25


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


def _moves_vector(target: Any, source: Any, lanes: int, past_caches: bool) -> Any:
    """(signature, code) of: target[i:i + lanes] = source[j:j + lanes], flat arrays of one type.

    Past the caches, target[i] must begin a cache line.
    """
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, i, origin, j = arguments
        vector = ir.VectorType(context.get_data_type(target.dtype), lanes)
        places = [builder.bitcast(builder.gep(context.make_array(kind)(context, builder, a).data,
                                              [at]), vector.as_pointer())
                  for kind, a, at in ((source, origin, j), (target, to, i))]
        number_bytes = target.dtype.bitwidth // 8
        numbers = builder.load(places[0], align=number_bytes)
        stored = builder.store(numbers, places[1],
                               align=_LINE_BYTES if past_caches else number_bytes)
        if past_caches:
            mark = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
            stored.set_metadata("nontemporal", mark)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), generate


@instruction
def _copy_group(typing_context: Any, target: Any, i: Any, source: Any, j: Any) -> Any:
    return _moves_vector(target, source, GROUP, past_caches=False)


@instruction
def _stream_line(typing_context: Any, target: Any, i: Any, source: Any, j: Any) -> Any:
    return _moves_vector(target, source, _LINE_BYTES * 8 // target.dtype.bitwidth,
                         past_caches=True)


@instruction
def _address(typing_context: Any, array: Any) -> Any:
    """Where the array's first number is, in bytes."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate


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
    part = target[start:start + count]
    done = 0
    if streamed:
        line = _LINE_BYTES // target.itemsize
        before = -_address(part) % _LINE_BYTES // target.itemsize
        done = min(before, count)
        for i in range(done):
            part[i] = tile[i]
        for _ in range((count - done) // line):
            _stream_line(part, done, tile, done)
            done += line
    rest, last = part[done:], tile[done:count]
    for i in range(rest.size):
        rest[i] = last[i]


@compiled
def take_columns(source: Array, width: int, first: int, count: int, rows: int,
                 target: Array) -> None:
    """target[k count + j] = source[k width + first + j] for every row k and all j < count.

    Args:
      source: flat, [rows, width].
      target: flat, with GROUP numbers to spare, which may be overwritten.
    """
    groups = (count + GROUP - 1) // GROUP
    whole = _rows_of_groups(source.size, width, first, groups, rows)
    for k in range(whole):
        for group in range(groups):
            _copy_group(target, k * count + group * GROUP, source,
                        k * width + first + group * GROUP)
    for k in range(whole, rows):
        for j in range(count):
            target[k * count + j] = source[k * width + first + j]


@compiled
def join_columns(left: Array, left_width: int, left_count: int, right: Array, right_count: int,
                 rows: int, target: Array) -> None:
    """Row k of target: the first left_count numbers of row k of left, then row k of right.

    A group may reach beyond its run, into places that are written later: rows go in order.

    Args:
      left: flat, [rows, left_width].
      right: flat, [rows, right_count], with GROUP numbers to spare.
      target: flat, [rows, left_count + right_count], with GROUP numbers to spare.
    """
    width = left_count + right_count
    left_groups, right_groups = ((left_count + GROUP - 1) // GROUP,
                                 (right_count + GROUP - 1) // GROUP)
    whole = _rows_of_groups(left.size, left_width, 0, left_groups, rows)
    for k in range(rows):
        if k < whole:
            for group in range(left_groups):
                _copy_group(target, k * width + group * GROUP, left,
                            k * left_width + group * GROUP)
        else:
            for j in range(left_count):
                target[k * width + j] = left[k * left_width + j]
        for group in range(right_groups):
            _copy_group(target, k * width + left_count + group * GROUP, right,
                        k * right_count + group * GROUP)


@inlined
def _rows_of_groups(size: int, width: int, first: int, groups: int, rows: int) -> int:
    """In how many rows the run from column `first` can be read in groups without leaving them."""
    fits = (size - first - groups * GROUP) // max(1, width) + 1
    return min(max(fits, 0), rows)
