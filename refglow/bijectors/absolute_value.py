"""AbsoluteValue: the non-injective one.

    forward   y = |x|                two-to-one, so it has no forward log-det
    inverse   (-y, y)                both preimages
              ildj = (0, 0)          each branch has slope -1 or 1

At y = 0 both preimages are 0, as TFP defines it: the density is then left-continuous.

Source: tfp.bijectors.AbsoluteValue.
"""

from __future__ import annotations

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.elementary import absolute, is_negative


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
    zero = np.zeros((), dtype=y.dtype)
    return (-y, y), (zero, zero)


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
