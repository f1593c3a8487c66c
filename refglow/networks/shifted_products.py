"""The sum of shifted matrix products that a convolution is.

    y[h, w, o] = sum_{a, b} (sum_i x[h + a - ph, w + b - pw, i] * kernel[a, b, i, o])

Both orders of the sum are used: gather the shifted inputs side by side and multiply once, or
multiply once and add up the shifted outputs. Which is cheaper depends on which side has fewer
channels to move; the sum is the same.

Every image has a matrix product of its own. BLAS may sum in another order for another number of
rows; so an image's numbers are the same bits in whatever batch it comes.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import product


def margins(kernel: Array, padding: str) -> tuple[int, int]:
    """(ph, pw): how many rows and columns of zeros are around the image.

    Args:
      kernel: [KH, KW, I, O].
      padding: "same" (odd KH, KW) or "valid".

    Raises:
      ValueError: if padding is neither, or is "same" for a kernel with an even side.
    """
    kh, kw = kernel.shape[:2]
    if padding == "valid":
        return 0, 0
    if padding != "same" or kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("conv2d: padding must be 'valid', or 'same' for a kernel of odd sides; "
                         f"got {padding!r} for {kh} x {kw}.")
    return kh // 2, kw // 2


def as_images(x: Array) -> Array:
    """[..., H, W, C] as [N, H, W, C]."""
    return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])


def as_pixels(images: Array) -> Array:
    """[N, H, W, C] as the matrix [N H W, C]."""
    return images.reshape(math.prod(images.shape[:3]), images.shape[3])


def times(pixels: Array, matrix: Array, images: int) -> Array:
    """The product pixels @ matrix, [N P, I] times [I, O], image by image."""
    size = len(pixels) // max(1, images)
    products = product(pixels.reshape(images, size, len(matrix)), matrix)
    return products.reshape(len(pixels), matrix.shape[1])


def convolved(images: Array, kernel: Array, ph: int, pw: int) -> Array:
    """The convolution without its bias, [N, H', W', O]."""
    kh, kw, inputs, outputs = kernel.shape
    if kh == kw == 1:  # (a transposed kernel stays a view: BLAS multiplies by it as it is)
        pixels = times(as_pixels(images), kernel[0, 0], len(images))
        return pixels.reshape(*images.shape[:3], outputs)
    if inputs <= outputs:
        matrix = kernel.reshape(kh * kw * inputs, outputs)
        pixels = times(gather(images, kh, kw, ph, pw), matrix, len(images))
        return pixels.reshape(*_output_size(images, kh, kw, ph, pw), outputs)
    matrix = kernel.transpose(2, 0, 1, 3).reshape(inputs, kh * kw * outputs)
    terms = times(as_pixels(images), matrix, len(images)).reshape(*images.shape[:3], kh, kw,
                                                                  outputs)
    return _sum_of_shifted(terms, ph, pw)


def gather(images: Array, kh: int, kw: int, ph: int, pw: int) -> Array:
    """All shifted inputs of a pixel side by side: [N H' W', KH KW C]."""
    if kh == kw == 1:
        return as_pixels(images)
    n, h, w = _output_size(images, kh, kw, ph, pw)
    gathered = np.zeros((n, h, w, kh, kw, images.shape[3]), dtype=images.dtype,
                        like=images)
    for a, b, to, source in _shifts(images.shape[1:3], kh, kw, ph, pw):
        gathered[to][..., a, b, :] = images[source]
    return gathered.reshape(n * h * w, kh * kw * images.shape[3])


def _sum_of_shifted(terms: Array, ph: int, pw: int) -> Array:
    """The sum of the terms [N, H, W, KH, KW, C] at the pixels they contribute to: [N, H', W', C].

    It is the transpose of `gather`'s linear map, with turned shifts.
    """
    kh, kw, channels = terms.shape[3:]
    y = np.zeros((*_output_size(terms, kh, kw, ph, pw), channels), dtype=terms.dtype, like=terms)
    for a, b, to, source in _shifts(terms.shape[1:3], kh, kw, ph, pw):
        y[to] += terms[source][..., a, b, :]
    return y


def _output_size(images: Array, kh: int, kw: int, ph: int, pw: int) -> tuple[int, int, int]:
    n, h, w = images.shape[:3]
    return n, h + 2 * ph - kh + 1, w + 2 * pw - kw + 1


@functools.cache
def _shifts(size: tuple[int, int], kh: int, kw: int, ph: int,
            pw: int) -> tuple[tuple[int, int, Any, Any], ...]:
    """(a, b, where in the output, where in the input) for each kernel position.

    Output pixel (h, w) sees input pixel (h + a - ph, w + b - pw); where that lies outside the image
    it is a zero and contributes nothing.
    """
    rows = [_overlap(size[0] + 2 * ph - kh + 1, size[0], a - ph) for a in range(kh)]
    columns = [_overlap(size[1] + 2 * pw - kw + 1, size[1], b - pw) for b in range(kw)]
    return tuple((a, b, np.s_[:, rows_to, columns_to], np.s_[:, rows_from, columns_from])
                 for a, (rows_to, rows_from) in enumerate(rows)
                 for b, (columns_to, columns_from) in enumerate(columns))


def _overlap(n_out: int, n_in: int, offset: int) -> tuple[slice, slice]:
    """The outputs k, and the inputs k + offset, for which both exist."""
    start, stop = max(0, -offset), max(0, -offset, min(n_out, n_in - offset))
    return slice(start, stop), slice(start + offset, stop + offset)
