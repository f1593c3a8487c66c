"""OneByOneConv and ScaleMatvecLU: the matrix behind the factors, its start, singular ones."""

import numpy as np
import pytest
import scipy.linalg

import refglow as rg
from refglow.bijectors.one_by_one_conv import lu_factorization, random_orthonormal_lu
from refglow.bijectors.scale_matvec_lu import (
    lu_reconstruct,
    scale_matvec_lu_inverse,
    scale_matvec_lu_inverse_jvp,
    scale_matvec_lu_inverse_vjp,
)

rgb = rg.bijectors


def random_lu(channels, seed=0, *batch):
    rng = np.random.default_rng(seed)
    lower_upper = 0.4 * rng.standard_normal((*batch, channels, channels))
    diagonal = np.arange(channels)
    lower_upper[..., diagonal, diagonal] = rng.choice([-1, 1]) * rng.uniform(
        0.5, 2, (*batch, channels))
    return lower_upper, rng.permutation(channels)


@pytest.mark.parametrize("channels", [1, 2, 5, 12])
def test_the_matrix_is_what_the_factors_say(channels):
    lower_upper, permutation = random_lu(channels)
    lower = np.tril(lower_upper, -1) + np.eye(channels)
    matrix = np.zeros((channels, channels))
    matrix[permutation] = lower @ np.triu(lower_upper)
    np.testing.assert_allclose(lu_reconstruct(lower_upper, permutation), matrix, rtol=1e-14)
    bijector = rgb.ScaleMatvecLU(lower_upper, permutation)
    x = np.random.default_rng(1).standard_normal((3, 4, channels))
    np.testing.assert_allclose(bijector.forward(x), np.einsum("ij,...j->...i", matrix, x),
                               rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        bijector.inverse(x), np.linalg.solve(matrix, x[..., None])[..., 0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 1),
                               np.full((3, 4), np.linalg.slogdet(matrix)[1]), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.complex128, np.longdouble])
@pytest.mark.parametrize("batch", [(), (7,)])
def test_solutions_are_of_the_type_of_the_factors_where_that_is_wider(batch, dtype):
    """As for complex steps by the factors alone; in longdouble digits were lost without a word."""
    numbers, permutation = random_lu(5, 0, *batch)
    factors = numbers.astype(dtype) + dtype(1) / 3 * (1j if dtype == np.complex128 else 1)
    rng = np.random.default_rng(1)
    y, bar, dot = rng.standard_normal((3, 7, 5))
    factors_dot, log_det_bar = rng.standard_normal(numbers.shape), np.full((), 0.7)
    for function, operands in ((scale_matvec_lu_inverse, ()),
                               (scale_matvec_lu_inverse_vjp, (bar, log_det_bar)),
                               (scale_matvec_lu_inverse_jvp, (dot, factors_dot))):
        found = function(y, factors, permutation, *operands)
        wide = function(y.astype(dtype), factors, permutation,
                        *(operand.astype(dtype) for operand in operands))
        for array, expected in zip(found, wide, strict=True):
            assert array.dtype == dtype
            np.testing.assert_array_equal(array, expected)
    x, _ = scale_matvec_lu_inverse(y, factors, permutation)
    back = (lu_reconstruct(factors, permutation) @ x[..., None])[..., 0]
    assert np.abs(back - y).max() < 1e3 * np.finfo(dtype).eps * np.abs(x).max()


@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.tfp
def test_factors_mean_what_they_mean_in_tensorflow(channels):
    tfp = pytest.importorskip("tensorflow_probability")
    import tensorflow as tf
    matrix = np.random.default_rng(0).standard_normal((channels, channels))
    lower_upper, permutation = tf.linalg.lu(matrix)
    bijector = rgb.ScaleMatvecLU(lower_upper.numpy(), permutation.numpy())
    theirs = tfp.bijectors.ScaleMatvecLU(lower_upper, permutation)
    np.testing.assert_allclose(lu_reconstruct(lower_upper.numpy(), permutation.numpy()), matrix,
                               rtol=1e-12, atol=1e-13)
    x = np.random.default_rng(1).standard_normal((2, channels))
    np.testing.assert_allclose(bijector.forward(x), theirs.forward(x), rtol=1e-12)
    np.testing.assert_allclose(bijector.inverse(x), theirs.inverse(x), rtol=1e-10)


def test_batches_of_matrices():
    lower_upper, permutation = random_lu(3, 0, 4)
    batched = rgb.ScaleMatvecLU(lower_upper, permutation)
    x = np.random.default_rng(1).standard_normal((2, 4, 3))
    y, fldj = batched.forward_and_log_det(x)
    for k in range(4):
        single = rgb.ScaleMatvecLU(lower_upper[k], permutation)
        np.testing.assert_allclose(y[:, k], single.forward(x[:, k]), rtol=1e-13)
        np.testing.assert_allclose(fldj[:, k], single.forward_log_det_jacobian(x[:, k]))
        np.testing.assert_allclose(batched.inverse(x)[:, k], single.inverse(x[:, k]), rtol=1e-12)
    assert batched.parameter_batch_shape(1) == (4,)


@pytest.mark.parametrize("channels", [1, 2, 6, 24, 48])
def test_it_starts_as_a_rotation(channels):
    lower_upper, permutation = random_orthonormal_lu(channels, np.random.default_rng(channels))
    matrix = lu_reconstruct(lower_upper, permutation)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(channels), atol=1e-13)
    conv = rgb.OneByOneConv(channels, seed=0, dtype=np.float64)
    log_det = conv.forward_log_det_jacobian(np.ones((5, 6, channels)), 3)
    np.testing.assert_allclose(log_det, 0, atol=1e-11)
    assert isinstance(conv.bijector, rgb.ScaleMatvecLU)


def test_it_starts_as_the_q_of_a_uniform_matrix():
    """Q of a matrix of uniform [0, 1) numbers: its first column is positive up to sign, unlike that
    of a matrix of normal numbers."""
    for seed in range(5):
        lower_upper, permutation = random_orthonormal_lu(8, np.random.default_rng(seed))
        first = lu_reconstruct(lower_upper, permutation)[:, 0]
        assert np.all(first > 0) or np.all(first < 0)
    uniform = np.random.default_rng(3).random((8, 8))
    expected, _ = scipy.linalg.qr(uniform)
    actual = lu_reconstruct(*random_orthonormal_lu(8, np.random.default_rng(3)))
    np.testing.assert_allclose(actual, expected, atol=1e-13)


@pytest.mark.parametrize("channels", [1, 2, 7, 48])
def test_elimination_with_pivoting_against_scipy(channels):
    matrix = np.random.default_rng(channels).standard_normal((channels, channels))
    before = matrix.copy()
    lower_upper, permutation = lu_factorization(matrix)
    np.testing.assert_array_equal(matrix, before)
    expected, swaps = scipy.linalg.lu_factor(matrix)
    rows = np.arange(channels)
    for i, j in enumerate(swaps):
        rows[[i, j]] = rows[[j, i]]
    np.testing.assert_array_equal(permutation, rows)
    np.testing.assert_allclose(lower_upper, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(lu_reconstruct(lower_upper, permutation), matrix, atol=1e-13)


def test_factors_are_variables_of_which_the_permutation_is_fixed():
    lower_upper, permutation = rgb.OneByOneConv.trainable_lu_factorization(4, seed=1)
    assert (lower_upper.dtype, lower_upper.shape, lower_upper.trainable) == (
        np.float32, (4, 4), True)
    assert (permutation.dtype, permutation.shape, permutation.trainable) == (np.int32, (4,), False)
    same, _ = rgb.OneByOneConv.trainable_lu_factorization(4, seed=1)
    assert np.array_equal(lower_upper, same)
    assert rgb.OneByOneConv(4, dtype=None).dtype == np.float32
    assert rgb.OneByOneConv(4, seed=0, name="mine").name == "mine"


def test_one_matrix_for_every_pixel_and_h_times_w_of_its_log_det():
    conv = rgb.OneByOneConv(3, seed=0, dtype=np.float64)
    (lower_upper,) = conv.trainable_variables
    lower_upper.assign(lower_upper + 0.2 * np.eye(3))
    x = np.random.default_rng(0).standard_normal((2, 5, 7, 3))
    y = conv.forward(x)
    matrix = lu_reconstruct(lower_upper.numpy(), conv.bijector.permutation.numpy())
    np.testing.assert_allclose(y[1, 2, 3], matrix @ x[1, 2, 3], rtol=1e-12)
    one = np.linalg.slogdet(matrix)[1]
    np.testing.assert_allclose(conv.forward_log_det_jacobian(x, 3), [35 * one] * 2, rtol=1e-12)
    np.testing.assert_allclose(conv.inverse_log_det_jacobian(y, 3), [-35 * one] * 2, rtol=1e-12)
    assert abs(one) > 0.01


@pytest.mark.parametrize("bad", [0.0, -0.0, np.nan])
@pytest.mark.parametrize("method", ["forward", "inverse", "forward_log_det_jacobian",
                                    "inverse_log_det_jacobian"])
def test_a_zero_on_the_diagonal_is_refused_and_named(bad, method):
    conv = rgb.OneByOneConv(4, seed=0)
    (lower_upper,) = conv.trainable_variables
    broken = np.array(lower_upper)
    broken[2, 2] = bad
    lower_upper.assign(broken)
    with pytest.raises(ValueError, match=r"singular.*diagonal at channel 2"):
        getattr(conv, method)(np.ones((2, 4), np.float32))


@pytest.mark.parametrize(("lower_upper", "permutation", "error", "message"), [
    (np.eye(3), [0, 1], ValueError, r"permutation of 2 channels needs .*\[3, 3\]"),
    (np.ones(3), [0, 1, 2], ValueError, r"shape \[..., 3, 3\]; got \[3\]"),
    (np.eye(2), [0, 2], ValueError, "each of 0..n-1 once"),
    (np.eye(2), [0, 0], ValueError, "each of 0..n-1 once"),
    (np.eye(2), [0.0, 1.0], TypeError, "permutation must hold integers"),
    (rg.Variable(np.eye(2, dtype=int)), [0, 1], TypeError, "Variable of dtype int")])
def test_factors_that_are_none_are_refused(lower_upper, permutation, error, message):
    with pytest.raises(error, match=message):
        rgb.ScaleMatvecLU(lower_upper, permutation)


def test_only_permutations_can_be_assigned_later():
    conv = rgb.OneByOneConv(3, seed=0)
    permutation = next(v for v in conv.variables if not v.trainable)
    before = permutation.numpy()
    for wrong in ([0, 1, 1], [0, 1, 3], [1, 2, 3]):
        with pytest.raises(ValueError, match=r"each of 0\.\.n-1 once"):
            permutation.assign(wrong)
    assert np.array_equal(permutation.numpy(), before)
    permutation.assign([2, 0, 1])
    assert conv.bijector.permutation.numpy().tolist() == [2, 0, 1]


def test_other_channels_are_refused():
    conv = rgb.OneByOneConv(3, seed=0)
    for call in (lambda: conv.forward(np.ones((2, 4), np.float32)),
                 lambda: conv.forward_event_shape((5, 4)),
                 lambda: conv.inverse_event_shape((4,))):
        with pytest.raises(ValueError, match="inputs have 4 channels; the matrix is 3 x 3"):
            call()
    with pytest.raises(TypeError, match="unexpected keyword argument 'label'"):
        conv.forward(np.ones((2, 3), np.float32), label=1)


def test_arguments_reach_the_inner_bijector():
    conv = rgb.OneByOneConv(3, seed=0, validate_args=True)
    assert conv.validate_args and conv.bijector.validate_args
    with pytest.raises(ValueError, match="NaN or infinite"):
        conv.forward(np.array([1, np.nan, 2], np.float32))


@pytest.mark.parametrize(("batch", "permutation", "shape"), [
    ((7,), [2, 0, 1, 3], (4,)), ((7,), [2, 0, 1, 3], (3, 1, 4)),
    ((), [[2, 0, 1, 3], [0, 1, 2, 3]], (5, 1, 4))])
def test_batches_of_factors_broadcast_in_both_directions(batch, permutation, shape):
    rng = np.random.default_rng(0)
    lower_upper = rng.standard_normal((*batch, 4, 4)) + 3 * np.eye(4)
    bijector = rg.bijectors.ScaleMatvecLU(lower_upper, np.array(permutation))
    x = rng.standard_normal(shape)
    y = bijector.forward(x)
    np.testing.assert_allclose(bijector.inverse(y), np.broadcast_to(x, y.shape), rtol=1e-12)
    assert bijector.inverse(x).shape == y.shape
