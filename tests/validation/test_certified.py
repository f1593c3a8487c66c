"""Certified values: balls enclose, rounding is right, nothing is guessed, golden ones stand."""

import json
import math
import sys
from fractions import Fraction
from importlib import resources

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load
from typer.testing import CliRunner

from refglow.cli.main import app
from refglow.elementary import constant, log_two_pi, product, relu, sigmoid
from refglow.validation.against_golden import golden_cases, golden_conditions, golden_results
from refglow.validation.certified.ball import Ball, UndecidedError, balls, precision
from refglow.validation.certified.certify import certified
from refglow.validation.certified.golden_values import CertifiedValues, certified_case, file_content
from refglow.validation.certified.nearest import nearest, rounded
from refglow.validation.certified.report import rows_of
from refglow.validation.compare import difference
from refglow.validation.golden import DTYPES, Golden
from refglow.validation.table import PROPERTY_NAMES
from refglow.validation.tolerances import agreement, rounding_layers

CASES = golden_cases()
SMALL = [case for case in CASES if not case.photographs]
FLOATS = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > 1e-6)


def encloses(ball, number):
    """Whether an exact Fraction lies between the ends of a ball."""
    low, high = (end.man_exp() for end in (ball.value.lower(), ball.value.upper()))
    return value(*low) <= number <= value(*high)


def value(mantissa, exponent):
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


# ---- balls -----------------------------------------------------------------------------------


@given(FLOATS, FLOATS, st.integers(10, 200))
def test_arithmetic_encloses_the_exact_result(a, b, bits):
    x, y, exact_x, exact_y = Ball(a), Ball(b), Fraction(a), Fraction(b)
    with precision(bits):
        assert encloses(x + y, exact_x + exact_y)
        assert encloses(x - y, exact_x - exact_y)
        assert encloses(x * y, exact_x * exact_y)
        assert encloses(1 - x, 1 - exact_x) and encloses(np.int64(2) * x, 2 * exact_x)
        assert encloses(abs(x), abs(exact_x)) and encloses(x**2, exact_x**2)
        if b:
            assert encloses(x / y, exact_x / exact_y) and encloses(3 / y, 3 / exact_y)


@pytest.mark.parametrize(("name", "points"), [
    ("exp", (-30.0, 0.1, 8.0)), ("expm1", (1e-20, -2.0)), ("log", (1e-9, 0.7, 1e9)),
    ("log1p", (1e-25, -0.9, 5.0)), ("sqrt", (2.0, 1e-8)), ("tanh", (1e-9, -1.3)),
    ("atanh", (0.999, -1e-12))])
def test_functions_enclose_the_true_value(name, points):
    for point in points:
        for bits in (20, 53, 150):
            with precision(bits):
                found = getattr(Ball(point), name)()
            with mpmath.workprec(400):
                exact = getattr(mpmath, name)(mpmath.mpf(point))
            size = value(*exact.man_exp)  # which has no sign
            assert encloses(found, -size if exact < 0 else size)


def test_an_integer_of_many_digits_is_exact():
    number = 3**200
    with precision(20):
        assert encloses(Ball(number), number) and Ball(number).value.is_exact()
    for wrong in ("1", None, 1j, np.longdouble(1)):
        with pytest.raises(TypeError, match="made of an int or a float"):
            Ball(wrong)


def test_a_float_beside_balls_is_an_error():
    """It may be the rounded result of something: np.exp of an array that was not made of balls."""
    x = Ball(1)
    for ask in (lambda: x + 0.5, lambda: 0.5 - x, lambda: np.float64(2) * x, lambda: x < 0.5,
                lambda: balls([1.0]) * np.exp(np.ones(1)), lambda: x == np.float32(1),
                lambda: product(balls([[1.0]]), np.array([[0.5]], object))):
        with pytest.raises(TypeError, match="beside Balls"):
            ask()
    with pytest.raises(TypeError, match="beside Balls"):
        nearest(np.array([0.1 + 0.2], object), np.float64)
    with pytest.raises(TypeError):
        balls([1.0]).astype(float)
    assert bool(x) and not bool(x - 1)


def test_constants_are_balls_where_a_zero_is_an_int():
    like = np.array([0, Ball(0.5)], object)
    assert isinstance(constant(0.5, like).item(), Ball)
    with mpmath.workprec(300):
        exact = mpmath.log(2 * mpmath.pi)
    with precision(200):
        assert encloses(log_two_pi(like).item(), value(*exact.man_exp))


def test_what_balls_do_not_decide_is_an_error():
    with precision(60):
        third = Ball(1) / 3
        one = third + third + third
        zero = one - 1
        for ask in (lambda: one < 1, lambda: one >= 1, lambda: one == 1, lambda: one != 1,
                    lambda: 1 / zero, lambda: zero.log(), lambda: relu(np.array([zero])),
                    lambda: sigmoid(np.array([zero])), lambda: (zero - 1).log1p()):
            with pytest.raises(UndecidedError):
                ask()
        assert third < 1 and third > 0 and third != 1 and Ball(2) == 2 and Ball(2) <= 2
        assert (Ball(2) != 2) is False


def test_matrix_products_are_the_sums():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))
    with precision(90):
        found = product(balls(a), balls(b))
    assert found.shape == (2, 3, 5)
    for i, j, k in np.ndindex(found.shape):
        exact = sum(Fraction(p) * Fraction(q) for p, q in zip(a[i, j], b[:, k], strict=True))
        assert encloses(found[i, j, k], exact)


def test_the_precision_is_restored():
    with precision(70):
        with pytest.raises(ZeroDivisionError), precision(90):
            raise ZeroDivisionError
        with precision(70):
            width = (Ball(1) / 3).value.rel_accuracy_bits()
        assert (Ball(1) / 3).value.rel_accuracy_bits() == width


# ---- rounding --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(st.integers(-2**70, 2**70), st.integers(-1200, 1000))
def test_rounding_is_to_the_nearest_and_ties_to_even(dtype, mantissa, exponent):
    check_rounding(mantissa, exponent, dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_at_ties_subnormal_numbers_and_the_largest(dtype):
    kind = np.finfo(dtype)
    digits, least, most = kind.nmant + 1, int(kind.minexp) - kind.nmant, int(kind.maxexp)
    for exponent in (least - 60, least - 3, least - 2, least - 1, least, 0, most - digits - 1):
        for mantissa in (1, 2, 3, 5, 6, 7, 2**digits - 1, 2**digits + 1, 2**(digits + 1) - 1,
                         2**(digits + 1) + 1, 2**(digits + 1) + 2, 2**(digits + 1) + 3):
            check_rounding(mantissa, exponent, dtype)
            check_rounding(-mantissa, exponent, dtype)
    assert rounded(2**digits - 1, most - digits, dtype) == kind.max
    assert rounded(2**(digits + 1) - 1, most - digits - 1, dtype) == math.inf
    assert rounded(-1, most, dtype) == -math.inf and rounded(0, 5, dtype) == 0


def check_rounding(mantissa, exponent, dtype):
    """By definition: no neighbour is nearer, and of two that are as near it is the even one."""
    found, exact = dtype(rounded(mantissa, exponent, dtype)), value(mantissa, exponent)
    largest = Fraction(float(np.finfo(dtype).max))
    if np.isinf(found):
        half_a_unit = largest - Fraction(float(np.nextafter(np.finfo(dtype).max, dtype(0))))
        assert abs(exact) >= largest + half_a_unit / 2 and (found > 0) == (exact > 0)
        return
    error = abs(Fraction(float(found)) - exact)
    for neighbour in (np.nextafter(found, dtype(-np.inf)), np.nextafter(found, dtype(np.inf))):
        if np.isfinite(neighbour):
            distance = abs(Fraction(float(neighbour)) - exact)
            even = found.view(f"u{found.itemsize}") % 2 == 0
            assert error < distance or (error == distance and even)


def test_a_float32_is_not_rounded_twice():
    # A little above the middle of two float32 numbers, by less than float64 resolves.
    middle = Fraction(1) + Fraction(1, 2**24)
    above = middle + Fraction(1, 2**70)
    mantissa = above * 2**70
    assert rounded(int(mantissa), -70, np.float32) == np.nextafter(np.float32(1), np.float32(2))
    assert np.float32(float(above)) == 1


def test_a_mantissa_may_be_longer_than_any_float_is_large():
    for sign in (1, -1):
        assert rounded(sign * (2**2046 + 1), -2040, np.float64) == sign * 64
        assert rounded(sign * 2**2046, 0, np.float64) == sign * math.inf


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_exponent_may_be_larger_than_memory_has_bits(dtype, sign):
    # exp(-10^30) is a ball like any other, and what a bias of 10^30 gives.
    assert rounded(sign, 10**30, dtype) == sign * math.inf
    tiny = rounded(sign, -10**30, dtype)
    assert tiny == 0 and math.copysign(1.0, tiny) == sign
    assert nearest(np.array([Ball(-10.0**30).exp()]), dtype) == 0
    assert nearest(np.array([-Ball(10.0**30).exp()]), dtype) == -np.inf


def test_zeros_have_no_sign():
    tiny = np.array([Ball(-1) / 2**1100, Ball(-0.0), Ball(1) / 2**1100], object)
    assert np.signbit(nearest(tiny, np.float64)).tolist() == [True, False, False]
    with precision(2000):
        around = np.array([Ball(2).sqrt() ** 2 - 2], object)
        assert not np.signbit(nearest(around, np.float64)).any()


def test_a_ball_between_two_numbers_is_not_rounded():
    with precision(53):
        wide = np.array([Ball(1) / 3])
        with pytest.raises(UndecidedError, match="rounds to"):
            nearest(wide, np.float64)
        assert nearest(wide, np.float32) == np.float32(1 / 3)
        with pytest.raises(UndecidedError, match="not known to be finite"):
            nearest(np.array([Ball(np.inf)]), np.float64)


# ---- raising precision -----------------------------------------------------------------------


def test_precision_is_raised_until_it_suffices():
    def cancelling():
        x = balls(np.array([1e-60, 0.5]))
        return {"y": np.array([one.exp() - 1 for one in x])}
    found = certified(cancelling)
    assert found.bits > 128
    for dtype in DTYPES:
        assert found.values["y"][dtype].dtype == dtype
    np.testing.assert_array_equal(found.values["y"]["float64"], np.expm1([1e-60, 0.5]))


def test_what_no_precision_decides_is_told():
    with pytest.raises(UndecidedError, match="is not decided") as raised:
        certified(lambda: {"y": relu(np.array([Ball(2).sqrt() ** 2 - 2]))})
    assert raised.value.__notes__ == ["(8192 bits of precision do not decide it.)"]


# ---- the golden values -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept():
    return CertifiedValues()


@pytest.fixture(scope="module")
def files():
    return {dtype: Golden(dtype) for dtype in DTYPES}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_kept_values_are_derived_again(case, dtype, files):
    rows = rows_of([(case, dtype, certified_case(case, files[dtype]))], files)
    assert rows and all(row["as_kept"] for row in rows)


@pytest.mark.slow
def test_a_whole_glow_on_photographs_is_derived_again(files):
    [case] = [case for case in CASES if case.name == "Glow 32x16x3 additive"]
    rows = rows_of([(case, "float32", certified_case(case, files["float32"]))], files)
    assert rows and all(row["as_kept"] for row in rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_golden_property_is_certified(case, dtype, kept, files):
    values, golden = kept.of(case.name, dtype).values, files[dtype]
    assert set(values) == {prop for prop in PROPERTY_NAMES
                           if golden.result(case.name, prop) is not None}
    for prop, by_type in values.items():
        assert {name: array.shape for name, array in by_type.items()} == dict.fromkeys(
            DTYPES, golden.result(case.name, prop).shape)
        assert all(array.dtype == name for name, array in by_type.items())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_the_specification_is_within_its_tolerance_of_the_truth(case, dtype, kept, files):
    golden, truth = files[dtype], kept.of(case.name, dtype).values
    layers = rounding_layers(case.make(0, np.float64)[0])
    conditions = golden_conditions(case, golden)
    for prop, values in golden_results(case, golden).items():
        limit = agreement(dtype, layers, conditions[prop]).relative
        expected = truth[prop]["float64"]
        if np.abs(expected).max(initial=0.0):
            assert difference(values, expected, dtype).relative <= limit, prop
        else:
            assert not np.abs(values).max(initial=0.0)


# ---- the command -----------------------------------------------------------------------------


def test_the_command(tmp_path):
    arguments = ["vectors", "certify", "--only", "RealNVP", "--json", str(tmp_path / "r.json")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "each correctly rounded" in done.stdout
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert len(rows) == 40 and all(row["as_kept"] for row in rows)
    assert all(0 <= row["relative"] == pytest.approx(row["share"] * row["bound"], rel=1e-12)
               and row["share"] <= 1 for row in rows)
    assert {row["reason"] for row in rows if row["property"] == "forward"} != {""}
    done = CliRunner().invoke(app, [*arguments, "--write", str(tmp_path / "v")])
    assert done.exit_code == 2 and not (tmp_path / "v").exists()


def test_the_file_that_is_written_is_the_file_that_is_kept(kept):
    kept_file = resources.files("refglow.validation.golden") / "certified.safetensors"
    found = {(case.name, dtype): kept.of(case.name, dtype) for case in CASES for dtype in DTYPES}
    written, before = load(file_content(found)), load(kept_file.read_bytes())
    assert written.keys() == before.keys()
    for name, array in before.items():
        assert written[name].dtype == array.dtype
        np.testing.assert_array_equal(written[name], array)


def test_another_digit_is_noticed(monkeypatch):
    right = CertifiedValues.of

    def wrong(self, case, inputs):
        found = right(self, case, inputs)
        values = found.values["forward"]["float64"]
        values[0] = np.nextafter(values[0], np.inf)
        return found
    monkeypatch.setattr(CertifiedValues, "of", wrong)
    done = CliRunner().invoke(app, ["vectors", "certify", "--only", "Tanh"])
    assert done.exit_code == 1 and "NOT as kept" in done.stdout
    assert "2 of 14 are not as kept: Tanh\n" in done.stdout


def test_a_property_that_is_not_kept_is_noticed(monkeypatch):
    right = CertifiedValues.of

    def lacking(self, case, inputs):
        found = right(self, case, inputs)
        del found.values["inverse"]
        return found
    monkeypatch.setattr(CertifiedValues, "of", lacking)
    done = CliRunner().invoke(app, ["vectors", "certify", "--only", "Tanh"])
    assert done.exit_code == 1 and "2 of 14 are not as kept: Tanh\n" in done.stdout


def test_without_python_flint_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    for name in [name for name in sys.modules if name.startswith("refglow.validation.certified")]:
        monkeypatch.delitem(sys.modules, name)
    done = CliRunner().invoke(app, ["vectors", "certify", "--only", "Tanh"])
    assert isinstance(done.exception, ImportError)
    assert 'pip install "refglow[certify]"' in str(done.exception)
