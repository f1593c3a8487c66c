"""Elementary functions in every number type, at the places where they are hard."""

import mpmath
import numpy as np
import pytest

from refglow import elementary as e

FUNCTIONS = {
    "exp": (e.exp, mpmath.exp, (-50, 50)), "log": (e.log, mpmath.log, (1e-10, 50)),
    "log1p": (e.log1p, mpmath.log1p, (-0.99, 50)), "expm1": (e.expm1, mpmath.expm1, (-5, 50)),
    "tanh": (e.tanh, mpmath.tanh, (-20, 20)), "atanh": (e.atanh, mpmath.atanh, (-0.999, 0.999)),
    "sqrt": (e.sqrt, mpmath.sqrt, (0, 50)),
    "sigmoid": (e.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), (-80, 80)),
    "log_sigmoid": (e.log_sigmoid, lambda x: -mpmath.log1p(mpmath.exp(-x)), (-80, 80)),
    "softplus": (e.softplus, lambda x: mpmath.log1p(mpmath.exp(x)), (-80, 80)),
    "absolute": (e.absolute, abs, (-50, 50)), "relu": (e.relu, lambda x: max(x, 0), (-50, 50)),
    "log_absolute": (e.log_absolute, lambda x: mpmath.log(abs(x)), (-50, 50)),
}
ALL = pytest.mark.parametrize("name", FUNCTIONS)


def points(low, high):
    return np.concatenate([np.random.default_rng(0).uniform(low, high, 200),
                           np.clip([1e-12, -1e-12, 0.5, 1e-3, -1e-3, 2.0], low, high)])


def exactly(number):
    """A NumPy float as an mpmath number: a longdouble is the sum of two doubles."""
    high = float(number)
    return mpmath.mpf(high) + mpmath.mpf(float(number - high))


@ALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_a_few_roundings_from_the_truth(name, dtype):
    function, truth, interval = FUNCTIONS[name]
    x = points(*interval).astype(dtype)
    x = x[(x.astype(float) > interval[0]) & (x.astype(float) < interval[1])]
    y = function(x)
    assert y.dtype == dtype
    with mpmath.workdps(40):
        errors = [abs(exactly(b) - truth(exactly(a))) / (abs(truth(exactly(a))) or 1)
                  for a, b in zip(x, y, strict=True)]
    assert max(errors) < 6 * float(np.finfo(dtype).eps)


@ALL
def test_mpmath_numbers_keep_their_precision(name):
    function, truth, interval = FUNCTIONS[name]
    with mpmath.workdps(50):
        x = np.asarray([mpmath.mpf(float(v)) for v in points(*interval) if v > interval[0]], object)
        worst = max(abs(a - truth(b)) / (abs(truth(b)) or 1)
                    for a, b in zip(function(x), x, strict=True))
        assert worst < mpmath.mpf(10)**-45


@ALL
def test_python_numbers_in_object_arrays(name):
    function, _, interval = FUNCTIONS[name]
    x = points(*interval)
    x = x[x > interval[0]]
    y = function(x.astype(object))
    assert y.dtype == object and y.shape == x.shape
    np.testing.assert_allclose(y.astype(float), function(x), rtol=1e-14)


@ALL
def test_complex_step_gives_the_derivative(name):
    function, _, interval = FUNCTIONS[name]
    x = np.random.default_rng(1).uniform(*interval, 50)
    x = x[abs(x) > 1e-2]
    slope = function(x + 1e-30j).imag / 1e-30
    h = 1e-6 * np.maximum(abs(x), 1e-2)
    centred = (function(x + h) - function(x - h)) / (2 * h)
    np.testing.assert_allclose(slope, centred, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(function(x + 1e-30j).real, function(x), rtol=1e-14)


def test_nothing_overflows_at_the_ends():
    for dtype in (np.float32, np.float64):
        big = np.array([-np.inf, -1e30, 1e30, np.inf], dtype)
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            assert e.sigmoid(big[1:3]).tolist() == [0, 1]
            assert e.log_sigmoid(big[1:3]).tolist() == [big[1], 0]
            assert e.softplus(big[1:3]).tolist() == [0, big[2]]
        assert np.isnan(e.sigmoid(np.array([np.nan], dtype))).all()
        assert np.isnan(e.relu(np.array([np.nan], dtype))).all()


def test_signs():
    x = np.array([-1.0, -0.0, 0.0, 2.0, np.nan])
    assert e.is_negative(x).tolist() == [True, False, False, False, False]
    assert e.is_positive(x).tolist() == [False, False, False, True, False]
    assert e.is_negative(np.array([-1 + 5j, 1 - 5j])).tolist() == [True, False]
    assert e.absolute(np.array([-1 + 5j])).tolist() == [1 - 5j]
    assert e.is_positive(np.array([1, -1], object)).dtype == bool


def test_constants_are_exact_in_their_type():
    assert e.constant(2, np.float32([1])).dtype == np.float32
    with mpmath.workdps(50):
        like = np.asarray([mpmath.mpf(1)], object)
        assert isinstance(e.constant(2, like).item(), mpmath.mpf)
        assert abs(e.log_two_pi(like).item() - mpmath.log(2 * mpmath.pi)) < mpmath.mpf(10)**-48
        nearest = float(mpmath.log(2 * mpmath.pi))
    for dtype in (np.float32, np.float64):
        assert e.log_two_pi(np.zeros(1, dtype)) == dtype(nearest)


def test_log_add_exp():
    a, b = np.array([0.0, -1000.0, 1000.0, 3.0]), np.array([0.0, -1000.0, 0.0, -2.0])
    expected = np.logaddexp(a, b)
    for dtype in (np.float64, np.longdouble, np.complex128, object):
        found = e.log_add_exp(a.astype(dtype), b.astype(dtype))
        np.testing.assert_allclose(found.astype(complex).real, expected, rtol=1e-14)
