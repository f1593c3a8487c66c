"""Reciprocal, its own inverse.

    forward   y = 1 / x          fldj = -2 log|x|
    inverse   x = 1 / y          ildj = -2 log|y|

Source: tfp.bijectors.Reciprocal.
"""

from __future__ import annotations

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
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


class Reciprocal(Bijector):
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

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return reciprocal_forward(x)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return reciprocal_inverse(y)
