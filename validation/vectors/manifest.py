"""A vector as two files for any language: NAME.json explains it, NAME.safetensors has its arrays.

vector.schema.json, beside this file, is the manifest's schema. In the other file inputs are
inputs/NAME, results results/float64/NAME and results/float32/NAME, with the names of `results.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from refglow.dtypes import Array
from refglow.safetensors_file import file_in_pieces
from refglow.validation.vectors.counter_random import seed_of
from refglow.validation.vectors.draws import weights_exponent
from refglow.validation.vectors.flags import FLAGS
from refglow.validation.vectors.kept import KeptVectors
from refglow.validation.vectors.operations import OPERATIONS
from refglow.validation.vectors.results import made_inputs
from refglow.validation.vectors.vector import Vector

FORMAT, VERSION = "refglow golden vector", 1


@dataclass(frozen=True)
class Exported:
    """A vector's two files.

    Attributes:
      manifest: for NAME.json.
      arrays: in NAME.safetensors, by their names there.
      content: the bytes of that file.
    """

    manifest: dict[str, Any]
    arrays: dict[str, Array]
    content: bytes


def exported(vector: Vector, kept: KeptVectors) -> Exported:
    """The files of a vector.

    Args:
      vector: which.
      kept: the package's vectors.
    """
    given, certified = kept.inputs(vector), kept.results(vector)
    inputs = made_inputs(vector, given, certified.values,
                         lambda name: certified.values[name]["float64"].shape)
    arrays = {f"inputs/{name}": array for name, array in inputs.items()
              if not vector.is_generated(name)}
    for name, by_type in certified.values.items():
        arrays |= {f"results/{dtype}/{name}": array for dtype, array in by_type.items()}
    content = b"".join(map(bytes, file_in_pieces(arrays, {"vector": vector.name})))
    return Exported(_manifest(vector, inputs, certified.values, certified.bits, content), arrays,
                    content)


def _manifest(vector: Vector, inputs: Mapping[str, Array],
              values: Mapping[str, Mapping[str, Array]], bits: int,
              content: bytes) -> dict[str, Any]:
    return {
        "format": FORMAT, "version": VERSION, "name": vector.name, "operation": vector.operation,
        "formula": OPERATIONS[vector.operation].formula, "arguments": vector.arguments,
        "event_ndims": len(vector.event_shape), "directions": list(vector.directions),
        "why": vector.why,
        "flags": [{"name": name, "bug": FLAGS[name].bug, "effect": FLAGS[name].effect,
                   "who": FLAGS[name].who} for name in vector.flags],
        "file": f"{vector.name}.safetensors", "sha256": hashlib.sha256(content).hexdigest(),
        "bits": bits,
        "inputs": {name: _described(vector, name, array) for name, array in sorted(inputs.items())},
        "results": {name: {"shape": list(by_type["float64"].shape)}
                    for name, by_type in sorted(values.items())}}


def _described(vector: Vector, name: str, array: Array) -> dict[str, Any]:
    described: dict[str, Any] = {"dtype": array.dtype.name, "shape": list(array.shape)}
    if vector.is_generated(name):
        exponent = 0 if name.startswith("param_dots/") else weights_exponent(array.shape,
                                                                             vector.gain_log2)
        described["generated"] = {"seed": seed_of(f"{vector.name}/{name}"), "exponent": exponent}
    return described


def manifest_schema() -> dict[str, Any]:
    """The schema of manifests."""
    text = (resources.files("refglow.validation.vectors") / "vector.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
