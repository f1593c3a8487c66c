"""Multiplication of channel vectors by W = P L U on the CPU: no ActNorm before it, m = v = 0.

Adding 0 and scaling by 1 change no number, so the kernels are those of normalized_conv.py.

Source: the specification in refglow/bijectors/scale_matvec_lu.py.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.layout import Array
from refglow.kernels.cpu.normalized_conv import (
    normalized_conv_forward,
    normalized_conv_forward_vjp,
    normalized_conv_inverse,
    normalized_conv_inverse_vjp,
)


def scale_matvec_lu_forward(x: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """See the specification. One matrix only: lower_upper is [C, C]."""
    zero = np.zeros_like(lower_upper[0])
    return normalized_conv_forward(x, zero, zero, lower_upper, permutation)


def scale_matvec_lu_inverse(y: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """See the specification. One matrix only: lower_upper is [C, C]."""
    zero = np.zeros_like(lower_upper[0])
    return normalized_conv_inverse(y, zero, zero, lower_upper, permutation)


def scale_matvec_lu_forward_vjp(x: Array, lower_upper: Array, permutation: Array, y_bar: Array,
                                fldj_bar: Array) -> tuple[Array, Array]:
    """See the specification. One matrix only: lower_upper is [C, C]."""
    zero = np.zeros_like(lower_upper[0])
    bars = normalized_conv_forward_vjp(x, zero, zero, lower_upper, permutation, y_bar, fldj_bar)
    return bars[0], bars[3]


def scale_matvec_lu_inverse_vjp(y: Array, lower_upper: Array, permutation: Array, x_bar: Array,
                                ildj_bar: Array) -> tuple[Array, Array]:
    """See the specification. One matrix only: lower_upper is [C, C]."""
    zero = np.zeros_like(lower_upper[0])
    bars = normalized_conv_inverse_vjp(y, zero, zero, lower_upper, permutation, x_bar, ildj_bar)
    return bars[0], bars[3]
