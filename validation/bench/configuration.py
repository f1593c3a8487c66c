"""The model that is measured: its size, its weights, its images."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.dtypes import Array
from refglow.validation.random_models import random_images, randomize_weights

# Towards the latents a step's coupling multiplies half of the channels by about sigmoid(2) = 0.88.
# In a trained model ActNorm makes up for it, and here: else samples overflow before 96 steps.
_MAKING_UP = np.float32(-np.log(1 / (1 + np.exp(-2.0))) / 2)


@dataclass(frozen=True)
class Configuration:
    """The size of a Glow and of its batch. The default is the Glow for CIFAR images."""

    output_shape: tuple[int, int, int] = (32, 32, 3)
    num_glow_blocks: int = 3
    num_steps_per_block: int = 32
    num_hidden: int = 400
    batch: int = 8

    @property
    def event_size(self) -> int:
        """H W C of an image: the length of a latent vector."""
        return int(np.prod(self.output_shape))

    def glow(self) -> tfb.Glow:
        """A float32 Glow with ActNorm and random weights in every layer."""
        glow = tfb.Glow(
            self.output_shape, self.num_glow_blocks, self.num_steps_per_block,
            functools.partial(tfb.GlowDefaultNetwork, num_hidden=self.num_hidden), seed=0)
        randomize_weights(glow, np.random.default_rng(0), gain=0.05)
        for variable in glow.trainable_variables:
            if variable.name.endswith("actnorm.log_scale"):
                variable.assign(variable.numpy() + _MAKING_UP)
        return glow

    def distribution(self) -> Any:
        """The distribution of the images that this Glow makes of standard normal latents."""
        return self.glow()(tfd.Sample(tfd.Normal(0.0, 1.0), [self.event_size]))

    def images(self) -> Array:
        """Random images, float32 [batch, H, W, C]."""
        rng = np.random.default_rng(1)
        return random_images(rng, self.batch, self.output_shape).astype(np.float32)

    def latents(self) -> Array:
        """Standard normal latents, float32 [batch, H W C]."""
        return np.random.default_rng(2).standard_normal(
            (self.batch, self.event_size)).astype(np.float32)

    def __str__(self) -> str:
        """In one line, for people."""
        h, w, c = self.output_shape
        return (f"{h}x{w}x{c}, {self.num_glow_blocks} blocks x {self.num_steps_per_block} steps, "
                f"{self.num_hidden} hidden channels, batch {self.batch}, float32")
