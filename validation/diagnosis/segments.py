"""The layers of an implementation, each on the input that the implementation itself gave it.

A segment is what lies between two results that were seen: one layer, or several where some were not
given. Its input is the implementation's own, so a mistake shows where it is made and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from refglow.dtypes import Array
from refglow.layer_name import block_of, kind_of
from refglow.validation.conditioning import DRAWS
from refglow.validation.diagnosis.closeness import (
    LAYERS_OF_A_COUPLING,
    conditions,
    relative_error,
    tolerance,
)
from refglow.validation.diagnosis.observed import Observed, ObservedLayer
from refglow.validation.dialects.dialect import STEP_ORDERS, Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow, LayerResult

Dialects = Mapping[str, Dialect]  # by kind of layer


@dataclass(frozen=True)
class Segment:
    """Layers from one result that was seen to the next.

    Attributes:
      names: of the layers, towards the latent; the last one's result was seen.
      x: the input, [B, h, w, c], float64.
      seen: the last layer's result.
    """

    names: tuple[str, ...]
    x: Array
    seen: ObservedLayer

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its layers."""
        return tuple(kind_of(name) for name in self.names)

    @property
    def rounding_layers(self) -> int:
        """L of its tolerance."""
        return LAYERS_OF_A_COUPLING * len(self.names)


def step_order_of(names: list[str]) -> str | None:
    """The order of a step's layers in a list of layers; None if it is not one order throughout."""
    steps: dict[str, list[str]] = {}
    for name in names:
        if ".step" in name:
            step, _, kind = name.rpartition(".")
            steps.setdefault(step, []).append(kind)
    fitting = [order for order in STEP_ORDERS
               if all(kinds == [kind for kind in order.split() if kind in kinds]
                      for kinds in steps.values())]
    return fitting[0] if fitting else None


def segments_of(reference: DialectGlow, observed: Observed) -> list[Segment]:
    """The segments of an implementation's layers, towards the latent.

    Args:
      reference: with the step order that the implementation has.
      observed: with layers under refglow's names.
    """
    by_name = {layer.name: layer for layer in observed.layers}
    found: list[Segment] = []
    x, names = observed.images.astype(np.float64), []
    for name in reference.layer_names():
        names.append(name)
        if name not in by_name:
            continue
        seen = by_name[name]
        if seen.output.shape != shape_of(reference, name, len(x)):
            break  # nothing can be computed from it: its shape is said elsewhere
        found.append(Segment(tuple(names), x, seen))
        x, names = reference.going_on(_result(seen)), []
    return found


def shape_of(reference: DialectGlow, name: str, batch: int) -> tuple[int, ...]:
    """The shape of a layer's result: the channels that have not exited before it."""
    block = block_of(name)
    leave, grab, _ = reference.structure.splits[block]
    return (batch, *reference.structure.sizes[block][:2], leave + grab)


def _result(seen: ObservedLayer) -> LayerResult:
    output = np.asarray(seen.output, np.float64)
    return LayerResult(seen.name, output, np.zeros(len(output)))


def evaluated(reference: DialectGlow, segment: Segment,
              dialects: Dialects) -> tuple[Array, Array]:
    """(the last layer's output, its log-det) of a segment, in each kind's own dialect."""
    return _evaluated(reference, segment.names, segment.x, dialects)


def _evaluated(reference: DialectGlow, names: tuple[str, ...], x: Array,
               dialects: Dialects) -> tuple[Array, Array]:
    for name in names:
        layer = reference.in_dialect(dialects[kind_of(name)])
        result = layer.apply(name, x)
        x = layer.going_on(result)
    return result.output, result.log_det


def limits(reference: DialectGlow, segment: Segment, dialects: Dialects,
           draws: int = DRAWS) -> tuple[float, float]:
    """The largest relative errors of a segment's output and log-det that are rounding.

    Args:
      reference, segment, dialects: as for `evaluated`.
      draws: by which the condition is measured.
    """
    places = tuple(f"{reference.in_dialect(dialects[kind_of(name)]).weights_of(name)}."
                   for name in segment.names)
    arrays = {name: value for name, value in reference.arrays.items() if name.startswith(places)}

    def evaluate(x: Array, there: DialectGlow) -> list[Array]:
        return list(_evaluated(there, segment.names, x, dialects))
    kappas = conditions(evaluate, segment.x, replace(reference, arrays=arrays), draws)
    output, log_det = (_tolerance(segment, kappa) for kappa in kappas)
    return output, log_det


def least_limit(segment: Segment) -> float:
    """The limit of a segment whose condition is 1, the least there is: it takes no measuring."""
    return _tolerance(segment, 1.0)


def _tolerance(segment: Segment, condition: float) -> float:
    return tolerance(np.dtype(segment.seen.output.dtype), segment.rounding_layers, condition)


def errors(reference: DialectGlow, segments: list[Segment], dialects: Dialects
           ) -> Iterator[float]:
    """The relative error of each segment's output."""
    for segment in segments:
        yield relative_error(segment.seen.output, evaluated(reference, segment, dialects)[0])
