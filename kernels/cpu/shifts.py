"""A convolution's shifts: pixels gathered with their neighbours, and shifted terms added up.

An image of H x W pixels has its pixels numbered row by row; with the kernel's sides KH, KW and
margins (PH, PW) of zeros around the image, output pixel (h, w) sees input pixels
(h + a - PH, w + b - PW), 0 <= a < KH, 0 <= b < KW. The output has H + 2 PH - KH + 1 rows and
W + 2 PW - KW + 1 columns.

    gather    patches[p] = [x at all (a, b), each with all its channels], zeros outside the image
    scatter   y[p] = bias + sum_{a, b} terms[input pixel of (p, a, b)][a, b]

Which is cheaper depends on which side has fewer channels: gathering makes KH KW copies of an input
pixel, scattering has KH KW terms for an output pixel.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cpu.addresses import load, size_of, store
from refglow.kernels.cpu.compiled import compiled


@compiled
def gather(x: int, pixel_stride: int, channels: int, height: int, width: int, kh: int, kw: int,
           ph: int, pw: int, first: int, last: int, pixels: int, patches: int, row_stride: int,
           one: Any) -> None:
    """The patches of output pixels first to last - 1.

    Args:
      x, pixel_stride, channels: address of the input pixels, `pixel_stride` elements apart; the
        first `channels` of each are read.
      height, width, kh, kw, ph, pw: see the module's text.
      first, last, pixels: which output pixels; from `pixels` on, the number of all, rows are zero.
      patches, row_stride: address of the first's patch, and the distance to the next; what lies
        between a patch's end and row_stride is set to zero.
      one: 1 in the number type.
    """
    out_width = width + 2 * pw - kw + 1
    out_size, size = (height + 2 * ph - kh + 1) * out_width, size_of(one)
    for pixel in range(first, last):
        to = patches + (pixel - first) * row_stride * size
        if pixel >= pixels:
            _zero(to, row_stride, one)
            continue
        _zero(to + kh * kw * channels * size, row_stride - kh * kw * channels, one)
        image, h, w = pixel // out_size, pixel % out_size // out_width, pixel % out_width
        low, high = max(0, pw - w), min(kw, width + pw - w)  # the b inside the image
        for a in range(kh):
            line, source = to + a * kw * channels * size, h + a - ph
            if source < 0 or source >= height:
                _zero(line, kw * channels, one)
                continue
            start = x + ((image * height + source) * width + w - pw) * pixel_stride * size
            _zero(line, low * channels, one)
            for b in range(low, high):
                _copy(start + b * pixel_stride * size, channels, line + b * channels * size, one)
            _zero(line + high * channels * size, (kw - high) * channels, one)


@compiled
def scatter(terms: int, row_stride: int, channels: int, height: int, width: int, kh: int, kw: int,
            ph: int, pw: int, first: int, last: int, bias: int, y: int, one: Any) -> None:
    """The sums of shifted terms for output pixels first to last - 1.

    Args:
      terms, row_stride: address of the input pixels' terms, [KH, KW, channels] and spare columns in
        each row.
      channels, height, width, kh, kw, ph, pw: see the module's text.
      first, last: which output pixels, counted from the first image of `terms`.
      bias: address of [channels].
      y: address of pixel 0's sums, [pixels, channels].
      one: 1 in the number type.
    """
    out_width = width + 2 * pw - kw + 1
    out_size, size = (height + 2 * ph - kh + 1) * out_width, size_of(one)
    for pixel in range(first, last):
        image, h, w = pixel // out_size, pixel % out_size // out_width, pixel % out_width
        total = y + pixel * channels * size
        _copy(bias, channels, total, one)
        low, high = max(0, pw - w), min(kw, width + pw - w)
        for a in range(max(0, ph - h), min(kh, height + ph - h)):
            start = (image * height + h + a - ph) * width + w - pw
            for b in range(low, high):
                add_to(terms + ((start + b) * row_stride + (a * kw + b) * channels) * size,
                       channels, total, one)


@compiled
def add_up_rows(rows: int, row_stride: int, first: int, last: int, columns: int, total: int,
                one: Any) -> None:
    """total[c] = sum of rows[r, c] over rows first <= r < last, for all columns; by address."""
    _zero(total, columns, one)
    for row in range(first, last):
        add_to(rows + row * row_stride * size_of(one), columns, total, one)


@compiled
def add_to(x: int, count: int, total: int, one: Any) -> None:
    """total[i] += x[i] for 0 <= i < count, by address."""
    for i in range(count):
        store(total, i, load(total, i, one) + load(x, i, one))


@compiled
def _copy(x: int, count: int, y: int, one: Any) -> None:
    for i in range(count):
        store(y, i, load(x, i, one))


@compiled
def _zero(y: int, count: int, one: Any) -> None:
    for i in range(count):
        store(y, i, one - one)
