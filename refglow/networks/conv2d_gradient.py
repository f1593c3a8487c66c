"""The gradients of a convolution.

With the names of `refglow.networks.conv2d`, the output's cotangent y_bar and its tangent y_dot:

    x_bar[r, c, i]          = sum_{a, b, o} y_bar[r - a + ph, c - b + pw, o] * kernel[a, b, i, o]
    kernel_bar[a, b, i, o]  = sum_{n, h, w} x[h + a - ph, w + b - pw, i] * y_bar[h, w, o]
    bias_bar[o]             = sum_{n, h, w} y_bar[h, w, o]
    y_dot                   = convolution of x_dot with kernel + of x with kernel_dot + bias_dot

where n counts the images of the batch. Source: keras.layers.Conv2D.
"""

from __future__ import annotations

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import product
from refglow.networks.shifted_products import (
    as_images,
    as_pixels,
    convolved,
    gather,
    margins,
    times,
)

# A change of x, kernel and bias changes y by
#
#     dy[h, w, o] = sum_{a, b, i} (dx[h + a - ph, w + b - pw, i] * kernel[a, b, i, o]
#                                  + x[h + a - ph, w + b - pw, i] * dkernel[a, b, i, o]) + db[o]
#
# which gives y_dot. In sum_{n, h, w, o} y_bar[h, w, o] * dy[h, w, o] the coefficients of dx,
# dkernel and db are the cotangents above (products only, never conjugates: for complex numbers
# too).
#
# How they are computed: x_bar is itself a convolution. With a' = KH - 1 - a and b' = KW - 1 - b it
# is that of y_bar with the kernel turned by 180 degrees, its channels exchanged, and with margins
# (KH - 1 - ph, KW - 1 - pw). kernel_bar is one product: the gathered shifted inputs of the forward
# pass, transposed, times y_bar. Or, with r = h + a - ph and c = w + b - pw,
#
#     kernel_bar[a, b, i, o]  = sum_{n, r, c} x[r, c, i] * y_bar[r - a + ph, c - b + pw, o]
#
# the inputs, transposed, times the gathered shifted cotangents, which that convolution needs as
# well. The side with fewer channels is gathered. The bias is the weight of an input that is always
# 1, and its cotangent the product of ones with y_bar.


def conv2d_vjp(x: Array, kernel: Array, y_bar: Array,
               padding: str) -> tuple[Array, Array, Array]:
    """(x_bar, kernel_bar, bias_bar), as defined above.

    Args:
      x: [..., H, W, I], any number type.
      kernel: [KH, KW, I, O].
      y_bar: the cotangent of the output, of its shape.
      padding: as for `conv2d`.

    Returns:
      arrays of the shapes of x [..., H, W, I], kernel [KH, KW, I, O] and bias [O].

    Source: as the module.
    """
    kh, kw, inputs, outputs = kernel.shape
    images, bars = as_images(x), as_images(y_bar)
    pixels = as_pixels(bars)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    ph, pw = margins(kernel, padding)
    around = kh - 1 - ph, kw - 1 - pw
    if inputs <= outputs:
        kernel_bar = product(gather(images, kh, kw, ph, pw).T, pixels)
        x_bar = convolved(bars, turned, *around)
    else:
        gathered = gather(bars, kh, kw, *around)
        x_bar = times(gathered, turned.reshape(kh * kw * outputs, inputs), len(bars))
        turned_bar = product(as_pixels(images).T, gathered).reshape(inputs, kh, kw, outputs)
        kernel_bar = turned_bar[:, ::-1, ::-1].transpose(1, 2, 0, 3).copy()
    bias_bar = np.ones_like(pixels, shape=pixels.shape[:1]) @ pixels
    return x_bar.reshape(x.shape), kernel_bar.reshape(kernel.shape), bias_bar


def conv2d_jvp(x: Array, kernel: Array, x_dot: Array, kernel_dot: Array, bias_dot: Array,
               padding: str) -> Array:
    """y_dot, as defined above.

    Args:
      x: [..., H, W, I], any number type.
      kernel: [KH, KW, I, O].
      x_dot, kernel_dot, bias_dot: tangents, of the shapes of x, kernel and the bias.
      padding: as for `conv2d`.

    Returns:
      the tangent of the output, of its shape.

    Source: as the module.
    """
    around = margins(kernel, padding)
    y_dot = (convolved(as_images(x_dot), kernel, *around)
             + convolved(as_images(x), kernel_dot, *around) + bias_dot)
    return y_dot.reshape(*x.shape[:-3], *y_dot.shape[1:])
