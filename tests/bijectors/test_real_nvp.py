"""RealNVP: masks, the two kinds of functions, conditioning, against live TFP and by hand."""

import numpy as np
import pytest

import refglow as rg

rgb = rg.bijectors
X = np.random.default_rng(0).standard_normal((3, 2, 7))


def shift_and_log_scale(module):
    """sin and cos of the deciding channels' sum, for as many units as asked."""
    def fn(x0, output_units, label=0.0):
        units = np.arange(1.0, int(output_units) + 1)
        total = module.sum(x0, axis=-1)[..., None] * units + label
        return module.sin(total), module.cos(total)
    return fn


class TensorFlowModule:
    """What `shift_and_log_scale` needs, in TensorFlow."""

    def __getattr__(self, name):
        import tensorflow as tf
        return {"sum": tf.reduce_sum, "sin": tf.sin, "cos": tf.cos}[name]


MASKS = [dict(num_masked=3), dict(num_masked=-2), dict(num_masked=1), dict(num_masked=6),
         dict(num_masked=0), dict(fraction_masked=0.4), dict(fraction_masked=-0.6),
         dict(fraction_masked=0.5), dict(fraction_masked=0.07), dict(fraction_masked=0.0)]


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("label", [0.0, 1.5])
@pytest.mark.tfp
def test_values_and_log_dets_are_tfps(mask, label, tfb):
    ours = rgb.RealNVP(shift_and_log_scale_fn=shift_and_log_scale(np), **mask)
    theirs = tfb.RealNVP(shift_and_log_scale_fn=shift_and_log_scale(TensorFlowModule()), **mask)
    for method in ("forward", "inverse"):
        np.testing.assert_allclose(getattr(ours, method)(X, label=label),
                                   getattr(theirs, method)(X, label=label), rtol=1e-12)
        log_det = f"{method}_log_det_jacobian"
        for ndims in (1, 2, 3):
            np.testing.assert_allclose(getattr(ours, log_det)(X, ndims, label=label),
                                       getattr(theirs, log_det)(X, ndims, label=label), rtol=1e-12)


def test_the_first_or_the_last_channels_decide():
    def remember(x0, output_units):
        seen.append((x0.tolist(), output_units))
        return rgb.Shift(10.0)
    seen = []
    x = np.arange(5.0)
    assert rgb.RealNVP(2, bijector_fn=remember).forward(x).tolist() == [0, 1, 12, 13, 14]
    assert rgb.RealNVP(-2, bijector_fn=remember).forward(x).tolist() == [10, 11, 12, 3, 4]
    assert rgb.RealNVP(-2, bijector_fn=remember).inverse(x).tolist() == [-10, -9, -8, 3, 4]
    assert seen == [([0, 1], 3), ([3, 4], 3), ([3, 4], 3)]


@pytest.mark.parametrize(("shift", "log_scale"), [(None, None), (2.0, None), (None, 0.5),
                                                  (2.0, 0.5)])
def test_either_of_shift_and_log_scale_may_be_none(shift, log_scale):
    nvp = rgb.RealNVP(1, shift_and_log_scale_fn=lambda x, n: (shift, log_scale))
    y, fldj = nvp.forward_and_log_det(np.array([5.0, 1.0, 3.0]))
    scale = np.exp(log_scale or 0.0)
    np.testing.assert_allclose(y, [5, scale + (shift or 0), 3 * scale + (shift or 0)])
    assert fldj == pytest.approx(2 * (log_scale or 0))


def test_any_bijector_of_scalars_or_vectors_will_do():
    for inner in (rgb.Exp(), rgb.Permute([1, 0]), rgb.Chain([rgb.Tanh(), rgb.Permute([1, 0])]),
                  rgb.ScaleMatvecLU(np.array([[2.0, 1.0], [0.5, 3.0]]), [1, 0])):
        nvp = rgb.RealNVP(1, bijector_fn=lambda x, n, inner=inner: inner)
        x = np.random.default_rng(0).standard_normal((4, 3))
        y, fldj = nvp.forward_and_log_det(x)
        expected, expected_fldj = inner.forward_and_log_det(x[:, 1:], 1)
        assert np.array_equal(y[:, :1], x[:, :1]) and np.array_equal(y[:, 1:], expected)
        assert np.array_equal(fldj, expected_fldj)
        np.testing.assert_allclose(nvp.inverse(y), x, rtol=1e-12)


def test_the_function_may_condition_on_anything_else():
    def fn(x0, output_units, *, label, strength=1.0):
        return rgb.Shift(strength * np.eye(3)[label][:, :output_units])
    nvp = rgb.RealNVP(1, bijector_fn=fn)
    x = np.zeros((3, 3))
    y = nvp.forward(x, label=[0, 1, 2], strength=5.0)
    assert y.tolist() == [[0, 5, 0], [0, 0, 5], [0, 0, 0]]
    assert np.array_equal(nvp.inverse(y, label=[0, 1, 2], strength=5.0), x)
    with pytest.raises(TypeError, match="label"):
        nvp.forward(x)
    with pytest.raises(TypeError, match="unknown"):
        nvp.forward(x, label=[0, 1, 2], unknown=1)


def test_a_batch_of_conditions_lifts_a_single_event():
    nvp = rgb.RealNVP(1, bijector_fn=lambda x, n, by: rgb.Scale(by))
    y, fldj = nvp.forward_and_log_det(np.ones(3), by=np.array([[2.0], [4.0]]))
    assert y.tolist() == [[1, 2, 2], [1, 4, 4]]
    np.testing.assert_allclose(fldj, 2 * np.log([2, 4]))


def test_the_default_template_as_a_part_of_it():
    nvp = rgb.RealNVP(2, shift_and_log_scale_fn=rgb.real_nvp_default_template([4], seed=0))
    assert nvp.variables == ()
    y = nvp.forward(X.astype(np.float32))
    assert [v.name for v in nvp.variables] == [
        "fn.dense0.kernel", "fn.dense0.bias", "fn.dense1.kernel", "fn.dense1.bias"]
    np.testing.assert_allclose(nvp.inverse(y), X, rtol=1e-4, atol=1e-5)
    with pytest.raises(NotImplementedError, match=r"takes no conditioning arguments.*label"):
        nvp.forward(X.astype(np.float32), label=1)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (dict(), ValueError, "exactly one of num_masked and fraction_masked"),
    (dict(num_masked=1, fraction_masked=0.5), ValueError, "exactly one of num_masked"),
    (dict(num_masked=1.5), TypeError, "num_masked must be an integer"),
    (dict(fraction_masked=1), TypeError, "fraction_masked must be a float"),
    (dict(fraction_masked=1.0), ValueError, r"in \(-1, 1\)"),
    (dict(fraction_masked=-1.0), ValueError, r"in \(-1, 1\)"),
    (dict(num_masked=1, bijector_fn=None), ValueError, "exactly one of shift_and_log_scale_fn"),
    (dict(num_masked=1, shift_and_log_scale_fn=print), ValueError, "exactly one of shift_and")])
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        rgb.RealNVP(**(dict(bijector_fn=lambda x, n: rgb.Exp()) | arguments))


@pytest.mark.parametrize(("fn", "error", "message"), [
    (lambda x, n: x, TypeError, "must return a refglow bijector; got ndarray"),
    (lambda x, n: None, TypeError, "got NoneType"),
    (lambda x, n: rgb.Transpose([1, 0]), ValueError, "'transpose'.*events of 2 dimensions"),
    (lambda x, n: rgb.Split(2), ValueError, "'split'"),
    (lambda x, n: rgb.Shift(np.float32([1, 2])), TypeError, "float64.*computes in float32"),
    (lambda x, n: rgb.Shift(np.ones((n + 1,))), ValueError, "broadcast")])
def test_what_the_function_returns_is_checked(fn, error, message):
    with pytest.raises(error, match=message):
        rgb.RealNVP(1, bijector_fn=fn).forward(np.ones((2, 3)))


@pytest.mark.parametrize("wrong", [np.ones((2, 3)), None, (1.0,), (1.0, 2.0, 3.0), "ab"])
def test_shift_and_log_scale_must_be_a_pair(wrong):
    with pytest.raises(TypeError, match=r"must return a pair \(shift, log_scale\)"):
        rgb.RealNVP(1, shift_and_log_scale_fn=lambda x, n: wrong).forward(np.ones((2, 3)))


@pytest.mark.parametrize(("mask", "channels"), [
    (dict(num_masked=3), 3), (dict(num_masked=-4), 3), (dict(fraction_masked=0.9), 3)])
def test_something_must_be_left_to_map(mask, channels):
    nvp = rgb.RealNVP(bijector_fn=lambda x, n: rgb.Exp(), **mask)
    with pytest.raises(ValueError, match=f"of {channels} channels would be masked"):
        nvp.forward(np.ones(channels))
    with pytest.raises(ValueError, match=f"of {channels} channels would be masked"):
        nvp.forward_event_shape((5, channels))
    with pytest.raises(ValueError, match="at least 1 dimensions"):
        nvp.forward(1.0)


def test_the_returned_bijectors_own_checks_count():
    nvp = rgb.RealNVP(1, bijector_fn=lambda x, n: rgb.Exp(validate_args=True))
    for method in (nvp.inverse, nvp.inverse_log_det_jacobian):
        with pytest.raises(ValueError, match="exp: y must be positive"):
            method(np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="NaN or infinite"):
        nvp.forward(np.array([1.0, np.nan]))
