"""A picture and models that come with refglow, so that there is something to explain at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from refglow.bijectors.glow import Glow
from refglow.training.model import affine_network
from refglow.validation.random_models import randomize_weights

MODELS = ("small", "default")

_GAIN = 0.5  # of the random weights, with which the maps of a small model are well-conditioned
_GAIN_OF_DEEP = 0.2
_SKY, _HORIZON = np.array([64.0, 120.0, 200.0]), np.array([250.0, 190.0, 130.0])
_SUN, _HILL, _MEADOW = (np.array(colour) for colour in (
    [255.0, 240.0, 170.0], [70.0, 90.0, 110.0], [60.0, 130.0, 60.0]))


def example_glow(name: str, seed: int) -> Glow:
    """A Glow for images [32, 32, 3], float32, with random weights in every layer.

    Args:
      name: "small" (3 blocks of 2 steps, 16 hidden channels), or "default", TFP's (3 blocks of 32
        steps, 400 hidden channels).
      seed: of the weights.
    """
    rng = np.random.default_rng(seed)
    if name == "default":
        glow, gain = Glow(seed=seed), _GAIN_OF_DEEP
    else:
        glow, gain = Glow((32, 32, 3), 3, 2, affine_network(16), seed=seed), _GAIN
    randomize_weights(glow, rng, gain)
    return glow


def landscape(shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """A picture of a sunset over hills, drawn for any shape: uint8 [H, W, C].

    Of one channel it is grey; of more than three, colours repeat.
    """
    height, width, channels = shape
    down, right = (np.arange(size, dtype=np.float64) + 0.5 for size in (height, width))
    y, x = np.meshgrid(down / height, right / width, indexing="ij")
    colour = _SKY + (_HORIZON - _SKY) * np.clip(y / 0.7, 0, 1)[..., None]
    sun = (x - 0.68) ** 2 + (y - 0.3) ** 2 < 0.12**2
    hills = y > 0.62 + 0.09 * np.sin(7 * x + 1) + 0.04 * np.sin(17 * x)
    meadow = y > 0.8 - 0.06 * np.cos(5 * x)
    for where, paint in ((sun, _SUN), (hills, _HILL), (meadow, _MEADOW)):
        colour = np.where(where[..., None], paint, colour)
    if channels == 1:
        colour = colour.mean(axis=-1, keepdims=True)
    chosen = colour[..., np.arange(channels) % colour.shape[-1]]
    return np.asarray(np.rint(chosen).astype(np.uint8))
