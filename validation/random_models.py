"""Random weights for every layer, and random architectures.

Weights are random everywhere, the zero-initialised last layers included: with those at zero a
coupling that conditions on the wrong half, or never looks at it, passes every test.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array


def randomize_weights(bijector: Bijector, rng: np.random.Generator, gain: float = 1.0) -> None:
    """Give every trainable parameter a random value; mark ActNorms as initialised.

    Kernels get the standard deviation sqrt(1 / fan_in) (so activations keep their size), biases
    and shifts 0.2, log-scales 0.2, and LU factors noise of 0.1 on top of what they are; all times
    `gain`. The maps stay moderately conditioned.
    """
    for variable in bijector.trainable_variables:
        noise = gain * rng.standard_normal(variable.shape)
        kind = variable.name.rsplit(".", 1)[-1]
        if kind == "kernel":
            variable.assign(noise / np.sqrt(np.prod(variable.shape[:-1])))
        elif kind == "lower_upper":
            variable.assign(variable.numpy() + 0.1 * noise)
        else:
            variable.assign(0.2 * noise)
    for module in bijector.submodules:
        if isinstance(module, ActivationNormalization):
            module.mark_initialized()


def random_architecture(rng: np.random.Generator) -> dict[str, Any]:
    """Arguments for a small Glow that TFP can build too (exits of one half, or none).

    Returns:
      output_shape, num_glow_blocks, num_steps_per_block, grab_after_block, use_actnorm, and
      num_hidden, affine and affine_exits (or additive).
    """
    blocks = int(rng.integers(1, 4))
    side = 2**blocks
    height, width = (int(side * rng.integers(1, 4)) for _ in range(2))
    fractions = [float(rng.choice([0.5, 0.5, 0.0])) for _ in range(blocks)]
    return {
        "output_shape": (height, width, int(rng.integers(1, 5))),
        "num_glow_blocks": blocks, "num_steps_per_block": int(rng.integers(1, 4)),
        "grab_after_block": tuple(fractions), "use_actnorm": bool(rng.random() < 0.7),
        "num_hidden": int(rng.integers(3, 24)), "affine": bool(rng.random() < 0.7),
        "affine_exits": bool(rng.random() < 0.7)}


def random_images(rng: np.random.Generator, batch: int, shape: tuple[int, ...]) -> Array:
    """Uniform noise on [-0.5, 0.5), float64."""
    return rng.random((batch, *shape)) - 0.5
