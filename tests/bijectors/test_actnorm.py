"""ActivationNormalization: what initialises it and how, against live TFP; what it refuses."""

import re
import warnings

import mpmath
import numpy as np
import pytest

import refglow as rg

rgb = rg.bijectors
ACTNORM = rgb.ActivationNormalization

CALLS = {
    "inverse": lambda a, x: a.inverse(x),
    "forward": lambda a, x: a.forward(x),
    "inverse log-det": lambda a, x: a.inverse_log_det_jacobian(x, 3),
    "forward log-det": lambda a, x: a.forward_log_det_jacobian(x, 3)}


def batch(dtype=np.float64, shape=(5, 3, 4, 6)):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) * rng.uniform(0.5, 3, shape[-1]) + 7).astype(dtype)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.tfp
@pytest.mark.filterwarnings("ignore:.*samples rather than data:UserWarning")
def test_the_first_call_initialises_as_in_tfp(call):
    pytest.importorskip("tensorflow_probability")
    import tensorflow as tf
    from tensorflow_probability.python.bijectors import glow as tfp_glow
    ours = ACTNORM(6, dtype=np.float64)
    theirs = tfp_glow.ActivationNormalization(6, dtype=tf.float64)
    x = batch()
    first, expected = CALLS[call](ours, x), CALLS[call](theirs, x)
    np.testing.assert_allclose(first, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.shift, theirs._m, rtol=1e-12)
    np.testing.assert_allclose(np.exp(ours.log_scale), tf.convert_to_tensor(theirs._s), rtol=1e-12)
    assert ours.initialized and bool(theirs._initialized)
    for again in CALLS:
        np.testing.assert_allclose(CALLS[again](ours, 2 * x - 1), CALLS[again](theirs, 2 * x - 1),
                                   rtol=1e-11, atol=1e-11)


def test_initialised_data_has_zero_mean_and_unit_population_deviation():
    actnorm = ACTNORM(6, dtype=np.float64)
    z = actnorm.inverse(batch())
    np.testing.assert_allclose(z.mean(axis=(0, 1, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(np.sqrt((z**2).mean(axis=(0, 1, 2))), 1, rtol=1e-13)


def test_initialised_samples_are_normalised_too():
    actnorm = ACTNORM(6, dtype=np.float64)
    with pytest.warns(UserWarning, match=r"samples rather than data.*initialize\(images\)"):
        x = actnorm.forward(batch())
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1, rtol=1e-13)


def test_later_calls_do_not_change_it():
    actnorm = ACTNORM(6, dtype=np.float64)
    actnorm.inverse(batch())
    before = actnorm.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in CALLS.values():
            call(actnorm, 3 * batch() - 2)
    assert all(np.array_equal(before[name], actnorm.state_dict()[name]) for name in before)


def test_initialize_sets_it_whenever_it_is_called():
    explicit, implicit = ACTNORM(6, dtype=np.float64), ACTNORM(6, dtype=np.float64)
    explicit.inverse(3 * batch())
    explicit.initialize(batch())
    implicit.inverse(batch())
    assert np.array_equal(explicit.shift, implicit.shift)
    assert np.array_equal(explicit.log_scale, implicit.log_scale)
    assert explicit.initialized


def test_statistics_are_over_all_dimensions_but_the_last():
    x = batch(shape=(24, 6))
    flat, stacked = ACTNORM(6, dtype=np.float64), ACTNORM(6, dtype=np.float64)
    flat.inverse(x)
    stacked.inverse(x.reshape(2, 3, 4, 6))
    np.testing.assert_allclose(flat.shift, stacked.shift, rtol=1e-14)
    np.testing.assert_allclose(flat.log_scale, stacked.log_scale, rtol=1e-13)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:.*samples rather than data:UserWarning")
def test_one_bad_number_is_refused_and_changes_nothing(call, bad):
    actnorm, x = ACTNORM(6, dtype=np.float64), batch()
    x[2, 1, 0, 3] = bad
    with pytest.raises(ValueError, match="holds NaN or infinity; its parameters are unchanged"):
        CALLS[call](actnorm, x)
    assert not actnorm.initialized
    assert not np.any(actnorm.shift) and not np.any(actnorm.log_scale)
    actnorm.inverse(batch())
    assert actnorm.initialized


@pytest.mark.parametrize("call", [*CALLS, "initialize"])
@pytest.mark.filterwarnings("ignore:.*samples rather than data:UserWarning")
def test_an_empty_batch_cannot_initialise_it(call):
    actnorm = ACTNORM(6, dtype=np.float64)
    with pytest.raises(ValueError, match="empty batch"):
        CALLS.get(call, lambda a, x: a.initialize(x))(actnorm, batch()[:0])
    assert not actnorm.initialized
    actnorm.inverse(batch())
    assert actnorm.inverse(batch()[:0]).shape == (0, 3, 4, 6)


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, "8.39e+05"), (np.float64, "4.5e+14")])
def test_constant_channels_warn_and_are_named(dtype, scale):
    x = batch(dtype)
    x[..., 1] = 3
    x[..., 4] = 0
    actnorm = ACTNORM(6, dtype=dtype)
    with pytest.warns(UserWarning, match=rf"channels \[1, 4\] are constant.*{re.escape(scale)}"):
        z = actnorm.inverse(x)
    assert np.array_equal(z[..., [1, 4]], np.zeros_like(z[..., [1, 4]]))
    assert np.isfinite(z).all()
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(np.exp(actnorm.log_scale[[1, 4]].astype(float)), 1 / (10 * eps),
                               rtol=1e-5)


@pytest.mark.tfp
def test_a_constant_channel_becomes_what_it_is_in_tfp():
    pytest.importorskip("tensorflow_probability")
    import tensorflow as tf
    from tensorflow_probability.python.bijectors import glow as tfp_glow
    x = np.full((4, 1, 1, 2), 2.5)
    ours, theirs = ACTNORM(2, np.float64), tfp_glow.ActivationNormalization(2, tf.float64)
    with pytest.warns(UserWarning, match="constant"):
        ours.inverse(x)
    theirs.inverse(x)
    np.testing.assert_allclose(np.exp(ours.log_scale), tf.convert_to_tensor(theirs._s), rtol=1e-12)


def test_almost_constant_channels_do_not_warn():
    x = batch()
    x[..., 0] = 1 + 1e-10 * batch()[..., 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ACTNORM(6, dtype=np.float64).inverse(x)


def test_float32_statistics_are_accurate_on_raw_pixels():
    """A float32 sum over 10^5 pixels near 255 would lose the variance's digits."""
    rng = np.random.default_rng(0)
    x = (250 + rng.random((8, 128, 128, 1))).astype(np.float32)
    actnorm = ACTNORM(1)
    actnorm.initialize(x)
    assert actnorm.shift.dtype == actnorm.log_scale.dtype == np.float32
    wide = x.astype(np.float64)
    np.testing.assert_allclose(actnorm.shift[0], -wide.mean(), rtol=1e-7)
    np.testing.assert_allclose(actnorm.log_scale[0], -np.log(wide.std() + 10 * 2.0**-23), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble,
                                   np.complex64, np.complex128, object])
def test_it_initialises_in_every_number_type(dtype):
    actnorm = ACTNORM(3, dtype=dtype)
    z = actnorm.inverse(batch(dtype, (50, 3)))
    assert z.dtype == dtype and actnorm.initialized
    values = z.astype(complex).real
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-2)


def test_it_initialises_in_arbitrary_precision():
    with mpmath.workdps(40):
        x = np.asarray([[mpmath.mpf(k) / 7] for k in (1, 2, 4)], dtype=object)
        actnorm = ACTNORM(1, dtype=object)
        z = actnorm.inverse(x)
        exact = (x[:, 0] - x[:, 0].sum() / 3)
        deviation = mpmath.sqrt((exact**2).sum() / 3) + 10 * mpmath.mpf(2)**-52
        assert max(abs(z[:, 0] - exact / deviation)) < mpmath.mpf(10)**-35


def test_numbers_of_another_kind_cannot_be_its_start():
    """A float64 ActNorm cannot keep complex statistics; nothing is half done."""
    actnorm = ACTNORM(3, dtype=np.float64)
    with pytest.raises(ValueError, match="holds float64"):
        actnorm.inverse(batch(np.complex128, (5, 3)))
    assert not actnorm.initialized and not np.any(actnorm.shift)


@pytest.mark.parametrize("call", [*CALLS, "initialize"])
def test_other_channels_are_refused_before_anything_changes(call):
    actnorm = ACTNORM(5, dtype=np.float64)
    with pytest.raises(ValueError, match="inputs have 6 channels; it was built for 5"):
        CALLS.get(call, lambda a, x: a.initialize(x))(actnorm, batch())
    assert not actnorm.initialized
    with pytest.raises(ValueError, match="6 channels"):
        actnorm.forward_event_shape((2, 6))
    with pytest.raises(ValueError, match="fewer than 1 dimensions"):
        actnorm.inverse_event_shape(())


def test_no_dtype_means_float32():
    actnorm = ACTNORM(3, dtype=None)
    assert actnorm.dtype == actnorm.shift.dtype == np.float32


def test_the_flag_travels_with_the_state():
    source, target = ACTNORM(6, dtype=np.float64), ACTNORM(6, dtype=np.float64)
    source.inverse(batch())
    target.load_state_dict(source.state_dict())
    assert target.initialized
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(target.forward(batch()), source.forward(batch()))
    target.reset()
    assert not target.initialized
    target.mark_initialized()
    assert target.initialized


def test_log_dets_are_those_of_every_pixel():
    actnorm = ACTNORM(6, dtype=np.float64)
    actnorm.inverse(batch())
    total = float(np.sum(actnorm.log_scale))
    np.testing.assert_allclose(actnorm.inverse_log_det_jacobian(batch(), 3), [12 * total] * 5)
    np.testing.assert_allclose(actnorm.forward_log_det_jacobian(batch(), 1),
                               np.full((5, 3, 4), -total))
