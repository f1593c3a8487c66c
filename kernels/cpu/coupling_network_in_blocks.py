"""The coupling network with two 3 x 3 convolutions, on the CPU, in blocks of 2 x 2 pixels.

A tile is some blocks: the first pixels of all of them, then the second, third and fourth ones, so
that the sums of pixels in block_convolution.py are sums of whole runs of memory. It passes through
the layers while its activations are in the second-level cache:

    values = sums of x's neighbours            [T / 2, 12 I]  narrow: see pair_convolution.py
    h1 = relu(values [kernel1's] + bias1)      [T, F]         bias and ReLU in registers
    h2 = relu(h1 kernel2 + bias2)              [T, F]
    parts = h2's values [kernel3's values]     [T / 4, 16 O]  narrow again

and then, when all parts of an image are there, they are added up where they belong. An image of an
odd height or width has blocks that reach beyond it; what is there is taken for zero. For the
gradient the activations are copied to the places of their pixels.

Source: the specification in refglow/networks/coupling_network.py.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from refglow.kernels.cpu.block_convolution import (
    VALUES,
    add_up_blocks,
    coefficients_of_blocks,
    multiply_blocks,
    pack_blocks,
)
from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.hidden_layers import as_weights, hidden_layer
from refglow.kernels.cpu.kernel_values import POINTS
from refglow.kernels.cpu.layout import Array, as_pixels, rounded_up, width_of_hidden, workspace
from refglow.kernels.cpu.memory import copy_run, one_of
from refglow.kernels.cpu.micro_product import ROWS
from refglow.kernels.cpu.pair_convolution import gather_pair, multiply_pairs, pack_pairs
from refglow.kernels.cpu.tile_product import whole_rows
from refglow.kernels.cpu.tiles import Tiles, images_in_chunk, tiles_of
from refglow.kernels.cpu.vector_registers import lanes_of

PIXELS = 4  # of a block


def coupling_network_in_blocks(x: Array, kernel1: Array, bias1: Array, kernel2: Array,
                               bias2: Array, kernel3: Array, bias3: Array,
                               kept: list[Array] | None) -> Array:
    """The output. The activations of all pixels go to `kept`, [1, pixels, width], if given."""
    (height, width, inputs), outputs, dtype = x.shape[-3:], kernel3.shape[3], x.dtype
    images, of_image = math.prod(x.shape[:-3]), -(-height // 2) * -(-width // 2)
    y = np.empty((*x.shape[:-1], outputs), dtype)
    chunk = min(images, images_in_chunk(height * width))
    cut, filters = _cut(chunk * of_image), width_of_hidden(kernel1.shape[3], dtype)
    columns, rows = rounded_up(outputs, lanes_of(dtype)), PIXELS * cut.rows
    # (Behind matrices3, whose last row is read to a whole vector, is `parts`.)
    matrices1, matrices3, parts, values, sums, h1, h2, nothing = workspace(
        dtype, (POINTS, 3 * inputs, filters), (VALUES, kernel3.shape[2], outputs),
        (cut.count * cut.rows, VALUES, columns), (cut.workers, rows // 2, POINTS, 3 * inputs),
        *[(cut.workers, rows, filters)] * 3, (inputs,))
    nothing[:] = 0
    kept1, kept2 = kept or (h1, h2)
    flat, stride = as_pixels(x)
    _network(flat, stride, height, width, images, chunk, cut.count, cut.rows,
             *as_weights(kernel1, bias1, kernel2, bias2, kernel3, bias3, filters), matrices1,
             matrices3, values, nothing, h1, h2, sums, kept1, kept2, kept is not None, parts,
             y.reshape(-1), dtype.type(1))
    return y


def _cut(blocks: int) -> Tiles:
    """Tiles of blocks: a quarter of what `tiles_of` makes of their pixels, whole rows again."""
    cut = tiles_of(PIXELS * blocks)
    rows = rounded_up(-(-cut.rows // PIXELS), ROWS)
    return Tiles(-(-blocks // rows), rows, cut.workers)


@compiled_parallel
def _network(x: Any, stride: int, height: int, width: int, images: int, chunk: int, tiles: int,
             rows: int, kernel1: Any, bias1: Any, kernel2: Any, bias2: Any, kernel3: Any,
             bias3: Any, matrices1: Any, matrices3: Any, values: Any, nothing: Any, h1: Any,
             h2: Any, sums: Any, kept1: Any, kept2: Any, keep: bool, parts: Any, y: Any,
             one: Any) -> None:
    """All chunks of images: a tile's layers for each worker, then the outputs."""
    of_image, workers = (height + 1) // 2 * ((width + 1) // 2), len(values)
    outputs = kernel3.shape[3]
    for number in numba.prange(workers):
        worker: Any = np.int64(number)
        _pack(kernel1, kernel3, worker, workers, matrices1, matrices3)
    for start in range(0, images, chunk):
        count = min(chunk, images - start)
        for number in numba.prange(workers):
            worker = np.int64(number)
            for tile in range(worker * tiles // workers, (worker + 1) * tiles // workers):
                blocks = min(rows, count * of_image - tile * rows)
                if blocks > 0:
                    first = start * of_image + tile * rows
                    _gather_tile(x, stride, height, width, first, blocks, nothing, values, worker)
                    _tile(values, matrices1, bias1, kernel2, bias2, matrices3.shape[1], h1, h2,
                          worker, blocks)
                    _outside_is_zero(h2, worker, height, width, first, blocks)
                    _parts(h2, sums, worker, blocks, matrices3, parts, tile * rows)
                    if keep:
                        _keep(h1, worker, height, width, first, blocks, kept1)
                        _keep(h2, worker, height, width, first, blocks, kept2)
        pixels = count * height * width
        to = y.ctypes.data + start * height * width * outputs * y.itemsize
        for number in numba.prange(workers):
            worker = np.int64(number)
            add_up_blocks(parts.ctypes.data, parts.shape[2], outputs, height, width,
                          worker * pixels // workers, (worker + 1) * pixels // workers,
                          bias3.ctypes.data, to, one)


@compiled
def _pack(kernel1: Any, kernel3: Any, worker: int, workers: int, matrices1: Any,
          matrices3: Any) -> None:
    """A worker's share of both convolutions' values."""
    one, filters, tap = one_of(kernel3), kernel3.shape[2], kernel1.size // 9
    pack_pairs(kernel1.ctypes.data, tap, worker * tap // workers, (worker + 1) * tap // workers,
               matrices1.ctypes.data, one)
    pack_blocks(kernel3.ctypes.data, filters, kernel3.shape[3], worker * filters // workers,
                (worker + 1) * filters // workers, matrices3.ctypes.data, one)


@compiled
def _pixel(height: int, width: int, block: int, place: int) -> int:
    """The number of the pixel at one of a block's four places; -1 if it is outside the image."""
    across = (width + 1) // 2
    of_image = (height + 1) // 2 * across
    image, within = block // of_image, block % of_image
    h, w = within // across * 2 + place // 2, within % across * 2 + place % 2
    return (image * height + h) * width + w if h < height and w < width else -1


@compiled
def _gather_tile(x: Any, stride: int, height: int, width: int, first: int, blocks: int,
                 nothing: Any, values: Any, worker: int) -> None:
    """The values of the tile's pairs, first all upper ones; zeros to whole rows."""
    one, rows, inputs = one_of(values), whole_rows(blocks), len(nothing)
    for half in range(2):
        for block in range(rows):
            pixel = _pixel(height, width, first + block, 2 * half) if block < blocks else -1
            if pixel < 0:
                values[worker, half * rows + block] = 0
                continue
            at = ((worker * values.shape[1] + half * rows + block) * POINTS * 3 * inputs
                  * values.itemsize)
            gather_pair(x.ctypes.data, stride, inputs, height, width, pixel, nothing.ctypes.data,
                        values.ctypes.data + at, one)


@compiled
def _tile(values: Any, matrices1: Any, bias1: Any, kernel2: Any, bias2: Any, inner: int, h1: Any,
          h2: Any, worker: int, blocks: int) -> None:
    """The first two layers."""
    one, size, filters, length = one_of(h1), h1.itemsize, h1.shape[2], values.shape[3]
    rows, place = whole_rows(blocks), worker * h1.shape[1] * filters * size
    a1, a2 = h1.ctypes.data + place, h2.ctypes.data + place
    for half in range(2):
        pairs = worker * values.shape[1] + half * rows
        left = a1 + 2 * half * rows * filters * size
        multiply_pairs(values.ctypes.data + pairs * POINTS * length * size, length, rows,
                       matrices1.ctypes.data, filters, bias1.ctypes.data, left,
                       left + rows * filters * size, one)
    hidden_layer(a1, filters, inner, PIXELS * rows, kernel2, bias2, a2, one)


@compiled
def _outside_is_zero(h2: Any, worker: int, height: int, width: int, first: int,
                     blocks: int) -> None:
    """Zeros for the activations of pixels outside the image."""
    if height % 2 or width % 2:
        for place in range(PIXELS):
            for block in range(blocks):
                if _pixel(height, width, first + block, place) < 0:
                    h2[worker, place * whole_rows(blocks) + block] = 0


@compiled
def _parts(h2: Any, sums: Any, worker: int, blocks: int, matrices3: Any, parts: Any,
           first: int) -> None:
    """The tile's parts of the outputs."""
    one, size, filters, columns = one_of(h2), h2.itemsize, h2.shape[2], parts.shape[2]
    to = parts.ctypes.data + first * VALUES * columns * size
    multiply_blocks(h2.ctypes.data + worker * h2.shape[1] * filters * size, filters,
                    matrices3.shape[1], whole_rows(blocks), matrices3.ctypes.data,
                    matrices3.shape[2], columns,
                    sums.ctypes.data + worker * sums.shape[1] * filters * size, to, one)
    coefficients_of_blocks(to, blocks, columns, one)


@compiled
def _keep(hidden: Any, worker: int, height: int, width: int, first: int, blocks: int,
          kept: Any) -> None:
    """The tile's activations to the places of their pixels."""
    filters, size, one = hidden.shape[2], hidden.itemsize, one_of(hidden)
    for place in range(PIXELS):
        row = worker * hidden.shape[1] + place * whole_rows(blocks)
        for block in range(blocks):
            pixel = _pixel(height, width, first + block, place)
            if pixel >= 0:
                copy_run(hidden.ctypes.data + (row + block) * filters * size, filters,
                         kept.ctypes.data + pixel * filters * size, one)
