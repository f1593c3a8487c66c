"""Split: one array into several along a dimension.

    forward   (y_0, y_1, ...) = pieces of x of the given sizes          fldj = 0
    inverse   x = the pieces joined                                     ildj = 0

Source: tfp.bijectors.Split.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from refglow.array_library import zeros
from refglow.bijectors.bijector import Bijector, Pull
from refglow.cotangents import Cotangents, Tangents, unbroadcast
from refglow.dtypes import Array, rounded, widened
from refglow.event_shape import EventShape


def split_forward(x: Array, sizes: Sequence[int], axis: int) -> tuple[list[Array], Array]:
    """([pieces of x along `axis`, of the given sizes], 0).

    Args:
      x: [...], any dtype.
      sizes: ints that add up to the size of x along `axis`.
      axis: a dimension of x.

    Returns:
      a list of arrays, one for each size; the log-det 0 of one event, a scalar, in nats.

    Source: as the module.
    """
    return np.split(x, np.cumsum(sizes)[:-1], axis=axis), zeros((), x)


def split_inverse(y: Sequence[Array], axis: int) -> tuple[Array, Array]:
    """(the pieces joined along `axis`, 0).

    Args:
      y: arrays whose other dimensions broadcast.
      axis: a dimension, counted from the end (negative).

    Returns:
      x of the broadcast shape; the log-det 0 of one event, a scalar, in nats.

    Raises:
      ValueError: if the other dimensions do not broadcast.

    Source: as the module.
    """
    joined = np.concatenate(_broadcast_batch(y, axis), axis=axis)
    return joined, zeros((), joined)


def _broadcast_batch(pieces: Sequence[Array], axis: int) -> list[Array]:
    """The pieces with all dimensions but `axis` broadcast together."""
    rank = max(piece.ndim for piece in pieces)
    position = rank + axis
    shapes = [(1,) * (rank - piece.ndim) + piece.shape for piece in pieces]
    common = np.broadcast_shapes(*(s[:position] + (1,) + s[position + 1:] for s in shapes))
    return [np.broadcast_to(piece, common[:position] + (piece.shape[axis],) + common[position + 1:])
            for piece in pieces]


# ---- derivatives ------------------------------------------------------------------------------
#
# Forward, each element of x goes to one place in one piece: a permutation matrix, whose transpose
# is its inverse. So cotangents are joined as the pieces would be, and a linear map takes tangents
# as it takes values:
#     x_bar = join(y_0_bar, y_1_bar, ...),    (dy_0, dy_1, ...) = split(dx)
# The inverse first repeats what has to be broadcast, then joins. Transposed, in opposite order: cut
# x_bar into pieces, then sum each over what was repeated:
#     y_k_bar = unbroadcast(split(x_bar)_k),    dx = join(dy_0, dy_1, ...)


def split_forward_vjp(x: Array, sizes: Sequence[int], axis: int, y_bar: Sequence[Array],
                      fldj_bar: Array) -> Array:
    """x_bar = the cotangents of the pieces, joined.

    Args:
      x, sizes, axis: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return np.concatenate(y_bar, axis=axis)


def split_inverse_vjp(x: Array, shapes: Sequence[tuple[int, ...]], axis: int, x_bar: Array,
                      ildj_bar: Array) -> list[Array]:
    """y_bar = the pieces of x_bar, each summed over the dimensions that were broadcast.

    Args:
      x: the result of the inverse.
      shapes: those of the pieces y, which x does not tell if they were broadcast.
      axis: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      a list of arrays of these shapes.

    Source: the derivation above.
    """
    pieces, _ = split_forward(x_bar, [shape[axis] for shape in shapes], axis)
    return [rounded(unbroadcast(widened(piece), shape), x, x_bar)
            for piece, shape in zip(pieces, shapes, strict=True)]


def split_forward_jvp(x: Array, sizes: Sequence[int], axis: int,
                      x_dot: Array) -> tuple[list[Array], Array]:
    """(y_dot, fldj_dot) = ([pieces of x_dot], 0).

    Args:
      x, sizes, axis: as for the forward function.
      x_dot: the tangent of x.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return split_forward(x_dot, sizes, axis)


def split_inverse_jvp(x: Array, axis: int, y_dot: Sequence[Array]) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (the tangents of the pieces, joined, 0).

    Args:
      x: the result of the inverse.
      axis: as for the inverse function.
      y_dot: the tangents of the pieces, of their shapes.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return split_inverse(y_dot, axis)


class Split(Bijector):
    """Splits an event into a list of events."""

    def __init__(self, num_or_size_splits: Any, axis: int = -1, validate_args: bool = False,
                 name: str = "split") -> None:
        """Build it.

        Args:
          num_or_size_splits: how many equal pieces, or the sizes of the pieces, of which one may
            be -1 for "whatever is left".
          axis: the dimension, counted from the end (negative).
          validate_args: whether to check that inputs are finite.
          name: its name.

        Raises:
          TypeError: if a size is not an integer.
          ValueError: if the sizes or the axis are not as above.
        """
        if axis >= 0:
            raise ValueError(f"{name}: axis must be negative; got {axis}.")
        self._axis = axis
        if isinstance(num_or_size_splits, numbers.Integral):
            self._num_splits, self._sizes = int(num_or_size_splits), None
        else:
            self._sizes = [operator.index(size) for size in np.atleast_1d(num_or_size_splits)]
            self._num_splits = len(self._sizes)
            if self._sizes.count(-1) > 1 or min(self._sizes, default=0) < -1:
                raise ValueError(f"{name}: sizes must be non-negative, at most one of them -1; "
                                 f"got {self._sizes}.")
        if self._num_splits < 1:
            raise ValueError(f"{name}: needs at least one piece.")
        super().__init__(forward_min_event_ndims=-axis,
                         inverse_min_event_ndims=[-axis] * self._num_splits,
                         is_constant_jacobian=True, validate_args=validate_args, name=name,
                         parameters=dict(num_or_size_splits=num_or_size_splits, axis=axis,
                                         validate_args=validate_args, name=name))

    @property
    def num_splits(self) -> int:
        """How many pieces."""
        return self._num_splits

    @property
    def split_sizes(self) -> list[int] | None:
        """The pieces' sizes as given, or None for equal pieces."""
        return None if self._sizes is None else list(self._sizes)

    @property
    def axis(self) -> int:
        """The dimension, counted from the end."""
        return self._axis

    @property
    def is_permutation(self) -> bool:
        """True."""
        return True

    def _forward_and_log_det(self, x: Array) -> tuple[list[Array], Array]:
        return split_forward(x, self._sizes_for(x.shape[self._axis]), self._axis)

    def _inverse_and_log_det(self, y: list[Array]) -> tuple[Array, Array]:
        self._check_pieces([piece.shape[self._axis] for piece in y])
        return split_inverse(y, self._axis)

    def _vjp(self, forward: bool, x: Any) -> tuple[tuple[Any, Array], Pull]:
        result: Any  # a list in one direction, an array in the other
        result, log_det = self._forward_and_log_det(x) if forward else self._inverse_and_log_det(x)

        def pull(bar: Any, log_det_bar: Array, bars: Cotangents) -> Any:
            if forward:
                sizes = [piece.shape[self._axis] for piece in result]
                return split_forward_vjp(x, sizes, self._axis, bar, log_det_bar)
            shapes = [piece.shape for piece in x]
            return split_inverse_vjp(result, shapes, self._axis, bar, log_det_bar)
        return (result, log_det), pull

    def _jvp(self, forward: bool, x: Any, x_dot: Any,
             tangents: Tangents) -> tuple[tuple[Any, Array], tuple[Any, Array]]:
        if forward:
            sizes = self._sizes_for(x.shape[self._axis])
            return (split_forward(x, sizes, self._axis),
                    split_forward_jvp(x, sizes, self._axis, x_dot))
        result, log_det = self._inverse_and_log_det(x)
        return (result, log_det), split_inverse_jvp(result, self._axis, x_dot)

    def _forward_event_shape(self, shape: EventShape) -> list[EventShape]:
        total = shape[self._axis]
        sizes: Sequence[int | None] = (
            [None if s == -1 else s for s in self._sizes or [-1] * self._num_splits]
            if total is None else self._sizes_for(total))
        return [self._with_size(shape, size) for size in sizes]

    def _inverse_event_shape(self, shapes: list[EventShape]) -> EventShape:
        sizes = [shape[self._axis] for shape in shapes]
        self._check_pieces(sizes)
        known = [s for s in sizes if s is not None]
        return self._with_size(shapes[0], sum(known) if len(known) == len(sizes) else None)

    def _forward_dtype(self, dtype: Any, **kwargs: Any) -> list[Any]:
        return [dtype] * self._num_splits

    def _inverse_dtype(self, dtype: Any, **kwargs: Any) -> Any:
        known = {d for d in dtype if d is not None}
        if len(known) > 1:
            raise ValueError(f"{self.name}: the pieces have different dtypes: {dtype}.")
        return known.pop() if known else None

    def _with_size(self, shape: EventShape, size: int | None) -> EventShape:
        sizes = shape.as_list()
        sizes[self._axis] = size
        return EventShape(sizes)

    def _sizes_for(self, total: int) -> list[int]:
        """The pieces' sizes along a dimension of `total` elements."""
        if self._sizes is None:
            if total % self._num_splits:
                raise ValueError(f"{self.name}: {total} elements along dimension {self._axis} "
                                 f"cannot be split into {self._num_splits} equal pieces.")
            return [total // self._num_splits] * self._num_splits
        rest = total - sum(s for s in self._sizes if s != -1)
        if rest < 0 or (rest > 0 and -1 not in self._sizes):
            raise ValueError(f"{self.name}: {total} elements along dimension {self._axis} do not "
                             f"match the sizes {self._sizes}.")
        return [rest if s == -1 else s for s in self._sizes]

    def _check_pieces(self, sizes: Sequence[int | None]) -> None:
        expected = self._sizes or [-1] * self._num_splits
        if len(sizes) != len(expected) or any(
                e != -1 and s is not None and s != e for s, e in zip(sizes, expected, strict=True)):
            raise ValueError(f"{self.name}: the pieces have sizes {list(sizes)} along dimension "
                             f"{self._axis}; expected {expected}.")
        if self._sizes is None and len({s for s in sizes if s is not None}) > 1:
            raise ValueError(f"{self.name}: the pieces must be equal; got {list(sizes)}.")
