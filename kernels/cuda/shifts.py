"""A convolution's shifts on a GPU: pixels gathered with their neighbours, shifted terms added up.

For images [N, H, W, C], a kernel of KH x KW and margins (PH, PW) of zeros around the image, output
pixel (h, w) sees input pixels (h + a - PH, w + b - PW), 0 <= a < KH, 0 <= b < KW:

    gather    patches[output pixel, (a, b, c)] = x[input pixel of (a, b), c], zero outside
    scatter   y[output pixel, c] = bias[c] + sum_{a, b} terms[input pixel of (a, b), (a, b, c)]

Before a matrix product that multiplies all KH KW C numbers at once, or after one that makes them.
Which moves less depends on which side of the convolution has fewer channels. A scatter is written
from its results' side: each thread adds up its own numbers, always in the same order.

    coalesced    a thread for each number
    vectorized   a thread for each 16 bytes, where C is a multiple of that
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba import cuda

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.launch_shape import THREADS, blocks_for
from refglow.kernels.cuda.layout import lanes_in_vector
from refglow.kernels.cuda.on_chip import aligned_flat
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import (
    MOST_LANES,
    copy_vector,
    lanes_of,
    load_vector,
    store_vector,
)


@dataclass(frozen=True)
class Window:
    """What output pixels see of input pixels.

    Attributes:
      kh, kw: the kernel's rows and columns.
      ph, pw: rows and columns of zeros around the image.
    """

    kh: int
    kw: int
    ph: int
    pw: int

    @property
    def taps(self) -> int:
        """How many input pixels an output pixel sees."""
        return self.kh * self.kw

    @property
    def turned(self) -> Window:
        """The window through which input pixels see the output pixels that see them."""
        return Window(self.kh, self.kw, self.kh - 1 - self.ph, self.kw - 1 - self.pw)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the output; none where the image is smaller than the kernel."""
        return (max(0, height + 2 * self.ph - self.kh + 1),
                max(0, width + 2 * self.pw - self.kw + 1))


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def _place(pixel: int, rows: int, columns: int) -> Any:
    """(image, row, column) of a pixel, counted through images of that many rows and columns."""
    line = quotient(pixel, columns)
    image = quotient(line, rows)
    return image, line - image * rows, pixel - line * columns


@cuda.jit(device=True, inline="always")  # type: ignore[untyped-decorator]
def _source(position: int, height: int, width: int, channels: int, rows: int, columns: int,
            kh: int, kw: int, ph: int, pw: int) -> Any:
    """Where in x is what a position of the patches holds; -1 outside the image."""
    pixel = quotient(position, kh * kw * channels)
    inside = position - pixel * kh * kw * channels
    tap = quotient(inside, channels)
    a = quotient(tap, kw)
    image, row, column = _place(pixel, rows, columns)
    row += a - ph
    column += tap - a * kw - pw
    if 0 <= row < height and 0 <= column < width:
        source = ((image * height + row) * width + column) * channels + inside - tap * channels
    else:
        source = -1
    return source


def gather_coalesced(x: Any, patches: Any, images: int, height: int, width: int, channels: int,
                     rows: int, columns: int, kh: int, kw: int, ph: int, pw: int) -> None:
    """A thread for each number of the patches; rows and columns are the output's."""
    count = images * rows * columns * kh * kw * channels
    position = cuda.grid(1)
    while position < count:
        source = _source(position, height, width, channels, rows, columns, kh, kw, ph, pw)
        if source >= 0:
            store(patches, position, load(x, source))
        else:
            store(patches, position, 0)
        position += cuda.gridsize(1)


def gather_vectorized(x: Any, patches: Any, images: int, height: int, width: int, channels: int,
                      rows: int, columns: int, kh: int, kw: int, ph: int, pw: int) -> None:
    """A thread for each 16 bytes of the patches."""
    zeros = cuda.local.array(MOST_LANES, x.dtype)
    for lane in range(lanes_of(x)):
        zeros[lane] = 0
    count = images * rows * columns * kh * kw * channels
    position = cuda.grid(1) * lanes_of(x)
    while position < count:
        source = _source(position, height, width, channels, rows, columns, kh, kw, ph, pw)
        if source >= 0:
            copy_vector(x, source, patches, position)
        else:
            store_vector(patches, position, zeros, 0)
        position += cuda.gridsize(1) * lanes_of(x)


def scatter_coalesced(terms: Any, bias: Any, y: Any, images: int, height: int, width: int,
                      channels: int, rows: int, columns: int, kh: int, kw: int, ph: int,
                      pw: int) -> None:
    """A thread for each number of y; height and width are the terms', rows and columns y's."""
    position = cuda.grid(1)
    while position < images * rows * columns * channels:
        pixel = quotient(position, channels)
        channel = position - pixel * channels
        image, row, column = _place(pixel, rows, columns)
        total = load(bias, channel)
        for a in range(max(0, ph - row), min(kh, height + ph - row)):
            for b in range(max(0, pw - column), min(kw, width + pw - column)):
                source = (image * height + row + a - ph) * width + column + b - pw
                total += load(terms, ((source * kh + a) * kw + b) * channels + channel)
        store(y, position, total)
        position += cuda.gridsize(1)


def scatter_vectorized(terms: Any, bias: Any, y: Any, images: int, height: int, width: int,
                       channels: int, rows: int, columns: int, kh: int, kw: int, ph: int,
                       pw: int) -> None:
    """A thread for each 16 bytes of y."""
    totals = cuda.local.array(MOST_LANES, y.dtype)
    term = cuda.local.array(MOST_LANES, y.dtype)
    position = cuda.grid(1) * lanes_of(y)
    while position < images * rows * columns * channels:
        pixel = quotient(position, channels)
        channel = position - pixel * channels
        image, row, column = _place(pixel, rows, columns)
        load_vector(bias, channel, totals, 0)
        for a in range(max(0, ph - row), min(kh, height + ph - row)):
            for b in range(max(0, pw - column), min(kw, width + pw - column)):
                source = (image * height + row + a - ph) * width + column + b - pw
                load_vector(terms, ((source * kh + a) * kw + b) * channels + channel, term, 0)
                for lane in range(lanes_of(y)):
                    totals[lane] += term[lane]
        store_vector(y, position, totals, 0)
        position += cuda.gridsize(1) * lanes_of(y)


# Positions in three dimensions, in 64 bits, take 40 to 68 registers.
GATHER_COALESCED = Kernel(gather_coalesced, occupancy=0.62)
GATHER_VECTORIZED = Kernel(gather_vectorized, vectorized=True, occupancy=0.62)
SCATTER_COALESCED = Kernel(scatter_coalesced, occupancy=0.5)
SCATTER_VECTORIZED = Kernel(scatter_vectorized, vectorized=True, occupancy=0.37)


def gather(device: Device, images: Any, window: Window) -> Any:
    """All that each output pixel sees, side by side.

    Args:
      device: where the array is.
      images: [N, H, W, C], float32 or float64, any strides.
      window: what is seen.

    Returns:
      [N H' W', KH KW C].
    """
    n, height, width, channels = images.shape
    rows, columns = window.output_size(height, width)
    patches = device.xp.empty((n * rows * columns, window.taps * channels), images.dtype)
    vectorized = channels % lanes_in_vector(images.dtype) == 0
    if patches.size:
        _launch(device, GATHER_VECTORIZED if vectorized else GATHER_COALESCED, vectorized, patches,
                (aligned_flat(device, images), patches.reshape(-1)),
                (n, height, width, channels, rows, columns), window)
    return patches


def scatter(device: Device, terms: Any, bias: Any, window: Window) -> Any:
    """Each output pixel's sum of the terms that it sees, and the bias.

    Args:
      device: where the arrays are.
      terms: [N, H, W, KH * KW * C], float32 or float64, any strides.
      bias: [C], of that type.
      window: what is seen.

    Returns:
      [N, H', W', C].
    """
    n, height, width, _ = terms.shape
    channels = len(bias)
    rows, columns = window.output_size(height, width)
    y = device.xp.empty((n, rows, columns, channels), terms.dtype)
    vectorized = channels % lanes_in_vector(terms.dtype) == 0
    if y.size:
        _launch(device, SCATTER_VECTORIZED if vectorized else SCATTER_COALESCED, vectorized, y,
                (aligned_flat(device, terms), aligned_flat(device, bias), y.reshape(-1)),
                (n, height, width, channels, rows, columns), window)
    return y


def _launch(device: Device, kernel: Kernel, vectorized: bool, result: Any, arrays: tuple[Any, ...],
            sizes: tuple[int, ...], window: Window) -> None:
    items = result.size // (lanes_in_vector(result.dtype) if vectorized else 1)
    device.launch(kernel, blocks_for(items), THREADS, *arrays, *sizes, window.kh, window.kw,
                  window.ph, window.pw)
