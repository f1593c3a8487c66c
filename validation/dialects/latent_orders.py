"""Latents as they are given: one vector, or the scales one after the other.

The scales are [B, h, w, channels], the coarsest first; what is left after the last block and what
exits there are one scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from refglow.bijectors.glow_shapes import Splits
from refglow.bijectors.latents import split_latents
from refglow.dtypes import Array

Shape = tuple[int, int, int]
Squeezing = Callable[[Array], Array]
LatentOrder = Callable[[Sequence[Array], Splits, Squeezing], Array]


def _flat(part: Array, order: str) -> Array:
    """[B, h, w, c] -> [B, h w c], or in the order c h w."""
    moved = part if order == "NHWC" else np.moveaxis(part, -1, 1)
    return moved.reshape(len(part), -1)


def _interleaved(order: str) -> LatentOrder:
    def latents(parts: Sequence[Array], splits: Splits, squeeze: Squeezing) -> Array:
        remaining = list(parts)
        rest: list[Array] = []  # what has exited so far, squeezed to the block's size
        for i, (leave, grab, _) in reversed(list(enumerate(splits))):
            exits = [remaining.pop()] if grab else []
            stays = [remaining.pop()] if i == 0 and leave else []
            whole = [*stays, *exits, *rest]
            rest = [np.concatenate(whole, axis=-1)] if whole else []
            if i > 0:
                rest = [squeeze(part) for part in rest]
        return _flat(rest[0], order)
    return latents


def whole_scales(parts: Sequence[Array], splits: Splits) -> list[Array]:
    """The parts, with what is left and what exits at the last block as one.

    Args:
      parts: as `split_latents` gives them.
      splits: (leave, grab, pass) of each block, the coarsest first.
    """
    leave, grab, _ = splits[0]
    if leave and grab:
        return [np.concatenate(parts[:2], axis=-1), *parts[2:]]
    return list(parts)


def _one_after_the_other(order: str, finest_first: bool) -> LatentOrder:
    def latents(parts: Sequence[Array], splits: Splits, squeeze: Squeezing) -> Array:
        scales = whole_scales(parts, splits)
        return np.concatenate([_flat(scale, order) for scale in
                               (scales[::-1] if finest_first else scales)], axis=-1)
    return latents


# (scales, splits, the squeeze by which what has exited travels along) -> latents
LATENT_ORDERS: dict[str, LatentOrder] = {
    "interleaved": _interleaved("NHWC"),
    "interleaved NCHW": _interleaved("NCHW"),
    "finest first NHWC": _one_after_the_other("NHWC", True),
    "finest first NCHW": _one_after_the_other("NCHW", True),
    "coarsest first NHWC": _one_after_the_other("NHWC", False),
    "coarsest first NCHW": _one_after_the_other("NCHW", False),
    "only the coarsest": lambda parts, splits, squeeze: _flat(whole_scales(parts, splits)[0],
                                                              "NHWC"),
}


def latents_of(z: Array, order: str, shape: Shape, splits: Splits,
               squeeze: Squeezing) -> list[Array]:
    """The parts, as `split_latents` gives them, of latents in some order.

    Args:
      z: [B, H W C].
      order: a name in LATENT_ORDERS but "only the coarsest", whose other parts are lost.
      shape: (H, W, C) of the image.
      splits: (leave, grab, pass) of each block, the coarsest first.
      squeeze: by which what has exited travels along.
    """
    if order == "only the coarsest":
        raise ValueError("Latents of which only the coarsest scale was kept cannot be inverted.")
    # Where each number of the interleaved vector went, from the order applied to its indices.
    places = np.arange(int(np.prod(shape)))[None]
    went = LATENT_ORDERS[order](split_latents(places, shape, splits), splits, squeeze)[0]
    interleaved = np.empty_like(z)
    interleaved[:, went] = z
    return split_latents(interleaved, shape, splits)
