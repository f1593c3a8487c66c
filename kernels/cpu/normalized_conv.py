"""ActNorm and the 1x1 convolution on the CPU, in one pass over memory.

    forward   y = M (x + m)  with  M = W diag(e^v)      (adding m first: x + m may be small)
    inverse   x = (W^-1 y) / e^v - m                    W^-1 by two substitutions, for each pixel

The inverse is not a product with M^-1: that loses digits with the square of W's condition number
(the reason is in the specification's ScaleMatvecLU).

The sums over pixels of the derivatives are taken over chunks of pixels, and the chunks' sums are
added in order. With n = (x + m) e^v, what lies between the two parts:

    forward vjp   x_bar = M^T y_bar            m_bar = sum x_bar
                  v_bar = sum (x + m) x_bar + fldj_bar        (n n_bar = (x + m) x_bar)
                  W_bar = G diag(e^v)                         G = sum y_bar (x + m)^T
    inverse vjp   m_bar = -sum x_bar
                  u = L^-1 P^T y,  x + m = R^-1 u  with  R = U diag(e^v)
                  v_bar = -sum (x + m) x_bar - ildj_bar
                  a = R^-T x_bar,  b = L^-T a                 y_bar = P b
                  lower_upper_bar = -strict_lower(sum b u^T)
                                    - upper(sum a (x + m)^T) diag(e^v) - diag(ildj_bar / U_ii)

Memory: a pixel's C numbers are read and C written; the vjps read C more. All is float64 inside, and
rounded once; the specification rounds to float32 between its two parts as well.

Source: the specification in refglow/bijectors/normalized_conv.py.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from refglow.kernels.cpu.channel_products import (
    PIXELS,
    load_tile,
    substitute_lower,
    substitute_transposed_lower,
    substitute_transposed_upper,
    substitute_upper,
    unload_tile,
)
from refglow.kernels.cpu.channel_rows import PIXELS as ROWS_OF_TILE
from refglow.kernels.cpu.channel_rows import (
    add_outer_lower,
    add_outer_rows,
    add_outer_upper,
    add_rows,
    as_factor,
    load_rows,
    multiply_rows,
    unload_rows,
    width_of,
)
from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.layout import Array, read_only
from refglow.kernels.cpu.lu_factors import (
    factors_cotangent,
    is_permutation,
    log_absolute_determinant,
    packed_cotangent,
    scaled_product,
)
from refglow.kernels.cpu.memory import is_streamed, order_stores, put
from refglow.kernels.cpu.operands import (
    CHUNK,
    Chunk,
    common_dtype,
    flat,
    parts_of,
    require_shape,
    run_chunks,
)


def normalized_conv_forward(x: Array, shift: Array, log_scale: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """See the specification."""
    y = np.empty(x.shape, common_dtype(x, shift, log_scale, lower_upper))
    m, scale, factors, order = _parameters(x, shift, log_scale, lower_upper, permutation)
    transposed = as_factor(scaled_product(factors, order, scale).T)
    _run(_forward_chunk, _forward_chunks, y, [x], m, transposed)
    return y, log_scale.sum(dtype=np.float64) + log_absolute_determinant(factors)


def normalized_conv_inverse(y: Array, shift: Array, log_scale: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """See the specification."""
    x = np.empty(y.shape, common_dtype(y, shift, log_scale, lower_upper))
    m, scale, factors, order = _parameters(y, shift, log_scale, lower_upper, permutation)
    _run(_inverse_chunk, _inverse_chunks, x, [y], m, read_only(1 / scale), read_only(-factors),
         read_only(1 / factors.diagonal()), order)
    return x, -log_absolute_determinant(factors) - log_scale.sum(dtype=np.float64)


def normalized_conv_forward_vjp(x: Array, shift: Array, log_scale: Array, lower_upper: Array,
                                permutation: Array, y_bar: Array, fldj_bar: Array
                                ) -> tuple[Array, Array, Array, Array]:
    """See the specification."""
    require_shape("y_bar", y_bar, x.shape)
    x_bar = np.empty(x.shape, common_dtype(x, shift, log_scale, lower_upper, y_bar))
    m, scale, factors, order = _parameters(x, shift, log_scale, lower_upper, permutation)
    matrix, sums = as_factor(scaled_product(factors, order, scale)), _sums(x_bar)
    _run(_forward_vjp_chunk, _forward_vjp_chunks, x_bar, [x, y_bar], m, matrix, sums)
    outer, products, x_bars = _split(sums, len(m))
    factors_bar = factors_cotangent(outer * scale, factors, order, fldj_bar)
    return _rounded(x_bar, x_bars, products + fldj_bar, factors_bar)


def normalized_conv_inverse_vjp(y: Array, shift: Array, log_scale: Array, lower_upper: Array,
                                permutation: Array, x_bar: Array, ildj_bar: Array
                                ) -> tuple[Array, Array, Array, Array]:
    """See the specification."""
    require_shape("x_bar", x_bar, y.shape)
    y_bar = np.empty(y.shape, common_dtype(y, shift, log_scale, lower_upper, x_bar))
    m, scale, factors, order = _parameters(y, shift, log_scale, lower_upper, permutation)
    below = _sums(y_bar)
    above = np.zeros_like(below)
    folded = np.tril(factors, -1) + np.triu(factors) * scale
    _run(_inverse_vjp_chunk, _inverse_vjp_chunks, y_bar, [y, x_bar], read_only(-folded),
         read_only(1 / folded.diagonal()), order, below, above)
    lower_outer, products, x_bars = _split(below, len(m))
    upper_outer, _, _ = _split(above, len(m))
    factors_bar = packed_cotangent(-lower_outer, -upper_outer * scale, factors, -float(ildj_bar))
    return _rounded(y_bar, -x_bars, -products - ildj_bar, factors_bar)


def _parameters(x: Array, shift: Array, log_scale: Array, lower_upper: Array,
                permutation: Array) -> tuple[Array, Array, Array, Array]:
    """m, e^v, the packed factors and p as the kernels read them: float64, and int64."""
    c = x.shape[-1]
    for what, array, shape in (("shift", shift, (c,)), ("log_scale", log_scale, (c,)),
                               ("lower_upper", lower_upper, (c, c)),
                               ("permutation", permutation, (c,))):
        require_shape(what, array, shape)
    order, wide = flat(permutation, np.dtype(np.int64)), np.dtype(np.float64)
    if not is_permutation(order):
        raise ValueError(f"permutation must hold 0 to {c - 1} once each; it is {order.tolist()}.")
    return (flat(shift, wide), read_only(np.exp(flat(log_scale, wide))),
            flat(lower_upper, wide).reshape(c, c), order)


def _pixels_of_chunk(channels: int) -> int:
    return max(1, CHUNK // max(1, channels * ROWS_OF_TILE)) * ROWS_OF_TILE  # whole tiles


def _run(one: Any, all_of_them: Any, result: Array, sources: list[Array],
         *arguments: Array) -> None:
    of_chunk = _pixels_of_chunk(result.shape[-1])
    pixels = result.size // max(1, result.shape[-1])
    run_chunks(one, all_of_them, parts_of(pixels, of_chunk),
               *(flat(source, result.dtype) for source in sources), *arguments,
               result.reshape(-1), of_chunk, is_streamed(result))


def _sums(x_bar: Array) -> Array:
    """Zeros for each chunk's sums: the outer products, with spare rows and columns; two rows."""
    c = x_bar.shape[-1]
    width = width_of(c)
    return np.zeros((parts_of(x_bar.size // max(1, c), _pixels_of_chunk(c)), width + 2, width))


def _split(sums: Array, channels: int) -> tuple[Array, Array, Array]:
    """The totals of the outer products and of the two rows."""
    total = sums.sum(axis=0)[:, :channels]
    return total[:channels], total[-2], total[-1]


def _rounded(x_bar: Array, *parameter_bars: Array) -> tuple[Array, Array, Array, Array]:
    shift_bar, log_scale_bar, factors_bar = (bar.astype(x_bar.dtype) for bar in parameter_bars)
    return x_bar, shift_bar, log_scale_bar, factors_bar


# ---- compiled: pixels chunk * of_chunk to (chunk + 1) * of_chunk - 1 -----------------------------


@compiled_parallel
def _forward_chunks(x: Array, shift: Array, transposed: Array, y: Array, of_chunk: int,
                    streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _forward_chunk(x, shift, transposed, y, of_chunk, streamed, np.int64(chunk))


@compiled
def _forward_chunk(x: Array, shift: Array, transposed: Array, y: Array, of_chunk: int,
                   streamed: bool, chunk: Chunk) -> None:
    c, width = transposed.shape
    shifted, mixed = np.zeros((ROWS_OF_TILE, width)), np.empty((ROWS_OF_TILE, width))
    rounded = np.empty((ROWS_OF_TILE, c), y.dtype)
    for first in range(chunk * of_chunk, min((chunk + 1) * of_chunk, y.size // c), ROWS_OF_TILE):
        count = min(ROWS_OF_TILE, y.size // c - first)
        load_rows(x, first, count, shift, shifted)
        multiply_rows(shifted, count, transposed, mixed)
        unload_rows(mixed, count, rounded)
        put(rounded, count * c, y, first * c, streamed)
    order_stores()


@compiled_parallel
def _inverse_chunks(y: Array, shift: Array, factor: Array, negated: Array, reciprocals: Array,
                    order: Array, x: Array, of_chunk: int, streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _inverse_chunk(y, shift, factor, negated, reciprocals, order, x, of_chunk, streamed,
                       np.int64(chunk))


@compiled
def _inverse_chunk(y: Array, shift: Array, factor: Array, negated: Array, reciprocals: Array,
                   order: Array, x: Array, of_chunk: int, streamed: bool, chunk: Chunk) -> None:
    c = len(shift)
    tile, rounded, same = np.empty((c, PIXELS)), np.empty((PIXELS, c), x.dtype), np.arange(c)
    for first in range(chunk * of_chunk, min((chunk + 1) * of_chunk, x.size // c), PIXELS):
        count = min(PIXELS, x.size // c - first)
        load_tile(y, first, count, order, tile)
        substitute_lower(negated, tile)
        substitute_upper(negated, reciprocals, tile)
        unload_tile(tile, count, factor, shift, same, rounded)
        put(rounded, count * c, x, first * c, streamed)
    order_stores()


@compiled_parallel
def _forward_vjp_chunks(x: Array, y_bar: Array, shift: Array, matrix: Array, sums: Array,
                        x_bar: Array, of_chunk: int, streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _forward_vjp_chunk(x, y_bar, shift, matrix, sums, x_bar, of_chunk, streamed,
                           np.int64(chunk))


@compiled
def _forward_vjp_chunk(x: Array, y_bar: Array, shift: Array, matrix: Array, sums: Array,
                       x_bar: Array, of_chunk: int, streamed: bool, chunk: Chunk) -> None:
    c, width = matrix.shape
    shifted, bars = np.zeros((ROWS_OF_TILE, width)), np.zeros((ROWS_OF_TILE, width))
    mixed, rounded = np.empty((ROWS_OF_TILE, width)), np.empty((ROWS_OF_TILE, c), x_bar.dtype)
    zero = np.zeros(c)
    for first in range(chunk * of_chunk, min((chunk + 1) * of_chunk, x_bar.size // c),
                       ROWS_OF_TILE):
        count = min(ROWS_OF_TILE, x_bar.size // c - first)
        load_rows(x, first, count, shift, shifted)
        load_rows(y_bar, first, count, zero, bars)
        multiply_rows(bars, count, matrix, mixed)
        add_outer_rows(bars, shifted, count, sums[chunk])
        add_rows(shifted, mixed, count, sums[chunk, width], sums[chunk, width + 1])
        unload_rows(mixed, count, rounded)
        put(rounded, count * c, x_bar, first * c, streamed)
    order_stores()


@compiled_parallel
def _inverse_vjp_chunks(y: Array, x_bar: Array, negated: Array, reciprocals: Array, order: Array,
                        below: Array, above: Array, y_bar: Array, of_chunk: int, streamed: bool,
                        chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _inverse_vjp_chunk(y, x_bar, negated, reciprocals, order, below, above, y_bar, of_chunk,
                           streamed, np.int64(chunk))


@compiled
def _inverse_vjp_chunk(y: Array, x_bar: Array, negated: Array, reciprocals: Array, order: Array,
                       below: Array, above: Array, y_bar: Array, of_chunk: int, streamed: bool,
                       chunk: Chunk) -> None:
    c, width = len(order), below.shape[2]
    between, shifted = np.zeros((PIXELS, width)), np.zeros((PIXELS, width))
    bars, padded = np.zeros((PIXELS, width)), np.zeros((width, PIXELS))
    solved, tile = np.empty((c, PIXELS)), padded[:c]
    one, zero, same = np.ones(c), np.zeros(c), np.arange(c)
    products, rounded = np.empty((width, width)), np.empty((PIXELS, c), y_bar.dtype)
    for first in range(chunk * of_chunk, min((chunk + 1) * of_chunk, y_bar.size // c), PIXELS):
        count = min(PIXELS, y_bar.size // c - first)
        load_tile(y, first, count, order, solved)
        substitute_lower(negated, solved)
        unload_tile(solved, count, one, zero, same, between)
        substitute_upper(negated, reciprocals, solved)
        unload_tile(solved, count, one, zero, same, shifted)
        load_rows(x_bar, first, count, zero, bars)
        add_rows(shifted, bars, count, below[chunk, width], below[chunk, width + 1])
        load_tile(x_bar, first, count, same, tile)
        substitute_transposed_upper(negated, reciprocals, tile)
        add_outer_upper(padded, shifted, count, products, above[chunk])
        substitute_transposed_lower(negated, tile)
        add_outer_lower(padded, between, count, products, below[chunk])
        unload_tile(tile, count, one, zero, order, rounded)
        put(rounded, count * c, y_bar, first * c, streamed)
    order_stores()
