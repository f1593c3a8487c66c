"""Pixels' channels as rows of float64, for the products that the micro-kernel makes of them.

A tile holds a pixel in each row, [PIXELS, width], with as many spare columns of zeros as make the
width a multiple of the vector's lanes: y = M x for all pixels is then one matrix product, and
sum y x^T over them another. (channel_products.py has the layout for substitutions.)
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.addresses import load, store
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.layout import Array, width_of_hidden, with_columns
from refglow.kernels.cpu.memory import from_number, one_of
from refglow.kernels.cpu.micro_product import FROM_EXTRA, FROM_ZERO, ROWS, STORE
from refglow.kernels.cpu.tile_product import tile_product, transposed_product, whole_rows

# Two or three tiles of 48 channels fit a second-level cache many times, of 12 a first-level one.
PIXELS = 128


def width_of(channels: int) -> int:
    """Columns of a tile: whole vectors, and whole blocks of the micro-kernel's rows."""
    return width_of_hidden(channels, np.dtype(np.float64))


def as_factor(matrix: Array) -> Array:
    """The matrix as the right factor of `multiply_rows`: with the tile's columns; read-only.

    Args:
      matrix: float64 [C, C]; rows are multiplied by it from the right, x^T matrix.
    """
    return with_columns(matrix, width_of(len(matrix)))


@compiled
def load_rows(numbers: Array, first: int, count: int, offset: Array, tile: Array) -> None:
    """tile[p, c] = numbers[(first + p) C + c] + offset[c] for the pixels p < count.

    Args:
      numbers: flat, [pixels, C].
      first, count: which pixels.
      offset: float64 [C].
      tile: float64 [PIXELS, width]; spare columns are left as they are.
    """
    channels, one = len(offset), one_of(numbers)
    for p in range(count):
        given, to = from_number(numbers, (first + p) * channels), from_number(tile,
                                                                             p * tile.shape[1])
        for c in range(channels):
            store(to, c, load(given, c, one) + offset[c])


@compiled
def unload_rows(tile: Array, count: int, numbers: Array) -> None:
    """numbers[p C + c] = tile[p, c] for the pixels p < count.

    Args:
      tile: float64 [PIXELS, width].
      count: how many pixels.
      numbers: [PIXELS, C].
    """
    channels = numbers.shape[1]
    for p in range(count):
        row = from_number(tile, p * tile.shape[1])
        for c in range(channels):
            numbers[p, c] = load(row, c, 1.0)


@compiled
def multiply_rows(tile: Array, count: int, factor: Array, result: Array) -> None:
    """result[p, :] = tile[p, :] factor for the pixels p < count, and some more.

    Args:
      tile, result: float64 [PIXELS, width].
      count: how many pixels.
      factor: float64 [C, width].
    """
    width, to = tile.shape[1], from_number(result, 0)
    tile_product(from_number(tile, 0), width, whole_rows(count), len(factor),
                 from_number(factor, 0), width, width, to, width, to, width, FROM_ZERO, STORE, 1.0)


@compiled
def add_outer_rows(left: Array, right: Array, count: int, total: Array) -> None:
    """total[i, j] += sum over the pixels p < count of left[p, i] right[p, j].

    Args:
      left, right: float64 [PIXELS, width].
      count: how many pixels.
      total: float64 [width, width], or more rows.
    """
    width = left.shape[1]
    transposed_product(from_number(left, 0), width, from_number(right, 0), width, count, 0, width,
                       width, from_number(total, 0), width, FROM_EXTRA, 1.0)


@compiled
def add_outer_lower(left: Array, right: Array, count: int, products: Array, total: Array) -> None:
    """total[i, j] += sum over p < count of left[i, p] right[p, j], for i >= j and some more.

    The tile's sum is made first, then added: of few terms each, both keep their digits.

    Args:
      left: float64 [width, pixels]: a tile of channel_products.py, with spare rows of zeros.
      right: float64 [pixels, width].
      count: how many pixels.
      products: float64 [width, width], overwritten.
      total: float64 [width, width], or more rows.
    """
    width, pixels = right.shape[1], left.shape[1]
    for i in range(0, width, ROWS):
        columns, to = i + ROWS, from_number(products, i * width)
        tile_product(from_number(left, i * pixels), pixels, ROWS, count, from_number(right, 0),
                     width, columns, to, width, to, width, FROM_ZERO, STORE, 1.0)
        for k in range(i, i + ROWS):
            for j in range(columns):
                total[k, j] += products[k, j]


@compiled
def add_outer_upper(left: Array, right: Array, count: int, products: Array, total: Array) -> None:
    """As `add_outer_lower`, for i <= j and some more."""
    width, pixels = right.shape[1], left.shape[1]
    for i in range(0, width, ROWS):
        to = from_number(products, i * width + i)
        tile_product(from_number(left, i * pixels), pixels, ROWS, count, from_number(right, i),
                     width, width - i, to, width, to, width, FROM_ZERO, STORE, 1.0)
        for k in range(i, i + ROWS):
            for j in range(i, width):
                total[k, j] += products[k, j]


@compiled
def add_rows(left: Array, right: Array, count: int, products: Array, sums: Array) -> None:
    """products[c] += sum over the pixels p < count of left[p, c] right[p, c]; sums[c] of right.

    Args:
      left, right: float64 [PIXELS, width].
      count: how many pixels.
      products, sums: float64 [width].
    """
    width = left.shape[1]
    first, second = from_number(products, 0), from_number(sums, 0)
    for p in range(count):
        x, y = from_number(left, p * width), from_number(right, p * width)
        for c in range(width):
            store(first, c, fma(load(x, c, 1.0), load(y, c, 1.0), load(first, c, 1.0)))
            store(second, c, load(second, c, 1.0) + load(y, c, 1.0))
