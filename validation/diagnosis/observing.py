"""Seeing what an implementation computes: everything that it offers, for given images."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.observed import Observed, ObservedLayer
from refglow.validation.implementations.calls import ObjectCalls
from refglow.validation.implementations.collecting import collected
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.offerings import OFFERINGS

# Of the first channel's, in the images of a start: what is added to a deviation shows there.
SMALL_DEVIATION = 1e-6


def observe(implementation: Any, images: Array, latents: Array) -> Observed:
    """Call what an implementation offers and keep what it returns.

    Args:
      implementation: an object in this process (see `refglow.validation.implementations`).
      images: [B, H, W, C].
      latents: [B, D], for `forward`.

    Returns:
      what was seen. Where `forward` takes images and gives latents, `inverse` latents and images,
      the two are exchanged, which is noted.
    """
    start_images = images.copy()
    start_images[..., 0] *= SMALL_DEVIATION
    z = latents.astype(images.dtype)
    arguments = {name: images if kind == "x" else z for name, kind in OFFERINGS.items()}
    given = collected(ObjectCalls(implementation), arguments | {"initialize": start_images})
    return observed_from(given.found, arguments | {"initialize": start_images}, given.exchanged)


def observed_from(found: Mapping[str, Found], arguments: Mapping[str, Array], exchanged: bool,
                  known_layers: Collection[str] | None = None) -> Observed:
    """What was returned, finite or not; of pairs, each by its name.

    Args:
      found: by offering, what was returned.
      arguments: what each was called with.
      exchanged: whether `forward` and `inverse` had each other's names.
      known_layers: the names of the layers to keep; None for all.
    """
    arrays: dict[str, Array] = {}
    for one in found.values():
        for name, array in one.arrays.items():
            arrays.setdefault(name, array)
    images, z = arguments["inverse"], arguments["forward"]
    started = _below(arrays, "initialize/")
    log_dets = {name: _per_image(arrays.get(f"{name}_log_det_jacobian"), arguments[name])
                for name in ("inverse", "forward")}
    return Observed(
        images=images, directions_exchanged=exchanged,
        latents=_batch(arrays.get("inverse"), images), inverse_log_det=log_dets["inverse"],
        log_prob=arrays.get("log_prob"), layers=_layers(found.get("layers"), known_layers),
        started=started, start_images=arguments["initialize"] if started else None,
        gradients=_below(arrays, "gradients/"), bits_per_dim=arrays.get("bits_per_dim"),
        forward_inputs=z if arrays.keys() & {"forward", "forward_log_det_jacobian"} else None,
        forward_images=arrays.get("forward"),
        forward_log_det=log_dets["forward"])


def _per_image(value: Array | None, batch: Array) -> Array | None:
    """A log-det of each image; one number stands for all."""
    return np.full(len(batch), value) if value is not None and value.ndim == 0 else value


def _batch(latents: Array | None, images: Array) -> Array | None:
    """Latents that are one array for each image, whatever its shape."""
    if latents is None or latents.ndim < 1 or len(latents) != len(images):
        return None
    return np.asarray(latents).reshape(len(images), -1)


def _layers(found: Found | None, known: Collection[str] | None) -> tuple[ObservedLayer, ...]:
    if found is None:
        return ()
    return tuple(ObservedLayer(name, found.arrays[f"layers/{name}/output"],
                               _flat(found.arrays.get(f"layers/{name}/log_det")))
                 for name in dict.fromkeys(found.layers)
                 if (known is None or name in known) and f"layers/{name}/output" in found.arrays)


def _flat(log_det: Array | None) -> Array | None:
    return None if log_det is None else log_det.reshape(-1)


def _below(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items()
            if name.startswith(prefix)}
