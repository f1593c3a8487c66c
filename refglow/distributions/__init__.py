"""TFP's distributions, by TFP's names: what Glow's latents are drawn from."""

from refglow.distributions.distribution import Distribution
from refglow.distributions.independent import Independent
from refglow.distributions.normal import Normal
from refglow.distributions.sample import Sample
from refglow.distributions.transformed_distribution import TransformedDistribution

__all__ = ["Distribution", "Independent", "Normal", "Sample", "TransformedDistribution"]
