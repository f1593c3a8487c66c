"""The networks' gradients against complex steps, PyTorch, their transpose, and planted bugs."""

import importlib
import math
from fractions import Fraction

import numpy as np
import pytest

from refglow.backend import use_backend
from refglow.networks import (
    Conv2D,
    Dense,
    GlowDefaultExitNetwork,
    GlowDefaultNetwork,
    ReLU,
    Sequential,
    conv2d,
    conv2d_jvp,
    conv2d_vjp,
    dense,
    dense_jvp,
    dense_vjp,
    real_nvp_default_template,
    relu_jvp,
    relu_vjp,
)

UNITS = 2


class Template:
    """A RealNVPTemplate that looks like a Network: its outputs side by side."""

    def __init__(self, hidden, shift_only, inputs):
        self.template = real_nvp_default_template(hidden, shift_only)
        self.template(np.zeros(inputs), UNITS)
        self.trainable_variables = [v.renamed(n) for n, v in self.template.named_variables()]

    def __call__(self, x):
        return self._joined(self.template(x, UNITS))

    def vjp(self, x):
        pair, pullback = self.template.vjp(x, UNITS)
        return self._joined(pair), lambda bar: pullback(
            (bar, None) if pair[1] is None else np.split(bar, 2, -1))

    def jvp(self, x, x_dot, param_dots):
        return map(self._joined, self.template.jvp(x, UNITS, x_dot, param_dots))

    @staticmethod
    def _joined(pair):
        return np.concatenate([part for part in pair if part is not None], axis=-1)


def template(hidden, shift_only, inputs):
    """The template in float64, else (it is built in the real type of its input) its definition."""
    def make(dtype):
        if dtype == np.float64:
            return Template(hidden, shift_only, inputs)
        sizes = [inputs, *hidden, UNITS if shift_only else 2 * UNITS]
        layers = {}
        for k in range(len(sizes) - 1):
            layers |= {f"activation{k - 1}": ReLU()} if k else {}
            layers[f"dense{k}"] = Dense(sizes[k], sizes[k + 1], dtype=dtype)
        return Sequential(layers)
    return make


def shared(dtype):
    """One layer at two places, at different depths."""
    layer = Conv2D(3, 3, (3, 1), dtype=dtype)
    return Sequential({"a": Sequential([layer, ReLU()]), "b": layer, "c": ReLU(),
                       "d": Dense(3, 2, dtype=dtype)})


def conv(*args):
    return lambda dtype: Conv2D(*args, dtype=dtype)


CASES = {  # how to build it in a number type; the shape of x
    "conv wide": (conv(2, 5, 3), (2, 4, 3, 2)),
    "conv narrow": (conv(5, 2, 3), (3, 4, 5)),
    "conv equal, rectangular": (conv(3, 3, (3, 5)), (2, 1, 3, 4, 3)),
    "conv wide, beyond the image": (conv(2, 3, (5, 7)), (1, 2, 3, 2)),
    "conv narrow, beyond the image": (conv(3, 2, (7, 5)), (2, 2, 1, 3)),
    "conv wide, valid": (conv(2, 3, (2, 3), "valid"), (2, 4, 5, 2)),
    "conv narrow, valid": (conv(3, 2, (3, 2), "valid"), (1, 2, 4, 5, 3)),
    "conv 1x1 wide": (conv(2, 3, 1), (2, 3, 4, 2)),
    "conv 1x1 narrow": (conv(3, 2, 1, "valid"), (3, 4, 3)),
    "dense": (lambda dtype: Dense(4, 3, dtype=dtype), (2, 5, 4)),
    "dense of one vector": (lambda dtype: Dense(2, 3, dtype=dtype), (2,)),
    "relu": (lambda dtype: ReLU(), (3, 5)),
    "sequential": (lambda dtype: Sequential([Dense(3, 4, dtype=dtype), ReLU(), Sequential(
        {"x": Dense(4, 4, dtype=dtype), "y": ReLU()}), Dense(4, 2, dtype=dtype)]), (5, 3)),
    "sequential with a shared layer": (shared, (2, 4, 3, 3)),
    "sequential of nothing": (lambda dtype: Sequential([]), (2, 3)),
    "glow": (lambda dtype: GlowDefaultNetwork((3, 4, 2), 5, dtype=dtype), (2, 3, 4, 2)),
    "glow, 1x1": (lambda dtype: GlowDefaultNetwork((3, 4, 2), 6, 1, dtype=dtype), (2, 3, 4, 2)),
    "glow exit": (lambda dtype: GlowDefaultExitNetwork((4, 3, 3), 2, dtype=dtype), (2, 4, 3, 3)),
    "template": (template([4, 5], False, 3), (6, 3)),
    "template, shift only": (template([5], True, 3), (2, 3, 3)),
    "template without hidden layers": (template([], False, 2), (3, 2)),
}
case = pytest.mark.parametrize("name", CASES)


def built(name, dtype=np.float64, seed=0):
    """(a network with random weights in every layer, a random x); complex ones in both parts."""
    make, shape = CASES[name]
    network, rng = make(dtype), np.random.default_rng(seed)

    def draw(shape):
        real = rng.standard_normal(shape)
        return (real + 1j * rng.standard_normal(shape) if dtype == np.complex128
                else real.astype(dtype))
    for variable in network.trainable_variables:
        variable.assign(draw(variable.shape))
    return network, draw(shape)


def normals(arrays, seed=1):
    rng = np.random.default_rng(seed)
    return {key: rng.standard_normal(np.shape(array)) for key, array in arrays.items()}


def point(network, x):
    """x and the parameters by name, the arguments of the network as a function."""
    return {"x": x} | {v.name: v.numpy() for v in network.trainable_variables}


def axes(array):
    """The unit vectors of an array's space."""
    return np.eye(array.size).reshape(array.size, *array.shape)


def assert_same(actual, expected, tolerance):
    assert actual.keys() == expected.keys()
    for key, wanted in expected.items():
        assert actual[key].shape == wanted.shape, key
        scale = np.abs(wanted).max(initial=0)
        error = np.abs(actual[key] - wanted).max(initial=0)
        assert error <= tolerance * scale, (key, error, scale)


# ---- Jacobians: {argument: [output coordinate, argument coordinate]} ----------------------------

def jacobian_by_complex_step(name, step=1e-30):
    network, x = built(name)
    imaginary = built(name, np.complex128)[0]
    arguments = point(network, x)
    variables = {v.name: v for v in imaginary.trainable_variables}

    def at(key, axis):
        for name, variable in variables.items():
            variable.assign(arguments[name] + (1j * step * axis if name == key else 0))
        return imaginary(x + (1j * step * axis if key == "x" else 0j)).imag.reshape(-1) / step
    return {key: np.stack([at(key, axis) for axis in axes(array)], axis=-1)
            for key, array in arguments.items()}


def jacobian_by_vjp(name):
    network, x = built(name)
    y, pullback = network.vjp(x)
    rows = []
    for axis in axes(y):
        x_bar, param_bars = pullback(axis)
        rows.append({"x": x_bar} | param_bars)
    return {key: np.stack([row[key].reshape(-1) for row in rows]) for key in point(network, x)}


def jacobian_by_jvp(name):
    network, x = built(name)

    def at(key, axis):
        x_dot, dots = (axis, {}) if key == "x" else (np.zeros_like(x), {key: axis})
        return tuple(network.jvp(x, x_dot, dots))[1].reshape(-1)
    return {key: np.stack([at(key, axis) for axis in axes(array)], axis=-1)
            for key, array in point(network, x).items()}


def check_against_complex_step(name):
    expected = jacobian_by_complex_step(name)
    assert_same(jacobian_by_vjp(name), expected, 1e-13)
    assert_same(jacobian_by_jvp(name), expected, 1e-13)


def check_transpose(name, dtype=np.float64):
    """w . (J v) = (J^T w) . v, without conjugation for complex numbers."""
    network, x = built(name, dtype)
    y, pullback = network.vjp(x)
    dots, (w,) = normals(point(network, x)), normals({"w": y}, 2).values()
    if dtype == np.complex128:
        dots = {k: v * np.exp(1j * np.arange(v.size).reshape(v.shape)) for k, v in dots.items()}
        w = w * (0.3 - 2j)
    x_bar, bars = pullback(w)
    left = w * tuple(network.jvp(x, dots["x"], {k: dots[k] for k in bars}))[1]
    right = [dots[key] * bar for key, bar in ({"x": x_bar} | bars).items()]
    scale = np.abs(left).sum() + sum(np.abs(part).sum() for part in right)
    assert abs(left.sum() - sum(part.sum() for part in right)) <= 1e-13 * scale


def torch_output(network, x, parameters, prefix=""):
    torch = pytest.importorskip("torch")
    if isinstance(network, Sequential):
        for name, layer in network.layers.items():
            x = torch_output(layer, x, parameters, f"{prefix}{name}.")
        return x
    if isinstance(network, ReLU):
        return torch.relu(x)
    kernel, bias = parameters[prefix + "kernel"], parameters[prefix + "bias"]
    if isinstance(network, Dense):
        return x @ kernel + bias
    images = x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2)
    y = torch.nn.functional.conv2d(images, kernel.permute(3, 2, 0, 1), bias,
                                   padding=network.padding).permute(0, 2, 3, 1)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def check_against_torch(name):
    torch = pytest.importorskip("torch")
    network, x = built(name)
    leaves = {key: torch.tensor(array).requires_grad_() for key, array in point(network, x).items()}
    definition = CASES[name][0](np.longdouble)
    places = dict(leaves)
    if name == "sequential with a shared layer":
        places |= {f"b.{p}": leaves[f"a.layer0.{p}"] for p in ("kernel", "bias")}
    expected = torch_output(definition, leaves["x"], places)
    y, pullback = network.vjp(x)
    (w,) = normals({"w": y}).values()
    x_bar, bars = pullback(w)
    wanted = torch.autograd.grad(expected, list(leaves.values()), torch.tensor(w))
    assert_same({"y": y, "x": x_bar} | bars,
                {"y": expected.detach().numpy()} | {
                    key: bar.numpy() for key, bar in zip(leaves, wanted, strict=True)}, 1e-12)


@case
def test_vjp_and_jvp_against_complex_step_at_every_coordinate(name):
    check_against_complex_step(name)


@case
def test_vjp_against_torch(name):
    check_against_torch(name)


@case
def test_vjp_is_the_transpose_of_jvp(name):
    check_transpose(name)
    check_transpose(name, np.complex128)


@case
def test_outputs_are_those_of_a_call_and_pullbacks_repeat(name):
    network, x = built(name)
    y, pullback = network.vjp(x)
    assert np.array_equal(y, network(x))
    assert np.array_equal(next(iter(network.jvp(x, x, {}))), y)
    (w,) = normals({"w": y}).values()
    first, second = pullback(w), pullback(w)
    pullback(2 * w)
    for variable in network.trainable_variables:
        variable.assign(np.ones(variable.shape))  # it keeps those it was made with
    third = pullback(w)
    names = {variable.name for variable in network.trainable_variables}
    for other in (second, third):
        assert np.array_equal(other[0], first[0])
        assert other[1].keys() == first[1].keys() == names
        assert all(np.array_equal(other[1][key], bar) for key, bar in first[1].items())


@case
@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_number_types_are_kept(name, dtype):
    network, x = built(name, dtype)
    reference, _ = built(name)
    for mine, its in zip(network.trainable_variables, reference.trainable_variables, strict=True):
        its.assign(mine.numpy().astype(np.float64))
    results = []
    for part, value in ((network, x), (reference, x.astype(np.float64))):
        y, pullback = part.vjp(value)
        (w,) = normals({"w": y}).values()
        x_bar, bars = pullback(w.astype(value.dtype))
        y_dot = tuple(part.jvp(value, np.ones_like(value), {}))[1]
        results.append({"y": y, "x": x_bar, "y_dot": y_dot} | bars)
    assert {result.dtype for result in results[0].values()} == {np.dtype(dtype)}
    assert_same(results[0], results[1], 1e-5 if dtype == np.float32 else 1e-13)


@case
def test_no_examples_give_zero_gradients(name):
    network, x = built(name)
    x = np.zeros((0, *x.shape))
    y, pullback = network.vjp(x)
    x_bar, bars = pullback(np.zeros_like(y))
    assert x_bar.shape == x.shape and tuple(network.jvp(x, x, {}))[1].shape == y.shape
    assert {v.name: v.shape for v in network.trainable_variables} == {
        key: bar.shape for key, bar in bars.items()}
    assert not any(bar.any() for bar in bars.values())


# ---- the functions ------------------------------------------------------------------------------

def fractions(shape, seed):
    numbers = np.random.default_rng(seed).integers(-9, 10, (2, *shape))
    return np.frompyfunc(lambda p, q: Fraction(int(p), int(abs(q) + 1)), 2, 1)(*numbers)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 3), (3, 2)])
@pytest.mark.parametrize("size", [(3, 1), (2, 3), (1, 1)])
def test_the_convolution_of_fractions_has_an_exact_transpose(inputs, outputs, size):
    padding = "valid" if size == (2, 3) else "same"
    x, x_dot = (fractions((2, 3, 4, inputs), k) for k in (0, 1))
    kernel, kernel_dot = (fractions((*size, inputs, outputs), k) for k in (2, 3))
    bias, bias_dot = (fractions((outputs,), k) for k in (4, 5))
    y, moved = (conv2d(*args, padding) for args in (
        (x, kernel, bias), (x + x_dot, kernel + kernel_dot, bias + bias_dot)))
    y_dot = conv2d_jvp(x, kernel, x_dot, kernel_dot, bias_dot, padding)
    second = conv2d(x_dot, kernel_dot, 0 * bias, padding)
    assert np.array_equal(moved, y + y_dot + second)
    y_bar = fractions(y.shape, 6)
    bars = conv2d_vjp(x, kernel, y_bar, padding)
    dots = (x_dot, kernel_dot, bias_dot)
    assert (y_bar * y_dot).sum() == sum((a * b).sum() for a, b in zip(bars, dots, strict=True)) != 0
    assert {bar.dtype for bar in bars} == {np.dtype(object)}


def test_the_dense_layer_of_fractions_has_an_exact_transpose():
    x, x_dot, kernel, kernel_dot, bias_dot, y_bar = (
        fractions(shape, k) for k, shape in enumerate(
            [(2, 3, 4), (2, 3, 4), (4, 5), (4, 5), (5,), (2, 3, 5)]))
    y_dot = dense_jvp(x, kernel, x_dot, kernel_dot, bias_dot)
    assert np.array_equal(dense(x + x_dot, kernel + kernel_dot, bias_dot),
                          dense(x, kernel, 0 * bias_dot) + y_dot + x_dot @ kernel_dot)
    bars = dense_vjp(x, kernel, y_bar)
    dots = (x_dot, kernel_dot, bias_dot)
    assert (y_bar * y_dot).sum() == sum((a * b).sum() for a, b in zip(bars, dots, strict=True)) != 0


def test_relu_is_flat_at_zero_and_its_output_says_where():
    x = np.array([-2.0, -0.0, 0.0, 5e-324, 3.0, -math.inf])
    for derivative in (relu_vjp, relu_jvp):
        assert derivative(x, np.full(6, 7.0)).tolist() == [0, 0, 0, 7, 7, 0]
        assert derivative(ReLU()(x), np.full(6, 7.0)).tolist() == [0, 0, 0, 7, 7, 0]
        assert derivative(np.array([1 - 2j, -1 + 2j]), np.array([3j, 3j])).tolist() == [3j, 0]
        assert derivative(fractions((9,), 0), np.full(9, Fraction(1, 3))).tolist() == [
            Fraction(1, 3) * (value > 0) for value in fractions((9,), 0)]


# ---- planted bugs -------------------------------------------------------------------------------

def conv_bug(change):
    def planted(x, kernel, y_bar, padding):
        return change(*conv2d_vjp(x, kernel, y_bar, padding), x, kernel, y_bar, padding)
    return "conv2d", "conv2d_vjp", planted


BUGS = {
    "zero gradient": conv_bug(lambda x_bar, k, b, *_: (0 * x_bar, 0 * k, 0 * b)),
    "zero bias gradient": conv_bug(lambda x_bar, k, b, *_: (x_bar, k, 0 * b)),
    "kernel not turned": conv_bug(lambda x_bar, k, b, x, kernel, *rest: (
        conv2d_vjp(x, kernel[::-1, ::-1], *rest)[0], k, b)),
    "kernel's gradient turned": conv_bug(lambda x_bar, k, b, *_: (x_bar, k[::-1, ::-1], b)),
    "kernel's channels exchanged": conv_bug(lambda x_bar, k, b, x, kernel, *rest: (
        conv2d_vjp(x, np.ascontiguousarray(kernel.swapaxes(2, 3)).reshape(kernel.shape), *rest)[0],
        k, b)),
    "averaged, not summed": conv_bug(lambda x_bar, k, b, x, *_: (
        x_bar, k / len(x), b / len(x))),
    "relu lets all through": ("relu", "relu_vjp", lambda x, y_bar: y_bar),
    "relu's mask from the cotangent": ("relu", "relu_vjp", lambda x, y_bar: y_bar * (y_bar > 0)),
    "relu's mask turned": ("relu", "relu_vjp", lambda x, y_bar: y_bar * (x <= 0)),
    "relu's mask of the neighbour": ("relu", "relu_vjp", lambda x, y_bar: y_bar * (
        np.roll(x, 1, axis=-1) > 0)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_found(bug, monkeypatch):
    pytest.importorskip("torch")
    module, function, planted = BUGS[bug]
    monkeypatch.setattr(importlib.import_module(f"refglow.networks.{module}"), function, planted)
    checks = [check_against_complex_step, check_against_torch]
    for check in checks if module == "relu" else [*checks, check_transpose]:
        with use_backend("spec"), pytest.raises(AssertionError):  # where the bug is
            check("glow")


@pytest.mark.parametrize("planted", [
    lambda x, kernel, y_bar: (dense_vjp(x, kernel, y_bar)[0], *dense_vjp(0 * x, kernel, y_bar)[1:]),
    lambda x, kernel, y_bar: (dense_vjp(x, kernel.reshape(kernel.T.shape).T, y_bar)[0],
                              *dense_vjp(x, kernel, y_bar)[1:])])
def test_planted_bugs_of_dense_are_found(planted, monkeypatch):
    monkeypatch.setattr(importlib.import_module("refglow.networks.dense"), "dense_vjp", planted)
    for check in (check_against_complex_step, check_against_torch, check_transpose):
        with pytest.raises(AssertionError):
            check("dense")


def test_a_conjugated_transpose_is_found(monkeypatch):
    def planted(x, kernel, y_bar):
        return tuple(map(np.conj, dense_vjp(np.conj(x), kernel, y_bar)))
    monkeypatch.setattr(importlib.import_module("refglow.networks.dense"), "dense_vjp", planted)
    check_transpose("dense")
    with pytest.raises(AssertionError):
        check_transpose("dense", np.complex128)
