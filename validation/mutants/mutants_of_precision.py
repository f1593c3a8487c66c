"""Arithmetic with fewer digits than the parameters have, and epsilons inside it.

    float32    23 bits after the point        float16    10, exponents from -14 to 15
    bfloat16    7                             TF32       10, only in the factors of products

They are computed in float32, each result rounded to nearest, halves to even.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.validation.mutants.mutant import Change, Mutant, changed
from refglow.validation.mutants.operations import exp
from refglow.validation.mutants.tape import Array, Rounding, Tape


def as_float16(array: Array) -> Array:
    """float32 rounded to float16; float64 (log-dets) as it is."""
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


def as_bfloat16(array: Array) -> Array:
    """float32 rounded to bfloat16; float64 (log-dets) as it is."""
    return _rounded(array, 16)


def as_tf32(array: Array) -> Array:
    """float32 rounded to ten bits after the point; float64 as it is."""
    return _rounded(array, 13)


def _rounded(array: Array, dropped: int) -> Array:
    """The last `dropped` bits of float32 rounded away, halves to even; NaN and infinity stay."""
    if array.dtype != np.float32:
        return array
    bits = np.ascontiguousarray(array).view(np.uint32).astype(np.uint64)
    last = (bits >> np.uint64(dropped)) & np.uint64(1)
    up = bits + np.uint64((1 << (dropped - 1)) - 1) + last
    kept = (up >> np.uint64(dropped) << np.uint64(dropped)).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(array), kept.reshape(array.shape), array)


def _single(kept: Rounding | None = None, factor: Rounding | None = None) -> Change:
    """The port in float32, with roundings."""
    methods: dict[str, Any] = {"compute_type": lambda self: np.dtype(np.float32)}
    if kept is not None:
        methods["tape"] = lambda self: Tape(kept=kept)
    if factor is not None:
        methods["tape"] = lambda self: Tape(factor=factor)
    return changed(**methods)


MUTANTS = (
    Mutant("precision-float32", "float64 parameters are cast to float32.",
           "PyTorch's default type", ("precision=float32",), "", _single()),
    Mutant("precision-float16", "The arithmetic is float16's, log-dets apart.",
           "mixed precision", ("precision=float16",), "actnorm", _single(kept=as_float16)),
    Mutant("precision-bfloat16", "The arithmetic is bfloat16's, log-dets apart.",
           "mixed precision", ("precision=bfloat16",), "actnorm", _single(kept=as_bfloat16)),
    Mutant("precision-tf32", "Factors of matrix products and convolutions are rounded to TF32.",
           "PyTorch on Ampere and later GPUs (survae#16)", ("precision=tf32",), "conv",
           _single(factor=as_tf32)),
    Mutant("coupling-epsilon-back", "The way back divides by s + 1e-3.",
           "InvertibleNetworks.jl: an epsilon in the inverse",
           ("scale=sigmoid(r + 2) + 0.001",), "", changed(
               unaffine=lambda self, z, s, t: (z - t) / (s + 1e-3))),
    Mutant("coupling-not-undone", "The way back applies the couplings once more: s z + t.",
           "classic", ("affine=(x - t) / s",), "", changed(unaffine=lambda self, z, s,
           t: s * z + t)),
    Mutant("actnorm-shift-not-undone", "The way back leaves ActNorm's shift in.", "classic",
           ("actnorm=x exp(v)",), "",
           changed(actnorm_undo=lambda self, z, m, v: z / exp(v))),
    Mutant("exit-not-undone", "The way back takes the exiting channels as they are.", "classic",
           ("exit_affine=left out",),
           "", changed(exit_unaffine=lambda self, z, s, t: z)),
)
