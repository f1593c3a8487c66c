"""Kernels of ActNorm: the maps, their vjps and a batch's channel statistics.

    coalesced    a thread for each number
    vectorized   a thread for each 16 bytes, where channels are a multiple of them
    reducing     the vjps and the statistics, which sum over all pixels of all images

A reducing kernel's blocks are two-dimensional: x goes through channels, y through pixels, so that
neighbouring threads read neighbouring numbers and each thread stays with its channel. A thread sums
its pixels one after another, compensated; the threads of a channel add up in a tree; each block
writes one partial sum for each channel, [C, parts], for a second kernel to sum (reduction.py).

With s = exp(v) (the derivation is the specification's, refglow.bijectors.activation_normalization):

    inverse   z = (x + m) s      x_bar = s z_bar     m_bar = sum x_bar     v_bar = sum z z_bar
    forward   x = z / s - m      z_bar = x_bar / s   m_bar = -sum x_bar    v_bar = -sum z z_bar

and what the log-det's cotangent adds to v_bar. All arrays are flat; pixels are rows of C numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba import cuda

from refglow.kernels.cpu.compiled import inlined
from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.reduction import MOST_THREADS, compensated_sum, sum_over_y
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import MOST_LANES, lanes_of, load_vector, store_vector

Element = Callable[..., Any]
Function = Callable[..., None]


@inlined
def normalized(x: float, shift: float, log_scale: float) -> float:
    """z = (x + m) e^v."""
    return (x + shift) * math.exp(log_scale)


@inlined
def denormalized(z: float, shift: float, log_scale: float) -> float:
    """x = z / e^v - m."""
    return z / math.exp(log_scale) - shift


@inlined
def normalized_vjp(z: float, z_bar: float, scale: float) -> tuple[float, float, float]:
    """(x_bar, what m_bar sums, what v_bar sums)."""
    x_bar = z_bar * scale
    return x_bar, x_bar, z * z_bar


@inlined
def denormalized_vjp(z: float, x_bar: float, scale: float) -> tuple[float, float, float]:
    """(z_bar, what -m_bar sums, what -v_bar sums)."""
    z_bar = x_bar / scale
    return z_bar, x_bar, z * z_bar


def map_coalesced(element: Element) -> Function:
    """A thread for each number."""
    def kernel(x: Any, shift: Any, log_scale: Any, y: Any, size: int, channels: int) -> None:
        i = cuda.grid(1)
        while i < size:
            c = i - quotient(i, channels) * channels
            store(y, i, element(load(x, i), load(shift, c), load(log_scale, c)))
            i += cuda.gridsize(1)
    return kernel


def map_vectorized(element: Element) -> Function:
    """A thread for each 16 bytes; C must be a multiple of them."""
    def kernel(x: Any, shift: Any, log_scale: Any, y: Any, size: int, channels: int) -> None:
        values = cuda.local.array(MOST_LANES, x.dtype)
        shifts = cuda.local.array(MOST_LANES, x.dtype)
        log_scales = cuda.local.array(MOST_LANES, x.dtype)
        lanes = lanes_of(x)
        i = cuda.grid(1) * lanes
        while i < size:
            c = i - quotient(i, channels) * channels
            load_vector(x, i, values, 0)
            load_vector(shift, c, shifts, 0)
            load_vector(log_scale, c, log_scales, 0)
            for lane in range(lanes):
                values[lane] = element(values[lane], shifts[lane], log_scales[lane])
            store_vector(y, i, values, 0)
            i += cuda.gridsize(1) * lanes
    return kernel


def vjp_reducing(element: Element) -> Function:
    """A block for `part` pixels and blockDim.x channels; two arrays of partial sums."""
    def kernel(z: Any, bar: Any, log_scale: Any, result_bar: Any, shift_sums: Any,
               log_scale_sums: Any, pixels: int, channels: int, part: int) -> None:
        scratch = cuda.shared.array(MOST_THREADS, z.dtype)
        channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        shift_sum = z.dtype.type(0)
        shift_lost = z.dtype.type(0)
        scale_sum = z.dtype.type(0)
        scale_lost = z.dtype.type(0)
        if channel < channels:
            scale = math.exp(load(log_scale, channel))
            end = min(pixels, (cuda.blockIdx.y + 1) * part)
            pixel = cuda.blockIdx.y * part + cuda.threadIdx.y
            while pixel < end:
                at = pixel * channels + channel
                value, to_shift, to_scale = element(load(z, at), load(bar, at), scale)
                store(result_bar, at, value)
                shift_sum, shift_lost = compensated_sum(shift_sum, shift_lost, to_shift)
                scale_sum, scale_lost = compensated_sum(scale_sum, scale_lost, to_scale)
                pixel += cuda.blockDim.y
        shift_sum = sum_over_y(shift_sum + shift_lost, scratch)
        scale_sum = sum_over_y(scale_sum + scale_lost, scratch)
        if cuda.threadIdx.y == 0 and channel < channels:
            store(shift_sums, channel * cuda.gridDim.y + cuda.blockIdx.y, shift_sum)
            store(log_scale_sums, channel * cuda.gridDim.y + cuda.blockIdx.y, scale_sum)
    return kernel


def deviations_reducing(x: Any, center: Any, sums: Any, squares: Any, pixels: int, channels: int,
                        part: int) -> None:
    """Partial sums of x - center and of its square, center being one number for each channel."""
    scratch = cuda.shared.array(MOST_THREADS, x.dtype)
    channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    total = x.dtype.type(0)
    lost = x.dtype.type(0)
    square_total = x.dtype.type(0)
    square_lost = x.dtype.type(0)
    if channel < channels:
        middle = load(center, channel)
        end = min(pixels, (cuda.blockIdx.y + 1) * part)
        pixel = cuda.blockIdx.y * part + cuda.threadIdx.y
        while pixel < end:
            deviation = load(x, pixel * channels + channel) - middle
            total, lost = compensated_sum(total, lost, deviation)
            square_total, square_lost = compensated_sum(square_total, square_lost,
                                                        deviation * deviation)
            pixel += cuda.blockDim.y
    total = sum_over_y(total + lost, scratch)
    square_total = sum_over_y(square_total + square_lost, scratch)
    if cuda.threadIdx.y == 0 and channel < channels:
        store(sums, channel * cuda.gridDim.y + cuda.blockIdx.y, total)
        store(squares, channel * cuda.gridDim.y + cuda.blockIdx.y, square_total)
