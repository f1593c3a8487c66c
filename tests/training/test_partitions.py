"""Bits per dimension are the same to the last bit however the images are divided."""

import math
from fractions import Fraction

import numpy as np
import pytest

import refglow as rg
from refglow.training.bits_per_dim import MeanBitsPerDim, measured_bits_per_dim
from refglow.training.data import ArrayImages
from refglow.training.dequantize import dequantize, noise_generator
from refglow.training.model import affine_network
from refglow.validation.random_models import randomize_weights

SHAPE = (4, 6, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("bits", "n_bits"), [(8, 8), (8, 5), (8, 1), (16, 16), (16, 3)])
def test_an_image_has_its_own_noise(dtype, bits, n_bits):
    levels = np.random.default_rng(1).integers(0, 2**bits, (11, 3, 5, 1)).astype(np.uint16)
    whole = dequantize(levels, bits, n_bits, np.random.default_rng(7), dtype)
    assert len(np.unique(whole)) > 150
    for first in range(11):
        rng = noise_generator(7, first * 15, dtype)  # an odd number of numbers
        np.testing.assert_array_equal(dequantize(levels[first:], bits, n_bits, rng, dtype),
                                      whole[first:])


@pytest.mark.parametrize("backend", ["spec", "cpu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_division_gives_the_same_bits(dtype, backend):
    rng = np.random.default_rng(2)
    glow = rg.bijectors.Glow(SHAPE, 1, 2, affine_network(5), seed=rng, dtype=dtype)
    randomize_weights(glow, rng)
    data = ArrayImages("images", rng.integers(0, 256, (23, *SHAPE), dtype=np.uint8), 8)
    with rg.use_backend(backend):
        whole = measured_bits_per_dim(glow, data.batches(23), 8, 6, seed=3)
        for shard, batch in ((23, 1), (23, 5), (10, 4), (7, 7), (1, 1)):
            parts = []
            for first in range(0, 23, shard):
                images = data.subset(np.arange(first, min(first + shard, 23)))
                parts.append(measured_bits_per_dim(glow, images.batches(batch), 8, 6, 3, first))
            for order in (parts, parts[::-1]):
                found = MeanBitsPerDim()
                for part in order:
                    found.include(part)
                assert found == whole
                assert (found.mean, found.standard_error) == (whole.mean, whole.standard_error)


def test_the_mean_is_the_true_one_rounded_once():
    values = np.random.default_rng(0).normal(3, 1, 50) * 10.0**np.arange(-25, 25)
    found = MeanBitsPerDim()
    found.add(values)
    assert found.mean == math.fsum(values) / 50 == float(sum(map(Fraction, values)) / 50)
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / 50
    variance = sum((value - mean)**2 for value in exact) / 49 / 50
    assert found.standard_error == math.sqrt(variance)


def test_what_is_not_finite_and_what_is_huge():
    found = MeanBitsPerDim()
    found.add(np.array([1e300, -1e300, 1e-300, 5e-324]))
    assert found.mean == float((Fraction(1e-300) + Fraction(5e-324)) / 4)
    assert found.standard_error == math.inf  # its square is no float64
    for values, mean in (([np.inf], math.inf), ([-np.inf, 2.0], -math.inf),
                         ([np.inf, -np.inf], math.nan), ([np.nan, np.inf], math.nan)):
        whole, parts = MeanBitsPerDim(), MeanBitsPerDim()
        whole.add(np.array([1.0, *values]))
        for value in values[::-1]:
            part = MeanBitsPerDim()
            part.add(np.array([value]))
            parts.include(part)
        assert repr(whole.mean) == repr(parts.mean) == repr(mean)
        assert math.isnan(whole.standard_error)
