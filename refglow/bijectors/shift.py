"""Shift.

    forward   y = x + shift          fldj = 0
    inverse   x = y - shift          ildj = 0

Source: tfp.bijectors.Shift.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.parameter import at, parameter, parameter_dtype, shown


def shift_forward(x: Array, shift: Array) -> tuple[Array, Array]:
    """(x + shift, 0).

    Args:
      x: [...], any number type.
      shift: broadcasts against x.

    Returns:
      y of the broadcast shape; the log-det 0 of every element, a scalar of x's dtype, in nats.

    Source: as the module.
    """
    return x + shift, np.zeros((), dtype=x.dtype)


def shift_inverse(y: Array, shift: Array) -> tuple[Array, Array]:
    """(y - shift, 0).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y - shift, np.zeros((), dtype=y.dtype)


class Shift(Bijector):
    """Adds `shift`."""

    def __init__(self, shift: Any, validate_args: bool = False, name: str = "shift") -> None:
        """Build it.

        Args:
          shift: number, array or Variable; broadcasts against the input.
          validate_args: whether to check that inputs are finite.
          name: its name.
        """
        self._shift = parameter(shift, name, "shift")
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True,
                         validate_args=validate_args, dtype=parameter_dtype(self._shift),
                         members={"shift": self._shift}, name=name,
                         parameters=dict(shift=shift, validate_args=validate_args, name=name))

    @property
    def shift(self) -> Any:
        """What is added."""
        return shown(self._shift)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        return {"shift": (self._shift, 0)}

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return shift_forward(x, at(self._shift, x))

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return shift_inverse(y, at(self._shift, y))
