"""A route written down as a Glow of a dialect: its arrays by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.actnorms import ACTNORMS
from refglow.validation.dialects.arranging import (
    Steps,
    exit_of,
    steps_of,
    with_step,
    written_block,
)
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.plain_networks import write_network
from refglow.validation.dialects.route import Block, Route
from refglow.validation.dialects.structure import Structure

_SIDES = {"one": ("",), "both": ("first.", "second.")}


def written(route: Route, structure: Structure, dialect: Dialect) -> DialectGlow:
    """The Glow of a dialect that does what the route does.

    Where all blocks had as many steps, they have so again.

    Args:
      route: what it does.
      structure: the image, the exits, and how many steps there were.
      dialect: in which the route's networks are read.

    Raises:
      NotRepresentableError: if the dialect cannot arrange it, or store it.
    """
    blocks = [steps_of(block, dialect) for block in route.blocks]
    if len(set(structure.steps)) == 1:
        most = max(len(steps.couplings) for steps in blocks)
        blocks = [_lengthened(steps, most, block, dialect)
                  for steps, block in zip(blocks, route.blocks, strict=True)]
    counts = tuple(len(steps.couplings) for steps in blocks)
    if dialect.actnorm not in ACTNORMS and counts != structure.steps:
        raise NotRepresentableError("more steps would have ActNorms that normalise every batch")
    empty = DialectGlow(replace(structure, steps=counts), dialect, {})
    layers = _layers(route, blocks)
    arrays: dict[str, Array] = {}
    for i, (steps, block) in enumerate(zip(blocks, route.blocks, strict=True)):
        arrays |= _step_arrays(empty, i, steps, block, layers)
        network = exit_of(block, dialect)
        if network is not None:
            place = empty._source(i, 0).partition(".")[0] + ".exit."
            arrays |= {place + name: value
                       for name, value in write_network(network, dialect).items()}
    return replace(empty, arrays={name: _stored(value, route) for name, value in arrays.items()})


def _lengthened(steps: Steps, count: int, block: Block, dialect: Dialect) -> Steps:
    while len(steps.couplings) < count:
        steps = with_step(steps, block, dialect)
    return steps


def _layers(route: Route, blocks: list[Steps]) -> tuple[str, ...]:
    """The layers that every step has: those that there were, and those that are needed."""
    layers = route.layers
    for kind in ("actnorm", "conv"):
        kept = tuple({*layers, "conv"} - {kind})
        if kind not in layers and not all(mixing.fits(kept) for steps in blocks
                                          for mixing in steps.mixings):
            layers = (*layers, kind)
    return layers


def _step_arrays(empty: DialectGlow, i: int, steps: Steps, block: Block,
                 layers: tuple[str, ...]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    count, dialect = len(steps.couplings), empty.dialect
    for k, written_layers in enumerate(written_block(steps, block, dialect, layers)):
        place = empty._source(i, count - 1 - k)
        for kind, values in written_layers.items():
            arrays |= {f"{place}.{kind}.{role}": value for role, value in values.items()}
        for side, network in zip(_SIDES[dialect.sides], steps.couplings[k], strict=True):
            arrays |= {f"{place}.coupling.{side}{name}": value
                       for name, value in write_network(network, dialect).items()}
    return arrays


def _stored(value: Array, route: Route) -> Array:
    return np.ascontiguousarray(value, route.dtype if value.dtype.kind == "f" else value.dtype)
