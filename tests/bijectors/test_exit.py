"""Exits with any fraction, affine and additive; the arithmetic of blockwise_splits, against TFP."""

import re
from itertools import pairwise

import numpy as np
import pytest

import refglow as rg
from refglow.bijectors.glow_shapes import blockwise_splits_of
from refglow.elementary import sigmoid
from refglow.validation.random_models import randomize_weights

rgb = rg.bijectors
LEAVE_GRAB = [(1, 1), (1, 3), (3, 1), (2, 6), (5, 2), (4, 4), (7, 1)]


def by_hand(x, leave, grab, network, direction):
    """The exit's map and log-det, written out: leave | grab | pass, exp(r + 2)."""
    stays, exits, passed = np.split(x, [leave, leave + grab], axis=-1)
    output = network(stays)
    if output.shape[-1] == grab:
        log_scale, shift = np.zeros_like(exits), output
    else:
        log_scale, shift = output[..., :grab] + 2, output[..., grab:]
    if direction == "forward":
        moved, sign = exits * np.exp(log_scale) + shift, 1
    else:
        moved, sign = (exits - shift) * np.exp(-log_scale), -1
    return np.concatenate([stays, moved, passed], -1), sign * log_scale.sum(axis=(1, 2, 3))


@pytest.mark.parametrize(("leave", "grab"), LEAVE_GRAB)
@pytest.mark.parametrize("passed", [0, 3])
@pytest.mark.parametrize("kind", ["affine", "additive"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_any_number_of_channels_may_leave(leave, grab, passed, kind, direction):
    def additive(input_shape, output_chan, dtype):
        return rg.networks.Conv2D(input_shape[-1], output_chan, 3, dtype=dtype)

    exit_ = rgb.ExitBijector((3, 2, leave + grab + passed), (leave, grab, passed),
                             None if kind == "affine" else additive, dtype=np.float64)
    rng = np.random.default_rng(leave * 10 + grab)
    randomize_weights(exit_, rng)
    x = rng.standard_normal((2, 3, 2, leave + grab + passed))
    value, log_det = getattr(exit_, f"{direction}_and_log_det")(x, 3)
    expected, expected_log_det = by_hand(x, leave, grab, exit_.exit_layer, direction)
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(log_det, expected_log_det, rtol=1e-13, atol=1e-13)
    assert np.any(log_det != 0) == (kind == "affine")


@pytest.mark.parametrize("splits", [(0, 4, 2), (4, 0, 2), (0, 4, 0), (4, 0, 0), (0, 0, 4)])
def test_where_nothing_is_left_or_exits_nothing_is_coupled(splits):
    def never(*_, **__):
        raise AssertionError("no network is needed")

    exit_ = rgb.ExitBijector((2, 3, sum(splits)), splits, never)
    assert exit_.exit_layer is None and exit_.variables == ()
    x = np.random.default_rng(0).standard_normal((2, 2, 3, sum(splits))).astype(np.float32)
    y, fldj = exit_.forward_and_log_det(x, 3)
    assert np.array_equal(y, x) and fldj.tolist() == [0, 0]


@pytest.mark.parametrize("fractions", [
    (0.3, 0.8), (0.25, 0.0), (0.75, 0.5), (0.1, 0.9), (0.6, 1.0), (0.0, 1.0), (0.49, 0.04)])
@pytest.mark.parametrize("affine", [True, False])
def test_glow_with_any_fraction_is_a_bijection(fractions, affine):
    def network(input_shape, output_chan=None, dtype=np.float64, seed=None):
        outputs = (output_chan or input_shape[-1]) * (2 if affine else 1)
        return rg.networks.Conv2D(input_shape[-1], outputs, 1, seed=seed, dtype=dtype)

    glow = rgb.Glow((4, 8, 3), 2, 1, network, network, grab_after_block=fractions, seed=0,
                    dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(0), gain=0.5)
    x = np.random.default_rng(1).random((3, 4, 8, 3))
    z, ildj = glow.inverse_and_log_det(x)
    back, fldj = glow.forward_and_log_det(z)
    np.testing.assert_allclose(back, x, atol=1e-10)
    np.testing.assert_allclose(fldj, -ildj, rtol=1e-11)
    assert sum(p[0].size for p in glow.split_latents(z)) == 96


def test_scale_and_shift_are_the_low_and_the_high_half_of_the_output():
    raw, shift = 0.3, -0.7
    exit_ = rgb.ExitBijector((1, 1, 3), (1, 2, 0), lambda s, output_chan: lambda x: np.full(
        (*x.shape[:-1], 4), np.float64([raw, raw, shift, shift])), dtype=np.float64)
    block = rgb.GlowBlock((1, 1, 4), 1, lambda s: lambda x: np.full(
        (*x.shape[:-1], 4), np.float64([raw, raw, shift, shift])), False, dtype=np.float64)
    y = exit_.forward(np.float64([[[[5.0, 1.0, 2.0]]]]))
    np.testing.assert_allclose(y.reshape(-1), [5, np.exp(2.3) - 0.7, 2 * np.exp(2.3) - 0.7])
    z = np.float64([[[[5.0, 6.0, 1.0, 2.0]]]])
    coupling = block.bijectors[1]
    assert coupling.name == "invert_real_nvp"
    scale = sigmoid(np.float64(2.3))
    np.testing.assert_allclose(coupling.inverse(z).reshape(-1),
                               [5, 6, scale - 0.7, 2 * scale - 0.7])


# ---- fractions ----------------------------------------------------------------------------------

@pytest.mark.tfp
def test_fractions_truncate_as_in_tfp():
    tfb = pytest.importorskip("tensorflow_probability").bijectors
    rng = np.random.default_rng(0)
    bare = tfb.Glow.__new__(tfb.Glow)
    compared = 0
    for _ in range(500):
        n, channels = int(rng.integers(1, 5)), int(rng.integers(1, 8))
        fractions = [float(f) for f in rng.choice(
            [rng.random(), 0.5, 1 / 3, 0.1, 0.7, 0.3, 0.9, 0.29, 0.57], size=n)]
        theirs = bare._get_blockwise_splits((2**n, 2**n, channels), fractions[::-1])
        if any(min(split[:2]) < 1 for split in theirs):
            continue
        ours = blockwise_splits_of((2**n, 2**n, channels), n, fractions)
        assert [list(split) for split in ours] == [list(split) for split in theirs], fractions
        compared += 1
    assert compared > 200


def test_splits_account_for_every_channel():
    splits = blockwise_splits_of((8, 8, 3), 3, (0.3, 0.8, 0.25))
    for i, (leave, grab, passed) in enumerate(splits):
        assert leave + grab + passed == 3 * 4**(3 - i)
    for (leave, grab, passed), (finer_leave, finer_grab, finer_passed) in pairwise(splits):
        assert leave + grab == 4 * finer_leave
        assert passed == 4 * (finer_grab + finer_passed)


@pytest.mark.parametrize(("fractions", "message"), [
    ((1.0, 0.0), "grab_after_block[0] = 1.0 (after block 1 from the image, where 12 channels "
                 "remain) takes all channels out"),
    ((0.5, 0.01), "grab_after_block[1] = 0.01 (after block 2 from the image, where 24 channels "
                  "remain) takes less than one channel"),
    ((0.01, 0.0), "grab_after_block[0] = 0.01"), ((0.01, 0.5), "grab_after_block[0] = 0.01"),
    ((0.5, 1.5), "grab_after_block[1] = 1.5"), ((-0.5, 0.5), "grab_after_block[0] = -0.5"),
    ((0.5, np.nan), "grab_after_block[1] = nan"), ((np.inf, 0.0), "grab_after_block[0] = inf"),
    ((0.5,), "has 1 fractions; there are 2 blocks"),
    ((0.5, 0.5, 0.0), "has 3 fractions; there are 2 blocks"),
    (0.5, "must be a sequence of numbers"), (("half", 0.0), "must be a sequence of numbers")])
def test_wrong_fractions_are_named(fractions, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        rgb.Glow((4, 8, 3), 2, 0, grab_after_block=fractions)


@pytest.mark.parametrize("channels", range(1, 40))
def test_the_fraction_that_the_message_proposes_works(channels):
    with pytest.raises(ValueError, match="at least") as error:
        blockwise_splits_of((4, 4, channels), 1, (1e-9,))
    proposed = float(str(error.value).rsplit(" ", 1)[1].rstrip("."))
    assert blockwise_splits_of((4, 4, channels), 1, (proposed,))[0][1] == 1


@pytest.mark.parametrize(("shape", "splits", "message"), [
    ((2, 3, 8), (3, 3, 1), "3 + 3 + 1 must add up to the 8 channels"),
    ((2, 3, 8), (3, -3, 8), "blockwise_splits must be a whole number, at least 0; got -3"),
    ((2, 3, 8), (3.5, 3.5, 1), "got 3.5"), ((3, 8), (4, 4, 0), "input_shape must be three")])
def test_splits_that_do_not_fit_the_shape_are_refused(shape, splits, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        rgb.ExitBijector(shape, splits)
