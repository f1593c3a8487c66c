"""Elementary functions for every number type the specification runs in.

NumPy's own functions serve float32, float64, longdouble and complex arrays. Object arrays hold
numbers of other libraries: a number that has the function as a method (python-flint's balls) is
asked for it, one that carries its context (mpmath) has the context asked, and a plain Python
number goes to `math`.

For complex arguments the functions are the analytic continuations of their *real* branch: the
branch of a piecewise function is chosen by the real part alone. That is what complex-step
differentiation needs: f(x + ih) = f(x) + ih f'(x) + O(h^2), with no cancellation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refglow.array_library import asarray, is_on_gpu, placed_like
from refglow.dtypes import Array

_LOG_TWO_PI = np.longdouble("1.83787706640934548356065947281123527972")


def _apply(name: str, numpy_function: Callable[[Array], Array], x: Array) -> Array:
    """NumPy's function, or for object arrays the function called `name` of every number."""
    x = _array(x)
    if x.dtype != object:
        return numpy_function(x)

    def one(v: Any) -> Any:
        if hasattr(v, "context"):
            return getattr(v.context, name)(v)
        return getattr(v, name)() if hasattr(v, name) else getattr(math, name)(v)
    return np.asarray(np.frompyfunc(one, 1, 1)(x), dtype=object)


def _array(x: Any) -> Array:
    """x as an array: arithmetic on object arrays of no dimensions gives bare numbers."""
    return asarray(x) if hasattr(x, "dtype") else np.asarray(x, dtype=object)


def exp(x: Array) -> Array:
    """e^x.

    Args:
      x: [...], floating, complex or object.

    Returns:
      the value for each element: the shape and dtype of x.

    Source: numpy.exp.
    """
    return _apply("exp", np.exp, x)


def log(x: Array) -> Array:
    """The natural logarithm, in nats, of x > 0.

    Args, Returns: as for `exp`.

    Source: numpy.log.
    """
    return _apply("log", np.log, x)


def log1p(x: Array) -> Array:
    """log(1 + x), accurate for small x; x > -1.

    Args, Returns: as for `exp`.

    Source: numpy.log1p.
    """
    return _complex_log1p(x) if _array(x).dtype.kind == "c" else _apply("log1p", np.log1p, x)


def _complex_log1p(x: Array) -> Array:
    """log(1 + x) for x = a + bi; log|1 + x|^2 = log1p(a (2 + a) + b^2) where a is not near -1.

    NumPy's own log1p adds the 1 first for complex x and loses small ones.
    """
    a, b = x.real, x.imag
    near = a > -0.5
    inner = np.where(near, a, 0)
    size = np.where(near, np.log1p(inner * (2 + inner) + b * b) / 2, np.log(np.abs(1 + x)))
    return asarray(size + 1j * np.arctan2(b, 1 + a))


def expm1(x: Array) -> Array:
    """e^x - 1, accurate for small x.

    Args, Returns: as for `exp`.

    Source: numpy.expm1.
    """
    return _apply("expm1", np.expm1, x)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent.

    Args, Returns: as for `exp`.

    Source: numpy.tanh.
    """
    return _apply("tanh", np.tanh, x)


def atanh(x: Array) -> Array:
    """The inverse hyperbolic tangent, of -1 < x < 1.

    Args, Returns: as for `exp`.

    Source: numpy.arctanh.
    """
    return _apply("atanh", np.arctanh, x)


def sqrt(x: Array) -> Array:
    """The square root of x >= 0.

    Args, Returns: as for `exp`.

    Source: numpy.sqrt.
    """
    return _apply("sqrt", np.sqrt, x)


def product(a: Array, b: Array) -> Array:
    """The matrix product a b.

    Object numbers whose class has a function `product` are multiplied by it: for numbers of many
    digits a whole matrix at a time is a thousand times faster.

    Args:
      a: [..., N, K], any number type.
      b: [K, M], of that type.

    Returns:
      [..., N, M] of that type.

    Source: numpy.matmul.
    """
    if a.dtype == object and a.size and b.size:
        multiplied = getattr(_number_class(a), "product", None)
        if multiplied is not None:
            return asarray(multiplied(a, b))
    return asarray(a @ b)


def constant(value: Any, like: Array) -> Array:
    """`value` in the number type of `like`, exactly.

    For object arrays that is the class of their numbers, called on each of the value's.

    Args:
      value: a number, or a (nested) list or array of them.
      like: [...], any number type.

    Returns:
      an array of the shape of value and the dtype of like.

    Source: numpy.asarray.
    """
    like = _array(like)
    if like.dtype == object and like.size:
        return np.asarray(np.frompyfunc(_number_class(like), 1, 1)(value), dtype=object)
    return _placed(value, like)


def _number_class(array: Array) -> Any:
    """The class of an object array's numbers; Python's own may be among them (zeros are ints)."""
    return next((type(number) for number in array.flat if not isinstance(number, (int, float))),
                type(array.flat[0]))


def _placed(value: Any, like: Array) -> Array:
    """A number, or a (nested) list or array of them, in the number type of `like` and where it is.

    On a GPU a number is written by a kernel: nothing is transferred.
    """
    if is_on_gpu(like) and not np.ndim(value):
        return np.full_like(like, like.dtype.type(value), shape=())
    return placed_like(np.asarray(value, dtype=like.dtype), like)


def log_two_pi(like: Array) -> Array:
    """log(2 pi), right to the last digit of the number type of `like`.

    Object numbers supply their own pi: by their context (mpmath) or their class (python-flint).

    Args:
      like: [...], any number type.

    Returns:
      a scalar of that type, in nats.

    Source: the constant in the normal distribution's log-density.
    """
    like = _array(like)
    if like.dtype != object or not like.size:
        return _placed(_LOG_TWO_PI, like)
    number = _number_class(like)
    if hasattr(number, "context"):
        pi = number.context.pi
    else:
        pi = number.pi() if hasattr(number, "pi") else math.pi
    return log(np.asarray(pi * 2, dtype=object))


def is_negative(x: Array) -> Array:
    """Where the (real part of the) number is below zero.

    Args:
      x: [...], any number type.

    Returns:
      bool, the shape of x.

    Source: numpy.less.
    """
    x = _array(x)
    return asarray((x.real if x.dtype.kind == "c" else x) < 0, bool)


def is_positive(x: Array) -> Array:
    """Where the (real part of the) number is above zero.

    Args, Returns: as for `is_negative`.

    Source: numpy.greater.
    """
    x = _array(x)
    return asarray((x.real if x.dtype.kind == "c" else x) > 0, bool)


def absolute(x: Array) -> Array:
    """|x|; for complex x the analytic continuation of the branch that the real part selects.

    Args, Returns: as for `exp`.

    Source: numpy.abs, for real x.
    """
    return np.where(is_negative(x), -x, x)


def log_absolute(x: Array) -> Array:
    """log|x|, the log-determinant of multiplication by x, in nats; x != 0.

    Args, Returns: as for `exp`.

    Source: numpy.log, numpy.abs.
    """
    return log(absolute(x))


def log_add_exp(a: Array, b: Array) -> Array:
    """log(e^a + e^b) = max + log1p(exp(min - max)), which cannot overflow.

    Args:
      a, b: floating, complex or object; their shapes broadcast.

    Returns:
      the value for each element of the broadcast shape.

    Source: numpy.logaddexp.
    """
    a, b = _array(a), _array(b)
    if a.dtype.kind == b.dtype.kind == "f":
        return asarray(np.logaddexp(a, b))
    smaller = is_negative(a - b)
    low, high = np.where(smaller, a, b), np.where(smaller, b, a)
    return _array(high + log1p(exp(low - high)))


def relu(x: Array) -> Array:
    """max(x, 0).

    Args, Returns: as for `exp`.

    Source: keras.activations.relu.
    """
    x = _array(x)
    if x.dtype.kind == "f":
        return asarray(np.maximum(x, x.dtype.type(0)))
    return asarray(np.where(is_positive(x), x, constant(0, x)))


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), without overflow and with full relative accuracy in both tails.

    With e = exp(-|x|) <= 1 it is 1/(1+e) for x >= 0 and e/(1+e) for x < 0: no subtraction occurs,
    so each factor keeps its relative accuracy, and no exponential can overflow.

    Args, Returns: as for `exp`.

    Source: scipy.special.expit.
    """
    e = exp(-absolute(x))
    return _array(np.where(is_negative(x), e, constant(1, e)) / (1 + e))


def log_sigmoid(x: Array) -> Array:
    """log(1 / (1 + e^-x)) = min(x, 0) - log1p(exp(-|x|)).

    Taking the logarithm of `sigmoid(x)` instead would lose relative accuracy where the sigmoid is
    near 1 (the logarithm of a rounded number near 1), which is where Glow's scales start.

    Args, Returns: as for `exp`.

    Source: scipy.special.log_expit.
    """
    return _array(np.where(is_negative(x), x, constant(0, x)) - log1p(exp(-absolute(x))))


def softplus(x: Array) -> Array:
    """log(1 + e^x) = max(x, 0) + log1p(exp(-|x|)) = -log_sigmoid(-x).

    Args, Returns: as for `exp`.

    Source: keras.activations.softplus.
    """
    return _array(-log_sigmoid(-x))
