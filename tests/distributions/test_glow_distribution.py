"""The distribution Glow is for: images from normal latents, random weights in every layer."""

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.validation.random_models import randomize_weights

SHAPE = (8, 4, 3)


def image_distribution(dtype=np.float64, loc=0.0, scale=1.0):
    glow = tfb.Glow(SHAPE, 2, 2, lambda shape: tfb.GlowDefaultNetwork(shape, 7, dtype=dtype),
                    seed=3, dtype=dtype)
    randomize_weights(glow, np.random.default_rng(11), gain=0.5)
    z_shape = glow.inverse_event_shape(SHAPE)
    return glow, glow(tfd.Sample(tfd.Normal(loc, scale), z_shape))


def images(count, dtype=np.float64):
    return (np.random.default_rng(5).random((count, *SHAPE)) - 0.5).astype(dtype)


def test_log_prob_is_the_latents_density_plus_the_log_det():
    glow, px = image_distribution(loc=0.2, scale=1.4)
    x = images(5)
    z = glow.inverse(x)
    expected = (-0.5 * ((z - 0.2) / 1.4) ** 2 - np.log(1.4 * np.sqrt(2 * np.pi))).sum(-1)
    expected = expected + glow.inverse_log_det_jacobian(x, event_ndims=3)
    log_prob = px.log_prob(x)
    assert log_prob.shape == (5,)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-12)
    assert np.abs(glow.inverse_log_det_jacobian(x, event_ndims=3)).min() > 1  # it is not nothing


def test_log_prob_against_the_dense_jacobian():
    """The log-det from the matrix of finite differences of `inverse` alone."""
    glow, px = image_distribution()
    x, h = images(1)[0], 1e-5
    steps = h * np.eye(x.size).reshape(-1, *SHAPE)
    jacobian = (glow.inverse(x + steps) - glow.inverse(x - steps)) / (2 * h)
    z = glow.inverse(x)
    expected = (-0.5 * z**2 - 0.5 * np.log(2 * np.pi)).sum() + np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(px.log_prob(x), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_types(dtype):
    glow, px = image_distribution(dtype)
    assert px.event_shape == SHAPE and px.batch_shape == () and px.dtype == dtype
    assert px.name == "glowSampleNormal"
    assert px.sample(4, seed=0).shape == (4, *SHAPE)
    assert px.sample(seed=0).shape == SHAPE
    assert px.sample((2, 3), seed=0).shape == (2, 3, *SHAPE)
    assert px.sample(2, seed=0).dtype == px.log_prob(images(2, dtype)).dtype == dtype
    assert px.log_prob(images(6, dtype).reshape(2, 3, *SHAPE)).shape == (2, 3)
    assert len(px.trainable_variables) == len(glow.trainable_variables) > 30
    other = np.float64 if dtype == np.float32 else np.float32
    with pytest.raises(TypeError, match=f"astype\\('{np.dtype(dtype)}'\\)"):
        px.log_prob(images(2, other))
    with pytest.raises(ValueError, match=r"\[2, 4, 8, 3\].*\(8, 4, 3\)"):
        px.log_prob(images(2, dtype).swapaxes(1, 2))


def test_draws():
    glow, px = image_distribution()
    x, log_prob = px.sample_and_log_prob(4, seed=0)
    np.testing.assert_array_equal(x, px.sample(4, seed=0))
    z = np.random.default_rng(0).standard_normal((4, 96))
    np.testing.assert_allclose(glow.inverse(x), z, atol=1e-9)
    np.testing.assert_allclose(log_prob, px.log_prob(x), rtol=1e-10)


def test_a_batch_of_latent_distributions():
    glow, _ = image_distribution()
    px = glow(tfd.Sample(tfd.Normal([0.0, 0.5, 1.0], 1.0), 96))
    assert px.batch_shape == (3,) and px.event_shape == SHAPE
    x = images(2)
    each = [glow(tfd.Sample(tfd.Normal(loc, 1.0), 96)).log_prob(x) for loc in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(px.log_prob(x[:, None]), np.stack(each, -1), rtol=1e-12)
    assert px.sample(2, seed=0).shape == (2, 3, *SHAPE)


def test_preprocessing_composes():
    """Pixels in 0..255 are unit-range images scaled: the density loses log 255 per number."""
    _, px = image_distribution()
    pixels = tfb.Scale(np.float64(255.0))(px)
    x = images(2)
    assert pixels.distribution is px.distribution and pixels.event_shape == SHAPE
    np.testing.assert_allclose(pixels.log_prob(255 * x), px.log_prob(x) - 96 * np.log(255),
                               rtol=1e-12)
