"""ActNorm on a GPU: maps, vjps and statistics against the specification."""

import inspect

import numpy as np
import pytest
from variant_checks import assert_close, check_results, check_variant, specification, widened

from refglow.kernels.cuda import activation_normalization
from refglow.kernels.cuda.activation_normalization import VARIANTS, channel_statistics
from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.stand_ins import InterpretedDevice, RecordingDevice

MODULE = "activation_normalization"
LADDER = [(variant.op, variant.name) for variant in VARIANTS]
OPS = sorted({op for op, _ in LADDER})


def interpreted(function, *arguments):
    with stand_in(InterpretedDevice()):
        return function(*arguments)


def arguments_of(op, *shape, dtype="float32"):
    generator = np.random.default_rng(0)
    array, bar = generator.standard_normal((2, *shape)).astype(dtype)
    if op == "channel_statistics":
        return array, 1e-3
    shift, log_scale = generator.standard_normal((2, shape[-1])).astype(dtype)
    arguments = array, shift, log_scale, bar, np.asarray(0.5, dtype)
    return arguments if op.endswith("vjp") else arguments[:3]


def check_of_shape(op, *shape):
    arguments = arguments_of(op, *shape)
    check_results(op, getattr(activation_normalization, op)(*arguments), arguments)


@pytest.mark.simulator
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_on_a_device(on_device, op, name, dtype):
    on_device(check_variant, MODULE, op, name, "small", dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_interpreted(op, name, dtype):
    interpreted(check_variant, MODULE, op, name, "realistic", dtype)


# Threads of a map, channels of a reducing block (64) and pixels of its part (256 for 12 channels):
# one below, at and above an edge.
@pytest.mark.parametrize("shape", [
    (17, 5, 3), (8, 8, 4), (257, 1), (2, 2, 63), (3, 64), (5, 65), (1, 2, 130), (255, 12),
    (256, 12), (257, 12), (4,)])
@pytest.mark.parametrize("op", OPS)
def test_edges_of_blocks(op, shape):
    interpreted(check_of_shape, op, *shape)


@pytest.mark.simulator
@pytest.mark.parametrize("shape", [(257, 1), (3, 64), (5, 65), (257, 12)])
@pytest.mark.parametrize("op", OPS)
def test_edges_of_blocks_on_a_device(on_device, op, shape):
    on_device(check_of_shape, op, *shape)


@pytest.mark.parametrize("shape", [(8, 16, 16, 12), (8, 8, 8, 24), (16, 4, 4, 48)])
@pytest.mark.parametrize("op", OPS)
def test_the_scales_of_a_glow(op, shape):
    interpreted(check_of_shape, op, *shape)


@pytest.mark.parametrize("shape", [(0, 3, 4, 6), (2, 0, 5)])
@pytest.mark.parametrize("op", [op for op in OPS if op != "channel_statistics"])
def test_empty_batches(op, shape):
    interpreted(check_of_shape, op, *shape)


@pytest.mark.parametrize("op", OPS)
def test_any_layout(op):
    arguments = arguments_of(op, 3, 6, 5, 8)

    def rearranged(array, offset):
        buffer = np.zeros(array.size + 4, array.dtype)
        buffer[offset:offset + array.size] = array.ravel()
        return buffer[offset:offset + array.size].reshape(array.shape)

    for change in (np.asfortranarray, lambda array: rearranged(array, 1),
                   lambda array: np.repeat(array, 2, axis=0)[::2]):
        given = [change(argument) if getattr(argument, "ndim", 0) else argument
                 for argument in arguments]
        check_results(op, interpreted(getattr(activation_normalization, op), *given), arguments)


@pytest.mark.parametrize("op", OPS)
def test_signatures_are_the_specifications(op):
    assert (list(inspect.signature(getattr(activation_normalization, op)).parameters)
            == list(inspect.signature(specification(op)).parameters))


def raw_images():
    return np.random.default_rng(0).integers(0, 256, (10, 100, 100, 3)).astype(np.float32)


def far_from_zero():
    noise = np.random.default_rng(0).standard_normal((4000, 5))
    return (1e4 + np.array([0, 1, 2, 3, 4]) + 0.1 * noise).astype(np.float32)


def led_by_an_outlier():
    batch = np.random.default_rng(0).standard_normal((20000, 2)).astype(np.float32)
    batch[0] = 1e4
    return batch


@pytest.mark.parametrize("batch", [raw_images(), far_from_zero(), led_by_an_outlier()],
                         ids=["0..255", "mean 10^4, deviation 0.1", "an outlier first"])
def test_statistics_keep_their_digits(batch):
    results = interpreted(channel_statistics, batch, 0.0)
    eps = np.finfo(np.float32).eps
    for result, expected in zip(results, specification("channel_statistics")(widened(batch), 0.0),
                                strict=True):
        np.testing.assert_allclose(result, expected, rtol=2 * eps)


def test_one_pass_about_zero_would_be_rejected():
    batch = far_from_zero()
    squares = (batch * batch).mean(axis=0, dtype=np.float32)
    variance = squares - batch.mean(axis=0, dtype=np.float32) ** 2
    _, expected = specification("channel_statistics")(widened(batch), 0.0)
    with pytest.raises(AssertionError, match="off by"):
        assert_close(np.sqrt(np.maximum(variance, 0)), expected, "float32")


@pytest.mark.parametrize("value", [0.0, 128.3, -1e-20])
def test_a_constant_channel_deviates_by_epsilon(value):
    mean, deviation = interpreted(channel_statistics, np.full((777, 3), value, np.float32), 1e-6)
    np.testing.assert_array_equal(mean, np.float32(value))
    np.testing.assert_array_equal(deviation, np.float32(1e-6))


def test_the_same_bits_in_every_run():
    arguments = arguments_of("activation_normalization_inverse_vjp", 5, 300, 12)
    function = activation_normalization.activation_normalization_inverse_vjp
    for a, b in zip(*(interpreted(function, *arguments) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_pixels_are_summed_in_a_bounded_number_of_parts():
    device = RecordingDevice()
    with stand_in(device):
        channel_statistics(np.zeros((3_000_000, 1), np.float32), 1.0)
    assert device.launches[0].grid[1] <= 1024


def test_errors_say_what_is_wrong():
    x, shift, log_scale = arguments_of("activation_normalization_inverse", 2, 5, 6)
    inverse = activation_normalization.activation_normalization_inverse
    with pytest.raises(TypeError, match="stand_in"):
        inverse(x, shift, log_scale)
    with pytest.raises(TypeError, match=r"x must be float32 or float64, .* got float16"):
        interpreted(inverse, x.astype(np.float16), shift, log_scale)
    with pytest.raises(TypeError, match="log_scale must be float32, as x is; got float64"):
        interpreted(inverse, x, shift, log_scale.astype(np.float64))
    with pytest.raises(ValueError, match=r"shift must have shape \(6,\); got \(5,\)"):
        interpreted(inverse, x, shift[1:], log_scale)
    with pytest.raises(ValueError, match="the batch is empty"):
        interpreted(channel_statistics, x[:0], 1.0)
    vjp = arguments_of("activation_normalization_forward_vjp", 2, 5, 6)
    with pytest.raises(ValueError, match=r"x_bar must have shape \(2, 5, 6\); got \(1, 5, 6\)"):
        interpreted(activation_normalization.activation_normalization_forward_vjp, *vjp[:3],
                    vjp[3][:1], vjp[4])
