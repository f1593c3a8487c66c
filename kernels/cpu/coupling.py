"""Glow's couplings on the CPU: split, map, join and log-det in one pass over memory.

A tile of pixels at a time, the mapped channels and the raw scales are brought together from the
rows that they are scattered in, mapped in vectors, and joined with the channels that pass. Each
number is computed in its own type, with a few roundings: a sigmoid's log-det from float32 numbers
is right to their eps, of its size. The log-dets of a tile's elements are summed in float64, without
a logarithm for each (lane_sums.py).

Memory, for N P pixels of C channels, K of them deciding: forward and inverse read C + 2 (C - K)
numbers of a pixel and write C; the vjps read C more and write 2 (C - K) more.

Source: the specification in refglow/bijectors/coupling.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from refglow.kernels.cpu.addresses import size_of
from refglow.kernels.cpu.compiled import compiled, compiled_parallel, inlined
from refglow.kernels.cpu.coupling_maps import (
    EXP_FORWARD,
    EXP_INVERSE,
    INVERSES,
    SHIFT_FORWARD,
    SHIFT_INVERSE,
    SHIFTS,
    SIGMOID_FORWARD,
    SIGMOID_INVERSE,
    map_tile,
    negate,
    pull_back_tile,
)
from refglow.kernels.cpu.lane_sums import LANES, LOG_DET_STATE, log_det_of, start_log_det
from refglow.kernels.cpu.layout import Array
from refglow.kernels.cpu.memory import (
    GROUP,
    address_of,
    from_number,
    hold,
    is_streamed,
    join_columns,
    line_from,
    one_of,
    order_stores,
    put_at,
    take_columns,
)
from refglow.kernels.cpu.operands import (
    CHUNK,
    TILE,
    Chunk,
    common_dtype,
    flat,
    parts_of,
    require_shape,
    run_chunks,
)

# Numbers of a tile of x. There are five or six such arrays, which stay in the first cache with what
# is read and written (measured: twice as many cost 7 % more time, half as many 50 %).
_TILE = TILE // 2


def sigmoid_coupling_forward(x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """See the specification."""
    return _mapped(SIGMOID_FORWARD, x, output, deciding)


def sigmoid_coupling_inverse(y: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """See the specification."""
    return _mapped(SIGMOID_INVERSE, y, output, deciding)


def exp_coupling_forward(x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """See the specification."""
    return _mapped(EXP_FORWARD, x, output, deciding)


def exp_coupling_inverse(y: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """See the specification."""
    return _mapped(EXP_INVERSE, y, output, deciding)


def shift_coupling_forward(x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """See the specification."""
    return _mapped(SHIFT_FORWARD, x, output, deciding)


def shift_coupling_inverse(y: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """See the specification."""
    return _mapped(SHIFT_INVERSE, y, output, deciding)


def sigmoid_coupling_forward_vjp(x: Array, output: Array, deciding: int, y_bar: Array,
                                 fldj_bar: Array) -> tuple[Array, Array]:
    """See the specification."""
    return _pulled_back(SIGMOID_FORWARD, x, output, deciding, y_bar, fldj_bar)


def sigmoid_coupling_inverse_vjp(x: Array, output: Array, deciding: int, x_bar: Array,
                                 ildj_bar: Array) -> tuple[Array, Array]:
    """See the specification."""
    return _pulled_back(SIGMOID_INVERSE, x, output, deciding, x_bar, ildj_bar)


def exp_coupling_forward_vjp(x: Array, output: Array, deciding: int, y_bar: Array,
                             fldj_bar: Array) -> tuple[Array, Array]:
    """See the specification."""
    return _pulled_back(EXP_FORWARD, x, output, deciding, y_bar, fldj_bar)


def exp_coupling_inverse_vjp(x: Array, output: Array, deciding: int, x_bar: Array,
                             ildj_bar: Array) -> tuple[Array, Array]:
    """See the specification."""
    return _pulled_back(EXP_INVERSE, x, output, deciding, x_bar, ildj_bar)


def shift_coupling_forward_vjp(x: Array, output: Array, deciding: int, y_bar: Array,
                               fldj_bar: Array) -> tuple[Array, Array]:
    """See the specification."""
    return _pulled_back(SHIFT_FORWARD, x, output, deciding, y_bar, fldj_bar)


def shift_coupling_inverse_vjp(x: Array, output: Array, deciding: int, x_bar: Array,
                               ildj_bar: Array) -> tuple[Array, Array]:
    """See the specification."""
    return _pulled_back(SHIFT_INVERSE, x, output, deciding, x_bar, ildj_bar)


# ---- how the work is cut ----------------------------------------------------------------------


class Cut(NamedTuple):
    """Examples are cut into pieces, whose log-dets are summed apart and then added up in order.

    Attributes:
      pixels, channels, deciding: of an example, of a pixel, of those that decide.
      rows: pixels of a piece; the last of an example may have less.
      of_example, of_chunk: how many pieces an example and a chunk have.
    """

    pixels: int
    channels: int
    deciding: int
    rows: int
    of_example: int
    of_chunk: int


def _cut(shape: tuple[int, ...], deciding: int) -> Cut:
    _, pixels, channels = shape
    rows = max(1, min(pixels, CHUNK // max(1, channels)))
    return Cut(pixels, channels, deciding, rows, max(1, parts_of(pixels, rows)),
               max(1, CHUNK // max(1, rows * channels)))


def _mapped(kind: int, x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    dtype = common_dtype(x, output)
    _check(kind, x, output, deciding)
    cut = _cut(x.shape, deciding)
    y, log_dets = np.empty(x.shape, dtype), np.empty((len(x), cut.of_example))
    run_chunks(_map_chunk, _map_chunks, parts_of(log_dets.size, cut.of_chunk), kind, cut,
               flat(x, dtype), flat(output, dtype), y.reshape(-1), log_dets.reshape(-1),
               is_streamed(y))
    return y, log_dets.sum(axis=1)


def _pulled_back(kind: int, x: Array, output: Array, deciding: int, bar: Array,
                 log_det_bar: Array) -> tuple[Array, Array]:
    dtype = common_dtype(x, output, bar)
    _check(kind, x, output, deciding)
    require_shape("The cotangent of the result", bar, x.shape)
    require_shape("The cotangent of the log-det", log_det_bar, x.shape[:1])
    cut = _cut(x.shape, deciding)
    x_bar, output_bar = np.empty(x.shape, dtype), np.empty(output.shape, dtype)
    run_chunks(_pull_back_chunk, _pull_back_chunks,
               parts_of(len(x) * cut.of_example, cut.of_chunk), kind, cut, flat(x, dtype),
               flat(output, dtype), flat(bar, dtype), flat(log_det_bar, np.dtype(np.float64)),
               x_bar.reshape(-1), output_bar.reshape(-1), is_streamed(x_bar))
    return x_bar, output_bar


def _check(kind: int, x: Array, output: Array, deciding: int) -> None:
    if x.ndim != 3 or not 0 <= deciding <= x.shape[2]:
        raise ValueError("A coupling maps [N, P, C] with 0 to C channels that decide; got shape "
                         f"{list(x.shape)} and {deciding}.")
    mapped = x.shape[2] - deciding
    require_shape("The network's output", output,
                  (*x.shape[:2], mapped if kind in SHIFTS else 2 * mapped))


# ---- compiled ---------------------------------------------------------------------------------


@inlined
def _room_for(count: int) -> int:
    """Numbers of a tile: whole cache lines, whole groups of LANES, and GROUP to spare."""
    return (count + GROUP + LANES - 1) // LANES * LANES


@compiled_parallel
def _map_chunks(kind: int, cut: Cut, x: Array, output: Array, y: Array, log_dets: Array,
                streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _map_chunk(kind, cut, x, output, y, log_dets, streamed, np.int64(chunk))


@compiled
def _map_chunk(kind: int, cut: Cut, x: Array, output: Array, y: Array, log_dets: Array,
               streamed: bool, chunk: Chunk) -> None:
    """y and the log-dets of a chunk's pieces."""
    channels, deciding = cut.channels, cut.deciding
    mapped = channels - deciding
    width = mapped if kind in SHIFTS else 2 * mapped
    most, one = max(1, _TILE // max(1, channels)), one_of(x)
    size = _room_for(most * mapped)
    tiles, state = np.empty(6 * size + most * channels, x.dtype), np.empty(LOG_DET_STATE)
    r, log_det, step = line_from(address_of(tiles)), address_of(state), size * size_of(one)
    t, v, decays, joined = r + step, r + 2 * step, r + 3 * step, r + 4 * step
    for piece in range(chunk * cut.of_chunk, min((chunk + 1) * cut.of_chunk, log_dets.size)):
        example, part = divmod(piece, cut.of_example)
        begin = example * cut.pixels + part * cut.rows
        end = example * cut.pixels + min((part + 1) * cut.rows, cut.pixels)
        start_log_det(log_det)
        for pixel in range(begin, end, most):
            rows = min(most, end - pixel)
            given, left = from_number(x, pixel * channels), x.size - pixel * channels
            controls, more = from_number(output, pixel * width), output.size - pixel * width
            take_columns(given, left, channels, deciding, mapped, rows, v, one)
            if kind in SHIFTS:
                map_tile(kind, rows * mapped, r, controls, v, decays, log_det, one)
            else:
                take_columns(controls, more, width, 0, mapped, rows, r, one)
                take_columns(controls, more, width, mapped, mapped, rows, t, one)
                map_tile(kind, rows * mapped, r, t, v, decays, log_det, one)
            join_columns(given, left, channels, deciding, v, mapped, rows, joined, one)
            put_at(joined, rows * channels, address_of(y), pixel * channels, streamed, one)
        log_dets[piece] = -log_det_of(log_det) if kind in INVERSES else log_det_of(log_det)
    hold(tiles)
    hold(state)
    order_stores()


@compiled_parallel
def _pull_back_chunks(kind: int, cut: Cut, x: Array, output: Array, bar: Array,
                      log_det_bar: Array, x_bar: Array, output_bar: Array, streamed: bool,
                      chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _pull_back_chunk(kind, cut, x, output, bar, log_det_bar, x_bar, output_bar, streamed,
                         np.int64(chunk))


@compiled
def _pull_back_chunk(kind: int, cut: Cut, x: Array, output: Array, bar: Array,
                     log_det_bar: Array, x_bar: Array, output_bar: Array, streamed: bool,
                     chunk: Chunk) -> None:
    """x_bar and output_bar of a chunk's pieces."""
    channels, deciding = cut.channels, cut.deciding
    mapped = channels - deciding
    width = mapped if kind in SHIFTS else 2 * mapped
    most, one = max(1, _TILE // max(1, channels)), one_of(x)
    size = _room_for(most * mapped)
    tiles = np.empty(5 * size + most * max(channels, width), x.dtype)
    r, step = line_from(address_of(tiles)), size * size_of(one)
    v, b, joined = r + step, r + 2 * step, r + 3 * step
    pieces = log_det_bar.size * cut.of_example
    for piece in range(chunk * cut.of_chunk, min((chunk + 1) * cut.of_chunk, pieces)):
        example, part = divmod(piece, cut.of_example)
        begin = example * cut.pixels + part * cut.rows
        end = example * cut.pixels + min((part + 1) * cut.rows, cut.pixels)
        for pixel in range(begin, end, most):
            rows = min(most, end - pixel)
            given, values = (from_number(bar, pixel * channels), from_number(x, pixel * channels))
            left = x.size - pixel * channels
            controls, more = from_number(output, pixel * width), output.size - pixel * width
            take_columns(given, left, channels, deciding, mapped, rows, b, one)
            if kind in SHIFTS:
                # What is mapped has the cotangent that it was given, and so has all of x.
                put_at(given, rows * channels, address_of(x_bar), pixel * channels, streamed, one)
                if kind == SHIFT_INVERSE:
                    negate(b, rows * mapped, one)
                put_at(b, rows * mapped, address_of(output_bar), pixel * mapped, streamed, one)
            else:
                take_columns(controls, more, width, 0, mapped, rows, r, one)
                take_columns(values, left, channels, deciding, mapped, rows, v, one)
                pull_back_tile(kind, rows * mapped, r, v, b, log_det_bar[example], one)
                join_columns(given, left, channels, deciding, v, mapped, rows, joined, one)
                put_at(joined, rows * channels, address_of(x_bar), pixel * channels, streamed, one)
                join_columns(r, rows * mapped, mapped, mapped, b, mapped, rows, joined, one)
                put_at(joined, rows * width, address_of(output_bar), pixel * width, streamed, one)
    hold(tiles)
    order_stores()
