"""Images out of a trained Glow: samples, and ways between two images through the latent space.

A few images are made at a time, so that memory grows with the images alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from refglow.atomic_file import AnyPath
from refglow.bijectors.glow import Glow
from refglow.distributions import Distribution
from refglow.dtypes import Array
from refglow.training.dequantize import quantize
from refglow.training.model import distribution_of
from refglow.training.pictures import brightness, save_grid

_AT_ONCE = 16


def draw_images(glow: Glow, count: int, temperature: float, seed: int) -> tuple[Array, int]:
    """(samples [count, H, W, C] in [-1/2, 1/2), how many of them were not finite).

    Latents are normal with standard deviation `temperature`. A sample that is not finite, as an
    ill-conditioned model makes, is returned as -1/2 everywhere (black). The first samples of a seed
    are the same for any count.

    Raises:
      ValueError: if the count is not positive or the temperature is negative or not finite.
    """
    return draw_from(distribution_of(glow, temperature), count, seed)


def draw_from(distribution: Distribution, count: int, seed: int,
              black: float = -0.5) -> tuple[Array, int]:
    """As `draw_images`, from any distribution of images; what is not finite becomes `black`."""
    if count < 1:
        raise ValueError(f"The number of samples must be at least 1; got {count}.")
    rng = np.random.default_rng(seed)
    return _together((distribution.sample(size, seed=rng) for size in _sizes(count)), black)


def interpolate(glow: Glow, first: Array, second: Array, frames: int) -> tuple[Array, int]:
    """Images on the straight line between the latents of two images, both included.

        x_k = g((1 - t) z_1 + t z_2),    t = k / (frames - 1),    k = 0, ..., frames - 1

    Args:
      glow: the model.
      first, second: images [H, W, C] as the model takes them.
      frames: how many, at least 2.

    Returns:
      ([frames, H, W, C], how many of them were not finite and are -1/2 everywhere).

    Raises:
      ValueError: if there are too few frames, or the images do not fit the model.

    Source: Kingma & Dhariwal 2018, section 6.2 ("Synthesis and semantics").
    """
    if frames < 2:
        raise ValueError(f"Between two images there are at least 2 frames; got {frames}.")
    with np.errstate(all="ignore"):
        latents = glow.inverse(np.stack([first, second]))
    weights = np.linspace(0, 1, frames, dtype=latents.dtype)[:, None]
    return _together(glow.forward((1 - part) * latents[0] + part * latents[1])
                     for part in np.split(weights, np.cumsum(_sizes(frames))[:-1]))


def save_images(path: AnyPath, images: Array, n_bits: int, max_level: int | None = None,
                columns: int | None = None) -> None:
    """Write images in [-1/2, 1/2) as a PNG grid.

    Args:
      path: the file.
      images: [N, H, W, C], C 1 or 3.
      n_bits: the bits of the levels that the model was trained on.
      max_level: the level that is white; None: 2^n_bits - 1.
      columns: images in a row; None: as square a grid as possible.

    Raises:
      OSError, ValueError: as for `pictures.save_grid`.
    """
    white = 2**n_bits - 1 if max_level is None else max_level
    save_grid(path, brightness(quantize(images, n_bits), white), columns)


def _sizes(count: int) -> list[int]:
    return [min(_AT_ONCE, count - start) for start in range(0, count, _AT_ONCE)]


def _together(batches: Iterable[Array], black: float = -0.5) -> tuple[Array, int]:
    """(all images, those that are not finite `black` everywhere; how many these are)."""
    found, lost = [], 0
    with np.errstate(all="ignore"):  # what is not finite is looked for here
        for images in batches:
            bad = ~np.asarray(np.isfinite(images).all(axis=(1, 2, 3)))
            found.append(np.where(bad[:, None, None, None], images.dtype.type(black), images))
            lost += int(bad.sum())
    return np.concatenate(found), lost
