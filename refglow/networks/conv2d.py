"""Conv2D: the two-dimensional convolution of neural networks (a cross-correlation).

For x [..., H, W, I], a kernel [KH, KW, I, O] and a bias [O], with (ph, pw) rows and columns of
zeros around the image ('same': ((KH - 1)/2, (KW - 1)/2); 'valid': none):

    y[h, w, o] = bias[o] + sum_{a, b, i} x[h + a - ph, w + b - pw, i] * kernel[a, b, i, o]

The sum over (a, b) is the sum of KH * KW shifted matrix products. Both of its orders are used:
gather the shifted inputs side by side and multiply once, or multiply once and add up the shifted
outputs. Which is cheaper depends on which side has fewer channels to move; the sum is the same.

Source: keras.layers.Conv2D.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.dtypes import DEFAULT_FLOAT, Array, as_array, canonical_dtype
from refglow.networks import initializers
from refglow.networks.network import Network
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
    kh, kw, inputs, outputs = kernel.shape
    if x.shape[-1] != inputs:
        raise ValueError(f"conv2d: x has {x.shape[-1]} channels; the kernel takes {inputs}.")
    ph, pw = (kh // 2, kw // 2) if padding == "same" else (0, 0)
    images = x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])
    product = _gather_then_multiply if inputs <= outputs else _multiply_then_add
    y = product(images, kernel, ph, pw)
    y += bias
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _gather_then_multiply(images: Array, kernel: Array, ph: int, pw: int) -> Array:
    """All shifted inputs of a pixel side by side, then one product [N, KH KW I] @ [KH KW I, O]."""
    kh, kw, inputs, outputs = kernel.shape
    n, h, w = _output_size(images, kernel, ph, pw)
    gathered = np.zeros((n, h, w, kh, kw, inputs), dtype=images.dtype)
    for a, b, to, source in _shifts(images, kernel, ph, pw):
        gathered[to][..., a, b, :] = images[source]
    product = gathered.reshape(n * h * w, kh * kw * inputs) @ kernel.reshape(-1, outputs)
    return product.reshape(n, h, w, outputs)


def _multiply_then_add(images: Array, kernel: Array, ph: int, pw: int) -> Array:
    """One product [N, I] @ [I, KH KW O] for all shifts, then the sum of the shifted outputs."""
    kh, kw, inputs, outputs = kernel.shape
    matrix = kernel.transpose(2, 0, 1, 3).reshape(inputs, kh * kw * outputs)
    terms = (images.reshape(-1, inputs) @ matrix).reshape(*images.shape[:3], kh, kw, outputs)
    y = np.zeros((*_output_size(images, kernel, ph, pw), outputs), dtype=terms.dtype)
    for a, b, to, source in _shifts(images, kernel, ph, pw):
        y[to] += terms[source][..., a, b, :]
    return y


def _output_size(images: Array, kernel: Array, ph: int, pw: int) -> tuple[int, int, int]:
    n, h, w, _ = images.shape
    return n, h + 2 * ph - kernel.shape[0] + 1, w + 2 * pw - kernel.shape[1] + 1


def _shifts(images: Array, kernel: Array, ph: int, pw: int) -> Iterator[tuple[int, int, Any, Any]]:
    """(a, b, where in the output, where in the input) for each kernel position.

    Output pixel (h, w) sees input pixel (h + a - ph, w + b - pw); where that lies outside the image
    it is a zero and contributes nothing.
    """
    _, h_out, w_out = _output_size(images, kernel, ph, pw)
    for a in range(kernel.shape[0]):
        rows_to, rows_from = _overlap(h_out, images.shape[1], a - ph)
        for b in range(kernel.shape[1]):
            columns_to, columns_from = _overlap(w_out, images.shape[2], b - pw)
            yield a, b, np.s_[:, rows_to, columns_to], np.s_[:, rows_from, columns_from]


def _overlap(n_out: int, n_in: int, offset: int) -> tuple[slice, slice]:
    """The outputs k, and the inputs k + offset, for which both exist."""
    start, stop = max(0, -offset), max(0, -offset, min(n_out, n_in - offset))
    return slice(start, stop), slice(start + offset, stop + offset)


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
        kernel = self.kernel.numpy()
        images = as_array(x, kernel.dtype, "Conv2D", "x")
        kh, kw, inputs, _ = kernel.shape
        if images.ndim < 3 or images.shape[-1] != inputs:
            raise ValueError(f"Conv2D: expected inputs [..., H, W, {inputs}]; "
                             f"got {list(images.shape)}.")
        if self.padding == "valid" and (images.shape[-3] < kh or images.shape[-2] < kw):
            raise ValueError(f"Conv2D: an image of {images.shape[-3]} x {images.shape[-2]} pixels "
                             f"is smaller than the kernel, {kh} x {kw}; 'same' padding allows it.")
        return conv2d(images, kernel, self.bias.numpy(), self.padding)

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """kernel and bias."""
        yield "kernel", self.kernel
        yield "bias", self.bias

    def config(self) -> dict[str, Any]:
        """The arguments, without the random start."""
        kh, kw, inputs, outputs = self.kernel.shape
        return {"in_channels": inputs, "filters": outputs, "kernel_size": [kh, kw],
                "padding": self.padding, "kernel_initializer": "zeros"}
