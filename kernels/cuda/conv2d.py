"""Conv2D on a GPU: matrix products by cuBLAS between a gather of pixels or a scatter of terms.

`conv2d` and `conv2d_vjp` have the names, parameters and results of refglow.networks.conv2d and
conv2d_gradient, for arrays on a device (see device.py); the formulas and their derivation are
there. Narrow inputs are gathered and multiplied once; wide ones are multiplied and the narrow terms
scattered (shifts.py). Sums are in the arrays' own number type.
"""

from __future__ import annotations

import math
from typing import Any

from refglow.kernels.cuda.device import Device, device_of
from refglow.kernels.cuda.layout import FLOATING, require_one_dtype, require_shape
from refglow.kernels.cuda.shifts import Window, gather, scatter
from refglow.networks.shifted_products import margins


def conv2d(x: Any, kernel: Any, bias: Any, padding: str) -> Any:
    """y[h, w, o] = bias[o] + sum_{a, b, i} x[h + a - ph, w + b - pw, i] * kernel[a, b, i, o].

    Args:
      x: [..., H, W, I], float32 or float64.
      kernel: [KH, KW, I, O], of that type.
      bias: [O], of that type.
      padding: "same" (odd KH, KW) or "valid".

    Returns:
      [..., H, W, O] for "same", [..., H - KH + 1, W - KW + 1, O] for "valid".

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other.
    """
    device = device_of(x, kernel, bias)
    require_one_dtype("conv2d", FLOATING, x=x, kernel=kernel, bias=bias)
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"conv2d: x has {x.shape[-1]} channels; the kernel takes "
                         f"{kernel.shape[2]}.")
    require_shape("conv2d", "bias", bias, (kernel.shape[3],))
    y = convolved(device, as_images(x), kernel, window_of(kernel, padding), bias)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def conv2d_vjp(x: Any, kernel: Any, y_bar: Any, padding: str) -> tuple[Any, Any, Any]:
    """(x_bar, kernel_bar, bias_bar).

    Args:
      x, kernel, padding: as for `conv2d`.
      y_bar: the cotangent of the output, of its shape.

    Returns:
      arrays of the shapes of x [..., H, W, I], kernel [KH, KW, I, O] and bias [O].

    Raises: as for `conv2d`.
    """
    device = device_of(x, kernel, y_bar)
    require_one_dtype("conv2d_vjp", FLOATING, x=x, kernel=kernel, y_bar=y_bar)
    xp, (kh, kw, inputs, outputs) = device.xp, kernel.shape
    window = window_of(kernel, padding)
    require_shape("conv2d_vjp", "x", x, (*x.shape[:-1], inputs))
    require_shape("conv2d_vjp", "y_bar", y_bar,
                  (*x.shape[:-3], *window.output_size(*x.shape[-3:-1]), outputs))
    images, bars = as_images(x), as_images(y_bar)
    pixels = as_pixels(bars)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    if inputs <= outputs:
        kernel_bar = gather(device, images, window).T @ pixels
        x_bar = convolved(device, bars, turned, window.turned, xp.zeros(inputs, x.dtype))
    else:
        gathered = gather(device, bars, window.turned)
        x_bar = gathered @ turned.reshape(kh * kw * outputs, inputs)
        turned_bar = (as_pixels(images).T @ gathered).reshape(inputs, kh, kw, outputs)
        kernel_bar = xp.ascontiguousarray(turned_bar[:, ::-1, ::-1].transpose(1, 2, 0, 3))
    return x_bar.reshape(x.shape), kernel_bar.reshape(kernel.shape), column_sums(device, pixels)


def convolved(device: Device, images: Any, kernel: Any, window: Window, bias: Any) -> Any:
    """The convolution of [N, H, W, I] with its bias, [N, H', W', O]."""
    taps, (inputs, outputs) = window.taps, kernel.shape[2:]
    size = window.output_size(*images.shape[1:3])
    if inputs <= outputs or taps == 1:
        y = product_of_patches(device, images, kernel, window)
        y += bias
        return y.reshape(len(images), *size, outputs)
    matrix = kernel.transpose(2, 0, 1, 3).reshape(inputs, taps * outputs)
    terms = (as_pixels(images) @ matrix).reshape(*images.shape[:3], taps * outputs)
    return scatter(device, terms, bias, window)


def product_of_patches(device: Device, images: Any, kernel: Any, window: Window) -> Any:
    """What each output pixel sees times the kernel, without the bias: [N H' W', O]."""
    whole = window == Window(1, 1, 0, 0)
    patches = as_pixels(images) if whole else gather(device, images, window)
    return patches @ kernel.reshape(-1, kernel.shape[3])


def column_sums(device: Device, matrix: Any) -> Any:
    """The sums over the rows of a matrix, as a product with ones: [columns]."""
    return device.xp.ones(len(matrix), matrix.dtype) @ matrix


def window_of(kernel: Any, padding: str) -> Window:
    """What a convolution's output pixels see.

    Raises:
      ValueError: padding is neither "same" nor "valid", or is "same" for even sides.
    """
    kh, kw = kernel.shape[:2]
    return Window(kh, kw, *margins(kernel, padding))


def as_images(x: Any) -> Any:
    """[..., H, W, C] as [N, H, W, C]."""
    return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])


def as_pixels(images: Any) -> Any:
    """[N, H, W, C] as the matrix [N H W, C]."""
    return images.reshape(math.prod(images.shape[:3]), images.shape[3])
