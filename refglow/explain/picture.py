"""A tensor as a picture: its channels side by side, each number a colour of a diverging map.

Colours are levels 0 to 254: 127 is zero, 0 and 254 are -limit and +limit, the largest number of
the tensor in size. Level 255 is what is not finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array
from refglow.image_grid import side_by_side

ZERO, TOP, NOT_FINITE = 127, 254, 255
_IN_A_ROW = 64  # numbers of a vector, at most
_WIDER = 1.3  # than high, about
_FEW = 4  # channels that are shown at least, if need be with fewer pixels

Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """Some channels of a tensor.

    Attributes:
      levels: uint8 [n, h, w].
      limit: the number that the last colour stands for; 0 if all are zero.
      channels: how many there are, of which the first n are shown.
      tile: of how many pixels a side a pixel shown is the mean.
      columns: channels in a row.
    """

    levels: Levels
    limit: float
    channels: int
    tile: int
    columns: int

    @property
    def rows(self) -> int:
        """Rows of channels."""
        return -(-len(self.levels) // self.columns)

    @property
    def left_out(self) -> str:
        """What is not shown, in words; "" if all is."""
        parts = []
        if len(self.levels) < self.channels:
            parts.append(f"the first {len(self.levels)} of {self.channels} channels")
        if self.tile > 1:
            parts.append(f"means of {self.tile} x {self.tile} pixels")
        return ", ".join(parts)


def picture_of(tensor: Array, most: int = 1 << 20) -> Picture:
    """The picture of one example.

    Args:
      tensor: [h, w, C], or a vector [D], which is shown in equal lines of at most 64 numbers.
      most: how many numbers are shown; of more, the last channels are left out, and pixels
        averaged.
    """
    numbers = tensor.astype(np.float64)
    if numbers.ndim == 1:
        line = max(n for n in range(1, _IN_A_ROW + 1) if numbers.size % n == 0)
        numbers = numbers.reshape(-1, line, 1)
    channels = numbers.shape[-1]
    tile = 1
    while (numbers.size > most and min(numbers.shape[:2]) > tile
           and min(_FEW, channels) * numbers[..., 0].size / tile**2 > most):
        tile += 1
    numbers = averaged(numbers, tile)
    fine = np.isfinite(numbers)
    shown = np.moveaxis(numbers, -1, 0)[:max(1, most // numbers[..., 0].size)]
    limit = float(np.abs(numbers).max(where=fine, initial=0.0))
    with np.errstate(all="ignore"):
        scaled = np.rint(ZERO + ZERO * shown / (limit or 1.0))
    levels = np.where(np.isfinite(shown), np.clip(scaled, 0, TOP), NOT_FINITE).astype(np.uint8)
    _, height, width = levels.shape
    columns = _columns(len(levels), math.sqrt(len(levels) * _WIDER * height / width))
    return Picture(levels, limit, channels, tile, columns)


def _columns(count: int, wanted: float) -> int:
    """About as many columns as wanted, if possible so that the last row is full."""
    def cost(columns: int) -> float:
        empty = -count % columns
        return abs(math.log(columns / wanted)) + 2 * empty / count
    return min(range(1, count + 1), key=cost)


def averaged(numbers: Array, tile: int) -> Array:
    """Means of tiles of [h, w, C]; those at the lower and right edge may be smaller."""
    if tile == 1:
        return numbers
    for axis in (0, 1):
        edges = np.arange(0, numbers.shape[axis], tile)
        counts = np.diff([*edges, numbers.shape[axis]])
        sums = np.add.reduceat(numbers, edges, axis=axis)
        numbers = sums / np.expand_dims(counts, tuple({0, 1, 2} - {axis}))
    return numbers


def grid(picture: Picture, gap: int = 1) -> npt.NDArray[np.int16]:
    """The channels laid out in rows, -1 between them and where there is none."""
    return side_by_side(picture.levels.astype(np.int16), picture.columns, gap, -1)


def colours_of(image: Array, most: int = 1 << 20) -> Levels:
    """An image [h, w, 1 or 3] in [-1/2, 1/2) as RGB, uint8 [h, w, 3]; black where not finite.

    Args:
      image: it.
      most: pixels a side; of larger images tiles are averaged.
    """
    finite = np.clip(np.nan_to_num(image.astype(np.float64), nan=-0.5), -0.5, 0.5)
    small = averaged(finite, -(-max(image.shape[:2]) // most))
    rgb = np.clip(np.floor((small + 0.5) * 256), 0, 255).astype(np.uint8)
    return np.broadcast_to(rgb, (*rgb.shape[:2], 3))
