"""Errata about ActivationNormalization: when and from what it takes its parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.dtypes import Array
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.errata.scene import glow, images
from refglow.validation.tfp.framework import tfp_bijectors, tfp_glow_parts

_WHERE = "Glow, argument use_actnorm: data-dependent initialisation"


def _batch() -> Array:
    return (3 + 2 * np.random.default_rng(0).standard_normal((16, 3))).astype(np.float32)


def _tfp_parameters(act: Any) -> tuple[Any, bool, Array, Array]:
    """A TFP ActNorm of 3 channels after `act(actnorm)`: it, initialised?, shift, scale."""
    actnorm = tfp_glow_parts().ActivationNormalization(3)
    act(actnorm)
    return (actnorm, bool(actnorm._initialized.numpy()), actnorm._m.numpy(),
            np.asarray(actnorm._s))


def _latents() -> Array:
    return np.random.default_rng(1).standard_normal((4, 48)).astype(np.float32)


def _samples_tfp() -> Demonstration:
    model = glow(tfp_bijectors())
    model.forward(_latents())
    kind = tfp_glow_parts().ActivationNormalization
    done = [bool(m._initialized.numpy()) for m in model.submodules if isinstance(m, kind)]
    return Demonstration(f"after generating from noise, {sum(done)} of {len(done)} ActNorms are "
                         "initialised", bool(done) and all(done))


def _samples_refglow() -> Demonstration:
    model = glow()
    outcome = attempt(lambda: model.forward(_latents()))
    warned = [w for w in outcome.warned if "samples rather than data" in w]
    model.initialize(images(4))
    first = [m for m in model.submodules if isinstance(m, ActivationNormalization)]
    return Demonstration(f"{len(warned)} warnings, one for each ActNorm; initialize(images) sets "
                         "them from data", len(warned) == len(first) == 2)


SAMPLES = Erratum(
    identifier="actnorm-samples",
    title="Sampling before any data initialises ActNorm on noise",
    where=_WHERE,
    documented="The layer is initialised from data.",
    tfp_does="The first call in either direction initialises it; sampling first, as the "
             "documented example does, sets it from noise, silently and for good.",
    refglow_does="The same, with a warning from each layer; initialize(images) is explicit.",
    follows="neither", show_tfp=_samples_tfp, show_refglow=_samples_refglow)


def _query_tfp() -> Demonstration:
    _, done, shift, _ = _tfp_parameters(lambda a: a.inverse_log_det_jacobian(_batch(), 1))
    return Demonstration(f"after a log-det call: initialised={done}, shift={shift.tolist()}",
                         done and bool(np.allclose(shift, -_batch().mean(0), atol=1e-4)))


def _query_refglow() -> Demonstration:
    actnorm = tfb.ActivationNormalization(3)
    ildj = actnorm.inverse_log_det_jacobian(_batch(), 1)
    expected = -float(np.log(_batch().astype(np.float64).std(0)).sum())
    return Demonstration(f"initialised={actnorm.initialized}, ildj={float(ildj[0]):.4f}",
                         actnorm.initialized and abs(float(ildj[0]) - expected) < 1e-4)


QUERY = Erratum(
    identifier="actnorm-log-det",
    title="Asking for a log-det initialises ActNorm",
    where="forward_log_det_jacobian and inverse_log_det_jacobian",
    documented="They return a number; nothing is said of a change of parameters.",
    tfp_does="They initialise the layer from their argument.",
    refglow_does="The same, and its documentation says so.",
    follows="code", show_tfp=_query_tfp, show_refglow=_query_refglow)


def _constant_tfp() -> Demonstration:
    _, _, _, scale = _tfp_parameters(lambda a: a.inverse(np.ones((8, 3), np.float32)))
    return Demonstration(f"scale {scale.tolist()}", bool((scale > 5e5).all()))


def _constant_refglow() -> Demonstration:
    actnorm = tfb.ActivationNormalization(3)
    batch = _batch()
    batch[:, 1] = 1
    outcome = attempt(lambda: actnorm.inverse(batch))
    scale = np.exp(actnorm.log_scale.numpy())
    return Demonstration(f"warns: {outcome.warned[:1]}", len(outcome.warned) == 1
                         and "channels [1] are constant" in outcome.warned[0] and scale[1] > 5e5)


CONSTANT = Erratum(
    identifier="actnorm-constant-channel",
    title="A constant channel is scaled by a million",
    where=_WHERE,
    documented="The layer is initialised from data.",
    tfp_does="Adds 10 eps to the standard deviation and divides: the scale is 8e5 in float32, "
             "silently.",
    refglow_does="The same number, with a warning that names the channels.",
    follows="neither", show_tfp=_constant_tfp, show_refglow=_constant_refglow)


def _poisoned() -> Array:
    batch = _batch()
    batch[3, 1] = np.nan
    return batch


def _nan_tfp() -> Demonstration:
    actnorm, done, shift, _ = _tfp_parameters(lambda a: a.inverse(_poisoned()))
    later = np.asarray(actnorm.inverse(_batch()))
    return Demonstration(f"shift {shift.tolist()}; later, on good data: "
                         f"{int(np.isnan(later).sum())} NaN",
                         done and math.isnan(shift[1]) and bool(np.isnan(later[:, 1]).all()))


def _nan_refglow() -> Demonstration:
    actnorm = tfb.ActivationNormalization(3)
    refused = raises(lambda: actnorm.inverse(_poisoned()), ValueError, "NaN or infinity",
                     "unchanged")
    later = actnorm.inverse(_batch())
    return Demonstration(refused.observed, refused.holds and bool(np.isfinite(later).all()))


NAN = Erratum(
    identifier="actnorm-nan",
    title="One NaN in the first batch poisons ActNorm for good",
    where=_WHERE,
    documented="The layer is initialised from data.",
    tfp_does="Stores NaN as shift and scale; every later batch comes out NaN.",
    refglow_does="Raises and leaves the layer as it was; the next batch initialises it.",
    follows="neither", show_tfp=_nan_tfp, show_refglow=_nan_refglow)


def _empty_tfp() -> Demonstration:
    _, done, shift, _ = _tfp_parameters(lambda a: a.inverse(np.zeros((0, 3), np.float32)))
    return Demonstration(f"initialised={done}, shift={shift.tolist()}",
                         done and bool(np.isnan(shift).all()))


def _empty_refglow() -> Demonstration:
    actnorm = tfb.ActivationNormalization(3)
    refused = raises(lambda: actnorm.inverse(np.zeros((0, 3), np.float32)), ValueError, "empty")
    return Demonstration(refused.observed, refused.holds and not actnorm.initialized)


EMPTY = Erratum(
    identifier="actnorm-empty",
    title="An empty first batch poisons ActNorm for good",
    where=_WHERE,
    documented="The layer is initialised from data.",
    tfp_does="The mean of nothing is NaN, and is stored.",
    refglow_does="Raises and stays uninitialised.",
    follows="neither", show_tfp=_empty_tfp, show_refglow=_empty_refglow)


def _jacobian_tfp() -> Demonstration:
    value = tfp_glow_parts().ActivationNormalization(3).is_constant_jacobian
    return Demonstration(f"is_constant_jacobian = {value}", value is False)


def _jacobian_refglow() -> Demonstration:
    value = tfb.ActivationNormalization(3).is_constant_jacobian
    return Demonstration(f"is_constant_jacobian = {value}", value is True)


JACOBIAN = Erratum(
    identifier="actnorm-constant-jacobian",
    title="ActNorm claims that its Jacobian depends on its input",
    where="attribute is_constant_jacobian",
    documented="True iff the Jacobian is not a function of x.",
    tfp_does="False, though the map is a shift and a scale.",
    refglow_does="True.",
    follows="documentation", show_tfp=_jacobian_tfp, show_refglow=_jacobian_refglow)

ERRATA = (SAMPLES, QUERY, CONSTANT, NAN, EMPTY, JACOBIAN)
