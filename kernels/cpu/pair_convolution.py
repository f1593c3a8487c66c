"""A 3 x 3 convolution with few input and many output channels, in pairs of pixels along a row.

Two outputs side by side see four inputs d0 to d3 in each of three rows; along the row that is

    y0 = d0 g0 + d1 g1 + d2 g2                     y1 = d1 g0 + d2 g1 + d3 g2

where every d_j g_b stands for the product of a pixel's channels with a matrix. The six products
follow from four, of sums of inputs with the kernel's values (kernel_values.py):

    v0 = d0 - d2     m0 = v0 g0
    v1 = d1 + d2     m1 = v1 (g0 + g1 + g2) / 2    y0 = m0 + m1 + m2
    v2 = d2 - d1     m2 = v2 (g0 - g1 + g2) / 2    y1 = m1 - m2 - m3
    v3 = d1 - d3     m3 = v3 g2

for m1 + m2 = d1 g1 + d2 (g0 + g2) and m1 - m2 = d1 (g0 + g2) + d2 g1. The three rows and all
channels are one inner dimension of 3 I. Sums of inputs are cheap, for there are few of them; sums
of outputs are made in registers (pair_product.py). An output depends on the same pixels as before.

Errors: all factors are 1, -1 or 1/2. Beside one product of the largest d and g, m0 and m3 are at
most twice as large, m1 and m2 three times; the three in an output at most five times, where three
plain products are three. Of overflow and infinities see block_convolution.py.

Source: Winograd 1980, "Arithmetic Complexity of Computations"; Lavin & Gray 2016, "Fast Algorithms
for Convolutional Neural Networks", where it is F(2, 3).
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cpu.addresses import load, size_of, store
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.kernel_values import AT_A_TIME, POINTS, values_of
from refglow.kernels.cpu.micro_product import MOST_VECTORS
from refglow.kernels.cpu.pair_product import (
    PAIR_ROWS_1,
    PAIR_ROWS_2,
    PAIR_ROWS_3,
    pair_product_1,
    pair_product_2,
    pair_product_3,
)
from refglow.kernels.cpu.vector_registers import VECTOR_BYTES


@compiled
def pack_pairs(kernel: int, tap: int, first: int, last: int, matrices: int, one: Any) -> None:
    """matrices[i, a] = the values of kernel[a] along its row, for numbers first to last - 1.

    Args:
      kernel, tap: address of [3, 3, tap], where a tap's numbers are those of all its channels.
      first, last: which numbers of a tap.
      matrices: address of [POINTS, 3, tap].
      one: 1 in the number type.
    """
    size = size_of(one)
    for start in range(first, last, AT_A_TIME):
        count = min(AT_A_TIME, last - start)
        for a in range(3):
            values_of(kernel + (3 * a * tap + start) * size, tap * size, count,
                      matrices + (a * tap + start) * size, 3 * tap * size, one)


@compiled
def gather_pair(x: int, stride: int, inputs: int, height: int, width: int, pixel: int,
                nothing: int, values: int, one: Any) -> None:
    """values[i, a, :] = v_i in the row a - 1 below the pixel's, of it and its right neighbour.

    Args:
      x, stride, inputs: address of the input pixels, `stride` elements apart; the first `inputs` of
        each are read.
      height, width: of an image; what is outside counts as zero.
      pixel: the left one's number, counted from the first image.
      nothing: address of [inputs] zeros.
      values: address of [POINTS, 3, inputs].
      one: 1 in the number type.
    """
    h, w, size = pixel // width % height, pixel % width, size_of(one)
    for a in range(3):
        row = x + (pixel + (a - 1) * width) * stride * size
        inside = 0 <= h + a - 1 < height
        d0 = row - stride * size if inside and w > 0 else nothing
        d1 = row if inside else nothing
        d2 = row + stride * size if inside and w + 1 < width else nothing
        d3 = row + 2 * stride * size if inside and w + 2 < width else nothing
        to = values + a * inputs * size
        for c in range(inputs):
            left, right = load(d1, c, one), load(d2, c, one)
            store(to, c, load(d0, c, one) - right)
            store(to, 3 * inputs + c, left + right)
            store(to, 6 * inputs + c, right - left)
            store(to, 9 * inputs + c, left - load(d3, c, one))


@compiled
def multiply_pairs(values: int, length: int, pairs: int, matrices: int, columns: int, bias: int,
                   left: int, right: int, one: Any) -> None:
    """left, right = relu(y0), relu(y1) of all pairs.

    Args:
      values, length, pairs: address of [pairs, POINTS, length]; pairs is a multiple of the
        micro-kernel's rows.
      matrices, columns: address of [POINTS, length, columns], whole vectors.
      bias: address of [columns].
      left, right: addresses of [pairs, columns].
      one: 1 in the number type.
    """
    size = size_of(one)
    wide = MOST_VECTORS * VECTOR_BYTES // size
    for column in range(0, columns, wide):
        vectors = min(columns - column, wide) * size // VECTOR_BYTES
        g, start, at = matrices + column * size, bias + column * size, column * size
        rows = (PAIR_ROWS_3 if vectors == MOST_VECTORS else
                PAIR_ROWS_2 if vectors == 2 else PAIR_ROWS_1)
        for pair in range(0, pairs, rows):
            v, to = values + pair * POINTS * length * size, pair * columns * size + at
            if vectors == MOST_VECTORS:
                pair_product_3(v, g, columns, left + to, right + to, columns, start, length, one)
            elif vectors == 2:
                pair_product_2(v, g, columns, left + to, right + to, columns, start, length, one)
            else:
                pair_product_1(v, g, columns, left + to, right + to, columns, start, length, one)
