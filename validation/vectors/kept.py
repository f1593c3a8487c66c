"""The files of golden vectors that are part of the package.

`vectors.safetensors` holds VECTOR/NAME for every input and result named in `results.py`: inputs
in float32, results correctly rounded to float64. A result's float32 is its float64 rounded again;
where the true number, rounded once, is another, VECTOR/NAME/float32 holds it. Cotangents, tangents
and generated kernels are made by their streams, not kept. The metadata's `bits` are the bits of
precision that decided each vector.

`conditions.safetensors` holds VECTOR: the conditions by which results are judged (`conditions.py`),
measured once.
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
from refglow.validation.vectors.packed_conditions import unpacked
from refglow.validation.vectors.results import Arrays, made_inputs
from refglow.validation.vectors.sampling import sampled_inputs, samples_of
from refglow.validation.vectors.vector import Vector

FILE, CONDITIONS_FILE = "vectors.safetensors", "conditions.safetensors"


class KeptVectors:
    """The package's files, opened for reading one vector after the other."""

    def __init__(self, file: SafetensorsFile, conditions: SafetensorsFile) -> None:
        """See `kept_vectors`."""
        self._file, self._conditions = file, conditions
        self._bits: dict[str, int] = json.loads(file.metadata["bits"])
        self._names: dict[str, list[str]] = {}
        for key in file.kinds:
            vector, _, name = key.partition("/")
            self._names.setdefault(vector, []).append(name)

    def __contains__(self, vector: str) -> bool:
        return vector in self._names

    def inputs(self, vector: Vector) -> Arrays:
        """The vector's parameters and inputs, float32; generated ones among them.

        Raises:
          KeyError: if the vector is not kept.
        """
        inputs = {name: self._array(vector, name) for name in self._names[vector.name]
                  if is_given(name)}
        return inputs | generated_inputs(vector)

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

    def shapes(self, vector: Vector) -> dict[str, tuple[int, ...]]:
        """The shapes of the vector's results, also of those of which only some numbers are kept.

        Raises:
          KeyError: if the vector is not kept.
        """
        kept = self._kept_shapes(vector)
        return kept | {name: sample.shape for name, sample in samples_of(vector, kept).items()}

    def all_inputs(self, vector: Vector) -> Arrays:
        """The vector's parameters and inputs, and the cotangents and tangents beside them.

        Raises:
          KeyError: if the vector is not kept.
        """
        shapes = self.shapes(vector)
        return made_inputs(vector, self.inputs(vector), shapes, shapes.__getitem__)

    def _kept_shapes(self, vector: Vector) -> dict[str, tuple[int, ...]]:
        return {name: self._file.kinds[f"{vector.name}/{name}"].shape
                for name in sorted(self._names[vector.name])
                if not is_given(name) and not name.endswith("/float32")}

    def has_conditions(self, vector: Vector) -> bool:
        """Whether the conditions of the vector's results are kept."""
        return vector.name in self._conditions.kinds

    def packed_conditions(self, vector: Vector) -> Array:
        """The conditions of the vector's results, as `packed_conditions.py` has them.

        Raises:
          KeyError: if they are not kept.
        """
        return self._conditions.array(vector.name)

    def conditions(self, vector: Vector) -> Arrays:
        """kappa of each of the vector's results, float64: one number, or one for each of its own.

        Raises:
          KeyError: if they are not kept.
        """
        return unpacked(self.packed_conditions(vector), self._kept_shapes(vector))

    def _array(self, vector: Vector, name: str) -> Array:
        return self._file.array(f"{vector.name}/{name}")


@contextmanager
def kept_vectors() -> Iterator[KeptVectors]:
    """The package's vectors, open inside the block."""
    package = resources.files("refglow.validation.vectors")
    with (resources.as_file(package / FILE) as path, open_safetensors(path) as file,
          resources.as_file(package / CONDITIONS_FILE) as beside,
          open_safetensors(beside) as conditions):
        yield KeptVectors(file, conditions)


def is_given(name: str) -> bool:
    """Whether an array is an input that is kept, by its name."""
    return name.startswith("params/") or name.split("/")[1] == "input"


def rounded_again(wide: Array) -> Array:
    """float64 results in float32; too large ones are infinite."""
    with np.errstate(over="ignore", under="ignore"):
        return wide.astype(np.float32)


def generated_inputs(vector: Vector) -> Arrays:
    """What a vector is evaluated on and does not keep: its kernels, or also its images."""
    if not vector.generated:
        return {}
    images = sampled_inputs(vector) if vector.sampled else {}
    return images | {f"params/{variable.name}": vector.parameter(variable.name, variable.shape)
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
