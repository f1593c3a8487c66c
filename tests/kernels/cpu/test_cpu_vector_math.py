"""exp and the sum of log-sigmoids, against mpmath and extended precision."""

import mpmath
import numba
import numpy as np
import pytest
from llvmlite import binding

from refglow.kernels.cpu import single_exp, vector_math
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.lane_sums import (
    LANES,
    LOG_DET_STATE,
    MOST_FACTORS,
    add_log_sigmoids,
    log_det_of,
    start_log_det,
)
from refglow.kernels.cpu.memory import address_of, from_number, hold, one_of
from refglow.kernels.cpu.vector_math import decay, exp

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@compiled
def exp_of(x, low, result):
    one = one_of(x)
    for i in range(x.size):
        result[i] = exp(x[i], low[i], one)


@compiled
def decay_of(x, low, result):
    one = one_of(x)
    for i in range(x.size):
        result[i] = decay(x[i], low[i], one)


@compiled
def log_sigmoid_sum_of(x, offset, e):
    numbers = np.empty(LOG_DET_STATE)
    state = address_of(numbers)
    start_log_det(state)
    whole = x.size // LANES // 2 * LANES  # in two runs
    for start, count in ((0, whole), (whole, x.size - whole)):
        add_log_sigmoids(from_number(x, start), offset, from_number(e, start), count, state,
                         one_of(x))
    total = log_det_of(state)
    hold(x)
    hold(e)
    hold(numbers)
    return total


def elementwise(function, x, low=None):
    result = np.empty_like(x)
    function(x, np.zeros_like(x) if low is None else low, result)
    return result


@pytest.mark.parametrize(("module", "terms", "right_to"), [(vector_math, 10, 4e-19),
                                                           (single_exp, 5, 4e-10)])
def test_coefficients_are_those_of_the_interpolation(module, terms, right_to):
    def remainder(r):
        if abs(r) < mpmath.mpf(10) ** -10:
            return mpmath.mpf(1) / 6 + r / 24 + r * r / 120
        return (mpmath.exp(r) - 1 - r - r * r / 2) / r**3
    number = np.float64 if terms == 10 else np.float32
    with mpmath.workdps(60):
        bound = mpmath.log(2) / 2 * mpmath.mpf("1.0001")
        polynomial, error = mpmath.chebyfit(remainder, [-bound, bound], terms, error=True)
        assert error * bound**3 < right_to
        assert tuple(float(number(float(c))) for c in reversed(polynomial)
                     ) == module.EXP_COEFFICIENTS


def points(dtype):
    """Numbers of all sizes whose exp is finite and not zero, near its middle and its steps too."""
    rng = np.random.default_rng(0)
    least, most = np.log(float(np.finfo(dtype).smallest_subnormal)), np.log(np.finfo(dtype).max)
    steps = np.arange(np.ceil(least / np.log(2)), np.floor(most / np.log(2)))
    return np.concatenate([rng.uniform(least + 1, most - 1, 3000), rng.normal(size=2000),
                           rng.choice([-1, 1], 1000) * 10.0 ** rng.uniform(-37, 0, 1000),
                           steps * np.log(2), (steps + 0.5) * np.log(2)]).astype(dtype)


def lost(seed, x):
    """What roundings of x may have left out."""
    share = np.random.default_rng(seed).uniform(-0.5, 0.5, x.size)
    return (share * np.spacing(np.abs(x))).astype(x.dtype)


@TYPES
def test_exp_is_right_to_one_unit_in_the_last_place(dtype):
    x = points(dtype)
    low = lost(1, x)
    found = elementwise(exp_of, x, low)
    with mpmath.workdps(40):
        exact = [mpmath.exp(mpmath.mpf(float(v)) + mpmath.mpf(float(u)))
                 for v, u in zip(x, low, strict=True)]
        units = [abs(mpmath.mpf(float(f)) - e) / mpmath.mpf(float(np.spacing(dtype(float(e)))))
                 for f, e in zip(found, exact, strict=True)]
    assert max(units) <= 1


@TYPES
def test_decay_is_exp_of_minus_the_size(dtype):
    x = points(dtype)
    low = lost(2, x)
    assert np.array_equal(elementwise(decay_of, x, low),
                          elementwise(exp_of, -np.abs(x), np.where(x < 0, low, -low)))


@TYPES
def test_exp_of_special_values(dtype):
    information = np.finfo(dtype)
    least, most = np.log(float(information.smallest_subnormal)), np.log(float(information.max))
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, most + 1, information.max, information.min,
                  least - 1, information.smallest_subnormal, -information.smallest_subnormal,
                  np.nextafter(dtype(most), dtype(0))], dtype)
    with np.errstate(over="ignore", under="ignore"):
        assert np.array_equal(elementwise(exp_of, x[:-1]), np.exp(x[:-1]), equal_nan=True)
    assert np.isfinite(elementwise(exp_of, x[-1:])).all()
    bits, number = (np.uint64, 0x7ff8000000000123) if dtype == np.float64 else (np.uint32,
                                                                               0x7fc00123)
    payload = np.array([number, np.iinfo(bits).max], bits).view(dtype)
    assert np.isnan(elementwise(exp_of, payload)).all()


@TYPES
def test_exp_of_subnormal_results(dtype):
    information = np.finfo(dtype)
    x = np.linspace(np.log(float(information.smallest_subnormal)),
                    np.log(float(information.smallest_normal)), 999).astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(elementwise(exp_of, x) - exact)) <= information.smallest_subnormal


@TYPES
def test_exp_is_compiled_to_vectors_without_calls(dtype):
    # Compiled afresh: Numba shows no assembly of code that comes from its cache.
    features = binding.get_host_cpu_features()
    if not (features.get("avx2") and features.get("fma")):
        pytest.skip("the processor has no AVX2 with fused multiply-add, whose names are looked for")
    suffix = "ps\t" if dtype == np.float32 else "pd\t"
    for loop, is_vectorized in ((exp_of.py_func, True), (decay_of.py_func, True),
                                (library_exp_of, False)):
        fresh = numba.njit(error_model="numpy")(loop)
        fresh(*(np.zeros(8, dtype) for _ in range(3)))
        lines = [line for text in fresh.inspect_asm().values() for line in text.splitlines()]
        packed = [line for line in lines if "vfmadd" in line and suffix in line and (
            "%ymm" in line or "%zmm" in line)]
        assert bool(packed) == is_vectorized


def library_exp_of(x, low, result):
    for i in range(x.size):
        result[i] = np.exp(x[i] + low[i])


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
