"""ActNorm and the 1x1 convolution after it, folded into one map of a pixel's channels.

With ActNorm's shift m and log-scale v and the convolution's W = P L U:

    forward   y = W ((x + m) * exp(v)) = M x + M m,    M = W diag(exp(v))
              fldj = sum_c v_c + log|det W|
    inverse   x = (W^-1 y) * exp(-v) - m               ildj = -fldj

forward is the direction from image to latent: ActNorm's inverse, then the convolution. As two
bijectors they pass over memory twice; as one function, once, with one small matrix.

Source: Kingma & Dhariwal 2018, sections 3.1 and 3.2; tfp.bijectors.glow.GlowBlock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refglow.backend import accelerated
from refglow.bijectors.activation_normalization import (
    ActivationNormalization,
    activation_normalization_forward,
    activation_normalization_forward_jvp,
    activation_normalization_forward_vjp,
    activation_normalization_inverse,
    activation_normalization_inverse_jvp,
    activation_normalization_inverse_vjp,
)
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.invert import Invert
from refglow.bijectors.one_by_one_conv import OneByOneConv
from refglow.bijectors.op import Op, OpBijector
from refglow.bijectors.scale_matvec_lu import (
    scale_matvec_lu_forward,
    scale_matvec_lu_forward_jvp,
    scale_matvec_lu_forward_vjp,
    scale_matvec_lu_inverse,
    scale_matvec_lu_inverse_jvp,
    scale_matvec_lu_inverse_vjp,
)
from refglow.dtypes import Array


def normalized_conv_forward(x: Array, shift: Array, log_scale: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """(W ((x + m) * exp(v)), sum v + log|det W|).

    Args:
      x: [..., C], any number type.
      shift, log_scale: m and v, [C].
      lower_upper: the packed factors L and U, [C, C].
      permutation: P, ints [C].

    Returns:
      y of the shape of x; the log-det of one pixel, a scalar, in nats, in the accumulator type
      (float64 for float32).

    Source: as the module.
    """
    normalized, scale_log_det = activation_normalization_inverse(x, shift, log_scale)
    y, matrix_log_det = scale_matvec_lu_forward(normalized, lower_upper, permutation)
    return y, scale_log_det + matrix_log_det


def normalized_conv_inverse(y: Array, shift: Array, log_scale: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """((W^-1 y) * exp(-v) - m, -(sum v + log|det W|)).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    normalized, matrix_log_det = scale_matvec_lu_inverse(y, lower_upper, permutation)
    x, scale_log_det = activation_normalization_forward(normalized, shift, log_scale)
    return x, matrix_log_det + scale_log_det


# ---- derivatives: those of the two parts, one after the other ----------------------------------
#
# Both parts' derivatives are functions of what lies between them, n = (x + m) e^v = W^-1 y. In the
# direction forward it comes from x. In terms of x alone, with the sums over pixels G = sum y_bar
# x^T and g = sum y_bar, which is all that a kernel has to reduce:
#
#     x_bar = M^T y_bar,     sum y_bar n^T = (G + g m^T) diag(e^v) = W_bar
#     m_bar = M^T g,         v_bar = diag(W^T W_bar) + fldj_bar
#
# In the direction inverse it comes from y, as the convolution's own derivatives do. The x that was
# returned has been rounded, and where a channel's mean is large beside its spread, x + m leaves
# little but that rounding.


def normalized_conv_forward_vjp(x: Array, shift: Array, log_scale: Array, lower_upper: Array,
                                permutation: Array, y_bar: Array, fldj_bar: Array
                                ) -> tuple[Array, Array, Array, Array]:
    """(x_bar, shift_bar, log_scale_bar, lower_upper_bar).

    Args:
      x, shift, log_scale, lower_upper, permutation: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      arrays of the shapes of x [..., C], m [C], v [C] and lower_upper [C, C].

    Source: the derivation above.
    """
    normalized, _ = activation_normalization_inverse(x, shift, log_scale)
    normalized_bar, factors_bar = scale_matvec_lu_forward_vjp(normalized, lower_upper,
                                                              permutation, y_bar, fldj_bar)
    bars = activation_normalization_inverse_vjp(normalized, shift, log_scale, normalized_bar,
                                                fldj_bar)
    return *bars, factors_bar


def normalized_conv_inverse_vjp(y: Array, shift: Array, log_scale: Array, lower_upper: Array,
                                permutation: Array, x_bar: Array, ildj_bar: Array
                                ) -> tuple[Array, Array, Array, Array]:
    """(y_bar, shift_bar, log_scale_bar, lower_upper_bar).

    Args:
      y, shift, log_scale, lower_upper, permutation: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      arrays of the shapes of y [..., C], m [C], v [C] and lower_upper [C, C].

    Source: the derivation above.
    """
    normalized, _ = scale_matvec_lu_inverse(y, lower_upper, permutation)
    normalized_bar, shift_bar, log_scale_bar = activation_normalization_forward_vjp(
        normalized, shift, log_scale, x_bar, ildj_bar)
    y_bar, factors_bar = scale_matvec_lu_inverse_vjp(y, lower_upper, permutation, normalized_bar,
                                                     ildj_bar)
    return y_bar, shift_bar, log_scale_bar, factors_bar


def normalized_conv_forward_jvp(x: Array, shift: Array, log_scale: Array, lower_upper: Array,
                                permutation: Array, x_dot: Array, shift_dot: Array,
                                log_scale_dot: Array, lower_upper_dot: Array
                                ) -> tuple[Array, Array]:
    """(y_dot, fldj_dot), the tangents of the forward function's results.

    Args:
      x, shift, log_scale, lower_upper, permutation: as for the forward function.
      x_dot, shift_dot, log_scale_dot, lower_upper_dot: their tangents.

    Source: the derivation above.
    """
    normalized, _ = activation_normalization_inverse(x, shift, log_scale)
    normalized_dot, scale_dot = activation_normalization_inverse_jvp(
        normalized, shift, log_scale, x_dot, shift_dot, log_scale_dot)
    y_dot, matrix_dot = scale_matvec_lu_forward_jvp(normalized, lower_upper, permutation,
                                                    normalized_dot, lower_upper_dot)
    return y_dot, scale_dot + matrix_dot


def normalized_conv_inverse_jvp(y: Array, shift: Array, log_scale: Array, lower_upper: Array,
                                permutation: Array, y_dot: Array, shift_dot: Array,
                                log_scale_dot: Array, lower_upper_dot: Array
                                ) -> tuple[Array, Array]:
    """(x_dot, ildj_dot), the tangents of the inverse function's results.

    Args:
      y, shift, log_scale, lower_upper, permutation: as for the inverse function.
      y_dot, shift_dot, log_scale_dot, lower_upper_dot: the tangents of its arguments.

    Source: the derivation above.
    """
    normalized, _ = scale_matvec_lu_inverse(y, lower_upper, permutation)
    normalized_dot, matrix_dot = scale_matvec_lu_inverse_jvp(y, lower_upper, permutation, y_dot,
                                                             lower_upper_dot)
    x_dot, scale_dot = activation_normalization_forward_jvp(
        normalized, shift, log_scale, normalized_dot, shift_dot, log_scale_dot)
    return x_dot, matrix_dot + scale_dot


NORMALIZED_CONV = Op(normalized_conv_forward, normalized_conv_inverse, normalized_conv_forward_vjp,
                     normalized_conv_inverse_vjp, normalized_conv_forward_jvp,
                     normalized_conv_inverse_jvp, inverse_at="y")


class NormalizedConv(OpBijector):
    """An ActNorm and a 1x1 convolution that are next to each other in a chain, as one bijector.

    `forward` is the direction from image to latent. It holds the two, not copies: their parameters
    are its parameters.
    """

    def __init__(self, actnorm: ActivationNormalization, conv: OneByOneConv) -> None:
        """Fold the two."""
        self._actnorm, self._conv, self._matrix = actnorm, conv, conv.bijector
        self._checks_values = actnorm.validate_args or conv.validate_args
        self._names = {actnorm.name, f"invert_{conv.name}"}
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=conv.dtype,
                         members={"actnorm": actnorm, "conv": conv},
                         name=f"{conv.name}_of_{actnorm.name}",
                         parameters=dict(actnorm=actnorm, conv=conv))

    def computes(self, x: Array, kwargs: Mapping[str, Any]) -> bool:
        """Whether a kernel computes the two for events like these as one map.

        If not, the two have to be walked through one after the other: so that an ActNorm takes its
        start from its first batch, or so that what is wrong is said where it is.

        Args:
          x: [..., C].
          kwargs: arguments for bijectors by their names; these two take none.
        """
        variable = self._matrix.lower_upper
        lower_upper = variable.numpy()
        return (accelerated(normalized_conv_forward, x, variable.value_for(x)) is not None
                and not self._checks_values
                and self._actnorm.initialized and x.shape[-1:] == lower_upper.shape[-1:]
                and bool(np.abs(lower_upper.diagonal()).min() > 0)
                and self._names.isdisjoint(kwargs))

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        self._matrix._check_channels(array.shape[-1])
        return (NORMALIZED_CONV, (self._actnorm.shift, self._actnorm.log_scale,
                                  self._matrix.lower_upper),
                (self._matrix.permutation.value_for(array),))


def folded(parts: Sequence[Bijector]) -> list[Bijector]:
    """The parts of a chain with each ActNorm and 1x1 convolution after it as one.

    Args:
      parts: in the order in which Chain's `inverse` applies them.

    Returns:
      as many or fewer; in place of such a pair an Invert(NormalizedConv), which in `inverse`
      applies ActNorm's inverse, then the convolution.
    """
    result: list[Bijector] = []
    for part in parts:
        before = result[-1] if result else None
        conv = part.bijector if type(part) is Invert else None
        if type(before) is ActivationNormalization and type(conv) is OneByOneConv:
            result[-1] = Invert(NormalizedConv(before, conv))
        else:
            result.append(part)
    return result
