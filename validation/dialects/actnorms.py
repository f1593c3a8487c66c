"""ActNorm's forms: what is done with its two parameters m and v, towards the latent; its start.

Names are TFP's: m the shift, v the log-scale. In the forms with v itself, "(x + m) v" and
"x v + m", that array holds the scale, which may be negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refglow.bijectors.activation_normalization import channel_statistics
from refglow.dtypes import Array
from refglow.elementary import exp, sqrt

Map = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class ActNorm:
    """A map of each channel, and back; log_det(v) is the log-derivative of each channel."""

    to_latent: Map
    to_image: Map
    log_det: Callable[[Array], Array]


_LOG_SCALE: Callable[[Array], Array] = lambda v: v  # noqa: E731
_MINUS: Callable[[Array], Array] = lambda v: -v  # noqa: E731

ACTNORMS: dict[str, ActNorm] = {
    "(x + m) exp(v)": ActNorm(lambda x, m, v: (x + m) * exp(v),
                              lambda z, m, v: z / exp(v) - m, _LOG_SCALE),
    "x exp(v) + m": ActNorm(lambda x, m, v: x * exp(v) + m,
                            lambda z, m, v: (z - m) / exp(v), _LOG_SCALE),
    "(x - m) exp(v)": ActNorm(lambda x, m, v: (x - m) * exp(v),
                              lambda z, m, v: z / exp(v) + m, _LOG_SCALE),
    "(x - m) exp(-v)": ActNorm(lambda x, m, v: (x - m) / exp(v),
                               lambda z, m, v: z * exp(v) + m, _MINUS),
    "(x + m) exp(-v)": ActNorm(lambda x, m, v: (x + m) / exp(v),
                               lambda z, m, v: z * exp(v) - m, _MINUS),
    "x exp(-v) - m": ActNorm(lambda x, m, v: x / exp(v) - m,
                             lambda z, m, v: (z + m) * exp(v), _MINUS),
    "x exp(-v) + m": ActNorm(lambda x, m, v: x / exp(v) + m,
                             lambda z, m, v: (z - m) * exp(v), _MINUS),
    "(x + m) exp(3 v)": ActNorm(lambda x, m, v: (x + m) * exp(3 * v),
                                lambda z, m, v: z / exp(3 * v) - m, lambda v: 3 * v),
    "(x + m) v": ActNorm(lambda x, m, v: (x + m) * v, lambda z, m, v: z / v - m,
                         lambda v: np.log(np.abs(v))),
    "x v + m": ActNorm(lambda x, m, v: x * v + m, lambda z, m, v: (z - m) / v,
                       lambda v: np.log(np.abs(v))),
    "x + m": ActNorm(lambda x, m, v: x + m, lambda z, m, v: z - m, np.zeros_like),
    "x exp(v)": ActNorm(lambda x, m, v: x * exp(v), lambda z, m, v: z / exp(v), _LOG_SCALE),
    "left out": ActNorm(lambda x, m, v: x, lambda z, m, v: z, np.zeros_like),
}
# Not a map of a pixel: the parameters are set anew from every batch, as TFP sets them at first.
FROM_EVERY_BATCH = "this batch's statistics"

# The start from data: the mean of each channel, the deviation and what is added to it.
# "variance" stands for its root; "all channels together" have one deviation. "none" is a start that
# leaves this parameter as it is in a new model. A deviation "of each pixel" is over the batch.
# The mean.
MEANS: dict[str, Callable[[Array], Array]] = {
    "of each channel": lambda batch: channel_statistics(batch, 0.0)[0],
    "of all channels": lambda batch: np.full(batch.shape[-1], batch.mean(dtype=np.float64)),
    "of the first image": lambda batch: channel_statistics(batch[:1], 0.0)[0],
    "none": lambda batch: np.zeros(batch.shape[-1]),
}

# (batch, its channels' means) -> the variance of each channel
DEVIATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "population": lambda batch, mean: _variance(batch, mean, 0),
    "sample": lambda batch, mean: _variance(batch, mean, 1),
    "variance": lambda batch, mean: _variance(batch, mean, 0) ** 2,
    "all channels together": lambda batch, mean: np.full(
        batch.shape[-1], _variance(batch, mean, 0).mean()),
    "of the first image": lambda batch, mean: _variance(
        batch[:1], channel_statistics(batch[:1], 0.0)[0], 0),
    "of each pixel, averaged": lambda batch, mean: batch.std(axis=0).mean(axis=(0, 1)) ** 2,
    "of each image, averaged": lambda batch, mean: batch.std(axis=(1, 2)).mean(axis=0) ** 2,
    "none": lambda batch, mean: np.ones(batch.shape[-1]),
}

# (variance, eps of the number type) -> deviation.
EPSILONS: dict[str, Callable[[Array, float], Array]] = {
    "10 eps": lambda variance, eps: sqrt(variance) + 10 * eps,
    "none": lambda variance, eps: sqrt(variance),
    "1e-6": lambda variance, eps: sqrt(variance) + 1e-6,
    "1e-3": lambda variance, eps: sqrt(variance) + 1e-3,
    "1e-5 in the variance": lambda variance, eps: sqrt(variance + 1e-5),
}


def started(batch: Array, form: str, means: str, deviation: str, epsilon: str,
            eps: float) -> tuple[Array, Array]:
    """(m, v) that normalise a batch in ActNorm's form `form`.

    Args:
      batch: [..., C].
      form: a name in ACTNORMS whose map can be any shift and positive scale.
      means, deviation, epsilon: names in MEANS, DEVIATIONS and EPSILONS.
      eps: the distance from 1 to the next number of the type that is meant.
    """
    wide = batch.astype(np.float64)
    mean = MEANS[means](wide)
    around = MEANS["of each channel"](wide) if means == "none" else mean
    return STARTS[form](mean, EPSILONS[epsilon](DEVIATIONS[deviation](wide, around), eps))


STARTS: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "(x + m) exp(v)": lambda mean, d: (-mean, -np.log(d)),
    "x exp(v) + m": lambda mean, d: (-mean / d, -np.log(d)),
    "(x - m) exp(v)": lambda mean, d: (mean, -np.log(d)),
    "(x - m) exp(-v)": lambda mean, d: (mean, np.log(d)),
    "(x + m) exp(-v)": lambda mean, d: (-mean, np.log(d)),
    "x exp(-v) - m": lambda mean, d: (mean / d, np.log(d)),
    "x exp(-v) + m": lambda mean, d: (-mean / d, np.log(d)),
    "(x + m) exp(3 v)": lambda mean, d: (-mean, -np.log(d) / 3),
    "(x + m) v": lambda mean, d: (-mean, 1 / d),
    "x v + m": lambda mean, d: (-mean / d, 1 / d),
    "x + m": lambda mean, d: (-mean, -np.log(d)),
    "x exp(v)": lambda mean, d: (-mean, -np.log(d)),
}


def _variance(batch: Array, mean: Array, fewer: int) -> Array:
    """Of each channel [..., C] around its mean, of all pixels but `fewer`."""
    axes = tuple(range(batch.ndim - 1))
    return np.asarray(((batch - mean) ** 2).sum(axis=axes) / (batch[..., 0].size - fewer))
