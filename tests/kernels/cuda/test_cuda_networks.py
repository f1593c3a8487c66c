"""Networks on a GPU: gathers, scatters, ReLU, masks around matrix products, and what they make."""

import importlib
import inspect

import numpy as np
import pytest
from linear_checks import (
    LAYOUTS,
    NOT_ON_THE_HOST,
    check_results,
    check_variant,
    on_device,
    specification,
)

from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.layout import example_numbers
from refglow.kernels.cuda.network_variants import VARIANTS
from refglow.kernels.cuda.stand_ins import InterpretedDevice, RecordingDevice

MODULE = "network_variants"
LADDER = [(variant.op, variant.name) for variant in VARIANTS]
OPS = sorted({op for op, _ in LADDER})
MODULES = {name: importlib.import_module(f"refglow.kernels.cuda.{name}")
           for name in ("conv2d", "coupling_network", "relu", "shifts")}


def host(op):
    found, = (module for name, module in MODULES.items() if op.startswith(name))
    return getattr(found, op)


def interpreted(function, *arguments):
    with stand_in(InterpretedDevice()):
        return function(*arguments)


def conv_arguments(shape, sides, outputs, padding, dtype="float32"):
    return (example_numbers(shape, dtype, 0),
            example_numbers((*sides, shape[-1], outputs), dtype, 1),
            example_numbers((outputs,), dtype, 2), padding)


def vjp_arguments(x, kernel, bias, padding):
    shape = specification("conv2d")(x, kernel, bias, padding).shape
    return x, kernel, example_numbers(shape, x.dtype.name, 3), padding


def network_arguments(shape, filters, outputs, dtype="float32"):
    shapes = (shape, (3, 3, shape[-1], filters), (filters,), (1, 1, filters, filters), (filters,),
              (3, 3, filters, outputs), (outputs,))
    return tuple(example_numbers(one, dtype, seed) for seed, one in enumerate(shapes))


def network_vjp_arguments(*sizes):
    x, kernel1, bias1, kernel2, bias2, kernel3, bias3 = network_arguments(*sizes)
    output, h1, h2 = specification("coupling_network_activations")(
        x, kernel1, bias1, kernel2, bias2, kernel3, bias3)
    return x, h1, h2, kernel1, kernel2, kernel3, example_numbers(output.shape, x.dtype.name, 7)


@pytest.mark.simulator
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_on_a_device(on_device, op, name):
    on_device(check_variant, MODULE, op, name, "small", "float32")


@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_interpreted(op, name):
    interpreted(check_variant, MODULE, op, name, "realistic", "float32")


@pytest.mark.parametrize(("op", "name"), LADDER)
def test_float64_interpreted(op, name):
    interpreted(check_variant, MODULE, op, name, "small", "float64")


CONVOLUTIONS = [
    ((2, 5, 4, 3), (3, 3), 7), ((1, 4, 6, 4), (5, 3), 8), ((3, 6, 5, 8), (3, 3), 4),
    ((3, 6, 5, 7), (3, 1), 2), ((2, 4, 5, 6), (1, 1), 9), ((2, 4, 5, 9), (1, 1), 6),
    ((4, 5, 3), (3, 3), 4), ((2, 1, 3, 5, 4), (1, 3), 4), ((0, 4, 5, 2), (3, 3), 3),
    ((0, 4, 5, 8), (3, 3), 4), ((2, 1, 1, 4), (3, 3), 8), ((2, 7, 5, 4), (7, 5), 8)]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("shape", "sides", "outputs"), CONVOLUTIONS, ids=str)
def test_convolutions_of_any_sizes(shape, sides, outputs, padding):
    if padding == "valid" and (shape[-3] < sides[0] or shape[-2] < sides[1]):
        shape = (*shape[:-3], *sides, shape[-1])
    arguments = conv_arguments(shape, sides, outputs, padding)
    check_results("conv2d", interpreted(host("conv2d"), *arguments), arguments)
    arguments = vjp_arguments(*arguments)
    check_results("conv2d_vjp", interpreted(host("conv2d_vjp"), *arguments), arguments)


@pytest.mark.parametrize("sides", [(2, 2), (4, 1), (2, 3)])
def test_even_kernels(sides):
    for inputs, outputs in ((3, 5), (8, 4)):
        arguments = conv_arguments((2, 5, 6, inputs), sides, outputs, "valid")
        check_results("conv2d", interpreted(host("conv2d"), *arguments), arguments)
        arguments = vjp_arguments(*arguments)
        check_results("conv2d_vjp", interpreted(host("conv2d_vjp"), *arguments), arguments)


@pytest.mark.parametrize("sizes", [((2, 3, 5, 3), 10, 6), ((1, 4, 2, 6), 16, 12),
                                   ((2, 1, 3, 4, 2), 5, 4), ((0, 4, 2, 6), 8, 12),
                                   ((2, 4, 4, 24), 400, 48)], ids=str)  # a Glow's last scale
def test_coupling_networks_of_any_sizes(sizes):
    arguments = network_arguments(*sizes)
    for op in ("coupling_network", "coupling_network_activations"):
        check_results(op, interpreted(host(op), *arguments), arguments)
    arguments = network_vjp_arguments(*sizes)
    op = "coupling_network_vjp"
    check_results(op, interpreted(host(op), *arguments), arguments)


@pytest.mark.simulator
@pytest.mark.parametrize("edge", [((1, 3, 85, 1), 1, 2), ((1, 4, 8, 4), 8, 8),
                                  ((1, 1, 257, 1), 1, 1)], ids=str)
def test_edges_of_blocks_on_a_device(on_device, edge):
    on_device(check_network, *edge)


def check_network(*sizes):
    arguments = network_arguments(*sizes)
    check_results("coupling_network", host("coupling_network")(*arguments), arguments)


def test_groups_of_images_give_the_same(monkeypatch):
    arguments = network_arguments((5, 3, 4, 4), 8, 8)
    whole = interpreted(host("coupling_network"), *arguments)
    for images in (1, 2, 4):
        monkeypatch.setattr(MODULES["coupling_network"], "GROUP_NUMBERS", images * 3 * 4 * 8)
        check_results("coupling_network", interpreted(host("coupling_network"), *arguments),
                      arguments)
    assert whole.shape == (5, 3, 4, 8)


def test_the_activations_of_a_group_are_bounded(monkeypatch):
    monkeypatch.setattr(MODULES["coupling_network"], "GROUP_NUMBERS", 3 * 4 * 8)
    device = RecordingDevice()
    with stand_in(device), np.errstate(all="ignore"):
        host("coupling_network")(*network_arguments((5, 3, 4, 4), 8, 8))
    hidden = [launch for launch in device.launches if launch.kernel.name.startswith("bias_relu")]
    assert [launch.arguments[0].size for launch in hidden] == [3 * 4 * 8] * 10


@pytest.mark.parametrize("shape", [(255,), (16, 16), (257,), (3, 7), (), (0,), (4, 0)])
def test_relu_of_any_shape(shape):
    x, y_bar = (example_numbers(shape, "float32", seed) for seed in (0, 1))
    x, y_bar = np.asarray(x), np.asarray(y_bar)
    check_results("relu", interpreted(host("relu"), x), (x,))
    check_results("relu_vjp", interpreted(host("relu_vjp"), x, y_bar), (x, y_bar))


@pytest.mark.parametrize("count", [7, 8])
def test_relu_of_nan_and_infinity_and_both_zeros(count):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0], np.float32)[:count]
    y_bar = np.array([1.0, np.nan, np.inf, 1.0, np.inf, np.inf, 3.0, 2.0], np.float32)[:count]
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(interpreted(host("relu"), x), specification("relu")(x))
        np.testing.assert_array_equal(interpreted(host("relu_vjp"), x, y_bar),
                                      specification("relu_vjp")(x, y_bar))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout):
    arguments = network_arguments((2, 3, 5, 4), 8, 8)
    given = tuple(LAYOUTS[layout](argument) for argument in arguments)
    check_results("coupling_network", interpreted(host("coupling_network"), *given), arguments)
    arguments = network_vjp_arguments((2, 3, 5, 4), 8, 8)
    given = tuple(LAYOUTS[layout](argument) for argument in arguments)
    check_results("coupling_network_vjp", interpreted(host("coupling_network_vjp"), *given),
                  arguments)
    x, y_bar = (example_numbers((4, 8), "float32", seed) for seed in (0, 1))
    given = LAYOUTS[layout](x), LAYOUTS[layout](y_bar)
    check_results("relu_vjp", interpreted(host("relu_vjp"), *given), (x, y_bar))


def test_arguments_are_left_as_they_are():
    arguments = network_vjp_arguments((2, 3, 5, 4), 8, 8)
    before = [argument.copy() for argument in arguments]
    interpreted(host("coupling_network_vjp"), *arguments)
    for argument, same in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(argument, same)


@pytest.mark.parametrize("op", OPS)
def test_nothing_is_brought_to_the_host(op):
    class Device(RecordingDevice):
        xp = NOT_ON_THE_HOST

    variant = next(variant for variant in VARIANTS if variant.op == op)
    arguments = variant.example("small", "float32")
    with stand_in(Device()), np.errstate(all="ignore"):
        variant.run(*(on_device(argument) if isinstance(argument, np.ndarray) else argument
                      for argument in arguments))


@pytest.mark.parametrize("op", OPS)
def test_signatures_are_the_specifications(op):
    assert (list(inspect.signature(host(op)).parameters)
            == list(inspect.signature(specification(op)).parameters))


def test_errors_say_what_is_wrong():
    x, kernel, bias, padding = conv_arguments((2, 4, 5, 3), (3, 3), 6, "same")
    conv2d = host("conv2d")
    with pytest.raises(TypeError, match="stand_in"):
        conv2d(x, kernel, bias, padding)
    with pytest.raises(ValueError, match="x has 2 channels; the kernel takes 3"):
        interpreted(conv2d, x[..., :2], kernel, bias, padding)
    with pytest.raises(TypeError, match="kernel must be float32, as x is; got float64"):
        interpreted(conv2d, x, kernel.astype(np.float64), bias, padding)
    with pytest.raises(ValueError, match=r"bias must have shape \(6,\); got \(5,\)"):
        interpreted(conv2d, x, kernel, bias[:5], padding)
    with pytest.raises(ValueError, match="'same' for a kernel of odd sides; got 'same' for 2 x 3"):
        interpreted(conv2d, x, kernel[:2], bias, padding)
    with pytest.raises(ValueError, match="got 'full'"):
        interpreted(conv2d, x, kernel, bias, "full")
    with pytest.raises(ValueError, match=r"y_bar must have shape \(2, 4, 5, 6\)"):
        interpreted(host("conv2d_vjp"), x, kernel, np.zeros((2, 4, 5, 5), np.float32), "same")
    parameters = network_arguments((2, 3, 5, 4), 8, 8)
    with pytest.raises(ValueError, match=r"kernel2 must have shape \(1, 1, 8, 8\)"):
        interpreted(host("coupling_network"), *parameters[:3], parameters[1], *parameters[4:])
    with pytest.raises(ValueError, match=r"y_bar must have shape \(2, 3\); got \(3, 2\)"):
        interpreted(host("relu_vjp"), np.zeros((2, 3)), np.zeros((3, 2)))


# ---- the checks themselves, on planted bugs -----------------------------------------------------


def rejected(monkeypatch, module, name, wrong, op, arguments):
    check_results(op, interpreted(host(op), *arguments), arguments)
    monkeypatch.setattr(MODULES[module], name, wrong)
    with pytest.raises(AssertionError, match="off by"):
        check_results(op, interpreted(host(op), *arguments), arguments)


def test_a_neighbour_too_far_is_rejected(monkeypatch):
    right = MODULES["conv2d"].gather
    arguments = conv_arguments((2, 5, 6, 3), (3, 3), 6, "same")
    for op, given in (("conv2d", arguments), ("conv2d_vjp", vjp_arguments(*arguments))):
        with monkeypatch.context() as planted:
            rejected(planted, "conv2d", "gather", lambda device, images, window: right(
                device, np.roll(images, 1, axis=2), window), op, given)


def test_a_missing_mask_is_rejected(monkeypatch):
    rejected(monkeypatch, "coupling_network", "mask", lambda device, x, bar: None,
             "coupling_network_vjp", network_vjp_arguments((2, 3, 5, 4), 8, 8))


def test_a_missing_relu_is_rejected(monkeypatch):
    def only_bias(device, x, bias):
        x += bias

    rejected(monkeypatch, "coupling_network", "add_bias_relu", only_bias, "coupling_network",
             network_arguments((2, 3, 5, 4), 8, 8))


def test_a_scatter_without_its_bias_is_rejected(monkeypatch):
    right = MODULES["conv2d"].scatter
    rejected(monkeypatch, "conv2d", "scatter",
             lambda device, terms, bias, window: right(device, terms, 0 * bias, window), "conv2d",
             conv_arguments((2, 4, 5, 8), (3, 3), 4, "same"))
