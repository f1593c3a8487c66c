"""ReLU on a GPU: y = max(x, 0), its vjp, and the two steps of it that a network takes in place.

`relu` and `relu_vjp` have the names, parameters and results of refglow.networks.relu, for arrays on
a device (see device.py). `add_bias_relu` and `mask` change the array that a matrix product has just
made, so that bias and ReLU, or its derivative, cost one pass over memory.

    coalesced    a thread for each number
    vectorized   a thread for each 16 bytes, where rows are a multiple of that
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from refglow.kernels.cpu.compiled import inlined
from refglow.kernels.cuda.device import Device, device_of
from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.launch_shape import THREADS, blocks_for
from refglow.kernels.cuda.layout import (
    FLOATING,
    lanes_in_vector,
    require_one_dtype,
    require_shape,
    vector_aligned,
)
from refglow.kernels.cuda.on_chip import aligned_flat
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import MOST_LANES, lanes_of, load_vector, store_vector


@inlined
def _rectified(x: float, zero: float) -> float:
    """max(x, 0), and NaN where x is."""
    return zero if x < zero else x


@inlined
def _masked(bar: float, x: float, zero: float, one: float) -> float:
    """bar * [x > 0], a product: what is infinite becomes NaN where x <= 0."""
    return bar * (one if x > zero else zero)


def bias_relu_coalesced(x: Any, bias: Any, y: Any, count: int, channels: int) -> None:
    """y = max(x + bias, 0); y may be x."""
    zero = y.dtype.type(0)
    i = cuda.grid(1)
    while i < count:
        channel = i - quotient(i, channels) * channels
        store(y, i, _rectified(load(x, i) + load(bias, channel), zero))
        i += cuda.gridsize(1)


def bias_relu_vectorized(x: Any, bias: Any, y: Any, count: int, channels: int) -> None:
    """The same by 16 bytes."""
    zero = y.dtype.type(0)
    numbers = cuda.local.array(MOST_LANES, y.dtype)
    added = cuda.local.array(MOST_LANES, y.dtype)
    i = cuda.grid(1) * lanes_of(y)
    while i < count:
        load_vector(x, i, numbers, 0)
        load_vector(bias, i - quotient(i, channels) * channels, added, 0)
        for lane in range(lanes_of(y)):
            numbers[lane] = _rectified(numbers[lane] + added[lane], zero)
        store_vector(y, i, numbers, 0)
        i += cuda.gridsize(1) * lanes_of(y)


def mask_coalesced(x: Any, bar: Any, x_bar: Any, count: int) -> None:
    """x_bar = bar * [x > 0]; x_bar may be bar."""
    zero, one = bar.dtype.type(0), bar.dtype.type(1)
    i = cuda.grid(1)
    while i < count:
        store(x_bar, i, _masked(load(bar, i), load(x, i), zero, one))
        i += cuda.gridsize(1)


def mask_vectorized(x: Any, bar: Any, x_bar: Any, count: int) -> None:
    """The same by 16 bytes."""
    zero, one = bar.dtype.type(0), bar.dtype.type(1)
    numbers = cuda.local.array(MOST_LANES, bar.dtype)
    bars = cuda.local.array(MOST_LANES, bar.dtype)
    i = cuda.grid(1) * lanes_of(bar)
    while i < count:
        load_vector(x, i, numbers, 0)
        load_vector(bar, i, bars, 0)
        for lane in range(lanes_of(bar)):
            bars[lane] = _masked(bars[lane], numbers[lane], zero, one)
        store_vector(x_bar, i, bars, 0)
        i += cuda.gridsize(1) * lanes_of(bar)


# The 64-bit remainder takes about 40 registers.
BIAS_RELU_COALESCED = Kernel(bias_relu_coalesced, occupancy=0.75)
BIAS_RELU_VECTORIZED = Kernel(bias_relu_vectorized, vectorized=True, occupancy=0.75)
MASK_COALESCED = Kernel(mask_coalesced)
MASK_VECTORIZED = Kernel(mask_vectorized, vectorized=True)


def relu(x: Any) -> Any:
    """max(x, 0), and NaN where x is.

    Args:
      x: [...], float32 or float64.

    Returns:
      [...], of the type of x.

    Raises:
      TypeError: the number type is not supported.
    """
    device = device_of(x)
    require_one_dtype("relu", FLOATING, x=x)
    numbers = aligned_flat(device, x)
    y = device.xp.empty_like(numbers)
    lanes = lanes_in_vector(x.dtype)
    _launch_bias_relu(device, numbers, device.xp.zeros(lanes, x.dtype), y, lanes)
    return y.reshape(x.shape)


def relu_vjp(x: Any, y_bar: Any) -> Any:
    """x_bar = y_bar * [x > 0], where [...] is 1 if true and 0 if not.

    Args:
      x: [...], relu's input or its output, float32 or float64.
      y_bar: the cotangent of the output, of that shape and type.

    Returns:
      x_bar, likewise. Where y_bar is infinite and x <= 0 it is NaN.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes differ.
    """
    device = device_of(x, y_bar)
    require_one_dtype("relu_vjp", FLOATING, x=x, y_bar=y_bar)
    require_shape("relu_vjp", "y_bar", y_bar, tuple(x.shape))
    bars = aligned_flat(device, y_bar)
    x_bar = device.xp.empty_like(bars)
    _launch_mask(device, aligned_flat(device, x), bars, x_bar)
    return x_bar.reshape(x.shape)


def add_bias_relu(device: Device, x: Any, bias: Any) -> None:
    """x becomes max(x + bias, 0).

    Args:
      device: where the arrays are.
      x: [P, F], contiguous.
      bias: [F], of its type.
    """
    numbers = x.reshape(-1)
    _launch_bias_relu(device, numbers, aligned_flat(device, bias), numbers, x.shape[1])


def mask(device: Device, x: Any, bar: Any) -> None:
    """bar becomes bar * [x > 0].

    Args:
      device: where the arrays are.
      x: [P, F], any strides.
      bar: [P, F], contiguous, of the type of x.
    """
    bars = bar.reshape(-1)
    _launch_mask(device, aligned_flat(device, x), bars, bars)


def _launch_bias_relu(device: Device, x: Any, bias: Any, y: Any, channels: int) -> None:
    lanes = lanes_in_vector(y.dtype)
    if y.size and y.size % lanes == 0 and channels % lanes == 0 and vector_aligned(x, y):
        device.launch(BIAS_RELU_VECTORIZED, blocks_for(y.size // lanes), THREADS, x, bias, y,
                      y.size, channels)
    elif y.size:
        device.launch(BIAS_RELU_COALESCED, blocks_for(y.size), THREADS, x, bias, y, y.size,
                      channels)


def _launch_mask(device: Device, x: Any, bar: Any, x_bar: Any) -> None:
    lanes = lanes_in_vector(bar.dtype)
    if bar.size and bar.size % lanes == 0 and vector_aligned(x, bar, x_bar):
        device.launch(MASK_VECTORIZED, blocks_for(bar.size // lanes), THREADS, x, bar, x_bar,
                      bar.size)
    elif bar.size:
        device.launch(MASK_COALESCED, blocks_for(bar.size), THREADS, x, bar, x_bar, bar.size)
