"""The architecture of a Glow: everything needed to build it again, but for its weights.

`Architecture` holds Glow's arguments, with its networks described (see
`refglow.networks.description`) in place of the functions that built them. It knows the name, shape
and number type of every array in the model's state without building the model, so that a file's
claims can be held against what is in the file before anything is allocated.

`astype` builds the same Glow in another number type.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from refglow.bijectors.glow import Glow
from refglow.bijectors.glow_shapes import blockwise_splits_of, image_shape
from refglow.bijectors.network_builder import build_network
from refglow.dtypes import DEFAULT_FLOAT, DType, canonical_dtype
from refglow.networks.description import (
    Description,
    at_place,
    build_described,
    describe,
    is_describable,
    relative,
    variable_shapes,
)

# One description that holds at every place; or one for each place, None where there is no network;
# or None: nothing is said.
Networks: TypeAlias = Description | tuple[Description | None, ...] | None


@dataclass(frozen=True)
class Place:
    """Where in a Glow a network stands."""

    name: str
    determines: dict[str, Any]  # the arguments of a default network that follow from the place


@dataclass(frozen=True)
class Architecture:
    """Glow's arguments, the networks described relative to their places."""

    output_shape: tuple[int, int, int]
    num_glow_blocks: int
    num_steps_per_block: int
    grab_after_block: tuple[float, ...] | None
    use_actnorm: bool
    validate_args: bool
    name: str
    dtype: DType
    coupling: Networks
    exit: Networks

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """(channels, leave, grab) of each block, the coarsest first."""
        shape = image_shape(self.output_shape, self.num_glow_blocks)
        for leave, grab, _ in blockwise_splits_of(shape, self.num_glow_blocks,
                                                  self.grab_after_block):
            yield leave + grab, leave, grab

    def coupling_place(self, i: int, j: int, channels: int) -> Place:
        """The place of the network in step j of block i."""
        return Place(f"block{i}.step{j}.coupling", {"input_shape": [channels // 2]})

    def exit_place(self, i: int, leave: int, grab: int) -> Place | None:
        """The place of exit i's network; None if it has none, because nothing exits or stays."""
        if not (leave and grab):
            return None
        return Place(f"block{i}.exit", {"input_shape": [leave], "output_chan": grab})

    def state(self) -> Iterator[tuple[str, tuple[int, ...], DType]]:
        """(name, shape, dtype) of every array in the state of such a Glow, in order.

        The arrays of networks about which nothing is said are left out.

        Raises:
          ValueError: if a network's description is not one.
        """
        integer, boolean = np.dtype(np.int32), np.dtype(np.bool_)
        for i, (c, leave, grab) in enumerate(self.blocks()):
            for j in range(self.num_steps_per_block):
                step = f"block{i}.step{j}"
                if self.use_actnorm:
                    yield f"{step}.actnorm.shift", (c,), self.dtype
                    yield f"{step}.actnorm.log_scale", (c,), self.dtype
                    yield f"{step}.actnorm.initialized", (), boolean
                yield f"{step}.conv.lower_upper", (c, c), self.dtype
                yield f"{step}.conv.permutation", (c,), integer
                yield from self._network_state(
                    self.coupling, i * self.num_steps_per_block + j, self.coupling_place(i, j, c))
            yield from self._network_state(self.exit, i, self.exit_place(i, leave, grab))

    def _network_state(self, networks: Networks, index: int,
                       place: Place | None) -> Iterator[tuple[str, tuple[int, ...], DType]]:
        if networks is None:
            return
        description = networks[index] if isinstance(networks, tuple) else networks
        if place is None:
            if isinstance(networks, tuple) and description is not None:
                raise ValueError(f"a network is described for exit {index}, where nothing is "
                                 "coupled.")
            return
        try:
            complete = at_place(description, place.determines)
        except ValueError as error:
            raise ValueError(f"{place.name}: {error}") from error
        for name, shape in variable_shapes(complete):
            yield f"{place.name}.{name}", shape, self.dtype

    def build(self, coupling_bijector_fn: Callable[..., Any] | None,
              exit_bijector_fn: Callable[..., Any] | None) -> Glow:
        """A Glow of this architecture, its weights at their random start.

        Args:
          coupling_bijector_fn, exit_bijector_fn: build the networks in place of the descriptions.
        """
        return Glow(
            output_shape=self.output_shape, num_glow_blocks=self.num_glow_blocks,
            num_steps_per_block=self.num_steps_per_block,
            coupling_bijector_fn=coupling_bijector_fn or _network_fn(self.coupling),
            exit_bijector_fn=exit_bijector_fn or _network_fn(self.exit),
            grab_after_block=self.grab_after_block, use_actnorm=self.use_actnorm,
            validate_args=self.validate_args, name=self.name, dtype=self.dtype)


def architecture_of(glow: Glow) -> Architecture:
    """The architecture of a Glow that is made of refglow's networks.

    Raises:
      TypeError: if one of its networks is not; names it.
    """
    arguments = glow.parameters
    fractions = arguments["grab_after_block"]
    plain = Architecture(
        output_shape=image_shape(arguments["output_shape"], arguments["num_glow_blocks"]),
        num_glow_blocks=int(arguments["num_glow_blocks"]),
        num_steps_per_block=int(arguments["num_steps_per_block"]),
        grab_after_block=None if fractions is None else tuple(map(float, fractions)),
        use_actnorm=bool(arguments["use_actnorm"]), validate_args=glow.validate_args,
        name=glow.name, dtype=glow.dtype or DEFAULT_FLOAT, coupling=None, exit=None)
    couplings, exits = networks_of(glow)
    coupling_places = [plain.coupling_place(i, j, c) for i, (c, _, _) in enumerate(plain.blocks())
                       for j in range(plain.num_steps_per_block)]
    exit_places = [plain.exit_place(i, leave, grab)
                   for i, (_, leave, grab) in enumerate(plain.blocks())]
    return Architecture(**vars(plain) | {"coupling": _described(couplings, coupling_places),
                                         "exit": _described(exits, exit_places)})


def networks_of(glow: Glow) -> tuple[list[Any], list[Any]]:
    """(the coupling networks, the exits' networks or None), in the order of the state."""
    blocks, steps = range(len(glow.blockwise_splits)), glow.parameters["num_steps_per_block"]
    members = glow._members
    return ([members[f"block{i}"]._members[f"step{j}.coupling"]
             for i in blocks for j in range(steps)],
            [members[f"block{i}.exit"].exit_layer for i in blocks])


def astype(glow: Glow, dtype: npt.DTypeLike) -> Glow:
    """See `Glow.astype`."""
    number_type = canonical_dtype(dtype)
    if number_type is None:
        raise TypeError("astype needs a number type; got None.")
    if glow.dtype is not None and glow.dtype.kind == "c" and number_type.kind == "f":
        raise TypeError(f"{glow.name} is {glow.dtype}; {number_type} cannot hold its imaginary "
                        "parts.")
    arguments = glow.parameters
    couplings, exits = networks_of(glow)
    seed = arguments["seed"] if isinstance(arguments["seed"], (int, np.integer)) else None
    result = Glow(**arguments | {
        "dtype": number_type, "seed": seed,
        "coupling_bijector_fn": _cast_fn(couplings, arguments["coupling_bijector_fn"]),
        "exit_bijector_fn": _cast_fn(exits, arguments["exit_bijector_fn"])})
    result.load_state_dict({
        variable.name: variable.numpy().astype(number_type) if variable.trainable else variable
        for variable in glow.variables})
    return result


def _described(networks: list[Any], places: list[Any]) -> Networks:
    """The networks' descriptions relative to their places; just one if it holds at each."""
    descriptions: list[Description | None] = []
    for network, place in zip(networks, places, strict=True):
        if place is None:
            descriptions.append(None)
            continue
        if not is_describable(network):
            raise TypeError(
                f"{place.name} is {getattr(network, '__name__', type(network).__name__)!r}, which "
                "is not made of refglow's networks, so its architecture cannot be described. Save "
                "the arrays alone, safetensors.numpy.save_file(glow.state_dict(), path); to load "
                "them, build the Glow with the same function and call load_state_dict.")
        descriptions.append(relative(describe(network), place.determines))
    present = [d for d in descriptions if d is not None]
    if not present:
        return None
    return present[0] if all(d == present[0] for d in present) else tuple(descriptions)


def _network_fn(networks: Networks) -> Callable[..., Any] | None:
    """The function that builds the described networks, called for one place after the other."""
    if networks is None:
        return None
    every = networks if isinstance(networks, tuple) else (networks,)
    in_order = itertools.cycle([d for d in every if d is not None])

    def network_fn(input_shape: Any, output_chan: int = 0,
                   dtype: npt.DTypeLike = DEFAULT_FLOAT) -> Any:
        place = {"input_shape": [int(tuple(input_shape)[-1])], "output_chan": output_chan}
        return build_described(at_place(next(in_order), place), np.dtype(dtype))
    return network_fn


def _cast_fn(networks: list[Any], original_fn: Callable[..., Any] | None) -> Any:
    """The function that gives each network again, in another number type.

    refglow's networks are rebuilt; a user's network with named variables comes from the user's
    function again; a function without any has nothing to cast and is used as it is.
    """
    in_order = itertools.cycle([network for network in networks if network is not None] or [None])

    def network_fn(*args: Any, dtype: Any, seed: Any = None, **kwargs: Any) -> Any:
        network = next(in_order)
        if is_describable(network):
            return build_described(describe(network), np.dtype(dtype))
        if original_fn is None or not hasattr(network, "named_variables"):
            return network
        return build_network(original_fn, *args, dtype=dtype, seed=seed, owner="astype", **kwargs)
    return network_fn
