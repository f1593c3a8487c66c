"""model.json: what is in a model's folder, and what may be written into its results.

model.schema.json, beside this file, is its schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.layer_name import block_of
from refglow.validation.implementations.active_layers import ActiveLayer, active_layers
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.model_folder.formulas import FORMULAS, MEANINGS
from refglow.validation.schemas import schema_in

FORMAT, VERSION = "refglow model", 1
MANIFEST, MODEL, INPUTS = "model.json", "model.safetensors", "inputs.safetensors"
ROUND_TRIP = "round_trip/"
# What is compared with the model when a folder is read again; the rest explains.
CHECKED = ("architecture", "parameters", "inputs", "layers", "results")


def manifest_of(glow: Glow, inputs: Mapping[str, Array], seed: int,
                hashes: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a model and its inputs.

    Args:
      glow: the model, float32.
      inputs: x [B, H, W, C] and z [B, D], float32.
      seed: of the images, and of the weights if they are random.
      hashes: the sha256 of the two files of arrays, by their names.
    """
    architecture = architecture_of(glow)
    del architecture["dtype"]  # the implementation's choice
    layers = active_layers(glow)
    return {
        "format": FORMAT, "version": VERSION, "seed": seed, "architecture": architecture,
        "files": [{"name": name, "sha256": digest} for name, digest in hashes.items()],
        "parameters": {name: _kind(array) for name, array in parameters_of(glow).items()},
        "inputs": {name: _kind(array) for name, array in inputs.items()},
        "layers": [layer.name for layer in layers],
        "results": {name: {"of": of, "shape": list(shape)} for name, of, shape in _results(
            glow, layers, inputs["x"].shape, len(inputs["z"]))},
        "meanings": dict(MEANINGS), "formulas": dict(FORMULAS)}


def _kind(array: Array) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape)}


def _results(glow: Glow, layers: list[ActiveLayer], x: tuple[int, ...],
             latents: int) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(name, what it is a result of, shape) of every result; nothing is evaluated."""
    batch, *event = x
    size = event[0] * event[1] * event[2]
    yield "inverse", "x", (batch, size)
    yield "inverse_log_det_jacobian", "x", (batch,)
    yield "forward", "z", (latents, *event)
    yield "forward_log_det_jacobian", "z", (latents,)
    yield "log_prob", "x", (batch,)
    yield "bits_per_dim", "x", (batch,)
    for layer in layers:
        halvings = int(glow.parameters["num_glow_blocks"]) - block_of(layer.name)
        yield (f"layers/{layer.name}/output", "x",
               (batch, event[0] >> halvings, event[1] >> halvings, layer.gives))
        yield f"layers/{layer.name}/log_det", "x", (batch,)
    yield "gradients/x", "x", x
    for variable in glow.trainable_variables:
        yield f"gradients/{variable.name}", "x", tuple(variable.shape)
    for variable in glow.trainable_variables:
        if variable.name.endswith((".actnorm.shift", ".actnorm.log_scale")):
            yield f"initialize/{variable.name}", "x", tuple(variable.shape)
    yield f"{ROUND_TRIP}forward", "your inverse", x
    yield f"{ROUND_TRIP}forward_log_det_jacobian", "your inverse", (batch,)


def manifest_schema() -> dict[str, Any]:
    """The schema of manifests."""
    return schema_in("refglow.validation.model_folder", "model.schema.json")
