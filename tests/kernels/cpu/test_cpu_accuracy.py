"""How close the kernels' numbers are: a few roundings, and no lost digits."""

import numpy as np
import pytest
from cpu_operations import OPERATIONS, results_of

from refglow.bijectors import coupling as specification
from refglow.bijectors.scale_matvec_lu import lu_reconstruct
from refglow.kernels.cpu import coupling
from refglow.kernels.cpu.activation_normalization import channel_statistics
from refglow.kernels.cpu.memory import STREAMED_BYTES
from refglow.kernels.cpu.optimizer import global_norm
from refglow.kernels.cpu.scale_matvec_lu import scale_matvec_lu_forward, scale_matvec_lu_inverse
from refglow.training import clipping


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", [1, 3, 10])
@pytest.mark.parametrize("name", [f"{kind}_coupling_{direction}" for kind in ("sigmoid", "exp")
                                  for direction in ("forward", "inverse")])
def test_couplings_round_a_few_times(name, spread, dtype):
    rng = np.random.default_rng(1)
    x, output = (rng.normal(size=(2, 700, 12)).astype(dtype) * dtype(spread) for _ in range(2))
    found, log_det = getattr(coupling, name)(x, output, 6)
    exact, exact_log_det = getattr(specification, name)(x.astype(np.longdouble),
                                                        output.astype(np.longdouble), 6)
    # Roundings of e, two at most, of 1 + e, of the quotient, and at the end; none of r + 2.
    shift = output[..., 6:] if "forward" in name else 0
    terms = np.abs(exact[..., 6:] - shift) + np.abs(shift)
    assert (np.abs(found[..., 6:] - exact[..., 6:]) <= 2.5 * np.finfo(dtype).eps * terms).all()
    assert np.array_equal(found[..., :6], x[..., :6])
    relative = 2e-14 if dtype == np.float64 else 1e-8
    assert np.allclose(log_det, exact_log_det.astype(np.float64), rtol=relative, atol=0)


@pytest.mark.parametrize("raw", [8388607.5, 3e7, 1e38, np.inf])
def test_couplings_of_huge_raw_scales_saturate(raw):
    """r + 2 loses half a unit near 2^23, which must not bring a bounded exponent back."""
    x = np.ones((1, 1, 4), np.float32)
    for sign, scales in ((1, {"sigmoid": 1.0, "exp": np.inf}), (-1, {"sigmoid": 0.0, "exp": 0.0})):
        output = np.zeros((1, 1, 4), np.float32)
        output[..., :2] = sign * raw
        for kind, scale in scales.items():
            found, _ = getattr(coupling, f"{kind}_coupling_forward")(x, output, 2)
            assert (found[..., 2:] == scale).all(), (kind, sign)


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_inverse_loses_digits_with_the_condition_number_not_its_square(condition):
    c = 24
    rng = np.random.default_rng(2)
    orthogonal = np.linalg.qr(rng.normal(size=(c, c)))[0]
    scipy_linalg = pytest.importorskip("scipy.linalg")
    matrix = orthogonal * np.geomspace(1, 1 / condition, c) @ orthogonal.T[rng.permutation(c)]
    packed, pivots = scipy_linalg.lu_factor(matrix)
    permutation = np.arange(c)
    for i, other in enumerate(pivots):
        permutation[[i, other]] = permutation[[other, i]]
    assert np.allclose(lu_reconstruct(packed, permutation), matrix, atol=1e-13)
    x = rng.normal(size=(500, c))
    y, _ = scale_matvec_lu_forward(x, packed, permutation)
    back, _ = scale_matvec_lu_inverse(y, packed, permutation)
    assert np.max(np.abs(back - x)) <= 20 * c * np.finfo(float).eps * condition


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", ["kernel", "specification"])
def test_the_gradient_of_an_inverse_with_a_mean_far_from_zero_does_not_cancel(backend, dtype):
    """x + m, of the x that was returned, would have lost four digits here."""
    operation = OPERATIONS["normalized_conv_inverse_vjp"]
    y, shift, *rest = operation.arguments(dtype, (70, 12))
    arguments = y, np.full_like(shift, 4096), *rest
    found = getattr(operation, backend)(*arguments)
    exact = operation.specification(*(a.astype(np.longdouble) if a.dtype.kind == "f" else a
                                      for a in map(np.asarray, arguments)))
    for array, true in zip(found, exact, strict=True):
        assert np.abs(array - true).max() <= 16 * np.finfo(dtype).eps * np.abs(true).max()


def test_statistics_do_not_cancel():
    batch = (np.random.default_rng(3).normal(size=(5000, 3)) * 1e-3 + 1e3).astype(np.float32)
    mean, deviation = channel_statistics(batch, 0.0)
    wide = batch.astype(np.longdouble)
    assert np.allclose(mean, wide.mean(axis=0).astype(float), rtol=1e-14)
    assert np.allclose(deviation, wide.std(axis=0).astype(float), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["adam_update", "adamw_update", "adamax_update",
                                  "average_update"])
def test_updates_are_the_specification_s_bit_for_bit(name, dtype):
    operation = OPERATIONS[name]
    for size in operation.sizes:
        arguments = operation.arguments(dtype, size)
        for found, expected in zip(results_of(operation.kernel, arguments),
                                   results_of(operation.specification, arguments), strict=True):
            assert np.array_equal(found, expected)


def test_a_decay_of_zero_is_a_decay():
    """AdamW subtracts 0 w, which is NaN for an infinite w; Adam does not."""
    arrays = [np.full(3, value, np.float32) for value in (np.inf, 1, 0, 0)]
    for name, last in (("adam_update", ()), ("adamw_update", (0.0,))):
        operation = OPERATIONS[name]
        arguments = (*arrays, 1, 1e-3, 0.9, 0.999, 1e-8, *last)
        with np.errstate(invalid="ignore"):
            expected = operation.specification(*arguments)[0]
        assert np.array_equal(operation.kernel(*arguments)[0], expected, equal_nan=True)
        assert np.isnan(expected).all() == bool(last)


def test_global_norm_is_the_specification_s():
    rng = np.random.default_rng(4)
    for sizes in ((), (0,), (5,), (31, 32, 33), (16383, 16384, 16385), (100000, 7)):
        gradients = {str(n): rng.normal(size=n).astype(np.float32) for n in sizes}
        assert global_norm(gradients) == pytest.approx(clipping.global_norm(gradients), rel=1e-14)
    assert np.isnan(global_norm({"a": np.array([1.0, np.nan])}))
    assert global_norm({"a": np.array([1.0, -np.inf])}) == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_stored_past_the_caches_are_those_of_small_pieces(dtype):
    """Where a result is large enough for that, at any alignment of its pieces."""
    examples = STREAMED_BYTES // (np.dtype(dtype).itemsize * 13 * 501) + 2
    rng = np.random.default_rng(5)
    x = rng.normal(size=(examples, 501, 13)).astype(dtype)
    output = rng.normal(size=(examples, 501, 14)).astype(dtype)
    y, log_det = coupling.sigmoid_coupling_forward(x, output, 6)
    assert y.nbytes >= STREAMED_BYTES
    for n in range(0, examples, 7):
        piece, piece_log_det = coupling.sigmoid_coupling_forward(x[n:n + 1], output[n:n + 1], 6)
        assert np.array_equal(piece[0], y[n]) and piece_log_det[0] == log_det[n]
