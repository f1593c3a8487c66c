"""exp and the sum of log-sigmoids, against mpmath and extended precision."""

import mpmath
import numba
import numpy as np
import pytest
from llvmlite import binding

from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.memory import address_of, hold, one_of
from refglow.kernels.cpu.vector_math import (
    EXP_COEFFICIENTS,
    LANES,
    MOST_FACTORS,
    decay,
    exp,
    log_sigmoid_sum,
)


@compiled
def exp_of(x, result):
    for i in range(x.size):
        result[i] = exp(x[i])


@compiled
def decay_of(x, result):
    for i in range(x.size):
        result[i] = decay(x[i], x[i])


@compiled
def log_sigmoid_sum_of(x, offset, e):
    lanes = np.empty(2 * LANES)
    total = log_sigmoid_sum(address_of(x), offset, address_of(e), x.size, address_of(lanes),
                            one_of(x))
    hold(x)
    hold(e)
    hold(lanes)
    return total


def elementwise(function, x):
    result = np.empty_like(x)
    function(x, result)
    return result


def test_coefficients_are_those_of_the_interpolation():
    def remainder(r):
        if abs(r) < mpmath.mpf(10) ** -10:
            return mpmath.mpf(1) / 6 + r / 24 + r * r / 120
        return (mpmath.exp(r) - 1 - r - r * r / 2) / r**3
    with mpmath.workdps(60):
        bound = mpmath.log(2) / 2 * mpmath.mpf("1.0001")
        polynomial, error = mpmath.chebyfit(remainder, [-bound, bound], 10, error=True)
        assert error * bound**3 < 4e-19
        assert tuple(float(c) for c in reversed(polynomial)) == EXP_COEFFICIENTS


def test_exp_is_right_to_one_unit_in_the_last_place():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-745, 709.7, 3000), rng.normal(size=2000),
                        rng.choice([-1, 1], 1000) * 10.0 ** rng.uniform(-300, 0, 1000),
                        np.arange(-1074, 1024) * np.log(2), (np.arange(-1000, 1000) + 0.5)
                        * np.log(2)])
    found = elementwise(exp_of, x)
    with mpmath.workdps(40):
        exact = [mpmath.exp(mpmath.mpf(float(v))) for v in x]
        units = [abs(mpmath.mpf(float(f)) - e) / mpmath.mpf(float(np.spacing(float(e))))
                 for f, e in zip(found, exact, strict=True)]
    assert max(units) <= 1


def test_exp_of_special_values():
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 710.0, 1e308, -1e308, -745.2,
                  5e-324, -5e-324, 709.782712893384])
    with np.errstate(over="ignore", under="ignore"):
        assert np.array_equal(elementwise(exp_of, x[:-1]), np.exp(x[:-1]), equal_nan=True)
    assert np.isfinite(elementwise(exp_of, x[-1:])).all()
    payload = np.array([0x7ff8000000000123, -1], np.int64).view(np.float64)
    assert np.isnan(elementwise(exp_of, payload)).all()


@compiled
def decay_for_float32(x, result):
    for i in range(x.size):
        result[i] = decay(np.float64(x[i]), x[i])


def test_decay_for_float32_is_right_to_one_unit_of_float64():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-690, 690, 3000), rng.normal(size=3000), [0.0, -0.0],
                        10.0 ** rng.uniform(-40, 0, 1000)]).astype(np.float32)
    found = np.empty(x.size)
    decay_for_float32(x, found)
    exact = np.exp(-abs(x.astype(np.longdouble)))
    assert np.max(abs(found - exact) / np.spacing(exact.astype(np.float64))) <= 1


def test_decay_for_float32_of_special_values():
    payload = np.array([0x7fc00123, 0xffc00001], np.uint32).view(np.float32)
    x = np.concatenate([np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 710], np.float32), payload])
    found = np.empty(x.size)
    decay_for_float32(x, found)
    nothing = found[1:6] * float(np.finfo(np.float32).max)
    assert (found[1:6] > 0).all() and (nothing.astype(np.float32) == 0).all()
    assert np.isnan(found[[0, 6, 7]]).all()


def test_exp_of_subnormal_results():
    x = np.linspace(-745.1, -708.3, 999)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(elementwise(exp_of, x) - exact)) <= np.finfo(np.float64).smallest_subnormal


def test_exp_is_compiled_to_vectors_without_calls():
    # Compiled afresh: Numba shows no assembly of code that comes from its cache.
    features = binding.get_host_cpu_features()
    if not (features.get("avx2") and features.get("fma")):
        pytest.skip("the processor has no AVX2 with fused multiply-add, whose names are looked for")
    for loop, is_vectorized in ((exp_of.py_func, True), (library_exp_of, False)):
        fresh = numba.njit(error_model="numpy")(loop)
        fresh(np.zeros(8), np.zeros(8))
        lines = [line for text in fresh.inspect_asm().values() for line in text.splitlines()]
        packed = [line for line in lines if "vfmadd" in line and "pd\t" in line and (
            "%ymm" in line or "%zmm" in line)]
        assert bool(packed) == is_vectorized


def library_exp_of(x, result):
    for i in range(x.size):
        result[i] = np.exp(x[i])


def is_close(found, exact, relative):
    return abs(found - exact) <= relative * abs(exact)


def exact_sum(x):
    wide = x.astype(np.longdouble)
    return float(np.sum(np.minimum(wide, 0) - np.log1p(np.exp(-np.abs(wide)))))


@pytest.mark.parametrize("size", [LANES, 3 * LANES, MOST_FACTORS - LANES, MOST_FACTORS,
                                  MOST_FACTORS + LANES, 5 * MOST_FACTORS])
@pytest.mark.parametrize("spread", [0.0, 1e-3, 1.0, 30.0, 300.0])
def test_log_sigmoid_sum_keeps_its_relative_accuracy(size, spread):
    for offset in (2.0, 0.0, 40.0, -40.0):
        x = np.random.default_rng(size).normal(size=size) * spread
        e = elementwise(decay_of, x + offset)
        found = log_sigmoid_sum_of(x, offset, e)
        # 42 roundings at most in the product (vector_math.py), a few in e and the sums.
        assert is_close(found, exact_sum(x + offset), 50 * np.finfo(float).eps)


def test_log_sigmoid_sum_of_special_values():
    def of(*values):
        x = np.full(LANES, np.inf)
        x[:len(values)] = values
        return log_sigmoid_sum_of(x, 0.0, elementwise(decay_of, x))
    assert of() == 0
    assert of(-np.inf) == -np.inf
    assert np.isnan(of(np.nan))
    assert of(800.0) == 0 and of(-800.0) == -800
    assert is_close(of(50.0), -np.exp(-50.0), 1e-15)


def test_a_lost_small_term_is_noticed():
    # The plain product of (1 + e) loses what is kept here.
    x = np.full(LANES, 40.0)
    plain = -np.log(np.prod(1 + np.exp(-x)))
    assert not is_close(plain, exact_sum(x), 1e-6)
    assert is_close(log_sigmoid_sum_of(x, 0.0, elementwise(decay_of, x)), exact_sum(x), 1e-14)


def test_a_whole_product_does_not_overflow():
    x = np.zeros(3 * MOST_FACTORS)  # e = 1: every factor is 2
    found = log_sigmoid_sum_of(x, 0.0, elementwise(decay_of, x))
    assert is_close(found, -len(x) * np.log(2), 1e-14)
