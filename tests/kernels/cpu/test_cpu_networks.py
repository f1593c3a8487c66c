"""The networks' kernels against the specification, at the edges of tiles, and their bits."""

import inspect
import math
import tracemalloc

import numba
import numpy as np
import pytest

from refglow.kernels.cpu import conv2d as conv_kernel
from refglow.kernels.cpu import coupling_network as network_kernel
from refglow.kernels.cpu import coupling_network_gradient as gradient_kernel
from refglow.kernels.cpu import tiles
from refglow.kernels.cpu.layout import as_pixels
from refglow.kernels.cpu.tiles import CHUNK_PIXELS, MOST_ROWS
from refglow.networks import conv2d_gradient
from refglow.networks import coupling_network as specification
from refglow.networks.conv2d import conv2d as specified_conv2d

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# (batch shape, H, W, I, F, O, K): fewer pixels than a block of rows; no whole vectors; several
# kernel sides; a tile of 128 pixels, one below and one above; more images than one chunk holds.
NETWORKS = [((2,), 5, 7, 3, 20, 6, 3), ((3,), 4, 4, 2, 16, 5, 1), ((), 3, 2, 4, 33, 7, 5),
            ((2, 1), 2, 3, 1, 1, 1, 3), ((1,), 1, MOST_ROWS - 1, 2, 17, 4, 3),
            ((1,), 1, MOST_ROWS, 3, 16, 2, 3), ((1,), 1, MOST_ROWS + 1, 2, 15, 4, 3),
            ((4,), 16, 16, 6, 40, 12, 3), ((3,), 2, CHUNK_PIXELS // 4, 1, 5, 2, 3),
            ((9,), 32, 33, 2, 4, 3, 3), ((2,), 5, 4, 0, 7, 3, 3), ((3,), 37, 35, 3, 50, 17, 3)]
NETWORK = pytest.mark.parametrize("shape", NETWORKS, ids=str)

# (batch shape, H, W, I, O, KH, KW, padding)
CONVOLUTIONS = [((2,), 5, 7, 3, 8, 3, 3, "same"), ((3,), 6, 5, 9, 2, 3, 5, "valid"),
                ((), 4, 3, 7, 7, 1, 1, "same"), ((2, 2), 5, 5, 20, 33, 3, 1, "same"),
                ((2,), 5, 5, 0, 3, 3, 3, "same"), ((9,), 40, 33, 5, 3, 3, 3, "valid"),
                ((1,), 1, MOST_ROWS + 1, 3, 4, 1, 3, "same"), ((2,), 4, 6, 8, 3, 2, 4, "valid")]
CONVOLUTION = pytest.mark.parametrize("shape", CONVOLUTIONS, ids=str)


def normal(rng, dtype, *shape, fan_in=1):
    array = (rng.normal(size=shape) / np.sqrt(fan_in)).astype(dtype)
    array.flags.writeable = False
    return array


def network(shape, dtype, seed=0):
    batch, h, w, inputs, filters, outputs, k = shape
    rng = np.random.default_rng(seed)
    x = normal(rng, dtype, *batch, h, w, 2 * inputs)[..., :inputs]  # as RealNVP cuts it out
    weights = []
    for side, i, o in ((k, inputs, filters), (1, filters, filters), (k, filters, outputs)):
        weights += [normal(rng, dtype, side, side, i, o, fan_in=side * side * i),
                    normal(rng, dtype, o)]
    return x, weights, normal(rng, dtype, *batch, h, w, outputs)


def assert_near(found, expected, terms):
    """Equal within what two orders of a sum of so many terms of size 1 can differ by.

    Each order is off by sqrt(terms) roundings of partial sums, which are some sqrt(terms) large;
    three layers of it, and twice for two orders.
    """
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    error = float(np.abs(found - expected).max(initial=0))
    assert error <= 6 * np.sqrt(terms) * np.finfo(expected.dtype).eps * scale


@DTYPES
@NETWORK
def test_coupling_network(shape, dtype):
    x, weights, _ = network(shape, dtype)
    filters = shape[4]
    expected = specification.coupling_network_activations(x, *weights)
    assert_near(network_kernel.coupling_network(x, *weights), expected[0], filters)
    found = network_kernel.coupling_network_activations(x, *weights)
    for array, like in zip(found, expected, strict=True):
        assert_near(array, like, filters)
    assert np.array_equal(found[0], network_kernel.coupling_network(x, *weights))


@DTYPES
@NETWORK
def test_coupling_network_vjp(shape, dtype):
    x, weights, output_bar = network(shape, dtype)
    _, h1, h2 = network_kernel.coupling_network_activations(x, *weights)
    arguments = (x, h1, h2, *weights[::2], output_bar)
    pixels = math.prod(x.shape[:-1])
    for found, expected in zip(gradient_kernel.coupling_network_vjp(*arguments),
                               specification.coupling_network_vjp(*arguments), strict=True):
        assert_near(found, expected, max(pixels, shape[4]))


@DTYPES
@CONVOLUTION
def test_conv2d_and_its_vjp(shape, dtype):
    batch, h, w, inputs, outputs, kh, kw, padding = shape
    rng = np.random.default_rng(1)
    x = normal(rng, dtype, *batch, h, w, inputs + 3)[..., 3:]  # no first channels: copied
    kernel = normal(rng, dtype, kh, kw, inputs, outputs, fan_in=max(1, kh * kw * inputs))
    bias = normal(rng, dtype, outputs)
    expected = specified_conv2d(x, kernel, bias, padding)
    assert_near(conv_kernel.conv2d(x, kernel, bias, padding), expected, kh * kw * inputs + 1)
    y_bar = normal(rng, dtype, *expected.shape)
    for found, like in zip(conv_kernel.conv2d_vjp(x, kernel, y_bar, padding),
                           conv2d_gradient.conv2d_vjp(x, kernel, y_bar, padding), strict=True):
        assert_near(found, like, x.size + 1)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="x has 2 channels; the kernel takes 3"):
        conv_kernel.conv2d(np.zeros((1, 2, 2, 2)), np.zeros((1, 1, 3, 4)), np.zeros(4), "same")


@DTYPES
def test_empty_batches(dtype):
    x, weights, output_bar = network(((0,), 4, 6, 2, 5, 3, 3), dtype)
    output, h1, h2 = network_kernel.coupling_network_activations(x, *weights)
    assert (output.shape, h1.shape, h2.shape) == ((0, 4, 6, 3), (0, 4, 6, 5), (0, 4, 6, 5))
    bars = gradient_kernel.coupling_network_vjp(x, h1, h2, *weights[::2], output_bar)
    for bar, like in zip(bars, (x, *weights), strict=True):
        assert bar.shape == like.shape
        assert not bar.any()


@DTYPES
def test_bits_do_not_depend_on_threads_or_runs(dtype):
    x, weights, output_bar = network(((5,), 13, 7, 6, 40, 12, 3), dtype)
    threads = numba.get_num_threads()
    results = []
    try:
        for count in (1, threads, threads):
            numba.set_num_threads(count)
            output, h1, h2 = network_kernel.coupling_network_activations(x, *weights)
            bars = gradient_kernel.coupling_network_vjp(x, h1, h2, *weights[::2], output_bar)
            results.append((output, h1, h2, *bars))
    finally:
        numba.set_num_threads(threads)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@DTYPES
def test_little_work_on_one_thread_gives_the_same_bits(dtype, monkeypatch):
    x, weights, output_bar = network(((2,), 5, 7, 3, 20, 6, 3), dtype)
    results = []
    for few in (0, 1 << 62):
        monkeypatch.setattr(tiles, "FEW_PRODUCTS", few)
        output, h1, h2 = network_kernel.coupling_network_activations(x, *weights)
        bars = gradient_kernel.coupling_network_vjp(x, h1, h2, *weights[::2], output_bar)
        results.append((network_kernel.coupling_network(x, *weights), output, h1, h2, *bars))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_number_of_threads_is_given_back():
    threads = numba.get_num_threads()
    with tiles.threads_for(tiles.FEW_PRODUCTS):
        assert numba.get_num_threads() == threads
    with tiles.threads_for(tiles.FEW_PRODUCTS - 1):
        assert numba.get_num_threads() == 1
    assert numba.get_num_threads() == threads
    with pytest.raises(ZeroDivisionError), tiles.threads_for(0):
        1 / 0  # noqa: B018
    assert numba.get_num_threads() == threads


def strided_images():
    whole = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    return {"whole": (whole, True), "first channels": (whole[..., :4], True),
            "last channels": (whole[..., 2:], True), "one pixel": (whole[:1, :1, :1, :4], True),
            "one channel": (whole[..., 1:2], True),
            "every second channel": (whole[..., ::2], False),
            "cut rows": (whole[:, :2, :, :4], False), "cut columns": (whole[:, :, 1:4], False),
            "every second row": (whole[:, ::2], False), "backwards": (whole[..., ::-1, :4], False),
            "turned": (whole.swapaxes(1, 2), False), "no pixels": (whole[:0], True),
            "one image repeated": (np.broadcast_to(whole[:1], whole.shape), False),
            "unaligned": (np.ndarray(whole.shape, whole.dtype, bytes(whole.nbytes + 1), 1), True)}


@pytest.mark.parametrize("name", strided_images())
def test_pixels_are_read_where_they_are_or_copied(name):
    images, in_place = strided_images()[name]
    flat, stride = as_pixels(images)
    pixels = images.reshape(-1, images.shape[-1])
    assert not flat.flags.writeable
    for p, pixel in enumerate(pixels):
        np.testing.assert_array_equal(flat[p * stride:p * stride + len(pixel)], pixel)
    assert len(flat) == (max(0, len(pixels) - 1) * stride + len(pixel) if len(pixels) else 0)
    assert np.shares_memory(flat, images) == (in_place and len(pixels) > 0)


def test_an_image_does_not_depend_on_its_batch():
    x, weights, _ = network(((7,), 5, 9, 4, 24, 6, 3), np.float32)
    together = network_kernel.coupling_network(x, *weights)
    for k, image in enumerate(x):
        np.testing.assert_array_equal(network_kernel.coupling_network(image, *weights), together[k])


@DTYPES
@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("filters", [8, 16, 20])
def test_what_is_not_finite_is_where_the_specification_has_it(filters, sign, dtype):
    x, weights, _ = network(((5,), 6, 7, 2, filters, 4, 3), dtype)
    x = x.copy()
    x[0, 2, 3, 1], x[1, 0, 0, 0], x[2, 3, 3, 0] = np.nan, np.inf, -np.inf
    x[3, 2, 2:4] = 0.7 * np.finfo(dtype).max  # sums of these overflow, products with 0.1 do not
    if sign:
        weights[0] = sign * (0.01 + 0.05 * np.abs(weights[0]))
    with np.errstate(all="ignore"):
        expected = specification.coupling_network_activations(x, *weights)
        found = network_kernel.coupling_network_activations(x, *weights)
    np.testing.assert_array_equal(network_kernel.coupling_network(x, *weights), found[0])
    for ours, theirs in zip(found, expected, strict=True):
        for kind in (np.isnan, np.isinf):
            np.testing.assert_array_equal(kind(ours)[[0, 1, 2, 4]], kind(theirs)[[0, 1, 2, 4]])
        finite = np.isfinite(theirs)
        assert np.isfinite(ours[finite]).all()
        scale = np.abs(theirs[3], where=finite[3], out=np.ones_like(theirs[3])).max()
        assert np.abs(ours[3] - theirs[3], where=finite[3], out=np.zeros_like(theirs[3])).max() <= (
            1e3 * np.finfo(dtype).eps * scale)


def test_kernels_of_different_sides():
    for first, last in ((5, 3), (3, 1), (3, 5)):
        x, weights, _ = network(((2,), 6, 7, 3, 20, 5, first), np.float32)
        weights[4] = network(((2,), 6, 7, 3, 20, 5, last), np.float32)[1][4]
        assert_near(network_kernel.coupling_network(x, *weights),
                    specification.coupling_network(x, *weights), 20)


def test_interpolation_costs_a_fraction_of_a_digit():
    """Beside the float64 result, the error of fewer products over that of plain sums in float32."""
    x, weights, _ = network(((4,), 16, 16, 6, 400, 12, 3), np.float32)
    wide = [array.astype(np.float64) for array in (x, *weights)]
    true = specification.coupling_network(*wide)
    plain = network_kernel._in_tiles(x, *weights, kept=None)
    ours, theirs = (np.sqrt(np.square(y - true).mean())
                    for y in (network_kernel.coupling_network(x, *weights), plain))
    assert 1.1 < ours / theirs < 10**0.3


@pytest.mark.parametrize("which", range(7))
def test_arrays_that_do_not_fit_are_refused(which):
    x, weights, _ = network(NETWORKS[0], np.float32)
    arrays = [x, *weights]
    larger = np.concatenate([arrays[which]] * 2, axis=-1)
    for array in (larger, larger[..., :1]):
        with pytest.raises(ValueError, match="it must be"):
            network_kernel.coupling_network(*arrays[:which], array, *arrays[which + 1:])
    for dtype in (np.float64, np.int32, np.float16):
        with pytest.raises(TypeError, match="all of one type"):
            network_kernel.coupling_network(
                *arrays[:which], arrays[which].astype(dtype), *arrays[which + 1:])


@pytest.mark.parametrize("which", range(7))
def test_the_gradient_refuses_arrays_that_do_not_fit(which):
    x, weights, output_bar = network(NETWORKS[0], np.float32)
    _, h1, h2 = network_kernel.coupling_network_activations(x, *weights)
    arrays = [x, h1, h2, *weights[::2], output_bar]
    larger = np.concatenate([arrays[which]] * 2, axis=-1)
    for array, error in ((larger, ValueError), (larger[..., :1], ValueError),
                         (arrays[which].astype(np.float64), TypeError)):
        with pytest.raises(error, match=r"it must be|all of one type"):
            gradient_kernel.coupling_network_vjp(*arrays[:which], array, *arrays[which + 1:])


def test_convolutions_refuse_arrays_that_do_not_fit():
    x, (kernel, bias, *_), _ = network(NETWORKS[0], np.float32)
    y = conv_kernel.conv2d(x, kernel, bias, "same")
    for arrays in ((x, kernel, bias[:1]), (x, kernel, np.concatenate([bias, bias]))):
        with pytest.raises(ValueError, match="it must be"):
            conv_kernel.conv2d(*arrays, "same")
    for arrays in ((x[:1], kernel, y), (x[..., :1], kernel, y), (x, kernel, y[..., :1])):
        with pytest.raises(ValueError, match="it must be"):
            conv_kernel.conv2d_vjp(*arrays, "same")
    for function, arrays in ((conv_kernel.conv2d, (x, kernel, bias)),
                             (conv_kernel.conv2d_vjp, (x, kernel, y))):
        for k, array in enumerate(arrays):
            with pytest.raises(TypeError, match="all of one type"):
                function(*arrays[:k], array.astype(np.float64), *arrays[k + 1:], "same")


def test_other_byte_orders_are_taken():
    x, weights, output_bar = network(NETWORKS[0], np.float32)
    other = [array.astype(array.dtype.newbyteorder()) for array in (x, *weights, output_bar)]
    y, h1, h2 = network_kernel.coupling_network_activations(x, *weights)
    np.testing.assert_array_equal(network_kernel.coupling_network(*other[:7]), y)
    kernels = weights[0], weights[2], weights[4]
    expected = gradient_kernel.coupling_network_vjp(x, h1, h2, *kernels, output_bar)
    found = gradient_kernel.coupling_network_vjp(other[0], h1, h2, other[1], other[3], other[5],
                                                 other[7])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kernel, bias = weights[0], weights[1]
    np.testing.assert_array_equal(conv_kernel.conv2d(other[0], other[1], other[2], "same"),
                                  conv_kernel.conv2d(x, kernel, bias, "same"))


def test_networks_without_channels():
    x, weights, _ = network(((2,), 5, 4, 3, 6, 2, 3), np.float32)
    k1, b1, k2, b2, k3, b3 = weights
    expected = specification.coupling_network_activations(x, k1, b1, k2, b2, k3[..., :0], b3[:0])
    found = network_kernel.coupling_network_activations(x, k1, b1, k2, b2, k3[..., :0], b3[:0])
    for ours, theirs in zip(found, expected, strict=True):
        assert_near(ours, theirs, 27)
    y = network_kernel.coupling_network(x, k1[..., :0], b1[:0], k2[..., :0, :0], b2[:0],
                                        k3[:, :, :0], b3)
    np.testing.assert_array_equal(y, np.broadcast_to(b3, y.shape))


@DTYPES
def test_memory_does_not_grow_with_the_batch(dtype):
    peaks = []
    for batch in (64, 256):
        x, weights, _ = network(((batch,), 16, 16, 2, 64, 4, 3), dtype)
        network_kernel.coupling_network(x, *weights)  # compiles, which takes more memory
        tracemalloc.start()
        y = network_kernel.coupling_network(x, *weights)
        peaks.append(tracemalloc.get_traced_memory()[1] - y.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


@pytest.mark.parametrize(("kernel", "like"), [
    (network_kernel.coupling_network, specification.coupling_network),
    (network_kernel.coupling_network_activations, specification.coupling_network_activations),
    (gradient_kernel.coupling_network_vjp, specification.coupling_network_vjp),
    (conv_kernel.conv2d, specified_conv2d),
    (conv_kernel.conv2d_vjp, conv2d_gradient.conv2d_vjp)])
def test_signature_is_the_specification_s(kernel, like):
    assert inspect.signature(kernel) == inspect.signature(like)


def test_the_comparison_rejects_a_wrong_digit():
    x, weights, _ = network(NETWORKS[0], np.float64)
    right = specification.coupling_network(x, *weights)
    wrong = right.copy()
    wrong.flat[3] += 1e-12
    with pytest.raises(AssertionError):
        assert_near(wrong, right, 20)
