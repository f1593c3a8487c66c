"""Expand (channels to pixels) and Squeeze (pixels to channels) on a GPU.

Same names, parameters and results as refglow.bijectors.expand, for arrays on a device (see
device.py): float32, float64, float16, and bfloat16 also as its bits in uint16. For Glow's block
size 2 the squeezed side is accessed 16 bytes at a time, where the array is a multiple of that;
otherwise single numbers are moved. The ladder of kernels is in squeeze_kernels.py.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cuda.squeeze_variants import run_expand, run_squeeze


def expand_forward(x: Any, block_size: int) -> tuple[Any, Any]:
    """(x with channels moved into n x n tiles of pixels, 0).

    Args:
      x: [..., H, W, C], with C divisible by block_size^2.
      block_size: n.

    Returns:
      y: [..., H n, W n, C / n^2]; the log-det 0 of one image, a scalar, in nats.

    Raises:
      TypeError: the number type is not supported.
      ValueError: the sizes are not divisible as above.
    """
    return run_expand(None, x, block_size)


def expand_inverse(y: Any, block_size: int) -> tuple[Any, Any]:
    """(y with n x n tiles of pixels moved into channels, 0): the squeeze.

    Args:
      y: [..., H, W, C], with H and W divisible by block_size.
      block_size: n.

    Returns:
      x: [..., H / n, W / n, C n^2]; the log-det 0 of one image, a scalar, in nats.

    Raises:
      TypeError: the number type is not supported.
      ValueError: the sizes are not divisible as above.
    """
    return run_squeeze(None, y, block_size)


# The map is a permutation, so the cotangent goes the other way.


def expand_forward_vjp(x: Any, block_size: int, y_bar: Any, fldj_bar: Any) -> Any:
    """x_bar = y_bar, put back where it came from.

    Args:
      x, block_size: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Raises:
      as for `expand_inverse`.
    """
    return run_squeeze(None, y_bar, block_size)[0]


def expand_inverse_vjp(x: Any, block_size: int, x_bar: Any, ildj_bar: Any) -> Any:
    """y_bar = x_bar, put back where it came from.

    Args:
      x: the result of the inverse.
      block_size: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of y.

    Raises:
      as for `expand_forward`.
    """
    return run_expand(None, x_bar, block_size)[0]
