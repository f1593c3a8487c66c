"""Exp and its inverse, Log.

    forward   y = exp(x)          fldj = x
    inverse   x = log(y)          ildj = -log(y)

Source: tfp.bijectors.Exp, tfp.bijectors.Log.
"""

from __future__ import annotations

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.invert import Invert
from refglow.dtypes import Array
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


class Exp(Bijector):
    """The exponential function, from the real line onto the positive numbers."""

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

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return exp_forward(x)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return exp_inverse(y)


class Log(Invert):
    """The natural logarithm: Invert(Exp())."""

    def __init__(self, validate_args: bool = False, name: str = "log") -> None:
        """Build it; arguments as for Exp."""
        super().__init__(Exp(), validate_args=validate_args, name=name,
                         parameters=dict(validate_args=validate_args, name=name))
