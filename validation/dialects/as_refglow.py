"""A Glow in TFP's dialect as one of refglow's: `tfb.Glow` with networks of Conv2D and ReLU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array, DType
from refglow.networks import Conv2D, ReLU, Sequential
from refglow.validation.dialects.converting_channels import RESULT_RULES
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.plain_networks import Network, without_hidden_norm
from refglow.validation.dialects.route import Block, Route, inputs_of, route_of
from refglow.validation.dialects.structure import Structure
from refglow.validation.dialects.writing import written


def to_refglow(glow: DialectGlow) -> Glow:
    """The same function as one of refglow's Glows, in the arrays' number type.

    Latents are in refglow's order, whatever `glow.dialect.latents` is; so are log-dets correct.

    Args:
      glow: in TFP's dialect, as `converted(glow, Dialect())` gives it.

    Raises:
      ValueError: if it is in another dialect, its blocks have different numbers of steps, or a
        coupling's network does not see the first half of the channels.
    """
    for name, there, here in glow.dialect.differences(Dialect()):
        if name not in RESULT_RULES:
            raise ValueError(f"to_refglow takes a Glow in TFP's dialect; here {name} is {there!r}, "
                             f"not {here!r}. Use converted(glow, Dialect()) first.")
    route = route_of(glow)
    route = replace(route, layers=tuple(kind for kind in ("actnorm", "conv")
                                        if kind in (*route.layers, "conv")),
                    blocks=tuple(map(_without_hidden_norms, route.blocks)))
    plain = written(route, glow.structure, glow.dialect)
    _check(plain.structure, route)
    model = _built(plain, route)
    state = dict(plain.arrays)
    if "actnorm" in route.layers:
        state |= {f"{place}.actnorm.initialized": np.asarray(True) for place in _places(plain)}
    model.load_state_dict(state)
    return model


def _without_hidden_norms(block: Block) -> Block:
    return replace(block, couplings=tuple(
        replace(c, network=without_hidden_norm(c.network)) for c in block.couplings),
        exit=None if block.exit is None else without_hidden_norm(block.exit))


def _check(structure: Structure, route: Route) -> None:
    if len(set(structure.steps)) > 1:
        raise ValueError(f"refglow's blocks have one number of steps; these have "
                         f"{', '.join(map(str, structure.steps))}.")
    for i, block in enumerate(route.blocks):
        for coupling in block.couplings:
            seen = inputs_of(coupling.network, Dialect())
            if seen != block.channels // 2:
                raise ValueError(f"refglow's couplings see half of the channels; in block {i} one "
                                 f"sees {seen} of {block.channels}.")


def _places(glow: DialectGlow) -> Iterator[str]:
    for i, count in enumerate(glow.structure.steps):
        for j in range(count):
            yield f"block{i}.step{j}"


def _built(glow: DialectGlow, route: Route) -> Glow:
    structure = glow.structure
    couplings = [glow._named_network(f"{place}.coupling", "") for place in _places(glow)]
    exits = [glow._named_network(f"block{i}.exit", "") for i in range(len(structure.splits))
             if structure.has_exit(i)]
    # Refglow multiplies the channels that remain by the fraction and rounds down.
    fractions = [grab / (leave + grab) if not leave else (grab + 0.5 * bool(grab)) / (leave + grab)
                 for leave, grab, _ in structure.splits[::-1]]
    return Glow(output_shape=structure.image_shape, num_glow_blocks=len(structure.splits),
                num_steps_per_block=structure.steps[0], grab_after_block=fractions,
                coupling_bijector_fn=_in_turn(couplings, route.dtype),
                exit_bijector_fn=_in_turn(exits, route.dtype),
                use_actnorm="actnorm" in route.layers, dtype=route.dtype)


def _in_turn(networks: list[Network], dtype: DType) -> Callable[..., Any]:
    """A function that gives one network after another, whatever shape it is asked for.

    Glow asks block by block, the coarsest first, and in a block from step 0 on.
    """
    remaining = iter(networks)
    return lambda *_args, **_kwargs: _sequential(next(remaining), dtype)


def _sequential(network: Network, dtype: DType) -> Sequential:
    layers: dict[str, Any] = {}
    names = list(network)
    for name in names:
        layers[name] = _conv(network[name]["kernel"], dtype)
        if name != names[-1]:
            layers[f"relu_{name}"] = ReLU()
    return Sequential(layers)


def _conv(kernel: Array, dtype: DType) -> Conv2D:
    kh, kw, inputs, outputs = kernel.shape
    return Conv2D(inputs, outputs, (kh, kw), "same", "zeros", dtype=dtype)
