"""One training step of refglow and of each peer, of one size, for measurements.

A step is the loss (the mean negative log-likelihood), its gradient with respect to all parameters
and an update by Adam, in float32. refglow, TFP and PyTorch start with the same random weights and
images, so that their losses agree.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.dtypes import Array
from refglow.training.optimizer import Adam
from refglow.validation.peers.normflows_training import NormflowsTraining
from refglow.validation.peers.tfp_training import TfpTraining
from refglow.validation.peers.torch_training import TorchTraining
from refglow.validation.random_models import random_images, randomize_weights
from refglow.validation.tfp.framework import (
    tensorflow,
    tfp_bijectors,
    tfp_distributions,
    tfp_keras,
)

LEARNING_RATE = 1e-5  # small: random images teach nothing, and many steps must stay finite
Step: TypeAlias = Callable[[], float]


@dataclass(frozen=True)
class Configuration:
    """The size of a Glow and of its batch."""

    output_shape: tuple[int, int, int] = (32, 32, 3)
    num_glow_blocks: int = 3
    num_steps_per_block: int = 32
    num_hidden: int = 400
    batch: int = 8

    def glow(self) -> tfb.Glow:
        """A float32 Glow with random weights in every layer."""
        glow = tfb.Glow(
            self.output_shape, self.num_glow_blocks, self.num_steps_per_block,
            functools.partial(tfb.GlowDefaultNetwork, num_hidden=self.num_hidden), seed=0)
        randomize_weights(glow, np.random.default_rng(0), gain=0.05)
        return glow

    def distribution(self) -> Any:
        """The distribution of the images that this Glow makes of standard normal latents."""
        size = int(np.prod(self.output_shape))
        return self.glow()(tfd.Sample(tfd.Normal(0.0, 1.0), [size]))

    def images(self) -> Array:
        """Random images, float32 [batch, H, W, C]."""
        rng = np.random.default_rng(1)
        return random_images(rng, self.batch, self.output_shape).astype(np.float32)


def refglow_step(configuration: Configuration, memory: str) -> Step:
    """A function that makes one training step of refglow's and returns the loss.

    Args:
      configuration: of the model and the batch.
      memory: what `log_prob_vjp` keeps: "store", "checkpoint" or "reversible".
    """
    images, adam = configuration.images(), Adam(learning_rate=LEARNING_RATE)
    px = configuration.distribution()

    def step() -> float:
        log_prob, pullback = px.log_prob_vjp(images, memory)
        _, gradients = pullback(np.full_like(log_prob, -1 / len(log_prob)))  # of the loss
        del pullback  # and with it the activations
        adam.step(px.trainable_variables, gradients)
        return -float(np.mean(log_prob))
    return step


def _twin_step(training: type[TfpTraining] | type[TorchTraining],
               configuration: Configuration) -> Step:
    peer = training(configuration.glow(), LEARNING_RATE)
    return functools.partial(peer.step, configuration.images())


def _normflows_step(configuration: Configuration) -> Step:
    images = configuration.images()
    peer = NormflowsTraining(images, configuration.num_glow_blocks,
                             configuration.num_steps_per_block, configuration.num_hidden,
                             LEARNING_RATE)
    return functools.partial(peer.step, images)


@dataclass(frozen=True)
class Peer:
    """One implementation: its name in a table, how to import it and how to make its step."""

    label: str
    load: Callable[[], object]
    make_step: Callable[[Configuration], Step]


def _load(*modules: str) -> Callable[[], object]:
    return lambda: [importlib.import_module(module) for module in modules]


def _load_tfp() -> None:
    for load in (tensorflow, tfp_bijectors, tfp_distributions, tfp_keras):
        load()


PEERS = {
    **{mode: Peer(f"refglow, {mode}", _load("refglow"),
                  functools.partial(refglow_step, memory=mode))
       for mode in ("store", "checkpoint", "reversible")},
    "tfp": Peer("TFP, tf.function", _load_tfp, functools.partial(_twin_step, TfpTraining)),
    "torch": Peer("PyTorch, the same Glow", _load("torch"),
                  functools.partial(_twin_step, TorchTraining)),
    "normflows": Peer("normflows, of equal size", _load("torch", "normflows"), _normflows_step),
}
