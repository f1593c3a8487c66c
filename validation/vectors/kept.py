"""The file of golden vectors that is part of the package.

`vectors.safetensors` holds VECTOR/NAME for every input and result named in `results.py`: inputs
in float32, results correctly rounded to float64. A result's float32 is its float64 rounded again;
where the true number, rounded once, is another, VECTOR/NAME/float32 holds it. Cotangents, tangents
and generated kernels are made by their streams, not kept. The metadata's `bits` are the bits of
precision that decided each vector.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from importlib.metadata import version

import numpy as np

from refglow.dtypes import Array
from refglow.safetensors_file import SafetensorsFile, file_in_pieces, open_safetensors
from refglow.validation.certified.certified_results import Certified
from refglow.validation.vectors.results import Arrays
from refglow.validation.vectors.vector import Vector

FILE = "vectors.safetensors"


class KeptVectors:
    """The package's file, opened for reading one vector after the other."""

    def __init__(self, file: SafetensorsFile) -> None:
        """See `kept_vectors`."""
        self._file = file
        self._bits: dict[str, int] = json.loads(file.metadata["bits"])
        self._names: dict[str, list[str]] = {}
        for key in file.kinds:
            vector, _, name = key.partition("/")
            self._names.setdefault(vector, []).append(name)

    def __contains__(self, vector: str) -> bool:
        return vector in self._names

    def inputs(self, vector: Vector) -> Arrays:
        """The vector's parameters and inputs, float32; generated kernels among them.

        Raises:
          KeyError: if the vector is not kept.
        """
        inputs = {name: self._array(vector, name) for name in self._names[vector.name]
                  if is_given(name)}
        return inputs | generated_kernels(vector)

    def results(self, vector: Vector) -> Certified:
        """The vector's results, correctly rounded.

        Raises:
          KeyError: if the vector is not kept.
        """
        values: dict[str, dict[str, Array]] = {}
        names = set(self._names[vector.name])
        for name in sorted(names):
            if not is_given(name) and not name.endswith("/float32"):
                wide = self._array(vector, name)
                narrow = (self._array(vector, f"{name}/float32") if f"{name}/float32" in names
                          else rounded_again(wide))
                values[name] = {"float64": wide, "float32": narrow}
        return Certified(values, self._bits[vector.name])

    def _array(self, vector: Vector, name: str) -> Array:
        return self._file.array(f"{vector.name}/{name}")


@contextmanager
def kept_vectors() -> Iterator[KeptVectors]:
    """The package's vectors, open inside the block."""
    with (resources.as_file(resources.files("refglow.validation.vectors") / FILE) as path,
          open_safetensors(path) as file):
        yield KeptVectors(file)


def is_given(name: str) -> bool:
    """Whether an array is an input that is kept, by its name."""
    return name.startswith("params/") or name.endswith("/input")


def rounded_again(wide: Array) -> Array:
    """float64 results in float32; too large ones are infinite."""
    with np.errstate(over="ignore", under="ignore"):
        return wide.astype(np.float32)


def generated_kernels(vector: Vector) -> Arrays:
    """The kernels of a vector that are made instead of kept, by their names as inputs."""
    if not vector.generated:
        return {}
    return {f"params/{variable.name}": vector.parameter(variable.name, variable.shape)
            for variable in vector.build(np.float32).trainable_variables
            if vector.is_generated(f"params/{variable.name}")}


def file_content(found: Sequence[tuple[Vector, Arrays, Certified]]) -> bytes:
    """The file's bytes.

    Args:
      found: vectors, their inputs and certified results.
    """
    arrays: Arrays = {}
    for vector, inputs, certified in found:
        arrays |= {f"{vector.name}/{name}": array for name, array in inputs.items()
                   if is_given(name) and not vector.is_generated(name)}
        for name, by_type in certified.values.items():
            arrays[f"{vector.name}/{name}"] = by_type["float64"]
            if not np.array_equal(rounded_again(by_type["float64"]), by_type["float32"]):
                arrays[f"{vector.name}/{name}/float32"] = by_type["float32"]
    bits = {vector.name: certified.bits for vector, _, certified in found}
    metadata = {"bits": json.dumps(bits), "python-flint": version("python-flint")}
    return b"".join(map(bytes, file_in_pieces(arrays, metadata)))
