"""The ladder of coupling kernels: [x0 | x1], [r | t] -> [x0 | y1] and each example's log-det.

    naive        a thread for each pixel, which walks through the pixel's channels
    coalesced    a thread for each number: neighbouring threads touch neighbouring addresses
    vectorized   a thread for each 16 bytes: a quarter of the memory instructions (float32)
    tiled        tiles of whole pixels pass through shared memory, so that 16-byte accesses serve
                 channel counts that are not multiples of 16 bytes; log-dets summed on chip
    fused        as vectorized, with the log-dets summed on chip: they never go to memory singly

The first three write log-dets to memory, of a pixel, a number and 16 bytes each, for a second pass
to sum; the last two write one partial sum for each block. Every sum has a fixed order.

Each is a function that makes the kernel from a map of single numbers (coupling_elements.py). All
take flat arrays: x and y [N, P, C], output [N, P, width], where a pixel's raw scales come first and
its `mapped = C - deciding` shifts last. (For the shift coupling they are the same numbers.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import cuda

from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.reduction import MOST_THREADS, block_sum, compensated_sum
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import (
    MOST_LANES,
    SHARED_ALIGNMENT,
    copy_by_block,
    copy_vector,
    lanes_of,
    load_vector,
    store_vector,
)

TILE = 1024  # numbers of x, and of output, that a block holds in shared memory

Element = Callable[..., Any]
Function = Callable[..., None]


def coupling_naive(element: Element) -> Function:
    """A thread for each of the N P pixels; log_dets [N P]."""
    def kernel(x: Any, output: Any, y: Any, log_dets: Any, pixels: int, channels: int,
               deciding: int, width: int) -> None:
        mapped = channels - deciding
        pixel = cuda.grid(1)
        while pixel < pixels:
            for c in range(deciding):
                store(y, pixel * channels + c, load(x, pixel * channels + c))
            total = log_dets.dtype.type(0)
            lost = log_dets.dtype.type(0)
            for j in range(mapped):
                at = pixel * channels + deciding + j
                value, log_det = element(load(x, at), load(output, pixel * width + j),
                                         load(output, (pixel + 1) * width - mapped + j))
                store(y, at, value)
                total, lost = compensated_sum(total, lost, log_det)
            store(log_dets, pixel, total + lost)
            pixel += cuda.gridsize(1)
    return kernel


def coupling_coalesced(element: Element) -> Function:
    """A thread for each of the N P C numbers of x; log_dets [N P mapped]."""
    def kernel(x: Any, output: Any, y: Any, log_dets: Any, pixels: int, channels: int,
               deciding: int, width: int) -> None:
        mapped = channels - deciding
        i = cuda.grid(1)
        while i < pixels * channels:
            pixel = quotient(i, channels)
            j = i - pixel * channels - deciding
            if j < 0:
                store(y, i, load(x, i))
            else:
                value, log_det = element(load(x, i), load(output, pixel * width + j),
                                         load(output, (pixel + 1) * width - mapped + j))
                store(y, i, value)
                store(log_dets, pixel * mapped + j, log_det)
            i += cuda.gridsize(1)
    return kernel


def _vector_map(element: Element) -> Any:
    """A device function: maps 16 bytes of x and returns the sum of their log-dets."""
    @cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
    def map_vector(x: Any, output: Any, y: Any, log_dets: Any, at: int, raw_at: int,
                   shift_at: int) -> Any:
        values = cuda.local.array(MOST_LANES, log_dets.dtype)
        raw_scales = cuda.local.array(MOST_LANES, log_dets.dtype)
        shifts = cuda.local.array(MOST_LANES, log_dets.dtype)
        load_vector(x, at, values, 0)
        load_vector(output, raw_at, raw_scales, 0)
        load_vector(output, shift_at, shifts, 0)
        total = log_dets.dtype.type(0)
        for lane in range(lanes_of(x)):
            value, log_det = element(values[lane], raw_scales[lane], shifts[lane])
            values[lane] = value
            total += log_det
        store_vector(y, at, values, 0)
        return total
    return map_vector


def coupling_vectorized(element: Element) -> Function:
    """A thread for each 16 bytes of x; log_dets [N P mapped / lanes]."""
    map_vector = _vector_map(element)

    def kernel(x: Any, output: Any, y: Any, log_dets: Any, pixels: int, channels: int,
               deciding: int, width: int) -> None:
        lanes = lanes_of(x)
        mapped = channels - deciding
        i = cuda.grid(1)
        while i * lanes < pixels * channels:
            pixel = quotient(i * lanes, channels)
            j = i * lanes - pixel * channels - deciding
            if j < 0:
                copy_vector(x, i * lanes, y, i * lanes)
            else:
                log_det = map_vector(x, output, y, log_dets, i * lanes, pixel * width + j,
                                     (pixel + 1) * width - mapped + j)
                store(log_dets, quotient(pixel * mapped + j, lanes), log_det)
            i += cuda.gridsize(1)
    return kernel


def coupling_fused(element: Element) -> Function:
    """A block for each `part` pixels of an example; log_dets [N, ceil(P / part)].

    Deciding and mapped channels are two loops, so that no warp walks both branches.
    """
    map_vector = _vector_map(element)

    def kernel(x: Any, output: Any, y: Any, log_dets: Any, examples: int, pixels: int,
               channels: int, deciding: int, width: int, part: int) -> None:
        scratch = cuda.shared.array(MOST_THREADS, log_dets.dtype)
        lanes = lanes_of(x)
        mapped = channels - deciding
        count = min(part, pixels - cuda.blockIdx.x * part)
        example = cuda.blockIdx.y
        while example < examples:
            first = example * pixels + cuda.blockIdx.x * part
            i = cuda.threadIdx.x * lanes
            while i < count * deciding:
                pixel = quotient(i, deciding)
                at = (first + pixel) * channels + i - pixel * deciding
                copy_vector(x, at, y, at)
                i += cuda.blockDim.x * lanes
            total = log_dets.dtype.type(0)
            lost = log_dets.dtype.type(0)
            i = cuda.threadIdx.x * lanes
            while i < count * mapped:
                pixel = quotient(i, mapped)
                j = i - pixel * mapped
                pixel += first
                log_det = map_vector(x, output, y, log_dets, pixel * channels + deciding + j,
                                     pixel * width + j, (pixel + 1) * width - mapped + j)
                total, lost = compensated_sum(total, lost, log_det)
                i += cuda.blockDim.x * lanes
            total = block_sum(total + lost, scratch)
            if cuda.threadIdx.x == 0:
                store(log_dets, example * cuda.gridDim.x + cuda.blockIdx.x, total)
            example += cuda.gridDim.y
    return kernel


def coupling_tiled(element: Element) -> Function:
    """A block for each `part` pixels of an example; log_dets [N, ceil(P / part)]."""
    def kernel(x: Any, output: Any, y: Any, log_dets: Any, examples: int, pixels: int,
               channels: int, deciding: int, width: int, part: int) -> None:
        x_tile = cuda.shared.array(TILE, x.dtype, SHARED_ALIGNMENT)
        output_tile = cuda.shared.array(TILE, x.dtype, SHARED_ALIGNMENT)
        scratch = cuda.shared.array(MOST_THREADS, log_dets.dtype)
        mapped = channels - deciding
        count = min(part, pixels - cuda.blockIdx.x * part)
        example = cuda.blockIdx.y
        while example < examples:
            first = example * pixels + cuda.blockIdx.x * part
            copy_by_block(x, first * channels, x_tile, 0, count * channels)
            copy_by_block(output, first * width, output_tile, 0, count * width)
            cuda.syncthreads()
            total = log_dets.dtype.type(0)
            lost = log_dets.dtype.type(0)
            i = cuda.threadIdx.x
            while i < count * mapped:
                pixel = quotient(i, mapped)
                j = i - pixel * mapped
                at = pixel * channels + deciding + j
                value, log_det = element(load(x_tile, at), load(output_tile, pixel * width + j),
                                         load(output_tile, (pixel + 1) * width - mapped + j))
                store(x_tile, at, value)
                total, lost = compensated_sum(total, lost, log_det)
                i += cuda.blockDim.x
            total = block_sum(total + lost, scratch)  # its barriers come before the tile is read
            copy_by_block(x_tile, 0, y, first * channels, count * channels)
            if cuda.threadIdx.x == 0:
                store(log_dets, example * cuda.gridDim.x + cuda.blockIdx.x, total)
            cuda.syncthreads()
            example += cuda.gridDim.y
    return kernel
