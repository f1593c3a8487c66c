"""Latents as they are given: one vector, or the scales one after the other.

The scales are [B, h, w, channels], the coarsest first; what is left after the last block and what
exits there are one scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from refglow.bijectors.glow_shapes import Splits
from refglow.bijectors.latents import merge_latents
from refglow.dtypes import Array

Shape = tuple[int, int, int]


def _flat(part: Array, order: str) -> Array:
    """[B, h, w, c] -> [B, h w c], or in the order c h w."""
    moved = part if order == "NHWC" else np.moveaxis(part, -1, 1)
    return moved.reshape(len(part), -1)


def _interleaved(parts: Sequence[Array], shape: Shape, splits: Splits, order: str) -> Array:
    z = merge_latents(list(parts), shape, splits)
    if order == "NHWC":
        return z
    h, w, c = (shape[0] >> len(splits), shape[1] >> len(splits), shape[2] << 2 * len(splits))
    return _flat(z.reshape(-1, h, w, c), order)


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


LatentOrder = Callable[[Sequence[Array], Shape, Splits], Array]


def _one_after_the_other(order: str, finest_first: bool) -> LatentOrder:
    def latents(parts: Sequence[Array], shape: Shape, splits: Splits) -> Array:
        scales = whole_scales(parts, splits)
        return np.concatenate([_flat(scale, order) for scale in
                               (scales[::-1] if finest_first else scales)], axis=-1)
    return latents


LATENT_ORDERS: dict[str, LatentOrder] = {
    "interleaved": lambda parts, shape, splits: _interleaved(parts, shape, splits, "NHWC"),
    "interleaved NCHW": lambda parts, shape, splits: _interleaved(parts, shape, splits, "NCHW"),
    "finest first NHWC": _one_after_the_other("NHWC", True),
    "finest first NCHW": _one_after_the_other("NCHW", True),
    "coarsest first NHWC": _one_after_the_other("NHWC", False),
    "coarsest first NCHW": _one_after_the_other("NCHW", False),
    "only the coarsest": lambda parts, shape, splits: _flat(whole_scales(parts, splits)[0],
                                                            "NHWC"),
}


def latents_of(z: Array, order: str, shape: Shape, splits: Splits) -> list[Array]:
    """The parts, as `split_latents` gives them, of latents in some order.

    Args:
      z: [B, H W C].
      order: a name in LATENT_ORDERS but "only the coarsest", whose other parts are lost.
      shape: (H, W, C) of the image.
      splits: (leave, grab, pass) of each block, the coarsest first.
    """
    from refglow.bijectors.latents import split_latents
    if order == "only the coarsest":
        raise ValueError("Latents of which only the coarsest scale was kept cannot be inverted.")
    # Where each number of the interleaved vector went, from the order applied to its indices.
    places = np.arange(int(np.prod(shape)))[None]
    went = LATENT_ORDERS[order](split_latents(places, shape, splits), shape, splits)[0]
    interleaved = np.empty_like(z)
    interleaved[:, went] = z
    return split_latents(interleaved, shape, splits)
