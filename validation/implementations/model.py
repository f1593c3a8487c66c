"""The model that implementations are held against, and what they are given of it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import DEFAULT_FLOAT, Array
from refglow.training.model import affine_network
from refglow.validation.random_models import random_images, randomize_weights

Arrays: TypeAlias = dict[str, Array]

IMAGE_SHAPE = (16, 16, 3)
IMAGES = 4  # that it is compared on, where nothing else is said
_GAIN = 0.3  # of the random weights: condition 1e3 from latents to images, so float32 tells much


def default_glow(seed: int) -> Glow:
    """3 blocks of 8 steps on images [16, 16, 3], 32 hidden channels, every weight random.

    float64; its numbers are float32 numbers, so that it is the same model in both types.
    """
    rng = np.random.default_rng(seed)
    glow = Glow(IMAGE_SHAPE, 3, 8, affine_network(32), seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, _GAIN)
    return glow.astype(np.float32).astype(np.float64)


def images_for(glow: Glow, count: int, seed: int) -> Array:
    """Random images [count, H, W, C], float64: the same for a seed, whoever compares on them."""
    return random_images(np.random.default_rng([seed, 1]), count,
                         tuple(glow.parameters["output_shape"]))


def architecture_of(glow: Glow) -> dict[str, Any]:
    """What an implementation is told of the model, in plain numbers, strings and lists.

    Returns:
      output_shape [H, W, C], blockwise_splits (see `Glow`), num_glow_blocks, num_steps_per_block,
      grab_after_block (the block next to the image first), use_actnorm, dtype. Whether a network
      gives scale and shift or a shift alone is told by its kernels' shapes.
    """
    given = glow.parameters
    blocks = int(given["num_glow_blocks"])
    fractions = given["grab_after_block"]
    return {"output_shape": [int(size) for size in given["output_shape"]],
            "blockwise_splits": glow.blockwise_splits, "num_glow_blocks": blocks,
            "num_steps_per_block": int(given["num_steps_per_block"]),
            "grab_after_block": ([0.5] * (blocks - 1) + [0.0] if fractions is None
                                 else [float(fraction) for fraction in fractions]),
            "use_actnorm": bool(given["use_actnorm"]),
            "dtype": np.dtype(glow.dtype or DEFAULT_FLOAT).name}


def parameters_of(glow: Glow) -> Arrays:
    """The state of a model without ActNorms' flags.

    Raises:
      ValueError: if an ActNorm is not initialised, so that there is no function to agree with.
    """
    state = glow.state_dict()
    flags = [name for name in state if name.endswith(".initialized")]
    for name in flags:
        if not state[name]:
            raise ValueError(f"{name} is false: the ActNorm has no parameters yet. Call "
                             "glow.initialize(images) before it is compared.")
    return {name: array for name, array in state.items() if name not in flags}
