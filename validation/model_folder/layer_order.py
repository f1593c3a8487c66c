"""In which order a program's layers come, of which a folder tells names only.

A step's layers keep their shape, so a program may compute them in another order than the model's,
and nothing in their names shows it. What shows it is which order makes the most layers right, each
on the output of the one before.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from refglow.backend import use_backend
from refglow.dtypes import Array
from refglow.layer_name import kind_of
from refglow.validation.compare import difference
from refglow.validation.implementations.active_layers import ActiveLayer
from refglow.validation.implementations.reference import Reference
from refglow.validation.tolerances import TELLS_ORDERS_APART

_MOST_STEPS = 2  # that are looked at


def computed_order(reference: Reference, arrays: Mapping[str, Array]) -> tuple[str, ...]:
    """The names of all layers, in the program's order as far as it shows; else in the model's.

    Args:
      reference: the model.
      arrays: the results, by name.
    """
    steps = [list(group) for _, group in itertools.groupby(reference.layers, _step)]
    before: Array | None = reference.x
    looked_at: list[tuple[Array, list[ActiveLayer]]] = []
    for step in steps:
        if before is not None and len(step) > 1 and all(
                _output(layer, arrays, before.shape) is not None for layer in step):
            looked_at.append((before, step))
        before = _output(step[-1], arrays)
    kinds = max((tuple(map(_kind, step)) for step in steps), key=len)
    order = max(itertools.permutations(kinds), key=lambda order: sum(
        _right(x, _arranged(step, order), arrays) for x, step in looked_at[:_MOST_STEPS]))
    return tuple(layer.name for step in steps
                 for layer in (_arranged(step, order) if len(step) > 1 else step))


def _step(layer: ActiveLayer) -> str:
    return layer.name.rpartition(".")[0] if ".step" in layer.name else layer.name


def _kind(layer: ActiveLayer) -> str:
    return kind_of(layer.name)


def _arranged(step: list[ActiveLayer], order: Sequence[str]) -> list[ActiveLayer]:
    return sorted(step, key=lambda layer: order.index(_kind(layer)))


def _output(layer: ActiveLayer, arrays: Mapping[str, Array],
            shape: tuple[int, ...] | None = None) -> Array | None:
    """What a layer gave; None if it was not given, or not finite, or has another shape."""
    output = arrays.get(f"layers/{layer.name}/output")
    if output is None or output.ndim != 4 or output.shape[-1] != layer.gives or (
            not np.isfinite(output).all()):
        return None
    return output if shape is None or output.shape[:3] == shape[:3] else None


def _right(x: Array, step: list[ActiveLayer], arrays: Mapping[str, Array]) -> int:
    """How many layers of a step are right in this order."""
    right = 0
    with use_backend("spec"), np.errstate(all="ignore"):
        for layer in step:
            output = arrays[f"layers/{layer.name}/output"]
            expected, _ = layer.towards_latent(x.astype(np.float64))
            right += difference(output, expected, np.float64).relative < TELLS_ORDERS_APART
            x = output
    return right
