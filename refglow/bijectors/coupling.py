"""Glow's couplings as functions of whole images: split, map, join and log-det in one.

With the channels of x split in [x0 | x1] after the first K, and a network's output for x0:

    sigmoid coupling   output = [r | t]    y = [x0 | x1 * sigmoid(r + 2) + t]
    exp coupling       output = [r | t]    y = [x0 | x1 * exp(r + 2) + t]
    shift coupling     output = t          y = [x0 | x1 + t]

The inverses are [y0 | (y1 - t) / s] and [y0 | y1 - t]. The log-det is that of a whole example, the
sum of log s over its pixels and mapped channels. A bijector does the same in four parts (RealNVP,
NetworkCoupling, SigmoidAffine and so on, the sum over pixels); as one function it is what a kernel
computes in one pass over memory.

Source: Kingma & Dhariwal 2018, section 3.3 and table 1; tfp.bijectors.RealNVP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.array_library import asarray, zeros
from refglow.bijectors import glow_coupling
from refglow.bijectors.shift import shift_forward, shift_inverse
from refglow.dtypes import Array, accumulator

Affine = Callable[..., Any]


def sigmoid_coupling_forward(x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """([x0 | x1 * sigmoid(r + 2) + t], sum log sigmoid(r + 2)).

    Args:
      x: [N, P, C], N examples of P pixels, any number type.
      output: [N, P, 2 (C - K)], the network's, [r | t].
      deciding: K, how many channels decide.

    Returns:
      y: [N, P, C]; fldj: [N], in nats, in the accumulator type (float64 for float32).

    Source: as the module.
    """
    return _affine(glow_coupling.sigmoid_affine_forward, x, output, deciding)


def sigmoid_coupling_inverse(y: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """([y0 | (y1 - t) / sigmoid(r + 2)], -sum log sigmoid(r + 2)).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return _affine(glow_coupling.sigmoid_affine_inverse, y, output, deciding)


def exp_coupling_forward(x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """([x0 | x1 * exp(r + 2) + t], sum (r + 2)).

    Args, Returns: as for `sigmoid_coupling_forward`.

    Source: as the module.
    """
    return _affine(glow_coupling.exp_affine_forward, x, output, deciding)


def exp_coupling_inverse(y: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """([y0 | (y1 - t) / exp(r + 2)], -sum (r + 2)).

    Args, Returns: as for `sigmoid_coupling_forward`, with y for x.

    Source: as the module.
    """
    return _affine(glow_coupling.exp_affine_inverse, y, output, deciding)


def shift_coupling_forward(x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """([x0 | x1 + t], 0).

    Args:
      x, deciding: as for `sigmoid_coupling_forward`.
      output: [N, P, C - K], the network's, t.

    Returns:
      y: [N, P, C]; fldj: [N] zeros, in the accumulator type.

    Source: as the module.
    """
    return _shifted(shift_forward, x, output, deciding)


def shift_coupling_inverse(y: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    """([y0 | y1 - t], 0).

    Args, Returns: as for `shift_coupling_forward`, with y for x.

    Source: as the module.
    """
    return _shifted(shift_inverse, y, output, deciding)


# ---- derivatives ------------------------------------------------------------------------------
#
# x0 passes: its cotangent is y0_bar here, and what comes back through the network is added by
# whoever called the network. x1, r and t have the cotangents of the elementwise maps (see
# glow_coupling.py), where the cotangent of each element's log-det is that of its example's sum.


def sigmoid_coupling_forward_vjp(x: Array, output: Array, deciding: int, y_bar: Array,
                                 fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, output_bar); x_bar without what comes back through the network.

    Args:
      x, output, deciding: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, [N, P, C] and [N].

    Returns:
      x_bar: [N, P, C]; output_bar = [r_bar | t_bar]: [N, P, 2 (C - K)].

    Source: the derivation above.
    """
    return _affine_vjp(glow_coupling.sigmoid_affine_forward_vjp, x, output, deciding, y_bar,
                       fldj_bar)


def sigmoid_coupling_inverse_vjp(x: Array, output: Array, deciding: int, x_bar: Array,
                                 ildj_bar: Array) -> tuple[Array, Array]:
    """(y_bar, output_bar); y_bar without what comes back through the network.

    Args:
      x: the result of the inverse, [N, P, C].
      output, deciding: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, [N, P, C] and [N].

    Returns:
      y_bar: [N, P, C]; output_bar = [r_bar | t_bar]: [N, P, 2 (C - K)].

    Source: the derivation above.
    """
    return _affine_vjp(glow_coupling.sigmoid_affine_inverse_vjp, x, output, deciding, x_bar,
                       ildj_bar)


def exp_coupling_forward_vjp(x: Array, output: Array, deciding: int, y_bar: Array,
                             fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, output_bar); x_bar without what comes back through the network.

    Args, Returns: as for `sigmoid_coupling_forward_vjp`.

    Source: the derivation above.
    """
    return _affine_vjp(glow_coupling.exp_affine_forward_vjp, x, output, deciding, y_bar, fldj_bar)


def exp_coupling_inverse_vjp(x: Array, output: Array, deciding: int, x_bar: Array,
                             ildj_bar: Array) -> tuple[Array, Array]:
    """(y_bar, output_bar); y_bar without what comes back through the network.

    Args, Returns: as for `sigmoid_coupling_inverse_vjp`.

    Source: the derivation above.
    """
    return _affine_vjp(glow_coupling.exp_affine_inverse_vjp, x, output, deciding, x_bar, ildj_bar)


def shift_coupling_forward_vjp(x: Array, output: Array, deciding: int, y_bar: Array,
                               fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, output_bar) = (y_bar, y1_bar), without what comes back through the network.

    Args:
      x, output, deciding: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, [N, P, C] and [N].

    Returns:
      x_bar: [N, P, C]; output_bar: [N, P, C - K].

    Source: the derivation above.
    """
    return y_bar.copy(), y_bar[..., deciding:].copy()


def shift_coupling_inverse_vjp(x: Array, output: Array, deciding: int, x_bar: Array,
                               ildj_bar: Array) -> tuple[Array, Array]:
    """(y_bar, output_bar) = (x_bar, -x1_bar), without what comes back through the network.

    Args:
      x: the result of the inverse, [N, P, C].
      output, deciding: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, [N, P, C] and [N].

    Returns:
      y_bar: [N, P, C]; output_bar: [N, P, C - K].

    Source: the derivation above.
    """
    return x_bar.copy(), -x_bar[..., deciding:]


def _affine(affine: Affine, x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    raw_scale, shift = _halves(output)
    mapped, log_det = affine(x[..., deciding:], raw_scale, shift)
    return np.concatenate([x[..., :deciding], mapped], axis=-1), log_det.sum(axis=(1, 2))


def _shifted(shift: Affine, x: Array, output: Array, deciding: int) -> tuple[Array, Array]:
    mapped, _ = shift(x[..., deciding:], output)
    none = zeros((len(x),), x, accumulator(x.dtype))
    return np.concatenate([x[..., :deciding], mapped], axis=-1), none


def _affine_vjp(affine_vjp: Affine, x: Array, output: Array, deciding: int, bar: Array,
                log_det_bar: Array) -> tuple[Array, Array]:
    raw_scale, shift = _halves(output)
    spread = np.broadcast_to(asarray(log_det_bar)[:, None, None], raw_scale.shape)
    mapped_bar, raw_bar, shift_bar = affine_vjp(x[..., deciding:], raw_scale, shift,
                                                bar[..., deciding:], spread)
    return (np.concatenate([bar[..., :deciding], mapped_bar], axis=-1),
            np.concatenate([raw_bar, shift_bar], axis=-1))


def _halves(output: Array) -> tuple[Array, Array]:
    mapped = output.shape[-1] // 2
    return output[..., :mapped], output[..., mapped:]


@dataclass(frozen=True)
class CouplingOp:
    """The four functions of one coupling."""

    forward: Callable[..., tuple[Array, Array]]
    inverse: Callable[..., tuple[Array, Array]]
    forward_vjp: Callable[..., tuple[Array, Array]]
    inverse_vjp: Callable[..., tuple[Array, Array]]


SIGMOID_COUPLING = CouplingOp(sigmoid_coupling_forward, sigmoid_coupling_inverse,
                              sigmoid_coupling_forward_vjp, sigmoid_coupling_inverse_vjp)
EXP_COUPLING = CouplingOp(exp_coupling_forward, exp_coupling_inverse, exp_coupling_forward_vjp,
                          exp_coupling_inverse_vjp)
SHIFT_COUPLING = CouplingOp(shift_coupling_forward, shift_coupling_inverse,
                            shift_coupling_forward_vjp, shift_coupling_inverse_vjp)
