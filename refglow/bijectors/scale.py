"""Scale.

By a scale s != 0:
    forward   y = x * s                    fldj = log|s|
    inverse   x = y / s                    ildj = -log|s|
By its logarithm v (then the scale is positive):
    forward   y = x * exp(v)               fldj = v
    inverse   x = y * exp(-v)              ildj = -v

Source: tfp.bijectors.Scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array, common_dtype
from refglow.elementary import exp, is_negative, is_positive, log_absolute
from refglow.parameter import at, parameter, parameter_dtype, shown
from refglow.variable import value_of


def scale_forward(x: Array, scale: Array) -> tuple[Array, Array]:
    """(x * scale, log|scale|).

    Args:
      x: [...], any number type.
      scale: broadcasts against x; not zero.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of scale, in nats.

    Source: as the module.
    """
    return x * scale, log_absolute(scale)


def scale_inverse(y: Array, scale: Array) -> tuple[Array, Array]:
    """(y / scale, -log|scale|).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y / scale, -log_absolute(scale)


def log_scale_forward(x: Array, log_scale: Array) -> tuple[Array, Array]:
    """(x * exp(log_scale), log_scale).

    Args:
      x: [...], any number type.
      log_scale: broadcasts against x; nats.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of log_scale, in nats.

    Source: as the module.
    """
    return x * exp(log_scale), log_scale


def log_scale_inverse(y: Array, log_scale: Array) -> tuple[Array, Array]:
    """(y * exp(-log_scale), -log_scale).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y * exp(-log_scale), -log_scale


class Scale(Bijector):
    """Multiplies by `scale`, or by exp(`log_scale`)."""

    def __init__(self, scale: Any = None, log_scale: Any = None, validate_args: bool = False,
                 name: str = "scale") -> None:
        """Build it; with neither argument it is the identity.

        Args:
          scale: number, array or Variable, not zero; broadcasts against the input.
          log_scale: the logarithm of the scale instead, for tiny or huge positive scales.
          validate_args: whether to check that inputs are finite and no scale is zero.
          name: its name.

        Raises:
          ValueError: if both are given, or, with validate_args, if a scale is zero.
        """
        if scale is not None and log_scale is not None:
            raise ValueError("Scale: give scale or log_scale, not both.")
        self._scale = parameter(scale, name, "scale")
        self._log_scale = parameter(log_scale, name, "log_scale")
        dtypes = [parameter_dtype(p) for p in (self._scale, self._log_scale)]
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True,
                         validate_args=validate_args, dtype=common_dtype(dtypes, name),
                         members={"scale": self._scale, "log_scale": self._log_scale}, name=name,
                         parameters=dict(scale=scale, log_scale=log_scale,
                                         validate_args=validate_args, name=name))
        if validate_args:
            self._check_scale()

    @property
    def scale(self) -> Any:
        """The factor, or None."""
        return shown(self._scale)

    @property
    def log_scale(self) -> Any:
        """The logarithm of the factor, or None."""
        return shown(self._log_scale)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        given = {"scale": self._scale, "log_scale": self._log_scale}
        return {name: (value, 0) for name, value in given.items() if value is not None}

    def _check_scale(self) -> None:
        scale = np.asarray(0 if self._scale is None else value_of(self._scale))
        if self._scale is not None and not (is_positive(scale) | is_negative(scale)).all():
            raise ValueError(f"{self.name}: scale must not be zero; got {scale}.")

    def _check_domain(self, array: Array, what: str) -> None:
        self._check_scale()

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        if self._scale is not None:
            return scale_forward(x, at(self._scale, x))
        if self._log_scale is not None:
            return log_scale_forward(x, at(self._log_scale, x))
        return x, np.zeros((), dtype=x.dtype)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        if self._scale is not None:
            return scale_inverse(y, at(self._scale, y))
        if self._log_scale is not None:
            return log_scale_inverse(y, at(self._log_scale, y))
        return y, np.zeros((), dtype=y.dtype)
