"""The product of a tile of rows with a whole matrix, and of a transposed matrix with another.

Rows are taken ROWS at a time and columns `MOST_VECTORS` vectors at a time; the columns' block of b
stays in the first-level cache while all rows of the tile pass. Rows must be a multiple of ROWS and
columns a multiple of the vector's lanes: tiles have spare rows, and narrow matrices spare columns.

Matrices are given by address, of their first element in bytes, and by the distance of their rows,
in elements. Numba does not know that an address keeps its array alive; the caller must hold it.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cpu.addresses import size_of
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.micro_product import (
    FROM_EXTRA,
    MOST_VECTORS,
    ROWS,
    STORE,
    micro_product_1,
    micro_product_2,
    micro_product_3,
)
from refglow.kernels.cpu.vector_registers import VECTOR_BYTES

# Rows of the long side that are taken at a time in `transposed_product`: a block of them, with
# MOST_VECTORS vectors of columns, fits the second-level cache with room to spare.
LONG_SIDE = 256


@compiled
def tile_product(a: int, a_row: int, rows: int, length: int, b: int, b_row: int, columns: int,
                 c: int, c_row: int, extra: int, extra_row: int, start: int, finish: int,
                 one: Any) -> None:
    """c[r, :] = finish(start + a[r, :] b), for `rows` rows of a and all `columns` of b.

    Args:
      a, a_row, rows: [rows, length]; `rows` is a multiple of ROWS.
      length: the inner dimension; 0 gives the starts.
      b, b_row, columns: [length, columns]; columns is a multiple of the vector's lanes.
      c, c_row: [rows, columns].
      extra, extra_row, start, finish: as in micro_product.py.
      one: 1 in the number type.
    """
    size = size_of(one)
    wide = MOST_VECTORS * VECTOR_BYTES // size
    for column in range(0, columns, wide):
        of, vectors = b + column * size, min(columns - column, wide) * size // VECTOR_BYTES
        for row in range(0, rows, ROWS):
            at = a + row * a_row * size
            to = c + (row * c_row + column) * size
            more = extra + (row * extra_row + column) * size
            if vectors == MOST_VECTORS:
                micro_product_3(at, a_row, 1, of, b_row, to, c_row, more, extra_row, length, start,
                                finish, one)
            elif vectors == 2:
                micro_product_2(at, a_row, 1, of, b_row, to, c_row, more, extra_row, length, start,
                                finish, one)
            else:
                micro_product_1(at, a_row, 1, of, b_row, to, c_row, more, extra_row, length, start,
                                finish, one)


@compiled
def transposed_product(a: int, a_row: int, b: int, b_row: int, length: int, first: int, last: int,
                       columns: int, c: int, c_row: int, start: int, one: Any) -> None:
    """c[m, :] = start + sum_k a[k, m] b[k, :] for first <= m < last: rows of a^T b.

    Args:
      a, a_row: [length, ...].
      b, b_row: [length, columns]; columns is a multiple of the vector's lanes.
      length: the long dimension; 0 gives the start.
      first, last: which rows of the result, both multiples of ROWS.
      c, c_row: the result.
      start: FROM_ZERO; or FROM_EXTRA, what is in c already.
      one: 1 in the number type.
    """
    size = size_of(one)
    wide = MOST_VECTORS * VECTOR_BYTES // size
    for k in range(0, max(1, length), LONG_SIDE):
        steps, begin = min(length - k, LONG_SIDE), start if k == 0 else FROM_EXTRA
        for column in range(0, columns, wide):
            of = b + (k * b_row + column) * size
            vectors = min(columns - column, wide) * size // VECTOR_BYTES
            for row in range(first, last, ROWS):
                at, to = a + (k * a_row + row) * size, c + (row * c_row + column) * size
                if vectors == MOST_VECTORS:
                    micro_product_3(at, 1, a_row, of, b_row, to, c_row, to, c_row, steps, begin,
                                    STORE, one)
                elif vectors == 2:
                    micro_product_2(at, 1, a_row, of, b_row, to, c_row, to, c_row, steps, begin,
                                    STORE, one)
                else:
                    micro_product_1(at, 1, a_row, of, b_row, to, c_row, to, c_row, steps, begin,
                                    STORE, one)


@compiled
def whole_rows(count: int) -> int:
    """The least number of rows that `tile_product` takes and that is at least `count`."""
    return (count + ROWS - 1) // ROWS * ROWS
