"""What a comparison saw of an implementation, for the diagnosis."""

from __future__ import annotations

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.diagnose import diagnose
from refglow.validation.diagnosis.finding import Diagnosis
from refglow.validation.diagnosis.observed import Observed, ObservedLayer
from refglow.validation.implementations import Conformance


def diagnosis_of(conformance: Conformance, seconds: float = 50.0) -> Diagnosis:
    """The diagnosis of what was returned in a comparison.

    Args:
      conformance: of one number type.
      seconds: as for `diagnose`.
    """
    return diagnose(conformance.reference.glow, observed_of(conformance), seconds)


def observed_of(conformance: Conformance) -> Observed:
    """All results that were returned, finite or not; of pairs, each by its name."""
    arrays: dict[str, Array] = {}
    for found in conformance.raw.values():
        for name, array in found.arrays.items():
            arrays.setdefault(name, array)
    reference = conformance.reference
    x, z = reference.x, reference.z
    starts = _below(arrays, "initialize/")
    exchanged = _has_shape(arrays, "inverse", x) and _has_shape(arrays, "forward", z)
    if exchanged:  # each was given what the other takes
        return Observed(x, layers=_layers(conformance), directions_exchanged=True)
    return Observed(
        images=x, latents=_batch(arrays.get("inverse"), x),
        inverse_log_det=arrays.get("inverse_log_det_jacobian"), log_prob=arrays.get("log_prob"),
        layers=_layers(conformance), started=starts, start_images=x if starts else None,
        gradients=_below(arrays, "gradients/"), bits_per_dim=arrays.get("bits_per_dim"),
        forward_inputs=z if "forward" in arrays else None, forward_images=arrays.get("forward"),
        forward_log_det=arrays.get("forward_log_det_jacobian"))


def _has_shape(arrays: dict[str, Array], name: str, like: Array) -> bool:
    return name in arrays and arrays[name].shape == like.shape


def _layers(conformance: Conformance) -> tuple[ObservedLayer, ...]:
    found = conformance.raw.get("layers")
    if found is None:
        return ()
    known = {name.split("/")[1] for name in conformance.reference.truth
             if name.startswith("layers/")}
    names = [name for name in dict.fromkeys(found.layers) if name in known]
    return tuple(ObservedLayer(name, found.arrays[f"layers/{name}/output"],
                               found.arrays.get(f"layers/{name}/log_det"))
                 for name in names if f"layers/{name}/output" in found.arrays)


def _below(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items()
            if name.startswith(prefix)}


def _batch(latents: Array | None, images: Array) -> Array | None:
    """Latents that are one array for each image, whatever its shape."""
    if latents is None or latents.ndim < 1 or len(latents) != len(images):
        return None
    return np.asarray(latents).reshape(len(images), -1)
