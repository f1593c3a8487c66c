"""ActNorm and the 1x1 convolution after it as one map of a pixel's channels, on a GPU.

Same names, parameters and results as refglow.bijectors.normalized_conv, for one matrix and arrays
on a device (see device.py). With M = W diag(exp(v)), whose packed factors are those of W with U's
columns scaled,

    forward   y = M (x + m)
    inverse   x = M^-1 y - m

each in one pass over memory. m is added before M multiplies: the constant M m, added afterwards,
would cancel most of M x where a channel's mean is large beside its spread. With the sums over
pixels G = sum y_bar (x + m)^T and g = sum y_bar, from one pass over x and y_bar,

    forward   x_bar = M^T y_bar     W_bar = G diag(e^v)
              m_bar = M^T g         v_bar_c = sum_i M_ic G_ic + fldj_bar
    inverse   y_bar = M^-T x_bar    lower_upper_bar by scale_matvec_lu.inverse_bars of M's factors
              m_bar = -sum x_bar    v_bar_c = -sum x_bar_c (x + m)_c - ildj_bar,  x + m = M^-1 y

(The derivation is the specification's.) In the inverse m_bar and v_bar have sums of their own: as
-M^T g and with M^T G they would carry y_bar's roundings, enlarged by the condition of M.

Products or substitutions: see scale_matvec_lu.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.layout import require_one_dtype, require_shape
from refglow.kernels.cuda.lu_algebra import (
    WIDE,
    factors_bar,
    factors_of_inverse,
    log_abs_det,
    matrix_of,
    packed_bar,
    with_scaled_columns,
)
from refglow.kernels.cuda.one_by_one_conv import multiply, multiply_shifted
from refglow.kernels.cuda.outer_products import sums_of_outer_products
from refglow.kernels.cuda.scale_matvec_lu import (
    as_pixels,
    checked_device,
    inverse_bars,
    solutions,
)
from refglow.kernels.cuda.triangular_solve import inverted, solve


def normalized_conv_forward(x: Any, shift: Any, log_scale: Any, lower_upper: Any,
                            permutation: Any) -> tuple[Any, Any]:
    """(W ((x + m) * exp(v)), sum v + log|det W|).

    Args:
      x: [..., C], float32 or float64.
      shift, log_scale: m and v, [C], of that type.
      lower_upper: the packed factors L and U, [C, C], of that type.
      permutation: P, ints [C].

    Returns:
      y of the shape of x; the log-det of one pixel, [] float64, in nats.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other.
    """
    device = _checked("normalized_conv_forward", shift, log_scale, lower_upper, permutation, x=x)
    folded = _folded(device, log_scale, lower_upper)
    weights = matrix_of(device, folded, permutation).T
    y = multiply_shifted(device, as_pixels(x), shift, weights, device.xp.zeros_like(shift))
    return y.reshape(x.shape), _log_det(device, log_scale, lower_upper)


def normalized_conv_inverse(y: Any, shift: Any, log_scale: Any, lower_upper: Any,
                            permutation: Any) -> tuple[Any, Any]:
    """((W^-1 y) * exp(-v) - m, -(sum v + log|det W|)).

    Args, Returns, Raises: as for the forward function, with y for x.
    """
    device = _checked("normalized_conv_inverse", shift, log_scale, lower_upper, permutation, y=y)
    folded, pixels = _folded(device, log_scale, lower_upper), as_pixels(y)
    if y.dtype == np.float32:
        inverse = inverted(device, folded, permutation)
        x = multiply_shifted(device, pixels, device.xp.zeros_like(shift), inverse.T, -shift)
    else:
        x = solve(device, pixels, factors_of_inverse(device, folded, permutation, y.dtype), -shift)
    return x.reshape(y.shape), -_log_det(device, log_scale, lower_upper)


def normalized_conv_forward_vjp(x: Any, shift: Any, log_scale: Any, lower_upper: Any,
                                permutation: Any, y_bar: Any, fldj_bar: Any
                                ) -> tuple[Any, Any, Any, Any]:
    """(x_bar, shift_bar, log_scale_bar, lower_upper_bar).

    Args:
      x, shift, log_scale, lower_upper, permutation: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      arrays of the shapes of x [..., C], m [C], v [C] and lower_upper [C, C], of x's number type.

    Raises: as for the forward function.
    """
    device = _checked("normalized_conv_forward_vjp", shift, log_scale, lower_upper, permutation,
                      x=x, y_bar=y_bar)
    wide = lower_upper.astype(WIDE)
    matrix = matrix_of(device, _folded(device, log_scale, lower_upper), permutation)
    bars = as_pixels(y_bar)
    x_bar = multiply(device, bars, matrix)
    products, totals = sums_of_outer_products(device, bars, as_pixels(x), shift)
    products = products.astype(WIDE)
    matrix_bar = products * device.xp.exp(log_scale.astype(WIDE))
    return (x_bar.reshape(x.shape), (matrix.T @ totals).astype(x.dtype),
            ((matrix * products).sum(axis=0) + fldj_bar).astype(x.dtype),
            factors_bar(device, matrix_bar, fldj_bar, wide, permutation).astype(x.dtype))


def normalized_conv_inverse_vjp(y: Any, shift: Any, log_scale: Any, lower_upper: Any,
                                permutation: Any, x_bar: Any, ildj_bar: Any
                                ) -> tuple[Any, Any, Any, Any]:
    """(y_bar, shift_bar, log_scale_bar, lower_upper_bar).

    Args:
      y, shift, log_scale, lower_upper, permutation: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns, Raises: as for the forward function's vjp, with y for x.
    """
    device = _checked("normalized_conv_inverse_vjp", shift, log_scale, lower_upper, permutation,
                      y=y, x_bar=x_bar)
    folded, bars = _folded(device, log_scale, lower_upper), as_pixels(x_bar)
    u, shifted = solutions(device, as_pixels(y), folded, permutation)
    y_bar, below, above = inverse_bars(device, u, shifted, bars, folded, permutation)
    own_products, totals = sums_of_outer_products(device, bars, shifted,
                                                  device.xp.zeros_like(shift))
    scaled = above * device.xp.exp(log_scale.astype(WIDE))
    return (y_bar.reshape(y.shape), -totals,
            (-device.xp.diagonal(own_products) - ildj_bar).astype(y.dtype),
            packed_bar(device, -below, -scaled, -ildj_bar,
                       lower_upper.astype(WIDE)).astype(y.dtype))


def _folded(device: Device, log_scale: Any, lower_upper: Any) -> Any:
    """The packed factors of M, float64."""
    return with_scaled_columns(device, lower_upper.astype(WIDE), log_scale.astype(WIDE))


def _log_det(device: Device, log_scale: Any, lower_upper: Any) -> Any:
    return log_scale.astype(WIDE).sum() + log_abs_det(device, lower_upper.astype(WIDE))


def _checked(op: str, shift: Any, log_scale: Any, lower_upper: Any, permutation: Any,
             **pixels: Any) -> Device:
    device = checked_device(op, lower_upper, permutation, **pixels)
    require_one_dtype(op, (lower_upper.dtype.name,), shift=shift, log_scale=log_scale)
    for name, array in {"shift": shift, "log_scale": log_scale}.items():
        require_shape(op, name, array, (len(permutation),))
    return device
