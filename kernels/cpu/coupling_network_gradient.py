"""The gradient of the coupling network on the CPU.

With the activations kept, one pass over tiles takes the output's cotangent back to the input:

    bars = gather(output_bar)                      [T, K K O]     turned shifts
    h2_bar = (bars kernel3^T) * [h2 > 0]           [T, F]         the mask while in registers
    h1_bar = (h2_bar kernel2^T) * [h1 > 0]         [T, F]
    terms = h1_bar [kernel1^T at every (a, b)]     [T, K K I]     scattered to x_bar at the end

and then the weights' cotangents are three products of a transposed matrix with another, over all
pixels of the batch:

    kernel1_bar = gather(x)^T h1_bar,   kernel2_bar = h1^T h2_bar,   kernel3_bar = h2^T bars

Each thread makes some rows of them, every number by one sum over the pixels in their order: no
thread adds to another's, and the bits do not depend on how many there are.

Source: the derivation in refglow/networks/conv2d_gradient.py.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.coupling_network import products_of, require_fitting
from refglow.kernels.cpu.layout import (
    Array,
    as_pixels,
    read_only,
    rounded_up,
    width_of_hidden,
    workspace,
)
from refglow.kernels.cpu.micro_product import FROM_ZERO, MASK, ROWS, STORE
from refglow.kernels.cpu.operands import common_dtype, native, require_shape
from refglow.kernels.cpu.packing import (
    pack_turned,
    pack_turned_taps,
    unpack_turned_taps,
)
from refglow.kernels.cpu.shifts import add_up_rows, gather, scatter
from refglow.kernels.cpu.tile_product import tile_product, transposed_product
from refglow.kernels.cpu.tiles import fixed_tiles_of, threads_for
from refglow.kernels.cpu.vector_registers import lanes_of


def coupling_network_vjp(x: Array, h1: Array, h2: Array, kernel1: Array, kernel2: Array,
                         kernel3: Array, output_bar: Array) -> tuple[Array, ...]:
    """See the specification."""
    arrays = x, h1, h2, kernel1, kernel2, kernel3, output_bar
    common_dtype(*arrays)
    require_fitting(x, kernel1, kernel2, kernel3)
    for what, array, kernel in (("h1", h1, kernel1), ("h2", h2, kernel1),
                                ("The cotangent of the output", output_bar, kernel3)):
        require_shape(what, array, (*x.shape[:-1], kernel.shape[3]))
    with threads_for(2 * products_of(x, kernel1, kernel2, kernel3)):
        return _pulled_back(*map(native, arrays))


def _pulled_back(x: Array, h1: Array, h2: Array, kernel1: Array, kernel2: Array, kernel3: Array,
                 output_bar: Array) -> tuple[Array, ...]:
    (height, width), dtype = x.shape[-3:-1], x.dtype
    kh, kw, inputs, filters = kernel1.shape
    kh3, kw3, _, outputs = kernel3.shape
    pixels, lanes = math.prod(x.shape[:-1]), lanes_of(dtype)
    if not pixels:
        return _nothing(x, kernel1, kernel2, kernel3)
    cut, wide = fixed_tiles_of(pixels), width_of_hidden(filters, dtype)
    rows = rounded_up(pixels, ROWS)
    flat, stride = as_pixels(x)
    bar_flat, bar_stride = as_pixels(output_bar)
    patch, bar_columns = rounded_up(kh * kw * inputs, ROWS), rounded_up(kh3 * kw3 * outputs, lanes)
    term_columns = rounded_up(kh * kw * inputs, lanes)
    work = workspace(
        dtype, (rows, patch), (rows, bar_columns), (rows, wide), (rows, wide),
        (rows, term_columns), (kh3 * kw3 * outputs, wide), (wide, wide), (wide, term_columns),
        (cut.count, 2 * wide + outputs), (wide, bar_columns))
    results = [np.empty(shape, dtype) for shape in (
        x.shape, (patch, wide), (wide, wide), kernel3.shape, (2 * wide + outputs,))]
    arguments: list[Any] = [
        flat, stride, bar_flat, bar_stride, height, width, pixels, cut.rows, cut.count, cut.workers,
        *(_padded(h, rows, wide) for h in (h1, h2)),
        *(read_only(np.ascontiguousarray(k)) for k in (kernel1, kernel2, kernel3)),
        *work, results[0].reshape(-1), *results[1:], np.zeros(inputs, dtype), dtype.type(1)]
    _gradient(*arguments)
    x_bar, first, second, third, biases = results
    return (x_bar, first[:kh * kw * inputs, :filters].reshape(kernel1.shape), biases[:filters],
            second[:filters, :filters].reshape(kernel2.shape), biases[wide:wide + filters],
            third, biases[2 * wide:])


def _nothing(x: Array, *kernels: Array) -> tuple[Array, ...]:
    """The cotangents of an empty batch."""
    bars = [np.zeros_like(x)]
    for kernel in kernels:
        bars += [np.zeros_like(kernel), np.zeros_like(kernel, shape=kernel.shape[3:])]
    return tuple(bars)


def _padded(hidden: Array, rows: int, columns: int) -> Array:
    """The activations with spare rows and columns, read-only: as they are if they have them."""
    pixels, filters = math.prod(hidden.shape[:-1]), hidden.shape[-1]
    flat, stride = as_pixels(hidden)
    if (pixels, stride) == (rows, columns):
        return flat
    padded = np.zeros((rows, columns), hidden.dtype)
    padded[:pixels, :filters] = hidden.reshape(pixels, filters)
    return read_only(padded.reshape(-1))


@compiled_parallel
def _gradient(x: Any, x_stride: int, output_bar: Any, bar_stride: int, height: int, width: int,
              pixels: int, rows: int, tiles: int, workers: int, h1: Any, h2: Any, kernel1: Any,
              kernel2: Any, kernel3: Any, patches: Any, bars: Any, h2_bar: Any, h1_bar: Any,
              terms: Any, turned3: Any, turned2: Any, taps1: Any, sums: Any, taps3_bar: Any,
              x_bar: Any, kernel1_bar: Any, kernel2_bar: Any, kernel3_bar: Any, bias_bars: Any,
              nothing: Any, one: Any) -> None:
    """Pack the kernels; the tiles; x_bar; then the rows of the weights' cotangents."""
    kh, kw, inputs, filters = kernel1.shape
    for number in numba.prange(workers):
        worker: Any = np.int64(number)
        low, high = worker * filters // workers, (worker + 1) * filters // workers
        pack_turned(kernel3, low, high, turned3)
        pack_turned(kernel2, low, high, turned2)
        pack_turned_taps(kernel1, low, high, taps1)
    turned2[filters:] = 0
    taps1[filters:] = 0
    for number in numba.prange(workers):
        worker = np.int64(number)
        for tile in range(worker * tiles // workers, (worker + 1) * tiles // workers):
            first, last = tile * rows, min((tile + 1) * rows, len(h1_bar))
            _gather_tile(x, x_stride, output_bar, bar_stride, height, width, first, last, pixels,
                         kernel1.shape, kernel3.shape, patches, bars, one)
            _tile_back(first, last, h1, h2, bars, h2_bar, h1_bar, terms, turned3, turned2, taps1,
                       one)
            _tile_sums(output_bar, bar_stride, h2_bar, h1_bar, first, min(last, pixels),
                       kernel3.shape[3], sums, tile, one)
    for number in numba.prange(workers):
        worker = np.int64(number)
        scatter(terms.ctypes.data, terms.shape[1], inputs, height, width, kh, kw,
                kh - 1 - kh // 2, kw - 1 - kw // 2, worker * pixels // workers,
                (worker + 1) * pixels // workers, nothing.ctypes.data, x_bar.ctypes.data, one)
        _weights(worker, workers, pixels, h1, h2, patches, bars, h2_bar, h1_bar, kernel1_bar,
                 kernel2_bar, taps3_bar, kernel3_bar, one)
    add_up_rows(sums.ctypes.data, sums.shape[1], 0, tiles, sums.shape[1], bias_bars.ctypes.data,
                one)


@compiled
def _gather_tile(x: Any, x_stride: int, output_bar: Any, bar_stride: int, height: int, width: int,
                 first: int, last: int, pixels: int, shape1: Any, shape3: Any, patches: Any,
                 bars: Any, one: Any) -> None:
    """The neighbourhoods of the tile's pixels: in x, and turned, in output_bar."""
    kh, kw, inputs, _ = shape1
    kh3, kw3, _, outputs = shape3
    size = patches.itemsize
    gather(x.ctypes.data, x_stride, inputs, height, width, kh, kw, kh // 2, kw // 2, first, last,
           pixels, patches.ctypes.data + first * patches.shape[1] * size, patches.shape[1], one)
    gather(output_bar.ctypes.data, bar_stride, outputs, height, width, kh3, kw3,
           kh3 - 1 - kh3 // 2, kw3 - 1 - kw3 // 2, first, last, pixels,
           bars.ctypes.data + first * bars.shape[1] * size, bars.shape[1], one)


@compiled
def _tile_back(first: int, last: int, h1: Any, h2: Any, bars: Any, h2_bar: Any, h1_bar: Any,
               terms: Any, turned3: Any, turned2: Any, taps1: Any, one: Any) -> None:
    """The cotangents of the activations, and the terms of x_bar, of one tile of pixels."""
    size, filters, rows = h2_bar.itemsize, h2_bar.shape[1], last - first
    place = first * filters * size
    b2, b1 = h2_bar.ctypes.data + place, h1_bar.ctypes.data + place
    tile_product(bars.ctypes.data + first * bars.shape[1] * size, bars.shape[1], rows,
                 len(turned3), turned3.ctypes.data, filters, filters, b2, filters,
                 h2.ctypes.data + place, filters, FROM_ZERO, MASK, one)
    tile_product(b2, filters, rows, filters, turned2.ctypes.data, filters, filters, b1, filters,
                 h1.ctypes.data + place, filters, FROM_ZERO, MASK, one)
    to = terms.ctypes.data + first * terms.shape[1] * size
    tile_product(b1, filters, rows, filters, taps1.ctypes.data, terms.shape[1], terms.shape[1],
                 to, terms.shape[1], to, terms.shape[1], FROM_ZERO, STORE, one)


@compiled
def _tile_sums(output_bar: Any, bar_stride: int, h2_bar: Any, h1_bar: Any, first: int, last: int,
               outputs: int, sums: Any, tile: int, one: Any) -> None:
    """The tile's part of the biases' cotangents, while its activations' are in the cache."""
    filters, size = h1_bar.shape[1], h1_bar.itemsize
    to = sums.ctypes.data + tile * sums.shape[1] * size
    add_up_rows(h1_bar.ctypes.data, filters, first, last, filters, to, one)
    add_up_rows(h2_bar.ctypes.data, filters, first, last, filters, to + filters * size, one)
    add_up_rows(output_bar.ctypes.data, bar_stride, first, last, outputs,
                to + 2 * filters * size, one)


@compiled
def _weights(worker: int, workers: int, pixels: int, h1: Any, h2: Any, patches: Any, bars: Any,
             h2_bar: Any, h1_bar: Any, kernel1_bar: Any, kernel2_bar: Any, taps3_bar: Any,
             kernel3_bar: Any, one: Any) -> None:
    """One worker's rows of the three kernels' cotangents."""
    filters = h2_bar.shape[1]
    _rows_of(worker, workers, h1.ctypes.data, filters, h2_bar, pixels, kernel2_bar, one)
    first, last = _rows_of(worker, workers, h2.ctypes.data, filters, bars, pixels, taps3_bar, one)
    unpack_turned_taps(taps3_bar, first, min(last, kernel3_bar.shape[2]), kernel3_bar)
    _rows_of(workers - 1 - worker, workers, patches.ctypes.data, patches.shape[1], h1_bar, pixels,
             kernel1_bar, one)


@compiled
def _rows_of(worker: int, workers: int, a: int, a_row: int, b: Any, length: int, c: Any,
             one: Any) -> tuple[int, int]:
    """The worker's rows of a^T b; returns (first, last)."""
    groups = c.shape[0] // ROWS
    first, last = worker * groups // workers * ROWS, (worker + 1) * groups // workers * ROWS
    transposed_product(a, a_row, b.ctypes.data, b.shape[1], length, first, last, c.shape[1],
                       c.ctypes.data, c.shape[1], FROM_ZERO, one)
    return first, last
