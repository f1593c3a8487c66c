"""What a Glow does, apart from how its dialect arranges channels and steps.

A block, towards the latent, is

    x of the squeeze "c a b" -> mixing 0 -> coupling 0 -> mixing 1 -> ... -> coupling K-1
      -> mixing K -> some channels go on, the others leave

in which a mixing is an affine map of a pixel's channels and a coupling says itself which channels
its network sees and which it maps. Two sides of one coupling are two couplings with nothing
between. (Of a squeeze that is no permutation of "c a b"'s channels, x is what it gives.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refglow.dtypes import Array, DType, accumulator
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.halves import GOING_ON, HALVES, others
from refglow.validation.dialects.mixings import Mixing
from refglow.validation.dialects.plain_networks import Network, read_network
from refglow.validation.dialects.squeezes import SQUEEZES


@dataclass(frozen=True)
class Coupling:
    """A network that sees some channels and maps others; `second` if it is a second side."""

    sees: Array
    maps: Array
    network: Network
    second: bool = False


@dataclass(frozen=True)
class Block:
    """What a block does, towards the latent.

    Attributes:
      channels: how many it has.
      mixings: one more than couplings.
      couplings: in order.
      goes_on, leaves: channels; all go on where there is no exit.
      exit: its network; None if there is none.
    """

    channels: int
    mixings: tuple[Mixing, ...]
    couplings: tuple[Coupling, ...]
    goes_on: Array
    leaves: Array
    exit: Network | None


@dataclass(frozen=True)
class Route:
    """A Glow's blocks, the coarsest first; which layers it has; its arrays' number type."""

    blocks: tuple[Block, ...]
    layers: tuple[str, ...]
    dtype: DType

    def networks(self) -> Iterator[tuple[Network, bool]]:
        """Every network, and whether it is an exit's."""
        for block in self.blocks:
            for coupling in block.couplings:
                yield coupling.network, False
            if block.exit is not None:
                yield block.exit, True


def squeezed_from(order: str, channels: int) -> Array | None:
    """Which channels of "c a b"'s squeeze an order's channels are; None if they are no such."""
    if "N" in order or order == "quadrants":
        return None
    tile = np.arange(channels).reshape(1, 2, 2, channels // 4)
    reference = SQUEEZES["c a b"].squeeze(tile).ravel()
    return np.argsort(reference)[SQUEEZES[order].squeeze(tile).ravel()]


def route_of(glow: DialectGlow) -> Route:
    """What a Glow does.

    Raises:
      NotRepresentableError: if its coarsest latents have a learned mean and scale.
    """
    if any(name.startswith("block0.top.") for name in glow.arrays):
        raise NotRepresentableError(
            "The learned mean and scale of the coarsest latents (block0.top) are no layer of "
            "another dialect. Leave block0.top.* out of the arrays, and whiten the latents after.")
    dtype = next(value.dtype for value in glow.arrays.values() if value.dtype.kind == "f")
    kinds = tuple(kind for kind in ("actnorm", "conv")
                  if any(f".{kind}." in name for name in glow.arrays))
    return Route(tuple(_block(glow, i, accumulator(dtype)) for i in
                       range(len(glow.structure.splits))), kinds, dtype)


def _block(glow: DialectGlow, i: int, dtype: DType) -> Block:
    leave, grab, _ = glow.structure.splits[i]
    channels, dialect = leave + grab, glow.dialect
    places = squeezed_from(dialect.squeeze, channels)
    mixings, couplings = [Mixing.identity(channels, dtype)], []
    for j in reversed(range(glow.structure.steps[i])):
        source = glow._source(i, j)
        for kind in dialect.step_order.split():
            if kind == "coupling":
                for coupling in _couplings(glow, f"{source}.coupling", channels):
                    couplings.append(coupling)
                    mixings.append(Mixing.identity(channels, dtype))
            elif glow._has(f"{source}.{kind}"):
                arrays = {kind: glow._arrays_of(f"{source}.{kind}")}
                mixings[-1] = mixings[-1].then(arrays, dialect)
    if places is not None:
        mixings[0] = mixings[0].on(places)
    goes_on = np.arange(channels)
    if glow.structure.has_exit(i):
        goes_on = HALVES[GOING_ON[dialect.exit_half]](channels, leave)
    return Block(channels, tuple(mixings), tuple(couplings), goes_on,
                 others(channels, goes_on), _exit(glow, i))


def _couplings(glow: DialectGlow, place: str, channels: int) -> Iterator[Coupling]:
    for side in glow._sides():
        network = read_network(glow._named_network(place, side), glow.dialect)
        seen, second = inputs_of(network, glow.dialect), side == "second."
        sees = HALVES[glow.dialect.conditioning](channels, channels - seen if second else seen)
        maps = others(channels, sees)
        yield Coupling(maps, sees, network, True) if second else Coupling(sees, maps, network)


def inputs_of(network: Network, dialect: Dialect) -> int:
    """How many channels a network sees."""
    kernel = next(iter(network.values()))["kernel"]
    return int(kernel.shape[2]) - (dialect.padding == "border indicator")


def _exit(glow: DialectGlow, i: int) -> Network | None:
    last = len(glow.structure.splits) - 1
    place = f"block{i if glow.dialect.blocks == 'in order' else last - i}.exit"
    if (not glow.structure.has_exit(i) or glow.dialect.exit_affine == "left out"
            or not glow._has(place)):
        return None
    return read_network(glow._named_network(place, ""), glow.dialect)
