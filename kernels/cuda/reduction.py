"""Sums that give the same bits in every run: fixed trees, no atomics.

A sum over a whole example goes in two stages. Each block of the first kernel sums its part: every
thread its own elements one after another, compensated; then the threads in a tree of fixed shape
(`block_sum`). The partial sums, an array [rows, parts], are summed over parts by a second kernel
the same way (`sums_of_rows`; again, where there are very many). The shape of all of this follows
from the shapes of the arrays alone.

Error: a thread's compensated sum is rounded once, up to terms of n eps^2. The tree rounds once at
each of its levels, at most 8 for 256 threads. So a stage is off by at most 9 half eps of the sum of
the terms' sizes, however many they are; a plain sum of n terms may be off by n half eps of it.
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from refglow.kernels.cpu.compiled import inlined
from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.launch_shape import MOST_BLOCKS_IN_Y, ceil_div, power_of_two_threads
from refglow.kernels.cuda.storage import load, store

MOST_THREADS = 256  # of a block that sums; the length of its shared array
_PART = 64 * MOST_THREADS  # numbers that a block of the second kernel sums


# Knuth's two-sum: with s = fl(a + b), a + b - s is exactly (a - (s - v)) + (b - v), v = s - a.


@inlined
def compensated_sum(total: float, lost: float, term: float) -> tuple[float, float]:
    """(total + term rounded, lost + what that rounding lost); their sum is the running sum."""
    added = total + term
    virtual = added - total
    return added, lost + ((total - (added - virtual)) + (term - virtual))


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def block_sum(value: Any, scratch: Any) -> Any:
    """The sum of `value` over the block's threads, a power of two of them; valid in thread 0.

    `scratch` is a shared array with an element for each thread. It can be used again at once: the
    last thing that happens is a barrier.
    """
    thread = cuda.threadIdx.x
    scratch[thread] = value
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half > 0:
        if thread < half:
            scratch[thread] += scratch[thread + half]
        cuda.syncthreads()
        half >>= 1
    total = scratch[0]
    cuda.syncthreads()
    return total


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def sum_over_y(value: Any, scratch: Any) -> Any:
    """The sum of `value` over the threads with this one's x; valid where threadIdx.y is 0.

    blockDim.y is a power of two. `scratch` is as for `block_sum`.
    """
    width = cuda.blockDim.x
    thread = cuda.threadIdx.y * width + cuda.threadIdx.x
    scratch[thread] = value
    cuda.syncthreads()
    half = cuda.blockDim.y >> 1
    while half > 0:
        if cuda.threadIdx.y < half:
            scratch[thread] += scratch[thread + half * width]
        cuda.syncthreads()
        half >>= 1
    total = scratch[cuda.threadIdx.x]
    cuda.syncthreads()
    return total


def sum_rows(values: Any, sums: Any, rows: int, length: int, part: int) -> None:
    """sums[row, i] = the sum of part i of a row of values; a block for each part of each row."""
    scratch = cuda.shared.array(MOST_THREADS, sums.dtype)
    start = cuda.blockIdx.x * part
    end = min(length, start + part)
    row = cuda.blockIdx.y
    while row < rows:
        total = sums.dtype.type(0)
        lost = sums.dtype.type(0)
        i = start + cuda.threadIdx.x
        while i < end:
            total, lost = compensated_sum(total, lost, load(values, row * length + i))
            i += cuda.blockDim.x
        total = block_sum(total + lost, scratch)
        if cuda.threadIdx.x == 0:
            store(sums, row * cuda.gridDim.x + cuda.blockIdx.x, total)
        row += cuda.gridDim.y


SUM_ROWS = Kernel(sum_rows)


def sums_of_rows(device: Device, values: Any, rows: int) -> Any:
    """The sums of the rows of a flat array.

    Args:
      device: where the array is.
      values: [rows * length], float32 or float64, contiguous.
      rows: how many rows.

    Returns:
      [rows], of the same type.
    """
    while rows and values.size > rows:
        length = values.size // rows
        part = min(length, _PART)
        parts = ceil_div(length, part)
        sums = device.xp.empty(rows * parts, values.dtype)
        device.launch(SUM_ROWS, (parts, min(rows, MOST_BLOCKS_IN_Y)),
                      power_of_two_threads(part, MOST_THREADS), values, sums, rows, length, part)
        values = sums
    return values
