"""What takes part in a gradient, and what is said about what does not."""

import numpy as np
import pytest

from refglow.elementary import tanh
from refglow.networks import (
    Conv2D,
    Dense,
    Network,
    ReLU,
    Sequential,
    real_nvp_default_template,
)
from refglow.networks.differentiable import jvp_of, vjp_of


class Doubling:
    """A stranger's layer without parameters."""

    def __call__(self, x):
        return 2 * x

    def vjp(self, x):
        return 2 * x, lambda y_bar: (2 * y_bar, {})

    def jvp(self, x, x_dot, param_dots):
        return 2 * x, 2 * x_dot


class ValuesOnly(Network):
    def __call__(self, x):
        return x


def test_any_object_with_the_methods_takes_part():
    x = np.ones((1, 2))
    layer = Dense(2, 2, seed=0, dtype=np.float64)
    stack = Sequential([Doubling(), layer])
    kernel = layer.kernel.numpy()
    _, pullback = stack.vjp(x)
    np.testing.assert_allclose(pullback([[1.0, 0.0]])[0], 2 * kernel[:, :1].T, rtol=1e-14)
    np.testing.assert_allclose(stack.jvp(x, x)[1], 2 * x @ kernel, rtol=1e-14)
    network = real_nvp_default_template([2], activation=Doubling(), seed=0)
    (shift, log_scale), pullback = network.vjp(x, 1)
    x_bar, _ = pullback((np.ones((1, 1)), None))
    values = {name: v.numpy() for name, v in network.named_variables()}
    expected = 2 * values["dense0.kernel"] @ values["dense1.kernel"]
    np.testing.assert_allclose(x_bar, expected[:, :1].T, rtol=1e-14)
    np.testing.assert_allclose(np.concatenate([shift, log_scale], -1), x @ expected, rtol=1e-14)


@pytest.mark.parametrize("layer", [tanh, ValuesOnly(), Sequential([tanh])])
def test_a_layer_without_them_gives_values_and_a_message(layer):
    x = np.ones((1, 2))
    stack = Sequential({"first": Dense(2, 2, dtype=np.float64), "then": layer})
    assert stack(x).shape == (1, 2) and len(stack.variables) == 2
    name = "tanh" if not isinstance(layer, ValuesOnly) else "ValuesOnly"
    with pytest.raises(TypeError, match=f"layer '(then|layer0)': its network '{name}' has no "
                                        r"method vjp, so .* Give it vjp\(x\) -> \(output, pullb"):
        stack.vjp(x)
    with pytest.raises(TypeError, match=f"'{name}' has no method jvp"):
        stack.jvp(x, x)
    network = real_nvp_default_template([2], activation=layer, seed=0)
    assert network(x, 1)[0].shape == (1, 1)
    with pytest.raises(TypeError, match=f"'{name}' has no method vjp"):
        network.vjp(x, 1)


def test_the_bound_methods_are_given_or_the_owner_is_named():
    layer = ReLU()
    assert vjp_of(layer, "step 0") == layer.vjp and jvp_of(layer, "step 0") == layer.jvp
    with pytest.raises(TypeError, match="step 0: its network 'tanh' has no method jvp"):
        jvp_of(tanh, "step 0")


@pytest.mark.parametrize(("bar", "dot", "params", "error", "message"), [
    (np.ones((2, 3)), np.ones((1, 2)), {}, ValueError, r"must have the shape \[1, [23]\]; got "),
    (np.ones((2, 3)), np.ones((2, 2)), {}, ValueError, r"got \[2, [23]\]"),
    (np.ones((1, 3), np.float32), np.ones((1, 2), np.float32), {}, TypeError, "float64, but"),
    (None, np.ones((1, 2)), {"weight": 1.0}, ValueError, "'weight'"),
    (None, np.ones((1, 2)), {"bias": np.ones(2)}, ValueError, "bias"),
    (None, np.ones((1, 2)), {"bias": np.ones(3, np.float32)}, TypeError, "float64")])
def test_what_does_not_fit_is_refused(bar, dot, params, error, message):
    layer, x = Dense(2, 3, dtype=np.float64), np.ones((1, 2))
    for network in (layer, Sequential([layer])):
        named = params if network is layer else {f"layer0.{k}": v for k, v in params.items()}
        if bar is not None:
            with pytest.raises(error, match=message):
                network.vjp(x)[1](bar)
        if dot.shape != x.shape or dot.dtype != x.dtype or params:
            with pytest.raises(error, match=message.replace("'weight'", "weight'")):
                network.jvp(x, dot, named)


def test_the_template_refuses_what_does_not_fit():
    network, x = real_nvp_default_template([2], shift_only=True), np.ones((3, 2))
    _, pullback = network.vjp(x, 1)
    with pytest.raises(ValueError, match="log_scale_bar must be None"):
        pullback((np.ones((3, 1)), np.ones((3, 1))))
    with pytest.raises(ValueError, match=r"shift_bar must have the shape \[3, 1\]; got \[3, 2\]"):
        pullback((np.ones((3, 2)), None))
    for refused in (lambda: network.vjp(x, 1, label=1), lambda: network.jvp(x, 1, x, label=1)):
        with pytest.raises(NotImplementedError, match="no conditioning arguments"):
            refused()
    both = real_nvp_default_template([2], seed=0)
    _, pullback = both.vjp(x, 1)
    assert np.array_equal(pullback((np.ones((3, 1)), None))[0],
                          pullback((np.ones((3, 1)), np.zeros((3, 1))))[0])


def test_variables_that_are_not_trained_have_no_gradient():
    layer = Conv2D(1, 1, 1, dtype=np.float64)
    layer.bias.trainable = False
    assert list(Sequential([layer]).vjp(np.ones((1, 1, 1)))[1]([[[1.0]]])[1]) == ["layer0.kernel"]
