"""From a sequence of layers to Glow's levels and steps.

An importer reads a model as layers towards the latent, each an ActNorm, a 1x1 convolution or a
coupling, cut into levels that each begin with a squeeze. A dialect's step has at most one of each,
in one order; so the sequence is cut greedily, for each of the six orders, a new step beginning
where a layer does not come later in the order than the one before. The order with the fewest steps
is taken, the project's own among equals. A step without a coupling gets one that adds zeros, which
is the identity in every number type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect import STEP_ORDERS, Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.matrices import FACTORS
from refglow.validation.dialects.structure import Structure

ImageShape = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """One layer.

    Attributes:
      kind: "actnorm", "conv" or "coupling".
      arrays: by role, as `DialectGlow` has them below the layer's name; a convolution with a
        "permutation" is factored, one without is a full matrix in "lower_upper".
    """

    kind: str
    arrays: Mapping[str, Array]


@dataclass(frozen=True)
class Level:
    """What follows one squeeze, towards the latent.

    Attributes:
      parts: its layers in order.
      leaving: how many channels exit at its end.
      exit_arrays: the exit's network, by role; empty if nothing is done with what leaves.
    """

    parts: tuple[Part, ...]
    leaving: int = 0
    exit_arrays: Mapping[str, Array] = field(default_factory=dict)


def assembled(image_shape: ImageShape, levels: Sequence[Level], dialect: Dialect,
              top: Mapping[str, Array] | None = None) -> tuple[DialectGlow, int]:
    """The Glow of these levels, and how many steps got a coupling that adds zeros.

    Args:
      image_shape: (H, W, C).
      levels: the one next to the image first.
      dialect: its answers; its `step_order` is preferred, another taken if it needs fewer steps.
      top: mean and log_scale [h, w, c] of the coarsest latents, if they are to be whitened.

    Raises:
      NotRepresentableError: if the image cannot be squeezed so often, or a level has no channels.
    """
    splits = _splits(image_shape, levels)
    orders = (dialect.step_order, *(order for order in STEP_ORDERS if order != dialect.step_order))
    order = min(orders, key=lambda order: sum(len(_steps(level, order)) for level in levels))
    dialect = dialect.but(step_order=order)
    arrays: dict[str, Array] = {}
    counts, added = [], 0
    for k, level in enumerate(levels):
        block = len(levels) - 1 - k
        steps = _steps(level, order)
        counts.append(len(steps))
        for j, parts in enumerate(reversed(steps)):  # the last one towards the latent is step 0
            place = f"block{block}.step{j}"
            if not any(part.kind == "coupling" for part in parts):
                parts = [*parts, Part("coupling", _zeros(sum(splits[block][:2]), dialect, parts))]
                added += 1
            for part in parts:
                arrays |= {f"{place}.{part.kind}.{role}": value
                           for role, value in part.arrays.items()}
        arrays |= {f"block{block}.exit.{role}": value for role, value in level.exit_arrays.items()}
    arrays |= {f"block0.top.{role}": value for role, value in (top or {}).items()}
    structure = Structure(image_shape, splits, tuple(counts[::-1]))
    return DialectGlow(structure, dialect, arrays), added


def uniform_factors(levels: Sequence[Level], factored: str) -> tuple[list[Level], str, bool]:
    """The levels with all 1x1 convolutions factored, or all full matrices.

    Args:
      levels: some convolutions with a permutation, some without.
      factored: how the former are put together, a name in FACTORS.

    Returns:
      (levels, the answer to `factors`, whether factors were multiplied together because others
      are full matrices).
    """
    kinds = {"permutation" in part.arrays for level in levels for part in level.parts
             if part.kind == "conv"}
    if kinds != {True, False}:
        return list(levels), "full matrix" if kinds == {False} else factored, False
    return [replace(level, parts=tuple(_multiplied(part, factored) for part in level.parts))
            for level in levels], "full matrix", True


def _multiplied(part: Part, factored: str) -> Part:
    if "permutation" not in part.arrays:
        return part
    arrays = dict(part.arrays)
    permutation = arrays.pop("permutation")
    arrays["lower_upper"] = FACTORS[factored](arrays["lower_upper"], permutation)
    return Part(part.kind, arrays)


def _splits(shape: ImageShape, levels: Sequence[Level]) -> tuple[tuple[int, int, int], ...]:
    h, w, channels = shape
    if not levels or h % 2**len(levels) or w % 2**len(levels):
        raise NotRepresentableError.at(
            f"An image of {h} x {w}", f"{len(levels)} levels each halve its sides.")
    splits, passed = [], 0
    for level in levels:
        channels *= 4
        if not 0 <= level.leaving < channels:
            raise NotRepresentableError.at(
                f"An exit of {level.leaving} of {channels} channels", "some must go on.")
        channels -= level.leaving
        splits.append((channels, level.leaving, passed))
        passed = 4 * (passed + level.leaving)
    return tuple(splits[::-1])


def _steps(level: Level, order: str) -> list[list[Part]]:
    ranks = {kind: rank for rank, kind in enumerate(order.split())}
    steps: list[list[Part]] = []
    last = len(ranks)
    for part in level.parts:
        if ranks[part.kind] <= last or not steps:
            steps.append([])
        steps[-1].append(part)
        last = ranks[part.kind]
    return steps


def _zeros(channels: int, dialect: Dialect, parts: Sequence[Part]) -> dict[str, Array]:
    """The networks of a coupling that adds zeros, in the number type of the other layers."""
    number_type = np.result_type(*(value for part in parts for value in part.arrays.values()
                                   if value.dtype.kind == "f"))
    seen = channels // 2
    sides = {"": seen} if dialect.sides == "one" else {"first.": seen, "second.": channels - seen}
    more = 1 if dialect.padding == "border indicator" else 0
    return {f"{side}conv1.kernel": np.zeros((1, 1, sees + more, channels - sees), number_type)
            for side, sees in sides.items()}
