"""A golden vector's definition: what is computed, on numbers drawn how, to catch which mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from refglow.dtypes import Array
from refglow.validation.vectors.draws import Draw, draw_of, normal, weights
from refglow.validation.vectors.operations import OPERATIONS, Arguments

BOTH = ("forward", "inverse")
FORWARD = ("forward",)
INVERSE = ("inverse",)
ALL_DERIVATIVES = ("vjp", "jvp", "jvp_of_params")


@dataclass(frozen=True)
class Vector:
    """One vector.

    Attributes:
      name: unique; lower-case letters, digits and hyphens: it is a file's name.
      operation: of OPERATIONS.
      arguments: of that operation; what JSON can hold.
      batch_shape: of the input.
      event_shape: of what `forward` takes; of each of its parts, if it takes several.
      flags: mistakes that it catches, of FLAGS.
      why: what its numbers are chosen for.
      draw: draws the input of `forward`, or of `inverse` if that is the only direction.
      params: other draws for parameters, by the last parts of their names.
      directions: which are evaluated. With both, the input of `inverse` is the result of `forward`
        rounded to float32.
      generated: whether the kernels, too large to keep, are made by the counter-based generator;
        of large gradients of parameters only some numbers are then kept (`sampling.py`).
      sampled: whether that is so of all results, and inputs and cotangents are made as well: for
        images too large to keep. `draw` is `uniform`, as their stream is.
      derivatives: which are evaluated, of ALL_DERIVATIVES.
      gain_log2: kernels are smaller or larger by this power of two.
      first_bits: of precision, of the first attempt to certify it.
    """

    name: str
    operation: str
    arguments: Arguments
    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...] | tuple[tuple[int, ...], ...]
    flags: tuple[str, ...]
    why: str
    draw: Draw = normal
    params: Mapping[str, Draw] = field(default_factory=dict)
    directions: tuple[str, ...] = BOTH
    generated: bool = False
    sampled: bool = False
    derivatives: tuple[str, ...] = ALL_DERIVATIVES
    gain_log2: int = 0
    first_bits: int = 128

    @property
    def event_shapes(self) -> dict[str, tuple[int, ...]]:
        """Those of the arrays that `forward` takes, by what their names end in: "", or "/0", ..."""
        parts = {f"/{place}": part for place, part in enumerate(self.event_shape)
                 if isinstance(part, tuple)}
        return parts or {"": tuple(size for size in self.event_shape if isinstance(size, int))}

    @property
    def event_ndims(self) -> int | list[int]:
        """How many dimensions an event has; of several parts, each."""
        ndims = [len(shape) for shape in self.event_shapes.values()]
        return ndims[0] if "" in self.event_shapes else ndims

    @property
    def size(self) -> int:
        """How many numbers an event has."""
        return sum(math.prod(shape) for shape in self.event_shapes.values())

    def build(self, dtype: Any) -> Any:
        """The operation, with parameters that are still to be set (a function has none)."""
        return OPERATIONS[self.operation].build(self.arguments, dtype)

    def parameter(self, name: str, shape: tuple[int, ...]) -> Array:
        """The numbers of a parameter, drawn from the stream of its name; float32 or ints.

        Args:
          name: of the parameter, e.g. "conv1.kernel".
          shape: its shape.
        """
        stream, last = f"{self.name}/params/{name}", name.rsplit(".", 1)[-1]
        if last in self.params:
            return self.params[last](stream, shape)
        if last == "kernel":
            return weights(stream, shape, self.gain_log2)
        return draw_of(last)(stream, shape)

    def is_generated(self, name: str) -> bool:
        """Whether an array, by its name in `results.py`, is made by every reader, not kept."""
        if name.startswith(("params/", "param_dots/")):
            return self.generated and name.endswith(".kernel")
        return self.sampled
