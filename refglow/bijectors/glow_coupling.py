"""The two affine maps that Glow's networks control, by a raw scale r and a shift t.

    s = sigmoid(r + 2)    in the steps of a block ("sigmoid affine"), scales stay below 1
    s = exp(r + 2)        at the exits ("exp affine")

    forward   y = x * s + t          fldj = sum_c log s_c
    inverse   x = (y - t) / s        ildj = -sum_c log s_c

The + 2 makes the sigmoid's start, at r = 0, a scale of 0.88 rather than 0.5. log s is taken from r
directly (log sigmoid(r + 2), or r + 2): the logarithm of the rounded s would lose digits.

RealNVP applies these in the direction latent -> image inverted (Invert(RealNVP)): towards the
latent, z = s * x + t.

Source: Kingma & Dhariwal 2018, section 3.3 and table 1; tfp.bijectors.glow, make_bijector_fn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.op import Op, OpBijector
from refglow.cotangents import unbroadcast
from refglow.dtypes import Array, rounded, widened
from refglow.elementary import exp, log_sigmoid, sigmoid
from refglow.parameter import parameter


def sigmoid_affine_forward(x: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """(x * sigmoid(raw_scale + 2) + shift, log sigmoid(raw_scale + 2)), elementwise.

    Args:
      x: [..., C], any number type.
      raw_scale, shift: a network's output, broadcasting against x.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of raw_scale, in nats,
      in the accumulator type (float64 for float32).

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded(widened(x) * sigmoid(r) + shift, x, raw_scale, shift), log_sigmoid(r)


def sigmoid_affine_inverse(y: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """((y - shift) / sigmoid(raw_scale + 2), -log sigmoid(raw_scale + 2)), elementwise.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded((widened(y) - shift) / sigmoid(r), y, raw_scale, shift), -log_sigmoid(r)


def exp_affine_forward(x: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """(x * exp(raw_scale + 2) + shift, raw_scale + 2), elementwise.

    Args:
      x: [..., C], any number type.
      raw_scale, shift: a network's output, broadcasting against x.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of raw_scale, in nats,
      in the accumulator type (float64 for float32).

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded(widened(x) * exp(r) + shift, x, raw_scale, shift), r


def exp_affine_inverse(y: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """((y - shift) / exp(raw_scale + 2), -(raw_scale + 2)), elementwise.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded((widened(y) - shift) / exp(r), y, raw_scale, shift), -r


# ---- derivatives ------------------------------------------------------------------------------
#
# With s = sigmoid(r + 2), q = d log s / dr = sigmoid(-(r + 2)), so ds = s q dr. For y = x s + t:
#     dy = s dx + x s q dr + dt,           dfldj = q dr
#     x_bar = s y_bar,    raw_scale_bar = (x s y_bar + fldj_bar) q,      shift_bar = y_bar
# For the inverse, x = (y - t) / s, as functions of x:
#     dx = (dy - dt) / s - x q dr,         dildj = -q dr
#     y_bar = x_bar / s,  raw_scale_bar = -(x x_bar + ildj_bar) q,       shift_bar = -y_bar
#
# With s = exp(r + 2) the same holds with q = 1.


def sigmoid_affine_forward_vjp(x: Array, raw_scale: Array, shift: Array, y_bar: Array,
                               fldj_bar: Array) -> tuple[Array, Array, Array]:
    """(x_bar, raw_scale_bar, shift_bar) = (s y_bar, (x s y_bar + fldj_bar) q, y_bar).

    Args:
      x, raw_scale, shift: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the broadcast shape, the others of the shapes of raw_scale and shift.

    Source: the derivation above.
    """
    r = widened(raw_scale) + 2
    return _affine_forward_vjp(x, raw_scale, shift, y_bar, fldj_bar, sigmoid(r), sigmoid(-r))


def sigmoid_affine_inverse_vjp(x: Array, raw_scale: Array, shift: Array, x_bar: Array,
                               ildj_bar: Array) -> tuple[Array, Array, Array]:
    """(y_bar, raw_scale_bar, shift_bar) = (x_bar / s, -(x x_bar + ildj_bar) q, -x_bar / s).

    Args:
      x: the result of the inverse.
      raw_scale, shift: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the broadcast shape, the others of the shapes of raw_scale and shift.

    Source: the derivation above.
    """
    r = widened(raw_scale) + 2
    return _affine_inverse_vjp(x, raw_scale, shift, x_bar, ildj_bar, sigmoid(r), sigmoid(-r))


def sigmoid_affine_forward_jvp(x: Array, raw_scale: Array, shift: Array, x_dot: Array,
                               raw_scale_dot: Array, shift_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (s x_dot + x s q r_dot + shift_dot, q r_dot).

    Args:
      x, raw_scale, shift: as for the forward function.
      x_dot, raw_scale_dot, shift_dot: their tangents.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    r = widened(raw_scale) + 2
    return _affine_forward_jvp(x, x_dot, raw_scale_dot, shift_dot, sigmoid(r), sigmoid(-r))


def sigmoid_affine_inverse_jvp(x: Array, raw_scale: Array, shift: Array, y_dot: Array,
                               raw_scale_dot: Array, shift_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = ((y_dot - shift_dot) / s - x q r_dot, -q r_dot).

    Args:
      x: the result of the inverse.
      raw_scale, shift: as for the inverse function.
      y_dot, raw_scale_dot, shift_dot: the tangents of its arguments.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    r = widened(raw_scale) + 2
    return _affine_inverse_jvp(x, y_dot, raw_scale_dot, shift_dot, sigmoid(r), sigmoid(-r))


def exp_affine_forward_vjp(x: Array, raw_scale: Array, shift: Array, y_bar: Array,
                           fldj_bar: Array) -> tuple[Array, Array, Array]:
    """(x_bar, raw_scale_bar, shift_bar) = (s y_bar, x s y_bar + fldj_bar, y_bar).

    Args, Returns: as for `sigmoid_affine_forward_vjp`.

    Source: the derivation above.
    """
    s = exp(widened(raw_scale) + 2)
    return _affine_forward_vjp(x, raw_scale, shift, y_bar, fldj_bar, s, np.ones_like(s))


def exp_affine_inverse_vjp(x: Array, raw_scale: Array, shift: Array, x_bar: Array,
                           ildj_bar: Array) -> tuple[Array, Array, Array]:
    """(y_bar, raw_scale_bar, shift_bar) = (x_bar / s, -(x x_bar + ildj_bar), -x_bar / s).

    Args, Returns: as for `sigmoid_affine_inverse_vjp`.

    Source: the derivation above.
    """
    s = exp(widened(raw_scale) + 2)
    return _affine_inverse_vjp(x, raw_scale, shift, x_bar, ildj_bar, s, np.ones_like(s))


def exp_affine_forward_jvp(x: Array, raw_scale: Array, shift: Array, x_dot: Array,
                           raw_scale_dot: Array, shift_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (s x_dot + x s r_dot + shift_dot, r_dot).

    Args, Returns: as for `sigmoid_affine_forward_jvp`.

    Source: the derivation above.
    """
    s = exp(widened(raw_scale) + 2)
    return _affine_forward_jvp(x, x_dot, raw_scale_dot, shift_dot, s, np.ones_like(s))


def exp_affine_inverse_jvp(x: Array, raw_scale: Array, shift: Array, y_dot: Array,
                           raw_scale_dot: Array, shift_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = ((y_dot - shift_dot) / s - x r_dot, -r_dot).

    Args, Returns: as for `sigmoid_affine_inverse_jvp`.

    Source: the derivation above.
    """
    s = exp(widened(raw_scale) + 2)
    return _affine_inverse_jvp(x, y_dot, raw_scale_dot, shift_dot, s, np.ones_like(s))


def _affine_forward_vjp(x: Array, raw_scale: Array, shift: Array, y_bar: Array, fldj_bar: Array,
                        s: Array, q: Array) -> tuple[Array, Array, Array]:
    wide_bar = widened(y_bar)
    x_bar = wide_bar * s
    r_bar = (unbroadcast(x_bar * x, raw_scale.shape) + fldj_bar) * q
    return _rounded_bars(x_bar, r_bar, unbroadcast(wide_bar, shift.shape),
                         (x, raw_scale, shift, y_bar))


def _affine_inverse_vjp(x: Array, raw_scale: Array, shift: Array, x_bar: Array, ildj_bar: Array,
                        s: Array, q: Array) -> tuple[Array, Array, Array]:
    wide_bar = widened(x_bar)
    y_bar = wide_bar / s
    r_bar = -(unbroadcast(wide_bar * x, raw_scale.shape) + ildj_bar) * q
    return _rounded_bars(y_bar, r_bar, -unbroadcast(y_bar, shift.shape),
                         (x, raw_scale, shift, x_bar))


def _affine_forward_jvp(x: Array, x_dot: Array, raw_scale_dot: Array, shift_dot: Array,
                        s: Array, q: Array) -> tuple[Array, Array]:
    log_dot = q * raw_scale_dot
    y_dot = s * (widened(x_dot) + x * log_dot) + shift_dot
    return rounded(y_dot, x, x_dot, raw_scale_dot, shift_dot), log_dot


def _affine_inverse_jvp(x: Array, y_dot: Array, raw_scale_dot: Array, shift_dot: Array,
                        s: Array, q: Array) -> tuple[Array, Array]:
    log_dot = q * raw_scale_dot
    x_dot = (widened(y_dot) - shift_dot) / s - x * log_dot
    return rounded(x_dot, x, y_dot, raw_scale_dot, shift_dot), -log_dot


def _rounded_bars(x_bar: Array, r_bar: Array, shift_bar: Array,
                  operands: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    return (rounded(x_bar, *operands), rounded(r_bar, *operands), rounded(shift_bar, *operands))


SIGMOID_AFFINE = Op(sigmoid_affine_forward, sigmoid_affine_inverse, sigmoid_affine_forward_vjp,
                    sigmoid_affine_inverse_vjp, sigmoid_affine_forward_jvp,
                    sigmoid_affine_inverse_jvp)
EXP_AFFINE = Op(exp_affine_forward, exp_affine_inverse, exp_affine_forward_vjp,
                exp_affine_inverse_vjp, exp_affine_forward_jvp, exp_affine_inverse_jvp)


class RawAffine(OpBijector):
    """Base of the two affine maps: holds a network's raw scale and shift."""

    def __init__(self, raw_scale: Any, shift: Any, name: str = "raw_affine") -> None:
        """Hold a network's output.

        Args:
          raw_scale, shift: arrays or Variables whose shapes broadcast against the input.
          name: its name.
        """
        self._output: Array | None = None
        self._raw_scale = parameter(raw_scale, name, "raw_scale")
        self._shift = parameter(shift, name, "shift")
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True, name=name,
                         members={"raw_scale": self._raw_scale, "shift": self._shift},
                         parameters=dict(raw_scale=raw_scale, shift=shift, name=name))

    @classmethod
    def of_output(cls, output: Array) -> RawAffine:
        """The map that a network's whole output [r | t] stands for."""
        channels = output.shape[-1] // 2
        bijector = cls(output[..., :channels], output[..., channels:])
        bijector._output = output
        return bijector

    @property
    def output(self) -> Array | None:
        """[r | t] as one array, if it was made from one."""
        return self._output

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        return {"raw_scale": (self._raw_scale, 0), "shift": (self._shift, 0)}


class SigmoidAffine(RawAffine):
    """y = x * sigmoid(raw_scale + 2) + shift, for given arrays; the coupling in Glow's steps."""

    def __init__(self, raw_scale: Any, shift: Any, name: str = "sigmoid_affine") -> None:
        """As RawAffine, with this name."""
        super().__init__(raw_scale, shift, name)

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return SIGMOID_AFFINE, (self._raw_scale, self._shift), ()


class ExpAffine(RawAffine):
    """y = x * exp(raw_scale + 2) + shift, for given arrays; the coupling at Glow's exits."""

    def __init__(self, raw_scale: Any, shift: Any, name: str = "exp_affine") -> None:
        """As RawAffine, with this name."""
        super().__init__(raw_scale, shift, name)

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return EXP_AFFINE, (self._raw_scale, self._shift), ()
