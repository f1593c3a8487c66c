"""Which layer differs first: each compared twice.

    cumulative    against the reference's own output: from the first wrong layer on, all differ
    alone         against the reference's layer applied to the *implementation's* output of the
                  layer before: a layer differs if it is wrong itself

The layer's log-det is compared in the same two ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refglow.backend import use_backend
from refglow.dtypes import Array
from refglow.validation.conditioning import measured_condition
from refglow.validation.implementations.active_layers import ActiveLayer
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.judging import Judgement
from refglow.validation.implementations.reference import Reference
from refglow.validation.row import Row
from refglow.validation.tolerances import agreement

ALONE = "layers, each alone"


@dataclass(frozen=True)
class LayerFound:
    """What was found of one layer.

    Attributes:
      name: the layer's.
      cumulative: rows of its output and log-det on the way from the image.
      alone: rows of them for the implementation's own input of the layer; none where that is not
        known, or not finite.
      broken: whether its output or log-det could not be compared: of another shape, or NaN.
    """

    name: str
    cumulative: tuple[Row, ...]
    alone: tuple[Row, ...]
    broken: bool = False

    @property
    def wrong_alone(self) -> bool:
        """Whether the layer itself is wrong, whatever came before."""
        return not all(row.passed for row in self.alone)


def first_wrong(layers: tuple[LayerFound, ...]) -> str | None:
    """The name of the first layer that is wrong: by itself, if one is told; None if none is."""
    for layer in layers:
        if layer.wrong_alone or layer.broken or (
                not layer.alone and not all(row.passed for row in layer.cumulative)):
            return layer.name
    return next((layer.name for layer in layers
                 if not all(row.passed for row in layer.cumulative)), None)


def layers_found(judgement: Judgement, found: Found, usable: list[str],
                 reference: Reference) -> tuple[LayerFound, ...]:
    """Compare each layer alone, and put it beside the cumulative rows.

    Args:
      judgement: holds the cumulative rows and takes the others.
      found: what `layers` gave.
      usable: the names of the arrays in it that can be compared.
      reference: the truth.
    """
    cumulative: dict[str, list[Row]] = {}
    for row in judgement.rows:
        if row.bijector == "layers":
            cumulative.setdefault(row.prop.rpartition("/")[0], []).append(row)
    layers = []
    before: Array | None = reference.x
    for layer in reference.layers:
        names = [name for name in (f"layers/{layer.name}/output", f"layers/{layer.name}/log_det")
                 if name in found.arrays]
        alone = _alone(judgement, layer, before, found, [n for n in names if n in usable],
                       reference)
        if names:
            broken = any(name not in usable and not reference.not_held(name) for name in names)
            layers.append(LayerFound(layer.name, tuple(cumulative.get(layer.name, ())),
                                     tuple(alone), broken))
        output = f"layers/{layer.name}/output"
        before = found.arrays[output] if output in usable else None
    return tuple(layers)


def _alone(judgement: Judgement, layer: ActiveLayer, before: Array | None, found: Found,
           names: list[str], reference: Reference) -> list[Row]:
    """The rows of one layer on the implementation's own input, if that is known."""
    if before is None or not names:
        return []
    bijector = layer.layer.bijector
    with use_backend("spec"), np.errstate(all="ignore"):
        x = before.astype(np.float64)
        truth = layer.towards_latent(x)
        kappas = measured_condition(bijector, lambda parts: layer.towards_latent(parts[0]), [x],
                                    truth)
    rows = []
    for kind, expected, kappa in zip(("output", "log_det"), truth, kappas, strict=True):
        name = f"layers/{layer.name}/{kind}"
        if name in names:
            limit = (layer.log_det_tolerance(reference.dtype, layer.roundings, kappa, *truth)
                     if kind == "log_det" else agreement(reference.dtype, layer.roundings, kappa))
            rows.append(judgement.add(ALONE, f"{layer.name}/{kind}", found.arrays[name], expected,
                                      limit, reference, kappa))
    return [row for row in rows if row is not None]
