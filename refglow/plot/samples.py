"""Images drawn from a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.distributions import Distribution
from refglow.dtypes import Array
from refglow.plot.images import grid_of
from refglow.plot.style import axes_for, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def samples(model: Any, n: int = 16, temperature: float = 1.0, seed: int = 0,
            levels: tuple[float, float] = (-0.5, 0.5), columns: int | None = None,
            ax: Axes | None = None) -> Axes:
    """A grid of n images drawn from a Glow or a distribution of images, row by row.

    Args:
      model: a Glow, whose latents are then normal with the standard deviation `temperature`; or a
        distribution of images, as `px`, which is drawn from as it is.
      n: how many.
      temperature: standard deviation of the latents, at least 0; 1 for a distribution.
      seed: of the latents. The same seed gives the same images.
      levels: the numbers that are drawn black and white, in the model's units; numbers beyond are
        drawn as these. refglow trains on [-1/2, 1/2).
      columns: images in a row; None: as square a grid as possible.
      ax: where to draw; None: a new figure.

    Returns:
      the Axes. Its only image holds the grid, red, green, blue and opacity.

    Raises:
      ImportError: if matplotlib is missing.
      TypeError: if `model` is neither, or `ax` no Axes.
      ValueError: if the images have neither 1 nor 3 channels, or another argument is impossible.

    Source: Kingma & Dhariwal 2018, section 6.1 on temperature.
    """
    if columns is not None and columns < 1:
        raise ValueError(f"A grid needs at least 1 column; got {columns}.")
    black, white = levels
    if not (np.isfinite([black, white]).all() and black < white):
        raise ValueError(f"levels are (black, white), black below white; got {levels}.")
    images, lost = _drawn(model, n, temperature, seed)
    shown = np.clip((images.astype(np.float64) - black) / (white - black), 0, 1)
    axes = axes_for(ax, (5.0, 5.0))
    axes.imshow(grid_of(np.broadcast_to(shown, (*shown.shape[:3], 3)), columns),
                interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"{n} sample{'s' if n > 1 else ''}, "
                   + (f"temperature {temperature:g}, " if isinstance(model, Glow) else "")
                   + f"seed {seed}" + (f"; {lost} not finite" if lost else ""),
                   color=ink(axes), fontsize="medium")
    return axes


def _drawn(model: Any, n: int, temperature: float, seed: int) -> tuple[Array, int]:
    """(images [n, H, W, C], C 1 or 3; how many are not finite, and black)."""
    from refglow.training.model import distribution_of
    from refglow.training.sampling import draw_from

    if isinstance(model, Glow):
        model, temperature = distribution_of(model, temperature), 1.0
    if not isinstance(model, Distribution):
        raise TypeError("samples are drawn from a Glow or a distribution of refglow; got "
                        f"{type(model).__name__}.")
    if temperature != 1:
        raise ValueError("A distribution is drawn from as it is, at temperature 1; got "
                         f"{temperature}. Give its Glow: px.bijector.")
    shape = tuple(model.event_shape)
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError("A picture has the shape [H, W, 1] or [H, W, 3]; the model's images have "
                         f"{list(shape)}.")
    return draw_from(model, n, seed, black=-np.inf)
