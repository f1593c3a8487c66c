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

from refglow.array_library import zeros
from refglow.bijectors.bijector import Bijector, Pull
from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import Array, rounded, widened
from refglow.elementary import constant
from refglow.event_shape import EventShape
from refglow.parameter import at, parameter, shown
from refglow.variable import Variable, value_of

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
    return y, zeros((), x)


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
    return y[tuple(keep)], zeros((), y)


# ---- derivatives ------------------------------------------------------------------------------
#
# Every element of y is a copy: of one element of x, or of the constant v. So dy copies dx and dv in
# the same way, and, transposed, each cotangent is the sum over all copies:
#     x_i_bar = sum of y_j_bar over the j that copy x_i,    v_bar = sum of y_j_bar over those of v
# Which element y_j copies is found by padding the indices of x just as x is padded, with -1 for v.
# With reflection an x_i can have several copies.
#
# The inverse keeps some elements of y, each once, and drops the padding, whose cotangent is 0:
#     y_bar = x_bar, padded with zeros,    dx = dy without its padding


def pad_forward_vjp(x: Array, paddings: Sequence[tuple[int, int]], axis: Sequence[int], mode: str,
                    constant_values: Array, y_bar: Array,
                    fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, constant_values_bar) = sums of y_bar over the copies of x_i, and of the constant.

    Args:
      x, paddings, axis, mode, constant_values: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x; constant_values_bar, a scalar.

    Source: the derivation above.
    """
    indices = np.arange(x.size).reshape(x.shape)
    source, _ = pad_forward(indices, paddings, axis, mode, np.asarray(-1))
    wide_bar, of_x = widened(y_bar), source >= 0
    x_bar = np.zeros(x.size, dtype=wide_bar.dtype)
    np.add.at(x_bar, source[of_x], wide_bar[of_x])
    return (rounded(x_bar.reshape(x.shape), x, y_bar),
            rounded(wide_bar[~of_x].sum(), constant_values, y_bar))


def pad_inverse_vjp(x: Array, paddings: Sequence[tuple[int, int]], axis: Sequence[int],
                    x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = x_bar, padded with zeros.

    Args:
      x: the result of the inverse.
      paddings, axis: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of y.

    Source: the derivation above.
    """
    return pad_forward(x_bar, paddings, axis, "CONSTANT", constant(0, x_bar))[0]


def pad_forward_jvp(x: Array, paddings: Sequence[tuple[int, int]], axis: Sequence[int], mode: str,
                    constant_values: Array, x_dot: Array,
                    constant_values_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (x_dot padded as x is, 0).

    Args:
      x, paddings, axis, mode, constant_values: as for the forward function.
      x_dot, constant_values_dot: the tangents of x and constant_values.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return pad_forward(x_dot, paddings, axis, mode, constant_values_dot)


def pad_inverse_jvp(x: Array, paddings: Sequence[tuple[int, int]], axis: Sequence[int],
                    y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot without its padding, 0).

    Args:
      x: the result of the inverse.
      paddings, axis: as for the inverse function.
      y_dot: the tangent of y.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return pad_inverse(y_dot, paddings, axis)


class Pad(Bijector):
    """Pads the trailing dimensions of an event."""

    def __init__(self, paddings: Any = ((0, 1),), mode: str = "CONSTANT", constant_values: Any = 0,
                 axis: Any = None, validate_args: bool = False, name: str = "pad") -> None:
        """Build it.

        Args:
          paddings: pairs (left, right) of non-negative ints, one for each padded dimension.
          mode: "CONSTANT", "REFLECT" or "SYMMETRIC", in any case.
          constant_values: the number to pad with, in constant mode; a Variable of no dimensions
            is a parameter.
          axis: the (negative) dimensions, one for each pair; by default the last ones.
          validate_args: whether `inverse` checks that what it removes is the padding.
          name: its name.

        Raises:
          ValueError: if paddings, axis, mode or constant_values are not as above.
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
        if np.ndim(value_of(self._constant_values)):
            raise ValueError(f"{name}: constant_values must be one number; got an array of shape "
                             f"{np.shape(value_of(self._constant_values))}.")
        # A constant is written in the input's number type; a parameter has one, which must be it.
        dtype = constant_values.dtype if isinstance(constant_values, Variable) else None
        super().__init__(forward_min_event_ndims=-min(self._axis), is_constant_jacobian=True,
                         validate_args=validate_args, dtype=dtype, name=name,
                         members={"constant_values": self._constant_values},
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

    def _vjp(self, forward: bool, x: Array) -> tuple[tuple[Array, Array], Pull]:
        result, log_det = (self._forward_and_log_det if forward else self._inverse_and_log_det)(x)
        constant_values = at(self._constant_values, x)

        def pull(bar: Array, log_det_bar: Array, bars: Cotangents) -> Array:
            if not forward:
                return pad_inverse_vjp(result, self._paddings, self._axis, bar, log_det_bar)
            x_bar, constant_values_bar = pad_forward_vjp(
                x, self._paddings, self._axis, self._mode, constant_values, bar, log_det_bar)
            bars.add(self._constant_values, constant_values_bar)
            return x_bar
        return (result, log_det), pull

    def _jvp(self, forward: bool, x: Array, x_dot: Array,
             tangents: Tangents) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        if not forward:
            result, log_det = self._inverse_and_log_det(x)
            return (result, log_det), pad_inverse_jvp(result, self._paddings, self._axis, x_dot)
        constant_values = at(self._constant_values, x)
        dot = tangents.of(self._constant_values, constant_values)
        return self._forward_and_log_det(x), pad_forward_jvp(
            x, self._paddings, self._axis, self._mode, constant_values, x_dot, dot)

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
