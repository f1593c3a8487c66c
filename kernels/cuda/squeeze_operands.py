"""The arguments of a squeeze as its kernels take them: checked, flat, with their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.kernels.cuda.device import Device, device_of
from refglow.kernels.cuda.layout import (
    ALL_TYPES,
    flat,
    lanes_in_vector,
    require_one_dtype,
    vector_aligned,
)
from refglow.kernels.cuda.squeeze_kernels import TILE
from refglow.kernels.cuda.vector_access import MOST_LANES


@dataclass(frozen=True)
class SqueezeOperands:
    """What the kernels of a squeeze take (see squeeze_kernels.py).

    Attributes:
      device: where the array is.
      dtype: its number type as it was given.
      source: the array to read, flat.
      result_shape: of the other side.
      strips: rows of the squeezed side, over all images.
      columns: pixels of such a row.
      channels: C, of the image.
      n: the block size.
    """

    device: Device
    dtype: np.dtype[Any]
    source: Any
    result_shape: tuple[int, ...]
    strips: int
    columns: int
    channels: int
    n: int

    @property
    def columns_in_tile(self) -> int:
        """How many columns a block stages in shared memory; 0 where they are too large for it."""
        return TILE // (4 * self.channels) // MOST_LANES * MOST_LANES

    def new(self) -> Any:
        """An array for the result, flat, nothing in it."""
        return self.device.xp.empty(self.source.size, self.source.dtype)

    def shaped(self, result: Any) -> Any:
        """A flat result in its shape and number type."""
        return result.view(self.dtype).reshape(self.result_shape)

    def whole_vectors(self, result: Any) -> bool:
        """Whether n is 2 and the image's channels consist of aligned 16 bytes."""
        return (self.n == 2 and self.channels % lanes_in_vector(self.source.dtype) == 0
                and vector_aligned(self.source, result))

    def whole_squeezed_vectors(self, squeezed: Any) -> bool:
        """Whether n is 2 and the squeezed side consists of aligned 16 bytes."""
        lanes = lanes_in_vector(self.source.dtype)
        return self.n == 2 and self.source.size % lanes == 0 and vector_aligned(squeezed)

    def whole_tiles(self, result: Any) -> bool:
        """Whether n is 2 and pieces of image rows fit shared memory and are aligned 16 bytes."""
        lanes = lanes_in_vector(self.source.dtype)
        return (self.n == 2 and self.columns_in_tile > 0
                and self.columns * 2 * self.channels % lanes == 0
                and vector_aligned(self.source, result))


def operands_of_image(op: str, image: Any, block_size: int) -> SqueezeOperands:
    """The operands of a squeeze, image to squeezed side.

    Args:
      op: who asks, for messages.
      image: [..., H, W, C], H and W divisible by block_size.
      block_size: n.

    Raises:
      TypeError: the number type is not supported.
      ValueError: the sizes are not divisible as above.
    """
    device = device_of(image)
    dtype = require_one_dtype(op, ALL_TYPES, y=image)
    n, (h, w, c) = block_size, _image_sizes(op, image, block_size)
    if h % n or w % n:
        raise ValueError(f"{op}: an image of {h} x {w} pixels cannot be cut into tiles of {n} x "
                         f"{n}.")
    shape = (*image.shape[:-3], h // n, w // n, c * n * n)
    strips = _count(image.shape[:-3]) * (h // n)
    return SqueezeOperands(device, dtype, flat(device, image), shape, strips, w // n, c, n)


def operands_of_squeezed(op: str, squeezed: Any, block_size: int) -> SqueezeOperands:
    """The operands of an expansion, squeezed side to image.

    Args:
      op: who asks, for messages.
      squeezed: [..., H, W, C], C divisible by block_size^2.
      block_size: n.

    Raises:
      TypeError: the number type is not supported.
      ValueError: the sizes are not divisible as above.
    """
    device = device_of(squeezed)
    dtype = require_one_dtype(op, ALL_TYPES, x=squeezed)
    n, (h, w, c) = block_size, _image_sizes(op, squeezed, block_size)
    if c % (n * n):
        raise ValueError(f"{op}: {c} channels cannot be moved into tiles of {n} x {n} pixels; the "
                         f"number must be divisible by {n * n}.")
    shape = (*squeezed.shape[:-3], h * n, w * n, c // (n * n))
    strips = _count(squeezed.shape[:-3]) * h
    return SqueezeOperands(device, dtype, flat(device, squeezed), shape, strips, w, c // (n * n), n)


def _image_sizes(op: str, array: Any, block_size: int) -> tuple[int, int, int]:
    if array.ndim < 3:
        raise ValueError(f"{op}: an image has the shape [..., H, W, C]; got {tuple(array.shape)}.")
    if block_size < 1:
        raise ValueError(f"{op}: block_size must be 1 or more; got {block_size}.")
    h, w, c = (int(size) for size in array.shape[-3:])
    return h, w, c


def _count(batch_shape: tuple[int, ...]) -> int:
    count = 1
    for size in batch_shape:
        count *= int(size)
    return count
