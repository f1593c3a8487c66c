"""Images as a picture takes them: a checked batch, and a grid of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.activation_normalization import require_initialized
from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.image_grid import side_by_side, square_columns


def images_of(glow: Glow, x: Any) -> Array:
    """One image, or several, as a batch in the model's number type.

    Args:
      glow: the model, its ActNorms initialised: what a picture shows must not change it.
      x: [H, W, C] or [B, H, W, C].

    Returns:
      [B, H, W, C].

    Raises:
      ValueError: if an ActNorm is not initialised, the shape is another, there is no image, or a
        number is not finite.
    """
    require_initialized(glow, "a picture")
    shape = tuple(glow.parameters["output_shape"])
    array = np.asarray(x, glow.dtype)
    if array.ndim == len(shape):
        array = array[None]
    if array.shape[1:] != shape or not len(array):
        raise ValueError(f"Expected an image {list(shape)} or images [B, "
                         f"{', '.join(map(str, shape))}], at least one; got shape "
                         f"{list(np.shape(x))}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(array))} of the images' numbers are not "
                         "finite.")
    return array


def grid_of(images: Array, columns: int | None) -> Array:
    """All images in one picture, row by row, one transparent pixel between them.

    Args:
      images: [N, H, W, 3], numbers from 0 to 1.
      columns: images in a row; None: as square as it gets.

    Returns:
      [rows (H + 1) - 1, columns (W + 1) - 1, 4]: red, green, blue, opacity.
    """
    opaque = np.concatenate([images, np.ones((*images.shape[:3], 1))], axis=-1)
    return side_by_side(opaque, columns or square_columns(*images.shape[:3]), 1, 0.0)
