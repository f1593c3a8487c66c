"""Small matrices times the channels of pixels, on tiles of PIXELS pixels in the first cache.

A tile holds float64 numbers as [C, PIXELS]: one channel of all its pixels is contiguous, so that
vectors run over pixels, for any number of channels. Substitution is then as easily vectorized as a
product: an operation on one channel is the same for all pixels.

A tile that is not full has zeros in its last places; they change no sum.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.layout import Array

PIXELS = 32

# Sums over pixels are kept in so many lanes, which are joined in a fixed order at the end.
_LANES = 8


@compiled
def load_tile(rows: Array, count: int, offset: Array, tile: Array) -> None:
    """tile[c, p] = rows[p, c] + offset[c] for the pixels p < count, and 0 for others.

    Args:
      rows: flat, [count, C].
      offset: float64 [C].
      tile: float64 [C, PIXELS].
    """
    channels = len(tile)
    for c in range(channels):
        for p in range(count):
            tile[c, p] = rows[p * channels + c] + offset[c]
        for p in range(count, PIXELS):
            tile[c, p] = 0.0


@compiled
def unload_tile(tile: Array, count: int, scale: Array, offset: Array, rows: Array) -> None:
    """rows[p, c] = tile[c, p] / scale[c] - offset[c] for the pixels p < count.

    Args:
      tile: float64 [C, PIXELS].
      scale, offset: float64 [C].
      rows: flat, [count, C].
    """
    channels = len(tile)
    for c in range(channels):
        for p in range(count):
            rows[p * channels + c] = tile[c, p] / scale[c] - offset[c]


@compiled
def multiply(matrix: Array, tile: Array, result: Array) -> None:
    """result = matrix @ tile: each of its numbers is one sum, from the first channel to the last.

    Args:
      matrix: float64 [C, C].
      tile, result: float64 [C, PIXELS].
    """
    channels = len(tile)
    for c in range(channels):
        for p in range(PIXELS):
            result[c, p] = 0.0
        _add_products(matrix, tile, 0, channels, result, c)


# Substitution: with N = -(L + U) beside the diagonal, L U x = y in two passes over the channels,
#     v_c = y_c + sum_{k<c} N_ck v_k        x_c = (v_c + sum_{k>c} N_ck x_k) / U_cc
# and (L U)^T = U^T L^T likewise with N^T, where the division belongs to the first pass.


@compiled
def substitute(negated: Array, diagonal: Array, order: Array, tile: Array, result: Array) -> None:
    """result = (P L U)^-1 tile, by two substitutions.

    Args:
      negated: N = minus the packed factors, float64 [C, C]; its diagonal is not used.
      diagonal: of U, float64 [C].
      order: p, where P^T y = y[p]; ints [C].
      tile, result: float64 [C, PIXELS].
    """
    channels = len(tile)
    for c in range(channels):
        for p in range(PIXELS):
            result[c, p] = tile[order[c], p]
        _add_products(negated, result, 0, c, result, c)
    for c in range(channels - 1, -1, -1):
        _add_products(negated, result, c + 1, channels, result, c)
        for p in range(PIXELS):
            result[c, p] /= diagonal[c]


@compiled
def substitute_transposed(negated: Array, diagonal: Array, order: Array, tile: Array,
                          result: Array) -> None:
    """result = (P L U)^-T tile = P L^-T U^-T tile, by two substitutions; `tile` is overwritten.

    Args:
      negated: N^T; the others as for `substitute`.
    """
    channels = len(tile)
    for c in range(channels):
        _add_products(negated, tile, 0, c, tile, c)
        for p in range(PIXELS):
            tile[c, p] /= diagonal[c]
    for c in range(channels - 1, -1, -1):
        _add_products(negated, tile, c + 1, channels, tile, c)
        for p in range(PIXELS):
            result[order[c], p] = tile[c, p]


@compiled
def _add_products(matrix: Array, tile: Array, first: int, last: int, result: Array,
                  c: int) -> None:
    """result[c] += sum over first <= k < last of matrix[c, k] tile[k], one k after the other.

    Four at a time, so that a number is loaded and stored once for four products.
    """
    fours = first + (last - first) // 4 * 4
    for k in range(first, fours, 4):
        a, b = matrix[c, k], matrix[c, k + 1]
        d, e = matrix[c, k + 2], matrix[c, k + 3]
        for p in range(PIXELS):
            result[c, p] = (((result[c, p] + a * tile[k, p]) + b * tile[k + 1, p])
                            + d * tile[k + 2, p]) + e * tile[k + 3, p]
    for k in range(fours, last):
        a = matrix[c, k]
        for p in range(PIXELS):
            result[c, p] += a * tile[k, p]


@compiled
def outer_lanes(channels: int) -> Array:
    """Zeros for `add_outer_products`."""
    return np.zeros((channels, channels, _LANES))


@compiled
def add_outer_products(left: Array, right: Array, lanes: Array) -> None:
    """Add left[c, p] right[k, p] of all pixels p to lane p mod 8 of lanes[c, k].

    Args:
      left, right: float64 [C, PIXELS].
      lanes: as `outer_lanes` made it.
    """
    for c in range(len(left)):
        for k in range(len(right)):
            for lane in range(_LANES):
                lanes[c, k, lane] += (
                    (left[c, lane] * right[k, lane]
                     + left[c, lane + 8] * right[k, lane + 8])
                    + (left[c, lane + 16] * right[k, lane + 16]
                       + left[c, lane + 24] * right[k, lane + 24]))


@compiled
def join_lanes(lanes: Array, total: Array) -> None:
    """total[c, k] = the sum of the lanes of [c, k]."""
    for c in range(lanes.shape[0]):
        for k in range(lanes.shape[1]):
            total[c, k] = (((lanes[c, k, 0] + lanes[c, k, 4]) + (lanes[c, k, 2] + lanes[c, k, 6]))
                           + ((lanes[c, k, 1] + lanes[c, k, 5])
                              + (lanes[c, k, 3] + lanes[c, k, 7])))


@compiled
def add_channel_sums(left: Array, right: Array, products: Array, sums: Array) -> None:
    """products[c] += sum over pixels of left[c, p] right[c, p]; sums[c] += that of right[c, p].

    Args:
      left, right: float64 [C, PIXELS].
      products, sums: float64 [C].
    """
    for c in range(len(left)):
        for p in range(PIXELS):
            products[c] += left[c, p] * right[c, p]
            sums[c] += right[c, p]
