"""A Glow in any dialect, evaluated layer by layer.

From the image to the latent, for block i = n-1 .. 0: squeeze, then for j = K-1 .. 0 the layers of
step j in the dialect's order, then the exit. The arrays have refglow's names, and a dialect says
how they are used; a second network of a coupling is `coupling.second`, a full matrix stands in
`conv.lower_upper`. Where the coarsest latents have a learned mean and scale, `block0.top.mean` and
`block0.top.log_scale` [h, w, c], they are whitened last: a layer `block0.top`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array
from refglow.layer_name import block_of, kind_of
from refglow.validation.dialects import stages
from refglow.validation.dialects.dialect import SIDES, Dialect
from refglow.validation.dialects.images import READINGS
from refglow.validation.dialects.latent_orders import LATENT_ORDERS, latents_of
from refglow.validation.dialects.log_dets import (
    BATCHES,
    DENSITIES,
    ONLY_COARSEST,
    SIGNS,
    TERMS,
    UNITS,
)
from refglow.validation.dialects.networks import (
    Layers,
    NetworkConventions,
    Operands,
    as_they_are,
    network_output,
)
from refglow.validation.dialects.squeezes import SQUEEZES
from refglow.validation.dialects.structure import Structure

# As NetworkFunction, and what is done to the operands of products.
WithOperands = Callable[[Array, Layers, NetworkConventions, Operands], Array]


@dataclass(frozen=True)
class LayerResult:
    """What one layer gives towards the latent.

    Attributes:
      name: "block1.step0.conv", "block0.squeeze", "block0.exit".
      output: [B, h, w, c]; of an exit, first what goes on, then what leaves.
      log_det: [B], in nats, as the layer itself has it.
    """

    name: str
    output: Array
    log_det: Array

    @property
    def kind(self) -> str:
        """"squeeze", "actnorm", "conv", "coupling", "exit" or "top"."""
        return kind_of(self.name)


@dataclass(frozen=True)
class DialectGlow:
    """A Glow's structure and arrays, read in a dialect.

    Attributes:
      structure, dialect: as said there.
      arrays: parameters by refglow's names, floating; permutations integer. A layer whose arrays
        are not there is not there.
      operands: what is done to the operands of products towards the latent.
      network: what computes a network; one may remember what it has computed.
    """

    structure: Structure
    dialect: Dialect
    arrays: Mapping[str, Array] = field(repr=False)  # many numbers
    operands: Operands = as_they_are
    network: WithOperands = network_output
    _placed: _Placed | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self._placed is None or self._placed.arrays is not self.arrays:
            object.__setattr__(self, "_placed", _Placed(self.arrays))

    @classmethod
    def of(cls, glow: Glow, dialect: Dialect | None = None) -> DialectGlow:
        """One of refglow's, its arrays read as its own dialect or another."""
        arrays = {name: value for name, value in glow.state_dict().items()
                  if not name.endswith(".initialized")}
        return cls(Structure.of(glow), dialect or Dialect(), arrays)

    def in_dialect(self, dialect: Dialect) -> DialectGlow:
        """The same arrays, read in another dialect."""
        return replace(self, dialect=dialect)

    def with_products_of(self, operands: Operands) -> DialectGlow:
        """The same, with something done by `operands` to those of its products."""
        return replace(self, operands=operands)

    def layer_names(self) -> Iterator[str]:
        """The layers in order, towards the latent."""
        for i in reversed(range(len(self.structure.splits))):
            yield f"block{i}.squeeze"
            last = self.dialect.steps == "last one left out" and self.structure.steps[i] > 1
            for j in reversed(range(int(last), self.structure.steps[i])):
                for kind in self.dialect.step_order.split():
                    if kind == "coupling" or self._has(f"{self._source(i, j)}.{kind}"):
                        yield f"block{i}.step{j}.{kind}"
            if self.structure.has_exit(i):
                yield f"block{i}.exit"
        if self._has("block0.top"):
            yield "block0.top"

    def apply(self, name: str, x: Array, to_latent: bool = True) -> LayerResult:
        """One layer, by its name, to any input.

        Args:
          name: one of `layer_names`.
          x: [B, h, w, c], its input towards the latent (or towards the image).
          to_latent: the direction.

        Returns:
          its output and log-det.

        Raises:
          ValueError: if there is no such layer.
        """
        block, kind = block_of(name), kind_of(name)
        if kind == "squeeze":
            return LayerResult(name, self._squeezed(block, x, to_latent), np.zeros(len(x)))
        if kind == "exit":
            return self._exit(name, block, x, to_latent)
        if kind == "top":
            return LayerResult(name, *stages.top(x, self._arrays_of(name), to_latent))
        step = re.fullmatch(r"block\d+\.step(\d+)\.\w+", name)
        if step is None:
            raise ValueError(f"A Glow has no layer {name!r}.")
        place = f"{self._source(block, int(step[1]))}.{kind}"
        if kind == "coupling":
            networks = [self._network(place, side) for side in self._sides()]
            return LayerResult(name, *stages.coupling(x, networks, self.dialect, to_latent,
                                                      self._output_of))
        arrays = self._arrays_of(place)
        h, w, _ = self.structure.image_shape
        if kind == "actnorm":
            return LayerResult(name, *stages.actnorm(x, arrays, self.dialect, to_latent, h * w))
        return LayerResult(name, *stages.conv(x, arrays, self.dialect, to_latent, h * w,
                                              self.operands))

    def _squeezed(self, block: int, x: Array, to_latent: bool) -> Array:
        """The squeeze; before the first one (after the last one back) the images are read."""
        maps, images = SQUEEZES[self.dialect.squeeze], READINGS[self.dialect.images]
        first = block == len(self.structure.splits) - 1
        if to_latent:
            return maps.squeeze(images.to_latent(x) if first else x)
        return images.to_image(maps.unsqueeze(x)) if first else maps.unsqueeze(x)

    def weights_of(self, name: str) -> str:
        """Where the weights of layer `name` stand: elsewhere, if steps or blocks are reversed."""
        step = re.fullmatch(r"block(\d+)\.step(\d+)\.(\w+)", name)
        if step is not None:
            return f"{self._source(int(step[1]), int(step[2]))}.{step[3]}"
        if kind_of(name) == "exit" and self.dialect.blocks == "reversed":
            return f"block{len(self.structure.splits) - 1 - block_of(name)}.exit"
        return name

    def _exit(self, name: str, block: int, x: Array, to_latent: bool) -> LayerResult:
        source = self.weights_of(name)
        layers = self._network(source, "") if self._has(source) else None
        stays, leaves, log_det = stages.exit_(x, layers, self.structure.splits[block][1],
                                              self.dialect, to_latent, self._output_of)
        return LayerResult(name, np.concatenate([stays, leaves], axis=-1), log_det)

    def towards_latent(self, x: Array) -> Iterator[LayerResult]:
        """Every layer in turn, each on what goes on from the one before.

        Args:
          x: images [B, H, W, C].
        """
        for name in self.layer_names():
            result = self.apply(name, x)
            yield result
            x = self.going_on(result)

    def going_on(self, result: LayerResult) -> Array:
        """What the next layer gets of a result: at an exit, without what leaves."""
        if result.kind != "exit":
            return result.output
        leave, _, _ = self.structure.splits[block_of(result.name)]
        return result.output[..., :leave]

    def grabbed(self, result: LayerResult) -> int:
        """How many channels leave, by the result of an exit."""
        return self.structure.splits[block_of(result.name)][1]

    def scales(self, results: list[LayerResult]) -> list[Array]:
        """The latents by scale, coarsest first, as `Glow.split_latents` gives them."""
        (last_leave, last_grab, _) = self.structure.splits[0]
        parts = []
        for result in results:
            block = block_of(result.name)
            if result.kind == "exit":
                parts.append(result.output[..., self.structure.splits[block][0]:])
        final = results[-1].output
        if last_leave and last_grab:
            final = final[..., :last_leave]
        return [final, *parts[::-1]]

    def inverse(self, x: Array) -> tuple[Array, Array]:
        """(latents in the dialect's order [B, D], the log-det as it adds it up [B]).

        Args:
          x: images [B, H, W, C].
        """
        results = list(self.towards_latent(x))
        return self.latents(self.scales(results)), self.total(results)

    def latents(self, scales: list[Array]) -> Array:
        """The latents [B, D] of scales [B, h, w, c], in the dialect's order."""
        return LATENT_ORDERS[self.dialect.latents](scales, self.structure.splits,
                                                   SQUEEZES[self.dialect.squeeze].squeeze)

    def total(self, results: list[LayerResult]) -> Array:
        """The model's log-det, [B], in nats, from its layers' results."""
        total = np.zeros(len(results[0].output))
        for result in results:
            if result.kind != "squeeze":
                kind = "exit" if result.kind == "top" else result.kind  # both whiten latents
                total += TERMS[getattr(self.dialect, f"log_det_{kind}")] * result.log_det
        total = SIGNS[self.dialect.log_det_sign] * total
        return BATCHES[self.dialect.log_det_batch](
            UNITS[self.dialect.log_det_unit](total, self.structure.dimensions))

    def log_prob(self, scales: list[Array], log_det: Array) -> Array:
        """The log p of each image, [B], in nats, from its scales and the log_det [B]."""
        density, size = self.dialect.density, self.structure.dimensions
        if density == ONLY_COARSEST:
            density, size, scales = "normal", scales[0][0].size, scales[:1]
        square = sum((part.reshape(len(part), -1).astype(np.float64) ** 2).sum(axis=1)
                     for part in scales)
        return DENSITIES[density](np.asarray(square), log_det, size)

    def forward(self, z: Array) -> tuple[Array, Array]:
        """(images [B, H, W, C], the log-det of latent -> image [B]) of latents in its order.

        Args:
          z: [B, D].
        """
        structure = self.structure
        scales = latents_of(z, self.dialect.latents, structure.image_shape, structure.splits,
                            SQUEEZES[self.dialect.squeeze].squeeze)
        results = [result for _, result in self.towards_image(scales)]
        return results[-1].output, self.total(results)

    def towards_image(self, scales: list[Array], dialects: Mapping[str, Dialect] | None = None
                      ) -> Iterator[tuple[Array, LayerResult]]:
        """(input, result) of every layer from the latent on, the last result the image.

        Args:
          scales: the latents by scale, the coarsest first.
          dialects: for each kind of layer one of its own; by default this Glow's for all.
        """
        x, exited = scales[0], scales[1:]
        for name in reversed(list(self.layer_names())):
            kind = kind_of(name)
            if kind == "exit":
                leaves, *exited = exited
                x = np.concatenate([x, leaves], axis=-1)
            layer = self if dialects is None else self.in_dialect(dialects[kind])
            result = layer.apply(name, x, to_latent=False)
            yield x, result
            x = result.output

    def _output_of(self, x: Array, layers: Layers, conventions: NetworkConventions) -> Array:
        return self.network(x, layers, conventions, self.operands)

    def _sides(self) -> tuple[str, ...]:
        return SIDES[self.dialect.sides]

    def _source(self, block: int, step: int) -> str:
        """Where the weights of this step stand."""
        if self.dialect.steps == "reversed":
            step = self.structure.steps[block] - 1 - step
        if self.dialect.steps == "all of them step 0's":
            step = 0
        if self.dialect.blocks == "reversed":
            block = len(self.structure.splits) - 1 - block
        return f"block{block}.step{step}"

    def _has(self, place: str) -> bool:
        return place in self._by_place

    def _arrays_of(self, place: str) -> dict[str, Array]:
        return self._by_place[place]

    @property
    def _by_place(self) -> dict[str, dict[str, Array]]:
        assert self._placed is not None
        return self._placed.by_place

    def _network(self, place: str, side: str) -> Layers:
        """A network's convolutions in order, each with its arrays by role."""
        return list(self._named_network(place, side).values())

    def _named_network(self, place: str, side: str) -> dict[str, dict[str, Array]]:
        """A network's convolutions by name, in order, each with its arrays by role."""
        layers: dict[str, dict[str, Array]] = {}
        for name, value in self._by_place[place].items():
            if name.startswith(side):
                layer, _, role = name[len(side):].rpartition(".")
                layers.setdefault(layer, {})[role] = value
        return {name: layer for name, layer in layers.items() if "kernel" in layer}


class _Placed:
    """Arrays by the layer that they belong to: {"block0.exit": {"conv1.kernel": ...}}."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays
        self.by_place: dict[str, dict[str, Array]] = {}
        for name, value in arrays.items():
            parts = name.split(".")
            depth = 3 if parts[1].startswith("step") else 2
            self.by_place.setdefault(".".join(parts[:depth]), {})[".".join(parts[depth:])] = value
