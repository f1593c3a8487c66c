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

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.elementary import (
    absolute,
    atanh,
    constant,
    is_positive,
    log,
    log1p,
    log_sigmoid,
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


class Tanh(Bijector):
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

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return tanh_forward(x)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return tanh_inverse(y)
