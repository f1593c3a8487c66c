"""ActNorm on the CPU, in one pass over memory.

A tile is some whole pixels; the shift and the scale of each of its numbers stand beside it in the
first-level cache, so that vectors run over the tile whatever the number of channels is. Sums over
pixels are kept for each place of the tile, and folded to channels at the end of a chunk.

The cotangents and sums of both directions follow from out = bar a, S1 = sum bar and S2 = sum bar z:

    forward vjp   a = e^-v    z_bar = out    m_bar = -S1     v_bar = -a S2 - fldj_bar
    inverse vjp   a = e^v     x_bar = out    m_bar = a S1    v_bar = S2 + ildj_bar

The statistics come from those of chunks, with n_k pixels, mean m_k and q_k = sum (x - m_k)^2 each:

    mean = sum n_k m_k / n    variance = sum (q_k + n_k (m_k - mean)^2) / n

In neither sum is anything subtracted that would cancel, and a chunk is in the cache when its
squares are summed about its mean.

Memory: as many numbers read as written; the vjps read as many again. `channel_statistics` reads
only, and once.

Source: the specification in refglow/bijectors/activation_normalization.py; Chan, Golub & LeVeque
1983, "Algorithms for Computing the Sample Variance", for the variance from parts.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from refglow.kernels.cpu.addresses import load
from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.layout import Array, read_only
from refglow.kernels.cpu.memory import from_number, is_streamed, one_of, order_stores, put
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

_WIDE = np.dtype(np.float64)

# So little is done for a number that chunks are larger here than elsewhere.
_CHUNK = 4 * CHUNK


def activation_normalization_forward(z: Array, shift: Array,
                                     log_scale: Array) -> tuple[Array, Array]:
    """See the specification."""
    _check(z, shift, log_scale)
    x = np.empty(z.shape, common_dtype(z, shift, log_scale))
    _run(_forward_chunk, _forward_chunks, z.shape, flat(z, x.dtype),
         flat(shift, _WIDE),
         read_only(np.exp(-flat(log_scale, _WIDE))), x.reshape(-1), is_streamed(x))
    return x, -log_scale.sum(dtype=_WIDE)


def activation_normalization_inverse(x: Array, shift: Array,
                                     log_scale: Array) -> tuple[Array, Array]:
    """See the specification."""
    _check(x, shift, log_scale)
    z = np.empty(x.shape, common_dtype(x, shift, log_scale))
    _run(_inverse_chunk, _inverse_chunks, x.shape, flat(x, z.dtype),
         flat(shift, _WIDE),
         read_only(np.exp(flat(log_scale, _WIDE))), z.reshape(-1), is_streamed(z))
    return z, log_scale.sum(dtype=_WIDE)


def activation_normalization_forward_vjp(z: Array, shift: Array, log_scale: Array, x_bar: Array,
                                         fldj_bar: Array) -> tuple[Array, Array, Array]:
    """See the specification."""
    _check(z, shift, log_scale)
    factor = np.exp(-flat(log_scale, _WIDE))
    z_bar, bars, products = _pulled_back(z, x_bar, factor,
                                         common_dtype(z, shift, log_scale, x_bar))
    return _rounded(z_bar, -bars, -factor * products - fldj_bar)


def activation_normalization_inverse_vjp(z: Array, shift: Array, log_scale: Array, z_bar: Array,
                                         ildj_bar: Array) -> tuple[Array, Array, Array]:
    """See the specification."""
    _check(z, shift, log_scale)
    factor = np.exp(flat(log_scale, _WIDE))
    x_bar, bars, products = _pulled_back(z, z_bar, factor,
                                         common_dtype(z, shift, log_scale, z_bar))
    return _rounded(x_bar, factor * bars, products + ildj_bar)


def channel_statistics(batch: Array, epsilon: float) -> tuple[Array, Array]:
    """See the specification."""
    dtype, channels = common_dtype(batch), batch.shape[-1]
    means, squares = (np.empty((_chunks(batch.shape), channels)) for _ in range(2))
    _run(_moments_chunk, _moments_chunks, batch.shape, flat(batch, dtype), means, squares)
    count, of_chunk = batch.size // max(1, channels), _numbers_of_chunk(channels)
    begins = np.arange(len(means)) * of_chunk
    pixels = np.minimum(of_chunk, batch.size - begins)[:, None] // max(1, channels)
    mean = (pixels * means).sum(axis=0) / count
    total = (squares + pixels * (means - mean)**2).sum(axis=0)
    return mean, np.sqrt(total / count) + epsilon


def _check(z: Array, shift: Array, log_scale: Array) -> None:
    for what, array in (("shift", shift), ("log_scale", log_scale)):
        require_shape(what, array, z.shape[-1:])


def _rounded(z_bar: Array, shift_bar: Array,
             log_scale_bar: Array) -> tuple[Array, Array, Array]:
    return z_bar, shift_bar.astype(z_bar.dtype), log_scale_bar.astype(z_bar.dtype)


def _tile(channels: int) -> int:
    """Numbers of a tile: some whole pixels."""
    return max(1, TILE // max(1, channels)) * channels


def _numbers_of_chunk(channels: int) -> int:
    tile = max(1, _tile(channels))
    return tile * max(1, _CHUNK // tile)


def _chunks(shape: tuple[int, ...]) -> int:
    return parts_of(math.prod(shape), _numbers_of_chunk(shape[-1]))


def _run(one: Any, all_of_them: Any, shape: tuple[int, ...], *arguments: Any) -> None:
    run_chunks(one, all_of_them, _chunks(shape), *arguments, _tile(shape[-1]),
               _numbers_of_chunk(shape[-1]))


def _pulled_back(z: Array, bar: Array, factor: Array,
                 dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """(out, S1, S2) of the derivation above."""
    require_shape("The cotangent of the result", bar, z.shape)
    out, sums = np.empty(z.shape, dtype), np.empty((_chunks(z.shape), 2, z.shape[-1]))
    _run(_pull_back_chunk, _pull_back_chunks, z.shape, flat(z, dtype), flat(bar, dtype),
         read_only(factor), out.reshape(-1), sums, is_streamed(out))
    total = sums.sum(axis=0)
    return out, total[0], total[1]


# ---- compiled: numbers chunk * size to (chunk + 1) * size - 1 ------------------------------------


@compiled_parallel
def _forward_chunks(z: Array, shift: Array, factor: Array, x: Array, streamed: bool, width: int,
                    size: int, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _forward_chunk(z, shift, factor, x, streamed, width, size, np.int64(chunk))


@compiled
def _forward_chunk(z: Array, shift: Array, factor: Array, x: Array, streamed: bool, width: int,
                   size: int, chunk: Chunk) -> None:
    shifts, factors = _repeated(shift, width), _repeated(factor, width)
    tile = np.empty(width, x.dtype)
    for start in range(chunk * size, min((chunk + 1) * size, x.size), width):
        count = min(width, x.size - start)
        given, one = from_number(z, start), one_of(z)
        for i in range(count):
            tile[i] = fma(load(given, i, one), factors[i], -shifts[i])
        put(tile, count, x, start, streamed)
    order_stores()


@compiled_parallel
def _inverse_chunks(x: Array, shift: Array, factor: Array, z: Array, streamed: bool, width: int,
                    size: int, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _inverse_chunk(x, shift, factor, z, streamed, width, size, np.int64(chunk))


@compiled
def _inverse_chunk(x: Array, shift: Array, factor: Array, z: Array, streamed: bool, width: int,
                   size: int, chunk: Chunk) -> None:
    shifts, factors = _repeated(shift, width), _repeated(factor, width)
    tile = np.empty(width, z.dtype)
    for start in range(chunk * size, min((chunk + 1) * size, z.size), width):
        count = min(width, z.size - start)
        given, one = from_number(x, start), one_of(x)
        for i in range(count):
            tile[i] = (load(given, i, one) + shifts[i]) * factors[i]
        put(tile, count, z, start, streamed)
    order_stores()


@compiled_parallel
def _pull_back_chunks(z: Array, bar: Array, factor: Array, out: Array, sums: Array,
                      streamed: bool, width: int, size: int, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _pull_back_chunk(z, bar, factor, out, sums, streamed, width, size, np.int64(chunk))


@compiled
def _pull_back_chunk(z: Array, bar: Array, factor: Array, out: Array, sums: Array, streamed: bool,
                     width: int, size: int, chunk: Chunk) -> None:
    tile, factors = np.empty(width, out.dtype), _repeated(factor, width)
    bars, products = np.zeros(width), np.zeros(width)
    for start in range(chunk * size, min((chunk + 1) * size, out.size), width):
        count = min(width, out.size - start)
        given, pulled, one = from_number(z, start), from_number(bar, start), one_of(z)
        for i in range(count):
            wide = np.float64(load(pulled, i, one))
            tile[i] = wide * factors[i]
            bars[i] += wide
            products[i] = fma(wide, load(given, i, one), products[i])
        put(tile, count, out, start, streamed)
    _fold(bars, sums[chunk, 0])
    _fold(products, sums[chunk, 1])
    order_stores()


@compiled_parallel
def _moments_chunks(batch: Array, means: Array, squares: Array, width: int, size: int,
                    chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _moments_chunk(batch, means, squares, width, size, np.int64(chunk))


@compiled
def _moments_chunk(batch: Array, means: Array, squares: Array, width: int, size: int,
                   chunk: Chunk) -> None:
    """The chunk's means, and its sums of squares about them; it is in the cache the second time."""
    first, last, one = chunk * size, min((chunk + 1) * size, batch.size), one_of(batch)
    sums = np.zeros(width)
    for start in range(first, last, width):
        given = from_number(batch, start)
        for i in range(min(width, last - start)):
            sums[i] += load(given, i, one)
    _fold(sums, means[chunk])
    for c in range(means.shape[1]):
        means[chunk, c] /= (last - first) // means.shape[1]
    centers, sums = _repeated(means[chunk], width), np.zeros(width)
    for start in range(first, last, width):
        given = from_number(batch, start)
        for i in range(min(width, last - start)):
            distance = load(given, i, one) - centers[i]
            sums[i] = fma(distance, distance, sums[i])
    _fold(sums, squares[chunk])


@compiled
def _repeated(numbers: Array, width: int) -> Array:
    """The numbers of all channels for one pixel after the other, `width` in all."""
    result = np.empty(width)
    for start in range(0, width, max(1, len(numbers))):  # (a slice would take a second to compile)
        for c in range(min(len(numbers), width - start)):
            result[start + c] = numbers[c]
    return result


@compiled
def _fold(places: Array, channels: Array) -> None:
    """channels[c] = sum of the numbers of channel c, from the tile's first pixel to its last."""
    for c in range(len(channels)):
        channels[c] = 0.0
    for start in range(0, len(places), len(channels)):
        for c in range(len(channels)):
            channels[c] += places[start + c]
