"""Pad: appends fixed values to an event.

    forward   y = x with `left` and `right` extra values along some dimensions       fldj = 0
    inverse   x = y without them                                                     ildj = 0

The image is a lower-dimensional piece of the larger space; the log-det is that of the map onto its
image, whose volume the padding does not change. A later bijector in a chain must not scale the
padding; Composition's `validate_event_size` watches for that.

Source: tfp.bijectors.Pad.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.event_shape import EventShape
from refglow.parameter import at, parameter, shown

_NUMPY_MODES: dict[str, Literal["constant", "reflect", "symmetric"]] = {
    "CONSTANT": "constant", "REFLECT": "reflect", "SYMMETRIC": "symmetric"}


def pad_forward(x: Array, paddings: Sequence[tuple[int, int]], axis: Sequence[int], mode: str,
                constant_values: Array) -> tuple[Array, Array]:
    """(x padded, 0).

    Args:
      x: [...], any number type.
      paddings: pairs (left, right), one for each dimension in `axis`.
      axis: the padded dimensions, counted from the end (negative).
      mode: "CONSTANT", "REFLECT" or "SYMMETRIC" (as np.pad's, in capitals).
      constant_values: a scalar; the value to pad with, in constant mode.

    Returns:
      y, whose padded dimensions are longer; the log-det 0 of one event, a scalar, in nats.

    Raises:
      ValueError: if `paddings` and `axis` differ in length.
      KeyError: if the mode is another.

    Source: as the module.
    """
    widths = [(0, 0)] * x.ndim
    for dimension, width in zip(axis, paddings, strict=True):
        widths[dimension] = width
    if mode == "CONSTANT":
        y = np.pad(x, widths, mode="constant", constant_values=constant_values)
    else:
        y = np.pad(x, widths, mode=_NUMPY_MODES[mode])
    return y, np.zeros((), dtype=x.dtype)


def pad_inverse(y: Array, paddings: Sequence[tuple[int, int]],
                axis: Sequence[int]) -> tuple[Array, Array]:
    """(y without its padding, 0).

    Args: as for the forward function, with y for x.

    Returns:
      x, whose padded dimensions are shorter; the log-det 0 of one event, a scalar, in nats.

    Raises:
      ValueError: if `paddings` and `axis` differ in length.

    Source: as the module.
    """
    keep = [slice(None)] * y.ndim
    for dimension, (left, right) in zip(axis, paddings, strict=True):
        keep[dimension] = slice(left, y.shape[dimension] - right)
    return y[tuple(keep)], np.zeros((), dtype=y.dtype)


class Pad(Bijector):
    """Pads the trailing dimensions of an event."""

    def __init__(self, paddings: Any = ((0, 1),), mode: str = "CONSTANT", constant_values: Any = 0,
                 axis: Any = None, validate_args: bool = False, name: str = "pad") -> None:
        """Build it.

        Args:
          paddings: pairs (left, right) of non-negative ints, one for each padded dimension.
          mode: "CONSTANT", "REFLECT" or "SYMMETRIC", in any case.
          constant_values: the number to pad with, in constant mode.
          axis: the (negative) dimensions, one for each pair; by default the last ones.
          validate_args: whether `inverse` checks that what it removes is the padding.
          name: its name.

        Raises:
          ValueError: if paddings, axis or mode are not as above.
        """
        pairs = np.asarray(paddings)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu" or (
                pairs < 0).any():
            raise ValueError(f"{name}: paddings must be pairs of non-negative integers; "
                             f"got {paddings}.")
        self._paddings = [(int(left), int(right)) for left, right in pairs]
        axes = range(-len(pairs), 0) if axis is None else np.atleast_1d(axis)
        self._axis = [int(a) for a in axes]
        if len(self._axis) != len(pairs) or len(set(self._axis)) != len(pairs) or (
                max(self._axis) >= 0):
            raise ValueError(f"{name}: axis must hold one distinct negative number for each of the "
                             f"{len(pairs)} paddings; got {axis}.")
        self._mode = mode.upper()
        if self._mode not in _NUMPY_MODES:
            raise ValueError(f"{name}: mode must be one of {', '.join(_NUMPY_MODES)}; got {mode}.")
        self._constant_values = parameter(constant_values, name, "constant_values")
        super().__init__(forward_min_event_ndims=-min(self._axis), is_constant_jacobian=True,
                         validate_args=validate_args, name=name,
                         parameters=dict(paddings=paddings, mode=mode, axis=axis,
                                         constant_values=constant_values,
                                         validate_args=validate_args, name=name))

    @property
    def paddings(self) -> list[tuple[int, int]]:
        """(left, right) for each padded dimension."""
        return list(self._paddings)

    @property
    def axis(self) -> list[int]:
        """The padded dimensions, counted from the end."""
        return list(self._axis)

    @property
    def mode(self) -> str:
        """What the padding is filled with."""
        return self._mode

    @property
    def constant_values(self) -> Any:
        """The number that a constant padding holds."""
        return shown(self._constant_values)

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return pad_forward(x, self._paddings, self._axis, self._mode, at(self._constant_values, x))

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return pad_inverse(y, self._paddings, self._axis)

    def _check_domain(self, array: Array, what: str) -> None:
        if what == "y":
            x, _ = pad_inverse(array, self._paddings, self._axis)
            if not np.array_equal(self._forward_and_log_det(x)[0], array):
                raise ValueError(f"{self.name}: y does not hold the padding that forward writes.")

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        return self._resized(shape, +1)

    def _inverse_event_shape(self, shape: EventShape) -> EventShape:
        return self._resized(shape, -1)

    def _resized(self, shape: EventShape, sign: int) -> EventShape:
        sizes = shape.as_list()
        for dimension, width in zip(self._axis, self._paddings, strict=True):
            size = sizes[dimension]
            if size is not None:
                sizes[dimension] = size + sign * sum(width)
                if size + sign * sum(width) < 0:
                    raise ValueError(f"{self.name}: an event of shape {tuple(shape)} is smaller "
                                     f"than its padding {self._paddings}.")
        return EventShape(sizes)
