"""Sigmoid onto the interval (low, high), by default (0, 1).

With g(x) = 1 / (1 + exp(-x)) and d = high - low:
    forward   y = low + d * g(x)                           for x < 0
              y = high - d * g(-x)                         for x >= 0  (never exceeds high)
              fldj = log d + log g(x) + log g(-x)          because g' = g(x) g(-x)
    inverse   x = log(y - low) - log(high - y)             in (0, 1): log y - log1p(-y)
              ildj = -fldj(x)

Source: tfp.bijectors.Sigmoid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import asarray
from refglow.bijectors.op import Op, OpBijector
from refglow.cotangents import unbroadcast
from refglow.dtypes import Array, common_dtype, rounded, widened
from refglow.elementary import (
    exp,
    is_negative,
    is_positive,
    log,
    log1p,
    log_sigmoid,
    sigmoid,
    tanh,
)
from refglow.parameter import parameter, parameter_dtype, shown
from refglow.variable import value_of


def sigmoid_forward(x: Array) -> tuple[Array, Array]:
    """(g(x), log g(x) + log g(-x)), elementwise.

    Args:
      x: [...], any number type.

    Returns:
      y and the log-det of each element in nats, both of the shape and dtype of x.

    Source: as the module.
    """
    return sigmoid(x), log_sigmoid(x) + log_sigmoid(-x)


def sigmoid_inverse(y: Array) -> tuple[Array, Array]:
    """(log y - log(1 - y), minus the forward log-det there), elementwise, for 0 < y < 1.

    The log-det is taken at x rather than as -log y - log1p(-y): as y nears 1 the latter sees only
    the rounded 1 - y.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    x = log(y) - log1p(-y)
    return x, -(log_sigmoid(x) + log_sigmoid(-x))


def interval_sigmoid_forward(x: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """(low + d g(x), log d + log g(x) + log g(-x)), elementwise, with d = high - low.

    Args:
      x: [...], any number type.
      low, high: broadcast against x; low < high.

    Returns:
      y and the log-det of each element in nats, both of the broadcast shape.

    Source: as the module.
    """
    width = high - low
    y = np.where(is_negative(x), low + width * sigmoid(x), high - width * sigmoid(-x))
    return y, log(width) + log_sigmoid(x) + log_sigmoid(-x)


def interval_sigmoid_inverse(y: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """(log(y - low) - log(high - y), minus the forward log-det there), for low < y < high.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    x = log(y - low) - log(high - y)
    return x, -(log(high - low) + log_sigmoid(x) + log_sigmoid(-x))


# ---- derivatives ------------------------------------------------------------------------------
#
# In (0, 1).  y = g(x) has dy = g' dx with g' = g(x) g(-x), and fldj = log g(x) + log g(-x) has
#     dfldj = (g(-x) - g(x)) dx = -tanh(x/2) dx            (the difference would cancel near 0)
# The inverse has dx = dy / g', and ildj = -fldj(x) has dildj = tanh(x/2) dx. So
#     x_bar = g' y_bar - tanh(x/2) fldj_bar
#     y_bar = (x_bar + tanh(x/2) ildj_bar) / g'
#
# In (l, h), with d = h - l.  y = l + d g(x) = l g(-x) + h g(x) and fldj = log d + (as above) have
#     dy = d g' dx + g(-x) dl + g(x) dh,    dfldj = -tanh(x/2) dx + (dh - dl) / d
#     x_bar = d g' y_bar - tanh(x/2) fldj_bar
#     l_bar = sum g(-x) y_bar - fldj_bar / d,     h_bar = sum g(x) y_bar + fldj_bar / d
# The inverse, solved for dx, with 1 / g(x) = 1 + e^-x:
#     dx = (dy / g' - dl / g(x) - dh / g(-x)) / d
# For ildj = -fldj(x) that gives dl the factor (1 - tanh(x/2) / g(x)) / d, which cancels for large
# x. But tanh(x/2) = g(x) - g(-x), so it is g(-x) / g(x) / d = e^-x / d; and for dh it is -e^x / d:
#     dildj = (tanh(x/2) dy / g' + e^-x dl - e^x dh) / d
#     y_bar = (x_bar + tanh(x/2) ildj_bar) / (d g')
#     l_bar = sum (e^-x ildj_bar - x_bar / g(x)) / d
#     h_bar = -sum (e^x ildj_bar + x_bar / g(-x)) / d

def _slope(x: Array) -> Array:
    return sigmoid(x) * sigmoid(-x)


def sigmoid_forward_vjp(x: Array, y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = g' y_bar - tanh(x/2) fldj_bar.

    Args:
      x: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded(_slope(x) * y_bar - tanh(x / 2) * fldj_bar, x, y_bar)


def sigmoid_inverse_vjp(x: Array, x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = (x_bar + tanh(x/2) ildj_bar) / g'.

    Args:
      x: the result of the inverse.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded((x_bar + tanh(x / 2) * ildj_bar) / _slope(x), x, x_bar)


def sigmoid_forward_jvp(x: Array, x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (g' x_dot, -tanh(x/2) x_dot).

    Args:
      x: as for the forward function.
      x_dot: its tangent.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return rounded(_slope(x) * x_dot, x, x_dot), -tanh(x / 2) * x_dot


def sigmoid_inverse_jvp(x: Array, y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot / g', tanh(x/2) y_dot / g').

    Args:
      x: the result of the inverse.
      y_dot: the tangent of its argument.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    x_dot = rounded(y_dot / _slope(x), x, y_dot)
    return x_dot, tanh(x / 2) * x_dot


def interval_sigmoid_forward_vjp(x: Array, low: Array, high: Array, y_bar: Array,
                                 fldj_bar: Array) -> tuple[Array, Array, Array]:
    """The cotangents (x_bar, low_bar, high_bar), in this order.

        d g' y_bar - tanh(x/2) fldj_bar
        sum g(-x) y_bar - fldj_bar / d
        sum g(x) y_bar + fldj_bar / d

    Args:
      x, low, high: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the broadcast shape, the others of the shapes of low and high.

    Source: the derivation above.
    """
    width, bar, operands = high - low, widened(y_bar), (x, low, high, y_bar)
    x_bar = width * _slope(x) * bar - tanh(x / 2) * fldj_bar
    low_bar = asarray(sigmoid(-x) * bar - fldj_bar / width)
    high_bar = asarray(sigmoid(x) * bar + fldj_bar / width)
    return (rounded(x_bar, *operands), rounded(unbroadcast(low_bar, low.shape), *operands),
            rounded(unbroadcast(high_bar, high.shape), *operands))


def interval_sigmoid_inverse_vjp(x: Array, low: Array, high: Array, x_bar: Array,
                                 ildj_bar: Array) -> tuple[Array, Array, Array]:
    """The cotangents (y_bar, low_bar, high_bar), in this order.

        (x_bar + tanh(x/2) ildj_bar) / (d g')
        sum (e^-x ildj_bar - x_bar / g(x)) / d
        -sum (e^x ildj_bar + x_bar / g(-x)) / d

    Args:
      x: the result of the inverse.
      low, high: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the broadcast shape, the others of the shapes of low and high.

    Source: the derivation above.
    """
    width, bar, operands = high - low, widened(x_bar), (x, low, high, x_bar)
    y_bar = (bar + tanh(x / 2) * ildj_bar) / (width * _slope(x))
    low_bar = asarray((exp(-x) * ildj_bar - bar / sigmoid(x)) / width)
    high_bar = asarray(-(exp(x) * ildj_bar + bar / sigmoid(-x)) / width)
    return (rounded(y_bar, *operands), rounded(unbroadcast(low_bar, low.shape), *operands),
            rounded(unbroadcast(high_bar, high.shape), *operands))


def interval_sigmoid_forward_jvp(x: Array, low: Array, high: Array, x_dot: Array,
                                 low_dot: Array, high_dot: Array) -> tuple[Array, Array]:
    """The tangents (y_dot, fldj_dot), in this order.

        d g' x_dot + g(-x) low_dot + g(x) high_dot
        (high_dot - low_dot) / d - tanh(x/2) x_dot

    Args:
      x, low, high: as for the forward function.
      x_dot, low_dot, high_dot: their tangents.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    width = high - low
    y_dot = width * _slope(x) * x_dot + sigmoid(-x) * low_dot + sigmoid(x) * high_dot
    return (rounded(y_dot, x, low, high, x_dot, low_dot, high_dot),
            (high_dot - low_dot) / width - tanh(x / 2) * x_dot)


def interval_sigmoid_inverse_jvp(x: Array, low: Array, high: Array, y_dot: Array,
                                 low_dot: Array, high_dot: Array) -> tuple[Array, Array]:
    """The tangents (x_dot, ildj_dot), in this order.

        (y_dot / g' - low_dot / g(x) - high_dot / g(-x)) / d
        (tanh(x/2) y_dot / g' + e^-x low_dot - e^x high_dot) / d

    Args:
      x: the result of the inverse.
      low, high: as for the inverse function.
      y_dot, low_dot, high_dot: the tangents of its arguments.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    width, direct = high - low, y_dot / _slope(x)
    x_dot = (direct - low_dot / sigmoid(x) - high_dot / sigmoid(-x)) / width
    return (rounded(x_dot, x, low, high, y_dot, low_dot, high_dot),
            (tanh(x / 2) * direct + exp(-x) * low_dot - exp(x) * high_dot) / width)


SIGMOID = Op(sigmoid_forward, sigmoid_inverse, sigmoid_forward_vjp, sigmoid_inverse_vjp,
             sigmoid_forward_jvp, sigmoid_inverse_jvp)
INTERVAL_SIGMOID = Op(interval_sigmoid_forward, interval_sigmoid_inverse,
                      interval_sigmoid_forward_vjp, interval_sigmoid_inverse_vjp,
                      interval_sigmoid_forward_jvp, interval_sigmoid_inverse_jvp)


class Sigmoid(OpBijector):
    """The logistic function, from the real line onto (low, high)."""

    def __init__(self, low: Any = None, high: Any = None, validate_args: bool = False,
                 name: str = "sigmoid") -> None:
        """Build it.

        Args:
          low, high: the interval's ends: numbers, arrays or Variables; both or neither.
          validate_args: whether to check that inputs are finite, y inside, and low < high.
          name: its name.

        Raises:
          ValueError: if exactly one end is given, or, with validate_args, if low >= high.
        """
        if (low is None) != (high is None):
            raise ValueError(f"Sigmoid: give both low and high, or neither; got low={low}, "
                             f"high={high}.")
        self._low, self._high = parameter(low, name, "low"), parameter(high, name, "high")
        dtype = common_dtype([parameter_dtype(self._low), parameter_dtype(self._high)], name)
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, dtype=dtype,
                         members={"low": self._low, "high": self._high}, name=name,
                         parameters=dict(low=low, high=high, validate_args=validate_args,
                                         name=name))
        if validate_args:
            self._check_interval()

    @property
    def low(self) -> Any:
        """The lower end, or None for 0."""
        return shown(self._low)

    @property
    def high(self) -> Any:
        """The upper end, or None for 1."""
        return shown(self._high)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        return {} if self._low is None else {"low": (self._low, 0), "high": (self._high, 0)}

    def _ends(self) -> tuple[Array, Array]:
        low, high = value_of(self._low), value_of(self._high)
        return (asarray(0.0), asarray(1.0)) if low is None else (
            asarray(low), asarray(high))

    def _check_interval(self) -> None:
        low, high = self._ends()
        if not np.all(low < high):
            raise ValueError(f"{self.name}: low must be below high; got {low} and {high}.")

    def _check_domain(self, array: Array, what: str) -> None:
        self._check_interval()
        low, high = self._ends()
        if what == "y" and not (is_positive(array - low) & is_positive(high - array)).all():
            raise ValueError(f"{self.name}: y must lie strictly between {low} and {high}.")

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        if self._low is None:
            return SIGMOID, (), ()
        return INTERVAL_SIGMOID, (self._low, self._high), ()
