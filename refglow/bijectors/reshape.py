"""Reshape: the same numbers, in the same (row-major) order, under another event shape.

    forward   y = x.reshape(batch + event_shape_out)          fldj = 0
    inverse   x = y.reshape(batch + event_shape_in)           ildj = 0

Source: tfp.bijectors.Reshape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import zeros
from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import Array
from refglow.event_shape import EventShape


def reshape_forward(x: Array, event_shape_in: tuple[int, ...],
                    event_shape_out: tuple[int, ...]) -> tuple[Array, Array]:
    """(x with its last len(event_shape_in) dimensions reshaped to event_shape_out, 0).

    Args:
      x: [batch..., *event_shape_in], any dtype.
      event_shape_in, event_shape_out: sizes; one of each may be -1, for "whatever is left".

    Returns:
      y: [batch..., *event_shape_out]; the log-det 0 of one event, a scalar, in nats.

    Raises:
      ValueError: if the two shapes do not hold equally many numbers.

    Source: as the module.
    """
    batch = x.shape[:x.ndim - len(event_shape_in)]
    sizes = _fill_unknown(event_shape_out, x.shape[x.ndim - len(event_shape_in):])
    return x.reshape(batch + sizes), zeros((), x)


def reshape_inverse(y: Array, event_shape_in: tuple[int, ...],
                    event_shape_out: tuple[int, ...]) -> tuple[Array, Array]:
    """(y with its last len(event_shape_out) dimensions reshaped to event_shape_in, 0).

    Args, Returns, Raises: as for the forward function, with y for x and in for out.

    Source: as the module.
    """
    return reshape_forward(y, event_shape_out, event_shape_in)


# ---- derivatives ------------------------------------------------------------------------------
#
# y holds the elements of x in other places, y = P x with a permutation matrix P, and the log-det 0
# does not change. P is orthogonal, so the transposed map, which takes cotangents back, is the
# inverse; and a linear map takes tangents as it takes values:
#     x_bar = P^T y_bar = P^-1 y_bar,    y_bar = P x_bar,    dy = P dx,    dx = P^-1 dy


def reshape_forward_vjp(x: Array, event_shape_in: tuple[int, ...], event_shape_out: tuple[int, ...],
                        y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = y_bar, put back where it came from.

    Args:
      x, event_shape_in, event_shape_out: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return reshape_inverse(y_bar, event_shape_in, event_shape_out)[0]


def reshape_inverse_vjp(x: Array, event_shape_in: tuple[int, ...], event_shape_out: tuple[int, ...],
                        x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = x_bar, put back where it came from.

    Args:
      x: the result of the inverse.
      event_shape_in, event_shape_out: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of y.

    Source: the derivation above.
    """
    return reshape_forward(x_bar, event_shape_in, event_shape_out)[0]


def reshape_forward_jvp(x: Array, event_shape_in: tuple[int, ...], event_shape_out: tuple[int, ...],
                        x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (x_dot rearranged as x is, 0).

    Args:
      x, event_shape_in, event_shape_out: as for the forward function.
      x_dot: the tangent of x.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return reshape_forward(x_dot, event_shape_in, event_shape_out)


def reshape_inverse_jvp(x: Array, event_shape_in: tuple[int, ...], event_shape_out: tuple[int, ...],
                        y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot rearranged as y is, 0).

    Args:
      x: the result of the inverse.
      event_shape_in, event_shape_out: as for the inverse function.
      y_dot: the tangent of y.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return reshape_inverse(y_dot, event_shape_in, event_shape_out)


RESHAPE = Op(reshape_forward, reshape_inverse, reshape_forward_vjp, reshape_inverse_vjp,
             reshape_forward_jvp, reshape_inverse_jvp)


def _fill_unknown(target: tuple[int, ...], event: tuple[int, ...]) -> tuple[int, ...]:
    """`target` with its -1, if any, replaced so that it holds as many numbers as `event`.

    NumPy's own -1 would be ambiguous for empty batches.
    """
    if -1 not in target:
        return target
    known = int(np.prod([s for s in target if s != -1], dtype=np.int64))
    total = int(np.prod(event, dtype=np.int64))
    if known == 0 or total % known:
        raise ValueError(f"An event of shape {event} ({total} numbers) cannot be reshaped to "
                         f"{target}.")
    return tuple(total // known if s == -1 else s for s in target)


class Reshape(OpBijector):
    """Changes the shape of an event."""

    def __init__(self, event_shape_out: Any, event_shape_in: Any = (-1,),
                 validate_args: bool = False, name: str = "reshape") -> None:
        """Build it.

        Args:
          event_shape_out: ints, at most one of them -1 for "whatever is left".
          event_shape_in: the same for the input; by default a vector of any length.
          validate_args: whether to check that inputs are finite.
          name: its name.

        Raises:
          TypeError: if a shape holds anything but integers.
          ValueError: if a shape has two unknown sizes, or the two hold different numbers of
            elements.
        """
        self._out = _checked(event_shape_out, name, "event_shape_out")
        self._in = _checked(event_shape_in, name, "event_shape_in")
        if -1 not in self._out + self._in and np.prod(self._out) != np.prod(self._in):
            raise ValueError(f"{name}: event_shape_in {self._in} and event_shape_out {self._out} "
                             "hold different numbers of elements.")
        super().__init__(forward_min_event_ndims=len(self._in),
                         inverse_min_event_ndims=len(self._out),
                         is_constant_jacobian=True, validate_args=validate_args, name=name,
                         parameters=dict(event_shape_out=event_shape_out,
                                         event_shape_in=event_shape_in,
                                         validate_args=validate_args, name=name))

    @property
    def is_permutation(self) -> bool:
        """True."""
        return True

    def _check_input(self, forward: bool, array: Array) -> None:
        expected = self._in if forward else self._out
        self._check_event(array.shape[array.ndim - len(expected):], expected)

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return RESHAPE, (), (self._in, self._out)

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        return self._replaced(shape, self._in, self._out)

    def _inverse_event_shape(self, shape: EventShape) -> EventShape:
        return self._replaced(shape, self._out, self._in)

    def _replaced(self, shape: EventShape, old: tuple[int, ...],
                  new: tuple[int, ...]) -> EventShape:
        outer, event = shape[:shape.rank - len(old)], shape[shape.rank - len(old):]
        self._check_event(event, old)
        if None in event:
            return EventShape(outer + tuple(None if s == -1 else s for s in new))
        return EventShape(outer + _fill_unknown(new, tuple(s for s in event if s is not None)))

    def _check_event(self, event: tuple[int | None, ...], expected: tuple[int, ...]) -> None:
        if any(s is not None and e not in (-1, s) for s, e in zip(event, expected, strict=True)):
            raise ValueError(f"{self.name}: expected events of shape {expected}, got {event}.")


def _checked(shape: Any, name: str, what: str) -> tuple[int, ...]:
    sizes = np.asarray(shape.as_list() if hasattr(shape, "as_list") else shape)
    if sizes.size and sizes.dtype.kind not in "iu":
        raise TypeError(f"{name}: {what} must hold integers; got {shape}.")
    result = tuple(int(s) for s in np.atleast_1d(sizes))
    if result.count(-1) > 1 or any(s < -1 for s in result):
        raise ValueError(f"{name}: {what} must hold sizes and at most one -1; got {shape}.")
    return result
