"""Couplings on a GPU: every variant against the specification, edges of blocks, layouts, errors."""

import inspect

import ml_dtypes
import numpy as np
import pytest
from variant_checks import assert_close, check_results, check_variant, specification, widened

from refglow.kernels.cuda import coupling
from refglow.kernels.cuda.coupling_variants import VARIANTS, run_map, run_vjp
from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.stand_ins import InterpretedDevice, RecordingDevice

MODULE = "coupling_variants"
LADDER = [(variant.op, variant.name) for variant in VARIANTS]
# The other couplings' kernels are these with another scalar function, which does not depend on the
# number type: one variant of each has to do in the other types.
IN_OTHER_TYPES = [(op, name) for op, name in LADDER if name == "coalesced" or op in (
    "sigmoid_coupling_forward", "sigmoid_coupling_forward_vjp")]
OPS = sorted({op for op, _ in LADDER} | {"shift_coupling_forward_vjp",
                                         "shift_coupling_inverse_vjp"})


def arguments_of(op, examples, pixels, channels, deciding, dtype="float32", seed=0):
    generator = np.random.default_rng(seed)
    width = (1 if op.startswith("shift") else 2) * (channels - deciding)
    x, output, bar = (generator.standard_normal((examples, pixels, last)).astype(dtype)
                      for last in (channels, width, channels))
    if not op.endswith("vjp"):
        return x, output, deciding
    log_det_bar = generator.standard_normal(examples).astype(
        np.float64 if dtype == "float64" else np.float32)
    return x, output, deciding, bar, log_det_bar


def interpreted(function, *arguments):
    with stand_in(InterpretedDevice()):
        return function(*arguments)


@pytest.mark.simulator
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_on_a_device(on_device, op, name):
    on_device(check_variant, MODULE, op, name, "small", "float32")


@pytest.mark.simulator
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["naive", "coalesced", "vectorized", "tiled", "fused"])
def test_other_types_on_a_device(on_device, name, dtype):
    on_device(check_variant, MODULE, "sigmoid_coupling_forward", name, "small", dtype)


@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_interpreted(op, name):
    interpreted(check_variant, MODULE, op, name, "realistic", "float32")


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize(("op", "name"), IN_OTHER_TYPES)
def test_other_types_interpreted(op, name, dtype):
    interpreted(check_variant, MODULE, op, name, "small", dtype)


# (name, N, P, C, K): the number of threads or of a block's pixels, one below, at and above an edge.
EDGES = [
    ("naive", 1, 255, 3, 1), ("naive", 2, 128, 3, 1), ("naive", 1, 257, 3, 1),
    ("coalesced", 1, 51, 5, 2), ("coalesced", 2, 16, 8, 3), ("coalesced", 1, 257, 1, 0),
    ("vectorized", 1, 85, 12, 4), ("vectorized", 2, 64, 8, 4), ("vectorized", 1, 257, 4, 0),
    ("tiled", 2, 126, 6, 2), ("tiled", 3, 128, 6, 2), ("tiled", 2, 130, 6, 2),
    ("fused", 2, 2047, 8, 4), ("fused", 1, 2048, 8, 4), ("fused", 3, 2049, 8, 4),
]


# The images at the second and third scale of a Glow for CIFAR images.
SCALES = [(8, 64, 24, 12), (16, 16, 48, 24)]


def check_of_size(op, name, *sizes):
    arguments = arguments_of(op, *sizes)
    run = run_vjp if op.endswith("vjp") else run_map
    check_results(op, run(op, name, *arguments), arguments)


def check_map_and_vjp(name, *sizes):
    check_of_size("sigmoid_coupling_inverse", name, *sizes)
    if name != "fused":
        check_of_size("sigmoid_coupling_forward_vjp", name, *sizes)


@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_edges_of_blocks(edge):
    interpreted(check_map_and_vjp, *edge)


@pytest.mark.simulator
@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_edges_of_blocks_on_a_device(on_device, edge):
    on_device(check_map_and_vjp, *edge)


@pytest.mark.parametrize("sizes", SCALES)
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_at_the_scales_of_a_glow(op, name, sizes):
    interpreted(check_of_size, op, name, *sizes)


@pytest.mark.parametrize("sizes", [(1, 1, 2, 1), (3, 5, 7, 2), (5, 2, 24, 12), (2, 9, 200, 75)])
@pytest.mark.parametrize("op", OPS)
def test_host_functions_of_any_sizes(op, sizes):
    arguments = arguments_of(op, *sizes)
    check_results(op, interpreted(getattr(coupling, op), *arguments), arguments)


@pytest.mark.parametrize("op", OPS)
def test_signatures_are_the_specifications(op):
    assert (list(inspect.signature(getattr(coupling, op)).parameters)
            == list(inspect.signature(specification(op)).parameters))


@pytest.mark.parametrize("sizes", [(0, 4, 6, 2), (3, 0, 6, 2)])
@pytest.mark.parametrize("op", OPS)
def test_empty_batches(op, sizes):
    arguments = arguments_of(op, *sizes)
    results = interpreted(getattr(coupling, op), *arguments)
    check_results(op, results, arguments)


def test_a_million_pixels_in_one_example():
    arguments = arguments_of("sigmoid_coupling_forward", 1, 1_000_000, 2, 1)
    device = InterpretedDevice(checks=False)
    with stand_in(device):
        y, fldj = coupling.sigmoid_coupling_forward(*arguments)
    check_results("sigmoid_coupling_forward", (y, fldj), arguments, roundings=4)
    assert device.reports[0].grid[0] > 1000  # summed in parts, by many blocks


def test_a_plain_float32_sum_of_a_million_would_be_rejected():
    terms = np.full(1_000_000, 0.1, np.float32)
    plain = np.cumsum(terms, dtype=np.float32)[-1:]
    with pytest.raises(AssertionError, match="off by"):
        assert_close(plain, terms.sum(dtype=np.float64, keepdims=True), "float32")


def test_the_same_bits_in_every_run():
    arguments = arguments_of("exp_coupling_inverse", 3, 700, 24, 8)
    first, second = (interpreted(coupling.exp_coupling_inverse, *arguments) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_example_does_not_depend_on_its_batch():
    x, output, deciding = arguments_of("sigmoid_coupling_forward", 5, 300, 12, 6)
    y, fldj = interpreted(coupling.sigmoid_coupling_forward, x, output, deciding)
    y_alone, fldj_alone = interpreted(coupling.sigmoid_coupling_forward, x[3:4], output[3:4],
                                      deciding)
    np.testing.assert_array_equal(y[3:4], y_alone)
    np.testing.assert_array_equal(fldj[3:4], fldj_alone)


def shifted_by(array, count):
    """The same numbers at an address `count` bytes after a multiple of 16."""
    buffer = np.zeros(array.nbytes + 32, np.uint8)
    start = -buffer.ctypes.data % 16 + count
    moved = buffer[start:start + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


@pytest.mark.parametrize("rearranged", [
    lambda array: shifted_by(array, 4), lambda array: shifted_by(array, 3), np.asfortranarray,
    lambda array: np.repeat(array, 2, axis=1)[:, ::2], lambda array: array[:, ::-1].copy()[:, ::-1],
], ids=["misaligned for vectors", "misaligned", "Fortran order", "strided", "negative strides"])
@pytest.mark.parametrize("op", ["sigmoid_coupling_forward", "exp_coupling_inverse_vjp",
                                "shift_coupling_inverse_vjp"])
def test_any_layout(op, rearranged):
    arguments = arguments_of(op, 3, 10, 16, 8)
    given = tuple(rearranged(argument) if isinstance(argument, np.ndarray) and argument.ndim == 3
                  else argument for argument in arguments)
    check_results(op, interpreted(getattr(coupling, op), *given), arguments)


def test_the_best_variant_that_applies():
    def launched(op, *sizes, dtype="float32", moved=False):
        x, *rest = arguments_of(op, *sizes, dtype=dtype)
        device = RecordingDevice()
        with stand_in(device):
            getattr(coupling, op)(shifted_by(x, 8) if moved else x, *rest)
        return device.launches[0].kernel.name.removeprefix(f"{op}_")

    assert launched("sigmoid_coupling_forward", 2, 64, 24, 12) == "fused"
    assert launched("sigmoid_coupling_forward", 2, 64, 12, 6) == "tiled"
    assert launched("sigmoid_coupling_forward", 2, 64, 12, 6, dtype="float64") == "fused"
    assert launched("sigmoid_coupling_forward", 2, 64, 24, 12, dtype="float16") == "tiled"
    assert launched("sigmoid_coupling_forward", 2, 5, 5, 2) == "coalesced"
    assert launched("sigmoid_coupling_forward", 2, 64, 24, 12, moved=True) == "coalesced"
    assert launched("sigmoid_coupling_forward_vjp", 2, 64, 24, 12) == "vectorized"
    assert launched("sigmoid_coupling_forward_vjp", 2, 64, 12, 6) == "tiled"
    assert launched("sigmoid_coupling_forward_vjp", 2, 5, 5, 2) == "coalesced"


@pytest.mark.parametrize("op", OPS)
def test_bfloat16_arrays_and_their_bits(op):
    arguments = tuple(
        argument.astype(ml_dtypes.bfloat16) if isinstance(argument, np.ndarray)
        and argument.ndim == 3 else argument for argument in arguments_of(op, 2, 6, 8, 3))
    bits = tuple(argument.view(np.uint16) if getattr(argument, "ndim", 0) == 3 else argument
                 for argument in arguments)
    results = interpreted(getattr(coupling, op), *arguments)
    of_bits = interpreted(getattr(coupling, op), *bits)
    check_results(op, of_bits, bits)
    for result, same in zip(results, of_bits, strict=True):
        expected = ml_dtypes.bfloat16 if result.ndim == 3 else np.float32
        assert result.dtype == expected
        np.testing.assert_array_equal(widened(result), widened(same))


def test_tails_keep_their_digits():
    raw = np.array([-40, -20, -5, 0, 5, 20, 60], np.float32) - 2
    x = np.ones((len(raw), 1, 1), np.float32)
    output = np.stack([raw, np.zeros_like(raw)], axis=-1)[:, None]
    for op in ("sigmoid_coupling_forward", "sigmoid_coupling_inverse"):
        y, log_det = interpreted(getattr(coupling, op), x, output, 0)
        expected, expected_log_det = specification(op)(widened(x), widened(output), 0)
        eps = np.finfo(np.float32).eps
        np.testing.assert_allclose(y, expected, rtol=4 * eps)
        np.testing.assert_allclose(log_det, expected_log_det, rtol=4 * eps)


def test_errors_say_what_is_wrong():
    x, output, deciding = arguments_of("sigmoid_coupling_forward", 2, 5, 6, 2)
    forward = coupling.sigmoid_coupling_forward
    with pytest.raises(TypeError, match="stand_in"):
        forward(x, output, deciding)
    with pytest.raises(TypeError, match=r"x must be float32, .* got int32"):
        interpreted(forward, x.astype(np.int32), output, deciding)
    with pytest.raises(TypeError, match=r"output must be float32, as x is; got float64"):
        interpreted(forward, x, output.astype(np.float64), deciding)
    with pytest.raises(TypeError, match="byte order"):
        interpreted(forward, x.astype(">f4"), output, deciding)
    with pytest.raises(ValueError, match=r"output must have shape \(2, 5, 8\); got \(2, 5, 7\)"):
        interpreted(forward, x, output[..., 1:], deciding)
    with pytest.raises(ValueError, match="deciding must be 0 to C - 1, with C = 6 channels; got 6"):
        interpreted(forward, x, output, 6)
    with pytest.raises(ValueError, match=r"x must be \[N, P, C\]"):
        interpreted(forward, x[0], output[0], deciding)
    with pytest.raises(ValueError, match="multiples of 4"):
        interpreted(run_map, "sigmoid_coupling_forward", "fused", x, output, deciding)
    with pytest.raises(ValueError, match="no variant 'fast'; it has naive, coalesced"):
        interpreted(run_map, "sigmoid_coupling_forward", "fast", x, output, deciding)
    vjp = arguments_of("sigmoid_coupling_forward_vjp", 2, 5, 6, 2)
    with pytest.raises(ValueError, match=r"fldj_bar must have shape \(2,\)"):
        interpreted(coupling.sigmoid_coupling_forward_vjp, *vjp[:4], vjp[4][:1])
    with pytest.raises(ValueError, match="y_bar must have shape"):
        interpreted(coupling.sigmoid_coupling_forward_vjp, *vjp[:3], vjp[3][:1], vjp[4])
