"""Two triangular substitutions for every pixel: the inverse of a 1x1 convolution on a GPU.

    v_i = x[p, source[i]]
    v <- solve lower v' = v, then solve upper v'' = v'
    y[p, target[i]] = v_i + after[target[i]]

lower and upper share one array, `factors`, transposed and negated: factors[j, i] is minus the
number of row i and column j, so that each step is one fused multiply-add. `lower_reciprocals` and
`upper_reciprocals` are one over the diagonals.

    naive   a thread for each pixel, which works on its row of y in memory
    tiled   the factors and a tile of pixels in shared memory; a thread for each pixel, which solves
            for a vector of channels at a time

Both take any matrix; the tiled one needs the factors to fit on the chip.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.launch_shape import THREADS, blocks_for, ceil_div
from refglow.kernels.cuda.layout import flat, lanes_in_vector
from refglow.kernels.cuda.lu_algebra import WIDE, TriangularFactors, factors_of_inverse
from refglow.kernels.cuda.on_chip import aligned_flat, fits_on_chip, row_stride
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import (
    SHARED_ALIGNMENT,
    copy_vector,
    lanes_of,
    load_vector,
    store_vector,
)

TILE = 64  # pixels, and threads of a block
_MOST_TILED_BLOCKS = 4096  # further tiles are theirs too, so that the factors are read less often


def substitution_naive(x: Any, factors: Any, lower_reciprocals: Any, upper_reciprocals: Any,
                       source: Any, target: Any, after: Any, y: Any, pixels: int,
                       channels: int) -> None:
    """A thread for each pixel; v_i is kept where it goes, at y[p, target[i]]."""
    pixel = cuda.grid(1)
    while pixel < pixels:
        first = pixel * channels
        for i in range(channels):
            value = load(x, first + load(source, i))
            for j in range(i):
                value += load(factors, j * channels + i) * load(y, first + load(target, j))
            store(y, first + load(target, i), value * load(lower_reciprocals, i))
        for n in range(channels):
            i = channels - 1 - n
            value = load(y, first + load(target, i))
            for j in range(i + 1, channels):
                value += load(factors, j * channels + i) * load(y, first + load(target, j))
            store(y, first + load(target, i), value * load(upper_reciprocals, i))
        for i in range(channels):
            store(y, first + i, load(y, first + i) + load(after, i))
        pixel += cuda.gridsize(1)


SUBSTITUTION_NAIVE = Kernel(substitution_naive, occupancy=0.62)  # 64-bit indices: 40 registers

# ---- tiled ------------------------------------------------------------------------------------
#
# A thread has a pixel's row of the tile for itself. It solves for V channels, a vector, at a time:
# first what the channels solved before contribute, V of them at a time, V^2 multiply-adds for 1 + V
# vectors read; then the V x V triangle on the diagonal, column by column, in registers.
#
# A thread for each pixel, whose row is in shared memory, means that shared memory limits how many
# threads there are: 192 on a multiprocessor for 48 channels of float64, 448 of float32. Where that
# is too slow and the number type allows it, the product with the inverted matrix is the way.


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def _add_solved(tile: Any, first: int, j: int, factors: Any, channels: int, i: int,
                     solved: Any, row: Any, values: Any) -> None:
    """values[r] += sum_k factors[j + k, i + r] * tile[first + j + k], k and r below the lanes."""
    lanes = lanes_of(tile)
    load_vector(tile, first + j, solved, 0)
    for k in range(lanes):
        load_vector(factors, (j + k) * channels + i, row, 0)
        for r in range(lanes):
            values[r] += row[r] * solved[k]


@functools.cache
def tiled_substitution(channels: int, lanes: int) -> Kernel:
    """The tiled kernel for that many channels, a multiple of the lanes of a vector."""
    stride, matrix_size = row_stride(channels, lanes), channels * channels
    tile_size = TILE * stride

    def substitution_tiled(x: Any, factors: Any, lower_reciprocals: Any, upper_reciprocals: Any,
                           arrival: Any, departure: Any, after: Any, y: Any, pixels: int) -> None:
        matrix = cuda.shared.array(matrix_size, x.dtype, SHARED_ALIGNMENT)
        tile = cuda.shared.array(tile_size, x.dtype, SHARED_ALIGNMENT)
        solved = cuda.local.array(lanes, x.dtype)
        row = cuda.local.array(lanes, x.dtype)
        values = cuda.local.array(lanes, x.dtype)
        thread = cuda.threadIdx.x
        own = thread * stride
        for k in range(thread * lanes, matrix_size, TILE * lanes):
            copy_vector(factors, k, matrix, k)
        first = cuda.blockIdx.x * TILE
        while first < pixels:
            cuda.syncthreads()
            for k in range(thread * lanes, TILE * channels, TILE * lanes):
                pixel = quotient(k, channels)
                channel = k - pixel * channels
                load_vector(x, min(first + pixel, pixels - 1) * channels + channel, row, 0)
                for v in range(lanes):
                    store(tile, pixel * stride + load(arrival, channel + v), row[v])
            cuda.syncthreads()
            for i in range(0, channels, lanes):
                load_vector(tile, own + i, values, 0)
                for j in range(0, i, lanes):
                    _add_solved(tile, own, j, matrix, channels, i, solved, row, values)
                for k in range(lanes):
                    values[k] *= load(lower_reciprocals, i + k)
                    load_vector(matrix, (i + k) * channels + i, row, 0)
                    for r in range(lanes):
                        if r > k:
                            values[r] += row[r] * values[k]
                store_vector(tile, own + i, values, 0)
            for n in range(lanes, channels + lanes, lanes):
                i = channels - n
                load_vector(tile, own + i, values, 0)
                for j in range(i + lanes, channels, lanes):
                    _add_solved(tile, own, j, matrix, channels, i, solved, row, values)
                for m in range(lanes):
                    k = lanes - 1 - m
                    values[k] *= load(upper_reciprocals, i + k)
                    load_vector(matrix, (i + k) * channels + i, row, 0)
                    for r in range(lanes):
                        if r < k:
                            values[r] += row[r] * values[k]
                store_vector(tile, own + i, values, 0)
            cuda.syncthreads()
            for k in range(thread * lanes, TILE * channels, TILE * lanes):
                pixel = quotient(k, channels)
                channel = k - pixel * channels
                if first + pixel < pixels:
                    load_vector(after, channel, values, 0)
                    for v in range(lanes):
                        values[v] += load(tile, pixel * stride + load(departure, channel + v))
                    store_vector(y, (first + pixel) * channels + channel, values, 0)
            first += cuda.gridDim.x * TILE
    # A tile of float64 numbers is 43 KiB: on sm_75 one block has room, of two warps in 32.
    return Kernel(substitution_tiled, vectorized=True, occupancy=0.06)


def solve_naive(device: Device, x: Any, factors: TriangularFactors, after: Any) -> Any:
    """As `solve`, by the naive kernel."""
    pixels, channels = x.shape
    numbers = flat(device, x)
    y = device.xp.empty_like(numbers)
    device.launch(SUBSTITUTION_NAIVE, blocks_for(pixels), THREADS, numbers, *factors.arrays,
                  factors.source, factors.target, flat(device, after), y, pixels, channels)
    return y.reshape(x.shape)


def solve_tiled(device: Device, x: Any, factors: TriangularFactors, after: Any) -> Any:
    """As `solve`, by the tiled kernel; the factors must fit on the chip."""
    pixels, channels = x.shape
    numbers = aligned_flat(device, x)
    y = device.xp.empty_like(numbers)
    kernel = tiled_substitution(channels, lanes_in_vector(x.dtype))
    device.launch(kernel, min(ceil_div(pixels, TILE), _MOST_TILED_BLOCKS), TILE, numbers,
                  *factors.arrays, factors.arrival, factors.departure,
                  aligned_flat(device, after), y, pixels)
    return y.reshape(x.shape)


def solve(device: Device, x: Any, factors: TriangularFactors, after: Any) -> Any:
    """Both substitutions for every pixel, with `after` added.

    Args:
      device: where the arrays are.
      x: [P, C], float32 or float64, any strides.
      factors: of x's number type.
      after: [C], of that type too.

    Returns:
      [P, C].
    """
    tiled = fits_on_chip(x.shape[1], x.dtype, TILE)
    return (solve_tiled if tiled else solve_naive)(device, x, factors, after)


def inverted(device: Device, lower_upper: Any, permutation: Any) -> Any:
    """W^-1: its column j is the solution for the unit vector j.

    Args:
      device: where the arrays are.
      lower_upper, permutation: [C, C] float64 and [C] ints.

    Returns:
      [C, C], float64.
    """
    channels = len(lower_upper)
    factors = factors_of_inverse(device, lower_upper, permutation, np.dtype(WIDE))
    return solve(device, device.xp.eye(channels), factors, device.xp.zeros(channels)).T
