"""The coupling network on the CPU: conv k x k, ReLU, conv 1 x 1, ReLU, conv k x k.

One tile of pixels after the other passes through all three layers while its activations are in the
second-level cache. In float64, or with kernels of other sides than 3 x 3:

    patches = gather(x)                        [T, K K I]     narrow, so copies are cheap
    h1 = relu(patches kernel1 + bias1)         [T, F]         bias and ReLU in registers
    h2 = relu(h1 kernel2 + bias2)              [T, F]
    terms = h2 [kernel3 at every (a, b)]       [T, K K O]     narrow again

and then, when all terms of an image are there, they are added up where they belong. Memory beyond
the output: two tiles for each thread, and the terms of one chunk of images (tiles.py); in blocks
three tiles, and as many terms. For the gradient the activations are kept, by giving the tiles of
all pixels a place in one array.

Where both convolutions are 3 x 3, as Glow's are, two thirds of the first's products and less than
half of the last's do in float32 (coupling_network_in_blocks.py). They cost a fraction of a digit,
and whoever computes in float64 does so for the digits. The error of a sum is then measured by the
largest pixel and the largest tap of its window, not term by term: a pixel a million times as large
as its neighbours costs these six digits even where its tap is zero. Interpolation also overflows
earlier, and makes NaN of what would be infinite: an image whose result is not finite is computed
again as above.

Results: a pixel's numbers do not depend on the batch, the tile or the number of threads, which
costs nothing: no sum is over pixels. float32 is accumulated in float32, each matrix product's sums
in one chain of fused multiply-adds.

Source: the specification in refglow/networks/coupling_network.py.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.coupling_network_in_blocks import coupling_network_in_blocks
from refglow.kernels.cpu.hidden_layers import as_weights, hidden_layers
from refglow.kernels.cpu.layout import (
    Array,
    as_pixels,
    rounded_up,
    width_of_hidden,
    workspace,
)
from refglow.kernels.cpu.micro_product import FROM_ZERO, ROWS, STORE
from refglow.kernels.cpu.operands import common_dtype, native, require_shape
from refglow.kernels.cpu.packing import pack_taps
from refglow.kernels.cpu.shifts import gather, scatter
from refglow.kernels.cpu.tile_product import tile_product, whole_rows
from refglow.kernels.cpu.tiles import images_in_chunk, threads_for, tiles_of
from refglow.kernels.cpu.vector_registers import lanes_of


def coupling_network(x: Array, kernel1: Array, bias1: Array, kernel2: Array, bias2: Array,
                     kernel3: Array, bias3: Array) -> Array:
    """See the specification."""
    arrays = _checked(x, kernel1, bias1, kernel2, bias2, kernel3, bias3)
    with threads_for(products_of(x, kernel1, kernel2, kernel3)):
        return _evaluate(*arrays, kept=None)


def coupling_network_activations(x: Array, kernel1: Array, bias1: Array, kernel2: Array,
                                 bias2: Array, kernel3: Array, bias3: Array
                                 ) -> tuple[Array, Array, Array]:
    """See the specification. h1 and h2 may be views of arrays with spare columns."""
    arrays = _checked(x, kernel1, bias1, kernel2, bias2, kernel3, bias3)
    filters, count = kernel1.shape[3], math.prod(x.shape[:-1])
    hidden = _room_for_hidden(count, filters, arrays[0].dtype)
    with threads_for(products_of(x, kernel1, kernel2, kernel3)):
        output = _evaluate(*arrays, kept=hidden)
    h1, h2 = (h[0, :count, :filters].reshape(*x.shape[:-1], filters) for h in hidden)
    return output, h1, h2


def _checked(x: Array, kernel1: Array, bias1: Array, kernel2: Array, bias2: Array, kernel3: Array,
             bias3: Array) -> tuple[Array, ...]:
    """The arguments in the machine's byte order.

    Raises:
      TypeError: if they are not of one type, float32 or float64.
      ValueError: if one does not fit the others: a kernel would read past its end.
    """
    arrays = x, kernel1, bias1, kernel2, bias2, kernel3, bias3
    common_dtype(*arrays)
    require_fitting(x, kernel1, kernel2, kernel3)
    require_shape("bias1", bias1, kernel1.shape[3:])
    require_shape("bias2", bias2, kernel1.shape[3:])
    require_shape("bias3", bias3, kernel3.shape[3:])
    return tuple(map(native, arrays))


def require_fitting(x: Array, kernel1: Array, kernel2: Array, kernel3: Array) -> None:
    """Raise ValueError if the shapes of the images and the three kernels do not fit together."""
    if not x.ndim >= 3 or not kernel1.ndim == kernel3.ndim == 4:
        raise ValueError("A coupling network takes images [..., H, W, I] and kernels [K, K, I, F], "
                         f"[1, 1, F, F] and [K, K, F, O]; got {list(x.shape)}, "
                         f"{list(kernel1.shape)}, {list(kernel2.shape)}, {list(kernel3.shape)}.")
    filters = kernel1.shape[3]
    require_shape("kernel1", kernel1, (*kernel1.shape[:2], x.shape[-1], filters))
    require_shape("kernel2", kernel2, (1, 1, filters, filters))
    require_shape("kernel3", kernel3, (*kernel3.shape[:2], filters, kernel3.shape[3]))


def _room_for_hidden(pixels: int, filters: int, dtype: np.dtype[Any]) -> list[Array]:
    """Where h1 and h2 of so many pixels are to be kept."""
    shape = 1, rounded_up(pixels, ROWS), width_of_hidden(filters, dtype)
    return [np.empty(shape, dtype) for _ in range(2)]


def products_of(x: Array, *kernels: Array) -> int:
    """How many products the layers with these kernels compute for the images x."""
    return math.prod(x.shape[:-1]) * sum(kernel.size for kernel in kernels)


def _evaluate(x: Array, kernel1: Array, bias1: Array, kernel2: Array, bias2: Array,
              kernel3: Array, bias3: Array, *, kept: list[Array] | None) -> Array:
    """The output. The activations of all pixels go to `kept`, if that is given."""
    weights = kernel1, bias1, kernel2, bias2, kernel3, bias3
    sides = kernel1.shape[:2], kernel3.shape[:2]
    if sides != ((3, 3), (3, 3)) or x.dtype != np.float32 or not x.size * kernel1.size:
        return _in_tiles(x, *weights, kept=kept)
    y = coupling_network_in_blocks(x, *weights, kept)
    if not np.isfinite(y).all():
        _compute_again(x, weights, y, kept)
    return y


def _compute_again(x: Array, weights: tuple[Array, ...], y: Array,
                   kept: list[Array] | None) -> None:
    """The images whose output is not finite, by plain sums: y and the activations kept of them."""
    pixels = math.prod(x.shape[-3:-1])
    outputs = y.reshape(-1, pixels, y.shape[-1])
    lost = np.flatnonzero(~np.isfinite(outputs).all(axis=(1, 2)))
    images = x.reshape(-1, *x.shape[-3:])[lost]
    room = _room_for_hidden(len(lost) * pixels, len(weights[1]), x.dtype) if kept else None
    outputs[lost] = _in_tiles(images, *weights, kept=room).reshape(len(lost), pixels, -1)
    for whole, again in zip(kept or [], room or [], strict=True):
        by_image = whole[0, :len(outputs) * pixels].reshape(len(outputs), pixels, -1)
        by_image[lost] = again[0, :len(lost) * pixels].reshape(len(lost), pixels, -1)


def _in_tiles(x: Array, kernel1: Array, bias1: Array, kernel2: Array, bias2: Array,
              kernel3: Array, bias3: Array, *, kept: list[Array] | None) -> Array:
    """The same, by plain sums."""
    (height, width, inputs), outputs, dtype = x.shape[-3:], kernel3.shape[3], x.dtype
    kh, kw = kernel1.shape[:2]
    images, size = math.prod(x.shape[:-3]), height * width
    y = np.empty((*x.shape[:-1], outputs), dtype)
    if not images * size:
        return y
    if not kernel1.shape[3]:  # no hidden channel
        y[...] = bias3
        return y
    chunk, filters = min(images, images_in_chunk(size)), width_of_hidden(kernel1.shape[3], dtype)
    cut = tiles_of(chunk * size)
    columns = rounded_up(kernel3.shape[0] * kernel3.shape[1] * outputs, lanes_of(dtype))
    tile = (cut.workers if kept is None else 0, cut.rows, filters)
    taps, terms, patches, *hidden = workspace(
        dtype, (kernel3.shape[2], columns), (cut.count * cut.rows, columns),
        (cut.workers, cut.rows, kh * kw * inputs), tile, tile)
    h1, h2 = hidden if kept is None else kept
    flat, stride = as_pixels(x)
    _network(flat, stride, inputs, height, width, kh, kw, images, chunk, cut.count, cut.rows,
             *as_weights(kernel1, bias1, kernel2, bias2, kernel3, bias3, filters), patches, h1, h2,
             kept is not None, taps, terms, y.reshape(-1), dtype.type(1))
    return y


@compiled_parallel
def _network(x: Any, stride: int, inputs: int, height: int, width: int, kh: int, kw: int,
             images: int, chunk: int, tiles: int, rows: int, kernel1: Any, bias1: Any,
             kernel2: Any, bias2: Any, kernel3: Any, bias3: Any, patches: Any, h1: Any, h2: Any,
             keep: bool, taps: Any, terms: Any, y: Any, one: Any) -> None:
    """All chunks of images: a tile's layers for each worker, then the scattered sums."""
    size, workers = height * width, len(patches)
    kh3, kw3, filters, outputs = kernel3.shape
    for number in numba.prange(workers):
        worker: Any = np.int64(number)
        pack_taps(kernel3, worker * filters // workers, (worker + 1) * filters // workers, taps)
    for start in range(0, images, chunk):
        pixels = min(chunk, images - start) * size
        source = start * size
        for number in numba.prange(workers):
            worker = np.int64(number)
            for tile in range(worker * tiles // workers, (worker + 1) * tiles // workers):
                if tile * rows < pixels:
                    _tile(x, stride, inputs, height, width, kh, kw, source + tile * rows,
                          min(rows, pixels - tile * rows), source + pixels, kernel1, bias1,
                          kernel2, bias2, patches, worker, h1, h2,
                          source + tile * rows if keep else worker * rows, taps,
                          terms, tile * rows, one)
        for number in numba.prange(workers):
            worker = np.int64(number)
            scatter(terms.ctypes.data, terms.shape[1], outputs, height, width, kh3, kw3, kh3 // 2,
                    kw3 // 2, worker * pixels // workers, (worker + 1) * pixels // workers,
                    bias3.ctypes.data, y.ctypes.data + source * outputs * y.itemsize, one)


@compiled
def _tile(x: Any, stride: int, inputs: int, height: int, width: int, kh: int, kw: int, first: int,
          count: int, pixels: int, kernel1: Any, bias1: Any, kernel2: Any, bias2: Any,
          patches: Any, worker: int, h1: Any, h2: Any, hidden_row: int, taps: Any, terms: Any,
          term_row: int, one: Any) -> None:
    """The three layers for pixels first to first + count - 1, up to the terms of the third."""
    rows = whole_rows(count)
    filters, columns, length = h1.shape[2], terms.shape[1], patches.shape[2]
    inner = len(taps)  # of the filters' columns, how many are not spare
    patch = patches.ctypes.data + worker * patches.shape[1] * length * patches.itemsize
    gather(x.ctypes.data, stride, inputs, height, width, kh, kw, kh // 2, kw // 2, first,
           first + rows, pixels, patch, length, one)
    place = hidden_row * filters * h1.itemsize
    a1, a2 = h1.ctypes.data + place, h2.ctypes.data + place
    hidden_layers(patch, length, rows, kernel1, bias1, kernel2, bias2, inner, a1, a2, one)
    to = terms.ctypes.data + term_row * columns * terms.itemsize
    tile_product(a2, filters, rows, inner, taps.ctypes.data, columns, columns,
                 to, columns, to, columns, FROM_ZERO, STORE, one)
