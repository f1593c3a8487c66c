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
from refglow.kernels.cpu.micro_substitution import (
    UNKNOWNS,
    VECTORS,
    divide_one,
    divide_some,
    solve_one,
    solve_some,
)
from refglow.kernels.cpu.vector_registers import VECTOR_BYTES

PIXELS = 64
_COLUMNS = VECTORS * VECTOR_BYTES // 8  # pixels that are worked on at a time


@compiled
def load_tile(numbers: Array, first: int, count: int, order: Array, tile: Array) -> None:
    """tile[c, p] = numbers[(first + p) C + order[c]] for the pixels p < count, 0 for others.

    Args:
      numbers: flat, [pixels, C].
      first, count: which pixels.
      order: ints [C].
      tile: float64 [C, PIXELS].
    """
    channels, one, to = len(tile), one_of(numbers), from_number(tile, 0)
    if count < PIXELS:
        tile[:] = 0.0
    for p in range(count):
        given = from_number(numbers, (first + p) * channels)
        for c in range(channels):
            store(to, c * PIXELS + p, load(given, order[c], one) + 0.0)


@compiled
def unload_tile(tile: Array, count: int, factor: Array, offset: Array, order: Array,
                rows: Array) -> None:
    """rows[p, order[c]] = tile[c, p] factor[c] - offset[c] for the pixels p < count.

    Args:
      tile: float64 [C, PIXELS].
      count: how many pixels.
      factor, offset: float64 [C].
      order: ints [C].
      rows: [PIXELS, C], or more columns.
    """
    channels, one, given = len(tile), one_of(rows), from_number(tile, 0)
    for p in range(count):
        to = from_number(rows, p * rows.shape[1])
        for c in range(channels):
            number = fma(load(given, c * PIXELS + p, 1.0), factor[c], -offset[c])
            store(to, order[c], as_number(number, one))


# Substitution: with N = -(L + U) beside the diagonal, L U x = y in two passes over the channels,
#     v_c = y_c + sum_{k<c} N_ck v_k        x_c = (v_c + sum_{k>c} N_ck x_k) / U_cc
# and (L U)^T = U^T L^T likewise with N^T, where the division belongs to the first pass. Vectors are
# multiplied by 1 / U_cc: a rounding more, where a division takes as long as ten products.
#
# Downwards a triangle's channels are taken from the first on, upwards from the last, with negative
# distances from there; a factor is transposed where its rows' distance and its columns' change
# places (micro_substitution.py).


@compiled
def substitute_lower(negated: Array, tile: Array) -> None:
    """tile = L^-1 tile.

    Args:
      negated: N = minus the packed factors, float64 [C, C]; its diagonal is not used.
      tile: float64 [C, PIXELS].
    """
    c = len(tile)
    _solve(from_number(tile, 0), PIXELS, from_number(negated, 0), c, 1, c)


@compiled
def substitute_upper(negated: Array, reciprocals: Array, tile: Array) -> None:
    """tile = U^-1 tile: after `substitute_lower`, (L U)^-1.

    Args:
      negated, tile: as for `substitute_lower`.
      reciprocals: one over the diagonal of U, float64 [C].
    """
    c = len(tile)
    _divide(from_number(tile, (c - 1) * PIXELS), -PIXELS, from_number(negated, c * c - 1), -c, -1,
            from_number(reciprocals, c - 1), -1, c)


@compiled
def substitute_transposed_upper(negated: Array, reciprocals: Array, tile: Array) -> None:
    """tile = U^-T tile.

    Args: as for `substitute_upper`.
    """
    c = len(tile)
    _divide(from_number(tile, 0), PIXELS, from_number(negated, 0), 1, c,
            from_number(reciprocals, 0), 1, c)


@compiled
def substitute_transposed_lower(negated: Array, tile: Array) -> None:
    """tile = L^-T tile: after `substitute_transposed_upper`, (L U)^-T.

    Args: as for `substitute_lower`.
    """
    c = len(tile)
    _solve(from_number(tile, (c - 1) * PIXELS), -PIXELS, from_number(negated, c * c - 1), -1, -c, c)


@compiled
def _solve(tile: int, tile_row: int, factor: int, row: int, column: int, channels: int) -> None:
    """One triangle of ones on the diagonal; the arguments are micro_substitution.py's."""
    fours = channels // UNKNOWNS * UNKNOWNS
    for p in range(0, PIXELS, _COLUMNS):
        at = tile + 8 * p
        for c in range(0, fours, UNKNOWNS):
            solve_some(at, tile_row, factor, row, column, 0, 0, c, 1.0)
        for c in range(fours, channels):
            solve_one(at, tile_row, factor, row, column, 0, 0, c, 1.0)


@compiled
def _divide(tile: int, tile_row: int, factor: int, row: int, column: int, reciprocals: int,
            step: int, channels: int) -> None:
    """One triangle of any diagonal; the arguments are micro_substitution.py's."""
    fours = channels // UNKNOWNS * UNKNOWNS
    for p in range(0, PIXELS, _COLUMNS):
        at = tile + 8 * p
        for c in range(0, fours, UNKNOWNS):
            divide_some(at, tile_row, factor, row, column, reciprocals, step, c, 1.0)
        for c in range(fours, channels):
            divide_one(at, tile_row, factor, row, column, reciprocals, step, c, 1.0)
