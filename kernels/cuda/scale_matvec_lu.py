"""Multiplication of channel vectors by W = P L U on a GPU: the 1x1 convolution.

Same names, parameters and results as refglow.bijectors.scale_matvec_lu, for one matrix and arrays
on a device (see device.py). The algebra of the small matrix is float64 (lu_algebra.py); what each
pixel costs is a product with it, in the pixels' own number type (one_by_one_conv.py).

The inverse. In float32 it is a product with W^-1, which was computed in float64 and rounded once:
its error is at most (C + 1) eps |W^-1| |y|, no more than that of substitutions. In float64 the
inverted matrix itself would carry an error that grows with the condition of W, a second time; there
it is two triangular substitutions (triangular_solve.py), as in the specification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refglow.kernels.cuda.device import Device, device_of
from refglow.kernels.cuda.layout import FLOATING, require_one_dtype, require_shape
from refglow.kernels.cuda.lu_algebra import (
    WIDE,
    factors_bar,
    factors_of_inverse,
    factors_of_lower_inverse,
    factors_of_transposed_lower_inverse,
    factors_of_transposed_upper_inverse,
    factors_of_upper_inverse,
    log_abs_det,
    matrix_of,
    packed_bar,
)
from refglow.kernels.cuda.one_by_one_conv import multiply
from refglow.kernels.cuda.outer_products import sums_of_outer_products
from refglow.kernels.cuda.triangular_solve import inverted, solve

Multiply = Callable[[Device, Any, Any], Any]
Solve = Callable[[Device, Any, Any, Any], Any]
SumOfOuterProducts = Callable[[Device, Any, Any, Any], tuple[Any, Any]]


def scale_matvec_lu_forward(x: Any, lower_upper: Any, permutation: Any) -> tuple[Any, Any]:
    """(W x, log|det W|).

    Args:
      x: [..., C], float32 or float64.
      lower_upper: [C, C], of that type.
      permutation: ints, [C].

    Returns:
      y of the shape of x; the log-det of one vector, [] float64, in nats.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other.
    """
    return forward_by(multiply, x, lower_upper, permutation)


def scale_matvec_lu_inverse(y: Any, lower_upper: Any, permutation: Any) -> tuple[Any, Any]:
    """(W^-1 y, -log|det W|).

    Args, Returns, Raises: as for the forward function, with y for x.
    """
    if y.dtype == np.float32:
        return inverse_by_product(multiply, y, lower_upper, permutation)
    return inverse_by_substitution(solve, y, lower_upper, permutation)


def scale_matvec_lu_forward_vjp(x: Any, lower_upper: Any, permutation: Any, y_bar: Any,
                                fldj_bar: Any) -> tuple[Any, Any]:
    """(x_bar, lower_upper_bar).

    Args:
      x, lower_upper, permutation: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      arrays of the shapes of x [..., C] and lower_upper [C, C], of x's number type.

    Raises: as for the forward function.
    """
    return forward_vjp_by(sums_of_outer_products, x, lower_upper, permutation, y_bar, fldj_bar)


def scale_matvec_lu_inverse_vjp(y: Any, lower_upper: Any, permutation: Any, x_bar: Any,
                                ildj_bar: Any) -> tuple[Any, Any]:
    """(y_bar, lower_upper_bar).

    Args:
      y, lower_upper, permutation: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns, Raises: as for the forward function's vjp, with y for x.
    """
    device = checked_device("scale_matvec_lu_inverse_vjp", lower_upper, permutation, y=y,
                            x_bar=x_bar)
    wide, pixels = lower_upper.astype(WIDE), as_pixels(y)
    u, x = solutions(device, pixels, wide, permutation)
    y_bar, below, above = inverse_bars(device, u, x, as_pixels(x_bar), wide, permutation)
    bars = packed_bar(device, -below, -above, -ildj_bar, wide)
    return y_bar.reshape(y.shape), bars.astype(y.dtype)


def forward_by(product: Multiply, x: Any, lower_upper: Any, permutation: Any) -> tuple[Any, Any]:
    """The forward function, with pixels multiplied by `product`."""
    device = checked_device("scale_matvec_lu_forward", lower_upper, permutation, x=x)
    wide = lower_upper.astype(WIDE)
    y = product(device, as_pixels(x), matrix_of(device, wide, permutation).T)
    return y.reshape(x.shape), log_abs_det(device, wide)


def inverse_by_product(product: Multiply, y: Any, lower_upper: Any,
                       permutation: Any) -> tuple[Any, Any]:
    """The inverse function, with pixels multiplied by W^-1 by `product`."""
    device = checked_device("scale_matvec_lu_inverse", lower_upper, permutation, y=y)
    wide = lower_upper.astype(WIDE)
    inverse = inverted(device, wide, permutation)
    return product(device, as_pixels(y), inverse.T).reshape(y.shape), -log_abs_det(device, wide)


def inverse_by_substitution(substitute: Solve, y: Any, lower_upper: Any,
                            permutation: Any) -> tuple[Any, Any]:
    """The inverse function, with the triangular systems solved by `substitute`."""
    device = checked_device("scale_matvec_lu_inverse", lower_upper, permutation, y=y)
    wide = lower_upper.astype(WIDE)
    factors = factors_of_inverse(device, wide, permutation, y.dtype)
    x = substitute(device, as_pixels(y), factors, device.xp.zeros(y.shape[-1], y.dtype))
    return x.reshape(y.shape), -log_abs_det(device, wide)


def forward_vjp_by(sums: SumOfOuterProducts, x: Any, lower_upper: Any, permutation: Any,
                   y_bar: Any, fldj_bar: Any) -> tuple[Any, Any]:
    """The forward function's vjp, with the matrix's cotangent summed by `sums`."""
    device = checked_device("scale_matvec_lu_forward_vjp", lower_upper, permutation, x=x,
                            y_bar=y_bar)
    wide, bars = lower_upper.astype(WIDE), as_pixels(y_bar)
    x_bar = multiply(device, bars, matrix_of(device, wide, permutation))
    products, _ = sums(device, bars, as_pixels(x), device.xp.zeros(x.shape[-1], x.dtype))
    lower_upper_bar = factors_bar(device, products.astype(WIDE), fldj_bar, wide, permutation)
    return x_bar.reshape(x.shape), lower_upper_bar.astype(x.dtype)


def solutions(device: Device, y: Any, lower_upper: Any, permutation: Any) -> tuple[Any, Any]:
    """u = L^-1 P^T y and x = U^-1 u, for each pixel.

    Args:
      device: where the arrays are.
      y: [P, C].
      lower_upper, permutation: [C, C] float64 and [C] ints.

    Returns:
      two [P, C], of the number type of y.
    """
    xp = device.xp
    if y.dtype == np.float32:
        return (multiply(device, y, inverted(device, xp.tril(lower_upper, -1)
                                             + xp.eye(len(lower_upper)), permutation).T),
                multiply(device, y, inverted(device, lower_upper, permutation).T))
    zero = xp.zeros(y.shape[1], y.dtype)
    u = solve(device, y, factors_of_lower_inverse(device, lower_upper, permutation, y.dtype), zero)
    return u, solve(device, u, factors_of_upper_inverse(device, lower_upper, y.dtype), zero)


def inverse_bars(device: Device, u: Any, x: Any, x_bar: Any, lower_upper: Any,
                 permutation: Any) -> tuple[Any, Any, Any]:
    """(y_bar, sum w u^T, sum v x^T): v = U^-T x_bar, w = L^-T v, y_bar = P w.

    The derivation is the specification's.

    Args:
      device: where the arrays are.
      u, x: [P, C], as `solutions` gives them.
      x_bar: [P, C].
      lower_upper, permutation: [C, C] float64 and [C] ints.

    Returns:
      [P, C], of the number type of x_bar; two [C, C], float64.
    """
    v, y_bar = _transposed_inverses(device, x_bar, lower_upper, permutation)
    zero = device.xp.zeros(x.shape[1], x.dtype)
    below, _ = sums_of_outer_products(device, y_bar[:, permutation], u, zero)
    above, _ = sums_of_outer_products(device, v, x, zero)
    return y_bar, below.astype(WIDE), above.astype(WIDE)


def _transposed_inverses(device: Device, x_bar: Any, lower_upper: Any,
                         permutation: Any) -> tuple[Any, Any]:
    """(U^-T x_bar, W^-T x_bar) for each pixel."""
    xp, channels = device.xp, x_bar.shape[1]
    if x_bar.dtype == np.float32:
        upper = inverted(device, xp.triu(lower_upper), xp.arange(channels))
        return (multiply(device, x_bar, upper),
                multiply(device, x_bar, inverted(device, lower_upper, permutation)))
    zero = xp.zeros(channels, x_bar.dtype)
    v = solve(device, x_bar, factors_of_transposed_upper_inverse(device, lower_upper, x_bar.dtype),
              zero)
    return v, solve(device, v, factors_of_transposed_lower_inverse(
        device, lower_upper, permutation, x_bar.dtype), zero)


def as_pixels(x: Any) -> Any:
    """[..., C] as [P, C]."""
    return x.reshape(x.size // max(1, x.shape[-1]), x.shape[-1])


def checked_device(op: str, lower_upper: Any, permutation: Any, **pixels: Any) -> Device:
    """The device of an op's arrays, once they are seen to fit each other.

    Args:
      op: its name, for messages.
      lower_upper, permutation: [C, C] and [C].
      pixels: by the op's names for them, arrays [..., C] of one shape.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other.
    """
    device = device_of(lower_upper, permutation, *pixels.values())
    require_one_dtype(op, FLOATING, **pixels, lower_upper=lower_upper)
    channels = len(permutation)
    require_shape(op, "lower_upper", lower_upper, (channels, channels))
    shape = next(iter(pixels.values())).shape
    for name, array in pixels.items():
        require_shape(op, name, array, (*shape[:-1], channels))
    return device
