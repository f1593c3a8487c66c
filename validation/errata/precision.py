"""Errata about accuracy in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum
from refglow.validation.errata.scene import constant, images, tfp_block
from refglow.validation.tfp import tfp_twin
from refglow.validation.tfp.framework import tensorflow

_RAW_SCALES = (3.0, 8.0, 13.0)
_SHAPE = (8, 8, 3)


def _log_det_errors(blocks: list[Any]) -> list[float]:
    """Relative error of the log-det of blocks that scale one pixel by sigmoid(r + 2)."""
    pixel = np.ones((1, 1, 1, 2), np.float32)
    found = [float(np.asarray(block.inverse_log_det_jacobian(pixel, 3)).reshape(-1)[0])
             for block in blocks]
    exact = [-np.log1p(np.exp(-(r + 2))) for r in _RAW_SCALES]
    return [abs(f - e) / abs(e) for f, e in zip(found, exact, strict=True)]


def _set_identity(block: Any) -> Any:
    """The block with the identity as its 1x1 convolution, whose log-det is then exactly 0."""
    for variable in block.trainable_variables:
        if "lower_upper" in variable.name:
            variable.assign(np.eye(2, dtype=np.float32))
    return block


def _sigmoid_tfp() -> Demonstration:
    errors = _log_det_errors([_set_identity(tfp_block(2, constant(r, 0), pixels=(1, 1)))
                              for r in _RAW_SCALES])
    return Demonstration(_listed(errors), errors[1] > 1e-4 and errors[2] > 1e-2)


def _sigmoid_refglow() -> Demonstration:
    errors = _log_det_errors([_set_identity(
        tfb.GlowBlock((1, 1, 2), 1, constant(r, 0), use_actnorm=False)) for r in _RAW_SCALES])
    return Demonstration(_listed(errors), max(errors) < 1e-6)


def _listed(errors: list[float]) -> str:
    return "relative error of the log-det: " + ", ".join(
        f"r = {r:g}: {error:.1e}" for r, error in zip(_RAW_SCALES, errors, strict=True))


LOG_SIGMOID = Erratum(
    identifier="log-sigmoid",
    title="The log-det of a step takes the logarithm of a rounded sigmoid",
    where="inverse_log_det_jacobian of Glow; coupling with scale sigmoid(r + 2)",
    documented="The log-determinant of the Jacobian.",
    tfp_does="Computes log|sigmoid(r + 2)| from the float32 sigmoid. As that nears 1 its "
             "logarithm loses all digits: 2 % error at r = 13, exactly 0 beyond r = 15.",
    refglow_does="log sigmoid(r + 2) = -log1p(exp(-(r + 2))), to full accuracy.",
    follows="documentation", show_tfp=_sigmoid_tfp, show_refglow=_sigmoid_refglow)


def _noisy_glow() -> Any:
    """A float64 Glow, ActNorms set from images, with noise of 0.1 on every trainable number.

    Of the seeds 0 to 11, ten lose the images in float32, and four of these in float64 too. This
    is one of the six that float64 rescues.
    """
    def network(shape: Any, dtype: Any, seed: Any) -> Any:
        return tfb.GlowDefaultNetwork(shape, num_hidden=32, dtype=dtype, seed=seed)

    model = tfb.Glow(_SHAPE, 2, 2, coupling_bijector_fn=network, dtype=np.float64, seed=2)
    model.initialize(images(2, shape=_SHAPE, dtype=np.float64))
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign(variable.numpy() + 0.1 * rng.standard_normal(variable.shape))
    return model


def _round_trip_error(model: Any, dtype: Any) -> float:
    x = images(2, shape=_SHAPE, dtype=dtype)
    latents = np.array(model.inverse(x))  # a copy, which no cache knows
    return float(np.abs(np.asarray(model.forward(latents)) - x).max())


def _round_trip_tfp() -> Demonstration:
    error = _round_trip_error(tfp_twin(_noisy_glow().astype(np.float32)), np.float32)
    return Demonstration(f"largest error {error:.2g} on images in [0, 1)", not error < 0.3)


def _round_trip_refglow() -> Demonstration:
    model = _noisy_glow()
    wide = _round_trip_error(model, np.float64)
    narrow = _round_trip_error(model.astype(np.float32), np.float32)
    return Demonstration(f"largest error: float32 {narrow:.2g}, float64 {wide:.1g}",
                         wide < 1e-6 and not narrow < 0.3)


ROUND_TRIP = Erratum(
    identifier="float32-round-trip",
    title="Glow is not invertible in float32 with random weights",
    where="Glow, overview: a bijector",
    documented="inverse undoes forward.",
    tfp_does="With noise of 0.1 in every layer, most models return images with errors beyond the "
             "pixels' own range: the map's condition number exceeds 1 / eps.",
    refglow_does="In float32 it is the same function, with the same loss. dtype=np.float64 makes "
                 "the error 1e9 times smaller, which saves many of these models, not all.",
    follows="neither", show_tfp=_round_trip_tfp, show_refglow=_round_trip_refglow)


def _cached_tfp() -> Demonstration:
    model = tfp_twin(_noisy_glow().astype(np.float32))
    x = tensorflow().constant(images(2, shape=_SHAPE))
    seen = float(np.abs(np.asarray(model.forward(model.inverse(x))) - np.asarray(x)).max())
    real = _round_trip_error(model, np.float32)
    return Demonstration(f"forward(inverse(x)) - x: {seen:g}; of a copy of the latents: {real:.2g}",
                         seen == 0 and not real < 0.3)


def _cached_refglow() -> Demonstration:
    model, x = tfb.Exp(), images(2)
    seen = float(np.abs(model.inverse(model.forward(x)) - x).max())
    real = float(np.abs(model.inverse(model.forward(x).copy()) - x).max())
    return Demonstration(f"inverse(forward(x)) - x: {seen:.1g}; of a copy: {real:.1g}",
                         seen == real > 0)


CACHED = Erratum(
    identifier="cache-hides-rounding",
    title="The error of a round trip reads exactly zero",
    where="forward, inverse",
    documented="forward evaluates g of its argument.",
    tfp_does="forward(inverse(x)) returns the remembered x, whatever the weights: the error of "
             "the entry float32-round-trip is invisible unless the latents are copied.",
    refglow_does="Rounding errors show.",
    follows="documentation", show_tfp=_cached_tfp, show_refglow=_cached_refglow)

ERRATA = (LOG_SIGMOID, ROUND_TRIP, CACHED)
