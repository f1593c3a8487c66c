"""What of an implementation's results can be looked at: of the right shape, and finite.

The rest is wrong whatever its cause; the comparison says so, and here it would only be guessed at:
every formula that gives NaN equals every other that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.observed import Observed, ObservedLayer
from refglow.validation.dialects.dialect_glow import DialectGlow

_ACTNORM = (".actnorm.shift", ".actnorm.log_scale")


def usable(observed: Observed, reference: DialectGlow) -> Observed:
    """The results that can be looked at.

    Args:
      observed: as they were returned.
      reference: the model.
    """
    batch, shape = len(observed.images), observed.images.shape

    def per_image(value: Array | None, count: int = batch) -> Array | None:
        return value if value is not None and _fits(value, (count,)) else None
    latents = observed.latents
    if latents is not None and not (latents.ndim > 1 and len(latents) == batch
                                    and latents[0].size in _sizes(reference)
                                    and _finite(latents)):
        latents = None
    z = observed.forward_inputs
    count = batch if z is None else len(z)
    images = observed.forward_images
    if images is not None and not _fits(images, (count, *shape[1:])):
        images = None
    return replace(
        observed, latents=latents, inverse_log_det=per_image(observed.inverse_log_det),
        log_prob=per_image(observed.log_prob), bits_per_dim=per_image(observed.bits_per_dim),
        forward_images=images, forward_log_det=per_image(observed.forward_log_det, count),
        layers=_layers(observed.layers, batch), started=_started(observed.started, reference),
        gradients=_known(observed.gradients, {**reference.arrays, "x": observed.images}))


def _sizes(reference: DialectGlow) -> set[int]:
    """How many latents an image may have: all, or what goes on at the end, or exits there too."""
    (h, w, _), (leave, grab, _) = reference.structure.sizes[0], reference.structure.splits[0]
    return {reference.structure.dimensions, h * w * leave, h * w * (leave + grab)}


def _fits(value: Array, shape: tuple[int, ...]) -> bool:
    return value.shape == shape and _finite(value)


def _finite(value: Array) -> bool:
    return value.dtype.kind in "fiu" and bool(value.size) and bool(np.isfinite(value).all())


def _layers(layers: tuple[ObservedLayer, ...], batch: int) -> tuple[ObservedLayer, ...]:
    """Layers without log-dets that are none; what follows one that is not finite is left out."""
    kept: list[ObservedLayer] = []
    for layer in layers:
        if not _finite(layer.output):
            break
        log_det = layer.log_det
        kept.append(replace(layer, log_det=log_det if log_det is not None and _fits(
            log_det, (batch,)) else None))
    return tuple(kept)


def _started(started: Mapping[str, Array], reference: DialectGlow) -> dict[str, Array]:
    """Shifts and log-scales of ActNorms that there are."""
    return {name: value for name, value in _known(started, reference.arrays).items()
            if name.endswith(_ACTNORM)}


def _known(arrays: Mapping[str, Array], like: Mapping[str, Array]) -> dict[str, Array]:
    return {name: value for name, value in arrays.items()
            if name in like and _fits(value, like[name].shape)}
