"""real_nvp_default_template, against TFP's with the same weights."""

import numpy as np
import pytest

import refglow as rg
from refglow.elementary import tanh

template = rg.bijectors.real_nvp_default_template
X = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


@pytest.mark.parametrize("shift_only", [False, True])
@pytest.mark.parametrize("hidden", [[4], [6, 5], []])
@pytest.mark.tfp
@pytest.mark.filterwarnings("ignore::UserWarning:tf_keras")
@pytest.mark.filterwarnings("ignore::UserWarning:tensorflow_probability")
def test_values_are_tfps(shift_only, hidden):
    tfb = pytest.importorskip("tensorflow_probability").bijectors
    import tensorflow as tf
    theirs_fn = tfb.real_nvp_default_template(hidden, shift_only=shift_only)
    ours = template(hidden, shift_only=shift_only, seed=0)
    ours(X, 2)
    theirs_fn(tf.constant(X), 2)
    theirs = sorted(theirs_fn.trainable_variables,
                    key=lambda v: (v.name.split("/")[-2], -len(v.shape)))  # kernel, then bias
    rng = np.random.default_rng(1)
    for (name, mine), its in zip(ours.named_variables(), theirs, strict=True):
        assert mine.shape == tuple(its.shape), (name, its.name)
        mine.assign(rng.standard_normal(mine.shape))
        its.assign(mine.numpy())
    their_output = theirs_fn(tf.constant(X), 2)
    for mine, its in zip(ours(X, 2), their_output, strict=True):
        if its is None:
            assert mine is None
        else:
            np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-5)


def test_layers_are_built_at_the_first_call_in_its_type():
    network = template([4, 6], seed=0)
    assert list(network.named_variables()) == []
    shift, log_scale = network(X, 2)
    assert shift.shape == log_scale.shape == (5, 2)
    assert {name: v.shape for name, v in network.named_variables()} == {
        "dense0.kernel": (3, 4), "dense0.bias": (4,), "dense1.kernel": (4, 6), "dense1.bias": (6,),
        "dense2.kernel": (6, 4), "dense2.bias": (4,)}
    wide = template([4], seed=0)
    assert wide(X.astype(np.float64), 2)[0].dtype == np.float64
    with pytest.raises(TypeError, match="computes in float64"):
        wide(X, 2)


def test_shift_and_log_scale_are_the_halves_of_the_output():
    network = template([], seed=0)
    shift, log_scale = network(X, 2)
    kernel = dict(network.named_variables())["dense0.kernel"].numpy()
    np.testing.assert_allclose(shift, X @ kernel[:, :2], rtol=1e-5)
    np.testing.assert_allclose(log_scale, X @ kernel[:, 2:], rtol=1e-5)
    assert template([4], shift_only=True)(X, 2)[1] is None


def test_the_activation_is_between_the_layers():
    linear, curved = template([4], activation=None, seed=0), template([4], activation=tanh, seed=0)
    for network in (linear, curved):
        network(X, 1)
    np.testing.assert_allclose(linear(2 * X, 1)[0], 2 * linear(X, 1)[0], rtol=1e-5)
    kernels = {name: v.numpy() for name, v in curved.named_variables()}
    expected = np.tanh(X @ kernels["dense0.kernel"]) @ kernels["dense1.kernel"]
    np.testing.assert_allclose(curved(X, 1)[0], expected[:, :1], rtol=1e-5)


def test_seeds_repeat():
    assert np.array_equal(template([4], seed=1)(X, 2)[0], template([4], seed=1)(X, 2)[0])
    assert not np.array_equal(template([4], seed=1)(X, 2)[0], template([4], seed=2)(X, 2)[0])


def test_another_size_later_is_refused():
    network = template([4])
    network(X, 2)
    with pytest.raises(ValueError, match="built for 4 outputs; 6 are asked"):
        network(X, 3)
    with pytest.raises(ValueError, match=r"expected inputs \[..., 3\]"):
        network(X[:, :2], 2)
    with pytest.raises(NotImplementedError, match=r"no conditioning arguments; got \['label'\]"):
        network(X, 2, label=1)
