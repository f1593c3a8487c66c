"""Images side by side in one array."""

from __future__ import annotations

import math

import numpy as np

from refglow.dtypes import Array


def square_columns(number: int, height: int, width: int) -> int:
    """How many images of a size stand in a row, that a grid of all is about as high as wide."""
    return math.ceil(math.sqrt(number * height / width))


def side_by_side(images: Array, columns: int, margin: int, between: float) -> Array:
    """All images in one array, row by row.

    Args:
      images: [N, h, w, ...], N at least 1.
      columns: images in a row, at least 1.
      margin: numbers between two images.
      between: what stands there, and in the places left over in the last row.

    Returns:
      [rows (h + margin) - margin, columns (w + margin) - margin, ...], in the images' type; columns
      that no image would stand in are left away.
    """
    number, h, w, *rest = images.shape
    columns = min(columns, number)
    rows, down, right = math.ceil(number / columns), h + margin, w + margin
    grid = np.full((rows * down - margin, columns * right - margin, *rest), between, images.dtype)
    for k, image in enumerate(images):
        top, left = k // columns * down, k % columns * right
        grid[top:top + h, left:left + w] = image
    return grid
