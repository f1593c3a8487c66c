"""Errata about taking the latent vector apart by scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.dtypes import Array
from refglow.validation.errata.erratum import Demonstration, Erratum
from refglow.validation.errata.scene import glow, images
from refglow.validation.tfp.framework import tfp_bijectors

_WHERE = "Glow, example usage: the z's of each spatial scale"
_CIFAR: dict[str, Any] = {"output_shape": (32, 32, 3), "num_glow_blocks": 3, "use_actnorm": False}


def _documented_sizes(model: Any, shape: tuple[int, int, int]) -> list[int]:
    """The sizes of the contiguous ranges that the documented example computes."""
    taken = [int(split[1]) * 4**(i + 2) for i, split in enumerate(model.blockwise_splits)]
    return [int(np.prod(shape)) - sum(taken), *taken]


def _finest_exit(model: Any, x: Array) -> Array:
    """What exits after the block next to the image, by applying only that much of the chain."""
    tensor: Any = x
    for part in list(model.bijectors)[:3]:  # squeeze, block, exit
        tensor = part.inverse(tensor)
    return np.asarray(tensor)[..., int(model.blockwise_splits[-1][0]):]


def _recipe_tfp() -> Demonstration:
    model, x = glow(tfp_bijectors(), **_CIFAR), images(1, shape=(32, 32, 3))
    last = _documented_sizes(model, (32, 32, 3))[-1]
    finest, z = _finest_exit(model, x), np.asarray(model.inverse(x))
    recipe = z[..., -last:]
    common = np.intersect1d(recipe, finest).size
    return Demonstration(
        f"of the last range's {last} numbers, {common} belong to the finest scale",
        finest.size == last and np.intersect1d(z, finest).size == last and common < last)


def _recipe_refglow() -> Demonstration:
    model, x = glow(**_CIFAR), images(1, shape=(32, 32, 3))
    z = model.inverse(x)
    parts = model.split_latents(z)
    same = np.array_equal(parts[-1], _finest_exit(model, x))
    back = np.array_equal(model.merge_latents(parts), z)
    return Demonstration(f"scales {[part.shape[1:] for part in parts]}; the last is the finest "
                         f"exit: {same}; merge_latents restores z: {back}", same and back)


LATENTS_RECIPE = Erratum(
    identifier="latents-interleaved",
    title="The documented recipe for the latents of each scale mixes the scales",
    where=_WHERE,
    documented="Contiguous ranges of the latent vector are the spatial scales.",
    tfp_does="The vector is the coarsest tensor flattened, so the scales alternate within every "
             "coarse pixel: half of the last range belongs to other scales.",
    refglow_does="split_latents and merge_latents reshape first and then split channels.",
    follows="documentation", show_tfp=_recipe_tfp, show_refglow=_recipe_refglow)


def _sizes_tfp() -> Demonstration:
    arguments = {"output_shape": (8, 8, 3), "num_glow_blocks": 2}
    sizes = _documented_sizes(glow(tfp_bijectors(), **arguments), (8, 8, 3))
    return Demonstration(f"8 x 8 x 3, 2 blocks: sizes {sizes}", min(sizes) < 0)


def _sizes_refglow() -> Demonstration:
    model = tfb.Glow((8, 8, 3), 2, 1, use_actnorm=False)
    parts = model.split_latents(model.inverse(images(1, shape=(8, 8, 3))))
    sizes = [int(part.size) for part in parts]
    return Demonstration(f"8 x 8 x 3, 2 blocks: sizes {sizes}", sizes == [96, 96])


LATENTS_SIZES = Erratum(
    identifier="latents-sizes",
    title="The recipe's sizes hold for one image size only",
    where=_WHERE,
    documented="Scale i takes 4^(i+2) times the channels that exit there.",
    tfp_does="True only where the coarsest tensor is 4 x 4, as for 32 x 32 and 3 blocks; for "
             "8 x 8 and 2 blocks the first size is negative.",
    refglow_does="split_latents computes the sizes from the image's shape.",
    follows="documentation", show_tfp=_sizes_tfp, show_refglow=_sizes_refglow)

ERRATA = (LATENTS_RECIPE, LATENTS_SIZES)
