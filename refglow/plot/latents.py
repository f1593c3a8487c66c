"""Where the numbers of an image go: its latents, scale by scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.bijectors.glow import require_glow
from refglow.dtypes import Array
from refglow.image_grid import side_by_side
from refglow.plot.images import images_of
from refglow.plot.style import GREY, axes_for, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_IMAGES = 8  # rows that can be told apart
_GAP = 0.15  # between two pieces, of the height of a row
_MARGIN = 0.06  # between two channels, of a channel's height
_RANGE = 3.0  # standard deviations at the ends of the colours
_COLOURS = "RdBu_r"


def latents(glow: Any, x: Any, ax: Axes | None = None) -> Axes:
    """A row for each image: every piece of z, coarsest first, as a tile for each channel.

        z = glow.inverse(x);  pieces = glow.split_latents(z)

    Tiles of all scales show the whole image, the coarse ones in few numbers. Colours are in
    standard deviations of the normal distribution that latents have: under a Glow that fits the
    image, each number is one draw of it. Below a column stand its piece's shape, and the mean and
    standard deviation of its numbers over all images.

    Args:
      glow: the model, its ActNorms initialised; it is not changed.
      x: an image [H, W, C], or [B, H, W, C] with B at most 8; finite, in the model's units.
      ax: where to draw; None: a new figure.

    Returns:
      the Axes. Its images are `ax.images`, row by row: the tiles of one piece of one image.

    Raises:
      ImportError: if matplotlib is missing.
      TypeError: if `glow` is no Glow of refglow, or `ax` no Axes.
      ValueError: if an ActNorm is not initialised, the images do not fit or are too many, or a
        latent is not finite.

    Source: Kingma & Dhariwal 2018, figure 2b; `Glow.split_latents`.
    """
    model = require_glow(glow, "latents draws")
    images = images_of(model, x)
    if len(images) > _MOST_IMAGES:
        raise ValueError(f"Latents of at most {_MOST_IMAGES} images can be told apart in one "
                         f"picture; got {len(images)}.")
    pieces = model.split_latents(model.inverse(images))
    if not all(np.isfinite(piece).all() for piece in pieces):
        raise ValueError("Some latents of these images are not finite. `refglow audit` says where "
                         "a model loses its numbers.")
    grids = [[tiles(one) for one in piece] for piece in pieces]
    width = sum(_width(column[0]) + _GAP for column in grids)  # in heights of a row
    axes = axes_for(ax, (min(9.0, 1.6 + 2.3 * width), 0.9 + 2.6 * len(images)))
    _draw(axes, pieces, grids)
    return axes


def tiles(piece: Array) -> Array:
    """The channels of one piece side by side, row by row, in the fewest nearly square rows.

    Args:
      piece: [h, w, c].

    Returns:
      [rows (h + m) - m, columns (w + m) - m], m numbers of margin, NaN there and in empty places;
      each number is repeated so that the margin is a whole one.
    """
    h = len(piece)
    factor = math.ceil(1 / (_MARGIN * h))
    margin = max(1, round(_MARGIN * h * factor))
    large = np.moveaxis(piece, -1, 0).repeat(factor, axis=1).repeat(factor, axis=2)
    return side_by_side(large, math.ceil(math.sqrt(len(large))), margin, np.nan)


def _width(grid: Array) -> float:
    """That of a grid of height 1."""
    return float(grid.shape[1] / grid.shape[0])


def _draw(axes: Axes, pieces: list[Array], grids: list[list[Array]]) -> None:
    """Every piece of every image, one unit of data high, and what is said of each column."""
    import matplotlib
    colours = matplotlib.colormaps[_COLOURS].with_extremes(bad=GREY)  # around the tiles
    left, number = 0.0, len(pieces[0])
    for piece, column in zip(pieces, grids, strict=True):
        width = _width(column[0])
        for row, grid in enumerate(column):
            top = row * (1 + _GAP)
            picture = axes.imshow(grid, cmap=colours, vmin=-_RANGE, vmax=_RANGE,
                                  extent=(left, left + width, top + 1, top),
                                  interpolation="nearest")
        shape = " x ".join(map(str, piece.shape[1:]))
        axes.text(left + width / 2, number * (1 + _GAP) - _GAP + 0.05,
                  f"{shape}\nmean {piece.mean():.2f}, sd {piece.std():.2f}", ha="center", va="top",
                  color=ink(axes), fontsize="small")
        left += width + _GAP
    axes.set_xlim(0, left - _GAP)
    axes.set_ylim(number * (1 + _GAP) - _GAP + 0.3, -0.02)
    axes.set_axis_off()
    bar = axes.figure.colorbar(picture, ax=axes, extend="both", shrink=0.8)
    bar.set_label("latent (standard deviations)", color=ink(axes))
    bar.ax.tick_params(colors=ink(axes))
