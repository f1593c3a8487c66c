"""Mistakes in the 1x1 convolution: which matrix, how it is put together, its log-det."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.validation.mutants.layers import diagonal
from refglow.validation.mutants.mutant import Mutant, changed
from refglow.validation.mutants.operations import (
    absolute,
    channel_product,
    channel_solution,
    exp,
    log_absolute,
    log_absolute_determinant,
    matrix_product,
    softplus,
)
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Array, Tensor


class Inverted(PortedGlow):
    """The two directions are exchanged, log-det included."""

    def conv_do(self, matrix: Tensor, x: Tensor) -> Tensor:
        """Divides by the matrix."""
        return channel_solution(matrix, x)

    def conv_undo(self, matrix: Tensor, z: Tensor) -> Tensor:
        """Multiplies by the matrix."""
        return channel_product(matrix, z)

    def conv_pixel_log_det(self, lower_upper: Tensor, permutation: Array) -> Tensor:
        """The inverse matrix's."""
        return -super().conv_pixel_log_det(lower_upper, permutation)


class InvertedTransposed(Inverted):
    """The inverse of the transposed matrix."""

    def conv_do(self, matrix: Tensor, x: Tensor) -> Tensor:
        """Divides by the transposed matrix."""
        return super().conv_do(matrix.transpose(1, 0), x)

    def conv_undo(self, matrix: Tensor, z: Tensor) -> Tensor:
        """Multiplies by the transposed matrix."""
        return super().conv_undo(matrix.transpose(1, 0), z)


class PackedAsMatrix(PortedGlow):
    """The packed array is taken for the matrix, and its determinant computed."""

    def matrix(self, lower_upper: Tensor, permutation: Array) -> Tensor:
        """The packed array."""
        return lower_upper

    def conv_pixel_log_det(self, lower_upper: Tensor, permutation: Array) -> Tensor:
        """log|det| of the packed array."""
        return log_absolute_determinant(lower_upper)


class UpperFirst(PortedGlow):
    """U L in place of L U."""

    def matrix(self, lower_upper: Tensor, permutation: Array) -> Tensor:
        """P U L."""
        lower, upper = self.factors(lower_upper)
        return self.permuted(matrix_product(upper, lower), permutation)


class UnitUpper(PortedGlow):
    """The stored diagonal is L's, the ones are U's."""

    def factors(self, lower_upper: Tensor) -> tuple[Tensor, Tensor]:
        """(L with the diagonal, U with ones)."""
        ones = np.ones_like(lower_upper.value)
        return (lower_upper * np.tril(ones),
                lower_upper * np.triu(ones, 1) + np.eye(len(ones), dtype=ones.dtype))


class AbsoluteDiagonal(PortedGlow):
    """The signs of U's diagonal are lost, as where its logarithm is stored."""

    def factors(self, lower_upper: Tensor) -> tuple[Tensor, Tensor]:
        """(L, U with a positive diagonal)."""
        lower, upper = super().factors(lower_upper)
        eye = np.eye(lower_upper.shape[0], dtype=lower_upper.value.dtype)
        return lower, upper + (absolute(upper) - upper) * eye


class TransposedFactors(PortedGlow):
    """The packed array is stored column by column and read row by row."""

    def factors(self, lower_upper: Tensor) -> tuple[Tensor, Tensor]:
        """(L, U) of the transposed array."""
        return super().factors(lower_upper.transpose(1, 0))


def _with_diagonal(function: Any) -> Any:
    """U's diagonal is a function of what is stored there."""
    def factors(self: Any, lower_upper: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = PortedGlow.factors(self, lower_upper)
        eye = np.eye(lower_upper.shape[0], dtype=lower_upper.value.dtype)
        return lower, upper + (function(upper) - upper) * eye
    return changed(factors=factors, conv_pixel_log_det=lambda self, lu, p: log_absolute(
        function(diagonal(lu))).sum())


def _product(columns: bool) -> Any:
    """P^-1 on the rows of L U, or P on its columns."""
    return changed(permuted=lambda self, product, p: product.taken(p, 1 if columns else 0))


MUTANTS = (
    Mutant("conv-transposed", "Channels are multiplied by the transposed matrix: x W, not W x.",
           "openai/glow: z @ W", ("matrix=W^T",), "conv", changed(
               conv_do=lambda self, w, x: channel_product(w.transpose(1, 0), x),
               conv_undo=lambda self, w, z: channel_solution(w.transpose(1, 0), z))),
    Mutant("conv-inverted", "The convolution's two directions are exchanged.",
           "classic: TFP's OneByOneConv.forward is Glow's inverse", ("matrix=W^-1",), "conv",
           Inverted),
    Mutant("conv-inverted-transposed", "Directions exchanged, and the matrix transposed.",
           "openai/glow's convention read in TFP's direction", ("matrix=W^-T",), "conv",
           InvertedTransposed),
    Mutant("lu-permutation-inverted", "The rows of L U are permuted by p, not by its inverse.",
           "classic: p is LAPACK's in one library and its inverse in another",
           ("factors=P^-1 L U",), "conv", _product(columns=False)),
    Mutant("lu-permutation-ignored", "The permutation is not loaded.", "distrax: L U + b",
           ("factors=L U",), "conv", changed(permuted=lambda self, product, p: product)),
    Mutant("lu-upper-first", "U and L are multiplied in the wrong order.", "classic",
           ("factors=P U L",), "conv", UpperFirst),
    Mutant("lu-permutes-inputs", "The permutation acts on the inputs: L U P.", "nflows",
           ("factors=L U P",), "conv", _product(columns=True)),
    Mutant("lu-unit-upper", "The diagonal is given to L, the ones to U.",
           "classic: Crout's convention", ("factors=unit diagonal in U",), "conv", UnitUpper),
    Mutant("lu-packed-as-matrix", "The packed array is used as the matrix itself, log-det "
           "included.", "classic", ("factors=full matrix",), "conv", PackedAsMatrix),
    Mutant("lu-absolute-diagonal", "The signs of U's diagonal are lost.",
           "rosinality, normflows, y0ast store sign and log apart", ("factors=absolute diagonal",),
           "conv", AbsoluteDiagonal),
    Mutant("lu-transposed", "The packed array is read with rows and columns exchanged.", "classic",
           ("factors=packed array transposed",), "conv", TransposedFactors),
    Mutant("lu-diagonal-exp", "U's diagonal is taken for its logarithm.",
           "rosinality, normflows, y0ast store log|u|", ("factors=U's diagonal exp(u)",), "conv",
           _with_diagonal(exp)),
    Mutant("lu-diagonal-softplus", "U's diagonal is softplus of what is stored, plus 1e-3.",
           "nflows", ("factors=U's diagonal softplus(u) + 0.001",), "conv",
           _with_diagonal(lambda u: softplus(u) + 1e-3)),
    Mutant("conv-permutation-only", "Only the permutation is applied: a shuffle.",
           "FrEIA: hard permutation", ("factors=P",), "conv", changed(
               ("conv_pixels", "counted_conv"),
               factors=lambda self, lu: (lu * 0.0 + np.eye(lu.shape[0], dtype=lu.value.dtype),) * 2,
               conv_pixel_log_det=lambda self, lu, p: lu.sum() * 0.0)),
    Mutant("conv-undone-by-transpose", "The way back multiplies by W^T, as if W were orthonormal "
           "after training.", "FrEIA: a fixed rotation", ("matrix=W^-T",), "", changed(
               conv_undo=lambda self, w, z: channel_product(w.transpose(1, 0), z))),
    Mutant("conv-not-undone", "The way back multiplies by W once more.", "classic",
           ("matrix=W^-1",), "", changed(conv_undo=lambda self, w, z: channel_product(w, z))),
    Mutant("conv-log-det-without-log", "The log-det is the sum of U's diagonal.", "classic",
           ("log_det_conv_formula=sum u",), "conv", changed(
               conv_pixel_log_det=lambda self, lu, p: diagonal(lu).sum())),
    Mutant("conv-log-det-absolute-only", "The log-det is the sum of |u|, the log forgotten.",
           "classic", ("log_det_conv_formula=sum |u|",), "conv", changed(
               conv_pixel_log_det=lambda self, lu, p: absolute(diagonal(lu)).sum())),
    Mutant("conv-log-det-of-packed", "The log-det is slogdet of the packed array.", "classic",
           ("log_det_conv_formula=log|det| of the packed array",), "conv", changed(
               conv_pixel_log_det=lambda self, lu, p: log_absolute_determinant(lu))),
    Mutant("conv-log-det-half", "The log-det counts the first half of U's diagonal only.",
           "classic", ("log_det_conv_formula=half of U's diagonal",), "conv", changed(
               conv_pixel_log_det=lambda self, lu, p:
               log_absolute(diagonal(lu)[:lu.shape[0] // 2]).sum())),
    Mutant("conv-log-det-zero", "The matrix is taken to be orthonormal, its log-det 0.",
           "InvertibleNetworks.jl's Householder reflections", ("log_det_conv=left out",), "conv",
           changed(("conv_pixels", "counted_conv"),
                   conv_pixel_log_det=lambda self, lu, p: lu.sum() * 0.0)),
)
