"""Launches of the 1x1 convolution's kernels: every pixel's channels times one matrix.

The kernels, and what distinguishes them, are in one_by_one_conv_kernels.py.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.launch_shape import THREADS, blocks_for, ceil_div
from refglow.kernels.cuda.layout import flat, lanes_in_vector
from refglow.kernels.cuda.on_chip import aligned_flat, fits_on_chip
from refglow.kernels.cuda.one_by_one_conv_kernels import (
    PRODUCT_COALESCED,
    PRODUCT_NAIVE,
    PRODUCT_VECTORIZED,
    TILE,
    WARP,
    fused_product,
    tiled_product,
)

# Blocks go on to further tiles, so that the matrix is not read for every tile.
_MOST_TILED_BLOCKS = 2048


def multiply(device: Device, x: Any, weights: Any) -> Any:
    """y[p, o] = sum_i x[p, i] * weights[i, o], by the best variant that applies.

    Args:
      device: where the arrays are.
      x: [P, C], float32 or float64, any strides.
      weights: [C, C], rounded to x's number type.

    Returns:
      [P, C].
    """
    if fits_on_chip(x.shape[1], x.dtype, TILE):
        return multiply_tiled(device, x, weights)
    whole_vectors = x.shape[1] % lanes_in_vector(x.dtype) == 0
    return (multiply_vectorized if whole_vectors else multiply_coalesced)(device, x, weights)


def multiply_shifted(device: Device, x: Any, before: Any, weights: Any, after: Any) -> Any:
    """y[p, o] = sum_i (x[p, i] + before[i]) * weights[i, o] + after[o].

    In one pass over memory where the matrix fits on the chip.

    Args:
      device, x, weights: as for `multiply`.
      before, after: [C], of x's number type.

    Returns:
      [P, C].
    """
    if fits_on_chip(x.shape[1], x.dtype, TILE):
        return multiply_fused(device, x, before, weights, after)
    y = multiply(device, x + before, weights)
    y += after
    return y


def multiply_naive(device: Device, x: Any, weights: Any) -> Any:
    """As `multiply`; a thread for each pixel."""
    return _by_threads(PRODUCT_NAIVE, x.shape[0], device, flat(device, x), x, weights)


def multiply_coalesced(device: Device, x: Any, weights: Any) -> Any:
    """As `multiply`; a thread for each number."""
    return _by_threads(PRODUCT_COALESCED, x.size, device, flat(device, x), x, weights)


def multiply_vectorized(device: Device, x: Any, weights: Any) -> Any:
    """As `multiply`; a thread for each 16 bytes, of which C is a multiple."""
    items = x.size // lanes_in_vector(x.dtype)
    return _by_threads(PRODUCT_VECTORIZED, items, device, aligned_flat(device, x), x, weights)


def multiply_tiled(device: Device, x: Any, weights: Any) -> Any:
    """As `multiply`; the matrix on the chip, where it has to fit."""
    pixels, channels = x.shape
    lanes = lanes_in_vector(x.dtype)
    numbers = aligned_flat(device, x)
    y = device.xp.empty_like(numbers)
    device.launch(tiled_product(channels, lanes), _tiled_blocks(pixels), WARP * channels // lanes,
                  numbers, _rounded(device, weights, x), y, pixels)
    return y.reshape(x.shape)


def multiply_fused(device: Device, x: Any, before: Any, weights: Any, after: Any) -> Any:
    """As `multiply_shifted`; the matrix on the chip, where it has to fit."""
    pixels, channels = x.shape
    lanes = lanes_in_vector(x.dtype)
    numbers = aligned_flat(device, x)
    y = device.xp.empty_like(numbers)
    device.launch(fused_product(channels, lanes), _tiled_blocks(pixels), WARP * channels // lanes,
                  numbers, aligned_flat(device, before), _rounded(device, weights, x),
                  aligned_flat(device, after), y, pixels)
    return y.reshape(x.shape)


def _by_threads(kernel: Kernel, items: int, device: Device, numbers: Any, x: Any,
                weights: Any) -> Any:
    y = device.xp.empty_like(numbers)
    if numbers.size:
        device.launch(kernel, blocks_for(items), THREADS, numbers, _rounded(device, weights, x), y,
                      *x.shape)
    return y.reshape(x.shape)


def _tiled_blocks(pixels: int) -> int:
    return min(ceil_div(pixels, TILE), _MOST_TILED_BLOCKS)


def _rounded(device: Device, weights: Any, x: Any) -> Any:
    return aligned_flat(device, weights.astype(x.dtype))
