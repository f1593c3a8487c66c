"""cvt and 16-bit arithmetic against exact rational arithmetic."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from exact_rounding import rounded
from ptx_single import evaluate

RNG = np.random.default_rng(7)
MODES = ["rn", "rz", "rm", "rp"]


def float_bits(dtype: type, count: int = 600) -> np.ndarray:
    size = np.dtype(dtype).itemsize
    values = RNG.integers(0, 2 ** (8 * size) - 1, count, dtype=np.uint64, endpoint=True)
    ordinary = (RNG.normal(size=count) * 2.0 ** RNG.integers(-30, 40, count)).astype(dtype)
    specials = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, 1.5, 2.5, -0.5, 1e9, 3e9, 1e19])
    return np.concatenate(
        [values.astype(f"u{size}").view(dtype), ordinary, specials.astype(dtype)]
    )


def same(got: float, expected: float) -> bool:
    if math.isnan(expected):
        return math.isnan(got)
    return got == expected and math.copysign(1, got) == math.copysign(1, expected)


def reference(value: float, kind: str, mode: str) -> float:
    if not math.isfinite(value) or value == 0:
        return value
    return rounded(Fraction(value), kind, mode)


@pytest.mark.parametrize("mode", MODES)
def test_float64_to_float32(mode: str) -> None:
    a = float_bits(np.float64)
    (w,) = evaluate(f"cvt.{mode}.f32.f64 %w, %a;", [a], "b32")
    for value, got in zip(a.tolist(), w.view(np.float32).tolist(), strict=True):
        assert same(got, reference(value, "f32", mode)), value


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", ["f32", "f64"])
def test_to_float16(source: str, mode: str) -> None:
    a = float_bits(np.float32 if source == "f32" else np.float64)
    (w,) = evaluate(f"cvt.{mode}.f16.{source} %w, %a;", [a], "b16")
    for value, got in zip(a.tolist(), w.view(np.float16).tolist(), strict=True):
        assert same(got, reference(value, "f16", mode)), value


@pytest.mark.parametrize("mode", ["rn", "rz"])
def test_to_bfloat16(mode: str) -> None:
    a = float_bits(np.float32)
    (w,) = evaluate(f"cvt.{mode}.bf16.f32 %w, %a;", [a], "b16")
    got16 = w.view(ml_dtypes.bfloat16).astype(np.float64)
    for value, got in zip(a.tolist(), got16.tolist(), strict=True):
        assert same(got, reference(value, "bf16", mode)), value
    if mode == "rn":
        numbers = ~np.isnan(a)
        assert (w[numbers] == a[numbers].astype(ml_dtypes.bfloat16).view(np.uint16)).all()


def test_from_float16_and_bfloat16() -> None:
    a = np.arange(65536, dtype=np.uint16)
    w, x, y = evaluate(
        "cvt.f32.f16 %w, %a; cvt.f64.f16 %x, %a; cvt.f32.bf16 %y, %a;", [a], "b32", "b64", "b32"
    )
    np.testing.assert_array_equal(w.view(np.float32), a.view(np.float16).astype(np.float32))
    np.testing.assert_array_equal(x.view(np.float64), a.view(np.float16).astype(np.float64))
    wide = a.view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(y.view(np.float32), wide)


def test_packed_conversion_puts_the_first_operand_above() -> None:
    a, b = np.array([1.0, 65520], np.float32), np.array([-2.0, 1e-8], np.float32)
    body = "cvt.rn.f16x2.f32 %w, %a, %b; cvt.rn.bf16x2.f32 %x, %a, %b;"
    w, x = evaluate(body, [a, b], "b32", "b32")
    halves = w.view(np.float16).reshape(-1, 2)
    np.testing.assert_array_equal(halves, np.array([[-2, 1], [0, np.inf]], np.float16))
    brains = x.view(ml_dtypes.bfloat16).astype(np.float32).reshape(-1, 2)
    np.testing.assert_array_equal(
        brains, np.stack([b, a], 1).astype(ml_dtypes.bfloat16).astype(np.float32)
    )


@pytest.mark.parametrize("source", ["f32", "f64"])
@pytest.mark.parametrize("target", ["s8", "s16", "u16", "s32", "u32", "s64", "u64"])
def test_float_to_integer(target: str, source: str) -> None:
    a = float_bits(np.float32 if source == "f32" else np.float64)
    width = int(target[1:])
    register = max(width, 16)
    rounding = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if target[0] == "s" else (
        0, 2**width - 1)
    nan = 2 ** (width - 1) if source == "f64" or width == 64 else 0
    body = "".join(
        f"cvt.{mode}.{target}.{source} %{name}, %a;"
        for name, mode in zip("wxyz", rounding, strict=True)
    )
    results = evaluate(body, [a], *[f"b{register}"] * 4)
    for whole, result in zip(rounding.values(), results, strict=True):
        for value, got in zip(a.tolist(), result.tolist(), strict=True):
            if math.isnan(value):
                expected = nan if nan == 0 or target[0] == "u" else -nan
            elif math.isinf(value):
                expected = high if value > 0 else low
            else:
                expected = min(max(whole(value), low), high)
            assert got == expected & (2**register - 1), value


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", ["f32", "f64"])
@pytest.mark.parametrize("source", ["s32", "u32", "s64", "u64"])
def test_integer_to_float(source: str, target: str, mode: str) -> None:
    width = int(source[1:])
    a = RNG.integers(0, 2**width - 1, 300, dtype=np.uint64, endpoint=True)
    a = np.concatenate([a, a >> np.uint64(20), np.array([1, 2**24 + 1, 2**width - 1], np.uint64)])
    a = a.astype(f"u{width // 8}")
    (w,) = evaluate(f"cvt.{mode}.{target}.{source} %w, %a;", [a], target.replace("f", "b"))
    values = a.view(f"{source[0].replace('s', 'i')}{width // 8}").tolist()
    got = w.view(np.float32 if target == "f32" else np.float64).tolist()
    for value, result in zip(values, got, strict=True):
        assert result == (rounded(Fraction(value), target, mode) if value else 0), value


def test_integer_widths_extend_truncate_and_saturate() -> None:
    a = RNG.integers(0, 2**32, 300, dtype=np.uint64).astype(np.uint32)
    body = """cvt.s64.s32 %w, %a; cvt.u64.u32 %x, %a; cvt.s32.s8 %y, %a;
              cvt.sat.u8.s32 %z, %a;"""
    w, x, y, z = evaluate(body, [a], "b64", "b64", "b32", "b32")
    signed = a.view(np.int32)
    assert (w.view(np.int64) == signed).all() and (x == a).all()
    assert (y.view(np.int32) == a.astype(np.uint8).view(np.int8)).all()
    assert (z == np.clip(signed, 0, 255)).all()


def test_rounding_a_float_to_a_whole_float() -> None:
    a = float_bits(np.float64)
    body = """cvt.rni.f64.f64 %w, %a; cvt.rzi.f64.f64 %x, %a; cvt.rmi.f64.f64 %y, %a;
              cvt.rpi.f64.f64 %z, %a;"""
    results = evaluate(body, [a], *["b64"] * 4)
    for function, result in zip((np.rint, np.trunc, np.floor, np.ceil), results, strict=True):
        np.testing.assert_array_equal(result.view(np.float64), function(a))


def test_saturating_float_conversion() -> None:
    a = np.array([-3, 0.5, 1.5, np.nan], np.float32)
    (w,) = evaluate("cvt.sat.f32.f32 %w, %a;", [a], "b32")
    np.testing.assert_array_equal(w.view(np.float32), [0, 0.5, 1, 0])


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_sixteen_bit_arithmetic_rounds_once(kind: str) -> None:
    dtype = np.float16 if kind == "f16" else ml_dtypes.bfloat16
    columns = [RNG.integers(0, 65536, 1500).astype(np.uint16) for _ in range(3)]
    with np.errstate(invalid="ignore"):  # NaN patterns are dropped below
        wide = [column.view(dtype).astype(np.float64) for column in columns]
    finite = np.logical_and.reduce([np.isfinite(w) for w in wide])
    columns = [column[finite] for column in columns]
    wide = [w[finite] for w in wide]
    body = f"add.{kind} %w, %a, %b; mul.{kind} %x, %a, %b; fma.rn.{kind} %y, %a, %b, %c;"
    results = evaluate(body.replace("add.bf", "add.rn.bf").replace("mul.bf", "mul.rn.bf"),
                       columns, *["b16"] * 3)
    exact = (lambda x, y, z: x + y, lambda x, y, z: x * y, lambda x, y, z: x * y + z)
    for function, result in zip(exact, results, strict=True):
        for *row, got in zip(*(w.tolist() for w in wide),
                             result.view(dtype).astype(np.float64).tolist(), strict=True):
            value = function(*map(Fraction, row))
            assert got == (rounded(value, kind) if value else 0), row


def test_pairs_of_halves() -> None:
    a, b = (RNG.normal(size=(40, 2)).astype(np.float16) for _ in range(2))
    body = """add.f16x2 %w, %a, %b; fma.rn.f16x2 %x, %a, %b, %a;
              neg.f16x2 %y, %a; max.f16x2 %z, %a, %b;"""
    w, x, y, z = evaluate(
        body, [a.view(np.uint32).ravel(), b.view(np.uint32).ravel()], *["b32"] * 4
    )
    wide = a.astype(np.float64), b.astype(np.float64)
    np.testing.assert_array_equal(w.view(np.float16).reshape(-1, 2), a + b)
    fused = (wide[0] * wide[1] + wide[0]).astype(np.float16)
    np.testing.assert_array_equal(x.view(np.float16).reshape(-1, 2), fused)
    np.testing.assert_array_equal(y.view(np.float16).reshape(-1, 2), -a)
    np.testing.assert_array_equal(z.view(np.float16).reshape(-1, 2), np.maximum(a, b))
