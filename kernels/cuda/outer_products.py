"""The sum over pixels that the gradient of a 1x1 convolution's matrix needs, on a GPU.

    products[o, i] = sum_p left[p, o] * (right[p, i] + shift[i]),     totals[o] = sum_p left[p, o]

In two stages, both of fixed shape, without atomics: each block sums a strip of pixels, and the
blocks' sums are added up by `sums_of_rows`, compensated. `partial` is [C * C + C, strips], products
first.

    naive   a thread for each product of a strip
    tiled   a block for each strip and panel of products; the strip passes through shared memory in
            chunks, and a thread keeps V x V products in registers, V the lanes of a vector
"""

from __future__ import annotations

import functools
from typing import Any

from numba import cuda

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.launch_shape import THREADS, ceil_div
from refglow.kernels.cuda.layout import flat, lanes_in_vector
from refglow.kernels.cuda.on_chip import aligned_flat
from refglow.kernels.cuda.reduction import sums_of_rows
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import (
    SHARED_ALIGNMENT,
    lanes_of,
    load_vector,
    store_vector,
)

# A strip is short enough for plain sums to keep their digits, and long enough for the blocks' sums
# to be little beside the pixels; of few pixels there are enough strips to occupy a GPU.
_LONGEST_STRIP, _SHORTEST_STRIP, _ENOUGH_STRIPS = 2048, 64, 512
_MOST_GROUPS = 16  # vectors of channels in a panel's side
_THREADS = _MOST_GROUPS**2  # at most
_CHUNK = 32  # pixels in shared memory, rounded up to a multiple of the slices


def outer_products_naive(left: Any, right: Any, shift: Any, partial: Any, pixels: int,
                         channels: int, strip: int) -> None:
    """A thread for each product of a strip; the grid's x counts strips."""
    entry = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    first = cuda.blockIdx.x * strip
    if entry < channels * channels:
        o = quotient(entry, channels)
        i = entry - o * channels
        product = partial.dtype.type(0)
        total = partial.dtype.type(0)
        for pixel in range(first, min(first + strip, pixels)):
            value = load(left, pixel * channels + o)
            product += value * (load(right, pixel * channels + i) + load(shift, i))
            total += value
        store(partial, entry * cuda.gridDim.x + cuda.blockIdx.x, product)
        if i == 0:
            at = channels * channels + o
            store(partial, at * cuda.gridDim.x + cuda.blockIdx.x, total)


OUTER_PRODUCTS_NAIVE = Kernel(outer_products_naive, occupancy=0.75)  # 64-bit indices

# ---- tiled ------------------------------------------------------------------------------------
#
# The C x C products are cut into square panels of at most 16 vectors a side. A block has a thread
# for each V x V square of its panel; where a panel has few squares, several slices of threads share
# the work: slice s takes pixels s, s + slices, ... of a chunk, and the slices' sums are added in
# order at the end. Channels beyond C, in the last panels, are zeros. The V x V products and what
# they are made of take 64 registers, which halves the threads that a multiprocessor can hold.


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def _fill(chunk: Any, count: int, panel: int, source: Any, shift: Any, shifted: bool, first: int,
          end: int, channel: int, channels: int, numbers: Any, shifts: Any) -> None:
    """chunk[k, c] = source[first + k, channel + c] + shift[channel + c], zero outside."""
    lanes = lanes_of(chunk)
    width = lanes if quotient(channels, lanes) * lanes == channels else 1
    k = cuda.threadIdx.x * width
    while k < count * panel:
        pixel = quotient(k, panel)
        c = channel + k - pixel * panel
        at = (first + pixel) * channels + c
        for v in range(lanes):
            numbers[v] = 0
        inside = first + pixel < end and c < channels
        if width == 1:
            if inside:
                store(chunk, k, load(source, at) + load(shift, c) if shifted else load(source, at))
            else:
                store(chunk, k, 0)
        else:
            if inside:
                load_vector(source, at, numbers, 0)
                if shifted:
                    load_vector(shift, c, shifts, 0)
                    for v in range(lanes):
                        numbers[v] += shifts[v]
            store_vector(chunk, k, numbers, 0)
        k += cuda.blockDim.x * width


def slices_of(groups: int) -> int:
    """How many slices of threads a block has for a panel of that many vectors a side."""
    return max(1, _THREADS // (groups * groups))


@functools.cache
def tiled_outer_products(panel: int, lanes: int) -> Kernel:
    """The tiled kernel for panels of that many channels a side, a multiple of the lanes."""
    groups = panel // lanes
    slices = slices_of(groups)
    count = ceil_div(_CHUNK, slices) * slices
    chunk_size, panel_size = count * panel, panel * panel
    sums_size, own_products = slices * panel_size, lanes * lanes
    totals_size = slices * panel

    def outer_products_tiled(left: Any, right: Any, shift: Any, partial: Any, pixels: int,
                             channels: int, strip: int) -> None:
        left_chunk = cuda.shared.array(chunk_size, partial.dtype, SHARED_ALIGNMENT)
        right_chunk = cuda.shared.array(chunk_size, partial.dtype, SHARED_ALIGNMENT)
        sums = cuda.shared.array(sums_size, partial.dtype)
        total_sums = cuda.shared.array(totals_size, partial.dtype)
        own_left = cuda.local.array(lanes, partial.dtype)
        own_right = cuda.local.array(lanes, partial.dtype)
        products = cuda.local.array(own_products, partial.dtype)
        totals = cuda.local.array(lanes, partial.dtype)
        for k in range(own_products):
            products[k] = 0
        for k in range(lanes):
            totals[k] = 0
        thread = cuda.threadIdx.x
        part = quotient(thread, groups * groups)
        square = thread - part * groups * groups
        row = quotient(square, groups) * lanes
        column = square * lanes - row * groups
        o, i = cuda.blockIdx.y * panel, cuda.blockIdx.z * panel
        first = cuda.blockIdx.x * strip
        end = min(first + strip, pixels)
        while first < end:
            cuda.syncthreads()
            _fill(left_chunk, count, panel, left, shift, False, first, end, o, channels, own_left,
                  own_right)
            _fill(right_chunk, count, panel, right, shift, True, first, end, i, channels, own_left,
                  own_right)
            cuda.syncthreads()
            for pixel in range(part, count, slices):
                load_vector(left_chunk, pixel * panel + row, own_left, 0)
                load_vector(right_chunk, pixel * panel + column, own_right, 0)
                for r in range(lanes):
                    totals[r] += own_left[r]
                    for c in range(lanes):
                        products[r * lanes + c] += own_left[r] * own_right[c]
            first += count
        for r in range(lanes):
            for c in range(lanes):
                store(sums, part * panel_size + (row + r) * panel + column + c,
                      products[r * lanes + c])
            if column == 0:
                store(total_sums, part * panel + row + r, totals[r])
        cuda.syncthreads()
        strips = cuda.gridDim.x
        k = thread
        while k < panel_size:
            r = quotient(k, panel)
            c = k - r * panel
            total = partial.dtype.type(0)
            for s in range(slices):
                total += load(sums, s * panel_size + k)
            if o + r < channels and i + c < channels:
                store(partial, ((o + r) * channels + i + c) * strips + cuda.blockIdx.x, total)
            k += cuda.blockDim.x
        if thread < panel and i == 0 and o + thread < channels:
            total = partial.dtype.type(0)
            for s in range(slices):
                total += load(total_sums, s * panel + thread)
            store(partial, (channels * channels + o + thread) * strips + cuda.blockIdx.x, total)
    # The block of sums takes 80 registers on most architectures, up to 118 on sm_100 and sm_120.
    return Kernel(outer_products_tiled, occupancy=0.31)


def _strip_of(pixels: int) -> int:
    """How many pixels a block of the first stage sums."""
    wanted = max(_SHORTEST_STRIP, min(_LONGEST_STRIP, ceil_div(pixels, _ENOUGH_STRIPS)))
    return ceil_div(wanted, _CHUNK) * _CHUNK


def outer_products_by_naive(device: Device, left: Any, right: Any, shift: Any) -> tuple[Any, Any]:
    """As `sums_of_outer_products`, by the naive kernel."""
    pixels, channels = left.shape
    strip = _strip_of(pixels)
    grid = ceil_div(pixels, strip), ceil_div(channels * channels, THREADS)
    partial = device.xp.empty(grid[0] * channels * (channels + 1), left.dtype)
    device.launch(OUTER_PRODUCTS_NAIVE, grid, THREADS, flat(device, left), flat(device, right),
                  flat(device, shift), partial, pixels, channels, strip)
    return _added_up(device, partial, channels)


def outer_products_by_tiled(device: Device, left: Any, right: Any, shift: Any) -> tuple[Any, Any]:
    """As `sums_of_outer_products`, by the tiled kernel."""
    pixels, channels = left.shape
    strip, lanes = _strip_of(pixels), lanes_in_vector(left.dtype)
    panels = ceil_div(channels, _MOST_GROUPS * lanes)
    groups = ceil_div(ceil_div(channels, panels), lanes)
    grid = ceil_div(pixels, strip), panels, panels
    partial = device.xp.empty(grid[0] * channels * (channels + 1), left.dtype)
    device.launch(tiled_outer_products(groups * lanes, lanes), grid,
                  groups * groups * slices_of(groups), aligned_flat(device, left),
                  aligned_flat(device, right), aligned_flat(device, shift), partial, pixels,
                  channels, strip)
    return _added_up(device, partial, channels)


def sums_of_outer_products(device: Device, left: Any, right: Any, shift: Any) -> tuple[Any, Any]:
    """(sum_p left[p] (right[p] + shift)^T, sum_p left[p]).

    Args:
      device: where the arrays are.
      left, right: [P, C], float32 or float64, any strides.
      shift: [C], of that type too.

    Returns:
      [C, C] and [C], of that type; zeros if there are no pixels.
    """
    if not left.size:
        channels = left.shape[1]
        return device.xp.zeros((channels, channels), left.dtype), device.xp.zeros(channels,
                                                                                  left.dtype)
    return outer_products_by_tiled(device, left, right, shift)


def _added_up(device: Device, partial: Any, channels: int) -> tuple[Any, Any]:
    sums = sums_of_rows(device, partial, channels * (channels + 1))
    products = channels * channels
    return sums[:products].reshape(channels, channels), sums[products:]
