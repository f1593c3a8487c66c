"""A 3 x 3 convolution with many input and few output channels, in blocks of 2 x 2 pixels.

A pixel's channels x go to the 3 x 3 outputs around it, each by a matrix of its own; a block's go to
4 x 4. Along one axis that is the product of two polynomials, x0 + x1 z and g0 + g1 z + g2 z^2, and
the product's four coefficients follow from its values at 0, 1, -1 and infinity:

    m0 = x0 g0                                     y0 = m0
    m1 = (x0 + x1) (g0 + g1 + g2) / 2              y1 = m1 - m2 - m3
    m2 = (x0 - x1) (g0 - g1 + g2) / 2              y2 = m1 + m2 - m0
    m3 = x1 g2                                     y3 = m3

Four products instead of six; along both axes 16 instead of 36. What is added to get there is
little: sums of x are shared by all output channels, sums of g by all pixels, and of y there are
few. The coefficient y0 has no part of x1, and y3 none of x0: an output depends on the same pixels
as before.

Errors: all factors are 1, -1 or 1/2. In each direction a coefficient is a sum of up to three m's,
whose sizes together are at most twice those of two products of the largest x and g: so an error is
some 2 x 2 times what it can be with plain sums. What overflows here may not do so there, and inf -
inf is NaN: coupling_network.py computes such images again.

Source: Toom 1963 and Cook 1966, the multiplication by interpolation; Winograd 1980, "Arithmetic
Complexity of Computations", for filters; Lavin & Gray 2016, "Fast Algorithms for Convolutional
Neural Networks", for its use with channels. Here it is turned around (the transposed algorithm):
the wide side is the one that is cheap to transform.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cpu.addresses import load, size_of, store
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.kernel_values import AT_A_TIME, POINTS, values_in_place, values_of
from refglow.kernels.cpu.micro_product import FROM_ZERO, STORE
from refglow.kernels.cpu.tile_product import tile_product

SIDE = POINTS  # values along an axis; of them the first and the last are the two pixels' themselves
VALUES = SIDE * SIDE


@compiled
def pack_blocks(kernel: int, filters: int, outputs: int, first: int, last: int, matrices: int,
                one: Any) -> None:
    """matrices[(u, v), i, :] = the kernel's values at points u and v, for first <= i < last.

    Args:
      kernel, filters, outputs: address of [3, 3, filters, outputs]. kernel[a, b] takes an input to
        the output a - 1 rows above and b - 1 columns left of it, so g_j = kernel[2 - j].
      first, last: which inputs.
      matrices: address of [VALUES, filters, outputs].
      one: 1 in the number type.
    """
    size = size_of(one)
    tap = filters * outputs * size
    for start in range(first * outputs, last * outputs, AT_A_TIME):
        count = min(AT_A_TIME, last * outputs - start)
        g, to = kernel + start * size, matrices + start * size
        for j in range(3):
            row = to + (j if j < 2 else 3) * SIDE * tap
            values_of(g + ((2 - j) * 3 + 2) * tap, -tap, count, row, tap, one)
        for v in range(SIDE):
            values_in_place(to + v * tap, SIDE * tap, count, one)


@compiled
def multiply_blocks(x: int, x_row: int, filters: int, blocks: int, matrices: int, outputs: int,
                    columns: int, sums: int, products: int, one: Any) -> None:
    """products[block, (u, v), :] = the values of x at (u, v), times matrices[u, v].

    Args:
      x, x_row, filters: address of [4, blocks, x_row]: the pixels at (0, 0) of all blocks, then
        those at (0, 1), (1, 0) and (1, 1); `filters` columns are multiplied.
      blocks: how many, a multiple of the micro-kernel's rows.
      matrices, outputs: address of [VALUES, filters, outputs], with columns - outputs numbers
        behind it, which are read.
      columns: outputs, rounded up to whole vectors; the spare columns' products mean nothing.
      sums: address of [4, blocks, x_row], which is overwritten.
      products: address of [blocks, VALUES, columns].
      one: 1 in the number type.
    """
    size, count = size_of(one), blocks * x_row
    total, rest = sums + 2 * count * size, sums + 3 * count * size
    for u in range(SIDE):
        if u == 0 or u == 3:
            left = x + u // 3 * 2 * count * size
            right = left + count * size
        else:
            left, right, sign = sums, sums + count * size, one if u == 1 else -one
            _add(x, x + 2 * count * size, count, sign, left, one)
            _add(x + count * size, x + 3 * count * size, count, sign, right, one)
        _add_and_subtract(left, right, count, total, rest, one)
        values = left, total, rest, right
        for v in range(SIDE):
            to = products + (u * SIDE + v) * columns * size
            tile_product(values[v], x_row, blocks, filters,
                         matrices + (u * SIDE + v) * filters * outputs * size, outputs, columns, to,
                         VALUES * columns, to, columns, FROM_ZERO, STORE, one)


@compiled
def _add(a: int, b: int, count: int, sign: Any, total: int, one: Any) -> None:
    """total[i] = a[i] + sign b[i], by address."""
    for i in range(count):
        store(total, i, fma(sign, load(b, i, one), load(a, i, one)))


@compiled
def _add_and_subtract(a: int, b: int, count: int, total: int, rest: int, one: Any) -> None:
    """total[i] = a[i] + b[i] and rest[i] = a[i] - b[i], by address."""
    for i in range(count):
        store(total, i, load(a, i, one) + load(b, i, one))
    for i in range(count):
        store(rest, i, load(a, i, one) - load(b, i, one))


@compiled
def coefficients_of_blocks(products: int, blocks: int, columns: int, one: Any) -> None:
    """From products[block, (u, v), :] to the 4 x 4 outputs' parts [block, (i, j), :], in place."""
    row = SIDE * columns * size_of(one)
    for block in range(blocks):
        at = products + block * SIDE * row
        for v in range(SIDE):
            _coefficients(at + v * columns * size_of(one), row, columns, one)
        for u in range(SIDE):
            _coefficients(at + u * row, columns * size_of(one), columns, one)


@compiled
def _coefficients(m: int, step: int, count: int, one: Any) -> None:
    """y0 to y3 of the module's text in place of m0 to m3, which are `step` bytes apart."""
    m1, m2, m3 = m + step, m + 2 * step, m + 3 * step
    for i in range(count):
        total = load(m1, i, one) + load(m2, i, one)
        rest = load(m1, i, one) - load(m2, i, one)
        store(m1, i, rest - load(m3, i, one))
        store(m2, i, total - load(m, i, one))


@compiled
def add_up_blocks(parts: int, columns: int, outputs: int, height: int, width: int, first: int,
                  last: int, bias: int, y: int, one: Any) -> None:
    """The outputs first to last - 1: the bias and the parts of the up to four blocks around each.

    Args:
      parts, columns: address of [blocks, SIDE, SIDE, columns], of whole images.
      outputs, height, width: of an image.
      first, last: which pixels, counted from the first block's image.
      bias: address of [outputs].
      y: address of pixel 0's outputs.
      one: 1 in the number type.
    """
    down, across, size = (height + 1) // 2, (width + 1) // 2, size_of(one)
    for pixel in range(first, last):
        image, h, w = pixel // (height * width), pixel // width % height, pixel % width
        total = y + pixel * outputs * size
        for o in range(outputs):
            store(total, o, load(bias, o, one))
        for row in range(max(0, (h - 1) // 2), min(down, (h + 3) // 2)):
            for column in range(max(0, (w - 1) // 2), min(across, (w + 3) // 2)):
                block = (image * down + row) * across + column
                place = (h - 2 * row + 1) * SIDE + w - 2 * column + 1
                part = parts + (block * VALUES + place) * columns * size
                for o in range(outputs):
                    store(total, o, load(total, o, one) + load(part, o, one))
