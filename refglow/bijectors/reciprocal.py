"""Reciprocal, its own inverse.

    forward   y = 1 / x          fldj = -2 log|x|
    inverse   x = 1 / y          ildj = -2 log|y|

Source: tfp.bijectors.Reciprocal.
"""

from __future__ import annotations

from typing import Any

from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import Array, rounded
from refglow.elementary import is_negative, is_positive, log_absolute


def reciprocal_forward(x: Array) -> tuple[Array, Array]:
    """(1/x, -2 log|x|), elementwise, for x != 0.

    Args:
      x: [...], any number type.

    Returns:
      y and the log-det of each element in nats, both of the shape and dtype of x.

    Source: as the module.
    """
    return 1 / x, -2 * log_absolute(x)


def reciprocal_inverse(y: Array) -> tuple[Array, Array]:
    """(1/y, -2 log|y|), elementwise, for y != 0.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return 1 / y, -2 * log_absolute(y)


# ---- derivatives ------------------------------------------------------------------------------
#
# y = 1/x has dy = -dx / x^2, and fldj = -2 log|x| has dfldj = -2 dx / x:
#     x_bar = -(y_bar / x + 2 fldj_bar) / x
# The inverse x = 1/y has dx = -x^2 dy, and ildj = -2 log|y| = 2 log|x| has dildj = 2 dx / x:
#     y_bar = -x (x x_bar + 2 ildj_bar)
# x^2 is never formed: it would overflow, or lose all its digits to underflow, at the square root
# of where x does.

def reciprocal_forward_vjp(x: Array, y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = -(y_bar / x + 2 fldj_bar) / x.

    Args:
      x: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded(-(y_bar / x + 2 * fldj_bar) / x, x, y_bar)


def reciprocal_inverse_vjp(x: Array, x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = -x (x x_bar + 2 ildj_bar).

    Args:
      x: the result of the inverse.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of x.

    Source: the derivation above.
    """
    return rounded(-x * (x * x_bar + 2 * ildj_bar), x, x_bar)


def reciprocal_forward_jvp(x: Array, x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (-x_dot / x^2, -2 x_dot / x).

    Args:
      x: as for the forward function.
      x_dot: its tangent.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    relative_dot = x_dot / x
    return rounded(-relative_dot / x, x, x_dot), -2 * relative_dot


def reciprocal_inverse_jvp(x: Array, y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (-x^2 y_dot, -2 x y_dot).

    Args:
      x: the result of the inverse.
      y_dot: the tangent of its argument.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    relative_dot = -x * y_dot
    return rounded(x * relative_dot, x, y_dot), 2 * relative_dot


RECIPROCAL = Op(reciprocal_forward, reciprocal_inverse, reciprocal_forward_vjp,
                reciprocal_inverse_vjp, reciprocal_forward_jvp, reciprocal_inverse_jvp)


class Reciprocal(OpBijector):
    """One over the input."""

    def __init__(self, validate_args: bool = False, name: str = "reciprocal") -> None:
        """Build it.

        Args:
          validate_args: whether to check that inputs are finite and not zero.
          name: its name.
        """
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, name=name,
                         parameters=dict(validate_args=validate_args, name=name))

    def _check_domain(self, array: Array, what: str) -> None:
        if not (is_positive(array) | is_negative(array)).all():
            raise ValueError(f"{self.name}: all elements of {what} must be non-zero.")

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return RECIPROCAL, (), ()
