"""Which numbers of a result are kept, where all are too many.

Of a vector that is `generated`, gradients of parameters of more than 16 numbers; of one that is
`sampled`, all results of more than 256. Kept are the first number, the last, and those at places
that the counter-based generator draws, in the stream VECTOR/samples/NAME. Whoever computes the
result has all of its numbers, and does not know which are looked at before the folder says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.vectors.draws import uniform
from refglow.validation.vectors.vector import Vector

_MOST_OF_GRADIENTS = 16
_MOST_OF_IMAGES = 256

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """Some numbers of an array.

    Attributes:
      shape: the whole array's.
      places: ascending; counted row by row, from 0. int32.
    """

    shape: Shape
    places: Array

    def of(self, array: Array) -> Array:
        """The numbers, [number of places], of a whole array or of an array of these alone.

        Raises:
          ValueError: if it is neither.
        """
        if array.shape == self.shape:
            return np.asarray(array.reshape(-1)[self.places])
        if array.shape == self.places.shape:
            return array
        raise ValueError(f"has shape {list(array.shape)}; it must have {list(self.shape)}, or "
                         f"{list(self.places.shape)} for the numbers that are compared.")


def sample_of(vector: Vector, name: str, shape: Shape) -> Sample | None:
    """The numbers that are kept of a result; None if all are.

    Args:
      vector, name: which result.
      shape: the whole result's.
    """
    size, most = math.prod(shape), _most_kept(vector, name)
    if most is None or size <= most:
        return None
    drawn = uniform(f"{vector.name}/samples/{name}", (most - 2,)).astype(np.float64)
    places = np.unique([0, size - 1, *np.floor((drawn + 1) / 2 * size).astype(int)])
    return Sample(shape, places.astype(np.int32))


def _most_kept(vector: Vector, name: str) -> int | None:
    if vector.generated and "/vjp/params/" in name:
        return _MOST_OF_GRADIENTS
    return _MOST_OF_IMAGES if vector.sampled else None


def samples_of(vector: Vector, names: Iterable[str]) -> dict[str, Sample]:
    """The samples of those of a vector's results that have one. Nothing is evaluated."""
    names = [name for name in names if _most_kept(vector, name) is not None]
    if not names:
        return {}
    subject = vector.build(np.float32)
    shapes = _shapes_of_values(vector, subject) if vector.sampled else {}
    shapes |= {f"{direction}/vjp/params/{variable.name}": tuple(variable.shape)
               for variable in subject.trainable_variables for direction in vector.directions}
    found = {name: sample_of(vector, name, shapes[name]) for name in names if name in shapes}
    return {name: sample for name, sample in found.items() if sample is not None}


def sampled_inputs(vector: Vector) -> dict[str, Array]:
    """What a `sampled` vector is evaluated on: the numbers of the streams of its inputs' names."""
    shapes = _shapes_of_inputs(vector, vector.build(np.float32))
    return {name: uniform(f"{vector.name}/{name}", shape) for name, shape in shapes.items()}


def _shapes_of_inputs(vector: Vector, subject: Any) -> dict[str, Shape]:
    [event] = vector.event_shapes.values()
    result = tuple(subject.forward_event_shape(event))
    shapes = {"forward/input": event, "inverse/input": result}
    return {f"{direction}/input": vector.batch_shape + shapes[f"{direction}/input"]
            for direction in vector.directions}


def _shapes_of_values(vector: Vector, subject: Any) -> dict[str, Shape]:
    """The shapes of the results that are as large as the image."""
    [event] = vector.event_shapes.values()
    result = tuple(subject.forward_event_shape(event))
    shapes: dict[str, Shape] = {}
    for direction, before, after in (("forward", event, result), ("inverse", result, event)):
        shapes[f"{direction}/vjp/input_bar"] = vector.batch_shape + before
        shapes |= {f"{direction}/{name}": vector.batch_shape + after
                   for name in ("value", "jvp/value", "jvp_of_params/value")}
    return shapes
