"""Conv2D: the two-dimensional convolution of neural networks (a cross-correlation).

For x [..., H, W, I], a kernel [KH, KW, I, O] and a bias [O], with (ph, pw) rows and columns of
zeros around the image ('same': ((KH - 1)/2, (KW - 1)/2); 'valid': none):

    y[h, w, o] = bias[o] + sum_{a, b, i} x[h + a - ph, w + b - pw, i] * kernel[a, b, i, o]

The sum over (a, b) is computed in `shifted_products`, the gradients in `conv2d_gradient`.

Source: keras.layers.Conv2D.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.backend import implementation
from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import DEFAULT_FLOAT, Array, as_array, canonical_dtype
from refglow.networks import initializers
from refglow.networks.conv2d_gradient import conv2d_jvp, conv2d_vjp
from refglow.networks.differentiable import as_shaped
from refglow.networks.network import Network, Pullback
from refglow.networks.shifted_products import as_images, convolved, margins
from refglow.variable import Variable

Initializer = Callable[[tuple[int, ...], np.random.Generator], Array]


def conv2d(x: Array, kernel: Array, bias: Array, padding: str) -> Array:
    """The convolution defined above.

    Args:
      x: [..., H, W, I], any number type.
      kernel: [KH, KW, I, O], of that type.
      bias: [O], of that type.
      padding: "same" (odd KH, KW) or "valid".

    Returns:
      [..., H, W, O] for "same", [..., H - KH + 1, W - KW + 1, O] for "valid".

    Source: as the module.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"conv2d: x has {x.shape[-1]} channels; the kernel takes "
                         f"{kernel.shape[2]}.")
    y = convolved(as_images(x), kernel, *margins(kernel, padding))
    y += bias
    return y.reshape(*x.shape[:-3], *y.shape[1:])


class Conv2D(Network):
    """A convolution layer with a bias."""

    def __init__(self, in_channels: int, filters: int, kernel_size: int | tuple[int, int],
                 padding: str = "same", kernel_initializer: str = "glorot_uniform",
                 seed: int | np.random.Generator | None = None,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT) -> None:
        """Build it.

        Args:
          in_channels: I.
          filters: O.
          kernel_size: the kernel's side, or (height, width); odd for "same".
          padding: "same" or "valid".
          kernel_initializer: "he_normal", "glorot_uniform" or "zeros"; the bias starts at 0.
          seed: int or NumPy Generator for the start.
          dtype: the number type.

        Raises:
          ValueError: if padding, initializer or kernel size are not as above.
        """
        kh, kw = ((kernel_size, kernel_size) if isinstance(kernel_size, (int, np.integer))
                  else kernel_size)
        if padding not in ("same", "valid"):
            raise ValueError(f"Conv2D: padding must be 'same' or 'valid'; got {padding!r}.")
        if min(kh, kw) < 1 or (padding == "same" and (kh % 2 == 0 or kw % 2 == 0)):
            raise ValueError(f"Conv2D: the kernel's sides must be positive, and odd for 'same' "
                             f"padding; got {kh} x {kw}.")
        initializer: Initializer | None = getattr(initializers, kernel_initializer, None)
        known = ("he_normal", "glorot_uniform", "zeros")
        if initializer is None or kernel_initializer not in known:
            raise ValueError(f"Conv2D: unknown kernel_initializer {kernel_initializer!r}.")
        number_type = canonical_dtype(dtype)
        weights = initializer((kh, kw, in_channels, filters), np.random.default_rng(seed))
        self.kernel = Variable(weights, "kernel", dtype=number_type)
        self.bias = Variable(np.zeros(filters), "bias", dtype=number_type)
        self.padding = padding

    def __call__(self, x: Any) -> Array:
        """The convolution of x, array-like [..., H, W, I].

        Raises:
          TypeError: if x is a floating array of another dtype than the kernel.
          ValueError: if x has another number of channels, or is smaller than a 'valid' kernel.
        """
        return self._convolved(self._checked(x))

    def vjp(self, x: Any) -> tuple[Array, Pullback]:
        """See Network."""
        images = self._checked(x)
        kernel = self.kernel.value_for(images)
        y = self._convolved(images)
        shape = y.shape

        def pullback(y_bar: Any) -> tuple[Array, dict[str, Array]]:
            checked = as_shaped(y_bar, shape, kernel.dtype, "Conv2D", "output_bar")
            derivative = implementation(conv2d_vjp, images, kernel, checked)
            x_bar, kernel_bar, bias_bar = derivative(images, kernel, checked, self.padding)
            bars = Cotangents()
            bars.add(self.kernel, kernel_bar)
            bars.add(self.bias, bias_bar)
            return x_bar, bars.named(self)
        return y, pullback

    def jvp(self, x: Any, x_dot: Any,
            param_dots: Mapping[str, Any] | None = None) -> tuple[Array, Array]:
        """See Network."""
        images = self._checked(x)
        kernel, bias = self.kernel.value_for(images), self.bias.value_for(images)
        checked = as_shaped(x_dot, images.shape, kernel.dtype, "Conv2D", "x_dot")
        dots = Tangents.named(self, param_dots, "Conv2D")
        y_dot = conv2d_jvp(images, kernel, checked, dots.of(self.kernel, kernel),
                           dots.of(self.bias, bias), self.padding)
        return self._convolved(images), y_dot

    def _convolved(self, images: Array) -> Array:
        kernel, bias = self.kernel.value_for(images), self.bias.value_for(images)
        y: Array = implementation(conv2d, images, kernel, bias)(images, kernel, bias, self.padding)
        return y

    def _checked(self, x: Any) -> Array:
        images = as_array(x, self.kernel.dtype, "Conv2D", "x")
        kh, kw, inputs, _ = self.kernel.shape
        if images.ndim < 3 or images.shape[-1] != inputs:
            raise ValueError(f"Conv2D: expected inputs [..., H, W, {inputs}]; "
                             f"got {list(images.shape)}.")
        if self.padding == "valid" and (images.shape[-3] < kh or images.shape[-2] < kw):
            raise ValueError(f"Conv2D: an image of {images.shape[-3]} x {images.shape[-2]} pixels "
                             f"is smaller than the kernel, {kh} x {kw}; 'same' padding allows it.")
        return images

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """kernel and bias."""
        yield "kernel", self.kernel
        yield "bias", self.bias

    def config(self) -> dict[str, Any]:
        """The arguments, without the random start."""
        kh, kw, inputs, outputs = self.kernel.shape
        return {"in_channels": inputs, "filters": outputs, "kernel_size": [kh, kw],
                "padding": self.padding, "kernel_initializer": "zeros"}
