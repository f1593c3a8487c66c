"""Derivatives of the elementary bijectors where the general checks do not look.

The general checks compare every case of the registry with complex-step derivatives. Here: the tails
against mpmath, number types, and the maps that copy, drop or double elements.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow.bijectors import exp, reciprocal, shift, sigmoid, softplus, tanh
from refglow.bijectors.absolute_value import absolute_value_forward_jvp, absolute_value_forward_vjp
from refglow.bijectors.expand import (
    expand_forward,
    expand_forward_jvp,
    expand_forward_vjp,
    expand_inverse,
    expand_inverse_jvp,
    expand_inverse_vjp,
)
from refglow.bijectors.op import Op
from refglow.bijectors.pad import pad_forward, pad_forward_vjp, pad_inverse, pad_inverse_vjp
from refglow.bijectors.split import split_forward_vjp, split_inverse, split_inverse_vjp
from refglow.elementary import sigmoid as g
from refglow.elementary import softplus as f
from refglow.variable import Variable

STEP = 1e-30
TOLERANCE = 1e-13
mp = mpmath.mp


@dataclass(frozen=True)
class Textbook:
    """An elementwise map as a textbook has it, for mpmath with digits to spare.

    Attributes:
      op: what to hold against it.
      value, inverse: the map (x, *parameters) -> y, and (y, *parameters) -> x.
      slope: its derivative, so that fldj = log|slope|.
      parameters: their values.
      forward_at, inverse_at: sizes |x| at which to compare.
    """

    op: Op
    value: Callable[..., Any]
    inverse: Callable[..., Any]
    slope: Callable[..., Any]
    parameters: tuple[float, ...] = ()
    forward_at: tuple[float, ...] = (1e-9, 0.3, 1.0, 2.5, 19.0, 40.0, 200.0, 700.0)
    inverse_at: tuple[float, ...] = (1e-9, 0.3, 1.0, 2.5, 19.0, 40.0, 200.0, 700.0)


def _logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


TEXTBOOKS = {
    "shift": Textbook(shift.SHIFT, lambda x, s: x + s, lambda y, s: y - s,
                      lambda x, s: mp.mpf(1), (0.75,)),
    "exp": Textbook(exp.EXP, mp.exp, mp.log, mp.exp),
    "sigmoid": Textbook(sigmoid.SIGMOID, _logistic, lambda y: mp.log(y / (1 - y)),
                        lambda x: _logistic(x) * (1 - _logistic(x))),
    "interval sigmoid": Textbook(
        sigmoid.INTERVAL_SIGMOID, lambda x, low, high: low + (high - low) * _logistic(x),
        lambda y, low, high: mp.log((y - low) / (high - y)),
        lambda x, low, high: (high - low) * _logistic(x) * (1 - _logistic(x)), (-1.75, 0.5)),
    "softplus": Textbook(
        softplus.SOFTPLUS, lambda x, c, low: c * mp.log(1 + mp.exp(x / c)) + low,
        lambda y, c, low: c * mp.log(mp.exp((y - low) / c) - 1),
        lambda x, c, low: _logistic(x / c), (1.0, 0.25)),
    "softplus of negative softness": Textbook(
        softplus.SOFTPLUS, lambda x, c, low: c * mp.log(1 + mp.exp(x / c)) + low,
        lambda y, c, low: c * mp.log(mp.exp((y - low) / c) - 1),
        lambda x, c, low: _logistic(x / c), (-2.5, 0.25)),
    "tanh": Textbook(tanh.TANH, mp.tanh, mp.atanh, lambda x: 1 - mp.tanh(x) ** 2,
                     inverse_at=(1e-9, 0.3, 0.99, 1.0, 2.5, 19.0, 350.0)),
    "reciprocal": Textbook(reciprocal.RECIPROCAL, lambda x: 1 / x, lambda y: 1 / y,
                           lambda x: -1 / x**2, forward_at=(1e-150, 1e-3, 1.0, 700.0, 1e150),
                           inverse_at=(1e-150, 1e-3, 1.0, 700.0, 1e150)),
}


def partials(book: Textbook, forward: bool, x: float) -> list[tuple[Any, Any]]:
    """(d value, d log-det) with respect to the input and each parameter, by mpmath."""
    arguments = [mp.mpf(v) for v in (x, *book.parameters)]
    if not forward:
        arguments[0] = book.value(*arguments)

    def log_det(*at: Any) -> Any:
        if forward:
            return mp.log(abs(book.slope(*at)))
        return -mp.log(abs(book.slope(book.inverse(*at), *at[1:])))

    result = []
    for k in range(len(arguments)):
        order = tuple(int(j == k) for j in range(len(arguments)))
        result.append(tuple(mp.diff(fn, tuple(arguments), order) for fn in (
            book.value if forward else book.inverse, log_det)))
    return result


def derivatives(op: Op, forward: bool, x: float,
                parameters: tuple[float, ...]) -> list[list[tuple[float, float]]]:
    """The same numbers by the op's vjp and by its jvp."""
    vjp = op.forward_vjp if forward else op.inverse_vjp
    jvp = op.forward_jvp if forward else op.inverse_jvp
    arguments = [np.asarray(v) for v in (x, *parameters)]
    four, zero = np.asarray(4.0), np.asarray(0.0)  # not 1, by which dividing is multiplying
    bars = [_as_tuple(vjp(*arguments, four, zero)), _as_tuple(vjp(*arguments, zero, four))]
    units = [[four if j == k else zero for j in range(len(arguments))]
             for k in range(len(arguments))]
    return [[(float(a) / 4, float(b) / 4) for a, b in zip(*bars, strict=True)],
            [tuple(float(dot) / 4 for dot in jvp(*arguments, *unit)) for unit in units]]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def check_tails(book: Textbook, op: Op) -> None:
    """Relative agreement, wherever the exact number is one that float64 can hold."""
    compared = 0
    for forward, sizes in ((True, book.forward_at), (False, book.inverse_at)):
        for x in (sign * size for size in sizes for sign in (-1, 1)):
            with mp.workdps(800):
                exact = partials(book, forward, x)
            with np.errstate(over="ignore", under="ignore"):
                for found in derivatives(op, forward, x, book.parameters):
                    for pair, expected_pair in zip(found, exact, strict=True):
                        for value, expected in zip(pair, expected_pair, strict=True):
                            if abs(expected) > 1e306 or 0 < abs(expected) < 1e-306:
                                continue
                            compared += 1
                            error = abs(value - expected)
                            assert error <= TOLERANCE * abs(expected), (
                                f"{'forward' if forward else 'inverse'} at x = {x}: {value}, "
                                f"exactly {mp.nstr(expected, 17)}")
    assert compared > 40


@pytest.mark.parametrize("book", TEXTBOOKS.values(), ids=[n.replace(" ", "-") for n in TEXTBOOKS])
def test_tails_against_mpmath(book: Textbook) -> None:
    check_tails(book, book.op)


def _entropy_that_cancels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(softplus, "_entropy", lambda t: f(t) - t * g(t))


def _slope_that_cancels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tanh, "_slope", lambda x: 1 - np.tanh(x) ** 2)


def _complement_that_cancels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sigmoid, "_slope", lambda x: g(x) * (1 - g(x)))


@pytest.mark.parametrize(("plant", "name"), [
    (_entropy_that_cancels, "softplus"), (_slope_that_cancels, "tanh"),
    (_complement_that_cancels, "sigmoid"), (_complement_that_cancels, "interval sigmoid")])
def test_cancellation_is_rejected(plant: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Formulas that are right on paper only."""
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="at x ="):
        check_tails(TEXTBOOKS[name], TEXTBOOKS[name].op)


def _difference_near_zero(x: Any, y_bar: Any, fldj_bar: Any) -> Any:
    return g(x) * g(-x) * y_bar + (g(-x) - g(x)) * fldj_bar


def _low_that_cancels(x: Any, low: Any, high: Any, x_bar: Any, ildj_bar: Any) -> Any:
    y_bar, _, high_bar = sigmoid.interval_sigmoid_inverse_vjp(x, low, high, x_bar, ildj_bar)
    t = np.tanh(x / 2)
    low_bar = (ildj_bar - (x_bar + t * ildj_bar) / g(x)) / (high - low)
    return y_bar, low_bar, high_bar


@pytest.mark.parametrize(("name", "wrong"), [
    ("exp", {"forward_vjp": lambda x, y_bar, fldj_bar: y_bar * np.exp(x)}),
    ("exp", {"inverse_jvp": lambda x, y_dot: (np.exp(-x) * y_dot, np.exp(-x) * y_dot)}),
    ("sigmoid", {"forward_vjp": _difference_near_zero}),
    ("interval sigmoid", {"inverse_vjp": _low_that_cancels}),
    ("reciprocal", {"forward_vjp": lambda x, y_bar, fldj_bar: -y_bar / (x * x) - fldj_bar / x}),
])
def test_planted_bugs_are_rejected(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="at x ="):
        check_tails(TEXTBOOKS[name], replace(TEXTBOOKS[name].op, **wrong))


# ---- number types -------------------------------------------------------------------------------

ELEMENTWISE = {
    "shift": (shift.SHIFT, 1), "exp": (exp.EXP, 0), "sigmoid": (sigmoid.SIGMOID, 0),
    "interval sigmoid": (sigmoid.INTERVAL_SIGMOID, 2), "softplus": (softplus.SOFTPLUS, 2),
    "tanh": (tanh.TANH, 0), "reciprocal": (reciprocal.RECIPROCAL, 0)}


def random_arguments(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(x and `count` parameters, cotangents of the value and the log-det, and tangents)."""
    rng = np.random.default_rng(5)
    parameters = [0.3 + rng.random((4,)), 2 + rng.random((3, 1))][:count]
    x = rng.choice([-1.0, 1.0], (2, 3, 4)) * (0.2 + rng.random((2, 3, 4)))
    return [x, *parameters], [rng.standard_normal(np.shape(v)) for v in (x, x, x, *parameters)]


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble, np.complex128, object])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_number_types_are_kept_and_agree(name: str, dtype: type) -> None:
    op, count = ELEMENTWISE[name]
    arguments, (bar, log_det_bar, *dots) = random_arguments(count)
    log_det_bar = log_det_bar[(0,) * (3 - np.ndim(op.forward(*arguments)[1]))]
    cast = np.frompyfunc(mpmath.mpf, 1, 1) if dtype is object else lambda v: v.astype(dtype)
    for vjp, jvp in ((op.forward_vjp, op.forward_jvp), (op.inverse_vjp, op.inverse_jvp)):
        expected = [*_as_tuple(vjp(*arguments, bar, log_det_bar)), *jvp(*arguments, *dots)]
        cast_arguments = [np.asarray(cast(v), dtype=dtype) for v in arguments]
        found = [*_as_tuple(vjp(*cast_arguments, cast(bar), np.asarray(cast(log_det_bar), dtype))),
                 *jvp(*cast_arguments, *map(cast, dots))]
        eps = np.finfo(np.float32 if dtype is np.float32 else np.float64).eps
        for array, reference in zip(found, expected, strict=True):
            assert array.dtype == dtype and array.shape == reference.shape
            real = array.real if dtype is np.complex128 else array
            np.testing.assert_allclose(real.astype(np.float64), reference, rtol=30 * eps,
                                       atol=30 * eps)


@pytest.mark.parametrize("build", [
    lambda: tfb.Shift(Variable(np.float32([0.5, 1]))), tfb.Exp, tfb.Sigmoid,
    lambda: tfb.Sigmoid(Variable(np.float32([-9, 0])), Variable(np.float32([9, 8]))),
    lambda: tfb.Softplus(Variable(np.float32(1.5)), Variable(np.float32([0, 0.25]))),
    lambda: tfb.Softplus(0.5), tfb.Tanh, tfb.Reciprocal, lambda: tfb.Permute([1, 0]),
    lambda: tfb.Transpose([1, 0]), lambda: tfb.Reshape([2, -1], [-1, 2]),
    lambda: tfb.Pad(((1, 1),), constant_values=Variable(np.float32(0.5))),
    lambda: tfb.Pad(((1, 1),), constant_values=0.5), lambda: tfb.Expand((5, 2, 4))])
def test_float32_stays_float32(build: Callable[[], Any]) -> None:
    bijector = build()
    x = np.random.default_rng(0).uniform(0.2, 0.9, (3, 5, 2, 4)[:3 + isinstance(
        bijector, tfb.Expand)]).astype(np.float32)
    y = bijector.forward(x)
    for call, push, at in ((bijector.forward_vjp, bijector.forward_jvp, x),
                           (bijector.inverse_vjp, bijector.inverse_jvp, y)):
        (value, log_det), pullback = call(at)
        bar, bars = pullback(value, log_det)
        _, dots = push(at, at)
        for array in (value, log_det, bar, *bars.values(), *dots):
            assert array.dtype == np.float32
        assert bar.shape == at.shape
        assert {name: b.shape for name, b in bars.items()} == {
            name: v.shape for name, v in bijector.state_dict().items()}


@pytest.mark.parametrize("name", ["shift", "interval sigmoid", "softplus"])
def test_sums_over_many_elements_keep_float32_s_accuracy(name: str) -> None:
    """A million float32 cotangents, added up one by one in float32, would lose three digits."""
    op, count = ELEMENTWISE[name]
    rng = np.random.default_rng(1)
    x, bar = rng.random((2, 1_000_000, 1)).astype(np.float32)
    parameters = [np.float32([0.5]), np.float32([2.25])][:count]
    wide = [v.astype(np.float64) for v in (x, *parameters)]
    found, expected = (op.forward_vjp(*arguments, b, np.zeros_like(b)) for arguments, b in (
        ([x, *parameters], bar), (wide, bar.astype(np.float64))))
    for own, reference in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(own, reference, rtol=4 * np.finfo(np.float32).eps)


# ---- parameters that are larger than the input --------------------------------------------------


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(("name", "shapes"), [
    ("shift", [(4,), (3, 4)]), ("shift", [(3, 4), (3, 1)]),
    ("interval sigmoid", [(4,), (3, 1), (2, 1, 1)]), ("interval sigmoid", [(3, 4), (4,), (1,)]),
    ("softplus", [(4,), (4,), (2, 3, 4)]), ("softplus", [(4,), (3, 1), (1,)]),
    ("softplus", [(3, 4), (1,), (4,)])])
def test_cotangents_of_broadcast_parameters(name: str, shapes: list[tuple[int, ...]],
                                            forward: bool) -> None:
    """Forward, y can have a larger shape than fldj, whose cotangent must not then be repeated."""
    op, _ = ELEMENTWISE[name]
    rng = np.random.default_rng(2)
    arguments = [offset + rng.random(shape) for offset, shape in zip((-0.5, 0.3, 2), shapes,
                                                                     strict=False)]
    x = arguments[0]
    if not forward:
        arguments[0] = op.forward(*arguments)[0]
        x = op.inverse(*arguments)[0]
    evaluate, vjp = (op.forward, op.forward_vjp) if forward else (op.inverse, op.inverse_vjp)
    bars = [rng.standard_normal(np.shape(result)) for result in evaluate(*arguments)]
    found = vjp(x, *arguments[1:], *bars)
    for k, argument in enumerate(arguments):
        expected = np.empty(argument.shape)
        for index in np.ndindex(argument.shape):
            moved = [a.astype(complex) for a in arguments]
            moved[k][index] += 1j * STEP
            expected[index] = sum((bar * np.imag(dot) / STEP).sum()
                                  for bar, dot in zip(bars, evaluate(*moved), strict=True))
        summed = found[k].sum(axis=tuple(range(found[k].ndim - argument.ndim)))
        np.testing.assert_allclose(summed, expected, rtol=TOLERANCE, atol=TOLERANCE)


# ---- Pad ----------------------------------------------------------------------------------------

PADDINGS = [([(2, 1), (0, 3)], [-2, -1]), ([(1, 3)], [-3]), ([(3, 3), (1, 1)], [-1, -3])]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128, object])
@pytest.mark.parametrize("mode", ["CONSTANT", "REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize(("paddings", "axis"), PADDINGS)
def test_pad_against_its_dense_jacobian(paddings: Any, axis: Any, mode: str, dtype: type) -> None:
    """Whole numbers, so that every sum is exact: equality."""
    rng = np.random.default_rng(3)
    shape = (4, 5, 6)
    columns = [pad_forward(unit.reshape(shape), paddings, axis, mode, np.asarray(0.0))[0].ravel()
               for unit in np.eye(120)]
    constant_column = pad_forward(np.zeros(shape), paddings, axis, mode, np.asarray(1.0))[0].ravel()
    y_shape = pad_forward(np.zeros(shape), paddings, axis, mode, np.asarray(0.0))[0].shape
    y_bar = rng.integers(-9, 9, y_shape).astype(float)
    x = rng.standard_normal(shape)
    cast = np.frompyfunc(mpmath.mpf, 1, 1) if dtype is object else lambda v: v.astype(dtype)
    x_bar, constant_bar = pad_forward_vjp(cast(x), paddings, axis, mode,
                                          np.asarray(cast(np.asarray(0.5)), dtype), cast(y_bar),
                                          np.zeros((), dtype))
    assert x_bar.dtype == constant_bar.dtype == dtype
    assert x_bar.shape == shape and constant_bar.shape == ()
    np.testing.assert_array_equal(x_bar.ravel().astype(complex), np.array(columns) @ y_bar.ravel())
    assert complex(constant_bar) == constant_column @ y_bar.ravel()


def test_the_adjoint_of_cutting_is_padding_with_zeros() -> None:
    rng = np.random.default_rng(4)
    y, x_bar = rng.standard_normal((5, 9)), rng.standard_normal((2, 5))
    x, _ = pad_inverse(y, [(1, 2), (0, 4)], [-2, -1])
    y_bar = pad_inverse_vjp(x, [(1, 2), (0, 4)], [-2, -1], x_bar, np.zeros(()))
    expected = np.zeros((5, 9))
    expected[1:3, :5] = x_bar
    np.testing.assert_array_equal(y_bar, expected)


def test_the_constant_of_pad_is_a_parameter() -> None:
    pad = tfb.Pad(((1, 2), (0, 3)), constant_values=Variable(0.5, "anything"))
    assert list(pad.state_dict()) == ["constant_values"] and pad.dtype == np.float64
    x, x_dot = np.random.default_rng(6).standard_normal((2, 2, 3, 4))
    (y, _), pullback = pad.forward_vjp(x)
    y_bar = np.random.default_rng(7).standard_normal(y.shape)
    x_bar, bars = pullback(y_bar, 3.0)
    padding = np.ones(y.shape, dtype=bool)
    padding[:, 1:4, :4] = False
    np.testing.assert_array_equal(x_bar, y_bar[:, 1:4, :4])
    np.testing.assert_allclose(bars["constant_values"], y_bar[padding].sum(), rtol=1e-14)
    _, (y_dot, fldj_dot) = pad.forward_jvp(x, x_dot, {"constant_values": np.asarray(-2.5)})
    np.testing.assert_array_equal(y_dot, np.where(
        padding, -2.5, np.pad(x_dot, ((0, 0), (1, 2), (0, 3)))))
    assert not fldj_dot.any()
    pad.load_state_dict({"constant_values": np.asarray(-4.0)})
    assert (pad.forward(x)[padding] == -4).all()
    (_, _), pullback = pad.inverse_vjp(y)
    assert pullback(x, 1.0)[1]["constant_values"] == 0


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_reflections_do_not_use_the_constant(mode: str) -> None:
    pad = tfb.Pad(((2, 2),), mode=mode, constant_values=Variable(0.5))
    _, pullback = pad.forward_vjp(np.arange(5.0))
    assert pullback(1.0)[1]["constant_values"] == 0


def test_pad_refuses_what_it_cannot_write() -> None:
    with pytest.raises(ValueError, match=r"constant_values must be one number.*\(2,\)"):
        tfb.Pad(((1, 1),), constant_values=[1.0, 2.0])
    with pytest.raises(TypeError, match="pad computes in float64, but x is float32"):
        tfb.Pad(((1, 1),), constant_values=Variable(0.5)).forward(np.float32([1, 2]))
    for written in (0.5, np.asarray(0.5)):
        y = tfb.Pad(((1, 1),), constant_values=written).forward(np.float32([1, 2]))
        assert y.dtype == np.float32 and y[0] == np.float32(0.5)


# ---- AbsoluteValue ------------------------------------------------------------------------------


def test_absolute_value_forward() -> None:
    x = np.array([-2.0, -0.0, 0.0, 1e-300, 3.0])
    bar, expected = np.array([5.0, 7, 11, 13, 17]), np.array([-5.0, 0, 0, 13, 17])
    np.testing.assert_array_equal(absolute_value_forward_vjp(x, bar), expected)
    np.testing.assert_array_equal(absolute_value_forward_jvp(x, bar), expected)
    (y, fldj), pullback = tfb.AbsoluteValue().forward_vjp(x)
    np.testing.assert_array_equal(pullback(bar)[0], expected)
    with pytest.raises(ValueError, match="cotangent of the log-det must be None"):
        pullback(bar, 1.0)
    (_, none), (y_dot, no_dot) = tfb.AbsoluteValue().forward_jvp(x, bar)
    assert fldj is none is no_dot is None
    np.testing.assert_array_equal(y, np.abs(x))
    np.testing.assert_array_equal(y_dot, expected)


def test_absolute_value_of_other_number_types() -> None:
    """The real part chooses the branch; a complex cotangent is not conjugated."""
    x, bar = np.array([-1 + 5j, 2 - 1j]), np.array([3 + 4j, 1 - 2j])
    np.testing.assert_array_equal(absolute_value_forward_vjp(x, bar), [-3 - 4j, 1 - 2j])
    numbers = np.array([mpmath.mpf(-2), mpmath.mpf(0)], dtype=object)
    found = absolute_value_forward_vjp(numbers, np.array([mpmath.mpf(3), mpmath.mpf(3)]))
    assert found.tolist() == [-3, 0] and found.dtype == object
    single = absolute_value_forward_vjp(np.float32([-1, 0]), np.float32([2, 2]))
    assert single.dtype == np.float32


def test_absolute_value_inverse_has_two_preimages_and_takes_two_cotangents() -> None:
    y = np.array([0.0, 0.5, 2.0])
    bijector = tfb.AbsoluteValue()
    (preimages, ildj), pullback = bijector.inverse_vjp(y)
    y_bar, bars = pullback((np.array([1.0, 2, 3]), np.array([10.0, 20, 30])), (1.0, 2.0))
    np.testing.assert_array_equal(y_bar, [9, 18, 27])
    assert bars == {} and isinstance(preimages, tuple) and len(ildj) == 2
    _, ((minus, plus), ildj_dots) = bijector.inverse_jvp(y, np.array([1.0, 2, 3]))
    np.testing.assert_array_equal(minus, [-1, -2, -3])
    np.testing.assert_array_equal(plus, [1, 2, 3])
    assert not any(dot.any() for dot in ildj_dots)


# ---- Split, and the rearrangements --------------------------------------------------------------


@pytest.mark.parametrize(("shapes", "axis"), [
    ([(3, 1), (2,)], -1), ([(2, 1, 3), (5, 1), (1, 5, 2)], -1), ([(1, 6), (5, 2, 1)], -2),
    ([(2, 3), (2, 4)], -1)])
def test_split_inverse_sums_over_what_was_broadcast(shapes: Any, axis: int) -> None:
    rng = np.random.default_rng(8)
    pieces = [rng.standard_normal(shape) for shape in shapes]
    x, _ = split_inverse(pieces, axis)
    x_bar = rng.standard_normal(x.shape)
    direct = split_inverse_vjp(x, shapes, axis, x_bar, np.zeros(()))
    for k, piece in enumerate(pieces):
        expected = np.empty(piece.shape)
        for index in np.ndindex(piece.shape):
            unit = [np.zeros(shape) for shape in shapes]
            unit[k][index] = 1
            expected[index] = (split_inverse(unit, axis)[0] * x_bar).sum()
        assert direct[k].shape == piece.shape
        np.testing.assert_allclose(direct[k], expected, rtol=TOLERANCE, atol=TOLERANCE)
    bijector = tfb.Split([shape[axis] for shape in shapes], axis=axis)
    (_, _), pullback = bijector.inverse_vjp(pieces)
    found, _ = pullback(x_bar)
    assert isinstance(found, list)
    for bar, expected in zip(found, direct, strict=True):
        np.testing.assert_array_equal(bar, expected)
    _, (x_dot, _) = bijector.inverse_jvp(pieces, pieces)
    np.testing.assert_array_equal(x_dot, x)


def test_split_forward_joins_the_cotangents() -> None:
    x = np.random.default_rng(9).standard_normal((2, 7, 3))
    bijector = tfb.Split([2, -1, 1], axis=-2)
    (pieces, fldj), pullback = bijector.forward_vjp(x)
    bars = [np.full(piece.shape, float(k)) for k, piece in enumerate(pieces)]
    x_bar, _ = pullback(bars, fldj)
    np.testing.assert_array_equal(x_bar[0, :, 0], [0, 0, 1, 1, 1, 1, 2])
    np.testing.assert_array_equal(split_forward_vjp(x, [2, 4, 1], -2, bars, fldj), x_bar)
    _, (dots, _) = bijector.forward_jvp(x, 3 * x)
    for dot, piece in zip(dots, pieces, strict=True):
        np.testing.assert_array_equal(dot, 3 * piece)


def test_expand_s_functions_and_class_agree() -> None:
    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((2, 2, 3, 8)), rng.standard_normal((2, 4, 6, 2))
    zero, bijector = np.zeros(2), tfb.Expand((2, 3, 8))
    (_, _), pullback = bijector.forward_vjp(x)
    np.testing.assert_array_equal(expand_forward_vjp(x, 2, y, zero), pullback(y)[0])
    (_, _), pullback = bijector.inverse_vjp(y)
    np.testing.assert_array_equal(expand_inverse_vjp(x, 2, x, zero), pullback(x)[0])
    np.testing.assert_array_equal(expand_forward_jvp(x, 2, 2 * x)[0], 2 * expand_forward(x, 2)[0])
    np.testing.assert_array_equal(expand_inverse_jvp(x, 2, 2 * y)[0], 2 * expand_inverse(y, 2)[0])


@pytest.mark.parametrize(("bijector", "x_shape", "y_shape", "x_message", "y_message"), [
    (tfb.Reshape([2, -1], [3, 4]), (3, 4), (2, 6),
     r"reshape: expected events of shape \(3, 4\), got \(3, 5\)",
     r"reshape: expected events of shape \(2, -1\), got \(5, 6\)"),
    (tfb.Permute([1, 2, 0]), (3,), (3,), "dimension -1 has 4 elements; the permutation has 3",
     "dimension -1 has 5 elements; the permutation has 3")])
def test_shapes_are_checked_in_both_directions(
        bijector: Any, x_shape: tuple[int, ...], y_shape: tuple[int, ...], x_message: str,
        y_message: str) -> None:
    for call in (bijector.forward_vjp, lambda x: bijector.forward_jvp(x, x)):
        call(np.zeros(x_shape))
        with pytest.raises(ValueError, match=x_message):
            call(np.zeros((*x_shape[:-1], x_shape[-1] + 1)))
    for call in (bijector.inverse_vjp, lambda y: bijector.inverse_jvp(y, y)):
        call(np.zeros(y_shape))
        with pytest.raises(ValueError, match=y_message):
            call(np.zeros((5, *y_shape[1:])))
