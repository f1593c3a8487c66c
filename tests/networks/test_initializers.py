"""Starting weights: their distributions, against Keras' own draws."""

import math

import numpy as np
import pytest
import scipy.stats

from refglow.networks import Conv2D, Dense
from refglow.networks.initializers import fan_in, glorot_uniform, he_normal, zeros

SHAPE = (3, 3, 40, 100)


def he_distribution(shape):
    """A normal cut at two of its standard deviations, of standard deviation sqrt(2 / fan_in)."""
    cut = scipy.stats.truncnorm(-2, 2)
    return scipy.stats.truncnorm(-2, 2, scale=math.sqrt(2 / fan_in(shape)) / cut.std())


def test_fan_in_counts_what_one_output_sees():
    assert fan_in((3, 5, 7, 11)) == 3 * 5 * 7
    assert fan_in((7, 11)) == 7


def test_he_normal_has_the_stated_distribution():
    values = he_normal(SHAPE, np.random.default_rng(0)).astype(float).reshape(-1)
    wanted = math.sqrt(2 / 360)
    assert values.mean() == pytest.approx(0, abs=4 * wanted / math.sqrt(values.size))
    assert values.std() == pytest.approx(wanted, rel=0.01)
    bound = he_distribution(SHAPE).support()[1]
    assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
    assert scipy.stats.kstest(values, he_distribution(SHAPE).cdf).pvalue > 0.01


def test_the_test_tells_an_untruncated_normal_apart():
    values = np.random.default_rng(0).standard_normal(math.prod(SHAPE)) * math.sqrt(2 / 360)
    assert scipy.stats.kstest(values, he_distribution(SHAPE).cdf).pvalue < 1e-6


@pytest.mark.tfp
@pytest.mark.parametrize(("ours", "theirs"), [(he_normal, "HeNormal"),
                                              (glorot_uniform, "GlorotUniform")])
def test_same_distribution_as_keras(ours, theirs):
    pytest.importorskip("tensorflow_probability")
    tf_keras = pytest.importorskip("tf_keras")
    drawn = getattr(tf_keras.initializers, theirs)(seed=1)(SHAPE).numpy().reshape(-1)
    mine = ours(SHAPE, np.random.default_rng(0)).reshape(-1)
    assert mine.dtype == drawn.dtype == np.float32
    assert scipy.stats.ks_2samp(mine, drawn).pvalue > 0.01
    assert scipy.stats.ks_2samp(mine * np.float32(1.06), drawn).pvalue < 0.01


def test_glorot_uniform_is_uniform_on_its_interval():
    values = glorot_uniform(SHAPE, np.random.default_rng(0)).astype(float).reshape(-1)
    limit = math.sqrt(6 / (9 * (40 + 100)))
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    assert scipy.stats.kstest(values, scipy.stats.uniform(-limit, 2 * limit).cdf).pvalue > 0.01


def test_zeros():
    assert not zeros((2, 3), np.random.default_rng(0)).any()


def test_layers_start_as_keras_layers_do():
    conv = Conv2D(40, 100, 3, kernel_initializer="he_normal", seed=0)
    assert scipy.stats.kstest(conv.kernel.numpy().reshape(-1),
                              he_distribution(SHAPE).cdf).pvalue > 0.01
    assert not conv.bias.numpy().any()
    layer = Dense(200, 300, seed=0)
    limit = math.sqrt(6 / 500)
    assert scipy.stats.kstest(layer.kernel.numpy().reshape(-1),
                              scipy.stats.uniform(-limit, 2 * limit).cdf).pvalue > 0.01
    assert not layer.bias.numpy().any()


def test_seeds_repeat():
    for make in (lambda seed: Conv2D(2, 3, 3, seed=seed), lambda seed: Dense(2, 3, seed=seed)):
        assert np.array_equal(make(1).kernel, make(1).kernel)
        assert not np.array_equal(make(1).kernel, make(2).kernel)
        assert not np.array_equal(make(None).kernel, make(None).kernel)
