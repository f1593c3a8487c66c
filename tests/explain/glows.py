"""Small Glows of every kind for the tests of `refglow explain`, with random weights everywhere."""

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors import Glow, Scale
from refglow.validation.cases import additive_network, small_network
from refglow.validation.random_models import random_images, randomize_weights


def without_derivatives(input_shape, output_chan=None, **kwargs):
    """A user's network that has no parameters, and neither vjp nor jvp."""
    channels = output_chan or input_shape[-1]

    def network(x):
        wave = np.sin(3 * x.sum(axis=-1, keepdims=True))
        return np.repeat(wave, 2 * channels, axis=-1) / 4
    return network


def of_bijectors(input_shape, output_chan=None, **kwargs):
    """A user's network that gives a bijector."""
    return lambda x: Scale(1.5 + 0.5 * np.tanh(x.mean(axis=-1, keepdims=True)))


OPTIONS = {
    "default": {},
    "no actnorm": {"use_actnorm": False},
    "uneven exits": {"grab_after_block": (0.25, 0.5)},
    "no exits": {"grab_after_block": (0.0, 0.0)},
    "all exit": {"grab_after_block": (0.5, 1.0)},
    "one block": {"num_glow_blocks": 1},
    "no steps": {"num_steps_per_block": 0},
    "one channel": {"output_shape": (8, 4, 1)},
    "three channels": {"output_shape": (4, 8, 3)},
    "additive": {"coupling_bijector_fn": additive_network, "exit_bijector_fn": additive_network},
    "no derivatives": {"coupling_bijector_fn": without_derivatives,
                       "exit_bijector_fn": without_derivatives},
    "bijectors": {"coupling_bijector_fn": of_bijectors}}


def glow_of(option, dtype=np.float64, seed=0):
    """The Glow of one of OPTIONS."""
    arguments = {"output_shape": (8, 4, 2), "num_glow_blocks": 2, "num_steps_per_block": 2,
                 "coupling_bijector_fn": small_network} | OPTIONS[option]
    glow = Glow(**arguments, seed=seed, dtype=dtype)
    randomize_weights(glow, np.random.default_rng(seed), gain=0.5)
    return glow


def images_of(glow, count=3, seed=1):
    """Images for it."""
    shape = glow.parameters["output_shape"]
    return random_images(np.random.default_rng(seed), count, shape).astype(glow.dtype)


def start_of(glow, direction, count=3):
    """Images, or their latents."""
    images = images_of(glow, count)
    with use_backend("spec"):
        return images if direction == "inverse" else glow.inverse(images)
