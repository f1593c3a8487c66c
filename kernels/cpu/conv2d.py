"""One convolution on the CPU, and its gradient, with any kernel and either padding.

The side of the kernel with fewer channels is the one that is copied about: with fewer inputs,
patches of the input are gathered and multiplied; with fewer outputs, pixels are multiplied and
their terms scattered (shifts.py). The gradient with respect to x is such a convolution too, of the
output's cotangent with the turned kernel; that of the kernel is one product of a transposed matrix
with another, made row by row as in coupling_network_gradient.py.

Source: the specifications in refglow/networks/conv2d.py and conv2d_gradient.py.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.layout import (
    Array,
    as_pixels,
    read_only,
    rounded_up,
    width_of_hidden,
    with_columns,
    workspace,
)
from refglow.kernels.cpu.micro_product import FROM_EXTRA, FROM_ZERO, ROWS, STORE
from refglow.kernels.cpu.operands import common_dtype, native, require_shape
from refglow.kernels.cpu.packing import pack_taps
from refglow.kernels.cpu.shifts import add_up_rows, gather, scatter
from refglow.kernels.cpu.tile_product import tile_product, transposed_product
from refglow.kernels.cpu.tiles import fixed_tiles_of, images_in_chunk, tiles_of
from refglow.kernels.cpu.vector_registers import lanes_of
from refglow.networks.shifted_products import margins


def conv2d(x: Array, kernel: Array, bias: Array, padding: str) -> Array:
    """See the specification."""
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"conv2d: x has {x.shape[-1]} channels; the kernel takes "
                         f"{kernel.shape[2]}.")
    common_dtype(x, kernel, bias)
    require_shape("bias", bias, kernel.shape[3:])
    return _convolution(native(x), native(kernel), native(bias), *margins(kernel, padding))


def conv2d_vjp(x: Array, kernel: Array, y_bar: Array,
               padding: str) -> tuple[Array, Array, Array]:
    """See the specification."""
    common_dtype(x, kernel, y_bar)
    kh, kw, inputs, outputs = kernel.shape
    ph, pw = margins(kernel, padding)
    height, width = x.shape[-3] + 2 * ph - kh + 1, x.shape[-2] + 2 * pw - kw + 1
    require_shape("x", x, (*x.shape[:-1], inputs))
    require_shape("The cotangent of the output", y_bar, (*x.shape[:-3], height, width, outputs))
    x, kernel, y_bar = native(x), native(kernel), native(y_bar)
    turned = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
    x_bar = _convolution(y_bar, turned, np.zeros(inputs, x.dtype), kh - 1 - ph, kw - 1 - pw)
    if not y_bar.size:
        return x_bar, np.zeros_like(kernel), np.zeros(outputs, x.dtype)
    if inputs <= outputs:
        kernel_bar = _correlation(x, y_bar, kh, kw, ph, pw)
    else:  # the same sum, its terms found from the input's pixels
        swapped = _correlation(y_bar, x, kh, kw, kh - 1 - ph, kw - 1 - pw)
        kernel_bar = np.ascontiguousarray(swapped[::-1, ::-1].swapaxes(2, 3))
    return x_bar, kernel_bar, _sum_of_pixels(y_bar)


def _convolution(x: Array, kernel: Array, bias: Array, ph: int, pw: int) -> Array:
    """[..., H + 2 ph - KH + 1, W + 2 pw - KW + 1, O]."""
    (height, width), (kh, kw, inputs, outputs) = x.shape[-3:-1], kernel.shape
    out_height, out_width = height + 2 * ph - kh + 1, width + 2 * pw - kw + 1
    y = np.empty((*x.shape[:-3], out_height, out_width, outputs), x.dtype)
    if not y.size:
        return y
    flat, stride = as_pixels(x)
    kernel, bias = (read_only(np.ascontiguousarray(a)) for a in (kernel, bias))
    convolve = _gathered if inputs <= outputs else _scattered
    convolve(flat, stride, height, width, ph, pw, kernel, bias, y)
    return y


def _gathered(x: Array, stride: int, height: int, width: int, ph: int, pw: int, kernel: Array,
              bias: Array, y: Array) -> None:
    kh, kw, inputs, outputs = kernel.shape
    columns, pixels = rounded_up(outputs, lanes_of(y.dtype)), math.prod(y.shape[:-1])
    cut = tiles_of(pixels)
    patches, sums = workspace(y.dtype, (cut.workers, cut.rows, kh * kw * inputs),
                              (cut.workers, cut.rows, columns))
    _multiply_gathered(x, stride, inputs, height, width, kh, kw, ph, pw, pixels, cut.count,
                       with_columns(kernel.reshape(kh * kw * inputs, outputs), columns),
                       with_columns(bias, columns), patches, sums, outputs, y.reshape(-1),
                       y.dtype.type(1))


@compiled_parallel
def _multiply_gathered(x: Any, stride: int, inputs: int, height: int, width: int, kh: int, kw: int,
                       ph: int, pw: int, pixels: int, tiles: int, matrix: Any, bias: Any,
                       patches: Any, sums: Any, outputs: int, y: Any, one: Any) -> None:
    workers = len(patches)
    for number in numba.prange(workers):
        worker: Any = np.int64(number)
        for tile in range(worker * tiles // workers, (worker + 1) * tiles // workers):
            _gathered_tile(x, stride, inputs, height, width, kh, kw, ph, pw, pixels, tile, matrix,
                           bias, patches, sums, worker, outputs, y, one)


@compiled
def _gathered_tile(x: Any, stride: int, inputs: int, height: int, width: int, kh: int, kw: int,
                   ph: int, pw: int, pixels: int, tile: int, matrix: Any, bias: Any, patches: Any,
                   sums: Any, worker: int, outputs: int, y: Any, one: Any) -> None:
    rows, length, columns, size = (patches.shape[1], patches.shape[2], sums.shape[2],
                                   sums.itemsize)
    first, last = tile * rows, min((tile + 1) * rows, pixels)
    at = patches.ctypes.data + worker * rows * length * size
    to = sums.ctypes.data + worker * rows * columns * size
    gather(x.ctypes.data, stride, inputs, height, width, kh, kw, ph, pw, first, first + rows,
           pixels, at, length, one)
    tile_product(at, length, rows, length, matrix.ctypes.data, columns, columns, to, columns,
                 bias.ctypes.data, 0, FROM_EXTRA, STORE, one)
    for pixel in range(first, last):
        add_up_rows(to, columns, pixel - first, pixel - first + 1, outputs,
                    y.ctypes.data + pixel * outputs * size, one)


def _scattered(x: Array, stride: int, height: int, width: int, ph: int, pw: int, kernel: Array,
               bias: Array, y: Array) -> None:
    kh, kw, inputs, outputs = kernel.shape
    columns, images = rounded_up(kh * kw * outputs, lanes_of(y.dtype)), math.prod(y.shape[:-3])
    chunk = min(images, images_in_chunk(height * width))
    cut = tiles_of(chunk * height * width)
    taps, terms, rows = workspace(y.dtype, (inputs, columns), (cut.count * cut.rows, columns),
                                  (cut.workers, cut.rows, inputs))
    _multiply_scattered(x, stride, inputs, height, width, ph, pw, images, chunk, cut.count, kernel,
                        bias, taps, terms, rows, y.reshape(-1), y.dtype.type(1))


@compiled_parallel
def _multiply_scattered(x: Any, stride: int, inputs: int, height: int, width: int, ph: int,
                        pw: int, images: int, chunk: int, tiles: int, kernel: Any, bias: Any,
                        taps: Any, terms: Any, rows: Any, y: Any, one: Any) -> None:
    kh, kw, _, outputs = kernel.shape
    size, workers = height * width, len(rows)
    out_size = (height + 2 * ph - kh + 1) * (width + 2 * pw - kw + 1)
    for number in numba.prange(workers):
        worker: Any = np.int64(number)
        pack_taps(kernel, worker * inputs // workers, (worker + 1) * inputs // workers, taps)
    for start in range(0, images, chunk):
        count = min(chunk, images - start)
        for number in numba.prange(workers):
            worker = np.int64(number)
            for tile in range(worker * tiles // workers, (worker + 1) * tiles // workers):
                _scattered_tile(x, stride, inputs, start * size, count * size, tile, taps, terms,
                                rows, worker, one)
        for number in numba.prange(workers):
            worker = np.int64(number)
            scatter(terms.ctypes.data, terms.shape[1], outputs, height, width, kh, kw, ph, pw,
                    worker * count * out_size // workers,
                    (worker + 1) * count * out_size // workers, bias.ctypes.data,
                    y.ctypes.data + start * out_size * outputs * y.itemsize, one)


@compiled
def _scattered_tile(x: Any, stride: int, inputs: int, source: int, pixels: int, tile: int,
                    taps: Any, terms: Any, rows: Any, worker: int, one: Any) -> None:
    """The tile's rows, copied to where spare rows are at hand, times all taps."""
    count, columns, size = rows.shape[1], terms.shape[1], terms.itemsize
    first = tile * count
    if first >= pixels:
        return
    at = rows.ctypes.data + worker * count * inputs * size
    # A patch of one pixel is the pixel itself.
    gather(x.ctypes.data + source * stride * size, stride, inputs, pixels, 1, 1, 1, 0, 0, first,
           first + count, pixels, at, inputs, one)
    to = terms.ctypes.data + first * columns * size
    tile_product(at, inputs, count, inputs, taps.ctypes.data, columns, columns, to, columns, to,
                 columns, FROM_ZERO, STORE, one)


def _correlation(x: Array, y_bar: Array, kh: int, kw: int, ph: int, pw: int) -> Array:
    """sum over pixels of the patch of x times y_bar: [KH, KW, I, O]."""
    (height, width, inputs), outputs = x.shape[-3:], y_bar.shape[-1]
    pixels, dtype = math.prod(y_bar.shape[:-1]), x.dtype
    patch, columns = rounded_up(kh * kw * inputs, ROWS), width_of_hidden(outputs, dtype)
    patches, bars, result = workspace(dtype, (pixels, patch), (pixels, columns), (patch, columns))
    bars[:, :outputs] = y_bar.reshape(pixels, outputs)
    bars[:, outputs:] = 0
    flat, stride = as_pixels(x)
    _correlate(flat, stride, inputs, height, width, kh, kw, ph, pw, numba.get_num_threads(),
               patches, bars, result, dtype.type(1))
    return result[:kh * kw * inputs, :outputs].reshape(kh, kw, inputs, outputs).copy()


@compiled_parallel
def _correlate(x: Any, stride: int, inputs: int, height: int, width: int, kh: int, kw: int,
               ph: int, pw: int, workers: int, patches: Any, bars: Any, result: Any,
               one: Any) -> None:
    pixels, patch = patches.shape
    groups = patch // ROWS
    for number in numba.prange(workers):
        worker: Any = np.int64(number)
        first = worker * pixels // workers
        gather(x.ctypes.data, stride, inputs, height, width, kh, kw, ph, pw, first,
               (worker + 1) * pixels // workers, pixels,
               patches.ctypes.data + first * patch * patches.itemsize, patch, one)
    for number in numba.prange(workers):
        worker = np.int64(number)
        transposed_product(patches.ctypes.data, patch, bars.ctypes.data, bars.shape[1], pixels,
                           worker * groups // workers * ROWS,
                           (worker + 1) * groups // workers * ROWS, bars.shape[1],
                           result.ctypes.data, result.shape[1], FROM_ZERO, one)


def _sum_of_pixels(y_bar: Array) -> Array:
    """The sum over all pixels, [O], of tiles' sums."""
    flat, stride = as_pixels(y_bar)
    pixels, outputs = math.prod(y_bar.shape[:-1]), y_bar.shape[-1]
    cut = fixed_tiles_of(pixels)
    sums, total = np.empty((cut.count, outputs), y_bar.dtype), np.empty(outputs, y_bar.dtype)
    _add_up_tiles(flat, stride, pixels, cut.rows, sums, total, y_bar.dtype.type(1))
    return total


@compiled
def _add_up_tiles(rows: Any, stride: int, pixels: int, tile_rows: int, sums: Any, total: Any,
                  one: Any) -> None:
    tiles, columns = sums.shape
    for tile in range(tiles):
        add_up_rows(rows.ctypes.data, stride, tile * tile_rows, min((tile + 1) * tile_rows, pixels),
                    columns, sums.ctypes.data + tile * columns * sums.itemsize, one)
    add_up_rows(sums.ctypes.data, columns, 0, tiles, columns, total.ctypes.data, one)
