"""Starting values of weights, as Keras draws them.

he_normal: a normal distribution with standard deviation sqrt(2 / fan_in), truncated at two
standard deviations *before* it is rescaled to that deviation. A standard normal cut at +-2 has
standard deviation 0.87962566103423978, so the normal that is cut has sqrt(2 / fan_in) / 0.8796....
fan_in is the number of inputs that one output sees: kh * kw * in for a kernel [kh, kw, in, out].

Source: He et al. 2015, equation 10; keras.initializers.HeNormal.
"""

from __future__ import annotations

import math

import numpy as np

from refglow.dtypes import Array

_STD_OF_TRUNCATED_NORMAL = 0.87962566103423978


def he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal numbers of variance 2 / fan_in, truncated at two standard deviations before rescaling.

    Args:
      shape: [..., in, out] of a kernel.
      rng: the source of the random numbers.

    Returns:
      float32, of that shape.

    Source: as the module.
    """
    return _truncated_normal(shape, math.sqrt(2.0 / fan_in(shape)), rng)


def glorot_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform numbers on +-sqrt(6 / (fan_in + fan_out)); Keras' and tf.layers' default.

    Args, Returns: as for `he_normal`.

    Source: Glorot & Bengio 2010, equation 16; keras.initializers.GlorotUniform.
    """
    receptive = int(np.prod(shape[:-2]))
    limit = math.sqrt(6.0 / (receptive * (shape[-2] + shape[-1])))
    return (2 * rng.random(shape, dtype=np.float32) - 1) * np.float32(limit)


def zeros(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Zeros.

    Args, Returns: as for `he_normal`; rng is not used.

    Source: keras.initializers.Zeros.
    """
    return np.zeros(shape, dtype=np.float32)


def fan_in(shape: tuple[int, ...]) -> int:
    """How many inputs one output of a kernel sees.

    Args:
      shape: [..., in, out] of the kernel.

    Returns:
      the product of all sizes but the last.

    Source: as the module.
    """
    return int(np.prod(shape[:-1]))


def _truncated_normal(shape: tuple[int, ...], deviation: float, rng: np.random.Generator) -> Array:
    """Normal numbers, those beyond two standard deviations drawn again, scaled to `deviation`."""
    values = rng.standard_normal(shape, dtype=np.float32).reshape(-1)
    outside = np.flatnonzero(np.abs(values) > 2)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size, dtype=np.float32)
        outside = outside[np.abs(values[outside]) > 2]
    values *= np.float32(deviation / _STD_OF_TRUNCATED_NORMAL)
    return values.reshape(shape)
