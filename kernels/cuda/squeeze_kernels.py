"""The ladder of squeeze kernels, pixels to channels and back.

    naive        a thread for each squeezed pixel, which walks through the pixel's channels
    coalesced    a thread for each number, in the order in which results lie in memory
    vectorized   a thread for a tile of 2 x 2 pixels and 16 bytes of channels: four vectors in, a
                 transposition in registers, four vectors out
    gathered     a thread for each 16 bytes of the squeezed side, in float32 one channel's tile of
                 2 x 2 pixels. Neighbouring threads have neighbouring channels, so the single
                 numbers on the image's side are coalesced: no partial sectors, and any C
    tiled        pieces of n = 2 image rows pass through shared memory: 16 bytes on both sides
    fused        as gathered, with ActNorm on the way: one pass over memory instead of two

An image [H, W, C] and the squeezed [H/n, W/n, C n^2] are the same numbers in different places. One
"strip", n rows of the image, is one row of the squeezed side: the same n W C consecutive numbers.
With `columns` = W / n, the number (strip, w, c, a, b) lies at

    squeezed   (((strip columns + w) C + c) n + a) n + b
    image      ((strip n + a) columns n + w n + b) C + c

`squeeze_*` reads the image and `expand_*` writes it. All take flat arrays; numbers are moved
unchanged, so 16-bit ones come as int16, which no load converts (storage.py).
"""

from __future__ import annotations

import math
from typing import Any

from numba import cuda

from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import (
    MOST_LANES,
    SHARED_ALIGNMENT,
    copy_by_block,
    lanes_of,
    load_vector,
    store_vector,
)

TILE = 2048  # numbers that a block holds in shared memory
MATRIX = 4 * MOST_LANES  # numbers of 2 x 2 pixels and 16 bytes of channels


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def image_index(squeezed: int, columns: int, channels: int, n: int) -> Any:
    """Where in the image a number lies that has this place in the squeezed side."""
    q = quotient(squeezed, n * n)
    in_tile = squeezed - q * n * n
    a = quotient(in_tile, n)
    b = in_tile - a * n
    pixel = quotient(q, channels)
    c = q - pixel * channels
    strip = quotient(pixel, columns)
    w = pixel - strip * columns
    return ((strip * n + a) * columns * n + w * n + b) * channels + c


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def squeezed_index(image: int, columns: int, channels: int, n: int) -> Any:
    """Where in the squeezed side a number lies that has this place in the image."""
    pixel = quotient(image, channels)
    c = image - pixel * channels
    row = quotient(pixel, columns * n)
    column = pixel - row * columns * n
    strip = quotient(row, n)
    w = quotient(column, n)
    a = row - strip * n
    b = column - w * n
    return ((strip * columns + w) * channels + c) * n * n + a * n + b


# ---- naive ------------------------------------------------------------------------------------


def squeeze_naive(image: Any, squeezed: Any, size: int, columns: int, channels: int,
                  n: int) -> None:
    """A thread for each squeezed pixel."""
    depth = channels * n * n
    pixel = cuda.grid(1)
    while pixel * depth < size:
        for i in range(pixel * depth, (pixel + 1) * depth):
            store(squeezed, i, load(image, image_index(i, columns, channels, n)))
        pixel += cuda.gridsize(1)


def expand_naive(squeezed: Any, image: Any, size: int, columns: int, channels: int,
                 n: int) -> None:
    """A thread for each squeezed pixel."""
    depth = channels * n * n
    pixel = cuda.grid(1)
    while pixel * depth < size:
        for i in range(pixel * depth, (pixel + 1) * depth):
            store(image, image_index(i, columns, channels, n), load(squeezed, i))
        pixel += cuda.gridsize(1)


# ---- coalesced --------------------------------------------------------------------------------


def squeeze_coalesced(image: Any, squeezed: Any, size: int, columns: int, channels: int,
                      n: int) -> None:
    """A thread for each number of the squeezed side."""
    i = cuda.grid(1)
    while i < size:
        store(squeezed, i, load(image, image_index(i, columns, channels, n)))
        i += cuda.gridsize(1)


def expand_coalesced(squeezed: Any, image: Any, size: int, columns: int, channels: int,
                     n: int) -> None:
    """A thread for each number of the image."""
    i = cuda.grid(1)
    while i < size:
        store(image, i, load(squeezed, squeezed_index(i, columns, channels, n)))
        i += cuda.gridsize(1)


# ---- vectorized: n = 2 from here on, so that the divisions by n are shifts -----------------------
#
# The vector of image pixel (a, b) holds lanes of channels, number (t, lane) with t = 2 a + b. The
# squeezed side has the same numbers as (lane, t): a 4 x lanes matrix is transposed.


def squeeze_vectorized(image: Any, squeezed: Any, size: int, columns: int, channels: int) -> None:
    """A thread for 16 bytes of channels of 2 x 2 pixels; C must be a multiple of them."""
    pixels = cuda.local.array(MATRIX, image.dtype)
    tiles = cuda.local.array(MATRIX, image.dtype)
    lanes = lanes_of(image)
    i = cuda.grid(1)
    while i * lanes * 4 < size:
        for t in range(4):
            load_vector(image, image_index(i * lanes * 4 + t, columns, channels, 2), pixels,
                        t * lanes)
        for lane in range(lanes):
            for t in range(4):
                tiles[lane * 4 + t] = pixels[t * lanes + lane]
        for t in range(4):
            store_vector(squeezed, (i * 4 + t) * lanes, tiles, t * lanes)
        i += cuda.gridsize(1)


def expand_vectorized(squeezed: Any, image: Any, size: int, columns: int, channels: int) -> None:
    """A thread for 16 bytes of channels of 2 x 2 pixels; C must be a multiple of them."""
    pixels = cuda.local.array(MATRIX, image.dtype)
    tiles = cuda.local.array(MATRIX, image.dtype)
    lanes = lanes_of(image)
    i = cuda.grid(1)
    while i * lanes * 4 < size:
        for t in range(4):
            load_vector(squeezed, (i * 4 + t) * lanes, tiles, t * lanes)
        for lane in range(lanes):
            for t in range(4):
                pixels[t * lanes + lane] = tiles[lane * 4 + t]
        for t in range(4):
            store_vector(image, image_index(i * lanes * 4 + t, columns, channels, 2), pixels,
                         t * lanes)
        i += cuda.gridsize(1)


# ---- gathered ---------------------------------------------------------------------------------


def squeeze_gathered(image: Any, squeezed: Any, size: int, columns: int, channels: int) -> None:
    """A thread for each 16 bytes of the squeezed side."""
    registers = cuda.local.array(MOST_LANES, image.dtype)
    lanes = lanes_of(image)
    i = cuda.grid(1)
    while i * lanes < size:
        for lane in range(lanes):
            registers[lane] = load(image, image_index(i * lanes + lane, columns, channels, 2))
        store_vector(squeezed, i * lanes, registers, 0)
        i += cuda.gridsize(1)


def expand_gathered(squeezed: Any, image: Any, size: int, columns: int, channels: int) -> None:
    """A thread for each 16 bytes of the squeezed side."""
    registers = cuda.local.array(MOST_LANES, image.dtype)
    lanes = lanes_of(image)
    i = cuda.grid(1)
    while i * lanes < size:
        load_vector(squeezed, i * lanes, registers, 0)
        for lane in range(lanes):
            store(image, image_index(i * lanes + lane, columns, channels, 2), registers[lane])
        i += cuda.gridsize(1)


# ---- tiled ------------------------------------------------------------------------------------
#
# A block's tile is `part` columns of a strip: two pieces of image rows, one after the other in
# shared memory, as if the strip had only that many columns.


def squeeze_tiled(image: Any, squeezed: Any, strips: int, columns: int, channels: int,
                  part: int) -> None:
    """A block for each tile; shared memory is written as the image and read as the squeezed."""
    tile = cuda.shared.array(TILE, image.dtype, SHARED_ALIGNMENT)
    registers = cuda.local.array(MOST_LANES, image.dtype)
    lanes = lanes_of(image)
    first = cuda.blockIdx.x * part
    count = min(part, columns - first)
    strip = cuda.blockIdx.y
    while strip < strips:
        piece = count * 2 * channels
        for a in range(2):
            row = (strip * 2 + a) * columns + first
            copy_by_block(image, row * 2 * channels, tile, a * piece, piece)
        cuda.syncthreads()
        start = (strip * columns + first) * 4 * channels
        i = cuda.threadIdx.x
        while i * lanes < 2 * piece:
            for lane in range(lanes):
                registers[lane] = load(tile, image_index(i * lanes + lane, count, channels, 2))
            store_vector(squeezed, start + i * lanes, registers, 0)
            i += cuda.blockDim.x
        cuda.syncthreads()
        strip += cuda.gridDim.y


def expand_tiled(squeezed: Any, image: Any, strips: int, columns: int, channels: int,
                 part: int) -> None:
    """A block for each tile; shared memory is written as the image, and read so too."""
    tile = cuda.shared.array(TILE, image.dtype, SHARED_ALIGNMENT)
    registers = cuda.local.array(MOST_LANES, image.dtype)
    lanes = lanes_of(image)
    first = cuda.blockIdx.x * part
    count = min(part, columns - first)
    strip = cuda.blockIdx.y
    while strip < strips:
        piece = count * 2 * channels
        start = (strip * columns + first) * 4 * channels
        i = cuda.threadIdx.x
        while i * lanes < 2 * piece:
            load_vector(squeezed, start + i * lanes, registers, 0)
            for lane in range(lanes):
                store(tile, image_index(i * lanes + lane, count, channels, 2), registers[lane])
            i += cuda.blockDim.x
        cuda.syncthreads()
        for a in range(2):
            row = (strip * 2 + a) * columns + first
            copy_by_block(tile, a * piece, image, row * 2 * channels, piece)
        cuda.syncthreads()
        strip += cuda.gridDim.y


# ---- fused: ActNorm on the squeezed side, z = (x + m) e^v and x = z / e^v - m --------------------


def squeeze_fused(image: Any, squeezed: Any, shift: Any, log_scale: Any, size: int, columns: int,
                  channels: int) -> None:
    """A thread for each 16 bytes of the squeezed and normalised side."""
    registers = cuda.local.array(MOST_LANES, shift.dtype)
    lanes = lanes_of(image)
    i = cuda.grid(1)
    while i * lanes < size:
        for lane in range(lanes):
            at = i * lanes + lane
            channel = at - quotient(at, 4 * channels) * 4 * channels
            x = load(image, image_index(at, columns, channels, 2))
            scale = math.exp(load(log_scale, channel))
            registers[lane] = (x + load(shift, channel)) * scale
        store_vector(squeezed, i * lanes, registers, 0)
        i += cuda.gridsize(1)


def expand_fused(squeezed: Any, image: Any, shift: Any, log_scale: Any, size: int, columns: int,
                 channels: int) -> None:
    """A thread for each 16 bytes of the squeezed and normalised side."""
    registers = cuda.local.array(MOST_LANES, shift.dtype)
    lanes = lanes_of(image)
    i = cuda.grid(1)
    while i * lanes < size:
        load_vector(squeezed, i * lanes, registers, 0)
        for lane in range(lanes):
            at = i * lanes + lane
            channel = at - quotient(at, 4 * channels) * 4 * channels
            x = registers[lane] / math.exp(load(log_scale, channel)) - load(shift, channel)
            store(image, image_index(at, columns, channels, 2), x)
        i += cuda.gridsize(1)
