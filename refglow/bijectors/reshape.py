"""Reshape: the same numbers, in the same (row-major) order, under another event shape.

    forward   y = x.reshape(batch + event_shape_out)          fldj = 0
    inverse   x = y.reshape(batch + event_shape_in)           ildj = 0

Source: tfp.bijectors.Reshape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
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
    return x.reshape(batch + sizes), np.zeros((), dtype=x.dtype)


def reshape_inverse(y: Array, event_shape_in: tuple[int, ...],
                    event_shape_out: tuple[int, ...]) -> tuple[Array, Array]:
    """(y with its last len(event_shape_out) dimensions reshaped to event_shape_in, 0).

    Args, Returns, Raises: as for the forward function, with y for x and in for out.

    Source: as the module.
    """
    return reshape_forward(y, event_shape_out, event_shape_in)


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


class Reshape(Bijector):
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

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        self._check_event(x.shape[x.ndim - len(self._in):], self._in)
        return reshape_forward(x, self._in, self._out)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        self._check_event(y.shape[y.ndim - len(self._out):], self._out)
        return reshape_inverse(y, self._in, self._out)

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
