"""Normal: density against SciPy and in every number type, draws, dtypes, errors."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats

from refglow import Variable
from refglow import distributions as tfd
from refglow.distributions.normal import normal_log_prob

X = np.linspace(-3, 4, 15)


def close(actual, expected, ulps=4):
    """A handful of roundings in the type of the result."""
    np.testing.assert_allclose(actual, expected, rtol=ulps * np.finfo(actual.dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_prob_agrees_with_scipy(dtype):
    loc, scale = dtype(0.7), dtype(2.3)
    x = X.astype(dtype)
    expected = scipy.stats.norm.logpdf(x.astype(float), float(loc), float(scale))
    actual = tfd.Normal(loc, scale).log_prob(x)
    assert actual.dtype == dtype
    close(actual, expected)
    close(tfd.Normal(loc, scale).prob(x), np.exp(expected), 16)


def test_longdouble_has_all_its_digits():
    x = X.astype(np.longdouble)
    with mpmath.workdps(40):
        exact = [mpmath.log(mpmath.npdf(mpmath.mpf(v), mpmath.mpf("0.75"), mpmath.mpf("2.5")))
                 for v in X]
        expected = np.array([np.longdouble(mpmath.nstr(v, 30)) for v in exact])
    actual = tfd.Normal(0.75, 2.5).log_prob(x)
    assert actual.dtype == np.longdouble
    close(actual, expected)


def test_objects_have_the_digits_of_their_context():
    x = np.array([mpmath.mpf("0.3"), mpmath.mpf(-2)], dtype=object)
    with mpmath.workdps(60):
        expected = [mpmath.log(mpmath.npdf(v, mpmath.mpf(0.7), mpmath.mpf(2.3))) for v in x]
        actual = tfd.Normal(0.7, 2.3).log_prob(x)
        single = tfd.Normal(0.7, 2.3).log_prob(x[0])
        pairs = [*zip(actual, expected, strict=True), (single.item(), expected[0])]
        assert all(abs(a - e) < mpmath.mpf(10) ** -57 for a, e in pairs)


def test_complex_step_gives_the_score():
    h = 1e-30
    scale = np.array(2.3)
    for position, expected in [(0, -(X - 0.7) / 2.3**2), (1, (X - 0.7) / 2.3**2),
                               (2, (X - 0.7) ** 2 / 2.3**3 - 1 / 2.3)]:
        arguments = [X.astype(complex), np.array(0.7 + 0j), scale.astype(complex)]
        arguments[position] = arguments[position] + 1j * h
        np.testing.assert_allclose(normal_log_prob(*arguments).imag / h, expected, rtol=1e-14,
                                   atol=1e-15)


def test_python_numbers_are_weak():
    normal = tfd.Normal(0.1, 2)
    assert normal.dtype is None
    for dtype in (np.float32, np.float64, np.longdouble, np.complex128):
        assert normal.log_prob(np.ones(2, dtype)).dtype == dtype
    for weak in (0.5, 1, [0.5, 1.0], np.arange(3)):
        assert normal.log_prob(weak).dtype == np.float32
    assert normal.sample(2, seed=0).dtype == np.float32
    # 0.1 is that of the value's type, not float32's.
    close(normal.log_prob(X), scipy.stats.norm.logpdf(X, 0.1, 2))


def test_a_value_of_another_type_is_refused_with_the_cast():
    normal = tfd.Normal(np.float32(0), 1.0)
    assert normal.dtype == np.float32
    with pytest.raises(TypeError, match=r"value\.astype\('float32'\)"):
        normal.log_prob(X)


def test_shapes():
    normal = tfd.Normal([[1.0], [2.0]], [1.0, 2.0, 3.0])
    assert normal.batch_shape == (2, 3) and normal.event_shape == ()
    assert normal.batch_shape.as_list() == [2, 3]
    for tensor, expected in [(normal.batch_shape_tensor(), [2, 3]),
                             (normal.event_shape_tensor(), [])]:
        assert tensor.dtype == np.int32 and tensor.tolist() == expected
    assert normal.log_prob(0.0).shape == (2, 3)
    assert normal.log_prob(np.zeros((4, 1, 1))).shape == (4, 2, 3)
    assert normal.sample().shape == (2, 3)
    assert normal.sample(5).shape == (5, 2, 3)
    assert normal.sample((5, 0)).shape == (5, 0, 2, 3)
    np.testing.assert_array_equal(normal.mean(), [[1, 1, 1], [2, 2, 2]])
    np.testing.assert_array_equal(normal.stddev(), [[1, 2, 3], [1, 2, 3]])
    assert normal.mean().dtype == np.float32


def test_draws_follow_the_distribution():
    normal = tfd.Normal(np.array([1.0, -2.0]), np.array([0.5, 3.0]))
    draws = normal.sample(4000, seed=3)
    assert draws.dtype == np.float64
    for k in range(2):
        test = scipy.stats.kstest(draws[:, k], "norm", (normal.loc[k], normal.scale[k]))
        assert test.pvalue > 0.01
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.05


def test_seeds():
    normal = tfd.Normal(0.0, 1.0)
    np.testing.assert_array_equal(normal.sample(3, seed=1), normal.sample(3, seed=1))
    assert (normal.sample(3, seed=1) != normal.sample(3, seed=2)).all()
    assert (normal.sample(3) != normal.sample(3)).all()
    generator = np.random.default_rng(1)
    first = normal.sample(3, seed=generator)
    np.testing.assert_array_equal(first, normal.sample(3, seed=1))
    assert (normal.sample(3, seed=generator) != first).all()


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex64, object])
def test_draws_of_unusual_types(dtype):
    draws = tfd.Normal(np.array([1.0, 2.0], dtype), np.array(0.5, dtype)).sample(3, seed=0)
    assert draws.dtype == dtype and draws.shape == (3, 2)


def test_draws_are_numpys_in_the_own_precision():
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(
            tfd.Normal(dtype(0), dtype(1)).sample(5, seed=2),
            np.random.default_rng(2).standard_normal(5, dtype))


def test_sample_and_log_prob():
    normal = tfd.Normal(0.3, [1.0, 2.0])
    draws, log_prob = normal.sample_and_log_prob(4, seed=5)
    np.testing.assert_array_equal(draws, normal.sample(4, seed=5))
    np.testing.assert_array_equal(log_prob, normal.log_prob(draws))
    np.testing.assert_array_equal(normal.experimental_sample_and_log_prob(4, seed=5)[0], draws)


def test_variables_are_followed():
    loc = Variable(np.zeros(2), "loc", dtype=np.float64)
    normal = tfd.Normal(loc, 1.0)
    before = normal.log_prob(0.0)
    loc.assign([1.0, 2.0])
    close(before - normal.log_prob(0.0), np.array([0.5, 2.0]))
    assert [v.name for v in normal.variables] == ["loc"] == [n for n, _ in normal.named_variables()]
    assert len(normal.trainable_variables) == 1


def test_errors_and_checks():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        tfd.Normal([0.0, 0.0], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="batch shape"):
        tfd.Normal([0.0, 0.0], 1.0).log_prob(np.zeros(3))
    with pytest.raises(ValueError, match="scale must be positive"):
        tfd.Normal(0.0, [1.0, 0.0], validate_args=True)
    checked = tfd.Normal(0.0, Variable(1.0, "scale"), validate_args=True)
    with pytest.raises(ValueError, match="1 NaN"):
        checked.log_prob(np.array([0.0, np.nan]))
    checked.scale.assign(-1.0)
    with pytest.raises(ValueError, match="scale must be positive"):
        checked.sample()
    with pytest.raises(TypeError):
        tfd.Normal(0.0, 1.0).log_prob(0.0, mistake=1)
    for shape, error in [(1.5, TypeError), (-1, ValueError), ([[1]], ValueError)]:
        with pytest.raises(error, match="sample_shape"):
            tfd.Normal(0.0, 1.0).sample(shape)


def test_attributes():
    normal = tfd.Normal(1.5, 2.0, validate_args=True, name="latent")
    assert normal.name == "latent" and normal.validate_args
    assert normal.parameters == {"loc": 1.5, "scale": 2.0, "validate_args": True, "name": "latent"}
    assert repr(normal) == ('refglow.distributions.Normal("latent", batch_shape=(), '
                            "event_shape=())")
    assert "dtype=float64" in repr(tfd.Normal(np.zeros(1), 1.0))
    assert math.isclose(normal.loc, 1.5) and normal.submodules == ()
