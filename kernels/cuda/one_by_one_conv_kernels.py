"""Every pixel's channels times one small matrix: the ladder of the 1x1 convolution on a GPU.

    y[p, o] = sum_i x[p, i] * weights[i, o],     p < P, i, o < C

`weights` is the transposed matrix of y = W x, so that neighbouring outputs lie side by side. For
float32 a pixel costs 8 C bytes and 2 C^2 operations: below C = 48 or so memory is the limit, and a
kernel is as good as its share of the copy bandwidth.

    naive        a thread for each pixel
    coalesced    a thread for each number of y: neighbouring threads have neighbouring addresses
    vectorized   a thread for each 16 bytes of y: a quarter of the requests (half for float64)
    tiled        the matrix and a tile of pixels in shared memory, blocks of sums in registers: x
                 and the matrix come from memory once
    fused        tiled, with ActNorm before or after it in the same pass: y = M (x + m) or
                 x = M^-1 y - m, with no pass over memory for ActNorm

The inverse is such a product too, with the inverted matrix, or it is two triangular substitutions
(triangular_solve.py). The sum over pixels that the matrix's gradient needs is in outer_products.py.

A matrix of up to 80 channels (50 in float64) fits on the chip beside a tile. Beyond that, and where
C is not a multiple of a vector, one_by_one_conv.py takes the best of the other variants.

All arrays of a kernel are flat and contiguous. Each sum runs over i upwards.
"""

from __future__ import annotations

import functools
from typing import Any

from numba import cuda

from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.on_chip import row_stride
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import (
    MOST_LANES,
    SHARED_ALIGNMENT,
    copy_vector,
    lanes_of,
    load_vector,
    store_vector,
)

WARP = 32
_PIXELS_OF_A_THREAD = 2
TILE = WARP * _PIXELS_OF_A_THREAD  # pixels


def product_naive(x: Any, weights: Any, y: Any, pixels: int, channels: int) -> None:
    """A thread for each pixel: neighbouring threads are C numbers apart."""
    pixel = cuda.grid(1)
    while pixel < pixels:
        for o in range(channels):
            total = y.dtype.type(0)
            for i in range(channels):
                total += load(x, pixel * channels + i) * load(weights, i * channels + o)
            store(y, pixel * channels + o, total)
        pixel += cuda.gridsize(1)


def product_coalesced(x: Any, weights: Any, y: Any, pixels: int, channels: int) -> None:
    """A thread for each number of y."""
    position = cuda.grid(1)
    while position < pixels * channels:
        first = quotient(position, channels) * channels
        o = position - first
        total = y.dtype.type(0)
        for i in range(channels):
            total += load(x, first + i) * load(weights, i * channels + o)
        store(y, position, total)
        position += cuda.gridsize(1)


def product_vectorized(x: Any, weights: Any, y: Any, pixels: int, channels: int) -> None:
    """A thread for each 16 bytes of y; C is a multiple of the lanes of a vector."""
    lanes = lanes_of(y)
    inputs = cuda.local.array(MOST_LANES, y.dtype)
    row = cuda.local.array(MOST_LANES, y.dtype)
    sums = cuda.local.array(MOST_LANES, y.dtype)
    position = cuda.grid(1) * lanes
    while position < pixels * channels:
        first = quotient(position, channels) * channels
        o = position - first
        for lane in range(lanes):
            sums[lane] = 0
        for i in range(0, channels, lanes):
            load_vector(x, first + i, inputs, 0)
            for k in range(lanes):
                load_vector(weights, (i + k) * channels + o, row, 0)
                for lane in range(lanes):
                    sums[lane] += inputs[k] * row[lane]
        store_vector(y, position, sums, 0)
        position += cuda.gridsize(1) * lanes


# 64-bit indices and, in the vectorized variant, three vectors take 40 registers, and 44 on sm_100.
PRODUCT_NAIVE = Kernel(product_naive, occupancy=0.75)
PRODUCT_COALESCED = Kernel(product_coalesced)
PRODUCT_VECTORIZED = Kernel(product_vectorized, vectorized=True, occupancy=0.62)

# ---- tiled ------------------------------------------------------------------------------------
#
# A tile of 64 pixels is one piece of memory. A block has a warp for each vector of V output
# channels, Q = C / V warps. Thread `lane` of a warp has the sums of pixels lane and lane + 32: 2 V
# sums. For V inputs it loads 2 vectors of x and V of the matrix (the same for the whole warp) and
# makes 2 V^2 multiply-adds of them.
#
# To copy a tile, thread t of the 32 Q goes to vector t mod Q of pixels t / Q and t / Q + 32: 32 Q
# neighbouring vectors of memory at a time, with no division inside the loop. The outputs go back to
# memory through the same tile. A thread copies the same channels of all its pixels, so ActNorm's
# numbers for them stay in its registers. Past the last pixel a tile repeats that pixel.
#
# Sums, inputs and a row of the matrix take 40 to 56 registers, and blocks are large (768 threads
# for 48 channels of float64, two of which need threads of at most 42 registers). There are not many
# warps to wait for memory, but each has two vectors of every thread under way.


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def _multiply(tile: Any, stride: int, matrix: Any, channels: int, lane: int, column: int,
              inputs: Any, row: Any, sums: Any) -> None:
    """sums[r, v] = sum_i tile[lane + 32 r, i] * matrix[i, column + v].

    The two pixels are written out: with a loop over them around the one over v, the compiler for
    sm_100 and sm_120 unrolls too little and keeps the sums in local memory.
    """
    lanes = lanes_of(tile)
    for k in range(_PIXELS_OF_A_THREAD * lanes):
        sums[k] = 0
    for i in range(0, channels, lanes):
        for r in range(_PIXELS_OF_A_THREAD):
            load_vector(tile, (lane + r * WARP) * stride + i, inputs, r * lanes)
        for k in range(lanes):
            load_vector(matrix, (i + k) * channels + column, row, 0)
            for v in range(lanes):
                sums[v] += inputs[k] * row[v]
                sums[lanes + v] += inputs[lanes + k] * row[v]


@functools.cache
def tiled_product(channels: int, lanes: int) -> Kernel:
    """The tiled kernel for that many channels, a multiple of the lanes of a vector."""
    groups, stride = channels // lanes, row_stride(channels, lanes)
    matrix_size, tile_size = channels * channels, TILE * stride
    own_sums = _PIXELS_OF_A_THREAD * lanes

    def product_tiled(x: Any, weights: Any, y: Any, pixels: int) -> None:
        matrix = cuda.shared.array(matrix_size, x.dtype, SHARED_ALIGNMENT)
        tile = cuda.shared.array(tile_size, x.dtype, SHARED_ALIGNMENT)
        inputs = cuda.local.array(own_sums, x.dtype)
        row = cuda.local.array(lanes, x.dtype)
        sums = cuda.local.array(own_sums, x.dtype)
        thread = cuda.threadIdx.x
        lane, column = thread % WARP, thread // WARP * lanes
        copied_pixel = quotient(thread, groups)
        copied_column = (thread - copied_pixel * groups) * lanes
        for k in range(thread * lanes, matrix_size, WARP * channels):
            copy_vector(weights, k, matrix, k)
        first = cuda.blockIdx.x * TILE
        while first < pixels:
            cuda.syncthreads()
            for r in range(_PIXELS_OF_A_THREAD):
                pixel = copied_pixel + r * WARP
                copy_vector(x, min(first + pixel, pixels - 1) * channels + copied_column,
                            tile, pixel * stride + copied_column)
            cuda.syncthreads()
            _multiply(tile, stride, matrix, channels, lane, column, inputs, row, sums)
            cuda.syncthreads()
            for r in range(_PIXELS_OF_A_THREAD):
                store_vector(tile, (lane + r * WARP) * stride + column, sums, r * lanes)
            cuda.syncthreads()
            for r in range(_PIXELS_OF_A_THREAD):
                pixel = copied_pixel + r * WARP
                if first + pixel < pixels:
                    copy_vector(tile, pixel * stride + copied_column,
                                y, (first + pixel) * channels + copied_column)
            first += cuda.gridDim.x * TILE
    return Kernel(product_tiled, vectorized=True, occupancy=0.37)


@functools.cache
def fused_product(channels: int, lanes: int) -> Kernel:
    """The fused kernel for that many channels, a multiple of the lanes of a vector."""
    groups, stride = channels // lanes, row_stride(channels, lanes)
    matrix_size, tile_size = channels * channels, TILE * stride
    own_sums = _PIXELS_OF_A_THREAD * lanes

    def product_fused(x: Any, before: Any, weights: Any, after: Any, y: Any, pixels: int) -> None:
        matrix = cuda.shared.array(matrix_size, x.dtype, SHARED_ALIGNMENT)
        tile = cuda.shared.array(tile_size, x.dtype, SHARED_ALIGNMENT)
        inputs = cuda.local.array(own_sums, x.dtype)
        row = cuda.local.array(lanes, x.dtype)
        sums = cuda.local.array(own_sums, x.dtype)
        added_before = cuda.local.array(lanes, x.dtype)
        added_after = cuda.local.array(lanes, x.dtype)
        thread = cuda.threadIdx.x
        lane, column = thread % WARP, thread // WARP * lanes
        copied_pixel = quotient(thread, groups)
        copied_column = (thread - copied_pixel * groups) * lanes
        load_vector(before, copied_column, added_before, 0)
        load_vector(after, copied_column, added_after, 0)
        for k in range(thread * lanes, matrix_size, WARP * channels):
            copy_vector(weights, k, matrix, k)
        first = cuda.blockIdx.x * TILE
        while first < pixels:
            cuda.syncthreads()
            for r in range(_PIXELS_OF_A_THREAD):
                pixel = copied_pixel + r * WARP
                load_vector(x, min(first + pixel, pixels - 1) * channels + copied_column, row, 0)
                for v in range(lanes):
                    row[v] += added_before[v]
                store_vector(tile, pixel * stride + copied_column, row, 0)
            cuda.syncthreads()
            _multiply(tile, stride, matrix, channels, lane, column, inputs, row, sums)
            cuda.syncthreads()
            for r in range(_PIXELS_OF_A_THREAD):
                store_vector(tile, (lane + r * WARP) * stride + column, sums, r * lanes)
            cuda.syncthreads()
            for r in range(_PIXELS_OF_A_THREAD):
                pixel = copied_pixel + r * WARP
                if first + pixel < pixels:
                    load_vector(tile, pixel * stride + copied_column, row, 0)
                    for v in range(lanes):
                        row[v] += added_after[v]
                    store_vector(y, (first + pixel) * channels + copied_column, row, 0)
            first += cuda.gridDim.x * TILE
    return Kernel(product_fused, vectorized=True, occupancy=0.37)
