"""Where in the image errors sit: for each pixel the largest error, as a share of the tolerance.

The largest over the batch and the channels; images of more than 64 pixels a side are reduced by
the largest of each tile. 1 is the tolerance, so the largest of a map is error / tolerance of the
array's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array

MOST_PIXELS = 64  # a side
_DIGITS = 4  # significant, of a share


@dataclass(frozen=True)
class ErrorMap:
    """The errors of an array by pixel.

    Attributes:
      title: what the array is.
      height, width: of the array, in its own pixels.
      shares: by row and column, error / tolerance; infinite where a number is not finite. Of
        images with more than 64 pixels a side, of equal tiles.
    """

    title: str
    height: int
    width: int
    shares: tuple[tuple[float, ...], ...]

    @property
    def largest(self) -> tuple[float, int, int]:
        """(the largest share, its row and column in the map)."""
        table = np.array(self.shares)
        row, column = np.unravel_index(int(table.argmax()), table.shape)
        return float(table[row, column]), int(row), int(column)

    @property
    def beyond(self) -> float:
        """The fraction of the map's places with an error beyond the tolerance."""
        return float((np.array(self.shares) > 1).mean())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        share, row, column = self.largest
        return {"title": self.title, "height": self.height, "width": self.width,
                "largest": {"share": share, "row": row, "column": column},
                "beyond_tolerance": self.beyond, "shares": [list(line) for line in self.shares]}


def map_of(title: str, shares: Array) -> ErrorMap:
    """The map of an array of images.

    Args:
      title: what it is.
      shares: [B, h, w, c], error / tolerance of each number; NaN counts as infinite.
    """
    by_pixel = np.where(np.isnan(shares), np.inf, shares).max(axis=(0, 3))
    height, width = by_pixel.shape
    reduced = _tiles(_tiles(by_pixel, 0), 1)
    return ErrorMap(title, height, width, tuple(
        tuple(float(f"{share:.{_DIGITS}g}") for share in line) for line in reduced.tolist()))


def _tiles(table: Array, axis: int) -> Array:
    """The largest of each tile along an axis, at most 64 tiles."""
    size = table.shape[axis]
    step = -(-size // MOST_PIXELS)
    return np.maximum.reduceat(table, np.arange(0, size, step), axis=axis)
