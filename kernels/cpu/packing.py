"""Kernels of a convolution as the matrices of its products, with spare columns of zeros.

With a kernel [KH, KW, I, O], see conv2d_gradient.py for where each is used:

    taps       [I, (KH KW O)]      for products whose terms are scattered; turned by 180 degrees
                                   and with channels exchanged it is `turned_taps`
    turned     [(KH KW O), I]      for gathered cotangents: turned by 180 degrees, transposed
    transposed [O, I]              of a 1 x 1 kernel

Kernels are small and used by many pixels, so this costs little; it is done anew in every call,
because a cache would have to know when a kernel changes.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cpu.compiled import compiled


@compiled
def pack_taps(kernel: Any, first: int, last: int, matrix: Any) -> None:
    """matrix[i, (a, b, o)] = kernel[a, b, i, o], for first <= i < last; spare columns zero."""
    kh, kw, _, outputs = kernel.shape
    for i in range(first, last):
        matrix[i, kh * kw * outputs:] = 0
        for tap in range(kh * kw):
            a, b = divmod(tap, kw)
            for o in range(outputs):
                matrix[i, tap * outputs + o] = kernel[a, b, i, o]


@compiled
def pack_turned_taps(kernel: Any, first: int, last: int, matrix: Any) -> None:
    """matrix[o, (a, b, i)] = kernel[KH-1-a, KW-1-b, i, o], for first <= o < last."""
    kh, kw, inputs, _ = kernel.shape
    for o in range(first, last):
        matrix[o, kh * kw * inputs:] = 0
    for tap in range(kh * kw):
        a, b = divmod(kh * kw - 1 - tap, kw)
        for i in range(inputs):
            for o in range(first, last):
                matrix[o, tap * inputs + i] = kernel[a, b, i, o]


@compiled
def pack_turned(kernel: Any, first: int, last: int, matrix: Any) -> None:
    """matrix[(a, b, o), i] = kernel[KH-1-a, KW-1-b, i, o], for first <= i < last."""
    kh, kw, inputs, outputs = kernel.shape
    for tap in range(kh * kw):
        a, b = divmod(kh * kw - 1 - tap, kw)
        for i in range(first, last):
            for o in range(outputs):
                matrix[tap * outputs + o, i] = kernel[a, b, i, o]
        if last == inputs:
            for o in range(outputs):
                matrix[tap * outputs + o, inputs:] = 0


@compiled
def unpack_turned_taps(matrix: Any, first: int, last: int, kernel: Any) -> None:
    """kernel[KH-1-a, KW-1-b, i, o] = matrix[i, (a, b, o)], for first <= i < last."""
    kh, kw, _, outputs = kernel.shape
    for tap in range(kh * kw):
        a, b = divmod(kh * kw - 1 - tap, kw)
        for i in range(first, last):
            for o in range(outputs):
                kernel[a, b, i, o] = matrix[i, tap * outputs + o]
