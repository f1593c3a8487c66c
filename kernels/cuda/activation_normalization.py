"""ActivationNormalization (ActNorm) on a GPU: a shift and a positive scale for each channel.

Same names, parameters and results as refglow.bijectors.activation_normalization, for float32 and
float64 arrays on a device (see device.py). Log-dets and statistics are of the type of the arrays.
The kernels are in activation_normalization_kernels.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from refglow.kernels.cuda import activation_normalization_kernels as kernels
from refglow.kernels.cuda.device import Device, device_of
from refglow.kernels.cuda.kernel import Kernel, Size, Variant
from refglow.kernels.cuda.launch_shape import THREADS, blocks_for, ceil_div
from refglow.kernels.cuda.layout import (
    FLOATING,
    example_numbers,
    flat,
    lanes_in_vector,
    require_one_dtype,
    require_shape,
    vector_aligned,
)
from refglow.kernels.cuda.reduction import MOST_THREADS, sums_of_rows

_PIXELS_OF_A_THREAD = 16  # in a reducing kernel, or more, so that there are no more than
_MOST_PARTS = 1024  # partial sums for each channel
_CHANNELS_OF_A_BLOCK = 64


def _named(name: str, function: Any, vectorized: bool = False, occupancy: float = 0.5) -> Kernel:
    function.__name__ = function.__qualname__ = name
    return Kernel(function, vectorized=vectorized, occupancy=occupancy)


_MAPS = {
    (op, variant): _named(f"{op}_{variant}", make(element), variant == "vectorized")
    for op, element in (("activation_normalization_forward", kernels.denormalized),
                        ("activation_normalization_inverse", kernels.normalized))
    for variant, make in (("coalesced", kernels.map_coalesced),
                          ("vectorized", kernels.map_vectorized))}
# Two compensated sums in float64 take 60 registers, in blocks of 192 threads for 12 channels.
_VJPS = {op: _named(op, kernels.vjp_reducing(element), occupancy=0.45) for op, element in (
    ("activation_normalization_forward_vjp", kernels.denormalized_vjp),
    ("activation_normalization_inverse_vjp", kernels.normalized_vjp))}
_DEVIATIONS = Kernel(kernels.deviations_reducing)


def activation_normalization_forward(z: Any, shift: Any, log_scale: Any) -> tuple[Any, Any]:
    """(z / exp(log_scale) - shift, -sum(log_scale)).

    Args:
      z: [..., C], float32 or float64.
      shift, log_scale: [C], of the same type.

    Returns:
      x of the shape of z; the log-det of one channel vector, a scalar, in nats.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the parameters do not have C elements.
    """
    x = _map("activation_normalization_forward", None, z, shift, log_scale)
    return x, -log_det_of_pixel(log_scale)


def activation_normalization_inverse(x: Any, shift: Any, log_scale: Any) -> tuple[Any, Any]:
    """((x + shift) * exp(log_scale), sum(log_scale)).

    Args, Returns, Raises: as for the forward function, with x for z.
    """
    z = _map("activation_normalization_inverse", None, x, shift, log_scale)
    return z, log_det_of_pixel(log_scale)


def log_det_of_pixel(log_scale: Any) -> Any:
    """sum(log_scale), the log-det of one channel vector, rounded once.

    It counts once for every pixel of an image, so an error would too: the few numbers are summed in
    float64, by the array module.

    Args:
      log_scale: [C], float32 or float64.

    Returns:
      a scalar array of the same type, in nats.
    """
    xp = device_of(log_scale).xp
    return xp.asarray(log_scale.sum(dtype=np.float64), dtype=log_scale.dtype)


def activation_normalization_forward_vjp(z: Any, shift: Any, log_scale: Any, x_bar: Any,
                                         fldj_bar: Any) -> tuple[Any, Any, Any]:
    """(z_bar, shift_bar, log_scale_bar) = (e^-v x_bar, -sum x_bar, -sum z z_bar - fldj_bar).

    Args:
      z, shift, log_scale: as for the forward function.
      x_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      z_bar of the shape of z; shift_bar and log_scale_bar, [C].

    Raises:
      as for the forward function.
    """
    z_bar, of_shift, of_log_scale = _vjp("activation_normalization_forward_vjp", z, shift,
                                         log_scale, x_bar)
    return z_bar, -of_shift, (-of_log_scale - fldj_bar).astype(z.dtype)


def activation_normalization_inverse_vjp(z: Any, shift: Any, log_scale: Any, z_bar: Any,
                                         ildj_bar: Any) -> tuple[Any, Any, Any]:
    """(x_bar, shift_bar, log_scale_bar) = (e^v z_bar, sum x_bar, sum z z_bar + ildj_bar).

    Args:
      z: the result of the inverse.
      shift, log_scale: as for the inverse function.
      z_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of z; shift_bar and log_scale_bar, [C].

    Raises:
      as for the inverse function.
    """
    x_bar, of_shift, of_log_scale = _vjp("activation_normalization_inverse_vjp", z, shift,
                                         log_scale, z_bar)
    return x_bar, of_shift, (of_log_scale + ildj_bar).astype(z.dtype)


# With d = x - k for any number k, over n pixels,
#     mean = k + sum d / n,      variance = (sum d^2 - (sum d)^2 / n) / n.
# The closer k is to the mean the less cancels. A first pass with k = 0 gives a mean that is off by
# a few roundings; a second pass about it has sum d near 0, so that nothing cancels, corrects that
# mean, and gives the variance as accurately as the deviations themselves. So raw data from 0 to 255
# and a channel of numbers like 1000 +- 0.1 keep their digits in float32.


def channel_statistics(batch: Any, epsilon: float) -> tuple[Any, Any]:
    """(mean, population standard deviation + epsilon) of each channel, over all other dimensions.

    Args:
      batch: [..., C], float32 or float64, not empty.
      epsilon: added to the deviations; in the unit of the data.

    Returns:
      two arrays [C] of the type of batch.

    Raises:
      TypeError: the number type is not supported.
      ValueError: the batch is empty.
    """
    require_one_dtype("channel_statistics", FLOATING, batch=batch)
    device = device_of(batch)
    if not batch.size:
        raise ValueError("channel_statistics: the batch is empty, of shape "
                         f"{tuple(batch.shape)}; a mean needs a pixel at least.")
    numbers = flat(device, batch)
    shape = _reducing_shape(numbers.size // batch.shape[-1], int(batch.shape[-1]))
    first = device.xp.zeros(shape.channels, numbers.dtype)
    total, _ = _deviations(device, numbers, first, shape)
    middle = total / shape.pixels
    total, squares = _deviations(device, numbers, middle, shape)
    variance = (squares - total * total / shape.pixels) / shape.pixels
    deviation = device.xp.sqrt(device.xp.maximum(variance, 0))  # a constant channel's may round < 0
    return middle + total / shape.pixels, deviation + epsilon


def _deviations(device: Device, numbers: Any, center: Any,
                shape: _ReducingShape) -> tuple[Any, Any]:
    partials = [device.xp.empty(shape.channels * shape.parts, numbers.dtype) for _ in range(2)]
    device.launch(_DEVIATIONS, shape.grid, shape.block, numbers, center, *partials, shape.pixels,
                  shape.channels, shape.part)
    sums, squares = (sums_of_rows(device, partial, shape.channels) for partial in partials)
    return sums, squares


@dataclass(frozen=True)
class _ReducingShape:
    """How a reducing kernel is launched: `part` pixels for each of `parts` blocks."""

    pixels: int
    channels: int
    part: int
    parts: int
    grid: tuple[int, int]
    block: tuple[int, int]


def _reducing_shape(pixels: int, channels: int) -> _ReducingShape:
    width = min(channels, _CHANNELS_OF_A_BLOCK)
    height = 1
    while 2 * height * width <= MOST_THREADS:
        height *= 2
    part = max(height * _PIXELS_OF_A_THREAD, ceil_div(pixels, _MOST_PARTS))
    parts = ceil_div(pixels, part)
    return _ReducingShape(pixels, channels, part, parts, (ceil_div(channels, width), parts),
                          (width, height))


def _checked(op: str, name: str, array: Any, shift: Any, log_scale: Any) -> Device:
    require_one_dtype(op, FLOATING, **{name: array}, shift=shift, log_scale=log_scale)
    for parameter_name, parameter in (("shift", shift), ("log_scale", log_scale)):
        require_shape(op, parameter_name, parameter, tuple(array.shape[-1:]))
    return device_of(array, shift, log_scale)


def _map(op: str, variant: str | None, array: Any, shift: Any, log_scale: Any) -> Any:
    device = _checked(op, "z" if op.endswith("forward") else "x", array, shift, log_scale)
    x, m, v = (flat(device, operand) for operand in (array, shift, log_scale))
    y = device.xp.empty(x.size, x.dtype)
    if y.size:
        lanes = lanes_in_vector(x.dtype)
        whole = m.size % lanes == 0 and vector_aligned(x, m, v, y)
        if variant == "vectorized" and not whole:
            raise ValueError(f"{op}, variant vectorized: the channels must be a multiple of "
                             f"{lanes}, in arrays aligned to 16 bytes; got {m.size}.")
        chosen = variant or ("vectorized" if whole else "coalesced")
        per_thread = lanes if chosen == "vectorized" else 1
        device.launch(_MAPS[op, chosen], blocks_for(x.size // per_thread), THREADS, x, m, v, y,
                      x.size, m.size)
    return y.reshape(array.shape)


def _vjp(op: str, z: Any, shift: Any, log_scale: Any, bar: Any) -> tuple[Any, Any, Any]:
    """(result_bar, and the sums over pixels for shift and log_scale, without their signs)."""
    device = _checked(op, "z", z, shift, log_scale)
    name = "x_bar" if op.endswith("forward_vjp") else "z_bar"
    device_of(z, bar)
    require_one_dtype(op, FLOATING, z=z, **{name: bar})
    require_shape(op, name, bar, tuple(z.shape))
    xp, channels = device.xp, int(z.shape[-1])
    result_bar = xp.empty(z.size, z.dtype)
    if not z.size:
        return result_bar.reshape(z.shape), xp.zeros(channels, z.dtype), xp.zeros(channels, z.dtype)
    shape = _reducing_shape(z.size // channels, channels)
    shift_sums, log_scale_sums = (xp.empty(channels * shape.parts, z.dtype) for _ in range(2))
    device.launch(_VJPS[op], shape.grid, shape.block, flat(device, z), flat(device, bar),
                  flat(device, log_scale), result_bar, shift_sums, log_scale_sums, shape.pixels,
                  channels, shape.part)
    return (result_bar.reshape(z.shape), sums_of_rows(device, shift_sums, channels),
            sums_of_rows(device, log_scale_sums, channels))


# ---- records ----------------------------------------------------------------------------------


def _example(op: str, variant: str, size: Size, dtype: str) -> tuple[Any, ...]:
    c = 12 if variant != "coalesced" else 10 if size == "realistic" else 5
    shape = (2, 3, 4, c) if size == "small" else (4, 30, 31, c)
    array, bar = (example_numbers(shape, dtype, seed) for seed in range(2))
    if op == "channel_statistics":
        return array, 1e-6
    shift, log_scale = (example_numbers((c,), dtype, seed) for seed in range(2, 4))
    return (array, shift, log_scale, bar, np.asarray(0.5, dtype))[:5 if op.endswith("vjp") else 3]


def _map_variant(op: str, variant: str) -> Variant:
    def run(array: Any, shift: Any, log_scale: Any) -> tuple[Any, Any]:
        log_det = log_det_of_pixel(log_scale)
        return (_map(op, variant, array, shift, log_scale),
                -log_det if op.endswith("forward") else log_det)
    return Variant(
        op=op, name=variant, idea="a thread for each " + (
            "16 bytes" if variant == "vectorized" else "number"),
        run=run, example=partial(_example, op, variant),
        bytes_moved=lambda array, *rest: int(2 * array.size * array.dtype.itemsize),
        operations=lambda array, *rest: 3 * int(array.size),
        elements=lambda array, *rest: int(array.size))


def _reducing_variant(op: str, run: Any, passes: int, operations: int) -> Variant:
    return Variant(
        op=op, name="only", idea="a thread for each channel of some pixels, sums on chip", run=run,
        example=partial(_example, op, "only"),
        bytes_moved=lambda array, *rest: int(passes * array.size * array.dtype.itemsize),
        operations=lambda array, *rest: operations * int(array.size),
        elements=lambda array, *rest: int(array.size))


VARIANTS = (
    *(_map_variant(op, variant) for op, variant in _MAPS),
    _reducing_variant("activation_normalization_forward_vjp",
                      activation_normalization_forward_vjp, passes=3, operations=4),
    _reducing_variant("activation_normalization_inverse_vjp",
                      activation_normalization_inverse_vjp, passes=3, operations=4),
    _reducing_variant("channel_statistics", channel_statistics, passes=2, operations=8))
