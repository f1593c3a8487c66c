"""TFP's documented example of Glow, with its imports changed, on CIFAR-shaped random images."""

import warnings

import numpy as np
import pytest

import refglow as rg

tfb = rg.bijectors
tfd = rg.distributions


def batches():
    """What the tfds pipeline yields: dicts with a batch of 4 uint8 images."""
    rng = np.random.default_rng(0)
    for _ in range(2):
        yield {"image": rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)}


def test_the_documented_example_runs():
    preprocess = lambda x: np.asarray(x["image"], np.float32)  # noqa: E731
    x = next(iter(map(preprocess, batches())))

    glow = tfb.Glow(output_shape=x.shape[1:],
                    coupling_bijector_fn=tfb.GlowDefaultNetwork,
                    exit_bijector_fn=tfb.GlowDefaultExitNetwork)

    z_shape = glow.inverse_event_shape(x.shape[1:])
    assert z_shape.as_list() == [3072]

    pz = tfd.Sample(tfd.Normal(0., 1.), z_shape)

    # Calling glow on distribution p(z) creates our glow distribution over images.
    px = glow(pz)
    assert (px.event_shape, px.batch_shape, px.dtype) == ((32, 32, 3), (), np.float32)

    # Take samples from the distribution to get images from your dataset
    with pytest.warns(UserWarning, match="initialised from samples rather than data"):
        images = px.sample(4)
    assert images.shape == (4, 32, 32, 3) and images.dtype == np.float32
    assert np.isfinite(images).all()

    # Map images to positions in the distribution
    z = glow.inverse(x)
    assert z.shape == (4, 3072) and np.isfinite(z).all()

    # The documented recipe for the latents of each scale runs; what it gives is not the scales.
    ztake = [bs[1] * 4**(i+2) for i, bs in enumerate(glow.blockwise_splits)]
    total_z_taken = sum(ztake)
    split_sizes = [z_shape.as_list()[0]-total_z_taken] + ztake
    zsplits = np.split(z, np.cumsum(split_sizes)[:-1], axis=-1)
    assert [part.shape[-1] for part in zsplits] == split_sizes == [768, 0, 768, 1536]

    # split_latents does what the recipe means.
    scales = glow.split_latents(z)
    assert [part.shape[1:] for part in scales] == [(4, 4, 48), (8, 8, 12), (16, 16, 6)]
    assert [part[0].size for part in scales] == [size for size in split_sizes if size]
    assert not np.array_equal(np.sort(zsplits[-1].ravel()), np.sort(scales[-1].ravel()))
    assert np.array_equal(glow.merge_latents(scales), z)


def test_the_example_as_one_should_write_it():
    """Images scaled and the ActNorms initialised from them: latents are of order one."""
    x = (next(batches())["image"] / 256 - 0.5).astype(np.float32)
    glow = tfb.Glow((32, 32, 3), num_steps_per_block=2, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glow.initialize(x)
        px = glow(tfd.Sample(tfd.Normal(0., 1.), glow.inverse_event_shape((32, 32, 3))))
        log_prob = px.log_prob(x)
        samples = px.sample(2, seed=0)
    assert log_prob.shape == (4,) and log_prob.dtype == np.float32
    z, ildj = glow.inverse_and_log_det(x)
    by_hand = -0.5 * (z.astype(float)**2).sum(-1) - 1536 * np.log(2 * np.pi) + ildj
    np.testing.assert_allclose(log_prob, by_hand, rtol=1e-5)
    np.testing.assert_allclose(glow.forward(z), x, atol=1e-3)
    assert samples.shape == (2, 32, 32, 3)
    assert np.array_equal(samples, px.sample(2, seed=0))
