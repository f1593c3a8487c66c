"""Errata about ScaleMatvecLU, the matrix of the 1x1 convolution, and about Scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from refglow import bijectors as tfb
from refglow.bijectors.one_by_one_conv import random_orthonormal_lu
from refglow.dtypes import Array
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.tfp.framework import tfp_bijectors


def _singular(library: Any) -> Any:
    return library.ScaleMatvecLU(np.asarray([[1, 2], [0.5, 0]], np.float32), [0, 1])


def _zero_tfp() -> Demonstration:
    matrix, x = _singular(tfp_bijectors()), np.ones((1, 2), np.float32)
    fldj = float(np.asarray(matrix.forward_log_det_jacobian(x, 1)))
    inverse = np.asarray(matrix.inverse(x))[0].tolist()
    return Demonstration(f"log-det {fldj}, inverse {inverse}",
                         fldj == -np.inf and not np.isfinite(inverse).any())


def _zero_refglow() -> Demonstration:
    x = np.ones((1, 2), np.float32)
    shown = [raises(act, ValueError, "singular", "channel 1") for act in (
        lambda: _singular(tfb).forward_log_det_jacobian(x, 1), lambda: _singular(tfb).inverse(x))]
    return Demonstration(shown[0].observed, all(demonstration.holds for demonstration in shown))


ZERO_DIAGONAL = Erratum(
    identifier="lu-zero-diagonal",
    title="A singular 1x1 convolution gives infinities without a message",
    where="ScaleMatvecLU; inverse",
    documented="The matrix is invertible; inverse evaluates g^-1.",
    tfp_does="A zero on the diagonal gives a log-det of -inf and an inverse of infinities.",
    refglow_does="ValueError naming the channel.",
    follows="neither", show_tfp=_zero_tfp, show_refglow=_zero_refglow)


def _recipe(size: int) -> tuple[Array, Array, Array]:
    """The docstring's SciPy recipe: (orthonormal matrix, its lower_upper, its permutation)."""
    random_matrix = np.random.default_rng(0).random((size, size)).astype(np.float32)
    lower_upper = scipy.linalg.qr(random_matrix)[0]
    orthonormal = lower_upper.copy()
    permutation = np.argmax(scipy.linalg.lu(lower_upper, overwrite_a=True)[0], axis=-2)
    return orthonormal, lower_upper, permutation


def _error_of(library: Any, lower_upper: Array, permutation: Array, matrix: Array) -> float:
    """The largest difference between the bijector's matrix and `matrix`."""
    bijector = library.ScaleMatvecLU(lower_upper, permutation)
    columns = np.asarray(bijector.forward(np.eye(len(matrix), dtype=lower_upper.dtype)))
    return float(np.abs(columns.T - matrix).max())


def _recipe_tfp() -> Demonstration:
    orthonormal, lower_upper, permutation = _recipe(4)
    error = _error_of(tfp_bijectors(), lower_upper, permutation, orthonormal)
    return Demonstration(f"the bijector's matrix differs from the orthonormal one by {error:.2g}",
                         error > 0.1)


def _recipe_refglow() -> Demonstration:
    lower_upper, permutation = random_orthonormal_lu(4, np.random.default_rng(0))
    matrix = tfb.ScaleMatvecLU(lower_upper, permutation).forward(np.eye(4)).T
    error = float(np.abs(matrix @ matrix.T - np.eye(4)).max())
    return Demonstration(f"random_orthonormal_lu: |W W^T - 1| <= {error:.1g}", error < 1e-14)


SCIPY_RECIPE = Erratum(
    identifier="lu-scipy-recipe",
    title="The docstring's SciPy recipe does not factorise",
    where="ScaleMatvecLU, examples: initialisation outside of TensorFlow",
    documented="QR and then LU with overwrite_a give the packed factors and the permutation of a "
               "random orthonormal matrix.",
    tfp_does="scipy.linalg.lu returns the factors; the array passed in is not replaced by them. "
             "The recipe's bijector multiplies by another matrix.",
    refglow_does="random_orthonormal_lu packs the factors as lu_factor gives them.",
    follows="documentation", show_tfp=_recipe_tfp, show_refglow=_recipe_refglow)


def _channels_tfp() -> Demonstration:
    library = tfp_bijectors()
    claimed = "neither `channels` and" in " ".join(
        (library.ScaleMatvecLU.__init__.__doc__ or "").split())
    outcome = raises(lambda: library.ScaleMatvecLU(channels=3), TypeError, "channels")
    return Demonstration(outcome.observed, outcome.holds and claimed)


def _channels_refglow() -> Demonstration:
    made = tfb.OneByOneConv(3, seed=0).bijector
    return Demonstration(f"OneByOneConv(3) makes its own {made.name}",
                         isinstance(made, tfb.ScaleMatvecLU))


CHANNELS = Erratum(
    identifier="lu-channels",
    title="ScaleMatvecLU has no argument channels",
    where="ScaleMatvecLU, Raises",
    documented="ValueError if both or neither of channels and the factors are given.",
    tfp_does="There is no such argument.",
    refglow_does="The same; OneByOneConv takes the number of channels.",
    follows="code", show_tfp=_channels_tfp, show_refglow=_channels_refglow)


def _neither_tfp() -> Demonstration:
    identity = tfp_bijectors().Scale()
    value = float(identity.forward(3.0))
    outcome = attempt(lambda: identity.forward_log_det_jacobian(3.0, 0))
    return Demonstration(f"forward(3) = {value}; log-det: {outcome}",
                         value == 3 and outcome.raised(TypeError, "NoneType"))


def _neither_refglow() -> Demonstration:
    value, fldj = tfb.Scale().forward_and_log_det(3.0, 0)
    return Demonstration(f"forward(3) = {float(value)}; log-det: {float(fldj)}",
                         float(value) == 3 and float(fldj) == 0)


SCALE_NEITHER = Erratum(
    identifier="scale-neither",
    title="A Scale without a scale has no log-det",
    where="Scale, argument log_scale",
    documented="With None no scale is applied; only giving both is an error.",
    tfp_does="forward is the identity, the log-det fails on None.",
    refglow_does="The identity, with log-det 0.",
    follows="documentation", show_tfp=_neither_tfp, show_refglow=_neither_refglow)


def _scale_zero_tfp() -> Demonstration:
    scale = tfp_bijectors().Scale(0.0)
    fldj = float(scale.forward_log_det_jacobian(1.0, 0))
    return Demonstration(f"log-det {fldj}, inverse(1) = {float(scale.inverse(1.0))}",
                         fldj == -np.inf)


def _scale_zero_refglow() -> Demonstration:
    outcome = attempt(lambda: tfb.Scale(0.0).forward_log_det_jacobian(1.0, 0))
    checked = attempt(lambda: tfb.Scale(0.0, validate_args=True))
    return Demonstration(f"log-det {outcome} with a warning {outcome.warned[:1]}; with "
                         f"validate_args: {checked}",
                         bool(outcome.warned) and checked.raised(ValueError, "must not be zero"))


SCALE_ZERO = Erratum(
    identifier="scale-zero",
    title="A scale of zero is not invertible, and nothing says so",
    where="Scale, argument scale",
    documented="A floating-point tensor; a bijector is invertible.",
    tfp_does="Log-det -inf and inverse inf, silently, unless validate_args is set.",
    refglow_does="The same numbers with NumPy's warning; ValueError under validate_args.",
    follows="neither", show_tfp=_scale_zero_tfp, show_refglow=_scale_zero_refglow)

ERRATA = (ZERO_DIAGONAL, SCIPY_RECIPE, CHANNELS, SCALE_NEITHER, SCALE_ZERO)
