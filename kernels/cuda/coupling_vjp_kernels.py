"""The ladder of the couplings' vjps: x, [r | t] and cotangents -> x_bar and [r_bar | t_bar].

    naive        a thread for each pixel, which walks through the pixel's channels
    coalesced    a thread for each number: neighbouring threads touch neighbouring addresses
    vectorized   a thread for each 16 bytes
    tiled        tiles of whole pixels pass through shared memory, so that 16-byte accesses serve
                 channel counts that are not multiples of 16 bytes

The inverse's kernels are the same with x, the inverse's result, and x_bar -> y_bar. No cotangent
depends on the shifts t. Each example's log-det has one cotangent, read by all its pixels. All take
flat arrays, as the maps' kernels do (coupling_kernels.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import cuda

from refglow.kernels.cuda.coupling_kernels import TILE
from refglow.kernels.cuda.indexing import quotient
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

Element = Callable[..., Any]
Function = Callable[..., None]


def coupling_vjp_naive(element: Element) -> Function:
    """A thread for each pixel."""
    def kernel(x: Any, output: Any, bar: Any, log_det_bar: Any, x_bar: Any, output_bar: Any,
               examples: int, pixels: int, channels: int, deciding: int, width: int) -> None:
        mapped = channels - deciding
        pixel = cuda.grid(1)
        while pixel < examples * pixels:
            for c in range(deciding):
                store(x_bar, pixel * channels + c, load(bar, pixel * channels + c))
            per_log_det = load(log_det_bar, quotient(pixel, pixels))
            for j in range(mapped):
                at = pixel * channels + deciding + j
                value_bar, raw_bar, shift_bar = element(
                    load(x, at), load(output, pixel * width + j), load(bar, at), per_log_det)
                store(x_bar, at, value_bar)
                store(output_bar, pixel * width + j, raw_bar)
                store(output_bar, (pixel + 1) * width - mapped + j, shift_bar)
            pixel += cuda.gridsize(1)
    return kernel


def coupling_vjp_coalesced(element: Element) -> Function:
    """A thread for each number of x."""
    def kernel(x: Any, output: Any, bar: Any, log_det_bar: Any, x_bar: Any, output_bar: Any,
               examples: int, pixels: int, channels: int, deciding: int, width: int) -> None:
        mapped = channels - deciding
        i = cuda.grid(1)
        while i < examples * pixels * channels:
            pixel = quotient(i, channels)
            j = i - pixel * channels - deciding
            if j < 0:
                store(x_bar, i, load(bar, i))
            else:
                value_bar, raw_bar, shift_bar = element(
                    load(x, i), load(output, pixel * width + j), load(bar, i),
                    load(log_det_bar, quotient(pixel, pixels)))
                store(x_bar, i, value_bar)
                store(output_bar, pixel * width + j, raw_bar)
                store(output_bar, (pixel + 1) * width - mapped + j, shift_bar)
            i += cuda.gridsize(1)
    return kernel


def _vector_vjp(element: Element) -> Any:
    """A device function: the cotangents of 16 bytes of x, and of their r and t."""
    @cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
    def vjp_vector(x: Any, output: Any, bar: Any, per_log_det: Any, log_det_bar: Any, x_bar: Any,
                   output_bar: Any, at: int, raw_at: int, shift_at: int) -> None:
        values = cuda.local.array(MOST_LANES, log_det_bar.dtype)
        raw_scales = cuda.local.array(MOST_LANES, log_det_bar.dtype)
        bars = cuda.local.array(MOST_LANES, log_det_bar.dtype)
        load_vector(x, at, values, 0)
        load_vector(output, raw_at, raw_scales, 0)
        load_vector(bar, at, bars, 0)
        for lane in range(lanes_of(x)):
            value_bar, raw_bar, shift_bar = element(values[lane], raw_scales[lane], bars[lane],
                                                    per_log_det)
            values[lane] = value_bar
            raw_scales[lane] = raw_bar
            bars[lane] = shift_bar
        store_vector(x_bar, at, values, 0)
        store_vector(output_bar, raw_at, raw_scales, 0)
        store_vector(output_bar, shift_at, bars, 0)
    return vjp_vector


def coupling_vjp_vectorized(element: Element) -> Function:
    """A thread for each 16 bytes of x."""
    vjp_vector = _vector_vjp(element)

    def kernel(x: Any, output: Any, bar: Any, log_det_bar: Any, x_bar: Any, output_bar: Any,
               examples: int, pixels: int, channels: int, deciding: int, width: int) -> None:
        lanes = lanes_of(x)
        mapped = channels - deciding
        i = cuda.grid(1) * lanes
        while i < examples * pixels * channels:
            pixel = quotient(i, channels)
            j = i - pixel * channels - deciding
            if j < 0:
                copy_vector(bar, i, x_bar, i)
            else:
                vjp_vector(x, output, bar, load(log_det_bar, quotient(pixel, pixels)), log_det_bar,
                           x_bar, output_bar, i, pixel * width + j,
                           (pixel + 1) * width - mapped + j)
            i += cuda.gridsize(1) * lanes
    return kernel


def coupling_vjp_tiled(element: Element) -> Function:
    """A block for each `part` pixels of an example; the tiles are overwritten by the results."""
    def kernel(x: Any, output: Any, bar: Any, log_det_bar: Any, x_bar: Any, output_bar: Any,
               examples: int, pixels: int, channels: int, deciding: int, width: int,
               part: int) -> None:
        x_tile = cuda.shared.array(TILE, x.dtype, SHARED_ALIGNMENT)
        bar_tile = cuda.shared.array(TILE, x.dtype, SHARED_ALIGNMENT)
        output_tile = cuda.shared.array(TILE, x.dtype, SHARED_ALIGNMENT)
        mapped = channels - deciding
        count = min(part, pixels - cuda.blockIdx.x * part)
        example = cuda.blockIdx.y
        while example < examples:
            first = example * pixels + cuda.blockIdx.x * part
            copy_by_block(x, first * channels, x_tile, 0, count * channels)
            copy_by_block(bar, first * channels, bar_tile, 0, count * channels)
            copy_by_block(output, first * width, output_tile, 0, count * width)
            cuda.syncthreads()
            per_log_det = load(log_det_bar, example)
            i = cuda.threadIdx.x
            while i < count * mapped:
                pixel = quotient(i, mapped)
                j = i - pixel * mapped
                at = pixel * channels + deciding + j
                value_bar, raw_bar, shift_bar = element(
                    load(x_tile, at), load(output_tile, pixel * width + j), load(bar_tile, at),
                    per_log_det)
                store(bar_tile, at, value_bar)
                store(output_tile, pixel * width + j, raw_bar)
                store(output_tile, (pixel + 1) * width - mapped + j, shift_bar)
                i += cuda.blockDim.x
            cuda.syncthreads()
            copy_by_block(bar_tile, 0, x_bar, first * channels, count * channels)
            copy_by_block(output_tile, 0, output_bar, first * width, count * width)
            cuda.syncthreads()
            example += cuda.gridDim.y
    return kernel
