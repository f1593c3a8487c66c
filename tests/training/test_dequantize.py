"""Levels, noise and bits per dimension, against exact fractions and brute force."""

from fractions import Fraction

import numpy as np
import pytest

from refglow.training.dequantize import bits_per_dim, dequantize, quantize


class Fixed:
    """A generator whose noise is always the smallest or the largest that was asked for."""

    def __init__(self, largest):
        self.largest = largest

    def integers(self, low, high, size, dtype):
        return np.full(size, high - 1 if self.largest else low, dtype)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("bits", "n_bits"), [(8, 8), (8, 5), (5, 5), (8, 1), (1, 1), (16, 16),
                                              (16, 8), (12, 7)])
def test_every_level_stays_in_its_cell_at_both_ends_of_the_noise(bits, n_bits, dtype):
    levels = np.arange(2**bits, dtype=np.uint16)
    width = Fraction(1, 2**n_bits)
    for largest in (False, True):
        x = dequantize(levels, bits, n_bits, Fixed(largest), dtype)
        assert x.dtype == dtype and x.shape == levels.shape
        for k, value in zip(levels[::7].tolist(), x[::7].tolist(), strict=True):
            edge = Fraction(k // 2 ** (bits - n_bits)) * width - Fraction(1, 2)
            grid = Fraction(1, 2 ** (np.finfo(dtype).nmant + 2))
            assert Fraction(value) == (edge + width - grid if largest else edge)
        assert x.min() >= -0.5 and x.max() < 0.5
        assert np.array_equal(quantize(x, n_bits), levels >> (bits - n_bits))


def test_adding_noise_in_float32_would_leave_the_cell():
    """The danger is real: what the whole-number arithmetic avoids."""
    u = np.nextafter(np.float32(1 / 256), np.float32(0))
    naive = np.arange(256, dtype=np.float32) / np.float32(256) - np.float32(0.5) + u
    assert (np.floor(naive.astype(float) * 256) + 128 != np.arange(256)).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_uniform_and_independent(rng, dtype):
    levels = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    x = dequantize(levels, 8, 5, rng, dtype).astype(float)
    u = (x + 0.5) * 32 - levels // 8
    number = u.size
    assert (u >= 0).all() and (u < 1).all()
    counts = np.bincount((u.ravel() * 16).astype(int), minlength=16)
    # Chi-squared of 15 degrees of freedom: beyond 50 once in 80000 draws.
    assert ((counts - number / 16) ** 2 / (number / 16)).sum() < 50
    centred = u.reshape(200, -1) - 0.5
    correlation = (centred[:, 1:] * centred[:, :-1]).mean() * 12
    assert abs(correlation) < 5 / number**0.5
    assert abs((centred.ravel() * (levels.ravel() - 127.5)).mean()) < 5 * 0.29 * 74 / number**0.5


def test_draws_follow_the_generator():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    first, again, other = (dequantize(levels, 8, 8, np.random.default_rng(seed))
                           for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_quantize_is_the_floor_in_exact_arithmetic(rng, dtype):
    x = np.concatenate([rng.uniform(-0.7, 0.7, 300), np.arange(-40, 40) / 64]).astype(dtype)
    x = np.concatenate([x, np.nextafter(x, dtype(-1)), np.nextafter(x, dtype(1))])
    for n_bits in (1, 5, 8, 11):
        exact = [(Fraction(v) + Fraction(1, 2)) * 2**n_bits // 1 for v in x.tolist()]
        levels = quantize(x, n_bits)
        assert levels.tolist() == np.clip(exact, 0, 2**n_bits - 1).tolist()
        assert levels.dtype == (np.uint8 if n_bits <= 8 else np.uint16)


def test_quantize_clips_what_is_outside():
    assert quantize([-np.inf, -1e300, -0.5, 0.5, 7, 1e300, np.inf], 8).tolist() == (
        [0, 0, 0, 255, 255, 255, 255])
    assert quantize(0.0, 8) == 128
    with pytest.raises(ValueError, match=r"x is NaN at 2 of 3 places.*diverged"):
        quantize(np.array([np.nan, 0, np.nan]), 8)


# ---- bits per dimension ---------------------------------------------------------------------

N_BITS, DIMS = 2, 2  # 16 images of two dimensions with 4 levels


def cells():
    return np.stack(np.meshgrid(*[np.arange(4)] * DIMS, indexing="ij"), -1).reshape(-1, DIMS)


def test_equals_the_code_length_where_the_density_is_constant_in_each_cell(rng):
    probability = rng.dirichlet(np.ones(16))
    images = cells()
    x = dequantize(np.repeat(images, 50, 0), N_BITS, N_BITS, rng, np.float64)
    density = probability[np.ravel_multi_index(quantize(x, N_BITS).T, (4, 4))] * 4**DIMS
    found = bits_per_dim(np.log(density), DIMS, N_BITS)
    np.testing.assert_allclose(found, np.repeat(-np.log2(probability) / DIMS, 50), rtol=1e-13)


@pytest.mark.parametrize("slope", [0.5, -3.0, 8.0])
def test_bounds_the_code_length_by_the_jensen_gap(slope):
    """p(x) proportional to exp(slope * sum of x): log p is linear, so both sides are known.

    The mean of log p over a cell is log p at its middle; P(cell) is an integral in closed form. In
    each dimension the gap between the two is log(sinh(h) / h) nats, h half the change in the cell.
    """
    log_normaliser = np.log(2 * np.sinh(slope / 2) / slope)
    width = 2.0**-N_BITS
    lower = cells() * width - 0.5
    mass = (np.exp(slope * (lower + width)) - np.exp(slope * lower)) / slope
    code_length = -np.log2(mass / np.exp(log_normaliser)).sum(-1) / DIMS
    noise = (np.arange(400) + 0.5) / 400 * width  # the mean over u, by the midpoint rule
    u = np.stack(np.meshgrid(noise, noise), -1).reshape(-1, DIMS)
    log_prob = np.array([(slope * (corner + u) - log_normaliser).sum(-1).mean()
                         for corner in lower])
    gap = bits_per_dim(log_prob, DIMS, N_BITS) - code_length
    half = abs(slope) * width / 2
    assert (gap > 0).all()
    np.testing.assert_allclose(gap, np.log(np.sinh(half) / half) / np.log(2), rtol=1e-6)


def test_uniform_density_costs_all_the_bits():
    assert bits_per_dim(0.0, 3072, 8) == 8
    found = bits_per_dim(np.float32([1000, -1000]), 12, 5)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [(12 * 5 * np.log(2) - s * 1000) / (12 * np.log(2))
                                       for s in (1, -1)], rtol=1e-14)


# ---- bad input ------------------------------------------------------------------------------

@pytest.mark.parametrize(("levels", "bits", "n_bits", "message"), [
    ([0], 8, 9, r"n_bits must be a whole number in 1\.\.8; got 9"),
    ([0], 8, 0, "got 0"), ([0], 8, 5.5, r"got 5\.5"), ([0], 17, 8, r"bits must .* 1\.\.16; got 17"),
    ([[3, 32], [40, 1]], 5, 5, r"0\.\.31; got 32, and 2 such"), ([-1], 8, 8, "got -1"),
    (np.array(256), 8, 8, "got 256")])
def test_values_out_of_range_are_refused(rng, levels, bits, n_bits, message):
    with pytest.raises(ValueError, match=message):
        dequantize(levels, bits, n_bits, rng)


def test_other_types_are_refused(rng):
    with pytest.raises(TypeError, match="whole numbers; got float64"):
        dequantize([0.5], 8, 8, rng)
    with pytest.raises(TypeError, match="float32 or float64; got float16"):
        dequantize([1], 8, 8, rng, np.float16)
    with pytest.raises(ValueError, match="num_dims must be at least 1; got 0"):
        bits_per_dim(0.0, 0, 8)
    with pytest.raises(ValueError, match="n_bits"):
        quantize([0.0], 17)
