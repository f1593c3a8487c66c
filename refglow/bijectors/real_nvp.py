"""RealNVP: one part of the channels decides how the other part is mapped (a coupling layer).

With x = [x0, x1] split along the last dimension and h = bijector_fn(x0), a bijector:

    forward   y = [x0, h.forward(x1)]           fldj = h.fldj(x1)
    inverse   x = [y0, h.inverse(y1)]           ildj = h.ildj(y1)

The Jacobian is block triangular, [[1, 0], [dh/dx0, dh/dx1]]: whatever function of x0 makes h, the
determinant is that of the lower right block, and the inverse needs no inverse of that function.

A positive number of masked channels means the first ones decide; a negative one, the last.

Source: Dinh et al. 2017, section 3.2 (equations 4 to 8); tfp.bijectors.RealNVP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.chain import Chain
from refglow.bijectors.scale import Scale
from refglow.bijectors.shift import Shift
from refglow.dtypes import Array
from refglow.event_shape import EventShape


def real_nvp_split(x: Array, num_masked: int) -> tuple[Array, Array]:
    """(the deciding channels, the mapped channels).

    Args:
      x: [..., C], any dtype.
      num_masked: how many channels decide, |num_masked| < C; negative for the last ones.

    Returns:
      [..., |num_masked|] and [..., C - |num_masked|], views of x.

    Source: as the module.
    """
    if num_masked < 0:
        return x[..., num_masked:], x[..., :num_masked]
    return x[..., :num_masked], x[..., num_masked:]


def real_nvp_join(deciding: Array, mapped: Array, num_masked: int) -> Array:
    """The inverse of `real_nvp_split`.

    Args:
      deciding, mapped: [..., |num_masked|] and [..., C - |num_masked|]; batch dimensions broadcast.
      num_masked: as for `real_nvp_split`.

    Returns:
      [..., C].

    Raises:
      ValueError: if the batch dimensions do not broadcast.

    Source: as the module.
    """
    batch = np.broadcast_shapes(deciding.shape[:-1], mapped.shape[:-1])
    parts = [np.broadcast_to(p, batch + p.shape[-1:]) for p in (deciding, mapped)]
    return np.concatenate(parts if num_masked >= 0 else parts[::-1], axis=-1)


class RealNVP(Bijector):
    """A coupling layer over the last dimension."""

    def __init__(self, num_masked: int | None = None, fraction_masked: float | None = None,
                 shift_and_log_scale_fn: Callable[..., Any] | None = None,
                 bijector_fn: Callable[..., Any] | None = None,
                 is_constant_jacobian: bool = False, validate_args: bool = False,
                 name: str = "real_nvp") -> None:
        """Build it.

        Args:
          num_masked: how many channels decide; negative for the last ones. Or:
          fraction_masked: which fraction of the channels, in (-1, 1), rounded to a whole number.
          shift_and_log_scale_fn: called as fn(x0, output_units, **kwargs); returns the pair
            (shift, log_scale) for the mapped channels, either of which may be None. Or:
          bijector_fn: called the same way; returns a bijector on the mapped channels.
          is_constant_jacobian: whether the log-det does not depend on the input (no scale).
          validate_args: whether to check that inputs are finite and the bijector is allowed.
          name: its name.

        Raises:
          ValueError, TypeError: if not exactly one of each pair is given, or out of range.
        """
        _check_mask(num_masked, fraction_masked)
        if (shift_and_log_scale_fn is None) == (bijector_fn is None):
            raise ValueError(f"{name}: give exactly one of shift_and_log_scale_fn and bijector_fn.")
        self._num_masked, self._fraction_masked = num_masked, fraction_masked
        self._bijector_fn = bijector_fn or _affine_from(shift_and_log_scale_fn)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=is_constant_jacobian,
                         validate_args=validate_args, name=name,
                         members={"fn": bijector_fn or shift_and_log_scale_fn},
                         parameters=dict(num_masked=num_masked, fraction_masked=fraction_masked,
                                         shift_and_log_scale_fn=shift_and_log_scale_fn,
                                         bijector_fn=bijector_fn, validate_args=validate_args,
                                         is_constant_jacobian=is_constant_jacobian, name=name))

    def _forward_and_log_det(self, x: Array, **condition: Any) -> tuple[Array, Array]:
        num_masked = self._masked_of(x.shape[-1])
        x0, x1 = real_nvp_split(x, num_masked)
        bijector = self._bijector_for(x0, x1, condition)
        bijector._check_values(x1, "x", 1)
        y1, fldj = bijector._forward_and_event_log_det(x1, 1)
        return real_nvp_join(x0, y1, num_masked), fldj

    def _inverse_and_log_det(self, y: Array, **condition: Any) -> tuple[Array, Array]:
        num_masked = self._masked_of(y.shape[-1])
        y0, y1 = real_nvp_split(y, num_masked)
        bijector = self._bijector_for(y0, y1, condition)
        bijector._check_values(y1, "y", 1)
        x1, ildj = bijector._inverse_and_event_log_det(y1, 1)
        return real_nvp_join(y0, x1, num_masked), ildj

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        if shape[-1] is not None:
            self._masked_of(shape[-1])
        return shape

    _inverse_event_shape = _forward_event_shape

    def _masked_of(self, channels: int) -> int:
        if self._num_masked is not None:
            masked = int(self._num_masked)
        else:
            masked = int(np.round(channels * (self._fraction_masked or 0.0)))
        if abs(masked) >= channels:
            raise ValueError(f"{self.name}: {abs(masked)} of {channels} channels would be masked; "
                             "at least one must be left to map.")
        return masked

    def _bijector_for(self, deciding: Array, mapped: Array, condition: Any) -> Bijector:
        bijector = self._bijector_fn(deciding, mapped.shape[-1], **condition)
        if not isinstance(bijector, Bijector):
            raise TypeError(f"{self.name}: bijector_fn must return a refglow bijector; got "
                            f"{type(bijector).__name__}.")
        if bijector.forward_min_event_ndims not in (0, 1) or (
                bijector.inverse_min_event_ndims != bijector.forward_min_event_ndims):
            raise ValueError(f"{self.name}: bijector_fn returned {bijector.name!r}, which acts on "
                             f"events of {bijector.forward_min_event_ndims} dimensions and "
                             f"gives {bijector.inverse_min_event_ndims}; it must keep scalars "
                             "or vectors.")
        if not bijector.is_injective:
            raise ValueError(f"{self.name}: bijector_fn returned {bijector.name!r}, which is not "
                             "injective and cannot be inverted.")
        if bijector.dtype is not None and mapped.dtype.kind == "f" and (
                bijector.dtype.kind == "f" and bijector.dtype != mapped.dtype):
            raise TypeError(f"{self.name}: the inputs are {mapped.dtype}, but bijector_fn returned "
                            f"a bijector that computes in {bijector.dtype}.")
        return bijector


def _check_mask(num_masked: int | None, fraction_masked: float | None) -> None:
    if (num_masked is None) == (fraction_masked is None):
        raise ValueError("RealNVP: give exactly one of num_masked and fraction_masked.")
    if num_masked is not None and int(num_masked) != num_masked:
        raise TypeError(f"RealNVP: num_masked must be an integer; got {num_masked}.")
    if fraction_masked is not None:
        if not isinstance(fraction_masked, (float, np.floating)):
            raise TypeError(f"RealNVP: fraction_masked must be a float; got {fraction_masked!r}.")
        if abs(fraction_masked) >= 1:
            raise ValueError(f"RealNVP: fraction_masked must be in (-1, 1); got {fraction_masked}.")


def _affine_from(shift_and_log_scale_fn: Any) -> Callable[..., Bijector]:
    """The bijector_fn that applies what `shift_and_log_scale_fn` returns: x * exp(v) + shift."""
    def bijector_fn(x0: Array, output_units: int, **condition: Any) -> Bijector:
        pair = shift_and_log_scale_fn(x0, output_units, **condition)
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError("RealNVP: shift_and_log_scale_fn must return a pair (shift, log_scale)"
                            f"; got a {type(pair).__name__}.")
        shift, log_scale = pair
        parts: list[Bijector] = [] if shift is None else [Shift(shift)]
        if log_scale is not None:
            parts.append(Scale(log_scale=log_scale))
        return Chain(parts)
    return bijector_fn
