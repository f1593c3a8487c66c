"""Squeeze and its inverse on a GPU: every variant against the specification, bit for bit."""

import inspect

import ml_dtypes
import numpy as np
import pytest
from numba import cuda
from variant_checks import check_variant

from refglow.bijectors import expand as specification
from refglow.kernels.cuda import expand
from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.squeeze_kernels import image_index, squeezed_index
from refglow.kernels.cuda.squeeze_variants import (
    VARIANTS,
    normalized_expand,
    normalized_squeeze,
    run_expand,
    run_squeeze,
)
from refglow.kernels.cuda.stand_ins import InterpretedDevice, RecordingDevice

MODULE = "squeeze_variants"
LADDER = [(variant.op, variant.name) for variant in VARIANTS]
OPS = ["expand_forward", "expand_inverse", "expand_forward_vjp", "expand_inverse_vjp"]


def places(squeezed, columns, channels, n, image, back):
    i = cuda.grid(1)
    if i < squeezed.size:
        image[i] = image_index(squeezed[i], columns, channels, n)
        back[i] = squeezed_index(image[i], columns, channels, n)


def interpreted(function, *arguments):
    with stand_in(InterpretedDevice()):
        return function(*arguments)


def numbers(*shape, dtype=np.float32):
    """Numbers that are all different, so that each one's place can be told."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


@pytest.mark.simulator
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_on_a_device(on_device, op, name):
    on_device(check_variant, MODULE, op, name, "small", "float32")


@pytest.mark.simulator
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["vectorized", "tiled"])
def test_other_types_on_a_device(on_device, name, dtype):
    on_device(check_variant, MODULE, "expand_inverse", name, "small", dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_interpreted(op, name, dtype):
    interpreted(check_variant, MODULE, op, name, "realistic", dtype)


# (name, shape of the image, n): the number of threads or of a block's columns, one below, at and
# above an edge.
EDGES = [
    ("naive", (1, 6, 170, 2), 2), ("naive", (1, 4, 256, 2), 2), ("naive", (257, 2, 2, 1), 2),
    ("coalesced", (1, 5, 17, 3), 1), ("coalesced", (4, 4, 8, 2), 2),
    ("coalesced", (1, 1, 257, 1), 1), ("coalesced", (1, 3, 6, 17), 3),
    ("vectorized", (255, 2, 2, 4), 2), ("vectorized", (4, 2, 128, 4), 2),
    ("vectorized", (257, 2, 2, 4), 2),
    ("gathered", (51, 2, 2, 5), 2), ("gathered", (1, 4, 32, 8), 2), ("gathered", (257, 2, 2, 1), 2),
    ("tiled", (2, 4, 252, 4), 2), ("tiled", (2, 4, 256, 4), 2), ("tiled", (3, 2, 260, 4), 2),
]


# The images at the three scales of a Glow for CIFAR images, before and after its squeezes, and one
# large image.
SCALES = [((16, 32, 32, 4), 2), ((16, 16, 16, 12), 2), ((16, 8, 8, 24), 2), ((1, 256, 256, 4), 2)]


def check_both_directions(name, shape, n):
    image = numbers(*shape)
    squeezed = specification.expand_inverse(image, n)[0]
    np.testing.assert_array_equal(run_squeeze(name, image, n)[0], squeezed)
    np.testing.assert_array_equal(run_expand(name, squeezed, n)[0], image)


@pytest.mark.parametrize(("name", "shape", "n"), EDGES)
def test_edges_of_blocks(name, shape, n):
    interpreted(check_both_directions, name, shape, n)


@pytest.mark.simulator
@pytest.mark.parametrize(("name", "shape", "n"), EDGES)
def test_edges_of_blocks_on_a_device(on_device, name, shape, n):
    on_device(check_both_directions, name, shape, n)


@pytest.mark.parametrize(("shape", "n"), SCALES)
@pytest.mark.parametrize("name", list(dict.fromkeys(name for op, name in LADDER
                                                    if op.startswith("expand"))))
def test_every_variant_at_the_scales_of_a_glow(name, shape, n):
    interpreted(check_both_directions, name, shape, n)


@pytest.mark.parametrize(("shape", "n"), [
    ((2, 3, 4, 6, 5), 2), ((4, 6, 5), 2), ((3, 6, 9, 2), 3), ((2, 5, 7, 3), 1), ((2, 8, 4, 3), 4),
    ((0, 4, 6, 5), 2), ((2, 0, 6, 5), 2), ((2, 3, 0, 4, 6, 5), 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint16", ml_dtypes.bfloat16])
def test_host_functions_of_any_sizes(shape, n, dtype):
    image = numbers(*shape, dtype=dtype)
    squeezed = specification.expand_inverse(image, n)[0]
    zero = np.zeros((), np.float32)
    for op, arguments, expected in [
            ("expand_inverse", (image, n), squeezed), ("expand_forward", (squeezed, n), image),
            ("expand_forward_vjp", (squeezed, n, image, zero), squeezed),
            ("expand_inverse_vjp", (squeezed, n, squeezed, zero), image)]:
        result = interpreted(getattr(expand, op), *arguments)
        if not op.endswith("vjp"):
            result, log_det = result
            assert log_det.shape == () and log_det == 0
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def test_numbers_are_moved_unchanged():
    bits = np.random.default_rng(0).integers(0, 2**32, (3, 4, 8, 4), dtype=np.uint32)
    for name in ("naive", "coalesced", "vectorized", "gathered", "tiled"):
        squeezed, _ = interpreted(run_squeeze, name, bits.view(np.float32), 2)  # NaNs among them
        expected = specification.expand_inverse(bits, 2)[0]
        np.testing.assert_array_equal(squeezed.view(np.uint32), expected)


def test_signatures_are_the_specifications():
    for op in OPS:
        assert (list(inspect.signature(getattr(expand, op)).parameters)
                == list(inspect.signature(getattr(specification, op)).parameters))


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_misaligned_and_strided(offset):
    image = numbers(2, 4, 6, 8)
    buffer = np.zeros(image.size + 8, np.float32)
    moved = buffer[offset:offset + image.size].reshape(image.shape)
    moved[...] = image
    backwards = image[:, ::-1].copy()[:, ::-1]
    expected = specification.expand_inverse(image, 2)[0]
    for given in (moved, backwards, np.asfortranarray(image)):
        np.testing.assert_array_equal(interpreted(expand.expand_inverse, given, 2)[0], expected)


def test_the_best_variant_that_applies():
    def launched(shape, n, dtype=np.float32):
        device = RecordingDevice()
        with stand_in(device):
            expand.expand_inverse(numbers(*shape, dtype=dtype), n)
        return device.launches[0].kernel.name

    assert launched((2, 4, 6, 3), 2) == "squeeze_gathered"
    assert launched((2, 6, 6, 3), 3) == "squeeze_coalesced"
    assert launched((1, 2, 2, 1), 2, np.float16) == "squeeze_coalesced"  # 8 bytes


def test_the_fused_kernel_of_any_types_and_refusals():
    image, c = numbers(2, 4, 6, 3), 12
    shift, log_scale = np.random.default_rng(0).standard_normal((2, c)).astype(np.float32)
    z, ildj = interpreted(normalized_squeeze, image, 2, shift, log_scale)
    back, fldj = interpreted(normalized_expand, z, 2, shift, log_scale)
    np.testing.assert_allclose(back, image, rtol=1e-5, atol=1e-5)  # x + m rounds, m about 1
    assert ildj == -fldj and ildj.dtype == np.float32
    with pytest.raises(ValueError, match="block size of 2"):
        interpreted(normalized_squeeze, numbers(2, 3, 6, 4), 3, np.zeros(36, np.float32),
                    np.zeros(36, np.float32))
    with pytest.raises(TypeError, match="shift must be float32; got float64"):
        interpreted(normalized_squeeze, image, 2, shift.astype(np.float64), log_scale)


@pytest.mark.parametrize("around", [0, 2**31, 2**32, 2**40])
def test_places_beyond_what_32_bits_count(around):
    columns, channels, n = 171, 5, 3
    strip = n * n * columns * channels
    first = around // strip * strip
    squeezed = np.arange(first, first + 2 * strip)  # two strips, where 32 bits end in one of them
    image, back = np.empty_like(squeezed), np.empty_like(squeezed)
    InterpretedDevice().launch(Kernel(places), 64, 256, squeezed, columns, channels, n, image, back)
    numbered = np.arange(2 * strip).reshape(1, 2 * n, columns * n, channels)
    np.testing.assert_array_equal(image - first,
                                  specification.expand_inverse(numbered, n)[0].reshape(-1))
    np.testing.assert_array_equal(back, squeezed)


def test_errors_say_what_is_wrong():
    image = numbers(2, 4, 6, 3)
    with pytest.raises(ValueError, match="an image of 4 x 6 pixels cannot be cut into tiles of 4"):
        interpreted(expand.expand_inverse, image, 4)
    with pytest.raises(ValueError, match="3 channels cannot be moved into tiles of 2 x 2"):
        interpreted(expand.expand_forward, image, 2)
    with pytest.raises(ValueError, match=r"\[\.\.\., H, W, C\]; got \(4, 6\)"):
        interpreted(expand.expand_inverse, image[0, ..., 0], 2)
    with pytest.raises(ValueError, match="block_size must be 1 or more; got 0"):
        interpreted(expand.expand_inverse, image, 0)
    with pytest.raises(TypeError, match=r"y must be float32, .* got complex64"):
        interpreted(expand.expand_inverse, image.astype(np.complex64), 2)
    with pytest.raises(ValueError, match="variant vectorized does not apply"):
        interpreted(run_squeeze, "vectorized", image, 2)
    with pytest.raises(ValueError, match="no variant 'fast'; there are naive, coalesced"):
        interpreted(run_squeeze, "fast", image, 2)
