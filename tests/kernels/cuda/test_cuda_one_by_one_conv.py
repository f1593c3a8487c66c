"""1x1 convolutions on a GPU: every variant against the specification, edges, layouts, errors."""

import inspect

import numpy as np
import pytest
from linear_checks import (
    LAYOUTS,
    NOT_ON_THE_HOST,
    check_results,
    check_variant,
    on_device,
    shifted_by,
    specification,
)
from variant_checks import variant_of

from refglow.kernels.cuda import (
    normalized_conv,
    one_by_one_conv,
    outer_products,
    scale_matvec_lu,
    triangular_solve,
)
from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.layout import example_numbers
from refglow.kernels.cuda.one_by_one_conv_variants import VARIANTS, example_matrix
from refglow.kernels.cuda.stand_ins import InterpretedDevice, RecordingDevice

MODULE = "one_by_one_conv_variants"
LADDER = [(variant.op, variant.name) for variant in VARIANTS]
OPS = sorted({op for op, _ in LADDER})
HOST = {op: getattr(normalized_conv if op.startswith("normalized") else scale_matvec_lu, op)
        for op in OPS}


def arguments_of(op, shape, dtype="float32"):
    """x and parameters of ActNorm far from its start: means of 5 spreads, scales of 0.6 to 1.6."""
    x, bar = (example_numbers(shape, dtype, seed) for seed in (0, 1))
    parameters = example_matrix(shape[-1], dtype)
    if op.startswith("normalized"):
        shift = 5 * example_numbers(shape[-1:], dtype, 2)
        x = x - shift if "forward" in op else x
        log_scale = example_numbers(shape[-1:], dtype, 3).clip(-1, 1) / 2
        parameters = (shift, log_scale, *parameters)
    return (x, *parameters, bar, np.float64(0.7)) if op.endswith("vjp") else (x, *parameters)


def interpreted(function, *arguments):
    with stand_in(InterpretedDevice()):
        return function(*arguments)


def run_variant(op, name, *arguments):
    return interpreted(variant_of(MODULE, op, name).run, *arguments)


@pytest.mark.simulator
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_on_a_device(on_device, op, name):
    on_device(check_variant, MODULE, op, name, "small", "float32")


@pytest.mark.simulator
@pytest.mark.parametrize(("op", "name"), [
    ("scale_matvec_lu_forward", "vectorized"), ("normalized_conv_forward", "fused"),
    ("normalized_conv_inverse", "fused"), ("scale_matvec_lu_forward_vjp", "tiled")])
def test_float64_on_a_device(on_device, op, name):
    on_device(check_variant, MODULE, op, name, "small", "float64")


@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_interpreted(op, name):
    interpreted(check_variant, MODULE, op, name, "realistic", "float32")


@pytest.mark.parametrize(("op", "name"), LADDER)
def test_float64_interpreted(op, name):
    interpreted(check_variant, MODULE, op, name, "small", "float64")


# Pixels below, at and above a block of threads, a tile of 64, a warp, a chunk and a strip.
EDGES = [
    *[("scale_matvec_lu_forward", "naive", pixels, 3) for pixels in (255, 256, 257)],
    *[("scale_matvec_lu_forward", "coalesced", pixels, 5) for pixels in (51, 52, 103)],
    *[("scale_matvec_lu_forward", "vectorized", pixels, 8) for pixels in (127, 128, 129)],
    *[("scale_matvec_lu_forward", "tiled", pixels, 12) for pixels in (1, 31, 33, 63, 64, 65, 129)],
    *[("normalized_conv_forward", "fused", pixels, 24) for pixels in (1, 32, 63, 64, 65)],
    *[("scale_matvec_lu_inverse", "naive", pixels, 3) for pixels in (255, 256, 257)],
    *[("scale_matvec_lu_inverse", "tiled", pixels, 8) for pixels in (1, 63, 64, 65)],
    *[("scale_matvec_lu_forward_vjp", "naive", pixels, 4) for pixels in (63, 64, 65)],
    *[("scale_matvec_lu_forward_vjp", "tiled", pixels, 12) for pixels in (1, 55, 57, 64, 65, 113)],
]


def check_of_shape(op, name, *shape):
    arguments = arguments_of(op, shape)
    check_results(op, variant_of(MODULE, op, name).run(*arguments), arguments)


@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_edges_of_blocks(edge):
    interpreted(check_of_shape, *edge)


@pytest.mark.simulator
@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_edges_of_blocks_on_a_device(on_device, edge):
    on_device(check_of_shape, *edge)


@pytest.mark.parametrize("shape", [(4, 16, 16, 12), (8, 8, 8, 24)])
@pytest.mark.parametrize(("op", "name"), LADDER)
def test_every_variant_at_the_other_scales_of_a_glow(op, name, shape):
    interpreted(check_of_shape, op, name, *shape)


# One channel; no whole vectors; what fits the chip, and the next that does not; more than a panel.
@pytest.mark.parametrize(("channels", "dtype"), [
    (1, "float32"), (2, "float32"), (5, "float32"), (36, "float32"), (84, "float32"),
    (1, "float64"), (3, "float64"), (34, "float64"), (52, "float64")])
@pytest.mark.parametrize("op", OPS)
def test_host_functions_of_any_channels(op, channels, dtype):
    arguments = arguments_of(op, (2, 1, 9, channels), dtype)
    check_results(op, interpreted(HOST[op], *arguments), arguments)


@pytest.mark.parametrize(("channels", "dtype"), [(80, "float32"), (150, "float32"),
                                                 (50, "float64")])
@pytest.mark.parametrize("op", ["normalized_conv_forward", "scale_matvec_lu_forward_vjp"])
def test_more_channels(op, channels, dtype):
    arguments = arguments_of(op, (9, channels), dtype)
    check_results(op, interpreted(HOST[op], *arguments), arguments)


@pytest.mark.parametrize("shape", [(4,), (0, 4), (2, 0, 3, 12), (0, 5)])
@pytest.mark.parametrize("op", OPS)
def test_no_batch_and_empty_batches(op, shape):
    arguments = arguments_of(op, shape)
    check_results(op, interpreted(HOST[op], *arguments), arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [5, 8])
@pytest.mark.parametrize("op", ["normalized_conv_forward", "scale_matvec_lu_inverse",
                                "normalized_conv_inverse_vjp", "scale_matvec_lu_forward_vjp"])
def test_any_layout(op, channels, layout):
    arguments = arguments_of(op, (3, 7, channels))
    given = tuple(LAYOUTS[layout](argument) if argument.ndim else argument
                  for argument in arguments)
    check_results(op, interpreted(HOST[op], *given), arguments)


def test_many_pixels_in_few_strips_keep_their_digits():
    op = "normalized_conv_forward_vjp"
    arguments = arguments_of(op, (33_000, 4))
    check_results(op, interpreted(HOST[op], *arguments), arguments)


def test_a_mean_far_from_zero_does_not_cancel():
    """With the shift folded into a constant M m, float32 would lose four digits here."""
    op = "normalized_conv_forward"
    _, shift, *parameters = arguments_of(op, (50, 12))
    shift = np.full_like(shift, -4096)
    x = example_numbers((50, 12), "float32", 0) - shift
    arguments = x, shift, *parameters
    y, _ = interpreted(HOST[op], *arguments)
    check_results(op, interpreted(HOST[op], *arguments), arguments)
    folded = specification(op)(x, np.zeros_like(shift), *parameters)[0]
    constant = specification(op)(-shift[None], np.zeros_like(shift), *parameters)[0]
    worst = np.abs(folded - constant - y).max()
    assert worst > 100 * np.finfo(np.float32).eps * np.abs(y).max()


def test_an_ill_conditioned_inverse_in_float64_is_backward_stable():
    """The residual of substitutions is small whatever the condition; a product's is not."""
    lower_upper, permutation = example_matrix(12, "float64")
    lower_upper[-1, -1] *= 1e-9
    wide = lower_upper.astype(np.longdouble)
    multiplied = specification("scale_matvec_lu_forward")
    solution = example_numbers((40, 12), "float64", 0)
    y = multiplied(solution.astype(np.longdouble), wide, permutation)[0].astype(np.float64)
    x, _ = interpreted(scale_matvec_lu.scale_matvec_lu_inverse, y, lower_upper, permutation)
    by_product, _ = interpreted(scale_matvec_lu.inverse_by_product, one_by_one_conv.multiply, y,
                                lower_upper, permutation)
    residuals = [np.abs(multiplied(result.astype(np.longdouble), wide, permutation)[0] - y).max()
                 / (np.finfo(np.float64).eps * np.abs(result).max()) for result in (x, by_product)]
    assert residuals[0] < 8 < 1000 < residuals[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", ["scale_matvec_lu_inverse_vjp", "normalized_conv_inverse_vjp"])
def test_the_gradient_of_a_growing_inverse_does_not_cancel(op, dtype):
    """W^-1 has numbers up to 2^12, and the gradient's condition is about 1.

    Whether x = W^-1 y is exact, or rounded: then u = U x would have lost three digits.
    """
    lower_upper = np.where(np.eye(14), 1, -np.ones((14, 14))).astype(dtype)
    order = np.random.default_rng(0).permutation(14)
    actnorm = (np.zeros((2, 14), dtype)) if op.startswith("normalized") else ()
    for y in (np.arange(70.0).reshape(5, 14) % 3, example_numbers((5, 14), dtype, 0)):
        arguments = (y.astype(dtype), *actnorm, lower_upper, order,
                     example_numbers((5, 14), dtype, 1), np.float64(0.7))
        check_results(op, interpreted(HOST[op], *arguments), arguments)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_an_inverse_with_a_mean_far_from_zero_does_not_cancel(dtype):
    """x + m, of the x that was returned, would have lost four digits here."""
    op = "normalized_conv_inverse_vjp"
    y, shift, *rest = arguments_of(op, (50, 12), dtype)
    arguments = y, np.full_like(shift, 4096), *rest
    check_results(op, interpreted(HOST[op], *arguments), arguments)


def test_nan_and_infinity_stay_in_their_pixel():
    op = "normalized_conv_forward"
    x, *parameters = arguments_of(op, (70, 12))
    x[5, 3], x[64, 0] = np.nan, np.inf
    y, _ = interpreted(HOST[op], x, *parameters)
    broken = ~np.isfinite(y).all(axis=-1)
    assert np.flatnonzero(broken).tolist() == [5, 64]


def test_the_same_bits_in_every_run_and_batch():
    for op in ("normalized_conv_forward_vjp", "scale_matvec_lu_inverse"):
        arguments = arguments_of(op, (300, 12))
        first, second = (interpreted(HOST[op], *arguments) for _ in range(2))
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
        if not op.endswith("vjp"):
            alone, _ = interpreted(HOST[op], arguments[0][200:203], *arguments[1:])
            np.testing.assert_array_equal(alone, first[0][200:203])


def test_the_best_variant_that_applies():
    def launched(op, channels, dtype="float32", moved=False):
        x, *rest = arguments_of(op, (70, channels), dtype)
        device = RecordingDevice()
        with stand_in(device):
            HOST[op](shifted_by(x, 8) if moved else x, *rest)
        return [launch.kernel.name for launch in device.launches]

    forward, inverse = "scale_matvec_lu_forward", "scale_matvec_lu_inverse"
    assert launched(forward, 48) == ["product_tiled"]
    assert launched(forward, 48, moved=True) == ["product_tiled"]
    assert launched(forward, 6) == ["product_coalesced"]
    assert launched(forward, 6, "float64") == ["product_tiled"]
    assert launched(forward, 96) == ["product_vectorized"]
    assert launched("normalized_conv_forward", 48) == ["product_fused"]
    assert launched("normalized_conv_forward", 5) == ["product_coalesced"]
    assert launched(inverse, 24) == ["substitution_tiled", "product_tiled"]  # of the matrix first
    assert launched(inverse, 24, "float64") == ["substitution_tiled"]
    assert launched(inverse, 96, "float64") == ["substitution_naive"]
    assert launched("normalized_conv_forward_vjp", 12) == [
        "product_tiled", "outer_products_tiled", "sum_rows"]


@pytest.mark.parametrize("op", OPS)
def test_nothing_is_brought_to_the_host(op):
    class Device(RecordingDevice):
        xp = NOT_ON_THE_HOST

    arguments = arguments_of(op, (2, 40, 12))
    with stand_in(Device()), np.errstate(all="ignore"):
        HOST[op](*(on_device(argument) if argument.ndim else argument for argument in arguments))


@pytest.mark.parametrize("op", OPS)
def test_signatures_are_the_specifications(op):
    assert (list(inspect.signature(HOST[op]).parameters)
            == list(inspect.signature(specification(op)).parameters))


def test_errors_say_what_is_wrong():
    x, lower_upper, permutation = arguments_of("scale_matvec_lu_forward", (3, 4))
    forward = scale_matvec_lu.scale_matvec_lu_forward
    with pytest.raises(TypeError, match="stand_in"):
        forward(x, lower_upper, permutation)
    with pytest.raises(TypeError, match=r"x must be float32 or float64, .* got float16"):
        interpreted(forward, x.astype(np.float16), lower_upper, permutation)
    with pytest.raises(TypeError, match=r"lower_upper must be float32, as x is; got float64"):
        interpreted(forward, x, lower_upper.astype(np.float64), permutation)
    with pytest.raises(ValueError, match=r"lower_upper must have shape \(3, 3\); got \(4, 4\)"):
        interpreted(forward, x, lower_upper, permutation[:3])
    with pytest.raises(ValueError, match=r"x must have shape \(3, 4\); got \(3, 5\)"):
        interpreted(forward, np.zeros((3, 5), np.float32), lower_upper, permutation)
    shift = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"shift must have shape \(4,\); got \(3,\)"):
        interpreted(normalized_conv.normalized_conv_forward, x, shift, shift, lower_upper,
                    permutation)


# ---- the checks themselves, on planted bugs -----------------------------------------------------


def rejected(op, patch, module, name, wrong, shape=(70, 12), dtype="float32"):
    arguments = arguments_of(op, shape, dtype)
    check_results(op, interpreted(HOST[op], *arguments), arguments)
    with patch.context() as planted:
        planted.setattr(module, name, wrong)
        with pytest.raises(AssertionError, match="off by"):
            check_results(op, interpreted(HOST[op], *arguments), arguments)


def test_a_transposed_matrix_is_rejected(monkeypatch):
    right = one_by_one_conv.multiply
    rejected("scale_matvec_lu_forward", monkeypatch, scale_matvec_lu, "multiply",
             lambda device, x, weights: right(device, x, weights.T))


def test_a_forgotten_shift_is_rejected(monkeypatch):
    right = outer_products.sums_of_outer_products
    rejected("normalized_conv_forward_vjp", monkeypatch, normalized_conv, "sums_of_outer_products",
             lambda device, left, pixels, shift: right(device, left, pixels, 0 * shift))


def test_a_permutation_the_wrong_way_round_is_rejected(monkeypatch):
    right = triangular_solve.factors_of_inverse
    for op, module in (("scale_matvec_lu_inverse", triangular_solve),
                       ("normalized_conv_inverse", triangular_solve)):
        rejected(op, monkeypatch, module, "factors_of_inverse",
                 lambda device, factors, permutation, dtype: right(
                     device, factors, np.argsort(permutation), dtype))


def test_a_last_pixel_left_out_is_rejected(monkeypatch):
    right = outer_products.sums_of_outer_products
    rejected("scale_matvec_lu_forward_vjp", monkeypatch, scale_matvec_lu, "sums_of_outer_products",
             lambda device, left, pixels, shift: right(device, left[:-1], pixels[:-1], shift))
