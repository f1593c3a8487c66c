"""The mean bits per dimension of images, from one batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import DEFAULT_FLOAT, Array
from refglow.training.dequantize import bits_per_dim, dequantize
from refglow.training.model import distribution_of


@dataclass
class MeanBitsPerDim:
    """A mean that grows by batches, and how uncertain it is.

    Attributes:
      count: the number of images.
      mean: of their bits/dim; infinite or NaN if one of them is.
      not_finite: how many of them are.
    """

    count: int = 0
    mean: float = 0.0
    not_finite: int = 0
    _squares: float = 0.0  # sum of (value - mean)^2

    @property
    def standard_error(self) -> float:
        """sqrt(sample variance / count), from the spread of the images; 0 for one image."""
        if self.count < 2:
            return 0.0
        return math.sqrt(self._squares / (self.count - 1) / self.count)

    def add(self, values: Array) -> None:
        """Take in a batch of bits/dim, float64 [n], n at least 1.

        Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance".
        """
        with np.errstate(invalid="ignore"):  # inf - inf
            count, mean = self.count + len(values), float(values.mean())
            step = mean - self.mean
            self._squares += (float(np.square(values - mean).sum())
                              + step**2 * self.count * len(values) / count)
            self.mean += step * len(values) / count
        self.count = count
        self.not_finite += int((~np.isfinite(values)).sum())


def measured_bits_per_dim(glow: Glow, batches: Iterable[Array], bits: int, n_bits: int,
                          seed: int) -> MeanBitsPerDim:
    """The mean over images of -log p(x) / (D ln 2) + n_bits, x dequantized.

    Args:
      glow: the model; the latents are standard normal.
      batches: levels, whole numbers [n, H, W, C].
      bits: of the levels.
      n_bits: how many of them are kept.
      seed: of the dequantization noise, which is the same for any size of the batches.
    """
    distribution, rng = distribution_of(glow), np.random.default_rng(seed)
    found = MeanBitsPerDim()
    for levels in batches:
        x = dequantize(levels, bits, n_bits, rng, glow.dtype or DEFAULT_FLOAT)
        with np.errstate(all="ignore"):  # what is not finite is counted
            log_prob = distribution.log_prob(x)
        found.add(bits_per_dim(log_prob, x[0].size, n_bits))
    return found
