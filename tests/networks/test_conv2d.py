"""Conv2D against scipy.signal.correlate2d, and Dense against its definition."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from refglow.kernels.cpu import conv2d as conv_kernel
from refglow.networks import Conv2D, Dense, ReLU, Sequential, conv2d, dense, relu
from refglow.networks.conv2d_gradient import conv2d_vjp

KERNELS = [(1, 1), (3, 3), (3, 1), (1, 5), (5, 3), (7, 7), (9, 11)]


def by_scipy(x, kernel, bias, mode):
    """One channel at a time; 'same' of scipy is centred as Keras' for odd kernels."""
    ph, pw = (kernel.shape[0] // 2, kernel.shape[1] // 2) if mode == "same" else (0, 0)
    padded = np.pad(x, [(0, 0), (ph, ph), (pw, pw), (0, 0)])
    return np.stack([np.stack([
        bias[o] + sum(correlate2d(image[..., i], kernel[..., i, o], "valid")
                      for i in range(kernel.shape[2]))
        for o in range(kernel.shape[3])], axis=-1) for image in padded])


@pytest.mark.parametrize("kernel_size", KERNELS, ids=str)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 5), (5, 2), (3, 3), (1, 1)])
def test_against_scipy(kernel_size, padding, inputs, outputs):
    rng = np.random.default_rng(0)
    shape = (2, 4, 6, inputs) if padding == "same" else (2, 10, 12, inputs)
    x = rng.standard_normal(shape)
    kernel = rng.standard_normal((*kernel_size, inputs, outputs))
    bias = rng.standard_normal(outputs)
    expected = by_scipy(x, kernel, bias, padding)
    actual = conv2d(x, kernel, bias, padding)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel_size", [(3, 3), (1, 5), (5, 1), (7, 9)], ids=str)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.tfp
def test_against_tensorflow(kernel_size, padding):
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal((2, 8, 9, 3)), rng.standard_normal((*kernel_size, 3, 4))
    expected = tf.nn.conv2d(x, kernel, 1, padding.upper())
    np.testing.assert_allclose(conv2d(x, kernel, np.zeros(4), padding), expected, rtol=1e-11,
                               atol=1e-11)


def test_leading_dimensions_are_a_batch():
    layer = Conv2D(2, 3, 3, seed=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((2, 1, 3, 4, 5, 2))
    y = layer(x)
    assert y.shape == (2, 1, 3, 4, 5, 3)
    np.testing.assert_allclose(y[1, 0, 2], layer(x[1, 0, 2]), rtol=1e-12)
    assert layer(x[:0]).shape == (0, 1, 3, 4, 5, 3)


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 2), (2, 3), (3, 2)])
def test_empty_batches_and_no_channels(inputs, outputs):
    layer = Conv2D(inputs, outputs, 3, kernel_initializer="zeros")
    layer.bias.assign(np.arange(outputs))
    assert layer(np.zeros((0, 4, 5, inputs), np.float32)).shape == (0, 4, 5, outputs)
    y = layer(np.zeros((2, 4, 5, inputs), np.float32))
    assert np.array_equal(y, np.broadcast_to(np.arange(outputs, dtype=np.float32), y.shape))


def test_the_input_is_not_changed_and_may_be_read_only():
    layer = Conv2D(2, 3, 3, seed=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((1, 4, 5, 2))
    before = x.copy()
    x.flags.writeable = False
    layer(x)
    assert np.array_equal(x, before)


def test_anything_array_like_is_taken():
    layer = Conv2D(1, 2, 1, seed=0)
    expected = layer(np.ones((1, 1, 1), np.float32))
    assert np.array_equal(layer([[[1]]]), expected)
    assert layer([[[1.0]]]).dtype == np.float32
    assert Dense(2, 3)([1, 2]).shape == (3,)
    kernel = np.int64(3)
    assert Conv2D(1, 2, kernel).kernel.shape == (3, 3, 1, 2)
    assert Conv2D(1, 2, [3, 5]).kernel.shape == (3, 5, 1, 2)


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(kernel_size=2), "odd for 'same' padding; got 2 x 2"), (dict(kernel_size=(3, 4)), "3 x 4"),
    (dict(kernel_size=0), "positive"), (dict(padding="full"), "padding must be 'same' or 'valid'"),
    (dict(kernel_initializer="fan_in"), "unknown kernel_initializer 'fan_in'"),
    (dict(kernel_initializer="np"), "unknown kernel_initializer 'np'")])
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Conv2D(**(dict(in_channels=2, filters=3, kernel_size=3) | arguments))


@pytest.mark.parametrize(("x", "error", "message"), [
    (np.ones((2, 4, 4, 3), np.float32), ValueError, r"\[..., H, W, 2\]; got \[2, 4, 4, 3\]"),
    (np.ones((4, 2), np.float32), ValueError, r"got \[4, 2\]"),
    (np.ones((2, 4, 4, 2)), TypeError, "Conv2D computes in float32, but x is float64"),
    (np.ones((2, 4, 5, 2), np.float32), ValueError, "4 x 5 pixels is smaller than the kernel, 5 x"),
    (None, TypeError, "must hold numbers")])
def test_wrong_inputs_are_refused(x, error, message):
    with pytest.raises(error, match=message):
        Conv2D(2, 3, 5, "valid")(x)


@pytest.mark.parametrize(("padding", "size"), [("full", 3), ("same", 2), ("", 1)])
@pytest.mark.parametrize("op", ["conv2d", "conv2d_vjp"])
@pytest.mark.parametrize("place", ["spec", "cpu"])
def test_the_function_refuses_other_padding(place, op, padding, size):
    homes = {"spec": {"conv2d": conv2d, "conv2d_vjp": conv2d_vjp},
             "cpu": vars(conv_kernel)}
    x, kernel, y = np.ones((1, 4, 4, 2)), np.ones((size, size, 2, 3)), np.ones((1, 4, 4, 3))
    third = np.zeros(3) if op == "conv2d" else y
    with pytest.raises(ValueError, match=f"for a kernel of odd sides; got {padding!r} for {size}"):
        homes[place][op](x, kernel, third, padding)


def test_even_kernels_are_fine_without_padding():
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 5, 6, 2)), rng.standard_normal((2, 4, 2, 3))
    np.testing.assert_allclose(conv2d(x, kernel, np.zeros(3), "valid"),
                               by_scipy(x, kernel, np.zeros(3), "valid"), rtol=1e-12, atol=1e-12)
    assert Conv2D(2, 3, 2, "valid")(x.astype(np.float32)).shape == (2, 4, 5, 3)


# ---- Dense, ReLU, Sequential --------------------------------------------------------------------

def test_dense_is_x_w_plus_b():
    rng = np.random.default_rng(0)
    x, kernel, bias = (rng.standard_normal(s) for s in ((2, 3, 4), (4, 5), 5))
    np.testing.assert_allclose(dense(x, kernel, bias), np.einsum("abi,io->abo", x, kernel) + bias,
                               rtol=1e-13)
    assert dense(x[:0], kernel, bias).shape == (0, 3, 5)
    assert np.array_equal(dense(np.zeros((2, 0)), np.zeros((0, 5)), bias), [bias, bias])
    assert dense(x[0, 0], kernel, bias).shape == (5,)


@pytest.mark.parametrize(("x", "error", "message"), [
    (np.ones((2, 3), np.float32), ValueError, r"Dense: expected inputs \[..., 4\]; got \[2, 3\]"),
    (1.0, ValueError, r"got \[\]"), (np.ones(4), TypeError, "Dense computes in float32")])
def test_dense_refuses_wrong_inputs(x, error, message):
    with pytest.raises(error, match=message):
        Dense(4, 2)(x)


def test_relu():
    x = np.array([-2.0, -0.0, 0.0, 3.0])
    assert relu(x).tolist() == ReLU()(x).tolist() == [0, 0, 0, 3]
    assert np.isnan(relu(np.array([np.nan]))).all()


def test_sequential_applies_layers_in_order_and_names_them():
    layers = [Dense(2, 3, seed=0, dtype=np.float64), ReLU(), Dense(3, 1, seed=1, dtype=np.float64)]
    stack = Sequential(layers)
    x = np.random.default_rng(0).standard_normal((4, 2))
    np.testing.assert_array_equal(stack(x), layers[2](relu(layers[0](x))))
    assert [v.name for v in stack.variables] == [
        "layer0.kernel", "layer0.bias", "layer2.kernel", "layer2.bias"]
    named = Sequential({"a": layers[0], "b": Sequential({"c": layers[2]})})
    assert [v.name for v in named.trainable_variables] == [
        "a.kernel", "a.bias", "b.c.kernel", "b.c.bias"]
    assert named.submodules == (layers[0], named.layers["b"])
    named.variables[1].assign([1, 2, 3])
    assert layers[0].bias.numpy().tolist() == [1, 2, 3]
    assert np.array_equal(Sequential([])(x), x)
