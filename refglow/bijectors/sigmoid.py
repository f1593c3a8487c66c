"""Sigmoid onto the interval (low, high), by default (0, 1).

With g(x) = 1 / (1 + exp(-x)) and d = high - low:
    forward   y = low + d * g(x)                           for x < 0
              y = high - d * g(-x)                         for x >= 0  (never exceeds high)
              fldj = log d + log g(x) + log g(-x)          because g' = g(x) g(-x)
    inverse   x = log(y - low) - log(high - y)             in (0, 1): log y - log1p(-y)
              ildj = -fldj(x)

Source: tfp.bijectors.Sigmoid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array, common_dtype
from refglow.elementary import is_negative, is_positive, log, log1p, log_sigmoid, sigmoid
from refglow.parameter import at, parameter, parameter_dtype, shown
from refglow.variable import value_of


def sigmoid_forward(x: Array) -> tuple[Array, Array]:
    """(g(x), log g(x) + log g(-x)), elementwise.

    Args:
      x: [...], any number type.

    Returns:
      y and the log-det of each element in nats, both of the shape and dtype of x.

    Source: as the module.
    """
    return sigmoid(x), log_sigmoid(x) + log_sigmoid(-x)


def sigmoid_inverse(y: Array) -> tuple[Array, Array]:
    """(log y - log(1 - y), minus the forward log-det there), elementwise, for 0 < y < 1.

    The log-det is taken at x rather than as -log y - log1p(-y): as y nears 1 the latter sees only
    the rounded 1 - y.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    x = log(y) - log1p(-y)
    return x, -(log_sigmoid(x) + log_sigmoid(-x))


def interval_sigmoid_forward(x: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """(low + d g(x), log d + log g(x) + log g(-x)), elementwise, with d = high - low.

    Args:
      x: [...], any number type.
      low, high: broadcast against x; low < high.

    Returns:
      y and the log-det of each element in nats, both of the broadcast shape.

    Source: as the module.
    """
    width = high - low
    y = np.where(is_negative(x), low + width * sigmoid(x), high - width * sigmoid(-x))
    return y, log(width) + log_sigmoid(x) + log_sigmoid(-x)


def interval_sigmoid_inverse(y: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """(log(y - low) - log(high - y), minus the forward log-det there), for low < y < high.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    x = log(y - low) - log(high - y)
    return x, -(log(high - low) + log_sigmoid(x) + log_sigmoid(-x))


class Sigmoid(Bijector):
    """The logistic function, from the real line onto (low, high)."""

    def __init__(self, low: Any = None, high: Any = None, validate_args: bool = False,
                 name: str = "sigmoid") -> None:
        """Build it.

        Args:
          low, high: the interval's ends: numbers, arrays or Variables; both or neither.
          validate_args: whether to check that inputs are finite, y inside, and low < high.
          name: its name.

        Raises:
          ValueError: if exactly one end is given, or, with validate_args, if low >= high.
        """
        if (low is None) != (high is None):
            raise ValueError(f"Sigmoid: give both low and high, or neither; got low={low}, "
                             f"high={high}.")
        self._low, self._high = parameter(low, name, "low"), parameter(high, name, "high")
        dtype = common_dtype([parameter_dtype(self._low), parameter_dtype(self._high)], name)
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, dtype=dtype,
                         members={"low": self._low, "high": self._high}, name=name,
                         parameters=dict(low=low, high=high, validate_args=validate_args,
                                         name=name))
        if validate_args:
            self._check_interval()

    @property
    def low(self) -> Any:
        """The lower end, or None for 0."""
        return shown(self._low)

    @property
    def high(self) -> Any:
        """The upper end, or None for 1."""
        return shown(self._high)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        return {} if self._low is None else {"low": (self._low, 0), "high": (self._high, 0)}

    def _ends(self) -> tuple[Array, Array]:
        low, high = value_of(self._low), value_of(self._high)
        return (np.asarray(0.0), np.asarray(1.0)) if low is None else (
            np.asarray(low), np.asarray(high))

    def _check_interval(self) -> None:
        low, high = self._ends()
        if not np.all(low < high):
            raise ValueError(f"{self.name}: low must be below high; got {low} and {high}.")

    def _check_domain(self, array: Array, what: str) -> None:
        self._check_interval()
        low, high = self._ends()
        if what == "y" and not (is_positive(array - low) & is_positive(high - array)).all():
            raise ValueError(f"{self.name}: y must lie strictly between {low} and {high}.")

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        if self._low is None:
            return sigmoid_forward(x)
        return interval_sigmoid_forward(x, at(self._low, x), at(self._high, x))

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        if self._low is None:
            return sigmoid_inverse(y)
        return interval_sigmoid_inverse(y, at(self._low, y), at(self._high, y))
