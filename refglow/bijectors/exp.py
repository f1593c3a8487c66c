"""Exp and its inverse, Log.

    forward   y = exp(x)          fldj = x
    inverse   x = log(y)          ildj = -log(y)

Source: tfp.bijectors.Exp, tfp.bijectors.Log.
"""

from __future__ import annotations

from typing import Any

from refglow.bijectors.invert import Invert
from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import Array, rounded
from refglow.elementary import exp, is_positive, log


def exp_forward(x: Array) -> tuple[Array, Array]:
    """(e^x, x), elementwise.

    Args:
      x: [...], any number type.

    Returns:
      y and the log-det of each element in nats, both of the shape and dtype of x.

    Source: as the module.
    """
    return exp(x), x


def exp_inverse(y: Array) -> tuple[Array, Array]:
    """(log y, -log y), elementwise, for y > 0.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    x = log(y)
    return x, -x


# ---- derivatives ------------------------------------------------------------------------------
#
# y = e^x has dy = e^x dx, and fldj = x has dfldj = dx:
#     x_bar = e^x y_bar + fldj_bar
# The inverse x = log y has dx = dy / y = e^-x dy, and ildj = -x has dildj = -dx:
#     y_bar = e^-x (x_bar - ildj_bar)

def exp_forward_vjp(x: Array, y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = e^x y_bar + fldj_bar.

    Args:
      x: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded(y_bar * exp(x) + fldj_bar, x, y_bar)


def exp_inverse_vjp(x: Array, x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = e^-x (x_bar - ildj_bar).

    Args:
      x: the result of the inverse.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded((x_bar - ildj_bar) * exp(-x), x, x_bar)


def exp_forward_jvp(x: Array, x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (e^x x_dot, x_dot).

    Args:
      x: as for the forward function.
      x_dot: its tangent.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return rounded(exp(x) * x_dot, x, x_dot), x_dot


def exp_inverse_jvp(x: Array, y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (e^-x y_dot, -e^-x y_dot).

    Args:
      x: the result of the inverse.
      y_dot: the tangent of its argument.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    x_dot = rounded(exp(-x) * y_dot, x, y_dot)
    return x_dot, -x_dot


EXP = Op(exp_forward, exp_inverse, exp_forward_vjp, exp_inverse_vjp,
         exp_forward_jvp, exp_inverse_jvp)


class Exp(OpBijector):
    """The exponential function, from the real line onto the positive numbers.

    >>> import refglow as rg
    >>> y, fldj = rg.bijectors.Exp().forward_and_log_det([0.0, 1.0])
    >>> fldj.tolist()
    [0.0, 1.0]
    """

    def __init__(self, validate_args: bool = False, name: str = "exp") -> None:
        """Build it.

        Args:
          validate_args: whether to check that inputs are finite and y positive.
          name: its name.
        """
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, name=name,
                         parameters=dict(validate_args=validate_args, name=name))

    def _check_domain(self, array: Array, what: str) -> None:
        if what == "y" and not is_positive(array).all():
            raise ValueError(f"{self.name}: y must be positive; the least value is {array.min()}.")

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return EXP, (), ()


class Log(Invert):
    """The natural logarithm: Invert(Exp())."""

    def __init__(self, validate_args: bool = False, name: str = "log") -> None:
        """Build it; arguments as for Exp."""
        super().__init__(Exp(), validate_args=validate_args, name=name,
                         parameters=dict(validate_args=validate_args, name=name))
