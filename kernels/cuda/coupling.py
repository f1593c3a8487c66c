"""Glow's couplings on a GPU: split, map, join and log-det of whole images in one pass.

Same names, parameters and results as refglow.bijectors.coupling, for arrays on a device (see
device.py). Log-dets are float64 for float64, else float32. Numbers may also be float16, or bfloat16
as its bits in uint16; the arithmetic is float32 then. Each function uses the best variant of its
kernel that applies (coupling_kernels.py, coupling_vjp_kernels.py): 16-byte accesses where the
channels are multiples of 16 bytes, tiles in shared memory where an example is one, and single
numbers everywhere else.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cuda.coupling_operands import coupling_operands, require_bars
from refglow.kernels.cuda.coupling_variants import run_map, run_vjp
from refglow.kernels.cuda.layout import negated


def sigmoid_coupling_forward(x: Any, output: Any, deciding: int) -> tuple[Any, Any]:
    """([x0 | x1 * sigmoid(r + 2) + t], sum log sigmoid(r + 2)).

    Args:
      x: [N, P, C], N examples of P pixels.
      output: [N, P, 2 (C - K)], the network's, [r | t], of the type of x.
      deciding: K, how many channels decide.

    Returns:
      y: [N, P, C] of the type of x; fldj: [N], in nats.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other.
    """
    return run_map("sigmoid_coupling_forward", None, x, output, deciding)


def sigmoid_coupling_inverse(y: Any, output: Any, deciding: int) -> tuple[Any, Any]:
    """([y0 | (y1 - t) / sigmoid(r + 2)], -sum log sigmoid(r + 2)).

    Args, Returns, Raises: as for the forward function, with y for x.
    """
    return run_map("sigmoid_coupling_inverse", None, y, output, deciding)


def exp_coupling_forward(x: Any, output: Any, deciding: int) -> tuple[Any, Any]:
    """([x0 | x1 * exp(r + 2) + t], sum (r + 2)).

    Args, Returns, Raises: as for `sigmoid_coupling_forward`.
    """
    return run_map("exp_coupling_forward", None, x, output, deciding)


def exp_coupling_inverse(y: Any, output: Any, deciding: int) -> tuple[Any, Any]:
    """([y0 | (y1 - t) / exp(r + 2)], -sum (r + 2)).

    Args, Returns, Raises: as for `sigmoid_coupling_forward`, with y for x.
    """
    return run_map("exp_coupling_inverse", None, y, output, deciding)


def shift_coupling_forward(x: Any, output: Any, deciding: int) -> tuple[Any, Any]:
    """([x0 | x1 + t], 0).

    Args:
      x, deciding: as for `sigmoid_coupling_forward`.
      output: [N, P, C - K], the network's, t, of the type of x.

    Returns:
      y: [N, P, C] of the type of x; fldj: [N] zeros.

    Raises:
      as for `sigmoid_coupling_forward`.
    """
    return run_map("shift_coupling_forward", None, x, output, deciding)


def shift_coupling_inverse(y: Any, output: Any, deciding: int) -> tuple[Any, Any]:
    """([y0 | y1 - t], 0).

    Args, Returns, Raises: as for `shift_coupling_forward`, with y for x.
    """
    return run_map("shift_coupling_inverse", None, y, output, deciding)


def sigmoid_coupling_forward_vjp(x: Any, output: Any, deciding: int, y_bar: Any,
                                 fldj_bar: Any) -> tuple[Any, Any]:
    """(x_bar, output_bar); x_bar without what comes back through the network.

    Args:
      x, output, deciding: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, [N, P, C] of the type of x and [N].

    Returns:
      x_bar: [N, P, C]; output_bar = [r_bar | t_bar]: [N, P, 2 (C - K)].

    Raises:
      as for the forward function.
    """
    return run_vjp("sigmoid_coupling_forward_vjp", None, x, output, deciding, y_bar, fldj_bar)


def sigmoid_coupling_inverse_vjp(x: Any, output: Any, deciding: int, x_bar: Any,
                                 ildj_bar: Any) -> tuple[Any, Any]:
    """(y_bar, output_bar); y_bar without what comes back through the network.

    Args:
      x: the result of the inverse, [N, P, C].
      output, deciding: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, [N, P, C] of the type of x and [N].

    Returns:
      y_bar: [N, P, C]; output_bar = [r_bar | t_bar]: [N, P, 2 (C - K)].

    Raises:
      as for the inverse function.
    """
    return run_vjp("sigmoid_coupling_inverse_vjp", None, x, output, deciding, x_bar, ildj_bar)


def exp_coupling_forward_vjp(x: Any, output: Any, deciding: int, y_bar: Any,
                             fldj_bar: Any) -> tuple[Any, Any]:
    """As `sigmoid_coupling_forward_vjp`, for the exp coupling."""
    return run_vjp("exp_coupling_forward_vjp", None, x, output, deciding, y_bar, fldj_bar)


def exp_coupling_inverse_vjp(x: Any, output: Any, deciding: int, x_bar: Any,
                             ildj_bar: Any) -> tuple[Any, Any]:
    """As `sigmoid_coupling_inverse_vjp`, for the exp coupling."""
    return run_vjp("exp_coupling_inverse_vjp", None, x, output, deciding, x_bar, ildj_bar)


# The shift coupling's derivatives only copy, which the array module's own kernels do.


def shift_coupling_forward_vjp(x: Any, output: Any, deciding: int, y_bar: Any,
                               fldj_bar: Any) -> tuple[Any, Any]:
    """(x_bar, output_bar) = (y_bar, y1_bar), without what comes back through the network.

    Args:
      x, output, deciding: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, [N, P, C] of the type of x and [N].

    Returns:
      x_bar: [N, P, C]; output_bar: [N, P, C - K].

    Raises:
      as for the forward function.
    """
    op = "shift_coupling_forward_vjp"
    require_bars(op, coupling_operands(op, x, output, deciding), y_bar, fldj_bar)
    return y_bar.copy(), y_bar[..., deciding:].copy()


def shift_coupling_inverse_vjp(x: Any, output: Any, deciding: int, x_bar: Any,
                               ildj_bar: Any) -> tuple[Any, Any]:
    """(y_bar, output_bar) = (x_bar, -x1_bar), without what comes back through the network.

    Args:
      x: the result of the inverse, [N, P, C].
      output, deciding: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, [N, P, C] of the type of x and [N].

    Returns:
      y_bar: [N, P, C]; output_bar: [N, P, C - K].

    Raises:
      as for the inverse function.
    """
    op = "shift_coupling_inverse_vjp"
    require_bars(op, coupling_operands(op, x, output, deciding), x_bar, ildj_bar)
    return x_bar.copy(), negated(x_bar[..., deciding:])
