"""Expand (channels to pixels) and its inverse, Squeeze (pixels to channels).

With block size n (2 in Glow), an [H, W, C] event becomes [H n, W n, C / n^2]:

    forward   y[h n + a, w n + b, c] = x[h, w, (c n + a) n + b]          fldj = 0
    inverse   x[h, w, (c n + a) n + b] = y[h n + a, w n + b, c]          ildj = 0

In words, for Squeeze: (h a)(w b) c -> h w (c a b). Each channel of the image owns n^2 consecutive
channels of the result, its n x n tile in reading order. Other orders, such as space_to_depth's
(a b c), are different functions.

It is Chain([Reshape, Transpose([0, 3, 1, 4, 2]), Reshape]):
[H, W, C] -> [H, W, C/n^2, n, n] -> [H, n, W, n, C/n^2] -> [H n, W n, C/n^2].

Source: Kingma & Dhariwal 2018, figure 2b; tfp.bijectors.glow.Expand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refglow.array_library import zeros
from refglow.backend import accelerated
from refglow.bijectors.bijector import Pull
from refglow.bijectors.chain import Chain
from refglow.bijectors.composition import Composition
from refglow.bijectors.glow_shapes import count_of, sizes_of_image
from refglow.bijectors.invert import Invert
from refglow.bijectors.reshape import Reshape
from refglow.bijectors.transpose import Transpose
from refglow.dtypes import Array, accumulator


def expand_forward(x: Array, block_size: int) -> tuple[Array, Array]:
    """(x with channels moved into n x n tiles of pixels, 0).

    Args:
      x: [..., H, W, C], any dtype, with C divisible by block_size^2.
      block_size: n.

    Returns:
      y: [..., H n, W n, C / n^2]; the log-det 0 of one image, a scalar, in nats.

    Raises:
      ValueError: if the sizes are not divisible as above.

    Source: as the module.
    """
    n, (h, w, c) = block_size, x.shape[-3:]
    tiles = x.reshape(x.shape[:-3] + (h, w, c // n**2, n, n))
    rows = np.moveaxis(tiles, (-2, -1), (-4, -2))  # [h, a, w, b, c]
    return rows.reshape(x.shape[:-3] + (h * n, w * n, c // n**2)), zeros((), x)


def expand_inverse(y: Array, block_size: int) -> tuple[Array, Array]:
    """(y with n x n tiles of pixels moved into channels, 0): the squeeze.

    Args:
      y: [..., H, W, C], any dtype, with H and W divisible by block_size.
      block_size: n.

    Returns:
      x: [..., H / n, W / n, C n^2]; the log-det 0 of one image, a scalar, in nats.

    Raises:
      ValueError: if the sizes are not divisible as above.

    Source: as the module.
    """
    n, (h, w, c) = block_size, y.shape[-3:]
    rows = y.reshape(y.shape[:-3] + (h // n, n, w // n, n, c))
    tiles = np.moveaxis(rows, (-4, -2), (-2, -1))  # [h, w, c, a, b]
    return tiles.reshape(y.shape[:-3] + (h // n, w // n, c * n**2)), zeros((), y)


# ---- derivatives ------------------------------------------------------------------------------
#
# y holds the elements of x in other places, y = P x with a permutation matrix P, and the log-det 0
# does not change. P is orthogonal, so the transposed map, which takes cotangents back, is the
# inverse; and a linear map takes tangents as it takes values:
#     x_bar = P^T y_bar = P^-1 y_bar,    y_bar = P x_bar,    dy = P dx,    dx = P^-1 dy


def expand_forward_vjp(x: Array, block_size: int, y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = y_bar, put back where it came from.

    Args:
      x, block_size: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return expand_inverse(y_bar, block_size)[0]


def expand_inverse_vjp(x: Array, block_size: int, x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = x_bar, put back where it came from.

    Args:
      x: the result of the inverse.
      block_size: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of y.

    Source: the derivation above.
    """
    return expand_forward(x_bar, block_size)[0]


def expand_forward_jvp(x: Array, block_size: int, x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (x_dot rearranged as x is, 0).

    Args:
      x, block_size: as for the forward function.
      x_dot: the tangent of x.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return expand_forward(x_dot, block_size)


def expand_inverse_jvp(x: Array, block_size: int, y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot rearranged as y is, 0).

    Args:
      x: the result of the inverse.
      block_size: as for the inverse function.
      y_dot: the tangent of y.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return expand_inverse(y_dot, block_size)


class Expand(Composition):
    """Moves channels into space; its inverse is Glow's squeeze.

    >>> import numpy as np, refglow as rg
    >>> expand = rg.bijectors.Expand((1, 1, 4))
    >>> expand.forward(np.arange(4.0).reshape(1, 1, 4))[..., 0].tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """

    def __init__(self, input_shape: Sequence[int], block_size: int = 2,
                 validate_args: bool = False, name: str = "Expand") -> None:
        """Build it.

        Args:
          input_shape: (..., H, W, C) of the forward input; C divisible by block_size^2.
          block_size: the side n of a tile.
          validate_args: whether to check that inputs are finite.
          name: its name.

        Raises:
          ValueError: if C is not divisible by n^2, or the arguments are not as above.
        """
        h, w, c = sizes_of_image(tuple(input_shape)[-3:], f"{name}: input_shape")
        n = count_of(block_size, f"{name}: block_size", 1)
        if c % n**2:
            raise ValueError(f"{name}: {c} channels cannot be moved into tiles of {n} x {n} "
                             f"pixels; the number must be divisible by {n**2}.")
        self._block_size = n
        self._image_shapes = {True: (h, w, c), False: (h * n, w * n, c // n**2)}
        super().__init__(
            Chain([Reshape((h * n, w * n, c // n**2), (h, n, w, n, c // n**2)),
                   Transpose((0, 3, 1, 4, 2)),
                   Reshape((h, w, c // n**2, n, n), (h, w, c))]),
            validate_args=validate_args, name=name,
            parameters=dict(input_shape=input_shape, block_size=block_size,
                            validate_args=validate_args, name=name))

    @property
    def block_size(self) -> int:
        """The side of a tile."""
        return self._block_size

    # Where a kernel computes the three parts as one function, it does.

    def _forward(self, x: Any, **kwargs: Any) -> Any:
        move = self._as_one_function(True, x, kwargs)
        return super()._forward(x, **kwargs) if move is None else move(x)

    def _inverse(self, y: Any, **kwargs: Any) -> Any:
        move = self._as_one_function(False, y, kwargs)
        return super()._inverse(y, **kwargs) if move is None else move(y)

    def _forward_and_event_log_det(self, x: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        if self._as_one_function(True, x, kwargs) is None:
            return super()._forward_and_event_log_det(x, event_ndims, **kwargs)
        return self._forward(x), _no_log_det(x, event_ndims)

    def _inverse_and_event_log_det(self, y: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        if self._as_one_function(False, y, kwargs) is None:
            return super()._inverse_and_event_log_det(y, event_ndims, **kwargs)
        return self._inverse(y), _no_log_det(y, event_ndims)

    def _event_vjp(self, forward: bool, x: Any, event_ndims: Any,
                   **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        back = self._as_one_function(not forward, x, kwargs)
        if back is None:
            return super()._event_vjp(forward, x, event_ndims, **kwargs)
        values = self._event_values(forward, x, event_ndims)
        return values, lambda y_bar, log_det_bar, bars: back(y_bar)

    def _as_one_function(self, forward: bool, x: Any,
                         kwargs: Any) -> Callable[[Array], Array] | None:
        """The kernel that moves arrays like x, or None if there is none.

        Nor is there one for other images than the bijector's: its parts say what is wrong.
        """
        kernel = accelerated(expand_forward if forward else expand_inverse, x)
        if (kernel is None or kwargs or self.validate_args
                or x.shape[-3:] != self._image_shapes[forward]):
            return None
        return lambda array: kernel(array, self._block_size)[0]


def _no_log_det(x: Array, event_ndims: int) -> Array:
    """The log-det of each event, 0."""
    return zeros(x.shape[:x.ndim - event_ndims], x, accumulator(x.dtype))


class Squeeze(Invert):
    """Moves space into channels: Invert(Expand)."""

    def __init__(self, input_shape: Sequence[int], block_size: int = 2,
                 validate_args: bool = False, name: str = "Squeeze") -> None:
        """Build it.

        Args:
          input_shape: (..., H, W, C) of the forward input; H and W divisible by block_size.
          block_size: the side n of a tile.
          validate_args: whether to check that inputs are finite.
          name: its name.

        Raises:
          ValueError: if H or W is not divisible by n, or the arguments are not as above.
        """
        h, w, c = sizes_of_image(tuple(input_shape)[-3:], f"{name}: input_shape")
        n = count_of(block_size, f"{name}: block_size", 1)
        if h % n or w % n:
            raise ValueError(f"{name}: an image of {h} x {w} pixels cannot be cut into tiles of "
                             f"{n} x {n}.")
        super().__init__(Expand((h // n, w // n, c * n**2), n), validate_args=validate_args,
                         name=name,
                         parameters=dict(input_shape=input_shape, block_size=block_size,
                                         validate_args=validate_args, name=name))
