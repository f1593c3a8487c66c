"""Triangular systems for the channels of pixels, on tiles of PIXELS pixels in the first cache.

A tile holds float64 numbers as [C, PIXELS]: one channel of all its pixels is contiguous, so that
vectors run over pixels, for any number of channels: in a substitution an operation on one channel
is the same for all pixels. (For products channel_rows.py has the better layout.)

A tile that is not full has zeros in its last places; they change no sum.
"""

from __future__ import annotations

from refglow.kernels.cpu.addresses import as_number, load, store
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.layout import Array
from refglow.kernels.cpu.memory import from_number, one_of

PIXELS = 64


@compiled
def load_tile(numbers: Array, first: int, count: int, offset: Array, tile: Array) -> None:
    """tile[c, p] = numbers[(first + p) C + c] + offset[c] for the pixels p < count, 0 for others.

    Args:
      numbers: flat, [pixels, C].
      first, count: which pixels.
      offset: float64 [C].
      tile: float64 [C, PIXELS].
    """
    channels, one, to = len(tile), one_of(numbers), from_number(tile, 0)
    if count < PIXELS:
        tile[:] = 0.0
    for p in range(count):
        given = from_number(numbers, (first + p) * channels)
        for c in range(channels):
            store(to, c * PIXELS + p, load(given, c, one) + offset[c])


@compiled
def unload_tile(tile: Array, count: int, factor: Array, offset: Array, rows: Array) -> None:
    """rows[p, c] = tile[c, p] factor[c] - offset[c] for the pixels p < count.

    Args:
      tile: float64 [C, PIXELS].
      count: how many pixels.
      factor, offset: float64 [C].
      rows: [PIXELS, C], or more columns.
    """
    channels, one, given = len(tile), one_of(rows), from_number(tile, 0)
    for p in range(count):
        to = from_number(rows, p * rows.shape[1])
        for c in range(channels):
            number = fma(load(given, c * PIXELS + p, 1.0), factor[c], -offset[c])
            store(to, c, as_number(number, one))


# Substitution: with N = -(L + U) beside the diagonal, L U x = y in two passes over the channels,
#     v_c = y_c + sum_{k<c} N_ck v_k        x_c = (v_c + sum_{k>c} N_ck x_k) / U_cc
# and (L U)^T = U^T L^T likewise with N^T, where the division belongs to the first pass. Vectors are
# multiplied by 1 / U_cc: a rounding more, where a division takes as long as ten products.


# Two channels at a time, so that what both need of the others is loaded once.


@compiled
def substitute(negated: Array, reciprocals: Array, order: Array, tile: Array,
               result: Array) -> None:
    """result = (P L U)^-1 tile, by two substitutions.

    Args:
      negated: N = minus the packed factors, float64 [C, C]; its diagonal is not used.
      reciprocals: one over the diagonal of U, float64 [C].
      order: p, where P^T y = y[p]; ints [C].
      tile, result: float64 [C, PIXELS].
    """
    channels = len(tile)
    for c in range(channels):
        for p in range(PIXELS):
            result[c, p] = tile[order[c], p]
    for c in range(0, channels, 2):
        d = min(c + 1, channels - 1)
        _add_products(negated, result, 0, c, c, d)
        if d > c:
            _add_product(negated, result, c, d)
    for c in range(channels - 1, -1, -2):
        d = max(c - 1, 0)
        _add_products(negated, result, c + 1, channels, c, d)
        for p in range(PIXELS):
            result[c, p] *= reciprocals[c]
        if d < c:
            _add_product(negated, result, c, d)
            for p in range(PIXELS):
                result[d, p] *= reciprocals[d]


@compiled
def substitute_transposed_upper(negated: Array, reciprocals: Array, tile: Array) -> None:
    """tile = U^-T tile.

    Args:
      negated: N^T; the others as for `substitute`.
    """
    channels = len(tile)
    for c in range(0, channels, 2):
        d = min(c + 1, channels - 1)
        _add_products(negated, tile, 0, c, c, d)
        for p in range(PIXELS):
            tile[c, p] *= reciprocals[c]
        if d > c:
            _add_product(negated, tile, c, d)
            for p in range(PIXELS):
                tile[d, p] *= reciprocals[d]


@compiled
def substitute_transposed_lower(negated: Array, order: Array, tile: Array, result: Array) -> None:
    """tile = L^-T tile and result = P tile: after `substitute_transposed_upper`, (P L U)^-T.

    Args:
      negated: N^T; the others as for `substitute`.
    """
    channels = len(tile)
    for c in range(channels - 1, -1, -2):
        d = max(c - 1, 0)
        _add_products(negated, tile, c + 1, channels, c, d)
        if d < c:
            _add_product(negated, tile, c, d)
    for c in range(channels):
        for p in range(PIXELS):
            result[order[c], p] = tile[c, p]


@compiled
def _add_product(matrix: Array, tile: Array, k: int, c: int) -> None:
    """tile[c] += matrix[c, k] tile[k]."""
    a = matrix[c, k]
    for p in range(PIXELS):
        tile[c, p] = fma(a, tile[k, p], tile[c, p])


@compiled
def _add_products(matrix: Array, tile: Array, first: int, last: int, c: int, d: int) -> None:
    """tile[c] += sum over first <= k < last of matrix[c, k] tile[k], one k after the other.

    The same for d, unless it is c. Four k at a time, so that a number is loaded and stored once for
    four products.
    """
    fours = first + (last - first) // 4 * 4 if d != c else first
    for k in range(first, fours, 4):
        a, b, e, f = matrix[c, k], matrix[c, k + 1], matrix[c, k + 2], matrix[c, k + 3]
        g, h, i, j = matrix[d, k], matrix[d, k + 1], matrix[d, k + 2], matrix[d, k + 3]
        for p in range(PIXELS):
            s, t, u, v = tile[k, p], tile[k + 1, p], tile[k + 2, p], tile[k + 3, p]
            tile[c, p] = fma(f, v, fma(e, u, fma(b, t, fma(a, s, tile[c, p]))))
            tile[d, p] = fma(j, v, fma(i, u, fma(h, t, fma(g, s, tile[d, p]))))
    for k in range(fours, last):
        _add_product(matrix, tile, k, c)
        if d != c:
            _add_product(matrix, tile, k, d)
