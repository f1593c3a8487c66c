"""The optimizers' updates on the CPU, in one pass over memory.

Everything is computed in the arrays' number type, in the specification's order, and nothing is
fused: the results are the specification's, bit for bit. The numbers beside the arrays are rounded
to their number type first, as NumPy does with Python's. (The norm is a sum, in its own order.)

Memory: Adam and Adamax read 4 numbers for each parameter and write 3; the average reads 2 and
writes 1; the norm reads 1.

Source: the specifications in refglow/training/optimizer.py, moving_average.py and clipping.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np

from refglow.kernels.cpu.addresses import load, size_of, store
from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.lane_sums import LANES, lane_sum
from refglow.kernels.cpu.layout import Array, read_only
from refglow.kernels.cpu.memory import (
    address_of,
    from_number,
    hold,
    is_streamed,
    one_of,
    order_stores,
    put_at,
)
from refglow.kernels.cpu.operands import (
    CHUNK,
    TILE,
    Chunk,
    common_dtype,
    flat,
    parts_of,
    require_shape,
    run_chunks,
)


def adam_update(parameter: Array, gradient: Array, first_moment: Array, second_moment: Array,
                step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float
                ) -> tuple[Array, Array, Array]:
    """See the specification. The arguments are left as they are."""
    return _updated(_adam_chunk, _adam_chunks, parameter, gradient, first_moment, second_moment,
                    (beta_1, 1 - beta_1, 1 - beta_1**step, beta_2, 1 - beta_2, 1 - beta_2**step,
                     learning_rate, epsilon, 0.0), False)


def adamw_update(parameter: Array, gradient: Array, first_moment: Array, second_moment: Array,
                 step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float,
                 weight_decay: float) -> tuple[Array, Array, Array]:
    """See the specification. The arguments are left as they are."""
    return _updated(_adam_chunk, _adam_chunks, parameter, gradient, first_moment, second_moment,
                    (beta_1, 1 - beta_1, 1 - beta_1**step, beta_2, 1 - beta_2, 1 - beta_2**step,
                     learning_rate, epsilon, learning_rate * weight_decay), True)


def adamax_update(parameter: Array, gradient: Array, first_moment: Array, infinity_norm: Array,
                  step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float
                  ) -> tuple[Array, Array, Array]:
    """See the specification. The arguments are left as they are."""
    return _updated(_adamax_chunk, _adamax_chunks, parameter, gradient, first_moment,
                    infinity_norm, (beta_1, 1 - beta_1, 1 - beta_1**step, beta_2, learning_rate,
                                    epsilon))


def average_update(average: Array, parameter: Array, decay: float) -> Array:
    """See the specification. The arguments are left as they are."""
    require_shape("parameter", parameter, average.shape)
    result = np.empty(average.shape, common_dtype(average, parameter))
    run_chunks(_average_chunk, _average_chunks, parts_of(result.size, CHUNK),
               flat(average, result.dtype), flat(parameter, result.dtype),
               read_only(np.array((decay, 1 - decay), result.dtype)), result.reshape(-1),
               is_streamed(result))
    return result


def global_norm(gradients: Mapping[str, Array]) -> float:
    """See the specification."""
    total = 0.0
    for gradient in gradients.values():
        sums = np.empty(parts_of(gradient.size, CHUNK))
        run_chunks(_squares_chunk, _squares_chunks, len(sums),
                   flat(gradient, common_dtype(gradient)), sums)
        total += float(sums.sum())
    return math.sqrt(total)


def _updated(one: Any, all_of_them: Any, parameter: Array, gradient: Array, first: Array,
             second: Array, numbers: tuple[float, ...],
             *more: bool) -> tuple[Array, Array, Array]:
    """Run one of the kernels that update a parameter and its moments."""
    for what, array in (("gradient", gradient), ("the first moment", first),
                        ("the second moment", second)):
        require_shape(what, array, parameter.shape)
    dtype = common_dtype(parameter, gradient, first, second)
    results = (np.empty(parameter.shape, dtype), np.empty(parameter.shape, dtype),
               np.empty(parameter.shape, dtype))
    run_chunks(one, all_of_them, parts_of(parameter.size, CHUNK), flat(parameter, dtype),
               flat(gradient, dtype), flat(first, dtype), flat(second, dtype),
               read_only(np.array(numbers, dtype)), *more,
               *(result.reshape(-1) for result in results), is_streamed(results[0]))
    return results


# ---- compiled: numbers chunk * CHUNK to (chunk + 1) * CHUNK - 1 ----------------------------------
#
# A tile has TILE new parameters, then TILE new numbers of each moment. As one array, of which the
# loop knows the distances, it is compared once with each of those that are read, which may overlap
# it for all the compiler knows; three arrays would be more comparisons than it makes vectors for.


@compiled_parallel
def _adam_chunks(parameter: Array, gradient: Array, first: Array, second: Array, numbers: Array,
                 decays: bool, new_parameter: Array, new_first: Array, new_second: Array,
                 streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _adam_chunk(parameter, gradient, first, second, numbers, decays, new_parameter, new_first,
                    new_second, streamed, np.int64(chunk))


@compiled
def _adam_chunk(parameter: Array, gradient: Array, first: Array, second: Array, numbers: Array,
                decays: bool, new_parameter: Array, new_first: Array, new_second: Array,
                streamed: bool, chunk: Chunk) -> None:
    tiles, one = np.empty(3 * TILE, parameter.dtype), one_of(parameter)
    for start in range(chunk * CHUNK, min((chunk + 1) * CHUNK, parameter.size), TILE):
        count = min(TILE, parameter.size - start)
        _adam_tile(from_number(parameter, start), from_number(gradient, start),
                   from_number(first, start), from_number(second, start), count, numbers, decays,
                   address_of(tiles), one)
        _put_tiles(address_of(tiles), count, new_parameter, new_first, new_second, start, streamed)
    hold(tiles)
    order_stores()


@compiled
def _adam_tile(parameter: int, gradient: int, first: int, second: int, count: int, numbers: Array,
               decays: bool, tiles: int, one: Any) -> None:
    beta_1, rest_1, correction_1 = numbers[0], numbers[1], numbers[2]
    beta_2, rest_2, correction_2 = numbers[3], numbers[4], numbers[5]
    rate, epsilon, decay = numbers[6], numbers[7], numbers[8]
    for i in range(count):
        w, w_bar = load(parameter, i, one), load(gradient, i, one)
        m = beta_1 * load(first, i, one) + rest_1 * w_bar
        v = beta_2 * load(second, i, one) + rest_2 * (w_bar * w_bar)
        # Not 0 w subtracted: that is NaN for an infinite w.
        decayed = w - decay * w if decays else w
        moved = rate * (m / correction_1) / (np.sqrt(v / correction_2) + epsilon)
        store(tiles, i, decayed - moved)
        store(tiles, i + TILE, m)
        store(tiles, i + 2 * TILE, v)


@compiled
def _put_tiles(tiles: int, count: int, new_parameter: Array, new_first: Array, new_second: Array,
               start: int, streamed: bool) -> None:
    one = one_of(new_parameter)
    step = TILE * size_of(one)
    put_at(tiles, count, address_of(new_parameter), start, streamed, one)
    put_at(tiles + step, count, address_of(new_first), start, streamed, one)
    put_at(tiles + 2 * step, count, address_of(new_second), start, streamed, one)


@compiled_parallel
def _adamax_chunks(parameter: Array, gradient: Array, first: Array, norm: Array, numbers: Array,
                   new_parameter: Array, new_first: Array, new_norm: Array, streamed: bool,
                   chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _adamax_chunk(parameter, gradient, first, norm, numbers, new_parameter, new_first,
                      new_norm, streamed, np.int64(chunk))


@compiled
def _adamax_chunk(parameter: Array, gradient: Array, first: Array, norm: Array, numbers: Array,
                  new_parameter: Array, new_first: Array, new_norm: Array, streamed: bool,
                  chunk: Chunk) -> None:
    tiles, one = np.empty(3 * TILE, parameter.dtype), one_of(parameter)
    for start in range(chunk * CHUNK, min((chunk + 1) * CHUNK, parameter.size), TILE):
        count = min(TILE, parameter.size - start)
        _adamax_tile(from_number(parameter, start), from_number(gradient, start),
                     from_number(first, start), from_number(norm, start), count, numbers,
                     address_of(tiles), one)
        _put_tiles(address_of(tiles), count, new_parameter, new_first, new_norm, start, streamed)
    hold(tiles)
    order_stores()


@compiled
def _adamax_tile(parameter: int, gradient: int, first: int, norm: int, count: int, numbers: Array,
                 tiles: int, one: Any) -> None:
    beta_1, rest_1, correction = numbers[0], numbers[1], numbers[2]
    beta_2, rate, epsilon = numbers[3], numbers[4], numbers[5]
    for i in range(count):
        w_bar = load(gradient, i, one)
        m = beta_1 * load(first, i, one) + rest_1 * w_bar
        old, new = beta_2 * load(norm, i, one), abs(w_bar) + epsilon
        # A NaN in either is kept: a comparison with it is false.
        u = old if old >= new or old != old else new
        store(tiles, i, load(parameter, i, one) - rate * (m / correction) / u)
        store(tiles, i + TILE, m)
        store(tiles, i + 2 * TILE, u)


@compiled_parallel
def _average_chunks(average: Array, parameter: Array, numbers: Array, result: Array,
                    streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _average_chunk(average, parameter, numbers, result, streamed, np.int64(chunk))


@compiled
def _average_chunk(average: Array, parameter: Array, numbers: Array, result: Array,
                   streamed: bool, chunk: Chunk) -> None:
    tile, one = np.empty(TILE, result.dtype), one_of(result)
    decay, rest = numbers[0], numbers[1]
    for start in range(chunk * CHUNK, min((chunk + 1) * CHUNK, result.size), TILE):
        count = min(TILE, result.size - start)
        old, new, to = (from_number(average, start), from_number(parameter, start),
                        address_of(tile))
        for i in range(count):
            store(to, i, decay * load(old, i, one) + rest * load(new, i, one))
        put_at(to, count, address_of(result), start, streamed, one)
    hold(tile)
    order_stores()


@compiled_parallel
def _squares_chunks(gradient: Array, sums: Array, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _squares_chunk(gradient, sums, np.int64(chunk))


@compiled
def _squares_chunk(gradient: Array, sums: Array, chunk: Chunk) -> None:
    """sums[chunk] = the sum of squares, in float64."""
    first = int(chunk) * CHUNK
    count = min(CHUNK, gradient.size - first)
    lanes, one = np.zeros(LANES), one_of(gradient)
    given, to = from_number(gradient, first), address_of(lanes)
    whole = count // LANES * LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            number = np.float64(load(given, start + lane, one))
            store(to, lane, fma(number, number, load(to, lane, 1.0)))
    for i in range(whole, count):
        number = np.float64(load(given, i, one))
        store(to, i - whole, fma(number, number, load(to, i - whole, 1.0)))
    sums[chunk] = lane_sum(to)
    hold(lanes)
