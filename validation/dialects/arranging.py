"""A route's blocks as the steps of a dialect.

Before a coupling, channels are exchanged so that its network sees the ones that it should; after
it, they are exchanged back. Both permutations go into the mixings around it. Where the dialect's
step has no mixing at the block's beginning or end, or not enough of one, a coupling that does
nothing is put there, and so the block has one step more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.halves import GOING_ON, HALVES, others
from refglow.validation.dialects.mixings import Mixing
from refglow.validation.dialects.network_affines import outputs_of
from refglow.validation.dialects.plain_networks import Network
from refglow.validation.dialects.route import Block, Coupling, squeezed_from
from refglow.validation.dialects.unit_networks import unit_exit, unit_like


@dataclass(frozen=True)
class Steps:
    """A block in a dialect, towards the latent.

    Attributes:
      mixings: one more than couplings; the first and the last fit what the dialect's step has
        there.
      couplings: of each step the networks of its sides.
    """

    mixings: tuple[Mixing, ...]
    couplings: tuple[tuple[Network, ...], ...]


def steps_of(block: Block, dialect: Dialect) -> Steps:
    """The block's steps.

    Raises:
      NotRepresentableError: if the dialect cannot arrange its channels so.
    """
    mixings, couplings = [block.mixings[0]], []
    k = 0
    while k < len(block.couplings):
        paired = (dialect.sides == "both" and k + 1 < len(block.couplings)
                  and _are_sides(block, k, dialect))
        networks, places = (_pair if paired else _single)(block, k, dialect)
        k += 1 + paired
        mixings[-1] = mixings[-1].taken(places)
        mixings.append(block.mixings[k].on(np.argsort(places)))
        couplings.append(networks)
    mixings[0] = mixings[0].on(_to_reference(block.channels, dialect))
    mixings[-1] = mixings[-1].taken(_at_exit(block, dialect))
    return _with_ends(Steps(tuple(mixings), tuple(couplings)), block, dialect)


def with_step(steps: Steps, block: Block, dialect: Dialect, first: bool = False) -> Steps:
    """With one more step at the block's end, which does nothing (or at its beginning).

    Raises:
      NotRepresentableError: if no coupling does nothing in this dialect.
    """
    identity = Mixing.identity(block.channels, block.mixings[0].shift.dtype)
    unit = (_unit_step(block, dialect),)
    if first:
        return Steps((identity, *steps.mixings), unit + steps.couplings)
    return Steps((*steps.mixings, identity), steps.couplings + unit)


def exit_of(block: Block, dialect: Dialect) -> Network | None:
    """The exit's network: where the dialect has some and the route has none, one of scale 1."""
    if dialect.exit_affine == "left out" or block.exit is not None or not len(block.leaves):
        return block.exit
    return unit_exit(len(block.goes_on), len(block.leaves), dialect,
                     block.mixings[0].shift.dtype)


def _with_ends(steps: Steps, block: Block, dialect: Dialect) -> Steps:
    before, after = ends_of(dialect.step_order)
    if not steps.couplings and not steps.mixings[0].is_identity:
        steps = with_step(steps, block, dialect)
    if not steps.mixings[0].fits(before):
        steps = with_step(steps, block, dialect, first=True)
    if not steps.mixings[-1].fits(after):
        steps = with_step(steps, block, dialect)
    return steps


def ends_of(step_order: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layers of a step before its coupling and after it."""
    kinds = step_order.split()
    at = kinds.index("coupling")
    return tuple(kinds[:at]), tuple(kinds[at + 1:])


def _half(conditioning: str, channels: int, count: int) -> Array:
    try:
        return HALVES[conditioning](channels, count)
    except ValueError as error:
        raise NotRepresentableError(f"{conditioning!r}: {error}") from None


def _places(channels: int, *pairs: tuple[Array, Array]) -> Array:
    """For each channel of the dialect's, which of the route's it is; pairs (here, there)."""
    places = np.empty(channels, int)
    for here, there in pairs:
        places[here] = there
    return places


def _single(block: Block, k: int, dialect: Dialect) -> tuple[tuple[Network, ...], Array]:
    """A coupling as a step, alone or beside a side that does nothing; and where channels stand."""
    coupling, channels = block.couplings[k], block.channels
    sees, maps = coupling.sees, coupling.maps
    if dialect.sides == "one":
        half = _half(dialect.conditioning, channels, len(sees))
        return (coupling.network,), _places(channels, (half, sees),
                                            (others(channels, half), maps))
    half = _half(dialect.conditioning, channels, len(maps))  # what a second side maps
    as_second = _places(channels, (half, maps), (others(channels, half), sees))
    unit = _unit_for(coupling, maps, sees, dialect)
    if (as_second == np.arange(channels)).all():
        return (unit, coupling.network), as_second
    half = _half(dialect.conditioning, channels, len(sees))
    return (coupling.network, unit), _places(channels, (half, sees),
                                             (others(channels, half), maps))


def _are_sides(block: Block, k: int, dialect: Dialect) -> bool:
    """Whether the next two couplings are the two sides of one."""
    first, second = block.couplings[k:k + 2]
    return (block.mixings[k + 1].is_identity and np.array_equal(first.sees, second.maps)
            and np.array_equal(first.maps, second.sees))


def _pair(block: Block, k: int, dialect: Dialect) -> tuple[tuple[Network, ...], Array]:
    first, second = block.couplings[k:k + 2]
    half = _half(dialect.conditioning, block.channels, len(first.sees))
    return (first.network, second.network), _places(
        block.channels, (half, first.sees), (others(block.channels, half), first.maps))


def _unit_for(model: Coupling, sees: Array, maps: Array, dialect: Dialect) -> Network:
    additive = outputs_of(model.network) == len(model.maps)
    return unit_like(model.network, len(sees), len(maps), additive, dialect)


def _unit_step(block: Block, dialect: Dialect) -> tuple[Network, ...]:
    if not block.couplings:
        raise NotRepresentableError("a block without steps would need one that does nothing")
    model = block.couplings[-1]
    sees = block.channels // 2
    halves = np.arange(sees), np.arange(sees, block.channels)
    first = _unit_for(model, *halves, dialect)
    return (first,) if dialect.sides == "one" else (first, _unit_for(model, *halves[::-1], dialect))


def _to_reference(channels: int, dialect: Dialect) -> Array:
    places = squeezed_from(dialect.squeeze, channels)
    return np.arange(channels) if places is None else np.argsort(places)


def _at_exit(block: Block, dialect: Dialect) -> Array:
    if not len(block.leaves):
        return np.arange(block.channels)
    name = GOING_ON[dialect.exit_half]
    half = _half(name, block.channels, len(block.goes_on))
    return _places(block.channels, (half, block.goes_on),
                   (others(block.channels, half), block.leaves))


def written_block(steps: Steps, block: Block, dialect: Dialect,
                  layers: tuple[str, ...]) -> list[dict[str, Mapping[str, Array]]]:
    """Of each step, towards the latent, its arrays by kind of layer (couplings left out).

    Args:
      steps: of this block.
      block: the block.
      dialect: in whose forms.
      layers: which of "actnorm" and "conv" every step has.

    Raises:
      NotRepresentableError: if an ActNorm or a matrix is too narrow for what it has to do.
    """
    before, after = ends_of(dialect.step_order)
    written: list[dict[str, Mapping[str, Array]]] = [{} for _ in steps.couplings]
    for k, mixing in enumerate(steps.mixings):
        first, last = k == 0, k == len(steps.couplings)
        kinds = (() if first else after) + (() if last else before)
        kept = tuple(kind for kind in kinds if kind in layers)
        for kind, arrays in mixing.written(kept, dialect).items():
            written[k if kind in before else k - 1][kind] = arrays
    return written
