"""What the demonstrations share: small Glows, and networks that run in both libraries.

The networks are plain matrix products over channels, written so that the same function takes NumPy
arrays and TensorFlow tensors.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import refglow.bijectors
from refglow.dtypes import Array
from refglow.validation.tfp.framework import tfp_glow_parts

IMAGE = (4, 4, 3)


def tfp_block(channels: int, network: Callable[..., Any], *, pixels: tuple[int, int] = (2, 2),
              use_actnorm: bool = False) -> Any:
    """A TFP GlowBlock of one step."""
    parts = tfp_glow_parts()
    seeds = importlib.import_module("tensorflow_probability.python.util").SeedStream(0, "errata")
    return parts.GlowBlock((*pixels, channels), 1, network, use_actnorm, seeds)


def affine(shape: Sequence[int], output_chan: int | None = None,
           dtype: Any = np.float32) -> Callable[[Any], Any]:
    """A linear network with twice the channels: an affine coupling."""
    return _linear(shape[-1], 2 * (output_chan or shape[-1]), dtype)


def additive(shape: Sequence[int], output_chan: int | None = None,
             dtype: Any = np.float32) -> Callable[[Any], Any]:
    """A linear network with as many channels as are mapped: an additive coupling."""
    return _linear(shape[-1], output_chan or shape[-1], dtype)


def constant(*values: float) -> Callable[..., Callable[[Any], Any]]:
    """A network factory whose networks return these channels for every pixel."""
    def factory(shape: Sequence[int], output_chan: int | None = None) -> Callable[[Any], Any]:
        channels = np.asarray(values, np.float32)
        return lambda x: x[..., :1] * 0 + channels
    return factory


def glow(library: Any = refglow.bijectors, network: Any = affine, **arguments: Any) -> Any:
    """A small Glow of `library` (refglow.bijectors or tfp.bijectors): 4 x 4 x 3, 2 blocks."""
    defaults = {"output_shape": IMAGE, "num_glow_blocks": 2, "num_steps_per_block": 1,
                "coupling_bijector_fn": network, "exit_bijector_fn": network}
    return library.Glow(**defaults | arguments)


def default_networks(library: Any) -> dict[str, Any]:
    """Arguments of Glow for the library's default networks, narrow ones."""
    return {"coupling_bijector_fn": lambda shape: library.GlowDefaultNetwork(shape, num_hidden=4),
            "exit_bijector_fn": library.GlowDefaultExitNetwork}


def images(*batch: int, shape: tuple[int, ...] = IMAGE, dtype: Any = np.float32) -> Array:
    """Random images [batch..., H, W, C] with values in [0, 1), always the same ones."""
    return np.random.default_rng(0).random((*batch, *shape)).astype(dtype)


def _linear(inputs: int, outputs: int, dtype: Any) -> Callable[[Any], Any]:
    rng = np.random.default_rng([inputs, outputs])
    # A leading 1 makes TensorFlow broadcast the product over the batch and the rows.
    matrix = (0.3 * rng.standard_normal((1, inputs, outputs))).astype(dtype)
    return lambda x: x @ matrix
