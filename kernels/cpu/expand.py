"""Expand and its inverse, the squeeze, on the CPU.

An image's rows of tiles are blocks of memory that keep their place: n rows of W n pixels with
C / n^2 channels, or one row of W pixels with C channels, are the same W C numbers in another order,
and the order is that of every block.

For n = 2 the four pixels of a tile are four runs of C / 4 channels, which the squeeze interleaves
number by number: c0 of each, c1 of each, and so on; vectors do that (interleave.py). For other n a
table says where each number of a block comes from.

Memory: as many numbers read as written.

Source: the specification in refglow/bijectors/expand.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numba
import numpy as np

from refglow.kernels.cpu.compiled import compiled, compiled_parallel
from refglow.kernels.cpu.interleave import deinterleave, interleave
from refglow.kernels.cpu.layout import Array, read_only
from refglow.kernels.cpu.memory import (
    address_of,
    from_number,
    hold,
    is_streamed,
    one_of,
    order_stores,
    put,
    put_at,
)
from refglow.kernels.cpu.operands import (
    CHUNK,
    TILE,
    Chunk,
    common_dtype,
    flat,
    parts_of,
    run_chunks,
)

Kernel: TypeAlias = Callable[..., None]


def expand_forward(x: Array, block_size: int) -> tuple[Array, Array]:
    """See the specification."""
    n, (h, w, c) = block_size, x.shape[-3:]
    if n < 1 or c % n**2:
        raise ValueError(f"{c} channels cannot be moved into tiles of {n} x {n} pixels.")
    y = np.empty((*x.shape[:-3], h * n, w * n, c // n**2), common_dtype(x))
    if n == 2:
        _run(_expand_chunk, _expand_chunks, x, y, w * c, w, c)
    else:
        places = np.arange(w * c, dtype=_places_type(w * c)).reshape(w, c // n**2, n, n)
        _reorder(x, y, np.moveaxis(places, (2, 3), (0, 2)))  # [a, w, b, c]
    return y, np.zeros((), y.dtype)


def expand_inverse(y: Array, block_size: int) -> tuple[Array, Array]:
    """See the specification."""
    n, (h, w, c) = block_size, y.shape[-3:]
    if n < 1 or h % n or w % n:
        raise ValueError(f"An image of {h} x {w} pixels cannot be cut into tiles of {n} x {n}.")
    x = np.empty((*y.shape[:-3], h // n, w // n, c * n**2), common_dtype(y))
    if n == 2:
        _run(_squeeze_chunk, _squeeze_chunks, y, x, 2 * w * c, w // 2, 4 * c)
    else:
        places = np.arange(n * w * c, dtype=_places_type(n * w * c)).reshape(n, w // n, n, c)
        _reorder(y, x, np.moveaxis(places, (0, 2), (2, 3)))  # [w, c, a, b]
    return x, np.zeros((), x.dtype)


def _places_type(numbers: int) -> type[np.unsignedinteger[Any]]:
    """The type for places among so many numbers."""
    return np.uint32 if numbers <= 1 << 32 else np.uint64


def expand_forward_vjp(x: Array, block_size: int, y_bar: Array, fldj_bar: Array) -> Array:
    """See the specification."""
    return expand_inverse(y_bar, block_size)[0]


def expand_inverse_vjp(x: Array, block_size: int, x_bar: Array, ildj_bar: Array) -> Array:
    """See the specification."""
    return expand_forward(x_bar, block_size)[0]


def _reorder(source: Array, target: Array, places: Array) -> None:
    """Every block of the source in the order of `places`."""
    _run(_reorder_chunk, _reorder_chunks, source, target, places.size,
         read_only(np.ascontiguousarray(places).reshape(-1)))


def _run(one: Kernel, all_of_them: Kernel, source: Array, target: Array, block: int,
         *arguments: Any) -> None:
    """Run a kernel on chunks of whole blocks of so many numbers."""
    of_chunk = max(1, CHUNK // max(1, block))
    run_chunks(one, all_of_them, parts_of(target.size // max(1, block), of_chunk),
               flat(source, target.dtype), target.reshape(-1), *arguments, of_chunk,
               is_streamed(target))


# ---- compiled: blocks chunk * of_chunk to (chunk + 1) * of_chunk - 1 -----------------------------


@compiled_parallel
def _squeeze_chunks(source: Array, target: Array, width: int, channels: int, of_chunk: int,
                    streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _squeeze_chunk(source, target, width, channels, of_chunk, streamed, np.int64(chunk))


@compiled
def _squeeze_chunk(source: Array, target: Array, width: int, channels: int, of_chunk: int,
                   streamed: bool, chunk: Chunk) -> None:
    """From two rows of 2 * width pixels to `width` pixels of `channels`, for every block."""
    c, most, one = channels // 4, max(1, TILE // channels), one_of(source)
    tile, block = np.empty(most * channels, source.dtype), width * channels
    for start in range(chunk * of_chunk * block,
                       min((chunk + 1) * of_chunk * block, target.size), block):
        for first in range(0, width, most):
            pixels, place = min(most, width - first), start + first * channels
            upper = from_number(source, start + first * 2 * c)
            lower = from_number(source, start + (width + first) * 2 * c)
            if streamed:
                interleave(c, upper, lower, pixels, address_of(tile), one)
                put_at(address_of(tile), pixels * channels, address_of(target), place, True, one)
            else:
                interleave(c, upper, lower, pixels, from_number(target, place), one)
    hold(tile)
    order_stores()


@compiled_parallel
def _expand_chunks(source: Array, target: Array, width: int, channels: int, of_chunk: int,
                   streamed: bool, chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _expand_chunk(source, target, width, channels, of_chunk, streamed, np.int64(chunk))


@compiled
def _expand_chunk(source: Array, target: Array, width: int, channels: int, of_chunk: int,
                  streamed: bool, chunk: Chunk) -> None:
    """From `width` pixels of `channels` to two rows of 2 * width pixels, for every block."""
    c, most, one = channels // 4, max(1, TILE // channels), one_of(source)
    row, block = most * 2 * c, width * channels
    tile = np.empty(2 * row, source.dtype)
    above, below = address_of(tile), from_number(tile, row)
    for start in range(chunk * of_chunk * block,
                       min((chunk + 1) * of_chunk * block, target.size), block):
        for first in range(0, width, most):
            pixels, to = min(most, width - first), address_of(target)
            origin = from_number(source, start + first * channels)
            upper, lower = start + first * 2 * c, start + (width + first) * 2 * c
            if streamed:
                deinterleave(c, origin, pixels, above, below, one)
                put_at(above, pixels * 2 * c, to, upper, True, one)
                put_at(below, pixels * 2 * c, to, lower, True, one)
            else:
                deinterleave(c, origin, pixels, from_number(target, upper),
                             from_number(target, lower), one)
    hold(tile)
    order_stores()


@compiled_parallel
def _reorder_chunks(source: Array, target: Array, places: Array, of_chunk: int, streamed: bool,
                    chunks: int) -> None:
    for chunk in numba.prange(chunks):
        _reorder_chunk(source, target, places, of_chunk, streamed, np.int64(chunk))


@compiled
def _reorder_chunk(source: Array, target: Array, places: Array, of_chunk: int, streamed: bool,
                   chunk: Chunk) -> None:
    """Number i of every block is number places[i] of the source's."""
    block = places.size
    tile = np.empty(TILE, source.dtype)
    for start in range(chunk * of_chunk * block,
                       min((chunk + 1) * of_chunk * block, target.size), block):
        numbers = source[start:start + block]
        for first in range(0, block, TILE):
            part = places[first:first + TILE]
            for i in range(part.size):
                tile[i] = numbers[part[i]]
            put(tile, part.size, target, start + first, streamed)
    order_stores()
