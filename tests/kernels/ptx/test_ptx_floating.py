"""Floating-point instructions against exact rational arithmetic, in every rounding mode."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from exact_rounding import rounded
from ptx_single import evaluate

RNG = np.random.default_rng(5)
MODES = ["rn", "rz", "rm", "rp"]
DTYPES: dict[str, Any] = {"f32": np.float32, "f64": np.float64}


def numbers(kind: str, count: int) -> np.ndarray:
    """Numbers of every magnitude, subnormals and exact ties among them, none infinite or NaN."""
    dtype = DTYPES[kind]
    info = np.finfo(dtype)
    anything = RNG.integers(0, 2 ** info.bits - 1, count, dtype=np.uint64, endpoint=True)
    anything = anything.astype(f"u{info.bits // 8}").view(dtype)
    short = RNG.integers(-4096, 4096, count) * 2.0 ** RNG.integers(-12, 13, count)
    tiny = info.smallest_subnormal * RNG.integers(-1000, 1000, count)
    values = np.concatenate([anything, short.astype(dtype), tiny.astype(dtype)])
    values = values[np.isfinite(values)]
    RNG.shuffle(values)
    return np.concatenate([values, np.array([0.0, -0.0, 1.0, info.max, info.tiny], dtype)])


def check(
    body: str, kind: str, mode: str, exact: Callable[..., Fraction], *columns: np.ndarray
) -> None:
    size = min(column.size for column in columns)
    columns = tuple(column[:size] for column in columns)
    (w,) = evaluate(body, list(columns), kind.replace("f", "b"))
    for *operands, got in zip(*(c.tolist() for c in columns), w.view(DTYPES[kind]).tolist(),
                              strict=True):
        value = exact(*map(Fraction, operands))
        if value:
            assert got == rounded(value, kind, mode), operands
            assert (math.copysign(1, got) < 0) == (value < 0), operands
        else:
            assert got == 0, operands


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_sums_products_quotients(kind: str, mode: str) -> None:
    a, b = numbers(kind, 250), numbers(kind, 250)
    divisors = np.where(b == 0, DTYPES[kind](3), b)
    check(f"add.{mode}.{kind} %w, %a, %b;", kind, mode, lambda x, y: x + y, a, b)
    check(f"sub.{mode}.{kind} %w, %a, %b;", kind, mode, lambda x, y: x - y, a, b)
    check(f"mul.{mode}.{kind} %w, %a, %b;", kind, mode, lambda x, y: x * y, a, b)
    check(f"div.{mode}.{kind} %w, %a, %b;", kind, mode, lambda x, y: x / y, a, divisors)
    check(f"rcp.{mode}.{kind} %w, %a;", kind, mode, lambda x: 1 / x, divisors)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_fma_of_numbers_of_every_magnitude(kind: str, mode: str) -> None:
    a, b, c = (numbers(kind, 300) for _ in range(3))
    check(f"fma.{mode}.{kind} %w, %a, %b, %c;", kind, mode, lambda x, y, z: x * y + z, a, b, c)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_fma_where_rounding_twice_goes_wrong(kind: str, mode: str) -> None:
    """Products that almost cancel, and sums a hair beside a tie of the result's format."""
    dtype = DTYPES[kind]
    precision = np.finfo(dtype).nmant + 1
    count = 300
    a = (RNG.integers(2 ** (precision - 1), 2**precision, count)).astype(dtype)
    b = (RNG.integers(2 ** (precision - 1), 2**precision, count)).astype(dtype)
    cancelling = -(a * b)
    # 2^p * (odd) + half an ulp, disturbed far below by a tiny addend of either sign.
    tie = dtype(2.0 ** (precision // 2)) * (1 + np.arange(count) * dtype(2)).astype(dtype)
    tie_b = np.full(count, dtype(1) + dtype(2.0 ** -(precision - 1)))
    tiny = (RNG.choice([-1, 1], count) * 2.0 ** RNG.integers(-100, -30, count)).astype(dtype)
    one_ulp_ties = (dtype(1) + dtype(2.0 ** -(precision - 1))) * np.ones(count, dtype)
    half = np.full(count, dtype(2.0**-precision) * (1 + dtype(2.0 ** -(precision - 1))))
    body = f"fma.{mode}.{kind} %w, %a, %b, %c;"
    for x, y, z in [(a, b, cancelling), (tie, tie_b, tiny), (half, one_ulp_ties, one_ulp_ties),
                    (tiny, tie_b, tie)]:
        check(body, kind, mode, lambda p, q, r: p * q + r, x, y, z)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_fma_a_hair_beside_a_tie(kind: str, mode: str) -> None:
    """(1 + eps)(1 - eps) = 1 - eps^2 turns half an ulp into nearly half an ulp."""
    dtype = DTYPES[kind]
    eps = np.finfo(dtype).eps
    one, odd = dtype(1), dtype(1) + eps
    scale = np.array([1, 2.0**20, 2.0**-60] * 8, dtype)
    a = (one + eps) * scale * eps / 2
    b = np.where(np.arange(24) % 2, one - eps, eps - one).astype(dtype)
    c = np.where(np.arange(24) // 2 % 2, odd, odd + eps).astype(dtype) * scale
    c = np.where(np.arange(24) // 4 % 2, c, -c).astype(dtype)
    check(f"fma.{mode}.{kind} %w, %a, %b, %c;", kind, mode, lambda x, y, z: x * y + z, a, b, c)


def test_fma32_a_hair_beside_a_subnormal_tie() -> None:
    eps = np.float32(2.0**-23)
    small, smallest = np.float32(2.0**-75), np.float32(2.0**-149)
    a = np.array([1 + eps, 1 + eps], np.float32) * small
    b = np.array([1 - eps, eps - 1], np.float32) * small
    c = np.array([2**22 + 1, 2**22 + 1], np.float32) * smallest
    assert float(c[0]) == (2**22 + 1) * 2.0**-149
    check("fma.rn.f32 %w, %a, %b, %c;", "f32", "rn", lambda x, y, z: x * y + z, a, b, c)


def test_fma32_would_fail_if_rounded_through_float64() -> None:
    """The textbook case: a plain float64 sum lies on a float32 tie that the exact sum misses."""
    a, b, c = np.float32(1 + 2**-12), np.float32(1 + 2**-12), np.float32(2.0**-60)
    # a*b = 1 + 2^-11 + 2^-24: exactly half way between two float32.
    through_double = np.float32(np.float64(a) * np.float64(b) + np.float64(c))
    (w,) = evaluate("fma.rn.f32 %w, %a, %b, %c;", [np.array([v]) for v in (a, b, c)], "b32")
    exact = rounded(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)), "f32")
    assert w.view(np.float32)[0] == exact != through_double


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_square_root(kind: str, mode: str) -> None:
    a = np.abs(numbers(kind, 200))
    a[::4] = (np.arange(a[::4].size) ** 2).astype(a.dtype)
    (w,) = evaluate(f"sqrt.{mode}.{kind} %w, %a;", [a], kind.replace("f", "b"))
    for value, got in zip(a.tolist(), w.view(a.dtype).tolist(), strict=True):
        x, r = Fraction(value), Fraction(got)
        below, above = (Fraction(float(np.nextafter(a.dtype.type(got), a.dtype.type(s))))
                        for s in (-np.inf, np.inf))
        if mode == "rn":
            assert ((r + below) / 2) ** 2 <= x or got == 0
            assert x <= ((r + above) / 2) ** 2
        elif mode == "rp":
            assert r * r >= x and (got == 0 or below * below < x)
        else:
            assert r * r <= x < above * above


def test_exact_zeros_have_the_sign_of_the_mode() -> None:
    a = np.array([1.5, -1.5], np.float32)
    for kind, dtype in DTYPES.items():
        column = a.astype(dtype)
        for mode in MODES:
            body = f"add.{mode}.{kind} %w, %a, %b; fma.{mode}.{kind} %x, %a, %c, %b;"
            one = np.ones(2, dtype)
            w, x = evaluate(body, [column, -column, one], *[kind.replace("f", "b")] * 2)
            for got in (w, x):
                assert (np.signbit(got.view(dtype)) == (mode == "rm")).all()


def test_infinities_and_nans() -> None:
    inf, nan = np.inf, np.nan
    rows = np.array(
        [(inf, 1, -inf), (inf, 0, 1), (1e38, 1e38, -inf), (nan, 1, 1), (1, 1, nan), (inf, -2, 1)]
    )
    for kind, dtype in DTYPES.items():
        a, b, c = rows.T.astype(dtype)
        body = f"fma.rn.{kind} %w, %a, %b, %c; div.rn.{kind} %x, %a, %b;"
        w, x = (v.view(dtype) for v in evaluate(body, [a, b, c], *[kind.replace("f", "b")] * 2))
        np.testing.assert_array_equal(w, [nan, nan, -inf, nan, nan, -inf])
        np.testing.assert_array_equal(x, [inf, inf, 1, nan, 1, -inf])


def test_float32_nans_are_canonical() -> None:
    a = np.array([0xFFC12345, 0x7F812345, 0x7F800000], np.uint32).view(np.float32)
    b = np.array([1, 1, -np.inf], np.float32)
    body = "add.f32 %w, %a, %b; min.f32 %x, %a, %a; mul.rn.f32 %y, %a, %a;"
    w, x, y = evaluate(body, [a, b], *["b32"] * 3)
    assert w.tolist() == [0x7FFFFFFF] * 3
    assert x.tolist() == [0x7FFFFFFF, 0x7FFFFFFF, 0x7F800000]
    assert y.tolist() == [0x7FFFFFFF, 0x7FFFFFFF, 0x7F800000]


def test_flush_to_zero_keeps_signs() -> None:
    a = np.array([1e-40, -1e-40, 1e-20, 2e-38], np.float32)
    b = np.array([1, 1, -1e-20, -1.5e-38], np.float32)
    body = "mul.ftz.f32 %w, %a, %b; add.ftz.f32 %x, %a, %b; mul.f32 %y, %a, %b;"
    w, x, y = (v.view(np.float32) for v in evaluate(body, [a, b], *["b32"] * 3))
    np.testing.assert_array_equal(w, np.array([0, -0.0, -0.0, -0.0], np.float32))
    np.testing.assert_array_equal(np.signbit(w), [False, True, True, True])
    np.testing.assert_array_equal(x, np.array([1, 1, 0, 0], np.float32))
    np.testing.assert_array_equal(y, a * b)
    assert y[2] != 0


def test_saturation_clamps_and_turns_nan_into_zero() -> None:
    a = np.array([-1, 0.25, 2, np.nan, -np.inf], np.float32)
    (w,) = evaluate("add.sat.f32 %w, %a, 0f00000000;", [a], "b32")
    np.testing.assert_array_equal(w.view(np.float32), [0, 0.25, 1, 0, 0])
    assert not np.signbit(w.view(np.float32)).any()


def test_minimum_and_maximum() -> None:
    a = np.array([0.0, -0.0, np.nan, 1, 3, np.nan])
    b = np.array([-0.0, 0.0, 2, np.nan, -4, np.nan])
    for kind, dtype in DTYPES.items():
        body = f"min.{kind} %w, %a, %b; max.{kind} %x, %a, %b;"
        w, x = (v.view(dtype) for v in evaluate(body, [a.astype(dtype), b.astype(dtype)],
                                                *[kind.replace("f", "b")] * 2))
        np.testing.assert_array_equal(w, [0, 0, 2, 1, -4, np.nan])
        np.testing.assert_array_equal(x, [0, 0, 2, 1, 3, np.nan])
        assert np.signbit(w[:2]).all() and not np.signbit(x[:2]).any()
    body = "min.NaN.f32 %w, %a, %b; max.NaN.f32 %x, %a, %b;"
    w, x = evaluate(body, [a.astype(np.float32), b.astype(np.float32)], "b32", "b32")
    assert (w[[2, 3, 5]] == 0x7FFFFFFF).all() and (x[[2, 3, 5]] == 0x7FFFFFFF).all()


def test_signs() -> None:
    a, b = np.array([1.5, -2, -0.0, np.nan]), np.array([-1, 1, 1, -1.0])
    for kind, dtype in DTYPES.items():
        body = f"neg.{kind} %w, %a; abs.{kind} %x, %a; copysign.{kind} %y, %b, %a;"
        got = evaluate(body, [a.astype(dtype), b.astype(dtype)], *[kind.replace("f", "b")] * 3)
        w, x, y = (v.view(dtype) for v in got)
        np.testing.assert_array_equal(w, -a)
        np.testing.assert_array_equal(x, np.abs(a))
        np.testing.assert_array_equal(np.signbit(y), np.signbit(b))


def test_ordered_and_unordered_comparisons() -> None:
    a = np.array([1, 1, 2, np.nan, 0.0], np.float32)
    b = np.array([1, 2, 1, 1, -0.0], np.float32)
    less, equal, greater, unordered = a < b, a == b, a > b, np.isnan(a)
    expected = {
        "eq": equal, "ne": less | greater, "lt": less, "le": less | equal, "gt": greater,
        "ge": greater | equal, "equ": equal | unordered, "neu": ~equal, "ltu": less | unordered,
        "leu": ~greater, "gtu": greater | unordered, "geu": ~less, "num": ~unordered,
        "nan": unordered,
    }
    for name, held in expected.items():
        body = f"setp.{name}.f32 %p1, %a, %b; selp.b32 %w, 1, 0, %p1;"
        (w,) = evaluate(body, [a, b], "b32")
        assert (w == held).all(), name


def test_comparison_combined_with_a_predicate() -> None:
    a = np.array([1, 2, 3, 4], np.float32)
    body = """setp.gt.f32 %p1, %a, 0f40000000;
              setp.lt.and.f32 %p2|%p3, %a, 0f40800000, %p1;
              selp.b32 %w, 1, 0, %p2; selp.b32 %x, 1, 0, %p3;"""
    w, x = evaluate(body, [a], "b32", "b32")
    assert w.tolist() == [0, 0, 1, 0] and x.tolist() == [0, 0, 0, 1]


def test_approximations_are_within_their_documented_errors() -> None:
    a = RNG.uniform(0.1, 3, 500).astype(np.float32)
    wide = a.astype(np.float64)
    expected = {
        "ex2.approx.f32": (2**wide, 2**-22), "lg2.approx.f32": (np.log2(wide), None),
        "rcp.approx.f32": (1 / wide, 2**-23), "sqrt.approx.f32": (np.sqrt(wide), 2**-23),
        "rsqrt.approx.ftz.f32": (wide**-0.5, 2**-22.9), "tanh.approx.f32": (np.tanh(wide), 2**-11),
        "sin.approx.f32": (np.sin(wide), None), "cos.approx.f32": (np.cos(wide), None),
    }
    for name, (reference, relative) in expected.items():
        (w,) = evaluate(f"{name} %w, %a;", [a], "b32")
        allowed = 2**-22 if relative is None else relative * np.abs(reference)
        assert (np.abs(w.view(np.float32) - reference) <= allowed).all(), name


def test_approximate_division_of_huge_divisors_gives_zero() -> None:
    a = np.array([1, 1, -1, np.inf], np.float32)
    b = np.array([2.0**126, 2.0**127, 2.0**127, 2.0**127], np.float32)
    w, x = evaluate("div.approx.f32 %w, %a, %b; div.full.f32 %x, %a, %b;", [a, b], "b32", "b32")
    np.testing.assert_array_equal(w.view(np.float32), [2.0**-126, 0, -0.0, np.nan])
    np.testing.assert_array_equal(x.view(np.float32), a / b)


def test_double_reciprocal_seed_has_only_upper_bits() -> None:
    a = RNG.uniform(0.1, 1e10, 200)
    (w,) = evaluate("rcp.approx.ftz.f64 %w, %a;", [a], "b64")
    assert (w & 0xFFFFFFFF == 0).all()
    assert (np.abs(w.view(np.float64) * a - 1) < 2**-19).all()
