"""Mathematical functions as Numba's libdevice compiles them, against mpmath.

The bounds are the largest errors NVIDIA documents for these functions, in units in the last place
(CUDA C++ programming guide, mathematical functions). That they hold here is evidence for the
interpreter's arithmetic: a wrongly rounded fma anywhere shows up as many ulps.
"""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from numba import cuda, float32, float64

from refglow.kernels.ptx import compile_kernel, run

FLOATS: dict[str, tuple[Any, Any]] = {"f32": (float32, np.float32), "f64": (float64, np.float64)}
# name: (ulps in float32, ulps in float64, low, high)
UNARY = {
    "exp": (1, 1, -80, 80), "exp2": (1, 1, -100, 100), "expm1": (1, 1, -5, 5),
    "log": (1, 1, 0.01, 50), "log2": (1, 2, 0.01, 50), "log1p": (1, 2, -0.9, 50),
    "sqrt": (0.5, 0.5, 0, 1e6), "tanh": (2, 2, -4, 4), "sinh": (3, 2, -8, 8),
    "sin": (2, 2, -200, 200), "cos": (2, 2, -200, 200), "atan": (2, 2, -20, 20),
    "erf": (2, 2, -3, 3), "floor": (0, 0, -99, 99), "ceil": (0, 0, -99, 99),
    "trunc": (0, 0, -99, 99),
}
BINARY = {"pow": (4, 2, 0.05, 20), "atan2": (3, 2, -10, 10), "fmod": (0, 0, -50, 50),
          "copysign": (0, 0, -9, 9), "hypot": (3, 2, -50, 50)}
REFERENCES = {"pow": mpmath.power, "trunc": lambda x: mpmath.mpf(int(x)),
              "exp2": lambda x: mpmath.power(2, x), "log2": lambda x: mpmath.log(x, 2),
              "fmod": math.fmod, "copysign": math.copysign}


def unary_kernel(name: str) -> Any:
    function = getattr(math, name)

    def kernel(x, out):  # type: ignore[no-untyped-def]
        i = cuda.grid(1)
        if i < out.size:
            out[i] = function(x[i])

    return kernel


def binary_kernel(name: str) -> Any:
    function = getattr(math, name)

    def kernel(x, y, out):  # type: ignore[no-untyped-def]
        i = cuda.grid(1)
        if i < out.size:
            out[i] = function(x[i], y[i])

    return kernel


def check(name: str, ulps: float, columns: list[np.ndarray], kernel: Any, kind: str) -> None:
    numba_type, dtype = FLOATS[kind]
    size = columns[0].size
    out = np.empty(size, dtype)
    program = compile_kernel(kernel, (numba_type[::1],) * (len(columns) + 1))
    run(program, -(-size // 64), 64, (*columns, out), uninitialised=("out",))
    reference = REFERENCES.get(name) or getattr(mpmath, name)
    with mpmath.workprec(200):
        for *row, got in zip(*(c.tolist() for c in columns), out.tolist(), strict=True):
            exact = mpmath.mpf(reference(*row))
            spacing = float(np.spacing(np.abs(dtype(float(exact)))))
            assert abs(mpmath.mpf(got) - exact) <= ulps * spacing, (row, got, exact)


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_number(name: str, kind: str) -> None:
    single, double, low, high = UNARY[name]
    x = np.random.default_rng(1).uniform(low, high, 150).astype(FLOATS[kind][1])
    check(name, single if kind == "f32" else double, [x], unary_kernel(name), kind)


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_numbers(name: str, kind: str) -> None:
    single, double, low, high = BINARY[name]
    rng = np.random.default_rng(2)
    x = rng.uniform(low, high, 150).astype(FLOATS[kind][1])
    y = rng.uniform(-6, 6, 150).astype(FLOATS[kind][1])
    check(name, single if kind == "f32" else double, [x, y], binary_kernel(name), kind)


@pytest.mark.parametrize("kind", FLOATS)
def test_sine_of_huge_arguments_takes_the_slow_reduction(kind: str) -> None:
    """The slow path calls a device function (float64) or loops over local memory (float32)."""
    dtype = FLOATS[kind][1]
    x = (np.random.default_rng(3).uniform(1e6, 1e15, 60)).astype(dtype)
    check("sin", 2, [x], unary_kernel("sin"), kind)


def test_edges_of_the_exponential() -> None:
    x = np.array([-np.inf, -104, -103, -88, 0, 88.5, 89, np.inf, np.nan], np.float32)
    out = np.empty_like(x)
    program = compile_kernel(unary_kernel("exp"), (float32[::1],) * 2)
    run(program, 1, 32, (x, out))
    expected = [0, 0, 1.4e-45, 6.0546e-39, 1, 2.7230e38, np.inf, np.inf, np.nan]
    np.testing.assert_allclose(out, np.array(expected, np.float32), rtol=1e-4)
