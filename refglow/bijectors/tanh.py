"""Tanh, from the real line onto (-1, 1).

    forward   y = tanh(x)          fldj = log(1 - tanh(x)^2)
    inverse   x = artanh(y)        ildj = -fldj(x)

With t = tanh(x), the log-det is log1p(-t^2). That loses digits where t is near 1; there, because
t = 2 g(2x) - 1 with g(u) = 1/(1 + exp(-u)) has the derivative 4 g(2x) g(-2x),

    fldj = log 4 + log g(2x) + log g(-2x)

which in turn would cancel near x = 0. So the first form serves |x| < 1, the second the rest.

Source: tfp.bijectors.Tanh.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import Array, rounded
from refglow.elementary import (
    absolute,
    atanh,
    constant,
    is_positive,
    log,
    log1p,
    log_sigmoid,
    sigmoid,
    tanh,
)


def tanh_forward(x: Array) -> tuple[Array, Array]:
    """(tanh x, log(1 - tanh(x)^2)), elementwise.

    Args:
      x: [...], any number type.

    Returns:
      y and the log-det of each element in nats, both of the shape and dtype of x.

    Source: as the module.
    """
    return tanh(x), _log_derivative(x)


def tanh_inverse(y: Array) -> tuple[Array, Array]:
    """(artanh y, -log(1 - y^2)), elementwise, for |y| < 1.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    x = atanh(y)
    return x, -_log_derivative(x)


def _log_derivative(x: Array) -> Array:
    t = tanh(x)
    near_zero = is_positive(1 - absolute(x))
    near_one = log(constant(4, x)) + log_sigmoid(2 * x) + log_sigmoid(-2 * x)
    return np.where(near_zero, log1p(-(np.where(near_zero, t, constant(0, x)) ** 2)), near_one)


# ---- derivatives ------------------------------------------------------------------------------
#
# y = tanh x has dy = y' dx with y' = 1 - tanh(x)^2, and fldj = log y' has
#     dfldj = -2 tanh(x) y' / y' dx = -2 tanh(x) dx
# The inverse has dx = dy / y', and ildj = -fldj(x) has dildj = 2 tanh(x) dx. So
#     x_bar = y' y_bar - 2 tanh(x) fldj_bar
#     y_bar = (x_bar + 2 tanh(x) ildj_bar) / y'
# y' is computed as 4 g(2x) g(-2x), a product that keeps its relative accuracy in both tails, where
# 1 - tanh(x)^2 would cancel.

def _slope(x: Array) -> Array:
    return 4 * sigmoid(2 * x) * sigmoid(-2 * x)


def tanh_forward_vjp(x: Array, y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = y' y_bar - 2 tanh(x) fldj_bar, with y' = 1 - tanh(x)^2.

    Args:
      x: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded(_slope(x) * y_bar - 2 * tanh(x) * fldj_bar, x, y_bar)


def tanh_inverse_vjp(x: Array, x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = (x_bar + 2 tanh(x) ildj_bar) / y', with y' = 1 - tanh(x)^2.

    Args:
      x: the result of the inverse.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded((x_bar + 2 * tanh(x) * ildj_bar) / _slope(x), x, x_bar)


def tanh_forward_jvp(x: Array, x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (y' x_dot, -2 tanh(x) x_dot), with y' = 1 - tanh(x)^2.

    Args:
      x: as for the forward function.
      x_dot: its tangent.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return rounded(_slope(x) * x_dot, x, x_dot), -2 * tanh(x) * x_dot


def tanh_inverse_jvp(x: Array, y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot / y', 2 tanh(x) y_dot / y'), with y' = 1 - tanh(x)^2.

    Args:
      x: the result of the inverse.
      y_dot: the tangent of its argument.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    x_dot = rounded(y_dot / _slope(x), x, y_dot)
    return x_dot, 2 * tanh(x) * x_dot


TANH = Op(tanh_forward, tanh_inverse, tanh_forward_vjp, tanh_inverse_vjp,
          tanh_forward_jvp, tanh_inverse_jvp)


class Tanh(OpBijector):
    """The hyperbolic tangent."""

    def __init__(self, validate_args: bool = False, name: str = "tanh") -> None:
        """Build it.

        Args:
          validate_args: whether to check that inputs are finite and |y| < 1.
          name: its name.
        """
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, name=name,
                         parameters=dict(validate_args=validate_args, name=name))

    def _check_domain(self, array: Array, what: str) -> None:
        if what == "y" and not is_positive(1 - absolute(array)).all():
            raise ValueError(f"{self.name}: y must lie strictly between -1 and 1.")

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return TANH, (), ()
