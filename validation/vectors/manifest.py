"""A vector as two files for any language: NAME.json explains it, NAME.safetensors has its arrays.

vector.schema.json, beside this file, is the manifest's schema. In the other file inputs are
inputs/NAME, results results/float64/NAME and results/float32/NAME, with the names of `results.py`.
conditions/NAME has the conditions of a result that is judged number by number, places/NAME says
which numbers are kept of one of which not all are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.safetensors_file import file_in_pieces
from refglow.validation.golden import DTYPES
from refglow.validation.schemas import schema_in
from refglow.validation.vectors.conditions import layers_of_vector, rule_of
from refglow.validation.vectors.counter_random import seed_of
from refglow.validation.vectors.draws import weights_exponent
from refglow.validation.vectors.flags import FLAGS
from refglow.validation.vectors.kept import KeptVectors
from refglow.validation.vectors.operations import OPERATIONS
from refglow.validation.vectors.sampling import Sample, samples_of
from refglow.validation.vectors.vector import Vector

FORMAT, VERSION = "refglow golden vector", 2


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
    certified, conditions, inputs = (kept.results(vector), kept.conditions(vector),
                                     kept.all_inputs(vector))
    samples = samples_of(vector, certified.values)
    arrays = {f"inputs/{name}": array for name, array in inputs.items()
              if not vector.is_generated(name)}
    for name, by_type in certified.values.items():
        arrays |= {f"results/{dtype}/{name}": array for dtype, array in by_type.items()}
        if OPERATIONS[vector.operation].by_element:
            arrays[f"conditions/{name}"] = np.broadcast_to(
                conditions[name], by_type["float64"].shape).astype(np.float32)
    arrays |= {f"places/{name}": sample.places for name, sample in samples.items()}
    content = b"".join(map(bytes, file_in_pieces(arrays, {"vector": vector.name})))
    layers = layers_of_vector(vector)
    results = {name: {"shape": list(shape)} | _kept_places(samples.get(name))
               | _judgement(vector, name, conditions[name], layers)
               for name, shape in sorted(kept.shapes(vector).items())}
    return Exported(_manifest(vector, inputs, results, certified.bits, content), arrays, content)


def _kept_places(sample: Sample | None) -> dict[str, Any]:
    return {} if sample is None else {"kept": len(sample.places)}


def _judgement(vector: Vector, name: str, kappa: Array, layers: int) -> dict[str, Any]:
    """The largest condition of a result's numbers, and the tolerances that belong to it."""
    largest = float(kappa.max(initial=1.0))
    tolerances = {dtype: float(f"{rule_of(vector, name)(dtype, layers, largest).relative:.3g}")
                  for dtype in DTYPES}
    return {"condition": float(f"{largest:.3g}"), "tolerance": tolerances,
            "by_element": OPERATIONS[vector.operation].by_element}


def _manifest(vector: Vector, inputs: Mapping[str, Array], results: Mapping[str, Any], bits: int,
              content: bytes) -> dict[str, Any]:
    return {
        "format": FORMAT, "version": VERSION, "name": vector.name, "operation": vector.operation,
        "formula": OPERATIONS[vector.operation].formula, "arguments": vector.arguments,
        "event_ndims": vector.event_ndims, "directions": list(vector.directions),
        "why": vector.why,
        "flags": [{"name": name, "bug": FLAGS[name].bug, "effect": FLAGS[name].effect,
                   "who": FLAGS[name].who} for name in vector.flags],
        "file": f"{vector.name}.safetensors", "sha256": hashlib.sha256(content).hexdigest(),
        "bits": bits,
        "inputs": {name: _described(vector, name, array) for name, array in sorted(inputs.items())},
        "results": results}


def _described(vector: Vector, name: str, array: Array) -> dict[str, Any]:
    described: dict[str, Any] = {"dtype": array.dtype.name, "shape": list(array.shape)}
    if vector.is_generated(name):
        exponent = (weights_exponent(array.shape, vector.gain_log2)
                    if name.startswith("params/") else 0)
        described["generated"] = {"seed": seed_of(f"{vector.name}/{name}"), "exponent": exponent}
    return described


def manifest_schema() -> dict[str, Any]:
    """The schema of manifests."""
    return schema_in("refglow.validation.vectors", "vector.schema.json")
