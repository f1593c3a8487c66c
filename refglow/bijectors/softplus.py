"""Softplus, with softness c (default 1) and lower bound `low` (default 0).

    forward   y = c * log(1 + exp(x/c)) + low          fldj = log g(x/c),  g(t) = 1/(1 + exp(-t))
    inverse   x = c * log(exp((y - low)/c) - 1)
              computed as u + log(1 - exp(-u)) with u = (y - low)/c, which cannot overflow
              ildj = -log g(x/c)                       rather than -log(1 - exp(-u)), whose
                                                       argument rounds to 1 for large u

Source: tfp.bijectors.Softplus.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array, common_dtype
from refglow.elementary import expm1, is_positive, log, log_sigmoid, softplus
from refglow.parameter import at, parameter, parameter_dtype, shown
from refglow.variable import value_of


def softplus_forward(x: Array, hinge_softness: Array, low: Array) -> tuple[Array, Array]:
    """(c log(1 + e^(x/c)) + low, log g(x/c)), elementwise, with c = hinge_softness.

    Args:
      x: [...], any number type.
      hinge_softness, low: broadcast against x; hinge_softness is not zero.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of x/c, in nats.

    Source: as the module.
    """
    t = x / hinge_softness
    return hinge_softness * softplus(t) + low, log_sigmoid(t)


def softplus_inverse(y: Array, hinge_softness: Array, low: Array) -> tuple[Array, Array]:
    """(c log(e^((y - low)/c) - 1), -log g(x/c)), elementwise, for (y - low)/c > 0.

    Args: as for the forward function, with y for x.

    Returns:
      x and the log-det of each element in nats, both of the broadcast shape.

    Source: as the module.
    """
    u = (y - low) / hinge_softness
    t = u + log(-expm1(-u))
    return hinge_softness * t, -log_sigmoid(t)


class Softplus(Bijector):
    """A smooth version of max(x, 0), onto the numbers above `low`."""

    def __init__(self, hinge_softness: Any = None, low: Any = None, validate_args: bool = False,
                 name: str = "softplus") -> None:
        """Build it.

        Args:
          hinge_softness: how soft the bend at 0 is: non-zero number, array or Variable; 1 if
            None. A negative one reflects the function in the origin.
          low: what is added to the result; 0 if None.
          validate_args: whether to check that inputs are finite and y in range.
          name: its name.

        Raises:
          ValueError: if the softness is zero.
        """
        self._hinge_softness = parameter(hinge_softness, name, "hinge_softness")
        self._low = parameter(low, name, "low")
        dtypes = [parameter_dtype(p) for p in (self._hinge_softness, self._low)]
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args,
                         dtype=common_dtype(dtypes, name), name=name,
                         members={"hinge_softness": self._hinge_softness, "low": self._low},
                         parameters=dict(hinge_softness=hinge_softness, low=low,
                                         validate_args=validate_args, name=name))
        if hinge_softness is not None and (
                np.asarray(value_of(self._hinge_softness)) == 0).any():
            raise ValueError(f"{name}: hinge_softness must not be zero.")

    @property
    def hinge_softness(self) -> Any:
        """The softness, or None for 1."""
        return shown(self._hinge_softness)

    @property
    def low(self) -> Any:
        """The lower bound, or None for 0."""
        return shown(self._low)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        given = {"hinge_softness": self._hinge_softness, "low": self._low}
        return {name: (value, 0) for name, value in given.items() if value is not None}

    def _constants(self, x: Array) -> tuple[Array, Array]:
        softness = 1.0 if self._hinge_softness is None else self._hinge_softness
        low = 0.0 if self._low is None else self._low
        return at(softness, x), at(low, x)

    def _check_domain(self, array: Array, what: str) -> None:
        softness, low = self._constants(array)
        if what == "y" and not is_positive((array - low) / softness).all():
            raise ValueError(f"{self.name}: y is outside the range; it must lie above {low} (below "
                             "it for a negative hinge_softness).")

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return softplus_forward(x, *self._constants(x))

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return softplus_inverse(y, *self._constants(y))
