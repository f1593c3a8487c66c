"""What each layer adds to the log-det on the way from an image to its latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.bijectors.glow import Glow, require_glow
from refglow.dtypes import Array
from refglow.layer_name import kind_of
from refglow.plot.images import images_of
from refglow.plot.style import (
    GREY,
    LAYER_COLOURS,
    LAYER_NAMES,
    axes_for,
    ink,
    mark_blocks,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 60  # layers up to which there is room between columns


def logdet_waterfall(glow: Any, x: Any, ax: Axes | None = None) -> Axes:
    """A column for each layer, from where the sum of those before ends to where its own does.

        log|det d inverse / dx|  =  the sum over layers of their log-dets

    from the image on the left to the latents on the right, the mean over the images. Squeezes and
    reshapes add nothing and are left out. The line at the end is the whole.

    Args:
      glow: the model, its ActNorms initialised; it is not changed.
      x: images [H, W, C] or [B, H, W, C], finite, in the model's units.
      ax: where to draw; None: a new figure.

    Returns:
      the Axes. Its columns are `ax.patches`, from left to right; heights are in nats.

    Raises:
      ImportError: if matplotlib is missing.
      TypeError: if `glow` is no Glow of refglow, or `ax` no Axes.
      ValueError: if an ActNorm is not initialised, the images do not fit, or a layer's log-det is
        not finite.

    Source: Kingma & Dhariwal 2018, equation 6 and table 1.
    """
    model = require_glow(glow, "logdet_waterfall draws")
    images = images_of(model, x)
    names, added = _contributions(model, images)
    axes = axes_for(ax, (9.0, 4.5))
    ends = np.cumsum(added)
    width = 0.8 if len(names) <= _FEW else 1.0
    for k, (name, start, height) in enumerate(zip(names, ends - added, added, strict=True)):
        axes.bar(k, height, width, start, color=LAYER_COLOURS[kind_of(name)])
    corners = np.repeat(np.arange(len(names) + 1) - 0.5, 2)[1:-1]
    axes.plot(corners, np.repeat(ends, 2), color=GREY, linewidth=0.8, zorder=1)
    axes.axhline(0, color=ink(axes), linewidth=0.8)
    mark_blocks(axes, names)
    _say_the_sum(axes, float(ends[-1]) if names else 0.0, len(images))
    _key(axes, names)
    return axes


def _contributions(glow: Glow, images: Array) -> tuple[list[str], Array]:
    """(names of layers from image to latent, what each adds in nats, mean over the images)."""
    from refglow.validation.implementations.active_layers import active_layers

    names, added, h = [], [], images
    for layer in active_layers(glow):
        h, log_det = layer.towards_latent(h)
        mean = float(np.mean(log_det, dtype=np.float64))
        if not np.isfinite(mean):
            raise ValueError(f"The log-det of {layer.name} is {mean}: it cannot be drawn. "
                             "`refglow audit` says where a model loses its numbers.")
        if kind_of(layer.name) in LAYER_COLOURS:
            names.append(layer.name)
            added.append(mean)
    return names, np.array(added)


def _say_the_sum(axes: Axes, total: float, images: int) -> None:
    axes.axhline(total, color=ink(axes), linewidth=0.8, linestyle="--")
    axes.annotate(f"{total:.4g}\nnats\nin all", (1.0, total), xycoords=("axes fraction", "data"),
                  xytext=(4, 0), textcoords="offset points", va="center", color=ink(axes))
    mean = "" if images == 1 else f", mean of {images} images"
    axes.set_ylabel(f"log-det so far (nats{mean})")
    axes.set_xlabel("layers, from the image to the latents")
    plain(axes)
    axes.use_sticky_edges = False  # or columns would end at the edge of the picture
    axes.margins(y=0.05)


def _key(axes: Axes, names: list[str]) -> None:
    from matplotlib.patches import Patch
    there = {kind_of(name) for name in names}
    kinds = [kind for kind in LAYER_COLOURS if kind in there]
    if kinds:
        axes.legend(handles=[Patch(color=LAYER_COLOURS[kind], label=LAYER_NAMES[kind])
                             for kind in kinds],
                    frameon=False, labelcolor=ink(axes), loc="lower left", ncols=len(kinds),
                    bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)
