"""The optimizers' updates on the CPU, in one pass over memory.

Everything is computed in the arrays' number type, in the specification's order.

Memory: Adam and Adamax read 4 numbers for each parameter and write 3; the average reads 2 and
writes 1; the norm reads 1.

Source: the specifications in refglow/training/optimizer.py, moving_average.py and clipping.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numba
import numpy as np

from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.layout import Array, read_only
from refglow.kernels.cpu.memory import address_of, hold, is_streamed, order_stores, put
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
from refglow.kernels.cpu.vector_math import LANES, lane_sum


def adam_update(parameter: Array, gradient: Array, first_moment: Array, second_moment: Array,
                step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float
                ) -> tuple[Array, Array, Array]:
    """See the specification. The arguments are left as they are."""
    return adamw_update(parameter, gradient, first_moment, second_moment, step, learning_rate,
                        beta_1, beta_2, epsilon, 0.0)


def adamw_update(parameter: Array, gradient: Array, first_moment: Array, second_moment: Array,
                 step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float,
                 weight_decay: float) -> tuple[Array, Array, Array]:
    """See the specification. The arguments are left as they are."""
    arrays = parameter, gradient, first_moment, second_moment
    numbers = (beta_1, 1 - beta_1, 1 - beta_1**step, beta_2, 1 - beta_2, 1 - beta_2**step,
               learning_rate, epsilon, learning_rate * weight_decay)
    results = _results(*arrays)
    dtype = results[0].dtype
    run_chunks(_adam_chunk, _adam_chunks, parts_of(parameter.size, CHUNK),
               *(flat(array, dtype) for array in arrays), read_only(np.array(numbers, dtype)),
               *(result.reshape(-1) for result in results), is_streamed(results[0]))
    return results


def adamax_update(parameter: Array, gradient: Array, first_moment: Array, infinity_norm: Array,
                  step: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float
                  ) -> tuple[Array, Array, Array]:
    """See the specification. The arguments are left as they are."""
    arrays = parameter, gradient, first_moment, infinity_norm
    numbers = beta_1, 1 - beta_1, 1 - beta_1**step, beta_2, learning_rate, epsilon
    results = _results(*arrays)
    dtype = results[0].dtype
    run_chunks(_adamax_chunk, _adamax_chunks, parts_of(parameter.size, CHUNK),
               *(flat(array, dtype) for array in arrays), read_only(np.array(numbers, dtype)),
               *(result.reshape(-1) for result in results), is_streamed(results[0]))
    return results


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


def _results(parameter: Array, gradient: Array, first: Array,
             second: Array) -> tuple[Array, Array, Array]:
    for what, array in (("gradient", gradient), ("the first moment", first),
                        ("the second moment", second)):
        require_shape(what, array, parameter.shape)
    dtype = common_dtype(parameter, gradient, first, second)
    return (np.empty(parameter.shape, dtype), np.empty(parameter.shape, dtype),
            np.empty(parameter.shape, dtype))


# ---- compiled: numbers chunk * CHUNK to (chunk + 1) * CHUNK - 1 ----------------------------------


@compiled_parallel
def _adam_chunks(parameter: Array, gradient: Array, first: Array, second: Array, numbers: Array,
                 new_parameter: Array, new_first: Array, new_second: Array, streamed: bool,
                 chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _adam_chunk(parameter, gradient, first, second, numbers, new_parameter, new_first,
                    new_second, streamed, np.int64(chunk))


@compiled
def _adam_chunk(parameter: Array, gradient: Array, first: Array, second: Array, numbers: Array,
                new_parameter: Array, new_first: Array, new_second: Array, streamed: bool,
                chunk: Chunk) -> None:
    w, m, v = (np.empty(TILE, parameter.dtype), np.empty(TILE, parameter.dtype),
               np.empty(TILE, parameter.dtype))
    for start in range(chunk * CHUNK, min((chunk + 1) * CHUNK, parameter.size), TILE):
        count = min(TILE, parameter.size - start)
        m[:count] = first[start:start + count]
        v[:count] = second[start:start + count]
        w[:count] = parameter[start:start + count]
        _adam_moments(gradient[start:start + count], numbers, m, v)
        if numbers[8] != 0:
            _decay(numbers[8], w)
        _adam_step(m, v, numbers, w[:count])
        put(w, count, new_parameter, start, streamed)
        put(m, count, new_first, start, streamed)
        put(v, count, new_second, start, streamed)
    order_stores()


@compiled
def _adam_moments(gradient: Array, numbers: Array, m: Array, v: Array) -> None:
    beta_1, rest_1, beta_2, rest_2 = numbers[0], numbers[1], numbers[3], numbers[4]
    for i in range(gradient.size):
        m[i] = beta_1 * m[i] + rest_1 * gradient[i]
        v[i] = beta_2 * v[i] + rest_2 * (gradient[i] * gradient[i])


@compiled
def _decay(rate: float, w: Array) -> None:
    for i in range(w.size):
        w[i] = w[i] - rate * w[i]


@compiled
def _adam_step(m: Array, v: Array, numbers: Array, w: Array) -> None:
    correction_1, correction_2, rate, epsilon = numbers[2], numbers[5], numbers[6], numbers[7]
    for i in range(w.size):
        root = np.sqrt(v[i] / correction_2)
        w[i] = w[i] - rate * (m[i] / correction_1) / (root + epsilon)


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
    w, m, u = (np.empty(TILE, parameter.dtype), np.empty(TILE, parameter.dtype),
               np.empty(TILE, parameter.dtype))
    for start in range(chunk * CHUNK, min((chunk + 1) * CHUNK, parameter.size), TILE):
        count = min(TILE, parameter.size - start)
        m[:count] = first[start:start + count]
        u[:count] = norm[start:start + count]
        w[:count] = parameter[start:start + count]
        _adamax_moments(gradient[start:start + count], numbers, m, u)
        _adamax_step(m, u, numbers, w[:count])
        put(w, count, new_parameter, start, streamed)
        put(m, count, new_first, start, streamed)
        put(u, count, new_norm, start, streamed)
    order_stores()


@compiled
def _adamax_moments(gradient: Array, numbers: Array, m: Array, u: Array) -> None:
    beta_1, rest_1, beta_2, epsilon = numbers[0], numbers[1], numbers[3], numbers[5]
    for i in range(gradient.size):
        m[i] = beta_1 * m[i] + rest_1 * gradient[i]
        old, new = beta_2 * u[i], abs(gradient[i]) + epsilon
        # A NaN in either is kept: a comparison with it is false.
        u[i] = old if old >= new or old != old else new


@compiled
def _adamax_step(m: Array, u: Array, numbers: Array, w: Array) -> None:
    correction, rate = numbers[2], numbers[4]
    for i in range(w.size):
        w[i] = w[i] - rate * (m[i] / correction) / u[i]


@compiled_parallel
def _average_chunks(average: Array, parameter: Array, numbers: Array, result: Array,
                    streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _average_chunk(average, parameter, numbers, result, streamed, np.int64(chunk))


@compiled
def _average_chunk(average: Array, parameter: Array, numbers: Array, result: Array,
                   streamed: bool, chunk: Chunk) -> None:
    tile = np.empty(TILE, result.dtype)
    for start in range(chunk * CHUNK, min((chunk + 1) * CHUNK, result.size), TILE):
        old, new = average[start:start + TILE], parameter[start:start + TILE]
        for i in range(old.size):
            tile[i] = numbers[0] * old[i] + numbers[1] * new[i]
        put(tile, old.size, result, start, streamed)
    order_stores()


@compiled_parallel
def _squares_chunks(gradient: Array, sums: Array, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _squares_chunk(gradient, sums, np.int64(chunk))


@compiled
def _squares_chunk(gradient: Array, sums: Array, chunk: Chunk) -> None:
    """sums[chunk] = the sum of squares, in float64."""
    part = gradient[chunk * CHUNK:(chunk + 1) * CHUNK]
    lanes = np.zeros(LANES)
    whole = part.size // LANES * LANES
    for start in range(0, whole, LANES):
        group = part[start:start + LANES]
        for lane in range(LANES):
            lanes[lane] += np.float64(group[lane]) * np.float64(group[lane])
    for i in range(whole, part.size):
        lanes[i - whole] += np.float64(part[i]) * np.float64(part[i])
    sums[chunk] = lane_sum(address_of(lanes))
    hold(lanes)
