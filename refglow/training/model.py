"""The Glow that a run trains, and its distribution."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from refglow.bijectors.architecture import Architecture
from refglow.bijectors.glow import Glow
from refglow.distributions import Normal, Sample, TransformedDistribution
from refglow.networks import Conv2D, GlowDefaultNetwork, Network, ReLU, Sequential
from refglow.safetensors_file import ArrayKind
from refglow.training.optimizer import Adam, Adamax, AdamW, Optimizer
from refglow.training.settings import Settings

_MOST_BLOCKS = 3  # as in the paper's models for images of 32 pixels


def build_glow(settings: Settings, image_shape: tuple[int, int, int]) -> Glow:
    """A Glow for images [H, W, C], its weights at their random start.

    Raises:
      ValueError: if the image's sides cannot be halved as often as there are blocks.
    """
    blocks = num_glow_blocks(settings, image_shape)
    network = affine_network if settings.coupling == "affine" else additive_network
    return Glow(image_shape, blocks, settings.num_steps_per_block,
                coupling_bijector_fn=network(settings.num_hidden),
                exit_bijector_fn=None if settings.coupling == "affine" else additive_exit_network,
                seed=settings.seed, dtype=settings.dtype)


def num_glow_blocks(settings: Settings, image_shape: tuple[int, int, int]) -> int:
    """The settings' number, or how often both sides can be halved, at most three times."""
    def halvings(side: int) -> int:
        return (side & -side).bit_length() - 1
    return settings.num_glow_blocks or max(1, min(_MOST_BLOCKS, halvings(image_shape[0]),
                                                  halvings(image_shape[1])))


def distribution_of(glow: Glow, temperature: float = 1.0) -> TransformedDistribution:
    """The images' distribution: the Glow applied to normal latents of that standard deviation.

    Raises:
      ValueError: if the temperature is negative or not finite.
    """
    if not 0 <= temperature < np.inf:
        raise ValueError(f"The temperature must be at least 0; got {temperature}.")
    size = glow.inverse_event_shape(glow.parameters["output_shape"])
    return TransformedDistribution(Sample(Normal(0.0, float(temperature)), size), glow)


def arrays_of(settings: Settings, image_shape: tuple[int, int, int]
              ) -> Iterator[tuple[str, ArrayKind]]:
    """(name, kind) of every array in the state of `build_glow`, without building it.

    Raises:
      ValueError: as for `build_glow`.
    """
    dtype, hidden = settings.dtype, settings.num_hidden
    outputs = 2 if settings.coupling == "affine" else 1
    plain = Architecture(image_shape, num_glow_blocks(settings, image_shape),
                         settings.num_steps_per_block, None, True, False, "glow", np.dtype(dtype),
                         coupling=None, exit=None)  # which leaves out the networks' arrays
    for name, shape, number_type in plain.state():
        yield name, ArrayKind(number_type.name, shape)
    for i, (channels, leave, grab) in enumerate(plain.blocks()):
        half = channels // 2
        layers = {"conv1": (3, 3, half, hidden), "conv2": (1, 1, hidden, hidden),
                  "conv3": (3, 3, hidden, outputs * half)}
        places = [(f"block{i}.exit.conv1", (3, 3, leave, outputs * grab))] if grab else []
        steps = ((f"block{i}.step{j}.coupling.{layer}", shape)
                 for j in range(settings.num_steps_per_block) for layer, shape in layers.items())
        for place, shape in itertools.chain(places, steps):
            yield f"{place}.kernel", ArrayKind(dtype, shape)
            yield f"{place}.bias", ArrayKind(dtype, shape[-1:])


def num_parameters(glow: Glow) -> int:
    """How many trainable numbers the model has."""
    return sum(int(np.prod(variable.shape)) for variable in glow.trainable_variables)


def build_optimizer(settings: Settings) -> Optimizer:
    """The optimizer that the settings name."""
    rates = (settings.learning_rate, settings.beta_1, settings.beta_2)
    if settings.optimizer == "adamw":
        return AdamW(*rates, weight_decay=settings.weight_decay)
    return Adamax(*rates) if settings.optimizer == "adamax" else Adam(*rates)


def affine_network(num_hidden: int) -> Callable[..., Network]:
    """The function that builds Glow's default network with that many hidden channels."""
    def network_fn(input_shape: Sequence[int], dtype: npt.DTypeLike,
                   seed: np.random.Generator) -> Network:
        return GlowDefaultNetwork(input_shape, num_hidden, dtype=dtype, seed=seed)
    return network_fn


def additive_network(num_hidden: int) -> Callable[..., Network]:
    """The same network with a shift as its only output: additive coupling."""
    def network_fn(input_shape: Sequence[int], dtype: npt.DTypeLike,
                   seed: np.random.Generator) -> Network:
        channels = int(tuple(input_shape)[-1])
        return Sequential({
            "conv1": Conv2D(channels, num_hidden, 3, "same", "he_normal", seed, dtype),
            "relu1": ReLU(),
            "conv2": Conv2D(num_hidden, num_hidden, 1, "same", "he_normal", seed, dtype),
            "relu2": ReLU(),
            "conv3": Conv2D(num_hidden, channels, 3, "same", "zeros", seed, dtype)})
    return network_fn


def additive_exit_network(input_shape: Sequence[int], output_chan: int,
                          dtype: npt.DTypeLike) -> Network:
    """The exit network with a shift as its only output."""
    return Sequential({"conv1": Conv2D(int(tuple(input_shape)[-1]), output_chan, 3, "same",
                                       "zeros", dtype=dtype)})
