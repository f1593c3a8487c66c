"""The mean bits per dimension of images, from one batch at a time, and from parts of a data set.

The sums are exact, so that the mean does not depend on the order or on how the images were divided
among batches, processes or machines: it is the true mean of the images' bits/dim, rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import DEFAULT_FLOAT, Array
from refglow.training.dequantize import bits_per_dim, dequantize, noise_generator
from refglow.training.model import distribution_of


@dataclass
class MeanBitsPerDim:
    """A mean that grows by batches, and how uncertain it is.

    Attributes:
      count: the number of images.
      not_finite: how many of them have bits/dim that are infinite or NaN.
      total, squares: the sums of the others' bits/dim and of their squares. A float64 is a whole
        number times a power of two, so these are fractions of bounded size.
      lost: the sum of those that are not finite, inf, -inf or NaN; 0 if there are none.
    """

    count: int = 0
    not_finite: int = 0
    total: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)
    lost: float = 0.0

    @property
    def mean(self) -> float:
        """Of the bits/dim, correctly rounded; infinite or NaN if one of them is."""
        if self.not_finite:
            return self.lost
        return float(self.total / self.count) if self.count else 0.0

    @property
    def standard_error(self) -> float:
        """sqrt(sample variance / count), from the spread of the images; 0 for one image."""
        if self.count < 2:
            return 0.0
        if self.not_finite:
            return math.nan
        # Nothing cancels in fractions: sum of (v - mean)^2 = sum of v^2 - (sum of v)^2 / count.
        deviations = self.squares - self.total**2 / self.count
        try:
            return math.sqrt(deviations / (self.count - 1) / self.count)
        except OverflowError:
            return math.inf

    def add(self, values: Array) -> None:
        """Take in a batch of bits/dim, float64 [n]."""
        finite = np.isfinite(values)
        exact = [Fraction(value) for value in values[finite].tolist()]
        self.count += len(values)
        self.not_finite += int((~finite).sum())
        self.total += sum(exact, Fraction(0))
        self.squares += sum((value**2 for value in exact), Fraction(0))
        with np.errstate(invalid="ignore"):  # inf - inf
            self.lost += float(values[~finite].sum())

    def include(self, other: MeanBitsPerDim) -> None:
        """Take in the images of another part of the data."""
        self.count += other.count
        self.not_finite += other.not_finite
        self.total += other.total
        self.squares += other.squares
        self.lost += other.lost


def measured_bits_per_dim(glow: Glow, batches: Iterable[Array], bits: int, n_bits: int,
                          seed: int, first: int = 0) -> MeanBitsPerDim:
    """The mean over images of -log p(x) / (D ln 2) + n_bits, x dequantized.

    Args:
      glow: the model; the latents are standard normal.
      batches: levels, whole numbers [n, H, W, C].
      bits: of the levels.
      n_bits: how many of them are kept.
      seed: of the dequantization noise. An image's depends on it and on its number alone, so parts
        of a data set get the noise that they get in the whole.
      first: the number of the first image, if the batches are not the beginning of the data.
    """
    distribution, dtype = distribution_of(glow), glow.dtype or DEFAULT_FLOAT
    rng = noise_generator(seed, first * math.prod(glow.parameters["output_shape"]), dtype)
    found = MeanBitsPerDim()
    for levels in batches:
        x = dequantize(levels, bits, n_bits, rng, dtype)
        with np.errstate(all="ignore"):  # what is not finite is counted
            log_prob = distribution.log_prob(x)
        found.add(bits_per_dim(log_prob, x[0].size, n_bits))
    return found
