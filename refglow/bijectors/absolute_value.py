"""AbsoluteValue: the non-injective one.

    forward   y = |x|                two-to-one, so it has no forward log-det
    inverse   (-y, y)                both preimages
              ildj = (0, 0)          each branch has slope -1 or 1

At y = 0 both preimages are 0, as TFP defines it: the density is then left-continuous.

Source: tfp.bijectors.AbsoluteValue.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import zeros
from refglow.bijectors.bijector import Bijector, Pull
from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import Array
from refglow.elementary import absolute, constant, is_negative, is_positive


def absolute_value_forward(x: Array) -> Array:
    """|x|, elementwise.

    Args:
      x: [...], any number type.

    Returns:
      y of the shape and dtype of x, and no log-det.

    Source: as the module.
    """
    return absolute(x)


def absolute_value_inverse(y: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """((-y, y), (0, 0)): the preimages of y >= 0 and the log-det on each branch.

    Args:
      y: [...], any number type.

    Returns:
      two arrays of the shape of y; the log-det 0 of every element twice, scalars, in
      nats.

    Source: as the module.
    """
    zero = zeros((), y)
    return (-y, y), (zero, zero)


# ---- derivatives ------------------------------------------------------------------------------
#
# y = |x| has dy = sign(x) dx. At x = 0, where |x| has no derivative, sign(0) = 0, the middle of its
# subgradients [-1, 1] and what TensorFlow's gradient of abs is:
#     x_bar = sign(x) y_bar
# The inverse (x_-, x_+) = (-y, y) has dx_- = -dy and dx_+ = dy, and its log-dets do not change:
#     y_bar = x_+_bar - x_-_bar


def absolute_value_forward_vjp(x: Array, y_bar: Array) -> Array:
    """x_bar = sign(x) y_bar, with sign(0) = 0.

    Args:
      x: as for the forward function.
      y_bar: the cotangent of its result, of its shape.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    zero = constant(0, y_bar)
    return np.where(is_positive(x), y_bar, np.where(is_negative(x), -y_bar, zero))


def absolute_value_inverse_vjp(x: tuple[Array, Array], x_bar: tuple[Array, Array],
                               ildj_bar: tuple[Array, Array]) -> Array:
    """y_bar = x_bar[1] - x_bar[0].

    Args:
      x: the result of the inverse.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of y.

    Source: the derivation above.
    """
    return x_bar[1] - x_bar[0]


def absolute_value_forward_jvp(x: Array, x_dot: Array) -> Array:
    """y_dot = sign(x) x_dot, with sign(0) = 0.

    Args:
      x: as for the forward function.
      x_dot: its tangent.

    Returns:
      y_dot of the shape of x.

    Source: the derivation above.
    """
    return absolute_value_forward_vjp(x, x_dot)  # the Jacobian is diagonal


def absolute_value_inverse_jvp(
        x: tuple[Array, Array], y_dot: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_dot, ildj_dot) = ((-y_dot, y_dot), (0, 0)).

    Args:
      x: the result of the inverse.
      y_dot: the tangent of y.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return absolute_value_inverse(y_dot)  # a linear map


class AbsoluteValue(Bijector):
    """The absolute value; `inverse` and its log-det return a tuple for the two preimages."""

    def __init__(self, validate_args: bool = False, name: str = "absolute_value") -> None:
        """Build it.

        Args:
          validate_args: whether to check that inputs are finite and y not negative.
          name: its name.
        """
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, name=name,
                         parameters=dict(validate_args=validate_args, name=name))

    @property
    def is_injective(self) -> bool:
        """False."""
        return False

    def _check_domain(self, array: Array, what: str) -> None:
        if what == "y" and is_negative(array).any():
            raise ValueError(f"{self.name}: y must not be negative; "
                             f"the least value is {array.min()}.")

    def _forward_and_log_det(self, x: Array) -> tuple[Array, None]:
        return absolute_value_forward(x), None

    def _inverse_and_log_det(
            self, y: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        return absolute_value_inverse(y)

    def _vjp(self, forward: bool, x: Array) -> tuple[tuple[Any, Any], Pull]:
        results = self._forward_and_log_det(x) if forward else self._inverse_and_log_det(x)

        def pull(bar: Any, log_det_bar: Any, bars: Cotangents) -> Array:
            if forward:
                return absolute_value_forward_vjp(x, bar)
            return absolute_value_inverse_vjp((-x, x), bar, log_det_bar)
        return results, pull

    def _jvp(self, forward: bool, x: Array, x_dot: Array,
             tangents: Tangents) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        if forward:
            return self._forward_and_log_det(x), (absolute_value_forward_jvp(x, x_dot), None)
        preimages, ildj = self._inverse_and_log_det(x)
        return (preimages, ildj), absolute_value_inverse_jvp(preimages, x_dot)
